# tpm2-tools: keys of all kinds, made, loaded, used, moved and kept; openssl does the other half of each operation.
. "${0%/*}/lib.sh"
start_engine
echo "a message" >message
tpm2_createprimary -Q -C o -c primary.ctx
made() { # NAME OPTION...: a key under the primary
	tpm2_create -Q -C primary.ctx -u "$1.pub" -r "$1.priv" "${@:2}"
	tpm2_load -Q -C primary.ctx -u "$1.pub" -r "$1.priv" -c "$1.ctx"
}
pem() { tpm2_readpublic -Q -c "$1.ctx" -f pem -o "$1.pem"; }

# Signatures of every kind openssl knows, and one it made
made rsa -G rsa2048 && pem rsa
made p256 -G ecc256 && pem p256
made p384 -G ecc384 && pem p384
made p521 -G ecc521 && pem p521
for key in rsa p256 p384 p521; do
	for hash in sha256 sha384; do
		tpm2_sign -Q -c $key.ctx -g $hash -f plain -o sig message
		holds openssl dgst -$hash -verify $key.pem -signature sig message
		refuses "Verification" openssl dgst -$hash -verify $key.pem -signature sig rsa.pub
	done
done
tpm2_sign -Q -c rsa.ctx -g sha256 -s rsapss -f plain -o sig message
holds openssl dgst -sha256 -sigopt rsa_padding_mode:pss -verify rsa.pem -signature sig message
openssl ecparam -genkey -name prime256v1 -noout -out outside.pem
openssl dgst -sha256 -sign outside.pem -out sig message
tpm2_loadexternal -Q -G ecc -C n -r outside.pem -c outside.ctx
tpm2_verifysignature -c outside.ctx -g sha256 -m message -f ecdsa -s sig
refuses 2DB tpm2_verifysignature -c outside.ctx -g sha256 -m rsa.pub -f ecdsa -s sig

