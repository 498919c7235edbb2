# shellcheck shell=bash disable=SC2034,SC2154
# What faults.sh has around its schedules: the network, a cluster in it, the course of one fault.
#
#   nodes               the numbers of those that there are
#   net WORDS...        a command of wire.c; networked: whether there is a network to command
#   cut_off A... / B... nothing passes between those before and those behind the slash
#   fault NAME SECONDS  load, `fault_NAME SECONDS`, heal, and everything that has to hold
history=$build/tests/cluster/history
seed=${FAULTS_SEED:-1} shards_wanted=${FAULTS_SHARDS:-128} times=${FAULTS_TIMES:-1}
round=0 wire_pid='' networked=0
declare -a nodes=()
RANDOM=$seed
shopt -s extglob

faults_end() {
	if [ -n "${FAULTS_KEEP:-}" ]; then
		mkdir -p "$FAULTS_KEEP"
		cp -r "$work"/log* "$work"/history.* "$work"/events.* "$FAULTS_KEEP" \
			2>/dev/null || true
	fi
	[ -z "${load:-}" ] || kill -9 "$load" 2>/dev/null || true
	local node
	for node in "${!pid[@]}"; do
		[ -z "${pid[node]}" ] || kill -9 "${pid[node]}" 2>/dev/null || true
	done
	[ -z "$wire_pid" ] || kill "$wire_pid" 2>/dev/null || true
	for node in "$work"/data.*; do
		! mountpoint -q "$node" || umount -l "$node"
	done
	cleanup
}
trap faults_end EXIT

# ---- The network ----

net() {
	local answer=''
	echo "$*" >&"$net_to"
	read -r -t 10 answer <&"$net_from" || true
	net_answer=$answer
	[ -n "$answer" ] && [ "$answer" != 'what?' ]
}

# Where no namespaces are permitted wire says so and ends, perhaps before the pipe to it is opened
# here: whoever opens that to write alone waits for a reader for ever.
network_begins() {
	local answer=''
	networked=0
	if [ -n "${FAULTS_LOOPBACK:-}" ]; then return; fi
	rm -f "$work/net.to" "$work/net.from"
	mkfifo "$work/net.to" "$work/net.from"
	exec {net_to}<>"$work/net.to"
	"$build/tests/cluster/wire" 16 "$seed" <"$work/net.to" >"$work/net.from" &
	wire_pid=$!
	exec {net_from}<"$work/net.from"
	read -r -t 60 answer <&"$net_from" || true
	case $answer in
	ready) ;;
	'not permitted'*)
		echo "    on loopback, without faults of the network: $answer"
		network_ends
		return 0
		;;
	*)
		echo "no answer of wire within 60 seconds: '$answer'"
		exit 1
		;;
	esac
	networked=1 password=not-a-secret
	head -c 32 /dev/urandom | base64 >"$work/secret"
	echo "$password" >"$work/password"
	where 0
}
network_ends() {
	kill "$wire_pid" 2>/dev/null || true
	await_process "$wire_pid"
	wire_pid=''
	exec {net_from}<&- {net_to}>&-
}

where() {
	place[$1]="nsenter --net=/proc/$wire_pid/fd/$((100 + $1)) --"
	host[$1]=10.77.0.$((10 + $1))
}

cut_off() {
	local a b left=() behind=0
	for a in "$@"; do
		if [ "$a" = / ]; then
			behind=1
		elif [ "$behind" -eq 0 ]; then
			left+=("$a")
		else
			for b in "${left[@]}"; do net cut "$a" "$b" && net cut "$b" "$a"; done
		fi
	done
}

# between COMMAND MORE...: of each node to each other.
between() {
	local a b what=$1
	shift
	for a in "${nodes[@]}"; do
		for b in "${nodes[@]}"; do [ "$a" -eq "$b" ] || net "$what" "$a" "$b" "$@"; done
	done
}

# ---- Nodes ----

others() {
	local node
	for node in "${nodes[@]}"; do [ "$node" -eq "$1" ] || echo "$node"; done
}
any_node() { echo "${nodes[RANDOM % ${#nodes[@]}]}"; }

