#include "tests/unit/storage/engine_world.h"

#include "tests/unit/run.h"

#include "base/mem.h"
#include "storage/batch.h"
#include "storage/keys.h"

#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX = 3000000,
	STREAMS = 3,
	BATCH_MAX = 8 * 1024,
};

static uint64_t below(struct engine_world *world, uint64_t bound)
{
	return sim_random_below(world->sim, bound);
}

/* ---- The model ---- */

struct slice world_key(uint8_t data[WORLD_KEY_MAX], uint32_t shard, struct slice key)
{
	EXPECT(KEY_SHARD_BYTES + key.bytes <= WORLD_KEY_MAX);
	key_shard_put(data, shard);
	memcpy(data + KEY_SHARD_BYTES, key.data, key.bytes);
	return slice_of(data, KEY_SHARD_BYTES + key.bytes);
}

void world_apply_batch(struct model *model, uint32_t shard, struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	uint8_t data[WORLD_KEY_MAX];
	if (batch.bytes == 0)
		return;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
		struct slice key = world_key(data, shard, op.key);
		switch (op.kind) {
		case BATCH_PUT:
			model_put(model, key, op.value);
			break;
		case BATCH_DELETE:
		case BATCH_CLEAR:
			model_delete(model, key);
			break;
		case BATCH_APPEND:
			model_append(model, key, op.value);
			break;
		}
	}
	EXPECT(cursor.error == 0);
}

/* ---- Groups ---- */

static struct world_group *group_of(struct engine_world *world, uint32_t number)
{
	for (size_t i = 0; i < WORLD_GROUPS; i++) {
		if (world->groups[i].number == number)
			return &world->groups[i];
	}
	ck_abort_msg("no group %u", number);
}

static void entries_add(struct world_group *group, uint64_t term, struct slice batch)
{
	if (group->count == group->capacity) {
		group->capacity = group->capacity ? 2 * group->capacity : 64;
		group->entries = realloc(group->entries, group->capacity * sizeof(*group->entries));
		EXPECT(group->entries);
	}
	uint8_t *copy = malloc(batch.bytes + 1);
	EXPECT(copy);
	if (batch.bytes > 0)
		memcpy(copy, batch.data, batch.bytes);
	group->entries[group->count++] =
	    (struct world_entry){.term = term, .batch = slice_of(copy, batch.bytes)};
}

static void entries_cut(struct world_group *group, uint64_t count)
{
	while (group->count > count)
		free((void *)(uintptr_t)group->entries[--group->count].batch.data);
}

/* ---- The process: what the engine calls ---- */

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct engine_world *world = arg;
	for (size_t i = 0; i < count; i++) {
		struct world_group *group = group_of(world, extents[i].group);
		if (extents[i].first_index > extents[i].last_index)
			continue;
		EXPECT(extents[i].last_index <= group->count);
		EXPECT(extents[i].last_index > group->durable);
		group->durable = extents[i].last_index;
		if (group->durable > group->acknowledged)
			group->acknowledged = group->durable;
	}
}

/* What is durable is committed, and applied sooner or later. */
static void apply_durable(struct engine_world *world, struct world_group *group)
{
	while (!group->closed && !group->held && group->applied < group->durable) {
		const struct world_entry *entry = &group->entries[group->applied];
		int error = engine_apply(
		    world->engine, group->number, group->applied + 1, entry->term, entry->batch);
		group->closed = error == ERR_DATA_LOSS && world->damage_expected;
		if (group->closed)
			return;
		EXPECT(error == 0);
		world_apply_batch(&group->state, group->number, entry->batch);
		group->applied++;
	}
}

static void room(void *arg)
{
	struct engine_world *world = arg;
	world->room_called = true;
}

