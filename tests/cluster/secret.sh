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
fact 'a previous one alone is refused' 'cluster_secret_file is needed' \
	timeout 10 "$kalixd" --data "$work/data.9" --cluster-secret-previous-file "$work/old"
finish
