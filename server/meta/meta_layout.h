/* Nodes, shards and the cluster's own record as the directory knows them, in memory: what the map
 * is made from, and what a change is tried on. meta_records.h has their bytes. One thread. */
#ifndef KX_SERVER_META_META_LAYOUT_H
#define KX_SERVER_META_META_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "server/meta/cluster_map.h"
#include "server/meta/meta.h"

struct meta_layout {
	struct meta_cluster cluster; /* shards 0: there is none yet */
	struct cluster_node *nodes;  /* by number, rising */
	uint32_t node_count;
	size_t node_capacity;
	struct cluster_shard *shards; /* [cluster.shards + 1]; generation 0: without a record yet */
};

void meta_layout_done(struct meta_layout *layout); /* empty afterwards */
NODISCARD int meta_layout_copy(const struct meta_layout *from, struct meta_layout *ret_layout);

/* What a record says. Before the cluster's there is no shard, and how many it has never changes.
 * ERR_NOMEM, ERR_CORRUPT, ERR_FORMAT: nothing changed. */
NODISCARD int meta_layout_take(struct meta_layout *layout, struct slice key, struct slice record);
NODISCARD int meta_layout_set_cluster(
    struct meta_layout *layout, const struct meta_cluster *cluster);
NODISCARD int meta_layout_put_node(struct meta_layout *layout, const struct cluster_node *node);
NODISCARD int meta_layout_put_shard(
    struct meta_layout *layout, uint32_t number, const struct cluster_shard *shard);

/* NULL: none. */
struct cluster_node *meta_layout_node(const struct meta_layout *layout, uint16_t number);
struct cluster_node *meta_layout_incarnation(
    const struct meta_layout *layout, uint64_t incarnation);
/* Nobody but one node, however many there were. */
bool meta_layout_is_alone(const struct meta_layout *layout);

/* Node 1 is `self`, and has a replica of every shard. ERR_NOMEM. */
NODISCARD int meta_layout_begin(struct meta_layout *layout, const struct cluster_node *self);
/* 0; ERR_NOT_FOUND: there is no node yet; ERR_CORRUPT: something has no record. */
NODISCARD int meta_layout_check(const struct meta_layout *layout);
/* ERR_NOMEM. */
NODISCARD int meta_layout_map(
    const struct meta_layout *layout, uint64_t version, struct cluster_map **ret_map);

/* A batch (storage/batch.h) that makes `from` what `to` is: the records that differ. The caller's:
 * mem_free. ERR_NOT_FOUND: none does; ERR_NOMEM. */
NODISCARD int meta_layout_batch(const struct meta_layout *from, const struct meta_layout *to,
    uint8_t **ret_batch, size_t *ret_bytes);

#endif
