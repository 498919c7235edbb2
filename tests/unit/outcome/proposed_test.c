/* Calls that are proposed when trouble comes: what is applied at their place decides, and until
 * somebody knows that nobody is told anything. */
#include "replication/group.h"
#include "replication/snapshot.h"
#include "tests/unit/outcome/suites.h"
#include "tests/unit/outcome/world.h"

/* What becomes of a change of node 0 whose leadership is lost: others got it, or they did not. */
enum fate { FATE_GONE, FATE_STANDS, FATES };

static void cut(enum fate fate, bool is_cut)
{
	for (unsigned i = 1; i < NODES; i++) {
		world_cut(i, 0, is_cut);
		if (fate == FATE_GONE)
			world_cut(0, i, is_cut);
	}
}

/* Change 1 is proposed at node 0, which loses its leadership. */
static void begin_and_lose(struct outcome_call *call, enum fate fate, uint64_t timeout_ms)
{
	cut(fate, true);
	call_begin(call, 0, "add", 1, timeout_ms, 1);
	world_until_lost(0);
	world_until_led_by_another(0);
	world_pass(100);
	ck_assert(!call->done);
}

START_TEST(what_is_committed_with_its_term_has_its_held_reply)
{
	struct outcome_call call;
	begin_and_lose(&call, FATE_STANDS, 60000);
	cut(FATE_STANDS, false);
	/* Run again, it would stand there twice. */
	call_expect_state(&call, STATUS_OK, "1");
	expect_everywhere("1");
}
END_TEST

START_TEST(what_another_term_replaced_is_run_again)
{
	struct outcome_call call;
	begin_and_lose(&call, FATE_GONE, 60000);
	change(world_leader(), 2);
	cut(FATE_GONE, false);
	call_expect_state(&call, STATUS_OK, "2 1");
	expect_everywhere("2 1");
}
END_TEST

/* It would take effect after it. */
START_TEST(what_another_term_replaced_stays_behind_no_later_call)
{
	struct outcome_call call, later;
	begin_and_lose(&call, FATE_GONE, 60000);
	call_begin(&later, 0, "add", 2, 60000, 1);
	call_expect_state(&later, STATUS_OK, "2");
	ck_assert(!call.done);
	cut(FATE_GONE, false);
	call_expect(&call, STATUS_UNAVAILABLE);
	expect_everywhere("2");
}
END_TEST

START_TEST(what_another_term_replaced_is_unavailable_without_a_leader)
{
	struct outcome_call call;
	begin_and_lose(&call, FATE_GONE, 8000);
	world_link_all_of(0, false);
	cut(FATE_GONE, false);
	world_until_level();
	ck_assert(!call.done);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	world_link_all_of(0, true);
	expect_everywhere("");
}
END_TEST

START_TEST(what_a_snapshot_jumped_over_is_unknown)
{
	enum fate fate = (enum fate)_i;
	enum { CHANGES = 40 };
	struct outcome_call call;
	begin_and_lose(&call, fate, 600000);
	for (unsigned i = 0; i < CHANGES; i++) {
		change(world_leader(), 100 + i);
		if (i % 10 == 0)
			world_checkpoint(world_leader());
	}
	world_checkpoint(world_leader());
	ck_assert(!call.done);
	cut(fate, false);
	call_expect(&call, STATUS_UNKNOWN_OUTCOME);
	ck_assert_uint_gt(snapshots_figures(world.nodes[0].snapshots).installed, 0);
	world_until_level();
	call_begin(&call, 1, "get", 0, 60000, 2);
	struct host_fake_view view = call_view(&call);
	ck_assert_uint_eq(view.count, CHANGES + (fate == FATE_STANDS));
	ck_assert_uint_eq(view.ids[0], fate == FATE_STANDS ? 1 : 100);
}
END_TEST

