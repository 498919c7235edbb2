#include "tests/unit/wire/suites.h"

#include "base/random.h"
#include "base/wire/decimal.h"
#include "base/wire/decimal_powers.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct decimal parse(const char *text)
{
	struct decimal number = {.bytes = 0};
	int error = decimal_parse(slice_from_text(text), &number);
	ck_assert_msg(error == 0, "\"%s\" gives %s", text, error_name(error));
	ck_assert_msg(number.bytes == strlen(text), "\"%s\" is read in part", text);
	return number;
}

static uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The C library's strtod rounds correctly too. */
static void expect_like_strtod(const char *text)
{
	double expected = strtod(text, NULL);
	if (isinf(expected)) {
		struct decimal number;
		ck_assert_int_eq(decimal_parse(slice_from_text(text), &number), ERR_NUMBER);
		return;
	}
	struct decimal number = parse(text);
	ck_assert(!number.is_integer);
	ck_assert_msg(bits_of(number.number) == bits_of(expected), "\"%s\": %.17g, not %.17g", text,
	    number.number, expected);
}

START_TEST(integers_are_exact_to_the_last_bit)
{
	static const struct {
		const char *text;
		int64_t value;
	} cases[] = {
	    {"0", 0},
	    {"-0", 0},
	    {"7", 7},
	    {"-1", -1},
	    {"9007199254740993", 9007199254740993},
	    {"9223372036854775807", INT64_MAX},
	    {"-9223372036854775808", INT64_MIN},
	    {"-9223372036854775807", -INT64_MAX},
	    {"1000000000000000000", 1000000000000000000},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decimal number = parse(cases[i].text);
		ck_assert(number.is_integer);
		ck_assert_int_eq(number.integer, cases[i].value);
	}
}
END_TEST

/* Half way between the largest double and what would be the next. */
static const char HALF_WAY_TO_INFINITY[] =
    "17976931348623158079372897140530341507993413271003782693617377898044496829276475094664"
    "90179775872070963302864166928879109465555478519404026306574886715058206819089020007083"
    "83676273854845817711531764475730270069855571366959622842914819860834936475292719074168"
    "444365510704342711559699508093042880177904174497792.0";

START_TEST(numbers_out_of_range_are_errors)
{
	static const char *const cases[] = {
	    "9223372036854775808",
	    "-9223372036854775809",
	    "18446744073709551616",
	    "18446744073709551617",
	    "99999999999999999999",
	    "100000000000000000000000000000",
	    "1e309",
	    "-1e309",
	    "1.7976931348623159e308",
	    "1e999999999999999999999",
	    HALF_WAY_TO_INFINITY,
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decimal number = {.bytes = 77};
		int error = decimal_parse(slice_from_text(cases[i]), &number);
		ck_assert_msg(error == ERR_NUMBER, "%s", cases[i]);
		ck_assert_uint_eq(number.bytes, 77);
	}
}
END_TEST

START_TEST(malformed_numbers_are_refused)
{
	static const char *const cases[] = {"", "-", "+1", ".5", "-.5", "1.", "1.e5", "01", "-01",
	    "00", "1e", "1e+", "1E-", "1.5e", "e5", "x", "-x", "--1", "inf", "nan", " 1"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decimal number;
		int error = decimal_parse(slice_from_text(cases[i]), &number);
		ck_assert_msg(error == ERR_PROTOCOL, "\"%s\"", cases[i]);
	}
}
END_TEST

START_TEST(what_follows_a_number_is_left_alone)
{
	struct decimal number;
	ck_assert_int_eq(decimal_parse(slice_from_text("12,3"), &number), 0);
	ck_assert_uint_eq(number.bytes, 2);
	ck_assert_int_eq(decimal_parse(slice_from_text("1.5.5"), &number), 0);
	ck_assert_uint_eq(number.bytes, 3);
	ck_assert_int_eq(decimal_parse(slice_from_text("2e3e4"), &number), 0);
	ck_assert_uint_eq(number.bytes, 3);
	/* And is not even looked at behind the end. */
	ck_assert_int_eq(decimal_parse(slice_of("12345", 3), &number), 0);
	ck_assert_int_eq(number.integer, 123);
}
END_TEST

