/* The log through the production ring: records and syncs a second, with 1, 4 and 16 frames in
 * flight.
 *
 *	log_bench [DIRECTORY [SECONDS]] default: the working directory, 2 seconds each
 *
 * A core appends as fast as it can, so frames are as large as what comes while others are under
 * way. The figures mean something for the directory's file system only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/limits.h"
#include "tests/bench/log_load.h"

enum { RECORDS_UNDER_WAY_MAX = 20000 };

static void drained(void *arg)
{
	*(bool *)arg = true;
}

static void measure(const char *directory, uint32_t in_flight, uint64_t run_ns)
{
	char why[256];
	struct io *io;
	struct load load;
	if (io_new(NULL, why, sizeof(why), &io) < 0) {
		fprintf(stderr, "log_bench: %s\n", why);
		exit(1);
	}
	load_open(&load, directory, io, in_flight);
	struct log_figures before = log_figures(load.log);
	uint64_t begin_ns = clock_monotonic_ns(), end_ns = begin_ns + run_ns;
	while (clock_monotonic_ns() < end_ns) {
		bool full = load.appended - load.durable >= RECORDS_UNDER_WAY_MAX ||
		            !log_has_room(load.log, LOAD_RECORD_BYTES_MAX, 1);
		if (!full)
			load_turn(&load);
		io_poll(io, full ? NS_PER_MS : 0);
		io_run(io);
		load_release(&load);
	}
	struct log_figures after = log_figures(load.log);
	double seconds = (double)(clock_monotonic_ns() - begin_ns) / (double)NS_PER_S;
	double syncs = (double)(after.syncs - before.syncs);
	double mib = (double)(after.frame_bytes - before.frame_bytes) / (double)MIB;
	printf("in flight %2" PRIu32 ": %8.0f records/s, %6.0f syncs/s, %4.0f records a sync, "
	       "%5.1f MiB/s\n",
	    in_flight, (double)load.durable / seconds, syncs / seconds,
	    (double)load.durable / syncs, mib / seconds);
	bool is_drained = false;
	log_drain(load.log, drained, &is_drained);
	while (!is_drained) {
		io_poll(io, NS_PER_MS);
		io_run(io);
	}
	load_close(&load);
	io_free(io);
}

int main(int argc, char **argv)
{
	static const uint32_t in_flight[] = {1, 4, 16};
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
	for (size_t i = 0; i < sizeof(in_flight) / sizeof(in_flight[0]); i++)
		measure(
		    argc > 1 ? argv[1] : ".", in_flight[i], (uint64_t)(seconds * (double)NS_PER_S));
	return 0;
}
