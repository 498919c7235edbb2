/* Which of the shards that a core leads are to be led by other nodes, as whoever plans has said,
 * and whose turn it is to be handed over.
 *
 * A shard takes no changes from the moment it is handed over until the other replica leads. So that
 * callers hardly notice a node that comes back, or joins, and gets its share of leaders, one shard
 * of a core is handed over at a time; and not before its next leader has nearly all of its log
 * (reconcile.h).
 *
 * Owned by a core, with no memory of its own; all zeros is empty. Its thread only.
 */
#ifndef KX_SERVER_CLUSTER_WISHES_H
#define KX_SERVER_CLUSTER_WISHES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLUSTER_WISHES_MAX = 64, CLUSTER_WISH_MS = 10000 };

struct cluster_wishes {
	struct cluster_wish {
		uint32_t shard;
		uint16_t node; /* 0: none */
		uint64_t until_ns;
	} wishes[CLUSTER_WISHES_MAX];
	uint32_t handed_over; /* the shard whose turn it is, where it is one's */
	bool hands_over;
	uint64_t hands_over_until_ns;
};

/* For CLUSTER_WISH_MS, instead of what was wished for that shard before. Where there are too many,
 * nothing: who plans wishes again. */
void cluster_wishes_add(
    struct cluster_wishes *wishes, uint32_t shard, uint16_t node, uint64_t now_ns);
/* Wishes, and a turn, whose time is over. */
void cluster_wishes_forget_old(struct cluster_wishes *wishes, uint64_t now_ns);

/* The node that is to lead the shard, and may now; 0: there is no wish, or another one is being
 * handed over. */
uint16_t cluster_wishes_node(const struct cluster_wishes *wishes, uint32_t shard);

/* Its turn begins, which is nobody's; it lasts no longer than a wish. */
void cluster_wishes_begin(struct cluster_wishes *wishes, uint32_t shard, uint64_t now_ns);
/* Its turn is over where it had one: true. The wish stays: who was wished for may lead later. */
bool cluster_wishes_end(struct cluster_wishes *wishes, uint32_t shard);
/* The same, and there is no wish any more: it is granted, or whoever leads now decides. */
bool cluster_wishes_forget(struct cluster_wishes *wishes, uint32_t shard);

#endif
