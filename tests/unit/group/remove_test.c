/* Replicas that are not wanted any more go with their data, on a simulated machine: all of it or
 * nothing, wherever the power is cut. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "replication/raft/raft.h"
#include "storage/batch.h"
#include "storage/cursor.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/group/suites.h"

/* GOES is removed, STAYS is not. */
enum { GOES = 1, STAYS = 2, SHARDS = 3, STEPS_MAX = 200000, VALUES = 40, ANOTHER = 1 | 1 << 16 };

struct member {
	struct group *group;
	unsigned left;
	bool leads, closed, over; /* over: it must not be told of anything any more */
	struct group_position proposed;
};

static struct {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct member members[SHARDS];
	bool closed;
	unsigned told;
	int result;
	unsigned pairs;
	uint64_t last_index;
	bool again;
} world;

/* ---- A machine ---- */

static void leading(void *arg, uint64_t term)
{
	struct member *member = arg;
	(void)term;
	ck_assert(!member->over);
	member->leads = true;
}

static void nothing(void *arg)
{
	const struct member *member = arg;
	ck_assert(!member->over);
}

static void put_in_process(void *arg);

static void room(void *arg)
{
	nothing(arg);
	put_in_process(arg);
}

static void applied(void *arg, const struct group_entry *entry)
{
	(void)entry;
	nothing(arg);
}

static void confirmed(void *arg, uint64_t round)
{
	(void)round;
	nothing(arg);
}

static void told_closed(void *arg)
{
	struct member *member = arg;
	nothing(arg);
	member->closed = true;
}

static const struct group_events events = {.leading = leading,
    .lost = nothing,
    .applied = applied,
    .confirmed = confirmed,
    .room = room,
    .closed = told_closed};

static void turn(void *arg)
{
	(void)arg;
	io_run(world.io);
	if (world.store && group_store_turn(world.store))
		io_wake(world.io, NULL);
}

static void send_nothing(void *arg, uint32_t shard, const struct raft_message *message)
{
	(void)arg;
	(void)shard;
	(void)message;
	ck_abort_msg("a group that is alone sends something");
}

static const struct group_carrier carrier = {.send = send_nothing};

static void open_in_process(void *arg)
{
	(void)arg;
	char why[512];
	struct group_store_options options = {.carrier = &carrier,
	    .node = 1,
	    .engine = {.fs = sim_node_fs(world.node),
	        .io = world.io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .segment_bytes = 256 * 1024,
	        .first_segment_bytes = 128 * 1024,
	        .frame_bytes_max = 64 * 1024,
	        .reserve_bytes_max = 64 * 1024}};
	struct engine_report report;
	world.store = NULL;
	int error = group_store_open(&options, why, sizeof(why), &world.store, &report);
	ck_assert_msg(!error, "%s", why);
	memset(world.members, 0, sizeof(world.members));
	io_wake(world.io, NULL);
}

static void boot(void)
{
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, turn, NULL);
	ck_assert(sim_node_run(world.node, open_in_process, NULL));
}

struct adding {
	uint32_t shard;
	uint64_t replica;
	int error;
};

static void add_in_process(void *arg)
{
	struct adding *adding = arg;
	static struct raft_membership alone;
	struct member *member = &world.members[adding->shard];
	adding->error = group_add(world.store, adding->shard, &events, member, &member->group);
	if (adding->error)
		return;
	alone = (struct raft_membership){
	    .count = 1, .members = {{.replica = adding->replica, .roles = RAFT_VOTER}}};
	member->over = member->leads = false;
	group_set_members(member->group, adding->replica, &alone);
	group_start(member->group);
	io_wake(world.io, NULL);
}

static int add(uint32_t shard, uint64_t replica)
{
	struct adding adding = {.shard = shard, .replica = replica};
	ck_assert(sim_node_run(world.node, add_in_process, &adding));
	return adding.error;
}

static bool leads(void *arg)
{
	return world.members[*(const uint32_t *)arg].leads;
}

static void add_leader(uint32_t shard, uint64_t replica)
{
	ck_assert_int_eq(add(shard, replica), 0);
	ck_assert(sim_run_until(world.sim, leads, &shard, STEPS_MAX));
}

