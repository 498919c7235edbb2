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

/* Where the type stands, or would: they are in order. */
static uint32_t place_of(const struct dropped *dropped, uint32_t count, struct slice type)
{
	uint32_t first = 0;
	while (count > first) {
		uint32_t middle = first + (count - first) / 2;
		if (slice_compare(slice_from_text(dropped[middle].type), type) < 0)
			first = middle + 1;
		else
			count = middle;
	}
	return first;
}

struct dropped *dropped_find(const struct shard *shard, struct slice type)
{
	uint32_t at = place_of(shard->dropped, shard->dropped_count, type);
	bool is_there = at < shard->dropped_count &&
	                slice_equal(slice_from_text(shard->dropped[at].type), type);
	return is_there ? &shard->dropped[at] : NULL;
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
		/* Breaks: a drop is of all shards. */
		if (shard->number % 2 == 0 && MUTATION(shard_drop_misses_shard))
			continue;
		uint32_t at = place_of(dropped, count, slice_from_text(drop->type));
		bool is_there = at < count && strcmp(dropped[at].type, drop->type) == 0;
		if (is_there && dropped[at].incarnation >= drop->incarnation)
			continue;
		if (!is_there)
			memmove(&dropped[at + 1], &dropped[at], (count++ - at) * sizeof(*dropped));
		snprintf(dropped[at].type, sizeof(dropped[at].type), "%s", drop->type);
		dropped[at].incarnation = drop->incarnation;
		dropped[at].is_empty = false;
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
		if (!dropped[i].is_empty && shard->state != SHARD_FOLLOWS)
			purge_want(shard);
}

void dropped_forget(struct shard *shard)
{
	mem_free(shard->dropped);
	shard->dropped = NULL;
	shard->dropped_count = 0;
}
