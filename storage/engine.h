/* One store's engine: log, table, store and checkpoints put together, for the groups that stand on
 * it.
 *
 *   append -> (log: durable) -> apply -> (table: dirty -> frozen) -> (store: checkpointed)
 *          -> (log: released)
 *
 * The engine knows groups (= shards, by number), indexes and batches; what a batch means, when an
 * entry is committed and who is answered is decided above (replication/group.h, server/shard/).
 *
 * The rules, each with the mutation that breaks it on purpose (tests/sim):
 *   1. engine_apply takes only entries that are committed AND durable here: index <= min(commit,
 *      own durable). So a generation, frozen at the applied indexes, never holds what this log may
 *      lose.
 *   2. A generation is written with each shard's applied index and hard state and the log's anchor
 *      in one store_write.
 *   3. The log is released only after that store_write returned.
 *   4. After a crash: open the store, take anchor and bases from it, log_open, replay what is above
 *      the bases.
 *   5. A shard that the log calls suspect is closed: engine_reserve, engine_apply, engine_load and
 *      cursors answer ERR_DATA_LOSS, engine_get knows nothing (TABLE_COLD); the others go on.
 *      Nothing of it is replayed or checkpointed, so that its log stays for the repair.
 *   6. A shard in whose range the store shows damage is closed in the same way from then on. What
 *      was applied before is still checkpointed: that adds to the store and takes nothing away.
 *      Where a checkpoint could not list what a BATCH_CLEAR is to remove, it says so in the store
 *      (KEY_KIND_DAMAGED) and the shard stays closed over restarts.
 *
 * When a checkpoint is taken: the log grew by replay_bytes_max since the last one, the dirty bytes
 * reach dirty_bytes_max, it is asked for (engine_checkpoint), or nothing was appended for idle_ms
 * and something is dirty. One at a time. Where checkpoints do not keep up, engine_reserve says
 * ERR_FULL from ENGINE_BEHIND_FACTOR times either bound on, so that memory and restart stay
 * bounded.
 *
 * Full disk: engine_writable is false while free space < max(min(5% of the disk, 2 GiB), 2 x dirty
 * bytes + the store's largest compaction + 2 segments + 64 MiB); measured at most every 100 ms in
 * the offload pool, and while a checkpoint found no space. It becomes true again by itself.
 * reserve_bytes_max lowers the bound for small disks, never below 2 x dirty + 2 segments.
 *
 * A snapshot of the group, sent by another replica, becomes a shard's state by storage/install.h,
 * which also takes shards away.
 *
 * Thread: the core's. engine_open blocks.
 */
#ifndef KX_STORAGE_ENGINE_H
#define KX_STORAGE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/io/io.h"
#include "base/slice.h"
#include "storage/log.h"
#include "storage/table.h"

struct buffer;
struct engine;
struct fs;
struct log_read;

#define ENGINE_BEHIND_FACTOR 2
#define ENGINE_KEEP_FACTOR   2

struct engine_options {
	struct fs *fs;
	struct io *io;
	const char *root; /* path of fs's root as the operating system knows it */
	const char *dir;  /* "stores/000": holds log/, db/, install/; made where absent */
	uint64_t store_id;
	uint64_t hash_seed;

	/* 0: the default in base/limits.h */
	uint64_t segment_bytes, first_segment_bytes, replay_bytes_max, dirty_bytes_max;
	uint64_t clean_bytes_max, block_cache_bytes, reserve_bytes_max, frame_soon_ns;
	uint64_t keep_bytes; /* of the log, once engine_log_keep was called: see there */
	uint32_t frames_in_flight_max, frame_bytes_max, watermark_delay_ms, idle_ms;
	/* Other nodes have what is here, and the directory can be had from there: where a
	 * compaction met damage in it, it is closed as other shards are. */
	bool replicated;

