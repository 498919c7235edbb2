#!/bin/bash
# kalix-admin with a running server: every command, what it prints, and what it ends with.
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

export KALIX_NODE=127.0.0.1:1
expect 'without a server it ends with 3, and says what to do' 3 'Is kalixd running' "$admin" status
unset KALIX_NODE
expect '--node that is none is a usage error' 2 'HOST:PORT' "$admin" --node nonsense status
expect 'as many nodes may be lost as a cluster has' 3 'answers at 127.0.0.1:1\.' \
	"$admin" --node 127.0.0.1:1 cluster recover --unsafe --lost "$(seq -s, 64)" --dry-run
expect 'and no more' 2 '--lost takes numbers of up to 64 nodes' \
	"$admin" --node 127.0.0.1:1 cluster recover --unsafe --lost "$(seq -s, 65)" --dry-run

# What a cluster of as many nodes as there can be says of itself.
node tests/admin/large.js "$work/large_port" &
large=$!
for _ in $(seq 300); do
	[ ! -e "$work/large_port" ] || break
	sleep 0.1
done
large_node=127.0.0.1:$(cat "$work/large_port")
expect 'each replica of a shard is listed' 0 \
	'"voters":"60000 .* 60006","learners":"60007 .* 60063",' \
	"$admin" --node "$large_node" shard list -o jsonl
expect 'and what it lacks, and what is damaged' 0 \
	'"lacks":"60000 .* 60063","damaged":"60000 .* 60063",' \
	"$admin" --node "$large_node" shard list -o jsonl
expect 'a node says that its disk stands still' 8 \
	'^store 0: its disk has not answered a write for 12 s: ' \
	"$admin" --node "$large_node" status
expect 'a move that was undone meanwhile is not waited for' 5 'was moved again meanwhile' \
	"$admin" --node "$large_node" shard move 1 60000 60003 --yes --wait 30
expect 'a recovery is not carried out by another plan than was shown' 5 'ABORTED: another plan' \
	"$admin" --node "$large_node" cluster recover --unsafe --lost 2 --yes
expect 'which is shown' 5 '^the plan is this one by now; repeat the command to carry it out:$' \
	"$admin" --node "$large_node" cluster recover --unsafe --lost 2 --yes
cp "$work/out" "$work/out.kept"
fact 'behind the one that was to be' '^43 44 $' \
	eval 'sed -n "s/.*with its log up to \([0-9]*\),.*/\1/p" "$work/out.kept" | tr "\n" " "'
expect 'no replica of the directory moves' 1 \
	'the directory, has a replica on every node' \
	"$admin" --node "$large_node" shard move 0 60000 60064 --yes
kill "$large"
wait "$large" 2>/dev/null || true

expect 'an unknown command' 2 "there is no command 'app frob'" "$admin" app frob
expect 'a noun alone: its verbs' 2 'there is entity get, entity history, entity list' \
	"$admin" entity
expect '--node with a port that is none' 2 'HOST:PORT' "$admin" --node 127.0.0.1:65536 status
expect 'a password is not printed where no server is' 3 'answers at 127.0.0.1:1\.' \
	"$admin" --node default:secret@127.0.0.1:1 status
expect 'an option of another command' 2 '--dry-run is not for this command: call' \
	"$admin" call counter/c1 add '{"n":2}' --dry-run
expect 'of no verb of the noun' 2 '--at-revision is not for this command: entity list' \
	"$admin" entity list counter --at-revision 3
expect 'a missing word' 2 'something is missing: entity get' "$admin" entity get
expect '--count that is no number' 2 "count takes a number from 1 to 1000, not '5x'" \
	"$admin" entity list counter --count 5x
expect '--count beyond the most' 2 "not '1001'" "$admin" entity list counter --count 1001
expect '--count of nothing' 2 "not '0'" "$admin" error list --count 0
expect '--at-revision that is no number' 2 "at-revision takes a number from 1 to .*, not '-1'" \
	"$admin" entity get counter/c1 --at-revision -1
expect 'a file where a directory should be' 1 'README.md: not a directory: name a directory' \
	"$admin" log verify --data README.md
expect 'to the server too' 1 'README.md: not a directory' "$kalixd" --data README.md
expect 'a word too many' 2 'too many words' "$admin" status now

