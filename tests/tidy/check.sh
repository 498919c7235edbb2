#!/bin/bash
# check.sh: the house rules, checked from the sources; then the checker is run over bad samples and
# must find exactly what is wrong with them. check.sh --findings TOP only prints the findings.
set -euo pipefail
export LC_ALL=C.UTF-8
tidy=$(cd "$(dirname "$0")" && pwd)

classes=(arrows calls columns docs exceptions file-length format function-length guards
	listed readmes scripts whitespace words)

# Prints "CLASS PATH:LINE: what" for everything wrong in the tree below the working directory.
all_findings() {
	local tables=$1 files sources scripts texts
	files=$(mktemp)
	"$tidy/files.sh" . >"$files"
	mapfile -t sources < <(grep -E '\.[ch]$' "$files")
	mapfile -t texts < <(grep -E \
		'(\.(c|h|sh|awk|am|ac|md|txt|lua|conf|py|[1-8])|^run|^\.ci/run)$' "$files")
	mapfile -t scripts < <(grep -E '(\.sh|^run|^\.ci/run)$' "$files")

	awk -f "$tidy/source.awk" -v layers="$tables/layers.txt" \
		-v banned="$tables/banned.txt" "${sources[@]}"
	# Bytes are looked at, not characters: mawk has no others.
	awk -f "$tidy/text.awk" "${texts[@]}"
	find_unformatted "${sources[@]}"
	find_unlisted "${sources[@]}"
	find_missing_readmes "${sources[@]}"
	find_in_docs
	[ ${#scripts[@]} -eq 0 ] || find_in_scripts "${scripts[@]}"
	rm "$files"
}

find_unformatted() {
	# Each writes its findings at once: what two wrote piece by piece would stand in one line.
	# shellcheck disable=SC2016
	printf '%s\n' "$@" |
		xargs -P "$(nproc)" -n 8 sh -c '
			clang-format --dry-run --style=file "$@" 2>&1 |
				sed -n "s/^\([^: ]*:[0-9]*\):.*should be clang-formatted.*/\1/p"
		' clang-format |
		sort -u | sed 's/^/format /; s/$/: run clang-format -i on it/'
}

find_unlisted() {
	local listed source
	listed=" $(find . -path './build*' -prune -o \
		\( -name module.am -o -name Makefile.am \) -exec cat {} + | tr '\n\t\134' '   ') "
	for source in "$@"; do
		[[ $listed == *" $source "* ]] ||
			echo "listed $source:1: no module.am lists it, so no tarball has it"
	done
}

# The folders of unit tests differ by what they test only: one text above them tells all.
find_missing_readmes() {
	local folder
	printf '%s\n' "$@" | sed -n 's|/[^/]*\.c$||p' | sed 's|^tests/unit/.*|tests/unit|' |
		sort -u | while read -r folder; do
		[ -f "$folder/README.md" ] || echo "readmes $folder/README.md:1: missing"
	done
}

# Links lead somewhere, and tests that a text calls as a witness exist.
find_in_docs() {
	local text number link name
	grep '\.md$' "$files" | xargs grep -noE '\]\([^)]+\)' /dev/null |
		while IFS=: read -r text number link; do
			link=${link#*(}
			link=${link%)}
			link=${link%%#*}
			[[ $link == *://* ]] || [ -e "$(dirname "$text")/$link" ] ||
				echo "docs $text:$number: leads nowhere: $link"
		done
	[ -f docs/failure-semantics.md ] || return 0
	# shellcheck disable=SC2016
	grep -noE '`[a-z0-9]+(_[a-z0-9]+){2,}`' docs/failure-semantics.md | tr -d '`' |
		while IFS=: read -r number name; do
			grep -rqF "START_TEST($name)" tests/unit ||
				echo "docs docs/failure-semantics.md:$number: no such test: $name"
		done
}

find_in_scripts() {
	{ shellcheck -f gcc "$@" || true; } | sed 's/^/scripts /; s/^\([^:]*:[0-9]*\):[0-9]*/\1/'
}

# Takes away what a line of exceptions.txt excuses; such a line must excuse something.
without_exceptions() {
	awk -v file="$1" '
		BEGIN {
			while ((getline line < file) > 0) {
				number++
				if (line ~ /^[ \t]*(#|$)/)
					continue
				split(line, word, /[ \t]+/)
				excused[word[1] " " word[2]] = number
			}
		}
		{
			key = $2
			sub(/:[0-9]+:$/, "", key)
			key = $1 " " key
			if (key in excused)
				used[key] = 1
			else
				print
		}
		END {
			for (key in excused)
				if (!(key in used))
					printf "exceptions %s:%d: excuses nothing: %s\n",
					       "tests/tidy/exceptions.txt", excused[key], key
		}'
}

# The samples are a small tree of files with one fault each, and of files that only look faulty.
# Long ones are made here. The samples bring tables of their own, so that ours can change freely.
self_test() {
	local work status=0
	work=$(mktemp -d)
	cp -R "$tidy/samples/." "$work"
	cp "$tidy/../../.clang-format" "$work/"
	{
		echo '/* Too long. */'
		for _ in $(seq 700); do echo 'extern int declared_again;'; done
	} >"$work/base/long_file.c"
	{
		printf 'int long_function(int x)\n{\n'
		for _ in $(seq 101); do printf '\tx++;\n'; done
		printf '\treturn x;\n}\n'
	} >"$work/base/long_function.c"
	(cd "$work" && all_findings "$work" | without_exceptions exceptions.txt) |
		sed "s|$work/||; s/^\([a-z-]* [^:]*:[0-9]*\):.*/\1/" | sort >"$work/found"
	grep -v '^#' "$work/expected.txt" | sort >"$work/wanted"
	if ! diff "$work/wanted" "$work/found"; then
		echo 'that is not what is wrong with tests/tidy/samples (< missed, > invented)'
		status=1
	fi
	for class in "${classes[@]}"; do
		if ! grep -q "^$class " "$work/wanted"; then
			echo "tests/tidy/samples has no sample of '$class'"
			status=1
		fi
	done
	rm -rf "$work"
	return $status
}

if [ "${1:-}" = --findings ]; then
	cd "$2"
	all_findings tests/tidy | without_exceptions tests/tidy/exceptions.txt
	exit
fi

cd "$tidy/../.."
findings=$(mktemp)
trap 'rm -f "$findings"' EXIT
all_findings tests/tidy | without_exceptions tests/tidy/exceptions.txt >"$findings"
. tests/runner/counts.sh
for class in "${classes[@]}"; do
	status=0
	if grep "^$class " "$findings" | sed 's/^[^ ]* /    /' | grep .; then
		status=1
	fi
	result "$status" "$class"
done
status=0
self_test || status=$?
result "$status" 'the samples: every fault is found, and nothing else'
finish
