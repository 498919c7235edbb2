#!/bin/bash
# The programming model through the server: rules of existence, what a schema says, event-sourced
# entities over snapshots and restarts, two versions of an app forth and back, deployments that are
# refused, and handlers that do not end.
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh
apps=tests/system/apps

must_start
expect 'app check finds nothing' 0 'all: good' "$admin" app check "$apps/all"
expect 'the app is deployed' 0 'every shard has it' "$admin" app deploy "$apps/all"

# ---- Value entities ----

fact 'init gets the id, and nothing exists yet' \
	'\{"address":"box/x",.*"exists":false,"id":"x","revision":0,"type":"box"\}' \
	call box/x about
fact 'a function as reply sees what the commit leaves' '\{"id":"x","n":1\}' call box/x answer
fact 'each change counts one revision' '.*"exists":true.*"revision":1.*' call box/x about
fact 'after a delete it sees the initial state' '\{"id":"x","items":\{\},"n":0\}' call box/x \
	answer_gone
fact 'the delete counts one too' '.*"exists":false.*"revision":2.*' call box/x about
fact 'the address may be used again' '3' call box/x add '{"n":3}'
fact 'and its revisions go on' '.*"exists":true.*"revision":3.*' call box/x about
fact 'metadata arrives' '\{"trace":"abc"\}' call box/x meta META '{"trace":"abc"}'
expect 'entity get shows state and revision' 0 '"n":3' "$admin" entity get box/x -o json
expect 'and where an admin may, what is internal is called' 0 'inside' "$admin" call box/x secret

# ---- Event-sourced entities ----

for times in 7 8 20 1; do call story/s tell "{\"line\":\"l$times\",\"times\":$times}" >/dev/null; \
	done
fact 'events are folded' '\{"last":"l1","told":36\}' call story/s get
fact 'each counts one revision' '36' call story/s revision
fact 'a handler that breaks behind an emit' '.*INTERNAL .*' call story/s half
fact 'an event that its schema refuses' '.*INTERNAL .*line.*' call story/s whisper
fact 'leave nothing behind' '\{"last":"l1","told":36\}' call story/s get
kill_server
must_start
fact 'after kill -9 the state is folded again' '\{"last":"l1","told":36\}' call story/s get
fact '1000 events in one command' '1036' call story/s tell '{"line":"many","times":1000}'
stop_server
must_start
fact 'after a clean restart too' '\{"last":"many","told":1036\}' call story/s get
expect 'entity get --at-revision goes back' 0 '"told":10' "$admin" entity get story/s \
	--at-revision 10 -o json
expect 'history tells events' 0 '"event":"told"' "$admin" entity history story/s --count 5 -o json
fact 'a last event and a delete' '1036' call story/s burn
fact 'it is gone' '\{"told":0\}' call story/s get
fact 'its revisions go on' '1038' call story/s revision
fact 'and count from there' '1' call story/s tell '{"line":"again","times":1}'
fact 'one more' '1039' call story/s revision

# ---- Handlers that do not end ----

wild_all() {
	local command
	for command in loop swallow grow_string double_string pattern grow_table recursion nest \
		sort format concat; do
		fact "$command ends with RESOURCE_EXHAUSTED" 'RESOURCE_EXHAUSTED .*' \
			call "wild/$command" "$command"
	done
}
wild_all
fact 'the same entities serve on' '1' call wild/loop good
fact 'and others' '\{"last":"again","told":1\}' call story/s get
expect 'the server says it is well' 0 '' "$admin" status

# ---- Deployments ----

expect 'a dry run prints the plan' 0 'person: new' "$admin" app deploy "$apps/evolve1" --dry-run
fact 'and changes nothing' '.*UNIMPLEMENTED .*' call person/p get
expect 'the first version' 0 'every shard has it' "$admin" app deploy "$apps/evolve1"
expect 'the same again changes nothing' 0 'nothing changes' "$admin" app deploy "$apps/evolve1"
call person/p rename '{"name":"Ada Lovelace"}' >/dev/null
call person/q rename '{"name":"Plato"}' >/dev/null
for text in a b c d e f g; do call diary/d write "{\"text\":\"$text\"}" >/dev/null; done
call extra/e set 5 >/dev/null
expect 'another app that wants a name is refused' 5 'person belongs to the app evolve' \
	"$admin" app deploy "$apps/other"

cp -r "$apps/evolve1" "$work/incompatible"
sed -i 's/name = schema.string/name = schema.integer/; s/name = "nobody"/name = 0/' \
	"$work/incompatible/person.lua"
expect 'an incompatible state is refused, with the reason and the cure' 1 'person.*migrate' \
	"$admin" app deploy "$work/incompatible"
cp -r "$apps/evolve2" "$work/no_upcast"
sed -i '/upcast = {/,/^      },/d' "$work/no_upcast/diary.lua"
expect 'so is an event without its upcast' 1 'written.*upcast' "$admin" app deploy "$work/no_upcast"
cp -r "$apps/evolve1" "$work/smaller"
sed -i 's/, require "extra"//' "$work/smaller/app.lua"
rm "$work/smaller/extra.lua"
expect 'a component that goes has to be named' 1 '\-\-drop extra' "$admin" app deploy \
	"$work/smaller"
expect 'and needs --yes where nobody can be asked' 1 '\-\-yes|yes' \
	"$admin" app deploy "$work/smaller" --drop extra
