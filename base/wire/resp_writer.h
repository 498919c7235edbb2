/* A writer of RESP at the end of a buffer: replies in RESP2 and RESP3, and a client's requests,
 * which are arrays of bulk strings.
 *
 * What RESP2 has no type for is written as Redis does: a map as the array of its keys and values, a
 * set or push as an array, a double or verbatim string as a bulk string, a boolean as 1 or 0.
 *
 * Errors stick: after the first one nothing is written, and resp_writer_finish reports it and takes
 * away what was written since resp_writer_init, so that a reply is whole or absent. That counts are
 * kept is the caller's duty. The buffer stays the owner's; between init and finish nobody else may
 * change it. One thread.
 */
#ifndef KX_BASE_WIRE_RESP_WRITER_H
#define KX_BASE_WIRE_RESP_WRITER_H

#include "base/error.h"
#include "base/slice.h"

struct buffer;

enum resp_protocol { RESP2 = 2, RESP3 = 3 };

enum {
	RESP_ERROR_BYTES_MAX = 4096 /* of an error on the wire, with '-' and CR LF */
};

struct resp_writer {
	struct buffer *out;
	size_t begin; /* bytes in the buffer before */
	enum resp_protocol protocol;
	int error;
};

void resp_writer_init(struct resp_writer *writer, struct buffer *out, enum resp_protocol protocol);

/* Errors of all of these: ERR_TOO_LARGE, ERR_NOMEM (the buffer's). */

/* Control characters become spaces. For short texts of the program's own. */
void resp_write_simple(struct resp_writer *writer, const char *text);

/* "-CODE message", then, unless `details` is empty, a TAB and the details, which are compact JSON.
 * Control characters become spaces. Where all of it is longer than RESP_ERROR_BYTES_MAX the details
 * are left out, and then the message is cut, between two code points. `code` is a short word of the
 * program's own. */
void resp_write_error(
    struct resp_writer *writer, const char *code, struct slice message, struct slice details);

void resp_write_integer(struct resp_writer *writer, int64_t value);
void resp_write_bulk(struct resp_writer *writer, struct slice text);
void resp_write_bulk_text(struct resp_writer *writer, const char *text);
void resp_write_null(struct resp_writer *writer);
void resp_write_double(struct resp_writer *writer, double value);
void resp_write_boolean(struct resp_writer *writer, bool value);

/* `format` is three characters: "txt" or "mkd". */
void resp_write_verbatim(struct resp_writer *writer, const char *format, struct slice text);

/* The items (for a map keys and values in turn) follow by further calls. */
void resp_write_array(struct resp_writer *writer, size_t items);
void resp_write_map(struct resp_writer *writer, size_t pairs);
void resp_write_set(struct resp_writer *writer, size_t items);
void resp_write_push(struct resp_writer *writer, size_t items);

/* RESP as it is, not checked. */
void resp_write_raw(struct resp_writer *writer, struct slice resp);

/* The first error, with the buffer as it was at resp_writer_init; or 0. The writer is as new. */
NODISCARD int resp_writer_finish(struct resp_writer *writer);

#endif
