/* Where this node leads the directory: what it knows of nodes and shards goes to the planner
 * (server/meta/placement.h), and what that wants is done, a little at a time. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/raft/quorum.h"
#include "server/cluster_control.h"
#include "server/meta/placement.h"

/* What the planner is given; made anew each time. */
struct knowledge {
	struct placement_node *nodes;
	struct placement_shard *shards;
	struct placement_plan plan;
};

/* ---- What is known ---- */

static void look_at_node(struct cluster_control *control, const struct cluster_node *node,
    struct placement_node *ret_node)
{
	struct cluster_core *core = control->core;
	uint64_t now_ns = io_now_ns(core->io);
	const struct cluster_link *link = cluster_link_find(core, node->node, 0);
	enum cluster_unfit unfit = cluster_node_unfit(control, node->node);
	*ret_node = (struct placement_node){.alive = true,
	    .full = unfit == CLUSTER_NO_ROOM,
	    .no_bundle = unfit == CLUSTER_NO_BUNDLE};
	ret_node->silent = cluster_disk_is_silent(control, node->node);
	ret_node->waiting_ms = cluster_disk_waiting_ms(control, node->node);
	if (node->node == core->options->self.node || (link && link->up))
		return;
	uint64_t since_ns = link ? link->down_since_ns : control->led_since_ns;
	/* Before it led it was not its business. */
	if (since_ns < control->led_since_ns)
		since_ns = control->led_since_ns;
	*ret_node = (struct placement_node){.dead_ms = (now_ns - since_ns) / NS_PER_MS};
}

void cluster_look_at_nodes(struct cluster_control *control, struct placement_node *nodes)
{
	const struct cluster_map *map = control->core->map;
	for (uint32_t i = 0; i < map->node_count; i++)
		look_at_node(control, &map->nodes[i], &nodes[i]);
}

const struct cluster_seen *cluster_seen_lately(
    const struct cluster_control *control, uint32_t shard)
{
	const struct cluster_seen *seen = &control->seen[shard];
	uint64_t age_ns = io_now_ns(control->core->io) - seen->at_ns;
	return seen->at_ns == 0 || age_ns > CLUSTER_SEEN_MS * NS_PER_MS ? NULL : seen;
}

bool cluster_seen_settled(
    const struct cluster_control *control, uint32_t shard, const struct cluster_seen *seen)
{
	return seen->settled && seen->generation == control->core->map->shards[shard].generation;
}

static bool votes(const struct cluster_seen *seen, uint64_t replica)
{
	for (uint32_t i = 0; i < seen->count; i++)
		if (seen->members[i].replica == replica)
			return seen->members[i].roles & RAFT_VOTER;
	return false;
}

/* What of the members is not as it is wanted. */
static void look_at_members(const struct cluster_map *map, uint32_t number,
    const struct cluster_seen *seen, struct placement_shard *shard)
{
	const struct cluster_shard *wanted = &map->shards[number];
	_Static_assert(CLUSTER_REPLICAS_MAX <= 64, "a bit for each replica");
	shard->told = seen->generation == wanted->generation;
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].voter && !votes(seen, wanted->replicas[i].replica))
			shard->coming |= UINT64_C(1) << i;
	for (uint32_t i = 0; i < seen->count && shard->leaving_count < GROUP_REPLICAS_MAX; i++) {
		const struct cluster_member_row *member = &seen->members[i];
		if (member->roles & RAFT_VOTER && !cluster_map_wants(map, number, member->replica))
			shard->leaving[shard->leaving_count++] =
			    cluster_replica_node(member->replica);
	}
}

static void look_at_shard(
    const struct cluster_control *control, uint32_t shard, struct placement_shard *ret_shard)
{
	const struct cluster_seen *seen = cluster_seen_lately(control, shard);
	*ret_shard = (struct placement_shard){.leader = 0};
	if (!seen)
		return;
	ret_shard->leader = seen->node;
	ret_shard->settled = cluster_seen_settled(control, shard, seen);
	if (!ret_shard->settled)
		look_at_members(control->core->map, shard, seen, ret_shard);
}

static bool gather(struct cluster_control *control, struct knowledge *knowledge)
{
	const struct cluster_map *map = control->core->map;
	knowledge->nodes = mem_zalloc(map->node_count, sizeof(*knowledge->nodes));
	knowledge->shards = mem_zalloc(map->shard_count + (size_t)1, sizeof(*knowledge->shards));
	if (!knowledge->nodes || !knowledge->shards)
		return false;
	cluster_look_at_nodes(control, knowledge->nodes);
	for (uint32_t shard = 0; shard <= map->shard_count; shard++)
		look_at_shard(control, shard, &knowledge->shards[shard]);
	return true;
}

/* ---- What is done ---- */

static void changed(struct meta_request *request)
{
	struct cluster_change *change = CONTAINER_OF(request, struct cluster_change, request);
	change->busy = false;
	/* It is planned anew from what is there then. */
	if (request->status != STATUS_OK)
		LOG_LINE(LEVEL_INFO, "placement_refused", FIELD_U64("group", request->shard),
		    FIELD_SLICE("why", buffer_view(&request->reply)));
	buffer_done(&request->reply);
	buffer_done(&request->details);
}

