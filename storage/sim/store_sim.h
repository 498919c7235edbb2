/* storage/store.h in memory, for the simulator (base/io/sim/sim.h): what a test may ask of it.
 *
 * A store belongs to the node whose struct fs it is opened with, and to a directory there. What
 * store_write was given is durable at once and whole: the crash point inside it (one, around the
 * change) decides whether all of it happened or nothing. Whatever else the process had (snapshots,
 * cursors) is gone with it. The name of the store is a file in its directory: where that was not
 * durable at a power cut, because nobody synced the directory's own name, the store is gone and the
 * next one is empty. The content counts as bytes of the node's disk, so that it fills.
 *
 * A program that links libkx_store_sim.a takes it in place of libkx_store_rocksdb.a.
 */
#ifndef KX_STORAGE_SIM_STORE_SIM_H
#define KX_STORAGE_SIM_STORE_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct fs;

/* Chances are in parts per million and drawn once per occasion, inside a process only. Zeroed is a
 * store without faults that answers everything from memory. */
struct store_sim_faults {
	uint32_t read_corrupt_ppm; /* per store_get and per pair of a cursor: ERR_CORRUPT */
	uint32_t read_error_ppm;   /* the same: ERR_IO */
	uint32_t end_errors;       /* so many ends of cursors, from now on: ERR_IO */
	uint32_t cold_percent;     /* of all store_get_cached: ERR_AGAIN */
	uint32_t no_space_ppm;     /* per store_write: ERR_NO_SPACE */
	uint32_t compaction_ppm;   /* per store_check with damage: a compaction meets it */
	uint32_t slow_ppm;         /* per call that blocks: takes slow_ns more */
	uint64_t slow_ns;          /* 0: 50 ms */
};

/* Of all stores of the node, now and when it boots again; NULL: none. */
void store_sim_set_faults(struct fs *fs, const struct store_sim_faults *faults);

/* The stored value of `key` is damaged: reading it is ERR_CORRUPT until a store_write changes the
 * key. False where there is no such key. */
bool store_sim_damage(struct fs *fs, const char *dir, struct slice key);

/* Of the node, over all its processes. */
#define STORE_SIM_FIGURE_LIST(X)                                                                   \
	X(opens)                                                                                   \
	X(opens_of_existing)                                                                       \
	X(stores_lost)                                                                             \
	X(writes)                                                                                  \
	X(writes_cut_off)                                                                          \
	X(colds)                                                                                   \
	X(corrupt_reads)                                                                           \
	X(failed_reads)                                                                            \
	X(no_space)                                                                                \
	X(slow_calls)

struct store_sim_figures {
#define X(name) uint64_t name;
	STORE_SIM_FIGURE_LIST(X)
#undef X
	uint64_t sheds; /* only who takes damaged shards away has any */
	uint64_t compactions_stopped;
};

struct store_sim_figures store_sim_figures(struct fs *fs);

#endif
