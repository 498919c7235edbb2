/* What storage/data_member.h promises, on the kernel's files and on simulated ones. */
#include <string.h>

#include "storage/data_member.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/small_file.h"
#include "tests/unit/store/suites.h"

static const struct data_member MEMBER = {.node = 3,
    .cluster = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .directory_replica = 0x20003,
    .shards = 128};

enum { FILE_BYTES = 52 };

static int read_it(void)
{
	struct data_member member;
	return data_member_read(platform_fs(), &member);
}

START_TEST(what_is_written_is_read)
{
	struct data_member member;
	ck_assert_int_eq(read_it(), ERR_NOT_FOUND);
	ck_assert_int_eq(data_member_write(platform_fs(), &(struct data_member){.node = 0}), 0);
	ck_assert_int_eq(data_member_read(platform_fs(), &member), 0);
	ck_assert_uint_eq(member.node, 0);
	ck_assert_int_eq(data_member_write(platform_fs(), &MEMBER), 0);
	ck_assert_int_eq(data_member_read(platform_fs(), &member), 0);
	ck_assert_uint_eq(member.node, MEMBER.node);
	ck_assert_mem_eq(member.cluster, MEMBER.cluster, sizeof(MEMBER.cluster));
	ck_assert_uint_eq(member.directory_replica, MEMBER.directory_replica);
	ck_assert_uint_eq(member.shards, MEMBER.shards);
}
END_TEST

START_TEST(damage_is_found)
{
	ck_assert_int_eq(data_member_write(platform_fs(), &MEMBER), 0);
	small_file_expect_damage_found("member", read_it);
}
END_TEST

START_TEST(other_formats_and_impossible_content)
{
	uint8_t data[SMALL_FILE_BYTES_MAX];
	ck_assert_int_eq(data_member_write(platform_fs(), &MEMBER), 0);
	ck_assert_uint_eq(small_file_get("member", data), FILE_BYTES);
	data[8]++;
	small_file_put_right("member", data, FILE_BYTES);
	ck_assert_int_eq(read_it(), ERR_FORMAT);
	data[8]--;
	/* A node without a replica of shard 0. */
	memset(data + 32, 0, 8);
	small_file_put_right("member", data, FILE_BYTES);
	ck_assert_int_eq(read_it(), ERR_CORRUPT);
	data[32] = 1;
	/* A number that no node has. */
	data[14] = 1;
	small_file_put_right("member", data, FILE_BYTES);
	ck_assert_int_eq(read_it(), ERR_CORRUPT);
}
END_TEST

Suite *member_suite(void)
{
	Suite *suite = suite_create("data_member");
	TCase *all = tcase_create("all");
	tcase_add_checked_fixture(all, platform_setup, platform_done);
	tcase_add_test(all, what_is_written_is_read);
	tcase_add_test(all, damage_is_found);
	tcase_add_test(all, other_formats_and_impossible_content);
	suite_add_tcase(suite, all);
	return suite;
}
