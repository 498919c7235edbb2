/* Commands and their answers, byte for byte, as clients of Redis see them. */
#include <stdio.h>
#include <string.h>

#include "server/gate/commands.h"
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

struct exchange {
	const char *ask, *answer;
};

static void check_exchanges(const struct exchange *exchanges, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct io_socket *client = rig_connect(&rig);
		const char *answer = rig_ask(&rig, client, exchanges[i].ask);
		ck_assert_msg(strcmp(answer, exchanges[i].answer) == 0,
		    "%s\nwanted: %s\ngot:    %s", exchanges[i].ask, exchanges[i].answer, answer);
	}
}

#define CHECK_EXCHANGES(exchanges)                                                                 \
	check_exchanges(exchanges, sizeof(exchanges) / sizeof((exchanges)[0]))

START_TEST(connection_commands_answer_as_redis_does)
{
	static const struct exchange exchanges[] = {
	    {"PING", "+PONG\r\n"},
	    {"ping", "+PONG\r\n"},
	    {"PING hi", "$2\r\nhi\r\n"},
	    {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
	    {"ECHO hello", "$5\r\nhello\r\n"},
	    {"ECHO", "-ERR wrong number of arguments for 'echo' command\r\n"},
	    {"SELECT 0", "+OK\r\n"},
	    {"SELECT 1", "-ERR DB index is out of range\r\n"},
	    {"SELECT x", "-ERR value is not an integer or out of range\r\n"},
	    {"RESET", "+RESET\r\n"},
	    {"QUIT", "+OK\r\n"},
	    {"READONLY", "+OK\r\n"},
	    {"READWRITE", "+OK\r\n"},
	    {"READONLY x", "-ERR wrong number of arguments for 'readonly' command\r\n"},
	    {"AUTH secret",
	        "-ERR AUTH <password> called without any password configured for the default user. "
	        "Are you sure your configuration is correct?\r\n"},
	    {"AUTH default anything", "+OK\r\n"},
	    {"AUTH somebody anything",
	        "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
	    {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
	    {"HELLO x", "-ERR Protocol version is not an integer or out of range\r\n"},
	    {"HELLO 3 SETNAME", "-ERR Syntax error in HELLO\r\n"},
	    {"CLIENT ID", ":1\r\n"},
	};
	/* The last one is the connection's number: as many came before. */
	size_t count = sizeof(exchanges) / sizeof(exchanges[0]);
	check_exchanges(exchanges, count - 1);
	char number[32];
	snprintf(number, sizeof(number), ":%zu\r\n", count);
	ck_assert_str_eq(rig_ask(&rig, rig_connect(&rig), "CLIENT ID"), number);
}
END_TEST

START_TEST(hello_tells_who_is_there_in_both_protocols)
{
	struct io_socket *client = rig_connect(&rig);
	ck_assert_str_eq(rig_ask(&rig, client, "HELLO"),
	    "*14\r\n$6\r\nserver\r\n$5\r\nkalix\r\n$7\r\nversion\r\n$5\r\n0.1.0\r\n$5\r\nproto\r\n"
	    ":2\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\n"
	    "master\r\n$7\r\nmodules\r\n*0\r\n");
	const char *answer = rig_ask(&rig, client, "HELLO 3 AUTH default x SETNAME me");
	ck_assert_msg(strncmp(answer, "%7\r\n$6\r\nserver\r\n", 16) == 0, "%s", answer);
	ck_assert_ptr_nonnull(strstr(answer, "$5\r\nproto\r\n:3\r\n"));
	ck_assert_str_eq(rig_ask(&rig, client, "CLIENT GETNAME"), "$2\r\nme\r\n");
	struct io_socket *follower = fake_connect(rig.io, 1);
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, follower, "HELLO 3"), "$4\r\nmode\r\n$7\r\ncluster\r\n"));
}
END_TEST

