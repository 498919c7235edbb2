#!/bin/bash
# kill -9 under full load, over and over: each time every acknowledged order must be there and the
# books must add up. Four directories with five kills each, so that checkpoints, replays and
# recoveries of recoveries all happen.
#
# usage: tests/kill9/engine.sh [DIRECTORIES [KILLS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
directories=${1:-4} kills=${2:-5}
./run tree test
build=$PWD/build-test
flock "$build" make -s -C "$build" tests/kill9/orders
orders=$build/tests/kill9/orders

work=$(mktemp -d "$build/kill9.XXXXXX")
writer=
cleanup() {
	[ -z "$writer" ] || kill -9 "$writer" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

passed=0 failed=0
for directory in $(seq "$directories"); do
	data=$work/$directory lines=$work/lines
	: >"$lines"
	for kill in $(seq "$kills"); do
		"$orders" write "$data" 60000 >>"$lines" 2>"$work/log" &
		writer=$!
		sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
		kill -9 "$writer"
		wait "$writer" 2>/dev/null || true
		writer=
		# The line that was being written when the process died says nothing.
		if [ -n "$(tail -c 1 "$lines")" ]; then
			sed -i '$d' "$lines"
		fi
		if "$orders" check "$data" <"$lines" >"$work/checked" 2>>"$work/log"; then
			passed=$((passed + 1))
			echo "ok directory $directory, kill $kill: $(cat "$work/checked")"
		else
			failed=$((failed + 1))
			echo "not ok directory $directory, kill $kill"
			tail -n 20 "$work/log" "$work/checked"
		fi
	done
	rm -rf "$data"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
