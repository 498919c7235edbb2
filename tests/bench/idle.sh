#!/bin/bash
# What idle groups cost: three nodes with replicas of 3,000 shards each, and nobody calls. Prints
# processor time and memory of each node, with 3,000 shards and, for comparison, with 1.
#
#   tests/bench/idle.sh [SHARDS] [SECONDS]
#
# Before that the shards get their replicas, which takes minutes: eight move at a time.
set -euo pipefail
cd "$(dirname "$0")/../.."
shards=${1:-3000} seconds=${2:-20} cores=${KALIX_CORES:-1}
programs=()
. tests/bench/lib.sh
hz=$(getconf CLK_TCK)
memory_kib() { awk '/^(RssAnon|RssShmem):/ { n += $2 } END { print n }' "/proc/$1/status"; }

measure() { # SHARDS
	local node before=() line
	kalix_flags=(--shards "$1")
	for node in 1 2 3; do must_start "$node" --mode production "${kalix_flags[@]}"; done
	wait_for 1200 admin 1 cluster status
	sleep 15 # they fall asleep, and what was written on the way goes to the store
	for node in 1 2 3; do before[node]=$(processor_ticks "${pid[node]}"); done
	sleep "$seconds"
	for node in 1 2 3; do
		line=$(awk -v t="$(($(processor_ticks "${pid[node]}") - before[node]))" \
			-v hz="$hz" -v s="$seconds" 'BEGIN { printf "%.2f", 100 * t / hz / s }')
		echo "$1 shards, node $node: $line % of a core over $seconds s," \
			"$(($(memory_kib "${pid[node]}") / 1024)) MiB of memory"
	done
	kalix_down
}
about_the_machine
measure 1
measure "$shards"
echo "aim: less than 2 % of a core, and less than 100 MiB, for $shards groups"
