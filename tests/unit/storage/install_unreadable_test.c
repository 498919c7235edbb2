/* Parts of the store that cannot be read: shards are taken away without that. */
#include "tests/unit/storage/install_steps.h"
#include "tests/unit/storage/suites.h"

#include "base/io/fs.h"
#include "storage/data_scan.h"
#include "storage/engine_parts.h"
#include "storage/keys.h"

/* ---- A removal whose range cannot be read ---- */

/* One value of the shard that the store has. */
static void damage_value_of(const struct install_shard *shard)
{
	uint8_t key[KEY_SHARD_BYTES + 3] = {0, 0, 0, 0, 'k', '0', '0'};
	bool damaged = false;
	key_shard_put(key, shard->number);
	for (unsigned point = 0; point < INSTALL_POINTS && !damaged; point++) {
		key[5] = (uint8_t)('0' + point / 10);
		key[6] = (uint8_t)('0' + point % 10);
		damaged = store_sim_damage(
		    sim_node_fs(installs_world.node), "store/db", slice_of(key, sizeof(key)));
	}
	ck_assert(damaged);
	installs_world.damage_expected = true;
}

/* Everything is in the store, and a value of the second shard there cannot be read. */
static void start_damaged(void)
{
	installs_start();
	installs_take_one();
	installs_checkpoint();
	damage_value_of(installs_shard);
}

static void remove_in_vain(struct install_shard *shard)
{
	installs_shard = shard;
	install_world_inside(&installs_world, installs_remove);
	install_world_settle(&installs_world);
	ck_assert_int_eq(shard->last_result, ERR_CORRUPT);
	ck_assert(shard->closed);
}

/* The next opening goes on with them. */
static void reboot_pending(unsigned shards, enum sim_crash crash)
{
	for (unsigned i = 0; i < INSTALL_SHARDS; i++)
		if (shards & 1u << i)
			installs_world.shards[i].pending = PENDING_REMOVAL;
	installs_reboot(crash);
}

static int see_file(void *arg, const char *name, bool is_dir)
{
	(void)name;
	*(bool *)arg = *(bool *)arg || !is_dir;
	return 0;
}

static bool are_files_gone(const struct install_world *inside)
{
	bool seen = false;
	(void)inside;
	ck_assert_int_eq(
	    fs_list(sim_node_fs(installs_world.node), "store/install", see_file, &seen), 0);
	return !seen;
}

/* They are gone, the others are as they were, and each may come again as another replica. */
static void expect_taken_away(uint64_t shards)
{
	install_world_run_until(&installs_world, are_files_gone);
	install_world_settle(&installs_world);
	ck_assert_uint_eq(installs_world.found_removed, shards);
	ck_assert_uint_eq(installs_world.report.shards_closed, 0);
	installs_expect_no_files();
	installs_world.damage_expected = false;
	installs_shard = &installs_world.shards[1];
	installs_take_one();
	installs_append_to_all(3);
	installs_reboot(SIM_POWER_CUT);
	install_world_settle(&installs_world);
	ck_assert_uint_eq(engine_applied(installs_world.engine, installs_shard->number).index, 53);
}

START_TEST(a_range_that_cannot_be_read_goes_at_the_next_opening)
{
	start_damaged();
	for (int round = 0; round < 2; round++) {
		remove_in_vain(&installs_world.shards[1]);
		ck_assert(installs_world.wants_reopening && installs_has_intent());
	}
	installs_append_to(&installs_world.shards[0], 3);
	reboot_pending(1u << 1, SIM_POWER_CUT);
	ck_assert(!installs_world.wants_reopening);
	expect_taken_away(1);
	ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 1);
}
END_TEST

START_TEST(it_goes_wherever_the_opening_ends)
{
	unsigned ended = 0;
	for (uint64_t point = 1; point <= UNIT_ROUNDS(40); point++) {
		install_world_done(&installs_world);
		install_world_init(&installs_world, point, NULL);
		installs_shard = &installs_world.shards[1];
		start_damaged();
		remove_in_vain(installs_shard);
		installs_shard->pending = PENDING_REMOVAL;
		sim_node_crash(installs_world.node, SIM_KILL);
		sim_crash_at(installs_world.node, point, point % 2 == 0 ? SIM_KILL : SIM_POWER_CUT);
		while (!install_world_boot(&installs_world)) {
			ck_assert_int_eq(installs_world.open_error, 0);
			ended++;
			installs_shard->pending = PENDING_REMOVAL;
		}
		install_world_run_until(&installs_world, are_files_gone);
		sim_crash_at(installs_world.node, 0, SIM_KILL);
		expect_taken_away(1);
	}
	ck_assert_uint_gt(ended, UNIT_ROUNDS(10));
}
END_TEST

