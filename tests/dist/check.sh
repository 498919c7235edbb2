#!/bin/bash
# The tarball: complete, and good for build, test, install and uninstall on its own.
# "make distcheck" does all that from a copy that cannot be written to, so it also shows that tests
# write elsewhere.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
dir=build-test
. tests/runner/counts.sh

status=0
make -s -C "$dir" -j"$(nproc)" distcheck AM_DISTCHECK_CONFIGURE_FLAGS="CFLAGS='-O1'" || status=$?
result "$status" 'make distcheck'

status=1
tarball=$(echo "$dir"/kalix-*.tar.xz)
if [ -f "$tarball" ]; then
	status=0
	tar -tf "$tarball" | sed -n 's|^[^/]*/||p' | sort >"$dir/dist-has"
	tests/tidy/files.sh . | sort >"$dir/dist-wanted"
	while read -r file; do
		echo "$file is not in the tarball: EXTRA_DIST of its folder's module.am wants it"
		status=1
	done < <(comm -13 "$dir/dist-has" "$dir/dist-wanted")
	rm -f "$tarball" "$dir/dist-has" "$dir/dist-wanted"
fi
result "$status" 'every file of the tree is in the tarball'

root=$(mktemp -d "$dir/install.XXXXXX")
trap 'rm -rf "$root"' EXIT
status=0
make -s -C "$dir" install DESTDIR="$PWD/$root" || status=$?
(cd "$root" && find . -type f -o -type l)
result "$status" 'make install'

finish
