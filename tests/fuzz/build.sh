#!/bin/bash
# build.sh OUTDIR: compiles every tests/fuzz/*_fuzz.c with clang, libFuzzer, AddressSanitizer and
# UBSan into OUTDIR, unless it is there and newer than all sources. README.md says how a target
# names what it needs.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out"

compile=(clang -std=gnu11 -D_GNU_SOURCE -I. -g -O1 -fno-omit-frame-pointer
	-Wall -Wextra -Werror -fno-sanitize-recover=all)

# newer_than FILE: some source is, or FILE is not there.
newer_than() {
	[ -e "$1" ] || return 0
	find . -path './build*' -prune -o -name '*.[ch]' -newer "$1" -print -quit | grep -q .
}

# What all targets stand on; each takes from it only what it needs.
build_base() {
	local source objects=()
	for source in base/*.c; do
		objects+=("$out/base-$(basename "$source" .c).o")
		"${compile[@]}" -fsanitize=fuzzer-no-link,address,undefined \
			-c "$source" -o "${objects[-1]}"
	done
	rm -f "$out/libbase.a"
	ar cr "$out/libbase.a" "${objects[@]}"
}

# words KEY FILE: what stands behind "// KEY:" at the head of a target.
words() {
	sed -n "s|^// $1:||p" "$2"
}

build() {
	local target=$1 program=$2 sources libraries
	read -ra sources <<<"$(words sources "$target" | tr '\n' ' ')"
	read -ra libraries <<<"$(words libraries "$target" | tr '\n' ' ')"
	"${compile[@]}" -fsanitize=fuzzer,address,undefined "$target" "${sources[@]}" \
		-o "$program" "$out/libbase.a" "${libraries[@]}"
}

if newer_than "$out/libbase.a"; then
	build_base
fi
for target in tests/fuzz/*_fuzz.c; do
	program=$out/$(basename "$target" .c)
	if newer_than "$program"; then
		build "$target" "$program"
	fi
done
