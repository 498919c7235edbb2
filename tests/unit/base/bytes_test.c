#include "tests/unit/base/suites.h"

#include "base/bytes.h"

#include <signal.h>

static const uint64_t edges[] = {0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 0xffff, 0x10000, 0xffffffff,
    0x100000000, (uint64_t)1 << 56, ((uint64_t)1 << 63) - 1, (uint64_t)1 << 63, UINT64_MAX};

enum { EDGE_COUNT = sizeof(edges) / sizeof(edges[0]) };

START_TEST(numbers_have_the_documented_bytes)
{
	uint8_t span[28];
	struct writer writer = writer_of(span, sizeof(span));
	writer_u16le(&writer, 0x0102);
	writer_u32le(&writer, 0x03040506);
	writer_u64le(&writer, 0x0708090a0b0c0d0e);
	writer_u16be(&writer, 0x0102);
	writer_u32be(&writer, 0x03040506);
	writer_u64be(&writer, 0x0708090a0b0c0d0e);
	static const uint8_t expected[28] = {2, 1, 6, 5, 4, 3, 14, 13, 12, 11, 10, 9, 8, 7, 1, 2, 3,
	    4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
	ck_assert(!writer.failed);
	ck_assert_uint_eq(writer_used(&writer), sizeof(span));
	ck_assert_mem_eq(span, expected, sizeof(span));

	struct reader reader = reader_of(slice_of(span, sizeof(span)));
	ck_assert_uint_eq(reader_u16le(&reader), 0x0102);
	ck_assert_uint_eq(reader_u32le(&reader), 0x03040506);
	ck_assert_uint_eq(reader_u64le(&reader), 0x0708090a0b0c0d0e);
	ck_assert_uint_eq(reader_u16be(&reader), 0x0102);
	ck_assert_uint_eq(reader_u32be(&reader), 0x03040506);
	ck_assert_uint_eq(reader_u64be(&reader), 0x0708090a0b0c0d0e);
	ck_assert(reader_finished(&reader));
}
END_TEST

START_TEST(varint_comes_back_and_has_the_announced_length)
{
	for (size_t i = 0; i < EDGE_COUNT; i++) {
		uint8_t span[VARINT_BYTES_MAX];
		struct writer writer = writer_of(span, sizeof(span));
		writer_varint(&writer, edges[i]);
		ck_assert(!writer.failed);
		ck_assert_uint_eq(writer_used(&writer), varint_bytes(edges[i]));
		struct reader reader = reader_of(writer_view(&writer));
		ck_assert_uint_eq(reader_varint(&reader), edges[i]);
		ck_assert(reader_finished(&reader));
	}
	ck_assert_uint_eq(varint_bytes(0), 1);
	ck_assert_uint_eq(varint_bytes(127), 1);
	ck_assert_uint_eq(varint_bytes(128), 2);
	ck_assert_uint_eq(varint_bytes(UINT64_MAX), VARINT_BYTES_MAX);
}
END_TEST

START_TEST(varint_cut_short_fails)
{
	for (size_t i = 0; i < EDGE_COUNT; i++) {
		uint8_t span[VARINT_BYTES_MAX];
		struct writer writer = writer_of(span, sizeof(span));
		writer_varint(&writer, edges[i]);
		for (size_t bytes = 0; bytes < writer_used(&writer); bytes++) {
			struct reader reader = reader_of(slice_of(span, bytes));
			ck_assert_uint_eq(reader_varint(&reader), 0);
			ck_assert(reader.failed);
			struct writer small = writer_of(span, bytes);
			writer_varint(&small, edges[i]);
			ck_assert(small.failed);
			ck_assert_uint_eq(writer_used(&small), 0);
			writer = writer_of(span, sizeof(span));
			writer_varint(&writer, edges[i]);
		}
	}
}
END_TEST

START_TEST(varint_longer_than_needed_or_too_big_fails)
{
	static const struct {
		uint8_t bytes[11];
		size_t count;
	} bad[] = {
	    {{0x80, 0x00}, 2},
	    {{0xff, 0x80, 0x00}, 3},
	    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10},
	    {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00}, 10},
	    {{0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 11},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct reader reader = reader_of(slice_of(bad[i].bytes, bad[i].count));
		ck_assert_uint_eq(reader_varint(&reader), 0);
		ck_assert(reader.failed);
	}
}
END_TEST

START_TEST(zigzag_keeps_small_numbers_of_either_sign_short)
{
	static const int64_t values[] = {0, -1, 1, -2, 63, -64, 64, INT64_MAX, INT64_MIN};
	static const size_t lengths[] = {1, 1, 1, 1, 1, 1, 2, 10, 10};
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint8_t span[VARINT_BYTES_MAX];
		struct writer writer = writer_of(span, sizeof(span));
		writer_zigzag(&writer, values[i]);
		ck_assert_uint_eq(writer_used(&writer), lengths[i]);
		struct reader reader = reader_of(writer_view(&writer));
		ck_assert_int_eq(reader_zigzag(&reader), values[i]);
	}
}
END_TEST

