/* A pull reader of JSON (RFC 8259, strict): the caller asks for one token after the other and
 *builds what it wants, or nothing. No recursion, no allocation but in the caller's buffer; nesting
 *is bounded. All tokens of a document cost O(its bytes).
 *
 *	struct json_reader reader;
 *	json_reader_init(&reader, text, &scratch, JSON_DEPTH_MAX);
 *	enum json_token token;
 *	int error;
 *	while ((error = json_next(&reader, &token)) == 0 && token != JSON_END)
 *		...
 *
 * The order of tokens is guaranteed: in an object keys and values alternate, begins and ends match,
 * and JSON_END comes once the single value and the white space after it are read; an error is
 *final.
 *
 * Numbers: one written without fraction and exponent is an integer and must fit int64 (ERR_NUMBER
 * else); every other is a finite double, the nearest one. So 5 and 5.0 are told apart, and -0 is
 *the integer 0. Strings: valid UTF-8; escaped surrogates only in pairs; \u0000 is allowed and
 *yields a NUL byte. Keys: reported as they come. Whether a repeated key is an error or which one
 *counts is for the caller to say, who alone has the names seen before.
 *
 * The reader does not own the text; it must stay unchanged until the last token was used. One
 *thread.
 */
#ifndef KX_BASE_WIRE_JSON_READER_H
#define KX_BASE_WIRE_JSON_READER_H

#include "base/error.h"
#include "base/slice.h"

struct buffer;

enum {
	JSON_DEPTH_MAX = 128 /* arrays and objects around a value */
};

enum json_token {
	JSON_OBJECT_BEGIN,
	JSON_OBJECT_END,
	JSON_ARRAY_BEGIN,
	JSON_ARRAY_END,
	JSON_KEY,     /* text */
	JSON_STRING,  /* text */
	JSON_INTEGER, /* integer */
	JSON_DOUBLE,  /* number */
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
	JSON_END,
};

struct json_reader {
	/* Of the last token, until the next call; only the one that the token names is set. A text
	 * without escapes is a view of the document, one with escapes a view of the scratch buffer.
	 */
	struct slice text;
	union {
		int64_t integer;
		double number;
	};
	/* With a scratch buffer always false. Without one: text still holds its escapes. */
	bool escaped;

	/* The reader's own. */
	const uint8_t *begin;
	const uint8_t *at;
	const uint8_t *end;
	const uint8_t *token;
	struct buffer *scratch;
	uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
	unsigned depth;
	unsigned depth_max;
	int state;
	enum json_token last;
	int error;
	const char *error_text;
};

/* `scratch` is cleared and used for strings with escapes; NULL: such strings are checked but left
 * as they are, see `escaped`. depth_max <= JSON_DEPTH_MAX; 0 allows scalars only. */
void json_reader_init(
    struct json_reader *reader, struct slice text, struct buffer *scratch, unsigned depth_max);

/* ERR_PROTOCOL: not JSON. ERR_TRUNCATED: JSON so far, but it ends between tokens or inside a
 * string. ERR_UTF8, ERR_NUMBER, ERR_DEPTH. ERR_TOO_LARGE, ERR_NOMEM: from the scratch buffer. Every
 * later call gives the same error. After JSON_END it is given again. */
NODISCARD int json_next(struct json_reader *reader, enum json_token *ret_token);

/* Reads past the rest of what the last token began: after a begin everything to its end, after a
 * key its value, after any other token nothing. What is skipped is checked all the same, but needs
 * no scratch buffer. Errors as json_next. */
NODISCARD int json_skip(struct json_reader *reader);

/* Offsets in the document of the last token's first byte, and of the first byte not read yet. So
 * the text of a value, whatever it is, lies from json_token_offset of its first token to
 * json_offset after json_skip. After an error json_offset is where it was found. */
size_t json_token_offset(const struct json_reader *reader);
size_t json_offset(const struct json_reader *reader);

/* What is wrong and where, after an error: a static text ("expected ':' after a key"), line and
 * column from 1, the column in code points. Costs O(offset). */
struct json_position {
	size_t offset;
	size_t line;
	size_t column;
};
const char *json_error(const struct json_reader *reader, struct json_position *ret_position);

/* Resolves the escapes of a text that the reader gave with `escaped` set. Never writes more than
 * text.bytes; returns what it wrote. `to` may be text.data. */
size_t json_unescape(struct slice text, uint8_t *to);

#endif
