/* A world for the Raft core alone: replicas of one group, each with a disk that takes its time, and
 * a network that loses, doubles and delays. One seed decides everything; nothing of Kalix but
 * replication/raft/ is in it, so it is quick enough for schedules that whole nodes reach seldom.
 *
 * What a replica's disk holds is one image: hard state, entries, base. Writes queue up and become
 * durable in order; a crash leaves any prefix of them.
 */
#ifndef KX_TESTS_RAFT_SIM_WORLD_H
#define KX_TESTS_RAFT_SIM_WORLD_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "replication/raft/raft.h"

enum {
	NODES = 7,
	ENTRIES = 6000, /* of a log, from index 1 on */
	WRITES = 256,
	PACKETS = 256,
	PACKET_ENTRIES = 8,
	READS = 32,
	SLEEP_MS = 400,
	/* Shorter than what may be open when it is over: transfers, rounds, writes. */
	SLEEP_SOON_MS = 50,
	ELECTION_MS = 100,
	HEARTBEAT_MS = 20,
	/* Clocks differ by a tenth at most, as leases demand, less the millisecond that they are
	 * read to: of an election's time that is a hundredth here. */
	CLOCK_PERMILLE_MAX = 40,
};

struct entry {
	uint64_t term;
	enum raft_entry_kind kind;
	uint64_t value;                     /* RAFT_DATA: unique */
	struct raft_membership *membership; /* RAFT_MEMBERSHIP; lives as long as the world */
};

struct image {
	uint64_t term, vote;
	struct raft_position base, last;
	struct raft_membership base_membership;
	struct entry entries[ENTRIES];
};

struct write {
	bool hard;
	uint64_t term, vote;   /* hard */
	uint64_t index, epoch; /* of an entry, that replaces all behind */
	struct entry entry;
	uint64_t at_ms; /* not durable before */
};

struct read {
	uint64_t round;
	uint64_t seen;   /* committed anywhere when it was asked */
	uint64_t commit; /* that the replica knew of */
};

struct node {
	uint64_t id; /* 0: not there */
	bool up;
	int64_t clock_permille; /* its clock is so much faster than the world's */
	struct raft *raft;
	struct image now; /* what the running replica believes */
	struct image disk;
	struct write writes[WRITES];
	uint32_t writes_first, writes_count;
	uint64_t epoch;
	uint64_t disk_ms; /* how long a write takes at most */
	uint64_t applied;
	struct raft_membership applied_membership;
	enum raft_role role;
	uint64_t role_term;
	struct read reads[READS];
	uint32_t reads_count;
	/* Asked of its leader, in order; `round` is the question. */
	struct read questions[READS];
	uint32_t questions_count;
	/* A snapshot that is being installed. */
	bool installing;
	uint64_t install_at_ms;
	struct raft_position install;
	struct raft_membership install_membership;
	uint64_t paused_until_ms;
	bool asleep;
	uint64_t transfer_term; /* in which it wished another to lead */
};

struct packet {
	bool used, snapshot;
	uint64_t number; /* in the order in which they were sent */
	uint64_t at_ms;
	struct raft_message message;
	struct raft_entry entries[PACKET_ENTRIES];
	struct entry copies[PACKET_ENTRIES];
	uint8_t bytes[PACKET_ENTRIES][64];
	struct raft_membership membership; /* a snapshot's */
};

