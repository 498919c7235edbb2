/* fs.h on the kernel's files. Every path is resolved below the root's descriptor, so that a process
 * may change its working directory, and two data directories never mix. */
#include "base/io/fs_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "base/io/fs_common.h"
#include "base/mem.h"

struct fs {
	int root;
};

struct fs_file {
	int fd;
	bool direct;
};

struct fs_lock {
	int fd;
};

enum {
	DIR_MODE = 0700,
	FILE_MODE = 0600,
	ZERO_BYTES = 64 * 1024,
};

/* One call moves at most this much: above it Linux shortens a transfer without saying so. */
static const size_t TRANSFER_BYTES_MAX = 1u << 30;

unsigned fs_lock_wait_ms = 10 * 1000;

static const unsigned LOCK_RETRY_MS = 5;

static int open_at(int directory, const char *path, int flags)
{
	int fd;
	do
		fd = openat(directory, path, flags | O_CLOEXEC, FILE_MODE);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? error_from_errno(errno) : fd;
}

static int sync_descriptor(int fd)
{
	int result;
	do
		result = fsync(fd);
	while (result < 0 && errno == EINTR);
	return result < 0 ? error_from_errno(errno) : 0;
}

/* The root's own name. It may be there since an attempt that ended before this sync, so that it is
 * done in any case; only for a directory that others made may its parent be closed to us. */
static int sync_root_name(int root, bool is_new)
{
	int parent = open_at(root, "..", O_RDONLY | O_DIRECTORY);
	if (parent < 0)
		return parent == ERR_PERMISSION && !is_new ? 0 : parent;
	int error = sync_descriptor(parent);
	close(parent);
	return error;
}

int fs_open_root(const char *path, bool create, struct fs **ret_fs)
{
	ASSERT(path != NULL);
	bool is_new = create && mkdir(path, DIR_MODE) == 0;
	if (create && !is_new && errno != EEXIST)
		return error_from_errno(errno);
	int root = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
	if (root < 0)
		return errno == ENOTDIR ? ERR_NOT_DIRECTORY : root;
	int error = create ? sync_root_name(root, is_new) : 0;
	struct fs *fs = error < 0 ? NULL : mem_alloc(sizeof(*fs));
	if (fs == NULL) {
		close(root);
		return error < 0 ? error : ERR_NOMEM;
	}
	fs->root = root;
	*ret_fs = fs;
	return 0;
}

void fs_close_root(struct fs *fs)
{
	if (fs == NULL)
		return;
	close(fs->root);
	mem_free(fs);
}

/* Set after opening and not with it: an open with O_CREAT | O_DIRECT that the file system refuses
 * has made the file all the same, and O_EXCL would then fail on the second try. */
static bool bypass_page_cache(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_DIRECT) == 0;
}

/* A lock of the open file description: unlike a lock of the process it excludes a second struct
 * fs of the same process, closing some other descriptor does not drop it, and a write that the
 * kernel still carries for a dead process keeps it. */
static int lock_descriptor(int fd)
{
	int result;
	do
		result = flock(fd, LOCK_EX | LOCK_NB);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return 0;
	return errno == EWOULDBLOCK ? ERR_BUSY : error_from_errno(errno);
}

static int wait_for_lock(int fd)
{
	const struct timespec pause = {.tv_nsec = LOCK_RETRY_MS * 1000 * 1000};
	int error = lock_descriptor(fd);
	for (unsigned waited_ms = 0; error == ERR_BUSY && waited_ms < fs_lock_wait_ms;
	     waited_ms += LOCK_RETRY_MS) {
		nanosleep(&pause, NULL);
		error = lock_descriptor(fd);
	}
	return error;
}