START_TEST(client_commands_answer_as_redis_does)
{
	static const struct exchange exchanges[] = {
	    {"CLIENT GETNAME", "$-1\r\n"},
	    {"CLIENT SETNAME me", "+OK\r\n"},
	    {"CLIENT SETNAME m\x01",
	        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
	    {"CLIENT SETINFO LIB-NAME ioredis", "+OK\r\n"},
	    {"CLIENT SETINFO lib-ver 5.0.0", "+OK\r\n"},
	    {"CLIENT SETINFO colour red", "-ERR Unrecognized option\r\n"},
	    {"CLIENT NO-EVICT ON", "+OK\r\n"},
	    {"CLIENT NO-TOUCH off", "+OK\r\n"},
	    {"CLIENT NO-TOUCH maybe", "-ERR syntax error\r\n"},
	    {"CLIENT MAINT_NOTIFICATIONS ON moving-endpoint-type none", "+OK\r\n"},
	    {"CLIENT PROXY OFF", "+OK\r\n"},
	    {"CLIENT ENCODING resp", "+OK\r\n"},
	    {"CLIENT ENCODING xml", "-ERR CLIENT ENCODING is json, msgpack or resp\r\n"},
	    {"CLIENT KILL 127.0.0.1:1", "-ERR No such client\r\n"},
	    {"CLIENT KILL ID 999", ":0\r\n"},
	    {"CLIENT KILL ID", "-ERR No such client\r\n"},
	    {"CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n"},
	    {"CLIENT LIST TYPE pubsub", "$0\r\n\r\n"},
	    {"CLIENT LIST TYPE fish", "-ERR syntax error\r\n"},
	    {"CLIENT SESSION", "-UNIMPLEMENTED client|session is not part of this version\r\n"},
	    {"CLIENT FROB", "-ERR unknown subcommand 'FROB'. Try CLIENT HELP.\r\n"},
	    {"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
	    {"CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command\r\n"},
	};
	CHECK_EXCHANGES(exchanges);
}
END_TEST

START_TEST(client_list_and_kill_see_every_connection)
{
	struct io_socket *one = rig_connect(&rig), *other = rig_connect(&rig);
	(void)rig_ask(&rig, other, "CLIENT SETNAME other");
	const char *list = rig_ask(&rig, one, "CLIENT LIST");
	ck_assert_ptr_nonnull(strstr(list, "id=1 addr=127.0.0.1:40001 "));
	ck_assert_ptr_nonnull(strstr(list, " name=other "));
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, one, "CLIENT INFO"), "id=1 "));
	ck_assert_str_eq(rig_ask(&rig, one, "CLIENT KILL ID 2 SKIPME no"), ":1\r\n");
	ck_assert(fake_closed(other));
	ck_assert(!fake_closed(one));
	/* Who ends itself gets the answer first. */
	ck_assert_str_eq(rig_ask(&rig, one, "CLIENT KILL 127.0.0.1:40001"), "+OK\r\n");
	ck_assert(fake_closed(one));
}
END_TEST

START_TEST(cluster_commands_announce_one_node_with_all_slots)
{
	static const struct exchange exchanges[] = {
	    {"CLUSTER SLOTS",
	        "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$9\r\n127.0.0.1\r\n:7472\r\n$40\r\n"
	        "0123456789abcdef0123456789abcdef01234567\r\n*0\r\n"},
	    {"CLUSTER MYID", "$40\r\n0123456789abcdef0123456789abcdef01234567\r\n"},
	    {"CLUSTER KEYSLOT foo", ":12182\r\n"},
	    {"CLUSTER KEYSLOT {user1000}.following", ":3443\r\n"},
	    {"CLUSTER LINKS", "*0\r\n"},
	    {"CLUSTER NODES",
	        "$121\r\n0123456789abcdef0123456789abcdef01234567 127.0.0.1:7472@7471 "
	        "myself,master - 0 0 1 connected 0-16383\n\r\n"},
	    {"CLUSTER RESET", "-ERR unknown subcommand 'RESET'. Try CLUSTER HELP.\r\n"},
	};
	char nodes[256];
	struct io_socket *client = rig_connect(&rig);
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++) {
		const char *answer = rig_ask(&rig, client, exchanges[i].ask);
		if (strcmp(exchanges[i].ask, "CLUSTER NODES") == 0) {
			const char *body = strstr(exchanges[i].answer, "\r\n") + 2;
			snprintf(nodes, sizeof(nodes), "$%zu\r\n%s", strlen(body) - 2, body);
			ck_assert_str_eq(answer, nodes);
		} else {
			ck_assert_str_eq(answer, exchanges[i].answer);
		}
	}
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, client, "CLUSTER INFO"), "cluster_state:ok\r\n"));
	rig.ready = false;
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, client, "CLUSTER INFO"), "cluster_state:fail\r\n"));
	(void)rig_ask(&rig, client, "HELLO 3");
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "CLUSTER SHARDS"),
	    "*1\r\n%2\r\n$5\r\nslots\r\n*2\r\n:0\r\n:16383\r\n$5\r\nnodes\r\n*1\r\n%7\r\n"));
}
END_TEST