/* Nobody had read it. It is closed then, and goes with the first one where it is to go, too. */
START_TEST(damage_of_another_shard_is_told_and_both_go)
{
	start_damaged();
	remove_in_vain(installs_shard);
	damage_value_of(&installs_world.shards[0]);
	reboot_pending(1u << 1, SIM_KILL);
	ck_assert(installs_world.shards[0].closed && installs_world.shards[1].closed);
	ck_assert(!installs_world.shards[2].closed && installs_has_intent());
	remove_in_vain(&installs_world.shards[1]);
	ck_assert(!installs_world.wants_reopening && installs_has_intent());
	remove_in_vain(&installs_world.shards[0]);
	ck_assert(installs_world.wants_reopening);
	reboot_pending(1u << 0 | 1u << 1, SIM_POWER_CUT);
	expect_taken_away(2);
}
END_TEST

static unsigned readable;

/* Straight from the store: it is closed. */
static void count_readable(struct install_world *inside)
{
	uint8_t first[KEY_SHARD_BYTES], end[KEY_SHARD_BYTES];
	struct store_cursor *cursor;
	struct slice key, value;
	key_shard_put(first, installs_shard->number);
	key_shard_put(end, installs_shard->number + 1);
	readable = 0;
	ck_assert_int_eq(store_cursor_open(inside->engine->store, NULL,
	                     slice_of(first, sizeof(first)), slice_of(end, sizeof(end)), &cursor),
	    0);
	while (store_cursor_next(cursor, &key, &value) == 0)
		readable++;
	store_cursor_close(cursor);
}

static unsigned count_in_store(struct install_shard *shard)
{
	installs_shard = shard;
	install_world_inside(&installs_world, count_readable);
	return readable;
}

/* The directory is given up, and a value of the second shard cannot be read either: nobody has met
 * that. Returns how many it has in the store. */
static unsigned start_with_both(void)
{
	installs_start();
	installs_take_one();
	installs_checkpoint();
	unsigned count = count_in_store(&installs_world.shards[1]);
	damage_value_of(&installs_world.shards[0]);
	remove_in_vain(&installs_world.shards[0]);
	ck_assert(installs_world.wants_reopening);
	damage_value_of(&installs_world.shards[1]);
	installs_world.shards[1].unread = true;
	installs_world.shards[0].pending = PENDING_REMOVAL;
	return count;
}

/* It is closed over every restart, but for the damaged value it has what it had, and it may be
 * taken away like any other. */
static void expect_second_closed(unsigned count)
{
	installs_reboot(SIM_POWER_CUT);
	ck_assert(installs_world.shards[1].closed && !installs_world.shards[0].closed &&
	          !installs_world.shards[2].closed);
	installs_world.shards[1].unread = false;
	ck_assert_uint_eq(count_in_store(&installs_world.shards[1]), count - 1);
	install_world_inside(&installs_world, installs_remove);
	install_world_settle(&installs_world);
	ck_assert_int_eq(installs_shard->last_result, 0);
	ck_assert(!installs_shard->closed && !installs_world.wants_reopening);
	installs_reboot(SIM_KILL);
	expect_taken_away(1);
}

/* The others decide about the second one while the node serves, which needs a directory. */
START_TEST(the_directory_goes_though_another_shard_cannot_be_read)
{
	unsigned count = start_with_both();
	installs_reboot(_i == 0 ? SIM_KILL : SIM_POWER_CUT);
	ck_assert(!installs_world.wants_reopening);
	ck_assert(installs_world.shards[1].closed && !installs_world.shards[0].closed);
	install_world_run_until(&installs_world, are_files_gone);
	install_world_settle(&installs_world);
	expect_second_closed(count);
}
END_TEST

