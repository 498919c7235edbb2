/* CLUSTER, as cluster-mode clients ask it, and what a connection says of itself for them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/slot.h"
#include "server/gate/gate_parts.h"
#include "server/gate/topology.h"

/* As long as Redis's, and as little like another's: the same for as long as the node has its data,
 * whatever its address is. */
void gate_node_id(
    const char *cluster, uint16_t node, uint64_t incarnation, char id[GATE_NODE_CHARACTERS + 1])
{
	char text[96];
	snprintf(text, sizeof(text), "%.33s %" PRIu16 " %" PRIu64, cluster, node, incarnation);
	struct hash128 hash = hash128_bytes(slice_from_text(text), 0);
	uint64_t more = hash_bytes(slice_from_text(text), 1);
	snprintf(id, GATE_NODE_CHARACTERS + 1, "%016" PRIx64 "%016" PRIx64 "%08" PRIx32, hash.high,
	    hash.low, (uint32_t)more);
}

/* Answers where it cannot be. */
static bool read_topology(struct session *session, struct topology *topology)
{
	if (topology_read(session->gate, topology) == 0)
		return true;
	reply_status(session, STATUS_RESOURCE_EXHAUSTED, slice_from_text("out of memory"),
	    slice_of(NULL, 0));
	return false;
}

/* ---- CLUSTER SLOTS ---- */

static void write_slots_node(
    struct resp_writer *writer, const struct topology *topology, uint16_t number)
{
	struct topology_node node;
	if (!topology_find(topology, number, &node))
		return;
	resp_write_array(writer, 4);
	resp_write_bulk_text(writer, node.host);
	resp_write_integer(writer, node.cluster_port);
	resp_write_bulk_text(writer, node.id);
	resp_write_array(writer, 0);
}

static size_t count_reached(const struct topology *topology, const struct topology_range *range)
{
	size_t count = 0;
	for (uint32_t i = 0; i < range->replica_count; i++)
		count += topology_is_reached(topology, range->replicas[i]);
	return count;
}

/* Replicas that are not reached are left out, as Redis does with those that failed. */
void run_cluster_slots(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct topology topology;
	struct resp_writer writer;
	if (!read_topology(session, &topology))
		return;
	resp_write_array(reply_begin(session, &writer), topology.range_count);
	for (uint32_t i = 0; i < topology.range_count; i++) {
		const struct topology_range *range = &topology.ranges[i];
		resp_write_array(&writer, 3 + count_reached(&topology, range));
		resp_write_integer(&writer, range->first_slot);
		resp_write_integer(&writer, range->last_slot);
		write_slots_node(&writer, &topology, range->master);
		for (uint32_t j = 0; j < range->replica_count; j++)
			if (topology_is_reached(&topology, range->replicas[j]))
				write_slots_node(&writer, &topology, range->replicas[j]);
	}
	reply_end(session, &writer);
	topology_done(&topology);
}

/* ---- CLUSTER SHARDS ---- */

static void write_shards_node(struct resp_writer *writer, const struct topology *topology,
    uint16_t number, const char *role, const char *health)
{
	struct topology_node node;
	if (!topology_find(topology, number, &node))
		return;
	resp_write_map(writer, 7);
	resp_write_bulk_text(writer, "id");
	resp_write_bulk_text(writer, node.id);
	resp_write_bulk_text(writer, "port");
	resp_write_integer(writer, node.cluster_port);
	resp_write_bulk_text(writer, "ip");
	resp_write_bulk_text(writer, node.host);
	resp_write_bulk_text(writer, "endpoint");
	resp_write_bulk_text(writer, node.host);
	resp_write_bulk_text(writer, "role");
	resp_write_bulk_text(writer, role);
	resp_write_bulk_text(writer, "replication-offset");
	resp_write_integer(writer, 0);
	resp_write_bulk_text(writer, "health");
	resp_write_bulk_text(writer, health);
}

static const char *health_of(
    const struct topology *topology, const struct topology_range *range, uint16_t number)
{
	if (!topology_is_reached(topology, number))
		return "failed";
	return range->service == TOPOLOGY_SERVED ? "online" : "loading";
}

void run_cluster_shards(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct topology topology;
	struct resp_writer writer;
	if (!read_topology(session, &topology))
		return;
	resp_write_array(reply_begin(session, &writer), topology.range_count);
	for (uint32_t i = 0; i < topology.range_count; i++) {
		const struct topology_range *range = &topology.ranges[i];
		resp_write_map(&writer, 2);
		resp_write_bulk_text(&writer, "slots");
		resp_write_array(&writer, 2);
		resp_write_integer(&writer, range->first_slot);
		resp_write_integer(&writer, range->last_slot);
		resp_write_bulk_text(&writer, "nodes");
		resp_write_array(&writer, 1 + (size_t)range->replica_count);
		write_shards_node(&writer, &topology, range->master, "master",
		    health_of(&topology, range, range->master));
		for (uint32_t j = 0; j < range->replica_count; j++)
			write_shards_node(&writer, &topology, range->replicas[j], "replica",
			    health_of(&topology, range, range->replicas[j]));
	}
	reply_end(session, &writer);
	topology_done(&topology);
}

/* ---- CLUSTER NODES ---- */

/* As Redis has them: fail? where this node does not reach it, fail where the cluster takes it for
 * lost. Every node can lead, so that none is another's replica. */
static const char *flags_of(const struct topology *topology, const struct topology_node *node)
{
	if (node->self)
		return "myself,master";
	if (topology_is_lost(topology, node->number))
		return "master,fail";
	return topology_is_reached(topology, node->number) ? "master" : "master,fail?";
}

