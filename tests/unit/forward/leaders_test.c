/* Who leads, as nodes hear of it, and order where that changes. */
#include "tests/unit/forward/suites.h"

#include "tests/unit/forward/rig.h"

static struct rig rig;
static char address[RIG_TEXT_BYTES];

static void open_three(void)
{
	rig_open(&rig, 3, NULL);
	rig_address(1, 0, address);
}

static uint16_t known(unsigned node, uint32_t shard)
{
	return cluster_leader(rig.nodes[node].leaders, shard);
}

static void begin(struct rig_call *call, unsigned node, const char *name)
{
	rig_call_init(call, &rig, node, address, name, 7, 1000);
	rig_submit(call);
}

static void end_ok(struct rig_call *call, unsigned node)
{
	ck_assert_ptr_nonnull(rig_first(&rig, node));
	rig_answer(&rig, node, rig_first(&rig, node), "x");
	rig_run(&rig);
	ck_assert(rig_call_is(call, STATUS_OK));
	rig_call_done(call);
}

START_TEST(link_that_comes_up_hears_everything)
{
	open_three();
	rig_lead(&rig, 2, 1, 3);
	rig_lead(&rig, 2, 4, 9);
	rig_lead(&rig, 2, 3, 1);
	rig_follow(&rig, 2, 3);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 0);
	rig_link_up(&rig, 1, 2);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 2);
	ck_assert_uint_eq(known(1, 4), 2);
	ck_assert_uint_eq(known(1, 3), 0);
	ck_assert_uint_eq(known(3, 1), 0);
	ck_assert_uint_gt(rig.nodes[1].news, 0);
	rig_close(&rig);
}
END_TEST

START_TEST(changes_are_told_to_all_and_nothing_old_counts)
{
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 2);
	ck_assert_uint_eq(known(3, 1), 2);
	rig_lead(&rig, 3, 1, 4);
	rig_run(&rig);
	/* It hears late that it leads no more. */
	rig_follow(&rig, 2, 1);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 3);
	ck_assert_uint_eq(known(2, 1), 3);
	rig_follow(&rig, 3, 1);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 0);
	rig_close(&rig);
}
END_TEST

START_TEST(news_that_found_no_room_are_told_later)
{
	open_three();
	rig_link_all(&rig);
	rig_run(&rig);
	rig.room[2][1] = 0;
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 0);
	ck_assert_uint_eq(known(3, 1), 2);
	rig.room[2][1] = UINT32_MAX;
	forward_room(rig.nodes[2].forward, 1, 0);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 2);
	rig_close(&rig);
}
END_TEST

START_TEST(news_that_found_no_memory_are_told_a_turn_later)
{
	open_three();
	rig_link_all(&rig);
	rig_run(&rig);
	rig.starved[2][1] = 2;
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	ck_assert_uint_eq(rig.starved[2][1], 0);
	ck_assert_uint_eq(known(1, 1), 2);
	ck_assert_uint_eq(known(3, 1), 2);
	rig_close(&rig);
}
END_TEST

START_TEST(refused_call_goes_to_whom_the_refusal_names)
{
	struct rig_call call;
	open_three();
	rig_link_up(&rig, 1, 2);
	rig_link_up(&rig, 2, 3);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	rig_link_up(&rig, 1, 3);
	/* Node 3 says nothing to node 1. */
	rig.room[3][1] = 0;
	rig.room[2][1] = 0;
	rig_follow(&rig, 2, 1);
	rig_lead(&rig, 3, 1, 4);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 2);
	begin(&call, 1, "add");
	rig_run(&rig);
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig.room[3][1] = UINT32_MAX;
	rig.room[2][1] = UINT32_MAX;
	forward_room(rig.nodes[2].forward, 1, 0);
	rig_run(&rig);
	ck_assert_uint_eq(known(1, 1), 3);
	forward_room(rig.nodes[3].forward, 1, 0);
	end_ok(&call, 3);
	rig_close(&rig);
}
END_TEST

START_TEST(refused_call_pauses_where_nothing_newer_is_known)
{
	struct rig_call call;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	begin(&call, 1, "add");
	rig_run(&rig);
	/* It leads, and cannot serve yet. */
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 2));
	ck_assert_uint_eq(known(1, 1), 2);
	rig_advance(&rig, FORWARD_PAUSE_MS - 1);
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 2));
	rig_advance(&rig, 1);
	rig_run(&rig);
	end_ok(&call, 2);
	rig_close(&rig);
}
END_TEST

