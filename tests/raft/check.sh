#!/bin/bash
# check.sh [SCRIPT...]: the scripts of this folder, or those named, print what stands in them. Ends
# with "N passed, N failed".
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
flock build-test make -s -C build-test tests/raft/raft_script
[ $# -gt 0 ] || set -- tests/raft/*.txt
build-test/tests/raft/raft_script "$@"
