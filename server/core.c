#include "server/core.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/mailbox.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/group.h"
#include "scripting/host.h"
#include "server/server.h"
#include "storage/data_dir.h"

static const uint64_t DIRECTORY_WAIT_NS = 5 * NS_PER_S;

/* ---- The turn ---- */

static bool stores_turn(struct core *core)
{
	bool more = false;
	for (uint32_t i = 0; i < core->server->map.store_count; i++)
		if (core->stores[i])
			more |= group_store_turn(core->stores[i]);
	return more;
}

static bool is_directory(const struct core *core)
{
	return core->number == 0;
}

bool core_turn(struct core *core)
{
	struct server *server = core->server;
	bool more = false;
	core_exchange(core);
	more |= gate_turn(core->gate);
	more |= cluster_core_receive_turn(core->cluster);
	more |= shards_turn(core->shards);
	if (is_directory(core) && !server->meta_closed)
		more |= meta_turn(server->meta);
	more |= stores_turn(core);
	more |= cluster_core_send_turn(core->cluster);
	more |= gate_turn(core->gate);
	more |= core_stop_turn(core);
	more |= core_flush(core);
	/* The disk and the callers go on while a handler that takes long has its slice. */
	if (shards_has_long(core->shards))
		io_submit(core->io);
	more |= shards_run_long(core->shards);
	return more;
}

static void serve(struct core *core)
{
	bool more = true;
	atomic_store(&core->serving, true);
	while (core->stage != STAGE_ENDED) {
		io_poll(core->io, more ? 0 : UINT64_MAX);
		io_run(core->io);
		more = core_turn(core);
	}
}

/* ---- Beginning ---- */

static void handler_log(void *arg, int level, struct slice address, struct slice text)
{
	static const enum log_level levels[] = {
	    LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR};
	(void)arg;
	enum log_level known = level >= 0 && level <= LEVEL_ERROR ? levels[level] : LEVEL_INFO;
	LOG_LINE(known, "handler", FIELD_SLICE("address", address), FIELD_SLICE("text", text));
}

static void handler_error(void *arg, const struct shard_error *error)
{
	struct core *core = arg;
	LOG_LINE(LEVEL_ERROR, "handler_failed", FIELD_TEXT("reference", error->reference),
	    FIELD_SLICE("address", error->address), FIELD_SLICE("command", error->name),
	    FIELD_SLICE("bundle", error->bundle), FIELD_SLICE("message", error->message),
	    FIELD_SLICE("traceback", error->traceback));
	if (core->gate)
		gate_error_add(core->gate, error);
}

static void pin(const struct core *core)
{
	cpu_set_t all, one;
	if (!core->server->pin || sched_getaffinity(0, sizeof(all), &all) != 0)
		return;
	uint32_t seen = 0;
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &all) || seen++ != core->number)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		(void)sched_setaffinity(0, sizeof(one), &one);
		return;
	}
}

static int make_cluster(struct core *core)
{
	struct cluster_services services = core_cluster_services;
	services.arg = core;
	return cluster_core_new(core->io, core->number, &services, core->stores,
	    core->server->seed + core->number, &core->cluster);
}

static bool open_ring(struct core *core)
{
	char why[512] = "";
	int error = io_new(&(struct io_options){0}, why, sizeof(why), &core->io);
	if (error)
		server_fail(
		    core->server, "io_uring cannot be used: %s", why[0] ? why : error_text(error));
	return error == 0;
}

static bool make_host(struct core *core)
{
	struct host_options options = {.mode = core->server->dev ? HOST_DEV : HOST_PRODUCTION,
	    .seed = core->server->seed + core->number,
	    .log = handler_log,
	    .log_arg = core};
	int error = host_new(&options, &core->host);
	if (error)
		server_fail(core->server, "Lua: %s", error_text(error));
	else if ((error = make_cluster(core)))
		server_fail(core->server, "links: %s", error_text(error));
	return error == 0;
}

static void say_opened(uint32_t store, const struct engine_report *report, uint64_t began_ns)
{
	LOG_LINE(LEVEL_INFO, "store_opened", FIELD_U64("store", store),
	    FIELD_U64("log_frames", report->log.frames), FIELD_U64("log_bytes", report->log.bytes),
	    FIELD_U64("entries_replayed", report->replayed_entries),
	    FIELD_U64("shards_closed", report->shards_closed),
	    FIELD_BOOL("log_cut", report->log.cut),
	    FIELD_U64("frames_given_up", report->log.cut_frames_seen),
	    FIELD_U64("ms", (clock_monotonic_ns() - began_ns) / NS_PER_MS));
	if (report->log.gaps > 0)
		LOG_LINE(LEVEL_ERROR, "log_damaged", FIELD_U64("store", store),
		    FIELD_U64("gaps", report->log.gaps),
		    FIELD_U64("segment", report->log.gap[0].segment),
		    FIELD_U64("offset", report->log.gap[0].offset));
}

