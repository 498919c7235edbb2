/* What a follower applies becomes what it knows, and what is known becomes the map. */
#include "base/log_line.h"
#include "server/meta/meta_keys.h"
#include "server/meta/meta_parts.h"
#include "server/meta/meta_records.h"
#include "storage/batch.h"

/* ---- What is applied ---- */

static int take_app(struct meta *meta, struct slice name, struct slice record)
{
	struct meta_app *app, *old;
	int error = meta_app_decode(name, record, &app);
	if (error)
		return error;
	error = meta_apps_exchange(&meta->apps, app, &old);
	if (error) {
		meta_app_free(app);
		return error;
	}
	app->asks_again = true;
	if (old && !meta_work_keeps(meta, old))
		meta_app_free(old);
	return 0;
}

/* Bundles are read when they are needed, and so is one that goes. */
static int take(struct meta *meta, const struct batch_op *op, bool *is_layout)
{
	uint8_t kind = op->key.data[0];
	if (op->kind != BATCH_PUT || kind == META_KEY_BUNDLE || kind >= META_KEY_END)
		return 0;
	if (kind == META_KEY_APP)
		return take_app(meta, slice_of(op->key.data + 1, op->key.bytes - 1), op->value);
	*is_layout = true;
	return meta_layout_take(&meta->layout, op->key, op->value);
}

void meta_follow_applied(struct meta *meta, const struct group_entry *entry)
{
	struct batch_cursor cursor;
	struct batch_op op;
	bool is_layout = false;
	int error = 0;
	if (entry->kind != GROUP_BATCH)
		return;
	batch_read(entry->batch, &cursor);
	while (!error && batch_next(&cursor, &op))
		error = take(meta, &op, &is_layout);
	/* Half of it may be taken in: all is read again. */
	if (error)
		meta_open_failed(meta, error);
	else if (is_layout)
		meta_map_note(meta, entry->at.index);
}

/* ---- The map ---- */

void meta_map_note(struct meta *meta, uint64_t index)
{
	if (index > meta->map_index)
		meta->map_index = index;
}

/* A replica in the place of a damaged one begins with nothing, so that what it applies first is
 * older than what this node once knew. The record that has its number is newer than all of that. */
static bool knows_itself(const struct meta *meta)
{
	const struct cluster_shard *shard = meta->layout.shards;
	bool found = meta->options.replica == 0;
	for (uint32_t i = 0; shard && i < shard->count && !found; i++)
		found = shard->replicas[i].replica == meta->options.replica;
	return found;
}

/* What was applied before this start stood in the log then. Behind an entry of a later term there
 * is none of what stood there and is not committed: it was replaced. */
static void look_back(struct meta *meta)
{
	struct group_position at = group_applied(meta->group);
	if (meta->caught_up || !knows_itself(meta) ||
	    (at.index < meta->last_before.index && at.term <= meta->last_before.term))
		return;
	meta->caught_up = true;
	/* It may say the same as before, and is a newer one. */
	meta_map_note(meta, at.index);
}

bool meta_map_publish(struct meta *meta)
{
	struct cluster_map *map;
	look_back(meta);
	if (!meta->map || meta->map->version < meta->map_index) {
		int error = meta_layout_map(&meta->layout, meta->map_index, &map);
		if (error) {
			LOG_LINE(LEVEL_WARNING, "map_not_made", FIELD_U64("group", 0),
			    FIELD_ERROR("error", error));
			meta_open_again(meta);
			return meta->opened;
		}
		map->is_caught_up = meta->caught_up;
		cluster_map_release(meta->map);
		meta->map = map;
		if (meta->options.map_changed)
			meta->options.map_changed(meta->options.arg, cluster_map_hold(map));
	}
	if (!meta->opened) {
		meta->opened = true;
		meta->options.opened(meta->options.arg);
	}
	return true;
}

struct cluster_map *meta_map(const struct meta *meta)
{
	return meta->map;
}

bool meta_began_with_some(const struct meta *meta)
{
	return meta->last_before.index > 0;
}

uint16_t meta_node(const struct meta *meta)
{
	const struct cluster_node *node =
	    meta_layout_incarnation(&meta->layout, meta->options.self.incarnation);
	return node && node->state != CLUSTER_NODE_REMOVED ? node->node : 0;
}
