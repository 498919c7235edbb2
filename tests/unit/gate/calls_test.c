/* CALL and FCALL: what reaches the shard, and what its answer becomes. */
#include <string.h>

#include "base/clock.h"
#include "tests/unit/gate/rig.h"
#include "tests/unit/gate/suites.h"

static struct rig rig;
static struct io_socket *client;

static void open_rig(void)
{
	rig_init(&rig);
	rig_open(&rig);
	client = rig_connect(&rig);
}

static void close_rig(void)
{
	rig_done(&rig);
}

START_TEST(a_call_reaches_the_shard_with_everything)
{
	uint64_t now_ns = io_now_ns(rig.io);
	ck_assert_str_eq(rig_ask(&rig, client,
	                     "CALL cart/c1 get {\"a\":1} META {\"who\":[1,{}]} IDEMPOTENCY t1 "
	                     "timeout 250 STALE 10"),
	    "$52\r\n{\"address\":\"cart/c1\",\"name\":\"get\",\"payload_bytes\":7}\r\n");
	const struct fake_last *last = fake_shards_last(rig.shards);
	ck_assert_str_eq(last->address, "cart/c1");
	ck_assert_str_eq(last->name, "get");
	ck_assert_str_eq(last->payload, "{\"a\":1}");
	ck_assert_str_eq(last->token, "t1");
	ck_assert_uint_eq(last->metadata_bytes, 8);
	ck_assert_mem_eq(last->metadata, "\x81\xa3who\x92\x01\x80", 8);
	ck_assert_uint_eq(last->deadline_ns - now_ns, 250 * NS_PER_MS);
	ck_assert_uint_eq(last->order, 1);
	ck_assert(last->has_payload && last->internal_allowed);
	/* Only a query may see what is old. */
	ck_assert(last->queries_only);
}
END_TEST

START_TEST(an_option_word_is_no_payload)
{
	(void)rig_ask(&rig, client, "CALL cart/c1 get TIMEOUT 5s");
	ck_assert(!fake_shards_last(rig.shards)->has_payload);
	(void)rig_ask(&rig, client, "CALL cart/c1 get");
	ck_assert(!fake_shards_last(rig.shards)->has_payload);
	(void)rig_ask(&rig, client, "CALL cart/c1 get null TIMEOUT 5s");
	ck_assert(fake_shards_last(rig.shards)->has_payload);
}
END_TEST

START_TEST(fcall_is_the_same_call)
{
	const char *answer = rig_ask(&rig, client, "FCALL get 1 cart/c1 {} IDEMPOTENCY t");
	ck_assert_ptr_nonnull(strstr(answer, "\"address\":\"cart/c1\""));
	const struct fake_last *last = fake_shards_last(rig.shards);
	ck_assert_str_eq(last->name, "get");
	ck_assert_str_eq(last->token, "t");
	ck_assert(!last->queries_only);
	(void)rig_ask(&rig, client, "FCALL_RO get 1 cart/c1");
	ck_assert(last->queries_only);
}
END_TEST

