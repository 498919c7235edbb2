/* Priority queue whose nodes are embedded in its elements: the smallest key first, equal keys in
 * the order of insertion, so that timers of one instant fire in the order they were set, in every
 * run.
 *
 * A pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): nothing is allocated, so inserting
 * cannot fail. heap_insert and heap_first are O(1); heap_pop and heap_remove are O(log n)
 * amortised, where a single one may cost O(n) after n insertions. An array heap was rejected: it
 * allocates, and moves elements' positions on every step.
 *
 * The heap owns nothing; a node may not move in memory while it is in a heap. One thread.
 */
#ifndef KX_BASE_HEAP_H
#define KX_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;
	uint64_t order; /* number of the insertion, from 1; 0 while in no heap */
	struct heap_node *child;
	struct heap_node *next; /* sibling */
	struct heap_node *back; /* previous sibling, or the parent of a first child */
};

struct heap {
	struct heap_node *root;
	uint64_t inserted;
	size_t count;
};

void heap_init(struct heap *heap);
void heap_node_init(struct heap_node *node);

static inline bool heap_node_linked(const struct heap_node *node)
{
	return node->order != 0;
}

/* The node is in no heap. */
void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key);

/* The smallest, or NULL; it stays. */
static inline struct heap_node *heap_first(const struct heap *heap)
{
	return heap->root;
}

/* Removes and returns the smallest, or NULL. */
struct heap_node *heap_pop(struct heap *heap);

/* Removes a node of this heap; nothing happens where it is in none. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
