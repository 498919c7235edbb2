#!/bin/bash
# kalix-admin on real data directories: good ones, damaged ones, wrong ones. They are made by the
# demonstration's `orders`, killed in the middle.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
build=$PWD/build-test
flock "$build" make -s -C "$build" tests/kill9/orders
orders=$build/tests/kill9/orders admin=$build/bin/kalix-admin

work=$(mktemp -d "$build/admin.XXXXXX")
writer=
cleanup() {
	[ -z "$writer" ] || kill -9 "$writer" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

. tests/runner/expect.sh
. tests/runner/damage.sh

# A directory whose writer was killed when it had said that some thousand orders are durable, in
# half a second or, on a machine that has other work, much later.
make_dir() {
	: >"$1.acknowledged" # there before it is looked at
	"$orders" write "$1" 60000 >>"$1.acknowledged" 2>/dev/null &
	writer=$!
	for _ in $(seq 1200); do
		[ "$(wc -l <"$1.acknowledged")" -lt 4000 ] || break
		sleep 0.05
	done
	kill -9 "$writer" || true
	wait "$writer" 2>/dev/null || true
	writer=
	if [ -n "$(tail -c 1 "$1.acknowledged")" ]; then
		sed -i '$d' "$1.acknowledged"
	fi
}

expect 'usage without a command' 2 'usage: kalix-admin' "$admin"
expect 'help' 0 'log verify DIR' "$admin" --help
expect 'version' 0 '^kalix-admin [0-9]' "$admin" --version
expect 'an unknown command is named' 2 "there is no command 'log frob'" "$admin" log frob
expect 'an unknown option is named' 2 "there is no option '--frob'" "$admin" log verify --frob
expect 'a bad format is named' 2 'takes table, json or jsonl' "$admin" log verify -o xml x
expect 'a directory is needed' 2 'which data directory' "$admin" log verify
expect 'no such directory' 1 'not found|no such' "$admin" log verify "$work/none"
mkdir "$work/empty"
expect 'an empty directory is none of ours' 1 'kalix-admin: .' "$admin" log verify "$work/empty"
mkdir "$work/other"
echo hello >"$work/other/file"
expect "somebody else's directory" 1 'kalix-admin: .' "$admin" log verify "$work/other"

dir=$work/good
make_dir "$dir"
expect 'after a kill the log is good or cut' 0 'good|cut' "$admin" log verify "$dir"
expect 'the store is good' 0 'good' "$admin" store verify "$dir"
expect 'json rows' 0 '^\[\{"store":0,"state":"(good|cut)"' "$admin" log verify "$dir" -o json
expect 'frames are listed' 0 'records +live' "$admin" log dump "$dir"
expect 'records are listed, by shard and index' 0 '"kind":"entry","shard":[0-7],"term":1,"index":' \
	"$admin" log dump "$dir" --records -o jsonl
expect 'there is nothing to repair' 0 'nothing to repair' "$admin" log repair "$dir"
expect 'as JSON, too' 0 '^\[\{"store":0,"text":"nothing to repair","what":"nothing_to_repair"\}' \
	"$admin" log repair "$dir" -o json
expect 'a store that is not there' 1 'there is no store 7' "$admin" log verify "$dir" --store 7
expect 'every acknowledged order is there' 0 ' 0 acknowledged ones are missing' \
	bash -c "'$orders' check '$dir' <'$dir.acknowledged'"
expect 'progress of the shards is listed' 0 'applied_index' "$admin" store dump "$dir"
expect 'keys are listed, values are not' 0 '"value_bytes":8' \
	"$admin" store dump "$dir" --keys -o jsonl
sleep 60 9<"$dir/lock" &
writer=$!
expect 'a lock file that is only open does not matter' 0 'good|cut' "$admin" log verify "$dir"
kill "$writer"
wait "$writer" 2>/dev/null || true
"$orders" write "$dir" 60000 >/dev/null 2>&1 &
writer=$!
sleep 0.3
expect 'a directory in use is refused' 1 'in use|another process' "$admin" log verify "$dir"
kill -9 "$writer"
wait "$writer" 2>/dev/null || true
writer=

dir=$work/damaged
make_dir "$dir"
# Near the end of the log, where no checkpoint covers it and later watermarks do.
read -r segment offset < <(log_frame "$dir" 0 40)
file=$(log_file "$dir" 0 "$segment")
cp -r "$dir" "$work/before"
flip_bit "$file" $((offset + 300))
expect 'one flipped bit is noticed, with its place' 8 "segment $segment, offset $offset: " \
	"$admin" log verify "$dir"
expect 'closed shards are named' 8 'shard [0-7] is closed' "$admin" log verify "$dir"
cp -r "$dir" "$work/same"
expect 'without --accept-loss it only says what it would do' 1 'To give this up for good' \
	"$admin" log repair "$dir"
expect 'a dry run too' 0 'keeps entries up to' "$admin" log repair "$dir" --accept-loss --dry-run
expect 'as lines of JSON' 0 \
	'^\{"first_shard":([0-7]),"last_shard":\1,"store":0,"text":"keeps .*","what":"keeps"\}$' \
	"$admin" log repair "$dir" --accept-loss --dry-run -o jsonl
expect 'without a terminal it wants --yes' 1 'say --yes' "$admin" log repair "$dir" --accept-loss
expect 'nothing was changed by all that' 0 '' diff -r -x lock "$dir" "$work/same"
expect 'the loss is accepted' 0 'repaired' "$admin" log repair "$dir" --accept-loss --yes
expect 'a copy of the damaged log is kept' 0 '' compgen -G "$dir/stores/000/*before-life*"
expect 'then the log is good' 0 'good' "$admin" log verify "$dir"
expect 'and every shard is served, its books in order' 1 'count and sum add up in all 8 shards' \
	bash -c "'$orders' check '$dir' <'$dir.acknowledged'"
expect 'orders can be written again' 0 'opened' \
	bash -c "'$orders' write '$dir' 200 >/dev/null"
expect 'and are all there' 0 ' 0 acknowledged ones are missing' \
	bash -c "'$orders' check '$dir' </dev/null"

dir=$work/before
mv "$dir/stores/000/log" "$work/log"
expect 'a missing log is no empty one' 1 'kalix-admin: .' "$admin" log verify "$dir"
mv "$work/log" "$dir/stores/000/log"

dir=$work/store
make_dir "$dir"
"$orders" write "$dir" 300 >>"$dir.acknowledged" 2>/dev/null
db=$dir/stores/000/db
sst=$(find "$db" -name '*.sst' -size +20k | sort | head -n 1)
expect 'a good store needs no repair' 0 'nothing to repair' "$admin" store repair "$dir"
cp "$sst" "$work/good.sst"
flip_bit "$sst" 5000
expect 'damage in the checkpoint is noticed' 8 'damaged' "$admin" store verify "$dir"
expect 'the file and the place are named' 8 "$(basename "$sst"): .*offset [0-9]+" \
	"$admin" store verify "$dir"
rm -rf "$work/same"
cp -r "$dir" "$work/same"
expect 'a dry run says which keys of which shards go' 0 \
	'shard [0-7]: gives up what stood behind key .* of shard [0-7] and before ' \
	"$admin" store repair "$dir" --accept-loss --dry-run
kept=$(sed -n 's/.*: keeps \([0-9]*\) keys.*/\1/p' "$work/out")
shard=$(sed -n 's/.*, shard \([0-7]\): gives up.*/\1/p' "$work/out")
part=$(sed -n "s/.*shard $shard: only a part of it stays, \([0-9]*\) keys.*/\1/p" "$work/out")
expect 'and what becomes of each such shard, with what to do' 0 \
	'shard [0-7]: only a part of it stays, .* 1 stretch of it is gone, about .* compare' \
	"$admin" store repair "$dir" --accept-loss --dry-run
expect 'as lines of JSON' 0 \
	"\"first_shard\":$shard,\"last_shard\":$shard,\"store\":0,\"text\":\"gives .*gives_up\"" \
	"$admin" store repair "$dir" --accept-loss --dry-run -o jsonl
expect 'the shard, too' 0 "\"first_shard\":$shard,.*\"what\":\"keeps_part\"" \
	"$admin" store repair "$dir" --accept-loss --dry-run -o jsonl
expect 'without --accept-loss nothing is done' 1 'To give this up for good' \
	"$admin" store repair "$dir"
expect 'nor without --yes where there is no terminal' 1 'say --yes' \
	"$admin" store repair "$dir" --accept-loss
expect 'nothing was changed by that' 0 '' diff -r -x lock "$dir" "$work/same"
expect 'what can be read is kept, and what comes next is said' 0 \
	"repaired, $kept keys; .* Start the server, look for what is missing in the shards" \
	"$admin" store repair "$dir" --accept-loss --yes
expect 'the damaged store is kept as a copy, byte for byte' 0 '' \
	diff -r "$db.before-repair-1" "$work/same/stores/000/db"
expect 'then the store is good' 0 ' good ' "$admin" store verify "$dir"
expect 'it has as many keys as were announced' 0 "^$kept\$" \
	bash -c "'$admin' store dump '$dir' --keys -o jsonl | wc -l"
expect 'of the shard as many as were announced' 0 "^$part\$" \
	bash -c "'$admin' store dump '$dir' --keys -o jsonl | grep -c '\"shard\":$shard,'"
expect 'the engine opens it, and serves every shard' 1 'given up, 0 shards closed' \
	bash -c "'$orders' check '$dir' <'$dir.acknowledged'"
missing=$(grep -c 'is missing$' "$work/err")
expect 'only of that shard orders are missing, and few' 0 '' \
	test "$missing" -gt 0 -a "$missing" -lt 2000 -a \
	"$missing" -eq "$(grep -c "of shard $shard is missing\$" "$work/err")"
expect 'orders can be written again' 0 'opened' \
	bash -c "'$orders' write '$dir' 200 >/dev/null"
expect 'and the store stays good' 0 ' good ' "$admin" store verify "$dir"
expect 'there is nothing more to repair' 0 'nothing to repair' "$admin" store repair "$dir"

# The copy can take the place of the repaired store again, as long as no server ran on that.
rm -rf "$dir"
mv "$work/same" "$dir"
cp "$work/good.sst" "$sst"
# Which table has the newest of how far each shard is depends on when the checkpoints were.
while read -r sst; do
	mv "$sst" "$work/good.sst"
	"$admin" store repair "$dir" --dry-run >"$work/plan" 2>&1 || true
	! grep -q 'restore it from a backup' "$work/plan" || break
	mv "$work/good.sst" "$sst"
done < <(find "$db" -name '*.sst' | sort -r)
expect 'a missing table is damage' 8 "$(basename "$sst"): " "$admin" store verify "$dir"
expect 'it may have had the newest of how far each shard is' 8 'restore it from a backup' \
	"$admin" store repair "$dir" --accept-loss --yes
cp "$work/good.sst" "$sst"
expect 'with the table back nothing was lost' 0 ' 0 acknowledged ones are missing' \
	bash -c "'$orders' check '$dir' <'$dir.acknowledged'"
mv "$db/CURRENT" "$work/CURRENT"
expect 'a store without CURRENT is damaged, not empty' 8 'CURRENT is missing' \
	"$admin" store verify "$dir"
expect 'and cannot be repaired' 8 'restore it from a backup' \
	"$admin" store repair "$dir" --accept-loss --yes

finish
