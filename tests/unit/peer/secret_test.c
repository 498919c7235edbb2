/* A secret that is changed while the cluster runs. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

#include <string.h>

static const char OLD[] = "the secret until now";
static const char NEW[] = "the one from now on";
static const char OTHER[] = "of quite another cluster";

/* Each has one, or that and the one before it. */
static void give(int number, const char *secret, const char *previous)
{
	struct peers_options *options = &nodes[number].options;
	options->secret = slice_from_text(secret);
	options->secret_previous = previous != NULL ? slice_from_text(previous) : slice_of(NULL, 0);
	rig_restart(number);
}

/* From the one to the other, and that messages go over it. */
static void expect_link(int from)
{
	int to = 1 - from;
	unsigned got = nodes[to].got_count;
	unsigned ups = nodes[from].ups;
	unsigned others = nodes[to].ups;
	ck_assert_int_eq(rig_add(to, 0), 0);
	ck_assert_int_eq(rig_add(from, peers_port(nodes[to].peers)), 0);
	rig_until(&nodes[from].ups, ups + 1);
	rig_until(&nodes[to].ups, others + 1);
	ck_assert_int_eq(rig_send(from, PEER_ENTRIES, 1, "it is me"), 0);
	rig_until(&nodes[to].got_count, got + 1);
}

START_TEST(a_node_with_both_links_to_one_that_has_either)
{
	static const char *const others[][2] = {{OLD, NULL}, {NEW, NULL}, {NEW, OLD}, {OLD, NEW}};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		for (int from = 0; from < 2; from++) {
			give(0, NEW, OLD);
			give(1, others[i][0], others[i][1]);
			expect_link(from);
		}
}
END_TEST

START_TEST(two_with_both_begin_with_the_new_one)
{
	give(0, NEW, OLD);
	give(1, NEW, OLD);
	expect_link(0);
	ck_assert_uint_eq(peers_figures(nodes[0].peers).dials, 1);
	ck_assert_uint_eq(peers_figures(nodes[1].peers).refused_by_us, 0);
}
END_TEST

START_TEST(who_has_neither_is_refused_until_it_has)
{
	give(0, NEW, OLD);
	give(1, OTHER, NULL);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(400);
	ck_assert_uint_eq(nodes[0].ups, 0);
	ck_assert_uint_ge(peers_figures(nodes[1].peers).refused_by_us, 2);
	give(1, OLD, OTHER);
	ck_assert_int_eq(rig_add(1, 0), 0);
	struct sockaddr_in address = rig_address(peers_port(nodes[1].peers));
	ck_assert_int_eq(
	    peer_set_address(nodes[0].other, (struct sockaddr *)&address, sizeof(address)), 0);
	rig_until(&nodes[0].ups, 1);
}
END_TEST

START_TEST(the_one_before_is_no_good_any_more_where_it_is_gone)
{
	give(0, OLD, NULL);
	give(1, NEW, NULL);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(300);
	ck_assert_uint_eq(nodes[0].ups, 0);
	ck_assert_uint_ge(peers_figures(nodes[1].peers).refused_by_us, 2);
}
END_TEST

static void expect_refused(int number, bool by_us)
{
	struct peer_refused refused = {.reason = 0};
	ck_assert(peer_refused(nodes[number].other, &refused));
	ck_assert_uint_eq(refused.reason, PEER_REFUSED_SECRET);
	ck_assert(refused.by_us == by_us);
	ck_assert(refused.named);
}

/* Only one of them connects. */
START_TEST(both_ends_know_that_the_other_is_there_with_another_secret)
{
	struct peer_refused refused;
	give(0, OLD, NULL);
	give(1, NEW, NULL);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	ck_assert(!peer_refused(nodes[0].other, &refused));
	rig_pass(200);
	expect_refused(0, false);
	expect_refused(1, true);
	struct peers_figures figures = peers_figures(nodes[1].peers);
	ck_assert_uint_eq(figures.refused[PEER_REFUSED_SECRET], figures.refused_by_us);
	ck_assert_uint_ge(figures.refused_by_us, 1);
	figures = peers_figures(nodes[0].peers);
	ck_assert_uint_eq(figures.refused[PEER_REFUSED_SECRET], figures.refused_by_them);
	/* It is given the right one. */
	give(0, NEW, NULL);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_until(&nodes[0].ups, 1);
	rig_until(&nodes[1].ups, 1);
	ck_assert(!peer_refused(nodes[0].other, &refused));
	ck_assert(!peer_refused(nodes[1].other, &refused));
}
END_TEST

