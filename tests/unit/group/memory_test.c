/* Groups of one member that find no memory. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "tests/unit/group/one_member.h"
#include "tests/unit/group/suites.h"

static void reserve_starving(void *arg)
{
	(void)arg;
	mem_fail_at(1);
	ck_assert_int_eq(one_reserve_many(), ERR_FULL);
	ck_assert(mem_failed());
	mem_fail_at(0);
}

/* Nothing else is under way that would tell. */
START_TEST(who_is_refused_for_want_of_memory_is_told_to_try_again)
{
	one_start();
	ck_assert(sim_node_run(one.node, reserve_starving, NULL));
	uint64_t began_ns = sim_now_ns(one.sim);
	ck_assert(sim_run_until(one.sim, one_has_room, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(one.sim) - began_ns, NS_PER_S);
}
END_TEST

static void insist_starving(void *arg)
{
	(void)arg;
	one.starve = starve_on();
	one.insists = true;
	starve_begin(&one.starve);
	one.error = one_reserve_many();
	starve_end(&one.starve);
	ck_assert_int_eq(one.error, ERR_FULL);
	io_wake(one.io, NULL);
}

static bool is_past(void *arg)
{
	return sim_now_ns(one.sim) >= *(const uint64_t *)arg;
}

static bool has_reserved(void *arg)
{
	(void)arg;
	return one.error == 0;
}

/* In a second without memory it tries often enough to go on soon, and seldom enough to leave the
 * core to others. */
static void expect_patience(void)
{
	uint64_t end_ns = sim_now_ns(one.sim) + NS_PER_S;
	ck_assert(sim_run_until(one.sim, is_past, &end_ns, STEPS_MAX));
	ck_assert_uint_ge(one.starve.fails, 10);
	/* A try asks twice where it reads: for what the cache knew, and for the load. */
	ck_assert_uint_le(one.starve.fails, 2 * 110 * GROUPS);
	one.starve = starve_at(0);
}

START_TEST(who_finds_no_memory_for_long_does_not_keep_the_core)
{
	one_start();
	ck_assert(sim_node_run(one.node, insist_starving, NULL));
	expect_patience();
	uint64_t began_ns = sim_now_ns(one.sim);
	ck_assert(sim_run_until(one.sim, has_reserved, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(one.sim) - began_ns, NS_PER_S / 10);
}
END_TEST

static void start_without_memory(void *arg)
{
	one_start_in_process(arg);
	one.starve = starve_on();
}

START_TEST(nor_do_groups_that_would_lead)
{
	ck_assert(sim_node_run(one.node, start_without_memory, NULL));
	expect_patience();
	uint64_t began_ns = sim_now_ns(one.sim);
	ck_assert(sim_run_until(one.sim, one_all_lead, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(one.sim) - began_ns, NS_PER_S / 10);
}
END_TEST

static void start_starving(void *arg)
{
	one_start_in_process(arg);
	one.starve = starve_at(1);
}

START_TEST(a_group_that_finds_no_memory_to_lead_tries_again)
{
	ck_assert(sim_node_run(one.node, start_starving, NULL));
	uint64_t began_ns = sim_now_ns(one.sim);
	ck_assert(sim_run_until(one.sim, one_all_lead, NULL, STEPS_MAX));
	ck_assert(one.starve.failed);
	ck_assert_uint_lt(sim_now_ns(one.sim) - began_ns, NS_PER_S / 20);
}
END_TEST

/* Of ever more entries, so that the group has to grow, too. */
static void propose_starving(void *arg)
{
	uint8_t span[64];
	struct slice batch = one_batch_of(span, sizeof(span), arg);
	struct member *member = &one.members[0];
	uint32_t entries = 1 + (uint32_t)(((const char *)arg)[6] - 'a');
	member->rooms = 0;
	starve_begin(&one.starve);
	one.error = group_reserve(member->group, batch.bytes, entries, false);
	if (!one.error) {
		group_unreserve(member->group, batch.bytes, entries);
		group_propose(member->group, batch, &one.proposed);
	}
	starve_end(&one.starve);
	ck_assert(!one.error || one.error == ERR_FULL);
	io_wake(one.io, NULL);
}

static void close_starving(void *arg)
{
	(void)arg;
	starve_begin(&one.starve);
	group_store_close(one.store, one_closed, NULL);
	starve_end(&one.starve);
	io_wake(one.io, NULL);
}

static void stop_process(void)
{
	ck_assert(sim_node_run(one.node, one_free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(one.node), 0);
}

/* A whole life of a process in which one allocation fails: opening is refused, or all of it goes
 * on as if nothing had been. True: one did fail. */
static bool live_without(uint64_t nth)
{
	char value[] = "value ?";
	one.starve = starve_at(nth);
	one_boot();
	if (!one.is_open) {
		stop_process();
		return true;
	}
	/* Nobody waits for a timer that is there for something else. */
	uint64_t began_ns = sim_now_ns(one.sim);
	one_start();
	for (int i = 0; i < 12; i++) {
		value[6] = (char)('a' + i);
		ck_assert(sim_node_run(one.node, propose_starving, value));
		/* Who is refused is told of room, and may be refused again. */
		for (int again = 0; one.error; again++) {
			ck_assert_int_lt(again, 50);
			ck_assert(sim_run_until(one.sim, one_has_room, NULL, STEPS_MAX));
			ck_assert(sim_node_run(one.node, propose_starving, value));
		}
	}
	ck_assert(sim_run_until(one.sim, one_proposed_is_applied, NULL, STEPS_MAX));
	ck_assert_uint_lt(sim_now_ns(one.sim) - began_ns, NS_PER_S);
	one_expect_value(value);
	one.closed = false;
	ck_assert(sim_node_run(one.node, close_starving, NULL));
	ck_assert(sim_run_until(one.sim, one_is_closed, NULL, STEPS_MAX));
	bool failed = one.starve.failed;
	one.starve = starve_at(0);
	stop_process();
	one_boot();
	one_expect_value(value);
	one_crash();
	return failed;
}

START_TEST(one_failed_allocation_refuses_the_opening_or_changes_nothing)
{
	one_crash();
	uint64_t nth = 1;
	while (live_without(nth))
		nth++;
	ck_assert_uint_gt(nth, 100);
}
END_TEST

Suite *memory_suite(void)
{
	Suite *suite = suite_create("group_memory");
	TCase *tcase = tcase_create("one_member");
	tcase_add_checked_fixture(tcase, one_set_up, one_tear_down);
	tcase_add_test(tcase, who_is_refused_for_want_of_memory_is_told_to_try_again);
	tcase_add_test(tcase, who_finds_no_memory_for_long_does_not_keep_the_core);
	tcase_add_test(tcase, nor_do_groups_that_would_lead);
	tcase_add_test(tcase, a_group_that_finds_no_memory_to_lead_tries_again);
	tcase_add_test(tcase, one_failed_allocation_refuses_the_opening_or_changes_nothing);
	tcase_set_timeout(tcase, 600);
	suite_add_tcase(suite, tcase);
	return suite;
}
