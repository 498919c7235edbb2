#!/bin/bash
# What the protocol promises about calls, seen from outside: errors, tokens, time limits, order,
# numbers, bounds, and what malformed bytes do.
# The functions of lib.sh take what they are given; programs in quotes are for other shells.
# shellcheck disable=SC2015,SC2016,SC2119
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

must_start
expect 'the app is deployed' 0 'every shard has it' "$admin" app deploy tests/system/apps/all

# ---- Replies and numbers ----

fact 'a reply is compact JSON with sorted keys' '\{"id":"a","items":\{\},"n":0\}' call box/a get
fact 'deep too' '\{"a":\[1,2.5,\{"x":1,"y":2\}\],"b":true\}' \
	call box/a echo '{ "b" : true, "a" : [1, 2.5, {"y":2, "x":1}] }'
fact 'an integer above 2^53 survives' '9007199254740993' call box/a echo 9007199254740993
fact 'the least integer survives' '-9223372036854775808' call box/a echo -9223372036854775808
fact 'the greatest one too' '\{"n":9223372036854775807\}' call box/a echo \
	'{"n":9223372036854775807}'
fact 'an integer beyond 64 bits is told, not rounded' \
	'(ERR |)INVALID_ARGUMENT .*|9.2233720368547758[0-9]*e\+?18' \
	call box/a echo 9223372036854775808
fact 'state keeps it exact' '9007199254740993' call box/exact add '{"n":9007199254740993}'
fact 'text in UTF-8 comes back as it was' '"Zoë ✓"' bash -c \
	"redis-cli -p $port --raw CALL box/a echo '\"Zoë ✓\"'"
fact 'nothing is null' 'null' call box/exact close
fact 'an empty list stays a list' '\[\]' call box/a echo '[]'
fact 'FCALL is the same call' '5' cli FCALL add 1 box/f '{"n":5}'
fact 'FCALL_RO asks queries' '\{"id":"f","items":\{\},"n":5\}' cli FCALL_RO get 1 box/f
fact 'and refuses commands' '.*INVALID_ARGUMENT.*|.*FAILED_PRECONDITION.*|.*UNIMPLEMENTED.*' \
	cli FCALL_RO add 1 box/f '{"n":5}'
fact 'which changed nothing' '\{"id":"f","items":\{\},"n":5\}' call box/f get

# ---- Lists and what is unknown ----

fact 'CALL address lists what it understands' '.*"name":"add".*' call box/a
fact 'with input schemas' '.*"input":\{.*"n":.*integer.*' call box/a
lacks 'queries are told apart, and internal names hidden or marked' 'NEVER' call box/a
fact 'an unknown command: did you mean' '.*UNIMPLEMENTED .*did you mean add\?' call box/a ad
fact 'an unknown type: did you mean' '.*UNIMPLEMENTED .*did you mean box.*' call boxx/a get
fact 'a malformed address' '.*INVALID_ARGUMENT .*' call Box/a get
fact 'an address without id' '.*INVALID_ARGUMENT .*' call box/ get
fact 'malformed JSON, with its place' '.*INVALID_ARGUMENT .*' call box/a add '{"n":}'
fact 'a word that is no option' '.*INVALID_ARGUMENT .*' call box/a add '{"n":1}' FOO 1
fact 'a known redis word says what to type' '.*try: CALL box/a get.*' cli GET box/a
fact 'an unknown one is an error' 'ERR unknown command.*' cli FROBNICATE

# ---- Errors ----

fact 'a missing field, with its path' '.*INVALID_ARGUMENT .*n: .*' call box/a add '{}'
fact 'a missing input' '.*INVALID_ARGUMENT .*' call box/a add
fact 'a value out of bounds, with path, expectation and number' \
	'.*INVALID_ARGUMENT .*items\.p1\.quantity: expected integer >= 1, got 0.*' \
	call box/a put '{"items":{"p1":{"quantity":0}}}'
