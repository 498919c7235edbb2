/* What crosses between cores: tours of gates, requests of the directory, the server's own. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/io/mailbox.h"
#include "base/wire/json_writer.h"
#include "replication/group.h"
#include "replication/snapshot.h"
#include "server/server.h"

void core_send(struct core *from, uint32_t to, struct gate_carried *carried)
{
	ASSERT(to < from->server->map.core_count);
	list_node_init(&carried->link);
	list_push_back(&from->peers[to].waiting, &carried->link);
}

static struct gate_carried *carried_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct gate_carried, link);
}

/* To itself: what is there now; what that sends waits for the next turn. */
static void deliver_own(struct core *core)
{
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, &core->peers[core->number].waiting);
	while ((node = list_pop_front(&now)))
		carried_of(node)->arrived(carried_of(node), core);
}

static void deliver_others(struct core *core, struct core_peer *peer)
{
	struct gate_carried *carried;
	while ((carried = mailbox_receive(peer->from)))
		carried->arrived(carried, core);
}

/* The node leaves the list before it is sent: the receiver may use it at once. */
static void send_waiting(struct core_peer *peer)
{
	struct list_node *node;
	while ((node = list_pop_front(&peer->waiting)))
		if (mailbox_send(peer->to, carried_of(node))) {
			list_push_front(&peer->waiting, node);
			return;
		}
}

void core_exchange(struct core *core)
{
	for (uint32_t i = 0; i < core->server->map.core_count; i++) {
		if (i == core->number)
			deliver_own(core);
		else
			deliver_others(core, &core->peers[i]);
	}
}

bool core_flush(struct core *core)
{
	bool more = false;
	for (uint32_t i = 0; i < core->server->map.core_count; i++) {
		struct core_peer *peer = &core->peers[i];
		if (i != core->number) {
			send_waiting(peer);
			mailbox_flush(peer->to, core->io);
		}
		more |= !list_empty(&peer->waiting);
	}
	return more;
}

/* ---- What the cluster sends ---- */

static void post_arrived(struct gate_carried *carried, void *arg)
{
	const struct core *core = arg;
	struct cluster_post *post = CONTAINER_OF(carried, struct cluster_post, carried);
	post->arrived(post, core->cluster);
}

static void post(void *arg, uint32_t to, struct cluster_post *post)
{
	post->carried = (struct gate_carried){.arrived = post_arrived};
	core_send(arg, to, &post->carried);
}

static void self(void *arg, struct cluster_node *ret_node)
{
	const struct core *core = arg;
	server_node(core->server, ret_node);
}

static int keep(void *arg, const struct data_peers *peers)
{
	const struct core *core = arg;
	return data_peers_write(core->server->fs, peers);
}

static int keep_recovered(void *arg, const struct data_recovered *recovered)
{
	const struct core *core = arg;
	return recovered ? data_recovered_write(core->server->fs, recovered)
	                 : data_recovered_end(core->server->fs);
}

static uint64_t snapshot_rate(void *arg)
{
	const struct core *core = arg;
	return server_snapshot_rate(core->server);
}

const struct cluster_services core_cluster_services = {.post = post,
    .self = self,
    .keep = keep,
    .keep_recovered = keep_recovered,
    .snapshot_rate = snapshot_rate,
    .removed = core_removed,
    .refused = core_refused};

/* ---- What the gate asks ---- */

static void tour_arrived(struct gate_carried *carried, void *arg)
{
	struct core *core = arg;
	struct gate_tour *tour = CONTAINER_OF(carried, struct gate_tour, carried);
	uint32_t cores = core->server->map.core_count;
	if (carried->next == cores) {
		tour->done(tour);
		return;
	}
	ASSERT(carried->next == core->number);
	tour->visit(tour, core->gate);
	carried->next++;
	core_send(core, carried->next < cores ? carried->next : carried->origin, carried);
}

