#include "base/wire/msgpack.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/wire/room.h"
#include "base/wire/utf8.h"

/* First bytes, as the specification names them. */
enum format {
	FORMAT_FIXMAP = 0x80,   /* to 0x8f */
	FORMAT_FIXARRAY = 0x90, /* to 0x9f */
	FORMAT_FIXSTR = 0xa0,   /* to 0xbf */
	FORMAT_NIL = 0xc0,
	FORMAT_NEVER_USED = 0xc1,
	FORMAT_FALSE = 0xc2,
	FORMAT_TRUE = 0xc3,
	FORMAT_BIN8 = 0xc4,
	FORMAT_BIN16 = 0xc5,
	FORMAT_BIN32 = 0xc6,
	FORMAT_EXT8 = 0xc7,
	FORMAT_EXT16 = 0xc8,
	FORMAT_EXT32 = 0xc9,
	FORMAT_FLOAT32 = 0xca,
	FORMAT_FLOAT64 = 0xcb,
	FORMAT_UINT8 = 0xcc,
	FORMAT_UINT16 = 0xcd,
	FORMAT_UINT32 = 0xce,
	FORMAT_UINT64 = 0xcf,
	FORMAT_INT8 = 0xd0,
	FORMAT_INT16 = 0xd1,
	FORMAT_INT32 = 0xd2,
	FORMAT_INT64 = 0xd3,
	FORMAT_FIXEXT1 = 0xd4,
	FORMAT_FIXEXT2 = 0xd5,
	FORMAT_FIXEXT4 = 0xd6,
	FORMAT_FIXEXT8 = 0xd7,
	FORMAT_FIXEXT16 = 0xd8,
	FORMAT_STR8 = 0xd9,
	FORMAT_STR16 = 0xda,
	FORMAT_STR32 = 0xdb,
	FORMAT_ARRAY16 = 0xdc,
	FORMAT_ARRAY32 = 0xdd,
	FORMAT_MAP16 = 0xde,
	FORMAT_MAP32 = 0xdf,
	FORMAT_NEGATIVE_FIXINT = 0xe0, /* to 0xff */
};

enum {
	HEADER_BYTES_MAX = 9 /* a first byte and a number of 64 bits */
};

/* --- Reading ---------------------------------------------------------------------------------- */

void msgpack_reader_init(
    struct msgpack_reader *reader, struct slice input, bool check_utf8, unsigned depth_max)
{
	ASSERT(depth_max <= MSGPACK_DEPTH_MAX);
	ASSERT(input.bytes <= UINT32_MAX);
	const uint8_t *begin = input.data ? input.data : (const uint8_t *)"";
	reader->begin = begin;
	reader->at = begin;
	reader->end = begin + input.bytes;
	reader->check_utf8 = check_utf8;
	reader->depth = 0;
	reader->depth_max = depth_max;
	reader->owed = 0;
	reader->error = 0;
}

__attribute__((cold, noinline)) static const uint8_t *fail(struct msgpack_reader *reader, int error)
{
	ASSERT(error < 0);
	reader->error = error;
	return NULL;
}

/* The functions below read on at `at`, behind the first byte. They return where the value (for a
 * container its header) ends, or NULL after an error, before which they store nothing. */

/* A big-endian number of 1, 2, 4 or 8 bytes that are there. */
static inline uint64_t load_number(const uint8_t *at, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return *at;
	case 2:
		return load_u16be(at);
	case 4:
		return load_u32be(at);
	case 8:
		return load_u64be(at);
	}
	UNREACHABLE();
}

static inline size_t bytes_left(const struct msgpack_reader *reader, const uint8_t *at)
{
	return (size_t)(reader->end - at);
}

static inline const uint8_t *read_content(struct msgpack_reader *reader, const uint8_t *at,
    enum msgpack_type type, uint64_t bytes, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < bytes)
		return fail(reader, ERR_TRUNCATED);
	struct slice content = slice_of(at, bytes);
	if (type == MSGPACK_STRING && reader->check_utf8 && !utf8_valid(content))
		return fail(reader, ERR_UTF8);
	value->type = type;
	value->bytes = content;
	return at + bytes;
}

