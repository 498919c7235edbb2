# shellcheck shell=bash disable=SC2154
# What the scripts of damaged nodes share, behind lib.sh: the app cell/, with $cells of them, and
# places in the logs of stopped nodes. To be sourced from the top of the tree.
#
#   damage DIR               one bit of a frame with records that later frames tell of, in the store
#                            that does not have the directory
#   damage_directory N       of the last frame with entries of the directory
#   change_directory N       entries of it, by a deployment at node N: the app is there in versions
#                            that differ by a comment
#   write V, write_at N V    into all cells, at all three nodes in turn, or at node N; each until it
#                            is acknowledged, which is no other change, so that what lacks was lost
#   value N CELL, sum_cells N   each asked once, with time to wait for a leader; what refuses is
#                            said on stderr
#   fill, all_values N       6000 cells more, through node 1, and how many have which value, as
#                            node N reads them
#   large_app                a fact: one is deployed at node 1 whose bytes are found in a store
#   damage_bundle N          a block of it, in the directory's store of node N, which is stopped
#   verify_store N           of a stopped node
#   said N EVENT             how often node N's log has it
. tests/runner/damage.sh
admin=$kalix_admin cells=60 version=0

damage() {
	local segment offset
	read -r segment offset < <(log_frame "$1" 1 30) || {
		echo "no records in the log of $1"
		exit 1
	}
	flip_bit "$(log_file "$1" 1 "$segment")" $((offset + 100))
}

said() { grep -c " $2 " "$work/log.$1" || true; }

write_one() { # NODE CELL V
	local end=$((SECONDS + 30)) answer
	while answer=$(call "$1" "$2" write "{\"from\":0,\"to\":$3}") || true
	[[ $answer != *'"changes":'* ]]; do
		echo "$2 at node $1, write: $answer"
		if [ "$SECONDS" -ge "$end" ]; then exit 1; fi
		sleep 0.1
	done
}
write_at() {
	local i
	for i in $(seq "$cells"); do write_one "$1" "cell/n$i" "$2"; done
}
write() {
	local i
	for i in $(seq "$cells"); do write_one $((i % 3 + 1)) "cell/n$i" "$1"; done
}
value() {
	local answer
	answer=$(call "$1" "$2" get TIMEOUT 30000) || true
	[[ $answer == *'"value":'* ]] || echo "$2 at node $1, get: $answer" >&2
	sed -n 's/.*"value":\([0-9]*\).*/\1/p' <<<"$answer"
}
sum_cells() {
	local total=0 i one
	for i in $(seq "$cells"); do
		one=$(value "$1" "cell/n$i")
		total=$((total + ${one:-0}))
	done
	echo "$total"
}

# "SEGMENT OFFSET". Later frames tell of it.
directory_frame() {
	local number='\([0-9]*\)' frame
	frame=$("$kalix_admin" log dump "$1" --store 0 --records -o jsonl |
		grep '"place":"live","kind":"entry","shard":0,' |
		sed "s/.*\"frame\":$number,.*/\1/" | tail -n 1)
	"$kalix_admin" log dump "$1" --store 0 -o jsonl | grep "\"frame\":$frame," |
		sed "s/.*\"segment\":$number,\"offset\":$number,.*/\1 \2/"
}
damage_directory() {
	local segment offset dir=$work/data.$1
	read -r segment offset < <(directory_frame "$dir")
	flip_bit "$(log_file "$dir" 0 "$segment")" $((offset + 100))
}
change_directory() {
	rm -rf "$work/app"
	cp -r tests/cluster/counter "$work/app"
	version=$((version + 1))
	echo "-- $version" >>"$work/app/app.lua"
	admin "$1" app deploy "$work/app" --yes
}

fill() {
	seq 6000 | awk '{
		to = "cell/m" $1; input = "{\"from\":0,\"to\":1}"
		printf "*4\r\n$4\r\nCALL\r\n$%d\r\n%s\r\n$5\r\nwrite\r\n$%d\r\n%s\r\n",
			length(to), to, length(input), input
	}' | timeout 120 redis-cli -h 127.0.0.1 -p "${port[1]}" --pipe
}
all_values() { # NODE
	seq -f 'CALL cell/m%g get' 6000 | timeout 120 redis-cli -p "${port[$1]}" |
		grep -o '"value":[0-9]*' | sort | uniq -c
}
large_app() {
	rm -rf "$work/app"
	cp -r tests/cluster/counter "$work/app"
	# Nothing that compresses, so that its bytes are found again.
	head -c 60000 /dev/urandom | base64 -w 76 | sed 's/^/-- /' >>"$work/app/app.lua"
	sed -n '300,700s/^-- .\{20\}\(.\{20\}\).*/\1/p' "$work/app/app.lua" >"$work/markers"
	fact 'a large app is there' 'every shard has it active' admin 1 app deploy "$work/app" --yes
}
damage_bundle() { # NODE
	local place
	place=$(grep -FHabo -f "$work/markers" "$work/data.$1"/stores/000/db/*.sst | sed -n 20p)
	flip_bit "${place%%:*}" "$(cut -d: -f2 <<<"$place")" && echo flipped
}
verify_store() { # NODE
	"$kalix_admin" store verify "$work/data.$1" && echo 'status 0'
}
