#!/bin/bash
# What --join means: all that it names are asked before a refusal is the last word; a node that
# belongs to a cluster says that it is ignored, and does not start where it names another cluster.
# Two clusters: A of nodes 1 and 2, B of node 3.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh

# One that is not told of others but in its flags: begin N [FLAG...]
begin() {
	local node=$1
	shift
	rm -f "$work/ready.$node"
	"$kalixd" --data "$work/data.$node" --port 0 --cluster-port 0 \
		--peer-port "${peer_port[node]:-0}" --cores 2 --shards 8 \
		--ready-file "$work/ready.$node" "$@" >>"$work/log.$node" 2>&1 &
	pid[node]=$!
}
must_begin() { begin "$@" && must_be_ready "$1"; }
ends() { begin "$@" && ! await_ready "$1" && echo "status $status"; }
said() { grep -E " $2( |\$)" "$work/log.$1" | tail -n 1; } # NODE EVENT
count_ignored() { grep -c ' join_ignored ' "$work/log.5" || true; }
at() { echo "127.0.0.1:${peer_port[$1]}"; }

must_begin 1
fact 'who asks at the peer port is told that it may be that' \
	"no server answers at $(at 1)\\. .*for clients, and not peer_port" \
	in_time 120 "$kalix_admin" --node "$(at 1)" node list
# One alone is the first and the last.
fact 'the last node is not removed' 'node 1 is the only one of the cluster: to end it, stop' \
	admin 1 node remove 1
fact 'nor by force' 'node 1 is the only one of the cluster: to end it, stop' \
	admin 1 node remove 1 --force --yes
must_begin 2 --join "$(at 1)"
must_begin 3
nobody=127.0.0.1:1
fact 'two are one cluster' '^well: survives 0 failures' admin 1 cluster status --wait 60
fact 'the third is another' '^well: survives 0 failures' admin 3 cluster status --wait 60

# ---- All are asked ----

# Node 4 was a node of B once, and is let in there no more.
begin 4 --join "$nobody"
waits() { wait_for 20 said 4 not_joined_yet && cat "$work/waited"; }
fact 'who reaches nobody waits, and says why' 'not_joined_yet .*nobody listens there' waits
fact 'the address that refuses is named' " address=$nobody we_connected=true " \
	said 4 peer_not_connected
kill_node 4
cp -r "$work/data.4" "$work/data.5"
must_begin 4 --join "$(at 3)"
fact 'it is a node of B' '^well: survives 0 failures' admin 3 cluster status --wait 60
fact 'it is drained' '' admin 3 node drain 2 --wait 60
fact 'and removed' '' admin 3 node remove 2
await_end 4
fact 'who is refused by all that it names ends' '^status 1$' ends 5 --join "$nobody,$(at 3)"
fact 'and says who refused, and why' \
	"does not let this node in: this was node 2, which was removed .*$(at 3) says so" \
	grep 'kalixd: ' "$work/log.5"
must_begin 5 --join "$(at 3),$nobody,$(at 1)"
fact 'a refusal is said' "join_refused peer=$(at 3) why=.*was removed" said 5 join_refused
fact 'others that are named are asked all the same' "joined peer=$(at 1) node=3" said 5 joined
fact 'it is a node of A' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'who has just joined is not told that it was not' '^0$' \
	count_ignored

# ---- Who says the address of another one ----

# It listens elsewhere, so that nothing of its own keeps it from starting.
lies() {
	local lie=$1
	shift
	ends "$lie" --join "$(at 1)" --bind 127.0.0.2 --advertise 127.0.0.1 "$@"
}
fact 'who has the peer port of a node that lives is not let in' '^status 1$' \
	lies 7 --peer-port "${peer_port[5]}"
fact 'and is told whose it is, and what to do' \
	"node 3 \\(127.0.0.1, port ${peer_port[5]}\\) is reached .*$(at 1) says so" \
	grep 'kalixd: ' "$work/log.7"
fact 'nor who has the client port of who is asked' '^status 1$' lies 8 --port "${port[1]}"
fact 'which says that it is itself' "node 1 \\(127.0.0.1, port ${port[1]}\\) is reached" \
	grep 'kalixd: ' "$work/log.8"
fact 'nor who has a client port for its cluster port' '^status 1$' \
	lies 9 --cluster-port "${port[5]}"
fact 'and no node has come of it' '^3$' eval 'admin 1 node list | grep -cE "^ *[0-9]+ .* member "'

# ---- Which member says the address of another one ----

