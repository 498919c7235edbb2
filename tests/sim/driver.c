#include "tests/sim/driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"
#include "tests/sim/verdict.h"

static const uint64_t NS_PER_MS = 1000 * 1000;

enum { TIMER_MS_MAX = 4, IDLE_MS_MAX = 250 };

/* ---- Helpers of all its parts ---- */

bool driver_chance(struct driver *driver, unsigned permille)
{
	return permille > 0 && random_below(&driver->random, 1000) < permille;
}

size_t driver_pick(struct driver *driver)
{
	size_t role = random_below(&driver->random, DRIVER_ROLES);
	if (random_below(&driver->random, 100) < driver->load.busy_role_percent)
		role = driver->model->boot % DRIVER_ROLES;
	return driver->roles[role];
}

struct model_shard *driver_shard(const struct driver *driver, size_t shard)
{
	ASSERT(shard < driver->model->shard_count);
	return &driver->model->shards[shard];
}

uint64_t driver_lies(const struct sim *sim)
{
	struct sim_figures figures = sim_figures(sim);
	return figures.writes_lost + figures.writes_misdirected + figures.bits_rotted;
}

/* ---- Begin and end ---- */

static void room(void *arg)
{
	struct driver *driver = arg;
	driver->coverage->room_calls++;
}

static void timer_fired(struct io_timer *timer)
{
	struct driver *driver = CONTAINER_OF(timer, struct driver, timer);
	uint64_t delay_ms = 1 + random_below(&driver->random, TIMER_MS_MAX);
	io_timer_set(driver->io, timer, io_now_ns(driver->io) + delay_ms * NS_PER_MS);
}

void driver_boot(void *arg)
{
	struct driver *driver = arg;
	struct engine_options options = driver->options;
	options.fs = sim_node_fs(driver->node);
	options.io = driver->io;
	options.replay = driver_replay;
	options.durable = driver_durable;
	options.room = room;
	options.arg = driver;
	driver->open_error = engine_open(
	    &options, driver->open_why, sizeof(driver->open_why), &driver->engine, &driver->report);
	mem_fail_at(0);
	if (driver->open_error < 0) {
		ASSERT(driver->engine == NULL);
		io_free(driver->io);
		driver->io = NULL;
		return;
	}
	driver_check_recovery(driver);
	driver->timer.fired = timer_fired;
	io_timer_set(driver->io, &driver->timer, io_now_ns(driver->io) + NS_PER_MS);
}

void driver_reset(struct driver *driver)
{
	driver->io = NULL;
	driver->engine = NULL;
	memset(&driver->timer, 0, sizeof(driver->timer));
	memset(driver->reads, 0, sizeof(driver->reads));
	memset(driver->walks, 0, sizeof(driver->walks));
	memset(driver->held, 0, sizeof(driver->held));
	memset(&driver->install, 0, sizeof(driver->install));
	memset(driver->installed, 0, sizeof(driver->installed));
	memset(driver->payloads, 0, sizeof(driver->payloads));
	memset(driver->replays, 0, sizeof(driver->replays));
	memset(driver->has_term, 0, sizeof(driver->has_term));
	memset(&driver->report, 0, sizeof(driver->report));
	memset(&driver->figures, 0, sizeof(driver->figures));
	driver->idle_until_ns = 0;
	driver->has_begun = false;
	driver->settling = false;
	driver->closing = false;
	driver->closed = false;
	driver->wants_room = false;
	driver->refused_for_space = false;
	driver->open_error = 0;
	driver->open_why[0] = '\0';
}

void driver_ended(struct driver *driver)
{
	struct coverage *coverage = driver->coverage;
	const struct engine_figures *figures = &driver->figures;
	coverage->frames += figures->log.frames;
	coverage->watermark_frames += figures->log.watermarks;
	coverage->rewrite_frames += figures->log.rewrites;
	coverage->checkpoints += figures->checkpoints;
	coverage->checkpoint_retries += figures->checkpoint_retries;
	coverage->evictions += figures->table.evictions;
	coverage->store_loads += figures->loads;
	coverage->cached_reads += figures->cached_reads;
	driver->engine = NULL;
	driver->io = NULL;
}

/* ---- The turn ---- */

static bool has_work_under_way(const struct driver *driver)
{
	for (size_t i = 0; i < DRIVER_READS_MAX; i++)
		if (driver->reads[i].busy)
			return true;
	for (size_t i = 0; i < DRIVER_WALKS_MAX; i++)
		if (driver->walks[i].busy)
			return true;
	for (size_t i = 0; i < DRIVER_HELD_MAX; i++)
		if (driver->held[i].bytes > 0)
			return true;
	return driver->install.busy;
}

bool driver_is_settled(const struct driver *driver)
{
	if (has_work_under_way(driver) || driver->wants_room)
		return false;
	if (driver->model->acknowledged < driver->model->count)
		return false;
	for (size_t i = 0; i < DRIVER_ROLES; i++) {
		const struct model_shard *shard = driver_shard(driver, driver->roles[i]);
		if (!engine_shard_closed(driver->engine, shard->number) &&
		    engine_applied(driver->engine, shard->number).index < shard->log.count)
			return false;
	}
	return true;
}

