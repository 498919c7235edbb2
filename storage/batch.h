/* A batch: what one replicated entry changes in the store's keys. All of it is applied or nothing.
 *
 * Bytes: format u8 (BATCH_FORMAT), then operations until the end, each
 *
 *   DELETE, CLEAR   kind u8 | key bytes varint | key
 *   PUT             kind u8 | key bytes varint | key | value bytes varint | value
 *   APPEND          kind u8 | key bytes varint | key | sequence varint | value bytes varint | value
 *
 * Keys are without their shard (storage/keys.h): a batch belongs to the shard whose group committed
 * it, and cannot name another's keys, nor the storage's own (kinds below KEY_KIND_FIRST_FREE).
 *
 * APPEND adds to a stream (the events of one entity): `key` names the stream, `sequence` is that
 * of the first element of the value and rises from one append to the next, for as long as the
 * stream lives. CLEAR removes everything appended to the stream so far; its sequences go on
 * rising. Appends to one stream within one generation of storage/table.h are joined to values of
 * up to BATCH_JOINED_BYTES_MAX, each under the physical key
 *
 *   key | sequence of its first append, u64 big-endian
 *
 * so where generations are cut decides which physical keys there are. That is each replica's own
 * affair: a stream is read only through a cursor over `key`'s range, which sees the same joined
 * bytes everywhere. No other key, of a stream or of a PUT or DELETE, may begin with a stream's key.
 *
 * Pure; any thread.
 */
#ifndef KX_STORAGE_BATCH_H
#define KX_STORAGE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"
#include "storage/keys.h"

#define BATCH_FORMAT          1
#define BATCH_KEY_BYTES_MAX   1024
#define BATCH_VALUE_BYTES_MAX (1 << 30)
/* A longer value than this is one append's alone. */
#define BATCH_JOINED_BYTES_MAX (64 * 1024)
#define BATCH_OP_BYTES_MAX     20 /* of an operation without its key and value */
#define BATCH_HEADER_BYTES     1

enum batch_kind { BATCH_PUT = 1, BATCH_DELETE = 2, BATCH_APPEND = 3, BATCH_CLEAR = 4 };

struct batch_op {
	enum batch_kind kind;
	struct slice key;   /* 1 to BATCH_KEY_BYTES_MAX bytes */
	struct slice value; /* PUT, APPEND; may be empty */
	uint64_t sequence;  /* APPEND */
};

/* Writing into a span that is large enough (a programmer's error otherwise). */
void batch_begin(struct writer *out);
void batch_put(struct writer *out, struct slice key, struct slice value);
void batch_delete(struct writer *out, struct slice key);
void batch_append(struct writer *out, struct slice key, uint64_t sequence, struct slice value);
void batch_clear(struct writer *out, struct slice key);
/* The same as batch_put and batch_append for a value that stands nowhere yet: the caller writes its
 * `bytes` bytes into `out` next. */
void batch_put_begin(struct writer *out, struct slice key, uint64_t bytes);
void batch_append_begin(struct writer *out, struct slice key, uint64_t sequence, uint64_t bytes);

/* What batch_next demands of an operation, sizes and names. */
static inline bool batch_op_valid(const struct batch_op *op)
{
	return op->key.bytes > 0 && op->key.bytes <= BATCH_KEY_BYTES_MAX &&
	       op->key.data[0] >= KEY_KIND_FIRST_FREE && op->value.bytes <= BATCH_VALUE_BYTES_MAX;
}

/* Whole and well formed? Checked once, before anything of a batch is applied. ERR_CORRUPT,
 * ERR_FORMAT. */
NODISCARD int batch_check(struct slice batch);

/* Walks a batch: batch_next is false at its end, and where something malformed begins; cursor.error
 * then tells which. The operation's slices are views into the batch. */
struct batch_cursor {
	struct reader in;
	int error; /* 0, ERR_CORRUPT, ERR_FORMAT */
};
void batch_read(struct slice batch, struct batch_cursor *cursor);
bool batch_next(struct batch_cursor *cursor, struct batch_op *ret_op);

#endif
