#!/bin/bash
# Builds the benchmarks as a release is built, and runs them one after the other in the build tree,
# whose disk is what they measure.
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree build
programs=(tests/bench/io_bench tests/bench/store_bench tests/bench/table_bench
	tests/bench/log_bench tests/bench/log_count tests/bench/group_bench
	tests/bench/value_bench tests/bench/script_bench tests/bench/handler_count
	tests/bench/peer_bench)
make -s -C build -j"$(nproc)" "${programs[@]}"

# What one record costs the log, one call its handler, in instructions: they are the same whatever
# else runs.
count_instructions() { # WHAT PROGRAM ARGUMENTS...; it says first how many there were
	local what=$1 program=$2 count instructions
	shift 2
	command -v valgrind >/dev/null || {
		echo 'no valgrind here: not counted'
		return
	}
	valgrind --tool=callgrind --toggle-collect='bench_*' --callgrind-out-file=/dev/null \
		"build/$program" "$@" >"$scratch/counted" 2>&1
	count=$(sed -n "s/^\([0-9]*\) ${what}s.*/\1/p" "$scratch/counted")
	instructions=$(sed -n 's/.*Collected : \([0-9]*\)$/\1/p' "$scratch/counted")
	echo "$((instructions / count)) instructions a $what"
}

scratch=$(mktemp -d "$PWD/build/bench.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
for program in "${programs[@]}"; do
	echo "== $program"
	mkdir "$scratch/work"
	case $program in
	*/table_bench | */value_bench | */script_bench | */peer_bench) "build/$program" ;;
	*/log_count | */group_bench)
		"build/$program" "$scratch/work"
		count_instructions record "$program" "$scratch/work" 2000
		;;
	*/handler_count)
		"build/$program" tests/bench/cart
		count_instructions call "$program" tests/bench/cart 5000 100
		;;
	*) "build/$program" "$scratch/work" ;;
	esac
	rm -rf "$scratch/work"
done

echo '== tests/bench/redis.sh'
if command -v redis-server >/dev/null; then
	tests/bench/redis.sh "$@"
else
	echo 'no redis-server here (package redis-server): not compared'
fi

echo '== tests/bench/cluster.sh'
tests/bench/cluster.sh "$@"
for script in failover grow idle; do
	echo "== tests/bench/$script.sh"
	"tests/bench/$script.sh"
done
