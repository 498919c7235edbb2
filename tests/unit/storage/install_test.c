/* Shards' states replaced by snapshots, and taken away: step by step, in a world without faults. */
#include "tests/unit/storage/install_steps.h"
#include "tests/unit/storage/suites.h"

#include "base/io/fs.h"
#include "storage/cursor.h"
#include "storage/install_file.h"
#include "storage/keys.h"

#include <stdio.h>
#include <string.h>

START_TEST(a_snapshot_takes_the_place_of_a_state)
{
	installs_start();
	installs_take_one();
	installs_expect_no_files();
	ck_assert_uint_eq(engine_applied(installs_world.engine, installs_shard->number).index, 70);
	ck_assert_uint_eq(engine_figures(installs_world.engine).installs, 1);
	installs_append_to_all(20);
	installs_reboot(SIM_POWER_CUT);
	ck_assert_uint_eq(engine_applied(installs_world.engine, installs_shard->number).index, 90);
	install_world_close(&installs_world);
	installs_boot();
	ck_assert_uint_eq(installs_world.report.replayed_entries, 0);
}
END_TEST

static void put_wrong(struct install_world *inside)
{
	struct engine_install *install;
	struct engine_install_options options = {.room = NULL};
	static uint8_t large[BATCH_KEY_BYTES_MAX + 9] = {KEY_KIND_FIRST_FREE};
	struct slice none = slice_of(NULL, 0);
	ck_assert_int_eq(engine_install_begin(inside->engine, 5, &options, &install), 0);
	struct engine_install *second;
	ck_assert_int_eq(engine_install_begin(inside->engine, 5, &options, &second), ERR_EXISTS);
	ck_assert_int_eq(
	    engine_install_begin(inside->engine, KEY_STORE_SHARD, &options, &second), ERR_INVALID);
	ck_assert_int_eq(engine_install_put(install, none, none), ERR_INVALID);
	ck_assert_int_eq(engine_install_put(install, slice_of("\1", 1), none), ERR_INVALID);
	ck_assert_int_eq(
	    engine_install_put(install, slice_of(large, sizeof(large)), none), ERR_INVALID);
	ck_assert_int_eq(engine_install_put(install, slice_from_text("b"), none), 0);
	ck_assert_int_eq(engine_install_put(install, slice_from_text("b"), none), ERR_INVALID);
	ck_assert_int_eq(engine_install_put(install, slice_from_text("a"), none), ERR_INVALID);
	/* What was wrong is not in it, and it goes on. */
	ck_assert_int_eq(engine_install_put(install, slice_from_text("ba"), none), 0);
	engine_install_cancel(install);
}

START_TEST(pairs_out_of_order_are_refused)
{
	installs_start();
	install_world_inside(&installs_world, put_wrong);
	installs_take_one();
	installs_expect_no_files();
}
END_TEST

static void finish_low(struct install_world *inside)
{
	struct engine_install *install;
	struct engine_install_options options = {.room = NULL};
	ck_assert_int_eq(
	    engine_install_begin(inside->engine, installs_shard->number, &options, &install), 0);
	installs_shard->pending = PENDING_STATE;
	inside->damage_expected = true; /* any result */
	engine_install_finish(
	    install, installs_shard->applied, 9, install_world_ended, installs_shard);
}

START_TEST(a_snapshot_below_what_is_applied_is_refused)
{
	installs_start();
	install_world_inside(&installs_world, finish_low);
	install_world_settle(&installs_world);
	ck_assert_int_eq(installs_shard->last_result, ERR_INVALID);
	installs_expect_no_files();
	installs_take_one();
}
END_TEST

/* ---- What is left of others ---- */

static void leave_file(const char *name, const char *text)
{
	struct fs *fs = sim_node_fs(installs_world.node);
	char path[64];
	snprintf(path, sizeof(path), "store/install/%s", name);
	ck_assert_int_eq(fs_replace_file(fs, path, text, strlen(text)), 0);
}

START_TEST(files_that_are_no_intents_are_deleted)
{
	installs_start();
	sim_node_crash(installs_world.node, SIM_KILL);
	leave_file("00000005.part", "half of one");
	leave_file("5.intent", "");
	leave_file("0000000G.intent", "");
	installs_boot();
	installs_expect_no_files();
	install_world_settle(&installs_world);
}
END_TEST

