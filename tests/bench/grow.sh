#!/bin/bash
# A fourth node joins a cluster of three under load, and takes its share of replicas: latencies of
# calls before, while shards move, and afterwards.
#
#   tests/bench/grow.sh [CALLS_PER_S] [SECONDS]
#
# Calls come at a fixed rate, whatever the servers do, on 50 connections to node 1, which forwards
# what others lead: `set` of tests/bench/cart/kv.lua, 200 bytes; each counts from when it was due.
# Windows of some seconds are printed, then the median of the windows' p99 in each phase and how
# the worst window of the move compares.
set -euo pipefail
cd "$(dirname "$0")/../.."
rate=${1:-5000} seconds=${2:-5} cores=${KALIX_CORES:-1}
programs=(tests/bench/resp_load)
. tests/bench/lib.sh
kalix_up
about_the_machine
window() { # PHASE
	local line
	line=$("$build/tests/bench/resp_load" "${port[1]}" --type kv --function set --value 200 \
		--entities 10000 --rate "$rate" --seconds "$seconds") || true
	echo "$1 $line" | tee -a "$work/windows"
}
p99_of() { grep "^$1 " "$work/windows" | field p99_us; }

window warm >/dev/null
for _ in 1 2 3; do window before; done
began=$SECONDS
must_start 4 --mode production
# All have their replicas where they are to be, and node 4 has its share: three quarters of them.
moved() {
	admin 1 cluster status >/dev/null || return 1
	[ "$(admin 1 node list | awk '$1 == 4 { print $5 }')" -ge 90 ]
}
for _ in $(seq 30); do
	window moving
	if moved; then break; fi
done
echo "moved $(admin 1 node list | awk '$1 == 4 { print $5 }') replicas in" \
	"$((SECONDS - began)) seconds, at $rate calls a second"
for _ in 1 2 3; do window after; done

normal=$(p99_of before | median) worst=$(p99_of moving | sort -n | tail -n 1)
echo
for phase in before moving after; do
	echo "$phase: p99 $(p99_of "$phase" | median) us (median of $(p99_of "$phase" | wc -l)" \
		"windows of $seconds s, worst $(p99_of "$phase" | sort -n | tail -n 1) us)"
done
awk -v n="$normal" -v w="$worst" -v m="$(p99_of moving | median)" 'BEGIN {
	printf "p99 while it moves / before: %.2f in the median, ", m / n
	printf "%.2f in the worst window   aim 3\n", w / n }'
echo "errors: $(field errors <"$work/windows" | awk '{ n += $1 } END { print n }')"
