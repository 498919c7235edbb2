#!/bin/bash
# Three nodes of which two are gone for ever: what is left says so, refuses, is made to go on with
# what it has, and has all that it had acknowledged; those that come back are sent away; two new
# ones join, and every shard has three replicas again. Then the same of five nodes, of which two are
# left that have something each.
# Programs in quotes are for fact, which runs them later.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
app=tests/cluster/counter counters=60
for i in 1 2 3; do must_start "$i"; done
fact 'an app is there' 'every shard has it active' admin 1 app deploy "$app" --yes
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
for round in 1 2 3; do
	for i in $(seq "$counters"); do
		call $(((i + round) % 3 + 1)) "counter/n$i" add >/dev/null
	done
done
fact 'what is acknowledged is counted' "^$((3 * counters))\$" sum 1
fact 'nobody is given up who is there' 'FAILED_PRECONDITION.*node 2 is not gone' \
	admin 1 cluster recover --unsafe --lost 2,3 --yes
fact 'nothing is given up by accident' 'needs --unsafe' admin 1 cluster recover --lost 2,3 --yes

# It may be the one that was not waited for.
soon 'the one that will be left has all of it' "^$((3 * counters))\$" own_sum 1
kill_node 3
kill_node 2
without_quorum() {
	admin 1 cluster status >"$work/status" || true
	grep -q '129 shards.* have no quorum' "$work/status"
}
fact 'that there is no quorum is seen' yes eval 'wait_for 30 without_quorum && echo yes'
fact 'a loss of quorum is reported as that' \
	'129 shards.* have no quorum, for [0-9]+ s: 1 of these nodes has to come back: 2, 3$' \
	cat "$work/status"
fact 'who sees nobody says that it may be it that is gone' \
	'node 1, which says this, has no link with any other node: they may be gone, or it' \
	cat "$work/status"
fact 'and whom to ask' "^    kalix-admin --node 127.0.0.1:${port[2]} cluster status\$" \
	cat "$work/status"
fact 'and what is to be done if it was removed' 'node 1 as removed.* empty directory with --join' \
	cat "$work/status"
fact 'and if all others are lost' 'start them again.*"When a majority is gone"' cat "$work/status"
fact 'which names nothing that gives up' '^0$' eval 'grep -c "recover" "$work/status" || true'
fact 'the status is that of trouble' '^8$' eval 'admin 1 cluster status >/dev/null; echo $?'
fact 'the status of the node alone points there' \
	'^128 shards have no quorum, .*: see kalix-admin cluster status$' admin 1 status
fact 'and is that of trouble, too' '^8$' eval 'admin 1 status >/dev/null; echo $?'
fact 'node list answers without a directory' '^ *2 .* member +no ' admin 1 node list
fact 'shard list says what each lacks' '^ *5 .* no +no +0 +2 3' admin 1 shard list
fact 'a call says what is wrong' 'UNAVAILABLE.*(no quorum|leader).*2, 3' \
	call 1 counter/n1 add TIMEOUT 1500
refused() { # COMMAND...: its status, and what it says
	local code=0
	admin 1 "$@" >"$work/refused" 2>&1 || code=$?
	echo "exit $code"
	cat "$work/refused"
}
# Once it is so for a while nobody waits for it to be over.
lasts() {
	admin 1 cluster status >"$work/status" || true
	grep -qE 'no quorum, for ([6-9]|[0-9]{2,}) s' "$work/status"
}
wait_for 30 lasts
fact 'nobody is removed by force' '^exit 3$' refused node remove 3 --force --yes
fact 'which says what is the matter' \
	'^kalix-admin: the directory \(shard 0\) has no quorum, and without it nothing' \
	cat "$work/refused"
fact 'and which nodes are missing' '^129 shards.*: 1 of these nodes has to come back: 2, 3$' \
	cat "$work/refused"
fact 'and what to do' 'start them again: then nothing is lost' cat "$work/refused"
fact 'nor is a shard moved' 'start them again: then nothing is lost' refused shard leader 1 2
fact 'whom else the directory refuses is told where to look' \
	'UNAVAILABLE.*directory.*no quorum.*not those on nodes 2, 3.*kalix-admin cluster status' \
	redis-cli -p "${port[1]}" ADMIN NODE DRAIN 2
fact 'a plan alone does nothing' \
	'node 1 goes on alone, with its log up to [0-9]+, committed up to [0-9]+' \
	admin 1 cluster recover --unsafe --lost 2,3 --dry-run
