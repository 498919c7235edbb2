/* How the cluster is: from the map, and from what nodes and leaders of shards have said last.
 *
 * It is well where every shard is led, and has as many voters that have nearly all of its log as it
 * should: as the replication factor says (the directory: CLUSTER_DIRECTORY_VOTERS), or as there are
 * members, where those are fewer; and what is proposed is committed. A cluster of two nodes can be
 * well and survive nothing.
 *
 * As JSON, with sorted keys:
 *
 *   {"behind":0,"by":1,"cluster":"32 digits","damaged":0,"factor":3,"few":0,
 *    "jobs":[{"all":96,"began_ms":1767225600000,"job":"rebalance","left":40,"ms":46000,
 *      "runs":true}],"leaderless":0,"moving":0,
 *    "nodes":[{"alive":true,"cluster_port":7472,"cores":2,"host":"10.0.0.1","leads":43,"load":480,
 *      "node":1,"peer_port":7471,"port":7470,"replicas":128,"snapshot_bytes":0,
 *      "snapshot_bytes_per_s":0,"snapshots":0,"state":"member","stores":4,"zone":"a"}],
 *    "quorumless":0,"resting":0,
 *    "shards":[{"generation":5,"leader":1,"load":480,"replicas":[{"heard":true,"lag":0,"node":1,
 *      "replica":1,"role":"voter"}],"settled":true,"shard":0,"survives":1,"term":7,"well":true}],
 *    "snapshot_bytes":0,"snapshot_bytes_per_s":0,"snapshots":0,"standing":0,"survives":1,
 *    "version":12,"waiting":0,"well":true}
 *
 * `leaderless`, `few`, `behind`, `moving`: shards that nobody leads; that have too few voters; that
 * have enough, but some miss too much of the log or are not heard of; that have not settled, and do
 * not rest. `waiting`: of the last ones those that wait for a replica whose node is not reached, or
 * whose disk takes nothing. `resting`: those of which nothing is to move, but a voter that is not
 * reached lacks much. Of a node `dead_ms` stands where it is not alive, `disk_waiting_ms` where its
 * disk has not answered a write for so long, two seconds at least, and `full` (true) where its disk
 * is: either way it is given nothing to lead and no replicas; `no_bundle` (true) where it has not
 * loaded what a shard has active, and is given nothing to lead, `zone` where it has one,
 * `removable` (true) where no group may have a member there but the directory, which does without
 * it; `replicas` are those that are wanted there, with the directory. `state`: member, draining,
 * removed. `leader` is absent where there is none, and then `replicas` are those that are wanted,
 * without `heard` and `lag`. `survives`: so many more voters may fail, of every shard, and all go
 * on; one whose disk does not answer is none that is left. `even` (true) stands where who plans
 * sees nothing to move, and all are led, since the map became what it is: zones and full disks may
 * allow no more.
 *
 * `load`: what a shard does a second where it is led, smoothed over about a minute, in calls and
 * pieces of what is written (load.h); it stands where it is not 0, which it is below eight. Of a
 * node: of the shards that it leads, together.
 *
 * A node that is not alive has `refused` where somebody answers at its address, and the links to it
 * are refused, by either side: the reason, in a word, as replication/peer/peer.h has them. If it is
 * that node (nothing of that is proved) what it had is there where the reason is `secret`,
 * `version`, `remote` or `stranger`; with `cluster`, `node` or `incarnation` somebody else is.
 *
 * `jobs`, where the directory is led: what was, or is, moved until all is even (`rebalance`), in
 * shards that change and leaderships, and of each node that is drained (`drain`, with `node`) its
 * replicas: cluster_job.h. `left` of `all` are left, after `ms`; where `runs` is false it is done.
 * They are in the directory, and what is left of them is seen by who leads it.
 *
 * `snapshots`: so many are sent now, or wait for a place; `snapshot_bytes` were sent since the
 * start of the process, `snapshot_bytes_per_s` in the last seconds. Of each node, and of all.
 *
 * `standing`: shards that are led, and of which for some seconds nothing was committed though
 * something is proposed: voters that are heard do not make it durable, or the leader does not. Such
 * a shard has `standing_ms`, for so long, and `unacknowledged`, the nodes of its voters that have
 * not acknowledged the first of it. It survives nothing.
 *
 * `by` is the node whose view this is: the one that leads the directory; where nobody does, any.
 * `quorumless`: of the leaderless shards those of which a majority of the voters is on nodes that
 * are not alive. Such a shard has `lacks`: those nodes, `needs`: how many of them would be enough,
 * and `quorumless_ms`: since when; `gone` (true) where all its voters were on nodes that were
 * removed, so that nothing is left of it. Their voters are those that its leader said last, or one
 * of its replicas, or that are wanted. A shard that was recovered has `recovered`: {at_ms,
 * committed, index, node, term}.
 *
 * Replicas that are damaged neither vote nor acknowledge, though their nodes live: a shard that has
 * such has `damaged`: [{ms, node, replica}], `ms` since they were known to be, and `remedy`, what
 * comes of that: "itself" (it is led, or can be, and another replica takes their place as soon as
 * enough others are whole), "nodes" (a majority of its voters is whole, but not there: their nodes
 * have to come back), "recover" (a majority is damaged: kalix-admin cluster recover --unsafe
 * --damaged goes on with what is whole), "restore" (nothing is whole). Those of `lacks` are not
 * damaged. `damaged` of the whole: shards that have such.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_CLUSTER_STATUS_H
#define KX_SERVER_META_CLUSTER_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/meta/cluster_map.h"
#include "server/meta/placement.h"

struct json_writer;

/* A member of a shard's group as its leader sees it. */
struct cluster_member {
	uint64_t replica;
	uint64_t lag; /* entries of the leader's log that it does not have */
	bool voter;
	bool heard; /* lately; the leader itself is */
	/* Where nobody leads: its node has none of the shard, or another one, and cannot vote. */
	bool is_absent;
};

