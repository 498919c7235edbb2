/* The stages of one deployment, activation, rollback, removal, or restored app. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/meta/meta_keys.h"
#include "server/meta/meta_parts.h"
#include "server/meta/meta_records.h"
#include "storage/batch.h"

#define BUNDLE_KEY_BYTES (1 + HOST_HASH_CHARACTERS)
#define AGAIN_TIMEOUT_MS 500

static void set_work(struct meta *meta, struct meta_request *request, enum meta_stage stage)
{
	struct meta_work *work = &meta->work;
	*work = (struct meta_work){.request = request, .stage = stage};
	buffer_init(&work->read, BUNDLE_BYTES_MAX + 1);
	buffer_init(&work->changes, 256 * KIB);
	meta->working = true;
}

static void end_work(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct meta_request *request = work->request;
	meta->working = false;
	buffer_done(&work->read);
	buffer_done(&work->changes);
	mem_free(work->touched);
	host_diagnostics_free(&work->diagnostics);
	if (work->app_is_ours)
		meta_app_free(work->app);
	*work = (struct meta_work){.request = NULL};
	if (request)
		request->done(request);
}

void meta_work_abandon(struct meta *meta, enum status status, const char *why)
{
	struct meta_work *work = &meta->work;
	/* What is committed is completed by the next leader, or at the next start. */
	bool proposed = work->stage == META_STAGE_APPLY ||
	                (work->stage == META_STAGE_ACTIVATE && !work->unchanged);
	if (work->request && work->request->status == STATUS_OK)
		meta_refuse(work->request, proposed ? STATUS_UNKNOWN_OUTCOME : status, "%s", why);
	/* The shards here are asked for all that is committed, whoever leads. */
	if (work->app && !work->app_is_ours)
		work->app->asks_again = true;
	work->abandoned = true;
	if (!work->with_cores)
		end_work(meta);
}

bool meta_work_keeps(struct meta *meta, struct meta_app *app)
{
	struct meta_work *work = &meta->work;
	if (!meta->working || work->app != app)
		return false;
	work->app_is_ours = true;
	return true;
}

bool meta_work_returned(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	ASSERT(work->with_cores && work->waits);
	work->with_cores = false;
	work->waits = false;
	if (work->abandoned)
		end_work(meta);
	return meta->working;
}

static void ask_cores(struct meta_work *work)
{
	work->with_cores = true;
	work->waits = true;
}

static void refuse(struct meta *meta, enum status status, const char *why)
{
	if (meta->work.request)
		meta_refuse(meta->work.request, status, "%s", why);
	meta->work.stage = META_STAGE_ANSWER;
}

/* ---- Beginnings ---- */

static bool choose_target(struct meta *meta, struct meta_request *request)
{
	struct meta_work *work = &meta->work;
	const struct meta_app *app = meta_apps_find(&meta->apps, request->app);
	if (!app) {
		meta_refuse(request, STATUS_NOT_FOUND, "there is no app of this name");
		return false;
	}
	const char *target = NULL;
	if (request->verb == META_APP_ROLLBACK) {
		/* One that the history has forgotten has no bundle any more. */
		const struct meta_history *undo = meta_app_undo(app);
		target = undo ? undo->hash : NULL;
		if (!target) {
			meta_refuse(request, STATUS_FAILED_PRECONDITION,
			    "%s has no earlier version to go back to: the active one was its "
			    "first, or came after a removal, or destroyed data (--drop); "
			    "kalix-admin app activate %s HASH takes any that app list -o json "
			    "shows",
			    app->name, app->name);
			return false;
		}
	} else {
		for (size_t i = 0; i < app->history_count && !target; i++)
			if (slice_equal(slice_from_text(app->history[i].hash), request->hash))
				target = app->history[i].hash;
		if (!target) {
			meta_refuse(request, STATUS_NOT_FOUND,
			    "%s was never active at this hash: see kalix-admin app list",
			    app->name);
			return false;
		}
	}
	memcpy(work->hash, target, sizeof(work->hash));
	return true;
}

