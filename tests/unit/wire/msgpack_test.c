#include "tests/unit/wire/suites.h"

#include "base/buffer.h"
#include "base/mem.h"
#include "base/wire/msgpack.h"
#include "tests/fuzz/msgpack_oracle.h"
#include "tests/unit/wire/mutate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { OUTPUT_BYTES_MAX = 1 << 20 };

#define BYTES(text) slice_of(text, sizeof(text) - 1)

static void expect(struct buffer *buffer, struct slice expected, const char *what)
{
	ck_assert_msg(slice_equal(buffer_view(buffer), expected), "%s", what);
	buffer_clear(buffer);
}

START_TEST(integers_are_as_short_as_can_be)
{
	static const struct {
		int64_t value;
		size_t bytes;
		const char *encoded;
	} cases[] = {
	    {0, 1, "\x00"},
	    {127, 1, "\x7f"},
	    {128, 2, "\xcc\x80"},
	    {255, 2, "\xcc\xff"},
	    {256, 3, "\xcd\x01\x00"},
	    {65535, 3, "\xcd\xff\xff"},
	    {65536, 5, "\xce\x00\x01\x00\x00"},
	    {4294967295, 5, "\xce\xff\xff\xff\xff"},
	    {4294967296, 9, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00"},
	    {INT64_MAX, 9, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"},
	    {-1, 1, "\xff"},
	    {-32, 1, "\xe0"},
	    {-33, 2, "\xd0\xdf"},
	    {-128, 2, "\xd0\x80"},
	    {-129, 3, "\xd1\xff\x7f"},
	    {-32768, 3, "\xd1\x80\x00"},
	    {-32769, 5, "\xd2\xff\xff\x7f\xff"},
	    {INT32_MIN, 5, "\xd2\x80\x00\x00\x00"},
	    {(int64_t)INT32_MIN - 1, 9, "\xd3\xff\xff\xff\xff\x7f\xff\xff\xff"},
	    {INT64_MIN, 9, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00"},
	};
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct msgpack_writer writer;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slice encoded = slice_of(cases[i].encoded, cases[i].bytes);
		msgpack_writer_init(&writer, &out);
		msgpack_write_integer(&writer, cases[i].value);
		ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
		struct msgpack_reader reader;
		struct msgpack_value value;
		msgpack_reader_init(&reader, encoded, true, 0);
		ck_assert_int_eq(msgpack_next(&reader, &value), 0);
		ck_assert_int_eq(value.type, MSGPACK_INTEGER);
		ck_assert_int_eq(value.integer, cases[i].value);
		ck_assert(msgpack_finished(&reader));
		expect(&out, encoded, "integer");
	}
	buffer_done(&out);
}
END_TEST

START_TEST(integers_of_any_length_are_read)
{
	static const struct {
		size_t bytes;
		const char *encoded;
		int64_t value;
	} cases[] = {
	    {2, "\xcc\x05", 5},
	    {3, "\xcd\x00\x05", 5},
	    {5, "\xce\x00\x00\x00\x05", 5},
	    {9, "\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 5},
	    {2, "\xd0\x05", 5},
	    {2, "\xd0\xfb", -5},
	    {3, "\xd1\xff\xfb", -5},
	    {5, "\xd2\xff\xff\xff\xfb", -5},
	    {9, "\xd3\xff\xff\xff\xff\xff\xff\xff\xfb", -5},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msgpack_reader reader;
		struct msgpack_value value;
		struct slice encoded = slice_of(cases[i].encoded, cases[i].bytes);
		msgpack_reader_init(&reader, encoded, true, 0);
		ck_assert_int_eq(msgpack_next(&reader, &value), 0);
		ck_assert_int_eq(value.integer, cases[i].value);
	}
	struct msgpack_reader reader;
	struct msgpack_value value = {.type = MSGPACK_NIL};
	msgpack_reader_init(&reader, BYTES("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), true, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), ERR_NUMBER);
	ck_assert_int_eq(msgpack_next(&reader, &value), ERR_NUMBER);
	ck_assert_int_eq(value.type, MSGPACK_NIL);
}
END_TEST

/* One of everything, with lengths on both sides of every change of format. */
static void write_lengths(struct msgpack_writer *writer, size_t length)
{
	static uint8_t content[70000];
	memset(content, 'x', sizeof(content));
	msgpack_write_array(writer, 3);
	msgpack_write_string(writer, slice_of(content, length));
	msgpack_write_binary(writer, slice_of(content, length));
	msgpack_write_extension(writer, -1, slice_of(content, length));
}

START_TEST(lengths_take_the_shortest_header)
{
	static const struct {
		size_t length;
		size_t string, binary, extension; /* bytes of the headers */
	} cases[] = {
	    {0, 1, 2, 3},
	    {1, 1, 2, 2},
	    {2, 1, 2, 2},
	    {3, 1, 2, 3},
	    {4, 1, 2, 2},
	    {8, 1, 2, 2},
	    {15, 1, 2, 3},
	    {16, 1, 2, 2},
	    {17, 1, 2, 3},
	    {31, 1, 2, 3},
	    {32, 2, 2, 3},
	    {255, 2, 2, 3},
	    {256, 3, 3, 4},
	    {65535, 3, 3, 4},
	    {65536, 5, 5, 6},
	};
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = cases[i].length;
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		write_lengths(&writer, length);
		ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
		size_t headers = cases[i].string + cases[i].binary + cases[i].extension;
		ck_assert_uint_eq(buffer_bytes(&out), 1 + headers + 3 * length);
		ck_assert_ptr_null(msgpack_oracle(buffer_view(&out)));

		struct msgpack_reader reader;
		struct msgpack_value value;
		msgpack_reader_init(&reader, buffer_view(&out), true, 1);
		ck_assert_int_eq(msgpack_next(&reader, &value), 0);
		ck_assert_int_eq(value.type, MSGPACK_ARRAY);
		ck_assert_uint_eq(value.count, 3);
		ck_assert_uint_eq(msgpack_left(&reader), 3);
		static const enum msgpack_type types[] = {
		    MSGPACK_STRING, MSGPACK_BINARY, MSGPACK_EXTENSION};
		for (unsigned j = 0; j < 3; j++) {
			ck_assert_int_eq(msgpack_next(&reader, &value), 0);
			ck_assert_int_eq(value.type, types[j]);
			ck_assert_uint_eq(value.bytes.bytes, length);
			ck_assert_uint_eq(msgpack_left(&reader), 2 - j);
		}
		ck_assert_int_eq(value.extension, -1);
		ck_assert(msgpack_finished(&reader));
		buffer_clear(&out);
	}
	buffer_done(&out);
}
END_TEST

START_TEST(containers_take_the_shortest_header)
{
	static const struct {
		size_t count;
		size_t bytes;
	} cases[] = {{0, 1}, {15, 1}, {16, 3}, {65535, 3}, {65536, 5}};
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int is_map = 0; is_map < 2; is_map++) {
			size_t values = cases[i].count << is_map;
			struct msgpack_writer writer;
			msgpack_writer_init(&writer, &out);
			if (is_map)
				msgpack_write_map(&writer, cases[i].count);
			else
				msgpack_write_array(&writer, cases[i].count);
			for (size_t j = 0; j < values; j++)
				msgpack_write_nil(&writer);
			ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
			ck_assert_uint_eq(buffer_bytes(&out), cases[i].bytes + values);
			ck_assert_ptr_null(msgpack_oracle(buffer_view(&out)));

			struct msgpack_reader reader;
			struct msgpack_value value;
			msgpack_reader_init(&reader, buffer_view(&out), true, 1);
			ck_assert_int_eq(msgpack_next(&reader, &value), 0);
			ck_assert_int_eq(value.type, is_map ? MSGPACK_MAP : MSGPACK_ARRAY);
			ck_assert_uint_eq(value.count, cases[i].count);
			ck_assert_uint_eq(msgpack_depth(&reader), cases[i].count > 0);
			buffer_clear(&out);
		}
	}
	buffer_done(&out);
}
END_TEST

START_TEST(doubles_and_floats_keep_their_values)
{
	static const double numbers[] = {
	    0.0, -0.0, 0.1, 5.0, -1e300, 5e-324, (double)INFINITY, (double)-INFINITY, (double)NAN};
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		msgpack_write_double(&writer, numbers[i]);
		ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
		struct msgpack_reader reader;
		struct msgpack_value value;
		msgpack_reader_init(&reader, buffer_view(&out), true, 0);
		ck_assert_int_eq(msgpack_next(&reader, &value), 0);
		ck_assert_int_eq(value.type, MSGPACK_DOUBLE);
		ck_assert_mem_eq(&value.number, &numbers[i], sizeof(double));
		buffer_clear(&out);
	}
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, BYTES("\xca\x3f\xc0\x00\x00"), true, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	ck_assert(value.type == MSGPACK_DOUBLE && value.number == 1.5);
	buffer_done(&out);
}
END_TEST

START_TEST(more_promised_than_there_is_is_refused_at_once)
{
	static const struct {
		size_t bytes;
		const char *encoded;
	} cases[] = {
	    {1, "\x91"},
	    {1, "\x81"},
	    {2, "\x81\xc0"},
	    {3, "\x93\xc0\xc0"},
	    {5, "\xdd\xff\xff\xff\xff"},
	    {6, "\xdf\x80\x00\x00\x00\xc0"},
	    {4, "\x92\x92\xc0\xc0"}, /* the inner one leaves none for the outer one's second */
	    {2, "\xa3x"},
	    {1, "\xd9"},
	    {5, "\xc6\xff\xff\xff\xff"},
	    {2, "\xd4\x01"},
	    {1, "\xd4"},
	    {2, "\xc7\x00"},
	    {1, "\xcc"},
	    {4, "\xce\x00\x00\x00"},
	    {8, "\xcb\x00\x00\x00\x00\x00\x00\x00"},
	    {0, ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msgpack_reader reader;
		struct slice encoded = slice_of(cases[i].encoded, cases[i].bytes);
		msgpack_reader_init(&reader, encoded, true, MSGPACK_DEPTH_MAX);
		ck_assert_msg(msgpack_skip(&reader) == ERR_TRUNCATED, "case %zu", i);
		ck_assert_msg(!msgpack_finished(&reader), "case %zu", i);
	}
}
END_TEST

START_TEST(what_outer_containers_promise_counts)
{
	/* The inner array's two values are there, but then the outer one's second is not. */
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, BYTES("\x92\x92\xc0\xc0"), true, 2);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), ERR_TRUNCATED);
	ck_assert_uint_eq(msgpack_offset(&reader), 1);
	msgpack_reader_init(&reader, BYTES("\x92\x92\xc0\xc0\xc0"), true, 2);
	ck_assert_int_eq(msgpack_skip(&reader), 0);
	ck_assert(msgpack_finished(&reader));
}
END_TEST

