#include "base/wire/resp_request.h"

#include "base/assert.h"

#include <stdio.h>

enum state {
	STATE_BEGIN, /* nothing seen */
	STATE_ARRAY,
	STATE_INLINE,
	STATE_FAILED,
};

enum parse_error {
	PARSE_OK,
	PARSE_MULTIBULK_LENGTH,
	PARSE_BULK_LENGTH,
	PARSE_EXPECTED_DOLLAR,
	PARSE_BULK_END,
	PARSE_INLINE_LENGTH,
	PARSE_UNBALANCED_QUOTES,
	PARSE_TOO_MANY_ARGUMENTS,
	PARSE_REQUEST_LENGTH,
};

enum {
	/* Every limit is below 10^18, and sums of such lengths do not overflow. */
	LENGTH_DIGITS_MAX = 18
};

/* The length -1, which RESP2 writes for null. */
static const uint64_t NULL_LENGTH = UINT64_MAX;

void resp_parser_init(struct resp_parser *parser)
{
	*parser = (struct resp_parser){.state = STATE_BEGIN, .wanted = 1};
}

__attribute__((cold, noinline)) static int fail(
    struct resp_parser *parser, int code, enum parse_error error, uint8_t byte)
{
	ASSERT(code == ERR_PROTOCOL || code == ERR_TOO_LARGE);
	parser->state = STATE_FAILED;
	parser->error = (uint8_t)error;
	parser->error_byte = byte;
	parser->code = code;
	return code;
}

static inline bool is_line_end(const uint8_t *at)
{
	return at[0] == '\r' && at[1] == '\n';
}

/* The number behind a header's type byte, with its CR LF: 0, ERR_TRUNCATED or ERR_PROTOCOL. As
 * Redis's string2ll: no plus, no leading zero; of negative numbers only -1 has a meaning, and the
 * others are errors to all callers. */
static int parse_length(
    const uint8_t *at, const uint8_t *end, uint64_t *ret_length, const uint8_t **ret_end)
{
	bool negative = at < end && *at == '-';
	at += negative;
	const uint8_t *digits = at;
	uint64_t length = 0;
	for (; at < end; at++) {
		unsigned digit = (unsigned)*at - '0';
		if (digit > 9)
			break;
		if (at - digits == LENGTH_DIGITS_MAX)
			return ERR_PROTOCOL;
		length = length * 10 + digit;
	}
	if (at - digits > 1 && *digits == '0')
		return ERR_PROTOCOL;
	if (at == end)
		return ERR_TRUNCATED;
	if (*at != '\r' || at == digits || (negative && length != 1))
		return ERR_PROTOCOL;
	if (end - at < 2)
		return ERR_TRUNCATED;
	if (at[1] != '\n')
		return ERR_PROTOCOL;
	*ret_length = negative ? NULL_LENGTH : length;
	*ret_end = at + 2;
	return 0;
}

/* The same for one and two digits, which nearly all lengths have; NULL for all others. */
static inline const uint8_t *parse_short_length(
    const uint8_t *at, const uint8_t *end, uint64_t *ret_length)
{
	if (end - at < 4)
		return NULL;
	unsigned first = (unsigned)at[0] - '0';
	unsigned second = (unsigned)at[1] - '0';
	if (first <= 9 && is_line_end(at + 1)) {
		*ret_length = first;
		return at + 3;
	}
	if (first - 1 <= 8 && second <= 9 && is_line_end(at + 2)) {
		*ret_length = first * 10 + second;
		return at + 4;
	}
	return NULL;
}

/* Remembers where to go on, and from how many bytes that makes sense. */
static inline int wait_for(
    struct resp_parser *parser, const struct resp_limits *limits, size_t at, size_t wanted)
{
	if (wanted > limits->request_bytes_max)
		return fail(parser, ERR_TOO_LARGE, PARSE_REQUEST_LENGTH, 0);
	parser->at = at;
	parser->wanted = wanted;
	return ERR_TRUNCATED;
}

/* --- Arrays ----------------------------------------------------------------------------------- */

