/* Messages between nodes: what is written reads the same, and nothing else is taken. */
#include "tests/unit/forward/suites.h"

#include <string.h>

#include "base/slot.h"
#include "replication/peer/peer.h"
#include "server/forward_wire.h"

enum { SHARDS = 16, SPAN_BYTES = 1 << 16 };

static uint8_t span[SPAN_BYTES];
static struct slice roles_read[FORWARD_ROLES_MAX];
static struct slice drop_read[DROPPED_TYPES_MAX];
static struct meta_wanted wanted_read[CLUSTER_REPLICAS_MAX];

static struct slice joined(const struct forward_message *message)
{
	size_t at = 0;
	for (size_t i = 0; i < message->count; i++) {
		ck_assert(at + message->iov[i].iov_len <= sizeof(span));
		memcpy(span + at, message->iov[i].iov_base, message->iov[i].iov_len);
		at += message->iov[i].iov_len;
	}
	ck_assert_uint_eq(at, message->bytes);
	return slice_of(span, at);
}

static void check_same(struct slice a, struct slice b)
{
	ck_assert(slice_equal(a, b));
}

static struct shard_call a_call(void)
{
	static const struct slice roles[] = {
	    {(const uint8_t *)"admin", 5}, {(const uint8_t *)"*", 1}};
	static const struct shard_map map = {.shard_count = SHARDS};
	struct slice address = slice_from_text("cart/c1");
	return (struct shard_call){.kind = SHARD_CALL,
	    .address = address,
	    .name = slice_from_text("add_item"),
	    .has_payload = true,
	    .internal_allowed = true,
	    .payload = slice_from_text("{\"n\":1}"),
	    .reply_encoding = HOST_MSGPACK,
	    .token = slice_from_text("t-1"),
	    .metadata = slice_from_text("\x80"),
	    .caller = {.kind = slice_from_text("client"),
	        .name = slice_from_text("default"),
	        .roles = roles,
	        .role_count = 2},
	    .order = 77,
	    .term = 12,
	    .at_revision = 9,
	    .shard = shard_of_slot(&map, slot_of(address)),
	    .count = 3,
	    .cursor = slice_from_text("after")};
}

static const struct forward_numbers some_numbers = {
    .id = 500, .behind = 499, .seen = 3, .timeout_ms = 4999, .until_ms = 12};

static struct slice written(const struct shard_call *call)
{
	static struct forward_message message;
	ck_assert_int_eq(forward_call_write(&message, &some_numbers, call), 0);
	return joined(&message);
}

START_TEST(call_reads_as_it_was_written)
{
	struct shard_call call = a_call(), read;
	struct forward_numbers numbers;
	struct slice bytes = written(&call);
	ck_assert_int_eq(forward_call_read(bytes, SHARDS, &numbers, &read, roles_read), 0);
	ck_assert_mem_eq(&numbers, &some_numbers, sizeof(numbers));
	check_same(read.address, call.address);
	check_same(read.name, call.name);
	check_same(read.payload, call.payload);
	check_same(read.token, call.token);
	check_same(read.metadata, call.metadata);
	check_same(read.cursor, call.cursor);
	check_same(read.caller.kind, call.caller.kind);
	check_same(read.caller.name, call.caller.name);
	ck_assert_uint_eq(read.caller.role_count, 2);
	check_same(read.caller.roles[0], call.caller.roles[0]);
	check_same(read.caller.roles[1], call.caller.roles[1]);
	ck_assert_int_eq(read.kind, SHARD_CALL);
	ck_assert(read.has_payload && read.internal_allowed && !read.queries_only);
	ck_assert_int_eq(read.payload_encoding, HOST_JSON);
	ck_assert_int_eq(read.reply_encoding, HOST_MSGPACK);
	ck_assert_uint_eq(read.order, 77);
	ck_assert_uint_eq(read.term, 12);
	ck_assert_uint_eq(read.at_revision, 9);
	ck_assert_uint_eq(read.shard, call.shard);
	ck_assert_uint_eq(read.count, 3);
}
END_TEST

static int read_of(const struct shard_call *call)
{
	struct shard_call read;
	struct forward_numbers numbers;
	return forward_call_read(written(call), SHARDS, &numbers, &read, roles_read);
}

START_TEST(call_that_makes_no_sense_is_refused)
{
	struct shard_call call = a_call();
	call.shard = call.shard % SHARDS + 1;
	ck_assert_int_eq(read_of(&call), ERR_PROTOCOL);
	call = a_call();
	call.address = slice_from_text("cart");
	ck_assert_int_eq(read_of(&call), ERR_PROTOCOL);
	/* A type with its shard, where a type is asked for. */
	call.kind = SHARD_ENTITIES;
	call.shard = SHARDS;
	ck_assert_int_eq(read_of(&call), 0);
	call.shard = SHARDS + 1;
	ck_assert_int_eq(read_of(&call), ERR_PROTOCOL);
	call.shard = 0;
	ck_assert_int_eq(read_of(&call), ERR_PROTOCOL);
	call = a_call();
	call.kind = SHARD_COUNT + 1;
	ck_assert_int_eq(read_of(&call), ERR_PROTOCOL);
	call = a_call();
	call.has_payload = false;
	ck_assert_int_eq(read_of(&call), 0);
}
END_TEST

