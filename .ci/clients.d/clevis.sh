# clevis binds a secret to PCRs, and gives it back only while they are what they were.
. "${0%/*}/lib.sh"
export PATH=${PATH#*:} # the tools themselves: clevis flushes for itself
start_engine

echo "a secret" >secret
clevis encrypt tpm2 '{}' <secret >plain.jwe
clevis encrypt tpm2 '{"pcr_bank":"sha256","pcr_ids":"16,23"}' <secret >pcr.jwe
clevis encrypt tpm2 '{"key":"rsa","hash":"sha256"}' <secret >rsa.jwe
for kind in plain pcr rsa; do
	clevis decrypt <$kind.jwe >back
	same back secret
done

stop_engine # the key is in the state
start_engine
clevis decrypt <pcr.jwe >back
same back secret

tpm2_pcrextend "16:sha256=$(digest 00)"
refuses 99D clevis decrypt <pcr.jwe # TPM_RC_POLICY_FAIL of session 1
clevis decrypt <plain.jwe >back
same back secret

echo "$checks checks"
