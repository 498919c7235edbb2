#include "tests/unit/meta/suites.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/wire/json_writer.h"
#include "server/meta/cluster_status.h"

/* `members` nodes with a voter each of the directory and of shard 1, led by node 1. */
struct scene {
	struct cluster_map *map;
	struct placement_node nodes[5];
	struct cluster_moves moves[5];
	struct cluster_said shards[2];
	struct cluster_member members[2][5];
	struct cluster_view view;
};

static void begin(struct scene *scene, uint16_t members)
{
	*scene = (struct scene){.map = cluster_map_new(members, 1)};
	ck_assert_ptr_nonnull(scene->map);
	scene->map->replication_factor = 3;
	scene->map->version = 12;
	snprintf(scene->map->id, sizeof(scene->map->id), "%032d", 7);
	for (uint16_t node = 1; node <= members; node++) {
		struct cluster_node *described = &scene->map->nodes[node - 1];
		*described = (struct cluster_node){.node = node,
		    .cores = 2,
		    .stores = 4,
		    .port = 7470,
		    .peer_port = 7471,
		    .cluster_port = 7472};
		snprintf(described->host, sizeof(described->host), "10.0.0.%u", node);
		scene->nodes[node - 1].alive = true;
	}
	for (uint32_t shard = 0; shard < 2; shard++) {
		struct cluster_shard *wanted = &scene->map->shards[shard];
		struct cluster_said *said = &scene->shards[shard];
		*said = (struct cluster_said){
		    .leader = 1, .term = 7, .settled = true, .members = scene->members[shard]};
		wanted->generation = 5;
		for (uint16_t node = 1; node <= members; node++) {
			wanted->replicas[wanted->count++] =
			    (struct cluster_replica){.replica = node, .voter = true};
			said->members[said->count++] =
			    (struct cluster_member){.replica = node, .voter = true, .heard = true};
		}
	}
	scene->view = (struct cluster_view){.map = scene->map,
	    .nodes = scene->nodes,
	    .moves = scene->moves,
	    .shards = scene->shards,
	    .lag_max = 10,
	    .stands_ms_max = 5000,
	    .by = 2};
}

static void assert_summary(const struct scene *scene, uint32_t leaderless, uint32_t few,
    uint32_t behind, uint32_t survives)
{
	struct cluster_summary summary = cluster_summarise(&scene->view);
	ck_assert_uint_eq(summary.leaderless, leaderless);
	ck_assert_uint_eq(summary.few, few);
	ck_assert_uint_eq(summary.behind, behind);
	ck_assert_uint_eq(summary.survives, survives);
	ck_assert(summary.well == (leaderless + few + behind == 0));
}

START_TEST(well_is_led_with_enough_voters_that_have_the_log)
{
	struct scene scene;
	begin(&scene, 3);
	assert_summary(&scene, 0, 0, 0, 1);
	scene.shards[1].members[2].lag = 10;
	assert_summary(&scene, 0, 0, 0, 1);
	scene.shards[1].members[2].lag = 11;
	assert_summary(&scene, 0, 0, 1, 0);
	scene.shards[1].members[2] =
	    (struct cluster_member){.replica = 3, .voter = true, .heard = false};
	assert_summary(&scene, 0, 0, 1, 0);
	scene.shards[1].members[2] =
	    (struct cluster_member){.replica = 3, .voter = false, .heard = true};
	assert_summary(&scene, 0, 1, 0, 0);
	scene.shards[0].leader = 0;
	assert_summary(&scene, 1, 1, 0, 0);
	cluster_map_release(scene.map);
}
END_TEST

START_TEST(a_leader_that_is_dead_leads_nothing)
{
	struct scene scene;
	begin(&scene, 3);
	scene.nodes[0] = (struct placement_node){.dead_ms = 5};
	assert_summary(&scene, 2, 0, 0, 0);
	cluster_map_release(scene.map);
}
END_TEST

/* Its leader has heard of it a moment ago, or sleeps, and does not ask. */
START_TEST(a_voter_whose_node_is_gone_is_not_counted_on)
{
	struct scene scene;
	begin(&scene, 3);
	scene.nodes[2] = (struct placement_node){.dead_ms = 5};
	assert_summary(&scene, 0, 0, 2, 0);
	cluster_map_release(scene.map);
}
END_TEST

