#!/bin/bash
# Queries at replicas that do not lead: READONLY and STALE, at a cluster of three kalixd on
# loopback, also while its leaders stand still, and over a deployment. Then clients that nobody here
# wrote, while a leader dies or stands still.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
make -s -C "$build" tests/cluster/follow
app=$work/app
mkdir "$app"
cat >"$app/app.lua" <<'LUA'
return { name = "ledger", require "counter", require "book" }
LUA
counter() {
	cat >"$app/counter.lua" <<LUA
local kalix = require "kalix"
local schema = kalix.schema
return kalix.value_entity "counter" {
  state = schema.record { n = schema.integer },
  init = { n = 0 },
  commands = {
    add = function(state, input, ctx)
      ctx:update { n = state.n + 1 }
      return state.n + 1
    end,
  },
  queries = {
    get = function(state) return state.n end,
    positive = function(state, input, ctx)
      if state.n == 0 then ctx:fail("FAILED_PRECONDITION", "it is nothing yet") end
      return true
    end,
    when = function(state, input, ctx) return ctx.now > 1700000000000 end,
    $1
  },
}
LUA
}
counter ''
cat >"$app/book.lua" <<'LUA'
local kalix = require "kalix"
local schema = kalix.schema
return kalix.event_sourced_entity "book" {
  state = schema.record { lines = schema.list(schema.integer) },
  init = { lines = kalix.list {} },
  snapshot_every = 5,
  commands = {
    write = { function(state, input, ctx) ctx:emit("written", input) end,
      input = schema.record { line = schema.integer } },
  },
  queries = { read = function(state) return #state.lines end },
  events = { written = function(state, event) state.lines[#state.lines + 1] = event.line end },
}
LUA
# say NODE COMMAND...: at its cluster port, each a line, on one connection.
say() {
	local node=$1
	shift
	printf '%s\n' "$@" | timeout 30 redis-cli -h 127.0.0.1 -p "${cluster_port[node]}"
}
reads_of() { # NODE [replica|stale]
	redis-cli -h 127.0.0.1 -p "${port[$1]}" INFO | tr -d '\r' |
		sed -n "s/^${2:-replica}_reads://p"
}
counters=$(seq 30)
all_of() { # NODE FIRST COMMAND...: for each counter
	local node=$1 lines=("$2") i
	shift 2
	for i in $counters; do lines+=("CALL counter/n$i $*"); done
	say "$node" "${lines[@]}"
}
count_of() { grep -cE "$1" || true; }

must_start 1
fact 'the app is deployed' 'every shard has it active' admin 1 app deploy "$app" --yes
must_start 2
must_start 3
fact 'all shards get three voters' '^well: survives 1 failure$' admin 2 cluster status --wait 60
fact 'and stay with their leaders' '^0 of [0-9]+ moves left' admin 2 cluster rebalance --wait 60
for i in $counters; do call $((i % 3 + 1)) "counter/n$i" add >/dev/null; done

for node in 1 2 3; do
	moved=$(all_of "$node" PING get | count_of '^MOVED')
	fact "node $node leads some, not all" '^yes$' \
		eval "[ $moved -gt 0 ] && [ $moved -lt 30 ] && echo yes"
	before=$(reads_of "$node")
	fact "READONLY: node $node answers all" '^30$' \
		eval "all_of $node READONLY get | count_of '^1$'"
	fact 'those that others lead as a replica' "^$moved\$" \
		eval "echo $(($(reads_of "$node") - before))"
	before=$(reads_of "$node" stale)
	fact "what may be old: node $node answers all" '^30$' \
		eval "all_of $node PING get STALE 10m | count_of '^1$'"
	fact 'by what it knows, and asks nobody' '^30$' \
		eval "echo $(($(reads_of "$node" stale) - before))"
	fact 'a command goes to who leads' "^$moved\$" \
		eval "all_of $node READONLY nothing | count_of '^MOVED'"
	fact 'a failure is an answer, too' '^30$' \
		eval "all_of $node READONLY positive | count_of '^true$|^1$'"
	fact 'what looks at its time is answered by who leads' '^30$' \
		eval "all_of $node READONLY when | count_of '^true$'"
done
fact 'READWRITE takes it back' '^MOVED|^1$' say 1 READONLY READWRITE 'CALL counter/n1 get'
moved=$(all_of 2 READWRITE get | count_of '^MOVED')
fact 'for all of them' '^yes$' eval "[ $moved -gt 0 ] && echo yes"
fact 'STALE needs no READONLY' '^30$' eval "all_of 2 PING get STALE 1000 | count_of '^1$'"
for node in 1 2 3; do
	fact "STALE is refused for a command, asked of node $node" \
		'INVALID_ARGUMENT this is a command.*STALE' call "$node" counter/n1 add STALE 1000
done
fact 'which did nothing' '^1$' call 1 counter/n1 get
fact 'a failure of a query says so' 'FAILED_PRECONDITION it is nothing yet' \
	say 3 READONLY 'CALL counter/none positive'

# A client that looks for replicas by itself, where the step of the clients has installed it.
packages=$PWD/build-test/clients-npm
if command -v node >/dev/null && [ -e "$packages/installed" ]; then
	fact 'ioredis reads from replicas' '^30$' env NODE_PATH="$packages/node_modules" \
		timeout 30 node tests/cluster/replicas.js "127.0.0.1:${cluster_port[1]}"
fi

# Whoever was told of a change sees it at any replica.
wrong=0
for i in $(seq 40); do
	told=$(call $((i % 3 + 1)) counter/watched add)
	for node in 1 2 3; do
		[ "$(say "$node" READONLY 'CALL counter/watched get' | tail -n 1)" = "$told" ] ||
			wrong=$((wrong + 1))
	done
done
result "$wrong" 'a change that was answered is seen at every replica, forty times'
for i in $(seq 13); do call $((i % 3 + 1)) book/b write "{\"line\":$i}" >/dev/null; done
for node in 1 2 3; do
	fact "events are folded at node $node" '^13$' say "$node" READONLY 'CALL book/b read'
done

# A deployment.
counter 'twice = function(state) return 2 * state.n end,'
fact 'a query is added' 'every shard has it active' admin 2 app deploy "$app" --yes
for node in 1 2 3; do
	fact "node $node has it" '^30$' eval "all_of $node READONLY twice | count_of '^2$'"
done

# The leader of counter/watched stands still: a state that is known may be read, and nothing else.
leader=0 other=0
find_leader() { # ADDRESS
	local node
	for node in 1 2 3; do
		say "$node" "CALL $1 get" | grep -q MOVED || leader=$node
	done
	other=$((leader % 3 + 1))
}
find_leader counter/watched
fact 'a replica knows of it' '^40$' say "$other" READONLY 'CALL counter/watched get'
kill -STOP "${pid[$leader]}"
fact 'what it knows is old enough for this' '^40$' \
	say "$other" 'CALL counter/watched get TIMEOUT 300 STALE 60s'
fact 'and not for this' '^UNAVAILABLE' say "$other" 'CALL counter/watched get TIMEOUT 300 STALE 1'
fact 'the next leader answers it' '^40$' \
	say "$other" 'CALL counter/watched get TIMEOUT 20000 STALE 1'
kill -CONT "${pid[$leader]}"
fact 'and it as a replica' '^40$' say "$leader" READONLY 'CALL counter/watched get TIMEOUT 20000'

# All others stand still: what a leader's shards had may be read there, at once, and nothing else.
# Nobody asked most of these for anything since they lead: they know it by their heartbeats.
fact 'one leads and is confirmed' '^40$' call 1 counter/watched get TIMEOUT 20000
find_leader counter/watched
led=()
all_of $((leader % 3 + 1)) PING get | sed 1d >"$work/where"
for i in $counters; do
	if sed -n "${i}p" "$work/where" | grep -q "^MOVED.*:${cluster_port[leader]}\$"; then
		led+=("CALL counter/n$i get TIMEOUT 300 STALE 10m")
	fi
done
fact 'and others of its shards' '^yes$' eval "[ ${#led[@]} -gt 2 ] && echo yes"
others=()
for node in 1 2 3; do [ "$node" = "$leader" ] || others+=("${pid[$node]}"); done
kill -STOP "${others[@]}"
before=$(reads_of "$leader" stale)
fact 'who has lost the majority knows what it had' "^${#led[@]}\$" \
	eval "say $leader \"\${led[@]}\" | count_of '^1$'"
fact 'without asking anybody' "^${#led[@]}\$" eval "echo $(($(reads_of "$leader" stale) - before))"
fact 'and nothing newer' '^UNAVAILABLE' \
	say "$leader" 'CALL counter/watched get TIMEOUT 300 STALE 1'
fact 'who leads no more knows it, too' '^40$' \
	say "$leader" 'CALL counter/watched get TIMEOUT 20000 STALE 60s'
kill -CONT "${others[@]}"
fact 'a majority answers again' '^40$' call 1 counter/watched get TIMEOUT 20000

# A leader ends, dies, and stands still: READONLY at the others sees whatever was told before, all
# the while, and never goes back.
goes_on_reading() { # NODE: until $work/over is there
	local i
	{
		echo READONLY
		for i in $(seq 3000); do
			[ ! -e "$work/over" ] || break
			echo 'CALL counter/watched get TIMEOUT 30000'
			sleep 0.02
		done
	} | timeout 120 redis-cli -h 127.0.0.1 -p "${cluster_port[$1]}" >"$work/read.$1" 2>&1
}
rises() { # NODE: "rises" where each of its answers is a number, and none is below the one before
	awk 'NR == 1 { next }
		!/^[0-9]+$/ || $1 < last { print "read", $0, "behind", last; bad = 1; exit }
		{ last = $1 }
		END { if (!bad) print (NR > 2 ? "rises" : "nothing was read") }' "$work/read.$1"
}
# What was under way to who is gone is unknown, and is asked for again by its token.
change() { # TOKEN
	local _
	for _ in $(seq 30); do
		told=$(call "$other" counter/watched add IDEMPOTENCY "$1" TIMEOUT 30000)
		if [[ $told =~ ^[0-9]+$ ]]; then return; fi
	done
}
told=40
for way in ends dies stands_still; do
	find_leader counter/watched
	rm -f "$work/over"
	readers=()
	for node in 1 2 3; do
		[ "$node" != "$leader" ] || continue
		goes_on_reading "$node" &
		readers+=($!)
	done
	case $way in
	ends) stop_node "$leader" ;;
	dies) kill_node "$leader" ;;
	stands_still) kill -STOP "${pid[$leader]}" ;;
	esac
	missed=0
	for i in 1 2 3 4 5; do
		change "$way-$i"
		for node in 1 2 3; do
			[ "$node" != "$leader" ] || continue
			say "$node" READONLY 'CALL counter/watched get TIMEOUT 30000' |
				tail -n 1 >"$work/seen"
			[ "$(cat "$work/seen")" = "$told" ] || missed=$((missed + 1))
		done
	done
	result "$missed" "a leader $way: what is told then is seen at every replica"
	case $way in
	stands_still) kill -CONT "${pid[$leader]}" ;;
	*) must_start "$leader" ;;
	esac
	fact 'also at who led' "^$told\$" \
		say "$leader" READONLY 'CALL counter/watched get TIMEOUT 30000'
	touch "$work/over"
	wait "${readers[@]}" || true
	for node in 1 2 3; do
		[ "$node" != "$leader" ] || continue
		fact "and node $node never goes back" '^rises$' rises "$node"
	done
	fact 'all is well behind that' '^well: survives 1 failure$' admin 2 cluster status --wait 60