# ---- Apps without a server ----

expect 'app init writes an app' 0 'next: kalix-admin app test .*; kalix-admin app deploy' \
	"$admin" app init "$work/first"
expect 'which is good' 0 'first: good, 1 component, hash' "$admin" app check "$work/first"
expect 'as JSON, too' 0 \
	'^\{"app":"first","components":1,"diagnostics":\[\],"good":true,"hash":.*,"tests":3\}$' \
	"$admin" app check "$work/first" -o json
expect 'what was written, as JSON' 0 \
	'^\{"app":"again","dir":".*/again","files":\[".*/app.lua",.*/tests/counter_test.lua"\]\}$' \
	"$admin" app init "$work/again" -o json
expect 'init never writes over a file' 1 'app.lua' "$admin" app init "$work/first"
expect 'a name that is none' 1 'no name of an app' "$admin" app init "$work/Second"
mkdir "$work/bad"
printf 'return { name = "bad", 7 }\n' >"$work/bad/app.lua"
expect 'app check says what is wrong, with its file' 1 'app.lua:[0-9]+: error:' "$admin" app \
	check "$work/bad"
expect 'and as JSON' 1 \
	'^\{"diagnostics":\[\{"file":"app.lua","line":[0-9]+,"severity":"error","text":"entry' \
	"$admin" app check "$work/bad" -o json
printf 'counter = 1\nreturn { name = "bad" }\n' >"$work/bad/app.lua"
expect 'an assignment to a global too' 1 'app.lua:1' "$admin" app check "$work/bad"
printf -- '-- caf\351\n' >"$work/bad/latin.lua"
expect 'a file that is not UTF-8 is named' 1 'bad/latin.lua: is not UTF-8' "$admin" app check \
	"$work/bad"
rm "$work/bad/latin.lua"
touch "$work/bad/a b.lua"
expect 'and one with a name that can not be' 1 'bad/a b.lua: a Lua file has a name of' "$admin" \
	app check "$work/bad"

# ---- A configuration without a server ----

expect 'config check: the template is good' 0 'conf/kalix.conf: good, sets 0 of [0-9]+ keys' \
	"$admin" config check conf/kalix.conf
printf '# ours\nport = 1\nmode = loud\n' >"$work/kalix.conf"
expect 'what does not fit is told with file and line' 1 \
	'kalix.conf:3: mode: expected dev or production' "$admin" config check "$work/kalix.conf"
expect 'as the server does' 2 'mode: expected dev or production' \
	"$kalixd" --data "$data" --config "$work/kalix.conf"
printf 'port = 1\n\nprot = 1\n' >"$work/kalix.conf"
unknown="kalix.conf:3: no such option 'prot', did you mean 'port'"
expect 'an unknown key: did you mean' 1 "$unknown" "$admin" config check "$work/kalix.conf"
expect 'by the server in the same words' 2 "$unknown" \
	"$kalixd" --data "$data" --config "$work/kalix.conf"
printf 'port = 1\n\ncores = many\n' >"$work/kalix.conf"
expect 'a value that is none, as JSON' 1 \
	'^\{"file":".*","good":false,"text":".*:3: cores: expected a number, got .many."\}$' \
	"$admin" config check "$work/kalix.conf" -o json
expect 'no such file' 1 'none.conf: cannot be read' "$admin" config check "$work/none.conf"
printf 'port = 1\ndata = "d"\n' >"$work/kalix.conf"
expect 'a good one as JSON' 0 '^\{"file":".*kalix.conf","good":true,"keys":2\}$' "$admin" config \
	check "$work/kalix.conf" -o jsonl

# ---- With a server ----

must_start
expect 'status of a new server' 0 'well: every shard serves' "$admin" status
expect 'one line for each core' 0 '^ *0 +64 +64 +0 ' "$admin" status
expect 'one for each store' 0 ' yes$' "$admin" status
expect 'the node has a number, and is told apart from what clients call it' 0 \
	', 128 shards; node 1, in CLUSTER NODES [0-9a-f]{40}$' "$admin" status
expect 'as JSON' 0 '"id":"[0-9a-f]{40}","mode":"dev","node":1,.*"ready":true' \
	"$admin" status -o json
