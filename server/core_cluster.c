/* The process as a node of a cluster: which one it is, and how what the directory says reaches its
 * cores. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/random.h"
#include "replication/group.h"
#include "server/cluster_reach.h"
#include "server/server.h"
#include "storage/data_dir.h"
#include "storage/data_mending.h"

/* ---- Which node this is ---- */

/* Nothing of a directory is here: no cluster was ever made, or joined. */
static bool is_new(const struct core *core)
{
	const struct engine *engine = group_store_engine(core->stores[0]);
	struct log_group_view view = engine_group(engine, 0);
	return !engine_shard_closed(engine, 0) && view.last_index == 0 && view.hard.term == 0 &&
	       engine_applied(engine, 0).index == 0;
}

static void say_member_error(struct server *server, int error)
{
	if (error == ERR_CORRUPT)
		server_fail(server,
		    "%s: the file 'member' is damaged: restore it from a backup of this data "
		    "directory, or remove this node from its cluster and let it join anew",
		    server->config->data);
	else
		server_fail(server, "%s: the file 'member': %s; %s", server->config->data,
		    error_text(error), error_advice(error));
}

/* Nobody needs it while the directory can be read. */
static void read_peers(struct server *server)
{
	int error = data_peers_read(server->fs, &server->peers);
	if (error && error != ERR_NOT_FOUND)
		LOG_LINE(LEVEL_WARNING, "peers_not_read", FIELD_ERROR("error", error));
}

/* It is a record of what the log has done: the directory does without it. */
static void read_recovered(struct server *server)
{
	server->recovered = (struct data_recovered){.replica = 0};
	int error = data_recovered_read(server->fs, &server->recovered);
	if (error && error != ERR_NOT_FOUND)
		LOG_LINE(LEVEL_WARNING, "recovery_not_read", FIELD_ERROR("error", error));
}

static int read_mending(struct server *server)
{
	int error = data_mending_read(server->fs, &server->mend.damaged);
	if (error == ERR_NOT_FOUND)
		return 0;
	if (error)
		server_fail(server,
		    "%s: the file 'mending' says which replica of the directory is given up here, "
		    "and cannot be read: %s; remove this node from its cluster and let it join "
		    "anew, in an empty directory",
		    server->config->data, error_text(error));
	return error;
}

int server_read_member(struct server *server)
{
	read_peers(server);
	read_recovered(server);
	int error = read_mending(server);
	if (error)
		return error;
	error = data_member_read(server->fs, &server->member);
	server->founds = error == ERR_NOT_FOUND;
	if (server->founds) {
		server->member = (struct data_member){.node = 1, .directory_replica = 1};
		error = 0;
	}
	if (error)
		say_member_error(server, error);
	return error;
}

/* Before anything else is written here: whoever is to join never founds. */
static bool begin_to_join(struct server *server)
{
	server->founds = false;
	server->member = (struct data_member){.node = 0};
	int error = data_member_write(server->fs, &server->member);
	if (error)
		say_member_error(server, error);
	return error == 0;
}

enum core_step core_find_membership(struct core *core)
{
	struct server *server = core->server;
	const struct config *config = server->config;
	if (server->founds && config->join[0] && is_new(core) && !begin_to_join(server))
		return CORE_FAILED;
	if (core_needs_mending(core)) {
		enum core_step step = core_mend(core);
		if (step != CORE_DONE)
			return step;
	}
	if (server->founds)
		return CORE_DONE;
	if (server->member.node == 0 && !config->join[0]) {
		server_fail(server,
		    "%s: this data directory was to join a cluster, and has not yet: start it with "
		    "--join HOST:PORT, or take an empty directory",
		    config->data);
		return CORE_FAILED;
	}
	enum core_step step =
	    server->member.node == 0 || server->join ? core_join(core) : CORE_DONE;
	if (step == CORE_DONE)
		server->map.shard_count = server->member.shards;
	return step;
}

/* The first cluster of a founder has its id from the directory. */
static void take_id(struct server *server)
{
	const char *text = meta_cluster(server->meta)->id;
	for (size_t i = 0; i < sizeof(server->member.cluster); i++) {
		unsigned byte = 0;
		(void)sscanf(text + 2 * i, "%2x", &byte);
		server->member.cluster[i] = (uint8_t)byte;
	}
}

/* ---- What a node is to others ---- */

