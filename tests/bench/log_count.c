/* The log without a disk: nothing is written, and every write ends in the turn that follows.
 *
 *	log_count [DIRECTORY [TURNS]]   default: the working directory, 10000 turns of 42 records
 *
 * Says how many records went through. Under
 *
 *	valgrind --tool=callgrind --toggle-collect='bench_*' --dump-instr=no
 *
 * the instructions collected are those of reserving, appending (with the copy of the payload),
 * sealing (with the hash) and acknowledging, and nothing of io; divided by the records, the cost of
 * one. Segments are made in the directory as ever. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "tests/bench/io_instant.h"
#include "tests/bench/log_load.h"

enum { IN_FLIGHT = 16 };

int main(int argc, char **argv)
{
	struct io io = {0};
	struct load load;
	uint64_t turns = argc > 2 ? strtoull(argv[2], NULL, 10) : 10000;
	load_open(&load, argc > 1 ? argv[1] : ".", &io, IN_FLIGHT);
	io_run(&io);
	uint64_t begin_ns = clock_monotonic_ns();
	for (uint64_t turn = 0; turn < turns; turn++) {
		load_turn(&load);
		io_run(&io);
		load_release(&load);
	}
	uint64_t ns = clock_monotonic_ns() - begin_ns;
	while (io.count > 0)
		io_run(&io);
	printf("%" PRIu64 " records, %.0f ns each with segments made in between\n", load.durable,
	    (double)ns / (double)load.durable);
	load_close(&load);
	return 0;
}
