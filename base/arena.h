/* Memory for one request: taken in pieces, given back all at once.
 *
 * Pieces come from blocks of block_bytes; a piece that does not fit a block gets one of its own.
 * The blocks together never hold more than bytes_max. arena_alloc is O(1), arena_reset O(blocks),
 * and keeps one block, so that a request of usual size allocates nothing. One thread.
 */
#ifndef KX_BASE_ARENA_H
#define KX_BASE_ARENA_H

#include "base/error.h"
#include "base/slice.h"

struct arena_block;

struct arena {
	struct arena_block *first; /* the newest */
	uint8_t *at;               /* free part of the newest block */
	uint8_t *end;
	size_t bytes; /* of all blocks */
	size_t block_bytes;
	size_t bytes_max;
	int error; /* why the last piece was refused */
};

/* 0 < block_bytes <= bytes_max. Allocates nothing. */
void arena_init(struct arena *arena, size_t block_bytes, size_t bytes_max);

void arena_done(struct arena *arena);

/* Everything taken is gone; the pieces' memory is used again. */
void arena_reset(struct arena *arena);

/* A piece of `bytes` (0 is fine: a pointer to nothing) with unspecified content, aligned to 16,
 * until arena_reset or arena_done. NULL on failure; arena->error then is ERR_TOO_LARGE (bytes_max
 * would be passed) or ERR_NOMEM. */
__attribute__((alloc_size(2), warn_unused_result)) void *arena_alloc(
    struct arena *arena, size_t bytes);

/* A piece filled with zeros, for count elements. */
__attribute__((warn_unused_result)) void *arena_zalloc(
    struct arena *arena, size_t count, size_t bytes);

/* Copies. ERR_TOO_LARGE, ERR_NOMEM. */
NODISCARD int arena_copy(struct arena *arena, struct slice from, struct slice *ret_copy);

/* A copy with a 0 behind it; NULL on failure, as arena_alloc. */
__attribute__((warn_unused_result)) char *arena_text(struct arena *arena, struct slice from);

#endif
