#include "base/heap.h"

#include "base/assert.h"

void heap_init(struct heap *heap)
{
	*heap = (struct heap){0};
}

void heap_node_init(struct heap_node *node)
{
	*node = (struct heap_node){0};
}

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
	return a->key < b->key || (a->key == b->key && a->order < b->order);
}

/* Joins two trees, neither with siblings; either may be NULL. */
static struct heap_node *join(struct heap_node *a, struct heap_node *b)
{
	if (!a || !b)
		return a ? a : b;
	if (is_before(b, a)) {
		struct heap_node *swapped = a;
		a = b;
		b = swapped;
	}
	b->next = a->child;
	if (b->next)
		b->next->back = b;
	b->back = a;
	a->child = b;
	return a;
}

/* Joins a chain of siblings into one tree: in pairs from the left, then the pairs from the right,
 * which is what makes the cost logarithmic. */
static struct heap_node *join_siblings(struct heap_node *first)
{
	struct heap_node *pairs = NULL;
	while (first) {
		struct heap_node *a = first;
		struct heap_node *b = a->next;
		first = b ? b->next : NULL;
		a->next = NULL;
		a->back = NULL;
		if (b) {
			b->next = NULL;
			b->back = NULL;
		}
		struct heap_node *pair = join(a, b);
		pair->next = pairs;
		pairs = pair;
	}
	struct heap_node *root = NULL;
	while (pairs) {
		struct heap_node *rest = pairs->next;
		pairs->next = NULL;
		root = join(root, pairs);
		pairs = rest;
	}
	return root;
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
	ASSERT(!heap_node_linked(node));
	*node = (struct heap_node){.key = key, .order = ++heap->inserted};
	heap->root = join(heap->root, node);
	heap->count++;
}

struct heap_node *heap_pop(struct heap *heap)
{
	struct heap_node *node = heap->root;
	if (node)
		heap_remove(heap, node);
	return node;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
	if (!heap_node_linked(node))
		return;
	ASSERT(heap->count > 0);
	struct heap_node *below = join_siblings(node->child);
	if (node == heap->root) {
		heap->root = below;
	} else {
		ASSERT(node->back != NULL);
		if (node->back->child == node)
			node->back->child = node->next;
		else
			node->back->next = node->next;
		if (node->next)
			node->next->back = node->back;
		heap->root = join(heap->root, below);
	}
	heap->count--;
	heap_node_init(node);
}
