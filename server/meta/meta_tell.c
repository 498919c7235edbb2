/* What directories of different nodes tell each other of apps: which shards have a version.
 *
 *   format u8 | kind u8 | generation u64 | app: bytes u8, name | HAVE: shards u32, bits
 *
 *   ASK    from the leader: tell of this one
 *   HAVE   those that are known to have it, a bit for each shard from 0 to `shards`, lowest bit
 *          first
 *
 * What a shard has activated stays so under every leader that it will have, so what is told is true
 * for good: it may come late, twice, and from anybody. What is lost is asked for again: by the
 * second while a deployment waits, then as meta_retry.c has it. */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "server/meta/meta_parts.h"

enum { FORMAT = 1, ASK = 1, HAVE = 2, PAUSE_MS = 1000 };
#define HEADER_BYTES_MAX (1 + 1 + 8 + 1 + NAME_BYTES_MAX)

static size_t bits_bytes(uint32_t shards)
{
	return shards / 8 + 1;
}

/* ---- Telling ---- */

static void begin(struct writer *out, uint8_t kind, const struct meta_app *app)
{
	struct slice name = slice_from_text(app->name);
	writer_u8(out, FORMAT);
	writer_u8(out, kind);
	writer_u64le(out, app->generation);
	writer_u8(out, (uint8_t)name.bytes);
	writer_slice(out, name);
}

static void send(struct meta *meta, uint16_t node, const struct writer *out)
{
	ASSERT(!out->failed);
	if (node != 0 && node != meta_node(meta) && meta->options.tell)
		meta->options.tell(meta->options.arg, node, writer_view(out));
}

static void ask_all(struct meta *meta, const struct meta_app *app)
{
	uint8_t bytes[HEADER_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	begin(&out, ASK, app);
	for (uint32_t i = 0; i < meta->layout.node_count; i++)
		if (meta->layout.nodes[i].state != CLUSTER_NODE_REMOVED)
			send(meta, meta->layout.nodes[i].node, &out);
}

static void tell_of(struct meta *meta, uint16_t node, const struct meta_app *app)
{
	uint8_t bytes[HEADER_BYTES_MAX + 4 + META_SHARD_BITS_BYTES];
	struct writer out = writer_of(bytes, sizeof(bytes));
	begin(&out, HAVE, app);
	writer_u32le(&out, meta->layout.cluster.shards);
	writer_bytes(&out, app->have, bits_bytes(meta->layout.cluster.shards));
	send(meta, node, &out);
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

/* Bits of shards that there are, and no others. */
static bool read_bits(const struct meta *meta, struct reader *in, struct slice *ret_bits)
{
	uint32_t shards = reader_u32le(in);
	if (in->failed || shards != meta->layout.cluster.shards)
		return false;
	*ret_bits = reader_slice(in, bits_bytes(shards));
	if (!reader_finished(in))
		return false;
	unsigned above = (unsigned)ret_bits->data[ret_bits->bytes - 1] >> shards % 8 >> 1;
	return above == 0 && (ret_bits->data[0] & 1) == 0;
}

static bool knows(const struct meta *meta)
{
	return meta->state == META_FOLLOWING || meta->state == META_SERVING;
}

/* False: it is malformed. */
static bool take_message(struct meta *meta, uint16_t node, struct slice bytes)
{
	struct reader in = reader_of(bytes);
	struct slice bits = slice_of(NULL, 0);
	uint8_t format = reader_u8(&in);
	uint8_t kind = reader_u8(&in);
	uint64_t generation = reader_u64le(&in);
	struct slice name = reader_slice(&in, reader_u8(&in));
	if (in.failed || format != FORMAT || (kind != ASK && kind != HAVE))
		return false;
	if (kind == ASK ? !reader_finished(&in) : !read_bits(meta, &in, &bits))
		return false;
	/* Older ones are over; what is newer comes here yet, and is told of then. */
	struct meta_app *app = meta_apps_find(&meta->apps, name);
	bool is_it = app && app->generation == generation;
	if (kind == HAVE && is_it)
		take_have(meta, app, bits);
	if (kind != ASK)
		return true;
	meta->asked_by = node;
	if (!is_it)
		return true;
	tell_of(meta, node, app);
	app->asks_again = true;
	return true;
}

void meta_told(struct meta *meta, uint16_t node, struct slice bytes)
{
	if (!knows(meta) || meta->closing)
		return;
	if (!take_message(meta, node, bytes))
		LOG_LINE(LEVEL_WARNING, "directory_message_malformed", FIELD_U64("group", 0),
		    FIELD_U64("node", node), FIELD_U64("bytes", bytes.bytes));
}