/* It is well as long as little is missing there; but it acknowledges nothing more. */
START_TEST(a_voter_whose_disk_does_not_answer_survives_nobody_elses_failure)
{
	struct scene scene;
	begin(&scene, 4);
	scene.map->replication_factor = 4;
	assert_summary(&scene, 0, 0, 0, 1);
	for (uint32_t i = 0; i < 2; i++) {
		scene.nodes[2 * i].waiting_ms = 2000;
		assert_summary(&scene, 0, 0, 0, 0);
	}
	scene.nodes[0].waiting_ms = scene.nodes[2].waiting_ms = 0;
	assert_summary(&scene, 0, 0, 0, 1);
	cluster_map_release(scene.map);
	/* Who is missed already is not counted twice. */
	begin(&scene, 5);
	scene.map->replication_factor = 5;
	assert_summary(&scene, 0, 0, 0, 2);
	scene.nodes[4].waiting_ms = 2000;
	assert_summary(&scene, 0, 0, 0, 1);
	scene.shards[0].members[4].heard = scene.shards[1].members[4].heard = false;
	assert_summary(&scene, 0, 0, 2, 1);
	cluster_map_release(scene.map);
}
END_TEST

START_TEST(two_nodes_are_well_and_survive_nothing)
{
	struct scene scene;
	begin(&scene, 2);
	assert_summary(&scene, 0, 0, 0, 0);
	cluster_map_release(scene.map);
	begin(&scene, 1);
	assert_summary(&scene, 0, 0, 0, 0);
	cluster_map_release(scene.map);
	/* One of three is drained: two voters are enough, and three are no fault. */
	begin(&scene, 3);
	scene.map->nodes[2].state = CLUSTER_NODE_DRAINING;
	scene.shards[1].count = 2;
	scene.shards[1].settled = false;
	assert_summary(&scene, 0, 0, 0, 0);
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	cluster_map_release(scene.map);
}
END_TEST

/* A dead voter lacks more and more of the log; nothing is to be moved because of that. */
START_TEST(a_shard_with_its_members_and_a_dead_one_is_as_it_is_to_be)
{
	struct scene scene;
	begin(&scene, 3);
	scene.nodes[2] = (struct placement_node){.dead_ms = 500};
	scene.shards[1].settled = false;
	scene.shards[1].members[2] =
	    (struct cluster_member){.replica = 3, .voter = true, .lag = 5000};
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 0);
	ck_assert_uint_eq(cluster_summarise(&scene.view).behind, 2);
	/* It has come back, and gets what it lacks. */
	scene.nodes[2] = (struct placement_node){.alive = true};
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	/* One that is to go is there, or one that is to come is not, or does not vote yet. */
	scene.nodes[2] = (struct placement_node){.dead_ms = 500};
	scene.shards[1].members[3] = (struct cluster_member){.replica = 4};
	scene.shards[1].count = 4;
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	scene.shards[1].count = 2;
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	scene.shards[1].count = 3;
	scene.shards[1].members[1].voter = false;
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	scene.shards[1].members[1].voter = true;
	scene.shards[1].members[1].replica = 65536 + 2;
	ck_assert_uint_eq(cluster_summarise(&scene.view).moving, 1);
	cluster_map_release(scene.map);
}
END_TEST

START_TEST(a_quorum_is_lost_with_the_one_that_was_too_much)
{
	struct scene scene;
	begin(&scene, 4);
	/* Of the directory four vote: it needs three. Of shard 1 the first three do. */
	scene.shards[1].count = 3;
	scene.nodes[0] = (struct placement_node){.dead_ms = 900};
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 0);
	ck_assert_uint_eq(cluster_summarise(&scene.view).leaderless, 2);
	scene.nodes[3] = (struct placement_node){.dead_ms = 300};
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 1);
	scene.nodes[1] = (struct placement_node){.dead_ms = 500};
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 2);
	/* Where nobody has said who votes, those that are wanted do. */
	scene.shards[1].count = 0;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 2);
	/* One that was removed is gone, though something of its name may be reached. */
	scene.nodes[1].alive = true;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 2);
	scene.nodes[3].alive = true;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 0);
	scene.map->nodes[3].state = CLUSTER_NODE_REMOVED;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 2);
	cluster_map_release(scene.map);
}
END_TEST

