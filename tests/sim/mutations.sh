#!/bin/bash
# mutations.sh [--jobs N] [NAME...]: each deliberate fault of base/mutation_list.h that belongs to
# the storage engine has to be found, by the simulator within the number of seeds that stands there,
# or by a unit test. tests/sim/mutations.txt says by which. Ends with "N passed, N failed".
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
	tests/sim/engine_sim_mutants tests/unit/log/log_sim_test_mutants \
	tests/unit/storage/storage_test_mutants
program=build-test/tests/sim/engine_sim_mutants
declare -A unit=([unit]=build-test/tests/unit/log/log_sim_test_mutants
	[engine]=build-test/tests/unit/storage/storage_test_mutants)
table=tests/sim/mutations.txt
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0

found() {
	printf '%-40s %s\n' "$1" "$2"
	passed=$((passed + 1))
}

missed() {
	local name=$1
	shift
	printf '%-40s NOT FOUND: %s\n' "$name" "$*"
	failed=$((failed + 1))
}

# passes PROFILE SEED: without any fault.
passes() {
	"$program" --profiles "$1" --seeds "$2" 1 --jobs 1 >/dev/null
}

# fails NAME PROFILE FIRST COUNT: one of these seeds fails with the fault; sets `seed`. `output` is
# what was printed.
fails() {
	! "$program" --mutation "$1" --profiles "$2" --seeds "$3" "$4" --jobs "$jobs" \
		--until-failure >"$output" || return 1
	seed=$(sed -n 's/^seed \([0-9]*\) .*failed.*/\1/p' "$output" | sort -n | head -n 1)
	[ -n "$seed" ]
}

# in_simulator NAME SEEDS_MAX PROFILE KNOWN: the seed that is known to find it first, then all.
in_simulator() {
	local name=$1 seeds_max=$2 profile=$3 known=$4 first=1 seed oracle
	[ "$known" -le "$seeds_max" ] || {
		missed "$name" "seed $known of $table is beyond $seeds_max"
		return
	}
	if ! fails "$name" "$profile" "$known" 1 || ! passes "$profile" "$seed"; then
		while :; do
			fails "$name" "$profile" "$first" $((seeds_max - first + 1)) || {
				missed "$name" "$seeds_max seeds of profile $profile," \
					"$(sed -n 's/^hits: //p' "$output") hits"
				return
			}
			passes "$profile" "$seed" && break
			first=$((seed + 1))
			[ "$first" -le "$seeds_max" ] || {
				missed "$name" "$seeds_max seeds of profile $profile"
				return
			}
		done
	fi
	oracle=$(sed -n 's/.*VIOLATED: \([^:)]*\).*/\1/p' "$output" | head -n 1)
	found "$name" "profile $profile, seed $seed of $seeds_max: ${oracle:-it crashes}"
}

# in_unit_test NAME HOW SUITE: the suite passes without the fault, and one of its tests fails
# with it.
in_unit_test() {
	local name=$1 program=${unit[$2]} suite=$3
	if ! "$program" "$suite" >"$output" 2>&1; then
		missed "$name" "unit tests of $suite fail without any fault"
	elif KX_MUTATION=$name "$program" "$suite" >"$output" 2>&1; then
		missed "$name" "unit tests of $suite"
	else
		found "$name" "unit test: $(sed -n 's/^[^:]*:[0-9]*:[FE]:[^:]*:\([^:]*\):.*/\1/p' \
			"$output" | head -n 1)"
	fi
}

wanted=("$@")
is_wanted() {
	[ ${#wanted[@]} -eq 0 ] || [[ " ${wanted[*]} " == *" $1 "* ]]
}

while read -r name seeds_max description; do
	# Those of other modules have other tests.
	[[ $name =~ ^(checkpoint|cursor|engine|install|log|store|table)_ ]] || continue
	is_wanted "$name" || continue
	read -r how where known < <(awk -v name="$name" '$1 == name { print $2, $3, $4; exit }' \
		"$table") || true
	case ${how:-} in
	sim) in_simulator "$name" "$seeds_max" "$where" "$known" ;;
	unit | engine) in_unit_test "$name" "$how" "$where" ;;
	*) missed "$name" "no line in $table ($description)" ;;
	esac
done < <("$program" --mutations)

# A line for a mutation that does not exist tests nothing.
while read -r name _; do
	case $name in '' | '#'*) continue ;; esac
	"$program" --mutations |
		awk -v name="$name" '$1 == name { found = 1 } END { exit !found }' ||
		missed "$name" "stands in $table, and is no mutation"
done <"$table"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
