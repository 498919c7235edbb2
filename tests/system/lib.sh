# shellcheck shell=bash disable=SC2034
# What the scripts of tests/system share: a server on free ports, over a directory that goes at the
# end, and facts told one by one. To be sourced from the top of the tree. Nothing here measures time
# but to bound it; every wait ends.
#
#   start_server [FLAG...]   sets `server`, `port`, `cluster_port`; waits until it is ready
#   stop_server, kill_server SIGTERM (its status in `status`), SIGKILL
#   cli ..., call ADDRESS ...   redis-cli on it, and CALL
#   admin ...                kalix-admin, where no fact or expect bounds its wait
#   fact NAME PATTERN COMMAND...   passes if the output (both streams) matches the whole-line ERE
#   lacks NAME PATTERN COMMAND...  passes if no line of it does
#   expect NAME STATUS PATTERN COMMAND...   also the exit status
#   raw LINES BYTES          sends printf's BYTES on a new connection, prints so many lines back
set -euo pipefail
. tests/runner/counts.sh
. tests/runner/processes.sh
build=$PWD/${KALIX_BUILD:-build-test}
if [ -z "${KALIX_BUILD:-}" ]; then ./run tree test; fi
kalixd=$build/bin/kalixd admin=$build/bin/kalix-admin
work=$(mktemp -d "$build/system.XXXXXX")
server='' port='' cluster_port='' status=0 data=$work/data
cleanup() {
	if [ -n "$server" ]; then
		kill -9 "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT

ready_value() { sed -n "s/^$1=//p" "$work/ready"; }

# Also used for starts that must fail: `status` is then what it ended with, and `server` empty.
start_server() {
	rm -f "$work/ready"
	"$kalixd" --data "$data" --port "${want_port:-0}" --cluster-port 0 --ready-file \
		"$work/ready" "$@" \
		>>"$work/log" 2>&1 &
	server=$!
	if ready_or_ended "$server" "$work/ready"; then
		port=$(ready_value port) cluster_port=$(ready_value cluster_port)
		export KALIX_NODE=127.0.0.1:$port
		return 0
	fi
	status=0
	wait "$server" || status=$?
	server=''
	return 1
}

must_start() {
	start_server "$@" || {
		echo 'the server did not start:'
		tail -n 20 "$work/log"
		exit 1
	}
}

# Waits for its end, and helps after half a minute.
end_server() {
	await_process "$server"
	server=''
}

stop_server() {
	kill "$server"
	end_server
}

kill_server() {
	kill -9 "$server"
	wait "$server" 2>/dev/null || true
	server=''
}

cli() { in_time 30 redis-cli -p "$port" "$@"; }
admin() { in_time 60 "$admin" "$@"; }
call() { cli CALL "$@"; }

show() { head -n 12 "$work/out" | cut -c 1-300 | sed 's/^/    /'; }

# judge NAME GOOD(0 or not)
judge() {
	result "$2" "$1"
	if [ "$2" -ne 0 ]; then show; fi
}

expect() {
	local name=$1 wanted=$2 pattern=$3 got=0 bad=0
	shift 3
	in_time 60 "$@" >"$work/out" 2>&1 </dev/null || got=$?
	if [ "$got" -ne "$wanted" ]; then
		bad=1 name="$name (exit status $got)"
	fi
	if [ -n "$pattern" ] && ! grep -Eq -- "$pattern" "$work/out"; then bad=1; fi
	judge "$name" "$bad"
}

# Functions bound what they wait for themselves.
run_into_out() {
	local bound=()
	[ "$(type -t "$1")" != file ] || bound=(in_time 60)
	"${bound[@]}" "$@" >"$work/out" 2>&1 </dev/null || true
}

fact() {
	local name=$1 pattern=$2 bad=0
	shift 2
	run_into_out "$@"
	grep -Eqx -- "$pattern" "$work/out" || bad=1
	judge "$name" "$bad"
}

lacks() {
	local name=$1 pattern=$2 bad=0
	shift 2
	run_into_out "$@"
	if grep -Eq -- "$pattern" "$work/out"; then bad=1; fi
	judge "$name" "$bad"
}

raw() {
	local lines=$1 line fd
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	# shellcheck disable=SC2059 # the bytes are the format
	printf "$2" >&"$fd"
	while [ "$lines" -gt 0 ] && IFS= read -r -t 20 line <&"$fd"; do
		printf '%s\n' "${line%$'\r'}"
		lines=$((lines - 1))
	done
	if [ "$lines" -gt 0 ]; then echo 'CLOSED OR SILENT'; fi
	exec {fd}>&-
}
