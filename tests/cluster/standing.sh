#!/bin/bash
# The disks of two nodes of three stand still while their processes answer: each has its data
# directory in a file system of its own, which is frozen. Shards keep their leaders and commit
# nothing, which `cluster status` says, with whose disks it is; what is in memory meanwhile is
# bounded, and calls beyond that are refused. Then the disks go on, and so does everything; and last
# the disk of who leads stands still, for which others lead, and is named by them.
#
# It needs the right to mount, in a namespace of its own, so that all is unmounted with its last
# process, whatever becomes of this one.
# Programs in quotes are for fact, which runs them later.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "${STANDING_INSIDE:-}" ] && unshare --mount --propagation private true 2>/dev/null; then
	exec env STANDING_INSIDE=1 unshare --mount --propagation private "$0" "$@"
fi
. tests/cluster/lib.sh
nodes=(1 2 3)
frozen_nodes=(2 3)

thaw() {
	local node
	for node in "${nodes[@]}"; do
		fsfreeze --unfreeze "$work/data.$node" 2>/dev/null || true
	done
}
# A ring lets go of its files a moment after its process has ended.
unmount() {
	mountpoint -q "$1" || return 0
	for _ in $(seq 100); do
		! umount "$1" 2>/dev/null || return 0
		sleep 0.1
	done
	umount --lazy "$1"
}
# Nothing ends that waits for a frozen disk, so that goes first.
leave() {
	local node
	set +e
	[ -z "${guard:-}" ] || kill "$guard" 2>/dev/null || true
	thaw
	for node in "${!pid[@]}"; do
		[ -z "${pid[node]}" ] || kill_node "$node"
	done
	for node in "${nodes[@]}"; do
		unmount "$work/data.$node"
	done
	cleanup
}
trap leave EXIT
disk_of() { # NODE: its data directory on a file system of its own
	truncate -s 2G "$work/image.$1" && mkdir "$work/data.$1" &&
		mkfs.ext4 -q -F -m 0 "$work/image.$1" &&
		mount -o loop "$work/image.$1" "$work/data.$1" && rm -r "$work/data.$1/lost+found"
}
can_freeze() {
	local node
	[ -n "${STANDING_INSIDE:-}" ] || return 1
	for node in "${nodes[@]}"; do disk_of "$node" || return 1; done
	fsfreeze --freeze "$work/data.2" && fsfreeze --unfreeze "$work/data.2"
}
if ! can_freeze 2>"$work/why"; then
	echo 'skipped, it needs the right to mount and to freeze a file system:' \
		"$(tail -n 1 "$work/why")"
	skipped=1
	finish
	exit
fi
# SIGKILL runs no trap, and what is frozen would keep its processes for ever.
(
	trap - EXIT
	set +e
	while kill -0 $$; do sleep 1; done
	thaw
	pkill -KILL -f -- "--data $work/"
	for node in "${nodes[@]}"; do unmount "$work/data.$node"; done
	rm -rf "$work"
) </dev/null >/dev/null 2>&1 &
guard=$!

# One shard, so that node 1 leads it and the directory for good.
must_start 1 --shards 1
must_start 2
must_start 3
fact 'three nodes, and all is well' '^well: survives 1 failure$' \
	admin 1 cluster status --wait 90 --nodes 3
fact 'the app is there' 'every shard has it active' \
	admin 1 app deploy tests/cluster/blob --yes
leads_by() { admin "$1" shard list | awk '$1 == 1 { print $2 }'; }
leads() { leads_by 1; }
fact 'which leads on the disk that will go on' '^1$' leads

# ---- While nothing is wrong ----

cells=8 untouched=20
told=0
for i in $(seq 24); do
	! call $((i % 3 + 1)) "blob/c$((i % cells))" add | grep -qE '^[0-9]+$' || told=$((told + 1))
done
for i in $(seq "$untouched"); do call 1 "blob/u$i" add >/dev/null; done
sum_of() { # NODE: of what all cells count
	local node=$1 i n total=0
	for i in $(seq 0 $((cells - 1))); do
		n=$(call "$node" "blob/c$i" get | sed -n 's/.*"n":\([0-9]*\).*/\1/p')
		total=$((total + n))
	done
	echo "$total"
}
fact 'what was told is there' "^$told\$" sum_of 1
resident_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/${pid[$1]}/status"; }
before=()
for i in 1 2 3; do before[i]=$(resident_kib "$i"); done

# ---- The disks of two stand still ----

for i in "${frozen_nodes[@]}"; do fsfreeze --freeze "$work/data.$i"; done
writers=8 each=24 blob_bytes=1000000
for i in $(seq "$writers"); do
	for k in $(seq "$each"); do
		echo "CALL blob/w$i-$k fill '{\"bytes\":$blob_bytes}' TIMEOUT 1500"
	done | redis-cli -p "${port[$((i % 3 + 1))]}" >"$work/filled.$i" 2>&1 &
	writer[i]=$!
done
call 1 blob/c0 add TIMEOUT 1500 >"$work/unknown"
fact 'a change ends as unknown, or is refused' 'UNKNOWN_OUTCOME|RESOURCE_EXHAUSTED' \
	cat "$work/unknown"
stands='^shard 1: nothing that is proposed was committed for [0-9]+ s:'
stands+=' nodes 2, 3 do not acknowledge it$'
is_said() { grep -qE "$stands" <(admin 1 cluster status); }
fact 'the status says that the shard stands, and whose disks it is' yes \
	eval 'wait_for 60 is_said && echo yes'
