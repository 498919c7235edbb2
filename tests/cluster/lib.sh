# shellcheck shell=bash disable=SC2034
# What the scripts of tests/cluster share: nodes of one cluster on loopback, on free ports, over
# directories that go at the end. To be sourced from the top of the tree. Every wait ends.
#
#   start_node N [FLAG...]   node N, 1, 2, ...; waits until it is ready. The first one founds the
#                            cluster, the others join it where their directory is new.
#   launch_node N [FLAG...], await_ready N   the same in two steps: nodes that need each other
#   pid[N] port[N] cluster_port[N] peer_port[N]
#   host[N] place[N]         where it is, if that is not loopback, and the words in front of a
#                            command that is to run there; place[0]: of clients
#   stop_node N, kill_node N SIGTERM (its status in `status`), SIGKILL
#   admin N ..., call N ...  kalix-admin, redis-cli CALL at node N, as a client, with `password`;
#                            longer than any of them waits, they are ended, which is said
#   info N NAME              a figure of INFO of node N, which is on loopback
#   fill_blobs COUNT BYTES FACT   entities b1 to b$COUNT of blob/, each of so many, through node 1
#   rate RATE N...           how much of snapshots these nodes send
#   sum N                    of the counters n1 to n$counters of counter/, as node N reads them
#   own_sum N                the same, of its own replicas where it has some: then they have it all
#   wait_for SECONDS COMMAND...  until the command succeeds; fails after that time
#   no_complaints PATTERN    a fact: no log has an assertion that failed, nor what the ERE says
#   history_is_linear PROGRAM   the facts that it tells of the file history
#   fact NAME PATTERN COMMAND... passes if the output (both streams) has a line that matches the ERE
#   soon NAME PATTERN COMMAND... as fact, of what comes true by itself: within half a minute
set -euo pipefail
. tests/runner/counts.sh
. tests/runner/processes.sh
build=$PWD/${KALIX_BUILD:-build-test}
if [ -z "${KALIX_BUILD:-}" ]; then ./run tree test; fi
kalixd=$build/bin/kalixd kalix_admin=$build/bin/kalix-admin
work=$(mktemp -d "$build/cluster.XXXXXX")
declare -a pid=() port=() cluster_port=() peer_port=() host=() place=()
status=0 counters=0 password=''
cleanup() {
	local node
	for node in "${!pid[@]}"; do
		[ -n "${pid[node]}" ] || continue
		kill -9 "${pid[node]}" 2>/dev/null || true
		wait "${pid[node]}" 2>/dev/null || true
	done
	rm -rf "$work"
}
trap cleanup EXIT

# Nodes that restart have the ports that they had.
host_of() { echo "${host[$1]:-127.0.0.1}"; }

# All others that were ever there: some of them may be gone.
join_of() {
	local node
	for node in "${!peer_port[@]}"; do
		if [ "$node" -ne "$1" ] && [ -n "${peer_port[node]}" ]; then
			echo "$(host_of "$node"):${peer_port[node]}"
		fi
	done | paste -sd,
}

launch_node() {
	local node=$1 join=() there
	shift
	read -ra there <<<"${place[node]:-}"
	rm -f "$work/ready.$node"
	if [ "$node" -gt 1 ]; then join=(--join "$(join_of "$node")"); fi
	"${there[@]}" "$kalixd" --data "$work/data.$node" --port "${port[node]:-0}" \
		--cluster-port "${cluster_port[node]:-0}" --peer-port "${peer_port[node]:-0}" \
		--cores "${cores:-2}" --ready-file "$work/ready.$node" "${join[@]}" "$@" \
		>>"$work/log.$node" 2>&1 &
	pid[node]=$!
}

await_ready() {
	local node=$1
	if ready_or_ended "${pid[node]}" "$work/ready.$node"; then
		port[node]=$(sed -n 's/^port=//p' "$work/ready.$node")
		cluster_port[node]=$(sed -n 's/^cluster_port=//p' "$work/ready.$node")
		peer_port[node]=$(sed -n 's/^peer_port=//p' "$work/ready.$node")
		return 0
	fi
	status=0
	kill -9 "${pid[node]}" 2>/dev/null || true
	wait "${pid[node]}" 2>/dev/null || status=$?
	pid[node]=''
	return 1
}

