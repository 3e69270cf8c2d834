# systemd-creds and systemd-cryptenroll of systemd 252: salted sessions, encrypted parameters, PCRs, PINs, signed policies.
. "${0%/*}/lib.sh"
start_engine
umask 077
export SYSTEMD_LOG_LEVEL=warning SYSTEMD_LOG_TARGET=console
echo -n "a credential" >secret
tpm2_pcrextend "16:sha256=$(digest 01)" "23:sha256=$(digest 02)"

# systemd counts on a resource manager to end its sessions.
managed() {
	local status=0
	"$@" || status=$?
	tpm2_flushcontext -l && tpm2_flushcontext -t
	return $status
}
creds() { managed systemd-creds --tpm2-device="$TCTI" --name=c "$@"; }
creds --with-key=tpm2 --tpm2-pcrs=16+23 encrypt secret pcrs.cred
creds decrypt pcrs.cred back
same back secret
refuses "" creds --name=other decrypt pcrs.cred back

# A policy that a key signs: PCR 16 as it is now (systemd-measure signs for PCR 11 alone, and needs an image).
openssl genrsa -out policy.pem 2048 2>openssl.log
openssl rsa -in policy.pem -pubout -out policy.pub 2>>openssl.log
fingerprint=$(openssl rsa -in policy.pem -RSAPublicKey_out -outform DER 2>>openssl.log | sha256sum | cut -d" " -f1)
sign_policy() { # TPM2_PolicyPCR over PCR 16
	tpm2_pcrread sha256:16 -o pcr >tools.log
	unhex "$(digest "$zeros" 0000017f 00000001000b03000001 "$(sha pcr)")" >policy
	printf '{"sha256":[{"pcrs":[16],"pkfp":"%s","pol":"%s","sig":"%s"}]}' "$fingerprint" "$(hex policy)" \
		"$(openssl dgst -sha256 -sign policy.pem policy | base64 -w0)" >"$1"
}
sign_policy now.json
creds --with-key=tpm2-with-public-key --tpm2-pcrs= --tpm2-public-key=policy.pub --tpm2-public-key-pcrs=16 encrypt secret signed.cred
creds --tpm2-signature=now.json decrypt signed.cred back
same back secret

# A LUKS2 volume with three tokens: PCRs, PCRs and a PIN, a signed policy.
truncate -s 20M volume
echo -n passphrase >passphrase
cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 volume passphrase
enroll() { managed systemd-cryptenroll --unlock-key-file=passphrase --tpm2-device="$TCTI" --tpm2-pcrs=16 "$@" volume >>enroll.log; }
enroll
NEWPIN=4711 enroll --tpm2-with-pin=yes
enroll --tpm2-pcrs= --tpm2-public-key=policy.pub --tpm2-public-key-pcrs=16 --tpm2-signature=now.json
is "$(cryptsetup luksDump volume | grep -c systemd-tpm2$)" 3

# The token plug-in of systemd unlocks it, told of the TPM as systemd-cryptsetup tells it; no device mapper is needed to
# see whether the key is right. unlock TOKEN [PIN [SIGNATURE]] prints the key slot, or the number of the error.
cat >unlock.py <<'END'
from ctypes import *
from sys import argv

class Params(Structure):  # systemd_tpm2_plugin_params of cryptsetup-token-util
    _fields_ = [("search_pcr_mask", c_uint32), ("device", c_char_p), ("signature_path", c_char_p)]

device, token, pin, signature = (a.encode() for a in argv[1:])
lib, volume = CDLL("libcryptsetup.so.12"), c_void_p()
assert lib.crypt_init(byref(volume), b"volume") == 0 and lib.crypt_load(volume, b"LUKS2", None) == 0
print(lib.crypt_activate_by_token_pin(volume, None, None, int(token), pin or None, c_size_t(len(pin)),
    byref(Params(2**32 - 1, device, signature or None)), 0))
END
unlock() { managed python3 unlock.py "$TCTI" "$1" "${2-}" "${3-}" 2>>unlock.log; }
is "$(unlock 0)" 1
is "$(unlock 1 4711)" 2
is "$(unlock 1)" -55 # ENOANO: a PIN is wanted
is "$(unlock 1 4712)" -131 # ENOTRECOVERABLE: the TPM refuses
is "$(unlock 2 "" "$PWD/now.json")" 3

# After a reboot everything still opens; with another PCR 16 only what is signed for it does.
stop_engine
start_engine
is "$(unlock 0)" 1
tpm2_pcrextend "16:sha256=$(digest 00)"
is "$(unlock 0)" -2 # ENOENT: the policy does not match
is "$(unlock 1 4711)" -2
is "$(unlock 2 "" "$PWD/now.json")" -6 # ENXIO: nothing is signed for these PCRs
refuses "" creds decrypt pcrs.cred back
refuses "" creds --tpm2-signature=now.json decrypt signed.cred back
sign_policy later.json
is "$(unlock 2 "" "$PWD/later.json")" 3
creds --tpm2-signature=later.json decrypt signed.cred back
same back secret

echo "$checks checks"
