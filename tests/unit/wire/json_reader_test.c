#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/wire/json_reader.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCRATCH_BYTES_MAX = 1 << 20 };

/* The tokens of a document as one line, or the error at its end. */
static void transcribe(struct slice text, char *to, size_t to_bytes)
{
	static const char *const names[] = {"{", "}", "[", "]", "key", "string", "integer",
	    "double", "true", "false", "null", "end"};
	struct buffer scratch;
	buffer_init(&scratch, SCRATCH_BYTES_MAX);
	struct json_reader reader;
	json_reader_init(&reader, text, &scratch, JSON_DEPTH_MAX);
	size_t at = 0;
	for (;;) {
		enum json_token token;
		int error = json_next(&reader, &token);
		ck_assert_uint_lt(at, to_bytes);
		if (error) {
			snprintf(to + at, to_bytes - at, "%s", error_name(error));
			/* An error is final. */
			ck_assert_int_eq(json_next(&reader, &token), error);
			ck_assert_int_eq(json_skip(&reader), error);
			break;
		}
		at += (size_t)snprintf(to + at, to_bytes - at, "%s ", names[token]);
		if (token == JSON_KEY || token == JSON_STRING)
			at += (size_t)snprintf(to + at, to_bytes - at, "%.*s ",
			    (int)reader.text.bytes, (const char *)reader.text.data);
		if (token == JSON_INTEGER)
			at += (size_t)snprintf(
			    to + at, to_bytes - at, "%lld ", (long long)reader.integer);
		if (token == JSON_DOUBLE)
			at += (size_t)snprintf(to + at, to_bytes - at, "%.17g ", reader.number);
		if (token == JSON_END) {
			ck_assert_int_eq(json_next(&reader, &token), 0);
			ck_assert_int_eq(token, JSON_END);
			break;
		}
	}
	buffer_done(&scratch);
}

static void expect(const char *text, const char *expected)
{
	char transcript[1024];
	struct slice slice = slice_from_text(text);
	/* Memory ends with the text, so that sanitizers see a read beyond it. */
	uint8_t *exact = malloc(slice.bytes > 0 ? slice.bytes : 1);
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, text, slice.bytes);
	transcribe(slice_of(exact, slice.bytes), transcript, sizeof(transcript));
	free(exact);
	ck_assert_msg(strcmp(transcript, expected) == 0, "%s\nis read as\n%s\nnot as\n%s", text,
	    transcript, expected);
}

