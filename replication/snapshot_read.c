/* A shard's pairs become chunks, in the offload pool. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/snapshot_parts.h"
#include "storage/cursor.h"
#include "storage/keys.h"

#include <string.h>

static bool is_members(struct slice key)
{
	return key.bytes == 1 && key.data[0] == KEY_KIND_MEMBERS;
}

/* The next pair that belongs into a chunk; none: the end. */
static int need_pair(struct snapshot_read *read)
{
	while (!read->has_pair && !read->ended) {
		int error = cursor_next(read->cursor, &read->key, &read->value);
		if (error == ERR_NOT_FOUND) {
			read->ended = true;
			break;
		}
		if (error)
			return error;
		if (!is_members(read->key)) {
			read->has_pair = true;
			break;
		}
		if (read->value.bytes > sizeof(read->members))
			return ERR_CORRUPT;
		memcpy(read->members, read->value.data, read->value.bytes);
		read->members_bytes = read->value.bytes;
	}
	return 0;
}

static int make_room(struct snapshot_read *read, size_t bytes)
{
	struct snapshot_chunk *chunk = read->chunk;
	if (chunk->capacity - chunk->bytes >= bytes)
		return 0;
	size_t capacity = chunk->bytes + bytes;
	chunk = mem_realloc(chunk, sizeof(*chunk) + capacity);
	if (!chunk)
		return ERR_NOMEM;
	chunk->capacity = capacity;
	read->chunk = chunk;
	return 0;
}

static int begin_chunk(struct snapshot_read *read)
{
	struct snapshot_chunk *chunk = mem_alloc(sizeof(*chunk) + SNAPSHOT_CHUNK_BYTES);
	if (!chunk)
		return ERR_NOMEM;
	chunk->capacity = SNAPSHOT_CHUNK_BYTES;
	struct writer writer = writer_of(chunk->data, chunk->capacity);
	snapshot_body_write(
	    &writer, &(struct snapshot_message){.kind = SNAPSHOT_CHUNK, .number = read->number});
	ASSERT(!writer.failed);
	chunk->bytes = writer_used(&writer);
	read->chunk = chunk;
	return 0;
}

static int fill(struct snapshot_read *read)
{
	int error = begin_chunk(read);
	if (error)
		return error;
	for (size_t begin = read->chunk->bytes;;) {
		error = need_pair(read);
		if (error || read->ended)
			break;
		size_t bytes = snapshot_pair_bytes(read->key, read->value);
		bool is_first = read->chunk->bytes == begin;
		if (!is_first && read->chunk->bytes + bytes > SNAPSHOT_CHUNK_BYTES)
			break;
		error = make_room(read, bytes);
		if (error)
			break;
		struct snapshot_chunk *chunk = read->chunk;
		struct writer writer = writer_of(chunk->data + chunk->bytes, bytes);
		snapshot_pair_write(&writer, read->key, read->value);
		ASSERT(!writer.failed && writer_left(&writer) == 0);
		chunk->bytes += bytes;
		read->pairs++;
		read->bytes += read->key.bytes + read->value.bytes;
		read->has_pair = false;
	}
	struct snapshot_chunk *chunk = read->chunk;
	if (!error && read->pairs > 0)
		chunk->hash =
		    snapshot_hash(SNAPSHOT_CHUNK, read->id, slice_of(chunk->data, chunk->bytes));
	return error;
}

void snapshot_read_run(struct io_op *op)
{
	struct snapshot_read *read = CONTAINER_OF(op, struct snapshot_read, op);
	uint64_t pairs = read->pairs;
	read->error = fill(read);
	/* The last one may have found nothing more. */
	if (read->chunk && (read->error || read->pairs == pairs)) {
		mem_free(read->chunk);
		read->chunk = NULL;
	}
	op->result = read->error;
}