START_TEST(the_byte_without_meaning_is_refused)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, BYTES("\x92\xc0\xc1"), true, 1);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), ERR_PROTOCOL);
	ck_assert_uint_eq(msgpack_offset(&reader), 2);
}
END_TEST

START_TEST(strings_are_checked_where_asked)
{
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, BYTES("\xa2x\xff"), true, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), ERR_UTF8);
	msgpack_reader_init(&reader, BYTES("\xa2x\xff"), false, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	msgpack_reader_init(&reader, BYTES("\xc4\x02x\xff"), true, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	msgpack_reader_init(&reader, BYTES("\xd9\x02\xc3\xa9"), true, 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
}
END_TEST

START_TEST(nesting_is_bounded)
{
	uint8_t encoded[MSGPACK_DEPTH_MAX + 2];
	memset(encoded, 0x91, sizeof(encoded));
	for (unsigned depth = 0; depth <= MSGPACK_DEPTH_MAX; depth++) {
		struct msgpack_reader reader;
		encoded[depth] = 0xc0;
		msgpack_reader_init(&reader, slice_of(encoded, depth + 1), true, depth);
		ck_assert_int_eq(msgpack_skip(&reader), 0);
		ck_assert(msgpack_finished(&reader));
		encoded[depth] = 0x91;
		encoded[depth + 1] = 0xc0;
		msgpack_reader_init(&reader, slice_of(encoded, depth + 2), true, depth);
		ck_assert_int_eq(msgpack_skip(&reader), ERR_DEPTH);
		encoded[depth + 1] = 0x91;
	}
	/* An empty container is one too. */
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, BYTES("\x90"), true, 0);
	ck_assert_int_eq(msgpack_skip(&reader), ERR_DEPTH);
}
END_TEST

START_TEST(values_are_skipped_whole_and_kept_as_they_are)
{
	struct slice encoded = BYTES("\x82\xa1"
	                             "a\x92\x01\x81\xa1"
	                             "b\xc3\xa1"
	                             "c\xc4\x01z");
	struct msgpack_reader reader;
	struct msgpack_value value;
	msgpack_reader_init(&reader, encoded, true, 8);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	ck_assert_int_eq(msgpack_next(&reader, &value), 0);
	size_t begin = msgpack_offset(&reader);
	ck_assert_int_eq(msgpack_skip(&reader), 0);
	struct slice kept = slice_of(encoded.data + begin, msgpack_offset(&reader) - begin);
	ck_assert_uint_eq(kept.bytes, 6);
	ck_assert_uint_eq(msgpack_depth(&reader), 1);
	ck_assert_uint_eq(msgpack_left(&reader), 2);
	ck_assert_int_eq(msgpack_skip(&reader), 0);
	ck_assert_int_eq(msgpack_skip(&reader), 0);
	ck_assert(msgpack_finished(&reader));
	ck_assert_int_eq(msgpack_skip(&reader), ERR_TRUNCATED);

	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, &out);
	msgpack_write_array(&writer, 1);
	msgpack_write_raw(&writer, kept);
	ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
	expect(&out,
	    BYTES("\x91\x92\x01\x81\xa1"
	          "b\xc3"),
	    "raw");
	buffer_done(&out);
}
END_TEST

