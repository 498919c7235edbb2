/* Slow and greedy clients. */
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "tests/unit/gate/rig.h"
#include "tests/unit/gate/suites.h"

static struct rig rig;

static void open_rig(void)
{
	rig_init(&rig);
	rig_open(&rig);
}

static void close_rig(void)
{
	rig_done(&rig);
}

static void reopen(void)
{
	struct gate_config config = rig.config;
	rig_done(&rig);
	rig_init(&rig);
	rig.config = config;
	rig_open(&rig);
}

/* Many times the same request. */
static void write_many(struct io_socket *client, const char *request, int times)
{
	for (int i = 0; i < times; i++)
		fake_queue(client, request, strlen(request));
	rig_run(&rig);
}

START_TEST(reading_stops_while_replies_are_not_read)
{
	struct io_socket *client = rig_connect(&rig);
	fake_set_reading(client, false);
	write_many(client, "CALL a/b big\r\n", 20);
	ck_assert(fake_paused(client));
	ck_assert(!fake_closed(client));
	/* What was asked before is bounded by the calls that were begun meanwhile. */
	uint64_t held = gate_figures(rig.gate).memory_bytes;
	write_many(client, "CALL a/b big\r\n", 200);
	ck_assert_uint_eq(gate_figures(rig.gate).memory_bytes, held);
	ck_assert_str_eq(rig_ask(&rig, rig_connect(&rig), "PING"), "+PONG\r\n");
	/* Nothing is lost: it goes on where it stopped. */
	fake_set_reading(client, true);
	rig_run(&rig);
	ck_assert_uint_eq(buffer_bytes(fake_output(client)), 220 * (100002 + 9 + 2));
	ck_assert(!fake_paused(client));
	buffer_clear(fake_output(client));
	ck_assert_str_eq(rig_ask(&rig, client, "PING"), "+PONG\r\n");
}
END_TEST

START_TEST(answers_given_at_once_stop_reading_too)
{
	struct io_socket *client = rig_connect(&rig);
	fake_set_reading(client, false);
	write_many(client, "COMMAND\r\n", 400);
	ck_assert(fake_paused(client));
	ck_assert_uint_lt(gate_figures(rig.gate).memory_bytes, 2 * MIB);
	fake_set_reading(client, true);
	rig_run(&rig);
	ck_assert(!fake_paused(client));
}
END_TEST

START_TEST(a_client_above_the_output_limit_is_closed)
{
	rig.config.limits.output_bytes_max = MIB;
	reopen();
	struct io_socket *client = rig_connect(&rig), *other = rig_connect(&rig);
	fake_set_reading(client, false);
	/* Calls that were begun before reading stopped: 64 answers of 100 kB. */
	write_many(client, "CALL a/b big\r\n", 64);
	ck_assert(fake_closed(client));
	ck_assert_uint_eq(gate_figures(rig.gate).closed_greedy, 1);
	ck_assert_str_eq(rig_ask(&rig, other, "PING"), "+PONG\r\n");
}
END_TEST

START_TEST(a_client_that_does_not_read_for_long_is_closed)
{
	struct io_socket *client = rig_connect(&rig), *waiting = rig_connect(&rig);
	fake_set_reading(client, false);
	write_many(client, "PING\r\n", 1);
	(void)rig_say(&rig, waiting, "CALL a/b wait\r\n");
	for (int second = 0; second < 59; second++) {
		fake_advance(rig.io, 1000);
		rig_run(&rig);
	}
	ck_assert(!fake_closed(client));
	fake_advance(rig.io, 2000);
	rig_run(&rig);
	ck_assert(fake_closed(client));
	/* Who waits for us is not slow. */
	ck_assert(!fake_closed(waiting));
	ck_assert_uint_eq(gate_figures(rig.gate).closed_stalled, 1);
}
END_TEST

