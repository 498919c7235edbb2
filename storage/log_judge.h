/* Where a log ends, and what is missing in it: decided from what the scan saw, without any I/O.
 *
 * The scan (log_scan.h) reads every live segment from front to back and hands over STRETCHES: runs
 * of valid frames whose numbers follow each other, which are chained by their hashes and are of
 * one life. A healthy log is one stretch per life. Whatever is not a valid frame lies between
 * them.
 *
 * The rules, in the order in which they are applied:
 *   1. STALE is a frame of a life that a later recovery ended before it: some frame of a higher
 *      life says that its life began at this number or below (life_frame). So says the anchor, of
 *      its own life and of those before it, though all frames of these be lost; where it does not
 *      know with which frame its own life began, that was not above its durable_frame. Stale frames
 *      count for nothing.
 *   2. PROVEN durable are all numbers up to the highest watermark of frames that are not stale, or
 *      of the anchor. No frame after a cut can prove one before it wrong: a watermark is written
 *      only after the sync.
 *   3. Going through the rest in order of position, numbers must rise without a hole. A missing
 *      number that is proven is damage: a gap, and the log goes on behind it. One that is not
 *      proven ends the log: cut there, and everything behind is given up.
 *   4. Two neighbours with consecutive numbers whose chain does not fit: the first one is a
 *      leftover that a lost write should have replaced, and counts as missing.
 *   5. Proven numbers above the last frame: the end is missing, a gap.
 */
#ifndef KX_STORAGE_LOG_JUDGE_H
#define KX_STORAGE_LOG_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/log.h"

struct log_place {
	uint64_t segment;
	uint64_t offset;
};

enum log_fate {
	LOG_FATE_KEPT,
	LOG_FATE_STALE,    /* rule 1 */
	LOG_FATE_GIVEN_UP, /* behind the cut */
};

struct log_stretch {
	uint64_t first; /* frame numbers */
	uint64_t last;
	uint64_t life;
	uint64_t life_frame;
	uint64_t watermark; /* the highest in it */
	uint64_t chain;     /* of its first frame; 0: unknown */
	uint64_t last_chain;
	uint64_t last_hash; /* the chain that fits behind it; 0: unknown */
	struct log_place begin;
	struct log_place last_begin;
	struct log_place end; /* behind its last frame; may be the end of a segment */

	/* Directory of its first frame: what had been in the frame before. Owned by the scan. */
	struct log_extent *directory;
	size_t directory_count;

	/* What lies between it and the next one. */
	struct log_place behind;      /* `end`, or offset 0 of the next segment */
	enum log_verdict end_verdict; /* there */
	bool unreadable_behind;       /* anywhere */
	bool unreadable_begin_behind; /* at offset 0 of a segment, where the log may go on */

	enum log_fate fate; /* decided by log_judge */
};

/* A gap in the log, and the stretch behind it. */
struct log_judged_gap {
	struct log_gap report;
	uint64_t first; /* missing frames, exactly; report.last_frame may say "the end" */
	uint64_t last;
	size_t next; /* number of the stretch behind it; 0: none */
	enum log_verdict verdict;
};

struct log_judgement {
	uint64_t proven;     /* rule 2 */
	uint64_t next_frame; /* above every number kept or proven */
	uint64_t next_life;  /* above every life seen */
	size_t last_kept;    /* number of the last stretch kept; 0: none */
	bool cut;            /* frames were given up, or something unfinished stands at the end */
	uint64_t frames_given_up;
	bool end_missing; /* rule 5 */
	/* Only a cut explains what is missing, but there is a place that cannot be read where the
	 * missing frame may stand: nobody can know. */
	bool unexplained;
	/* A gap is known only from frames that are given up: once they are overwritten, the next
	 * recovery would take the gap for a cut. */
	bool proof_at_risk;
	uint64_t gaps; /* all; those from LOG_GAPS_MAX on are merged into the last one kept */
	size_t gap_count;
	struct log_judged_gap gap[LOG_GAPS_MAX];
};

/* stretches[0] stands for what precedes the log: `last` is the number before its first frame,
 * `last_hash` its hash or 0, `begin` and `end` where the log begins. The others in order of
 * position. `proven`: up to this all frames were durable, from any other source; 0: none. */
void log_judge(const struct log_anchor *anchor, uint64_t proven, struct log_stretch *stretches,
    size_t count, struct log_judgement *ret_judgement);

/* Where the lives before `next` began, as far as stretches and anchor know: for anchors to come. */
void log_judge_lives(const struct log_anchor *anchor, const struct log_stretch *stretches,
    size_t count, struct log_life next, struct log_life ret_before[LOG_LIVES_BEFORE]);

#endif
