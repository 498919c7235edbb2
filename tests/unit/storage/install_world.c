#include "tests/unit/storage/install_world.h"
#include "tests/unit/storage/install_state.h"

#include "base/bytes.h"
#include "base/io/fs.h"
#include "storage/engine_parts.h"
#include "tests/unit/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 20000000 };

static uint64_t below(const struct install_world *world, uint64_t limit)
{
	return sim_random_below(world->sim, limit);
}

/* ---- What the engine calls ---- */

static struct install_shard *shard_of(struct install_world *world, uint32_t number)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		if (world->shards[i].number == number)
			return &world->shards[i];
	ck_abort_msg("no shard %u", number);
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct install_world *world = arg;
	for (size_t i = 0; i < count; i++) {
		struct install_shard *shard = shard_of(world, extents[i].group);
		struct log_hard_state hard = log_hard_durable(world->engine->log, extents[i].group);
		if (hard.term > shard->hard_durable_term && shard->pending != PENDING_REMOVAL)
			shard->hard_durable_term = hard.term;
		if (extents[i].first_index <= extents[i].last_index &&
		    extents[i].last_index <= shard->now->last &&
		    extents[i].last_index > shard->durable)
			shard->durable = extents[i].last_index;
	}
}

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	struct install_world *world = arg;
	struct install_shard *shard = shard_of(world, record->group);
	uint64_t applied = engine_applied(engine, record->group).index;
	uint8_t span[INSTALL_VALUE_MAX + 64];
	EXPECT(record->index <= shard->now->last);
	const struct install_entry *entry = &shard->now->entries[record->index - 1];
	EXPECT(record->term == entry->term);
	EXPECT(slice_equal(record->payload, install_batch_of(entry, record->index, span)));
	if (record->index != applied + 1 || (shard->lags && record->index > shard->committed))
		return 0;
	return engine_apply(engine, record->group, record->index, record->term, record->payload);
}

static void install_room(void *arg)
{
	struct install_shard *shard = arg;
	shard->world->rooms++;
	shard->waits_for_room = false;
}

static void forget(struct install_shard *shard)
{
	shard->now->last = 0;
	shard->now->filler = 0;
	shard->durable = 0;
	shard->committed = 0;
	shard->applied = 0;
	shard->hard_term = 0;
	shard->hard_durable_term = 0;
	shard->pending = PENDING_NONE;
}

static void take_next(struct install_shard *shard)
{
	struct install_history *old = shard->now;
	shard->now = shard->next;
	shard->next = old;
	shard->durable = shard->now->last;
	shard->committed = shard->now->last;
	shard->applied = shard->now->last;
	shard->pending = PENDING_NONE;
}

static void check_group(const struct install_shard *shard)
{
	struct log_group_view view = engine_group(shard->world->engine, shard->number);
	struct table_shard applied = engine_applied(shard->world->engine, shard->number);
	EXPECT(view.last_index == shard->now->last);
	EXPECT(view.last_term == install_last_term(shard->now));
	EXPECT(applied.index == shard->applied);
	EXPECT(!view.suspect && !engine_shard_closed(shard->world->engine, shard->number));
	EXPECT(view.hard.term == shard->hard_term);
}

void install_world_ended(void *arg, int result)
{
	struct install_shard *shard = arg;
	struct install_world *world = shard->world;
	EXPECT(!engine_shard_fenced(world->engine, shard->number));
	shard->last_result = result;
	if (result == 0 && shard->pending == PENDING_STATE) {
		world->installs++;
		take_next(shard);
		shard->closed = false;
		struct log_group_view view = engine_group(world->engine, shard->number);
		EXPECT(view.durable_index == view.last_index);
		EXPECT(view.first_index == view.last_index + 1);
	} else if (result == 0) {
		world->removals++;
		forget(shard);
	} else {
		EXPECT((world->may_fail && result == ERR_NO_SPACE) ||
		       (world->closing && result == ERR_CANCELED) || world->damage_expected);
		world->failed++;
		shard->pending = PENDING_NONE;
	}
	shard->closed = engine_shard_closed(world->engine, shard->number);
	EXPECT(!shard->closed || world->damage_expected);
	if (shard->closed)
		return;
	check_group(shard);
	install_world_check(shard);
}

