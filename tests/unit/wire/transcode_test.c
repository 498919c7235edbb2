#include "base/wire/transcode.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/random.h"
#include "tests/unit/wire/suites.h"

static struct buffer packed, text;

static void setup(void)
{
	buffer_init(&packed, 1 << 20);
	buffer_init(&text, 1 << 20);
}

static void teardown(void)
{
	buffer_done(&packed);
	buffer_done(&text);
}

/* There and back again. */
static void check(const char *json, const char *expected)
{
	buffer_clear(&packed);
	buffer_clear(&text);
	ck_assert_int_eq(transcode_msgpack_from_json(slice_from_text(json), &packed), 0);
	ck_assert_int_eq(transcode_json_from_msgpack(buffer_view(&packed), &text), 0);
	ck_assert_int_eq(buffer_append_u8(&text, 0), 0);
	ck_assert_str_eq((const char *)text.data, expected);
}

static int json_of(const char *msgpack, size_t bytes)
{
	buffer_clear(&text);
	int error = transcode_json_from_msgpack(slice_of(msgpack, bytes), &text);
	ck_assert(!error || buffer_bytes(&text) == 0);
	return error;
}

START_TEST(keys_come_out_sorted)
{
	check("{\"b\":1,\"a\":{\"d\":[],\"c\":null}}", "{\"a\":{\"c\":null,\"d\":[]},\"b\":1}");
	check("[{\"z\":{\"b\":1,\"a\":2}},{\"y\":[{\"b\":1,\"a\":2}]}]",
	    "[{\"z\":{\"a\":2,\"b\":1}},{\"y\":[{\"a\":2,\"b\":1}]}]");
	/* MessagePack of others is not sorted. */
	ck_assert_int_eq(json_of("\x92\x82\xa1z\x82\xa1"
	                         "b\1\xa1"
	                         "a\2\xa1y\xc0\x90",
	                     14),
	    ERR_INVALID);
	ck_assert_int_eq(json_of("\x92\x82\xa1z\x82\xa1"
	                         "b\1\xa1"
	                         "a\2\xa1y\xc0\x90",
	                     15),
	    0);
	ck_assert(slice_equal(
	    buffer_view(&text), slice_from_text("[{\"y\":null,\"z\":{\"a\":2,\"b\":1}},[]]")));
}
END_TEST

START_TEST(numbers_and_texts_stay_what_they_are)
{
	check("9223372036854775807", "9223372036854775807");
	check("[-9223372036854775808,5.0,5,1e300,-0.0,true,false,null]",
	    "[-9223372036854775808,5.0,5,1e300,-0.0,true,false,null]");
	check("{\"\\u00e9\\n\":\"\\ud83d\\ude00\\u0000\"}",
	    "{\"\xc3\xa9\\n\":\"\xf0\x9f\x98\x80\\u0000\"}");
	check(" [ ] ", "[]");
	check("{}", "{}");
	ck_assert_int_eq(json_of("\xc4\x02\0\xff", 4), 0);
	ck_assert(slice_equal(buffer_view(&text), slice_from_text("\"AP8=\"")));
}
END_TEST

START_TEST(what_is_no_value_is_refused)
{
	static const char *const bad[] = {"", "[", "[1,]", "{\"a\":1,\"a\":2}", "1 2", "[1e999]",
	    "9223372036854775808", "\"\xff\"", "{\"\\u0061\":1,\"b\":2,\"a\":3}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT(
		    transcode_msgpack_from_json(slice_from_text(bad[i]), &packed) == ERR_INVALID);
		EXPECT(buffer_bytes(&packed) == 0);
	}
	ck_assert_int_eq(json_of("", 0), ERR_INVALID);
	ck_assert_int_eq(json_of("\1\1", 2), ERR_INVALID);
	ck_assert_int_eq(json_of("\x91\xcb\x7f\xf8\0\0\0\0\0\0", 10), ERR_INVALID); /* NaN */
	ck_assert_int_eq(json_of("\x81\1\1", 3), ERR_INVALID);
	ck_assert_int_eq(json_of("\x82\xa1"
	                         "a\1\xa1"
	                         "a\1",
	                     7),
	    ERR_INVALID);
	ck_assert_int_eq(json_of("\x83\xa1"
	                         "b\1\xa1"
	                         "a\1\xa1"
	                         "a\1",
	                     10),
	    ERR_INVALID);
	ck_assert_int_eq(json_of("\xd4\1\0", 3), ERR_INVALID);
	ck_assert_int_eq(json_of("\x92\1", 2), ERR_INVALID);
}
END_TEST

