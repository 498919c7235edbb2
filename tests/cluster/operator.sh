#!/bin/bash
# What an operator types while a cluster changes: it is waited for before all of it is there; it
# goes on while another node begins to lead the directory; two nodes are removed by force that took
# the quorum of some shards with them, which is said, and mended.
# Programs in quotes are for fact, which runs them later.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 counters=40
must_start 1 --shards 16
fact 'a cluster is not well where nodes are missed' '^1 of 5 nodes is there$' \
	admin 1 cluster status --nodes 5
fact 'and the status is that of trouble' '^8$' \
	eval 'admin 1 cluster status --nodes 5 >/dev/null; echo $?'
fact 'without that it is' '^well: survives 0 failures' admin 1 cluster status
admin 1 cluster status --wait 90 --nodes 5 >"$work/waited_for" 2>&1 &
waiter=$!
for i in 2 3 4 5; do must_start "$i"; done
status=0
wait "$waiter" || status=$?
fact 'that others still join is waited for' '^0$' echo "$status"
fact 'until all shards have their replicas' '^well: survives 1 failure$' cat "$work/waited_for"
admin 1 app deploy tests/cluster/counter --yes >/dev/null
for i in $(seq "$counters"); do call $((i % 5 + 1)) "counter/n$i" add >/dev/null; done
fact 'replicas and leaders become even' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60

# ---- What is refused has no plan ----

no_plan() { # NODE: what a refused removal says
	! admin 1 node remove "$1" 2>&1 | grep -E 'it goes for good|^node ' && echo none
}
fact 'a refused removal is refused' 'FAILED_PRECONDITION.*drain it' admin 1 node remove 3
fact 'and has no plan' '^none$' no_plan 3
fact 'nor has a plan that would be refused' 'FAILED_PRECONDITION.*drain it' \
	admin 1 node remove 3 --dry-run
no_undo() {
	! admin 1 shard leader 5 "$1" --dry-run 2>&1 | grep 'is asked to let' && echo none
}
voters() { admin 1 shard list -o jsonl | sed -n 's/^{"shard":5,.*"voters":"\([0-9 ]*\)".*/\1/p'; }
without=$(comm -23 <(seq 5) <(voters | tr ' ' '\n' | sort) | head -n 1)
fact 'a wish that is refused has no plan' '^none$' no_undo "$without"
fact 'a plan that is not' 'undo: kalix-admin node undrain 3$' admin 2 node drain 3 --dry-run
fact 'changes nothing' '^ *3 .* member +yes' admin 2 node list

# ---- Another node begins to lead the directory ----

directory() { admin "$1" shard list | awk '$1 == 0 { print $2 }'; }
first=$(directory 1)
asked=$((first % 5 + 1)) drained=$(((first + 1) % 5 + 1))
kill_node "$first"
admin "$asked" node list -o jsonl >"$work/listed" 2>&1 &
lister=$!
admin "$asked" node drain "$drained" --wait 90 >"$work/drained" 2>&1 &
drainer=$!
tries() { grep 'trying again, for [0-9]* s at most: UN' "$work/drained"; }
fact 'a change that is not done yet is tried again, and that is said' yes \
	eval 'wait_for 20 tries && echo yes'
status=0
wait "$lister" || status=$?
fact 'node list answers' '^0$' echo "$status"
fact 'as the asked node knows it' "this is what node $asked knows" cat "$work/listed"
fact 'which stands in its rows' \
	"^\{\"node\":$drained,.*\"state\":\"member\".*\"known_by\":$asked\}\$" \
	cat "$work/listed"
must_start "$first"
status=0
wait "$drainer" || status=$?
fact 'the drain ends well' '^0$' echo "$status"
fact 'it was done once' '^1$' grep -c '^done: ' "$work/drained"
fact 'and went on to its end' '^0 of [0-9]+ replicas left' cat "$work/drained"
in_order() { sed -n '/^done: /,$p' "$work/drained" | grep -c 'replicas left'; }
all_after() { grep -c 'replicas left' "$work/drained"; }
fact 'its lines stand in a file as they were said' "^$(all_after)\$" in_order
admin "$asked" node undrain "$drained" >/dev/null
fact 'all is well again' '^well: survives 1 failure$' admin 1 cluster status --wait 60 --nodes 5
fact 'and even' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 60
fact 'node list of the directory is that' '^0$' eval 'admin 1 node list | grep -c known_by || true'

# ---- A wish that cannot be granted ----

dead=$(voters | tr ' ' '\n' | grep -vxE "$asked|$(directory "$asked")" | head -n 1)
# One that it leads: that is the last that is known of it for a while.
its=$(admin 1 shard list | awk -v node="$dead" '$1 > 0 && $2 == node { print $1; exit }')
kill_node "$dead"
is_gone() { admin "$asked" node list | grep -qE "^ *$dead .* member +no "; }
wait_for 30 is_gone
fact 'nobody is asked to let a node lead that is gone' \
	"FAILED_PRECONDITION: node $dead is not reached" \
	admin "$asked" shard leader "${its:-5}" "$dead"
must_start "$dead"
fact 'which comes back' '^well: survives 1 failure$' \
	admin "$asked" cluster status --wait 60 --nodes 5

