#!/bin/bash
# Shows that the test run fails whenever a step of it does, in each way in which a step can.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. tests/runner/counts.sh

# expect NAME STATUS SUM STEP...: each STEP is a script, of which all become one table, with how it
# is to run in front if it is not busy. `limit` is how long one may take.
limit=60
expect() {
	local name=$1 status=$2 sum=$3 got=0 count=0 step how
	shift 3
	rm -rf "${work:?}"/*
	: >"$work/table"
	for step in "$@"; do
		count=$((count + 1))
		how=busy
		if [[ $step =~ ^(waits|alone|shared):' ' ]]; then
			how=${BASH_REMATCH[1]} step=${step#*: }
		fi
		printf '#!/bin/sh\n%s\n' "$step" >"$work/$count.sh"
		echo "step$count $how $limit sh $work/$count.sh" >>"$work/table"
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
limit=1
expect 'a step whose time is up fails' 1 '0 passed, 1 failed' 'exec sleep 60'
limit=60
expect 'a table without steps fails' 1 '0 passed, 0 failed'

# What runs beside what: files of $work/beside say who is there.
beside=$(mktemp -d)
trap 'rm -rf "$work" "$beside"' EXIT
processors=$(nproc)
many=() sum=0
for _ in $(seq "$processors"); do
	many+=("until [ -e $beside/waits ]; do sleep 0.1; done; touch $beside/busy; $good")
	sum=$((sum + 3))
done
expect 'beside those that are busy others wait' 0 "$((sum + 3)) passed, 0 failed" "${many[@]}" \
	"waits: touch $beside/waits; until [ -e $beside/busy ]; do sleep 0.1; done; $good"
rm -f "$beside"/*
there="touch $beside/\$\$; sleep 0.2"
gone="rm $beside/\$\$; $good"
few="[ \$(ls $beside | wc -l) -le $processors ] || exit"
many=("$there; $few; $gone")
for _ in $(seq "$processors"); do many+=("$there; $few; $gone"); done
expect 'no more that are busy than there are processors' 0 "$((sum + 3)) passed, 0 failed" \
	"${many[@]}"
expect 'no more that wait, either' 0 "$((sum + 3)) passed, 0 failed" "${many[@]/#/waits: }"
only="[ \$(ls $beside | wc -l) -eq 1 ] || exit"
expect 'nothing runs beside one that is alone' 0 '15 passed, 0 failed' "$there; $gone" \
	"waits: $there; $gone" "alone: $there; $only; $gone" \
	"waits: $there; $gone" "alone: $there; $only; $gone"
gentle=$(nice -n 10 nice)
expect 'those that are busy give way' 0 '6 passed, 0 failed' \
	"[ \$(nice) -eq $gentle ] || exit; $good" "waits: [ \$(nice) -eq $(nice) ] || exit; $good"
expect 'a step has to say how it runs' 2 \
	"step 'step1' of $work/table is neither busy, waits nor alone: 'shared'" "shared: $good"

finish