says() { wait_for 30 said "$1" own_record_not_set && cat "$work/waited"; }
own_peer_port=${peer_port[2]} own_client_port=${port[2]}
has_old_place() { admin 1 node list | grep -E "^ *2 +127.0.0.1:$own_client_port "; }
stop_node 2
peer_port[2]=${peer_port[5]}
must_begin 2 --bind 127.0.0.2 --advertise 127.0.0.1
fact 'a member that says the address of another one is told whose it is, and what to do' \
	"own_record_not_set .*node 3 \\(127.0.0.1, port ${peer_port[5]}\\) is .*give this one" \
	says 2
fact 'and the directory has the one that it had' member has_old_place
await_end 2
fact 'it ends, since nobody would find it' '^status 1$' echo "status $status"
fact 'and says why, and what to do' \
	"data.2: the cluster does not take what this one, node 2, says .* give this one its own" \
	grep 'kalixd: ' "$work/log.2"
# That one is gone for a while: another one may have its machine's address now.
stop_node 5
must_begin 2 --bind 127.0.0.2 --advertise 127.0.0.1
is_at() { admin "$1" node list | grep -E "^ *$2 +127.0.0.1:${port[${3:-$2}]} .* member +yes "; }
fact 'the address of who is gone may be had' yes eval 'wait_for 30 is_at 1 2 && echo yes'
stop_node 2
# Neither waits for the other one to leave the address that it wants.
peer_port[2]=${peer_port[5]} peer_port[5]=$own_peer_port
begin 2
begin 5
must_be_ready 2
must_be_ready 5
fact 'two that have exchanged their addresses are known there' yes \
	eval 'wait_for 30 is_at 1 2 && wait_for 30 is_at 1 3 5 && echo yes'
stop_node 2
stop_node 5
peer_port[5]=${peer_port[2]} peer_port[2]=$own_peer_port
must_begin 2
must_begin 5
fact 'both are back with their own' '^well: survives 1 failure$' admin 1 cluster status --wait 60
fact 'and the directory knows that' yes \
	eval 'wait_for 30 is_at 1 2 && wait_for 30 is_at 1 3 5 && echo yes'

# ---- Which two say the same free address in the same moment ----

