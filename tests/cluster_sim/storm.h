/* Storms: courses that chance alone takes too seldom, around one shard. While one goes on nothing
 * else breaks, and clients call that shard more than others.
 *
 *   CHASE   whoever leads is cut off or dies: as soon as it leads, as soon as it has committed
 *           anything, or a little later; and who was cut off before is back then. So logs of
 *           several terms are uneven, as in Figure 8 of Raft's paper. And whoever has just voted
 *           may be without power for a moment, while disks are slow: what it said before its vote
 *           was durable has been heard, and it is asked again by those who have not heard of it.
 *           Some of them take the figure's own course: a leader goes with a tail that nobody else
 *           has, so does the next one as soon as it leads, the first one leads again and goes as
 *           soon as anything is committed, and the second one is back.
 *   STALE   the leader hands over, and is cut off before it hears of its successor: for an
 *           election's time it takes itself for the leader. Its clients ask, those of others
 *           change.
 *   SLEEP   the leader stands still in the middle of a turn, and goes on about when another one
 *           leads, or has answered a change. Its clients ask at once, those of others have changed.
 *   LATE    calls come to another leadership than that which they were sent to: late.h
 *   KNOWN   a leader is deposed, and its clients ask with STALE: known.h
 *   PART    nobody reaches everybody for long: two halves with one node between them, or a ring of
 *           five. Of each shard one replica is heard by a majority: soon each is led, and led by
 *           the same until the end (`partition`).
 *   DAMAGE  two of three disks lie: damage.h
 *   STALL   disks of all others stand still for seconds, and their processes answer: nothing of
 *           what the leader proposes is committed. Clients have little time, and call again. In
 *           worlds where little of that is let in.
 *
 * And a habit of some worlds, at any time: a process dies at a write of its own while a shard's
 * state is replaced, or goes.
 */
#ifndef KX_TESTS_CLUSTER_SIM_STORM_H
#define KX_TESTS_CLUSTER_SIM_STORM_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/cluster_sim/known.h"
#include "tests/cluster_sim/node.h"
#include "tests/shard_sim/model.h"

struct world;

enum storm_kind {
	STORM_NONE,
	STORM_CHASE,
	STORM_STALE,
	STORM_SLEEP,
	STORM_LATE,
	STORM_KNOWN,
	STORM_PART,
	STORM_DAMAGE,
	STORM_STALL
};

struct storm {
	enum storm_kind kind;
	uint32_t shard;
	uint64_t until_ns;
	/* CHASE: the newest leader, and when it is struck. STALE: the old one. */
	struct node *leader;
	uint64_t term, commit;
	uint64_t strikes_ns; /* 0: not planned */
	bool waits_for_commit, is_cut_off;
	/* CHASE: the figure's step that is to come; 0: by chance. */
	unsigned figure_step;
	/* CHASE: the newest term in which the node voted for another. */
	uint64_t voted[WORLD_NODES_MAX];
	uint64_t blinked_term; /* in which one of them was without power then */
	/* SLEEP, KNOWN: the term that the old leader led. */
	uint64_t old_term;
	/* PART: what was seen when it had lasted for a while; and whose leader wishes for another
	 * one since then. */
	uint64_t terms[MODEL_SHARDS + 1];
	uint64_t answered; /* calls of the shard since then */
	bool is_handed_over[MODEL_SHARDS + 1];
	/* SLEEP: it goes on when there is a new one, or that has answered a change. */
	bool is_woken, is_woken_by_change;

	struct known_storm known;

	unsigned left;            /* storms that are still to come */
	unsigned install_crashes; /* so many more */
	bool begins_with_part;    /* the first one has to come to it */
	bool known_is_due;        /* one of them is KNOWN */
	bool was_fenced[WORLD_NODES_MAX][MODEL_SHARDS + 1];
};

void storm_plan(struct world *world);
/* One goes on, or one that the world has to see is still to come. */
static inline bool storm_is_due(const struct storm *storm)
{
	return storm->kind != STORM_NONE || storm->left > 0;
}
/* Outside: one begins, if there is a leader to begin with. */
void storm_begin(struct world *world);
static inline bool storm_is_on(const struct storm *storm)
{
	return storm->kind != STORM_NONE;
}
/* Outside, often: ends one whose time is over. */
void storm_tick(struct world *world);
void storm_stop(struct world *world);
/* All of them, until the storm is over. */
void storm_slow_disks(struct world *world, uint32_t factor);
/* Inside, after a turn of the node. */
void storm_look(struct world *world, struct node *node);
/* A call of the shard was done at the node. */
void storm_answered(struct world *world, const struct node *node, uint32_t shard, bool is_change);
/* A call of the node's clients has little time now: what was sent to an old leader ends before that
 * does, and what is behind it in its lane goes to the new one; or, where nothing is committed, more
 * comes. */
bool storm_hurries(struct world *world, const struct node *node);
/* What clients of the node call now; NULL: anything. */
const char *storm_command(const struct world *world, const struct node *node);

#endif
