/* Shards' states replaced by snapshots, and taken away: step by step, in a world without faults. */
#include "tests/unit/storage/install_world.h"
#include "tests/unit/storage/suites.h"

#include "base/io/fs.h"
#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/install_file.h"
#include "storage/keys.h"

#include <stdio.h>
#include <string.h>

static struct install_world world;
static struct install_shard *shard;

static void setup(void)
{
	install_world_init(&world, 1, NULL);
	shard = &world.shards[1];
}

static void teardown(void)
{
	install_world_done(&world);
}

static void boot(void)
{
	ck_assert_msg(install_world_boot(&world), "%s", world.why);
}

static void reboot(enum sim_crash crash)
{
	sim_node_crash(world.node, crash);
	boot();
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
		if (world.shards[i].now->last < wanted[i]) {
			install_world_inside(&world, append_more);
			return false;
		}
	return true;
}

/* Each gets so many entries, and they are applied. */
static void append_to_all(uint64_t entries)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		wanted[i] = world.shards[i].now->last + entries;
	install_world_run_until(&world, appended);
	install_world_settle(&world);
}

static void append_to(const struct install_shard *one, uint64_t entries)
{
	for (size_t i = 0; i < INSTALL_SHARDS; i++)
		wanted[i] = &world.shards[i] == one ? one->now->last + entries : 0;
	install_world_run_until(&world, appended);
	install_world_settle(&world);
}

static void append_to_one(uint64_t entries)
{
	append_to(shard, entries);
}

static bool begun;

static void begin_install(struct install_world *inside)
{
	(void)inside;
	begun = install_world_begin(shard, shard->applied + 50, shard->hard_term + 2, 300);
}

/* What was canceled before may still be under way. */
static bool is_begun(const struct install_world *inside)
{
	(void)inside;
	if (!begun)
		install_world_inside(&world, begin_install);
	return begun;
}

static void start(void)
{
	boot();
	append_to_all(20);
}

static void begin_and_settle(void)
{
	begun = false;
	install_world_run_until(&world, is_begun);
	install_world_settle(&world);
}

static void install_one(void)
{
	uint64_t installs = world.installs;
	begin_and_settle();
	ck_assert_uint_eq(world.installs, installs + 1);
}

static unsigned files_left;

static int count_file(void *arg, const char *name, bool is_dir)
{
	(void)arg;
	(void)name;
	files_left += !is_dir;
	return 0;
}

static void expect_no_files(void)
{
	files_left = 0;
	ck_assert_int_eq(fs_list(sim_node_fs(world.node), "store/install", count_file, NULL), 0);
	ck_assert_uint_eq(files_left, 0);
}

START_TEST(a_snapshot_takes_the_place_of_a_state)
{
	start();
	install_one();
	expect_no_files();
	ck_assert_uint_eq(engine_applied(world.engine, shard->number).index, 70);
	ck_assert_uint_eq(engine_figures(world.engine).installs, 1);
	append_to_all(20);
	reboot(SIM_POWER_CUT);
	ck_assert_uint_eq(engine_applied(world.engine, shard->number).index, 90);
	install_world_close(&world);
	boot();
	ck_assert_uint_eq(world.report.replayed_entries, 0);
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
	start();
	install_world_inside(&world, put_wrong);
	install_one();
	expect_no_files();
}
END_TEST

static void finish_low(struct install_world *inside)
{
	struct engine_install *install;
	struct engine_install_options options = {.room = NULL};
	ck_assert_int_eq(
	    engine_install_begin(inside->engine, shard->number, &options, &install), 0);
	shard->pending = PENDING_STATE;
	inside->damage_expected = true; /* any result */
	engine_install_finish(install, shard->applied, 9, install_world_ended, shard);
}

START_TEST(a_snapshot_below_what_is_applied_is_refused)
{
	start();
	install_world_inside(&world, finish_low);
	install_world_settle(&world);
	ck_assert_int_eq(shard->last_result, ERR_INVALID);
	expect_no_files();
	install_one();
}
END_TEST

/* ---- What is left of others ---- */

