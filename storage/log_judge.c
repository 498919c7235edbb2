#include "storage/log_judge.h"

#include <string.h>

#include "base/assert.h"
#include "base/mutation.h"

/* Rule: what began a life ends those before it, whether or not a frame of it is left. */
static uint64_t anchor_limit(const struct log_anchor *anchor, uint64_t life)
{
	uint64_t limit = UINT64_MAX;
	if (life < anchor->life)
		limit = anchor->durable_frame;
	if (MUTATION(log_anchor_without_life))
		return limit;
	if (life < anchor->life && anchor->life_frame != 0)
		limit = anchor->life_frame - 1;
	for (size_t i = 0; i < LOG_LIVES_BEFORE; i++)
		if (anchor->before[i].life > life && anchor->before[i].frame <= limit)
			limit = anchor->before[i].frame - 1;
	return limit;
}

/* Up to which number frames of `life` count, given all other stretches and the anchor. Quadratic in
 * the number of stretches: there are few, and a disk on which there are many has other worries. */
static uint64_t life_limit(const struct log_anchor *anchor, const struct log_stretch *stretches,
    size_t count, uint64_t life)
{
	if (MUTATION(log_accept_older_life))
		return UINT64_MAX;
	uint64_t limit = anchor_limit(anchor, life);
	for (size_t i = 1; i < count; i++)
		if (stretches[i].life > life && stretches[i].life_frame <= limit)
			limit = stretches[i].life_frame - 1;
	return limit;
}

static void find_stale(const struct log_anchor *anchor, struct log_stretch *stretches, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct log_stretch *stretch = &stretches[i];
		ASSERT(stretch->first > 0 && stretch->first <= stretch->last);
		uint64_t limit = life_limit(anchor, stretches, count, stretch->life);
		stretch->fate = stretch->first > limit ? LOG_FATE_STALE : LOG_FATE_GIVEN_UP;
		if (stretch->fate != LOG_FATE_STALE && stretch->last > limit) {
			/* A stretch goes on behind the number where a later life began: that number
			 * was unreadable then and is readable now. The later life stands. */
			stretch->last = limit;
			stretch->last_hash = 0;
		}
	}
}

static uint64_t highest_proven(const struct log_anchor *anchor, uint64_t proven,
    const struct log_stretch *stretches, size_t count, bool kept_only)
{
	if (anchor->durable_frame > proven)
		proven = anchor->durable_frame;
	for (size_t i = 1; i < count; i++) {
		const struct log_stretch *stretch = &stretches[i];
		if (stretch->fate == LOG_FATE_STALE)
			continue;
		if ((!kept_only || stretch->fate == LOG_FATE_KEPT) && stretch->watermark > proven)
			proven = stretch->watermark;
	}
	return proven;
}

/* Frames first to last are missing behind the stretch `before`. next 0: nothing comes after. */
static void add_gap(struct log_judgement *judgement, const struct log_anchor *anchor,
    const struct log_stretch *stretches, size_t before, uint64_t first, uint64_t last, size_t next)
{
	ASSERT(first <= last);
	judgement->gaps++;
	if (judgement->gap_count == LOG_GAPS_MAX) {
		struct log_judged_gap *merged = &judgement->gap[LOG_GAPS_MAX - 1];
		merged->last = last;
		merged->report.last_frame = next == 0 ? UINT64_MAX : last;
		merged->report.groups_known = false;
		return;
	}
	const struct log_stretch *behind = &stretches[before];
	struct log_judged_gap *gap = &judgement->gap[judgement->gap_count++];
	*gap = (struct log_judged_gap){
	    .first = first, .last = last, .next = next, .verdict = behind->end_verdict};
	gap->report.first_frame = first;
	gap->report.last_frame = next == 0 ? UINT64_MAX : last;
	gap->report.segment = behind->behind.segment;
	gap->report.offset = behind->behind.offset;
	/* Of several only the last one's content is in the directory behind them. */
	uint64_t needed = anchor->needed_frame;
	bool one = first == last || (first < needed && needed == last);
	gap->report.groups_known = next != 0 && one;
	if (gap->report.groups_known && stretches[next].directory_count > 0 &&
	    (stretches[next].directory[0].flags & LOG_EXTENT_UNKNOWN))
		gap->report.groups_known = false;
}

/* The chain says that another frame than the last one of `before` stood in its place: takes that
 * one away. */
static void drop_leftover(struct log_stretch *before)
{
	before->last--;
	before->end = before->last_begin;
	before->behind = before->last_begin;
	before->end_verdict = LOG_VALID;
	before->last_hash = before->last_chain;
}

static bool chain_fits(const struct log_stretch *before, const struct log_stretch *next)
{
	return MUTATION(log_skip_chain_check) || before->last_hash == 0 || next->chain == 0 ||
	       before->last_hash == next->chain;
}

/* Whether a place that cannot be read may hold the frame at which the log was cut. */
static bool cut_is_unexplained(const struct log_stretch *stretches, size_t count, size_t last_kept)
{
	bool any = false, begin = false;
	for (size_t i = last_kept; i < count; i++) {
		any = any || stretches[i].unreadable_behind;
		begin = begin || stretches[i].unreadable_begin_behind;
		if (i + 1 < count && stretches[i + 1].fate == LOG_FATE_GIVEN_UP)
			return any;
	}
	return begin || stretches[last_kept].end_verdict == LOG_UNREADABLE;
}

