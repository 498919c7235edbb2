#!/bin/bash
# starve.sh [FIRST]: whole nodes without memory, once at each place of the cluster's side
# (starve_main.c); FIRST: of another round. Ends with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/cluster_sim/cluster_starve
program=build-test/tests/cluster_sim/cluster_starve
courses=2
most=$("$program" --seeds 0 $courses | sed -n 's/.*; most: //p')
"$program" --seeds $((${1:-0} + courses)) $((courses * ${most:?no site was found}))
