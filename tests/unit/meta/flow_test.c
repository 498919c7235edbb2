/* The directory's flows over a one-member group on a simulated machine, with Lua: what becomes of
 * requests, and what a start finds. The cores are the test: it answers for them, at once or late.
 * Losing leadership is told by the test, too, as a group of several members would. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/log_line.h"
#include "replication/group.h"
#include "scripting/host.h"
#include "server/meta/meta.h"
#include "tests/unit/run.h"

enum { STEPS_MAX = 400000 };

static struct {
	struct sim *sim;
	struct sim_node *node;
	struct io *io;
	struct group_store *store;
	struct host *host;
	struct meta *meta;
	const struct group_events *events;
	void *events_arg;
	unsigned ready, loads, activations;
	bool hold; /* the cores do not answer */
	bool asked_load, asked_activate, loaded;
	uint64_t generation;
	char active[HOST_HASH_CHARACTERS + 1];
} world;

/* The linker puts this in the place of group_add: see module.am. */
int __real_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	world.events = events;
	world.events_arg = arg;
	return __real_group_add(store, shard, events, arg, ret_group);
}

/* ---- The cores ---- */

static void load(void *arg, struct slice bundle)
{
	(void)arg;
	ck_assert(!world.asked_load && !world.asked_activate);
	ck_assert_uint_gt(bundle.bytes, 0);
	world.asked_load = true;
	world.loads++;
}

static void activate(
    void *arg, struct slice app, const char *hash, uint64_t generation, bool remove)
{
	(void)arg;
	(void)app;
	ck_assert(!world.asked_load && !world.asked_activate);
	ck_assert(remove == (hash[0] == 0));
	world.asked_activate = true;
	world.activations++;
	world.generation = generation;
	snprintf(world.active, sizeof(world.active), "%s", hash);
}

static void answer_for_cores(void)
{
	if (world.asked_load) {
		world.asked_load = false;
		meta_loaded(world.meta, STATUS_OK, slice_of(NULL, 0));
	} else if (world.asked_activate) {
		world.asked_activate = false;
		meta_activated(world.meta, STATUS_OK, 0);
	}
}

/* ---- The process ---- */

static void turn(void *arg)
{
	(void)arg;
	if (!world.io)
		return;
	io_run(world.io);
	if (!world.meta)
		return;
	if (!world.hold)
		answer_for_cores();
	bool more = meta_turn(world.meta);
	more |= group_store_turn(world.store);
	if (more || (!world.hold && (world.asked_load || world.asked_activate)))
		io_wake(world.io, NULL);
}

static void opened(void *arg)
{
	(void)arg;
}

static void ready(void *arg)
{
	(void)arg;
	world.ready++;
}

static void open_in_process(void *arg)
{
	char why[512] = "";
	struct engine_report report;
	(void)arg;
	struct group_store_options store = {.engine = {.fs = sim_node_fs(world.node),
	                                        .io = world.io,
	                                        .root = "/",
	                                        .dir = "stores/000",
	                                        .store_id = 7,
	                                        .segment_bytes = 1024 * 1024,
	                                        .first_segment_bytes = 512 * 1024,
	                                        .frame_bytes_max = 256 * 1024,
	                                        .reserve_bytes_max = 64 * 1024}};
	ck_assert_int_eq(group_store_open(&store, why, sizeof(why), &world.store, &report), 0);
	struct host_options host = {.mode = HOST_DEV, .seed = 1};
	ck_assert_int_eq(host_new(&host, &world.host), 0);
	struct meta_options meta = {.io = world.io,
	    .store = world.store,
	    .host = world.host,
	    .cores = {.load = load, .activate = activate},
	    .shards_wanted = 8,
	    .id_wanted = {1, 2},
	    .opened = opened,
	    .ready = ready};
	ck_assert_int_eq(meta_new(&meta, &world.meta), 0);
	meta_start(world.meta);
	io_wake(world.io, NULL);
}

static bool is_ready(void *arg)
{
	(void)arg;
	return world.ready > 0;
}