void meta_work_begin(struct meta *meta, struct meta_request *request)
{
	struct meta_work *work = &meta->work;
	switch (request->verb) {
	case META_APP_LIST:
		meta_answer_list(meta, request);
		request->done(request);
		return;
	case META_APP_DEPLOY:
		set_work(meta, request, META_STAGE_CHECK);
		work->bundle = request->bundle;
		host_bundle_hash(request->bundle, work->hash);
		return;
	case META_APP_ACTIVATE:
	case META_APP_ROLLBACK:
		set_work(meta, request, META_STAGE_READ);
		if (!choose_target(meta, request))
			work->stage = META_STAGE_ANSWER;
		return;
	case META_APP_REMOVE:
		set_work(meta, request, META_STAGE_CHECK);
		return;
	case META_NODE_JOIN:
	case META_NODE_SET:
	case META_NODE_DRAIN:
	case META_NODE_UNDRAIN:
	case META_NODE_REMOVE:
	case META_SHARD_SET:
	case META_SHARD_DAMAGED:
	case META_CLUSTER_SET:
	case META_CLUSTER_STATUS:
	case META_SHARD_LEAD:
	case META_RECOVER:
	case META_CLUSTER_RECOVER:
	case META_NODE_LIST:
	case META_JOBS_SET:
		break; /* no work: meta_change.c */
	}
	UNREACHABLE();
}

void meta_work_restore(struct meta *meta, struct meta_app *app)
{
	/* A removal may not have reached every shard. */
	set_work(meta, NULL, app->hash[0] ? META_STAGE_READ : META_STAGE_ACTIVATE);
	meta->work.app = app;
	app->asks_again = false;
	memcpy(meta->work.hash, app->hash, sizeof(app->hash));
}

/* ---- READ ---- */

static struct slice bundle_key(const char *hash, uint8_t key[BUNDLE_KEY_BYTES])
{
	key[0] = META_KEY_BUNDLE;
	memcpy(key + 1, hash, HOST_HASH_CHARACTERS);
	return slice_of(key, BUNDLE_KEY_BYTES);
}

static void read_failed(struct meta *meta, int error)
{
	LOG_LINE(LEVEL_ERROR, "bundle_unreadable", FIELD_U64("group", 0),
	    FIELD_TEXT("hash", meta->work.hash), FIELD_ERROR("error", error));
	bool starves = error == ERR_NOMEM;
	refuse(meta, error == ERR_NOT_FOUND ? STATUS_NOT_FOUND : status_from_error(error),
	    starves ? "out of memory: the bundle could not be read; nothing was changed"
	            : "the bundle can't be read any more: deploy it again");
	/* An app that nobody serves is not done: it is tried again, or shown as it is. */
	if (!meta->work.request)
		meta_retry_note(meta, starves ? STATUS_RESOURCE_EXHAUSTED : STATUS_DATA_LOSS,
		    meta->layout.cluster.shards);
}

static void bundle_loaded(struct engine_load *load, int result)
{
	struct meta *meta = CONTAINER_OF(load, struct meta, load);
	meta->load_under_way = false;
	if (!meta->working || meta->work.stage != META_STAGE_READ)
		return;
	meta->work.waits = false;
	if (result)
		read_failed(meta, result);
}

static void run_read(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct engine *engine = group_store_engine(meta->options.store);
	uint8_t data[BUNDLE_KEY_BYTES];
	struct slice key = bundle_key(work->hash, data);
	struct slice value;
	int error;
	switch (engine_get(engine, 0, key, &value)) {
	case TABLE_VALUE:
		error = buffer_append_slice(&work->read, value);
		if (error) {
			read_failed(meta, error);
			return;
		}
		work->bundle = buffer_view(&work->read);
		work->stage = work->request ? META_STAGE_CHECK : META_STAGE_LOAD;
		return;
	case TABLE_ABSENT:
		read_failed(meta, ERR_NOT_FOUND);
		return;
	case TABLE_COLD:
	case TABLE_LOADING:
		work->waits = true;
		/* One of an abandoned work may still be under way: its end comes soon. */
		if (meta->load_under_way)
			return;
		meta->load_under_way = true;
		meta->load.done = bundle_loaded;
		engine_load(engine, &meta->load, 0, key);
		return;
	}
	UNREACHABLE();
}

