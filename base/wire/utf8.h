/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 *
 * Pure functions over bytes that the caller owns. Text with NUL bytes is valid.
 */
#ifndef KX_BASE_WIRE_UTF8_H
#define KX_BASE_WIRE_UTF8_H

#include "base/slice.h"

enum { UTF8_SEQUENCE_BYTES_MAX = 4 };

/* Bytes of the well-formed code point that begins at `at` (1 to 4), or 0 where none does; at < end.
 */
unsigned utf8_sequence(const uint8_t *at, const uint8_t *end);

/* Length of the longest valid prefix: text.bytes where all of it is valid. */
size_t utf8_valid_prefix(struct slice text);

static inline bool utf8_valid(struct slice text)
{
	return utf8_valid_prefix(text) == text.bytes;
}

/* Code points in valid text. */
size_t utf8_count(struct slice text);

/* The largest length <= bytes_max at which valid text can be cut without splitting a code point.
 * Text that is not valid is cut within 3 bytes of bytes_max all the same. */
size_t utf8_cut(struct slice text, size_t bytes_max);

/* Writes a code point (a scalar value: <= 0x10ffff and no surrogate); returns its bytes. */
unsigned utf8_encode(uint32_t code_point, uint8_t to[UTF8_SEQUENCE_BYTES_MAX]);

#endif
