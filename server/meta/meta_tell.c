/* Which shards have an app's version, as nodes tell each other (meta_message.h).
 *
 * What a shard has activated stays so under every leader that it will have, so what is told is true
 * for good: it may come late, twice, and from anybody. What is lost is asked for again: by the
 * second while a deployment waits, then as meta_retry.c has it. */
#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "server/meta/meta_message.h"
#include "server/meta/meta_parts.h"

enum { PAUSE_MS = 1000 };

/* ---- Telling ---- */

static void send(struct meta *meta, uint16_t node, const struct meta_message *message)
{
	uint8_t bytes[META_MESSAGE_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	if (node == 0 || node == meta_node(meta) || !meta->options.tell)
		return;
	meta_message_write(&out, message);
	ASSERT(!out.failed);
	meta->options.tell(meta->options.arg, node, writer_view(&out));
}

static void ask_all(struct meta *meta, const struct meta_app *app)
{
	struct meta_message message = {.kind = META_MESSAGE_ASK,
	    .generation = app->generation,
	    .app = slice_from_text(app->name)};
	for (uint32_t i = 0; i < meta->layout.node_count; i++)
		if (meta->layout.nodes[i].state != CLUSTER_NODE_REMOVED)
			send(meta, meta->layout.nodes[i].node, &message);
}

static void tell_of(struct meta *meta, uint16_t node, const struct meta_app *app)
{
	uint32_t shards = meta->layout.cluster.shards;
	struct meta_message message = {.kind = META_MESSAGE_HAVE,
	    .generation = app->generation,
	    .app = slice_from_text(app->name),
	    .shards = shards,
	    .bits = slice_of(app->have, shards / 8 + 1)};
	send(meta, node, &message);
}

/* ---- Waiting ---- */

static void end_wait(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	work->waits_for_nodes = false;
	work->waits = false;
	work->pending = work->app->pending;
	work->stage = META_STAGE_ANSWER;
}

static void fired(struct io_timer *timer);

static void wait(struct meta *meta)
{
	uint64_t now_ns = io_now_ns(meta->options.io);
	uint64_t next_ns = now_ns + PAUSE_MS * NS_PER_MS;
	if (next_ns > meta->work.until_ns)
		next_ns = meta->work.until_ns;
	meta->tell_timer.fired = fired;
	io_timer_set(meta->options.io, &meta->tell_timer, next_ns);
	ask_all(meta, meta->work.app);
}

static void fired(struct io_timer *timer)
{
	struct meta *meta = CONTAINER_OF(timer, struct meta, tell_timer);
	if (!meta->working || !meta->work.waits_for_nodes)
		return;
	if (io_now_ns(meta->options.io) >= meta->work.until_ns)
		end_wait(meta);
	else
		wait(meta);
}

bool meta_tell_activated(struct meta *meta)
{
	struct meta_work *work = &meta->work;
	struct meta_app *app = work->app;
	if (meta_layout_is_alone(&meta->layout))
		return false;
	if (!meta->leads) {
		uint16_t leader =
		    meta->options.leader ? meta->options.leader(meta->options.arg) : 0;
		tell_of(meta, leader ? leader : meta->asked_by, app);
		return false;
	}
	if (work->pending == 0)
		return false;
	if (!work->request || io_now_ns(meta->options.io) >= work->until_ns) {
		ask_all(meta, app);
		return false;
	}
	work->waits_for_nodes = true;
	work->waits = true;
	wait(meta);
	return true;
}

void meta_tell_stop(struct meta *meta)
{
	io_timer_cancel(meta->options.io, &meta->tell_timer);
}

/* ---- Being told ---- */

bool meta_tell_is_unreached(const struct meta *meta, const struct meta_app *app)
{
	for (size_t i = 0; i < sizeof(meta->led); i++)
		if (meta->led[i] & ~app->have[i])
			return true;
	return false;
}

void meta_shard_leads(struct meta *meta, uint32_t shard)
{
	struct meta_work *work = &meta->work;
	ASSERT(shard > 0 && shard <= SHARDS_MAX);
	meta->led[shard / 8] |= (uint8_t)(1U << shard % 8);
	for (size_t i = 0; i < meta->apps.count; i++)
		meta->apps.items[i]->led_again = true;
	if (!meta->working || !work->waits_for_nodes || !meta_tell_is_unreached(meta, work->app))
		return;
	/* The cores are asked once more, for what time is left. */
	work->waits_for_nodes = false;
	work->waits = false;
}

static void take_have(struct meta *meta, struct meta_app *app, struct slice bits)
{
	for (size_t i = 0; i < bits.bytes; i++)
		app->have[i] |= bits.data[i];
	meta_retry_count(meta, app);
	struct meta_work *work = &meta->work;
	if (meta->working && work->waits_for_nodes && work->app == app && app->pending == 0)
		end_wait(meta);
}

void meta_told(struct meta *meta, uint16_t node, struct slice bytes)
{
	struct meta_message message;
	bool knows = meta->state == META_FOLLOWING || meta->state == META_SERVING;
	if (!knows || meta->closing)
		return;
	if (meta_message_read(bytes, &message) ||
	    (message.kind == META_MESSAGE_HAVE && message.shards != meta->layout.cluster.shards)) {
		LOG_LINE(LEVEL_WARNING, "directory_message_malformed", FIELD_U64("group", 0),
		    FIELD_U64("node", node), FIELD_U64("bytes", bytes.bytes));
		return;
	}
	if (message.kind == META_MESSAGE_ASK)
		meta->asked_by = node;
	/* Older ones are over; what is newer comes here yet, and is told of then. */
	struct meta_app *app = meta_apps_find(&meta->apps, message.app);
	if (!app || app->generation != message.generation)
		return;
	if (message.kind == META_MESSAGE_HAVE) {
		take_have(meta, app, message.bits);
		return;
	}
	tell_of(meta, node, app);
	app->asks_again = true;
}
