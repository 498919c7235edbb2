#include "tests/unit/client/suites.h"

#include "base/mem.h"
#include "base/slot.h"
#include "client/client.h"
#include "client/kalix.h"
#include "tests/unit/client/rig.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void answered(const char *wire, int code)
{
	size_t before = result_count;
	call("get", KALIX_NO_TOKEN);
	step_until(&server.count, server.count + 1);
	fake_server_send(&server, 0, wire);
	step_until(&result_count, before + 1);
	ck_assert_int_eq(results[before].code, code);
}

/* ---- Replies ---- */

START_TEST(replies_are_told_as_texts)
{
	answered("$7\r\n{\"a\":1}\r\n", KALIX_OK);
	ck_assert_str_eq(results[0].json, "{\"a\":1}");
	answered("$-1\r\n", KALIX_OK);
	ck_assert_str_eq(results[1].json, "null");
	answered("-NOT_FOUND there is no c1\t{\"id\":\"c1\"}\r\n", KALIX_NOT_FOUND);
	ck_assert_str_eq(results[2].message, "there is no c1");
	ck_assert_str_eq(results[2].details, "{\"id\":\"c1\"}");
	answered("-NOAUTH Authentication required.\r\n", KALIX_UNAUTHENTICATED);
	answered("-SOMETHING else\r\n", KALIX_INTERNAL);
	answered(":5\r\n", KALIX_OK);
	ck_assert_str_eq(results[5].json, "5");
	answered("*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n", KALIX_OK);
	ck_assert_str_eq(results[6].json, "[\"a\",[1,null]]");
	answered("*0\r\n", KALIX_OK);
	ck_assert_str_eq(results[7].json, "[]");
}
END_TEST

START_TEST(a_call_is_written_with_its_options)
{
	kalix_options options = {.token = "t1", .timeout_ms = 700, .metadata = "{\"a\":1}"};
	ck_assert_int_eq(
	    kalix_call_async(k, "cart/c1", "add", "{\"n\":1}", &options, done, NULL), KALIX_OK);
	ck_assert_int_eq(kalix_query_async(k, "cart/c1", "get", NULL, NULL, done, NULL), KALIX_OK);
	step_until(&server.count, 2);
	ck_assert_str_eq(server.requests[0],
	    "CALL cart/c1 add {\"n\":1} TIMEOUT 700 IDEMPOTENCY t1 META {\"a\":1}");
	ck_assert_str_eq(server.requests[1], "FCALL_RO get 1 cart/c1");
}
END_TEST

START_TEST(pipelined_calls_are_answered_in_order)
{
	char wire[64];
	for (int i = 0; i < 1000; i++)
		call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(wire, sizeof(wire), ":%d\r\n", i);
		fake_server_send(&server, 0, wire);
	}
	step_until(&result_count, 1000);
	for (int i = 0; i < 1000; i++) {
		snprintf(wire, sizeof(wire), "%d", i);
		ck_assert_str_eq(results[i].json, wire);
	}
	ck_assert_uint_eq(kalix_pending(k), 0);
}
END_TEST

