#!/bin/bash
# headers.sh: every header stands alone: a file that includes nothing else, and includes it twice,
# compiles without a warning.
set -euo pipefail
cd "$(dirname "$0")/../.."

read -ra lua < <(pkg-config --cflags lua5.4)

# Prints one line for a header; its messages go above it.
compiles() {
	local header=$1 messages
	if messages=$(printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
		gcc -std=gnu11 -D_GNU_SOURCE -I. "${lua[@]}" \
			-Wall -Wextra -Wundef -Wstrict-prototypes -Werror \
			-fsyntax-only -x c - 2>&1); then
		echo "ok $header"
	else
		printf '%s\nnot ok %s\n' "$messages" "$header"
	fi
}
if [ "${1:-}" = --one ]; then
	compiles "$2"
	exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A header that leans on what others include must be seen to fail.
self_test() {
	cat >"$work/leans.h" <<-'END'
		#ifndef KX_LEANS_H
		#define KX_LEANS_H
		uint64_t leans(size_t on_others);
		#endif
	END
	cat >"$work/unguarded.h" <<-'END'
		struct unguarded {
			int twice;
		};
	END
	compiles "$work/leans.h" | grep -q '^not ok' &&
		compiles "$work/unguarded.h" | grep -q '^not ok'
}

tests/tidy/files.sh . | grep '\.h$' |
	xargs -P "$(nproc)" -n 1 tests/tidy/headers.sh --one >"$work/results"
cat "$work/results"
. tests/runner/counts.sh
results "$work/results"
status=0
self_test || status=$?
result "$status" 'a header that leans on others is seen'
finish
