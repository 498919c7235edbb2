/* Three simulated machines with one shard between them: production's shards, groups, calls between
 * nodes, log and engine on simulated files, under handlers that are written in C
 * (tests/unit/shard/host_fake.h), and a network that does what a test says. Nothing is left to
 * chance: each message takes a moment, and arrives, in order, unless the test has cut its way.
 *
 * There are two networks between each two nodes, so that a test can break one alone: that of the
 * group (Raft, snapshots), which loses what is cut, and the link for calls (server/forward.h),
 * which is up or down. What is under way on a link that goes down is lost.
 *
 * Nodes are 0, 1, 2 here. For tests: what does not come in time ends the test. One world at a time.
 */
#ifndef KX_TESTS_UNIT_OUTCOME_WORLD_H
#define KX_TESTS_UNIT_OUTCOME_WORLD_H

#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "server/shard/shard.h"
#include "tests/unit/shard/host_fake.h"

enum { NODES = 3, NOBODY = NODES };

struct node {
	struct sim_node *machine;
	struct io *io;
	struct snapshots *snapshots;
	struct group_store *store;
	struct host *host;
	struct shards *shards;
	struct cluster_leaders *leaders;
	struct forward *forward;
	bool serves; /* its shard, as leader */
};

struct world {
	struct sim *sim;
	struct node nodes[NODES];
	bool cut[NODES][NODES];         /* what [from] says to [to] in the group is lost */
	bool linked[NODES][NODES];      /* a link for calls is up */
	uint64_t link_of[NODES][NODES]; /* how often one came up, to tell them apart */
	bool full[NODES][NODES];        /* it takes nothing now */
	unsigned answers;
	/* From the next boot on. */
	uint64_t queue_bytes_max, waiting_bytes_max, group_unapplied_bytes_max;
	uint32_t cold_percent;
};
extern struct world world;

/* All three run, linked with each other; node 0 leads, and the app "shop" is active. */
void world_set_up(void);
void world_tear_down(void);
void world_crash(unsigned node); /* its power is cut, and its links are down */
void world_boot(unsigned node);  /* again; links are up */
/* What is acknowledged there stands in its store. */
void world_checkpoint(unsigned node);
void world_provide(unsigned node); /* it has the app's bundle */

/* One event, and what the network delivers by then. */
void world_until(bool (*until)(void *arg), void *arg);
void world_pass(uint64_t ms);
/* In the process of the node. */
void world_do(unsigned node, void (*run)(void *arg), void *arg);

/* Who serves, as it knows itself; NOBODY. Of two that do, who was elected last. */
unsigned world_leader(void);
bool world_leads(unsigned node);
/* It leads from now on, and those that are linked with it know. */
void world_lead(unsigned node);
void world_until_led_by_another(unsigned node);
void world_until_lost(unsigned node); /* it knows that it leads no more */

void world_cut(unsigned from, unsigned to, bool is_cut);
/* The group's messages of one node, both ways. */
void world_cut_off(unsigned node, bool is_cut);
void world_link(unsigned a, unsigned b, bool is_up);
void world_link_all_of(unsigned node, bool is_up);
void world_fill(unsigned from, unsigned to, bool is_full);

/* ---- Calls ---- */

struct outcome_call {
	struct shard_call call;
	unsigned node;
	bool done;
	unsigned order; /* of all answers: 1 is the first */
	uint64_t answered_ns;
	char address[32], name[16], payload[24], token[32];
};

/* To a node, as by a client that is connected there; nothing is waited for. `connection`: calls of
 * one number are one connection's. */
void call_begin(struct outcome_call *call, unsigned node, const char *name, uint64_t id,
    uint64_t timeout_ms, uint64_t connection);
/* The same with a token. */
void call_begin_with(struct outcome_call *call, unsigned node, const char *name, uint64_t id,
    uint64_t timeout_ms, uint64_t connection, const char *token);
/* Has its answer, by then, which is this one. */
void call_expect(struct outcome_call *call, enum status status);
/* The same, and the answer says that the entity has these changes: "1 2 3". */
void call_expect_state(struct outcome_call *call, enum status status, const char *ids);
/* OK, with this. */
struct host_fake_view call_view(struct outcome_call *call);
/* Done at once: for what has to work. */
void change(unsigned node, uint64_t id);
/* So says each of the nodes, asked now. */
void expect_everywhere(const char *ids);
/* Leader and followers have applied the same. */
void world_until_level(void);

#endif
