/* The store contract: an ordered map of bytes to bytes on disk, changed only in whole durable
 * steps.
 *
 * It is a checkpoint of the log (storage/log.h), so it needs no log of its own and no small writes:
 * the one way to change it is store_write, which takes sorted changes and makes them durable all
 * together or not at all. Two implementations exist and the linker chooses: store_rocksdb.c
 * (libkx_store_rocksdb.a), and sim/store_sim.c (libkx_store_sim.a), which loses whatever was not
 * written by store_write, and fails when the seed says so.
 *
 * Threads
 *   Core's thread   store_get_cached, store_snapshot_take, store_snapshot_release,
 *                   store_cursor_close, store_figures: they never wait for the disk. (One
 *                   exception, known and short: the first store_get_cached after a compaction
 *                   ended, when it meets the middle of an ingestion, waits until that has synced
 *                   a page per file.)
 *   Pool            everything else blocks and is called at start or in the offload pool. Reads may
 *                   overlap with a write and with each other; writes do not overlap; one cursor is
 *                   used by one thread at a time.
 *
 * Errors: a read that finds damage returns ERR_CORRUPT (the caller closes the shard, naming the
 * key's shard). store_write returns ERR_NO_SPACE (nothing changed, may be tried again) and PANICs
 * on any other write, sync or compaction error: what is on disk is then not known. But where a
 * compaction met damage, or could not read a table, everything is as it was: the store is read as
 * before, and takes no write (ERR_AGAIN) until it is opened anew, when it begins no compaction any
 * more. Neither keeps out a write that belongs above it.
 */
#ifndef KX_STORAGE_STORE_H
#define KX_STORAGE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct buffer;
struct fs;
struct store;

#define STORE_WHY_BYTES 512

struct store_options {
	struct fs *fs;    /* outlives the store */
	const char *root; /* path of fs's root as the operating system knows it, for RocksDB */
	const char *dir;  /* relative to it; exists, and its name is durable */
	uint64_t block_cache_bytes;
	/* For looking at a store that no process uses: nothing on disk is changed, store_write is a
	 * programmer's error. ERR_NOT_FOUND where there is no store. */
	bool read_only;
	/* Only with read_only: tables that are missing, or of which nothing can be read, do not
	 * keep it from opening. What needs them fails. */
	bool tolerant;
};

/* Opens, making it where the directory is empty. ERR_CORRUPT, ERR_FORMAT, ERR_BUSY, ERR_IO,
 * ERR_NO_SPACE, ERR_NOMEM; `why` (at least STORE_WHY_BYTES) gets the engine's own words. */
NODISCARD int store_open(
    const struct store_options *options, char *why, size_t why_bytes, struct store **ret_store);
/* What was opened fits what else its owner has (the log): from now on the store may give up what it
 * kept of the time before the opening. Not called, it is there after the next one. */
void store_settled(struct store *store);

/* Keys first <= key < end. */
struct store_range {
	struct slice first, end;
};
/* Two rows of ranges, each rising; none meets another of either. */
struct store_shed_ranges {
	const struct store_range *gone;
	size_t gone_count;
	/* Whose owner has it durably that not all of it can be read, and serves nothing of it. */
	const struct store_range *damaged;
	size_t damaged_count;
};
/* Takes away what stands in `gone`, without reading it: where a part of a range cannot be read, its
 * keys cannot be deleted one by one. Of `damaged` it keeps what can be read, past all damage; what
 * a damaged block spans goes with it, as in store_repair (store_tool.h). No process has the store
 * open. Every other key is written to a store beside this one, is read back from there, and that
 * one takes the place of this one in one step: a crash leaves the one or the other. The old one is
 * kept until store_settled. Needs as much space as the other keys take beside what a disk should
 * have free, and time to copy them: one after the other, where several stores of a process want
 * that.
 *
 * ERR_CORRUPT, ERR_IO: a key outside of both cannot be read. ERR_NO_SPACE, ERR_NOMEM,
 * ERR_UNSUPPORTED (the file system cannot exchange two names), and as store_open. After each of
 * them the old store stands as it was, but for a failing sync of names, after which one of both
 * does. */
