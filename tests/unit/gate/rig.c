#include "tests/unit/gate/rig.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/wire/json_writer.h"

static void carry_tour(void *arg, struct gate_tour *tour)
{
	struct rig *rig = arg;
	list_node_init(&tour->carried.link);
	list_push_back(&rig->tours, &tour->carried.link);
}

static void carry_directory(void *arg, struct gate_directory *directory)
{
	struct rig *rig = arg;
	list_node_init(&directory->carried.link);
	list_push_back(&rig->directories, &directory->carried.link);
}

static void write_stores(void *arg, struct json_writer *writer)
{
	(void)arg;
	json_write_array_begin(writer);
	json_write_array_end(writer);
}

static void add_persistence(void *arg, struct gate_persistence *sum)
{
	(void)arg;
	sum->stores += 2;
	sum->writable += 1;
	sum->checkpoints += 7;
	sum->log_waiting_ms = 2500;
	sum->cache_bytes += 4096;
}

static uint32_t checkpoint(void *arg)
{
	(void)arg;
	return 2;
}

static uint32_t pending(void *arg)
{
	(void)arg;
	return 3;
}

static bool is_ready(void *arg)
{
	return ((struct rig *)arg)->ready;
}

static void handler_error(void *arg, const struct shard_error *error)
{
	struct rig *rig = arg;
	gate_error_add(rig->gate, error);
}

void rig_init(struct rig *rig)
{
	*rig = (struct rig){.ready = true};
	list_init(&rig->tours);
	list_init(&rig->directories);
	rig->config = (struct gate_config){.version = "0.1.0",
	    .dev = true,
	    .node = "0123456789abcdef0123456789abcdef01234567",
	    .cluster = "fedcba9876543210fedcba9876543210",
	    .cores = 1,
	    .shards = 4,
	    .host = "127.0.0.1",
	    .port = 7470,
	    .peer_port = 7471,
	    .cluster_port = 7472,
	    .limits = {.connections_max = 100,
	        .calls_max = 64,
	        .output_pause_bytes = 256 * KIB,
	        .output_bytes_max = 4 * MIB,
	        .memory_bytes_max = 64 * MIB,
	        .idle_ms = 0,
	        .stall_ms = 60000,
	        .slow_ms = 250},
	    .errors_kept = 4};
}

/* As if there were two keys: max_pipeline, which is the gate's limit, and port. */
static int config_get(
    void *arg, struct slice name, struct json_writer *writer, char *why, size_t why_bytes)
{
	const struct rig *rig = arg;
	if (name.bytes > 0 && !slice_equal(name, slice_from_text("max_pipeline"))) {
		snprintf(why, why_bytes, "no such key");
		return ERR_INVALID;
	}
	json_write_integer(writer, rig->config.limits.calls_max);
	return 0;
}

static int config_set(void *arg, struct slice name, struct slice value, struct json_writer *writer,
    char *why, size_t why_bytes)
{
	struct rig *rig = arg;
	if (slice_equal(name, slice_from_text("port"))) {
		snprintf(why, why_bytes, "only at a start");
		return ERR_BUSY;
	}
	if (value.bytes != 1 || value.data[0] < '1' || value.data[0] > '9') {
		snprintf(why, why_bytes, "no such value");
		return ERR_INVALID;
	}
	rig->config.limits.calls_max = (uint32_t)value.data[0] - '0';
	json_write_integer(writer, rig->config.limits.calls_max);
	return 0;
}

static void limits(void *arg, struct gate_limits *ret_limits)
{
	const struct rig *rig = arg;
	*ret_limits = rig->config.limits;
}

static const struct cluster_map *map(void *arg)
{
	const struct rig *rig = arg;
	return rig->map;
}

static enum gate_link link_with(void *arg, uint16_t node)
{
	struct rig *rig = arg;
	if (node == rig->lost)
		return GATE_LINK_LOST;
	if (node == rig->flickers && rig->flickered++ % 2 == 0)
		return GATE_LINK_DOWN;
	return rig->alone || node == rig->unlinked ? GATE_LINK_DOWN : GATE_LINK_UP;
}

static const char *refused(void *arg, uint16_t node)
{
	const struct rig *rig = arg;
	return node == rig->refused ? "secret" : NULL;
}

static void links(void *arg, void (*add)(void *to, const char *name, uint64_t value), void *to)
{
	(void)arg;
	add(to, "links_connected", 4);
	add(to, "links_refused_secret", 7);
}

void rig_open(struct rig *rig)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	uint16_t port;
	rig->io = fake_net_new();
	rig->config.started_ns = io_now_ns(rig->io);
	struct shards_options shards = {.io = rig->io,
	    .map = {.shard_count = 4, .store_count = 1, .core_count = 1},
	    .error = handler_error,
	    .arg = rig};
	int error = shards_new(&shards, &rig->shards);
	struct gate_services services = {.tour = carry_tour,
	    .directory = carry_directory,
	    .stores = write_stores,
	    .persistence = add_persistence,
	    .checkpoint = checkpoint,
	    .ready = is_ready,
	    .pending = pending,
	    .config_get = config_get,
	    .config_set = config_set,
	    .map = map,
	    .link = link_with,
	    .refused = refused,
	    .links = links,
	    .limits = limits,
	    .arg = rig};
	struct gate_options options = {
	    .io = rig->io, .shards = rig->shards, .config = &rig->config, .services = &services};
	if (!error)
		error = gate_new(&options, &rig->gate);
	for (int kind = GATE_PROXY; kind <= GATE_CLUSTER && !error; kind++)
		error = gate_listen(rig->gate, (enum gate_port)kind,
		    (const struct sockaddr *)&address, sizeof(address), &port);
	ASSERT(error == 0);
}

