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

void meta_retry_note(struct meta *meta, enum status status, uint32_t pending)
{
	struct meta_app *app = meta->work.app;
	if (app->pending > 0 && pending == 0)
		LOG_LINE(LEVEL_INFO, "activation_completed", FIELD_U64("group", 0),
		    FIELD_TEXT("app", app->name), FIELD_U64("generation", app->generation));
	app->pending = pending;
	/* A closed shard stays so until it is repaired, and then there is a start. */
	app->is_behind = pending > 0 && status != STATUS_DATA_LOSS;
	count_pending(meta);
}

static void fired(struct io_timer *timer)
{
	struct meta *meta = CONTAINER_OF(timer, struct meta, retry_timer);
	for (size_t i = 0; i < meta->apps.count; i++)
		meta->apps.items[i]->asks_again = meta->apps.items[i]->is_behind;
}

static bool is_any(const struct meta *meta, bool again)
{
	for (size_t i = 0; i < meta->apps.count; i++) {
		const struct meta_app *app = meta->apps.items[i];
		if (again ? app->asks_again : app->is_behind)
			return true;
	}
	return false;
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
		if (!app->asks_again)
			continue;
		app->asks_again = false;
		return app;
	}
	return NULL;
}

void meta_retry_stop(struct meta *meta)
{
	io_timer_cancel(meta->options.io, &meta->retry_timer);
}
