/* Releasing: what a checkpoint will hold (plans), what the log tells it (the anchor), and giving up
 * what it then holds. */
#include "storage/log_internal.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutation.h"

/* What the checkpoint under way will hold of the group, or what the last one holds. */
static const struct log_base *covered(const struct log *log, const struct log_group_state *group)
{
	return group->plan_round == log->plan_round ? &group->plan : &group->base;
}

struct log_base log_plan(struct log *log, uint32_t number, uint64_t index)
{
	if (log->plan_closed) {
		log->plan_closed = false;
		log->plan_round++;
	}
	struct log_group_state *group = log_index_find(&log->index, number);
	if (!group) {
		struct log_base base = {0};
		if (log->options.base)
			base = log->options.base(log->options.base_arg, number);
		return base;
	}
	ASSERT(index >= group->base.index);
	ASSERT(index <= group->durable_index);
	struct log_base plan = {
	    .index = index, .hard = group->hard_durable, .frame = log->durable_frame};
	int error = log_index_term(&log->index, group, index, &plan.term);
	ASSERT(error == 0);
	group->plan = plan;
	group->plan_round = log->plan_round;
	return plan;
}

/* The newest mark at or before the frame. */
static uint64_t mark_of_frame(const struct log_index *index, uint64_t frame)
{
	uint64_t mark = index->mark_first;
	for (size_t i = 1; i < index->mark_count && index->marks[i].frame <= frame; i++)
		mark = index->mark_first + i;
	return mark;
}

/* The last live segment, not after `number`, in which the log's frames up to `frame` begin; NULL
 * where it is gone. */
static const struct log_segment *segment_for(const struct log *log, uint64_t number, uint64_t frame)
{
	const struct log_segment *found = NULL;
	for (size_t i = 0; i < log->segment_count; i++) {
		const struct log_segment *segment = log->segments[i];
		if (segment->number <= number && segment->first_frame != 0 &&
		    segment->first_frame <= frame)
			found = segment;
	}
	return found;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The first mark behind which something is needed; LOG_NO_MARK: nothing that is durable now. */
static uint64_t needed_mark(const struct log *log)
{
	/* Rule: nothing is released that the checkpoint does not hold. */
	if (MUTATION(log_release_too_early))
		return LOG_NO_MARK;
	const struct log_index *index = &log->index;
	uint64_t needed = lower(log_index_held_mark(index), log_rewrite_held_mark(log));
	for (size_t i = 0; i < index->group_count; i++) {
		const struct log_group_state *group = index->sorted[i];
		needed = lower(needed, log_index_needed(index, group, covered(log, group)));
	}
	return needed;
}

void log_plan_anchor(struct log *log, struct log_anchor *ret_anchor)
{
	log->plan_closed = true;
	struct log_anchor anchor = log->anchor;
	anchor.durable_frame = log->durable_frame;
	anchor.segment_next = log->next_number;
	anchor.life = log->life;
	anchor.life_frame = log->life_frame;

	uint64_t needed = needed_mark(log);
	uint64_t frame = log->durable_frame + 1;
	uint64_t segment = UINT64_MAX;
	if (needed != LOG_NO_MARK) {
		const struct log_mark *mark = log_index_mark(&log->index, needed);
		frame = lower(frame, mark->frame);
		segment = mark->segment;
	}
	if (frame > anchor.needed_frame)
		anchor.needed_frame = frame;

	/* The segment of the newest durable frame stays in any case: with that frame the next
	 * recovery begins. */
	const struct log_segment *first =
	    segment_for(log, segment, lower(anchor.needed_frame, log->durable_frame));
	if (first && first->first_frame >= anchor.first_frame) {
		anchor.first_segment = first->number;
		anchor.first_frame = first->first_frame;
		anchor.chain = first->chain;
	}
	ASSERT(anchor.first_segment != 0);
	memset(anchor.before, 0, sizeof(anchor.before));
	for (size_t i = 0; i < LOG_LIVES_BEFORE; i++)
		if (log->lives_before[i].frame > anchor.first_frame)
			anchor.before[i] = log->lives_before[i];
	*ret_anchor = anchor;
}

void log_release(struct log *log, const struct log_anchor *anchor)
{
	ASSERT(anchor->life == log->life);
	ASSERT(anchor->durable_frame <= log->durable_frame);
	struct log_index *index = &log->index;
	for (size_t i = 0; i < index->group_count; i++) {
		struct log_group_state *group = index->sorted[i];
		if (group->plan_round == log->plan_round) {
			log_kept_add(log, group, group->plan.index);
			log_index_release(index, group, &group->plan);
			group->plan_round = 0;
		}
	}
	log->plan_round++;
	log->plan_closed = false;
	log->anchor = *anchor;
	log_index_drop_marks(index, mark_of_frame(index, anchor->needed_frame));
	log_rewrite_marks_dropped(log);
	log_segments_release(log, anchor->first_segment);
	log_segments_kick(log);
}
