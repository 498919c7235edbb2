#!/bin/bash
# Good calls beside handlers that do not end, on one core: four clients send each kind of runaway
# handler in a loop, and the latencies of eight others are printed. Prints, and judges nothing.
#
# usage: tests/bench/runaway.sh [SECONDS [KIND...]]   of each kind (default 3, all of them)
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
export KALIX_BUILD=${KALIX_BUILD:-build}
[ "$KALIX_BUILD" != build ] || ./run tree build
. tests/system/lib.sh
seconds=${1:-3}
[ $# -gt 0 ] && shift
kinds=("$@")
[ $# -gt 0 ] || kinds=(loop swallow grow_string double_string pattern grow_table recursion nest
	sort format concat grow_map garbage sort_plain sort_texts walk sorted json_encode
	json_decode update load utf8 quote digest base64 compare error)
flock "$build" make -s -C "$build" tests/bench/resp_load
load=$build/tests/bench/resp_load

measure() { # NAME: a line each for good queries, which wait for no disk, and good commands
	local function
	for function in get good; do
		printf '%-14s %-5s' "$1" "$function"
		timeout 60 "$load" "$port" --seconds "$seconds" --connections 8 --pipeline 1 \
			--rate 1000 --entities 1000 --function "$function" --type wild || true
	done
}
runaways() { # KIND: four clients, each with one call after the other
	timeout 60 "$load" "$port" --seconds "$((2 * seconds + 4))" --connections 4 --pipeline 1 \
		--entities 4 --function "$1" --type wild/runaway >"$work/runaways" 2>&1 || true
}
echo "open loop, 1000 calls a second from 8 connections, $seconds s each; latencies in us"
for kind in nothing "${kinds[@]}"; do
	rm -rf "$data"
	must_start --cores 1 --log-level error
	"$admin" app deploy tests/system/apps/all >/dev/null
	if [ "$kind" = nothing ]; then
		measure "$kind"
	else
		runaways "$kind" &
		running=$!
		sleep 1
		measure "$kind"
		wait "$running"
		figures=$(redis-cli -p "$port" INFO shards | tr -d '\r' | grep '^slice' |
			paste -sd ' ')
		printf '%-14s theirs, in us of the thread: %s\n' "$kind" "$figures"
	fi
	stop_server
done
