#!/bin/bash
# soak.sh [FIRST [COUNT]]: thousands of seeds that no test run has seen: of the engine, of the Raft
# core and of clusters, and a fifth as many each of one node and of shards that lose their
# leadership. By the programs of the test run: the oracles of clusters listen at places that the
# linker of an optimized build closes.
# Without arguments the first one is taken from the clock, so that each soak sees others; it is
# printed, and each failure says how to repeat it.
set -euo pipefail
cd "$(dirname "$0")/../.."
first=${1:-$(date +%s)000} count=${2:-5000}
echo "seeds from $first"
failed=0
tests/sim/seeds.sh "$first" "$count" || failed=1
tests/raft_sim/seeds.sh "$first" "$count" || failed=1
tests/shard_sim/seeds.sh "$first" "$((count / 5 + 1))" || failed=1
tests/cluster_sim/seeds.sh "$first" "$count" || failed=1
exit "$failed"
