#include "base/wire/resp_writer.h"

#include "base/assert.h"
#include "base/wire/decimal.h"
#include "base/wire/room.h"
#include "base/wire/utf8.h"

#include <math.h>

void resp_writer_init(struct resp_writer *writer, struct buffer *out, enum resp_protocol protocol)
{
	ASSERT(protocol == RESP2 || protocol == RESP3);
	*writer =
	    (struct resp_writer){.out = out, .begin = buffer_bytes(out), .protocol = protocol};
}

static inline uint8_t *room(struct resp_writer *writer, size_t bytes)
{
	if (__builtin_expect(writer->error != 0, 0))
		return NULL;
	uint8_t *to;
	writer->error = room_reserve(writer->out, bytes, &to);
	return writer->error ? NULL : to;
}

static inline uint8_t *put_bytes(uint8_t *to, const void *from, size_t bytes)
{
	if (bytes > 0)
		memcpy(to, from, bytes);
	return to + bytes;
}

static inline uint8_t *put_end(uint8_t *to)
{
	to[0] = '\r';
	to[1] = '\n';
	return to + 2;
}

/* For lines: whatever could end one, or trouble a terminal, becomes a space. */
static uint8_t *put_printable(uint8_t *to, struct slice text)
{
	for (size_t i = 0; i < text.bytes; i++) {
		uint8_t byte = text.data[i];
		*to++ = byte < 0x20 || byte == 0x7f ? ' ' : byte;
	}
	return to;
}

void resp_write_raw(struct resp_writer *writer, struct slice resp)
{
	uint8_t *to = resp.bytes > 0 ? room(writer, resp.bytes) : NULL;
	if (to)
		room_commit(writer->out, put_bytes(to, resp.data, resp.bytes));
}

static void write_constant(struct resp_writer *writer, const char *resp)
{
	resp_write_raw(writer, slice_from_text(resp));
}

/* A type byte, a number and the end of the line: an integer, or the header of an aggregate. */
static inline void write_number(struct resp_writer *writer, char type, int64_t number)
{
	size_t digits = decimal_integer_bytes(number);
	uint8_t *to = room(writer, 1 + digits + 2);
	if (!to)
		return;
	*to = (uint8_t)type;
	to += 1 + decimal_write_integer(number, to + 1);
	room_commit(writer->out, put_end(to));
}

void resp_write_simple(struct resp_writer *writer, const char *text)
{
	struct slice line = slice_from_text(text);
	uint8_t *to = room(writer, 1 + line.bytes + 2);
	if (!to)
		return;
	*to++ = '+';
	room_commit(writer->out, put_end(put_printable(to, line)));
}

void resp_write_error(
    struct resp_writer *writer, const char *code, struct slice message, struct slice details)
{
	size_t code_bytes = strlen(code);
	ASSERT(code_bytes > 0 && code_bytes < RESP_ERROR_BYTES_MAX / 2);
	/* '-', the code, a space and CR LF. */
	size_t message_bytes_max = RESP_ERROR_BYTES_MAX - code_bytes - 4;
	if (message.bytes > message_bytes_max ||
	    details.bytes + 1 > message_bytes_max - message.bytes)
		details = slice_of(NULL, 0);
	message.bytes = utf8_cut(message, message_bytes_max);
	size_t space = message.bytes > 0;
	size_t tab = details.bytes > 0;
	uint8_t *to =
	    room(writer, 1 + code_bytes + space + message.bytes + tab + details.bytes + 2);
	if (!to)
		return;
	*to++ = '-';
	to = put_bytes(to, code, code_bytes);
	if (space)
		*to++ = ' ';
	to = put_printable(to, message);
	if (tab)
		*to++ = '\t';
	to = put_printable(to, details);
	room_commit(writer->out, put_end(to));
}

void resp_write_integer(struct resp_writer *writer, int64_t value)
{
	write_number(writer, ':', value);
}

