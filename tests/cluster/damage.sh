#!/bin/bash
# A node of three whose log is damaged: what is suspect there is made anew from the others, while
# all goes on. The same of the directory, which no node starts without: it gets another replica of
# it before it serves, where the others are a majority, and else says what is missing. And the
# leader of an idle shard, found damaged by a read.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
. tests/cluster/damage_lib.sh

must_start 1 --shards 8
must_start 2
must_start 3
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'three nodes are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60
write 1
write 2
kill_node 3
damage "$work/data.3"
fact 'its log is damaged' damaged "$kalix_admin" log verify "$work/data.3"
fact 'nothing of a node among others is given up' 'belongs to a node of a cluster.*Start the node' \
	"$kalix_admin" log repair "$work/data.3" --accept-loss --yes
fact 'what that would be is said' 'keeps entries up to' \
	"$kalix_admin" log repair "$work/data.3" --accept-loss --dry-run
fact 'and that it will be refused' 'this will be refused: .* Start the node' \
	"$kalix_admin" log repair "$work/data.3" --accept-loss --dry-run
fact 'also without a word of loss' 'this will be refused: .* Start the node' \
	"$kalix_admin" log repair "$work/data.3"
refused_all() { # what would be done all the same
	"$kalix_admin" log repair "$work/data.3" --accept-loss --dry-run --force 2>&1 |
		grep -c 'will be refused' || true
}
fact 'but not with --force' '^0$' refused_all
fact 'nor by another way' 'belongs to a node of a cluster.*Take the node out' \
	"$kalix_admin" store repair "$work/data.3" --accept-loss --yes
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

# ---- The directory ----

verify() { "$kalix_admin" log verify "$work/data.$1"; }
voters() { # of the directory, as the node knows it
	admin "$1" shard list -o jsonl | sed -n '/"shard":0,/p'
}

changes_are_made() { wait_for 30 change_directory 1 && cat "$work/waited"; }
runs() { kill -0 "${pid[$1]}" && echo running; } # NODE

# Node 1 founded the cluster: nothing but the directory says there that there are others.
change_directory 1 >/dev/null
write 4
kill_node 1
damage_directory 1
fact 'the log of the directory is damaged' 'shard 0 is closed' verify 1
fact 'who founded a cluster is a node of it' 'belongs to a node of a cluster' \
	"$kalix_admin" log repair "$work/data.1" --accept-loss --yes
write_at 2 5
must_start 1
fact 'a node starts whose directory is damaged' 'directory_damaged group=0 replica=1 ' \
	grep directory_damaged "$work/log.1"
fact 'it gives that one up' 'replica_given_up group=0 replica=1$' \
	grep replica_given_up "$work/log.1"
fact 'all is well then' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'the directory has three voters again' '"voters":"[123] [123] [123]"' voters 2
fact 'nothing is lost of what was written meanwhile' '^300$' sum_cells 1

# Without another one it is the majority of the directory.
kill_node 2
fact 'the new replica counts' 'every shard has it active' changes_are_made
write_at 1 6
kill_node 1
must_start 1
fact 'it has what it has after a restart' '^1$' said 1 directory_damaged
fact 'and serves' '^360$' sum_cells 3
must_start 2
fact 'all three are well' '^well: survives 1 failure$' admin 1 cluster status --wait 60

# One that joined, at another address than before, while nobody is there.
change_directory 3 >/dev/null
write 7
kill_node 3
kill_node 2
kill_node 1
damage_directory 3
port[3]='' peer_port[3]='' cluster_port[3]=''
launch_node 3
waits() { [ "$(said 3 not_joined_yet)" -gt 0 ]; }
fact 'without the others it waits, and says for whom' yes eval 'wait_for 20 waits && echo yes'
# Who has asked may be given up, whatever becomes of its log.
kill_node 3
fact 'its log is repaired by force' repaired \
	"$kalix_admin" log repair "$work/data.3" --accept-loss --force --yes
