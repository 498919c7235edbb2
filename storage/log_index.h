/* What the log holds of each group, in memory: which entries are live, roughly where each stands,
 * the newest hard state, and what damage concerns the group. Payloads stay on disk.
 *
 * Entries of one group are RUNS: consecutive indexes of one term, appended in one stretch of the
 * log. Where something stands is kept as a MARK: the log is divided into stretches of about a
 * sixty-fourth of a segment, and each begins with a mark (frame number, segment, position). So a
 * run costs 48 bytes a group and stretch, not a frame, and releasing is exact to one mark.
 *
 * Which record is an entry: the first one with its index at or behind its run's ORIGIN (frame, and
 * place in it). Term and index do not tell: after an accepted loss of a vote a term may be used
 * again. So a run ends wherever entries are given up, or passed over.
 *
 * Both the live log (log_append.c) and recovery (log_scan.c) write it, with the same functions
 * where they do the same; recovery also tells of gaps, and entries may come that do not follow.
 * What recovery does with each kind of record behind a gap:
 *
 *   link       an entry attaches where                      otherwise
 *   WHOLE      index <= last + 1                            SEVERED and broken, ignored
 *   SEVERED    index <= last + 1: replaces what is missing  ignored
 *   UNPROVEN   index <= last + 1, and its predecessor is    DETACHED where index <= last + 1,
 *              in the checkpoint or has the same term (the  ignored
 *              leader of that term had both, so what
 *              precedes is the same)
 *   DETACHED   never                                        ignored
 *
 *   SEVERED: the entries behind `last` are missing, because a gap's directory names them or because
 *   an entry came that does not follow. The latter also happens in a healthy log, where recovery
 *   begins between entries that were replaced later: the replacing entry attaches. UNPROVEN: behind
 *   a gap of unknown content. A reset (and so a REWRITE frame) makes any of them WHOLE, and so does
 *   an accepted loss. DETACHED: what came behind the gap did not fit; so it stays when a repair has
 *   accepted the gap, although the checkpoint, which has a say in what fits, moves on: the repair
 *   says which groups were detached behind which gaps.
 *
 * One thread. Nothing fails but log_index_reserve and what says so: room is made ahead.
 */
#ifndef KX_STORAGE_LOG_INDEX_H
#define KX_STORAGE_LOG_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/number_map.h"
#include "storage/log.h"

#define LOG_NO_RUN  UINT32_MAX
#define LOG_NO_MARK UINT64_MAX

enum log_link { LOG_WHOLE, LOG_SEVERED, LOG_UNPROVEN, LOG_DETACHED };

/* Where entries stand that the checkpoint holds, and that can still be read (log_read.h): runs as
 * below, up to `last`, in an array of `capacity`, the first of them at `from`. */
struct log_kept {
	struct log_kept_run *runs; /* NULL where there never were any */
	size_t from, count, capacity;
	uint64_t last;
};

struct log_group_state {
	uint32_t number;
	enum log_link link;
	bool broken;           /* SEVERED with no gap to explain it, or a reset that nothing does */
	bool vote_lost;        /* a vote is lost, accepted or not, and no hard state came since */
	uint64_t lost_entries; /* bit n: gap n may have held some of its entries */
	uint64_t lost_hard;    /* ... or a vote */
	uint64_t broken_mark;
	uint64_t unproven;   /* bit n: UNPROVEN because of gap n, and nothing has attached since */
	uint64_t detached;   /* bit n: ... until something stated the group anew */
	uint64_t seen_index; /* the highest entry that recovery saw or heard of */

	struct log_base base; /* what the checkpoint holds */
	struct log_base plan; /* what the next one will */
	uint64_t plan_round;  /* in which `plan` was set */

	/* Entries start_index + 1 .. last_index are kept here. */
	uint64_t start_index;
	uint64_t start_term; /* 0 where it is not known */
	uint64_t start_mark; /* of the reset that put start_index above the base; LOG_NO_MARK */
	uint64_t last_index;
	uint64_t last_term;
	uint64_t durable_index;
	uint32_t run_first;
	uint32_t run_last;
	bool run_ended; /* the next entry begins a run, whatever it is */

	struct log_hard_state hard;         /* newest appended */
	struct log_hard_state hard_durable; /* newest durable */
	uint64_t hard_durable_frame;        /* 0: as in the checkpoint */
	uint64_t hard_durable_mark;

	uint64_t last_frame;  /* the newest one with records of the group */
	uint64_t reset_index; /* of its last reset, copies aside */
	uint64_t reset_term;
	uint64_t forgotten_frame; /* that forgot it last; 0: none */
	uint64_t replaced_frame;  /* the newest one that replaced entries of earlier ones */
	uint64_t replaced_mark;   /* of what it replaced, needed until it is durable; LOG_NO_MARK */

