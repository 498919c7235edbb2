#include "base/wire/json_reader.h"

#include "base/assert.h"
#include "base/buffer.h"
#include "base/wire/decimal.h"
#include "base/wire/json_scan.h"
#include "base/wire/utf8.h"

/* What may come next. */
enum state {
	STATE_VALUE,         /* a value: the first, or after a key's colon */
	STATE_FIRST_ELEMENT, /* after '[': a value or ']' */
	STATE_FIRST_KEY,     /* after '{': a key or '}' */
	STATE_MORE,          /* after a value in a container: a comma or its end */
	STATE_DONE,          /* after the outermost value: nothing */
	STATE_FAILED,
};

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
	/* One test for the common case, no space at all. */
	while (at < end && *at <= ' ') {
		if (*at != ' ' && *at != '\n' && *at != '\r' && *at != '\t')
			break;
		at++;
	}
	return at;
}

/* The containers around the next token: an object innermost? depth > 0. */
static inline bool in_object(const struct json_reader *reader)
{
	unsigned index = reader->depth - 1;
	return reader->objects[index / 64] >> index % 64 & 1;
}

__attribute__((cold, noinline)) static int fail(
    struct json_reader *reader, const uint8_t *at, int error, const char *text)
{
	ASSERT(error < 0);
	ASSERT(at >= reader->begin && at <= reader->end);
	reader->at = at;
	reader->state = STATE_FAILED;
	reader->error = error;
	reader->error_text = text;
	return error;
}

/* The next byte is not what the grammar wants: the text says what it wants. */
__attribute__((cold, noinline)) static int fail_expected(
    struct json_reader *reader, const uint8_t *at, const char *text)
{
	return fail(reader, at, at == reader->end ? ERR_TRUNCATED : ERR_PROTOCOL, text);
}

/* --- Strings ---------------------------------------------------------------------------------- */

static inline unsigned hex_digit(uint8_t character)
{
	unsigned digit = (unsigned)character - '0';
	if (digit <= 9)
		return digit;
	unsigned letter = ((unsigned)character | 0x20) - 'a';
	return letter <= 5 ? letter + 10 : 0x10;
}

/* Four hexadecimal digits, or a number above 0xffff where one of them is none. */
static inline uint32_t hex4(const uint8_t *at)
{
	unsigned a = hex_digit(at[0]), b = hex_digit(at[1]);
	unsigned c = hex_digit(at[2]), d = hex_digit(at[3]);
	if ((a | b | c | d) > 0xf)
		return 0x10000;
	return a << 12 | b << 8 | c << 4 | d;
}

static inline bool is_surrogate_high(uint32_t unit)
{
	return unit >= 0xd800 && unit <= 0xdbff;
}

static inline bool is_surrogate_low(uint32_t unit)
{
	return unit >= 0xdc00 && unit <= 0xdfff;
}

static inline uint8_t short_escape(uint8_t letter)
{
	switch (letter) {
	case '"':
	case '\\':
	case '/':
		return letter;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	}
	return 0;
}

/* Bytes of the escape at a backslash: 2, 6, or 12 for a pair of surrogates; 0 for a malformed one.
 */
static unsigned escape_bytes(const uint8_t *at, const uint8_t *end)
{
	size_t left = (size_t)(end - at);
	if (left < 2)
		return 0;
	if (at[1] != 'u')
		return short_escape(at[1]) ? 2 : 0;
	if (left < 6)
		return 0;
	uint32_t unit = hex4(at + 2);
	if (unit > 0xffff || is_surrogate_low(unit))
		return 0;
	if (!is_surrogate_high(unit))
		return 6;
	if (left < 12 || at[6] != '\\' || at[7] != 'u' || !is_surrogate_low(hex4(at + 8)))
		return 0;
	return 12;
}

size_t json_unescape(struct slice text, uint8_t *to)
{
	if (text.bytes == 0)
		return 0;
	const uint8_t *at = text.data;
	const uint8_t *end = at + text.bytes;
	uint8_t *out = to;
	while (at < end) {
		const uint8_t *backslash = memchr(at, '\\', (size_t)(end - at));
		size_t plain = (size_t)((backslash ? backslash : end) - at);
		memmove(out, at, plain);
		out += plain;
		at += plain;
		if (at == end)
			break;
		unsigned bytes = escape_bytes(at, end);
		ASSERT(bytes > 0); /* the reader has checked */
		if (bytes == 2) {
			*out++ = short_escape(at[1]);
		} else {
			uint32_t code_point = hex4(at + 2);
			if (bytes == 12) {
				uint32_t low = hex4(at + 8) - 0xdc00;
				code_point = 0x10000 + ((code_point - 0xd800) << 10) + low;
			}
			out += utf8_encode(code_point, out);
		}
		at += bytes;
	}
	ASSERT((size_t)(out - to) <= text.bytes);
	return (size_t)(out - to);
}