/* A replica that has said lately that it is damaged. */
struct cluster_damaged {
	uint64_t replica;
	uint64_t ms; /* since it was known */
};

/* What the leader of a shard has said last, and its damaged replicas. */
struct cluster_said {
	uint16_t leader; /* its node; 0: nobody is known to lead, and only members count */
	uint64_t term;
	bool settled; /* as of struct placement_shard */
	/* So many of the leader's last entries are not applied, and for so long none was. */
	uint64_t pending, stands_ms;
	uint64_t load;
	uint32_t count;
	struct cluster_member *members; /* the caller's, for as long as it is looked at */
	uint32_t damaged_count;
	struct cluster_damaged *damaged; /* too */
};

/* What a node sends in snapshots, to replicas that come or have missed too much. */
struct cluster_moves {
	uint64_t bytes;       /* since the start of its process */
	uint64_t bytes_per_s; /* lately */
	uint32_t snapshots;   /* under way, or waiting for a place */
};

struct cluster_view {
	const struct cluster_map *map;
	const struct placement_node *nodes; /* [map->node_count] */
	const struct cluster_moves *moves;  /* too; zeros: nothing was said */
	const struct cluster_said *shards;  /* [map->shard_count + 1] */
	const bool *removable;              /* [map->node_count]; NULL: not known */
	const char *const *refused;         /* [map->node_count]: why, NULL: not; NULL: not known */
	bool even;
	uint32_t waiting, resting; /* as of struct placement_plan */
	/* NULL: nothing is known of jobs. [map->node_count]: what is left of each drain. */
	const uint64_t *drains_left;
	uint64_t rebalance_left;
	/* No other node is there: nothing is moved, whatever the record of the rebalance says until
	 * it has its end. */
	bool alone;
	int64_t now_ms;   /* of the jobs' clock */
	uint64_t lag_max; /* who misses no more has nearly all */
	/* What is proposed, and not committed for longer, does not go on. */
	uint64_t stands_ms_max;
	uint16_t by; /* this node */
};

struct cluster_summary {
	/* Shards. */
	uint32_t leaderless, quorumless, few, behind, moving, damaged, standing;
	uint32_t survives;
	bool well;
};

struct cluster_summary cluster_summarise(const struct cluster_view *view);
/* With its shards, or without. */
void cluster_status_write(const struct cluster_view *view, bool shards, struct json_writer *writer);
/* {by, cluster, nodes, version} of it alone; of shards only `leader` counts. */
void cluster_nodes_write(const struct cluster_view *view, struct json_writer *writer);

#endif