/* ---- PROPOSE and APPLY ---- */

bool meta_brings_bundle(const struct meta_work *work)
{
	return work->request && work->request->verb == META_APP_DEPLOY;
}

static void write_batch(
    const struct meta_apps *apps, struct meta_work *work, struct slice record, struct writer *out)
{
	uint8_t app_key[1 + NAME_BYTES_MAX];
	uint8_t key[BUNDLE_KEY_BYTES];
	size_t name_bytes = strlen(work->app->name);
	app_key[0] = META_KEY_APP;
	memcpy(app_key + 1, work->app->name, name_bytes);
	batch_begin(out);
	batch_put(out, slice_of(app_key, 1 + name_bytes), record);
	/* Nobody can go back to what the history does not name any more. */
	const struct meta_app *before = meta_apps_find(apps, slice_from_text(work->app->name));
	for (size_t i = 0; before && i < before->history_count; i++) {
		const char *hash = before->history[i].hash;
		if (!meta_app_activation(work->app, hash))
			batch_delete(out, bundle_key(hash, key));
	}
	/* Only a deployment brings one: else it was read from there. */
	if (meta_brings_bundle(work))
		batch_put(out, bundle_key(work->hash, key), work->bundle);
}

static void propose(struct meta *meta, struct slice record, uint64_t bytes)
{
	struct meta_work *work = &meta->work;
	uint8_t *batch = mem_alloc((size_t)bytes);
	if (!batch) {
		refuse(meta, STATUS_RESOURCE_EXHAUSTED, "out of memory: nothing was changed");
		return;
	}
	int error = group_reserve(meta->group, bytes, 1, !meta_brings_bundle(work));
	if (error == ERR_FULL) {
		work->waits = true; /* for room */
	} else if (error) {
		refuse(meta, status_from_error(error),
		    error == ERR_NO_SPACE ? "the disk is full: nothing was changed"
		                          : "the directory takes no changes now");
	} else {
		struct writer out = writer_of(batch, (size_t)bytes);
		write_batch(&meta->apps, work, record, &out);
		group_unreserve(meta->group, bytes, 1);
		group_propose(meta->group, writer_view(&out), &work->at);
		work->stage = META_STAGE_APPLY;
		work->waits = true;
	}
	mem_free(batch);
}

static void run_propose(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct buffer record;
	buffer_init(&record, ENTRY_BYTES_MAX);
	/* What is dropped has this number. */
	ASSERT(work->app->generation == meta_apps_generation(&meta->apps) + 1);
	/* A removal adds nothing to the history: the last activation keeps its time. */
	if (work->app->hash[0] && work->app->history_count)
		work->app->history[work->app->history_count - 1].at_ms = group_time_ms(meta->group);
	/* Nothing may fail once it is committed. */
	int error = meta_apps_reserve(&meta->apps);
	if (!error)
		error = meta_app_encode(work->app, &record);
	/* At most one bundle is forgotten: a change adds one to the history. */
	uint64_t bytes =
	    buffer_bytes(&record) + (meta_brings_bundle(work) ? work->bundle.bytes : 0) +
	    2 * BUNDLE_KEY_BYTES + 1 + NAME_BYTES_MAX + 3 * BATCH_OP_BYTES_MAX + BATCH_HEADER_BYTES;
	if (error) {
		refuse(meta, status_from_error(error), "the app's record could not be made");
	} else if (meta_brings_bundle(work) &&
	           !engine_writable(group_store_engine(meta->options.store))) {
		meta_refuse_full(meta);
		work->stage = META_STAGE_ANSWER;
	} else if (bytes > ENTRY_BYTES_MAX) {
		refuse(meta, STATUS_RESOURCE_EXHAUSTED,
		    "bundle and catalogue together are larger than an entry may be");
	} else {
		propose(meta, buffer_view(&record), bytes);
	}
	buffer_done(&record);
}

