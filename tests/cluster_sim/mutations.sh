#!/bin/bash
# mutations.sh [--write] [NAME...]: each deliberate fault that mutations.txt names has to be found
# by whole nodes within the number of seeds that stands there, or by a unit test of groups, shards
# or calls between nodes. Ends with "N passed, N failed".
#
# A seed finds a fault where it fails with it and passes without it. --write: the seeds that did
# take the place of those in mutations.txt that are known to.
#
# Without names also: seeds have the same courses here as in the program without mutations.
set -euo pipefail
cd "$(dirname "$0")/../.."
write=false
if [ "${1:-}" = --write ]; then
	write=true
	shift
fi
./run tree test
table=tests/cluster_sim/mutations.txt
program=build-test/tests/cluster_sim/cluster_sim_mutants
flock build-test make -s -C build-test tests/cluster_sim/cluster_sim \
	tests/cluster_sim/cluster_sim_mutants \
	tests/unit/{forward/forward,group/group,shard/shard}_test_mutants
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0
descriptions=$("$program" --mutations)

# passes SEED: without any fault.
declare -A passed_seeds=()
passes() {
	[ -z "${passed_seeds[$1]:-}" ] || return 0
	"$program" --seeds "$1" 1 --jobs 1 >/dev/null || return
	passed_seeds[$1]=yes
}

# fails NAME FIRST COUNT: one of these seeds does with the fault; sets `seed` and `oracle`.
fails() {
	! "$program" --mutation "$1" --seeds "$2" "$3" --until-failure >"$output" || return
	seed=$(sed -n 's/^seed \([0-9]*\) failed.*/\1/p' "$output" | sort -n | head -n 1)
	oracle=$(sed -n 's/.*VIOLATED: \([^:)]*\).*/\1/p' "$output" | head -n 1)
	[ -n "$seed" ]
}

# try NAME SEEDS_MAX [KNOWN]: the seed that is known to find it first, then all; sets `by`.
try() {
	local name=$1 seeds_max=$2 known=${3:-1} seed oracle
	if [ "$known" -gt "$seeds_max" ] || ! fails "$name" "$known" 1 || ! passes "$seed"; then
		fails "$name" 1 "$seeds_max" && passes "$seed" || return
	fi
	by="seed $seed of $seeds_max: $oracle"
	known=$seed
	[ "$known" -ne 1 ] || known=
	! $write || sed -i -E "s/^($name $seeds_max)( .*)?\$/\1${known:+ $known}/" "$table"
}

# in_unit_test NAME TEST: it passes without the fault, and fails with it; sets `by`.
in_unit_test() {
	local module unit
	module=$(grep -l "^START_TEST($2)" tests/unit/{forward,group,shard}/*_test.c) || return
	module=$(basename "$(dirname "$module")")
	unit=build-test/tests/unit/$module/${module}_test_mutants
	"$unit" "$2" >"$output" 2>&1 || return
	! KX_MUTATION=$1 "$unit" "$2" >"$output" 2>&1 || return
	grep -q "^[^:]*:[0-9]*:[FE]:[^:]*:$2:" "$output" || return
	by="unit test: $2"
}

# where SEEDS_MAX [KNOWN], or unit TEST
where() {
	case $1 in
	unit) echo "unit test $2" ;;
	*) echo "$1 seeds" ;;
	esac
}

# search NAME SEEDS_MAX [KNOWN], or NAME unit TEST
search() {
	case $2 in
	unit) in_unit_test "$1" "$3" ;;
	*) try "$@" ;;
	esac
}

# hashes PROGRAM: of seeds whose courses were once others in each build.
hashes() {
	"$1" --seeds 11 8 --hashes | sed -n 's/^seed \([0-9]*\) trace /\1 /p' | sort -n
}

# A fault is found by a seed that fails with it: but not if other code alone gave another course.
same_courses() {
	local here there
	here=$(hashes "$program") && there=$(hashes "${program%_mutants}") || return
	[ -n "$here" ] && [ "$here" = "$there" ]
}

if [ $# -eq 0 ]; then
	if same_courses; then
		echo "seeds have the same courses in both builds"
		passed=$((passed + 1))
	else
		echo "seeds have OTHER COURSES in another build"
		failed=$((failed + 1))
	fi
fi

while read -r name seeds_max known; do
	case $name in '#'* | '') continue ;; esac
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	description=$(sed -n "s/^$name [0-9]* //p" <<<"$descriptions")
	if [ -n "$description" ] && search "$name" "$seeds_max" "$known"; then
		printf '%-40s %s (%s)\n' "$name" "$by" "$description"
		passed=$((passed + 1))
	else
		printf '%-40s NOT FOUND by %s (%s)\n' \
			"$name" "$(where "$seeds_max" "$known")" "$description"
		failed=$((failed + 1))
	fi
done <<<"$(cat "$table")"
# Those that no other simulator looks for stand there, too.
while read -r name _; do
	case $name in
	raft_* | script_* | shard_*) continue ;;
	checkpoint_* | cursor_* | engine_* | install_* | log_* | store_* | table_*) continue ;;
	esac
	if ! grep -q "^$name " "$table"; then
		printf '%-40s is looked for by nobody\n' "$name"
		failed=$((failed + 1))
	fi
done <<<"$descriptions"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