START_TEST(half_a_request_is_kept_for_a_while_only)
{
	struct io_socket *client = rig_connect(&rig);
	(void)rig_say(&rig, client, "*2\r\n$4\r\nECHO\r\n$5\r\nhal");
	for (int second = 0; second < 58; second++) {
		fake_advance(rig.io, 1000);
		rig_run(&rig);
	}
	/* Progress counts from its last byte. */
	(void)rig_say(&rig, client, "f");
	for (int second = 0; second < 58; second++) {
		fake_advance(rig.io, 1000);
		rig_run(&rig);
	}
	ck_assert(!fake_closed(client));
	fake_advance(rig.io, 3000);
	rig_run(&rig);
	ck_assert(fake_closed(client));
}
END_TEST

START_TEST(idle_clients_are_closed_where_that_is_asked_for)
{
	struct io_socket *client = rig_connect(&rig);
	fake_advance(rig.io, 10 * 3600 * 1000);
	rig_run(&rig);
	ck_assert(!fake_closed(client));
	rig.config.limits.idle_ms = 5000;
	reopen();
	struct io_socket *idle = rig_connect(&rig), *active = rig_connect(&rig);
	for (int second = 0; second < 6; second++) {
		fake_advance(rig.io, 1000);
		rig_run(&rig);
		(void)rig_ask(&rig, active, "PING");
	}
	ck_assert(fake_closed(idle));
	ck_assert(!fake_closed(active));
	ck_assert_uint_eq(gate_figures(rig.gate).closed_idle, 1);
}
END_TEST

START_TEST(connections_are_limited)
{
	rig.config.limits.connections_max = 2;
	reopen();
	struct io_socket *one = rig_connect(&rig), *two = rig_connect(&rig);
	struct io_socket *three = rig_connect(&rig);
	rig_run(&rig);
	ck_assert(slice_equal(buffer_view(fake_output(three)),
	    slice_from_text("-ERR max number of clients reached\r\n")));
	ck_assert(fake_closed(three));
	ck_assert_str_eq(rig_ask(&rig, one, "PING"), "+PONG\r\n");
	fake_end(two);
	rig_run(&rig);
	ck_assert_str_eq(rig_ask(&rig, rig_connect(&rig), "PING"), "+PONG\r\n");
}
END_TEST

START_TEST(calls_under_way_are_limited_for_each_connection)
{
	struct io_socket *client = rig_connect(&rig);
	write_many(client, "CALL a/b wait\r\n", 1000);
	ck_assert_uint_eq(gate_figures(rig.gate).calls_under_way, 64);
	ck_assert(fake_paused(client));
	for (int round = 0; round < 20; round++) {
		fake_shards_release(rig.shards);
		rig_run(&rig);
	}
	ck_assert_uint_eq(gate_figures(rig.gate).calls, 1000);
	ck_assert_uint_eq(gate_figures(rig.gate).calls_under_way, 0);
}
END_TEST

START_TEST(all_clients_together_are_limited_and_the_greediest_goes)
{
	rig.config.limits.memory_bytes_max = 3 * MIB;
	reopen();
	struct io_socket *small = rig_connect(&rig), *large = rig_connect(&rig);
	static char half[1100 * 1000];
	memset(half, 'x', sizeof(half));
	(void)rig_say(&rig, large, "*2\r\n$4\r\nECHO\r\n$8000000\r\n");
	(void)rig_say(&rig, small, "*2\r\n$4\r\nECHO\r\n$8000000\r\n");
	fake_write(small, half, 100 * 1000);
	for (int i = 0; i < 4; i++)
		fake_write(large, half, sizeof(half));
	rig_run(&rig);
	ck_assert(fake_closed(large));
	ck_assert(!fake_closed(small));
	ck_assert_uint_eq(gate_figures(rig.gate).closed_greedy, 1);
	ck_assert_uint_lt(gate_figures(rig.gate).memory_bytes, MIB);
}
END_TEST

