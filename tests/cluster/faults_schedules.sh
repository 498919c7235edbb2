# shellcheck shell=bash disable=SC2034,SC2154
# The faults: fault_NAME SECONDS does what its name says for so long, with facts that hold
# meanwhile. What is cut heals behind it.
all_faults=(majority minority one-way delay late loss kill9 kill-all pause full-disk clock
	stand-still rolling-restart rolling-replace mixed
	majority@5 minority@5 one-way@5 ring@5 bridge@5 kill9@5 kill-all@5 pause@5 rolling-replace@5
	mixed@5
	majority@lease minority@lease one-way@lease delay@lease pause@lease stand-still@lease
	clock@lease mixed@lease)
loopback_faults='kill9 kill-all pause stand-still full-disk clock'
loopback_faults+=' rolling-restart rolling-replace'
declare -A default_seconds=([kill9]=6 [kill-all]=1 [stand-still]=2 [rolling-restart]=1
	[rolling-replace]=1 [mixed]=12)

# ask NODE TIMEOUT_MS [WORD...]: each cell of this round at once; "N answer", a line each. With
# words, other cells, that no history has.
ask() {
	local node=$1 timeout=$2 i
	local -a asked=()
	shift 2
	for i in $(seq 0 23); do
		if [ $# -eq 0 ]; then
			value_of "$node" "$i" "$timeout" >"$work/answer.$node.$i" 2>&1 &
		else
			call "$node" "cell/$i" "$@" TIMEOUT "$timeout" \
				>"$work/answer.$node.$i" 2>&1 &
		fi
		asked+=($!)
	done
	wait "${asked[@]}" || true
	for i in $(seq 0 23); do echo "$i $(cat "$work/answer.$node.$i")"; done
}

# Calls that were forwarded when a link broke may be unknown: they are asked again.
serves() {
	local count
	for _ in 1 2; do
		count=$(ask "$1" 8000 | tee "$work/lines" | grep -c '"value"' || true)
		[ "$count" -lt 24 ] || break
	done
	echo "$count served"
	grep -v '"value"' "$work/lines" || true
}

# All calls end, none with an answer, and each is one that clients know.
refuses() {
	{
		ask "$1" 1000
		ask "$1" 1000 write '{"from":0,"to":1}'
	} >"$work/lines"
	echo "$(grep -cE '^[0-9]+ (UNAVAILABLE|UNKNOWN_OUTCOME|DEADLINE_EXCEEDED) ' \
		"$work/lines" || true) refused"
	grep -vE '^[0-9]+ (UNAVAILABLE|UNKNOWN_OUTCOME|DEADLINE_EXCEEDED) ' "$work/lines" || true
}

# Each cell by one of two nodes that do not hear each other, and none by both: a shard is on three
# nodes, two of which may be on the smaller side.
one_side_serves() {
	ask "$1" 6000 >"$work/one_side"
	ask "$2" 1000 >"$work/other_side"
	cat "$work/one_side" "$work/other_side" >"$work/lines"
	echo "$(grep '"value"' "$work/lines" | cut -d' ' -f1 | sort | uniq -u | wc -l) by one side"
	grep -v '"value"' "$work/one_side" || true
}

# part A...: these are cut off from the others, until all is healed.
part() {
	local rest=() node
	for node in "${nodes[@]}"; do
		case " $* " in *" $node "*) ;; *) rest+=("$node") ;; esac
	done
	cut_off "$@" / "${rest[@]}"
	majority=("${rest[@]}")
}
# Fewer than half of them, any.
few() {
	printf '%s\n' "${nodes[@]}" |
		shuf -n "$(((${#nodes[@]} - 1) / 2))" --random-source=<(yes "$RANDOM")
}

# Clients of both sides.
fault_majority() {
	local minority
	mapfile -t minority < <(few)
	part "${minority[@]}"
	echo "    cut off: ${minority[*]}"
	sleep 2.5
	fact 'majority: each cell is served by one side, and none by both' '^24 by one side' \
		one_side_serves "${majority[0]}" "${minority[0]}"
	if [ "${#nodes[@]}" -eq 3 ]; then
		fact 'majority: it serves all' '^24 served' serves "${majority[0]}"
		fact 'majority: who is cut off answers nothing' '^48 refused' \
			refuses "${minority[0]}"
	fi
	sleep "$1"
}

# Clients of the smaller side alone.
fault_minority() {
	local minority
	mapfile -t minority < <(few)
	part "${minority[@]}"
	cut_off 0 / "${majority[@]}"
	echo "    cut off, with the clients: ${minority[*]}"
	sleep 2.5
	if [ "${#nodes[@]}" -eq 3 ]; then
		fact 'minority: it answers nothing' '^48 refused' refuses "${minority[0]}"
	fi
	sleep "$1"
}