launch_node 3
launch_node 1
launch_node 2
for node in 1 2 3; do must_be_ready "$node"; done
fact 'it is another replica all the same' 'replica_given_up group=0' \
	grep 'replica_given_up group=0 ' "$work/log.3"
fact 'which is over then' "^$work/data.3/member$" \
	find "$work/data.3" -maxdepth 1 -name 'me[mn]*'
fact 'when they are there, it starts' '^well: survives 1 failure$' \
	admin 3 cluster status --wait 60
fact 'with all that was acknowledged' '^420$' sum_cells 3

# ---- Of two ----

for node in 1 2 3; do stop_node "$node"; done
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=()
must_start 1 --shards 8
must_start 2
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'two nodes are there' '^well: survives 0 failures' admin 1 cluster status --wait 60
change_directory 1 >/dev/null
write_at 2 1
kill_node 1
damage_directory 1
launch_node 1
advised() { # the command that the last such line of its log has
	grep ' replica_kept group=0 .*has all' "$work/log.1" |
		sed -n 's/.*: to go on with that, kalix-admin \([^;]*\);.*/\1/p' | tail -n 1
}
is_advised() { [ -n "$(advised)" ]; }
fact 'without a majority of others it waits, and says what to do' yes \
	eval 'wait_for 60 is_advised && echo yes'
fact 'the exact words' "^--node 127.0.0.1:${port[2]} cluster recover --unsafe --damaged\$" advised
fact 'it is not ended by that' '^running$' runs 1
names_it() {
	admin 2 cluster status >"$work/status" || true
	grep -q 'shard 0, the directory,: the replica on node 1 is damaged.*no majority' \
		"$work/status"
}
fact 'the other one says so, too' yes eval 'wait_for 30 names_it && echo yes'
fact 'and the same words' 'kalix-admin cluster recover --unsafe --damaged' cat "$work/status"
follow() { # to the letter
	local words
	read -ra words < <(advised)
	"$kalix_admin" "${words[@]}" --yes
}
works() { wait_for 30 follow && cat "$work/waited"; }
fact 'what was said to do works' '^done:' works
must_be_ready 1
fact 'the node starts then, by itself' '^well: survives 0 failures' \
	admin 1 cluster status --wait 60
fact 'with another replica' 'replica_given_up group=0 ' \
	grep 'replica_given_up group=0 ' "$work/log.1"
fact 'and nothing is lost' '^60$' sum_cells 1
change_directory 1 >/dev/null
kill_node 1
damage_directory 1
flip_bit "$work/data.1/peers" 20
fact 'a node whose list of others is damaged is not one alone' 'belongs to a node of a cluster' \
	"$kalix_admin" log repair "$work/data.1" --accept-loss --yes
fact 'who insists may go on with what is left' repaired \
	"$kalix_admin" log repair "$work/data.1" --accept-loss --yes --force

# ---- Of three, where one that is there knows of two ----

stop_node 2
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=()
must_start 1 --shards 8
must_start 2
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'two are there again' '^well: survives 0 failures' admin 1 cluster status --wait 60
for node in 1 2; do stop_node "$node"; done
# As if it had been away since.
cp -r "$work/data.1" "$work/behind"
for node in 1 2; do launch_node "$node"; done
for node in 1 2; do must_be_ready "$node"; done
must_start 3
fact 'and then three' '^well: survives 1 failure$' admin 1 cluster status --wait 60
change_directory 1 >/dev/null
write 1
for node in 1 2 3; do kill_node "$node"; done
damage_directory 2
rm -rf "$work/data.1"
mv "$work/behind" "$work/data.1"
launch_node 1
launch_node 2
needed_once() { grep -q ' directory_not_given_yet .*as far as that node knows' "$work/log.2"; }
fact 'the one that is behind takes it for one of two' yes \
	eval 'wait_for 30 needed_once && echo yes'
sleep 1
fact 'which is not believed' '^0$' said 2 replica_kept
launch_node 3
for node in 1 2 3; do must_be_ready "$node"; done
fact 'with the third it gets another one' 'replica_given_up group=0 ' \
	grep 'replica_given_up group=0 ' "$work/log.2"
