#!/bin/bash
# Builds the benchmarks as a release is built, and runs them one after the other in the build tree,
# whose disk is what they measure.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree build
programs=(tests/bench/io_bench tests/bench/store_bench tests/bench/table_bench
	tests/bench/log_bench tests/bench/log_count tests/bench/group_bench
	tests/bench/value_bench tests/bench/script_bench)
make -s -C build -j"$(nproc)" "${programs[@]}"

# What one record costs the log, in instructions: they are the same whatever else runs.
count_instructions() {
	local records instructions
	command -v valgrind >/dev/null || {
		echo 'no valgrind here: not counted'
		return
	}
	valgrind --tool=callgrind --toggle-collect='bench_*' --callgrind-out-file=/dev/null \
		"build/$1" "$scratch/work" 2000 >"$scratch/counted" 2>&1
	records=$(sed -n 's/^\([0-9]*\) records.*/\1/p' "$scratch/counted")
	instructions=$(sed -n 's/.*Collected : \([0-9]*\)$/\1/p' "$scratch/counted")
	echo "$((instructions / records)) instructions a record"
}

scratch=$(mktemp -d "$PWD/build/bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for program in "${programs[@]}"; do
	echo "== $program"
	mkdir "$scratch/work"
	case $program in
	*/table_bench | */value_bench | */script_bench) "build/$program" ;;
	*/log_count | */group_bench)
		"build/$program" "$scratch/work"
		count_instructions "$program"
		;;
	*) "build/$program" "$scratch/work" ;;
	esac
	rm -rf "$scratch/work"
done
