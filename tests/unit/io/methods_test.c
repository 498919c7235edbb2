/* Which way a durable write goes: io_uring_methods.h. */
#include "tests/unit/io/suites.h"

#include "base/io/io_uring_methods.h"

enum { MANY = 10000 };

/* So many writes, each method always taking its time. Returns how many were linked. */
static unsigned write_many(struct write_methods *methods, uint64_t synced_ns, uint64_t linked_ns)
{
	unsigned linked = 0;
	for (unsigned i = 0; i < MANY; i++) {
		enum write_method method = write_methods_next(methods);
		bool is_linked = method == WRITE_LINKED;
		write_methods_took(methods, method, is_linked ? linked_ns : synced_ns);
		linked += is_linked;
	}
	return linked;
}

START_TEST(the_first_writes_are_synced)
{
	struct write_methods methods = {0};
	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(write_methods_next(&methods), WRITE_SYNCED);
}
END_TEST

START_TEST(the_other_way_is_tried_now_and_then)
{
	struct write_methods methods = {0};
	unsigned linked = write_many(&methods, 200000, 200000);
	ck_assert_uint_gt(linked, MANY / 1000);
	ck_assert_uint_lt(linked, MANY / 20);
}
END_TEST

START_TEST(a_way_that_is_a_little_quicker_changes_nothing)
{
	struct write_methods methods = {0};
	ck_assert_uint_lt(write_many(&methods, 200000, 150000), MANY / 20);
}
END_TEST

START_TEST(the_way_that_is_clearly_quicker_is_taken)
{
	struct write_methods methods = {0};
	ck_assert_uint_gt(write_many(&methods, 6000000, 250000), MANY * 9 / 10);
	/* And it is noticed when that is over. */
	ck_assert_uint_lt(write_many(&methods, 200000, 250000), MANY / 2);
	ck_assert_uint_lt(write_many(&methods, 200000, 250000), MANY / 20);
}
END_TEST

START_TEST(one_slow_write_decides_nothing)
{
	struct write_methods methods = {0};
	write_many(&methods, 200000, 250000);
	write_methods_took(&methods, WRITE_SYNCED, 1000000);
	ck_assert_int_eq(methods.preferred, WRITE_SYNCED);
}
END_TEST

Suite *methods_suite(void)
{
	Suite *suite = suite_create("methods");
	TCase *tcase = tcase_create("methods");
	tcase_add_test(tcase, the_first_writes_are_synced);
	tcase_add_test(tcase, the_other_way_is_tried_now_and_then);
	tcase_add_test(tcase, a_way_that_is_a_little_quicker_changes_nothing);
	tcase_add_test(tcase, the_way_that_is_clearly_quicker_is_taken);
	tcase_add_test(tcase, one_slow_write_decides_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
