#include "tests/cluster_sim/rest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "replication/group_parts.h"
#include "server/shard/shard_parts.h"
#include "storage/cursor.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum { VOTERS = 3 };

/* ---- Whether it has come to rest ---- */

const struct cluster_map *rest_map(const struct world *world)
{
	const struct cluster_map *newest = NULL;
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct cluster_map *map = world->nodes[i].server.cluster_map;
		if (node_serves(&world->nodes[i]) && map &&
		    (!newest || map->version > newest->version))
			newest = map;
	}
	return newest;
}

static struct node *find_node(struct world *world, uint16_t id)
{
	for (unsigned i = 0; i < world->node_count; i++)
		if (node_serves(&world->nodes[i]) && node_id(&world->nodes[i]) == id)
			return &world->nodes[i];
	return NULL;
}

static const struct node *leader_of(const struct world *world, uint32_t shard)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct group *group = node_group(&world->nodes[i], shard);
		if (group && group_leads(group))
			return &world->nodes[i];
	}
	return NULL;
}

static uint32_t members_of(const struct cluster_map *map)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < map->node_count; i++)
		count += map->nodes[i].state == CLUSTER_NODE_MEMBER;
	return count;
}

static bool are_members(const struct group *group, const struct cluster_shard *wanted)
{
	struct raft_membership members;
	group_get_members(group, &members);
	if (group_busy(group) || raft_membership_joint(&members) || members.count != wanted->count)
		return false;
	for (uint32_t i = 0; i < wanted->count; i++) {
		unsigned roles = raft_membership_roles(&members, wanted->replicas[i].replica);
		if (((roles & RAFT_VOTER) != 0) != wanted->replicas[i].voter || roles == 0)
			return false;
	}
	return true;
}

static const char *missing_of_shard(
    struct world *world, const struct cluster_map *map, uint32_t shard)
{
	const struct cluster_shard *wanted = &map->shards[shard];
	const struct node *leader = leader_of(world, shard);
	uint32_t voters = 0, here = 0;
	if (!leader)
		return "a shard is not led";
	const struct group *group = node_group(leader, shard);
	uint64_t last = group_last(group).index;
	if (!are_members(group, wanted))
		return "a shard's members are not the wanted ones";
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t replica = wanted->replicas[i].replica;
		struct node *node = find_node(world, cluster_replica_node(replica));
		const struct group *other = node ? node_group(node, shard) : NULL;
		voters += wanted->replicas[i].voter;
		if (!other || group_self(other) != replica)
			return "a replica is not there";
		if (group_closed(other))
			return "a replica is damaged";
		if (group_applied(other).index != last)
			return "a replica is behind";
	}
	for (unsigned i = 0; i < world->node_count; i++)
		here += node_group(&world->nodes[i], shard) != NULL;
	if (here != wanted->count)
		return "a replica that is not wanted is still there";
	uint32_t members = members_of(map);
	if (voters < (members < VOTERS ? members : VOTERS))
		return "a shard has too few voters";
	return NULL;
}

static bool is_damaged(const struct world *world, uint32_t shard)
{
	for (unsigned i = 0; i < world->node_count; i++)
		if (engine_shard_closed(
		        group_store_engine(node_store(&world->nodes[i], shard)), shard))
			return true;
	return false;
}

bool rest_is_placed(struct world *world)
{
	const struct cluster_map *map = rest_map(world);
	for (unsigned i = 0; i < world->node_count; i++)
		if (world->nodes[i].is_out || !node_serves(&world->nodes[i]))
			return false;
	for (uint32_t shard = 0; map && shard <= map->shard_count; shard++) {
		const struct node *leader = leader_of(world, shard);
		uint32_t voters = 0;
		if (!leader || is_damaged(world, shard) ||
		    !are_members(node_group(leader, shard), &map->shards[shard]))
			return false;
		for (uint32_t i = 0; i < map->shards[shard].count; i++)
			voters += map->shards[shard].replicas[i].voter;
		if (voters < VOTERS)
			return false;
	}
	return map != NULL;
}

