#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/wire/resp_reader.h"
#include "tests/fuzz/resp_oracle.h"
#include "tests/unit/wire/mutate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BULK_BYTES_MAX = 1000 };

static size_t print_item(const struct resp_item *item, char *to, size_t bytes)
{
	switch (item->type) {
	case RESP_SIMPLE:
		return (size_t)snprintf(to, bytes, "simple <%.*s> ", (int)item->text.bytes,
		    (const char *)item->text.data);
	case RESP_ERROR:
		return (size_t)snprintf(to, bytes, "error <%.*s> ", (int)item->text.bytes,
		    (const char *)item->text.data);
	case RESP_INTEGER:
		return (size_t)snprintf(to, bytes, "%lld ", (long long)item->integer);
	case RESP_BULK:
		return (size_t)snprintf(
		    to, bytes, "<%.*s> ", (int)item->text.bytes, (const char *)item->text.data);
	case RESP_VERBATIM:
		return (size_t)snprintf(to, bytes, "%s <%.*s> ", item->format,
		    (int)item->text.bytes, (const char *)item->text.data);
	case RESP_BIG_NUMBER:
		return (size_t)snprintf(
		    to, bytes, "big %.*s ", (int)item->text.bytes, (const char *)item->text.data);
	case RESP_DOUBLE:
		return (size_t)snprintf(to, bytes, "double %.17g ", item->number);
	case RESP_BOOLEAN:
		return (size_t)snprintf(to, bytes, "%s ", item->boolean ? "true" : "false");
	case RESP_NULL:
		return (size_t)snprintf(to, bytes, "null ");
	case RESP_ARRAY:
		return (size_t)snprintf(to, bytes, "array %u ", item->count);
	case RESP_SET:
		return (size_t)snprintf(to, bytes, "set %u ", item->count);
	case RESP_PUSH:
		return (size_t)snprintf(to, bytes, "push %u ", item->count);
	case RESP_MAP:
		return (size_t)snprintf(to, bytes, "map %u ", item->count);
	}
	return 0;
}

static int transcribe(const char *input, char *to, size_t to_bytes)
{
	struct slice slice = slice_from_text(input);
	uint8_t *exact = malloc(slice.bytes > 0 ? slice.bytes : 1);
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, input, slice.bytes);
	struct resp_reader reader;
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	resp_reader_feed(&reader, slice_of(exact, slice.bytes));
	size_t at = 0;
	to[0] = '\0';
	struct resp_item item;
	int error;
	while ((error = resp_reader_next(&reader, &item)) == 0) {
		at += print_item(&item, to + at, to_bytes - at);
		ck_assert_uint_lt(at, to_bytes);
	}
	ck_assert_int_eq(resp_reader_next(&reader, &item), error);
	if (error == ERR_TRUNCATED && resp_reader_depth(&reader) == 0 &&
	    resp_reader_offset(&reader) == slice.bytes)
		error = 0;
	free(exact);
	return error;
}

static void expect(const char *input, const char *expected)
{
	char transcript[1024];
	int error = transcribe(input, transcript, sizeof(transcript));
	ck_assert_msg(error == 0, "%s: %s", input, error_name(error));
	ck_assert_str_eq(transcript, expected);
}

START_TEST(every_type_of_resp2_is_read)
{
	expect("+OK\r\n", "simple <OK> ");
	expect("+\r\n", "simple <> ");
	expect("-ERR unknown\tcommand\r\n", "error <ERR unknown\tcommand> ");
	expect(":0\r\n:-42\r\n:+7\r\n", "0 -42 7 ");
	expect(":9223372036854775807\r\n:-9223372036854775808\r\n",
	    "9223372036854775807 -9223372036854775808 ");
	expect("$5\r\nhello\r\n", "<hello> ");
	expect("$0\r\n\r\n", "<> ");
	expect("$4\r\n\r\n\r\n\r\n", "<\r\n\r\n> ");
	expect("$-1\r\n*-1\r\n", "null null ");
	expect("*0\r\n", "array 0 ");
	expect("*2\r\n:1\r\n*2\r\n$1\r\na\r\n$-1\r\n", "array 2 1 array 2 <a> null ");
}
END_TEST

