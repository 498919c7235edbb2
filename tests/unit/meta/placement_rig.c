#include "tests/unit/meta/placement_rig.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

void cluster_begin(struct cluster *cluster, uint32_t nodes_max, uint32_t shards, uint32_t factor)
{
	*cluster = (struct cluster){.moves_max = 8, .rebalance = true};
	cluster->map = cluster_map_new(nodes_max, shards);
	cluster->nodes = mem_zalloc(nodes_max, sizeof(*cluster->nodes));
	cluster->shards = mem_zalloc(shards + 1, sizeof(*cluster->shards));
	cluster->groups = mem_zalloc(shards + 1, sizeof(*cluster->groups));
	FACT(cluster->map && cluster->nodes && cluster->shards && cluster->groups);
	cluster->map->node_count = 0;
	cluster->map->replication_factor = factor;
	cluster_join(cluster, "");
	for (uint32_t i = 0; i <= shards; i++) {
		struct cluster_replica replica = {.replica = 1, .voter = true};
		cluster_shard_set(&cluster->map->shards[i],
		    &(struct cluster_shard){
		        .generation = 1, .replicas_made = 1, .count = 1, .replicas = &replica});
		cluster->shards[i] =
		    (struct placement_shard){.leader = 1, .settled = true, .load = 1};
		cluster->groups[i] = (struct rig_group){.count = 1, .voters = {1}};
	}
}

void cluster_begin_even(
    struct cluster *cluster, uint32_t nodes_max, uint32_t shards, uint32_t factor, uint32_t nodes)
{
	cluster_begin(cluster, nodes_max, shards, factor);
	cluster_join_many(cluster, nodes - 1);
	cluster_run(cluster);
}

void cluster_end(struct cluster *cluster)
{
	cluster_map_release(cluster->map);
	mem_free(cluster->nodes);
	mem_free(cluster->shards);
	mem_free(cluster->groups);
}

void cluster_join(struct cluster *cluster, const char *zone)
{
	struct cluster_map *map = cluster->map;
	struct cluster_shard *directory = &map->shards[0];
	cluster->nodes[map->node_count].alive = true;
	struct cluster_node *node = &map->nodes[map->node_count++];
	*node =
	    (struct cluster_node){.node = (uint16_t)map->node_count, .state = CLUSTER_NODE_MEMBER};
	cluster_set_zone(cluster, node->node, zone);
	if (map->node_count > 1 && directory->count < CLUSTER_REPLICAS_MAX) {
		directory->replicas[directory->count++] = (struct cluster_replica){
		    .replica = cluster_replica_number(node->node, directory->replicas_made++),
		    .voter = cluster_voters(directory) < CLUSTER_DIRECTORY_VOTERS};
		directory->generation++;
	}
}

void cluster_join_many(struct cluster *cluster, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		cluster_join(cluster, "");
}

void cluster_set_zone(struct cluster *cluster, uint16_t node, const char *zone)
{
	struct cluster_node *named = &cluster->map->nodes[node - 1];
	snprintf(named->zone, sizeof(named->zone), "%s", zone);
}

void cluster_drain(struct cluster *cluster, uint16_t node)
{
	cluster->map->nodes[node - 1].state = CLUSTER_NODE_DRAINING;
}

static const struct cluster_replica *on(const struct cluster_shard *shard, uint16_t node)
{
	for (uint32_t i = 0; i < shard->count; i++)
		if (cluster_replica_node(shard->replicas[i].replica) == node)
			return &shard->replicas[i];
	return NULL;
}

static bool votes(const struct cluster_shard *shard, uint16_t node)
{
	const struct cluster_replica *replica = on(shard, node);
	return replica && replica->voter;
}

static bool alive(const struct cluster *cluster, uint16_t node)
{
	return node != 0 && cluster->nodes[node - 1].alive;
}

static uint32_t voters_alive(const struct cluster *cluster, const struct cluster_shard *shard)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		count += shard->replicas[i].voter &&
		         alive(cluster, cluster_replica_node(shard->replicas[i].replica));
	return count;
}

uint32_t cluster_voters(const struct cluster_shard *shard)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < shard->count; i++)
		count += shard->replicas[i].voter;
	return count;
}

