/* Shards that could not take an activation in time are asked again, for as long as it takes: what
 * the directory has committed becomes true everywhere without anybody's help, once the cause (a
 * full disk, memory, a leader) is over. An app is asked for again as it is restored at a start; an
 * activation that a shard has already is done at once. */
#include "base/clock.h"
#include "base/log_line.h"
#include "server/meta/meta_parts.h"

enum { PAUSE_FIRST_MS = 1000, PAUSE_LAST_MS = 60 * 1000 };

static void count_pending(struct meta *meta)
{
	uint32_t pending = 0;
	for (size_t i = 0; i < meta->apps.count; i++)
		pending += meta->apps.items[i]->pending;
	atomic_store_explicit(&meta->pending, pending, memory_order_relaxed);
}

uint32_t meta_pending(const struct meta *meta)
{
	return atomic_load_explicit(&meta->pending, memory_order_relaxed);
}

void meta_retry_count(struct meta *meta, struct meta_app *app)
{
	uint32_t shards = meta->layout.cluster.shards, before = app->pending;
	bool counts_all = meta->leads && !meta_layout_is_alone(&meta->layout);
	app->pending = counts_all ? shards - meta_app_count_have(app, shards) : app->pending_here;
	if (before > 0 && app->pending == 0)
		LOG_LINE(LEVEL_INFO, "activation_completed", FIELD_U64("group", 0),
		    FIELD_TEXT("app", app->name), FIELD_U64("generation", app->generation));
	/* A closed shard stays so until it is repaired, and then there is a start; of those that
	 * are led elsewhere nothing of the kind is known. */
	app->is_behind = app->pending > 0 && (counts_all || !app->is_closed);
	count_pending(meta);
}

void meta_retry_note(struct meta *meta, enum status status, uint32_t pending)
{
	struct meta_app *app = meta->work.app;
	app->pending_here = pending;
	app->is_closed = status == STATUS_DATA_LOSS;
	meta_retry_count(meta, app);
}

static void fired(struct io_timer *timer)
{
	struct meta *meta = CONTAINER_OF(timer, struct meta, retry_timer);
	for (size_t i = 0; i < meta->apps.count; i++)
		meta->apps.items[i]->asks_again |= meta->apps.items[i]->is_behind;
}

static bool is_any(const struct meta *meta, bool again)
{
	for (size_t i = 0; i < meta->apps.count; i++) {
		const struct meta_app *app = meta->apps.items[i];
		if (again ? app->asks_again || app->led_again : app->is_behind)
			return true;
	}
	return false;
}

bool meta_retry_lasts(const struct meta *meta)
{
	return meta->retry_ms > PAUSE_FIRST_MS;
}

bool meta_retry_is_due(const struct meta *meta)
{
	return is_any(meta, true);
}

void meta_retry_plan(struct meta *meta)
{
	if (meta->retry_timer.armed || is_any(meta, true))
		return;
	if (!is_any(meta, false)) {
		meta->retry_ms = 0;
		return;
	}
	uint64_t longer_ms = meta->retry_ms ? 2 * meta->retry_ms : PAUSE_FIRST_MS;
	meta->retry_ms = longer_ms < PAUSE_LAST_MS ? longer_ms : PAUSE_LAST_MS;
	meta->retry_timer.fired = fired;
	io_timer_set(meta->options.io, &meta->retry_timer,
	    io_now_ns(meta->options.io) + meta->retry_ms * NS_PER_MS);
}

struct meta_app *meta_retry_next(struct meta *meta)
{
	for (size_t i = 0; i < meta->apps.count; i++) {
		struct meta_app *app = meta->apps.items[i];
		bool is_led_again = app->led_again && meta_tell_is_unreached(meta, app);
		app->led_again = false;
		if (app->asks_again || is_led_again)
			return app;
	}
	return NULL;
}

void meta_retry_stop(struct meta *meta)
{
	io_timer_cancel(meta->options.io, &meta->retry_timer);
}
