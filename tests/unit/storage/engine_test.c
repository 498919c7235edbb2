#include "tests/unit/storage/engine_world.h"
#include "tests/unit/storage/suites.h"

#include "base/io/fs.h"
#include "base/mem.h"
#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/keys.h"

#include <stdio.h>
#include <string.h>

static struct engine_world world;

static void setup(void)
{
	world_init(&world, 1, NULL);
}

static void teardown(void)
{
	world_done(&world);
}

static void boot(void)
{
	ck_assert_msg(world_boot(&world), "%s", world.why);
}

static struct slice text(const char *from)
{
	return slice_from_text(from);
}

static const struct slice all = {NULL, 0};

/* ---- What is appended: set by a test, done inside the process ---- */

static uint8_t span[16 * 1024];
static struct writer batch;
static struct world_group *group;
static int append_error;

static void begin_batch(void)
{
	batch = writer_of(span, sizeof(span));
	batch_begin(&batch);
}

static void append_inside(struct engine_world *inside)
{
	append_error = world_append(inside, group, writer_view(&batch));
}

static void try_append(size_t number)
{
	group = &world.groups[number];
	world_inside(&world, append_inside);
}

static void append(size_t number)
{
	try_append(number);
	ck_assert_int_eq(append_error, 0);
	world_settle(&world);
}

static void put(size_t number, const char *key, const char *value)
{
	begin_batch();
	batch_put(&batch, text(key), text(value));
	append(number);
}

static void ask_checkpoint(struct engine_world *inside)
{
	engine_checkpoint(inside->engine);
}

static uint64_t checkpoints_wanted;

static bool checkpointed(const struct engine_world *inside)
{
	struct engine_figures figures = engine_figures(inside->engine);
	return figures.checkpoints >= checkpoints_wanted && figures.table.frozen_changes == 0;
}

static void checkpoint(void)
{
	checkpoints_wanted = engine_figures(world.engine).checkpoints + 1;
	world_inside(&world, ask_checkpoint);
	world_run_until(&world, checkpointed);
}

static void kill_and_boot(void)
{
	sim_node_crash(world.node, SIM_KILL);
	boot();
}

/* ---- Reading: one load, one cursor ---- */

static struct engine_load loads[3];
static int load_results[3];
static size_t loads_done;
static const char *load_key;
static size_t loads_wanted;
static enum table_found load_found;
static char load_value[64];

