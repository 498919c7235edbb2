#!/bin/bash
# All three nodes end at the same time, right behind a change of the directory and seconds after two
# of them have joined, before any checkpoint, and those two never come back: what is left knows who
# they were, says what it has, and goes on at an operator's word.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
for i in 1 2 3; do must_start "$i" --shards 16; done
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'an app is there' 'every shard has it active' \
	admin 1 app deploy tests/cluster/counter --yes
for node in 1 2 3; do kill_node "$node"; done
launch_node 1
must_be_ready 1
recovers() { admin 1 cluster recover --unsafe --lost 2,3 "$@"; }
at_last() { wait_for 30 recovers "$@" && cat "$work/waited"; }
fact 'what is left says what it has' 'node 1 goes on alone, with its log up to' at_last --dry-run
fact 'and goes on' '^done:' at_last --yes
fact 'all is well, and survives nothing' '^well: survives 0 failures' \
	admin 1 cluster status --wait 30
finish