void meta_work_applied(struct meta *meta, const struct group_entry *entry)
{
	struct meta_work *work = &meta->work;
	if (work->stage != META_STAGE_APPLY || entry->at.index != work->at.index)
		return;
	ASSERT(entry->at.term == work->at.term); /* else `lost` had abandoned the work */
	work->waits = false;
	work->stage = META_STAGE_ACTIVATE;
	struct meta_app *app = work->app;
	int error = meta_apps_put(&meta->apps, app);
	ASSERT(!error); /* reserved */
	work->app_is_ours = false;
	LOG_LINE(LEVEL_INFO, "app_changed", FIELD_U64("group", 0),
	    FIELD_U64("term", entry->at.term), FIELD_U64("index", entry->at.index),
	    FIELD_TEXT("app", app->name), FIELD_TEXT("hash", app->hash),
	    FIELD_U64("generation", app->generation));
}

/* ---- All stages ---- */

static void run_load(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	/* A removal has nothing to load. */
	if (!work->bundle.bytes) {
		work->stage = META_STAGE_PROPOSE;
		return;
	}
	ask_cores(work);
	meta->options.cores.load(meta->options.cores.arg, work->bundle);
}

static void run_activate(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	const struct meta_app *app = work->app;
	uint64_t now_ns = io_now_ns(meta->options.io);
	/* Requests wait behind one that is asked for again. */
	uint64_t timeout_ms = work->request || !meta->ready ? CALL_TIMEOUT_MS : AGAIN_TIMEOUT_MS;
	if (work->until_ns == 0)
		work->until_ns = now_ns + timeout_ms * NS_PER_MS;
	memset(meta->have, 0, sizeof(meta->have));
	struct meta_activation activation = {.app = slice_from_text(app->name),
	    .hash = app->hash,
	    .generation = app->generation,
	    .types = app->types,
	    .type_count = app->type_count,
	    .timeout_ms = work->until_ns > now_ns ? (work->until_ns - now_ns) / NS_PER_MS : 0,
	    .led_only = !meta_layout_is_alone(&meta->layout),
	    .have = meta->have};
	ask_cores(&meta->work);
	meta->options.cores.activate(meta->options.cores.arg, &activation);
}

static void run_answer(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct meta_request *request = work->request;
	if (request && request->status == STATUS_OK)
		meta_answer_work(request, work, meta->layout.cluster.shards);
	/* Right after a start, or while leaders change, it is over when it is asked for again. */
	bool lasts = request || meta_retry_lasts(meta) || (work->app && !work->app->is_behind);
	if (work->pending)
		LOG_LINE(lasts ? LEVEL_WARNING : LEVEL_INFO, "activation_pending",
		    FIELD_U64("group", 0), FIELD_TEXT("app", work->app->name),
		    FIELD_U64("shards", work->pending));
	end_work(meta);
}

void meta_work_run(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	while (meta->working && !work->waits) {
		switch (work->stage) {
		case META_STAGE_READ:
			run_read(meta);
			break;
		case META_STAGE_CHECK:
			if (!meta_check(meta))
				work->stage = META_STAGE_ANSWER;
			else
				work->stage =
				    work->request->dry_run ? META_STAGE_COUNT : META_STAGE_LOAD;
			break;
		case META_STAGE_COUNT:
			if (!meta_plan_count(meta))
				work->stage = META_STAGE_ANSWER;
			break;
		case META_STAGE_LOAD:
			run_load(meta);
			break;
		case META_STAGE_PROPOSE:
			run_propose(meta);
			break;
		case META_STAGE_APPLY:
			UNREACHABLE(); /* it waits */
			break;
		case META_STAGE_ACTIVATE:
			run_activate(meta);
			break;
		case META_STAGE_ANSWER:
			run_answer(meta);
			break;
		}
	}
}
