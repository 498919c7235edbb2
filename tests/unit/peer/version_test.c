/* Nodes of several versions. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

static void speak(uint16_t min, uint16_t max, uint16_t others_min, uint16_t others_max)
{
	nodes[0].options.versions = (struct peer_versions){min, max};
	nodes[1].options.versions = (struct peer_versions){others_min, others_max};
	rig_restart(0);
	rig_restart(1);
}

START_TEST(nodes_with_a_common_version_use_the_highest)
{
	rig_keep_lines();
	speak(1, 2, 2, 3);
	rig_link();
	ck_assert_uint_eq(rig_count_lines("version=2"), 2);
	ck_assert_uint_eq(rig_count_lines("peer_refused"), 0);
	rig_let_lines_go();
}
END_TEST

START_TEST(nodes_without_a_common_version_both_say_both_and_what_to_do)
{
	struct peer_refused refused = {.reason = 0};
	rig_keep_lines();
	speak(1, 1, 2, 3);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(400);
	ck_assert(nodes[0].ups == 0 && nodes[1].ups == 0);
	ck_assert_uint_eq(rig_count_lines("no common version"), 2);
	ck_assert_uint_eq(rig_count_lines("we_speak=1 they_speak=\"2 to 3\" "
	                                  "advice=\"this node is the older one"),
	    1);
	ck_assert_uint_eq(rig_count_lines("we_speak=\"2 to 3\" they_speak=1 "
	                                  "advice=\"the other node is the older one"),
	    1);
	/* Both know that the other is there, and what is wrong. */
	for (int i = 0; i < 2; i++) {
		ck_assert(peer_refused(nodes[i].other, &refused));
		ck_assert_uint_eq(refused.reason, PEER_REFUSED_VERSION);
	}
	rig_let_lines_go();
}
END_TEST

/* What nodes of version 1 forward to each other is read by none of version 2. */
START_TEST(a_node_whose_messages_are_of_another_version_gets_no_link)
{
	struct peer_refused refused = {.reason = 0};
	rig_keep_lines();
	nodes[0].options.versions = (struct peer_versions){1, 1};
	rig_restart(0);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(400);
	ck_assert_uint_eq(nodes[1].ups, 0);
	ck_assert(peer_refused(nodes[1].other, &refused));
	ck_assert_uint_eq(refused.reason, PEER_REFUSED_VERSION);
	ck_assert_uint_eq(rig_count_lines("we_speak=2 they_speak=1 advice="), 1);
	rig_let_lines_go();
}
END_TEST

START_TEST(versions_are_a_range)
{
	struct peers *peers = NULL;
	struct peers_options options = nodes[0].options;
	options.versions = (struct peer_versions){3, 2};
	ck_assert_int_eq(peers_new(NULL, &options, &peers), ERR_INVALID);
	options.versions = (struct peer_versions){0, 2};
	ck_assert_int_eq(peers_new(NULL, &options, &peers), ERR_INVALID);
	ck_assert_ptr_null(peers);
}
END_TEST

Suite *version_suite(void)
{
	Suite *suite = suite_create("version");
	TCase *tcase = tcase_create("version");
	tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
	tcase_add_test(tcase, nodes_with_a_common_version_use_the_highest);
	tcase_add_test(tcase, nodes_without_a_common_version_both_say_both_and_what_to_do);
	tcase_add_test(tcase, a_node_whose_messages_are_of_another_version_gets_no_link);
	tcase_add_test(tcase, versions_are_a_range);
	suite_add_tcase(suite, tcase);
	return suite;
}
