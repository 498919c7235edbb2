/* fs.h, as both implementations keep it. */
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <stdio.h>
#include <string.h>

#include "base/io/fs.h"
#include "base/mem.h"

static struct fs_file *open_file(const char *path, unsigned flags)
{
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(platform_fs(), path, flags, &file), 0);
	ck_assert_ptr_nonnull(file);
	return file;
}

static void make_file(const char *path, const char *text)
{
	struct fs_file *file = open_file(path, FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_write(file, 0, text, strlen(text)), 0);
	fs_close(file);
}

static void check_file(const char *path, const char *text)
{
	char found[256] = "";
	size_t bytes = 0;
	ck_assert_int_eq(fs_read_file(platform_fs(), path, found, sizeof(found), &bytes), 0);
	ck_assert_uint_eq(bytes, strlen(text));
	ck_assert_int_eq(memcmp(found, text, bytes), 0);
}

static uint64_t size_of(struct fs_file *file)
{
	uint64_t bytes = 0;
	ck_assert_int_eq(fs_size(file, &bytes), 0);
	return bytes;
}

static bool exists(const char *path)
{
	bool found = false;
	ck_assert_int_eq(fs_exists(platform_fs(), path, &found), 0);
	return found;
}

START_TEST(what_is_written_is_read)
{
	struct fs_file *file = open_file("a", FS_READ | FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_write(file, 3, "hello", 5), 0);
	ck_assert_uint_eq(size_of(file), 8);
	char data[16];
	size_t bytes = 0;
	ck_assert_int_eq(fs_read(file, 0, data, sizeof(data), &bytes), 0);
	ck_assert_uint_eq(bytes, 8);
	ck_assert_int_eq(memcmp(data, "\0\0\0hello", 8), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	fs_close(file);
}
END_TEST

START_TEST(reads_are_short_only_at_the_end)
{
	struct fs_file *file = open_file("a", FS_READ | FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_write(file, 0, "0123456789", 10), 0);
	char data[16];
	size_t bytes = 99;
	ck_assert_int_eq(fs_read(file, 7, data, 16, &bytes), 0);
	ck_assert_uint_eq(bytes, 3);
	ck_assert_int_eq(fs_read(file, 10, data, 16, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(fs_read(file, 1000, data, 16, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(fs_read(file, 2, data, 4, &bytes), 0);
	ck_assert_uint_eq(bytes, 4);
	ck_assert_int_eq(memcmp(data, "2345", 4), 0);
	fs_close(file);
}
END_TEST

START_TEST(direct_files_hold_aligned_blocks)
{
	uint8_t *block = fs_buffer_alloc(4 * FS_ALIGNMENT);
	ck_assert_ptr_nonnull(block);
	ck_assert_uint_eq((uintptr_t)block % FS_ALIGNMENT, 0);
	struct fs_file *file =
	    open_file("direct", FS_READ | FS_WRITE | FS_CREATE | FS_EXCLUSIVE | FS_DIRECT);
	ck_assert_int_eq(fs_allocate(file, 0, 8 * FS_ALIGNMENT), 0);
	memset(block, 7, 2 * FS_ALIGNMENT);
	ck_assert_int_eq(fs_write(file, FS_ALIGNMENT, block, 2 * FS_ALIGNMENT), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	memset(block, 1, 4 * FS_ALIGNMENT);
	size_t bytes = 0;
	ck_assert_int_eq(fs_read(file, 0, block, 4 * FS_ALIGNMENT, &bytes), 0);
	ck_assert_uint_eq(bytes, 4 * FS_ALIGNMENT);
	ck_assert_uint_eq(block[0], 0);
	ck_assert_uint_eq(block[FS_ALIGNMENT], 7);
	ck_assert_uint_eq(block[3 * FS_ALIGNMENT - 1], 7);
	ck_assert_uint_eq(block[3 * FS_ALIGNMENT], 0);
	/* A file whose end is not aligned: the last block is short, and nothing fails. */
	ck_assert_int_eq(fs_truncate(file, 2 * FS_ALIGNMENT + 100), 0);
	ck_assert_int_eq(fs_read(file, 2 * FS_ALIGNMENT, block, 2 * FS_ALIGNMENT, &bytes), 0);
	ck_assert_uint_eq(bytes, 100);
	fs_close(file);
	fs_buffer_free(block);
}
END_TEST

START_TEST(opening_obeys_its_flags)
{
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(platform_fs(), "absent", FS_READ, &file), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    fs_open(platform_fs(), "absent", FS_READ | FS_WRITE, &file), ERR_NOT_FOUND);
	ck_assert_int_eq(
	    fs_open(platform_fs(), "no/such/dir", FS_WRITE | FS_CREATE, &file), ERR_NOT_FOUND);
	ck_assert_ptr_null(file);
	make_file("present", "x");
	ck_assert_int_eq(
	    fs_open(platform_fs(), "present", FS_WRITE | FS_CREATE | FS_EXCLUSIVE, &file),
	    ERR_EXISTS);
	ck_assert_ptr_null(file);
	/* FS_CREATE of what is there leaves its content. */
	fs_close(open_file("present", FS_WRITE | FS_CREATE));
	check_file("present", "x");
}
END_TEST

START_TEST(paths_cannot_leave_the_root)
{
	static const char *const paths[] = {
	    "", "/etc/passwd", "..", "../a", "a/..", "a/../b", "a//b", "a/"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct fs_file *file = NULL;
		bool found = true;
		ck_assert_int_eq(fs_open(platform_fs(), paths[i], FS_READ, &file), ERR_INVALID);
		ck_assert_int_eq(fs_exists(platform_fs(), paths[i], &found), ERR_INVALID);
		ck_assert_int_eq(fs_unlink(platform_fs(), paths[i]), ERR_INVALID);
		ck_assert_int_eq(fs_make_dir(platform_fs(), paths[i]), ERR_INVALID);
		ck_assert_int_eq(fs_rename(platform_fs(), paths[i], "ok"), ERR_INVALID);
		ck_assert_int_eq(fs_rename(platform_fs(), "ok", paths[i]), ERR_INVALID);
		ck_assert_int_eq(fs_sync_dir(platform_fs(), paths[i]), ERR_INVALID);
	}
	char longest[FS_PATH_BYTES_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	bool found = true;
	ck_assert_int_eq(fs_exists(platform_fs(), longest, &found), ERR_INVALID);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "..."), 0);
	ck_assert(exists("..."));
}
END_TEST

START_TEST(sizes_follow_truncate_and_allocate)
{
	struct fs_file *file = open_file("a", FS_READ | FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_write(file, 0, "0123456789", 10), 0);
	ck_assert_int_eq(fs_allocate(file, 0, 5), 0);
	ck_assert_uint_eq(size_of(file), 10);
	ck_assert_int_eq(fs_truncate(file, 4), 0);
	ck_assert_uint_eq(size_of(file), 4);
	ck_assert_int_eq(fs_allocate(file, 2, 10000), 0);
	ck_assert_uint_eq(size_of(file), 10002);
	char data[16];
	size_t bytes = 0;
	ck_assert_int_eq(fs_read(file, 0, data, 16, &bytes), 0);
	ck_assert_uint_eq(bytes, 16);
	ck_assert_int_eq(memcmp(data, "0123\0\0\0\0\0\0\0\0\0\0\0\0", 16), 0);
	fs_close(file);
}
END_TEST

START_TEST(rename_replaces)
{
	make_file("a", "new");
	make_file("b", "old");
	ck_assert_int_eq(fs_rename(platform_fs(), "a", "b"), 0);
	ck_assert(!exists("a"));
	check_file("b", "new");
	ck_assert_int_eq(fs_rename(platform_fs(), "a", "c"), ERR_NOT_FOUND);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "d"), 0);
	ck_assert_int_eq(fs_rename(platform_fs(), "b", "d/e"), 0);
	check_file("d/e", "new");
	ck_assert_int_eq(fs_rename(platform_fs(), "d", "d/f"), ERR_INVALID);
	ck_assert_int_eq(fs_sync_dir(platform_fs(), "d"), 0);
	ck_assert_int_eq(fs_sync_dir(platform_fs(), "."), 0);
	ck_assert_int_eq(fs_sync_dir(platform_fs(), "g"), ERR_NOT_FOUND);
}
END_TEST

START_TEST(an_unlinked_file_lives_until_it_is_closed)
{
	make_file("a", "still here");
	struct fs_file *file = open_file("a", FS_READ);
	ck_assert_int_eq(fs_unlink(platform_fs(), "a"), 0);
	ck_assert(!exists("a"));
	ck_assert_int_eq(fs_unlink(platform_fs(), "a"), ERR_NOT_FOUND);
	char data[16];
	size_t bytes = 0;
	ck_assert_int_eq(fs_read(file, 0, data, 16, &bytes), 0);
	ck_assert_uint_eq(bytes, 10);
	fs_close(file);
}
END_TEST

START_TEST(make_dir_accepts_what_is_there)
{
	ck_assert_int_eq(fs_make_dir(platform_fs(), "d"), 0);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "d"), 0);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "d/e"), 0);
	ck_assert_int_eq(fs_make_dir(platform_fs(), "x/y"), ERR_NOT_FOUND);
	make_file("f", "");
	ck_assert_int_eq(fs_make_dir(platform_fs(), "f"), ERR_EXISTS);
}
END_TEST

