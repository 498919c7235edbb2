/* Groups of one member. */
#include <string.h>

#include "base/assert.h"
#include "replication/raft/raft.h"
#include "tests/unit/group/one_member.h"
#include "tests/unit/group/suites.h"
#include "tests/unit/mutation.h"

START_TEST(a_group_leads_when_an_entry_of_its_own_term_is_applied)
{
	ck_assert(!group_leads(one.members[0].group));
	ck_assert_int_eq(group_reserve(one.members[0].group, 10, 1, false), ERR_AGAIN);
	one_start();
	const struct member *member = &one.members[0];
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
	one_start();
	one_propose("a");
	ck_assert_uint_eq(one.members[0].applieds, 1);
	ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
	ck_assert_uint_eq(one.members[0].applieds, 2);
	one_expect_value("a");
}
END_TEST

START_TEST(a_leader_has_itself_what_is_durable)
{
	struct raft_progress own;
	one_start();
	for (char value[] = "a"; value[0] <= 'c'; value[0]++) {
		one_propose(value);
		ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
		ck_assert(group_progress(one.members[0].group, 0, &own));
		ck_assert_uint_eq(own.replica, group_self(one.members[0].group));
		ck_assert_uint_eq(own.match, group_last(one.members[0].group).index);
		ck_assert_uint_eq(own.next, own.match + 1);
		ck_assert_uint_gt(own.heard_ms, 0);
	}
}
END_TEST

START_TEST(an_applied_entry_outlives_a_power_cut_and_each_start_is_a_new_term)
{
	one_start();
	one_propose("a");
	ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
	for (uint64_t term = 2; term <= 4; term++) {
		one_crash();
		one_boot();
		one_expect_value("a");
		one_start();
		ck_assert_uint_eq(one.members[0].leading_term, term);
	}
}
END_TEST

START_TEST(a_vote_alone_is_not_used_again)
{
	/* The first entry of a term is in the frame of its vote; whichever of the writes a crash
	 * leaves, no term is led twice. */
	one_start();
	for (uint64_t point = 1; point <= 12; point++) {
		uint64_t before = one.members[0].leading_term;
		one_crash();
		one_boot();
		sim_crash_at(one.node, point, SIM_POWER_CUT);
		one.members[0].leadings = 0;
		if (sim_node_run(one.node, one_start_in_process, NULL))
			(void)sim_run_until(one.sim, one_all_lead, NULL, 2000);
		sim_crash_at(one.node, 0, SIM_POWER_CUT);
		one_crash();
		one_boot();
		one_start();
		ck_assert_uint_gt(one.members[0].leading_term, before);
	}
}
END_TEST

START_TEST(time_does_not_go_back_over_a_restart)
{
	one_start();
	one_propose("a");
	ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
	int64_t before = one.members[0].times[1];
	one_crash();
	sim_node_shift_clock(one.node, -3600 * 1000);
	one_boot();
	one_start();
	ck_assert_int_ge(one.members[0].times[0], before);
}
END_TEST

static void set_time_in_process(void *arg)
{
	int64_t *time = arg;
	group_set_time(one.members[0].group, *time);
	ck_assert_int_eq(group_time_ms(one.members[0].group), *time);
	group_set_time(one.members[0].group, *time - 5);
	ck_assert_int_eq(group_time_ms(one.members[0].group), *time);
}

START_TEST(time_is_never_less_than_what_was_told)
{
	one_start();
	int64_t time = INT64_C(4000000000000);
	ck_assert(sim_node_run(one.node, set_time_in_process, &time));
}
END_TEST

static void reserve_all_in_process(void *arg)
{
	(void)arg;
	struct member *member = &one.members[0];
	uint32_t held = 0;
	while (group_reserve(member->group, 8 * 1024, 1, false) == 0)
		held++;
	ck_assert_uint_gt(held, 0);
	ck_assert_int_eq(group_reserve(member->group, 8 * 1024, 1, false), ERR_FULL);
	group_unreserve(member->group, held * UINT64_C(8) * 1024, held);
	ck_assert_uint_eq(member->rooms, 0);
	io_wake(one.io, NULL);
}

START_TEST(who_was_refused_is_told_of_room_that_others_give_back)
{
	one_start();
	ck_assert(sim_node_run(one.node, reserve_all_in_process, NULL));
	ck_assert(sim_run_until(one.sim, one_has_room, NULL, STEPS_MAX));
	one_propose("b");
	ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
}
END_TEST

static void close_in_process(void *arg)
{
	(void)arg;
	group_store_close(one.store, one_closed, NULL);
	ck_assert_int_eq(group_reserve(one.members[0].group, 10, 1, false), ERR_AGAIN);
	io_wake(one.io, NULL);
}

START_TEST(a_close_finishes_what_was_proposed_and_leaves_nothing_behind)
{
	one_start();
	one_propose("c");
	ck_assert(sim_node_run(one.node, close_in_process, NULL));
	ck_assert(sim_run_until(one.sim, one_is_closed, NULL, STEPS_MAX));
	ck_assert(one_proposed_is_applied(NULL));
	ck_assert(sim_node_run(one.node, one_free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(one.node), 0);
	one_boot();
	one_expect_value("c");
}
END_TEST

static void confirm_in_process(void *arg)
{
	(void)arg;
	struct group *group = one.members[0].group;
	uint64_t first = group_confirm(group);
	ck_assert_uint_ge(group_confirmed(group), first);
	ck_assert_uint_ge(group_confirm(group), first);
}

START_TEST(the_only_member_confirms_itself)
{
	one_start();
	ck_assert(sim_node_run(one.node, confirm_in_process, NULL));
}
END_TEST

Suite *group_suite(void)
{
	Suite *suite = suite_create("group");
	TCase *tcase = tcase_create("one_member");
	tcase_add_checked_fixture(tcase, one_set_up, one_tear_down);
	tcase_add_test(tcase, a_group_leads_when_an_entry_of_its_own_term_is_applied);
	tcase_add_test(tcase, nothing_is_applied_inside_the_call_that_proposes_it);
	tcase_add_test(tcase, a_leader_has_itself_what_is_durable);
	tcase_add_test(tcase, an_applied_entry_outlives_a_power_cut_and_each_start_is_a_new_term);
	tcase_add_test(tcase, a_vote_alone_is_not_used_again);
	tcase_add_test(tcase, time_does_not_go_back_over_a_restart);
	tcase_add_test(tcase, time_is_never_less_than_what_was_told);
	tcase_add_test(tcase, who_was_refused_is_told_of_room_that_others_give_back);
	tcase_add_test(tcase, a_close_finishes_what_was_proposed_and_leaves_nothing_behind);
	tcase_add_test(tcase, the_only_member_confirms_itself);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(int argc, char **argv)
{
	Suite *(*const suites[])(void) = {
	    group_suite, known_suite, memory_suite, members_suite, remove_suite};
	if (unit_set_mutation())
		return 2;
	return unit_run(argc, argv, suites, sizeof(suites) / sizeof(suites[0]));
}
