#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/wire/resp_request.h"
#include "tests/fuzz/resp_oracle.h"
#include "tests/unit/wire/mutate.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARGS_MAX = 8 };

static const struct resp_limits LIMITS = {
    .args_max = ARGS_MAX,
    .bulk_bytes_max = 1000,
    .inline_bytes_max = RESP_INLINE_BYTES_MAX,
    .request_bytes_max = 100000,
};

#define BYTES(text) slice_of(text, sizeof(text) - 1)

/* A parser fed with a copy that ends with its memory. */
static int parse(struct slice input, char *ret_words, size_t words_bytes, size_t *ret_bytes)
{
	struct resp_parser parser;
	resp_parser_init(&parser);
	struct slice args[ARGS_MAX];
	struct resp_request request = {.bytes = 77};
	uint8_t *copy = malloc(input.bytes > 0 ? input.bytes : 1);
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, input.data, input.bytes);
	int error = resp_parse(&parser, &LIMITS, copy, input.bytes, args, &request);
	size_t at = 0;
	ret_words[0] = '\0';
	if (error == 0) {
		for (uint32_t i = 0; i < request.args_count; i++)
			at += (size_t)snprintf(ret_words + at, words_bytes - at, "<%.*s>",
			    (int)args[i].bytes, (const char *)args[i].data);
	} else if (error != ERR_TRUNCATED) {
		char text[RESP_ERROR_TEXT_BYTES_MAX];
		snprintf(ret_words, words_bytes, "%s", resp_error_text(&parser, text));
		ck_assert_int_eq(
		    resp_parse(&parser, &LIMITS, copy, input.bytes, args, &request), error);
	}
	if (error)
		ck_assert_uint_eq(request.bytes, 77);
	*ret_bytes = request.bytes;
	free(copy);
	return error;
}

static void expect_words(struct slice input, const char *expected)
{
	char words[1024];
	size_t bytes;
	int error = parse(input, words, sizeof(words), &bytes);
	ck_assert_msg(error == 0, "%s: %s", expected, error_name(error));
	ck_assert_str_eq(words, expected);
	ck_assert_uint_eq(bytes, input.bytes);
}

static void expect_error(struct slice input, int expected, const char *text)
{
	char words[1024];
	size_t bytes;
	ck_assert_int_eq(parse(input, words, sizeof(words), &bytes), expected);
	ck_assert_str_eq(words, text);
}

START_TEST(arrays_of_bulk_strings_are_requests)
{
	expect_words(BYTES("*1\r\n$4\r\nPING\r\n"), "<PING>");
	expect_words(BYTES("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n"), "<ECHO><>");
	expect_words(
	    BYTES("*3\r\n$1\r\na\r\n$10\r\n0123456789\r\n$2\r\n\r\n\r\n"), "<a><0123456789><\r\n>");
	expect_words(BYTES("*0\r\n"), "");
	expect_words(BYTES("*-1\r\n"), "");
	expect_words(BYTES("*8\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$1\r\n6"
	                   "\r\n$1\r\n7\r\n$1\r\n8\r\n"),
	    "<1><2><3><4><5><6><7><8>");
	char long_one[1100];
	int bytes = snprintf(long_one, sizeof(long_one), "*1\r\n$1000\r\n%01000d\r\n", 7);
	char words[1100];
	size_t taken;
	ck_assert_int_eq(parse(slice_of(long_one, (size_t)bytes), words, sizeof(words), &taken), 0);
	ck_assert_uint_eq(strlen(words), 1002);
}
END_TEST

START_TEST(the_next_request_is_left_in_the_input)
{
	uint8_t input[] = "*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$1\r\nx\r\n*1\r";
	static const size_t expected[] = {14, 6, 11};
	struct resp_parser parser;
	resp_parser_init(&parser);
	size_t at = 0;
	struct slice args[ARGS_MAX];
	struct resp_request request;
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(resp_parse(&parser, &LIMITS, input + at, sizeof(input) - 1 - at,
		                     args, &request),
		    0);
		ck_assert_uint_eq(request.bytes, expected[i]);
		ck_assert_uint_eq(request.args_count, 1);
		at += request.bytes;
	}
	ck_assert_int_eq(
	    resp_parse(&parser, &LIMITS, input + at, sizeof(input) - 1 - at, args, &request),
	    ERR_TRUNCATED);
}
END_TEST

