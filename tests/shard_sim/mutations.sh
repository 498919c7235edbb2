#!/bin/bash
# mutations.sh [--jobs N] [NAME...]: each deliberate fault of base/mutation_list.h whose name begins
# with shard_ or script_ has to be found by a simulator of server/shard, within the number of seeds
# that stands there: over the double, over production's groups, or with production's Lua, and those
# of script_ by that alone. Ends with "N passed, N failed".
#
# A seed finds a fault where it fails with it and passes without it.
set -euo pipefail
cd "$(dirname "$0")/../.."
jobs=$(nproc)
if [ "${1:-}" = --jobs ]; then
	jobs=$2
	shift 2
fi
./run tree test
flock build-test make -s -j"$jobs" -C build-test \
	tests/shard_sim/{shard_sim,shard_sim_double,node_sim}_mutants
output=$(mktemp)
trap 'rm -f "$output"' EXIT
. tests/runner/mutations.sh

# try PROGRAM NAME SEEDS_MAX: sets `seed` and `oracle`.
try() {
	local program=build-test/tests/shard_sim/$1_mutants
	if "$program" --mutation "$2" --seeds 1 "$3" --jobs "$jobs" --until-failure >"$output"; then
		return 1
	fi
	seed=$(sed -n 's/^seed \([0-9]*\) failed.*/\1/p' "$output" | sort -n | head -n 1)
	oracle=$(sed -n 's/.*VIOLATED: \([^:)]*\).*/\1/p' "$output" | head -n 1)
	"$program" --seeds "$seed" 1 --jobs 1 >/dev/null
}

# search NAME SEEDS_MAX: sets `by`.
search() {
	local program
	for program in shard_sim_double shard_sim node_sim; do
		if [[ $1 != script_* || $program = node_sim ]] && try "$program" "$1" "$2"; then
			by="$program, seed $seed of $2: $oracle"
			return 0
		fi
	done
	return 1
}

each_mutation build-test/tests/shard_sim/shard_sim_mutants 'shard|script' search "$@"