/* ---- What the process does ---- */

bool install_world_append(struct install_shard *shard, unsigned entries)
{
	struct engine *engine = shard->world->engine;
	if (shard->pending != PENDING_NONE || shard->closed ||
	    shard->now->last + entries > INSTALL_ENTRIES_MAX)
		return false;
	if (shard->hard_term < install_last_term(shard->now) || shard->hard_term == 0) {
		shard->hard_term = install_last_term(shard->now) + 1;
		engine_append_hard_state(engine, shard->number,
		    &(struct log_hard_state){.term = shard->hard_term, .vote = 1});
	}
	for (; entries > 0; entries--) {
		uint8_t span[INSTALL_VALUE_MAX + 64];
		struct install_entry entry = {
		    .term = shard->hard_term, .seed = below(shard->world, 100000)};
		struct slice batch = install_batch_of(&entry, shard->now->last + 1, span);
		if (engine_reserve(engine, shard->number, batch.bytes, 1))
			return false;
		engine_unreserve(engine, batch.bytes, 1);
		uint8_t *payload;
		shard->now->entries[shard->now->last++] = entry;
		engine_append(engine, shard->number, entry.term, shard->now->last,
		    (uint32_t)batch.bytes, &payload);
		memcpy(payload, batch.data, batch.bytes);
	}
	return true;
}

bool install_world_begin(
    struct install_shard *shard, uint64_t index, uint64_t term, unsigned filler)
{
	struct install_world *world = shard->world;
	struct engine_install_options options = {.room = install_room, .arg = shard};
	EXPECT(index <= INSTALL_ENTRIES_MAX);
	if (shard->install || shard->pending != PENDING_NONE)
		return false;
	int error = engine_install_begin(world->engine, shard->number, &options, &shard->install);
	/* One that a restart ends. */
	EXPECT(error == 0 || error == ERR_EXISTS);
	if (error)
		return false;
	struct install_history *next = shard->next;
	*next = *shard->now;
	/* What was applied is the same in all histories. */
	for (next->last = shard->applied; next->last < index; next->last++)
		next->entries[next->last] =
		    (struct install_entry){.term = term, .seed = below(world, 100000)};
	next->filler = filler;
	next->filler_seed = below(world, 100000);
	shard->put = 0;
	shard->waits_for_room = false;
	return true;
}

/* Puts what there is room for, and finishes. */
static void feed(struct install_shard *shard)
{
	struct install_history *next = shard->next;
	if (!shard->install || shard->pending != PENDING_NONE || shard->waits_for_room)
		return;
	for (unsigned i = 0; i < INSTALL_FILLER_MAX; i++) {
		uint8_t key_data[INSTALL_KEY_MAX];
		uint8_t value_data[INSTALL_VALUE_MAX];
		struct slice key;
		struct slice value;
		if (!install_pair_of(
		        next, next->last, shard->put, key_data, &key, value_data, &value)) {
			struct engine_install *install = shard->install;
			shard->install = NULL;
			/* What was applied meanwhile made it worthless. */
			uint64_t applied = engine_applied(shard->world->engine, shard->number).term;
			if (next->last <= shard->applied || install_last_term(next) < applied) {
				engine_install_cancel(install);
				return;
			}
			shard->pending = PENDING_STATE;
			engine_install_finish(install, next->last, install_last_term(next),
			    install_world_ended, shard);
			return;
		}
		int error = engine_install_put(shard->install, key, value);
		if (error == ERR_AGAIN) {
			shard->waits_for_room = true;
			return;
		}
		if (error) {
			EXPECT((shard->world->may_fail && error == ERR_NO_SPACE) ||
			       shard->world->closing);
			engine_install_cancel(shard->install);
			shard->install = NULL;
			shard->world->failed++;
			return;
		}
		shard->put++;
	}
}

void install_world_remove(struct install_shard *shard)
{
	if (shard->install || shard->pending != PENDING_NONE)
		return;
	int error =
	    engine_remove_shard(shard->world->engine, shard->number, install_world_ended, shard);
	EXPECT(error == 0 || error == ERR_EXISTS);
	if (!error)
		shard->pending = PENDING_REMOVAL;
}

