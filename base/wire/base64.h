/* Base64 of RFC 4648 section 4: the standard alphabet, always padded.
 *
 * Decoding is strict, so that one byte string has one encoding: no white space, no missing or extra
 * padding, and the bits under the padding are zero. Pure functions; the caller owns all memory.
 */
#ifndef KX_BASE_WIRE_BASE64_H
#define KX_BASE_WIRE_BASE64_H

#include "base/error.h"
#include "base/slice.h"

/* Characters that `bytes` bytes encode to; bytes <= SIZE_MAX / 4 * 3 - 3. */
static inline size_t base64_encoded_bytes(size_t bytes)
{
	return (bytes + 2) / 3 * 4;
}

/* An upper bound of what `bytes` characters decode to, at most 2 above the truth. */
static inline size_t base64_decoded_bytes_max(size_t bytes)
{
	return bytes / 4 * 3;
}

/* Writes exactly base64_encoded_bytes(from.bytes) characters, no NUL; returns how many. */
size_t base64_encode(struct slice from, uint8_t *to);

/* Room at `to`: base64_decoded_bytes_max(from.bytes); what was written there is undefined after a
 * failure. ERR_PROTOCOL: not base64 in the strict sense. `to` may be from.data itself. */
NODISCARD int base64_decode(struct slice from, uint8_t *to, size_t *ret_bytes);

#endif
