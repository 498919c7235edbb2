/* A machine of the world, and the process on it: production's struct server with its cores, moved
 * by the simulator's turns in place of threads.
 *
 *   DOWN --node_boot--> DIRECTORY --core_directory_step is done--> SERVES --node_close--> STOPS
 *    ^                      |                                        |                      |
 *    |                      v (a crash, from anywhere)               v                      v
 *    +----------------------+----------------------------------------+<-------------------ENDED
 *
 * What production reads from the command line, the system or the clock comes from the seed. Ports
 * are opened by node.c's own functions in place of server/opening.c: there is no gate to connect
 * to, since clients call shards_submit.
 */
#ifndef KX_TESTS_CLUSTER_SIM_NODE_H
#define KX_TESTS_CLUSTER_SIM_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/io/sim/sim.h"
#include "base/random.h"
#include "replication/group.h"
#include "server/server.h"

enum {
	WORLD_NODES_MAX = 5,
	WORLD_GHOSTS_MAX = 2,
	WORLD_MACHINES_MAX = WORLD_NODES_MAX + WORLD_GHOSTS_MAX,
	NODE_CORES_MAX = 2,
};

struct world;

enum node_stage { NODE_DOWN, NODE_DIRECTORY, NODE_SERVES, NODE_STOPS, NODE_ENDED };

struct node {
	struct world *world;
	unsigned number; /* from 0; the cluster gives it another one */
	struct sim_node *machine;
	unsigned core_count, store_count;
	uint64_t clock_cost_ns;
	int64_t clock_shift_ms;
	bool joins;     /* it does not found the cluster */
	bool is_out;    /* it has not come yet, or was removed */
	bool stays_off; /* nobody boots it now */
	bool is_drained;
	uint32_t replicas_then; /* lost.h: when its process ended */
	bool is_ghost;          /* it was removed, and runs on its old disk (ghost.h) */
	bool has_come;          /* such a one, at least once */
	bool is_alone;          /* such a one, and nobody reaches it */
	bool was_removed;       /* others told it so, before the operator heard of it */

	/* Faults that a start may meet. */
	bool disk_fails, disk_is_full;
	bool disk_lies;         /* lie.h; until it has another one */
	unsigned starts_failed; /* one after the other, of such a disk */
	bool is_lost;           /* it cannot start any more: the operator takes it out by force */
	uint64_t paused_until_ns;
	bool missed_turn;
	uint64_t pause_in_turn_ns; /* in the middle of the next turn; 0: not */
	bool stopped_in_turn;      /* half of a turn is done */

	/* Of the process. */
	uint64_t life; /* which one of the world's */
	enum node_stage stage;
	struct server server;
	struct config config;
	struct config_origins origins;
	struct random secrets;
	struct io *io; /* the first core's, before the server has it */
	uint64_t sent_seen, served_seen, installs_seen, pauses_seen, reads_seen, read_back_seen;
	uint64_t stale_seen;
	uint64_t late_seen;
	struct node_links_seen {
		uint64_t life, replaced, doubled;
	} links_seen;
};

/* A machine that is off. */
void node_init(struct world *world, unsigned number);
/* A machine that ran as another node, and is off, is this one's now, in working order. */
void node_take_machine(struct node *node);
/* Outside: a process begins; where it fails it has ended again at once, and is tried later. */
void node_boot(struct node *node);
/* Outside: the process ends in this way now, and begins again after a while. */
void node_crash(struct node *node, enum sim_crash crash);
/* The same by a power cut, and it is back at once. */
void node_blink(struct node *node);
/* Its number in the cluster was given up: the machine goes, and soon another one, with an empty
 * disk, is in its place and joins. */
void node_replace(struct node *node);
/* Outside: it does nothing for so long. */
void node_pause(struct node *node, uint64_t ns);
/* The same in the middle of its next turn: what its clients sent meanwhile is there at once. */
static inline void node_pause_in_turn(struct node *node, uint64_t ns)
{
	node->pause_in_turn_ns = ns;
}
/* Outside: where it does nothing, it goes on. */
void node_go_on(struct node *node);
/* Outside: a clean end begins; node_has_ended says when it is over, and node_reap then looks at
 * what is left of it. */
void node_close(struct node *node);
bool node_has_ended(const struct node *node);
void node_reap(struct node *node);
static inline bool node_serves(const struct node *node)
{
	return node->stage == NODE_SERVES;
}
/* Its number in the cluster; 0: it has none yet. */
uint16_t node_id(const struct node *node);
/* Every core has its turn soon. Inside or outside. */
void node_wake(struct node *node);
/* The store that has the shard. The process runs. */
struct group_store *node_store(const struct node *node, uint32_t shard);
/* The shard's group there; NULL: there is none, or the node does not serve. */
static inline struct group *node_group(const struct node *node, uint32_t shard)
{
	return node_serves(node) ? group_store_group(node_store(node, shard), shard) : NULL;
}

#endif
