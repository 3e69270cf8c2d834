# tpm2-tools: endorsement and attestation keys, credentials, and the statements a TPM signs.
. "${0%/*}/lib.sh"
start_engine
verified() { holds openssl dgst -sha256 -verify ak.pem -signature "$1.sig" "$1"; }
ek_session() { # session.ctx satisfies the policy of endorsement keys
	tpm2_startauthsession --policy-session -S session.ctx
	tpm2_policysecret -Q -S session.ctx -c e
}

# A credential that only the TPM with both keys can read, made with and without a TPM
tpm2_createek -Q -c 0x81010001 -G rsa -u ek.pub
tpm2_createak -Q -C 0x81010001 -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -f pem -n ak.name
cp ak.pub ak.pem
is "$(tpm2_readpublic -c ak.ctx | sed -n 's/^name: //p')" "$(hex ak.name)"
printf "a challenge" >challenge
for way in "" "-T none"; do
	tpm2_makecredential -Q $way -u ek.pub -s challenge -n "$(hex ak.name)" -o credential
	ek_session
	tpm2_activatecredential -Q -c ak.ctx -C 0x81010001 -P session:session.ctx -i credential -o back
	tpm2_flushcontext session.ctx
	same back challenge
done
tpm2_makecredential -Q -u ek.pub -s challenge -n "000b$zeros" -o credential
ek_session
refuses 1DF tpm2_activatecredential -Q -c ak.ctx -C 0x81010001 -P session:session.ctx -i credential -o back
tpm2_flushcontext session.ctx

# Certify: an object is in the TPM; CertifyCreation: it was made there, and how; GetTime: when.
tpm2_createprimary -Q -C o -c primary.ctx
tpm2_create -Q -C primary.ctx -G ecc256 -u key.pub -r key.priv --creation-data creation --creation-hash creation.hash -t creation.ticket
tpm2_load -Q -C primary.ctx -u key.pub -r key.priv -c key.ctx -n key.name
tpm2_certify -Q -c key.ctx -C ak.ctx -g sha256 -f plain -o certified -s certified.sig
verified certified
is "$(hex certified | grep -o "$(hex key.name)")" "$(hex key.name)"
tpm2_certifycreation -Q -C ak.ctx -c key.ctx -d creation.hash -t creation.ticket -g sha256 -f plain --attestation created -o created.sig
verified created
is "$(hex creation.hash | tail -c 65)" "$(tail -c +3 creation | sha256sum | cut -d' ' -f1)"
is "$(hex created | tail -c 65)" "$(hex creation.hash | tail -c 65)"
tpm2_gettime -Q -c ak.ctx -q cafe -g sha256 -f plain --attestation time -o time.sig
verified time
is "$(hex time | grep -o "0002cafe")" 0002cafe

# The digest of a session: SHA-256 of all commands and responses, computed again
tpm2_startauthsession -S audit.ctx --audit-session
tpm2_getrandom -Q -S audit.ctx --rphash rp -o random 8
tpm2_getsessionauditdigest -Q -c ak.ctx -g sha256 -f plain -m session -s session.sig -S audit.ctx
verified session
asked=$(digest 0000017b 0008) told=$(digest 00000000 0000017b 0008 "$(hex random)")
is "$(hex rp)" "0020$told"
is "$(hex session | tail -c 65)" "$(digest "$zeros" "$asked" "$told")"
tpm2_flushcontext audit.ctx

# The digest of commands that are chosen, from one statement to the next
tpm2_setcommandauditstatus -Q -C o TPM2_CC_GetRandom
tpm2_getcommandauditdigest -Q -c ak.ctx -g sha256 -f plain -m commands -s commands.sig
tpm2_getrandom -Q -o random 8
tpm2_getcommandauditdigest -Q -c ak.ctx -g sha256 -f plain -m commands -s commands.sig
verified commands
told=$(digest 00000000 0000017b 0008 "$(hex random)") audited=$(digest "$zeros" "$asked" "$told")
is "$(hex commands | grep -o "$audited")" "$audited"
tpm2_setcommandauditstatus -Q -C o TPM2_CC_GetRandom --clear-list

# The frame of a certificate that TPM2_CertifyX509 fills
tpm2_certifyX509certutil -o partial.der -d 90 -s "CN=subject" -i "CN=issuer"
is "$(openssl asn1parse -inform DER -in partial.der | grep -c -e ':CN=*subject' -e ':CN=*issuer' -e ':subject' -e ':issuer')" 2

echo "$checks checks"
