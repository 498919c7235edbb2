/* Where a link connects to: the places at which a core of another node may be found. Private to
 * server/cluster*.c.
 *
 * The first is what the directory says. Others are those at which the node has answered lately
 * (struct cluster_found). While there is no link they are tried in turn, each for a few seconds, so
 * that none that is wrong, or is another node's by now, hides the one that is right: which one is
 * right only a link decides, where the other side proves who it is. What has led to a link is tried
 * first when that is over.
 *
 * A name is looked up in the pool, and again from time to time while there is no link. One lookup
 * is under way at a time, and what it reads and writes is the pool's alone until it has ended.
 *
 * Owner: the link that it stands in. Thread: the core's.
 */
#ifndef KX_SERVER_CLUSTER_DIAL_H
#define KX_SERVER_CLUSTER_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/io/io.h"
#include "server/cluster.h"
#include "server/meta/cluster_map.h"

struct cluster_core;
struct peer;

enum {
	CLUSTER_PLACES_MAX = 4,
	/* How long one is tried where there are others. */
	CLUSTER_PLACE_MS = 3000,
	/* A name that was looked up may mean something else later. */
	CLUSTER_LOOKUP_MS = 5000,
};

struct cluster_place {
	char host[CLUSTER_HOST_BYTES];
	uint16_t port;
};

struct cluster_dial {
	struct cluster_core *core;
	struct peer *peer; /* NULL: nothing is connected (any more) */
	uint16_t node;
	bool up; /* there is a link */
	struct cluster_place places[CLUSTER_PLACES_MAX];
	uint32_t count; /* 0: it connects to us */
	uint32_t at;    /* which one is tried */
	bool is_name;   /* that one has to be looked up */
	struct io_timer turn_timer, lookup_timer;

	/* While `looks_up` these are the pool's: what it looks up, and what it has found. */
	bool looks_up;
	struct io_op lookup;
	struct cluster_place asked;
	struct cluster_address found;
	/* The lookup that was under way at cluster_dial_end is over. */
	void (*ended)(struct cluster_dial *dial);
};

/* `core` stays; the peer is named before the first place. */
void cluster_dial_init(struct cluster_dial *dial, struct cluster_core *core, uint16_t node,
    void (*ended)(struct cluster_dial *dial));
/* 1 to CLUSTER_PLACES_MAX; the directory's is the first. Where there are new ones the last of them
 * goes first. */
void cluster_dial_set(
    struct cluster_dial *dial, const struct cluster_place *places, uint32_t count);
/* A link is there, or is not any more. */
void cluster_dial_up(struct cluster_dial *dial);
void cluster_dial_down(struct cluster_dial *dial);
/* The peer is gone. True: nothing is under way; else `ended` comes, and until then it stays. */
NODISCARD bool cluster_dial_end(struct cluster_dial *dial);

#endif
