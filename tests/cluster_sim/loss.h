/* What was acknowledged is lost, and only an operator's word lets the cluster go on
 * (docs/cluster.md, "When a majority is gone"). The last course of a world of three, when all else
 * has been seen and compared: by the seed itself, so that the course before it, and all other
 * worlds, stay as they are.
 *
 * Under load one node is cut off. The two others go on, and acknowledge what it does not have. Then
 * they are gone for ever, and it is there alone: `cluster recover --unsafe --lost A,B` is said at
 * it until all shards have been told of. It goes on; clients repeat tokens of before; two empty
 * machines join; and those that are gone are switched on again with their old disks, one after the
 * other (ghost.h).
 *
 * What may be lost is known exactly. An answer names of each shard up to where all is kept, and the
 * end of the log that goes on. The oracle has what was applied at each index, by which change of
 * which entity: kept is the longest beginning of that which this log has, too, and nothing behind
 * it. So
 *
 *   - nothing that was applied up to where all is said to be kept is missing, and that is no less
 *     than what the node knew to be committed (`recovered`);
 *   - of each entity the revisions up to the last one that is kept are there as they were told, and
 *     a change above that is there no more (`lost`), or is done anew if its caller repeats it;
 *   - a repeat of a token that is kept gets its first answer (`first reply`, `exactly once`);
 *   - behind the end of that log stands nothing of a term before the recovery's (`resurrected`).
 *
 * Between the two that are named what was acknowledged may be kept or not: where the node led when
 * it was cut off, its log has entries that the others never saw, at the indices of those that they
 * acknowledged. These entries go on (`tails_gone_on`). Nobody who is left can know it.
 */
#ifndef KX_TESTS_CLUSTER_SIM_LOSS_H
#define KX_TESTS_CLUSTER_SIM_LOSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/meta/meta.h"
#include "tests/shard_sim/model.h"

struct node;
struct world;

enum loss_step {
	LOSS_NONE,
	LOSS_BUSY, /* clients call, and all is well */
	LOSS_CUT,  /* one is cut off, the others acknowledge */
	LOSS_DEAD, /* these are gone; what was sent to the one that is left ends */
	LOSS_WORD, /* until it is answered what becomes of all shards */
	LOSS_BACK, /* clients call; others join; those that were gone come back */
	LOSS_OVER,
};

enum { LOSS_GONE = 2, LOSS_REVISIONS_MAX = 1 << 13 };

/* An entry made this revision of the entity. */
struct loss_revision {
	uint64_t index, revision;
	unsigned entity;
};

struct loss {
	enum loss_step step;
	struct node *left, *gone[LOSS_GONE];
	struct meta_wanted wanted[LOSS_GONE]; /* those that are gone, as the operator names them */
	uint64_t next_ns;
	struct cluster_recovery said[MODEL_SHARDS + 1]; /* index 0: of that one nothing was */
	uint64_t revisions_before[MODEL_ENTITIES];
	struct loss_revision revisions[LOSS_REVISIONS_MAX]; /* since then */
	size_t count;
};

/* Outside, when all is at rest and was looked at. False: it is no world for it. */
bool loss_begin(struct world *world);
bool loss_is_over(const struct world *world);
/* Clients call, though the world is calm. */
bool loss_loads(const struct world *world);
/* Outside, often: the next step. */
void loss_look(struct world *world);
/* Inside: an entry was applied for the first time. */
void loss_applied(struct world *world, uint32_t shard, uint64_t index, struct slice batch);
/* Inside: what the word was answered. */
void loss_answered(struct world *world, const char *text);
/* At the end: what was said stands in the directory. */
void loss_compare(struct world *world);

#endif