	/* Of the frame being filled. */
	uint64_t extent_frame;
	uint32_t extent;

	/* Of a replay. */
	uint64_t replay_index;
	uint32_t replay_run;

	struct log_kept kept;
};

/* Where a record stands. */
struct log_origin {
	uint64_t mark;
	uint64_t frame;
	uint32_t record; /* 0, 1 ... in the frame */
};

/* Whether the record stands at the origin or behind it. */
static inline bool log_origin_covers(
    const struct log_origin *origin, uint64_t frame, uint32_t record)
{
	return origin->frame < frame || (origin->frame == frame && origin->record <= record);
}

struct log_run {
	uint64_t first;
	uint64_t term;
	struct log_origin origin; /* of its first entry, or of one before that */
	uint32_t next;
	uint32_t back;
};

/* A run whose mark may be gone. */
struct log_kept_run {
	uint64_t first, term;
	uint64_t frame;
	uint32_t record;
	uint64_t segment, offset; /* where to begin to look */
};

struct log_mark {
	uint64_t frame;
	uint64_t segment;
	uint64_t position; /* bytes of log before it, counted from where the log was opened */
};

/* What a repair decided; known before the records in front of it are applied. */
struct log_repair {
	uint64_t frame; /* of the repair */
	uint64_t life;
	enum log_record_kind kind; /* LOG_ACCEPT_LOSS or LOG_TRUNCATE */
	uint32_t group;            /* LOG_TRUNCATE */
	uint64_t detached;         /* LOG_TRUNCATE: bit n, behind the nth gap accepted here */
	uint64_t first;            /* LOG_ACCEPT_LOSS: frames */
	uint64_t last;
	uint32_t number; /* LOG_ACCEPT_LOSS: how many come before it in the repair */
};

struct log_index {
	struct log_base (*base_of)(void *arg, uint32_t group);
	void *base_arg;

	struct number_map groups;        /* number to struct log_group_state */
	struct log_group_state **sorted; /* all, by number */
	size_t group_count;
	size_t sorted_capacity;
	struct log_group_state **spare; /* ready for groups not met so far */
	size_t spare_count;
	size_t spare_capacity;

	struct log_run *runs;
	uint32_t run_capacity;
	uint32_t run_free; /* chain of free ones */
	uint32_t run_free_count;

	struct log_mark *marks; /* of numbers mark_first .. mark_first + mark_count - 1 */
	uint64_t mark_first;
	size_t mark_count;
	size_t mark_capacity;

	uint64_t lost_any; /* bit n: gap n is of unknown content, so groups not met are suspect */
	uint64_t gap_count;
	struct log_indexed_gap {
		struct log_gap report;
		uint64_t first;
		uint64_t last;
		uint64_t mark;
		const struct log_repair *repair; /* that accepts it, further on; NULL: none */
	} gaps[LOG_GAPS_MAX];
	const struct log_repair *repairs; /* by frame; the scan's, during recovery */
	size_t repair_count;
};

void log_index_init(
    struct log_index *index, struct log_base (*base_of)(void *arg, uint32_t group), void *base_arg);
void log_index_done(struct log_index *index);

/* Room for so many further records and two marks, and a few groups not met so far. ERR_NOMEM. */
#define LOG_SPARE_GROUPS 16
NODISCARD int log_index_reserve(struct log_index *index, uint32_t records);
/* Whether there is that room already. */
static inline bool log_index_has_room(const struct log_index *index, uint64_t records)
{
	return index->run_free_count >= records && index->spare_count >= LOG_SPARE_GROUPS &&
	       index->mark_count + 2 <= index->mark_capacity;
}

/* NULL where it was never met. */
static inline struct log_group_state *log_index_find(const struct log_index *index, uint32_t group)
{
	return number_map_get(&index->groups, group);
}
/* Makes it where it was never met. ERR_NOMEM only where more than LOG_SPARE_GROUPS were made since
 * room was last reserved. */
NODISCARD int log_index_group(
    struct log_index *index, uint32_t group, struct log_group_state **ret_group);

/* ---- Changes ---- */

/* Entry `entry` of `term`, at most last_index + 1 and above the base. */
void log_index_entry(struct log_index *index, struct log_group_state *group,
    const struct log_origin *origin, uint64_t term, uint64_t entry);
