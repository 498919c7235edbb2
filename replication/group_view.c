/* What others are told of groups, and what is told to them of other nodes. */
#include "base/assert.h"
#include "replication/group_parts.h"
#include "storage/keys.h"

struct group *group_store_group(const struct group_store *store, uint32_t shard)
{
	struct group *group = group_find(store, shard);
	return group && group->events ? group : NULL;
}

uint64_t group_self(const struct group *group)
{
	return group->self;
}

struct group_position group_last(const struct group *group)
{
	return group->last;
}

bool group_busy(const struct group *group)
{
	if (group->state != GROUP_LEADS)
		return true;
	struct raft_status status = raft_status(group->raft);
	return status.transferring || !status.committed_in_term ||
	       status.membership_index > status.commit;
}

bool group_asleep(const struct group *group)
{
	return group->raft && raft_status(group->raft).asleep;
}

bool group_progress(const struct group *group, uint32_t number, struct raft_progress *ret_progress)
{
	return group->state == GROUP_LEADS && raft_get_progress(group->raft, number, ret_progress);
}

/* ---- What is told ---- */

static void miss(struct group *group, uint64_t replica, bool down)
{
	group_step(group, (struct raft_event){.kind = down ? RAFT_PEER_DOWN : RAFT_UNREACHABLE,
	                      .replica = replica});
}

void group_store_missed(struct group_store *store, const struct group_place *place, bool down)
{
	if (store->closing)
		return;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (!group->raft || group_is_over(group) || group->alone ||
		    group->shard % place->stores % place->cores != place->core)
			continue;
		struct raft_membership members;
		raft_get_membership(group->raft, &members);
		for (uint32_t i = 0; i < members.count; i++)
			if ((uint16_t)members.members[i].replica == place->node)
				miss(group, members.members[i].replica, down);
	}
}

void group_store_not_there(struct group_store *store, uint32_t shard, uint64_t replica)
{
	struct group *group = group_find(store, shard);
	if (group && group->raft && !group_is_over(group) && !group->alone && !store->closing)
		miss(group, replica, true);
}

/* ---- Before it runs ---- */

uint64_t group_store_replica(struct group_store *store, uint32_t shard, uint16_t node)
{
	const uint8_t kind = KEY_KIND_MEMBERS;
	const struct group *group = group_find(store, shard);
	struct raft_membership members;
	struct slice value;
	if (group && group->state == GROUP_REMOVED)
		return 0;
	if (engine_get(store->engine, shard, slice_of(&kind, 1), &value) != TABLE_VALUE ||
	    raft_membership_read(value, &members))
		return 0;
	for (uint32_t i = 0; i < members.count; i++)
		if ((uint16_t)members.members[i].replica == node)
			return members.members[i].replica;
	return 0;
}
