/* The index as recovery writes it: records one after another, gaps between them. See the table in
 * log_index.h. */
#include "storage/log_index.h"

#include "base/assert.h"
#include "base/mutation.h"

/* By an entry that attaches: `unproven` is cleared before. By anything else: what stood behind
 * those gaps was not taken. */
static void mend(struct log_group_state *group)
{
	group->detached |= group->unproven;
	group->unproven = 0;
	group->link = LOG_WHOLE;
	group->broken = false;
	group->broken_mark = LOG_NO_MARK;
}

static void break_off(struct log_group_state *group, uint64_t mark)
{
	group->broken = true;
	if (mark < group->broken_mark)
		group->broken_mark = mark;
}

static bool attaches(const struct log_index *index, const struct log_group_state *group,
    uint64_t term, uint64_t entry)
{
	switch (group->link) {
	case LOG_WHOLE:
	case LOG_SEVERED:
		return entry <= group->last_index + 1;
	case LOG_UNPROVEN: {
		/* Entries of the checkpoint are committed: no lost frame can have replaced them. */
		if (entry <= group->base.index + 1)
			return true;
		uint64_t before;
		return entry <= group->last_index + 1 &&
		       !log_index_term(index, group, entry - 1, &before) && before == term;
	}
	case LOG_DETACHED:
		return false;
	}
	UNREACHABLE();
}

/* The gaps whose content is known: those that an entry which attaches again makes good. */
static uint64_t known_gaps(const struct log_index *index)
{
	return ~index->lost_any;
}

static void apply_entry(struct log_index *index, struct log_group_state *group,
    const struct log_origin *origin, uint64_t term, uint64_t entry)
{
	/* Terms never fall along a log: something before the checkpoint has replaced this one. */
	if (entry > group->base.index && term < group->base.term) {
		group->run_ended = true;
		return;
	}
	if (entry > group->seen_index)
		group->seen_index = entry;
	if (!attaches(index, group, term, entry)) {
		group->run_ended = true;
		if (group->link == LOG_WHOLE) {
			group->link = LOG_SEVERED;
			break_off(group, origin->mark);
		} else if (group->link == LOG_UNPROVEN && entry <= group->last_index + 1) {
			group->link = LOG_DETACHED;
			group->detached |= group->unproven;
			group->unproven = 0;
		}
		return;
	}
	/* It replaces all that is missing of known gaps. */
	if (group->link != LOG_WHOLE)
		group->lost_entries &= ~known_gaps(index);
	group->unproven = 0;
	mend(group);
	if (entry <= group->start_index) {
		/* In the checkpoint already; but it replaced what stood behind it. */
		log_index_truncate(index, group, group->start_index);
		return;
	}
	log_index_entry(index, group, origin, term, entry);
}

static void apply_hard_state(const struct log_index *index, struct log_group_state *group,
    uint64_t frame, uint64_t mark, const struct log_record *record)
{
	if (frame <= group->base.frame)
		return;
	struct log_hard_state hard = {.term = record->term,
	    .vote = load_u64le(record->payload.data),
	    .commit = record->index};
	if (hard.term < group->hard.term)
		return;
	/* A hard state is the whole truth of its moment: a vote lost before it is in it. */
	if (log_hard_state_replaces(&group->hard, &hard)) {
		/* What may be another replica's, forgotten in a gap, says nothing of this one. */
		if (group->lost_hard & index->lost_any)
			group->hard.commit = 0;
		group->lost_hard = 0;
	}
	group->hard = log_hard_state_merge(&group->hard, &hard);
	group->vote_lost = false;
	group->hard_durable = group->hard;
	group->hard_durable_frame = frame;
	group->hard_durable_mark = mark;
}

/* What a repair left of the group: up to this entry it was whole then, so it is here too. */
static void apply_truncation(struct log_index *index, struct log_group_state *group, uint64_t mark,
    uint64_t term, uint64_t last)
{
	uint64_t found = 0;
	bool here = last <= group->start_index ||
	            (!log_index_term(index, group, last, &found) && found == term);
	log_index_truncate(index, group, here ? last : group->start_index);
	if (here) {
		mend(group);
		group->lost_entries = 0;
		return;
	}
	/* More was lost since, or it was replaced later and recovery begins behind it. */
	break_off(group, mark);
	group->link = LOG_SEVERED;
}

static void apply_reset(struct log_index *index, struct log_group_state *group,
    const struct log_frame_header *frame, uint64_t mark, const struct log_record *record)
{
	bool is_copy = frame->kind == LOG_FRAME_REWRITE;
	if (!is_copy) {
		group->reset_index = record->index;
		group->reset_term = record->term;
	}
	if (!is_copy && record->index == 0 && record->term == 0) {
		/* What the store has of it came later. */
		const struct log_base base = group->base;
		log_index_forget(index, group, frame->frame, &base);
		return;
	}
	log_index_reset(index, group, mark, record->term, record->index);
	mend(group);
	group->lost_entries = 0;
	if (is_copy && group->lost_hard != 0) {
		/* Its hard state, too, unless the checkpoint has that. */
		group->lost_hard = 0;
		group->hard = group->base.hard;
		group->hard_durable = group->base.hard;
		group->hard_durable_frame = 0;
		group->hard_durable_mark = LOG_NO_MARK;
	}
}

