/* Shards replaced by snapshots, and taken away, where the disk lost or changed something. */
#include "tests/unit/storage/install_steps.h"
#include "tests/unit/storage/suites.h"

#include "base/io/fs.h"
#include "storage/batch.h"
#include "storage/keys.h"

#include <string.h>

static const char segment[] = "store/log/0000000000000001.seg";

/* Where the first frame with such a record of the shard stands. */
static uint64_t frame_of_shard(enum log_record_kind kind, uint64_t term)
{
	static uint8_t data[64 * 1024];
	struct fs_file *file;
	size_t bytes = 0;
	ck_assert_int_eq(fs_open(sim_node_fs(installs_world.node), segment, FS_READ, &file), 0);
	ck_assert_int_eq(fs_read(file, 0, data, sizeof(data), &bytes), 0);
	fs_close(file);
	struct log_frame_header header;
	for (uint64_t at = 0; at < bytes; at += header.frame_bytes) {
		ck_assert_int_eq(log_frame_check(data + at, bytes - at,
		                     installs_world.options.store_id, 1, at, sizeof(data), &header),
		    LOG_VALID);
		struct log_frame_cursor cursor;
		struct log_record record;
		log_records_begin(data + at, &header, &cursor);
		while (log_record_next(&cursor, &record))
			if (record.group == installs_shard->number && record.kind == kind &&
			    record.term == term)
				return at;
	}
	ck_abort_msg("no frame has such a record of the shard");
}

/* Something stands behind what is damaged, so that it is no cut. */
static void damage_log(void)
{
	sim_node_crash(installs_world.node, SIM_KILL);
	sim_disk_rot(installs_world.node, segment, frame_of_shard(LOG_ENTRY, 1) + 200, 4);
	installs_world.damage_expected = true;
	installs_boot();
}

static uint64_t voted_term;

static void vote(struct install_world *inside)
{
	voted_term = ++installs_shard->hard_term;
	engine_append_hard_state(inside->engine, installs_shard->number,
	    &(struct log_hard_state){.term = voted_term, .vote = 2});
}

static bool is_vote_durable(const struct install_world *inside)
{
	(void)inside;
	return installs_shard->hard_durable_term == voted_term;
}

static void vote_durably(void)
{
	install_world_inside(&installs_world, vote);
	install_world_run_until(&installs_world, is_vote_durable);
}

/* It voted; the file of its removal is gone, and the record of it is lost. */
START_TEST(a_shard_that_was_taken_away_is_gone_though_the_log_lost_that)
{
	installs_world.options.idle_ms = 1000000;
	installs_start();
	vote_durably();
	install_world_inside(&installs_world, installs_remove);
	install_world_settle(&installs_world);
	ck_assert_uint_eq(installs_world.removals, 1);
	installs_append_to(&installs_world.shards[0], 3);
	sim_node_crash(installs_world.node, SIM_KILL);
	sim_disk_rot(installs_world.node, segment, frame_of_shard(LOG_RESET, 0) + 130, 4);
	for (int round = 0; round < 2; round++) {
		installs_boot();
		ck_assert_uint_eq(installs_world.report.log.gaps, 1);
		struct log_group_view view =
		    engine_group(installs_world.engine, installs_shard->number);
		ck_assert_uint_eq(view.hard.term, 0);
		ck_assert_uint_eq(view.hard.vote, 0);
		ck_assert_uint_eq(view.last_index, 0);
		install_world_settle(&installs_world);
		sim_node_crash(installs_world.node, SIM_KILL);
	}
	/* And comes again, as another replica. */
	installs_boot();
	installs_begin_and_settle();
	installs_reboot(SIM_POWER_CUT);
	install_world_settle(&installs_world);
	ck_assert_uint_eq(engine_applied(installs_world.engine, installs_shard->number).index, 50);
}
END_TEST

