#!/bin/bash
# Looks for faults by reading the code: clang-tidy, with the static analyzer, over the sources of
# what is installed.
#
#   tests/analyze/check.sh [deep]    deep: the tests' sources too, and each function is followed
#                                    fifteen times as far, in several times the time; before a
#                                    release, not in each run of the tests
set -euo pipefail
cd "$(dirname "$0")/../.."

# Lua's headers stand in a directory of their own.
lua=$(pkg-config --cflags lua5.4)

without='^tests/'
if [ "${1:-}" = deep ]; then
	without='^$'
	NODES_MAX=225000
fi
export NODES_MAX=${NODES_MAX:-15000}

# Prints what was found in a file, and then one line for it.
analyze() {
	local file=$1 messages
	# shellcheck disable=SC2086 # several flags
	if messages=$(clang-tidy --quiet --config-file=.clang-tidy "$file" -- \
		-std=gnu11 -D_GNU_SOURCE -I. -Iclient -Ibuild-test $lua \
		-Xclang -analyzer-config -Xclang "max-nodes=$NODES_MAX" 2>&1); then
		echo "ok $file"
	else
		printf '%s\nnot ok %s\n' "$messages" "$file"
	fi
}

if [ "${1:-}" = --one ]; then
	analyze "$2"
	exit
fi

./run tree test
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tests/tidy/files.sh . | grep '\.c$' | grep -v "$without" |
	xargs -P "$(nproc)" -n 1 tests/analyze/check.sh --one >"$work/results"
cat "$work/results"
. tests/runner/counts.sh
results "$work/results"

cat >"$work/fault.c" <<'END'
int fault(int *value)
{
	if (!value)
		return *value;
	return 0;
}
END
status=0
analyze "$work/fault.c" | grep -q '^not ok' || status=$?
result "$status" 'a null pointer that is followed is seen'
finish
