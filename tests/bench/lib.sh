# shellcheck shell=bash disable=SC2034
# What the benchmarks of clusters share; to be sourced from the top of the tree, after `programs`
# was set to those of tests/bench/ that are needed. Nodes of Kalix, and all that lib.sh of
# tests/cluster has; those of other systems are put into its `pid`, and so end with the script.
#
#   kalix_up                 three nodes, the app of tests/bench/cart, three replicas of each shard;
#                          with the flags in `kalix_flags`
#   kalix_down               gone, with its data
#   median                   of the numbers in the standard input, one a line
#   field NAME               of lines of key=value in the standard input
#   processor_ticks PID...   what these processes have used, in hundredths of a second
#   about_the_machine        a line: processors, load, what else counts
export KALIX_BUILD=build
./run tree build
# shellcheck disable=SC2154 # whoever sources this has set it
make -s -C build -j"$(nproc)" "${programs[@]}"
. tests/cluster/lib.sh

kalix_flags=()
kalix_up() {
	local node
	for node in 1 2 3; do must_start "$node" --mode production "${kalix_flags[@]}"; done
	admin 1 app deploy tests/bench/cart --yes >/dev/null
	wait_for 60 led_evenly
}
# All shards have three voters, all nodes that can lead, and none more than its share by more than
# a few.
led_evenly() {
	admin 1 cluster status || return 1
	admin 1 shard list | awk '$1 ~ /^[0-9]+$/ && $1 > 0 { shards++; led[$2]++ }
		END { for (n in led) { nodes++; if (led[n] > most) most = led[n] }
		      leaders = shards < 3 ? shards : 3
		      exit !(nodes >= leaders && most <= shards / nodes + 1 + shards / 64) }'
}
kalix_down() {
	local node
	for node in "${!port[@]}"; do
		if [ -n "${pid[node]:-}" ]; then kill_node "$node"; fi
		rm -rf "${work:?}/data.$node"
	done
	port=() cluster_port=() peer_port=()
}

median() { sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
field() { sed -n "s/.*\\b$1=\\([0-9.]*\\).*/\\1/p"; }
processor_ticks() {
	local one total=0
	for one in "$@"; do
		total=$((total + $(awk '{ print $14 + $15 }' "/proc/$one/stat")))
	done
	echo "$total"
}
about_the_machine() {
	echo "$(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), data on" \
		"$(df --output=source,fstype "$work" | tail -n 1 | tr -s ' ')"
}
