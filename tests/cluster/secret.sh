#!/bin/bash
# The cluster's secret is changed on three nodes that serve, one after the other, while clients
# call: no call fails, and in the end the old one is good for nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
app=tests/cluster/counter
cores=1
echo 'the old secret of the cluster' >"$work/old"
echo 'the new secret of the cluster' >"$work/new"
for i in 1 2 3; do must_start "$i" --cluster-secret-file "$work/old"; done
fact 'an app is there' 'every shard has it active' admin 1 app deploy "$app" --yes
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60

# Clients of the two nodes that are not being restarted.
echo 0 >"$work/away"
: >"$work/calls"
callers() {
	local i node
	for i in $(seq 100000); do
		[ ! -e "$work/enough" ] || return 0
		node=$((i % 3 + 1))
		[ "$node" != "$(cat "$work/away")" ] || continue
		call "$node" "counter/n$((i % 50))" add >>"$work/calls" 2>&1 ||
			echo "failed at $node" >>"$work/calls"
	done
}
callers &
caller=$!
turn() { # NODE FLAG...
	local node=$1
	shift
	echo "$node" >"$work/away"
	sleep 1
	stop_node "$node"
	must_start "$node" "$@"
	admin "$node" cluster status --wait 60 >"$work/turned" || true
	echo 0 >"$work/away"
}
for node in 1 2 3; do
	turn "$node" --cluster-secret-file "$work/new" \
		--cluster-secret-previous-file "$work/old"
	fact "node $node takes both secrets, and all is well" '^well: survives 1 failure$' \
		cat "$work/turned"
done
for node in 3 1 2; do
	turn "$node" --cluster-secret-file "$work/new"
	fact "node $node takes the new one only, and all is well" '^well: survives 1 failure$' \
		cat "$work/turned"
done
touch "$work/enough"
wait "$caller"
failed() {
	grep -vE '^[0-9]+$' "$work/calls" | sort | uniq -c
	echo "failed: $(grep -vcE '^[0-9]+$' "$work/calls")"
}
fact 'no call failed' '^failed: 0$' failed
echo "$(wc -l <"$work/calls") calls meanwhile"
enough() { [ "$(wc -l <"$work/calls")" -gt 100 ] && echo yes; }
fact 'and there were some' yes enough
stop_node 3
start_node 3 --cluster-secret-file "$work/old" || true
refused() { grep -q 'the cluster secret is another one' "$work/log.1" "$work/log.3"; }
fact 'who has the old one only is refused' 'yes' eval 'wait_for 20 refused && echo yes'
# Both sides see that it is there, and what is wrong.
said() { "$@" >"$work/said" 2>&1 || true; }
says() { # PATTERN COMMAND...
	local pattern=$1
	shift
	said "$@"
	grep -qE -- "$pattern" "$work/said"
}
must_say() { # PATTERN COMMAND...
	wait_for 20 says "$@" && echo yes
	cat "$work/said"
}
fact 'the others say that it is there with another secret' '^yes$' \
	must_say '^node 3 is reached, but its cluster secret is another one' admin 1 cluster status
fact 'it says so of them' '^yes$' \
	must_say '^node 1 is reached, but its cluster secret is another one' admin 3 cluster status
fact 'that it may be itself' '^node 3, which says this, has no link with any other' cat "$work/said"
fact 'that it has no quorum' 'have no quorum' cat "$work/said"
advises() { grep -q 'recover --unsafe' "$work/said" && echo advised || echo no; }
fact 'and that nobody is to be given up' '^no$' advises
fact 'its own status too' '^no link with node 1: it is reached, but its cluster secret' \
	admin 3 status
fact 'and its log, once' '^1$' \
	grep -c 'error no_node_takes_this_one .*another secret than theirs' "$work/log.3"
fact 'it may not give up those that are there' 'node 1 may not be gone: somebody answers as it' \
	admin 3 cluster recover --unsafe --lost 1,2 --yes
fact 'nor they it' 'node 3 may not be gone: somebody answers as it' \
	admin 1 node remove 3 --force --yes
# But who answers has proved nothing, and anybody can: that is for a word more.
fact 'with a word more they may' '^  UNPROVED: somebody answers at its address, but its cluster s' \
	admin 1 node remove 3 --force --unproved --dry-run
fact 'and it may' '^  UNPROVED: somebody answers as node 2: if that is it, it is not gone$' \
	admin 3 cluster recover --unsafe --lost 1,2 --unproved --dry-run
fact 'who is linked is not given up so' 'node 2 is not gone: it is reached' \
	admin 1 node remove 2 --force --unproved --yes
fact 'their status names it' '^no link with node 3: it is reached' admin 1 status
info() { in_time 120 redis-cli -p "$1" "${@:2}" | tr -d '\r'; }
fact 'links are counted by why they are refused' '^links_refused_secret:[1-9]' \
	info "${port[1]}" INFO replication
fact 'all slots are served where two are' '^cluster_slots_ok:16384$' info "${port[1]}" CLUSTER INFO
fact 'and none where one is' '^cluster_slots_fail:16384$' info "${port[3]}" CLUSTER INFO
fact 'which is in the state fail' '^cluster_state:fail$' info "${port[3]}" CLUSTER INFO
# Who is refused by one of three only need not be the one that is wrong.
stop_node 3
stop_node 2
start_node 3 --cluster-secret-file "$work/old" || true
differs() { # NODE
	grep -q "error no_node_takes_this_one .*this node's cluster_secret_file and theirs differ" \
		"$work/log.$1"
}
says_both() { wait_for 20 differs "$1" && echo yes; }
accuses() { grep -c 'another secret than theirs' "$work/log.1" || true; }
fact 'node 1 says that the secrets differ' '^yes$' says_both 1
fact 'so does node 3' '^yes$' says_both 3
fact 'and node 1 never that it is itself' '^0$' accuses
stop_node 3
must_start 2 --cluster-secret-file "$work/new"
must_start 3 --cluster-secret-file "$work/new"
fact 'with the secret of the others it is let in, and all is well' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
fact 'a previous one alone is refused' 'cluster_secret_file is needed' \
	in_time 10 "$kalixd" --data "$work/data.9" --cluster-secret-previous-file "$work/old"
finish
