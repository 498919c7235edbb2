#!/bin/bash
# A server whose disk fills: what is refused, what goes on, and how it starts again. A file system
# of its own, in memory: needs the right to mount one. Ends with the line "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/system/lib.sh
disk=$work/disk data=$disk/data
trap '! mountpoint -q "$disk" || umount -l "$disk"; cleanup' EXIT
mkdir "$disk"
if ! mount -t tmpfs -o size=640m tmpfs "$disk" 2>/dev/null; then
	skipped=1
	finish
	exit
fi

free_kib() { df --output=avail -k "$disk" | tail -n 1; }
# fill KIB: so much stays free.
fill() {
	rm -f "$disk/fill"
	local kib=$(($(free_kib) - $1))
	# What the server writes meanwhile may have taken the last of it.
	head -c "$((kib * 1024))" /dev/zero >"$disk/fill" 2>/dev/null || true
}
version() {
	mkdir -p "$work/$1"
	sed "s/return state.value end/return state.value * $2 end/" "$work/app/counter.lua" \
		>"$work/$1/counter.lua"
	cp "$work/app/app.lua" "$work/$1"
}
lines() { grep -c " $1 store=" "$work/log" || true; }
writable() { admin status -o json | grep -o '"writable":[a-z]*' | sort -u | cut -d: -f2; }
until_writable() {
	for _ in $(seq 100); do
		[ "$(writable)" != "$1" ] || break
		sleep 0.1
	done
	writable
}

until_well() {
	for _ in $(seq 100); do
		! admin status >"$work/status" || break
		sleep 0.1
	done
	cat "$work/status"
}

must_start --cores 2
admin app init "$work/app" app >/dev/null
version first 1 && version second 2 && version third 3
expect 'a first version' 0 'every shard has it' "$admin" app deploy "$work/first"
expect 'a second' 0 'every shard has it' "$admin" app deploy "$work/second"
fact 'a change' 5 call counter/c1 add '{"n":5}'

# ---- Below the reserve, while the server is idle ----

fill $((100 * 1024))
expect 'deploying says what is free and what has to be' 1 \
	'RESOURCE_EXHAUSTED: .* full: [0-9]+ MiB are free, and [0-9]+ MiB have to stay free' \
	"$admin" app deploy "$work/third"
fact 'nothing of it is there' 2 bash -c \
	"'$admin' app list -o json | grep -o '\"by\"' | wc -l"
fact 'it says that it is not writable' false until_writable false
expect 'status ends with 8, and says why' 8 'store 0 takes no changes: its disk is full' \
	"$admin" status
expect 'and in the table' 8 ' no$' "$admin" status
full='RESOURCE_EXHAUSTED the disk is full.*'
fact 'changes are refused' "$full" call counter/c1 add '{"n":1}'
fact 'reads go on' 10 call counter/c1 get
fact 'the log says once for each store that it is full' 2 lines disk_full
expect 'going back needs little' 0 'every shard has it' "$admin" app rollback app
fact 'and serves' 5 call counter/c1 get
expect 'and so does going forth' 0 'every shard has it' "$admin" app activate app \
	"$(admin app list -o json | grep -o '"hash":"[0-9a-f]*"' | sed -n 3p | cut -d'"' -f4)"
rm "$disk/fill"
fact 'with space again it is writable' true until_writable true
fact 'the log says once for each store that it has room' 2 lines disk_has_room
fact 'changes are taken' 6 call counter/c1 add '{"n":1}'
expect 'a deployment too' 0 'every shard has it' "$admin" app deploy "$work/third"

# ---- Starting where hardly anything is free ----

fill 1500
fact 'full to the last megabyte it still reads' 18 call counter/c1 get
stop_server
fact 'it stops in order' 0 echo "$status"
for round in 1 2 3; do
	fill 1500
	if start_server --cores 2; then result 0 "start $round on a full disk"; else
		tail -n 5 "$work/log"
		result 1 "start $round on a full disk"
		continue
	fi
	fact 'it reads' 18 call counter/c1 get
	fact 'it refuses changes' "$full" call counter/c1 add '{"n":1}'
	fact 'it says so' false until_writable false
	if [ "$round" -eq 2 ]; then stop_server; else kill_server; fi
done
result "$(($(lines disk_full) >= 8 ? 0 : 1))" 'each start says that the disk is full'
fill 0
if start_server --cores 2; then kill_server; fi
fact 'without even that, it says what to do' 1 bash -c \
	"tail -n 1 '$work/log' | grep -c 'KiB are free, a start needs .* nothing is lost: free'"
rm "$disk/fill"

# Half a copy of a store fills it, from a process that was killed while it dropped a damaged range.
half=$data/stores/000/db.shed
mkdir "$half"
: >"$half/UNSETTLED"
head -c "$(($(free_kib) * 1024))" /dev/zero >"$half/000012.sst" 2>/dev/null || true
fact 'nothing is free' ' *0' free_kib
must_start --cores 2
fact 'what was not finished goes' 1 grep -c 'unfinished_copy_removed store=stores/000 ' "$work/log"
fact 'with space nothing is lost' 18 call counter/c1 get
fact 'and changes are taken' 7 call counter/c1 add '{"n":1}'
stop_server

# ---- A disk that is too small for the segments that are made ahead: trying them hurts nobody ----

good=0
for round in $(seq 8); do
	umount "$disk"
	mount -t tmpfs -o size=64m tmpfs "$disk"
	start_server --cores 2 || continue
	stop_server
	[ "$status" -ne 0 ] || good=$((good + 1))
done
fact 'each start on a small disk is one, and so is each end' 8 echo "$good"

# ---- A disk on which no segment of the log can be made: each start takes of the first ----

umount "$disk"
mount -t tmpfs -o size=24m tmpfs "$disk"
rounds=0 status=0
while start_server --cores 2 --shards 16384; do
	kill_server
	rounds=$((rounds + 1))
	[ "$rounds" -lt 40 ] || break
done
echo "after $rounds starts: $(tail -n 1 "$work/log")"
fact 'where its log has no room left, a start says so and ends' '1' bash -c \
	"tail -n 1 '$work/log' | grep -c 'the log has no room left .* free space, and start again'"
fact 'with 1' 1 echo "$status"
mount -o remount,size=640m "$disk"
must_start --cores 2
fact 'with space it serves' 'well: every shard serves.*' until_well
stop_server
finish
