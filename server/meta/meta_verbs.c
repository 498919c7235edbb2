/* What each request makes of nodes and shards, or why it is refused; and what it is answered. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wire/json.h"
#include "server/meta/meta_parts.h"
#include "server/meta/meta_records.h"

/* The longest names every shard. */
#define REPLY_TEXT_BYTES_MAX (256 * KIB)

/* ---- Replicas ---- */

static uint32_t find(const struct cluster_shard *shard, uint16_t node)
{
	uint32_t at = 0;
	while (at < shard->count && cluster_replica_node(shard->replicas[at].replica) != node)
		at++;
	return at;
}

static uint32_t count_voters(const struct cluster_shard *shard)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		count += shard->replicas[i].voter;
	return count;
}

/* Its number is above all that there are. */
static void add(struct cluster_shard *shard, uint16_t node, bool voter)
{
	ASSERT(shard->count < shard->room);
	shard->replicas[shard->count++] = (struct cluster_replica){
	    .replica = cluster_replica_number(node, shard->replicas_made++), .voter = voter};
}

static void take_out(struct cluster_shard *shard, uint32_t at)
{
	ASSERT(at < shard->count);
	shard->count--;
	memmove(&shard->replicas[at], &shard->replicas[at + 1],
	    (shard->count - at) * sizeof(shard->replicas[0]));
	shard->replicas[shard->count] = (struct cluster_replica){.replica = 0};
	shard->generation++;
}

void meta_settle_directory(struct meta_layout *layout)
{
	struct cluster_shard *shard = &layout->shards[0];
	uint32_t voters = count_voters(shard);
	for (uint32_t i = 0; i < shard->count && voters < CLUSTER_DIRECTORY_VOTERS; i++) {
		const struct cluster_node *node =
		    meta_layout_node(layout, cluster_replica_node(shard->replicas[i].replica));
		if (shard->replicas[i].voter || !node || node->state != CLUSTER_NODE_MEMBER)
			continue;
		shard->replicas[i].voter = true;
		shard->generation++;
		voters++;
	}
}

/* ---- Nodes ---- */

void meta_node_becomes(struct cluster_node *node, enum cluster_node_state state)
{
	if (node->state != state)
		node->drain = (struct cluster_job){.all = 0};
	node->state = state;
}

/* What a node says of itself; its number stays, and what was decided about it. */
static void describe(struct cluster_node *node, const struct cluster_node *self)
{
	uint16_t number = node->node;
	enum cluster_node_state state = node->state;
	struct cluster_job drain = node->drain;
	*node = *self;
	node->node = number;
	node->state = state;
	node->drain = drain;
}

static bool is_described(struct meta_request *request)
{
	const char *wrong = meta_node_wrong(&request->node);
	if (wrong)
		meta_refuse(request, STATUS_INVALID_ARGUMENT,
		    "the node cannot be part of a cluster: %s", wrong);
	return !wrong;
}

/* `own`: its record, or NULL. */
static bool may_have_address(
    const struct meta_layout *layout, const struct cluster_node *own, struct meta_request *request)
{
	for (uint32_t i = 0; i < layout->node_count; i++) {
		const struct cluster_node *node = &layout->nodes[i];
		uint16_t port = node == own ? 0 : cluster_node_shares(node, &request->node);
		if (port == 0)
			continue;
		if (!request->yields)
			meta_refuse(request, STATUS_FAILED_PRECONDITION,
			    "node %u (%s, port %u) has this address", node->node, node->host, port);
		if (!request->yields || !request->yields(request, node))
			return false;
	}
	return true;
}

/* A node that is known already. */
static bool set_node(
    const struct meta_layout *layout, struct cluster_node *node, struct meta_request *request)
{
	if (node->state == CLUSTER_NODE_REMOVED) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "this was node %u, which was removed from the cluster and is let in no more: "
		    "start it with an empty data directory, and it joins as another one",
		    node->node);
		return false;
	}
	if (node->stores != request->node.stores) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has %u stores, which never changes, and not %u", node->node,
		    node->stores, request->node.stores);
		return false;
	}
	if (!cluster_node_same_address(node, &request->node) &&
	    !may_have_address(layout, node, request))
		return false;
	describe(node, &request->node);
	request->node.node = node->node;
	return true;
}

