#!/bin/bash
# The durable handler call: Kalix beside Redis FCALL with appendfsync always, the same bytes from
# the same load generator, one server after the other, several times; the whole of each server on
# CPU 0, the load on CPU 1. Prints every run, then medians and their ratio.
#
#   tests/bench/redis.sh [ROUNDS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} seconds=${2:-5}
command -v redis-server >/dev/null || {
	echo 'redis-server is not installed (package redis-server): nothing to compare with'
	exit 1
}
./run tree build
make -s -C build -j"$(nproc)" tests/bench/resp_load
work=$(mktemp -d "$PWD/build/redis-bench.XXXXXX")
pids=()
cleanup() {
	local pid
	for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

free_port() { # two tests may race for one; then the server says so and the run ends
	local port
	for _ in $(seq 100); do
		port=$((20000 + RANDOM % 20000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
			echo "$port"
			return
		}
	done
	return 1
}
wait_for() { # PORT: answers PING
	for _ in $(seq 200); do
		if [ "$(redis-cli -p "$1" ping 2>/dev/null)" = PONG ]; then return; fi
		sleep 0.05
	done
	echo "no server answers at port $1" >&2
	return 1
}
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
# What the host took from this machine, where it is a virtual one: latencies are its doing then.
steal_ticks() { awk '/^cpu / { print $9 }' /proc/stat; }

redis_port=$(free_port)
kalix_port=$(free_port)
mkdir "$work/redis"
taskset -c 0 redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$work/redis" \
	--appendonly yes --appendfsync always --save '' --auto-aof-rewrite-percentage 0 \
	--daemonize no >"$work/redis.log" 2>&1 &
redis_pid=$!
pids+=("$redis_pid")
taskset -c 0 build/bin/kalixd --data "$work/kalix" --port "$kalix_port" --cluster-port 0 \
	--cores 1 --mode production >"$work/kalix.log" 2>&1 &
kalix_pid=$!
pids+=("$kalix_pid")
wait_for "$redis_port"
wait_for "$kalix_port"
redis-cli -p "$redis_port" -x function load <tests/bench/redis.lua >/dev/null
build/bin/kalix-admin --node "127.0.0.1:$kalix_port" app deploy tests/bench/cart >/dev/null

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
one_run() { # NAME PORT PID ARGUMENTS...
	local name=$1 port=$2 pid=$3 before line stolen
	shift 3
	before=$(cpu_ticks "$pid")
	stolen=$(steal_ticks)
	line=$(taskset -c 1 build/tests/bench/resp_load "$port" --seconds "$seconds" "$@")
	echo "$name $line cpu_s=$(awk -v t="$(($(cpu_ticks "$pid") - before))" \
		'BEGIN { printf "%.2f", t / 100 }') steal_ms=$((($(steal_ticks) - stolen) * 10))"
}
compare() { # TITLE ARGUMENTS...
	local title=$1
	shift
	echo "== $title"
	for _ in $(seq "$rounds"); do
		one_run redis "$redis_port" "$redis_pid" "$@" | tee -a "$work/runs"
		one_run kalix "$kalix_port" "$kalix_pid" "$@" | tee -a "$work/runs"
	done
	local server field redis_value kalix_value
	for field in rate p50_us p99_us; do
		for server in redis kalix; do
			grep "^$server " "$work/runs" | sed "s/.* $field=\([0-9.]*\).*/\1/" |
				median >"$work/$server.median"
		done
		redis_value=$(cat "$work/redis.median")
		kalix_value=$(cat "$work/kalix.median")
		awk -v f="$field" -v r="$redis_value" -v k="$kalix_value" 'BEGIN {
			printf "%-8s redis %10.0f   kalix %10.0f   ", f, r, k
			printf "kalix/redis %.2f\n", k / r }'
	done
	rm "$work/runs"
}

compare 'closed loop, 50 connections x 1' --connections 50 --pipeline 1
compare 'closed loop, 50 connections x 16' --connections 50 --pipeline 16
compare 'open loop, 20,000 calls a second, 50 connections' --connections 50 --rate 20000
