#!/bin/bash
# The ways out of the sandbox under valgrind. Debian's Lua has no instrumentation: ASan sees what it
# asks of the allocator, valgrind sees each access. So what Lua 5.4.4 does wrong with memory would
# show here if one of the doors to it stood open (docs/sandbox.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
dir=$PWD/build-test program=tests/unit/scripting/sandbox_test
flock "$dir" make -s -C "$dir" $program
scratch=$(mktemp -d "$dir/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
. tests/runner/counts.sh

# In one process, so that an access that is wrong ends it with a status of its own.
export CK_FORK=no CK_DEFAULT_TIMEOUT=0 TMPDIR=$scratch srcdir=$PWD
status=0
valgrind -q --error-exitcode=99 "$dir/$program" escape >"$scratch/log" 2>&1 || status=$?
cat "$scratch/log"
closing_line "$status" "$scratch/log"
[ -z "$why" ] || echo "escape: $why"
finish