static void loaded(struct engine_load *load, int result)
{
	struct install_shard *shard = CONTAINER_OF(load, struct install_shard, load);
	shard->loading = false;
	EXPECT(result == 0 || (result == ERR_AGAIN && shard->pending != PENDING_NONE));
	shard->world->loads_refused += result == ERR_AGAIN;
	if (result || shard->pending != PENDING_NONE)
		return;
	uint64_t checked = shard->world->checked;
	install_check_point(shard, shard->load_point);
	EXPECT(shard->world->checked > checked ||
	       install_entry_of_point(shard->now, shard->applied, shard->load_point) == 0);
	shard->world->loads++;
}

static void load(struct install_shard *shard)
{
	uint8_t key[INSTALL_KEY_MAX];
	if (shard->loading)
		return;
	shard->loading = true;
	shard->load_point = below(shard->world, INSTALL_POINTS);
	shard->load.done = loaded;
	engine_load(shard->world->engine, &shard->load, shard->number,
	    install_point_key(shard->load_point, key));
}

static void begin_some(struct install_shard *shard)
{
	struct install_world *world = shard->world;
	uint64_t term = install_last_term(shard->now) + below(world, 2);
	if (term == 0)
		term = 1;
	uint64_t index = shard->applied + 1 + below(world, below(world, 4) == 0 ? 100 : 12);
	if (index < INSTALL_ENTRIES_MAX)
		(void)install_world_begin(
		    shard, index, term, (unsigned)below(world, INSTALL_FILLER_MAX));
}

static void work(struct install_world *world)
{
	struct install_shard *shard = &world->shards[below(world, INSTALL_SHARDS)];
	switch (below(world, 40)) {
	case 0:
	case 1:
		begin_some(shard);
		break;
	case 2:
		if (below(world, 3) == 0)
			install_world_remove(shard);
		break;
	case 3:
		if (below(world, 4) == 0)
			engine_checkpoint(world->engine);
		break;
	case 4:
		if (shard->install && below(world, 3) == 0) {
			engine_install_cancel(shard->install);
			shard->install = NULL;
			world->canceled++;
		}
		break;
	case 5:
		if (shard->pending != PENDING_REMOVAL) {
			shard->hard_term++;
			engine_append_hard_state(world->engine, shard->number,
			    &(struct log_hard_state){.term = shard->hard_term, .vote = 2});
		}
		break;
	case 6:
	case 7:
		install_world_check(shard);
		break;
	case 8:
	case 9:
	case 10:
		if (shard->pending == PENDING_NONE)
			install_check_point(shard, below(world, INSTALL_POINTS));
		break;
	case 11:
	case 12:
		load(shard);
		break;
	default:
		(void)install_world_append(shard, 1 + (unsigned)below(world, 4));
		break;
	}
}

static void apply(struct install_shard *shard)
{
	struct install_world *world = shard->world;
	uint64_t limit = shard->durable;
	if (shard->lags && world->working && limit > shard->applied)
		limit = shard->applied + below(world, 2);
	while (shard->pending == PENDING_NONE && !shard->closed && shard->applied < limit) {
		uint8_t span[INSTALL_VALUE_MAX + 64];
		const struct install_entry *entry = &shard->now->entries[shard->applied];
		if (shard->committed < shard->applied + 1)
			shard->committed = shard->applied + 1;
		int error = engine_apply(world->engine, shard->number, shard->applied + 1,
		    entry->term, install_batch_of(entry, shard->applied + 1, span));
		EXPECT(error == 0);
		shard->applied++;
	}
}

static void turn(void *arg)
{
	struct install_world *world = arg;
	io_run(world->io);
	if (!world->engine || world->closed)
		return;
	world->turns++;
	for (size_t i = 0; i < INSTALL_SHARDS; i++) {
		apply(&world->shards[i]);
		if (!world->closing)
			feed(&world->shards[i]);
	}
	if (world->working && !world->closing)
		work(world);
	bool more = engine_turn(world->engine);
	for (size_t i = 0; i < INSTALL_SHARDS && !world->closing; i++)
		if (world->shards[i].pending == PENDING_NONE && !world->shards[i].closed)
			check_group(&world->shards[i]);
	if (more || world->working)
		io_timer_set(world->io, &world->tick,
		    io_now_ns(world->io) + (more ? 0 : 20000 + below(world, 100000)));
}

