#include "tests/unit/wire/suites.h"

#include "base/random.h"
#include "base/wire/base64.h"

#include <string.h>

START_TEST(vectors_of_the_standard)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"f", "Zg=="},
	    {"fo", "Zm8="},
	    {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff\xbf", "+/+/"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice plain = slice_from_text(cases[i][0]);
		struct slice encoded = slice_from_text(cases[i][1]);
		uint8_t text[16];
		ck_assert_uint_eq(base64_encode(plain, text), encoded.bytes);
		ck_assert(slice_equal(slice_of(text, encoded.bytes), encoded));
		size_t bytes;
		ck_assert_int_eq(base64_decode(encoded, text, &bytes), 0);
		ck_assert(slice_equal(slice_of(text, bytes), plain));
	}
}
END_TEST

START_TEST(what_is_not_strict_is_refused)
{
	static const char *const cases[] = {
	    "Z",
	    "Zg",
	    "Zg=",
	    "Zm8",
	    "Zm9vY",
	    "=",
	    "====",
	    "Z===",
	    "=Zm8",
	    "Zg==Zg==",
	    "Zm=v",
	    "Zm9v\n",
	    "Zm 9",
	    "Zm9-",
	    "Zm9_",
	    "Zh==",
	    "Zm9=",
	    "Zm8=\n",
	    "Zg\0=",
	    "\xff\xff\xff\xff",
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[16];
		size_t count = 77;
		int error = base64_decode(slice_from_text(cases[i]), bytes, &count);
		ck_assert_msg(error == ERR_PROTOCOL, "case %zu", i);
		ck_assert_uint_eq(count, 77);
	}
}
END_TEST

START_TEST(random_bytes_survive_also_in_place)
{
	struct random random;
	random_init(&random, 64);
	for (size_t bytes = 0; bytes < 300; bytes++) {
		uint8_t plain[300], text[400];
		random_bytes(&random, plain, bytes);
		size_t encoded = base64_encode(slice_of(plain, bytes), text);
		ck_assert_uint_eq(encoded, base64_encoded_bytes(bytes));
		ck_assert_uint_le(bytes, base64_decoded_bytes_max(encoded));
		size_t decoded;
		ck_assert_int_eq(base64_decode(slice_of(text, encoded), text, &decoded), 0);
		ck_assert(slice_equal(slice_of(text, decoded), slice_of(plain, bytes)));
	}
}
END_TEST

START_TEST(one_byte_string_has_one_encoding)
{
	/* All last groups of four characters: what decodes encodes to the same text. */
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	size_t accepted = 0;
	for (size_t i = 0; i < 65 * 65 * 65; i++) {
		char text[5] = "Q";
		text[1] = alphabet[i / 65 / 65];
		text[2] = alphabet[i / 65 % 65];
		text[3] = alphabet[i % 65];
		uint8_t bytes[3];
		size_t count;
		if (base64_decode(slice_from_text(text), bytes, &count))
			continue;
		accepted++;
		uint8_t again[4];
		EXPECT(base64_encode(slice_of(bytes, count), again) == 4);
		EXPECT(memcmp(again, text, 4) == 0);
	}
	/* The first byte's lowest two bits, and none, one or two bytes behind it. */
	ck_assert_uint_eq(accepted, 4 + 4 * 256 + 4 * 65536);
}
END_TEST

Suite *base64_suite(void)
{
	Suite *suite = suite_create("base64");
	TCase *tcase = tcase_create("base64");
	tcase_add_test(tcase, vectors_of_the_standard);
	tcase_add_test(tcase, what_is_not_strict_is_refused);
	tcase_add_test(tcase, random_bytes_survive_also_in_place);
	tcase_add_test(tcase, one_byte_string_has_one_encoding);
	suite_add_tcase(suite, tcase);
	return suite;
}
