#include "tests/unit/base/suites.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"

#include <string.h>

enum { KEY_COUNT = 1000 };

/* The map and the model agree on every key, one by one and in a walk. */
static void expect_same(const struct map *map, const uint64_t *values, const bool *there)
{
	size_t count = 0;
	for (uint64_t key = 0; key < KEY_COUNT; key++) {
		uint64_t value = 12345;
		EXPECT(map_get(map, key, &value) == there[key]);
		EXPECT(value == (there[key] ? values[key] : 12345));
		count += there[key];
	}
	EXPECT(map_count(map) == count);
	bool seen[KEY_COUNT] = {false};
	struct map_cursor cursor = {0};
	uint64_t key;
	uint64_t value;
	while (map_next(map, &cursor, &key, &value)) {
		EXPECT(key < KEY_COUNT);
		EXPECT(there[key] && !seen[key]);
		EXPECT(value == values[key]);
		seen[key] = true;
		count--;
	}
	EXPECT(count == 0);
}

START_TEST(same_as_an_array_over_many_random_steps)
{
	struct map map;
	map_init(&map);
	struct random random;
	random_init(&random, 21);
	static uint64_t values[KEY_COUNT];
	static bool there[KEY_COUNT];
	for (int step = 0; step < 30000; step++) {
		/* The share of insertions swings, so that the map fills, empties and fills. */
		uint64_t key = random_below(&random, KEY_COUNT);
		if (random_chance(&random, step / 5000 % 2 ? 1 : 3, 4)) {
			values[key] = random_u64(&random);
			there[key] = true;
			EXPECT(map_put(&map, key, values[key]) == 0);
		} else {
			EXPECT(map_remove(&map, key) == there[key]);
			there[key] = false;
		}
		/* Often in the beginning, while the map grows and moves. */
		if (step < 1500 || step % 500 == 0)
			expect_same(&map, values, there);
	}
	map_done(&map);
	map_done(&map);
}
END_TEST

START_TEST(extreme_keys_and_values_are_ordinary)
{
	static const uint64_t keys[] = {0, 1, UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 32};
	struct map map;
	map_init(&map);
	for (size_t i = 0; i < 5; i++) {
		ck_assert(!map_has(&map, keys[i]));
		ck_assert_int_eq(map_put(&map, keys[i], ~keys[i]), 0);
	}
	for (size_t i = 0; i < 5; i++) {
		uint64_t value;
		ck_assert(map_get(&map, keys[i], &value));
		ck_assert_uint_eq(value, ~keys[i]);
		ck_assert(map_remove(&map, keys[i]));
		ck_assert(!map_remove(&map, keys[i]));
	}
	ck_assert_uint_eq(map_count(&map), 0);
	map_done(&map);
}
END_TEST

START_TEST(pointers_come_back)
{
	struct map map;
	map_init(&map);
	int target;
	ck_assert_ptr_null(map_get_pointer(&map, 5));
	ck_assert_int_eq(map_put_pointer(&map, 5, &target), 0);
	ck_assert_ptr_eq(map_get_pointer(&map, 5), &target);
	struct map_cursor cursor = {0};
	uint64_t key;
	void *pointer;
	ck_assert(map_next_pointer(&map, &cursor, &key, &pointer));
	ck_assert_uint_eq(key, 5);
	ck_assert_ptr_eq(pointer, &target);
	ck_assert(!map_next_pointer(&map, &cursor, &key, &pointer));
	map_done(&map);
}
END_TEST

START_TEST(walk_removes_any_subset_and_sees_each_key_once)
{
	/* Every size passes through all stages of growing and moving. */
	for (uint64_t count = 0; count < 300; count += 3) {
		struct map map;
		map_init(&map);
		for (uint64_t key = 0; key < count; key++)
			EXPECT(map_put(&map, key, key) == 0);
		bool seen[300] = {false};
		struct map_cursor cursor = {0};
		uint64_t key;
		uint64_t value;
		size_t steps = 0;
		while (map_next(&map, &cursor, &key, &value)) {
			EXPECT(!seen[key]);
			seen[key] = true;
			steps++;
			if (key % 3 != 0)
				EXPECT(map_remove(&map, key));
		}
		EXPECT(steps == count);
		EXPECT(map_count(&map) == (count + 2) / 3);
		for (key = 0; key < count; key++)
			EXPECT(map_has(&map, key) == (key % 3 == 0));
		map_done(&map);
	}
}
END_TEST

