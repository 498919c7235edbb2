#include "base/buffer.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum {
	/* Below this the allocator's own rounding makes smaller steps pointless. */
	BUFFER_FIRST_BYTES = 128
};

void buffer_init(struct buffer *buffer, size_t bytes_max)
{
	ASSERT(bytes_max > 0);
	ASSERT(bytes_max <= SIZE_MAX / 4);
	*buffer = (struct buffer){.bytes_max = bytes_max};
}

void buffer_free(struct buffer *buffer)
{
	mem_free(buffer->data);
	*buffer = (struct buffer){.bytes_max = buffer->bytes_max};
}

/* Moves the content to the front of the memory it is in. */
static void buffer_compact(struct buffer *buffer)
{
	size_t content = buffer_bytes(buffer);
	memmove(buffer->data, buffer->data + buffer->begin, content);
	buffer->begin = 0;
	buffer->end = content;
}

static int buffer_grow(struct buffer *buffer, size_t needed)
{
	ASSERT(needed <= buffer->bytes_max);
	size_t capacity = buffer->capacity ? buffer->capacity * 2 : BUFFER_FIRST_BYTES;
	while (capacity < needed)
		capacity *= 2;
	if (capacity > buffer->bytes_max)
		capacity = buffer->bytes_max;
	if (buffer->begin > 0) {
		ASSERT(buffer->data);
		/* A fresh block, so that bytes already consumed are not copied by realloc. */
		uint8_t *data = mem_alloc(capacity);
		if (!data)
			return ERR_NOMEM;
		size_t content = buffer_bytes(buffer);
		memcpy(data, buffer->data + buffer->begin, content);
		mem_free(buffer->data);
		buffer->data = data;
		buffer->begin = 0;
		buffer->end = content;
	} else {
		uint8_t *data = mem_realloc(buffer->data, capacity);
		if (!data)
			return ERR_NOMEM;
		buffer->data = data;
	}
	buffer->capacity = capacity;
	return 0;
}

int buffer_reserve(struct buffer *buffer, size_t bytes, uint8_t **ret_room)
{
	ASSERT(buffer->begin <= buffer->end && buffer->end <= buffer->capacity);
	size_t content = buffer_bytes(buffer);
	if (bytes > buffer->bytes_max - content)
		return ERR_TOO_LARGE;
	if (bytes > buffer->capacity - buffer->end || !buffer->data) {
		/* Moving pays only where at least as much was consumed as must be moved; where
		 * memory cannot grow any more there is no choice. */
		bool fits = content + bytes <= buffer->capacity && buffer->data;
		if (fits && (buffer->begin >= content || buffer->capacity == buffer->bytes_max)) {
			buffer_compact(buffer);
		} else {
			int error = buffer_grow(buffer, content + bytes);
			if (error)
				return error;
		}
	}
	ASSERT(bytes <= buffer->capacity - buffer->end);
	*ret_room = buffer->data + buffer->end;
	return 0;
}

void buffer_commit(struct buffer *buffer, size_t bytes)
{
	ASSERT(bytes <= buffer->capacity - buffer->end);
	buffer->end += bytes;
}

int buffer_append(struct buffer *buffer, const void *from, size_t bytes)
{
	if (bytes == 0)
		return 0;
	uint8_t *room;
	int error = buffer_reserve(buffer, bytes, &room);
	if (error)
		return error;
	memcpy(room, from, bytes);
	buffer->end += bytes;
	return 0;
}

int buffer_append_slice(struct buffer *buffer, struct slice from)
{
	return buffer_append(buffer, from.data, from.bytes);
}

int buffer_append_text(struct buffer *buffer, const char *text)
{
	return buffer_append(buffer, text, strlen(text));
}

int buffer_append_u8(struct buffer *buffer, uint8_t byte)
{
	return buffer_append(buffer, &byte, 1);
}

int buffer_append_format(struct buffer *buffer, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		return ERR_INVALID;
	/* vsnprintf also writes a terminating 0, for which there may be no room in the buffer:
	 * print aside, then copy. */
	if ((size_t)length > buffer_left(buffer))
		return ERR_TOO_LARGE;
	char small[256];
	char *text = (size_t)length < sizeof(small) ? small : mem_alloc((size_t)length + 1);
	if (!text)
		return ERR_NOMEM;
	va_start(arguments, format);
	vsnprintf(text, (size_t)length + 1, format, arguments);
	va_end(arguments);
	int error = buffer_append(buffer, text, (size_t)length);
	if (text != small)
		mem_free(text);
	return error;
}

void buffer_consume(struct buffer *buffer, size_t bytes)
{
	ASSERT(bytes <= buffer_bytes(buffer));
	buffer->begin += bytes;
	if (buffer->begin == buffer->end)
		buffer_clear(buffer);
}

void buffer_truncate(struct buffer *buffer, size_t bytes)
{
	ASSERT(bytes <= buffer_bytes(buffer));
	buffer->end = buffer->begin + bytes;
	if (bytes == 0)
		buffer_clear(buffer);
}

void buffer_clear(struct buffer *buffer)
{
	buffer->begin = 0;
	buffer->end = 0;
}

void buffer_trim(struct buffer *buffer, size_t bytes_keep)
{
	if (buffer_bytes(buffer) == 0 && buffer->capacity > bytes_keep)
		buffer_done(buffer);
}
