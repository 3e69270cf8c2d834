# The OpenSSL provider tpm2: keys that the TPM makes and keeps. openssl without it judges what they do.
. "${0%/*}/lib.sh"
start_engine
tpm() { openssl "$1" -provider tpm2 -provider default -propquery '?provider=tpm2' "${@:2}"; }
echo "a message" >message
unhex "$(sha message)" >message.sha256

algorithms=(RSA EC)
options=("bits:2048" "group:P-256")
for i in 0 1; do
	key=${algorithms[i]}
	tpm genpkey -algorithm "$key" -pkeyopt "${options[i]}" -out "$key.pem"
	holds grep -q "BEGIN TSS2 PRIVATE KEY" "$key.pem"
	tpm pkey -in "$key.pem" -pubout -out "$key.pub"
	holds openssl pkey -pubin -in "$key.pub" -pubcheck -noout

	# Signatures, of a digest and of a message
	tpm pkeyutl -sign -inkey "$key.pem" -in message.sha256 -pkeyopt digest:sha256 -out "$key.sig"
	holds openssl pkeyutl -verify -pubin -inkey "$key.pub" -in message.sha256 -pkeyopt digest:sha256 -sigfile "$key.sig"
	tpm dgst -sha384 -sign "$key.pem" -out "$key.sig" message
	holds openssl dgst -sha384 -verify "$key.pub" -signature "$key.sig" message
	refuses "Verification failure" openssl dgst -sha384 -verify "$key.pub" -signature "$key.sig" "$key.pub"

	# A request and a certificate, which the key signs itself
	tpm req -new -key "$key.pem" -subj "/CN=$key" -out "$key.csr"
	holds openssl req -in "$key.csr" -verify -noout
	tpm req -x509 -new -key "$key.pem" -subj "/CN=$key" -days 1 -out "$key.crt"
	holds openssl verify -CAfile "$key.crt" "$key.crt"
done

# RSA: PSS, and decryption of what anybody encrypted (the provider has no OAEP)
tpm pkeyutl -sign -inkey RSA.pem -in message.sha256 -pkeyopt digest:sha256 -pkeyopt pad-mode:pss -out pss.sig
holds openssl pkeyutl -verify -pubin -inkey RSA.pub -in message.sha256 -pkeyopt digest:sha256 -pkeyopt rsa_padding_mode:pss -sigfile pss.sig
openssl pkeyutl -encrypt -pubin -inkey RSA.pub -in message -out encrypted
tpm pkeyutl -decrypt -inkey RSA.pem -in encrypted -out back
same back message

# EC: the same shared secret from both ends
openssl ecparam -genkey -name prime256v1 -noout -out peer.pem
openssl pkey -in peer.pem -pubout -out peer.pub
tpm pkeyutl -derive -inkey EC.pem -peerkey peer.pub -out ours
openssl pkeyutl -derive -inkey peer.pem -peerkey EC.pub -out theirs
same ours theirs

# A key that lies in the TPM, used by its handle after a restart
tpm2_createprimary -Q -C o -G rsa2048 -c primary.ctx
tpm2_create -Q -C primary.ctx -G ecc256 -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign" -u k.pub -r k.priv
tpm2_load -Q -C primary.ctx -u k.pub -r k.priv -c k.ctx
tpm2_evictcontrol -Q -C o -c k.ctx 0x81008000
stop_engine
start_engine
tpm pkey -in handle:0x81008000 -pubout -out handle.pub
tpm dgst -sha256 -sign handle:0x81008000 -out handle.sig message
holds openssl dgst -sha256 -verify handle.pub -signature handle.sig message
tpm dgst -sha256 -sign RSA.pem -out after.sig message
holds openssl dgst -sha256 -verify RSA.pub -signature after.sig message

# Random bytes
is "$(tpm rand -hex 16 | grep -cxE '[0-9a-f]{32}')" 1

# A key file belongs to its TPM.
stop_engine
mv tpm other
start_engine
refuses "" tpm dgst -sha256 -sign RSA.pem message

echo "$checks checks"