int fs_open(struct fs *fs, const char *path, unsigned flags, struct fs_file **ret_file)
{
	ASSERT(flags & (FS_READ | FS_WRITE));
	ASSERT(!(flags & FS_EXCLUSIVE) || (flags & FS_CREATE));
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	int open_flags = flags & FS_WRITE ? (flags & FS_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
	if (flags & FS_CREATE)
		open_flags |= O_CREAT;
	if (flags & FS_EXCLUSIVE)
		open_flags |= O_EXCL;

	struct fs_file *file = mem_alloc(sizeof(*file));
	if (file == NULL)
		return ERR_NOMEM;
	int fd = open_at(fs->root, path, open_flags);
	if (fd < 0) {
		mem_free(file);
		return fd;
	}
	int error = flags & FS_LOCKED ? wait_for_lock(fd) : 0;
	if (error < 0) {
		close(fd);
		mem_free(file);
		return error;
	}
	file->fd = fd;
	file->direct = (flags & FS_DIRECT) && bypass_page_cache(fd);
	*ret_file = file;
	return 0;
}

void fs_close(struct fs_file *file)
{
	if (file == NULL)
		return;
	/* Whatever close could still report belongs to writes that nobody asked to be durable. */
	close(file->fd);
	mem_free(file);
}

int fs_file_descriptor(const struct fs_file *file)
{
	return file->fd;
}

bool fs_file_is_direct(const struct fs_file *file)
{
	return file->direct;
}

static size_t transfer_bytes(size_t bytes)
{
	return bytes < TRANSFER_BYTES_MAX ? bytes : TRANSFER_BYTES_MAX;
}

int fs_read(struct fs_file *file, uint64_t offset, void *data, size_t bytes, size_t *ret_bytes)
{
	ASSERT(offset <= INT64_MAX - bytes);
	size_t done = 0;
	while (done < bytes) {
		ssize_t count = pread(file->fd, (uint8_t *)data + done,
		    transfer_bytes(bytes - done), (off_t)(offset + done));
		if (count == 0)
			break;
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_from_errno(errno);
		done += (size_t)count;
		/* A direct read that stops off the alignment stopped at the end of the file, and
		 * going on from there would be refused. */
		if (file->direct && done % FS_ALIGNMENT != 0)
			break;
	}
	*ret_bytes = done;
	return 0;
}

int fs_write(struct fs_file *file, uint64_t offset, const void *data, size_t bytes)
{
	ASSERT(offset <= INT64_MAX - bytes);
	size_t done = 0;
	while (done < bytes) {
		ssize_t count = pwrite(file->fd, (const uint8_t *)data + done,
		    transfer_bytes(bytes - done), (off_t)(offset + done));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return error_from_errno(errno);
		if (count == 0)
			return ERR_IO;
		done += (size_t)count;
	}
	return 0;
}

int fs_sync(struct fs_file *file)
{
	int result;
	do
		result = fdatasync(file->fd);
	while (result < 0 && errno == EINTR);
	return result < 0 ? error_from_errno(errno) : 0;
}

int fs_size(struct fs_file *file, uint64_t *ret_bytes)
{
	struct stat status;
	if (fstat(file->fd, &status) < 0)
		return error_from_errno(errno);
	*ret_bytes = (uint64_t)status.st_size;
	return 0;
}

/* For file systems without fallocate: space is taken by writing it. Only what lies behind the end
 * of the file is written, what lies before it may be in use. */
static int allocate_by_writing(struct fs_file *file, uint64_t end)
{
	uint64_t size = 0;
	int error = fs_size(file, &size);
	if (error < 0 || size >= end)
		return error;
	void *zeros = fs_buffer_alloc(ZERO_BYTES);
	if (zeros == NULL)
		return ERR_NOMEM;
	memset(zeros, 0, ZERO_BYTES);
	/* From an aligned offset on, because the file may bypass the page cache; an unaligned
	 * remainder of the file reads as zeros once the size covers it. */
	uint64_t offset = (size + FS_ALIGNMENT - 1) / FS_ALIGNMENT * FS_ALIGNMENT;
	while (error == 0 && offset + FS_ALIGNMENT <= end) {
		uint64_t left = (end - offset) / FS_ALIGNMENT * FS_ALIGNMENT;
		size_t bytes = left < ZERO_BYTES ? (size_t)left : ZERO_BYTES;
		error = fs_write(file, offset, zeros, bytes);
		offset += bytes;
	}
	fs_buffer_free(zeros);
	if (error < 0 || offset >= end)
		return error;
	return fs_truncate(file, end);
}

int fs_allocate(struct fs_file *file, uint64_t offset, uint64_t bytes)
{
	ASSERT(bytes > 0);
	ASSERT(offset <= INT64_MAX - bytes);
	int result;
	do
		result = fallocate(file->fd, 0, (off_t)offset, (off_t)bytes);
	while (result < 0 && errno == EINTR);
	if (result == 0)
		return 0;
	/* Not posix_fallocate: where it emulates, it reads and writes back bytes that another
	 * thread may be overwriting. */
	if (errno == EOPNOTSUPP)
		return allocate_by_writing(file, offset + bytes);
	return error_from_errno(errno);
}

int fs_truncate(struct fs_file *file, uint64_t bytes)
{
	ASSERT(bytes <= INT64_MAX);
	int result;
	do
		result = ftruncate(file->fd, (off_t)bytes);
	while (result < 0 && errno == EINTR);
	return result < 0 ? error_from_errno(errno) : 0;
}

int fs_rename(struct fs *fs, const char *from, const char *to)
{
	if (!fs_path_is_valid(from) || !fs_path_is_valid(to))
		return ERR_INVALID;
	return renameat(fs->root, from, fs->root, to) < 0 ? error_from_errno(errno) : 0;
}

int fs_unlink(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	return unlinkat(fs->root, path, 0) < 0 ? error_from_errno(errno) : 0;
}

int fs_make_dir(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	if (mkdirat(fs->root, path, DIR_MODE) == 0)
		return 0;
	if (errno != EEXIST)
		return error_from_errno(errno);
	struct stat status;
	if (fstatat(fs->root, path, &status, 0) < 0)
		return error_from_errno(errno);
	return S_ISDIR(status.st_mode) ? 0 : ERR_EXISTS;
}

int fs_sync_dir(struct fs *fs, const char *path)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	int fd = open_at(fs->root, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	int error = sync_descriptor(fd);
	close(fd);
	return error;
}

int fs_exists(struct fs *fs, const char *path, bool *ret_exists)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	struct stat status;
	bool exists = fstatat(fs->root, path, &status, AT_SYMLINK_NOFOLLOW) == 0;
	if (!exists && errno != ENOENT)
		return error_from_errno(errno);
	*ret_exists = exists;
	return 0;
}

