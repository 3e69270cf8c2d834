# Common ground of the families: each sources this file first. The tier starts them in an empty folder of their own,
# with vtpmctl in $vtpmctl and the protocol to speak in $protocol. What they check, they check by other means: openssl,
# sha256sum, known values.
set -Eeuo pipefail
trap 'echo "${0##*/}: line $LINENO on $protocol: $BASH_COMMAND" >&2' ERR
trap 'stop_engine' EXIT
engine='' checks=0

# start_engine [FLAG...]: a server of the TPM in the folder tpm; TCTI becomes the way to it. What a tool leaves loaded
# stays loaded: there is no resource manager.
start_engine() {
	stop_engine
	rm -f ready
	mkfifo ready
	"$vtpmctl" engine serve --tpm "engine:$PWD/tpm" --swtpm 127.0.0.1:0 --mssim 127.0.0.1:0 --ready-fd 3 "$@" 3>ready 2>>serve.log &
	engine=$!
	local at
	read -r at <ready
	swtpm_ctrl=$(sed 's/.*"swtpm_ctrl":"\([^"]*\)".*/\1/' <<<"$at")
	port=$(sed "s/.*\"$protocol\":\"[^\"]*:\([0-9]*\)\".*/\1/" <<<"$at")
	export TCTI="$protocol:host=127.0.0.1,port=$port"
	export TPM2TOOLS_TCTI=$TCTI TPM2OPENSSL_TCTI=$TCTI
}

stop_engine() {
	[ -z "$engine" ] || { kill "$engine" && wait "$engine"; } || true
	engine=''
}

# boot: the power goes and comes back, and the firmware starts the TPM.
boot() { swtpm_ioctl --tcp "$swtpm_ctrl" -i && tpm2_startup -c; }

# is GOT WANTED, same FILE FILE: equality.
is() {
	checks=$((checks + 1))
	[ "$1" = "$2" ] || { echo "got    $1"; echo "wanted $2"; return 1; } >&2
}
same() {
	checks=$((checks + 1))
	cmp "$1" "$2"
}

# holds COMMAND...: another judge's yes. refuses TEXT COMMAND...: a no, for the reason TEXT.
holds() {
	checks=$((checks + 1))
	"$@" >judge.log 2>&1 || { cat judge.log; return 1; } >&2
}
refuses() {
	local why=$1
	shift
	checks=$((checks + 1))
	if "$@" >refusal.log 2>&1; then
		echo "not refused: $*" >&2
		return 1
	fi
	grep -qiF -- "$why" refusal.log || { cat refusal.log; return 1; } >&2
}

# hex FILE, unhex HEX...: there and back. digest HEX...: their SHA-256.
hex() { xxd -p -c 0 "$1"; }
unhex() { printf %s "$*" | xxd -r -p; }
digest() { unhex "$@" | sha256sum | cut -d' ' -f1; }
sha() { sha256sum "$1" | cut -d' ' -f1; }
zeros=$(printf %064d 0)
