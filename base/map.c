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

static int put(struct map *map, uint64_t key, union probe_value value)
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

int map_put(struct map *map, uint64_t key, uint64_t value)
{
	return put(map, key, (union probe_value){.number = value});
}

int map_put_pointer(struct map *map, uint64_t key, void *pointer)
{
	return put(map, key, (union probe_value){.pointer = pointer});
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

static const union probe_value *next(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key)
{
	if (!cursor->past_zero) {
		cursor->past_zero = true;
		if (map->has_zero) {
			*ret_key = 0;
			return &map->zero_value;
		}
	}
	const struct probe_cell *cell = probe_next(&map->probe, &cursor->probe);
	if (!cell)
		return NULL;
	*ret_key = key_of(cell->hash);
	return &cell->value;
}

bool map_next(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key, uint64_t *ret_value)
{
	const union probe_value *value = next(map, cursor, ret_key);
	if (value)
		*ret_value = value->number;
	return value != NULL;
}

bool map_next_pointer(
    const struct map *map, struct map_cursor *cursor, uint64_t *ret_key, void **ret_pointer)
{
	const union probe_value *value = next(map, cursor, ret_key);
	if (value)
		*ret_pointer = value->pointer;
	return value != NULL;
}