START_TEST(malformed_requests_are_errors_in_redis_words)
{
	static const struct {
		const char *input;
		int error;
		const char *text;
	} cases[] = {
	    {"*x\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*+1\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*01\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*-2\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*-\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*1 \r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*1\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*1\rx", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*9\r\n", ERR_TOO_LARGE, "invalid multibulk length"},
	    {"*18446744073709551617\r\n", ERR_PROTOCOL, "invalid multibulk length"},
	    {"*1\r\n:1\r\n", ERR_PROTOCOL, "expected '$', got ':'"},
	    {"*1\r\n\x01", ERR_PROTOCOL, "expected '$', got byte 0x01"},
	    {"*1\r\n\xff", ERR_PROTOCOL, "expected '$', got byte 0xff"},
	    {"*1\r\n$-1\r\n", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$x\r\n", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$\r\n", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$00\r\n", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$1x\r\n", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$1001\r\n", ERR_TOO_LARGE, "invalid bulk length"},
	    {"*1\r\n$99999999999999999\r\n", ERR_TOO_LARGE, "invalid bulk length"},
	    {"*1\r\n$9999999999999999999", ERR_PROTOCOL, "invalid bulk length"},
	    {"*1\r\n$1\r\nab\n", ERR_PROTOCOL, "expected CR LF behind a bulk string"},
	    {"*1\r\n$1\r\na\rb", ERR_PROTOCOL, "expected CR LF behind a bulk string"},
	    {"a \"b\r\n", ERR_PROTOCOL, "unbalanced quotes in request"},
	    {"a 'b\r\n", ERR_PROTOCOL, "unbalanced quotes in request"},
	    {"\"a\"b\r\n", ERR_PROTOCOL, "unbalanced quotes in request"},
	    {"\"a\"\"b\"\r\n", ERR_PROTOCOL, "unbalanced quotes in request"},
	    {"\"a\\\"\r\n", ERR_PROTOCOL, "unbalanced quotes in request"},
	    {"1 2 3 4 5 6 7 8 9\r\n", ERR_TOO_LARGE, "too many arguments"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[RESP_ERROR_TEXT_BYTES_MAX];
		snprintf(text, sizeof(text), "Protocol error: %s", cases[i].text);
		expect_error(slice_from_text(cases[i].input), cases[i].error, text);
	}
}
END_TEST

START_TEST(inline_commands_are_split_like_redis_does)
{
	static const char *const cases[][2] = {
	    {"PING\r\n", "<PING>"},
	    {"PING\n", "<PING>"},
	    {"\r\n", ""},
	    {"\n", ""},
	    {"  \t \r\n", ""},
	    {" a  b\tc \r\n", "<a><b><c>"},
	    {"a \"b c\" d\r\n", "<a><b c><d>"},
	    {"a 'b c' d\r\n", "<a><b c><d>"},
	    {"\"\" ''\r\n", "<><>"},
	    {"\"\\n\\r\\t\\b\\a\\\\\\\"\\q\"\r\n", "<\n\r\t\b\a\\\"q>"},
	    {"\"\\x41\\x6a\\xzz\\x4\"\r\n", "<Ajxzzx4>"},
	    {"'it\\'s' '\\n'\r\n", "<it's><\\n>"},
	    {"pre\"fix\" x'y z'\r\n", "<prefix><xy z>"},
	    {"a\"b\\x20c\" \"d\"\r\n", "<ab c><d>"},
	    {"CALL cart/c1 add {\"a\":1}\r\n", NULL},
	    {"a\rb\r\n", "<a><b>"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i][1])
			expect_words(slice_from_text(cases[i][0]), cases[i][1]);
		else
			expect_error(slice_from_text(cases[i][0]), ERR_PROTOCOL,
			    "Protocol error: unbalanced quotes in request");
	}
}
END_TEST

START_TEST(a_line_without_end_is_bounded)
{
	static uint8_t line[RESP_INLINE_BYTES_MAX + 10];
	memset(line, 'x', sizeof(line));
	struct resp_parser parser;
	struct slice args[ARGS_MAX];
	struct resp_request request;
	resp_parser_init(&parser);
	size_t most = RESP_INLINE_BYTES_MAX - 1;
	ck_assert_int_eq(resp_parse(&parser, &LIMITS, line, most, args, &request), ERR_TRUNCATED);
	line[most] = '\n';
	ck_assert_int_eq(resp_parse(&parser, &LIMITS, line, sizeof(line), args, &request), 0);
	ck_assert_uint_eq(request.bytes, RESP_INLINE_BYTES_MAX);
	/* One byte more is too much, whether its end is there or not. */
	line[most] = 'x';
	line[most + 1] = '\n';
	ck_assert_int_eq(
	    resp_parse(&parser, &LIMITS, line, sizeof(line), args, &request), ERR_TOO_LARGE);
	char text[RESP_ERROR_TEXT_BYTES_MAX];
	ck_assert_str_eq(resp_error_text(&parser, text), "Protocol error: too big inline request");
	resp_parser_init(&parser);
	ck_assert_int_eq(
	    resp_parse(&parser, &LIMITS, line, most + 1, args, &request), ERR_TOO_LARGE);
}
END_TEST

START_TEST(a_request_is_bounded_as_a_whole)
{
	/* Two strings of ten bytes: 4 + 2 * 17 bytes. */
	static const char input[] = "*2\r\n$10\r\n0123456789\r\n$10\r\n0123456789\r\nPING\r\n";
	struct resp_limits limits = LIMITS;
	for (limits.request_bytes_max = 1; limits.request_bytes_max < 50;
	     limits.request_bytes_max++) {
		for (size_t given = 1; given < sizeof(input); given++) {
			struct resp_parser parser;
			resp_parser_init(&parser);
			uint8_t copy[sizeof(input)];
			memcpy(copy, input, sizeof(input));
			struct slice args[ARGS_MAX];
			struct resp_request request;
			int error = resp_parse(&parser, &limits, copy, given, args, &request);
			if (limits.request_bytes_max >= 38) {
				ck_assert_int_eq(error, given < 38 ? ERR_TRUNCATED : 0);
				continue;
			}
			/* Said as soon as it is known, and never asked for what may not come. */
			ck_assert_int_ne(error, 0);
			if (error == ERR_TRUNCATED)
				ck_assert_uint_le(
				    resp_parser_wanted(&parser), limits.request_bytes_max);
			if (given >= 26)
				ck_assert_int_eq(error, ERR_TOO_LARGE);
		}
	}
}
END_TEST

START_TEST(a_large_string_is_not_looked_at_again_and_again)
{
	/* The parser says how many bytes it needs, and with fewer it touches nothing: so the memory
	 * may even be no one's. */
	static const char header[] = "*2\r\n$4\r\nECHO\r\n$900\r\n";
	uint8_t input[1000] = "";
	memcpy(input, header, sizeof(header) - 1);
	size_t whole = sizeof(header) - 1 + 900 + 2;
	memcpy(input + whole - 2, "\r\n", 2);
	struct resp_parser parser;
	resp_parser_init(&parser);
	struct slice args[ARGS_MAX];
	struct resp_request request;
	ck_assert_int_eq(
	    resp_parse(&parser, &LIMITS, input, sizeof(header) - 1, args, &request), ERR_TRUNCATED);
	ck_assert_uint_eq(resp_parser_wanted(&parser), whole);
	for (size_t bytes = sizeof(header); bytes < whole; bytes++)
		ck_assert_int_eq(
		    resp_parse(&parser, &LIMITS, NULL, bytes, args, &request), ERR_TRUNCATED);
	uint8_t moved[1000];
	memcpy(moved, input, sizeof(moved));
	ck_assert_int_eq(resp_parse(&parser, &LIMITS, moved, whole, args, &request), 0);
	/* All arguments lie where the bytes are now. */
	ck_assert_ptr_eq(args[0].data, moved + 8);
	ck_assert_ptr_eq(args[1].data, moved + sizeof(header) - 1);
	ck_assert_uint_eq(args[1].bytes, 900);
}
END_TEST

static void append_random_request(struct buffer *stream, struct random *random)
{
	static const char *const words[] = {"", "a", "PING", "cart/c1", "\r\n", "$1\r\n", "*",
	    "{\"product\":\"p1\",\"quantity\":2}", "\"", "'", "\\x41\\n", " "};
	uint64_t count = random_below(random, 6);
	bool is_inline = random_chance(random, 1, 3);
	if (!is_inline)
		ck_assert_int_eq(buffer_append_format(stream, "*%d\r\n", (int)count), 0);
	for (uint64_t i = 0; i < count; i++) {
		const char *word = words[random_below(random, sizeof(words) / sizeof(words[0]))];
		if (is_inline)
			ck_assert_int_eq(buffer_append_format(stream, "%s ", word), 0);
		else
			ck_assert_int_eq(
			    buffer_append_format(stream, "$%zu\r\n%s\r\n", strlen(word), word), 0);
	}
	if (is_inline)
		ck_assert_int_eq(buffer_append_text(stream, "\r\n"), 0);
}

START_TEST(pieces_are_seen_as_the_whole_is)
{
	struct buffer stream;
	buffer_init(&stream, 1 << 20);
	struct random random;
	random_init(&random, 9);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t count = random_between(&random, 1, 5);
		for (uint64_t j = 0; j < count; j++)
			append_random_request(&stream, &random);
		if (i % 4 != 0)
			mutate(&stream, slice_from_text("*$\r\n0123456789-\"'\\x \t"), &random);
		struct slice view = buffer_view(&stream);
		const char *wrong = resp_request_oracle(view, i);
		ck_assert_msg(!wrong, "%s: %.*s", wrong, (int)view.bytes, (const char *)view.data);
		buffer_clear(&stream);
	}
	buffer_done(&stream);
}
END_TEST

Suite *resp_request_suite(void)
{
	Suite *suite = suite_create("resp_request");
	TCase *tcase = tcase_create("resp_request");
	tcase_add_test(tcase, arrays_of_bulk_strings_are_requests);
	tcase_add_test(tcase, the_next_request_is_left_in_the_input);
	tcase_add_test(tcase, malformed_requests_are_errors_in_redis_words);
	tcase_add_test(tcase, inline_commands_are_split_like_redis_does);
	tcase_add_test(tcase, a_line_without_end_is_bounded);
	tcase_add_test(tcase, a_request_is_bounded_as_a_whole);
	tcase_add_test(tcase, a_large_string_is_not_looked_at_again_and_again);
	tcase_add_test(tcase, pieces_are_seen_as_the_whole_is);
	suite_add_tcase(suite, tcase);
	return suite;
}
