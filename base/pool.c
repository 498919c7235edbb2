#include "base/pool.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/poison.h"

#include <string.h>

enum { POOL_ALIGNMENT_MIN = 16 };

int pool_init(struct pool *pool, size_t object_bytes, size_t alignment, size_t count_max)
{
	ASSERT(object_bytes > 0 && count_max > 0);
	ASSERT(alignment >= POOL_ALIGNMENT_MIN && (alignment & (alignment - 1)) == 0);
	if (object_bytes > SIZE_MAX / 2 - alignment)
		return ERR_TOO_LARGE;
	size_t step = (object_bytes + alignment - 1) & ~(alignment - 1);
	if (count_max > SIZE_MAX / 2 / step)
		return ERR_TOO_LARGE;
	uint8_t *memory = mem_alloc_aligned(alignment, step * count_max);
	uint64_t *taken = memory ? mem_zalloc((count_max + 63) / 64, sizeof(*taken)) : NULL;
	if (!taken) {
		mem_free(memory);
		return ERR_NOMEM;
	}
	POISON(memory, step * count_max);
	*pool =
	    (struct pool){.memory = memory, .taken = taken, .step = step, .count_max = count_max};
	return 0;
}

void pool_done(struct pool *pool)
{
	if (pool->memory)
		UNPOISON(pool->memory, pool->step * pool->count_max);
	mem_free(pool->memory);
	mem_free(pool->taken);
	*pool = (struct pool){0};
}

static size_t index_of(const struct pool *pool, const void *object)
{
	size_t offset = (size_t)((const uint8_t *)object - pool->memory);
	ASSERT(offset < pool->step * pool->count_max);
	ASSERT(offset % pool->step == 0);
	return offset / pool->step;
}

void *pool_take(struct pool *pool)
{
	void *object = pool->free;
	size_t index;
	if (object) {
		UNPOISON(object, pool->step);
		memcpy(&pool->free, object, sizeof(pool->free));
		index = index_of(pool, object);
	} else if (pool->fresh < pool->count_max) {
		index = pool->fresh++;
		object = pool->memory + index * pool->step;
		UNPOISON(object, pool->step);
	} else {
		return NULL;
	}
	uint64_t bit = (uint64_t)1 << index % 64;
	ASSERT(!(pool->taken[index / 64] & bit));
	pool->taken[index / 64] |= bit;
	pool->count++;
	return object;
}

void pool_give(struct pool *pool, void *object)
{
	if (!object)
		return;
	size_t index = index_of(pool, object);
	uint64_t bit = (uint64_t)1 << index % 64;
	ASSERT(pool->taken[index / 64] & bit);
	pool->taken[index / 64] &= ~bit;
	pool->count--;
	memcpy(object, &pool->free, sizeof(pool->free));
	pool->free = object;
	POISON(object, pool->step);
}