/* Until there is no room: what is left to be put. */
static void put_in_process(void *arg)
{
	struct member *member = arg;
	uint8_t span[4096], value[2048], key[2] = {KEY_KIND_FIRST_FREE, 'a'};
	memset(value, 'v', sizeof(value));
	for (; member->left > 0; member->left--) {
		key[1] = (uint8_t)('a' + member->left);
		struct writer out = writer_of(span, sizeof(span));
		batch_begin(&out);
		batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, 100));
		struct slice batch = writer_view(&out);
		int error = group_reserve(member->group, batch.bytes, 1, false);
		ck_assert(!error || error == ERR_FULL);
		if (error)
			break;
		group_unreserve(member->group, batch.bytes, 1);
		group_propose(member->group, batch, &member->proposed);
	}
	io_wake(world.io, NULL);
}

static bool has_applied(void *arg)
{
	const struct member *member = arg;
	return member->left == 0 && group_applied(member->group).index == member->proposed.index;
}

static void put(uint32_t shard)
{
	struct member *member = &world.members[shard];
	member->left = VALUES;
	ck_assert(sim_node_run(world.node, put_in_process, member));
	ck_assert(sim_run_until(world.sim, has_applied, member, STEPS_MAX));
}

static void set_up(void)
{
	memset(&world, 0, sizeof(world));
	world.sim = sim_new(1, NULL);
	world.node = sim_node_new(world.sim);
	struct fs *fs = sim_node_fs(world.node);
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
	boot();
	for (uint32_t shard = GOES; shard <= STAYS; shard++) {
		add_leader(shard, GROUP_FIRST_REPLICA);
		put(shard);
	}
}

static void tear_down(void)
{
	sim_free(world.sim);
}

static void crash(void)
{
	world.store = NULL;
	sim_node_crash(world.node, SIM_POWER_CUT);
}

/* ---- Removing ---- */

static void removed(void *arg, int error)
{
	ck_assert_ptr_eq(arg, &world);
	world.told++;
	world.result = error;
	if (world.again) {
		struct adding adding = {.shard = GOES, .replica = ANOTHER};
		add_in_process(&adding);
		ck_assert_int_eq(adding.error, 0);
	}
}

static bool is_told(void *arg)
{
	(void)arg;
	return world.told > 0;
}

static void remove_in_process(void *arg)
{
	struct member *member = &world.members[GOES];
	(void)arg;
	world.told = 0;
	group_remove(member->group, removed, &world);
	member->over = true;
	/* Not inside the call. */
	ck_assert_uint_eq(world.told, 0);
	ck_assert_ptr_null(group_store_group(world.store, GOES));
	ck_assert(!group_leads(member->group));
	ck_assert_int_eq(group_reserve(member->group, 10, 1, false), ERR_AGAIN);
	struct raft_message message = {
	    .kind = RAFT_HEARTBEAT, .from = 2, .to = GROUP_FIRST_REPLICA, .term = 100};
	ck_assert(!group_store_receive(world.store, GOES, &message));
	io_wake(world.io, NULL);
}

static void begin_removal(void)
{
	ck_assert(sim_node_run(world.node, remove_in_process, NULL));
}

static void count_in_process(void *arg)
{
	uint32_t shard = *(const uint32_t *)arg;
	struct engine *engine = group_store_engine(world.store);
	struct cursor *cursor;
	uint8_t kind = 1;
	world.pairs = 0;
	world.last_index = engine_group(engine, shard).last_index;
	ck_assert_int_eq(
	    cursor_open(engine, shard, slice_of(&kind, 1), slice_of(NULL, 0), &cursor), 0);
	struct slice key, value;
	while (cursor_next(cursor, &key, &value) == 0)
		world.pairs++;
	cursor_close(cursor);
}

static unsigned pairs(uint32_t shard)
{
	ck_assert(sim_node_run(world.node, count_in_process, &shard));
	return world.pairs;
}

static void expect_gone(void)
{
	ck_assert_uint_eq(pairs(GOES), 0);
	ck_assert_uint_eq(world.last_index, 0);
	ck_assert_uint_eq(engine_applied(group_store_engine(world.store), GOES).index, 0);
}

/* It begins as one that was never here. */
static void expect_fresh(uint64_t replica)
{
	expect_gone();
	add_leader(GOES, replica);
	ck_assert_uint_eq(group_applied(world.members[GOES].group).index, 1);
	ck_assert_uint_eq(group_term(world.members[GOES].group), 1);
	put(GOES);
	ck_assert_uint_eq(pairs(GOES), VALUES);
}

START_TEST(a_replica_goes_with_its_data)
{
	begin_removal();
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, 0);
	expect_gone();
	ck_assert_uint_eq(pairs(STAYS), VALUES);
	put(STAYS);
	crash();
	boot();
	expect_gone();
	ck_assert_uint_eq(pairs(STAYS), VALUES);
}
END_TEST

