/* ADMIN, as docs/admin-protocol.md says it. */
#include <stdio.h>
#include <string.h>

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

/* The bulk string's text. */
static const char *ask(const char *words)
{
	const char *answer = rig_ask(&rig, client, words);
	if (answer[0] != '$')
		return answer;
	static char text[65536];
	snprintf(text, sizeof(text), "%s", strstr(answer, "\r\n") + 2);
	char *end = strstr(text, "\r\n");
	if (end)
		*end = 0;
	return text;
}

START_TEST(apps_are_the_directorys)
{
	ck_assert_str_eq(ask("ADMIN APP LIST"), "{\"done\":true}");
	ck_assert_int_eq(rig.verb, META_APP_LIST);
	ck_assert_str_eq(ask("ADMIN APP DEPLOY bytes"), "{\"done\":true}");
	ck_assert_int_eq(rig.verb, META_APP_DEPLOY);
	ck_assert_uint_eq(rig.bundle_bytes, 5);
	ck_assert(!rig.dry_run);
	(void)ask("admin app deploy bytes dryrun expect abc drop cart wallet");
	ck_assert(rig.dry_run);
	ck_assert_str_eq(rig.expected, "abc");
	ck_assert_str_eq(rig.dropped, "cart wallet");
	(void)ask("ADMIN APP ACTIVATE shop 00ff EXPECT aa");
	ck_assert_int_eq(rig.verb, META_APP_ACTIVATE);
	ck_assert_str_eq(rig.app, "shop");
	ck_assert_str_eq(rig.hash, "00ff");
	(void)ask("ADMIN APP ROLLBACK shop");
	ck_assert_int_eq(rig.verb, META_APP_ROLLBACK);
	(void)ask("ADMIN APP REMOVE shop DROP cart");
	ck_assert_int_eq(rig.verb, META_APP_REMOVE);
	ck_assert_str_eq(rig.dropped, "cart");
	ck_assert_str_eq(
	    ask("ADMIN APP ROLLBACK absent"), "-NOT_FOUND there is no app of this name\r\n");
}
END_TEST

START_TEST(nodes_and_shards_are_the_directorys)
{
	ck_assert_str_eq(ask("ADMIN CLUSTER STATUS"), "{\"done\":true}");
	ck_assert_int_eq(rig.verb, META_CLUSTER_STATUS);
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3");
	ck_assert_int_eq(rig.verb, META_CLUSTER_RECOVER);
	ck_assert(!rig.dry_run);
	ck_assert_str_eq(rig.wanted, "2 learner, 3 learner, ");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 DRYRUN");
	ck_assert(rig.dry_run);
	ck_assert_str_eq(rig.wanted, "2 learner, ");
	(void)ask("admin node drain 2");
	ck_assert_int_eq(rig.verb, META_NODE_DRAIN);
	ck_assert_uint_eq(rig.node, 2);
	(void)ask("ADMIN NODE UNDRAIN 65535");
	ck_assert_int_eq(rig.verb, META_NODE_UNDRAIN);
	ck_assert_uint_eq(rig.node, 65535);
	(void)ask("ADMIN NODE REMOVE 3");
	ck_assert_int_eq(rig.verb, META_NODE_REMOVE);
	ck_assert(!rig.force);
	(void)ask("ADMIN NODE REMOVE 3 FORCE");
	ck_assert(rig.force);
	(void)ask("ADMIN SHARD SET 7 12 1 3 LEARNERS 2");
	ck_assert_int_eq(rig.verb, META_SHARD_SET);
	ck_assert_uint_eq(rig.shard, 7);
	ck_assert_uint_eq(rig.generation, 12);
	ck_assert_str_eq(rig.wanted, "1 voter, 3 voter, 2 learner, ");
	(void)ask("ADMIN SHARD LEAD 7 3");
	ck_assert_int_eq(rig.verb, META_SHARD_LEAD);
	ck_assert_uint_eq(rig.shard, 7);
	ck_assert_uint_eq(rig.node, 3);
	(void)ask("ADMIN NODE LIST");
	ck_assert_int_eq(rig.verb, META_NODE_LIST);
}
END_TEST

