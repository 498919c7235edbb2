/* What storage/data_scan.h promises, on the kernel's files and on simulated ones. */
#include "base/io/fs.h"
#include "storage/data_scan.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/small_file.h"
#include "tests/unit/store/suites.h"

static const struct data_scan written = {
    .store = 0x1122334455667788, .identity = 3, .found = DATA_SCAN_DIRECTORY};

static int read_it(void)
{
	struct data_scan scan;
	return data_scan_read(platform_fs(), "db", &scan);
}

static void setup(void)
{
	platform_setup();
	ck_assert_int_eq(fs_make_dir(platform_fs(), "db"), 0);
}

START_TEST(what_is_written_is_read_until_it_ends)
{
	struct data_scan scan = {.store = 0};
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
	ck_assert_int_eq(data_scan_end(platform_fs(), "db"), 0);
	for (int found = DATA_SCAN_NOTHING; found <= DATA_SCAN_DIRECTORY; found++) {
		struct data_scan one = written;
		one.found = (enum data_scan_found)found;
		ck_assert_int_eq(data_scan_write(platform_fs(), "db", &one), 0);
		ck_assert_int_eq(data_scan_read(platform_fs(), "db", &scan), 0);
		ck_assert_uint_eq(scan.store, one.store);
		ck_assert_uint_eq(scan.identity, one.identity);
		ck_assert_int_eq((int)scan.found, found);
	}
	ck_assert_int_eq(data_scan_end(platform_fs(), "db"), 0);
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
}
END_TEST

START_TEST(damage_is_found)
{
	ck_assert_int_eq(data_scan_write(platform_fs(), "db", &written), 0);
	small_file_expect_damage_found("db/SCANNED", read_it);
}
END_TEST

Suite *scan_suite(void)
{
	Suite *suite = suite_create("scan");
	TCase *tcase = tcase_create("scan");
	tcase_add_checked_fixture(tcase, setup, platform_done);
	tcase_add_test(tcase, what_is_written_is_read_until_it_ends);
	tcase_add_test(tcase, damage_is_found);
	suite_add_tcase(suite, tcase);
	return suite;
}
