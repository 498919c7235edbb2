/* A group owns a machine (raft/raft.h): what it says goes to the log and to the carrier, and what
 * happened is told to it. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "replication/group_parts.h"
#include "replication/raft/wire.h"

#include <string.h>

#define MEMBERSHIP_ENTRY_BYTES (GROUP_ENTRY_HEADER_BYTES + RAFT_MEMBERSHIP_BYTES_MAX)

uint64_t group_now_ms(const struct group *group)
{
	return io_now_ns(group->store->io) / NS_PER_MS;
}

/* ---- The log ---- */

static uint64_t term_of(void *arg, uint64_t index)
{
	const struct group *group = arg;
	uint64_t term;
	if (index > group->base.index) {
		(void)group_flight_get(group, index, &term);
		return term;
	}
	if (index >= group->floor.index)
		return group_past_term(group, index);
	int error = engine_term(group->store->engine, group->shard, index, &term);
	ASSERT_MSG(
	    !error, "group %u: the log has no entry %llu", group->shard, (unsigned long long)index);
	return term;
}

static uint32_t fit(
    void *arg, uint64_t first, uint32_t count_max, uint64_t bytes_max, uint64_t *ret_bytes)
{
	struct group *group = arg;
	uint32_t count = 0;
	if (count_max > RAFT_MESSAGE_ENTRIES_MAX)
		count_max = RAFT_MESSAGE_ENTRIES_MAX;
	if (first <= group->base.index)
		return group_past_fit(group, first, count_max, bytes_max, ret_bytes);
	for (*ret_bytes = 0; count < count_max; count++) {
		uint64_t term;
		size_t bytes = group_flight_get(group, first + count, &term).bytes;
		if (count > 0 && *ret_bytes + bytes > bytes_max)
			break;
		*ret_bytes += bytes;
	}
	return count;
}

struct raft_log group_log(struct group *group)
{
	return (struct raft_log){.term = term_of, .fit = fit, .arg = group};
}

/* The kind of an entry tells what its bytes are: a membership's stand alone for the machine, and
 * behind a header in the log. */
static enum raft_entry_kind raft_kind(struct slice payload)
{
	switch ((enum group_entry_kind)payload.data[0]) {
	case GROUP_NOOP:
		return RAFT_NOOP;
	case GROUP_BATCH:
		return RAFT_DATA;
	case GROUP_MEMBERSHIP:
		return RAFT_MEMBERSHIP;
	}
	UNREACHABLE();
}

static uint8_t *append_bytes(struct group *group, struct raft_position at, uint32_t bytes)
{
	uint8_t *payload;
	engine_append(group->store->engine, group->shard, at.term, at.index, bytes, &payload);
	group_flight_add(group, (struct group_position){.term = at.term, .index = at.index},
	    slice_of(payload, bytes));
	return payload;
}

void group_append(
    struct group *group, struct raft_position at, enum group_entry_kind kind, struct slice batch)
{
	uint32_t bytes = (uint32_t)(GROUP_ENTRY_HEADER_BYTES + batch.bytes);
	uint8_t *payload = append_bytes(group, at, bytes);
	group->time_ms = group_time_ms(group);
	group_entry_header(payload, kind, group->time_ms);
	if (batch.bytes > 0)
		memcpy(payload + GROUP_ENTRY_HEADER_BYTES, batch.data, batch.bytes);
}

/* What a leader's own machine appends has its room held. */
static void append_own(struct group *group, struct raft_position at, const struct raft_entry *entry)
{
	struct engine *engine = group->store->engine;
	if (entry->kind == RAFT_NOOP) {
		ASSERT(group->holds_first);
		group->holds_first = false;
		engine_unreserve(engine, GROUP_ENTRY_HEADER_BYTES, 1);
		group_append(group, at, GROUP_NOOP, slice_of(NULL, 0));
		return;
	}
	ASSERT(entry->kind == RAFT_MEMBERSHIP && group->held_memberships > 0);
	group->held_memberships--;
	engine_unreserve(engine, MEMBERSHIP_ENTRY_BYTES, 1);
	group_append(group, at, GROUP_MEMBERSHIP, entry->data);
}

/* Of an entry that was received, in the log. */
static uint64_t payload_bytes(const struct raft_entry *entry)
{
	return entry->data.bytes + (entry->kind == RAFT_MEMBERSHIP ? GROUP_ENTRY_HEADER_BYTES : 0);
}

