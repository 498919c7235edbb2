#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/wire/resp_request.h"
#include "base/wire/resp_writer.h"

#include <math.h>
#include <stdlib.h>

enum { OUTPUT_BYTES_MAX = 1 << 20 };

static const struct slice NOTHING = {.data = NULL, .bytes = 0};

static void expect(struct resp_writer *writer, const char *text)
{
	ck_assert_int_eq(resp_writer_finish(writer), 0);
	struct slice view = buffer_view(writer->out);
	ck_assert_msg(slice_equal(view, slice_from_text(text)), "holds %.*s, not %s",
	    (int)view.bytes, (const char *)view.data, text);
	buffer_clear(writer->out);
}

static void write_everything(struct resp_writer *writer)
{
	resp_write_array(writer, 14);
	resp_write_simple(writer, "OK");
	resp_write_error(writer, "ERR", slice_from_text("no"), NOTHING);
	resp_write_integer(writer, INT64_MIN);
	resp_write_bulk(writer, slice_of("a\0b", 3));
	resp_write_bulk(writer, NOTHING);
	resp_write_bulk_text(writer, "text");
	resp_write_null(writer);
	resp_write_double(writer, 1.5);
	resp_write_boolean(writer, true);
	resp_write_boolean(writer, false);
	resp_write_verbatim(writer, "txt", slice_from_text("abc"));
	resp_write_map(writer, 1);
	resp_write_integer(writer, 1);
	resp_write_integer(writer, 2);
	resp_write_set(writer, 1);
	resp_write_integer(writer, 3);
	resp_write_push(writer, 1);
	resp_write_raw(writer, slice_from_text(":4\r\n"));
}

START_TEST(every_type_is_written_in_both_protocols)
{
	static const char resp2[] = "*14\r\n+OK\r\n-ERR no\r\n:-9223372036854775808\r\n"
	                            "$3\r\na\0b\r\n$0\r\n\r\n$4\r\ntext\r\n$-1\r\n$3\r\n1.5\r\n"
	                            ":1\r\n:0\r\n$3\r\nabc\r\n*2\r\n:1\r\n:2\r\n*1\r\n:3\r\n*1\r\n"
	                            ":4\r\n";
	static const char resp3[] =
	    "*14\r\n+OK\r\n-ERR no\r\n:-9223372036854775808\r\n"
	    "$3\r\na\0b\r\n$0\r\n\r\n$4\r\ntext\r\n_\r\n,1.5\r\n"
	    "#t\r\n#f\r\n=7\r\ntxt:abc\r\n%1\r\n:1\r\n:2\r\n~1\r\n:3\r\n>1\r\n"
	    ":4\r\n";
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &out, RESP2);
	write_everything(&writer);
	ck_assert_int_eq(resp_writer_finish(&writer), 0);
	ck_assert(slice_equal(buffer_view(&out), slice_of(resp2, sizeof(resp2) - 1)));
	buffer_clear(&out);
	resp_writer_init(&writer, &out, RESP3);
	write_everything(&writer);
	ck_assert_int_eq(resp_writer_finish(&writer), 0);
	ck_assert(slice_equal(buffer_view(&out), slice_of(resp3, sizeof(resp3) - 1)));
	buffer_done(&out);
}
END_TEST

START_TEST(doubles_of_all_kinds_are_written)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &out, RESP3);
	resp_write_double(&writer, 5.0);
	resp_write_double(&writer, (double)INFINITY);
	resp_write_double(&writer, (double)-INFINITY);
	resp_write_double(&writer, (double)NAN);
	expect(&writer, ",5.0\r\n,inf\r\n,-inf\r\n,nan\r\n");
	resp_writer_init(&writer, &out, RESP2);
	resp_write_double(&writer, (double)-INFINITY);
	expect(&writer, "$4\r\n-inf\r\n");
	buffer_done(&out);
}
END_TEST

START_TEST(errors_stay_on_one_line)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &out, RESP2);
	resp_write_error(&writer, "ERR",
	    slice_of("a\r\nb\tc\0d\x7f"
	             "e",
	        10),
	    NOTHING);
	expect(&writer, "-ERR a  b c d e\r\n");
	resp_write_error(&writer, "NOT_FOUND", NOTHING, NOTHING);
	expect(&writer, "-NOT_FOUND\r\n");
	resp_write_error(
	    &writer, "OUT_OF_RANGE", slice_from_text("too many"), slice_from_text("{\"have\":5}"));
	expect(&writer, "-OUT_OF_RANGE too many\t{\"have\":5}\r\n");
	resp_write_error(&writer, "ABORTED", NOTHING, slice_from_text("{\"a\":\"\t\"}"));
	expect(&writer, "-ABORTED\t{\"a\":\" \"}\r\n");
	resp_write_simple(&writer, "two\r\nlines");
	expect(&writer, "+two  lines\r\n");
	buffer_done(&out);
}
END_TEST

