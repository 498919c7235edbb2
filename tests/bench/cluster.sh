#!/bin/bash
# A cluster of three nodes beside etcd with three and Redis with a primary and two replicas, all on
# loopback of this machine, every node syncing: the same bytes from as many connections, one system
# after the other in each round, several rounds. Prints every run, then medians, ratios and what is
# aimed at.
#
#   tests/bench/cluster.sh [ROUNDS] [SECONDS]
#
# What each is asked:
#   put    key of about 8 bytes, value of 200: etcd KV/Put at its leader; Redis FCALL set and WAIT 1
#          in one write; Kalix FCALL set of tests/bench/cart/kv.lua
#   get    the same keys: etcd KV/Range, linearizable, at its leader; Kalix FCALL get, a query
#          (etcd-go is etcd by its own client, clientv3, where Debian's golang-go and
#          golang-etcd-server-dev are installed: that costs more of the processors)
#   item   FCALL add_item of redis.lua and of cart/cart.lua, a state of 12 items: Redis with WAIT 1
# Clients of Kalix follow its map: each connection asks the node that leads (`proxied` beside it:
# all of them at one node, which forwards two of three calls). Nothing is pinned to a processor;
# each node of Kalix has one thread that serves and one log (--cores 1 --stores 1; KALIX_CORES of
# both), as Redis has, etcd as many threads as it likes. There are 12 shards, four for each thread
# (KALIX_SHARDS; with 1 there is one group with one leader, as etcd and Redis have). The systems
# that are not asked are up and idle; what that costs is printed first.
set -euo pipefail
cd "$(dirname "$0")/../.."
rounds=${1:-5} seconds=${2:-3} cores=${KALIX_CORES:-1} shards=${KALIX_SHARDS:-12}
for program in etcd etcdctl redis-server redis-cli; do
	command -v "$program" >/dev/null && continue
	echo "no $program here (packages etcd-server, etcd-client, redis-server): not compared"
	exit 0
done
pkg-config --exists libnghttp2 || {
	echo 'no libnghttp2 here (package libnghttp2-dev) for the load of etcd: not compared'
	exit 0
}
# The library may have come after the tree was configured.
if [ -f build/Makefile ] && ! grep -q '^HAVE_NGHTTP2_TRUE *= *$' build/Makefile; then
	(cd build && ./config.status --recheck && ./config.status) >/dev/null
fi
programs=(tests/bench/resp_load tests/bench/etcd_load)
. tests/bench/lib.sh
kalix_flags=(--stores "$cores" --shards "$shards")
load=$build/tests/bench
# etcd by its own client, too, where Debian's sources of that are here.
etcd_client=$build/tests/bench/etcd_client
if ! command -v go >/dev/null || [ ! -d /usr/share/gocode/src/go.etcd.io/etcd/clientv3 ]; then
	echo 'no golang-go or golang-etcd-server-dev here: etcd is not asked by its own client'
	etcd_client=
else
	GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS='' go build -o "$etcd_client" \
		tests/bench/etcd_client.go
fi
entities=10000 value=200

