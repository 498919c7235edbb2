# shellcheck shell=bash
# server.sh: starts and stops a server for the scripts of tests. To be sourced, with `kalixd` (the
# program) and `work` (a directory of the script's own) set.
#
#     start_server NAME [FLAG...]    port= cluster_port= server= (its process) are set
#     stop_server                    SIGTERM; its exit status, helped after a minute
#
# shellcheck disable=SC2154
. tests/runner/processes.sh
server=
start_server() {
	local name=$1
	shift
	rm -f "$work/$name.ready"
	"$kalixd" --data "$work/$name" --port 0 --cluster-port 0 --ready-file "$work/$name.ready" \
		"$@" >"$work/$name.out" 2>>"$work/$name.log" &
	server=$!
	ready_or_ended "$server" "$work/$name.ready" || {
		tail -n 20 "$work/$name.log" >&2
		return 1
	}
	# shellcheck disable=SC2034 # for the script that sources this
	port=$(sed -n 's/^port=//p' "$work/$name.ready")
	# shellcheck disable=SC2034
	cluster_port=$(sed -n 's/^cluster_port=//p' "$work/$name.ready")
}

stop_server() {
	local status=0
	kill -TERM "$server"
	await_process "$server" 60
	server=
	return "$status"
}

# What it was writing may come to the files until it has ended.
kill_server() {
	[ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
	[ -z "$server" ] || wait "$server" 2>/dev/null || true
	server=
}
