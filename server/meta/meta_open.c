/* Reading shard 0, at the begin of a term or of following, and making the records of a new cluster,
 * or of one that an earlier version made. */
#include <stdio.h>
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

#define STARVING_PAUSE_MS 1000
/* Who leads does so by then, mostly: and reads once. */
#define FOLLOWING_PAUSE_MS 100

static int take_app(struct meta *meta, struct slice name, struct slice value)
{
	struct meta_app *app, *old;
	int error = meta_app_decode(name, value, &app);
	if (error)
		return error;
	error = meta_apps_exchange(&meta->read_apps, app, &old);
	meta_app_free(error ? app : old);
	return error;
}

static int take_record(struct meta *meta, struct slice key, struct slice value)
{
	struct slice rest = slice_of(key.data + 1, key.bytes - 1);
	if (key.data[0] == META_KEY_APP)
		return take_app(meta, rest, value);
	return meta_layout_take(&meta->read_layout, key, value);
}

static void read_records(struct io_op *op)
{
	struct meta *meta = CONTAINER_OF(op, struct meta, read_op);
	struct slice key, value;
	int error = ERR_NOT_FOUND;
	for (size_t i = 0; i < META_RANGES && error == ERR_NOT_FOUND; i++)
		while ((error = cursor_next(meta->cursors[i], &key, &value)) == 0)
			if ((error = take_record(meta, key, value)))
				break;
	op->result = error == ERR_NOT_FOUND ? 0 : error;
}

const char *meta_error_text(int error)
{
	if (error == ERR_NOMEM)
		return "there is no memory for the directory (shard 0): give the process more, and "
		       "start it again; nothing is lost";
	if (error == ERR_FORMAT)
		return "a newer version of Kalix wrote the directory (shard 0): use that one, or a "
		       "newer one; nothing is lost";
	return "the directory (shard 0) is damaged, and nothing can be served without it: see "
	       "kalix-admin log verify and store verify. If this is a node of a cluster: start it "
	       "with --join HOST:PORT of another one, and it gets the directory from there";
}

static void tried_again(struct io_timer *timer)
{
	struct meta *meta = CONTAINER_OF(timer, struct meta, again_timer);
	if (meta->state == META_STARVING || meta->state == META_WAITING)
		meta_open_begin(meta);
}

static void wait_ms(struct meta *meta, uint64_t ms)
{
	meta->again_timer.fired = tried_again;
	io_timer_set(
	    meta->options.io, &meta->again_timer, io_now_ns(meta->options.io) + ms * NS_PER_MS);
}

void meta_open_start(struct meta *meta)
{
	wait_ms(meta, FOLLOWING_PAUSE_MS);
}

void meta_open_again(struct meta *meta)
{
	wait_ms(meta, STARVING_PAUSE_MS);
}

void meta_open_failed(struct meta *meta, int error)
{
	bool starves = error == ERR_NOMEM;
	LOG_LINE(starves ? LEVEL_WARNING : LEVEL_ERROR, "directory_unreadable",
	    FIELD_U64("group", 0), FIELD_ERROR("error", error),
	    FIELD_TEXT("advice", meta_error_text(error)));
	meta->state = starves ? META_STARVING : META_DAMAGED;
	meta->error = error;
	meta_layout_done(&meta->next);
	if (starves)
		meta_open_again(meta);
}

void meta_open_stop(struct meta *meta)
{
	io_timer_cancel(meta->options.io, &meta->again_timer);
}

/* ---- What is known now ---- */

/* Those that were restored before, and are the same, are so still. */
static void take_apps(struct meta *meta)
{
	for (size_t i = 0; i < meta->read_apps.count; i++) {
		struct meta_app *app = meta->read_apps.items[i];
		struct meta_app *old = meta_apps_find(&meta->apps, slice_from_text(app->name));
		if (old && old->generation == app->generation)
			meta_app_adopt(app, old);
		/* What work that is under way comes to is not noted here. */
		if (!old || old->generation != app->generation || meta_work_keeps(meta, old))
			app->asks_again = true;
	}
	for (size_t i = meta->apps.count; i > 0; i--)
		if (meta_work_keeps(meta, meta->apps.items[i - 1]))
			meta_apps_remove(&meta->apps, meta->apps.items[i - 1]);
	meta_apps_done(&meta->apps);
	meta->apps = meta->read_apps;
	meta->read_apps = (struct meta_apps){.items = NULL};
	meta->restored = 0;
}

/* Everything is known: it serves, or follows. */
static void know(struct meta *meta)
{
	meta->state = meta->leads ? META_SERVING : META_FOLLOWING;
	if (!meta->leads)
		return;
	/* Each app is asked for: what other nodes have of it is not known here. */
	for (size_t i = 0; i < meta->apps.count; i++)
		meta->apps.items[i]->asks_again = true;
}

void meta_open_lead(struct meta *meta)
{
	meta->leads = true;
	if (meta->state == META_WAITING)
		meta_open_begin(meta);
	else if (meta->state == META_FOLLOWING)
		know(meta);
}

static void drop_read(struct meta *meta)
{
	meta_apps_done(&meta->read_apps);
	meta_layout_done(&meta->read_layout);
}

