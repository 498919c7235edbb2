#include "server/cluster_reach.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/mem.h"
#include "server/meta/cluster_map.h"

/* One for each number that there can be: memory that is never touched is never there. */
struct cluster_reach {
	struct reach_node {
		_Atomic uint64_t down_since_ns; /* of the last link; 0: none was wanted */
		_Atomic uint32_t links;         /* up */
	} nodes[CLUSTER_NODE_MAX + 1];
};

struct cluster_reach *cluster_reach_new(void)
{
	return mem_zalloc(1, sizeof(struct cluster_reach));
}

void cluster_reach_wanted(struct cluster_reach *reach, uint16_t node, uint64_t now_ns)
{
	uint64_t never = 0;
	atomic_compare_exchange_strong_explicit(&reach->nodes[node].down_since_ns, &never, now_ns,
	    memory_order_relaxed, memory_order_relaxed);
}

void cluster_reach_up(struct cluster_reach *reach, uint16_t node)
{
	atomic_fetch_add_explicit(&reach->nodes[node].links, 1, memory_order_relaxed);
}

/* The time stands there before the count says that it counts. */
void cluster_reach_down(struct cluster_reach *reach, uint16_t node, uint64_t now_ns)
{
	atomic_store_explicit(&reach->nodes[node].down_since_ns, now_ns, memory_order_relaxed);
	uint32_t links =
	    atomic_fetch_sub_explicit(&reach->nodes[node].links, 1, memory_order_release);
	ASSERT(links > 0);
}

bool cluster_reach_linked(const struct cluster_reach *reach, uint16_t node)
{
	return atomic_load_explicit(&reach->nodes[node].links, memory_order_acquire) > 0;
}

bool cluster_reach_lost(
    const struct cluster_reach *reach, uint16_t node, uint64_t ns, uint64_t now_ns)
{
	if (cluster_reach_linked(reach, node))
		return false;
	uint64_t since_ns =
	    atomic_load_explicit(&reach->nodes[node].down_since_ns, memory_order_relaxed);
	/* Another core's clock may be a moment ahead. */
	return since_ns != 0 && now_ns > since_ns && now_ns - since_ns >= ns;
}
