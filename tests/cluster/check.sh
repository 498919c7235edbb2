#!/bin/bash
# A cluster of three kalixd on loopback: it grows to three replicas by itself, serves from every
# node, loses its leaders to SIGKILL while clients write, and has what was acknowledged.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
app=tests/cluster/counter counters=40

must_start 1
fact 'one node serves, and deploys' 'every shard has it active' admin 1 app deploy "$app" --yes
fact 'a command of one node' '^1$' call 1 counter/a add
fact 'a node alone is well, and survives nothing' '^well: survives 0 failures$' \
	admin 1 cluster status
must_start 2 --stores 1
fact 'a node may have one store, whatever the others have' '^000$' ls "$work/data.2/stores"
must_start 3
fact 'all shards get three voters' '^well: survives 1 failure$' admin 2 cluster status --wait 60
fact 'who leads only some of them is well' '^0$' eval 'admin 2 status >/dev/null; echo $?'
# Links that cross, and shards that have no leader yet, are how a cluster begins.
warnings() { cat "$work"/log.? | grep -cE ' warning (link_|activation_pending)'; }
fact 'and nobody warns of what is over at once' '^0$' warnings
fact 'what one node had, another one reads' '^1$' call 2 counter/a get
fact 'and changes' '^2$' call 3 counter/a add
fact 'a client of the cluster is told where to go' '^3$' \
	in_time 120 redis-cli -c -h 127.0.0.1 -p "${cluster_port[3]}" CALL counter/a add
for i in $(seq 40); do call $((i % 3 + 1)) "counter/n$i" add >/dev/null; done
fact 'forty counters through three nodes' '^40$' sum 2
kill_node 1
fact 'a node that is gone is named' '^node 1 has not been heard of' \
	admin 2 cluster status --wait 5
fact 'and all is not well' '^8$' eval 'admin 2 cluster status >/dev/null; echo $?'
fact 'without the first node all of them are there' '^40$' sum 2
for i in $(seq 40); do call $((i % 2 + 2)) "counter/n$i" add >/dev/null; done
fact 'and go on' '^80$' sum 3
must_start 1
fact 'the node that comes back reads them' '^80$' sum 1
fact 'all is well again' '^well: survives 1 failure$' admin 3 cluster status --wait 60
led_by() {
	admin 1 shard list | grep -qE "^ *5 +$1 "
}
# The cluster evens out who leads meanwhile: then it is asked again, as a person would.
asked_to_lead() {
	admin 3 shard leader 5 "$1" >"$work/wish" 2>&1 || true
	for _ in $(seq 10); do
		if led_by "$1"; then return 0; fi
		sleep 0.1
	done
	return 1
}
for node in 1 2 3 1 2; do
	fact "a shard is led by node $node where that is wished for" 'yes' \
		eval "wait_for 20 asked_to_lead $node && echo yes"
done
leads_already() {
	for _ in $(seq 20); do
		admin 3 shard leader 5 "$(admin 1 shard list | awk '$1 == 5 { print $2 }')" \
			>"$work/wish" 2>&1 || true
		if grep -A1 'leads it already$' "$work/wish"; then return 0; fi
		sleep 0.1
	done
	return 1
}
fact 'who leads already is told so' '^done: nothing is to be done$' leads_already
fact 'as was said' '^done: it leads in a moment|leads it' cat "$work/wish"
handed_over() { cat "$work"/log.? | grep -c 'group=5 step="it is wished for as leader"'; }
few_hand_overs() {
	local before
	before=$(handed_over)
	sleep 3
	[ "$(handed_over)" -le $((before + 2)) ] && echo few
}
fact 'and stays there: who led before it has no wish left' '^few$' few_hand_overs
fact 'no node has a shard twice' 'has a replica already on node .2' admin 3 shard move 5 1 2
fact 'a plan alone drains nothing' 'undo: kalix-admin node undrain 3' \
	admin 2 node drain 3 --dry-run
fact 'that fewer copies are left is said before' \
	'FEWER COPIES: shards will have 2 copies instead of 3 on the nodes that remain' \
	admin 2 node drain 3 --dry-run
fact 'in JSON, too' '"copies":3,"copies_then":2,' admin 2 node drain 3 --dry-run -o json
fact 'it is a member as before' '^ *3 .* member +yes +129 ' admin 2 node list
fact 'a node that has replicas is not removed' 'FAILED_PRECONDITION.*128 shards: drain it' \
	admin 2 node remove 3
fact 'a member is told that nothing changes' '^done: nothing was to be done$' \
	admin 3 node undrain 3
kill_node 2
kill_node 3
fact 'a node without a majority refuses' 'UNAVAILABLE|UNKNOWN_OUTCOME' \
	call 1 counter/a add TIMEOUT 1500
must_start 2
fact 'and goes on with one' '^80$' sum 1
# Node 1 does not know where node 3 is now, nor node 3 where node 1 is, and the directory is there.
kill_node 1
port[3]='' cluster_port[3]='' peer_port[3]=''
must_start 3
directory_at_3() {
	admin 2 shard leader 0 3 >"$work/wish" 2>&1 || true
	sleep 1
	admin 2 shard list | grep -qE '^ *0 +3 '
}
fact 'node 3, elsewhere, leads the directory' 'yes' \
	eval 'wait_for 40 directory_at_3 && echo yes'
port[1]='' cluster_port[1]='' peer_port[1]=''
must_start 1
fact 'two nodes that both moved find each other' '^well: survives 1 failure' \
	admin 2 cluster status --wait 60
fact 'and serve' '^80$' sum 1
stop_node 2
fact 'a node ends cleanly' '^0$' echo "$status"
finish