fact 'and all are well' '^well: survives 1 failure$' admin 2 cluster status --wait 60
fact 'with what was acknowledged' '^60$' sum_cells 2

# ---- The leader of a shard that is idle ----

# One block of its store, which a read finds: nobody sent anything, so nobody misses it, and its
# node is there.
for node in 1 2 3; do stop_node "$node"; done
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=()
echo 'a secret of the three with two stores' >"$work/secret"
secret=(--cluster-secret-file "$work/secret")
for node in 1 2 3; do must_start "$node" --shards 2 --stores 2 "${secret[@]}"; done
admin 1 app deploy tests/cluster/cell --yes >/dev/null
fact 'three with two stores are well' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
fact 'they have blocks of entities' 'errors: 0, replies: 6000$' fill
for node in 1 2 3; do stop_node "$node"; done
# What can be read once, and is wanted again when the node begins anew.
launch_node 1 --cluster-secret-file <(cat "$work/secret")
for node in 2 3; do launch_node "$node" "${secret[@]}"; done
for node in 1 2 3; do must_be_ready "$node"; done
words() { tr '\0' '\n' <"/proc/${pid[1]}/cmdline" | grep -c .; }
words_before=$(words)
words_more() { echo $(($(words) - words_before)); }
fact 'which nobody has in memory after a restart' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
leads_one() {
	admin 1 shard leader 1 1 >/dev/null 2>&1 || true
	admin 1 shard list | grep -qE '^ *1 +1 '
}
fact 'node 1 leads shard 1' yes eval 'wait_for 30 leads_one && echo yes'
table() { # DIR: the file with most of shard 1
	find "$1/stores/001/db" -name '*.sst' -printf '%s %p\n' | sort -n | tail -n 1 |
		cut -d' ' -f2
}
cp -r "$work/data.1" "$work/running"
flip_bit "$(table "$work/running")" 4000
plan() { "$kalix_admin" store repair "$work/running" --accept-loss --dry-run 2>&1 || true; }
between='.* behind key .*x00\(m[0-9]*\) .* before key .*x00\(m[0-9]*\) .*'
read -r first last < <(plan | sed -n "s/$between/\1 \2/p")
hurt() { # the entities of the block, and of shard 2 those with names between theirs
	seq -f 'm%g' 6000 | LC_ALL=C sort |
		LC_ALL=C awk -v first="$first" -v last="$last" '$1 > first && $1 < last'
}
mapfile -t cells_hurt < <(hurt | sed -n 1,40p)
flip_bit "$(table "$work/data.1")" 4000
sleep 3
# A compaction may meet it first: then the node begins anew twice.
found_at_one() { # CELL
	local got
	for _ in $(seq 60); do
		got=$(value 1 "$1" 2>/dev/null) || true
		if [ -n "$got" ]; then break; fi
		sleep 0.5
	done
	echo "found $got"
}
find_damage() {
	local cell
	# Who leads may have been evened out again, and then others read.
	for _ in 1 2 3 4 5; do
		wait_for 30 leads_one
		for cell in "${cells_hurt[@]}"; do
			found_at_one "cell/$cell"
			if [ "$(said 1 shard_closed)" -gt 0 ]; then break 2; fi
		done
	done | sort | uniq -c | tr -s ' \n' ' '
}
fact 'a read that finds damage is answered all the same, by another one' '^ [1-9][0-9]* found 1 $' \
	find_damage
fact 'the damage was found' '^[1-9]' said 1 shard_closed
given_up_one() { grep -q ' replica_given_up group=1 ' "$work/log.1"; }
fact 'the damaged leader is given up, though nobody calls' yes \
	eval 'wait_for 30 given_up_one && echo yes'
