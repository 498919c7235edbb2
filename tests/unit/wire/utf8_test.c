#include "tests/unit/wire/suites.h"

#include "base/wire/utf8.h"

#include <stdio.h>
#include <stdlib.h>

START_TEST(well_formed_text_is_valid)
{
	static const struct {
		const char *text;
		size_t code_points;
	} cases[] = {
	    {"", 0},
	    {"a", 1},
	    {"plain ASCII that is longer than a word or two", 45},
	    {"\xc2\x80", 1},
	    {"\xdf\xbf", 1},
	    {"\xe0\xa0\x80", 1},
	    {"\xed\x9f\xbf", 1},
	    {"\xee\x80\x80", 1},
	    {"\xef\xbf\xbf", 1},
	    {"\xf0\x90\x80\x80", 1},
	    {"\xf4\x8f\xbf\xbf", 1},
	    {"gr\xc3\xbc\xc3\x9f"
	     "e, \xe4\xbd\xa0\xe5\xa5\xbd, \xf0\x9f\x98\x80!",
	        13},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice text = slice_from_text(cases[i].text);
		ck_assert_msg(utf8_valid(text), "case %zu", i);
		ck_assert_msg(utf8_count(text) == cases[i].code_points, "case %zu", i);
	}
	ck_assert(utf8_valid(slice_of("a\0b", 3)));
	ck_assert(utf8_valid(slice_of(NULL, 0)));
	ck_assert_uint_eq(utf8_count(slice_of(NULL, 0)), 0);
}
END_TEST

START_TEST(malformed_text_ends_the_valid_prefix)
{
	static const char *const cases[] = {
	    "\x80",
	    "\xbf",
	    "\xc0\x80",
	    "\xc1\xbf",
	    "\xc2",
	    "\xc2\x41",
	    "\xc2\xc2",
	    "\xe0\x80\x80",
	    "\xe0\x9f\xbf",
	    "\xe1\x80",
	    "\xe1\x80\x41",
	    "\xe1\x41\x80",
	    "\xed\xa0\x80",
	    "\xed\xbf\xbf",
	    "\xf0\x80\x80\x80",
	    "\xf0\x8f\xbf\xbf",
	    "\xf0\x90\x80",
	    "\xf0\x90\x80\x41",
	    "\xf0\x90\x41\x80",
	    "\xf0\x41\x80\x80",
	    "\xf4\x90\x80\x80",
	    "\xf5\x80\x80\x80",
	    "\xf8\x88\x80\x80\x80",
	    "\xfe",
	    "\xff",
	};
	static const char prefix[] = "valid \xc3\xa9 before";
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[64];
		int bytes = snprintf(text, sizeof(text), "%s%s", prefix, cases[i]);
		struct slice whole = slice_of(text, (size_t)bytes);
		ck_assert_msg(
		    utf8_valid_prefix(whole) == sizeof(prefix) - 1, "case %zu at the end", i);
		bytes = snprintf(text, sizeof(text), "%s%s and more", prefix, cases[i]);
		whole = slice_of(text, (size_t)bytes);
		ck_assert_msg(
		    utf8_valid_prefix(whole) == sizeof(prefix) - 1, "case %zu in between", i);
	}
}
END_TEST

START_TEST(every_code_point_survives_encoding)
{
	for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
		if (code_point >= 0xd800 && code_point <= 0xdfff)
			continue;
		uint8_t text[UTF8_SEQUENCE_BYTES_MAX];
		unsigned bytes = utf8_encode(code_point, text);
		size_t expected =
		    1u + (code_point >= 0x80) + (code_point >= 0x800) + (code_point >= 0x10000);
		EXPECT(bytes == expected);
		EXPECT(utf8_sequence(text, text + bytes) == bytes);
		static const uint8_t first_bits[] = {0x7f, 0x1f, 0x0f, 0x07};
		uint32_t decoded = text[0] & first_bits[bytes - 1];
		for (unsigned i = 1; i < bytes; i++)
			decoded = decoded << 6 | (text[i] & 0x3f);
		EXPECT(decoded == code_point);
	}
}
END_TEST

START_TEST(a_cut_never_splits_a_code_point)
{
	struct slice text = slice_from_text("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
	static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
	for (size_t max = 0; max < sizeof(expected) / sizeof(expected[0]); max++)
		ck_assert_uint_eq(utf8_cut(text, max), expected[max]);
	/* Not text at all: still near the bound. */
	ck_assert_uint_eq(utf8_cut(slice_from_text("\x80\x80\x80\x80\x80\x80"), 5), 2);
}
END_TEST

Suite *utf8_suite(void)
{
	Suite *suite = suite_create("utf8");
	TCase *tcase = tcase_create("utf8");
	tcase_add_test(tcase, well_formed_text_is_valid);
	tcase_add_test(tcase, malformed_text_ends_the_valid_prefix);
	tcase_add_test(tcase, every_code_point_survives_encoding);
	tcase_add_test(tcase, a_cut_never_splits_a_code_point);
	suite_add_tcase(suite, tcase);
	return suite;
}
