/* One core's part in its cluster: its links to cores of other nodes, what its groups, snapshots and
 * calls send over them, and its shards' way to where the directory wants their replicas. Core 0's
 * is also the way in and out of the directory.
 *
 *   directory (core 0) -> map -> cluster_core_set_map on every core
 *     -> links to the cores of other nodes that share shards with this one
 *     -> replicas that are wanted here are made; those that are not, and have left their group, go
 *     -> in the shards that it leads: one step after the other (server/meta/reconcile.h)
 *     -> reports to the core 0 of whoever leads the directory, and what they do (meta/load.h)
 *        -> (there) the next changes of the map (server/meta/placement.h)
 *
 * A node alone has all of this but links: it may be joined at any time.
 *
 * Who is who. A node's number comes from the directory, its incarnation from its data directory.
 * Both are told when a link begins (replication/peer/peer.h). A node that the map does not know is
 * let in, as it has the cluster's secret: this node may have no map yet (it joins), or one older
 * than what the other was let in by. One that was removed is told so, and nothing that it says is
 * listened to.
 *
 * Messages between nodes, by kind: CLUSTER_KIND_* below. All are bounded, and what is not well
 * formed ends the link that it came over.
 *
 * Thread: the core's. What crosses cores of one node is a struct cluster_post.
 */
#ifndef KX_SERVER_CLUSTER_H
#define KX_SERVER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/list.h"
#include "base/slice.h"
#include "replication/peer/peer.h"
#include "server/gate/gate.h"
#include "server/meta/cluster_map.h"

struct cluster_core;
struct cluster_reach;
struct data_peers;
struct data_recovered;
struct forward;
struct group_carrier;
struct group_store;
struct io;
struct meta;
struct meta_request;
struct shard_call;
struct shards;
struct snapshots;
struct sockaddr;

/* What is sent between nodes: whose it is, by ranges of kinds. */
enum cluster_kind {
	CLUSTER_KIND_GROUPS_LAST = 15, /* from 1 on: replication/carrier.h */
	CLUSTER_KIND_FORWARD = 128,    /* to 143: server/forward_wire.h */
	CLUSTER_KIND_DIRECTORY = 64,   /* bytes for meta_told */
	CLUSTER_KIND_REPORT = 65,      /* of shards, see cluster_wire.h */
	CLUSTER_KIND_LEAVE = 66,    /* asks whether a replica has left its group, and the answer */
	CLUSTER_KIND_LEAD = 67,     /* a shard's leadership is wished for elsewhere */
	CLUSTER_KIND_NODE = 68,     /* a HELLO: who says it has other addresses now */
	CLUSTER_KIND_STRANDED = 69, /* of replicas that reach no leader */
	CLUSTER_KIND_REMOVED = 70,  /* to a node that was removed, and does not know it */
	CLUSTER_KIND_UNFIT = 71,    /* whether who says it should lead nothing */
	CLUSTER_KIND_MOVES = 72,    /* what a node sends in snapshots */
	CLUSTER_KIND_LOADS = 73,    /* what shards do that are led there */
	CLUSTER_KIND_ASKED = 74,    /* of a shard: where there is no replica of it, that is said */
	CLUSTER_KIND_DISK = 75,     /* the disk of who says it does not answer, or did not lately */
};

/* From one core of a node to another: allocated by who sends, freed by who receives. */
struct cluster_post {
	struct gate_carried carried; /* the services' */
	void (*arrived)(struct cluster_post *post, struct cluster_core *core);
};

struct cluster_services {
	/* On core `to`, in a later turn. May be the sender's own. */
	void (*post)(void *arg, uint32_t to, struct cluster_post *post);
	/* What this node is now, all but its state. Core 0's. */
	void (*self)(void *arg, struct cluster_node *ret_node);
	/* May be NULL. Where the others are is kept, for a start without a directory. Blocks: in
	 * the pool, for core 0. Errors of data_peers_write. */
	int (*keep)(void *arg, const struct data_peers *peers);
	/* May be NULL. That the directory was made to go on alone here is kept, until there is
	 * nothing (NULL) to be kept any more. The same; errors of data_recovered_write and _end. */
	int (*keep_recovered)(void *arg, const struct data_recovered *recovered);
	/* As snapshots_set_rate has it; asked again and again, since it may change. Any core's. */
	uint64_t (*snapshot_rate)(void *arg);
	/* May be NULL. Node `by` says that this one was removed from the cluster: nothing that it
	 * does from now on is any good. Any core's. */
	void (*removed)(void *arg, uint16_t by);
	/* May be NULL. What this node says of itself does not become part of the directory, and
	 * will not before somebody changes it: `why`, with what to do. Core 0's. */
	void (*refused)(void *arg, struct slice why);
	void *arg;
};

struct cluster_address {
	struct sockaddr_storage address;
	socklen_t bytes;
};

/* Of an IP address. ERR_INVALID: it is a name. */
NODISCARD int cluster_literal(const char *host, uint16_t port, struct cluster_address *ret_address);
/* ERR_NOT_FOUND: a name that means nothing now. Blocks, for a name. */
NODISCARD int cluster_resolve(const char *host, uint16_t port, struct cluster_address *ret_address);

/* As cluster_literal takes it. False: it is no IP address. */
bool cluster_address_text(const struct cluster_address *address, char host[CLUSTER_HOST_BYTES]);

/* Where nodes have answered that the directory knows elsewhere: they are looked for here, too,
 * until it says another address than `known`. */