START_TEST(failed_read_is_sticky)
{
	static const uint8_t bytes[] = {1, 2, 3};
	struct reader reader = reader_of(slice_of(bytes, sizeof(bytes)));
	ck_assert_uint_eq(reader_u32le(&reader), 0);
	ck_assert(reader.failed);
	ck_assert_uint_eq(reader_u8(&reader), 0);
	ck_assert_uint_eq(reader_left(&reader), 0);
	ck_assert(!reader_finished(&reader));
	uint8_t copied[2] = {9, 9};
	reader_bytes(&reader, copied, sizeof(copied));
	ck_assert_uint_eq(copied[0] | copied[1], 0);
}
END_TEST

START_TEST(failed_write_is_sticky)
{
	uint8_t span[3] = {0};
	struct writer writer = writer_of(span, sizeof(span));
	writer_u8(&writer, 1);
	writer_u32le(&writer, 0xffffffff);
	writer_u8(&writer, 2);
	ck_assert(writer.failed);
	ck_assert_uint_eq(writer_used(&writer), 1);
	ck_assert_uint_eq(span[1], 0);
}
END_TEST

START_TEST(slices_point_into_the_source)
{
	static const uint8_t bytes[] = {3, 'a', 'b', 'c', 'd'};
	struct reader reader = reader_of(slice_of(bytes, sizeof(bytes)));
	struct slice text = reader_varint_slice(&reader);
	ck_assert_ptr_eq(text.data, bytes + 1);
	ck_assert_uint_eq(text.bytes, 3);
	ck_assert_ptr_eq(reader_rest(&reader).data, bytes + 4);
	ck_assert(reader_finished(&reader));
	struct reader lies = reader_of(slice_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11));
	ck_assert_uint_eq(reader_varint_slice(&lies).bytes, 0);
	ck_assert(lies.failed);
}
END_TEST

START_TEST(empty_source_without_memory_is_fine)
{
	struct reader reader = reader_of(slice_of(NULL, 0));
	ck_assert(reader_finished(&reader));
	ck_assert_uint_eq(reader_slice(&reader, 0).bytes, 0);
	ck_assert(!reader.failed);
	reader_skip(&reader, 1);
	ck_assert(reader.failed);
	struct writer writer = writer_of(NULL, 0);
	writer_slice(&writer, slice_of(NULL, 0));
	writer_zeros(&writer, 0);
	ck_assert(!writer.failed);
	writer_u8(&writer, 1);
	ck_assert(writer.failed);
}
END_TEST

START_TEST(length_is_patched_in_afterwards)
{
	uint8_t span[16];
	struct writer writer = writer_of(span, sizeof(span));
	writer_u8(&writer, 0xee);
	size_t offset = writer_used(&writer);
	writer_u32le(&writer, 0);
	writer_varint_slice(&writer, slice_from_text("hello"));
	writer_patch_u32le(&writer, offset, (uint32_t)(writer_used(&writer) - offset - 4));
	ck_assert_uint_eq(load_u32le(span + 1), 6);
	ck_assert_uint_eq(span[0], 0xee);
	ck_assert_uint_eq(span[5], 5);
	ck_assert_uint_eq(writer_used(&writer), 11);
}
END_TEST

START_TEST(patch_beyond_what_was_written_stops)
{
	uint8_t span[16];
	struct writer writer = writer_of(span, sizeof(span));
	writer_u32le(&writer, 0);
	writer_patch_u32le(&writer, 1, 7);
}
END_TEST

Suite *bytes_suite(void)
{
	Suite *suite = suite_create("bytes");
	TCase *tcase = tcase_create("bytes");
	tcase_add_test(tcase, numbers_have_the_documented_bytes);
	tcase_add_test(tcase, varint_comes_back_and_has_the_announced_length);
	tcase_add_test(tcase, varint_cut_short_fails);
	tcase_add_test(tcase, varint_longer_than_needed_or_too_big_fails);
	tcase_add_test(tcase, zigzag_keeps_small_numbers_of_either_sign_short);
	tcase_add_test(tcase, failed_read_is_sticky);
	tcase_add_test(tcase, failed_write_is_sticky);
	tcase_add_test(tcase, slices_point_into_the_source);
	tcase_add_test(tcase, empty_source_without_memory_is_fine);
	tcase_add_test(tcase, length_is_patched_in_afterwards);
	tcase_add_test_raise_signal(tcase, patch_beyond_what_was_written_stops, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}