/* Of shard 1 only node 1 is wanted, and nobody could take the votes of the others away. */
START_TEST(who_was_removed_may_have_taken_the_quorum)
{
	struct scene scene;
	begin(&scene, 3);
	scene.map->shards[1].count = 1;
	scene.map->nodes[1].state = CLUSTER_NODE_REMOVED;
	scene.map->nodes[2].state = CLUSTER_NODE_REMOVED;
	scene.shards[0].count = 1;
	scene.shards[1].leader = 0;
	ck_assert_uint_eq(cluster_summarise(&scene.view).leaderless, 1);
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 1);
	scene.shards[1].count = 0;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 0);
	cluster_map_release(scene.map);
}
END_TEST

static bool is_written(const struct scene *scene, const char *part);

/* Node 2 is there, and has nothing of the shard any more, which the log of node 1 does not know. */
START_TEST(who_is_there_and_has_nothing_of_it_has_no_vote)
{
	struct scene scene;
	begin(&scene, 3);
	scene.shards[1].leader = 0;
	scene.nodes[2] = (struct placement_node){.dead_ms = 300};
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 0);
	scene.shards[1].members[1].is_absent = true;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 1);
	ck_assert(is_written(&scene, "\"lacks\":[3],\"needs\":1,\"quorumless_ms\":300,"));
	/* Nor does its node bring it back where another one is damaged. */
	struct cluster_damaged damaged = {.replica = 3, .ms = 700};
	scene.nodes[2].alive = true;
	scene.shards[1].damaged = &damaged;
	scene.shards[1].damaged_count = 1;
	ck_assert(is_written(&scene, "\"lacks\":[],\"needs\":1,\"quorumless_ms\":700,"));
	ck_assert(is_written(&scene, "\"remedy\":\"recover\""));
	cluster_map_release(scene.map);
}
END_TEST

static bool is_written(const struct scene *scene, const char *part)
{
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, 65536);
	json_writer_init(&writer, &text);
	cluster_status_write(&scene->view, true, &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	struct slice written = buffer_view(&text);
	bool found = memmem(written.data, written.bytes, part, strlen(part)) != NULL;
	buffer_done(&text);
	return found;
}

START_TEST(what_nothing_is_left_of_is_named)
{
	struct scene scene;
	begin(&scene, 3);
	scene.map->nodes[1].state = CLUSTER_NODE_REMOVED;
	scene.map->nodes[2].state = CLUSTER_NODE_REMOVED;
	scene.shards[1].leader = 0;
	/* Node 1 has something. */
	ck_assert(is_written(&scene, "\"lacks\":[2,3],\"needs\":1"));
	ck_assert(!is_written(&scene, "\"gone\""));
	scene.map->shards[1].count = 1;
	scene.map->shards[1].replicas[0].replica = 3;
	scene.shards[1].count = 0;
	ck_assert(is_written(&scene, "\"generation\":5,\"gone\":true,\"lacks\":[3],\"needs\":1"));
	cluster_map_release(scene.map);
}
END_TEST

static void assert_text(struct buffer *text, const char *expected)
{
	struct slice written = buffer_view(text);
	ck_assert_msg(
	    written.bytes == strlen(expected) && memcmp(written.data, expected, written.bytes) == 0,
	    "%.*s", (int)written.bytes, (const char *)written.data);
	buffer_done(text);
}

static void assert_written(const struct scene *scene, bool shards, const char *expected)
{
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, 65536);
	json_writer_init(&writer, &text);
	cluster_status_write(&scene->view, shards, &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	assert_text(&text, expected);
}