START_TEST(same_operations_give_the_same_walk)
{
	uint64_t order[2][500];
	for (int run = 0; run < 2; run++) {
		struct map map;
		map_init(&map);
		for (uint64_t i = 0; i < 700; i++)
			ck_assert_int_eq(map_put(&map, i * 977, i), 0);
		for (uint64_t i = 0; i < 200; i++)
			ck_assert(map_remove(&map, i * 3 * 977));
		struct map_cursor cursor = {0};
		uint64_t value;
		for (int i = 0; i < 500; i++)
			ck_assert(map_next(&map, &cursor, &order[run][i], &value));
		uint64_t none;
		ck_assert(!map_next(&map, &cursor, &none, &value));
		map_done(&map);
	}
	ck_assert_mem_eq(order[0], order[1], sizeof(order[0]));
}
END_TEST

START_TEST(growing_is_spread_over_insertions)
{
	struct map map;
	map_init(&map);
	EXPECT(map_reserve(&map, 100000) == 0);
	uint64_t key = 1;
	while (!map.probe.old.cells)
		EXPECT(map_put(&map, key++, 0) == 0);
	/* The insertion that doubled the array moved a few cells only, and so does the next. */
	size_t before = map.probe.old.count;
	EXPECT(before > 100000);
	EXPECT(map_put(&map, key++, 0) == 0);
	EXPECT(before - map.probe.old.count < 200);
	/* The old array is gone long before the new one is full. */
	size_t room = map_count(&map);
	for (size_t i = 0; i < room / 2; i++)
		EXPECT(map_put(&map, key++, 0) == 0);
	ck_assert_ptr_null(map.probe.old.cells);
	map_done(&map);
}
END_TEST

START_TEST(random_keys_probe_few_cells)
{
	/* Rows of small numbers, multiples of powers of two: what ids look like. */
	for (unsigned shift = 0; shift <= 48; shift += 12) {
		struct map map;
		map_init(&map);
		for (uint64_t i = 1; i <= 20000; i++)
			EXPECT(map_put(&map, i << shift, i) == 0);
		const struct probe_array *array = &map.probe.now;
		size_t distance = 0;
		for (size_t i = 0; i <= array->mask; i++) {
			if (array->cells[i].hash)
				distance += (i - array->cells[i].hash) & array->mask;
		}
		/* Knuth: a hit at 5/8 costs 0.83 cells beyond the first. */
		EXPECT(distance < array->count * 3 / 2);
		map_done(&map);
	}
}
END_TEST

START_TEST(reserved_keys_need_no_memory)
{
	struct map map;
	map_init(&map);
	EXPECT(map_put(&map, 1, 1) == 0);
	EXPECT(map_reserve(&map, 5000) == 0);
	mem_fail_at(1);
	for (uint64_t key = 2; key < 5002; key++)
		EXPECT(map_put(&map, key, key) == 0);
	mem_fail_at(0);
	EXPECT(map_reserve(&map, SIZE_MAX) == ERR_TOO_LARGE);
	EXPECT(map_reserve(&map, SIZE_MAX / 4) == ERR_TOO_LARGE);
	EXPECT(map_count(&map) == 5001);
	map_done(&map);
}
END_TEST

START_TEST(every_failed_allocation_is_reported_and_changes_nothing)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct map map;
		map_init(&map);
		mem_fail_at(nth);
		uint64_t kept = 0; /* keys 1 to kept are in */
		int error = 0;
		while (!error && kept < 200) {
			error = map_put(&map, kept + 1, kept);
			kept += !error;
		}
		if (!error)
			error = map_reserve(&map, 1000);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		for (uint64_t key = 1; key <= kept + 1; key++)
			ck_assert_int_eq(map_has(&map, key), key <= kept);
		ck_assert_uint_eq(map_count(&map), kept);
		/* And it goes on as if nothing had been. */
		ck_assert_int_eq(map_put(&map, 9999, 1), 0);
		map_done(&map);
		if (!failed)
			break;
		failures++;
	}
	/* 16, 32 ... 512 cells, and those reserved. */
	ck_assert_uint_eq(failures, 7);
}
END_TEST

Suite *map_suite(void)
{
	Suite *suite = suite_create("map");
	TCase *tcase = tcase_create("map");
	tcase_add_test(tcase, same_as_an_array_over_many_random_steps);
	tcase_add_test(tcase, extreme_keys_and_values_are_ordinary);
	tcase_add_test(tcase, pointers_come_back);
	tcase_add_test(tcase, walk_removes_any_subset_and_sees_each_key_once);
	tcase_add_test(tcase, same_operations_give_the_same_walk);
	tcase_add_test(tcase, growing_is_spread_over_insertions);
	tcase_add_test(tcase, random_keys_probe_few_cells);
	tcase_add_test(tcase, reserved_keys_need_no_memory);
	tcase_add_test(tcase, every_failed_allocation_is_reported_and_changes_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
