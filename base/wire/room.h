/* Room at the end of a buffer, as the writers of this folder want it: the common case, where memory
 * suffices, inline. Include from base/wire/ only. */
#ifndef KX_BASE_WIRE_ROOM_H
#define KX_BASE_WIRE_ROOM_H

#include "base/assert.h"
#include "base/buffer.h"

/* As buffer_reserve, for bytes > 0. */
NODISCARD static inline int room_reserve(struct buffer *buffer, size_t bytes, uint8_t **ret_room)
{
	ASSERT(bytes > 0);
	/* Capacity is within bytes_max, so what fits memory fits the bound. */
	if (__builtin_expect(bytes <= buffer->capacity - buffer->end, 1)) {
		*ret_room = buffer->data + buffer->end;
		return 0;
	}
	return buffer_reserve(buffer, bytes, ret_room);
}

static inline void room_commit(struct buffer *buffer, const uint8_t *end)
{
	const uint8_t *room = buffer->data + buffer->end;
	ASSERT(end >= room && (size_t)(end - room) <= buffer->capacity - buffer->end);
	buffer->end += (size_t)(end - room);
}

#endif
