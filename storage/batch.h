/* A batch: what one replicated entry changes in the store's keys. All of it is applied or nothing.
 *
 * Bytes: format u8 (BATCH_FORMAT), then operations until the end, each
 *   kind u8 | key bytes varint | key | (APPEND: sequence varint) | (PUT, APPEND: value bytes varint
 * | value) Keys are without their shard (storage/keys.h): a batch belongs to the shard whose group
 * committed it, and cannot name another's keys.
 *
 * APPEND adds to a stream (the events of one entity): `key` names the stream, `sequence` the first
 * element of the value and rises from one append to the next. Appends to one stream within one
 * generation of storage/table.h are kept as one value, joined, under the physical key key |
 * sequence of the first append of that generation, u64 big-endian so where generations are cut
 * decides which physical keys there are. That is each replica's own affair: a stream is read only
 * through a cursor over `key`'s range, which sees the same joined bytes everywhere (a value above
 * 64 KiB starts another physical key). No PUT or DELETE may name a key that begins with a stream's
 * key.
 *
 * CLEAR removes everything appended to the stream so far; sequences go on rising. At once for every
 * reader; from the store with the next checkpoint, which looks up the physical keys there are.
 */
#ifndef KX_STORAGE_BATCH_H
#define KX_STORAGE_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/slice.h"

#define BATCH_FORMAT        1
#define BATCH_KEY_BYTES_MAX 1024
#define BATCH_OP_BYTES_MAX  16 /* of an operation without its key and value */
#define BATCH_HEADER_BYTES  1

enum batch_kind { BATCH_PUT = 1, BATCH_DELETE = 2, BATCH_APPEND = 3, BATCH_CLEAR = 4 };

struct batch_op {
	enum batch_kind kind;
	struct slice key;
	struct slice value; /* PUT, APPEND */
	uint64_t sequence;  /* APPEND */
};

/* Writing into a span that is large enough (a programmer's error otherwise). */
void batch_begin(struct writer *out);
void batch_put(struct writer *out, struct slice key, struct slice value);
void batch_delete(struct writer *out, struct slice key);
void batch_append(struct writer *out, struct slice key, uint64_t sequence, struct slice value);
void batch_clear(struct writer *out, struct slice key);

/* Whole and well formed? Checked once, before anything of a batch is applied. ERR_CORRUPT,
 * ERR_FORMAT. */
NODISCARD int batch_check(struct slice batch);

/* Walks a checked batch: false at the end. */
struct batch_cursor {
	struct reader in;
};
void batch_read(struct slice batch, struct batch_cursor *cursor);
bool batch_next(struct batch_cursor *cursor, struct batch_op *ret_op);

#endif
