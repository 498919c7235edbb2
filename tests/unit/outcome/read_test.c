/* Reads in the sense of the hold rule: a query, a command that fails, one without a change, a
 * repeat of a token. Their answers say something about a state, and leave only when it is
 * confirmed. */
#include "tests/unit/outcome/suites.h"
#include "tests/unit/outcome/world.h"

static const struct {
	const char *name, *token;
	enum status status;
	const char *again; /* what it tells of the state 1 2 */
} kinds[] = {
    {"get", "", STATUS_OK, "1 2"},
    {"fail", "", STATUS_FAILED_PRECONDITION, "1 2"},
    {"noop", "", STATUS_OK, "1 2"},
    /* Its first reply. */
    {"add", "once", STATUS_OK, "1"},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static void begin_read(struct outcome_call *call, int kind, unsigned node, uint64_t timeout_ms)
{
	call_begin_with(call, node, kinds[kind].name, 1, timeout_ms, 1, kinds[kind].token);
}

/* Change 1 is there. */
static void set_up(void)
{
	struct outcome_call call;
	world_set_up();
	call_begin_with(&call, 0, "add", 1, 60000, 2, "once");
	call_expect(&call, STATUS_OK);
	world_until_level();
}

START_TEST(a_read_is_run_again_where_the_next_leader_is)
{
	struct outcome_call call;
	world_cut_off(0, true);
	begin_read(&call, _i, 0, 60000);
	world_until_led_by_another(0);
	ck_assert(!call.done || !world_leads(0));
	change(world_leader(), 2);
	/* Where it came to nobody answers it before that node knows. */
	call_expect_state(&call, kinds[_i].status, kinds[_i].again);
	ck_assert(!world_leads(0));
	world_cut_off(0, false);
	expect_everywhere("1 2");
}
END_TEST

START_TEST(a_read_is_unavailable_where_nobody_leads_in_time)
{
	struct outcome_call call;
	for (unsigned i = 0; i < NODES; i++)
		world_cut_off(i, true);
	begin_read(&call, _i, 0, 5000);
	world_until_lost(0);
	ck_assert(!call.done);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	for (unsigned i = 0; i < NODES; i++)
		world_cut_off(i, false);
	expect_everywhere("1");
}
END_TEST

START_TEST(a_read_that_is_not_confirmed_in_time_is_unavailable)
{
	struct outcome_call call;
	world_cut_off(0, true);
	begin_read(&call, _i, 0, 200);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert(world_leads(0));
	world_cut_off(0, false);
	expect_everywhere("1");
}
END_TEST

/* It is to go to another node, which is known, and there is no room on the way until its end. */
START_TEST(a_read_that_is_late_the_second_time_is_unavailable)
{
	struct outcome_call call;
	world_cut_off(0, true);
	begin_read(&call, _i, 0, 6000);
	world_fill(0, 1, true);
	world_fill(0, 2, true);
	world_until_led_by_another(0);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	world_fill(0, 1, false);
	world_fill(0, 2, false);
	world_cut_off(0, false);
	expect_everywhere("1");
}
END_TEST

/* This node leads again, and what stands before it there is run again for long. */
START_TEST(a_read_that_is_late_behind_what_is_run_again_is_unavailable)
{
	struct outcome_call before, call;
	struct sim_faults slow = {.offload_ns_min = 60 * NS_PER_S, .offload_ns_max = 60 * NS_PER_S};
	world_cut_off(0, true);
	call_begin(&before, 0, "hash", 2, 600000, 2);
	world_pass(100);
	begin_read(&call, _i, 0, 20000);
	world_link_all_of(0, false);
	world_until_led_by_another(0);
	world_cut_off(0, false);
	sim_set_faults(world.sim, &slow);
	world_lead(0);
	ck_assert(!call.done);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	call_expect_state(&before, STATUS_OK, "1 2");
}
END_TEST

/* Node 0 had it, which has lost the shard to node 2, and says so now. */
static void begin_refused_read(struct outcome_call *call, int kind, uint64_t timeout_ms)
{
	world_fill(0, 1, true);
	world_cut_off(0, true);
	begin_read(call, kind, 1, timeout_ms);
	world_pass(100);
	world_until_led_by_another(0);
	world_lead(2);
	world_until_lost(0);
	ck_assert(!call->done);
}

/* There is no room on the way to node 2. */
START_TEST(a_read_that_is_late_after_a_refusal_is_unavailable)
{
	struct outcome_call call;
	begin_refused_read(&call, _i, 20000);
	world_fill(1, 2, true);
	world_fill(0, 1, false);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	world_fill(1, 2, false);
	world_cut_off(0, false);
	expect_everywhere("1");
}
END_TEST

/* It waits its turn at node 2, which knows nothing of that. */
START_TEST(a_read_that_is_late_where_it_was_sent_next_is_unavailable)
{
	struct outcome_call before, call;
	struct sim_faults slow = {.offload_ns_min = 60 * NS_PER_S, .offload_ns_max = 60 * NS_PER_S};
	begin_refused_read(&call, _i, 20000);
	world_cut_off(0, false);
	sim_set_faults(world.sim, &slow);
	call_begin(&before, 2, "hash", 2, 600000, 2);
	world_fill(0, 1, false);
	call_expect(&call, STATUS_UNAVAILABLE);
	/* That node counts what is left of its time in milliseconds. */
	ck_assert_uint_ge(call.answered_ns + NS_PER_MS, call.call.deadline_ns);
	call_expect_state(&before, STATUS_OK, "1 2");
}
END_TEST

/* Both come back, and what stands before it is run for long here. */
START_TEST(a_read_that_is_late_where_it_came_from_is_unavailable)
{
	struct outcome_call before, call;
	struct sim_faults slow = {.offload_ns_min = 60 * NS_PER_S, .offload_ns_max = 60 * NS_PER_S};
	world_cut_off(0, true);
	call_begin(&before, 1, "hash", 2, 600000, 2);
	world_pass(100);
	begin_refused_read(&call, _i, 20000);
	ck_assert(!before.done);
	world_cut_off(0, false);
	world_lead(1);
	sim_set_faults(world.sim, &slow);
	world_fill(0, 1, false);
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
	call_expect_state(&before, STATUS_OK, "1 2");
}
END_TEST

START_TEST(a_read_before_a_change_that_may_stand_is_unavailable)
{
	struct outcome_call call, behind;
	/* Others hear of the change, and it is not heard that they have it. */
	world_cut(1, 0, true);
	world_cut(2, 0, true);
	begin_read(&call, _i, 0, 60000);
	call_begin(&behind, 0, "add", 2, 60000, 2);
	world_until_lost(0);
	call_expect(&call, STATUS_UNAVAILABLE);
	world_until_led_by_another(0);
	world_cut(1, 0, false);
	world_cut(2, 0, false);
	call_expect_state(&behind, STATUS_OK, "1 2");
	expect_everywhere("1 2");
}
END_TEST

Suite *read_suite(void)
{
	Suite *suite = suite_create("read");
	TCase *tcase = tcase_create("read");
	tcase_add_checked_fixture(tcase, set_up, world_tear_down);
	tcase_add_loop_test(tcase, a_read_is_run_again_where_the_next_leader_is, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_is_unavailable_where_nobody_leads_in_time, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_that_is_not_confirmed_in_time_is_unavailable, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_that_is_late_the_second_time_is_unavailable, 0, KINDS);
	tcase_add_loop_test(
	    tcase, a_read_that_is_late_behind_what_is_run_again_is_unavailable, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_that_is_late_after_a_refusal_is_unavailable, 0, KINDS);
	tcase_add_loop_test(
	    tcase, a_read_that_is_late_where_it_was_sent_next_is_unavailable, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_that_is_late_where_it_came_from_is_unavailable, 0, KINDS);
	tcase_add_loop_test(tcase, a_read_before_a_change_that_may_stand_is_unavailable, 0, KINDS);
	suite_add_tcase(suite, tcase);
	return suite;
}
