/* The library's own versions of libc's calls. Each does what its name says through the kernel,
 * and tells disk.h what it did, one after the other.
 *
 * Calls whose effect cannot be recorded (a shared writable mapping of a tracked file, a stdio
 * stream that writes to one) end the process: a test must not believe in a recording with holes. */
#include "tests/preload/calls.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "tests/preload/disk.h"
#include "tests/preload/raw.h"

enum { DESCRIPTORS_MAX = 65536 };

/* What was opened through each descriptor. */
static struct {
	struct inode *inode;
	int flags;
	bool made_here;
} opened[DESCRIPTORS_MAX];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool tracking;

__attribute__((constructor)) static void start(void)
{
	pthread_mutex_lock(&mutex);
	tracking = disk_start();
	pthread_mutex_unlock(&mutex);
}

__attribute__((destructor)) static void stop(void)
{
	pthread_mutex_lock(&mutex);
	if (tracking)
		disk_leave();
	tracking = false;
	pthread_mutex_unlock(&mutex);
}

/* The mutex stays locked: another thread that wants to write meanwhile waits for the end, or it
 * would say that something is durable of which the shadow file knows nothing. */
static noreturn void leave(int status)
{
	pthread_mutex_lock(&mutex);
	if (tracking)
		disk_leave();
	raw_exit(status);
}

/* Without exit handlers, and so without destructors. */
EXPORT void _exit(int status)
{
	leave(status);
}

EXPORT void _Exit(int status)
{
	_exit(status);
}

/* Debian's RocksDB has its assertions on, and some of them fail where a file's error is met a
 * second time. That ends the process; the page cache stays. */
