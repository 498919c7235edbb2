#!/bin/bash
# kalixd as a process: README.md. Ends with the line "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
build=$PWD/build-test
flock "$build" make -s -C "$build" tests/unit/gate/kalixd_bare
kalixd=$build/kalixd admin=$build/bin/kalix-admin

work=$(mktemp -d "$build/server.XXXXXX")
. tests/runner/counts.sh
. tests/clients/server.sh
. tests/runner/damage.sh
client=
cleanup() {
	kill_server
	[ -z "$client" ] || kill "$client" 2>/dev/null || true
	! mountpoint -q "$work/full" || umount "$work/full"
	rm -rf "$work"
}
trap cleanup EXIT

# expect FACT STATUS PATTERN FLAG...: kalixd ends by itself with that status, saying that.
expect() {
	local fact=$1 status=$2 pattern=$3 got=0
	shift 3
	in_time 30 "$kalixd" "$@" >"$work/said" 2>&1 </dev/null || got=$?
	if [ "$got" -eq "$status" ] && grep -Eq -- "$pattern" "$work/said"; then
		result 0 "$fact"
	else
		head -n 5 "$work/said"
		result 1 "$fact (exit status $got)"
	fi
}
holds() {
	local fact=$1 status=0
	shift
	"$@" || status=1
	result "$status" "$fact"
}
ask() {
	in_time 20 redis-cli -h 127.0.0.1 -p "$port" "$@"
}
info() {
	ask INFO "$1" | tr -d '\r' | sed -n "s/^$2://p"
}

expect '--version' 0 '^kalixd [0-9.]+$' --version
expect '--help names every key' 0 '^ +--max-connections N ' --help
expect 'no directory is asked for' 2 'which directory' --port 0
expect 'an unknown flag gets a suggestion' 2 "did you mean '--cores'" --data x --core 1
expect 'wider than loopback is refused' 2 'authentication is off' --data x --bind 0.0.0.0
expect 'two ports are not the same' 2 'three different ones' --data x --peer-port 7470
expect 'where to join is an address' 2 'HOST:PORT' --data x --join h
expect 'a directory that is not ours' 1 'not a Kalix data directory|holds other files' \
	--data "$PWD/base" --port 0 --cluster-port 0
expect 'a directory whose parent is missing' 1 'no/such' --data "$work/no/such" --port 0
expect 'a ready file in no directory' 1 'ready_file: .*no/ready cannot be written' \
	--data "$work/unready" --port 0 --cluster-port 0 --ready-file "$work/no/ready"
mkdir "$work/ready-dir"
expect 'a ready file that is a directory' 1 'ready-dir is there, and is no ordinary file' \
	--data "$work/unready" --port 0 --cluster-port 0 --ready-file "$work/ready-dir"
printf 'prot = 1\n' >"$work/bad.conf"
expect 'a file with an unknown key' 2 "bad.conf:1: no such option 'prot', did you mean 'port'" \
	--config "$work/bad.conf" --data x

start_server data
result 0 'an empty directory is made and served'
holds 'PING' test "$(ask PING)" = PONG
holds 'the mode is printed' grep -q 'mode dev' "$work/data.out"
holds 'INFO tells of the stores, and of what was written' \
	test "$(info persistence stores_writable)-$(($(info persistence log_syncs) > 0))" = 2-1
cluster=$(info cluster cluster_id)
node=$(ask CLUSTER MYID)
expect 'a second server on the directory is refused' 1 'in use|another process' \
	--data "$work/data" --port 0 --cluster-port 0
expect 'a port in use is named, with the flag' 1 "port $port is in use.*--port" \
	--data "$work/other" --port "$port" --cluster-port 0
expect 'a cluster port in use is named, with the flag' 1 "in use.*--cluster-port" \
	--data "$work/other" --port 0 --cluster-port "$port"

