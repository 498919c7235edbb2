#include "base/wire/resp_reader.h"

#include "base/assert.h"
#include "base/wire/decimal.h"

#include <math.h>

void resp_reader_init(struct resp_reader *reader, size_t bulk_bytes_max, unsigned depth_max)
{
	ASSERT(depth_max <= RESP_DEPTH_MAX);
	ASSERT(bulk_bytes_max < SIZE_MAX / 4);
	reader->data = (const uint8_t *)"";
	reader->bytes = 0;
	reader->at = 0;
	reader->searched = 0;
	reader->wanted = 1;
	reader->bulk_bytes_max = bulk_bytes_max;
	reader->depth = 0;
	reader->depth_max = depth_max;
	reader->attribute = 0;
	reader->error = 0;
	reader->error_text = "no error";
}

void resp_reader_feed(struct resp_reader *reader, struct slice input)
{
	ASSERT(input.bytes >= reader->bytes);
	if (input.bytes == 0)
		return;
	reader->data = input.data;
	reader->bytes = input.bytes;
}

__attribute__((cold, noinline)) static int fail(
    struct resp_reader *reader, int error, const char *text)
{
	ASSERT(error < 0 && error != ERR_TRUNCATED);
	reader->error = error;
	reader->error_text = text;
	return error;
}

static int wait_for(struct resp_reader *reader, size_t wanted)
{
	ASSERT(wanted > reader->bytes);
	reader->wanted = wanted;
	return ERR_TRUNCATED;
}

/* The line behind the type byte, without its end; *ret_end is behind that. */
static int read_line(struct resp_reader *reader, struct slice *ret_line, size_t *ret_end)
{
	size_t begin = reader->at + 1;
	size_t from = reader->searched > begin ? reader->searched : begin;
	size_t until = reader->bytes;
	/* A line that is too long is so whatever follows. */
	if (until - begin > reader->bulk_bytes_max + 1)
		until = begin + reader->bulk_bytes_max + 1;
	const uint8_t *end = memchr(reader->data + from, '\r', until - from);
	if (!end) {
		if (until - begin > reader->bulk_bytes_max)
			return fail(reader, ERR_TOO_LARGE, "a line is too long");
		reader->searched = until;
		return wait_for(reader, reader->bytes + 1);
	}
	size_t line_end = (size_t)(end - reader->data);
	if (reader->bytes - line_end < 2) {
		reader->searched = line_end;
		return wait_for(reader, reader->bytes + 1);
	}
	if (end[1] != '\n')
		return fail(reader, ERR_PROTOCOL, "CR without LF in a line");
	*ret_line = slice_of(reader->data + begin, line_end - begin);
	*ret_end = line_end + 2;
	return 0;
}

/* Digits with an optional sign; any number of them where ret_integer is NULL. */
static int parse_integer(struct slice text, int64_t *ret_integer)
{
	size_t at = 0;
	bool negative = text.bytes > 0 && text.data[0] == '-';
	if (text.bytes > 0 && (text.data[0] == '-' || text.data[0] == '+'))
		at++;
	if (at == text.bytes)
		return ERR_PROTOCOL;
	uint64_t limit = (uint64_t)INT64_MAX + negative;
	uint64_t sum = 0;
	bool fits = true;
	for (; at < text.bytes; at++) {
		unsigned digit = (unsigned)text.data[at] - '0';
		if (digit > 9)
			return ERR_PROTOCOL;
		fits = fits && sum <= (limit - digit) / 10;
		sum = fits ? sum * 10 + digit : 0;
	}
	if (!ret_integer)
		return 0;
	if (!fits)
		return ERR_NUMBER;
	*ret_integer = (int64_t)(negative ? 0 - sum : sum);
	return 0;
}

static bool is_text(struct slice line, const char *text)
{
	return slice_equal(line, slice_from_text(text));
}

static int parse_double(struct slice line, double *ret_number)
{
	bool plus = line.bytes > 0 && line.data[0] == '+';
	if (plus)
		line = slice_of(line.data + 1, line.bytes - 1);
	if (is_text(line, "inf")) {
		*ret_number = (double)INFINITY;
		return 0;
	}
	if (is_text(line, "-inf") && !plus) {
		*ret_number = (double)-INFINITY;
		return 0;
	}
	if (is_text(line, "nan") || is_text(line, "-nan")) {
		*ret_number = (double)NAN;
		return 0;
	}
	struct decimal number;
	int error = decimal_parse(line, &number);
	if (error)
		return error;
	if (number.bytes != line.bytes || (plus && line.data[0] == '-'))
		return ERR_PROTOCOL;
	if (!number.is_integer)
		*ret_number = number.number;
	else if (number.integer == 0 && line.data[0] == '-')
		*ret_number = -0.0;
	else
		*ret_number = (double)number.integer;
	return 0;
}

