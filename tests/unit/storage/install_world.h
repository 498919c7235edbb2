/* A simulated machine with one engine on it, whose shards' states are replaced and taken away while
 * the process ends wherever it can. Each shard is a history of entries; a snapshot is the end of
 * another history. After each crash a shard has its old history or the new one, whole, and every
 * read shows the state that it makes.
 *
 * Everything here belongs to the test, in plain memory: a process that ends takes nothing along.
 */
#ifndef KX_TESTS_UNIT_STORAGE_INSTALL_WORLD_H
#define KX_TESTS_UNIT_STORAGE_INSTALL_WORLD_H

#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "storage/engine.h"
#include "storage/install.h"
#include "storage/sim/store_sim.h"

enum {
	INSTALL_SHARDS = 3,
	INSTALL_ENTRIES_MAX = 8192,
	INSTALL_POINTS = 12,
	INSTALL_FILLER_MAX = 700,
};

struct install_entry {
	uint64_t term;
	uint64_t seed;
};

struct install_history {
	struct install_entry entries[INSTALL_ENTRIES_MAX]; /* of index 1, 2 ... at index - 1 */
	uint64_t last;
	/* Further keys, which came with the last snapshot. */
	unsigned filler;
	uint64_t filler_seed;
};

enum install_pending { PENDING_NONE, PENDING_STATE, PENDING_REMOVAL };

struct install_shard {
	struct install_world *world;
	uint32_t number;
	bool lags; /* does not apply all that is durable */
	struct install_history *now;
	struct install_history *next; /* of the snapshot that is coming */
	enum install_pending pending; /* from finish to `done`, or to the end of the process */
	uint64_t durable;             /* acknowledged */
	uint64_t committed;           /* the highest ever applied */
	uint64_t hard_term, hard_durable_term;
	/* Of the process. */
	uint64_t applied;
	struct engine_install *install;
	unsigned put; /* pairs of it */
	bool waits_for_room;
	bool closed; /* for damage that was expected */
	bool unread; /* it is damaged, and nobody is to find that by reading it */
	int last_result;
	struct engine_load load;
	uint64_t load_point;
	bool loading;
};

struct install_world {
	struct sim *sim;
	struct sim_node *node;
	struct engine_options options;
	struct install_shard shards[INSTALL_SHARDS];
	struct io *io;
	struct engine *engine;
	struct io_timer tick;
	int open_error;
	char why[512];
	bool wants_reopening; /* says the engine that is open */
	bool working;
	bool may_fail; /* for space */
	bool damage_expected;
	bool closing, closed;
	struct engine_report report;
	uint64_t boots, installs, removals, failed, canceled, turns;
	uint64_t found_old, found_new, found_removed; /* pending at a crash, and after it */
	uint64_t checked, rooms, closes, loads, loads_refused;
};

void install_world_init(
    struct install_world *world, uint64_t seed, const struct sim_faults *faults);
void install_world_done(struct install_world *world);
/* False: the process ended in it, or open_error is set. */
bool install_world_boot(struct install_world *world);
/* Steps until `until`, booting again whenever the process ended. */
void install_world_run_until(
    struct install_world *world, bool (*until)(const struct install_world *world));
/* So many turns of random work. */
void install_world_work(struct install_world *world, uint64_t turns);
/* Everything that was begun ends, and each shard is read whole. */
void install_world_settle(struct install_world *world);
void install_world_close(struct install_world *world);
void install_world_inside(struct install_world *world, void (*run)(struct install_world *world));

/* ---- Inside the process ---- */

bool install_world_append(struct install_shard *shard, unsigned entries);
/* A snapshot at `index`, of which everything is put in this and later turns. */
bool install_world_begin(
    struct install_shard *shard, uint64_t index, uint64_t term, unsigned filler);
void install_world_remove(struct install_shard *shard);
/* For calls of the test's own: `arg` is the shard. */
void install_world_ended(void *arg, int result);
/* A key of a shard that nobody knows, into the store. */
void install_world_put_stray(struct install_world *world);
struct slice install_world_stray_key(void);
/* Reads all of it through a cursor and by key, and compares. */
void install_world_check(struct install_shard *shard);

#endif
