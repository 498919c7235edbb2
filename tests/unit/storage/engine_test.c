/* The engine as a whole: opening, checkpoints, free space. */
#include "tests/unit/storage/engine_steps.h"
#include "tests/unit/storage/suites.h"

#include "base/buffer.h"
#include "base/io/fs.h"
#include "storage/keys.h"
#include "storage/store.h"

#include <stdio.h>
#include <string.h>

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

/* ---- An anchor as it was before it named its life's first frame ---- */

enum { ANCHOR_BYTES_1 = 73, ANCHOR_LOG_AT = 9 };

struct anchor_source {
	struct store_source source; /* first: what store_write knows */
	struct slice key, value;
	bool ended;
};

static bool next_anchor(struct store_source *source, struct store_change *ret_change)
{
	struct anchor_source *anchor = (struct anchor_source *)(void *)source;
	if (anchor->ended)
		return false;
	anchor->ended = true;
	*ret_change = (struct store_change){.key = anchor->key, .value = anchor->value};
	return true;
}

static uint8_t anchor_format;
static size_t anchor_bytes;

static void age_anchor(void *arg)
{
	struct engine_world *inside = arg;
	struct store_options options = {
	    .fs = sim_node_fs(inside->node), .root = "/", .dir = "store/db"};
	struct store *store;
	struct buffer value;
	uint8_t key[KEY_OWN_BYTES];
	key_own_put(key, KEY_KIND_ANCHOR);
	buffer_init(&value, 1024);
	ck_assert_int_eq(store_open(&options, inside->why, sizeof(inside->why), &store), 0);
	ck_assert_int_eq(store_get(store, slice_of(key, sizeof(key)), &value), 0);
	anchor_bytes = buffer_bytes(&value);
	uint8_t *data = value.data + value.begin;
	anchor_format = data[0];
	ck_assert_uint_eq(data[ANCHOR_LOG_AT], 2);
	data[0] = 1;
	data[ANCHOR_LOG_AT] = 1;
	struct anchor_source source = {.source = {.next = next_anchor},
	    .key = slice_of(key, sizeof(key)),
	    .value = slice_of(data, ANCHOR_BYTES_1)};
	ck_assert_int_eq(store_write(store, &source.source), 0);
	buffer_done(&value);
	store_close(store);
	io_free(inside->io);
}

static void make_anchor_old(void)
{
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, NULL, NULL);
	ck_assert(sim_node_run(world.node, age_anchor, &world));
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
	ck_assert_uint_eq(anchor_format, 2);
	ck_assert_uint_gt(anchor_bytes, ANCHOR_BYTES_1);
}

