/* What a leader is asked for. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/mutation.h"
#include "replication/group_parts.h"

bool group_leads(const struct group *group)
{
	return group->state == GROUP_LEADS &&
	       !engine_shard_closed(group->store->engine, group->shard);
}

uint64_t group_term(const struct group *group)
{
	return group->term;
}

int64_t group_time_ms(struct group *group)
{
	struct group_store *store = group->store;
	if (store->now_ms == 0)
		store->now_ms = clock_real_ms();
	/* Breaks: a group's time does not go back with another leader's clock. */
	if (store->now_ms > group->time_ms || MUTATION(group_time_goes_back))
		group->time_ms = store->now_ms;
	return group->time_ms;
}

void group_set_time(struct group *group, int64_t at_least_ms)
{
	if (at_least_ms > group->time_ms)
		group->time_ms = at_least_ms;
}

static int refuse(struct group *group, int error)
{
	bool waits = error == ERR_FULL || error == ERR_BUSY || error == ERR_NO_SPACE;
	if (waits && !group->wants_room) {
		group->wants_room = true;
		group->store->wanting++;
	} else if (error == ERR_DATA_LOSS)
		group_close(group);
	return error;
}

int group_reserve(struct group *group, uint64_t bytes, uint32_t entries, bool only_deletes)
{
	struct engine *engine = group->store->engine;
	if (group->state == GROUP_CLOSED)
		return ERR_DATA_LOSS;
	if (group->state != GROUP_LEADS || group->store->closing)
		return ERR_AGAIN;
	if (!group->alone && raft_status(group->raft).transferring)
		return ERR_AGAIN;
	if (group_unapplied_full(group, only_deletes)) {
		group->store->refused++;
		return refuse(group, ERR_BUSY);
	}
	if (group_flights_reserve(group, entries)) {
		/* The engine knows nothing of it, and would tell of no room. */
		group_store_starves(group->store);
		return refuse(group, ERR_FULL);
	}
	uint64_t all = bytes + (uint64_t)entries * GROUP_ENTRY_HEADER_BYTES;
	int error = only_deletes ? engine_reserve_spare(engine, group->shard, all, entries)
	                         : engine_reserve(engine, group->shard, all, entries);
	if (error)
		return refuse(group, error);
	group->reserved_entries += entries;
	return 0;
}

void group_unreserve(struct group *group, uint64_t bytes, uint32_t entries)
{
	ASSERT(entries <= group->reserved_entries);
	group->reserved_entries -= entries;
	engine_unreserve(
	    group->store->engine, bytes + (uint64_t)entries * GROUP_ENTRY_HEADER_BYTES, entries);
	/* Nobody else would tell those who were refused: the log tells of room that frames leave,
	 * not of what was promised and not used. */
	if (group->store->wanting > 0)
		group->store->tells_room = true;
}

void group_propose(struct group *group, struct slice batch, struct group_position *ret_at)
{
	ASSERT(group->state == GROUP_LEADS && batch.bytes > 0);
	struct raft_position at;
	/* It has room since before leadership is handed over, if it is by now. */
	int error = raft_propose_promised(
	    group->raft, group_now_ms(group), 1, GROUP_ENTRY_HEADER_BYTES + batch.bytes, &at);
	ASSERT(!error);
	group_append(group, at, GROUP_BATCH, batch);
	*ret_at = group->last;
	group_attend(group);
}

void group_fetch(const struct group *group, unsigned step)
{
	if (step == 0) {
		memory_fetch(group, GROUP_HOT_BYTES);
		engine_fetch(group->store->engine, group->shard);
		return;
	}
	group_flight_fetch(group, group->last.index + 1);
}

/* By the clock, and not by the turn's time: since that was read another core may have sent what
 * asks here, and this thread may have stood still for longer than a lease lasts. */
static bool has_lease(const struct group *group)
{
	/* Breaks: it is the clock that says whether a lease is over. */
	uint64_t now_ms =
	    MUTATION(group_lease_by_turn) ? group_now_ms(group) : clock_monotonic_ns() / NS_PER_MS;
	return raft_lease(group->raft, now_ms);
}

