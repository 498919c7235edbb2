#!/bin/bash
# The demonstration: a server with its data on disk, an app of three Lua files, orders, a SIGKILL in
# the middle, and the proof that the totals are exact.
#
# usage: tests/demo/run.sh [SECONDS [KILLS]]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-9} kills=${2:-2}
build=$PWD/build
flock "$build" make -s -C "$build" tests/demo/shop
kalixd=$build/bin/kalixd admin=$build/bin/kalix-admin shop=$build/tests/demo/shop

dir=$(mktemp -d "${TMPDIR:-/tmp}/kalix-demo.XXXXXX")
server='' buyers=''
cleanup() {
	[ -z "$buyers" ] || kill -9 "$buyers" 2>/dev/null || true
	[ -z "$server" ] || kill "$server" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
say() { printf '\n== %s\n' "$*"; }

start() { # the port stays the same from the first start on
	rm -f "$dir/ready"
	"$kalixd" --data "$dir/data" --port "$port" --cluster-port "$cluster_port" \
		--ready-file "$dir/ready" >>"$dir/log" 2>&1 &
	server=$!
	for _ in $(seq 500); do
		[ -e "$dir/ready" ] && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.02
	done
	echo 'the server did not start:'
	tail -n 20 "$dir/log"
	exit 1
}
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
port=7470 cluster_port=7472
until is_free "$port" && is_free "$cluster_port"; do
	port=$((20000 + RANDOM % 10000)) cluster_port=$((port + 2))
done
export KALIX_NODE=127.0.0.1:$port

say "A server: kalixd --data $dir/data"
start
grep -v '^$' "$dir/log" | tail -n 3
say 'An app of three Lua files: kalix-admin app deploy examples/shop'
# On a terminal it would ask.
"$admin" app deploy examples/shop --yes
say "32 buyers place orders: add to a cart, reserve stock, pay, check out. $kills times SIGKILL"
"$shop" load "$KALIX_NODE" "$seconds" >"$dir/facts" &
buyers=$!
for kill in $(seq "$kills"); do
	sleep "$((seconds / (kills + 1)))"
	echo "  --- kill -9 $server (the server), number $kill of $kills; starting it again"
	kill -9 "$server"
	wait "$server" 2>/dev/null || true
	start
done
wait "$buyers"
buyers=''
say 'What was acknowledged, and what is there'
"$shop" check "$KALIX_NODE" "$dir/facts"
say 'One cart, its history, and the server'
"$admin" call cart/b0-1 get
"$admin" entity history cart/b0-1
"$admin" status | head -n 12

say 'What you can type next, in another terminal'
cat <<END
  redis-cli -p $port CALL cart/mine add_item '{"product_id":"p1","name":"Pen","quantity":2}'
  redis-cli -p $port CALL cart/mine get
  redis-cli -p $port CALL wallet/b0
  $admin --node $KALIX_NODE entity history cart/mine
  $admin --node $KALIX_NODE app list
END
if [ -t 0 ] && [ -t 1 ]; then
	printf '\nThe server runs until you press Enter. '
	read -r _
fi
