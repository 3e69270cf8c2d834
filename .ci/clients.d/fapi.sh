# The feature API: every tss2_* program, on a key store of its own; with Debian's ECC profile over swtpm's protocol, and
# with the RSA profile over the simulator's.
. "${0%/*}/lib.sh"
start_engine
umask 077
mkdir -p user system log
profile=P_ECCP256SHA256 padding=
[ $protocol = swtpm ] || profile=P_RSA2048SHA256 padding=--padding=RSA_SSA
cat >fapi.json <<END
{ "profile_name": "$profile", "profile_dir": "/etc/tpm2-tss/fapi-profiles/", "user_dir": "$PWD/user", "system_dir": "$PWD/system",
  "tcti": "$TCTI", "system_pcrs": [], "ek_cert_less": "yes", "log_dir": "$PWD/log" }
END
export TSS2_FAPICONF=$PWD/fapi.json TSS2_LOG=all+NONE
tss2_provision
is "$(tss2_list | tr ':' '\n' | grep -c /HS/SRK)" 1
is "$(tss2_getinfo -o - | grep -c '"property":"FIRMWARE_VERSION_1"')" 1
is "$(tss2_getrandom --numBytes=16 --data=- | wc -c)" 16
echo -n "some data" >data
unhex "$(sha data)" >data.sha256

# Signatures, judged by openssl and by FAPI, which judges one of another key too
tss2_createkey --path=HS/SRK/sign --type="noDa, sign" --authValue=
tss2_sign --keyPath=HS/SRK/sign $padding --digest=data.sha256 --signature=sig --publicKey=key.pub
holds openssl pkeyutl -verify -pubin -inkey key.pub -in data.sha256 -pkeyopt digest:sha256 -sigfile sig
tss2_import --path=/ext/sign --importData=key.pub
tss2_verifysignature --keyPath=/ext/sign --digest=data.sha256 --signature=sig
unhex "$zeros" >zeros
refuses "" tss2_verifysignature --keyPath=/ext/sign --digest=zeros --signature=sig
if [ $profile = P_RSA2048SHA256 ]; then # FAPI encrypts with no other
	tss2_createkey --path=HS/SRK/crypt --type="noDa, decrypt" --authValue=
	tss2_encrypt --keyPath=HS/SRK/crypt --plainText=data --cipherText=cipher
	tss2_decrypt --keyPath=HS/SRK/crypt --cipherText=cipher --plainText=back --force
	same back data
fi

# Sealing, with an auth value that changes
tss2_createseal --path=HS/SRK/seal --type=noDa --authValue= --data=data
tss2_unseal --path=HS/SRK/seal --data=back --force
same back data
refuses "" tss2_createseal --path=HS/SRK/seal --type=noDa --authValue= --data=data

# What is kept beside a key
echo '{ "event": "a test" }' >text
tss2_setdescription --path=HS/SRK/seal --description=description
tss2_getdescription --path=HS/SRK/seal --description=got
is "$(cat got)" description
tss2_setappdata --path=HS/SRK/seal --appData=data
tss2_getappdata --path=HS/SRK/seal --appData=back --force
same back data
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.pem -subj /CN=key -days 1 -out key.crt 2>openssl.log
tss2_setcertificate --path=HS/SRK/sign --x509certData=key.crt
tss2_getcertificate --path=HS/SRK/sign --x509certData=got --force
same got key.crt

# PCRs and quotes
tss2_pcrextend --pcr=16 --data=data --logData=text
tss2_pcrread --pcrIndex=16 --pcrValue=pcr --pcrLog=log.json --force
is "$(hex pcr)" "$(digest "$zeros" "$(sha data)")"
tss2_createkey --path=HS/SRK/quote --type="noDa, restricted, sign" --authValue=
tss2_quote --keyPath=HS/SRK/quote --pcrList=16 --qualifyingData=data --signature=sig --quoteInfo=info --pcrLog=log.json --force
tss2_exportkey --pathOfKeyToDuplicate=HS/SRK/quote --exportedData=exported --force
tss2_import --path=/ext/quote --importData=exported
tss2_verifyquote --publicKeyPath=/ext/quote --qualifyingData=data --quoteInfo=info --signature=sig --pcrLog=log.json
refuses "" tss2_verifyquote --publicKeyPath=/ext/quote --qualifyingData=text --quoteInfo=info --signature=sig --pcrLog=log.json

