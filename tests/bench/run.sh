#!/bin/bash
# Builds the benchmarks as a release is built, and runs them one after the other in the build tree,
# whose disk is what they measure.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree build
programs=(tests/bench/io_bench tests/bench/store_bench tests/bench/table_bench)
make -s -C build -j"$(nproc)" "${programs[@]}"

scratch=$(mktemp -d "$PWD/build/bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for program in "${programs[@]}"; do
	echo "== $program"
	mkdir "$scratch/work"
	case $program in
	*/table_bench) "build/$program" ;;
	*) "build/$program" "$scratch/work" ;;
	esac
	rm -rf "$scratch/work"
done
