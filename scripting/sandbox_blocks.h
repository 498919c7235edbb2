/* Memory for large blocks of one interpreter. A freed one is kept for the next of its size, because
 * the allocator gives them back to the system, and the faults of getting them again cost several
 * times what filling them costs: a string of 8 MiB is 2 ms of copying, and was 20 ms. */
#ifndef KX_SCRIPTING_SANDBOX_BLOCKS_H
#define KX_SCRIPTING_SANDBOX_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

enum {
	BLOCK_BYTES_MIN_LOG2 = 17, /* smaller ones are the allocator's */
	BLOCK_BYTES_MAX_LOG2 = 24, /* larger ones, too */
	BLOCK_SIZES = BLOCK_BYTES_MAX_LOG2 - BLOCK_BYTES_MIN_LOG2 + 1,
};
/* Kept in all. */
#define BLOCKS_BYTES_MAX (128 * 1024 * 1024)
/* Asked so often without a large block in between, one is given back. */
#define BLOCKS_REST_MAX 1000

struct block;
struct blocks {
	struct block *free[BLOCK_SIZES]; /* of 2^(BLOCK_BYTES_MIN_LOG2 + i) bytes each */
	uint64_t free_bytes;
	unsigned rests;
};

/* As realloc, where `old_bytes` (0: none) is what the block was asked for with last, and `bytes` is
 * not 0: NULL without memory, and then the old one stays. */
void *blocks_realloc(struct blocks *blocks, void *old, size_t old_bytes, size_t bytes);
void blocks_free(struct blocks *blocks, void *block, size_t bytes);
/* Between calls. */
void blocks_rest(struct blocks *blocks);
void blocks_done(struct blocks *blocks);

#endif