NODISCARD int store_shed(const struct store_options *options,
    const struct store_shed_ranges *ranges, char *why, size_t why_bytes);
/* Where space is short, before store_open: takes away a copy that store_shed did not finish, as its
 * process ended. (Otherwise the next store_settled does.) Not an old store that was never settled.
 * ERR_IO ... */
NODISCARD int store_shed_make_room(const struct store_options *options, bool *ret_made);
/* Tells the database that is open from any that takes its place, or took it. 0: it cannot be told.
 * Blocks. */
uint64_t store_identity(const struct store *store);
/* NULL-safe; waits for its background work. Snapshots and cursors were given back before. */
void store_close(struct store *store);

/* Appends the value of `key` (not empty) to *value. ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO, ERR_NOMEM,
 * ERR_TOO_LARGE (for the buffer). */
NODISCARD int store_get(struct store *store, struct slice key, struct buffer *value);
/* The same from memory alone: ERR_AGAIN where the disk would have to be asked. */
NODISCARD int store_get_cached(struct store *store, struct slice key, struct buffer *value);

/* The state at one moment, kept for readers; later writes are not seen, not even in part: a
 * snapshot taken while a write is under way shows the state before it. Taken and released on the
 * core's thread without waiting for the disk; released after its cursors were closed. */
struct store_snapshot;
NODISCARD int store_snapshot_take(struct store *store, struct store_snapshot **ret_snapshot);
void store_snapshot_release(struct store *store, struct store_snapshot *snapshot); /* NULL-safe */

/* A cursor over a snapshot (NULL: the state at its opening): first <= key < end, in the order of
 * slice_compare; an empty end is no end. */
struct store_cursor;
NODISCARD int store_cursor_open(struct store *store, struct store_snapshot *snapshot,
    struct slice first, struct slice end, struct store_cursor **ret_cursor);
void store_cursor_close(struct store_cursor *cursor); /* NULL-safe */
/* 0 and the next pair (views valid until the next call), ERR_NOT_FOUND at the end, ERR_CORRUPT,
 * ERR_IO. After an error only closing is left. */
NODISCARD int store_cursor_next(
    struct store_cursor *cursor, struct slice *ret_key, struct slice *ret_value);

/* About how many bytes of disk first <= key < end take. Any thread; may read. */
uint64_t store_range_bytes(struct store *store, struct slice first, struct slice end);

/* One change; the source gives them in strictly rising order of keys. */
struct store_change {
	struct slice key; /* not empty */
	struct slice value;
	bool is_delete;
};
struct store_source {
	/* true and the next change, or false at the end. Views valid until the next call. */
	bool (*next)(struct store_source *source, struct store_change *ret_change);
	/* 0 before the write. Where `next` returns false and has set it to a negative code, that
	 * was not the end: store_write changes nothing and returns the code. */
	int error;
};
/* Applies all changes in one atomic durable step. After 0, they survive a power cut. After a
 * failure, nothing changed: ERR_NO_SPACE, ERR_NOMEM, ERR_AGAIN (figures: refuses_writes), or the
 * source's. */
NODISCARD int store_write(struct store *store, struct store_source *source);

/* Now and then, and wherever free space is measured: brings the figures up to date, gives back what
 * the core's thread released, and PANICs where background work failed other than by
 * damage. */
void store_check(struct store *store);

/* Reads every live key and checks every checksum on the way; `bad` once per damaged file, with its
 * name and what is wrong. ERR_CORRUPT after any. Offline, or in the pool. */
NODISCARD int store_verify(
    struct store *store, void (*bad)(void *arg, const char *what), void *arg);

/* As of the last store_open, store_write or store_check; hits and misses as of now. */
struct store_figures {
	uint64_t bytes_on_disk, cache_bytes, cache_hits, cache_misses, compaction_bytes_pending;
	uint64_t largest_compaction_bytes; /* an estimate, for the full-disk reserve */
	uint64_t writes, written_bytes;
	/* A compaction met damage in an earlier process: none is started any more, so that the
	 * undamaged keys stay served until the store is made anew or restored. */
	bool compaction_stopped;
	/* One met it in this process: to be opened anew, and that it is to be so is durable. */
	bool refuses_writes;
};
struct store_figures store_figures(const struct store *store);

#endif