# One hears nobody, and is heard; then it is not heard, and hears.
fault_one_way() {
	local one other
	one=$(any_node)
	for other in $(others "$one"); do net cut "$other" "$one"; done
	sleep "$(($1 / 2 + 1))"
	net heal
	one=$(any_node)
	for other in $(others "$one"); do net cut "$one" "$other"; done
	sleep "$(($1 / 2 + 1))"
}

# Of who leads the directory is asked. `led_beside NODE OTHER`: each shard that NODE leads, with a
# voter of it that is neither of the two; `lead NODE`: makes it lead what is in `shards`, or with no
# NODE who stands there.
led_beside() {
	admin "$directory" shard list | sed 's/^ *//' |
		awk -F '  +' -v lead="$1" -v other="$2" '$1 ~ /^[1-9]/ && $2 == lead {
			count = split($3, voters, " ")
			for (i = 1; i <= count; i++)
				if (voters[i] != lead && voters[i] != other) {
					print $1, voters[i]
					break
				}
		}'
}
lead() {
	local shard other
	local -a asked=()
	for shard in "${shards[@]}"; do
		read -r shard other <<<"$shard"
		admin "$directory" shard leader "$shard" "${1:-$other}" >/dev/null 2>&1 &
		asked+=($!)
	done
	wait "${asked[@]}" || true
}
late_calls() {
	local node sum=0 there=()
	read -ra there <<<"${place[0]:-}"
	for node in "${nodes[@]}"; do
		sum=$((sum + $("${there[@]}" env "REDISCLI_AUTH=$password" redis-cli \
			-h "$(host_of "$node")" -p "${port[node]}" INFO shards | tr -d '\r' |
			sed -n 's/^late_calls_refused://p')))
	done
	echo "$sum"
}

# What one node forwards to another comes late: that one has let others lead meanwhile, and leads
# again. A call names the leadership that it is for. Goes on until one has come so.
fault_late() {
	local directory from before end=$((SECONDS + $1)) last=$((SECONDS + $1 + 30))
	local -a shards
	directory=$(admin "${nodes[0]}" shard list | sed 's/^ *//' |
		awk -F '  +' '$1 == "0" { print $2 }')
	from=$(others "$directory" | head -n 1)
	before=$(late_calls)
	net delay "$from" "$directory" 2500 0
	while [ "$SECONDS" -lt "$end" ] ||
		{ [ "$SECONDS" -lt "$last" ] && [ "$(late_calls)" -eq "$before" ]; }; do
		mapfile -t shards < <(led_beside "$directory" "$from")
		lead
		sleep 0.3
		lead "$directory"
		sleep 0.7
	done
	fact 'late: who leads again refuses what was for its leadership before' '^[1-9]' \
		eval "echo $(($(late_calls) - before))"
}

# Each hears its two neighbours.
fault_ring() {
	local i k count=${#nodes[@]}
	for ((i = 0; i < count; i++)); do
		for ((k = i + 2; k < i + count - 1; k++)); do
			net cut "${nodes[i]}" "${nodes[k % count]}"
		done
	done
	sleep "$1"
}

# One in the middle hears both halves, which do not hear each other.
fault_bridge() {
	cut_off "${nodes[@]:0:$((${#nodes[@]} / 2))}" / "${nodes[@]:$((${#nodes[@]} / 2 + 1))}"
	sleep "$1"
}

fault_delay() {
	between delay 40 30
	sleep "$1"
}

fault_loss() {
	net loss '*' '*' 5
	sleep "$1"
}

fault_kill9() {
	local end=$((SECONDS + $1)) victims node
	while
		mapfile -t victims < <(few)
		echo "    SIGKILL: ${victims[*]}"
		for node in "${victims[@]}"; do kill_node "$node"; done
		sleep 2
		for node in "${victims[@]}"; do start "$node"; done
		[ "$SECONDS" -lt "$end" ]
	do sleep 1; done
}

# All at once, as when the power goes; each needs the others to begin again.
fault_kill_all() {
	local node
	for node in "${nodes[@]}"; do kill -9 "${pid[node]}"; done
	for node in "${nodes[@]}"; do wait "${pid[node]}" 2>/dev/null || true; done
	sleep "$1"
	for node in "${nodes[@]}"; do launch "$node"; done
	for node in "${nodes[@]}"; do arrive "$node"; done
}

# One after the other, and what one began goes on while the next one comes.
fault_mixed() {
	local end=$((SECONDS + $1)) one what
	while [ "$SECONDS" -lt "$end" ]; do
		one=$(any_node)
		what=$((RANDOM % 7))
		echo "    $((end - SECONDS)) s left: $what, node $one"
		case $what in
		0) net cut "$one" '*' ;;
		1) net cut '*' "$one" ;;
		2) part "$one" ;;
		3) net loss '*' '*' 10 ;;
		4) between delay 20 60 ;;
		5)
			kill_node "$one"
			sleep "0.$((RANDOM % 10))"
			net heal
			start "$one"
			;;
		6)
			kill -STOP "${pid[one]}"
			sleep "$((RANDOM % 3)).$((RANDOM % 10))"
			kill -CONT "${pid[one]}"
			;;
		esac
		sleep "$((RANDOM % 2)).$((RANDOM % 10))"
		if [ $((RANDOM % 3)) -eq 0 ]; then net heal; fi
	done
}

