/* Calls and requests on their way between nodes: server/forward.h between the shards, the directory
 * and the links. */
#include <stdio.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/mem.h"
#include "server/cluster_control.h"

/* ---- Out ---- */

static int send_call(
    void *arg, uint16_t node, uint16_t number, uint8_t kind, const struct iovec *iov, size_t count)
{
	return cluster_send(arg, node, number, PEER_ENTRIES, kind, iov, count);
}

static int core_of(void *arg, uint16_t node, uint32_t shard, uint16_t *ret_core)
{
	const struct cluster_core *core = arg;
	const struct cluster_node *known = core->map ? cluster_map_node(core->map, node) : NULL;
	if (!known || known->state == CLUSTER_NODE_REMOVED)
		return ERR_NOT_FOUND;
	*ret_core = cluster_core_of(known, shard);
	return 0;
}

static void answered(void *arg, struct shard_call *call)
{
	struct cluster_core *core = arg;
	shards_answered(core->shards, call);
}

static void local(void *arg, struct shard_call *call)
{
	struct cluster_core *core = arg;
	shards_returned(core->shards, call);
}

static void directory_answered(void *arg, struct meta_request *request)
{
	(void)arg;
	request->done(request);
}

/* False: what this node sees of the others speaks against it, and it has its answer. */
static bool may_begin(struct cluster_core *core, struct meta_request *request)
{
	if (request->verb == META_NODE_JOIN || request->verb == META_NODE_SET)
		cluster_control_judge_address(core->control, request);
	if (request->verb == META_NODE_REMOVE)
		return cluster_control_may_remove(core->control, request);
	if (request->verb == META_SHARD_DAMAGED)
		return cluster_control_may_give_up(core->control, request);
	return true;
}

/* Of this node, or one that came to it. */
static void request_here(struct cluster_core *core, struct meta_request *request)
{
	if (meta_verb_is_answered(request->verb))
		cluster_control_answer(core->control, request);
	else if (may_begin(core, request))
		meta_submit(core->meta, request);
	else
		request->done(request);
}

static void directory_local(void *arg, struct meta_request *request)
{
	request_here(arg, request);
}

/* ---- In ---- */

static void submit(void *arg, struct shard_call *call)
{
	struct cluster_core *core = arg;
	if (core->shards && !core->closing)
		shards_submit(core->shards, call);
	else
		forward_refuse(core->forward, call);
}

static void directory(void *arg, struct meta_request *request)
{
	struct cluster_core *core = arg;
	if (core->meta && meta_leads(core->meta) && !core->closing)
		request_here(core, request);
	else
		forward_refuse_directory(core->forward, request);
}

static bool reads(void *arg, const struct shard_call *call)
{
	const struct cluster_core *core = arg;
	return core->shards && shards_reads(core->shards, call);
}

/* From the core that heard it to the one that has the shard. */
struct news_post {
	struct cluster_post post;
	uint32_t shard;
};

static void news_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct news_post *carried = CONTAINER_OF(post, struct news_post, post);
	if (core->forward && core->shards && !core->closing) {
		forward_leader(core->forward, carried->shard);
		shards_leader_known(core->shards, carried->shard);
	}
	mem_free(carried);
}

/* Nodes with other numbers of cores tell it to a core that does not have the shard. */
static void news(void *arg, uint32_t shard)
{
	struct cluster_core *core = arg;
	uint16_t number = cluster_core_of(&core->options->self, shard);
	/* Who waits for the directory waits in forward.h. */
	if (shard == 0 || !core->shards)
		return;
	if (number == core->number) {
		shards_leader_known(core->shards, shard);
		return;
	}
	struct news_post *carried = mem_zalloc(1, sizeof(*carried));
	/* Whoever waits there has its deadline. */
	if (!carried)
		return;
	carried->shard = shard;
	carried->post.arrived = news_arrived;
	core->services.post(core->services.arg, number, &carried->post);
}

/* Of the shard's voters, and those of them that are not reached, as words. */
struct reach {
	uint32_t voters, reached;
	char missed[128]; /* "that on node 4", "those on nodes 2, 3" */
};