static int append_node(
    struct buffer *text, const struct topology *topology, const struct topology_node *node)
{
	uint64_t epoch = topology->map ? topology->map->version : 1;
	int error = buffer_append_format(text, "%s %s:%u@%u %s - 0 0 %" PRIu64 " %s", node->id,
	    node->host, node->cluster_port, node->peer_port, flags_of(topology, node), epoch,
	    topology_is_reached(topology, node->number) ? "connected" : "disconnected");
	for (uint32_t i = 0; i < topology->range_count && !error; i++) {
		const struct topology_range *range = &topology->ranges[i];
		if (range->master != node->number)
			continue;
		if (range->first_slot == range->last_slot)
			error = buffer_append_format(text, " %u", range->first_slot);
		else
			error = buffer_append_format(
			    text, " %u-%u", range->first_slot, range->last_slot);
	}
	return error ? error : buffer_append_text(text, "\n");
}

static void reply_verbatim(struct session *session, struct slice text)
{
	struct resp_writer writer;
	resp_write_verbatim(reply_begin(session, &writer), "txt", text);
	reply_end(session, &writer);
}

void run_cluster_nodes(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct topology topology;
	struct buffer text;
	int error = 0;
	if (!read_topology(session, &topology))
		return;
	buffer_init(&text, 64 * MIB);
	for (uint32_t i = 0; i < topology_node_count(&topology) && !error; i++) {
		struct topology_node node;
		topology_node_at(&topology, i, &node);
		error = append_node(&text, &topology, &node);
	}
	if (error)
		reply_status(session, status_from_error(error), slice_from_text(error_text(error)),
		    slice_of(NULL, 0));
	else
		reply_verbatim(session, buffer_view(&text));
	buffer_done(&text);
	topology_done(&topology);
}

/* ---- The others ---- */

void run_cluster_info(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct gate *gate = session->gate;
	struct topology topology;
	char text[768];
	if (!read_topology(session, &topology))
		return;
	uint64_t epoch = topology.map ? topology.map->version : 1;
	/* As Redis says it with cluster-require-full-coverage no, since that is how calls are
	 * served: a part that has lost its quorum does not keep clients from the rest. Some of them
	 * (ioredis) connect to no node that says "fail". */
	bool ok =
	    topology.map ? topology.served_slots > 0 : gate->services.ready(gate->services.arg);
	snprintf(text, sizeof(text),
	    "cluster_enabled:1\r\ncluster_state:%s\r\ncluster_slots_assigned:%d\r\n"
	    "cluster_slots_ok:%u\r\ncluster_slots_pfail:%u\r\ncluster_slots_fail:%u\r\n"
	    "cluster_known_nodes:%u\r\ncluster_size:%u\r\ncluster_current_epoch:%" PRIu64 "\r\n"
	    "cluster_my_epoch:%" PRIu64 "\r\ncluster_stats_messages_sent:0\r\n"
	    "cluster_stats_messages_received:0\r\nkalix_cluster_id:%s\r\nkalix_shards:%u\r\n",
	    ok ? "ok" : "fail", SLOT_COUNT, topology.served_slots, topology.electing_slots,
	    topology.stopped_slots, topology_node_count(&topology), topology.led_nodes, epoch,
	    epoch, gate->config->cluster, gate->config->shards);
	reply_verbatim(session, slice_from_text(text));
	topology_done(&topology);
}

void run_cluster_myid(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct topology topology;
	struct topology_node self;
	struct resp_writer writer;
	if (!read_topology(session, &topology))
		return;
	bool known = topology_find(&topology, session->gate->config->number, &self);
	resp_write_bulk_text(
	    reply_begin(session, &writer), known ? self.id : session->gate->config->node);
	reply_end(session, &writer);
	topology_done(&topology);
}

void run_cluster_keyslot(struct session *session, const struct slice *args, uint32_t count)
{
	(void)count;
	struct resp_writer writer;
	resp_write_integer(reply_begin(session, &writer), slot_of(args[2]));
	reply_end(session, &writer);
}

static void write_link(
    struct resp_writer *writer, const struct topology_node *node, const char *direction)
{
	resp_write_map(writer, 6);
	resp_write_bulk_text(writer, "direction");
	resp_write_bulk_text(writer, direction);
	resp_write_bulk_text(writer, "node");
	resp_write_bulk_text(writer, node->id);
	resp_write_bulk_text(writer, "create-time");
	resp_write_integer(writer, 0);
	resp_write_bulk_text(writer, "events");
	resp_write_bulk_text(writer, "rw");
	resp_write_bulk_text(writer, "send-buffer-allocated");
	resp_write_integer(writer, 0);
	resp_write_bulk_text(writer, "send-buffer-used");
	resp_write_integer(writer, 0);
}

/* One in each direction to every node that there is a link with. */
void run_cluster_links(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct topology topology;
	struct topology_node node;
	struct resp_writer writer;
	size_t links = 0;
	if (!read_topology(session, &topology))
		return;
	uint32_t nodes = topology_node_count(&topology);
	for (uint32_t i = 0; i < nodes; i++) {
		topology_node_at(&topology, i, &node);
		links += topology_is_linked(&topology, node.number) ? 2 : 0;
	}
	resp_write_array(reply_begin(session, &writer), links);
	for (uint32_t i = 0; i < nodes; i++) {
		topology_node_at(&topology, i, &node);
		if (!topology_is_linked(&topology, node.number))
			continue;
		write_link(&writer, &node, "to");
		write_link(&writer, &node, "from");
	}
	reply_end(session, &writer);
	topology_done(&topology);
}

void run_readonly(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	session->readonly = true;
	reply_ok(session);
}

void run_readwrite(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	session->readonly = false;
	reply_ok(session);
}

void run_asking(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	reply_ok(session);
}
