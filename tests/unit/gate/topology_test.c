/* What clients are told of a cluster of several nodes: CLUSTER, MOVED. */
#include "tests/unit/gate/suites.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/resp_reader.h"
#include "server/meta/cluster_map.h"
#include "tests/unit/gate/rig.h"

/* Its slot is 16287: shard 4. */
#define FOURTH "cart/{x}"

static struct rig rig;
static char ids[5][GATE_NODE_CHARACTERS + 1];

static void set_node(unsigned position, uint16_t number, enum cluster_node_state state)
{
	struct cluster_node *node = &rig.map->nodes[position];
	*node = (struct cluster_node){.node = number,
	    .state = state,
	    .incarnation = 1000u + number,
	    .cores = 1,
	    .stores = 2,
	    .port = 7470,
	    .peer_port = 7471,
	    .cluster_port = (uint16_t)(7472 + number)};
	snprintf(node->host, sizeof(node->host), "10.0.0.%u", number);
	gate_node_id(rig.map->id, number, node->incarnation, ids[number]);
}

static void set_replicas(uint32_t shard, unsigned count, const uint16_t *nodes)
{
	struct cluster_shard *record = &rig.map->shards[shard];
	record->count = count;
	for (unsigned i = 0; i < count; i++)
		record->replicas[i] = (struct cluster_replica){
		    .replica = cluster_replica_number(nodes[i], i), .voter = true};
}

/* Four shards of 4096 slots on nodes 1 to 3; node 4 was removed. This is node 2. */
static void setup(void)
{
	static const uint16_t all[] = {1, 2, 3}, two[] = {3, 2};
	rig_init(&rig);
	rig.map = cluster_map_new(4, 4);
	rig.config.leaders = cluster_leaders_new(4);
	rig.config.number = 2;
	snprintf(rig.config.host, sizeof(rig.config.host), "10.0.0.2");
	rig.config.cluster_port = 7474;
	ck_assert(rig.map && rig.config.leaders);
	snprintf(rig.map->id, sizeof(rig.map->id), "fedcba9876543210fedcba9876543210");
	rig.map->version = 12;
	for (uint16_t i = 1; i <= 4; i++)
		set_node(i - 1u, i, i == 4 ? CLUSTER_NODE_REMOVED : CLUSTER_NODE_MEMBER);
	for (uint32_t shard = 1; shard <= 3; shard++)
		set_replicas(shard, 3, all);
	set_replicas(4, 2, two);
	/* A learner serves nobody. */
	rig.map->shards[4].replicas[2] =
	    (struct cluster_replica){.replica = cluster_replica_number(1, 9)};
	rig.map->shards[4].count = 3;
	rig_open(&rig);
}

static void teardown(void)
{
	rig_done(&rig);
	mem_free(rig.config.leaders);
	cluster_map_release(rig.map);
}

static void lead(uint32_t shard, uint64_t term, uint16_t node)
{
	ck_assert(cluster_leaders_note(rig.config.leaders, shard, term, node));
}

static void lead_all(void)
{
	lead(1, 1, 1);
	lead(2, 1, 1);
	lead(3, 1, 2);
	lead(4, 1, 3);
}

/* One node as CLUSTER SLOTS has it. */
static const char *entry(unsigned node)
{
	static char texts[5][128];
	snprintf(texts[node], sizeof(texts[node]),
	    "*4\r\n$8\r\n10.0.0.%u\r\n:%u\r\n$40\r\n%s\r\n*0\r\n", node, 7472 + node, ids[node]);
	return texts[node];
}

