#!/bin/bash
# kalix-admin app replay: what a server has, read with other versions of its app.
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

mkdir "$work/now"
cat >"$work/now/app.lua" <<'LUA'
local kalix = require "kalix"
local schema = kalix.schema

return { name = "replayed",
  kalix.event_sourced_entity "sum" {
    state = schema.record { total = schema.integer, last = schema.list(schema.integer) },
    init = { total = 0, last = {} },
    snapshot_every = 7,
    commands = {
      add = {
        function(state, input, ctx)
          for i = 1, input.times do ctx:emit("added", { n = i }) end
        end,
        input = schema.record { times = schema.integer },
      },
      drop = function(state, input, ctx) ctx:delete() end,
    },
    queries = { get = function(state) return state end },
    events = {
      added = {
        function(state, event)
          state.total = state.total + event.n
          state.last[#state.last % 3 + 1] = event.n
        end,
        schema = schema.record { n = schema.integer },
      },
    },
  },
  kalix.value_entity "box" {
    state = schema.record { v = schema.integer },
    init = { v = 0 },
    commands = {
      set = {
        function(state, input, ctx) ctx:update { v = input.v } end,
        input = schema.record { v = schema.integer },
      },
    },
  },
}
LUA
# A version that is made of the one that is active.
version() {
	rm -rf "$work/next"
	cp -r "$work/now" "$work/next"
	sed -i "$1" "$work/next/app.lua"
}

expect 'without a server it ends with 3' 3 'Is kalixd running' "$admin" app replay "$work/now" \
	--node 127.0.0.1:1
start_server
expect 'a type that the server does not have yet has nothing' 0 \
	'^0 entities, 0 events replayed: 0 differ or fail$' "$admin" app replay "$work/now"
expect 'deployed' 0 'every shard has it' "$admin" app deploy "$work/now"
call sum/s1 add '{"times":40}' >/dev/null
call sum/s2 add '{"times":3}' >/dev/null
call sum/s2 add '{"times":2500}' >/dev/null
call sum/gone add '{"times":9}' >/dev/null
call sum/gone drop >/dev/null
call sum/again add '{"times":30}' >/dev/null
call sum/again drop >/dev/null
call sum/again add '{"times":2}' >/dev/null
call box/b1 set '{"v":1}' >/dev/null
call box/b5 set '{"v":5}' >/dev/null

expect 'the active version gives what is there' 0 \
	'^5 entities, 2545 events replayed: 0 differ or fail$' "$admin" app replay "$work/now"
expect 'of one type' 0 '^2 entities, 0 events' "$admin" app replay "$work/now" box
expect 'of one entity, in pages' 0 '^1 entity, 2503 events' "$admin" app replay "$work/now" sum/s2
expect 'one that is not there' 1 'there is no such entity' "$admin" app replay "$work/now" sum/none
expect 'nor one that was deleted' 1 'no such entity' "$admin" app replay "$work/now" sum/gone
expect 'nor a type' 1 "the app has no type 'summ'" "$admin" app replay "$work/now" summ

version 's/state.total + event.n/state.total + event.n * (event.n == 35 and 2 or 1)/'
expect 'another fold: where it differs, and status 7' 7 \
	'^sum/s1 revision 40: the state differs at total$' "$admin" app replay "$work/next"
expect 'how many' 7 ': 2 differ or fail$' "$admin" app replay "$work/next"
lacks 'those whose history has nothing of it are the same' '^sum/again' \
	"$admin" app replay "$work/next"
expect 'as JSON' 7 \
	'^\{"differences":\[\{"address":"sum/s1","path":"total","revision":40\}\],"sums":' \
	"$admin" app replay "$work/next" sum/s1 -o json
expect 'as lines of JSON' 7 '^\{"changing":0,"different":2,"entities":3,"events":2545,' \
	"$admin" app replay "$work/next" sum -o jsonl
version 's/state.total = /if event.n == 2499 then error("secret") end state.total = /'
expect 'a handler that breaks: the revision, file and line' 7 \
	'^sum/s2 revision 2502: sum failed at app.lua:22$' "$admin" app replay "$work/next"
lacks 'and no texts of the handler' 'secret' "$admin" app replay "$work/next"
version 's/last = schema.list(schema.integer) }/last = schema.list(schema.integer, { max = 2 }) }/'
# Seen when the next event needs it.
expect 'a state that does not fit the schema' 7 \
	'^sum/s1 revision 4: sum: .* last: expected list of at most 2 elements, got 3' \
	"$admin" app replay "$work/next"
version 's/state.total = state.total/math.random() state.total = state.total/'
expect 'a handler that is not pure' 7 '^sum/again revision 32: sum' "$admin" app replay "$work/next"
version 's/init = { total/version = 2, init = { total/; s/+ event.n/- event.n/'
expect 'a new version of the state is folded, and cannot be compared' 0 \
	'^3 of them were not compared' "$admin" app replay "$work/next"

# One word in the new version, and a step to it.
new_box='s/schema.record { v = schema.integer },$/schema.record { w = schema.integer { max = 4 } }'
new_box+=', version = 2, migrate = { [1] = function(old) return { w = old.v } end },/'
new_box+='; s/init = { v = 0 }/init = { w = 0 }/; s/update { v = input.v }/update { w = input.v }/'
version "$new_box"
sed -i 's/input = schema.record { w = .*$/input = schema.record { v = schema.integer },/' \
	"$work/next/app.lua"
expect 'a step that makes a state which does not fit' 7 \
	'^box/b5 revision 1: box: .*w: expected integer <= 4, got 5' \
	"$admin" app replay "$work/next"
fact 'of the others it makes one that does' 0 bash -c \
	"'$admin' app replay '$work/next' box | grep -c '^box/b1' || true"
expect 'nothing was changed by all that' 0 ': 0 differ or fail$' "$admin" app replay "$work/now"

version 's/state.total = /if event.n == 39 then error("secret") end state.total = /
	s/init = { total/version = 2, init = { total/'
expect 'an active version that breaks on what is there' 0 'every shard has it' \
	"$admin" app deploy "$work/next"
expect 'is told' 7 '^sum/s2 revision 0: the active version: ' \
	"$admin" app replay "$work/now"
stop_server
finish
