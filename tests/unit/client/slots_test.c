/* The map of slots, as a client learns it. */
#include "tests/unit/client/suites.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/client/rig.h"

/* A call of an address goes to `target` at once, and is answered there. */
static void call_goes(const char *address, struct fake_server *target)
{
	size_t had = target->count, before = result_count;
	kalix_options options = {.token = KALIX_NO_TOKEN, .timeout_ms = 2000};
	ck_assert_int_eq(kalix_call_async(k, address, "get", "{}", &options, done, NULL), KALIX_OK);
	step_until(&target->count, had + 1);
	fake_server_send(target, 0, ":1\r\n");
	step_until(&result_count, before + 1);
	ck_assert_int_eq(results[before].code, KALIX_OK);
}

START_TEST(a_moved_call_makes_the_client_ask_for_the_whole_map)
{
	char wire[256];
	const char *port = strchr(second.address, ':') + 1;
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	snprintf(wire, sizeof(wire), "-MOVED 16000 %s\r\n", second.address);
	fake_server_send(&server, 0, wire);
	step_until(&second.count, 1);
	fake_server_send(&second, 0, ":1\r\n");
	step_until(&server.count, 2);
	ck_assert_str_eq(server.requests[1], "CLUSTER SLOTS");
	/* Slots up to 8191 are the second's, with a replica and what else there is; the host left
	 * out is the one that was asked. */
	snprintf(wire, sizeof(wire),
	    "*2\r\n*4\r\n:0\r\n:8191\r\n*4\r\n$0\r\n\r\n:%s\r\n$1\r\nx\r\n*1\r\n*0\r\n"
	    "*3\r\n$9\r\n127.0.0.1\r\n:1\r\n$1\r\ny\r\n*2\r\n:1\r\n:70000\r\n",
	    port);
	fake_server_send(&server, 0, wire);
	step_until(&result_count, 1);
	/* Slot 3300, of which nobody had said anything alone. */
	call_goes("cart/{b}", &second);
	/* 12182 is still where it always was. */
	call_goes("cart/{foo}", &server);
	/* Not again for each one that is moved. */
	size_t asked = server.count;
	kalix_options options = {.token = KALIX_NO_TOKEN, .timeout_ms = 2000};
	ck_assert_int_eq(
	    kalix_call_async(k, "cart/{foo}", "get", "{}", &options, done, NULL), KALIX_OK);
	step_until(&server.count, asked + 1);
	snprintf(wire, sizeof(wire), "-MOVED 12182 %s\r\n", second.address);
	fake_server_send(&server, 0, wire);
	size_t had = second.count;
	step_until(&second.count, had + 1);
	fake_server_send(&second, 0, ":1\r\n");
	size_t before = result_count;
	step_until(&result_count, before + 1);
	ck_assert_uint_eq(server.count, asked + 1);
}
END_TEST

START_TEST(a_node_that_others_named_is_tried_where_all_given_are_gone)
{
	char wire[64];
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	snprintf(wire, sizeof(wire), "-MOVED 16000 %s\r\n", second.address);
	fake_server_send(&server, 0, wire);
	step_until(&second.count, 1);
	fake_server_send(&second, 0, ":1\r\n");
	step_until(&result_count, 1);
	fake_server_stop(&server);
	ck_assert_int_eq(kalix_call_async(k, "cart/{foo}", "get", "{}",
	                     &(kalix_options){.token = "t", .timeout_ms = 20000}, done, NULL),
	    KALIX_OK);
	fake_server_start(&server); /* on another port */
	move_clock_until(&second.count, 2);
}
END_TEST

Suite *slots_suite(void)
{
	Suite *suite = suite_create("slots");
	TCase *tcase = tcase_create("slots");
	tcase_add_checked_fixture(tcase, rig_start, rig_stop);
	tcase_add_test(tcase, a_moved_call_makes_the_client_ask_for_the_whole_map);
	tcase_add_test(tcase, a_node_that_others_named_is_tried_where_all_given_are_gone);
	suite_add_tcase(suite, tcase);
	return suite;
}
