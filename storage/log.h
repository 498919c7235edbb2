/* The log of one store: the only write-ahead log there is.
 *
 * Problem. Many replicated groups on one core need their entries durable, in order, with one write
 * for all of them; after any crash exactly what was acknowledged must be there, and where the disk
 * lost or changed something that had been durable, that must be noticed and laid at the right
 * groups' door, not silently cut off.
 *
 * Shape. Records of a turn collect in the open frame. log_flush seals it (log_format.h) and writes
 * it with io_write_durable; while frames_in_flight_max are under way the next one accumulates.
 * Frames may complete in any order; they are acknowledged strictly in order, by one call for all
 * groups of a frame.
 *
 *     open --log_flush--> sealed --io--> written, synced --all before it too--> durable (callback)
 *
 * Words. Frames are numbered, rising by one (by more at a LIFE frame). WATERMARK w in a frame: all
 * up to w were durable when it was built. LIFE: counts recoveries; each frame says at which number
 * its life began. ANCHOR: what the newest checkpoint knows of the log; it lives in the store,
 * written in the same atomic step as the data. NEEDED: a record that the checkpoint does not cover.
 * An entry's IDENTITY is its index and where its record stands. Its term is none: where a vote was
 * lost and the loss accepted, a term may be used again, with another content under the same index.
 *
 * Recovery (log_open), from anchor.first_segment:
 *   1. Open every live segment with FS_LOCKED: writes of a killed process that are still under
 *      way end first. Then scan frame by frame. Next is the frame at the following offset, or at
 *      offset 0 of the next segment, valid, with number and chain as expected. A frame is stale,
 *      and ignored with its number, chain and watermark, where a frame of a higher life says that
 *      its life began at this number or below: a recovery gave it up. So is one of which the anchor
 *      says that, of its own life or one before (where an older version wrote the anchor: a frame
 *      of a life below its own, above what it calls durable), and one of a lower life behind one of
 *      a higher.
 *   2. Where there is none, go on at every LOG_ALIGNMENT step to the end of the last live segment,
 *      looking for valid frames that are not stale and whose number is higher than expected. (A
 *      valid frame whose chain does not fit its predecessor proves that the predecessor is a
 *      leftover which a lost write should have replaced: then the predecessor is the gap.)
 *   3. A missing frame number that any of them, or the anchor's durable_frame, covers by its
 *      watermark was durable: DAMAGE. Otherwise the log is CUT there; what the cut hides are frames
 *      that were in flight and never acknowledged (and, where the disk lies, at most those since
 *      the last watermark), and the report says how many.
 *   4. Records in frames below anchor.needed_frame are not used, and damage there does not
 *      matter, unless it is the log's end and more than one frame: what stood behind may be lost
 *      with it, so that counts as if it were needed. Else a single missing frame is laid at the
 *      groups that the next frame's directory names, and of those only at groups with records above
 *      their checkpoint in it (a lost vote only where no later hard state replaces it); several
 *      missing frames in a row, or a missing end, at all groups. Those groups are SUSPECT; so is
 *      one with a reset to what the store does not have. What a named lost frame had replaced stays
 *      replaced: earlier entries from its first index on are dropped, a group that it forgot is
 *      forgotten, with its votes; where a later frame replaces all that was lost, nothing is. A
 *      damaged stretch that matters is held in the log, never released, until repair accepts it
 *      (LOG_ACCEPT_LOSS), so that neither evidence nor suspicion is forgotten by a restart.
 *   5. Frames above the highest watermark seen are written again in place and synced, names too:
 *      they may have been written and never synced. (A sector written again with the bytes it holds
 *      keeps them whatever happens.) Segments behind a cut get new, never used numbers (renamed,
 *      directory synced). Then the LIFE frame of a new life is written and synced; its number is
 *      above everything known to have been durable, and where the log's end is missing it opens a
 *      fresh segment, and what stands behind the damage stays. Only then does log_open return.
 *      log_recover.h tells why a crash in between changes no judgement.
 *
 * Rejected: a log per group (one sync per group and turn); RocksDB's log (no watermark, no owner of
 * damage, a memtable insert in the way of every commit); a header block per segment (frames
 * describe themselves, and recycling would need one more synced write).
 *
 * Thread: all functions on the core's thread; log_open blocks. Errors of writes and syncs never
 * come back: they PANIC. ERR_NO_SPACE cannot hit a frame, since segments are allocated and zeroed
 * ahead.
 */