START_TEST(ids_are_stable_and_differ)
{
	char id[GATE_NODE_CHARACTERS + 1];
	gate_node_id("fedcba9876543210fedcba9876543210", 1, 1001, id);
	/* Clients and people's notes know nodes by it: it may never change. */
	ck_assert_str_eq(id, ids[1]);
	ck_assert_str_eq(id, "2fe27be4b0bed495ad1971867fffb1ad147cfbd2");
	ck_assert_uint_eq(strspn(id, "0123456789abcdef"), GATE_NODE_CHARACTERS);
	ck_assert_str_ne(ids[1], ids[2]);
	gate_node_id("fedcba9876543210fedcba9876543210", 1, 1002, id);
	ck_assert_str_ne(id, ids[1]);
	gate_node_id("fedcba9876543210fedcba9876543211", 1, 1001, id);
	ck_assert_str_ne(id, ids[1]);
}
END_TEST

static void expect_info(
    struct io_socket *client, const char *state, unsigned ok, unsigned pfail, unsigned fail)
{
	char expected[256];
	const char *info = rig_ask(&rig, client, "CLUSTER INFO");
	snprintf(expected, sizeof(expected),
	    "cluster_state:%s\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:%u\r\n"
	    "cluster_slots_pfail:%u\r\ncluster_slots_fail:%u\r\n",
	    state, ok, pfail, fail);
	ck_assert_msg(strstr(info, expected) != NULL, "%s", info);
}

START_TEST(slots_are_told_in_ranges_of_one_leader_and_the_same_replicas)
{
	char expected[2048];
	struct io_socket *client = rig_connect(&rig);
	lead_all();
	snprintf(expected, sizeof(expected),
	    "*3\r\n"
	    "*5\r\n:0\r\n:8191\r\n%s%s%s"
	    "*5\r\n:8192\r\n:12287\r\n%s%s%s"
	    "*4\r\n:12288\r\n:16383\r\n%s%s",
	    entry(1), entry(2), entry(3), entry(2), entry(1), entry(3), entry(3), entry(2));
	ck_assert_str_eq(rig_ask(&rig, client, "CLUSTER SLOTS"), expected);
}
END_TEST

/* This node is asked, so it is reached, and has a replica of all. Some clients fail on slots that
 * no node has. */
START_TEST(slots_that_nobody_leads_are_this_nodes_until_somebody_does)
{
	char expected[2048];
	struct io_socket *client = rig_connect(&rig);
	snprintf(expected, sizeof(expected),
	    "*2\r\n*5\r\n:0\r\n:12287\r\n%s%s%s*4\r\n:12288\r\n:16383\r\n%s%s", entry(2), entry(1),
	    entry(3), entry(2), entry(3));
	ck_assert_str_eq(rig_ask(&rig, client, "CLUSTER SLOTS"), expected);
	lead(1, 1, 1);
	lead(3, 1, 1);
	/* A node that was removed leads nothing. */
	lead(2, 1, 4);
	snprintf(expected, sizeof(expected),
	    "*4\r\n*5\r\n:0\r\n:4095\r\n%s%s%s*5\r\n:4096\r\n:8191\r\n%s%s%s"
	    "*5\r\n:8192\r\n:12287\r\n%s%s%s*4\r\n:12288\r\n:16383\r\n%s%s",
	    entry(1), entry(2), entry(3), entry(2), entry(1), entry(3), entry(1), entry(2),
	    entry(3), entry(2), entry(3));
	ck_assert_str_eq(rig_ask(&rig, client, "CLUSTER SLOTS"), expected);
	expect_info(client, "ok", 8192, 8192, 0);
	/* Who stands in leads nothing. */
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "CLUSTER INFO"), "cluster_size:1\r\n"));
	(void)rig_ask(&rig, client, "HELLO 3");
	const char *shards = rig_ask(&rig, client, "CLUSTER SHARDS");
	/* Shard 2, with its replicas waiting. */
	ck_assert_ptr_nonnull(
	    strstr(shards, ":4096\r\n:8191\r\n$5\r\nnodes\r\n*3\r\n%7\r\n$2\r\nid\r\n"));
	ck_assert_ptr_nonnull(strstr(shards, "$7\r\nloading\r\n"));
}
END_TEST

