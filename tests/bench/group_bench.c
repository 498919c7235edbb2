/* A store's groups of one member without a disk: what an entry costs from its reservation until it
 * is applied. Nothing is written to the log's files, and every write ends in the turn that follows;
 * the store is the real one.
 *
 *	group_bench [DIRECTORY [TURNS]]   default: the working directory, 2000 turns of 42 entries
 *
 * 42 groups, one entry of one change each a turn: 200 bytes under one of 64 keys. Under
 *
 *	valgrind --tool=callgrind --toggle-collect='bench_*'
 *
 * the instructions collected are those of reserving, proposing, sealing, acknowledging and
 * applying; divided by the entries, the cost of one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "replication/group.h"
#include "storage/batch.h"
#include "tests/bench/io_instant.h"

enum { GROUPS = 42, KEYS = 64, VALUE_BYTES = 200, BATCH_BYTES = 300, WARM_TURNS = 50 };

/* ---- The load ---- */

static struct group_store *store;
static struct group *groups[GROUPS];
static uint64_t applied_count;

static void leading(void *arg, uint64_t term)
{
	(void)arg, (void)term;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void applied(void *arg, const struct group_entry *entry)
{
	(void)arg, (void)entry;
	applied_count++;
}

static void confirmed(void *arg, uint64_t round)
{
	(void)arg, (void)round;
}

static const struct group_events events = {.leading = leading,
    .lost = nothing,
    .applied = applied,
    .confirmed = confirmed,
    .room = nothing,
    .closed = nothing};

static void must(int error, const char *what)
{
	if (!error)
		return;
	fprintf(stderr, "%s: %s\n", what, error_text(error));
	exit(1);
}

static void open_store(struct io *io, const char *directory)
{
	char why[512] = "";
	struct fs *fs;
	struct engine_report report;
	must(fs_open_root(directory, true, &fs), directory);
	struct group_store_options options = {
	    .engine = {.fs = fs, .io = io, .root = directory, .dir = "group-bench", .store_id = 7}};
	must(group_store_open(&options, why, sizeof(why), &store, &report), why);
	for (uint32_t i = 0; i < GROUPS; i++) {
		must(group_add(store, i + 1, &events, NULL, &groups[i]), "a group");
		group_start(groups[i]);
	}
}

static struct slice make_batch(uint8_t *span, uint64_t number)
{
	uint8_t key[24], value[VALUE_BYTES];
	memset(key, 'k', sizeof(key));
	memset(value, (int)number, sizeof(value));
	key[0] = KEY_KIND_FIRST_FREE;
	key[1] = (uint8_t)(number % KEYS);
	struct writer out = writer_of(span, BATCH_BYTES);
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)));
	return writer_view(&out);
}

__attribute__((noinline)) static bool bench_propose(struct group *group, struct slice batch)
{
	struct group_position at;
	if (group_reserve(group, batch.bytes, 1, false))
		return false;
	group_unreserve(group, batch.bytes, 1);
	group_propose(group, batch, &at);
	return true;
}

__attribute__((noinline)) static void bench_turn(void)
{
	(void)group_store_turn(store);
}

static uint64_t turn(struct io *io, uint64_t number)
{
	uint8_t span[BATCH_BYTES];
	uint64_t refused = 0;
	for (uint32_t i = 0; i < GROUPS; i++)
		refused += !bench_propose(groups[i], make_batch(span, number));
	bench_turn();
	(void)io_run(io);
	return refused;
}

int main(int argc, char **argv)
{
	struct io io = {0};
	uint64_t turns = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000;
	open_store(&io, argc > 1 ? argv[1] : ".");
	for (unsigned i = 0; i < WARM_TURNS; i++) {
		(void)group_store_turn(store);
		(void)io_run(&io);
	}
	uint64_t before = applied_count, refused = 0;
	uint64_t begin_ns = clock_monotonic_ns();
	for (uint64_t i = 0; i < turns; i++)
		refused += turn(&io, i);
	uint64_t ns = clock_monotonic_ns() - begin_ns;
	uint64_t entries = applied_count - before;
	printf("%" PRIu64 " records, %.0f ns each, %" PRIu64 " refused, %" PRIu64 " checkpoints\n",
	    entries, (double)ns / (double)(entries ? entries : 1), refused,
	    engine_figures(group_store_engine(store)).checkpoints);
	return entries > 0 ? 0 : 1;
}
