#!/bin/bash
# A node dies while replicas come to it: others move meanwhile, what was on its way there goes, or
# goes elsewhere, nothing is left of it, and when the node is back all of it comes again.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 shards=32 blobs=128 blob_bytes=32768
must_start 1 --shards "$shards"
fill_blobs "$blobs" "$blob_bytes" 'shards have something to move'

list() { admin 1 shard list -o jsonl | grep -v '"shard":0,'; }
voters() { # how many shards have exactly these
	list | grep -cE "\"voters\":\"$1\"" || true
}
learners() { list | grep -cE '"learners":"[^"]' || true; }
# How many are wanted on the node, without the directory's.
wanted() {
	admin 1 node list -o jsonl | sed -n "s/.*\"node\":$1,.*\"replicas\":\([0-9]*\).*/\1/p"
}
many_wanted() { [ "$(wanted "$1")" -ge 9 ]; }
all_have() { [ "$(voters "$1")" -eq "$shards" ]; }
stuck() {
	admin 1 cluster status >"$work/status" || true
	grep ' of them wait for ' "$work/status"
}
none_learns() { [ "$(learners)" -eq 0 ]; }

# Two join, one right behind the other so that they have these numbers, and the moves are slow
# enough to be met.
rate 64KiB 1
must_start 2 --snapshot-rate 64KiB
must_start 3 --snapshot-rate 64KiB
fact 'shards are on their way to a third node' yes eval 'wait_for 60 many_wanted 3 && echo yes'
sees_job() { admin 2 cluster status >"$work/status" || true; grep '^rebalance: ' "$work/status"; }
fact 'how far that is, and how fast, is seen by all' \
	'^rebalance: [0-9]+ of [0-9]+ moves left, [0-9.]+/s' \
	eval "wait_for 30 sees_job && cat '$work/waited'"
kill_node 3
rate 0 1 2
fact 'it dies: that some wait is said' '[1-8] of them wait for a node that is not reached' \
	eval "wait_for 25 stuck && cat '$work/status'"
fact 'all others move meanwhile' yes eval 'wait_for 60 all_have "1 2( 3)?" && echo yes'
fact 'in the end nothing is on its way there' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60
fact 'no group keeps a replica for it' yes eval 'wait_for 30 none_learns && echo yes'
# What had come there before, if anything, votes there still.
given_up() { [ "$(wanted 3)" -eq $((1 + $(voters '1 2 3'))) ]; }
fact 'nor does the map' yes eval 'wait_for 30 given_up && echo yes'

# It comes back, and dies for a moment only.
rate 64KiB 1 2
must_start 3 --snapshot-rate 64KiB
fact 'it is back: all of it comes again' yes eval 'wait_for 60 many_wanted 3 && echo yes'
kill_node 3
before=$(wanted 3)
must_start 3 --snapshot-rate 64KiB
fact 'it dies for a moment: it is waited for' yes eval "[ $(wanted 3) -ge $before ] && echo yes"
rate 0 1 2
fact 'in the end all is well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'with three replicas of each' yes eval 'wait_for 30 all_have "1 2 3" && echo yes'

# Where another node is, what cannot come goes there.
rate 64KiB 1 2 3
must_start 4 --snapshot-rate 64KiB
wanted_four() { [ "$(wanted 4)" -ge 6 ]; }
fact 'a fourth one gets its share' yes eval 'wait_for 60 wanted_four && echo yes'
kill_node 4
must_start 5 --snapshot-rate 0
rate 0 1 2 3
fact 'it dies: what was to go there goes to a fifth one' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60
fact 'and no group keeps a replica for it' yes eval 'wait_for 30 none_learns && echo yes'
# 96 replicas on four nodes, and some on the dead one.
soon 'which has its share' '^2[0-9]$' wanted 5
sum_blobs() {
	for i in $(seq "$blobs"); do call 5 "blob/b$i" get; done | grep -c "$blob_bytes"
}
fact 'and serves all there is' "^$blobs\$" sum_blobs
finish