/* Takes out what does not follow in order, and rule 4. What is left rises in numbers and lives. */
static void put_in_order(struct log_stretch *stretches, size_t count)
{
	uint64_t life = 0;
	size_t before = 0;
	for (size_t i = 1; i < count; i++) {
		struct log_stretch *stretch = &stretches[i];
		if (stretch->fate == LOG_FATE_STALE)
			continue;
		bool older = stretch->life < life && !MUTATION(log_accept_older_life);
		if (stretch->first <= stretches[before].last || older) {
			stretch->fate = LOG_FATE_STALE;
			continue;
		}
		if (stretch->first == stretches[before].last + 1 &&
		    !chain_fits(&stretches[before], stretch)) {
			/* What comes before the first stretch is known from the anchor. */
			if (before == 0) {
				stretch->fate = LOG_FATE_STALE;
				continue;
			}
			drop_leftover(&stretches[before]);
		}
		life = stretch->life;
		before = i;
	}
}

/* Rule 3. Returns the first number that is not there. */
static uint64_t walk(const struct log_anchor *anchor, struct log_stretch *stretches, size_t count,
    struct log_judgement *judgement)
{
	uint64_t expected = stretches[0].last + 1;
	for (size_t i = 1; i < count; i++) {
		struct log_stretch *stretch = &stretches[i];
		if (stretch->fate == LOG_FATE_STALE)
			continue;
		if (stretch->first > expected) {
			uint64_t last = stretch->first - 1;
			if (last > judgement->proven)
				break;
			add_gap(
			    judgement, anchor, stretches, judgement->last_kept, expected, last, i);
		}
		stretch->fate = LOG_FATE_KEPT;
		expected = stretch->last + 1;
		judgement->last_kept = i;
	}
	return expected;
}

void log_judge(const struct log_anchor *anchor, uint64_t proven, struct log_stretch *stretches,
    size_t count, struct log_judgement *ret_judgement)
{
	ASSERT(count >= 1);
	struct log_judgement *judgement = ret_judgement;
	memset(judgement, 0, sizeof(*judgement));
	find_stale(anchor, stretches, count);
	put_in_order(stretches, count);
	if (!MUTATION(log_cut_covers_damage))
		judgement->proven = highest_proven(anchor, proven, stretches, count, false);
	judgement->next_life = anchor->life + 1;
	for (size_t i = 1; i < count; i++)
		if (stretches[i].life >= judgement->next_life)
			judgement->next_life = stretches[i].life + 1;

	uint64_t expected = walk(anchor, stretches, count, judgement);
	const struct log_stretch *end = &stretches[judgement->last_kept];
	if (expected <= judgement->proven && !MUTATION(log_ignore_missing_end)) {
		judgement->end_missing = true;
		add_gap(judgement, anchor, stretches, judgement->last_kept, expected,
		    judgement->proven, 0);
		expected = judgement->proven + 1;
	}
	judgement->next_frame = expected;

	for (size_t i = 1; i < count; i++)
		if (stretches[i].fate == LOG_FATE_GIVEN_UP)
			judgement->frames_given_up += stretches[i].last - stretches[i].first + 1;
	judgement->cut = judgement->frames_given_up > 0 || end->end_verdict == LOG_BAD_HASH ||
	                 end->end_verdict == LOG_BAD_SIZE || end->end_verdict == LOG_BAD_RECORDS;
	judgement->unexplained =
	    !judgement->end_missing && cut_is_unexplained(stretches, count, judgement->last_kept);

	uint64_t kept_proof = highest_proven(anchor, proven, stretches, count, true);
	judgement->proof_at_risk =
	    judgement->gap_count > 0 && judgement->gap[judgement->gap_count - 1].last > kept_proof;
	ASSERT(judgement->next_frame > judgement->proven || MUTATION(log_ignore_missing_end));
}

/* Takes it where it is the newest life so far below the other. */
static void consider_life(
    struct log_life *found, const struct log_life *below, uint64_t life, uint64_t frame)
{
	/* One that began no earlier says nothing more. */
	if (frame == 0 || frame >= below->frame || life >= below->life)
		return;
	if (life > found->life || (life == found->life && frame < found->frame))
		*found = (struct log_life){.life = life, .frame = frame};
}

void log_judge_lives(const struct log_anchor *anchor, const struct log_stretch *stretches,
    size_t count, struct log_life next, struct log_life ret_before[LOG_LIVES_BEFORE])
{
	memset(ret_before, 0, LOG_LIVES_BEFORE * sizeof(*ret_before));
	for (size_t k = 0; k < LOG_LIVES_BEFORE; k++) {
		struct log_life *found = &ret_before[k];
		consider_life(found, &next, anchor->life, anchor->life_frame);
		for (size_t i = 0; i < LOG_LIVES_BEFORE; i++)
			consider_life(
			    found, &next, anchor->before[i].life, anchor->before[i].frame);
		for (size_t i = 1; i < count; i++)
			consider_life(found, &next, stretches[i].life, stretches[i].life_frame);
		if (found->frame == 0)
			return;
		next = *found;
	}
}
