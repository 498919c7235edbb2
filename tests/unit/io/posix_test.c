/* What only the kernel's files do: waiting for locks, and standing in for what a file system
 * lacks. */
#include "tests/unit/io/forbid.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/io/fs.h"
#include "base/io/fs_posix.h"

static struct fs_file *open_file(const char *path, unsigned flags)
{
	struct fs_file *file = NULL;
	ck_assert_int_eq(fs_open(platform_fs(), path, flags, &file), 0);
	return file;
}

START_TEST(a_locked_file_is_refused_after_a_while)
{
	struct fs_file *second = NULL;
	struct fs_file *first = open_file("a", FS_READ | FS_WRITE | FS_CREATE | FS_LOCKED);
	fs_lock_wait_ms = 20;
	ck_assert_int_eq(fs_open(platform_other_fs(), "a", FS_READ | FS_LOCKED, &second), ERR_BUSY);
	ck_assert_ptr_null(second);
	/* Who asks for no lock is not kept out, and does not drop it. */
	fs_close(open_file("a", FS_READ | FS_WRITE));
	ck_assert_int_eq(
	    fs_open(platform_other_fs(), "a", FS_WRITE | FS_LOCKED, &second), ERR_BUSY);
	fs_close(first);
	ck_assert_int_eq(fs_open(platform_other_fs(), "a", FS_READ | FS_LOCKED, &second), 0);
	fs_close(second);
}
END_TEST

static void *open_locked(void *arg)
{
	struct fs_file *file = NULL;
	*(int *)arg = fs_open(platform_other_fs(), "a", FS_READ | FS_LOCKED, &file);
	fs_close(file);
	return NULL;
}

START_TEST(a_locked_file_is_waited_for)
{
	pthread_t thread;
	int error = 1;
	struct fs_file *first = open_file("a", FS_READ | FS_WRITE | FS_CREATE | FS_LOCKED);
	ck_assert_int_eq(pthread_create(&thread, NULL, open_locked, &error), 0);
	usleep(20 * 1000);
	fs_close(first);
	pthread_join(thread, NULL);
	ck_assert_int_eq(error, 0);
}
END_TEST

START_TEST(space_is_taken_by_writing_where_it_cannot_be_reserved)
{
	enum { BYTES = 300 * 1000 };
	struct stat status;
	char path[512];
	char data[8];
	size_t bytes = 0;
	forbid_call(__NR_fallocate, 0, EOPNOTSUPP);
	struct fs_file *file = open_file("a", FS_READ | FS_WRITE | FS_CREATE);
	ck_assert_int_eq(fs_write(file, 0, "hello", 5), 0);
	ck_assert_int_eq(fs_allocate(file, 0, BYTES), 0);
	ck_assert_int_eq(fs_allocate(file, 0, 10), 0);
	ck_assert_int_eq(fs_sync(file), 0);
	uint64_t size = 0;
	ck_assert_int_eq(fs_size(file, &size), 0);
	ck_assert_uint_eq(size, BYTES);
	ck_assert_int_eq(fs_read(file, 0, data, 8, &bytes), 0);
	ck_assert_int_eq(memcmp(data, "hello\0\0\0", 8), 0);
	snprintf(path, sizeof(path), "%s/a", platform_directory());
	ck_assert_int_eq(stat(path, &status), 0);
	/* Less one block at each end, which needs no data of its own. */
	ck_assert_uint_ge((uint64_t)status.st_blocks * 512, BYTES - 2 * FS_ALIGNMENT);
	fs_close(file);
}
END_TEST

START_TEST(files_are_buffered_where_direct_access_is_refused)
{
	char data[8] = "";
	size_t bytes = 0;
	forbid_call(__NR_fcntl, F_SETFL, EINVAL);
	struct fs_file *file =
	    open_file("a", FS_READ | FS_WRITE | FS_CREATE | FS_EXCLUSIVE | FS_DIRECT);
	ck_assert(!fs_file_is_direct(file));
	ck_assert_int_eq(fs_write(file, 3, "hello", 5), 0);
	ck_assert_int_eq(fs_read(file, 3, data, 8, &bytes), 0);
	ck_assert_uint_eq(bytes, 5);
	fs_close(file);
}
END_TEST

START_TEST(a_root_is_made_where_asked_for)
{
	char path[512];
	struct fs *fs = NULL;
	snprintf(path, sizeof(path), "%s/new", platform_directory());
	ck_assert_int_eq(fs_open_root(path, false, &fs), ERR_NOT_FOUND);
	ck_assert_int_eq(fs_open_root(path, true, &fs), 0);
	fs_close_root(fs);
	ck_assert_int_eq(fs_open_root(path, true, &fs), 0);
	fs_close_root(fs);
	fs_close_root(NULL);
	fs = NULL;
	snprintf(path, sizeof(path), "%s/absent/new", platform_directory());
	ck_assert_int_eq(fs_open_root(path, true, &fs), ERR_NOT_FOUND);
	fs_close(open_file("file", FS_WRITE | FS_CREATE));
	snprintf(path, sizeof(path), "%s/file", platform_directory());
	ck_assert_int_lt(fs_open_root(path, true, &fs), 0);
	ck_assert_ptr_null(fs);
}
END_TEST

START_TEST(a_new_root_that_cannot_be_made_durable_is_refused)
{
	char path[512];
	struct fs *fs = NULL;
	snprintf(path, sizeof(path), "%s/new", platform_directory());
	forbid_call(__NR_fsync, 0, EIO);
	ck_assert_int_eq(fs_open_root(path, true, &fs), ERR_IO);
	ck_assert_ptr_null(fs);
	ck_assert_int_eq(fs_sync_dir(platform_fs(), "."), ERR_IO);
}
END_TEST

START_TEST(a_full_device_is_told_so)
{
	struct fs_file *full = NULL;
	platform_link("full", "/dev/full");
	ck_assert_int_eq(fs_open(platform_fs(), "full", FS_WRITE, &full), 0);
	ck_assert_int_eq(fs_write(full, 0, "x", 1), ERR_NO_SPACE);
	fs_close(full);
}
END_TEST

START_TEST(a_failing_sync_is_told)
{
	struct fs_file *file = open_file("a", FS_WRITE | FS_CREATE);
	forbid_call(__NR_fdatasync, 0, EIO);
	ck_assert_int_eq(fs_sync(file), ERR_IO);
	ck_assert_int_eq(fs_replace_file(platform_fs(), "b", "x", 1), ERR_IO);
	bool found = true;
	ck_assert_int_eq(fs_exists(platform_fs(), "b", &found), 0);
	ck_assert(!found);
	fs_close(file);
}
END_TEST

Suite *posix_suite(void)
{
	Suite *suite = suite_create("posix");
	TCase *tcase = tcase_create("posix");
	tcase_add_checked_fixture(tcase, platform_setup_files, platform_done);
	tcase_add_test(tcase, a_locked_file_is_refused_after_a_while);
	tcase_add_test(tcase, a_locked_file_is_waited_for);
	tcase_add_test(tcase, space_is_taken_by_writing_where_it_cannot_be_reserved);
	tcase_add_test(tcase, files_are_buffered_where_direct_access_is_refused);
	tcase_add_test(tcase, a_root_is_made_where_asked_for);
	tcase_add_test(tcase, a_new_root_that_cannot_be_made_durable_is_refused);
	tcase_add_test(tcase, a_full_device_is_told_so);
	tcase_add_test(tcase, a_failing_sync_is_told);
	suite_add_tcase(suite, tcase);
	return suite;
}
