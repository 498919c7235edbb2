/* base/mem.h for the simulated program: each block carries who took it, so that the end of a
 * process can free all that it held. Every function of mem.c is defined here; a missing one shows
 * as a name defined twice when a program is linked. */
#include "base/io/sim/mem_sim.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/place.h"
#include "base/mem_fail.h"

static const uint64_t BLOCK_TAKEN = 0x6b61746e656b6174;
static const uint64_t BLOCK_FREED = 0x6465657266656564;

/* Directly before the bytes that the caller gets. */
struct sim_mem_block {
	void *memory; /* what free takes */
	struct sim_mem_scope *scope;
	struct sim_mem_block *next;
	struct sim_mem_block *previous;
	size_t bytes;
	size_t total, alignment; /* of what was taken */
	uint64_t mark;
};

_Static_assert(
    sizeof(struct sim_mem_block) % 16 == 0, "the caller's bytes stay aligned as malloc's");

static struct sim_mem_scope *entered;

void sim_mem_enter(struct sim_mem_scope *scope)
{
	entered = scope;
}

static void scope_add(struct sim_mem_scope *scope, struct sim_mem_block *block)
{
	block->scope = scope;
	block->previous = NULL;
	block->next = NULL;
	if (scope == NULL)
		return;
	block->next = scope->first;
	if (scope->first != NULL)
		scope->first->previous = block;
	scope->first = block;
	scope->count++;
}

static void scope_remove(struct sim_mem_block *block)
{
	struct sim_mem_scope *scope = block->scope;
	if (scope == NULL)
		return;
	ASSERT(scope->count > 0);
	if (block->previous != NULL)
		block->previous->next = block->next;
	else
		scope->first = block->next;
	if (block->next != NULL)
		block->next->previous = block->previous;
	scope->count--;
}

static struct sim_mem_block *block_of(void *memory)
{
	struct sim_mem_block *block = (struct sim_mem_block *)memory - 1;
	ASSERT(block->mark == BLOCK_TAKEN);
	return block;
}

static void *take(size_t alignment, size_t bytes, struct sim_mem_scope *scope)
{
	size_t before = sizeof(struct sim_mem_block);
	if (before % alignment != 0)
		before += alignment - before % alignment;
	if (bytes > SIZE_MAX - before - alignment)
		return NULL;
	size_t total = (before + bytes + alignment - 1) / alignment * alignment;
	bool placed = place_is_open();
	uint8_t *memory = placed ? place_take(alignment, total) : aligned_alloc(alignment, total);
	if (memory == NULL)
		return NULL;
	struct sim_mem_block *block = (struct sim_mem_block *)(void *)(memory + before) - 1;
	*block = (struct sim_mem_block){.memory = memory,
	    .bytes = bytes,
	    .total = total,
	    .alignment = alignment,
	    .mark = BLOCK_TAKEN};
	scope_add(scope, block);
	return block + 1;
}

static void give_back(void *memory)
{
	struct sim_mem_block *block = block_of(memory);
	scope_remove(block);
	block->mark = BLOCK_FREED;
	if (place_is_open())
		place_give_back(block->memory, block->alignment, block->total);
	else
		free(block->memory);
}

void sim_mem_free_scope(struct sim_mem_scope *scope)
{
	while (scope->first != NULL)
		give_back(scope->first + 1);
	ASSERT(scope->count == 0);
}

void *sim_mem_zalloc(size_t bytes)
{
	void *memory = take(16, bytes, NULL);
	ASSERT(memory != NULL);
	return memset(memory, 0, bytes);
}

void sim_mem_free(void *memory)
{
	if (memory != NULL)
		give_back(memory);
}

void *mem_alloc(size_t bytes)
{
	ASSERT(bytes > 0);
	return mem_must_fail() ? NULL : take(16, bytes, entered);
}

void *mem_zalloc(size_t count, size_t bytes)
{
	ASSERT(count > 0);
	ASSERT(bytes > 0);
	if (mem_must_fail() || count > SIZE_MAX / bytes)
		return NULL;
	void *memory = take(16, count * bytes, entered);
	if (memory != NULL)
		memset(memory, 0, count * bytes);
	return memory;
}

void *mem_alloc_aligned(size_t alignment, size_t bytes)
{
	ASSERT(alignment > 0 && (alignment & (alignment - 1)) == 0);
	ASSERT(bytes > 0 && bytes % alignment == 0);
	return mem_must_fail() ? NULL : take(alignment < 16 ? 16 : alignment, bytes, entered);
}

void *mem_realloc(void *memory, size_t bytes)
{
	ASSERT(bytes > 0);
	if (mem_must_fail())
		return NULL;
	if (memory == NULL)
		return take(16, bytes, entered);
	/* It moves every time: a pointer kept from before is found by the first test. */
	struct sim_mem_block *block = block_of(memory);
	void *moved = take(16, bytes, block->scope);
	if (moved == NULL)
		return NULL;
	memcpy(moved, memory, bytes < block->bytes ? bytes : block->bytes);
	give_back(memory);
	return moved;
}

void mem_free(void *memory)
{
	if (memory != NULL)
		give_back(memory);
}