/* ---- Boots and ends ---- */

static void expect_old(struct install_shard *shard)
{
	struct log_group_view view = engine_group(shard->world->engine, shard->number);
	struct table_shard applied = engine_applied(shard->world->engine, shard->number);
	EXPECT(view.last_index >= shard->durable && view.last_index <= shard->now->last);
	EXPECT(view.durable_index == view.last_index);
	EXPECT(applied.index >= shard->committed && applied.index <= view.last_index);
	shard->now->last = view.last_index;
	EXPECT(view.last_term == install_last_term(shard->now));
	shard->applied = applied.index;
	shard->committed = applied.index;
	shard->durable = view.last_index;
	EXPECT(shard->unread || install_has_state(shard, shard->now, shard->applied));
}

static void judge(struct install_shard *shard)
{
	struct install_world *world = shard->world;
	struct log_group_view view = engine_group(world->engine, shard->number);
	shard->closed = engine_shard_closed(world->engine, shard->number);
	EXPECT(!shard->closed || world->damage_expected);
	EXPECT(!view.suspect || shard->closed);
	EXPECT(!engine_shard_fenced(world->engine, shard->number));
	enum install_pending pending = shard->pending;
	shard->pending = PENDING_NONE;
	shard->install = NULL;
	shard->loading = false;
	if (shard->closed) {
		shard->applied = engine_applied(world->engine, shard->number).index;
		shard->committed = shard->applied;
		shard->durable = shard->applied;
		shard->hard_term = view.hard.term;
		shard->hard_durable_term = view.hard.term;
		return;
	}
	if (pending == PENDING_REMOVAL && !install_is_known(shard)) {
		EXPECT(view.last_index == 0 && view.hard.term == 0);
		EXPECT(engine_applied(world->engine, shard->number).index == 0);
		world->found_removed++;
		forget(shard);
		EXPECT(install_has_state(shard, shard->now, 0));
		return;
	}
	if (pending == PENDING_STATE && install_is_new(shard)) {
		world->found_new++;
		take_next(shard);
	} else {
		world->found_old += pending != PENDING_NONE;
		expect_old(shard);
	}
	EXPECT(view.hard.term >= shard->hard_durable_term);
	EXPECT(view.hard.term <= shard->hard_term);
	shard->hard_term = view.hard.term;
	shard->hard_durable_term = view.hard.term;
}

static void tick(struct io_timer *timer)
{
	(void)timer;
}

static void open_engine(void *arg)
{
	struct install_world *world = arg;
	world->options.fs = sim_node_fs(world->node);
	world->options.io = world->io;
	world->options.replay = replay;
	world->options.durable = durable;
	world->options.arg = world;
	world->wants_reopening = false;
	world->options.wants_reopening = &world->wants_reopening;
	world->open_error = engine_open(
	    &world->options, world->why, sizeof(world->why), &world->engine, &world->report);
	if (world->open_error)
		return;
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		judge(&world->shards[i]);
	world->tick.fired = tick;
	io_timer_set(world->io, &world->tick, 0);
}

bool install_world_boot(struct install_world *world)
{
	world->engine = NULL;
	world->closing = false;
	world->closed = false;
	world->open_error = 0;
	memset(&world->tick, 0, sizeof(world->tick));
	world->boots++;
	world->io = sim_node_boot(world->node);
	sim_node_set_turn(world->node, turn, world);
	bool alive = sim_node_run(world->node, open_engine, world);
	if (!alive)
		world->engine = NULL;
	return alive && !world->open_error;
}

static void free_io(void *arg)
{
	struct install_world *world = arg;
	io_free(world->io);
}

static void boot_again(struct install_world *world)
{
	while (!install_world_boot(world)) {
		bool full = world->may_fail && world->open_error == ERR_NO_SPACE;
		ck_assert_msg(!world->open_error || full, "seed %llu: %s",
		    (unsigned long long)sim_seed(world->sim), world->why);
		if (!full)
			continue;
		EXPECT(sim_node_run(world->node, free_io, world));
		EXPECT(sim_node_stop(world->node) == 0);
	}
}

