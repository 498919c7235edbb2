#include "base/wire/decimal.h"

#include "base/assert.h"
#include "base/wire/decimal_powers.h"

__extension__ typedef unsigned __int128 uint128;

enum {
	/* IEEE 754 binary64. */
	MANTISSA_BITS = 52,
	EXPONENT_BIAS = 1023,
	EXPONENT_MASK = 0x7ff,

	/* Decimal digits that always fit 64 bits. */
	DIGITS_IN_WORD = 19,

	/* A point half way between two doubles has at most 767 significant digits: of what follows
	 * them, only whether it is zero matters. */
	DIGITS_THAT_MATTER = 768,

	/* Both sides of the exact comparison are (2^54 + 1) * 5^1093 at most, 2,593 bits. */
	BIG_WORDS = 48,

	/* Far outside what any double reaches, and far from overflowing sums of a few of them. */
	EXPONENT_LIMIT = 1 << 28,
};

static const uint64_t HIDDEN_BIT = (uint64_t)1 << MANTISSA_BITS;
static const uint64_t INFINITY_BITS = (uint64_t)EXPONENT_MASK << MANTISSA_BITS;
static const uint64_t SIGN_BIT = (uint64_t)1 << 63;

/* clang-format off */
static const uint64_t POWERS_OF_TEN[20] = {
    1u, 10u, 100u, 1000u, 10000u, 100000u, 1000000u, 10000000u,
    100000000u, 1000000000u, 10000000000u, 100000000000u, 1000000000000u,
    10000000000000u, 100000000000000u, 1000000000000000u, 10000000000000000u,
    100000000000000000u, 1000000000000000000u, 10000000000000000000u,
};
/* clang-format on */

static const char DIGIT_PAIRS[201] = "00010203040506070809"
                                     "10111213141516171819"
                                     "20212223242526272829"
                                     "30313233343536373839"
                                     "40414243444546474849"
                                     "50515253545556575859"
                                     "60616263646566676869"
                                     "70717273747576777879"
                                     "80818283848586878889"
                                     "90919293949596979899";

