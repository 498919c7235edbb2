#include "base/map.h"

/* The inverse of map_hash: the multiplier is the other's inverse modulo 2^64. */
static uint64_t key_of(uint64_t hash)
{
	hash = (hash ^ hash >> 32) * 0xcfee444d8b59a89b;
	hash = (hash ^ hash >> 32) * 0xcfee444d8b59a89b;
	return hash ^ hash >> 32;
}

void map_init(struct map *map)
{
	*map = (struct map){0};
}

void map_done(struct map *map)
{
	probe_done(&map->probe);
	map_init(map);
}

int map_reserve(struct map *map, size_t more)
{
	return probe_reserve(&map->probe, more);
}

int map_put(struct map *map, uint64_t key, uint64_t value)
{
	uint64_t hash = map_hash(key);
	if (hash == 0) {
		map->zero_value = value;
		map->has_zero = true;
		return 0;
	}
	struct probe_cell *cell = probe_find(&map->probe, hash, NULL, NULL);
	if (cell) {
		cell->value = value;
		return 0;
	}
	return probe_add(&map->probe, hash, value);
}

bool map_remove(struct map *map, uint64_t key)
{
	uint64_t hash = map_hash(key);
	if (hash == 0) {
		bool had = map->has_zero;
		map->has_zero = false;
		return had;
	}
	struct probe_cell *cell = probe_find(&map->probe, hash, NULL, NULL);
	if (cell)
		probe_remove(&map->probe, cell);
	return cell != NULL;
}

bool map_next(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key, uint64_t *ret_value)
{
	if (!cursor->past_zero) {
		cursor->past_zero = true;
		if (map->has_zero) {
			*ret_key = 0;
			*ret_value = map->zero_value;
			return true;
		}
	}
	const struct probe_cell *cell = probe_next(&map->probe, &cursor->probe);
	if (!cell)
		return false;
	*ret_key = key_of(cell->hash);
	*ret_value = cell->value;
	return true;
}
