/* What storage/data_mending.h promises, on the kernel's files and on simulated ones. */
#include <string.h>

#include "base/io/fs.h"
#include "storage/data_mending.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/suites.h"

enum { FILE_BYTES = 28 };

static void expect(int error)
{
	uint64_t replica;
	ck_assert_int_eq(data_mending_read(platform_fs(), &replica), error);
}

START_TEST(what_is_written_is_read_until_it_ends)
{
	uint64_t replica = 0;
	expect(ERR_NOT_FOUND);
	ck_assert_int_eq(data_mending_end(platform_fs()), 0);
	for (uint64_t number = 1; number < 1000000; number = number * 3 + 1) {
		ck_assert_int_eq(data_mending_write(platform_fs(), number), 0);
		ck_assert_int_eq(data_mending_read(platform_fs(), &replica), 0);
		ck_assert_uint_eq(replica, number);
	}
	ck_assert_int_eq(data_mending_end(platform_fs()), 0);
	expect(ERR_NOT_FOUND);
}
END_TEST

START_TEST(damage_is_found)
{
	uint8_t good[FILE_BYTES], data[FILE_BYTES];
	size_t bytes;
	ck_assert_int_eq(data_mending_write(platform_fs(), 0x20003), 0);
	ck_assert_int_eq(fs_read_file(platform_fs(), "mending", good, sizeof(good), &bytes), 0);
	ck_assert_uint_eq(bytes, FILE_BYTES);
	for (size_t i = 0; i < FILE_BYTES; i++) {
		memcpy(data, good, sizeof(data));
		data[i] ^= 1;
		ck_assert_int_eq(fs_replace_file(platform_fs(), "mending", data, FILE_BYTES), 0);
		expect(ERR_CORRUPT);
	}
	for (bytes = 0; bytes < FILE_BYTES; bytes++) {
		ck_assert_int_eq(fs_replace_file(platform_fs(), "mending", good, bytes), 0);
		expect(ERR_CORRUPT);
	}
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