# The node stands still, and is taken for one that could lead for a moment.
wishes() { cat "$work"/log.* | grep -c "shard_moves group=$wished step=.it is wished for" || true; }
read -r wished leads stands < <(admin 1 shard list -o jsonl |
	sed -n 's/^{"shard":\([1-9][0-9]*\),.*"leader":"\([1-5]\)",/\1 \2 /p' |
	sed -n 's/"voters":"\([0-9 ]*\)".*/\1/p' |
	awk -v no="$(directory 1)" '{ for (i = 3; i <= NF; i++)
			if ($i != $2 && $i != no && $i != 1) { print $1, $2, $i; exit } }')
echo "node $stands is to lead shard $wished instead of node $leads"
before=$(wishes)
kill -STOP "${pid[stands]}"
admin 1 shard leader "$wished" "$stands" >"$work/wished" 2>&1 || true
sleep 3
tried=$(($(wishes) - before))
kill -CONT "${pid[stands]}"
fact 'what could not be handed over is not tried again at once' '^[01]$' echo "$tried"
leader_of() { admin 1 shard list | awk -v shard="$1" '$1 == shard { print $2 }'; }
granted() { # the word that it got late may have made it lead, and the cluster may even that out
	admin 1 shard leader "$wished" "$stands" >"$work/wished" 2>&1 || true
	[ "$(wishes)" -gt $((before + tried)) ] ||
		[ "$(leader_of "$wished")" = "$stands" ]
}
fact 'but it is when it is wished for again' yes eval 'wait_for 60 granted && echo yes'
fact 'all is well after that' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60 --nodes 5
fact 'and even as before' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 60

# ---- Removed by force, and one too many ----

# The two that have most shards together, but for the one that is asked.
pair() {
	admin 1 shard list -o jsonl | sed -n 's/^{"shard":[1-9].*"voters":"\([0-9 ]*\)".*/\1/p' |
		awk '{ for (i = 1; i < NF; i++) for (k = i + 1; k <= NF; k++)
				if ($i > 1 && $k > 1)
					together[$i < $k ? $i " " $k : $k " " $i]++ }
			END { for (two in together) print together[two], two }' |
		sort -rn | head -n 1
}
sleep 1
read -r together a b < <(pair)
echo "nodes $a and $b have $together shards together"
kill_node "$a"
kill_node "$b"
# Of those shards, and no others, in lines that say so. A leader that was asleep may have begun to
# let go of one of the two, and have only the other one in its log.
quorumless() { # PATTERN
	admin 1 cluster status >"$work/status" 2>&1 || true
	cat "$work/status"
	awk -v pattern="$1" -v together="$together" '
		/no quorum/ { all += $1 == "shard" ? 1 : $1; bad += $0 !~ pattern }
		END { exit all != together || bad }' "$work/status"
}
fact 'who is gone is named' yes eval 'wait_for 30 quorumless "come back: $a, $b$" && echo yes'
fact 'what is deployed meanwhile is pending there' \
	"^done, but $together shards? ha(s|ve) not activated it yet" \
	admin 1 app deploy tests/cluster/blob --yes
cp "$work/told" "$work/deployed"
pending() {
	sed -n 's/^shards not activated: \(.*\); kalix-admin.*/\1/p' "$work/deployed" |
		tr -d ' ' | tr ',' '\n' | sort -n | uniq | wc -l
}
fact 'and those shards are listed' "^$together\$" pending
for node in "$a" "$b"; do
	fact 'a dead node is removed by force' '^done: it is removed' \
		eval 'wait_for 20 admin 1 node remove "$node" --force --yes && cat "$work/waited"'
done
all_removed() { quorumless 'because of (a node that was|nodes that were) removed: '; }
fact 'who was removed is named' yes eval 'wait_for 30 all_removed && echo yes'
fact 'with their shards' "no quorum, because of .* removed: ($a, )?$b\$" cat "$work/status"
fact 'and what helps' "goes on without it: kalix-admin cluster recover --unsafe --lost ($a,)?$b\$" \
	cat "$work/status"
fact 'a node is removed once' "^node $a is removed already\$" admin 1 node remove "$a"
fact 'which is no failure' '^0$' eval 'admin 1 node remove "$a" >/dev/null; echo $?'
fact 'as JSON' "^\{\"already\":true,\"node\":$a,\"shards\":\[\]\}\$" \
	admin 1 node remove "$a" -o json
plan() { admin 1 cluster recover --unsafe --lost "$a,$b" --dry-run; }
one_each() { # how many shards the plan has, in how many lines
	wait_for 30 plan && awk '/goes on alone/ { all += $1 == "shard" ? 1 : $1; lines++ }
		END { print all, lines <= 3 ? "short" : "long" }' "$work/waited"
}
fact 'the plan has a line for each node that goes on' "^$together short\$" one_each
fact 'all shards as JSON' "^$together\$" \
	eval 'admin 1 cluster recover --unsafe --lost "$a,$b" --dry-run -o json |
		grep -o "\"shard\":" | wc -l'
fact 'what is left goes on' '^done:' admin 1 cluster recover --unsafe --lost "$a,$b" --yes
fact 'and is well' '^well: survives 1 failure$' admin 1 cluster status --wait 90 --nodes 3
fact 'with all that there is' "^$counters\$" sum 1
has_all() { [ "$(admin 1 app list -o jsonl | grep -c '"pending":0')" = 2 ]; }
fact 'what was deployed becomes active everywhere by itself' yes \
	eval 'wait_for 90 has_all && echo yes'
finish
