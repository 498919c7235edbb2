/* What storage/data_mending.h promises, on the kernel's files and on simulated ones. */
#include "storage/data_mending.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/small_file.h"
#include "tests/unit/store/suites.h"

static int read_it(void)
{
	uint64_t replica;
	return data_mending_read(platform_fs(), &replica);
}

START_TEST(what_is_written_is_read_until_it_ends)
{
	uint64_t replica = 0;
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
	ck_assert_int_eq(data_mending_end(platform_fs()), 0);
	for (uint64_t number = 1; number < 1000000; number = number * 3 + 1) {
		ck_assert_int_eq(data_mending_write(platform_fs(), number), 0);
		ck_assert_int_eq(data_mending_read(platform_fs(), &replica), 0);
		ck_assert_uint_eq(replica, number);
	}
	ck_assert_int_eq(data_mending_end(platform_fs()), 0);
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
}
END_TEST

START_TEST(damage_is_found)
{
	ck_assert_int_eq(data_mending_write(platform_fs(), 0x20003), 0);
	small_file_expect_damage_found("mending", read_it);
}
END_TEST

Suite *mending_suite(void)
{
	Suite *suite = suite_create("mending");
	TCase *tcase = tcase_create("mending");
	tcase_add_checked_fixture(tcase, platform_setup, platform_done);
	tcase_add_test(tcase, what_is_written_is_read_until_it_ends);
	tcase_add_test(tcase, damage_is_found);
	suite_add_tcase(suite, tcase);
	return suite;
}
