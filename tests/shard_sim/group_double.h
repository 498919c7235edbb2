/* A double of replication/group.h: a group of several members of which only one is real. It is
 * production code's view of a cluster, with everything that a cluster may do to it:
 *
 *   - leadership is lost at random; of what was proposed and not committed any beginning is kept,
 *     and entries of another leader take the place of the rest;
 *   - while it is cut off and does not know yet, another one leads: nothing is committed here, no
 *     round is confirmed, and the other commits entries of its own;
 *   - it leads again later, in a higher term, in the same process or the next one;
 *   - entries are committed some time after they are durable here, and rounds confirmed later.
 *
 * What the other members know (committed entries that this one does not have yet, the highest term)
 * is the cluster's: it is kept outside of the simulated process and outlives its crashes.
 *
 * A program links group_double.c in place of libkx_replication.a.
 */
#ifndef KX_TESTS_SHARD_SIM_GROUP_DOUBLE_H
#define KX_TESTS_SHARD_SIM_GROUP_DOUBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/random.h"

struct engine;
struct group_store;

struct double_options {
	/* Per turn and leading group, in 10,000: it is lost; it is cut off. */
	unsigned loss, cut_off;
	/* Per turn, in 100: what is durable is committed, a round confirmed, an election decided.
	 */
	unsigned commit_percent, confirm_percent, elect_percent;
	/* Per turn and group that follows, in 100: what is committed comes as a snapshot. */
	unsigned jump_percent;
	/* Per turn and group that another one leads, in 100: one more of the others leads. */
	unsigned hand_on_percent;
	/* Writes what another leader's entry changes, from what is applied here; false: nothing.
	 * `out` holds at most 4 KiB. It is committed from then on. May be NULL. */
	bool (*write_other)(
	    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out);
	void *arg;
};

struct double_figures {
	uint64_t losses, cut_offs, elections, kept_all, kept_some, kept_none, discarded,
	    others_entries, installs, rounds_lost, jumps, handed_on;
};

/* A new cluster, of the program's only world. Groups behave as one member does until
 * double_set_options. */
void double_begin(uint64_t seed);
void double_end(void);
void double_set_options(const struct double_options *options); /* NULL: nothing goes wrong */
struct double_figures double_figures(void);
/* Whether the groups are this double. */
bool double_is_linked(void);

/* The term in which another member leads the shard; 0: none does, for all that is known. */
uint64_t double_led_elsewhere(const struct group_store *store, uint32_t shard);
/* It does, and all that it has committed is applied here. */
bool double_is_current(const struct group_store *store, uint32_t shard);
/* Then: it commits what `write` writes, as write_other does. */
bool double_change(struct group_store *store, uint32_t shard,
    bool (*write)(
        void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out),
    void *arg);

#endif
