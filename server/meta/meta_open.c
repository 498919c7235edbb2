/* Reading shard 0 when a term begins, and making the cluster's record in a new one. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "server/meta/meta_keys.h"
#include "server/meta/meta_parts.h"
#include "server/meta/meta_records.h"
#include "storage/batch.h"

#define CLUSTER_RECORD_BYTES_MAX 128
#define STARVING_PAUSE_MS        1000

static int take_record(struct meta *meta, struct slice key, struct slice value)
{
	struct slice name = slice_of(key.data + 1, key.bytes - 1);
	struct meta_app *app;
	if (key.data[0] == META_KEY_CLUSTER) {
		meta->read_found = true;
		return meta_cluster_decode(value, &meta->read_cluster);
	}
	ASSERT(key.data[0] == META_KEY_APP);
	int error = meta_app_decode(name, value, &app);
	if (error)
		return error;
	error = meta_apps_put(&meta->read_apps, app);
	if (error)
		meta_app_free(app);
	return error;
}

static void read_records(struct io_op *op)
{
	struct meta *meta = CONTAINER_OF(op, struct meta, read_op);
	struct slice key, value;
	int error;
	while ((error = cursor_next(meta->cursor, &key, &value)) == 0)
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
	       "kalix-admin log verify and store verify";
}

static void tried_again(struct io_timer *timer)
{
	struct meta *meta = CONTAINER_OF(timer, struct meta, starving_timer);
	if (meta->state == META_STARVING)
		meta_open_begin(meta);
}

static void unreadable(struct meta *meta, int error)
{
	bool starves = error == ERR_NOMEM;
	LOG_LINE(starves ? LEVEL_WARNING : LEVEL_ERROR, "directory_unreadable",
	    FIELD_U64("group", 0), FIELD_ERROR("error", error),
	    FIELD_TEXT("advice", meta_error_text(error)));
	meta->state = starves ? META_STARVING : META_DAMAGED;
	meta->error = error;
	if (!starves)
		return;
	meta->starving_timer.fired = tried_again;
	io_timer_set(meta->options.io, &meta->starving_timer,
	    io_now_ns(meta->options.io) + STARVING_PAUSE_MS * NS_PER_MS);
}

void meta_open_stop(struct meta *meta)
{
	io_timer_cancel(meta->options.io, &meta->starving_timer);
}

static void serve(struct meta *meta)
{
	meta->state = META_SERVING;
	meta->ready = false;
	meta->restored = 0;
	if (!meta->opened) {
		meta->opened = true;
		meta->options.opened(meta->options.arg);
	}
}

static void records_read(struct io_op *op)
{
	struct meta *meta = CONTAINER_OF(op, struct meta, read_op);
	meta->read_under_way = false;
	cursor_close(meta->cursor);
	meta->cursor = NULL;
	/* Leadership may have come and gone: then the read is of no use. */
	if (meta->state != META_READING || op->result) {
		meta_apps_done(&meta->read_apps);
		if (meta->state == META_READING)
			unreadable(meta, (int)op->result);
		else if (meta->state == META_WAITING && group_leads(meta->group))
			meta_open_begin(meta);
		return;
	}
	meta_apps_done(&meta->apps);
	meta->apps = meta->read_apps;
	meta->read_apps = (struct meta_apps){.items = NULL};
	if (meta->read_found) {
		meta->cluster = meta->read_cluster;
		serve(meta);
		return;
	}
	meta->created_at = (struct group_position){.index = 0};
	meta->create_waits = false;
	meta->state = META_CREATING;
}

void meta_open_begin(struct meta *meta)
{
	static const uint8_t first[] = {META_KEY_CLUSTER};
	static const uint8_t end[] = {META_KEY_BUNDLE};
	if (meta->read_under_way)
		return;
	meta->state = META_READING;
	meta->read_found = false;
	int error = cursor_open(group_store_engine(meta->options.store), 0,
	    slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), &meta->cursor);
	if (error) {
		unreadable(meta, error);
		return;
	}
	meta->read_under_way = true;
	meta->read_op.done = records_read;
	io_offload(meta->options.io, &meta->read_op, read_records);
}

/* ---- A new cluster ---- */

void meta_open_create(struct meta *meta)
{
	static const uint8_t key[] = {META_KEY_CLUSTER};
	uint8_t batch[CLUSTER_RECORD_BYTES_MAX + BATCH_OP_BYTES_MAX + BATCH_HEADER_BYTES + 8];
	struct buffer record;
	snprintf(meta->cluster.id, sizeof(meta->cluster.id), "%016llx%016llx",
	    (unsigned long long)meta->options.id_wanted[0],
	    (unsigned long long)meta->options.id_wanted[1]);
	meta->cluster.shards = meta->options.shards_wanted;
	/* One small record: a disk that is nearly full has room for it. */
	int error = group_reserve(meta->group, sizeof(batch), 1, true);
	if (error == ERR_FULL || error == ERR_NO_SPACE) {
		LOG_LINE(LEVEL_WARNING, "directory_waits", FIELD_U64("group", 0),
		    FIELD_ERROR("for_room", error));
		meta->create_waits = true;
		return;
	}
	if (error) {
		unreadable(meta, error);
		return;
	}
	buffer_init(&record, CLUSTER_RECORD_BYTES_MAX);
	error = meta_cluster_encode(&meta->cluster, group_time_ms(meta->group), &record);
	struct writer out = writer_of(batch, sizeof(batch));
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), buffer_view(&record));
	group_unreserve(meta->group, sizeof(batch), 1);
	if (error)
		unreadable(meta, error);
	else
		group_propose(meta->group, writer_view(&out), &meta->created_at);
	buffer_done(&record);
}

void meta_open_applied(struct meta *meta, const struct group_entry *entry)
{
	if (meta->created_at.index != entry->at.index)
		return;
	if (meta->created_at.term == entry->at.term)
		serve(meta);
	else
		meta_open_begin(meta);
}