fact 'and what to do' 'UNKNOWN_OUTCOME, or are refused as too many wait; look at the disks' \
	admin 1 cluster status
fact 'and ends as one of trouble' '^8$' eval 'admin 1 cluster status >/dev/null; echo $?'
fact 'and leads as before' '^1$' leads
fact 'so it is at the nodes whose disks they are' "$stands" admin 2 cluster status
silent='^store [0-9]+: its disk has not answered a write for [0-9]+ s:'
fact 'which say it of themselves' "$silent" admin 2 status
# Of a node, by another one.
named() { # NODE, BY
	grep -qE "^node $1: its disk has not answered a write for [0-9]+ s: it gets no new" \
		<(admin "$2" cluster status)
}
listed() { # NODE, BY
	grep -qE "^ *$1 .* member +yes: disk " <(admin "$2" node list)
}
for i in "${frozen_nodes[@]}"; do
	fact "node 1 says it of node $i" yes eval 'wait_for 20 named "$i" 1 && echo yes'
	fact 'the list has it, too' yes eval 'wait_for 20 listed "$i" 1 && echo yes'
done
fact 'and what to do' 'nothing to lead until it does; look at that disk, and at the kernel' \
	admin 1 cluster status
fact 'of itself it does not' no eval 'named 1 1 || echo no'
fact 'who is to lead there is told why that is not done' \
	'the disk of node 2 does not answer' eval 'admin 1 shard leader 1 2 2>&1'
fact 'and the other one does not' '^0$' eval 'admin 1 status | grep -cE "$silent" || true'
for i in $(seq "$writers"); do wait "${writer[i]}" || true; done
answers() { cat "$work"/filled.* | grep -cE "$1" || true; }
fact 'every call was answered' "^$((writers * each))\$" answers .
fact 'as unknown, or refused' "^$((writers * each))\$" \
	answers '^(UNKNOWN_OUTCOME|RESOURCE_EXHAUSTED) '
refused=$(answers '^RESOURCE_EXHAUSTED ')
result $((refused > 0 ? 0 : 1)) 'some were refused, since too many waited'
echo "of $((writers * each)) calls $refused were refused"
fact 'and so are all that come now' '^RESOURCE_EXHAUSTED ' \
	call 1 blob/late fill "{\"bytes\":$blob_bytes}"
fact 'queries that saw nothing of what waits are answered' "^$untouched\$" \
	eval 'for i in $(seq "$untouched"); do call 1 "blob/u$i" get; done | grep -c "\"n\":1[,}]"'
# A leader has 32 MiB of each shard and the frame that was under way, and who follows at most twice
# as much.
mib=$((1024 * 1024))
for i in 1 2 3; do
	bytes=$(info "$i" uncommitted_bytes) more=$(($(resident_kib "$i") - before[i]))
	echo "node $i: $bytes bytes are not committed, $more KiB more are resident"
	result $((bytes > 0 && bytes <= 64 * mib ? 0 : 1)) "what node $i has of that is bounded"
	result $((more <= 256 * 1024 ? 0 : 1)) "so is node $i"
done

# ---- They go on ----

thaw
fact 'all is well again' '^well: survives 1 failure$' admin 1 cluster status --wait 90 --nodes 3
fact 'the answer is that' '^0$' eval 'admin 1 cluster status >/dev/null; echo $?'
for i in 1 2 3; do
	fact "node $i takes changes" "^$blob_bytes\$" \
		call "$i" blob/late fill "{\"bytes\":$blob_bytes}"
done
for i in "${frozen_nodes[@]}"; do
	fact "the disk of node $i is not named any more" yes \
		eval 'wait_for 20 eval "! named $i 1 && ! listed $i 1" && echo yes'
done
counted() { # nothing that was told is lost, and what was unknown was done once at most
	local n
	n=$(sum_of "$1")
	[ "$n" -ge "$told" ] && [ "$n" -le $((told + 1)) ] && echo yes
}
for i in 1 2 3; do fact "node $i has what was told" yes counted "$i"; done

# ---- The disk of who leads ----

leader=$(leads)
other=$((leader % 3 + 1))
fsfreeze --freeze "$work/data.$leader"
taken() { [ "$(call "$other" blob/other fill '{"bytes":1000}' TIMEOUT 1500)" = 1000 ]; }
fact 'others serve what it led' yes eval 'wait_for 60 taken && echo yes'
fact 'and say whose disk it is' yes eval 'wait_for 20 named "$leader" "$other" && echo yes'
fact 'in the list, too' yes eval 'wait_for 20 listed "$leader" "$other" && echo yes'
fact 'beside which no other one may fail' '(^|: )survives 0 failures$' \
	admin "$other" cluster status
# Who leads the directory has begun to, and hears of that one by one.
led_elsewhere() { leads_by "$other" | grep -vx "$leader" | grep -E '^[0-9]+$'; }
fact 'which does not lead any more' yes eval 'wait_for 30 led_elsewhere && echo yes'
thaw
fact 'it answers again, and nobody says so any more' yes \
	eval 'wait_for 20 eval "! named $leader $other && ! listed $leader $other" && echo yes'
fact 'and all is well' '^well: survives 1 failure$' admin 1 cluster status --wait 90 --nodes 3
for i in "${!pid[@]}"; do kill_node "$i"; done
for i in 1 2 3; do launch_node "$i"; done
for i in 1 2 3; do must_be_ready "$i"; done
fact 'and so it is after all of them were killed' yes \
	eval 'wait_for 60 admin 1 cluster status && counted 2'
no_complaints 'shard_closed|damage_found'
finish