START_TEST(wrong_calls_are_refused_before_a_shard_sees_them)
{
	static const struct {
		const char *ask, *answer;
	} cases[] = {
	    {"CALL", "-ERR wrong number of arguments for 'call' command\r\n"},
	    {"CALL cart get", "-UNIMPLEMENTED there is no action of this name; an address is "
	                      "type/id, for example "
	                      "cart/c1\r\n"},
	    {"CALL Cart/1 get", "-INVALID_ARGUMENT the type of an address is a lower-case letter "
	                        "and up to 63 of a-z "
	                        "0-9 _\r\n"},
	    {"CALL cart/ get",
	        "-INVALID_ARGUMENT the id behind the '/' of an address is empty\r\n"},
	    {"CALL cart/c1 get {} FROB 1", "-INVALID_ARGUMENT behind the payload come IDEMPOTENCY "
	                                   "token, TIMEOUT ms, STALE ms, "
	                                   "META json\r\n"},
	    {"CALL cart/c1 get {} TIMEOUT", "-INVALID_ARGUMENT the last option has no value\r\n"},
	    {"CALL cart/c1 get {} TIMEOUT 0",
	        "-INVALID_ARGUMENT TIMEOUT: expected milliseconds from 1 to 3600000\r\n"},
	    {"CALL cart/c1 get {} META []", "-INVALID_ARGUMENT META: expected a JSON object\r\n"},
	    {"CALL cart/c1 get {} META {\"a\":}",
	        "-INVALID_ARGUMENT META: expected a JSON object\r\n"},
	    {"FCALL get x cart/c1", "-ERR Bad number of keys provided\r\n"},
	    {"FCALL get -1 cart/c1", "-ERR Number of keys can't be negative\r\n"},
	    {"FCALL get 2 cart/c1", "-ERR Number of keys can't be greater than number of args\r\n"},
	    {"FCALL get 2 cart/c1 cart/c2",
	        "-INVALID_ARGUMENT a call has one address: FCALL command 1 address [payload]\r\n"},
	    {"FCALL mail.send 0",
	        "-UNIMPLEMENTED there is no action of this name; for an entity: FCALL command 1 "
	        "address\r\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_str_eq(rig_ask(&rig, client, cases[i].ask), cases[i].answer);
	ck_assert_str_eq(fake_shards_last(rig.shards)->address, "");
}
END_TEST

START_TEST(answers_of_shards_become_replies)
{
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 nothing"), "$4\r\nnull\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 fail"),
	    "-FAILED_PRECONDITION cart is already checked out\t{\"items\":3}\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 broken"),
	    "-INTERNAL the handler broke (error ref0-1)\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1"), "$16\r\n{\"exists\":false}\r\n");
	ck_assert_int_eq(fake_shards_last(rig.shards)->kind, SHARD_LIST);
	const char *big = rig_ask(&rig, client, "CALL cart/c1 big");
	ck_assert_msg(strncmp(big, "$100002\r\n\"0123", 14) == 0, "%.20s", big);
	ck_assert_uint_eq(strlen(big), 100002 + 9 + 2);
	ck_assert_str_eq(big + strlen(big) - 4, "9\"\r\n");
	(void)rig_ask(&rig, client, "HELLO 3");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 nothing"), "$4\r\nnull\r\n");
}
END_TEST

START_TEST(nothing_is_the_null_of_the_encoding)
{
	(void)rig_ask(&rig, client, "CLIENT ENCODING msgpack");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 nothing"), "$1\r\n\xc0\r\n");
	(void)rig_ask(&rig, client, "CLIENT ENCODING resp");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 nothing"), "$-1\r\n");
	(void)rig_ask(&rig, client, "HELLO 3");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1 nothing"), "_\r\n");
}
END_TEST

START_TEST(encodings_are_the_connections_own)
{
	(void)rig_ask(&rig, client, "CLIENT ENCODING msgpack");
	const char *answer = rig_ask(&rig, client, "CALL a/b get");
	ck_assert_msg(strncmp(answer,
	                  "$40\r\n\x83\xa7"
	                  "address\xa3"
	                  "a/b",
	                  18) == 0,
	    "%s", answer);
	(void)rig_ask(&rig, client, "CLIENT ENCODING resp");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL a/b get"),
	    "*6\r\n$7\r\naddress\r\n$3\r\na/"
	    "b\r\n$4\r\nlist\r\n*4\r\n:7\r\n$3\r\n0.5\r\n:1\r\n$-1\r\n"
	    "$4\r\nname\r\n$3\r\nget\r\n");
	(void)rig_ask(&rig, client, "HELLO 3");
	ck_assert_str_eq(rig_ask(&rig, client, "CALL a/b get"),
	    "%3\r\n$7\r\naddress\r\n$3\r\na/"
	    "b\r\n$4\r\nlist\r\n*4\r\n:7\r\n,0.5\r\n#t\r\n_\r\n$4\r\n"
	    "name\r\n$3\r\nget\r\n");
	/* Errors and lists are the same in all of them. */
	ck_assert_str_eq(rig_ask(&rig, client, "CALL cart/c1"), "$16\r\n{\"exists\":false}\r\n");
	struct io_socket *other = rig_connect(&rig);
	ck_assert_msg(rig_ask(&rig, other, "CALL a/b get")[0] == '$', "JSON at first");
}
END_TEST

