/* The directory: what the cluster knows of itself, as the state of shard 0, a group like any other.
 * Here: its nodes, where each shard's replicas are wanted, apps, their bundles, and the catalogue
 * of everything ever active.
 *
 * Every node has one, and knows all of it: it makes the map of the cluster (cluster_map.h) and
 * answers what only reads. Changes are made where shard 0 leads; elsewhere a request for one is
 * UNAVAILABLE and says who leads (`leader_node`), for server/ to take it there.
 *
 * Deploying: every core loads the bundle; it enters shard 0 by compare-and-set on the app's active
 * hash; then each shard writes ACTIVATE into its own log (shards_activate on every core of the node
 * that leads it), and the request is answered when all have, or says how many are pending (a full
 * disk, no leader, no memory). The directory asks again by itself until all have: after a second
 * first, after a minute at most; what is pending in shards that are closed waits for their repair
 * and a start. Whether states and events stay readable is decided on the catalogue of everything
 * ever active, never by scanning data.
 *
 * Other nodes learn of a deployment as their replica of shard 0 applies it: each loads the bundle
 * from there, activates it in the shards that it leads, and tells the directory's leader which have
 * it (`tell`). Messages may be lost: the leader asks again, and all of it may come twice.
 *
 * A type that an app has goes only where it is named in `drop`, and then its data is destroyed: the
 * type leaves the catalogue, its name is free for any app, and its row in the app's record keeps
 * the incarnation that the shards are told with this and every later activation of the app
 * (server/shard/shard.h: struct shards_drop): the generation that dropped it. Nothing brings the
 * data back, so there is no rollback over a drop.
 *
 * What the shards compare is an app's generation: a number that rises with every activation in the
 * cluster and stands in the app's record.
 *
 * Thread: core 0's. Other cores reach it through server/'s mailbox of requests (struct meta_request
 * travels like struct shard_call).
 */
#ifndef KX_SERVER_META_META_H
#define KX_SERVER_META_META_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/status.h"
#include "scripting/host.h"
#include "server/meta/cluster_map.h"

struct group_store;
struct io;
struct meta;

/* A type that an app has or had. */
struct meta_type {
	char name[NAME_BYTES_MAX + 1];
	bool active;
	/* The generation that destroyed its data last; 0: never. Then, and not active: it was given
	 * up by a version of the server that kept the data. */
	uint64_t incarnation;
};

/* Valid during the call. */
struct meta_activation {
	struct slice app;
	const char *hash; /* "": the app goes */
	uint64_t generation;
	const struct meta_type *types; /* all that the app ever had */
	size_t type_count;
	uint64_t timeout_ms; /* then what is pending is told */
	/* There are other nodes: what does not lead here is theirs. */
	bool led_only;
	/* [shards + 1], zeros, until meta_activated: 1 for each shard that leads here and has this
	 * generation then. A byte each, so that cores may write at once. */
	uint8_t *have;
};

/* What the directory needs of the cores, given by server/. Each is answered later by the function
 * named beside it, on core 0's thread; one at a time. */
struct meta_cores {
	/* Every core loads the bundle into its host and shards_provide's it. meta_loaded. */
	void (*load)(void *arg, struct slice bundle);
	/* Every core's shards_activate. meta_activated. */
	void (*activate)(void *arg, const struct meta_activation *activation);
	/* How many entities of `type` all shards have, as far as that is known at `until_ns` (of
	 * clock_monotonic_ns). meta_counted. */
	void (*count)(void *arg, struct slice type, uint64_t until_ns);
	void *arg;
};

struct meta_options {
	struct io *io;
	struct group_store *store; /* with shard 0 */
	struct host *host;         /* core 0's: bundles are checked there */
	struct meta_cores cores;
	/* These two count only when the cluster is made; the id is random. */
	uint32_t shards_wanted;
	uint64_t id_wanted[2];
	/* This node, all but its number and state: node 1 of a cluster that is made. */
	struct cluster_node self;
	/* It is to be let into a cluster: its shard 0 comes from there, and none is made. */
	bool joining;
	/* The number of the replica of shard 0 here; 0: 1, the one that a cluster begins with. */
	uint64_t replica;
	/* The directory is readable: cluster figures are known. Once, after meta_start. */
	void (*opened)(void *arg);
	/* Every active bundle has been loaded on every core: calls are served. Once. */
	void (*ready)(void *arg);
	/* May be NULL. There is a new map; the reference is the callee's. The first comes right
	 * before `opened`. */
	void (*map_changed)(void *arg, struct cluster_map *map);
	/* May be NULL, where there is one node. Who leads the directory as far as this node knows,
	 * 0: nobody; and bytes for meta_told there, which are copied, and may be lost. */
	uint16_t (*leader)(void *arg);
	void (*tell)(void *arg, uint16_t node, struct slice bytes);
	void *arg;
};
NODISCARD int meta_new(const struct meta_options *options, struct meta **ret_meta);
void meta_free(struct meta *meta);
void meta_start(struct meta *meta);
bool meta_turn(struct meta *meta); /* end of a turn, before group_store_turn */
/* Before the store is closed: refuses what waits and is submitted. Called in each turn until it is
 * true: then nothing is under way, and meta_free may follow. */
