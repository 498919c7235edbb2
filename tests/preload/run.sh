#!/bin/bash
# Power cuts with the real files: tests/preload/README.md.
#
# usage: tests/preload/run.sh [PERCENT [NAME]]
#
# PERCENT is how long it may take, 100 by default; from 200 on every point of a process is tried.
# NAME: only the cases of NAME.cases.
#
# It works in memory where there is room: what is durable is the library's to say, not the disk's,
# and thousands of small directories are made and removed several times as quickly there.
set -euo pipefail
cd "$(dirname "$0")/../.."
percent=${1:-100} wanted=${2:-}
./run tree test
build=$PWD/build-test
here=tests/preload
room_kib=262144
parent=$build
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ] &&
	[ "$(df -k --output=avail /dev/shm | tail -n 1)" -gt "$room_kib" ]; then
	parent=/dev/shm
fi
work=$(mktemp -d "$parent/powercut.XXXXXX")
trap 'rm -rf "$work"' EXIT
flock "$build" make -s -C "$build" $here/powercut.so $here/driver

. tests/runner/counts.sh
for cases in "$here"/*.cases; do
	name=$(basename "$cases" .cases)
	[ -z "$wanted" ] || [ "$name" = "$wanted" ] || continue
	flock "$build" make -s -C "$build" "$here/${name}_victim"
	status=0
	TMPDIR=$work "$build/$here/driver" "$cases" "$build/$here/${name}_victim" \
		"$build/$here/powercut.so" "$percent" >"$work/log" 2>&1 || status=$?
	cat "$work/log"
	closing_line "$status" "$work/log"
	[ -z "$why" ] || echo "$name: $why"
done
finish