static void append_received(
    struct group *group, struct raft_position at, const struct raft_entry *entry)
{
	uint64_t bytes = payload_bytes(entry);
	ASSERT(group->held_entries > 0 && group->held_bytes >= bytes);
	group->held_entries--;
	group->held_bytes -= bytes;
	engine_unreserve(group->store->engine, bytes, 1);
	uint8_t *payload = append_bytes(group, at, (uint32_t)bytes);
	if (entry->kind == RAFT_MEMBERSHIP) {
		group_entry_header(payload, GROUP_MEMBERSHIP, 0);
		payload += GROUP_ENTRY_HEADER_BYTES;
	}
	memcpy(payload, entry->data.data, entry->data.bytes);
}

static void append(struct group *group, const struct raft_output *output)
{
	bool looks = false;
	group->epoch = output->epoch;
	if (output->at.index <= group->last.index) {
		group_flights_cut(group, output->at.index);
		looks = true;
	}
	for (uint32_t i = 0; i < output->count; i++) {
		struct raft_position at = {
		    .term = output->entries[i].term, .index = output->at.index + i};
		looks |= output->entries[i].kind == RAFT_MEMBERSHIP;
		if (group->held_entries > 0)
			append_received(group, at, &output->entries[i]);
		else
			append_own(group, at, &output->entries[i]);
	}
	if (looks)
		group_look_at_members(group);
}

/* ---- What the machine says ---- */

void group_tell(struct group *group)
{
	if (!list_linked(&group->tell_link))
		list_push_back(&group->store->telling, &group->tell_link);
}

static void take_role(struct group *group, const struct raft_output *output)
{
	group->role = output->role;
	group->term = output->term;
	group->leader = output->replica;
	if (group->state == GROUP_LEADS) {
		group->state = GROUP_RUNS;
		group->tells_lost = true;
		group_tell(group);
	}
	/* A candidate holds what it will need. */
	if (group->role == RAFT_FOLLOWER) {
		group_let_go_of_memberships(group);
		(void)group_hold_first(group);
	}
}

static uint64_t deadline(const struct group *group)
{
	uint64_t at_ms = raft_deadline(group->raft);
	return at_ms < group->snapshots_fail_ms ? at_ms : group->snapshots_fail_ms;
}

static void arm(struct group *group)
{
	uint64_t deadline_ms = deadline(group);
	/* One that rings early looks again: a follower's moves with each message. */
	if (deadline_ms >= group->timer_ms)
		return;
	group->timer_ms = deadline_ms;
	io_timer_set(group->store->io, &group->timer, deadline_ms * NS_PER_MS);
}

void group_attend(struct group *group)
{
	if (group->alone || group_is_over(group))
		return;
	if (!list_linked(&group->active_link))
		list_push_back(&group->store->active, &group->active_link);
	arm(group);
}

/* Whether there was anything. */
static bool take_outputs(struct group *group)
{
	struct raft_output output;
	bool any = false;
	/* A read found damage in its store, or none of it can be read: nothing is appended any
	 * more, and what the machine wants is a crash's to lose. Breaks: who is damaged neither
	 * votes nor acknowledges. */
	if (engine_shard_closed(group->store->engine, group->shard) &&
	    !MUTATION(group_goes_on_damaged))
		group_close(group);
	if (group_is_over(group))
		return false;
	while (raft_next(group->raft, &output)) {
		any = true;
		switch (output.kind) {
		case RAFT_HARD:
			engine_append_hard_state(group->store->engine, group->shard,
			    &(struct log_hard_state){.term = output.term,
			        .vote = output.vote,
			        .commit = group->applied.index});
			break;
		case RAFT_APPEND:
			append(group, &output);
			break;
		case RAFT_COMMIT:
			group->commit = output.at.index;
			break;
		case RAFT_ROLE:
			take_role(group, &output);
			break;
		case RAFT_CONFIRMED:
			group->confirmed = output.index;
			group_take_confirmation(group);
			group->tells_confirmed = true;
			group_tell(group);
			break;
		case RAFT_READABLE:
			group_take_answer(group, &output);
			break;
		case RAFT_SEND_SNAPSHOT:
			if (group->store->snapshots)
				group->wants_snapshots = true;
			else if (group->snapshots_fail_ms == RAFT_NEVER)
				group->snapshots_fail_ms = group_now_ms(group) + GROUP_ELECTION_MS;
			break;
		}
	}
	return any;
}

