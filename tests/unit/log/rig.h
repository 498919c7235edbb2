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
};
#define RIG_STORE 0x5eed5eed

/* What a group's log holds: `term` of each entry from start + 1 to last. */
struct rig_group {
	uint64_t start;
	uint64_t last;
	uint64_t start_term;
	struct log_hard_state hard;
	uint64_t term[RIG_ENTRIES_MAX];
};

struct rig_op {
	enum log_record_kind kind;
	uint32_t group;
	uint64_t frame;
	uint64_t index;
	uint64_t term;
	struct log_hard_state hard;
};

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
	uint64_t rooms; /* calls of `room` */

	/* The store. */
	struct log_anchor anchor;
	struct log_base base[RIG_GROUPS];
	/* A checkpoint under way. */
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
bool rig_flush(struct rig *rig);
bool rig_plan(struct rig *rig, bool everything); /* else a random part of each group */
void rig_store(struct rig *rig);                 /* the plan is durable in the store */
bool rig_release(struct rig *rig);
bool rig_rewrite(struct rig *rig, uint64_t segment, uint64_t bytes_max);

/* Steps the world. */
void rig_steps(struct rig *rig, uint64_t count);
/* Flushes and steps until everything is durable. */
void rig_settle(struct rig *rig);
/* Steps until nothing happens any more: watermark written, segments prepared. */
void rig_quiet(struct rig *rig);
/* The whole of a checkpoint. */
void rig_checkpoint(struct rig *rig);
/* log_drain until it is done. */
void rig_drain(struct rig *rig);

/* The bytes that the entry has. */
uint32_t rig_payload(uint32_t group, uint64_t index, uint64_t term, uint8_t *data);
#define RIG_PAYLOAD_BYTES_MAX 1800

/* Group's view, from outside. */
struct log_group_view rig_view(struct rig *rig, uint32_t group);
/* Fails the test where a group that is not suspect is not as the model says. */
void rig_check_groups(struct rig *rig);
/* Replays into rig->replayed, checking payloads and order. */
void rig_replay(struct rig *rig);

/* "log/000....seg" of a segment; static. */
const char *rig_path(uint64_t segment);
/* Finds frame `number` on disk by looking at every segment; false: it is not there. */
bool rig_find_frame(struct rig *rig, uint64_t number, struct log_frame_header *ret_header);
/* Flips a bit in the middle of it. It is there. */
void rig_rot_frame(struct rig *rig, uint64_t number);

#endif
