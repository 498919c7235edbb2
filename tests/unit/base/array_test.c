#include "tests/unit/base/suites.h"

#include "base/array.h"
#include "base/mem.h"

START_TEST(room_doubles_and_elements_stay)
{
	uint32_t *row = NULL;
	size_t capacity = 0, moves = 0;
	for (uint32_t i = 0; i < 1000; i++) {
		size_t before = capacity;
		ck_assert_int_eq(array_reserve(&row, &capacity, i + 1, sizeof(*row)), 0);
		ck_assert_uint_gt(capacity, i);
		moves += capacity != before;
		row[i] = i;
	}
	ck_assert_uint_eq(capacity, 1024);
	ck_assert_uint_eq(moves, 8);
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(row[i], i);
	mem_free(row);
}
END_TEST

START_TEST(as_much_is_there_as_is_wanted_at_once)
{
	char *row = NULL;
	size_t capacity = 0;
	ck_assert_int_eq(array_reserve(&row, &capacity, 1, 1), 0);
	ck_assert_uint_eq(capacity, ARRAY_FIRST_COUNT);
	ck_assert_int_eq(array_reserve(&row, &capacity, 1000, 1), 0);
	ck_assert_uint_eq(capacity, 1000);
	char *same = row;
	ck_assert_int_eq(array_grow(&row, &capacity, 1000, 1), 0);
	ck_assert_ptr_eq(row, same);
	ck_assert_uint_eq(capacity, 1000);
	mem_free(row);
}
END_TEST

START_TEST(a_row_that_cannot_grow_stays_as_it_is)
{
	uint64_t *row = NULL;
	size_t capacity = 0;
	ck_assert_int_eq(array_reserve(&row, &capacity, 1, sizeof(*row)), 0);
	row[7] = 42;
	uint64_t *same = row;
	mem_fail_at(1);
	ck_assert_int_eq(array_reserve(&row, &capacity, 9, sizeof(*row)), ERR_NOMEM);
	ck_assert(mem_failed());
	mem_fail_at(0);
	/* So many elements, or bytes of them, cannot be counted. */
	ck_assert_int_eq(array_reserve(&row, &capacity, SIZE_MAX, sizeof(*row)), ERR_NOMEM);
	ck_assert_int_eq(
	    array_reserve(&row, &capacity, SIZE_MAX / sizeof(*row) + 1, sizeof(*row)), ERR_NOMEM);
	ck_assert_ptr_eq(row, same);
	ck_assert_uint_eq(capacity, ARRAY_FIRST_COUNT);
	ck_assert_uint_eq(row[7], 42);
	mem_free(row);
}
END_TEST

Suite *array_suite(void)
{
	Suite *suite = suite_create("array");
	TCase *all = tcase_create("array");
	tcase_add_test(all, room_doubles_and_elements_stay);
	tcase_add_test(all, as_much_is_there_as_is_wanted_at_once);
	tcase_add_test(all, a_row_that_cannot_grow_stays_as_it_is);
	suite_add_tcase(suite, all);
	return suite;
}
