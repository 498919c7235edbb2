#include "tests/unit/storage/suites.h"

#include "storage/batch.h"
#include "storage/keys.h"

START_TEST(what_was_written_is_read_back_in_order)
{
	uint8_t span[256];
	struct writer out = writer_of(span, sizeof(span));
	batch_begin(&out);
	batch_put(&out, slice_from_text("key"), slice_from_text("value"));
	batch_append(&out, slice_from_text("stream"), UINT64_MAX, slice_from_text("event"));
	batch_delete(&out, slice_from_text("gone"));
	batch_clear(&out, slice_from_text("stream"));
	batch_put(&out, slice_from_text("empty"), slice_of(NULL, 0));
	ck_assert_int_eq(batch_check(writer_view(&out)), 0);

	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(writer_view(&out), &cursor);
	ck_assert(batch_next(&cursor, &op));
	ck_assert_int_eq(op.kind, BATCH_PUT);
	ck_assert(slice_equal(op.key, slice_from_text("key")));
	ck_assert(slice_equal(op.value, slice_from_text("value")));
	ck_assert(batch_next(&cursor, &op));
	ck_assert_int_eq(op.kind, BATCH_APPEND);
	ck_assert(slice_equal(op.key, slice_from_text("stream")));
	ck_assert_uint_eq(op.sequence, UINT64_MAX);
	ck_assert(slice_equal(op.value, slice_from_text("event")));
	ck_assert(batch_next(&cursor, &op));
	ck_assert_int_eq(op.kind, BATCH_DELETE);
	ck_assert(slice_equal(op.key, slice_from_text("gone")));
	ck_assert_uint_eq(op.value.bytes, 0);
	ck_assert(batch_next(&cursor, &op));
	ck_assert_int_eq(op.kind, BATCH_CLEAR);
	ck_assert(slice_equal(op.key, slice_from_text("stream")));
	ck_assert(batch_next(&cursor, &op));
	ck_assert_int_eq(op.kind, BATCH_PUT);
	ck_assert_uint_eq(op.value.bytes, 0);
	ck_assert(!batch_next(&cursor, &op));
	ck_assert_int_eq(cursor.error, 0);
}
END_TEST

START_TEST(an_operation_takes_no_more_than_its_bound)
{
	static uint8_t span[BATCH_KEY_BYTES_MAX + 64];
	static const uint8_t key[BATCH_KEY_BYTES_MAX] = {KEY_KIND_FIRST_FREE};
	struct writer out = writer_of(span, sizeof(span));
	batch_append(&out, slice_of(key, sizeof(key)), UINT64_MAX, slice_of(NULL, 0));
	/* The length of the longest value takes five bytes, that of an empty one takes one. */
	ck_assert_uint_le(writer_used(&out) - sizeof(key) - 1 + varint_bytes(BATCH_VALUE_BYTES_MAX),
	    BATCH_OP_BYTES_MAX);
}
END_TEST

START_TEST(a_batch_cut_short_is_refused_unless_cut_between_operations)
{
	uint8_t span[64];
	struct writer out = writer_of(span, sizeof(span));
	batch_begin(&out);
	batch_put(&out, slice_from_text("k"), slice_from_text("vv"));
	size_t first_end = writer_used(&out);
	batch_append(&out, slice_from_text("s"), 300, slice_from_text("e"));
	for (size_t bytes = 0; bytes <= writer_used(&out); bytes++) {
		bool whole = bytes == 1 || bytes == first_end || bytes == writer_used(&out);
		ck_assert_int_eq(batch_check(slice_of(span, bytes)), whole ? 0 : ERR_CORRUPT);
	}
}
END_TEST

static int check_bytes(const char *bytes, size_t count)
{
	return batch_check(slice_of(bytes, count));
}

START_TEST(malformed_operations_are_refused)
{
	ck_assert_int_eq(check_bytes("\x02\x02\x01k", 4), ERR_FORMAT);
	ck_assert_int_eq(check_bytes("\x01\x02\x01k", 4), 0);
	ck_assert_int_eq(check_bytes("\x01\x00\x01k", 4), ERR_CORRUPT);
	ck_assert_int_eq(check_bytes("\x01\x05\x01k", 4), ERR_CORRUPT);
	ck_assert_int_eq(check_bytes("\x01\x02\x00", 3), ERR_CORRUPT);
	/* A length in a longer form than it needs. */
	ck_assert_int_eq(check_bytes("\x01\x02\x81\x00k", 5), ERR_CORRUPT);
	/* A key of the storage's own. */
	ck_assert_int_eq(check_bytes("\x01\x02\x01\x0f", 4), ERR_CORRUPT);
	ck_assert_int_eq(check_bytes("\x01\x02\x01\x10", 4), 0);
}
END_TEST

START_TEST(a_key_longer_than_the_bound_is_refused)
{
	static uint8_t span[BATCH_KEY_BYTES_MAX + 16];
	for (size_t bytes = BATCH_KEY_BYTES_MAX; bytes <= BATCH_KEY_BYTES_MAX + 1; bytes++) {
		struct writer out = writer_of(span, sizeof(span));
		writer_u8(&out, BATCH_FORMAT);
		writer_u8(&out, BATCH_DELETE);
		writer_varint(&out, bytes);
		memset(writer_room(&out, bytes), 'k', bytes);
		ck_assert_int_eq(
		    batch_check(writer_view(&out)), bytes == BATCH_KEY_BYTES_MAX ? 0 : ERR_CORRUPT);
	}
}
END_TEST

START_TEST(reading_goes_no_further_than_the_first_malformed_operation)
{
	struct batch_cursor cursor;
	struct batch_op op;
	batch_read(slice_of("\x01\x02\x01k\x09\x02\x01l", 8), &cursor);
	ck_assert(batch_next(&cursor, &op));
	ck_assert(!batch_next(&cursor, &op));
	ck_assert_int_eq(cursor.error, ERR_CORRUPT);
	ck_assert(!batch_next(&cursor, &op));
}
END_TEST

Suite *batch_suite(void)
{
	Suite *suite = suite_create("batch");
	TCase *tcase = tcase_create("batch");
	tcase_add_test(tcase, what_was_written_is_read_back_in_order);
	tcase_add_test(tcase, an_operation_takes_no_more_than_its_bound);
	tcase_add_test(tcase, a_batch_cut_short_is_refused_unless_cut_between_operations);
	tcase_add_test(tcase, malformed_operations_are_refused);
	tcase_add_test(tcase, a_key_longer_than_the_bound_is_refused);
	tcase_add_test(tcase, reading_goes_no_further_than_the_first_malformed_operation);
	suite_add_tcase(suite, tcase);
	return suite;
}
