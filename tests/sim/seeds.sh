#!/bin/bash
# seeds.sh [FIRST [COUNT]]: the storage engine in the simulator, over so many seeds (1 to 100) of
# all profiles. Without arguments the seeds of regressions.txt come first.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/sim/engine_sim
program=build-test/tests/sim/engine_sim
if [ $# -eq 0 ]; then
	output=$(mktemp)
	trap 'rm -f "$output"' EXIT
	passed=0 failed=0
	while read -r seed profile what; do
		if "$program" --seeds "$seed" 1 --profiles "$profile" >"$output" 2>&1; then
			passed=$((passed + 1))
		else
			cat "$output"
			printf 'again: %s\n' "$what"
			failed=$((failed + 1))
		fi
	done < <(grep -v '^#' tests/sim/regressions.txt)
	# The last line is the step's result, so this one comes before, and ends it where it is bad.
	printf '%d regressions passed, %d failed\n' "$passed" "$failed"
	if [ "$failed" -gt 0 ]; then
		printf '%d passed, %d failed\n' "$passed" "$failed"
		exit 1
	fi
fi
"$program" --seeds "${1:-1}" "${2:-100}"
