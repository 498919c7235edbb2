#!/bin/bash
# Calls of one connection to one entity take effect in the order sent, through nodes that do not
# lead, too: three kalixd under clients that pipeline (order.c), first while leaders are moved, then
# while nodes are killed as well.
#
#   tests/cluster/order.sh [SECONDS [SEED]]   of each of the two
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-12}
. tests/cluster/lib.sh
make -s -C "$build" tests/cluster/order
RANDOM=${2:-1}
shards=4
must_start 1 --shards "$shards"
fact 'the app is deployed' 'every shard has it active' \
	admin 1 app deploy tests/cluster/line --yes
must_start 2
must_start 3
fact 'all shards get three voters' '^well: survives 1 failure$' admin 1 cluster status --wait 60

ready=("$work"/ready.{1,2,3}) moves=0 kills=0
# What a node that is gone would have to lead, or lead no more, is refused.
move() { # ASKED
	if admin "$1" shard leader $((RANDOM % shards + 1)) $((RANDOM % 3 + 1)) \
		>"$work/moved" 2>&1; then
		moves=$((moves + 1))
	fi
}
# Clients that nobody here wrote, where the step of the clients has installed them.
packages=$PWD/build-test/clients-npm
kinds=()
if command -v node >/dev/null && [ -e "$packages/installed" ]; then kinds=(ioredis node-redis); fi
under() { # kept|broken TROUBLE
	"$build/tests/cluster/order" "$seconds" "$1" "${ready[@]}" >"$work/told.$1" 2>&1 &
	local load=$! end=$((SECONDS + seconds - 1)) kind others=()
	if [ "$1" = kept ]; then
		for kind in "${kinds[@]}"; do
			NODE_PATH=$packages/node_modules timeout "$((seconds + 120))" \
				node tests/cluster/order.js "$kind" "$seconds" \
				"127.0.0.1:${port[1]}" "127.0.0.1:${port[2]}" \
				>"$work/told.$kind" 2>&1 &
			others+=($!)
		done
	fi
	while [ "$SECONDS" -lt "$end" ]; do "$2"; done
	await_process "$load" $((seconds + 120))
	result "$status" "the clients come to their end: $1"
	cat "$work/told.$1"
	results "$work/told.$1"
	[ "${#others[@]}" -eq 0 ] || wait "${others[@]}" || true
}
moving() { move $((RANDOM % 3 + 1)) && sleep 0.05; }
killing() {
	local node=$((RANDOM % 3 + 1)) other
	other=$((node % 3 + 1))
	move "$other" && sleep 0.3
	kill_node "$node"
	kills=$((kills + 1))
	for _ in 1 2 3 4; do move "$other" && sleep 0.3; done
	must_start "$node"
	for _ in 1 2 3 4; do move "$node" && sleep 0.3; done
}
under kept moving
moved=$moves
result $((moved == 0)) 'leaders were moved'
for kind in "${kinds[@]}"; do
	fact "$kind: those of each client came in the order sent" '^well: ' cat "$work/told.$kind"
	cat "$work/told.$kind"
done
under broken killing
result $((kills == 0)) 'nodes were killed'
echo "    moves=$moves kills=$kills"
no_complaints 'panic|level=error'
finish
