#include "tests/unit/base/suites.h"

#include "base/slice.h"

START_TEST(equal_means_same_length_and_bytes)
{
	ck_assert(slice_equal(slice_from_text("abc"), slice_of("abcd", 3)));
	ck_assert(!slice_equal(slice_from_text("abc"), slice_from_text("abd")));
	ck_assert(!slice_equal(slice_from_text("abc"), slice_from_text("ab")));
	ck_assert(slice_equal(slice_of(NULL, 0), slice_from_text("")));
}
END_TEST

START_TEST(order_is_of_unsigned_bytes_with_prefix_first)
{
	ck_assert_int_lt(slice_compare(slice_of("\x7f", 1), slice_of("\x80", 1)), 0);
	ck_assert_int_lt(slice_compare(slice_from_text("ab"), slice_from_text("abc")), 0);
	ck_assert_int_gt(slice_compare(slice_from_text("b"), slice_from_text("abc")), 0);
	ck_assert_int_eq(slice_compare(slice_from_text("x"), slice_from_text("x")), 0);
	ck_assert_int_lt(slice_compare(slice_of(NULL, 0), slice_of("\0", 1)), 0);
	ck_assert_int_eq(slice_compare(slice_of(NULL, 0), slice_of("", 0)), 0);
}
END_TEST

Suite *slice_suite(void)
{
	Suite *suite = suite_create("slice");
	TCase *tcase = tcase_create("slice");
	tcase_add_test(tcase, equal_means_same_length_and_bytes);
	tcase_add_test(tcase, order_is_of_unsigned_bytes_with_prefix_first);
	suite_add_tcase(suite, tcase);
	return suite;
}
