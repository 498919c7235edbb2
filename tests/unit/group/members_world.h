/* Three replicas of one group on three simulated machines, with a network that loses, doubles and
 * reorders, and machines whose power is cut. An observer of all of them looks after each step: what
 * one has applied at an index, everyone who gets there applies; a term has one leader; and what a
 * replica says to know (group_known_ns) is so, by what was applied anywhere.
 *
 * For tests: whatever is violated ends the test. One world at a time.
 */
#ifndef KX_TESTS_UNIT_GROUP_MEMBERS_WORLD_H
#define KX_TESTS_UNIT_GROUP_MEMBERS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "replication/snapshot.h"

/* A group that nobody said anything else of begins with replica 1. */
enum {
	NODES = 3,
	FIRST = 2,
	PACKETS_MAX = 256,
	ENTRIES_MAX = 4096,
	QUESTIONS_MAX = 64,
	PACKET_BYTES_MAX = 200000,
	SNAPSHOT = 0 /* of a packet, in place of a raft_message_kind */
};

/* What was applied anywhere when it was asked. */
struct question {
	uint64_t number, highest, at_ns;
};

struct node {
	struct sim_node *machine;
	struct io *io;
	struct group_store *store;
	struct group *group;
	struct snapshots *snapshots;
	uint64_t applied; /* by this process */
	bool up, leads;
	uint64_t leads_ns;     /* since when, or did last */
	uint64_t cut_until_ns; /* nothing goes to it or comes from it */
	bool is_held;          /* what is for it stays under way */
	struct question questions[QUESTIONS_MAX];
	unsigned question_count;
};

struct packet {
	unsigned to, kind;
	uint16_t from; /* its node's number */
	uint64_t sent_ns, at_ns;
	size_t bytes;
	uint8_t *data;
};

/* Outside of every process: what an observer of all knows. */
struct members_world {
	struct sim *sim;
	struct node nodes[NODES];
	struct packet packets[PACKETS_MAX];
	unsigned packet_count;
	uint64_t content[ENTRIES_MAX];  /* of the entry applied at an index, 0: by nobody */
	uint64_t first_ns[ENTRIES_MAX]; /* when that was for the first time */
	uint64_t led_knowing;           /* looks at one that knows of its own rounds */
	uint64_t leaders[ENTRIES_MAX];  /* of a term: the node's number + 1 */
	uint64_t questions, answers;
	uint64_t handovers, cuts, highest, crashes, leaderships, delivered, changes, installs;
	uint64_t value;
	bool quiet, leases;
	uint32_t shard;
	unsigned asking; /* the node whose process runs */

	/* A course of a test. Clocks that run faster than the world's, of a million. */
	int32_t fast_millionths[NODES];
	bool holds_old; /* who has said who leads next hears nothing of it for the time being */
	struct node *silent; /* does not ask to be elected */
};
extern struct members_world members_world;

/* Leases where the seed is even; so many writes of a million are slow; and the clocks of all but
 * the first node run so much faster than the world's. */
void members_begin(uint64_t seed, uint32_t shard, uint32_t slow_ppm, int32_t fast_millionths);
void members_end(void);
/* One event, what the network delivers by then, and something that breaks, unless it is quiet. */
void members_step(void);
void members_boot(struct node *node);
void members_crash(struct node *node);
/* Inside of the node's process: it proposes something, where it leads; it asks for a round, and
 * leads. */
void members_act(void *arg);
void members_confirm(void *arg);
/* All are up and have applied all that anybody has. */
bool members_have_all(void);
struct node *members_leader(void); /* NULL: nobody that knows */

#endif