fact 'none of these changed anything' '5' call extra/e get
cp -r "$apps/evolve1" "$work/broken"
printf 'return {' >"$work/broken/person.lua"
expect 'a syntax error is told with file and line' 1 'person.lua:1' "$admin" app deploy \
	"$work/broken"
cp -r "$apps/evolve1" "$work/misspelt"
sed -i 's/commands = {/comands = {/' "$work/misspelt/person.lua"
expect 'an unknown key: did you mean' 1 'did you mean commands' "$admin" app deploy "$work/misspelt"

expect 'a dry run says that there is no way back' 0 'person' "$admin" app deploy "$apps/evolve2" \
	--dry-run
expect 'the second version' 0 'every shard has it' "$admin" app deploy "$apps/evolve2"
fact 'a state of the first is migrated when it is read' '\{"first":"Ada","last":"Lovelace"\}' \
	call person/p get
fact 'another' '\{"first":"Plato","last":""\}' call person/q get
fact 'events of the first are upcast' '\{"last":"g","mood":"calm","pages":7\}' call diary/d get
fact 'and followed by new ones' '8' call diary/d write '{"text":"h","mood":"glad"}'
fact 'an old command is refused by the new schema' '.*INVALID_ARGUMENT .*' \
	call person/p rename '{"name":"x"}'
fact 'a new one writes the new version' '\{"first":"Ada","last":"King"\}' \
	call person/p rename '{"first":"Ada","last":"King"}'
expect 'rollback below the highest version is refused, with the reason' 1 'downgrade' \
	"$admin" app rollback evolve
kill_server
must_start
fact 'after kill -9 the second version serves' '\{"first":"Plato","last":""\}' call person/q get
fact 'the folded state is the same' '\{"last":"h","mood":"glad","pages":8\}' call diary/d get

cp -r "$apps/evolve2" "$work/third"
sed -i 's/queries = { get/queries = { again = function(state) return state end, get/' \
	"$work/third/person.lua"
expect 'a third version adds a query' 0 '\+1 query|\+query' "$admin" app deploy "$work/third"
fact 'it is there' '\{"first":"Plato","last":""\}' call person/q again
expect 'a plan counts the entities that it finds' 0 'person: -1 query; 2 persons readable' \
	"$admin" app rollback evolve --dry-run
expect 'rollback to the second' 0 'every shard has it' "$admin" app rollback evolve
fact 'it is gone again' '.*UNIMPLEMENTED .*' call person/q again
sed -i 's/, require "extra"//' "$work/third/app.lua"
expect '--drop with --yes removes the component' 0 'every shard has it' \
	"$admin" app deploy "$work/third" --drop extra --yes
fact 'it is not served any more' '.*UNIMPLEMENTED .*' call extra/e get
expect 'there is no way back from that' 1 'or destroyed data \(--drop\)' \
	"$admin" app rollback evolve --yes
expect 'the type can be deployed again' 0 'extra: new' "$admin" app deploy "$apps/evolve2"
fact 'and begins empty' 'null' call extra/e get
call extra/e set 6 >/dev/null
expect 'a plan says what is destroyed' 0 \
	'extra: DESTROYED, every entity of it in all shards \(1 extra\)' \
	"$admin" app deploy "$work/third" --drop extra --dry-run
expect 'and that it is for good' 0 'no way back: what is destroyed' \
	"$admin" app deploy "$work/third" --drop extra --dry-run
kill_server
must_start
fact 'after kill -9 it has what was written since' '6' call extra/e get
fact 'and what was not dropped is as it was' '\{"first":"Ada","last":"King"\}' call person/p get
expect 'a type that does not go cannot be dropped' 1 'has it' \
	"$admin" app deploy "$work/third" --drop person --yes
expect 'dropped again' 0 'every shard has it' \
	"$admin" app deploy "$work/third" --drop extra --yes
kill_server
must_start
expect 'and again deployed' 0 'every shard has it' "$admin" app deploy "$apps/evolve2"
kill_server
must_start
fact 'it begins empty again' 'null' call extra/e get
expect 'a hash that was not seen is a conflict' 5 'meanwhile' \
	"$admin" app deploy "$work/third" --drop extra --yes --expect \
	00000000000000000000000000000000
expect 'app list shows both' 0 'evolve' "$admin" app list
expect 'removing an app needs every type named' 1 '\-\-drop' "$admin" app remove evolve --yes
expect 'then it goes' 0 'every shard has it|done' \
	"$admin" app remove evolve --drop person --drop diary --drop extra --yes
fact 'and serves no more' '.*UNIMPLEMENTED .*' call person/q get
stop_server
must_start
fact 'after a restart it stays removed' '.*UNIMPLEMENTED .*' call person/q get
expect 'its names are free' 0 'every shard has it' "$admin" app deploy "$apps/other"
expect 'it cannot come back while another app has one' 5 'person belongs to the app' \
	"$admin" app deploy "$apps/evolve2"
expect 'and can when that is gone' 0 'done' "$admin" app remove other --drop person --yes
expect 'with nothing of what it was' 0 'every shard has it' "$admin" app deploy "$apps/evolve2"
fact 'people are gone' '\{"first":"nobody","last":""\}' call person/p get
fact 'and diaries' '\{"pages":0\}|\{\}|.*"pages":0.*' call diary/d get
stop_server
fact 'it ended well' '0' echo "$status"
finish
