/* The directory's life: its group, the queue of requests, and what happens when it stops leading.
 */
#include "server/meta/meta.h"

#include <string.h>

#include "base/assert.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/meta/meta_parts.h"

/* ---- What the group tells ---- */

static void leading(void *arg, uint64_t term)
{
	struct meta *meta = arg;
	ASSERT(!meta->leads);
	LOG_LINE(LEVEL_INFO, "directory_leads", FIELD_U64("group", 0), FIELD_U64("term", term));
	meta_open_lead(meta);
}

static void lost(void *arg)
{
	static const char why[] = "the directory lost its leadership";
	struct meta *meta = arg;
	meta->leads = false;
	/* What is restored here is so all the same. */
	if (meta->working && meta->work.request)
		meta_work_abandon(meta, STATUS_UNAVAILABLE, why);
	meta_change_abandon(meta, STATUS_UNAVAILABLE, why);
	if (meta->state == META_SERVING) {
		meta->state = META_FOLLOWING;
	} else if (meta->state == META_CREATING) {
		meta_layout_done(&meta->next);
		meta->state = META_WAITING;
	}
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct meta *meta = arg;
	switch (meta->state) {
	case META_WAITING:
		meta_open_begin(meta);
		break;
	case META_READING:
		meta->read_again |= entry->kind == GROUP_BATCH;
		break;
	case META_CREATING:
		meta_open_applied(meta, entry);
		break;
	case META_FOLLOWING:
		meta_follow_applied(meta, entry);
		break;
	case META_SERVING:
		meta_change_applied(meta, entry);
		if (meta->working)
			meta_work_applied(meta, entry);
		break;
	case META_STARVING:
	case META_DAMAGED:
		break;
	}
}

static void confirmed(void *arg, uint64_t round)
{
	/* The directory's answers follow from what it applied itself in this term. */
	(void)arg;
	(void)round;
}

static void room(void *arg)
{
	struct meta *meta = arg;
	meta->create_waits = false;
	meta->change_waits = false;
	if (meta->working && meta->work.stage == META_STAGE_PROPOSE)
		meta->work.waits = false;
}

/* The whole state is another one. */
static void installed(void *arg, struct group_position at)
{
	struct meta *meta = arg;
	(void)at;
	ASSERT(!meta->leads);
	if (meta->state != META_DAMAGED)
		meta_open_begin(meta);
}

/* Another node has a vote in it, and will lead it. */
static bool have_others(const struct meta *meta)
{
	uint16_t self = meta_node(meta);
	if (!meta->map)
		return false;
	const struct cluster_shard *directory = &meta->map->shards[0];
	for (uint32_t i = 0; i < directory->count; i++)
		if (directory->replicas[i].voter &&
		    cluster_replica_node(directory->replicas[i].replica) != self)
			return true;
	return false;
}

static void closed(void *arg)
{
	struct meta *meta = arg;
	bool is_last = !have_others(meta);
	enum status status = is_last ? STATUS_DATA_LOSS : STATUS_UNAVAILABLE;
	const char *why = is_last ? "the directory is damaged"
	                          : "the directory is damaged here, and another node will lead it";
	LOG_LINE(LEVEL_ERROR, "directory_closed", FIELD_U64("group", 0),
	    FIELD_TEXT("advice", "see kalix-admin log verify and store verify"));
	if (meta->working)
		meta_work_abandon(meta, status, why);
	meta_change_abandon(meta, status, why);
	meta->leads = false;
	meta->state = META_DAMAGED;
	meta->error = ERR_DATA_LOSS;
}

static const struct group_events events = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .confirmed = confirmed,
    .room = room,
    .installed = installed,
    .closed = closed};

/* ---- Life ---- */

int meta_new(const struct meta_options *options, struct meta **ret_meta)
{
	struct meta *meta = mem_zalloc(1, sizeof(*meta));
	if (!meta)
		return ERR_NOMEM;
	meta->options = *options;
	list_init(&meta->queue);
	list_init(&meta->changes);
	list_init(&meta->tried);
	int error = group_add(options->store, 0, &events, meta, &meta->group);
	if (error) {
		mem_free(meta);
		return error;
	}
	if (options->replica != 0)
		group_set_self(meta->group, options->replica);
	meta->last_before = group_last(meta->group);
	*ret_meta = meta;
	return 0;
}

