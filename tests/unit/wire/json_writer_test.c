#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/wire/json_writer.h"

#include <math.h>
#include <signal.h>

enum { OUTPUT_BYTES_MAX = 1 << 20 };

static void expect(const struct buffer *buffer, const char *text)
{
	struct slice view = buffer_view(buffer);
	ck_assert_msg(slice_equal(view, slice_from_text(text)), "holds %.*s, not %s",
	    (int)view.bytes, (const char *)view.data, text);
}

static void write_everything(struct json_writer *writer)
{
	json_write_object_begin(writer);
	json_write_key(writer, slice_from_text("a"));
	json_write_array_begin(writer);
	json_write_integer(writer, 1);
	json_write_integer(writer, INT64_MIN);
	json_write_double(writer, 5.0);
	json_write_double(writer, 0.1);
	json_write_array_end(writer);
	json_write_key(writer, slice_from_text("b\n"));
	json_write_object_begin(writer);
	json_write_object_end(writer);
	json_write_key(writer, slice_from_text("c"));
	json_write_boolean(writer, true);
	json_write_key(writer, slice_from_text("d"));
	json_write_array_begin(writer);
	json_write_boolean(writer, false);
	json_write_null(writer);
	json_write_array_begin(writer);
	json_write_array_end(writer);
	json_write_string(writer, slice_from_text("\"text\""));
	json_write_raw(writer, slice_from_text("{\"raw\":[]}"));
	json_write_base64(writer, slice_from_text("fo"));
	json_write_array_end(writer);
	json_write_object_end(writer);
}

static const char EVERYTHING[] = "{\"a\":[1,-9223372036854775808,5.0,0.1],\"b\\n\":{},\"c\":true,"
                                 "\"d\":[false,null,[],\"\\\"text\\\"\",{\"raw\":[]},\"Zm8=\"]}";

START_TEST(values_are_written_without_spaces)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct json_writer writer;
	json_writer_init(&writer, &out);
	write_everything(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	expect(&out, EVERYTHING);

	/* As new: another value behind the first. */
	json_write_null(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	ck_assert_uint_eq(buffer_bytes(&out), sizeof(EVERYTHING) - 1 + 4);
	buffer_done(&out);
}
END_TEST

START_TEST(only_what_must_be_is_escaped)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct json_writer writer;
	json_writer_init(&writer, &out);
	json_write_string(
	    &writer, slice_of("\0\x01\x1f\b\f\n\r\t\"\\/\x7f \xc3\xa9\xf0\x9f\x98\x80", 19));
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	expect(&out, "\"\\u0000\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\x7f "
	             "\xc3\xa9\xf0\x9f\x98\x80\"");
	buffer_clear(&out);
	json_write_string(&writer, slice_of(NULL, 0));
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	expect(&out, "\"\"");
	buffer_done(&out);
}
END_TEST

START_TEST(data_that_cannot_be_json_is_an_error)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	ck_assert_int_eq(buffer_append_text(&out, "before"), 0);
	struct json_writer writer;
	json_writer_init(&writer, &out);
	json_write_array_begin(&writer);
	json_write_string(&writer, slice_from_text("long enough \xff"));
	json_write_integer(&writer, 1);
	json_write_array_end(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), ERR_UTF8);
	expect(&out, "before");

	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("\xc3"));
	json_write_null(&writer);
	json_write_object_end(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), ERR_UTF8);

	static const double numbers[] = {(double)NAN, (double)INFINITY, (double)-INFINITY};
	for (unsigned i = 0; i < 3; i++) {
		json_write_double(&writer, numbers[i]);
		ck_assert_int_eq(json_writer_finish(&writer), ERR_NUMBER);
	}

	for (unsigned i = 0; i <= JSON_DEPTH_MAX; i++)
		json_write_array_begin(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), ERR_DEPTH);
	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		json_write_array_begin(&writer);
	for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
		json_write_array_end(&writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	ck_assert_uint_eq(buffer_bytes(&out), 6 + 2 * JSON_DEPTH_MAX);
	buffer_done(&out);
}
END_TEST

