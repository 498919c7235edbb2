#include "base/mem.h"

#include "base/assert.h"

#include <stdlib.h>

/* Per thread, so that a test's failure cannot strike another thread's allocation. */
_Thread_local uint64_t mem_fails_at;
static _Thread_local uint64_t tried;
static _Thread_local bool fails_on; /* behind that one, too */

static inline bool must_fail(void)
{
	if (__builtin_expect(mem_fails_at == 0, 1))
		return false;
	return ++tried == mem_fails_at || (fails_on && tried > mem_fails_at);
}

void *mem_alloc(size_t bytes)
{
	ASSERT(bytes > 0);
	return must_fail() ? NULL : malloc(bytes);
}

void *mem_zalloc(size_t count, size_t bytes)
{
	ASSERT(count > 0);
	ASSERT(bytes > 0);
	size_t all;
	/* calloc sees it too, but a sanitizer's calloc stops the process. */
	if (__builtin_mul_overflow(count, bytes, &all) || must_fail())
		return NULL;
	return calloc(count, bytes);
}

void *mem_alloc_aligned(size_t alignment, size_t bytes)
{
	ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0);
	ASSERT(bytes > 0 && bytes % alignment == 0);
	return must_fail() ? NULL : aligned_alloc(alignment, bytes);
}

void *mem_realloc(void *memory, size_t bytes)
{
	ASSERT(bytes > 0);
	return must_fail() ? NULL : realloc(memory, bytes);
}

void mem_free(void *memory)
{
	free(memory);
}

void mem_fail_at(uint64_t nth)
{
	mem_fails_at = nth;
	fails_on = false;
	tried = 0;
}

void mem_fail_from(uint64_t nth)
{
	mem_fail_at(nth);
	fails_on = true;
}

uint64_t mem_count(void)
{
	return tried;
}

bool mem_failed(void)
{
	return mem_fails_at != 0 && tried >= mem_fails_at;
}
