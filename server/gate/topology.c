#include "server/gate/topology.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/slot.h"
#include "server/gate/gate_parts.h"

/* ---- Nodes ---- */

static const struct cluster_map *map_of(const struct gate *gate)
{
	const struct gate_services *services = &gate->services;
	if (!services->map || !gate->config->leaders)
		return NULL;
	return services->map(services->arg);
}

static bool is_shown(const struct cluster_node *node)
{
	return node->state != CLUSTER_NODE_REMOVED;
}

static void show(const struct gate *gate, const struct cluster_map *map,
    const struct cluster_node *node, struct topology_node *ret_node)
{
	*ret_node = (struct topology_node){.number = node->node,
	    .host = node->host,
	    .cluster_port = node->cluster_port,
	    .peer_port = node->peer_port,
	    .self = node->node == gate->config->number};
	gate_node_id(map->id, node->node, node->incarnation, ret_node->id);
	/* Right after a start with other ports the map has the old ones of this node. */
	if (ret_node->self) {
		ret_node->host = gate->config->host;
		ret_node->cluster_port = gate->config->cluster_port;
		ret_node->peer_port = gate->config->peer_port;
	}
}

static void show_self(const struct gate *gate, struct topology_node *ret_node)
{
	const struct gate_config *config = gate->config;
	*ret_node = (struct topology_node){.number = config->number,
	    .host = config->host,
	    .cluster_port = config->cluster_port,
	    .peer_port = config->peer_port,
	    .self = true};
	memcpy(ret_node->id, config->node, sizeof(ret_node->id));
}

uint32_t topology_node_count(const struct topology *topology)
{
	uint32_t count = 0;
	if (!topology->map)
		return 1;
	for (uint32_t i = 0; i < topology->map->node_count; i++)
		count += is_shown(&topology->map->nodes[i]);
	return count;
}

void topology_node_at(
    const struct topology *topology, uint32_t position, struct topology_node *ret_node)
{
	const struct cluster_map *map = topology->map;
	if (!map) {
		show_self(topology->gate, ret_node);
		return;
	}
	for (uint32_t i = 0; i < map->node_count; i++)
		if (is_shown(&map->nodes[i]) && position-- == 0) {
			show(topology->gate, map, &map->nodes[i], ret_node);
			return;
		}
	ASSERT(false);
}

bool topology_find(const struct topology *topology, uint16_t number, struct topology_node *ret_node)
{
	if (!topology->map) {
		show_self(topology->gate, ret_node);
		return true;
	}
	const struct cluster_node *node = cluster_map_node(topology->map, number);
	if (node && is_shown(node)) {
		show(topology->gate, topology->map, node, ret_node);
		return true;
	}
	if (number != topology->gate->config->number)
		return false;
	show_self(topology->gate, ret_node);
	return true;
}

static enum gate_link link_now(const struct gate *gate, uint16_t number)
{
	const struct gate_services *services = &gate->services;
	return services->link ? services->link(services->arg, number) : GATE_LINK_UP;
}

/* As it was when the topology was read; of one that is only a question, as it is. */
static enum gate_link link_with(const struct topology *topology, uint16_t number)
{
	const struct cluster_map *map = topology->map;
	const struct cluster_node *node = map ? cluster_map_node(map, number) : NULL;
	return topology->links && node ? topology->links[node - map->nodes]
	                               : link_now(topology->gate, number);
}

static bool is_self(const struct topology *topology, uint16_t number)
{
	return number == topology->gate->config->number;
}

bool topology_is_lost(const struct topology *topology, uint16_t number)
{
	return !is_self(topology, number) && link_with(topology, number) == GATE_LINK_LOST;
}

bool topology_is_reached(const struct topology *topology, uint16_t number)
{
	return is_self(topology, number) || topology_is_linked(topology, number);
}

bool topology_is_linked(const struct topology *topology, uint16_t number)
{
	return !is_self(topology, number) && link_with(topology, number) == GATE_LINK_UP;
}

/* A leader that the map does not know yet (or any more) is none, nor is one that is not reached:
 * clients that are sent there wait for a node that is gone. */
static uint16_t leader_of(const struct topology *topology, uint32_t shard)
{
	uint16_t leader = cluster_leader(topology->gate->config->leaders, shard);
	const struct cluster_node *node = cluster_map_node(topology->map, leader);
	bool leads = node && is_shown(node) && topology_is_reached(topology, leader);
	return leads ? leader : 0;
}

bool topology_moved(const struct gate *gate, uint16_t slot, struct topology_node *ret_node)
{
	const struct cluster_map *map = map_of(gate);
	if (!map)
		return false;
	const struct shard_map shards = {.shard_count = map->shard_count};
	const struct topology topology = {.gate = gate, .map = map};
	uint16_t leader = leader_of(&topology, shard_of_slot(&shards, slot));
	return leader != 0 && leader != gate->config->number &&
	       topology_find(&topology, leader, ret_node);
}

bool topology_has_replica(const struct gate *gate, uint16_t slot)
{
	const struct cluster_map *map = map_of(gate);
	if (!map)
		return true;
	const struct shard_map shards = {.shard_count = map->shard_count};
	const struct cluster_shard *record = &map->shards[shard_of_slot(&shards, slot)];
	for (uint32_t i = 0; i < record->count && i < CLUSTER_REPLICAS_MAX; i++)
		if (cluster_replica_node(record->replicas[i].replica) == gate->config->number)
			return true;
	return false;
}

/* ---- Ranges ---- */

static bool has(const struct topology_range *range, uint16_t number)
{
	for (uint32_t i = 0; i < range->replica_count; i++)
		if (range->replicas[i] == number)
			return true;
	return false;
}