START_TEST(it_is_written_as_json)
{
	/* One that is linked has no such reason any more. */
	static const char *const refused[2] = {"version", "secret"};
	struct scene scene;
	begin(&scene, 2);
	scene.view.refused = refused;
	snprintf(scene.map->nodes[0].zone, sizeof(scene.map->nodes[0].zone), "a");
	scene.map->nodes[1].state = CLUSTER_NODE_DRAINING;
	scene.nodes[1] = (struct placement_node){.dead_ms = 500};
	scene.shards[0].members[1] = (struct cluster_member){.replica = 2, .lag = 3};
	scene.shards[1] = (struct cluster_said){.leader = 2, .settled = true};
	scene.moves[0] = (struct cluster_moves){.bytes = 7000, .bytes_per_s = 70, .snapshots = 2};
	scene.moves[1] = (struct cluster_moves){.bytes = 500, .bytes_per_s = 5, .snapshots = 1};
	scene.map->shards[1].recovery = (struct cluster_recovery){
	    .replica = 1, .term = 1007, .committed = 38, .index = 41, .at_ms = 1700000000000};
	scene.view.waiting = 3;
	scene.view.resting = 4;
#define HEAD                                                                                       \
	"{\"behind\":0,\"by\":2,\"cluster\":\"00000000000000000000000000000007\",\"damaged\":0,"   \
	"\"factor\":3,\"few\":0,\"jobs\":[],"                                                      \
	"\"leaderless\":1,\"moving\":0,\"nodes\":[{\"alive\":true,\"cluster_port\":7472,"          \
	"\"cores\":2,\"host\":\"10.0.0.1\",\"leads\":1,\"node\":1,\"peer_port\":7471,"             \
	"\"port\":7470,\"replicas\":2,\"snapshot_bytes\":7000,\"snapshot_bytes_per_s\":70,"        \
	"\"snapshots\":2,\"state\":\"member\",\"stores\":4,\"zone\":\"a\"},"                       \
	"{\"alive\":false,\"cluster_port\":7472,\"cores\":2,\"dead_ms\":500,"                      \
	"\"host\":\"10.0.0.2\",\"leads\":0,\"node\":2,\"peer_port\":7471,\"port\":7470,"           \
	"\"refused\":\"secret\",\"replicas\":2,\"snapshot_bytes\":500,\"snapshot_bytes_per_s\":5," \
	"\"snapshots\":1,"                                                                         \
	"\"state\":\"draining\",\"stores\":4}],\"quorumless\":1,\"resting\":4,"
#define TAIL                                                                                       \
	"\"snapshot_bytes\":7500,\"snapshot_bytes_per_s\":75,\"snapshots\":3,"                     \
	"\"standing\":0,\"survives\":0,\"version\":12,\"waiting\":3,\"well\":false}"
	assert_written(&scene, false, HEAD TAIL);
	assert_written(&scene, true,
	    HEAD "\"shards\":[{\"generation\":5,\"leader\":1,\"replicas\":["
	         "{\"heard\":true,\"lag\":0,\"node\":1,\"replica\":1,\"role\":\"voter\"},"
	         "{\"heard\":false,\"lag\":3,\"node\":2,\"replica\":2,\"role\":\"learner\"}],"
	         "\"settled\":true,\"shard\":0,\"survives\":0,\"term\":7,\"well\":true},"
	         "{\"generation\":5,\"lacks\":[2],\"needs\":1,\"quorumless_ms\":500,"
	         "\"recovered\":{\"at_ms\":1700000000000,\"committed\":38,\"index\":41,\"node\":1,"
	         "\"term\":1007},"
	         "\"replicas\":["
	         "{\"node\":1,\"replica\":1,\"role\":\"voter\"},"
	         "{\"node\":2,\"replica\":2,\"role\":\"voter\"}],"
	         "\"settled\":false,\"shard\":1,\"survives\":0,\"well\":false}]," TAIL);
	cluster_map_release(scene.map);
}
END_TEST

/* Of a shard's part of the document. */
static void assert_told(const struct scene *scene, const char *expected)
{
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, 65536);
	json_writer_init(&writer, &text);
	cluster_status_write(&scene->view, true, &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	struct slice written = buffer_view(&text);
	ck_assert_msg(memmem(written.data, written.bytes, expected, strlen(expected)), "%.*s",
	    (int)written.bytes, (const char *)written.data);
	buffer_done(&text);
}

static void assert_standing(const struct scene *scene, uint32_t standing, uint32_t survives)
{
	struct cluster_summary summary = cluster_summarise(&scene->view);
	ck_assert_uint_eq(summary.standing, standing);
	ck_assert_uint_eq(summary.survives, survives);
	ck_assert(summary.well == (standing == 0));
	ck_assert_uint_eq(summary.behind + summary.few + summary.leaderless, 0);
}

START_TEST(what_shards_do_is_said_of_them_and_of_who_leads_them)
{
	struct scene scene;
	begin(&scene, 2);
	scene.shards[1].load = 480;
	assert_told(&scene, "\"leads\":2,\"load\":480,\"node\":1,");
	assert_told(&scene, "\"leads\":0,\"node\":2,");
	assert_told(&scene, "\"leader\":1,\"replicas\":");
	assert_told(&scene, "\"leader\":1,\"load\":480,\"replicas\":");
	/* Nobody leads it: what is kept of before says nothing. */
	scene.shards[1].leader = 0;
	assert_told(&scene, "\"leads\":1,\"node\":1,");
	cluster_map_release(scene.map);
}
END_TEST

