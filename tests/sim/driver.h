/* What runs inside the simulated process: a group of one member per shard, over the whole storage
 * engine. It proposes, applies, reads and walks as its random numbers say, and holds every answer
 * against the model.
 *
 * The struct is the test's own, not the process's: it outlives each process, and nothing in it that
 * the engine gave is used after the process ended.
 */
#ifndef KX_TESTS_SIM_DRIVER_H
#define KX_TESTS_SIM_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/io/io.h"
#include "base/random.h"
#include "storage/engine.h"
#include "storage/install.h"
#include "tests/sim/coverage.h"
#include "tests/sim/model.h"

struct cursor;
struct driver;
struct sim;
struct sim_node;

enum {
	DRIVER_ROLES = 6, /* shards that are in use at a time */
	DRIVER_READS_MAX = 8,
	DRIVER_WALKS_MAX = 3,
	DRIVER_HELD_MAX = 4,
	DRIVER_PAYLOADS_MAX = 512,
	DRIVER_REPLAYED_MAX = 1024, /* entries of a shard that are remembered */
};

/* How often each action is taken, against the others; and how busy it all is. */
struct driver_load {
	unsigned propose, hold, hard_state, replace, commit, read, walk, checkpoint, install;
	unsigned actions_max;        /* of one turn */
	unsigned again_percent;      /* of turns: the next one follows at once */
	unsigned idle_permille;      /* of turns: an idle period begins */
	unsigned entries_max;        /* of one proposal */
	unsigned unapplied_max;      /* of a shard that lags */
	unsigned busy_role_percent;  /* of actions go to one shard */
	bool begins_at_once;         /* a term in every shard, in the first turn */
	bool commits_stall;          /* shards that lag do not move at all */
	bool applies_at_once;        /* when told that entries are durable, not at the turn's end */
	unsigned no_memory_permille; /* of turns: an allocation soon fails */
};

struct driver_read {
	struct engine_load load; /* first: done finds the rest by it */
	struct driver *driver;
	size_t shard;
	unsigned cell;
	bool busy;
};

struct driver_walk {
	struct io_op op; /* first */
	struct driver *driver;
	struct cursor *cursor;
	struct state_walk state;
	size_t shard;
	unsigned pairs_per_job;
	int result;
	bool busy;
	uint64_t checkpoints; /* when it was opened */
	uint64_t installed;   /* of its shard, then */
};

struct driver_held {
	size_t shard;
	uint64_t bytes; /* 0: free */
	uint32_t records;
	unsigned turns_left;
};

/* A snapshot under way. */
struct driver_install {
	struct engine_install *install;
	size_t shard;
	uint64_t index, term;
	unsigned position; /* in the content's order of targets */
	size_t change;     /* of that target */
	bool busy, finishing, waits;
};

/* Where the engine keeps an entry's bytes until it is durable. */
struct driver_payload {
	uint64_t index, term;
	const uint8_t *data;
	uint32_t bytes;
};

/* What recovery gave of one shard. */
struct driver_replay {
	uint64_t first, last;
	uint64_t entries;
};

struct driver {
	/* Set by the seed. */
	struct sim *sim;
	struct sim_node *node;
	struct model *model;
	struct coverage *coverage;
	struct random random;
	struct engine_options options; /* without fs, io and callbacks */
	struct driver_load load;
	size_t roles[DRIVER_ROLES]; /* positions of shards in the model */
	FILE *trace;                /* NULL: none is wanted */
	uint64_t proven;            /* up to this frame something on the disk says durable */
	uint64_t given_up_from;     /* frames of the last life that opened, from this one on */
	uint64_t reads_failed;      /* of the machine, before this process */
	uint64_t lies_before;       /* driver_lies, before this process */
	bool lied;                  /* the disk did, since the last recovery */
	bool may_be_suspect;        /* a disk lied at some time before this process */
	bool may_be_repaired;       /* an operator was at work, but may not have got to the end */
	bool was_repaired;          /* he did */
	bool lied_since_repair;     /* or since he began */
	bool may_be_damaged;        /* reads of the store may fail */
	bool may_lack_memory;
	bool may_lack_space;
	bool settling; /* nothing new is begun; what was begun is brought to its end */