static void copy(char *to, size_t to_bytes, struct slice from)
{
	size_t bytes = from.bytes < to_bytes ? from.bytes : to_bytes - 1;
	if (bytes)
		memcpy(to, from.data, bytes);
	to[bytes] = 0;
}

/* A directory that says what it was asked. */
static void answer_directory(struct rig *rig, struct gate_directory *directory)
{
	struct meta_request *request = &directory->request;
	rig->verb = request->verb;
	rig->dry_run = request->dry_run;
	rig->bundle_bytes = request->bundle.bytes;
	copy(rig->app, sizeof(rig->app), request->app);
	copy(rig->hash, sizeof(rig->hash), request->hash);
	copy(rig->expected, sizeof(rig->expected), request->expected);
	rig->force = request->force;
	rig->damaged = request->damaged;
	rig->unproved = request->unproved;
	rig->node = request->node.node;
	rig->shard = request->shard;
	rig->generation = request->expected_generation;
	rig->wanted[0] = 0;
	for (size_t i = 0; i < request->wanted_count; i++) {
		size_t at = strlen(rig->wanted);
		snprintf(rig->wanted + at, sizeof(rig->wanted) - at, "%u %s, ",
		    request->wanted[i].node, request->wanted[i].voter ? "voter" : "learner");
	}
	rig->dropped[0] = 0;
	for (size_t i = 0; i < request->drop_count; i++) {
		char type[70];
		copy(type, sizeof(type), request->drop[i]);
		size_t at = strlen(rig->dropped);
		snprintf(rig->dropped + at, sizeof(rig->dropped) - at, "%s%s", i ? " " : "", type);
	}
	buffer_init(&request->reply, MIB);
	buffer_init(&request->details, MIB);
	int error;
	if (strcmp(rig->app, "absent") == 0) {
		request->status = STATUS_NOT_FOUND;
		error = buffer_append_text(&request->reply, "there is no app of this name");
	} else {
		error = buffer_append_text(&request->reply, "{\"done\":true}");
	}
	ASSERT(error == 0);
	directory->done(directory);
}

static bool carry(struct rig *rig)
{
	struct list_node *node;
	bool moved = false;
	while ((node = list_pop_front(&rig->tours))) {
		struct gate_carried *carried = CONTAINER_OF(node, struct gate_carried, link);
		struct gate_tour *tour = CONTAINER_OF(carried, struct gate_tour, carried);
		tour->visit(tour, rig->gate);
		tour->done(tour);
		moved = true;
	}
	while ((node = list_pop_front(&rig->directories))) {
		struct gate_carried *carried = CONTAINER_OF(node, struct gate_carried, link);
		answer_directory(rig, CONTAINER_OF(carried, struct gate_directory, carried));
		moved = true;
	}
	return moved;
}

void rig_run(struct rig *rig)
{
	int quiet = 0;
	while (quiet < 4) {
		bool more = fake_run(rig->io);
		more |= carry(rig);
		more |= gate_turn(rig->gate);
		more |= shards_turn(rig->shards);
		more |= gate_turn(rig->gate);
		quiet = more ? 0 : quiet + 1;
	}
}

struct io_socket *rig_connect(struct rig *rig)
{
	return fake_connect(rig->io, 0);
}

static const char *output_text(struct io_socket *client)
{
	struct buffer *output = fake_output(client);
	int error = buffer_append_u8(output, 0);
	ASSERT(error == 0);
	const char *text = (const char *)buffer_view(output).data;
	/* The bytes stay until something is appended. */
	buffer_consume(output, buffer_bytes(output));
	return text;
}

const char *rig_say(struct rig *rig, struct io_socket *client, const char *text)
{
	buffer_clear(fake_output(client));
	fake_write(client, text, strlen(text));
	rig_run(rig);
	return output_text(client);
}

const char *rig_ask(struct rig *rig, struct io_socket *client, const char *words)
{
	static char request[8192 + 32];
	char body[8192];
	size_t at = 0;
	unsigned count = 0;
	for (const char *word = words; *word;) {
		size_t bytes = strcspn(word, " ");
		at += (size_t)snprintf(
		    body + at, sizeof(body) - at, "$%zu\r\n%.*s\r\n", bytes, (int)bytes, word);
		count++;
		word += bytes;
		word += *word == ' ';
	}
	snprintf(request, sizeof(request), "*%u\r\n%s", count, body);
	return rig_say(rig, client, request);
}

static void drained(void *arg)
{
	((struct rig *)arg)->drained = true;
}

void rig_done(struct rig *rig)
{
	if (!rig->drained) {
		gate_drain(rig->gate, drained, rig);
		fake_shards_release(rig->shards);
		rig_run(rig);
		gate_cut(rig->gate);
		rig_run(rig);
	}
	ASSERT(rig->drained);
	gate_free(rig->gate);
	shards_free(rig->shards);
	fake_net_free_all(rig->io);
}