START_TEST(who_has_proved_nothing_is_given_up_by_a_word_more)
{
	(void)ask("ADMIN NODE REMOVE 3 FORCE");
	ck_assert(rig.force && !rig.unproved);
	(void)ask("ADMIN NODE REMOVE 3 FORCE UNPROVED");
	ck_assert(rig.force && rig.unproved && !rig.dry_run);
	(void)ask("ADMIN NODE REMOVE 3 FORCE UNPROVED DRYRUN");
	ck_assert(rig.force && rig.unproved && rig.dry_run);
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3");
	ck_assert(!rig.unproved && !rig.damaged);
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3 UNPROVED");
	ck_assert(rig.unproved && !rig.damaged && !rig.dry_run);
	ck_assert_str_eq(rig.wanted, "2 learner, 3 learner, ");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3 DAMAGED UNPROVED DRYRUN");
	ck_assert(rig.unproved && rig.damaged && rig.dry_run);
	ck_assert_str_eq(rig.wanted, "2 learner, 3 learner, ");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE DAMAGED");
	ck_assert(rig.damaged && !rig.unproved);
}
END_TEST

START_TEST(a_recovery_may_be_told_what_plan_is_expected)
{
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3");
	ck_assert_str_eq(rig.expected, "");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 3 EXPECT 00ff");
	ck_assert_str_eq(rig.expected, "00ff");
	ck_assert(!rig.dry_run);
	ck_assert_str_eq(rig.wanted, "2 learner, 3 learner, ");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE 2 DAMAGED UNPROVED expect 00ff DRYRUN");
	ck_assert_str_eq(rig.expected, "00ff");
	ck_assert(rig.dry_run && rig.damaged && rig.unproved);
	ck_assert_str_eq(rig.wanted, "2 learner, ");
	(void)ask("ADMIN CLUSTER RECOVER UNSAFE DAMAGED EXPECT 00ff");
	ck_assert(rig.damaged);
	ck_assert_str_eq(rig.expected, "00ff");
}
END_TEST

START_TEST(what_changes_a_cluster_may_be_tried)
{
	static const char *const words[] = {"ADMIN NODE DRAIN 2", "ADMIN NODE UNDRAIN 2",
	    "ADMIN NODE REMOVE 2", "ADMIN NODE REMOVE 2 FORCE", "ADMIN SHARD LEAD 7 2",
	    "ADMIN SHARD SET 7 12 1 3", "ADMIN SHARD SET 7 12 1 LEARNERS 3"};
	char tried[64];
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		snprintf(tried, sizeof(tried), "%s dryrun", words[i]);
		ck_assert_str_eq(ask(tried), "{\"done\":true}");
		ck_assert_msg(rig.dry_run, "%s", tried);
		ck_assert_str_eq(ask(words[i]), "{\"done\":true}");
		ck_assert_msg(!rig.dry_run, "%s", words[i]);
	}
	(void)ask("ADMIN SHARD SET 7 12 1 LEARNERS 3 DRYRUN");
	ck_assert_str_eq(rig.wanted, "1 voter, 3 learner, ");
	(void)ask("ADMIN NODE REMOVE 3 FORCE DRYRUN");
	ck_assert(rig.force);
}
END_TEST