START_TEST(documents_are_read_token_by_token)
{
	static const char *const cases[][2] = {
	    {"0", "integer 0 end "},
	    {" \t\r\n5\n ", "integer 5 end "},
	    {"\"x\"", "string x end "},
	    {"\"\"", "string  end "},
	    {"true", "true end "},
	    {"false", "false end "},
	    {"null", "null end "},
	    {"[]", "[ ] end "},
	    {"[ ]", "[ ] end "},
	    {"{}", "{ } end "},
	    {"{ }", "{ } end "},
	    {"[1]", "[ integer 1 ] end "},
	    {"[1,2.5,-3]", "[ integer 1 double 2.5 integer -3 ] end "},
	    {" [ 1 , 2 ] ", "[ integer 1 integer 2 ] end "},
	    {"[[],[[]]]", "[ [ ] [ [ ] ] ] end "},
	    {"{\"a\":1}", "{ key a integer 1 } end "},
	    {"{ \"a\" : { \"b\" : [ true , null ] } , \"c\" : false }",
	        "{ key a { key b [ true null ] } key c false } end "},
	    {"{\"\":\"\"}", "{ key  string  } end "},
	    {"{\"a\":1,\"a\":2}", "{ key a integer 1 key a integer 2 } end "},
	    {"[5,5.0,5e0,-0,-0.0]", "[ integer 5 double 5 double 5 integer 0 double -0 ] end "},
	    {"[9223372036854775807,-9223372036854775808]",
	        "[ integer 9223372036854775807 integer -9223372036854775808 ] end "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(cases[i][0], cases[i][1]);
}
END_TEST

START_TEST(strings_are_unescaped)
{
	static const char *const cases[][2] = {
	    {"\"a\\\"b\\\\c\\/d\"", "string a\"b\\c/d end "},
	    {"\"\\b\\f\\n\\r\\t\"", "string \b\f\n\r\t end "},
	    {"\"\\u0041\\u00e9\\u20AC\\uFFFF\"", "string A\xc3\xa9\xe2\x82\xac\xef\xbf\xbf end "},
	    {"\"\\ud83d\\ude00\\uD800\\uDC00\\uDBFF\\uDFFF\"",
	        "string \xf0\x9f\x98\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf end "},
	    {"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
	        "string \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f end "},
	    {"{\"a\\u0062\":\"plain then \\u0062\"}", "{ key ab string plain then b } end "},
	    {"\"a long plain run, then\\n\"", "string a long plain run, then\n end "},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(cases[i][0], cases[i][1]);
}
END_TEST

START_TEST(escaped_nul_is_a_byte)
{
	struct buffer scratch;
	buffer_init(&scratch, SCRATCH_BYTES_MAX);
	struct json_reader reader;
	json_reader_init(&reader, slice_from_text("\"a\\u0000b\""), &scratch, 0);
	enum json_token token;
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert(slice_equal(reader.text, slice_of("a\0b", 3)));
	buffer_done(&scratch);
}
END_TEST

START_TEST(text_without_escapes_is_a_view_of_the_document)
{
	struct slice text = slice_from_text("[\"plain\"]");
	struct json_reader reader;
	json_reader_init(&reader, text, NULL, 1);
	enum json_token token;
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_ptr_eq(reader.text.data, text.data + 2);
	ck_assert(!reader.escaped);
}
END_TEST

START_TEST(without_scratch_escapes_stay_for_the_caller)
{
	struct json_reader reader;
	json_reader_init(&reader, slice_from_text("\"\\u00e9\\n\\ud83d\\ude00x\""), NULL, 0);
	enum json_token token;
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert(reader.escaped);
	ck_assert(slice_equal(reader.text, slice_from_text("\\u00e9\\n\\ud83d\\ude00x")));
	uint8_t to[64];
	size_t bytes = json_unescape(reader.text, to);
	struct slice expected = slice_from_text("\xc3\xa9\n\xf0\x9f\x98\x80x");
	ck_assert(slice_equal(slice_of(to, bytes), expected));
	/* In place too. */
	memcpy(to, reader.text.data, reader.text.bytes);
	bytes = json_unescape(slice_of(to, reader.text.bytes), to);
	ck_assert(slice_equal(slice_of(to, bytes), expected));
}
END_TEST

START_TEST(every_unit_escape_is_its_code_point_or_refused)
{
	for (unsigned unit = 0; unit <= 0xffff; unit++) {
		char text[16];
		snprintf(text, sizeof(text), "\"\\u%04X\"", unit);
		struct json_reader reader;
		json_reader_init(&reader, slice_from_text(text), NULL, 0);
		enum json_token token;
		int error = json_next(&reader, &token);
		bool is_surrogate = unit >= 0xd800 && unit <= 0xdfff;
		ck_assert_int_eq(error, is_surrogate ? ERR_PROTOCOL : 0);
		if (error)
			continue;
		uint8_t to[8];
		size_t bytes = json_unescape(reader.text, to);
		ck_assert_uint_eq(bytes, (size_t)(1 + (unit >= 0x80) + (unit >= 0x800)));
		uint32_t decoded =
		    bytes == 1   ? to[0]
		    : bytes == 2 ? (to[0] & 0x1fu) << 6 | (to[1] & 0x3fu)
		                 : (to[0] & 0xfu) << 12 | (to[1] & 0x3fu) << 6 | (to[2] & 0x3fu);
		ck_assert_uint_eq(decoded, unit);
	}
}
END_TEST

START_TEST(what_is_not_json_is_refused)
{
	static const char *const cases[] = {"]", "}", ",", ":", "[,]", "[1,]", "[,1]", "[1,,2]",
	    "[1 2]", "[1:2]", "[1}", "{1:2}", "{\"a\"}", "{\"a\",1}", "{\"a\":}", "{\"a\":1,}",
	    "{,}", "{\"a\":1 \"b\":2}", "{\"a\":1]", "{\"a\"::1}", "{a:1}", "{'a':1}", "'a'", "1 2",
	    "[] []", "{} x", "nul", "nulL", "True", "TRUE", "truefalse", "true1", "+1", ".5", "1.",
	    "01", "-", "--1", "1e", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "undefined",
	    "// x\n1", "/* x */1", "1 // x", "[1,\f2]", "\v1", "\xef\xbb\xbf[]", "[\"a\",\n]",
	    "\"\\x41\"", "\"\\a\"", "\"\\'\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\uD800\"",
	    "\"\\uDC00\"", "\"\\uD800\\u0041\"", "\"\\uD800x\"", "\"\\uDC00\\uD800\"",
	    "\"\\uD800\\uD800\"", "\"a\nb\"", "\"a\tb\"", "\"\x1f\"", "\"a\x01",
	    "\"long enough for a word \x02 and on\"", "\"\\\"", "[\"\\", "[1]]", "[[1]", "{}}",
	    "1,", "\"a\"b", "-x", "tru", "[tru", "fals", "@", "\xc3\xa9", "[1;2]", "[-]"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char transcript[1024];
		transcribe(slice_from_text(cases[i]), transcript, sizeof(transcript));
		bool refused = strstr(transcript, "ERR_PROTOCOL") != NULL;
		/* "[[1]" and the like only lack their end. */
		refused = refused || strstr(transcript, "ERR_TRUNCATED");
		ck_assert_msg(refused, "%s is read as %s", cases[i], transcript);
		ck_assert_msg(!strstr(transcript, "end"), "%s is read as %s", cases[i], transcript);
	}
	char transcript[64];
	transcribe(slice_of("1\0", 2), transcript, sizeof(transcript));
	ck_assert_str_eq(transcript, "integer 1 ERR_PROTOCOL");
	transcribe(slice_of("\"a\0b\"", 5), transcript, sizeof(transcript));
	ck_assert_str_eq(transcript, "ERR_PROTOCOL");
}
END_TEST

START_TEST(what_ends_too_early_is_told_apart)
{
	static const char *const cases[] = {"", " ", "[", "[ ", "[1", "[1,", "[1, ", "{", "{ ",
	    "{\"a\"", "{\"a\" ", "{\"a\":", "{\"a\": ", "{\"a\":1", "{\"a\":1,", "\"", "\"abc",
	    "\"abcdefghijklmnop", "{\"a", "[[", "[[]", "[{}", "[\"a\""};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char transcript[1024];
		transcribe(slice_from_text(cases[i]), transcript, sizeof(transcript));
		ck_assert_msg(
		    strstr(transcript, "ERR_TRUNCATED"), "%s is read as %s", cases[i], transcript);
	}
	char transcript[64];
	transcribe(slice_of(NULL, 0), transcript, sizeof(transcript));
	ck_assert_str_eq(transcript, "ERR_TRUNCATED");
}
END_TEST

START_TEST(text_that_is_not_utf8_is_refused)
{
	static const char *const cases[] = {"\"\x80\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
	    "\"\xf4\x90\x80\x80\"", "\"\xff\"", "\"abcdefgh\xc3\"", "\"\xc3", "{\"\xe2\x82\":1}",
	    "\"\xc3\xa9\xc3\xa9\xc3(\"", "\"\\n\xf0\x9f\x98\""};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char transcript[1024];
		transcribe(slice_from_text(cases[i]), transcript, sizeof(transcript));
		ck_assert_msg(
		    strstr(transcript, "ERR_UTF8"), "case %zu is read as %s", i, transcript);
	}
}
END_TEST

START_TEST(numbers_that_do_not_fit_are_errors)
{
	expect("[9223372036854775808]", "[ ERR_NUMBER");
	expect("[-9223372036854775809]", "[ ERR_NUMBER");
	expect("[18446744073709551616]", "[ ERR_NUMBER");
	expect("1e400", "ERR_NUMBER");
	expect("-1e400", "ERR_NUMBER");
	expect("1e-400", "double 0 end ");
	expect("9223372036854775808.0", "double 9.2233720368547758e+18 end ");
}
END_TEST

static void nested(char *to, unsigned depth, bool objects)
{
	for (unsigned i = 0; i < depth; i++) {
		memcpy(to, objects ? "{\"a\":" : "[", objects ? 5 : 1);
		to += objects ? 5 : 1;
	}
	*to++ = '1';
	memset(to, objects ? '}' : ']', depth);
	to[depth] = '\0';
}

static int read_all(const char *text, unsigned depth_max)
{
	struct json_reader reader;
	json_reader_init(&reader, slice_from_text(text), NULL, depth_max);
	enum json_token token;
	int error;
	while ((error = json_next(&reader, &token)) == 0 && token != JSON_END)
		;
	return error;
}

START_TEST(nesting_is_bounded)
{
	static char text[8 * JSON_DEPTH_MAX];
	for (int objects = 0; objects < 2; objects++) {
		static const unsigned depths[] = {0, 1, 2, 63, 64, 65, 127, 128};
		for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
			unsigned depth = depths[i];
			nested(text, depth, objects);
			ck_assert_int_eq(read_all(text, depth), 0);
			nested(text, depth + 1, objects);
			ck_assert_int_eq(read_all(text, depth), ERR_DEPTH);
		}
	}
	/* Arrays and objects in turn keep their ends apart at every depth. */
	size_t at = 0;
	for (unsigned i = 0; i < 64; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "[{\"a\":");
	at += (size_t)snprintf(text + at, sizeof(text) - at, "0");
	for (unsigned i = 0; i < 64; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "}]");
	ck_assert_int_eq(read_all(text, 128), 0);
	text[at - 1] = '}';
	ck_assert_int_eq(read_all(text, 128), ERR_PROTOCOL);
}
END_TEST

