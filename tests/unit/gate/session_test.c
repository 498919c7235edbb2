/* Bytes in: cuts, malformed input, ends. */
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
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

static const char stream[] =
    "*1\r\n$4\r\nPING\r\n"
    "ECHO \"in line\"\r\n"
    "*3\r\n$4\r\nCALL\r\n$3\r\na/1\r\n$3\r\nget\r\n"
    "\r\n"
    "*2\r\n$4\r\nECHO\r\n$6\r\na\r\nb\r\n\r\n"
    "*5\r\n$5\r\nFCALL\r\n$3\r\nget\r\n$1\r\n1\r\n$3\r\na/2\r\n$2\r\n{}\r\n"
    "PING\r\n";
static const char stream_answer[] =
    "+PONG\r\n$7\r\nin "
    "line\r\n$48\r\n{\"address\":\"a/1\",\"name\":\"get\",\"payload_bytes\":0}\r\n"
    "$6\r\na\r\nb\r\n\r\n$48\r\n{\"address\":\"a/2\",\"name\":\"get\",\"payload_bytes\":2}\r\n"
    "+PONG\r\n";

START_TEST(the_same_bytes_give_the_same_answers_however_they_are_cut)
{
	size_t bytes = sizeof(stream) - 1;
	for (size_t cut = 0; cut <= bytes; cut++) {
		struct io_socket *client = rig_connect(&rig);
		fake_write(client, stream, cut);
		rig_run(&rig);
		fake_write(client, stream + cut, bytes - cut);
		rig_run(&rig);
		struct slice output = buffer_view(fake_output(client));
		ck_assert_msg(slice_equal(output, slice_from_text(stream_answer)),
		    "cut at %zu: %.*s", cut, (int)output.bytes, (const char *)output.data);
		fake_end(client);
		rig_run(&rig);
		ck_assert(fake_closed(client));
	}
	struct io_socket *client = rig_connect(&rig);
	for (size_t i = 0; i < bytes; i++)
		fake_write(client, stream + i, 1);
	rig_run(&rig);
	ck_assert(slice_equal(buffer_view(fake_output(client)), slice_from_text(stream_answer)));
}
END_TEST

START_TEST(replies_of_a_turn_are_one_send)
{
	struct io_socket *client = rig_connect(&rig);
	(void)rig_say(&rig, client, "PING\r\nPING\r\nPING\r\nPING\r\n");
	ck_assert_uint_eq(fake_sends(client), 1);
}
END_TEST

