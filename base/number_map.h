/* A map (base/map.h) from numbers to pointers for numbers that are small most often, as those of
 * groups and shards: the lowest ones are looked up in an array, without hashing.
 *
 * Everything stands in the map, which is what is walked and counted.
 */
#ifndef KX_BASE_NUMBER_MAP_H
#define KX_BASE_NUMBER_MAP_H

#include "base/map.h"

enum { NUMBER_MAP_LOW = 512 };

struct number_map {
	struct map map;            /* all of them */
	void *low[NUMBER_MAP_LOW]; /* those of numbers below, or NULL */
};

/* Allocates nothing; zeros are an empty one too. */
static inline void number_map_init(struct number_map *map)
{
	*map = (struct number_map){0};
}

/* As map_done. */
static inline void number_map_done(struct number_map *map)
{
	map_done(&map->map);
	number_map_init(map);
}

/* As map_reserve: so many new numbers can be put without failing. */
NODISCARD static inline int number_map_reserve(struct number_map *map, size_t more)
{
	return map_reserve(&map->map, more);
}

/* As map_put_pointer. */
NODISCARD static inline int number_map_put(struct number_map *map, uint64_t number, void *pointer)
{
	int error = map_put_pointer(&map->map, number, pointer);
	if (!error && number < NUMBER_MAP_LOW)
		map->low[number] = pointer;
	return error;
}

/* Whether it was there. */
static inline bool number_map_remove(struct number_map *map, uint64_t number)
{
	if (number < NUMBER_MAP_LOW)
		map->low[number] = NULL;
	return map_remove(&map->map, number);
}

/* NULL where it is not there. */
static inline void *number_map_get(const struct number_map *map, uint64_t number)
{
	if (__builtin_expect(number < NUMBER_MAP_LOW, 1))
		return map->low[number];
	return map_get_pointer(&map->map, number);
}

#endif
