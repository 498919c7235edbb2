#!/bin/bash
# 20 rounds of SIGKILL under pipelined load, then one SIGTERM. tests/kill9/run.sh [ROUNDS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
build=$PWD/build-test
flock "$build" make -s -C "$build" tests/kill9/kill9
work=$(mktemp -d "$build/kill9.XXXXXX")
trap 'rm -rf "$work"' EXIT
seed=${2:-$RANDOM}
echo "seed $seed"
status=0
timeout 600 "$build/tests/kill9/kill9" "$build/bin/kalixd" "$build/bin/kalix-admin" \
	tests/kill9/ledger "$work/data" "${1:-20}" "$seed" >"$work/out" 2>&1 || status=$?
# The closing line stays the last one.
if [ "$status" -ne 0 ]; then
	echo "the server's log, its end:"
	tail -n 20 "$work/data.log"
fi
cat "$work/out"
exit "$status"
