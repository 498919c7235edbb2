/* What a checkpoint costs: store_write (files that are ingested), beside what it was chosen over
 * (a batch in key order and a flush that is waited for). Each into a database that holds
 * `BASE_KEYS` already, so that keys overlap as they do in use.
 *
 *   store_bench DIRECTORY     an empty one, on the disk that is to be measured
 *
 * us/key is time on the calling thread; cpu us/key is of the whole process, RocksDB's threads
 * included, until compactions are done.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "storage/store.h"

enum {
	BASE_KEYS = 300000,
	KEY_BYTES = 24,
	VALUE_BYTES = 160,
	ROUNDS_MAX = 20,
};

static const uint32_t SIZES[] = {10, 100, 1000, 10000, 100000};

/* Sorted keys of 128 shards, drawn anew for each round. */
struct keys {
	uint8_t (*key)[KEY_BYTES];
	uint32_t count;
};

static uint64_t state = 1;

static uint64_t draw(void)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return state ^ state >> 31;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, KEY_BYTES);
}

static void put_key(uint8_t *key, uint64_t number)
{
	memset(key, 0, 5);
	key[3] = (uint8_t)(number % 128);
	key[4] = 16;
	snprintf((char *)key + 5, KEY_BYTES - 5, "cart:%013u", (unsigned)number);
}

static void draw_keys(struct keys *keys, uint32_t count, uint64_t space)
{
	keys->key = malloc((size_t)count * KEY_BYTES);
	keys->count = 0;
	for (uint32_t i = 0; i < count; i++)
		put_key(keys->key[i], space == count ? i : draw() % space);
	qsort(keys->key, count, KEY_BYTES, compare);
	for (uint32_t i = 0; i < count; i++)
		if (i == 0 || memcmp(keys->key[keys->count - 1], keys->key[i], KEY_BYTES) != 0)
			memmove(keys->key[keys->count++], keys->key[i], KEY_BYTES);
}

/* As an entity's state looks: names of fields that repeat, values that do not. */
static struct slice make_value(uint8_t value[VALUE_BYTES])
{
	int bytes = snprintf((char *)value, VALUE_BYTES,
	    "owner=user-%08llx items=[sku-%06llu x%llu, sku-%06llu x%llu] total=%llu state=open ",
	    (unsigned long long)draw() & 0xffffffff, (unsigned long long)draw() % 1000000,
	    (unsigned long long)draw() % 9, (unsigned long long)draw() % 1000000,
	    (unsigned long long)draw() % 9, (unsigned long long)draw() % 100000);
	for (int i = bytes; i < VALUE_BYTES; i++)
		value[i] = (uint8_t)draw();
	return slice_of(value, VALUE_BYTES);
}

struct source {
	struct store_source source;
	const struct keys *keys;
	uint32_t next;
	uint8_t value[VALUE_BYTES];
};

static bool source_next(struct store_source *base, struct store_change *ret_change)
{
	struct source *source = (struct source *)(void *)base;
	if (source->next == source->keys->count)
		return false;
	*ret_change =
	    (struct store_change){.key = slice_of(source->keys->key[source->next++], KEY_BYTES),
	        .value = make_value(source->value)};
	return true;
}

