/* What storage/data_dir.h promises, on the kernel's files and on simulated ones. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/io/fs.h"
#include "base/mem.h"
#include "storage/data_dir.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/suites.h"

static const uint64_t ID[2] = {0x1122334455667788, 0x99aabbccddeeff00};

static char why[DATA_DIR_WHY_BYTES];

static struct data_dir *open_dir(uint32_t stores_if_new)
{
	struct data_dir *dir;
	int error = data_dir_open(platform_fs(), stores_if_new, ID, why, sizeof(why), &dir);
	ck_assert_msg(error == 0, "%s: %s", error_name(error), why);
	return dir;
}

static void make_dir(uint32_t stores)
{
	data_dir_close(open_dir(stores));
}

/* That opening says so, with words that hold `part`. */
static void expect_refused(uint32_t stores_if_new, int error, const char *part)
{
	struct data_dir *dir = NULL;
	memset(why, 0, sizeof(why));
	ck_assert_int_eq(
	    data_dir_open(platform_fs(), stores_if_new, ID, why, sizeof(why), &dir), error);
	ck_assert_ptr_null(dir);
	ck_assert_msg(strstr(why, part) != NULL, "'%s' does not say '%s'", why, part);
}

static void make_file(const char *path, const void *data, size_t bytes)
{
	ck_assert_int_eq(fs_replace_file(platform_fs(), path, data, bytes), 0);
}

static bool exists(const char *path)
{
	bool does;
	ck_assert_int_eq(fs_exists(platform_fs(), path, &does), 0);
	return does;
}

START_TEST(empty_directory_is_made)
{
	struct data_dir *dir = open_dir(3);
	struct data_identity identity = data_dir_identity(dir);
	ck_assert_uint_eq(identity.stores, 3);
	ck_assert_uint_eq(identity.id[0], ID[0]);
	ck_assert_uint_eq(identity.id[1], ID[1]);
	char path[DATA_DIR_PATH_BYTES];
	data_dir_store_path(dir, 2, path, sizeof(path));
	ck_assert_str_eq(path, "stores/002");
	ck_assert(exists(path));
	ck_assert(!exists("stores/003"));
	data_dir_close(dir);
}
END_TEST

START_TEST(made_directory_keeps_its_identity)
{
	make_dir(3);
	const uint64_t other[2] = {1, 2};
	for (uint32_t stores_if_new = 0; stores_if_new < 6; stores_if_new += 5) {
		struct data_dir *dir;
		ck_assert_int_eq(
		    data_dir_open(platform_fs(), stores_if_new, other, why, sizeof(why), &dir), 0);
		ck_assert_uint_eq(data_dir_identity(dir).stores, 3);
		ck_assert_uint_eq(data_dir_identity(dir).id[0], ID[0]);
		data_dir_close(dir);
	}
}
END_TEST

START_TEST(identity_is_these_bytes)
{
	make_dir(2);
	uint8_t data[64];
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), "identity", data, sizeof(data), &bytes), 0);
	static const uint8_t expected[32] = {'K', 'X', 'I', 'D', 'E', 'N', 'T', '\n', 1, 0, 0, 0, 2,
	    0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc,
	    0xbb, 0xaa, 0x99};
	ck_assert_uint_eq(bytes, 40);
	ck_assert_mem_eq(data, expected, sizeof(expected));
	ck_assert_uint_eq(load_u64le(data + 32), hash_bytes(slice_of(data, 32), 0));
}
END_TEST

START_TEST(ids_of_stores_are_fixed_and_differ)
{
	struct data_dir *dir = open_dir(64);
	uint64_t ids[64];
	for (uint32_t store = 0; store < 64; store++) {
		ids[store] = data_dir_store_id(dir, store);
		ck_assert_uint_ne(ids[store], 0);
		for (uint32_t before = 0; before < store; before++)
			ck_assert_uint_ne(ids[before], ids[store]);
	}
	/* They stand in every frame of every log that was ever written. */
	ck_assert_uint_eq(ids[0], UINT64_C(11930385199599572070));
	ck_assert_uint_eq(ids[63], UINT64_C(1309168774404741231));
	data_dir_close(dir);
}
END_TEST

START_TEST(directory_in_use_is_busy_and_names_the_process)
{
	struct data_dir *dir = open_dir(2);
	char pid[32];
	snprintf(pid, sizeof(pid), "process %ld;", (long)getpid());
	expect_refused(2, ERR_BUSY, pid);
	expect_refused(0, ERR_BUSY, pid);
	data_dir_close(dir);
	make_dir(2);
}
END_TEST

START_TEST(other_files_are_left_alone)
{
	make_file("precious.txt", "data", 4);
	expect_refused(2, ERR_EXISTS, "precious.txt");
	expect_refused(0, ERR_NOT_FOUND, "no Kalix data directory");
	ck_assert(!exists("lock"));
	ck_assert(!exists("stores"));
}
END_TEST

START_TEST(nothing_is_made_where_nothing_is_wanted)
{
	expect_refused(0, ERR_NOT_FOUND, "no Kalix data directory");
	ck_assert(!exists("lock"));
}
END_TEST