bool meta_close(struct meta *meta);
void meta_loaded(struct meta *meta, enum status status, struct slice message);
/* What is deployed could not be loaded here, which is tried again and again. */
bool meta_lacks_bundle(const struct meta *meta);
/* DATA_LOSS: all that are pending are closed. */
void meta_activated(struct meta *meta, enum status status, uint32_t pending);
/* `all`: there are no more. */
void meta_counted(struct meta *meta, uint64_t count, bool all);

/* Shards that do not have the newest version of an app, over all apps; any thread. */
uint32_t meta_pending(const struct meta *meta);

/* What the directory of `node` told. Nothing in it is relied on to be well formed. */
void meta_told(struct meta *meta, uint16_t node, struct slice bytes);
/* A shard begins to lead here: it is asked for what it has not activated yet. */
void meta_shard_leads(struct meta *meta, uint32_t shard);

struct meta_cluster {
	char id[CLUSTER_ID_BYTES];
	uint32_t shards;
	uint32_t replication_factor;
	uint32_t next_node; /* the number that the next one gets */
	int64_t created_ms;
	struct cluster_job rebalance; /* the last one */
};
const struct meta_cluster *meta_cluster(const struct meta *meta); /* NULL before `opened` */
/* Something of a directory was here at the start. */
bool meta_began_with_some(const struct meta *meta);
/* The newest map, until the next map_changed; NULL before `opened`. */
struct cluster_map *meta_map(const struct meta *meta);
/* This node's number: who has its incarnation in the map. 0: nobody, yet or any more. */
uint16_t meta_node(const struct meta *meta);
/* Changes are made here, now. */
bool meta_leads(const struct meta *meta);
/* Why the directory cannot be read; 0: it can, or will be. ERR_NOMEM: it is tried again every
 * second. Else it is for good, and before `opened` it never will be: ERR_FORMAT, a newer version
 * wrote it; or what says that shard 0 is damaged. */
int meta_error(const struct meta *meta);
/* In words, with what to do. */
const char *meta_error_text(int error);

enum meta_verb {
	META_APP_DEPLOY,   /* bundle; expected hash or empty; dry_run; drop types */
	META_APP_LIST,     /* */
	META_APP_ACTIVATE, /* app, hash */
	META_APP_ROLLBACK, /* app: to the hash active before */
	META_APP_REMOVE,   /* app; every type of it is in drop */
	/* node, all but its number and state: it gets a number, and a replica of shard 0. The same
	 * incarnation has the same number, however often it asks. Nodes that have its address are
	 * asked for (yields). {cluster, node, shards} */
	META_NODE_JOIN,
	/* node, as JOIN: one that has joined has other addresses, cores, zone. */
	META_NODE_SET,
	/* node.node. {node, state, version}: since that version of the directory it is so. Whoever
	 * sees another state in a later one knows that somebody has changed it. */
	META_NODE_DRAIN,
	META_NODE_UNDRAIN, /* node.node; as DRAIN */
	/* node.node, which has replicas of no shard but the directory. `force`: it is dead, and
	 * never comes back; its replicas are wanted no more. `unproved`: also where somebody says
	 * to be it, who has not proved that. {node, shards: those that lost one} */
	META_NODE_REMOVE,
	META_SHARD_SET, /* shard, expected_generation, wanted. {generation, replicas, shard} */
	/* shard, node.node, expected_generation: the replica there is damaged. It neither votes
	 * nor acknowledges, and is wanted no more, unless it is the only voter. It is asked for
	 * only where others are whole (server/cluster_damage.c). Of shard 0 another one is wanted
	 * there in its place, as a learner. {generation, replicas, shard} */
	META_SHARD_DAMAGED,
	META_CLUSTER_SET, /* replication_factor */
	/* wanted: the nodes that are given up, which are removed; recoveries, with replicas that
	 * are given up. Made where the directory leads (server/cluster_recover.c), and never sent
	 * there. {nodes, shards} */
	META_RECOVER,

