/* Where two values differ first. */
#include "client/admin/differ.h"

#include <stdlib.h>

#include "tests/unit/client/suites.h"

/* MessagePack in hexadecimal. */
static struct slice from_hex(const char *hex, uint8_t *bytes)
{
	size_t count = 0;
	for (; hex[2 * count]; count++) {
		char pair[3] = {hex[2 * count], hex[2 * count + 1], '\0'};
		bytes[count] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return slice_of(bytes, count);
}

static const struct {
	const char *a, *b;
	const char *path; /* NULL: they are the same */
} cases[] = {
    {"01", "01", NULL},
    {"01", "02", ""},
    {"01", "a131", ""},
    {"c0", "c2", ""},
    {"cb3ff8000000000000", "cb3ff8000000000000", NULL},
    {"cb3ff8000000000000", "cb3ff8000000000001", ""},
    {"a161", "c40161", ""},
    {"80", "90", ""},
    {"92010203", "920102", ""},
    /* [1,2,[3]] */
    {"9301029103", "9301029103", NULL},
    {"9301029103", "9301029104", "[3][1]"},
    {"9301029103", "93010291c0", "[3][1]"},
    {"9301029103", "92010291", "[3]"},
    {"920102", "9301029103", "[3]"},
    {"930102920304", "9301029103", "[3][2]"},
    /* {"a":{"b":1},"c":2} */
    {"82a16181a16201a16302", "82a16181a16201a16302", NULL},
    {"82a16181a16201a16302", "82a16181a16209a16302", "a.b"},
    {"82a16181a16201a16302", "82a16181a16201a16303", "c"},
    {"82a16181a16201a16302", "82a16180a16302", "a.b"},
    {"82a16181a16201a16302", "81a16181a16201", "c"},
    {"81a16181a16201", "82a16181a16201a16302", "c"},
    {"82a16181a16201a16302", "81a16302", "a"},
    {"81a16302", "82a16181a16201a16302", "a"},
    /* {1:[0],7:0} */
    {"8201910007c0", "8201910107c0", "1[1]"},
    {"8201910007c0", "8201910008c0", "7"},
    /* No MessagePack. */
    {"92", "92", ""},
    {"0101", "0101", ""},
};

START_TEST(the_first_difference_is_named_by_its_path)
{
	uint8_t bytes[2][64];
	char path[128];
	struct slice a = from_hex(cases[_i].a, bytes[0]), b = from_hex(cases[_i].b, bytes[1]);
	bool differ = values_differ(a, b, path, sizeof(path));
	ck_assert(differ == (cases[_i].path != NULL));
	if (differ)
		ck_assert_str_eq(path, cases[_i].path);
}
END_TEST

START_TEST(a_path_is_cut_to_its_room)
{
	uint8_t bytes[2][64];
	char path[4];
	struct slice a = from_hex("81a3616263a3646566", bytes[0]),
	             b = from_hex("81a3616263a3646567", bytes[1]);
	ck_assert(values_differ(a, b, path, sizeof(path)));
	ck_assert_str_eq(path, "abc");
	ck_assert(values_differ(a, b, path, 2));
	ck_assert_str_eq(path, "a");
}
END_TEST

Suite *differ_suite(void)
{
	Suite *suite = suite_create("differ");
	TCase *tcase = tcase_create("differ");
	tcase_add_loop_test(
	    tcase, the_first_difference_is_named_by_its_path, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tcase, a_path_is_cut_to_its_room);
	suite_add_tcase(suite, tcase);
	return suite;
}
