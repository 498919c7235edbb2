/* Groups of three replicas on three simulated machines, over links and carriers, for the tests of
 * carrier_test.c: what one has applied at an index of a group, everyone who gets there applies, and
 * a term of a group has one leader. One world in a process. */
#ifndef KX_TESTS_UNIT_GROUP_CARRIER_WORLD_H
#define KX_TESTS_UNIT_GROUP_CARRIER_WORLD_H

#include "base/io/sim/sim.h"
#include "replication/carrier.h"
#include "replication/group.h"
#include "replication/peer/peer.h"
#include "tests/unit/group/suites.h"

enum { NODES = 3, SHARDS = 5, PORT = 7000, ENTRIES_MAX = 2048, STEPS_MAX = 4000000 };

struct replica {
	struct node *node;
	struct group *group;
	uint32_t shard;
	uint64_t applied, rooms;
	bool leads;
};

struct node {
	struct sim_node *machine;
	struct io *io;
	struct peers *peers;
	struct carrier *carrier;
	struct snapshots *snapshots;
	struct group_store *store;
	struct replica replicas[SHARDS + 1];
	struct carrier_figures figures;
};

struct carrier_world {
	struct sim *sim;
	struct node nodes[NODES];
	uint64_t content[SHARDS + 1][ENTRIES_MAX];
	uint64_t leaders[SHARDS + 1][ENTRIES_MAX];
	uint64_t highest[SHARDS + 1];
	uint64_t leaderships, crashes, installs, value;
	bool leases;
	bool numbered; /* stores know which node they are on */
	/* May be NULL: whatever arrives at the node from `from`, before it is taken. */
	void (*arrives)(const struct node *node, uint16_t from, enum peer_class class, uint8_t kind,
	    struct slice bytes);
	/* As of struct group_store_options; they outlive begin_world, as leases do. */
	uint64_t group_unapplied_bytes_max, unapplied_bytes_max;
};
extern struct carrier_world world;

/* All three run; nothing is cut. */
void begin_world(uint64_t seed);
uint64_t below(uint64_t limit); /* at random */
uint16_t number_of(const struct node *node);
void pass(uint64_t ns);

/* An entry in each group that the node, `arg`, leads. In its process. */
void act_in_process(void *arg);
/* The same on a node at random, and a while passes. */
void work(void);

void crash(struct node *node); /* or its power fails */
void boot(struct node *node);
void cut(const struct node *from, const struct node *to, bool is_cut);
void disturb(void); /* one of these, or the end of one */
void heal(void);    /* of all */
/* Work for long, with disturbances, and they are healed. */
void work_disturbed(void);
/* Every replica of every group. */
bool all_have_all(void);

#endif