#ifndef KX_STORAGE_LOG_H
#define KX_STORAGE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/log_format.h"

struct fs;
struct io;
struct log;

struct log_hard_state {
	uint64_t term;
	uint64_t vote;   /* replica id, 0: none */
	uint64_t commit; /* a hint: may lag behind */
};

/* Where a life began: frames of lower lives with this number or a higher one were given up. */
struct log_life {
	uint64_t life;
	uint64_t frame;
};

/* The store's newest checkpoint, as far as the log is concerned. All zeros: never checkpointed. */
#define LOG_LIVES_BEFORE 8 /* more are recoveries with no checkpoint between them */
struct log_anchor {
	uint64_t first_segment; /* first live one; 0: the log begins at segment 1 */
	uint64_t first_frame;   /* number of the first frame in it */
	uint64_t needed_frame;  /* no record in a frame below this is needed */
	uint64_t durable_frame; /* every frame up to this was durable */
	uint64_t segment_next;  /* every number from here on is unused; 0: unknown */
	uint64_t life;
	uint64_t chain;      /* of first_frame: its predecessor's hash; 0: unknown */
	uint64_t life_frame; /* with which that life began; 0: unknown, a version before wrote it */
	/* What was known of lives before it that began behind first_frame: the newest first, both
	 * numbers falling, then zeros. */
	struct log_life before[LOG_LIVES_BEFORE];
};
#define LOG_ANCHOR_BYTES 200 /* with a format version; needed_frame <= durable_frame + 1 */
void log_anchor_encode(const struct log_anchor *anchor, uint8_t data[LOG_ANCHOR_BYTES]);
/* Of any format so far. ERR_CORRUPT, ERR_FORMAT (a newer one). */
NODISCARD int log_anchor_decode(struct slice data, struct log_anchor *ret_anchor);

/* What the checkpoint holds of one group. All zeros: nothing. */
struct log_base {
	uint64_t index; /* applied: every entry up to this is in the checkpoint */
	uint64_t term;  /* of that entry */
	struct log_hard_state hard;
	uint64_t frame; /* hard states in frames up to this are covered by `hard` */
};

struct log_options {
	struct fs *fs;
	struct io *io;
	const char *dir;          /* relative to fs; exists; copied */
	uint64_t store;           /* random id of the store, never 0 */
	struct log_anchor anchor; /* zeros where the store has none */
	/* The checkpoint's knowledge of a group, asked once per group that is met in the log or
	 * asked for later. */
	struct log_base (*base)(void *arg, uint32_t group);
	void *base_arg;

	uint64_t segment_bytes;        /* multiple of LOG_ALIGNMENT */
	uint64_t first_segment_bytes;  /* of segment 1 alone: small, so that starting is quick */
	uint32_t frames_in_flight_max; /* 1 to 64 */
	/* Where frames have taken less than this in the mean, the next one waits for that which is
	 * under way. 0: it never does. */
	uint64_t frame_soon_ns;
	/* Bound of one frame, a multiple of LOG_ALIGNMENT. The largest record must fit, with about
	 * 90 bytes for each group there is. */
	uint32_t frame_bytes_max;
	uint32_t watermark_delay_ms; /* idle this long: a watermark frame */

	/* All records of one frame are durable, and of all frames before it. Called from io_run. */
	void (*durable)(void *arg, const struct log_extent *extents, size_t count);
	/* There may be room again after log_reserve said no. May be NULL. Called from io_run. */
	void (*room)(void *arg);
	void *arg;
};

/* An unreadable stretch that had been durable. */
struct log_gap {
	uint64_t first_frame;
	uint64_t last_frame; /* UINT64_MAX: the end is missing */
	uint64_t segment;    /* where it begins */
	uint64_t offset;
	bool groups_known; /* false: any group may be concerned */
	bool matters;      /* some group is suspect by it: not below the checkpoint, nor accepted */
};
#define LOG_GAPS_MAX 64 /* further ones are counted, and make all groups suspect */

