#!/bin/bash
# mutations.sh [--jobs N] [NAME...]: each deliberate fault of base/mutation_list.h that belongs to
# the storage engine has to be found by the simulator, within the number of seeds that stands there.
# tests/sim/mutations.txt says with which profiles. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
jobs=$(nproc)
if [ "${1:-}" = --jobs ]; then
	jobs=$2
	shift 2
fi
./run tree test
flock build-test make -s -j"$jobs" -C build-test tests/sim/engine_sim_mutants
program=build-test/tests/sim/engine_sim_mutants
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0

profiles_of() {
	awk -v name="$1" '$1 == name { print $2 }' tests/sim/mutations.txt
}

fail() {
	printf '%-44s %s\n' "$1" "$2"
	failed=$((failed + 1))
}

# Without a mutation nothing may be found in this build either.
if "$program" --seeds 1 5 --jobs "$jobs" >"$output"; then
	passed=$((passed + 1))
else
	cat "$output"
	fail none 'a seed fails without any mutation'
fi

while read -r name seeds_max description; do
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	profiles=$(profiles_of "$name")
	if [ -z "$profiles" ]; then
		# Those of other modules have other tests.
		[[ $name =~ ^(log|table|engine|cursor|store)_ ]] || continue
		fail "$name" 'has no line in tests/sim/mutations.txt'
		continue
	fi
	if "$program" --mutation "$name" --profiles "$profiles" --seeds 1 "$seeds_max" \
		--jobs "$jobs" --until-failure >"$output"; then
		hits=$(sed -n 's/^hits: //p' "$output")
		fail "$name" "NOT FOUND in $seeds_max seeds, $hits hits ($description)"
		continue
	fi
	seed=$(sed -n 's/^seed \([0-9]*\) .*failed.*/\1/p' "$output" | head -n 1)
	oracle=$(sed -n 's/.*VIOLATED: \([^:)]*\).*/\1/p' "$output" | head -n 1)
	printf '%-44s %s\n' "$name" "seed $seed of $seeds_max, $oracle ($description)"
	passed=$((passed + 1))
done < <("$program" --mutations)

# A line for a mutation that does not exist tests nothing.
while read -r name _; do
	case $name in '' | '#'*) continue ;; esac
	"$program" --mutations |
		awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' ||
		fail "$name" 'stands in tests/sim/mutations.txt, and is no mutation'
done <tests/sim/mutations.txt
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
