/* What is proposed, or received, and not applied yet is in memory, and is bounded.
 *
 * Entries are applied when a majority has them on its disks and this replica too. How long that
 * takes nobody here decides: disks of others may stand still while their processes answer
 * heartbeats. So a leader refuses calls, before anything is executed, while a group has
 * GROUP_UNAPPLIED_BYTES_MAX of such entries, or its store STORE_UNAPPLIED_BYTES_MAX. Beyond that
 * comes what was promised by then, at most a frame of the log (log_reserve). A group that is alone
 * is not asked: what it has not applied is in the log's memory only, which the log bounds.
 *
 * A leader has nothing of earlier terms that is not applied (rule 1 of group.h), so at no time are
 * there more entries of a group that could be committed than that. Who follows takes
 * UNAPPLIED_TAKEN_FACTOR times as much of a group, so all of them: to refuse one that a majority
 * lacks would be to wait for oneself. Of a store there is no such relation, as its groups may have
 * leaders everywhere. There a group goes on all the same, one entry at a time, whatever the others
 * wait for: one that has nothing to be applied gets the next entry. For what it has of its leader's
 * own term it has acknowledged, and that is committed without more; but what is of earlier terms
 * only with an entry of this one behind it, so up to the first of those all are taken. And so is
 * what may replace entries: it may free all.
 *
 * The directory is not refused: its owner proposes one thing at a time, and it is what repairs.
 * Votes, first entries of a term and memberships are small, and have their room held. Heartbeats
 * and rounds take none, so leadership and reads go on.
 */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "replication/group_parts.h"

static uint64_t with_spare(uint64_t bytes_max)
{
	return bytes_max + bytes_max / UNAPPLIED_SPARE_FRACTION;
}

static bool are_too_many(const struct group *group, uint64_t group_max, uint64_t all_max)
{
	return group->unapplied_bytes >= group_max || group->store->unapplied_bytes >= all_max;
}

void group_unapplied_more(struct group *group, uint64_t bytes)
{
	if (group_is_over(group))
		return;
	if (group->unapplied_bytes == 0)
		group->moved_ms = group_now_ms(group);
	group->unapplied_bytes += bytes;
	group->store->unapplied_bytes += bytes;
}

void group_unapplied_less(struct group *group, uint64_t bytes)
{
	struct group_store *store = group->store;
	if (group_is_over(group))
		return;
	ASSERT(bytes <= group->unapplied_bytes);
	ASSERT(group->unapplied_bytes <= store->unapplied_bytes);
	bool was_full = are_too_many(group, store->group_unapplied_max, store->unapplied_max);
	group->unapplied_bytes -= bytes;
	store->unapplied_bytes -= bytes;
	/* Nobody else would tell those who were refused. */
	if (was_full && store->wanting > 0)
		store->tells_room = true;
}

void group_unapplied_forget(struct group *group)
{
	struct group_store *store = group->store;
	ASSERT(group->unapplied_bytes <= store->unapplied_bytes);
	store->unapplied_bytes -= group->unapplied_bytes;
	group->unapplied_bytes = 0;
	if (store->wanting > 0)
		store->tells_room = true;
}

bool group_unapplied_full(const struct group *group, bool only_deletes)
{
	const struct group_store *store = group->store;
	uint64_t group_max = store->group_unapplied_max, all_max = store->unapplied_max;
	if (group->alone || group->shard == 0)
		return false;
	if (only_deletes) {
		group_max = with_spare(group_max);
		all_max = with_spare(all_max);
	}
	return are_too_many(group, group_max, all_max);
}

uint32_t group_unapplied_fits(const struct group *group, const struct raft_message *message)
{
	const struct group_store *store = group->store;
	/* The mutation has no bound of those that follow. */
	if (MUTATION(group_takes_all))
		return message->count;
	if (group->shard == 0 || message->at.index != group->last.index ||
	    group->last.term < message->term)
		return message->count;
	if (group->unapplied_bytes >= UNAPPLIED_TAKEN_FACTOR * store->group_unapplied_max)
		return 0;
	if (store->unapplied_bytes < UNAPPLIED_TAKEN_FACTOR * store->unapplied_max)
		return message->count;
	return group->unapplied_bytes == 0 && message->count > 0 ? 1 : 0;
}

void group_store_unapplied(
    const struct group_store *store, uint64_t *ret_bytes, uint64_t *ret_refused)
{
	*ret_bytes = store->unapplied_bytes;
	*ret_refused = store->refused;
}

uint64_t group_stands_ms(const struct group *group)
{
	if (group->state != GROUP_LEADS || group->unapplied_bytes == 0)
		return 0;
	return group_now_ms(group) - group->moved_ms;
}
