/* The map of the cluster: which nodes there are, where each shard's replicas are wanted, and who
 * leads. The directory makes it (meta.h: `map_changed`), everything else reads it.
 *
 * A map is immutable once it is published, and counted: whoever keeps it holds a reference. Each
 * change of the directory makes a new one, with a higher version.
 *
 * Who leads a shard is not in the map: it changes without the directory, and is soft. struct
 * cluster_leaders has what this node was told last.
 *
 * Numbers. A node has one of 1 to CLUSTER_NODE_MAX, never used twice. A replica's number is its
 * node and, above CLUSTER_NODE_BITS, how many replicas the shard had had before: so none is used
 * twice for a shard, and a replica that lost its disk is another one. The replica that a cluster
 * begins with is 1: node 1, the first.
 *
 * Shard 0 is the directory's own and stands here like the others: a replica on every node, up to
 * CLUSTER_DIRECTORY_VOTERS of them voters.
 *
 * Threads: a map may be read by any; references are atomic. Leaders: any thread reads and writes.
 */
#ifndef KX_SERVER_META_CLUSTER_MAP_H
#define KX_SERVER_META_CLUSTER_MAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/slice.h"
#include "server/meta/cluster_job.h"

enum {
	CLUSTER_NODE_BITS = 16,
	CLUSTER_NODE_MAX = (1 << CLUSTER_NODE_BITS) - 1,
	CLUSTER_REPLICAS_MAX = DIRECTORY_REPLICAS_MAX, /* of one shard */
	CLUSTER_DIRECTORY_VOTERS = 5,
	CLUSTER_HOST_BYTES = 64, /* with the end: an IP address or a name */
	CLUSTER_ZONE_BYTES = 32,
	CLUSTER_ID_BYTES = 33, /* of the cluster: 32 hexadecimal digits and the end */
};

enum cluster_node_state {
	CLUSTER_NODE_MEMBER,   /* may have replicas */
	CLUSTER_NODE_DRAINING, /* its replicas are moved away */
	CLUSTER_NODE_REMOVED,  /* has none, and is let in no more; its number stays taken */
};

struct cluster_node {
	uint16_t node, cores;
	enum cluster_node_state state;
	uint64_t incarnation; /* of its data directory, random, > 0 */
	char host
	    [CLUSTER_HOST_BYTES]; /* what it is reached at, by nodes and clients (--advertise) */
	uint16_t stores, port, peer_port, cluster_port;
	char zone[CLUSTER_ZONE_BYTES]; /* "": none */
	struct cluster_job drain;      /* while it is drained */
};

struct cluster_replica {
	uint64_t replica;
	bool voter; /* else a learner */
};

/* A majority of the shard was lost for good, and at an operator's word one replica went on alone
 * (recovery.h). It stays for who looks; the replica whose it is does it when it sees the term for
 * the first time, and never again. */
struct cluster_recovery {
	uint64_t replica; /* 0: there was none */
	uint64_t term;
	/* What was acknowledged up to `committed` was kept; behind `index`, where its log ended,
	 * all is lost; in between nobody knows. */
	uint64_t committed, index;
	int64_t at_ms; /* since 1970 UTC */
	bool gives_up; /* replicas, too, whose nodes stay: they were damaged, or not there */
};

/* Where a shard's replicas are wanted. What its group's membership is follows that, step by step
 * (reconcile.h). */
struct cluster_shard {
	/* Rises with every change of the shard's record: changes are made by compare-and-set. */
	uint64_t generation;
	uint64_t replicas_made; /* the next replica's count */
	uint32_t count, room;
	/* By number, rising; [room] of them, in memory that belongs to who has the shard: there are
	 * thousands of shards, and one of them, the directory, has a replica on every node. */
	struct cluster_replica *replicas;
	struct cluster_recovery recovery; /* the last one */
};

/* One by itself, with room for as many replicas as any shard has. It may not be copied. */
struct cluster_shard_record {
	struct cluster_shard shard;
	struct cluster_replica replicas[CLUSTER_REPLICAS_MAX];
};

/* Empty. Returns its shard. */
struct cluster_shard *cluster_shard_begin(struct cluster_shard_record *record);
/* All that `from` says, in the memory of `shard`, which has room for its replicas. */
void cluster_shard_set(struct cluster_shard *shard, const struct cluster_shard *from);