START_TEST(file_of_another_name_in_stores_is_refused)
{
	ck_assert_int_eq(fs_make_dir(platform_fs(), "stores"), 0);
	make_file("stores/readme", "x", 1);
	expect_refused(2, ERR_EXISTS, "stores/readme");
}
END_TEST

START_TEST(unfinished_directory_is_made_anew)
{
	struct fs *fs = platform_fs();
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_make_dir(fs, "stores/000"), 0);
	ck_assert_int_eq(fs_make_dir(fs, "stores/007"), 0);
	make_file("lock", "", 0);
	make_file("identity.tmp", "half", 4);
	make_dir(2);
	struct data_dir *dir = open_dir(0);
	ck_assert_uint_eq(data_dir_identity(dir).stores, 2);
	data_dir_close(dir);
}
END_TEST

START_TEST(lost_identity_does_not_turn_data_into_an_empty_store)
{
	make_dir(2);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "stores/001/db"), 0);
	ck_assert_int_eq(fs_unlink(platform_fs(), "identity"), 0);
	expect_refused(2, ERR_CORRUPT, "'identity' is missing");
	expect_refused(0, ERR_CORRUPT, "stores/001/db");
}
END_TEST

START_TEST(every_damaged_byte_of_identity_is_noticed)
{
	make_dir(2);
	uint8_t data[40];
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), "identity", data, sizeof(data), &bytes), 0);
	for (size_t i = 0; i < bytes; i++) {
		data[i] ^= 0x10;
		make_file("identity", data, bytes);
		expect_refused(2, ERR_CORRUPT, "damaged");
		data[i] ^= 0x10;
	}
	for (size_t shorter = 0; shorter < bytes; shorter++) {
		make_file("identity", data, shorter);
		expect_refused(2, ERR_CORRUPT, "damaged");
	}
	static const uint8_t large[8192];
	make_file("identity", large, sizeof(large));
	expect_refused(2, ERR_CORRUPT, "damaged");
	make_file("identity", data, bytes);
	make_dir(0);
}
END_TEST

static void put_hash(uint8_t *data, size_t bytes)
{
	store_u64le(data + bytes - 8, hash_bytes(slice_of(data, bytes - 8), 0));
}

START_TEST(newer_format_is_told_from_damage)
{
	make_dir(2);
	uint8_t data[48];
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), "identity", data, sizeof(data), &bytes), 0);
	store_u32le(data + 8, 2);
	put_hash(data, sizeof(data));
	make_file("identity", data, sizeof(data));
	expect_refused(2, ERR_FORMAT, "format 2");
}
END_TEST

START_TEST(impossible_number_of_stores_is_refused)
{
	make_dir(2);
	uint8_t data[40];
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), "identity", data, sizeof(data), &bytes), 0);
	static const uint32_t numbers[] = {0, DATA_DIR_STORES_MAX + 1, UINT32_MAX};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		store_u32le(data + 12, numbers[i]);
		put_hash(data, sizeof(data));
		make_file("identity", data, sizeof(data));
		expect_refused(2, ERR_CORRUPT, "impossible");
	}
	/* More stores than there are directories. */
	store_u32le(data + 12, 3);
	put_hash(data, sizeof(data));
	make_file("identity", data, sizeof(data));
	expect_refused(2, ERR_CORRUPT, "stores/002 is missing");
}
END_TEST

START_TEST(opening_survives_every_failed_allocation)
{
	struct data_dir *dir = NULL;
	for (uint64_t nth = 1; dir == NULL; nth++) {
		ck_assert_uint_lt(nth, 100);
		mem_fail_at(nth);
		int error = data_dir_open(platform_fs(), 2, ID, why, sizeof(why), &dir);
		mem_fail_at(0);
		ck_assert_int_eq(error, dir == NULL ? ERR_NOMEM : 0);
	}
	data_dir_close(dir);
	data_dir_close(NULL);
}
END_TEST

Suite *data_dir_suite(void)
{
	Suite *suite = suite_create("data_dir");
	TCase *tcase = tcase_create("data_dir");
	tcase_add_checked_fixture(tcase, platform_setup, platform_done);
	tcase_add_test(tcase, empty_directory_is_made);
	tcase_add_test(tcase, made_directory_keeps_its_identity);
	tcase_add_test(tcase, identity_is_these_bytes);
	tcase_add_test(tcase, ids_of_stores_are_fixed_and_differ);
	tcase_add_test(tcase, directory_in_use_is_busy_and_names_the_process);
	tcase_add_test(tcase, other_files_are_left_alone);
	tcase_add_test(tcase, nothing_is_made_where_nothing_is_wanted);
	tcase_add_test(tcase, file_of_another_name_in_stores_is_refused);
	tcase_add_test(tcase, unfinished_directory_is_made_anew);
	tcase_add_test(tcase, lost_identity_does_not_turn_data_into_an_empty_store);
	tcase_add_test(tcase, every_damaged_byte_of_identity_is_noticed);
	tcase_add_test(tcase, newer_format_is_told_from_damage);
	tcase_add_test(tcase, impossible_number_of_stores_is_refused);
	tcase_add_test(tcase, opening_survives_every_failed_allocation);
	suite_add_tcase(suite, tcase);
	return suite;
}