/* Its voters are heard, and lack little: but nothing goes on. */
START_TEST(a_shard_of_which_nothing_is_committed_is_not_well)
{
	struct scene scene;
	begin(&scene, 3);
	struct cluster_said *said = &scene.shards[1];
	/* It goes on, however much is under way. */
	said->pending = 4;
	said->stands_ms = 5000;
	said->members[1].lag = said->members[2].lag = 4;
	assert_standing(&scene, 0, 1);
	said->stands_ms = 20000;
	assert_standing(&scene, 1, 0);
	assert_told(&scene, "\"settled\":true,\"shard\":1,\"standing_ms\":20000,\"survives\":0,"
	                    "\"term\":7,\"unacknowledged\":[2,3],\"well\":false}");
	assert_told(&scene, "\"shard\":0,\"survives\":1,\"term\":7,\"well\":true}");
	/* Who has the first of it has acknowledged something; its leader may be the one who has
	 * not. */
	said->members[0].lag = 4;
	said->members[1].lag = 3;
	assert_standing(&scene, 1, 0);
	assert_told(&scene, "\"unacknowledged\":[1,3]");
	/* Nothing is proposed any more. */
	said->pending = said->stands_ms = 0;
	said->members[0].lag = said->members[1].lag = said->members[2].lag = 0;
	assert_standing(&scene, 0, 1);
	cluster_map_release(scene.map);
}
END_TEST

START_TEST(what_is_damaged_is_named_with_what_comes_of_it)
{
	struct scene scene;
	struct cluster_damaged damaged[3] = {
	    {.replica = 2, .ms = 700}, {.replica = 3, .ms = 400}, {.replica = 1, .ms = 900}};
	begin(&scene, 3);
	scene.shards[1].damaged = damaged;
	scene.shards[1].damaged_count = 1;
	ck_assert_uint_eq(cluster_summarise(&scene.view).damaged, 1);
	assert_told(&scene, "{\"damaged\":[{\"ms\":700,\"node\":2,\"replica\":2}],\"generation\"");
	assert_told(&scene, "\"remedy\":\"itself\",\"replicas\":");
	/* Without a leader, and with two that can elect one. */
	scene.shards[1].leader = 0;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 0);
	assert_told(&scene, "\"remedy\":\"itself\"");
	/* One of them is away. */
	scene.nodes[2] = (struct placement_node){.dead_ms = 300};
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 1);
	assert_told(&scene, "\"lacks\":[3],\"needs\":1,\"quorumless_ms\":300,\"remedy\":\"nodes\"");
	/* It is damaged, too, and does not help when it comes back. */
	scene.shards[1].damaged_count = 2;
	assert_told(
	    &scene, "\"lacks\":[],\"needs\":1,\"quorumless_ms\":400,\"remedy\":\"recover\"");
	scene.nodes[2].alive = true;
	ck_assert_uint_eq(cluster_summarise(&scene.view).quorumless, 1);
	assert_told(&scene, "\"remedy\":\"recover\"");
	scene.shards[1].damaged_count = 3;
	assert_told(&scene, "\"needs\":2,\"quorumless_ms\":700,\"remedy\":\"restore\"");
	cluster_map_release(scene.map);
}
END_TEST

#define NO_MOVES "\"snapshot_bytes\":0,\"snapshot_bytes_per_s\":0,\"snapshots\":0,"