static bool is_intent(void)
{
	bool exists = false;
	ck_assert_int_eq(
	    fs_exists(sim_node_fs(world.node), "store/install/00000005.intent", &exists), 0);
	return exists;
}

static void leave_file(const char *name, const char *text)
{
	struct fs *fs = sim_node_fs(world.node);
	char path[64];
	snprintf(path, sizeof(path), "store/install/%s", name);
	ck_assert_int_eq(fs_replace_file(fs, path, text, strlen(text)), 0);
}

START_TEST(files_that_are_no_intents_are_deleted)
{
	start();
	sim_node_crash(world.node, SIM_KILL);
	leave_file("00000005.part", "half of one");
	leave_file("5.intent", "");
	leave_file("0000000G.intent", "");
	boot();
	expect_no_files();
	install_world_settle(&world);
}
END_TEST

START_TEST(an_intent_that_cannot_be_read_closes_its_shard_until_another_comes)
{
	start();
	sim_node_crash(world.node, SIM_KILL);
	leave_file("00000005.intent", "not the head of one");
	world.damage_expected = true;
	for (int round = 0; round < 2; round++) {
		boot();
		ck_assert_uint_eq(world.report.shards_closed, 1);
		ck_assert(shard->closed && !world.shards[0].closed && !world.shards[2].closed);
		install_world_settle(&world);
		sim_node_crash(world.node, SIM_KILL);
	}
	boot();
	install_one();
	ck_assert(!engine_shard_closed(world.engine, shard->number));
	expect_no_files();
	world.damage_expected = false;
	reboot(SIM_POWER_CUT);
	install_world_settle(&world);
}
END_TEST

/* As far as is known of any format: its magic and its number. */
START_TEST(an_intent_of_another_format_is_left_to_the_version_that_wrote_it)
{
	uint8_t data[200] = "KXINTENT";
	struct fs *fs = sim_node_fs(world.node);
	static const size_t lengths[] = {12, INSTALL_HEAD_BYTES - 8, INSTALL_HEAD_BYTES, 200};
	start();
	sim_node_crash(world.node, SIM_KILL);
	data[8] = INSTALL_FORMAT + 1;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ck_assert_int_eq(
		    fs_replace_file(fs, "store/install/00000005.intent", data, lengths[i]), 0);
		ck_assert(!install_world_boot(&world));
		ck_assert_int_eq(world.open_error, ERR_FORMAT);
		ck_assert_ptr_nonnull(strstr(world.why, "another version"));
		sim_node_crash(world.node, SIM_KILL);
		ck_assert(is_intent());
	}
	ck_assert_int_eq(fs_unlink(fs, "store/install/00000005.intent"), 0);
	boot();
	ck_assert_uint_eq(world.report.shards_closed, 0);
	install_world_settle(&world);
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
	    .store = world.options.store_id,
	    .shard = shard->number,
	    .index = index,
	    .term = engine_applied(world.engine, shard->number).term,
	    .blocks = 1,
	    .pairs = 1,
	    .bytes = 100};
	install_head_encode(&head, data);
	sim_node_crash(world.node, SIM_KILL);
	ck_assert_int_eq(fs_replace_file(sim_node_fs(world.node), "store/install/00000005.intent",
	                     data, sizeof(data)),
	    0);
	boot();
}

START_TEST(an_intent_whose_state_is_in_the_store_needs_no_second_write)
{
	start();
	install_one();
	leave_intent(engine_applied(world.engine, shard->number).index);
	ck_assert(!shard->closed);
	append_to_all(3);
	expect_no_files();
	reboot(SIM_POWER_CUT);
	install_world_settle(&world);
}
END_TEST

START_TEST(an_intent_that_is_not_whole_leaves_the_old_state)
{
	start();
	install_one();
	leave_intent(engine_applied(world.engine, shard->number).index + 5);
	ck_assert(!shard->closed);
	expect_no_files();
	append_to_all(3);
	reboot(SIM_POWER_CUT);
	install_world_settle(&world);
}
END_TEST

static void remove_one(struct install_world *inside)
{
	(void)inside;
	install_world_remove(shard);
}

