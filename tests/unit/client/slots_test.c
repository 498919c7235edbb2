/* The map of slots, as a client learns it. */
#include "tests/unit/client/suites.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/kalix.h"
#include "tests/unit/client/fake_server.h"

static struct fake_server server, second;
static kalix *k;
static uint64_t now_ms;
static int results[64];
static size_t result_count;

static void done(void *arg, int code, kalix_reply *reply)
{
	(void)arg;
	results[result_count++] = code;
	kalix_reply_free(reply);
}

static void setup(void)
{
	fake_server_start(&server);
	fake_server_start(&second);
	now_ms = 1000;
	result_count = 0;
	ck_assert_int_eq(kalix_open(server.address, &k), KALIX_OK);
}

static void teardown(void)
{
	kalix_close(k);
	fake_server_stop(&server);
	fake_server_stop(&second);
}

/* The kernel carries bytes over loopback in its own time: steps until `count` is reached, with a
 * bound against hanging. The clock of the client does not move. */
static void step_until(const size_t *count, size_t wanted)
{
	uint64_t wake;
	for (int i = 0; i < 5000 && *count < wanted; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		ck_assert_int_eq(kalix_step(k, now_ms, &wake), KALIX_OK);
		fake_server_step(&server);
		fake_server_step(&second);
		if (*count < wanted)
			nanosleep(&pause, NULL);
	}
	ck_assert_uint_ge(*count, wanted);
}

static void move_clock_until(const size_t *count, size_t wanted)
{
	for (int i = 0; i < 2000 && *count < wanted; i++) {
		struct timespec pause = {.tv_nsec = 200000};
		now_ms += 1;
		kalix_step(k, now_ms, NULL);
		fake_server_step(&server);
		fake_server_step(&second);
		nanosleep(&pause, NULL);
	}
	ck_assert_uint_ge(*count, wanted);
}

static void call(const char *command, const char *token)
{
	kalix_options options = {.token = token, .timeout_ms = 2000};
	ck_assert_int_eq(
	    kalix_call_async(k, "cart/c1", command, "{}", &options, done, NULL), KALIX_OK);
}

/* A call of an address goes to `target` at once, and is answered there. */
static void call_goes(const char *address, struct fake_server *target)
{
	size_t had = target->count, before = result_count;
	kalix_options options = {.token = KALIX_NO_TOKEN, .timeout_ms = 2000};
	ck_assert_int_eq(kalix_call_async(k, address, "get", "{}", &options, done, NULL), KALIX_OK);
	step_until(&target->count, had + 1);
	fake_server_send(target, 0, ":1\r\n");
	step_until(&result_count, before + 1);
	ck_assert_int_eq(results[before], KALIX_OK);
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
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_moved_call_makes_the_client_ask_for_the_whole_map);
	tcase_add_test(tcase, a_node_that_others_named_is_tried_where_all_given_are_gone);
	suite_add_tcase(suite, tcase);
	return suite;
}