static bool run_join(struct meta_layout *layout, struct meta_request *request)
{
	struct cluster_shard *directory = &layout->shards[0];
	if (!is_described(request))
		return false;
	struct cluster_node *known = meta_layout_incarnation(layout, request->node.incarnation);
	if (known)
		return set_node(layout, known, request);
	if (!may_have_address(layout, NULL, request))
		return false;
	if (directory->count == CLUSTER_REPLICAS_MAX ||
	    layout->cluster.next_node > CLUSTER_NODE_MAX) {
		meta_refuse(request, STATUS_RESOURCE_EXHAUSTED,
		    "the cluster has %u nodes already, and there is no room for another: remove "
		    "one that is gone (kalix-admin node remove)",
		    directory->count);
		return false;
	}
	struct cluster_node node = {
	    .node = (uint16_t)layout->cluster.next_node, .state = CLUSTER_NODE_MEMBER};
	describe(&node, &request->node);
	int error = meta_layout_put_node(layout, &node);
	ASSERT(!error || error == ERR_NOMEM);
	if (error) {
		meta_refuse(request, status_from_error(error),
		    "out of memory: nothing was changed; repeat");
		return false;
	}
	layout->cluster.next_node++;
	add(directory, node.node, count_voters(directory) < CLUSTER_DIRECTORY_VOTERS);
	directory->generation++;
	request->node.node = node.node;
	return true;
}

static bool run_set(struct meta_layout *layout, struct meta_request *request)
{
	if (!is_described(request))
		return false;
	struct cluster_node *node = meta_layout_incarnation(layout, request->node.incarnation);
	if (node)
		return set_node(layout, node, request);
	meta_refuse(request, STATUS_NOT_FOUND,
	    "this node is not part of the cluster: it has to join first (kalixd --join)");
	return false;
}

/* One that is there, by number. */
static struct cluster_node *named_node(struct meta_layout *layout, struct meta_request *request)
{
	uint16_t number = request->node.node;
	struct cluster_node *node = meta_layout_node(layout, number);
	if (node && node->state != CLUSTER_NODE_REMOVED)
		return node;
	meta_refuse(request, node ? STATUS_FAILED_PRECONDITION : STATUS_NOT_FOUND,
	    node ? "node %u was removed from the cluster, and is let in no more"
	         : "there is no node %u: see kalix-admin node list",
	    number);
	return NULL;
}

static bool run_state(
    struct meta_layout *layout, struct meta_request *request, enum cluster_node_state state)
{
	struct cluster_node *node = named_node(layout, request);
	uint32_t members = 0;
	if (!node)
		return false;
	for (uint32_t i = 0; i < layout->node_count; i++)
		members +=
		    layout->nodes[i].state == CLUSTER_NODE_MEMBER && &layout->nodes[i] != node;
	if (state == CLUSTER_NODE_DRAINING && members == 0) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u cannot be drained: there is no other node that may take its replicas",
		    node->node);
		return false;
	}
	meta_node_becomes(node, state);
	meta_settle_directory(layout);
	return true;
}

/* How many shards but the directory want a replica there, and, in ret_last, one whose last voter
 * that is. */
static uint32_t count_shards(const struct meta_layout *layout, uint16_t node, uint32_t *ret_last)
{
	uint32_t count = 0;
	*ret_last = 0;
	for (uint32_t i = 1; i <= layout->cluster.shards; i++) {
		const struct cluster_shard *shard = &layout->shards[i];
		uint32_t at = find(shard, node);
		if (at == shard->count)
			continue;
		count++;
		if (shard->replicas[at].voter && count_voters(shard) == 1)
			*ret_last = i;
	}
	return count;
}

static bool may_remove(struct meta_layout *layout, struct meta_request *request)
{
	uint32_t last;
	uint16_t node = request->node.node;
	uint32_t count = count_shards(layout, node, &last);
	if (meta_layout_is_alone(layout)) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u is the only one of the cluster: to end it, stop that node", node);
		return false;
	}
	if (count > 0 && !request->force) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has replicas of %u %s: drain it (kalix-admin node drain %u), and "
		    "repeat when it has none; say --force if it is dead and never comes back",
		    node, count, count == 1 ? "shard" : "shards", node);
		return false;
	}
	if (last > 0) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has the only voter of shard %u, whose data would be lost: start that "
		    "node again",
		    node, last);
		return false;
	}
	return true;
}

