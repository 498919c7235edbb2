#!/bin/bash
# programs.sh TREE [PREFIX]: builds the unit test programs in that tree (test, asan, tsan) and runs
# them all, or those whose path begins with PREFIX; sums their closing lines. All programs of the
# tests are built by it in the tree test, where warnings are errors, if no PREFIX is given.
set -euo pipefail
cd "$(dirname "$0")/../.."
tree=$1 prefix=${2:-tests/unit/}
./run tree "$tree"
dir=$PWD/build-$tree
# As automake's tests have it: where the sources stand.
export srcdir=$PWD
programs=()
for program in $(make -s -C "$dir" print-check-programs); do
	[[ $program != "$prefix"* ]] || programs+=("$program")
done
if [ ${#programs[@]} -eq 0 ]; then
	echo "no unit test program begins with '$prefix'"
	exit 1
fi
wanted=("${programs[@]}")
[ "$tree" != test ] || [ $# -gt 1 ] || wanted=(check-programs)
flock "$dir" make -s -C "$dir" -j"$(nproc)" "${wanted[@]}"

launch=()
case $tree in
asan)
	# Tests ask for more memory than there is, and expect to be told.
	# (No detect_stack_use_after_return: gcc 12 aligns its fake frames to 32 bytes only.)
	export ASAN_OPTIONS=allocator_may_return_null=1
	export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	;;
tsan)
	export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
	# gcc 12's TSan does not start where the kernel spreads mappings over 32 bits.
	if setarch -R true 2>/dev/null; then
		launch=(setarch -R)
	fi
	;;
esac

# Each program gets an empty directory, on the disk of the build tree: a memory file system would
# not do for tests of direct I/O and of sync.
scratch=$(mktemp -d "$dir/scratch.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
. tests/runner/counts.sh
for program in "${programs[@]}"; do
	echo "== $program"
	status=0
	mkdir "$scratch/work"
	(cd "$scratch/work" && TMPDIR=$PWD "${launch[@]}" "$dir/$program") >"$scratch/log" 2>&1 ||
		status=$?
	rm -rf "$scratch/work"
	cat "$scratch/log"
	closing_line "$status" "$scratch/log"
	[ -z "$why" ] || echo "$program: $why"
done
finish