static void run_until(bool (*until)(void *arg), void *arg)
{
	ck_assert(sim_run_until(world.sim, until, arg, STEPS_MAX));
}

static void boot(void)
{
	world.ready = world.loads = world.activations = 0;
	world.asked_load = world.asked_activate = false;
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, turn, NULL);
	ck_assert(sim_node_run(world.node, open_in_process, NULL));
	run_until(is_ready, NULL);
}

static void crash(void)
{
	world.io = NULL;
	world.meta = NULL;
	sim_node_crash(world.node, SIM_POWER_CUT);
}

static void set_up(void)
{
	memset(&world, 0, sizeof(world));
	world.sim = sim_new(1, NULL);
	world.node = sim_node_new(world.sim);
	struct fs *fs = sim_node_fs(world.node);
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
	boot();
}

static void tear_down(void)
{
	sim_free(world.sim);
}

/* ---- Requests ---- */

struct test_request {
	struct meta_request request;
	struct buffer bundle;
	char hash[HOST_HASH_CHARACTERS + 1];
	bool done;
};

static void request_done(struct meta_request *request)
{
	struct test_request *test = CONTAINER_OF(request, struct test_request, request);
	ck_assert(!test->done);
	test->done = true;
	/* As the gate does: what was asked with is gone once it is answered. */
	buffer_done(&test->bundle);
}

/* An app of one component, whose query answers `version`. */
static void deploy_init(struct test_request *test, const char *app, const char *type, int version)
{
	char source[512];
	*test = (struct test_request){.request = {.verb = META_APP_DEPLOY, .done = request_done}};
	snprintf(source, sizeof(source),
	    "local k = require 'kalix'\n"
	    "return { name = '%s', k.value_entity '%s' { queries = { get = function() return %d "
	    "end } } }\n",
	    app, type, version);
	buffer_init(&test->bundle, 65536);
	struct host_file file = {
	    .path = slice_from_text("app.lua"), .source = slice_from_text(source)};
	ck_assert_int_eq(host_bundle_pack(&file, 1, &test->bundle), 0);
	test->request.bundle = buffer_view(&test->bundle);
	host_bundle_hash(test->request.bundle, test->hash);
}

static void submit_in_process(void *arg)
{
	struct test_request *test = arg;
	meta_submit(world.meta, &test->request);
	io_wake(world.io, NULL);
}

static void submit(struct test_request *test)
{
	ck_assert(sim_node_run(world.node, submit_in_process, test));
}

static bool is_done(void *arg)
{
	return ((struct test_request *)arg)->done;
}