/* A length of `header` bytes, then the content. */
static const uint8_t *read_bytes(struct msgpack_reader *reader, const uint8_t *at,
    enum msgpack_type type, unsigned header, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < header)
		return fail(reader, ERR_TRUNCATED);
	return read_content(reader, at + header, type, load_number(at, header), value);
}

/* A length of `header` bytes, or without that just `bytes`; the type; the content. */
static const uint8_t *read_extension(struct msgpack_reader *reader, const uint8_t *at,
    unsigned header, uint64_t bytes, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < header + 1)
		return fail(reader, ERR_TRUNCATED);
	if (header > 0)
		bytes = load_number(at, header);
	int8_t extension = (int8_t)at[header];
	at = read_content(reader, at + header + 1, MSGPACK_EXTENSION, bytes, value);
	if (at)
		value->extension = extension;
	return at;
}

static inline const uint8_t *read_unsigned(
    struct msgpack_reader *reader, const uint8_t *at, unsigned bytes, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < bytes)
		return fail(reader, ERR_TRUNCATED);
	uint64_t number = load_number(at, bytes);
	if (number > INT64_MAX)
		return fail(reader, ERR_NUMBER);
	value->type = MSGPACK_INTEGER;
	value->integer = (int64_t)number;
	return at + bytes;
}

static inline const uint8_t *read_signed(
    struct msgpack_reader *reader, const uint8_t *at, unsigned bytes, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < bytes)
		return fail(reader, ERR_TRUNCATED);
	/* Up to the sign's place and back, which copies the sign. */
	unsigned shift = 64 - 8 * bytes;
	value->type = MSGPACK_INTEGER;
	value->integer = (int64_t)(load_number(at, bytes) << shift) >> shift;
	return at + bytes;
}

static inline const uint8_t *read_float(
    struct msgpack_reader *reader, const uint8_t *at, unsigned bytes, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < bytes)
		return fail(reader, ERR_TRUNCATED);
	value->type = MSGPACK_DOUBLE;
	if (bytes == 4) {
		uint32_t bits = load_u32be(at);
		float number;
		memcpy(&number, &bits, sizeof(number));
		value->number = (double)number;
	} else {
		uint64_t bits = load_u64be(at);
		memcpy(&value->number, &bits, sizeof(value->number));
	}
	return at + bytes;
}

static inline const uint8_t *read_container(struct msgpack_reader *reader, const uint8_t *at,
    enum msgpack_type type, uint64_t count, struct msgpack_value *value)
{
	uint64_t promised = type == MSGPACK_MAP ? count * 2 : count;
	/* Each value takes a byte at least. */
	if (reader->owed + promised > bytes_left(reader, at))
		return fail(reader, ERR_TRUNCATED);
	if (reader->depth == reader->depth_max)
		return fail(reader, ERR_DEPTH);
	value->type = type;
	value->count = (uint32_t)count;
	return at;
}

static const uint8_t *read_large_container(struct msgpack_reader *reader, const uint8_t *at,
    enum msgpack_type type, unsigned header, struct msgpack_value *value)
{
	if (bytes_left(reader, at) < header)
		return fail(reader, ERR_TRUNCATED);
	return read_container(reader, at + header, type, load_number(at, header), value);
}

