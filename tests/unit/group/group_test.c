/* Groups of one member, on a simulated machine. */
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/group.h"
#include "storage/batch.h"
#include "tests/unit/group/suites.h"
#include "tests/unit/starve.h"

enum { GROUPS = 3, STEPS_MAX = 200000, ENTRIES_MAX = 64 };

struct member {
	struct group *group;
	uint32_t shard;
	uint64_t leading_term;
	unsigned leadings, losts, closeds, rooms;
	struct group_position applied[ENTRIES_MAX];
	int64_t times[ENTRIES_MAX];
	enum group_entry_kind kinds[ENTRIES_MAX];
	unsigned applieds;
};

static struct {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct member members[GROUPS];
	struct group_position proposed;
	bool closed, more;
	int error;
	struct starve starve;
	bool insists; /* member 0 tries again as soon as it is told of room */
	bool is_open;
} world;

static void leading(void *arg, uint64_t term)
{
	struct member *member = arg;
	member->leadings++;
	member->leading_term = term;
}

static void lost(void *arg)
{
	struct member *member = arg;
	member->losts++;
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct member *member = arg;
	ck_assert_uint_lt(member->applieds, ENTRIES_MAX);
	member->applied[member->applieds] = entry->at;
	member->times[member->applieds] = entry->time_ms;
	member->kinds[member->applieds++] = entry->kind;
}

static void confirmed(void *arg, uint64_t round)
{
	(void)arg;
	(void)round;
}

/* More entries than a group has place for at first. */
static int reserve_many(void)
{
	return group_reserve(world.members[0].group, 1000, 40, false);
}

static void room(void *arg)
{
	struct member *member = arg;
	member->rooms++;
	if (world.insists)
		world.error = reserve_many();
}

static void told_closed(void *arg)
{
	struct member *member = arg;
	member->closeds++;
}

static const struct group_events events = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .confirmed = confirmed,
    .room = room,
    .closed = told_closed};

static void turn(void *arg)
{
	(void)arg;
	starve_begin(&world.starve);
	io_run(world.io);
	bool more = world.store && group_store_turn(world.store);
	starve_end(&world.starve);
	if (more)
		io_wake(world.io, NULL);
}

/* Other nodes may be there, but no group has a replica on one. */
static void send_nothing(void *arg, uint32_t shard, const struct raft_message *message)
{
	(void)arg;
	(void)shard;
	(void)message;
	ck_abort_msg("a group that is alone sends something");
}

static const struct group_carrier carrier = {.send = send_nothing};

/* Nobody else votes: what is durable is committed, and nothing of it is left for later. */
static void expect_replayed(const struct member *member)
{
	struct engine *engine = group_store_engine(world.store);
	if (!engine_shard_closed(engine, member->shard))
		ck_assert_uint_eq(group_applied(member->group).index,
		    engine_group(engine, member->shard).last_index);
}

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
	starve_begin(&world.starve);
	world.error = group_store_open(&options, why, sizeof(why), &world.store, &report);
	for (uint32_t i = 0; i < GROUPS && !world.error; i++) {
		memset(&world.members[i], 0, sizeof(world.members[i]));
		world.members[i].shard = i + 1;
		world.error = group_add(
		    world.store, i + 1, &events, &world.members[i], &world.members[i].group);
	}
	starve_end(&world.starve);
	for (uint32_t i = 0; i < GROUPS && !world.error; i++)
		expect_replayed(&world.members[i]);
	ck_assert_msg(!world.error || (world.error == ERR_NOMEM && world.starve.failed), "%s", why);
	world.is_open = !world.error;
}

static void start_in_process(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < GROUPS; i++)
		group_start(world.members[i].group);
	io_wake(world.io, NULL);
}

static bool all_lead(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < GROUPS; i++)
		if (world.members[i].leadings == 0)
			return false;
	return true;
}

static void boot(void)
{
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, turn, NULL);
	ck_assert(sim_node_run(world.node, open_in_process, NULL));
}

static void start(void)
{
	ck_assert(sim_node_run(world.node, start_in_process, NULL));
	ck_assert(sim_run_until(world.sim, all_lead, NULL, STEPS_MAX));
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

/* A batch that puts `value` under one key. */
static struct slice batch_of(uint8_t *span, size_t bytes, const char *value)
{
	uint8_t key[2] = {KEY_KIND_FIRST_FREE, 'k'};
	struct writer out = writer_of(span, bytes);
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_from_text(value));
	return writer_view(&out);
}

