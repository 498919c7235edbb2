/* A small shop without a server: orders written through the real engine (log, table, RocksDB,
 * io_uring), so that the process can be killed at any moment and the directory be looked at
 * afterwards.
 *
 *   orders write DIR MILLISECONDS places orders as fast as they become durable; prints one line for
 *   each that is: "SHARD INDEX CENTS"; ends by itself after that time, with a clean close orders
 *   check DIR < LINES opens the directory again and proves that each order of the lines is there,
 *   and that in every shard count and sum are those of the orders in it
 *
 * An order is one entry of three changes: the order itself, the shard's count and the shard's sum.
 * Were one of them ever missing, the sums would not add up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/data_dir.h"
#include "storage/engine.h"
#include "storage/keys.h"

#define SHARDS         8
#define UNDER_WAY_MAX  64 /* orders per shard that wait for the disk */
#define BATCH_BYTES    256
#define CENTS_MAX      10000
#define KEY_ORDER      'o'
#define KEY_COUNT      'c'
#define KEY_SUM        's'
#define OPEN_WHY_BYTES 512
#define TERM_OF_ALL    1

struct shard {
	uint64_t proposed, count, sum; /* as of the last proposed entry */
	uint64_t cents[UNDER_WAY_MAX]; /* of entry index, at index % UNDER_WAY_MAX */
	uint8_t batch[UNDER_WAY_MAX][BATCH_BYTES];
	uint32_t batch_bytes[UNDER_WAY_MAX];
};

struct shop {
	struct fs *fs;
	struct io *io;
	struct data_dir *dir;
	struct engine *engine;
	struct random random;
	struct shard shard[SHARDS];
	bool print, closed;
	uint64_t acknowledged;
};

static void fail(const char *what, int error, const char *why)
{
	fprintf(stderr, "orders: %s: %s%s%s\n", what, error_text(error), why[0] ? ": " : "", why);
	exit(1);
}

static void key_of(uint8_t key[1 + 1 + 8], uint8_t kind, uint64_t number)
{
	key[0] = KEY_KIND_FIRST_FREE;
	key[1] = kind;
	store_u64be(key + 2, number);
}

static void put(struct writer *out, uint8_t kind, uint64_t number, uint64_t value)
{
	uint8_t key[10], data[8];
	key_of(key, kind, number);
	store_u64le(data, value);
	batch_put(out, slice_of(key, sizeof(key)), slice_of(data, sizeof(data)));
}

/* Log and table */

static void apply(struct shop *shop, uint32_t number, uint64_t index, struct slice batch)
{
	int error = engine_apply(shop->engine, number, index, TERM_OF_ALL, batch);
	if (error)
		fail("applying an order", error, "");
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct shop *shop = arg;
	for (size_t i = 0; i < count; i++) {
		struct shard *shard = &shop->shard[extents[i].group];
		for (uint64_t n = extents[i].first_index; n <= extents[i].last_index; n++) {
			size_t at = n % UNDER_WAY_MAX;
			apply(shop, extents[i].group, n,
			    slice_of(shard->batch[at], shard->batch_bytes[at]));
			if (shop->print)
				printf("%" PRIu32 " %" PRIu64 " %" PRIu64 "\n", extents[i].group, n,
				    shard->cents[at]);
			shop->acknowledged++;
		}
	}
	/* An acknowledgement counts when it has left the process. */
	fflush(stdout);
}

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	(void)arg;
	return engine_apply(engine, record->group, record->index, record->term, record->payload);
}

