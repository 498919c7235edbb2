/* ADMIN STATUS and CHECKPOINT: each core writes, or does, its part. */
#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"
#include "server/gate/topology.h"
#include "server/meta/cluster_map.h"

enum { STATUS_BYTES_MAX = 1024 * 1024 };

struct status_tour {
	struct reply reply;
	struct gate_tour tour;
	bool checkpoint;
	uint32_t stores;
	struct json_writer writer; /* belongs to the core that is visited */
	struct buffer text;
	int error;
};

static void status_visit(struct gate_tour *carried, struct gate *gate)
{
	struct status_tour *tour = CONTAINER_OF(carried, struct status_tour, tour);
	if (tour->checkpoint) {
		tour->stores += gate->services.checkpoint(gate->services.arg);
		return;
	}
	struct json_writer *writer = &tour->writer;
	struct shards_figures shards = shards_figures(gate->shards);
	json_write_object_begin(writer);
	json_member_u64(writer, "closed", shards.closed);
	json_member_u64(writer, "connections", gate->figures.connections);
	json_member_u64(writer, "core", gate->core);
	json_member_u64(writer, "errors", gate->figures.errors);
	json_member_u64(writer, "leading", shards.leading);
	json_member_u64(writer, "requests", gate->figures.requests);
	json_member_u64(writer, "shards", shards.shards);
	json_write_key(writer, slice_from_text("stores"));
	gate->services.stores(gate->services.arg, writer);
	json_write_object_end(writer);
}

/* Nodes that are there and have no link with this process. */
static void write_refused(struct json_writer *writer, const struct gate *gate)
{
	const struct gate_services *services = &gate->services;
	const struct cluster_map *map = services->map ? services->map(services->arg) : NULL;
	bool any = false;
	for (uint32_t i = 0; map && services->refused && i < map->node_count; i++) {
		const struct cluster_node *node = &map->nodes[i];
		const char *why = services->refused(services->arg, node->node);
		if (!why || node->node == gate->config->number ||
		    node->state == CLUSTER_NODE_REMOVED)
			continue;
		if (!any) {
			json_write_key(writer, slice_from_text("refused"));
			json_write_array_begin(writer);
		}
		any = true;
		json_write_object_begin(writer);
		json_member_u64(writer, "node", node->node);
		json_member_text(writer, "reason", slice_from_text(why));
		json_write_object_end(writer);
	}
	if (any)
		json_write_array_end(writer);
}

/* Without memory it is as if there were none: the next one tells. */
static void write_quorumless(struct json_writer *writer, const struct gate *gate)
{
	struct topology topology;
	if (topology_read(gate, &topology))
		return;
	if (topology.stopped_shards > 0)
		json_member_u64(writer, "quorumless", topology.stopped_shards);
	topology_done(&topology);
}

/* What stands behind the cores, in the order of keys. */
static void write_rest(struct json_writer *writer, const struct gate *gate)
{
	const struct gate_config *config = gate->config;
	json_write_array_end(writer);
	json_member_text(writer, "id", slice_from_text(config->node));
	json_member_text(writer, "mode", slice_from_text(config->dev ? "dev" : "production"));
	json_member_u64(writer, "node", config->number);
	json_member_u64(writer, "pending", gate->services.pending(gate->services.arg));
	json_write_key(writer, slice_from_text("ports"));
	json_write_object_begin(writer);
	json_member_u64(writer, "cluster", config->cluster_port);
	json_member_u64(writer, "port", config->port);
	json_write_object_end(writer);
	write_quorumless(writer, gate);
	json_write_key(writer, slice_from_text("ready"));
	json_write_boolean(writer, gate->services.ready(gate->services.arg));
	write_refused(writer, gate);
	json_member_u64(writer, "shards", config->shards);
	json_member_u64(
	    writer, "uptime_ms", (io_now_ns(gate->io) - config->started_ns) / NS_PER_MS);
	json_member_text(writer, "version", slice_from_text(config->version));
	json_write_object_end(writer);
}

static void status_toured(struct gate_tour *carried)
{
	struct status_tour *tour = CONTAINER_OF(carried, struct status_tour, tour);
	struct gate *gate = tour->reply.session->gate;
	if (tour->checkpoint) {
		json_write_object_begin(&tour->writer);
		json_member_u64(&tour->writer, "stores", tour->stores);
		json_write_object_end(&tour->writer);
	} else {
		write_rest(&tour->writer, gate);
	}
	tour->error = json_writer_finish(&tour->writer);
	reply_toured(&tour->reply, sizeof(*tour) + tour->text.capacity);
}

static void status_write(struct reply *reply, struct resp_writer *writer)
{
	struct status_tour *tour = CONTAINER_OF(reply, struct status_tour, reply);
	admin_write_json(reply->session, writer, &tour->text, tour->error);
}

static void status_free(struct reply *reply)
{
	struct status_tour *tour = CONTAINER_OF(reply, struct status_tour, reply);
	buffer_done(&tour->text);
	mem_free(tour);
}

static void start(struct session *session, bool checkpoint)
{
	struct gate *gate = session->gate;
	struct status_tour *tour = mem_zalloc(1, sizeof(*tour));
	if (!tour) {
		admin_no_memory(session);
		return;
	}
	tour->checkpoint = checkpoint;
	buffer_init(&tour->text, STATUS_BYTES_MAX);
	json_writer_init(&tour->writer, &tour->text);
	if (!checkpoint) {
		json_write_object_begin(&tour->writer);
		json_member_text(&tour->writer, "cluster", slice_from_text(gate->config->cluster));
		json_write_key(&tour->writer, slice_from_text("cores"));
		json_write_array_begin(&tour->writer);
	}
	tour->reply =
	    (struct reply){.bytes = sizeof(*tour), .write = status_write, .free = status_free};
	tour->tour = (struct gate_tour){.visit = status_visit, .done = status_toured};
	reply_tour(session, &tour->reply, &tour->tour);
}

void admin_status(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	if (count == 2)
		start(session, false);
	else
		admin_usage(session, "ADMIN STATUS");
}

void admin_checkpoint(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	if (count == 2)
		start(session, true);
	else
		admin_usage(session, "ADMIN CHECKPOINT");
}