/* A core replays its stores one after the other: together they keep to the limit. */
static uint64_t replay_limit(const struct server *server)
{
	const struct shard_map *map = &server->map;
	uint64_t each = (map->store_count + map->core_count - 1) / map->core_count;
	uint64_t bytes = server->config->replay_limit / each;
	return bytes > REPLAY_BYTES_MIN ? bytes : REPLAY_BYTES_MIN;
}

/* What stands in `why` names what is below the data directory. */
static void say_not_opened(struct server *server, const char *path, int error, const char *why)
{
	const char *data = server->config->data;
	bool is_damage = error == ERR_CORRUPT || error == ERR_IO;
	if (is_damage && why[0] && server->member.node != 0 && core_has_peers(server))
		server_fail(server,
		    "%s: %s. The other nodes have what is here: say there kalix-admin node remove "
		    "%" PRIu16 " --force, and start this one in an empty directory, with --join",
		    data, why, server->member.node);
	else if (why[0])
		server_fail(server, "%s: %s", data, why);
	else
		server_fail(
		    server, "%s/%s: %s; %s", data, path, error_text(error), error_advice(error));
}

static bool open_store(struct core *core, uint32_t store)
{
	struct server *server = core->server;
	const struct config *config = server->config;
	char path[DATA_DIR_PATH_BYTES], why[512] = "";
	data_dir_store_path(server->dir, store, path, sizeof(path));
	struct group_store_options options = {.engine = server->engine_sizes,
	    .node = server->member.node,
	    .carrier = cluster_core_carrier(core->cluster),
	    .leases = strcmp(config->reads, "lease") == 0,
	    .message_bytes_max = server->message_bytes_max,
	    .snapshots = cluster_core_snapshots(core->cluster),
	    .read_bytes_max = GROUP_READ_BYTES_MAX,
	    .kept_bytes_max = server->group_kept_bytes,
	    .group_unapplied_bytes_max = server->group_unapplied_bytes,
	    .unapplied_bytes_max = server->store_unapplied_bytes};
	options.engine.fs = server->fs;
	options.engine.io = core->io;
	options.engine.root = config->data;
	options.engine.dir = path;
	options.engine.store_id = data_dir_store_id(server->dir, store);
	options.engine.hash_seed = server->seed;
	options.engine.wants_reopening = &core->wants_reopening;
	if (options.engine.replay_bytes_max == 0)
		options.engine.replay_bytes_max = replay_limit(server);
	options.engine.clean_bytes_max = config->cache / server->map.store_count;
	options.engine.block_cache_bytes = config->block_cache / server->map.store_count;
	options.engine.replicated = core_has_peers(server);
	struct engine_report *report = mem_zalloc(1, sizeof(*report));
	uint64_t began_ns = clock_monotonic_ns();
	int error = report
	                ? group_store_open(&options, why, sizeof(why), &core->stores[store], report)
	                : ERR_NOMEM;
	if (error)
		say_not_opened(server, path, error, why);
	else
		say_opened(store, report, began_ns);
	mem_free(report);
	return error == 0;
}

static bool open_stores(struct core *core)
{
	const struct shard_map *map = &core->server->map;
	for (uint32_t store = core->number; store < map->store_count; store += map->core_count)
		if (!open_store(core, store))
			return false;
	return true;
}

static void directory_opened(void *arg)
{
	struct core *core = arg;
	struct server *server = core->server;
	const struct meta_cluster *cluster = meta_cluster(server->meta);
	server->map.shard_count = cluster->shards;
	server->gate_config.shards = cluster->shards;
	memcpy(server->gate_config.cluster, cluster->id, sizeof(server->gate_config.cluster));
}

static void directory_ready(void *arg)
{
	server_open_ports(arg);
}

/* Its first entry finds no room in the log, and no segment can be made: it might wait for ever, and
 * nobody would know what for. A segment that is only being made has its time. */
