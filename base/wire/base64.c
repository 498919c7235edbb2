#include "base/wire/base64.h"

#include "base/assert.h"

static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character plus one, so that the zeros of what is not named mean "none". */
static const uint8_t VALUE_PLUS_ONE[256] = {
    ['A'] = 1,
    ['B'] = 2,
    ['C'] = 3,
    ['D'] = 4,
    ['E'] = 5,
    ['F'] = 6,
    ['G'] = 7,
    ['H'] = 8,
    ['I'] = 9,
    ['J'] = 10,
    ['K'] = 11,
    ['L'] = 12,
    ['M'] = 13,
    ['N'] = 14,
    ['O'] = 15,
    ['P'] = 16,
    ['Q'] = 17,
    ['R'] = 18,
    ['S'] = 19,
    ['T'] = 20,
    ['U'] = 21,
    ['V'] = 22,
    ['W'] = 23,
    ['X'] = 24,
    ['Y'] = 25,
    ['Z'] = 26,
    ['a'] = 27,
    ['b'] = 28,
    ['c'] = 29,
    ['d'] = 30,
    ['e'] = 31,
    ['f'] = 32,
    ['g'] = 33,
    ['h'] = 34,
    ['i'] = 35,
    ['j'] = 36,
    ['k'] = 37,
    ['l'] = 38,
    ['m'] = 39,
    ['n'] = 40,
    ['o'] = 41,
    ['p'] = 42,
    ['q'] = 43,
    ['r'] = 44,
    ['s'] = 45,
    ['t'] = 46,
    ['u'] = 47,
    ['v'] = 48,
    ['w'] = 49,
    ['x'] = 50,
    ['y'] = 51,
    ['z'] = 52,
    ['0'] = 53,
    ['1'] = 54,
    ['2'] = 55,
    ['3'] = 56,
    ['4'] = 57,
    ['5'] = 58,
    ['6'] = 59,
    ['7'] = 60,
    ['8'] = 61,
    ['9'] = 62,
    ['+'] = 63,
    ['/'] = 64,
};

/* 0 to 63, or a number with bits above those. */
static inline uint32_t value_of(uint8_t character)
{
	return (uint32_t)VALUE_PLUS_ONE[character] - 1;
}

size_t base64_encode(struct slice from, uint8_t *to)
{
	uint8_t *out = to;
	size_t at = 0;
	for (; from.bytes - at >= 3; at += 3) {
		const uint8_t *in = from.data + at;
		uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
		*out++ = (uint8_t)ALPHABET[bits >> 18];
		*out++ = (uint8_t)ALPHABET[bits >> 12 & 63];
		*out++ = (uint8_t)ALPHABET[bits >> 6 & 63];
		*out++ = (uint8_t)ALPHABET[bits & 63];
	}
	if (at < from.bytes) {
		bool two = from.bytes - at == 2;
		uint32_t bits = (uint32_t)from.data[at] << 16;
		if (two)
			bits |= (uint32_t)from.data[at + 1] << 8;
		*out++ = (uint8_t)ALPHABET[bits >> 18];
		*out++ = (uint8_t)ALPHABET[bits >> 12 & 63];
		*out++ = two ? (uint8_t)ALPHABET[bits >> 6 & 63] : '=';
		*out++ = '=';
	}
	ASSERT((size_t)(out - to) == base64_encoded_bytes(from.bytes));
	return (size_t)(out - to);
}

int base64_decode(struct slice from, uint8_t *to, size_t *ret_bytes)
{
	if (from.bytes % 4 != 0)
		return ERR_PROTOCOL;
	size_t padding = 0;
	if (from.bytes > 0 && from.data[from.bytes - 1] == '=')
		padding = from.data[from.bytes - 2] == '=' ? 2 : 1;
	size_t whole = from.bytes - (padding > 0 ? 4 : 0);
	uint8_t *out = to;
	for (size_t at = 0; at < whole; at += 4) {
		const uint8_t *in = from.data + at;
		uint32_t a = value_of(in[0]), b = value_of(in[1]);
		uint32_t c = value_of(in[2]), d = value_of(in[3]);
		if ((a | b | c | d) > 63)
			return ERR_PROTOCOL;
		uint32_t bits = a << 18 | b << 12 | c << 6 | d;
		*out++ = (uint8_t)(bits >> 16);
		*out++ = (uint8_t)(bits >> 8);
		*out++ = (uint8_t)bits;
	}
	if (padding > 0) {
		const uint8_t *in = from.data + whole;
		uint32_t a = value_of(in[0]), b = value_of(in[1]);
		uint32_t c = padding == 1 ? value_of(in[2]) : 0;
		if ((a | b | c) > 63)
			return ERR_PROTOCOL;
		uint32_t bits = a << 18 | b << 12 | c << 6;
		if ((padding == 1 ? bits & 0xff : bits & 0xffff) != 0)
			return ERR_PROTOCOL;
		*out++ = (uint8_t)(bits >> 16);
		if (padding == 1)
			*out++ = (uint8_t)(bits >> 8);
	}
	ASSERT((size_t)(out - to) <= base64_decoded_bytes_max(from.bytes));
	*ret_bytes = (size_t)(out - to);
	return 0;
}
