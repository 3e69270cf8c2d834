# swtpm_ioctl of swtpm-tools on the control channel, every option but those of CUSE devices; the TPM behind it is
# watched with tpm2-tools.
. "${0%/*}/lib.sh"
start_engine
swtpm_port=$((${swtpm_ctrl##*:} - 1))
ioctl() { swtpm_ioctl --tcp "$swtpm_ctrl" "$@"; }
pcr() { tpm2_pcrread "sha256:$1" | sed -n 's/^ *[0-9]* *: 0x//p' | tr A-F a-f; }
events() { local pcr=$1 data; shift; for data; do pcr=$(digest "$pcr" "$(printf %s "$data" | sha256sum | cut -d' ' -f1)"); done; echo "$pcr"; }

# Capabilities: all that there are. No key of swtpm is in use.
is "$(ioctl -c)" "ptm capability is 0xffff"
is "$(ioctl -g)" "ptm configuration flags: 0x0"

is "$(ioctl --info 1 | grep -o '"family":"2.0"')" '"family":"2.0"'
is "$(ioctl --info 2 | grep -o '"manufacturer":"[^"]*"')" "\"manufacturer\":\"id:$(tpm2_getcap properties-fixed | sed -n '/MANUFACTURER/{n;s/.*0x//p}')\""
is "$(ioctl --info 0x10000000)" "{}"

# Power: the buffer can be set while it is off, and a command is refused.
refuses "" ioctl -b 4096
ioctl --stop
is "$(ioctl -b 4096 | tr '\n' ' ' | grep -o '[0-9]*' | tr '\n' ' ')" "4096 4096 4096 "
refuses "" tpm2_getrandom 4
is "$(ioctl -b 0 | tr '\n' ' ' | grep -o '[0-9]*' | tr '\n' ' ')" "4096 4096 4096 "
boot

# Locality: PCR 17 takes a digest at locality 3 and none at 0. The command goes in bare, for tcti-swtpm sets the locality.
extend_17() {
	exec 4<>"/dev/tcp/127.0.0.1/$swtpm_port"
	unhex 8002 00000041 00000182 00000011 00000009 40000009 0000 01 0000 00000001 000b "$(digest 17)" >&4
	head -c 10 <&4 | xxd -p | tail -c 9
	exec 4>&-
}
is "$(extend_17)" 00000907
ioctl -l 3
is "$(extend_17)" 00000000
ioctl -l 0
is "$(extend_17)" 00000907
is "$(pcr 17)" "$(digest "${zeros//0/f}" "$(digest 17)")"
refuses "" ioctl -l 5

# A measured start (H-CRTM and D-RTM): PCR 17 starts over with the data, and the bit tells of it.
is "$(ioctl -e)" "tpmEstablished is 0"
ioctl -h "hello world"
is "$(pcr 17)" "$(events "$zeros" "hello world")"
is "$(ioctl -e)" "tpmEstablished is 1"
head -c 100000 /dev/zero >data
ioctl -h - <data
is "$(pcr 17)" "$(digest "$zeros" "$(sha data)")"
refuses "" ioctl -r 0
ioctl -r 3
is "$(ioctl -e)" "tpmEstablished is 0"
ioctl -C # nothing runs that could be cancelled

# The state leaves and comes back: the PCRs with the volatile blob, NV with the permanent one.
tpm2_nvdefine 0x1500001 -s 8 -a "ownerread|ownerwrite" >/dev/null
echo -n before!! | tpm2_nvwrite 0x1500001 -C o -i -
tpm2_pcrextend "16:sha256=$(digest 16)"
kept=$(pcr 16)
ioctl -v
for blob in permanent volatile savestate; do ioctl --save $blob $blob; done
echo -n after!!! | tpm2_nvwrite 0x1500001 -C o -i -
tpm2_pcrextend "16:sha256=$(digest 17)"
refuses "" ioctl --load permanent permanent # it runs
ioctl --stop
ioctl --load permanent permanent
ioctl --load volatile volatile
ioctl -i
is "$(tpm2_nvread 0x1500001 -C o)" "before!!"
is "$(pcr 16)" "$kept"

# Without the volatile blob the TPM starts over.
ioctl --stop
ioctl --load permanent permanent
boot
is "$(tpm2_nvread 0x1500001 -C o)" "before!!"
is "$(pcr 16)" "$zeros"

# A shutdown ends the server, too.
ioctl -s
wait "$engine"
engine=''

echo "$checks checks"
