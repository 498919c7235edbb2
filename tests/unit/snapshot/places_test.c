/* A replica's places for what comes: one whose sender is gone is in nobody's way. */
#include "tests/unit/snapshot/behind.h"
#include "tests/unit/snapshot/suites.h"

/* Another group of the node that is left behind. Nobody but the tests sends it anything. */
enum { NEIGHBOUR = SHARD + 1, NEIGHBOUR_ID = 78 };

static void nothing(void *arg)
{
	(void)arg;
}

static void nothing_of(void *arg, uint64_t number)
{
	(void)arg;
	(void)number;
}

static void nothing_of_entry(void *arg, const struct group_entry *entry)
{
	(void)arg;
	(void)entry;
}

static const struct group_events nobody = {.leading = nothing_of,
    .lost = nothing,
    .applied = nothing_of_entry,
    .confirmed = nothing_of,
    .room = nothing,
    .closed = nothing};

static void add_in_process(void *arg)
{
	struct node *node = arg;
	struct group *group;
	ck_assert_int_eq(group_add(node->store, NEIGHBOUR, &nobody, NULL, &group), 0);
	group_set_self(group, lagging + 1);
	group_start(group);
	io_wake(node->io, NULL);
}

/* It is offered a snapshot from the other node, and has to wait for the one place. */
static void offer_in_process(void *arg)
{
	struct node *node = arg;
	uint8_t span[512], body[256];
	struct snapshot_message message = {.kind = SNAPSHOT_OFFER,
	    .id = NEIGHBOUR_ID,
	    .from = other + 1,
	    .to = lagging + 1,
	    .term = 1,
	    .at = {.term = 1, .index = 100}};
	struct writer out = writer_of(body, sizeof(body)), writer = writer_of(span, sizeof(span));
	snapshot_body_write(&out, &message);
	snapshot_head_write(
	    &writer, &message, snapshot_hash(message.kind, message.id, writer_view(&out)));
	writer_slice(&writer, writer_view(&out));
	ck_assert(!writer.failed);
	snapshots_receive(
	    node->snapshots, (uint16_t)(other + 1), node->store, NEIGHBOUR, writer_view(&writer));
	io_wake(node->io, NULL);
}

static const struct snapshots_figures *look(void)
{
	look_at_figures(lagging);
	return &world.node[lagging].figures;
}

/* Half of the state has come. */
static void begin(uint64_t bytes_per_s)
{
	begin_with(&(struct snapshots_options){.bytes_per_s = bytes_per_s, .streams_max = 1});
	ck_assert(sim_node_run(world.node[lagging].machine, add_in_process, &world.node[lagging]));
	world_wait(500);
	cut(lagging, false);
	ck_assert(world_run(half_is_sent, NULL, 20L * FAR_MS));
}

static void neighbour_waits(void)
{
	struct node *node = &world.node[lagging];
	ck_assert(sim_node_run(node->machine, offer_in_process, node));
	ck_assert_uint_eq(look()->receiving, 1);
	ck_assert_uint_eq(look()->receiving_waits, 1);
}

static bool has_place(void *arg)
{
	(void)arg;
	return look()->receiving_waits == 0;
}

/* Long before its patience ends. */
static void expect_place(void)
{
	ck_assert(world_run(has_place, NULL, SNAPSHOT_PATIENCE_MS / 3));
	ck_assert_uint_eq(look()->receiving, 1);
	ck_assert_uint_eq(look()->install_failures, 1);
	ck_assert_uint_eq(world.node[lagging].installs, 0);
	world_end();
}

/* Nobody is left who could lead, so the term goes on. */
START_TEST(a_sender_that_is_gone_leaves_its_place)
{
	begin(4 * MIB);
	crash(other, SIM_KILL);
	crash(number_of(leader()), SIM_KILL);
	neighbour_waits();
	expect_place();
}
END_TEST

START_TEST(a_sender_whose_term_is_over_leaves_its_place)
{
	begin(4 * MIB);
	neighbour_waits();
	crash(number_of(leader()), SIM_KILL);
	expect_place();
}
END_TEST

/* Who comes while it is gone has to wait no longer. */
START_TEST(who_comes_later_gets_the_place_of_who_is_gone)
{
	begin(4 * MIB);
	crash(other, SIM_KILL);
	crash(number_of(leader()), SIM_KILL);
	world_wait(4L * SNAPSHOT_CUT_MS);
	ck_assert_uint_eq(look()->receiving, 1);
	ck_assert_uint_eq(look()->install_failures, 0);
	neighbour_waits();
	expect_place();
}
END_TEST

static bool is_through(void *arg)
{
	return lagging_installed(arg) && has_place(arg);
}

START_TEST(a_sender_that_is_back_soon_goes_on)
{
	begin(4 * MIB);
	neighbour_waits();
	for (int i = 0; i < 3; i++) {
		cut(lagging, true);
		world_wait(SNAPSHOT_CUT_MS / 2);
		ck_assert_uint_eq(look()->receiving_waits, 1);
		cut(lagging, false);
		world_wait(SNAPSHOT_CUT_MS / 20);
	}
	ck_assert(world_run(is_through, NULL, FAR_MS));
	ck_assert_uint_eq(look()->install_failures, 0);
	ck_assert_uint_eq(world.offers, 1);
	world_end();
}
END_TEST

static void another_link_in_process(void *arg)
{
	struct node *node = arg;
	snapshots_link_down(node->snapshots, (uint16_t)(number_of(leader()) + 1));
}

/* So slow that nothing comes for longer than a link may be away. */
START_TEST(a_link_to_another_core_says_nothing)
{
	begin(SNAPSHOT_CHUNK_BYTES / 4);
	neighbour_waits();
	struct node *node = &world.node[lagging];
	for (int i = 0; i < 3; i++) {
		ck_assert(sim_node_run(node->machine, another_link_in_process, node));
		world_wait(2L * SNAPSHOT_CUT_MS);
	}
	ck_assert_uint_eq(look()->receiving_waits, 1);
	ck_assert_uint_eq(look()->install_failures, 0);
	ck_assert_uint_eq(world.offers, 1);
	world_end();
}
END_TEST

Suite *snapshot_places_suite(void)
{
	Suite *suite = suite_create("places");
	TCase *cases = tcase_create("places");
	tcase_add_test(cases, a_sender_that_is_gone_leaves_its_place);
	tcase_add_test(cases, a_sender_whose_term_is_over_leaves_its_place);
	tcase_add_test(cases, who_comes_later_gets_the_place_of_who_is_gone);
	tcase_add_test(cases, a_sender_that_is_back_soon_goes_on);
	tcase_add_test(cases, a_link_to_another_core_says_nothing);
	suite_add_tcase(suite, cases);
	return suite;
}
