#!/bin/bash
# faults.sh on a machine that permits no network namespaces: it says so, skips what needs them, and
# the rest runs on loopback. Where it cannot be made so that they are refused, it is told to do
# without.
#
#   tests/cluster/loopback.sh NAME...   as for faults.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/runner/counts.sh
./run tree test
log=$(mktemp build-test/loopback.XXXXXX)
# Where it is stopped since it takes too long, too: how far it came.
trap 'cat "$log"; rm -f "$log"' EXIT
counted() { # COMMAND...
	local status=0
	"$@" >"$log" 2>&1 || status=$?
	cat "$log"
	closing_line "$status" "$log"
	[ -z "$why" ] || echo "$why"
}
refused='echo 0 >/proc/sys/user/max_net_namespaces'
if unshare --user --map-root-user --mount sh -c "$refused" 2>/dev/null; then
	counted env FAULTS_INSIDE=1 unshare --user --map-root-user --mount \
		sh -c "$refused"' && exec tests/cluster/faults.sh "$@"' sh "$@"
	status=0
	grep -q 'on loopback, without faults of the network: not permitted' "$log" || status=$?
	result "$status" 'it is said that network namespaces are not permitted'
else
	echo 'no namespace of users here, in which network namespaces are refused'
	counted env FAULTS_LOOPBACK=1 tests/cluster/faults.sh "$@"
fi
rm -f "$log"
trap - EXIT
finish
