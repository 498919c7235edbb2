/* What stands behind a call: options, META. */
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "server/gate/call_options.h"
#include "server/gate/commands.h"
#include "tests/unit/gate/suites.h"

START_TEST(integers_are_whole_and_in_their_bounds)
{
	int64_t value;
	ck_assert(word_integer(slice_from_text("9223372036854775807"), 0, INT64_MAX, &value));
	ck_assert(value == INT64_MAX);
	ck_assert(word_integer(slice_from_text("-5"), -5, 0, &value));
	ck_assert(value == -5);
	ck_assert(!word_integer(slice_from_text("9223372036854775808"), 0, INT64_MAX, &value));
	ck_assert(!word_integer(slice_from_text("-"), -5, 0, &value));
	ck_assert(!word_integer(slice_from_text(""), 0, 5, &value));
	ck_assert(!word_integer(slice_from_text("6"), 0, 5, &value));
	ck_assert(!word_integer(slice_from_text("1x"), 0, 5, &value));
	ck_assert(!word_integer(slice_from_text("+1"), 0, 5, &value));
}
END_TEST

static const char *parse(const char *const *words, uint32_t count, struct call_options *options)
{
	struct slice args[8];
	const char *why = NULL;
	for (uint32_t i = 0; i < count; i++)
		args[i] = slice_from_text(words[i]);
	int error = call_options_parse(args, count, options, &why);
	ck_assert_int_eq(error, why ? ERR_INVALID : 0);
	return why;
}

START_TEST(options_stand_once_in_any_order)
{
	struct call_options options;
	static const char *const all[] = {
	    "{}", "Meta", "{\"a\":1}", "stale", "0", "TIMEOUT", "10s"};
	ck_assert_ptr_null(parse(all, 7, &options));
	ck_assert(options.has_payload && options.has_stale);
	ck_assert_uint_eq(options.stale_ms, 0);
	ck_assert_uint_eq(options.timeout_ms, 10000);
	ck_assert_ptr_null(parse(NULL, 0, &options));
	ck_assert(!options.has_payload);
	ck_assert_uint_eq(options.timeout_ms, CALL_TIMEOUT_MS);
	static const char *const twice[] = {"TIMEOUT", "1", "timeout", "2"};
	ck_assert_str_eq(parse(twice, 4, &options), "an option stands twice");
	static const char *const empty[] = {"IDEMPOTENCY", ""};
	ck_assert_str_eq(parse(empty, 2, &options), "IDEMPOTENCY: a token is 1 to 128 bytes");
	static char token[TOKEN_BYTES_MAX + 2];
	memset(token, 't', TOKEN_BYTES_MAX + 1);
	const char *long_token[] = {"IDEMPOTENCY", token};
	ck_assert_ptr_nonnull(parse(long_token, 2, &options));
	token[TOKEN_BYTES_MAX] = 0;
	ck_assert_ptr_null(parse(long_token, 2, &options));
	ck_assert_uint_eq(options.token.bytes, TOKEN_BYTES_MAX);
}
END_TEST

START_TEST(meta_becomes_a_map_with_its_counts)
{
	static const struct {
		const char *json, *msgpack;
		size_t bytes;
	} cases[] = {
	    {"{}", "\x80", 1},
	    {" { \"a\" : true } ",
	        "\x81\xa1"
	        "a\xc3",
	        4},
	    {"{\"a\":[1,[],{\"b\":null}],\"c\":\"\\n\"}",
	        "\x82\xa1"
	        "a\x93\x01\x90\x81\xa1"
	        "b\xc0\xa1"
	        "c\xa1\n",
	        14},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buffer out;
		const char *why = NULL;
		buffer_init(&out, 65536);
		ck_assert_int_eq(metadata_convert(slice_from_text(cases[i].json), &out, &why), 0);
		ck_assert(
		    slice_equal(buffer_view(&out), slice_of(cases[i].msgpack, cases[i].bytes)));
		buffer_done(&out);
	}
	static const char *const bad[] = {"", "1", "[]", "null", "{", "{}x", "{\"a\":1,}", "{1:2}",
	    "{\"a\":99999999999999999999}", "{\"a\":\"\xff\"}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct buffer out;
		const char *why = NULL;
		buffer_init(&out, 65536);
		ck_assert_int_eq(
		    metadata_convert(slice_from_text(bad[i]), &out, &why), ERR_INVALID);
		ck_assert_str_eq(why, "META: expected a JSON object");
		ck_assert_uint_eq(buffer_bytes(&out), 0);
		buffer_done(&out);
	}
}
END_TEST

START_TEST(meta_of_any_depth_is_an_answer_and_no_crash)
{
	static char json[METADATA_BYTES_MAX];
	memset(json, '[', sizeof(json));
	memcpy(json, "{\"a\":", 5);
	struct buffer out;
	const char *why = NULL;
	buffer_init(&out, 65536);
	ck_assert_int_eq(metadata_convert(slice_of(json, sizeof(json)), &out, &why), ERR_INVALID);
	buffer_done(&out);
}
END_TEST

/* Under AddressSanitizer: containers that nobody closes take one byte of the text each. */
START_TEST(meta_of_unclosed_containers_stays_in_its_bounds)
{
	for (size_t bytes = 1; bytes < 200; bytes++) {
		uint8_t json[200];
		struct buffer out;
		const char *why = NULL;
		memset(json, '[', sizeof(json));
		buffer_init(&out, 65536);
		ck_assert_int_eq(metadata_convert(slice_of(json, bytes), &out, &why), ERR_INVALID);
		buffer_done(&out);
	}
}
END_TEST

Suite *options_suite(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");
	tcase_add_test(tcase, integers_are_whole_and_in_their_bounds);
	tcase_add_test(tcase, options_stand_once_in_any_order);
	tcase_add_test(tcase, meta_becomes_a_map_with_its_counts);
	tcase_add_test(tcase, meta_of_any_depth_is_an_answer_and_no_crash);
	tcase_add_test(tcase, meta_of_unclosed_containers_stays_in_its_bounds);
	suite_add_tcase(suite, tcase);
	return suite;
}