static bool slice_has(struct slice text, const char *part)
{
	return text.data && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

static enum status run(struct test_request *test)
{
	submit(test);
	run_until(is_done, test);
	buffer_done(&test->request.reply);
	buffer_done(&test->request.details);
	return test->request.status;
}

static enum status deploy(const char *app, const char *type, int version, char hash[33])
{
	struct test_request test;
	deploy_init(&test, app, type, version);
	if (hash)
		memcpy(hash, test.hash, sizeof(test.hash));
	return run(&test);
}

static enum status change(enum meta_verb verb, const char *app, const char *expected)
{
	struct test_request test = {.request = {.verb = verb, .done = request_done}};
	struct slice drop = slice_from_text("box");
	test.request.app = slice_from_text(app);
	if (expected)
		test.request.expected = slice_from_text(expected);
	test.request.drop = &drop;
	test.request.drop_count = 1;
	return run(&test);
}

/* ---- Facts ---- */

START_TEST(what_is_deployed_is_there_after_a_crash)
{
	char hash[33];
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	ck_assert_str_eq(world.active, hash);
	uint64_t generation = world.generation;
	crash();
	boot();
	ck_assert_str_eq(world.active, hash);
	ck_assert_uint_eq(world.generation, generation);
	ck_assert_uint_eq(world.loads, 1);
}
END_TEST

/* The core sleeps where nothing is said to be left; what wakes it may be far away. */
START_TEST(a_start_restores_all_apps_without_a_pause)
{
	static const char *const apps[][2] = {
	    {"a", "x"}, {"b", "y"}, {"c", "z"}, {"d", "v"}, {"e", "w"}};
	char hash[33];
	for (size_t i = 0; i < sizeof(apps) / sizeof(apps[0]); i++)
		ck_assert_int_eq(deploy(apps[i][0], apps[i][1], 1, hash), STATUS_OK);
	crash();
	uint64_t began_ns = clock_monotonic_ns();
	boot();
	ck_assert_uint_eq(world.loads, sizeof(apps) / sizeof(apps[0]));
	/* The machine's time is simulated. */
	ck_assert_uint_lt(clock_monotonic_ns() - began_ns, NS_PER_S / 10);
}
END_TEST

static bool activation_asked(void *arg)
{
	(void)arg;
	return world.asked_activate;
}

START_TEST(a_start_completes_an_activation_that_a_crash_cut_off)
{
	struct test_request test;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	world.hold = false;
	world.activations = 0;
	run_until(activation_asked, NULL);
	crash();
	buffer_done(&test.bundle);
	world.active[0] = 0;
	boot();
	ck_assert_str_eq(world.active, test.hash);
}
END_TEST

START_TEST(another_hash_than_expected_is_refused)
{
	char hash[33];
	struct test_request test;
	ck_assert_int_eq(deploy("shop", "box", 1, hash), STATUS_OK);
	deploy_init(&test, "shop", "box", 2);
	test.request.expected = slice_from_text("00000000000000000000000000000000");
	ck_assert_int_eq(run(&test), STATUS_ABORTED);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", test.hash), STATUS_ABORTED);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", hash), STATUS_OK);
	ck_assert_str_eq(world.active, "");
}
END_TEST

START_TEST(a_name_belongs_to_its_app_even_when_that_is_removed)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_ALREADY_EXISTS);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_ALREADY_EXISTS);
	crash();
	boot();
	ck_assert_int_eq(deploy("other", "box", 1, NULL), STATUS_ALREADY_EXISTS);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
}
END_TEST

START_TEST(a_component_that_goes_has_to_be_named)
{
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "crate", 1, NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

START_TEST(rolling_back_twice_goes_back_two_versions)
{
	char first[33], second[33];
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, second), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 3, NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, second);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "none", NULL), STATUS_NOT_FOUND);
}
END_TEST

START_TEST(many_versions_leave_the_last_ones_to_go_back_to)
{
	for (int version = 1; version <= 40; version++)
		ck_assert_int_eq(deploy("shop", "box", version, NULL), STATUS_OK);
	crash();
	boot();
	/* 32 are remembered, and each step back is remembered, too. */
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

/* v1, v2, v1 again, then back: each way back is the one that was there when a version first came,
 * so that going back ends, and never goes forth again. */
START_TEST(rolling_back_over_a_version_that_came_twice_ends)
{
	char first[33], second[33];
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, second), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, second);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_FAILED_PRECONDITION);
}
END_TEST

/* ---- A full disk ---- */

START_TEST(a_full_disk_refuses_a_deployment_whole_and_lets_go_back_and_away)
{
	char first[33];
	struct test_request test;
	ck_assert_int_eq(deploy("shop", "box", 1, first), STATUS_OK);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK);
	uint64_t generation = world.generation;
	unsigned loads = world.loads;
	sim_disk_set_capacity(world.node, 1 << 20);
	for (int dry = 1; dry >= 0; dry--) {
		deploy_init(&test, "shop", "box", 3);
		test.request.dry_run = dry;
		submit(&test);
		run_until(is_done, &test);
		ck_assert_int_eq(test.request.status, STATUS_RESOURCE_EXHAUSTED);
		ck_assert(
		    slice_has(buffer_view(&test.request.reply), "the disk is full: 0 MiB are"));
		ck_assert(slice_has(buffer_view(&test.request.reply), " 2 MiB have to stay free"));
		buffer_done(&test.request.reply);
	}
	ck_assert_uint_eq(world.loads, loads);
	ck_assert_uint_eq(world.generation, generation);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK); /* unchanged */
	ck_assert_int_eq(change(META_APP_ROLLBACK, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, first);
	ck_assert_int_eq(change(META_APP_REMOVE, "shop", NULL), STATUS_OK);
	ck_assert_str_eq(world.active, "");
	sim_disk_set_capacity(world.node, 0);
	ck_assert_int_eq(deploy("shop", "box", 3, NULL), STATUS_OK);
}
END_TEST

