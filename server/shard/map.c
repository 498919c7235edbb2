/* Slots, shards, stores, cores. */
#include "base/assert.h"
#include "base/slot.h"
#include "server/shard/shard.h"

uint32_t shard_of_slot(const struct shard_map *map, uint16_t slot)
{
	ASSERT(slot < SLOT_COUNT && map->shard_count > 0);
	return 1 + (uint32_t)((uint64_t)slot * map->shard_count / SLOT_COUNT);
}

/* The first slot that shard_of_slot gives to `shard`. */
static uint32_t first_slot(const struct shard_map *map, uint32_t shard)
{
	uint64_t begin = (uint64_t)(shard - 1) * SLOT_COUNT;
	return (uint32_t)((begin + map->shard_count - 1) / map->shard_count);
}

void shard_slots(
    const struct shard_map *map, uint32_t shard, uint16_t *ret_first, uint16_t *ret_last)
{
	ASSERT(shard > 0 && shard <= map->shard_count && map->shard_count <= SLOT_COUNT);
	*ret_first = (uint16_t)first_slot(map, shard);
	*ret_last = (uint16_t)(first_slot(map, shard + 1) - 1);
}

uint32_t shard_store(const struct shard_map *map, uint32_t shard)
{
	return shard % map->store_count;
}

uint32_t shard_core(const struct shard_map *map, uint32_t shard)
{
	return shard_store(map, shard) % map->core_count;
}
