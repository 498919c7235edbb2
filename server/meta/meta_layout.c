#include "server/meta/meta_layout.h"

#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/buffer.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "server/meta/meta_keys.h"
#include "server/meta/meta_records.h"
#include "storage/batch.h"

void meta_layout_done(struct meta_layout *layout)
{
	mem_free(layout->nodes);
	mem_free(layout->shards);
	*layout = (struct meta_layout){.nodes = NULL};
}

static void copy_shards(
    struct cluster_shard *to, const struct cluster_shard *from, uint32_t shard_count)
{
	for (uint32_t i = 0; i <= shard_count; i++)
		cluster_shard_set(&to[i], &from[i]);
}

int meta_layout_copy(const struct meta_layout *from, struct meta_layout *ret_layout)
{
	struct meta_layout to = *from;
	ASSERT(from->cluster.shards > 0 && from->node_count > 0);
	/* One more may join. */
	to.node_capacity = (size_t)from->node_count + 1;
	to.nodes = mem_alloc(to.node_capacity * sizeof(*to.nodes));
	to.shards = cluster_shards_new(from->cluster.shards);
	if (!to.nodes || !to.shards) {
		meta_layout_done(&to);
		return ERR_NOMEM;
	}
	memcpy(to.nodes, from->nodes, from->node_count * sizeof(*to.nodes));
	copy_shards(to.shards, from->shards, from->cluster.shards);
	*ret_layout = to;
	return 0;
}

/* ---- What records say ---- */

int meta_layout_set_cluster(struct meta_layout *layout, const struct meta_cluster *cluster)
{
	if (layout->shards && layout->cluster.shards != cluster->shards)
		return ERR_CORRUPT;
	if (!layout->shards) {
		layout->shards = cluster_shards_new(cluster->shards);
		if (!layout->shards)
			return ERR_NOMEM;
	}
	layout->cluster = *cluster;
	return 0;
}

int meta_layout_put_node(struct meta_layout *layout, const struct cluster_node *node)
{
	struct cluster_node *known = meta_layout_node(layout, node->node);
	if (known) {
		*known = *node;
		return 0;
	}
	if (array_reserve(&layout->nodes, &layout->node_capacity, (size_t)layout->node_count + 1,
	        sizeof(*layout->nodes)))
		return ERR_NOMEM;
	uint32_t at = layout->node_count++;
	for (; at > 0 && layout->nodes[at - 1].node > node->node; at--)
		layout->nodes[at] = layout->nodes[at - 1];
	layout->nodes[at] = *node;
	return 0;
}

int meta_layout_put_shard(
    struct meta_layout *layout, uint32_t number, const struct cluster_shard *shard)
{
	if (!layout->shards || number > layout->cluster.shards ||
	    shard->count > layout->shards[number].room)
		return ERR_CORRUPT;
	cluster_shard_set(&layout->shards[number], shard);
	return 0;
}

int meta_layout_take(struct meta_layout *layout, struct slice key, struct slice record)
{
	struct slice rest = slice_of(key.data + 1, key.bytes - 1);
	struct meta_cluster cluster;
	struct cluster_node node;
	struct cluster_shard_record shard;
	uint16_t node_number;
	uint32_t shard_number;
	int error;
	switch (key.data[0]) {
	case META_KEY_CLUSTER:
		error = meta_cluster_decode(record, &cluster);
		return error ? error : meta_layout_set_cluster(layout, &cluster);
	case META_KEY_NODE:
		error = meta_node_number(rest, &node_number);
		if (!error)
			error = meta_node_decode(node_number, record, &node);
		return error ? error : meta_layout_put_node(layout, &node);
	case META_KEY_SHARD:
		error = meta_shard_number(rest, &shard_number);
		if (!error)
			error = meta_shard_decode(record, cluster_shard_begin(&shard));
		return error ? error : meta_layout_put_shard(layout, shard_number, &shard.shard);
	default:
		return ERR_CORRUPT;
	}
}

struct cluster_node *meta_layout_node(const struct meta_layout *layout, uint16_t number)
{
	for (uint32_t i = 0; i < layout->node_count; i++)
		if (layout->nodes[i].node == number)
			return &layout->nodes[i];
	return NULL;
}

struct cluster_node *meta_layout_incarnation(const struct meta_layout *layout, uint64_t incarnation)
{
	for (uint32_t i = 0; i < layout->node_count; i++)
		if (layout->nodes[i].incarnation == incarnation)
			return &layout->nodes[i];
	return NULL;
}

bool meta_layout_is_alone(const struct meta_layout *layout)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < layout->node_count; i++)
		count += layout->nodes[i].state != CLUSTER_NODE_REMOVED;
	return count <= 1;
}

/* ---- Wholes ---- */

