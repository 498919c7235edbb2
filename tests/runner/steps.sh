#!/bin/bash
# steps.sh TABLE LOGS [STEP...]: runs the steps of a table, or those named, and sums what they
# report; full logs go into the directory LOGS. ./run test builds the tree first and then runs this
# over tests/steps.txt, whose head explains the table.
#
# As many steps that are busy run at a time as there are processors, and as many that wait beside
# them, so that the processors have work all the time. Those that are busy are nice to the others,
# which then have a processor as soon as they want one, and hardly notice.
set -euo pipefail
cd "$(dirname "$0")/../.."
table=$1 logs=$2
shift 2
mkdir -p "$logs"

# `busy`, `waits` and `alone` are indices of those that are to run so.
names=() hows=() limits=() commands=() busy=() waits=() alone=()
while read -r name how limit command; do
	case $name in '' | '#'*) continue ;; esac
	if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
		continue
	fi
	case $how in
	busy) busy+=("${#names[@]}") ;;
	waits) waits+=("${#names[@]}") ;;
	alone) alone+=("${#names[@]}") ;;
	*)
		echo "step '$name' of $table is neither busy, waits nor alone: '$how'" >&2
		exit 2
		;;
	esac
	names+=("$name") hows+=("$how") limits+=("$limit") commands+=("$command")
done <"$table"
for wanted in "$@"; do
	if [[ " ${names[*]} " != *" $wanted "* ]]; then
		echo "there is no step '$wanted' in $table" >&2
		exit 2
	fi
done

. tests/runner/counts.sh
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
# Steps have process groups of their own, where Ctrl-C does not reach; each timeout passes it on.
interrupted() {
	local file
	for file in "$results"/*.pid; do
		[ -f "$file" ] && kill "$(cat "$file")" 2>/dev/null
	done
	exit 130
}
trap interrupted INT TERM

# Sets `used_s`: the processor's seconds of what has ended below this shell. What a step used does
# not depend on what else ran. (Not from a subshell: it would have no children yet.)
processor_time() {
	times >"$results/$1.times"
	used_s=$(tail -n 1 "$results/$1.times" | tr ms '  ' |
		awk '{ printf "%d", 60 * ($1 + $3) + $2 + $4 }')
}

# Prints the step's line, and leaves its counts for the sum.
run_step() {
	local i=$1 name=${names[$1]} began=$SECONDS status=0 why used_s before_s
	local log=$logs/$name.log
	local passed=0 failed=0 skipped=0 gently=()
	[ "${hows[$i]}" != busy ] || gently=(nice -n 10)
	processor_time "$i"
	before_s=$used_s
	# The command is words of our own table, split on purpose.
	# shellcheck disable=SC2086
	timeout --kill-after=10 "${limits[$i]}" "${gently[@]}" ${commands[$i]} >"$log" 2>&1 \
		</dev/null &
	echo $! >"$results/$i.pid"
	wait $! || status=$?
	processor_time "$i"
	closing_line "$status" "$log"
	[ "$status" -ne 124 ] || why="stopped after ${limits[$i]} s"
	[ "$status" -ne 137 ] || why="killed"
	{
		printf '%-14s %5d passed, %d failed' "$name" "$passed" "$failed"
		[ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
		printf '  (%d s, %d s of processor)' $((SECONDS - began)) $((used_s - before_s))
		[ -z "$why" ] || printf '  %s' "$why"
		printf '\n'
		if [ "$failed" -ne 0 ]; then
			echo "--- the end of $log:"
			tail -n 60 "$log" | sed 's/^/    /'
			echo '---'
		fi
	} >"$results/$i.text"
	# One write, so that lines of steps that end together are not mixed.
	cat "$results/$i.text"
	echo "$passed $failed $skipped" >"$results/$i"
}

# start_steps HOW: in their order, while there is room for such.
declare -A how_of_job=()
start_steps() {
	local how=$1 pid running=0
	local -n queue=$1
	for pid in $(jobs -rp); do
		[ "${how_of_job[$pid]:-}" != "$how" ] || running=$((running + 1))
	done
	while [ "$running" -lt "$slots" ] && [ ${#queue[@]} -gt 0 ]; do
		run_step "${queue[0]}" &
		how_of_job[$!]=$how
		queue=("${queue[@]:1}")
		running=$((running + 1))
	done
}

began=$SECONDS
slots=$(nproc)
start_steps busy
start_steps waits
while [ $((${#busy[@]} + ${#waits[@]})) -gt 0 ]; do
	wait -n || true
	start_steps busy
	start_steps waits
done
wait
for i in "${alone[@]}"; do
	run_step "$i"
done

for i in "${!names[@]}"; do
	if [ -f "$results/$i" ]; then
		read -r p f s <"$results/$i"
	else
		p=0 f=1 s=0
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "$((SECONDS - began)) s; the full logs are in $logs"
finish