/* Argument headers from parser->at, bulk strings by their length, until all are read. */
static inline int parse_args(struct resp_parser *parser, const struct resp_limits *limits,
    const uint8_t *data, size_t bytes, struct slice *args)
{
	const uint8_t *at = data + parser->at;
	const uint8_t *end = data + bytes;
	uint32_t index = parser->args_read;
	for (; index < parser->args_count; index++) {
		size_t offset = (size_t)(at - data);
		parser->args_read = index;
		if (at == end)
			return wait_for(parser, limits, offset, bytes + 1);
		if (*at != '$')
			return fail(parser, ERR_PROTOCOL, PARSE_EXPECTED_DOLLAR, *at);
		uint64_t length;
		const uint8_t *content = parse_short_length(at + 1, end, &length);
		int error = content ? 0 : parse_length(at + 1, end, &length, &content);
		if (error == ERR_TRUNCATED)
			return wait_for(parser, limits, offset, bytes + 1);
		if (error || length == NULL_LENGTH)
			return fail(parser, ERR_PROTOCOL, PARSE_BULK_LENGTH, 0);
		if (length > limits->bulk_bytes_max)
			return fail(parser, ERR_TOO_LARGE, PARSE_BULK_LENGTH, 0);
		if ((size_t)(end - content) < length + 2)
			return wait_for(
			    parser, limits, offset, (size_t)(content - data) + length + 2);
		if (!is_line_end(content + length))
			return fail(parser, ERR_PROTOCOL, PARSE_BULK_END, 0);
		args[index] = slice_of(content, length);
		at = content + length + 2;
	}
	parser->at = (size_t)(at - data);
	return 0;
}

static inline int parse_array_header(
    struct resp_parser *parser, const struct resp_limits *limits, const uint8_t *data, size_t bytes)
{
	uint64_t count;
	const uint8_t *header_end = parse_short_length(data + 1, data + bytes, &count);
	int error = header_end ? 0 : parse_length(data + 1, data + bytes, &count, &header_end);
	if (error == ERR_TRUNCATED)
		return wait_for(parser, limits, 0, bytes + 1);
	if (error)
		return fail(parser, ERR_PROTOCOL, PARSE_MULTIBULK_LENGTH, 0);
	if (count == NULL_LENGTH)
		count = 0;
	if (count > limits->args_max)
		return fail(parser, ERR_TOO_LARGE, PARSE_MULTIBULK_LENGTH, 0);
	parser->args_count = (uint32_t)count;
	parser->at = (size_t)(header_end - data);
	parser->state = STATE_ARRAY;
	return 0;
}

static inline int parse_array(struct resp_parser *parser, const struct resp_limits *limits,
    const uint8_t *data, size_t bytes, struct slice *args)
{
	if (parser->state == STATE_BEGIN) {
		int error = parse_array_header(parser, limits, data, bytes);
		if (error)
			return error;
	}
	bool resumed = parser->args_read > 0;
	int error = parse_args(parser, limits, data, bytes, args);
	if (error || !resumed)
		return error;
	/* The earlier calls' arguments lay elsewhere. All is here now: one pass finds it whole. */
	uint64_t count;
	const uint8_t *header_end;
	error = parse_length(data + 1, data + bytes, &count, &header_end);
	ASSERT(error == 0 && count == parser->args_count);
	parser->at = (size_t)(header_end - data);
	parser->args_read = 0;
	return parse_args(parser, limits, data, bytes, args);
}

/* --- Inline commands -------------------------------------------------------------------------- */