START_TEST(what_does_not_fit_the_buffer_takes_nothing)
{
	size_t whole = 0;
	for (size_t max = 1; whole == 0; max++) {
		struct buffer out;
		buffer_init(&out, max);
		ck_assert_int_eq(buffer_append_u8(&out, 'x'), 0);
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		write_lengths(&writer, 20);
		msgpack_write_boolean(&writer, true);
		msgpack_write_double(&writer, 0.5);
		int error = msgpack_writer_finish(&writer);
		if (error == 0)
			whole = max;
		else
			ck_assert_int_eq(error, ERR_TOO_LARGE);
		ck_assert_uint_eq(buffer_bytes(&out), error ? 1 : max);
		buffer_done(&out);
	}
	ck_assert_uint_eq(whole, 1 + 1 + 1 + 2 + 3 + 3 * 20 + 1 + 9);
}
END_TEST

START_TEST(a_failed_allocation_takes_nothing)
{
	uint64_t failures = 0;
	for (uint64_t nth = 1;; nth++) {
		struct buffer out;
		buffer_init(&out, OUTPUT_BYTES_MAX);
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		mem_fail_at(nth);
		for (unsigned i = 0; i < 20; i++)
			write_lengths(&writer, 100);
		int error = msgpack_writer_finish(&writer);
		bool failed = mem_failed();
		mem_fail_at(0);
		ck_assert_int_eq(error, failed ? ERR_NOMEM : 0);
		ck_assert_uint_eq(buffer_bytes(&out), failed ? 0 : 20 * (1 + 2 + 2 + 3 + 300));
		buffer_done(&out);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 2);
}
END_TEST