START_TEST(a_shard_is_taken_away_and_comes_again)
{
	start();
	install_world_inside(&world, remove_one);
	install_world_settle(&world);
	ck_assert_uint_eq(world.removals, 1);
	ck_assert_uint_eq(engine_figures(world.engine).shards, 2 + 1);
	expect_no_files();
	reboot(SIM_POWER_CUT);
	ck_assert_uint_eq(world.report.shards, 2);
	install_world_settle(&world);
	/* Far above anything that it had. */
	shard->hard_term = 0;
	begin_and_settle();
	ck_assert_uint_eq(engine_applied(world.engine, shard->number).index, 50);
	reboot(SIM_KILL);
	install_world_settle(&world);
}
END_TEST

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

/* ---- Damage ---- */

static const char segment[] = "store/log/0000000000000001.seg";

/* Where the first frame with such a record of the shard stands. */
static uint64_t frame_of_shard(enum log_record_kind kind, uint64_t term)
{
	static uint8_t data[64 * 1024];
	struct fs_file *file;
	size_t bytes = 0;
	ck_assert_int_eq(fs_open(sim_node_fs(world.node), segment, FS_READ, &file), 0);
	ck_assert_int_eq(fs_read(file, 0, data, sizeof(data), &bytes), 0);
	fs_close(file);
	struct log_frame_header header;
	for (uint64_t at = 0; at < bytes; at += header.frame_bytes) {
		ck_assert_int_eq(log_frame_check(data + at, bytes - at, world.options.store_id, 1,
		                     at, sizeof(data), &header),
		    LOG_VALID);
		struct log_frame_cursor cursor;
		struct log_record record;
		log_records_begin(data + at, &header, &cursor);
		while (log_record_next(&cursor, &record))
			if (record.group == shard->number && record.kind == kind &&
			    record.term == term)
				return at;
	}
	ck_abort_msg("no frame has such a record of the shard");
}

/* Something stands behind what is damaged, so that it is no cut. */
static void damage_log(void)
{
	sim_node_crash(world.node, SIM_KILL);
	sim_disk_rot(world.node, segment, frame_of_shard(LOG_ENTRY, 1) + 200, 4);
	world.damage_expected = true;
	boot();
}

static uint64_t voted_term;

static void vote(struct install_world *inside)
{
	voted_term = ++shard->hard_term;
	engine_append_hard_state(
	    inside->engine, shard->number, &(struct log_hard_state){.term = voted_term, .vote = 2});
}

static bool is_vote_durable(const struct install_world *inside)
{
	(void)inside;
	return shard->hard_durable_term == voted_term;
}

static void vote_durably(void)
{
	install_world_inside(&world, vote);
	install_world_run_until(&world, is_vote_durable);
}

/* It voted; the file of its removal is gone, and the record of it is lost. */
START_TEST(a_shard_that_was_taken_away_is_gone_though_the_log_lost_that)
{
	world.options.idle_ms = 1000000;
	start();
	vote_durably();
	install_world_inside(&world, remove_one);
	install_world_settle(&world);
	ck_assert_uint_eq(world.removals, 1);
	append_to(&world.shards[0], 3);
	sim_node_crash(world.node, SIM_KILL);
	sim_disk_rot(world.node, segment, frame_of_shard(LOG_RESET, 0) + 130, 4);
	for (int round = 0; round < 2; round++) {
		boot();
		ck_assert_uint_eq(world.report.log.gaps, 1);
		struct log_group_view view = engine_group(world.engine, shard->number);
		ck_assert_uint_eq(view.hard.term, 0);
		ck_assert_uint_eq(view.hard.vote, 0);
		ck_assert_uint_eq(view.last_index, 0);
		install_world_settle(&world);
		sim_node_crash(world.node, SIM_KILL);
	}
	/* And comes again, as another replica. */
	boot();
	begin_and_settle();
	reboot(SIM_POWER_CUT);
	install_world_settle(&world);
	ck_assert_uint_eq(engine_applied(world.engine, shard->number).index, 50);
}
END_TEST