/* The same, where it is mostly the next of a run. */
static inline void log_index_next_entry(struct log_index *index, struct log_group_state *group,
    const struct log_origin *origin, uint64_t term, uint64_t entry)
{
	if (entry == group->last_index + 1 && group->run_last != LOG_NO_RUN && !group->run_ended) {
		const struct log_run *last = &index->runs[group->run_last];
		if (last->origin.mark == origin->mark && last->term == term) {
			group->last_index = entry;
			return;
		}
	}
	log_index_entry(index, group, origin, term, entry);
}
/* Entries above `last` are gone; the base's stay. */
void log_index_truncate(struct log_index *index, struct log_group_state *group, uint64_t last);
/* All entries are gone, the next one is start_index + 1. Not below the base. */
void log_index_reset(struct log_index *index, struct log_group_state *group, uint64_t mark,
    uint64_t term, uint64_t start_index);
/* The group is as one of which the store has `base` and the log nothing. */
void log_index_forget(struct log_index *index, struct log_group_state *group, uint64_t frame,
    const struct log_base *base);
/* Whether nothing came since. */
bool log_index_is_forgotten(const struct log_group_state *group);
/* Entries or more are about to be replaced by frame `frame`, which may be lost until it is durable:
 * what they are stays needed so long. */
void log_index_replacing(struct log_index *index, struct log_group_state *group, uint64_t frame);
/* The checkpoint holds `base` now: entries up to it are dropped. */
void log_index_release(
    struct log_index *index, struct log_group_state *group, const struct log_base *base);
/* ERR_NOT_FOUND. */
NODISCARD int log_index_term(const struct log_index *index, const struct log_group_state *group,
    uint64_t entry, uint64_t *ret_term);
/* Where the first record stands that a checkpoint holding `base` still needs of the group, as far
 * as it is durable; LOG_NO_MARK: none. */
uint64_t log_index_needed(const struct log_index *index, const struct log_group_state *group,
    const struct log_base *base);
/* Whether a hard state takes the place of another, and what then holds. */
bool log_hard_state_replaces(const struct log_hard_state *old, const struct log_hard_state *new);
struct log_hard_state log_hard_state_merge(
    const struct log_hard_state *old, const struct log_hard_state *new);

/* ---- Marks ---- */

/* Room was reserved. Returns its number. */
uint64_t log_index_add_mark(struct log_index *index, const struct log_mark *mark);
const struct log_mark *log_index_mark(const struct log_index *index, uint64_t mark);
/* Forgets those below; one always stays. */
void log_index_drop_marks(struct log_index *index, uint64_t first);

/* ---- Extents: what one frame holds of a group ---- */

static inline struct log_extent log_extent_none(uint32_t group)
{
	return (struct log_extent){.group = group, .first_index = 1};
}

static inline void log_extent_add_entry(struct log_extent *extent, uint64_t term, uint64_t entry)
{
	bool has_entries = extent->first_index <= extent->last_index;
	if (!has_entries || entry < extent->first_index)
		extent->first_index = entry;
	extent->last_index = entry;
	extent->last_term = term;
}

/* A reset to, or a truncation behind, entry `last`; flag: which. */
static inline void log_extent_add_cut(
    struct log_extent *extent, enum log_extent_flag flag, uint64_t term, uint64_t last)
{
	extent->flags |= (uint32_t)flag;
	extent->first_index = last + 1;
	extent->last_index = last;
	extent->last_term = term;
}

/* ---- Recovery ---- */

/* One record of a frame that is part of the log, in order. ERR_NOMEM. */
NODISCARD int log_index_apply(struct log_index *index, const struct log_frame_header *frame,
    const struct log_origin *origin, const struct log_record *record);
/* A gap that reaches above what is needed, between the frames around it; `directory` says what its
 * last frame held where report->groups_known. More than LOG_GAPS_MAX never come. ERR_NOMEM. */
NODISCARD int log_index_gap(struct log_index *index, const struct log_gap *report, uint64_t first,
    uint64_t last, uint64_t mark, const struct log_extent *directory, size_t directory_count);
/* How a group met for the first time stands behind gaps that may have held anything. */
void log_index_met(const struct log_index *index, struct log_group_state *group);
/* After the last record: everything read is durable. Sets `matters` of the gaps. */
void log_index_recovered(struct log_index *index);
/* The losses of frames first to last are accepted (also from the live log). */
void log_index_accept(struct log_index *index, uint64_t first, uint64_t last);

/* ---- Suspicion ---- */

static inline bool log_group_suspect(const struct log_group_state *group)
{
	return group->broken || group->lost_entries != 0 || group->lost_hard != 0;
}
/* The first gap that makes a group suspect (NULL group: one never met); NULL: none. */
const struct log_gap *log_index_suspect_by(
    const struct log_index *index, const struct log_group_state *group);
/* Gaps by which some group is suspect now: they and what lies behind them are kept. */
uint64_t log_index_gaps_that_matter(const struct log_index *index);
/* The first mark that suspicion holds; LOG_NO_MARK: none. */
uint64_t log_index_held_mark(const struct log_index *index);

#endif