/* In a table with room for the replicas of all shards: where those of `shard` begin. Of the shard
 * behind the last one: its length. */
static inline size_t cluster_replicas_begin(uint32_t shard)
{
	return shard == 0
	           ? 0
	           : DIRECTORY_REPLICAS_MAX + ((size_t)shard - 1) * (size_t)GROUP_REPLICAS_MAX;
}
/* How many there is room for. */
static inline uint32_t cluster_replicas_room(uint32_t shard)
{
	return (uint32_t)(cluster_replicas_begin(shard + 1) - cluster_replicas_begin(shard));
}

/* [shard_count + 1], empty ones, each with room for as many replicas as its group may have, in the
 * same memory: mem_free. NULL: no memory. */
struct cluster_shard *cluster_shards_new(uint32_t shard_count);

struct cluster_map {
	_Atomic uint32_t references;
	uint64_t version;
	/* It is no older than any that this node had before it was started. Until then a replica
	 * that left may seem to be wanted, and one that came not to be: nothing is made, removed or
	 * moved as such a map has it, or a replica that has lost what it had would come back under
	 * its number, and vote. */
	bool is_caught_up;
	char id[CLUSTER_ID_BYTES];
	uint32_t replication_factor;
	struct cluster_job rebalance; /* the last one */
	uint32_t node_count;
	struct cluster_node *nodes;   /* by number, rising */
	uint32_t shard_count;         /* without shard 0 */
	struct cluster_shard *shards; /* [shard_count + 1] */
};

/* Zeroed, with one reference, nodes and shards in the same memory. NULL: no memory. */
struct cluster_map *cluster_map_new(uint32_t node_count, uint32_t shard_count);
struct cluster_map *cluster_map_hold(struct cluster_map *map); /* NULL-safe; returns it */
void cluster_map_release(struct cluster_map *map);             /* NULL-safe */

/* NULL: there is none with this number, in whatever state. */
const struct cluster_node *cluster_map_node(const struct cluster_map *map, uint16_t node);
/* The wanted replica of `shard` on `node`, or NULL. */
const struct cluster_replica *cluster_map_replica(
    const struct cluster_map *map, uint32_t shard, uint16_t node);
/* This very replica is wanted, and not another one of its node. */
bool cluster_map_wants(const struct cluster_map *map, uint32_t shard, uint64_t replica);

static inline uint16_t cluster_replica_node(uint64_t replica)
{
	return (uint16_t)(replica & CLUSTER_NODE_MAX);
}
static inline uint64_t cluster_replica_number(uint16_t node, uint64_t replicas_made)
{
	return replicas_made << CLUSTER_NODE_BITS | node;
}
/* A port at which both say that they are reached, whatever it is for either: who connects finds one
 * of them at most. 0: none, or one of them was removed. */
uint16_t cluster_node_shares(const struct cluster_node *a, const struct cluster_node *b);
/* Host and all ports. */
bool cluster_node_same_address(const struct cluster_node *a, const struct cluster_node *b);

/* Where a shard lives on a node. */
static inline uint16_t cluster_store_of(const struct cluster_node *node, uint32_t shard)
{
	return (uint16_t)(shard % node->stores);
}
static inline uint16_t cluster_core_of(const struct cluster_node *node, uint32_t shard)
{
	return (uint16_t)(cluster_store_of(node, shard) % node->cores);
}

/* ---- Who leads ---- */

struct cluster_leaders {
	uint32_t shard_count;
	_Atomic uint64_t by_shard[]; /* [shard_count + 1]: term << CLUSTER_NODE_BITS | node */
};

/* Nobody leads anything. NULL: no memory. mem_free. */
struct cluster_leaders *cluster_leaders_new(uint32_t shard_count);
/* `node` leads in `term`, or, where node is 0, who led in it does no more. Older news than what is
 * there changes nothing. True: this was new. */
bool cluster_leaders_note(
    struct cluster_leaders *leaders, uint32_t shard, uint64_t term, uint16_t node);
/* 0: nobody that is known. */
uint16_t cluster_leader(const struct cluster_leaders *leaders, uint32_t shard);
uint64_t cluster_leader_term(const struct cluster_leaders *leaders, uint32_t shard);
/* Both as they were told together: another core may note something between two questions. */
uint16_t cluster_leader_in(
    const struct cluster_leaders *leaders, uint32_t shard, uint64_t *ret_term);

#endif