	/* Of the process. */
	struct io *io;
	struct engine *engine;
	struct io_timer timer;
	struct driver_read reads[DRIVER_READS_MAX];
	struct driver_walk walks[DRIVER_WALKS_MAX];
	struct driver_held held[DRIVER_HELD_MAX];
	struct driver_install install;
	uint64_t installed[MODEL_SHARDS_MAX]; /* installs that were done */
	struct driver_payload payloads[MODEL_SHARDS_MAX][DRIVER_PAYLOADS_MAX];
	struct driver_replay replays[MODEL_SHARDS_MAX];
	uint64_t replayed_terms[MODEL_SHARDS_MAX][DRIVER_REPLAYED_MAX]; /* by index */
	uint64_t idle_until_ns;
	bool defers_replay;              /* leaves some of what is replayed to be applied later */
	bool has_begun;                  /* to act */
	bool has_term[MODEL_SHARDS_MAX]; /* begun in this process */
	bool closing;                    /* engine_close was asked for */
	bool closed;                     /* it was done, and all is freed */
	bool closed_all_applied;         /* of no shard something was left to be applied then */
	bool wants_room;
	bool refused_for_space;
	int open_error;
	char open_why[512];
	struct engine_report report;
	struct engine_figures figures; /* of the last turn */

	uint64_t operations; /* of all processes */
};

/* Inside, as sim_node_run's function: opens the engine and holds what it recovered against the
 * model. open_error tells how that went. `arg` is the driver. */
void driver_boot(void *arg);
/* The process's turn. */
void driver_turn(void *arg);

/* How often disks of the world lied by themselves. */
uint64_t driver_lies(const struct sim *sim);
/* Outside, before a boot: nothing of an earlier process is left. */
void driver_reset(struct driver *driver);
/* Outside, after the process ended: adds up what it did. */
void driver_ended(struct driver *driver);

/* Inside: engine_close as soon as nothing is under way; `closed` says when all is freed. */
void driver_close(void *arg);
/* Nothing that the driver began is under way, and all of it is durable and applied. */
bool driver_is_settled(const struct driver *driver);
/* Why it is not, for a failure. */
void driver_print(const struct driver *driver, FILE *to);

/* Compares all that a shard holds with the model, waiting for the disk. Inside. False: the shard is
 * closed, or was closed by damage that this found. */
bool driver_compare(struct driver *driver, size_t shard, const char *how);

/* ---- Between the driver's own files ---- */

/* A chance of so many in 1000. */
bool driver_chance(struct driver *driver, unsigned permille);
/* A shard that is in use. */
size_t driver_pick(struct driver *driver);
struct model_shard *driver_shard(const struct driver *driver, size_t shard);

/* actions.c */
void driver_act(struct driver *driver);
void driver_durable(void *arg, const struct log_extent *extents, size_t count);
/* Applies what is committed and durable. */
void driver_apply(struct driver *driver, size_t shard);
/* Room that was kept is used as its time comes, or given back. */
void driver_let_go(struct driver *driver, bool all);
/* Asks for room again where it was refused; none is kept. */
void driver_ask_room(struct driver *driver);

/* recovered.c */
int driver_replay(void *arg, struct engine *engine, const struct log_record *record);
/* Holds what the engine says after its opening against the model. */
void driver_check_recovery(struct driver *driver);

/* reads.c */
void driver_read(struct driver *driver);
void driver_walk(struct driver *driver);
/* A read or a walk failed: right only where the store may be damaged, and the shard is closed. */
void driver_expect_damage(struct driver *driver, size_t shard, int error, const char *how);
/* A closed shard answers ERR_DATA_LOSS to everything. */
void driver_expect_closed(struct driver *driver, size_t shard);

/* ---- installs.c ---- */

/* Nothing is appended or applied to it meanwhile. */
bool driver_is_installing(const struct driver *driver, size_t shard);
void driver_begin_install(struct driver *driver);
void driver_install_turn(struct driver *driver);

#endif
