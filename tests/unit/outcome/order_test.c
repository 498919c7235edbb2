/* Calls of one connection to one entity take effect in the order sent. */
#include <stdio.h>

#include "tests/unit/outcome/suites.h"
#include "tests/unit/outcome/world.h"

/* All of them stand in a state of the host's. */
enum { CALLS = 20, CONNECTIONS = NODES };
static struct outcome_call calls[CONNECTIONS][CALLS];

START_TEST(calls_through_another_node_take_effect_in_order)
{
	char ids[256] = "";
	size_t used = 0;
	for (unsigned i = 0; i < CALLS; i++)
		call_begin(&calls[0][i], 1, i % 3 == 1 ? "slow" : "add", i + 1, 60000, 1);
	for (unsigned i = 0; i < CALLS; i++) {
		used += (size_t)snprintf(
		    ids + used, sizeof(ids) - used, "%s%u", i > 0 ? " " : "", i + 1);
		call_expect_state(&calls[0][i], STATUS_OK, ids);
	}
	expect_everywhere(ids);
}
END_TEST

START_TEST(a_failed_call_does_not_stop_those_behind_it)
{
	static const struct {
		const char *name;
		enum status status;
		const char *ids;
	} course[] = {
	    {"add", STATUS_OK, "1"},
	    {"fail", STATUS_FAILED_PRECONDITION, "1"},
	    {"slow", STATUS_OK, "1 3"},
	    {"broken", STATUS_INTERNAL, NULL},
	    {"nothing", STATUS_UNIMPLEMENTED, NULL},
	    {"get", STATUS_OK, "1 3"},
	    {"add", STATUS_OK, "1 3 7"},
	};
	enum { COUNT = sizeof(course) / sizeof(course[0]) };
	for (unsigned i = 0; i < COUNT; i++)
		call_begin(&calls[0][i], (unsigned)_i, course[i].name, i + 1, 60000, 1);
	for (unsigned i = 0; i < COUNT; i++) {
		if (course[i].ids)
			call_expect_state(&calls[0][i], course[i].status, course[i].ids);
		else
			call_expect(&calls[0][i], course[i].status);
	}
	expect_everywhere("1 3 7");
}
END_TEST

/* ---- Over leaders and links that go ---- */

static uint64_t id_of(unsigned connection, unsigned number)
{
	return (connection + 1) * 100 + number;
}

static void trouble(unsigned course, unsigned step)
{
	unsigned leader = world_leader(), other = (course + step) % NODES;
	unsigned victim = leader == NOBODY ? other : leader;
	switch ((course + step) % 5) {
	case 0:
		world_cut_off(victim, true);
		break;
	case 1:
		if (other != victim)
			world_link(victim, other, false);
		break;
	case 2:
		for (unsigned i = 0; i < NODES; i++)
			if (i != victim)
				world_cut(i, victim, true);
		break;
	default:
		for (unsigned i = 0; i < NODES; i++) {
			world_cut_off(i, false);
			world_link_all_of(i, true);
		}
	}
}

/* What was answered with OK is there, what surely was not done is not; and whatever is there stands
 * in the order in which its connection sent it. */
static void check(enum status statuses[CONNECTIONS][CALLS])
{
	struct outcome_call get;
	unsigned next[CONNECTIONS] = {0};
	bool stands[CONNECTIONS][CALLS] = {{false}};
	call_begin(&get, 0, "get", 0, 60000, 9);
	struct host_fake_view view = call_view(&get);
	for (unsigned i = 0; i < view.count; i++) {
		uint64_t connection = view.ids[i] / 100 - 1, number = view.ids[i] % 100;
		ck_assert(connection < CONNECTIONS && number < CALLS);
		ck_assert_uint_ge(number, next[connection]);
		next[connection] = (unsigned)number + 1;
		stands[connection][number] = true;
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		for (unsigned k = 0; k < CALLS; k++) {
			enum status status = statuses[i][k];
			ck_assert(status == STATUS_OK || status == STATUS_UNAVAILABLE ||
			          status == STATUS_UNKNOWN_OUTCOME);
			if (status != STATUS_UNKNOWN_OUTCOME)
				ck_assert_msg(stands[i][k] == (status == STATUS_OK), "%u of %u: %s",
				    k, i, status_name(status));
		}
}

static void play(unsigned course, unsigned counts[STATUS_UNKNOWN_OUTCOME + 1])
{
	enum status statuses[CONNECTIONS][CALLS];
	for (unsigned k = 0; k < CALLS; k++) {
		for (unsigned i = 0; i < CONNECTIONS; i++)
			call_begin(
			    &calls[i][k], i, "add", id_of(i, k), 4000 + 500 * (course % 7), i + 1);
		/* Several at a time, and now and then something breaks, or is mended. */
		if (k % 2 == 1) {
			world_pass((course * 7 + k * 31) % 60);
			trouble(course, k / 2);
			world_pass((course * 131 + k * 67) % 1500);
		}
	}
	for (unsigned i = 0; i < NODES; i++) {
		world_cut_off(i, false);
		world_link_all_of(i, true);
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		for (unsigned k = 0; k < CALLS; k++) {
			while (!calls[i][k].done)
				world_pass(10);
			statuses[i][k] = calls[i][k].call.status;
			counts[statuses[i][k]]++;
			call_expect(&calls[i][k], statuses[i][k]);
		}
	check(statuses);
}

START_TEST(order_holds_over_leaders_and_links_that_go)
{
	unsigned counts[STATUS_UNKNOWN_OUTCOME + 1] = {0};
	for (unsigned course = 0; course < UNIT_ROUNDS(60); course++) {
		world_set_up();
		play(course, counts);
		world_tear_down();
	}
	ck_assert_uint_gt(counts[STATUS_OK], 0);
	ck_assert_uint_gt(counts[STATUS_UNAVAILABLE], 0);
	ck_assert_uint_gt(counts[STATUS_UNKNOWN_OUTCOME], 0);
	printf("done %u, unavailable %u, unknown %u\n", counts[STATUS_OK],
	    counts[STATUS_UNAVAILABLE], counts[STATUS_UNKNOWN_OUTCOME]);
}
END_TEST

Suite *order_suite(void)
{
	Suite *suite = suite_create("order");
	TCase *tcase = tcase_create("order");
	TCase *courses = tcase_create("courses");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_test(tcase, calls_through_another_node_take_effect_in_order);
	tcase_add_loop_test(tcase, a_failed_call_does_not_stop_those_behind_it, 0, NODES);
	tcase_add_test(courses, order_holds_over_leaders_and_links_that_go);
	suite_add_tcase(suite, tcase);
	suite_add_tcase(suite, courses);
	return suite;
}