START_TEST(the_directory_goes_wherever_that_opening_ends)
{
	unsigned ended = 0;
	for (uint64_t point = 1; point <= UNIT_ROUNDS(40); point++) {
		install_world_done(&installs_world);
		install_world_init(&installs_world, point, NULL);
		installs_shard = &installs_world.shards[1];
		unsigned count = start_with_both();
		sim_node_crash(installs_world.node, SIM_KILL);
		sim_crash_at(installs_world.node, point, point % 2 == 0 ? SIM_KILL : SIM_POWER_CUT);
		while (!install_world_boot(&installs_world)) {
			ck_assert_int_eq(installs_world.open_error, 0);
			ended++;
			installs_world.shards[0].pending = PENDING_REMOVAL;
		}
		install_world_run_until(&installs_world, are_files_gone);
		sim_crash_at(installs_world.node, 0, SIM_KILL);
		install_world_settle(&installs_world);
		expect_second_closed(count);
	}
	ck_assert_uint_gt(ended, UNIT_ROUNDS(10));
}
END_TEST

/* There is no room for the mark, nor for the copy: nothing of the second one is lost. */
START_TEST(without_room_the_directory_stays_until_there_is_some)
{
	struct store_sim_faults full = {.no_space_ppm = 1000000};
	unsigned count = start_with_both();
	store_sim_set_faults(sim_node_fs(installs_world.node), &full);
	installs_reboot(SIM_KILL);
	ck_assert(installs_world.shards[0].closed);
	ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 0);
	store_sim_set_faults(sim_node_fs(installs_world.node), NULL);
	installs_world.shards[0].pending = PENDING_REMOVAL;
	installs_reboot(SIM_KILL);
	install_world_run_until(&installs_world, are_files_gone);
	install_world_settle(&installs_world);
	expect_second_closed(count);
}
END_TEST

START_TEST(it_goes_when_there_is_room_again)
{
	struct store_sim_faults full = {.no_space_ppm = 1000000};
	start_damaged();
	remove_in_vain(installs_shard);
	store_sim_set_faults(sim_node_fs(installs_world.node), &full);
	reboot_pending(1u << 1, SIM_KILL);
	ck_assert(installs_shard->closed && installs_has_intent());
	ck_assert(!installs_world.shards[0].closed && !installs_world.shards[2].closed);
	store_sim_set_faults(sim_node_fs(installs_world.node), NULL);
	remove_in_vain(installs_shard);
	ck_assert(!installs_world.wants_reopening);
	reboot_pending(1u << 1, SIM_KILL);
	expect_taken_away(1);
}
END_TEST

/* ---- What stays begun ---- */

static void end_cleanly(void)
{
	install_world_close(&installs_world);
	ck_assert(installs_world.closed);
}

static void vote(struct install_world *inside)
{
	engine_append_hard_state(inside->engine, installs_shard->number,
	    &(struct log_hard_state){.term = ++installs_shard->hard_term, .vote = 2});
}

static bool is_vote_durable(const struct install_world *inside)
{
	(void)inside;
	return installs_shard->hard_durable_term == installs_shard->hard_term;
}

/* The range is gone, and what is read to end the removal fails all the same: that it is empty. What
 * the log has of the shard waits for that. */
START_TEST(a_removal_that_meets_an_error_behind_that_is_left_to_the_next_opening)
{
	struct store_sim_faults faults = {.end_errors = 1};
	start_damaged();
	install_world_inside(&installs_world, vote);
	install_world_run_until(&installs_world, is_vote_durable);
	remove_in_vain(installs_shard);
	store_sim_set_faults(sim_node_fs(installs_world.node), &faults);
	reboot_pending(1u << 1, SIM_KILL);
	ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 1);
	ck_assert(installs_shard->closed && installs_has_intent());
	reboot_pending(1u << 1, SIM_POWER_CUT);
	expect_taken_away(1);
}
END_TEST

/* It is of a state that the shard is beyond. */
static void finish_in_vain(struct install_world *inside)
{
	struct engine_install_options options = {.room = NULL};
	struct engine_install *install;
	ck_assert_int_eq(
	    engine_install_begin(inside->engine, installs_shard->number, &options, &install), 0);
	installs_shard->pending = PENDING_STATE;
	engine_install_finish(install, 1, 1, install_world_ended, installs_shard);
}

/* What comes behind it ends before it has an intent of its own. */
START_TEST(a_removal_that_stays_begun_outlives_what_fails_behind_it)
{
	start_damaged();
	remove_in_vain(installs_shard);
	install_world_inside(&installs_world, _i == 0 ? installs_remove : finish_in_vain);
	if (_i == 0)
		end_cleanly();
	else
		install_world_settle(&installs_world);
	ck_assert_int_eq(installs_shard->last_result, _i == 0 ? ERR_CANCELED : ERR_INVALID);
	ck_assert(installs_has_intent());
	reboot_pending(1u << 1, SIM_POWER_CUT);
	expect_taken_away(1);
}
END_TEST

