#!/bin/bash
# A node of three whose log is damaged: what is suspect there is made anew from the others, while
# all goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh

# A frame with records that later frames tell of, in the log of a store: "SEGMENT OFFSET".
frame() { # DIR STORE
	local number='\([0-9]*\)'
	"$kalix_admin" log dump "$1" --store "$2" -o jsonl |
		grep '"kind":"records","place":"live"' |
		sed "s/.*\"segment\":$number,\"offset\":$number,.*/\1 \2/" | tail -n 30 | sed -n 1p
}

# One bit of that frame, in the store that does not have the directory.
damage() { # DIR
	local segment offset byte file
	read -r segment offset < <(frame "$1" 1)
	file=$(printf '%s/stores/001/log/%016x.seg' "$1" "$segment")
	byte=$(od -An -tu1 -j $((offset + 100)) -N 1 "$file")
	printf '%b' "$(printf '\\x%02x' $((byte ^ 4)))" |
		dd of="$file" bs=1 seek=$((offset + 100)) conv=notrunc status=none
}

said() { # NODE EVENT: how often
	grep -c " $2 " "$work/log.$1" || true
}

must_start 1 --shards 8
must_start 2
must_start 3
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
write() { # VALUE
	local i
	for i in $(seq 60); do
		call $((i % 3 + 1)) "cell/n$i" write "{\"from\":0,\"to\":$1}" >/dev/null
	done
}
value() { # NODE ADDRESS
	call "$1" "$2" get | sed -n 's/.*"value":\([0-9]*\).*/\1/p'
}
sum_cells() { # NODE
	local total=0 i one
	for i in $(seq 60); do
		one=$(value "$1" "cell/n$i")
		total=$((total + ${one:-0}))
	done
	echo "$total"
}
write 1
write 2
kill_node 3
damage "$work/data.3"
fact 'its log is damaged' damaged "$kalix_admin" log verify "$work/data.3"
must_start 3
fact 'it says which shards are closed there' '^[1-9]' said 3 shard_closed
fact 'their calls go to where they are led' '^120$' sum_cells 3
given_up() {
	[ "$(said 3 replica_given_up)" -gt 0 ] && [ "$(said 3 replica_comes)" -gt 0 ]
}
fact 'they are given up, and others come' yes eval 'wait_for 30 given_up && echo yes'
fact 'all is well again, without a command' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
# Which one leads is evened out again, so it is wished for again.
leads() { # SHARD
	admin 1 shard leader "$1" 3 >/dev/null 2>&1 || true
	admin 1 shard list | grep -qE "^ *$1 +3 "
}
mapfile -t shards < <(sed -n 's/.* replica_given_up group=\([0-9]*\) .*/\1/p' "$work/log.3")
for shard in "${shards[@]}"; do
	fact "the node can lead shard $shard" yes eval "wait_for 30 leads $shard && echo yes"
done
fact 'and has what was acknowledged' '^120$' sum_cells 1
write 3
before=$(said 3 shard_closed)
kill_node 3
must_start 3
fact 'all is well after a restart, too' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
fact 'with nothing closed' "^$before$" said 3 shard_closed
fact 'and nothing is lost' '^180$' sum_cells 2
finish
