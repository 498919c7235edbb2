#!/bin/bash
# seeds.sh [FIRST [COUNT]]: server/shard in the simulator, over so many seeds (1 to 100) with
# production's Lua, with handlers in C over production's groups of one member, and with those over
# the double that loses its leadership. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
first=${1:-1} count=${2:-100}
./run tree test
flock build-test make -s -C build-test tests/shard_sim/{shard_sim,shard_sim_double,node_sim}
passed=0 failed=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
for program in node_sim shard_sim shard_sim_double; do
	echo "== $program"
	build-test/tests/shard_sim/$program --seeds "$first" "$count" | tee "$output" || true
	read -r program_passed _ program_failed _ < <(tail -n 1 "$output")
	passed=$((passed + program_passed))
	failed=$((failed + program_failed))
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
