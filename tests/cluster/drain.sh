#!/bin/bash
# Four nodes: what is uneven, and what a drain and a move have left to do, is seen and waited for.
# Then one is drained while it is killed and started again: in the end it has nothing of any shard
# but the directory, on its disk neither, and the others have all.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 counters=60
for i in 1 2 3 4; do must_start "$i"; done
admin 1 app deploy tests/cluster/counter --yes >/dev/null
for i in $(seq "$counters"); do call 1 "counter/n$i" add >/dev/null; done
fact 'four nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'replicas and leaders become even, and that is seen' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60
soon 'there is nothing more to move' '^0 replicas and 0 leaderships are to move' \
	admin 2 cluster rebalance --dry-run
fact 'which replicas are counted is said' '^  without shard 0, the directory: ' \
	admin 2 cluster rebalance --dry-run
soon 'how they became so is remembered' '^rebalance: done, [1-9][0-9]* moves in [0-9]+ s, ' \
	admin 2 cluster rebalance --dry-run
fact 'a drain says how far it is' '^[1-9][0-9]* of 9[0-9] replicas left' \
	admin 1 node drain 3 --wait 60
cp "$work/told" "$work/drained"
fact 'and when it is over' '^0 of 9[0-9] replicas left' cat "$work/drained"
soon 'that it is over is seen by others' '^drain of node 3: done, 9[0-9] replicas in [0-9]+ s, ' \
	admin 2 cluster status
soon 'as JSON, too' '"job":"drain","left":0,"ms":[0-9]+,"node":3,"runs":false' \
	admin 2 cluster status -o json
admin 2 node undrain 3 >"$work/undrained"
fact 'who is not drained has nothing to take back' 'it is not drained: nothing changes$' \
	admin 1 node undrain 3
fact 'all that it had comes again' '^0 of [1-9][0-9]* moves left' \
	admin 1 cluster rebalance --wait 60
row() { admin 1 shard list | grep -E '^ *7 '; }
from=$(row | awk '{ print $3 }')
to=$(row | awk '{ print 10 - $3 - $4 - $5 }')
fact 'a move is waited for' '^0 of [01] moves left' \
	admin 1 shard move 7 "$from" "$to" --wait 60
replicas() { # NODE: those that the map wants there
	admin 1 node list | awk -v node="$1" '$1 == node { print $(NF - 4) }'
}
has_one() { [ "$(replicas 4)" = 1 ]; }
admin 1 node drain 4 >"$work/drained"
began=$(date +%s%N)
for _ in 1 2 3 4 5 6; do
	sleep 0.5
	kill_node 4
	must_start 4
done
fact 'it is drained though it is killed meanwhile' 'yes' eval 'wait_for 60 has_one && echo yes'
echo "drained after $((($(date +%s%N) - began) / 1000000)) ms, six starts among them"
fact 'all is well' '^well: ' admin 1 cluster status --wait 60
shards_on_disk() {
	"$kalix_admin" store dump "$work/data.4" | awk 'NR > 1 && $2 > 0' | tee "$work/left" | wc -l
	head -5 "$work/left"
}
# What it was not told yet it asks for, with each start if it has to.
for _ in 1 2 3 4 5; do
	sleep 3
	stop_node 4
	shards_on_disk >"$work/on_disk"
	must_start 4
	! grep -q '^0$' "$work/on_disk" || break
done
fact 'nothing but the directory is left on its disk' '^0$' cat "$work/on_disk"
fact 'a drain waits until it may be removed' '^0 of [0-9]+ replicas left' \
	admin 1 node drain 4 --wait 60
cp "$work/told" "$work/drained"
fact 'one that was there is said to change nothing' 'it is drained already: nothing changes$' \
	cat "$work/drained"
fact 'then it is' '^done: it is removed' admin 1 node remove 4
ended() { ! kill -0 "${pid[4]}" 2>/dev/null; }
fact 'and ends by itself' 'yes' eval 'wait_for 20 ended && echo yes'
fact 'saying why' 'this is node 4, which was removed from its cluster' cat "$work/log.4"
fact 'the others do not miss it' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 20

# Another one takes its place, dies for ever, and is removed with all its replicas.
must_start 5
fact 'another one gets its share' '^0 of [1-9][0-9]* moves left' \
	admin 1 cluster rebalance --wait 60
fact 'who is there is not removed by force' 'FAILED_PRECONDITION.*it is reached' \
	admin 2 node remove 5 --force --yes
kill_node 5
fact 'who has replicas is not removed by accident' \
	'FAILED_PRECONDITION.*replicas of [0-9]+ shards' admin 2 node remove 5
fact 'nor by force unasked' 'Nothing was changed' admin 2 node remove 5 --force </dev/null
fact 'by force it is' '^done: it is removed' admin 2 node remove 5 --force --yes
fact 'its replicas are made anew, without waiting for it' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
soon 'it is seen as removed' '^ *5 .* removed ' admin 3 node list
launch_node 5
fives_end() { ! kill -0 "${pid[5]}" 2>/dev/null; }
fact 'when it comes back it ends' 'yes' eval 'wait_for 20 fives_end && echo yes'
fact 'saying why, too' 'this is node 5, which was removed from its cluster' cat "$work/log.5"
wait "${pid[5]}" 2>/dev/null || true
pid[5]=''

# A drain that is taken back in the middle, again and again, wherever it stands: changes that were
# begun come to their end, and all is as it was.
for pause in 0 0.02 0.05 0.1 0.2 0.4; do
	admin 1 node drain 2 >"$work/drained"
	sleep "$pause"
	admin 3 node undrain 2 >"$work/undrained"
done
fact 'a drain that was taken back leaves all even' '^0 of [0-9]+ moves left' \
	admin 1 cluster rebalance --wait 60
fact 'and well' '^well: survives 1 failure$' admin 2 cluster status --wait 30
soon 'the node is a member as before' '^ *2 .* member ' admin 1 node list
soon 'with a replica of every shard' '^129$' replicas 2
fact 'and each serves' '^60$' sum 2
finish