static int read_number(struct resp_reader *reader, struct slice line, struct resp_item *item)
{
	int error = ERR_PROTOCOL;
	if (item->type == RESP_INTEGER)
		error = parse_integer(line, &item->integer);
	else if (item->type == RESP_DOUBLE)
		error = parse_double(line, &item->number);
	if (error == ERR_NUMBER)
		return fail(reader, error, "a number is out of range");
	return error ? fail(reader, error, "malformed number") : 0;
}

/* The -1 that RESP2 writes for null is told by *ret_null. */
static int read_length(
    struct resp_reader *reader, struct slice line, int64_t max, int64_t *ret_length, bool *ret_null)
{
	int64_t length;
	int error = parse_integer(line, &length);
	if (error == ERR_NUMBER)
		return fail(reader, ERR_TOO_LARGE, "a length is too large");
	if (error || length < -1)
		return fail(reader, ERR_PROTOCOL, "malformed length");
	if (length > max)
		return fail(reader, ERR_TOO_LARGE, "a length is too large");
	*ret_length = length;
	*ret_null = length == -1;
	return 0;
}

/* Strings with a length; `first` is their type byte. */
static int read_bulk(struct resp_reader *reader, uint8_t first, struct slice line, size_t *end,
    struct resp_item *item)
{
	int64_t length = 0;
	bool null = false;
	int64_t length_max = (int64_t)reader->bulk_bytes_max;
	int error = read_length(reader, line, length_max, &length, &null);
	if (error)
		return error;
	if (null) {
		if (first != '$')
			return fail(reader, ERR_PROTOCOL, "malformed length");
		item->type = RESP_NULL;
		return 0;
	}
	size_t bytes = (size_t)length;
	if (reader->bytes - *end < bytes + 2)
		return wait_for(reader, *end + bytes + 2);
	const uint8_t *content = reader->data + *end;
	if (content[bytes] != '\r' || content[bytes + 1] != '\n')
		return fail(reader, ERR_PROTOCOL, "no CR LF behind a string");
	*end += bytes + 2;
	if (item->type == RESP_VERBATIM) {
		if (bytes < 4 || content[3] != ':')
			return fail(reader, ERR_PROTOCOL, "a verbatim string without its format");
		memcpy(item->format, content, 3);
		item->format[3] = '\0';
		content += 4;
		bytes -= 4;
	}
	item->text = slice_of(content, bytes);
	return 0;
}

static int read_aggregate(
    struct resp_reader *reader, uint8_t first, struct slice line, struct resp_item *item)
{
	int64_t count = 0;
	bool null = false;
	int error = read_length(reader, line, INT32_MAX, &count, &null);
	if (error)
		return error;
	if (null) {
		if (first != '*')
			return fail(reader, ERR_PROTOCOL, "malformed length");
		item->type = RESP_NULL;
		return 0;
	}
	if (reader->depth == reader->depth_max)
		return fail(reader, ERR_DEPTH, "nested too deeply");
	item->count = (uint32_t)count;
	return 0;
}

static int read_rest(struct resp_reader *reader, uint8_t first, struct slice line, size_t *end,
    struct resp_item *item)
{
	switch (item->type) {
	case RESP_SIMPLE:
		item->text = line;
		return 0;
	case RESP_ERROR:
		if (first == '!')
			return read_bulk(reader, first, line, end, item);
		item->text = line;
		return 0;
	case RESP_INTEGER:
	case RESP_DOUBLE:
		return read_number(reader, line, item);
	case RESP_BIG_NUMBER:
		if (parse_integer(line, NULL))
			return fail(reader, ERR_PROTOCOL, "malformed number");
		item->text = line;
		return 0;
	case RESP_BULK:
	case RESP_VERBATIM:
		return read_bulk(reader, first, line, end, item);
	case RESP_BOOLEAN:
		item->boolean = is_text(line, "t");
		if (!item->boolean && !is_text(line, "f"))
			return fail(reader, ERR_PROTOCOL, "malformed boolean");
		return 0;
	case RESP_NULL:
		return line.bytes == 0 ? 0 : fail(reader, ERR_PROTOCOL, "malformed null");
	case RESP_ARRAY:
	case RESP_SET:
	case RESP_PUSH:
	case RESP_MAP:
		return read_aggregate(reader, first, line, item);
	}
	UNREACHABLE();
}