START_TEST(depth_is_that_of_the_readers)
{
	char json[600];
	memset(json, '[', 128);
	memset(json + 128, ']', 128);
	ck_assert_int_eq(transcode_msgpack_from_json(slice_of(json, 256), &packed), 0);
	ck_assert_int_eq(transcode_json_from_msgpack(buffer_view(&packed), &text), 0);
	ck_assert(slice_equal(buffer_view(&text), slice_of(json, 256)));
	memset(json, '[', 129);
	memset(json + 129, ']', 129);
	ck_assert_int_eq(transcode_msgpack_from_json(slice_of(json, 258), &packed), ERR_INVALID);
}
END_TEST

/* A random document with unsorted keys, each once in its object. */
/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
static void random_json(struct random *numbers, struct buffer *out, unsigned depth)
{
	uint64_t kind = random_below(numbers, depth > 0 ? 6 : 4);
	int error;
	if (kind < 4) {
		static const char *const scalars[] = {"1", "-70000", "\"\\u0041x\"", "2.5"};
		error = buffer_append_text(out, scalars[kind]);
	} else {
		uint64_t count = random_below(numbers, 5), first = random_below(numbers, 5);
		error = buffer_append_text(out, kind == 4 ? "[" : "{");
		for (uint64_t i = 0; i < count && !error; i++) {
			if (i > 0)
				error = buffer_append_text(out, ",");
			if (!error && kind == 5)
				error = buffer_append_format(
				    out, "\"k%u\":", (unsigned)((first + i * 3) % 5));
			random_json(numbers, out, depth - 1);
		}
		if (!error)
			error = buffer_append_text(out, kind == 4 ? "]" : "}");
	}
	EXPECT(!error);
}

START_TEST(random_documents_settle_after_one_way)
{
	struct random numbers;
	struct buffer json, again;
	random_init(&numbers, 3);
	buffer_init(&json, 1 << 20);
	buffer_init(&again, 1 << 20);
	for (int i = 0; i < 3000; i++) {
		buffer_clear(&json);
		buffer_clear(&packed);
		buffer_clear(&text);
		buffer_clear(&again);
		random_json(&numbers, &json, 5);
		EXPECT(transcode_msgpack_from_json(buffer_view(&json), &packed) == 0);
		EXPECT(transcode_json_from_msgpack(buffer_view(&packed), &text) == 0);
		EXPECT(transcode_msgpack_from_json(buffer_view(&text), &again) == 0);
		EXPECT(slice_equal(buffer_view(&packed), buffer_view(&again)));
	}
	buffer_done(&json);
	buffer_done(&again);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
	static const char json[] = "{\"b\":[\"\\n\",{\"d\":1,\"c\":2}],\"a\":{}}";
	static const char unsorted[] = "\x82\xa1"
	                               "b\1\xa1"
	                               "a\1";
	for (int way = 0; way < 2; way++) {
		uint64_t nth = 0;
		bool failed;
		do {
			buffer_done(&packed);
			mem_fail_at(++nth);
			int error =
			    way == 0
			        ? transcode_msgpack_from_json(slice_from_text(json), &packed)
			        : transcode_json_from_msgpack(slice_from_text(unsorted), &packed);
			failed = mem_failed();
			/* What was written in vain need not have had room. */
			EXPECT(error == 0 || (error == ERR_NOMEM && failed));
			EXPECT(error == 0 || buffer_bytes(&packed) == 0);
		} while (failed);
		mem_fail_at(0);
		ck_assert_uint_gt(nth, 2);
	}
}
END_TEST

START_TEST(a_full_buffer_gets_nothing)
{
	struct buffer small;
	for (size_t room = 1; room < 9; room++) {
		buffer_init(&small, room);
		EXPECT(transcode_msgpack_from_json(slice_from_text("[1,\"abcdef\"]"), &small) ==
		       ERR_TOO_LARGE);
		EXPECT(buffer_bytes(&small) == 0);
		buffer_done(&small);
	}
}
END_TEST

Suite *transcode_suite(void)
{
	Suite *suite = suite_create("transcode");
	TCase *tcase = tcase_create("transcode");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, keys_come_out_sorted);
	tcase_add_test(tcase, numbers_and_texts_stay_what_they_are);
	tcase_add_test(tcase, what_is_no_value_is_refused);
	tcase_add_test(tcase, depth_is_that_of_the_readers);
	tcase_add_test(tcase, random_documents_settle_after_one_way);
	tcase_add_test(tcase, every_allocation_may_fail);
	tcase_add_test(tcase, a_full_buffer_gets_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