START_TEST(every_type_of_resp3_is_read)
{
	expect("_\r\n#t\r\n#f\r\n", "null true false ");
	expect(",1.5\r\n,-0.25\r\n,10\r\n,1e+20\r\n,+3\r\n",
	    "double 1.5 double -0.25 double 10 double 1e+20 double 3 ");
	expect(",-0\r\n", "double -0 ");
	expect(",inf\r\n,-inf\r\n", "double inf double -inf ");
	expect("(3492890328409238509324850943850943825024385\r\n(-1\r\n",
	    "big 3492890328409238509324850943850943825024385 big -1 ");
	expect("=15\r\ntxt:Some string\r\n=4\r\nmkd:\r\n", "txt <Some string> mkd <> ");
	expect("!21\r\nSYNTAX invalid syntax\r\n", "error <SYNTAX invalid syntax> ");
	expect("%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n", "map 2 simple <a> 1 simple <b> map 0 ");
	expect("~2\r\n:1\r\n:2\r\n", "set 2 1 2 ");
	expect(">2\r\n+message\r\n:1\r\n+OK\r\n", "push 2 simple <message> 1 simple <OK> ");
	struct resp_reader reader;
	struct resp_item item;
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	resp_reader_feed(&reader, slice_from_text(",nan\r\n"));
	ck_assert_int_eq(resp_reader_next(&reader, &item), 0);
	ck_assert(item.type == RESP_DOUBLE && isnan(item.number));
}
END_TEST

