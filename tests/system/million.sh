#!/bin/bash
# Many entities of 200 bytes through a small cache; then a SIGKILL at full rate when a checkpoint is
# near, and a start. Prints rates, memory and how long the first reply took; asserts that everything
# that was acknowledged is there.
#
# usage: tests/system/million.sh [ENTITIES [REPLAY_LIMIT_MIB]]   (1000000, 128)
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh
entities=${1:-1000000} limit=${2:-128}
flock "$build" make -s -C "$build" tests/bench/resp_load
load=$build/tests/bench/resp_load

server_flags=(--cache 64MiB --replay-limit "${limit}MiB" --log-level warning)
must_start "${server_flags[@]}"
admin app deploy tests/system/apps/big >/dev/null
rss() { awk '/VmRSS|VmHWM/ { printf "%s %d MiB  ", $1, $2 / 1024 }' "/proc/$server/status"; }
milliseconds() { echo $(($(date +%s%N) / 1000000)); }

status=0
timeout 1800 "$load" "$port" --each --entities "$entities" --connections 50 --pipeline 16 \
	--seconds 1700 --function count --type item >"$work/filled" 2>&1 || status=$?
echo "# $entities entities, each made once: $(cat "$work/filled")"
echo "# $(rss)"
judge "every one of $entities commands is acknowledged" "$status"
timeout 60 "$load" "$port" --entities "$entities" --connections 50 --pipeline 1 --seconds 5 \
	--function n --type item >"$work/reads" 2>&1 || status=$?
echo "# random reads, most of them not in memory: $(cat "$work/reads")"

# The largest share of the log that a store has to replay if it is killed now, in MiB.
log_mib() { admin status -o json | grep -o '"log_bytes":[0-9]*' | cut -d: -f2 | sort -n | tail \
	-n 1 |
	awk '{ printf "%d", $1 / 1048576 }'; }
timeout 300 "$load" "$port" --entities "$entities" --connections 50 --pipeline 16 --seconds 240 \
	--function count --type item >"$work/killed" 2>&1 &
loader=$!
for _ in $(seq 2000); do
	if [ "$(log_mib)" -ge $((limit * 9 / 10)) ] || ! kill -0 "$loader" 2>/dev/null; then \
		break; fi
	sleep 0.05
done
echo "# killed with $(log_mib) MiB of log in a store; $(rss)"
kill_server
wait "$loader" 2>/dev/null || true

first_reply() { # the time from the start of the process to the first right answer
	local begun line fd deadline
	want_port=$port
	begun=$(milliseconds) deadline=$((SECONDS + 120))
	"$kalixd" --data "$data" --port "$port" --cluster-port 0 --ready-file "$work/ready2" \
		"${server_flags[@]}" --log-level info >"$work/log2" 2>&1 &
	server=$!
	while [ "$SECONDS" -lt "$deadline" ]; do
		if { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
			printf 'CALL item/7 n\r\n' >&"$fd"
			IFS= read -r -t 60 line <&"$fd" && IFS= read -r -t 60 line <&"$fd" || true
			exec {fd}>&-
			echo "# first reply after $(($(milliseconds) - begun)) ms: ${line%$'\r'}"
			grep store_opened "$work/log2" | sed 's/.*store=/# store=/'
			[ "${line%$'\r'}" -ge 1 ] 2>/dev/null
			return
		fi
		sleep 0.005
	done
	return 1
}
status=0
first_reply || status=$?
judge 'after a SIGKILL the first reply is right' "$status"

status=0
for number in $(seq 0 $((entities / 500 + 1)) $((entities - 1))); do
	printf 'CALL item/%s n\r\n' "$number"
done >"$work/requests"
timeout 60 redis-cli -p "$port" <"$work/requests" >"$work/replies" || status=$?
wanted=$(wc -l <"$work/requests")
[ "$(grep -cE '^"?[1-9][0-9]*"?$' "$work/replies")" -eq "$wanted" ] || status=1
judge "each of $wanted entities that were looked at is there" "$status"
stop_server
fact 'it ends well' '0' echo "$status"
finish
