#!/bin/bash
# Replicas move no faster than snapshot_rate allows, calls go on meanwhile, and the rate may be
# changed while they do. Times have lower bounds only: a machine that is busy makes them longer.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
cores=1 blobs=24 blob_bytes=262144
must_start 1 --shards 1 --snapshot-rate 1MiB
fill_blobs "$blobs" "$blob_bytes" 'one shard has six MiB'

# Calls one after the other until told to end; all of them have to succeed, in order.
keep_calling() {
	local count=0 answer
	while [ ! -e "$work/enough" ]; do
		answer=$(call 1 blob/caller add)
		count=$((count + 1))
		echo "$answer" >>"$work/answers"
		[ "$answer" = "$count" ] || echo "$answer, not $count" >>"$work/wrong"
	done
}
: >"$work/wrong"
: >"$work/answers"
keep_calling &
caller=$!
# From the first step of the shard to the last one, by the clock of the node that leads it: the
# replica comes, has all, and gets its vote.
moved_ms() {
	grep 'shard_moves group=1 ' "$work/log.1" | cut -d' ' -f1 | sed -n '1p;$p' >"$work/steps"
	{ read -r first && read -r last; } <"$work/steps" || return 0
	echo $((($(date -d "$last" +%s%N) - $(date -d "$first" +%s%N)) / 1000000))
}
# Not all is well meanwhile, so the command has another status.
sends() {
	admin 1 cluster status >"$work/status" || true
	grep '^snapshots: [1-9]' "$work/status"
}
has() { # VOTERS
	admin 1 shard list >"$work/list" && grep -qE "^ *1 +[1-3] +$1 " "$work/list"
}
must_start 2
fact 'the status says what is sent, and how fast' \
	'^snapshots: 1 under way or waiting, [0-9.]+ ([KM]i)?B/s, ' \
	eval "wait_for 20 sends && cat '$work/waited'"
before=$(wc -l <"$work/answers")
fact 'so does who waits' '; [0-9.]+ MiB sent, [0-9.]+ [KM]iB/s' \
	admin 1 cluster rebalance --wait 60
fact 'another node gets a replica' yes eval 'wait_for 60 has "1 2" && echo yes'
took=$(moved_ms)
fact 'calls go on meanwhile' yes eval "[ $(wc -l <"$work/answers") -gt $before ] && echo yes"
# What the bucket has at once is a sixteenth of a second's, and the last chunk is not waited for.
fact "at 1 MiB a second that takes 5 s at least: it took $took ms" yes \
	eval "[ ${took:-0} -ge 5000 ] && echo yes"

fact 'the rate is changed while it runs' 'was 1MiB' admin 1 config set snapshot_rate 64KiB
fact 'less is refused' 'expected 64KiB or more a second, or 0' \
	admin 1 config set snapshot_rate 1KiB
fact 'on the other node too, which may lead' 'was 64MiB' admin 2 config set snapshot_rate 64KiB
must_start 3 --snapshot-rate 64KiB
wait_for 20 sends
sleep 3
# That would be 96 seconds.
fact 'at 64 KiB a second it is not there soon' yes eval 'has "1 2 3" || echo yes'
admin 1 config set snapshot_rate 0 >"$work/set"
admin 2 config set snapshot_rate 0 >"$work/set"
fact 'without a limit it comes' yes eval 'wait_for 60 has "1 2 3" && echo yes'
touch "$work/enough"
wait "$caller"
fact 'all calls were answered, in order' '^0$' eval "wc -l <'$work/wrong'"
echo "$(wc -l <"$work/answers") calls meanwhile"
for node in 1 2 3; do
	fact "node $node has all of it" "^$blobs\$" eval \
		"for i in \$(seq $blobs); do call $node blob/b\$i get; done | grep -c $blob_bytes"
done
finish