int meta_layout_begin(struct meta_layout *layout, const struct cluster_node *self)
{
	struct cluster_node node = *self;
	ASSERT(layout->shards && layout->node_count == 0);
	node.node = 1;
	node.state = CLUSTER_NODE_MEMBER;
	int error = meta_layout_put_node(layout, &node);
	if (error)
		return error;
	struct cluster_replica replica = {.replica = cluster_replica_number(1, 0), .voter = true};
	for (uint32_t i = 0; i <= layout->cluster.shards; i++)
		cluster_shard_set(&layout->shards[i],
		    &(struct cluster_shard){
		        .generation = 1, .replicas_made = 1, .count = 1, .replicas = &replica});
	return 0;
}

int meta_layout_check(const struct meta_layout *layout)
{
	if (!layout->shards || layout->node_count == 0)
		return ERR_NOT_FOUND;
	for (uint32_t i = 0; i <= layout->cluster.shards; i++)
		if (layout->shards[i].generation == 0)
			return ERR_CORRUPT;
	return 0;
}

int meta_layout_map(
    const struct meta_layout *layout, uint64_t version, struct cluster_map **ret_map)
{
	struct cluster_map *map = cluster_map_new(layout->node_count, layout->cluster.shards);
	if (!map)
		return ERR_NOMEM;
	map->version = version;
	memcpy(map->id, layout->cluster.id, sizeof(map->id));
	map->replication_factor = layout->cluster.replication_factor;
	map->rebalance = layout->cluster.rebalance;
	memcpy(map->nodes, layout->nodes, layout->node_count * sizeof(*map->nodes));
	copy_shards(map->shards, layout->shards, layout->cluster.shards);
	*ret_map = map;
	return 0;
}

/* ---- What differs ---- */

static bool is_same_node(const struct cluster_node *a, const struct cluster_node *b)
{
	return a && a->state == b->state && a->incarnation == b->incarnation &&
	       a->cores == b->cores && a->stores == b->stores && a->port == b->port &&
	       a->peer_port == b->peer_port && a->cluster_port == b->cluster_port &&
	       strcmp(a->host, b->host) == 0 && strcmp(a->zone, b->zone) == 0 &&
	       cluster_job_same(&a->drain, &b->drain);
}

static bool is_same_cluster(const struct meta_cluster *a, const struct meta_cluster *b)
{
	return a->replication_factor == b->replication_factor && a->next_node == b->next_node &&
	       cluster_job_same(&a->rebalance, &b->rebalance);
}

/* One walk counts, the next one writes. */
struct differences {
	struct writer *out; /* NULL: counts */
	size_t bytes;
	struct buffer record;
	int error;
};

/* The record was appended to `record`, or `error` says why not. */
static void put(struct differences *found, int error, const uint8_t *key, size_t key_bytes)
{
	if (!found->error)
		found->error = error;
	if (!error && found->out)
		batch_put(found->out, slice_of(key, key_bytes), buffer_view(&found->record));
	found->bytes += BATCH_OP_BYTES_MAX + key_bytes + buffer_bytes(&found->record);
	buffer_clear(&found->record);
}

/* The cluster's record first: without it no shard can be read. */
static void walk(
    const struct meta_layout *from, const struct meta_layout *to, struct differences *found)
{
	uint8_t key[5] = {META_KEY_CLUSTER};
	if (from->node_count == 0 || !is_same_cluster(&from->cluster, &to->cluster))
		put(found, meta_cluster_encode(&to->cluster, &found->record), key, 1);
	for (uint32_t i = 0; i < to->node_count; i++) {
		const struct cluster_node *node = &to->nodes[i];
		if (is_same_node(meta_layout_node(from, node->node), node))
			continue;
		key[0] = META_KEY_NODE;
		store_u16be(key + 1, node->node);
		put(found, meta_node_encode(node, &found->record), key, 3);
	}
	for (uint32_t i = 0; i <= to->cluster.shards; i++) {
		const struct cluster_shard *shard = &to->shards[i];
		if (from->shards && from->shards[i].generation == shard->generation)
			continue;
		key[0] = META_KEY_SHARD;
		store_u32be(key + 1, i);
		put(found, meta_shard_encode(shard, &found->record), key, 5);
	}
}

int meta_layout_batch(const struct meta_layout *from, const struct meta_layout *to,
    uint8_t **ret_batch, size_t *ret_bytes)
{
	struct differences found = {.bytes = 0};
	buffer_init(&found.record, META_SHARD_BYTES_MAX + META_NODE_BYTES_MAX);
	walk(from, to, &found);
	if (found.error || found.bytes == 0) {
		buffer_done(&found.record);
		return found.error ? found.error : ERR_NOT_FOUND;
	}
	size_t bytes = found.bytes + BATCH_HEADER_BYTES;
	uint8_t *batch = mem_alloc(bytes);
	struct writer out = writer_of(batch, batch ? bytes : 0);
	if (batch) {
		batch_begin(&out);
		found.out = &out;
		walk(from, to, &found);
		*ret_batch = batch;
		*ret_bytes = writer_used(&out);
	}
	ASSERT(!found.error);
	buffer_done(&found.record);
	return batch ? 0 : ERR_NOMEM;
}
