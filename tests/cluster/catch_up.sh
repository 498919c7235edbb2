#!/bin/bash
# A node of three is killed, and far more is written meanwhile than a leader keeps in memory. When
# it comes back it gets what it lacks from the others' logs, over checkpoints and other leaders, and
# no copy of a shard; where that would be more than the shards are, it gets those.
#
#   CATCH_UP_WRITES=N   of 4 KB each, while the node is away (3072)
set -euo pipefail
cd "$(dirname "$0")/../.."
writes=${CATCH_UP_WRITES:-3072}
. tests/cluster/lib.sh
app=$work/app
mkdir "$app"
cat >"$app/app.lua" <<'LUA'
return { name = "notes", require "note" }
LUA
cat >"$app/note.lua" <<'LUA'
local kalix = require "kalix"
local schema = kalix.schema
return kalix.value_entity "note" {
  state = schema.record { n = schema.integer, text = schema.string },
  init = { n = 0, text = "" },
  commands = {
    write = { function(state, input, ctx)
      ctx:update { n = state.n + 1, text = input.text }
      return state.n + 1
    end, input = schema.record { text = schema.string } },
  },
  queries = { get = function(state) return state.n end },
}
LUA
notes=64
# fill NODE COUNT: so many writes to the notes in turn, on one connection.
fill() {
	awk -v count="$2" -v notes="$notes" 'BEGIN {
		text = sprintf("%4000s", ""); gsub(/ /, "x", text)
		for (i = 0; i < count; i++) {
			to = "note/n" i % notes; input = "{\"text\":\"" text "\"}"
			printf "*4\r\n$4\r\nCALL\r\n$%d\r\n%s\r\n$5\r\nwrite\r\n$%d\r\n%s\r\n",
				length(to), to, length(input), input
		}
	}' | in_time 120 redis-cli -h 127.0.0.1 -p "${port[$1]}" --pipe
}
written() { # as node $1 reads them, one of a shard at least
	local total=0 i
	for i in $(seq 0 $((notes - 1))); do total=$((total + $(call "$1" "note/n$i" get))); done
	echo "$total"
}
caught_up() { admin 1 cluster status | grep -q '^well: survives 1 failure'; }
# A start may install once more what the kill interrupted: what counts is what was sent.
sent() { # by these nodes
	local node total=0
	for node; do total=$((total + $(info "$node" snapshots_sent))); done
	echo "$total"
}
read_back() { echo $(($(info 1 log_bytes_read_back) + $(info 2 log_bytes_read_back))); }
led_by_others() { ! admin 1 shard list | grep -qE '^ *[0-9]+ +3 '; }

must_start 1 --shards 8
fact 'the app is deployed' 'every shard has it active' admin 1 app deploy "$app" --yes
must_start 2
must_start 3
fact 'all shards get three voters' '^well: survives 1 failure$' admin 2 cluster status --wait 60
fact 'some is written' 'errors: 0, replies: 64$' fill 1 64
sent=$(sent 1 2)
kill_node 3
fact 'its shards are led by others' 'yes' eval 'wait_for 20 led_by_others && echo yes'
fact 'a node is away while more is written than is kept in memory' \
	"errors: 0, replies: $writes\$" fill 1 "$writes"
for node in 1 2; do
	fact "node $node checkpoints" '^[0-9a-zA-Z{]' \
		in_time 120 redis-cli -h 127.0.0.1 -p "${port[$node]}" ADMIN CHECKPOINT
done
sleep 1
fact 'and something more behind that' 'errors: 0, replies: 64$' fill 2 64
must_start 3
fact 'it catches up' 'yes' eval 'wait_for 60 caught_up && echo yes'
fact 'with no snapshot' "^$sent\$" sent 1 2
bytes=$(read_back)
fact 'but from the logs of the others' '^yes$' eval "[ $bytes -gt $((writes * 2000)) ] && echo yes"
sent=$(sent 2 3)
kill_node 1
all=$((64 + writes + 64))
fact 'and has all of it when another one is lost' "^$all\$" written 3
must_start 1
fact 'all is well again' 'yes' eval 'wait_for 60 caught_up && echo yes'
fact 'nobody has needed a snapshot' "^$sent\$" sent 1 2 3
finish
