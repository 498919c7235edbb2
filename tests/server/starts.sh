#!/bin/bash
# Starts that must fail: each says in one line what is wrong and what to do, changes nothing, and
# once the cause is gone everything is there. Between them the server is killed. Ends with the line
# "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/system/lib.sh

# Root may do everything: the server is somebody else then, and its program where he can reach it.
home=$(mktemp -d "${TMPDIR:-/tmp}/kalix-starts.XXXXXX")
trap 'cleanup; rm -rf "$home"' EXIT
cp "$kalixd" "$home/kalixd"
data=$home/data as=() him=$(id -un)
mkdir "$home/ready" "$data"
if [ "$(id -u)" -eq 0 ]; then
	him=nobody
	as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	chmod 755 "$home"
	chown nobody "$home/ready" "$data"
fi

# start DIRECTORY [FLAG...]: until it is ready, or has ended with `status`.
start() {
	local directory=$1
	shift
	rm -f "$home/ready/file"
	"${as[@]}" "$home/kalixd" --data "$directory" --port 0 --cluster-port 0 --cores 2 \
		--shards 8 --ready-file "$home/ready/file" "$@" >"$work/said" 2>&1 &
	server=$!
	for _ in $(seq 3000); do
		if [ -e "$home/ready/file" ]; then
			port=$(sed -n 's/^port=//p' "$home/ready/file")
			return 0
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.01
	done
	status=0
	wait "$server" || status=$?
	server=''
	return 1
}

# refused NAME PATTERN DIRECTORY [FLAG...]
refused() {
	local name=$1 pattern=$2 bad=0
	shift 2
	if start "$@"; then
		kill_server
		bad=1
	fi
	[ "$status" -eq 1 ] || bad=1
	[ "$(grep -c '^kalixd: ' "$work/said")" -eq 1 ] || bad=1
	grep -Eq "^kalixd: $pattern" "$work/said" || bad=1
	cp "$work/said" "$work/out"
	judge "$name" "$bad"
}

# whole NAME: it starts, and has what was acknowledged.
whole() {
	local bad=0
	start "$data" || bad=1
	[ "$bad" -ne 0 ] || [ "$(call wallet/w1 balance '{}')" = 100 ] || bad=1
	cp "$work/said" "$work/out"
	judge "$1, and then everything is there" "$bad"
	[ -z "$server" ] || kill_server
}

# case_of NAME PATTERN BREAK MEND, the last two to be evaluated.
case_of() {
	rm -rf "$home/kept"
	eval "$3"
	refused "$1" "$2" "$data"
	eval "$4"
	whole "$1"
}

start "$data" || {
	cat "$work/said"
	exit 1
}
export KALIX_NODE=127.0.0.1:$port
admin app deploy examples/shop --yes >"$work/out" 2>&1
call wallet/w1 deposit '{"amount":100}' >"$work/out"
kill_server
store=$data/stores/000 first=0000000000000001.seg
whole 'killed'

case_of 'identity cut off' ".*'identity' is damaged: .*; restore this file from a backup" \
	"cp -p '$data/identity' '$home/kept'; truncate -s 20 '$data/identity'" \
	"cp -p '$home/kept' '$data/identity'"
case_of 'identity gone' ".*'identity' is missing, but there is data .*from a backup" \
	"mv '$data/identity' '$home/kept'" "mv '$home/kept' '$data/identity'"
case_of 'a directory for identity' ".*'identity': a directory in the place of a file; move it" \
	"mv '$data/identity' '$home/kept'; mkdir '$data/identity'" \
	"rmdir '$data/identity'; mv '$home/kept' '$data/identity'"
case_of 'identity unreadable' ".*'identity': permission denied; check owner and mode" \
	"chmod 000 '$data/identity'" "chmod 600 '$data/identity'"
case_of 'a lock that cannot be written' '.*lock the data directory: permission denied; check' \
	"chmod 400 '$data/lock'" "chmod 600 '$data/lock'"
case_of 'a segment that cannot be written' '.*the log .*permission denied; check owner and mode' \
	"chmod 400 '$store/log/$first'" "chmod 600 '$store/log/$first'"
case_of 'a file for the log' '.*stores/000: a file stands where .* belongs: move it away' \
	"mv '$store/log' '$home/kept'; : >'$store/log'" \
	"rm '$store/log'; mv '$home/kept' '$store/log'"
case_of 'the checkpoint away' '.*the log has records and the store knows nothing of it' \
	"mv '$store/db' '$home/kept'" "rm -r '$store/db'; mv '$home/kept' '$store/db'"
case_of 'a checkpoint that cannot be written' \
	'.*stores/000/db: permission denied; check owner and mode of the files there' \
	"chmod 500 '$store/db'" "chmod 700 '$store/db'"
case_of 'a checkpoint of which nothing can be read' \
	'.*stores/000/db: permission denied; check owner and mode of the files there' \
	"chmod 000 '$store/db/CURRENT'" "chmod 644 '$store/db/CURRENT'"
case_of 'a checkpoint that names nothing' \
	'.*stores/000/db: stored data is damaged; see kalix-admin store verify; .*store repair' \
	"cp -p '$store/db/CURRENT' '$home/kept'; echo x >'$store/db/CURRENT'" \
	"cp -p '$home/kept' '$store/db/CURRENT'"
case_of 'a store away' '.*stores/001 is missing: .* with 2 stores; restore it' \
	"mv '$data/stores/001' '$home/kept'" "mv '$home/kept' '$data/stores/001'"
case_of 'a directory of another user' ".*: permission denied; check owner and mode" \
	"chmod 000 '$data'" "chmod 700 '$data'"

mkdir "$home/other"
echo hello >"$home/other/letter"
touch "$home/file"
chmod 777 "$home/other"
refused 'a directory of something else' \
	'.*not a Kalix data directory.*\(letter\); choose an empty' "$home/other"
result "$([ "$(ls -A "$home/other")" = letter ] && echo 0 || echo 1)" 'which stays as it is'
refused 'a file for a directory' '.*not a directory; name a directory' "$home/file"
refused 'nothing to stand in' '.*not found; make the directory that it is to stand in first' \
	"$home/none/data"
refused 'a password that is not there' 'password_file: .*not found; check the name' "$data" \
	--password-file "$home/none"
whole "for $him"
finish