fact 'an unknown field' '.*INVALID_ARGUMENT .*' call box/a add '{"n":1,"m":2}'
lacks 'strings of the caller are never shown' 'hushhush' call box/a add '{"n":"hushhush"}'
for code in INVALID_ARGUMENT PERMISSION_DENIED NOT_FOUND ALREADY_EXISTS ABORTED \
	FAILED_PRECONDITION \
	OUT_OF_RANGE RESOURCE_EXHAUSTED UNIMPLEMENTED UNAVAILABLE; do
	fact "ctx:fail $code, through a pcall, with details" \
		"(\\(error\\) )?$code as you wish	?.*\\{\"why\":\"$code\"\\}" \
		call box/a refuse "{\"code\":\"$code\"}"
done
fact 'another code is INTERNAL' '.*INTERNAL .*' call box/a refuse '{"code":"TEAPOT"}'
fact 'state that its schema refuses is the fault of the handler' '.*INTERNAL .*note.*' call box/a \
	spoil
fact 'so is a reply that output refuses' '.*INTERNAL .*' call box/a wrong_output
call box/a break >"$work/broken" 2>&1 || true
reference=$(sed -n 's/.*error \([A-Za-z0-9]\{4,\}\)[^A-Za-z0-9].*/\1/p' "$work/broken" | head -n 1)
fact 'a broken handler is INTERNAL with a reference' '.*INTERNAL .*error [A-Za-z0-9]+.*' \
	cat "$work/broken"
expect 'kalix-admin error REF shows file, line and address' 0 'box.lua:[0-9]+' \
	"$admin" error "${reference:-none}"
expect 'and the address' 0 'box/a' "$admin" error "${reference:-none}"
fact 'a failed command changed nothing' '\{"id":"a","items":\{\},"n":0\}' call box/a get
fact 'nor one that failed behind its update' '.*ABORTED after the update.*' call box/a late_failure
fact 'it changed nothing' '\{"id":"a","items":\{\},"n":0\}' call box/a get
fact 'exists = true refuses one that is not' '.*NOT_FOUND .*' call box/never close
fact 'exists = false makes one' '0' call box/made create
fact 'and refuses it then' '.*ALREADY_EXISTS .*' call box/made create

# ---- Tokens ----

fact 'a token: the first call' '7' call box/t add '{"n":7}' IDEMPOTENCY one
fact 'its repeat gets the first reply' '7' call box/t add '{"n":7}' IDEMPOTENCY one
fact 'it took effect once' '.*"n":7\}' call box/t get
fact 'another payload is refused' '.*INVALID_ARGUMENT .*' call box/t add '{"n":8}' IDEMPOTENCY one
fact 'another command is refused' '.*INVALID_ARGUMENT .*' call box/t answer IDEMPOTENCY one
fact 'the token belongs to its address' '8' call box/t2 add '{"n":8}' IDEMPOTENCY one
fact 'a failure' '.*ABORTED .*' call box/t late_failure IDEMPOTENCY two
fact 'is not remembered' '9' call box/t add '{"n":2}' IDEMPOTENCY two
fact 'a token of 129 bytes is refused' '.*INVALID_ARGUMENT .*' call box/t add '{"n":1}' \
	IDEMPOTENCY \
	"$(printf 'x%.0s' $(seq 129))"
fact 'a reply above 64 KiB with a token is refused' '.*RESOURCE_EXHAUSTED .*' \
	call box/t big '{"bytes":70000}' IDEMPOTENCY large
kill_server
must_start
fact 'after kill -9 a repeat gets the first reply' '7' call box/t add '{"n":7}' IDEMPOTENCY one
fact 'and the state is that of before' '.*"n":9\}' call box/t get
fact 'the token outlives the entity' 'null' call box/t close
fact 'its repeat still gets the first reply' '7' call box/t add '{"n":7}' IDEMPOTENCY one
fact 'and does not bring it back' '.*"exists":false.*' call box/t about

# ---- Time ----

fact 'a call that is under way at its TIMEOUT' \
	'.*(DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED|UNKNOWN_OUTCOME) .*' \
	call wild/slow swallow TIMEOUT 5
fact 'TIMEOUT 0 is refused' '.*INVALID_ARGUMENT .*' call box/a get TIMEOUT 0
fact 'TIMEOUT takes units' '.*"n":0\}' call box/a get TIMEOUT 2s

# ---- Order: calls of one connection to one entity, on whatever core ----