/* The caller wants the text itself, not its spelling. */
__attribute__((noinline)) static int resolve_escapes(struct json_reader *reader)
{
	buffer_clear(reader->scratch);
	uint8_t *room;
	int error = buffer_reserve(reader->scratch, reader->text.bytes, &room);
	if (error)
		return fail(reader, reader->token, error, "no room for a string with escapes");
	buffer_commit(reader->scratch, json_unescape(reader->text, room));
	reader->text = buffer_view(reader->scratch);
	reader->escaped = false;
	return 0;
}

/* From behind the opening quote to behind the closing one; NULL after an error. */
static inline const uint8_t *read_string(struct json_reader *reader, const uint8_t *at)
{
	const uint8_t *begin = at;
	const uint8_t *end = reader->end;
	bool escaped = false;
	for (;;) {
		at = json_skip_plain(at, end);
		if (at == end) {
			fail(reader, at, ERR_TRUNCATED, "a string without closing quote");
			return NULL;
		}
		if (*at == '"')
			break;
		if (*at == '\\') {
			unsigned bytes = escape_bytes(at, end);
			if (bytes == 0) {
				fail(reader, at, ERR_PROTOCOL,
				    "malformed escape or lone surrogate in a string");
				return NULL;
			}
			escaped = true;
			at += bytes;
			continue;
		}
		if (*at < 0x20) {
			fail(reader, at, ERR_PROTOCOL, "control character in a string: escape it");
			return NULL;
		}
		do {
			unsigned bytes = utf8_sequence(at, end);
			if (bytes == 0) {
				fail(reader, at, ERR_UTF8, "a string is not valid UTF-8");
				return NULL;
			}
			at += bytes;
		} while (at < end && *at >= 0x80);
	}
	reader->text = slice_of(begin, (size_t)(at - begin));
	reader->escaped = escaped;
	if (escaped && reader->scratch && resolve_escapes(reader))
		return NULL;
	return at + 1;
}

/* --- Tokens ----------------------------------------------------------------------------------- */

static inline int finish(struct json_reader *reader, const uint8_t *at, enum state state,
    enum json_token token, enum json_token *ret_token)
{
	reader->at = at;
	reader->state = state;
	reader->last = token;
	*ret_token = token;
	return 0;
}

static inline int finish_value(struct json_reader *reader, const uint8_t *at, enum json_token token,
    enum json_token *ret_token)
{
	return finish(reader, at, reader->depth > 0 ? STATE_MORE : STATE_DONE, token, ret_token);
}

static inline int read_begin(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	if (reader->depth == reader->depth_max)
		return fail(reader, at, ERR_DEPTH, "nested too deeply");
	unsigned index = reader->depth++;
	uint64_t bit = (uint64_t)1 << index % 64;
	if (*at == '{') {
		reader->objects[index / 64] |= bit;
		return finish(reader, at + 1, STATE_FIRST_KEY, JSON_OBJECT_BEGIN, ret_token);
	}
	reader->objects[index / 64] &= ~bit;
	return finish(reader, at + 1, STATE_FIRST_ELEMENT, JSON_ARRAY_BEGIN, ret_token);
}

/* `at` is at the matching end. */
static inline int read_end(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	ASSERT(reader->depth > 0);
	reader->token = at;
	reader->depth--;
	return finish_value(
	    reader, at + 1, *at == '}' ? JSON_OBJECT_END : JSON_ARRAY_END, ret_token);
}

static inline int read_number(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	struct decimal number;
	int error = decimal_parse(slice_of(at, (size_t)(reader->end - at)), &number);
	if (error == ERR_NUMBER)
		return fail(reader, at, error,
		    "number out of range: integers are 64 bits with sign, others doubles");
	if (error)
		return fail(reader, at, error, "malformed number");
	if (number.is_integer)
		reader->integer = number.integer;
	else
		reader->number = number.number;
	return finish_value(
	    reader, at + number.bytes, number.is_integer ? JSON_INTEGER : JSON_DOUBLE, ret_token);
}

static inline int read_word(struct json_reader *reader, const uint8_t *at, const char *word,
    size_t bytes, enum json_token token, enum json_token *ret_token)
{
	if ((size_t)(reader->end - at) < bytes || memcmp(at, word, bytes) != 0)
		return fail(reader, at, ERR_PROTOCOL, "expected a value");
	return finish_value(reader, at + bytes, token, ret_token);
}

static inline int read_value(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	reader->token = at;
	if (at == reader->end)
		return fail_expected(reader, at, "expected a value");
	switch (*at) {
	case '"':
		at = read_string(reader, at + 1);
		return at ? finish_value(reader, at, JSON_STRING, ret_token) : reader->error;
	case '{':
	case '[':
		return read_begin(reader, at, ret_token);
	case '-':
	case '0':
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
	case '7':
	case '8':
	case '9':
		return read_number(reader, at, ret_token);
	case 't':
		return read_word(reader, at, "true", 4, JSON_TRUE, ret_token);
	case 'f':
		return read_word(reader, at, "false", 5, JSON_FALSE, ret_token);
	case 'n':
		return read_word(reader, at, "null", 4, JSON_NULL, ret_token);
	}
	return fail_expected(reader, at, "expected a value");
}