	/* Never submitted to the directory, but answered where it leads, from what the leaders of
	 * shards say (server/cluster_answers.c). */
	META_CLUSTER_STATUS, /* the document of cluster_status.h */
	/* shard, node.node, which is asked to lead it; dry_run. {node, shard} */
	META_SHARD_LEAD,
	/* wanted: nodes that are gone for ever; damaged: so are replicas that are damaged;
	 * unproved: as of REMOVE; dry_run; expected: the plan that is to be carried out, ABORTED:
	 * it is another one by now. Where the directory itself has no majority it is
	 * answered by the node that is asked (server/cluster_recover.c). */
	META_CLUSTER_RECOVER,
	/* Answered by the node that is asked, as it knows them: cluster_nodes_write. */
	META_NODE_LIST,
	META_VERB_LAST = META_NODE_LIST, /* of those that may come from other nodes */

	/* jobs, each where its record is the one that it is to come from. Made where the directory
	 * leads (server/cluster_jobs.c), and never sent there. {jobs: so many} */
	META_JOBS_SET,
};

static inline bool meta_verb_is_answered(enum meta_verb verb)
{
	return verb == META_CLUSTER_STATUS || verb == META_SHARD_LEAD ||
	       verb == META_CLUSTER_RECOVER || verb == META_NODE_LIST;
}

#define META_EXPECT_NONE "none"

/* Replicas of a shard. */
#define META_FACTOR_DEFAULT 3
#define META_FACTOR_MAX     7

/* Where a replica is wanted. One that is wanted there already stays the one it is. */
struct meta_wanted {
	uint16_t node;
	bool voter;
};

/* What becomes of a shard that lost its majority for good. The replicas that are `given_up` are
 * damaged, or not there, and their nodes stay. */
struct meta_recovery {
	uint32_t shard;
	struct cluster_recovery recovery;
	uint32_t given_up_count;
	uint64_t given_up[CLUSTER_REPLICAS_MAX];
};

/* What the record of a job becomes. */
struct meta_job {
	uint16_t node; /* that is drained; 0: what is moved until all is even */
	struct cluster_job from, to;
};

/* Embedded by the caller, zeroed first; views stay until `done`. */
struct meta_request {
	enum meta_verb verb;
	uint32_t shard;
	struct slice app, hash, bundle;
	/* The active hash that the caller saw, META_EXPECT_NONE for none; of CLUSTER_RECOVER the
	 * plan. Empty: not compared. */
	struct slice expected;
	const struct slice *drop; /* types that are to go, with their data */
	size_t drop_count;
	struct slice user; /* who, for the history */
	bool dry_run, force, damaged, unproved;
	uint32_t replication_factor;
	struct cluster_node node;
	/* Of JOIN and SET: whether `owner`, which has an address that the node says is its own, has
	 * to leave it; false: the request has its answer (status, reply). It is asked when the
	 * request is carried out, so of two for one address the second finds the first. NULL:
	 * nobody has to. */
	bool (*yields)(struct meta_request *request, const struct cluster_node *owner);
	void *yields_arg;
	uint64_t expected_generation; /* of the shard's record */
	const struct meta_wanted *wanted;
	size_t wanted_count;
	const struct meta_recovery *recoveries;
	size_t recovery_count;
	const struct meta_job *jobs;
	size_t job_count;
	void (*done)(struct meta_request *request);

	/* The answer: reply is compact JSON; where status is not OK the message, with details. For
	 * DEPLOY {app, hash, plan: [text..], warnings: [{file, line, text}..], rollback: bool,
	 * pending: n, pending_shards: [shard..]}, in a dry run with entities: [{all, count,
	 * destroyed, type}..]; a refusal's details: {diagnostics: [{file, line, text}..]}. */
	enum status status;
	/* Where status is UNAVAILABLE: who leads the directory. 0: nobody that is known, or it is
	 * not for that. */
	uint16_t leader_node;
	struct buffer reply, details;

	/* Private to server/meta. */
	struct list_node link;
};
void meta_submit(struct meta *meta, struct meta_request *request);

#endif