fact 'which says what it must not be' 'node 1, which is asked, has no link with any other node' \
	admin 1 cluster recover --unsafe --lost 2,3 --dry-run
fact 'nor is it done unasked' 'Nothing was changed' \
	admin 1 cluster recover --unsafe --lost 2,3 </dev/null
fact 'one alone is not enough' '(node 3 has not said what it has)' \
	admin 1 cluster recover --unsafe --lost 2 --yes
# Of the directory alone, which is made to go on first. Its node dies right behind the answer.
fact 'that the directory goes on is said when it does' '"phase":"directory"' \
	redis-cli -p "${port[1]}" ADMIN CLUSTER RECOVER UNSAFE 2 3
kill_node 1
must_start 1
directory_goes_on() {
	admin 1 cluster status >"$work/status" || true
	grep -qE '^128 shards.* have no quorum' "$work/status"
}
fact 'and does so after a crash behind that, of itself' yes \
	eval 'wait_for 30 directory_goes_on && echo yes'
# The directory's own may have come seconds before the others'.
remembered() {
	admin 1 cluster status | sed -n 's/^20.*: unsafe recovery of \([0-9]*\) shards\?.*/\1/p' |
		awk '{ all += $1 } END { print all + 0 }'
}
fact 'with a record of it' '^1$' remembered
fact 'what is left goes on at an operator'"'"'s word' '^done:' \
	admin 1 cluster recover --unsafe --lost 2,3 --yes
admin 1 cluster status >"$work/after" || true
fact 'when it says so all is well, and survives nothing' '^well: survives 0 failures' \
	cat "$work/after"
count_left() { grep -cE 'moves left|waits? for' "$work/after" || true; }
fact 'and nothing is to be moved' '^0$' count_left
fact 'what was acknowledged is there' "^$((3 * counters))\$" sum 1
for i in $(seq "$counters"); do call 1 "counter/n$i" add >/dev/null; done
fact 'and goes on' "^$((4 * counters))\$" sum 1
fact 'the recovery is remembered' '^129$' remembered
fact 'with what each shard kept' '^ *5 +1 +1 .* [0-9]+ +[0-9]+$' admin 1 shard list
recoveries() { grep -c 'unsafe_recovery group=' "$work/log.1"; }
fact 'the log has it, shard by shard' '^129$' recoveries
fact 'twice is refused' 'FAILED_PRECONDITION' admin 1 cluster recover --unsafe --lost 2,3 --yes

# The lost ones were not lost. Together they are a majority of what was.
start_lost() {
	rm -f "$work/ready.$1"
	"$kalixd" --data "$work/data.$1" --port "${port[$1]}" --cluster-port "${cluster_port[$1]}" \
		--peer-port "${peer_port[$1]}" --cores 2 >>"$work/log.$1" 2>"$work/errors.$1" &
	pid[$1]=$!
}
start_lost 2
start_lost 3
ended() { ! kill -0 "$1" 2>/dev/null; }
for node in 2 3; do
	fact "node $node, which was given up, ends" 'yes' \
		eval "wait_for 60 ended ${pid[node]} && echo yes"
	fact 'and says what to do' 'was removed from its cluster.*empty one and --join' \
		cat "$work/errors.$node"
	status=0
	wait "${pid[node]}" || status=$?
	pid[node]=''
	fact 'as a failure' '^1$' echo "$status"
done
fact 'nothing of theirs is taken' "^$((4 * counters))\$" sum 1
kill_node 1
must_start 1
fact 'it is so after a crash, too' "^$((4 * counters))\$" sum 1
fact 'which is not recovered again' '^129$' recoveries

must_start 4
must_start 5
fact 'two new nodes make three of each' '^well: survives 1 failure$' \
	admin 4 cluster status --wait 90
fact 'and have all' "^$((4 * counters))\$" sum 5
kill_node 1
fact 'without the one that was left' "^$((4 * counters))\$" sum 4
for i in 4 5; do kill_node "$i"; done

# Five of which three are lost: what is left is on two, and each goes on with some of the shards.
# Three zones, so that each shard has one replica on node 1 or 2.
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=() cores=1 counters=30
zones=('' a a b b c b b c)
for i in 1 2 3 4 5; do must_start "$i" --shards 16 --zone "${zones[i]}"; done
admin 1 app deploy "$app" --yes >/dev/null
fact 'five nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 90
on_one_side() { # shards without exactly one voter on node 1 or 2
	admin 1 shard list | sed 's/^ *//' | awk -F '  +' '$1 ~ /^[1-9]/ {
		count = 0
		split($3, voters, " ")
		for (i in voters) if (voters[i] <= 2) count++
		if (count != 1) print
	}' | wc -l
}
all_on_one_side() { [ "$(on_one_side)" = 0 ] && admin 1 cluster status; }
fact 'and as even as zones allow' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60
fact 'every shard has one voter on two of them' yes \
	eval 'wait_for 60 all_on_one_side && echo yes'
