/* INFO: what is summed over all cores, in Redis's form, so that its tools read it. Sections of our
 * own: shards, handlers. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/hash_table.h"
#include "base/mem.h"
#include "server/gate/gate_parts.h"

enum {
	INFO_BYTES_MAX = 8 * 1024 * 1024,
	HANDLERS_MAX = 20000,
	LINK_FIGURES_MAX = 40,
};

/* X(bit, section) in the order in which they are printed. */
#define SECTIONS(X)                                                                                \
	X(SERVER, server, "Server")                                                                \
	X(CLIENTS, clients, "Clients")                                                             \
	X(MEMORY, memory, "Memory")                                                                \
	X(PERSISTENCE, persistence, "Persistence")                                                 \
	X(STATS, stats, "Stats")                                                                   \
	X(REPLICATION, replication, "Replication")                                                 \
	X(CPU, cpu, "CPU")                                                                         \
	X(SHARDS, shards, "Shards")                                                                \
	X(HANDLERS, handlers, "Handlers")                                                          \
	X(COMMANDSTATS, commandstats, "Commandstats")                                              \
	X(CLUSTER, cluster, "Cluster")                                                             \
	X(KEYSPACE, keyspace, "Keyspace")

enum section {
#define X(id, word, title) SECTION_##id,
	SECTIONS(X)
#undef X
	    SECTION_COUNT
};

/* One handler, summed over the cores. */
struct handler_sum {
	struct hash_entry entry;
	struct slice component, name; /* behind the struct */
	uint64_t calls, errors, sum_ns, p50_ns_weighted, p99_ns, max_ns;
};

struct info {
	struct reply reply;
	struct gate_tour tour;
	unsigned sections;
	struct gate_figures gate;
	struct shards_figures shards;
	struct gate_persistence persistence;
	struct command_figures commands[COMMAND_COUNT];
	struct hash_table handlers;
	uint32_t handler_count;
	/* Of links to other nodes, in the order in which each core tells them. */
	struct {
		const char *name;
		uint64_t value;
	} links[LINK_FIGURES_MAX];
	uint32_t link_count, link_at;
	bool ready;
	enum gate_port port;
	struct buffer text;
	int error;
};

/* ---- Gathering ---- */

static void add_gate(struct gate_figures *sum, const struct gate_figures *one)
{
	sum->connections += one->connections;
	sum->accepted += one->accepted;
	sum->refused += one->refused;
	sum->closed_idle += one->closed_idle;
	sum->closed_stalled += one->closed_stalled;
	sum->closed_greedy += one->closed_greedy;
	sum->closed_malformed += one->closed_malformed;
	sum->requests += one->requests;
	sum->calls += one->calls;
	sum->calls_under_way += one->calls_under_way;
	sum->errors += one->errors;
	sum->moved += one->moved;
	sum->input_bytes += one->input_bytes;
	sum->output_bytes += one->output_bytes;
	sum->memory_bytes += one->memory_bytes;
}

static void add_shards(struct shards_figures *sum, const struct shards_figures *one)
{
	sum->calls += one->calls;
	sum->commands += one->commands;
	sum->queries += one->queries;
	sum->errors += one->errors;
	sum->entries += one->entries;
	sum->proposed_bytes += one->proposed_bytes;
	sum->cold_reads += one->cold_reads;
	sum->replica_reads += one->replica_reads;
	sum->stale_reads += one->stale_reads;
	sum->late_refused += one->late_refused;
	sum->folds += one->folds;
	sum->slices += one->slices;
	/* Of the core where it is worst. */
	if (one->slice_p99_ns > sum->slice_p99_ns)
		sum->slice_p99_ns = one->slice_p99_ns;
	if (one->slice_max_ns > sum->slice_max_ns)
		sum->slice_max_ns = one->slice_max_ns;
	sum->queue_bytes += one->queue_bytes;
	sum->held += one->held;
	sum->fold_cache_bytes += one->fold_cache_bytes;
	sum->token_bytes += one->token_bytes;
	sum->tokens += one->tokens;
	sum->shards += one->shards;
	sum->leading += one->leading;
	sum->closed += one->closed;
}

