#!/bin/bash
# The demonstration: orders are written through the real engine to a directory on disk, the writer
# is killed with SIGKILL again and again, and each time every acknowledged order must be there.
#
# usage: tests/demo/run.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5}
build=$PWD/build
flock "$build" make -s -C "$build" tests/demo/orders
orders=$build/tests/demo/orders
admin=$build/bin/kalix-admin

dir=$(mktemp -d "$build/demo.XXXXXX")
writer=
cleanup() {
	[ -z "$writer" ] || kill -9 "$writer" 2>/dev/null || true
	[ "${keep:-no}" = yes ] || rm -rf "$dir"
}
trap cleanup EXIT
say() { printf '\n== %s\n' "$*"; }

lines=$dir/acknowledged
: >"$lines"
say "Data directory: $dir/data"
for round in $(seq "$rounds"); do
	say "Round $round of $rounds: writing orders, then SIGKILL in the middle"
	"$orders" write "$dir/data" 60000 >>"$lines" &
	writer=$!
	before=$(wc -l <"$lines")
	sleep "0.$((RANDOM % 6 + 4))"
	kill -9 "$writer"
	wait "$writer" 2>/dev/null || true
	writer=
	# The line that was being written when the process died says nothing.
	if [ -n "$(tail -c 1 "$lines")" ]; then
		sed -i '$d' "$lines"
	fi
	echo "killed after $(($(wc -l <"$lines") - before)) acknowledged orders; opening it again:"
	"$orders" check "$dir/data" <"$lines"
done
say 'The log and the checkpoint, read by the administration tool'
"$admin" log verify "$dir/data"
"$admin" store verify "$dir/data"
if [ -t 0 ] && [ -t 1 ]; then
	keep=yes
	say 'What you can type next'
	echo "  $admin log dump --records $dir/data | less"
	echo "  $admin store dump $dir/data"
	echo "  rm -r $dir"
fi