expect 'the only node is not drained' 1 'FAILED_PRECONDITION: node 1 cannot be drained' \
	"$admin" node drain 1
lacks 'and what is refused has no plan' 'undo:|^node 1' "$admin" node drain 1
expect 'nor removed' 1 'FAILED_PRECONDITION: node 1 is the only one of the cluster: to' \
	"$admin" node remove 1 --force --yes
expect 'fewer nodes than are to be there' 8 '^1 of 2 nodes is there$' \
	"$admin" cluster status --nodes 2
expect 'as many' 0 '^well: survives 0 failures$' "$admin" cluster status --nodes 1
expect '--nodes of another command' 2 '--nodes is not for this command: node list' \
	"$admin" node list --nodes 2
expect 'config get: a default' 0 '^max_pipeline +1024 +default +true *$' "$admin" config get \
	max-pipeline
expect 'a flag' 0 '"changeable":false,"from":"flag","key":"data"' "$admin" config get data -o jsonl
fact 'config get has every key' "$("$kalixd" --help | grep -c '^  --[a-z].* [A-Z]')" bash -c \
	"'$admin' config get -o jsonl | wc -l"
expect 'a key that is none: did you mean' 1 "did you mean 'port'" "$admin" config get prot
expect 'config set' 0 '^log_level = debug \(was info\), until .* kalix.conf$' "$admin" config set \
	log_level debug
expect 'the log says who changed' 0 'config_set key=log_level value=debug was=info' \
	grep config_set "$work/log"
expect 'it is from there now' 0 '^log_level +debug +set ' "$admin" config get log_level
expect 'as JSON' 0 '^\{"key":"log_level","value":"info","was":"debug"\}$' "$admin" config set \
	log_level info -o json
expect 'a value that is none' 1 'log_level: expected debug, info' "$admin" config set log_level loud
expect 'what only a start reads is refused, with what to do' 1 \
	'FAILED_PRECONDITION: port is read when kalixd starts: change it in kalix.conf' \
	"$admin" config set port 1
expect 'a limit of all cores' 0 'max_connections = 1 ' "$admin" config set max_connections 1
# The connection of the command before may still be the one.
admitted() {
	local answer=''
	exec 3<>"/dev/tcp/127.0.0.1/$port"
	printf 'PING\r\n' >&3
	read -r -t 20 answer <&3 || true
	[[ $answer = +PONG* ]]
}
for _ in $(seq 300); do
	! admitted 2>/dev/null || break
	exec 3>&-
	sleep 0.1
done
expect 'holds at once' 1 'max number of clients' "$admin" status
exec 3>&-
for _ in $(seq 300); do
	! admin config set max_connections 100 >/dev/null 2>&1 || break
	sleep 0.1
done
expect '--node wins over nothing' 0 'well' "$admin" --node "127.0.0.1:$port" status
expect 'no app yet' 0 '' "$admin" app list
expect 'a dry run says what would be' 0 'counter: new' "$admin" app deploy "$work/first" --dry-run
fact 'of a first version it promises no way back' 0 bash -c \
	"'$admin' app deploy '$work/first' --dry-run | grep -c undo || true"
expect 'as JSON it is JSON' 0 '^\{"active":"","app":"first",.*"dry_run":true' "$admin" app deploy \
	"$work/first" --dry-run -o json
cp -r "$work/first" "$work/warned"
printf '%s\n' 'local last' 'local kalix = require "kalix"' 'return { name = "warned",' \
	'kalix.value_entity "warned" { commands = { a = function(s, i) last = i end } } }' \
	>"$work/warned/app.lua"
expect 'a warning has its file and line' 0 "^  app.lua:4: warning: .*'last'" "$admin" app deploy \
	"$work/warned" --dry-run
expect 'and does nothing' 0 '^\[\]$' "$admin" app list -o json
expect 'deploy' 0 'every shard has it' "$admin" app deploy "$work/first"
expect 'app list names it' 0 '^first +[0-9]+ +[0-9a-f]{32} .*counter.* 0 *$' "$admin" app list
expect 'as lines of JSON' 0 '^\{"app":"first"' "$admin" app list -o jsonl
expect 'deploying it as JSON' 0 '"unchanged":true' "$admin" app deploy "$work/first" -o json --yes
expect 'call lists what there is' 0 '"name":"add"' "$admin" call counter/c1
expect 'call' 0 '^2$' "$admin" call counter/c1 add '{"n":2}'
expect 'a payload from standard input' 0 '^7$' bash -c \
	"echo '{\"n\":5}' | '$admin' call counter/c1 add -"