EXPORT void __assert_fail(const char *what, const char *file, unsigned line, const char *function)
{
	char text[1400];
	int bytes =
	    snprintf(text, sizeof(text), "assertion: %s:%u: %s: %s\n", file, line, function, what);
	syscall(SYS_write, 2, text, bytes < (int)sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
	leave(POWERCUT_ASSERTION);
}

/* ---- Paths and descriptors ---- */

bool calls_descriptor_path(int fd, char path[CALLS_PATH_BYTES])
{
	char link[64];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t bytes = readlink(link, path, CALLS_PATH_BYTES - 1);
	if (bytes < 0)
		return false;
	path[bytes] = '\0';
	return true;
}

/* Absolute, without ".", ".." and doubled slashes; false where it is too long. Tests make no
 * symbolic links to directories, so ".." takes away the name before it. */
static bool absolute(int directory, const char *from, char path[CALLS_PATH_BYTES])
{
	size_t at = 0;
	if (from[0] != '/') {
		bool found = directory == AT_FDCWD ? syscall(SYS_getcwd, path, CALLS_PATH_BYTES) > 0
		                                   : calls_descriptor_path(directory, path);
		if (!found)
			return false;
		at = strlen(path);
	}
	while (*from != '\0') {
		const char *end = strchrnul(from, '/');
		size_t bytes = (size_t)(end - from);
		if (bytes == 2 && from[0] == '.' && from[1] == '.') {
			path[at] = '\0';
			char *slash = strrchr(path, '/');
			at = slash != NULL ? (size_t)(slash - path) : 0;
		} else if (bytes > 0 && !(bytes == 1 && from[0] == '.')) {
			if (at + 1 + bytes >= CALLS_PATH_BYTES)
				return false;
			path[at++] = '/';
			memcpy(path + at, from, bytes);
			at += bytes;
		}
		from = *end == '/' ? end + 1 : end;
	}
	path[at] = '\0';
	return at > 0;
}

bool calls_tracked_path(int directory, const char *from, char path[CALLS_PATH_BYTES])
{
	return tracking && absolute(directory, from, path) && disk_tracks(path);
}

bool calls_stat(const char *path, struct stat *status)
{
	return syscall(SYS_newfstatat, AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* With the mutex held. NULL: not tracked. */
static struct inode *tracked_descriptor(int fd, struct stat *status)
{
	if (!tracking || fd < 0 || fd >= DESCRIPTORS_MAX || opened[fd].inode == NULL)
		return NULL;
	/* libc closes some of its own behind our back, and their numbers are used again. */
	if (syscall(SYS_fstat, fd, status) < 0 || !disk_is(opened[fd].inode, status))
		return NULL;
	return opened[fd].inode;
}

int calls_fail(int error)
{
	errno = error;
	return -1;
}

/* ---- Opening ---- */

static void note_opened(int fd, int flags, const char *path, bool existed, uint64_t bytes_before)
{
	struct stat status;
	if (fd >= DESCRIPTORS_MAX || syscall(SYS_fstat, fd, &status) < 0)
		disk_uncovered("open", path);
	struct inode *inode = existed ? disk_inode(&status) : disk_created(path, &status);
	if (inode == NULL)
		disk_uncovered("open of an unknown file", path);
	opened[fd].inode = inode;
	opened[fd].flags = flags;
	opened[fd].made_here = !existed;
	if (existed && (flags & O_TRUNC) && bytes_before > 0)
		disk_resized(inode, fd, bytes_before, 0);
}

static int open_tracked(const char *path, int flags, unsigned mode)
{
	struct stat before;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		disk_uncovered("O_TMPFILE", path);
	bool existed = calls_stat(path, &before);
	bool changes = (!existed && (flags & O_CREAT)) || (existed && (flags & O_TRUNC));
	int error = changes ? disk_begin("open", path) : 0;
	int fd = error != 0 ? calls_fail(error) : raw_openat(AT_FDCWD, path, flags, mode);
	if (fd >= 0)
		note_opened(fd, flags, path, existed, existed ? (uint64_t)before.st_size : 0);
	if (changes)
		disk_end();
	return fd;
}

static int open_any(int directory, const char *from, int flags, unsigned mode)
{
	char path[CALLS_PATH_BYTES];
	int fd;
	pthread_mutex_lock(&mutex);
	if (calls_tracked_path(directory, from, path)) {
		fd = open_tracked(path, flags, mode);
	} else {
		fd = raw_openat(directory, from, flags, mode);
		if (fd >= 0 && fd < DESCRIPTORS_MAX)
			opened[fd].inode = NULL;
	}
	pthread_mutex_unlock(&mutex);
	return fd;
}

#define MODE_ARGUMENT(flags, last)                                                                 \
	unsigned mode = 0;                                                                         \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                     \
		va_list arguments;                                                                 \
		va_start(arguments, last);                                                         \
		mode = va_arg(arguments, unsigned);                                                \
		va_end(arguments);                                                                 \
	}

EXPORT int open(const char *path, int flags, ...)
{
	MODE_ARGUMENT(flags, flags)
	return open_any(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
	MODE_ARGUMENT(flags, flags)
	return open_any(directory, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...) __attribute__((alias("open")));
EXPORT int openat64(int directory, const char *path, int flags, ...)
    __attribute__((alias("openat")));

EXPORT int creat(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

EXPORT int close(int fd)
{
	pthread_mutex_lock(&mutex);
	if (fd >= 0 && fd < DESCRIPTORS_MAX)
		opened[fd].inode = NULL;
	int result = raw_close(fd);
	pthread_mutex_unlock(&mutex);
	return result;
}

static int duplicated(int fd, int copy)
{
	if (copy >= 0 && copy < DESCRIPTORS_MAX && fd >= 0 && fd < DESCRIPTORS_MAX)
		opened[copy] = opened[fd];
	return copy;
}

EXPORT int dup(int fd)
{
	pthread_mutex_lock(&mutex);
	int copy = duplicated(fd, (int)syscall(SYS_dup, fd));
	pthread_mutex_unlock(&mutex);
	return copy;
}

EXPORT int dup3(int fd, int to, int flags)
{
	pthread_mutex_lock(&mutex);
	int copy = duplicated(fd, (int)syscall(SYS_dup3, fd, to, flags));
	pthread_mutex_unlock(&mutex);
	return copy;
}

EXPORT int dup2(int fd, int to)
{
	return fd == to ? to : dup3(fd, to, 0);
}

EXPORT int fcntl(int fd, int command, ...)
{
	va_list arguments;
	va_start(arguments, command);
	long argument = va_arg(arguments, long);
	va_end(arguments);
	pthread_mutex_lock(&mutex);
	int result = (int)syscall(SYS_fcntl, fd, command, argument);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		duplicated(fd, result);
	pthread_mutex_unlock(&mutex);
	return result;
}

EXPORT int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

/* Streams are for reading only, below the tracked directory. */
static FILE *open_stream(const char *symbol, const char *from, const char *mode)
{
	char path[CALLS_PATH_BYTES];
	if (strcspn(mode, "wa+") < strlen(mode) && calls_tracked_path(AT_FDCWD, from, path))
		disk_uncovered(symbol, path);
	FILE *(*next)(const char *, const char *) =
	    (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, symbol);
	return next(from, mode);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	return open_stream("fopen", path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
	return open_stream("fopen64", path, mode);
}

EXPORT FILE *fdopen(int fd, const char *mode)
{
	struct stat status;
	pthread_mutex_lock(&mutex);
	if (strcspn(mode, "wa+") < strlen(mode) && tracked_descriptor(fd, &status) != NULL)
		disk_uncovered("fdopen", mode);
	pthread_mutex_unlock(&mutex);
	FILE *(*next)(int, const char *) =
	    (FILE * (*)(int, const char *)) dlsym(RTLD_NEXT, "fdopen");
	return next(fd, mode);
}

EXPORT void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	struct stat status;
	if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) {
		pthread_mutex_lock(&mutex);
		if (tracked_descriptor(fd, &status) != NULL)
			disk_uncovered("mmap", "shared and writable");
		pthread_mutex_unlock(&mutex);
	}
	return (void *)syscall(SYS_mmap, address, bytes, protection, flags, fd, offset);
}

EXPORT void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
    __attribute__((alias("mmap")));

/* ---- Data ---- */

/* One write of any shape: `call` makes it. `at` negative: at the descriptor's own position. */
struct transfer {
	int fd;
	const struct iovec *iov;
	int iov_count;
	off_t at;
	int flags;
};

static ssize_t transfer(const struct transfer *with)
{
	if (with->at < 0 && with->flags == 0)
		return syscall(SYS_writev, with->fd, with->iov, with->iov_count);
	return syscall(SYS_pwritev2, with->fd, with->iov, (long)with->iov_count, (long)with->at, 0L,
	    with->flags);
}

static ssize_t write_tracked(
    struct inode *inode, const struct transfer *with, const struct stat *before)
{
	char path[CALLS_PATH_BYTES] = "";
	calls_descriptor_path(with->fd, path);
	int error = disk_begin("write", path);
	if (error != 0)
		return calls_fail(error);
	off_t at = with->at;
	if (opened[with->fd].flags & O_APPEND)
		at = before->st_size;
	else if (at < 0)
		at = syscall(SYS_lseek, with->fd, 0L, SEEK_CUR);
	ssize_t written = transfer(with);
	if (written > 0)
		disk_wrote(inode, with->fd, (uint64_t)at, (uint64_t)written);
	if (written > 0 &&
	    ((opened[with->fd].flags & O_DSYNC) || (with->flags & (RWF_DSYNC | RWF_SYNC))))
		disk_synced(inode, with->fd, opened[with->fd].made_here);
	disk_end();
	return written;
}

static ssize_t write_any(const struct transfer *with)
{
	struct stat status;
	pthread_mutex_lock(&mutex);
	struct inode *inode = tracked_descriptor(with->fd, &status);
	/* Others may block for long, in a pipe or a socket. */
	if (inode == NULL) {
		pthread_mutex_unlock(&mutex);
		return transfer(with);
	}
	ssize_t written = write_tracked(inode, with, &status);
	pthread_mutex_unlock(&mutex);
	return written;
}

EXPORT ssize_t write(int fd, const void *data, size_t bytes)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
	return write_any(&(struct transfer){.fd = fd, .iov = &iov, .iov_count = 1, .at = -1});
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
	return write_any(&(struct transfer){.fd = fd, .iov = &iov, .iov_count = 1, .at = at});
}

EXPORT ssize_t pwrite64(int fd, const void *data, size_t bytes, off_t at)
    __attribute__((alias("pwrite")));

EXPORT ssize_t writev(int fd, const struct iovec *iov, int count)
{
	return write_any(&(struct transfer){.fd = fd, .iov = iov, .iov_count = count, .at = -1});
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t at)
{
	return write_any(&(struct transfer){.fd = fd, .iov = iov, .iov_count = count, .at = at});
}

EXPORT ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t at)
    __attribute__((alias("pwritev")));

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t at, int flags)
{
	return write_any(
	    &(struct transfer){.fd = fd, .iov = iov, .iov_count = count, .at = at, .flags = flags});
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t at, int flags)
    __attribute__((alias("pwritev2")));

/* A change of size or space: `call` has the arguments of the system call `number`. */
static int resize_any(const char *what, int fd, long number, long a, long b, long c)
{
	struct stat before;
	struct stat after;
	char path[CALLS_PATH_BYTES] = "";
	pthread_mutex_lock(&mutex);
	struct inode *inode = tracked_descriptor(fd, &before);
	int result;
	if (inode == NULL) {
		result = (int)syscall(number, fd, a, b, c);
	} else {
		calls_descriptor_path(fd, path);
		int error = disk_begin(what, path);
		result = error != 0 ? calls_fail(error) : (int)syscall(number, fd, a, b, c);
		if (result == 0 && syscall(SYS_fstat, fd, &after) == 0 &&
		    after.st_size != before.st_size)
			disk_resized(inode, fd, (uint64_t)before.st_size, (uint64_t)after.st_size);
		/* A hole is zeros that were written. */
		if (result == 0 && number == SYS_fallocate && (a & FALLOC_FL_PUNCH_HOLE) &&
		    b < before.st_size)
			disk_wrote(inode, fd, (uint64_t)b,
			    (uint64_t)(c < before.st_size - b ? c : before.st_size - b));
		disk_end();
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

EXPORT int ftruncate(int fd, off_t bytes)
{
	return resize_any("ftruncate", fd, SYS_ftruncate, bytes, 0, 0);
}

EXPORT int ftruncate64(int fd, off_t bytes) __attribute__((alias("ftruncate")));

EXPORT int fallocate(int fd, int mode, off_t offset, off_t bytes)
{
	struct stat status;
	if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0 &&
	    tracked_descriptor(fd, &status) != NULL)
		disk_uncovered("fallocate", "mode");
	return resize_any("fallocate", fd, SYS_fallocate, mode, offset, bytes);
}

EXPORT int fallocate64(int fd, int mode, off_t offset, off_t bytes)
    __attribute__((alias("fallocate")));

EXPORT int posix_fallocate(int fd, off_t offset, off_t bytes)
{
	return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}

EXPORT int posix_fallocate64(int fd, off_t offset, off_t bytes)
    __attribute__((alias("posix_fallocate")));

/* ---- Syncs ---- */

static int sync_descriptor(const char *what, int fd, long number)
{
	struct stat status;
	char path[CALLS_PATH_BYTES] = "";
	pthread_mutex_lock(&mutex);
	struct inode *inode = tracked_descriptor(fd, &status);
	int result;
	if (inode == NULL) {
		result = (int)syscall(number, fd);
	} else {
		calls_descriptor_path(fd, path);
		int error = disk_begin(what, path);
		result = error != 0 ? calls_fail(error) : 0;
		if (result == 0)
			disk_synced(inode, fd, opened[fd].made_here);
		disk_end();
	}
	pthread_mutex_unlock(&mutex);
	return result;
}

EXPORT int fsync(int fd)
{
	return sync_descriptor("fsync", fd, SYS_fsync);
}

EXPORT int fdatasync(int fd)
{
	return sync_descriptor("fdatasync", fd, SYS_fdatasync);
}

static void sync_everything(void)
{
	pthread_mutex_lock(&mutex);
	if (tracking) {
		disk_begin("sync", "");
		disk_synced_all();
		disk_end();
	}
	pthread_mutex_unlock(&mutex);
}

EXPORT void sync(void)
{
	sync_everything();
}

EXPORT int syncfs(int fd)
{
	(void)fd;
	sync_everything();
	return 0;
}

/* It says of itself that it makes nothing durable. */
EXPORT int sync_file_range(int fd, off64_t offset, off64_t bytes, unsigned flags)
{
	(void)fd;
	(void)offset;
	(void)bytes;
	(void)flags;
	return 0;
}

/* ---- For the other files ---- */

void calls_lock(void)
{
	pthread_mutex_lock(&mutex);
}

void calls_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

bool calls_track(int fd)
{
	struct stat status;
	return tracked_descriptor(fd, &status) != NULL;
}

ssize_t calls_write(int fd, const void *data, size_t bytes, off_t at)
{
	struct stat status;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
	struct inode *inode = tracked_descriptor(fd, &status);
	if (inode == NULL)
		disk_uncovered("a descriptor that was closed", "");
	return write_tracked(
	    inode, &(struct transfer){.fd = fd, .iov = &iov, .iov_count = 1, .at = at}, &status);
}

int calls_sync(int fd, uint64_t offset, uint64_t bytes)
{
	struct stat status;
	char path[CALLS_PATH_BYTES] = "";
	struct inode *inode = tracked_descriptor(fd, &status);
	if (inode == NULL)
		disk_uncovered("a descriptor that was closed", "");
	calls_descriptor_path(fd, path);
	int error = disk_begin("ring sync", path);
	if (error == 0 && bytes > 0)
		disk_synced_range(inode, fd, opened[fd].made_here, offset, bytes);
	else if (error == 0)
		disk_synced(inode, fd, opened[fd].made_here);
	disk_end();
	return error == 0 ? 0 : calls_fail(error);
}