start_node() { launch_node "$@" && await_ready "$1"; }

must_start() { launch_node "$@" && must_be_ready "$1"; }
must_be_ready() {
	await_ready "$1" || {
		echo "node $1 did not start:"
		tail -n 20 "$work/log.$1"
		exit 1
	}
}

kill_node() {
	kill -9 "${pid[$1]}"
	wait "${pid[$1]}" 2>/dev/null || true
	pid[$1]=''
}

# Waits for its end, and helps after half a minute.
stop_node() {
	kill "${pid[$1]}" 2>/dev/null || true
	await_end "$1"
}
await_end() {
	await_process "${pid[$1]}"
	pid[$1]=''
}

admin() {
	local node=$1 there
	shift
	there=() && read -ra there <<<"${place[0]:-}"
	in_time 300 "${there[@]}" "$kalix_admin" \
		--node "${password:+default:$password@}$(host_of "$node"):${port[node]}" "$@"
}
call() {
	local node=$1 there
	shift
	there=() && read -ra there <<<"${place[0]:-}"
	[ -z "$password" ] || there+=(env "REDISCLI_AUTH=$password")
	in_time 120 "${there[@]}" redis-cli -h "$(host_of "$node")" \
		-p "${port[node]}" CALL "$@"
}

info() {
	in_time 120 redis-cli -h 127.0.0.1 -p "${port[$1]}" INFO | tr -d '\r' |
		sed -n "s/^$2://p"
}

sum() {
	local node=$1 total=0 i
	for i in $(seq "$counters"); do total=$((total + $(call "$node" "counter/n$i" get))); done
	echo "$total"
}
own_sum() {
	{
		echo READONLY
		seq -f 'CALL counter/n%g get' "$counters"
	} | in_time 120 redis-cli -h 127.0.0.1 -p "${port[$1]}" |
		awk 'NR > 1 { total += $1 } END { print total }'
}

fill_blobs() {
	local count=$1 bytes=$2 i
	fact 'the app is there' 'every shard has it active' \
		admin 1 app deploy tests/cluster/blob --yes
	for i in $(seq "$count"); do
		call 1 "blob/b$i" fill "{\"bytes\":$bytes}" >>"$work/filled"
	done
	fact "$3" "^$count\$" grep -c "^$bytes\$" "$work/filled"
}

rate() {
	local rate=$1 node
	shift
	for node in "$@"; do admin "$node" config set snapshot_rate "$rate" >"$work/set"; done
}

wait_for() {
	local seconds=$1 end=$((SECONDS + $1))
	shift
	while ! "$@" >"$work/waited" 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not after $seconds seconds: $*"
			tail -n 5 "$work/waited"
			return 1
		fi
		sleep 0.1
	done
}

tells() { # PATTERN COMMAND...
	local pattern=$1
	shift
	"$@" >"$work/told" 2>&1 || true
	grep -qE -- "$pattern" "$work/told"
}
fact_within() { # SECONDS NAME PATTERN COMMAND...
	local last=$((SECONDS + $1)) name=$2
	bad=0
	shift 2
	until tells "$@"; do
		[ "$SECONDS" -lt "$last" ] || {
			bad=1
			break
		}
		sleep 0.1
	done
	result "$bad" "$name"
	if [ "$bad" -ne 0 ]; then tail -n 5 "$work/told" | sed 's/^/    /'; fi
}
fact() { fact_within 0 "$@"; }
soon() { fact_within 30 "$@"; }

no_complaints() {
	bad=0
	grep -hE "assertion_failed|$1" "$work"/log.* >"$work/bad" || bad=1
	result $((1 - bad)) 'no node complains of itself'
	head -n 10 "$work/bad"
}

history_is_linear() {
	"$1" check "$work/history" >"$work/verdict" || true
	cat "$work/verdict"
	results "$work/verdict"
}