/* NOLINTNEXTLINE(misc-no-recursion): bounded by depth */
static void write_random_value(struct msgpack_writer *writer, struct random *random, unsigned depth)
{
	uint8_t content[400];
	struct slice bytes = slice_of(content, random_below(random, 40));
	if (random_chance(random, 1, 20))
		bytes.bytes = random_below(random, sizeof(content));
	random_bytes(random, content, bytes.bytes);
	uint64_t count = random_below(random, random_chance(random, 1, 20) ? 30 : 5);
	switch (random_below(random, depth > 0 ? 9 : 7)) {
	case 0:
		msgpack_write_nil(writer);
		break;
	case 1:
		msgpack_write_boolean(writer, random_chance(random, 1, 2));
		break;
	case 2:
		msgpack_write_integer(
		    writer, (int64_t)random_u64(random) >> random_below(random, 64));
		break;
	case 3: {
		uint64_t bits = random_u64(random);
		double number;
		memcpy(&number, &bits, sizeof(number));
		msgpack_write_double(writer, number);
		break;
	}
	case 4:
		msgpack_write_string(writer, bytes);
		break;
	case 5:
		msgpack_write_binary(writer, bytes);
		break;
	case 6:
		msgpack_write_extension(writer, (int8_t)random_u64(random), bytes);
		break;
	case 7:
		msgpack_write_array(writer, count);
		for (uint64_t i = 0; i < count; i++)
			write_random_value(writer, random, depth - 1);
		break;
	case 8:
		msgpack_write_map(writer, count);
		for (uint64_t i = 0; i < 2 * count; i++)
			write_random_value(writer, random, depth - 1);
		break;
	}
}