/* The state that the entries up to `index` make. */
static void state_at(struct world_group *group, uint64_t index)
{
	model_done(&group->state);
	for (group->applied = 0; group->applied < index; group->applied++)
		world_apply_batch(
		    &group->state, group->number, group->entries[group->applied].batch);
}

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	struct engine_world *world = arg;
	struct world_group *group = group_of(world, record->group);
	uint64_t applied = engine_applied(engine, record->group).index;
	EXPECT(record->index == applied + 1);
	EXPECT(record->index <= group->count);
	const struct world_entry *entry = &group->entries[record->index - 1];
	EXPECT(record->term == entry->term);
	EXPECT(slice_equal(record->payload, entry->batch));
	int error =
	    engine_apply(engine, record->group, record->index, record->term, record->payload);
	EXPECT(error == 0 || (error == ERR_NOMEM && mem_failed()));
	if (error)
		return error;
	world->replayed++;
	return 0;
}

/* ---- Working ---- */

static void random_operation(
    struct engine_world *world, struct world_group *group, struct writer *out)
{
	uint8_t data[8];
	static const char *const streams[STREAMS] = {"sa", "sb", "sc"};
	uint64_t stream = below(world, STREAMS);
	uint8_t value[1024];
	size_t bytes = below(world, 10) == 0 ? below(world, sizeof(value)) : below(world, 40);
	for (size_t i = 0; i < bytes; i++)
		value[i] = (uint8_t)sim_random(world->sim);
	switch (below(world, 10)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		batch_put(
		    out, world_point(below(world, WORLD_POINTS), data), slice_of(value, bytes));
		break;
	case 5:
		batch_delete(out, world_point(below(world, WORLD_POINTS), data));
		break;
	case 6:
	case 7:
	case 8:
		store_u64be(value, ++group->sequences[stream]);
		batch_append(out, slice_from_text(streams[stream]), group->sequences[stream],
		    slice_of(value, bytes < 8 ? 8 : bytes));
		break;
	default:
		if (below(world, 4) == 0)
			batch_clear(out, slice_from_text(streams[stream]));
		break;
	}
}

int world_append(struct engine_world *world, struct world_group *group, struct slice batch)
{
	int error = engine_reserve(world->engine, group->number, batch.bytes, 1);
	if (error)
		return error;
	uint8_t *payload;
	uint64_t term = group->term_durable + 1;
	engine_unreserve(world->engine, batch.bytes, 1);
	entries_add(group, term, batch);
	engine_append(
	    world->engine, group->number, term, group->count, (uint32_t)batch.bytes, &payload);
	if (batch.bytes > 0)
		memcpy(payload, batch.data, batch.bytes);
	world->operations++;
	return 0;
}

static void append_random(struct engine_world *world)
{
	struct world_group *group = &world->groups[below(world, WORLD_GROUPS)];
	/* One group hardly ever writes, and pins the log. */
	if (group->held || (group == &world->groups[1] && below(world, 40) > 0))
		return;
	uint8_t span[BATCH_MAX];
	struct writer out = writer_of(span, sizeof(span));
	uint64_t sequences[STREAMS];
	memcpy(sequences, group->sequences, sizeof(sequences));
	if (below(world, 20) > 0) {
		batch_begin(&out);
		for (uint64_t i = below(world, 4); i > 0; i--)
			random_operation(world, group, &out);
	}
	int error = world_append(world, group, writer_view(&out));
	if (error) {
		memcpy(group->sequences, sequences, sizeof(sequences));
		world->refused_full += error == ERR_FULL;
		world->refused_space += error == ERR_NO_SPACE;
		world->refused_loss += error == ERR_DATA_LOSS;
		EXPECT(error == ERR_FULL || error == ERR_NO_SPACE ||
		       (error == ERR_DATA_LOSS && world->damage_expected));
	}
}

static void work(struct engine_world *world)
{
	for (uint64_t i = below(world, 6); i > 0; i--) {
		struct world_group *group = &world->groups[below(world, WORLD_GROUPS)];
		switch (below(world, 20)) {
		case 0:
			if (!world->never_asks && below(world, 10) == 0)
				engine_checkpoint(world->engine);
			break;
		case 1:
			world_read_group(world, group);
			break;
		case 2:
		case 3:
		case 4:
		case 5:
			world_read_point(world, group, below(world, WORLD_POINTS));
			break;
		default:
			append_random(world);
			break;
		}
	}
}

