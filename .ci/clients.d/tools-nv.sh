# tpm2-tools: NV indices of every kind, their locks, their audit trail and their end.
. "${0%/*}/lib.sh"
start_engine
index=0x1500000
define() { # ATTRIBUTES SIZE: the next index
	index=$(printf %#x $((index + 1)))
	tpm2_nvdefine -Q $index -C o -s "$2" -a "ownerread|ownerwrite|authread|authwrite${1:+|$1}"
}
number() { echo $((16#$(tpm2_nvread $index -C o | xxd -p -c 0))); }

# Ordinary data, larger than one command moves
define "" 2048
refuses 14A tpm2_nvread $index -C o # unwritten
head -c 2048 /dev/urandom >data
tpm2_nvwrite -Q $index -C o -i data
tpm2_nvread -Q $index -C o -o back
same back data
printf middle | tpm2_nvwrite -Q $index -C o -i - --offset 1000
is "$(tpm2_nvread $index -C o --offset 998 -s 10 | hex /dev/stdin)" "$(tail -c +999 data | head -c 2 | xxd -p)$(printf middle | xxd -p)$(tail -c +1007 data | head -c 2 | xxd -p)"
is "$(tpm2_nvreadpublic $index | sed -n 's/^ *size: //p')" 2048
name() { # of an index, computed from what is public: attributes, size
	tpm2_nvreadpublic $index | sed -n 's/^ *name: //p'
}
is "$(name)" "000b$(digest "0${index#0x}" 000b 20060006 0000 0800)"
refuses larger tpm2_nvwrite -Q $index -C o -i data --offset 1

# A counter goes up, and goes on above what any counter ever had.
define nt=counter 8
tpm2_nvincrement -Q $index -C o
first=$(number)
tpm2_nvincrement -Q $index -C o
is "$(number)" $((first + 1))
tpm2_nvundefine -Q $index -C o
index=0x1500010
define nt=counter 8
tpm2_nvincrement -Q $index -C o
is "$(($(number) > first + 1))" 1

# Bits are only ever set; an extended index is a PCR of its own.
define nt=bits 8
tpm2_nvsetbits -Q $index -C o -i 0x1001
tpm2_nvsetbits -Q $index -C o -i 0x10
is "$(number)" $((0x1011))
define nt=extend 32
printf one | tpm2_nvextend -Q $index -C o -i -
printf two | tpm2_nvextend -Q $index -C o -i -
is "$(tpm2_nvread $index -C o | hex /dev/stdin)" "$(digest "$(digest "$zeros" "$(printf one | xxd -p)")" "$(printf two | xxd -p)")"

# Locks last until the next start; a defined one for good.
define "read_stclear|write_stclear" 4
printf keep | tpm2_nvwrite -Q $index -C o -i -
tpm2_nvwritelock -Q $index -C o
printf more >more
refuses 148 tpm2_nvwrite -Q $index -C o -i more
tpm2_nvreadlock -Q $index -C o
refuses 148 tpm2_nvread $index -C o
boot
is "$(tpm2_nvread $index -C o)" keep
printf new! | tpm2_nvwrite -Q $index -C o -i -
define writedefine 4
printf keep | tpm2_nvwrite -Q $index -C o -i -
tpm2_nvwritelock -Q $index -C o
boot
refuses 148 tpm2_nvwrite -Q $index -C o -i more
define globallock 4
printf keep | tpm2_nvwrite -Q $index -C o -i -
tpm2_nvwritelock -Q -C o --global
refuses 148 tpm2_nvwrite -Q $index -C o -i more

# What is certified is what is read.
tpm2_createprimary -Q -C o -G ecc256:ecdsa-sha256:null -c ak.ctx -a "sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted"
tpm2_readpublic -Q -c ak.ctx -f pem -o ak.pem
tpm2_nvcertify -Q -C ak.ctx -c o -g sha256 -f plain -s ecdsa -o nv.sig --attestation nv.attest --size 4 $index
holds openssl dgst -sha256 -verify ak.pem -signature nv.sig nv.attest
is "$(tail -c 4 nv.attest)" keep

# An index that is gone is not there, and one with an auth value wants it.
tpm2_nvundefine -Q $index -C o
refuses 18B tpm2_nvread $index -C o
index=$(printf %#x $((index + 1)))
tpm2_nvdefine -Q $index -C o -s 4 -a "authread|authwrite" -p secret
printf auth | tpm2_nvwrite -Q $index -P secret -i -
is "$(tpm2_nvread $index -P secret)" auth
refuses 98E tpm2_nvread $index -P guess

# The certificate of an endorsement key lies at its index, as a manufacturer would have put it.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.pem -subj /CN=EK -days 1 -outform DER -out ek.der 2>openssl.log
tpm2_nvdefine -Q 0x1c00002 -C p -s "$(stat -c %s ek.der)" -a "platformcreate|ppread|ppwrite|authread|ownerread|no_da|writedefine"
tpm2_nvwrite -Q 0x1c00002 -C p -i ek.der
tpm2_getekcertificate -o got.der
same got.der ek.der

echo "$checks checks"
