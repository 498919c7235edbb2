/* How often each thing happened in a world; over enough seeds everything has to. */
#ifndef KX_TESTS_CLUSTER_SIM_FIGURES_H
#define KX_TESTS_CLUSTER_SIM_FIGURES_H

#include <stdint.h>

#include "base/io/sim/sim.h"
#include "storage/sim/store_sim.h"

/* clang-format off */
#define WORLD_FIGURE_LIST(X)                                                               \
	X(operations) X(commands_done) X(deletes_done) X(reads_done) X(histories_done)     \
	X(failures_done) X(handler_faults) X(repeats_sent) X(repeats_done)                 \
	X(repeats_elsewhere) X(unavailable) X(deadlines) X(exhausted)                      \
	X(unknown_outcomes) X(unknown_seen) X(unknown_never_seen) X(cut_off_calls)         \
	X(boots) X(boots_failed) X(joins) X(clean_ends) X(ends) X(crashes) X(panics)       \
	X(kills)                                                                           \
	X(power_cuts) X(crash_points_set) X(pauses) X(clock_jumps) X(slow_disks)           \
	X(full_disks) X(failed_syncs) X(failed_writes) X(cuts_both) X(cuts_one_way)        \
	X(cuts_pair) X(cuts_leader) X(cuts_ring) X(resets) X(silences) X(bad_networks)     \
	X(checkpoints) X(storms_chase) X(chased) X(figures_chased) X(storms_stale)         \
	X(handed_over)                                                                     \
	X(cut_off_unaware) X(storms_sleep) X(storms_late) X(led_again) X(late_refused)     \
	X(storms_stall) X(uncommitted_refused)                                             \
	X(storms_echoes) X(echoes_let_through) X(storms_behind) X(deposed_behind)          \
	X(unknown_compared) X(storms_bridge) X(storms_ring) X(parts_watched)               \
	X(cuts_bridge) X(install_crashes) X(blinks) X(deployments)                         \
	X(deployments_repeated)                                                            \
	X(transfers_wished) X(drains) X(undrains) X(removals) X(late_joins)                \
	X(requests_done) X(requests_refused) X(elections) X(terms_lost)                    \
	X(entries_appended) X(entries_applied) X(entries_replaced) X(installs)             \
	X(entries_read_back) X(uneven_clocks) X(pauses_in_turn)                            \
	X(calls_forwarded) X(calls_served) X(crossed_cores) X(replica_reads) X(stale_reads) \
	X(replicas_compared) X(told_removed) X(ghosts) X(ghosts_alone)                     \
	X(worlds_narrow) X(networks_narrow) X(queues_held) X(overtaken)                     \
	X(links_replaced) X(links_doubled)                                                 \
	X(worlds_of_three) X(worlds_of_five) X(worlds_of_two_cores) X(worlds_with_lies)    \
	X(lies_lost) X(lies_row) X(lies_misdirected) X(lies_rot) X(lies_stored)            \
	X(lies_records) X(nodes_replaced)                                                  \
	X(stores_given_up) X(compactions_stopped) X(begun_again) X(damaged_at_once)        \
	X(damaged_in_turn)                                                                 \
	X(words_given) X(words_refused) X(shards_recovered) X(shards_closed)               \
	X(worlds_with_losses) X(shards_lost_acknowledged) X(changes_lost) X(lost_returned) \
	X(lost_done_again) X(tails_gone_on) X(losses_of_five) X(recovered_of_two)          \
	X(recoveries_crashed) X(lost_at_once) X(losses_by_damage) X(recovered_from_damage) \
	X(damaged_acknowledged)                                                            \
	X(worlds_skewed) X(load_moves) X(loads_swayed) X(loads_apart) X(loads_stayed)      \
	X(removals_forced) X(worlds_with_leases) X(lua_pauses)
/* clang-format on */

struct world_figures {
#define X(name) uint64_t name;
	WORLD_FIGURE_LIST(X)
#undef X
};

struct figures {
	struct world_figures world;
	struct sim_figures machine;
	struct store_sim_figures store;
	uint64_t virtual_ms;
};

void figures_add(struct figures *to, const struct figures *from);
void figures_print(const struct figures *figures);
/* Names what never happened, and returns how many they are. */
unsigned figures_print_zeros(const struct figures *figures);

#endif