/* A replica votes, and a snapshot comes; the process ends at the point on the way. */
static void end_while_installing(uint64_t point)
{
	install_world_done(&installs_world);
	install_world_init(&installs_world, point, NULL);
	installs_world.options.idle_ms = 1000000;
	installs_shard = &installs_world.shards[1];
	installs_boot();
	installs_append_to_all(3);
	installs_checkpoint();
	vote_durably();
	/* What comes behind it proves that it was durable. */
	installs_append_to(&installs_world.shards[0], 3);
	installs_begin();
	sim_crash_at(installs_world.node, point, SIM_KILL);
	while (sim_node_is_running(installs_world.node) && installs_shard->install)
		sim_step(installs_world.sim);
	while (sim_node_is_running(installs_world.node) && installs_shard->pending != PENDING_NONE)
		sim_step(installs_world.sim);
}

/* The snapshot has none of it. */
START_TEST(a_vote_that_is_lost_during_an_install_stays_lost)
{
	unsigned suspects = 0;
	for (uint64_t point = 1; point <= 20; point++) {
		end_while_installing(point);
		if (sim_node_is_running(installs_world.node) || !installs_has_intent())
			continue;
		sim_disk_rot(installs_world.node, segment,
		    frame_of_shard(LOG_HARD_STATE, voted_term) + 130, 4);
		installs_world.damage_expected = true;
		installs_boot();
		struct log_group_view view =
		    engine_group(installs_world.engine, installs_shard->number);
		ck_assert(view.suspect || view.hard.term == voted_term);
		ck_assert(engine_shard_closed(installs_world.engine, installs_shard->number) ==
		          view.suspect);
		suspects += view.suspect;
		install_world_settle(&installs_world);
	}
	ck_assert_uint_gt(suspects, 0);
}
END_TEST

static unsigned refusals;

static void expect_no_room(struct install_world *inside)
{
	if (engine_figures(inside->engine).installs > 0)
		return;
	ck_assert_int_eq(engine_reserve(inside->engine, installs_shard->number, 100, 1), ERR_FULL);
	refusals++;
}

/* Another end of the process and a lie would have the record that cuts the log written behind. */
START_TEST(nothing_is_appended_until_the_file_of_an_install_is_gone)
{
	refusals = 0;
	for (uint64_t point = 1; point <= 20; point++) {
		end_while_installing(point);
		if (sim_node_is_running(installs_world.node) || !installs_has_intent())
			continue;
		installs_boot();
		install_world_inside(&installs_world, expect_no_room);
		installs_append_to_one(3);
		installs_expect_no_files();
	}
	ck_assert_uint_gt(refusals, 0);
}
END_TEST

START_TEST(a_suspect_shard_is_healed)
{
	installs_boot();
	installs_append_to_one(5);
	installs_append_to_all(2);
	damage_log();
	ck_assert(installs_shard->closed && !installs_world.shards[0].closed &&
	          !installs_world.shards[2].closed);
	ck_assert(engine_group(installs_world.engine, installs_shard->number).suspect);
	installs_take_one();
	ck_assert(!engine_shard_closed(installs_world.engine, installs_shard->number));
	ck_assert(!engine_group(installs_world.engine, installs_shard->number).suspect);
	ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
	installs_world.damage_expected = false;
	installs_append_to_all(20);
	for (int round = 0; round < 2; round++) {
		installs_reboot(SIM_POWER_CUT);
		ck_assert_uint_eq(installs_world.report.shards_closed, 0);
		install_world_settle(&installs_world);
	}
}
END_TEST

static bool is_healed(const struct install_world *inside)
{
	return inside->engine && !installs_shard->closed && installs_shard->pending == PENDING_NONE;
}

static void heal(struct install_world *inside)
{
	if (installs_shard->closed && !installs_shard->install &&
	    installs_shard->pending == PENDING_NONE &&
	    !engine_shard_fenced(inside->engine, installs_shard->number))
		(void)install_world_begin(installs_shard, installs_shard->applied + 50,
		    installs_shard->hard_term + 2, 30);
}

static bool healing(const struct install_world *inside)
{
	if (is_healed(inside))
		return true;
	struct install_world *mine = &installs_world;
	install_world_inside(mine, heal);
	return false;
}

