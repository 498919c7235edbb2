#include "tests/unit/wire/suites.h"

#include "base/wire/duration.h"

START_TEST(durations_are_numbers_with_a_unit_or_milliseconds)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = {{"0", 0}, {"250", 250}, {"500ms", 500}, {"5s", 5000}, {"10m", 600000},
	    {"8h", 28800000}, {"7d", 604800000}};
	static const char *const bad[] = {
	    "", "s", "-1", "5 s", "1.5s", "5S", "5sec", "99999999999999999999", "9999999999999d"};
	uint64_t ms;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(duration_parse(slice_from_text(good[i].text), &ms), 0);
		ck_assert_uint_eq(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(duration_parse(slice_from_text(bad[i]), &ms), ERR_INVALID);
}
END_TEST

Suite *duration_suite(void)
{
	Suite *suite = suite_create("duration");
	TCase *tcase = tcase_create("text");
	tcase_add_test(tcase, durations_are_numbers_with_a_unit_or_milliseconds);
	suite_add_tcase(suite, tcase);
	return suite;
}