static bool is_not_compacted(const struct install_world *inside)
{
	return engine_figures(inside->engine).compactions_stopped;
}

/* The store takes nothing by then. */
START_TEST(a_removal_that_stays_begun_outlives_another_attempt_at_it)
{
	struct store_sim_faults faults = {.compaction_ppm = 1000000};
	start_damaged();
	remove_in_vain(installs_shard);
	store_sim_set_faults(sim_node_fs(installs_world.node), &faults);
	installs_append_to(&installs_world.shards[2], 3);
	install_world_run_until(&installs_world, is_not_compacted);
	install_world_inside(&installs_world, installs_remove);
	install_world_settle(&installs_world);
	ck_assert_int_eq(installs_shard->last_result, ERR_AGAIN);
	ck_assert(installs_has_intent());
	reboot_pending(1u << 1, SIM_POWER_CUT);
	expect_taken_away(1);
}
END_TEST

/* ---- A compaction that meets damage ---- */

static bool refuses_writes(const struct install_world *inside)
{
	return inside->wants_reopening;
}

/* A value of the shard cannot be read, and nobody but a compaction has met that. */
static void start_compacting(bool replicated, unsigned shard)
{
	struct store_sim_faults faults = {.compaction_ppm = 1000000};
	installs_world.options.replicated = replicated;
	installs_start();
	installs_checkpoint();
	damage_value_of(&installs_world.shards[shard]);
	installs_world.shards[shard].unread = true;
	store_sim_set_faults(sim_node_fs(installs_world.node), &faults);
	installs_append_to(&installs_world.shards[2], 3);
	install_world_run_until(&installs_world, refuses_writes);
	ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
}

START_TEST(a_compaction_that_meets_damage_wants_another_opening_which_closes_the_shard)
{
	start_compacting(true, 1);
	/* It goes on until it ends, without a checkpoint, and ends as ever. */
	installs_append_to(&installs_world.shards[0], 3);
	if (_i == 0)
		end_cleanly();
	installs_reboot(_i == 1 ? SIM_KILL : SIM_POWER_CUT);
	ck_assert(!installs_world.wants_reopening);
	ck_assert(installs_world.shards[1].closed);
	ck_assert(!installs_world.shards[0].closed && !installs_world.shards[2].closed);
	/* It is given up then, and nothing is damaged any more. */
	installs_world.shards[1].unread = false;
	remove_in_vain(&installs_world.shards[1]);
	ck_assert(installs_world.wants_reopening);
	reboot_pending(1u << 1, SIM_POWER_CUT);
	expect_taken_away(1);
	ck_assert_uint_eq(
	    store_sim_figures(sim_node_fs(installs_world.node)).compactions_stopped, 1);
}
END_TEST

/* The rest serves, and is checkpointed; nobody else could give what cannot be read. */
START_TEST(where_nobody_else_has_it_the_shard_is_closed_and_the_rest_serves)
{
	start_compacting(false, 1);
	ck_assert(engine_figures(installs_world.engine).compactions_stopped);
	for (int round = 0; round < 2; round++) {
		installs_reboot(SIM_KILL);
		ck_assert(!installs_world.wants_reopening);
		ck_assert(installs_world.shards[1].closed);
		ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 1);
		ck_assert(engine_figures(installs_world.engine).compactions_stopped);
		installs_append_to(&installs_world.shards[0], 3);
		installs_append_to(&installs_world.shards[2], 3);
		installs_checkpoint();
	}
	ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 0);
}
END_TEST

/* Without it the node would serve nothing. */
START_TEST(where_nobody_else_has_it_the_directory_goes_on)
{
	start_compacting(false, 0);
	for (int round = 0; round < 2; round++) {
		installs_reboot(SIM_KILL);
		ck_assert(!installs_world.wants_reopening);
		ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
		ck_assert(engine_figures(installs_world.engine).compactions_stopped);
		installs_append_to(&installs_world.shards[0], 3);
		installs_checkpoint();
	}
	ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 0);
}
END_TEST

/* ---- What was found is kept ---- */

