/* Memory that will be needed soon, so that the processor gets it meanwhile. */
#ifndef KX_BASE_FETCH_H
#define KX_BASE_FETCH_H

#include <stddef.h>
#include <stdint.h>

enum {
	FETCH_LINE_BYTES = 64,
	/* More is found by the processor itself, which sees that it is read in order. */
	FETCH_LINES_MAX = 10,
};

/* Nothing is read: any pointer will do. */
static inline void memory_fetch(const void *memory, size_t bytes)
{
	uintptr_t at = (uintptr_t)memory & ~(uintptr_t)(FETCH_LINE_BYTES - 1);
	uintptr_t end = (uintptr_t)memory + bytes;
	if (end - at > FETCH_LINES_MAX * FETCH_LINE_BYTES)
		end = at + FETCH_LINES_MAX * FETCH_LINE_BYTES;
	for (; at < end; at += FETCH_LINE_BYTES)
		__builtin_prefetch((const void *)at);
}

#endif
