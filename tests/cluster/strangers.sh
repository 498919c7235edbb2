#!/bin/bash
# Who answers at a node's peer port, and is no node that others can talk to: they say what it is,
# and do not only call the node dead.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
make -s -C "$build" tests/cluster/stranger
cores=1
must_start 1 --shards 8
must_start 2 --shards 8
fact 'two nodes are well' '^well: survives 0 failures' admin 1 cluster status --wait 60
stop_node 2

stand() { # WHAT...: in the place of node 2
	: >"$work/stranger"
	"$build/tests/cluster/stranger" "${peer_port[2]}" "$@" >"$work/stranger" &
	pid[9]=$!
	wait_for 20 grep -q ready "$work/stranger"
}
says() { # PATTERN COMMAND...
	local pattern=$1
	shift
	"$@" >"$work/said" 2>&1 || true
	grep -qE -- "$pattern" "$work/said"
}
must_say() { # PATTERN COMMAND...
	wait_for 60 says "$@" && echo yes
	cat "$work/said"
}

# ---- A node of another version ----

stand version 7 9
fact 'a node of another version is named as that' '^yes$' \
	must_say '^node 2 is reached, but it speaks no version of the protocol' \
	admin 1 cluster status
fact 'the list has it, too' '^ *2 .* no: version ' admin 1 node list
logged() {
	grep -E ' peer_refused by=them .*we_speak=[0-9]+ they_speak="7 to 9" advice=' "$work/log.1"
}
fact 'the log has what both speak, and what to do' \
	'advice="this node is the older one: upgrade it' logged
fact 'it says so of itself, too' 'no_node_takes_this_one nodes=1 refused=version advice=' \
	eval "wait_for 60 grep no_node_takes_this_one '$work/log.1' && cat '$work/waited'"
fact 'it is counted' '^links_refused_version:[1-9]' \
	redis-cli -p "${port[1]}" INFO replication
kill_node 9

must_start 2 --shards 8
fact 'when it is itself again all is well' '^well: survives 0 failures' \
	admin 1 cluster status --wait 60
finish