struct log_report {
	uint64_t segments, frames, records, bytes;
	uint64_t first_frame, last_frame; /* 0, 0 where there is none */
	uint64_t life;                    /* the new one */
	bool cut;
	uint64_t cut_segment, cut_offset, cut_frame;
	uint64_t cut_frames_seen; /* valid frames behind the cut that were given up */
	uint64_t rewritten_frames;
	uint64_t renumbered_segments;
	uint64_t gaps;
	struct log_gap gap[LOG_GAPS_MAX];
};

/* ERR_FOREIGN, ERR_FORMAT (a newer one), ERR_IO (blocks are unreadable where only a cut would
 * explain them: nothing was changed), ERR_BUSY, ERR_NO_SPACE, ERR_NOMEM, ERR_CORRUPT (no anchor,
 * yet there are records: the store is not the one that this log belongs to). Damage is no error:
 * see log_group_view. */
NODISCARD int log_open(
    const struct log_options *options, struct log **ret_log, struct log_report *ret_report);
/* NULL-safe. What is not durable is lost, as in a crash; log_drain before for a clean end. No
 * callback comes any more. What io has under way for it keeps its memory until that has ended: io
 * runs until then before it is freed (after `drained`, nothing is under way). */
void log_free(struct log *log);
/* Whether io has something under way for it, so that log_free would not be the end of it. */
bool log_under_way(const struct log *log);

struct log_group_view {
	uint64_t first_index; /* of the entries kept here; first > last: none */
	uint64_t last_index;  /* with no entries: the checkpoint's or reset's index */
	uint64_t last_term;
	struct log_hard_state hard;
	/* This and all lower entries that are in the log now are durable. An append at index i
	 * lowers it to i - 1 at once; a frame raises it only over entries whose newest copy stands
	 * in that frame or an earlier one. */
	uint64_t durable_index;
	bool suspect; /* may lack something that was durable: must not vote, acknowledge, serve */
	const struct log_gap *gap; /* the first that makes it suspect; NULL otherwise */
};
/* The group's view; a group never met has its base (zeros). */
struct log_group_view log_group(const struct log *log, uint32_t group);
/* What appending to the group will read is fetched from memory. */
void log_fetch(const struct log *log, uint32_t group);
/* Its durable_index alone, which is asked for with every entry. */
uint64_t log_durable(const struct log *log, uint32_t group);
/* The newest hard state that is durable. */
struct log_hard_state log_hard_durable(const struct log *log, uint32_t group);
/* The term of an entry that is kept here, or of the base. ERR_NOT_FOUND. */
NODISCARD int log_term(const struct log *log, uint32_t group, uint64_t index, uint64_t *ret_term);
/* Every group met in the log and not forgotten, by number. */
void log_each_group(const struct log *log, void (*each)(void *arg, uint32_t group), void *arg);

/* After log_open, before the first append: every needed, live entry, each once, in log order (so in
 * index order per group), those of suspect groups up to the gap only. `each` sees the payload
 * during the call; a negative result ends and is returned. In between, plans and anchors may be
 * made; log_release comes after it. ERR_IO, ERR_NOMEM. */
NODISCARD int log_replay(
    struct log *log, int (*each)(void *arg, const struct log_record *record), void *arg);

/* ---- Appending ---- */

/* Sets aside room for `bytes` of payload in `records` records, over any number of turns, until
 * log_unreserve gives it back: right before log_append in the same chain of calls, or because
 * nothing will be appended. Nothing is executed that has no room. False: segments are not ready (or
 * the disk is full), or too much is waiting; `room` tells when to ask again. Hard states need none:
 * they, and the log's own frames, have a permanent reserve. */
bool log_reserve(struct log *log, uint64_t bytes, uint32_t records);
void log_unreserve(struct log *log, uint64_t bytes, uint32_t records);
/* Whether it would, as far as that is known without trying to get memory. `room` is not called for
 * this question. */
bool log_has_room(const struct log *log, uint64_t bytes, uint32_t records);

