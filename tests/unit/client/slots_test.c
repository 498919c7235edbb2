/* The map of slots, as a client learns it. */
#include "tests/unit/client/suites.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/slot.h"
#include "client/client.h"
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

/* `from` sends a call to `to`, which answers it, and is asked for the map: the slot of the calls is
 * now there, and another one where nobody was known before. */
static void move(struct fake_server *from, struct fake_server *to, unsigned number)
{
	char wire[256];
	unsigned slot = slot_of(slice_from_text("cart/c1"));
	size_t had = from->count, there = to->count, before = result_count;
	now_ms += CLIENT_SLOTS_MS;
	call("add", KALIX_NO_TOKEN);
	step_until(&from->count, had + 1);
	snprintf(wire, sizeof(wire), "-MOVED %u %s\r\n", slot, to->address);
	fake_server_send(from, 0, wire);
	step_until(&to->count, there + 1);
	fake_server_send(to, 0, ":1\r\n");
	step_until(&result_count, before + 1);
	ck_assert_int_eq(results[before].code, KALIX_OK);
	step_until(&from->count, had + 2);
	ck_assert_str_eq(from->requests[had + 1], "CLUSTER SLOTS");
	snprintf(wire, sizeof(wire),
	    "*2\r\n*3\r\n:0\r\n:100\r\n*2\r\n$9\r\n127.0.1.1\r\n:%u\r\n"
	    "*3\r\n:%u\r\n:%u\r\n*2\r\n$9\r\n127.0.0.1\r\n:%s\r\n",
	    number, slot, slot, strchr(to->address, ':') + 1);
	fake_server_send(from, 0, wire);
}

START_TEST(nodes_that_the_map_no_longer_has_are_forgotten)
{
	struct fake_server third;
	char wire[64];
	for (unsigned i = 0; i < 2 * CLIENT_NODES_MAX; i++)
		move(i % 2 ? &second : &server, i % 2 ? &server : &second, 1 + i);
	/* There is room for those that come. */
	fake_server_start(&third);
	size_t had = server.count, before = result_count;
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, had + 1);
	snprintf(wire, sizeof(wire), "-MOVED 16000 %s\r\n", third.address);
	fake_server_send(&server, 0, wire);
	for (int i = 0; i < 5000 && third.count == 0; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		fake_server_step(&third);
		nanosleep(&pause, NULL);
	}
	ck_assert_uint_eq(third.count, 1);
	fake_server_send(&third, 0, ":1\r\n");
	step_until(&result_count, before + 1);
	ck_assert_int_eq(results[before].code, KALIX_OK);
	fake_server_stop(&third);
}
END_TEST

/* Those that were given are tried again, whatever maps say. */
START_TEST(a_node_that_was_given_is_not_forgotten)
{
	char nodes[64];
	kalix_close(k);
	snprintf(nodes, sizeof(nodes), "%s,127.0.1.1:1", server.address);
	open_on(nodes);
	for (unsigned i = 0; i < 4; i++)
		move(i % 2 ? &second : &server, i % 2 ? &server : &second, 2 + i);
	ck_assert_str_eq(k->nodes[1]->host, "127.0.1.1");
	ck_assert_str_eq(k->nodes[1]->port, "1");
}
END_TEST

/* ---- Nodes that do not answer ---- */

/* For what is on its way over loopback; the clock stands. */
static void step_a_while(void)
{
	for (int i = 0; i < 50; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		nanosleep(&pause, NULL);
	}
}

START_TEST(another_node_is_tried_soon_where_the_first_does_not_answer)
{
	struct deaf deaf;
	char nodes[80];
	uint64_t wake;
	deaf_start(&deaf);
	kalix_close(k);
	snprintf(nodes, sizeof(nodes), "%s,%s", deaf.address, server.address);
	open_on(nodes);
	call("add", KALIX_NO_TOKEN);
	kalix_step(k, now_ms, &wake);
	ck_assert_uint_eq(wake, now_ms + CLIENT_CONNECT_SOON_MS);
	now_ms += CLIENT_CONNECT_SOON_MS - 1;
	kalix_step(k, now_ms, &wake);
	ck_assert_int_eq(k->nodes[1]->state, CONNECTION_NONE);
	now_ms++;
	step_until(&server.count, 1);
	fake_server_send(&server, 0, ":1\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_OK);
	/* The first has its time all the same, and nothing waits for it. */
	ck_assert_int_eq(k->nodes[0]->state, CONNECTION_CONNECTING);
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 2);
	deaf_stop(&deaf);
}
END_TEST

START_TEST(a_call_whose_slot_is_at_one_that_does_not_answer_goes_to_another)
{
	struct deaf deaf;
	char wire[64], slots[128];
	deaf_start(&deaf);
	call("add", KALIX_NO_TOKEN);
	step_until(&server.count, 1);
	snprintf(wire, sizeof(wire), "-MOVED 16000 %s\r\n", deaf.address);
	fake_server_send(&server, 0, wire);
	step_until(&server.count, 2);
	ck_assert_str_eq(server.requests[1], "CLUSTER SLOTS");
	snprintf(slots, sizeof(slots),
	    "*1\r\n*3\r\n:16000\r\n:16000\r\n*2\r\n$9\r\n127.0.0.1\r\n:%s\r\n",
	    strchr(deaf.address, ':') + 1);
	fake_server_send(&server, 0, slots);
	step_a_while();
	ck_assert_uint_eq(server.count, 2);
	now_ms += CLIENT_CONNECT_SOON_MS;
	step_until(&server.count, 3);
	/* Which knows nothing newer yet, and is asked again a little later. */
	fake_server_send(&server, 0, wire);
	step_a_while();
	ck_assert_uint_eq(server.count, 3);
	now_ms += CLIENT_BACKOFF_MS_MAX;
	step_until(&server.count, 4);
	fake_server_send(&server, 0, ":1\r\n");
	step_until(&result_count, 1);
	ck_assert_int_eq(results[0].code, KALIX_OK);
	deaf_stop(&deaf);
}
END_TEST

Suite *slots_suite(void)
{
	Suite *suite = suite_create("slots");
	TCase *tcase = tcase_create("slots");
	tcase_add_checked_fixture(tcase, rig_start, rig_stop);
	tcase_add_test(tcase, a_moved_call_makes_the_client_ask_for_the_whole_map);
	tcase_add_test(tcase, a_node_that_others_named_is_tried_where_all_given_are_gone);
	tcase_add_test(tcase, nodes_that_the_map_no_longer_has_are_forgotten);
	tcase_add_test(tcase, a_node_that_was_given_is_not_forgotten);
	tcase_add_test(tcase, another_node_is_tried_soon_where_the_first_does_not_answer);
	tcase_add_test(tcase, a_call_whose_slot_is_at_one_that_does_not_answer_goes_to_another);
	suite_add_tcase(suite, tcase);
	return suite;
}
