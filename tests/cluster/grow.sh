#!/bin/bash
# A cluster grows from one node to three and to five while clients call, a node that is lost is
# replaced by itself when its time is over, and gets its share again when it is back; then it
# shrinks to the one node that it began with. What clients were told has to be a history of cells
# that take one operation at a time.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
make -s -C "$build" tests/cluster/history
history=$build/tests/cluster/history
cores=1 shards=24
start() { must_start "$1" --shards "$shards" --replace-after 10s; }
well() { admin 1 cluster status --wait 90 --nodes "$1"; }
# NODE: how many shards have a voter there, the directory aside.
voters_on() {
	admin 1 shard list | awk -v node="$1" \
		'$1 > 0 { for (i = 3; $i ~ /^[0-9]+$/; i++) n += $i == node } END { print n + 0 }'
}
voters_on_three() { echo "$(voters_on 1) $(voters_on 2) $(voters_on 3)"; }
has_none() { [ "$(voters_on "$1")" -eq 0 ]; }
has_some() { [ "$(voters_on "$1")" -gt 0 ]; }
takes_out() {
	local node=$1
	fact "node $node is drained" '^0 of [0-9]+ replicas left' \
		admin 1 node drain "$node" --wait 120 --yes
	fact "and removed" '^done: it is removed' admin 1 node remove "$node"
	# Clients go elsewhere, and nobody waits for what it has to tell.
	rm "$work/ready.$node"
	await_end "$node"
	fact 'and ends by itself' "this is node $node, which was removed" cat "$work/log.$node"
}

start 1
fact 'the app is deployed' 'every shard has it active' admin 1 app deploy tests/cluster/cell --yes
"$history" run "$work/history" 600 1 "$work"/ready.{1,2,3,4,5} 2>"$work/complaints" &
load=$!

# ---- 1, 3, 5 ----

start 2
start 3
fact 'three nodes survive one failure' '^well: survives 1 failure$' well 3
fact 'each shard has three voters' "^$shards $shards $shards\$" \
	voters_on_three
start 4
start 5
fact 'five nodes are well' '^well: survives 1 failure$' well 5
fact 'and get even shares' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 90

# ---- One is lost, and comes back ----

kill_node 5
fact 'what was on a node that is lost is made anew elsewhere, by itself' yes \
	eval 'wait_for 90 has_none 5 && echo yes'
fact 'nobody was told to' '^ *5 .* member  *no ' admin 1 node list
start 5
fact 'when it is back it gets its share again' yes eval 'wait_for 90 has_some 5 && echo yes'
fact 'and all are well' '^well: survives 1 failure$' well 5

# ---- 4, 3, 2, 1 ----

takes_out 5
fact 'four nodes are well' '^well: survives 1 failure$' well 4
kill_node 4
# Of four votes in the directory one that is idle would be one too many.
votes() {
	admin 1 shard list -o jsonl | sed -n 's/^{"shard":0,.*"voters":"\([0-9 ]*\)".*/\1/p' |
		tr ' ' '\n' | sort | xargs
}
three_vote() { [ "$(votes)" = '1 2 3' ]; }
survives_one() { grep -q '^survives 1 failure$' <(admin 1 cluster status); }
fact 'one of four that is taken for lost votes in the directory no more' yes \
	eval 'wait_for 90 three_vote && echo yes'
fact 'so that another one may be lost' yes eval 'wait_for 90 survives_one && echo yes'
start 4
fact 'when it is back all is well' '^well: survives 1 failure$' well 4
fact 'and it votes' '^1 2 3 4$' votes
takes_out 4
fact 'three are left, and well' '^well: survives 1 failure$' well 3
takes_out 3
takes_out 2
fact 'one is left, and well' '^well: survives 0 failures$' well 1
fact 'with all there is' "^$shards\$" voters_on 1

kill "$load"
await_process "$load" 150
result "$status" 'it tells in the end what there is'
head -n 5 "$work/complaints"
history_is_linear "$history"
no_complaints panic
finish
