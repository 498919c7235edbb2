/* A log on a simulated machine, with a model beside it that knows what must be there after any
 * crash: everything acknowledged, in order; of what was appended after that a prefix; nothing
 * else. The rig also plays the store: it keeps the anchor and the bases of the last checkpoint.
 *
 * Payloads follow from (group, index, term), so that they can be checked wherever they turn up.
 */
#ifndef KX_TESTS_UNIT_LOG_RIG_H
#define KX_TESTS_UNIT_LOG_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/sim/sim.h"
#include "storage/log.h"

enum {
	RIG_GROUPS = 6,
	RIG_ENTRIES_MAX = 4096, /* of one group, from its first on */
	RIG_OPS_MAX = 8192,
	RIG_FRAMES_MAX = 20000,
	RIG_LIVES_MAX = 500,
};
#define RIG_STORE 0x5eed5eed

/* What a group's log holds: `term` of each entry from start + 1 to last. */
struct rig_group {
	uint64_t start;
	uint64_t last;
	uint64_t start_term;
	struct log_hard_state hard;
	uint64_t term[RIG_ENTRIES_MAX];
	uint64_t frame[RIG_ENTRIES_MAX]; /* where it was appended */
};

struct rig_op {
	enum log_record_kind kind;
	uint32_t group;
	uint64_t frame;
	uint64_t index;
	uint64_t term;
	struct log_hard_state hard;
	const uint8_t *payload; /* in the log's memory until it is acknowledged */
};

enum rig_plan { RIG_PLAN_NOTHING, RIG_PLAN_SOME, RIG_PLAN_ALL };

struct rig {
	struct sim *sim;
	struct sim_node *node;
	struct fs *fs;
	struct io *io;   /* of the process, while it runs */
	struct log *log; /* likewise */
	struct log_options options;
	struct log_report report;
	int open_error;
	bool open_returned;
	bool drained;
	bool flush_in_turn;
	bool no_copies; /* rig_random_step never rewrites */
	uint64_t rooms; /* calls of `room` */

	/* The store. */
	struct log_anchor anchor;
	struct log_base base[RIG_GROUPS];
	/* A checkpoint under way. */
	uint32_t idle_groups; /* bit n: group n is never planned, as if it had nothing applied */
	bool planned;
	bool stored;
	struct log_anchor planned_anchor;
	struct log_base planned_base[RIG_GROUPS];

	/* The model: acknowledged, and what was appended since. */
	struct rig_group acknowledged[RIG_GROUPS];
	struct rig_group appended[RIG_GROUPS];
	uint64_t index_ever[RIG_GROUPS]; /* the highest ones */
	uint64_t term_ever[RIG_GROUPS];
	struct rig_op op[RIG_OPS_MAX];
	size_t op_count;
	uint64_t acknowledged_ops; /* in all */
	uint64_t durable_frame;

	/* What was in each frame: bit n, entries, a vote or a reset of group n. */
	uint8_t groups_of_frame[RIG_FRAMES_MAX];
	/* The first frames of lives, as far as opened logs said. */
	uint64_t life[RIG_LIVES_MAX];
	uint64_t life_frame[RIG_LIVES_MAX];
	size_t life_count;

	/* What the last replay gave. */
	struct rig_group replayed[RIG_GROUPS];

	uint64_t crashes, opens, checkpoints, releases;
};

/* Small segments and frames; `faults` may be NULL. */
struct rig *rig_new(uint64_t seed, const struct sim_faults *faults);
void rig_free(struct rig *rig);

/* Boots and opens the log with what the store has. False: the process ended in it. Otherwise
 * open_error says how it went. */
bool rig_boot(struct rig *rig);
/* rig_boot until it survives, then everything is checked against the model; the model continues
 * from what was found. */
void rig_reopen(struct rig *rig);
void rig_crash(struct rig *rig, enum sim_crash crash);
/* The process ended by itself: true, once. */
bool rig_ended(struct rig *rig);

