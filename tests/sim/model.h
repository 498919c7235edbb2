/* What the simulated engine was asked to do and what it promised, kept outside of its process: so
 * the model knows what may be lost at the process's end, and what not.
 *
 * Operations are the records that were appended, of all shards, in one row. Acknowledged is a
 * beginning of that row. The rule of recovery: what is there afterwards is what a beginning of the
 * row makes, no shorter than the acknowledged one; and of all shards the same beginning.
 *
 * A snapshot stands in the store, or in a file from which a restart puts it there, and not in the
 * log. So where that loses what a snapshot was made of, its shard may be ahead of all others.
 *
 * Where the disk lied, once or often, it may be shorter, down to what is PROVEN: what stands in
 * frames up to a number of which a frame that is on the disk says that they had been durable. What
 * nothing says that of cannot be told from what was in flight. Shards that the engine calls suspect
 * are left out.
 */
#ifndef KX_TESTS_SIM_MODEL_H
#define KX_TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage/log.h"
#include "tests/sim/content.h"
#include "tests/sim/state.h"

enum {
	MODEL_SHARDS_MAX = 64,
	MODEL_NO_SHARD = 255,
	MODEL_NO_OPERATION = UINT32_MAX,
};

enum model_kind { MODEL_ENTRY, MODEL_HARD_STATE };

struct model_operation {
	enum model_kind kind;
	enum content_kind content; /* of an entry */
	uint8_t shard;             /* position in model.shards */
	uint32_t boot;
	uint64_t turn;
	uint64_t index, term;       /* of an entry */
	struct log_hard_state hard; /* of a hard state */
	uint64_t frame;             /* of the log, in which the engine put it */
	/* Neither acknowledged nor seen: of a shard that was suspect at the recovery behind it. */
	bool in_doubt;
};

/* Row numbers of operations, by index - 1. */
struct model_entries {
	uint32_t *operations;
	uint64_t count;
	uint64_t capacity;
};

struct model_shard {
	uint32_t number;
	/* Applies only up to a commit index that trails, and may replace what is above it. */
	bool lags;
	bool suspect; /* as the engine said at its last opening */
	/* ... while reads failed: what could not be read then may be there the next time. */
	bool unread;
	/* A repair accepted that a part of it is lost, or began to; until what is left is seen. */
	bool given_up;
	bool closed;              /* the same, or for damage in the store */
	struct model_entries log; /* as appended so far */
	struct log_hard_state hard;
	/* The highest commit hint in a frame that could not be read: it may come back. */
	uint64_t hidden_commit;
	uint64_t commit;
	struct model_entries applied; /* what the engine was ever given to apply */
	uint64_t installed;           /* index of the last snapshot that was begun; 0: none */
	struct state state;
};

struct model {
	const struct content *content;
	struct model_operation *operations;
	size_t count, capacity;
	size_t acknowledged;
	uint32_t boot;
	uint64_t turn;
	struct model_shard shards[MODEL_SHARDS_MAX];
	size_t shard_count;
	uint64_t acknowledgements; /* calls of the engine */
	uint64_t lost;             /* acknowledged and gone, with leave */
};

void model_init(struct model *model, const struct content *content);
void model_done(struct model *model);

/* Returns its position. */
size_t model_add_shard(struct model *model, uint32_t number, bool lags);
/* MODEL_NO_SHARD where there is none. */
size_t model_find_shard(const struct model *model, uint32_t number);

/* ---- While the engine runs ---- */

void model_append_entry(
    struct model *model, size_t shard, uint64_t term, uint64_t index, enum content_kind content);
void model_append_hard_state(struct model *model, size_t shard, const struct log_hard_state *hard);

/* Where the engine put what was appended last. Until this is said (the process may end inside the
 * engine's call) it cannot be acknowledged. */
void model_appended(struct model *model, uint64_t frame);

/* The engine says that these are durable, being what is in the frames up to this one. Fails the
 * seed unless they are exactly the next ones of the row. */
void model_acknowledge(
    struct model *model, uint64_t frame, const struct log_extent *extents, size_t count);

/* What log_group_view.durable_index has to be. */
uint64_t model_durable_index(const struct model *model, size_t shard);
uint64_t model_last_index(const struct model *model, size_t shard);
uint64_t model_last_term(const struct model *model, size_t shard);
/* The name of the entry that stands at this index now (or is at `operation`). */
struct content_entry model_entry_at(const struct model *model, size_t shard, uint64_t index);
struct content_entry model_entry_of(const struct model *model, uint32_t operation);
/* The operation that appended (index, term); MODEL_NO_OPERATION. */
uint32_t model_find_entry(const struct model *model, size_t shard, uint64_t index, uint64_t term);

/* The engine is about to be given it: whether or not it gets done, it is committed. */
void model_applied(struct model *model, size_t shard, uint64_t index, uint32_t operation);

/* ---- After a recovery ---- */

/* What the engine says of one shard; `group` is that of engine_group. */
struct model_view {
	struct log_group_view group;
	bool closed;
};

/* Decides which beginning of the row survived, and forgets the rest. */
struct model_disk {
	/* Since the last call a disk lied, so that what is not in the frames up to `proven` may be
	 * gone. */
	bool lied;
	bool unread; /* a read failed: a frame with nothing but a hint may be passed over */
	uint64_t proven;
	/* The last that there was, as the engine says: what stood behind it is given up, of
	 * suspects too. */
	uint64_t last_frame;
};
void model_recover(
    struct model *model, const struct model_view views[], const struct model_disk *disk);
/* Before it: the highest index at which the shard ends after a beginning that may be the one, or
 * where what is in doubt replaced nothing. */
uint64_t model_highest_end(const struct model *model, const struct model_disk *disk, size_t shard);

/* Whether a snapshot is what the engine has of the shard, which the store has, or the file of its
 * install, whatever the log lost of what had made it: see model_recover.c. Before it. */
bool model_is_installed(const struct model *model, const struct model_disk *disk, size_t shard,
    const struct model_view *view);

/* After a repair or an install, before model_recover: of the shard the entries 1 to
 * group->last_index are left, `left` tells which operations appended them. Positions of operations
 * change. */
void model_accept_loss(
    struct model *model, size_t shard, const struct log_group_view *group, const uint32_t *left);

/* For model_recover: what one operation does to its shard, again. */
void model_take_effect(struct model *model, size_t position);

#endif
