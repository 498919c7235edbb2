/* The newest entries of a group's log, in memory: those that are not applied, and behind them some
 * that other replicas may lack. */
#include "base/assert.h"
#include "base/fetch.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/group_parts.h"

#include <string.h>

enum { FLIGHTS_MIN = 8 };

int group_flights_reserve(struct group *group, uint64_t more)
{
	uint64_t held = (uint64_t)group->reserved_entries + group->held_memberships +
	                (group->holds_first ? 1 : 0);
	uint64_t wanted = group->last.index - group->base.index + held + more;
	if (wanted <= group->flight_capacity)
		return 0;
	uint32_t capacity = group->flight_capacity ? group->flight_capacity : FLIGHTS_MIN;
	while (capacity < wanted)
		capacity *= 2;
	struct group_flight *flights = mem_zalloc(capacity, sizeof(*flights));
	if (!flights)
		return ERR_NOMEM;
	for (uint64_t i = group->base.index + 1; i <= group->last.index; i++)
		flights[i & (capacity - 1)] = *group_flight(group, i);
	mem_free(group->flights);
	group->flights = flights;
	group->flight_capacity = capacity;
	return 0;
}

void group_flight_add(struct group *group, struct group_position at, struct slice payload)
{
	ASSERT(at.index == group->last.index + 1 || group->last.index == group->base.index);
	ASSERT(at.index - group->base.index <= group->flight_capacity);
	*group_flight(group, at.index) = (struct group_flight){
	    .term = at.term, .payload = payload.data, .bytes = (uint32_t)payload.bytes};
	group->last = at;
	if (at.index > group->applied.index)
		group_unapplied_more(group, payload.bytes);
}

void group_flight_fetch(const struct group *group, uint64_t index)
{
	if (group->flight_capacity > 0)
		memory_fetch(group_flight(group, index), sizeof(struct group_flight));
}

static void let_go(struct group *group, struct group_flight *flight)
{
	if (!flight->copy)
		return;
	group->copied_bytes -= flight->bytes;
	mem_free(flight->copy);
	flight->copy = NULL;
}

int group_flight_copy(struct group *group, uint64_t index)
{
	struct group_flight *kept = group_flight(group, index);
	if (kept->copy)
		return 0;
	kept->copy = mem_alloc(kept->bytes);
	if (!kept->copy)
		return ERR_NOMEM;
	memcpy(kept->copy, kept->payload, kept->bytes);
	kept->payload = kept->copy;
	group->copied_bytes += kept->bytes;
	return 0;
}

void group_flights_trim(struct group *group, uint64_t to)
{
	ASSERT(to <= group->applied.index);
	while (group->base.index < to) {
		struct group_flight *first = group_flight(group, group->base.index + 1);
		group_base_rises(group,
		    (struct group_position){.term = first->term, .index = group->base.index + 1});
		let_go(group, first);
	}
}

void group_flights_trim_kept(struct group *group)
{
	uint64_t bytes_max = group->store->kept_bytes_max;
	if (group->copied_bytes <= bytes_max)
		return;
	uint64_t floor = snapshot_floor(group);
	while (group->copied_bytes > bytes_max && group->base.index < group->applied.index &&
	       (group->base.index < floor || group->copied_bytes > SNAPSHOT_KEPT_BYTES_MAX))
		group_flights_trim(group, group->base.index + 1);
}

void group_flights_cut(struct group *group, uint64_t from)
{
	ASSERT(from > group->applied.index);
	uint64_t bytes = 0;
	for (uint64_t i = from; i <= group->last.index; i++) {
		bytes += group_flight(group, i)->bytes;
		let_go(group, group_flight(group, i));
	}
	group_unapplied_less(group, bytes);
	group->last.index = from - 1;
	group->last.term =
	    from - 1 == group->base.index ? group->base.term : group_flight(group, from - 1)->term;
}

static void let_go_of_all(struct group *group)
{
	for (uint64_t i = group->base.index + 1; i <= group->last.index; i++)
		let_go(group, group_flight(group, i));
}

void group_flights_replace(struct group *group, struct group_position at)
{
	let_go_of_all(group);
	group_unapplied_forget(group);
	group_set_base(group, at);
	group->last = at;
	group->floor_moved = false;
}

void group_flights_done(struct group *group)
{
	let_go_of_all(group);
	group_unapplied_forget(group);
	mem_free(group->flights);
}
