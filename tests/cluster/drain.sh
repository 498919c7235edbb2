#!/bin/bash
# A node of four is drained while it is killed and started again: in the end it has nothing of any
# shard but the directory, on its disk neither, and the others have all.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1
for i in 1 2 3 4; do must_start "$i"; done
fact 'four nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
replicas() { # NODE: those that the map wants there
	admin 1 node list | awk -v node="$1" '$1 == node { print $(NF - 3) }'
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
# What it was not told yet it asks for.
sleep 3
stop_node 4
shards_on_disk() {
	"$kalix_admin" store dump "$work/data.4" | awk 'NR > 1 && $2 > 0' | tee "$work/left" | wc -l
	head -5 "$work/left"
}
fact 'nothing but the directory is left on its disk' '^0$' shards_on_disk
finish
