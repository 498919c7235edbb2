/* Calls that are not proposed yet: they wait within their time, and have surely done nothing. */
#include "tests/unit/outcome/suites.h"
#include "tests/unit/outcome/world.h"

/* At whom a call waits: who led, and another one. */
enum { PLACES = 2 };

static void cut_all(bool is_cut)
{
	for (unsigned i = 0; i < NODES; i++)
		world_cut_off(i, is_cut);
}

static void lose_all_leaders(void)
{
	cut_all(true);
	world_until_lost(0);
	ck_assert_uint_eq(world_leader(), NOBODY);
}

/* Jobs and cold reads take two seconds. */
static void slow_pool(bool is_slow)
{
	struct sim_faults faults = {0};
	if (is_slow)
		faults.offload_ns_min = faults.offload_ns_max = 2 * NS_PER_S;
	sim_set_faults(world.sim, &faults);
}

static void expect_at_once(struct outcome_call *call, enum status status)
{
	uint64_t begun_ns = sim_now_ns(world.sim);
	call_expect(call, status);
	ck_assert_uint_le(call->answered_ns, begun_ns + 5 * NS_PER_MS);
}

static void expect_at_its_end(struct outcome_call *call, enum status status)
{
	call_expect(call, status);
	ck_assert_uint_ge(call->answered_ns, call->call.deadline_ns);
}

START_TEST(what_waits_for_a_leader_is_done_when_there_is_one)
{
	struct outcome_call call;
	lose_all_leaders();
	call_begin(&call, (unsigned)_i, "add", 1, 60000, 1);
	world_pass(1000);
	ck_assert(!call.done);
	cut_all(false);
	call_expect_state(&call, STATUS_OK, "1");
	expect_everywhere("1");
}
END_TEST

START_TEST(what_waits_for_a_leader_is_unavailable_at_its_end)
{
	struct outcome_call call;
	lose_all_leaders();
	call_begin(&call, (unsigned)_i, "add", 1, 1500, 1);
	expect_at_its_end(&call, STATUS_UNAVAILABLE);
	cut_all(false);
	expect_everywhere("");
}
END_TEST

/* Who leads is known, and not reached. */
START_TEST(what_cannot_be_sent_is_unavailable_at_its_end)
{
	struct outcome_call call;
	world_link(1, 0, false);
	call_begin(&call, 1, "add", 1, 500, 1);
	expect_at_its_end(&call, STATUS_UNAVAILABLE);
	world_link(1, 0, true);
	expect_everywhere("");
}
END_TEST

/* ---- Its turn ---- */

enum wait { WAITS_RUNNING, WAITS_QUEUED, WAITS_FOR_COLD_READ, WAITS };

/* The entity has change 1, and stands in the store alone. */
static void make_cold(void)
{
	change(0, 1);
	world_checkpoint(0);
	world_crash(0);
	world.cold_percent = 100;
	world_boot(0);
	world_lead(0);
	slow_pool(true);
}

/* `call`, which is change 2, cannot be proposed for two seconds. */
static void begin_waiting(
    enum wait wait, struct outcome_call *call, struct outcome_call *before, uint64_t timeout_ms)
{
	before->done = true;
	if (wait == WAITS_FOR_COLD_READ) {
		make_cold();
		call_begin(call, 0, "add", 2, timeout_ms, 1);
		return;
	}
	slow_pool(true);
	if (wait == WAITS_RUNNING) {
		change(0, 1);
		call_begin(call, 0, "hash", 2, timeout_ms, 1);
		return;
	}
	call_begin(before, 0, "hash", 1, 60000, 2);
	call_begin(call, 0, "add", 2, timeout_ms, 1);
}

START_TEST(what_waits_its_turn_is_done_when_it_comes)
{
	struct outcome_call call, before;
	begin_waiting((enum wait)_i, &call, &before, 60000);
	world_pass(1000);
	ck_assert(!call.done);
	call_expect_state(&call, STATUS_OK, "1 2");
	if (_i == WAITS_FOR_COLD_READ)
		ck_assert_uint_gt(shards_figures(world.nodes[0].shards).cold_reads, 0);
	if (_i == WAITS_QUEUED)
		call_expect(&before, STATUS_OK);
	slow_pool(false);
	expect_everywhere("1 2");
}
END_TEST

START_TEST(what_waits_its_turn_is_late_at_its_end)
{
	struct outcome_call call, before;
	begin_waiting((enum wait)_i, &call, &before, 1000);
	expect_at_its_end(&call, STATUS_DEADLINE_EXCEEDED);
	if (_i == WAITS_QUEUED)
		call_expect(&before, STATUS_OK);
	slow_pool(false);
	world_pass(5000);
	expect_everywhere("1");
}
END_TEST

START_TEST(what_waits_for_room_on_the_way_is_late_at_its_end)
{
	struct outcome_call late, patient;
	world_fill(1, 0, true);
	call_begin(&late, 1, "add", 1, 500, 1);
	call_begin(&patient, 1, "add", 2, 60000, 1);
	expect_at_its_end(&late, STATUS_DEADLINE_EXCEEDED);
	ck_assert(!patient.done);
	world_fill(1, 0, false);
	call_expect_state(&patient, STATUS_OK, "2");
	expect_everywhere("2");
}
END_TEST

/* ---- No room ---- */