START_TEST(large_requests_pass_up_to_the_limit)
{
	struct io_socket *client = rig_connect(&rig);
	size_t bytes = BUNDLE_BYTES_MAX;
	char *body = malloc(bytes), head[64];
	memset(body, 'b', bytes);
	int head_bytes = snprintf(head, sizeof(head),
	    "*4\r\n$5\r\nADMIN\r\n$3\r\nAPP\r\n$6\r\nDEPLOY\r\n$%zu\r\n", bytes);
	fake_write(client, head, (size_t)head_bytes);
	fake_write(client, body, bytes);
	ck_assert_str_eq(rig_say(&rig, client, "\r\n"), "$13\r\n{\"done\":true}\r\n");
	ck_assert_uint_eq(rig.bundle_bytes, bytes);
	/* The buffer that gathered it is given back. */
	ck_assert_uint_lt(gate_figures(rig.gate).memory_bytes, 16 * KIB);
	snprintf(head, sizeof(head), "*2\r\n$4\r\nECHO\r\n$%zu\r\n", bytes + 1);
	ck_assert_str_eq(
	    rig_say(&rig, client, head), "-ERR Protocol error: invalid bulk length\r\n");
	free(body);
}
END_TEST

START_TEST(a_payload_above_the_limit_is_refused_and_the_connection_goes_on)
{
	struct io_socket *client = rig_connect(&rig);
	size_t bytes = PAYLOAD_BYTES_MAX + 1;
	char *body = malloc(bytes), head[96];
	memset(body, ' ', bytes);
	int head_bytes = snprintf(
	    head, sizeof(head), "*4\r\n$4\r\nCALL\r\n$3\r\na/b\r\n$3\r\nget\r\n$%zu\r\n", bytes);
	fake_write(client, head, (size_t)head_bytes);
	fake_write(client, body, bytes);
	ck_assert_str_eq(rig_say(&rig, client, "\r\n"),
	    "-RESOURCE_EXHAUSTED the payload is larger than 1048576 bytes\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "PING"), "+PONG\r\n");
	free(body);
}
END_TEST

START_TEST(strangers_get_little_room)
{
	memcpy(rig.config.password, "secret", 6);
	rig.config.password_bytes = 6;
	reopen();
	struct io_socket *client = rig_connect(&rig);
	ck_assert_str_eq(rig_say(&rig, client, "*2\r\n$4\r\nECHO\r\n$20000\r\n"),
	    "-ERR Protocol error: invalid bulk length\r\n");
	ck_assert(fake_closed(client));
	client = rig_connect(&rig);
	ck_assert_str_eq(
	    rig_say(&rig, client, "*11\r\n"), "-ERR Protocol error: invalid multibulk length\r\n");
	ck_assert(fake_closed(client));
}
END_TEST

Suite *limits_suite(void)
{
	Suite *suite = suite_create("limits");
	TCase *tcase = tcase_create("limits");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, reading_stops_while_replies_are_not_read);
	tcase_add_test(tcase, answers_given_at_once_stop_reading_too);
	tcase_add_test(tcase, a_client_above_the_output_limit_is_closed);
	tcase_add_test(tcase, a_client_that_does_not_read_for_long_is_closed);
	tcase_add_test(tcase, half_a_request_is_kept_for_a_while_only);
	tcase_add_test(tcase, idle_clients_are_closed_where_that_is_asked_for);
	tcase_add_test(tcase, connections_are_limited);
	tcase_add_test(tcase, calls_under_way_are_limited_for_each_connection);
	tcase_add_test(tcase, all_clients_together_are_limited_and_the_greediest_goes);
	tcase_add_test(tcase, large_requests_pass_up_to_the_limit);
	tcase_add_test(tcase, a_payload_above_the_limit_is_refused_and_the_connection_goes_on);
	tcase_add_test(tcase, strangers_get_little_room);
	suite_add_tcase(suite, tcase);
	return suite;
}
