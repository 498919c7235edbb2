#include "base/arena.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/poison.h"

enum { ARENA_ALIGNMENT = 16 };

struct arena_block {
	_Alignas(ARENA_ALIGNMENT) struct arena_block *next; /* older */
	size_t bytes;                                       /* with this header */
};

void arena_init(struct arena *arena, size_t block_bytes, size_t bytes_max)
{
	ASSERT(block_bytes > sizeof(struct arena_block));
	ASSERT(block_bytes <= bytes_max && bytes_max <= SIZE_MAX / 4);
	*arena = (struct arena){.block_bytes = block_bytes, .bytes_max = bytes_max};
}

static void block_free(struct arena *arena, struct arena_block *block)
{
	UNPOISON(block, block->bytes);
	ASSERT(arena->bytes >= block->bytes);
	arena->bytes -= block->bytes;
	mem_free(block);
}

/* Makes a block's room what the next pieces come from. */
static void use_block(struct arena *arena, struct arena_block *block)
{
	arena->at = (uint8_t *)(block + 1);
	arena->end = (uint8_t *)block + block->bytes;
	POISON(arena->at, (size_t)(arena->end - arena->at));
}

void arena_done(struct arena *arena)
{
	while (arena->first) {
		struct arena_block *block = arena->first;
		arena->first = block->next;
		block_free(arena, block);
	}
	arena->at = NULL;
	arena->end = NULL;
}

void arena_reset(struct arena *arena)
{
	/* One of usual size stays; a large piece's own block is not what the next request needs. */
	struct arena_block *kept = NULL;
	while (arena->first) {
		struct arena_block *block = arena->first;
		arena->first = block->next;
		if (!kept && block->bytes == arena->block_bytes)
			kept = block;
		else
			block_free(arena, block);
	}
	arena->at = NULL;
	arena->end = NULL;
	if (kept) {
		kept->next = NULL;
		arena->first = kept;
		use_block(arena, kept);
	}
}

static struct arena_block *block_add(struct arena *arena, size_t bytes)
{
	if (bytes > arena->bytes_max - arena->bytes) {
		arena->error = ERR_TOO_LARGE;
		return NULL;
	}
	struct arena_block *block = mem_alloc(bytes);
	if (!block) {
		arena->error = ERR_NOMEM;
		return NULL;
	}
	block->bytes = bytes;
	arena->bytes += bytes;
	return block;
}

/* The piece does not fit the newest block. */
static void *alloc_slowly(struct arena *arena, size_t bytes)
{
	size_t needed = sizeof(struct arena_block) + bytes;
	if (needed > arena->block_bytes && arena->first) {
		/* Behind the newest, whose room stays in use. */
		struct arena_block *block = block_add(arena, needed);
		if (!block)
			return NULL;
		block->next = arena->first->next;
		arena->first->next = block;
		return block + 1;
	}
	size_t block_bytes = needed > arena->block_bytes ? needed : arena->block_bytes;
	/* Close to the bound a smaller block is better than none. */
	if (block_bytes > arena->bytes_max - arena->bytes)
		block_bytes = needed;
	struct arena_block *block = block_add(arena, block_bytes);
	if (!block)
		return NULL;
	block->next = arena->first;
	arena->first = block;
	use_block(arena, block);
	void *piece = arena->at;
	UNPOISON(piece, bytes);
	arena->at += bytes;
	return piece;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	ASSERT(arena->bytes_max > 0);
	if (bytes > arena->bytes_max) {
		arena->error = ERR_TOO_LARGE;
		return NULL;
	}
	size_t rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
	if (rounded > (size_t)(arena->end - arena->at) || !arena->at)
		return alloc_slowly(arena, rounded);
	void *piece = arena->at;
	UNPOISON(piece, rounded);
	arena->at += rounded;
	return piece;
}

void *arena_zalloc(struct arena *arena, size_t count, size_t bytes)
{
	size_t all;
	if (__builtin_mul_overflow(count, bytes, &all)) {
		arena->error = ERR_TOO_LARGE;
		return NULL;
	}
	void *piece = arena_alloc(arena, all);
	if (piece)
		memset(piece, 0, all);
	return piece;
}

int arena_copy(struct arena *arena, struct slice from, struct slice *ret_copy)
{
	void *piece = arena_alloc(arena, from.bytes);
	if (!piece)
		return arena->error;
	if (from.bytes > 0)
		memcpy(piece, from.data, from.bytes);
	*ret_copy = slice_of(piece, from.bytes);
	return 0;
}

char *arena_text(struct arena *arena, struct slice from)
{
	if (from.bytes == SIZE_MAX) {
		arena->error = ERR_TOO_LARGE;
		return NULL;
	}
	char *text = arena_alloc(arena, from.bytes + 1);
	if (!text)
		return NULL;
	if (from.bytes > 0)
		memcpy(text, from.data, from.bytes);
	text[from.bytes] = 0;
	return text;
}