# The node's clock is off by what stands in its file, from the first start on.
launch() {
	local node=$1 flags=()
	if [ "$networked" -eq 1 ]; then
		where "$node"
		port[node]=7470 peer_port[node]=7471 cluster_port[node]=7472
		flags=(--bind "${host[node]}" --password-file "$work/password"
			--cluster-secret-file "$work/secret")
	fi
	[ -e "$work/clock.$node" ] || echo 0 >"$work/clock.$node"
	case ${place[node]:-} in
	*LD_PRELOAD*) ;;
	*) place[node]="${place[node]:-} env KX_CLOCK_JUMP=$work/clock.$node \
LD_PRELOAD=$build/tests/cluster/clock_jump.so" ;;
	esac
	launch_node "$node" --shards "$shards_wanted" --reads "$reads" "${flags[@]}"
}

arrive() {
	local node=$1
	must_be_ready "$node"
	{
		echo "host=$(host_of "$node")"
		[ -z "$password" ] || echo "password=$password"
		echo "port=${port[node]}"
	} >"$work/node.new"
	mv "$work/node.new" "$work/node.$node"
}
start() { launch "$1" && arrive "$1"; }
jump() {
	echo "$2" >"$work/clock.new"
	mv "$work/clock.new" "$work/clock.$1"
}
well() { admin "${nodes[0]}" cluster status --wait "$1"; }

# disk_of N MIB: a file system of its own, in memory.
disk_of() {
	mkdir -p "$work/data.$1"
	mount -t tmpfs -o "size=$2m" tmpfs "$work/data.$1" 2>/dev/null
}

cluster_begins() {
	local node begin=$SECONDS
	kind=$1 size=$1 reads=quorum
	if [ "$kind" = lease ]; then size=3 reads=lease; fi
	nodes=() disk=0 first_round=$((round + 1)) cores=$((size > 3 ? 1 : 2))
	rm -rf "$work"/data.* "$work"/node.* "$work"/ready.* "$work"/clock.*
	pid=() port=() cluster_port=() peer_port=() host=() place=()
	network_begins
	for node in $(seq "$size"); do
		if [ "$node" -le 3 ] && disk_of "$node" 1024; then disk=1; fi
		start "$node"
		if [ "$node" -eq 1 ]; then
			fact "the app is deployed, of $size nodes" 'every shard has it active' \
				admin 1 app deploy tests/cluster/cell --yes
		fi
		nodes+=("$node")
	done
	next_node=$((size + 1))
	fact "$size nodes are a cluster" '^well: survives 1 failure' well 90
	[ "$reads" = quorum ] ||
		fact 'they read by leases' '^reads +lease +flag' admin 1 config get reads
	echo "    after $((SECONDS - begin)) s"
}

cluster_ends() {
	local node bad=0
	: >"$work/handed"
	agree >"$work/agreed" 2>&1
	echo "    $(sort -u "$work/handed" | wc -l) times another replica led"
	status=0
	[ ! -s "$work/agreed" ] || status=1
	result "$status" "each replica leads, and tells the same of $(wc -l <"$work/values") cells"
	head -n 20 "$work/agreed"
	for node in "${nodes[@]}"; do kill "${pid[node]}"; done
	for node in "${nodes[@]}"; do
		await_end "$node"
		result "$status" "node $node ends cleanly, all at once"
	done
	[ -z "$wire_pid" ] || network_ends
	for node in "$work"/data.*; do
		! mountpoint -q "$node" || umount -l "$node"
	done
	no_complaints 'panic|level=error'
	mkdir -p "$work/logs.$kind"
	mv "$work"/log.* "$work/logs.$kind"
}

entity_of() { echo "cell/$(((seed * 100 + round) * 24 + $1))"; }
value_of() { call "$1" "$(entity_of "$2")" get TIMEOUT "${3:-5000}"; }

# ---- Whether all replicas have the same ----

# led_otherwise TURN: "SHARD NODE" for each shard that is not led by the one of its replicas whose
# turn it is. Leaders stay even over the nodes, or the cluster would even them out.
led_otherwise() {
	admin "${nodes[0]}" shard list | sed 's/^ *//' |
		awk -F '  +' -v turn="$1" '$1 ~ /^[1-9]/ {
			count = split($3, voters, " ")
			lead = voters[($1 + int($1 / 3) + turn) % count + 1]
			if ($2 != lead) print $1, lead
		}'
}

# What a node tells of the cells of all rounds.
tell_all() {
	local last=$round round
	for round in $(seq "$first_round" "$last"); do ask "$1" 8000; done
}

