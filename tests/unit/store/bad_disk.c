#include "tests/unit/store/bad_disk.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static _Atomic(const char *) bad;

void bad_disk_set(const char *end_of_path)
{
	atomic_store(&bad, end_of_path);
}

static bool is_bad(int fd)
{
	const char *end = atomic_load(&bad);
	char link[64], path[512];
	if (end == NULL)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t bytes = readlink(link, path, sizeof(path));
	size_t wanted = strlen(end);
	return bytes >= (ssize_t)wanted && memcmp(path + bytes - wanted, end, wanted) == 0;
}

/* In libc's place, for all of the program. The headers may have a function of their own for it. */
ssize_t bad_disk_pread(int fd, void *data, size_t bytes, off_t offset) __asm__("pread");

ssize_t bad_disk_pread(int fd, void *data, size_t bytes, off_t offset)
{
	if (is_bad(fd)) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, data, bytes, offset);
}