values() {
	local cell
	for cell in "${cells_hurt[@]}"; do value 2 "cell/$cell"; done | sort | uniq -c
}
fact 'and another one answers for what was hurt' '^ *40 1$' values
dropped() { grep -q ' ranges_dropped ' "$work/log.1"; }
fact 'its range goes without being read' yes eval 'wait_for 60 dropped && echo yes'
fact 'for which the node begins anew' '^[12]$' said 1 beginning_again
fact 'and all is well, without a command' '^well: survives 1 failure$' \
	admin 2 cluster status --wait 60
fact 'in the same process' '^running$' runs 1
fact 'which has its name still' '^kalixd$' cat "/proc/${pid[1]}/comm"
fact 'its arguments are what they were, and two words' '^2$' \
	words_more
# It is linked with the others, so it has the secret that it was given.
says_secret() { tr '\0' '\n' <"/proc/${pid[1]}/$1" | grep -c 'a secret of' || true; }
fact 'with no secret among them' '^0$' says_secret cmdline
fact 'nor in its environment' '^0$' says_secret environ
logs_secret() { grep -c 'a secret of' "$work/log.1" || true; }
fact 'nor in its log' '^0$' logs_secret
fact 'the node can lead the shard' yes eval 'wait_for 30 leads_one && echo yes'
fact 'and has all that was acknowledged' '^ *6000 "value":1$' all_values 1
stop_node 1
fact 'nothing is damaged there any more' '^status 0$' verify_store 1
must_start 1 "${secret[@]}"
fact 'nor after a restart' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'with which nothing is closed' '^1$' said 1 replica_given_up

# ---- What the store's own work finds ----

# As if a compaction had met the block: nobody reads it.
stop_node 1
flip_bit "$(table "$work/data.1")" 4000
echo words >"$work/data.1/stores/001/db/DAMAGED"
must_start 1 "${secret[@]}"
fact 'the start says that nothing is compacted' 'compactions_stopped store=stores/001 ' \
	grep compactions_stopped "$work/log.1"
fact 'and finds the shard' '^[1-9]' said 1 shards_marked_damaged
dropped_twice() { [ "$(said 1 ranges_dropped)" -eq 2 ]; }
fact 'which goes, too' yes eval 'wait_for 60 dropped_twice && echo yes'
fact 'and is made anew' '^well: survives 1 failure$' admin 2 cluster status --wait 60
fact 'the node can lead it again' yes eval 'wait_for 30 leads_one && echo yes'
fact 'and has everything once more' '^ *6000 "value":1$' all_values 1
stop_node 1
fact 'with a store that is whole' '^status 0$' verify_store 1
are_marked() { find "$work/data.1" -name DAMAGED | wc -l; }
fact 'and is compacted again' '^0$' are_marked

# ---- The directory's store ----

# Which has nothing else.
stop_node 2
stop_node 3
rm -rf "$work"/data.* "$work"/log.*
pid=() port=() peer_port=() cluster_port=()
for node in 1 2 3; do must_start "$node" --shards 1 --stores 2; done
fact 'three with a directory of its own are well' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 60
large_app
stop_node 1
fact 'a block of it is damaged' '^flipped$' damage_bundle 1
must_start 1
fact 'the start finds it, and begins anew' 'directory_unreadable_here group=0 ' \
	grep directory_unreadable_here "$work/log.1"
fact 'its replica of the directory is given up' 'replica_given_up group=0 ' \
	grep 'replica_given_up group=0 ' "$work/log.1"
fact 'and another one has come' '^well: survives 1 failure$' admin 1 cluster status --wait 60
stop_node 1
fact 'with nothing damaged' '^status 0$' verify_store 1
must_start 1
fact 'nor after a restart' '^well: survives 1 failure$' admin 1 cluster status --wait 60
stop_node 1
rm "$work/data.1/stores/001/db/CURRENT"
start_says() {
	timeout 60 "$kalixd" --data "$work/data.1" --port 0 --cluster-port 0 --peer-port 0 2>&1 ||
		true
}
fact 'a start that cannot open a store says what goes on' \
	'kalix-admin node remove 1 --force, and start this one in an empty' start_says
finish