static bool directory_starves(const struct core *core, uint64_t began_ns)
{
	struct server *server = core->server;
	struct engine_figures figures = engine_figures(group_store_engine(core->stores[0]));
	if (!figures.log.no_space || clock_monotonic_ns() - began_ns < DIRECTORY_WAIT_NS)
		return false;
	server_fail(server,
	    "%s: the disk is full: %" PRIu64 " KiB are free, and the log has no room left for what "
	    "a start writes; nothing is lost: free space, and start again",
	    server->config->data, figures.free_bytes / KIB);
	return true;
}

/* Made when it is known which node of which cluster this is. */
static bool make_directory(struct core *core)
{
	struct server *server = core->server;
	int error = apps_new(server, &server->apps);
	struct meta_options options = {.io = core->io,
	    .store = core->stores[0],
	    .host = core->host,
	    .cores = {.load = apps_load,
	        .activate = apps_activate,
	        .count = apps_count,
	        .arg = server->apps},
	    .shards_wanted = server->config->shards,
	    .id_wanted = {server->cluster_id[0], server->cluster_id[1]},
	    .joining = !server->founds,
	    .replica = server->member.directory_replica,
	    .opened = directory_opened,
	    .ready = directory_ready,
	    .map_changed = core_map_changed,
	    .leader = core_directory_leader,
	    .tell = core_directory_tell,
	    .arg = core};
	server_node(server, &options.self);
	if (!error)
		error = meta_new(&options, &server->meta);
	if (error) {
		server_fail(server, "the directory: %s", error_text(error));
		return false;
	}
	/* What is to come from other nodes comes over links. */
	if (!server->founds && !core_begin_links(core))
		return false;
	meta_start(server->meta);
	server->directory_began_ns = clock_monotonic_ns();
	return true;
}

/* Until the cluster's figures are known. */
static enum core_step wait_for_directory(struct core *core)
{
	struct server *server = core->server;
	bool was_known = meta_cluster(server->meta) != NULL, more = false;
	if (was_known) {
		enum core_step step = core_stay(core);
		if (step == CORE_DONE && server->founds && !core_begin_links(core))
			step = CORE_FAILED;
		if (step == CORE_DONE || step == CORE_FAILED)
			return step;
		more = step == CORE_WORKS;
	}
	if (meta_error(server->meta)) {
		core_mend_later(core);
		server_fail(server, "%s: %s", server->config->data,
		    meta_error_text(meta_error(server->meta)));
		return CORE_FAILED;
	}
	if (directory_starves(core, server->directory_began_ns))
		return CORE_FAILED;
	/* What comes from others would find no place in it. */
	if (core->wants_reopening) {
		server_begin_again(server);
		server_fail(server, "a store is opened anew at the next start");
		return CORE_FAILED;
	}
	/* Whoever was let in may wait for ever: where others do not reach it. Whoever has the
	 * directory, or makes it, has it at once, and ends as always. */
	bool has = server->founds || meta_began_with_some(server->meta);
	if (!was_known && !has && server_is_told_to_end(server)) {
		server_fail(server,
		    "stopped before the directory (shard 0) had come from other nodes: they have "
		    "to reach this one where it says that it is (advertise, peer_port)");
		return CORE_FAILED;
	}
	if (!was_known && !has)
		core_await(core);
	more |= cluster_core_receive_turn(core->cluster);
	/* What it wants of the other cores comes when they run. */
	if (!was_known)
		more |= meta_turn(server->meta);
	more |= stores_turn(core);
	more |= cluster_core_send_turn(core->cluster);
	more |= !was_known && meta_cluster(server->meta);
	return more ? CORE_WORKS : CORE_WAITS;
}

enum core_step core_directory_step(struct core *core)
{
	enum core_step step = CORE_DONE;
	if (core->server->meta) {
		step = wait_for_directory(core);
		if (step == CORE_DONE || step == CORE_FAILED)
			core_await_end(core);
		return step;
	}
	step = core_find_membership(core);
	if (step != CORE_DONE)
		return step;
	return make_directory(core) ? CORE_WORKS : CORE_FAILED;
}

/* Core 0 alone. */
static void open_directory(struct core *core)
{
	enum core_step step;
	while ((step = core_directory_step(core)) == CORE_WORKS || step == CORE_WAITS) {
		io_poll(core->io, step == CORE_WORKS ? 0 : UINT64_MAX);
		io_run(core->io);
	}
}