done

# A query under way to a node that dies has no outcome that could be unknown.
find_leader counter/watched
kill -STOP "${pid[$leader]}"
call "$other" counter/watched get TIMEOUT 20000 >"$work/asked" 2>&1 &
asked=$!
sleep 0.3
kill_node "$leader"
wait "$asked" || true
fact 'it is answered by another' "^$told\$" cat "$work/asked"
must_start "$leader"
fact 'all is well again' '^well: survives 1 failure$' admin 2 cluster status --wait 60

# libkalix goes on with what is left of the nodes that it knows: the leader stands still, and then
# one dies that it has only heard of.
follow() { # COUNT NODE...
	local count=$1 nodes='' node
	shift
	for node in "$@"; do nodes+=${nodes:+,}127.0.0.1:${cluster_port[node]}; done
	timeout 150 "$build/tests/cluster/follow" "$nodes" counter/followed "$count"
}
find_leader counter/followed
kill -STOP "${pid[$leader]}"
fact 'libkalix goes on while a leader stands still' '^acknowledged 20, the last says 20$' \
	follow 20 "$leader" "$other"
kill -CONT "${pid[$leader]}"
fact 'all is well behind it' '^well: survives 1 failure$' admin "$other" cluster status --wait 60
find_leader counter/followed
followed() { [ "$(call "$other" counter/followed get TIMEOUT 20000)" -gt 30 ]; }
# The first twenty have the tokens of before, and are done already.
follow 400 "$other" >"$work/followed" 2>&1 &
following=$!
fact 'it has heard of a leader' '^yes$' eval 'wait_for 30 followed && echo yes'
kill_node "$leader"
wait "$following" || true
fact 'and goes on when that dies' '^acknowledged 400, the last says 400$' cat "$work/followed"
must_start "$leader"
fact 'all is well behind that, too' '^well: survives 1 failure$' \
	admin "$other" cluster status --wait 60