static void service_tour(void *arg, struct gate_tour *tour)
{
	struct core *core = arg;
	tour->carried =
	    (struct gate_carried){.arrived = tour_arrived, .origin = core->number, .next = 0};
	core_send(core, 0, &tour->carried);
}

static void directory_returned(struct gate_carried *carried, void *core)
{
	(void)core;
	struct gate_directory *directory = CONTAINER_OF(carried, struct gate_directory, carried);
	directory->done(directory);
}

static void directory_answered(struct meta_request *request)
{
	struct gate_directory *directory = CONTAINER_OF(request, struct gate_directory, request);
	struct core *core = directory->core;
	directory->carried.arrived = directory_returned;
	core_send(core, directory->carried.origin, &directory->carried);
}

static void directory_arrived(struct gate_carried *carried, void *arg)
{
	struct core *core = arg;
	struct gate_directory *directory = CONTAINER_OF(carried, struct gate_directory, carried);
	ASSERT(core->number == 0);
	directory->core = core;
	directory->request.done = directory_answered;
	cluster_core_directory(core->cluster, &directory->request);
}

static void service_directory(void *arg, struct gate_directory *directory)
{
	struct core *core = arg;
	directory->carried =
	    (struct gate_carried){.arrived = directory_arrived, .origin = core->number};
	core_send(core, 0, &directory->carried);
}

