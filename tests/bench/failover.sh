#!/bin/bash
# kill -9 for the node that leads most shards, under load, again and again: the time until its
# shards can be written to, as a client of libkalix sees it. Prints each kill, then the median and
# the worst of all.
#
#   tests/bench/failover.sh [KILLS]
#
# A client writes to each of the 128 shards, ten milliseconds behind the end of the last write
# there. Counted is from the kill until the first of the shards that the node led took a write that
# began after it (`first`), until half of them did, and until all of them did (`last`). A node is
# started again after each kill, and the next one comes when all shards have three voters.
set -euo pipefail
cd "$(dirname "$0")/../.."
kills=${1:-20} cores=${KALIX_CORES:-1}
election_ms=1000 # GROUP_ELECTION_MS
programs=(tests/bench/failover_load)
. tests/bench/lib.sh
kalix_up
about_the_machine
nodes="127.0.0.1:${port[1]},127.0.0.1:${port[2]},127.0.0.1:${port[3]}"
coproc LOAD { "$build/tests/bench/failover_load" "$nodes" 128; }
# Ends with the script, as the nodes do.
pid[31]=$LOAD_PID
sleep 1

leads() { admin "$1" shard list | awk '$1 ~ /^[0-9]+$/ && $1 > 0 { print $2, $1 }'; }
: >"$work/kills"
for number in $(seq "$kills"); do
	leads "$((number % 3 + 1))" >"$work/led"
	victim=$(cut -d' ' -f1 "$work/led" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }')
	shards=$(awk -v n="$victim" '$1 == n { print $2 }' "$work/led" | tr '\n' ' ')
	echo "kill ${pid[victim]} $shards" >&"${LOAD[1]}"
	read -r -t 70 line <&"${LOAD[0]}" || {
		echo "kill $number, of node $victim: not all shards came back"
		exit 1
	}
	echo "kill $number: node $victim $line" | tee -a "$work/kills"
	wait "${pid[victim]}" 2>/dev/null || true
	pid[victim]=''
	sleep 0.5
	must_start "$victim" --mode production
	wait_for 120 admin "$victim" cluster status
	sleep 3 # it leads its share again
done 2>"$work/notices" # the shell's own, of each process that was killed
echo end >&"${LOAD[1]}"

worst() { sort -n | tail -n 1; }
echo
for what in first median last; do
	printf '%-7s write in the shards of the killed node: median %5s ms, worst of %s %5s ms\n' \
		"$what" "$(field "${what}_ms" <"$work/kills" | median)" "$kills" \
		"$(field "${what}_ms" <"$work/kills" | worst)"
done
echo "aim: three election timeouts, $((3 * election_ms)) ms"
awk '{ for (i = 1; i <= NF; i++) { split($i, f, "="); sum[f[1]] += f[2] } }
	END { printf "outcomes unknown: %d of %d calls that ended in these times, %.1f a kill; ",
		sum["unknown"], sum["calls"], sum["unknown"] / NR
		printf "other errors: %d\n", sum["failed"] }' "$work/kills"
