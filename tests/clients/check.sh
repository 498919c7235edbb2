#!/bin/bash
# The clients of others against a server: README.md. Ends with the line "N passed, N failed".
#
# usage: tests/clients/check.sh [TREE]
set -euo pipefail
cd "$(dirname "$0")/../.."
tree=${1:-test}
./run tree "$tree"
build=$PWD/build-$tree
# RocksDB is not built with the sanitizer, which then cannot see its locks.
export TSAN_OPTIONS=suppressions=$PWD/tests/clients/tsan.supp:second_deadlock_stack=1
flock "$build" make -s -C "$build" tests/clients/hiredis_client
kalixd=$build/kalixd
here=$PWD/tests/clients

work=$(mktemp -d "$build/clients.XXXXXX")
. tests/runner/counts.sh
. tests/clients/server.sh
cleanup() {
	kill_server
	rm -rf "$work"
}
trap cleanup EXIT

# run NAME COMMAND...: its lines are counted; one that ends badly or prints none is a failure.
run() {
	local name=$1 status=0
	shift
	timeout 60 "$@" >"$work/out" 2>&1 || status=$?
	cat "$work/out"
	results "$work/out"
	if [ "$status" -ne 0 ] || ! grep -q '^ok ' "$work/out"; then
		result 1 "$name ended with $status"
	fi
}

# The packages of package.json, kept in the build tree for the next run, and for the same step in
# another tree at the same time. Where there is no network it does not wait for one.
scripts=$PWD/build-test/clients-npm
npm_packages() {
	if ! cmp -s "$here/package.json" "$scripts/installed" 2>/dev/null; then
		rm -rf "$scripts"
		mkdir -p "$scripts"
		cp "$here/package.json" "$scripts/"
		(cd "$scripts" && timeout 180 npm install --no-audit --no-fund --silent \
			--fetch-retry-mintimeout=500 --fetch-retry-maxtimeout=2000) || return 1
		cp "$here/package.json" "$scripts/installed"
	fi
	cp "$here"/*.js "$scripts/"
}

start_server data
status=0
"$build/kalix-admin" app deploy tests/clients/app --node "127.0.0.1:$port" --yes || status=$?
result "$status" 'the app of these tests is deployed'
run redis-cli tests/clients/redis_cli.sh "$port" "$cluster_port"
run hiredis "$build/tests/clients/hiredis_client" "$port"
if command -v node >/dev/null && command -v npm >/dev/null &&
	{ flock 9 && npm_packages; } 9<"$PWD/build-test"; then
	run ioredis node "$scripts/ioredis.js" single "$port"
	run 'ioredis cluster' node "$scripts/ioredis.js" cluster "$cluster_port"
	run node-redis node "$scripts/node_redis.js" single "$port"
	run 'node-redis cluster' node "$scripts/node_redis.js" cluster "$cluster_port"
else
	echo 'node, npm or the network is missing: ioredis and node-redis are skipped'
	skipped=$((skipped + 4))
fi
status=0
stop_server || status=$?
result "$status" 'the server ends cleanly afterwards'
[ "$status" -eq 0 ] || tail -n 60 "$work/data.log"
finish