expect 'of which there is none' 1 'standard input is empty' "$admin" call counter/c1 add -
expect 'a call with a token' 0 '^8$' "$admin" call counter/c1 add '{"n":1}' --token t1
expect 'its repeat' 0 '^8$' "$admin" call counter/c1 add '{"n":1}' --token t1
expect 'what the handler refuses ends with 1' 1 'INVALID_ARGUMENT' "$admin" call counter/c1 add \
	'{"n":0}'
expect 'an unknown command: did you mean' 1 'did you mean add' "$admin" call counter/c1 ad '{}'
expect 'a malformed address ends with 1' 1 'INVALID_ARGUMENT' "$admin" call Counter add
expect 'entity get' 0 '^state +\{"value":8\}' "$admin" entity get counter/c1
expect 'with the revision' 0 '^revision +3' "$admin" entity get counter/c1
for number in 1 2 3 4 5; do admin call "counter/n$number" add "{\"n\":$number}" >/dev/null; done
expect 'entity list is a table' 0 '^counter/n3$' "$admin" entity list counter
fact 'of all of them' '6' bash -c "'$admin' entity list counter | grep -c '^counter/'"
expect 'a page says how to go on' 0 "^more: --cursor '" "$admin" entity list counter --count 2
pages() {
	local cursor=() line all=0
	for _ in $(seq 20); do
		admin entity list counter --count 2 "${cursor[@]}" >"$work/page"
		all=$((all + $(grep -c '^counter/' "$work/page" || true)))
		line=$(sed -n "s/^more: --cursor '\(.*\)'$/\1/p" "$work/page")
		[ -n "$line" ] || break
		cursor=(--cursor "$line")
	done
	echo "$all"
}
fact 'and pages together are everything once' '6' pages
expect 'as lines' 0 '^"counter/n1"$' "$admin" entity list counter -o jsonl
expect 'a type that is none' 1 'INVALID_ARGUMENT' "$admin" entity list Counter
unknown="UNIMPLEMENTED: .* 'countre'; did you mean counter"
expect 'a type that no app has' 1 "$unknown" "$admin" entity list countre
expect 'nor a history of it' 1 "$unknown" "$admin" entity history countre/c1
expect 'nor a state' 1 "$unknown" "$admin" entity get countre/c1

expect 'a name that another app has ends with 5' 5 'counter belongs to the app first' \
	"$admin" app deploy tests/kill9/ledger --dry-run
sed -e 's/"ledger"/"books"/; s/require "counter", //' tests/kill9/ledger/app.lua >"$work/app.lua"
mkdir "$work/books"
cp "$work/app.lua" tests/kill9/ledger/journal.lua "$work/books"
expect 'deployed beside' 0 'every shard has it' "$admin" app deploy "$work/books"
for number in 1 2 3; do admin call journal/j add "{\"n\":$number}" >/dev/null; done
expect 'history is a table' 0 '^revision +at +event +data *$' "$admin" entity history journal/j
expect 'oldest first' 0 '^1 +[0-9]+ +added +\{"n":1\}' "$admin" entity history journal/j
expect 'a page of it' 0 'more: --cursor' "$admin" entity history journal/j --count 1
expect 'as lines' 0 '^\{"at":[0-9]+,"data":\{"n":3\},"event":"added","revision":3\}$' \
	"$admin" entity history journal/j -o jsonl
expect 'as it is stored' 0 '^1 +[0-9]+ +added +"?gaFuAQ==?"? +1' \
	"$admin" entity history journal/j --stored
expect 'the state as it was' 0 '\{"count":2,"sum":3\}' "$admin" entity get journal/j --at-revision 2
expect 'a revision that is not there yet' 1 'no revision 9 yet; the newest is 3$' \
	"$admin" entity get journal/j --at-revision 9