bool rest_is_well(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct node *node = &world->nodes[i];
		if (node->is_drained || node->disk_fails || node->disk_is_full)
			return false;
	}
	return world->admin.task == ADMIN_IDLE && rest_is_placed(world);
}

/* Their versions may differ: one that is made at a start has that of what it was read from. */
static bool is_same(const struct cluster_map *a, const struct cluster_map *b)
{
	if (a->node_count != b->node_count)
		return false;
	for (uint32_t i = 0; i < a->node_count; i++)
		if (a->nodes[i].state != b->nodes[i].state)
			return false;
	for (uint32_t shard = 0; shard <= a->shard_count; shard++)
		if (a->shards[shard].generation != b->shards[shard].generation)
			return false;
	return true;
}

static const char *missing(struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if (node->is_out && world->ends)
			return "a node is still to come";
		if (node->is_out)
			continue;
		if (!node_serves(node) || !node->server.ready)
			return "a node does not serve";
		for (uint32_t k = 0; k < node->core_count; k++)
			if (!shards_ready(node->server.cores[k].shards))
				return "a node's shards are not ready";
	}
	if (!lie_is_noticed(world))
		return "a store that is damaged was not read";
	if (ghost_runs(world))
		return "a node that was removed still runs";
	if (load_under_way(world) > 0)
		return "calls are under way";
	if (!admin_is_at_rest(world))
		return "the operator waits";
	const struct cluster_map *map = rest_map(world);
	if (!map)
		return "there is no map";
	for (unsigned i = 0; i < world->node_count; i++)
		if (node_serves(&world->nodes[i]) &&
		    !is_same(world->nodes[i].server.cluster_map, map))
			return "a node has an older map";
	for (uint32_t shard = 0; shard <= map->shard_count; shard++) {
		const char *why = missing_of_shard(world, map, shard);
		if (why)
			return why;
	}
	return NULL;
}

bool rest_is_reached(struct world *world, const char **ret_why)
{
	*ret_why = missing(world);
	return *ret_why == NULL;
}

static void print_group(const struct node *node, uint32_t shard, const struct group *group)
{
	struct raft_membership members;
	fprintf(stderr, "node %u group %u: replica %" PRIx64 ", ", node->number, shard,
	    group_self(group));
	if (group->raft) {
		static const char *const roles[] = {
		    [RAFT_FOLLOWER] = "follows",
		    [RAFT_CANDIDATE] = "asks for votes",
		    [RAFT_LEADER] = "leads",
		};
		struct raft_status status = raft_status(group->raft);
		fprintf(stderr,
		    "%s, term %" PRIu64 ", leader %" PRIx64 ", last %" PRIu64 ", durable %" PRIu64
		    ", commit %" PRIu64 ", applied %" PRIu64 "%s%s%s%s, members",
		    status.role < sizeof(roles) / sizeof(roles[0]) && roles[status.role]
		        ? roles[status.role]
		        : "?",
		    status.term, status.leader, status.last.index, status.durable, status.commit,
		    group_applied(group).index, status.asleep ? ", asleep" : "",
		    status.installing ? ", installing" : "", group_busy(group) ? ", busy" : "",
		    engine_shard_closed(group_store_engine(node_store(node, shard)), shard)
		        ? ", closed"
		        : "");
		group_get_members(group, &members);
		for (uint32_t i = 0; i < members.count; i++)
			fprintf(stderr, " %" PRIx64 ":%u", members.members[i].replica,
			    members.members[i].roles);
	}
	const struct shards *shards =
	    node->server.cores[shard_core(&node->server.map, shard)].shards;
	fprintf(stderr, ", state %d, shard %d, known to be led by %u\n", (int)group->state,
	    shard > 0 && shards ? (int)shards->by_number[shard]->state : -1,
	    cluster_leader(node->server.leaders, shard));
}

