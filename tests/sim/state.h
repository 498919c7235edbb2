/* What the keys of one shard should hold at any index that was applied, and whether what the engine
 * answers is that. Memory is the test's own: it outlives the simulated process. */
#ifndef KX_TESTS_SIM_STATE_H
#define KX_TESTS_SIM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "tests/sim/content.h"

struct state_change {
	uint64_t index; /* of the entry that made it */
	struct content_op op;
};

/* All changes of one target, in the order of their entries. */
struct state_history {
	struct state_change *changes;
	size_t count;
	size_t capacity;
};

/* Zeroed is a shard without changes. */
struct state {
	const struct content *content;
	struct state_history history[CONTENT_TARGETS];
};

void state_init(struct state *state, const struct content *content);
void state_done(struct state *state);

void state_apply(struct state *state, const struct content_entry *entry);
/* Forgets what entries above `index` changed. */
void state_cut(struct state *state, uint64_t index);

/* Fails the seed unless the cell has this value (NULL: is absent) at `index`. `how` says where the
 * answer came from. */
void state_expect_cell(const struct state *state, unsigned cell, uint64_t index,
    const struct slice *value, const char *how, uint32_t shard);

/* A walk along a cursor's pairs, in order. */
struct state_walk {
	const struct state *state;
	const char *how;
	uint32_t shard;
	uint64_t index;
	unsigned position; /* in the content's order of targets */
	unsigned end;
	/* In a stream: the next change to come. */
	bool in_stream;
	size_t next_change;
	uint64_t pairs;
};

/* Positions first to end - 1 of the content's order. */
void state_walk_begin(struct state_walk *walk, const struct state *state, uint32_t shard,
    uint64_t index, unsigned first, unsigned end, const char *how);
/* Fails the seed unless this is what comes next. */
void state_walk_pair(struct state_walk *walk, struct slice key, struct slice value);
/* Fails the seed where more should have come. */
void state_walk_end(struct state_walk *walk);

#endif
