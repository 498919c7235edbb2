/* The values that the storage itself keeps in the store, byte by byte. Little-endian. Pure.
 *
 *   applied (KEY_KIND_APPLIED), 49 bytes:
 *     format u8 | applied index u64 | its term u64 | hard state: term, vote, commit u64 | frame u64
 *   anchor (KEY_KIND_ANCHOR), 209 bytes:
 *     format u8 | store id u64 | struct log_anchor as log_anchor_encode writes it
 *     (2: 200 bytes; 1: 64, which are read still)
 *
 * Both are written in the same store_write as the data that they speak of: that is what makes the
 * store a checkpoint.
 */
#ifndef KX_STORAGE_RECORDS_H
#define KX_STORAGE_RECORDS_H

#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "storage/log.h"

#define RECORD_FORMAT              1
#define RECORD_ANCHOR_FORMAT       2
#define RECORD_ANCHOR_FORMAT_FIRST 1
#define RECORD_APPLIED_BYTES       49
#define RECORD_ANCHOR_BYTES        (9 + LOG_ANCHOR_BYTES)

void record_applied_encode(const struct log_base *base, uint8_t data[RECORD_APPLIED_BYTES]);
/* ERR_CORRUPT, ERR_FORMAT. */
NODISCARD int record_applied_decode(struct slice data, struct log_base *ret_base);

/* `store`: the random id that the store's log carries too, so that a log and a store that do not
 * belong together are told apart. */
struct record_anchor {
	uint64_t store;
	struct log_anchor log;
};
void record_anchor_encode(const struct record_anchor *anchor, uint8_t data[RECORD_ANCHOR_BYTES]);
/* ERR_CORRUPT, ERR_FORMAT (a newer one). */
NODISCARD int record_anchor_decode(struct slice data, struct record_anchor *ret_anchor);

#endif
