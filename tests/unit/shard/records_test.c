/* Records of a shard. */
#include "server/shard/records.h"
#include "tests/unit/run.h"
#include "tests/unit/shard/suites.h"

START_TEST(a_head_reads_as_it_was_written)
{
	uint8_t span[200];
	struct head again;
	struct head head = {.kind = HOST_EVENT_SOURCED_ENTITY,
	    .exists = true,
	    .state_version = 3,
	    .revision = 1000,
	    .at_ms = INT64_C(1767225600000),
	    .born = 10,
	    .snapshot_revision = 990,
	    .since_bytes = 70000,
	    .window_first = 800,
	    .window_before = 500,
	    .window_bytes = 12};
	struct writer out = writer_of(span, sizeof(span));
	head_write(&out, &head);
	ck_assert_int_eq(head_read(writer_view(&out), &again), 0);
	ck_assert_uint_eq(again.revision, 1000);
	ck_assert_uint_eq(again.window_before, 500);
	ck_assert_int_eq(again.at_ms, head.at_ms);
	/* Cut anywhere, it is none. */
	for (size_t bytes = 0; bytes < writer_used(&out); bytes++)
		ck_assert_int_eq(head_read(slice_of(span, bytes), &again), ERR_CORRUPT);
	span[0] = 2;
	ck_assert_int_eq(head_read(writer_view(&out), &again), ERR_FORMAT);
}
END_TEST

START_TEST(a_kept_state_reads_as_it_was_written)
{
	uint8_t span[64];
	struct writer out = writer_of(span, sizeof(span));
	struct head again, head = {.kind = HOST_VALUE_ENTITY, .exists = true, .kept_from = 300};
	struct state_record back, state = {.exists = true,
	                              .has_state = true,
	                              .state_version = 7,
	                              .at_ms = 1234567890123,
	                              .state = slice_from_text("state")};
	head_write(&out, &head);
	ck_assert_int_eq(head_read(writer_view(&out), &again), 0);
	ck_assert_uint_eq(again.kept_from, 300);
	out = writer_of(span, sizeof(span));
	state_record_write(&out, &state);
	ck_assert_uint_le(writer_used(&out), STATE_RECORD_BYTES_MAX + state.state.bytes);
	ck_assert_int_eq(state_record_read(writer_view(&out), &back), 0);
	ck_assert(back.exists && back.has_state);
	ck_assert_uint_eq(back.state_version, 7);
	ck_assert_int_eq(back.at_ms, state.at_ms);
	ck_assert(slice_equal(back.state, state.state));
	for (size_t bytes = 0; bytes < 5; bytes++)
		ck_assert_int_eq(state_record_read(slice_of(span, bytes), &back), ERR_CORRUPT);
	span[1] = 4;
	ck_assert_int_eq(state_record_read(writer_view(&out), &back), ERR_CORRUPT);
	span[1] = 1; /* a state where it says that there is none */
	ck_assert_int_eq(state_record_read(writer_view(&out), &back), ERR_CORRUPT);
	span[0] = 2;
	ck_assert_int_eq(state_record_read(writer_view(&out), &back), ERR_FORMAT);
}
END_TEST

START_TEST(an_event_of_a_version_beyond_32_bits_is_corrupt)
{
	uint8_t span[64];
	struct host_event event;
	struct writer out = writer_of(span, sizeof(span));
	writer_u8(&out, 1);
	writer_varint_slice(&out, slice_from_text("did"));
	writer_varint(&out, UINT64_C(1) << 32);
	writer_zigzag(&out, 5);
	writer_varint(&out, 1);
	writer_varint_slice(&out, slice_from_text("x"));
	struct reader in = reader_of(writer_view(&out));
	ck_assert(!event_record_read(&in, &event));
	ck_assert(in.failed);
}
END_TEST

START_TEST(no_key_of_an_entity_begins_with_the_stream_of_another)
{
	static const char *const addresses[] = {"a/b", "a/bc", "ab/c", "a/b/c", "a/b/"};
	for (size_t i = 0; i < 5; i++)
		for (size_t k = 0; k < 5; k++) {
			struct key stream, other;
			key_of_entity(&stream, SHARD_KEY_EVENTS, slice_from_text(addresses[i]));
			key_of_entity(&other, SHARD_KEY_EVENTS, slice_from_text(addresses[k]));
			ck_assert(i == k || other.bytes < stream.bytes ||
			          memcmp(other.data, stream.data, stream.bytes) != 0);
		}
}
END_TEST

Suite *records_suite(void)
{
	Suite *suite = suite_create("records");
	TCase *tcase = tcase_create("records");
	tcase_add_test(tcase, a_head_reads_as_it_was_written);
	tcase_add_test(tcase, a_kept_state_reads_as_it_was_written);
	tcase_add_test(tcase, an_event_of_a_version_beyond_32_bits_is_corrupt);
	tcase_add_test(tcase, no_key_of_an_entity_begins_with_the_stream_of_another);
	suite_add_tcase(suite, tcase);
	return suite;
}