for i in $(seq "$counters"); do call $((i % 5 + 1)) "counter/n$i" add >/dev/null; done
for i in 1 2; do soon "node $i has its part" "^$counters\$" own_sum "$i"; done
for i in 3 4 5; do kill_node "$i"; done
# A line for those that lack the same nodes.
two_without_quorum() {
	admin 2 cluster status >"$work/status" || true
	cat "$work/status"
	awk '/no quorum/ { all += $1 == "shard" ? 1 : $1 } END { exit all != 17 }' "$work/status"
}
fact 'no shard has a quorum at two of five' yes eval 'wait_for 30 two_without_quorum && echo yes'
fact 'what can be done is said' \
	'gone for ever: kalix-admin cluster recover --unsafe --lost 3,4,5$' cat "$work/status"
fact 'all that are gone have to be named' 'node 5 has not said what it has' \
	admin 1 cluster recover --unsafe --lost 3,4 --yes
# Of the directory both have all: whoever is asked, or the other one, as is said then.
asked=1
admin 1 cluster recover --unsafe --lost 3,4,5 --dry-run >"$work/plan" 2>&1 || asked=2
fact 'of two that are left each goes on with its shards' '^done:' \
	admin "$asked" cluster recover --unsafe --lost 3,4,5 --yes
fact 'both serve all that was acknowledged' '^well: survives 0 failures' \
	admin 1 cluster status --wait 60
for node in 1 2; do
	fact "as node $node sees it" "^$counters\$" sum "$node"
	own() { sed -n "s/.* shard_recovered group=\([0-9]*\) .*/\1/p" "$work/log.$node"; }
	fact "node $node went on with some" '^[1-9]' eval 'own | sort -u | wc -l'
done
# The directory's is said where it was asked for.
went_on() {
	cat "$work"/log.[12] | sed -n 's/.* shard_recovered group=\([0-9]*\) .*/\1/p' |
		sort | uniq -c | awk '{ all += $1 } END { print NR, all }'
}
fact 'each shard went on once' '^16 16$' went_on
for i in $(seq "$counters"); do call $((i % 2 + 1)) "counter/n$i" add >/dev/null; done
for i in 6 7 8; do must_start "$i" --zone "${zones[i]}"; done
fact 'three new ones make three of each' '^well: survives 1 failure$' \
	admin 6 cluster status --wait 90
kill_node 1
fact 'with all that there is, without the first' "^$((2 * counters))\$" sum 7
for node in "${!pid[@]}"; do [ -z "${pid[node]}" ] || kill_node "$node"; done

# Four, of which one is drained: the directory alone has a replica there, which does not vote. Who
# leads that stays, and leads no more when two are lost.
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=() counters=10
for i in 1 2 3 4; do must_start "$i" --shards 16; done
admin 1 app deploy "$app" --yes >/dev/null
fact 'four nodes are well' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 90 --nodes 4
fact 'one of them is drained' '^drained: ' admin 1 node drain 2 --wait 90
for i in $(seq "$counters"); do call 1 "counter/n$i" add >/dev/null; done
directory_is_led_by() { admin 1 shard leader 0 "$1" && admin 1 shard list | grep -qE "^ +0 +$1 "; }
fact 'the directory is led by a node that stays' yes \
	eval 'wait_for 30 directory_is_led_by 1 >"$work/led" 2>&1 && echo yes'
soon 'which has all that was acknowledged' "^$counters\$" own_sum 1
kill_node 3
kill_node 4
seventeen_without_quorum() {
	admin 1 cluster status >"$work/status" || true
	grep -q '^17 shards.* have no quorum' "$work/status"
}
fact 'none has a quorum' yes eval 'wait_for 30 seventeen_without_quorum && echo yes'
fact 'who follows the directory and does not vote says what it has, too' 'node 1 goes on alone' \
	admin 1 cluster recover --unsafe --lost 3,4 --dry-run
fact 'so that the others go on' '^done:' admin 1 cluster recover --unsafe --lost 3,4 --yes
fact 'with all that was acknowledged' "^$counters\$" sum 1
finish
