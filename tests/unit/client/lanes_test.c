/* Calls on one entity keep their order where servers send some of them elsewhere, or away. */
#include "tests/unit/client/suites.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slot.h"
#include "tests/unit/client/rig.h"

static char moved[64];

/* Three of cart/c1 are under way, to the first server. */
static void begin(void)
{
	snprintf(moved, sizeof(moved), "-MOVED %u %s\r\n",
	    (unsigned)slot_of(slice_from_text("cart/c1")), second.address);
	call("a", KALIX_NO_TOKEN);
	call("b", KALIX_NO_TOKEN);
	call("c", KALIX_NO_TOKEN);
	step_until(&server.count, 3);
}

static void expect_words(const struct fake_server *at, size_t first, const char *names)
{
	for (size_t i = 0; names[i]; i++) {
		char words[] = "c1 ? ";
		words[3] = names[i];
		ck_assert_msg(strstr(at->requests[first + i], words) != NULL, "%s: %s", words,
		    at->requests[first + i]);
	}
}

/* For a while in which bytes would have come. */
static void expect_nothing_more(const size_t *count)
{
	size_t had = *count, before = result_count;
	for (int i = 0; i < 50; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		fake_server_step(&second);
		nanosleep(&pause, NULL);
	}
	ck_assert_uint_eq(*count, had);
	ck_assert_uint_eq(result_count, before);
}

START_TEST(moved_calls_go_in_the_order_in_which_they_were_made)
{
	begin();
	for (int i = 0; i < 3; i++)
		fake_server_send(&server, 0, moved);
	step_until(&second.count, 3);
	expect_words(&second, 0, "abc");
}
END_TEST

START_TEST(a_moved_call_waits_for_those_behind_it_that_are_under_way)
{
	begin();
	fake_server_send(&server, 0, moved);
	expect_nothing_more(&second.count);
	/* Made now, it waits for all of them. */
	call("d", KALIX_NO_TOKEN);
	fake_server_send(&server, 0, moved);
	expect_nothing_more(&second.count);
	fake_server_send(&server, 0, moved);
	step_until(&second.count, 4);
	expect_words(&second, 0, "abcd");
}
END_TEST

START_TEST(a_moved_call_that_was_overtaken_is_unavailable)
{
	begin();
	fake_server_send(&server, 0, moved);
	expect_nothing_more(&second.count);
	fake_server_send(&server, 0, ":1\r\n");
	step_until(&result_count, 2);
	ck_assert_int_eq(results[0].code, KALIX_OK);
	ck_assert_int_eq(results[1].code, KALIX_UNAVAILABLE);
	fake_server_send(&server, 0, moved);
	step_until(&second.count, 1);
	expect_words(&second, 0, "c");
}
END_TEST

START_TEST(a_call_that_was_sent_away_is_repeated_before_later_ones)
{
	call("a", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	expect_nothing_more(&server.count);
	call("b", KALIX_NO_TOKEN);
	expect_nothing_more(&server.count);
	move_clock_until(&server.count, 3);
	expect_words(&server, 1, "ab");
}
END_TEST

START_TEST(a_call_that_was_sent_away_and_overtaken_is_unavailable)
{
	begin();
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n:1\r\n:2\r\n");
	step_until(&result_count, 3);
	ck_assert_int_eq(results[0].code, KALIX_OK);
	ck_assert_int_eq(results[1].code, KALIX_UNAVAILABLE);
	ck_assert_int_eq(results[2].code, KALIX_OK);
	now_ms += 500;
	expect_nothing_more(&server.count);
}
END_TEST

/* It would take effect behind them. */
START_TEST(a_call_that_was_sent_away_is_not_repeated_behind_later_ones)
{
	begin();
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	expect_nothing_more(&server.count);
	now_ms += 500;
	expect_nothing_more(&server.count);
	for (int i = 0; i < 2; i++)
		fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	move_clock_until(&server.count, 6);
	expect_words(&server, 3, "abc");
}
END_TEST

START_TEST(an_answer_ends_no_call_that_was_made_later)
{
	begin();
	for (int i = 0; i < 2; i++)
		fake_server_send(&server, 0, moved);
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	step_until(&second.count, 2);
	expect_words(&second, 0, "ab");
	fake_server_send(&second, 0, ":1\r\n:2\r\n");
	step_until(&result_count, 2);
	ck_assert_int_eq(results[0].code, KALIX_OK);
	ck_assert_int_eq(results[1].code, KALIX_OK);
	move_clock_until(&second.count, 3);
	expect_words(&second, 2, "c");
	ck_assert_uint_eq(result_count, 2);
}
END_TEST

START_TEST(calls_on_other_entities_wait_for_none_of_it)
{
	kalix_options options = {.timeout_ms = 2000};
	call("a", "token");
	step_until(&server.count, 1);
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	expect_nothing_more(&server.count);
	ck_assert_int_eq(
	    kalix_call_async(k, "cart/other", "b", "{}", &options, done, NULL), KALIX_OK);
	step_until(&server.count, 2);
	fake_server_send(&server, 0, ":1\r\n");
	step_until(&result_count, 1);
	move_clock_until(&server.count, 3);
	expect_words(&server, 2, "a");
}
END_TEST

START_TEST(a_connection_that_breaks_gives_its_calls_back_in_their_places)
{
	call("a", "t1");
	call("b", "t2");
	call("c", "t3");
	step_until(&server.count, 3);
	fake_server_send(&server, 0, "-UNAVAILABLE nobody leads\r\n");
	expect_nothing_more(&server.count);
	fake_server_hang_up(&server, 0);
	call("d", "t4");
	move_clock_until(&server.count, 7);
	expect_words(&server, 3, "abcd");
}
END_TEST

Suite *lanes_suite(void)
{
	Suite *suite = suite_create("lanes");
	TCase *tcase = tcase_create("lanes");
	tcase_add_checked_fixture(tcase, rig_start, rig_stop);
	tcase_add_test(tcase, moved_calls_go_in_the_order_in_which_they_were_made);
	tcase_add_test(tcase, a_moved_call_waits_for_those_behind_it_that_are_under_way);
	tcase_add_test(tcase, a_moved_call_that_was_overtaken_is_unavailable);
	tcase_add_test(tcase, a_call_that_was_sent_away_is_repeated_before_later_ones);
	tcase_add_test(tcase, a_call_that_was_sent_away_and_overtaken_is_unavailable);
	tcase_add_test(tcase, a_call_that_was_sent_away_is_not_repeated_behind_later_ones);
	tcase_add_test(tcase, an_answer_ends_no_call_that_was_made_later);
	tcase_add_test(tcase, calls_on_other_entities_wait_for_none_of_it);
	tcase_add_test(tcase, a_connection_that_breaks_gives_its_calls_back_in_their_places);
	suite_add_tcase(suite, tcase);
	return suite;
}
