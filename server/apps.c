/* Bundles, activations and counts on all cores, as the directory asks: one of each at a time. */
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "scripting/host.h"
#include "server/server.h"

/* A bundle goes from core to core, and back to core 0. */
struct load_job {
	struct gate_carried carried;
	struct slice bundle; /* the directory's, until meta_loaded */
	enum status status;
	char message[1024];
	bool busy;
};

/* One for each core, at once. */
struct activate_job {
	struct gate_carried carried;
	struct shards_activation activation;
	struct core *core;
};

/* Shard by shard. */
struct count_job {
	struct gate_carried carried;
	struct shard_call call;
	char type[NAME_BYTES_MAX + 1];
	uint64_t count, until_ns;
	bool all, busy;
};

struct apps {
	struct server *server;
	struct load_job load;
	struct count_job count;
	struct activate_job *activate; /* [core_count] */
	uint32_t left;                 /* cores that have not answered; 0: none is asked */
	char app[NAME_BYTES_MAX + 1];
	enum status status;
	uint32_t pending;
	uint64_t timeout_ms;
	uint32_t drop_count;
	struct shards_drop drops[DROPPED_TYPES_MAX]; /* read by all cores until they answer */
};

int apps_new(struct server *server, struct apps **ret_apps)
{
	struct apps *apps = mem_zalloc(1, sizeof(*apps));
	struct activate_job *jobs = mem_zalloc(server->map.core_count, sizeof(struct activate_job));
	if (!apps || !jobs) {
		mem_free(apps);
		mem_free(jobs);
		return ERR_NOMEM;
	}
	apps->server = server;
	apps->activate = jobs;
	*ret_apps = apps;
	return 0;
}

void apps_free(struct apps *apps)
{
	if (!apps)
		return;
	mem_free(apps->activate);
	mem_free(apps);
}

/* ---- Loading ---- */

static void explain(struct load_job *job, const struct host_diagnostics *diagnostics, int error)
{
	const char *file = "", *text = error_text(error);
	uint32_t line = 0;
	for (size_t i = 0; i < diagnostics->count; i++)
		if (diagnostics->items[i].severity == HOST_ERROR) {
			file = diagnostics->items[i].file;
			line = diagnostics->items[i].line;
			text = diagnostics->items[i].text;
			break;
		}
	snprintf(job->message, sizeof(job->message), "%s:%u: %s", file, line, text);
}

static void load_here(struct load_job *job, struct core *core)
{
	struct host_diagnostics diagnostics = {0};
	struct host_bundle *bundle;
	int error = host_load(core->host, job->bundle, &diagnostics, &bundle);
	if (error) {
		job->status = status_from_error(error);
		explain(job, &diagnostics, error);
		LOG_LINE(LEVEL_ERROR, "bundle_not_loaded", FIELD_U64("core", core->number),
		    FIELD_ERROR("error", error), FIELD_TEXT("why", job->message));
	} else {
		shards_provide(core->shards, bundle);
	}
	host_diagnostics_free(&diagnostics);
}

static void load_arrived(struct gate_carried *carried, void *arg)
{
	struct core *core = arg;
	struct load_job *job = CONTAINER_OF(carried, struct load_job, carried);
	uint32_t cores = core->server->map.core_count;
	if (carried->next == cores) {
		job->busy = false;
		meta_loaded(core->server->meta, job->status, slice_from_text(job->message));
		return;
	}
	load_here(job, core);
	carried->next = job->status == STATUS_OK ? carried->next + 1 : cores;
	core_send(core, carried->next < cores ? carried->next : 0, carried);
}

void apps_load(void *arg, struct slice bundle)
{
	struct apps *apps = arg;
	ASSERT(!apps->load.busy);
	apps->load = (struct load_job){.carried = {.arrived = load_arrived},
	    .bundle = bundle,
	    .status = STATUS_OK,
	    .busy = true};
	core_send(&apps->server->cores[0], 0, &apps->load.carried);
}

/* ---- Activating ---- */

static void activate_returned(struct gate_carried *carried, void *arg)
{
	struct core *core = arg;
	struct apps *apps = core->server->apps;
	struct activate_job *job = CONTAINER_OF(carried, struct activate_job, carried);
	/* What may come yet counts more than what is closed. */
	if (job->activation.status != STATUS_OK && apps->status != STATUS_UNAVAILABLE)
		apps->status = job->activation.status;
	apps->pending += job->activation.pending;
	if (--apps->left == 0)
		meta_activated(core->server->meta, apps->status, apps->pending);
}