static void elect(struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	uint16_t *leader = &cluster->shards[shard].leader;
	if (alive(cluster, *leader) && votes(wanted, *leader))
		return;
	*leader = 0;
	if (voters_alive(cluster, wanted) <= cluster_voters(wanted) / 2)
		return;
	for (uint32_t i = 0; i < wanted->count && *leader == 0; i++) {
		uint16_t node = cluster_replica_node(wanted->replicas[i].replica);
		if (wanted->replicas[i].voter && alive(cluster, node))
			*leader = node;
	}
}

void cluster_kill(struct cluster *cluster, uint16_t node, uint64_t dead_ms)
{
	cluster->nodes[node - 1] =
	    (struct placement_node){.alive = dead_ms == 0, .dead_ms = dead_ms};
	for (uint32_t shard = 0; shard <= cluster->map->shard_count; shard++)
		if (cluster->shards[shard].settled || cluster->shards[shard].leader == node)
			elect(cluster, shard);
}

/* ---- Plans ---- */

/* What is left of its change, if anything, may never come. */
static bool may_not_settle(const struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	const struct placement_shard *said = &cluster->shards[shard];
	if (said->told && said->coming == 0 && said->leaving_count == 0 &&
	    voters_alive(cluster, wanted) < cluster_voters(wanted))
		return true;
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint16_t node = cluster_replica_node(wanted->replicas[i].replica);
		if (!alive(cluster, node) &&
		    (cluster->nodes[node - 1].dead_ms >= RIG_COME_MS_MAX ||
		        cluster->map->nodes[node - 1].state == CLUSTER_NODE_REMOVED))
			return true;
	}
	return false;
}

static bool is_leaving(const struct cluster *cluster, uint32_t shard, uint16_t node)
{
	const struct placement_shard *said = &cluster->shards[shard];
	for (uint32_t i = 0; said->told && i < said->leaving_count; i++)
		if (said->leaving[i] == node)
			return true;
	return false;
}

static void check_change(const struct cluster *cluster, const struct placement_change *change)
{
	const struct cluster_shard *shard = &cluster->map->shards[change->shard];
	uint32_t voters = 0, kept = 0;
	FACT(change->generation == shard->generation);
	FACT(change->count <= CLUSTER_REPLICAS_MAX);
	for (uint32_t i = 0; i < change->count; i++) {
		uint16_t node = change->wanted[i].node;
		const struct cluster_replica *before = on(shard, node);
		FACT(before || (alive(cluster, node) && !cluster->nodes[node - 1].full &&
		                   !cluster->nodes[node - 1].silent &&
		                   cluster->map->nodes[node - 1].state == CLUSTER_NODE_MEMBER));
		/* Another one could come there only when the one that leaves has left. */
		FACT(before || !is_leaving(cluster, change->shard, node));
		for (uint32_t k = 0; k < i; k++)
			FACT(change->wanted[k].node != node);
		voters += change->wanted[i].voter;
		kept += before != NULL;
	}
	FACT(voters > 0);
	if (change->shard == 0) {
		FACT(kept == shard->count);
		FACT(change->count == shard->count);
		FACT(voters <= CLUSTER_DIRECTORY_VOTERS);
	} else {
		FACT(voters == change->count);
	}
	FACT(alive(cluster, cluster->shards[change->shard].leader));
	FACT(cluster->shards[change->shard].settled || may_not_settle(cluster, change->shard));
}

void cluster_plan(struct cluster *cluster)
{
	struct placement_input input = {.map = cluster->map,
	    .nodes = cluster->nodes,
	    .shards = cluster->shards,
	    .dead_ms_max = RIG_DEAD_MS_MAX,
	    .come_ms_max = RIG_COME_MS_MAX,
	    .moves_max = cluster->moves_max,
	    .rebalance = cluster->rebalance,
	    .load_moves_max = cluster->load_moves_max,
	    .load_replicas = cluster->load_replicas};
	struct placement_plan *plan = &cluster->plan;
	if (cluster->book)
		load_book_ask(cluster->book, cluster->now_ns, cluster->shards, &input);
	FACT((placement_plan(&input, plan)) == 0);
	if (cluster->book)
		load_book_note(cluster->book, cluster->now_ns, plan);
	FACT(plan->load_changes <= plan->change_count);
	FACT(plan->load_transfers <= plan->transfer_count);
	FACT(plan->load_transfers <= (cluster->map->node_count + 1) * input.load_moves_max);
	FACT(plan->load_changes <= 2 && (plan->load_changes == 0 || input.load_replicas));
	uint32_t moving = plan->moving;
	for (uint32_t i = 0; i < plan->change_count; i++) {
		check_change(cluster, &plan->changes[i]);
		moving += cluster->shards[plan->changes[i].shard].settled;
		for (uint32_t k = 0; k < i; k++)
			FACT(plan->changes[k].shard != plan->changes[i].shard);
	}
	/* Those that died on the way may be more. */
	FACT(moving <= cluster->moves_max || moving == plan->moving);
	for (uint32_t i = 0; i < plan->transfer_count; i++) {
		const struct placement_transfer *transfer = &plan->transfers[i];
		FACT(cluster->shards[transfer->shard].settled ||
		     may_not_settle(cluster, transfer->shard));
		FACT(cluster->shards[transfer->shard].leader != transfer->to);
		FACT(votes(&cluster->map->shards[transfer->shard], transfer->to));
		FACT(alive(cluster, transfer->to));
		for (uint32_t k = 0; k < plan->change_count; k++)
			FACT(plan->changes[k].shard != transfer->shard);
	}
}

