#include "storage/batch.h"

void batch_begin(struct writer *out)
{
	writer_u8(out, BATCH_FORMAT);
	ASSERT(!out->failed);
}

static void batch_key(struct writer *out, enum batch_kind kind, struct slice key)
{
	ASSERT(key.bytes > 0 && key.bytes <= BATCH_KEY_BYTES_MAX);
	ASSERT(key.data[0] >= KEY_KIND_FIRST_FREE);
	writer_u8(out, (uint8_t)kind);
	writer_varint_slice(out, key);
}

void batch_put_begin(struct writer *out, struct slice key, uint64_t bytes)
{
	ASSERT(bytes <= BATCH_VALUE_BYTES_MAX);
	batch_key(out, BATCH_PUT, key);
	writer_varint(out, bytes);
	ASSERT(!out->failed);
}

void batch_put(struct writer *out, struct slice key, struct slice value)
{
	batch_put_begin(out, key, value.bytes);
	writer_slice(out, value);
	ASSERT(!out->failed);
}

void batch_delete(struct writer *out, struct slice key)
{
	batch_key(out, BATCH_DELETE, key);
	ASSERT(!out->failed);
}

void batch_clear(struct writer *out, struct slice key)
{
	batch_key(out, BATCH_CLEAR, key);
	ASSERT(!out->failed);
}

void batch_append_begin(struct writer *out, struct slice key, uint64_t sequence, uint64_t bytes)
{
	ASSERT(bytes <= BATCH_VALUE_BYTES_MAX);
	batch_key(out, BATCH_APPEND, key);
	writer_varint(out, sequence);
	writer_varint(out, bytes);
	ASSERT(!out->failed);
}

void batch_append(struct writer *out, struct slice key, uint64_t sequence, struct slice value)
{
	batch_append_begin(out, key, sequence, value.bytes);
	writer_slice(out, value);
	ASSERT(!out->failed);
}

void batch_read(struct slice batch, struct batch_cursor *cursor)
{
	*cursor = (struct batch_cursor){.in = reader_of(batch), .error = 0};
	uint8_t format = reader_u8(&cursor->in);
	if (cursor->in.failed)
		cursor->error = ERR_CORRUPT;
	else if (format != BATCH_FORMAT)
		cursor->error = ERR_FORMAT;
}

bool batch_next(struct batch_cursor *cursor, struct batch_op *ret_op)
{
	if (cursor->error || reader_left(&cursor->in) == 0)
		return false;
	struct batch_op op = {.sequence = 0};
	uint8_t kind = reader_u8(&cursor->in);
	op.key = reader_varint_slice(&cursor->in);
	if (kind == BATCH_APPEND)
		op.sequence = reader_varint(&cursor->in);
	if (kind == BATCH_APPEND || kind == BATCH_PUT)
		op.value = reader_varint_slice(&cursor->in);
	else if (kind != BATCH_DELETE && kind != BATCH_CLEAR)
		cursor->error = ERR_CORRUPT;
	if (cursor->error || cursor->in.failed || !batch_op_valid(&op)) {
		cursor->error = ERR_CORRUPT;
		return false;
	}
	op.kind = (enum batch_kind)kind;
	*ret_op = op;
	return true;
}

int batch_check(struct slice batch)
{
	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(batch, &cursor);
	while (batch_next(&cursor, &op)) {
	}
	return cursor.error;
}
