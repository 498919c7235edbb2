/* What storage/data_member.h promises, on the kernel's files and on simulated ones. */
#include <string.h>

#include "base/hash.h"
#include "base/io/fs.h"
#include "storage/data_member.h"
#include "tests/unit/store/platform.h"
#include "tests/unit/store/suites.h"

static const struct data_member MEMBER = {.node = 3,
    .cluster = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .directory_replica = 0x20003,
    .shards = 128};

enum { FILE_BYTES = 52 };

static void read_file(uint8_t data[FILE_BYTES])
{
	size_t bytes;
	ck_assert_int_eq(fs_read_file(platform_fs(), "member", data, FILE_BYTES, &bytes), 0);
	ck_assert_uint_eq(bytes, FILE_BYTES);
}

static void write_file(uint8_t *data, size_t bytes, bool right_hash)
{
	if (right_hash) {
		uint64_t hash = hash_bytes(slice_of(data, bytes - 8), 0);
		for (size_t i = 0; i < 8; i++)
			data[bytes - 8 + i] = (uint8_t)(hash >> (8 * i));
	}
	ck_assert_int_eq(fs_replace_file(platform_fs(), "member", data, bytes), 0);
}

static void expect(int error)
{
	struct data_member member;
	ck_assert_int_eq(data_member_read(platform_fs(), &member), error);
}

START_TEST(what_is_written_is_read)
{
	struct data_member member;
	expect(ERR_NOT_FOUND);
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
	uint8_t good[FILE_BYTES], data[FILE_BYTES];
	ck_assert_int_eq(data_member_write(platform_fs(), &MEMBER), 0);
	read_file(good);
	for (size_t i = 0; i < FILE_BYTES; i++) {
		memcpy(data, good, sizeof(data));
		data[i] ^= 1;
		write_file(data, FILE_BYTES, false);
		expect(ERR_CORRUPT);
	}
	for (size_t bytes = 0; bytes < FILE_BYTES; bytes++) {
		memcpy(data, good, sizeof(data));
		write_file(data, bytes, false);
		expect(ERR_CORRUPT);
	}
}
END_TEST

START_TEST(other_formats_and_impossible_content)
{
	uint8_t data[FILE_BYTES];
	ck_assert_int_eq(data_member_write(platform_fs(), &MEMBER), 0);
	read_file(data);
	data[8]++;
	write_file(data, FILE_BYTES, true);
	expect(ERR_FORMAT);
	data[8]--;
	/* A node without a replica of shard 0. */
	memset(data + 32, 0, 8);
	write_file(data, FILE_BYTES, true);
	expect(ERR_CORRUPT);
	data[32] = 1;
	/* A number that no node has. */
	data[14] = 1;
	write_file(data, FILE_BYTES, true);
	expect(ERR_CORRUPT);
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
