#include "replication/peer/frame.h"

#include <lz4.h>

#include "base/assert.h"
#include "base/hash.h"

enum {
	SEALED_HEAD_BYTES = 8,
	TAG_AT = 16,
	FLAG_CLASS = 3,
	FLAG_FIRST = 4,
	FLAG_LAST = 8,
	FLAG_COMPRESSED = 16,
	FLAGS = FLAG_CLASS | FLAG_FIRST | FLAG_LAST | FLAG_COMPRESSED,
};

/* ---- Records ---- */

int peer_record_read(struct slice input, struct peer_record *ret_record, size_t *ret_bytes)
{
	struct reader reader = reader_of(input);
	uint32_t body_bytes = reader_u32le(&reader);
	uint16_t frames = reader_u16le(&reader);
	uint16_t zero = reader_u16le(&reader);
	uint64_t hash = reader_u64le(&reader);
	struct slice tag = reader_slice(&reader, PEER_TAG_BYTES);
	*ret_bytes = PEER_RECORD_HEAD_BYTES;
	if (reader.failed)
		return ERR_TRUNCATED;
	if (body_bytes == 0 || body_bytes > PEER_RECORD_BYTES_MAX || frames == 0 || zero != 0)
		return ERR_PROTOCOL;
	struct slice body = reader_slice(&reader, body_bytes);
	*ret_bytes += body_bytes;
	if (reader.failed)
		return ERR_TRUNCATED;
	*ret_record = (struct peer_record){.head = slice_of(input.data, SEALED_HEAD_BYTES),
	    .body = body,
	    .frames = frames,
	    .hash = hash,
	    .tag = tag.data,
	    .bytes = *ret_bytes};
	return 0;
}

/* Multiplied, so that a number, a length and a tag do not make up for one another. */
static uint64_t record_hash(
    const uint8_t *head, struct slice body, const uint8_t *tag, uint64_t number)
{
	uint64_t seed = load_u64le(head) + number * 0x9e3779b97f4a7c15;
	seed = (seed ^ load_u64le(tag)) * 0xbf58476d1ce4e5b9;
	return hash_bytes(body, seed ^ load_u64le(tag + 8));
}

int peer_record_check(const struct peer_record *record, const struct peer_key *key, uint64_t number)
{
	uint8_t tag[PEER_TAG_BYTES];
	if (record_hash(record->head.data, record->body, record->tag, number) != record->hash)
		return ERR_CORRUPT;
	int error = peer_seal(key, number, record->head, record->body, tag);
	if (error == 0 && !peer_same(tag, record->tag, PEER_TAG_BYTES))
		error = ERR_PERMISSION;
	return error;
}

void peer_record_hash(uint8_t *record, size_t body_bytes, uint64_t number)
{
	struct slice body = slice_of(record + PEER_RECORD_HEAD_BYTES, body_bytes);
	store_u64le(record + SEALED_HEAD_BYTES, record_hash(record, body, record + TAG_AT, number));
}

int peer_record_finish(uint8_t *record, size_t body_bytes, unsigned frames,
    const struct peer_key *key, uint64_t number)
{
	struct slice body = slice_of(record + PEER_RECORD_HEAD_BYTES, body_bytes);
	ASSERT(body_bytes > 0 && body_bytes <= PEER_RECORD_BYTES_MAX);
	ASSERT(frames > 0 && frames <= UINT16_MAX);
	store_u32le(record, (uint32_t)body_bytes);
	store_u16le(record + 4, (uint16_t)frames);
	store_u16le(record + 6, 0);
	int error =
	    peer_seal(key, number, slice_of(record, SEALED_HEAD_BYTES), body, record + TAG_AT);
	if (error == 0)
		peer_record_hash(record, body_bytes, number);
	return error;
}

/* ---- Frames ---- */

int peer_frame_read(struct reader *reader, struct peer_frame *ret_frame)
{
	struct peer_frame frame = {.kind = reader_u8(reader)};
	uint8_t flags = reader_u8(reader);
	uint16_t zero = reader_u16le(reader);
	uint32_t bytes = reader_u32le(reader);
	if ((flags & ~FLAGS) != 0 || (flags & FLAG_CLASS) >= PEER_CLASSES || zero != 0 ||
	    bytes > PEER_FRAME_BYTES_MAX)
		return ERR_PROTOCOL;
	frame.class = (enum peer_class)(flags & FLAG_CLASS);
	frame.first = (flags & FLAG_FIRST) != 0;
	frame.last = (flags & FLAG_LAST) != 0;
	frame.compressed = (flags & FLAG_COMPRESSED) != 0;
	if (frame.first && !frame.last)
		frame.message_bytes = reader_u32le(reader);
	frame.raw_bytes = frame.compressed ? reader_u32le(reader) : bytes;
	frame.payload = reader_slice(reader, bytes);
	if (reader->failed || frame.raw_bytes > PEER_FRAME_BYTES_MAX ||
	    (frame.compressed && frame.raw_bytes <= bytes))
		return ERR_PROTOCOL;
	if (frame.first && !frame.last &&
	    (frame.message_bytes <= frame.raw_bytes ||
	        frame.message_bytes > peer_message_bytes_max(frame.class)))
		return ERR_PROTOCOL;
	/* What is empty is whole, and a ping is empty. */
	bool whole = frame.first && frame.last;
	if ((frame.raw_bytes == 0 && !whole) ||
	    (frame.kind > PEER_KIND_MAX && (frame.kind != PEER_KIND_PING || bytes > 0)))
		return ERR_PROTOCOL;
	*ret_frame = frame;
	return 0;
}

void peer_frame_write(struct writer *writer, const struct peer_frame *frame)
{
	unsigned flags = (unsigned)frame->class;
	flags |= frame->first ? FLAG_FIRST : 0;
	flags |= frame->last ? FLAG_LAST : 0;
	flags |= frame->compressed ? FLAG_COMPRESSED : 0;
	writer_u8(writer, frame->kind);
	writer_u8(writer, (uint8_t)flags);
	writer_u16le(writer, 0);
	writer_u32le(writer, (uint32_t)frame->payload.bytes);
	if (frame->first && !frame->last)
		writer_u32le(writer, frame->message_bytes);
	if (frame->compressed)
		writer_u32le(writer, frame->raw_bytes);
	if (frame->payload.data != NULL)
		writer_slice(writer, frame->payload);
	else if (frame->payload.bytes > 0)
		(void)writer_room(writer, frame->payload.bytes);
}

/* ---- Compression ---- */

size_t peer_compress(struct slice raw, uint8_t *to)
{
	ASSERT(raw.bytes <= PEER_FRAME_BYTES_MAX);
	if (raw.bytes < PEER_COMPRESS_BYTES_MIN)
		return 0;
	/* Where it does not fit there, LZ4 gives up. */
	size_t room = raw.bytes - raw.bytes / 8 - 1;
	int bytes =
	    LZ4_compress_default((const char *)raw.data, (char *)to, (int)raw.bytes, (int)room);
	return bytes > 0 ? (size_t)bytes : 0;
}

int peer_expand(struct slice payload, uint8_t *to, size_t raw_bytes)
{
	ASSERT(raw_bytes <= PEER_FRAME_BYTES_MAX && payload.bytes <= PEER_FRAME_BYTES_MAX);
	int bytes = LZ4_decompress_safe(
	    (const char *)payload.data, (char *)to, (int)payload.bytes, (int)raw_bytes);
	return bytes == (int)raw_bytes ? 0 : ERR_PROTOCOL;
}