# Others' clients find the next leader, and every slot has a node all the while.
lost_leader() { # CLIENT SIGNAL ACKNOWLEDGED
	find_leader 'counter/{1}'
	local second=$((leader % 3 + 1)) third=$(((leader + 1) % 3 + 1))
	fact "$1 goes on when a leader gets $2" "^acknowledged $3, exact 30, without a node 0\$" \
		env NODE_PATH="$packages/node_modules" timeout 200 \
		node tests/cluster/leader_lost.js "$1" "$2" "${pid[$leader]}" \
		"127.0.0.1:${cluster_port[$leader]}" "127.0.0.1:${cluster_port[$second]}" \
		"127.0.0.1:${cluster_port[$third]}"
	cp "$work/told" "$work/lost"
	sed 's/^/    /' "$work/lost"
	if [ "$2" = SIGKILL ]; then
		fact 'and nobody is sent to the dead one' '^named the dead 0$' cat "$work/lost"
		kill -9 "${pid[$leader]}" 2>/dev/null || true
		wait "${pid[$leader]}" 2>/dev/null || true
		must_start "$leader"
	fi
	kill -CONT "${pid[$leader]}"
	fact 'all is well behind that' '^well: survives 1 failure$' \
		admin "$second" cluster status --wait 60
}
if command -v node >/dev/null && [ -e "$packages/installed" ]; then
	lost_leader ioredis SIGKILL '30 30 30'
	lost_leader node-redis SIGKILL '30 30 30'
	lost_leader ioredis SIGSTOP '30 30 30 30'
	lost_leader node-redis SIGSTOP '30 30 30 30'
fi

# Every core has clients, two of these four have no shards, and so no links of their own: those that
# ask there are told of the dead no less.
stop_node 2
cores=4 must_start 2
fact 'a node has more cores than stores' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
kill_node 1
kill_node 3
nobody_is_sent_away() {
	local i
	for i in $(seq 24); do
		timeout 10 redis-cli -h 127.0.0.1 -p "${port[2]}" CLUSTER SLOTS >"$work/slots" ||
			return 1
		! grep -qxE "${cluster_port[1]}|${cluster_port[3]}" "$work/slots" || return 1
	done
}
fact 'none of its cores sends anybody to the dead' '^none$' \
	eval 'wait_for 20 nobody_is_sent_away && echo none'
all_have_no_quorum() {
	local i
	for i in $(seq 24); do
		timeout 10 redis-cli -h 127.0.0.1 -p "${port[2]}" ADMIN STATUS >"$work/status" ||
			return 1
		grep -q '"quorumless":[1-9]' "$work/status" || return 1
	done
}
fact 'all of its cores say that shards have no quorum' '^all$' \
	eval 'wait_for 20 all_have_no_quorum && echo all'
stop_node 2
fact 'a node ends cleanly' '^0$' echo "$status"
no_complaints 'panic|level=error'
finish