cp -r "$work/first" "$work/kept"
sed -i 's/"counter" {/"ledger" { history = 2,/' "$work/kept/counter.lua"
sed -i 's/name = "first"/name = "kept"/' "$work/kept/app.lua"
expect 'a value entity that keeps its last states' 0 'every shard has it' \
	"$admin" app deploy "$work/kept"
for number in 1 2 3; do admin call ledger/l add "{\"n\":$number}" >/dev/null; done
expect 'its history tells them' 0 '^2 +[0-9]+ +\{"value":3\}' "$admin" entity history ledger/l
lacks 'and no older ones' '^1 ' "$admin" entity history ledger/l
expect 'its state as it was' 0 '^state +\{"value":3\}' \
	"$admin" entity get ledger/l --at-revision 2
expect 'and before that' 1 'NOT_FOUND: there is no state of revision 1' \
	"$admin" entity get ledger/l --at-revision 1

# What people write stands there as they wrote it, and what a terminal would obey does not.
cp -r "$work/first" "$work/texts"
sed -i 's/"counter" {/"text" { history = 2,/; s/state = .*/state = schema.string,/' \
	"$work/texts/counter.lua"
sed -i '/init = /d' "$work/texts/counter.lua"
sed -i 's/name = "first"/name = "texts"/' "$work/texts/app.lua"
sed -i '/commands = {/,/^  },/d; s/queries = .*/commands = {/' "$work/texts/counter.lua"
sed -i 's/^  commands = {$/  commands = { set = function(s, i, c) c:update(i) end },/' \
	"$work/texts/counter.lua"
expect 'an entity of text' 0 'every shard has it' "$admin" app deploy "$work/texts"
admin call text/ä set '"Käse, 奶酪"' >/dev/null
admin call text/ä set '"\u009b31m"' >/dev/null
expect 'a history as it was written' 0 '^1 +[0-9]+ +Käse, 奶酪$' \
	"$admin" entity history text/ä
expect 'but for control characters' 0 '^2 +[0-9]+ +\\u009b31m$' \
	"$admin" entity history text/ä
expect 'an address too' 0 '^text/ä *$' "$admin" entity list text
expect 'and one entity' 0 '^state +\\u009b31m$' "$admin" entity get text/ä

# ---- Errors of handlers ----

cp -r "$work/first" "$work/broken"
sed -i 's/"counter" {/"faulty" {/' "$work/broken/counter.lua"
sed -i 's/return state.value$/error("it broke")/; s/name = "first"/name = "broken"/' \
	"$work/broken/counter.lua" "$work/broken/app.lua"
expect 'an app that breaks' 0 'every shard has it' "$admin" app deploy "$work/broken"
expect 'INTERNAL ends with 1' 1 'INTERNAL' "$admin" call faulty/f add '{"n":1}'
reference=$(sed -n 's/.*(error \([0-9a-z]*\)).*/\1/p' "$work/out" | head -n 1)
expect 'error list is a table' 0 "^${reference:-none} +[0-9]+ +faulty/f +add " "$admin" error list
expect 'error REFERENCE has the traceback' 0 'counter.lua:[0-9]+' "$admin" error \
	"${reference:-none}"
expect 'a reference that is none' 1 'NOT_FOUND' "$admin" error 0000000000000000

# ---- Back and away ----

cp -r "$work/first" "$work/slow"
sed -i 's/"counter" {/"slow" {/; s/reset = .*/spin = function() while true do end end,/' \
	"$work/slow/counter.lua"
sed -i 's/name = "first"/name = "slow"/' "$work/slow/app.lua"
expect 'an app with a handler without end' 0 'every shard has it' "$admin" app deploy "$work/slow"
expect 'which its budget ends' 1 'RESOURCE_EXHAUSTED' "$admin" call slow/s spin --timeout 50000
# The command itself waits for a quarter of a second more, which a busy machine may need.
spin_for_a_moment() {
	for _ in $(seq 20); do
		! admin call slow/s spin --timeout 1 2>&1 |
			grep '^kalix-admin: DEADLINE' || break
	done
}
fact '--timeout reaches the server, which answers for sure' \
	'kalix-admin: DEADLINE_EXCEEDED.*' spin_for_a_moment