# NV of every kind
tss2_createnv --path=/nv/Owner/data --type=noDa --size=9 --authValue=
tss2_nvwrite --nvPath=/nv/Owner/data --data=data
tss2_nvread --nvPath=/nv/Owner/data --data=back --force
same back data
tss2_createnv --path=/nv/Owner/counter --type="noDa, counter" --size=0 --authValue=
tss2_nvincrement --nvPath=/nv/Owner/counter
tss2_nvread --nvPath=/nv/Owner/counter --data=one --force
tss2_nvincrement --nvPath=/nv/Owner/counter
tss2_nvread --nvPath=/nv/Owner/counter --data=two --force
is "$((16#$(hex two) - 16#$(hex one)))" 1
tss2_createnv --path=/nv/Owner/bits --type="noDa, bitfield" --size=0 --authValue=
tss2_nvsetbits --nvPath=/nv/Owner/bits --bitmap=0x0102030405060608
tss2_nvread --nvPath=/nv/Owner/bits --data=bits --force
is "$(hex bits)" 0102030405060608
tss2_createnv --path=/nv/Owner/pcr --type="noDa, pcr" --size=0 --authValue=
tss2_nvextend --nvPath=/nv/Owner/pcr --data=data --logData=text
tss2_nvread --nvPath=/nv/Owner/pcr --data=pcr --logData=log.json --force
is "$(hex pcr)" "$(digest "$zeros" "$(hex data)")"

# Policies: a PCR's, one that a key authorizes, one that an NV index holds
cat >pcr.json <<'END'
{ "description": "PCR 16 as it is", "policy": [ { "type": "POLICYPCR", "currentPCRs": [16] } ] }
END
tss2_import --path=/policy/pcr --importData=pcr.json
tss2_createkey --path=HS/SRK/authority --type="noDa, sign" --authValue=
cat >authorize.json <<'END'
{ "description": "what the authority signs", "policy": [ { "type": "POLICYAUTHORIZE", "keyPath": "/HS/SRK/authority" } ] }
END
tss2_import --path=/policy/authorize --importData=authorize.json
tss2_createseal --path=HS/SRK/authorized --policyPath=/policy/authorize --type=noDa --authValue= --data=data
refuses "" tss2_unseal --path=HS/SRK/authorized --data=back --force
tss2_authorizepolicy --keyPath=HS/SRK/authority --policyPath=/policy/pcr
tss2_unseal --path=HS/SRK/authorized --data=back --force
same back data
tss2_createnv --path=/nv/Owner/policy --type=noDa --size=34 --authValue=
cat >nv.json <<'END'
{ "description": "what the index holds", "policy": [ { "type": "POLICYAUTHORIZENV", "nvPath": "/nv/Owner/policy" } ] }
END
tss2_import --path=/policy/nv --importData=nv.json
tss2_writeauthorizenv --nvPath=/nv/Owner/policy --policyPath=/policy/pcr
tss2_createseal --path=HS/SRK/by-nv --policyPath=/policy/nv --type=noDa --authValue= --data=data
tss2_unseal --path=HS/SRK/by-nv --data=back --force
same back data
tss2_pcrextend --pcr=16 --data=data
refuses "" tss2_unseal --path=HS/SRK/by-nv --data=back --force
tss2_exportpolicy --path=/policy/pcr --jsonPolicy=exported.json --force
is "$(grep -o '"description":"[^"]*"' exported.json)" '"description":"PCR 16 as it is"'

# The TPM's own view of a key: its blobs, and an object for tpm2-tools
tss2_gettpmblobs --path=HS/SRK/sign --tpm2bPublic=k.pub --tpm2bPrivate=k.priv --policy=k.policy --force
is "$(tpm2_print -t TPM2B_PUBLIC k.pub | sed -n '/^type:/,/raw/s/^ *value: //p')" "$(tr '[:upper:]' '[:lower:]' <<<"${profile:2:3}")"
tss2_gettpm2object --path=HS/SRK/sign --context=k.ctx --force
tpm2_readpublic -Q -c k.ctx -f pem -o k.pem
same k.pem key.pub
tss2_changeauth --entityPath=HS/SRK/sign --authValue=secret
refuses "" tss2_sign --keyPath=HS/SRK/sign --digest=data.sha256 --signature=sig --force </dev/null

# The platform's certificate, as a manufacturer would have put it
tpm2_nvdefine -Q 0x1c08000 -C p -s 9 -a "platformcreate|ppread|ppwrite|authread|ownerread|no_da|writedefine"
tpm2_nvwrite -Q 0x1c08000 -C p -i data
tss2_getplatformcertificates --certificates=got --force
same got data

# In the end nothing is left.
tss2_delete --path=/
is "$(tpm2_getcap handles-persistent)" ""
echo "$checks checks"