START_TEST(every_shorter_call_and_other_version_is_refused)
{
	struct shard_call call = a_call(), read;
	struct forward_numbers numbers;
	call.has_payload = false;
	struct slice bytes = written(&call);
	for (size_t i = 0; i < bytes.bytes; i++)
		ck_assert_int_eq(
		    forward_call_read(slice_of(bytes.data, i), SHARDS, &numbers, &read, roles_read),
		    ERR_PROTOCOL);
	span[0] = FORWARD_VERSION + 1;
	ck_assert_int_eq(
	    forward_call_read(bytes, SHARDS, &numbers, &read, roles_read), ERR_UNSUPPORTED);
}
END_TEST

/* So that who links at all reads what is forwarded. */
START_TEST(a_message_is_of_the_version_that_its_link_is)
{
	struct forward_message message;
	struct shard_call call = a_call();
	uint8_t news[1 + FORWARD_NEWS_BYTES_MAX];
	struct writer writer = writer_of(news, sizeof(news));
	ck_assert_uint_eq(written(&call).data[0], PEER_VERSION_MAX);
	forward_refusal_write(&message, &(struct forward_refusal){.id = 1});
	ck_assert_uint_eq(joined(&message).data[0], PEER_VERSION_MAX);
	forward_news_begin(&writer);
	ck_assert_uint_eq(news[0], PEER_VERSION_MAX);
}
END_TEST

START_TEST(what_a_reader_would_refuse_is_not_written)
{
	static uint8_t large[PAYLOAD_BYTES_MAX + 1];
	struct forward_message message;
	struct shard_call call = a_call();
	call.payload = slice_of(large, sizeof(large));
	ck_assert_int_eq(forward_call_write(&message, &some_numbers, &call), ERR_TOO_LARGE);
	call = a_call();
	call.token = slice_of(large, TOKEN_BYTES_MAX + 1);
	ck_assert_int_eq(forward_call_write(&message, &some_numbers, &call), ERR_TOO_LARGE);
	call = a_call();
	call.name = slice_of(large, FORWARD_WORD_BYTES_MAX + 1);
	ck_assert_int_eq(forward_call_write(&message, &some_numbers, &call), ERR_TOO_LARGE);
	call = a_call();
	call.caller.role_count = FORWARD_ROLES_MAX + 1;
	ck_assert_int_eq(forward_call_write(&message, &some_numbers, &call), ERR_TOO_LARGE);
}
END_TEST

START_TEST(request_of_the_directory_reads_as_it_was_written)
{
	const struct slice drop[] = {slice_from_text("cart"), slice_from_text("order")};
	const struct meta_wanted wanted[] = {{.node = 1, .voter = true}, {.node = 65535}};
	struct meta_request request = {.verb = META_APP_REMOVE,
	    .app = slice_from_text("shop"),
	    .hash = slice_from_text("0123"),
	    .expected = slice_from_text(META_EXPECT_NONE),
	    .user = slice_from_text("default"),
	    .bundle = slice_from_text("files"),
	    .dry_run = true,
	    .force = true,
	    .damaged = true,
	    .unproved = true,
	    .node = {.node = 65535,
	        .incarnation = UINT64_MAX,
	        .cores = 2,
	        .stores = 4,
	        .host = "db1.example",
	        .port = 7470,
	        .peer_port = 7471,
	        .cluster_port = 7472,
	        .zone = "a"},
	    .shard = 12,
	    .expected_generation = 1000,
	    .wanted = wanted,
	    .wanted_count = 2,
	    .replication_factor = 3,
	    .drop = drop,
	    .drop_count = 2};
	struct meta_request read;
	struct forward_numbers numbers;
	struct buffer head;
	buffer_init(&head, FORWARD_MESSAGE_BYTES_MAX);
	ck_assert_int_eq(forward_directory_write(&head, &some_numbers, &request), 0);
	ck_assert_int_eq(buffer_append_slice(&head, request.bundle), 0);
	ck_assert_int_eq(
	    forward_directory_read(buffer_view(&head), &numbers, &read, drop_read, wanted_read), 0);
	ck_assert_uint_eq(numbers.id, some_numbers.id);
	ck_assert_int_eq(read.verb, META_APP_REMOVE);
	ck_assert(read.dry_run && read.force && read.damaged && read.unproved);
	ck_assert_mem_eq(&read.node, &request.node, sizeof(read.node));
	ck_assert_uint_eq(read.shard, 12);
	ck_assert_uint_eq(read.expected_generation, 1000);
	ck_assert_uint_eq(read.replication_factor, 3);
	ck_assert_uint_eq(read.wanted_count, 2);
	ck_assert(read.wanted[0].node == 1 && read.wanted[0].voter);
	ck_assert(read.wanted[1].node == 65535 && !read.wanted[1].voter);
	check_same(read.app, request.app);
	check_same(read.hash, request.hash);
	check_same(read.expected, request.expected);
	check_same(read.user, request.user);
	check_same(read.bundle, request.bundle);
	ck_assert_uint_eq(read.drop_count, 2);
	check_same(read.drop[1], drop[1]);
	buffer_consume(&head, buffer_bytes(&head));
	request.verb = META_VERB_LAST + 1;
	ck_assert_int_eq(forward_directory_write(&head, &some_numbers, &request), 0);
	ck_assert_int_eq(
	    forward_directory_read(buffer_view(&head), &numbers, &read, drop_read, wanted_read),
	    ERR_PROTOCOL);
	buffer_done(&head);
}
END_TEST

