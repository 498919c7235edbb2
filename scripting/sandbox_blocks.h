/* Memory of one interpreter. A freed block is kept for the next of its size: a large one, because
 * the allocator gives them back to the system, and the faults of getting them again cost several
 * times what filling them costs (a string of 8 MiB is 2 ms of copying, and was 20 ms); a small one,
 * because a call makes and frees a dozen of them, and each time the allocator takes 150
 * instructions, of which a list of our own takes 20.
 *
 * Small ones are not those of base/small_blocks.h: what that has for the shards (it fetches the
 * next block from memory, and asks whether a test wants failures) costs each call 390 instructions
 * here, 1.2 % of it by tests/bench/handler_count, where the next block was used a moment ago; and
 * a sandbox keeps them under AddressSanitizer too, poisoned. */
#ifndef KX_SCRIPTING_SANDBOX_BLOCKS_H
#define KX_SCRIPTING_SANDBOX_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/poison.h"

enum {
	SMALL_STEP = 16,       /* bytes of small blocks are multiples of it */
	SMALL_BYTES_MAX = 512, /* of a small block */
	SMALL_SIZES = SMALL_BYTES_MAX / SMALL_STEP,
	BLOCK_BYTES_MIN_LOG2 = 17, /* smaller ones are the allocator's */
	BLOCK_BYTES_MAX_LOG2 = 24, /* larger ones, too */
	BLOCK_SIZES = BLOCK_BYTES_MAX_LOG2 - BLOCK_BYTES_MIN_LOG2 + 1,
};
/* Kept in all; of small ones. */
#define BLOCKS_BYTES_MAX (128 * 1024 * 1024)
#define SMALL_KEPT_BYTES (1024 * 1024)
/* Asked so often without a large block in between, one is given back. */
#define BLOCKS_REST_MAX 1000

struct block {
	struct block *next;
};
struct blocks {
	struct block *small[SMALL_SIZES]; /* of SMALL_STEP * (i + 1) bytes each */
	uint64_t small_bytes;
	struct block *free[BLOCK_SIZES]; /* of 2^(BLOCK_BYTES_MIN_LOG2 + i) bytes each */
	uint64_t free_bytes;
	unsigned rests;
};

/* As realloc, where `old_bytes` (0: none) is what the block was asked for with last, and `bytes` is
 * not 0: NULL without memory, and then the old one stays. */
void *blocks_realloc(struct blocks *blocks, void *old, size_t old_bytes, size_t bytes);
void blocks_free(struct blocks *blocks, void *block, size_t bytes);

/* What the next blocks_realloc of a new block of so many bytes gives, if nothing else comes in
 * between: NULL without memory, and for sizes that are not kept. */
void *blocks_next(struct blocks *blocks, size_t bytes);

static inline bool block_is_small(size_t bytes)
{
	return bytes - 1 < SMALL_BYTES_MAX;
}

/* Takes a small one that is kept, or NULL. */
static inline void *blocks_take_small(struct blocks *blocks, size_t bytes)
{
	size_t size = (bytes - 1) / SMALL_STEP;
	struct block *block = blocks->small[size];
	if (__builtin_expect(!block, 0))
		return NULL;
	UNPOISON(block, (size + 1) * SMALL_STEP);
	blocks->small[size] = block->next;
	blocks->small_bytes -= (size + 1) * SMALL_STEP;
	return block;
}

/* Keeps a small one; false where there are enough. */
static inline bool blocks_keep_small(struct blocks *blocks, void *memory, size_t bytes)
{
	size_t size = (bytes - 1) / SMALL_STEP;
	if (__builtin_expect(blocks->small_bytes >= SMALL_KEPT_BYTES, 0))
		return false;
	struct block *block = memory;
	block->next = blocks->small[size];
	blocks->small[size] = block;
	blocks->small_bytes += (size + 1) * SMALL_STEP;
	POISON(block, (size + 1) * SMALL_STEP);
	return true;
}

/* Between calls. */
void blocks_rest(struct blocks *blocks);
void blocks_done(struct blocks *blocks);

#endif