START_TEST(a_removed_shard_comes_again_as_another_replica)
{
	begin_removal();
	ck_assert_int_eq(add(GOES, ANOTHER), ERR_BUSY);
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	expect_fresh(ANOTHER);
	crash();
	boot();
	ck_assert_uint_eq(pairs(GOES), VALUES);
	add_leader(GOES, ANOTHER);
}
END_TEST

START_TEST(who_is_told_may_add_it_at_once)
{
	world.again = true;
	begin_removal();
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	uint32_t shard = GOES;
	ck_assert(sim_run_until(world.sim, leads, &shard, STEPS_MAX));
	ck_assert_uint_eq(group_self(world.members[GOES].group), ANOTHER);
}
END_TEST

static void propose_and_remove(void *arg)
{
	world.members[GOES].left = VALUES;
	put_in_process(&world.members[GOES]);
	remove_in_process(arg);
}

START_TEST(what_was_proposed_goes_too)
{
	ck_assert(sim_node_run(world.node, propose_and_remove, NULL));
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, 0);
	expect_fresh(ANOTHER);
}
END_TEST

/* ---- Power cuts ---- */

static bool is_past(void *arg)
{
	return sim_now_ns(world.sim) >= *(const uint64_t *)arg;
}

static void wait_for(uint64_t ms)
{
	uint64_t end_ns = sim_now_ns(world.sim) + ms * NS_PER_MS;
	ck_assert(sim_run_until(world.sim, is_past, &end_ns, STEPS_MAX));
}

/* With entries under way, and without. False: the removal ended before that point. */
static bool cut_at(uint64_t point, bool proposes)
{
	void (*begin)(void *arg) = proposes ? propose_and_remove : remove_in_process;
	sim_crash_at(world.node, point, SIM_POWER_CUT);
	bool runs =
	    sim_node_run(world.node, begin, NULL) && sim_run_until(world.sim, is_told, NULL, 2000);
	sim_crash_at(world.node, 0, SIM_POWER_CUT);
	world.store = NULL;
	if (runs)
		sim_node_crash(world.node, SIM_POWER_CUT);
	boot();
	/* What a crash left of it may end before anybody asks for the shard, or behind that. */
	if (point % 2)
		wait_for(100);
	return !runs;
}

static void expect_old_or_none(bool *ret_old)
{
	unsigned there = pairs(GOES);
	ck_assert(there == 0 || there == VALUES);
	*ret_old = there > 0;
	ck_assert_uint_eq(pairs(STAYS), VALUES);
	if (there == 0) {
		expect_fresh(ANOTHER);
		return;
	}
	/* The old replica goes on where it was, and can be removed. */
	add_leader(GOES, GROUP_FIRST_REPLICA);
	ck_assert_uint_gt(group_applied(world.members[GOES].group).index, VALUES);
	begin_removal();
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, 0);
	expect_fresh(ANOTHER);
}

static void cut_everywhere(bool proposes)
{
	unsigned olds = 0, nones = 0;
	for (uint64_t point = 1;; point++) {
		bool old;
		bool cut = cut_at(point, proposes);
		expect_old_or_none(&old);
		ck_assert(cut || !old);
		olds += old ? 1 : 0;
		nones += cut && !old ? 1 : 0;
		tear_down();
		set_up();
		if (!cut)
			break;
	}
	ck_assert_uint_ge(olds, 3);
	ck_assert_uint_ge(nones, 3);
}

START_TEST(a_power_cut_leaves_the_old_replica_or_none)
{
	cut_everywhere(false);
}
END_TEST

START_TEST(and_with_entries_under_way)
{
	cut_everywhere(true);
}
END_TEST

/* ---- What hinders it ---- */

static void fill_disk(bool full)
{
	struct store_sim_faults faults = {.no_space_ppm = 1000000};
	store_sim_set_faults(sim_node_fs(world.node), full ? &faults : NULL);
}

START_TEST(a_full_disk_is_waited_for)
{
	fill_disk(true);
	begin_removal();
	wait_for(3000);
	ck_assert_uint_eq(world.told, 0);
	fill_disk(false);
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, 0);
	expect_fresh(ANOTHER);
}
END_TEST

static void end_in_process(void *arg)
{
	(void)arg;
	group_end_removal(world.members[GOES].group);
	ck_assert_uint_eq(world.told, 0);
	io_wake(world.io, NULL);
}

START_TEST(or_not_where_nobody_waits_for_the_end)
{
	fill_disk(true);
	begin_removal();
	wait_for(1000);
	ck_assert(sim_node_run(world.node, end_in_process, NULL));
	ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, ERR_CANCELED);
	ck_assert_int_eq(add(GOES, ANOTHER), ERR_BUSY);
	fill_disk(false);
	crash();
	boot();
	ck_assert_uint_eq(pairs(GOES), VALUES);
}
END_TEST