static void carry_out(struct cluster_control *control, const struct placement_change *wanted)
{
	for (size_t i = 0; i < CLUSTER_CHANGES_MAX; i++) {
		struct cluster_change *change = &control->changes[i];
		if (change->busy && change->request.shard == wanted->shard)
			return;
	}
	for (size_t i = 0; i < CLUSTER_CHANGES_MAX; i++) {
		struct cluster_change *change = &control->changes[i];
		if (change->busy)
			continue;
		memcpy(change->wanted, wanted->wanted, sizeof(change->wanted));
		change->request = (struct meta_request){.verb = META_SHARD_SET,
		    .shard = wanted->shard,
		    .expected_generation = wanted->generation,
		    .wanted = change->wanted,
		    .wanted_count = wanted->count,
		    .done = changed};
		change->busy = true;
		cluster_core_directory(control->core, &change->request);
		return;
	}
}

/* From this core to the one of this node that has links to the shard's cores elsewhere. */
struct lead_post {
	struct cluster_post post;
	uint16_t leader; /* the node that is to hand it over */
	struct cluster_lead lead;
};

static void lead_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct lead_post *wish = CONTAINER_OF(post, struct lead_post, post);
	uint8_t bytes[32];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_lead_write(&out, &wish->lead);
	if (wish->leader == core->options->self.node)
		cluster_shards_wish(core, wish->lead.shard, wish->lead.node);
	else
		cluster_send_for(
		    core, wish->leader, wish->lead.shard, CLUSTER_KIND_LEAD, writer_view(&out));
	mem_free(wish);
}

void cluster_lead(struct cluster_core *core, uint32_t shard, uint16_t leader, uint16_t to)
{
	struct lead_post *wish = mem_zalloc(1, sizeof(*wish));
	/* It is wished for again. */
	if (!wish)
		return;
	wish->leader = leader;
	wish->lead = (struct cluster_lead){.shard = shard, .node = to};
	wish->post.arrived = lead_arrived;
	core->services.post(
	    core->services.arg, cluster_core_of(&core->options->self, shard), &wish->post);
}

/* What moves for loads, which nobody has asked for. */
static void say_loads(const struct cluster_control *control, const struct knowledge *knowledge)
{
	const struct placement_plan *plan = &knowledge->plan;
	for (uint32_t i = plan->transfer_count - plan->load_transfers; i < plan->transfer_count;
	     i++) {
		const struct placement_transfer *transfer = &plan->transfers[i];
		LOG_LINE(LEVEL_INFO, "load_moves_leader", FIELD_U64("group", transfer->shard),
		    FIELD_U64("load", load_book_of(&control->loads, transfer->shard)),
		    FIELD_U64("from", knowledge->shards[transfer->shard].leader),
		    FIELD_U64("to", transfer->to));
	}
	for (uint32_t i = plan->change_count - plan->load_changes; i < plan->change_count; i++)
		LOG_LINE(LEVEL_INFO, "load_moves_replica",
		    FIELD_U64("group", plan->changes[i].shard),
		    FIELD_U64("load", load_book_of(&control->loads, plan->changes[i].shard)));
}

/* A node alone hears no reports, and nothing can move. */
static void plan_alone(struct cluster_control *control)
{
	const struct cluster_core *core = control->core;
	struct placement_plan plan = {.moving = 0};
	for (uint32_t shard = 0; shard <= core->map->shard_count; shard++)
		plan.unled +=
		    cluster_leader(core->options->leaders, shard) != core->options->self.node;
	control->waiting = 0;
	control->resting = 0;
	cluster_jobs_look(control, &plan);
}

void cluster_plan(struct cluster_control *control)
{
	const struct cluster_core *core = control->core;
	struct knowledge *knowledge = NULL;
	if (!cluster_has_others(core)) {
		plan_alone(control);
		return;
	}
	uint64_t now_ns = io_now_ns(core->io);
	load_book_look(&control->loads, now_ns);
	if (now_ns - control->led_since_ns < CLUSTER_BEGIN_NS)
		return;
	control->even_version = 0;
	knowledge = mem_zalloc(1, sizeof(*knowledge));
	if (!knowledge)
		return;
	if (gather(control, knowledge)) {
		struct placement_input input = {.map = core->map,
		    .nodes = knowledge->nodes,
		    .shards = knowledge->shards,
		    .dead_ms_max = core->options->replace_after_ns == 0
		                       ? UINT64_MAX
		                       : core->options->replace_after_ns / NS_PER_MS,
		    .come_ms_max = CLUSTER_COME_MS,
		    .moves_max = CLUSTER_CHANGES_MAX,
		    .rebalance = true};
		struct placement_plan *plan = &knowledge->plan;
		load_book_ask(&control->loads, now_ns, knowledge->shards, &input);
		int error = placement_plan(&input, plan);
		uint32_t left = plan->moving + plan->waiting + plan->unled + plan->change_count;
		if (!error && left + plan->transfer_count == plan->load_transfers)
			control->even_version = core->map->version;
		if (!error) {
			load_book_note(&control->loads, now_ns, plan);
			say_loads(control, knowledge);
			control->waiting = plan->waiting;
			control->resting = plan->resting;
			cluster_jobs_look(control, plan);
		}
		for (uint32_t i = 0; !error && i < plan->change_count; i++)
			carry_out(control, &plan->changes[i]);
		for (uint32_t i = 0; !error && i < plan->transfer_count; i++)
			cluster_lead(control->core, plan->transfers[i].shard,
			    knowledge->shards[plan->transfers[i].shard].leader,
			    plan->transfers[i].to);
	}
	mem_free(knowledge->nodes);
	mem_free(knowledge->shards);
	mem_free(knowledge);
}
