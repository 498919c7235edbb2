/* Every mutation (base/mutation.h): X(name, what the faulty code does, seeds within which the
 * simulator finds it). Names begin with their module's. Where MUTATION(name) stands in the code,
 * the comment beside it says which rule it breaks. */
#ifndef KX_BASE_MUTATION_LIST_H
#define KX_BASE_MUTATION_LIST_H

#define MUTATION_LIST(X)                                                                           \
	X(checkpoint_above_own_durable, "a base says more than is durable here", 50)               \
	X(checkpoint_anchor_not_in_same_write, "the anchor is written ahead of the data", 100)     \
	X(checkpoint_applied_index_without_data, "bases are written, changes are not", 20)         \
	X(checkpoint_data_without_applied_index, "changes are written, bases are not", 20)         \
	X(checkpoint_release_above, "the log gives up what no checkpoint holds", 50)               \
	X(checkpoint_release_before, "the log is released before the store is written", 100)       \
	X(cluster_forgets_own_recovery,                                                            \
	    "of a recovery of the directory itself nothing is kept but in memory", 100)            \
	X(cluster_recovers_in_next_term,                                                           \
	    "a recovery takes a term that the lost ones may have had", 100)                        \
	X(cluster_removed_goes_on, "who is told that it was removed or given up goes on", 60)      \
	X(cluster_removes_members, "a node is removed that has its vote", 300)                     \
	X(cluster_says_nothing_of_what_it_leads,                                                   \
	    "a node whose map is old does not say which shards it leads", 100)                     \
	X(cluster_takes_end_for_committed,                                                         \
	    "a recovery says that all is kept up to the end of the log that goes on", 100)         \
	X(disk_failure_counts_as_done, "a write or a sync that failed is taken for done", 100)     \
	X(engine_replay_applies_below_base, "an entry is applied twice", 50)                       \
	X(engine_replay_skips_entry, "an entry is left out after a crash", 50)                     \
	X(engine_suspect_shard_served, "a damaged shard is served as if it were whole", 100)       \
	X(forward_gives_up_any_term, "who led says of a later term that nobody leads", 100)        \
	X(forward_keeps_no_order, "calls of a connection overtake each other between nodes", 100)  \
	X(forward_lanes_of_all, "calls that have no order stand in lanes, too", 100)               \
	X(forward_names_no_term, "a call does not say which leadership it is for", 100)            \
	X(forward_refuses_one_of_many, "who is sent away leaves those behind it where they are",   \
	    50)                                                                                    \
	X(forward_repeats_changes, "a change whose link broke is sent again", 100)                 \
	X(forward_serves_any_term, "what was sent to one leadership is done in a later one", 100)  \
	X(forward_sends_unknown_back, "what may be done is said to be surely not done", 100)       \
	X(group_goes_on_damaged, "a replica that was found damaged votes and acknowledges", 60)    \
	X(group_knows_unapplied, "who leads says that what is not applied yet is here", 1)         \
	X(group_lease_by_turn, "a lease is judged by the time at which the turn began", 100)       \
	X(group_replays_all_as_committed, "what is only in this log is taken for committed", 100)  \
	X(group_reads_one_off, "entries read back are sent as those before them", 50)              \
	X(group_takes_all, "who follows has no bound of what is not applied", 100)                 \
	X(group_time_goes_back, "a group's time is its leader's clock", 100)                       \
	X(install_intent_not_synced, "an intent has its name before its bytes are durable", 100)   \
	X(install_keeps_old_values, "what was in memory of a state outlives it", 50)               \
	X(install_reset_before_intent, "the log gives up what no intent replaces yet", 100)        \
	X(install_without_intent, "a state is replaced with no intent", 100)                       \
	X(load_of_one_period, "what shards did in the last period is taken for what they do", 100) \
	X(load_shard_never_rests, "a shard that has just moved for its load moves again", 100)     \
	X(log_reads_what_was_replaced, "what was replaced is read back in an entry's place", 50)   \
	X(log_skip_sync, "a frame is acknowledged once written, without a sync", 20)               \
	X(log_acknowledge_out_of_order, "a frame is acknowledged before those in front of it", 20) \
	X(log_watermark_too_high, "a watermark covers frames that are still in flight", 20)        \
	X(log_accept_stale_recycled_frame, "a frame written for another place is believed", 50)    \
	X(log_reuse_segment_number, "segments behind a cut keep their numbers", 50)                \
	X(log_no_resync_of_recovered_tail, "what recovery read is relied on without a sync", 20)   \
	X(log_cut_covers_damage, "what is missing is cut off, whatever proves that it was there",  \
	    50)                                                                                    \
	X(log_ignore_missing_end, "a proven end that is missing is not noticed", 50)               \
	X(log_accept_older_life, "frames that a recovery gave up are believed", 50)                \
	X(log_anchor_without_life, "what was given up counts where the life behind it is lost",    \
	    100)                                                                                   \
	X(log_lost_forget_keeps_hard_state, "a replica has the votes of the one before it", 100)   \
	X(log_skip_chain_check, "a frame need not be chained to the one before it", 100)           \
	X(log_rewrite_truncates, "a copy replaces what a group appended since", 50)                \
	X(log_release_too_early, "segments are released that no checkpoint covers", 20)            \
	X(log_wrong_damage_owner, "damage is laid at another group's door", 50)                    \
	X(log_no_directory_sync_after_renumber, "frames go under a name that is not durable", 50)  \
	X(log_hash_not_checked, "a frame's hash is not looked at", 20)                             \
	X(placement_moves_for_little, "shards move for loads that are not worth it", 100)          \
	X(raft_acknowledges_before_durable, "an entry is acknowledged that is not durable", 200)   \
	X(raft_accepts_any_predecessor, "entries are appended behind others than the leader's",    \
	    50)                                                                                    \
	X(raft_answers_unproved, "who asks what to read is told by a leader that may be none",     \
	    700)                                                                                   \
	X(raft_changes_before_commit,                                                              \
	    "the membership is changed before an entry of the term is committed", 100)             \
	X(raft_commits_older_terms, "an entry of an older term is committed by counting replicas", \
	    100)                                                                                   \
	X(raft_confirms_alone, "a round is confirmed without the others", 50)                      \
	X(raft_counts_itself_early, "a leader counts its own entry before it is durable", 50)      \
	X(raft_counts_replaced_writes, "a write is counted that others have replaced", 100)        \
	X(raft_heartbeats_whole_commit,                                                            \
	    "a replica hears of more committed than it has acknowledged", 50)                      \
	X(raft_keeps_truncated_membership, "a membership stays in effect that is not in the log",  \
	    100)                                                                                   \
	X(raft_leads_without_noop, "a leader appends nothing of its own term", 50)                 \
	X(raft_lease_too_long, "a lease outlasts what those who gave it have promised", 100)       \
	X(raft_led_before_commit, "a round says who led before an entry of the term is committed", \
	    50)                                                                                    \
	X(raft_led_when_answered, "a round says who led when it is answered, not when it began",   \
	    100)                                                                                   \
	X(raft_led_when_last_begun, "a round says who led when a later one began", 50)             \
	X(raft_makes_two_changes,                                                                  \
	    "a second change of the membership is made before the first is committed", 50)         \
	X(raft_reads_before_commit, "a round begins before an entry of the term is committed", 50) \
	X(raft_speaks_before_durable, "messages leave before term and vote are durable", 500)      \
	X(raft_votes_for_any_log, "a vote for a candidate whose log is older", 50)                 \
	X(raft_votes_twice, "a second vote in one term", 50)                                       \
	X(raft_counts_learners, "a learner counts as a voter", 100)                                \
	X(raft_joint_needs_one_majority, "in a joint membership one majority is enough", 100)      \
	X(raft_keeps_lease_in_transfer, "a lease is used after a successor was told to campaign",  \
	    100)                                                                                   \
	X(raft_takes_any_answer, "the answer to an earlier question is taken for this one's", 100) \
	X(raft_older_terms_learn_nothing, "who is of an older term is not told of the newer", 100) \
	X(raft_sleeps_alone, "a leader sleeps though others are awake", 50)                        \
	X(raft_sleeps_before_durable, "a leader sleeps before its own writes are durable", 50)     \
	X(raft_sleeps_behind, "a leader sleeps though a replica lacks entries", 50)                \
	X(raft_sleeps_in_round, "a leader sleeps while a read waits for its round", 200)           \
	X(raft_sleeps_in_transfer, "a leader sleeps while leadership is handed over", 100)         \
	X(raft_sleeps_joint, "a leader sleeps in a joint membership", 50)                          \
	X(raft_sleeps_unequal, "a replica sleeps whatever it has", 50)                             \
	X(raft_counts_earlier_grants, "a grant of an earlier pre-vote counts for a later one", 50) \
	X(raft_hints_its_end, "who refuses entries does not pass over the terms that it has", 50)  \
	X(raft_passes_over_nothing, "a leader does not pass over terms that a replica has not",    \
	    50)                                                                                    \
	X(raft_removed_do_not_campaign,                                                            \
	    "who is no voter in a membership not yet committed waits for ever", 100)               \
	X(raft_votes_while_led, "a vote although a leader was just heard of", 100)                 \
	X(script_event_folded_twice, "an event of a stored history is folded twice", 20)           \
	X(script_failure_keeps_effects, "what a command did before it failed is kept", 20)         \
	X(script_state_of_old_version, "a migrated state is stored as one of before", 20)          \
	X(shard_replica_never_asks, "a replica answers whatever it knows", 20)                     \
	X(shard_drop_misses_shard, "some shards do not take a type's drop", 20)                    \
	X(shard_drop_not_written, "a drop is in memory, and not in the entry", 20)                 \
	X(shard_drop_keeps_state, "what is in memory of an entity outlives its type's drop", 20)   \
	X(shard_drop_keeps_tokens, "a repeat is told of what was dropped", 20)                     \
	X(shard_drop_stays_listed, "a list shows what was dropped until it is purged", 20)         \
	X(shard_purge_takes_too_much, "a purge deletes what the type has since", 20)               \
	X(shard_purge_leaves_heads, "a purge leaves a kind of keys", 20)                           \
	X(shard_keeps_proposed_on_loss, "a state that was lost is taken for committed", 20)        \
	X(shard_loses_committed_on_loss, "what is committed is forgotten with what is not", 20)    \
	X(shard_token_dies_with_delete, "a deleted entity's tokens are forgotten", 20)             \
	X(shard_token_expires_early, "a token's record is deleted before its time", 20)            \
	X(shard_again_at_the_end, "a call that begins anew loses its place", 20)                   \
	X(shard_read_again_after_change, "a read begins anew behind a change sent after it", 20)   \
	X(shard_runs_before_returned, "a call runs while one before it is elsewhere", 20)          \
	X(shard_overtaken_again, "a call runs behind one that was sent after it", 20)              \
	X(shard_loss_not_remembered, "a lost change is made behind one sent after it", 20)         \
	X(shard_jumped_is_not_done, "a change that was jumped over is made again", 20)             \
	X(shard_two_ways, "calls of one connection leave by two ways at a time", 800)              \
	X(shard_returned_in_part, "a call goes on while one before it is elsewhere", 20)           \
	X(shard_reads_behind_snapshot, "events in a value that begins before are missed", 20)      \
	X(shard_snapshot_of_before, "a snapshot holds the state before its events", 20)            \
	X(shard_snapshot_newer_than_said, "a snapshot holds an event that is folded again", 20)    \
	X(shard_pause_unlocks, "a call that pauses lets others of its entity run", 20)             \
	X(shard_clock_begins_anew, "time begins at the machine's clock after a restart", 20)       \
	X(shard_clock_not_kept, "a time that a call saw is not kept for a restart", 20)            \
	X(shard_failure_not_held, "a failed command's answer waits for nothing", 20)               \
	X(shard_read_not_held, "a query's answer does not wait for what it saw", 20)               \
	X(shard_read_without_confirmation, "a query's answer needs no leadership", 20)             \
	X(shard_reply_when_proposed, "a command is answered before it is committed", 20)           \
	X(shard_term_not_compared, "another's entry is taken for the own one", 20)                 \
	X(shard_token_not_written, "a change is written without its token", 20)                    \
	X(shard_token_forgotten, "a token's record is not looked at", 20)                          \
	X(shard_repeat_before_first_committed, "a repeat is answered before its first is", 20)     \
	X(snapshot_loses_a_pair, "a snapshot is installed without one of its keys", 100)           \
	X(table_half_batch_applied, "of a batch only the first operation is applied", 50)          \
	X(table_dirty_evicted, "a change that only the log has is forgotten under pressure", 50)   \
	X(table_frozen_evicted, "a change is forgotten while it is being checkpointed", 100)       \
	X(table_late_fill_overwrites, "a read that began before a change replaces it", 100)        \
	X(table_thaw_drops_newer, "a checkpoint's end puts an older value over a newer", 100)      \
	X(table_freeze_loses_stream_append, "a checkpoint holds half of a stream's value", 50)     \
	X(table_snapshot_sees_later_change, "a value is overwritten under a reader", 100)

#endif