START_TEST(attributes_are_skipped)
{
	expect("|1\r\n+ttl\r\n:3600\r\n+OK\r\n", "simple <OK> ");
	expect("|0\r\n+OK\r\n", "simple <OK> ");
	expect("*2\r\n|1\r\n+x\r\n*2\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "array 2 3 4 ");
	/* Attributes on parts of attributes, and on each other. */
	expect("|1\r\n|1\r\n+a\r\n+b\r\n+c\r\n%1\r\n+d\r\n+e\r\n:1\r\n", "1 ");
	expect("|1\r\n+a\r\n+b\r\n|1\r\n+c\r\n+d\r\n:1\r\n", "1 ");
	expect("*1\r\n|1\r\n+a\r\n+b\r\n%1\r\n|1\r\n+c\r\n+d\r\n:1\r\n|0\r\n:2\r\n",
	    "array 1 map 1 1 2 ");
}
END_TEST

START_TEST(malformed_replies_are_refused)
{
	static const struct {
		const char *input;
		int error;
	} cases[] = {
	    {"?\r\n", ERR_PROTOCOL}, {"OK\r\n", ERR_PROTOCOL}, {"\r\n", ERR_PROTOCOL},
	    {"+OK\rx", ERR_PROTOCOL}, {":\r\n", ERR_PROTOCOL}, {":1x\r\n", ERR_PROTOCOL},
	    {":-\r\n", ERR_PROTOCOL}, {":9223372036854775808\r\n", ERR_NUMBER},
	    {":-9223372036854775809\r\n", ERR_NUMBER}, {":99999999999999999999999\r\n", ERR_NUMBER},
	    {",\r\n", ERR_PROTOCOL}, {",x\r\n", ERR_PROTOCOL}, {",1.5x\r\n", ERR_PROTOCOL},
	    {",+-1\r\n", ERR_PROTOCOL}, {",+-inf\r\n", ERR_PROTOCOL}, {",1e999\r\n", ERR_NUMBER},
	    {"(\r\n", ERR_PROTOCOL}, {"(12x\r\n", ERR_PROTOCOL}, {"_x\r\n", ERR_PROTOCOL},
	    {"#x\r\n", ERR_PROTOCOL}, {"#true\r\n", ERR_PROTOCOL}, {"$x\r\n", ERR_PROTOCOL},
	    {"$-2\r\n", ERR_PROTOCOL}, {"$?\r\n", ERR_PROTOCOL}, {"$1001\r\n", ERR_TOO_LARGE},
	    {"$99999999999999999999\r\n", ERR_TOO_LARGE}, {"$1\r\nab\n", ERR_PROTOCOL},
	    {"=3\r\ntxt\r\n", ERR_PROTOCOL}, {"=5\r\ntext:\r\n", ERR_PROTOCOL},
	    {"=-1\r\n", ERR_PROTOCOL}, {"!-1\r\n", ERR_PROTOCOL}, {"*-2\r\n", ERR_PROTOCOL},
	    {"*?\r\n", ERR_PROTOCOL}, {"%-1\r\n", ERR_PROTOCOL}, {"~-1\r\n", ERR_PROTOCOL},
	    {"*2147483648\r\n", ERR_TOO_LARGE}, {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ERR_DEPTH},
	    {"|1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", ERR_DEPTH},
	    {"*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n", ERR_DEPTH}, {"*1\r\n", ERR_TRUNCATED},
	    {"*1\r\n:1", ERR_TRUNCATED}, {"%1\r\n:1\r\n", ERR_TRUNCATED},
	    {"$5\r\nhello\r", ERR_TRUNCATED},
	    {"|1\r\n+a\r\n+b\r\n", 0}, /* the value is still to come */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char transcript[1024];
		int error = transcribe(cases[i].input, transcript, sizeof(transcript));
		ck_assert_msg(error == cases[i].error, "%s: %s", cases[i].input, error_name(error));
	}
}
END_TEST

START_TEST(lines_are_bounded)
{
	static char line[BULK_BYTES_MAX + 10];
	memset(line, 'x', sizeof(line));
	line[0] = '+';
	struct resp_reader reader;
	struct resp_item item;
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	resp_reader_feed(&reader, slice_of(line, BULK_BYTES_MAX + 1));
	ck_assert_int_eq(resp_reader_next(&reader, &item), ERR_TRUNCATED);
	resp_reader_feed(&reader, slice_of(line, BULK_BYTES_MAX + 2));
	ck_assert_int_eq(resp_reader_next(&reader, &item), ERR_TOO_LARGE);
	ck_assert_str_eq(resp_reader_error(&reader), "a line is too long");
	memcpy(line + BULK_BYTES_MAX + 1, "\r\n", 2);
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	resp_reader_feed(&reader, slice_of(line, BULK_BYTES_MAX + 3));
	ck_assert_int_eq(resp_reader_next(&reader, &item), 0);
	ck_assert_uint_eq(item.text.bytes, BULK_BYTES_MAX);
}
END_TEST

START_TEST(a_whole_reply_is_found_byte_by_byte)
{
	struct slice input = slice_from_text(
	    "|1\r\n+a\r\n+b\r\n%1\r\n$3\r\nkey\r\n*2\r\n:1\r\n$5\r\nhello\r\n+next\r\n");
	size_t first = input.bytes - 7;
	struct resp_reader reader;
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	ck_assert_int_eq(resp_reader_whole(&reader), ERR_TRUNCATED);
	for (size_t bytes = 1; bytes < first; bytes++) {
		resp_reader_feed(&reader, slice_of(input.data, bytes));
		ck_assert_int_eq(resp_reader_whole(&reader), ERR_TRUNCATED);
		ck_assert_uint_gt(resp_reader_wanted(&reader), bytes);
		ck_assert_uint_le(resp_reader_wanted(&reader), first);
	}
	resp_reader_feed(&reader, slice_of(input.data, first));
	ck_assert_int_eq(resp_reader_whole(&reader), 0);
	ck_assert_uint_eq(resp_reader_offset(&reader), first);
	resp_reader_feed(&reader, input);
	struct resp_item item;
	ck_assert_int_eq(resp_reader_next(&reader, &item), 0);
	ck_assert(slice_equal(item.text, slice_from_text("next")));
}
END_TEST

START_TEST(items_are_skipped_whole)
{
	struct resp_reader reader;
	struct resp_item item;
	resp_reader_init(&reader, BULK_BYTES_MAX, 4);
	resp_reader_feed(
	    &reader, slice_from_text("*3\r\n*2\r\n:1\r\n%1\r\n+a\r\n+b\r\n:2\r\n+c\r\n"));
	ck_assert_int_eq(resp_reader_next(&reader, &item), 0);
	ck_assert_int_eq(resp_reader_skip(&reader), 0);
	ck_assert_int_eq(resp_reader_skip(&reader), 0);
	ck_assert_int_eq(resp_reader_next(&reader, &item), 0);
	ck_assert(slice_equal(item.text, slice_from_text("c")));
	ck_assert_uint_eq(resp_reader_depth(&reader), 0);
}
END_TEST

/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
static void append_random_reply(struct buffer *stream, struct random *random, unsigned depth)
{
	static const char *const scalars[] = {"+OK\r\n", "-ERR no\r\n", ":42\r\n", ":-1\r\n",
	    "$5\r\nhello\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "_\r\n", "#t\r\n", "#f\r\n",
	    ",1.25\r\n", ",inf\r\n", ",nan\r\n", "(12345678901234567890123\r\n",
	    "=7\r\ntxt:abc\r\n", "!5\r\nERR x\r\n"};
	if (random_chance(random, 1, 10))
		ck_assert_int_eq(
		    buffer_append_text(stream, "|1\r\n+a\r\n*2\r\n:1\r\n|1\r\n+b\r\n+c\r\n:2\r\n"),
		    0);
	if (depth == 0 || random_chance(random, 1, 2)) {
		const char *scalar =
		    scalars[random_below(random, sizeof(scalars) / sizeof(scalars[0]))];
		ck_assert_int_eq(buffer_append_text(stream, scalar), 0);
		return;
	}
	char type = "*~>%"[random_below(random, 4)];
	unsigned count = (unsigned)random_below(random, 4);
	ck_assert_int_eq(buffer_append_format(stream, "%c%u\r\n", type, count), 0);
	for (unsigned i = 0; i < (type == '%' ? 2 * count : count); i++)
		append_random_reply(stream, random, depth - 1);
}

START_TEST(pieces_are_seen_as_the_whole_is)
{
	struct buffer stream;
	buffer_init(&stream, 1 << 20);
	struct random random;
	random_init(&random, 10);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t count = random_between(&random, 1, 4);
		for (uint64_t j = 0; j < count; j++)
			append_random_reply(&stream, &random, 4);
		if (i % 4 != 0)
			mutate(
			    &stream, slice_from_text("*$\r\n0123456789-+:_#,%~>=!(|tf"), &random);
		struct slice view = buffer_view(&stream);
		const char *wrong = resp_reply_oracle(view, i);
		ck_assert_msg(!wrong, "%s: %.*s", wrong, (int)view.bytes, (const char *)view.data);
		buffer_clear(&stream);
	}
	buffer_done(&stream);
}
END_TEST

Suite *resp_reader_suite(void)
{
	Suite *suite = suite_create("resp_reader");
	TCase *tcase = tcase_create("resp_reader");
	tcase_add_test(tcase, every_type_of_resp2_is_read);
	tcase_add_test(tcase, every_type_of_resp3_is_read);
	tcase_add_test(tcase, attributes_are_skipped);
	tcase_add_test(tcase, malformed_replies_are_refused);
	tcase_add_test(tcase, lines_are_bounded);
	tcase_add_test(tcase, a_whole_reply_is_found_byte_by_byte);
	tcase_add_test(tcase, items_are_skipped_whole);
	tcase_add_test(tcase, pieces_are_seen_as_the_whole_is);
	suite_add_tcase(suite, tcase);
	return suite;
}
