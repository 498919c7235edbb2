/* A directory of three shards with one node, on which requests are tried without a group. */
#ifndef KX_TESTS_UNIT_META_VERBS_RIG_H
#define KX_TESTS_UNIT_META_VERBS_RIG_H

#include <check.h>

#include "server/meta/meta_parts.h"

static inline struct cluster_node verbs_node(uint64_t incarnation)
{
	return (struct cluster_node){.incarnation = incarnation,
	    .cores = 2,
	    .stores = 4,
	    .host = "192.0.2.1",
	    .port = (uint16_t)(7470 + incarnation)};
}

/* meta_layout_done is the caller's. */
static inline void verbs_begin(struct meta_layout *layout)
{
	struct meta_cluster cluster = {.id = "0123456789abcdef0123456789abcdef",
	    .shards = 3,
	    .replication_factor = 3,
	    .next_node = 2};
	struct cluster_node first = verbs_node(1);
	*layout = (struct meta_layout){.nodes = NULL};
	ck_assert_int_eq(meta_layout_set_cluster(layout, &cluster), 0);
	ck_assert_int_eq(meta_layout_begin(layout, &first), 0);
}

#endif