void group_act(struct group *group)
{
	(void)take_outputs(group);
	group_attend(group);
}

/* Before anything else is asked of it: below the floor nobody knows terms any more. */
static void tell_floor(struct group *group)
{
	if (!group->floor_moved)
		return;
	group->floor_moved = false;
	raft_step(group->raft, &(struct raft_event){.kind = RAFT_COMPACTED,
	                           .now_ms = group_now_ms(group),
	                           .at = {group->floor.term, group->floor.index}});
	group_act(group);
}

void group_step(struct group *group, struct raft_event event)
{
	/* Snapshots of one that was closed end after it. */
	if (group_is_over(group))
		return;
	tell_floor(group);
	event.now_ms = group_now_ms(group);
	raft_step(group->raft, &event);
	group_act(group);
}

bool group_hold_first(struct group *group)
{
	struct engine *engine = group->store->engine;
	int error = 0;
	if (!group->holds_first) {
		error = group_flights_reserve(group, 1);
		if (!error)
			error =
			    engine_reserve_spare(engine, group->shard, GROUP_ENTRY_HEADER_BYTES, 1);
		group->holds_first = !error;
	}
	if (!error && group->joint)
		error = group_hold_memberships(group);
	if (error == ERR_DATA_LOSS)
		group_close(group);
	else if (error == ERR_NOMEM)
		group_store_starves(group->store);
	/* Where there is no space the engine tells of some. */
	return !error;
}

int group_hold_memberships(struct group *group)
{
	enum { MEMBERSHIPS = 2 };
	uint32_t more = MEMBERSHIPS - group->held_memberships;
	if (more == 0)
		return 0;
	int error = group_flights_reserve(group, more);
	if (!error)
		error = engine_reserve_spare(
		    group->store->engine, group->shard, more * MEMBERSHIP_ENTRY_BYTES, more);
	if (!error)
		group->held_memberships += more;
	return error;
}

void group_let_go_of_memberships(struct group *group)
{
	if (group->held_memberships > 0)
		engine_unreserve(group->store->engine,
		    group->held_memberships * MEMBERSHIP_ENTRY_BYTES, group->held_memberships);
	group->held_memberships = 0;
}

/* Most groups have as many members for ever as they have once: they take no more memory than that
 * needs. */
int group_make_places(struct group *group, uint32_t more)
{
	struct raft_status status = raft_status(group->raft);
	uint32_t places = status.places_taken + more;
	if (places <= status.places)
		return 0;
	void *memory = mem_alloc(raft_bytes(places));
	if (!memory)
		return ERR_NOMEM;
	struct raft *before = group->raft;
	group->raft = raft_move(before, memory, places);
	mem_free(before);
	return 0;
}

int group_make_places_for(struct group *group, const struct raft_membership *membership)
{
	return group_make_places(group, raft_strangers(group->raft, membership));
}

static void fail_snapshots(struct group *group)
{
	struct raft_progress progress;
	group->snapshots_fail_ms = RAFT_NEVER;
	for (uint32_t i = 0; raft_get_progress(group->raft, i, &progress); i++)
		if (progress.flow == RAFT_SNAPSHOT)
			group_step(group, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT,
			                      .replica = progress.replica});
}

void group_timer_fired(struct io_timer *timer)
{
	struct group *group = CONTAINER_OF(timer, struct group, timer);
	group->timer_ms = RAFT_NEVER;
	/* While the store closes there is no log for what would come of it. */
	if (group_is_over(group) || group->store->closing)
		return;
	uint64_t now_ms = group_now_ms(group);
	if (group->snapshots_fail_ms <= now_ms)
		fail_snapshots(group);
	uint64_t deadline_ms = deadline(group);
	bool may = group->role == RAFT_LEADER || group_hold_first(group);
	if (deadline_ms <= now_ms && may) {
		group_step(group, (struct raft_event){.kind = RAFT_TICK});
		return;
	}
	if (deadline_ms == RAFT_NEVER)
		return;
	group->timer_ms = deadline_ms > now_ms ? deadline_ms : now_ms + GROUP_HEARTBEAT_MS;
	io_timer_set(group->store->io, &group->timer, group->timer_ms * NS_PER_MS);
}

/* ---- Messages ---- */