bool core_make_shards(struct core *core)
{
	struct server *server = core->server;
	if (core->number > 0 && !core_begin_links(core))
		return false;
	struct shards_options options = {.io = core->io,
	    .host = core->host,
	    .map = server->map,
	    .core = core->number,
	    .replica = core_replica,
	    .elsewhere = core_elsewhere,
	    .others = core_others,
	    .leads = core_leads,
	    .follows = core_follows,
	    .unled = core_unled,
	    .stores = core->stores,
	    .seed = server->seed ^ (core->number + 1),
	    .fold_cache_bytes_max = server->config->fold_cache / server->map.core_count + 1,
	    .dev = server->dev,
	    .error = handler_error,
	    .arg = core};
	int error = shards_new(&options, &core->shards);
	if (error) {
		server_fail(server, "shards: %s", error_text(error));
		return false;
	}
	struct gate_services services = core_services;
	services.arg = core;
	struct gate_options gate = {.io = core->io,
	    .shards = core->shards,
	    .core = core->number,
	    .config = &server->gate_config,
	    .services = &services};
	error = gate_new(&gate, &core->gate);
	if (error)
		server_fail(server, "the gate: %s", error_text(error));
	return error == 0;
}

static bool make_mailboxes(struct core *core)
{
	enum { MESSAGES_MAX = 4096 };
	struct server *server = core->server;
	/* Each core makes those that lead to it. */
	for (uint32_t i = 0; i < server->map.core_count; i++) {
		struct core *from = &server->cores[i];
		if (i == core->number)
			continue;
		int error = mailbox_new(MESSAGES_MAX, core->io, &core->peers[i].from);
		if (!error)
			error = mailbox_new(MESSAGES_MAX, core->io, &core->shards_from[i]);
		if (error) {
			server_fail(server, "mailboxes: %s", error_text(error));
			return false;
		}
		from->peers[core->number].to = core->peers[i].from;
		from->shards_to[core->number] = core->shards_from[i];
	}
	return true;
}

bool core_connect(struct core *core)
{
	struct server *server = core->server;
	struct shards **peers = mem_zalloc(server->map.core_count, sizeof(struct shards *));
	if (!peers) {
		server_fail(server, "out of memory");
		return false;
	}
	for (uint32_t i = 0; i < server->map.core_count; i++)
		if (i != core->number)
			peers[i] = server->cores[i].shards;
	shards_connect(core->shards, peers, core->shards_to, core->shards_from);
	mem_free(peers);
	return true;
}

void core_begin_to_serve(struct core *core)
{
	struct server *server = core->server;
	shards_start(core->shards);
	cluster_core_serve(core->cluster, core->shards, is_directory(core) ? server->meta : NULL);
}

bool core_open(struct core *core)
{
	return make_host(core) && open_stores(core) && make_mailboxes(core);
}

/* ---- The whole life ---- */

/* True: serving may begin. */
static bool begin(struct core *core)
{
	struct server *server = core->server;
	if (open_ring(core))
		(void)core_open(core);
	if (!server_meet(server))
		return false;
	if (is_directory(core))
		open_directory(core);
	if (!server_meet(server))
		return false;
	(void)core_make_shards(core);
	if (!server_meet(server))
		return false;
	(void)core_connect(core);
	if (!server_meet(server))
		return false;
	core_begin_to_serve(core);
	return true;
}

/* A start that failed leaves the stores as a crash would, which is always safe. */
void core_end(struct core *core)
{
	struct server *server = core->server;
	gate_free(core->gate);
	shards_free(core->shards);
	if (is_directory(core)) {
		meta_free(server->meta);
		apps_free(server->apps);
	}
	for (uint32_t i = 0; i < server->map.store_count; i++)
		group_store_free(core->stores[i]);
	cluster_core_free(core->cluster);
	host_free(core->host);
}

void *core_main(void *arg)
{
	struct core *core = arg;
	struct server *server = core->server;
	char name[16];
	snprintf(name, sizeof(name), "core-%" PRIu32, core->number);
	(void)pthread_setname_np(pthread_self(), name);
	pin(core);
	if (begin(core)) {
		serve(core);
		server_meet(server);
		/* What did not come back still points into this. */
		if (core->drained)
			core_end(core);
		/* Nobody wakes a ring that is gone. */
		server_meet(server);
		if (core->drained)
			io_free(core->io);
		for (uint32_t i = 0; i < server->map.core_count; i++) {
			mailbox_free(core->peers[i].from);
			mailbox_free(core->shards_from[i]);
		}
	}
	atomic_fetch_add(&server->ended, 1);
	pthread_kill(server->main, SIGUSR1);
	return NULL;
}