static bool run_remove(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer)
{
	struct cluster_node *node = meta_layout_node(layout, request->node.node);
	/* Twice is fine. */
	bool is_gone = node && node->state == CLUSTER_NODE_REMOVED;
	if (!is_gone && (!named_node(layout, request) || !may_remove(layout, request)))
		return false;
	ASSERT(node); /* it has a name */
	json_write_key(writer, slice_from_text("shards"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i <= layout->cluster.shards && !is_gone; i++) {
		struct cluster_shard *shard = &layout->shards[i];
		uint32_t at = find(shard, node->node);
		if (at == shard->count)
			continue;
		take_out(shard, at);
		if (i > 0)
			json_write_integer(writer, i);
	}
	json_write_array_end(writer);
	meta_node_becomes(node, CLUSTER_NODE_REMOVED);
	meta_settle_directory(layout);
	return true;
}

/* ---- Shards ---- */

static bool is_wanted_well(struct meta_request *request)
{
	uint32_t voters = 0;
	const char *wrong = NULL;
	if (request->wanted_count == 0 ||
	    request->wanted_count > group_replicas_max(request->shard))
		wrong = "a shard has 1 to 8 replicas, and the directory one for each node";
	for (size_t i = 0; i < request->wanted_count && !wrong; i++) {
		voters += request->wanted[i].voter;
		for (size_t k = 0; k < i; k++)
			if (request->wanted[i].node == request->wanted[k].node)
				wrong = "a node has one replica of a shard at most";
	}
	if (!wrong && voters == 0)
		wrong = "one replica has to be a voter at least";
	if (wrong)
		meta_refuse(request, STATUS_INVALID_ARGUMENT, "%s", wrong);
	return !wrong;
}

/* A replica may stay where it is; a new one has to be let in. */
static bool may_stand(const struct meta_layout *layout, const struct cluster_shard *shard,
    struct meta_request *request, uint16_t number)
{
	const struct cluster_node *node = meta_layout_node(layout, number);
	if (!node) {
		meta_refuse(request, STATUS_NOT_FOUND,
		    "there is no node %u: see kalix-admin node list", number);
		return false;
	}
	if (find(shard, number) < shard->count || node->state == CLUSTER_NODE_MEMBER)
		return true;
	meta_refuse(request, STATUS_FAILED_PRECONDITION,
	    node->state == CLUSTER_NODE_DRAINING ? "node %u is drained, and gets no new replicas"
	                                         : "node %u was removed from the cluster",
	    number);
	return false;
}

/* A replica of the directory stands on every node; who of them votes can be chosen. */
static bool may_have_directory(const struct cluster_shard *shard, struct meta_request *request)
{
	uint32_t voters = 0, kept = 0;
	for (size_t i = 0; i < request->wanted_count; i++) {
		voters += request->wanted[i].voter;
		kept += find(shard, request->wanted[i].node) < shard->count;
	}
	if (kept == shard->count && kept == request->wanted_count &&
	    voters <= CLUSTER_DIRECTORY_VOTERS)
		return true;
	meta_refuse(request, STATUS_INVALID_ARGUMENT,
	    "shard 0, the directory, has a replica on every node, and up to %u voters",
	    CLUSTER_DIRECTORY_VOTERS);
	return false;
}

static const struct meta_wanted *wanted_on(const struct meta_request *request, uint16_t node)
{
	for (size_t i = 0; i < request->wanted_count; i++)
		if (request->wanted[i].node == node)
			return &request->wanted[i];
	return NULL;
}

/* Who stays keeps its number. */
static void replace(struct cluster_shard *shard, const struct meta_request *request)
{
	struct cluster_shard_record record;
	struct cluster_shard *next = cluster_shard_begin(&record);
	bool changes = false;
	cluster_shard_set(next, shard);
	next->count = 0;
	for (uint32_t i = 0; i < shard->count; i++) {
		struct cluster_replica replica = shard->replicas[i];
		const struct meta_wanted *wanted =
		    wanted_on(request, cluster_replica_node(replica.replica));
		changes |= !wanted || wanted->voter != replica.voter;
		if (!wanted)
			continue;
		replica.voter = wanted->voter;
		next->replicas[next->count++] = replica;
	}
	for (size_t i = 0; i < request->wanted_count; i++) {
		const struct meta_wanted *wanted = &request->wanted[i];
		if (find(shard, wanted->node) < shard->count)
			continue;
		add(next, wanted->node, wanted->voter);
		changes = true;
	}
	if (!changes)
		return;
	next->generation++;
	cluster_shard_set(shard, next);
}

static void write_number(struct json_writer *writer, const char *key, uint64_t number)
{
	json_write_key(writer, slice_from_text(key));
	json_write_integer(writer, (int64_t)number);
}

static void write_shard(const struct cluster_shard *shard, struct json_writer *writer)
{
	write_number(writer, "generation", shard->generation);
	json_write_key(writer, slice_from_text("replicas"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < shard->count; i++) {
		const struct cluster_replica *replica = &shard->replicas[i];
		json_write_object_begin(writer);
		write_number(writer, "node", cluster_replica_node(replica->replica));
		write_number(writer, "replica", replica->replica);
		json_write_key(writer, slice_from_text("voter"));
		json_write_boolean(writer, replica->voter);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

/* NULL: it is not there, or not any more what the caller saw. */
static struct cluster_shard *changeable_shard(
    struct meta_layout *layout, struct meta_request *request)
{
	if (request->shard > layout->cluster.shards) {
		meta_refuse(request, STATUS_NOT_FOUND, "there is no shard %u: they are 0 to %u",
		    request->shard, layout->cluster.shards);
		return NULL;
	}
	struct cluster_shard *shard = &layout->shards[request->shard];
	if (request->expected_generation == shard->generation)
		return shard;
	meta_refuse(request, STATUS_ABORTED,
	    "shard %u was changed by somebody else meanwhile: look again, then repeat",
	    request->shard);
	return NULL;
}

static bool run_shard(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer)
{
	struct cluster_shard *shard = changeable_shard(layout, request);
	if (!shard || !is_wanted_well(request))
		return false;
	for (size_t i = 0; i < request->wanted_count; i++)
		if (!may_stand(layout, shard, request, request->wanted[i].node))
			return false;
	if (request->shard == 0 && !may_have_directory(shard, request))
		return false;
	replace(shard, request);
	write_shard(shard, writer);
	write_number(writer, "shard", request->shard);
	return true;
}

/* Whoever lacks it goes on as before: one that neither votes nor acknowledges counts as little as
 * one that is not there. That others are whole was looked at where the request came to
 * (server/cluster_damage.c): by the members of the group, which the record does not know. Another
 * one comes when this one has left its group (placement.h): its
 * number, under which it may have voted, never comes back. The directory is on every node, so there
 * another one is wanted at once, which votes when placement says so. */
static bool run_damaged(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer)
{
	struct cluster_shard *shard = changeable_shard(layout, request);
	if (!shard)
		return false;
	uint32_t at = find(shard, request->node.node);
	if (at == shard->count) {
		meta_refuse(request, STATUS_NOT_FOUND, "node %u has no replica of shard %u",
		    request->node.node, request->shard);
		return false;
	}
	if (shard->replicas[at].voter && count_voters(shard) == 1) {
		meta_refuse(request, STATUS_FAILED_PRECONDITION,
		    "the replica on node %u is the only voter of shard %u: repair it there "
		    "(kalix-admin log repair, store repair), or restore a backup",
		    request->node.node, request->shard);
		return false;
	}
	take_out(shard, at);
	if (request->shard == 0)
		add(shard, request->node.node, false);
	write_shard(shard, writer);
	write_number(writer, "shard", request->shard);
	return true;
}

/* ---- The cluster ---- */

static bool run_cluster(struct meta_layout *layout, struct meta_request *request)
{
	if (request->replication_factor < 1 || request->replication_factor > META_FACTOR_MAX) {
		meta_refuse(request, STATUS_INVALID_ARGUMENT,
		    "a replication factor is 1 to %u, and not %u", META_FACTOR_MAX,
		    request->replication_factor);
		return false;
	}
	layout->cluster.replication_factor = request->replication_factor;
	return true;
}

/* ---- Jobs ---- */

/* NULL: there is none, or no more. */
static struct cluster_job *job_of(struct meta_layout *layout, uint16_t number)
{
	struct cluster_node *node = number == 0 ? NULL : meta_layout_node(layout, number);
	if (number == 0)
		return &layout->cluster.rebalance;
	return node && node->state == CLUSTER_NODE_DRAINING ? &node->drain : NULL;
}

/* A drain may have been taken back, and begun anew, since somebody looked. */
static void run_jobs(
    struct meta_layout *layout, const struct meta_request *request, struct json_writer *writer)
{
	uint32_t count = 0;
	for (size_t i = 0; i < request->job_count; i++) {
		const struct meta_job *wanted = &request->jobs[i];
		struct cluster_job *job = job_of(layout, wanted->node);
		if (!job || !cluster_job_same(job, &wanted->from))
			continue;
		*job = wanted->to;
		count++;
	}
	write_number(writer, "jobs", count);
}

/* ---- All of them ---- */

const char *meta_verb_name(enum meta_verb verb)
{
	switch (verb) {
	case META_APP_DEPLOY:
		return "app_deploy";
	case META_APP_LIST:
		return "app_list";
	case META_APP_ACTIVATE:
		return "app_activate";
	case META_APP_ROLLBACK:
		return "app_rollback";
	case META_APP_REMOVE:
		return "app_remove";
	case META_NODE_JOIN:
		return "node_join";
	case META_NODE_SET:
		return "node_set";
	case META_NODE_DRAIN:
		return "node_drain";
	case META_NODE_UNDRAIN:
		return "node_undrain";
	case META_NODE_REMOVE:
		return "node_remove";
	case META_SHARD_SET:
		return "shard_set";
	case META_SHARD_DAMAGED:
		return "shard_damaged";
	case META_CLUSTER_SET:
		return "cluster_set";
	case META_CLUSTER_STATUS:
		return "cluster_status";
	case META_SHARD_LEAD:
		return "shard_lead";
	case META_RECOVER:
		return "recover";
	case META_CLUSTER_RECOVER:
		return "cluster_recover";
	case META_NODE_LIST:
		return "node_list";
	case META_JOBS_SET:
		return "jobs_set";
	}
	UNREACHABLE();
}

static void write_state(
    struct json_writer *writer, const struct meta_request *request, const char *state)
{
	write_number(writer, "node", request->node.node);
	json_write_key(writer, slice_from_text("state"));
	json_write_string(writer, slice_from_text(state));
}

static bool run(
    struct meta_layout *layout, struct meta_request *request, struct json_writer *writer)
{
	bool good;
	switch (request->verb) {
	case META_NODE_JOIN:
	case META_NODE_SET:
		good = request->verb == META_NODE_JOIN ? run_join(layout, request)
		                                       : run_set(layout, request);
		json_write_key(writer, slice_from_text("cluster"));
		json_write_string(writer, slice_from_text(layout->cluster.id));
		write_number(writer, "node", request->node.node);
		write_number(writer, "shards", layout->cluster.shards);
		return good;
	case META_NODE_DRAIN:
		write_state(writer, request, "draining");
		return run_state(layout, request, CLUSTER_NODE_DRAINING);
	case META_NODE_UNDRAIN:
		write_state(writer, request, "member");
		return run_state(layout, request, CLUSTER_NODE_MEMBER);
	case META_NODE_REMOVE:
		write_number(writer, "node", request->node.node);
		return run_remove(layout, request, writer);
	case META_SHARD_SET:
		return run_shard(layout, request, writer);
	case META_SHARD_DAMAGED:
		return run_damaged(layout, request, writer);
	case META_CLUSTER_SET:
		write_number(writer, "replication_factor", request->replication_factor);
		return run_cluster(layout, request);
	case META_RECOVER:
		return meta_run_recover(layout, request, writer);
	case META_JOBS_SET:
		run_jobs(layout, request, writer);
		return true;
	case META_APP_DEPLOY:
	case META_APP_LIST:
	case META_APP_ACTIVATE:
	case META_APP_ROLLBACK:
	case META_APP_REMOVE:
	case META_CLUSTER_STATUS:
	case META_SHARD_LEAD:
	case META_CLUSTER_RECOVER:
	case META_NODE_LIST:
		break;
	}
	UNREACHABLE();
}

bool meta_verb_run(struct meta_layout *layout, struct meta_request *request)
{
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, REPLY_TEXT_BYTES_MAX);
	json_writer_init(&writer, &text);
	json_write_object_begin(&writer);
	bool good = run(layout, request, &writer);
	json_write_object_end(&writer);
	int error = json_writer_finish(&writer);
	if (good && !error) {
		request->reply = text;
		return true;
	}
	buffer_done(&text);
	if (good)
		meta_refuse(request, STATUS_UNKNOWN_OUTCOME,
		    "it is done, and the answer could not be made (%s)", error_text(error));
	return good;
}