cp -r "$work/first" "$work/second"
sed -i 's/queries = { get/queries = { twice = function(s) return s.value * 2 end, get/' \
	"$work/second/counter.lua"
first=$(admin app list -o jsonl | sed -n \
	's/.*"app":"first".*"hash":"\([0-9a-f]*\)","history.*/\1/p')
expect 'a second version tells the way back' 0 'undo: kalix-admin app rollback first' \
	"$admin" app deploy "$work/second"
expect 'rollback, first dry' 0 'first [0-9a-f]{32}' "$admin" app rollback first --dry-run
expect 'which names the way forth again' 0 'undo: kalix-admin app activate first [0-9a-f]{32}' \
	"$admin" app rollback first --dry-run
expect 'the second still serves' 0 '^16$' "$admin" call counter/c1 twice
expect 'a hash that somebody else changed ends with 5' 5 'ABORTED' \
	"$admin" app rollback first --expect "$first"
expect 'rollback' 0 'every shard has it' "$admin" app rollback first
expect 'it serves no more' 1 'UNIMPLEMENTED' "$admin" call counter/c1 twice
expect 'there is nothing before that' 1 'no earlier version' "$admin" app rollback first

# Between the plan and the yes somebody else deploys. `script` is the terminal that is asked on.
cp -r "$work/second" "$work/third"
sed -i 's/s.value \* 2/s.value * 3/' "$work/third/counter.lua"
mkfifo "$work/keys"
script -qec "'$admin' app deploy '$work/second'" "$work/screen" <"$work/keys" >/dev/null &
asked=$!
exec 9>"$work/keys"
for _ in $(seq 300); do
	! grep -qs '\[y/N\]' "$work/screen" || break
	sleep 0.1
done
expect 'deployed by somebody else meanwhile' 0 'every shard has it' \
	"$admin" app deploy "$work/third"
echo yes >&9
exec 9>&-
await_process "$asked"
fact 'the yes to an old plan ends with 5' 5 echo "$status"
fact 'and says why' 1 grep -c 'ABORTED: first was changed by somebody else' "$work/screen"
fact 'and the other one serves' 24 call counter/c1 twice

cp -r "$work/first" "$work/wider"
sed -i 's/ = schema.integer }/ = schema.integer, note = schema.optional(schema.string) }/' \
	"$work/wider/counter.lua"
expect 'a plan without a way back says so, in words' 0 \
	'no way back without downgrade: counter: .* field .note. may be stored, and is refused' \
	"$admin" app deploy "$work/wider" --dry-run
# They are counted for a second at most, which a busy machine may take for fewer.
plan_with() { # PATTERN OPTION...
	local pattern=$1
	shift
	for _ in $(seq 20); do
		! admin app deploy "$work/wider" --dry-run "$@" | grep -o "$pattern" || break
	done
}
fact 'and counts the entities that are there' '; state accepts more; 6 counters readable' \
	plan_with '; state accepts more; 6 counters readable'
counted='{"all":true,"count":6,"destroyed":false,"type":"counter"}'
fact 'as JSON, too' "\\$counted" plan_with "$counted" -o json
lacks 'and promises none' 'undo:' "$admin" app deploy "$work/wider" --dry-run
expect 'deployed all the same' 0 'every shard has it' "$admin" app deploy "$work/wider"
expect 'going back from there says what to do instead' 1 \
	'a version never changes: deploy a copy of it that can: .*the field .note. may be stored' \
	"$admin" app rollback first
expect 'no reply is null' 0 '^null$' "$admin" call counter/none reset
expect 'activate goes to any that was active' 1 'NOT_FOUND' \
	"$admin" app activate first 00000000000000000000000000000000
