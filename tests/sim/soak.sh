#!/bin/bash
# soak.sh [FIRST [COUNT]]: thousands of seeds that no test run has seen, with an optimized build: of
# the engine, of the Raft core and of clusters, and a fifth as many each of one node and of shards
# that lose their leadership.
# Without arguments the first one is taken from the clock, so that each soak sees others; it is
# printed, and each failure says how to repeat it.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree build
make -s -C build tests/sim/engine_sim tests/raft_sim/raft_sim \
	tests/shard_sim/{node_sim,shard_sim_double} tests/cluster_sim/cluster_sim
first=${1:-$(date +%s)000} count=${2:-5000}
echo "seeds from $first"
failed=0
build/tests/sim/engine_sim --seeds "$first" "$count" || failed=1
build/tests/raft_sim/raft_sim --seeds "$first" "$count" || failed=1
for program in node_sim shard_sim_double; do
	build/tests/shard_sim/$program --seeds "$first" "$((count / 5 + 1))" || failed=1
done
build/tests/cluster_sim/cluster_sim --seeds "$first" "$count" || failed=1
exit "$failed"