/* Whoever was told to ask it would wait for it. */
START_TEST(a_leader_that_is_not_reached_is_stood_in_for)
{
	char expected[2048];
	struct io_socket *client = rig_connect(&rig), *cluster = fake_connect(rig.io, 1);
	lead_all();
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "CALL " FOURTH " get"), "-MOVED 16287 10.0.0.3:7475\r\n");
	rig.unlinked = 3;
	snprintf(expected, sizeof(expected),
	    "*3\r\n*4\r\n:0\r\n:8191\r\n%s%s*4\r\n:8192\r\n:12287\r\n%s%s"
	    "*3\r\n:12288\r\n:16383\r\n%s",
	    entry(1), entry(2), entry(2), entry(1), entry(2));
	ck_assert_str_eq(rig_ask(&rig, client, "CLUSTER SLOTS"), expected);
	/* It waits here for the next leader. */
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " FOURTH " get")[0], '$');
	(void)rig_ask(&rig, client, "HELLO 3");
	const char *shards = rig_ask(&rig, client, "CLUSTER SHARDS");
	const char *last = strstr(shards, ":12288\r\n:16383\r\n");
	ck_assert_ptr_nonnull(last);
	const char *master = strstr(last, "$6\r\nmaster\r\n"), *loading = strstr(last, "loading");
	const char *replica = strstr(last, "replica\r\n"), *failed = strstr(last, "failed");
	ck_assert(master && loading && replica && failed);
	ck_assert(master < loading && loading < replica && replica < failed);
	rig.unlinked = 0;
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "CALL " FOURTH " get"), "-MOVED 16287 10.0.0.3:7475\r\n");
}
END_TEST

/* One that has none sends there who would wait as well here; nothing is MOVED there. */
START_TEST(a_replica_that_is_reached_stands_in_before_a_node_without_one)
{
	static const uint16_t others[] = {1, 3};
	char expected[1024];
	struct io_socket *client = rig_connect(&rig), *cluster = fake_connect(rig.io, 1);
	lead_all();
	set_replicas(4, 2, others);
	rig.unlinked = 3;
	snprintf(expected, sizeof(expected), "*3\r\n:12288\r\n:16383\r\n%s", entry(1));
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "CLUSTER SLOTS"), expected));
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " FOURTH " get")[0], '$');
	ck_assert_uint_eq(gate_figures(rig.gate).moved, 0);
	/* No replica is reached: this node, which clients reach. */
	rig.alone = true;
	snprintf(expected, sizeof(expected), "*3\r\n:12288\r\n:16383\r\n%s", entry(2));
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "CLUSTER SLOTS"), expected));
	/* Even where the map has it no more. */
	set_node(1, 2, CLUSTER_NODE_REMOVED);
	const char *slots = rig_ask(&rig, client, "CLUSTER SLOTS");
	ck_assert_ptr_eq(
	    strstr(slots, "*1\r\n*3\r\n:0\r\n:16383\r\n*4\r\n$8\r\n10.0.0.2\r\n:7474\r\n"), slots);
}
END_TEST

