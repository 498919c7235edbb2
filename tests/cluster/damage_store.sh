#!/bin/bash
# The directory and another shard, both damaged in one store of one node of three: the node starts,
# gets the directory from the others, serves, and gets the other shard from them, too. Nothing that
# was acknowledged is lost, and whoever looks meanwhile is told nothing that is not so. And a node
# alone, of which a compaction met a damaged block: the shard is closed, and what to do is said.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
. tests/cluster/damage_lib.sh

# Shard 2 is in the directory's store.
for node in 1 2 3; do must_start "$node" --shards 2 --stores 2; done
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'they have blocks of entities' 'errors: 0, replies: 6000$' fill
large_app
stop_node 1

# ---- A block of each ----

store=$work/data.1/stores/000/db
# The bits that are tried on a copy are those that hit nothing but shard 2.
hits_shard() { # TABLE OFFSET
	local copy=$work/copy
	rm -rf "$copy"
	cp -r "$work/data.1" "$copy"
	flip_bit "$copy/stores/000/db/$1" "$2"
	"$kalix_admin" store repair "$copy" --accept-loss --dry-run --force -o jsonl >"$work/plan" \
		2>/dev/null || true
	grep -q '"first_shard":2,"last_shard":2,.*"what":"gives_up"' "$work/plan" &&
		! grep -q '"first_shard":0,' "$work/plan"
}
damage_shard() {
	local table bytes part
	for table in $(cd "$store" && ls -S -- *.sst); do
		bytes=$(stat -c %s "$store/$table")
		for part in 94 92 90 88 96 86 84 80 70 60 50 40 30; do
			hits_shard "$table" $((bytes * part / 100)) || continue
			flip_bit "$store/$table" $((bytes * part / 100))
			echo flipped
			return
		done
	done
}
fact 'a block of shard 2 is damaged' '^flipped$' damage_shard
fact 'and one of the directory, in the same store' '^flipped$' damage_bundle 1
plan() {
	"$kalix_admin" store repair "$work/data.1" --accept-loss --dry-run --force -o jsonl |
		grep gives_up | grep -o '"first_shard":[0-9]*,"last_shard":[0-9]*' | sort | uniq -c
}
fact 'the directory has one' '^ *1 "first_shard":0,"last_shard":0$' plan
fact 'and so has the shard' '^ *1 "first_shard":2,"last_shard":2$' plan
fact 'shard 2 goes on without that node' '^ *6000 "value":1$' all_values 2
write_at 2 1

# ---- The node comes back ----

watch() { # what the others say, until it is well
	while [ ! -e "$work/watched" ]; do
		admin 2 cluster status 2>&1 || true
		admin 2 shard list 2>&1 || true
		sleep 0.2
	done >"$work/said"
}
watch &
watcher=$!
must_start 1
log() { grep " $1 " "$work/log.1"; } # EVENT
fact 'the start finds it, and begins anew' 'directory_unreadable_here group=0 ' \
	log directory_unreadable_here
fact 'the other one is found on the way' 'shards_marked_damaged store=stores/000 shards=1 ' \
	log shards_marked_damaged
fact 'the range of the directory goes, and of the other one what can be read is kept' \
	'ranges_dropped store=stores/000 shards=1 kept_in_part=1$' log ranges_dropped
fact 'nothing of this failed' '^0$' said 1 ranges_not_dropped
fact 'the replica of the directory is given up' 'replica_given_up group=0 ' log replica_given_up
closed() { log shard_closed | grep -q 'store=stores/000 group=2 why="damaged earlier"'; }
fact 'the node serves without the other one, and says so' yes eval 'wait_for 30 closed && echo yes'
given_up() { log replica_given_up | grep -q ' group=2 '; }
fact 'which is given up by itself' yes eval 'wait_for 60 given_up && echo yes'
fact 'all is well, without a command' '^well: survives 1 failure$' \
	admin 2 cluster status --wait 60