START_TEST(a_full_queue_refuses_at_once)
{
	struct outcome_call first, refused, forwarded;
	world_crash(0);
	world.queue_bytes_max = 1;
	world_boot(0);
	world_lead(0);
	slow_pool(true);
	call_begin(&first, 0, "hash", 1, 60000, 1);
	world_pass(100);
	call_begin(&refused, 0, "add", 2, 60000, 2);
	expect_at_once(&refused, STATUS_RESOURCE_EXHAUSTED);
	call_begin(&forwarded, 1, "add", 3, 60000, 3);
	expect_at_once(&forwarded, STATUS_RESOURCE_EXHAUSTED);
	call_expect(&first, STATUS_OK);
	slow_pool(false);
	expect_everywhere("1");
}
END_TEST

START_TEST(a_full_queue_for_another_node_refuses_at_once)
{
	struct outcome_call first, refused;
	world_crash(1);
	world.waiting_bytes_max = 1;
	world_boot(1);
	world_lead(0);
	world_fill(1, 0, true);
	call_begin(&first, 1, "add", 1, 60000, 1);
	world_pass(100);
	call_begin(&refused, 1, "add", 2, 60000, 2);
	expect_at_once(&refused, STATUS_RESOURCE_EXHAUSTED);
	world_fill(1, 0, false);
	call_expect(&first, STATUS_OK);
	expect_everywhere("1");
}
END_TEST

/* How full it is is measured from time to time: so many changes may find room before it shows. */
static unsigned change_until(enum status status, uint64_t first_id)
{
	enum { TRIES_MAX = 40 };
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		struct outcome_call call;
		call_begin(&call, 0, "add", first_id + i, 60000, 1);
		while (!call.done)
			world_pass(1);
		enum status got = call.call.status;
		call_expect(&call, got);
		if (got == status)
			return i;
		world_pass(500);
	}
	ck_abort_msg("never");
}

START_TEST(a_full_disk_refuses_changes_at_once)
{
	struct outcome_call call;
	sim_disk_set_capacity(world.nodes[0].machine, 1);
	unsigned done = change_until(STATUS_RESOURCE_EXHAUSTED, 100);
	call_begin(&call, 0, "add", 1, 60000, 1);
	expect_at_once(&call, STATUS_RESOURCE_EXHAUSTED);
	call_begin(&call, 1, "add", 2, 60000, 1);
	expect_at_once(&call, STATUS_RESOURCE_EXHAUSTED);
	/* What changes nothing goes on; and so does all, when there is room. */
	call_begin(&call, 0, "get", 0, 60000, 1);
	call_expect(&call, STATUS_OK);
	sim_disk_set_capacity(world.nodes[0].machine, 0);
	(void)change_until(STATUS_OK, 200);
	call_begin(&call, 1, "get", 0, 60000, 1);
	struct host_fake_view view = call_view(&call);
	ck_assert_uint_eq(view.count, done + 1);
	for (unsigned i = 0; i < done; i++)
		ck_assert_uint_eq(view.ids[i], 100 + i);
	ck_assert_uint_ge(view.ids[done], 200);
}
END_TEST

static void stand_still(bool stand)
{
	for (unsigned i = 1; i < NODES; i++)
		sim_disk_set_slowness(world.nodes[i].machine, stand ? 1000000 : 1);
}

/* Nobody knows when others make durable what is proposed, so nothing waits for that. */
START_TEST(too_much_that_is_proposed_refuses_changes_at_once)
{
	struct outcome_call first, call;
	world_crash(0);
	world.group_unapplied_bytes_max = 1;
	world_boot(0);
	world_lead(0);
	world_until_level();
	stand_still(true);
	call_begin(&first, 0, "add", 1, 3600 * 1000, 1);
	world_pass(100);
	ck_assert(!first.done);
	for (unsigned i = 0; i < PLACES; i++) {
		call_begin(&call, i, "add", 2, 60000, 2);
		expect_at_once(&call, STATUS_RESOURCE_EXHAUSTED);
	}
	ck_assert(world_leads(0));
	stand_still(false);
	call_expect(&first, STATUS_OK);
	call_begin(&call, 1, "add", 3, 60000, 2);
	call_expect(&call, STATUS_OK);
	expect_everywhere("1 3");
}
END_TEST

Suite *waiting_suite(void)
{
	Suite *suite = suite_create("waiting");
	TCase *tcase = tcase_create("waiting");
	tcase_add_checked_fixture(tcase, world_set_up, world_tear_down);
	tcase_add_loop_test(tcase, what_waits_for_a_leader_is_done_when_there_is_one, 0, PLACES);
	tcase_add_loop_test(tcase, what_waits_for_a_leader_is_unavailable_at_its_end, 0, PLACES);
	tcase_add_test(tcase, what_cannot_be_sent_is_unavailable_at_its_end);
	tcase_add_loop_test(tcase, what_waits_its_turn_is_done_when_it_comes, 0, WAITS);
	tcase_add_loop_test(tcase, what_waits_its_turn_is_late_at_its_end, 0, WAITS);
	tcase_add_test(tcase, what_waits_for_room_on_the_way_is_late_at_its_end);
	tcase_add_test(tcase, a_full_queue_refuses_at_once);
	tcase_add_test(tcase, a_full_queue_for_another_node_refuses_at_once);
	tcase_add_test(tcase, a_full_disk_refuses_changes_at_once);
	tcase_add_test(tcase, too_much_that_is_proposed_refuses_changes_at_once);
	suite_add_tcase(suite, tcase);
	return suite;
}
