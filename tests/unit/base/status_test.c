#include "tests/unit/base/suites.h"

#include "base/status.h"

#include <string.h>

START_TEST(every_status_is_found_by_its_name)
{
#define X(name, number, http, by_handlers)                                                         \
	do {                                                                                       \
		enum status found = STATUS_OK;                                                     \
		ck_assert_int_eq(status_find(slice_from_text(#name), &found), 0);                  \
		ck_assert_int_eq(found, number);                                                   \
		ck_assert_str_eq(status_name(found), #name);                                       \
		ck_assert_int_eq(status_http(found), http);                                        \
		ck_assert_int_eq(status_by_handlers(found), by_handlers);                          \
	} while (0);
	STATUS_LIST(X)
#undef X
}
END_TEST

START_TEST(names_that_are_none_are_not_found)
{
	static const char *const none[] = {"OK", "", "not_found", "NOT_FOUN", "NOT_FOUND ", "X"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		enum status found = STATUS_ABORTED;
		ck_assert_int_eq(status_find(slice_from_text(none[i]), &found), ERR_NOT_FOUND);
		ck_assert_int_eq(found, STATUS_ABORTED);
	}
}
END_TEST

/* An error that became "OK" at the border would be a success that never was. */
START_TEST(no_error_is_ever_told_as_success)
{
#define X(name, number, what, advice)                                                              \
	ck_assert_int_ne(status_from_error(number), STATUS_OK);                                    \
	ck_assert(strcmp(status_name(status_from_error(number)), "OK") != 0);
	ERROR_LIST(X)
#undef X
	ck_assert_int_eq(status_from_error(0), STATUS_OK);
	ck_assert_int_eq(status_from_error(-9999), STATUS_INTERNAL);
	ck_assert_int_eq(status_from_error(ERR_NO_SPACE), STATUS_RESOURCE_EXHAUSTED);
	ck_assert_int_eq(status_from_error(ERR_DATA_LOSS), STATUS_DATA_LOSS);
}
END_TEST

Suite *status_suite(void)
{
	Suite *suite = suite_create("status");
	TCase *tcase = tcase_create("status");
	tcase_add_test(tcase, every_status_is_found_by_its_name);
	tcase_add_test(tcase, names_that_are_none_are_not_found);
	tcase_add_test(tcase, no_error_is_ever_told_as_success);
	suite_add_tcase(suite, tcase);
	return suite;
}