# What each core's thread did in three seconds of nothing.
switches() {
	local sum=0 task
	for task in /proc/"$server"/task/*; do
		case $(cat "$task/comm") in core-*) ;; *) continue ;; esac
		sum=$((sum + $(sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "$task/status")))
	done
	echo "$sum"
}
# Five seconds after the last call there is a last checkpoint.
woken=1000
for _ in $(seq 10); do
	[ "$woken" -gt 6 ] || break
	before=$(switches)
	sleep 3
	woken=$(($(switches) - before))
	echo "idle: two cores woke $woken times in 3 s"
done
holds 'idle cores sleep: one wake-up a second at most' test "$woken" -le 6

status=0
stop_server || status=$?
result "$status" 'SIGTERM ends it with 0'
holds 'it says that it stopped' grep -q ' info stopped ' "$work/data.log"

start_server data --cores 1
holds 'the cluster is the same after a restart' test "$(info cluster cluster_id)" = "$cluster"
holds 'the node is the same after a restart' test "$(ask CLUSTER MYID)" = "$node"
holds 'one core serves the stores of two' test "$(info shards shards)" = 128

# A restart does not fail because the kernel has not yet taken the ports from the one before.
old=$server
"$kalixd" --data "$work/next" --port "$port" --cluster-port "$cluster_port" \
	>"$work/next.out" 2>"$work/next.log" &
server=$!
for _ in $(seq 100); do
	! grep -q port_in_use "$work/next.log" || break
	sleep 0.1
done
kill -9 "$old"
for _ in $(seq 300); do
	! grep -q ready "$work/next.out" || break
	sleep 0.1
done
holds 'a start waits for ports that are about to be free' grep -q ready "$work/next.out"
holds 'it says that it waits' grep -q " port_in_use port=$port waiting_ms=" "$work/next.log"
kill_server

# Frames with entries of the directory (shard 0), the newest first: "SEGMENT OFFSET".
directory_frames() { # DIR
	local number='\([0-9]*\)' frame place
	place="\"segment\":$number,\"offset\":$number"
	local entry='"place":"live","kind":"entry","shard":0,'
	"$admin" log dump "$1" --store 0 -o jsonl >"$work/frames"
	"$admin" log dump "$1" --store 0 --records -o jsonl |
		sed -n "s/.*\"frame\":$number,$entry.*/\1/p" | sort -nru |
		while read -r frame; do
			sed -n "s/.*$place,\"frame\":$frame,.*/\1 \2/p" "$work/frames"
		done
}

# Which of them are damage and not a torn end depends on how far the log had said that it is
# durable. Those of the first app are older than an answer.
start_server damaged --cores 2 --shards 4
for app in tests/cluster/cell tests/cluster/counter; do
	in_time 60 "$admin" --node "127.0.0.1:$port" app deploy "$app" --yes >/dev/null
done
kill_server
status=0
while read -r segment offset; do
	rm -rf "$work/hurt"
	cp -r "$work/damaged" "$work/hurt"
	flip_bit "$(log_file "$work/hurt" 0 "$segment")" $((offset + 100))
	status=0
	timeout 15 "$kalixd" --data "$work/hurt" --port 0 --cluster-port 0 --cores 2 \
		>"$work/said" 2>&1 || status=$?
	! grep -q directory_closed "$work/said" || break
done < <(directory_frames "$work/damaged" | tail -n +2)
holds 'a damaged directory is said' grep -q 'the directory (shard 0) is damaged' "$work/said"
holds 'a damaged directory ends the start, on every core' test "$status" -eq 1

# Calls that wait get their refusal before the connection ends: fake shards let them wait.
kalixd=$build/tests/unit/gate/kalixd_bare
start_server bare --cores 1
(printf 'PING\r\nCALL a/b wait\r\n' && sleep 20) | timeout 20 redis-cli -h 127.0.0.1 -p "$port" \
	>"$work/waited" 2>&1 &
client=$!
for _ in $(seq 300); do
	[ "$(info clients calls_under_way)" != 1 ] || break
	sleep 0.1
done
status=0
stop_server || status=$?
result "$status" 'SIGTERM ends it while a call waits'
kill "$client" 2>/dev/null || true
wait "$client" 2>/dev/null || true
client=
holds 'the call that waited was refused in so many words' grep -q '^UNAVAILABLE' "$work/waited"

# As soon as it has said that it starts: each in a file of its own, which is there before it, or
# the words of the one before would be taken for its own.
stopped=0
for delay in 0 0.1 0.2; do
	early=$work/early$delay
	: >"$early.log"
	"$build/kalixd" --data "$early" --port 0 --cluster-port 0 >>"$early.log" 2>&1 &
	server=$!
	for _ in $(seq 1500); do
		! grep -q ' info starting ' "$early.log" || break
		sleep 0.02
	done
	sleep "$delay"
	status=0
	stop_server || status=$?
	if [ "$status" -eq 0 ]; then
		stopped=$((stopped + 1))
	else
		printf '    ended with %s after %s s:\n' "$status" "$delay"
		cat "$early.log"
	fi
done
holds 'SIGTERM during the start ends it cleanly, too' test "$stopped" -eq 3

# A file system of its own, full to the last byte: needs the right to mount one.
if mkdir "$work/full" && mount -t tmpfs -o size=64m tmpfs "$work/full" 2>/dev/null; then
	start_server full/data
	stop_server || true
	dd if=/dev/zero of="$work/full/fill" bs=4K 2>/dev/null || true
	expect 'a start on a full disk says so' 1 'the disk is full: .* free space' \
		--data "$work/full/data" --port 0 --cluster-port 0
	umount "$work/full"
fi

printf 'secret words\n' >"$work/password"
start_server secret --password-file "$work/password" --cores 3
holds 'with a password nothing else works' test "$(ask PING)" = 'NOAUTH Authentication required.'
holds 'with a password it works' \
	test "$(ask --no-auth-warning -a 'secret words' PING)" = PONG
holds 'with a password the mode is production' grep -q 'mode production' "$work/secret.out"
kill -TERM "$server"
kill -TERM "$server" 2>/dev/null || true
await_process "$server"
server=
holds 'a second SIGTERM ends it, at once or in order' test "$status" -eq 143 -o "$status" -eq 0
finish
