#include "replication/snapshot_wire.h"
#include "tests/unit/snapshot/suites.h"

enum { BYTES_MAX = 4096 };

static uint8_t span[BYTES_MAX];

/* `pairs` behind the body's beginning, for a chunk. */
static struct slice write(const struct snapshot_message *message, struct slice pairs)
{
	uint8_t body[BYTES_MAX];
	struct writer out = writer_of(body, sizeof(body));
	struct writer writer = writer_of(span, sizeof(span));
	snapshot_body_write(&out, message);
	writer_slice(&out, pairs);
	snapshot_head_write(
	    &writer, message, snapshot_hash(message->kind, message->id, writer_view(&out)));
	writer_slice(&writer, writer_view(&out));
	ck_assert(!out.failed && !writer.failed);
	return writer_view(&writer);
}

static struct snapshot_message read(struct slice bytes)
{
	struct snapshot_message message;
	ck_assert_int_eq(snapshot_message_read(bytes, &message), 0);
	return message;
}

static const struct snapshot_message samples[] = {
    {.kind = SNAPSHOT_OFFER,
        .term = 7,
        .at = {.term = 6, .index = UINT64_C(1) << 40},
        .time_ms = -5},
    {.kind = SNAPSHOT_CHUNK, .number = 300},
    {.kind = SNAPSHOT_END, .number = 301, .pairs = 70000, .bytes = UINT64_C(1) << 33},
    {.kind = SNAPSHOT_WANT, .number = 12, .again = true},
    {.kind = SNAPSHOT_WANT, .number = 0},
    {.kind = SNAPSHOT_RESULT, .result = ERR_NO_SPACE},
    {.kind = SNAPSHOT_RESULT, .result = 0},
    {.kind = SNAPSHOT_ALIVE},
};
enum { SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static struct snapshot_message sample(int i)
{
	struct snapshot_message message = samples[i];
	message.id = UINT64_C(0xfedcba9876543210);
	message.from = 3;
	message.to = UINT64_C(5) << 16 | 9;
	if (message.kind == SNAPSHOT_END)
		message.data = slice_from_text("members");
	return message;
}

static struct slice pairs_of(const struct snapshot_message *message)
{
	return message->kind == SNAPSHOT_CHUNK ? slice_from_text("\x01k\x02vv") : slice_of(NULL, 0);
}

START_TEST(what_is_written_is_read)
{
	struct snapshot_message message = sample(_i);
	struct snapshot_message back = read(write(&message, pairs_of(&message)));
	ck_assert(!back.damaged);
	ck_assert_int_eq(back.kind, message.kind);
	ck_assert_uint_eq(back.id, message.id);
	ck_assert_uint_eq(back.from, message.from);
	ck_assert_uint_eq(back.to, message.to);
	ck_assert_uint_eq(back.term, message.term);
	ck_assert_uint_eq(back.at.term, message.at.term);
	ck_assert_uint_eq(back.at.index, message.at.index);
	ck_assert_int_eq(back.time_ms, message.time_ms);
	ck_assert_uint_eq(back.number, message.number);
	ck_assert_uint_eq(back.pairs, message.pairs);
	ck_assert_uint_eq(back.bytes, message.bytes);
	ck_assert_int_eq(back.again, message.again);
	ck_assert_int_eq(back.result, message.result);
	if (message.kind == SNAPSHOT_END)
		ck_assert(slice_equal(back.data, message.data));
}
END_TEST

/* The head may name another snapshot then, or another replica: what follows belongs to neither. */
START_TEST(one_bit_that_was_changed_is_seen)
{
	struct snapshot_message message = sample(_i), back;
	struct slice whole = write(&message, pairs_of(&message));
	for (size_t bit = 0; bit < whole.bytes * 8; bit++) {
		uint8_t changed[BYTES_MAX];
		memcpy(changed, whole.data, whole.bytes);
		changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (snapshot_message_read(slice_of(changed, whole.bytes), &back) == 0)
			ck_assert(
			    back.damaged || back.from != message.from || back.to != message.to);
	}
}
END_TEST

START_TEST(what_ends_early_or_late_is_no_message)
{
	struct snapshot_message message = sample(_i), back;
	struct slice whole = write(&message, pairs_of(&message));
	for (size_t bytes = 0; bytes < whole.bytes; bytes++)
		if (snapshot_message_read(slice_of(whole.data, bytes), &back) == 0)
			ck_assert(back.damaged);
	span[whole.bytes] = 0;
	ck_assert_int_eq(snapshot_message_read(slice_of(whole.data, whole.bytes + 1), &back), 0);
	ck_assert(back.damaged);
}
END_TEST

START_TEST(a_good_hash_makes_no_good_body)
{
	uint8_t body[] = {7, 2}; /* flags that there are not */
	struct snapshot_message message = sample(3);
	struct writer writer = writer_of(span, sizeof(span));
	struct slice bytes = slice_of(body, sizeof(body));
	snapshot_head_write(&writer, &message, snapshot_hash(message.kind, message.id, bytes));
	writer_slice(&writer, bytes);
	ck_assert(read(writer_view(&writer)).damaged);
	body[1] = 1;
	writer = writer_of(span, sizeof(span));
	snapshot_head_write(&writer, &message, snapshot_hash(message.kind, message.id, bytes));
	writer_slice(&writer, bytes);
	ck_assert(!read(writer_view(&writer)).damaged);
}
END_TEST

START_TEST(a_result_is_no_success_of_its_own)
{
	struct snapshot_message message = sample(5);
	message.result = 1;
	ck_assert(read(write(&message, slice_of(NULL, 0))).damaged);
}
END_TEST

START_TEST(pairs_come_as_they_were_written)
{
	uint8_t bytes[600], key[] = {16, 0, 255};
	char value[300];
	memset(value, 'v', sizeof(value));
	struct writer writer = writer_of(bytes, sizeof(bytes));
	struct slice first = slice_of(key, sizeof(key)), none = slice_of(NULL, 0);
	struct slice large = slice_of(value, sizeof(value));
	snapshot_pair_write(&writer, first, none);
	ck_assert_uint_eq(writer_used(&writer), snapshot_pair_bytes(first, none));
	snapshot_pair_write(&writer, first, large);
	ck_assert_uint_eq(writer_used(&writer),
	    snapshot_pair_bytes(first, none) + snapshot_pair_bytes(first, large));
	struct reader reader = reader_of(writer_view(&writer));
	struct slice read_key, read_value;
	ck_assert_int_eq(snapshot_pair_read(&reader, &read_key, &read_value), 0);
	ck_assert(slice_equal(read_key, first) && read_value.bytes == 0);
	ck_assert_int_eq(snapshot_pair_read(&reader, &read_key, &read_value), 0);
	ck_assert(slice_equal(read_key, first) && slice_equal(read_value, large));
	ck_assert_uint_eq(reader_left(&reader), 0);
	/* Half a pair is none. */
	reader = reader_of(slice_of(bytes, writer_used(&writer) - 1));
	ck_assert_int_eq(snapshot_pair_read(&reader, &read_key, &read_value), 0);
	ck_assert_int_eq(snapshot_pair_read(&reader, &read_key, &read_value), ERR_CORRUPT);
}
END_TEST

Suite *snapshot_wire_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *cases = tcase_create("wire");
	tcase_add_loop_test(cases, what_is_written_is_read, 0, SAMPLES);
	tcase_add_loop_test(cases, one_bit_that_was_changed_is_seen, 0, SAMPLES);
	tcase_add_loop_test(cases, what_ends_early_or_late_is_no_message, 0, SAMPLES);
	tcase_add_test(cases, a_good_hash_makes_no_good_body);
	tcase_add_test(cases, a_result_is_no_success_of_its_own);
	tcase_add_test(cases, pairs_come_as_they_were_written);
	suite_add_tcase(suite, cases);
	return suite;
}
