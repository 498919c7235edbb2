#include "replication/snapshot_wire.h"

#include "base/hash.h"

enum { FLAG_AGAIN = 1 };

uint64_t snapshot_hash(enum snapshot_kind kind, uint64_t id, struct slice body)
{
	return hash_bytes(body, id ^ (uint64_t)kind << 56);
}

void snapshot_head_write(
    struct writer *writer, const struct snapshot_message *message, uint64_t hash)
{
	writer_u8(writer, (uint8_t)message->kind);
	writer_u64le(writer, message->id);
	writer_varint(writer, message->from);
	writer_varint(writer, message->to);
	writer_u64le(writer, hash);
}

void snapshot_body_write(struct writer *writer, const struct snapshot_message *message)
{
	switch (message->kind) {
	case SNAPSHOT_OFFER:
		writer_varint(writer, message->term);
		writer_varint(writer, message->at.term);
		writer_varint(writer, message->at.index);
		writer_zigzag(writer, message->time_ms);
		return;
	case SNAPSHOT_CHUNK:
		writer_varint(writer, message->number);
		return;
	case SNAPSHOT_END:
		writer_varint(writer, message->number);
		writer_varint(writer, message->pairs);
		writer_varint(writer, message->bytes);
		writer_slice(writer, message->data);
		return;
	case SNAPSHOT_WANT:
		writer_varint(writer, message->number);
		writer_u8(writer, message->again ? FLAG_AGAIN : 0);
		return;
	case SNAPSHOT_RESULT:
		writer_zigzag(writer, message->result);
		return;
	case SNAPSHOT_ALIVE:
		return;
	}
	UNREACHABLE();
}

void snapshot_pair_write(struct writer *writer, struct slice key, struct slice value)
{
	writer_varint_slice(writer, key);
	writer_varint_slice(writer, value);
}

size_t snapshot_pair_bytes(struct slice key, struct slice value)
{
	return varint_bytes(key.bytes) + key.bytes + varint_bytes(value.bytes) + value.bytes;
}

static void read_body(struct reader *reader, struct snapshot_message *message)
{
	switch (message->kind) {
	case SNAPSHOT_OFFER:
		message->term = reader_varint(reader);
		message->at.term = reader_varint(reader);
		message->at.index = reader_varint(reader);
		message->time_ms = reader_zigzag(reader);
		return;
	case SNAPSHOT_CHUNK:
		message->number = reader_varint(reader);
		message->data = reader_rest(reader);
		return;
	case SNAPSHOT_END:
		message->number = reader_varint(reader);
		message->pairs = reader_varint(reader);
		message->bytes = reader_varint(reader);
		message->data = reader_rest(reader);
		return;
	case SNAPSHOT_WANT:
		message->number = reader_varint(reader);
		uint8_t flags = reader_u8(reader);
		message->again = flags & FLAG_AGAIN;
		if (flags > FLAG_AGAIN)
			reader_fail(reader);
		return;
	case SNAPSHOT_RESULT: {
		int64_t result = reader_zigzag(reader);
		message->result = (int)result;
		if (result > 0 || result < INT16_MIN)
			reader_fail(reader);
		return;
	}
	case SNAPSHOT_ALIVE:
		return;
	}
	UNREACHABLE();
}

int snapshot_message_read(struct slice bytes, struct snapshot_message *ret_message)
{
	struct reader reader = reader_of(bytes);
	unsigned kind = reader_u8(&reader);
	struct snapshot_message message = {.kind = (enum snapshot_kind)kind};
	message.id = reader_u64le(&reader);
	message.from = reader_varint(&reader);
	message.to = reader_varint(&reader);
	uint64_t hash = reader_u64le(&reader);
	if (reader.failed || kind < SNAPSHOT_OFFER || kind > SNAPSHOT_KIND_LAST)
		return ERR_CORRUPT;
	struct slice body = slice_of(reader.at, reader_left(&reader));
	if (snapshot_hash(message.kind, message.id, body) == hash)
		read_body(&reader, &message);
	else
		reader_fail(&reader);
	if (!reader_finished(&reader))
		message = (struct snapshot_message){.kind = message.kind,
		    .id = message.id,
		    .from = message.from,
		    .to = message.to,
		    .damaged = true};
	*ret_message = message;
	return 0;
}

int snapshot_pair_read(struct reader *reader, struct slice *ret_key, struct slice *ret_value)
{
	struct slice key = reader_varint_slice(reader);
	struct slice value = reader_varint_slice(reader);
	if (reader->failed)
		return ERR_CORRUPT;
	*ret_key = key;
	*ret_value = value;
	return 0;
}