static void look_at_voters(
    const struct cluster_core *core, const struct cluster_shard *wanted, struct reach *ret_reach)
{
	char nodes[96] = "";
	size_t used = 0;
	*ret_reach = (struct reach){.voters = 0};
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint16_t node = cluster_replica_node(wanted->replicas[i].replica);
		if (!wanted->replicas[i].voter)
			continue;
		ret_reach->voters++;
		if (node == core->options->self.node || cluster_core_linked(core, node))
			ret_reach->reached++;
		else if (used < sizeof(nodes) - 8)
			used += (size_t)snprintf(
			    nodes + used, sizeof(nodes) - used, "%s%u", used ? ", " : "", node);
	}
	snprintf(ret_reach->missed, sizeof(ret_reach->missed), "%s %s",
	    ret_reach->voters - ret_reach->reached == 1 ? "that on node" : "those on nodes", nodes);
}

void cluster_core_unled(
    const struct cluster_core *core, uint32_t shard, char *text, size_t text_bytes)
{
	struct reach reach = {.voters = 0};
	if (core->map)
		look_at_voters(core, &core->map->shards[shard], &reach);
	const char *are = reach.reached == 1 ? "is" : "are";
	if (reach.voters == 0 || reach.reached >= reach.voters / 2 + 1)
		snprintf(text, text_bytes,
		    "shard %u has no leader that is reached; nothing was changed, retry", shard);
	else if (shard == 0)
		snprintf(text, text_bytes,
		    "the directory (shard 0) has no quorum: %u of its %u voters %s reached from "
		    "node %u, not %s; nothing was changed. What to do: kalix-admin cluster status",
		    reach.reached, reach.voters, are, core->options->self.node, reach.missed);
	else
		snprintf(text, text_bytes,
		    "shard %u has no quorum: %u of its %u voters %s reached from node %u, not %s; "
		    "nothing was changed, retry",
		    shard, reach.reached, reach.voters, are, core->options->self.node,
		    reach.missed);
}

static void unled(void *arg, uint32_t shard, char *text, size_t text_bytes)
{
	cluster_core_unled(arg, shard, text, text_bytes);
}

int cluster_calls_new(struct cluster_core *core)
{
	struct forward_options options = {.io = core->io,
	    .node = core->options->self.node,
	    .core = (uint16_t)core->number,
	    .shard_count = core->options->shard_count,
	    .seed = core->options->seed + core->number,
	    .leaders = core->options->leaders,
	    .callbacks = {.send = send_call,
	        .core_of = core_of,
	        .answered = answered,
	        .local = local,
	        .directory_answered = directory_answered,
	        .directory_local = directory_local,
	        .submit = submit,
	        .directory = directory,
	        .reads = reads,
	        .news = news,
	        .unled = unled,
	        .arg = core}};
	return forward_new(&options, &core->forward);
}

void cluster_core_directory(struct cluster_core *core, struct meta_request *request)
{
	/* What only reads is answered here, as far as this node knows. */
	bool here = request->verb == META_APP_LIST || request->verb == META_NODE_LIST ||
	            meta_leads(core->meta) || cluster_control_answers_alone(core->control, request);
	if (here || !core->forward || core->closing)
		request_here(core, request);
	else
		forward_directory(core->forward, request);
}

/* ---- What shards tell ---- */

bool cluster_core_elsewhere(struct cluster_core *core, struct shard_call *call, uint32_t shard)
{
	/* Calls of one order to one address keep their order on their way. */
	enum { ROUTE_FORWARD = 1 };
	if (!core->forward || core->closing)
		return false;
	uint16_t leader = cluster_leader(core->options->leaders, shard);
	if (leader == 0 || leader == core->options->self.node)
		return false;
	call->route = ROUTE_FORWARD;
	forward_call(core->forward, call, shard);
	return true;
}

bool cluster_core_others(const struct cluster_core *core, uint32_t shard)
{
	if (!core->map)
		return core->options && core->options->peers && core->options->peers->count > 0;
	const struct cluster_shard *wanted = &core->map->shards[shard];
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].voter &&
		    cluster_replica_node(wanted->replicas[i].replica) != core->options->self.node)
			return true;
	return false;
}

void cluster_core_leads(struct cluster_core *core, uint32_t shard, uint64_t term)
{
	if (core->forward)
		forward_leads(core->forward, shard, term);
}

void cluster_core_follows(struct cluster_core *core, uint32_t shard)
{
	cluster_shards_forget_wish(core, shard);
	if (core->forward)
		forward_follows(core->forward, shard);
}

void cluster_core_tell(struct cluster_core *core, uint16_t node, struct slice bytes)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	if (!core->options)
		return;
	int lost = cluster_send(core, node, 0, PEER_ENTRIES, CLUSTER_KIND_DIRECTORY, &iov, 1);
	/* It is told again. */
	(void)lost;
}
