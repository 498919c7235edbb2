/* The ordered index of one shard's changes in one generation: a crit-bit tree (D. J. Bernstein)
 * over slots, whose inner nodes stand in the slots themselves, so that nothing is allocated. Slots
 * are added, never removed.
 *
 * A key is read as nine bits per byte: 1 (there is a byte), then the byte's eight; behind its end
 * all bits are 0. So a key stands before those that it begins, as slice_compare has it. An inner
 * node names the first bit in which its two halves differ; positions rise from the root down.
 * Depth is at most ORDER_DEPTH_MAX, and about log2 n + 2 for keys as they occur; walking keeps a
 * stack of the halves still to come instead of recursing.
 *
 * Readers of a tree that no one adds to need no lock.
 */
#ifndef KX_STORAGE_TABLE_ORDER_H
#define KX_STORAGE_TABLE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "storage/batch.h"

struct table_slot;

enum { ORDER_DEPTH_MAX = 9 * (BATCH_KEY_BYTES_MAX + 8) + 1 };

/* The key, without its shard, that a slot stands under. */
struct slice order_key(const struct table_slot *slot);

/* A root of 0 is an empty tree. No slot in it has the slot's key. */
void order_insert(uintptr_t *root, struct table_slot *slot);
bool order_has(uintptr_t root, struct slice key);

/* Keys that will be inserted: their ways through trees that are not empty are fetched from memory,
 * a step of each in turn. */
struct order_soon {
	uintptr_t at; /* the root to begin with */
	struct slice key;
};
void order_fetch(struct order_soon *ways, size_t count);

struct order_walk {
	uintptr_t *stack; /* ORDER_DEPTH_MAX places, the caller's */
	size_t depth;
};
void order_walk_begin(struct order_walk *walk, uintptr_t *stack, uintptr_t root);
/* The same, from the first slot at or behind `first`. Returns the SLOT_CLEAR whose key begins
 * `first` and is shorter, or NULL. (There is at most one, since no stream's key begins another's.)
 * */
struct table_slot *order_walk_from(
    struct order_walk *walk, uintptr_t *stack, uintptr_t root, struct slice first);
/* The next slot in order, or NULL. */
struct table_slot *order_walk_next(struct order_walk *walk);

#endif
