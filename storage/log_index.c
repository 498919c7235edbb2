#include "storage/log_index.h"

#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/mutation.h"

void log_index_init(
    struct log_index *index, struct log_base (*base_of)(void *arg, uint32_t group), void *base_arg)
{
	memset(index, 0, sizeof(*index));
	index->base_of = base_of;
	index->base_arg = base_arg;
	number_map_init(&index->groups);
	index->run_free = LOG_NO_RUN;
}

void log_index_done(struct log_index *index)
{
	for (size_t i = 0; i < index->group_count; i++) {
		mem_free(index->sorted[i]->kept.runs);
		mem_free(index->sorted[i]);
	}
	for (size_t i = 0; i < index->spare_count; i++)
		mem_free(index->spare[i]);
	mem_free(index->sorted);
	mem_free(index->spare);
	mem_free(index->runs);
	mem_free(index->marks);
	number_map_done(&index->groups);
	memset(index, 0, sizeof(*index));
	index->run_free = LOG_NO_RUN;
}

/* ---- Memory ---- */

static int reserve_runs(struct log_index *index, uint32_t count)
{
	if (index->run_free_count >= count)
		return 0;
	uint64_t wanted = (uint64_t)index->run_capacity * 2 + 64;
	if (wanted < (uint64_t)index->run_capacity + count)
		wanted = (uint64_t)index->run_capacity + count;
	if (wanted >= LOG_NO_RUN)
		return ERR_NOMEM;
	struct log_run *runs = mem_realloc(index->runs, wanted * sizeof(*runs));
	if (!runs)
		return ERR_NOMEM;
	index->runs = runs;
	for (uint32_t i = index->run_capacity; i < wanted; i++) {
		runs[i].next = index->run_free;
		index->run_free = i;
		index->run_free_count++;
	}
	index->run_capacity = (uint32_t)wanted;
	return 0;
}

static int reserve_groups(struct log_index *index, size_t count)
{
	if (index->spare_count >= count)
		return 0;
	int error = number_map_reserve(&index->groups, count);
	if (!error)
		error = array_reserve(&index->sorted, &index->sorted_capacity,
		    index->group_count + count, sizeof(struct log_group_state *));
	if (!error)
		error = array_reserve(
		    &index->spare, &index->spare_capacity, count, sizeof(struct log_group_state *));
	while (!error && index->spare_count < count) {
		struct log_group_state *group = mem_zalloc(1, sizeof(*group));
		if (group)
			index->spare[index->spare_count++] = group;
		else
			error = ERR_NOMEM;
	}
	return error;
}

int log_index_reserve(struct log_index *index, uint32_t records)
{
	int error = reserve_runs(index, records);
	if (!error)
		error = reserve_groups(index, LOG_SPARE_GROUPS);
	if (!error)
		error = array_reserve(&index->marks, &index->mark_capacity, index->mark_count + 2,
		    sizeof(struct log_mark));
	return error;
}