/* What has to have happened over all seeds of a run. */
#define COUNTERS(X)                                                                                \
	X(elections)                                                                               \
	X(crashes)                                                                                 \
	X(blinks)                                                                                  \
	X(writes_lost)                                                                             \
	X(entries_replaced)                                                                        \
	X(committed)                                                                               \
	X(snapshots_sent)                                                                          \
	X(snapshots_installed)                                                                     \
	X(snapshots_failed)                                                                        \
	X(snapshots_not_needed)                                                                    \
	X(compactions)                                                                             \
	X(memberships_simple)                                                                      \
	X(memberships_joint)                                                                       \
	X(memberships_left)                                                                        \
	X(memberships_refused)                                                                     \
	X(memberships_rolled_back)                                                                 \
	X(leaders_removed)                                                                         \
	X(transfers)                                                                               \
	X(transfers_done)                                                                          \
	X(rounds)                                                                                  \
	X(rounds_confirmed)                                                                        \
	X(questions)                                                                               \
	X(questions_answered)                                                                      \
	X(questions_of_learners)                                                                   \
	X(questions_in_sleep)                                                                      \
	X(leases_used)                                                                             \
	X(leases_by_uneven_clocks)                                                                 \
	X(proposals_refused)                                                                       \
	X(sleeps)                                                                                  \
	X(wakes)                                                                                   \
	X(partitions)                                                                              \
	X(pairs_cut)                                                                               \
	X(one_way_partitions)                                                                      \
	X(packets)                                                                                 \
	X(packets_lost)                                                                            \
	X(packets_doubled)                                                                         \
	X(packets_late)                                                                            \
	X(packets_overtaken)                                                                       \
	X(pauses)                                                                                  \
	X(slow_disks)

struct counters {
#define X(name) uint64_t name;
	COUNTERS(X)
#undef X
};

struct world {
	struct random random;
	uint64_t seed, now_ms, step;
	bool leases, sleeps, uneven_clocks;
	bool sleeps_soon; /* where it does */
	bool gathers;
	bool hostile; /* leaders die when they have just committed something; messages are short */
	struct node nodes[NODES];
	struct packet packets[PACKETS];
	bool cut[NODES][NODES];        /* from, to */
	uint64_t newest[NODES][NODES]; /* of what has arrived */
	uint64_t cut_until_ms;
	uint32_t loss; /* packets of 1000 */
	uint64_t value_next, id_next;
	uint64_t committed_before; /* a step ago */

	/* What is true of the group as a whole. */
	uint64_t committed; /* the highest that any leader committed */
	struct entry history[ENTRIES];
	uint64_t leaders[ENTRIES]; /* by term, of the first of them; 0: none yet */
	struct raft_membership *memberships;
	uint32_t memberships_count;

	struct counters counters;
	jmp_buf failed;
	char why[256];
};

__attribute__((noreturn, format(printf, 2, 3))) void world_fail(
    struct world *world, const char *format, ...);
bool chance(struct world *world, uint64_t times, uint64_t of);
uint64_t below(struct world *world, uint64_t bound);

/* node.c */
uint64_t node_time(const struct world *world, const struct node *node); /* in ms, by its clock */
void node_start(struct world *world, struct node *node);
void node_create(struct world *world, struct node *node, const struct raft_membership *membership);
void node_crash(struct world *world, struct node *node);
void node_step(struct world *world, struct node *node, struct raft_event event);
void node_act(struct world *world, struct node *node);   /* does what the core asks for */
void node_flush(struct world *world, struct node *node); /* what is durable by now */
bool node_propose(struct world *world, struct node *node);
void node_ask(struct world *world, struct node *node); /* what it may read */
void node_compact(struct world *world, struct node *node);
struct node *node_of(struct world *world, uint64_t id);
unsigned node_number(const struct world *world, const struct node *node);

/* network.c */
void network_take(struct world *world, struct node *node); /* all that it wants to send */
void network_send_snapshot(struct world *world, struct node *node, uint64_t to);
void network_deliver(struct world *world);

/* oracle.c */
void oracle_committed(struct world *world, struct node *node, uint64_t index);
void oracle_applied(struct world *world, struct node *node, uint64_t index);
void oracle_role(struct world *world, struct node *node, enum raft_role role, uint64_t term);
void oracle_read(struct world *world, struct node *node, uint64_t seen, uint64_t commit);
void oracle_asleep(struct world *world, const struct node *node); /* it falls asleep */
void oracle_step(struct world *world);

#endif
