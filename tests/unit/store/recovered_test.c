/* What storage/data_recovered.h promises, on the kernel's files and on simulated ones. */
#include "storage/data_recovered.h"

#include "tests/unit/store/platform.h"
#include "tests/unit/store/small_file.h"
#include "tests/unit/store/suites.h"

static int read_it(void)
{
	struct data_recovered recovered;
	return data_recovered_read(platform_fs(), &recovered);
}

static struct data_recovered one_of(uint32_t given_up)
{
	struct data_recovered one = {.replica = 0x20003,
	    .term = 1007,
	    .committed = 40,
	    .index = 41,
	    .at_ms = 1700000000000 + given_up};
	for (uint64_t i = 0; i < given_up; i++)
		one.given_up[one.given_up_count++] = 0x10000 + i;
	return one;
}

static void expect_read(const struct data_recovered *wanted)
{
	struct data_recovered read;
	ck_assert_int_eq(data_recovered_read(platform_fs(), &read), 0);
	ck_assert_uint_eq(read.replica, wanted->replica);
	ck_assert_uint_eq(read.term, wanted->term);
	ck_assert_uint_eq(read.committed, wanted->committed);
	ck_assert_uint_eq(read.index, wanted->index);
	ck_assert_int_eq(read.at_ms, wanted->at_ms);
	ck_assert_uint_eq(read.given_up_count, wanted->given_up_count);
	for (uint32_t i = 0; i < read.given_up_count; i++)
		ck_assert_uint_eq(read.given_up[i], wanted->given_up[i]);
}

START_TEST(what_is_written_is_read_until_it_ends)
{
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
	ck_assert_int_eq(data_recovered_end(platform_fs()), 0);
	for (uint32_t given_up = 0; given_up <= DATA_RECOVERED_GIVEN_UP_MAX; given_up += 16) {
		struct data_recovered one = one_of(given_up);
		ck_assert_int_eq(data_recovered_write(platform_fs(), &one), 0);
		expect_read(&one);
	}
	ck_assert_int_eq(data_recovered_end(platform_fs()), 0);
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
}
END_TEST

START_TEST(damage_is_found)
{
	struct data_recovered one = one_of(2);
	ck_assert_int_eq(data_recovered_write(platform_fs(), &one), 0);
	small_file_expect_damage_found("recovered", read_it);
}
END_TEST

Suite *recovered_suite(void)
{
	Suite *suite = suite_create("recovered");
	TCase *tcase = tcase_create("recovered");
	tcase_add_checked_fixture(tcase, platform_setup, platform_done);
	tcase_add_test(tcase, what_is_written_is_read_until_it_ends);
	tcase_add_test(tcase, damage_is_found);
	suite_add_tcase(suite, tcase);
	return suite;
}