/* Where in `sorted` the group stands, or would. */
static size_t sorted_place(const struct log_index *index, uint32_t number)
{
	size_t low = 0, high = index->group_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (index->sorted[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int log_index_group(struct log_index *index, uint32_t number, struct log_group_state **ret_group)
{
	struct log_group_state *group = log_index_find(index, number);
	if (group) {
		*ret_group = group;
		return 0;
	}
	if (index->spare_count == 0) {
		int error = reserve_groups(index, 1);
		if (error)
			return error;
	}
	group = index->spare[--index->spare_count];
	int error = number_map_put(&index->groups, number, group);
	ASSERT(error == 0);
	size_t place = sorted_place(index, number);
	ASSERT(index->group_count < index->sorted_capacity);
	memmove(index->sorted + place + 1, index->sorted + place,
	    (index->group_count - place) * sizeof(struct log_group_state *));
	index->sorted[place] = group;
	index->group_count++;

	*group = (struct log_group_state){.number = number,
	    .run_first = LOG_NO_RUN,
	    .run_last = LOG_NO_RUN,
	    .start_mark = LOG_NO_MARK,
	    .hard_durable_mark = LOG_NO_MARK,
	    .replaced_mark = LOG_NO_MARK,
	    .broken_mark = LOG_NO_MARK,
	    .replay_run = LOG_NO_RUN,
	    .link = LOG_WHOLE};
	if (index->base_of)
		group->base = index->base_of(index->base_arg, number);
	group->start_index = group->base.index;
	group->start_term = group->base.term;
	group->last_index = group->base.index;
	group->last_term = group->base.term;
	group->durable_index = group->base.index;
	group->hard = group->base.hard;
	group->hard_durable = group->base.hard;
	log_index_met(index, group);
	*ret_group = group;
	return 0;
}

/* ---- Runs ---- */

/* Numbers in place of pointers: the array moves when it grows. */
static struct log_run *run_at(const struct log_index *index, uint32_t number)
{
	ASSERT(index->runs && number < index->run_capacity);
	return &index->runs[number];
}

static void run_push(struct log_index *index, struct log_group_state *group, uint64_t first,
    uint64_t term, const struct log_origin *origin)
{
	uint32_t number = index->run_free;
	struct log_run *run = run_at(index, number);
	index->run_free = run->next;
	index->run_free_count--;
	*run = (struct log_run){.first = first,
	    .term = term,
	    .origin = *origin,
	    .next = LOG_NO_RUN,
	    .back = group->run_last};
	if (group->run_last == LOG_NO_RUN)
		group->run_first = number;
	else
		index->runs[group->run_last].next = number;
	group->run_last = number;
	group->run_ended = false;
}

static void run_unlink(struct log_index *index, struct log_group_state *group, uint32_t number)
{
	struct log_run *run = run_at(index, number);
	/* A replay may be under way. */
	if (group->replay_run == number)
		group->replay_run = run->next;
	if (run->back == LOG_NO_RUN)
		group->run_first = run->next;
	else
		index->runs[run->back].next = run->next;
	if (run->next == LOG_NO_RUN)
		group->run_last = run->back;
	else
		index->runs[run->next].back = run->back;
	run->next = index->run_free;
	index->run_free = number;
	index->run_free_count++;
}

static uint64_t run_end(
    const struct log_index *index, const struct log_group_state *group, const struct log_run *run)
{
	return run->next == LOG_NO_RUN ? group->last_index : index->runs[run->next].first - 1;
}

void log_index_entry(struct log_index *index, struct log_group_state *group,
    const struct log_origin *origin, uint64_t term, uint64_t entry)
{
	ASSERT(entry > group->start_index);
	ASSERT(entry <= group->last_index + 1);
	if (entry <= group->last_index)
		log_index_truncate(index, group, entry - 1);
	const struct log_run *last =
	    group->run_last == LOG_NO_RUN ? NULL : &index->runs[group->run_last];
	if (!last || group->run_ended || last->origin.mark != origin->mark || last->term != term)
		run_push(index, group, entry, term, origin);
	group->last_index = entry;
	group->last_term = term;
}

void log_index_truncate(struct log_index *index, struct log_group_state *group, uint64_t last)
{
	if (last < group->start_index)
		last = group->start_index;
	if (last >= group->last_index)
		return;
	while (group->run_last != LOG_NO_RUN && index->runs[group->run_last].first > last)
		run_unlink(index, group, group->run_last);
	group->run_ended = true;
	group->last_index = last;
	group->last_term =
	    group->run_last == LOG_NO_RUN ? group->start_term : index->runs[group->run_last].term;
	if (group->durable_index > last)
		group->durable_index = last;
}

void log_index_reset(struct log_index *index, struct log_group_state *group, uint64_t mark,
    uint64_t term, uint64_t start_index)
{
	while (group->run_last != LOG_NO_RUN)
		run_unlink(index, group, group->run_last);
	bool above = start_index > group->base.index;
	group->start_index = above ? start_index : group->base.index;
	group->start_term = above ? term : group->base.term;
	group->start_mark = above ? mark : LOG_NO_MARK;
	group->last_index = group->start_index;
	group->last_term = group->start_term;
	/* What precedes a reset is in the checkpoint already. */
	group->durable_index = group->start_index;
}

void log_index_forget(struct log_index *index, struct log_group_state *group, uint64_t frame,
    const struct log_base *base)
{
	group->base = *base;
	log_index_reset(index, group, LOG_NO_MARK, base->term, base->index);
	group->run_ended = true;
	group->hard = base->hard;
	group->hard_durable = base->hard;
	group->hard_durable_frame = 0;
	group->hard_durable_mark = LOG_NO_MARK;
	group->link = LOG_WHOLE;
	group->broken = false;
	group->broken_mark = LOG_NO_MARK;
	group->vote_lost = false;
	group->lost_entries = 0;
	group->lost_hard = 0;
	group->unproven = 0;
	group->detached = 0;
	group->seen_index = 0;
	group->forgotten_frame = frame;
}

bool log_index_is_forgotten(const struct log_group_state *group)
{
	return group->forgotten_frame != 0 && group->start_index == 0 && group->last_index == 0 &&
	       group->hard.term == 0 && !log_group_suspect(group);
}

void log_index_replacing(struct log_index *index, struct log_group_state *group, uint64_t frame)
{
	/* With the marks so far in it: what was replaced before may not be durable either. */
	group->replaced_mark = log_index_needed(index, group, &group->base);
	group->replaced_frame = frame;
}

void log_index_release(
    struct log_index *index, struct log_group_state *group, const struct log_base *base)
{
	ASSERT(base->index >= group->base.index);
	ASSERT(base->index <= group->last_index);
	group->base = *base;
	if (base->index >= group->start_index) {
		group->start_mark = LOG_NO_MARK;
		group->start_term = base->term;
		group->start_index = base->index;
	}
	while (group->run_first != LOG_NO_RUN) {
		struct log_run *run = &index->runs[group->run_first];
		if (run_end(index, group, run) > base->index) {
			if (run->first <= base->index)
				run->first = base->index + 1;
			break;
		}
		run_unlink(index, group, group->run_first);
	}
	if (group->hard_durable_frame <= base->frame) {
		group->hard_durable_frame = 0;
		group->hard_durable_mark = LOG_NO_MARK;
	}
}

int log_index_term(const struct log_index *index, const struct log_group_state *group,
    uint64_t entry, uint64_t *ret_term)
{
	if (entry > group->last_index || entry < group->start_index)
		return ERR_NOT_FOUND;
	uint64_t term = group->start_term;
	if (entry > group->start_index) {
		/* Asked for mostly near the end. */
		uint32_t number = group->run_last;
		while (index->runs[number].first > entry)
			number = index->runs[number].back;
		term = index->runs[number].term;
	}
	if (term == 0 && entry != 0)
		return ERR_NOT_FOUND;
	*ret_term = term;
	return 0;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t log_index_needed(
    const struct log_index *index, const struct log_group_state *group, const struct log_base *base)
{
	/* LOG_NO_MARK is above every mark. */
	uint64_t needed = group->replaced_mark;
	if (group->start_index > base->index)
		needed = lower(needed, group->start_mark);
	if (group->hard_durable_frame > base->frame)
		needed = lower(needed, group->hard_durable_mark);
	for (uint32_t i = group->run_first; i != LOG_NO_RUN; i = index->runs[i].next)
		if (run_end(index, group, &index->runs[i]) > base->index)
			return lower(needed, index->runs[i].origin.mark);
	return needed;
}

bool log_hard_state_replaces(const struct log_hard_state *old, const struct log_hard_state *new)
{
	return new->term > old->term ||
	       (new->term == old->term && old->vote == 0 && new->vote != 0);
}

struct log_hard_state log_hard_state_merge(
    const struct log_hard_state *old, const struct log_hard_state *new)
{
	struct log_hard_state merged = log_hard_state_replaces(old, new) ? *new : *old;
	merged.commit = new->commit > old->commit ? new->commit : old->commit;
	return merged;
}

/* ---- Marks ---- */

uint64_t log_index_add_mark(struct log_index *index, const struct log_mark *mark)
{
	ASSERT(index->mark_count < index->mark_capacity);
	ASSERT(index->mark_count == 0 || index->marks[index->mark_count - 1].frame < mark->frame);
	index->marks[index->mark_count] = *mark;
	return index->mark_first + index->mark_count++;
}

const struct log_mark *log_index_mark(const struct log_index *index, uint64_t mark)
{
	ASSERT(mark >= index->mark_first);
	ASSERT(mark - index->mark_first < index->mark_count);
	return &index->marks[mark - index->mark_first];
}

void log_index_drop_marks(struct log_index *index, uint64_t first)
{
	ASSERT(first < index->mark_first + index->mark_count || index->mark_count == 0);
	if (first <= index->mark_first)
		return;
	size_t count = (size_t)(first - index->mark_first);
	memmove(index->marks, index->marks + count,
	    (index->mark_count - count) * sizeof(struct log_mark));
	index->mark_count -= count;
	index->mark_first = first;
	/* What was replaced since an anchor was made may begin with what that anchor covers. */
	for (size_t i = 0; i < index->group_count; i++)
		if (index->sorted[i]->replaced_mark < first)
			index->sorted[i]->replaced_mark = first;
}