START_TEST(unknown_commands_are_explained)
{
	static const struct exchange exchanges[] = {
	    {"FROBNICATE", "-ERR unknown command 'FROBNICATE'\r\n"},
	    {"GET cart/c1", "-ERR unknown command 'GET', try: CALL cart/c1 get\r\n"},
	    {"get cart/c1", "-ERR unknown command 'get', try: CALL cart/c1 get\r\n"},
	    {"GET plainkey", "-ERR unknown command 'GET', try: CALL type/id get\r\n"},
	    {"SET a b", "-ERR unknown command 'SET', try: CALL type/id COMMAND PAYLOAD, with a "
	                "command of the entity\r\n"},
	    {"SET", "-ERR unknown command 'SET', try: CALL type/id COMMAND PAYLOAD, with a "
	            "command of the entity\r\n"},
	    {"cart/c1 add_item", "-ERR unknown command, try: CALL cart/c1 add_item\r\n"},
	    {"MULTI",
	        "-ERR unknown command 'MULTI', try: CALL address command payload; a handler is "
	        "the transaction: all that it changes takes effect together, or nothing\r\n"},
	    {"exec", "-ERR unknown command 'exec', try: CALL address command payload; a handler is "
	             "the transaction: all that it changes takes effect together, or nothing\r\n"},
	    {"KEYS *", "-ERR unknown command 'KEYS', try: ADMIN ENTITY LIST type\r\n"},
	    {"FCAL f 1 a/b", "-ERR unknown command 'FCAL', did you mean fcall?\r\n"},
	    {"client|id", "-ERR unknown command 'client|id', did you mean client?\r\n"},
	};
	CHECK_EXCHANGES(exchanges);
}
END_TEST

START_TEST(commands_of_later_versions_say_so)
{
	static const struct exchange exchanges[] = {
	    {"QUERY orders.open", "-UNIMPLEMENTED query is not part of this version\r\n"},
	    {"PUBLISH news hello", "-UNIMPLEMENTED publish is not part of this version\r\n"},
	    {"READ news GROUP g", "-UNIMPLEMENTED read is not part of this version\r\n"},
	    {"ACK news g 1", "-UNIMPLEMENTED ack is not part of this version\r\n"},
	    {"SUBSCRIBE news", "-UNIMPLEMENTED subscribe is not part of this version\r\n"},
	    {"CLIENT WILL OFF", "-UNIMPLEMENTED client|will is not part of this version\r\n"},
	};
	CHECK_EXCHANGES(exchanges);
}
END_TEST

START_TEST(command_tells_arity_and_keys_of_every_command)
{
	static const struct exchange exchanges[] = {
	    {"COMMAND INFO ping call nothing", "*3\r\n*10\r\n$4\r\nping\r\n:-1\r\n*2\r\n+fast\r\n+"
	                                       "loading\r\n:0\r\n:0\r\n:0\r\n*0\r\n"
	                                       "*0\r\n*0\r\n*0\r\n*10\r\n$4\r\ncall\r\n:-2\r\n*"
	                                       "1\r\n+write\r\n:1\r\n:1\r\n:1\r\n*0\r\n"
	                                       "*0\r\n*0\r\n*0\r\n$-1\r\n"},
	    {"COMMAND GETKEYS CALL cart/c1 get", "*1\r\n$7\r\ncart/c1\r\n"},
	    {"COMMAND GETKEYS FCALL get 1 cart/c1 x", "*1\r\n$7\r\ncart/c1\r\n"},
	    {"COMMAND GETKEYS FCALL get 5 cart/c1",
	        "-ERR Invalid arguments specified for command\r\n"},
	    {"COMMAND GETKEYS FCALL get 0", "-ERR The command has no key arguments\r\n"},
	    {"COMMAND GETKEYS PING", "-ERR The command has no key arguments\r\n"},
	    {"COMMAND GETKEYS FROB", "-ERR Invalid command specified\r\n"},
	    {"COMMAND GETKEYS CALL", "-ERR Invalid number of arguments specified for command\r\n"},
	    {"COMMAND LIST FILTERBY PATTERN fcall*", "*2\r\n$5\r\nfcall\r\n$8\r\nfcall_ro\r\n"},
	    {"COMMAND LIST FILTERBY", "-ERR syntax error\r\n"},
	    {"COMMAND DOCS echo",
	        "*2\r\n$4\r\necho\r\n*8\r\n$7\r\nsummary\r\n$19\r\nGives the text "
	        "back\r\n$5\r\nsince"
	        "\r\n$5\r\n0.1.0\r\n$5\r\ngroup\r\n$10\r\nconnection\r\n$6\r\nsyntax\r\n$9\r\n"
	        "ECHO text\r\n"},
	};
	CHECK_EXCHANGES(exchanges);
}
END_TEST

START_TEST(the_table_is_sorted_and_whole)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const struct command *command = &commands[i];
		if (i > 0)
			ck_assert_msg(strcmp(commands[i - 1].name, command->name) < 0,
			    "%s is not behind %s", command->name, commands[i - 1].name);
		ck_assert_ptr_eq(command_find(slice_from_text(command->name)), command);
		ck_assert_ptr_nonnull(command->run);
		ck_assert(command->arity != 0);
		if (!command->container)
			continue;
		const struct command *container = command_find(slice_from_text(command->container));
		ck_assert_ptr_nonnull(container);
		const char *word = strchr(command->name, '|') + 1;
		ck_assert_ptr_eq(command_find_sub(container, slice_from_text(word)), command);
	}
}
END_TEST

