#!/bin/bash
# kalix-admin bench: what it makes a server do, and what it says of it. How fast that is is nobody's
# business here.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

number() { # NAME: of the last JSON
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/json"
}

KALIX_NODE=127.0.0.1:1 expect 'without a server it ends with 3' 3 'Is kalixd running' \
	"$admin" bench counter/c add
must_start
"$admin" app init "$work/first" >"$work/out"
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

"$admin" bench counter/b add '{"n":1}' --seconds 1 --connections 2 --pipeline 4 -o json \
	>"$work/json"
fact 'as JSON' \
	'^\{"calls":[1-9][0-9]*,"calls_per_s":[1-9].*"errors":\{\},"failed":0,"pipeline":4.*' \
	cat "$work/json"
# Each call that it counts was executed once.
fact 'as many calls as it says' "state +\{\"value\":$(number calls)\}" "$admin" entity get counter/b

"$admin" bench counter/r add '{"n":1}' --seconds 2 --rate 50 --connections 4 -o json >"$work/json"
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
"$admin" bench counter/s add '{"n":1}' --seconds 2 --rate 100 -o json >"$work/json"
wait $!
fact 'what was due while the server stood still has waited' yes \
	bash -c "[ '$(number p90)' -ge 200000 ] && echo yes || cat '$work/json'"

expect 'calls that fail are counted by their code' 1 '^[1-9][0-9]* ended with UNIMPLEMENTED$' \
	"$admin" bench counter/c frob --seconds 1
expect 'and the first is told' 1 "first that failed: UNIMPLEMENTED: .*no command or query 'frob'" \
	"$admin" bench counter/c frob --seconds 1
expect 'by name in JSON' 1 '"errors":\{"UNIMPLEMENTED":[1-9][0-9]*\}' \
	"$admin" bench counter/c frob --seconds 1 -o json
stop_server
finish