void rest_print(const struct world *world)
{
	for (unsigned i = 0; i < world->node_count; i++) {
		const struct node *node = &world->nodes[i];
		const struct cluster_map *map = node->server.cluster_map;
		fprintf(stderr, "node %u: stage %d, member %u, map %" PRIu64 "%s\n", i,
		    (int)node->stage, node_id(node), map ? map->version : 0,
		    map && map->is_caught_up ? "" : ", old");
		for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++) {
			const struct group *group = node_group(node, shard);
			if (group)
				print_group(node, shard, group);
		}
	}
	for (unsigned i = 0; i < LOAD_CALLS_MAX; i++)
		if (world->load.calls[i].busy)
			fprintf(stderr, "call %s %s at node %u\n", world->load.calls[i].address,
			    world->load.calls[i].name, world->load.calls[i].node->number);
}

/* ---- Replicas ---- */

struct reading {
	struct hash_stream hash;
	struct node *node;
	uint64_t keys;
	size_t key_bytes;
	uint32_t shard;
	bool prints;
	uint8_t key[1024];
};

/* Of a failure: what each has. */
static void print_pair(const struct reading *reading, struct slice key, struct slice value)
{
	fprintf(stderr, "node %u: ", reading->node->number);
	for (size_t i = 0; i < key.bytes; i++)
		fprintf(
		    stderr, key.data[i] > 32 && key.data[i] < 127 ? "%c" : "\\x%02x", key.data[i]);
	fprintf(stderr, " %zu bytes, %016" PRIx64 "\n", value.bytes, hash_bytes(value, 0));
}

/* Where a stream is cut into values depends on when checkpoints were taken: a replica's own matter.
 */
static void take_pair(struct reading *reading, struct slice key, struct slice value)
{
	bool is_events = reading->shard > 0 && key.data[0] == SHARD_KEY_EVENTS;
	if (is_events) {
		ASSERT(key.bytes > sizeof(uint64_t));
		key.bytes -= sizeof(uint64_t);
	}
	struct slice before = slice_of(reading->key, reading->key_bytes);
	if (!is_events || !slice_equal(before, key)) {
		ASSERT(key.bytes <= sizeof(reading->key));
		memcpy(reading->key, key.data, key.bytes);
		reading->key_bytes = key.bytes;
		hash_stream_update(&reading->hash, key);
		reading->keys++;
	}
	hash_stream_update(&reading->hash, value);
	if (reading->prints)
		print_pair(reading, key, value);
}

static void read_inside(void *arg)
{
	static const uint8_t first[] = {0};
	struct reading *reading = arg;
	struct engine *engine = group_store_engine(node_store(reading->node, reading->shard));
	struct cursor *cursor;
	struct slice key, value;
	hash_stream_init(&reading->hash, 0);
	reading->key_bytes = reading->keys = 0;
	int error =
	    cursor_open(engine, reading->shard, slice_of(first, 1), slice_of(NULL, 0), &cursor);
	ASSERT(!error);
	while (!(error = cursor_next(cursor, &key, &value))) {
		take_pair(reading, key, value);
	}
	ASSERT(error == ERR_NOT_FOUND);
	cursor_close(cursor);
}

static void differ(struct reading *a, struct reading *b)
{
	a->prints = b->prints = true;
	(void)sim_node_run(a->node->machine, read_inside, a);
	(void)sim_node_run(b->node->machine, read_inside, b);
	verdict_fail("replicas",
	    "group %u: nodes %u and %u differ at one index: %" PRIu64 " and %" PRIu64 " keys",
	    a->shard, a->node->number, b->node->number, a->keys, b->keys);
}

static void compare_shard(struct world *world, uint32_t shard)
{
	struct reading first = {.node = NULL};
	for (unsigned i = 0; i < world->node_count; i++) {
		struct reading one = {.node = &world->nodes[i], .shard = shard};
		if (!node_group(one.node, shard))
			continue;
		bool read = sim_node_run(one.node->machine, read_inside, &one);
		ASSERT(read);
		world->figures.replicas_compared++;
		if (!first.node)
			first = one;
		if (hash_stream_value(&one.hash) != hash_stream_value(&first.hash))
			differ(&first, &one);
	}
	EXPECT(first.node, "replicas", "group %u is nowhere", shard);
}

void rest_compare_replicas(struct world *world)
{
	for (uint32_t shard = 0; shard <= MODEL_SHARDS; shard++)
		compare_shard(world, shard);
}
