# shellcheck shell=bash disable=SC2034
# processes.sh: how scripts of the test run wait for processes that they started. To be sourced.
# Every wait ends.
#
#   ready_or_ended PID FILE   whether FILE is there before the process has ended, and within half a
#                             minute
#   await_process PID [SECONDS]   waits for its end, and helps after half a minute, or so long, and
#                             says so; `status`: what it ended with
#   in_time SECONDS COMMAND...   a program, which is ended after so long; that is said, and its
#                             status is that of timeout

# In the process group of the script, which is ended as a whole.
in_time() {
	local code=0
	timeout --foreground -k 5 "$@" || code=$?
	case $code in 124 | 137) echo "no end within $1 seconds: ${*:2}" >&2 ;; esac
	return "$code"
}

ready_or_ended() {
	for _ in $(seq 3000); do
		[ ! -e "$2" ] || return 0
		kill -0 "$1" 2>/dev/null || return 1
		sleep 0.01
	done
	return 1
}

await_process() {
	local seconds=${2:-30}
	for _ in $(seq $((seconds * 10))); do
		if ! kill -0 "$1" 2>/dev/null; then break; fi
		sleep 0.1
	done
	! kill -9 "$1" 2>/dev/null ||
		echo "process $1 has not ended after $seconds seconds, and was killed"
	status=0
	wait "$1" 2>/dev/null || status=$?
}
