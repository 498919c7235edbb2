/* The end of a core, in stages that all cores go through together. */
#include "base/clock.h"
#include "base/log_line.h"
#include "replication/group.h"
#include "server/cluster.h"
#include "server/server.h"

/* How long clients get to take their answers; the second for those that calls' refusals make. */
static const uint64_t DRAIN_NS = 5 * NS_PER_S;
static const uint64_t CUT_NS = 1 * NS_PER_S;

static void done(struct core *core)
{
	if (core->stage_done)
		return;
	core->stage_done = true;
	io_timer_cancel(core->io, &core->stage_timer);
	server_stage_done(core);
}

static void gate_drained(void *arg)
{
	struct core *core = arg;
	core->drained = true;
}

static void timer_fired(struct io_timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, stage_timer);
	if (core->stage == STAGE_DRAINING) {
		core->drain_late = true;
	} else if (!core->cut) {
		core->cut = true;
		gate_cut(core->gate);
		io_timer_set(core->io, timer, io_now_ns(core->io) + DRAIN_NS);
	} else {
		/* Something does not come back. What is durable is safe: go on without it. */
		LOG_LINE(LEVEL_ERROR, "stop_incomplete", FIELD_U64("core", core->number),
		    FIELD_U64("connections", gate_figures(core->gate).connections),
		    FIELD_U64("calls", gate_figures(core->gate).calls_under_way));
		done(core);
	}
}

static void wait_at_most(struct core *core, uint64_t ns)
{
	core->stage_timer.fired = timer_fired;
	io_timer_set(core->io, &core->stage_timer, io_now_ns(core->io) + ns);
}

static void shards_closed(void *arg)
{
	done(arg);
}

static void store_closed(void *arg)
{
	struct core *core = arg;
	if (--core->stores_closing == 0)
		done(core);
}

static void close_stores(struct core *core)
{
	const struct shard_map *map = &core->server->map;
	for (uint32_t i = 0; i < map->store_count; i++)
		core->stores_closing += core->stores[i] != NULL;
	if (core->stores_closing == 0)
		done(core);
	for (uint32_t i = 0; i < map->store_count; i++)
		if (core->stores[i])
			group_store_close(core->stores[i], store_closed, core);
}

static void enter(struct core *core, enum stage stage)
{
	core->stage = stage;
	core->stage_done = false;
	switch (stage) {
	case STAGE_SERVING:
	case STAGE_ENDED:
		break;
	case STAGE_DRAINING:
		cluster_core_yield(core->cluster);
		gate_drain(core->gate, gate_drained, core);
		wait_at_most(core, DRAIN_NS);
		break;
	case STAGE_CLOSING_SHARDS:
		cluster_core_close(core->cluster);
		shards_close(core->shards, shards_closed, core);
		break;
	case STAGE_CUTTING:
		wait_at_most(core, CUT_NS);
		break;
	case STAGE_CLOSING_STORES:
		core->stores_close_begun = false;
		break;
	case STAGE_UNLINKING:
		cluster_core_cut(core->cluster);
		break;
	}
}

/* The directory ends on core 0 before its store does. */
static bool directory_closed(struct core *core)
{
	struct server *server = core->server;
	if (core->number == 0 && !server->meta_closed)
		server->meta_closed = meta_close(server->meta);
	return core->number != 0 || server->meta_closed;
}

bool core_stop_turn(struct core *core)
{
	bool more = false;
	if (core->stage == STAGE_SERVING && core->wants_reopening)
		server_begin_again(core->server);
	else if (core->stage == STAGE_SERVING && core->number == 0)
		core_mend_serving(core);
	enum stage wanted =
	    (enum stage)atomic_load_explicit(&core->server->stage, memory_order_acquire);
	/* What a stage begins is moved by the next turn. */
	if (wanted != core->stage) {
		enter(core, wanted);
		more = true;
	}
	if (core->stage_done)
		return more;
	if (core->stage == STAGE_DRAINING && (core->drained || core->drain_late))
		done(core);
	if (core->stage == STAGE_CUTTING && core->drained)
		done(core);
	if (core->stage == STAGE_CLOSING_STORES && !core->stores_close_begun) {
		more = true;
		core->stores_close_begun = directory_closed(core);
		if (core->stores_close_begun)
			close_stores(core);
	}
	if (core->stage == STAGE_UNLINKING && cluster_core_stopped(core->cluster))
		done(core);
	return more;
}
