# tpm2-tools: every policy command. Each digest is computed again as part 3 of the specification says; and what is under
# the policy opens with it, and not without.
. "${0%/*}/lib.sh"
start_engine
cc() { printf 0000%04x $((16#$1)); }
session() { tpm2_startauthsession -S session.ctx "$@"; }
end() { tpm2_flushcontext session.ctx; }
value() { tpm2_getpolicydigest -S session.ctx -o digest && hex digest; }
name() { tpm2_readpublic -c "$1" | sed -n 's/^name: //p'; }
extend() { digest "$1" "$(cc "$2")" "${@:3}"; }    # OLD CC ARGUMENT...
twice() { digest "$(digest "$1" "$(cc "$2")" "$3")" "${4-}"; } # OLD CC NAME [POLICYREF]
tpm2_createprimary -Q -C o -G ecc -c primary.ctx
seal() { # NAME: a secret under the policy in the file digest
	printf "secret %s" "$1" >secret
	tpm2_create -Q -C primary.ctx -i secret -L digest -u "$1.pub" -r "$1.priv" "${@:2}"
	tpm2_load -Q -C primary.ctx -u "$1.pub" -r "$1.priv" -c "$1.ctx"
}
opens() { is "$(tpm2_unseal -c "$1.ctx" -p "session:session.ctx${2-}")" "secret $1"; }

# What a session is, and what it is to do with parameters; the second call leaves it loaded, and that is its end
session --policy-session -g sha256
tpm2_sessionconfig session.ctx --enable-encrypt
tpm2_sessionconfig session.ctx >attributes
is "$(sed -n 's/^Session-Attributes: //p' attributes)" "continuesession|encrypt"
is "$(sed -n 's/^Session-Handle: \(0x..\).*/\1/p' attributes)" 0x03

# AuthValue and Password have one digest; the one wants an HMAC, the other the value itself.
session
tpm2_policyauthvalue -Q -S session.ctx
is "$(value)" "$(extend "$zeros" 16b)"
end
session
tpm2_policypassword -Q -S session.ctx
is "$(value)" "$(extend "$zeros" 16b)"
end
seal auth -p PIN
for kind in authvalue password; do
	session --policy-session
	tpm2_policy$kind -Q -S session.ctx
	refuses 9 tpm2_unseal -c auth.ctx -p session:session.ctx+guess
	opens auth +PIN
	end
done

# CommandCode, Locality, and a restart of the session
session
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Unseal
is "$(value)" "$(extend "$zeros" 16c 0000015e)"
tpm2_policyrestart -S session.ctx
is "$(value)" "$zeros"
tpm2_policylocality -Q -S session.ctx zero
is "$(value)" "$(extend "$zeros" 16f 01)"
end
seal locality
session --policy-session
tpm2_policylocality -Q -S session.ctx zero
opens locality
end
session --policy-session
tpm2_policylocality -Q -S session.ctx one
refuses 99D tpm2_unseal -c locality.ctx -p session:session.ctx
end

# PCR, and createpolicy, which does the same in one step; OR of two
tpm2_pcrread -Q sha256:16 -o pcrs
session
tpm2_policypcr -Q -S session.ctx -l sha256:16
pcr=$(extend "$zeros" 17f 00000001000b03000001 "$(sha pcrs)")
is "$(value)" "$pcr"
cp digest pcr.policy
end
tpm2_createpolicy -Q --policy-pcr -l sha256:16 -L digest
same digest pcr.policy
session
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Unseal
value >code.hex
cp digest code.policy
tpm2_policyor -Q -S session.ctx -l sha256:pcr.policy,code.policy
is "$(value)" "$(extend "$zeros" 171 "$pcr" "$(cat code.hex)")"
end
seal either
session --policy-session
tpm2_policypcr -Q -S session.ctx -l sha256:16
tpm2_policyor -Q -S session.ctx -l sha256:pcr.policy,code.policy
opens either
end
tpm2_pcrextend "16:sha256=$(digest 00)"
session --policy-session
tpm2_policypcr -Q -S session.ctx -l sha256:16
refuses 1C4 tpm2_policyor -Q -S session.ctx -l sha256:pcr.policy,code.policy
end

# Secret: an entity's auth value, with a ticket that serves later; Signed: a key outside, likewise
session --policy-session
tpm2_policysecret -Q -S session.ctx -c o -t -100 --ticket ticket --timeout timeout
secret=$(digest "$(extend "$zeros" 151 40000001)")
is "$(value)" "$secret"
end
seal secret
session --policy-session
unhex 40000001 >owner.name
tpm2_policyticket -Q -S session.ctx -n owner.name --ticket ticket --timeout timeout
opens secret
end
openssl genrsa -out signer.pem 2048 2>openssl.log
openssl rsa -in signer.pem -pubout -out signer.pub 2>>openssl.log
tpm2_loadexternal -Q -G rsa -C o -u signer.pub -c signer.ctx -n signer.name
session
tpm2_policysigned -Q -S session.ctx -g sha256 -c signer.ctx --raw-data to-sign
openssl dgst -sha256 -sign signer.pem -out signed to-sign
tpm2_policysigned -Q -S session.ctx -g sha256 -c signer.ctx -s signed -f rsassa
is "$(value)" "$(twice "$zeros" 160 "$(hex signer.name)")"
end
seal signed
session --policy-session
tpm2_policysigned -Q -S session.ctx -g sha256 -c signer.ctx -s signed -f rsassa
opens signed
end
cp signed other
printf x | dd of=other bs=1 seek=9 conv=notrunc 2>dd.log
session --policy-session
refuses 5DB tpm2_policysigned -Q -S session.ctx -g sha256 -c signer.ctx -s other -f rsassa
end

# Authorize: whoever signs a policy approves it.
session
tpm2_policyauthorize -Q -S session.ctx -i code.policy -n signer.name
is "$(value)" "$(twice "$zeros" 16a "$(hex signer.name)")"
end
seal authorized
unhex "$(hex code.policy)" >approved # with an empty policyRef
openssl dgst -sha256 -sign signer.pem -out approval approved
tpm2_verifysignature -Q -c signer.ctx -g sha256 -m approved -s approval -t approval.ticket -f rsassa
session --policy-session
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Unseal
tpm2_policyauthorize -Q -S session.ctx -i code.policy -n signer.name -t approval.ticket
opens authorized
end

# NV: data compared, an index that holds the policy, an index not yet written
tpm2_nvdefine -Q 0x1500001 -C o -s 34 -a "ownerread|ownerwrite|authread|authwrite"
nv() { tpm2_nvreadpublic 0x1500001 | sed -n 's/^ *name: //p'; }
session
tpm2_policynvwritten -Q -S session.ctx c
is "$(value)" "$(extend "$zeros" 18f 00)"
end
unhex 000b "$(hex code.policy)" | tpm2_nvwrite -Q 0x1500001 -C o -i -
session
tpm2_policynv -Q -S session.ctx 0x1500001 -C o -i code.policy --offset 2 eq
is "$(value)" "$(extend "$zeros" 149 "$(digest "$(hex code.policy)" 0002 0000)" "$(nv)")"
end
session --policy-session
tpm2_policynv -Q -S session.ctx 0x1500001 -C o -i code.policy --offset 2 ule
refuses 126 tpm2_policynv -S session.ctx 0x1500001 -C o -i code.policy --offset 2 neq
end
session
tpm2_policyauthorizenv -Q -S session.ctx 0x1500001 -C o
is "$(value)" "$(extend "$zeros" 192 "$(nv)")"
end
seal nv
session --policy-session
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Unseal
tpm2_policyauthorizenv -Q -S session.ctx 0x1500001 -C o
opens nv
end

# The clock
session
tpm2_policycountertimer -Q -S session.ctx --ult clock=3600000
is "$(value)" "$(extend "$zeros" 16d "$(digest 000000000036ee80 0008 0005)")"
end
seal hour
session --policy-session
tpm2_policycountertimer -Q -S session.ctx --ult clock=3600000
opens hour
refuses 126 tpm2_policycountertimer -Q -S session.ctx --ugt clock=3600000
end

# One command, some names, one template, one new parent
cp=$(digest 0000015e "$(name either.ctx)")
unhex 0020 "$cp" >cp
session
tpm2_policycphash -Q -S session.ctx --cphash cp
is "$(value)" "$(extend "$zeros" 16e "$cp")"
end
unhex "$(digest "$(name either.ctx)")" >names
session
tpm2_policynamehash -Q -S session.ctx -n names
is "$(value)" "$(extend "$zeros" 170 "$(hex names)")"
end
unhex "$(sha either.pub)" >template
session
tpm2_policytemplate -Q -S session.ctx --template-hash template
is "$(value)" "$(extend "$zeros" 190 "$(hex template)")"
end
session
tpm2_policyduplicationselect -Q -S session.ctx -n signer.name -N owner.name
is "$(value)" "$(extend "$zeros" 188 40000001 00)"
end
session
tpm2_policyduplicationselect -Q -S session.ctx -n signer.name -N owner.name --include-object
is "$(value)" "$(extend "$zeros" 188 "$(hex signer.name)" 40000001 01)"
end

echo "$checks checks"
