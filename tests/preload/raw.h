/* Calls that no preload library sees: the library's own. Results as the kernel gives them, -1 and
 * errno. */
#ifndef KX_TESTS_PRELOAD_RAW_H
#define KX_TESTS_PRELOAD_RAW_H

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int raw_openat(int directory, const char *path, int flags, unsigned mode)
{
	return (int)syscall(SYS_openat, directory, path, flags, mode);
}

static inline int raw_open(const char *path, int flags)
{
	return raw_openat(AT_FDCWD, path, flags | O_CLOEXEC, 0600);
}

static inline int raw_close(int fd)
{
	return (int)syscall(SYS_close, fd);
}

static inline ssize_t raw_pwrite(int fd, const void *data, size_t bytes, off_t offset)
{
	return syscall(SYS_pwrite64, fd, data, bytes, offset);
}

static inline ssize_t raw_pread(int fd, void *data, size_t bytes, off_t offset)
{
	return syscall(SYS_pread64, fd, data, bytes, offset);
}

static inline noreturn void raw_exit(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

#endif