void resp_write_bulk(struct resp_writer *writer, struct slice text)
{
	/* Digits of a length are at most those of any 64-bit number. */
	uint8_t header[1 + DECIMAL_INTEGER_BYTES_MAX + 2];
	header[0] = '$';
	uint8_t *header_end = put_end(header + 1 + decimal_write_unsigned(text.bytes, header + 1));
	size_t header_bytes = (size_t)(header_end - header);
	uint8_t *to = room(writer, header_bytes + text.bytes + 2);
	if (!to)
		return;
	to = put_bytes(to, header, header_bytes);
	to = put_bytes(to, text.data, text.bytes);
	room_commit(writer->out, put_end(to));
}

void resp_write_bulk_text(struct resp_writer *writer, const char *text)
{
	resp_write_bulk(writer, slice_from_text(text));
}

void resp_write_null(struct resp_writer *writer)
{
	write_constant(writer, writer->protocol == RESP3 ? "_\r\n" : "$-1\r\n");
}

void resp_write_double(struct resp_writer *writer, double value)
{
	uint8_t text[DECIMAL_DOUBLE_BYTES_MAX];
	size_t bytes;
	if (isnan(value)) {
		memcpy(text, "nan", 3);
		bytes = 3;
	} else if (isinf(value)) {
		bytes = value < 0 ? 4 : 3;
		memcpy(text, value < 0 ? "-inf" : "inf", bytes);
	} else {
		bytes = decimal_write_double(value, text);
	}
	if (writer->protocol == RESP2) {
		resp_write_bulk(writer, slice_of(text, bytes));
		return;
	}
	uint8_t *to = room(writer, 1 + bytes + 2);
	if (!to)
		return;
	*to++ = ',';
	room_commit(writer->out, put_end(put_bytes(to, text, bytes)));
}

void resp_write_boolean(struct resp_writer *writer, bool value)
{
	if (writer->protocol == RESP3)
		write_constant(writer, value ? "#t\r\n" : "#f\r\n");
	else
		write_constant(writer, value ? ":1\r\n" : ":0\r\n");
}

void resp_write_verbatim(struct resp_writer *writer, const char *format, struct slice text)
{
	ASSERT(strlen(format) == 3);
	if (writer->protocol == RESP2) {
		resp_write_bulk(writer, text);
		return;
	}
	size_t length = text.bytes + 4;
	size_t digits = decimal_integer_bytes((int64_t)length);
	uint8_t *to = room(writer, 1 + digits + 2 + length + 2);
	if (!to)
		return;
	*to++ = '=';
	to = put_end(to + decimal_write_unsigned(length, to));
	to = put_bytes(to, format, 3);
	*to++ = ':';
	room_commit(writer->out, put_end(put_bytes(to, text.data, text.bytes)));
}

void resp_write_array(struct resp_writer *writer, size_t items)
{
	ASSERT(items <= INT32_MAX);
	write_number(writer, '*', (int64_t)items);
}

void resp_write_map(struct resp_writer *writer, size_t pairs)
{
	ASSERT(pairs <= INT32_MAX);
	if (writer->protocol == RESP3)
		write_number(writer, '%', (int64_t)pairs);
	else
		write_number(writer, '*', (int64_t)pairs * 2);
}

void resp_write_set(struct resp_writer *writer, size_t items)
{
	ASSERT(items <= INT32_MAX);
	write_number(writer, writer->protocol == RESP3 ? '~' : '*', (int64_t)items);
}

void resp_write_push(struct resp_writer *writer, size_t items)
{
	ASSERT(items <= INT32_MAX);
	write_number(writer, writer->protocol == RESP3 ? '>' : '*', (int64_t)items);
}

int resp_writer_finish(struct resp_writer *writer)
{
	struct buffer *out = writer->out;
	int error = writer->error;
	if (error)
		buffer_truncate(out, writer->begin);
	resp_writer_init(writer, out, writer->protocol);
	return error;
}