void driver_print(const struct driver *driver, FILE *to)
{
	const struct log_figures *log = &driver->figures.log;
	if (driver->engine == NULL)
		return;
	fprintf(to,
	    "under way: %d, wants room: %d, acknowledged %zu of %zu\n"
	    "log: frames %" PRIu64 " (durable %" PRIu64 "), live %" PRIu64 " bytes in %" PRIu64
	    " segments (%" PRIu64 " to %" PRIu64 "), needed %" PRIu64 ", spare %" PRIu64
	    ", rewrites %" PRIu64 "\n"
	    "checkpoints %" PRIu64 ", dirty %" PRIu64 ", frozen %" PRIu64 ", free %" PRIu64
	    ", reserve %" PRIu64 "\n",
	    has_work_under_way(driver), driver->wants_room, driver->model->acknowledged,
	    driver->model->count, log->last_frame, log->durable_frame, log->live_bytes,
	    log->segments_live, log->first_segment, log->current_segment, log->needed_bytes,
	    log->segments_spare, log->rewrites, driver->figures.checkpoints,
	    driver->figures.table.dirty_bytes, driver->figures.table.frozen_bytes,
	    driver->figures.free_bytes, driver->figures.reserve_bytes);
	for (size_t i = 0; i < DRIVER_ROLES; i++) {
		const struct model_shard *shard = driver_shard(driver, driver->roles[i]);
		fprintf(to,
		    "shard %" PRIu32 "%s: last %" PRIu64 ", commit %" PRIu64 ", applied %" PRIu64
		    "%s\n",
		    shard->number, shard->lags ? " (lags)" : "", shard->log.count, shard->commit,
		    engine_applied(driver->engine, shard->number).index,
		    engine_shard_closed(driver->engine, shard->number) ? ", closed" : "");
	}
}

static void closed(void *arg)
{
	struct driver *driver = arg;
	ASSERT(driver->closing && !driver->closed);
	driver->closed = true;
}

static bool is_all_applied(const struct driver *driver)
{
	for (size_t i = 0; i < driver->model->shard_count; i++) {
		const struct model_shard *shard = driver_shard(driver, i);
		if (engine_applied(driver->engine, shard->number).index < shard->log.count)
			return false;
	}
	return true;
}

void driver_close(void *arg)
{
	struct driver *driver = arg;
	driver->closed_all_applied = is_all_applied(driver);
	driver->settling = true;
	driver_let_go(driver, true);
	driver->closing = true;
	engine_close(driver->engine, closed, driver);
}

/* What the engine says of a shard at any time is what it was asked for. */
static void check_group(struct driver *driver, size_t position)
{
	struct model *model = driver->model;
	const struct model_shard *shard = driver_shard(driver, position);
	if (engine_shard_closed(driver->engine, shard->number))
		return;
	struct log_group_view group = engine_group(driver->engine, shard->number);
	EXPECT(group.last_index == model_last_index(model, position) &&
	           group.last_term == model_last_term(model, position),
	    "group",
	    "shard %" PRIu32 ": last entry %" PRIu64 "/%" PRIu64 ", not %" PRIu64 "/%" PRIu64,
	    shard->number, group.last_index, group.last_term, model_last_index(model, position),
	    model_last_term(model, position));
	EXPECT(group.durable_index == model_durable_index(model, position), "group",
	    "shard %" PRIu32 ": durable up to %" PRIu64 ", not %" PRIu64, shard->number,
	    group.durable_index, model_durable_index(model, position));
	EXPECT(group.hard.term == shard->hard.term && group.hard.vote == shard->hard.vote &&
	           group.hard.commit == shard->hard.commit,
	    "group",
	    "shard %" PRIu32 ": hard state %" PRIu64 "/%" PRIu64 "/%" PRIu64 ", not %" PRIu64
	    "/%" PRIu64 "/%" PRIu64,
	    shard->number, group.hard.term, group.hard.vote, group.hard.commit, shard->hard.term,
	    shard->hard.vote, shard->hard.commit);
	EXPECT(!group.suspect, "group", "shard %" PRIu32 " became suspect", shard->number);
}

static void act(struct driver *driver)
{
	uint64_t now_ns = io_now_ns(driver->io);
	if (driver->settling) {
		driver_let_go(driver, true);
		driver_ask_room(driver);
		return;
	}
	if (now_ns < driver->idle_until_ns)
		return;
	if (driver_chance(driver, driver->load.idle_permille)) {
		uint64_t idle_ms = 1 + random_below(&driver->random, IDLE_MS_MAX);
		driver->idle_until_ns = now_ns + idle_ms * NS_PER_MS;
		driver->coverage->idle_periods++;
	}
	driver_act(driver);
	driver_let_go(driver, false);
}

static void end_cleanly(struct driver *driver)
{
	engine_free(driver->engine);
	driver->engine = NULL;
	io_timer_cancel(driver->io, &driver->timer);
	io_free(driver->io);
	driver->io = NULL;
}

void driver_turn(void *arg)
{
	struct driver *driver = arg;
	if (driver->io == NULL)
		return;
	io_run(driver->io);
	if (driver->engine == NULL)
		return;
	driver->model->turn++;
	if (!driver->closing) {
		act(driver);
		driver_install_turn(driver);
		for (size_t i = 0; i < DRIVER_ROLES; i++)
			driver_apply(driver, driver->roles[i]);
	}
	bool again = engine_turn(driver->engine);
	driver->figures = engine_figures(driver->engine);
	if (driver->closed) {
		end_cleanly(driver);
		return;
	}
	check_group(driver, driver->roles[random_below(&driver->random, DRIVER_ROLES)]);
	if (again || random_below(&driver->random, 100) < driver->load.again_percent)
		io_wake(driver->io, NULL);
}