static inline double double_of(uint64_t bits)
{
	double value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* --- Reading ---------------------------------------------------------------------------------- */

/* A number's text, taken apart. */
struct number_text {
	struct slice whole;    /* digits before the point */
	struct slice fraction; /* digits after it, perhaps none */
	int64_t exponent;      /* as written, within EXPONENT_LIMIT */
};

/* The double nearest to mantissa * 10^exponent, ties to even, as bits without a sign; infinity
 * where it overflows. Follows compute_float of the first paper; the constants are derived there. */
static uint64_t nearest_double(uint64_t mantissa, int64_t exponent)
{
	if (mantissa == 0 || exponent < DECIMAL_POWER_MIN)
		return 0;
	if (exponent > 308)
		return INFINITY_BITS;
	int power = (int)exponent;
	struct decimal_power five = DECIMAL_POWERS[power - DECIMAL_POWER_MIN];
	/* Reciprocals of powers below 2^64 are rounded up, so that exact halves can be told. */
	if (power < 0 && power >= -27)
		five.low++;
	int zeros = __builtin_clzll(mantissa);
	mantissa <<= zeros;
	uint128 product = (uint128)mantissa * five.high;
	if (((uint64_t)(product >> 64) & 0x1ff) == 0x1ff) {
		/* What the low half of the power adds may carry into the bits that decide. */
		product += (uint128)mantissa * five.low >> 64;
	}
	uint64_t high = (uint64_t)(product >> 64);
	uint64_t low = (uint64_t)product;
	int top = (int)(high >> 63);
	/* One bit more than the mantissa has, for rounding. */
	int shift = top + 64 - MANTISSA_BITS - 3;
	uint64_t result = high >> shift;
	int binary = ((217706 * power) >> 16) + 63 + top - zeros + EXPONENT_BIAS;
	if (binary <= 0) {
		if (binary <= -63)
			return 0;
		result >>= 1 - binary;
		result += result & 1;
		/* Rounding may have made it the least normal number, whose bits are just these. */
		return result >> 1;
	}
	if (low <= 1 && power >= -4 && power <= 23 && (result & 3) == 1 && result << shift == high)
		result &= ~(uint64_t)1; /* an exact half: down to even */
	result += result & 1;
	result >>= 1;
	if (result >= HIDDEN_BIT << 1) {
		result = HIDDEN_BIT;
		binary++;
	}
	if (binary >= EXPONENT_MASK)
		return INFINITY_BITS;
	return (uint64_t)binary << MANTISSA_BITS | (result & (HIDDEN_BIT - 1));
}

/* A natural number, lowest word first; words[count - 1] != 0. */
struct big {
	unsigned count;
	uint64_t words[BIG_WORDS];
};

static void big_multiply_add(struct big *big, uint64_t factor, uint64_t add)
{
	uint64_t carry = add;
	for (unsigned i = 0; i < big->count; i++) {
		uint128 product = (uint128)big->words[i] * factor + carry;
		big->words[i] = (uint64_t)product;
		carry = (uint64_t)(product >> 64);
	}
	if (carry != 0) {
		ASSERT(big->count < BIG_WORDS);
		big->words[big->count++] = carry;
	}
}

static void big_multiply_by_power_of_five(struct big *big, int64_t exponent)
{
	ASSERT(exponent >= 0 && exponent < 1200);
	const uint64_t five_to_27 = 7450580596923828125u;
	for (; exponent >= 27; exponent -= 27)
		big_multiply_add(big, five_to_27, 0);
	for (; exponent > 0; exponent--)
		big_multiply_add(big, 5, 0);
}

static void big_shift_left(struct big *big, int64_t bits)
{
	ASSERT(bits >= 0 && bits < BIG_WORDS * 64);
	if (big->count == 0)
		return;
	unsigned words = (unsigned)bits / 64;
	ASSERT(big->count + words <= BIG_WORDS);
	memmove(big->words + words, big->words, big->count * sizeof(big->words[0]));
	memset(big->words, 0, words * sizeof(big->words[0]));
	big->count += words;
	big_multiply_add(big, (uint64_t)1 << bits % 64, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
	if (a->count != b->count)
		return a->count > b->count ? 1 : -1;
	for (unsigned i = a->count; i-- > 0;) {
		if (a->words[i] != b->words[i])
			return a->words[i] > b->words[i] ? 1 : -1;
	}
	return 0;
}

static inline size_t digits_of(const struct number_text *text)
{
	return text->whole.bytes + text->fraction.bytes;
}

static inline unsigned digit_at(const struct number_text *text, size_t index)
{
	if (index < text->whole.bytes)
		return text->whole.data[index] - (unsigned)'0';
	return text->fraction.data[index - text->whole.bytes] - (unsigned)'0';
}

/* Which of two neighbouring doubles the number is nearest to; it lies between `lower` and the next
 * one, and begins with the digit at index `first`. */
static uint64_t round_exactly(const struct number_text *text, size_t first, uint64_t lower)
{
	struct big number = {.count = 0};
	size_t digits = digits_of(text);
	size_t end = digits - first > DIGITS_THAT_MATTER ? first + DIGITS_THAT_MATTER : digits;
	for (size_t at = first; at < end;) {
		unsigned taken = 0;
		uint64_t word = 0;
		for (; at < end && taken < DIGITS_IN_WORD; at++, taken++)
			word = word * 10 + digit_at(text, at);
		big_multiply_add(&number, POWERS_OF_TEN[taken], word);
	}
	int64_t exponent = text->exponent - (int64_t)text->fraction.bytes + (int64_t)(digits - end);
	for (size_t at = end; at < digits; at++) {
		if (digit_at(text, at) == 0)
			continue;
		big_multiply_add(&number, 10, 1);
		exponent--;
		break;
	}

	uint64_t mantissa = lower & (HIDDEN_BIT - 1);
	int64_t binary = (int64_t)(lower >> MANTISSA_BITS);
	if (binary > 0)
		mantissa |= HIDDEN_BIT;
	else
		binary = 1;
	binary -= EXPONENT_BIAS + MANTISSA_BITS;
	/* Half way to the next double is (2 * mantissa + 1) * 2^(binary - 1). */
	struct big half = {.count = 1, .words = {2 * mantissa + 1}};
	if (exponent >= 0)
		big_multiply_by_power_of_five(&number, exponent);
	else
		big_multiply_by_power_of_five(&half, -exponent);
	int64_t shift = exponent - (binary - 1);
	if (shift >= 0)
		big_shift_left(&number, shift);
	else
		big_shift_left(&half, -shift);
	int order = big_compare(&number, &half);
	if (order == 0)
		return lower + (lower & 1);
	return order > 0 ? lower + 1 : lower;
}

/* For more digits than fit a word, leading zeros included. */
static uint64_t nearest_double_of_many_digits(const struct number_text *text)
{
	size_t digits = digits_of(text);
	size_t first = 0;
	while (first < digits && digit_at(text, first) == 0)
		first++;
	uint64_t mantissa = 0;
	size_t end = first;
	for (; end < digits && end - first < DIGITS_IN_WORD; end++)
		mantissa = mantissa * 10 + digit_at(text, end);
	int64_t exponent = text->exponent - (int64_t)text->fraction.bytes + (int64_t)(digits - end);
	uint64_t lower = nearest_double(mantissa, exponent);
	if (end == digits || lower == nearest_double(mantissa + 1, exponent))
		return lower;
	return round_exactly(text, first, lower);
}

static inline const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
	uint64_t sum = *value;
	for (; at < end; at++) {
		unsigned digit = (unsigned)*at - '0';
		if (digit > 9)
			break;
		sum = sum * 10 + digit;
	}
	*value = sum;
	return at;
}

static int finish_integer(uint64_t magnitude, size_t digits, bool negative, struct decimal *ret)
{
	/* Twenty digits without a leading zero are above 2^63 in any case. */
	if (digits > DIGITS_IN_WORD || magnitude > (uint64_t)INT64_MAX + negative)
		return ERR_NUMBER;
	ret->is_integer = true;
	ret->integer = (int64_t)(negative ? 0 - magnitude : magnitude);
	return 0;
}

/* Fraction and exponent; `mantissa` holds the digits read so far, modulo 2^64. */
static int finish_double(const uint8_t *at, const uint8_t *end, struct number_text *text,
    uint64_t mantissa, const uint8_t **ret_end, uint64_t *ret_bits)
{
	if (*at == '.') {
		const uint8_t *fraction = at + 1;
		at = skip_digits(fraction, end, &mantissa);
		if (at == fraction)
			return ERR_PROTOCOL;
		text->fraction = slice_of(fraction, (size_t)(at - fraction));
	}
	if (at < end && (*at | 0x20) == 'e') {
		at++;
		bool negative = at < end && *at == '-';
		if (at < end && (*at == '-' || *at == '+'))
			at++;
		const uint8_t *digits = at;
		for (; at < end && (unsigned)*at - '0' <= 9; at++) {
			if (text->exponent < EXPONENT_LIMIT)
				text->exponent = text->exponent * 10 + (*at - '0');
		}
		if (at == digits)
			return ERR_PROTOCOL;
		if (negative)
			text->exponent = -text->exponent;
	}
	uint64_t bits;
	if (digits_of(text) <= DIGITS_IN_WORD)
		bits = nearest_double(mantissa, text->exponent - (int64_t)text->fraction.bytes);
	else
		bits = nearest_double_of_many_digits(text);
	if (bits >= INFINITY_BITS)
		return ERR_NUMBER;
	*ret_end = at;
	*ret_bits = bits;
	return 0;
}

int decimal_parse(struct slice text, struct decimal *ret_number)
{
	if (text.bytes == 0)
		return ERR_PROTOCOL;
	const uint8_t *at = text.data;
	const uint8_t *end = text.data + text.bytes;
	bool negative = at < end && *at == '-';
	at += negative;
	const uint8_t *whole = at;
	uint64_t mantissa = 0;
	at = skip_digits(at, end, &mantissa);
	size_t digits = (size_t)(at - whole);
	if (digits == 0 || (*whole == '0' && digits > 1))
		return ERR_PROTOCOL;
	struct decimal number = {.is_integer = false};
	if (at == end || (*at != '.' && (*at | 0x20) != 'e')) {
		int error = finish_integer(mantissa, digits, negative, &number);
		if (error)
			return error;
	} else {
		struct number_text parts = {.whole = slice_of(whole, digits)};
		uint64_t bits;
		int error = finish_double(at, end, &parts, mantissa, &at, &bits);
		if (error)
			return error;
		number.number = double_of(negative ? bits | SIGN_BIT : bits);
	}
	number.bytes = (size_t)(at - text.data);
	*ret_number = number;
	return 0;
}

/* --- Writing ---------------------------------------------------------------------------------- */

static inline unsigned count_digits(uint64_t value)
{
	/* 1233 / 4096 is just above log10(2): at most one too many, for which we look. */
	unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
	unsigned digits = bits * 1233 >> 12;
	return digits + (value >= POWERS_OF_TEN[digits]) + (value == 0);
}

/* The digits of value, exactly `digits` of them, leading zeros included. */
static inline void write_digits(uint64_t value, uint8_t *to, unsigned digits)
{
	uint8_t *at = to + digits;
	while (at - to >= 2) {
		at -= 2;
		memcpy(at, DIGIT_PAIRS + value % 100 * 2, 2);
		value /= 100;
	}
	if (at > to)
		*--at = (uint8_t)('0' + value % 10);
}

size_t decimal_write_unsigned(uint64_t value, uint8_t *to)
{
	unsigned digits = count_digits(value);
	write_digits(value, to, digits);
	return digits;
}

size_t decimal_write_integer(int64_t value, uint8_t *to)
{
	if (value >= 0)
		return decimal_write_unsigned((uint64_t)value, to);
	*to = '-';
	return 1 + decimal_write_unsigned(0 - (uint64_t)value, to + 1);
}

size_t decimal_integer_bytes(int64_t value)
{
	if (value >= 0)
		return count_digits((uint64_t)value);
	return 1 + count_digits(0 - (uint64_t)value);
}

/* digits * 10^exponent. */
struct decimal_digits {
	uint64_t digits;
	int exponent;
};

/* The high 64 of the 192 bits of power * value, with the lowest bit set if anything below is. */
static inline uint64_t multiply_round_to_odd(struct decimal_power power, uint64_t value)
{
	uint128 low = (uint128)power.low * value;
	uint128 high = (uint128)power.high * value + (uint64_t)(low >> 64);
	return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The shortest decimal that reads back as the positive double mantissa * 2^exponent, the closest to
 * it where several are. Names and constants follow the paper (figures 6 to 10): the interval that
 * rounds to the double and the double itself are scaled by 4 * 10^-k, so that tests on integers
 * tell which multiples of 10^k and of 10^(k+1) lie inside. */
static struct decimal_digits shortest_digits(uint64_t mantissa, int exponent, bool is_power_of_two)
{
	bool odd = mantissa & 1; /* bounds round to even: an odd number's interval lacks them */
	uint64_t left = 4 * mantissa - 2 + is_power_of_two;
	uint64_t right = 4 * mantissa + 2;
	int k = (exponent * 1262611 - (is_power_of_two ? 524031 : 0)) >> 22;
	int h = exponent + ((-k * 1741647) >> 19) + 1;
	ASSERT(-k >= DECIMAL_POWER_MIN && -k <= DECIMAL_POWER_MAX);
	struct decimal_power power = DECIMAL_POWERS[-k - DECIMAL_POWER_MIN];
	if (-k < 0 || -k > 55)
		power.low++; /* the method wants inexact powers rounded up */
	uint64_t lower = multiply_round_to_odd(power, left << h) + odd;
	uint64_t middle = multiply_round_to_odd(power, 4 * mantissa << h);
	uint64_t upper = multiply_round_to_odd(power, right << h) - odd;
	uint64_t s = middle / 4;
	if (s >= 10) {
		uint64_t tens = s / 10;
		bool down = lower <= 40 * tens;
		bool up = 40 * tens + 40 <= upper;
		if (down != up)
			return (struct decimal_digits){tens + up, k + 1};
	}
	bool down = lower <= 4 * s;
	bool up = 4 * s + 4 <= upper;
	if (down != up)
		return (struct decimal_digits){s + up, k};
	uint64_t half = 4 * s + 2;
	bool round_up = middle > half || (middle == half && (s & 1) != 0);
	return (struct decimal_digits){s + round_up, k};
}

static size_t write_plain(uint64_t digits, unsigned count, int point, uint8_t *to)
{
	if (point <= 0) {
		unsigned zeros = (unsigned)-point;
		memcpy(to, "0.0000", 6);
		write_digits(digits, to + 2 + zeros, count);
		return 2 + zeros + count;
	}
	unsigned whole = (unsigned)point;
	write_digits(digits, to, count);
	if (whole < count) {
		memmove(to + whole + 1, to + whole, count - whole);
		to[whole] = '.';
		return count + 1;
	}
	memset(to + count, '0', whole - count);
	memcpy(to + whole, ".0", 2);
	return whole + 2;
}

static size_t write_scientific(uint64_t digits, unsigned count, int point, uint8_t *to)
{
	write_digits(digits, to + 1, count);
	to[0] = to[1];
	size_t bytes = 1;
	if (count > 1) {
		to[1] = '.';
		bytes = count + 1;
	}
	to[bytes++] = 'e';
	return bytes + decimal_write_integer(point - 1, to + bytes);
}

size_t decimal_write_double(double value, uint8_t *to)
{
	uint64_t bits = bits_of(value);
	uint64_t mantissa = bits & (HIDDEN_BIT - 1);
	int biased = (int)(bits >> MANTISSA_BITS & EXPONENT_MASK);
	ASSERT(biased != EXPONENT_MASK);
	size_t sign = bits >> 63;
	if (sign)
		*to++ = '-';
	if (biased == 0 && mantissa == 0) {
		memcpy(to, "0.0", 3);
		return sign + 3;
	}
	/* The distance to the next smaller double is half of that to the next larger one. */
	bool is_power_of_two = mantissa == 0 && biased > 1;
	int exponent = (biased > 0 ? biased : 1) - EXPONENT_BIAS - MANTISSA_BITS;
	if (biased > 0)
		mantissa |= HIDDEN_BIT;
	if (exponent <= 0 && exponent > -MANTISSA_BITS - 1 &&
	    (mantissa & (((uint64_t)1 << -exponent) - 1)) == 0) {
		size_t whole = decimal_write_unsigned(mantissa >> -exponent, to);
		memcpy(to + whole, ".0", 2);
		return sign + whole + 2;
	}
	struct decimal_digits shortest = shortest_digits(mantissa, exponent, is_power_of_two);
	while (shortest.digits % 10 == 0) {
		shortest.digits /= 10;
		shortest.exponent++;
	}
	unsigned count = count_digits(shortest.digits);
	ASSERT(count <= 17);
	/* Where the point stands: 0 is before the first digit. */
	int point = (int)count + shortest.exponent;
	if (point > -4 && point <= 16)
		return sign + write_plain(shortest.digits, count, point, to);
	return sign + write_scientific(shortest.digits, count, point, to);
}
