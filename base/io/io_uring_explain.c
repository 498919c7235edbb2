/* Why a ring cannot be had. The kernel says EPERM for three different reasons and EINVAL for any
 * flag that it does not know: the person who has to change something needs the name of it. */
#include "base/io/io_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/assert.h"

static int forbidden(int disabled, char *why, size_t why_bytes)
{
	switch (disabled) {
	case 2:
		snprintf(why, why_bytes,
		    "the setting kernel.io_uring_disabled = 2 forbids io_uring to every process; "
		    "allow it with: sysctl kernel.io_uring_disabled=0");
		return ERR_UNSUPPORTED;
	case 1:
		snprintf(why, why_bytes,
		    "the setting kernel.io_uring_disabled = 1 forbids io_uring to this user; allow "
		    "it with: sysctl kernel.io_uring_disabled=0, or put the user into the group of "
		    "kernel.io_uring_group");
		return ERR_UNSUPPORTED;
	}
	snprintf(why, why_bytes,
	    "a seccomp filter or security module forbids io_uring_setup (kernel.io_uring_disabled "
	    "does not); in a container, start it with a profile that allows io_uring");
	return ERR_UNSUPPORTED;
}

static bool is_too_old(const char *release)
{
	unsigned major = 0;
	unsigned minor = 0;
	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return false;
	return major < 6 || (major == 6 && minor < 1);
}

int ring_explain_from(
    int err, int disabled, const char *release, uint64_t memlock_bytes, char *why, size_t why_bytes)
{
	ASSERT(err > 0);
	if (why_bytes > 0)
		why[0] = '\0';
	if ((err == ENOSYS || err == EINVAL || err == EOPNOTSUPP) && is_too_old(release)) {
		snprintf(why, why_bytes,
		    "kernel %s is older than 6.1, the first that Kalix can use", release);
		return ERR_UNSUPPORTED;
	}
	switch (err) {
	case EPERM:
	case EACCES:
		return forbidden(disabled, why, why_bytes);
	case ENOSYS:
		snprintf(why, why_bytes,
		    "kernel %s answers that it has no io_uring: it was built without "
		    "CONFIG_IO_URING, or a seccomp filter hides it",
		    release);
		return ERR_UNSUPPORTED;
	case ENOMEM:
		if (memlock_bytes == UINT64_MAX)
			snprintf(why, why_bytes, "out of memory for io_uring");
		else
			snprintf(why, why_bytes,
			    "out of memory for io_uring: RLIMIT_MEMLOCK (ulimit -l) is %" PRIu64
			    " KiB, or the machine has none left",
			    memlock_bytes / 1024);
		return ERR_NOMEM;
	case EMFILE:
	case ENFILE:
		snprintf(why, why_bytes, "no file descriptor is left for io_uring (ulimit -n)");
		return ERR_UNSUPPORTED;
	}
	snprintf(why, why_bytes, "io_uring on kernel %s: %s", release, strerrordesc_np(err));
	return ERR_UNSUPPORTED;
}

static int read_disabled(void)
{
	char text[16];
	int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t bytes = read(fd, text, sizeof(text));
	close(fd);
	return bytes > 0 && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : -1;
}

int ring_explain(int err, char *why, size_t why_bytes)
{
	struct utsname name;
	struct rlimit limit;
	if (uname(&name) < 0)
		snprintf(name.release, sizeof(name.release), "of unknown release");
	uint64_t memlock_bytes = UINT64_MAX;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		memlock_bytes = limit.rlim_cur;
	return ring_explain_from(err, read_disabled(), name.release, memlock_bytes, why, why_bytes);
}