free_port() { # somebody may take it between; then the start fails and says so
	local candidate
	for _ in $(seq 100); do
		candidate=$((20000 + RANDOM % 10000))
		(exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null || {
			echo "$candidate"
			return
		}
	done
}
begin_both() {
	begin 2 --peer-port "$1" --bind 127.0.0.2 --advertise 127.0.0.1
	begin 5 --peer-port "$1" --bind 127.0.0.3 --advertise 127.0.0.1
	must_be_ready 2
	must_be_ready 5
}
complaints() { grep -cE "own_record_not_set .*, port $same\\)" "$work/log.$1" || true; }
find_second() {
	[ "$(complaints 2)" -eq 0 ] || { second=2 first=5 && return; }
	[ "$(complaints 5)" -gt 0 ] && second=5 first=2
}
second='' first=''
own_2=${peer_port[2]} own_5=${peer_port[5]} same=$(free_port)
stop_node 2
stop_node 5
begin_both "$same"
fact 'of two the second is refused' yes eval 'wait_for 30 find_second && echo yes'
find_second
number() { if [ "$1" -eq 5 ]; then echo 3; else echo "$1"; fi; }
fact 'and told who has the address' \
	"node $(number "$first") \\(127.0.0.1, port $same\\) (is reached .*give this|has said)" \
	said "$second" own_record_not_set
await_end "$second"
fact 'and ends' '^status 1$' echo "status $status"
first_is_known() { wait_for 30 is_at 1 "$(number "$first")" "$first" && echo yes; }
fact 'the first is known there' yes first_is_known
fact 'and is told nothing' '^0$' complaints "$first"
stop_node "$first"
peer_port[2]=$own_2 peer_port[5]=$own_5
must_begin 2
must_begin 5
fact 'both are back where they were' '^well: survives 1 failure$' admin 1 cluster status --wait 60

# ---- Who is let in, and reached by nobody ----

# No directory comes: others look for it where nobody is.
away=(--join "$(at 1)" --bind 127.0.0.8 --advertise 127.0.0.9 --peer-port "${peer_port[5]}")
let_in() { wait_for 30 said "$1" joined && cat "$work/waited"; }
begin 6 "${away[@]}"
fact 'who names an address that is not its own is let in' 'joined ' let_in 6
awaits() { wait_for 20 said 6 directory_awaited && cat "$work/waited"; }
fact 'it says what it waits for, and from whom' \
	"directory_awaited node=4 at=127.0.0.9:${peer_port[5]} join=$(at 1) linked=none " awaits
stop_node 6
fact 'and ends when it is told to' '^status 1$' echo "status $status"
fact 'and says what it has not got' 'stopped before the directory' grep 'kalixd: ' "$work/log.6"
# Its machine may have another disk now.
begin 10 "${away[@]}"
fact 'another one with its address is let in when that one is down for a while' \
	'joined .* node=5' let_in 10
fact 'and says what it waits for' \
	"not_joined_yet peer=$(at 1) why=.*node 4 \\(127.0.0.9, port ${peer_port[5]}\\)" \
	said 10 not_joined_yet
stop_node 10
for node in 4 5; do
	fact "node $node may be taken out" '' admin 1 node remove "$node" --force --yes
done

# ---- Who is a node already ----

kill_node 5
must_begin 5 --join "$(at 1),$(at 2)"
fact 'a member says that it does not join' 'join_ignored node=3 cluster=[0-9a-f]{32} ' \
	said 5 join_ignored
kill_node 5
fact 'a member of A does not join B' '^status 1$' ends 5 --join "$(at 1),$(at 3)"
fact 'and says what is wrong' \
	"data.5: this is node 3 of cluster [0-9a-f]{32} already, and --join names $(at 3), which" \
	grep 'kalixd: ' "$work/log.5"
# 127.1 is looked up, as a name is.
fact 'nor where B stands behind a name' '^status 1$' ends 5 --join "127.1:${peer_port[3]}"
fact 'nothing has become of it' '^well: survives 0 failures' admin 3 cluster status
must_begin 5 --join "$nobody"
fact 'where nobody can be asked it starts, and says so' \
	"join_ignored node=3 .* not_asked=$nobody error=" said 5 join_ignored
kill_node 5
must_begin 5 --join 'no..name:1'
fact 'nor is a name waited for that means nothing' \
	'join_ignored node=3 .* not_asked=no\.\.name:1 error=' said 5 join_ignored
kill_node 1
fact 'nor does who founded A' '^status 1$' ends 1 --join "$(at 3)"
fact 'and it says the same' 'this is node 1 of cluster [0-9a-f]{32} already' \
	grep 'kalixd: ' "$work/log.1"
must_begin 1 --join "$(at 2)"
fact 'who founded a cluster may be told of its nodes' 'join_ignored node=1 ' said 1 join_ignored

# ---- Who comes back when all have moved ----

fact 'A is well before' '^well: survives 1 failure$' admin 1 cluster status --wait 60
stop_node 5
peer_port[1]=''
stop_node 1
must_begin 1
fact 'a node that has moved is found, since it finds another one' yes \
	eval 'wait_for 30 is_at 2 1 && echo yes'
peer_port[2]=''
stop_node 2
must_begin 2
fact 'and that one, when it has' yes eval 'wait_for 30 is_at 1 2 && echo yes'
peer_port[5]=''
# A name may be another node's the next time: what is kept is the address that has answered.
must_begin 5 --join "$nobody,127.1:${peer_port[2]}"
fact 'who knows none of the addresses, nor is where it was, tries those of --join' \
	"join_address_added node=2 address=127.1:${peer_port[2]} at=127.0.0.1 " \
	said 5 join_address_added
fact 'A is well in the end' '^well: survives 1 failure$' admin 1 cluster status --wait 60

# ---- Addresses of IPv6 ----

at_six() { echo "[::1]:${peer_port[$1]}"; }
six() { in_time 120 redis-cli -h ::1 -p "${cluster_port[11]}" "$@"; }
raise_ten() { for i in $(seq 10); do six "$@" CALL "counter/six$i" add; done; }
if grep -qE '^0{31}1 ' /proc/net/if_inet6 2>/dev/null; then
	host[11]='[::1]' host[12]='[::1]' host[13]='[::1]'
	must_begin 11 --bind ::1
	must_begin 12 --bind ::1 --join "$(at_six 11)"
	must_begin 13 --bind ::1 --join "$(at_six 11),$(at_six 12)"
	fact 'nodes of IPv6 are a cluster' '^well: survives 1 failure$' \
		admin 11 cluster status --wait 60
	fact 'and take an app' 'every shard has it active' \
		admin 11 app deploy tests/cluster/counter --yes
	fact 'clients are told where to go: the port is behind the last colon' \
		"^MOVED [0-9]+ ::1:(${cluster_port[12]}|${cluster_port[13]})\$" raise_ten
	raise_ten -c >"$work/raised"
	fact 'and go there' '^10$' grep -c '^[12]$' "$work/raised"
else
	echo 'skipped: nodes of IPv6, since this machine has no ::1'
	skipped=$((skipped + 1))
fi
finish
