#!/bin/bash
# kalix-admin bench: what it makes a server do, and what it says of it; how fast that is is nobody's
# business here. kalix-admin doctor: what it finds on a machine that something was taken from.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

number() { # NAME: of the last JSON
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/json"
}

KALIX_NODE=127.0.0.1:1 expect 'without a server it ends with 3' 3 'Is kalixd running' \
	"$admin" bench counter/c add
must_start
admin app init "$work/first" >"$work/out"
expect 'an app' 0 'every shard has it' "$admin" app deploy "$work/first"
expect 'a command is needed' 2 'something is missing: bench' "$admin" bench counter/c
expect 'a rate is a number' 2 "rate takes a number from 1 to 10000000, not '0'" \
	"$admin" bench counter/c add --rate 0
expect 'connections are not for all commands' 2 '--connections is not for this command' \
	"$admin" status --connections 3
for bad in 'counter/c{}' 'counter/c{x}' 'counter/c{0}' 'counter/c{3' 'counter/c{99999999999}'; do
	expect "no pattern: $bad" 1 'a number from 1 to N' "$admin" bench "$bad" add --seconds 1
done

expect 'as a table' 0 '^calls +failed +waiting +calls_per_s +p50_us .*p99.9_us +max_us$' \
	"$admin" bench 'counter/a{3}' add '{"n":1}' --seconds 1
expect 'each entity that it names' 0 '^counter/a3$' "$admin" entity list counter
lacks 'and no other' '^counter/a(0|4)$' "$admin" entity list counter

admin bench counter/b add '{"n":1}' --seconds 1 --connections 2 --pipeline 4 -o json \
	>"$work/json"
fact 'as JSON' \
	'^\{"calls":[1-9][0-9]*,"calls_per_s":[1-9].*"errors":\{\},"failed":0,"pipeline":4.*' \
	cat "$work/json"
# Each call that it counts was executed once.
fact 'as many calls as it says' "state +\{\"value\":$(number calls)\}" "$admin" entity get counter/b

admin bench counter/r add '{"n":1}' --seconds 2 --rate 50 --connections 4 -o json >"$work/json"
fact 'with a rate all that are due are made, or told' 100 \
	echo $(($(number calls) + $(number waiting)))
fact 'those that were made were executed' "state +\{\"value\":$(number calls)\}" \
	"$admin" entity get counter/r

# A server that stands still for half of the time: two fifths of the calls, those that were due in
# the first 800 ms of it, wait for 200 ms or more. Who waits with the next call for the reply to the
# last one would see a single slow call.
(
	sleep 0.5
	kill -STOP "$server"
	sleep 1
	kill -CONT "$server"
) &
admin bench counter/s add '{"n":1}' --seconds 2 --rate 100 -o json >"$work/json"
wait $!
fact 'what was due while the server stood still has waited' yes \
	bash -c "[ '$(number p90)' -ge 200000 ] && echo yes || cat '$work/json'"

expect 'calls that fail are counted by their code' 1 '^[1-9][0-9]* ended with UNIMPLEMENTED$' \
	"$admin" bench counter/c frob --seconds 1
expect 'and the first is told' 1 "first that failed: UNIMPLEMENTED: .*no command or query 'frob'" \
	"$admin" bench counter/c frob --seconds 1
expect 'by name in JSON' 1 '"errors":\{"UNIMPLEMENTED":[1-9][0-9]*\}' \
	"$admin" bench counter/c frob --seconds 1 -o json

# ---- doctor ----

mkdir "$work/disk"
expect 'doctor: the machine that these tests run on will do' 0 \
	'^io_uring +ok +kernel .*, allowed *$' "$admin" doctor
expect 'and its server is well' 0 "^server +ok +127.0.0.1:$port: well: every shard serves *$" \
	"$admin" doctor
expect 'whose clock is that of the machine' 0 "^server's clock +ok +[0-9]{1,3} ms from" \
	"$admin" doctor
expect 'as JSON' 0 '^\[\{"check":"io_uring","result":"ok","found":".*","advice":""\},$' \
	"$admin" doctor -o json
admin doctor "$work/disk" >"$work/json" || true
fact 'a disk is measured' '(space|sync) +(ok|warn|fail) +([0-9]+ of|half of) [1-9].*' \
	grep '^space' "$work/json"
fact 'by writing to it' 'sync +(ok|warn) +half of [1-9][0-9]* within [0-9]+ us, all within .*' \
	grep '^sync' "$work/json"
fact 'and left as it was' 0 bash -c "ls -A '$work/disk' | wc -l"
expect 'a directory that is not there fails' 8 '^directory +fail +.*/none: .* +name a directory' \
	"$admin" doctor "$work/none"
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ]; then
	expect 'memory is no disk' 0 '^file system +warn +in memory +nothing is left' \
		bash -c "'$admin' doctor /dev/shm | grep 'file system'"
fi
expect 'few descriptors are told' 0 '^descriptors +warn +at most 2000 .*set max_connections' \
	bash -c "ulimit -n 2000; '$admin' doctor"
expect 'too few fail' 8 '^descriptors +fail +at most 100 ' bash -c "ulimit -n 100; '$admin' doctor"
expect 'what io_uring does not get is named' 8 '^io_uring +fail +no file descriptor .*ulimit -n' \
	bash -c "ulimit -n 4; '$admin' doctor"
expect 'a server that was named and does not answer fails' 8 \
	'^server +fail +none answers at 127.0.0.1:1 ' \
	"$admin" doctor --node default:hidden@127.0.0.1:1
lacks 'without its password' hidden "$admin" doctor --node default:hidden@127.0.0.1:1
kill -STOP "$server"
expect 'one that stands still does, too' 8 "^server +fail +none answers at 127.0.0.1:$port" \
	"$admin" doctor
kill -CONT "$server"
expect 'a word too many' 2 'too many words: doctor' \
	"$admin" doctor a b
stop_server
finish
