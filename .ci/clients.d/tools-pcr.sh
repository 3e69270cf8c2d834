# tpm2-tools: PCRs, quotes and policies over PCRs.
. "${0%/*}/lib.sh"
start_engine
pcr() { tpm2_pcrread "$1:$2" | sed -n 's/^ *[0-9]* *: 0x//p' | tr A-F a-f; }

# Extending, in two banks at once; an event, in all of them
d1=$(printf one | sha1sum | cut -d' ' -f1) d256=$(printf one | sha256sum | cut -d' ' -f1)
tpm2_pcrextend "10:sha1=$d1,sha256=$d256"
is "$(pcr sha256 10)" "$(digest "$zeros" "$d256")"
is "$(pcr sha1 10)" "$(unhex "$(printf %040d 0)" "$d1" | sha1sum | cut -d' ' -f1)"
is "$(pcr sha384 10)" "$(printf %096d 0)"
printf event >event
tpm2_pcrevent -Q 9 event
for alg in sha1 sha256 sha384 sha512; do
	sum=$(${alg}sum event | cut -d' ' -f1)
	is "$(pcr $alg 9)" "$(unhex "$(printf "%0${#sum}d" 0)" "$sum" | ${alg}sum | cut -d' ' -f1)"
done
head -c 3000 /dev/urandom >event # too long for one command: a sequence
tpm2_pcrevent -Q 8 event
is "$(pcr sha256 8)" "$(digest "$zeros" "$(sha event)")"

# Resetting: a debug PCR starts over, the firmware's do not.
tpm2_pcrextend "16:sha256=$d256"
tpm2_pcrreset 16
is "$(pcr sha256 16)" "$zeros"
refuses 907 tpm2_pcrreset 0

# A quote, judged by openssl and by tpm2_checkquote
tpm2_createprimary -Q -C e -G ecc256:ecdsa-sha256:null -c ak.ctx -a "sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted"
tpm2_readpublic -Q -c ak.ctx -f pem -o ak.pem
tpm2_quote -Q -c ak.ctx -l sha256:9,10 -q deadbeef -m quote -s quote.sig -f plain -o pcrs -g sha256
holds openssl dgst -sha256 -verify ak.pem -signature quote.sig quote
is "$(hex quote | grep -o deadbeef)" deadbeef
is "$(hex quote | tail -c 65)" "$(digest "$(pcr sha256 9)" "$(pcr sha256 10)")"
tpm2_checkquote -Q -u ak.pem -m quote -s quote.sig -f pcrs -q deadbeef -g sha256
refuses "" tpm2_checkquote -u ak.pem -m quote -s quote.sig -f pcrs -q deadbeee -g sha256

# Banks: what is allocated is there after the next boot, and nothing else.
tpm2_pcrallocate -Q sha1:none+sha256:all+sha384:0,1,2
is "$(tpm2_getcap pcrs | grep -c "sha1: \[ 0, 1")" 1
boot
is "$(tpm2_getcap pcrs | tr -d ' \n-')" "selectedpcrs:sha1:[]sha256:[$(seq -s, 0 23)]sha384:[0,1,2]sha512:[$(seq -s, 0 23)]"
is "$(pcr sha256 10)" "$zeros"
is "$(pcr sha1 10)" ""

echo "$checks checks"