void server_node(const struct server *server, struct cluster_node *ret_node)
{
	const struct gate_config *gate = &server->gate_config;
	struct cluster_node node = {.node = server->member.node,
	    .incarnation = data_dir_identity(server->dir).id[0] | 1,
	    .cores = (uint16_t)server->map.core_count,
	    .stores = (uint16_t)server->map.store_count,
	    .port = gate->port,
	    .peer_port = gate->peer_port,
	    .cluster_port = gate->cluster_port};
	snprintf(node.host, sizeof(node.host), "%s", gate->host);
	snprintf(
	    node.zone, sizeof(node.zone), "%.*s", CLUSTER_ZONE_BYTES - 1, server->config->zone);
	*ret_node = node;
}

/* ---- Links ---- */

static int fill_options(struct server *server)
{
	struct cluster_options *options = &server->cluster_options;
	server_node(server, &options->self);
	memcpy(options->id, server->member.cluster, sizeof(options->id));
	options->shard_count = server->map.shard_count;
	options->secret = slice_of(server->secret, server->secret_bytes);
	options->secret_previous = slice_of(server->secret_previous, server->secret_previous_bytes);
	options->seed = server->seed;
	options->peers = &server->peers;
	options->recovered = &server->recovered;
	options->found = &server->found;
	options->replace_after_ns = server->config->replace_after * NS_PER_MS;
	options->entropy = server->entropy;
	options->entropy_arg = server->entropy_arg;
	server->leaders = cluster_leaders_new(server->map.shard_count);
	options->leaders = server->leaders;
	options->reach = cluster_reach_new();
	return server->leaders && options->reach ? 0 : ERR_NOMEM;
}

void server_cluster_text(
    const uint8_t id[DATA_MEMBER_CLUSTER_BYTES], char text[SERVER_CLUSTER_TEXT_BYTES])
{
	for (size_t i = 0; i < DATA_MEMBER_CLUSTER_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* What clients are told of it. */
static void fill_gate(struct server *server)
{
	struct gate_config *gate = &server->gate_config;
	_Static_assert(sizeof(gate->cluster) >= SERVER_CLUSTER_TEXT_BYTES, "it has room");
	server_cluster_text(server->member.cluster, gate->cluster);
	gate->shards = server->map.shard_count;
	gate->number = server->member.node;
	gate->leaders = server->leaders;
	gate_node_id(
	    gate->cluster, gate->number, server->cluster_options.self.incarnation, gate->node);
}

/* Where nobody said which port, and another server has that one, this node serves alone. */
static bool may_go_without_port(const struct server *server)
{
	const struct config_origin *origin = &server->origins->of[CONFIG_KEY_peer_port];
	const struct cluster_map *map = server->cluster_map;
	return origin->from == CONFIG_FROM_DEFAULT && map && map->node_count == 1;
}

static int open_peer_port(struct core *core)
{
	struct server *server = core->server;
	struct listen_address address;
	char why[SERVER_WHY_BYTES];
	int error = server_resolve_bind(server->config, &address, why, sizeof(why));
	if (error)
		return error;
	/* Core 0 is the first, and may get a free one; the others take the same. */
	listen_address_set_port(&address, server->gate_config.peer_port);
	error = cluster_core_listen(
	    core->cluster, (const struct sockaddr *)&address.address, address.bytes);
	if (!error)
		server->gate_config.peer_port = cluster_core_peer_port(core->cluster);
	return error;
}

bool core_begin_links(struct core *core)
{
	struct server *server = core->server;
	int error = 0;
	if (core->number == 0) {
		if (server->founds)
			take_id(server);
		error = fill_options(server);
		if (!error)
			fill_gate(server);
	}
	if (!error)
		error = cluster_core_begin(core->cluster, &server->cluster_options);
	if (error) {
		server_fail(server, "links to other nodes: %s", error_text(error));
		return false;
	}
	error = open_peer_port(core);
	if (error == ERR_ADDRESS_IN_USE && may_go_without_port(server)) {
		LOG_LINE(LEVEL_WARNING, "peer_port_in_use",
		    FIELD_U64("port", server->gate_config.peer_port),
		    FIELD_TEXT("advice", "no node can join this one: choose another --peer-port"));
		error = 0;
	}
	if (error)
		server_fail(server, "peer_port: port %u cannot be had: %s; see --peer-port",
		    server->gate_config.peer_port, error_text(error));
	else if (server->cluster_map)
		cluster_core_set_map(core->cluster, server->cluster_map);
	return error == 0;
}

/* ---- What the directory says ---- */

struct map_post {
	struct cluster_post post;
	struct cluster_map *map;
};

static void map_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct map_post *news = CONTAINER_OF(post, struct map_post, post);
	cluster_core_set_map(core, news->map);
	cluster_map_release(news->map);
	mem_free(news);
}

static void tell_map(struct core *core, uint32_t to, struct cluster_map *map)
{
	struct map_post *news = mem_zalloc(1, sizeof(*news));
	/* The next map tells it, too; there is one at least every time that a node restarts. */
	if (!news) {
		LOG_LINE(LEVEL_ERROR, "map_not_told", FIELD_U64("core", to));
		return;
	}
	news->map = cluster_map_hold(map);
	news->post.arrived = map_arrived;
	core_cluster_services.post(core, to, &news->post);
}

/* Until all cores run, they find the newest where it is kept. */
void core_map_changed(void *arg, struct cluster_map *map)
{
	struct core *core = arg;
	struct server *server = core->server;
	cluster_map_release(server->cluster_map);
	server->cluster_map = map;
	if (!atomic_load(&core->serving)) {
		if (server->leaders)
			cluster_core_set_map(core->cluster, map);
		return;
	}
	for (uint32_t i = 0; i < server->map.core_count; i++)
		tell_map(core, i, map);
}

uint16_t core_directory_leader(void *arg)
{
	const struct core *core = arg;
	const struct server *server = core->server;
	return server->leaders ? cluster_leader(server->leaders, 0) : 0;
}

void core_directory_tell(void *arg, uint16_t node, struct slice bytes)
{
	struct core *core = arg;
	cluster_core_tell(core->cluster, node, bytes);
}

uint64_t core_replica(void *arg, uint32_t shard)
{
	const struct core *core = arg;
	return cluster_core_replica(core->cluster, shard);
}

/* At once: with others that were given up it could make a majority that was, and go on as the
 * cluster that there is not any more. What is on disk is as after a crash. */
void core_removed(void *arg, uint16_t by)
{
	const struct core *core = arg;
	const struct server *server = core->server;
	LOG_LINE(LEVEL_ERROR, "removed_from_cluster", FIELD_U64("node", server->member.node),
	    FIELD_U64("by", by));
	fprintf(stderr,
	    "kalixd: %s: this is node %u, which was removed from its cluster (node %u says so) and "
	    "is "
	    "let in no more. Nothing of the cluster relies on this directory. To make this machine "
	    "a "
	    "node again, move the directory away, and start with an empty one and --join\n",
	    server->config->data, server->member.node, by);
	_exit(EXIT_FAILURE);
}

/* In order, leaders first: it has done nothing wrong to what it has, and others may need that until
 * the next of them leads. */
void core_refused(void *arg, struct slice why)
{
	const struct core *core = arg;
	struct server *server = core->server;
	if (server_is_told_to_end(server))
		return;
	LOG_LINE(LEVEL_ERROR, "refused_by_cluster", FIELD_U64("node", server->member.node),
	    FIELD_SLICE("why", why));
	server_fail(server,
	    "%s: the cluster does not take what this one, node %u, says of itself: %.*s. It ends, "
	    "and has what it had: start it again with what is its own",
	    server->config->data, server->member.node, (int)why.bytes, (const char *)why.data);
	server_stop(server);
}

/* ---- What shards say ---- */

bool core_elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	const struct core *core = arg;
	return cluster_core_elsewhere(core->cluster, call, shard);
}

