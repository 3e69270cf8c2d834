# The server itself: sockets, its end, and the names and command lines of the programs it stands in for.
. "${0%/*}/lib.sh"
random() { tpm2_getrandom --hex -T "$1" 8 | grep -qxE '[0-9a-f]{16}'; }
gone() { wait "$engine" && engine=''; } # it ended by itself, and well

# What other machines reach is refused, unless one says so.
refuses "--allow-remote" "$vtpmctl" engine serve --tpm "engine:$PWD/tpm" --mssim 0.0.0.0:0
refuses "nothing says how" "$vtpmctl" engine serve --tpm "engine:$PWD/tpm"

# A log line for each connection, a process id, and a second server that does not get the TPM
start_engine --pid-file pid
is "$(cat pid)" "$engine"
(: <"/dev/tcp/127.0.0.1/$port")
holds random "$TCTI"
is "$(sed -n '/: connection from/{s/127.*:[0-9]*/me/p;q}' serve.log)" "vtpmctl: $([ $protocol = swtpm ] && echo swtpm data || echo mssim command): connection from me"
refuses "process $engine holds the state" "$vtpmctl" engine serve --tpm "engine:$PWD/tpm" --mssim 127.0.0.1:0 --timeout 100ms
stop_engine

# On a unix socket, for its owner alone; a socket that a dead server left is taken over
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("control")'
start_engine --swtpm-unix control
is "$(stat -c %a control)" 600
is "$(swtpm_ioctl --unix control -e)" "tpmEstablished is 0"
swtpm_ioctl --unix control -s
gone

# --terminate: the end of swtpm's client is the end of the server.
if [ $protocol = swtpm ]; then
	start_engine --terminate
	exec 4<>"/dev/tcp/127.0.0.1/$port"
	unhex 8001 0000000c 0000017b 0008 >&4
	is "$(head -c 20 <&4 | xxd -p | cut -c1-24)" 800100000014000000000008
	exec 4>&-
	gone
fi

# Foreign names: the same program, other command lines
foreign() { # NAME ARGUMENT...
	ln -sf "$vtpmctl" "$1"
	"./$1" "${@:2}" 2>>serve.log &
	engine=$!
}
await() { for _ in $(seq 100); do "$@" 2>/dev/null && return 0 || sleep 0.05; done; } # that a command succeeds
port=$((20000 + RANDOM % 12000))
if [ "$protocol" = mssim ]; then
	foreign tpm_server -port $port
	await tpm2_startup -c -T "mssim:port=$port"
	holds random "mssim:port=$port"
	stop_engine
	foreign tpm2-simulator -m $port
	await eval ': <"/dev/tcp/127.0.0.1/$port"'
	refuses 100 tpm2_getrandom -T "mssim:port=$port" 8 # a new one, which nobody started
	stop_engine
else
	mkdir state
	foreign swtpm socket --tpm2 --server "type=tcp,port=$port" --ctrl "type=unixio,path=$PWD/ctrl" --tpmstate dir=state \
		--flags not-need-init,startup-clear --pid file=swtpm.pid --log level=1 --seccomp action=none -t
	await test -s swtpm.pid
	is "$(cat swtpm.pid)" "$engine"
	is "$(swtpm_ioctl --unix ctrl -e)" "tpmEstablished is 0"
	exec 4<>"/dev/tcp/127.0.0.1/$port"
	unhex 8001 0000000c 0000017b 0008 >&4
	is "$(head -c 20 <&4 | xxd -p | cut -c1-24)" 800100000014000000000008 # it was started
	exec 4>&-
	gone
fi

echo "$checks checks"
