/* The storage engine as victims have it: in a data directory of one store below the victim's own
 * directory, on a real ring, with sizes so small that a few hundred entries see segments come and
 * go, and checkpoints. What can't be opened because the disk is full or fails is refused, and
 * everything else that goes wrong is wrong. */
#ifndef KX_TESTS_PRELOAD_VICTIM_ENGINE_H
#define KX_TESTS_PRELOAD_VICTIM_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "storage/data_dir.h"
#include "storage/engine.h"
#include "tests/preload/victim.h"

struct victim_engine {
	struct fs *fs;
	struct io *io;
	struct data_dir *dir;
	struct engine *engine;
	char root[512];
	bool closed;
};

/* Zeroed before. Opens the data directory, or makes it. */
void victim_engine_open_dir(struct victim_engine *self, const struct victim *victim);

/* Then the engine: entries are applied as they are replayed, and `durable` is called with `arg`. */
void victim_engine_open(struct victim_engine *self, uint32_t idle_ms,
    void (*durable)(void *arg, const struct log_extent *extents, size_t count), void *arg);

/* Returns whether something was done. */
bool victim_engine_turn(struct victim_engine *self);

/* Turns until the value is in memory. Returns whether there is one. */
bool victim_engine_get(
    struct victim_engine *self, uint32_t shard, struct slice key, struct slice *ret_value);

/* False: there is no room now. */
bool victim_engine_append(
    struct victim_engine *self, uint32_t shard, uint64_t term, uint64_t index, struct slice batch);

void victim_engine_apply(
    struct victim_engine *self, uint32_t shard, uint64_t term, uint64_t index, struct slice batch);

/* Not `clean`: as it stands. */
void victim_engine_close(struct victim_engine *self, bool clean);

#endif
