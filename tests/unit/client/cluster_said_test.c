/* What kalix-admin cluster status says, behind its table, of documents as a server answers them. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/admin/cluster_document.h"
#include "tests/unit/client/suites.h"

enum { SAID_BYTES = 16384, DOCUMENT_BYTES = 1 << 20 };

static char said[SAID_BYTES], document[DOCUMENT_BYTES];

static void say_quorumless(struct slice of)
{
	cluster_say_quorumless(stdout, of);
}

/* Into `said`. */
static const char *said_by(void (*say)(struct slice document))
{
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	fflush(stdout);
	int kept = dup(STDOUT_FILENO);
	ck_assert_int_ge(dup2(fileno(file), STDOUT_FILENO), 0);
	say(slice_from_text(document));
	fflush(stdout);
	ck_assert_int_ge(dup2(kept, STDOUT_FILENO), 0);
	close(kept);
	rewind(file);
	said[fread(said, 1, sizeof(said) - 1, file)] = 0;
	fclose(file);
	return said;
}

static void add(const char *text)
{
	size_t bytes = strlen(document);
	ck_assert_uint_lt(bytes + strlen(text), sizeof(document));
	memcpy(document + bytes, text, strlen(text) + 1);
}

#define MISSED(node, refused)                                                                      \
	"{\"alive\":false,\"dead_ms\":9000,\"node\":" node refused ",\"state\":\"member\"}"
#define REFUSED(reason) ",\"refused\":\"" reason "\""
#define LACKS(shard, nodes)                                                                        \
	"{\"lacks\":[" nodes "],\"needs\":1,\"quorumless_ms\":9000,\"shard\":" shard "}"

#define THERE(node) "{\"alive\":true,\"node\":" node ",\"state\":\"member\"}"

/* Node 1 says so. */
static const char *say_missed(const char *there, const char *nodes, const char *shards)
{
	document[0] = 0;
	add("{\"by\":1,\"nodes\":[");
	add(there);
	add(",");
	add(nodes);
	add("],\"quorumless\":1,\"shards\":[");
	add(shards);
	add("]}");
	return said_by(say_quorumless);
}

/* Of four nodes two are missed; why a link with them is refused. */
static const char *say_two_missed(const char *nodes, const char *shards)
{
	return say_missed(THERE("1") "," THERE("4"), nodes, shards);
}

START_TEST(who_is_gone_is_given_up_with_a_command)
{
	const char *text = say_two_missed(MISSED("2", "") "," MISSED("3", ""), LACKS("1", "2,3"));
	ck_assert_ptr_nonnull(strstr(text, "recover --unsafe --lost 2,3\n"));
	ck_assert_ptr_null(strstr(text, "mend that"));
}
END_TEST

#define KNOWN(node)                                                                                \
	"{\"alive\":false,\"dead_ms\":9000,\"host\":\"10.0.0.2\",\"node\":" node                   \
	",\"port\":7470,\"state\":\"member\"}"
#define REMOVED(node)                                                                              \
	"{\"alive\":false,\"dead_ms\":9000,\"node\":" node ",\"port\":7471,\"state\":\"removed\"}"

/* It may have been removed, or be cut off: neither is to be made a cluster of its own. */
START_TEST(who_reaches_nobody_names_no_command_that_gives_up)
{
	const char *text =
	    say_missed(THERE("1"), MISSED("2", "") "," KNOWN("3"), LACKS("1", "2,3"));
	ck_assert_ptr_null(strstr(text, "recover"));
	ck_assert_ptr_nonnull(strstr(text, "node 1, which says this, has no link with any other"));
	ck_assert_ptr_nonnull(strstr(text, "  kalix-admin --node 10.0.0.2:7470 cluster status\n"));
	ck_assert_ptr_nonnull(strstr(text, "empty directory with --join"));
	ck_assert_ptr_nonnull(strstr(text, "mend the network"));
	ck_assert_ptr_nonnull(strstr(text, "start them again"));
}
END_TEST

START_TEST(nor_where_some_were_removed_before)
{
	const char *text =
	    say_missed(THERE("1"), REMOVED("2") "," MISSED("3", ""), LACKS("1", "2,3"));
	ck_assert_ptr_null(strstr(text, "recover"));
	ck_assert_ptr_nonnull(strstr(text, "  kalix-admin --node HOST:PORT cluster status\n"));
}
END_TEST

START_TEST(nor_where_one_that_is_refused_may_have_its_data)
{
	const char *text =
	    say_missed(THERE("1"), MISSED("2", "") "," MISSED("3", REFUSED("secret")),
	        LACKS("1", "3") "," LACKS("2", "2"));
	ck_assert_ptr_null(strstr(text, "recover"));
	ck_assert_ptr_nonnull(strstr(text, "mend that"));
	ck_assert_ptr_nonnull(strstr(text, "has no link with any other"));
}
END_TEST

