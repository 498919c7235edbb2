#!/bin/bash
# Five nodes, of which three are gone for ever. One of the two that are left ended before a shard
# was moved from the other one, and has it as a member still: who has nothing of the shard any more
# says so, and is not waited for. The second time both were started anew meanwhile.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 counters=24

voters_of() { # SHARD: its voters' nodes
	admin "$asked" shard list | sed 's/^ *//' |
		awk -F '  +' -v shard="$1" '$1 == shard { print $3 }'
}
without_quorum() {
	admin "$asked" cluster status >"$work/status" || true
	grep -q 'kalix-admin cluster recover --unsafe --lost' "$work/status"
}
own_sums() {
	local node
	for node; do echo -n "$(own_sum "$node") "; done
}
has_left() { grep -q "replica_leaves group=$1 " "$work/log.$2"; }

five_lose_three() { # WHETHER BOTH BEGIN ANEW
	local node moved=1 keeps mover from to lost=()
	rm -rf "$work"/data.* "$work"/log.*
	pid=() port=() peer_port=() cluster_port=() asked=1
	for node in 1 2 3 4 5; do must_start "$node" --shards 1; done
	admin 1 app deploy tests/cluster/counter --yes >/dev/null
	fact 'five nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 90
	for node in $(seq "$counters"); do call 1 "counter/n$node" add >/dev/null; done
	fact 'what is acknowledged is counted' "^$counters\$" sum 1
	read -r keeps from mover <<<"$(voters_of "$moved")"
	soon 'all three that have it have all of it' "^$counters $counters $counters \$" \
		own_sums "$keeps" "$from" "$mover"
	for node in 1 2 3 4 5; do
		case $node in
		"$keeps" | "$from") ;;
		"$mover") lost+=("$node") ;;
		*) lost+=("$node") to=$node ;;
		esac
	done
	asked=$mover
	kill_node "$keeps"
	fact "shard $moved leaves node $from while node $keeps is gone" yes \
		eval "wait_for 60 admin $asked shard move $moved $from $to --wait 30 && echo yes"
	fact 'which has nothing of it any more' yes \
		eval "wait_for 60 has_left $moved $from && echo yes"
	for node in "${lost[@]}"; do kill_node "$node"; done
	if [ "$1" = yes ]; then
		kill_node "$from"
		launch_node "$from"
	fi
	launch_node "$keeps"
	asked=$from
	fact 'that there is no quorum is seen' yes \
		eval 'wait_for 60 without_quorum && echo yes'
	local gone
	gone=$(IFS=, && echo "${lost[*]}")
	admin "$from" cluster recover --unsafe --lost "$gone" --dry-run >"$work/plan" 2>&1 ||
		asked=$keeps
	admin "$asked" cluster recover --unsafe --lost "$gone" --yes >"$work/recovered" 2>&1 || true
	fact 'what is left goes on' '^done:' cat "$work/recovered"
	fact 'and says of what it was not there' \
		"given up as absent: of shard $moved what was on node $from\$" cat "$work/recovered"
	fact 'both serve' '^well: survives 0 failures' admin "$from" cluster status --wait 60
	fact 'all that was acknowledged' "^$counters\$" sum "$from"
	fact 'on either' "^$counters\$" sum "$keeps"
	for node in "$keeps" "$from"; do kill_node "$node"; done
}

five_lose_three no
five_lose_three yes
finish
