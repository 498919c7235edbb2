#!/bin/bash
# redis_cli.sh PORT CLUSTER_PORT: one line "ok FACT" or "not ok FACT" for each.
set -uo pipefail
port=$1 cluster_port=$2

# expect FACT WANTED FLAGS... -- WORDS...
expect() {
	local fact=$1 wanted=$2 got flags=()
	shift 2
	while [ "$1" != -- ]; do
		flags+=("$1")
		shift
	done
	shift
	got=$(redis-cli -h 127.0.0.1 "${flags[@]}" "$@" 2>&1)
	# shellcheck disable=SC2053 # a pattern
	if [[ $got == $wanted ]]; then
		echo "ok redis-cli: $fact"
	else
		echo "not ok redis-cli: $fact: $got"
	fi
}

expect 'PING' PONG -p "$port" -- PING
expect 'a call' '{"added":0,"address":"cart/c1","input":{"a":1}}' -p "$port" -- \
	CALL cart/c1 get '{"a":1}'
expect 'the same in RESP3' '{"added":*"address":"cart/c1"*' -3 -p "$port" -- CALL cart/c1 get
expect 'FCALL with -c on the cluster port' '{"added":*"address":"cart/c1"*' \
	-c -p "$cluster_port" -- FCALL get 1 cart/c1
expect 'an error with details' 'FAILED_PRECONDITION cart is already checked out*' -p "$port" -- \
	CALL cart/c1 fail
expect 'no reply is null' 'null' -p "$port" -- CALL cart/c1 nothing
expect 'what was meant' "ERR unknown command 'GET', try: CALL cart/c1 get" -p "$port" -- \
	GET cart/c1
expect 'INFO' '*kalix_version:*' -p "$port" -- INFO server
expect 'CLUSTER SLOTS names the cluster port' "*$cluster_port*" -p "$port" -- CLUSTER SLOTS
expect 'CLUSTER SHARDS in RESP3' '*slots*nodes*online*' -3 -p "$port" -- CLUSTER SHARDS
expect 'COMMAND COUNT' '[1-9]*' -p "$port" -- COMMAND COUNT
expect 'ADMIN STATUS' '{"cluster":*"ready":true*' -p "$port" -- ADMIN STATUS

# On a terminal it asks for COMMAND DOCS by itself, for its help.
say() {
	sleep 0.3
	printf '%s\r' "$1"
}
got=$({
	sleep 0.7
	say PING
	say 'CALL cart/c1 get'
	say 'HELP CALL'
	say exit
	sleep 0.3
} | timeout 20 script -qec "stty cols 80 rows 24; redis-cli -h 127.0.0.1 -p $port" /dev/null 2>&1)
if [[ $got == *PONG* && $got == *added* && $got == *'Calls a command or query'* ]]; then
	echo 'ok redis-cli: a dialogue on a terminal, with help'
else
	echo "not ok redis-cli: a dialogue on a terminal: $(cat -v <<<"$got")"
fi

# Thousands of requests in one stream, and it counts the answers.
got=$(for i in $(seq 2000); do printf 'CALL cart/c%d get\r\n' "$i"; done |
	redis-cli -h 127.0.0.1 -p "$port" --pipe 2>&1)
if [[ $got == *'errors: 0, replies: 2000'* ]]; then
	echo 'ok redis-cli: 2000 calls through --pipe'
else
	echo "not ok redis-cli: --pipe: $got"
fi
