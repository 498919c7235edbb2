#!/bin/bash
# Several of the three replicas of a shard are damaged at once, while their nodes live. One is given
# up only where the others are whole; else all stay, it is said what is damaged and what to do, and
# one command goes on with what is whole. The same of one that is found damaged while another one is
# being replaced, of all three, and of the directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
. tests/cluster/damage_lib.sh

status_says() { # NODE PATTERN: the status that does is in $work/status
	admin "$1" cluster status >"$work/status" || true
	grep -qE "$2" "$work/status"
}
until_status() { # NODE PATTERN
	wait_for 40 status_says "$@" && cat "$work/status"
}
# Shard 1 has store 1 to itself.
shard() { # NODE
	admin "$1" shard list -o jsonl | grep '"shard":1,'
}
recoveries() { cat "$work"/log.[123] | grep -c 'unsafe_recovery group=1 ' || true; }
recovers() { admin "$1" cluster recover --unsafe --damaged --yes; } # NODE
# Once all that is needed has been said.
recover() { wait_for 30 recovers "$1" && cat "$work/waited"; }
well() { admin 1 cluster status --wait 60; }

for node in 1 2 3; do must_start "$node" --shards 2 --stores 2; done
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'three nodes are well' '^well: survives 1 failure$' well
write 1
write 2

# ---- Two of three ----

kill_node 2
kill_node 3
damage "$work/data.2"
damage "$work/data.3"
launch_node 2
launch_node 3
must_be_ready 2
must_be_ready 3
fact 'that two replicas are damaged is said, and of which nodes' \
	'^shard 1: the replica on nodes 2, 3 is damaged, for [0-9]+ s: no majority is whole' \
	until_status 1 'nodes 2, 3 is damaged.*no majority is whole'
fact 'with what to do' 'kalix-admin cluster recover --unsafe --damaged' cat "$work/status"
fact 'the nodes are not taken for lost' '^0$' grep -c -- --lost "$work/status"
kept() { cat "$work"/log.[123] | grep -q 'replica_kept group=1 '; }
fact 'that they are kept is in a log' yes eval 'wait_for 30 kept && echo yes'
fact 'none was given up, as long as the others are not whole' '"voters":"1 2 3"' shard 1
fact 'the list names them, too' '"damaged":"2 3"' shard 1
document() { admin 1 cluster status -o json | tr -d '\n '; }
fact 'and so does the document' \
	'"damaged":\[\{"ms":[0-9]+,"node":2,"replica":[0-9]+\},\{"ms":[0-9]+,"node":3,' document
fact 'with what comes of it' '"remedy":"recover"' document
fact 'who lives is not gone' 'node 2 is not gone' \
	admin 1 cluster recover --unsafe --lost 2,3 --yes
fact 'nothing is given up by accident' 'needs --unsafe' admin 1 cluster recover --damaged --yes
fact 'a plan alone does nothing' \
	'shard 1: node 1 goes on alone, with its log up to [0-9]+, committed up to [0-9]+$' \
	admin 2 cluster recover --unsafe --damaged --dry-run
fact 'and names what would be given up' 'of shard 1 what is on nodes 2, 3$' \
	admin 3 cluster recover --unsafe --damaged --dry-run
fact 'nor is it done unasked' 'Nothing was changed' \
	admin 2 cluster recover --unsafe --damaged </dev/null
fact 'so far nothing was recovered' '^0$' recoveries
fact 'what is whole goes on at a word, at any node' '^done:' recover 2
fact 'others take the place of the damaged ones' '^well: survives 1 failure$' well
fact 'what the whole one had is there' '^120$' sum_cells 3
fact 'the log has it, once' '^1$' recoveries
fact 'and the list, for good' \
	'"damaged":"","recovered_index":"[0-9]+","recovered_committed":"[0-9]+"' shard 2
fact 'the other shard was left alone' '^1$' eval \
	"admin 1 shard list -o jsonl | grep -c '\"recovered_index\":\"[0-9]'"
fact 'twice is refused' 'FAILED_PRECONDITION.*nothing is to be recovered' \
	admin 1 cluster recover --unsafe --damaged --yes
write 3

# ---- One after the other ----

# Node 3 is given up, and ends before its other replica has come: node 1 and 2 are all there is.
kill_node 3
damage "$work/data.3"
before=$(said 3 replica_given_up)
must_start 3
given_up() { [ "$(said 3 replica_given_up)" -gt "$before" ]; }
fact 'one of three is given up by itself' yes eval 'wait_for 30 given_up && echo yes'
kill_node 3
# Who sends a snapshot has made a checkpoint, and may have nothing in its log.
write_at 1 4
kill_node 2
damage "$work/data.2"
must_start 2
fact 'a second one is kept meanwhile, and named' 'the replica on node 2 is damaged' \
	until_status 1 'shard 1: the replica on node 2 is damaged'
must_start 3
# Where the first one had been replaced by then it is, and the second one is given up as the first
# was; else one is left that is whole, and somebody has to say so.
goes_on() {
	admin 1 cluster status --wait 1 >"$work/status" && return 0
	cat "$work/status"
	grep -q 'no majority is whole' "$work/status" &&
		admin 1 cluster recover --unsafe --damaged --yes
	return 1
}
fact 'all goes on, at a word at most' yes eval 'wait_for 60 goes_on && echo yes'
fact 'nothing is lost by that' '^240$' sum_cells 2
write 5