/* What 0xc0 to 0xdf begin. */
static inline const uint8_t *read_other(
    struct msgpack_reader *reader, const uint8_t *at, uint8_t first, struct msgpack_value *value)
{
	switch ((enum format)first) {
	case FORMAT_NIL:
		value->type = MSGPACK_NIL;
		return at;
	case FORMAT_FALSE:
	case FORMAT_TRUE:
		value->type = MSGPACK_BOOLEAN;
		value->boolean = first == FORMAT_TRUE;
		return at;
	case FORMAT_BIN8:
	case FORMAT_BIN16:
	case FORMAT_BIN32:
		return read_bytes(reader, at, MSGPACK_BINARY, 1u << (first - FORMAT_BIN8), value);
	case FORMAT_EXT8:
	case FORMAT_EXT16:
	case FORMAT_EXT32:
		return read_extension(reader, at, 1u << (first - FORMAT_EXT8), 0, value);
	case FORMAT_FLOAT32:
		return read_float(reader, at, 4, value);
	case FORMAT_FLOAT64:
		return read_float(reader, at, 8, value);
	case FORMAT_UINT8:
	case FORMAT_UINT16:
	case FORMAT_UINT32:
	case FORMAT_UINT64:
		return read_unsigned(reader, at, 1u << (first - FORMAT_UINT8), value);
	case FORMAT_INT8:
	case FORMAT_INT16:
	case FORMAT_INT32:
	case FORMAT_INT64:
		return read_signed(reader, at, 1u << (first - FORMAT_INT8), value);
	case FORMAT_FIXEXT1:
	case FORMAT_FIXEXT2:
	case FORMAT_FIXEXT4:
	case FORMAT_FIXEXT8:
	case FORMAT_FIXEXT16:
		return read_extension(reader, at, 0, 1u << (first - FORMAT_FIXEXT1), value);
	case FORMAT_STR8:
	case FORMAT_STR16:
	case FORMAT_STR32:
		return read_bytes(reader, at, MSGPACK_STRING, 1u << (first - FORMAT_STR8), value);
	case FORMAT_ARRAY16:
	case FORMAT_ARRAY32:
		return read_large_container(
		    reader, at, MSGPACK_ARRAY, 2u << (first - FORMAT_ARRAY16), value);
	case FORMAT_MAP16:
	case FORMAT_MAP32:
		return read_large_container(
		    reader, at, MSGPACK_MAP, 2u << (first - FORMAT_MAP16), value);
	case FORMAT_NEVER_USED:
	case FORMAT_FIXMAP:
	case FORMAT_FIXARRAY:
	case FORMAT_FIXSTR:
	case FORMAT_NEGATIVE_FIXINT:
		break;
	}
	return fail(reader, ERR_PROTOCOL);
}

static inline const uint8_t *read_value(
    struct msgpack_reader *reader, const uint8_t *at, struct msgpack_value *value)
{
	uint8_t first = *at++;
	if (first < FORMAT_FIXMAP || first >= FORMAT_NEGATIVE_FIXINT) {
		value->type = MSGPACK_INTEGER;
		value->integer = first < FORMAT_FIXMAP ? first : first - 0x100;
		return at;
	}
	if (first >= FORMAT_NIL)
		return read_other(reader, at, first, value);
	if (first >= FORMAT_FIXSTR)
		return read_content(reader, at, MSGPACK_STRING, first & 0x1f, value);
	if (first >= FORMAT_FIXARRAY)
		return read_container(reader, at, MSGPACK_ARRAY, first & 0xf, value);
	return read_container(reader, at, MSGPACK_MAP, first & 0xf, value);
}

/* Values that a container promises, 0 for a scalar. */
static inline uint64_t promised_by(const struct msgpack_value *value)
{
	if (value->type == MSGPACK_ARRAY)
		return value->count;
	return value->type == MSGPACK_MAP ? (uint64_t)value->count * 2 : 0;
}

int msgpack_next(struct msgpack_reader *reader, struct msgpack_value *ret_value)
{
	if (reader->error)
		return reader->error;
	if (reader->at == reader->end)
		return reader->error = ERR_TRUNCATED;
	unsigned depth = reader->depth;
	if (depth > 0) {
		/* This one is no longer owed; after an error the counts mean nothing. */
		ASSERT(reader->owed > 0 && reader->left[depth - 1] > 0);
		reader->owed--;
		reader->left[depth - 1]--;
	}
	const uint8_t *at = read_value(reader, reader->at, ret_value);
	if (!at)
		return reader->error;
	uint64_t promised = promised_by(ret_value);
	if (promised > 0) {
		reader->left[depth++] = (uint32_t)promised;
		reader->owed += (uint32_t)promised;
	}
	while (depth > 0 && reader->left[depth - 1] == 0)
		depth--;
	reader->depth = depth;
	reader->at = at;
	return 0;
}