pipeline() { # ENTITY: 2000 commands that add 1; replies are 1, 2, 3, ...
	local one=$1
	{
		for _ in $(seq 2000); do
			printf '*4\r\n$4\r\nCALL\r\n$%d\r\n%s\r\n$3\r\nadd\r\n$7\r\n{"n":1}\r\n' \
				${#one} "$one"
		done
		printf 'QUIT\r\n'
	} >"$work/requests"
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	timeout 30 cat "$work/requests" >&"$fd" &
	timeout 30 cat <&"$fd" | tr -d '\r' | grep -v '^[$+]' >"$work/replies" || true
	wait $! || true
	exec {fd}>&-
	seq 2000 | cmp - "$work/replies" && echo in order
}
for entity in box/order1 box/order2 box/order3 box/order4; do
	fact "2000 pipelined calls of one connection to $entity take effect in order" 'in order' \
		pipeline "$entity"
done

# ---- Bounds ----

big() { # BYTES of payload, in its quotes
	head -c $(($1 - 2)) /dev/zero | tr '\0' x | sed 's/^/"/; s/$/"/' |
		cli -x CALL box/a echo | wc -c
}
payload() { # BYTES: what such a payload is answered, in short
	local text
	text=$(head -c $(($1 - 2)) /dev/zero | tr '\0' x)
	printf '*4\r\n$4\r\nCALL\r\n$5\r\nbox/a\r\n$4\r\necho\r\n$%d\r\n"%s"\r\n' "$1" "$text" \
		>"$work/big"
	exec {fd}<>"/dev/tcp/127.0.0.1/$port"
	timeout 30 cat "$work/big" >&"$fd" &
	local line
	IFS= read -r -t 20 line <&"$fd" || line=closed
	exec {fd}>&-
	wait $! 2>/dev/null || true
	printf '%s\n' "${line%$'\r'}" | cut -c 1-60
}
fact 'a payload of 1 MiB is taken' '.1048576' payload 1048576
fact 'one byte more is refused' '-RESOURCE_EXHAUSTED .*|-INVALID_ARGUMENT .*' payload 1048577
fact 'an id of 512 bytes is taken' '0' bash -c \
	"redis-cli -p $port CALL box/$(printf 'i%.0s' $(seq 512)) get | grep -c INVALID; true"
fact 'one of 513 is refused' '.*INVALID_ARGUMENT .*' call "box/$(printf 'i%.0s' $(seq 513))" get

# ---- Bytes that are no requests ----

fact 'a malformed array' '-ERR .*' raw 1 '*x\r\n'
fact 'a negative bulk' '-ERR .*' raw 1 '*1\r\n$-5\r\n'
fact 'a bulk without its end' '-ERR .*' raw 1 '*1\r\n$4\r\nPINGxx\r\n'
fact 'a huge count' '-ERR .*' raw 1 '*99999999999\r\n'
fact 'binary noise does not end the server' '.*' raw 1 '\x00\xff\xfe\r\n'
fact 'inline commands are taken' '\+PONG' raw 1 'PING\r\n'
fact 'an inline call' '\$[0-9]+' raw 1 'CALL box/a get\r\n'
fact 'an answer before the malformed one arrives' '\+PONG' raw 1 'PING\r\n*x\r\n'
fact 'an empty line is nothing' '\+PONG' raw 1 '\r\nPING\r\n'
fact 'HELLO 3 answers a map' '%[0-9]+' raw 1 'HELLO 3\r\n'
fact 'HELLO 4 is NOPROTO' '-NOPROTO .*' raw 1 'HELLO 4\r\n'
fact 'all others are served on' 'PONG' cli ping

# ---- Clusters ----

fact 'the cluster port answers a wrong slot never: this node has all' '.*"n":0\}' \
	in_time 20 redis-cli -c -p "$cluster_port" CALL box/a get
fact 'CLUSTER KEYSLOT is that of Redis' '[(]?(integer\) )?12182' cli CLUSTER KEYSLOT foo
fact 'CLUSTER SLOTS announces the cluster port' "[(]?.*$cluster_port" cli CLUSTER SLOTS

stop_server
fact 'it ended well' '0' echo "$status"
finish