/* The process ends somewhere on the way, and comes again. */
START_TEST(a_suspect_shard_is_healed_wherever_the_process_ends)
{
	uint64_t boots = 0;
	uint64_t new = 0;
	for (uint64_t seed = 1; seed <= UNIT_ROUNDS(120); seed++) {
		install_world_done(&installs_world);
		install_world_init(&installs_world, seed, NULL);
		installs_shard = &installs_world.shards[1];
		installs_boot();
		installs_append_to_one(5);
		installs_append_to_all(2);
		damage_log();
		ck_assert(installs_shard->closed);
		struct sim_faults faults = {.crash_ppm = 60000, .power_cut_percent = 60};
		sim_set_faults(installs_world.sim, &faults);
		install_world_run_until(&installs_world, healing);
		faults.crash_ppm = 0;
		sim_set_faults(installs_world.sim, &faults);
		installs_append_to_all(20);
		installs_world.damage_expected = false;
		installs_reboot(SIM_POWER_CUT);
		install_world_settle(&installs_world);
		ck_assert_uint_ge(
		    engine_applied(installs_world.engine, installs_shard->number).index, 50);
		boots += installs_world.boots;
		new += installs_world.found_new;
	}
	ck_assert_uint_gt(boots, UNIT_ROUNDS(200));
	ck_assert_uint_gt(new, UNIT_ROUNDS(5));
}
END_TEST

static void damage_store(struct install_world *inside)
{
	uint8_t key[KEY_SHARD_BYTES + 3] = {0, 0, 0, 5, 'k', '0', '1'};
	(void)inside;
	ck_assert(store_sim_damage(
	    sim_node_fs(installs_world.node), "store/db", slice_of(key, sizeof(key))));
}

START_TEST(where_the_old_state_cannot_be_read_nothing_changes)
{
	installs_start();
	installs_take_one();
	install_world_inside(&installs_world, damage_store);
	installs_world.damage_expected = true;
	installs_begin_and_settle();
	ck_assert_int_eq(installs_shard->last_result, ERR_CORRUPT);
	ck_assert(engine_shard_closed(installs_world.engine, installs_shard->number));
	installs_expect_no_files();
}
END_TEST

/* ---- The store's own records ---- */

START_TEST(a_start_says_which_of_the_stores_own_records_cannot_be_read)
{
	static const char *const said[] = {"store/db: the store's anchor cannot be read",
	    "store/db: the store's list of shards cannot be read"};
	uint8_t anchor[KEY_OWN_BYTES], applied[KEY_LISTED_BYTES];
	key_own_put(anchor, KEY_KIND_ANCHOR);
	key_listed_put(applied, KEY_KIND_APPLIED, 0);
	struct slice key =
	    _i == 0 ? slice_of(anchor, sizeof(anchor)) : slice_of(applied, sizeof(applied));
	installs_start();
	installs_checkpoint();
	ck_assert(store_sim_damage(sim_node_fs(installs_world.node), "store/db", key));
	sim_node_crash(installs_world.node, SIM_KILL);
	ck_assert(!install_world_boot(&installs_world));
	ck_assert_int_eq(installs_world.open_error, ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(installs_world.why, said[_i]));
	ck_assert_ptr_nonnull(strstr(installs_world.why, "kalix-admin store verify"));
}
END_TEST

TCase *install_damage_tcase(void)
{
	TCase *tcase = tcase_create("damage");
	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, installs_setup, installs_teardown);
	tcase_add_test(tcase, a_shard_that_was_taken_away_is_gone_though_the_log_lost_that);
	tcase_add_test(tcase, a_vote_that_is_lost_during_an_install_stays_lost);
	tcase_add_test(tcase, nothing_is_appended_until_the_file_of_an_install_is_gone);
	tcase_add_test(tcase, a_suspect_shard_is_healed);
	tcase_add_test(tcase, a_suspect_shard_is_healed_wherever_the_process_ends);
	tcase_add_test(tcase, where_the_old_state_cannot_be_read_nothing_changes);
	tcase_add_loop_test(
	    tcase, a_start_says_which_of_the_stores_own_records_cannot_be_read, 0, 2);
	return tcase;
}