# All replicas lead in turn, and tell the same.
agree() {
	local turn shard node asked
	tell_all "${nodes[0]}" >"$work/values"
	for turn in 0 1 2; do
		for _ in $(seq 20); do
			led_otherwise "$turn" >"$work/rest"
			[ -s "$work/rest" ] || break
			asked=()
			while read -r shard node; do
				admin "${nodes[0]}" shard leader "$shard" "$node" >/dev/null 2>&1 &
				asked+=($!)
				echo "$turn $shard" >>"$work/handed"
			done < <(head -n 24 "$work/rest")
			wait "${asked[@]}" || true
			sleep 0.3
		done
		# With five nodes the turns are not even: a few go back before they are seen.
		[ "$(wc -l <"$work/rest")" -le 3 ] ||
			sed 's/^/not led (shard, by node): /' "$work/rest"
		tell_all "${nodes[turn]}" | diff "$work/values" - || echo "turn $turn differs"
	done
	grep -v '"value"' "$work/values" || true
}

# ---- One fault ----

load_begins() {
	round=$((round + 1))
	rm -f "$work/history" "$work/complaints"
	local places=() node
	for node in $(seq 16); do places+=("$work/node.$node"); done
	"${there[@]}" "$history" run "$work/history.$round" 600 "$((seed * 100 + round))" \
		"${places[@]}" 2>"$work/complaints" &
	load=$!
}

# A fault of the network is one: packets were lost, or late.
touches_packets() {
	local what=lost was is
	case " $loopback_faults " in *" $1 "*) return ;; esac
	case $1 in delay | late) what=delayed ;; esac
	was=${2#*"$what"=} is=${3#*"$what"=}
	status=0
	[ "${is%% *}" -gt "${was%% *}" ] || status=1
	result "$status" "$1: $((${is%% *} - ${was%% *})) packets were $what"
}

fault() {
	local name=$1 seconds=$2 healed there begin=$SECONDS before='' node
	case $seconds in *[!0-9]*) seconds=$((${default_seconds[$name]:-4} * times)) ;; esac
	declare -F "fault_${name//-/_}" >/dev/null || {
		result 1 "there is a fault $name"
		return 0
	}
	case " $loopback_faults " in
	*" $name "*) ;;
	*)
		[ "$networked" -eq 1 ] || {
			echo "    $name: skipped, it needs network namespaces"
			skipped=$((skipped + 1))
			return 0
		}
		;;
	esac
	read -ra there <<<"${place[0]:-}"
	echo "== $name, ${#nodes[@]} nodes, reads = $reads, $seconds s"
	[ "$networked" -eq 0 ] || { net count && before=$net_answer; }
	load_begins
	sleep 1
	"fault_${name//-/_}" "$seconds"
	[ "$networked" -eq 0 ] || {
		net count
		echo "    network: $net_answer"
		touches_packets "$name" "$before" "$net_answer"
		net heal
	}
	healed=$("$history" now)
	fact "$name: all is well again" "^well: survives 1 failure" well 60
	for node in "${nodes[@]}"; do
		fact "$name: node $node serves all" '^24 served' serves "$node"
	done
	kill "$load"
	await_process "$load" "$load_ends_s_max"
	load=''
	result "$status" "$name: all nodes tell in the end what there is"
	head -n 5 "$work/complaints"
	judge "$name" "$healed"
	echo "    $((SECONDS - begin)) s"
}

# The history as it was written, and as any other checker would read it.
judge() {
	local name=$1 healed=$2 recovered
	for form in history events; do
		status=0
		if [ "$form" = history ]; then
			set -- "$work/history.$round" --export "$work/events.$round" \
				--healed "$healed"
		else
			set -- "$work/events.$round"
		fi
		"$history" check "$@" >"$work/verdict" || status=$?
		sed "s/^\(not \)\?ok /&$name, as $form: /" "$work/verdict"
		results "$work/verdict"
		[ "$form" = events ] || recovered=$(sed -n 's/.*recovered_ms=\([0-9]*\).*/\1/p' \
			"$work/verdict")
	done
	status=0
	[ "${recovered:-99999}" -le "$recovered_ms_max" ] || status=1
	result "$status" "$name: $recovered_ms_max ms behind it every cell is served"
}
recovered_ms_max=10000
# The last write with a token, and what all nodes tell in the end (TOKEN_MS, LAST_MS of history.c),
# and the answers that are under way then.
load_ends_s_max=150
