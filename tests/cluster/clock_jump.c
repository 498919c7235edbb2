/* Loaded in front of libc: the wall clock of a process is off by what stands in a file, and jumps
 * when that is written anew. Monotonic clocks are as they are: the kernel's cannot jump either.
 *
 * KX_CLOCK_JUMP names the file: milliseconds as decimal text, read again at each question.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now);

static long long offset_ms(void)
{
	const char *path = getenv("KX_CLOCK_JUMP");
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (file < 0)
		return 0;
	char text[32] = "";
	ssize_t bytes = read(file, text, sizeof(text) - 1);
	(void)close(file);
	return bytes > 0 ? strtoll(text, NULL, 10) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real) {
		void *found = dlsym(RTLD_NEXT, "clock_gettime");
		__builtin_memcpy(&real, &found, sizeof(real));
	}
	int status = real(clock, now);
	if (status == 0 && clock == CLOCK_REALTIME)
		now->tv_sec += offset_ms() / 1000;
	return status;
}
