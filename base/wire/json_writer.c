#include "base/wire/json_writer.h"

#include "base/assert.h"
#include "base/wire/base64.h"
#include "base/wire/decimal.h"
#include "base/wire/json_scan.h"
#include "base/wire/room.h"
#include "base/wire/utf8.h"

#include <math.h>

void json_writer_init(struct json_writer *writer, struct buffer *out)
{
	*writer = (struct json_writer){.out = out, .begin = buffer_bytes(out)};
}

static inline bool in_object(const struct json_writer *writer)
{
	unsigned index = writer->depth - 1;
	return writer->objects[index / 64] >> index % 64 & 1;
}

/* Room for a value of `bytes` bytes, behind the comma where one is due; NULL after an error. */
static inline uint8_t *begin_value(struct json_writer *writer, size_t bytes)
{
	if (__builtin_expect(writer->error != 0, 0))
		return NULL;
	ASSERT(!writer->complete);
	ASSERT(writer->depth == 0 || writer->after_key == in_object(writer));
	uint8_t *room;
	writer->error = room_reserve(writer->out, bytes + writer->comma, &room);
	if (__builtin_expect(writer->error != 0, 0))
		return NULL;
	if (writer->comma)
		*room++ = ',';
	return room;
}

static inline void end_value(struct json_writer *writer, const uint8_t *end)
{
	room_commit(writer->out, end);
	writer->comma = writer->depth > 0;
	writer->complete = writer->depth == 0;
	writer->after_key = false;
}

static inline void write_begin(struct json_writer *writer, uint8_t bracket, bool is_object)
{
	if (writer->depth == JSON_DEPTH_MAX && !writer->error)
		writer->error = ERR_DEPTH;
	uint8_t *room = begin_value(writer, 1);
	if (!room)
		return;
	*room = bracket;
	room_commit(writer->out, room + 1);
	unsigned index = writer->depth++;
	uint64_t bit = (uint64_t)1 << index % 64;
	if (is_object)
		writer->objects[index / 64] |= bit;
	else
		writer->objects[index / 64] &= ~bit;
	writer->comma = false;
	writer->after_key = false;
}

static inline void write_end(struct json_writer *writer, uint8_t bracket, bool is_object)
{
	if (writer->error)
		return;
	ASSERT(writer->depth > 0 && in_object(writer) == is_object);
	ASSERT(!writer->after_key);
	uint8_t *room;
	writer->error = room_reserve(writer->out, 1, &room);
	if (writer->error)
		return;
	*room = bracket;
	writer->depth--;
	end_value(writer, room + 1);
}

void json_write_object_begin(struct json_writer *writer)
{
	write_begin(writer, '{', true);
}

void json_write_object_end(struct json_writer *writer)
{
	write_end(writer, '}', true);
}

void json_write_array_begin(struct json_writer *writer)
{
	write_begin(writer, '[', false);
}

void json_write_array_end(struct json_writer *writer)
{
	write_end(writer, ']', false);
}

/* The letter of a control character's short escape, or 0. */
static inline uint8_t short_escape(uint8_t control)
{
	switch (control) {
	case '\b':
		return 'b';
	case '\f':
		return 'f';
	case '\n':
		return 'n';
	case '\r':
		return 'r';
	case '\t':
		return 't';
	}
	return 0;
}

/* How many bytes more the text takes with its escapes. */
static inline int measure(struct slice text, size_t *ret_extra)
{
	size_t extra = 0;
	if (text.bytes > 0) {
		const uint8_t *at = text.data;
		const uint8_t *end = at + text.bytes;
		for (;;) {
			at = json_skip_plain(at, end);
			if (at == end)
				break;
			if (*at >= 0x80) {
				unsigned bytes = utf8_sequence(at, end);
				if (bytes == 0)
					return ERR_UTF8;
				at += bytes;
				continue;
			}
			bool is_short = *at >= 0x20 || short_escape(*at);
			extra += is_short ? 1 : 5;
			at++;
		}
	}
	*ret_extra = extra;
	return 0;
}

