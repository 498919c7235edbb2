# shellcheck shell=bash disable=SC2154
# expect.sh: how scripts of the test run look at commands. To be sourced, with `work` (a directory
# of the script's own) set.
#
#   expect NAME STATUS PATTERN COMMAND...   its exit status, and a line of what it prints, on either
#                                           stream; an empty PATTERN: whatever that is
#   told STATUS NAME                        as `result`, and where that failed what was printed last
#
# What a command printed stays in $work/out and $work/err.
. tests/runner/counts.sh

told() {
	result "$1" "$2"
	[ "$1" -eq 0 ] || head -n 40 "$work/out" "$work/err" | sed 's/^/    /'
}

expect() {
	local name=$1 wanted=$2 pattern=$3 got=0
	shift 3
	"$@" >"$work/out" 2>"$work/err" </dev/null || got=$?
	if [ "$got" -eq "$wanted" ] && { [ -z "$pattern" ] ||
		grep -Eq -- "$pattern" "$work/out" || grep -Eq -- "$pattern" "$work/err"; }; then
		told 0 "$name"
	else
		told 1 "$name (exit status $got)"
	fi
}
