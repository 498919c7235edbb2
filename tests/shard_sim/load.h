/* What runs inside the simulated process: cores, each with the production shards over a group store
 * and a host (app.h), and clients that call as their random numbers say. Every answer goes to the
 * model.
 *
 * The struct is the test's own, not the process's: it outlives each process, and nothing in it that
 * the process gave is used after its end.
 */
#ifndef KX_TESTS_SHARD_SIM_LOAD_H
#define KX_TESTS_SHARD_SIM_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/random.h"
#include "replication/group.h"
#include "server/shard/shard.h"
#include "scripting/host.h"
#include "tests/shard_sim/app.h"
#include "tests/shard_sim/history.h"
#include "tests/shard_sim/model.h"

enum { LOAD_CALLS_MAX = 48, LOAD_TOKENS = 24, LOAD_CORES_MAX = 2 };

/* clang-format off */
#define LOAD_FIGURE_LIST(X)                                                                        \
	X(operations) X(commands_done) X(reads_done) X(failures_done) X(deletes_done)              \
	X(repeats_sent) X(repeats_done) X(activations) X(faults) X(histories_done) X(lists_done)   \
	X(drops) X(versions_skipped) X(refused_without_type) X(repeats_over_drops)                 \
	X(exhausted) X(unavailable) X(deadlines) X(unknown_outcomes) X(cut_off_calls)              \
	X(cold_reads) X(folds) X(entries) X(tokens_expired) X(clock_jumps)                         \
	X(boots) X(opens_failed) X(ends) X(clean_ends) X(single_full_disks) X(single_refused_full) \
	X(unknown_seen) X(unknown_never_seen)                                                      \
	X(lua_pauses) X(lua_budgets_spent) X(lua_events_folded) X(lua_states_migrated)             \
	X(lua_dev_boots) X(single_crossed_cores)                                                   \
	X(double_losses) X(double_cut_offs) X(double_kept_all) X(double_kept_some)                 \
	X(double_kept_none) X(double_discarded) X(double_others_entries) X(double_rounds_lost)     \
	X(double_jumps) X(double_handed_on) X(double_others_changes)                               \
	X(double_handed_over) X(double_done_elsewhere) X(double_read_by_replicas)                  \
	X(double_read_stale)                                                                       \
	X(double_returned) X(double_links_broken) X(double_overtaken) X(double_forwarded_refused)
/* clang-format on */

struct load_figures {
#define X(name) uint64_t name;
	LOAD_FIGURE_LIST(X)
#undef X
};

struct load_call {
	struct shard_call call;
	struct model_call model;
	struct load *load;
	bool busy;
	uint64_t refused; /* by who leads in this term: it is not handed to that one again */
	const char *name;
	const struct app_command *command; /* NULL: a history, or a list */
	bool is_list, is_last;             /* is_last: nothing changes any more */
	char address[32], payload[24], token[24], cursor[HISTORY_CURSOR_BYTES_MAX];
};

/* A call that is on another node, or on its way. */
struct load_away {
	struct load_call *of;
	uint64_t term, route;
	bool arrived, returns; /* decided there; and not done */
};
enum { LOAD_NODES = 2 }; /* others */

struct load_token {
	bool used;
	unsigned entity, connection, version; /* of the app */
	uint64_t id, number;
};

/* One core, of the process. */
struct load_core {
	struct load *load;
	unsigned number;
	struct io *io;
	struct group_store *store;
	struct group_store *stores[LOAD_CORES_MAX]; /* the own one at its place */
	struct host *host;
	struct shards *shards;
	struct mailbox *to[LOAD_CORES_MAX], *from[LOAD_CORES_MAX];
	struct io_timer timer;
	bool provided, activating, activated, shards_closed, store_closed;
	struct shards_activation activation;
	struct shards_drop drops[MODEL_TYPES];
	struct shards_figures seen;
	struct app_figures app_seen;
	char hash[HOST_HASH_CHARACTERS + 1], dir[32];
};

struct load {
	/* Set by the seed. */
	struct sim_node *node;
	struct model *model;
	struct random random;
	struct engine_options engine;
	unsigned core_count;
	uint64_t fold_cache_bytes_max;
	unsigned calls_max, calls_per_turn, idle_percent, repeat_percent, checkpoint_permille;
	unsigned no_memory_permille;
	bool dev;
	unsigned arrives_percent; /* a call that is on its way to another node, per turn */
	bool reads_anywhere;      /* some queries may be answered by who follows */
	bool has_nodes;           /* calls are handed elsewhere, and come from there */
	bool settling;            /* nothing new is begun */
	bool disk_fails, disk_is_full;

	/* Outlives processes. */
	struct load_figures figures;
	struct load_call calls[LOAD_CALLS_MAX];
	struct load_token tokens[LOAD_TOKENS];
	uint64_t token_count;
	uint64_t answers; /* hash of all so far */

	/* Of the process. */
	struct load_core cores[LOAD_CORES_MAX];
	struct io *first_io; /* the first core's, before the boot */
	bool opened, closing, ended;
	uint64_t tokens_seen, turns;
	struct load_away away[LOAD_CALLS_MAX]; /* in the order in which they left */
	unsigned away_count;
	uint64_t links[LOAD_NODES]; /* how many there were */
};

/* Inside: opens everything; `arg` is the load. */
void load_boot(void *arg);
void load_turn(void *arg);
/* Inside: a clean end; `ended` says when all is freed. */
void load_close(void *arg);
/* Outside, before a boot and after an end. */
void load_reset(struct load *load);
/* Outside, after the process died: nobody knows what became of its calls. */
void load_cut_off(struct load *load);
unsigned load_calls_under_way(const struct load *load);
/* Inside, while settling: one query, or the whole history, of each entity. */
void load_query_all(void *arg);
void load_history_all(void *arg);
/* Inside, while settling: which addresses each shard has. */
void load_list_all(void *arg);
/* Every core has the newest version of the app, which has all types, nothing is left to be done for
 * those before, and no call is under way. */
bool load_is_at_rest(const struct load *load);
/* Inside, then: nothing of what was dropped is stored. */
void load_expect_purged(void *arg);

/* ---- Between the files of the load ---- */

bool load_percent(struct load *load, unsigned chance);
/* Begins calls, as many as there may be. */
void load_act(struct load *load);
void load_submit_history(struct load *load, struct load_call *of);
void load_submit_list(struct load *load, struct load_call *of);
void load_list_answered(struct load *load, struct load_call *of);
struct load_call *load_free_call(struct load *load);
void load_wake_all(struct load *load);
struct shard_map load_map(const struct load *load);

/* What another leader changes: for the double. */
bool load_write_other(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out);
/* A counter's state with one more id: as its own handler would make it, in `out`, and what that
 * answers. False: it cannot be told now. */
struct load_change {
	struct load *load;
	unsigned entity;
	uint64_t id; /* 0: nothing is changed */
	unsigned version;
	uint64_t revision;
	uint8_t state[1024];
	size_t state_bytes;
};
bool load_change_counter(struct load_change *change, struct engine *engine, uint32_t shard,
    int64_t time_ms, struct writer *out);

/* load_away.c: calls on other nodes. */
bool load_elsewhere(void *arg, struct shard_call *call, uint32_t shard);
void load_away_turn(struct load *load);

#endif