static void tick(struct io_timer *timer)
{
	(void)timer;
}

static void turn(void *arg)
{
	struct engine_world *world = arg;
	io_run(world->io);
	if (!world->engine || world->closed)
		return;
	for (size_t i = 0; i < WORLD_GROUPS; i++) {
		if (!world->working || below(world, 3) == 0)
			apply_durable(world, &world->groups[i]);
	}
	if (world->working && !world->closing)
		work(world);
	bool more = engine_turn(world->engine);
	world->checkpoints += 0;
	if (more || world->working)
		io_timer_set(world->io, &world->tick,
		    io_now_ns(world->io) + (more ? 0 : 20000 + below(world, 200000)));
}

/* ---- Boots and ends ---- */

static void judge_recovered(struct engine_world *world, struct world_group *group)
{
	if (world_group_closed(world, group))
		return;
	uint64_t recovered = engine_applied(world->engine, group->number).index;
	struct log_group_view view = engine_group(world->engine, group->number);
	EXPECT(recovered >= group->acknowledged);
	EXPECT(recovered <= group->count);
	EXPECT(view.last_index == recovered);
	EXPECT(view.durable_index == recovered);
	EXPECT(view.hard.term >= group->term_durable);
	entries_cut(group, recovered);
	state_at(group, recovered);
	group->acknowledged = recovered;
	group->durable = recovered;
	/* Sequences go on above everything that was ever used, as revisions do. */
	struct log_hard_state hard = {.term = view.hard.term + 1, .vote = 1};
	group->term_durable = view.hard.term;
	engine_append_hard_state(world->engine, group->number, &hard);
}

static void open_engine(void *arg)
{
	struct engine_world *world = arg;
	world->options.fs = sim_node_fs(world->node);
	world->options.io = world->io;
	world->options.replay = replay;
	world->options.durable = durable;
	world->options.room = room;
	world->options.arg = world;
	mem_fail_at(world->open_alloc_fails);
	world->open_error = engine_open(
	    &world->options, world->why, sizeof(world->why), &world->engine, &world->report);
	world->alloc_failed = mem_failed();
	world->open_alloc_fails = 0;
	mem_fail_at(0);
	if (world->open_error)
		return;
	for (size_t i = 0; i < WORLD_GROUPS; i++)
		judge_recovered(world, &world->groups[i]);
	world->tick.fired = tick;
	io_timer_set(world->io, &world->tick, 0);
}

bool world_boot(struct engine_world *world)
{
	EXPECT(!sim_node_is_running(world->node));
	world->engine = NULL;
	world->closing = false;
	world->closed = false;
	world->open_error = 0;
	memset(&world->tick, 0, sizeof(world->tick));
	memset(world->loads, 0, sizeof(world->loads));
	for (size_t i = 0; i < WORLD_CURSORS_MAX; i++)
		world->cursors[i].used = false;
	for (size_t i = 0; i < WORLD_GROUPS; i++)
		world->groups[i].closed = false;
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
	struct engine_world *world = arg;
	io_free(world->io);
}

void world_give_up(struct engine_world *world)
{
	EXPECT(sim_node_run(world->node, free_io, world));
	EXPECT(sim_node_stop(world->node) == 0);
}

static void boot_again(struct engine_world *world)
{
	for (int tries = 0; tries < 1000; tries++) {
		if (world_boot(world))
			return;
		if (world->open_error == ERR_NO_SPACE && world->space_short) {
			world_give_up(world);
			continue;
		}
		ck_assert_msg(!world->open_error, "seed %llu: %s",
		    (unsigned long long)sim_seed(world->sim), world->why);
	}
	ck_abort_msg("no boot succeeds");
}

