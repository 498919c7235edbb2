#include "server/meta/cluster_map.h"

#include <string.h>
#include <strings.h>

#include "base/assert.h"
#include "base/mem.h"
#include "replication/raft/raft.h"

/* ---- Nodes ---- */

uint16_t cluster_node_shares(const struct cluster_node *a, const struct cluster_node *b)
{
	const uint16_t ports[] = {a->peer_port, a->port, a->cluster_port};
	if (a->state == CLUSTER_NODE_REMOVED || b->state == CLUSTER_NODE_REMOVED ||
	    strcasecmp(a->host, b->host) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		if (ports[i] != 0 && (ports[i] == b->peer_port || ports[i] == b->port ||
		                         ports[i] == b->cluster_port))
			return ports[i];
	return 0;
}

bool cluster_node_same_address(const struct cluster_node *a, const struct cluster_node *b)
{
	return strcmp(a->host, b->host) == 0 && a->port == b->port &&
	       a->peer_port == b->peer_port && a->cluster_port == b->cluster_port;
}

/* ---- Shards ---- */

struct cluster_shard *cluster_shard_begin(struct cluster_shard_record *record)
{
	*record = (struct cluster_shard_record){
	    .shard = {.room = CLUSTER_REPLICAS_MAX, .replicas = record->replicas}};
	return &record->shard;
}

void cluster_shard_set(struct cluster_shard *shard, const struct cluster_shard *from)
{
	ASSERT(from->count <= shard->room);
	uint32_t room = shard->room;
	struct cluster_replica *replicas = shard->replicas;
	memmove(replicas, from->replicas, from->count * sizeof(*replicas));
	*shard = *from;
	shard->room = room;
	shard->replicas = replicas;
}

/* All shards, then the replicas of each. */
static size_t shards_bytes(uint32_t shard_count)
{
	return sizeof(struct cluster_shard) * ((size_t)shard_count + 1) +
	       sizeof(struct cluster_replica) * cluster_replicas_begin(shard_count + 1);
}

static struct cluster_shard *place_shards(void *memory, uint32_t shard_count)
{
	struct cluster_shard *shards = memory;
	struct cluster_replica *replicas = (struct cluster_replica *)(shards + shard_count + 1);
	for (uint32_t i = 0; i <= shard_count; i++) {
		shards[i].room = cluster_replicas_room(i);
		shards[i].replicas = replicas + cluster_replicas_begin(i);
	}
	return shards;
}

struct cluster_shard *cluster_shards_new(uint32_t shard_count)
{
	void *memory = mem_zalloc(1, shards_bytes(shard_count));
	return memory ? place_shards(memory, shard_count) : NULL;
}

/* ---- Maps ---- */

struct cluster_map *cluster_map_new(uint32_t node_count, uint32_t shard_count)
{
	size_t nodes_bytes = node_count * sizeof(struct cluster_node);
	size_t bytes = sizeof(struct cluster_map) + nodes_bytes + shards_bytes(shard_count);
	struct cluster_map *map = mem_zalloc(1, bytes);
	if (!map)
		return NULL;
	atomic_init(&map->references, 1);
	map->node_count = node_count;
	map->shard_count = shard_count;
	map->nodes = (struct cluster_node *)(map + 1);
	map->shards = place_shards(map->nodes + node_count, shard_count);
	return map;
}

struct cluster_map *cluster_map_hold(struct cluster_map *map)
{
	if (map)
		atomic_fetch_add_explicit(&map->references, 1, memory_order_relaxed);
	return map;
}

void cluster_map_release(struct cluster_map *map)
{
	if (!map)
		return;
	uint32_t before = atomic_fetch_sub_explicit(&map->references, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before == 1)
		mem_free(map);
}

const struct cluster_node *cluster_map_node(const struct cluster_map *map, uint16_t node)
{
	uint32_t from = 0, to = map->node_count;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		if (map->nodes[middle].node < node)
			from = middle + 1;
		else
			to = middle;
	}
	bool found = from < map->node_count && map->nodes[from].node == node;
	return found ? &map->nodes[from] : NULL;
}

const struct cluster_replica *cluster_map_replica(
    const struct cluster_map *map, uint32_t shard, uint16_t node)
{
	ASSERT(shard <= map->shard_count);
	const struct cluster_shard *record = &map->shards[shard];
	for (uint32_t i = 0; i < record->count; i++)
		if (cluster_replica_node(record->replicas[i].replica) == node)
			return &record->replicas[i];
	return NULL;
}

bool cluster_map_wants(const struct cluster_map *map, uint32_t shard, uint64_t replica)
{
	const struct cluster_replica *wanted =
	    cluster_map_replica(map, shard, cluster_replica_node(replica));
	return wanted && wanted->replica == replica;
}

/* ---- Who leads ---- */

_Static_assert(sizeof(_Atomic uint64_t) == sizeof(uint64_t), "no lock beside it");
_Static_assert(RAFT_TERM_MAX >> (64 - CLUSTER_NODE_BITS) == 0, "a term fits beside a node");

struct cluster_leaders *cluster_leaders_new(uint32_t shard_count)
{
	struct cluster_leaders *leaders = mem_zalloc(
	    1, sizeof(*leaders) + ((size_t)shard_count + 1) * sizeof(leaders->by_shard[0]));
	if (leaders)
		leaders->shard_count = shard_count;
	return leaders;
}

bool cluster_leaders_note(
    struct cluster_leaders *leaders, uint32_t shard, uint64_t term, uint16_t node)
{
	ASSERT(shard <= leaders->shard_count && term < UINT64_C(1) << (64 - CLUSTER_NODE_BITS));
	uint64_t news = term << CLUSTER_NODE_BITS | node;
	uint64_t known = atomic_load_explicit(&leaders->by_shard[shard], memory_order_relaxed);
	do {
		uint64_t known_term = known >> CLUSTER_NODE_BITS;
		/* One term has one leader, so what differs in it is that it gave up. */
		bool is_newer = term > known_term || (term == known_term && node == 0);
		if (!is_newer || known == news)
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
	    &leaders->by_shard[shard], &known, news, memory_order_relaxed, memory_order_relaxed));
	return true;
}

uint16_t cluster_leader_in(
    const struct cluster_leaders *leaders, uint32_t shard, uint64_t *ret_term)
{
	uint64_t known = atomic_load_explicit(&leaders->by_shard[shard], memory_order_relaxed);
	*ret_term = known >> CLUSTER_NODE_BITS;
	return (uint16_t)(known & CLUSTER_NODE_MAX);
}

uint16_t cluster_leader(const struct cluster_leaders *leaders, uint32_t shard)
{
	uint64_t term;
	return cluster_leader_in(leaders, shard, &term);
}

uint64_t cluster_leader_term(const struct cluster_leaders *leaders, uint32_t shard)
{
	uint64_t term;
	(void)cluster_leader_in(leaders, shard, &term);
	return term;
}
