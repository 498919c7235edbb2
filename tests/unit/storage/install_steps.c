#include "tests/unit/storage/install_steps.h"

#include "base/io/fs.h"
#include "tests/unit/run.h"

struct install_world installs_world;
struct install_shard *installs_shard;

void installs_setup(void)
{
	install_world_init(&installs_world, 1, NULL);
	installs_shard = &installs_world.shards[1];
}

void installs_teardown(void)
{
	install_world_done(&installs_world);
}

void installs_boot(void)
{
	ck_assert_msg(install_world_boot(&installs_world), "%s", installs_world.why);
}

void installs_reboot(enum sim_crash crash)
{
	sim_node_crash(installs_world.node, crash);
	installs_boot();
}

static uint64_t wanted[INSTALL_SHARDS];

static void append_more(struct install_world *inside)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		if (inside->shards[i].now->last < wanted[i])
			(void)install_world_append(&inside->shards[i], 1);
}

static bool appended(const struct install_world *inside)
{
	(void)inside;
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		if (installs_world.shards[i].now->last < wanted[i]) {
			install_world_inside(&installs_world, append_more);
			return false;
		}
	return true;
}

/* Each gets so many entries, and they are applied. */
void installs_append_to_all(uint64_t entries)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		wanted[i] = installs_world.shards[i].now->last + entries;
	install_world_run_until(&installs_world, appended);
	install_world_settle(&installs_world);
}

void installs_append_to(const struct install_shard *one, uint64_t entries)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		wanted[i] = &installs_world.shards[i] == one ? one->now->last + entries : 0;
	install_world_run_until(&installs_world, appended);
	install_world_settle(&installs_world);
}

void installs_append_to_one(uint64_t entries)
{
	installs_append_to(installs_shard, entries);
}

static bool begun;

static void begin_install(struct install_world *inside)
{
	(void)inside;
	begun = install_world_begin(
	    installs_shard, installs_shard->applied + 50, installs_shard->hard_term + 2, 300);
}

/* What was canceled before may still be under way. */
static bool is_begun(const struct install_world *inside)
{
	(void)inside;
	if (!begun)
		install_world_inside(&installs_world, begin_install);
	return begun;
}

void installs_start(void)
{
	installs_boot();
	installs_append_to_all(20);
}

void installs_begin(void)
{
	begun = false;
	install_world_inside(&installs_world, begin_install);
	ck_assert(begun);
}

void installs_begin_and_settle(void)
{
	begun = false;
	install_world_run_until(&installs_world, is_begun);
	install_world_settle(&installs_world);
}

void installs_take_one(void)
{
	uint64_t installs = installs_world.installs;
	installs_begin_and_settle();
	ck_assert_uint_eq(installs_world.installs, installs + 1);
}

static unsigned files_left;

static int count_file(void *arg, const char *name, bool is_dir)
{
	(void)arg;
	(void)name;
	files_left += !is_dir;
	return 0;
}

void installs_expect_no_files(void)
{
	files_left = 0;
	ck_assert_int_eq(
	    fs_list(sim_node_fs(installs_world.node), "store/install", count_file, NULL), 0);
	ck_assert_uint_eq(files_left, 0);
}

bool installs_has_intent(void)
{
	bool exists = false;
	ck_assert_int_eq(
	    fs_exists(sim_node_fs(installs_world.node), "store/install/00000005.intent", &exists),
	    0);
	return exists;
}

void installs_remove(struct install_world *inside)
{
	(void)inside;
	install_world_remove(installs_shard);
}

static uint64_t checkpoints_wanted;

static bool is_checkpointed(const struct install_world *inside)
{
	return inside->engine && engine_figures(inside->engine).checkpoints >= checkpoints_wanted;
}

static void ask_checkpoint(struct install_world *inside)
{
	checkpoints_wanted = engine_figures(inside->engine).checkpoints + 1;
	engine_checkpoint(inside->engine);
}

void installs_checkpoint(void)
{
	install_world_inside(&installs_world, ask_checkpoint);
	install_world_run_until(&installs_world, is_checkpointed);
}