struct listing {
	char text[256];
	size_t stop_after;
	size_t count;
};

static int note_name(void *arg, const char *name, bool is_dir)
{
	struct listing *listing = arg;
	size_t used = strlen(listing->text);
	snprintf(
	    listing->text + used, sizeof(listing->text) - used, "%s%s ", name, is_dir ? "/" : "");
	return ++listing->count == listing->stop_after ? ERR_FULL : 0;
}

START_TEST(names_are_listed_in_byte_order)
{
	make_file("b", "");
	make_file("a2", "");
	make_file("a10", "");
	make_file("Z", "");
	ck_assert_int_eq(fs_make_dir(platform_fs(), "c"), 0);
	make_file("c/below", "");
	struct listing listing = {.stop_after = 99};
	ck_assert_int_eq(fs_list(platform_fs(), ".", note_name, &listing), 0);
	ck_assert_str_eq(listing.text, "Z a10 a2 b c/ ");
	listing = (struct listing){.stop_after = 2};
	ck_assert_int_eq(fs_list(platform_fs(), ".", note_name, &listing), ERR_FULL);
	ck_assert_str_eq(listing.text, "Z a10 ");
	listing = (struct listing){.stop_after = 99};
	ck_assert_int_eq(fs_list(platform_fs(), "c", note_name, &listing), 0);
	ck_assert_str_eq(listing.text, "below ");
	ck_assert_int_eq(fs_list(platform_fs(), "nowhere", note_name, &listing), ERR_NOT_FOUND);
}
END_TEST

