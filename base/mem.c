#include "base/mem.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/mem_fail.h"

void *mem_alloc(size_t bytes)
{
	ASSERT(bytes > 0);
	return mem_must_fail() ? NULL : malloc(bytes);
}

void *mem_zalloc(size_t count, size_t bytes)
{
	ASSERT(count > 0);
	ASSERT(bytes > 0);
	size_t all;
	/* calloc sees it too, but a sanitizer's calloc stops the process. */
	if (__builtin_mul_overflow(count, bytes, &all) || mem_must_fail())
		return NULL;
	return calloc(count, bytes);
}

void *mem_alloc_aligned(size_t alignment, size_t bytes)
{
	ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0);
	ASSERT(bytes > 0 && bytes % alignment == 0);
	return mem_must_fail() ? NULL : aligned_alloc(alignment, bytes);
}

void *mem_realloc(void *memory, size_t bytes)
{
	ASSERT(bytes > 0);
	return mem_must_fail() ? NULL : realloc(memory, bytes);
}

void mem_free(void *memory)
{
	free(memory);
}