/* There is nobody else to be asked. */
START_TEST(who_is_all_that_is_left_after_others_were_removed_names_it)
{
	const char *text = say_missed(THERE("1"), REMOVED("2") "," REMOVED("3"), LACKS("1", "2,3"));
	ck_assert_ptr_nonnull(strstr(text, "recover --unsafe --lost 2,3\n"));
}
END_TEST

/* Node 2 is gone, and 3 is refused for this reason. */
static const char *say_third_refused(const char *reason)
{
	char nodes[256];
	snprintf(nodes, sizeof(nodes), "%s," MISSED("3", REFUSED("%s")), MISSED("2", ""), reason);
	return say_two_missed(nodes, LACKS("1", "2,3"));
}

/* Who has its data all the same: then nothing is to be given up. */
static const char *const there[] = {"secret", "version", "remote", "stranger"};

START_TEST(who_may_have_its_data_is_not_given_up)
{
	const char *text = say_third_refused(there[_i]);
	ck_assert_ptr_nonnull(strstr(text, "mend that"));
	ck_assert_ptr_null(strstr(text, "recover"));
}
END_TEST

/* Somebody else stands where the node was. */
static const char *const other[] = {"cluster", "node", "incarnation", "self", "unknown"};

START_TEST(somebody_else_at_its_address_does_not_hide_the_command)
{
	const char *text = say_third_refused(other[_i]);
	ck_assert_ptr_nonnull(strstr(text, "recover --unsafe --lost 2,3\n"));
	ck_assert_ptr_null(strstr(text, "mend that"));
}
END_TEST

START_TEST(each_shard_is_judged_by_the_nodes_that_it_lacks)
{
	const char *text = say_two_missed(MISSED("2", REFUSED("secret")) "," MISSED("3", ""),
	    LACKS("1", "3") "," LACKS("2", "2"));
	ck_assert_ptr_nonnull(strstr(text, "mend that"));
	ck_assert_ptr_nonnull(strstr(text, "recover --unsafe --lost 3\n"));
	text = say_two_missed(MISSED("2", REFUSED("secret")) "," MISSED("3", ""), LACKS("1", "3"));
	ck_assert_ptr_null(strstr(text, "mend that"));
	ck_assert_ptr_nonnull(strstr(text, "recover --unsafe --lost 3\n"));
}
END_TEST

/* ---- Damaged ones ---- */

static void add_damaged(unsigned shard, unsigned node, unsigned ms, const char *remedy)
{
	char one[160];
	snprintf(one, sizeof(one),
	    "%s{\"damaged\":[{\"ms\":%u,\"node\":%u,\"replica\":7}],\"remedy\":\"%s\",\"shard\":%"
	    "u}",
	    shard > 1 ? "," : "", ms, node, remedy, shard);
	add(one);
}

static void begin_damaged(void)
{
	document[0] = 0;
	add("{\"damaged\":1,\"shards\":[");
}

START_TEST(shards_with_the_same_damage_are_one_line)
{
	begin_damaged();
	add_damaged(1, 3, 2000, "itself");
	add_damaged(2, 4, 1000, "itself");
	add_damaged(3, 3, 9000, "itself");
	add_damaged(4, 3, 1000, "nodes");
	add_damaged(5, 3, 1000, "itself");
	add("]}");
	const char *text = said_by(cluster_say_damaged);
	const char *first = strstr(text, "3 shards (1 and others): the replica on node 3 is "
	                                 "damaged, for 9 s: another one takes");
	const char *second = strstr(text, "\nshard 2: the replica on node 4 is damaged, for 1 s");
	const char *third =
	    strstr(text, "\nshard 4: the replica on node 3 is damaged, for 1 s: others");
	ck_assert_ptr_eq(first, text);
	ck_assert_ptr_nonnull(second);
	ck_assert_ptr_nonnull(third);
	ck_assert(second < third);
	ck_assert_ptr_null(strstr(text, "shard 3"));
	ck_assert_ptr_null(strstr(text, "shard 5"));
}
END_TEST

START_TEST(more_kinds_without_a_quorum_than_lines_are_counted)
{
	document[0] = 0;
	add("{\"nodes\":[],\"quorumless\":72,\"shards\":[");
	for (unsigned i = 1; i <= 72; i++) {
		char one[128];
		/* The last two are of the first kind, and of one that has no line. */
		unsigned lacks = i == 71 ? 1 : i == 72 ? 70 : i;
		snprintf(one, sizeof(one),
		    "%s{\"lacks\":[%u],\"needs\":1,\"quorumless_ms\":%u,\"shard\":%u}",
		    i > 1 ? "," : "", lacks, i * 1000, i);
		add(one);
	}
	add("]}");
	const char *text = said_by(say_quorumless);
	ck_assert_ptr_eq(strstr(text, "2 shards (1 and others) have no quorum, for 71 s: "), text);
	ck_assert_ptr_nonnull(strstr(text, "\nshard 64 has no quorum, for 64 s: "));
	ck_assert_ptr_null(strstr(text, "shard 65 "));
	ck_assert_ptr_nonnull(
	    strstr(text, "\n7 more shards have no quorum, and lack other nodes: "));
}
END_TEST

