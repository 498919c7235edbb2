#!/bin/bash
# seeds.sh [FIRST [COUNT]]: whole nodes in the simulator, over so many seeds (1 to 100). Ends with
# "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/cluster_sim/cluster_sim
build-test/tests/cluster_sim/cluster_sim --seeds "${1:-1}" "${2:-100}"
