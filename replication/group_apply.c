/* What is committed, and durable here, is applied. */
#include "base/assert.h"
#include "base/limits.h"
#include "replication/group_parts.h"
#include "storage/batch.h"

/* Memory that is short for a moment is asked for again; if there is none, nothing here can go on:
 * the entry is durable, and a restart applies it. */
static int apply(struct group *group, const struct group_entry *entry, struct slice batch)
{
	struct engine *engine = group->store->engine;
	int error = ERR_NOMEM;
	for (int attempts = 0; error == ERR_NOMEM && attempts < 8; attempts++)
		error = engine_apply(engine, group->shard, entry->at.index, entry->at.term, batch);
	if (error == ERR_NOMEM)
		PANIC("group %u: out of memory for a committed entry", group->shard);
	ASSERT_MSG(!error || error == ERR_DATA_LOSS, "group %u: entry %llu: %s", group->shard,
	    (unsigned long long)entry->at.index, error_name(error));
	return error;
}

/* The store keeps who the members are, as the shard's own key. */
static int apply_membership(struct group *group, const struct group_entry *entry)
{
	uint8_t span[GROUP_MEMBERS_BATCH_BYTES_MAX];
	uint64_t term;
	struct slice payload = group_flight_get(group, entry->at.index, &term);
	return apply(group, entry, group_members_batch(span, group_entry_members(payload)));
}

void group_fetch_next(const struct group *group)
{
	group_flight_fetch(group, group->applied.index + 1);
}

int group_next_entry(const struct group *group, struct group_entry *ret_entry)
{
	uint64_t index = group->applied.index + 1;
	if (group_is_over(group) || index > group->last.index)
		return ERR_NOT_FOUND;
	ret_entry->at.index = index;
	int error =
	    group_entry_decode(group_flight_get(group, index, &ret_entry->at.term), ret_entry);
	if (!error && ret_entry->kind == GROUP_MEMBERSHIP)
		ret_entry->time_ms = group->time_ms;
	return error;
}

void group_tell_lost(struct group *group)
{
	if (!group->tells_lost)
		return;
	group->tells_lost = false;
	group->events->lost(group->arg);
}

static void begin_to_lead(struct group *group)
{
	group_tell_lost(group);
	group->state = GROUP_LEADS;
	group->events->leading(group->arg, group->term);
}

static void group_end_change(struct group *group)
{
	if (!group->joint && raft_status(group->raft).membership_index <= group->applied.index)
		group_let_go_of_memberships(group);
}

/* In a replica beside others: see GROUP_COMMIT_BYTES. Of the directory each entry counts: they are
 * few, and who is left alone by all others knows who those were from what it knows to be committed.
 * That comes in a frame of its own behind that of the entries, and nobody waits for it. */
static bool writes_commit(const struct group *group, uint64_t from)
{
	if (group->store->closing || group->applied.index == from)
		return false;
	return group->shard == 0 || group->unlogged_bytes >= GROUP_COMMIT_BYTES;
}

static void note_commit(struct group *group, uint64_t from)
{
	uint64_t bytes = 0;
	for (uint64_t i = from + 1; i <= group->applied.index; i++) {
		uint64_t term;
		bytes += group_flight_get(group, i, &term).bytes;
	}
	group->applied_entries += group->applied.index - from;
	group->applied_bytes += bytes;
	group->unlogged_bytes += bytes;
	if (!writes_commit(group, from))
		return;
	group->unlogged_bytes = 0;
	struct raft_status status = raft_status(group->raft);
	engine_append_hard_state(group->store->engine, group->shard,
	    &(struct log_hard_state){
	        .term = status.term, .vote = status.vote, .commit = group->applied.index});
}

/* An entry of several calls: where their states are is asked for together, before the processor
 * would wait for one after the other. Of a group that is alone group_store.c has done that. */
