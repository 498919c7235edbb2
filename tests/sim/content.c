#include "tests/sim/content.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/random.h"
#include "storage/keys.h"

enum {
	POOL_BYTES = 1 << 17,
	POOL_OFFSETS = 1 << 16,
	LARGE_VALUE_BYTES_MIN = 2 * 1024,
	VALUE_SEED_BYTES = 8,
	LONG_KEY_BYTES = 120,
	OP_NUMBERS = 16, /* sequence = index * this + number of the operation */
};

_Static_assert((int)CONTENT_OPS_MAX <= OP_NUMBERS, "an operation's number fits its sequence");
_Static_assert(BATCH_KEY_BYTES_MAX <= POOL_BYTES, "keys come out of the pool too");

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
	value = (value ^ value >> 27) * 0x94d049bb133111eb;
	return value ^ value >> 31;
}

/* ---- Keys ---- */

/* Some are a beginning of another, one has a single byte, some are long, one is as long as a key
 * may be, and some sort behind the streams. */
static size_t cell_key(const struct content *content, unsigned cell, uint8_t *key)
{
	key[0] = cell < 30 ? KEY_KIND_FIRST_FREE : KEY_KIND_FIRST_FREE + 2;
	if (cell == 0)
		return 1;
	size_t bytes = 1;
	if (cell >= 10)
		key[bytes++] = (uint8_t)('0' + cell / 10);
	key[bytes++] = (uint8_t)('0' + cell % 10);
	size_t wanted = bytes;
	if (cell % 8 == 7)
		wanted = LONG_KEY_BYTES;
	if (cell == CONTENT_CELLS - 1)
		wanted = BATCH_KEY_BYTES_MAX;
	memcpy(key + bytes, content->pool, wanted - bytes);
	return wanted;
}

static size_t stream_key(unsigned stream, uint8_t *key)
{
	key[0] = KEY_KIND_FIRST_FREE + 1;
	key[1] = 's';
	key[2] = (uint8_t)(stream * 85); /* up to 0xff: the end of a range has to carry */
	key[3] = 0xff;
	return CONTENT_STREAM_KEY_BYTES;
}

static void make_keys(struct content *content)
{
	for (unsigned target = 0; target < CONTENT_TARGETS; target++) {
		uint8_t *key = malloc(BATCH_KEY_BYTES_MAX);
		ASSERT(key != NULL);
		size_t bytes = content_is_stream(target) ? stream_key(target - CONTENT_CELLS, key)
		                                         : cell_key(content, target, key);
		content->keys[target] = slice_of(key, bytes);
	}
	for (unsigned target = 0; target < CONTENT_TARGETS; target++) {
		unsigned at = target;
		for (; at > 0; at--) {
			struct slice before = content->keys[content->order[at - 1]];
			int order = slice_compare(before, content->keys[target]);
			ASSERT(order != 0);
			if (order < 0)
				break;
			content->order[at] = content->order[at - 1];
		}
		content->order[at] = (uint8_t)target;
	}
}

void content_init(struct content *content, uint64_t seed, uint32_t large_value_bytes_max)
{
	struct random random;
	ASSERT(large_value_bytes_max > LARGE_VALUE_BYTES_MIN);
	ASSERT(large_value_bytes_max <= POOL_BYTES - POOL_OFFSETS);
	memset(content, 0, sizeof(*content));
	content->seed = mix(seed + 1);
	content->large_value_bytes_max = large_value_bytes_max;
	content->pool = malloc(POOL_BYTES);
	ASSERT(content->pool != NULL);
	random_init(&random, content->seed);
	random_bytes(&random, content->pool, POOL_BYTES);
	make_keys(content);
}

void content_done(struct content *content)
{
	for (unsigned target = 0; target < CONTENT_TARGETS; target++)
		free((void *)(uintptr_t)content->keys[target].data);
	free(content->pool);
	memset(content, 0, sizeof(*content));
}

/* ---- Operations ---- */

static uint32_t value_bytes(const struct content *content, uint64_t bits, bool may_be_large)
{
	uint32_t size = (uint32_t)(bits >> 32);
	uint32_t kind = (uint32_t)bits % 1000;
	if (kind < 30)
		return 1 + size % 19;
	if (kind < 45 && may_be_large)
		return LARGE_VALUE_BYTES_MIN +
		       size % (content->large_value_bytes_max - LARGE_VALUE_BYTES_MIN);
	return 20 + size % 281;
}

static void make_op(const struct content *content, enum content_kind kind, uint64_t bits,
    bool may_be_large, struct content_op *op)
{
	unsigned what = (unsigned)(bits >> 8) % 100;
	/* A third of what happens goes to a tenth of the targets. */
	unsigned cell = (unsigned)(bits >> 16) % ((bits & 3) == 0 ? 4 : CONTENT_CELLS);
	unsigned stream = (unsigned)(bits >> 24) % ((bits & 3) == 0 ? 1 : CONTENT_STREAMS);
	op->kind = what < 52   ? BATCH_PUT
	           : what < 70 ? BATCH_DELETE
	           : what < 97 ? BATCH_APPEND
	                       : BATCH_CLEAR;
	if (kind == CONTENT_DELETES)
		op->kind = what < 90 ? BATCH_DELETE : BATCH_CLEAR;
	bool of_stream = op->kind == BATCH_APPEND || op->kind == BATCH_CLEAR;
	op->target = (uint8_t)(of_stream ? CONTENT_CELLS + stream : cell);
	op->value_seed = mix(bits);
	op->value_bytes = 0;
	if (op->kind == BATCH_PUT || op->kind == BATCH_APPEND)
		op->value_bytes = value_bytes(content, mix(bits + 1), may_be_large);
	/* An empty value is a value. An empty append would leave no trace to look for. */
	if (op->kind == BATCH_PUT && op->value_bytes == 1)
		op->value_bytes = 0;
}