START_TEST(an_intent_that_cannot_be_read_closes_its_shard_until_another_comes)
{
	installs_start();
	sim_node_crash(installs_world.node, SIM_KILL);
	leave_file("00000005.intent", "not the head of one");
	installs_world.damage_expected = true;
	for (int round = 0; round < 2; round++) {
		installs_boot();
		ck_assert_uint_eq(installs_world.report.shards_closed, 1);
		ck_assert(installs_shard->closed && !installs_world.shards[0].closed &&
		          !installs_world.shards[2].closed);
		install_world_settle(&installs_world);
		sim_node_crash(installs_world.node, SIM_KILL);
	}
	installs_boot();
	installs_take_one();
	ck_assert(!engine_shard_closed(installs_world.engine, installs_shard->number));
	installs_expect_no_files();
	installs_world.damage_expected = false;
	installs_reboot(SIM_POWER_CUT);
	install_world_settle(&installs_world);
}
END_TEST

/* As far as is known of any format: its magic and its number. */
START_TEST(an_intent_of_another_format_is_left_to_the_version_that_wrote_it)
{
	uint8_t data[200] = "KXINTENT";
	struct fs *fs = sim_node_fs(installs_world.node);
	static const size_t lengths[] = {12, INSTALL_HEAD_BYTES - 8, INSTALL_HEAD_BYTES, 200};
	installs_start();
	sim_node_crash(installs_world.node, SIM_KILL);
	data[8] = INSTALL_FORMAT + 1;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ck_assert_int_eq(
		    fs_replace_file(fs, "store/install/00000005.intent", data, lengths[i]), 0);
		ck_assert(!install_world_boot(&installs_world));
		ck_assert_int_eq(installs_world.open_error, ERR_FORMAT);
		ck_assert_ptr_nonnull(strstr(installs_world.why, "another version"));
		sim_node_crash(installs_world.node, SIM_KILL);
		ck_assert(installs_has_intent());
	}
	ck_assert_int_eq(fs_unlink(fs, "store/install/00000005.intent"), 0);
	installs_boot();
	ck_assert_uint_eq(installs_world.report.shards_closed, 0);
	install_world_settle(&installs_world);
}
END_TEST

START_TEST(any_rotten_bit_of_a_head_is_damage)
{
	uint8_t data[INSTALL_HEAD_BYTES];
	struct install_head head = {.kind = INSTALL_STATE, .store = 7, .shard = 5, .index = 9},
	                    read;
	install_head_encode(&head, data);
	ck_assert_int_eq(install_head_decode(slice_of(data, sizeof(data)), &read), 0);
	ck_assert_uint_eq(read.index, 9);
	for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(
		    install_head_decode(slice_of(data, sizeof(data)), &read), ERR_CORRUPT);
		data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t bytes = 0; bytes < sizeof(data); bytes++)
		ck_assert_int_eq(install_head_decode(slice_of(data, bytes), &read), ERR_CORRUPT);
}
END_TEST

/* Its blocks are not whole, and need not be: the store has what they were. */
static void leave_intent(uint64_t index)
{
	uint8_t data[INSTALL_HEAD_BYTES];
	struct install_head head = {.kind = INSTALL_STATE,
	    .store = installs_world.options.store_id,
	    .shard = installs_shard->number,
	    .index = index,
	    .term = engine_applied(installs_world.engine, installs_shard->number).term,
	    .blocks = 1,
	    .pairs = 1,
	    .bytes = 100};
	install_head_encode(&head, data);
	sim_node_crash(installs_world.node, SIM_KILL);
	ck_assert_int_eq(fs_replace_file(sim_node_fs(installs_world.node),
	                     "store/install/00000005.intent", data, sizeof(data)),
	    0);
	installs_boot();
}

START_TEST(an_intent_whose_state_is_in_the_store_needs_no_second_write)
{
	installs_start();
	installs_take_one();
	leave_intent(engine_applied(installs_world.engine, installs_shard->number).index);
	ck_assert(!installs_shard->closed);
	installs_append_to_all(3);
	installs_expect_no_files();
	installs_reboot(SIM_POWER_CUT);
	install_world_settle(&installs_world);
}
END_TEST

START_TEST(an_intent_that_is_not_whole_leaves_the_old_state)
{
	installs_start();
	installs_take_one();
	leave_intent(engine_applied(installs_world.engine, installs_shard->number).index + 5);
	ck_assert(!installs_shard->closed);
	installs_expect_no_files();
	installs_append_to_all(3);
	installs_reboot(SIM_POWER_CUT);
	install_world_settle(&installs_world);
}
END_TEST

