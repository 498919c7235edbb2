/* A frozen generation is read by another thread without locks while the core goes on: a program of
 * its own, since the simulator has one thread, and since it is what ThreadSanitizer looks at. */
#include "tests/unit/run.h"

#include "base/random.h"
#include "storage/batch.h"
#include "storage/table.h"

#include <pthread.h>
#include <stdio.h>

enum { ROUNDS = 20, APPLIES = 400, KEYS = 150 };

static struct table *table;
static struct random numbers;
static uint64_t entry_index;
static uint64_t sequence;
static uint64_t sums[2]; /* of the frozen values: as another thread reads them, twice */

static void apply_one(void)
{
	uint8_t span[600];
	uint8_t value[400];
	char key[16];
	struct writer out = writer_of(span, sizeof(span));
	size_t bytes = random_below(&numbers, sizeof(value));
	random_bytes(&numbers, value, sizeof(value));
	snprintf(key, sizeof(key), "p%u", (unsigned)random_below(&numbers, KEYS));
	batch_begin(&out);
	switch (random_below(&numbers, 6)) {
	case 0:
		batch_append(&out, slice_from_text("stream"), ++sequence, slice_of(value, bytes));
		break;
	case 1:
		batch_delete(&out, slice_from_text(key));
		break;
	default:
		batch_put(&out, slice_from_text(key), slice_of(value, bytes));
		break;
	}
	EXPECT(table_apply(table, 1, ++entry_index, 1, writer_view(&out)) == 0);
}

static void *read_frozen(void *arg)
{
	(void)arg;
	if (table_frozen_sort(table))
		return NULL;
	for (int pass = 0; pass < 2; pass++) {
		sums[pass] = 0;
		for (size_t i = 0; i < table_frozen_count(table); i++) {
			struct table_change change = table_frozen_at(table, i);
			for (size_t byte = 0; byte < change.value.bytes; byte++)
				sums[pass] = sums[pass] * 31 + change.value.data[byte];
		}
	}
	return table;
}

static void *read_snapshot(void *arg)
{
	const struct table_snapshot *snapshot = arg;
	uint64_t sum = 0;
	for (size_t i = 0; i < table_snapshot_count(snapshot); i++) {
		struct table_change change = table_snapshot_at(snapshot, i);
		for (size_t byte = 0; byte < change.value.bytes; byte++)
			sum = sum * 31 + change.value.data[byte];
	}
	return (void *)(uintptr_t)(sum | 1);
}

START_TEST(a_frozen_generation_and_a_snapshot_are_read_while_the_core_goes_on)
{
	struct table_options options = {.clean_bytes_max = 20000, .hash_seed = 1};
	random_init(&numbers, 1);
	ck_assert_int_eq(table_new(&options, &table), 0);
	ck_assert_int_eq(table_shard_add(table, 1, (struct table_shard){0}), 0);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < APPLIES; i++)
			apply_one();
		table_freeze(table);
		struct slice all = slice_of(NULL, 0);
		struct table_snapshot *snapshot;
		ck_assert_int_eq(table_snapshot_take(table, 1, all, all, 1 << 24, &snapshot), 0);
		pthread_t pool[2];
		ck_assert_int_eq(pthread_create(&pool[0], NULL, read_frozen, NULL), 0);
		ck_assert_int_eq(pthread_create(&pool[1], NULL, read_snapshot, snapshot), 0);
		for (int i = 0; i < APPLIES; i++) {
			struct slice value;
			apply_one();
			EXPECT(table_get(table, 1, slice_from_text("p0"), &value) != TABLE_LOADING);
		}
		void *sorted;
		void *sum;
		ck_assert_int_eq(pthread_join(pool[0], &sorted), 0);
		ck_assert_int_eq(pthread_join(pool[1], &sum), 0);
		ck_assert_ptr_nonnull(sorted);
		ck_assert(sums[0] == sums[1]);
		ck_assert(read_snapshot(snapshot) == sum);
		table_snapshot_free(snapshot);
		table_thaw_begin(table);
		while (table_thaw(table, 64)) {
		}
	}
	table_free(table);
}
END_TEST

static Suite *threads_suite(void)
{
	Suite *suite = suite_create("threads");
	TCase *tcase = tcase_create("threads");
	tcase_add_test(tcase, a_frozen_generation_and_a_snapshot_are_read_while_the_core_goes_on);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	static Suite *(*const suites[])(void) = {threads_suite};
	return unit_run(argc, argv, suites, 1);
}
