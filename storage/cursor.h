/* One ordered view of a shard's keys at one index: dirty, frozen and store merged.
 *
 * Everything that reads more than one key reads through here: histories, folds of events,
 * snapshots, views. The index is the shard's applied index when the cursor was opened; later
 * changes are not seen. Keys of the storage's own (kinds below KEY_KIND_FIRST_FREE) are not shown.
 *
 * Opening is two steps, because the first belongs to the core and the second blocks:
 *   cursor_open on the core's thread: takes the table's part (table_snapshot_take, bounded) and in
 *                 the same moment a snapshot of the store
 *   cursor_next   in the offload pool; the first call opens the store's cursor on that snapshot
 *
 * So checkpoints go on whatever cursors there are. A generation that is being written in that
 * moment is in the store's snapshot wholly or not at all: the table's part holds it either way and
 * hides equal keys of the store.
 */
#ifndef KX_STORAGE_CURSOR_H
#define KX_STORAGE_CURSOR_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

struct cursor;
struct engine;

/* Keys first <= key < end of the shard, without the shard's prefix; end empty: to the shard's end.
 * ERR_TOO_LARGE: too much of the range is not in the store yet (CURSOR_BYTES_MAX in base/limits.h);
 * engine_checkpoint, and try again. ERR_NOMEM, ERR_DATA_LOSS (the shard is closed), ERR_AGAIN
 * (engine_shard_fenced in storage/install.h). */
NODISCARD int cursor_open(struct engine *engine, uint32_t shard, struct slice first,
    struct slice end, struct cursor **ret_cursor);
/* On the core's thread, when no offload job uses it. Where the cursor met damage in the store, the
 * shard is closed now. NULL-safe. */
void cursor_close(struct cursor *cursor);

uint64_t cursor_index(const struct cursor *cursor);
/* 0 and the next pair, the key without its shard (views valid until the next call); ERR_NOT_FOUND
 * at the end; ERR_CORRUPT, ERR_IO, ERR_NOMEM. After an error only cursor_close. Blocks. */
NODISCARD int cursor_next(struct cursor *cursor, struct slice *ret_key, struct slice *ret_value);

#endif