free_port() { # two may race for one; then a server says so and the run ends
	local port
	for _ in $(seq 100); do
		port=$((20000 + RANDOM % 12000))
		(exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || {
			echo "$port"
			return
		}
	done
	return 1
}

# etcd: nodes 11 to 13.
etcd_up() {
	local node all='' client=() peer=()
	for node in 1 2 3; do
		client[node]=$(free_port) peer[node]=$(free_port)
		all+=${all:+,}n$node=http://127.0.0.1:${peer[node]}
	done
	for node in 1 2 3; do
		etcd --name "n$node" --data-dir "$work/etcd.$node" --logger zap --log-level error \
			--listen-client-urls "http://127.0.0.1:${client[node]}" \
			--advertise-client-urls "http://127.0.0.1:${client[node]}" \
			--listen-peer-urls "http://127.0.0.1:${peer[node]}" \
			--initial-advertise-peer-urls "http://127.0.0.1:${peer[node]}" \
			--initial-cluster "$all" --initial-cluster-state new \
			>"$work/etcd.log.$node" 2>&1 &
		pid[10 + node]=$!
	done
	etcd_all=127.0.0.1:${client[1]},127.0.0.1:${client[2]},127.0.0.1:${client[3]}
	wait_for 60 etcd_leader
}
etcd_leader() { # its client port, in `etcd_port`; leaders may change between two runs
	etcd_port=$(ETCDCTL_API=3 etcdctl --endpoints "$etcd_all" endpoint status -w fields |
		awk '/"MemberID"/ { member = $3 } /"Leader"/ { leads = $3 == member }
			/"Endpoint"/ { if (leads) { gsub(/.*:|"/, "", $3); print $3 } }')
	[ -n "$etcd_port" ]
}

# Redis: 21, and its replicas 22 and 23.
redis_up() {
	local node follows ports=()
	for node in 1 2 3; do
		ports[node]=$(free_port) follows=()
		if [ "$node" -gt 1 ]; then follows=(--replicaof 127.0.0.1 "${ports[1]}"); fi
		mkdir "$work/redis.$node"
		redis-server --port "${ports[node]}" --bind 127.0.0.1 --dir "$work/redis.$node" \
			--appendonly yes --appendfsync always --save '' \
			--auto-aof-rewrite-percentage 0 --repl-diskless-sync-delay 0 \
			"${follows[@]}" --daemonize no >"$work/redis.log.$node" 2>&1 &
		pid[20 + node]=$!
	done
	redis_port=${ports[1]}
	wait_for 60 redis_has_replicas
	redis-cli -p "$redis_port" -x function load <tests/bench/redis.lua >/dev/null
}
redis_has_replicas() {
	[ "$(redis-cli -p "$redis_port" info replication | grep -c 'state=online')" = 2 ]
}

declare -A processes
etcd_up
redis_up
kalix_up
processes=([etcd]="${pid[11]} ${pid[12]} ${pid[13]}"
	[etcd-go]="${pid[11]} ${pid[12]} ${pid[13]}" [redis]="${pid[21]} ${pid[22]} ${pid[23]}"
	[kalix]="${pid[1]} ${pid[2]} ${pid[3]}")

about_the_machine
echo "etcd $(etcd --version | sed -n 's/etcd Version: //p')," \
	"$(redis-server --version | sed 's/.*v=\([0-9.]*\).*/Redis \1/')," \
	"Kalix with --cores $cores --stores $cores --shards $shards;" \
	"values of $value bytes, $entities keys"

# Of all processors, what was stolen by the host included.
busy_ticks() { awk '/^cpu / { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat; }

# One run. `system` stands before the line, what is asked behind that; and then what the servers
# took of a processor, and everything else but the load: the kernel's own threads, which do much of
# the writing, and whatever else runs here.
one_run() { # SYSTEM WHAT PIPELINE COMMAND...
	local system=$1 what=$2 pipeline=$3 before busy line
	shift 3
	busy=$(busy_ticks)
	# shellcheck disable=SC2086 # three of them
	before=$(processor_ticks ${processes[$system]})
	line=$("$@" --pipeline "$pipeline" --seconds "$seconds" --entities "$entities" \
		--seed "$RANDOM") || echo "the load for $system ended with an error"
	# shellcheck disable=SC2086
	line+=$(awk -v t="$(($(processor_ticks ${processes[$system]}) - before))" \
		-v b="$(($(busy_ticks) - busy))" -v s="$seconds" \
		-v l="$(field load_cpu <<<"$line")" 'BEGIN {
			s += 0.5
			printf " server_cpu=%.2f", t / 100 / s
			printf " rest_cpu=%.2f", (b - t) / 100 / s - l }')
	echo "$system $what $pipeline $line" | tee -a "$work/runs"
	sleep 0.3 # whatever it does afterwards is not the next one's
}
etcd_put() { one_run etcd put "$1" "$load/etcd_load" "$etcd_port" put --value "$value"; }
etcd_get() { one_run etcd get "$1" "$load/etcd_load" "$etcd_port" get --value "$value"; }
etcd_own() { # WHAT PIPELINE
	if [ -n "$etcd_client" ]; then
		one_run etcd-go "$1" "$2" "$etcd_client" "$etcd_port" "$1" --value "$value"
	fi
}
redis_put() {
	one_run redis put "$1" "$load/resp_load" "$redis_port" --wait 1 --type kv --function set \
		--value "$value"
}
redis_item() { one_run redis item "$1" "$load/resp_load" "$redis_port" --wait 1; }
at_kalix() { # WHAT PIPELINE ARGUMENT...
	local what=$1 pipeline=$2
	shift 2
	one_run kalix "$what" "$pipeline" "$load/resp_load" "${cluster_port[1]}" --cluster "$@"
}
kalix_put() { at_kalix put "$1" --type kv --function set --value "$value"; }
kalix_get() { at_kalix get "$1" --type kv --function get --value "$value" --read; }
kalix_item() { at_kalix item "$1"; }
kalix_proxied() {
	one_run kalix proxied "$1" "$load/resp_load" "${port[1]}" --type kv --function set \
		--value "$value"
}

# Keys are there before they are read, and all processes have been busy once.
"$load/etcd_load" "$etcd_port" put --value "$value" --entities "$entities" --pipeline 16 --each \
	>/dev/null
"$load/resp_load" "${port[1]}" --type kv --function set --value "$value" --entities "$entities" \
	--pipeline 16 --each >/dev/null
sleep 3
declare -A idle=()
# shellcheck disable=SC2086 # three of them
for system in etcd redis kalix; do idle[$system]=$(processor_ticks ${processes[$system]}); done
sleep 5
# shellcheck disable=SC2086
for system in etcd redis kalix; do
	used=$(($(processor_ticks ${processes[$system]}) - idle[$system]))
	echo "$system idle: $(awk -v t="$used" 'BEGIN { printf "%.1f", t / 5 }') % of a core," \
		'three nodes together'
done

for _ in $(seq "$rounds"); do
	etcd_leader
	for pipeline in 1 16; do
		etcd_put "$pipeline"
		etcd_own put "$pipeline"
		redis_put "$pipeline"
		kalix_put "$pipeline"
		etcd_get "$pipeline"
		etcd_own get "$pipeline"
		kalix_get "$pipeline"
		redis_item "$pipeline"
		kalix_item "$pipeline"
		kalix_proxied "$pipeline"
	done
done

of_runs() { # SYSTEM WHAT PIPELINE FIELD: the median
	grep "^$1 $2 $3 " "$work/runs" | field "$4" | median
}
echo
echo 'medians, of 50 connections:'
for what in put get item proxied; do
	for pipeline in 1 16; do
		for system in etcd etcd-go redis kalix; do
			grep -q "^$system $what $pipeline " "$work/runs" || continue
			printf '%-7s %-8s 50 x %-3s %8s calls/s   p50 %7s us   p99 %7s us   ' \
				"$system" "$what" "$pipeline" \
				"$(of_runs "$system" "$what" "$pipeline" rate)" \
				"$(of_runs "$system" "$what" "$pipeline" p50_us)" \
				"$(of_runs "$system" "$what" "$pipeline" p99_us)"
			printf 'processors: servers %s, load %s, the rest %s\n' \
				"$(of_runs "$system" "$what" "$pipeline" server_cpu)" \
				"$(of_runs "$system" "$what" "$pipeline" load_cpu)" \
				"$(of_runs "$system" "$what" "$pipeline" rest_cpu)"
		done
	done
done
echo
compare() { # KALIX'S WHAT, PEER, ITS WHAT, PIPELINE, GOAL
	awk -v k="$(of_runs kalix "$1" "$4" rate)" -v p="$(of_runs "$2" "$3" "$4" rate)" \
		-v what="Kalix $1 / $2 $3, 50 x $4" -v goal="$5" \
		'BEGIN { printf "%-36s %7.2f   aim %s\n", what, k / p, goal }'
}
compare put etcd put 1 10
compare put etcd put 16 20
compare get etcd get 1 12
compare get etcd get 16 30
if [ -n "$etcd_client" ]; then
	compare put etcd-go put 1 10
	compare put etcd-go put 16 20
	compare get etcd-go get 1 12
	compare get etcd-go get 16 30
fi
compare item redis item 1 2.5
compare item redis item 16 5
compare put redis put 1 2.5
compare put redis put 16 5
echo "$(grep -c ' errors=0 ' "$work/runs") of $(wc -l <"$work/runs") runs without an error"
