#!/bin/bash
# Who answers at a node's peer port, and is no node that others can talk to, or none at all: they
# say what it is, and do not only call the node dead. And who takes a node for a server of Redis.
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
	in_time 120 redis-cli -p "${port[1]}" INFO replication
kill_node 9

# ---- No node at all ----

stand says $'HTTP/1.1 400 Bad Request\r\n\r\n'
fact 'a web server is named as no node' '^yes$' \
	must_say '^node 2 is reached, but what answers at its address is not the peer port' \
	admin 1 cluster status
fact 'in the list, too' '^ *2 .* no: foreign ' admin 1 node list
fact 'the log says what it is' 'not_a_peer_port address=127.0.0.1:[0-9]+ node=2 looks_like=HTTP' \
	cat "$work/log.1"
join_it() { # NODE PORT: at the stranger; ends when it has said something, or after that time
	"$kalixd" --data "$work/data.$1" --port 0 --cluster-port 0 --peer-port 0 \
		--cores 1 --join "127.0.0.1:$2" >"$work/log.$1" 2>&1 &
	pid[$1]=$!
	wait_for 50 grep not_joined_yet "$work/log.$1" && cat "$work/waited"
	kill_node "$1"
}
fact 'who is to join there is told' \
	'error=ERR_PROTOCOL advice="what answers there is not the peer port of a Kalix node' \
	join_it 3 "${peer_port[2]}"
fact 'or at the port of clients' 'not_joined_yet .*advice="(what answers|nothing is said) there' \
	join_it 4 "${port[1]}"
kill_node 9
stand mute
fact 'who listens and says nothing is told from who is dead' '^yes$' \
	must_say '^node 2 is reached, but what listens at its address says nothing' \
	admin 1 cluster status
kill_node 9
ping_it() { in_time 20 redis-cli -p "${peer_port[1]}" PING; }
fact 'a client of Redis at the port of nodes is cut off' '[Cc]losed the connection|reset by peer' \
	ping_it
fact 'and said' 'not_a_node address=127.0.0.1:[0-9]+ looks_like=Redis advice=' cat "$work/log.1"
fact 'all that is counted' '^links_refused_foreign:[1-9]' \
	in_time 120 redis-cli -p "${port[1]}" INFO replication

must_start 2 --shards 8
fact 'when it is itself again all is well' '^well: survives 0 failures' \
	admin 1 cluster status --wait 60
finish