fault_pause() {
	local one
	one=$(any_node)
	kill -STOP "${pid[one]}"
	sleep "$1"
	kill -CONT "${pid[one]}"
	sleep 1
	one=$(any_node)
	for _ in 1 2 3 4 5; do
		kill -STOP "${pid[one]}"
		sleep 0.7
		kill -CONT "${pid[one]}"
		sleep 0.3
	done
}

# hold NODE: a client for each cell is connected to it. say WORDS: each sends this of its cell.
hold() {
	local there=() i fd
	read -ra there <<<"${place[0]:-}"
	[ -z "$password" ] || there+=(env "REDISCLI_AUTH=$password")
	holders=() held=()
	for i in $(seq 0 23); do
		rm -f "$work/holder" "$work/held.$i"
		mkfifo "$work/holder"
		"${there[@]}" redis-cli -h "$(host_of "$1")" -p "${port[$1]}" <"$work/holder" \
			>"$work/held.$i" 2>&1 &
		holders+=($!)
		exec {fd}>"$work/holder"
		held[i]=$fd
		echo PING >&"$fd"
	done
	wait_for 20 all_said PONG
}
all_said() { [ "$(grep -lE "$1" "$work"/held.* | wc -l)" -eq 24 ]; }
say() {
	local i
	for i in $(seq 0 23); do echo "CALL cell/$i $*" >&"${held[i]}"; done
}
let_go() {
	local fd
	for fd in "${held[@]}"; do exec {fd}>&-; done
	wait "${holders[@]}" || true
}
# Answered or refused, and none with less than what had been written before it was asked.
none_older_than() {
	let_go
	grep -h '"value"' "$work"/held.* | sed 's/.*"value":\([0-9]*\).*/\1/' >"$work/values_seen"
	awk -v least="$1" '$1 < least { old++ }
		END { print NR " answered, " old + 0 " of before" }' "$work/values_seen"
}

# What was sent to the node that stands still before anybody noticed may have an unknown outcome.
changes_all() {
	ask "$1" 8000 write "{\"from\":0,\"to\":$2}" >"$work/lines"
	[ "$(grep -c '"value"' "$work/lines")" -eq 24 ]
}

# One after the other stands still until others lead what it led, and have changed it. What is asked
# meanwhile it finds when it goes on, and has to know that it may not answer that by itself. These
# cells no history has.
fault_stand_still() {
	local one other value=0
	for one in "${nodes[@]}"; do
		other=$(others "$one" | head -n 1)
		value=$((value + 1))
		hold "$one"
		kill -STOP "${pid[one]}"
		sleep "$1"
		fact "stand-still: node $one does, and the others change all cells" yes \
			eval "wait_for 30 changes_all $other $value && echo yes"
		say get TIMEOUT 8000
		sleep 0.2
		kill -CONT "${pid[one]}"
		fact "stand-still: node $one answers nothing of before" \
			'^([1-9]|1[0-9]|2[0-4]) answered, 0 of before' none_older_than "$value"
		well 60 >/dev/null || true
	done
}

led_by() { # NODE: how many shards
	local list
	list=$(admin "${nodes[0]}" shard list) || return 1
	grep -cE "^ *[0-9]+ +$1 " <<<"$list" || true
}
leads_nothing() { [ "$(led_by "$1")" = 0 ]; }
leads_some() { ! [ "$(led_by "$1" || echo 0)" = 0 ]; }
# Changes of cells that no history has, by way of a node: how many are answered, and why not.
changes() {
	ask "$1" 8000 write '{"from":0,"to":1}' >"$work/lines"
	grep -c '"value"' "$work/lines" || true
	grep -v '"value"' "$work/lines" || true
}
fill_disk() { # NODE: but for less than what is kept back
	local free
	free=$(df --output=avail -k "$work/data.$1" | tail -n 1)
	# The log may have grown meanwhile.
	head -c "$(((free - 120 * 1024) * 1024))" /dev/zero >"$work/data.$1/fill" || true
}

