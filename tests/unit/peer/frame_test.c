/* The bytes of replication/peer, and its queue: pure. */
#include "tests/unit/peer/suites.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/random.h"
#include "replication/peer/hello.h"
#include "replication/peer/queue.h"

static struct peer_hello some_hello(enum peer_role role)
{
	struct peer_hello hello = {.versions = {1, 3},
	    .role = role,
	    .has_secret = true,
	    .from = {.cluster = "cluster",
	        .node = 5,
	        .incarnation = 6,
	        .core = 1,
	        .cores = 2,
	        .stores = 3},
	    .boot = 7,
	    .to_node = 8,
	    .to_incarnation = 9,
	    .to_core = PEER_ANY_CORE,
	    .nonce = "a nonce"};
	return hello;
}

START_TEST(a_hello_is_read_as_it_was_written)
{
	uint8_t bytes[PEER_GREETING_BYTES_MAX];
	struct peer_hello hello = some_hello(PEER_ACCEPTS);
	struct peer_hello found;
	struct peer_greeting greeting;
	size_t size = peer_hello_write(&hello, bytes);
	for (size_t i = 0; i < size; i++)
		ck_assert_int_eq(peer_greeting_read(slice_of(bytes, i), &greeting), ERR_TRUNCATED);
	ck_assert_int_eq(peer_greeting_read(slice_of(bytes, size), &greeting), 0);
	ck_assert_uint_eq(greeting.whole.bytes, size);
	ck_assert_int_eq(peer_hello_read(PEER_HELLO, greeting.content, &found), 0);
	ck_assert_uint_eq(found.from.node, 5);
	ck_assert_uint_eq(found.from.incarnation, 6);
	ck_assert_uint_eq(found.from.core, 1);
	ck_assert_uint_eq(found.from.cores, 2);
	ck_assert_uint_eq(found.from.stores, 3);
	ck_assert_uint_eq(found.to_incarnation, 9);
	ck_assert_uint_eq(found.boot, 7);
	ck_assert_int_eq(found.role, PEER_ACCEPTS);
	ck_assert_int_eq(memcmp(found.nonce, hello.nonce, sizeof(hello.nonce)), 0);
	for (size_t bit = 0; bit < size * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		int error = peer_greeting_read(slice_of(bytes, size), &greeting);
		ck_assert(error == ERR_CORRUPT || error == ERR_PROTOCOL || error == ERR_TRUNCATED);
		bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(a_later_hello_may_be_longer)
{
	uint8_t bytes[PEER_GREETING_BYTES_MAX];
	uint8_t longer[PEER_GREETING_CONTENT_MAX] = {0};
	struct peer_hello hello = some_hello(PEER_CONNECTS);
	struct peer_greeting greeting;
	peer_hello_write(&hello, bytes);
	memcpy(longer, bytes + PEER_GREETING_HEAD_BYTES, PEER_HELLO_BYTES);
	size_t size = peer_greeting_write(PEER_HELLO, slice_of(longer, 200), bytes);
	ck_assert_int_eq(peer_greeting_read(slice_of(bytes, size), &greeting), 0);
	ck_assert_int_eq(peer_hello_read(PEER_HELLO, greeting.content, &hello), 0);
	ck_assert_int_eq(
	    peer_hello_read(PEER_HELLO, slice_of(longer, PEER_HELLO_BYTES - 1), &hello),
	    ERR_PROTOCOL);
}
END_TEST

START_TEST(both_use_the_highest_common_version)
{
	static const struct {
		struct peer_versions a, b;
		unsigned common;
	} cases[] = {{{2, 5}, {4, 9}, 5}, {{1, 2}, {2, 3}, 2}, {{1, 1}, {2, 3}, 0},
	    {{1, 3}, {2, 2}, 2}, {{7, 7}, {7, 7}, 7}, {{2, 5}, {6, 9}, 0}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ck_assert_uint_eq(peer_version_common(cases[i].a, cases[i].b), cases[i].common);
		ck_assert_uint_eq(peer_version_common(cases[i].b, cases[i].a), cases[i].common);
	}
}
END_TEST

START_TEST(a_refusal_is_read_as_far_as_it_says_something)
{
	uint8_t bytes[PEER_GREETING_BYTES_MAX];
	uint8_t longer[PEER_REFUSE_BYTES + 1] = {0};
	struct peer_refuse refuse = {.reason = PEER_REFUSED_VERSION, .versions = {2, 3}};
	struct peer_greeting greeting;
	size_t size = peer_refuse_write(&refuse, bytes);
	ck_assert_int_eq(peer_greeting_read(slice_of(bytes, size), &greeting), 0);
	ck_assert_int_eq(greeting.kind, PEER_REFUSE);
	/* A later one may be longer, and one without versions is shorter. */
	memcpy(longer, greeting.content.data, PEER_REFUSE_BYTES);
	for (size_t i = 0; i <= sizeof(longer); i++) {
		struct peer_refuse found = peer_refuse_read(slice_of(longer, i));
		bool has_versions = i >= PEER_REFUSE_BYTES;
		ck_assert_uint_eq(found.reason, i > 0 ? PEER_REFUSED_VERSION : 0);
		ck_assert_uint_eq(found.versions.min, has_versions ? 2 : 0);
		ck_assert_uint_eq(found.versions.max, has_versions ? 3 : 0);
	}
	/* Versions that nobody has. */
	longer[1] = 4;
	ck_assert_uint_eq(peer_refuse_read(slice_of(longer, sizeof(longer))).versions.max, 0);
}
END_TEST

START_TEST(hmac_is_the_one_of_the_standard)
{
	/* Python: hmac.new(b"Jefe is a secret", b"kalix peer links 1", "sha256"). */
	struct peer_key key;
	static const uint8_t expected[4] = {0x4d, 0x58, 0xbb, 0xb2};
	uint8_t proof[PEER_PROOF_BYTES];
	uint8_t other[PEER_PROOF_BYTES];
	struct slice text = slice_from_text("text");
	ck_assert_int_eq(peer_key_of_secret(slice_from_text("Jefe is a secret"), &key), 0);
	ck_assert_int_eq(memcmp(key.bytes, expected, sizeof(expected)), 0);
	ck_assert_int_eq(peer_prove(&key, "label", text, slice_of("", 0), proof), 0);
	ck_assert_int_eq(peer_prove(&key, "label", slice_of("", 0), text, other), 0);
	ck_assert(!peer_same(proof, other, sizeof(proof)));
	ck_assert_int_eq(peer_prove(&key, "lab", text, slice_of("", 0), other), 0);
	ck_assert(!peer_same(proof, other, sizeof(proof)));
	ck_assert_int_eq(peer_prove(&key, "label", text, slice_of("", 0), other), 0);
	ck_assert(peer_same(proof, other, sizeof(proof)));
	peer_key_forget(&key);
	ck_assert_uint_eq(key.bytes[0] | key.bytes[31], 0);
}
END_TEST

START_TEST(a_seal_is_of_all_bytes_the_number_and_the_key)
{
	struct peer_key key = {{1, 2, 3}};
	uint8_t record[PEER_RECORD_HEAD_BYTES + 100];
	struct peer_record found;
	size_t wanted = 0;
	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t)i;
	ck_assert_int_eq(peer_record_finish(record, 100, 3, &key, 9), 0);
	struct slice whole = slice_of(record, sizeof(record));
	ck_assert_int_eq(peer_record_read(slice_of(record, 31), &found, &wanted), ERR_TRUNCATED);
	ck_assert_uint_eq(wanted, PEER_RECORD_HEAD_BYTES);
	ck_assert_int_eq(peer_record_read(slice_of(record, 131), &found, &wanted), ERR_TRUNCATED);
	ck_assert_uint_eq(wanted, sizeof(record));
	ck_assert_int_eq(peer_record_read(whole, &found, &wanted), 0);
	ck_assert_uint_eq(found.frames, 3);
	ck_assert_int_eq(peer_record_check(&found, &key, 9), 0);
	ck_assert_int_eq(peer_record_check(&found, &key, 10), ERR_CORRUPT);
	struct peer_key other = {{1, 2, 4}};
	ck_assert_int_eq(peer_record_check(&found, &other, 9), ERR_PERMISSION);
	peer_record_hash(record, 100, 10);
	ck_assert_int_eq(peer_record_read(whole, &found, &wanted), 0);
	ck_assert_int_eq(peer_record_check(&found, &key, 10), ERR_PERMISSION);
	peer_record_hash(record, 100, 9);
	for (size_t bit = 0; bit < sizeof(record) * 8; bit++) {
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
		int error = peer_record_read(whole, &found, &wanted);
		if (error == 0)
			error = peer_record_check(&found, &key, 9);
		ck_assert(error == ERR_CORRUPT || error == ERR_PROTOCOL || error == ERR_TRUNCATED);
		record[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	/* With a hash that fits, the tag still does not. */
	for (size_t at = 0; at < sizeof(record); at++) {
		record[at] ^= 0x80;
		peer_record_hash(record, 100, 9);
		if (peer_record_read(whole, &found, &wanted) == 0 && (at < 8 || at >= 16))
			ck_assert_int_eq(peer_record_check(&found, &key, 9), ERR_PERMISSION);
		record[at] ^= 0x80;
	}
}
END_TEST

START_TEST(records_out_of_bounds_are_refused_before_anything_is_kept)
{
	uint8_t record[PEER_RECORD_HEAD_BYTES] = {0};
	struct peer_record found;
	size_t wanted = 0;
	ck_assert_int_eq(peer_record_read(slice_of(record, 32), &found, &wanted), ERR_PROTOCOL);
	store_u32le(record, PEER_RECORD_BYTES_MAX + 1);
	store_u16le(record + 4, 1);
	ck_assert_int_eq(peer_record_read(slice_of(record, 32), &found, &wanted), ERR_PROTOCOL);
	store_u32le(record, PEER_RECORD_BYTES_MAX);
	ck_assert_int_eq(peer_record_read(slice_of(record, 32), &found, &wanted), ERR_TRUNCATED);
	store_u16le(record + 4, 0);
	ck_assert_int_eq(peer_record_read(slice_of(record, 32), &found, &wanted), ERR_PROTOCOL);
}
END_TEST

static int read_frame(const uint8_t *bytes, size_t size)
{
	struct peer_frame frame;
	struct reader reader = reader_of(slice_of(bytes, size));
	return peer_frame_read(&reader, &frame);
}

START_TEST(frames_that_nobody_writes_are_refused)
{
	uint8_t bytes[64] = {1, 0x0c, 0, 0, 5};
	ck_assert_int_eq(read_frame(bytes, 13), 0);
	ck_assert_int_eq(read_frame(bytes, 12), ERR_PROTOCOL);
	bytes[1] = 0x0f; /* there is no class 3 */
	ck_assert_int_eq(read_frame(bytes, 13), ERR_PROTOCOL);
	bytes[1] = 0x2c; /* an unknown flag */
	ck_assert_int_eq(read_frame(bytes, 13), ERR_PROTOCOL);
	bytes[1] = 0x1c; /* compressed: stands for more than it is */
	bytes[8] = 5;
	ck_assert_int_eq(read_frame(bytes, 17), ERR_PROTOCOL);
	bytes[8] = 6;
	ck_assert_int_eq(read_frame(bytes, 17), 0);
	store_u32le(bytes + 8, PEER_FRAME_BYTES_MAX + 1);
	ck_assert_int_eq(read_frame(bytes, 17), ERR_PROTOCOL);
	bytes[1] = 0x05; /* the first of several: of a message that is longer, and not too long */
	store_u32le(bytes + 8, 5);
	ck_assert_int_eq(read_frame(bytes, 17), ERR_PROTOCOL);
	store_u32le(bytes + 8, PEER_MESSAGE_BYTES_MAX);
	ck_assert_int_eq(read_frame(bytes, 17), 0);
	store_u32le(bytes + 8, PEER_MESSAGE_BYTES_MAX + 1);
	ck_assert_int_eq(read_frame(bytes, 17), ERR_PROTOCOL);
	bytes[1] = 0x04; /* urgent ones are short */
	store_u32le(bytes + 8, PEER_URGENT_BYTES_MAX + 1);
	ck_assert_int_eq(read_frame(bytes, 17), ERR_PROTOCOL);
	uint8_t ping[8] = {PEER_KIND_PING, 0x0c};
	ck_assert_int_eq(read_frame(ping, 8), 0);
	ping[0] = PEER_KIND_MAX + 1;
	ck_assert_int_eq(read_frame(ping, 8), ERR_PROTOCOL);
}
END_TEST

START_TEST(compression_is_exact_and_bounded)
{
	static uint8_t raw[PEER_FRAME_BYTES_MAX];
	static uint8_t made[PEER_FRAME_BYTES_MAX];
	static uint8_t back[PEER_FRAME_BYTES_MAX];
	struct random random;
	random_init(&random, 4);
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)(i / 64);
	size_t bytes = peer_compress(slice_of(raw, sizeof(raw)), made);
	ck_assert_uint_gt(bytes, 0);
	ck_assert_uint_lt(bytes, sizeof(raw) / 8);
	ck_assert_int_eq(peer_expand(slice_of(made, bytes), back, sizeof(raw)), 0);
	ck_assert_int_eq(memcmp(raw, back, sizeof(raw)), 0);
	ck_assert_int_eq(peer_expand(slice_of(made, bytes), back, sizeof(raw) - 1), ERR_PROTOCOL);
	ck_assert_int_eq(peer_expand(slice_of(made, bytes - 1), back, sizeof(raw)), ERR_PROTOCOL);
	ck_assert_uint_eq(peer_compress(slice_of(raw, PEER_COMPRESS_BYTES_MIN - 1), made), 0);
	random_bytes(&random, raw, sizeof(raw));
	ck_assert_uint_eq(peer_compress(slice_of(raw, sizeof(raw)), made), 0);
}
END_TEST

/* ---- The queue ---- */

static struct peer_queue queue;

static void push(enum peer_class class, uint8_t kind, size_t bytes)
{
	static uint8_t noise[1 << 20];
	struct random random;
	random_init(&random, 1);
	if (noise[0] == 0)
		random_bytes(&random, noise, sizeof(noise));
	struct peer_message *message = mem_zalloc(1, sizeof(*message));
	message->data = noise;
	message->bytes = bytes;
	message->class = class;
	message->kind = kind;
	peer_queue_push(&queue, message);
}

START_TEST(urgent_messages_are_first_in_every_record)
{
	uint8_t body[PEER_RECORD_BYTES_MAX];
	struct peer_queue_figures figures = {0};
	struct peer_frame frame;
	peer_queue_init(&queue);
	push(PEER_BULK, 1, 100);
	push(PEER_ENTRIES, 2, 100);
	push(PEER_URGENT, 3, 100);
	push(PEER_URGENT, 4, 0);
	struct writer writer = writer_of(body, sizeof(body));
	ck_assert_uint_eq(peer_queue_take(&queue, true, &writer, &figures), 4);
	ck_assert_uint_eq(peer_queue_bytes(&queue), 0);
	struct reader reader = reader_of(writer_view(&writer));
	static const uint8_t order[4] = {3, 4, 2, 1};
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(peer_frame_read(&reader, &frame), 0);
		ck_assert_uint_eq(frame.kind, order[i]);
		ck_assert(frame.first && frame.last && !frame.compressed);
	}
	ck_assert(reader_finished(&reader));
	peer_queue_done(&queue);
}
END_TEST

START_TEST(entries_and_bulk_share_four_to_one)
{
	static uint8_t body[PEER_RECORD_BYTES_MAX];
	struct peer_queue_figures figures = {0};
	uint64_t bytes[PEER_CLASSES] = {0};
	peer_queue_init(&queue);
	for (int i = 0; i < 10; i++) {
		push(PEER_BULK, 1, 1 << 20);
		push(PEER_ENTRIES, 2, 1 << 20);
	}
	for (int record = 0; record < 3000; record++) {
		struct writer writer = writer_of(body, sizeof(body));
		if (list_empty(&queue.messages[PEER_ENTRIES]) ||
		    list_empty(&queue.messages[PEER_BULK]))
			break;
		peer_queue_take(&queue, true, &writer, &figures);
		struct reader reader = reader_of(writer_view(&writer));
		while (reader_left(&reader) > 0) {
			struct peer_frame frame;
			ck_assert_int_eq(peer_frame_read(&reader, &frame), 0);
			bytes[frame.class] += frame.raw_bytes;
		}
	}
	ck_assert_uint_gt(bytes[PEER_ENTRIES], bytes[PEER_BULK] * 35 / 10);
	ck_assert_uint_lt(bytes[PEER_ENTRIES], bytes[PEER_BULK] * 45 / 10);
	peer_queue_done(&queue);
	ck_assert_uint_eq(peer_queue_bytes(&queue), 0);
}
END_TEST

Suite *frame_suite(void)
{
	Suite *suite = suite_create("frame");
	TCase *tcase = tcase_create("frame");
	tcase_add_test(tcase, a_hello_is_read_as_it_was_written);
	tcase_add_test(tcase, a_later_hello_may_be_longer);
	tcase_add_test(tcase, both_use_the_highest_common_version);
	tcase_add_test(tcase, a_refusal_is_read_as_far_as_it_says_something);
	tcase_add_test(tcase, hmac_is_the_one_of_the_standard);
	tcase_add_test(tcase, a_seal_is_of_all_bytes_the_number_and_the_key);
	tcase_add_test(tcase, records_out_of_bounds_are_refused_before_anything_is_kept);
	tcase_add_test(tcase, frames_that_nobody_writes_are_refused);
	tcase_add_test(tcase, compression_is_exact_and_bounded);
	tcase_add_test(tcase, urgent_messages_are_first_in_every_record);
	tcase_add_test(tcase, entries_and_bulk_share_four_to_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