START_TEST(replies_come_in_the_order_of_requests)
{
	/* What is late, or given at once, does not overtake. */
	const char *answer = rig_say(&rig, client,
	    "CALL a/1 late\r\nPING\r\nCALL a/2 get\r\nECHO x\r\nCALL a/3 fail\r\nPING\r\n");
	static const char *const order[] = {
	    "\"a/1\"", "+PONG", "\"a/2\"", "$1\r\nx\r\n", "-FAILED_PRECONDITION", "+PONG"};
	const char *at = answer;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		at = strstr(at, order[i]);
		ck_assert_msg(at != NULL, "%s is missing or too early in %s", order[i], answer);
		at += strlen(order[i]);
	}
}
END_TEST

START_TEST(a_waiting_call_holds_back_what_is_behind_it)
{
	ck_assert_str_eq(rig_say(&rig, client, "CALL a/1 wait\r\nPING\r\nCALL a/2 get\r\n"), "");
	struct io_socket *other = rig_connect(&rig);
	ck_assert_str_eq(rig_ask(&rig, other, "PING"), "+PONG\r\n");
	fake_shards_release(rig.shards);
	const char *answer = rig_say(&rig, client, "");
	ck_assert_ptr_nonnull(strstr(answer, "\"a/1\""));
	ck_assert_ptr_nonnull(strstr(answer, "+PONG\r\n$"));
}
END_TEST

START_TEST(the_protocol_is_that_of_the_requests_time)
{
	(void)rig_ask(&rig, client, "CLIENT ENCODING resp");
	const char *answer =
	    rig_say(&rig, client, "CALL a/1 nothing\r\nHELLO 3\r\nCALL a/1 nothing\r\n");
	ck_assert_msg(strncmp(answer, "$-1\r\n%7\r\n", 9) == 0, "%s", answer);
	ck_assert_str_eq(answer + strlen(answer) - 3, "_\r\n");
}
END_TEST

START_TEST(a_connection_may_end_while_calls_are_under_way)
{
	ck_assert_str_eq(rig_say(&rig, client, "CALL a/1 wait\r\nCALL a/2 get\r\n"), "");
	struct io_socket *other = rig_connect(&rig);
	(void)rig_ask(&rig, other, "CLIENT KILL ID 1");
	ck_assert(fake_closed(client));
	ck_assert_uint_eq(gate_figures(rig.gate).calls_under_way, 1);
	fake_shards_release(rig.shards);
	rig_run(&rig);
	ck_assert_uint_eq(gate_figures(rig.gate).calls_under_way, 0);
	ck_assert_uint_eq(gate_figures(rig.gate).connections, 1);
}
END_TEST

Suite *calls_suite(void)
{
	Suite *suite = suite_create("calls");
	TCase *tcase = tcase_create("calls");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, a_call_reaches_the_shard_with_everything);
	tcase_add_test(tcase, an_option_word_is_no_payload);
	tcase_add_test(tcase, fcall_is_the_same_call);
	tcase_add_test(tcase, wrong_calls_are_refused_before_a_shard_sees_them);
	tcase_add_test(tcase, answers_of_shards_become_replies);
	tcase_add_test(tcase, nothing_is_the_null_of_the_encoding);
	tcase_add_test(tcase, encodings_are_the_connections_own);
	tcase_add_test(tcase, replies_come_in_the_order_of_requests);
	tcase_add_test(tcase, a_waiting_call_holds_back_what_is_behind_it);
	tcase_add_test(tcase, the_protocol_is_that_of_the_requests_time);
	tcase_add_test(tcase, a_connection_may_end_while_calls_are_under_way);
	suite_add_tcase(suite, tcase);
	return suite;
}