/* Inside the process; false: it ended in it. rig_append: false also where there was no room. */
bool rig_append(struct rig *rig, uint32_t group, uint64_t index, uint64_t term);
bool rig_append_next(struct rig *rig, uint32_t group);
bool rig_hard(struct rig *rig, uint32_t group, struct log_hard_state hard);
bool rig_reset(struct rig *rig, uint32_t group, uint64_t index, uint64_t term);
bool rig_reset_whole(struct rig *rig, uint32_t group, uint64_t index, uint64_t term);
bool rig_forget(struct rig *rig, uint32_t group);
bool rig_flush(struct rig *rig);
bool rig_plan(struct rig *rig, enum rig_plan plan);
void rig_store(struct rig *rig); /* the plan is durable in the store */
bool rig_release(struct rig *rig);
bool rig_rewrite(struct rig *rig, uint64_t segment, uint64_t bytes_max);

/* Steps the world. */
void rig_steps(struct rig *rig, uint64_t count);
/* Flushes and steps until everything is durable. */
void rig_settle(struct rig *rig);
/* Steps until nothing happens any more: watermark written, segments prepared. */
void rig_quiet(struct rig *rig);
/* The whole of a checkpoint. */
void rig_checkpoint(struct rig *rig, enum rig_plan plan);
/* Appends an entry of the group as a frame of its own, and returns its number. */
uint64_t rig_frame(struct rig *rig, uint32_t group);
/* log_drain until it is done. */
void rig_drain(struct rig *rig);

/* What the operation does to a group. */
void rig_apply(struct rig_group *group, const struct rig_op *op);

/* The bytes that the entry has. */
uint32_t rig_payload(uint32_t group, uint64_t index, uint64_t term, uint8_t *data);
#define RIG_PAYLOAD_BYTES_MAX 1800

/* Group's view, from outside. */
struct log_group_view rig_view(struct rig *rig, uint32_t group);
/* Fails the test where a group that is not suspect is not as the model says. */
void rig_check_groups(struct rig *rig);
/* Replays into rig->replayed, checking payloads and order. */
void rig_replay(struct rig *rig);

/* One random operation; steps of the world; parts of checkpoints. */
void rig_random_step(struct rig *rig);
/* The model's bounds are near: time to end. */
bool rig_is_long(const struct rig *rig);

/* "log/000....seg" of a segment; static. */
const char *rig_path(uint64_t segment);
/* Finds frame `number` on disk by looking at every segment; false: it is not there. */
bool rig_find_frame(struct rig *rig, uint64_t number, struct log_frame_header *ret_header);
/* Marks in present[] every frame, up to `last`, that stands on disk in the life it was written in.
 * Returns the highest watermark in them. */
uint64_t rig_list_frames(struct rig *rig, uint64_t last, bool *present);
/* Flips a bit in the middle of it. It is there. */
void rig_rot_frame(struct rig *rig, uint64_t number);

/* A log made by hand: frames one after another in one segment, written and synced. */
struct rig_forge {
	struct rig *rig;
	uint64_t segment;
	uint64_t offset;
	uint64_t chain;
	uint64_t store;
	uint64_t life;
	uint64_t life_frame;
};
/* Makes the segment, zeroed. */
void rig_forge_begin(
    struct rig *rig, struct rig_forge *forge, uint64_t segment, uint64_t segment_bytes);
/* A frame with entries first to last of the group (of term 1); `group_before` was in the frame
 * before it, with one entry, `entry_before`; 0: nothing was. */
void rig_forge_frame(struct rig_forge *forge, enum log_frame_kind kind, uint64_t number,
    uint64_t watermark, uint32_t group, uint64_t first, uint64_t last, uint32_t group_before,
    uint64_t entry_before);
/* Leaves out what would have been a frame of one block. */
void rig_forge_skip(struct rig_forge *forge);

/* Everything below the directory, as one number. */
uint64_t rig_hash_dir(struct rig *rig, const char *dir);
size_t rig_count_files(struct rig *rig, const char *dir);

#endif