	/* Recovery, inside engine_open: every entry above a group's checkpoint, in order per
	 * group. The receiver decides what is committed (a one-voter group: everything) and calls
	 * engine_apply of the engine given here for that, here or later; no other function of it
	 * but engine_group, engine_applied and engine_read. A negative result ends engine_open
	 * with it. Where what is applied reaches dirty_bytes_max it is checkpointed in between. */
	int (*replay)(void *arg, struct engine *engine, const struct log_record *record);
	/* See struct log_options. */
	void (*durable)(void *arg, const struct log_extent *extents, size_t count);
	/* Room again after engine_reserve said ERR_FULL or ERR_NO_SPACE: to be asked anew. May be
	 * NULL. */
	void (*room)(void *arg);
	void *arg;
	/* May be NULL. Becomes true when the engine is to be opened anew, which does what it could
	 * not do while it runs: a removal waits for that, which no opening has tried yet
	 * (install.h); or a compaction met damage, and the store takes nothing any more. Stays as
	 * long as the engine. */
	bool *wants_reopening;
};

struct engine_report {
	struct log_report log;
	uint64_t shards, shards_closed;
	uint64_t replayed_entries, replayed_bytes;
};

/* `why` (at least 512 bytes) explains a failure in words. */
NODISCARD int engine_open(const struct engine_options *options, char *why, size_t why_bytes,
    struct engine **ret_engine, struct engine_report *ret_report);
/* Before engine_open, where space is short: takes away what a process that ended left half made in
 * `dir`, and no opening needs. Never fails; says what it did. */
void engine_make_room(struct fs *fs, const char *root, const char *dir);
/* NULL-safe; as a crash would, unless engine_close was awaited. Every cursor is closed. Runs the io
 * until what the engine has under way there has ended, so other owners' operations complete too:
 * not from inside io_run. Their loads end without `done`. */
void engine_free(struct engine *engine);
/* A clean end: drains the log, checkpoints, then `closed` (once, from io_run). The engine takes no
 * more appends. The caller goes on with engine_turn. */
void engine_close(struct engine *engine, void (*closed)(void *arg), void *arg);

/* The end of every turn: flushes the log, starts a checkpoint where one is due, does a bounded
 * part of what is pending. True while such work is left for the next turn: the loop then does not
 * wait. */
bool engine_turn(struct engine *engine);

/* ---- Groups ---- */

struct log_group_view engine_group(const struct engine *engine, uint32_t shard);
/* Its durable_index alone. */
uint64_t engine_durable(const struct engine *engine, uint32_t shard);
struct log_hard_state engine_hard_durable(const struct engine *engine, uint32_t shard);
/* See log_term. ERR_NOT_FOUND. */
NODISCARD int engine_term(
    const struct engine *engine, uint32_t shard, uint64_t index, uint64_t *ret_term);
/* Every group that the store or the log knows, by number. */
void engine_each_group(
    const struct engine *engine, void (*each)(void *arg, uint32_t shard), void *arg);

/* Room for entries, asked before anything is executed: 0, ERR_FULL (wait for `room`), ERR_NO_SPACE
 * (the disk is full), ERR_DATA_LOSS. It is held until engine_unreserve, which the caller calls
 * right before engine_append in the same call chain, or to give it back (see log_reserve). Shard 0
 * is never refused for space; nor is what only deletes, which asks with engine_reserve_spare. */
NODISCARD int engine_reserve(
    struct engine *engine, uint32_t shard, uint64_t bytes, uint32_t records);
NODISCARD int engine_reserve_spare(
    struct engine *engine, uint32_t shard, uint64_t bytes, uint32_t records);
void engine_unreserve(struct engine *engine, uint64_t bytes, uint32_t records);
/* See log_append; the payload of an entry is the group's own. The shard is not closed. */
void engine_append(struct engine *engine, uint32_t shard, uint64_t term, uint64_t index,
    uint32_t bytes, uint8_t **ret_payload);
void engine_append_hard_state(
    struct engine *engine, uint32_t shard, const struct log_hard_state *hard);

/* See table_apply; rule 1 is asserted as far as the engine can see (durable). ERR_NOMEM,
 * ERR_CORRUPT, ERR_FORMAT, ERR_DATA_LOSS. */
NODISCARD int engine_apply(
    struct engine *engine, uint32_t shard, uint64_t index, uint64_t term, struct slice batch);
