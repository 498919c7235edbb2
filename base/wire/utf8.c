#include "base/wire/utf8.h"

#include "base/assert.h"
#include "base/bytes.h"

static const uint64_t HIGH_BITS = 0x8080808080808080u;

static inline bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* The second byte's range depends on the first: it excludes overlong forms (E0, F0), surrogates
 * (ED) and what lies above U+10FFFF (F4). Table 3-7 of the Unicode standard. */
unsigned utf8_sequence(const uint8_t *at, const uint8_t *end)
{
	ASSERT(at < end);
	uint8_t first = at[0];
	if (first < 0x80)
		return 1;
	size_t left = (size_t)(end - at);
	if (first < 0xc2 || first > 0xf4 || left < 2)
		return 0;
	if (first < 0xe0)
		return is_continuation(at[1]) ? 2 : 0;
	if (left < 3 || !is_continuation(at[2]))
		return 0;
	if (first < 0xf0) {
		uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
		uint8_t high = first == 0xed ? 0x9f : 0xbf;
		return at[1] >= low && at[1] <= high ? 3 : 0;
	}
	if (left < 4 || !is_continuation(at[3]))
		return 0;
	uint8_t low = first == 0xf0 ? 0x90 : 0x80;
	uint8_t high = first == 0xf4 ? 0x8f : 0xbf;
	return at[1] >= low && at[1] <= high ? 4 : 0;
}

size_t utf8_valid_prefix(struct slice text)
{
	if (text.bytes == 0)
		return 0;
	const uint8_t *at = text.data;
	const uint8_t *end = at + text.bytes;
	while (at < end) {
		while (end - at >= 8 && (load_u64le(at) & HIGH_BITS) == 0)
			at += 8;
		/* Text that is not ASCII stays so for a while: no word at a time until it ends. */
		while (at < end && *at < 0x80)
			at++;
		while (at < end && *at >= 0x80) {
			unsigned bytes = utf8_sequence(at, end);
			if (bytes == 0)
				return (size_t)(at - text.data);
			at += bytes;
		}
	}
	return text.bytes;
}

size_t utf8_count(struct slice text)
{
	size_t continuations = 0;
	size_t at = 0;
	for (; text.bytes - at >= 8; at += 8) {
		uint64_t word = load_u64le(text.data + at);
		/* A continuation has bit 7 set and bit 6 clear. */
		uint64_t found = word & ~(word << 1) & HIGH_BITS;
		continuations += (size_t)__builtin_popcountll(found);
	}
	for (; at < text.bytes; at++)
		continuations += is_continuation(text.data[at]);
	return text.bytes - continuations;
}

size_t utf8_cut(struct slice text, size_t bytes_max)
{
	if (text.bytes <= bytes_max)
		return text.bytes;
	size_t cut = bytes_max;
	for (unsigned back = 0; back < 3 && cut > 0 && is_continuation(text.data[cut]); back++)
		cut--;
	return cut;
}

unsigned utf8_encode(uint32_t code_point, uint8_t to[UTF8_SEQUENCE_BYTES_MAX])
{
	ASSERT(code_point <= 0x10ffff);
	ASSERT(code_point < 0xd800 || code_point > 0xdfff);
	if (code_point < 0x80) {
		to[0] = (uint8_t)code_point;
		return 1;
	}
	if (code_point < 0x800) {
		to[0] = (uint8_t)(0xc0 | code_point >> 6);
		to[1] = (uint8_t)(0x80 | (code_point & 0x3f));
		return 2;
	}
	if (code_point < 0x10000) {
		to[0] = (uint8_t)(0xe0 | code_point >> 12);
		to[1] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
		to[2] = (uint8_t)(0x80 | (code_point & 0x3f));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | code_point >> 18);
	to[1] = (uint8_t)(0x80 | (code_point >> 12 & 0x3f));
	to[2] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
	to[3] = (uint8_t)(0x80 | (code_point & 0x3f));
	return 4;
}
