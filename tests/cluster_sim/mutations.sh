#!/bin/bash
# mutations.sh [NAME...]: each deliberate fault that mutations.txt names has to be found by whole
# nodes within the number of seeds that stands there. Ends with "N passed, N failed".
#
# A seed finds a fault where it fails with it and passes without it.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
program=build-test/tests/cluster_sim/cluster_sim_mutants
flock build-test make -s -C build-test tests/cluster_sim/cluster_sim_mutants
output=$(mktemp)
trap 'rm -f "$output"' EXIT
passed=0 failed=0
descriptions=$("$program" --mutations)

# try NAME SEEDS_MAX: sets `by`.
try() {
	local seed oracle
	if "$program" --mutation "$1" --seeds 1 "$2" --until-failure >"$output"; then
		return 1
	fi
	seed=$(sed -n 's/^seed \([0-9]*\) failed.*/\1/p' "$output" | sort -n | head -n 1)
	oracle=$(sed -n 's/.*VIOLATED: \([^:)]*\).*/\1/p' "$output" | head -n 1)
	[ -n "$seed" ] && "$program" --seeds "$seed" 1 --jobs 1 >/dev/null &&
		by="seed $seed of $2: $oracle"
}

while read -r name seeds_max; do
	case $name in '#'* | '') continue ;; esac
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	description=$(sed -n "s/^$name [0-9]* //p" <<<"$descriptions")
	if [ -n "$description" ] && try "$name" "$seeds_max"; then
		printf '%-40s %s (%s)\n' "$name" "$by" "$description"
		passed=$((passed + 1))
	else
		printf '%-40s NOT FOUND in %s seeds (%s)\n' "$name" "$seeds_max" "$description"
		failed=$((failed + 1))
	fi
done <tests/cluster_sim/mutations.txt
# Those that no other simulator looks for stand there, too.
while read -r name _; do
	case $name in cluster_* | disk_* | forward_* | group_* | snapshot_*) ;; *) continue ;; esac
	if ! grep -q "^$name " tests/cluster_sim/mutations.txt; then
		printf '%-40s is looked for by nobody\n' "$name"
		failed=$((failed + 1))
	fi
done <<<"$descriptions"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