START_TEST(hard_doubles_are_read_right)
{
	static const char *const cases[] = {
	    "0.0",
	    "-0.0",
	    "0e5",
	    "0.1",
	    "0.3",
	    "19.99",
	    "1e22",
	    "1e23",
	    "1E+0",
	    "8.5e-0001",
	    "1.7976931348623157e308",
	    "2.2250738585072014e-308",
	    "2.2250738585072011e-308",
	    "4.9406564584124654e-324",
	    "2.4703282292062327e-324",
	    "2.4703282292062328e-324",
	    "1e-400",
	    "-1e-400",
	    "1e-99999999999999",
	    "9007199254740992.0",
	    "9007199254740993.0",
	    "9007199254740993.000000000000000000000000000000000000001",
	    "9007199254740992.999999999999999999999999999999999999999",
	    "9007199254740995.0",
	    "0.000000000000000000000000000000000000000000000000000001234567890123456789",
	    "123456789012345678901234567890e-30",
	    "7.2057594037927933e16",
	    "9.5367431640625e-07",
	    "1090544144181609348671888949248.0",
	    "1090544144181609348835077142190.0",
	    "6.631236846766476e-316",
	    "3.2e-319",
	    "1.00000000000000011102230246251565404",
	    "1.00000000000000011102230246251565404236316680908203125",
	    "1.00000000000000011102230246251565404236316680908203124",
	    "1.00000000000000011102230246251565404236316680908203126",
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_like_strtod(cases[i]);
}
END_TEST

START_TEST(random_decimals_are_read_like_strtod)
{
	struct random random;
	random_init(&random, 1);
	for (unsigned i = 0; i < UNIT_ROUNDS(100000); i++) {
		char text[128];
		uint64_t a = random_u64(&random) >> random_below(&random, 64);
		uint64_t b = random_u64(&random) >> random_below(&random, 64);
		int exponent = (int)random_below(&random, 700) - 350;
		snprintf(text, sizeof(text), "%" PRIu64 ".%" PRIu64 "e%d", a, b, exponent);
		expect_like_strtod(text);
		snprintf(text, sizeof(text), "%" PRIu64 "E%d", a, exponent);
		expect_like_strtod(text);
		int zeros = (int)random_below(&random, 30) + 1;
		snprintf(text, sizeof(text), "0.%0*d%" PRIu64, zeros, 0, a);
		expect_like_strtod(text);
	}
}
END_TEST

/* A finite double: any bits, or a small number of a few decimals. */
static double random_double(struct random *random)
{
	for (;;) {
		uint64_t bits = random_u64(random);
		double value;
		memcpy(&value, &bits, sizeof(value));
		if (random_chance(random, 1, 4))
			value = (double)(int64_t)(bits >> 40) / 1000;
		if (isfinite(value))
			return value;
	}
}

START_TEST(points_half_way_between_two_doubles_go_to_the_even_one)
{
	struct random random;
	random_init(&random, 2);
	for (unsigned i = 0; i < 3000; i++) {
		double value = fabs(random_double(&random));
		double next = nextafter(value, (double)INFINITY);
		if (value > 1e300 || value == 0)
			continue;
		/* Long doubles have room for the one bit more; all its digits are printed. */
		long double half = ((long double)value + (long double)next) / 2;
		char text[1300];
		int bytes = snprintf(text, sizeof(text), "%.1100Le", half);
		ck_assert_int_lt(bytes, (int)sizeof(text));
		expect_like_strtod(text);
		/* A last digit, far behind, decides. */
		char *exponent = strchr(text, 'e');
		exponent[-1] = '1';
		struct decimal number = parse(text);
		ck_assert(bits_of(number.number) == bits_of(next));
	}
}
END_TEST

START_TEST(integers_are_written_without_loss)
{
	struct random random;
	random_init(&random, 3);
	for (unsigned i = 0; i < UNIT_ROUNDS(200000); i++) {
		uint64_t value = random_u64(&random) >> random_below(&random, 64);
		if (i < 64)
			value = (uint64_t)1 << i;
		if (i >= 64 && i < 128)
			value = ((uint64_t)1 << (i - 64)) - 1;
		char expected[32];
		uint8_t text[DECIMAL_INTEGER_BYTES_MAX];
		int bytes = snprintf(expected, sizeof(expected), "%" PRIu64, value);
		EXPECT(decimal_write_unsigned(value, text) == (size_t)bytes);
		EXPECT(memcmp(text, expected, (size_t)bytes) == 0);
		int64_t number = (int64_t)value;
		bytes = snprintf(expected, sizeof(expected), "%" PRId64, number);
		EXPECT(decimal_integer_bytes(number) == (size_t)bytes);
		EXPECT(decimal_write_integer(number, text) == (size_t)bytes);
		EXPECT(memcmp(text, expected, (size_t)bytes) == 0);
	}
	for (uint64_t power = 1;; power *= 10) {
		for (uint64_t value = power - 1; value <= power + 1; value++) {
			char expected[32];
			uint8_t text[DECIMAL_INTEGER_BYTES_MAX];
			int bytes = snprintf(expected, sizeof(expected), "%" PRIu64, value);
			ck_assert_uint_eq(decimal_write_unsigned(value, text), (size_t)bytes);
			ck_assert_mem_eq(text, expected, (size_t)bytes);
		}
		if (power == 10000000000000000000u)
			break;
	}
}
END_TEST

static void expect_written(double value, const char *expected)
{
	uint8_t text[DECIMAL_DOUBLE_BYTES_MAX];
	size_t bytes = decimal_write_double(value, text);
	ck_assert_msg(slice_equal(slice_of(text, bytes), slice_from_text(expected)),
	    "\"%.*s\", not \"%s\"", (int)bytes, (const char *)text, expected);
}

START_TEST(doubles_are_written_short_and_stay_doubles)
{
	expect_written(0.0, "0.0");
	expect_written(-0.0, "-0.0");
	expect_written(5.0, "5.0");
	expect_written(-5.0, "-5.0");
	expect_written(100.0, "100.0");
	expect_written(0.1, "0.1");
	expect_written(0.1 + 0.2, "0.30000000000000004");
	expect_written(19.99, "19.99");
	expect_written(-1234.5, "-1234.5");
	expect_written(0.0001, "0.0001");
	expect_written(0.00001, "1e-5");
	expect_written(0.000025, "2.5e-5");
	expect_written(9007199254740992.0, "9007199254740992.0");
	expect_written(9007199254740994.0, "9007199254740994.0");
	expect_written(9999999999999998.0, "9999999999999998.0");
	expect_written(1e15, "1000000000000000.0");
	expect_written(1e16, "1e16");
	expect_written(1e22, "1e22");
	expect_written(1e23, "1e23");
	expect_written(1.5e300, "1.5e300");
	expect_written(5e-324, "5e-324");
	expect_written(DBL_MIN, "2.2250738585072014e-308");
	expect_written(DBL_MAX, "1.7976931348623157e308");
	expect_written(-2.2250738585072011e-308, "-2.225073858507201e-308");
	expect_written(9.5367431640625e-07, "9.5367431640625e-7");
	expect_written(123456.789e3, "123456789.0");
	expect_written(0.3, "0.3");
	expect_written(2.0 / 3.0, "0.6666666666666666");
}
END_TEST

/* Digits without leading and trailing zeros. */
static int significant_digits(const uint8_t *text, size_t bytes)
{
	int digits = 0;
	int trailing_zeros = 0;
	for (size_t i = 0; i < bytes && text[i] != 'e'; i++) {
		if (text[i] < '0' || text[i] > '9' || (digits == 0 && text[i] == '0'))
			continue;
		digits++;
		trailing_zeros = text[i] == '0' ? trailing_zeros + 1 : 0;
	}
	return digits - trailing_zeros;
}

START_TEST(random_doubles_survive_in_as_few_digits_as_can_be)
{
	struct random random;
	random_init(&random, 4);
	for (unsigned i = 0; i < UNIT_ROUNDS(100000); i++) {
		double value = random_double(&random);
		if (i < 2046) {
			/* Every power of two, whose neighbours stand at unequal distances. */
			uint64_t bits = (uint64_t)(i + 1) << 52;
			memcpy(&value, &bits, sizeof(value));
		}
		uint8_t text[DECIMAL_DOUBLE_BYTES_MAX + 1];
		size_t bytes = decimal_write_double(value, text);
		ck_assert_uint_le(bytes, DECIMAL_DOUBLE_BYTES_MAX);
		text[bytes] = '\0';
		struct decimal number = parse((const char *)text);
		ck_assert(!number.is_integer);
		ck_assert_msg(bits_of(number.number) == bits_of(value), "%.17g", value);
		if (value == 0)
			continue;
		/* The shortest that the C library finds, correctly rounded, is no shorter. */
		int digits = 1;
		char expected[64];
		for (; digits < 17; digits++) {
			snprintf(expected, sizeof(expected), "%.*e", digits - 1, value);
			if (bits_of(strtod(expected, NULL)) == bits_of(value))
				break;
		}
		ck_assert_msg(
		    significant_digits(text, bytes) <= digits, "%s for %.17g", text, value);
	}
}
END_TEST

/* Natural numbers of up to 2,048 bits, lowest word first: only what the table needs. */
enum { WORDS = 64 };

static void multiply(uint32_t number[WORDS], uint32_t factor)
{
	uint64_t carry = 0;
	for (unsigned i = 0; i < WORDS; i++) {
		carry += (uint64_t)number[i] * factor;
		number[i] = (uint32_t)carry;
		carry >>= 32;
	}
	ck_assert_uint_eq(carry, 0);
}

static bool subtract_if_not_less(uint32_t from[WORDS], const uint32_t number[WORDS])
{
	for (unsigned i = WORDS; i-- > 0;) {
		if (from[i] < number[i])
			return false;
		if (from[i] > number[i])
			break;
	}
	int64_t borrow = 0;
	for (unsigned i = 0; i < WORDS; i++) {
		borrow += (int64_t)from[i] - number[i];
		from[i] = (uint32_t)borrow;
		borrow >>= 32;
	}
	return true;
}

static unsigned bit_length(const uint32_t number[WORDS])
{
	for (unsigned i = WORDS; i-- > 0;) {
		if (number[i])
			return 32 * i + 32 - (unsigned)__builtin_clz(number[i]);
	}
	return 0;
}

static bool bit_at(const uint32_t number[WORDS], int index)
{
	return index >= 0 && (number[index / 32] >> index % 32 & 1);
}

static void append_bit(struct decimal_power *power, bool bit)
{
	power->high = power->high << 1 | power->low >> 63;
	power->low = power->low << 1 | bit;
}

START_TEST(table_of_powers_is_what_it_claims)
{
	uint32_t power[WORDS] = {1};
	for (int exponent = 0; exponent <= DECIMAL_POWER_MAX; exponent++) {
		unsigned length = bit_length(power);
		struct decimal_power top = {0, 0};
		for (int i = 0; i < 128; i++)
			append_bit(&top, bit_at(power, (int)length - 1 - i));
		const struct decimal_power *entry = &DECIMAL_POWERS[exponent - DECIMAL_POWER_MIN];
		ck_assert_msg(entry->high == top.high && entry->low == top.low, "5^%d", exponent);
		multiply(power, 5);
	}
	memset(power, 0, sizeof(power));
	power[0] = 5;
	for (int exponent = -1; exponent >= DECIMAL_POWER_MIN; exponent--) {
		/* Long division of the power of two above by this power of five: the quotient's
		 * first bit is 1, and 127 more are taken. */
		unsigned length = bit_length(power);
		uint32_t rest[WORDS] = {0};
		rest[length / 32] = (uint32_t)1 << length % 32;
		struct decimal_power top = {0, 0};
		for (int i = 0; i < 128; i++) {
			append_bit(&top, subtract_if_not_less(rest, power));
			multiply(rest, 2);
		}
		const struct decimal_power *entry = &DECIMAL_POWERS[exponent - DECIMAL_POWER_MIN];
		ck_assert_msg(entry->high == top.high && entry->low == top.low, "5^%d", exponent);
		/* Code rounds it up by adding one to the low half. */
		ck_assert_uint_ne(entry->low, UINT64_MAX);
		if (exponent > DECIMAL_POWER_MIN)
			multiply(power, 5);
	}
}
END_TEST

Suite *decimal_suite(void)
{
	Suite *suite = suite_create("decimal");
	TCase *tcase = tcase_create("decimal");
	tcase_add_test(tcase, integers_are_exact_to_the_last_bit);
	tcase_add_test(tcase, numbers_out_of_range_are_errors);
	tcase_add_test(tcase, malformed_numbers_are_refused);
	tcase_add_test(tcase, what_follows_a_number_is_left_alone);
	tcase_add_test(tcase, hard_doubles_are_read_right);
	tcase_add_test(tcase, random_decimals_are_read_like_strtod);
	tcase_add_test(tcase, points_half_way_between_two_doubles_go_to_the_even_one);
	tcase_add_test(tcase, integers_are_written_without_loss);
	tcase_add_test(tcase, doubles_are_written_short_and_stay_doubles);
	tcase_add_test(tcase, random_doubles_survive_in_as_few_digits_as_can_be);
	tcase_add_test(tcase, table_of_powers_is_what_it_claims);
	suite_add_tcase(suite, tcase);
	return suite;
}