unsigned content_ops(const struct content *content, const struct content_entry *entry,
    struct content_op ops[CONTENT_OPS_MAX])
{
	if (entry->kind == CONTENT_EMPTY)
		return 0;
	uint64_t state = mix(
	    content->seed ^
	    mix(entry->index ^ mix(entry->term ^ mix((uint64_t)entry->shard << 32 | entry->boot))));
	unsigned count = (unsigned)(state % (CONTENT_OPS_MAX + 1));
	bool may_be_large = true;
	for (unsigned i = 0; i < count; i++) {
		state = mix(state + i + 1);
		make_op(content, entry->kind, state, may_be_large, &ops[i]);
		ops[i].sequence = entry->index * OP_NUMBERS + i;
		/* One large value an entry is enough: a frame must be able to hold it. */
		if (ops[i].value_bytes >= LARGE_VALUE_BYTES_MIN)
			may_be_large = false;
	}
	return count;
}

static bool op_has_value(const struct content_op *op)
{
	return op->kind == BATCH_PUT || op->kind == BATCH_APPEND;
}

static uint32_t op_bytes(const struct content *content, const struct content_op *op)
{
	size_t key = content->keys[op->target].bytes;
	size_t bytes = 1 + varint_bytes(key) + key;
	if (op->kind == BATCH_APPEND)
		bytes += varint_bytes(op->sequence);
	if (op_has_value(op))
		bytes += varint_bytes(op->value_bytes) + op->value_bytes;
	return (uint32_t)bytes;
}

/* An entry may be empty, or a batch without operations. */
static bool is_without_batch(const struct content_entry *entry, unsigned count)
{
	return count == 0 && entry->index % 2 == 0;
}

uint32_t content_batch_bytes(const struct content *content, const struct content_entry *entry)
{
	struct content_op ops[CONTENT_OPS_MAX];
	unsigned count = content_ops(content, entry, ops);
	uint32_t bytes = is_without_batch(entry, count) ? 0 : BATCH_HEADER_BYTES;
	for (unsigned i = 0; i < count; i++)
		bytes += op_bytes(content, &ops[i]);
	return bytes;
}

uint32_t content_batch_bytes_max(const struct content *content)
{
	uint32_t small = BATCH_OP_BYTES_MAX + BATCH_KEY_BYTES_MAX + 301;
	return BATCH_HEADER_BYTES + CONTENT_OPS_MAX * small + content->large_value_bytes_max;
}

static const uint8_t *value_body(const struct content *content, const struct content_op *op)
{
	return content->pool + (op->value_seed >> 8) % POOL_OFFSETS;
}

void content_value(const struct content *content, const struct content_op *op, uint8_t *to)
{
	uint8_t seed[VALUE_SEED_BYTES];
	store_u64le(seed, op->value_seed);
	size_t head = op->value_bytes < VALUE_SEED_BYTES ? op->value_bytes : VALUE_SEED_BYTES;
	memcpy(to, seed, head);
	memcpy(to + head, value_body(content, op), op->value_bytes - head);
}

void content_batch(
    const struct content *content, const struct content_entry *entry, uint8_t *data, size_t bytes)
{
	static uint8_t value[POOL_BYTES];
	struct content_op ops[CONTENT_OPS_MAX];
	unsigned count = content_ops(content, entry, ops);
	if (is_without_batch(entry, count)) {
		ASSERT(bytes == 0);
		return;
	}
	struct writer out = writer_of(data, bytes);
	batch_begin(&out);
	for (unsigned i = 0; i < count; i++) {
		struct slice key = content->keys[ops[i].target];
		content_value(content, &ops[i], value);
		struct slice written = slice_of(value, ops[i].value_bytes);
		switch (ops[i].kind) {
		case BATCH_PUT:
			batch_put(&out, key, written);
			break;
		case BATCH_DELETE:
			batch_delete(&out, key);
			break;
		case BATCH_APPEND:
			batch_append(&out, key, ops[i].sequence, written);
			break;
		case BATCH_CLEAR:
			batch_clear(&out, key);
			break;
		}
	}
	ASSERT(!out.failed);
	ASSERT(writer_used(&out) == bytes);
}

bool content_value_is(
    const struct content *content, const struct content_op *op, struct slice value)
{
	uint8_t seed[VALUE_SEED_BYTES];
	if (value.bytes != op->value_bytes)
		return false;
	if (value.bytes == 0)
		return true;
	store_u64le(seed, op->value_seed);
	size_t head = value.bytes < VALUE_SEED_BYTES ? value.bytes : VALUE_SEED_BYTES;
	if (memcmp(value.data, seed, head) != 0)
		return false;
	return memcmp(value.data + head, value_body(content, op), value.bytes - head) == 0;
}
