#!/bin/bash
# The demonstration: a cluster of three servers on loopback with its data on disk, an app of three
# Lua files, orders, SIGKILL for the server that leads most, and the proof that the totals are
# exact.
#
# usage: tests/demo/run.sh [SECONDS [KILLS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-12} kills=${2:-1}
build=$PWD/build
flock "$build" make -s -C "$build" tests/demo/shop
kalixd=$build/bin/kalixd admin=$build/bin/kalix-admin shop=$build/tests/demo/shop

dir=$(mktemp -d "${TMPDIR:-/tmp}/kalix-demo.XXXXXX")
declare -a server=() port=() cluster_port=() peer_port=()
buyers=''
cleanup() {
	local node
	[ -z "$buyers" ] || kill -9 "$buyers" 2>/dev/null || true
	# At the same time: none of them has to wait for another one's leaders.
	for node in "${!server[@]}"; do kill "${server[node]}" 2>/dev/null || true; done
	for node in "${!server[@]}"; do
		for _ in $(seq 100); do
			kill -0 "${server[node]}" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "${server[node]}" 2>/dev/null || true
		wait "${server[node]}" 2>/dev/null || true
	done
	rm -rf "$dir"
}
trap cleanup EXIT
say() { printf '\n== %s\n' "$*"; }

# The first one has the ports of the manual where they are free, the others any. All keep what they
# had at their first start.
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_or_any() { if is_free "$1"; then echo "$1"; else echo 0; fi; }
port[1]=$(free_or_any 7470) peer_port[1]=$(free_or_any 7471) cluster_port[1]=$(free_or_any 7472)

run_server() {
	local node=$1 join=()
	if [ "$node" -gt 1 ]; then join=(--join "127.0.0.1:${peer_port[1]}"); fi
	rm -f "$dir/ready.$node"
	"$kalixd" --data "$dir/data.$node" --cores 2 --port "${port[node]:-0}" \
		--cluster-port "${cluster_port[node]:-0}" --peer-port "${peer_port[node]:-0}" \
		--ready-file "$dir/ready.$node" "${join[@]}" >"$dir/out.$node" 2>>"$dir/log.$node" &
	server[node]=$!
}
fact_of() { sed -n "s/^$2=//p" "$dir/ready.$1"; }
start() {
	local node=$1
	run_server "$node"
	for _ in $(seq 1500); do
		if [ -e "$dir/ready.$node" ]; then
			port[node]=$(fact_of "$node" port)
			cluster_port[node]=$(fact_of "$node" cluster_port)
			peer_port[node]=$(fact_of "$node" peer_port)
			return
		fi
		kill -0 "${server[node]}" 2>/dev/null || break
		sleep 0.02
	done
	echo "server $node did not start:"
	tail -n 20 "$dir/log.$node"
	exit 1
}
at() { # NODE ARGUMENT...: kalix-admin there
	local node=$1
	shift
	"$admin" --node "127.0.0.1:${port[node]}" "$@"
}

wait_until_grown() {
	at 1 cluster status --wait 60 --nodes 3 >"$dir/status" 2>&1 && return 0
	echo 'not all shards have three replicas after a minute:'
	cat "$dir/status"
	tail -n 5 "$dir"/log.*
	exit 1
}
# How many shards a node leads, over its cores.
leads() {
	at "$1" status -o json | grep -o '"leading":[0-9]*' |
		awk -F: '{ n += $2 } END { print n + 0 }'
}
leads_most() {
	local node most=-1 found=1 count
	for node in 1 2 3; do
		count=$(leads "$node")
		if [ "$count" -gt "$most" ]; then most=$count found=$node; fi
	done
	echo "$found"
}

say 'Three servers: the first founds a cluster, the others join it by its peer port'
for node in 1 2 3; do
	start "$node"
	to_join=''
	[ "$node" -eq 1 ] || to_join=" --join 127.0.0.1:${peer_port[1]}"
	echo "  kalixd --data $dir/data.$node --port ${port[node]}$to_join"
done
nodes="127.0.0.1:${port[1]},127.0.0.1:${port[2]},127.0.0.1:${port[3]}"
say 'An app of three Lua files: kalix-admin app deploy examples/shop'
# On a terminal it would ask.
at 1 app deploy examples/shop --yes
say 'Each shard gets replicas on all three, by itself'
wait_until_grown
for node in 1 2 3; do echo "  server $node leads $(leads "$node") shards"; done

say "32 buyers place orders: add to a cart, reserve stock, pay, check out. Meanwhile SIGKILL"
"$shop" load "$nodes" "$seconds" >"$dir/facts" &
buyers=$!
victim=1
for kill in $(seq "$kills"); do
	sleep "$((seconds / (2 * kills + 1)))"
	victim=$(leads_most)
	echo "  --- kill -9 ${server[victim]}: server $victim, which leads most shards," \
		"$(leads "$victim") ($kill of $kills)"
	kill -9 "${server[victim]}"
	wait "${server[victim]}" 2>/dev/null || true
	sleep "$((seconds / (2 * kills + 1)))"
	start "$victim"
	echo "  --- server $victim is back"
done
wait "$buyers"
buyers=''
other=$((victim % 3 + 1))
say "What was acknowledged, and what is there, read through server $other"
"$shop" check "127.0.0.1:${port[other]}" "$dir/facts"
say "One cart and its history, read through server $victim, the one that was killed"
at "$victim" call cart/b0-1 get
at "$victim" entity history cart/b0-1

# Where nobody sits in front of it, it ends here.
if [ ! -t 0 ] || [ ! -t 1 ]; then
	printf '\nThat is all. On a terminal the servers would run on, for you to call them.\n'
	exit 0
fi
say 'What you can type next, in another terminal'
command -v redis-cli >/dev/null || echo '  (redis-cli is in the package redis-tools)'
cat <<END
  redis-cli -p ${port[1]} CALL cart/mine add_item '{"product_id":"p1","name":"Pen","quantity":2}'
  redis-cli -p ${port[2]} CALL cart/mine get              # any node answers for all
  redis-cli -c -p ${cluster_port[3]} CALL wallet/b0 balance     # or go where the map says
  redis-cli -p ${cluster_port[1]} CLUSTER NODES
  $admin --node 127.0.0.1:${port[2]} entity history cart/mine
  kill -9 ${server[1]}        # server 1: the others go on
END
printf '\nThe servers run until you press Enter. '
read -r _