void install_world_run_until(
    struct install_world *world, bool (*until)(const struct install_world *world))
{
	for (uint64_t steps = 0; steps < STEPS_MAX; steps++) {
		if (!sim_node_is_running(world->node))
			boot_again(world);
		if (until(world))
			return;
		sim_step(world->sim);
	}
	ck_abort_msg("seed %llu: no end", (unsigned long long)sim_seed(world->sim));
}

struct inside {
	struct install_world *world;
	void (*run)(struct install_world *world);
};

static void run_inside(void *arg)
{
	struct inside *inside = arg;
	if (inside->run)
		inside->run(inside->world);
	io_timer_set(inside->world->io, &inside->world->tick, 0);
}

void install_world_inside(struct install_world *world, void (*run)(struct install_world *world))
{
	struct inside inside = {.world = world, .run = run};
	if (sim_node_is_running(world->node))
		(void)sim_node_run(world->node, run_inside, &inside);
}

static uint64_t turns_wanted;

static bool worked(const struct install_world *world)
{
	return world->turns >= turns_wanted;
}

void install_world_work(struct install_world *world, uint64_t turns)
{
	turns_wanted = world->turns + turns;
	world->working = true;
	install_world_inside(world, NULL);
	install_world_run_until(world, worked);
	world->working = false;
}

static bool settled(const struct install_world *world)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++) {
		const struct install_shard *shard = &world->shards[i];
		if (shard->pending != PENDING_NONE || shard->install ||
		    (!shard->closed && shard->applied < shard->now->last))
			return false;
	}
	return true;
}

static void check_all(struct install_world *world)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		install_world_check(&world->shards[i]);
}

void install_world_settle(struct install_world *world)
{
	install_world_inside(world, NULL);
	install_world_run_until(world, settled);
	install_world_inside(world, check_all);
}

static void closed(void *arg)
{
	struct install_world *world = arg;
	world->closed = true;
}

static void begin_close(struct install_world *world)
{
	world->closing = true;
	engine_close(world->engine, closed, world);
}

static bool is_closed(const struct install_world *world)
{
	return world->closed || !world->closing;
}

static void free_all(void *arg)
{
	struct install_world *world = arg;
	io_timer_cancel(world->io, &world->tick);
	engine_free(world->engine);
	world->engine = NULL;
	io_free(world->io);
}

void install_world_close(struct install_world *world)
{
	install_world_inside(world, begin_close);
	install_world_run_until(world, is_closed);
	if (!world->closed || !sim_node_run(world->node, free_all, world))
		return;
	EXPECT(sim_node_stop(world->node) == 0);
	world->closes++;
}

void install_world_init(struct install_world *world, uint64_t seed, const struct sim_faults *faults)
{
	static const uint32_t numbers[INSTALL_SHARDS] = {0, 5, 600};
	*world = (struct install_world){.sim = sim_new(seed, faults)};
	world->node = sim_node_new(world->sim);
	for (size_t i = 0; i < INSTALL_SHARDS; i++) {
		struct install_shard *shard = &world->shards[i];
		shard->world = world;
		shard->number = numbers[i];
		shard->lags = i > 0;
		shard->now = calloc(1, sizeof(*shard->now));
		shard->next = calloc(1, sizeof(*shard->next));
		EXPECT(shard->now && shard->next);
	}
	world->options = (struct engine_options){
	    .root = "/nowhere",
	    .dir = "store",
	    .store_id = 99,
	    .hash_seed = seed,
	    .segment_bytes = 128 * 1024,
	    .first_segment_bytes = 64 * 1024,
	    .replay_bytes_max = 256 * 1024,
	    .dirty_bytes_max = 24 * 1024,
	    .clean_bytes_max = 16 * 1024,
	    .block_cache_bytes = 1024 * 1024,
	    .frames_in_flight_max = 4,
	    .frame_bytes_max = 32 * 1024,
	    .watermark_delay_ms = 5,
	    .idle_ms = 50,
	};
}

void install_world_done(struct install_world *world)
{
	sim_free(world->sim);
	for (size_t i = 0; i < INSTALL_SHARDS; i++) {
		free(world->shards[i].now);
		free(world->shards[i].next);
	}
}
