# tpm2-tools: hierarchies, their auth values and policies, the lockout, and what takes everything away.
. "${0%/*}/lib.sh"
start_engine
property() { tpm2_getcap properties-variable | sed -n "s/^ *$1: *//p"; }
primary() { tpm2_createprimary -Q -C "$1" -G ecc -c "$1.ctx" && tpm2_readpublic -c "$1.ctx" | sed -n 's/^name: //p'; }

# Auth values of hierarchies
tpm2_changeauth -c o owner
refuses 9A2 tpm2_createprimary -Q -C o -c o.ctx
tpm2_createprimary -Q -C o -P owner -c o.ctx
is "$(property ownerAuthSet)" 1
tpm2_changeauth -c o -p owner

# A policy for the owner instead of a value
tpm2_startauthsession -S trial.ctx
tpm2_policycommandcode -Q -S trial.ctx -L policy TPM2_CC_Clear
tpm2_flushcontext trial.ctx
is "$(hex policy)" "$(digest "$zeros" 0000016c 00000126)"
tpm2_setprimarypolicy -Q -C l -L policy -g sha256
before=$(primary o) endorsement=$(primary e) platform=$(primary p)
is "$(primary o)" "$before"

# Clear takes the owner's keys, and not the others'; it can be forbidden.
tpm2_clearcontrol -C l s
refuses 120 tpm2_clear
tpm2_clearcontrol -C p c
tpm2_evictcontrol -Q -C o -c o.ctx 0x81000001
tpm2_startauthsession --policy-session -S session.ctx
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Clear
tpm2_clear -c l session:session.ctx
tpm2_flushcontext session.ctx || true
is "$(tpm2_getcap handles-persistent)" ""
refuses "" is "$(primary o)" "$before"
is "$(primary e)" "$endorsement"
is "$(primary p)" "$platform"

# New seeds for the endorsement and the platform hierarchy
tpm2_changeeps
refuses "" is "$(primary e)" "$endorsement"
is "$(primary p)" "$platform"
tpm2_changepps
refuses "" is "$(primary p)" "$platform"

# A hierarchy that is off does not answer until the next start.
tpm2_hierarchycontrol -C e ehEnable clear
refuses 185 tpm2_createprimary -Q -C e -c e.ctx
boot
tpm2_createprimary -Q -C e -c e.ctx

# Guessing ends in lockout, which its authority lifts.
tpm2_dictionarylockout -Q --setup-parameters --max-tries=2 --recovery-time=1000 --lockout-recovery-time=1000
is "$((16#$(property TPM2_PT_MAX_AUTH_FAIL | sed 's/^0x//')))" 2
tpm2_createprimary -Q -C o -c o.ctx
printf secret >secret
tpm2_create -Q -C o.ctx -i secret -p PIN -u sealed.pub -r sealed.priv
tpm2_load -Q -C o.ctx -u sealed.pub -r sealed.priv -c sealed.ctx
refuses 98E tpm2_unseal -c sealed.ctx -p guess
refuses 98E tpm2_unseal -c sealed.ctx -p guess
refuses 921 tpm2_unseal -c sealed.ctx -p PIN
is "$(property inLockout)" 1
tpm2_dictionarylockout -Q --clear-lockout
is "$(tpm2_unseal -c sealed.ctx -p PIN)" secret

echo "$checks checks"