int log_index_apply(struct log_index *index, const struct log_frame_header *frame,
    const struct log_origin *origin, const struct log_record *record)
{
	if (record->kind == LOG_ACCEPT_LOSS) {
		log_index_accept(index, record->term, record->index);
		return 0;
	}
	int error = log_index_reserve(index, 1);
	struct log_group_state *group = NULL;
	if (!error)
		error = log_index_group(index, record->group, &group);
	if (error)
		return error;
	group->last_frame = frame->frame;
	switch (record->kind) {
	case LOG_ENTRY:
		apply_entry(index, group, origin, record->term, record->index);
		return 0;
	case LOG_HARD_STATE:
		apply_hard_state(index, group, frame->frame, origin->mark, record);
		return 0;
	case LOG_RESET:
		apply_reset(index, group, frame, origin->mark, record);
		return 0;
	case LOG_TRUNCATE:
		apply_truncation(index, group, origin->mark, record->term, record->index);
		return 0;
	case LOG_ACCEPT_LOSS:
		break;
	}
	UNREACHABLE();
}

/* ---- Gaps ---- */

/* In what is no copy, a reset to 0 is where it was forgotten (log_format.h). */
static bool forgets(const struct log_extent *extent)
{
	return (extent->flags & (LOG_EXTENT_RESET | LOG_EXTENT_REWRITE)) == LOG_EXTENT_RESET &&
	       extent->first_index == 1;
}

/* What the gap held of one group is lost: takes from the index what it replaced. */
static void lose(struct log_index *index, struct log_group_state *group, uint64_t gap,
    uint64_t frame, const struct log_extent *extent)
{
	uint64_t bit = UINT64_C(1) << gap;
	bool has_entries = extent->first_index <= extent->last_index;
	if (has_entries && extent->last_index > group->seen_index)
		group->seen_index = extent->last_index;
	if (extent->flags & LOG_EXTENT_REWRITE && group->link == LOG_WHOLE && !group->broken &&
	    group->last_index >= extent->last_index) {
		/* Copies, of what stands elsewhere still. Had the originals been released, the
		 * group would have nothing here, or end too early. */
		if (extent->flags & LOG_EXTENT_VOTE && group->hard_durable_frame == 0 &&
		    frame > group->base.frame)
			group->lost_hard |= bit;
		return;
	}
	if (forgets(extent)) {
		/* Rule: what a replica voted and knew to be committed ends with it, though the
		 * record of that be lost: the next one here never did. */
		const struct log_base base = group->base;
		if (!MUTATION(log_lost_forget_keeps_hard_state))
			log_index_forget(index, group, group->forgotten_frame, &base);
	}
	/* A hint is harmless, unless it was the only copy of a vote that is lost already. */
	bool vote = extent->flags & LOG_EXTENT_VOTE ||
	            (extent->flags & LOG_EXTENT_COMMIT && group->vote_lost);
	if (vote && frame > group->base.frame) {
		group->lost_hard |= bit;
		group->vote_lost = true;
	}
	if (!has_entries && !(extent->flags & (LOG_EXTENT_RESET | LOG_EXTENT_TRUNCATE)))
		return;
	/* Nothing of it would have been taken, nor what it replaced given up. */
	if (group->link == LOG_DETACHED && !(extent->flags & LOG_EXTENT_RESET))
		return;

	uint64_t before = extent->first_index - 1;
	if (extent->flags & LOG_EXTENT_RESET) {
		log_index_reset(index, group, LOG_NO_MARK, 0, group->base.index);
		mend(group);
		group->lost_entries = 0;
		if (before > group->base.index) {
			group->lost_entries = bit;
			group->link = LOG_SEVERED;
			return;
		}
	} else {
		log_index_truncate(index, group, before);
		/* What a repair had decided about it is lost. */
		if (extent->flags & LOG_EXTENT_TRUNCATE && before > group->base.index)
			group->lost_entries |= bit;
	}
	if (!has_entries || extent->last_index <= group->base.index)
		return;
	group->lost_entries |= bit;
	if (group->link == LOG_WHOLE)
		group->link = LOG_SEVERED;
}

/* The repair's record that accepts the gap; NULL: none. */
static const struct log_repair *repair_of(
    const struct log_index *index, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < index->repair_count; i++) {
		const struct log_repair *repair = &index->repairs[i];
		if (repair->kind == LOG_ACCEPT_LOSS && repair->frame > last &&
		    repair->first <= first && last <= repair->last)
			return repair;
	}
	return NULL;
}

