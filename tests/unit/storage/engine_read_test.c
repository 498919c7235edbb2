/* What the engine shows: loads, cursors, and what becomes of a shard with damage. */
#include "tests/unit/storage/engine_steps.h"
#include "tests/unit/storage/suites.h"

#include "storage/cursor.h"

#include <stdio.h>
#include <string.h>

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

static void get_twice(struct engine_world *inside)
{
	struct slice value;
	ck_assert_int_eq(engine_get(inside->engine, 0, text("p0"), &value), TABLE_VALUE);
	ck_assert(slice_equal(value, text("value")));
	ck_assert_int_eq(engine_get(inside->engine, 0, text("p1"), &value), TABLE_ABSENT);
}

START_TEST(the_block_cache_answers_without_a_read)
{
	boot();
	put(0, "p0", "value");
	checkpoint();
	kill_and_boot();
	world_inside(&world, get_twice);
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
	char key[32];
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

START_TEST(a_failed_read_closes_a_shard_that_has_nothing_yet)
{
	boot();
	struct store_sim_faults faults = {.read_error_ppm = 1000000, .cold_percent = 100};
	store_sim_set_faults(sim_node_fs(world.node), &faults);
	world.damage_expected = true;
	loads_wanted = 1;
	ck_assert_int_eq(load(1, "p0"), ERR_IO);
	store_sim_set_faults(sim_node_fs(world.node), NULL);
	expect_closed(1);
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

Suite *engine_read_suite(void)
{
	Suite *suite = suite_create("engine_read");
	TCase *tcase = tcase_create("engine_read");
	tcase_add_checked_fixture(tcase, steps_setup, steps_teardown);
	tcase_add_test(tcase, loads_of_one_key_are_one_read);
	tcase_add_test(tcase, a_load_of_a_key_in_memory_asks_no_disk);
	tcase_add_test(tcase, a_value_larger_than_the_cache_is_there_for_all_who_waited);
	tcase_add_test(tcase, the_block_cache_answers_without_a_read);
	tcase_add_test(tcase, a_cursor_shows_the_moment_of_its_opening_whatever_is_checkpointed);
	tcase_add_test(tcase, a_cursor_keeps_to_its_bounds_and_its_shard);
	tcase_add_test(tcase, a_cleared_stream_is_gone_from_cursors_and_then_from_the_store);
	tcase_add_test(tcase, too_much_that_is_not_in_the_store_is_refused_to_a_cursor);
	tcase_add_test(tcase, a_damaged_value_closes_its_shard_and_no_other);
	tcase_add_test(tcase, a_failed_read_closes_a_shard_that_has_nothing_yet);
	tcase_add_test(tcase, damage_met_by_a_cursor_closes_its_shard);
	tcase_add_test(tcase, a_clear_that_cannot_be_carried_out_closes_its_shard_for_good);
	tcase_add_test(tcase, a_shard_that_lost_a_durable_record_is_closed_and_stays_closed);
	suite_add_tcase(suite, tcase);
	return suite;
}
