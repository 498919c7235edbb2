/* Calls that were sent to the node that leads, which does not answer: node 1 sends to node 0. */
#include "server/forward.h"
#include "tests/unit/outcome/suites.h"
#include "tests/unit/outcome/world.h"

static bool is_sent(void *arg)
{
	(void)arg;
	return forward_figures(world.nodes[1].forward).under_way > 0;
}

/* The link breaks before the call is there, or when it is proposed there. */
enum when { ON_ITS_WAY, THERE, WHENS };

static void begin_and_break(
    struct outcome_call *call, const char *name, enum when when, uint64_t timeout_ms)
{
	world_cut_off(0, true);
	call_begin(call, 1, name, 1, timeout_ms, 1);
	world_until(is_sent, NULL);
	if (when == THERE)
		world_pass(100);
	ck_assert(!call->done);
	world_link(1, 0, false);
	world_cut_off(0, false);
}

START_TEST(a_command_whose_link_breaks_is_unknown)
{
	struct outcome_call call;
	begin_and_break(&call, "add", (enum when)_i, 60000);
	call_expect(&call, STATUS_UNKNOWN_OUTCOME);
	world_link(1, 0, true);
	expect_everywhere(_i == THERE ? "1" : "");
}
END_TEST

START_TEST(a_query_whose_link_breaks_is_repeated)
{
	struct outcome_call call;
	change(0, 7);
	begin_and_break(&call, "get", (enum when)_i, 60000);
	world_pass(500);
	ck_assert(!call.done);
	change(2, 8);
	world_link(1, 0, true);
	call_expect_state(&call, STATUS_OK, "7 8");
}
END_TEST

/* Or is there again, and takes nothing until the query's end. */
START_TEST(a_query_whose_link_stays_broken_is_unavailable)
{
	struct outcome_call call;
	bool is_back = _i == 1;
	begin_and_break(&call, "get", THERE, 2000);
	if (is_back) {
		world_fill(1, 0, true);
		world_link(1, 0, true);
	}
	call_expect(&call, STATUS_UNAVAILABLE);
	ck_assert_uint_ge(call.answered_ns, call.call.deadline_ns);
}
END_TEST

/* Or waits its turn there the second time. */
START_TEST(a_query_that_is_late_after_its_link_broke_is_unavailable)
{
	struct outcome_call before, call;
	struct sim_faults slow = {.offload_ns_min = 60 * NS_PER_S, .offload_ns_max = 60 * NS_PER_S};
	begin_and_break(&call, "get", (enum when)_i, 5000);
	sim_set_faults(world.sim, &slow);
	call_begin(&before, 0, "hash", 2, 600000, 2);
	world_pass(100);
	world_link(1, 0, true);
	call_expect(&call, STATUS_UNAVAILABLE);
	/* That node counts what is left of its time in milliseconds. */
	ck_assert_uint_ge(call.answered_ns + NS_PER_MS, call.call.deadline_ns);
	call_expect_state(&before, STATUS_OK, "2");
}
END_TEST

/* It is done there, or is not yet; the answer finds no way back. */
START_TEST(a_command_without_an_answer_in_time_is_unknown)
{
	struct outcome_call call;
	bool is_done = _i == 1;
	if (!is_done)
		world_cut_off(0, true);
	world_fill(0, 1, true);
	call_begin(&call, 1, "add", 1, 500, 1);
	call_expect(&call, STATUS_UNKNOWN_OUTCOME);
	world_cut_off(0, false);
	world_fill(0, 1, false);
	expect_everywhere("1");
}
END_TEST

Suite *sent_suite(void)
{
	Suite *suite = suite_create("sent");
	TCase *tcase = tcase_create("sent");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_loop_test(tcase, a_command_whose_link_breaks_is_unknown, 0, WHENS);
	tcase_add_loop_test(tcase, a_query_whose_link_breaks_is_repeated, 0, WHENS);
	tcase_add_loop_test(tcase, a_query_whose_link_stays_broken_is_unavailable, 0, 2);
	tcase_add_loop_test(
	    tcase, a_query_that_is_late_after_its_link_broke_is_unavailable, 0, WHENS);
	tcase_add_loop_test(tcase, a_command_without_an_answer_in_time_is_unknown, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
