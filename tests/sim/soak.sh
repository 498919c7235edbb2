#!/bin/bash
# soak.sh [FIRST [COUNT]]: thousands of seeds that no test run has seen, with an optimized build.
# Without arguments the first one is taken from the clock, so that each soak sees others; it is
# printed, and each failure says how to repeat it.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree build
make -s -C build tests/sim/engine_sim
first=${1:-$(date +%s)000}
echo "seeds from $first"
exec build/tests/sim/engine_sim --seeds "$first" "${2:-5000}"