static bool type_of(uint8_t first, enum resp_type *ret_type)
{
	static const struct {
		uint8_t first;
		uint8_t type;
	} types[] = {
	    {'+', RESP_SIMPLE}, {'-', RESP_ERROR}, {':', RESP_INTEGER}, {'$', RESP_BULK},
	    {'*', RESP_ARRAY}, {'_', RESP_NULL}, {'#', RESP_BOOLEAN}, {',', RESP_DOUBLE},
	    {'%', RESP_MAP}, {'~', RESP_SET}, {'>', RESP_PUSH}, {'=', RESP_VERBATIM},
	    {'!', RESP_ERROR}, {'(', RESP_BIG_NUMBER},
	    {'|', RESP_MAP}, /* an attribute is a map that is no item */
	};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].first == first) {
			*ret_type = types[i].type;
			return true;
		}
	}
	return false;
}

/* Items that an aggregate promises, 0 for all others. */
static uint32_t promised_by(const struct resp_item *item)
{
	switch (item->type) {
	case RESP_ARRAY:
	case RESP_SET:
	case RESP_PUSH:
		return item->count;
	case RESP_MAP:
		return item->count * 2;
	case RESP_SIMPLE:
	case RESP_ERROR:
	case RESP_INTEGER:
	case RESP_BULK:
	case RESP_VERBATIM:
	case RESP_BIG_NUMBER:
	case RESP_DOUBLE:
	case RESP_BOOLEAN:
	case RESP_NULL:
		break;
	}
	return 0;
}

/* Opens what the item promises and closes what it completes. */
static void step(struct resp_reader *reader, const struct resp_item *item, bool is_attribute)
{
	unsigned depth = reader->depth;
	if (depth > 0 && !is_attribute) {
		ASSERT(reader->left[depth - 1] > 0);
		reader->left[depth - 1]--;
	}
	uint32_t promised = promised_by(item);
	if (promised > 0) {
		ASSERT(depth < reader->depth_max);
		reader->left[depth++] = promised;
		if (is_attribute && reader->attribute == 0)
			reader->attribute = depth;
	}
	for (; depth > 0 && reader->left[depth - 1] == 0; depth--) {
		if (reader->attribute == depth)
			reader->attribute = 0;
	}
	reader->depth = depth;
}

int resp_reader_next(struct resp_reader *reader, struct resp_item *ret_item)
{
	if (reader->error)
		return reader->error;
	for (;;) {
		if (reader->bytes < reader->wanted || reader->at == reader->bytes) {
			if (reader->wanted <= reader->bytes)
				reader->wanted = reader->bytes + 1;
			return ERR_TRUNCATED;
		}
		uint8_t first = reader->data[reader->at];
		struct resp_item item = {.format = ""};
		if (!type_of(first, &item.type))
			return fail(reader, ERR_PROTOCOL, "unknown type of reply");
		struct slice line = slice_of(NULL, 0);
		size_t end = 0;
		int error = read_line(reader, &line, &end);
		if (!error)
			error = read_rest(reader, first, line, &end, &item);
		if (error)
			return error;
		reader->at = end;
		reader->searched = 0;
		bool hidden = first == '|' || reader->attribute > 0;
		step(reader, &item, first == '|');
		if (hidden)
			continue;
		*ret_item = item;
		return 0;
	}
}

int resp_reader_whole(struct resp_reader *reader)
{
	do {
		struct resp_item item;
		int error = resp_reader_next(reader, &item);
		if (error)
			return error;
	} while (reader->depth > 0);
	return 0;
}

int resp_reader_skip(struct resp_reader *reader)
{
	for (uint64_t waiting = 1; waiting > 0; waiting--) {
		struct resp_item item;
		int error = resp_reader_next(reader, &item);
		if (error)
			return error;
		waiting += promised_by(&item);
	}
	return 0;
}