START_TEST(a_buffer_too_small_takes_nothing)
{
	for (size_t max = 1; max < sizeof(EVERYTHING) + 3; max++) {
		struct buffer out;
		buffer_init(&out, max);
		size_t before = max < 3 ? max : 3;
		ck_assert_int_eq(buffer_append(&out, "abc", before), 0);
		struct json_writer writer;
		json_writer_init(&writer, &out);
		write_everything(&writer);
		int error = json_writer_finish(&writer);
		bool fits = max >= sizeof(EVERYTHING) - 1 + 3;
		ck_assert_int_eq(error, fits ? 0 : ERR_TOO_LARGE);
		ck_assert_uint_eq(buffer_bytes(&out), fits ? max : before);
		buffer_done(&out);
	}
}
END_TEST

START_TEST(a_failed_allocation_takes_nothing)
{
	/* Long enough for the buffer to grow several times. */
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct buffer out;
		buffer_init(&out, OUTPUT_BYTES_MAX);
		struct json_writer writer;
		json_writer_init(&writer, &out);
		mem_fail_at(nth);
		json_write_array_begin(&writer);
		for (unsigned i = 0; i < 20; i++)
			write_everything(&writer);
		json_write_array_end(&writer);
		int error = json_writer_finish(&writer);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		ck_assert_uint_eq(
		    buffer_bytes(&out), failed ? 0 : 2 + 20 * (sizeof(EVERYTHING) - 1) + 19);
		buffer_done(&out);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 2);
}
END_TEST

static struct json_writer *new_writer(void)
{
	static struct buffer out;
	static struct json_writer writer;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	json_writer_init(&writer, &out);
	return &writer;
}

START_TEST(a_value_without_key_stops_the_program)
{
	struct json_writer *writer = new_writer();
	json_write_object_begin(writer);
	json_write_integer(writer, 1);
}
END_TEST

START_TEST(a_key_in_an_array_stops_the_program)
{
	struct json_writer *writer = new_writer();
	json_write_array_begin(writer);
	json_write_key(writer, slice_from_text("a"));
}
END_TEST

START_TEST(a_wrong_end_stops_the_program)
{
	struct json_writer *writer = new_writer();
	json_write_array_begin(writer);
	json_write_object_end(writer);
}
END_TEST

START_TEST(a_second_value_stops_the_program)
{
	struct json_writer *writer = new_writer();
	json_write_integer(writer, 1);
	json_write_integer(writer, 2);
}
END_TEST

START_TEST(an_unfinished_value_stops_the_program)
{
	struct json_writer *writer = new_writer();
	json_write_array_begin(writer);
	ck_assert_int_ne(json_writer_finish(writer), 1);
}
END_TEST

Suite *json_writer_suite(void)
{
	Suite *suite = suite_create("json_writer");
	TCase *tcase = tcase_create("json_writer");
	tcase_add_test(tcase, values_are_written_without_spaces);
	tcase_add_test(tcase, only_what_must_be_is_escaped);
	tcase_add_test(tcase, data_that_cannot_be_json_is_an_error);
	tcase_add_test(tcase, a_buffer_too_small_takes_nothing);
	tcase_add_test(tcase, a_failed_allocation_takes_nothing);
	tcase_add_test_raise_signal(tcase, a_value_without_key_stops_the_program, SIGABRT);
	tcase_add_test_raise_signal(tcase, a_key_in_an_array_stops_the_program, SIGABRT);
	tcase_add_test_raise_signal(tcase, a_wrong_end_stops_the_program, SIGABRT);
	tcase_add_test_raise_signal(tcase, a_second_value_stops_the_program, SIGABRT);
	tcase_add_test_raise_signal(tcase, an_unfinished_value_stops_the_program, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