/* Whether the next opening reads all of it: only then is it known what nobody else has met. */
static bool reads_all(void)
{
	damage_value_of(&installs_world.shards[1]);
	installs_world.shards[1].unread = true;
	installs_reboot(SIM_POWER_CUT);
	return installs_world.shards[1].closed;
}

START_TEST(where_the_directory_goes_on_only_the_first_opening_reads_all)
{
	start_compacting(false, 0);
	installs_reboot(SIM_POWER_CUT);
	for (int round = 0; round < 3; round++) {
		ck_assert(!reads_all());
		ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
		ck_assert(engine_figures(installs_world.engine).compactions_stopped);
		installs_append_to(&installs_world.shards[2], 3);
		installs_checkpoint();
	}
}
END_TEST

static const char finding[] = "store/db/SCANNED";

static bool is_finding_kept(void)
{
	bool exists = false;
	ck_assert_int_eq(fs_exists(sim_node_fs(installs_world.node), finding, &exists), 0);
	return exists;
}

/* What is torn, of another store, or of one that was there before. */
START_TEST(a_finding_that_does_not_fit_is_found_anew)
{
	uint8_t data[64];
	size_t bytes = 0;
	struct data_scan scan;
	struct fs *fs = sim_node_fs(installs_world.node);
	start_compacting(false, 0);
	installs_reboot(SIM_POWER_CUT);
	ck_assert_int_eq(data_scan_read(fs, "store/db", &scan), 0);
	ck_assert_int_eq(fs_read_file(fs, finding, data, sizeof(data), &bytes), 0);
	if (_i < 4) {
		ck_assert_int_eq(fs_replace_file(fs, finding, data, (size_t)_i * bytes / 4), 0);
	} else {
		*(_i == 4 ? &scan.identity : &scan.store) += 1;
		ck_assert_int_eq(data_scan_write(fs, "store/db", &scan), 0);
	}
	ck_assert(reads_all());
}
END_TEST

/* Each opening reads all, and serves. */
START_TEST(a_finding_that_cannot_be_kept_hinders_nothing)
{
	struct fs *fs = sim_node_fs(installs_world.node);
	start_compacting(false, 0);
	ck_assert_int_eq(fs_make_dir(fs, "store/db/SCANNED.tmp"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "store/db"), 0);
	installs_reboot(SIM_POWER_CUT);
	ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
	installs_append_to(&installs_world.shards[2], 3);
	installs_checkpoint();
	ck_assert(reads_all());
}
END_TEST

/* As where a file of the store was restored, or the disk reads again what it did not. */
START_TEST(a_finding_ends_where_the_directory_can_be_read_again)
{
	start_compacting(false, 1);
	struct data_scan scan = {.store = installs_world.engine->options.store_id,
	    .identity = store_identity(installs_world.engine->store),
	    .found = DATA_SCAN_DIRECTORY};
	sim_node_crash(installs_world.node, SIM_KILL);
	ck_assert_int_eq(data_scan_write(sim_node_fs(installs_world.node), "store/db", &scan), 0);
	installs_reboot(SIM_POWER_CUT);
	ck_assert(installs_world.shards[1].closed && !is_finding_kept());
}
END_TEST

START_TEST(a_finding_is_kept_or_found_anew_wherever_the_opening_ends)
{
	unsigned ended = 0;
	for (uint64_t point = 1; point <= UNIT_ROUNDS(40); point++) {
		install_world_done(&installs_world);
		install_world_init(&installs_world, point, NULL);
		installs_shard = &installs_world.shards[1];
		start_compacting(false, 0);
		sim_node_crash(installs_world.node, SIM_KILL);
		sim_crash_at(installs_world.node, point, point % 2 == 0 ? SIM_KILL : SIM_POWER_CUT);
		while (!install_world_boot(&installs_world)) {
			ck_assert_int_eq(installs_world.open_error, 0);
			ended++;
		}
		sim_crash_at(installs_world.node, 0, SIM_KILL);
		ck_assert(!reads_all());
		ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
	}
	ck_assert_uint_gt(ended, UNIT_ROUNDS(10));
}
END_TEST

/* Others came, who have the directory: it is closed as any other, and comes anew. */
START_TEST(a_finding_ends_with_what_was_damaged)
{
	start_compacting(false, 0);
	installs_reboot(SIM_POWER_CUT);
	ck_assert(is_finding_kept());
	installs_world.options.replicated = true;
	installs_reboot(SIM_KILL);
	ck_assert(installs_world.shards[0].closed);
	installs_world.shards[0].unread = false;
	ck_assert(!is_finding_kept());
}
END_TEST

