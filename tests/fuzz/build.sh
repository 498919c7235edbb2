#!/bin/bash
# build.sh OUTDIR: compiles every tests/fuzz/*_fuzz.c with clang, libFuzzer, AddressSanitizer and
# UBSan into OUTDIR, unless it is there and newer than all sources. README.md says how a target
# names what it needs. What several targets are made of is compiled once.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:?usage: build.sh OUTDIR}
mkdir -p "$out/objects"

read -ra lua < <(pkg-config --cflags lua5.4)
sanitizers=address,undefined
compile=(clang -std=gnu11 -D_GNU_SOURCE -I. "${lua[@]}" -gline-tables-only -O1
	-fno-omit-frame-pointer -Wall -Wextra -Werror -fno-sanitize-recover=all)

object_of() {
	local name=${1%.c}
	printf '%s\n' "$out/objects/${name//\//-}.o"
}

if [ "${2:-}" = --one ]; then
	object=$(object_of "$3")
	"${compile[@]}" -fsanitize=fuzzer-no-link,$sanitizers -c "$3" -o "$object.new"
	mv "$object.new" "$object"
	exit
fi

# newer_than FILE: some source is, or FILE is not there.
newer_than() {
	[ -e "$1" ] || return 0
	find . -path './build*' -prune -o -name '*.[ch]' -newer "$1" -print -quit | grep -q .
}

# words KEY FILE: what stands behind "// KEY:" at the head of a target.
words() {
	sed -n "s|^// $1:||p" "$2" | tr '\n' ' '
}

# objects_of TARGET: sets `objects`.
objects_of() {
	local source sources
	read -ra sources <<<"$(words sources "$1")"
	objects=()
	for source in "$1" "${sources[@]}"; do
		objects+=("$(object_of "$source")")
	done
}

link() {
	local target=$1 program=$2 libraries objects
	read -ra libraries <<<"$(words libraries "$target")"
	objects_of "$target"
	"${compile[@]}" -fsanitize=fuzzer,$sanitizers "${objects[@]}" -o "$program" \
		"$out/libbase.a" "${libraries[@]}"
}

for target in tests/fuzz/*_fuzz.c; do
	printf '%s\n' "$target" base/*.c
	words sources "$target" | tr ' ' '\n'
done | grep . | sort -u | while read -r source; do
	if newer_than "$(object_of "$source")"; then
		printf '%s\n' "$source"
	fi
done | xargs -r -P "$(nproc)" -n 1 tests/fuzz/build.sh "$out" --one

# What all targets stand on; each takes from it only what it needs.
base=()
for source in base/*.c; do
	base+=("$(object_of "$source")")
done
rm -f "$out/libbase.a"
ar cr "$out/libbase.a" "${base[@]}"
for target in tests/fuzz/*_fuzz.c; do
	program=$out/$(basename "$target" .c)
	if newer_than "$program"; then
		link "$target" "$program"
	fi
done
