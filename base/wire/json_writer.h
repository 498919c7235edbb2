/* A writer of compact JSON (no spaces) at the end of a buffer.
 *
 *	struct json_writer writer;
 *	json_writer_init(&writer, &out);
 *	json_write_object_begin(&writer);
 *	json_write_key(&writer, slice_from_text("items"));
 *	json_write_integer(&writer, 3);
 *	json_write_object_end(&writer);
 *	int error = json_writer_finish(&writer);
 *
 * Errors stick: after the first one nothing is written, and json_writer_finish reports it and takes
 * away what was written since json_writer_init. So callers check once, and a reply is whole or
 *absent. The order of calls is the caller's duty (a key before each value in an object, matching
 *ends, one value in all) and asserted; data that cannot be JSON is an error. Keys are written as
 *given: sorting them, and never giving one twice, is the caller's.
 *
 * What is written reads back the same through base/wire/json_reader.h: integers exactly, doubles as
 * the shortest text that is nearest to them and with a point or an exponent always (5.0), strings
 * byte for byte; only quote, backslash and control characters are escaped.
 *
 * The buffer stays the owner's; between init and finish nobody else may change it. One thread.
 */
#ifndef KX_BASE_WIRE_JSON_WRITER_H
#define KX_BASE_WIRE_JSON_WRITER_H

#include "base/error.h"
#include "base/slice.h"
#include "base/wire/json_reader.h"

struct buffer;

struct json_writer {
	struct buffer *out;
	size_t begin;                          /* bytes in the buffer before */
	uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
	unsigned depth;
	bool comma;     /* a value stands before the next one in its container */
	bool after_key; /* a key waits for its value */
	bool complete;  /* the outermost value is written */
	int error;
};

void json_writer_init(struct json_writer *writer, struct buffer *out);

/* Errors of all of these: ERR_TOO_LARGE, ERR_NOMEM (the buffer's); ERR_DEPTH above JSON_DEPTH_MAX;
 * ERR_UTF8 for text that is not UTF-8; ERR_NUMBER for a double that is not finite. */
void json_write_object_begin(struct json_writer *writer);
void json_write_object_end(struct json_writer *writer);
void json_write_array_begin(struct json_writer *writer);
void json_write_array_end(struct json_writer *writer);
void json_write_key(struct json_writer *writer, struct slice key);
void json_write_string(struct json_writer *writer, struct slice text);
void json_write_integer(struct json_writer *writer, int64_t value);
void json_write_double(struct json_writer *writer, double value);
void json_write_boolean(struct json_writer *writer, bool value);
void json_write_null(struct json_writer *writer);

/* A value that is compact JSON already; not checked. */
void json_write_raw(struct json_writer *writer, struct slice json);

/* The text, which is valid UTF-8, in quotes and with its escapes, at `to`, which has room for six
 * times its bytes and two; the end. */
uint8_t *json_quote(struct slice text, uint8_t *to);

/* Bytes in the string, as base64. */
void json_write_base64(struct json_writer *writer, struct slice bytes);

/* The first error, with the buffer as it was at json_writer_init; or 0 with one whole value
 * appended. On 0 the writer is ready for another value, as if new. */
NODISCARD int json_writer_finish(struct json_writer *writer);

#endif
