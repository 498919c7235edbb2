/* What reading and writing JSON strings share: for base/wire/json_*.c, and for short ways to read
 * JSON elsewhere. */
#ifndef KX_BASE_WIRE_JSON_SCAN_H
#define KX_BASE_WIRE_JSON_SCAN_H

#include "base/bytes.h"

/* Printable ASCII other than quote and backslash: bytes that stand for themselves and need no look
 * at their neighbours. */
static inline bool json_is_plain(uint8_t byte)
{
	return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* The first byte in [at, end) that is not plain, or end. Eight bytes at a time: for each byte b the
 * highest bit of the sums says whether b < 0x20, b == '"', b == '\\' or b >= 0x80. A borrow can
 * make a byte after a true hit look like one, never one before it, so the lowest hit is right. */
static inline const uint8_t *json_skip_plain(const uint8_t *at, const uint8_t *end)
{
	const uint64_t ones = 0x0101010101010101u;
	while (end - at >= 8) {
		uint64_t word = load_u64le(at);
		uint64_t quote = (word ^ ones * '"') - ones;
		uint64_t backslash = (word ^ ones * '\\') - ones;
		uint64_t control = word - ones * 0x20;
		uint64_t hits = (quote | backslash | control | word) & ones * 0x80;
		if (hits != 0)
			return at + __builtin_ctzll(hits) / 8;
		at += 8;
	}
	while (at < end && json_is_plain(*at))
		at++;
	return at;
}

#endif