static void must_hold(struct slice encoded)
{
	uint8_t *exact = malloc(encoded.bytes > 0 ? encoded.bytes : 1);
	ck_assert_ptr_nonnull(exact);
	if (encoded.bytes > 0)
		memcpy(exact, encoded.data, encoded.bytes);
	const char *wrong = msgpack_oracle(slice_of(exact, encoded.bytes));
	if (wrong) {
		for (size_t i = 0; i < encoded.bytes; i++)
			printf("%02x", encoded.data[i]);
		printf("\n");
	}
	ck_assert_msg(!wrong, "%s", wrong);
	free(exact);
}

START_TEST(random_values_are_read_and_written_as_by_libmsgpack)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct random random;
	random_init(&random, 7);
	for (unsigned i = 0; i < 5000; i++) {
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		write_random_value(&writer, &random, 4);
		ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
		must_hold(buffer_view(&out));
		buffer_clear(&out);
	}
	buffer_done(&out);
}
END_TEST

START_TEST(faulty_values_are_judged_as_by_libmsgpack)
{
	struct buffer out;
	buffer_init(&out, OUTPUT_BYTES_MAX);
	struct random random;
	random_init(&random, 8);
	struct slice alphabet = BYTES("\x00\x01\x7f\x80\x81\x90\x91\xa0\xa3\xc0\xc1\xc3\xc4\xc5\xc7"
	                              "\xc8\xca\xcb\xcc\xcd\xce\xcf\xd0\xd3\xd4\xd8\xd9\xda\xdc"
	                              "\xde\xe0\xff");
	for (unsigned i = 0; i < 20000; i++) {
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &out);
		write_random_value(&writer, &random, 4);
		ck_assert_int_eq(msgpack_writer_finish(&writer), 0);
		mutate(&out, alphabet, &random);
		must_hold(buffer_view(&out));
		buffer_clear(&out);
	}
	buffer_done(&out);
}
END_TEST

Suite *msgpack_suite(void)
{
	Suite *suite = suite_create("msgpack");
	TCase *tcase = tcase_create("msgpack");
	tcase_add_test(tcase, integers_are_as_short_as_can_be);
	tcase_add_test(tcase, integers_of_any_length_are_read);
	tcase_add_test(tcase, lengths_take_the_shortest_header);
	tcase_add_test(tcase, containers_take_the_shortest_header);
	tcase_add_test(tcase, doubles_and_floats_keep_their_values);
	tcase_add_test(tcase, more_promised_than_there_is_is_refused_at_once);
	tcase_add_test(tcase, what_outer_containers_promise_counts);
	tcase_add_test(tcase, the_byte_without_meaning_is_refused);
	tcase_add_test(tcase, strings_are_checked_where_asked);
	tcase_add_test(tcase, nesting_is_bounded);
	tcase_add_test(tcase, values_are_skipped_whole_and_kept_as_they_are);
	tcase_add_test(tcase, what_does_not_fit_the_buffer_takes_nothing);
	tcase_add_test(tcase, a_failed_allocation_takes_nothing);
	tcase_add_test(tcase, random_values_are_read_and_written_as_by_libmsgpack);
	tcase_add_test(tcase, faulty_values_are_judged_as_by_libmsgpack);
	suite_add_tcase(suite, tcase);
	return suite;
}
