#!/bin/sh
# files.sh [TOP]: the files of the source tree, one a line, relative to its top: all but what git,
# the autotools and builds leave there.
cd "${1:-$(dirname "$0")/../..}" || exit 1
find . \( -name .git -o -path './build*' -o -path ./autom4te.cache -o -path './kalix-[0-9]*' \
	-o -path ./tests/tidy/samples \) -prune -o -type f -print |
	sed 's|^\./||' |
	grep -Ev '^(aclocal\.m4|configure~?|config\.h\.in~?|Makefile\.in|m4/\.gitkeep|\.git.*)$' |
	LC_ALL=C sort
