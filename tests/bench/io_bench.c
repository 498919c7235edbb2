/* Synced appends through base/io: 4 KiB over zeroed, allocated space, past the page cache, with
 * 1, 4 and 16 writes in flight.
 *
 *     io_bench [DIRECTORY [SECONDS]] default: the working directory, 2 seconds a depth
 *
 * A depth of one is what the device and the kernel take for one write and one sync; more in
 * flight shows what overlapping gains. The figures mean something for the directory's file system
 * only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"

enum {
	BLOCK_BYTES = 4096,
	ZERO_BYTES = 1 << 20,
	FILE_BYTES = 128 << 20,
	DEPTH_MAX = 16,
	LATENCIES_MAX = 4 << 20,
};

static const char FILE_NAME[] = "io-bench.tmp";

struct slot {
	struct io_op op;
	uint64_t begun_ns;
};

struct run {
	struct io *io;
	struct fs_file *file;
	uint8_t *block;
	uint64_t offset;
	uint64_t end_ns;
	unsigned in_flight;
	size_t count;
	uint64_t *latencies_ns;
};

static struct run run;

static void fail(const char *what, int error)
{
	fprintf(stderr, "io_bench: %s: %s\n", what, error_text(error));
	exit(1);
}

static void append(struct slot *slot)
{
	slot->begun_ns = clock_monotonic_ns();
	io_write_durable(run.io, &slot->op, run.file, run.block, BLOCK_BYTES, run.offset);
	run.offset = (run.offset + BLOCK_BYTES) % FILE_BYTES;
	run.in_flight++;
}

static void appended(struct io_op *op)
{
	struct slot *slot = (struct slot *)op;
	uint64_t now_ns = clock_monotonic_ns();
	if (op->result < 0)
		fail("write", (int)op->result);
	run.in_flight--;
	if (run.count < LATENCIES_MAX)
		run.latencies_ns[run.count] = now_ns - slot->begun_ns;
	run.count++;
	if (now_ns < run.end_ns)
		append(slot);
}

static int compare(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a;
	uint64_t second = *(const uint64_t *)b;
	return (first > second) - (first < second);
}

static void measure(unsigned depth, uint64_t run_ns)
{
	struct slot slots[DEPTH_MAX];
	uint64_t begin_ns = clock_monotonic_ns();
	memset(slots, 0, sizeof(slots));
	run.count = 0;
	run.end_ns = begin_ns + run_ns;
	for (unsigned i = 0; i < depth; i++) {
		slots[i].op.done = appended;
		append(&slots[i]);
	}
	while (run.in_flight > 0) {
		io_poll(run.io, UINT64_MAX);
		io_run(run.io);
	}
	double seconds = (double)(clock_monotonic_ns() - begin_ns) / (double)NS_PER_S;
	size_t known = run.count < LATENCIES_MAX ? run.count : LATENCIES_MAX;
	qsort(run.latencies_ns, known, sizeof(run.latencies_ns[0]), compare);
	printf("depth %2u: %8.0f synced appends/s, p50 %" PRIu64 " us, p99 %" PRIu64 " us\n", depth,
	    (double)run.count / seconds, (uint64_t)(run.latencies_ns[known / 2] / NS_PER_US),
	    (uint64_t)(run.latencies_ns[known * 99 / 100] / NS_PER_US));
}

static void make_file(struct fs *fs)
{
	void *zeros = fs_buffer_alloc(ZERO_BYTES);
	if (zeros == NULL)
		fail("memory", ERR_NOMEM);
	memset(zeros, 0, ZERO_BYTES);
	int error = fs_open(fs, FILE_NAME, FS_READ | FS_WRITE | FS_CREATE | FS_DIRECT, &run.file);
	if (error == 0)
		error = fs_allocate(run.file, 0, FILE_BYTES);
	for (uint64_t offset = 0; error == 0 && offset < FILE_BYTES; offset += ZERO_BYTES)
		error = fs_write(run.file, offset, zeros, ZERO_BYTES);
	if (error == 0)
		error = fs_sync(run.file);
	if (error < 0)
		fail(FILE_NAME, error);
	fs_buffer_free(zeros);
}

int main(int argc, char **argv)
{
	const char *directory = argc > 1 ? argv[1] : ".";
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
	struct fs *fs;
	char why[256];
	int error = fs_open_root(directory, false, &fs);
	if (error < 0)
		fail(directory, error);
	if (io_new(NULL, why, sizeof(why), &run.io) < 0) {
		fprintf(stderr, "io_bench: %s\n", why);
		return 1;
	}
	run.block = fs_buffer_alloc(BLOCK_BYTES);
	run.latencies_ns = malloc(LATENCIES_MAX * sizeof(run.latencies_ns[0]));
	if (run.block == NULL || run.latencies_ns == NULL)
		fail("memory", ERR_NOMEM);
	memset(run.block, 'x', BLOCK_BYTES);
	make_file(fs);
	static const unsigned depths[] = {1, 4, DEPTH_MAX};
	for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++)
		measure(depths[i], (uint64_t)(seconds * (double)NS_PER_S));
	fs_close(run.file);
	error = fs_unlink(fs, FILE_NAME);
	io_free(run.io);
	fs_close_root(fs);
	fs_buffer_free(run.block);
	free(run.latencies_ns);
	return error == 0 ? 0 : 1;
}
