#!/bin/bash
# kalixd as a process: directories, ports, configuration, its end, and what it does when nothing is
# asked of it.
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

# ---- The command line ----

expect 'help names every key' 0 '--max-pipeline N' "$kalixd" --help
expect 'version' 0 '^kalixd [0-9]+\.[0-9]+\.[0-9]+$' "$kalixd" --version
expect 'without a directory it says what to type' 2 'kalixd --data ' "$kalixd"
expect 'an unknown flag is answered with the near one' 2 \
	"unknown flag '--prot'.*did you mean '--port'" \
	"$kalixd" --data "$work/x" --prot 7470
expect 'a bad value names the flag and what is expected' 2 'port: expected a port' \
	"$kalixd" --data "$work/x" --port 99999
expect 'a flag without its value' 2 'has no value' "$kalixd" --data
expect 'a stray word' 2 "unexpected word 'serve'" "$kalixd" serve
expect 'wider than loopback needs a password or --insecure' 2 'insecure' \
	"$kalixd" --data "$work/x" --bind 0.0.0.0
expect 'none of these made a directory' 0 '^none$' bash -c "test -e '$work/x' || echo none"
expect 'an address that the machine does not have' 1 'does not have the address: see --bind' \
	"$kalixd" --data "$work/elsewhere" --bind 192.0.2.1 --insecure --port 0 --cluster-port 0
printf 'prot = 1\n' >"$work/bad.conf"
expect 'an unknown key of the file is answered with its line' 2 \
	"bad.conf:1: .*did you mean 'port'" \
	"$kalixd" --data "$work/x" --config "$work/bad.conf"
expect 'a file that is not there' 2 'none.conf: cannot be read' \
	"$kalixd" --data "$work/x" --config "$work/none.conf"

# ---- Directories ----

milliseconds() { echo $(($(date +%s%N) / 1000000)); }
before=$(milliseconds)
must_start --log-level info
echo "# start on an absent directory: $(($(milliseconds) - before)) ms until it was ready"
fact 'an absent directory becomes a cluster that answers' 'PONG' cli ping
fact 'the mode is dev on loopback without authentication' '.*kalixd .*mode dev.*' cat "$work/log"
fact 'it says what it is' 'kalix_version:[0-9.]+' bash -c "redis-cli -p $port info | tr -d '\r'"
expect 'a second server on the directory is refused' 1 'in use|another process|lock' \
	"$kalixd" --data "$data" --port 0 --cluster-port 0
expect 'a port in use is refused, with its number' 1 "$port" \
	"$kalixd" --data "$work/second" --port "$port" --cluster-port 0
fact 'and the first one serves on' 'PONG' cli ping

expect 'an app is deployed' 0 'every shard has it' "$admin" app deploy tests/kill9/ledger
for number in 1 2 3; do call "counter/c$number" add '{"n":5}' >/dev/null; done
fact 'it works' '\{"count":1,"sum":5\}' call counter/c2 get

# ---- Idle ----

# The end of the last checkpoint and of zeroing ahead comes first.
sleep 3
ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }
switches() {
	awk '/ctxt_switches/ { sum += $2 } END { print sum }' "/proc/$server"/task/*/status
}
ticks_before=$(ticks) switches_before=$(switches)
sleep 10
echo "# idle for 10 s: $(($(ticks) - ticks_before)) ticks of 10 ms of CPU," \
	"$(($(switches) - switches_before)) context switches of all threads"

# ---- The end ----

stop_server
fact 'SIGTERM ends it with 0' '0' echo "$status"
fact 'and says so' '.* info stopped .*' cat "$work/log"
: >"$work/log"
must_start
fact 'the next start replays nothing' '.*store_opened store=0 .*entries_replayed=0.*' cat \
	"$work/log"
fact 'of any store' '.*store_opened store=1 .*entries_replayed=0.*' cat "$work/log"
fact 'and everything is there' '\{"count":1,"sum":5\}' call counter/c3 get

# A client that has many calls under way gets every answer before the end.
pipelined() {
	local fd count=0 line
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	for _ in $(seq 500); do
		printf '*4\r\n$4\r\nCALL\r\n$10\r\ncounter/c1\r\n$3\r\nadd\r\n$7\r\n{"n":1}\r\n'
	done >&"$fd"
	kill "$server"
	while IFS= read -r -t 20 line <&"$fd"; do
		case $line in
		'$'*) ;;
		'{"count"'*) count=$((count + 1)) ;;
		-UNAVAILABLE*) ;;
		*) echo "unexpected: $line" ;;
		esac
	done
	exec {fd}>&-
	echo "$count" >"$work/answered"
}
fact 'a drain answers or refuses, and says nothing else' 'done' bash -c "$(declare -f pipelined); \
	server=$server port=$port work=$work; pipelined; echo done"
end_server
fact 'its status is 0 again' '0' echo "$status"
must_start
answered=$(cat "$work/answered")
fact "what was answered ($answered) is there, and no more" \
	"\\{\"count\":$((answered + 1)),\"sum\":$((answered + 5))\\}" call counter/c1 get
stop_server

# ---- Directories that are not ours ----

data=$work/empty
mkdir "$data"
must_start
fact 'an empty directory becomes a cluster' 'PONG' cli ping
stop_server
data=$work/foreign
mkdir "$data"
echo hello >"$data/letter.txt"
start_server || true
fact 'a directory of somebody else is refused' '1' echo "$status"
fact 'and nothing is written there' 'letter.txt' ls "$data"
if [ -n "$server" ]; then kill_server; fi
data=$work/letter
echo hello >"$data"
start_server || true
fact 'a file is no directory' '1' echo "$status"

# ---- Configuration ----

data=$work/configured
free_port() { # somebody may take it between; then the start fails and says so
	local candidate
	for _ in $(seq 100); do
		candidate=$((20000 + RANDOM % 20000))
		(exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || {
			echo "$candidate"
			return
		}
	done
}
printf 'cores = 1\nmax_connections = 77\nlog_level = error\nshards = 7\n' >"$work/kalix.conf"
: >"$work/log"
must_start --config "$work/kalix.conf" --log-level info
fact 'the file counts' '.*starting .* cores=1 .*' cat "$work/log"
fact 'a flag wins over the file' '.* info ready .*shards=7 .*' cat "$work/log"
stop_server
: >"$work/log"
must_start --config "$work/kalix.conf" --log-level info --shards 9
fact 'the number of shards is decided when a cluster is made' '.* info ready .*shards=7 .*' \
	cat "$work/log"
stop_server
want_port=$(free_port)
must_start --bind 0.0.0.0 --insecure
fact '--insecure listens wider' 'PONG' cli ping
fact 'in production mode' '.*mode production.*' cat "$work/log"
fact 'on the port that was asked for' "$want_port" echo "$port"
stop_server
want_port=0
printf 'secret\n' >"$work/password"
must_start --password-file "$work/password"
fact 'with a password nothing goes without' '.*NOAUTH.*' cli ping
fact 'a wrong one is told' '.*WRONGPASS.*' cli auth wrong
fact 'the right one serves' 'PONG' cli --no-auth-warning -a secret ping
expect 'kalix-admin without it ends with 4' 4 'UNAUTHENTICATED|NOAUTH' "$admin" app list
expect 'with a wrong one too, and does not print it' 4 'kalix-admin: UNAUTHENTICATED: invalid' \
	"$admin" --node "default:wrong@127.0.0.1:$port" app list
expect 'and with it with 0' 0 '' "$admin" --node "default:secret@127.0.0.1:$port" app list
stop_server

finish
