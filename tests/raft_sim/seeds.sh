#!/bin/bash
# seeds.sh [FIRST [COUNT]]: the Raft core alone in so many random worlds (1 to 500). Ends with
# "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/raft_sim/raft_sim
build-test/tests/raft_sim/raft_sim --seeds "${1:-1}" "${2:-500}"
