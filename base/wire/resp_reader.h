/* A pull reader of RESP replies (RESP2 and RESP3), for clients and tests.
 *
 * The caller asks for one item after the other; an aggregate gives its count, and its items (a
 * map's keys and values in turn) are the next ones. Attributes are skipped, also inside aggregates.
 * No recursion, no allocation; nesting is bounded. Streamed types ("$?") are refused: Kalix sends
 * none.
 *
 * Bytes may arrive in pieces. After ERR_TRUNCATED the reader stands where it stood: the caller
 * gives it all bytes from the first one again, with more behind them, and asks again; what was seen
 * is not looked at again. A client that wants a reply whole first calls resp_reader_whole until it
 * is, notes resp_reader_offset, and reads it with a second reader.
 *
 * The reader does not own the bytes. One thread.
 */
#ifndef KX_BASE_WIRE_RESP_READER_H
#define KX_BASE_WIRE_RESP_READER_H

#include "base/error.h"
#include "base/slice.h"

enum {
	/* JSON's nesting, and the arrays that a command puts around it. */
	RESP_DEPTH_MAX = 144
};

enum resp_type {
	RESP_SIMPLE,     /* text */
	RESP_ERROR,      /* text, with its code and without '-'; a bulk error too */
	RESP_INTEGER,    /* integer */
	RESP_BULK,       /* text */
	RESP_VERBATIM,   /* text; format */
	RESP_BIG_NUMBER, /* text: digits, perhaps with a sign */
	RESP_DOUBLE,     /* number, perhaps infinite or NaN */
	RESP_BOOLEAN,    /* boolean */
	RESP_NULL,       /* in RESP2 a bulk string or array of length -1 */
	RESP_ARRAY,      /* count of items */
	RESP_SET,        /* count of items */
	RESP_PUSH,       /* count of items */
	RESP_MAP,        /* count of pairs */
};

struct resp_item {
	enum resp_type type;
	char format[4]; /* RESP_VERBATIM: "txt" or "mkd", with NUL */
	union {
		struct slice text; /* a view of the input */
		int64_t integer;
		double number;
		bool boolean;
		uint32_t count;
	};
};

struct resp_reader {
	/* The reader's own. */
	const uint8_t *data;
	size_t bytes;
	size_t at;       /* the next item */
	size_t searched; /* no end of line between `at` and here */
	size_t wanted;   /* with fewer bytes there is nothing to do */
	size_t bulk_bytes_max;
	unsigned depth;
	unsigned depth_max;
	unsigned attribute; /* depth inside the outermost attribute, or 0 */
	int error;
	const char *error_text;
	uint32_t left[RESP_DEPTH_MAX]; /* items that an open aggregate still promises */
};

/* bulk_bytes_max bounds strings and lines alike; depth_max <= RESP_DEPTH_MAX. No bytes yet. */
void resp_reader_init(struct resp_reader *reader, size_t bulk_bytes_max, unsigned depth_max);

/* All bytes from the first one on, at least as many as before; texts given earlier are views of the
 * bytes given then. */
void resp_reader_feed(struct resp_reader *reader, struct slice input);

/* ERR_TRUNCATED: the item is not whole; feed more. ERR_PROTOCOL, ERR_NUMBER (an integer outside
 * int64, a double too large), ERR_DEPTH, ERR_TOO_LARGE (a string above bulk_bytes_max, a count
 * above INT32_MAX): final, every later call gives the same error. */
NODISCARD int resp_reader_next(struct resp_reader *reader, struct resp_item *ret_item);

/* Reads to the end of the reply that is under way, or else of the next one. After ERR_TRUNCATED
 * feed more and call again. Errors as resp_reader_next. */
NODISCARD int resp_reader_whole(struct resp_reader *reader);

/* Reads past the next item with all that it contains, for replies that are known to be whole. */
NODISCARD int resp_reader_skip(struct resp_reader *reader);

/* Aggregates that are begun and not at their end. */
static inline unsigned resp_reader_depth(const struct resp_reader *reader)
{
	return reader->depth;
}

/* Bytes read so far. */
static inline size_t resp_reader_offset(const struct resp_reader *reader)
{
	return reader->at;
}

/* After ERR_TRUNCATED: how many bytes in all are needed at least. */
static inline size_t resp_reader_wanted(const struct resp_reader *reader)
{
	return reader->wanted;
}

/* After an error other than ERR_TRUNCATED, a static text. */
static inline const char *resp_reader_error(const struct resp_reader *reader)
{
	return reader->error_text;
}

#endif