static void fill(
    const struct group *group, struct raft_message *message, struct raft_entry *entries)
{
	for (uint32_t i = 0; i < message->count; i++) {
		uint64_t term, index = message->at.index + 1 + i;
		struct slice payload = index > group->base.index
		                           ? group_flight_get(group, index, &term)
		                           : group_past_entry(group, index, &term);
		entries[i] =
		    (struct raft_entry){.term = term, .kind = raft_kind(payload), .data = payload};
		if (entries[i].kind == RAFT_MEMBERSHIP)
			entries[i].data = group_entry_members(payload);
	}
	message->entries = entries;
}

void group_send(struct group *group)
{
	static _Thread_local struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];
	const struct group_carrier *carrier = group->store->carrier;
	struct raft_message message;
	/* It was closed in this turn, and its machine still wants something. */
	if (group_is_over(group))
		return;
	tell_floor(group);
	if (group->windows_count > 0)
		group_windows_look(group);
	while (raft_send(group->raft, group_now_ms(group), &message)) {
		fill(group, &message, entries);
		carrier->send(carrier->arg, group->shard, &message);
	}
	bool any = take_outputs(group);
	snapshot_look(group);
	/* All is sent: until something happens to it a turn is nothing to it. Snapshots are looked
	 * after in each. */
	if (any || snapshot_is_busy(group))
		group_attend(group);
	else if (!group->alone && !group_is_over(group))
		arm(group);
}

/* What a leader's entries must be, so that they can be read again. */
static bool good_entries(const struct raft_message *message)
{
	for (uint32_t i = 0; i < message->count; i++) {
		const struct raft_entry *entry = &message->entries[i];
		struct group_entry read;
		if (entry->kind == RAFT_MEMBERSHIP)
			continue;
		if (group_entry_decode(entry->data, &read) || read.kind == GROUP_MEMBERSHIP ||
		    raft_kind(entry->data) != entry->kind)
			return false;
	}
	return true;
}

/* Room for its first entries, of which some may be here already. */
static bool hold(struct group *group, const struct raft_message *message, uint32_t count)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < count; i++)
		bytes += payload_bytes(&message->entries[i]);
	if (group_flights_reserve(group, count) ||
	    engine_reserve_spare(group->store->engine, group->shard, bytes, count))
		return false;
	group->held_bytes = bytes;
	group->held_entries = count;
	return true;
}

/* How many of its entries there is room for. The log counts each as if it stood alone in a frame,
 * so there may be none for all even where nothing else is written. */
static uint32_t hold_some(struct group *group, const struct raft_message *message)
{
	uint32_t count = message->count;
	while (count > 0 && !hold(group, message, count))
		count /= 2;
	return count;
}

/* How many of its first `count` entries there are places for, with all members that they bring. */
static uint32_t make_some_places(
    struct group *group, const struct raft_message *message, uint32_t count)
{
	uint32_t more = 0, i = 0;
	for (; i < count; i++) {
		const struct raft_entry *entry = &message->entries[i];
		struct raft_membership membership;
		/* One that cannot be read is refused by the machine. */
		if (entry->kind != RAFT_MEMBERSHIP ||
		    raft_membership_read(entry->data, &membership))
			continue;
		uint32_t strangers = raft_strangers(group->raft, &membership);
		if (more + strangers > group_replicas_max(group->shard))
			break;
		more += strangers;
	}
	return group_make_places(group, more) ? 0 : i;
}

void group_receive(struct group *group, const struct raft_message *message)
{
	if (!group->raft || group_is_over(group) || message->to != group->self)
		return;
	/* Without room it is lost, as any message may be. */
	bool campaigns = message->kind == RAFT_TIMEOUT_NOW;
	if (!good_entries(message) || (campaigns && !group_hold_first(group)))
		return;
	struct raft_message taken = *message;
	taken.count = make_some_places(group, message, group_unapplied_fits(group, message));
	if (taken.count > 0)
		taken.count = hold_some(group, &taken);
	if (taken.count == 0 && message->count > 0)
		return;
	group_step(group, (struct raft_event){.kind = RAFT_RECEIVED, .message = &taken});
	if (group->held_entries > 0)
		engine_unreserve(group->store->engine, group->held_bytes, group->held_entries);
	group->held_bytes = group->held_entries = 0;
	group_advance(group, engine_durable(group->store->engine, group->shard));
}