START_TEST(values_are_skipped_whole)
{
	const char *text = "{\"a\":[1,{\"b\":\"\\n\"},[]],\"c\":{\"d\":{}},\"e\":\"x\",\"f\":7}";
	struct buffer scratch;
	buffer_init(&scratch, SCRATCH_BYTES_MAX);
	struct json_reader reader;
	json_reader_init(&reader, slice_from_text(text), &scratch, 8);
	enum json_token token;
	ck_assert_int_eq(json_next(&reader, &token), 0);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_int_eq(json_next(&reader, &token), 0);
		ck_assert_int_eq(token, JSON_KEY);
		ck_assert_int_eq(json_skip(&reader), 0);
	}
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(token, JSON_KEY);
	ck_assert(slice_equal(reader.text, slice_from_text("f")));
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(reader.integer, 7);
	/* After a scalar there is nothing to skip. */
	ck_assert_int_eq(json_skip(&reader), 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(token, JSON_OBJECT_END);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(token, JSON_END);

	/* Begun containers are left by their ends. */
	json_reader_init(&reader, slice_from_text("[[1,[2],3],4]"), &scratch, 8);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(token, JSON_INTEGER);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(token, JSON_ARRAY_BEGIN);
	ck_assert_int_eq(json_skip(&reader), 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(reader.integer, 3);

	/* What is skipped is checked. */
	json_reader_init(&reader, slice_from_text("[[1,}],4]"), &scratch, 8);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(json_skip(&reader), ERR_PROTOCOL);
	buffer_done(&scratch);
}
END_TEST

START_TEST(offsets_enclose_the_text_of_a_value)
{
	const char *text = "{\"a\" : [1, 2] , \"b\":-5 }";
	struct json_reader reader;
	json_reader_init(&reader, slice_from_text(text), NULL, 8);
	enum json_token token;
	ck_assert_int_eq(json_next(&reader, &token), 0);
	static const char *const expected[] = {"[1, 2]", "-5"};
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(json_next(&reader, &token), 0);
		ck_assert_int_eq(token, JSON_KEY);
		ck_assert_int_eq(json_next(&reader, &token), 0);
		size_t begin = json_token_offset(&reader);
		ck_assert_int_eq(json_skip(&reader), 0);
		struct slice value = slice_of(text + begin, json_offset(&reader) - begin);
		ck_assert(slice_equal(value, slice_from_text(expected[i])));
	}
}
END_TEST