/* A key and its colon. */
static inline int read_key(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	reader->token = at;
	if (at == reader->end || *at != '"')
		return fail_expected(reader, at, "expected a key in quotes");
	at = read_string(reader, at + 1);
	if (!at)
		return reader->error;
	at = skip_space(at, reader->end);
	if (at == reader->end || *at != ':')
		return fail_expected(reader, at, "expected ':' after a key");
	return finish(reader, at + 1, STATE_VALUE, JSON_KEY, ret_token);
}

static inline int read_more(
    struct json_reader *reader, const uint8_t *at, enum json_token *ret_token)
{
	bool object = in_object(reader);
	if (at < reader->end && *at == ',') {
		at = skip_space(at + 1, reader->end);
		return object ? read_key(reader, at, ret_token) : read_value(reader, at, ret_token);
	}
	if (at < reader->end && *at == (object ? '}' : ']'))
		return read_end(reader, at, ret_token);
	return fail_expected(reader, at,
	    object ? "expected ',' or '}' in an object" : "expected ',' or ']' in an array");
}

void json_reader_init(
    struct json_reader *reader, struct slice text, struct buffer *scratch, unsigned depth_max)
{
	ASSERT(depth_max <= JSON_DEPTH_MAX);
	ASSERT(text.data || text.bytes == 0);
	/* An empty text may come without an address; ours spares every use a test. */
	const uint8_t *begin = text.data ? text.data : (const uint8_t *)"";
	reader->text = slice_of(NULL, 0);
	reader->integer = 0;
	reader->escaped = false;
	reader->begin = begin;
	reader->at = begin;
	reader->end = begin + text.bytes;
	reader->token = begin;
	reader->scratch = scratch;
	reader->depth = 0;
	reader->depth_max = depth_max;
	reader->state = STATE_VALUE;
	reader->last = JSON_END;
	reader->error = 0;
	reader->error_text = "no error";
}

int json_next(struct json_reader *reader, enum json_token *ret_token)
{
	const uint8_t *at = skip_space(reader->at, reader->end);
	switch ((enum state)reader->state) {
	case STATE_MORE:
		return read_more(reader, at, ret_token);
	case STATE_VALUE:
		return read_value(reader, at, ret_token);
	case STATE_FIRST_KEY:
		if (at < reader->end && *at == '}')
			return read_end(reader, at, ret_token);
		return read_key(reader, at, ret_token);
	case STATE_FIRST_ELEMENT:
		if (at < reader->end && *at == ']')
			return read_end(reader, at, ret_token);
		return read_value(reader, at, ret_token);
	case STATE_DONE:
		reader->token = at;
		if (at < reader->end)
			return fail(reader, at, ERR_PROTOCOL, "expected nothing after the value");
		return finish(reader, at, STATE_DONE, JSON_END, ret_token);
	case STATE_FAILED:
		return reader->error;
	}
	UNREACHABLE();
}

static int skip_to_depth(struct json_reader *reader, unsigned depth)
{
	/* Every token takes at least a byte, so this ends with the document. */
	while (reader->depth > depth) {
		enum json_token token;
		int error = json_next(reader, &token);
		if (error)
			return error;
	}
	return 0;
}

int json_skip(struct json_reader *reader)
{
	if (reader->state == STATE_FAILED)
		return reader->error;
	struct buffer *scratch = reader->scratch;
	reader->scratch = NULL;
	int error = 0;
	if (reader->last == JSON_KEY) {
		unsigned depth = reader->depth;
		enum json_token token;
		error = json_next(reader, &token);
		if (!error)
			error = skip_to_depth(reader, depth);
	} else if (reader->last == JSON_OBJECT_BEGIN || reader->last == JSON_ARRAY_BEGIN) {
		ASSERT(reader->depth > 0);
		error = skip_to_depth(reader, reader->depth - 1);
	}
	reader->scratch = scratch;
	return error;
}

size_t json_token_offset(const struct json_reader *reader)
{
	return (size_t)(reader->token - reader->begin);
}

size_t json_offset(const struct json_reader *reader)
{
	return (size_t)(reader->at - reader->begin);
}

const char *json_error(const struct json_reader *reader, struct json_position *ret_position)
{
	const uint8_t *line_begin = reader->begin;
	size_t line = 1;
	for (;;) {
		const uint8_t *newline =
		    memchr(line_begin, '\n', (size_t)(reader->at - line_begin));
		if (!newline)
			break;
		line_begin = newline + 1;
		line++;
	}
	struct slice before = slice_of(line_begin, (size_t)(reader->at - line_begin));
	*ret_position = (struct json_position){
	    .offset = json_offset(reader), .line = line, .column = utf8_count(before) + 1};
	return reader->error_text;
}
