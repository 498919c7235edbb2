/* Messages as bytes: read as written, one behind the other, and nothing else is read. */
#include "tests/unit/raft/suites.h"

#include <string.h>

#include "base/random.h"
#include "replication/raft/wire.h"

static struct raft_entry entries[RAFT_MESSAGE_ENTRIES_MAX];

/* Numbers of all lengths: each bit count as likely as any other. */
static uint64_t some_number(struct random *random)
{
	return random_u64(random) >> random_below(random, 64);
}

static struct raft_message some_message(struct random *random)
{
	static uint8_t data[300];
	struct raft_message message = {.kind = (enum raft_message_kind)random_between(
	                                   random, RAFT_PREVOTE, RAFT_READ_INDEX_REPLY),
	    .from = some_number(random),
	    .to = some_number(random),
	    .term = some_number(random),
	    .refused = random_below(random, 2),
	    .forced = random_below(random, 2),
	    .asleep = random_below(random, 2)};
	bool appends = message.kind == RAFT_APPEND_ENTRIES;
	bool answers = message.kind == RAFT_APPEND_REPLY;
	bool beats = message.kind == RAFT_HEARTBEAT;
	if (appends || answers || message.kind == RAFT_PREVOTE || message.kind == RAFT_VOTE)
		message.at = (struct raft_position){some_number(random), some_number(random)};
	if (answers)
		message.hint = (struct raft_position){some_number(random), some_number(random)};
	if (appends || beats)
		message.commit = some_number(random);
	if (appends || beats || answers || message.kind == RAFT_HEARTBEAT_REPLY)
		message.round = some_number(random);
	if (!appends)
		return message;
	message.count = (uint32_t)random_below(random, 6);
	message.entries = entries;
	for (uint32_t i = 0; i < message.count; i++)
		entries[i] = (struct raft_entry){.term = some_number(random),
		    .kind =
		        (enum raft_entry_kind)random_between(random, RAFT_NOOP, RAFT_MEMBERSHIP),
		    .data = slice_of(data, random_below(random, sizeof(data)))};
	return message;
}

static void write_all(struct writer *writer, const struct raft_message *message)
{
	raft_message_write(writer, message);
	for (uint32_t i = 0; i < message->count; i++)
		raft_entry_write(writer, &message->entries[i]);
}

static bool same_position(struct raft_position a, struct raft_position b)
{
	return a.term == b.term && a.index == b.index;
}

static void expect_same(const struct raft_message *a, const struct raft_message *b)
{
	ck_assert_int_eq(a->kind, b->kind);
	ck_assert(a->from == b->from && a->to == b->to && a->term == b->term);
	ck_assert(same_position(a->at, b->at) && same_position(a->hint, b->hint));
	ck_assert(a->commit == b->commit && a->round == b->round);
	ck_assert(a->refused == b->refused && a->forced == b->forced && a->asleep == b->asleep);
	ck_assert_uint_eq(a->count, b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		ck_assert(a->entries[i].term == b->entries[i].term);
		ck_assert(a->entries[i].kind == b->entries[i].kind);
		ck_assert(slice_equal(a->entries[i].data, b->entries[i].data));
	}
}

START_TEST(messages_are_read_as_they_were_written)
{
	struct random random;
	static uint8_t bytes[2 * (RAFT_MESSAGE_HEAD_BYTES_MAX + 6 * 400)];
	static struct raft_entry read_entries[RAFT_MESSAGE_ENTRIES_MAX];
	random_init(&random, 7);
	for (int round = 0; round < 20000; round++) {
		struct writer writer = writer_of(bytes, sizeof(bytes));
		struct raft_message beat = {.kind = RAFT_HEARTBEAT, .from = 1, .to = 2, .term = 3};
		struct raft_message message = some_message(&random), read;
		raft_message_write(&writer, &beat);
		write_all(&writer, &message);
		ck_assert(!writer.failed);
		struct reader reader = reader_of(writer_view(&writer));
		ck_assert_int_eq(raft_message_read(&reader, &read, read_entries), 0);
		expect_same(&beat, &read);
		ck_assert_int_eq(raft_message_read(&reader, &read, read_entries), 0);
		expect_same(&message, &read);
		ck_assert(reader_finished(&reader));
	}
}
END_TEST

START_TEST(what_is_cut_short_is_no_message)
{
	struct random random;
	static uint8_t bytes[RAFT_MESSAGE_HEAD_BYTES_MAX + 6 * 400];
	static struct raft_entry read_entries[RAFT_MESSAGE_ENTRIES_MAX];
	random_init(&random, 8);
	for (int round = 0; round < 200; round++) {
		struct writer writer = writer_of(bytes, sizeof(bytes));
		struct raft_message message = some_message(&random), read;
		write_all(&writer, &message);
		for (size_t cut = 0; cut < writer_used(&writer); cut++) {
			struct reader reader = reader_of(slice_of(bytes, cut));
			ck_assert_int_eq(
			    raft_message_read(&reader, &read, read_entries), ERR_CORRUPT);
		}
	}
}
END_TEST

START_TEST(what_no_kind_has_is_refused)
{
	static struct raft_entry read_entries[RAFT_MESSAGE_ENTRIES_MAX];
	struct raft_message read;
	uint8_t bytes[RAFT_MESSAGE_HEAD_BYTES_MAX];
	for (unsigned kind = 0; kind < 256; kind++) {
		uint8_t head[] = {(uint8_t)kind, 0, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0};
		struct reader reader = reader_of(slice_of(head, sizeof(head)));
		int error = raft_message_read(&reader, &read, read_entries);
		ck_assert_int_eq(
		    error, kind >= RAFT_PREVOTE && kind <= RAFT_READ_INDEX_REPLY ? 0 : ERR_CORRUPT);
	}
	uint8_t flags[] = {RAFT_WAKE, 8, 1, 2, 3};
	struct reader reader = reader_of(slice_of(flags, sizeof(flags)));
	ck_assert_int_eq(raft_message_read(&reader, &read, read_entries), ERR_CORRUPT);
	/* More entries than a message may have, and one of no kind. */
	struct raft_message message = {
	    .kind = RAFT_APPEND_ENTRIES, .from = 1, .to = 2, .count = RAFT_MESSAGE_ENTRIES_MAX + 1};
	struct writer writer = writer_of(bytes, sizeof(bytes));
	raft_message_write(&writer, &message);
	reader = reader_of(writer_view(&writer));
	ck_assert_int_eq(raft_message_read(&reader, &read, read_entries), ERR_CORRUPT);
	for (unsigned kind = 0; kind < 6; kind++) {
		struct raft_entry entry = {.term = 1, .kind = (enum raft_entry_kind)kind};
		writer = writer_of(bytes, sizeof(bytes));
		message.count = 1;
		raft_message_write(&writer, &message);
		raft_entry_write(&writer, &entry);
		reader = reader_of(writer_view(&writer));
		bool good = kind >= RAFT_NOOP && kind <= RAFT_MEMBERSHIP;
		ck_assert_int_eq(
		    raft_message_read(&reader, &read, read_entries), good ? 0 : ERR_CORRUPT);
	}
}
END_TEST

Suite *wire_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *cases = tcase_create("wire");
	tcase_add_test(cases, messages_are_read_as_they_were_written);
	tcase_add_test(cases, what_is_cut_short_is_no_message);
	tcase_add_test(cases, what_no_kind_has_is_refused);
	suite_add_tcase(suite, cases);
	return suite;
}