static void loaded(struct engine_load *load, int result)
{
	size_t i = (size_t)(load - loads);
	load_results[i] = result;
	loads_done++;
	if (result)
		return;
	struct slice value = all;
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

static int load(size_t number, const char *key)
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

static void all_cold(void)
{
	struct store_sim_faults faults = {.cold_percent = 100};
	store_sim_set_faults(sim_node_fs(world.node), &faults);
}

/* ---- Opening and closing ---- */

START_TEST(a_new_store_is_empty_and_opens_again)
{
	boot();
	ck_assert_uint_eq(world.report.shards, 0);
	world_close(&world);
	boot();
	ck_assert_uint_eq(world.report.replayed_entries, 0);
	world_close(&world);
	ck_assert_uint_eq(world.clean_ends, 2);
}
END_TEST

START_TEST(after_a_clean_end_nothing_is_replayed)
{
	boot();
	world_work(&world, 300);
	world_close(&world);
	ck_assert_uint_eq(world.clean_ends, 1);
	boot();
	ck_assert_uint_eq(world.report.replayed_entries, 0);
	ck_assert_uint_eq(world.report.shards, WORLD_GROUPS);
	world_check_all(&world);
}
END_TEST

START_TEST(after_a_crash_what_no_checkpoint_has_is_replayed)
{
	boot();
	put(0, "p0", "first");
	checkpoint();
	put(0, "p0", "second");
	kill_and_boot();
	ck_assert_uint_eq(world.report.replayed_entries, 1);
	world_check_all(&world);
}
END_TEST

START_TEST(another_ones_store_is_refused)
{
	boot();
	world_close(&world);
	world.options.store_id++;
	ck_assert(!world_boot(&world));
	ck_assert_int_eq(world.open_error, ERR_FOREIGN);
	ck_assert_ptr_nonnull(strstr(world.why, "store"));
	world_give_up(&world);
}
END_TEST

static int unlink_one(void *arg, const char *name, bool is_dir)
{
	char path[300];
	(void)is_dir;
	snprintf(path, sizeof(path), "store/db/%s", name);
	return fs_unlink(arg, path);
}

START_TEST(a_log_whose_store_was_lost_is_not_taken_for_a_new_one)
{
	boot();
	put(0, "p0", "value");
	world_close(&world);
	struct fs *fs = sim_node_fs(world.node);
	ck_assert_int_eq(fs_list(fs, "store/db", unlink_one, fs), 0);
	ck_assert(!world_boot(&world));
	ck_assert_int_eq(world.open_error, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(world.why, "store knows nothing"));
	world_give_up(&world);
}
END_TEST

START_TEST(opening_reports_every_allocation_that_fails)
{
	boot();
	world_work(&world, 100);
	sim_node_crash(world.node, SIM_KILL);
	uint64_t nth;
	for (nth = 1;; nth++) {
		world.open_alloc_fails = nth;
		bool opened = world_boot(&world);
		ck_assert(sim_node_is_running(world.node));
		if (opened && !world.alloc_failed)
			break;
		if (opened) {
			/* What failed could wait. */
			sim_node_crash(world.node, SIM_KILL);
			continue;
		}
		ck_assert_int_eq(world.open_error, ERR_NOMEM);
		world_give_up(&world);
	}
	ck_assert_uint_gt(nth, 20);
	world_check_all(&world);
}
END_TEST

START_TEST(a_replay_larger_than_the_dirty_bound_is_checkpointed_on_the_way)
{
	world.options.dirty_bytes_max = 1 << 20;
	world.options.replay_bytes_max = 1 << 30;
	world.never_asks = true;
	boot();
	uint64_t first = engine_figures(world.engine).checkpoints;
	world_work(&world, 600);
	world_settle(&world);
	ck_assert_uint_eq(engine_figures(world.engine).checkpoints, first);
	uint64_t appended = world.groups[0].count;
	world.options.dirty_bytes_max = 4096;
	kill_and_boot();
	ck_assert_uint_gt(engine_figures(world.engine).checkpoints, 2);
	ck_assert_uint_eq(engine_applied(world.engine, 0).index, appended);
	world_check_all(&world);
	/* What was written during the replay is not replayed again. */
	uint64_t replayed = world.report.replayed_entries;
	kill_and_boot();
	ck_assert_uint_lt(world.report.replayed_entries, replayed / 2);
	world_check_all(&world);
}
END_TEST

/* ---- Checkpoints ---- */

START_TEST(a_checkpoint_lets_the_log_go)
{
	world.options.dirty_bytes_max = 1 << 20;
	boot();
	world_work(&world, 400);
	world_settle(&world);
	uint64_t needed = engine_figures(world.engine).log.needed_bytes;
	uint64_t first = engine_figures(world.engine).log.first_segment;
	checkpoint();
	ck_assert_uint_lt(engine_figures(world.engine).log.needed_bytes, needed / 4);
	ck_assert_uint_gt(engine_figures(world.engine).log.first_segment, first);
	kill_and_boot();
	ck_assert_uint_lt(world.report.replayed_entries, 20);
	world_check_all(&world);
}
END_TEST

static bool idle_checkpointed(const struct engine_world *inside)
{
	return engine_figures(inside->engine).checkpoints > checkpoints_wanted;
}

START_TEST(an_idle_server_checkpoints_and_then_rests)
{
	boot();
	checkpoints_wanted = engine_figures(world.engine).checkpoints;
	put(0, "p0", "value");
	world_run_until(&world, idle_checkpointed);
	/* Nothing is left to happen: no timer goes on for ever. */
	ck_assert(sim_run_until(world.sim, NULL, NULL, 100000));
	ck_assert_uint_eq(engine_figures(world.engine).checkpoints, checkpoints_wanted + 1);
}
END_TEST

static bool log_grew(const struct engine_world *inside)
{
	return engine_figures(inside->engine).checkpoints > checkpoints_wanted ||
	       inside->operations > 5000;
}

START_TEST(the_logs_growth_alone_brings_a_checkpoint)
{
	world.options.dirty_bytes_max = 1 << 30;
	world.options.replay_bytes_max = 256 * 1024;
	boot();
	checkpoints_wanted = engine_figures(world.engine).checkpoints;
	world.working = true;
	world_inside(&world, NULL);
	world_run_until(&world, log_grew);
	ck_assert_uint_lt(world.operations, 5000);
	world.working = false;
	world_check_all(&world);
}
END_TEST

static bool refused_for_space(const struct engine_world *inside)
{
	return engine_figures(inside->engine).checkpoint_retries > 1;
}

static bool has_room(const struct engine_world *inside)
{
	return inside->room_called && checkpointed(inside);
}

START_TEST(a_checkpoint_without_space_is_made_again_and_proposals_wait)
{
	boot();
	put(1, "p0", "value");
	struct store_sim_faults full = {.no_space_ppm = 1000000};
	store_sim_set_faults(sim_node_fs(world.node), &full);
	checkpoints_wanted = engine_figures(world.engine).checkpoints + 1;
	world_inside(&world, ask_checkpoint);
	world_run_until(&world, refused_for_space);
	ck_assert(!engine_writable(world.engine));
	begin_batch();
	batch_put(&batch, text("p1"), text("value"));
	try_append(1);
	ck_assert_int_eq(append_error, ERR_NO_SPACE);
	world.room_called = false;
	store_sim_set_faults(sim_node_fs(world.node), NULL);
	world_run_until(&world, has_room);
	ck_assert(engine_writable(world.engine));
	append(1);
	world_check_all(&world);
}
END_TEST

static bool log_moved_on(const struct engine_world *inside)
{
	struct log_figures log = engine_figures(inside->engine).log;
	return log.rewrites > 0 && log.first_segment > 1;
}

START_TEST(an_idle_group_does_not_pin_the_log)
{
	world.options.replay_bytes_max = 64 * 1024;
	boot();
	world.groups[1].held = true;
	put(1, "p0", "not applied for a long time");
	world.working = true;
	world_inside(&world, NULL);
	world_run_until(&world, log_moved_on);
	world.working = false;
	world_settle(&world);
	kill_and_boot();
	world_check_all(&world);
}
END_TEST

/* ---- Full disk ---- */

static int spare_error, zero_error;

static void reserve_kinds(struct engine_world *inside)
{
	append_error = engine_reserve(inside->engine, 7, 10, 1);
	spare_error = engine_reserve_spare(inside->engine, 7, 10, 1);
	zero_error = engine_reserve(inside->engine, 0, 10, 1);
	if (!spare_error)
		engine_unreserve(inside->engine, 10, 1);
	if (!zero_error)
		engine_unreserve(inside->engine, 10, 1);
}

static bool not_writable(const struct engine_world *inside)
{
	return !engine_writable(inside->engine);
}

static bool writable(const struct engine_world *inside)
{
	return engine_writable(inside->engine) && inside->room_called;
}

START_TEST(on_a_full_disk_only_the_directory_and_deletes_go_on)
{
	boot();
	put(1, "p0", "value");
	ck_assert(engine_writable(world.engine));
	sim_disk_set_capacity(world.node, 1 << 20);
	put(1, "p1", "value"); /* activity, so that space is measured */
	world_run_until(&world, not_writable);
	world_inside(&world, reserve_kinds);
	ck_assert_int_eq(append_error, ERR_NO_SPACE);
	ck_assert_int_eq(spare_error, 0);
	ck_assert_int_eq(zero_error, 0);
	world.room_called = false;
	sim_disk_set_capacity(world.node, 0);
	world_run_until(&world, writable);
	put(1, "p2", "value");
}
END_TEST

START_TEST(the_reserve_can_be_lowered_for_a_small_disk)
{
	sim_disk_set_capacity(world.node, 16 << 20);
	boot();
	ck_assert(!engine_writable(world.engine));
	sim_node_crash(world.node, SIM_KILL);
	world.options.reserve_bytes_max = 1 << 20;
	boot();
	ck_assert(engine_writable(world.engine));
	ck_assert_uint_ge(
	    engine_figures(world.engine).reserve_bytes, 2 * world.options.segment_bytes);
	ck_assert_uint_le(engine_figures(world.engine).reserve_bytes, 1 << 20);
}
END_TEST

/* ---- Reads ---- */

START_TEST(loads_of_one_key_are_one_read)
{
	boot();
	put(0, "p0", "value");
	checkpoint();
	kill_and_boot();
	all_cold();
	loads_wanted = 3;
	ck_assert_int_eq(load(0, "p0"), 0);
	ck_assert_int_eq(load_results[1], 0);
	ck_assert_int_eq(load_results[2], 0);
	ck_assert_str_eq(load_value, "value");
	ck_assert_uint_eq(engine_figures(world.engine).loads, 1);
	ck_assert_int_eq(load(0, "p1"), 0);
	ck_assert_int_eq(load_found, TABLE_ABSENT);
}
END_TEST

START_TEST(a_load_of_a_key_in_memory_asks_no_disk)
{
	boot();
	put(0, "p0", "value");
	loads_wanted = 2;
	ck_assert_int_eq(load(0, "p0"), 0);
	ck_assert_str_eq(load_value, "value");
	ck_assert_uint_eq(engine_figures(world.engine).loads, 0);
}
END_TEST

START_TEST(a_value_larger_than_the_cache_is_there_for_all_who_waited)
{
	world.options.clean_bytes_max = 1;
	boot();
	put(0, "p0", "a value");
	checkpoint();
	all_cold();
	loads_wanted = 3;
	ck_assert_int_eq(load(0, "p0"), 0);
	ck_assert_int_eq(load_found, TABLE_VALUE);
	ck_assert_str_eq(load_value, "a value");
}
END_TEST

START_TEST(the_block_cache_answers_without_a_read)
{
	boot();
	put(0, "p0", "value");
	checkpoint();
	kill_and_boot();
	loads_wanted = 1;
	group = &world.groups[0];
	world_inside(&world, NULL);
	struct slice value;
	ck_assert_int_eq(engine_get(world.engine, 0, text("p0"), &value), TABLE_VALUE);
	ck_assert(slice_equal(value, text("value")));
	ck_assert_int_eq(engine_get(world.engine, 0, text("p1"), &value), TABLE_ABSENT);
	ck_assert_uint_eq(engine_figures(world.engine).cached_reads, 2);
	ck_assert_uint_eq(engine_figures(world.engine).loads, 0);
}
END_TEST

static struct cursor *cursor;
static struct slice cursor_first, cursor_end;
static int cursor_error;

static void open_cursor(struct engine_world *inside)
{
	cursor_error =
	    cursor_open(inside->engine, group->number, cursor_first, cursor_end, &cursor);
}

static char walked[256];

static void walk_inside(struct engine_world *inside)
{
	struct slice key;
	struct slice value;
	size_t at = 0;
	(void)inside;
	walked[0] = '\0';
	while ((cursor_error = cursor_next(cursor, &key, &value)) == 0) {
		if (value.bytes > 16 || at + 32 > sizeof(walked))
			continue;
		int name_bytes = key.bytes < 3 ? (int)key.bytes : 2;
		at += (size_t)snprintf(walked + at, sizeof(walked) - at, "%.*s=%.*s ", name_bytes,
		    (const char *)key.data, (int)value.bytes, (const char *)value.data);
	}
	cursor_close(cursor);
}

START_TEST(a_cursor_shows_the_moment_of_its_opening_whatever_is_checkpointed)
{
	boot();
	put(0, "p0", "stored");
	put(0, "p1", "stored");
	put(0, "p2", "stored");
	checkpoint();
	put(0, "p1", "dirty");
	begin_batch();
	batch_delete(&batch, text("p2"));
	batch_append(&batch, text("sa"), 1, text("one"));
	append(0);
	group = &world.groups[0];
	cursor_first = all;
	cursor_end = all;
	world_inside(&world, open_cursor);
	ck_assert_int_eq(cursor_error, 0);
	begin_batch();
	batch_put(&batch, text("p0"), text("later"));
	batch_put(&batch, text("p3"), text("later"));
	batch_append(&batch, text("sa"), 2, text("two"));
	append(0);
	checkpoint();
	checkpoint();
	world_inside(&world, walk_inside);
	ck_assert_int_eq(cursor_error, ERR_NOT_FOUND);
	ck_assert_str_eq(walked, "p0=stored p1=dirty sa=one ");
}
END_TEST

START_TEST(a_cursor_keeps_to_its_bounds_and_its_shard)
{
	boot();
	put(0, "p0", "0");
	put(0, "p1", "1");
	checkpoint();
	put(0, "p2", "2");
	put(0, "p3", "3");
	put(1, "p2", "other");
	group = &world.groups[0];
	cursor_first = text("p1");
	cursor_end = text("p3");
	world_inside(&world, open_cursor);
	world_inside(&world, walk_inside);
	ck_assert_str_eq(walked, "p1=1 p2=2 ");
}
END_TEST

START_TEST(a_cleared_stream_is_gone_from_cursors_and_then_from_the_store)
{
	boot();
	for (uint64_t i = 1; i <= 3; i++) {
		begin_batch();
		batch_append(&batch, text("sa"), i, text("old"));
		append(0);
		checkpoint();
	}
	begin_batch();
	batch_clear(&batch, text("sa"));
	batch_append(&batch, text("sa"), 9, text("new"));
	append(0);
	group = &world.groups[0];
	cursor_first = all;
	cursor_end = all;
	world_inside(&world, open_cursor);
	world_inside(&world, walk_inside);
	ck_assert_str_eq(walked, "sa=new ");
	checkpoint();
	kill_and_boot();
	world_inside(&world, open_cursor);
	world_inside(&world, walk_inside);
	ck_assert_str_eq(walked, "sa=new ");
}
END_TEST

static bool room_called(const struct engine_world *inside)
{
	return inside->room_called;
}

START_TEST(too_much_that_is_not_in_the_store_is_refused_to_a_cursor)
{
	world.options.dirty_bytes_max = 1 << 30;
	world.options.replay_bytes_max = 1 << 30;
	boot();
	static uint8_t large[12 * 1024];
	char key[16];
	for (int i = 0; i < 1400; i++) {
		begin_batch();
		snprintf(key, sizeof(key), "x%d", i);
		batch_put(&batch, text(key), slice_of(large, sizeof(large)));
		do {
			world.room_called = false;
			try_append(0);
			if (append_error == ERR_FULL)
				world_run_until(&world, room_called);
		} while (append_error == ERR_FULL);
		ck_assert_int_eq(append_error, 0);
		world_settle(&world);
	}
	group = &world.groups[0];
	cursor_first = all;
	cursor_end = all;
	world_inside(&world, open_cursor);
	ck_assert_int_eq(cursor_error, ERR_TOO_LARGE);
	checkpoint();
	world_inside(&world, open_cursor);
	ck_assert_int_eq(cursor_error, 0);
	world_inside(&world, walk_inside);
	ck_assert_int_eq(cursor_error, ERR_NOT_FOUND);
}
END_TEST

/* ---- Damage ---- */

static void damage(size_t number, struct slice key)
{
	uint8_t data[WORLD_KEY_MAX];
	ck_assert(store_sim_damage(sim_node_fs(world.node), "store/db",
	    world_key(data, world.groups[number].number, key)));
	world.damage_expected = true;
}

static void expect_closed(size_t number)
{
	group = &world.groups[number];
	struct slice value;
	ck_assert(engine_shard_closed(world.engine, group->number));
	ck_assert_int_eq(engine_get(world.engine, group->number, text("p1"), &value), TABLE_COLD);
	loads_wanted = 1;
	ck_assert_int_eq(load(number, "p1"), ERR_DATA_LOSS);
	begin_batch();
	batch_put(&batch, text("p1"), text("value"));
	try_append(number);
	ck_assert_int_eq(append_error, ERR_DATA_LOSS);
	world_inside(&world, open_cursor);
	ck_assert_int_eq(cursor_error, ERR_DATA_LOSS);
	group->closed = true;
}

START_TEST(a_damaged_value_closes_its_shard_and_no_other)
{
	boot();
	put(0, "p0", "value");
	put(1, "p0", "value");
	checkpoint();
	kill_and_boot();
	all_cold();
	damage(1, text("p0"));
	loads_wanted = 2;
	ck_assert_int_eq(load(1, "p0"), ERR_CORRUPT);
	ck_assert_int_eq(load_results[1], ERR_CORRUPT);
	expect_closed(1);
	ck_assert_uint_eq(engine_figures(world.engine).shards_closed, 1);
	put(0, "p0", "served");
	world_check_all(&world);
}
END_TEST

START_TEST(damage_met_by_a_cursor_closes_its_shard)
{
	boot();
	put(1, "p0", "value");
	checkpoint();
	damage(1, text("p0"));
	group = &world.groups[1];
	world_inside(&world, open_cursor);
	world_inside(&world, walk_inside);
	ck_assert_int_eq(cursor_error, ERR_CORRUPT);
	expect_closed(1);
}
END_TEST

START_TEST(a_clear_that_cannot_be_carried_out_closes_its_shard_for_good)
{
	boot();
	begin_batch();
	batch_append(&batch, text("sa"), 1, text("old"));
	append(1);
	put(0, "p0", "value");
	checkpoint();
	damage(1, slice_of("sa\0\0\0\0\0\0\0\1", 10));
	begin_batch();
	batch_clear(&batch, text("sa"));
	append(1);
	put(0, "p0", "other");
	checkpoint();
	expect_closed(1);
	kill_and_boot();
	ck_assert_uint_eq(world.report.shards_closed, 1);
	expect_closed(1);
	world_check_all(&world);
}
END_TEST

/* The second block of the log's first segment holds the first frame after the life's. */
START_TEST(a_shard_that_lost_a_durable_record_is_closed_and_stays_closed)
{
	boot();
	for (int i = 0; i < 10; i++) {
		put(0, "p0", "value");
		put(1, "p1", "value");
		put(2, "p2", "value");
	}
	sim_node_crash(world.node, SIM_KILL);
	world.damage_expected = true;
	sim_disk_rot(world.node, "store/log/0000000000000001.seg", 8 * 4096 + 200, 4);
	boot();
	ck_assert_uint_eq(world.report.shards_closed, 1);
	ck_assert_uint_eq(world.report.log.gaps, 1);
	world_check_all(&world);
	world_work(&world, world.operations + 300);
	size_t number = 0;
	while (!engine_shard_closed(world.engine, world.groups[number].number))
		number++;
	expect_closed(number);
	checkpoint();
	world_check_all(&world);
	kill_and_boot();
	ck_assert_uint_eq(world.report.shards_closed, 1);
	expect_closed(number);
	world_check_all(&world);
}
END_TEST

START_TEST(behind_its_bounds_the_engine_takes_nothing_more)
{
	world.options.dirty_bytes_max = 8 * 1024;
	boot();
	struct store_sim_faults slow = {.slow_ppm = 1000000, .slow_ns = 5000000};
	store_sim_set_faults(sim_node_fs(world.node), &slow);
	world_work(&world, 400);
	ck_assert_uint_gt(world.refused_full, 0);
	world_settle(&world);
	world_check_all(&world);
}
END_TEST

Suite *engine_suite(void)
{
	Suite *suite = suite_create("engine");
	TCase *tcase = tcase_create("engine");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_new_store_is_empty_and_opens_again);
	tcase_add_test(tcase, after_a_clean_end_nothing_is_replayed);
	tcase_add_test(tcase, after_a_crash_what_no_checkpoint_has_is_replayed);
	tcase_add_test(tcase, another_ones_store_is_refused);
	tcase_add_test(tcase, a_log_whose_store_was_lost_is_not_taken_for_a_new_one);
	tcase_add_test(tcase, opening_reports_every_allocation_that_fails);
	tcase_add_test(tcase, a_replay_larger_than_the_dirty_bound_is_checkpointed_on_the_way);
	tcase_add_test(tcase, a_checkpoint_lets_the_log_go);
	tcase_add_test(tcase, an_idle_server_checkpoints_and_then_rests);
	tcase_add_test(tcase, the_logs_growth_alone_brings_a_checkpoint);
	tcase_add_test(tcase, a_checkpoint_without_space_is_made_again_and_proposals_wait);
	tcase_add_test(tcase, an_idle_group_does_not_pin_the_log);
	tcase_add_test(tcase, on_a_full_disk_only_the_directory_and_deletes_go_on);
	tcase_add_test(tcase, the_reserve_can_be_lowered_for_a_small_disk);
	tcase_add_test(tcase, loads_of_one_key_are_one_read);
	tcase_add_test(tcase, a_load_of_a_key_in_memory_asks_no_disk);
	tcase_add_test(tcase, a_value_larger_than_the_cache_is_there_for_all_who_waited);
	tcase_add_test(tcase, the_block_cache_answers_without_a_read);
	tcase_add_test(tcase, a_cursor_shows_the_moment_of_its_opening_whatever_is_checkpointed);
	tcase_add_test(tcase, a_cursor_keeps_to_its_bounds_and_its_shard);
	tcase_add_test(tcase, a_cleared_stream_is_gone_from_cursors_and_then_from_the_store);
	tcase_add_test(tcase, too_much_that_is_not_in_the_store_is_refused_to_a_cursor);
	tcase_add_test(tcase, a_damaged_value_closes_its_shard_and_no_other);
	tcase_add_test(tcase, damage_met_by_a_cursor_closes_its_shard);
	tcase_add_test(tcase, a_clear_that_cannot_be_carried_out_closes_its_shard_for_good);
	tcase_add_test(tcase, a_shard_that_lost_a_durable_record_is_closed_and_stays_closed);
	tcase_add_test(tcase, behind_its_bounds_the_engine_takes_nothing_more);
	suite_add_tcase(suite, tcase);
	return suite;
}