void meta_free(struct meta *meta)
{
	if (!meta)
		return;
	ASSERT(!meta->working && list_empty(&meta->queue));
	ASSERT(list_empty(&meta->changes) && list_empty(&meta->tried));
	ASSERT(!meta->read_under_way && !meta->load_under_way);
	meta_retry_stop(meta);
	meta_open_stop(meta);
	meta_tell_stop(meta);
	meta_apps_done(&meta->apps);
	meta_layout_done(&meta->layout);
	meta_layout_done(&meta->next);
	cluster_map_release(meta->map);
	mem_free(meta);
}

void meta_start(struct meta *meta)
{
	group_start(meta->group);
	meta_open_start(meta);
}

const struct meta_cluster *meta_cluster(const struct meta *meta)
{
	return meta->opened ? &meta->layout.cluster : NULL;
}

bool meta_leads(const struct meta *meta)
{
	return meta->state == META_SERVING;
}

int meta_error(const struct meta *meta)
{
	return meta->state == META_DAMAGED || meta->state == META_STARVING ? meta->error : 0;
}

/* ---- Requests ---- */

static bool is_app(enum meta_verb verb)
{
	return verb < META_NODE_JOIN;
}

void meta_submit(struct meta *meta, struct meta_request *request)
{
	ASSERT(request->done);
	buffer_init(&request->reply, BUNDLE_BYTES_MAX);
	buffer_init(&request->details, ERROR_TEXT_BYTES_MAX * 4);
	list_node_init(&request->link);
	list_push_back(is_app(request->verb) ? &meta->queue : &meta->changes, &request->link);
}

static struct meta_request *next_of(struct list *list)
{
	struct list_node *node = list_pop_front(list);
	return node ? CONTAINER_OF(node, struct meta_request, link) : NULL;
}

static void refuse_all(struct meta *meta, enum status status, const char *why)
{
	struct meta_request *request;
	while ((request = next_of(&meta->queue)) || (request = next_of(&meta->changes))) {
		meta_refuse(request, status, "%s", why);
		request->done(request);
	}
}

static void refuse_here(struct meta *meta, struct meta_request *request)
{
	uint16_t leader = meta->options.leader ? meta->options.leader(meta->options.arg) : 0;
	meta_refuse(request, STATUS_UNAVAILABLE,
	    "this node does not lead the directory, which is where it is changed");
	request->leader_node = leader == meta_node(meta) ? 0 : leader;
	request->done(request);
}

static void refuse_all_here(struct meta *meta)
{
	struct meta_request *request;
	while ((request = next_of(&meta->queue)) || (request = next_of(&meta->changes)))
		refuse_here(meta, request);
}

/* All but those that only read. */
static void refuse_changes(struct meta *meta)
{
	struct meta_request *request;
	LIST_FOR_EACH_REMOVABLE(node, &meta->queue)
	{
		request = CONTAINER_OF(node, struct meta_request, link);
		if (request->verb == META_APP_LIST)
			continue;
		list_remove(node);
		refuse_here(meta, request);
	}
	while ((request = next_of(&meta->changes)))
		refuse_here(meta, request);
}

/* Apps that are active are restored first, one after the other, in this and later turns. */
static void begin_next(struct meta *meta)
{
	if (!meta->ready && meta->restored < meta->apps.count) {
		meta_work_restore(meta, meta->apps.items[meta->restored++]);
		return;
	}
	meta->ready = true;
	if (!meta->ready_told) {
		meta->ready_told = true;
		meta->options.ready(meta->options.arg);
	}
	struct meta_app *behind = meta_retry_next(meta);
	if (behind) {
		meta_work_restore(meta, behind);
		return;
	}
	struct meta_request *request = next_of(&meta->queue);
	if (request)
		meta_work_begin(meta, request);
}

/* Who asks how things are does not wait for shards that are asked again. */
static void answer_lists(struct meta *meta)
{
	struct list_node *node;
	while ((node = list_first(&meta->queue)) &&
	       CONTAINER_OF(node, struct meta_request, link)->verb == META_APP_LIST)
		meta_work_begin(meta, next_of(&meta->queue));
}

