#include "tests/unit/base/suites.h"

#include "base/error.h"

#include <errno.h>
#include <string.h>

static const int codes[] = {
#define X(name, number, what, advice) name,
    ERROR_LIST(X)
#undef X
};

enum { CODE_COUNT = sizeof(codes) / sizeof(codes[0]) };

START_TEST(codes_are_negative_and_distinct)
{
	for (size_t i = 0; i < CODE_COUNT; i++) {
		ck_assert_int_lt(codes[i], 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_int_ne(codes[i], codes[j]);
	}
}
END_TEST

START_TEST(every_code_has_name_text_and_advice)
{
	for (size_t i = 0; i < CODE_COUNT; i++) {
		ck_assert_int_eq(strncmp(error_name(codes[i]), "ERR_", 4), 0);
		ck_assert_str_ne(error_name(codes[i]), "ERR_UNKNOWN");
		ck_assert_str_ne(error_text(codes[i]), "unknown error");
		ck_assert_uint_gt(strlen(error_advice(codes[i])), 0);
	}
	ck_assert_str_eq(error_name(ERR_NO_SPACE), "ERR_NO_SPACE");
	ck_assert_str_eq(error_name(0), "ERR_OK");
}
END_TEST

START_TEST(numbers_never_change)
{
	/* They stand in logs and travel between nodes of different versions. */
	ck_assert_int_eq(ERR_INVALID, -1);
	ck_assert_int_eq(ERR_NOMEM, -2);
	ck_assert_int_eq(ERR_TOO_LARGE, -6);
	ck_assert_int_eq(ERR_PROTOCOL, -20);
	ck_assert_int_eq(ERR_IO, -40);
	ck_assert_int_eq(ERR_CORRUPT, -60);
	ck_assert_int_eq(ERR_DATA_LOSS, -63);
}
END_TEST

START_TEST(unknown_code_has_text_too)
{
	ck_assert_str_eq(error_name(-9999), "ERR_UNKNOWN");
	ck_assert_str_eq(error_text(1), "unknown error");
	ck_assert_uint_gt(strlen(error_advice(-9999)), 0);
}
END_TEST

START_TEST(errno_values_map_to_their_codes)
{
	ck_assert_int_eq(error_from_errno(0), 0);
	ck_assert_int_eq(error_from_errno(ENOSPC), ERR_NO_SPACE);
	ck_assert_int_eq(error_from_errno(EDQUOT), ERR_NO_SPACE);
	ck_assert_int_eq(error_from_errno(EINTR), ERR_AGAIN);
	ck_assert_int_eq(error_from_errno(ECONNRESET), ERR_CLOSED);
	ck_assert_int_eq(error_from_errno(EADDRINUSE), ERR_ADDRESS_IN_USE);
	ck_assert_int_eq(error_from_errno(EADDRNOTAVAIL), ERR_NOT_FOUND);
	ck_assert_int_eq(error_from_errno(EIO), ERR_IO);
	ck_assert_int_eq(error_from_errno(EXDEV), ERR_IO);
}
END_TEST

Suite *error_suite(void)
{
	Suite *suite = suite_create("error");
	TCase *tcase = tcase_create("error");
	tcase_add_test(tcase, codes_are_negative_and_distinct);
	tcase_add_test(tcase, every_code_has_name_text_and_advice);
	tcase_add_test(tcase, numbers_never_change);
	tcase_add_test(tcase, unknown_code_has_text_too);
	tcase_add_test(tcase, errno_values_map_to_their_codes);
	suite_add_tcase(suite, tcase);
	return suite;
}
