/* What the log has of a group when its store is opened.
 *
 * Where nobody else votes, what is durable is committed, and is applied at once; where there are no
 * learners either, nothing of it stays in memory. Else what the log says of the commit counts, and
 * the rest is kept: its leader will say. Who votes is known as it is at each entry: from the store,
 * or from memberships that were replayed before, in effect as they stand. An entry of a membership
 * in which nobody else votes is committed with all before it: no log that lacks it can win a vote.
 */
#include "base/assert.h"
#include "base/buffer.h"
#include "base/mutation.h"
#include "replication/group_parts.h"
#include "storage/keys.h"

/* ---- Who votes ---- */

static void take_members(struct group *group, const struct raft_membership *members)
{
	group->sole = raft_membership_voters(members) > 0;
	for (uint32_t i = 0; i < members->count; i++) {
		const struct raft_member *member = &members->members[i];
		bool votes = member->roles & (RAFT_VOTER | RAFT_OUTGOING);
		if (votes && (uint16_t)member->replica != group->store->node)
			group->sole = false;
	}
	group->alone = group->sole && members->count == 1;
}

/* Without a word in the store the group is as it began. What cannot be read closes the group when
 * it is started; until then nothing is taken for committed. */
static int read_members(struct group *group, struct engine *engine)
{
	uint8_t kind = KEY_KIND_MEMBERS;
	struct raft_membership members = {
	    .count = 1, .members = {{.replica = GROUP_FIRST_REPLICA, .roles = RAFT_VOTER}}};
	struct buffer value;
	if (!group->store->carrier) {
		group->sole = group->alone = true;
		return 0;
	}
	if (group->store->node == 0)
		return 0;
	buffer_init(&value, RAFT_MEMBERSHIP_BYTES_MAX);
	int error = engine_read(engine, group->shard, slice_of(&kind, 1), &value);
	if (!error)
		error = raft_membership_read(buffer_view(&value), &members);
	buffer_done(&value);
	if (!error || error == ERR_NOT_FOUND)
		take_members(group, &members);
	return error == ERR_NOMEM ? error : 0;
}

static int meet_group(
    struct group_store *store, struct engine *engine, uint32_t shard, struct group **ret_group)
{
	struct group *group;
	int error = group_new(store, shard, &group);
	if (error)
		return error;
	struct table_shard applied = engine_applied(engine, shard);
	group->applied.term = applied.term;
	group->applied.index = applied.index;
	group_set_base(group, group->applied);
	group->last = group->applied;
	*ret_group = group;
	return read_members(group, engine);
}

/* ---- Entries ---- */

static int apply(struct engine *engine, struct group *group, struct group_position at,
    const struct group_entry *entry, struct slice payload)
{
	uint8_t span[GROUP_MEMBERS_BATCH_BYTES_MAX];
	struct slice batch = entry->batch;
	if (entry->kind == GROUP_MEMBERSHIP)
		batch = group_members_batch(span, group_entry_members(payload));
	int error = engine_apply(engine, group->shard, at.index, at.term, batch);
	if (error)
		return error;
	if (entry->time_ms > group->time_ms)
		group->time_ms = entry->time_ms;
	group->applied = at;
	return 0;
}

static int keep(struct group *group, struct group_position at, struct slice payload)
{
	int error = group_flights_reserve(group, 1);
	if (error)
		return error;
	group_flight_add(group, at, payload);
	return group_flight_copy(group, at.index);
}

/* Those that were kept turn out to be committed. */
static int apply_kept(struct engine *engine, struct group *group)
{
	int error = 0;
	while (!error && group->applied.index < group->last.index) {
		struct group_position at = {.index = group->applied.index + 1};
		struct slice payload = group_flight_get(group, at.index, &at.term);
		struct group_entry entry;
		error = group_entry_decode(payload, &entry);
		if (!error)
			error = apply(engine, group, at, &entry, payload);
		if (!error)
			group_unapplied_less(group, payload.bytes);
	}
	return error;
}

static int replay_committed(struct engine *engine, struct group *group,
    const struct group_entry *entry, struct slice payload)
{
	int error = apply_kept(engine, group);
	if (!error)
		error = apply(engine, group, entry->at, entry, payload);
	if (error)
		return error;
	if (group->alone) {
		group_flights_trim(group, group->last.index);
		group_set_base(group, group->applied);
		group->last = group->applied;
		return 0;
	}
	error = keep(group, entry->at, payload);
	group_flights_trim_kept(group);
	return error;
}

int group_replay(void *arg, struct engine *engine, const struct log_record *record)
{
	struct group_store *store = arg;
	struct group_entry entry = {.at = {.term = record->term, .index = record->index}};
	struct group *group = group_find(store, record->group);
	int error = 0;
	if (!group)
		error = meet_group(store, engine, record->group, &group);
	if (!error)
		error = group_entry_decode(record->payload, &entry);
	if (!error && entry.kind == GROUP_MEMBERSHIP) {
		struct raft_membership members;
		error = raft_membership_read(group_entry_members(record->payload), &members);
		if (!error && store->carrier && store->node != 0)
			take_members(group, &members);
	}
	if (error)
		return error;
	/* Breaks: what others have not is not committed because it is here. */
	if (group->sole || MUTATION(group_replays_all_as_committed) ||
	    record->index <= engine_group(engine, record->group).hard.commit)
		return replay_committed(engine, group, &entry, record->payload);
	return keep(group, entry.at, record->payload);
}