START_TEST(malformed_input_gets_an_error_and_ends_its_connection_only)
{
	static const struct {
		const char *input, *answer;
	} cases[] = {
	    {"*1\r\n+PING\r\n", "-ERR Protocol error: expected '$', got '+'\r\n"},
	    {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	    {"*99999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
	    {"*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	    {"*1\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
	    {"ECHO \"open\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n"},
	};
	struct io_socket *bystander = rig_connect(&rig);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct io_socket *client = rig_connect(&rig);
		ck_assert_str_eq(rig_say(&rig, client, cases[i].input), cases[i].answer);
		ck_assert(fake_closed(client));
	}
	ck_assert_uint_eq(gate_figures(rig.gate).closed_malformed, 6);
	ck_assert_str_eq(rig_ask(&rig, bystander, "PING"), "+PONG\r\n");
}
END_TEST

START_TEST(what_came_before_malformed_input_is_answered_first)
{
	struct io_socket *client = rig_connect(&rig);
	ck_assert_str_eq(rig_say(&rig, client, "CALL a/1 wait\r\nPING\r\n*x\r\nPING\r\n"), "");
	ck_assert(!fake_closed(client));
	fake_shards_release(rig.shards);
	const char *answer = rig_say(&rig, client, "");
	ck_assert_ptr_nonnull(strstr(answer, "\"a/1\""));
	ck_assert_ptr_nonnull(
	    strstr(answer, "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"));
	ck_assert(fake_closed(client));
}
END_TEST

START_TEST(random_bytes_end_at_worst_their_connection)
{
	struct random random;
	random_init(&random, 7);
	struct io_socket *bystander = rig_connect(&rig);
	for (int round = 0; round < 2000; round++) {
		uint8_t data[256];
		size_t bytes = 1 + random_below(&random, sizeof(data));
		struct io_socket *client = rig_connect(&rig);
		random_bytes(&random, data, bytes);
		/* Half of them begin like a request. */
		if (random_chance(&random, 1, 2)) {
			memcpy(data, stream, bytes < 40 ? bytes : 40);
			data[random_below(&random, bytes)] = (uint8_t)random_u64(&random);
		}
		fake_write(client, data, bytes);
		rig_run(&rig);
		fake_end(client);
		rig_run(&rig);
		ck_assert(fake_closed(client));
	}
	ck_assert_str_eq(rig_ask(&rig, bystander, "PING"), "+PONG\r\n");
}
END_TEST

START_TEST(quit_ends_behind_its_answer)
{
	struct io_socket *client = rig_connect(&rig);
	const char *answer = rig_say(&rig, client, "CALL a/1 get\r\nQUIT\r\nPING\r\n");
	ck_assert_msg(answer[0] == '$', "%s", answer);
	ck_assert_str_eq(answer + strlen(answer) - 5, "+OK\r\n");
	ck_assert(fake_closed(client));
}
END_TEST

/* What a page in a browser can make it send: the body is never run. */
START_TEST(a_request_of_http_ends_its_connection_before_its_body)
{
	static const char *const requests[] = {
	    "POST / HTTP/1.1\r\nHost: here\r\n\r\nCALL a/1 get\r\n",
	    "PUT / HTTP/1.1\r\nhost: here\r\n\r\nCALL a/1 get\r\n",
	};
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		struct io_socket *client = rig_connect(&rig);
		const char *answer = rig_say(&rig, client, requests[i]);
		const char *last = strstr(answer, "-ERR Protocol error");
		ck_assert_ptr_nonnull(last);
		ck_assert_str_eq(last, "-ERR Protocol error: this port speaks RESP, not HTTP\r\n");
		ck_assert(fake_closed(client));
	}
}
END_TEST

START_TEST(a_client_that_sends_no_more_gets_its_answers)
{
	struct io_socket *client = rig_connect(&rig);
	(void)rig_say(&rig, client, "CALL a/1 wait\r\n");
	fake_end(client);
	rig_run(&rig);
	ck_assert(!fake_closed(client));
	fake_shards_release(rig.shards);
	rig_run(&rig);
	ck_assert(buffer_bytes(fake_output(client)) > 0);
	ck_assert(fake_closed(client));
}
END_TEST

static void note(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(draining_answers_what_was_asked_and_takes_nothing_more)
{
	bool done = false;
	struct io_socket *idle = rig_connect(&rig), *busy = rig_connect(&rig);
	(void)rig_say(&rig, busy, "CALL a/1 wait\r\n");
	gate_drain(rig.gate, note, &done);
	rig_run(&rig);
	ck_assert(fake_closed(idle));
	ck_assert(!fake_closed(busy));
	ck_assert(!done);
	ck_assert_str_eq(rig_say(&rig, busy, "PING\r\n"), "");
	fake_shards_release(rig.shards);
	const char *answer = rig_say(&rig, busy, "");
	ck_assert_ptr_nonnull(strstr(answer, "\"a/1\""));
	ck_assert_ptr_null(strstr(answer, "PONG"));
	ck_assert(fake_closed(busy));
	ck_assert(done);
	rig.drained = true;
}
END_TEST

START_TEST(memory_that_is_refused_ends_one_connection)
{
	/* Every allocation of the exchange fails once; nothing else suffers. */
	struct io_socket *bystander = rig_connect(&rig);
	bool failed = true;
	for (uint64_t nth = 1; failed; nth++) {
		ck_assert_uint_lt(nth, 200);
		struct io_socket *client = rig_connect(&rig);
		fake_set_reading(client, false);
		fake_queue(client, stream, sizeof(stream) - 1);
		mem_fail_at(nth);
		(void)fake_run(rig.io);
		(void)gate_turn(rig.gate);
		failed = mem_failed();
		mem_fail_at(0);
		fake_set_reading(client, true);
		rig_run(&rig);
		fake_end(client);
		rig_run(&rig);
		ck_assert(fake_closed(client));
	}
	ck_assert_str_eq(rig_ask(&rig, bystander, "PING"), "+PONG\r\n");
}
END_TEST

Suite *session_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("session");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, the_same_bytes_give_the_same_answers_however_they_are_cut);
	tcase_add_test(tcase, replies_of_a_turn_are_one_send);
	tcase_add_test(tcase, malformed_input_gets_an_error_and_ends_its_connection_only);
	tcase_add_test(tcase, what_came_before_malformed_input_is_answered_first);
	tcase_add_test(tcase, a_request_of_http_ends_its_connection_before_its_body);
	tcase_add_test(tcase, random_bytes_end_at_worst_their_connection);
	tcase_add_test(tcase, quit_ends_behind_its_answer);
	tcase_add_test(tcase, a_client_that_sends_no_more_gets_its_answers);
	tcase_add_test(tcase, draining_answers_what_was_asked_and_takes_nothing_more);
	tcase_add_test(tcase, memory_that_is_refused_ends_one_connection);
	suite_add_tcase(suite, tcase);
	return suite;
}