static void take_read(struct meta *meta, bool is_whole)
{
	take_apps(meta);
	meta_layout_done(&meta->layout);
	meta->layout = meta->read_layout;
	meta->read_layout = (struct meta_layout){.nodes = NULL};
	if (is_whole) {
		meta_map_note(meta, meta->read_index);
		know(meta);
		return;
	}
	meta->created_at = (struct group_position){.index = 0};
	meta->create_waits = false;
	meta->state = META_CREATING;
}

static void records_read(struct io_op *op)
{
	struct meta *meta = CONTAINER_OF(op, struct meta, read_op);
	meta->read_under_way = false;
	for (size_t i = 0; i < META_RANGES; i++) {
		cursor_close(meta->cursors[i]);
		meta->cursors[i] = NULL;
	}
	int error = (int)op->result;
	int found = error ? error : meta_layout_check(&meta->read_layout);
	bool follows = !meta->leads && !found && !meta_layout_is_alone(&meta->read_layout);
	bool creates = meta->leads && found == ERR_NOT_FOUND && !meta->options.joining;
	if (meta->closing || meta->state != META_READING) {
		drop_read(meta);
	} else if (meta->read_again) {
		/* What was read may be gone, and no sign of damage. */
		drop_read(meta);
		meta_open_begin(meta);
	} else if (found && found != ERR_NOT_FOUND) {
		drop_read(meta);
		meta_open_failed(meta, found);
	} else if ((meta->leads && !found) || follows || creates) {
		take_read(meta, !found);
	} else {
		/* Nobody's yet, as far as it has come; or this node's alone, who is to lead. */
		drop_read(meta);
		meta->state = META_WAITING;
	}
}

static int open_cursors(struct meta *meta)
{
	static const uint8_t ranges[META_RANGES][2] = {
	    {META_KEY_CLUSTER, META_KEY_BUNDLE}, {META_KEY_NODE, META_KEY_END}};
	struct engine *engine = group_store_engine(meta->options.store);
	int error = 0;
	for (size_t i = 0; i < META_RANGES && !error; i++)
		error = cursor_open(engine, 0, slice_of(&ranges[i][0], 1),
		    slice_of(&ranges[i][1], 1), &meta->cursors[i]);
	return error;
}

/* Another state is just being put in the place of this one, and is told of when it is there. */
static void wait_for_install(struct meta *meta)
{
	meta->state = META_WAITING;
	wait_ms(meta, FOLLOWING_PAUSE_MS);
}

void meta_open_begin(struct meta *meta)
{
	if (meta->read_under_way) {
		meta->read_again = true;
		return;
	}
	meta->state = META_READING;
	meta->read_again = false;
	int error = open_cursors(meta);
	if (error) {
		for (size_t i = 0; i < META_RANGES; i++) {
			cursor_close(meta->cursors[i]);
			meta->cursors[i] = NULL;
		}
		if (error == ERR_AGAIN)
			wait_for_install(meta);
		else
			meta_open_failed(meta, error);
		return;
	}
	meta->read_index = cursor_index(meta->cursors[0]);
	meta->read_under_way = true;
	meta->read_op.done = records_read;
	io_offload(meta->options.io, &meta->read_op, read_records);
}

/* ---- A new cluster, or one of an earlier version ---- */

static int make_next(struct meta *meta)
{
	struct meta_cluster cluster = meta->layout.cluster;
	if (meta->next.shards)
		return 0;
	if (cluster.shards == 0) {
		snprintf(cluster.id, sizeof(cluster.id), "%016llx%016llx",
		    (unsigned long long)meta->options.id_wanted[0],
		    (unsigned long long)meta->options.id_wanted[1]);
		cluster.shards = meta->options.shards_wanted;
		cluster.replication_factor = META_FACTOR_DEFAULT;
		cluster.next_node = 2;
		cluster.created_ms = group_time_ms(meta->group);
	}
	int error = meta_layout_set_cluster(&meta->next, &cluster);
	return error ? error : meta_layout_begin(&meta->next, &meta->options.self);
}

void meta_open_create(struct meta *meta)
{
	uint8_t *batch;
	size_t bytes;
	int error = make_next(meta);
	if (!error)
		error = meta_layout_batch(&meta->layout, &meta->next, &batch, &bytes);
	if (error) {
		meta_open_failed(meta, error);
		return;
	}
	/* Small records: a disk that is nearly full has room for them. */
	error = group_reserve(meta->group, bytes, 1, true);
	if (error == ERR_FULL || error == ERR_NO_SPACE) {
		LOG_LINE(LEVEL_WARNING, "directory_waits", FIELD_U64("group", 0),
		    FIELD_ERROR("for_room", error));
		meta->create_waits = true;
	} else if (error) {
		meta_open_failed(meta, error);
	} else {
		group_unreserve(meta->group, bytes, 1);
		group_propose(meta->group, slice_of(batch, bytes), &meta->created_at);
	}
	mem_free(batch);
}

void meta_open_applied(struct meta *meta, const struct group_entry *entry)
{
	if (meta->created_at.index != entry->at.index)
		return;
	if (meta->created_at.term != entry->at.term) {
		meta_layout_done(&meta->next);
		meta_open_begin(meta);
		return;
	}
	meta_layout_done(&meta->layout);
	meta->layout = meta->next;
	meta->next = (struct meta_layout){.nodes = NULL};
	meta_map_note(meta, entry->at.index);
	know(meta);
}