# Nodes have disks of their own, three in memory: first one of them is full, then all.
fault_full_disk() {
	if [ "$disk" -ne 1 ] || [ "${#nodes[@]}" -ne 3 ]; then
		echo '    full-disk: skipped, it needs the right to mount, and three nodes'
		skipped=$((skipped + 1))
		return 0
	fi
	local node before after
	fill_disk 2
	fact 'full-disk: the log says so' yes \
		eval "wait_for 10 grep disk_full $work/log.2 && echo yes"
	fact 'full-disk: what it led others lead' yes eval 'wait_for 10 leads_nothing 2 && echo yes'
	fact 'full-disk: the status names it' '^node 2 has a full disk: .* gets no new replicas' \
		admin 1 cluster status
	fact 'full-disk: changes go on, by way of it, too' '^24$' changes 2
	sleep "$1"
	fact 'full-disk: it stays so' '^0$' led_by 2
	fact 'full-disk: it is not made to lead' 'disk of node 2 is full' \
		admin "${nodes[0]}" shard leader 1 2
	fact 'full-disk: no leadership is said to be left to move' '^0 of [0-9]+ moves left' \
		admin "${nodes[0]}" cluster rebalance --wait 20
	for node in 1 3; do fill_disk "$node"; done
	fact 'full-disk: where nobody has room that is said' 'RESOURCE_EXHAUSTED.*disk is full' \
		says_why_not
	sleep 1
	before=$(cat "$work"/log.* | grep -c ' directory_leads \| shard_moves ')
	sleep 2
	after=$(cat "$work"/log.* | grep -c ' directory_leads \| shard_moves ')
	result "$((after - before))" 'full-disk: and nothing goes to and fro'
	for node in 1 2 3; do rm "$work/data.$node/fill"; done
	fact 'full-disk: with room all is changed again' yes \
		eval 'wait_for 20 everything_changes && echo yes'
	fact 'full-disk: and it leads again' yes eval 'wait_for 30 leads_some 2 && echo yes'
}
nothing_changes() { [ "$(changes 1 | head -n 1)" = 0 ]; }
says_why_not() { wait_for 10 nothing_changes && cat "$work/lines"; }
everything_changes() { [ "$(changes 1 | head -n 1)" = 24 ]; }

clock_at() { call "$1" "$(entity_of "$2")" when TIMEOUT 8000; }
# Hours, forth and back, at two of the nodes.
fault_clock() {
	local one=${nodes[0]} other=${nodes[1]} i before=() after now_ms bad=0 ahead=0
	jump "$one" $((5 * 3600 * 1000))
	jump "$other" $((-5 * 3600 * 1000))
	sleep "$(($1 / 2))"
	now_ms=$(date +%s%3N)
	for i in $(seq 0 23); do before[i]=$(clock_at "$one" "$i"); done
	jump "$one" $((-5 * 3600 * 1000))
	jump "$other" $((5 * 3600 * 1000))
	sleep "$(($1 / 2))"
	for i in $(seq 0 23); do
		after=$(clock_at "$one" "$i")
		if ! [ "$after" -ge "${before[i]}" ]; then bad=$((bad + 1)); fi
		if [ "$after" -gt $((now_ms + 4 * 3600 * 1000)) ]; then ahead=$((ahead + 1)); fi
	done
	result "$bad" 'clock: the time that an entity sees does not go back'
	status=0
	[ "$ahead" -gt 0 ] || status=1
	result "$status" "clock: it did jump ($ahead of 24 entities)"
	jump "$one" 0
	jump "$other" 0
}

fault_rolling_restart() {
	local node
	for node in "${nodes[@]}"; do
		stop_node "$node"
		result "$status" "rolling-restart: node $node ends cleanly"
		start "$node"
		well 60 >/dev/null || true
		sleep "$1"
	done
}

fault_rolling_replace() {
	local old first=("${nodes[@]}") begin
	for old in "${first[@]}"; do
		begin=$("$history" now)
		start "$next_node"
		nodes+=("$next_node")
		next_node=$((next_node + 1))
		fact "rolling-replace: node $old is drained" '^0 of [0-9]+ replicas left' \
			admin "${nodes[-1]}" node drain "$old" --yes --wait 120
		echo "    in $((($("$history" now) - begin) / 1000000)) ms"
		mapfile -t nodes < <(others "$old")
		fact "rolling-replace: node $old is removed" '^done: it is removed' \
			admin "${nodes[-1]}" node remove "$old"
		rm "$work/node.$old"
		# By itself, with 1, where another node has told it before.
		stop_node "$old"
		[ "$status" -le 1 ] || tail -n 3 "$work/log.$old"
		result "$((status > 1))" "rolling-replace: node $old ends"
		fact 'rolling-replace: the others are well' '^well: survives 1 failure' well 60
	done
}