static bool same_handler(const struct hash_entry *entry, const void *key)
{
	const struct handler_sum *sum = CONTAINER_OF(entry, const struct handler_sum, entry);
	const struct shards_handler_figures *figures = key;
	return slice_equal(sum->component, figures->component) &&
	       slice_equal(sum->name, figures->handler);
}

static struct handler_sum *handler_find(
    struct info *info, const struct shards_handler_figures *figures)
{
	/* Names are an app's, not an attacker's of this table, and bounded in number. */
	uint64_t hash = hash_bytes(figures->handler, hash_bytes(figures->component, 0));
	struct hash_entry *entry = hash_table_find(&info->handlers, hash, same_handler, figures);
	if (entry)
		return CONTAINER_OF(entry, struct handler_sum, entry);
	if (info->handler_count == HANDLERS_MAX)
		return NULL;
	size_t component = figures->component.bytes, name = figures->handler.bytes;
	struct handler_sum *sum = mem_alloc(sizeof(*sum) + component + name);
	if (!sum)
		return NULL;
	*sum = (struct handler_sum){0};
	uint8_t *text = (uint8_t *)(sum + 1);
	memcpy(text, figures->component.data, component);
	memcpy(text + component, figures->handler.data, name);
	sum->component = slice_of(text, component);
	sum->name = slice_of(text + component, name);
	if (hash_table_insert(&info->handlers, hash, &sum->entry)) {
		mem_free(sum);
		return NULL;
	}
	info->handler_count++;
	return sum;
}

static void add_handler(void *arg, const struct shards_handler_figures *figures)
{
	struct info *info = arg;
	struct handler_sum *sum = handler_find(info, figures);
	if (!sum) {
		info->error = ERR_NOMEM;
		return;
	}
	sum->calls += figures->calls;
	sum->errors += figures->errors;
	sum->sum_ns += figures->latency_sum_ns;
	sum->p50_ns_weighted += figures->latency_p50_ns * figures->calls;
	if (figures->latency_p99_ns > sum->p99_ns)
		sum->p99_ns = figures->latency_p99_ns;
	if (figures->latency_max_ns > sum->max_ns)
		sum->max_ns = figures->latency_max_ns;
}

static void add_link(void *to, const char *name, uint64_t value)
{
	struct info *info = to;
	uint32_t at = info->link_at++;
	if (at >= LINK_FIGURES_MAX)
		return;
	if (at == info->link_count)
		info->links[info->link_count++].name = name;
	ASSERT(strcmp(info->links[at].name, name) == 0);
	info->links[at].value += value;
}

static void info_visit(struct gate_tour *carried, struct gate *gate)
{
	struct info *info = CONTAINER_OF(carried, struct info, tour);
	struct gate_figures figures = gate_figures(gate);
	struct shards_figures shards = shards_figures(gate->shards);
	add_gate(&info->gate, &figures);
	add_shards(&info->shards, &shards);
	/* It looks at the disk. */
	if (info->sections & (1U << SECTION_PERSISTENCE | 1U << SECTION_MEMORY))
		gate->services.persistence(gate->services.arg, &info->persistence);
	info->link_at = 0;
	if (info->sections & 1U << SECTION_REPLICATION && gate->services.links)
		gate->services.links(gate->services.arg, add_link, info);
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		info->commands[i].calls += gate->command_figures[i].calls;
		info->commands[i].errors += gate->command_figures[i].errors;
		info->commands[i].rejected += gate->command_figures[i].rejected;
	}
	if (info->sections & 1U << SECTION_HANDLERS)
		shards_each_handler(gate->shards, add_handler, info);
}

/* ---- Writing ---- */

/* Writers of lines stop at the first error, which stays. */
__attribute__((format(printf, 2, 3))) static void line(struct info *info, const char *format, ...)
{
	char text[512];
	va_list values;
	if (info->error)
		return;
	va_start(values, format);
	int bytes = vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	if (bytes < 0 || (size_t)bytes >= sizeof(text))
		bytes = sizeof(text) - 1;
	info->error = buffer_append(&info->text, text, (size_t)bytes);
	if (!info->error)
		info->error = buffer_append(&info->text, "\r\n", 2);
}

