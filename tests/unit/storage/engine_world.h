/* A simulated machine with one engine on it, and what a user of the engine knows: groups of one
 * voter, whose every durable entry is committed, applied and called acknowledged at once. Crashes
 * may come anywhere; after each, what was acknowledged must be there, what is there must have been
 * appended, and every read must show the state that these entries make.
 *
 * Everything here belongs to the test, in plain memory: a process that ends takes nothing along.
 */
#ifndef KX_TESTS_UNIT_STORAGE_ENGINE_WORLD_H
#define KX_TESTS_UNIT_STORAGE_ENGINE_WORLD_H

#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/random.h"
#include "storage/engine.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/storage/model.h"

enum {
	WORLD_GROUPS = 4, /* numbers 0, 7, 14, 21 */
	WORLD_LOADS_MAX = 4,
	WORLD_CURSORS_MAX = 3,
	WORLD_POINTS = 10,
	WORLD_KEY_MAX = 64,
};

struct world_entry {
	uint64_t term;
	struct slice batch; /* malloc */
};

struct world_group {
	uint32_t number;
	struct world_entry *entries; /* of index 1, 2, ... */
	uint64_t count;              /* appended */
	uint64_t capacity;
	uint64_t acknowledged; /* the highest ever */
	uint64_t term_durable; /* the highest term whose hard state was made durable */
	/* Of the process that runs. */
	uint64_t durable;
	uint64_t applied;
	struct model state;
	uint64_t sequences[3];
	bool closed;
	bool held; /* a test's: nothing is applied, as where a majority is missing */
};

struct world_load {
	struct engine_load load;
	struct engine_world *world;
	struct world_group *group;
	uint8_t key[8];
	size_t key_bytes;
	bool used;
};

struct world_cursor {
	struct io_op op;
	struct engine_world *world;
	struct world_group *group;
	struct cursor *cursor;
	struct model expected;
	struct model seen;
	int error;
	bool used;
};

struct engine_world {
	struct sim *sim;
	struct sim_node *node;
	struct engine_options options; /* a test may change them before world_boot */
	struct world_group groups[WORLD_GROUPS];

	/* The process. */
	struct io *io;
	struct engine *engine;
	int open_error;
	struct io_timer tick;
	bool closing, closed;
	bool room_called;
	uint64_t refused_full, refused_space, refused_loss;
	struct world_load loads[WORLD_LOADS_MAX];
	struct world_cursor cursors[WORLD_CURSORS_MAX];

	/* What the test wants, and what happened. */
	bool working;         /* do random things in every turn */
	bool never_asks;      /* for checkpoints */
	bool damage_expected; /* groups may be closed */
	bool space_short;     /* opening may fail for it */
	uint64_t operations;  /* appends made */
	uint64_t boots, checked_reads, checked_cursors, checkpoints, replayed, clean_ends;
	uint64_t open_alloc_fails; /* a test's: this allocation of the next engine_open fails */
	bool alloc_failed;
	struct engine_report report;
	char why[512];
};

/* `faults` may be NULL. */
void world_init(struct engine_world *world, uint64_t seed, const struct sim_faults *faults);
void world_done(struct engine_world *world);

/* Starts a process and opens the engine, which checks what was recovered. False: the process ended
 * in it, or open_error is set. */
bool world_boot(struct engine_world *world);
/* After a failed open: ends the process, in which nothing is left. */
void world_give_up(struct engine_world *world);
/* Steps until `until`, booting again whenever the process ended; fails after too many steps. */
void world_run_until(struct engine_world *world, bool (*until)(const struct engine_world *world));
/* The process runs: works until that many appends were made in all. */
void world_work(struct engine_world *world, uint64_t operations);
/* A clean end: closes, frees, and checks that nothing is left. */
void world_close(struct engine_world *world);
/* Calls inside the process. */
void world_inside(struct engine_world *world, void (*run)(struct engine_world *world));

/* One batch of one operation, appended where there is room. */
int world_append(struct engine_world *world, struct world_group *group, struct slice batch);
/* Steps until nothing that was appended is unacknowledged. */
void world_settle(struct engine_world *world);
/* Reads every group whole through a cursor and each key by load, and compares. */
void world_check_all(struct engine_world *world);

/* ---- The parts, for tests that do other things ---- */

/* The key with its shard. */
struct slice world_key(uint8_t data[WORLD_KEY_MAX], uint32_t shard, struct slice key);
/* The name of one of the WORLD_POINTS points. */
struct slice world_point(uint64_t number, uint8_t data[8]);
/* Inside the process: reads and compares, at once or when the read ends. Nothing where too many
 * reads are under way. */
void world_read_point(struct engine_world *world, struct world_group *group, uint64_t number);
void world_read_group(struct engine_world *world, struct world_group *group);
bool world_reads_pending(const struct engine_world *world);
/* Whether the engine closed the group's shard; fails where no damage was expected. */
bool world_group_closed(struct engine_world *world, struct world_group *group);

/* What batches do to a model: keys with their shard; a key that begins with 's' is a stream, kept
 * as one pair. */
void world_apply_batch(struct model *model, uint32_t shard, struct slice batch);

#endif
