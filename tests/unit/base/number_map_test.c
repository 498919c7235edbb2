#include "tests/unit/base/suites.h"

#include "base/mem.h"
#include "base/number_map.h"

enum { STEP = 7, COUNT = 200 };

START_TEST(low_and_high_numbers_are_found_and_others_are_not)
{
	static char values[COUNT];
	struct number_map map;
	number_map_init(&map);
	for (uint64_t i = 0; i < COUNT; i++)
		ck_assert_int_eq(number_map_put(&map, i * STEP, &values[i]), 0);
	ck_assert_int_eq(number_map_put(&map, UINT32_MAX, &map), 0);
	for (uint64_t number = 0; number < COUNT * STEP; number++) {
		const char *value = number % STEP == 0 ? &values[number / STEP] : NULL;
		ck_assert_ptr_eq(number_map_get(&map, number), value);
	}
	ck_assert_ptr_eq(number_map_get(&map, UINT32_MAX), &map);
	ck_assert_ptr_null(number_map_get(&map, UINT64_MAX));
	/* Put again, it is another one. */
	ck_assert_int_eq(number_map_put(&map, STEP, &map), 0);
	ck_assert_ptr_eq(number_map_get(&map, STEP), &map);
	ck_assert_uint_eq(map_count(&map.map), COUNT + 1);
	ck_assert(number_map_remove(&map, STEP) && number_map_remove(&map, UINT32_MAX));
	ck_assert(!number_map_remove(&map, STEP) && !number_map_remove(&map, UINT64_MAX));
	ck_assert_ptr_null(number_map_get(&map, STEP));
	ck_assert_ptr_null(number_map_get(&map, UINT32_MAX));
	ck_assert_ptr_eq(number_map_get(&map, 2 * STEP), &values[2]);
	ck_assert_uint_eq(map_count(&map.map), COUNT - 1);
	number_map_done(&map);
	ck_assert_ptr_null(number_map_get(&map, STEP));
	ck_assert_ptr_null(number_map_get(&map, UINT32_MAX));
}
END_TEST

START_TEST(a_number_without_memory_is_not_there)
{
	struct number_map map;
	number_map_init(&map);
	mem_fail_at(1);
	ck_assert_int_eq(number_map_put(&map, 3, &map), ERR_NOMEM);
	mem_fail_at(0);
	ck_assert_ptr_null(number_map_get(&map, 3));
	ck_assert_int_eq(number_map_reserve(&map, 2), 0);
	mem_fail_at(1);
	ck_assert_int_eq(number_map_put(&map, 3, &map), 0);
	ck_assert_int_eq(number_map_put(&map, NUMBER_MAP_LOW, &map), 0);
	mem_fail_at(0);
	ck_assert_ptr_eq(number_map_get(&map, 3), &map);
	ck_assert_ptr_eq(number_map_get(&map, NUMBER_MAP_LOW), &map);
	number_map_done(&map);
}
END_TEST

Suite *number_map_suite(void)
{
	Suite *suite = suite_create("number_map");
	TCase *tcase = tcase_create("number_map");
	tcase_add_test(tcase, low_and_high_numbers_are_found_and_others_are_not);
	tcase_add_test(tcase, a_number_without_memory_is_not_there);
	suite_add_tcase(suite, tcase);
	return suite;
}