static void write_server(struct info *info, const struct gate *gate)
{
	const struct gate_config *config = gate->config;
	uint64_t up_s = (uint64_t)((io_now_ns(gate->io) - config->started_ns) / NS_PER_S);
	line(info, "redis_version:7.0.0");
	line(info, "redis_mode:%s", info->port == GATE_CLUSTER ? "cluster" : "standalone");
	line(info, "kalix_version:%s", config->version);
	line(info, "mode:%s", config->dev ? "dev" : "production");
	line(info, "os:Linux");
	line(info, "arch_bits:64");
	line(info, "process_id:%ld", (long)getpid());
	line(info, "run_id:%s", config->node);
	line(info, "tcp_port:%u", config->port);
	line(info, "cluster_port:%u", config->cluster_port);
	line(info, "cores:%" PRIu32, config->cores);
	line(info, "uptime_in_seconds:%" PRIu64, up_s);
	line(info, "uptime_in_days:%" PRIu64, up_s / 86400);
}

static void write_clients(struct info *info, const struct gate *gate)
{
	line(info, "connected_clients:%" PRIu64, info->gate.connections);
	line(info, "maxclients:%" PRIu32, gate->limits.connections_max);
	line(info, "blocked_clients:0");
	line(info, "calls_under_way:%" PRIu64, info->gate.calls_under_way);
}

static void write_memory(struct info *info, const struct gate *gate)
{
	struct rusage usage = {0};
	(void)gate;
	(void)getrusage(RUSAGE_SELF, &usage);
	line(info, "used_memory_peak_rss:%" PRIu64, (uint64_t)usage.ru_maxrss * 1024);
	line(info, "cache_memory:%" PRIu64, info->persistence.cache_bytes);
	line(info, "dirty_memory:%" PRIu64, info->persistence.dirty_bytes);
	line(info, "clients_memory:%" PRIu64, info->gate.memory_bytes);
	line(info, "queue_memory:%" PRIu64, info->shards.queue_bytes);
	line(info, "fold_cache_memory:%" PRIu64, info->shards.fold_cache_bytes);
}

static void write_persistence(struct info *info, const struct gate *gate)
{
	const struct gate_persistence *sum = &info->persistence;
	(void)gate;
	line(info, "loading:%d", !info->ready);
	line(info, "stores:%" PRIu64, sum->stores);
	line(info, "stores_writable:%" PRIu64, sum->writable);
	line(info, "stores_not_compacted:%" PRIu64, sum->compactions_stopped);
	line(info, "disk_free_bytes:%" PRIu64, sum->free_bytes);
	line(info, "log_bytes:%" PRIu64, sum->log_bytes);
	line(info, "log_frames:%" PRIu64, sum->log_frames);
	line(info, "log_syncs:%" PRIu64, sum->log_syncs);
	line(info, "log_waiting_ms:%" PRIu64, sum->log_waiting_ms);
	line(info, "checkpoints:%" PRIu64, sum->checkpoints);
	line(info, "checkpoint_entries:%" PRIu64, sum->checkpoint_entries);
	line(info, "checkpoint_bytes:%" PRIu64, sum->checkpoint_bytes);
	line(info, "checkpoint_last_ms:%" PRIu64, sum->checkpoint_last_ms);
}

static void write_stats(struct info *info, const struct gate *gate)
{
	const struct gate_figures *figures = &info->gate;
	(void)gate;
	line(info, "total_connections_received:%" PRIu64, figures->accepted);
	line(info, "total_commands_processed:%" PRIu64, figures->requests);
	line(info, "total_calls:%" PRIu64, figures->calls);
	line(info, "total_net_input_bytes:%" PRIu64, figures->input_bytes);
	line(info, "total_net_output_bytes:%" PRIu64, figures->output_bytes);
	line(info, "rejected_connections:%" PRIu64, figures->refused);
	line(info, "total_error_replies:%" PRIu64, figures->errors);
	line(info, "moved_replies:%" PRIu64, figures->moved);
	line(info, "clients_closed_idle:%" PRIu64, figures->closed_idle);
	line(info, "clients_closed_stalled:%" PRIu64, figures->closed_stalled);
	line(info, "clients_closed_limits:%" PRIu64, figures->closed_greedy);
	line(info, "clients_closed_malformed:%" PRIu64, figures->closed_malformed);
}