START_TEST(errors_are_at_most_4096_bytes)
{
	static uint8_t text[5000];
	memset(text, 'm', sizeof(text));
	struct slice details = slice_from_text("{\"number\":1}");
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &out, RESP2);
	for (size_t bytes = 4000; bytes < sizeof(text); bytes++) {
		resp_write_error(&writer, "INTERNAL", slice_of(text, bytes), details);
		ck_assert_int_eq(resp_writer_finish(&writer), 0);
		struct slice view = buffer_view(&out);
		size_t plain = 10 + bytes + 2;
		size_t whole = plain + 1 + details.bytes;
		if (whole <= RESP_ERROR_BYTES_MAX)
			ck_assert_uint_eq(view.bytes, whole);
		else if (plain <= RESP_ERROR_BYTES_MAX)
			ck_assert_uint_eq(view.bytes, plain);
		else
			ck_assert_uint_eq(view.bytes, RESP_ERROR_BYTES_MAX);
		ck_assert_mem_eq(view.data + view.bytes - 2, "\r\n", 2);
		buffer_clear(&out);
	}
	/* The cut falls between two code points. */
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	for (size_t skip = 0; skip < 2; skip++) {
		text[0] = skip ? 'x' : text[0];
		struct slice message = slice_of(text + skip, sizeof(text) - skip);
		resp_write_error(&writer, skip ? "ERRO" : "ERR", message, NOTHING);
		ck_assert_int_eq(resp_writer_finish(&writer), 0);
		struct slice view = buffer_view(&out);
		uint8_t last = view.data[view.bytes - 3];
		ck_assert_uint_eq(last, 0xa9);
		ck_assert_uint_ge(view.bytes, RESP_ERROR_BYTES_MAX - 3);
		buffer_clear(&out);
	}
	/* Details alone that do not fit are left out. */
	memset(text, '1', sizeof(text));
	resp_write_error(&writer, "ERR", NOTHING, slice_of(text, sizeof(text)));
	expect(&writer, "-ERR\r\n");
	buffer_done(&out);
}
END_TEST

START_TEST(a_client_request_is_what_the_parser_reads)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct resp_writer writer;
	resp_writer_init(&writer, &out, RESP2);
	resp_write_array(&writer, 2);
	resp_write_bulk_text(&writer, "ECHO");
	resp_write_bulk(&writer, slice_from_text("\r\n"));
	ck_assert_int_eq(resp_writer_finish(&writer), 0);
	static const struct resp_limits limits = {
	    .args_max = 2, .bulk_bytes_max = 10, .inline_bytes_max = 10, .request_bytes_max = 100};
	struct resp_parser parser;
	resp_parser_init(&parser);
	struct slice args[2];
	struct resp_request request;
	ck_assert_int_eq(
	    resp_parse(&parser, &limits, out.data + out.begin, buffer_bytes(&out), args, &request),
	    0);
	ck_assert_uint_eq(request.args_count, 2);
	ck_assert(slice_equal(args[1], slice_from_text("\r\n")));
	buffer_done(&out);
}
END_TEST

START_TEST(a_buffer_too_small_takes_nothing)
{
	size_t whole = 0;
	for (size_t max = 1; whole == 0; max++) {
		struct buffer out;
		buffer_init(&out, max);
		ck_assert_int_eq(buffer_append_u8(&out, 'x'), 0);
		struct resp_writer writer;
		resp_writer_init(&writer, &out, RESP3);
		write_everything(&writer);
		int error = resp_writer_finish(&writer);
		if (error == 0)
			whole = max;
		else
			ck_assert_int_eq(error, ERR_TOO_LARGE);
		ck_assert_uint_eq(buffer_bytes(&out), error ? 1 : max);
		buffer_done(&out);
	}
	ck_assert_uint_gt(whole, 100);
}
END_TEST

START_TEST(a_failed_allocation_takes_nothing)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct buffer out;
		buffer_init(&out, OUTPUT_BYTES_MAX);
		struct resp_writer writer;
		resp_writer_init(&writer, &out, RESP3);
		mem_fail_at(nth);
		for (unsigned i = 0; i < 20; i++)
			write_everything(&writer);
		int error = resp_writer_finish(&writer);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		if (failed)
			ck_assert_uint_eq(buffer_bytes(&out), 0);
		buffer_done(&out);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 2);
}
END_TEST

Suite *resp_writer_suite(void)
{
	Suite *suite = suite_create("resp_writer");
	TCase *tcase = tcase_create("resp_writer");
	tcase_add_test(tcase, every_type_is_written_in_both_protocols);
	tcase_add_test(tcase, doubles_of_all_kinds_are_written);
	tcase_add_test(tcase, errors_stay_on_one_line);
	tcase_add_test(tcase, errors_are_at_most_4096_bytes);
	tcase_add_test(tcase, a_client_request_is_what_the_parser_reads);
	tcase_add_test(tcase, a_buffer_too_small_takes_nothing);
	tcase_add_test(tcase, a_failed_allocation_takes_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
