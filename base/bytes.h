/* Cursors over bytes: how every format on disk and on the wire is read and written.
 *
 * Both cursors fail stickily: an item that does not fit sets `failed`, moves nothing, and makes
 * every later item fail too, so that a decoder reads a whole record and checks once at the end.
 * A failed read yields 0 or an empty slice. Nothing here allocates; a cursor does not own its
 * bytes.
 *
 * Numbers are unsigned; `le` is little-endian (our formats), `be` big-endian (keys, whose order as
 * bytes must be the order of the numbers). Alignment never matters. Varints are LEB128: 7 bits a
 * byte, lowest first, at most 10 bytes; a reader accepts the shortest form only, so that one value
 * has one encoding. Everything is O(1), except copying bytes.
 */
#ifndef KX_BASE_BYTES_H
#define KX_BASE_BYTES_H

#include "base/assert.h"
#include "base/slice.h"

enum { VARINT_BYTES_MAX = 10 };

/* Plain loads and stores; the caller has checked the bounds. */
#define BYTES_LOAD_STORE(bits, order, swap)                                                        \
	static inline uint##bits##_t load_u##bits##order(const void *from)                         \
	{                                                                                          \
		uint##bits##_t value;                                                              \
		memcpy(&value, from, sizeof(value));                                               \
		return swap(value);                                                                \
	}                                                                                          \
	static inline void store_u##bits##order(void *to, uint##bits##_t value)                    \
	{                                                                                          \
		value = swap(value);                                                               \
		memcpy(to, &value, sizeof(value));                                                 \
	}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES_SAME(value) (value)
BYTES_LOAD_STORE(16, le, BYTES_SAME)
BYTES_LOAD_STORE(32, le, BYTES_SAME)
BYTES_LOAD_STORE(64, le, BYTES_SAME)
BYTES_LOAD_STORE(16, be, __builtin_bswap16)
BYTES_LOAD_STORE(32, be, __builtin_bswap32)
BYTES_LOAD_STORE(64, be, __builtin_bswap64)
#undef BYTES_SAME
#else
#error "no big-endian machine has been tested"
#endif
#undef BYTES_LOAD_STORE

