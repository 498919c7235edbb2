/* A core's part in its cluster: how it begins, what a turn does, how it ends. */
#include "server/cluster.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_parts.h"

/* ---- Before it is known which node this is ---- */

/* A message for the replica of another node. */
static void send_message(void *arg, uint32_t shard, const struct raft_message *message)
{
	struct cluster_core *core = arg;
	if (core->carrier)
		carrier_send(core->carrier, shard, message);
}

static void rows_init(struct cluster_rows *rows, enum cluster_kind kind)
{
	rows->kind = kind;
	buffer_init(&rows->bytes, CLUSTER_REPORT_BYTES_MAX);
}

int cluster_core_new(struct io *io, uint32_t number, const struct cluster_services *services,
    struct group_store *const *stores, uint64_t seed, struct cluster_core **ret_core)
{
	struct cluster_core *core = mem_zalloc(1, sizeof(*core));
	if (!core)
		return ERR_NOMEM;
	core->io = io;
	core->number = number;
	core->services = *services;
	core->stores = stores;
	core->group_carrier = (struct group_carrier){.send = send_message, .arg = core};
	list_init(&core->links);
	rows_init(&core->report, CLUSTER_KIND_REPORT);
	rows_init(&core->stranded, CLUSTER_KIND_STRANDED);
	rows_init(&core->loads, CLUSTER_KIND_LOADS);
	int error = cluster_links_snapshots(core, seed);
	if (error) {
		mem_free(core);
		return error;
	}
	*ret_core = core;
	return 0;
}

void cluster_core_free(struct cluster_core *core)
{
	if (!core)
		return;
	ASSERT(!core->peers || cluster_core_stopped(core));
	cluster_control_free(core->control);
	cluster_links_done(core);
	peers_free(core->peers);
	carrier_free(core->carrier);
	snapshots_free(core->snapshots);
	forward_free(core->forward);
	cluster_map_release(core->map);
	buffer_done(&core->report.bytes);
	buffer_done(&core->stranded.bytes);
	buffer_done(&core->loads.bytes);
	mem_free(core->meters);
	mem_free(core);
}

const struct group_carrier *cluster_core_carrier(struct cluster_core *core)
{
	return &core->group_carrier;
}

struct snapshots *cluster_core_snapshots(struct cluster_core *core)
{
	return core->snapshots;
}

/* ---- It is known ---- */

static int make_peers(struct cluster_core *core)
{
	const struct cluster_options *options = core->options;
	struct peers_options wanted = {.self = {.node = options->self.node,
	                                   .incarnation = options->self.incarnation,
	                                   .core = (uint16_t)core->number,
	                                   .cores = options->self.cores,
	                                   .stores = options->self.stores},
	    .secret = options->secret,
	    .secret_previous = options->secret_previous,
	    .entropy = options->entropy,
	    .entropy_arg = options->entropy_arg};
	memcpy(wanted.self.cluster, options->id, sizeof(wanted.self.cluster));
	cluster_links_callbacks(core, &wanted.callbacks);
	return peers_new(core->io, &wanted, &core->peers);
}

int cluster_core_begin(struct cluster_core *core, const struct cluster_options *options)
{
	ASSERT(!core->options);
	core->options = options;
	int error = make_peers(core);
	if (!error)
		error = cluster_links_carry(core);
	if (!error)
		error = cluster_calls_new(core);
	if (!error && core->number == 0)
		error = cluster_control_new(core, &core->control);
	return error;
}

int cluster_core_listen(
    struct cluster_core *core, const struct sockaddr *address, size_t address_bytes)
{
	return peers_listen(core->peers, address, address_bytes);
}

void cluster_core_serve(struct cluster_core *core, struct shards *shards, struct meta *meta)
{
	core->shards = shards;
	core->meta = meta;
	if (!core->map)
		return;
	cluster_shards_begin(core);
	/* It may have looked since the map came, and found nothing that is served. */
	if (core->control)
		cluster_control_look(core->control);
}

void cluster_core_set_map(struct cluster_core *core, struct cluster_map *map)
{
	if (core->closing || (core->map && core->map->version >= map->version))
		return;
	struct cluster_map *before = core->map;
	core->map = cluster_map_hold(map);
	cluster_links_follow(core);
	if (core->shards)
		cluster_shards_begin(core);
	cluster_shards_follow(core, before);
	cluster_map_release(before);
	if (core->control)
		cluster_control_look(core->control);
}

void cluster_core_look_again(struct cluster_core *core)
{
	if (core->map && core->options && !core->closing)
		cluster_links_follow(core);
}

/* ---- The turn ---- */

bool cluster_core_receive_turn(struct cluster_core *core)
{
	return core->forward && forward_turn(core->forward);
}

bool cluster_core_send_turn(struct cluster_core *core)
{
	if (!core->peers)
		return false;
	bool more = forward_turn(core->forward);
	if (core->control)
		cluster_control_turn(core->control);
	carrier_turn(core->carrier);
	peers_turn(core->peers);
	return more;
}

/* ---- The end ---- */

void cluster_core_close(struct cluster_core *core)
{
	if (core->closing)
		return;
	core->closing = true;
	cluster_shards_end(core);
	if (core->control)
		cluster_control_end(core->control);
	if (core->forward)
		forward_close(core->forward);
}

void cluster_core_cut(struct cluster_core *core)
{
	if (core->cut)
		return;
	core->cut = true;
	if (core->peers)
		peers_stop(core->peers);
}

bool cluster_core_stopped(const struct cluster_core *core)
{
	bool rests = !core->control || cluster_control_rests(core->control);
	return !core->peers ||
	       (core->cut && core->resolving == 0 && rests && peers_stopped(core->peers));
}

const struct cluster_map *cluster_core_map(const struct cluster_core *core)
{
	return core->map;
}

bool cluster_core_linked(const struct cluster_core *core, uint16_t node)
{
	LIST_FOR_EACH(list_node, &core->links)
	{
		const struct cluster_link *link =
		    CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->node == node && link->up)
			return true;
	}
	return false;
}

void cluster_core_linked_text(const struct cluster_core *core, char *text, size_t text_bytes)
{
	size_t used = 0;
	snprintf(text, text_bytes, "none");
	LIST_FOR_EACH(list_node, &core->links)
	{
		const struct cluster_link *link =
		    CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->up && link->number == 0 && used < text_bytes)
			used += (size_t)snprintf(
			    text + used, text_bytes - used, "%s%u", used ? "," : "", link->node);
	}
}

bool cluster_core_reached(const struct cluster_core *core, uint16_t node)
{
	return cluster_reach_linked(core->options->reach, node);
}

bool cluster_core_lost(const struct cluster_core *core, uint16_t node)
{
	uint64_t lost_ns = core->options->replace_after_ns;
	return lost_ns != 0 &&
	       cluster_reach_lost(core->options->reach, node, lost_ns, io_now_ns(core->io));
}

struct peers_figures cluster_core_figures(const struct cluster_core *core)
{
	return core->peers ? peers_figures(core->peers) : (struct peers_figures){.links_up = 0};
}

uint16_t cluster_core_peer_port(const struct cluster_core *core)
{
	return core->peers ? peers_port(core->peers) : 0;
}