void world_run_until(struct engine_world *world, bool (*until)(const struct engine_world *world))
{
	for (uint64_t steps = 0; steps < STEPS_MAX; steps++) {
		if (!sim_node_is_running(world->node))
			boot_again(world);
		if (until(world))
			return;
		sim_step(world->sim);
	}
	ck_abort_msg("seed %llu: no end after %u steps", (unsigned long long)sim_seed(world->sim),
	    (unsigned)STEPS_MAX);
}

static uint64_t operations_wanted;

static bool worked(const struct engine_world *world)
{
	return world->operations >= operations_wanted;
}

void world_work(struct engine_world *world, uint64_t operations)
{
	operations_wanted = operations;
	world->working = true;
	if (sim_node_is_running(world->node))
		world_inside(world, NULL);
	world_run_until(world, worked);
	world->working = false;
}

struct inside {
	struct engine_world *world;
	void (*run)(struct engine_world *world);
};

static void run_inside(void *arg)
{
	struct inside *inside = arg;
	if (inside->run)
		inside->run(inside->world);
	io_timer_set(inside->world->io, &inside->world->tick, 0);
}

void world_inside(struct engine_world *world, void (*run)(struct engine_world *world))
{
	struct inside inside = {.world = world, .run = run};
	(void)sim_node_run(world->node, run_inside, &inside);
}

static bool settled(const struct engine_world *world)
{
	for (size_t i = 0; i < WORLD_GROUPS; i++) {
		const struct world_group *group = &world->groups[i];
		uint64_t reached = group->held ? group->durable : group->applied;
		if (!group->closed && reached < group->count)
			return false;
	}
	return !world_reads_pending(world);
}

void world_settle(struct engine_world *world)
{
	world_run_until(world, settled);
}

static void closed(void *arg)
{
	struct engine_world *world = arg;
	world->closed = true;
}

static void begin_close(struct engine_world *world)
{
	world->closing = true;
	engine_close(world->engine, closed, world);
}

static bool is_closed(const struct engine_world *world)
{
	return world->closed || !world->closing;
}

static void free_all(void *arg)
{
	struct engine_world *world = arg;
	io_timer_cancel(world->io, &world->tick);
	world->checkpoints += engine_figures(world->engine).checkpoints;
	engine_free(world->engine);
	world->engine = NULL;
	io_free(world->io);
}

void world_close(struct engine_world *world)
{
	world_settle(world);
	world_inside(world, begin_close);
	world_run_until(world, is_closed);
	if (!world->closed)
		return; /* it crashed on the way */
	if (!sim_node_run(world->node, free_all, world))
		return;
	EXPECT(sim_node_stop(world->node) == 0);
	world->clean_ends++;
}

void world_init(struct engine_world *world, uint64_t seed, const struct sim_faults *faults)
{
	*world = (struct engine_world){.sim = sim_new(seed, faults)};
	world->node = sim_node_new(world->sim);
	for (uint32_t i = 0; i < WORLD_GROUPS; i++)
		world->groups[i].number = 7 * i;
	world->options = (struct engine_options){
	    .root = "/nowhere",
	    .dir = "store",
	    .store_id = 99,
	    .hash_seed = seed,
	    .segment_bytes = 128 * 1024,
	    .first_segment_bytes = 64 * 1024,
	    .replay_bytes_max = 512 * 1024,
	    .dirty_bytes_max = 24 * 1024,
	    .clean_bytes_max = 4 * 1024,
	    .block_cache_bytes = 1024 * 1024,
	    .frames_in_flight_max = 4,
	    .frame_soon_ns = 1, /* many at a time */
	    .frame_bytes_max = 32 * 1024,
	    .watermark_delay_ms = 5,
	    .idle_ms = 50,
	};
}

void world_done(struct engine_world *world)
{
	sim_free(world->sim);
	for (size_t i = 0; i < WORLD_GROUPS; i++) {
		entries_cut(&world->groups[i], 0);
		free(world->groups[i].entries);
		model_done(&world->groups[i].state);
	}
	for (size_t i = 0; i < WORLD_CURSORS_MAX; i++) {
		model_done(&world->cursors[i].expected);
		model_done(&world->cursors[i].seen);
	}
}
