#include "tests/unit/storage/engine_steps.h"

#include "tests/unit/run.h"

#include <string.h>

struct engine_world world;

void steps_setup(void)
{
	world_init(&world, 1, NULL);
}

void steps_teardown(void)
{
	world_done(&world);
}

void boot(void)
{
	ck_assert_msg(world_boot(&world), "%s", world.why);
}

/* ---- What is appended: set by a test, done inside the process ---- */

static uint8_t span[16 * 1024];
struct writer batch;
struct world_group *group;
int append_error;

void begin_batch(void)
{
	batch = writer_of(span, sizeof(span));
	batch_begin(&batch);
}

static void append_inside(struct engine_world *inside)
{
	append_error = world_append(inside, group, writer_view(&batch));
}

void try_append(size_t number)
{
	group = &world.groups[number];
	world_inside(&world, append_inside);
}

void append(size_t number)
{
	try_append(number);
	/* Room is made ready when it is wanted. */
	while (append_error == ERR_FULL && sim_step(world.sim))
		try_append(number);
	ck_assert_int_eq(append_error, 0);
	world_settle(&world);
}

void put(size_t number, const char *key, const char *value)
{
	begin_batch();
	batch_put(&batch, text(key), text(value));
	append(number);
}

void ask_checkpoint(struct engine_world *inside)
{
	engine_checkpoint(inside->engine);
}

uint64_t checkpoints_wanted;

bool checkpointed(const struct engine_world *inside)
{
	struct engine_figures figures = engine_figures(inside->engine);
	return figures.checkpoints >= checkpoints_wanted && figures.table.frozen_changes == 0;
}

void checkpoint(void)
{
	checkpoints_wanted = engine_figures(world.engine).checkpoints + 1;
	world_inside(&world, ask_checkpoint);
	world_run_until(&world, checkpointed);
}

void kill_and_boot(void)
{
	sim_node_crash(world.node, SIM_KILL);
	boot();
}

/* ---- Reading: one load, one cursor ---- */

static struct engine_load loads[3];
int load_results[3];
static size_t loads_done;
static const char *load_key;
size_t loads_wanted;
enum table_found load_found;
char load_value[64];

static void loaded(struct engine_load *load, int result)
{
	size_t i = (size_t)(load - loads);
	load_results[i] = result;
	loads_done++;
	if (result)
		return;
	struct slice value = slice_of(NULL, 0);
	load_found = engine_get(world.engine, group->number, text(load_key), &value);
	ck_assert_uint_lt(value.bytes, sizeof(load_value));
	memset(load_value, 0, sizeof(load_value));
	if (load_found == TABLE_VALUE)
		memcpy(load_value, value.data, value.bytes);
}

static void load_inside(struct engine_world *inside)
{
	for (size_t i = 0; i < loads_wanted; i++) {
		loads[i].done = loaded;
		engine_load(inside->engine, &loads[i], group->number, text(load_key));
	}
}

static bool loads_ended(const struct engine_world *inside)
{
	(void)inside;
	return loads_done == loads_wanted;
}

int load(size_t number, const char *key)
{
	group = &world.groups[number];
	load_key = key;
	loads_done = 0;
	if (loads_wanted == 0)
		loads_wanted = 1;
	world_inside(&world, load_inside);
	ck_assert_uint_eq(loads_done, 0);
	world_run_until(&world, loads_ended);
	return load_results[0];
}

void all_cold(void)
{
	struct store_sim_faults faults = {.cold_percent = 100};
	store_sim_set_faults(sim_node_fs(world.node), &faults);
}