static uint8_t *write_escaped(struct slice text, uint8_t *to)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < text.bytes; i++) {
		uint8_t byte = text.data[i];
		if (byte >= 0x20 && byte != '"' && byte != '\\') {
			*to++ = byte;
			continue;
		}
		*to++ = '\\';
		if (byte >= 0x20) {
			*to++ = byte;
		} else if (short_escape(byte)) {
			*to++ = short_escape(byte);
		} else {
			memcpy(to, "u00", 3);
			to[3] = (uint8_t)hex[byte >> 4];
			to[4] = (uint8_t)hex[byte & 0xf];
			to += 5;
		}
	}
	return to;
}

/* Quotes and what is between them; returns the end. */
static inline uint8_t *write_quoted(struct slice text, size_t extra, uint8_t *to)
{
	*to++ = '"';
	if (extra > 0) {
		to = write_escaped(text, to);
	} else if (text.bytes > 0) {
		memcpy(to, text.data, text.bytes);
		to += text.bytes;
	}
	*to++ = '"';
	return to;
}

uint8_t *json_quote(struct slice text, uint8_t *to)
{
	const uint8_t *end = text.data + text.bytes;
	const uint8_t *at = json_skip_plain(text.data, end);
	/* Only quote, backslash and control characters are escaped. */
	while (at < end && *at >= 0x80)
		at = json_skip_plain(at + 1, end);
	return write_quoted(text, at < end, to);
}

void json_write_key(struct json_writer *writer, struct slice key)
{
	size_t extra;
	if (!writer->error)
		writer->error = measure(key, &extra);
	if (writer->error)
		return;
	ASSERT(writer->depth > 0 && in_object(writer));
	ASSERT(!writer->after_key);
	uint8_t *room;
	size_t bytes = (size_t)writer->comma + key.bytes + extra + 3;
	writer->error = room_reserve(writer->out, bytes, &room);
	if (writer->error)
		return;
	if (writer->comma)
		*room++ = ',';
	room = write_quoted(key, extra, room);
	*room++ = ':';
	room_commit(writer->out, room);
	writer->comma = false;
	writer->after_key = true;
}

void json_write_string(struct json_writer *writer, struct slice text)
{
	size_t extra;
	if (!writer->error)
		writer->error = measure(text, &extra);
	if (writer->error)
		return;
	uint8_t *room = begin_value(writer, text.bytes + extra + 2);
	if (room)
		end_value(writer, write_quoted(text, extra, room));
}

void json_write_integer(struct json_writer *writer, int64_t value)
{
	uint8_t *room = begin_value(writer, decimal_integer_bytes(value));
	if (room)
		end_value(writer, room + decimal_write_integer(value, room));
}

/* Copies a value whose text is at hand. */
static inline void write_text(struct json_writer *writer, const void *text, size_t bytes)
{
	uint8_t *room = begin_value(writer, bytes);
	if (!room)
		return;
	memcpy(room, text, bytes);
	end_value(writer, room + bytes);
}

void json_write_double(struct json_writer *writer, double value)
{
	if (!isfinite(value)) {
		if (!writer->error)
			writer->error = ERR_NUMBER;
		return;
	}
	uint8_t text[DECIMAL_DOUBLE_BYTES_MAX];
	write_text(writer, text, decimal_write_double(value, text));
}

void json_write_boolean(struct json_writer *writer, bool value)
{
	write_text(writer, value ? "true" : "false", value ? 4 : 5);
}

void json_write_null(struct json_writer *writer)
{
	write_text(writer, "null", 4);
}

void json_write_raw(struct json_writer *writer, struct slice json)
{
	ASSERT(json.bytes > 0);
	write_text(writer, json.data, json.bytes);
}

void json_write_base64(struct json_writer *writer, struct slice bytes)
{
	uint8_t *room = begin_value(writer, base64_encoded_bytes(bytes.bytes) + 2);
	if (!room)
		return;
	*room++ = '"';
	room += base64_encode(bytes, room);
	*room++ = '"';
	end_value(writer, room);
}

int json_writer_finish(struct json_writer *writer)
{
	struct buffer *out = writer->out;
	int error = writer->error;
	if (error)
		buffer_truncate(out, writer->begin);
	else
		ASSERT(writer->complete);
	json_writer_init(writer, out);
	return error;
}