static void activated_here(struct shards_activation *activation)
{
	struct activate_job *job = CONTAINER_OF(activation, struct activate_job, activation);
	job->carried.arrived = activate_returned;
	core_send(job->core, 0, &job->carried);
}

static void activate_arrived(struct gate_carried *carried, void *arg)
{
	struct core *core = arg;
	struct activate_job *job = CONTAINER_OF(carried, struct activate_job, carried);
	job->core = core;
	job->activation.done = activated_here;
	job->activation.deadline_ns =
	    io_now_ns(core->io) + core->server->apps->timeout_ms * NS_PER_MS;
	shards_activate(core->shards, &job->activation);
}

void apps_activate(void *arg, const struct meta_activation *activation)
{
	struct apps *apps = arg;
	size_t app_bytes = activation->app.bytes;
	ASSERT(apps->left == 0);
	ASSERT(app_bytes <= NAME_BYTES_MAX);
	memcpy(apps->app, activation->app.data, app_bytes);
	apps->left = apps->server->map.core_count;
	apps->status = STATUS_OK;
	apps->pending = 0;
	apps->timeout_ms = activation->timeout_ms;
	apps->drop_count = 0;
	for (size_t i = 0; i < activation->type_count; i++) {
		const struct meta_type *type = &activation->types[i];
		if (type->incarnation == 0)
			continue;
		ASSERT(apps->drop_count < DROPPED_TYPES_MAX);
		struct shards_drop *drop = &apps->drops[apps->drop_count++];
		memcpy(drop->type, type->name, sizeof(drop->type));
		drop->incarnation = type->incarnation;
	}
	for (uint32_t i = 0; i < apps->server->map.core_count; i++) {
		struct activate_job *job = &apps->activate[i];
		*job = (struct activate_job){.carried = {.arrived = activate_arrived}};
		job->activation.app = slice_of(apps->app, app_bytes);
		job->activation.directory_index = activation->generation;
		job->activation.remove = activation->hash[0] == 0;
		job->activation.led_only = activation->led_only;
		job->activation.have = activation->have;
		job->activation.drops = apps->drops;
		job->activation.drop_count = apps->drop_count;
		snprintf(
		    job->activation.hash, sizeof(job->activation.hash), "%s", activation->hash);
		core_send(&apps->server->cores[0], i, &job->carried);
	}
}

/* ---- Counting ---- */

/* What a shard waits for (a leader, say) is not waited for. */
#define COUNT_LATE_NS (100 * NS_PER_MS)

static void counted(struct shard_call *call);

static void count_in(struct core *core, struct count_job *job, uint32_t shard)
{
	job->call = (struct shard_call){.kind = SHARD_COUNT,
	    .address = slice_from_text(job->type),
	    .shard = shard,
	    .until_ns = job->until_ns,
	    .deadline_ns = job->until_ns + COUNT_LATE_NS,
	    .done = counted};
	shards_submit(core->shards, &job->call);
}

/* A shard that does not answer may have more of them; so may those that there is no time for. */
static void counted(struct shard_call *call)
{
	struct count_job *job = CONTAINER_OF(call, struct count_job, call);
	struct apps *apps = CONTAINER_OF(job, struct apps, count);
	struct core *core = &apps->server->cores[0];
	uint32_t shard = call->shard;
	if (call->status == STATUS_OK)
		job->count += call->counted;
	if (call->status != STATUS_OK || !call->counted_all)
		job->all = false;
	buffer_done(&call->reply);
	buffer_done(&call->details);
	if (shard < core->server->map.shard_count && io_now_ns(core->io) < job->until_ns) {
		count_in(core, job, shard + 1);
		return;
	}
	job->busy = false;
	meta_counted(
	    core->server->meta, job->count, job->all && shard == core->server->map.shard_count);
}

static void count_arrived(struct gate_carried *carried, void *arg)
{
	count_in(arg, CONTAINER_OF(carried, struct count_job, carried), 1);
}

void apps_count(void *arg, struct slice type, uint64_t until_ns)
{
	struct apps *apps = arg;
	ASSERT(!apps->count.busy && type.bytes <= NAME_BYTES_MAX);
	apps->count = (struct count_job){
	    .carried = {.arrived = count_arrived}, .until_ns = until_ns, .all = true, .busy = true};
	memcpy(apps->count.type, type.data, type.bytes);
	/* In the next turn: that of the shards in this one is over. */
	core_send(&apps->server->cores[0], 0, &apps->count.carried);
}