/* Of a shard that was taken away: no replica will be given up for it. */
static void start_with_stray(void)
{
	struct store_sim_faults faults = {.compaction_ppm = 1000000};
	installs_world.options.replicated = true;
	installs_start();
	installs_checkpoint();
	install_world_inside(&installs_world, install_world_put_stray);
	ck_assert(store_sim_damage(
	    sim_node_fs(installs_world.node), "store/db", install_world_stray_key()));
	store_sim_set_faults(sim_node_fs(installs_world.node), &faults);
	installs_append_to_all(3);
	install_world_run_until(&installs_world, refuses_writes);
}

/* No copy can be made, and nothing is read for it again; until there is more damage than was. */
START_TEST(that_nothing_was_found_in_any_shard_is_kept_until_it_is_not_so)
{
	struct store_sim_faults full = {.no_space_ppm = 1000000};
	struct fs *fs = sim_node_fs(installs_world.node);
	start_with_stray();
	store_sim_set_faults(fs, &full);
	installs_reboot(SIM_POWER_CUT);
	ck_assert(is_finding_kept());
	store_sim_set_faults(fs, NULL);
	ck_assert(reads_all() && !is_finding_kept());
}
END_TEST

START_TEST(damage_in_no_shard_goes_at_the_next_opening)
{
	start_with_stray();
	for (int round = 0; round < 2; round++) {
		installs_reboot(SIM_POWER_CUT);
		ck_assert(!installs_world.wants_reopening);
		ck_assert_uint_eq(engine_figures(installs_world.engine).shards_closed, 0);
		installs_append_to_all(3);
		installs_checkpoint();
		ck_assert_uint_eq(store_sim_figures(sim_node_fs(installs_world.node)).sheds, 1);
	}
	install_world_settle(&installs_world);
}
END_TEST

TCase *install_unreadable_tcase(void)
{
	TCase *tcase = tcase_create("unreadable");
	tcase_set_timeout(tcase, 300);
	tcase_add_checked_fixture(tcase, installs_setup, installs_teardown);
	tcase_add_test(tcase, a_range_that_cannot_be_read_goes_at_the_next_opening);
	tcase_add_test(tcase, it_goes_wherever_the_opening_ends);
	tcase_add_test(tcase, damage_of_another_shard_is_told_and_both_go);
	tcase_add_loop_test(tcase, the_directory_goes_though_another_shard_cannot_be_read, 0, 2);
	tcase_add_test(tcase, the_directory_goes_wherever_that_opening_ends);
	tcase_add_test(tcase, without_room_the_directory_stays_until_there_is_some);
	tcase_add_test(tcase, it_goes_when_there_is_room_again);
	tcase_add_test(
	    tcase, a_removal_that_meets_an_error_behind_that_is_left_to_the_next_opening);
	tcase_add_loop_test(tcase, a_removal_that_stays_begun_outlives_what_fails_behind_it, 0, 2);
	tcase_add_test(tcase, a_removal_that_stays_begun_outlives_another_attempt_at_it);
	tcase_add_loop_test(tcase,
	    a_compaction_that_meets_damage_wants_another_opening_which_closes_the_shard, 0, 3);
	tcase_add_test(tcase, where_nobody_else_has_it_the_shard_is_closed_and_the_rest_serves);
	tcase_add_test(tcase, where_nobody_else_has_it_the_directory_goes_on);
	tcase_add_test(tcase, where_the_directory_goes_on_only_the_first_opening_reads_all);
	tcase_add_loop_test(tcase, a_finding_that_does_not_fit_is_found_anew, 0, 6);
	tcase_add_test(tcase, a_finding_that_cannot_be_kept_hinders_nothing);
	tcase_add_test(tcase, a_finding_ends_where_the_directory_can_be_read_again);
	tcase_add_test(tcase, a_finding_is_kept_or_found_anew_wherever_the_opening_ends);
	tcase_add_test(tcase, a_finding_ends_with_what_was_damaged);
	tcase_add_test(tcase, that_nothing_was_found_in_any_shard_is_kept_until_it_is_not_so);
	tcase_add_test(tcase, damage_in_no_shard_goes_at_the_next_opening);
	return tcase;
}