# ---- All three ----

recovered=$(recoveries)
for node in 1 2 3; do kill_node "$node"; done
for node in 1 2 3; do damage "$work/data.$node"; done
for node in 1 2 3; do launch_node "$node"; done
for node in 1 2 3; do must_be_ready "$node"; done
fact 'that nothing whole is left is said' \
	'^shard 1: the replica on nodes 1, 2, 3 is damaged, for [0-9]+ s: nothing whole is left' \
	until_status 2 'nothing whole is left'
fact 'with what can be done then' 'log repair DIR --accept-loss --force' cat "$work/status"
fact 'none was given up' '"voters":"[123] [123] [123]"' shard 2
fact 'nothing is made up' 'FAILED_PRECONDITION.*nothing whole is left' \
	admin 2 cluster recover --unsafe --damaged --yes
other() { admin 3 shard list -o jsonl | grep '"shard":2,'; }
fact 'the other shard is served' '"leader":"[123]".*"well":"yes"' other
kill_node 1
fact 'one is repaired by force' repaired \
	"$kalix_admin" log repair "$work/data.1" --accept-loss --force --yes
must_start 1
fact 'what it kept is no majority by itself' 'the replica on nodes 2, 3 is damaged' \
	until_status 2 'replica on nodes 2, 3 is damaged.*no majority is whole'
fact 'and goes on at a word' '^done:' recover 3
fact 'all is well with that' '^well: survives 1 failure$' well
fact 'the loss is in a log, and in the list' "^$((recovered + 1))\$" recoveries
write 6
fact 'and all is served' '^360$' sum_cells 2

# ---- The directory ----

change_directory 1 >/dev/null
write 7
kill_node 2
kill_node 3
damage_directory 2
damage_directory 3
launch_node 2
launch_node 3
fact 'nodes without a directory wait, and are named' \
	'^shard 0, the directory,: the replica on nodes 2, 3 is damaged.*no majority is whole' \
	until_status 1 'directory.*nodes 2, 3 is damaged.*no majority is whole'
fact 'and are not taken for lost' '^0$' grep -c -- --lost "$work/status"
advised() { # by the status; its line may be broken
	tr -s '\n ' ' ' <"$work/status" |
		sed -n 's/.*: kalix-admin \(cluster recover [-a-z ]*--damaged\).*/\1/p'
}
fact 'with the words to say' '^cluster recover --unsafe --damaged$' advised
follow() { # NODE
	local words
	read -ra words < <(advised)
	admin "$1" "${words[@]}" --yes
}
goes_on_at_that() { wait_for 30 follow 1 && cat "$work/waited"; }
fact 'a directory that is whole goes on at them' '^done:' goes_on_at_that
for node in 2 3; do must_be_ready "$node"; done
fact 'the others get one, and all is well' '^well: survives 1 failure$' well
fact 'with three voters' '"voters":"[123] [123] [123]"' shard 3
fact 'with all that was acknowledged' '^420$' sum_cells 2
fact 'and changes are made' 'every shard has it active' change_directory 3

# ---- One is damaged, one is gone for ever ----

write 8
kill_node 3
kill_node 2
damage_directory 2
launch_node 2
fact 'one that is not there may be whole' 'on node 2 is damaged.*have to come back' \
	until_status 1 'directory.*node 2 is damaged.*have to come back'
gives_up() { # WORD...
	admin 1 cluster recover --unsafe "$@" >"$work/said" 2>&1 || true
	! grep -qE 'UNAVAILABLE|is not known for long' "$work/said"
}
word() { wait_for 30 gives_up "$@" && cat "$work/said"; }
fact 'it is waited for, and not passed over' 'node 3 has not said what it has of shard 0' \
	word --damaged --yes
fact 'who is damaged is not passed over either' 'give it up too .--damaged.' \
	word --lost 3 --yes
fact 'with both given up the whole one goes on' 'node 1 goes on alone' \
	word --lost 3 --damaged --dry-run
# Its other shards wait for what the damaged one says that they have, once it starts.
standing() { # while node 2 cannot
	kill -STOP "${pid[2]}"
	admin 1 cluster recover --unsafe --lost 3 --damaged --yes -o json >"$work/said" 2>&1 &&
		return 0
	kill -CONT "${pid[2]}"
	return 1
}
at_that() { wait_for 60 standing && cat "$work/said"; }
fact 'at that word it does, and says what is left for later' \
	'"later":2,.*"damaged":\[2\],.*"shard":0,.*"waits_for":\[2\]' at_that
fact 'which has no leader until then' '^2$' eval \
	"admin 1 shard list -o jsonl | grep -c '\"shard\":[12],\"leader\":\"\"'"
kill -CONT "${pid[2]}"
must_be_ready 2
fact 'the damaged one starts, and is the majority with it' '^well: survives 0 failures' well
fact 'with nothing lost' '^480$' sum_cells 2
fact 'who is gone is no node any more' '^0$' eval \
	"admin 1 node list -o jsonl | grep '\"node\":3,' | grep -vc removed"
finish
