#!/bin/bash
# mutations.sh [NAME...]: each deliberate fault of base/mutation_list.h whose name begins with raft_
# has to be found: by a script of tests/raft, or by a random world within the number of seeds that
# stands there. Ends with "N passed, N failed".
#
# A seed finds a fault where it fails with it and passes without it.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/raft_sim/raft_sim_mutants \
	tests/raft/raft_script_mutants
world=build-test/tests/raft_sim/raft_sim_mutants
script=build-test/tests/raft/raft_script_mutants
output=$(mktemp)
trap 'rm -f "$output"' EXIT
. tests/runner/mutations.sh

# in_world NAME SEEDS_MAX: sets `by`.
in_world() {
	if "$world" --mutation "$1" --seeds 1 "$2" --until-failure >"$output" 2>/dev/null; then
		return 1
	fi
	local seed why
	seed=$(sed -n 's/^seed \([0-9]*\) failed.*/\1/p' "$output")
	why=$(sed -n 's/.*VIOLATED: //p' "$output" | head -n 1)
	[ -n "$seed" ] && "$world" --seeds "$seed" 1 >/dev/null && by="seed $seed of $2: $why"
}

# in_scripts NAME: sets `by`.
in_scripts() {
	local file
	for file in tests/raft/*.txt; do
		if ! "$script" --mutation "$1" "$file" >/dev/null 2>&1; then
			by="script $(basename "$file" .txt)"
			return 0
		fi
	done
	return 1
}

search() {
	in_world "$1" "$2" || in_scripts "$1"
}
each_mutation "$world" raft search "$@"