START_TEST(errors_say_what_and_where)
{
	static const struct {
		const char *text;
		size_t offset, line, column;
		const char *what;
	} cases[] = {
	    {"", 0, 1, 1, "expected a value"},
	    {"[1,\n 2,\n  x]", 10, 3, 3, "expected a value"},
	    {"{\"a\" 1}", 5, 1, 6, "expected ':' after a key"},
	    {"{\"\xc3\xa9\xc3\xa9\",}", 7, 1, 6, "expected ':' after a key"},
	    {"{1:2}", 1, 1, 2, "expected a key in quotes"},
	    {"[1 2]", 3, 1, 4, "expected ',' or ']' in an array"},
	    {"{\"a\":1 2}", 7, 1, 8, "expected ',' or '}' in an object"},
	    {"1 2", 2, 1, 3, "expected nothing after the value"},
	    {"\n\n\"a", 4, 3, 3, "a string without closing quote"},
	    {"[\"a\\x\"]", 3, 1, 4, "malformed escape or lone surrogate in a string"},
	    {"[\"a\n\"]", 3, 1, 4, "control character in a string: escape it"},
	    {"[\"a\xff\"]", 3, 1, 4, "a string is not valid UTF-8"},
	    {"[01]", 1, 1, 2, "malformed number"},
	    {"[1e999]", 1, 1, 2,
	        "number out of range: integers are 64 bits with sign, others doubles"},
	    {"[[[]]]", 2, 1, 3, "nested too deeply"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct json_reader reader;
		json_reader_init(&reader, slice_from_text(cases[i].text), NULL, 2);
		enum json_token token = JSON_NULL;
		while (json_next(&reader, &token) == 0)
			ck_assert_int_ne(token, JSON_END);
		struct json_position position;
		ck_assert_str_eq(json_error(&reader, &position), cases[i].what);
		ck_assert_msg(position.offset == cases[i].offset &&
		                  position.line == cases[i].line &&
		                  position.column == cases[i].column,
		    "case %zu: %zu, line %zu, column %zu", i, position.offset, position.line,
		    position.column);
	}
}
END_TEST

START_TEST(no_memory_for_escapes_is_an_error)
{
	struct buffer scratch;
	buffer_init(&scratch, SCRATCH_BYTES_MAX);
	struct json_reader reader;
	enum json_token token;
	json_reader_init(&reader, slice_from_text("\"\\n\""), &scratch, 0);
	mem_fail_at(1);
	ck_assert_int_eq(json_next(&reader, &token), ERR_NOMEM);
	ck_assert(mem_failed());
	mem_fail_at(0);
	ck_assert_int_eq(json_next(&reader, &token), ERR_NOMEM);
	buffer_done(&scratch);

	buffer_init(&scratch, 8);
	json_reader_init(&reader, slice_from_text("\"1234567\\n\""), &scratch, 0);
	ck_assert_int_eq(json_next(&reader, &token), ERR_TOO_LARGE);
	/* What is skipped is not unescaped either. */
	json_reader_init(&reader, slice_from_text("[\"1234567\\n\"]"), &scratch, 1);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	ck_assert_int_eq(json_skip(&reader), 0);
	/* Without escapes nothing is copied. */
	json_reader_init(&reader, slice_from_text("\"123456789\""), &scratch, 0);
	ck_assert_int_eq(json_next(&reader, &token), 0);
	buffer_done(&scratch);
}
END_TEST

Suite *json_reader_suite(void)
{
	Suite *suite = suite_create("json_reader");
	TCase *tcase = tcase_create("json_reader");
	tcase_add_test(tcase, documents_are_read_token_by_token);
	tcase_add_test(tcase, strings_are_unescaped);
	tcase_add_test(tcase, escaped_nul_is_a_byte);
	tcase_add_test(tcase, text_without_escapes_is_a_view_of_the_document);
	tcase_add_test(tcase, without_scratch_escapes_stay_for_the_caller);
	tcase_add_test(tcase, every_unit_escape_is_its_code_point_or_refused);
	tcase_add_test(tcase, what_is_not_json_is_refused);
	tcase_add_test(tcase, what_ends_too_early_is_told_apart);
	tcase_add_test(tcase, text_that_is_not_utf8_is_refused);
	tcase_add_test(tcase, numbers_that_do_not_fit_are_errors);
	tcase_add_test(tcase, nesting_is_bounded);
	tcase_add_test(tcase, values_are_skipped_whole);
	tcase_add_test(tcase, offsets_enclose_the_text_of_a_value);
	tcase_add_test(tcase, errors_say_what_and_where);
	tcase_add_test(tcase, no_memory_for_escapes_is_an_error);
	suite_add_tcase(suite, tcase);
	return suite;
}
