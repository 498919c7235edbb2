/* Replicas of one group on simulated machines, with links between them that keep their order, break
 * and get full, and an observer who sees every message of a snapshot. */
#ifndef KX_TESTS_UNIT_SNAPSHOT_WORLD_H
#define KX_TESTS_UNIT_SNAPSHOT_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/limits.h"
#include "replication/group.h"
#include "replication/snapshot.h"
#include "replication/snapshot_wire.h"

enum {
	NODES_MAX = 5,
	SHARD = 1,
	CHUNKS_MAX = 4096,
	KEYS = 512,
	VALUE_BYTES = 8000,
	INDEX_MAX = 1 << 16,
	OFFERS_MAX = 1024,
};

struct node {
	struct sim_node *machine;
	struct io *io;
	struct group_store *store;
	struct group *group;
	struct snapshots *snapshots;
	uint64_t applied; /* by this process; 0: nothing yet */
	uint64_t applied_at_boot;
	unsigned installs; /* of all its processes */
	uint64_t installed_index;
	bool up, leads, removed;
	bool cut; /* nothing gets to it, or from it */
	struct snapshots_figures figures;
};

struct packet;

struct world {
	struct sim *sim;
	unsigned nodes;
	struct node node[NODES_MAX];
	struct snapshots_options options; /* what is not 0 of it */
	/* Of group_store_options and engine_options, at each boot. */
	uint64_t read_bytes_max, kept_bytes, keep_bytes, segment_bytes;
	struct packet *packets; /* of all links, in order */
	struct packet **packets_end;
	uint64_t link_bytes[NODES_MAX][NODES_MAX];
	uint64_t link_bytes_max;
	bool link_full[NODES_MAX][NODES_MAX]; /* was said */
	bool empty_members[NODES_MAX];
	uint64_t content[INDEX_MAX]; /* of the entry applied at an index */
	uint64_t highest;
	uint64_t proposed; /* the last entry of the newest leader */
	uint64_t value;

	/* Messages of snapshots, as they were sent. */
	unsigned sent[SNAPSHOT_KIND_LAST + 1];
	unsigned chunk_sent[CHUNKS_MAX];
	unsigned fulls;
	uint64_t chunk_bytes;
	uint64_t first_chunk_ns, last_chunk_ns;
	uint64_t offer_ids[OFFERS_MAX];
	unsigned offers; /* of different snapshots */
	struct snapshot_message last_offer, last_result;
	/* Asked before a message is taken; false: it is lost. It may change the bytes. */
	bool (*mangle)(struct slice bytes, const struct snapshot_message *message);
};
extern struct world world;

void world_begin(uint64_t seed, unsigned nodes, const struct snapshots_options *options);
void world_end(void);
void boot(unsigned number);
void crash(unsigned number, enum sim_crash crash);
void cut(unsigned number, bool cut);
/* Only links, which are up again after `for_ms`. */
void break_links(unsigned number, bool broken);

void world_step(void);
/* Whether `until` was true within so much simulated time. */
bool world_run(bool (*until)(void *arg), void *arg, uint64_t for_ms);
void world_wait(uint64_t for_ms);

struct node *leader(void); /* that is not cut; NULL: none */
unsigned number_of(const struct node *node);
/* So many entries of VALUE_BYTES, each to the next of KEYS keys; false: nobody took them. */
bool put_values(unsigned count);
/* One entry where there is a leader that takes it. */
bool put_value(void);
/* The node's replica goes, and `removed` says when that is done; one of that number comes, and
 * learns its members from its leader. */
void remove_replica(unsigned number);
void add_replica(unsigned number, uint64_t replica);
uint64_t applied_index(unsigned number);
/* Over all pairs of the shard. */
uint64_t state_hash(unsigned number);
/* The same of a state with the first `count` values. */
uint64_t model_hash(uint64_t count);
void look_at_figures(unsigned number);
/* Bytes come to a node as from another. */
void inject(unsigned from, unsigned to, const struct snapshot_message *message);
/* For world_run. */
bool has_leader(void *arg);
bool all_have_all(void *arg);

#endif