static void closed(void *arg)
{
	(void)arg;
	world.closed = true;
}

static void close_in_process(void *arg)
{
	(void)arg;
	group_store_close(world.store, closed, NULL);
	remove_in_process(arg);
}

static bool is_closed(void *arg)
{
	return world.closed && is_told(arg);
}

static void free_in_process(void *arg)
{
	(void)arg;
	group_store_free(world.store);
	world.store = NULL;
	io_free(world.io);
}

static void stop(void)
{
	ck_assert(sim_node_run(world.node, free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
}

START_TEST(a_store_that_closes_begins_none)
{
	ck_assert(sim_node_run(world.node, close_in_process, NULL));
	ck_assert(sim_run_until(world.sim, is_closed, NULL, STEPS_MAX));
	ck_assert_int_eq(world.result, ERR_CANCELED);
	stop();
	boot();
	ck_assert_uint_eq(pairs(GOES), VALUES);
}
END_TEST

START_TEST(a_store_that_is_freed_ends_it_without_a_word)
{
	begin_removal();
	stop();
	ck_assert_uint_eq(world.told, 0);
	boot();
	bool old;
	expect_old_or_none(&old);
	ck_assert(old);
}
END_TEST

/* It takes no memory with it, and nothing that was held. */
static void clear_in_process(void *arg)
{
	(void)arg;
	ck_assert(group_store_unowned(world.store, GOES));
	ck_assert_int_eq(group_store_clear(world.store, GOES), 0);
	ck_assert(!group_store_unowned(world.store, GOES));
	ck_assert_int_eq(group_store_clear(world.store, GOES), ERR_NOT_FOUND);
	io_wake(world.io, NULL);
}

static bool may_come_again(void *arg)
{
	struct adding adding = {.shard = GOES, .replica = ANOTHER};
	(void)arg;
	ck_assert(sim_node_run(world.node, add_in_process, &adding));
	return adding.error == 0;
}

/* After a start nobody adds it. */
START_TEST(what_nobody_owns_can_be_cleared)
{
	uint32_t shard = GOES;
	ck_assert(!group_store_unowned(world.store, GOES));
	ck_assert_int_eq(group_store_clear(world.store, GOES), ERR_NOT_FOUND);
	crash();
	boot();
	ck_assert_uint_eq(pairs(GOES), VALUES);
	add_leader(STAYS, GROUP_FIRST_REPLICA);
	ck_assert(sim_node_run(world.node, clear_in_process, NULL));
	ck_assert(sim_run_until(world.sim, may_come_again, NULL, STEPS_MAX));
	ck_assert(sim_run_until(world.sim, leads, &shard, STEPS_MAX));
	ck_assert_uint_eq(group_applied(world.members[GOES].group).index, 1);
	ck_assert_uint_eq(pairs(STAYS), VALUES);
}
END_TEST

START_TEST(many_removals_leave_nothing_behind)
{
	for (uint64_t i = 1; i < 30; i++) {
		begin_removal();
		ck_assert(sim_run_until(world.sim, is_told, NULL, STEPS_MAX));
		add_leader(GOES, GROUP_FIRST_REPLICA | i << 16);
		put(GOES);
		put(STAYS);
	}
	stop();
}
END_TEST

Suite *remove_suite(void)
{
	Suite *suite = suite_create("remove");
	TCase *cases = tcase_create("remove");
	tcase_add_checked_fixture(cases, set_up, tear_down);
	tcase_set_timeout(cases, 120);
	tcase_add_test(cases, a_replica_goes_with_its_data);
	tcase_add_test(cases, a_removed_shard_comes_again_as_another_replica);
	tcase_add_test(cases, who_is_told_may_add_it_at_once);
	tcase_add_test(cases, what_was_proposed_goes_too);
	tcase_add_test(cases, a_power_cut_leaves_the_old_replica_or_none);
	tcase_add_test(cases, and_with_entries_under_way);
	tcase_add_test(cases, a_full_disk_is_waited_for);
	tcase_add_test(cases, or_not_where_nobody_waits_for_the_end);
	tcase_add_test(cases, a_store_that_closes_begins_none);
	tcase_add_test(cases, a_store_that_is_freed_ends_it_without_a_word);
	tcase_add_test(cases, what_nobody_owns_can_be_cleared);
	tcase_add_test(cases, many_removals_leave_nothing_behind);
	suite_add_tcase(suite, cases);
	return suite;
}