/* Appends one entry: index is the group's last + 1, or lower to replace a suffix (then never at or
 * below the released index), term not lower than the last one's. *ret_payload: where to write its
 * `bytes` payload, before anything else is appended; it stays readable until the `durable` call
 * that names it has returned. Room was reserved before: having none is a programmer's error. */
void log_append(struct log *log, uint32_t group, uint64_t term, uint64_t index, uint32_t bytes,
    uint8_t **ret_payload);
/* Its term is not lower than before, and within a term a vote once given stays. */
void log_append_hard_state(struct log *log, uint32_t group, const struct log_hard_state *hard);
/* The group's entries are replaced by a snapshot at (index, term), which is in the store: index is
 * not below the released one. Where `whole`, the group is forgotten first, but for its hard state:
 * so no suspicion outlives it, and votes that are lost are another replica's. Needs no room
 * reserved, where no other reset waits to be durable. The number of its frame. */
uint64_t log_append_reset(
    struct log *log, uint32_t group, uint64_t term, uint64_t index, bool whole);
/* The group is as one that was never met, and the store knows nothing of it. The same of room. */
uint64_t log_append_forget(struct log *log, uint32_t group);
/* Whether the last reset of the group that stands in the log is this one; index 0: whether the log
 * has nothing of the group, or forgot it behind frame `behind`, or forgot it and has nothing
 * since. */
bool log_was_reset(
    const struct log *log, uint32_t group, uint64_t term, uint64_t index, uint64_t behind);

/* At the end of a turn: seals and writes the open frame, unless it is empty or enough are in
 * flight: frames_in_flight_max; FRAMES_IN_FLIGHT_BUSY where the core has other work (io_ready); one
 * where it comes back soon (frame_soon_ns). */
void log_flush(struct log *log);

/* Everything appended is durable and nothing is in flight. */
bool log_idle(const struct log *log);
/* Refuses further appends (log_reserve is false), flushes, writes a last watermark; `drained` once
 * everything is durable. */
void log_drain(struct log *log, void (*drained)(void *arg), void *arg);

/* ---- Releasing: with the checkpoint, in three steps ---- */

/* 1. When a generation is frozen, for every group: the checkpoint under way will hold its entries
 * up to `index` (at most its durable index). Returns what else it is to hold: the base, with the
 * durable hard state of this moment. */
struct log_base log_plan(struct log *log, uint32_t group, uint64_t index);
/* 2. The anchor to be written in the same atomic step, for exactly what was planned. Both stay
 * valid over attempts that found no space. */
void log_plan_anchor(struct log *log, struct log_anchor *ret_anchor);
/* 3. That step is durable: entries up to the plan are released, segments before the anchor's first
 * kept to be read (log_keep), and otherwise or later recycled in the background (renamed to new
 * numbers, directory synced) or removed where enough are spare. `anchor` is the last one that
 * log_plan_anchor gave. */
void log_release(struct log *log, const struct log_anchor *anchor);

/* Segments that stay only for records of few idle groups are freed by copying those groups' hard
 * state and whole live suffix into one REWRITE frame. Starts that for groups needed below
 * `segment`, at most bytes_max of them (a suffix that does not fit a frame stays); no effect while
 * one is under way. Works in the background; the next plan then moves on. */
void log_rewrite(struct log *log, uint64_t segment, uint64_t bytes_max);

/* ---- Figures ---- */

struct log_figures {
	uint64_t frames, frame_bytes, record_bytes, syncs, watermarks, rewrites;
	uint64_t live_bytes; /* from the first live segment to the end */
	uint64_t
	    needed_bytes; /* from needed_frame to the end: what a restart would have to replay */
	uint64_t segments_live, segments_spare;
	uint64_t first_segment, current_segment;
	uint64_t last_frame, durable_frame;
	uint64_t waiting_ns; /* since the oldest write under way began; 0: none is */
	bool no_space;       /* the last attempt to prepare a segment found the disk full */
};
struct log_figures log_figures(const struct log *log);
/* That one alone, which costs nothing. */
uint64_t log_waiting_ns(const struct log *log);

#endif
