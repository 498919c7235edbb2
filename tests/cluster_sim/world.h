/* A world of whole nodes: machines that run kalixd's cores (server/core.h) without its threads, a
 * network between them, clients on each, and somebody who breaks things. One seed decides all.
 *
 *   seed.c     sizes, and the course: boots, load with faults, calm, looks, the end
 *   node.h     one machine, and the processes on it
 *   load.h     clients: calls, and what they were told goes to the model (tests/shard_sim/model.h)
 *   admin.h    an operator: deployments, drains, removals, wishes for leaders
 *   faults.h   what breaks, and when it is mended
 *   ghost.h    removed nodes that come back
 *   lie.h      a disk that lies
 *   damage.h   two of three that do
 *   loss.h     a majority that is gone for ever, or damaged, with what it alone had
 *   storm.h    courses of faults around one shard
 *   late.h     one of them: calls that come too late
 *   narrow.h   links that carry little
 *   known.h    another: leaders that are deposed, and what they know
 *   skew.h     shards that do much, and move for that
 *   leads.h    who leads a shard, and that another one does
 *   oracle.h   what must be true of logs, terms and replicas at any time
 *   rest.h     when everything has come to rest, and whether replicas are the same then
 *
 * The struct is the test's: it outlives processes, and nothing in it that one of them gave is used
 * after its end.
 */
#ifndef KX_TESTS_CLUSTER_SIM_WORLD_H
#define KX_TESTS_CLUSTER_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "tests/cluster_sim/admin.h"
#include "tests/cluster_sim/damage.h"
#include "tests/cluster_sim/faults.h"
#include "tests/cluster_sim/figures.h"
#include "tests/cluster_sim/ghost.h"
#include "tests/cluster_sim/late.h"
#include "tests/cluster_sim/lie.h"
#include "tests/cluster_sim/load.h"
#include "tests/cluster_sim/loss.h"
#include "tests/cluster_sim/lost.h"
#include "tests/cluster_sim/narrow.h"
#include "tests/cluster_sim/node.h"
#include "tests/cluster_sim/skew.h"
#include "tests/cluster_sim/storm.h"
#include "tests/shard_sim/model.h"

struct oracle;

enum {
	/* What a world is worth: no seed has less. */
	WORLD_OPERATIONS_MIN = 10 * 1000,
	WORLD_CRASHES_MIN = 20,
	/* Where a group keeps less, followers get thousands of entries by reads of the log, each of
	 * which looks at all before: that has been seen when a world grows, and takes long. */
	WORLD_GROWING_KEPT_BYTES = 64 * 1024,
};

struct world {
	uint64_t seed;
	struct random random;
	struct random plan_dice; /* for what some worlds have: the others keep their course */
	struct sim *sim;
	struct model *model;
	struct oracle *oracle;
	struct world_figures figures;

	/* Sizes. */
	struct node nodes[WORLD_MACHINES_MAX]; /* the last of them are ghosts */
	unsigned node_count, ghost_count;
	bool leases;        /* reads = lease */
	bool uneven_clocks; /* of different speeds, as far as leases allow */
	bool dev;           /* handlers' folds are done twice */
	struct engine_options engine_sizes;
	uint64_t group_kept_bytes;
	uint64_t message_bytes_max; /* between replicas */
	bool stalls;                /* and little is let in that is not applied */
	uint64_t group_unapplied_bytes, store_unapplied_bytes;
	uint64_t single_operations; /* so many calls come before those of a world that grows */
	bool lacks_memory;          /* starve.h: an allocation of some process has failed */

	struct load load;
	struct admin admin;
	struct faults faults;
	struct storm storm;
	uint64_t handed_over; /* leads.h; shards, bit by bit */
	struct late late;
	struct lies lies;
	struct damage damage;
	struct loss loss;
	struct skew skew;
	/* All that was planned was seen, or will not be, and it goes on until it is large: calls
	 * come in volleys, processes end until enough have, and nothing else breaks. */
	bool grows;
	bool calm; /* nothing breaks any more, and nothing new is begun */
	bool ends; /* and it stays so */
};

static inline void world_size(const struct world *world, struct server *server)
{
	server->engine_sizes = world->engine_sizes;
	server->group_kept_bytes =
	    world->grows ? WORLD_GROWING_KEPT_BYTES : world->group_kept_bytes;
	server->message_bytes_max = world->message_bytes_max;
	server->group_unapplied_bytes = world->group_unapplied_bytes;
	server->store_unapplied_bytes = world->store_unapplied_bytes;
}
/* Processes that were killed or lost their power while they ran: neither a start that failed nor
 * one that was told that it was removed. */
static inline uint64_t world_crashes(const struct world *world)
{
	struct sim_figures machines = sim_figures(world->sim);
	return machines.ended_by_kill + machines.ended_by_power_cut - world->figures.boots_failed -
	       world->figures.told_removed;
}
static inline bool world_is_large(const struct world *world)
{
	return world->figures.operations >= WORLD_OPERATIONS_MIN &&
	       world_crashes(world) >= WORLD_CRASHES_MIN;
}
/* Something that was planned for it is still to come. */
static inline bool world_awaits(const struct world *world)
{
	return storm_is_due(&world->storm) || world->admin.replaces || ghost_is_awaited(world) ||
	       world->lies.due > 0;
}

static inline uint64_t world_below(struct world *world, uint64_t limit)
{
	return random_below(&world->random, limit);
}
/* A moment from now on, so many ms away at least, and fewer than `ms_max`. */
static inline uint64_t world_in_ms(struct world *world, uint64_t ms_min, uint64_t ms_max)
{
	return sim_now_ns(world->sim) + (ms_min + world_below(world, ms_max - ms_min)) * NS_PER_MS;
}
static inline bool world_percent(struct world *world, unsigned chance)
{
	return random_below(&world->random, 100) < chance;
}

#endif
