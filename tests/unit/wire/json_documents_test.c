/* Whole documents, at random and with faults, judged by libjansson (tests/fuzz/json_oracle.h). */
#include "tests/unit/wire/suites.h"

#include "base/wire/json.h"
#include "tests/fuzz/json_oracle.h"
#include "tests/unit/wire/mutate.h"

#include <math.h>
#include <stdlib.h>

enum { DOCUMENT_BYTES_MAX = 1 << 20 };

static void write_random_text(struct buffer *text, struct random *random)
{
	static const char *const parts[] = {"a", "Z", "0", " ", "\"", "\\", "/", "\n", "\t", "\x01",
	    "\x1f", "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "plain words"};
	uint64_t count = random_below(random, 8);
	buffer_clear(text);
	for (uint64_t i = 0; i < count; i++) {
		const char *part = parts[random_below(random, sizeof(parts) / sizeof(parts[0]))];
		ck_assert_int_eq(buffer_append_text(text, part), 0);
	}
}

static void write_random_scalar(
    struct json_writer *writer, struct buffer *text, struct random *random)
{
	switch (random_below(random, 5)) {
	case 0:
		json_write_integer(writer, (int64_t)random_u64(random) >> random_below(random, 64));
		break;
	case 1: {
		uint64_t bits = random_u64(random);
		double number;
		memcpy(&number, &bits, sizeof(number));
		json_write_double(writer, isfinite(number) ? number : 0.5);
		break;
	}
	case 2:
		json_write_boolean(writer, random_chance(random, 1, 2));
		break;
	case 3:
		json_write_null(writer);
		break;
	case 4:
		write_random_text(text, random);
		json_write_string(writer, buffer_view(text));
		break;
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
static void write_random_value(
    struct json_writer *writer, struct buffer *text, struct random *random, unsigned depth)
{
	if (depth == 0 || random_chance(random, 1, 3)) {
		write_random_scalar(writer, text, random);
		return;
	}
	uint64_t count = random_below(random, 5);
	bool is_object = random_chance(random, 1, 2);
	if (is_object)
		json_write_object_begin(writer);
	else
		json_write_array_begin(writer);
	for (uint64_t i = 0; i < count; i++) {
		if (is_object) {
			write_random_text(text, random);
			json_write_key(writer, buffer_view(text));
		}
		write_random_value(writer, text, random, depth - 1);
	}
	if (is_object)
		json_write_object_end(writer);
	else
		json_write_array_end(writer);
}

static void must_hold(struct slice document)
{
	uint8_t *exact = malloc(document.bytes > 0 ? document.bytes : 1);
	ck_assert_ptr_nonnull(exact);
	if (document.bytes > 0)
		memcpy(exact, document.data, document.bytes);
	const char *wrong = json_oracle(slice_of(exact, document.bytes));
	ck_assert_msg(!wrong, "%s: %.*s", wrong, (int)document.bytes, (const char *)document.data);
	free(exact);
}

static struct slice random_document(struct buffer *document, struct random *random)
{
	struct buffer text;
	buffer_init(&text, DOCUMENT_BYTES_MAX);
	buffer_clear(document);
	struct json_writer writer;
	json_writer_init(&writer, document);
	write_random_value(&writer, &text, random, 6);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	buffer_done(&text);
	return buffer_view(document);
}

START_TEST(random_documents_are_read_as_by_jansson)
{
	struct buffer document;
	buffer_init(&document, DOCUMENT_BYTES_MAX);
	struct random random;
	random_init(&random, 5);
	for (unsigned i = 0; i < UNIT_ROUNDS(3000); i++)
		must_hold(random_document(&document, &random));
	buffer_done(&document);
}
END_TEST

START_TEST(faulty_documents_are_judged_as_by_jansson)
{
	struct buffer document;
	buffer_init(&document, DOCUMENT_BYTES_MAX);
	struct random random;
	random_init(&random, 6);
	struct slice alphabet = slice_from_text("{}[]:,\"\\/ \n0123456789-+.eEutfnlrsab\xc3\xa9");
	for (unsigned i = 0; i < UNIT_ROUNDS(20000); i++) {
		(void)random_document(&document, &random);
		mutate(&document, alphabet, &random);
		must_hold(buffer_view(&document));
	}
	buffer_done(&document);
}
END_TEST

START_TEST(every_beginning_of_a_document_is_judged_as_by_jansson)
{
	static const char document[] =
	    "{\"k\\u00e9y\":[1,-2.5e-3,true,false,null,\"\\ud83d\\ude00\xe2\x82\xac\"],\"o\":{}}";
	for (size_t bytes = 0; bytes < sizeof(document); bytes++)
		must_hold(slice_of(document, bytes));
}
END_TEST

Suite *json_documents_suite(void)
{
	Suite *suite = suite_create("json_documents");
	TCase *tcase = tcase_create("json_documents");
	tcase_add_test(tcase, random_documents_are_read_as_by_jansson);
	tcase_add_test(tcase, faulty_documents_are_judged_as_by_jansson);
	tcase_add_test(tcase, every_beginning_of_a_document_is_judged_as_by_jansson);
	suite_add_tcase(suite, tcase);
	return suite;
}
