#!/bin/bash
# The tarball: complete, and good for build, test, install and uninstall on its own.
# "make distcheck" does all that from a copy that cannot be written to, so it also shows that tests
# write elsewhere. It builds without optimisation, and of the tests only some of each kind: those
# steps that are there for the tests run all of them.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
dir=build-test
. tests/runner/counts.sh

programs='tests/unit/base/base_test tests/unit/client/client_test tests/unit/gate/gate_test'
programs+=' tests/unit/meta/flow_test tests/unit/shard/shard_test tests/unit/store/store_sim_test'
status=0
make -s -C "$dir" -j"$(nproc)" distcheck check_PROGRAMS="$programs" TESTS="$programs" \
	AM_DISTCHECK_CONFIGURE_FLAGS="CFLAGS='-O0 -U_FORTIFY_SOURCE'" || status=$?
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
prefix=$(sed -n 's/^prefix=//p' "$dir/client/kalix.pc")

status=0
"$root$prefix/sbin/kalixd" --config "$root$prefix/share/doc/kalix/conf/kalix.conf" \
	>"$root/kalixd.out" 2>&1 || status=$?
[ "$status" -eq 2 ] && grep -q 'which directory' "$root/kalixd.out" && status=0
result "$status" 'the installed kalixd reads the installed kalix.conf'

# What was installed is enough for a program of somebody else's.
status=0
read -ra flags < <(PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$PWD/$root \
	pkg-config --cflags --libs kalix)
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror examples/c/calls.c "${flags[@]}" \
	-o "$root/calls" || status=$?
result "$status" 'the example of libkalix is built with what is installed'
# Nobody listens on port 1: it says so, and needs no file of the tree to do it.
status=0
LD_LIBRARY_PATH=$root$prefix/lib "$root/calls" 127.0.0.1:1 >"$root/calls.out" 2>&1 || status=$?
[ "$status" -eq 1 ] && grep -q UNAVAILABLE "$root/calls.out" && status=0
result "$status" 'and runs'
status=0
printf '%s\n' '#include <kalix.h>' 'int main() { kalix_options options = {};' \
	'return kalix_call(nullptr, "a/b", "c", nullptr, &options, nullptr); }' |
	clang++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only -x c++ "${flags[0]}" - || status=$?
result "$status" 'its header is C++, too'

finish