static void remove_replica(struct topology_range *range, uint16_t number)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < range->replica_count; i++)
		if (range->replicas[i] != number)
			range->replicas[kept++] = range->replicas[i];
	range->replica_count = kept;
}

/* It stands in for a leader that is not known, or not reached: this node before others, since
 * whoever asks reaches it. A replica, if there is one, since one of them leads next. */
static uint16_t stand_in(const struct topology *topology, const struct topology_range *range)
{
	uint16_t self = topology->gate->config->number;
	if (has(range, self))
		return self;
	for (uint32_t i = 0; i < range->replica_count; i++)
		if (topology_is_reached(topology, range->replicas[i]))
			return range->replicas[i];
	return self;
}

/* Those that are wanted: who is a member at this moment is the leader's knowledge. */
static bool has_quorum(const struct topology *topology, const struct cluster_shard *record)
{
	uint32_t voters = 0, reached = 0;
	for (uint32_t i = 0; i < record->count && i < CLUSTER_REPLICAS_MAX; i++) {
		if (!record->replicas[i].voter)
			continue;
		voters++;
		reached += topology_is_reached(
		    topology, cluster_replica_node(record->replicas[i].replica));
	}
	return reached >= voters / 2 + 1;
}

static enum topology_service service_of(
    const struct topology *topology, const struct cluster_shard *record, uint16_t leader)
{
	if (leader != 0)
		return TOPOLOGY_SERVED;
	return has_quorum(topology, record) ? TOPOLOGY_ELECTS : TOPOLOGY_STOPPED;
}

static void read_shard(
    const struct topology *topology, uint32_t shard, struct topology_range *ret_range)
{
	const struct cluster_map *map = topology->map;
	const struct shard_map shards = {.shard_count = map->shard_count};
	const struct cluster_shard *record = &map->shards[shard];
	uint16_t leader = leader_of(topology, shard);
	*ret_range = (struct topology_range){.service = service_of(topology, record, leader)};
	shard_slots(&shards, shard, &ret_range->first_slot, &ret_range->last_slot);
	for (uint32_t i = 0; i < record->count && i < CLUSTER_REPLICAS_MAX; i++) {
		uint16_t number = cluster_replica_node(record->replicas[i].replica);
		const struct cluster_node *node = cluster_map_node(map, number);
		if (record->replicas[i].voter && node && is_shown(node))
			ret_range->replicas[ret_range->replica_count++] = number;
	}
	ret_range->master = leader != 0 ? leader : stand_in(topology, ret_range);
	remove_replica(ret_range, ret_range->master);
}

/* No node has two replicas of a shard, so that as many, all of which are there, are the same. */
static bool continues(const struct topology_range *range, const struct topology_range *next)
{
	if (next->master != range->master || next->service != range->service ||
	    next->replica_count != range->replica_count)
		return false;
	for (uint32_t i = 0; i < next->replica_count; i++)
		if (!has(range, next->replicas[i]))
			return false;
	return true;
}

static void read_ranges(struct topology *topology)
{
	if (!topology->map) {
		topology->ranges[0] = (struct topology_range){
		    .last_slot = SLOT_COUNT - 1, .master = topology->gate->config->number};
		topology->range_count = 1;
		return;
	}
	for (uint32_t shard = 1; shard <= topology->map->shard_count; shard++) {
		struct topology_range next;
		struct topology_range *last =
		    topology->range_count > 0 ? &topology->ranges[topology->range_count - 1] : NULL;
		read_shard(topology, shard, &next);
		topology->stopped_shards += next.service == TOPOLOGY_STOPPED;
		if (last && continues(last, &next))
			last->last_slot = next.last_slot;
		else
			topology->ranges[topology->range_count++] = next;
	}
}

static bool leads_any(const struct topology *topology, uint16_t number)
{
	for (uint32_t i = 0; i < topology->range_count; i++)
		if (topology->ranges[i].service == TOPOLOGY_SERVED &&
		    topology->ranges[i].master == number)
			return true;
	return false;
}

static void count(struct topology *topology)
{
	for (uint32_t i = 0; i < topology->range_count; i++) {
		const struct topology_range *range = &topology->ranges[i];
		uint32_t slots = 1u + range->last_slot - range->first_slot;
		switch (range->service) {
		case TOPOLOGY_SERVED:
			topology->served_slots += slots;
			break;
		case TOPOLOGY_ELECTS:
			topology->electing_slots += slots;
			break;
		case TOPOLOGY_STOPPED:
			topology->stopped_slots += slots;
			break;
		}
	}
	for (uint32_t i = 0; i < topology_node_count(topology); i++) {
		struct topology_node node;
		topology_node_at(topology, i, &node);
		topology->led_nodes += leads_any(topology, node.number);
	}
}

static void read_links(struct topology *topology)
{
	const struct cluster_map *map = topology->map;
	for (uint32_t i = 0; map && i < map->node_count; i++)
		topology->links[i] = link_now(topology->gate, map->nodes[i].node);
}

int topology_read(const struct gate *gate, struct topology *ret_topology)
{
	struct topology topology = {.gate = gate, .map = map_of(gate)};
	const struct cluster_map *map = topology.map;
	topology.ranges = mem_zalloc(map ? map->shard_count : 1, sizeof(topology.ranges[0]));
	topology.links = mem_zalloc(map ? map->node_count : 1, sizeof(topology.links[0]));
	if (!topology.ranges || !topology.links) {
		topology_done(&topology);
		return ERR_NOMEM;
	}
	read_links(&topology);
	read_ranges(&topology);
	count(&topology);
	*ret_topology = topology;
	return 0;
}

void topology_done(struct topology *topology)
{
	mem_free(topology->ranges);
	mem_free(topology->links);
	topology->ranges = NULL;
	topology->links = NULL;
}
