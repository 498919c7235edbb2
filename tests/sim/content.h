/* What an entry of the simulated groups changes: a pure function of the world's seed and of the
 * entry's name. So nobody has to store a payload in order to know what should be on a disk.
 *
 * A shard has cells, which are put and deleted, and streams, which are appended to and cleared.
 * Every value begins with bytes that name its operation, and goes on with bytes that only this
 * operation has at these places, so that a mixture of two values is none.
 */
#ifndef KX_TESTS_SIM_CONTENT_H
#define KX_TESTS_SIM_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "storage/batch.h"

enum {
	CONTENT_CELLS = 40,
	CONTENT_STREAMS = 4,
	CONTENT_TARGETS = CONTENT_CELLS + CONTENT_STREAMS,
	CONTENT_OPS_MAX = 6,
	CONTENT_STREAM_KEY_BYTES = 4,
};

/* How much of the seed's entries there is to write. */
struct content {
	uint64_t seed;
	uint32_t large_value_bytes_max;
	uint8_t *pool; /* owned */
	/* Targets in the order of their keys. */
	uint8_t order[CONTENT_TARGETS];
	struct slice keys[CONTENT_TARGETS]; /* owned, by target */
};

void content_init(struct content *content, uint64_t seed, uint32_t large_value_bytes_max);
void content_done(struct content *content);

enum content_kind {
	CONTENT_MIXED,
	CONTENT_EMPTY,   /* no operation: what a new leader begins with */
	CONTENT_DELETES, /* takes nothing on the disk */
};

/* The name of an entry. Two entries of one (shard, term, index) from different boots differ, as
 * they do in life. */
struct content_entry {
	enum content_kind kind;
	uint32_t shard;
	uint32_t boot;
	uint64_t term;
	uint64_t index;
};

struct content_op {
	enum batch_kind kind;
	uint8_t target; /* cells first, then streams */
	uint32_t value_bytes;
	uint64_t value_seed;
	uint64_t sequence; /* of an append: rises with index and position */
};

/* Fills `ops`, returns how many there are. */
unsigned content_ops(const struct content *content, const struct content_entry *entry,
    struct content_op ops[CONTENT_OPS_MAX]);

/* Of the whole batch; 0 for an entry without operations, in half of the cases. */
uint32_t content_batch_bytes(const struct content *content, const struct content_entry *entry);
/* Writes exactly so many bytes. */
void content_batch(
    const struct content *content, const struct content_entry *entry, uint8_t *data, size_t bytes);
/* Bound of content_batch_bytes for any entry. */
uint32_t content_batch_bytes_max(const struct content *content);

/* Writes op->value_bytes bytes. */
void content_value(const struct content *content, const struct content_op *op, uint8_t *data);
bool content_value_is(
    const struct content *content, const struct content_op *op, struct slice value);

static inline bool content_is_stream(unsigned target)
{
	return target >= CONTENT_CELLS;
}

#endif
