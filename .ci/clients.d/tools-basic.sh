# tpm2-tools: random numbers, digests, capabilities, self-tests, clock, start and end, and the tools that need no TPM.
. "${0%/*}/lib.sh"
start_engine
echo "a message" >message

# Random bytes, and what stirs them
tpm2_getrandom -o random 32
is "$(stat -c %s random)" 32
tpm2_stirrandom message
is "$(tpm2_getrandom --hex 32 | grep -cx '[0-9a-f]*')" 1
refuses "" same random <(tpm2_getrandom 32)

# Digests and HMACs, short and in a sequence of many commands
head -c 5000 /dev/urandom >long
for file in message long; do
	for alg in sha1 sha256 sha384 sha512; do
		tpm2_hash -g $alg -o digest "$file"
		is "$(hex digest)" "$(${alg}sum "$file" | cut -d' ' -f1)"
	done
done
tpm2_hash -g sm3_256 -o digest long
is "$(hex digest)" "$(openssl dgst -sm3 -r long | cut -d' ' -f1)"
tpm2_createprimary -Q -C o -c primary.ctx
echo -n "a secret HMAC key" >hmac.key
tpm2_import -Q -C primary.ctx -G hmac -i hmac.key -u hmac.pub -r hmac.priv
tpm2_load -Q -C primary.ctx -u hmac.pub -r hmac.priv -c hmac.ctx
for file in message long; do
	tpm2_hmac -c hmac.ctx -o hmac "$file"
	is "$(hex hmac)" "$(openssl dgst -sha256 -hmac "$(cat hmac.key)" -r "$file" | cut -d' ' -f1)"
done

# Capabilities: what the TPM lists works, and what it does not list it refuses.
is "$(tpm2_getcap properties-fixed | sed -n '/PT_FAMILY_INDICATOR/{n;s/.*: //p}' | sort -u)" 0x322E3000
for alg in rsa2048 ecc256 ecc384 aes128cfb aes256cfb hmac; do
	holds tpm2_testparms $alg
done
refuses "unsupported" tpm2_testparms camellia128cfb # not listed
for curve in ecc256 ecc384 ecc521; do
	tpm2_geteccparameters $curve -o parameters
	p=$(openssl ecparam -name "$(sed 's/ecc256/prime256v1/;s/ecc384/secp384r1/;s/ecc521/secp521r1/' <<<$curve)" -param_enc explicit -text -noout |
		sed -n '/^Prime:/,/^A:/p' | grep '^ ' | tr -d ' :\n' | sed 's/^00*//')
	is "$(hex parameters | grep -o "$p")" "$p"
done

# Raw commands: TPM2_GetRandom(4) answers ten bytes of header and a sized buffer.
unhex 8001 0000000c 0000017b 0004 >command
tpm2_send -o response command
is "$(hex response | cut -c1-24)" 800100000010000000000004

# Self-tests
tpm2_selftest --fulltest
is "$(tpm2_gettestresult | tr -d ' \n')" status:success
is "$(tpm2_incrementalselftest sha256 rsa | tr -d ' \n')" status:complete

# The clock runs, can be set forward and not back, and its rate is accepted.
clock() { tpm2_readclock | sed -n 's/^ *clock: //p'; }
tpm2_setclock $(($(clock) + 1000000000))
now=$(clock)
is "$((now >= 1000000000))" 1
refuses 1C4 tpm2_setclock 1
tpm2_clockrateadjust s
is "$(($(clock) >= now))" 1

# An orderly end: the power cycle after it is not counted as a crash.
tpm2_shutdown -c
swtpm_ioctl --tcp "$swtpm_ctrl" -i
refuses 100 tpm2_getrandom 4
tpm2_startup -c
is "$(tpm2_readclock | sed -n 's/^ *safe: //p')" yes

# What needs no TPM: error codes, structures, event logs
is "$(tpm2_rc_decode 0x9a2)" "tpm:session(1):authorization failure without DA implications"
tpm2_createprimary -Q -C o -G ecc256:ecdsa-sha256:null -c sign.ctx -a "sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted"
tpm2_quote -Q -c sign.ctx -l sha256:0 -m quote -s quote.sig -q 01020304
is "$(tpm2_print -t TPMS_ATTEST quote | sed -n 's/^extraData: //p')" 01020304
# A log with a header and one event of PCR 4; little-endian, as firmware writes it
unhex 00000000 03000000 $(printf %040d 0) 21000000 "$(printf 'Spec ID Event03\0' | xxd -p)" 00000000 00020002 01000000 0b002000 00 \
	04000000 0d000000 01000000 0b00 "$(printf loader | sha256sum | cut -d' ' -f1)" 06000000 "$(printf loader | xxd -p)" >log
is "$(tpm2_eventlog log | sed -n '/^pcrs:/,$s/^ *4 *: 0x//p')" "$(digest "$zeros" "$(printf loader | sha256sum | cut -d' ' -f1)")"

echo "$checks checks"
