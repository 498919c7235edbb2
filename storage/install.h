/* A shard's whole state replaced by what another replica sent (a snapshot of its group), or taken
 * away; all of it or nothing, whatever crashes.
 *
 *   engine_install_begin -> put, put, ... -> engine_install_finish -> `done`
 *
 * From begin to finish the shard goes on as it is: it is read, appended to, applied and
 * checkpointed. What comes goes to a file of its own, install/<shard>.part, by way of the offload
 * pool and of two blocks of memory (INSTALL_BLOCK_BYTES each, or one pair, if that is more). From
 * finish to `done`, in this order:
 *
 *   FENCE    Nothing is appended for the shard but hard states, and nothing applied: that is the
 *            caller's part. Reads are refused: engine_get says TABLE_COLD, engine_load and
 *            cursor_open ERR_AGAIN. Cursors that are open go on showing the old state. What was
 *            changed before is checkpointed, what is being loaded has come, and what the table has
 *            of the shard is dropped, so that nothing of the old state is in memory.
 *   INTENT   The file, whole, synced, with index and term and a hash over each part, gets its name
 *            (install/<shard>.intent), and that is made durable. From here on a restart ends what
 *            was begun.
 *   INGEST   One store_write deletes the range's keys, puts the new ones, the applied position
 *            (index, term), and takes KEY_KIND_DAMAGED away. Checkpoints wait meanwhile.
 *   RESET    (index, term) in the log, durable: its entries end here, and the next is index + 1.
 *   END      The file is gone, durably. `done`.
 *
 * A crash before INTENT leaves the old state; one behind it leaves the new one, since engine_open
 * goes on from INGEST, and until END says ERR_FULL where room is asked for entries of the shard.
 * Where the log has the RESET already, or the store is beyond index, only END is left. Files that
 * are no intent are deleted.
 *
 * Rules, each with the mutation that breaks it (tests/sim):
 *   1. Nothing is ingested without a durable intent.
 *   2. RESET stands in the log only behind what it promises in the store.
 *   3. Nothing of the old state in memory outlives the install.
 *   4. An intent's bytes are durable before its name is.
 *
 * A shard that is closed is healed by it. The log's suspicion ends, votes that may be lost
 * included: the replica must be a new one, which never voted. (Not so where a restart goes on with
 * the install of a shard that was not suspect when it began.)
 *
 * Where a part of the old range cannot be read it cannot be deleted key by key either. An install
 * ends with ERR_CORRUPT then, and the shard is closed. A removal is not taken back: its intent
 * stays, and the next engine_open makes the store anew without all that it has of the shard
 * (store_shed, which reads none of that; install_shed.c). engine_options.wants_reopening asks for
 * that.
 * Where the opening cannot do it (no space, or damage in another shard, which is marked and closed
 * so that it may be taken away, too) the shard is closed, and the intent stays for the next one.
 * The directory's shard waits for no other: of those that are marked what can be read is kept.
 *
 * Thread: the core's. engine_free ends all of it as a crash would, without `done`; what was begun
 * is gone then. engine_close waits for the one that is between INTENT and END; others end with
 * ERR_CANCELED.
 */
#ifndef KX_STORAGE_INSTALL_H
#define KX_STORAGE_INSTALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct engine;
struct engine_install;

struct engine_install_options {
	/* There is room again after engine_install_put said ERR_AGAIN, or there is an error to be
	 * fetched from it. From io_run. May be NULL. */
	void (*room)(void *arg);
	void *arg;
};

/* One for each shard at a time: ERR_EXISTS while there is one, or the shard is being removed, or
 * what a restart found of one comes to its end. ERR_NOMEM, ERR_INVALID (no shard's number),
 * ERR_CANCELED (engine_close was called). */
NODISCARD int engine_install_begin(struct engine *engine, uint32_t shard,
    const struct engine_install_options *options, struct engine_install **ret_install);

/* The next pair: keys as cursor_next gives them, without the shard, strictly rising; copied.
 * ERR_AGAIN: not taken; to be put again after `room`. ERR_INVALID: a key out of order, of the
 * storage's own kinds, too long, or a value too large. ERR_NO_SPACE, ERR_NOMEM, ERR_IO: the install
 * has failed, all further calls say the same, and cancelling is left (finish ends with it, too). */
NODISCARD int engine_install_put(
    struct engine_install *install, struct slice key, struct slice value);

/* What was put is the state of the shard after entry (index, term), which is above what is applied
 * here; in a closed shard it may be just that. `done` once, from io_run, and the install is gone
 * then, as it is no more the caller's from here on. With 0:
 *   - engine_applied is (index, term), and the new state is read;
 *   - engine_group: no entries, last_index and durable_index are index, last_term is term, the hard
 *     state is what it was; a following append is index + 1;
 *   - engine_shard_closed is false.
 * Otherwise nothing changed: ERR_INVALID (not above what is applied), ERR_NO_SPACE, ERR_NOMEM,
 * ERR_IO (the file could not be written), ERR_CORRUPT (the old range cannot be read; the shard is
 * closed), ERR_CANCELED (engine_close). The log's `durable` also tells of the RESET, as an extent
 * without entries. */
void engine_install_finish(struct engine_install *install, uint64_t index, uint64_t term,
    void (*done)(void *arg, int result), void *arg);

/* Before finish only. NULL-safe. The file goes in the background. */
void engine_install_cancel(struct engine_install *install);

/* The replica is not wanted here any more: the shard's keys, what the storage has noted of it and
 * its group in the log go in the same way (an intent that says so, the deletes in one store_write,
 * a record in the log that the group is forgotten). From here to `done` nothing is appended for
 * it, hard states included. With 0 the engine knows nothing of it: it is as one that was never met
 * (unless it is asked for again), and may come again. ERR_CORRUPT: its range cannot be read; the
 * shard is closed, nothing may be appended for it any more, and the next opening goes on, whether
 * or not it is asked for again. Otherwise nothing changed: ERR_NO_SPACE, ERR_NOMEM, ERR_IO,
 * ERR_CANCELED. Where it cannot begin, it says so at once, and
 * `done` does not come: ERR_EXISTS (an install, or another removal), ERR_NOMEM, ERR_INVALID,
 * ERR_CANCELED. */
NODISCARD int engine_remove_shard(
    struct engine *engine, uint32_t shard, void (*done)(void *arg, int result), void *arg);

/* Whether the shard is between finish, or engine_remove_shard, and `done`. */
bool engine_shard_fenced(const struct engine *engine, uint32_t shard);

#endif