struct reader {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_of(struct slice bytes)
{
	return (struct reader){
	    .at = bytes.data, .end = bytes.data ? bytes.data + bytes.bytes : NULL, .failed = false};
}

static inline size_t reader_left(const struct reader *reader)
{
	return (size_t)(reader->end - reader->at);
}

/* Everything was read, and all of it was good. */
static inline bool reader_finished(const struct reader *reader)
{
	return !reader->failed && reader->at == reader->end;
}

/* For a decoder that finds a value it cannot accept. */
static inline void reader_fail(struct reader *reader)
{
	reader->failed = true;
	/* Nothing is left, so that the check of the length alone refuses all later items. */
	reader->at = reader->end;
}

/* The next bytes, still owned by whoever owns the reader's; empty where so many are not left. */
static inline struct slice reader_slice(struct reader *reader, size_t bytes)
{
	if (__builtin_expect(reader_left(reader) < bytes, 0)) {
		reader_fail(reader);
		return slice_of(NULL, 0);
	}
	struct slice taken = slice_of(reader->at, bytes);
	if (bytes > 0)
		reader->at += bytes;
	return taken;
}

static inline void reader_skip(struct reader *reader, size_t bytes)
{
	(void)reader_slice(reader, bytes);
}

/* All that is left. */
static inline struct slice reader_rest(struct reader *reader)
{
	return reader_slice(reader, reader_left(reader));
}

/* Copies; on failure `to` is filled with zeros, so that no caller sees stale memory. */
static inline void reader_bytes(struct reader *reader, void *to, size_t bytes)
{
	if (bytes == 0)
		return;
	struct slice taken = reader_slice(reader, bytes);
	if (taken.bytes == bytes)
		memcpy(to, taken.data, bytes);
	else
		memset(to, 0, bytes);
}

static inline uint8_t reader_u8(struct reader *reader)
{
	if (__builtin_expect(reader->at == reader->end, 0)) {
		reader_fail(reader);
		return 0;
	}
	return *reader->at++;
}

#define BYTES_READ(bits, order)                                                                    \
	static inline uint##bits##_t reader_u##bits##order(struct reader *reader)                  \
	{                                                                                          \
		struct slice taken = reader_slice(reader, sizeof(uint##bits##_t));                 \
		return __builtin_expect(taken.bytes != 0, 1) ? load_u##bits##order(taken.data)     \
		                                             : 0;                                  \
	}
BYTES_READ(16, le)
BYTES_READ(32, le)
BYTES_READ(64, le)
BYTES_READ(16, be)
BYTES_READ(32, be)
BYTES_READ(64, be)
#undef BYTES_READ

static inline uint64_t reader_varint(struct reader *reader)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t byte = reader_u8(reader);
		if (byte < 0x80) {
			/* The tenth byte holds one bit; a last byte of 0 has a shorter form. */
			if (__builtin_expect(
			        (shift == 63 && byte > 1) || (shift > 0 && byte == 0), 0))
				break;
			return value | (uint64_t)byte << shift;
		}
		value |= (uint64_t)(byte & 0x7f) << shift;
	}
	reader_fail(reader);
	return 0;
}

/* A varint whose small values of either sign are short: 0, -1, 1, -2 are 0, 1, 2, 3. */
static inline int64_t reader_zigzag(struct reader *reader)
{
	uint64_t value = reader_varint(reader);
	return (int64_t)(value >> 1 ^ -(value & 1));
}

/* A varint length, then that many bytes. */
static inline struct slice reader_varint_slice(struct reader *reader)
{
	uint64_t bytes = reader_varint(reader);
	return reader_slice(reader, bytes);
}

struct writer {
	uint8_t *begin;
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

static inline struct writer writer_of(void *span, size_t bytes)
{
	uint8_t *begin = (uint8_t *)span;
	return (struct writer){
	    .begin = begin, .at = begin, .end = begin ? begin + bytes : NULL, .failed = false};
}

static inline size_t writer_left(const struct writer *writer)
{
	return (size_t)(writer->end - writer->at);
}

/* Bytes written so far; after a failure those before the item that did not fit. */
static inline size_t writer_used(const struct writer *writer)
{
	return (size_t)(writer->at - writer->begin);
}

static inline struct slice writer_view(const struct writer *writer)
{
	return slice_of(writer->begin, writer_used(writer));
}

static inline void writer_fail(struct writer *writer)
{
	writer->failed = true;
	writer->end = writer->at;
}

/* Room of `bytes` (> 0) bytes for the caller to fill at once, or NULL where it does not fit. */
static inline uint8_t *writer_room(struct writer *writer, size_t bytes)
{
	if (__builtin_expect(writer_left(writer) < bytes, 0)) {
		writer_fail(writer);
		return NULL;
	}
	uint8_t *room = writer->at;
	writer->at += bytes;
	return room;
}

static inline void writer_bytes(struct writer *writer, const void *from, size_t bytes)
{
	if (bytes == 0)
		return;
	uint8_t *room = writer_room(writer, bytes);
	if (__builtin_expect(room != NULL, 1))
		memcpy(room, from, bytes);
}

static inline void writer_slice(struct writer *writer, struct slice from)
{
	writer_bytes(writer, from.data, from.bytes);
}

static inline void writer_zeros(struct writer *writer, size_t bytes)
{
	if (bytes == 0)
		return;
	uint8_t *room = writer_room(writer, bytes);
	if (__builtin_expect(room != NULL, 1))
		memset(room, 0, bytes);
}

static inline void writer_u8(struct writer *writer, uint8_t value)
{
	uint8_t *room = writer_room(writer, 1);
	if (__builtin_expect(room != NULL, 1))
		*room = value;
}

/* The second function overwrites at an offset that was written before: for lengths and checksums
 * known only at the end. */
#define BYTES_WRITE(bits, order)                                                                   \
	static inline void writer_u##bits##order(struct writer *writer, uint##bits##_t value)      \
	{                                                                                          \
		uint8_t *room = writer_room(writer, sizeof(value));                                \
		if (__builtin_expect(room != NULL, 1))                                             \
			store_u##bits##order(room, value);                                         \
	}                                                                                          \
	static inline void writer_patch_u##bits##order(                                            \
	    struct writer *writer, size_t offset, uint##bits##_t value)                            \
	{                                                                                          \
		ASSERT(offset <= writer_used(writer));                                             \
		ASSERT(writer_used(writer) - offset >= sizeof(value));                             \
		store_u##bits##order(writer->begin + offset, value);                               \
	}
BYTES_WRITE(16, le)
BYTES_WRITE(32, le)
BYTES_WRITE(64, le)
BYTES_WRITE(16, be)
BYTES_WRITE(32, be)
BYTES_WRITE(64, be)
#undef BYTES_WRITE

/* Bytes that writer_varint takes for a value, 1 to 10. */
static inline size_t varint_bytes(uint64_t value)
{
	unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
	return (bits + 6) / 7;
}

static inline void writer_varint(struct writer *writer, uint64_t value)
{
	if (__builtin_expect(value < 0x80, 1)) {
		writer_u8(writer, (uint8_t)value);
		return;
	}
	uint8_t *room = writer_room(writer, varint_bytes(value));
	if (__builtin_expect(room == NULL, 0))
		return;
	while (value >= 0x80) {
		*room++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*room = (uint8_t)value;
}

static inline void writer_zigzag(struct writer *writer, int64_t value)
{
	writer_varint(writer, (uint64_t)value << 1 ^ -((uint64_t)value >> 63));
}

static inline void writer_varint_slice(struct writer *writer, struct slice from)
{
	writer_varint(writer, from.bytes);
	writer_slice(writer, from);
}

#endif