/* A replica votes, and a snapshot comes; the process ends at the point on the way. */
static void end_while_installing(uint64_t point)
{
	install_world_done(&world);
	install_world_init(&world, point, NULL);
	world.options.idle_ms = 1000000;
	shard = &world.shards[1];
	boot();
	append_to_all(3);
	install_world_inside(&world, ask_checkpoint);
	install_world_run_until(&world, is_checkpointed);
	vote_durably();
	/* What comes behind it proves that it was durable. */
	append_to(&world.shards[0], 3);
	begun = false;
	install_world_inside(&world, begin_install);
	ck_assert(begun);
	sim_crash_at(world.node, point, SIM_KILL);
	while (sim_node_is_running(world.node) && shard->install)
		sim_step(world.sim);
	while (sim_node_is_running(world.node) && shard->pending != PENDING_NONE)
		sim_step(world.sim);
}

/* The snapshot has none of it. */
START_TEST(a_vote_that_is_lost_during_an_install_stays_lost)
{
	unsigned suspects = 0;
	for (uint64_t point = 1; point <= 20; point++) {
		end_while_installing(point);
		if (sim_node_is_running(world.node) || !is_intent())
			continue;
		sim_disk_rot(
		    world.node, segment, frame_of_shard(LOG_HARD_STATE, voted_term) + 130, 4);
		world.damage_expected = true;
		boot();
		struct log_group_view view = engine_group(world.engine, shard->number);
		ck_assert(view.suspect || view.hard.term == voted_term);
		ck_assert(engine_shard_closed(world.engine, shard->number) == view.suspect);
		suspects += view.suspect;
		install_world_settle(&world);
	}
	ck_assert_uint_gt(suspects, 0);
}
END_TEST

static unsigned refusals;

static void expect_no_room(struct install_world *inside)
{
	if (engine_figures(inside->engine).installs > 0)
		return;
	ck_assert_int_eq(engine_reserve(inside->engine, shard->number, 100, 1), ERR_FULL);
	refusals++;
}

/* Another end of the process and a lie would have the record that cuts the log written behind. */
START_TEST(nothing_is_appended_until_the_file_of_an_install_is_gone)
{
	refusals = 0;
	for (uint64_t point = 1; point <= 20; point++) {
		end_while_installing(point);
		if (sim_node_is_running(world.node) || !is_intent())
			continue;
		boot();
		install_world_inside(&world, expect_no_room);
		append_to_one(3);
		expect_no_files();
	}
	ck_assert_uint_gt(refusals, 0);
}
END_TEST

START_TEST(a_suspect_shard_is_healed)
{
	boot();
	append_to_one(5);
	append_to_all(2);
	damage_log();
	ck_assert(shard->closed && !world.shards[0].closed && !world.shards[2].closed);
	ck_assert(engine_group(world.engine, shard->number).suspect);
	install_one();
	ck_assert(!engine_shard_closed(world.engine, shard->number));
	ck_assert(!engine_group(world.engine, shard->number).suspect);
	ck_assert_uint_eq(engine_figures(world.engine).shards_closed, 0);
	world.damage_expected = false;
	append_to_all(20);
	for (int round = 0; round < 2; round++) {
		reboot(SIM_POWER_CUT);
		ck_assert_uint_eq(world.report.shards_closed, 0);
		install_world_settle(&world);
	}
}
END_TEST

static bool is_healed(const struct install_world *inside)
{
	return inside->engine && !shard->closed && shard->pending == PENDING_NONE;
}

static void heal(struct install_world *inside)
{
	if (shard->closed && !shard->install && shard->pending == PENDING_NONE &&
	    !engine_shard_fenced(inside->engine, shard->number))
		(void)install_world_begin(shard, shard->applied + 50, shard->hard_term + 2, 30);
}

static bool healing(const struct install_world *inside)
{
	if (is_healed(inside))
		return true;
	struct install_world *mine = &world;
	install_world_inside(mine, heal);
	return false;
}