uint64_t group_confirm(struct group *group)
{
	ASSERT(group->state == GROUP_LEADS);
	uint64_t round;
	if (group->store->leases && !group->alone && has_lease(group))
		return group->confirmed;
	bool others_wait = group->tells_confirmed || group->confirmed < group->round;
	int error = raft_confirm(group->raft, group_now_ms(group), &round);
	ASSERT(!error);
	group_act(group);
	group->round = round;
	/* The caller asks by itself whether it is confirmed by now. */
	if (!others_wait && !group->tells_lost && !group->tells_answered &&
	    group->tells_confirmed) {
		group->tells_confirmed = false;
		list_remove(&group->tell_link);
	}
	return round;
}

uint64_t group_confirmed(const struct group *group)
{
	return group->confirmed;
}

struct group_position group_applied(const struct group *group)
{
	return group->applied;
}

uint64_t group_applied_bytes(const struct group *group)
{
	return group->applied_bytes;
}

/* ---- Members ---- */

/* As if all were new. */
static int make_places_for_changes(
    struct group *group, const struct raft_change *changes, size_t count)
{
	struct raft_membership members = {.count = 0};
	for (size_t i = 0; i < count && members.count < RAFT_REPLICAS_MAX; i++)
		if (changes[i].kind != RAFT_REMOVE)
			members.members[members.count++].replica = changes[i].replica;
	return group_make_places_for(group, &members);
}

int group_change(struct group *group, const struct raft_change *changes, size_t count,
    enum raft_transition transition, const char **ret_why)
{
	*ret_why = "this replica does not lead";
	if (group->state != GROUP_LEADS)
		return ERR_AGAIN;
	*ret_why = "there is no room for the change";
	int error = group_hold_memberships(group);
	if (!error)
		error = make_places_for_changes(group, changes, count);
	if (error)
		return error;
	error = raft_change(group->raft, group_now_ms(group), changes, count, transition, ret_why);
	group_act(group);
	return error;
}

uint64_t group_leader(const struct group *group)
{
	return group->leader;
}

int group_transfer(struct group *group, uint64_t replica)
{
	if (group->state != GROUP_LEADS)
		return ERR_AGAIN;
	group->transfer_term = group->term;
	group->transfer_at_ms = group_now_ms(group);
	int error = raft_transfer(group->raft, group_now_ms(group), replica);
	group_act(group);
	return error;
}

uint64_t group_transfer_ms(const struct group *group)
{
	if (group->transfer_term == 0 || group->transfer_term != group->term)
		return UINT64_MAX;
	return group_now_ms(group) - group->transfer_at_ms;
}

int group_recover(struct group *group, uint64_t term, struct group_position *ret_at)
{
	if (group->state == GROUP_CLOSED)
		return ERR_DATA_LOSS;
	if (term <= group->term)
		return ERR_EXISTS;
	if (group->state != GROUP_RUNS || group->installing || group->store->closing)
		return ERR_AGAIN;
	/* The engine says when there is room, and it is tried again. */
	if (!group_hold_first(group))
		return ERR_FULL;
	struct raft_membership alone = {.count = 1, .members = {{.replica = group->self}}};
	int error = group_hold_memberships(group);
	if (!error)
		error = group_make_places_for(group, &alone);
	if (error)
		return error;
	error = raft_recover(group->raft, group_now_ms(group), term);
	if (error && group->role == RAFT_FOLLOWER && !group->joint)
		group_let_go_of_memberships(group);
	group_act(group);
	/* Its first entry was not written: the shard was closed since. */
	if (!error && group_is_over(group))
		error = ERR_DATA_LOSS;
	if (!error)
		*ret_at = group->last;
	return error;
}

void group_get_members(const struct group *group, struct raft_membership *ret_members)
{
	if (group->raft)
		raft_get_membership(group->raft, ret_members);
	else
		*ret_members = (struct raft_membership){.count = 0};
}