static void write_replication(struct info *info, const struct gate *gate)
{
	(void)gate;
	const struct gate_persistence *sum = &info->persistence;
	line(info, "role:master");
	line(info, "connected_slaves:0");
	line(info, "snapshots_sent:%" PRIu64, sum->snapshots_sent);
	line(info, "snapshots_bytes_sent:%" PRIu64, sum->snapshots_bytes_sent);
	line(info, "snapshots_installed:%" PRIu64, sum->snapshots_installed);
	line(info, "log_entries_read_back:%" PRIu64, sum->read_back_entries);
	line(info, "log_bytes_read_back:%" PRIu64, sum->read_back_bytes);
	line(info, "uncommitted_bytes:%" PRIu64, sum->unapplied_bytes);
	line(info, "uncommitted_refused:%" PRIu64, sum->unapplied_refused);
	for (uint32_t i = 0; i < info->link_count; i++)
		line(info, "%s:%" PRIu64, info->links[i].name, info->links[i].value);
}

static void write_cpu(struct info *info, const struct gate *gate)
{
	struct rusage usage = {0};
	(void)gate;
	(void)getrusage(RUSAGE_SELF, &usage);
	line(info, "used_cpu_sys:%ld.%06ld", (long)usage.ru_stime.tv_sec,
	    (long)usage.ru_stime.tv_usec);
	line(info, "used_cpu_user:%ld.%06ld", (long)usage.ru_utime.tv_sec,
	    (long)usage.ru_utime.tv_usec);
}

static void write_shards(struct info *info, const struct gate *gate)
{
	const struct shards_figures *figures = &info->shards;
	(void)gate;
	line(info, "shards:%" PRIu32, figures->shards);
	line(info, "shards_leading:%" PRIu32, figures->leading);
	line(info, "shards_closed:%" PRIu32, figures->closed);
	line(info, "shard_calls:%" PRIu64, figures->calls);
	line(info, "shard_commands:%" PRIu64, figures->commands);
	line(info, "shard_queries:%" PRIu64, figures->queries);
	line(info, "shard_errors:%" PRIu64, figures->errors);
	line(info, "log_entries:%" PRIu64, figures->entries);
	line(info, "log_entry_bytes:%" PRIu64, figures->proposed_bytes);
	line(info, "cold_reads:%" PRIu64, figures->cold_reads);
	line(info, "replica_reads:%" PRIu64, figures->replica_reads);
	line(info, "stale_reads:%" PRIu64, figures->stale_reads);
	line(info, "late_calls_refused:%" PRIu64, figures->late_refused);
	line(info, "folds:%" PRIu64, figures->folds);
	line(info, "slices:%" PRIu64, figures->slices);
	line(info, "slice_usec_p99:%" PRIu64, figures->slice_p99_ns / 1000);
	line(info, "slice_usec_max:%" PRIu64, figures->slice_max_ns / 1000);
	line(info, "replies_held:%" PRIu64, figures->held);
	line(info, "tokens:%" PRIu64, figures->tokens);
	line(info, "token_bytes:%" PRIu64, figures->token_bytes);
}

static void write_handlers(struct info *info, const struct gate *gate)
{
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	(void)gate;
	while ((entry = hash_table_next(&info->handlers, &cursor))) {
		const struct handler_sum *sum = CONTAINER_OF(entry, struct handler_sum, entry);
		double calls = sum->calls ? (double)sum->calls : 1.0;
		line(info,
		    "handler_%.*s.%.*s:calls=%" PRIu64 ",errors=%" PRIu64
		    ",usec_per_call=%.1f,usec_p50=%.1f,usec_p99=%.1f,usec_max=%.1f",
		    (int)sum->component.bytes, (const char *)sum->component.data,
		    (int)sum->name.bytes, (const char *)sum->name.data, sum->calls, sum->errors,
		    (double)sum->sum_ns / calls / 1000, (double)sum->p50_ns_weighted / calls / 1000,
		    (double)sum->p99_ns / 1000, (double)sum->max_ns / 1000);
	}
}