/* Shards 1 to 3 have their voters on nodes 1 to 3, shard 4 on nodes 2 and 3. */
START_TEST(slots_fail_where_no_majority_of_their_voters_is_reached)
{
	struct io_socket *client = rig_connect(&rig);
	expect_info(client, "fail", 0, 16384, 0);
	lead_all();
	expect_info(client, "ok", 16384, 0, 0);
	/* Two of the three voters elect another one. Of two one cannot. */
	rig.unlinked = 1;
	expect_info(client, "ok", 8192, 8192, 0);
	ck_assert_ptr_null(strstr(rig_ask(&rig, client, "ADMIN STATUS"), "quorumless"));
	rig.unlinked = 3;
	expect_info(client, "ok", 12288, 0, 4096);
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, client, "ADMIN STATUS"), "},\"quorumless\":1,\"ready\":true,"));
	/* Nobody else is reached: what this node leads it leads until it knows better. */
	rig.alone = true;
	expect_info(client, "ok", 4096, 0, 12288);
	lead(3, 1, 0);
	expect_info(client, "fail", 0, 0, 16384);
	(void)rig_ask(&rig, client, "HELLO 3");
	const char *shards = rig_ask(&rig, client, "CLUSTER SHARDS");
	/* Who is not reached is no master. */
	ck_assert_ptr_nonnull(strstr(shards, "$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:0\r\n"
	                                     "$6\r\nhealth\r\n$7\r\nloading\r\n"));
	ck_assert_ptr_null(strstr(shards, "$6\r\nmaster\r\n$18\r\nreplication-offset\r\n:0\r\n"
	                                  "$6\r\nhealth\r\n$6\r\nfailed\r\n"));
	ck_assert_ptr_nonnull(strstr(shards, "$7\r\nreplica\r\n$18\r\nreplication-offset\r\n:0\r\n"
	                                     "$6\r\nhealth\r\n$6\r\nfailed\r\n"));
	ck_assert_ptr_null(strstr(shards, "$6\r\nonline\r\n"));
}
END_TEST

START_TEST(nodes_are_told_with_the_slots_that_they_lead)
{
	char expected[1024];
	struct io_socket *client = rig_connect(&rig);
	lead_all();
	rig.unlinked = 3;
	snprintf(expected, sizeof(expected),
	    "%s 10.0.0.1:7473@7471 master - 0 0 12 connected 0-8191\n"
	    "%s 10.0.0.2:7474@7471 myself,master - 0 0 12 connected 8192-12287 12288-16383\n"
	    "%s 10.0.0.3:7475@7471 master,fail? - 0 0 12 disconnected\n\r\n",
	    ids[1], ids[2], ids[3]);
	ck_assert_str_eq(strchr(rig_ask(&rig, client, "CLUSTER NODES"), '\n') + 1, expected);
	rig.lost = 3;
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "CLUSTER NODES"),
	    " 10.0.0.3:7475@7471 master,fail - 0 0 12 disconnected\n"));
	rig.lost = 0;
	snprintf(expected, sizeof(expected), "$40\r\n%s\r\n", ids[2]);
	ck_assert_str_eq(rig_ask(&rig, client, "CLUSTER MYID"), expected);
	const char *info = rig_ask(&rig, client, "CLUSTER INFO");
	ck_assert_ptr_nonnull(strstr(info, "cluster_state:ok\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "cluster_known_nodes:3\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "cluster_size:2\r\n"));
	ck_assert_ptr_nonnull(strstr(info, "cluster_current_epoch:12\r\n"));
	(void)rig_ask(&rig, client, "HELLO 3");
	const char *links = rig_ask(&rig, client, "CLUSTER LINKS");
	ck_assert_ptr_eq(strstr(links, "*2\r\n%6\r\n$9\r\ndirection\r\n$2\r\nto\r\n"), links);
	ck_assert_ptr_nonnull(strstr(links, ids[1]));
	ck_assert_ptr_null(strstr(links, ids[3]));
}
END_TEST

static void is_one_reply(const char *text)
{
	struct resp_reader reader;
	resp_reader_init(&reader, 64 * KIB, RESP_DEPTH_MAX);
	resp_reader_feed(&reader, slice_from_text(text));
	ck_assert_msg(resp_reader_whole(&reader) == 0, "it is cut: %s", text);
	ck_assert_uint_eq(resp_reader_offset(&reader), strlen(text));
}