static void apply(struct cluster *cluster, const struct placement_change *change)
{
	struct cluster_shard *shard = &cluster->map->shards[change->shard];
	struct cluster_shard_record record;
	struct cluster_shard *next = cluster_shard_begin(&record);
	next->generation = shard->generation + 1;
	next->replicas_made = shard->replicas_made;
	for (uint32_t i = 0; i < change->count; i++) {
		const struct meta_wanted *wanted = &change->wanted[i];
		const struct cluster_replica *before = on(shard, wanted->node);
		next->replicas[next->count++] = (struct cluster_replica){
		    .replica = before ? before->replica
		                      : cluster_replica_number(wanted->node, next->replicas_made++),
		    .voter = wanted->voter};
		cluster->added += !before;
	}
	cluster_shard_set(shard, next);
	cluster->shards[change->shard].settled = false;
	cluster->shards[change->shard].told = false;
	cluster->changes++;
}

void cluster_apply(struct cluster *cluster)
{
	for (uint32_t i = 0; i < cluster->plan.change_count; i++)
		apply(cluster, &cluster->plan.changes[i]);
	for (uint32_t i = 0; i < cluster->plan.transfer_count; i++) {
		const struct placement_transfer *transfer = &cluster->plan.transfers[i];
		cluster->shards[transfer->shard].leader = transfer->to;
		if (cluster->book)
			load_book_led(cluster->book, transfer->shard, cluster->now_ns);
	}
	cluster->transfers += cluster->plan.transfer_count;
	cluster->load_changes += cluster->plan.load_changes;
	cluster->load_transfers += cluster->plan.load_transfers;
}

static bool in_group(const struct rig_group *group, uint64_t replica)
{
	for (uint32_t i = 0; i < group->count; i++)
		if (group->voters[i] == replica)
			return true;
	return false;
}

/* Whoever is wanted there votes, and nobody else. */
static void arrive(struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	struct rig_group *group = &cluster->groups[shard];
	group->count = 0;
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].voter)
			group->voters[group->count++] = wanted->replicas[i].replica;
	cluster->shards[shard].settled = true;
	cluster->shards[shard].told = false;
}

static void tell(struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	const struct rig_group *group = &cluster->groups[shard];
	struct placement_shard *said = &cluster->shards[shard];
	said->told = true;
	said->coming = 0;
	said->leaving_count = 0;
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].voter && !in_group(group, wanted->replicas[i].replica))
			said->coming |= UINT64_C(1) << i;
	for (uint32_t i = 0; i < group->count; i++) {
		uint16_t node = cluster_replica_node(group->voters[i]);
		const struct cluster_replica *there = on(wanted, node);
		if (there && there->replica == group->voters[i])
			continue;
		FACT(said->leaving_count < GROUP_REPLICAS_MAX);
		said->leaving[said->leaving_count++] = node;
	}
}

/* Of those that are not wanted only as many stay as others are missing. */
static void go(const struct cluster_shard *wanted, struct rig_group *group)
{
	for (uint32_t i = 0; i < group->count && group->count > cluster_voters(wanted); i++) {
		uint64_t replica = group->voters[i];
		const struct cluster_replica *there = on(wanted, cluster_replica_node(replica));
		if (!there || there->replica != replica)
			group->voters[i--] = group->voters[--group->count];
	}
}

