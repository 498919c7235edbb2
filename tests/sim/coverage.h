/* How often each thing happened in a seed. A run over many seeds adds them up, and fails if one
 * that it should have met stayed at zero: what never happens is not tested. */
#ifndef KX_TESTS_SIM_COVERAGE_H
#define KX_TESTS_SIM_COVERAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/io/sim/sim.h"
#include "storage/sim/store_sim.h"

/* clang-format off */

/* What the driver did, and what it was answered. */
#define COVERAGE_DRIVER_LIST(X)                                                                    \
	X(operations) X(entries) X(hard_states) X(suffixes_replaced) X(commits_moved)              \
	X(reservations_held) X(reservations_given_back) X(spare_reservations)                      \
	X(refused_full) X(refused_no_space) X(room_calls)                                          \
	X(acknowledgements) X(entries_applied) X(applies_without_memory) X(payloads_checked)       \
	X(reads) X(reads_cold) X(loads) X(loads_joined) X(loads_failed) X(values) X(absences)      \
	X(walks) X(walk_jobs) X(walk_pairs) X(walks_refused) X(walks_failed)                       \
	X(walks_over_changes) X(walks_over_checkpoints)                                            \
	X(checkpoints_asked) X(idle_periods)                                                       \
	X(installs) X(installs_done) X(installs_failed) X(install_pairs)

/* How processes began and ended. */
#define COVERAGE_ENDS_LIST(X)                                                                      \
	X(nodes) X(boots) X(opened) X(closed_cleanly)                                              \
	X(open_without_memory) X(open_without_space) X(open_unreadable) X(open_unwritable)         \
	X(open_corrupt)                                                                            \
	X(ends) X(ends_in_recovery) X(ends_in_recovery_in_a_row) X(full_comparisons)               \
	X(repairs) X(repairs_cut_off) X(full_disks) X(full_disks_overcome)                         \
	X(lies) X(acknowledged_lost_with_leave)                                                    \
	X(operations_survived_unacknowledged) X(operations_lost_unacknowledged)

/* What recovery met: struct engine_report. */
#define COVERAGE_RECOVERY_LIST(X)                                                                  \
	X(logs_cut) X(frames_given_up) X(gaps_of_known_groups) X(gaps_of_unknown_groups)           \
	X(gaps_harmless) X(ends_missing) X(tail_frames_rewritten) X(segments_renumbered)           \
	X(shards_suspect) X(shards_suspect_again) X(shards_repaired) X(shards_closed)              \
	X(entries_replayed) X(snapshots_found)

/* What the engine says of itself: struct engine_figures at the end of each process. */
#define COVERAGE_ENGINE_LIST(X)                                                                    \
	X(frames) X(watermark_frames) X(rewrite_frames)                                            \
	X(checkpoints) X(checkpoint_retries) X(evictions) X(store_loads) X(cached_reads)

/* clang-format on */

struct coverage {
#define X(name) uint64_t name;
	COVERAGE_DRIVER_LIST(X)
	COVERAGE_ENDS_LIST(X)
	COVERAGE_RECOVERY_LIST(X)
	COVERAGE_ENGINE_LIST(X)
#undef X
	struct sim_figures sim;
	struct store_sim_figures store;
};

void coverage_add(struct coverage *to, const struct coverage *from);
/* Prints all, in columns. */
void coverage_print(const struct coverage *coverage);
/* Names those that stayed at zero, and returns how many. */
size_t coverage_print_zeros(const struct coverage *coverage);

#endif