START_TEST(a_store_with_an_anchor_of_the_first_format_opens)
{
	boot();
	world_work(&world, 200);
	sim_node_crash(world.node, SIM_KILL);
	for (int round = 0; round < 2; round++) {
		make_anchor_old();
		boot();
		ck_assert_uint_gt(world.report.replayed_entries + world.report.shards, 0);
		world_check_all(&world);
		checkpoint();
		put(0, "p0", "behind it");
		sim_node_crash(world.node, SIM_POWER_CUT);
	}
	boot();
	world_check_all(&world);
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
	/* The one that ends first may have begun before the last entries. */
	checkpoint();
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

START_TEST(a_checkpoint_of_nothing_new_ends_without_being_written)
{
	boot();
	put(1, "p0", "value");
	checkpoint();
	/* The log's own last words are written, too. */
	(void)sim_run_until(world.sim, NULL, NULL, 100000);
	checkpoint();
	struct engine_figures before = engine_figures(world.engine);
	checkpoint();
	checkpoint();
	struct engine_figures after = engine_figures(world.engine);
	ck_assert_uint_eq(after.checkpoints, before.checkpoints + 2);
	ck_assert_uint_eq(after.checkpoints_unchanged, before.checkpoints_unchanged + 2);
	ck_assert_uint_eq(after.checkpoint_entries, before.checkpoint_entries);
	ck_assert_uint_eq(after.checkpoint_bytes, before.checkpoint_bytes);
	/* The next change is written again. */
	put(1, "p0", "newer");
	checkpoint();
	ck_assert_uint_gt(
	    engine_figures(world.engine).checkpoint_entries, before.checkpoint_entries);
	ck_assert_uint_eq(
	    engine_figures(world.engine).checkpoints_unchanged, after.checkpoints_unchanged);
	kill_and_boot();
	ck_assert_uint_eq(world.report.replayed_entries, 0);
	world_check_all(&world);
}
END_TEST

/* Nothing was logged since, and nothing is dirty, but one more entry counts as applied. */
START_TEST(an_applied_index_alone_is_written)
{
	boot();
	world.groups[1].held = true;
	begin_batch();
	append(1);
	checkpoint();
	(void)sim_run_until(world.sim, NULL, NULL, 100000);
	checkpoint();
	struct engine_figures before = engine_figures(world.engine);
	world.groups[1].held = false;
	world_inside(&world, NULL);
	world_settle(&world);
	ck_assert_uint_eq(engine_figures(world.engine).table.dirty_changes, 0);
	checkpoint();
	struct engine_figures after = engine_figures(world.engine);
	ck_assert_uint_eq(after.checkpoints_unchanged, before.checkpoints_unchanged);
	ck_assert_uint_gt(after.checkpoint_entries, before.checkpoint_entries);
	kill_and_boot();
	ck_assert_uint_eq(world.report.replayed_entries, 0);
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

static void keep(struct engine_world *inside)
{
	engine_log_keep(inside->engine);
}

START_TEST(log_that_is_kept_to_be_read_makes_no_disk_full)
{
	world.options.reserve_bytes_max = 1 << 20;
	world.options.keep_bytes = 8 << 20;
	world.options.segment_bytes = 64 * 1024;
	world.options.replay_bytes_max = 128 * 1024;
	sim_disk_set_capacity(world.node, 4 << 20);
	boot();
	world_inside(&world, keep);
	for (uint64_t i = 1; i <= 3000; i++) {
		world_work(&world, i * 10);
		ck_assert(engine_writable(world.engine));
	}
	ck_assert_uint_eq(world.refused_space, 0);
}
END_TEST

static uint64_t slow_calls;
static void measure(struct engine_world *inside)
{
	struct fs *fs = sim_node_fs(world.node);
	uint64_t before = store_sim_figures(fs).slow_calls;
	(void)engine_measure(inside->engine);
	slow_calls = store_sim_figures(fs).slow_calls - before;
}

/* It is asked in the core's thread, and the store may be in the middle of a checkpoint. */
START_TEST(measuring_now_does_not_wait_for_the_store)
{
	boot();
	struct store_sim_faults slow = {.slow_ppm = 1000000, .slow_ns = 5000000};
	store_sim_set_faults(sim_node_fs(world.node), &slow);
	world_inside(&world, measure);
	ck_assert_uint_eq(slow_calls, 0);
	ck_assert(engine_writable(world.engine));
	sim_disk_set_capacity(world.node, 1 << 20);
	world_inside(&world, measure);
	ck_assert(!engine_writable(world.engine));
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
	tcase_add_checked_fixture(tcase, steps_setup, steps_teardown);
	tcase_add_test(tcase, a_new_store_is_empty_and_opens_again);
	tcase_add_test(tcase, after_a_clean_end_nothing_is_replayed);
	tcase_add_test(tcase, after_a_crash_what_no_checkpoint_has_is_replayed);
	tcase_add_test(tcase, another_ones_store_is_refused);
	tcase_add_test(tcase, a_log_whose_store_was_lost_is_not_taken_for_a_new_one);
	tcase_add_test(tcase, a_store_with_an_anchor_of_the_first_format_opens);
	tcase_add_test(tcase, opening_reports_every_allocation_that_fails);
	tcase_add_test(tcase, a_replay_larger_than_the_dirty_bound_is_checkpointed_on_the_way);
	tcase_add_test(tcase, a_checkpoint_lets_the_log_go);
	tcase_add_test(tcase, an_idle_server_checkpoints_and_then_rests);
	tcase_add_test(tcase, a_checkpoint_of_nothing_new_ends_without_being_written);
	tcase_add_test(tcase, an_applied_index_alone_is_written);
	tcase_add_test(tcase, the_logs_growth_alone_brings_a_checkpoint);
	tcase_add_test(tcase, a_checkpoint_without_space_is_made_again_and_proposals_wait);
	tcase_add_test(tcase, an_idle_group_does_not_pin_the_log);
	tcase_add_test(tcase, on_a_full_disk_only_the_directory_and_deletes_go_on);
	tcase_add_test(tcase, log_that_is_kept_to_be_read_makes_no_disk_full);
	tcase_add_test(tcase, measuring_now_does_not_wait_for_the_store);
	tcase_add_test(tcase, the_reserve_can_be_lowered_for_a_small_disk);
	tcase_add_test(tcase, behind_its_bounds_the_engine_takes_nothing_more);
	suite_add_tcase(suite, tcase);
	return suite;
}