START_TEST(what_waits_is_run_here_when_this_node_begins_to_lead)
{
	struct rig_call first, second;
	open_three();
	rig_link_all(&rig);
	begin(&first, 1, "a");
	begin(&second, 1, "b");
	rig_run(&rig);
	rig_lead(&rig, 1, 1, 2);
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 1), 2);
	ck_assert_ptr_eq(rig_first(&rig, 1), &first.call);
	ck_assert_uint_eq(first.times_local, 1);
	ck_assert_uint_eq(forward_figures(rig.nodes[1].forward).waiting, 0);
	end_ok(&first, 1);
	end_ok(&second, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(node_that_begins_to_lead_waits_for_what_it_had_sent)
{
	struct rig_call first, second;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 1);
	rig_run(&rig);
	begin(&first, 1, "a");
	rig_run(&rig);
	rig_lead(&rig, 1, 1, 2);
	/* Its shards would run it at once; but the first one may still be refused. */
	begin(&second, 1, "b");
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 1));
	rig_follow(&rig, 2, 1);
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert_ptr_eq(rig_first(&rig, 1), &first.call);
	end_ok(&first, 1);
	end_ok(&second, 1);
	rig_close(&rig);
}
END_TEST

START_TEST(calls_behind_a_refused_one_are_refused_until_it_was_seen)
{
	struct rig_call first, second, other;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 1);
	rig_run(&rig);
	begin(&first, 1, "a");
	rig_run(&rig);
	/* Refused, and the node leads again before the next one comes. */
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	begin(&second, 1, "b");
	/* Another lane is not concerned. */
	rig_call_init(&other, &rig, 1, address, "c", 8, 1000);
	rig_submit(&other);
	forward_turn(rig.nodes[1].forward);
	ck_assert(rig_carry(&rig, 1, 2));
	ck_assert(rig_carry(&rig, 1, 2));
	ck_assert_uint_eq(rig_submitted(&rig, 2), 1);
	ck_assert(slice_equal(rig_first(&rig, 2)->name, slice_from_text("c")));
	end_ok(&other, 2);
	rig_advance(&rig, FORWARD_PAUSE_MS);
	rig_run(&rig);
	ck_assert_uint_eq(rig_submitted(&rig, 2), 2);
	ck_assert(slice_equal(rig_first(&rig, 2)->name, slice_from_text("a")));
	end_ok(&first, 2);
	end_ok(&second, 2);
	rig_close(&rig);
}
END_TEST

/* Shards keep no order of what touches no entity, and do not refuse it with those before it. */
START_TEST(call_without_an_order_hides_no_refusal)
{
	static const enum shard_call_kind kinds[] = {SHARD_LIST, SHARD_HISTORY};
	for (unsigned i = 0; i < 2; i++) {
		struct rig_call first, between, second;
		open_three();
		rig_link_all(&rig);
		rig_lead(&rig, 2, 1, 3);
		rig_run(&rig);
		begin(&first, 1, "first");
		rig_call_init(&between, &rig, 1, address, "between", 7, 1000);
		between.call.kind = kinds[i];
		rig_submit(&between);
		rig_run(&rig);
		ck_assert_uint_eq(rig_submitted(&rig, 2), 2);
		rig_refuse(&rig, 2, rig_first(&rig, 2));
		/* Before the refusal is seen. */
		begin(&second, 1, "second");
		rig_run(&rig);
		ck_assert_uint_eq(rig_submitted(&rig, 2), 1);
		end_ok(&between, 2);
		rig_advance(&rig, FORWARD_PAUSE_MS);
		rig_run(&rig);
		ck_assert(slice_equal(rig_first(&rig, 2)->name, slice_from_text("first")));
		end_ok(&first, 2);
		end_ok(&second, 2);
		rig_close(&rig);
	}
}
END_TEST

START_TEST(call_waits_for_one_of_its_lane_that_went_elsewhere)
{
	struct rig_call first, second;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 1);
	rig_run(&rig);
	begin(&first, 1, "a");
	rig_run(&rig);
	rig_lead(&rig, 3, 1, 2);
	rig_run(&rig);
	begin(&second, 1, "b");
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 3));
	/* Decided there: the next one may go. */
	end_ok(&first, 2);
	end_ok(&second, 3);
	rig_close(&rig);
}
END_TEST

/* Who leads keeps the order, or refuses all of it; where it does not, nothing is sent again that
 * would take effect behind what was answered. */