START_TEST(answers_read_as_they_were_written)
{
	struct forward_message message;
	struct forward_reply read, reply = {.id = 9,
	                               .status = STATUS_UNKNOWN_OUTCOME,
	                               .has_reply = true,
	                               .reference = slice_from_text("abc"),
	                               .details = slice_from_text("{}"),
	                               .reply = slice_from_text("why"),
	                               .took_ns = 1000,
	                               .counted = 5,
	                               .counted_all = true,
	                               .not_query = true};
	forward_reply_write(&message, &reply);
	ck_assert_int_eq(forward_reply_read(joined(&message), &read), 0);
	ck_assert_uint_eq(read.id, 9);
	ck_assert_int_eq(read.status, STATUS_UNKNOWN_OUTCOME);
	ck_assert(read.has_reply && read.counted_all && read.not_query);
	check_same(read.reference, reply.reference);
	check_same(read.details, reply.details);
	check_same(read.reply, reply.reply);
	ck_assert_uint_eq(read.took_ns, 1000);
	ck_assert_uint_eq(read.counted, 5);
	reply.status = STATUS_UNKNOWN_OUTCOME + 1;
	forward_reply_write(&message, &reply);
	ck_assert_int_eq(forward_reply_read(joined(&message), &read), ERR_PROTOCOL);

	uint64_t id;
	struct slice part;
	forward_part_write(&message, 9, slice_from_text("part"));
	ck_assert_int_eq(forward_part_read(joined(&message), &id, &part), 0);
	ck_assert_uint_eq(id, 9);
	check_same(part, slice_from_text("part"));
	forward_part_write(&message, 9, slice_of(NULL, 0));
	ck_assert_int_eq(forward_part_read(joined(&message), &id, &part), ERR_PROTOCOL);

	struct forward_refusal refusal,
	    refused = {.id = 9, .term = 12, .node = 65535, .was_read = true};
	forward_refusal_write(&message, &refused);
	ck_assert_int_eq(forward_refusal_read(joined(&message), &refusal), 0);
	ck_assert(
	    refusal.id == 9 && refusal.term == 12 && refusal.node == 65535 && refusal.was_read);
	refused.term = UINT64_C(1) << 48;
	forward_refusal_write(&message, &refused);
	ck_assert_int_eq(forward_refusal_read(joined(&message), &refusal), ERR_PROTOCOL);
}
END_TEST

START_TEST(news_read_as_they_were_written)
{
	const struct forward_news all[] = {{.shard = 0, .term = 1, .leads = true},
	    {.shard = SHARDS, .term = UINT64_C(1) << 47, .leads = false}};
	struct writer writer = writer_of(span, sizeof(span));
	struct reader reader;
	struct forward_news news;
	forward_news_begin(&writer);
	for (size_t i = 0; i < 2; i++)
		forward_news_add(&writer, &all[i]);
	ck_assert_int_eq(forward_news_read(writer_view(&writer), SHARDS, &reader), 0);
	for (size_t i = 0; i < 2; i++) {
		ck_assert(forward_news_next(&reader, &news));
		ck_assert_uint_eq(news.shard, all[i].shard);
		ck_assert_uint_eq(news.term, all[i].term);
		ck_assert(news.leads == all[i].leads);
	}
	ck_assert(!forward_news_next(&reader, &news));
	ck_assert_int_eq(
	    forward_news_read(writer_view(&writer), SHARDS - 1, &reader), ERR_PROTOCOL);
	struct slice cut = slice_of(span, writer_used(&writer) - 1);
	ck_assert_int_eq(forward_news_read(cut, SHARDS, &reader), ERR_PROTOCOL);
}
END_TEST

Suite *wire_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *tcase = tcase_create("wire");
	tcase_add_test(tcase, call_reads_as_it_was_written);
	tcase_add_test(tcase, call_that_makes_no_sense_is_refused);
	tcase_add_test(tcase, every_shorter_call_and_other_version_is_refused);
	tcase_add_test(tcase, a_message_is_of_the_version_that_its_link_is);
	tcase_add_test(tcase, what_a_reader_would_refuse_is_not_written);
	tcase_add_test(tcase, request_of_the_directory_reads_as_it_was_written);
	tcase_add_test(tcase, answers_read_as_they_were_written);
	tcase_add_test(tcase, news_read_as_they_were_written);
	suite_add_tcase(suite, tcase);
	return suite;
}