/* What reserving and appending will read of the shard is fetched from memory. */
void engine_fetch(const struct engine *engine, uint32_t shard);
/* Entries that will be applied soon: see table_soon_add and table_soon_pass. */
void engine_soon_add(
    const struct engine *engine, struct table_soon *soon, uint32_t shard, struct slice batch);
void engine_soon_pass(const struct engine *engine, struct table_soon *soon, unsigned pass);
struct table_shard engine_applied(const struct engine *engine, uint32_t shard);

/* ---- Entries that the log still has: storage/log_read.h ---- */

NODISCARD int engine_log_read(struct engine *engine, struct log_read *read);
void engine_log_read_cancel(struct engine *engine, struct log_read *read);
void engine_log_reads_start(struct engine *engine, uint64_t bytes_max);
uint64_t engine_log_first(const struct engine *engine, uint32_t shard);
/* From now on segments that no checkpoint needs are kept to be read: keep_bytes of them, or where
 * that is 0 ENGINE_KEEP_FACTOR times replay_bytes_max; at most a quarter of what the disk has
 * beside its reserve, so none while it is short of space. */
void engine_log_keep(struct engine *engine);

/* About how many bytes the store has of the shard, looked for in the offload pool: `done` once,
 * from io_run, also where the engine is being freed. What is not checkpointed yet is not in it. */
struct engine_estimate {
	void (*done)(struct engine_estimate *estimate);
	uint64_t bytes;

	/* Private to the engine. */
	struct io_op op;
	struct engine *engine;
	uint32_t shard;
};
void engine_estimate(struct engine *engine, uint32_t shard, struct engine_estimate *estimate);

/* ---- Reads ---- */

/* From memory: the table, then the store's block cache. See enum table_found; *ret_value valid
 * until the next call of the engine that changes something, engine_get included. */
enum table_found engine_get(
    struct engine *engine, uint32_t shard, struct slice key, struct slice *ret_value);

/* From memory or the store, in this thread, which waits: for `replay`, and until the first turn.
 * ERR_NOT_FOUND, ERR_NOMEM, ERR_CORRUPT,
 * ERR_IO. */
NODISCARD int engine_read(
    struct engine *engine, uint32_t shard, struct slice key, struct buffer *value);

/* A cold key, read in the offload pool. `done` once, from io_run, never inside engine_load: result
 * 0 (engine_get, asked inside `done`, knows the value or its absence), ERR_CORRUPT or ERR_IO (the
 * shard is closed now), ERR_DATA_LOSS, ERR_NOMEM, ERR_AGAIN (engine_shard_fenced). The struct is
 * the caller's and stays until then; the key is copied. Loads of one key at one time are one read.
 */
struct engine_load {
	void (*done)(struct engine_load *load, int result);

	/* Private to the engine. */
	struct engine_load *next;
	int result;
};
void engine_load(struct engine *engine, struct engine_load *load, uint32_t shard, struct slice key);

/* ---- Checkpoints and figures ---- */

/* One is taken as soon as possible. Where nothing was applied or logged since the last one, it ends
 * without being written. */
void engine_checkpoint(struct engine *engine);
bool engine_shard_closed(const struct engine *engine, uint32_t shard);
bool engine_writable(const struct engine *engine); /* as last measured */
/* Measures free space now, in this thread, and decides anew: for operators, who ask seldom, and
 * whose server may have been idle while something else filled the disk. */
bool engine_measure(struct engine *engine);
uint64_t engine_log_waiting_ns(const struct engine *engine); /* log_waiting_ns */

struct engine_figures {
	struct log_figures log;
	struct table_figures table;
	uint64_t checkpoints, checkpoint_entries, checkpoint_bytes, checkpoint_last_ms;
	uint64_t checkpoints_unchanged; /* of `checkpoints`: there was nothing to write */
	uint64_t checkpoint_retries;    /* no space or no memory */
	uint64_t loads, cached_reads, free_bytes, reserve_bytes;
	uint64_t shards, shards_closed, cursors;
	uint64_t installs;        /* ended well, removals too: storage/install.h */
	bool compactions_stopped; /* of the store: one met damage */
};
struct engine_figures engine_figures(const struct engine *engine);

#endif