int msgpack_skip(struct msgpack_reader *reader)
{
	/* What is promised never exceeds the bytes left, so neither sum nor loop grows beyond them.
	 */
	for (uint64_t waiting = 1; waiting > 0; waiting--) {
		struct msgpack_value value = {.type = MSGPACK_NIL};
		int error = msgpack_next(reader, &value);
		if (error)
			return error;
		waiting += promised_by(&value);
	}
	return 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

void msgpack_writer_init(struct msgpack_writer *writer, struct buffer *out)
{
	*writer = (struct msgpack_writer){.out = out, .begin = buffer_bytes(out)};
}

static inline uint8_t *room(struct msgpack_writer *writer, size_t bytes)
{
	if (__builtin_expect(writer->error != 0, 0))
		return NULL;
	uint8_t *to;
	writer->error = room_reserve(writer->out, bytes, &to);
	return writer->error ? NULL : to;
}

static inline void write_byte(struct msgpack_writer *writer, uint8_t byte)
{
	uint8_t *to = room(writer, 1);
	if (!to)
		return;
	*to = byte;
	room_commit(writer->out, to + 1);
}

/* A first byte and a big-endian number of 1, 2, 4 or 8 bytes. */
static inline uint8_t *put_number(uint8_t *to, enum format format, unsigned bytes, uint64_t number)
{
	*to++ = (uint8_t)format;
	switch (bytes) {
	case 1:
		*to = (uint8_t)number;
		break;
	case 2:
		store_u16be(to, (uint16_t)number);
		break;
	case 4:
		store_u32be(to, (uint32_t)number);
		break;
	case 8:
		store_u64be(to, number);
		break;
	}
	return to + bytes;
}

static inline void write_number(
    struct msgpack_writer *writer, enum format format, unsigned bytes, uint64_t number)
{
	uint8_t *to = room(writer, 1 + bytes);
	if (to)
		room_commit(writer->out, put_number(to, format, bytes, number));
}

void msgpack_write_nil(struct msgpack_writer *writer)
{
	write_byte(writer, FORMAT_NIL);
}

void msgpack_write_boolean(struct msgpack_writer *writer, bool value)
{
	write_byte(writer, value ? FORMAT_TRUE : FORMAT_FALSE);
}

void msgpack_write_integer(struct msgpack_writer *writer, int64_t value)
{
	uint64_t bits = (uint64_t)value;
	if (value >= -32 && value <= INT8_MAX)
		write_byte(writer, (uint8_t)bits);
	else if (value >= 0 && value <= UINT8_MAX)
		write_number(writer, FORMAT_UINT8, 1, bits);
	else if (value >= 0 && value <= UINT16_MAX)
		write_number(writer, FORMAT_UINT16, 2, bits);
	else if (value >= 0 && value <= UINT32_MAX)
		write_number(writer, FORMAT_UINT32, 4, bits);
	else if (value >= 0)
		write_number(writer, FORMAT_UINT64, 8, bits);
	else if (value >= INT8_MIN)
		write_number(writer, FORMAT_INT8, 1, bits);
	else if (value >= INT16_MIN)
		write_number(writer, FORMAT_INT16, 2, bits);
	else if (value >= INT32_MIN)
		write_number(writer, FORMAT_INT32, 4, bits);
	else
		write_number(writer, FORMAT_INT64, 8, bits);
}

void msgpack_write_double(struct msgpack_writer *writer, double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	write_number(writer, FORMAT_FLOAT64, 8, bits);
}

/* The header of so many bytes or values: `first` and the two or three formats that follow it for 8
 * (where there is such a format), 16 and 32 bits. */
static inline uint8_t *put_length(uint8_t *to, enum format first, bool has_8, uint64_t length)
{
	unsigned next = (unsigned)first;
	if (has_8) {
		if (length <= UINT8_MAX)
			return put_number(to, next, 1, length);
		next++;
	}
	if (length <= UINT16_MAX)
		return put_number(to, next, 2, length);
	return put_number(to, next + 1, 4, length);
}

/* A header and the content, at once, so that no error leaves one without the other. */
static inline void write_bytes(struct msgpack_writer *writer, const uint8_t *header,
    const uint8_t *header_end, struct slice bytes)
{
	size_t header_bytes = (size_t)(header_end - header);
	ASSERT(header_bytes <= HEADER_BYTES_MAX);
	if (bytes.bytes > UINT32_MAX && !writer->error)
		writer->error = ERR_TOO_LARGE;
	uint8_t *to = room(writer, header_bytes + bytes.bytes);
	if (!to)
		return;
	memcpy(to, header, header_bytes);
	if (bytes.bytes > 0)
		memcpy(to + header_bytes, bytes.data, bytes.bytes);
	room_commit(writer->out, to + header_bytes + bytes.bytes);
}

void msgpack_write_string(struct msgpack_writer *writer, struct slice text)
{
	uint8_t header[HEADER_BYTES_MAX];
	uint8_t *end = header;
	if (text.bytes < 32)
		*end++ = (uint8_t)(FORMAT_FIXSTR | text.bytes);
	else
		end = put_length(header, FORMAT_STR8, true, text.bytes);
	write_bytes(writer, header, end, text);
}

void msgpack_write_binary(struct msgpack_writer *writer, struct slice bytes)
{
	uint8_t header[HEADER_BYTES_MAX];
	write_bytes(writer, header, put_length(header, FORMAT_BIN8, true, bytes.bytes), bytes);
}

void msgpack_write_extension(struct msgpack_writer *writer, int8_t type, struct slice bytes)
{
	uint8_t header[HEADER_BYTES_MAX];
	uint8_t *end = header;
	size_t length = bytes.bytes;
	if (length > 0 && length <= 16 && (length & (length - 1)) == 0)
		*end++ = (uint8_t)(FORMAT_FIXEXT1 + __builtin_ctzll(length));
	else
		end = put_length(header, FORMAT_EXT8, true, length);
	*end++ = (uint8_t)type;
	write_bytes(writer, header, end, bytes);
}

static inline void write_container(
    struct msgpack_writer *writer, enum format fixed, enum format first, size_t count)
{
	if (count > UINT32_MAX && !writer->error)
		writer->error = ERR_TOO_LARGE;
	uint8_t header[HEADER_BYTES_MAX];
	uint8_t *end = header;
	if (count < 16)
		*end++ = (uint8_t)((unsigned)fixed | count);
	else
		end = put_length(header, first, false, count);
	write_bytes(writer, header, end, slice_of(NULL, 0));
}

void msgpack_write_array(struct msgpack_writer *writer, size_t values)
{
	write_container(writer, FORMAT_FIXARRAY, FORMAT_ARRAY16, values);
}

void msgpack_write_map(struct msgpack_writer *writer, size_t pairs)
{
	write_container(writer, FORMAT_FIXMAP, FORMAT_MAP16, pairs);
}

void msgpack_write_raw(struct msgpack_writer *writer, struct slice values)
{
	uint8_t *to = values.bytes > 0 ? room(writer, values.bytes) : NULL;
	if (!to)
		return;
	memcpy(to, values.data, values.bytes);
	room_commit(writer->out, to + values.bytes);
}

int msgpack_writer_finish(struct msgpack_writer *writer)
{
	struct buffer *out = writer->out;
	int error = writer->error;
	if (error)
		buffer_truncate(out, writer->begin);
	msgpack_writer_init(writer, out);
	return error;
}