/* ---- Leadership ---- */

static void lose_in_process(void *arg)
{
	(void)arg;
	world.events->lost(world.events_arg);
}

static void lead_in_process(void *arg)
{
	(void)arg;
	world.events->leading(world.events_arg, 9);
	io_wake(world.io, NULL);
}

static bool load_asked(void *arg)
{
	(void)arg;
	return world.asked_load;
}

START_TEST(what_cores_are_loading_stays_until_they_return_it)
{
	struct test_request test;
	world.hold = true;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	run_until(load_asked, NULL);
	ck_assert(sim_node_run(world.node, lose_in_process, NULL));
	ck_assert(!test.done);
	ck_assert(sim_node_run(world.node, lead_in_process, NULL));
	world.hold = false;
	io_wake(world.io, NULL);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_UNAVAILABLE);
	buffer_done(&test.request.reply);
	ck_assert_int_eq(deploy("shop", "box", 2, NULL), STATUS_OK);
	ck_assert_uint_eq(world.ready, 1);
}
END_TEST

START_TEST(what_was_committed_when_leadership_went_is_in_doubt_and_completed)
{
	struct test_request test;
	deploy_init(&test, "shop", "box", 1);
	submit(&test);
	run_until(activation_asked, NULL);
	world.hold = true;
	ck_assert(sim_node_run(world.node, lose_in_process, NULL));
	ck_assert(sim_node_run(world.node, lead_in_process, NULL));
	world.hold = false;
	io_wake(world.io, NULL);
	run_until(is_done, &test);
	ck_assert_int_eq(test.request.status, STATUS_UNKNOWN_OUTCOME);
	buffer_done(&test.request.reply);
	ck_assert_int_eq(deploy("shop", "box", 1, NULL), STATUS_OK); /* unchanged */
	ck_assert_str_eq(world.active, test.hash);
	ck_assert_uint_eq(world.ready, 1);
}
END_TEST

int main(int argc, char **argv)
{
	log_line_set_level(LEVEL_ERROR);
	(void)argc;
	(void)argv;
	Suite *suite = suite_create("meta_flow");
	TCase *tcase = tcase_create("meta_flow");
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 600);
	tcase_add_test(tcase, what_is_deployed_is_there_after_a_crash);
	tcase_add_test(tcase, a_start_restores_all_apps_without_a_pause);
	tcase_add_test(tcase, a_start_completes_an_activation_that_a_crash_cut_off);
	tcase_add_test(tcase, another_hash_than_expected_is_refused);
	tcase_add_test(tcase, a_name_belongs_to_its_app_even_when_that_is_removed);
	tcase_add_test(tcase, a_component_that_goes_has_to_be_named);
	tcase_add_test(tcase, rolling_back_twice_goes_back_two_versions);
	tcase_add_test(tcase, rolling_back_over_a_version_that_came_twice_ends);
	tcase_add_test(tcase, a_full_disk_refuses_a_deployment_whole_and_lets_go_back_and_away);
	tcase_add_test(tcase, many_versions_leave_the_last_ones_to_go_back_to);
	tcase_add_test(tcase, what_cores_are_loading_stays_until_they_return_it);
	tcase_add_test(tcase, what_was_committed_when_leadership_went_is_in_doubt_and_completed);
	suite_add_tcase(suite, tcase);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner), all = srunner_ntests_run(runner);
	printf("%d passed, %d failed\n", all - failed, failed);
	srunner_free(runner);
	return failed != 0;
}