touch "$work/watched"
wait "$watcher"
fact 'the status was there all the time' '^[1-9]' grep -c -e survives -e '^shard' "$work/said"
says_wrong() {
	grep -cE 'no majority|nothing whole|--unsafe|--lost|DATA_LOSS' "$work/said" || true
}
fact 'and never asked anybody for a word' '^0$' says_wrong
listed() { # both, with three voters, none of them damaged
	admin 1 shard list -o jsonl | grep -E '"shard":[02],.*"voters":"[123] [123] [123]"' |
		grep -c '"damaged":""'
}
are_listed() { [ "$(listed)" -eq 2 ]; }
fact 'both shards have three voters again, none of them damaged' yes \
	eval 'wait_for 30 are_listed && echo yes'

# ---- What it has ----

leads_it() {
	admin 2 shard leader 2 1 >/dev/null 2>&1 || true
	admin 1 shard list | grep -qE '^ *2 +1 '
}
fact 'the node can lead the shard' yes eval 'wait_for 30 leads_it && echo yes'
fact 'and has what was acknowledged' '^ *6000 "value":1$' all_values 1
fact 'also what was written meanwhile' '^60$' sum_cells 1
changes_are_made() { wait_for 30 change_directory 1 && cat "$work/waited"; }
fact 'the directory is changed there' 'every shard has it active' changes_are_made
stop_node 1
fact 'nothing is damaged there any more' '^status 0$' verify_store 1
fact 'and nothing is left beside its stores' '^0$' eval \
	"find '$work/data.1' -name '*.shed' -o -name DAMAGED | wc -l"
before=$(said 1 shard_closed)
must_start 1
fact 'nor after a restart' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'with which nothing is closed' "^$before\$" said 1 shard_closed

# ---- A node alone ----

for node in 1 2 3; do stop_node "$node"; done
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=()
must_start 1 --shards 2 --stores 2
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'a node alone has blocks of entities' 'errors: 0, replies: 6000$' fill
stop_node 1
fact 'one of shard 2 is damaged' '^flipped$' damage_shard
# As if a compaction had met the block: nobody reads it.
echo words >"$store/DAMAGED"
must_start 1
fact 'the start says that nothing is compacted, and what to do' \
	'compactions_stopped store=stores/000 .*stop the server; .*kalix-admin store repair' \
	log compactions_stopped
fact 'finds the shard, and nothing else' 'shards_marked_damaged store=stores/000 shards=1 ' \
	log shards_marked_damaged
fact 'and closes it' 'shard_closed store=stores/000 group=2 ' log shard_closed
health() { admin 1 status || echo "status $?"; }
fact 'the status names what is closed' '^core 0: 1 shard is closed: see kalix-admin log verify' \
	health
fact 'and the store that is not compacted, with what to do' \
	'^store 0 is not compacted.*stopped, .*store verify DIR .*store repair DIR' health
fact 'and is not well' '^status 8$' health
fact 'a program sees it, too' '"compactions_stopped":true' admin 1 status -o json
fact 'and so does who collects figures' 'stores_not_compacted:1' \
	redis-cli -p "${port[1]}" INFO persistence
of_shard_two() { # each entity: whether it is refused
	seq -f 'CALL cell/m%g get' 6000 | timeout 120 redis-cli -p "${port[1]}" |
		grep -oE '"value":1|^DATA_LOSS' | sort | uniq -c
}
fact 'calls of the shard are DATA_LOSS' '^ *[0-9]{4} DATA_LOSS$' of_shard_two
fact 'and the others are answered' '^ *[0-9]{4} "value":1$' of_shard_two
before=$(of_shard_two)
kill_node 1
must_start 1
fact 'so it is after a restart' "^$(head -n 1 <<<"$before")\$" of_shard_two
stop_node 1
fact 'what was said to do works' 'store 0: repaired, ' \
	"$kalix_admin" store repair "$work/data.1" --accept-loss --yes
must_start 1
fact 'all is well then' '^well: every shard serves$' health
fact 'what could be read is there' '^ *5[0-9]{3} "value":1$' all_values 1
stop_node 1
fact 'and the store is whole' '^status 0$' verify_store 1
are_marked() { find "$work/data.1/stores/000/db" -name DAMAGED | wc -l; }
fact 'and compacted again' '^0$' are_marked
finish