static double cpu_us(void)
{
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

/* ---- The two ways ---- */

struct way {
	const char *name;
	void (*open)(const char *root, struct fs *fs);
	void (*write)(const struct keys *keys);
	void (*settle)(void);
	void (*close)(void);
};

static struct store *store;
static rocksdb_t *db;
static rocksdb_options_t *options;

static void fail(const char *what)
{
	fprintf(stderr, "store_bench: %s\n", what);
	exit(1);
}

static void store_way_open(const char *root, struct fs *fs)
{
	struct store_options with = {
	    .fs = fs, .root = root, .dir = "ingest", .block_cache_bytes = 64 << 20};
	char why[STORE_WHY_BYTES];
	if (fs_make_dir(fs, "ingest") < 0 || store_open(&with, why, sizeof(why), &store) < 0)
		fail(why);
}

static void store_way_write(const struct keys *keys)
{
	struct source source = {.source = {.next = source_next}, .keys = keys};
	if (store_write(store, &source.source) < 0)
		fail("store_write failed");
}

static void store_way_settle(void)
{
	do {
		usleep(20000);
		store_check(store);
	} while (store_figures(store).compaction_bytes_pending > 0);
}

static void store_way_close(void)
{
	store_close(store);
}

static void batch_way_open(const char *root, struct fs *fs)
{
	char path[1024];
	char *error = NULL;
	(void)fs;
	snprintf(path, sizeof(path), "%s/batch", root);
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
	rocksdb_block_based_options_set_block_size(table, 8 << 10);
	rocksdb_block_based_options_set_block_cache(table, rocksdb_cache_create_lru(64 << 20));
	rocksdb_block_based_options_set_filter_policy(
	    table, rocksdb_filterpolicy_create_bloom_full(10));
	options = rocksdb_options_create();
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_compression(options, rocksdb_lz4_compression);
	rocksdb_options_set_max_background_jobs(options, 2);
	rocksdb_options_set_write_buffer_size(options, 256 << 20);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	db = rocksdb_open(options, path, &error);
	if (error != NULL)
		fail(error);
}

static void batch_way_write(const struct keys *keys)
{
	char *error = NULL;
	rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
	uint8_t value[VALUE_BYTES];
	for (uint32_t i = 0; i < keys->count; i++) {
		struct slice with = make_value(value);
		rocksdb_writebatch_put(batch, (const char *)keys->key[i], KEY_BYTES,
		    (const char *)with.data, with.bytes);
	}
	rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(how, 1);
	rocksdb_write(db, how, batch, &error);
	rocksdb_writeoptions_destroy(how);
	rocksdb_writebatch_destroy(batch);
	if (error != NULL)
		fail(error);
	rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(flush, 1);
	rocksdb_flush(db, flush, &error);
	rocksdb_flushoptions_destroy(flush);
	if (error != NULL)
		fail(error);
}

static void batch_way_settle(void)
{
	uint64_t pending;
	do {
		usleep(20000);
		pending = 0;
		rocksdb_property_int(db, "rocksdb.estimate-pending-compaction-bytes", &pending);
	} while (pending > 0);
}

static void batch_way_close(void)
{
	rocksdb_close(db);
}

static const struct way WAYS[] = {
    {"ingest", store_way_open, store_way_write, store_way_settle, store_way_close},
    {"batch + flush", batch_way_open, batch_way_write, batch_way_settle, batch_way_close},
};

static void measure(const struct way *way, uint32_t size)
{
	uint32_t rounds = size >= 10000 ? 5 : ROUNDS_MAX;
	uint64_t best_ns = UINT64_MAX;
	uint64_t total_ns = 0;
	uint64_t written = 0;
	way->settle();
	double cpu = cpu_us();
	for (uint32_t round = 0; round < rounds; round++) {
		struct keys keys;
		draw_keys(&keys, size, BASE_KEYS);
		double cpu_before = cpu_us();
		uint64_t begin = clock_monotonic_ns();
		way->write(&keys);
		uint64_t took = clock_monotonic_ns() - begin;
		(void)cpu_before;
		total_ns += took;
		best_ns = took < best_ns ? took : best_ns;
		written += keys.count;
		free(keys.key);
	}
	way->settle();
	cpu = cpu_us() - cpu;
	printf("%-14s %8u %10.2f %10.2f %10.2f %10.2f\n", way->name, size,
	    (double)total_ns / rounds / 1e6, (double)best_ns / 1e6,
	    (double)total_ns / 1e3 / (double)written, cpu / (double)written);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct fs *fs;
	if (argc != 2 || fs_open_root(argv[1], true, &fs) < 0)
		fail("usage: store_bench DIRECTORY");
	printf("%-14s %8s %10s %10s %10s %10s\n", "way", "keys", "ms", "best ms", "us/key",
	    "cpu us/key");
	for (size_t i = 0; i < sizeof(WAYS) / sizeof(WAYS[0]); i++) {
		const struct way *way = &WAYS[i];
		struct keys keys;
		way->open(argv[1], fs);
		draw_keys(&keys, BASE_KEYS, BASE_KEYS);
		way->write(&keys);
		free(keys.key);
		for (size_t size = 0; size < sizeof(SIZES) / sizeof(SIZES[0]); size++)
			measure(way, SIZES[size]);
		way->close();
	}
	fs_close_root(fs);
	return 0;
}
