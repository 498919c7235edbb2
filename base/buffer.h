/* A growable run of bytes, appended at the end and consumed at the front: connection input and
 * output, encoded entries, replies.
 *
 * The owner embeds it and calls buffer_init and buffer_done. Pointers into it (buffer_view,
 * buffer_reserve) are valid until the next call that may append, or buffer_done. One thread.
 *
 * Content and memory are both at most bytes_max. Appending is amortised O(bytes) while the content
 * stays below half of bytes_max; above that, a front consumed in small pieces may cost a move of
 * the whole content for each append.
 */
#ifndef KX_BASE_BUFFER_H
#define KX_BASE_BUFFER_H

#include "base/error.h"
#include "base/slice.h"

struct buffer {
	uint8_t *data;
	size_t begin; /* content is data[begin .. end) */
	size_t end;
	size_t capacity;
	size_t bytes_max;
};

/* bytes_max > 0. Allocates nothing. */
void buffer_init(struct buffer *buffer, size_t bytes_max);

/* Frees the memory; the buffer is empty and may be used again or done again. */
void buffer_free(struct buffer *buffer); /* buffer.c's */
static inline void buffer_done(struct buffer *buffer)
{
	/* Most have none. */
	if (buffer->data)
		buffer_free(buffer);
}

/* Room for `bytes` more at the end, which buffer_commit then makes content (as much of it as was
 * used). ERR_TOO_LARGE: content would pass bytes_max. ERR_NOMEM. On failure nothing changes. */
NODISCARD int buffer_reserve(struct buffer *buffer, size_t bytes, uint8_t **ret_room);

/* At most as many bytes as the last buffer_reserve gave. */
void buffer_commit(struct buffer *buffer, size_t bytes);

/* Errors as buffer_reserve. The source must not lie inside the buffer. */
NODISCARD int buffer_append(struct buffer *buffer, const void *from, size_t bytes);
NODISCARD int buffer_append_slice(struct buffer *buffer, struct slice from);
NODISCARD int buffer_append_text(struct buffer *buffer, const char *text);
NODISCARD int buffer_append_u8(struct buffer *buffer, uint8_t byte);
NODISCARD __attribute__((format(printf, 2, 3))) int buffer_append_format(
    struct buffer *buffer, const char *format, ...);

/* Takes `bytes` (at most the content) away from the front, or keeps only the first `bytes`. */
void buffer_consume(struct buffer *buffer, size_t bytes);
void buffer_truncate(struct buffer *buffer, size_t bytes);

/* Empty, memory kept for the next use. */
void buffer_clear(struct buffer *buffer);

/* Gives memory back when the buffer is empty and holds more than `bytes_keep` of it: what one large
 * request made grow must not stay with an idle connection. */
void buffer_trim(struct buffer *buffer, size_t bytes_keep);

static inline size_t buffer_bytes(const struct buffer *buffer)
{
	return buffer->end - buffer->begin;
}

/* How much more may ever be appended. */
static inline size_t buffer_left(const struct buffer *buffer)
{
	return buffer->bytes_max - buffer_bytes(buffer);
}

static inline struct slice buffer_view(const struct buffer *buffer)
{
	if (buffer->begin == buffer->end)
		return slice_of(NULL, 0);
	return slice_of(buffer->data + buffer->begin, buffer->end - buffer->begin);
}

#endif