static void advance(struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	struct rig_group *group = &cluster->groups[shard];
	bool all = true;
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t replica = wanted->replicas[i].replica;
		const struct placement_node *node =
		    &cluster->nodes[cluster_replica_node(replica) - 1];
		if (!wanted->replicas[i].voter || in_group(group, replica))
			continue;
		if (node->alive && !node->full && !node->silent)
			group->voters[group->count++] = replica;
		else
			all = false;
	}
	go(wanted, group);
	if (all)
		arrive(cluster, shard);
	else
		tell(cluster, shard);
}

void cluster_advance(struct cluster *cluster)
{
	for (uint32_t shard = 0; shard <= cluster->map->shard_count; shard++)
		if (!cluster->shards[shard].settled &&
		    alive(cluster, cluster->shards[shard].leader))
			advance(cluster, shard);
}

void cluster_settle(struct cluster *cluster)
{
	for (uint32_t shard = 0; shard <= cluster->map->shard_count; shard++) {
		const struct cluster_shard *wanted = &cluster->map->shards[shard];
		if (voters_alive(cluster, wanted) <= cluster_voters(wanted) / 2)
			continue;
		elect(cluster, shard);
		arrive(cluster, shard);
	}
}

void cluster_run(struct cluster *cluster)
{
	cluster->changes = cluster->added = cluster->transfers = 0;
	cluster->load_changes = cluster->load_transfers = 0;
	for (int round = 0; round < 3000; round++) {
		cluster_plan(cluster);
		if (cluster->plan.change_count + cluster->plan.transfer_count == 0)
			return;
		cluster_apply(cluster);
		cluster_settle(cluster);
	}
	ck_abort_msg("plans do not come to an end: shard %u",
	    cluster->plan.change_count ? cluster->plan.changes[0].shard
	                               : cluster->plan.transfers[0].shard);
}

/* ---- What it is like ---- */

uint32_t cluster_replicas(const struct cluster *cluster, uint16_t node)
{
	uint32_t count = 0;
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		count += votes(&cluster->map->shards[shard], node);
	return count;
}

uint32_t cluster_leads(const struct cluster *cluster, uint16_t node)
{
	uint32_t count = 0;
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		count += cluster->shards[shard].leader == node;
	return count;
}

static bool same_zone(const struct cluster *cluster, uint16_t a, uint16_t b)
{
	const char *zone = cluster->map->nodes[a - 1].zone;
	return a == b || (zone[0] && strcmp(zone, cluster->map->nodes[b - 1].zone) == 0);
}

uint32_t cluster_crowd(const struct cluster *cluster, uint32_t shard)
{
	const struct cluster_shard *wanted = &cluster->map->shards[shard];
	uint32_t most = 0;
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint32_t count = 0;
		for (uint32_t k = 0; k < wanted->count; k++)
			count +=
			    wanted->replicas[i].voter && wanted->replicas[k].voter &&
			    same_zone(cluster, cluster_replica_node(wanted->replicas[i].replica),
			        cluster_replica_node(wanted->replicas[k].replica));
		most = count > most ? count : most;
	}
	return most;
}

void cluster_assert_even(const struct cluster *cluster)
{
	uint32_t replicas_min = UINT32_MAX, replicas_max = 0, leads_min = UINT32_MAX, leads_max = 0;
	for (uint32_t i = 0; i < cluster->map->node_count; i++) {
		uint16_t node = cluster->map->nodes[i].node;
		if (!alive(cluster, node) ||
		    cluster->map->nodes[node - 1].state != CLUSTER_NODE_MEMBER)
			continue;
		uint32_t replicas = cluster_replicas(cluster, node);
		uint32_t leads = cluster_leads(cluster, node);
		replicas_min = replicas < replicas_min ? replicas : replicas_min;
		replicas_max = replicas > replicas_max ? replicas : replicas_max;
		leads_min = leads < leads_min ? leads : leads_min;
		leads_max = leads > leads_max ? leads : leads_max;
	}
	FACT(replicas_max <= replicas_min + 1);
	FACT(leads_max <= leads_min + 1);
}

void cluster_assert_voters(const struct cluster *cluster, uint32_t voters)
{
	for (uint32_t shard = 1; shard <= cluster->map->shard_count; shard++)
		FACT(cluster_voters(&cluster->map->shards[shard]) == voters);
}