/* The process ends somewhere on the way, and comes again. */
START_TEST(a_suspect_shard_is_healed_wherever_the_process_ends)
{
	uint64_t boots = 0;
	uint64_t new = 0;
	for (uint64_t seed = 1; seed <= UNIT_ROUNDS(120); seed++) {
		install_world_done(&world);
		install_world_init(&world, seed, NULL);
		shard = &world.shards[1];
		boot();
		append_to_one(5);
		append_to_all(2);
		damage_log();
		ck_assert(shard->closed);
		struct sim_faults faults = {.crash_ppm = 60000, .power_cut_percent = 60};
		sim_set_faults(world.sim, &faults);
		install_world_run_until(&world, healing);
		faults.crash_ppm = 0;
		sim_set_faults(world.sim, &faults);
		append_to_all(20);
		world.damage_expected = false;
		reboot(SIM_POWER_CUT);
		install_world_settle(&world);
		ck_assert_uint_ge(engine_applied(world.engine, shard->number).index, 50);
		boots += world.boots;
		new += world.found_new;
	}
	ck_assert_uint_gt(boots, UNIT_ROUNDS(200));
	ck_assert_uint_gt(new, UNIT_ROUNDS(5));
}
END_TEST

static void damage_store(struct install_world *inside)
{
	uint8_t key[KEY_SHARD_BYTES + 3] = {0, 0, 0, 5, 'k', '0', '1'};
	(void)inside;
	ck_assert(
	    store_sim_damage(sim_node_fs(world.node), "store/db", slice_of(key, sizeof(key))));
}

START_TEST(where_the_old_state_cannot_be_read_nothing_changes)
{
	start();
	install_one();
	install_world_inside(&world, damage_store);
	world.damage_expected = true;
	begin_and_settle();
	ck_assert_int_eq(shard->last_result, ERR_CORRUPT);
	ck_assert(engine_shard_closed(world.engine, shard->number));
	expect_no_files();
}
END_TEST

static struct cursor *before;
static void open_cursor(struct install_world *inside)
{
	struct slice all = slice_of(NULL, 0);
	ck_assert_int_eq(cursor_open(inside->engine, shard->number, all, all, &before), 0);
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
	start();
	install_world_inside(&world, open_cursor);
	install_one();
	install_world_inside(&world, read_cursor);
	install_world_settle(&world);
}
END_TEST

/* A process that is killed may have changed names that a power cut still takes back. */
START_TEST(an_intent_whose_file_was_gone_does_not_come_back)
{
	enum { POINTS = 60 };
	for (uint64_t point = 1; point <= POINTS; point++) {
		install_world_done(&world);
		install_world_init(&world, point, NULL);
		shard = &world.shards[1];
		start();
		sim_crash_at(world.node, point, SIM_KILL);
		begin_and_settle();
		sim_crash_at(world.node, 0, SIM_KILL);
		install_world_inside(&world, ask_checkpoint);
		install_world_run_until(&world, is_checkpointed);
		append_to_one(3);
		uint64_t index = engine_applied(world.engine, shard->number).index;
		reboot(SIM_POWER_CUT);
		install_world_settle(&world);
		ck_assert_uint_eq(engine_applied(world.engine, shard->number).index, index);
	}
}
END_TEST

Suite *install_suite(void)
{
	Suite *suite = suite_create("install");
	TCase *tcase = tcase_create("install");
	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, setup, teardown);
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
	tcase_add_test(tcase, a_shard_that_was_taken_away_is_gone_though_the_log_lost_that);
	tcase_add_test(tcase, a_vote_that_is_lost_during_an_install_stays_lost);
	tcase_add_test(tcase, nothing_is_appended_until_the_file_of_an_install_is_gone);
	tcase_add_test(tcase, a_suspect_shard_is_healed);
	tcase_add_test(tcase, a_suspect_shard_is_healed_wherever_the_process_ends);
	tcase_add_test(tcase, where_the_old_state_cannot_be_read_nothing_changes);
	tcase_add_test(tcase, an_intent_whose_file_was_gone_does_not_come_back);
	tcase_add_test(tcase, a_cursor_goes_on_showing_the_old_state);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, install_random_tcase());
	return suite;
}
