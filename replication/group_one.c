/* A group of one member: what it proposes is committed when it is durable here. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/group_parts.h"

#include <string.h>

enum { REPLICA_ID = 1, FLIGHTS_MIN = 8 };

static struct group_flight *flight(const struct group *group, uint64_t index)
{
	return &group->flights[index & (group->flight_capacity - 1)];
}

/* Room in the row for so many more entries than are proposed. ERR_NOMEM. */
static int flights_reserve(struct group *group, uint64_t more)
{
	uint64_t wanted = group->last.index - group->applied.index + more;
	if (wanted <= group->flight_capacity)
		return 0;
	uint32_t capacity = group->flight_capacity ? group->flight_capacity : FLIGHTS_MIN;
	while (capacity < wanted)
		capacity *= 2;
	struct group_flight *flights = mem_zalloc(capacity, sizeof(*flights));
	if (!flights)
		return ERR_NOMEM;
	for (uint64_t i = group->applied.index + 1; i <= group->last.index; i++)
		flights[i & (capacity - 1)] = *flight(group, i);
	mem_free(group->flights);
	group->flights = flights;
	group->flight_capacity = capacity;
	return 0;
}

/* ---- Begin and end ---- */

int group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	struct group *group = group_find(store, shard);
	if (!group) {
		int error = group_new(store, shard, &group);
		if (error)
			return error;
	}
	ASSERT(!group->events && events->applied && events->leading);
	group->events = events;
	group->arg = arg;
	*ret_group = group;
	return 0;
}

static void close_group(struct group *group)
{
	if (group->state == GROUP_CLOSED)
		return;
	group->state = GROUP_CLOSED;
	group->store->tells_closed = true;
}

void group_tell_closed(struct group *group)
{
	if (group->closed_told)
		return;
	group->closed_told = true;
	group->events->closed(group->arg);
}

void group_start(struct group *group)
{
	ASSERT(group->events && group->state == GROUP_FOLLOWS);
	group->state = GROUP_STARTING;
	group->store->starts = true;
}

static void append(struct group *group, enum group_entry_kind kind, struct slice batch)
{
	struct engine *engine = group->store->engine;
	uint32_t bytes = (uint32_t)(GROUP_ENTRY_HEADER_BYTES + batch.bytes);
	uint64_t index = group->last.index + 1;
	uint8_t *payload;
	engine_append(engine, group->shard, group->term, index, bytes, &payload);
	group->time_ms = group_time_ms(group);
	group_entry_header(payload, kind, group->time_ms);
	if (batch.bytes > 0)
		memcpy(payload + GROUP_ENTRY_HEADER_BYTES, batch.data, batch.bytes);
	*flight(group, index) = (struct group_flight){.payload = payload, .bytes = bytes};
	group->last = (struct group_position){.term = group->term, .index = index};
}

void group_campaign(struct group *group)
{
	struct engine *engine = group->store->engine;
	if (engine_shard_closed(engine, group->shard)) {
		close_group(group);
		return;
	}
	int error = flights_reserve(group, 1);
	if (!error)
		error = engine_reserve_spare(engine, group->shard, GROUP_ENTRY_HEADER_BYTES, 1);
	if (error == ERR_DATA_LOSS)
		close_group(group);
	/* Without room it waits for the engine to tell of some. */
	if (error == ERR_NOMEM)
		group_store_starves(group->store);
	if (error)
		return;
	engine_unreserve(engine, GROUP_ENTRY_HEADER_BYTES, 1);
	group->term++;
	/* The vote and the entry stand in one frame: neither is durable without the other. */
	engine_append_hard_state(engine, group->shard,
	    &(struct log_hard_state){
	        .term = group->term, .vote = REPLICA_ID, .commit = group->applied.index});
	append(group, GROUP_NOOP, slice_of(NULL, 0));
	group->state = GROUP_CAMPAIGNS;
}

/* ---- Applying ---- */

/* Memory that is short for a moment is asked for again; if there is none, nothing here can go on:
 * the entry is durable, and a restart applies it. */
static int apply(struct group *group, const struct group_entry *entry)
{
	struct engine *engine = group->store->engine;
	int error = ERR_NOMEM;
	for (int attempts = 0; error == ERR_NOMEM && attempts < 8; attempts++)
		error = engine_apply(
		    engine, group->shard, entry->at.index, entry->at.term, entry->batch);
	if (error == ERR_NOMEM)
		PANIC("group %u: out of memory for a committed entry", group->shard);
	ASSERT_MSG(!error || error == ERR_DATA_LOSS, "group %u: entry %llu: %s", group->shard,
	    (unsigned long long)entry->at.index, error_name(error));
	return error;
}

void group_fetch_next(const struct group *group)
{
	if (group->flight_capacity > 0)
		memory_fetch(flight(group, group->applied.index + 1), sizeof(struct group_flight));
}

int group_next_entry(const struct group *group, struct group_entry *ret_entry)
{
	uint64_t index = group->applied.index + 1;
	if (group->state == GROUP_CLOSED || index > group->last.index)
		return ERR_NOT_FOUND;
	const struct group_flight *next = flight(group, index);
	ret_entry->at = (struct group_position){.term = group->term, .index = index};
	return group_entry_decode(slice_of(next->payload, next->bytes), ret_entry);
}

void group_advance(struct group *group, uint64_t durable_index)
{
	while (group->applied.index < durable_index && group->state != GROUP_CLOSED) {
		struct group_entry entry;
		int error = group_next_entry(group, &entry);
		ASSERT(!error);
		error = apply(group, &entry);
		if (error) {
			close_group(group);
			return;
		}
		group->applied = entry.at;
		group->events->applied(group->arg, &entry);
		if (group->state != GROUP_CAMPAIGNS)
			continue;
		ASSERT(entry.kind == GROUP_NOOP);
		group->state = GROUP_LEADS;
		group->events->leading(group->arg, group->term);
	}
}

/* ---- What the leader does ---- */

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
	if (store->now_ms > group->time_ms)
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
	if ((error == ERR_FULL || error == ERR_NO_SPACE) && !group->wants_room) {
		group->wants_room = true;
		group->store->wanting++;
	} else if (error == ERR_DATA_LOSS)
		close_group(group);
	return error;
}

int group_reserve(struct group *group, uint64_t bytes, uint32_t entries, bool only_deletes)
{
	struct engine *engine = group->store->engine;
	if (group->state == GROUP_CLOSED)
		return ERR_DATA_LOSS;
	if (group->state != GROUP_LEADS || group->store->closing)
		return ERR_AGAIN;
	if (flights_reserve(group, (uint64_t)group->reserved_entries + entries)) {
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
	append(group, GROUP_BATCH, batch);
	*ret_at = group->last;
}

void group_fetch(const struct group *group, unsigned step)
{
	if (step == 0) {
		memory_fetch(group, sizeof(*group));
		engine_fetch(group->store->engine, group->shard);
		return;
	}
	if (group->flight_capacity > 0)
		memory_fetch(flight(group, group->last.index + 1), sizeof(struct group_flight));
}

/* The only member leads, and nobody else can: a round is confirmed as it begins. */
uint64_t group_confirm(struct group *group)
{
	ASSERT(group->state == GROUP_LEADS);
	return ++group->rounds;
}

uint64_t group_confirmed(const struct group *group)
{
	return group->rounds;
}

struct group_position group_applied(const struct group *group)
{
	return group->applied;
}