bool meta_close(struct meta *meta)
{
	meta->closing = true;
	meta_retry_stop(meta);
	meta_open_stop(meta);
	meta_tell_stop(meta);
	/* Where cores have the bundle, this ends when they return it. */
	if (meta->working)
		meta_work_abandon(meta, STATUS_UNAVAILABLE, "the server is stopping");
	meta_change_abandon(meta, STATUS_UNAVAILABLE, "the server is stopping");
	refuse_all(meta, STATUS_UNAVAILABLE, "the server is stopping");
	return !meta->read_under_way && !meta->load_under_way && !meta->working;
}

bool meta_turn(struct meta *meta)
{
	if (meta->closing)
		return false;
	switch (meta->state) {
	case META_WAITING:
		/* Clients hear at once that nobody leads; they repeat. */
		if (meta->opened)
			refuse_all(meta, STATUS_UNAVAILABLE, "the directory has no leader");
		return false;
	case META_READING:
		return false;
	case META_CREATING:
		if (meta->created_at.index == 0 && !meta->create_waits)
			meta_open_create(meta);
		return false;
	case META_STARVING:
		refuse_all(meta, STATUS_RESOURCE_EXHAUSTED,
		    "out of memory: the directory could not be read, and is tried again every "
		    "second; nothing was changed");
		return false;
	case META_DAMAGED:
		if (have_others(meta))
			refuse_all_here(meta);
		else
			refuse_all(meta, STATUS_DATA_LOSS, meta_error_text(meta->error));
		return false;
	case META_FOLLOWING:
	case META_SERVING:
		break;
	}
	if (!meta_map_publish(meta))
		return false;
	if (meta->state == META_SERVING)
		meta_change_turn(meta);
	else
		refuse_changes(meta);
	if (!meta->working)
		begin_next(meta);
	else if (meta->ready && !meta->work.request)
		answer_lists(meta);
	if (meta->working && !meta->work.waits)
		meta_work_run(meta);
	if (!meta->working && meta->ready)
		meta_retry_plan(meta);
	/* Until ready, the next turn restores the next app, or says that all are. */
	bool idle = meta->ready && list_empty(&meta->queue) && !meta_retry_is_due(meta);
	return meta_change_is_due(meta) || (meta->working ? !meta->work.waits : !idle);
}

void meta_loaded(struct meta *meta, enum status status, struct slice message)
{
	struct meta_work *work = &meta->work;
	ASSERT(meta->working && work->stage == META_STAGE_LOAD);
	if (!meta_work_returned(meta))
		return;
	work->stage = work->request && !work->unchanged ? META_STAGE_PROPOSE : META_STAGE_ACTIVATE;
	/* A bundle that nobody has yet is no lack. */
	if (work->stage == META_STAGE_ACTIVATE)
		work->app->not_loaded = status != STATUS_OK;
	if (status == STATUS_OK)
		return;
	work->stage = META_STAGE_ANSWER;
	if (work->request)
		meta_refuse(work->request, status, "a core could not load the bundle: %.*s",
		    (int)message.bytes, (const char *)message.data);
	else {
		LOG_LINE(LEVEL_ERROR, "bundle_not_loaded", FIELD_TEXT("app", work->app->name),
		    FIELD_TEXT("status", status_name(status)));
		meta_retry_note(meta, status, meta->layout.cluster.shards);
	}
}

bool meta_lacks_bundle(const struct meta *meta)
{
	for (size_t i = 0; i < meta->apps.count; i++)
		if (meta->apps.items[i]->not_loaded)
			return true;
	return false;
}

void meta_activated(struct meta *meta, enum status status, uint32_t pending)
{
	ASSERT(meta->working && meta->work.stage == META_STAGE_ACTIVATE);
	if (!meta_work_returned(meta))
		return;
	struct meta_work *work = &meta->work;
	for (uint32_t shard = 1; shard <= meta->layout.cluster.shards; shard++)
		if (meta->have[shard])
			work->app->have[shard / 8] |= (uint8_t)(1U << shard % 8);
	meta_retry_note(meta, status, pending);
	work->pending = work->app->pending;
	/* One that began to lead while the others were asked. */
	bool again = work->request && work->app->led_again &&
	             meta_tell_is_unreached(meta, work->app) &&
	             io_now_ns(meta->options.io) < work->until_ns;
	if (again)
		work->app->led_again = false;
	else if (!meta_tell_activated(meta))
		work->stage = META_STAGE_ANSWER;
}