static void open_shop(struct shop *shop, const char *path)
{
	char why[OPEN_WHY_BYTES] = "";
	uint64_t seed, id[2];
	int error = random_seed_from_system(&seed);
	if (error)
		fail("a random seed", error, "");
	random_init(&shop->random, seed);
	id[0] = random_u64(&shop->random);
	id[1] = random_u64(&shop->random);
	error = io_new(&(struct io_options){0}, why, sizeof(why), &shop->io);
	if (error)
		fail("io_uring", error, why);
	error = fs_open_root(path, true, &shop->fs);
	if (error)
		fail(path, error, "");
	error = data_dir_open(shop->fs, 1, id, why, sizeof(why), &shop->dir);
	if (error)
		fail(path, error, why);
	char store[32];
	data_dir_store_path(shop->dir, 0, store, sizeof(store));
	struct engine_options options = {.fs = shop->fs,
	    .io = shop->io,
	    .root = path,
	    .dir = store,
	    .store_id = data_dir_store_id(shop->dir, 0),
	    .hash_seed = seed,
	    .replay_bytes_max = 8 << 20,
	    .replay = replay,
	    .durable = durable,
	    .arg = shop};
	struct engine_report report;
	error = engine_open(&options, why, sizeof(why), &shop->engine, &report);
	if (error)
		fail(path, error, why);
	fprintf(stderr,
	    "opened: %" PRIu64 " frames of log read, %" PRIu64 " entries replayed, %" PRIu64
	    " unacknowledged frames given up, %" PRIu64 " shards closed\n",
	    report.log.frames, report.replayed_entries, report.log.cut_frames_seen,
	    report.shards_closed);
}

static void closed(void *arg)
{
	struct shop *shop = arg;
	shop->closed = true;
}

static void turn(struct shop *shop)
{
	bool more = engine_turn(shop->engine);
	io_poll(shop->io, more ? 0 : (uint64_t)100 * 1000 * 1000);
	io_run(shop->io);
}

static void close_shop(struct shop *shop)
{
	engine_close(shop->engine, closed, shop);
	while (!shop->closed)
		turn(shop);
	engine_free(shop->engine);
	data_dir_close(shop->dir);
	fs_close_root(shop->fs);
	io_free(shop->io);
}

/* Reading */

static void loaded(struct engine_load *load, int result)
{
	if (result)
		fail("reading", result, "");
	load->done = NULL;
}

/* False where there is none. */
static bool get(struct shop *shop, uint32_t number, uint8_t kind, uint64_t n, uint64_t *ret_value)
{
	uint8_t key[10];
	key_of(key, kind, n);
	struct slice value;
	for (;;) {
		enum table_found found =
		    engine_get(shop->engine, number, slice_of(key, sizeof(key)), &value);
		if (found == TABLE_ABSENT)
			return false;
		if (found == TABLE_VALUE) {
			ASSERT(value.bytes == 8);
			*ret_value = load_u64le(value.data);
			return true;
		}
		struct engine_load load = {.done = loaded};
		engine_load(shop->engine, &load, number, slice_of(key, sizeof(key)));
		while (load.done)
			turn(shop);
	}
}

/* Commands */

static void propose(struct shop *shop, uint32_t number)
{
	struct shard *shard = &shop->shard[number];
	if (engine_reserve(shop->engine, number, BATCH_BYTES, 1) != 0)
		return;
	uint64_t index = shard->proposed + 1;
	size_t at = index % UNDER_WAY_MAX;
	shard->cents[at] = random_between(&shop->random, 1, CENTS_MAX);
	struct writer out = writer_of(shard->batch[at], BATCH_BYTES);
	batch_begin(&out);
	put(&out, KEY_ORDER, index, shard->cents[at]);
	put(&out, KEY_COUNT, 0, shard->count + 1);
	put(&out, KEY_SUM, 0, shard->sum + shard->cents[at]);
	shard->batch_bytes[at] = (uint32_t)(out.at - shard->batch[at]);
	engine_unreserve(shop->engine, BATCH_BYTES, 1);
	uint8_t *payload;
	engine_append(shop->engine, number, TERM_OF_ALL, index, shard->batch_bytes[at], &payload);
	memcpy(payload, shard->batch[at], shard->batch_bytes[at]);
	shard->proposed = index;
	shard->count++;
	shard->sum += shard->cents[at];
}