START_TEST(a_reply_may_come_in_any_pieces)
{
	static const char wire[] = "$7\r\n{\"a\":1}\r\n";
	call("get", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	for (size_t i = 0; i + 1 < sizeof(wire); i++) {
		char piece[2] = {wire[i], 0};
		size_t none = 0;
		fake_server_send(&server, 0, piece);
		for (int turn = 0; turn < 3; turn++)
			step_until(&none, 0);
		kalix_step(k, now_ms, NULL);
	}
	step_until(&result_count, 1);
	ck_assert_str_eq(results[0].json, "{\"a\":1}");
}
END_TEST

/* ---- Repeating ---- */

START_TEST(what_surely_did_nothing_is_repeated)
{
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	fake_server_send(&server, 0, "-UNAVAILABLE no leader\r\n");
	for (int i = 0; i < 200 && server.count < 2; i++) {
		size_t had = server.count;
		now_ms += 5;
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		ck_assert_uint_eq(result_count, 0);
		if (server.count == had) {
			struct timespec pause = {.tv_nsec = 200000};
			nanosleep(&pause, NULL);
		}
	}
	ck_assert_uint_eq(server.count, 2);
	ck_assert_str_eq(server.requests[0], server.requests[1]);
	fake_server_send(&server, 0, ":1\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_OK);
}
END_TEST

START_TEST(a_command_with_a_token_is_repeated_on_a_new_connection)
{
	call("add", NULL);
	step_until(&server.count, 1);
	fake_server_hang_up(&server, 0);
	move_clock_until(&server.count, 2);
	ck_assert_uint_eq(server.from[1], 1);
	ck_assert_str_eq(server.requests[0], server.requests[1]);
	ck_assert_ptr_nonnull(strstr(server.requests[0], "IDEMPOTENCY "));
	fake_server_send(&server, 1, ":1\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_OK);
}
END_TEST

START_TEST(a_command_without_a_token_is_never_sent_twice)
{
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	fake_server_hang_up(&server, 0);
	move_clock_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	call("next", KALIX_NO_TOKEN);
	move_clock_until(&server.count, 2);
	ck_assert_ptr_nonnull(strstr(server.requests[1], "next"));
}
END_TEST

START_TEST(an_unknown_outcome_is_repeated_with_its_token_only)
{
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	fake_server_send(&server, 0, "-UNKNOWN_OUTCOME leader lost\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	call("add", "mine");
	step_until(&server.count, 2);
	fake_server_send(&server, 0, "-UNKNOWN_OUTCOME leader lost\r\n");
	move_clock_until(&server.count, 3);
	ck_assert_str_eq(server.requests[1], server.requests[2]);
}
END_TEST

/* What a server says before it looks at tokens tells nothing of an earlier try. */
START_TEST(errors_from_before_tokens_leave_a_call_in_doubt)
{
	static const char *const errors[] = {"-DATA_LOSS shard 3 is closed\r\n",
	    "-ERR max number of clients reached\r\n", "-UNIMPLEMENTED no such command\r\n",
	    "-NOAUTH Authentication required.\r\n", "-PERMISSION_DENIED internal\r\n"};
	call("add", "mine");
	step_until(&server.count, 1);
	fake_server_hang_up(&server, 0);
	move_clock_until(&server.count, 2);
	fake_server_send(&server, 1, errors[_i]);
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	/* For a first try they say all there is. */
	call("add", "other");
	step_until(&server.count, 3);
	fake_server_send(&server, 1, errors[_i]);
	step_until(&result_count, 2);
	ck_assert_int_ne(results[1].code, KALIX_UNKNOWN_OUTCOME);
}
END_TEST

START_TEST(what_is_in_doubt_stays_in_doubt)
{
	call("add", "mine");
	step_until(&server.count, 1);
	fake_server_hang_up(&server, 0);
	move_clock_until(&server.count, 2);
	/* The repeat was refused, but the first one may have taken effect. */
	fake_server_send(&server, 1, "-RESOURCE_EXHAUSTED queue is full\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	call("add", "other");
	step_until(&server.count, 3);
	fake_server_send(&server, 1, "-RESOURCE_EXHAUSTED queue is full\r\n");
	step_until(&result_count, 2);
	ck_assert_int_eq(results[1].code, KALIX_RESOURCE_EXHAUSTED);
}
END_TEST

START_TEST(repeats_keep_the_order_of_the_calls)
{
	call("a", "t1");
	call("b", "t2");
	call("c", "t3");
	step_until(&server.count, 3);
	fake_server_hang_up(&server, 0);
	call("d", "t4");
	move_clock_until(&server.count, 7);
	for (size_t i = 0; i < 4; i++) {
		const char *words[] = {"c1 a ", "c1 b ", "c1 c ", "c1 d "};
		ck_assert_ptr_nonnull(strstr(server.requests[3 + i], words[i]));
	}
}
END_TEST

/* ---- Time ---- */

START_TEST(a_late_reply_is_not_taken_for_the_next_one)
{
	call("slow", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	now_ms += 2500;
	kalix_step(k, now_ms, NULL);
	ck_assert_uint_eq(result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	call("next", KALIX_NO_TOKEN);
	step_until(&server.count, 2);
	fake_server_send(&server, 0, ":1\r\n:2\r\n");
	step_until(&result_count, 2);
	ck_assert_str_eq(results[1].json, "2");
}
END_TEST

START_TEST(without_a_server_a_call_ends_at_its_time)
{
	kalix_close(k);
	fake_server_stop(&second);
	open_on(second.address);
	call("add", KALIX_NO_TOKEN);
	move_clock_until(&server.peer_count, 0);
	for (int i = 0; i < 100 && result_count == 0; i++) {
		now_ms += 50;
		kalix_step(k, now_ms, NULL);
	}
	ck_assert_uint_eq(result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNAVAILABLE);
	fake_server_start(&second);
}
END_TEST

START_TEST(the_wake_time_is_that_of_the_nearest_deadline)
{
	uint64_t wake;
	kalix_step(k, now_ms, &wake);
	ck_assert_uint_eq(wake, UINT64_MAX);
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	kalix_step(k, now_ms, &wake);
	ck_assert_uint_ge(wake, now_ms + 2000);
	ck_assert_uint_le(wake, now_ms + 3000);
}
END_TEST

/* ---- Nodes ---- */

START_TEST(another_try_is_never_far_away)
{
	uint64_t wake;
	call("add", NULL);
	for (size_t tries = 1; tries <= 8; tries++) {
		step_until(&server.count, tries);
		fake_server_send(&server, 0, "-UNAVAILABLE starting\r\n");
		for (int i = 0; i < 5000; i++) {
			kalix_step(k, now_ms, &wake);
			if (wake <= now_ms + 100)
				break;
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		}
		ck_assert_uint_gt(wake, now_ms);
		ck_assert_uint_le(wake, now_ms + 100);
		now_ms = wake;
	}
}
END_TEST

START_TEST(a_server_that_comes_back_is_found_soon)
{
	call("add", NULL);
	for (size_t peer = 0; peer < FAKE_PEERS_MAX - 1; peer++) {
		step_until(&server.count, peer + 1);
		fake_server_hang_up(&server, peer);
		for (int i = 0; i < 50; i++) { /* until the kernel has told it */
			kalix_step(k, now_ms, NULL);
			nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
		}
		now_ms += 100;
	}
	step_until(&server.count, FAKE_PEERS_MAX);
}
END_TEST

/* It stands still, or the network is gone: its connection does not end. */
START_TEST(a_server_that_says_nothing_is_left_until_it_does)
{
	char text[96];
	kalix_close(k);
	snprintf(text, sizeof(text), "%s,%s", server.address, second.address);
	open_on(text);
	call("get", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	now_ms += 1000;
	call("add", "token");
	step_until(&server.count, 2);
	now_ms += 1300;
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	/* Whose time is not over has another one asked. */
	step_until(&second.count, 1);
	fake_server_send(&second, 0, ":7\r\n");
	step_until(&result_count, 2);
	ck_assert_int_eq(results[1].code, KALIX_OK);
	/* And so has the next one, which is sent back: then the first is asked whether it is
	 * there, and nothing else before it says so. */
	call("get", KALIX_NO_TOKEN);
	step_until(&second.count, 2);
	snprintf(text, sizeof(text), "-MOVED %u %s\r\n", slot_of(slice_from_text("cart/c1")),
	    server.address);
	fake_server_send(&second, 0, text);
	step_until(&second.count, 3);
	ck_assert_str_eq(second.requests[2], "CLUSTER SLOTS");
	now_ms += 200;
	step_until(&second.count, 4);
	step_until(&server.count, 3);
	ck_assert_str_eq(server.requests[2], "PING");
	size_t heard = 0;
	fake_server_send(&server, server.peer_count - 1, "+PONG\r\n");
	for (int i = 0; i < 5000 && heard == 0; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		ck_assert_int_eq(kalix_step(k, now_ms, NULL), KALIX_OK);
		heard = !k->nodes[0]->silent;
		nanosleep(&pause, NULL);
	}
	ck_assert_uint_eq(heard, 1);
	fake_server_send(&second, 0, "*0\r\n");
	fake_server_send(&second, 0, text);
	step_until(&server.count, 4);
	fake_server_send(&server, server.peer_count - 1, ":8\r\n");
	step_until(&result_count, 3);
	ck_assert_int_eq(results[2].code, KALIX_OK);
	ck_assert_str_eq(results[2].json, "8");
}
END_TEST

START_TEST(a_moved_call_goes_where_the_server_says)
{
	char wire[64];
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	snprintf(wire, sizeof(wire), "-MOVED 16000 %s\r\n", second.address);
	fake_server_send(&server, 0, wire);
	step_until(&second.count, 1);
	fake_server_send(&second, 0, ":1\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_OK);
}
END_TEST

START_TEST(a_ring_of_moves_ends)
{
	char wire[64];
	snprintf(wire, sizeof(wire), "-MOVED 1 %s\r\n", server.address);
	call("add", KALIX_NO_TOKEN);
	for (int i = 0; i < 64 && result_count == 0; i++) {
		size_t had = server.count;
		for (int turn = 0; turn < 100 && server.count == had && !result_count; turn++) {
			struct timespec pause = {.tv_nsec = 200000};
			now_ms += 2;
			kalix_step(k, now_ms, NULL);
			fake_server_step(&server);
			nanosleep(&pause, NULL);
		}
		/* The question for the map, too. */
		for (; had < server.count; had++)
			fake_server_send(&server, 0, wire);
	}
	ck_assert_uint_eq(result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNAVAILABLE);
}
END_TEST

START_TEST(the_second_node_is_tried_where_the_first_is_gone)
{
	char nodes[80];
	kalix_close(k);
	snprintf(nodes, sizeof(nodes), "%s,%s", server.address, second.address);
	fake_server_stop(&server);
	open_on(nodes);
	call("add", KALIX_NO_TOKEN);
	fake_server_start(&server); /* on another port */
	move_clock_until(&second.count, 1);
}
END_TEST

START_TEST(credentials_go_first_and_a_wrong_one_is_told)
{
	char nodes[80];
	kalix_close(k);
	snprintf(nodes, sizeof(nodes), "me:secret@%s", server.address);
	open_on(nodes);
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 2);
	ck_assert_str_eq(server.requests[0], "AUTH me secret");
	fake_server_send(&server, 0, "-WRONGPASS invalid password\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNAUTHENTICATED);
	ck_assert_ptr_nonnull(strstr(results[0].message, "invalid password"));
}
END_TEST

/* Refused is refused: with a token it would else be tried until its time is over. */
START_TEST(a_wrong_password_ends_all_that_was_sent_behind_it)
{
	char nodes[80];
	kalix_close(k);
	snprintf(nodes, sizeof(nodes), "me:secret@%s", server.address);
	open_on(nodes);
	call("add", NULL);
	call("more", KALIX_NO_TOKEN);
	step_until(&server.count, 3);
	fake_server_send(&server, 0, "-WRONGPASS invalid password\r\n");
	step_until(&result_count, 2);
	ck_assert_int_eq(results[0].code, KALIX_UNAUTHENTICATED);
	ck_assert_int_eq(results[1].code, KALIX_UNAUTHENTICATED);
}
END_TEST

START_TEST(bytes_that_are_no_replies_break_the_connection)
{
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	fake_server_send(&server, 0, "HTTP/1.1 400 Bad Request\r\n\r\n");
	move_clock_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
}
END_TEST

/* Opens, calls, is answered, and closes, while the nth allocation fails. *ret_failed: whether there
 * was such a one. */
static void exchange(uint64_t nth, bool *ret_failed)
{
	kalix_options options = {.token = "t", .timeout_ms = 50, .metadata = "{}"};
	size_t before = result_count, wanted = 1;
	uint64_t wake;
	fake_server_stop(&server);
	fake_server_start(&server);
	mem_fail_at(nth);
	int code = kalix_open(server.address, &k);
	if (code == KALIX_OK)
		code = kalix_call_async(k, "cart/c1", "get", "{}", &options, done, NULL);
	if (code) {
		ck_assert_int_eq(code, KALIX_RESOURCE_EXHAUSTED);
	} else {
		/* Whatever fails, an end comes, by its time at the latest. */
		for (int i = 0; i < 5000 && result_count == before; i++) {
			struct timespec pause = {.tv_nsec = 200000};
			ck_assert_int_eq(kalix_step(k, now_ms += 2, &wake), KALIX_OK);
			fake_server_step(&server);
			if (server.count == wanted) {
				fake_server_send(
				    &server, server.from[wanted - 1], "$7\r\n{\"a\":1}\r\n");
				wanted++;
			}
			nanosleep(&pause, NULL);
		}
		ck_assert_uint_eq(result_count, before + 1);
		code = results[before].code;
		ck_assert(code == KALIX_OK || code == KALIX_RESOURCE_EXHAUSTED ||
		          code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME);
		ck_assert(code != KALIX_OK || strcmp(results[before].json, "{\"a\":1}") == 0);
	}
	*ret_failed = mem_failed();
	mem_fail_at(0);
	kalix_close(k);
	k = NULL;
}

START_TEST(whichever_allocation_fails_a_call_has_one_end)
{
	bool failed = true;
	kalix_close(k);
	k = NULL;
	for (uint64_t nth = 1; failed; nth++) {
		ck_assert_uint_lt(nth, 100);
		exchange(nth, &failed);
	}
	ck_assert_int_eq(results[result_count - 1].code, KALIX_OK);
}
END_TEST

START_TEST(nodes_that_are_none_are_refused)
{
	static const char *const bad[] = {"", "host", ":7470", "host:", "host:port", "a:1,",
	    "user@a:1", "a:123456", "a:65536", "a:0", "a:1,,b:2"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		kalix *none = NULL;
		ck_assert_msg(kalix_open(bad[i], &none) == KALIX_INVALID_ARGUMENT, "%s", bad[i]);
		ck_assert_ptr_null(none);
	}
}
END_TEST

/* ---- Ends ---- */

START_TEST(closing_tells_everyone)
{
	call("sent", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	call("fresh", KALIX_NO_TOKEN);
	kalix_close(k);
	ck_assert_uint_eq(result_count, 2);
	ck_assert_int_eq(results[0].code, KALIX_UNKNOWN_OUTCOME);
	ck_assert_int_eq(results[1].code, KALIX_UNAVAILABLE);
	open_on(server.address);
}
END_TEST

/* Whatever a server sends: it must not end the client's process. */
START_TEST(a_map_whose_keys_json_has_not_is_no_reply)
{
	static const char *const wires[] = {"%1\r\n,1.5\r\n:1\r\n", "%1\r\n#t\r\n:1\r\n",
	    "%1\r\n_\r\n:1\r\n", "%1\r\n*1\r\n:1\r\n:1\r\n"};
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		struct kalix_reply *reply = reply_read(slice_from_text(wires[i]));
		ck_assert_ptr_nonnull(reply);
		ck_assert_int_eq(reply->code, KALIX_INTERNAL);
		ck_assert_str_eq(kalix_reply_message(reply), "the reply could not be read");
		kalix_reply_free(reply);
	}
	struct kalix_reply *reply = reply_read(slice_from_text("%1\r\n:7\r\n,1.5\r\n"));
	ck_assert_str_eq(kalix_reply_json(reply), "{\"7\":1.5}");
	kalix_reply_free(reply);
}
END_TEST

Suite *client_suite(void)
{
	Suite *suite = suite_create("client");
	TCase *tcase = tcase_create("client");
	tcase_add_checked_fixture(tcase, rig_start, rig_stop);
	tcase_add_test(tcase, replies_are_told_as_texts);
	tcase_add_test(tcase, a_call_is_written_with_its_options);
	tcase_add_test(tcase, pipelined_calls_are_answered_in_order);
	tcase_add_test(tcase, a_reply_may_come_in_any_pieces);
	tcase_add_test(tcase, what_surely_did_nothing_is_repeated);
	tcase_add_test(tcase, a_command_with_a_token_is_repeated_on_a_new_connection);
	tcase_add_test(tcase, a_command_without_a_token_is_never_sent_twice);
	tcase_add_test(tcase, an_unknown_outcome_is_repeated_with_its_token_only);
	tcase_add_loop_test(tcase, errors_from_before_tokens_leave_a_call_in_doubt, 0, 5);
	tcase_add_test(tcase, what_is_in_doubt_stays_in_doubt);
	tcase_add_test(tcase, repeats_keep_the_order_of_the_calls);
	tcase_add_test(tcase, a_late_reply_is_not_taken_for_the_next_one);
	tcase_add_test(tcase, without_a_server_a_call_ends_at_its_time);
	tcase_add_test(tcase, the_wake_time_is_that_of_the_nearest_deadline);
	tcase_add_test(tcase, another_try_is_never_far_away);
	tcase_add_test(tcase, a_server_that_comes_back_is_found_soon);
	tcase_add_test(tcase, a_server_that_says_nothing_is_left_until_it_does);
	tcase_add_test(tcase, a_moved_call_goes_where_the_server_says);
	tcase_add_test(tcase, a_ring_of_moves_ends);
	tcase_add_test(tcase, the_second_node_is_tried_where_the_first_is_gone);
	tcase_add_test(tcase, credentials_go_first_and_a_wrong_one_is_told);
	tcase_add_test(tcase, a_wrong_password_ends_all_that_was_sent_behind_it);
	tcase_add_test(tcase, bytes_that_are_no_replies_break_the_connection);
	tcase_add_test(tcase, whichever_allocation_fails_a_call_has_one_end);
	tcase_add_test(tcase, nodes_that_are_none_are_refused);
	tcase_add_test(tcase, closing_tells_everyone);
	tcase_add_test(tcase, a_map_whose_keys_json_has_not_is_no_reply);
	suite_add_tcase(suite, tcase);
	return suite;
}
