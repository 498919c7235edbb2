#include "tests/unit/wire/suites.h"

#include "base/limits.h"
#include "base/wire/address.h"

#include <string.h>

static int parse(const char *text)
{
	struct address address;
	const char *why = NULL;
	int error = address_parse(slice_from_text(text), &address, &why);
	ck_assert_int_eq(error != 0, why != NULL);
	return error;
}

START_TEST(the_first_slash_ends_the_type)
{
	struct address address;
	struct slice text = slice_from_text("cart/a/b");
	ck_assert_int_eq(address_parse(text, &address, NULL), 0);
	ck_assert(slice_equal(address.type, slice_from_text("cart")));
	ck_assert(slice_equal(address.id, slice_from_text("a/b")));
	ck_assert(slice_equal(address.text, text));
}
END_TEST

START_TEST(addresses_that_are_none_are_refused_with_a_reason)
{
	static const char *const bad[] = {"", "cart", "/c1", "cart/", "Cart/c1", "1cart/c1",
	    "ca-rt/c1", "cart/a\nb", "cart/a\x7f", "cart/\xc2\x85", "cart/\xff", "cart/\xc0\xaf",
	    "cart/\xed\xa0\x80"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(parse(bad[i]) == ERR_INVALID, "%s", bad[i]);
	ck_assert_int_eq(parse("cart/\xc3\xa4 \xe2\x82\xac {x}"), 0);
	ck_assert_int_eq(parse("cart/\xc2\xa0"), 0); /* the first that is no control character */
}
END_TEST

START_TEST(lengths_are_bounded_exactly)
{
	char text[NAME_BYTES_MAX + 1 + ID_BYTES_MAX + 2];
	struct address address;
	memset(text, 'a', sizeof(text));
	text[NAME_BYTES_MAX] = '/';
	ck_assert_int_eq(
	    address_parse(slice_of(text, NAME_BYTES_MAX + 1 + ID_BYTES_MAX), &address, NULL), 0);
	ck_assert_int_eq(
	    address_parse(slice_of(text, NAME_BYTES_MAX + 2 + ID_BYTES_MAX), &address, NULL),
	    ERR_INVALID);
	text[NAME_BYTES_MAX] = 'a';
	text[NAME_BYTES_MAX + 1] = '/';
	ck_assert_int_eq(
	    address_parse(slice_of(text, NAME_BYTES_MAX + 3), &address, NULL), ERR_INVALID);
}
END_TEST

START_TEST(a_control_byte_at_the_very_end_is_seen)
{
	struct address address;
	ck_assert_int_eq(address_parse(slice_of("cart/a\0", 7), &address, NULL), ERR_INVALID);
}
END_TEST

START_TEST(the_nearest_name_is_near)
{
	const struct slice names[] = {
	    slice_from_text("add_item"), slice_from_text("checkout"), slice_from_text("get")};
	ck_assert_int_eq(name_nearest(slice_from_text("additem"), names, 3), 0);
	ck_assert_int_eq(name_nearest(slice_from_text("chekout"), names, 3), 1);
	ck_assert_int_eq(name_nearest(slice_from_text("gte"), names, 3), -1);
	ck_assert_int_eq(name_nearest(slice_from_text("gett"), names, 3), 2);
	ck_assert_int_eq(name_nearest(slice_from_text("withdraw"), names, 3), -1);
	ck_assert_int_eq(name_nearest(slice_from_text(""), names, 3), -1);
	ck_assert_int_eq(name_nearest(slice_from_text("x"), names, 0), -1);
	const struct slice short_names[] = {slice_from_text("a"), slice_from_text("id")};
	ck_assert_int_eq(name_nearest(slice_from_text("c"), short_names, 2), -1);
	ck_assert_int_eq(name_nearest(slice_from_text("aa"), short_names, 2), 0);
	ck_assert_int_eq(name_nearest(slice_from_text("idd"), short_names, 2), 1);
}
END_TEST

Suite *address_suite(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");
	tcase_add_test(tcase, the_first_slash_ends_the_type);
	tcase_add_test(tcase, addresses_that_are_none_are_refused_with_a_reason);
	tcase_add_test(tcase, lengths_are_bounded_exactly);
	tcase_add_test(tcase, a_control_byte_at_the_very_end_is_seen);
	tcase_add_test(tcase, the_nearest_name_is_near);
	suite_add_tcase(suite, tcase);
	return suite;
}
