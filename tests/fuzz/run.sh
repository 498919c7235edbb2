#!/bin/bash
# run.sh [OUTDIR [SECONDS]]: builds the fuzz targets into OUTDIR where needed, and runs each for
# that long, or for a fixed number of inputs if those are done sooner. One line for each. README.md
# says what OUTDIR holds then.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-build-fuzz}
seconds=${2:-600}
runs_max=200000000
passed=0 failed=0
tests/fuzz/build.sh "$out"

export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
for target in tests/fuzz/*_fuzz.c; do
	name=$(basename "$target" _fuzz.c)
	mkdir -p "$out/learned/$name" "$out/findings/$name"
	corpus=("$out/learned/$name")
	[ -d "tests/fuzz/corpus/$name" ] && corpus+=("tests/fuzz/corpus/$name")
	log=$out/$name.log
	status=0
	"$out/${name}_fuzz" -max_total_time="$seconds" -runs="$runs_max" -max_len=4096 -timeout=20 \
		-rss_limit_mb=1024 -artifact_prefix="$out/findings/$name/" "${corpus[@]}" \
		>"$log" 2>&1 || status=$?
	inputs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
	# A target that ran nothing has shown nothing.
	if [ "$status" -eq 0 ] && [ "${inputs:-0}" -gt 0 ]; then
		echo "ok $name: $inputs inputs"
		passed=$((passed + 1))
	else
		tail -n 40 "$log"
		echo "not ok $name: exit status $status; findings are in $out/findings/$name"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
