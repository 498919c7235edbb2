/* The library's own versions of libc's calls that make, take and move names. */
#include <errno.h>
#include <stdio.h>

#include "tests/preload/calls.h"
#include "tests/preload/disk.h"
#include "tests/preload/raw.h"

static int rename_tracked(const char *from, const char *to)
{
	struct stat status;
	struct stat replaced;
	bool exists = calls_stat(from, &status);
	bool replaces = calls_stat(to, &replaced);
	int error = disk_begin("rename", to);
	int result = error != 0 ? calls_fail(error)
	                        : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
	bool same = exists && replaces && status.st_ino == replaced.st_ino;
	if (result == 0 && !same)
		disk_renamed(from, to, &status, replaces ? &replaced : NULL);
	disk_end();
	return result;
}

EXPORT int renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	char from_path[CALLS_PATH_BYTES];
	char to_path[CALLS_PATH_BYTES];
	calls_lock();
	bool is_from = calls_tracked_path(from_directory, from, from_path);
	bool is_to = calls_tracked_path(to_directory, to, to_path);
	if (is_from != is_to)
		disk_uncovered("rename into or out of the tracked directory", to);
	int result = is_from ? rename_tracked(from_path, to_path)
	                     : (int)syscall(SYS_renameat, from_directory, from, to_directory, to);
	calls_unlock();
	return result;
}

EXPORT int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int exchange_tracked(const char *one, const char *other)
{
	struct stat one_was;
	struct stat other_was;
	bool exist = calls_stat(one, &one_was) && calls_stat(other, &other_was);
	int error = disk_begin("exchange", other);
	int result = error != 0 ? calls_fail(error)
	                        : (int)syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other,
	                              RENAME_EXCHANGE);
	if (result == 0 && exist)
		disk_exchanged(one, other, &one_was, &other_was);
	disk_end();
	return result;
}

EXPORT int renameat2(
    int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
	char from_path[CALLS_PATH_BYTES];
	char to_path[CALLS_PATH_BYTES];
	if (flags == 0)
		return renameat(from_directory, from, to_directory, to);
	calls_lock();
	bool is_from = calls_tracked_path(from_directory, from, from_path);
	bool is_to = calls_tracked_path(to_directory, to, to_path);
	if (is_from != is_to || (is_from && flags != RENAME_EXCHANGE))
		disk_uncovered("renameat2 with flags", from);
	int result =
	    is_from ? exchange_tracked(from_path, to_path)
	            : (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
	calls_unlock();
	return result;
}

static int link_tracked(const char *from, const char *to)
{
	struct stat status;
	int error = disk_begin("link", to);
	int result = error != 0 ? calls_fail(error)
	                        : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
	if (result == 0 && calls_stat(to, &status))
		disk_linked(from, to, &status);
	disk_end();
	return result;
}

EXPORT int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags)
{
	char from_path[CALLS_PATH_BYTES];
	char to_path[CALLS_PATH_BYTES];
	calls_lock();
	bool is_from = calls_tracked_path(from_directory, from, from_path);
	bool is_to = calls_tracked_path(to_directory, to, to_path);
	if (is_from != is_to)
		disk_uncovered("link into or out of the tracked directory", to);
	int result = is_from
	                 ? link_tracked(from_path, to_path)
	                 : (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
	calls_unlock();
	return result;
}

EXPORT int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static int unlink_tracked(const char *path, int flags)
{
	struct stat status;
	bool exists = calls_stat(path, &status);
	int error = exists ? disk_begin("unlink", path) : 0;
	int result =
	    error != 0 ? calls_fail(error) : (int)syscall(SYS_unlinkat, AT_FDCWD, path, flags);
	if (result == 0)
		disk_unlinked(path, &status);
	if (exists)
		disk_end();
	return result;
}

EXPORT int unlinkat(int directory, const char *from, int flags)
{
	char path[CALLS_PATH_BYTES];
	calls_lock();
	int result = calls_tracked_path(directory, from, path)
	                 ? unlink_tracked(path, flags)
	                 : (int)syscall(SYS_unlinkat, directory, from, flags);
	calls_unlock();
	return result;
}

EXPORT int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

EXPORT int rmdir(const char *path)
{
	return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

EXPORT int remove(const char *path)
{
	int result = unlink(path);
	return result < 0 && errno == EISDIR ? rmdir(path) : result;
}

static int make_dir_tracked(const char *path, mode_t mode)
{
	struct stat status;
	bool existed = calls_stat(path, &status);
	int error = existed ? 0 : disk_begin("mkdir", path);
	int result =
	    error != 0 ? calls_fail(error) : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
	if (result == 0 && calls_stat(path, &status))
		disk_created(path, &status);
	if (!existed)
		disk_end();
	return result;
}

EXPORT int mkdirat(int directory, const char *from, mode_t mode)
{
	char path[CALLS_PATH_BYTES];
	calls_lock();
	int result = calls_tracked_path(directory, from, path)
	                 ? make_dir_tracked(path, mode)
	                 : (int)syscall(SYS_mkdirat, directory, from, mode);
	calls_unlock();
	return result;
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}
