/* Types whose data was destroyed. A drop is a number, the type's new incarnation, that stands in
 * the shard's ACTIVE record: the entry that activates an app without the type, or with the type
 * anew, says it, so what was before is gone for every call that begins after it, on every replica
 * and after every replay, whatever of it is still in the store. The number is part of the keys
 * (records.h) and of tokens' names (token.c); it never falls, and no number comes twice.
 *
 * Rejected: deleting a range in the store and the table. Each read that misses, each cursor and
 * each checkpoint would have to ask for ranges that were deleted since, for ever after; with a
 * number in the key they need not know. */
#include "server/shard/shard_parts.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

static struct dropped *find(struct dropped *dropped, uint32_t count, struct slice type)
{
	for (uint32_t i = 0; i < count; i++)
		if (slice_equal(slice_from_text(dropped[i].type), type))
			return &dropped[i];
	return NULL;
}

uint64_t dropped_find(const struct shard *shard, struct slice type)
{
	const struct dropped *found = find(shard->dropped, shard->dropped_count, type);
	return found ? found->incarnation : 0;
}

int dropped_with(const struct shard *shard, const struct shards_activation *activation,
    struct dropped **ret_dropped, uint32_t *ret_count)
{
	uint32_t count = shard->dropped_count;
	size_t count_max = (size_t)count + activation->drop_count;
	if (count_max == 0) {
		*ret_dropped = NULL;
		*ret_count = 0;
		return 0;
	}
	struct dropped *dropped = mem_zalloc(count_max, sizeof(*dropped));
	if (!dropped)
		return ERR_NOMEM;
	if (count > 0)
		memcpy(dropped, shard->dropped, count * sizeof(*dropped));
	for (uint32_t i = 0; i < activation->drop_count; i++) {
		const struct shards_drop *drop = &activation->drops[i];
		ASSERT(drop->incarnation > 0);
		struct dropped *known = find(dropped, count, slice_from_text(drop->type));
		if (known && known->incarnation >= drop->incarnation)
			continue;
		if (!known)
			known = &dropped[count++];
		snprintf(known->type, sizeof(known->type), "%s", drop->type);
		known->incarnation = drop->incarnation;
		known->is_empty = false;
	}
	*ret_dropped = dropped;
	*ret_count = count;
	return 0;
}

void dropped_take(struct shard *shard, struct dropped *dropped, uint32_t count)
{
	dropped_forget(shard);
	shard->dropped = dropped;
	shard->dropped_count = count;
	for (uint32_t i = 0; i < count; i++)
		if (!dropped[i].is_empty)
			purge_want(shard);
}

void dropped_forget(struct shard *shard)
{
	mem_free(shard->dropped);
	shard->dropped = NULL;
	shard->dropped_count = 0;
}
