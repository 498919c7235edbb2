#!/bin/bash
# The node that leads the directory dies in the middle of a rebalance and of a drain. The next one
# goes on with both, unasked: the job is the one that it was, with all that it had to do, its end is
# seen by who waited for it, and is known however often somebody else leads the directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 shards=32 blobs=256 blob_bytes=32768
must_start 1 --shards "$shards"
fill_blobs "$blobs" "$blob_bytes" 'shards have something to move'
for i in 2 3 4; do must_start "$i"; done
fact 'four nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60 --nodes 4
fact 'and even' '^0 of [0-9]+ moves left' admin 1 cluster rebalance --wait 60

# NODE: who leads the directory, as it is known there.
directory() { admin "$1" shard list | awk '$1 == 0 { print $2 }'; }
# NODE JOB [OF]: the job as that node tells of it.
job() {
	admin "$1" cluster status -o json >"$work/document" 2>"$work/said" || true
	grep -oE '\{"all":[^{}]*\}' "$work/document" | grep "\"job\":\"$2\"" |
		grep "${3:+\"node\":$3,}"
}
number() { sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" <<<"$2"; }
done_of() { echo $(($(number all "$1") - $(number left "$1"))); }
runs() { job "$@" >"$work/job" && grep -q '"runs":true' "$work/job"; }
ended() { job "$@" >"$work/job" && grep -q '"runs":false' "$work/job"; }
# It has done something, and has something left.
half_done() { runs "$@" && [ "$(done_of "$(cat "$work/job")")" -ge 2 ]; }
other_than() { # NODE...: one of those that hold all there is, and none of these
	local node
	for node in 1 2 3 4 5; do
		case " $* " in *" $node "*) ;; *) echo "$node" && return ;; esac
	done
}
led_elsewhere() {
	local now
	now=$(directory "$asked")
	[[ $now =~ ^[1-5]$ ]] && [ "$now" != "$first" ]
}
begins_to_lead() { wait_for 60 led_elsewhere; }

# ---- A rebalance ----

rate 64KiB 1 2 3 4
must_start 5 --snapshot-rate 64KiB
first=$(directory 1)
asked=$(other_than "$first" 5)
fact 'replicas go to a fifth node, slowly' yes \
	eval "wait_for 60 half_done $asked rebalance && echo yes"
before=$(cat "$work/job")
admin "$asked" cluster rebalance --wait 200 >"$work/rebalanced" 2>&1 &
waiter=$!
wait_for 20 grep -q 'moves left' "$work/rebalanced"
kill_node "$first"
fact 'the next leader of the directory has the job' yes \
	eval "begins_to_lead && wait_for 20 runs $asked rebalance && echo yes"
after=$(cat "$work/job")
fact 'which is the one that it was' "^$(number began_ms "$before")\$" \
	number began_ms "$after"
fact 'with all that there was to do' yes \
	eval "[ $(number all "$after") -ge $(number all "$before") ] && echo yes"
fact 'of which some is done' yes eval "[ $(done_of "$after") -ge 1 ] && echo yes"
must_start "$first" --snapshot-rate 0
rate 0 1 2 3 4 5
status=0
wait "$waiter" || status=$?
fact 'who waited for it saw its end' '^0$' echo "$status"
fact 'as it was said' '^0 of [0-9]+ moves left' cat "$work/rebalanced"
fact 'the job ends' yes eval "wait_for 60 ended $asked rebalance && echo yes"
fact 'all is well' '^well: survives 1 failure$' admin "$asked" cluster status --wait 60 --nodes 5

# ---- A drain ----

fact 'all is even' '^0 of [0-9]+ moves left' admin "$asked" cluster rebalance --wait 60
rate 64KiB 1 2 3 4 5
first=$(directory 1)
drained=$(other_than "$first")
asked=$(other_than "$first" "$drained")
admin "$asked" node drain "$drained" --wait 200 >"$work/drained" 2>&1 &
waiter=$!
fact 'a node is drained, slowly' yes \
	eval "wait_for 60 half_done $asked drain $drained && echo yes"
before=$(cat "$work/job")
kill_node "$first"
fact 'the next leader of the directory has the drain' yes \
	eval "begins_to_lead && wait_for 20 runs $asked drain $drained && echo yes"
after=$(cat "$work/job")
fact 'since when it was begun' "^$(number began_ms "$before")\$" number began_ms "$after"
fact 'with all that there was to do' "^$(number all "$before")\$" number all "$after"
fact 'and what is done' yes \
	eval "[ $(done_of "$after") -ge $(done_of "$before") ] && echo yes"
must_start "$first" --snapshot-rate 0
rate 0 1 2 3 4 5
status=0
wait "$waiter" || status=$?
fact 'who asked for it saw its end' '^0$' echo "$status"
fact 'of all that there was' "^0 of $(number all "$before") replicas left" cat "$work/drained"
fact 'the drain is over' yes eval "wait_for 60 ended $asked drain $drained && echo yes"
over=$(cat "$work/job")

# ---- What is over stays so ----

fact 'all is well again' '^well: ' admin "$asked" cluster status --wait 60
first=$(directory "$asked")
asked=$(other_than "$first" "$drained")
kill_node "$first"
fact 'another one leads the directory' yes eval 'begins_to_lead && echo yes'
fact 'and knows that the drain is over' "^${over//[\{\}]/.}\$" \
	eval "wait_for 20 job $asked drain $drained && cat '$work/waited'"
must_start "$first"
fact 'taken back, there is none' '^$' eval "admin $asked node undrain $drained >'$work/undrained'; \
	job $asked drain $drained || echo"

# ---- Somebody takes it back ----

drained=$(other_than "$first")
asked=$(other_than "$first" "$drained")
rate 64KiB 1 2 3 4 5
admin "$asked" node drain "$drained" --wait 60 >"$work/taken_back" 2>&1 &
waiter=$!
wait_for 20 grep -q 'replicas left' "$work/taken_back"
admin "$asked" node undrain "$drained" >"$work/undrained"
status=0
wait "$waiter" || status=$?
fact 'who waits for a drain is told that it was taken back' '^5$' echo "$status"
fact 'and that is said' '^kalix-admin: the drain was taken back' cat "$work/taken_back"

# Before who waits has looked for the first time.
node tests/cluster/held.js "${port[asked]}" "$work/held_port" "$work/held" "$work/go" &
between=$!
wait_for 30 test -e "$work/held_port"
"$kalix_admin" --node "127.0.0.1:$(cat "$work/held_port")" \
	node drain "$drained" --wait 60 >"$work/unseen" 2>&1 &
waiter=$!
wait_for 30 test -e "$work/held"
admin "$asked" node undrain "$drained" >"$work/undrained"
touch "$work/go"
status=0
wait "$waiter" || status=$?
kill "$between"
wait "$between" 2>/dev/null || true
fact 'also where nobody has seen that there was one' '^5$' echo "$status"
fact 'and that is said, too' '^kalix-admin: the drain was taken back' cat "$work/unseen"

# ---- Who is asked dies ----

admin "$asked" node drain "$drained" --wait 8 >"$work/unheard" 2>&1 &
waiter=$!
wait_for 20 grep -q 'replicas left' "$work/unheard"
kill_node "$asked"
status=0
wait "$waiter" || status=$?
fact 'without the node that was asked nobody knows' '^8$' echo "$status"
fact 'but that it goes on is said, and where to ask' 'goes on.*ask another node' cat "$work/unheard"
finish
