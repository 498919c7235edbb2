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
	static const uint64_t incarnations[] = {0, 1, 256, UINT64_C(1) << 56};
	for (size_t i = 0; i < 20; i++)
		for (size_t k = 0; k < 20; k++) {
			struct key stream, other;
			key_of_entity(&stream, SHARD_KEY_EVENTS,
			    (struct entity_name){
			        slice_from_text(addresses[i / 4]), incarnations[i % 4]});
			key_of_entity(&other, SHARD_KEY_EVENTS,
			    (struct entity_name){
			        slice_from_text(addresses[k / 4]), incarnations[k % 4]});
			ck_assert(i == k || other.bytes < stream.bytes ||
			          memcmp(other.data, stream.data, stream.bytes) != 0);
		}
}
END_TEST

static bool is_between(const struct key *key, const struct key *first, const struct key *end)
{
	return slice_compare(key_view(first), key_view(key)) <= 0 &&
	       slice_compare(key_view(key), key_view(end)) < 0;
}

START_TEST(heads_of_one_incarnation_are_a_range_and_those_before_it_another)
{
	static const uint64_t incarnations[] = {0, 1, 7, 255, 256, UINT64_C(1) << 40};
	static const char *const addresses[] = {"cart/a", "cart/zz", "car/a", "cart_/a", "cart0/a"};
	for (size_t now = 0; now < 6; now++)
		for (size_t i = 0; i < 30; i++) {
			struct key key, first, end;
			uint64_t of = incarnations[i % 6];
			struct slice address = slice_from_text(addresses[i / 6]), id;
			bool is_cart = i / 6 < 2;
			key_of_entity(&key, SHARD_KEY_HEAD, (struct entity_name){address, of});
			ck_assert_int_eq(key_head_id(key_view(&key), &id), 0);
			ck_assert(slice_equal(id, slice_from_text(i / 6 == 1 ? "zz" : "a")));
			struct slice type = slice_from_text("cart");
			key_of_heads(&first, type, incarnations[now], slice_of(NULL, 0));
			key_of_heads_end(&end, type, incarnations[now]);
			ck_assert(
			    is_between(&key, &first, &end) == (is_cart && of == incarnations[now]));
			if (now == 0)
				continue;
			key_of_dropped(&first, SHARD_KEY_HEAD, type);
			key_of_dropped_end(&end, SHARD_KEY_HEAD, type, incarnations[now]);
			ck_assert(
			    is_between(&key, &first, &end) == (is_cart && of < incarnations[now]));
		}
}
END_TEST

START_TEST(the_record_of_what_is_active_reads_as_it_was_written)
{
	uint8_t span[256];
	char hash[HOST_HASH_CHARACTERS + 1];
	memset(hash, 'a', sizeof(hash) - 1);
	struct active_record app,
	    apps[] = {{slice_from_text("shop"), slice_of(hash, HOST_HASH_CHARACTERS), 9},
	        {slice_from_text("gone"), slice_of(NULL, 0), 300}};
	struct dropped_record type, types[] = {{slice_from_text("cart"), 12, false},
	                                {slice_from_text("wish"), UINT64_C(1) << 60, true}};
	for (uint32_t dropped = 0; dropped <= 2; dropped++) {
		struct writer out = writer_of(span, sizeof(span));
		struct reader in;
		uint32_t app_count, type_count;
		active_begin(&out, 2, dropped > 0);
		for (uint32_t i = 0; i < 2; i++)
			active_write(&out, &apps[i]);
		for (uint32_t i = 0; i < dropped; i++)
			dropped_write(&out, &types[i]);
		/* Records without drops are as they have always been. */
		ck_assert_uint_eq(span[0], dropped > 0 ? 2 : 1);
		struct slice record = writer_view(&out);
		ck_assert_int_eq(active_open(record, &in, &app_count, &type_count), 0);
		ck_assert_uint_eq(app_count, 2);
		ck_assert_uint_eq(type_count, dropped);
		for (uint32_t i = 0; i < 2; i++) {
			ck_assert(active_read(&in, &app));
			ck_assert(slice_equal(app.app, apps[i].app));
			ck_assert_uint_eq(app.directory_index, apps[i].directory_index);
		}
		for (uint32_t i = 0; i < dropped; i++) {
			ck_assert(dropped_read(&in, &type));
			ck_assert(slice_equal(type.type, types[i].type));
			ck_assert_uint_eq(type.incarnation, types[i].incarnation);
			ck_assert(type.is_empty == types[i].is_empty);
		}
		ck_assert(reader_finished(&in));
		ck_assert_int_eq(
		    active_open(slice_of(span, record.bytes - 1), &in, &app_count, &type_count),
		    ERR_CORRUPT);
		span[0] = 3;
		ck_assert_int_eq(active_open(record, &in, &app_count, &type_count), ERR_FORMAT);
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
	tcase_add_test(tcase, heads_of_one_incarnation_are_a_range_and_those_before_it_another);
	tcase_add_test(tcase, the_record_of_what_is_active_reads_as_it_was_written);
	suite_add_tcase(suite, tcase);
	return suite;
}