/* How a group stands behind a gap of unknown content. */
static void lose_track(const struct log_index *index, struct log_group_state *group, uint64_t gap)
{
	const struct log_repair *accepted = index->gaps[gap].repair;
	if (group->link == LOG_DETACHED)
		return;
	if (!accepted) {
		group->link = LOG_UNPROVEN;
		group->unproven |= UINT64_C(1) << gap;
		return;
	}
	for (size_t i = 0; i < index->repair_count; i++) {
		const struct log_repair *repair = &index->repairs[i];
		if (repair->frame == accepted->frame && repair->kind == LOG_TRUNCATE &&
		    repair->group == group->number && repair->detached >> accepted->number & 1)
			group->link = LOG_DETACHED;
	}
}

/* What a gap of unknown content may have held of one group. */
static void lose_unknown(const struct log_index *index, struct log_group_state *group, uint64_t gap)
{
	uint64_t bit = UINT64_C(1) << gap;
	group->lost_entries |= bit;
	/* The checkpoint has the votes of all frames up to that one. */
	if (index->gaps[gap].last > group->base.frame) {
		group->lost_hard |= bit;
		group->vote_lost = true;
	}
	lose_track(index, group, gap);
}

void log_index_met(const struct log_index *index, struct log_group_state *group)
{
	for (uint64_t gaps = index->lost_any; gaps != 0; gaps &= gaps - 1)
		lose_unknown(index, group, (uint64_t)__builtin_ctzll(gaps));
}

static void lose_anything(struct log_index *index, uint64_t gap)
{
	index->lost_any |= UINT64_C(1) << gap;
	for (size_t i = 0; i < index->group_count; i++)
		lose_unknown(index, index->sorted[i], gap);
}

int log_index_gap(struct log_index *index, const struct log_gap *report, uint64_t first,
    uint64_t last, uint64_t mark, const struct log_extent *directory, size_t directory_count)
{
	ASSERT(index->gap_count < LOG_GAPS_MAX);
	uint64_t gap = index->gap_count;
	index->gaps[gap] = (struct log_indexed_gap){.report = *report,
	    .first = first,
	    .last = last,
	    .mark = mark,
	    .repair = repair_of(index, first, last)};
	index->gap_count++;
	if (!report->groups_known) {
		lose_anything(index, gap);
		return 0;
	}
	for (size_t i = 0; i < directory_count; i++) {
		uint32_t owner = directory[i].group;
		if (MUTATION(log_wrong_damage_owner))
			owner ^= 1;
		struct log_group_state *group;
		int error = log_index_group(index, owner, &group);
		if (error)
			return error;
		lose(index, group, gap, last, &directory[i]);
	}
	return 0;
}

void log_index_accept(struct log_index *index, uint64_t first, uint64_t last)
{
	uint64_t accepted = 0;
	for (uint64_t i = 0; i < index->gap_count; i++) {
		const struct log_indexed_gap *gap = &index->gaps[i];
		if (first <= gap->first && gap->last <= last)
			accepted |= UINT64_C(1) << i;
	}
	index->lost_any &= ~accepted;
	for (size_t i = 0; i < index->group_count; i++) {
		struct log_group_state *group = index->sorted[i];
		group->lost_entries &= ~accepted;
		group->lost_hard &= ~accepted;
		if (group->lost_entries == 0 && !group->broken)
			mend(group);
	}
}

void log_index_recovered(struct log_index *index)
{
	for (size_t i = 0; i < index->group_count; i++) {
		struct log_group_state *group = index->sorted[i];
		group->durable_index = group->last_index;
		group->replaced_frame = 0;
		/* What a reset stands for is in the store before it. Where it is not any more, the
		 * group was forgotten, and the log lost that. */
		if (group->start_index > group->base.index)
			break_off(group, group->start_mark);
		/* What it lacks must be in a gap, if in one that names others or was accepted. */
		if (group->broken && index->gap_count > 0)
			group->lost_entries |= UINT64_C(1) << (index->gap_count - 1);
	}
	uint64_t matter = log_index_gaps_that_matter(index);
	for (uint64_t i = 0; i < index->gap_count; i++)
		index->gaps[i].report.matters = matter >> i & 1;
}

/* ---- Suspicion ---- */

const struct log_gap *log_index_suspect_by(
    const struct log_index *index, const struct log_group_state *group)
{
	uint64_t gaps = group ? group->lost_entries | group->lost_hard : index->lost_any;
	return gaps ? &index->gaps[__builtin_ctzll(gaps)].report : NULL;
}

uint64_t log_index_gaps_that_matter(const struct log_index *index)
{
	uint64_t gaps = index->lost_any;
	for (size_t i = 0; i < index->group_count; i++)
		gaps |= index->sorted[i]->lost_entries | index->sorted[i]->lost_hard;
	return gaps;
}

uint64_t log_index_held_mark(const struct log_index *index)
{
	uint64_t held = LOG_NO_MARK;
	for (uint64_t gaps = log_index_gaps_that_matter(index); gaps != 0; gaps &= gaps - 1) {
		uint64_t mark = index->gaps[__builtin_ctzll(gaps)].mark;
		if (mark < held)
			held = mark;
	}
	for (size_t i = 0; i < index->group_count; i++)
		if (index->sorted[i]->broken && index->sorted[i]->broken_mark < held)
			held = index->sorted[i]->broken_mark;
	return held;
}