static void fetch_states(const struct group *group, struct slice batch)
{
	struct engine *engine = group->store->engine;
	struct table_soon soon; /* not zeroed: it is large, and this is for each entry */
	soon.count = 0;
	if (group->alone)
		return;
	engine_soon_add(engine, &soon, group->shard, batch);
	if (soon.count < 2)
		return;
	for (unsigned pass = 0; pass < TABLE_SOON_PASSES; pass++)
		engine_soon_pass(engine, &soon, pass);
}

void group_advance(struct group *group, uint64_t durable)
{
	uint64_t to = durable < group->commit ? durable : group->commit;
	uint64_t from = group->applied.index;
	while (group->applied.index < to && !group_is_over(group) && !group->installing) {
		struct group_entry entry;
		int error = group_next_entry(group, &entry);
		ASSERT(!error);
		fetch_states(group, entry.batch);
		error = entry.kind == GROUP_MEMBERSHIP ? apply_membership(group, &entry)
		                                       : apply(group, &entry, entry.batch);
		if (error) {
			group_close(group);
			return;
		}
		group->applied = entry.at;
		group_unapplied_less(group, group_flight(group, entry.at.index)->bytes);
		group->events->applied(group->arg, &entry);
		bool own = entry.kind == GROUP_NOOP && entry.at.term == group->term;
		if (group->state == GROUP_RUNS && group->role == RAFT_LEADER && own)
			begin_to_lead(group);
	}
	if (group_is_over(group))
		return;
	if (group->applied.index > from)
		group->moved_ms = group_now_ms(group);
	if (group->answers_count > 0)
		group_reach_answers(group);
	/* The change is over, or its second entry is written. */
	if (group->held_memberships > 0)
		group_end_change(group);
	if (!group->alone) {
		note_commit(group, from);
		group_flights_trim_kept(group);
	} else if (group->copied_bytes > 0)
		group_flights_trim(group, group->applied.index);
	else
		group_set_base(group, group->applied);
}

/* The log's memory goes when its callback returns.
 *
 * Where there is no memory nothing else is left to do: the entry is durable, so it may have been
 * acknowledged, and what is applied or sent later is these bytes. To be without them until they are
 * read back would take memory too, as would applying them, which ends the same way (`apply`).
 * Nothing from outside makes it more than group_room.c lets in, whatever disks of others do; what
 * is left is a machine without that much memory, and a restart reads the entries again. */
static void keep(struct group *group, uint64_t from, uint64_t to)
{
	if (from <= group->base.index)
		from = group->base.index + 1;
	for (uint64_t i = from; i <= to && i <= group->last.index; i++)
		if (group_flight_copy(group, i))
			PANIC("group %u: out of memory for an entry that is not committed",
			    group->shard);
	group_flights_trim_kept(group);
}

void group_durable(struct group *group, const struct log_extent *extent)
{
	if (!group->raft || group_is_over(group))
		return;
	/* Who is elected while the store closes has no log any more to begin its term in. */
	if (extent->flags & LOG_EXTENT_VOTE && !group->store->closing) {
		struct log_hard_state hard =
		    engine_hard_durable(group->store->engine, group->shard);
		group_step(
		    group, (struct raft_event){
		               .kind = RAFT_HARD_STORED, .term = hard.term, .vote = hard.vote});
	}
	if (extent->first_index > extent->last_index)
		return;
	/* What takes the place of all of it says what is durable. */
	if (group->installing) {
		keep(group, extent->first_index, extent->last_index);
		return;
	}
	/* The log itself leaves out what was replaced since. */
	uint64_t index = engine_durable(group->store->engine, group->shard);
	if (raft_stored_alone(group->raft, group_now_ms(group), index))
		group->commit = index;
	else
		group_step(group, (struct raft_event){
		                      .kind = RAFT_STORED, .index = index, .epoch = group->epoch});
	group_advance(group, index);
	/* One that is to be alone, and is told so by a leader that leaves, has applied nothing yet.
	 */
	if (!group->alone || group->applied.index < extent->last_index)
		keep(group, extent->first_index, extent->last_index);
}