START_TEST(refused_call_is_not_sent_behind_one_that_was_answered)
{
	struct rig_call first, second;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	begin(&first, 1, "first");
	begin(&second, 1, "second");
	rig_run(&rig);
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig_run(&rig);
	ck_assert(!first.ended);
	rig_answer(&rig, 2, rig_first(&rig, 2), "1");
	rig_run(&rig);
	ck_assert(rig_call_is(&first, STATUS_UNAVAILABLE));
	ck_assert(rig_call_is(&second, STATUS_OK));
	rig_advance(&rig, FORWARD_PAUSE_MS);
	rig_run(&rig);
	ck_assert_ptr_null(rig_first(&rig, 2));
	rig_call_done(&first);
	rig_call_done(&second);
	rig_close(&rig);
}
END_TEST

/* The third one names the second, which was not refused but late, and so nothing holds it up there;
 * and that the second was, is heard when this node has given it up. */
START_TEST(refused_call_is_not_sent_behind_one_that_was_given_up)
{
	struct rig_call first, second, third;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	begin(&first, 1, "first");
	rig_call_init(&second, &rig, 1, address, "second", 7, 20);
	rig_submit(&second);
	rig_run(&rig);
	struct shard_call *there = rig_first(&rig, 2);
	struct shard_call *late =
	    CONTAINER_OF(list_next(&rig.nodes[2].submitted, &there->link), struct shard_call, link);
	begin(&third, 1, "third");
	forward_turn(rig.nodes[1].forward);
	list_remove(&late->link);
	late->status = STATUS_DEADLINE_EXCEEDED;
	late->done(late);
	rig_advance(&rig, 20 + FORWARD_GRACE_MS);
	forward_turn(rig.nodes[1].forward);
	ck_assert(rig_call_is(&second, STATUS_UNKNOWN_OUTCOME));
	rig_refuse(&rig, 2, there);
	rig_run(&rig);
	ck_assert(slice_equal(rig_first(&rig, 2)->name, slice_from_text("third")));
	ck_assert(rig_call_is(&first, STATUS_UNAVAILABLE));
	end_ok(&third, 2);
	rig_call_done(&first);
	rig_call_done(&second);
	rig_close(&rig);
}
END_TEST

/* As another core of this node does at any time. */
static void hear_of_another_leader(struct rig_node *node)
{
	rig.core_asked = NULL;
	ck_assert(cluster_leaders_note(node->leaders, 1, 4, 3));
}

START_TEST(call_is_for_the_leadership_that_was_looked_at)
{
	struct rig_call call;
	open_three();
	rig_link_all(&rig);
	rig_lead(&rig, 2, 1, 3);
	rig_run(&rig);
	rig.room[3][1] = 0;
	rig_lead(&rig, 3, 1, 4);
	rig_run(&rig);
	rig.core_asked = hear_of_another_leader;
	begin(&call, 1, "add");
	rig_run(&rig);
	ck_assert_uint_eq(rig_first(&rig, 2)->term, 3);
	rig_refuse(&rig, 2, rig_first(&rig, 2));
	rig_run(&rig);
	/* Node 2 has not led in that term, and says nothing of it. */
	ck_assert_uint_eq(known(1, 1), 3);
	rig.room[3][1] = UINT32_MAX;
	forward_room(rig.nodes[3].forward, 1, 0);
	end_ok(&call, 3);
	rig_close(&rig);
}
END_TEST

Suite *leaders_suite(void)
{
	Suite *suite = suite_create("leaders");
	TCase *tcase = tcase_create("leaders");
	tcase_add_test(tcase, link_that_comes_up_hears_everything);
	tcase_add_test(tcase, changes_are_told_to_all_and_nothing_old_counts);
	tcase_add_test(tcase, news_that_found_no_room_are_told_later);
	tcase_add_test(tcase, news_that_found_no_memory_are_told_a_turn_later);
	tcase_add_test(tcase, refused_call_goes_to_whom_the_refusal_names);
	tcase_add_test(tcase, refused_call_pauses_where_nothing_newer_is_known);
	tcase_add_test(tcase, what_waits_is_run_here_when_this_node_begins_to_lead);
	tcase_add_test(tcase, node_that_begins_to_lead_waits_for_what_it_had_sent);
	tcase_add_test(tcase, calls_behind_a_refused_one_are_refused_until_it_was_seen);
	tcase_add_test(tcase, call_without_an_order_hides_no_refusal);
	tcase_add_test(tcase, call_waits_for_one_of_its_lane_that_went_elsewhere);
	tcase_add_test(tcase, refused_call_is_not_sent_behind_one_that_was_answered);
	tcase_add_test(tcase, refused_call_is_not_sent_behind_one_that_was_given_up);
	tcase_add_test(tcase, call_is_for_the_leadership_that_was_looked_at);
	suite_add_tcase(suite, tcase);
	return suite;
}