START_TEST(what_is_open_at_its_end_is_unknown)
{
	enum fate fate = (enum fate)_i;
	struct outcome_call call;
	begin_and_lose(&call, fate, 8000);
	call_expect(&call, STATUS_UNKNOWN_OUTCOME);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	cut(fate, false);
	world_until_level();
	/* Nobody runs again what was answered. */
	expect_everywhere(fate == FATE_STANDS ? "1" : "");
}
END_TEST

START_TEST(what_is_proposed_at_its_end_is_unknown)
{
	struct outcome_call call;
	cut(FATE_GONE, true);
	call_begin(&call, 0, "add", 1, 200, 1);
	call_expect(&call, STATUS_UNKNOWN_OUTCOME);
	ck_assert(world_leads(0));
	cut(FATE_GONE, false);
	/* Here it was done. */
	change(0, 2);
	expect_everywhere("1 2");
}
END_TEST

/* Times that end before the handler runs, in its slices, in the turn that proposes, before the disk
 * has it, before the others have, and after that: only OK has surely an effect, and what is
 * DEADLINE_EXCEEDED has none. */
START_TEST(whenever_its_time_ends_the_error_is_true)
{
	enum { CALLS = 60, STEP_NS = 400000 };
	static struct outcome_call calls[CALLS];
	enum status statuses[CALLS];
	unsigned counts[STATUS_UNKNOWN_OUTCOME + 1] = {0};
	struct sim_faults faults = {.sync_ns_min = 3 * NS_PER_MS, .sync_ns_max = 9 * NS_PER_MS};
	sim_set_faults(world.sim, &faults);
	for (unsigned i = 0; i < CALLS; i++) {
		call_begin(&calls[i], 0, i % 2 ? "slow" : "hash", i + 1, 0, i);
		calls[i].call.deadline_ns += (uint64_t)(i / 2) * STEP_NS;
		while (!calls[i].done)
			world_pass(1);
		statuses[i] = calls[i].call.status;
		call_expect(&calls[i], statuses[i]);
		counts[statuses[i]]++;
	}
	struct outcome_call get;
	call_begin(&get, 1, "get", 0, 60000, 2);
	struct host_fake_view view = call_view(&get);
	bool stands[CALLS + 1] = {false};
	for (unsigned i = 0; i < view.count; i++)
		stands[view.ids[i]] = true;
	for (unsigned i = 0; i < CALLS; i++) {
		if (statuses[i] == STATUS_OK)
			ck_assert(stands[i + 1]);
		else if (statuses[i] != STATUS_UNKNOWN_OUTCOME)
			ck_assert(!stands[i + 1]);
	}
	ck_assert_uint_gt(counts[STATUS_OK], 0);
	ck_assert_uint_gt(counts[STATUS_UNKNOWN_OUTCOME], 0);
	ck_assert_uint_eq(
	    counts[STATUS_OK] + counts[STATUS_UNKNOWN_OUTCOME] + counts[STATUS_DEADLINE_EXCEEDED],
	    CALLS);
}
END_TEST

Suite *proposed_suite(void)
{
	Suite *suite = suite_create("proposed");
	TCase *tcase = tcase_create("proposed");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_test(tcase, what_is_committed_with_its_term_has_its_held_reply);
	tcase_add_test(tcase, what_another_term_replaced_is_run_again);
	tcase_add_test(tcase, what_another_term_replaced_stays_behind_no_later_call);
	tcase_add_test(tcase, what_another_term_replaced_is_unavailable_without_a_leader);
	tcase_add_loop_test(tcase, what_a_snapshot_jumped_over_is_unknown, 0, FATES);
	tcase_add_loop_test(tcase, what_is_open_at_its_end_is_unknown, 0, FATES);
	tcase_add_test(tcase, what_is_proposed_at_its_end_is_unknown);
	tcase_add_test(tcase, whenever_its_time_ends_the_error_is_true);
	suite_add_tcase(suite, tcase);
	return suite;
}
