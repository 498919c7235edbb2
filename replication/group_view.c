/* What others are told of groups, and what is told to them of other nodes. */
#include "base/assert.h"
#include "base/buffer.h"
#include "replication/group_parts.h"
#include "storage/keys.h"

struct group *group_store_group(const struct group_store *store, uint32_t shard)
{
	struct group *group = group_find(store, shard);
	return group && group->events ? group : NULL;
}

void group_store_read_back(
    const struct group_store *store, uint64_t *ret_entries, uint64_t *ret_bytes)
{
	*ret_entries = store->read_entries;
	*ret_bytes = store->read_total;
}

uint64_t group_self(const struct group *group)
{
	return group->self;
}

struct group_position group_last(const struct group *group)
{
	return group->last;
}

uint64_t group_committed(const struct group *group)
{
	uint64_t durable = engine_durable(group->store->engine, group->shard);
	return group->commit < durable ? group->commit : durable;
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

bool group_closed(const struct group *group)
{
	return group->state == GROUP_CLOSED ||
	       engine_shard_closed(group->store->engine, group->shard);
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

uint32_t group_store_missed(struct group_store *store, const struct group_place *place, bool down)
{
	uint32_t count = 0;
	if (store->closing)
		return 0;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (!group->raft || group_is_over(group) || group->alone ||
		    group->shard % place->stores % place->cores != place->core)
			continue;
		struct raft_membership members;
		raft_get_membership(group->raft, &members);
		for (uint32_t i = 0; i < members.count; i++) {
			if ((uint16_t)members.members[i].replica != place->node)
				continue;
			miss(group, members.members[i].replica, down);
			count++;
		}
	}
	return count;
}

void group_store_not_there(struct group_store *store, uint32_t shard, uint64_t replica)
{
	struct group *group = group_find(store, shard);
	if (group && group->raft && !group_is_over(group) && !group->alone && !store->closing)
		miss(group, replica, true);
}

/* ---- Before it runs ---- */

static uint64_t member_on(const struct raft_membership *members, uint16_t node)
{
	for (uint32_t i = 0; i < members->count; i++)
		if ((uint16_t)members->members[i].replica == node)
			return members->members[i].replica;
	return 0;
}

/* What is not applied yet, the newest first. */
static uint64_t replica_in_log(const struct group *group, uint16_t node, bool *ret_known)
{
	uint64_t replica = 0;
	for (uint64_t i = group->last.index; i > group->base.index && replica == 0; i--) {
		uint64_t term;
		struct raft_membership members;
		struct slice payload = group_flight_get(group, i, &term);
		if (payload.data[0] != GROUP_MEMBERSHIP ||
		    raft_membership_read(group_entry_members(payload), &members))
			continue;
		*ret_known = true;
		replica = member_on(&members, node);
	}
	return replica;
}

static uint64_t replica_in_store(
    struct engine *engine, uint32_t shard, uint16_t node, bool *ret_known)
{
	const uint8_t kind = KEY_KIND_MEMBERS;
	struct raft_membership members = {.count = 0};
	struct buffer value;
	buffer_init(&value, RAFT_MEMBERSHIP_BYTES_MAX);
	/* A shard that cannot be read closes when it is opened. */
	int error = engine_read(engine, shard, slice_of(&kind, 1), &value);
	if (!error)
		error = raft_membership_read(buffer_view(&value), &members);
	buffer_done(&value);
	*ret_known |= error != ERR_NOT_FOUND;
	return error ? 0 : member_on(&members, node);
}

uint64_t group_store_replica(struct group_store *store, uint32_t shard, uint16_t node)
{
	const struct group *group = group_find(store, shard);
	bool known = false;
	if (group && group->state == GROUP_REMOVED)
		return 0;
	uint64_t replica = group ? replica_in_log(group, node, &known) : 0;
	if (replica == 0)
		replica = replica_in_store(store->engine, shard, node, &known);
	/* Of a group that never had other members nothing says who they are. */
	bool is_first = !known && node == (uint16_t)GROUP_FIRST_REPLICA &&
	                engine_group(store->engine, shard).last_index > 0;
	return is_first ? GROUP_FIRST_REPLICA : replica;
}