START_TEST(who_is_there_no_more_refuses_nothing)
{
	struct peer_refused refused;
	nodes[0].options.handshake_ms = 100;
	give(0, OLD, NULL);
	give(1, NEW, NULL);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(100);
	expect_refused(0, false);
	/* It comes back at another port, of which nobody is told. */
	rig_restart(1);
	rig_pass(400);
	ck_assert(!peer_refused(nodes[0].other, &refused));
	ck_assert_uint_ge(peers_figures(nodes[0].peers).dials_failed, 1);
}
END_TEST

START_TEST(a_node_without_a_secret_is_there_too)
{
	struct peer_refused refused = {.reason = 0};
	nodes[0].options.secret = slice_of(NULL, 0);
	rig_restart(0);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(100);
	/* It was refused before the other one had said who it is. */
	ck_assert(peer_refused(nodes[0].other, &refused));
	ck_assert(refused.reason == PEER_REFUSED_SECRET && !refused.by_us && !refused.named);
	expect_refused(1, true);
}
END_TEST

static unsigned dones;
static int done_error;

static void introduced(
    void *arg, const struct peer_identity *them, struct slice question, uint64_t token)
{
	(void)arg;
	(void)them;
	ck_assert_int_eq(peers_introduced(nodes[1].peers, token, question), 0);
}

static void done(void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	(void)arg;
	(void)answer;
	(void)them;
	done_error = error;
	dones++;
}

START_TEST(who_asks_may_have_either)
{
	static const char *const secrets[] = {OLD, NEW, OTHER};
	nodes[1].options.callbacks.introduced = introduced;
	give(1, NEW, OLD);
	for (unsigned i = 0; i < 3; i++) {
		struct sockaddr_in address = rig_address(peers_port(nodes[1].peers));
		dones = 0;
		give(0, secrets[i], NULL);
		ck_assert_int_eq(peers_introduce(nodes[0].peers, (struct sockaddr *)&address,
		                     sizeof(address), slice_from_text("?"), done, NULL),
		    0);
		rig_until(&dones, 1);
		ck_assert_int_eq(done_error, i < 2 ? 0 : ERR_PERMISSION);
	}
}
END_TEST

START_TEST(a_previous_secret_is_one)
{
	struct peers *peers = NULL;
	struct peers_options options = nodes[0].options;
	options.secret_previous = slice_from_text("short");
	ck_assert_int_eq(peers_new(NULL, &options, &peers), ERR_INVALID);
	options.secret_previous = slice_from_text(OLD);
	options.secret = slice_of(NULL, 0);
	ck_assert_int_eq(peers_new(NULL, &options, &peers), ERR_INVALID);
	ck_assert_ptr_null(peers);
}
END_TEST

Suite *secret_suite(void)
{
	Suite *suite = suite_create("secret");
	TCase *tcase = tcase_create("secret");
	tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
	tcase_add_test(tcase, a_node_with_both_links_to_one_that_has_either);
	tcase_add_test(tcase, two_with_both_begin_with_the_new_one);
	tcase_add_test(tcase, who_has_neither_is_refused_until_it_has);
	tcase_add_test(tcase, the_one_before_is_no_good_any_more_where_it_is_gone);
	tcase_add_test(tcase, both_ends_know_that_the_other_is_there_with_another_secret);
	tcase_add_test(tcase, who_is_there_no_more_refuses_nothing);
	tcase_add_test(tcase, a_node_without_a_secret_is_there_too);
	tcase_add_test(tcase, who_asks_may_have_either);
	tcase_add_test(tcase, a_previous_secret_is_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
