/* Hash map from 64-bit keys to 64-bit values or pointers (base/probe.h tells how, and what it
 * costs): O(1) expected; growing is spread over the insertions; memory 16 bytes a cell, 26 to 51 a
 * key.
 *
 * For keys that we make ourselves (ids, indexes): where outsiders choose them, they could choose
 * them to collide; use a table with a seeded hash. The order of a walk follows from the operations
 * alone, the same in every run. Pointers stay the caller's. One thread.
 */
#ifndef KX_BASE_MAP_H
#define KX_BASE_MAP_H

#include "base/probe.h"

struct map {
	struct probe probe;
	union probe_value zero_value; /* key 0 lives here: its hash would mean an empty cell */
	bool has_zero;
};

/* Allocates nothing; a map of zeros is an empty map too. */
void map_init(struct map *map);

/* Frees the memory; the map is empty and may be used again. */
void map_done(struct map *map);

static inline size_t map_count(const struct map *map)
{
	return probe_count(&map->probe) + map->has_zero;
}

/* Makes sure that `more` new keys can be put without failing. ERR_NOMEM, ERR_TOO_LARGE. */
NODISCARD int map_reserve(struct map *map, size_t more);

/* Sets the key's value, new or not. ERR_NOMEM, ERR_TOO_LARGE, only for a new key; on failure
 * nothing changes. */
NODISCARD int map_put(struct map *map, uint64_t key, uint64_t value);

/* Whether the key was there, and then is no more. */
bool map_remove(struct map *map, uint64_t key);

/* A bijection (so that equal hashes are equal keys) that spreads each bit of the key over all. */
static inline uint64_t map_hash(uint64_t key)
{
	key = (key ^ key >> 32) * 0xd6e8feb86659fd93;
	key = (key ^ key >> 32) * 0xd6e8feb86659fd93;
	return key ^ key >> 32;
}

/* The key's value, or NULL; for the functions below. */
static inline const union probe_value *map_find(const struct map *map, uint64_t key)
{
	uint64_t hash = map_hash(key);
	if (__builtin_expect(hash == 0, 0))
		return map->has_zero ? &map->zero_value : NULL;
	const struct probe_cell *cell = probe_find(&map->probe, hash, NULL, NULL);
	return cell ? &cell->value : NULL;
}

/* Whether the key is there; ret_value untouched where it is not. */
static inline bool map_get(const struct map *map, uint64_t key, uint64_t *ret_value)
{
	const union probe_value *value = map_find(map, key);
	if (value)
		*ret_value = value->number;
	return value != NULL;
}

static inline bool map_has(const struct map *map, uint64_t key)
{
	return map_find(map, key) != NULL;
}

/* The same for maps whose values are pointers, put and got by these two only; NULL where the key is
 * not there. */
NODISCARD int map_put_pointer(struct map *map, uint64_t key, void *pointer);

static inline void *map_get_pointer(const struct map *map, uint64_t key)
{
	const union probe_value *value = map_find(map, key);
	return value ? value->pointer : NULL;
}

/* Walks over all pairs: start with a cursor of zeros, false at the end. Between two steps the key
 * just given may be removed; nothing else may change. */
struct map_cursor {
	struct probe_cursor probe;
	bool past_zero;
};

bool map_next(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key, uint64_t *ret_value);
bool map_next_pointer(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key, void **ret_pointer);

#endif
