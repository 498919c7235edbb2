#include "server/cluster_wishes.h"

#include "base/assert.h"
#include "base/clock.h"

static struct cluster_wish *find(struct cluster_wishes *wishes, uint32_t shard)
{
	for (size_t i = 0; i < CLUSTER_WISHES_MAX; i++)
		if (wishes->wishes[i].shard == shard && wishes->wishes[i].node != 0)
			return &wishes->wishes[i];
	return NULL;
}

void cluster_wishes_add(
    struct cluster_wishes *wishes, uint32_t shard, uint16_t node, uint64_t now_ns)
{
	ASSERT(node != 0);
	struct cluster_wish *wish = find(wishes, shard);
	for (size_t i = 0; i < CLUSTER_WISHES_MAX && !wish; i++)
		if (wishes->wishes[i].node == 0)
			wish = &wishes->wishes[i];
	if (wish)
		*wish = (struct cluster_wish){
		    .shard = shard, .node = node, .until_ns = now_ns + CLUSTER_WISH_MS * NS_PER_MS};
}

void cluster_wishes_forget_old(struct cluster_wishes *wishes, uint64_t now_ns)
{
	for (size_t i = 0; i < CLUSTER_WISHES_MAX; i++)
		if (wishes->wishes[i].until_ns < now_ns)
			wishes->wishes[i].node = 0;
	if (wishes->hands_over_until_ns < now_ns)
		wishes->hands_over = false;
}

uint16_t cluster_wishes_node(const struct cluster_wishes *wishes, uint32_t shard)
{
	if (wishes->hands_over)
		return 0;
	const struct cluster_wish *wish = find((struct cluster_wishes *)(uintptr_t)wishes, shard);
	return wish ? wish->node : 0;
}

void cluster_wishes_begin(struct cluster_wishes *wishes, uint32_t shard, uint64_t now_ns)
{
	ASSERT(!wishes->hands_over);
	wishes->hands_over = true;
	wishes->handed_over = shard;
	wishes->hands_over_until_ns = now_ns + CLUSTER_WISH_MS * NS_PER_MS;
}

bool cluster_wishes_end(struct cluster_wishes *wishes, uint32_t shard)
{
	if (!wishes->hands_over || wishes->handed_over != shard)
		return false;
	wishes->hands_over = false;
	return true;
}

bool cluster_wishes_forget(struct cluster_wishes *wishes, uint32_t shard)
{
	struct cluster_wish *wish = find(wishes, shard);
	if (wish)
		wish->node = 0;
	return cluster_wishes_end(wishes, shard);
}
