#!/bin/bash
# Three kalixd under load while one of them after the other, sometimes two, is killed, stopped for
# a while or ended and started again; in the end what clients were told has to be a history of
# cells that take one operation at a time.
#
#   tests/cluster/storm.sh [SECONDS [SEED]]
#
# STORM_KEEP=DIR   keeps the history and the nodes' logs there
# STORM_CORES='2 2 1'   of each node
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-25} seed=${2:-1}
. tests/cluster/lib.sh
make -s -C "$build" tests/cluster/history
history=$build/tests/cluster/history
"$history" self | tee "$work/self" || true
closing_line "${PIPESTATUS[0]}" "$work/self"
RANDOM=$seed
read -ra node_cores <<<"${STORM_CORES:-2 2 2}"
start() { cores=${node_cores[$1 - 1]} must_start "$1"; }
keep() {
	[ -z "${STORM_KEEP:-}" ] || {
		mkdir -p "$STORM_KEEP"
		cp "$work"/log.* "$work"/history "$STORM_KEEP" 2>/dev/null || true
	}
	cleanup
}
trap keep EXIT
nap() { sleep "$((RANDOM % $1)).$((RANDOM % 10))"; }

# One after the other: a node that comes back alone has nobody to lead it.
kill_one() { kill_node "$1" && nap 2 && start "$1"; }
kill_two() { kill_node "$1" && kill_node "$2" && nap 2 && start "$2" && nap 2 && start "$1"; }
freeze() { kill -STOP "${pid[$1]}" && nap 3 && kill -CONT "${pid[$1]}"; }
restart() {
	stop_node "$1"
	[ "$status" -eq 0 ] || result 1 "node $1 ends cleanly, not with $status"
	start "$1"
}

start 1
fact 'the app is deployed' 'every shard has it active' admin 1 app deploy tests/cluster/cell --yes
start 2
start 3
settled() {
	[ "$(grep -ho 'group=[0-9]* step="voters become' "$work"/log.* | sort -u | wc -l)" -eq 129 ]
}
fact 'all shards get three voters' 'yes' eval 'wait_for 60 settled && echo yes'

"$history" run "$work/history" "$seconds" "$seed" "$work"/ready.{1,2,3} 2>"$work/complaints" &
load=$!
kills=0 end=$((SECONDS + seconds - 2))
while [ "$SECONDS" -lt "$end" ]; do
	one=$((RANDOM % 3 + 1)) two=$((RANDOM % 2 + 1))
	two=$(((one + two - 1) % 3 + 1))
	case $((RANDOM % 8)) in
	0 | 1 | 2) what=kill_one ;;
	3) what=kill_two ;;
	4 | 5) what=freeze ;;
	*) what=restart ;;
	esac
	echo "    $((SECONDS - end + seconds)) s: $what $one $two"
	"$what" "$one" "$two"
	kills=$((kills + 1))
	nap 3
done
await_process "$load" $((seconds + 150))
result "$status" 'all nodes tell in the end what there is'
head -n 5 "$work/complaints"
history_is_linear "$history"
unknown=$(sed -n 's/.* unknown=\([0-9]*\).*/\1/p' "$work/verdict")
echo "    kills=$kills unknown_per_kill=$((unknown / (kills > 0 ? kills : 1)))"
no_complaints 'panic|level=error'
finish
