#include "server/cluster_reach.h"

#include <stdatomic.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/meta/cluster_map.h"

/* One for each number that there can be: memory that is never touched is never there. */
struct cluster_reach {
	struct reach_node {
		_Atomic uint64_t down_since_ns; /* of the last link; 0: none was wanted */
		_Atomic uint32_t links;         /* up */
		_Atomic uint64_t refused;       /* struct refusal; 0: never */
	} nodes[CLUSTER_NODE_MAX + 1];
};

/* In one word: cores say it at the same time. */
struct refusal {
	uint64_t at_ms;
	bool named;
	unsigned reason;
};
enum {
	REASON_BITS = 15, /* what a later version has may be more, and is unknown in any case */
	REASON_MAX = (1 << REASON_BITS) - 1,
	/* Cores say it again within a second, if they come to it. */
	REFUSED_MS = 4000,
};

static uint64_t pack(const struct refusal *refusal)
{
	return refusal->at_ms << (REASON_BITS + 1) | (uint64_t)refusal->named << REASON_BITS |
	       (refusal->reason < REASON_MAX ? refusal->reason : REASON_MAX);
}

/* The last one, where that was lately: within the time that another core's clock may be ahead, too.
 */
static bool unpack(
    const struct cluster_reach *reach, uint16_t node, uint64_t now_ns, struct refusal *ret_refusal)
{
	uint64_t word = atomic_load_explicit(&reach->nodes[node].refused, memory_order_relaxed);
	*ret_refusal = (struct refusal){.at_ms = word >> (REASON_BITS + 1),
	    .named = word >> REASON_BITS & 1,
	    .reason = word & REASON_MAX};
	return word != 0 && now_ns / NS_PER_MS < ret_refusal->at_ms + REFUSED_MS;
}

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

void cluster_reach_refused(
    struct cluster_reach *reach, uint16_t node, unsigned reason, bool named, uint64_t now_ns)
{
	struct refusal last,
	    refusal = {.at_ms = now_ns / NS_PER_MS, .named = named, .reason = reason};
	ASSERT(reason > 0);
	if (!named && unpack(reach, node, now_ns, &last) && last.named)
		return;
	atomic_store_explicit(&reach->nodes[node].refused, pack(&refusal), memory_order_relaxed);
}

unsigned cluster_reach_refusal(const struct cluster_reach *reach, uint16_t node, uint64_t now_ns)
{
	struct refusal refusal;
	bool lately = unpack(reach, node, now_ns, &refusal);
	return lately && !cluster_reach_linked(reach, node) ? refusal.reason : 0;
}