static int is_directory(int directory, const struct dirent *entry, bool *ret_is_dir)
{
	if (entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK) {
		*ret_is_dir = entry->d_type == DT_DIR;
		return 0;
	}
	struct stat status;
	if (fstatat(directory, entry->d_name, &status, 0) < 0) {
		/* A link that leads nowhere is a name all the same. */
		if (errno != ENOENT)
			return error_from_errno(errno);
		status.st_mode = 0;
	}
	*ret_is_dir = S_ISDIR(status.st_mode);
	return 0;
}

static int collect_names(DIR *stream, struct fs_names *names)
{
	for (;;) {
		errno = 0;
		const struct dirent *entry = readdir(stream);
		if (entry == NULL)
			return errno == 0 ? 0 : error_from_errno(errno);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		bool is_dir = false;
		int error = is_directory(dirfd(stream), entry, &is_dir);
		if (error == 0)
			error = fs_names_add(names, entry->d_name, is_dir);
		if (error < 0)
			return error;
	}
}

int fs_list(struct fs *fs, const char *path, int (*each)(void *arg, const char *name, bool is_dir),
    void *arg)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	int fd = open_at(fs->root, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	DIR *stream = fdopendir(fd);
	if (stream == NULL) {
		close(fd);
		return ERR_NOMEM;
	}
	struct fs_names names = {0};
	int error = collect_names(stream, &names);
	closedir(stream);
	if (error == 0)
		error = fs_names_each(&names, each, arg);
	fs_names_done(&names);
	return error;
}

int fs_space(struct fs *fs, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes)
{
	struct statvfs status;
	int result;
	do
		result = fstatvfs(fs->root, &status);
	while (result < 0 && errno == EINTR);
	if (result < 0)
		return error_from_errno(errno);
	*ret_free_bytes = (uint64_t)status.f_bavail * status.f_frsize;
	*ret_total_bytes = (uint64_t)status.f_blocks * status.f_frsize;
	return 0;
}

int fs_lock(struct fs *fs, const char *path, struct fs_lock **ret_lock)
{
	if (!fs_path_is_valid(path))
		return ERR_INVALID;
	struct fs_lock *lock = mem_alloc(sizeof(*lock));
	if (lock == NULL)
		return ERR_NOMEM;
	int fd = open_at(fs->root, path, O_RDWR | O_CREAT);
	if (fd < 0) {
		mem_free(lock);
		return fd;
	}
	int error = lock_descriptor(fd);
	if (error < 0) {
		close(fd);
		mem_free(lock);
		return error;
	}
	lock->fd = fd;
	*ret_lock = lock;
	return 0;
}

void fs_unlock(struct fs_lock *lock)
{
	if (lock == NULL)
		return;
	close(lock->fd);
	mem_free(lock);
}