static inline bool is_space(uint8_t byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static inline unsigned hex_digit(uint8_t character)
{
	unsigned digit = (unsigned)character - '0';
	if (digit <= 9)
		return digit;
	unsigned letter = ((unsigned)character | 0x20) - 'a';
	return letter <= 5 ? letter + 10 : 0x10;
}

static inline uint8_t short_escape(uint8_t letter)
{
	switch (letter) {
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'b':
		return '\b';
	case 'a':
		return '\a';
	}
	return letter;
}

/* Resolves a quoted part from behind its opening quote; the text behind its closing quote, or NULL
 * where there is none. What is written never passes what is read. */
static uint8_t *unquote(uint8_t *at, const uint8_t *end, uint8_t quote, uint8_t **out)
{
	uint8_t *to = *out;
	while (at < end && *at != quote) {
		size_t left = (size_t)(end - at);
		if (*at != '\\' || left < 2) {
			*to++ = *at++;
		} else if (quote == '\'') {
			if (at[1] == '\'')
				at++;
			*to++ = *at++;
		} else if (at[1] == 'x' && left >= 4 &&
		           (hex_digit(at[2]) | hex_digit(at[3])) < 16) {
			*to++ = (uint8_t)(hex_digit(at[2]) << 4 | hex_digit(at[3]));
			at += 4;
		} else {
			*to++ = short_escape(at[1]);
			at += 2;
		}
	}
	*out = to;
	return at < end ? at + 1 : NULL;
}

/* Words as Redis's sdssplitargs: a quote may begin within a word, and ends it. */
static int split_line(struct resp_parser *parser, const struct resp_limits *limits, uint8_t *at,
    const uint8_t *end, struct slice *args)
{
	uint32_t count = 0;
	for (;;) {
		while (at < end && is_space(*at))
			at++;
		if (at == end)
			break;
		if (count == limits->args_max)
			return fail(parser, ERR_TOO_LARGE, PARSE_TOO_MANY_ARGUMENTS, 0);
		uint8_t *word = at;
		uint8_t *out = at;
		while (at < end && !is_space(*at)) {
			if (*at != '"' && *at != '\'') {
				*out++ = *at++;
				continue;
			}
			at = unquote(at + 1, end, *at, &out);
			if (!at || (at < end && !is_space(*at)))
				return fail(parser, ERR_PROTOCOL, PARSE_UNBALANCED_QUOTES, 0);
		}
		args[count++] = slice_of(word, (size_t)(out - word));
	}
	parser->args_count = count;
	return 0;
}

static int parse_inline(struct resp_parser *parser, const struct resp_limits *limits, uint8_t *data,
    size_t bytes, struct slice *args)
{
	parser->state = STATE_INLINE;
	size_t line_bytes_max = limits->inline_bytes_max;
	size_t searched = bytes < line_bytes_max ? bytes : line_bytes_max;
	const uint8_t *newline = memchr(data + parser->at, '\n', searched - parser->at);
	if (!newline) {
		if (searched == line_bytes_max)
			return fail(parser, ERR_TOO_LARGE, PARSE_INLINE_LENGTH, 0);
		return wait_for(parser, limits, searched, bytes + 1);
	}
	size_t line = (size_t)(newline - data);
	parser->at = line + 1;
	if (line > 0 && data[line - 1] == '\r')
		line--;
	return split_line(parser, limits, data, data + line, args);
}

/* --- Both ------------------------------------------------------------------------------------- */

int resp_parse(struct resp_parser *parser, const struct resp_limits *limits, uint8_t *data,
    size_t bytes, struct slice *args, struct resp_request *ret_request)
{
	ASSERT(limits->args_max > 0 && limits->inline_bytes_max > 0);
	if (parser->state == STATE_FAILED)
		return parser->code;
	if (bytes < parser->wanted)
		return ERR_TRUNCATED;
	ASSERT(parser->at <= bytes);
	/* What lies beyond the longest request is not looked at, so that an error does not depend
	 * on how much of it has arrived. */
	if (bytes > limits->request_bytes_max)
		bytes = limits->request_bytes_max;
	int error;
	if (data[0] == '*')
		error = parse_array(parser, limits, data, bytes, args);
	else
		error = parse_inline(parser, limits, data, bytes, args);
	if (error)
		return error;
	ASSERT(parser->at <= bytes);
	ret_request->args_count = parser->args_count;
	ret_request->bytes = parser->at;
	resp_parser_init(parser);
	return 0;
}

const char *resp_error_text(const struct resp_parser *parser, char to[RESP_ERROR_TEXT_BYTES_MAX])
{
	ASSERT(parser->state == STATE_FAILED);
	const char *text = "";
	switch ((enum parse_error)parser->error) {
	case PARSE_OK:
		UNREACHABLE();
	case PARSE_MULTIBULK_LENGTH:
		text = "invalid multibulk length";
		break;
	case PARSE_BULK_LENGTH:
		text = "invalid bulk length";
		break;
	case PARSE_EXPECTED_DOLLAR: {
		uint8_t byte = parser->error_byte;
		bool printable = byte >= 0x20 && byte < 0x7f;
		snprintf(to, RESP_ERROR_TEXT_BYTES_MAX,
		    printable ? "Protocol error: expected '$', got '%c'"
		              : "Protocol error: expected '$', got byte 0x%02x",
		    byte);
		return to;
	}
	case PARSE_BULK_END:
		text = "expected CR LF behind a bulk string";
		break;
	case PARSE_INLINE_LENGTH:
		text = "too big inline request";
		break;
	case PARSE_UNBALANCED_QUOTES:
		text = "unbalanced quotes in request";
		break;
	case PARSE_TOO_MANY_ARGUMENTS:
		text = "too many arguments";
		break;
	case PARSE_REQUEST_LENGTH:
		text = "too big request";
		break;
	}
	snprintf(to, RESP_ERROR_TEXT_BYTES_MAX, "Protocol error: %s", text);
	return to;
}
