#!/bin/bash
# Shards that do much: three of them are led by one node of three, and come to be led by one each,
# while every node goes on leading as many as before; what they do is seen; and then they stay.
# Programs in quotes are for fact, which runs them later.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 shards=12
loads=()
end_loads() {
	local one
	for one in "${loads[@]}"; do kill "$one" 2>/dev/null || true; done
	for one in "${loads[@]}"; do wait "$one" 2>/dev/null || true; done
	loads=()
}
trap 'end_loads; cleanup' EXIT
must_start 1 --shards "$shards"
for i in 2 3; do must_start "$i"; done
fact 'the app is there' 'every shard has it active' admin 1 app deploy tests/cluster/counter --yes
fact 'all is well' '^well: survives 1 failure$' admin 1 cluster status --wait 90 --nodes 3
fact 'replicas and leaders are even' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 60

# ---- One entity in each of three shards that one node leads ----

rows() { admin 1 shard list -o jsonl | grep -v '^{"shard":0,'; }
leader_of() { rows | sed -n "s/^{\"shard\":$1,.*\"leader\":\"\([0-9]*\)\".*/\1/p"; }
load_of() { rows | sed -n "s/^{\"shard\":$1,.*\"load\":\([0-9]*\).*/\1/p"; }
busy=$(leader_of 1)
mapfile -t hot < <(rows |
	sed -n "s/^{\"shard\":\([0-9]*\),.*\"leader\":\"$busy\".*/\1/p" | head -n 3)
entity_of() { # SHARD
	local i slot
	for i in $(seq 0 1000); do
		slot=$(redis-cli -p "${cluster_port[1]}" CLUSTER KEYSLOT "counter/n$i")
		[ $((1 + slot * shards / 16384)) -ne "$1" ] || break
	done
	echo "counter/n$i"
}
echo "node $busy leads shards ${hot[*]}, which are to do much"
fact 'three of its shards' '^3$' echo "${#hot[@]}"
for shard in "${hot[@]}"; do
	entity=$(entity_of "$shard")
	# As much of each, whoever leads it: clients that rest longer than an answer takes.
	for client in 1 2 3 4 5 6; do
		redis-cli -p "${port[client % 3 + 1]}" -r 100000000 -i 0.005 \
			CALL "$entity" get >/dev/null &
		loads+=($!)
	done
done

# ---- They come to be led by different nodes ----

leaders() { for shard in "${hot[@]}"; do leader_of "$shard"; done; }
apart() { [ "$(leaders | sort -u | grep -c '^[1-3]$')" -eq 3 ]; }
fact 'they come to be led by one node each' yes eval 'wait_for 200 apart && echo yes'
moved() { cat "$work"/log.* | grep -c 'load_moves_leader group=' || true; }
fact 'which is said where it is decided' '^[1-9]' moved
fact 'no replica had to move for that' '^0$' \
	eval 'cat "$work"/log.* | grep -c load_moves_replica || true'
seen() { for shard in "${hot[@]}"; do [ "$(load_of "$shard")" -ge 50 ] || return; done; }
fact 'what they do is seen' yes eval 'wait_for 60 seen && echo yes'
of_node() { admin 1 node list -o jsonl | sed -n "s/^{\"node\":$1,.*\"load\":\([0-9]*\).*/\1/p"; }
soon 'of nodes too' '^[1-9]' of_node 1
counts() { rows | sed -n 's/.*"leader":"\([0-9]*\)".*/\1/p' | sort | uniq -c | awk '{ print $1 }'; }
even() { [ "$(counts | paste -sd,)" = 4,4,4 ]; }
fact 'each node leads as many as before' yes eval 'wait_for 60 even && echo yes'
fact 'and nothing is left to move' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 60
soon 'the plan has what nodes have to do' '^ *[1-3] +12 +4 +[1-9][0-9]+$' admin 1 cluster rebalance

# ---- And stay there ----

# Longer than a period, and than a rest after moves: whoever plans has looked again.
before=$(moved)
sleep 25
fact 'loads that stay as they are move nothing more' "^$before\$" moved
fact 'they are led as they were' yes eval 'apart && echo yes'
end_loads
fact 'all is well' '^well: survives 1 failure$' admin 1 cluster status --wait 60 --nodes 3
for i in 1 2 3; do stop_node "$i"; done
no_complaints 'link_malformed'
finish
