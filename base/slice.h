/* A view of bytes that somebody else owns: valid as long as the owner says, never freed through. */
#ifndef KX_BASE_SLICE_H
#define KX_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data; /* may be NULL where bytes is 0 */
	size_t bytes;
};

static inline struct slice slice_of(const void *data, size_t bytes)
{
	return (struct slice){.data = data, .bytes = bytes};
}

static inline struct slice slice_from_text(const char *text)
{
	return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Order of unsigned bytes, a prefix before what it begins; the order of keys in the store. */
static inline int slice_compare(struct slice a, struct slice b)
{
	size_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = common ? memcmp(a.data, b.data, common) : 0;
	if (order != 0)
		return order;
	return (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

#endif
