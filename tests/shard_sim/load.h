/* What runs inside the simulated process: the production shards over a group store, a host without
 * Lua, and clients that call as their random numbers say. Every answer goes to the model.
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
#include "tests/shard_sim/model.h"

enum { LOAD_CALLS_MAX = 48, LOAD_TOKENS = 24, LOAD_SHARDS = MODEL_SHARDS, LOAD_VERSIONS_MAX = 64 };

/* clang-format off */
#define LOAD_FIGURE_LIST(X)                                                                        \
	X(operations) X(commands_done) X(reads_done) X(failures_done) X(deletes_done)              \
	X(repeats_sent) X(repeats_done) X(others_changes) X(activations) X(faults)                 \
	X(exhausted) X(unavailable) X(deadlines) X(unknown_outcomes) X(cut_off_calls)              \
	X(cold_reads) X(folds) X(entries) X(tokens_expired) X(clock_jumps)                         \
	X(boots) X(ends) X(clean_ends) X(unknown_seen) X(unknown_never_seen)                       \
	X(double_losses) X(double_cut_offs) X(double_kept_all) X(double_kept_some)                 \
	X(double_kept_none) X(double_discarded) X(double_others_entries) X(double_rounds_lost)
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
	const char *name;
	char address[32], payload[24], token[24];
};

struct load_token {
	bool used;
	unsigned entity, connection;
	uint64_t id, number;
};

struct load {
	/* Set by the seed. */
	struct sim_node *node;
	struct model *model;
	struct random random;
	struct engine_options engine;
	uint64_t fold_cache_bytes_max;
	unsigned calls_max, calls_per_turn, idle_percent, repeat_percent, checkpoint_permille;
	unsigned no_memory_permille;
	bool settling; /* nothing new is begun */

	/* Outlives processes. */
	struct load_figures figures;
	struct load_call calls[LOAD_CALLS_MAX];
	struct load_token tokens[LOAD_TOKENS];
	uint64_t token_count;
	unsigned version; /* of the app; 1 is the first */

	/* Of the process. */
	struct io *io;
	struct group_store *store;
	struct host *host;
	struct shards *shards;
	struct io_timer timer;
	bool provided, activating, activated, closing, shards_closed, store_closed, ended;
	struct shards_activation activation;
	uint64_t tokens_seen;
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
/* Inside, while settling: one query for each entity. */
void load_query_all(void *arg);
/* What another leader changes: for the double. */
bool load_write_other(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out);

#endif
