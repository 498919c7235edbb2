#include "tests/unit/base/suites.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/hash_table.h"

#include <stdio.h>
#include <stdlib.h>

struct item {
	struct hash_entry entry;
	char name[24];
};

enum { ITEM_COUNT = 500 };

static bool has_name(const struct hash_entry *entry, const void *key)
{
	const struct item *item = CONTAINER_OF(entry, struct item, entry);
	return slice_equal(slice_from_text(item->name), *(const struct slice *)key);
}

/* How names are hashed: well, or so badly that everything collides. */
typedef uint64_t hash_name(const char *name);

static uint64_t good(const char *name)
{
	return hash_bytes(slice_from_text(name), 99);
}

static uint64_t three_values(const char *name)
{
	return good(name) % 3;
}

static uint64_t last_cell(const char *name)
{
	(void)name;
	return UINT64_MAX;
}

static struct item *find(const struct hash_table *table, hash_name *hash, const char *name)
{
	struct slice key = slice_from_text(name);
	struct hash_entry *entry = hash_table_find(table, hash(name), has_name, &key);
	return entry ? CONTAINER_OF(entry, struct item, entry) : NULL;
}

static struct item *make_items(void)
{
	struct item *items = calloc(ITEM_COUNT, sizeof(*items));
	ck_assert_ptr_nonnull(items);
	for (int i = 0; i < ITEM_COUNT; i++)
		snprintf(items[i].name, sizeof(items[i].name), "item/%d", i);
	return items;
}

static void run_random_steps(hash_name *hash, int steps)
{
	struct item *items = make_items();
	struct hash_table table;
	struct random random;
	hash_table_init(&table);
	random_init(&random, 31);
	size_t count = 0;
	for (int step = 0; step < steps; step++) {
		struct item *item = &items[random_below(&random, ITEM_COUNT)];
		bool linked = hash_entry_linked(&item->entry);
		EXPECT(find(&table, hash, item->name) == (linked ? item : NULL));
		if (linked) {
			hash_table_remove(&table, &item->entry);
			count--;
		} else {
			EXPECT(hash_table_insert(&table, hash(item->name), &item->entry) == 0);
			count++;
		}
		EXPECT(hash_table_count(&table) == count);
		if (step % 512 != 0)
			continue;
		for (int i = 0; i < ITEM_COUNT; i++) {
			struct item *expected = &items[i];
			bool there = hash_entry_linked(&expected->entry);
			ck_assert_ptr_eq(
			    find(&table, hash, expected->name), there ? expected : NULL);
		}
	}
	hash_table_done(&table);
	free(items);
}

START_TEST(finds_what_was_inserted_over_many_random_steps)
{
	run_random_steps(good, 20000);
}
END_TEST

START_TEST(finds_what_was_inserted_where_hashes_collide)
{
	run_random_steps(three_values, 3000);
	run_random_steps(last_cell, 3000);
}
END_TEST

START_TEST(walk_removes_from_a_cluster_across_the_end_and_sees_each_entry_once)
{
	/* All entries begin at the last cell, and go on at the first. */
	struct item *items = make_items();
	for (unsigned pattern = 0; pattern < 1U << 8; pattern++) {
		struct hash_table table;
		hash_table_init(&table);
		for (int i = 0; i < 8; i++)
			EXPECT(hash_table_insert(&table, UINT64_MAX, &items[i].entry) == 0);
		unsigned seen = 0;
		struct hash_table_cursor cursor = {0};
		struct hash_entry *entry;
		while ((entry = hash_table_next(&table, &cursor)) != NULL) {
			unsigned bit = 1U << (CONTAINER_OF(entry, struct item, entry) - items);
			EXPECT(!(seen & bit));
			seen |= bit;
			if (pattern & bit)
				hash_table_remove(&table, entry);
		}
		EXPECT(seen == (1U << 8) - 1);
		for (unsigned i = 0; i < 8; i++) {
			bool there = !(pattern & 1U << i);
			EXPECT(
			    find(&table, last_cell, items[i].name) == (there ? &items[i] : NULL));
			hash_entry_init(&items[i].entry);
		}
		hash_table_done(&table);
	}
	free(items);
}
END_TEST

START_TEST(walk_frees_all_entries)
{
	struct item *items = make_items();
	struct hash_table table;
	hash_table_init(&table);
	for (int i = 0; i < ITEM_COUNT; i++)
		ck_assert_int_eq(
		    hash_table_insert(&table, good(items[i].name), &items[i].entry), 0);
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	size_t steps = 0;
	while ((entry = hash_table_next(&table, &cursor)) != NULL) {
		hash_table_remove(&table, entry);
		steps++;
	}
	ck_assert_uint_eq(steps, ITEM_COUNT);
	ck_assert_uint_eq(hash_table_count(&table), 0);
	hash_table_done(&table);
	free(items);
}
END_TEST

START_TEST(every_failed_allocation_is_reported_and_changes_nothing)
{
	struct item *items = make_items();
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct hash_table table;
		hash_table_init(&table);
		mem_fail_at(nth);
		int error = 0;
		size_t count = 0;
		while (!error && count < ITEM_COUNT) {
			struct item *item = &items[count];
			error = hash_table_insert(&table, good(item->name), &item->entry);
			count += !error;
		}
		bool failed = mem_failed();
		mem_fail_at(0);
		EXPECT(error == (failed ? ERR_NOMEM : 0));
		EXPECT(hash_table_count(&table) == count);
		for (size_t i = 0; i < ITEM_COUNT; i++) {
			bool there = i < count;
			EXPECT(hash_entry_linked(&items[i].entry) == there);
			ck_assert_ptr_eq(
			    find(&table, good, items[i].name), there ? &items[i] : NULL);
			hash_entry_init(&items[i].entry);
		}
		hash_table_done(&table);
		if (!failed)
			break;
		failures++;
	}
	/* 16, 32 ... 1024 cells. */
	EXPECT(failures == 7);
	free(items);
}
END_TEST

Suite *hash_table_suite(void)
{
	Suite *suite = suite_create("hash_table");
	TCase *tcase = tcase_create("hash_table");
	tcase_add_test(tcase, finds_what_was_inserted_over_many_random_steps);
	tcase_add_test(tcase, finds_what_was_inserted_where_hashes_collide);
	tcase_add_test(tcase, walk_removes_from_a_cluster_across_the_end_and_sees_each_entry_once);
	tcase_add_test(tcase, walk_frees_all_entries);
	tcase_add_test(tcase, every_failed_allocation_is_reported_and_changes_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
