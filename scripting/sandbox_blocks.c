#include "scripting/sandbox_blocks.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>
#include <sys/mman.h>

#define LARGE_PAGE_BYTES (2UL * 1024 * 1024)

/* Which size holds so many bytes; -1: none of ours. */
static int size_for(size_t bytes)
{
	if (bytes < (size_t)1 << BLOCK_BYTES_MIN_LOG2 || bytes > (size_t)1 << BLOCK_BYTES_MAX_LOG2)
		return -1;
	int log2 = 63 - __builtin_clzll((unsigned long long)bytes - 1) + 1;
	return log2 < BLOCK_BYTES_MIN_LOG2 ? 0 : log2 - BLOCK_BYTES_MIN_LOG2;
}

static size_t size_bytes(int size)
{
	return (size_t)1 << (BLOCK_BYTES_MIN_LOG2 + size);
}

/* Large pages are a few faults instead of thousands. Where there are none nothing is lost. */
static void *make(size_t bytes)
{
	if (bytes < LARGE_PAGE_BYTES)
		return mem_alloc(bytes);
	void *made = mem_alloc_aligned(LARGE_PAGE_BYTES, bytes);
	if (made)
		(void)madvise(made, bytes, MADV_HUGEPAGE);
	return made;
}

/* What the allocator is asked for: a small block is whole whatever it was asked for with. */
static size_t whole(size_t bytes)
{
	return block_is_small(bytes) ? (bytes + SMALL_STEP - 1) / SMALL_STEP * SMALL_STEP : bytes;
}

static void *take(struct blocks *blocks, size_t bytes)
{
	int size = size_for(bytes);
	if (size < 0) {
		void *kept = block_is_small(bytes) ? blocks_take_small(blocks, bytes) : NULL;
		return kept ? kept : mem_alloc(whole(bytes));
	}
	blocks->rests = 0;
	struct block *block = blocks->free[size];
	if (!block)
		return make(size_bytes(size));
	blocks->free[size] = block->next;
	blocks->free_bytes -= size_bytes(size);
	return block;
}

void blocks_free(struct blocks *blocks, void *memory, size_t bytes)
{
	if (block_is_small(bytes) && blocks_keep_small(blocks, memory, bytes))
		return;
	int size = size_for(bytes);
	if (size < 0 || blocks->free_bytes + size_bytes(size) > BLOCKS_BYTES_MAX) {
		mem_free(memory);
		return;
	}
	struct block *block = memory;
	block->next = blocks->free[size];
	blocks->free[size] = block;
	blocks->free_bytes += size_bytes(size);
}

void *blocks_next(struct blocks *blocks, size_t bytes)
{
	int size = size_for(bytes);
	if (size < 0)
		return NULL;
	if (!blocks->free[size]) {
		struct block *made = make(size_bytes(size));
		if (!made)
			return NULL;
		made->next = NULL;
		blocks->free[size] = made;
		blocks->free_bytes += size_bytes(size);
	}
	return blocks->free[size];
}

void *blocks_realloc(struct blocks *blocks, void *old, size_t old_bytes, size_t bytes)
{
	if (!old)
		return take(blocks, bytes);
	int old_size = size_for(old_bytes), size = size_for(bytes);
	if (old_size < 0 && size < 0) {
		if (whole(old_bytes) == whole(bytes))
			return old;
		if (!block_is_small(old_bytes) || !block_is_small(bytes))
			return mem_realloc(old, whole(bytes));
	} else if (old_size == size) {
		return old;
	}
	void *made = take(blocks, bytes);
	if (!made)
		return NULL;
	memcpy(made, old, old_bytes < bytes ? old_bytes : bytes);
	blocks_free(blocks, old, old_bytes);
	return made;
}

static void give_back_one(struct blocks *blocks)
{
	for (int size = BLOCK_SIZES - 1; size >= 0; size--) {
		struct block *block = blocks->free[size];
		if (!block)
			continue;
		blocks->free[size] = block->next;
		blocks->free_bytes -= size_bytes(size);
		mem_free(block);
		return;
	}
}

void blocks_rest(struct blocks *blocks)
{
	if (blocks->free_bytes == 0 || ++blocks->rests < BLOCKS_REST_MAX)
		return;
	blocks->rests = 0;
	give_back_one(blocks);
}

void blocks_done(struct blocks *blocks)
{
	for (size_t size = 0; size < SMALL_SIZES; size++) {
		void *memory;
		while ((memory = blocks_take_small(blocks, (size + 1) * SMALL_STEP)) != NULL)
			mem_free(memory);
	}
	while (blocks->free_bytes > 0)
		give_back_one(blocks);
}