static int command_write(struct shop *shop, uint64_t duration_ms)
{
	for (uint32_t i = 0; i < SHARDS; i++) {
		struct shard *shard = &shop->shard[i];
		shard->proposed = engine_applied(shop->engine, i).index;
		(void)get(shop, i, KEY_COUNT, 0, &shard->count);
		(void)get(shop, i, KEY_SUM, 0, &shard->sum);
	}
	shop->print = true;
	uint64_t end = clock_monotonic_ns() + duration_ms * 1000 * 1000;
	while (clock_monotonic_ns() < end) {
		for (uint32_t i = 0; i < SHARDS; i++)
			while (shop->shard[i].proposed - engine_applied(shop->engine, i).index <
			       UNDER_WAY_MAX / 2) {
				uint64_t before = shop->shard[i].proposed;
				propose(shop, i);
				if (shop->shard[i].proposed == before)
					break;
			}
		turn(shop);
	}
	return 0;
}

static uint64_t check_shard(struct shop *shop, uint32_t number)
{
	uint64_t count = 0, sum = 0, orders = 0, cents = 0, value;
	bool any = get(shop, number, KEY_COUNT, 0, &count);
	if (get(shop, number, KEY_SUM, 0, &sum) != any)
		fail("a shard has a sum but no count, or the other way round", ERR_CORRUPT, "");
	uint8_t first[2] = {KEY_KIND_FIRST_FREE, KEY_ORDER};
	uint8_t end[2] = {KEY_KIND_FIRST_FREE, KEY_ORDER + 1};
	struct cursor *cursor;
	int error =
	    cursor_open(shop->engine, number, slice_of(first, 2), slice_of(end, 2), &cursor);
	struct slice key, data;
	while (!error && (error = cursor_next(cursor, &key, &data)) == 0) {
		value = load_u64le(data.data);
		orders++;
		cents += value;
	}
	if (error != ERR_NOT_FOUND)
		fail("walking the orders", error, "");
	cursor_close(cursor);
	if (orders != count || cents != sum) {
		fprintf(stderr,
		    "shard %" PRIu32 ": %" PRIu64 " orders of %" PRIu64
		    " cents, but the books say %" PRIu64 " of %" PRIu64 "\n",
		    number, orders, cents, count, sum);
		exit(1);
	}
	return orders;
}

static int command_check(struct shop *shop)
{
	uint64_t acknowledged = 0, missing = 0, found = 0;
	uint32_t number;
	uint64_t index, cents, value;
	while (scanf("%" SCNu32 " %" SCNu64 " %" SCNu64, &number, &index, &cents) == 3) {
		acknowledged++;
		if (number >= SHARDS || !get(shop, number, KEY_ORDER, index, &value) ||
		    value != cents) {
			fprintf(stderr, "order %" PRIu64 " of shard %" PRIu32 " is missing\n",
			    index, number);
			missing++;
		}
	}
	for (uint32_t i = 0; i < SHARDS; i++)
		found += check_shard(shop, i);
	printf("%" PRIu64 " orders were acknowledged, %" PRIu64 " are there, %" PRIu64
	       " acknowledged ones are missing; count and sum add up in all %d shards\n",
	    acknowledged, found, missing, SHARDS);
	return missing == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	static struct shop shop;
	if (argc == 4 && strcmp(argv[1], "write") == 0) {
		open_shop(&shop, argv[2]);
		command_write(&shop, strtoull(argv[3], NULL, 10));
	} else if (argc == 3 && strcmp(argv[1], "check") == 0) {
		open_shop(&shop, argv[2]);
		if (command_check(&shop) != 0)
			return 1;
	} else {
		fprintf(
		    stderr, "usage: orders write DIR MILLISECONDS | orders check DIR < LINES\n");
		return 2;
	}
	shop.print = false;
	close_shop(&shop);
	return 0;
}