START_TEST(info_has_figures_of_everything)
{
	struct io_socket *client = rig_connect(&rig);
	(void)rig_ask(&rig, client, "CALL cart/c1 get");
	(void)rig_ask(&rig, client, "CALL cart/c1 fail");
	const char *info = rig_ask(&rig, client, "INFO");
	ck_assert_ptr_nonnull(strstr(info, "kalix_version:0.1.0\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "loading:0\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "connected_clients:1\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "total_calls:2\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(info, "handler_cart.get:calls=2,errors=1,usec_per_call=2.0,usec_p50=2.0,"
	                 "usec_p99=3.0,usec_max=4.0\r\n"));
	ck_assert_ptr_nonnull(
	    strstr(info, "cmdstat_call:calls=2,rejected_calls=0,failed_calls=1\r\n"));
	const char *section = rig_ask(&rig, client, "INFO clients");
	ck_assert_ptr_nonnull(strstr(section, "# Clients\r\n"));
	ck_assert_ptr_null(strstr(section, "# Server"));
	section = rig_ask(&rig, client, "INFO persistence");
	ck_assert_ptr_nonnull(strstr(section, "# Persistence\r\nloading:0\r\nstores:2\r\n"
	                                      "stores_writable:1\r\n"));
	ck_assert_ptr_nonnull(strstr(section, "checkpoints:7\r\n"));
	ck_assert_ptr_nonnull(strstr(section, "log_waiting_ms:2500\r\n"));
	section = rig_ask(&rig, client, "INFO replication");
	ck_assert_ptr_nonnull(strstr(section, "links_connected:4\r\nlinks_refused_secret:7\r\n"));
	section = rig_ask(&rig, client, "INFO memory");
	ck_assert_ptr_nonnull(strstr(section, "cache_memory:4096\r\n"));
	(void)rig_ask(&rig, client, "HELLO 3");
	ck_assert_msg(rig_ask(&rig, client, "INFO server")[0] == '=', "verbatim in RESP3");
}
END_TEST

START_TEST(nothing_but_a_door_before_authentication)
{
	rig_done(&rig);
	rig_init(&rig);
	memcpy(rig.config.password, "secret", 6);
	rig.config.password_bytes = 6;
	rig_open(&rig);
	struct io_socket *client = rig_connect(&rig);
	static const struct exchange exchanges[] = {
	    {"PING", "-NOAUTH Authentication required.\r\n"},
	    {"FROB", "-NOAUTH Authentication required.\r\n"},
	    {"CALL cart/c1 get", "-NOAUTH Authentication required.\r\n"},
	    {"ADMIN STATUS", "-NOAUTH Authentication required.\r\n"},
	    {"AUTH secre", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
	    {"AUTH secret1", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
	    {"AUTH root secret",
	        "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
	    {"AUTH secret", "+OK\r\n"},
	    {"PING", "+PONG\r\n"},
	    {"RESET", "+RESET\r\n"},
	    {"PING", "-NOAUTH Authentication required.\r\n"},
	    {"AUTH default secret", "+OK\r\n"},
	};
	for (size_t i = 0; i < sizeof(exchanges) / sizeof(exchanges[0]); i++)
		ck_assert_str_eq(rig_ask(&rig, client, exchanges[i].ask), exchanges[i].answer);
	struct io_socket *other = rig_connect(&rig);
	ck_assert_msg(
	    strncmp(rig_ask(&rig, other, "HELLO 3"), "-NOAUTH HELLO must", 18) == 0, "auth");
	ck_assert_msg(
	    rig_ask(&rig, other, "HELLO 3 AUTH default secret")[0] == '%', "with its password");
}
END_TEST

Suite *commands_suite(void)
{
	Suite *suite = suite_create("commands");
	TCase *tcase = tcase_create("commands");
	tcase_add_checked_fixture(tcase, open_rig, close_rig);
	tcase_add_test(tcase, connection_commands_answer_as_redis_does);
	tcase_add_test(tcase, hello_tells_who_is_there_in_both_protocols);
	tcase_add_test(tcase, client_commands_answer_as_redis_does);
	tcase_add_test(tcase, client_list_and_kill_see_every_connection);
	tcase_add_test(tcase, cluster_commands_announce_one_node_with_all_slots);
	tcase_add_test(tcase, unknown_commands_are_explained);
	tcase_add_test(tcase, commands_of_later_versions_say_so);
	tcase_add_test(tcase, command_tells_arity_and_keys_of_every_command);
	tcase_add_test(tcase, the_table_is_sorted_and_whole);
	tcase_add_test(tcase, info_has_figures_of_everything);
	tcase_add_test(tcase, nothing_but_a_door_before_authentication);
	suite_add_tcase(suite, tcase);
	return suite;
}