struct cluster_found {
	uint32_t count;
	struct cluster_found_node {
		uint16_t node, port, known_port;
		char host[CLUSTER_HOST_BYTES], known_host[CLUSTER_HOST_BYTES];
	} nodes[PEER_INTRODUCTIONS_MAX];
};

/* What is the same on all cores, and known before the first begins. */
struct cluster_options {
	uint8_t id[PEER_CLUSTER_BYTES];
	struct cluster_node self; /* `node` and `incarnation` too */
	uint32_t shard_count;
	struct slice secret, secret_previous; /* stay; empty: none. As peers_options have them */
	struct cluster_leaders *leaders;
	struct cluster_reach *reach;
	uint64_t seed;
	/* As peers_options have it. */
	int (*entropy)(void *arg, uint8_t *to, size_t bytes);
	void *entropy_arg;
	const struct data_peers *peers;         /* as they were kept last; NULL: none were */
	const struct data_recovered *recovered; /* the same */
	/* NULL: none. Who changes it says so with cluster_core_look_again. */
	const struct cluster_found *found;
	uint64_t replace_after_ns; /* a node that is gone for so long is lost; 0: never */
};

/* A core before it is known which node it is: stores may be opened with it already. ERR_NOMEM. */
NODISCARD int cluster_core_new(struct io *io, uint32_t core,
    const struct cluster_services *services, struct group_store *const *stores, uint64_t seed,
    struct cluster_core **ret_core);
/* NULL-safe; after cluster_core_stopped, or before cluster_core_begin. */
void cluster_core_free(struct cluster_core *core);
/* For group_store_open. */
const struct group_carrier *cluster_core_carrier(struct cluster_core *core);
struct snapshots *cluster_core_snapshots(struct cluster_core *core);

/* Links may be made from now on. `options` stays. Errors of peers_new. */
NODISCARD int cluster_core_begin(struct cluster_core *core, const struct cluster_options *options);
/* Others may connect to this node. Errors of peers_listen. */
NODISCARD int cluster_core_listen(
    struct cluster_core *core, const struct sockaddr *address, size_t address_bytes);
/* What runs here: calls from other nodes come in from now on. meta: core 0's, else NULL. */
void cluster_core_serve(struct cluster_core *core, struct shards *shards, struct meta *meta);
/* A newer map; a reference is taken. */
void cluster_core_set_map(struct cluster_core *core, struct cluster_map *map);

/* There is more in options->found. */
void cluster_core_look_again(struct cluster_core *core);

/* In each turn: before shards_turn, and after group_store_turn, when all is sent. True while work
 * is left. */
bool cluster_core_receive_turn(struct cluster_core *core);
bool cluster_core_send_turn(struct cluster_core *core);

/* This node is about to stop: others lead its shards soon, where they can. */
void cluster_core_yield(struct cluster_core *core);
/* Takes nothing more from others and gives back what it has of this node's calls; links end when
 * cluster_core_cut was called, and all is over when it is true that it stopped. */
void cluster_core_close(struct cluster_core *core);
void cluster_core_cut(struct cluster_core *core);
bool cluster_core_stopped(const struct cluster_core *core);

/* On core 0: a request of the directory is done here, or where that leads. */
void cluster_core_directory(struct cluster_core *core, struct meta_request *request);
/* The number of the replica of a shard of this core that is here, or is to be; 0: none. */
uint64_t cluster_core_replica(const struct cluster_core *core, uint32_t shard);
/* On core 0: bytes for the directory of another node (meta_told). */
void cluster_core_tell(struct cluster_core *core, uint16_t node, struct slice bytes);
/* On the core of the shard: what shards_options.elsewhere, .leads and .follows are to do. */
bool cluster_core_elsewhere(struct cluster_core *core, struct shard_call *call, uint32_t shard);
/* shards_options.others: whether the shard has, or is to have, voters on other nodes. Where no map
 * tells: whether there were other nodes. */
bool cluster_core_others(const struct cluster_core *core, uint32_t shard);
void cluster_core_leads(struct cluster_core *core, uint32_t shard, uint64_t term);
void cluster_core_follows(struct cluster_core *core, uint32_t shard);
/* Why nobody leads it, as far as this node sees: which of its voters are not reached. */
void cluster_core_unled(
    const struct cluster_core *core, uint32_t shard, char *text, size_t text_bytes);

/* For what stands beside it. */
const struct cluster_map *cluster_core_map(const struct cluster_core *core); /* NULL: none yet */
bool cluster_core_linked(const struct cluster_core *core, uint16_t node);
/* On core 0: whether nodes that this one has links with are a majority of the directory's voters
 * without it, as far as it has heard. */
bool cluster_core_directory_elsewhere(const struct cluster_core *core);
/* The nodes whose core 0 this one is linked with, commas between; "none". */
void cluster_core_linked_text(const struct cluster_core *core, char *text, size_t text_bytes);
/* Any core of this process is linked with it; after cluster_core_begin. */
bool cluster_core_reached(const struct cluster_core *core, uint16_t node);
/* None is, nor was for replace_after. */
bool cluster_core_lost(const struct cluster_core *core, uint16_t node);
/* Why a node that is not linked refuses this core, or is refused by it, in a word (peer.h's), or
 * any core of this process where none is linked; NULL: nobody is there, or it is linked. */
const char *cluster_core_refused(const struct cluster_core *core, uint16_t node);
/* This core's links. */
struct peers_figures cluster_core_figures(const struct cluster_core *core);
uint16_t cluster_core_peer_port(const struct cluster_core *core);

#endif
