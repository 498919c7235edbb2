/* server/cluster_load.c where the directory is led: what of a CLUSTER_KIND_LOADS is kept. */
#include "base/clock.h"
#include "base/io/sim/sim.h"
#include "server/cluster_control.h"
#include "tests/unit/cluster/suites.h"

enum { SELF = 1, OTHER = 2, THIRD = 3, SHARDS = 4, STEPS_MAX = 100000 };

static struct sim *sim;
static struct sim_node *machine;
static struct cluster_core core;
static struct cluster_control control;
static struct cluster_options options;
static struct cluster_seen seen[SHARDS + 1];

static void set_up(void)
{
	sim = sim_new(1, NULL);
	machine = sim_node_new(sim);
	options =
	    (struct cluster_options){.self = {.node = SELF, .cores = 1}, .shard_count = SHARDS};
	core = (struct cluster_core){.io = sim_node_boot(machine), .options = &options};
	for (uint32_t shard = 0; shard <= SHARDS; shard++)
		seen[shard] = (struct cluster_seen){.at_ns = 1, .node = OTHER};
	control = (struct cluster_control){.core = &core, .leads = true, .seen = seen};
	ck_assert_int_eq(load_book_init(&control.loads, SHARDS + 1), 0);
	core.control = &control;
}

static void tear_down(void)
{
	load_book_done(&control.loads);
	sim_free(sim);
}

struct message {
	uint16_t node;
	struct slice rows;
	int error;
};

static void take(void *arg)
{
	struct message *message = arg;
	io_run(core.io); /* it is as late as the world */
	message->error =
	    cluster_control_rows(&control, CLUSTER_KIND_LOADS, message->node, message->rows);
	load_book_look(&control.loads, io_now_ns(core.io));
}

static int arrives(uint16_t node, struct slice rows)
{
	struct message message = {.node = node, .rows = rows};
	ck_assert(sim_node_run(machine, take, &message));
	return message.error;
}

/* That node says so of each of these, in one message. */
static int says(uint16_t node, const struct cluster_load *loads, unsigned count)
{
	uint8_t bytes[(SHARDS + 2) * CLUSTER_LOAD_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	for (unsigned i = 0; i < count; i++)
		cluster_load_write(&out, &loads[i]);
	return arrives(node, writer_view(&out));
}

static void period_passes(void)
{
	ck_assert(sim_pass(sim, LOAD_PERIOD_NS, STEPS_MAX));
	ck_assert_int_eq(arrives(OTHER, slice_of(NULL, 0)), 0);
}

static void expect(uint32_t shard, uint64_t load)
{
	ck_assert_msg(load_book_of(&control.loads, shard) == load, "shard %u: %llu",
	    (unsigned)shard, (unsigned long long)load_book_of(&control.loads, shard));
}

START_TEST(what_a_shards_leader_says_is_kept)
{
	const struct cluster_load said[] = {
	    {.shard = 1, .level = load_level(100)}, {.shard = SHARDS, .level = load_level(800)}};
	period_passes();
	ck_assert_int_eq(says(OTHER, said, 2), 0);
	period_passes();
	expect(1, load_of_level(load_level(100)));
	expect(2, 0);
	expect(SHARDS, load_of_level(load_level(800)));
}
END_TEST

START_TEST(what_a_shards_leader_of_before_says_comes_too_late)
{
	const struct cluster_load before = {.shard = 1, .level = load_level(800)};
	const struct cluster_load said = {.shard = 1, .level = load_level(100)};
	period_passes();
	ck_assert_int_eq(says(OTHER, &said, 1), 0);
	ck_assert_int_eq(says(THIRD, &before, 1), 0);
	period_passes();
	expect(1, load_of_level(load_level(100)));
	/* It leads now: its own counts, and the other's no more. */
	seen[1].node = THIRD;
	ck_assert_int_eq(says(THIRD, &said, 1), 0);
	ck_assert_int_eq(says(OTHER, &before, 1), 0);
	period_passes();
	expect(1, load_of_level(load_level(100)));
}
END_TEST

START_TEST(what_nobody_says_any_more_comes_to_nothing)
{
	const struct cluster_load said = {.shard = 1, .level = load_level(100)};
	period_passes();
	ck_assert_int_eq(says(OTHER, &said, 1), 0);
	period_passes();
	expect(1, load_of_level(load_level(100)));
	/* As of a node that was removed. */
	for (unsigned i = 0; i < 6 * LOAD_STEPS; i++)
		period_passes();
	expect(1, 0);
}
END_TEST

START_TEST(a_message_that_is_none_is_refused)
{
	const struct cluster_load beyond = {.shard = SHARDS + 1, .level = 1};
	const struct cluster_load two[] = {{.shard = 1, .level = 1}, beyond};
	static const uint8_t directory[] = {0, 1}, nothing[] = {1, 0}, half[] = {1};
	ck_assert_int_eq(says(OTHER, &beyond, 1), ERR_PROTOCOL);
	ck_assert_int_eq(says(OTHER, two, 2), ERR_PROTOCOL);
	ck_assert_int_eq(arrives(OTHER, slice_of(directory, sizeof(directory))), ERR_PROTOCOL);
	ck_assert_int_eq(arrives(OTHER, slice_of(nothing, sizeof(nothing))), ERR_PROTOCOL);
	ck_assert_int_eq(arrives(OTHER, slice_of(half, sizeof(half))), ERR_PROTOCOL);
}
END_TEST

START_TEST(who_follows_keeps_nothing_of_it)
{
	const struct cluster_load said = {.shard = 1, .level = load_level(100)};
	const struct cluster_load beyond = {.shard = SHARDS + 1, .level = 1};
	control.leads = false;
	control.seen = NULL;
	ck_assert_int_eq(says(OTHER, &said, 1), 0);
	ck_assert_int_eq(says(OTHER, &beyond, 1), ERR_PROTOCOL);
	ck_assert_uint_eq(control.loads.loads[1].said_ns, 0);
}
END_TEST

Suite *loads_suite(void)
{
	Suite *suite = suite_create("loads");
	TCase *all = tcase_create("loads");
	tcase_add_checked_fixture(all, set_up, tear_down);
	tcase_add_test(all, what_a_shards_leader_says_is_kept);
	tcase_add_test(all, what_a_shards_leader_of_before_says_comes_too_late);
	tcase_add_test(all, what_nobody_says_any_more_comes_to_nothing);
	tcase_add_test(all, a_message_that_is_none_is_refused);
	tcase_add_test(all, who_follows_keeps_nothing_of_it);
	suite_add_tcase(suite, all);
	return suite;
}