START_TEST(what_is_even_and_who_may_go_and_how_far_jobs_are_is_said)
{
	static const bool removable[2] = {false, true};
	struct scene scene;
	begin(&scene, 2);
	static const uint64_t drains_left[2] = {0, 1};
	scene.map->rebalance = (struct cluster_job){.began_ms = 1700000000000, .all = 96};
	scene.map->nodes[1].drain =
	    (struct cluster_job){.began_ms = 1700000001000, .ended_ms = 1700000003000, .all = 3};
	scene.view.drains_left = drains_left;
	scene.view.rebalance_left = 40;
	scene.view.now_ms = 1700000005000;
	scene.view.even = true;
	scene.nodes[1].full = true;
	scene.nodes[1].waiting_ms = 2500;
	scene.view.removable = removable;
	assert_written(&scene, false,
	    "{\"behind\":0,\"by\":2,\"cluster\":\"00000000000000000000000000000007\","
	    "\"damaged\":0,\"even\":true,\"factor\":3,\"few\":0,\"jobs\":["
	    "{\"all\":96,\"began_ms\":1700000000000,\"job\":\"rebalance\",\"left\":40,\"ms\":5000,"
	    "\"runs\":true},"
	    "{\"all\":3,\"began_ms\":1700000001000,\"job\":\"drain\",\"left\":0,\"ms\":2000,"
	    "\"node\":2,\"runs\":false}],"
	    "\"leaderless\":0,\"moving\":0,\"nodes\":["
	    "{\"alive\":true,\"cluster_port\":7472,\"cores\":2,\"host\":\"10.0.0.1\","
	    "\"leads\":2,\"node\":1,\"peer_port\":7471,\"port\":7470,\"replicas\":2," NO_MOVES
	    "\"state\":\"member\",\"stores\":4},"
	    "{\"alive\":true,\"cluster_port\":7472,\"cores\":2,\"disk_waiting_ms\":2500,"
	    "\"full\":true,\"host\":\"10.0.0.2\",\"leads\":0,\"node\":2,\"peer_port\":7471,"
	    "\"port\":7470,"
	    "\"removable\":true,"
	    "\"replicas\":2," NO_MOVES
	    "\"state\":\"member\",\"stores\":4}],\"quorumless\":0,\"resting\":0," NO_MOVES
	    "\"standing\":0,\"survives\":0,\"version\":12,\"waiting\":0,\"well\":true}");
	/* More has come than the record has yet. */
	scene.view.rebalance_left = 97;
	assert_told(&scene, "{\"all\":96,\"began_ms\":1700000000000,\"job\":\"rebalance\","
	                    "\"left\":96,\"ms\":5000,\"runs\":true}");
	/* Who does not lead the directory knows nothing of what is left. */
	scene.view.drains_left = NULL;
	assert_told(&scene, "\"jobs\":[],");
	cluster_map_release(scene.map);
}
END_TEST

START_TEST(a_list_of_nodes_has_who_leads_as_far_as_one_knows)
{
	struct scene scene;
	struct buffer text;
	struct json_writer writer;
	begin(&scene, 1);
	scene.shards[1] = (struct cluster_said){.leader = 0};
	buffer_init(&text, 65536);
	json_writer_init(&writer, &text);
	cluster_nodes_write(&scene.view, &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	assert_text(&text,
	    "{\"by\":2,\"cluster\":\"00000000000000000000000000000007\",\"nodes\":["
	    "{\"alive\":true,\"cluster_port\":7472,\"cores\":2,\"host\":\"10.0.0.1\","
	    "\"leads\":1,\"node\":1,\"peer_port\":7471,\"port\":7470,\"replicas\":2," NO_MOVES
	    "\"state\":\"member\",\"stores\":4}],\"version\":12}");
	cluster_map_release(scene.map);
}
END_TEST

Suite *cluster_status_suite(void)
{
	Suite *suite = suite_create("cluster status");
	TCase *status = tcase_create("status");
	tcase_add_test(status, well_is_led_with_enough_voters_that_have_the_log);
	tcase_add_test(status, a_leader_that_is_dead_leads_nothing);
	tcase_add_test(status, who_is_there_and_has_nothing_of_it_has_no_vote);
	tcase_add_test(status, a_voter_whose_node_is_gone_is_not_counted_on);
	tcase_add_test(status, a_voter_whose_disk_does_not_answer_survives_nobody_elses_failure);
	tcase_add_test(status, two_nodes_are_well_and_survive_nothing);
	tcase_add_test(status, a_shard_with_its_members_and_a_dead_one_is_as_it_is_to_be);
	tcase_add_test(status, a_quorum_is_lost_with_the_one_that_was_too_much);
	tcase_add_test(status, who_was_removed_may_have_taken_the_quorum);
	tcase_add_test(status, what_nothing_is_left_of_is_named);
	tcase_add_test(status, it_is_written_as_json);
	tcase_add_test(status, what_shards_do_is_said_of_them_and_of_who_leads_them);
	tcase_add_test(status, a_list_of_nodes_has_who_leads_as_far_as_one_knows);
	tcase_add_test(status, a_shard_of_which_nothing_is_committed_is_not_well);
	tcase_add_test(status, what_is_damaged_is_named_with_what_comes_of_it);
	tcase_add_test(status, what_is_even_and_who_may_go_and_how_far_jobs_are_is_said);
	suite_add_tcase(suite, status);
	return suite;
}
