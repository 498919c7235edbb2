/* The clock of production: the kernel's. Through the vDSO, about 20 ns a call. */
#include "base/clock.h"

#include "base/assert.h"

#include <time.h>

uint64_t clock_monotonic_ns(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_MONOTONIC, &now);
	ASSERT(failed == 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_thread_ns(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	ASSERT(failed == 0);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int64_t clock_real_ms(void)
{
	struct timespec now;
	int failed = clock_gettime(CLOCK_REALTIME, &now);
	ASSERT(failed == 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
