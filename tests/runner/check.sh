#!/bin/bash
# Shows that the test run fails whenever a step of it does, in each way in which a step can.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. tests/runner/counts.sh

# expect NAME STATUS SUM STEP...: each STEP is a script; all of them become one table.
expect() {
	local name=$1 status=$2 sum=$3 got=0 count=0 step
	shift 3
	rm -rf "${work:?}"/*
	: >"$work/table"
	for step in "$@"; do
		count=$((count + 1))
		printf '#!/bin/sh\n%s\n' "$step" >"$work/$count.sh"
		echo "step$count shared 1 sh $work/$count.sh" >>"$work/table"
	done
	tests/runner/steps.sh "$work/table" "$work/logs" >"$work/out" 2>&1 || got=$?
	if [ "$got" -eq "$status" ] && [ "$(tail -n 1 "$work/out")" = "$sum" ]; then
		result 0 "$name"
	else
		cat "$work/out"
		result 1 "$name: exit status $got"
	fi
}

good='echo 3 passed, 0 failed'
expect 'counts are summed' 0 '5 passed, 0 failed, 1 skipped' \
	"$good" 'echo 2 passed, 0 failed, 1 skipped'
expect 'a failure fails the run' 1 '4 passed, 2 failed' \
	"$good" 'echo 1 passed, 2 failed; exit 1'
expect 'a failure fails the run, whatever the exit status' 1 '4 passed, 2 failed' \
	"$good" 'echo 1 passed, 2 failed'
expect 'an exit status fails the run, whatever the counts' 1 '4 passed, 1 failed' \
	"$good" 'echo 1 passed, 0 failed; exit 3'
expect 'a step without a closing line fails' 1 '3 passed, 1 failed' \
	"$good" 'echo all is well'
expect 'a closing line must be the last' 1 '3 passed, 1 failed' \
	"$good" 'echo 9 passed, 0 failed; echo Segmentation fault'
expect 'a step that prints nothing fails' 1 '3 passed, 1 failed' "$good" 'true'
expect 'a step that tests nothing fails' 1 '3 passed, 1 failed' \
	"$good" 'echo 0 passed, 0 failed'
# shellcheck disable=SC2016
expect 'a step that is killed fails' 1 '6 passed, 1 failed' "$good" "$good; "'kill -9 $$'
expect 'a step whose time is up fails' 1 '3 passed, 1 failed' "$good" 'exec sleep 60'
expect 'a table without steps fails' 1 '0 passed, 0 failed'

finish