START_TEST(malformed_administration_is_told_the_form)
{
	static const struct {
		const char *ask, *answer;
	} cases[] = {
	    {"ADMIN", "-ERR wrong number of arguments for 'admin' command\r\n"},
	    {"ADMIN FROB", "-INVALID_ARGUMENT ADMIN "
	                   "APP|CLUSTER|CONFIG|ENTITY|ERROR|LOGS|NODE|SHARD|SLOWLOG|STATUS|"
	                   "CHECKPOINT ...\r\n"},
	    {"ADMIN APP", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN APP DEPLOY", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN APP LIST x", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN APP ACTIVATE shop", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN APP ROLLBACK shop FROB", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN APP ROLLBACK shop DROP", "-INVALID_ARGUMENT ADMIN APP DEPLOY"},
	    {"ADMIN CLUSTER", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS | RECOVER"},
	    {"ADMIN CLUSTER RECOVER 2", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS | RECOVER"},
	    {"ADMIN CLUSTER RECOVER UNSAFE DRYRUN", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS"},
	    {"ADMIN CLUSTER RECOVER UNSAFE EXPECT aa", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS"},
	    {"ADMIN CLUSTER RECOVER UNSAFE 2 EXPECT", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS"},
	    {"ADMIN CLUSTER STATUS x", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS | RECOVER"},
	    {"ADMIN NODE DRAIN", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE DRAIN 0", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE DRAIN 65536", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE LIST x", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE REMOVE DRYRUN", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE DRAIN 1 FORCE", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE REMOVE 1 UNPROVED", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN NODE REMOVE 1 FORCE x", "-INVALID_ARGUMENT ADMIN NODE LIST"},
	    {"ADMIN CLUSTER RECOVER UNSAFE UNPROVED", "-INVALID_ARGUMENT ADMIN CLUSTER STATUS"},
	    {"ADMIN SHARD SET 1 2", "-INVALID_ARGUMENT ADMIN SHARD SET"},
	    {"ADMIN SHARD SET 1 2 x", "-INVALID_ARGUMENT ADMIN SHARD SET"},
	    {"ADMIN SHARD SET 1 2 LEARNERS", "-INVALID_ARGUMENT ADMIN SHARD SET"},
	    {"ADMIN SHARD LEAD 1", "-INVALID_ARGUMENT ADMIN SHARD SET"},
	    {"ADMIN ENTITY GET", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN ENTITY GET cart",
	        "-INVALID_ARGUMENT an address is type/id, for example cart/c1\r\n"},
	    {"ADMIN ENTITY GET a/b REVISION 0", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN ENTITY GET a/b COUNT 5", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN ENTITY LIST Cart", "-INVALID_ARGUMENT expected a type"},
	    {"ADMIN ENTITY LIST cart CURSOR 9:x", "-INVALID_ARGUMENT expected a type"},
	    {"ADMIN ENTITY LIST cart CURSOR x", "-INVALID_ARGUMENT expected a type"},
	    {"ADMIN ENTITY LIST cart COUNT 1001", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN ERROR", "-INVALID_ARGUMENT ADMIN ERROR reference"},
	    {"ADMIN ERROR LIST COUNT", "-INVALID_ARGUMENT ADMIN ERROR reference"},
	    {"ADMIN ENTITY GET cart/c1 AS xml", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN ENTITY LIST cart AS json", "-INVALID_ARGUMENT ADMIN ENTITY GET"},
	    {"ADMIN STATUS x", "-INVALID_ARGUMENT ADMIN STATUS\r\n"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *answer = ask(cases[i].ask);
		ck_assert_msg(strncmp(answer, cases[i].answer, strlen(cases[i].answer)) == 0,
		    "%s: %s", cases[i].ask, answer);
	}
}
END_TEST

START_TEST(an_entity_is_asked_of_its_shard)
{
	ck_assert_str_eq(ask("ADMIN ENTITY GET cart/c1 REVISION 7"), "{\"exists\":false}");
	const struct fake_last *last = fake_shards_last(rig.shards);
	ck_assert_int_eq(last->kind, SHARD_GET);
	ck_assert_str_eq(last->address, "cart/c1");
	ck_assert_uint_eq(last->at_revision, 7);
	ck_assert_str_eq(
	    ask("ADMIN ENTITY HISTORY cart/c1 COUNT 5 CURSOR abc"), "{\"exists\":false}");
	ck_assert_int_eq(last->kind, SHARD_HISTORY);
	ck_assert_int_eq(last->reply_encoding, HOST_JSON);
	ck_assert_str_eq(ask("ADMIN ENTITY HISTORY cart/c1 AS msgpack"), "{\"exists\":false}");
	ck_assert_int_eq(last->reply_encoding, HOST_MSGPACK);
	ck_assert_str_eq(ask("ADMIN ENTITY GET cart/c1 AS json"), "{\"exists\":false}");
	ck_assert_int_eq(last->reply_encoding, HOST_JSON);
}
END_TEST

START_TEST(entities_of_a_type_are_listed_over_all_shards)
{
	ck_assert_str_eq(ask("ADMIN ENTITY LIST cart"),
	    "{\"addresses\":[\"cart/1-a\",\"cart/1-b\",\"cart/2-a\",\"cart/2-b\",\"cart/3-a\","
	    "\"cart/3-b\",\"cart/4-a\",\"cart/4-b\"]}");
	/* Page by page the same. */
	ck_assert_str_eq(ask("ADMIN ENTITY LIST cart COUNT 1"),
	    "{\"addresses\":[\"cart/1-a\"],\"cursor\":\"1:2nd\"}");
	ck_assert_str_eq(ask("ADMIN ENTITY LIST cart COUNT 1 CURSOR 1:2nd"),
	    "{\"addresses\":[\"cart/1-b\"],\"cursor\":\"2:\"}");
	ck_assert_str_eq(ask("ADMIN ENTITY LIST cart COUNT 3 CURSOR 2:"),
	    "{\"addresses\":[\"cart/2-a\",\"cart/2-b\",\"cart/3-a\"],\"cursor\":\"3:2nd\"}");
	ck_assert_str_eq(ask("ADMIN ENTITY LIST cart COUNT 2 CURSOR 4:"),
	    "{\"addresses\":[\"cart/4-a\",\"cart/4-b\"]}");
}
END_TEST

START_TEST(errors_of_handlers_are_kept_and_found)
{
	ck_assert_str_eq(ask("ADMIN ERROR LIST"), "[]");
	for (int i = 0; i < 6; i++)
		(void)ask("CALL cart/c1 broken");
	ck_assert_str_eq(ask("ADMIN ERROR ref0-6"),
	    "{\"address\":\"cart/c1\",\"at\":6,\"bundle\":\"00000000000000000000000000000000\","
	    "\"command\":\"broken\",\"message\":\"attempt to index a nil value\",\"reference\":"
	    "\"ref0-6\",\"traceback\":\"cart.lua:12: in broken\"}");
	/* Four are kept. */
	ck_assert_str_eq(
	    ask("ADMIN ERROR ref0-2"), "-NOT_FOUND no error of this reference is kept here\r\n");
	const char *list = ask("ADMIN ERROR LIST COUNT 2");
	ck_assert_ptr_nonnull(strstr(list, "\"reference\":\"ref0-6\""));
	ck_assert_ptr_nonnull(strstr(list, "\"reference\":\"ref0-5\""));
	ck_assert(strstr(list, "ref0-6") < strstr(list, "ref0-5"));
	ck_assert_ptr_null(strstr(list, "ref0-4"));
	ck_assert_ptr_null(strstr(list, "traceback"));
}
END_TEST

START_TEST(status_and_checkpoint_go_around_the_cores)
{
	const char *status = ask("ADMIN STATUS");
	ck_assert_str_eq(status,
	    "{\"cluster\":\"fedcba9876543210fedcba9876543210\",\"cores\":[{\"closed\":0,"
	    "\"connections\":1,\"core\":0,\"errors\":0,\"leading\":4,\"requests\":1,\"shards\":4,"
	    "\"stores\":[]}],\"id\":\"0123456789abcdef0123456789abcdef01234567\","
	    "\"mode\":\"dev\",\"node\":0,\"pending\":3,\"ports\":{\"cluster\":7472,\"port\":7470},"
	    "\"ready\":true,\"shards\":4,"
	    "\"uptime_ms\":"
	    "0,"
	    "\"version\":\"0.1.0\"}");
	ck_assert_str_eq(ask("ADMIN CHECKPOINT"), "{\"stores\":2}");
}
END_TEST

START_TEST(the_configuration_is_the_servers_and_reaches_the_gate)
{
	ck_assert_str_eq(ask("ADMIN CONFIG GET"), "{\"keys\":[64]}");
	ck_assert_str_eq(ask("ADMIN CONFIG GET max_pipeline max_pipeline"), "{\"keys\":[64,64]}");
	ck_assert_str_eq(ask("ADMIN CONFIG GET frob"), "-INVALID_ARGUMENT no such key\r\n");
	ck_assert_str_eq(ask("ADMIN CONFIG SET max_pipeline 2"), "2");
	ck_assert_str_eq(ask("ADMIN CONFIG GET"), "{\"keys\":[2]}");
	ck_assert_str_eq(
	    ask("ADMIN CONFIG SET port 1"), "-FAILED_PRECONDITION only at a start\r\n");
	ck_assert_str_eq(
	    ask("ADMIN CONFIG SET max_pipeline no"), "-INVALID_ARGUMENT no such value\r\n");
	ck_assert_str_eq(ask("ADMIN CONFIG SET port"),
	    "-INVALID_ARGUMENT ADMIN CONFIG GET [name...] | SET name value\r\n");
	/* Of three calls that wait the gate begins two, and reads no further. */
	static const char calls[] = "CALL a/1 wait\r\nCALL a/1 wait\r\nCALL a/1 wait\r\n";
	fake_write(client, calls, sizeof(calls) - 1);
	rig_run(&rig);
	ck_assert_uint_eq(gate_figures(rig.gate).calls_under_way, 2);
	fake_shards_release(rig.shards);
	rig_run(&rig);
	fake_shards_release(rig.shards);
	rig_run(&rig);
}
END_TEST

START_TEST(calls_that_took_long_are_kept_without_their_payload)
{
	ck_assert_str_eq(ask("ADMIN SLOWLOG"), "[]");
	(void)ask("CALL cart/c1 get");
	(void)ask("CLIENT SETNAME till");
	(void)ask("CALL cart/c1 slow {\"secret\":1} TIMEOUT 9");
	(void)ask("FCALL slow 1 cart/c2");
	const char *list = ask("ADMIN SLOWLOG");
	ck_assert_ptr_nonnull(strstr(list, "[{\"address\":\"cart/c2\",\"at\":1"));
	ck_assert_ptr_nonnull(strstr(list, "\"client_name\":\"till\",\"command\":\"slow\",\"id\":1,"
	                                   "\"payload_bytes\":0,\"took_us\":250000}"));
	ck_assert_ptr_nonnull(strstr(list, "\"id\":0,\"payload_bytes\":12,\"took_us\":250000}]"));
	ck_assert_ptr_null(strstr(list, "secret"));
	ck_assert_ptr_null(strstr(ask("ADMIN SLOWLOG COUNT 1"), "cart/c1"));
	const char *redis = rig_ask(&rig, client, "SLOWLOG GET");
	ck_assert_int_eq(strncmp(redis, "*2\r\n*6\r\n:1\r\n:", 13), 0);
	ck_assert_ptr_nonnull(strstr(redis, ":250000\r\n*4\r\n$4\r\ncall\r\n$7\r\ncart/c1\r\n"
	                                    "$4\r\nslow\r\n$10\r\n(12 bytes)\r\n"));
	ck_assert_ptr_nonnull(strstr(redis, "*3\r\n$5\r\nfcall\r\n$7\r\ncart/c2\r\n"));
	ck_assert_int_eq(strncmp(rig_ask(&rig, client, "SLOWLOG GET -1"), "*2", 2), 0);
	ck_assert_int_eq(strncmp(rig_ask(&rig, client, "SLOWLOG GET 0"), "*0", 2), 0);
	ck_assert_str_eq(rig_ask(&rig, client, "SLOWLOG GET -2"),
	    "-ERR count should be greater than or equal to -1\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "SLOWLOG LEN"), ":2\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "SLOWLOG RESET"), "+OK\r\n");
	ck_assert_str_eq(rig_ask(&rig, client, "SLOWLOG LEN"), ":0\r\n");
	for (int i = 0; i < 130; i++)
		(void)ask("CALL cart/c1 slow");
	ck_assert_str_eq(rig_ask(&rig, client, "SLOWLOG LEN"), ":128\r\n");
	ck_assert_str_eq(ask("ADMIN SLOWLOG RESET"), "{\"forgotten\":128}");
	ck_assert_str_eq(
	    ask("ADMIN SLOWLOG COUNT"), "-INVALID_ARGUMENT ADMIN SLOWLOG [COUNT n] | RESET\r\n");
}
END_TEST

Suite *admin_suite(void)
{
	Suite *suite = suite_create("admin");
	TCase *tcase = tcase_create("admin");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, apps_are_the_directorys);
	tcase_add_test(tcase, nodes_and_shards_are_the_directorys);
	tcase_add_test(tcase, who_has_proved_nothing_is_given_up_by_a_word_more);
	tcase_add_test(tcase, a_recovery_may_be_told_what_plan_is_expected);
	tcase_add_test(tcase, what_changes_a_cluster_may_be_tried);
	tcase_add_test(tcase, malformed_administration_is_told_the_form);
	tcase_add_test(tcase, an_entity_is_asked_of_its_shard);
	tcase_add_test(tcase, entities_of_a_type_are_listed_over_all_shards);
	tcase_add_test(tcase, errors_of_handlers_are_kept_and_found);
	tcase_add_test(tcase, status_and_checkpoint_go_around_the_cores);
	tcase_add_test(tcase, the_configuration_is_the_servers_and_reaches_the_gate);
	tcase_add_test(tcase, calls_that_took_long_are_kept_without_their_payload);
	suite_add_tcase(suite, tcase);
	return suite;
}