START_TEST(a_lock_excludes_every_other)
{
	struct fs_lock *lock = NULL;
	struct fs_lock *second = NULL;
	ck_assert_int_eq(fs_lock(platform_fs(), "LOCK", &lock), 0);
	ck_assert(exists("LOCK"));
	ck_assert_int_eq(fs_lock(platform_other_fs(), "LOCK", &second), ERR_BUSY);
	ck_assert_int_eq(fs_lock(platform_fs(), "LOCK", &second), ERR_BUSY);
	ck_assert_ptr_null(second);
	/* Looking at the file must not drop the lock, as locks of a process would be. */
	fs_close(open_file("LOCK", FS_READ));
	ck_assert_int_eq(fs_lock(platform_other_fs(), "LOCK", &second), ERR_BUSY);
	fs_unlock(lock);
	ck_assert_int_eq(fs_lock(platform_other_fs(), "LOCK", &second), 0);
	fs_unlock(second);
	fs_unlock(NULL);
}
END_TEST

START_TEST(space_is_told)
{
	uint64_t free_bytes = 0;
	uint64_t total_bytes = 0;
	ck_assert_int_eq(fs_space(platform_fs(), &free_bytes, &total_bytes), 0);
	ck_assert_uint_gt(total_bytes, 0);
	ck_assert_uint_le(free_bytes, total_bytes);
}
END_TEST