static void member(struct json_writer *writer, const char *key, uint64_t value)
{
	json_write_key(writer, slice_from_text(key));
	json_write_integer(writer, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void service_stores(void *arg, struct json_writer *writer)
{
	struct core *core = arg;
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < core->server->map.store_count; i++) {
		if (!core->stores[i])
			continue;
		struct engine *engine = group_store_engine(core->stores[i]);
		bool writable = engine_measure(engine);
		struct engine_figures figures = engine_figures(engine);
		json_write_object_begin(writer);
		member(writer, "checkpoints", figures.checkpoints);
		json_write_key(writer, slice_from_text("compactions_stopped"));
		json_write_boolean(writer, figures.compactions_stopped);
		member(writer, "dirty_bytes", figures.table.dirty_bytes);
		member(writer, "free_bytes", figures.free_bytes);
		member(writer, "log_bytes", figures.log.live_bytes);
		member(writer, "log_frames", figures.log.frames);
		member(writer, "log_syncs", figures.log.syncs);
		member(writer, "shards_closed", figures.shards_closed);
		member(writer, "store", i);
		member(writer, "waiting_ms", figures.log.waiting_ns / NS_PER_MS);
		json_write_key(writer, slice_from_text("writable"));
		json_write_boolean(writer, writable);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void service_persistence(void *arg, struct gate_persistence *sum)
{
	struct core *core = arg;
	struct snapshots_figures snapshots =
	    snapshots_figures(cluster_core_snapshots(core->cluster));
	sum->snapshots_sent += snapshots.sent;
	sum->snapshots_bytes_sent += snapshots.bytes_sent;
	sum->snapshots_installed += snapshots.installed;
	for (uint32_t i = 0; i < core->server->map.store_count; i++) {
		if (!core->stores[i])
			continue;
		uint64_t entries, bytes;
		group_store_read_back(core->stores[i], &entries, &bytes);
		sum->read_back_entries += entries;
		sum->read_back_bytes += bytes;
		group_store_unapplied(core->stores[i], &bytes, &entries);
		sum->unapplied_bytes += bytes;
		sum->unapplied_refused += entries;
		struct engine *engine = group_store_engine(core->stores[i]);
		sum->writable += engine_measure(engine);
		struct engine_figures figures = engine_figures(engine);
		if (sum->stores++ == 0 || figures.free_bytes < sum->free_bytes)
			sum->free_bytes = figures.free_bytes;
		sum->compactions_stopped += figures.compactions_stopped;
		sum->checkpoints += figures.checkpoints;
		sum->checkpoint_entries += figures.checkpoint_entries;
		sum->checkpoint_bytes += figures.checkpoint_bytes;
		sum->checkpoint_last_ms =
		    larger(sum->checkpoint_last_ms, figures.checkpoint_last_ms);
		sum->dirty_bytes += figures.table.dirty_bytes + figures.table.frozen_bytes;
		sum->cache_bytes += figures.table.clean_bytes;
		sum->log_bytes += figures.log.live_bytes;
		sum->log_frames += figures.log.frames;
		sum->log_syncs += figures.log.syncs;
		sum->log_waiting_ms =
		    larger(sum->log_waiting_ms, figures.log.waiting_ns / NS_PER_MS);
	}
}

static uint32_t service_checkpoint(void *arg)
{
	struct core *core = arg;
	uint32_t asked = 0;
	for (uint32_t i = 0; i < core->server->map.store_count; i++)
		if (core->stores[i]) {
			engine_checkpoint(group_store_engine(core->stores[i]));
			asked++;
		}
	return asked;
}

static uint32_t service_pending(void *arg)
{
	const struct core *core = arg;
	return meta_pending(core->server->meta);
}

static bool service_ready(void *arg)
{
	struct core *core = arg;
	return atomic_load_explicit(&core->server->ready, memory_order_acquire) &&
	       shards_ready(core->shards);
}

static int service_config_get(
    void *arg, struct slice name, struct json_writer *writer, char *why, size_t why_bytes)
{
	const struct core *core = arg;
	return server_config_get(core->server, name, writer, why, why_bytes);
}

static int service_config_set(void *arg, struct slice name, struct slice value,
    struct json_writer *writer, char *why, size_t why_bytes)
{
	const struct core *core = arg;
	return server_config_set(core->server, name, value, writer, why, why_bytes);
}

static void service_limits(void *arg, struct gate_limits *ret_limits)
{
	const struct core *core = arg;
	server_gate_limits(core->server, ret_limits);
}

static const struct cluster_map *service_map(void *arg)
{
	const struct core *core = arg;
	return cluster_core_map(core->cluster);
}

static enum gate_link service_link(void *arg, uint16_t node)
{
	const struct core *core = arg;
	if (cluster_core_reached(core->cluster, node))
		return GATE_LINK_UP;
	return cluster_core_lost(core->cluster, node) ? GATE_LINK_LOST : GATE_LINK_DOWN;
}

static const char *service_refused(void *arg, uint16_t node)
{
	const struct core *core = arg;
	return cluster_core_refused(core->cluster, node);
}

static void service_links(
    void *arg, void (*add)(void *to, const char *name, uint64_t value), void *to)
{
	const struct core *core = arg;
	struct peers_figures figures = cluster_core_figures(core->cluster);
	add(to, "links_connected", figures.links_up - figures.links_down);
	add(to, "link_dials", figures.dials);
	add(to, "link_dials_failed", figures.dials_failed);
	add(to, "links_made", figures.links_up);
	add(to, "links_ended", figures.links_down);
	add(to, "links_ended_replaced", figures.replaced);
	add(to, "links_ended_silent", figures.silent);
	add(to, "links_ended_damaged", figures.damaged);
	add(to, "links_ended_forged", figures.forged);
	add(to, "links_ended_malformed", figures.malformed);
	add(to, "links_refused_by_us", figures.refused_by_us);
	add(to, "links_refused_by_them", figures.refused_by_them);
#define X(name, number, word, text) add(to, "links_refused_" word, figures.refused[number]);
	PEER_REFUSAL_LIST(X)
#undef X
	add(to, "links_refused_unknown", figures.refused[0]);
}

const struct gate_services core_services = {.tour = service_tour,
    .directory = service_directory,
    .stores = service_stores,
    .persistence = service_persistence,
    .checkpoint = service_checkpoint,
    .ready = service_ready,
    .pending = service_pending,
    .config_get = service_config_get,
    .config_set = service_config_set,
    .map = service_map,
    .link = service_link,
    .refused = service_refused,
    .links = service_links,
    .limits = service_limits};