START_TEST(a_shard_is_taken_away_and_comes_again)
{
	installs_start();
	install_world_inside(&installs_world, installs_remove);
	install_world_settle(&installs_world);
	ck_assert_uint_eq(installs_world.removals, 1);
	ck_assert_uint_eq(engine_figures(installs_world.engine).shards, 2 + 1);
	installs_expect_no_files();
	installs_reboot(SIM_POWER_CUT);
	ck_assert_uint_eq(installs_world.report.shards, 2);
	install_world_settle(&installs_world);
	/* Far above anything that it had. */
	installs_shard->hard_term = 0;
	installs_begin_and_settle();
	ck_assert_uint_eq(engine_applied(installs_world.engine, installs_shard->number).index, 50);
	installs_reboot(SIM_KILL);
	install_world_settle(&installs_world);
}
END_TEST

static struct cursor *before;
static void open_cursor(struct install_world *inside)
{
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(cursor_open(inside->engine, installs_shard->number, all, all, &before), 0);
}

static void read_cursor(struct install_world *inside)
{
	(void)inside;
	struct slice key;
	struct slice value;
	unsigned pairs = 0;
	ck_assert_uint_eq(cursor_index(before), 20);
	int error;
	while ((error = cursor_next(before, &key, &value)) == 0) {
		ck_assert_int_eq(key.data[0], 'k');
		pairs++;
	}
	ck_assert_int_eq(error, ERR_NOT_FOUND);
	ck_assert_uint_gt(pairs, 5);
	cursor_close(before);
}

START_TEST(a_cursor_goes_on_showing_the_old_state)
{
	installs_start();
	install_world_inside(&installs_world, open_cursor);
	installs_take_one();
	install_world_inside(&installs_world, read_cursor);
	install_world_settle(&installs_world);
}
END_TEST

/* A process that is killed may have changed names that a power cut still takes back. */
START_TEST(an_intent_whose_file_was_gone_does_not_come_back)
{
	enum { POINTS = 60 };
	for (uint64_t point = 1; point <= POINTS; point++) {
		install_world_done(&installs_world);
		install_world_init(&installs_world, point, NULL);
		installs_shard = &installs_world.shards[1];
		installs_start();
		sim_crash_at(installs_world.node, point, SIM_KILL);
		installs_begin_and_settle();
		sim_crash_at(installs_world.node, 0, SIM_KILL);
		installs_checkpoint();
		installs_append_to_one(3);
		uint64_t index =
		    engine_applied(installs_world.engine, installs_shard->number).index;
		installs_reboot(SIM_POWER_CUT);
		install_world_settle(&installs_world);
		ck_assert_uint_eq(
		    engine_applied(installs_world.engine, installs_shard->number).index, index);
	}
}
END_TEST

Suite *install_suite(void)
{
	Suite *suite = suite_create("install");
	TCase *tcase = tcase_create("install");
	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, installs_setup, installs_teardown);
	tcase_add_test(tcase, a_snapshot_takes_the_place_of_a_state);
	tcase_add_test(tcase, pairs_out_of_order_are_refused);
	tcase_add_test(tcase, a_snapshot_below_what_is_applied_is_refused);
	tcase_add_test(tcase, files_that_are_no_intents_are_deleted);
	tcase_add_test(tcase, an_intent_that_cannot_be_read_closes_its_shard_until_another_comes);
	tcase_add_test(tcase, an_intent_of_another_format_is_left_to_the_version_that_wrote_it);
	tcase_add_test(tcase, any_rotten_bit_of_a_head_is_damage);
	tcase_add_test(tcase, an_intent_whose_state_is_in_the_store_needs_no_second_write);
	tcase_add_test(tcase, an_intent_that_is_not_whole_leaves_the_old_state);
	tcase_add_test(tcase, a_shard_is_taken_away_and_comes_again);
	tcase_add_test(tcase, an_intent_whose_file_was_gone_does_not_come_back);
	tcase_add_test(tcase, a_cursor_goes_on_showing_the_old_state);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, install_damage_tcase());
	suite_add_tcase(suite, install_unreadable_tcase());
	suite_add_tcase(suite, install_random_tcase());
	return suite;
}