START_TEST(small_files_are_replaced_whole)
{
	ck_assert_int_eq(fs_make_dir(platform_fs(), "d"), 0);
	ck_assert_int_eq(fs_replace_file(platform_fs(), "d/identity", "a longer text", 13), 0);
	check_file("d/identity", "a longer text");
	/* What a crash left of an earlier attempt is no hindrance, and does not shine through. */
	make_file("d/identity.tmp", "a much, much longer text");
	ck_assert_int_eq(fs_replace_file(platform_fs(), "d/identity", "short", 5), 0);
	check_file("d/identity", "short");
	ck_assert(!exists("d/identity.tmp"));
	ck_assert_int_eq(fs_replace_file(platform_fs(), "d/identity", "", 0), 0);
	check_file("d/identity", "");

	char data[4];
	size_t bytes = 99;
	ck_assert_int_eq(fs_replace_file(platform_fs(), "d/identity", "12345", 5), 0);
	ck_assert_int_eq(fs_read_file(platform_fs(), "d/identity", data, 4, &bytes), ERR_TOO_LARGE);
	ck_assert_int_eq(fs_read_file(platform_fs(), "d/absent", data, 4, &bytes), ERR_NOT_FOUND);
	ck_assert_uint_eq(bytes, 99);
	ck_assert_int_eq(fs_replace_file(platform_fs(), "absent/x", "", 0), ERR_NOT_FOUND);
}
END_TEST

/* Everything on files that allocates. */
static int use_files(void)
{
	struct fs_file *file;
	struct fs_lock *lock;
	struct listing listing = {.stop_after = 99};
	uint8_t data[8];
	size_t bytes;
	int error = fs_open(platform_fs(), "a", FS_READ | FS_WRITE | FS_CREATE, &file);
	if (error < 0)
		return error;
	fs_close(file);
	error = fs_lock(platform_fs(), "LOCK", &lock);
	if (error < 0)
		return error;
	fs_unlock(lock);
	error = fs_replace_file(platform_fs(), "identity", "1234", 4);
	if (error == 0)
		error = fs_read_file(platform_fs(), "identity", data, sizeof(data), &bytes);
	if (error == 0)
		error = fs_list(platform_fs(), ".", note_name, &listing);
	return error;
}

START_TEST(every_failing_allocation_is_reported)
{
	uint64_t nth = 1;
	for (;; nth++) {
		mem_fail_at(nth);
		int error = use_files();
		bool failed = mem_failed();
		mem_fail_at(0);
		if (!failed) {
			ck_assert_int_eq(error, 0);
			break;
		}
		ck_assert_int_eq(error, ERR_NOMEM);
	}
	ck_assert_uint_gt(nth, 6);
	check_file("identity", "1234");
}
END_TEST

Suite *fs_suite(void)
{
	Suite *suite = suite_create("fs");
	TCase *tcase = tcase_create("files");
	tcase_add_checked_fixture(tcase, platform_setup_files, platform_done);
	tcase_add_test(tcase, what_is_written_is_read);
	tcase_add_test(tcase, reads_are_short_only_at_the_end);
	tcase_add_test(tcase, direct_files_hold_aligned_blocks);
	tcase_add_test(tcase, opening_obeys_its_flags);
	tcase_add_test(tcase, paths_cannot_leave_the_root);
	tcase_add_test(tcase, sizes_follow_truncate_and_allocate);
	tcase_add_test(tcase, rename_replaces);
	tcase_add_test(tcase, an_unlinked_file_lives_until_it_is_closed);
	tcase_add_test(tcase, make_dir_accepts_what_is_there);
	tcase_add_test(tcase, names_are_listed_in_byte_order);
	tcase_add_test(tcase, a_lock_excludes_every_other);
	tcase_add_test(tcase, space_is_told);
	tcase_add_test(tcase, small_files_are_replaced_whole);
	tcase_add_test(tcase, every_failing_allocation_is_reported);
	suite_add_tcase(suite, tcase);
	return suite;
}