static void write_commandstats(struct info *info, const struct gate *gate)
{
	(void)gate;
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command_figures *figures = &info->commands[i];
		if (figures->calls + figures->rejected > 0)
			line(info,
			    "cmdstat_%s:calls=%" PRIu64 ",rejected_calls=%" PRIu64
			    ",failed_calls=%" PRIu64,
			    commands[i].name, figures->calls, figures->rejected, figures->errors);
	}
}

static void write_cluster(struct info *info, const struct gate *gate)
{
	line(info, "cluster_enabled:%d", info->port == GATE_CLUSTER);
	line(info, "cluster_id:%s", gate->config->cluster);
}

static void write_keyspace(struct info *info, const struct gate *gate)
{
	(void)info;
	(void)gate;
}

static const struct {
	const char *word, *title;
	void (*write)(struct info *info, const struct gate *gate);
} sections[SECTION_COUNT] = {
#define X(id, word, title) [SECTION_##id] = {#word, title, write_##word},
    SECTIONS(X)
#undef X
};

static void info_toured(struct gate_tour *carried)
{
	struct info *info = CONTAINER_OF(carried, struct info, tour);
	struct gate *gate = info->reply.session->gate;
	bool first = true;
	info->ready = gate->services.ready(gate->services.arg);
	for (int i = 0; i < SECTION_COUNT; i++) {
		if (!(info->sections & 1U << i))
			continue;
		if (!first)
			line(info, "%s", "");
		first = false;
		line(info, "# %s", sections[i].title);
		sections[i].write(info, gate);
	}
	reply_toured(&info->reply, sizeof(*info) + info->text.capacity);
}

static void info_write(struct reply *reply, struct resp_writer *writer)
{
	struct info *info = CONTAINER_OF(reply, struct info, reply);
	if (info->error)
		resp_write_error(writer, status_name(status_from_error(info->error)),
		    slice_from_text(error_text(info->error)), slice_of(NULL, 0));
	else
		resp_write_verbatim(writer, "txt", buffer_view(&info->text));
}

static void info_free(struct reply *reply)
{
	struct info *info = CONTAINER_OF(reply, struct info, reply);
	struct hash_table_cursor cursor = {0};
	struct hash_entry *entry;
	while ((entry = hash_table_next(&info->handlers, &cursor))) {
		hash_table_remove(&info->handlers, entry);
		mem_free(CONTAINER_OF(entry, struct handler_sum, entry));
	}
	hash_table_done(&info->handlers);
	buffer_done(&info->text);
	mem_free(info);
}

static unsigned sections_of(const struct slice *args, uint32_t count)
{
	unsigned all = (1U << SECTION_COUNT) - 1;
	unsigned chosen = count == 1 ? all : 0;
	for (uint32_t i = 1; i < count; i++) {
		if (word_is(args[i], "all") || word_is(args[i], "everything") ||
		    word_is(args[i], "default"))
			chosen = all;
		for (int section = 0; section < SECTION_COUNT; section++)
			if (word_is(args[i], sections[section].word))
				chosen |= 1U << section;
	}
	return chosen;
}

void run_info(struct session *session, const struct slice *args, uint32_t count)
{
	struct info *info = mem_zalloc(1, sizeof(*info));
	if (!info) {
		reply_status(session, STATUS_RESOURCE_EXHAUSTED, slice_from_text("out of memory"),
		    slice_of(NULL, 0));
		return;
	}
	info->sections = sections_of(args, count);
	info->port = session->port;
	hash_table_init(&info->handlers);
	buffer_init(&info->text, INFO_BYTES_MAX);
	info->reply =
	    (struct reply){.bytes = sizeof(*info), .write = info_write, .free = info_free};
	info->tour = (struct gate_tour){.visit = info_visit, .done = info_toured};
	reply_tour(session, &info->reply, &info->tour);
}
