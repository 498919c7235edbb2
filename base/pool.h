/* A fixed number of objects of one size, allocated when the pool is made: what is bounded at start
 * cannot run out of memory later, it can only be full.
 *
 * pool_take and pool_give are O(1); the object given back last is taken first, while it is still
 * in the cache. Memory of objects never taken is never touched. Giving back twice, or what is not
 * from this pool, stops the process. One thread.
 */
#ifndef KX_BASE_POOL_H
#define KX_BASE_POOL_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct pool {
	uint8_t *memory;
	uint64_t *taken; /* a bit for each object */
	void *free;      /* chain through the first word of each object given back */
	size_t fresh;    /* objects from this index on were never taken */
	size_t step;     /* bytes from one object to the next */
	size_t count_max;
	size_t count; /* objects out now */
};

/* Objects of at least object_bytes (> 0), aligned for any type; `alignment` is 16 or a larger power
 * of two. ERR_NOMEM; ERR_TOO_LARGE where the sizes overflow. */
NODISCARD int pool_init(struct pool *pool, size_t object_bytes, size_t alignment, size_t count_max);

/* Frees everything, objects still out too. A pool filled with zeros may be done. */
void pool_done(struct pool *pool);

/* An object with unspecified content, the caller's until pool_give; NULL when all are out. */
void *pool_take(struct pool *pool);

void pool_give(struct pool *pool, void *object); /* NULL is fine. */

#endif
