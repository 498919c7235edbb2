/* What the table costs for each call: time over many keys, and instructions under callgrind.
 *
 *	table_bench                    times
 *	table_bench count apply N      N calls of one kind and nothing else measured, for
 *	table_bench count get N        valgrind --tool=callgrind --toggle-collect='bench_*'
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "storage/batch.h"
#include "storage/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 500000, SHARDS = 128, VALUE_BYTES = 200 };

static struct table *table;
static uint64_t indexes[SHARDS];
static struct random numbers;

static struct slice key_of(uint64_t number, char text[32])
{
	return slice_of(text, (size_t)snprintf(text, 32,
	                          "\x20"
	                          "cart/customer-%llu",
	                          (unsigned long long)number));
}

static void write_put(struct writer *out, uint64_t number)
{
	char text[32];
	uint8_t value[VALUE_BYTES];
	random_bytes(&numbers, value, sizeof(value));
	batch_begin(out);
	batch_put(out, key_of(number, text), slice_of(value, sizeof(value)));
}

__attribute__((noinline)) static void bench_apply(uint32_t shard, struct slice batch)
{
	if (table_apply(table, shard, ++indexes[shard], 1, batch))
		abort();
}

__attribute__((noinline)) static void bench_get(uint32_t shard, struct slice key)
{
	struct slice value;
	if (table_get(table, shard, key, &value) != TABLE_VALUE)
		abort();
}

static void apply(uint64_t number)
{
	uint8_t span[512];
	struct writer out = writer_of(span, sizeof(span));
	write_put(&out, number);
	bench_apply((uint32_t)(number % SHARDS), writer_view(&out));
}

static void get(uint64_t number)
{
	char text[32];
	bench_get((uint32_t)(number % SHARDS), key_of(number, text));
}

static void setup(void)
{
	random_init(&numbers, 1);
	struct table_options options = {.clean_bytes_max = UINT64_C(1) << 40, .hash_seed = 1};
	if (table_new(&options, &table))
		abort();
	for (uint32_t i = 0; i < SHARDS; i++) {
		if (table_shard_add(table, i, (struct table_shard){0}))
			abort();
	}
}

static void line(const char *what, uint64_t begin_ns, uint64_t count)
{
	uint64_t ns = clock_monotonic_ns() - begin_ns;
	printf("%-40s %8.0f ns each\n", what, (double)ns / (double)count);
}

static void times(void)
{
	uint64_t begin = clock_monotonic_ns();
	for (uint64_t i = 0; i < KEYS; i++)
		apply(i);
	line("apply, new key", begin, KEYS);
	begin = clock_monotonic_ns();
	for (uint64_t i = 0; i < KEYS; i++)
		apply(random_below(&numbers, KEYS));
	line("apply, dirty key", begin, KEYS);
	begin = clock_monotonic_ns();
	for (uint64_t i = 0; i < KEYS; i++)
		get(random_below(&numbers, KEYS));
	line("get, dirty key", begin, KEYS);
	begin = clock_monotonic_ns();
	table_freeze(table);
	line("freeze (all)", begin, 1);
	begin = clock_monotonic_ns();
	if (table_frozen_sort(table))
		abort();
	line("sort", begin, KEYS);
	begin = clock_monotonic_ns();
	table_thaw_begin(table);
	while (table_thaw(table, 256)) {
	}
	line("thaw", begin, KEYS);
	begin = clock_monotonic_ns();
	for (uint64_t i = 0; i < KEYS; i++)
		get(random_below(&numbers, KEYS));
	line("get, clean key", begin, KEYS);
	begin = clock_monotonic_ns();
	for (uint64_t i = 0; i < KEYS; i++)
		apply(i);
	line("apply, clean key", begin, KEYS);
	begin = clock_monotonic_ns();
	struct table_snapshot *snapshot;
	for (uint64_t i = 0; i < 1000; i++) {
		char text[32];
		uint64_t number = random_below(&numbers, KEYS);
		struct slice key = key_of(number, text);
		text[key.bytes] = '\xff';
		if (table_snapshot_take(table, (uint32_t)(number % SHARDS), key,
		        slice_of(text, key.bytes + 1), 1 << 20, &snapshot))
			abort();
		table_snapshot_free(snapshot);
	}
	line("snapshot of one entity's range", begin, 1000);
	struct table_figures figures = table_figures(table);
	printf("%-40s %8.0f bytes each\n", "memory, dirty key", (double)figures.dirty_bytes / KEYS);
}

static void count(const char *what, uint64_t calls)
{
	for (uint64_t i = 0; i < 1000; i++)
		apply(i);
	for (uint64_t i = 0; i < calls; i++) {
		if (strcmp(what, "apply") == 0)
			apply(i % 1000);
		else
			get(i % 1000);
	}
}

int main(int argc, char **argv)
{
	setup();
	if (argc == 1)
		times();
	else if (argc == 4 && strcmp(argv[1], "count") == 0)
		count(argv[2], strtoull(argv[3], NULL, 10));
	else
		return 2;
	table_free(table);
	return 0;
}
