#!/bin/bash
# A cluster of three, then four nodes under the thread sanitizer, two cores and two stores each:
# links and calls that cross cores, messages between them, leaders that are killed, snapshots read
# and written in the offload pool, a node that leaves. What the sanitizer sees is a failure.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${KALIX_BUILD:-}" ]; then
	./run tree tsan
	export KALIX_BUILD=build-tsan
fi
# RocksDB is not built with the sanitizer, which then cannot see its locks.
export TSAN_OPTIONS=suppressions=$PWD/tests/clients/tsan.supp:second_deadlock_stack=1
. tests/cluster/lib.sh
counters=64
# add NODE TIMES: each counter so often, at one node, which sends on what others lead.
add() {
	awk -v times="$2" -v counters="$counters" 'BEGIN {
		for (i = 0; i < times * counters; i++) {
			to = "counter/n" i % counters + 1
			printf "*3\r\n$4\r\nCALL\r\n$%d\r\n%s\r\n$3\r\nadd\r\n", length(to), to
		}
	}' | timeout 120 redis-cli -h 127.0.0.1 -p "${port[$1]}" --pipe
}
well() { admin "$1" cluster status | grep -q '^well: survives 1 failure$'; }
no_races() {
	bad=0
	if grep -h -A 12 'WARNING: ThreadSanitizer' "$work"/log.* >"$work/races"; then bad=1; fi
	result "$bad" 'no thread touches what is another one'\''s'
	head -n 120 "$work/races"
}

must_start 1 --shards 16
fact 'the app is deployed' 'every shard has it active' \
	admin 1 app deploy tests/cluster/counter --yes
must_start 2
must_start 3
fact 'all shards get three voters' 'yes' eval 'wait_for 120 well 2 && echo yes'
for node in 1 2 3; do
	fact "what node $node is asked is done, wherever it is led" \
		"errors: 0, replies: $((20 * counters))\$" add "$node" 20
done
kill_node 3
fact 'without one node it goes on' 'yes' eval 'wait_for 60 add 1 1 && echo yes'
must_start 3
fact 'with it all is well again' 'yes' eval 'wait_for 120 well 1 && echo yes'
must_start 4
fact 'another one takes the place of one that leaves' '^0 of [1-9][0-9]* replicas left' \
	admin 1 node drain 2 --wait 180
fact 'by snapshots' '^[1-9]' info 4 snapshots_installed
fact 'while calls are served' "errors: 0, replies: $((5 * counters))\$" add 4 5
at_least() { [ "$(sum 4)" -ge $((65 * counters)) ] && echo all; }
fact 'nothing is lost' '^all$' at_least
for node in 1 2 3 4; do
	status=0
	stop_node "$node"
	result "$status" "node $node ends cleanly"
done
no_races
finish
