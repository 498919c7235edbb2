/* Requests of RESP2 and RESP3, parsed in place: arrays of bulk strings, and inline commands.
 *
 * A connection keeps one resp_parser (small, no memory of its own) and the bytes of the request
 * that is under way. Each time bytes have arrived it calls resp_parse with all bytes from the
 * request's first one; they may lie elsewhere than at the call before. What was seen is not looked
 * at again, so a request costs O(its bytes) however it is cut; when it is whole, the headers of one
 * that came in pieces are walked once more to point at its arguments, so that an incomplete request
 * holds no table of them.
 *
 * The same bytes give the same requests, or the same error, however they are cut. Where Redis has a
 * text for an error it is Redis's; unlike Redis the CR LF behind a length and behind a bulk string
 * must be there.
 *
 * An inline command is one line: words parted by white space; "..." with \n \r \t \b \a \xHH and
 * any other character after a backslash standing for itself; '...' with \' only. Quotes are
 * resolved in place, which changes the line's bytes: after resp_parse has returned it whole, a
 * request must not be parsed a second time.
 *
 * One thread.
 */
#ifndef KX_BASE_WIRE_RESP_REQUEST_H
#define KX_BASE_WIRE_RESP_REQUEST_H

#include "base/error.h"
#include "base/slice.h"

enum {
	RESP_INLINE_BYTES_MAX = 64 * 1024, /* Redis's PROTO_INLINE_MAX_SIZE */
	RESP_ERROR_TEXT_BYTES_MAX = 80,
};

/* All above 0 and below 10^18. What goes beyond a bound is an error as soon as it is announced. */
struct resp_limits {
	uint32_t args_max;
	size_t bulk_bytes_max;
	size_t inline_bytes_max;  /* of a line with its end */
	size_t request_bytes_max; /* of a request as it stands on the wire */
};

struct resp_parser {
	/* The parser's own. Offsets count from the first byte of the request. */
	size_t at;     /* array: the next header; inline: the first byte not searched for LF */
	size_t wanted; /* with fewer bytes there is nothing to do */
	uint32_t args_count;
	uint32_t args_read;
	int code;
	uint8_t state;
	uint8_t error;
	uint8_t error_byte;
};

struct resp_request {
	/* 0: an empty line or array, which Redis skips without an answer. */
	uint32_t args_count;
	/* Of the input, that this request took. */
	size_t bytes;
};

/* Ready for a connection's first request. */
void resp_parser_init(struct resp_parser *parser);

/* Parses the request that begins at data[0]. `args` has room for limits->args_max; on success they
 * point into data. The limits must be the same from call to call. The parser is then ready for the
 * next request, which begins at data[ret_request->bytes].
 * ERR_TRUNCATED: it goes on; call again with more bytes (at least resp_parser_wanted of them).
 * ERR_PROTOCOL: not RESP; ERR_TOO_LARGE: beyond a limit: answer resp_error_text and close the
 * connection. Every later call gives the same error. */
NODISCARD int resp_parse(struct resp_parser *parser, const struct resp_limits *limits,
    uint8_t *data, size_t bytes, struct slice *args, struct resp_request *ret_request);

/* After ERR_TRUNCATED: a lower bound of the whole request's bytes, above what was given; for the
 * size of the buffer that gathers it. Within request_bytes_max. */
static inline size_t resp_parser_wanted(const struct resp_parser *parser)
{
	return parser->wanted;
}

/* After an error: "Protocol error: expected '$', got 'x'", in printable ASCII. Returns `to`. */
const char *resp_error_text(const struct resp_parser *parser, char to[RESP_ERROR_TEXT_BYTES_MAX]);

#endif
