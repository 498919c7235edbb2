/* MessagePack: a pull reader over bytes and a writer at the end of a buffer.
 *
 * Reading, the caller asks for one value after the other; an array or map gives its count, and its
 * values (a map's keys and values in turn) are the next ones. No recursion, no allocation; nesting
 * is bounded, and so is every count: one that promises more values than bytes are left is refused
 * where it stands, so that callers may size tables by it.
 *
 * Integers must fit int64 (ERR_NUMBER else); a float of 32 bits is read as the double of the same
 * value. All lengths of encoding are accepted. Keys may be of any type and may repeat: what that
 * means is for the caller to say. One value is written in one way only: integers and headers as
 * short as they can be, doubles in 64 bits, so that equal values are equal bytes.
 *
 * Neither side owns the bytes. One thread.
 */
#ifndef KX_BASE_WIRE_MSGPACK_H
#define KX_BASE_WIRE_MSGPACK_H

#include "base/error.h"
#include "base/slice.h"

struct buffer;

enum {
	MSGPACK_DEPTH_MAX = 128 /* arrays and maps around a value */
};

enum msgpack_type {
	MSGPACK_NIL,
	MSGPACK_BOOLEAN,
	MSGPACK_INTEGER,
	MSGPACK_DOUBLE,
	MSGPACK_STRING,
	MSGPACK_BINARY,
	MSGPACK_ARRAY,
	MSGPACK_MAP,
	MSGPACK_EXTENSION,
};

struct msgpack_value {
	enum msgpack_type type;
	int8_t extension; /* MSGPACK_EXTENSION: its type, -1 a timestamp */
	uint32_t count;   /* MSGPACK_ARRAY: values; MSGPACK_MAP: pairs */
	union {
		bool boolean;
		int64_t integer;
		double number;      /* NaN and infinities included */
		struct slice bytes; /* STRING, BINARY, EXTENSION: a view of the input */
	};
};

struct msgpack_reader {
	/* The reader's own. */
	const uint8_t *begin;
	const uint8_t *at;
	const uint8_t *end;
	bool check_utf8;
	unsigned depth;
	unsigned depth_max;
	uint32_t owed; /* values that open containers still promise, all together */
	int error;
	uint32_t left[MSGPACK_DEPTH_MAX]; /* the same, each alone */
};

/* input.bytes <= UINT32_MAX; depth_max <= MSGPACK_DEPTH_MAX, 0 allows scalars only. With check_utf8
 * strings that are not UTF-8 are an error: for input from outside. */
void msgpack_reader_init(
    struct msgpack_reader *reader, struct slice input, bool check_utf8, unsigned depth_max);

/* The next value. ERR_TRUNCATED: the input ends within a value, promises more than it holds, or
 * ended before. ERR_PROTOCOL: the byte that no format uses. ERR_NUMBER, ERR_DEPTH, ERR_UTF8. Every
 * later call gives the same error. */
NODISCARD int msgpack_next(struct msgpack_reader *reader, struct msgpack_value *ret_value);

/* Reads past the next value, with all that it contains. Errors as msgpack_next. */
NODISCARD int msgpack_skip(struct msgpack_reader *reader);

/* Arrays and maps that are begun and not at their end. */
static inline unsigned msgpack_depth(const struct msgpack_reader *reader)
{
	return reader->depth;
}

/* Values left in the innermost of them (a pair counts two); 0 outside of any. */
static inline uint32_t msgpack_left(const struct msgpack_reader *reader)
{
	return reader->depth > 0 ? reader->left[reader->depth - 1] : 0;
}

/* All input is read, and no value is begun and not at its end. */
static inline bool msgpack_finished(const struct msgpack_reader *reader)
{
	return !reader->error && reader->depth == 0 && reader->at == reader->end;
}

/* Bytes read so far: before and after msgpack_skip they enclose a value's encoding. After an error
 * where the value began that has it. */
static inline size_t msgpack_offset(const struct msgpack_reader *reader)
{
	return (size_t)(reader->at - reader->begin);
}

/* Errors stick: after the first one nothing is written, and msgpack_writer_finish reports it and
 * takes away what was written since msgpack_writer_init. That counts are kept is the caller's duty.
 * The buffer stays the owner's; between init and finish nobody else may change it. */
struct msgpack_writer {
	struct buffer *out;
	size_t begin; /* bytes in the buffer before */
	int error;
};

void msgpack_writer_init(struct msgpack_writer *writer, struct buffer *out);

/* Errors: ERR_TOO_LARGE, ERR_NOMEM (the buffer's); ERR_TOO_LARGE above UINT32_MAX bytes or values.
 */
void msgpack_write_nil(struct msgpack_writer *writer);
void msgpack_write_boolean(struct msgpack_writer *writer, bool value);
void msgpack_write_integer(struct msgpack_writer *writer, int64_t value);
void msgpack_write_double(struct msgpack_writer *writer, double value);
void msgpack_write_string(struct msgpack_writer *writer, struct slice text);
void msgpack_write_binary(struct msgpack_writer *writer, struct slice bytes);
void msgpack_write_extension(struct msgpack_writer *writer, int8_t type, struct slice bytes);
void msgpack_write_array(struct msgpack_writer *writer, size_t values);
void msgpack_write_map(struct msgpack_writer *writer, size_t pairs);

/* Encoded values as they are; not checked. */
void msgpack_write_raw(struct msgpack_writer *writer, struct slice values);

/* The first error, with the buffer as it was at msgpack_writer_init; or 0. The writer is as new. */
NODISCARD int msgpack_writer_finish(struct msgpack_writer *writer);

#endif