expect 'no app of this name' 1 'NOT_FOUND' "$admin" app rollback frist
expect 'what destroys needs --yes' 1 '\-\-yes' "$admin" app remove broken --drop faulty
expect 'with it' 0 'done' "$admin" app remove broken --drop faulty --yes
expect 'it is not there any more' 1 'UNIMPLEMENTED' "$admin" call faulty/f get
mkdir "$work/spin"
cat >"$work/spin/app.lua" <<'EOF'
local kalix = require "kalix"
return { name = "spin", kalix.value_entity "spin" {
  commands = { set = function(state, input, ctx) ctx:update(input) end },
  queries = { turn = function(state, input) for _ = 1, 1000000 do end return 1 end },
} }
EOF
expect 'an app that takes its time' 0 'every shard has it' "$admin" app deploy "$work/spin"
admin slowlog reset >/dev/null
expect 'slowlog of a server without slow calls' 0 '^\[\]$' "$admin" slowlog -o json
expect 'calls of a millisecond are slow' 0 'was 100ms' "$admin" config set slowlog_threshold 1ms
admin call spin/s turn '{"secret":7}' >/dev/null
expect 'are kept, with the length of what they were given' 0 \
	'^[0-9]+ +[0-9]{4,} +spin/s +turn +12 +127.0.0.1' "$admin" slowlog
lacks 'but not that itself' 'secret' "$admin" slowlog -o json
expect 'as lines' 0 '"address":"spin/s".*"command":"turn"' "$admin" slowlog -o jsonl --count 5
expect 'redis-cli shows them too' 0 '\(12 bytes\)' redis-cli -p "$port" slowlog get
expect 'its words are few' 2 "slowlog reset, not 'rest'" "$admin" slowlog rest
expect 'slowlog reset' 0 '^forgotten +[1-9]' "$admin" slowlog reset
expect 'none are kept with 0' 0 '= 0ms' "$admin" config set slowlog_threshold 0
admin call spin/s turn >/dev/null
fact 'and none was' '0' cli slowlog len
expect 'logs: the newest last' 0 'config_set key=slowlog_threshold value=0ms was=1ms$' \
	"$admin" logs --count 1
expect 'the first ones too' 0 ' info ready port=' "$admin" logs --count 1000
expect 'as JSON' 0 '^\{"lines":\[\{"line":"20.* config_set .*,"next":[0-9]+\}$' \
	"$admin" logs --count 1 -o json
expect 'as lines' 0 '^\{"line":"20.*","number":[0-9]+\}$' "$admin" logs --count 3 -o jsonl
"$admin" logs --follow --count 1 >"$work/followed" 2>&1 &
follower=$!
for _ in $(seq 300); do
	[ ! -s "$work/followed" ] || break
	sleep 0.1
done
admin config set slowlog_threshold 7s >/dev/null
admin config set slowlog_threshold 8s >/dev/null
for _ in $(seq 300); do
	[ "$(wc -l <"$work/followed")" -lt 3 ] || break
	sleep 0.1
done
kill "$follower"
wait "$follower" 2>/dev/null || true
fact 'those that come are followed, once each and in order' '0ms 7s 8s ' bash -c \
	"sed 's/.* value=\([0-9a-z]*\) .*/\1/' '$work/followed' | tr '\n' ' '"

# ---- What INFO says, and docs/info.md of it ----

# "SECTION FIELD", a line each; what is named after an app or a command has one name.
info_printed() {
	cli INFO | tr -d '\r' | sed -n 's/^# /# /p; s/^\([a-z_0-9|.]*\):.*/\1/p' |
		sed 's/^handler_.*/handler_TYPE.NAME/; s/^cmdstat_.*/cmdstat_COMMAND/' |
		awk '/^# / { section = $2; next } NF { print section, $1 }' | sort -u
}
# Of a row of a table the names in its first column.
info_told() {
	awk -F '|' '/^## / { section = substr($0, 4) }
		/^\| `/ { while (match($2, /`[^`]+`/)) {
				print section, substr($2, RSTART + 1, RLENGTH - 2)
				$2 = substr($2, RSTART + RLENGTH)
			} }' docs/info.md | sort -u
}
info_printed >"$work/printed"
info_told >"$work/told"
fact 'INFO prints figures' '^ok$' eval '[ "$(wc -l <"$work/printed")" -gt 100 ] && echo ok'
fact 'docs/info.md tells of each that is printed, in its section' '^none$' \
	eval 'comm -23 "$work/printed" "$work/told" | grep . || echo none'
fact 'and of none that is not' '^none$' \
	eval 'comm -13 "$work/printed" "$work/told" | grep . || echo none'

stop_server
expect 'and when the server is gone, 3 again' 3 'no server answers' "$admin" app list
finish