static void propose_in_process(void *arg)
{
	uint8_t span[64];
	struct slice batch = batch_of(span, sizeof(span), arg);
	struct group *group = world.members[0].group;
	ck_assert_int_eq(group_reserve(group, batch.bytes, 1, false), 0);
	group_unreserve(group, batch.bytes, 1);
	group_propose(group, batch, &world.proposed);
	/* Its memory is the caller's again at once. */
	memset(span, 0xee, sizeof(span));
	io_wake(world.io, NULL);
}

static void propose(char *value)
{
	ck_assert(sim_node_run(world.node, propose_in_process, value));
}

static bool proposed_is_applied(void *arg)
{
	(void)arg;
	return group_applied(world.members[0].group).index == world.proposed.index;
}

static void expect_in_process(void *arg)
{
	const char *wanted = arg;
	uint8_t key[2] = {KEY_KIND_FIRST_FREE, 'k'};
	struct slice value;
	enum table_found found =
	    engine_get(group_store_engine(world.store), 1, slice_of(key, sizeof(key)), &value);
	ck_assert_int_eq(found, TABLE_VALUE);
	ck_assert(slice_equal(value, slice_from_text(wanted)));
}

static void expect_value(char *wanted)
{
	ck_assert(sim_node_run(world.node, expect_in_process, wanted));
}

START_TEST(a_group_leads_when_an_entry_of_its_own_term_is_applied)
{
	ck_assert(!group_leads(world.members[0].group));
	ck_assert_int_eq(group_reserve(world.members[0].group, 10, 1, false), ERR_AGAIN);
	start();
	const struct member *member = &world.members[0];
	ck_assert(group_leads(member->group));
	ck_assert_uint_eq(member->leading_term, 1);
	ck_assert_uint_eq(member->applieds, 1);
	ck_assert_int_eq(member->kinds[0], GROUP_NOOP);
	ck_assert_uint_eq(member->applied[0].term, 1);
	ck_assert_uint_eq(member->applied[0].index, 1);
}
END_TEST

START_TEST(nothing_is_applied_inside_the_call_that_proposes_it)
{
	start();
	propose("a");
	ck_assert_uint_eq(world.members[0].applieds, 1);
	ck_assert(sim_run_until(world.sim, proposed_is_applied, NULL, STEPS_MAX));
	ck_assert_uint_eq(world.members[0].applieds, 2);
	expect_value("a");
}
END_TEST

START_TEST(an_applied_entry_outlives_a_power_cut_and_each_start_is_a_new_term)
{
	start();
	propose("a");
	ck_assert(sim_run_until(world.sim, proposed_is_applied, NULL, STEPS_MAX));
	for (uint64_t term = 2; term <= 4; term++) {
		crash();
		boot();
		expect_value("a");
		start();
		ck_assert_uint_eq(world.members[0].leading_term, term);
	}
}
END_TEST

START_TEST(a_vote_alone_is_not_used_again)
{
	/* The first entry of a term is in the frame of its vote; whichever of the writes a crash
	 * leaves, no term is led twice. */
	start();
	for (uint64_t point = 1; point <= 12; point++) {
		uint64_t before = world.members[0].leading_term;
		crash();
		boot();
		sim_crash_at(world.node, point, SIM_POWER_CUT);
		world.members[0].leadings = 0;
		if (sim_node_run(world.node, start_in_process, NULL))
			(void)sim_run_until(world.sim, all_lead, NULL, 2000);
		sim_crash_at(world.node, 0, SIM_POWER_CUT);
		crash();
		boot();
		start();
		ck_assert_uint_gt(world.members[0].leading_term, before);
	}
}
END_TEST

START_TEST(time_does_not_go_back_over_a_restart)
{
	start();
	propose("a");
	ck_assert(sim_run_until(world.sim, proposed_is_applied, NULL, STEPS_MAX));
	int64_t before = world.members[0].times[1];
	crash();
	sim_node_shift_clock(world.node, -3600 * 1000);
	boot();
	start();
	ck_assert_int_ge(world.members[0].times[0], before);
}
END_TEST

static void set_time_in_process(void *arg)
{
	int64_t *time = arg;
	group_set_time(world.members[0].group, *time);
	ck_assert_int_eq(group_time_ms(world.members[0].group), *time);
	group_set_time(world.members[0].group, *time - 5);
	ck_assert_int_eq(group_time_ms(world.members[0].group), *time);
}

START_TEST(time_is_never_less_than_what_was_told)
{
	start();
	int64_t time = INT64_C(4000000000000);
	ck_assert(sim_node_run(world.node, set_time_in_process, &time));
}
END_TEST

static void reserve_all_in_process(void *arg)
{
	(void)arg;
	struct member *member = &world.members[0];
	uint32_t held = 0;
	while (group_reserve(member->group, 8 * 1024, 1, false) == 0)
		held++;
	ck_assert_uint_gt(held, 0);
	ck_assert_int_eq(group_reserve(member->group, 8 * 1024, 1, false), ERR_FULL);
	group_unreserve(member->group, held * UINT64_C(8) * 1024, held);
	ck_assert_uint_eq(member->rooms, 0);
	io_wake(world.io, NULL);
}

