/* What the leader does, as group.h has it. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tests/shard_sim/group_double.h"
#include "tests/shard_sim/group_double_parts.h"

bool group_leads(const struct group *group)
{
	return group->state == LEADS;
}

uint64_t group_leader(const struct group *group)
{
	if (group->state != FOLLOWS)
		return DOUBLE_REPLICA;
	return double_led_elsewhere(group->store, group->shard) > 0 ? DOUBLE_REPLICA + 1 : 0;
}

/* The others are the cluster's. */
void group_set_members(struct group *group, uint64_t self, const struct raft_membership *initial)
{
	(void)group;
	(void)self;
	(void)initial;
}

/* All that are here stay. */
void group_remove(struct group *group, void (*removed)(void *arg, int error), void *arg)
{
	(void)removed;
	(void)arg;
	PANIC("shard %u is removed, and the others know nothing of that", group->shard);
}

void group_end_removal(struct group *group)
{
	PANIC("shard %u is not being removed", group->shard);
}

uint64_t group_term(const struct group *group)
{
	return group->term;
}

int64_t group_time_ms(struct group *group)
{
	if (group->store->now_ms == 0)
		group->store->now_ms = clock_real_ms();
	if (group->store->now_ms > group->time_ms)
		group->time_ms = group->store->now_ms;
	return group->time_ms;
}

void group_set_time(struct group *group, int64_t at_least_ms)
{
	if (at_least_ms > group->time_ms)
		group->time_ms = at_least_ms;
}

int group_reserve(struct group *group, uint64_t bytes, uint32_t entries, bool only_deletes)
{
	if (group->state != LEADS || group->store->closing)
		return ERR_AGAIN;
	uint64_t all = bytes + (uint64_t)entries * GROUP_ENTRY_HEADER_BYTES;
	int error = only_deletes
	                ? engine_reserve_spare(group->store->engine, group->shard, all, entries)
	                : engine_reserve(group->store->engine, group->shard, all, entries);
	if (error)
		group->wants_room = true;
	return error;
}

void group_unreserve(struct group *group, uint64_t bytes, uint32_t entries)
{
	engine_unreserve(
	    group->store->engine, bytes + (uint64_t)entries * GROUP_ENTRY_HEADER_BYTES, entries);
	group->store->tells_room = true;
}

void group_fetch(const struct group *group, unsigned step)
{
	(void)group, (void)step;
}

void group_propose(struct group *group, struct slice batch, struct group_position *ret_at)
{
	ASSERT(group->state == LEADS && batch.bytes > 0);
	uint8_t *payload = malloc(GROUP_ENTRY_HEADER_BYTES + batch.bytes);
	ASSERT(payload != NULL);
	group->time_ms = group_time_ms(group);
	size_t bytes = double_payload(payload, GROUP_BATCH, group->time_ms, batch);
	struct group_position at = {.term = group->term, .index = group->last.index + 1};
	double_append(group, at, slice_of(payload, bytes));
	free(payload);
	*ret_at = at;
}

uint64_t group_confirm(struct group *group)
{
	return ++group->rounds;
}

uint64_t group_confirmed(const struct group *group)
{
	return group->confirmed;
}

struct group_position group_applied(const struct group *group)
{
	return group->applied;
}

/* Nobody asks here what a shard does. */
uint64_t group_applied_bytes(const struct group *group)
{
	(void)group;
	return 0;
}

int group_ask(struct group *group, uint64_t *ret_question)
{
	if (group_leader(group) != DOUBLE_REPLICA + 1)
		return ERR_AGAIN;
	if (!group->question_open && !group->question_sent) {
		group->question++;
		group->question_open = true;
	}
	if (group->question_open)
		group->asked_ns = clock_monotonic_ns();
	group->question_again |= group->question_sent;
	*ret_question = group->question + group->question_again;
	return 0;
}

uint64_t group_answered(const struct group *group)
{
	return group->answered;
}

uint64_t group_known_ns(const struct group *group)
{
	return group->known_ns;
}

/* What it asked leaves, is lost, or is answered: with all that is committed anywhere by then, which
 * is to be applied here first. */
void double_answer(struct group *group)
{
	enum { LOST_PERCENT = 5, ANSWER_PERCENT = 30 };
	bool is_led = double_led_elsewhere(group->store, group->shard) > 0;
	if (group->question_sent && double_percent(LOST_PERCENT)) {
		group->question_sent = group->question_again = false;
	} else if (group->question_sent && is_led && group->answer == 0 &&
	           double_percent(ANSWER_PERCENT)) {
		group->answer = group->question;
		group->answer_index = double_committed(group);
		group->answer_ns = group->asked_ns;
		group->question_sent = false;
		group->question_open = group->question_again;
		group->question += group->question_again;
		group->question_again = false;
		group->asked_ns = clock_monotonic_ns();
	} else if (group->question_open) {
		group->question_open = false;
		group->question_sent = true;
	}
	if (group->answer == 0 || group->applied.index < group->answer_index)
		return;
	group->answered = group->answer;
	group->known_ns = group->answer_ns;
	group->answer = 0;
	group->events->answered(group->arg);
}