/* Other cores have links, too: they come and go while an answer is written here. */
START_TEST(a_link_that_comes_and_goes_leaves_answers_whole)
{
	static const char *const questions[] = {"CLUSTER SLOTS", "CLUSTER SHARDS", "CLUSTER LINKS"};
	struct io_socket *client = rig_connect(&rig);
	lead_all();
	(void)rig_ask(&rig, client, "HELLO 3");
	for (rig.flickers = 1; rig.flickers <= 3; rig.flickers++)
		for (uint32_t before = 0; before < 4; before++)
			for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
				rig.flickered = before;
				is_one_reply(rig_ask(&rig, client, questions[i]));
			}
	rig.flickers = 3;
	for (rig.flickered = 0; rig.flickered < 4;) {
		const char *nodes = strstr(rig_ask(&rig, client, "CLUSTER NODES"), "10.0.0.3:");
		bool linked = strstr(nodes, " connected") != NULL;
		ck_assert_ptr_nonnull(strstr(nodes, linked ? " master - " : " master,fail? - "));
	}
}
END_TEST

START_TEST(a_node_that_is_there_and_refused_is_named_by_status)
{
	struct io_socket *client = rig_connect(&rig);
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, client, "ADMIN STATUS"), "\"ready\":true,\"shards\":4"));
	rig.refused = 3;
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, client, "ADMIN STATUS"),
	    "\"ready\":true,\"refused\":[{\"node\":3,\"reason\":\"secret\"}],\"shards\":4"));
	/* Those that were removed are refused for ever. */
	rig.refused = 4;
	ck_assert_ptr_nonnull(
	    strstr(rig_ask(&rig, client, "ADMIN STATUS"), "\"ready\":true,\"shards\":4"));
}
END_TEST

/* With KEYSLOT 12182: shard 3. */
#define ADDRESS "cart/{foo}"

START_TEST(call_for_another_node_is_moved_on_the_cluster_port)
{
	struct io_socket *proxy = rig_connect(&rig), *cluster = fake_connect(rig.io, 1);
	lead(3, 1, 1);
	ck_assert_str_eq(rig_ask(&rig, cluster, "CLUSTER KEYSLOT " ADDRESS), ":12182\r\n");
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "CALL " ADDRESS " get"), "-MOVED 12182 10.0.0.1:7473\r\n");
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "FCALL get 1 " ADDRESS), "-MOVED 12182 10.0.0.1:7473\r\n");
	ck_assert_str_eq(rig_ask(&rig, cluster, "CALL " ADDRESS), "-MOVED 12182 10.0.0.1:7473\r\n");
	ck_assert_uint_eq(gate_figures(rig.gate).moved, 3);
	ck_assert_uint_eq(gate_figures(rig.gate).calls, 0);
	/* Here it is forwarded, by the shards. */
	ck_assert_int_eq(rig_ask(&rig, proxy, "CALL " ADDRESS " get")[0], '$');
	/* Each against its port's habit. */
	ck_assert_str_eq(rig_ask(&rig, proxy, "CLIENT PROXY OFF"), "+OK\r\n");
	ck_assert_str_eq(
	    rig_ask(&rig, proxy, "CALL " ADDRESS " get"), "-MOVED 12182 10.0.0.1:7473\r\n");
	ck_assert_str_eq(rig_ask(&rig, cluster, "CLIENT PROXY ON"), "+OK\r\n");
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get")[0], '$');
}
END_TEST

START_TEST(query_that_a_replica_may_answer_is_not_moved)
{
	struct io_socket *cluster = fake_connect(rig.io, 1);
	const struct fake_last *last = fake_shards_last(rig.shards);
	lead(3, 1, 1);
	ck_assert_str_eq(rig_ask(&rig, cluster, "READONLY"), "+OK\r\n");
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get")[0], '$');
	ck_assert(last->anywhere && last->stale_ns == 0);
	ck_assert_int_eq(rig_ask(&rig, cluster, "FCALL_RO get 1 " ADDRESS)[0], '$');
	/* No query, for all that is known here. */
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "CALL " ADDRESS " add"), "-MOVED 12182 10.0.0.1:7473\r\n");
	ck_assert_str_eq(rig_ask(&rig, cluster, "READWRITE"), "+OK\r\n");
	ck_assert_str_eq(
	    rig_ask(&rig, cluster, "CALL " ADDRESS " get"), "-MOVED 12182 10.0.0.1:7473\r\n");
	/* One that says so itself. */
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get STALE 250")[0], '$');
	ck_assert(last->anywhere && last->stale_ns == 250 * NS_PER_MS);
	ck_assert_ptr_nonnull(strstr(
	    rig_ask(&rig, cluster, "CALL " ADDRESS " get STALE 2d"), "-INVALID_ARGUMENT STALE"));
	/* There is no replica here. */
	set_replicas(3, 1, &(uint16_t){1});
	ck_assert_str_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get STALE 250"),
	    "-MOVED 12182 10.0.0.1:7473\r\n");
}
END_TEST

