/* Small blocks of memory that come and go all the time: those given back are kept, by size, for the
 * next that is wanted. That takes a tenth of what the allocator does.
 *
 * A block is memory of its own from mem.h, so it may be given back in any order. Blocks above
 * SMALL_BLOCK_BYTES_MAX are not kept; in all, SMALL_BLOCKS_KEPT_BYTES are. Who gives a block back
 * says its size. One thread.
 *
 * Under AddressSanitizer nothing is kept, so that it sees a use of what was given back; and while a
 * test makes allocations fail, everything is asked of mem.h.
 */
#ifndef KX_BASE_SMALL_BLOCKS_H
#define KX_BASE_SMALL_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/fetch.h"
#include "base/mem.h"
#include "base/poison.h"

enum {
	SMALL_BLOCK_STEP_BYTES = 16,
	SMALL_BLOCK_BYTES_MAX = 1024,
	SMALL_BLOCK_CLASSES = SMALL_BLOCK_BYTES_MAX / SMALL_BLOCK_STEP_BYTES,
	SMALL_BLOCKS_KEPT_BYTES = FREED_IS_KEPT ? 512 * 1024 : 0,
};

/* Zeros are an empty one. */
struct small_blocks {
	void *kept[SMALL_BLOCK_CLASSES]; /* chains through the first word of each */
	size_t kept_bytes;
};

/* Frees what is kept. */
void small_blocks_done(struct small_blocks *blocks);

static inline size_t small_block_class(size_t bytes)
{
	return (bytes - 1) / SMALL_BLOCK_STEP_BYTES;
}

/* What a block has in truth. */
static inline size_t small_block_capacity(size_t bytes)
{
	return bytes > SMALL_BLOCK_BYTES_MAX
	           ? bytes
	           : (small_block_class(bytes) + 1) * SMALL_BLOCK_STEP_BYTES;
}

/* As mem_alloc: > 0 bytes, unspecified content, or NULL. */
static inline void *small_block_take(struct small_blocks *blocks, size_t bytes)
{
	ASSERT(bytes > 0);
	size_t class = small_block_class(bytes);
	if (__builtin_expect(class >= SMALL_BLOCK_CLASSES || !blocks->kept[class], 0) ||
	    mem_is_tested())
		return mem_alloc(small_block_capacity(bytes));
	void *block = blocks->kept[class];
	memcpy(&blocks->kept[class], block, sizeof(void *));
	/* The next one will be wanted, and was used long ago. */
	memory_fetch(blocks->kept[class], small_block_capacity(bytes));
	blocks->kept_bytes -= small_block_capacity(bytes);
	return block;
}

/* `bytes` is what it was taken with. NULL is fine. */
static inline void small_block_give(struct small_blocks *blocks, void *block, size_t bytes)
{
	if (!block)
		return;
	size_t capacity = small_block_capacity(bytes);
	if (__builtin_expect(capacity > SMALL_BLOCK_BYTES_MAX ||
	                         blocks->kept_bytes + capacity > SMALL_BLOCKS_KEPT_BYTES,
	        0)) {
		mem_free(block);
		return;
	}
	size_t class = small_block_class(bytes);
	memcpy(block, &blocks->kept[class], sizeof(void *));
	blocks->kept[class] = block;
	blocks->kept_bytes += capacity;
}

#endif