static bool has_room(void *arg)
{
	(void)arg;
	return world.members[0].rooms > 0;
}

START_TEST(who_was_refused_is_told_of_room_that_others_give_back)
{
	start();
	ck_assert(sim_node_run(world.node, reserve_all_in_process, NULL));
	ck_assert(sim_run_until(world.sim, has_room, NULL, STEPS_MAX));
	propose("b");
	ck_assert(sim_run_until(world.sim, proposed_is_applied, NULL, STEPS_MAX));
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
	ck_assert_int_eq(group_reserve(world.members[0].group, 10, 1, false), ERR_AGAIN);
	io_wake(world.io, NULL);
}

static bool is_closed(void *arg)
{
	(void)arg;
	return world.closed;
}

static void free_in_process(void *arg)
{
	(void)arg;
	group_store_free(world.store);
	world.store = NULL;
	io_free(world.io);
}

START_TEST(a_close_finishes_what_was_proposed_and_leaves_nothing_behind)
{
	start();
	propose("c");
	ck_assert(sim_node_run(world.node, close_in_process, NULL));
	ck_assert(sim_run_until(world.sim, is_closed, NULL, STEPS_MAX));
	ck_assert(proposed_is_applied(NULL));
	ck_assert(sim_node_run(world.node, free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
	boot();
	expect_value("c");
}
END_TEST

static void confirm_in_process(void *arg)
{
	(void)arg;
	struct group *group = world.members[0].group;
	uint64_t first = group_confirm(group);
	ck_assert_uint_ge(group_confirmed(group), first);
	ck_assert_uint_ge(group_confirm(group), first);
}

START_TEST(the_only_member_confirms_itself)
{
	start();
	ck_assert(sim_node_run(world.node, confirm_in_process, NULL));
}
END_TEST

/* ---- Memory ---- */

static void reserve_starving(void *arg)
{
	(void)arg;
	mem_fail_at(1);
	ck_assert_int_eq(reserve_many(), ERR_FULL);
	ck_assert(mem_failed());
	mem_fail_at(0);
}

/* Nothing else is under way that would tell. */
START_TEST(who_is_refused_for_want_of_memory_is_told_to_try_again)
{
	start();
	ck_assert(sim_node_run(world.node, reserve_starving, NULL));
	uint64_t began_ns = sim_now_ns(world.sim);
	ck_assert(sim_run_until(world.sim, has_room, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(world.sim) - began_ns, NS_PER_S);
}
END_TEST

static void insist_starving(void *arg)
{
	(void)arg;
	world.starve = starve_on();
	world.insists = true;
	starve_begin(&world.starve);
	world.error = reserve_many();
	starve_end(&world.starve);
	ck_assert_int_eq(world.error, ERR_FULL);
	io_wake(world.io, NULL);
}

static bool is_past(void *arg)
{
	return sim_now_ns(world.sim) >= *(const uint64_t *)arg;
}

static bool has_reserved(void *arg)
{
	(void)arg;
	return world.error == 0;
}

/* In a second without memory it tries often enough to go on soon, and seldom enough to leave the
 * core to others. */
static void expect_patience(void)
{
	uint64_t end_ns = sim_now_ns(world.sim) + NS_PER_S;
	ck_assert(sim_run_until(world.sim, is_past, &end_ns, STEPS_MAX));
	ck_assert_uint_ge(world.starve.fails, 10);
	/* A try asks twice where it reads: for what the cache knew, and for the load. */
	ck_assert_uint_le(world.starve.fails, 2 * 110 * GROUPS);
	world.starve = starve_at(0);
}

START_TEST(who_finds_no_memory_for_long_does_not_keep_the_core)
{
	start();
	ck_assert(sim_node_run(world.node, insist_starving, NULL));
	expect_patience();
	uint64_t began_ns = sim_now_ns(world.sim);
	ck_assert(sim_run_until(world.sim, has_reserved, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(world.sim) - began_ns, NS_PER_S / 10);
}
END_TEST

static void start_without_memory(void *arg)
{
	start_in_process(arg);
	world.starve = starve_on();
}

START_TEST(nor_do_groups_that_would_lead)
{
	ck_assert(sim_node_run(world.node, start_without_memory, NULL));
	expect_patience();
	uint64_t began_ns = sim_now_ns(world.sim);
	ck_assert(sim_run_until(world.sim, all_lead, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(world.sim) - began_ns, NS_PER_S / 10);
}
END_TEST

static void start_starving(void *arg)
{
	start_in_process(arg);
	world.starve = starve_at(1);
}

START_TEST(a_group_that_finds_no_memory_to_lead_tries_again)
{
	ck_assert(sim_node_run(world.node, start_starving, NULL));
	uint64_t began_ns = sim_now_ns(world.sim);
	ck_assert(sim_run_until(world.sim, all_lead, NULL, STEPS_MAX));
	ck_assert(world.starve.failed);
	ck_assert_uint_lt(sim_now_ns(world.sim) - began_ns, NS_PER_S / 20);
}
END_TEST

/* Of ever more entries, so that the group has to grow, too. */
static void propose_starving(void *arg)
{
	uint8_t span[64];
	struct slice batch = batch_of(span, sizeof(span), arg);
	struct member *member = &world.members[0];
	uint32_t entries = 1 + (uint32_t)(((const char *)arg)[6] - 'a');
	member->rooms = 0;
	starve_begin(&world.starve);
	world.error = group_reserve(member->group, batch.bytes, entries, false);
	if (!world.error) {
		group_unreserve(member->group, batch.bytes, entries);
		group_propose(member->group, batch, &world.proposed);
	}
	starve_end(&world.starve);
	ck_assert(!world.error || world.error == ERR_FULL);
	io_wake(world.io, NULL);
}

static void close_starving(void *arg)
{
	(void)arg;
	starve_begin(&world.starve);
	group_store_close(world.store, closed, NULL);
	starve_end(&world.starve);
	io_wake(world.io, NULL);
}

static void stop_process(void)
{
	ck_assert(sim_node_run(world.node, free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
}

/* A whole life of a process in which one allocation fails: opening is refused, or all of it goes
 * on as if nothing had been. True: one did fail. */
static bool live_without(uint64_t nth)
{
	char value[] = "value ?";
	world.starve = starve_at(nth);
	boot();
	if (!world.is_open) {
		stop_process();
		return true;
	}
	/* Nobody waits for a timer that is there for something else. */
	uint64_t began_ns = sim_now_ns(world.sim);
	start();
	for (int i = 0; i < 12; i++) {
		value[6] = (char)('a' + i);
		ck_assert(sim_node_run(world.node, propose_starving, value));
		/* Who is refused is told of room, and may be refused again. */
		for (int again = 0; world.error; again++) {
			ck_assert_int_lt(again, 50);
			ck_assert(sim_run_until(world.sim, has_room, NULL, STEPS_MAX));
			ck_assert(sim_node_run(world.node, propose_starving, value));
		}
	}
	ck_assert(sim_run_until(world.sim, proposed_is_applied, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(world.sim) - began_ns, NS_PER_S);
	expect_value(value);
	world.closed = false;
	ck_assert(sim_node_run(world.node, close_starving, NULL));
	ck_assert(sim_run_until(world.sim, is_closed, NULL, STEPS_MAX));
	bool failed = world.starve.failed;
	world.starve = starve_at(0);
	stop_process();
	boot();
	expect_value(value);
	crash();
	return failed;
}

START_TEST(one_failed_allocation_refuses_the_opening_or_changes_nothing)
{
	crash();
	uint64_t nth = 1;
	while (live_without(nth))
		nth++;
	ck_assert_uint_gt(nth, 100);
}
END_TEST

Suite *group_suite(void)
{
	Suite *suite = suite_create("group");
	TCase *tcase = tcase_create("one_member");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_group_leads_when_an_entry_of_its_own_term_is_applied);
	tcase_add_test(tcase, nothing_is_applied_inside_the_call_that_proposes_it);
	tcase_add_test(tcase, an_applied_entry_outlives_a_power_cut_and_each_start_is_a_new_term);
	tcase_add_test(tcase, a_vote_alone_is_not_used_again);
	tcase_add_test(tcase, time_does_not_go_back_over_a_restart);
	tcase_add_test(tcase, time_is_never_less_than_what_was_told);
	tcase_add_test(tcase, who_was_refused_is_told_of_room_that_others_give_back);
	tcase_add_test(tcase, a_close_finishes_what_was_proposed_and_leaves_nothing_behind);
	tcase_add_test(tcase, who_is_refused_for_want_of_memory_is_told_to_try_again);
	tcase_add_test(tcase, a_group_that_finds_no_memory_to_lead_tries_again);
	tcase_add_test(tcase, who_finds_no_memory_for_long_does_not_keep_the_core);
	tcase_add_test(tcase, nor_do_groups_that_would_lead);
	tcase_add_test(tcase, one_failed_allocation_refuses_the_opening_or_changes_nothing);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, the_only_member_confirms_itself);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {group_suite, members_suite, remove_suite};
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