START_TEST(what_nothing_is_left_of_is_not_to_be_recovered)
{
	document[0] = 0;
	add("{\"nodes\":[{\"alive\":true,\"node\":1,\"state\":\"member\"},"
	    "{\"alive\":false,\"node\":5,\"state\":\"removed\"}],\"quorumless\":1,\"shards\":["
	    "{\"gone\":true,\"lacks\":[5],\"needs\":1,\"shard\":3}]}");
	const char *text = said_by(say_quorumless);
	ck_assert_str_eq(text,
	    "shard 3 is lost: all nodes that had replicas of it were removed; what is left is a "
	    "backup\n");
}
END_TEST

START_TEST(more_kinds_of_damage_than_lines_are_counted)
{
	begin_damaged();
	for (unsigned i = 1; i <= 70; i++)
		add_damaged(i, i, 1000, "itself");
	add_damaged(71, 64, 1000, "itself");
	add("]}");
	const char *text = said_by(cluster_say_damaged);
	ck_assert_ptr_nonnull(strstr(text, "\n2 shards (64 and others): "));
	ck_assert_ptr_null(strstr(text, "shard 65:"));
	ck_assert_ptr_nonnull(strstr(text, "\n6 more shards have damaged replicas on other nodes"));
}
END_TEST

START_TEST(who_does_not_acknowledge_is_named)
{
	document[0] = 0;
	add("{\"shards\":[{\"shard\":0,\"well\":true},{\"shard\":1,\"standing_ms\":20500,"
	    "\"unacknowledged\":[2,3],\"well\":false},{\"shard\":2,\"standing_ms\":6000,"
	    "\"unacknowledged\":[2],\"well\":false}],\"standing\":2}");
	const char *text = said_by(cluster_say_standing);
	ck_assert_ptr_nonnull(
	    strstr(text, "shard 1: nothing that is proposed was committed for 20 s: "
	                 "nodes 2, 3 do not acknowledge it\n"));
	ck_assert_ptr_nonnull(
	    strstr(text, "shard 2: nothing that is proposed was committed for 6 s: "
	                 "node 2 does not acknowledge it\n"));
	ck_assert_ptr_null(strstr(text, "more"));
	/* Of many some are named. */
	document[0] = 0;
	add("{\"shards\":[");
	for (int i = 0; i < 20; i++) {
		char shard[100];
		snprintf(shard, sizeof(shard),
		    "%s{\"shard\":%d,\"standing_ms\":9000,\"unacknowledged\":[3]}",
		    i > 0 ? "," : "", i);
		add(shard);
	}
	add("],\"standing\":20}");
	text = said_by(cluster_say_standing);
	ck_assert_ptr_nonnull(strstr(text, "shard 0, the directory: nothing"));
	ck_assert_ptr_nonnull(strstr(text, "and so in 12 more shards\n"));
	document[0] = 0;
	add("{\"shards\":[{\"shard\":0,\"well\":true}],\"standing\":0}");
	ck_assert_str_eq(said_by(cluster_say_standing), "");
}
END_TEST

Suite *cluster_said_suite(void)
{
	Suite *suite = suite_create("cluster said");
	TCase *quorumless = tcase_create("quorumless"), *damaged = tcase_create("damaged");
	tcase_add_test(quorumless, who_is_gone_is_given_up_with_a_command);
	tcase_add_test(quorumless, who_reaches_nobody_names_no_command_that_gives_up);
	tcase_add_test(quorumless, nor_where_some_were_removed_before);
	tcase_add_test(quorumless, nor_where_one_that_is_refused_may_have_its_data);
	tcase_add_test(quorumless, who_is_all_that_is_left_after_others_were_removed_names_it);
	tcase_add_test(quorumless, who_does_not_acknowledge_is_named);
	tcase_add_loop_test(
	    quorumless, who_may_have_its_data_is_not_given_up, 0, sizeof(there) / sizeof(there[0]));
	tcase_add_loop_test(quorumless, somebody_else_at_its_address_does_not_hide_the_command, 0,
	    sizeof(other) / sizeof(other[0]));
	tcase_add_test(quorumless, each_shard_is_judged_by_the_nodes_that_it_lacks);
	tcase_add_test(quorumless, more_kinds_without_a_quorum_than_lines_are_counted);
	tcase_add_test(damaged, shards_with_the_same_damage_are_one_line);
	tcase_add_test(damaged, what_nothing_is_left_of_is_not_to_be_recovered);
	tcase_add_test(damaged, more_kinds_of_damage_than_lines_are_counted);
	suite_add_tcase(suite, quorumless);
	suite_add_tcase(suite, damaged);
	return suite;
}