bool core_others(void *arg, uint32_t shard)
{
	const struct core *core = arg;
	return cluster_core_others(core->cluster, shard);
}

void core_unled(void *arg, uint32_t shard, char *text, size_t text_bytes)
{
	const struct core *core = arg;
	if (core->server->leaders)
		cluster_core_unled(core->cluster, shard, text, text_bytes);
}

struct leads_post {
	struct cluster_post post;
	struct core *core; /* 0 */
	uint32_t shard;
};

static void leads_arrived(struct cluster_post *post, struct cluster_core *cluster)
{
	struct leads_post *news = CONTAINER_OF(post, struct leads_post, post);
	const struct server *server = news->core->server;
	(void)cluster;
	if (!server->meta_closed)
		meta_shard_leads(server->meta, news->shard);
	mem_free(news);
}

void core_leads(void *arg, uint32_t shard, uint64_t term)
{
	struct core *core = arg;
	struct leads_post *news = mem_zalloc(1, sizeof(*news));
	cluster_core_leads(core->cluster, shard, term);
	/* The directory asks for what is behind from time to time, too. */
	if (!news)
		return;
	news->core = &core->server->cores[0];
	news->shard = shard;
	news->post.arrived = leads_arrived;
	core_cluster_services.post(core, 0, &news->post);
}

void core_follows(void *arg, uint32_t shard)
{
	const struct core *core = arg;
	cluster_core_follows(core->cluster, shard);
}
