/* What becomes of a call when trouble comes: one test for each answer that there is, over
 * production's shards, groups and calls between nodes in a world of three nodes (world.h). The
 * rules stand in server/shard/shard.h and server/forward.h; what callers are told of them, in
 * docs/failure-semantics.md, "What becomes of a call".
 *
 * Not proposed: it waits for a leader, in the queue, for a cold read, or runs (waiting_test.c)
 *   what it waits for comes in time: done   what_waits_for_a_leader_is_done_when_there_is_one,
 *                                           what_waits_its_turn_is_done_when_it_comes
 *   its time ends: DEADLINE_EXCEEDED        what_waits_its_turn_is_late_at_its_end,
 *                                           what_waits_for_room_on_the_way_is_late_at_its_end
 *   and no leader is known: UNAVAILABLE     what_waits_for_a_leader_is_unavailable_at_its_end,
 *                                           what_cannot_be_sent_is_unavailable_at_its_end
 *   queue full: RESOURCE_EXHAUSTED at once  a_full_queue_refuses_at_once,
 *                                           a_full_queue_for_another_node_refuses_at_once
 *   disk full: RESOURCE_EXHAUSTED at once   a_full_disk_refuses_changes_at_once
 *   wrong node in cluster mode: MOVED       tests/unit/gate, suite topology:
 *                                           call_for_another_node_is_moved_on_the_cluster_port
 *
 * A read: a query, a failed command, one without a change, a repeat of a token (read_test.c)
 *   another leads in time: run again there  a_read_is_run_again_where_the_next_leader_is
 *   none does: UNAVAILABLE                  a_read_is_unavailable_where_nobody_leads_in_time
 *   not confirmed in time: UNAVAILABLE      a_read_that_is_not_confirmed_in_time_is_unavailable
 *   run again, and late: UNAVAILABLE        a_read_that_is_late_the_second_time_is_unavailable,
 *                                a_read_that_is_late_behind_what_is_run_again_is_unavailable
 *     sent to another node, which lost its leadership
 *                                           a_read_that_is_late_after_a_refusal_is_unavailable,
 *                                a_read_that_is_late_where_it_was_sent_next_is_unavailable,
 *                                a_read_that_is_late_where_it_came_from_is_unavailable
 *   a later change may be committed that it must not see: UNAVAILABLE
 *                                           a_read_before_a_change_that_may_stand_is_unavailable
 *
 * Proposed, and leadership is lost (proposed_test.c)
 *   committed with its term: its reply      what_is_committed_with_its_term_has_its_held_reply
 *   another term stands there: run again    what_another_term_replaced_is_run_again
 *     or UNAVAILABLE                        what_another_term_replaced_stays_behind_no_later_call,
 *                                what_another_term_replaced_is_unavailable_without_a_leader
 *   a snapshot jumps over it: UNKNOWN_OUTCOME
 *                                           what_a_snapshot_jumped_over_is_unknown
 *   its time ends: UNKNOWN_OUTCOME          what_is_open_at_its_end_is_unknown
 * Proposed, and its time ends under its leader (proposed_test.c)
 *   UNKNOWN_OUTCOME                         what_is_proposed_at_its_end_is_unknown
 *   never DEADLINE_EXCEEDED                 whenever_its_time_ends_the_error_is_true
 *
 * Sent to another node (sent_test.c)
 *   the link breaks: UNKNOWN_OUTCOME        a_command_whose_link_breaks_is_unknown
 *   a query's does: repeated                a_query_whose_link_breaks_is_repeated
 *     or UNAVAILABLE                        a_query_whose_link_stays_broken_is_unavailable,
 *                                a_query_that_is_late_after_its_link_broke_is_unavailable
 *   no answer in time: UNKNOWN_OUTCOME      a_command_without_an_answer_in_time_is_unknown
 *
 * Calls of one connection to one entity take effect in the order sent (order_test.c)
 *   through a node that does not lead       calls_through_another_node_take_effect_in_order
 *   behind one that fails                   a_failed_call_does_not_stop_those_behind_it
 *   over leaders and links that go          order_holds_over_leaders_and_links_that_go
 */
#ifndef KX_TESTS_UNIT_OUTCOME_SUITES_H
#define KX_TESTS_UNIT_OUTCOME_SUITES_H

#include "tests/unit/run.h"

Suite *waiting_suite(void);
Suite *read_suite(void);
Suite *proposed_suite(void);
Suite *sent_suite(void);
Suite *order_suite(void);

#endif
