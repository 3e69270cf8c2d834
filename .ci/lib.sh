# Common ground of the tiers: each sources this file first. It moves to the root of the repository, makes a temporary
# folder and removes it at the end, and ends the processes that `background` started, by their ids.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CI=true GOFLAGS="${GOFLAGS:--buildvcs=false}"
tmp=$(mktemp -d)
started=()

clean_up() {
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true
	done
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# die MESSAGE: the tier fails.
die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

# background COMMAND...: starts it, to be ended by clean_up; $! is its id.
background() {
	"$@" &
	started+=($!)
}

# stop PID: ends a process of `background` early.
stop() { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null || true; }

# fresh_swtpm: starts a TPM in factory state at the unix socket $swtpm_socket; its process is $swtpm_pid.
fresh_swtpm() {
	swtpm_socket=$(mktemp -d "$tmp/swtpm.XXXX")/socket
	start_swtpm "type=unixio,path=$swtpm_socket"
	wait_for "$swtpm_socket"
}

# fresh_swtpm_tcp: the same at the TCP port $swtpm_port of the loopback interface.
fresh_swtpm_tcp() {
	for _ in $(seq 20); do
		swtpm_port=$((20000 + RANDOM % 12000))
		start_swtpm "type=tcp,port=$swtpm_port"
		for _ in $(seq 40); do
			kill -0 "$swtpm_pid" 2>/dev/null || continue 2 # the port is taken
			! (: <"/dev/tcp/127.0.0.1/$swtpm_port") 2>/dev/null || { sleep 0.1; return; }
			sleep 0.05
		done
	done
	die "swtpm does not start"
}

start_swtpm() {
	local state
	state=$(mktemp -d "$tmp/state.XXXX")
	background swtpm socket --tpm2 --tpmstate dir="$state" --log file="$state/log" --server "$1" --flags not-need-init,startup-clear
	swtpm_pid=$!
}

# wait_for FILE: until it exists.
wait_for() {
	for _ in $(seq 100); do
		[ ! -e "$1" ] || return 0
		sleep 0.05
	done
	die "$1 did not appear"
}

# strict COMMAND...: runs tests verbosely. A test that is skipped fails the tier, which installed all they need; so does
# a run without any test.
strict() {
	"$@" >"$tmp/tests" 2>&1 || { grep -vE '^(=== | *--- PASS)' "$tmp/tests"; die "failed: $*"; }
	! grep -B3 -E '^ *--- SKIP' "$tmp/tests" || die "skipped tests count as failures: $*"
	grep -qE '^ *--- PASS' "$tmp/tests" || { cat "$tmp/tests"; die "no test ran: $*"; }
	grep -cE '^ *--- PASS' "$tmp/tests" | sed 's/$/ tests passed/'
}

# tagged TAG: the packages with test files behind the build tag; and `tagged_tests TAG`, a -run pattern of their tests.
tagged_files() { git ls-files '*_test.go' | xargs grep -lE "^//go:build .*\b$1\b" || true; }
tagged() { tagged_files "$1" | xargs -r -n1 dirname | sort -u | sed 's|^|./|'; }
tagged_tests() {
	tagged_files "$1" | xargs -r grep -hoE '^func Test[A-Za-z0-9_]+' | sed 's/^func //' | sort -u | paste -sd'|' |
		sed 's/.*/^(&)$/'
}

# tpm_scripts: the command scripts that must pass on any TPM.
tpm_scripts() { (cd cmd/testdata/script && ls | sed -n 's/^\(tpm_.*\)\.txtar$/\1/p'); }
