/* The common part of map.h and hash_table.h: open addressing with linear probing. Not for others.
 *
 * A cell holds a 64-bit hash, 0 meaning empty, and a 64-bit value; its home is the low bits of the
 * hash. Invariants: every cell between a hash's home and its place is full; at most 5/8 of the
 * cells are full, so that every probe ends, at the fullest after 1.8 cells for a hit and 4.1 for a
 * miss, on average over random hashes: most often within one cache line. Removal shifts later cells
 * back: there are no tombstones, and a table does not grow slower with age. Buckets of linked
 * entries were rejected for their cache misses, groups with tag bytes because 16-byte cells keep
 * the whole hash.
 *
 * Growth is incremental, because a turn must stay short: the doubled array is new, and each
 * insertion moves a few clusters (maximal runs of full cells) of the old one, whole, so that both
 * arrays stay valid for probing. The old array is empty long before the new one is full. Only
 * insertions allocate and move; so iteration may remove. Memory never shrinks before probe_done.
 */
#ifndef KX_BASE_PROBE_H
#define KX_BASE_PROBE_H

#include "base/assert.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union probe_value {
	uint64_t number;
	void *pointer;
};

struct probe_cell {
	uint64_t hash; /* 0: empty */
	union probe_value value;
};

struct probe_array {
	struct probe_cell *cells; /* NULL: none */
	size_t mask;              /* cells - 1, cells being a power of two */
	size_t count;             /* full cells */
};

struct probe {
	struct probe_array now;
	struct probe_array old; /* being moved to `now`, or none */
	size_t move_at;         /* next cell of `old` to move; the one before it is empty */
	size_t move_left;       /* cells of `old` not looked at yet */
};

/* Cells in the order of a walk that may remove what it has just been given. */
struct probe_cursor {
	size_t at;
	size_t left;
	bool in_old;
	bool started;
};

static inline size_t probe_count(const struct probe *probe)
{
	return probe->now.count + probe->old.count;
}

void probe_done(struct probe *probe);

/* Makes sure that `more` further cells can be added without allocating. ERR_NOMEM, ERR_TOO_LARGE;
 * on failure nothing changes. O(cells) when it must allocate. */
NODISCARD int probe_reserve(struct probe *probe, size_t more);

/* Adds a cell; its hash is not 0. ERR_NOMEM, ERR_TOO_LARGE; on failure nothing changes. */
NODISCARD int probe_add(struct probe *probe, uint64_t hash, union probe_value value);

/* `cell` is one that probe_find or a cursor gave. Pointers to cells end here. */
void probe_remove(struct probe *probe, struct probe_cell *cell);

/* The next cell or NULL. Start with a cursor of zeros; add nothing before the end. */
struct probe_cell *probe_next(const struct probe *probe, struct probe_cursor *cursor);

/* The array's cell that holds hash and, where `matches` is not NULL, satisfies it. Inlined, so that
 * the callback is known to the compiler. */
static inline __attribute__((always_inline)) struct probe_cell *probe_find_in(
    const struct probe_array *array, uint64_t hash,
    bool (*matches)(union probe_value, const void *), const void *key)
{
	if (!array->cells)
		return NULL;
	for (size_t i = hash & array->mask;; i = (i + 1) & array->mask) {
		struct probe_cell *cell = &array->cells[i];
		if (cell->hash == hash && (!matches || matches(cell->value, key)))
			return cell;
		if (cell->hash == 0)
			return NULL;
	}
}

static inline __attribute__((always_inline)) struct probe_cell *probe_find(
    const struct probe *probe, uint64_t hash, bool (*matches)(union probe_value, const void *),
    const void *key)
{
	struct probe_cell *cell = probe_find_in(&probe->now, hash, matches, key);
	if (!cell && __builtin_expect(probe->old.cells != NULL, 0))
		cell = probe_find_in(&probe->old, hash, matches, key);
	return cell;
}

#endif
