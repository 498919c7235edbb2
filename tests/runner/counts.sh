# shellcheck shell=bash
# counts.sh: how the scripts of the test run count and end. To be sourced:
#
#     . tests/runner/counts.sh
#     status=0; something || status=$?
#     result "$status" 'a fact that should hold'
#     finish
#
passed=0 failed=0 skipped=0

# result STATUS FACT: one test; it passed if the status is 0.
result() {
	if [ "$1" -eq 0 ]; then
		echo "ok $2"
		passed=$((passed + 1))
	else
		echo "not ok $2"
		failed=$((failed + 1))
	fi
}

# results FILE: the lines "ok FACT" and "not ok FACT" in it are tests that were already printed.
results() {
	passed=$((passed + $(grep -c '^ok ' "$1" || true)))
	failed=$((failed + $(grep -c '^not ok ' "$1" || true)))
}

# closing_line STATUS LOG: adds what the last line of a program's log says. A program without that
# line, or that exits with a failure while it counts none, is one failure; so is one that tested
# nothing. Says in `why` what was wrong, or nothing.
closing_line() {
	local status=$1 line p f s
	# shellcheck disable=SC2034 # the caller reads it
	why=
	line=$(tail -n 1 "$2")
	if ! [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
		why="no closing line, exit status $status"
		failed=$((failed + 1))
		return
	fi
	p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
	if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
		why="exit status $status"
		f=1
	elif [ $((p + f + s)) -eq 0 ]; then
		# shellcheck disable=SC2034
		why='it tested nothing'
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# Prints the closing line; its status, which is to be the script's, says whether all is well.
finish() {
	if [ "$skipped" -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
	[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
}