# RSA encryption both ways, in every padding
for scheme in rsaes:pkcs1 oaep:oaep null:none; do
	padding=${scheme#*:} input=message
	if [ $padding = none ]; then
		(printf '\0'; head -c 255 /dev/urandom) >block
		input=block
	fi
	options=(-pkeyopt rsa_padding_mode:$padding)
	[ $padding != oaep ] || options+=(-pkeyopt rsa_oaep_md:sha256)
	openssl pkeyutl -encrypt -pubin -inkey rsa.pem "${options[@]}" -in $input -out theirs
	tpm2_rsadecrypt -c rsa.ctx -s ${scheme%:*} -o back theirs
	same back $input
	tpm2_rsaencrypt -c rsa.ctx -s ${scheme%:*} -o ours $input
	tpm2_rsadecrypt -c rsa.ctx -s ${scheme%:*} -o back ours
	same back $input
done
openssl genrsa -out pair.pem 2048 2>openssl.log # what the TPM encrypts, openssl decrypts
openssl rsa -in pair.pem -pubout -out pair.pub 2>>openssl.log
tpm2_loadexternal -Q -G rsa -C o -u pair.pub -c pair.ctx
tpm2_rsaencrypt -c pair.ctx -s rsaes -o ours message
openssl pkeyutl -decrypt -inkey pair.pem -in ours -out back
same back message

# Symmetric encryption with a key that is known outside too
head -c 16 /dev/urandom >aes.key
head -c 16 /dev/urandom >iv
head -c 4096 /dev/urandom >plain
tpm2_import -Q -C primary.ctx -G aes -i aes.key -u aes.pub -r aes.priv
tpm2_load -Q -C primary.ctx -u aes.pub -r aes.priv -c aes.ctx
for mode in cfb cbc ctr ofb ecb; do
	tpm2_encryptdecrypt -Q -c aes.ctx -G $mode --iv iv -o ours plain
	vector=(-iv "$(hex iv)")
	[ $mode != ecb ] || vector=()
	openssl enc -aes-128-$mode -K "$(hex aes.key)" "${vector[@]}" -nopad -in plain -out theirs
	same ours theirs
	tpm2_encryptdecrypt -Q -d -c aes.ctx -G $mode --iv iv -o back ours
	same back plain
done

# Diffie and Hellman: a TPM2B_ECC_POINT of an openssl key, and shared secrets from both ends
point() { unhex 0044 0020 "$(openssl ec -in "$1" -pubout -outform DER 2>/dev/null | tail -c 64 | head -c 32 | xxd -p -c 0)" \
	0020 "$(openssl ec -in "$1" -pubout -outform DER 2>/dev/null | tail -c 32 | xxd -p -c 0)"; }
public() { # of a TPM2B_ECC_POINT on P-256, for openssl
	unhex 3059301306072a8648ce3d020106082a8648ce3d03010703420004 "$(hex "$1" | cut -c9-72)" "$(hex "$1" | cut -c77-140)" |
		openssl ec -pubin -inform DER -out "$2" 2>>openssl.log
}
made dh -G ecc256 -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt" && pem dh
openssl pkeyutl -derive -inkey outside.pem -peerkey dh.pem -out theirs
point outside.pem >point
tpm2_ecdhzgen -c dh.ctx -u point -o ours
is "$(hex ours | cut -c9-72)" "$(hex theirs)"
tpm2_ecdhkeygen -c dh.ctx -u ephemeral -o shared
tpm2_ecdhzgen -c dh.ctx -u ephemeral -o again
same shared again
public ephemeral ephemeral.pem
holds openssl pkey -pubin -in ephemeral.pem -pubcheck -noout

# The two-phase exchange: static with static, ephemeral with ephemeral
made two -G ecc256:ecdh-sha256 -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|decrypt" && pem two
counter=$(tpm2_ecephemeral -u point ecc256 -t counter >/dev/null && hex counter)
public point tpm.pem
openssl ecparam -genkey -name prime256v1 -noout -out peer.pem
point outside.pem >static
point peer.pem >ephemeral
tpm2_zgen2phase -c two.ctx --static-public static --ephemeral-public ephemeral -t "$((16#$counter))" --output-Z1 z1 --output-Z2 z2
openssl pkeyutl -derive -inkey outside.pem -peerkey two.pem -out zs
openssl pkeyutl -derive -inkey peer.pem -peerkey tpm.pem -out ze
is "$(hex z1 | cut -c9-72)" "$(hex zs)"
is "$(hex z2 | cut -c9-72)" "$(hex ze)"

# ECDAA: a commitment is a point of the curve, and counts up.
made daa -G ecc256:ecdaa-sha256 -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
point outside.pem >p1
for i in 0 1; do
	tpm2_commit -Q -c daa.ctx --eccpoint-P p1 --eccpoint-K k --eccpoint-L l -u e -t "count$i"
	public e e.pem
	holds openssl pkey -pubin -in e.pem -pubcheck -noout
done
is "$((16#$(hex count1) - 16#$(hex count0)))" 1
tpm2_sign -Q -c daa.ctx -s ecdaa -g sha256 --commit-index "$((16#$(hex count1)))" -o sig message
refuses "(0x84)" tpm2_sign -Q -c daa.ctx -s ecdaa -g sha256 --commit-index "$((16#$(hex count1)))" -o sig message

# Auth values
tpm2_changeauth -C primary.ctx -c p256.ctx -r changed.priv secret
tpm2_load -Q -C primary.ctx -u p256.pub -r changed.priv -c changed.ctx
refuses 98E tpm2_sign -Q -c changed.ctx -g sha256 -f plain -o sig message
tpm2_sign -Q -c changed.ctx -p secret -g sha256 -f plain -o sig message
holds openssl dgst -sha256 -verify p256.pem -signature sig message

# A key that moves to another parent signs there what it signed here.
tpm2_startauthsession -S trial.ctx
tpm2_policycommandcode -Q -S trial.ctx -L duplicate.policy TPM2_CC_Duplicate
tpm2_flushcontext trial.ctx
made mover -G ecc256 -L duplicate.policy -a "sensitivedataorigin|userwithauth|sign" && pem mover
tpm2_createprimary -Q -C o -G ecc -c other.ctx
tpm2_startauthsession --policy-session -S session.ctx
tpm2_policycommandcode -Q -S session.ctx TPM2_CC_Duplicate
tpm2_duplicate -Q -C other.ctx -c mover.ctx -G null -p session:session.ctx -r moved.dup -s moved.seed
tpm2_flushcontext session.ctx
tpm2_import -Q -C other.ctx -u mover.pub -i moved.dup -s moved.seed -r moved.priv -G ecc
tpm2_load -Q -C other.ctx -u mover.pub -r moved.priv -c moved.ctx
tpm2_sign -Q -c moved.ctx -g sha256 -f plain -o sig message
holds openssl dgst -sha256 -verify mover.pem -signature sig message

# A secret, sealed; a key file for openssl
made sealed -i message
tpm2_unseal -Q -c sealed.ctx -o back
same back message
tpm2_encodeobject -C primary.ctx -u rsa.pub -r rsa.priv -o rsa.tss.pem
is "$(openssl asn1parse -in rsa.tss.pem | grep -o '2.23.133.10.1.3')" 2.23.133.10.1.3

# Handles that stay, and their end
tpm2_evictcontrol -Q -C o -c rsa.ctx 0x81000010
stop_engine
start_engine
tpm2_sign -Q -c 0x81000010 -g sha256 -f plain -o sig message
holds openssl dgst -sha256 -verify rsa.pem -signature sig message
tpm2_evictcontrol -Q -C o -c 0x81000010
is "$(tpm2_getcap handles-persistent)" ""
/usr/bin/tpm2_createprimary -Q -C o -c loaded.ctx
is "$(tpm2_getcap handles-transient | wc -l)" 1
tpm2_flushcontext -t
is "$(tpm2_getcap handles-transient)" ""

echo "$checks checks"