START_TEST(call_that_is_led_here_or_by_nobody_is_not_moved)
{
	struct io_socket *cluster = fake_connect(rig.io, 1);
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get")[0], '$');
	lead(3, 1, 2);
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get")[0], '$');
	/* A node that this map does not know yet cannot be named. */
	lead(3, 2, 77);
	ck_assert_int_eq(rig_ask(&rig, cluster, "CALL " ADDRESS " get")[0], '$');
	/* What has no key is for every node. */
	lead(3, 3, 1);
	ck_assert_str_eq(rig_ask(&rig, cluster, "PING"), "+PONG\r\n");
	ck_assert_ptr_nonnull(strstr(rig_ask(&rig, cluster, "FCALL a.b 0"), "UNIMPLEMENTED"));
	ck_assert_uint_eq(gate_figures(rig.gate).moved, 0);
}
END_TEST

START_TEST(moved_keeps_its_place_among_the_answers)
{
	struct io_socket *cluster = fake_connect(rig.io, 1);
	lead(3, 1, 1);
	lead(1, 1, 2);
	/* {b} is 3300: shard 1, which is led here. */
	const char *answer = rig_say(&rig, cluster,
	    "*3\r\n$4\r\nCALL\r\n$8\r\ncart/{b}\r\n$3\r\nget\r\n"
	    "*3\r\n$4\r\nCALL\r\n$10\r\ncart/{foo}\r\n$3\r\nget\r\n"
	    "*1\r\n$4\r\nPING\r\n");
	ck_assert_int_eq(answer[0], '$');
	const char *moved = strstr(answer, "-MOVED 12182 10.0.0.1:7473\r\n+PONG\r\n");
	ck_assert_ptr_nonnull(moved);
}
END_TEST

Suite *topology_suite(void)
{
	Suite *suite = suite_create("topology");
	TCase *tcase = tcase_create("topology");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, ids_are_stable_and_differ);
	tcase_add_test(tcase, slots_are_told_in_ranges_of_one_leader_and_the_same_replicas);
	tcase_add_test(tcase, slots_that_nobody_leads_are_this_nodes_until_somebody_does);
	tcase_add_test(tcase, a_leader_that_is_not_reached_is_stood_in_for);
	tcase_add_test(tcase, a_replica_that_is_reached_stands_in_before_a_node_without_one);
	tcase_add_test(tcase, slots_fail_where_no_majority_of_their_voters_is_reached);
	tcase_add_test(tcase, nodes_are_told_with_the_slots_that_they_lead);
	tcase_add_test(tcase, a_link_that_comes_and_goes_leaves_answers_whole);
	tcase_add_test(tcase, a_node_that_is_there_and_refused_is_named_by_status);
	tcase_add_test(tcase, call_for_another_node_is_moved_on_the_cluster_port);
	tcase_add_test(tcase, query_that_a_replica_may_answer_is_not_moved);
	tcase_add_test(tcase, call_that_is_led_here_or_by_nobody_is_not_moved);
	tcase_add_test(tcase, moved_keeps_its_place_among_the_answers);
	suite_add_tcase(suite, tcase);
	return suite;
}
