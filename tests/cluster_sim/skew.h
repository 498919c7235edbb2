/* Shards that do much: how much work they have done (shards_work) is said here for those of some
 * worlds, in place of so many calls; all that follows from it is production's: what their leaders
 * measure and say, what is kept of that, and what is planned and moves.
 *
 * While things break, all but one of the shards do much all the time. When all is at rest, the
 * course is
 *
 *   WARM     nothing is done, until that is known, and every shard may move
 *   SWAYS    two nodes lead two shards each that do a little more than nothing, by turns: what
 *            comes and goes so quickly, and is so little, moves nothing
 *   PILE     two shards of one node do much: they come to be led by two
 *   AGAIN    so do one that has just moved and one that is led there: the other one moves, or, when
 *            that has rested, it does
 *   SETTLES  all that loads are worth is moved
 *   STAYS    they stay as they are, and so does everything
 *
 * `loads` is the oracle. */
#ifndef KX_TESTS_CLUSTER_SIM_SKEW_H
#define KX_TESTS_CLUSTER_SIM_SKEW_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/shard_sim/model.h"

struct world;

enum skew_step {
	SKEW_NONE,
	SKEW_BREAKS,
	SKEW_WARM,
	SKEW_SWAYS,
	SKEW_PILE,
	SKEW_AGAIN,
	SKEW_SETTLES,
	SKEW_STAYS
};

struct skew {
	enum skew_step step;
	uint64_t since_ns;                /* it lasts */
	uint64_t at_ns;                   /* so far work was counted */
	uint64_t rates[MODEL_SHARDS + 1]; /* of work a second */
	uint64_t work[MODEL_SHARDS + 1];  /* in nanoseconds of one a second */
	uint64_t led_ns[MODEL_SHARDS + 1];
	uint16_t leaders[MODEL_SHARDS + 1];
	uint32_t pairs[2][2]; /* shards of one node each that do something */
	uint64_t moves;       /* planned for loads since the step began */
};

void skew_begin(struct world *world);
/* When sizes are known; else a world has nothing of this. */
void skew_plan(struct world *world);
/* Outside, often. */
void skew_tick(struct world *world);
/* When all is at rest: the whole course, where the world has one. */
void skew_course(struct world *world);

#endif
