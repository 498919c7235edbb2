/* Three replicas of one group: what one has applied at an index, everyone who gets there applies; a
 * term has one leader; in the end all have the same. */
#include <stdio.h>

#include "base/clock.h"
#include "tests/unit/group/members_world.h"
#include "tests/unit/group/suites.h"

START_TEST(replicas_agree)
{
	members_begin((uint64_t)_i + 1, 1, 20000, 0);
	for (int i = 0; i < 60000; i++)
		members_step();
	/* Now the network is good, and all are there. */
	members_world.quiet = true;
	for (unsigned i = 0; i < NODES; i++)
		if (!members_world.nodes[i].up)
			members_boot(&members_world.nodes[i]);
	uint64_t until_ns = sim_now_ns(members_world.sim) + 20 * NS_PER_S;
	while (sim_now_ns(members_world.sim) < until_ns && !members_have_all())
		members_step();
	ck_assert_uint_gt(members_world.answers, 0);
	ck_assert_uint_gt(members_world.led_knowing, 0);
	printf("seed %d: %llu entries, %llu leaderships, %llu changes, %llu crashes, "
	       "%llu installs, %llu messages, %llu of %llu questions answered, "
	       "%llu handovers, %llu cuts\n",
	    _i + 1, (unsigned long long)members_world.highest,
	    (unsigned long long)members_world.leaderships,
	    (unsigned long long)members_world.changes, (unsigned long long)members_world.crashes,
	    (unsigned long long)members_world.installs, (unsigned long long)members_world.delivered,
	    (unsigned long long)members_world.answers, (unsigned long long)members_world.questions,
	    (unsigned long long)members_world.handovers, (unsigned long long)members_world.cuts);
	ck_assert_msg(members_have_all(), "seed %d: applied %llu %llu %llu of %llu", _i + 1,
	    (unsigned long long)group_applied(members_world.nodes[0].group).index,
	    (unsigned long long)group_applied(members_world.nodes[1].group).index,
	    (unsigned long long)group_applied(members_world.nodes[2].group).index,
	    (unsigned long long)members_world.highest);
	members_end();
}
END_TEST

/* Half a megabyte is committed; whoever begins again then knows at once of most of it. */
START_TEST(a_replica_knows_after_a_crash_what_was_committed)
{
	enum { ENTRIES = 1500, KNOWN = 400, STEPS = 400000 };
	members_begin(1, 1, 0, 0);
	members_world.quiet = true;
	for (int i = 0; i < STEPS && members_world.highest < ENTRIES; i++) {
		members_step();
		for (unsigned k = 0; k < NODES && i % 10 == 0; k++)
			ck_assert(sim_node_run(
			    members_world.nodes[k].machine, members_act, &members_world.nodes[k]));
	}
	for (int i = 0; i < STEPS && !members_have_all(); i++)
		members_step();
	ck_assert(members_have_all() && members_world.highest >= ENTRIES);
	for (unsigned i = 0; i < NODES; i++) {
		members_crash(&members_world.nodes[i]);
		members_boot(&members_world.nodes[i]);
		ck_assert_uint_ge(group_applied(members_world.nodes[i].group).index, KNOWN);
	}
	members_end();
}
END_TEST

/* Of the directory all of it: whoever is left alone knows who the others were. */
START_TEST(the_directory_knows_all_of_it)
{
	enum { ENTRIES = 20, STEPS = 400000 };
	members_begin(1, 0, 0, 0);
	members_world.quiet = true;
	for (int i = 0; i < STEPS && members_world.highest < ENTRIES; i++) {
		members_step();
		for (unsigned k = 0; k < NODES && i % 10 == 0; k++)
			ck_assert(sim_node_run(
			    members_world.nodes[k].machine, members_act, &members_world.nodes[k]));
	}
	for (int i = 0; i < STEPS && !members_have_all(); i++)
		members_step();
	/* Until that is on the disks, which is before a checkpoint. */
	uint64_t until_ns = sim_now_ns(members_world.sim) + 20 * NS_PER_MS;
	while (sim_now_ns(members_world.sim) < until_ns)
		members_step();
	ck_assert(members_have_all() && members_world.highest >= ENTRIES);
	for (unsigned i = 0; i < NODES; i++)
		members_crash(&members_world.nodes[i]);
	for (unsigned i = 0; i < NODES; i++) {
		members_boot(&members_world.nodes[i]);
		ck_assert_uint_eq(
		    group_applied(members_world.nodes[i].group).index, members_world.highest);
	}
	members_end();
}
END_TEST

Suite *members_suite(void)
{
	Suite *suite = suite_create("members");
	TCase *cases = tcase_create("members");
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, replicas_agree, 0, 20);
	tcase_add_test(cases, a_replica_knows_after_a_crash_what_was_committed);
	tcase_add_test(cases, the_directory_knows_all_of_it);
	suite_add_tcase(suite, cases);
	return suite;
}
