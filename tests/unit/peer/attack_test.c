/* Links with those who do not mean well, or are somebody else. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "replication/peer/frame.h"
#include "replication/peer/hello.h"

/* ---- Who is not let in ---- */

static void expect_refused(const char *why)
{
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(400);
	ck_assert_msg(nodes[0].ups == 0 && nodes[1].ups == 0, "%s", why);
	ck_assert_uint_gt(peers_figures(nodes[1].peers).refused_by_us +
	                      peers_figures(nodes[0].peers).refused_by_us,
	    0);
	/* Both sides know. */
	ck_assert_uint_gt(peers_figures(nodes[1].peers).refused_by_them +
	                      peers_figures(nodes[0].peers).refused_by_them,
	    0);
}

START_TEST(another_secret_is_refused_and_never_told)
{
	rig_keep_lines();
	nodes[0].options.secret = slice_from_text("quite another secret");
	rig_restart(0);
	expect_refused("another secret");
	ck_assert_uint_eq(rig_count_lines("the cluster secret is another one"), 2);
	ck_assert_uint_eq(rig_count_lines("by=us"), 1);
	ck_assert_uint_eq(rig_count_lines("by=them"), 1);
	ck_assert_uint_eq(rig_count_lines("quite another"), 0);
	rig_let_lines_go();
}
END_TEST

START_TEST(a_node_without_the_secret_is_refused)
{
	nodes[0].options.secret = slice_of(NULL, 0);
	rig_restart(0);
	expect_refused("no secret");
}
END_TEST

START_TEST(without_secrets_this_machine_is_trusted)
{
	for (int i = 0; i < 2; i++) {
		nodes[i].options.secret = slice_of(NULL, 0);
		rig_restart(i);
	}
	rig_link();
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "open"), 0);
	rig_until(&nodes[1].got_count, 1);
}
END_TEST

START_TEST(another_cluster_is_refused)
{
	nodes[0].options.self.cluster[3] ^= 1;
	rig_restart(0);
	expect_refused("another cluster");
}
END_TEST

START_TEST(another_incarnation_is_refused_by_either_side)
{
	struct peer_identity *self = &nodes[0].options.self;
	struct peer_identity before = *self;
	self->incarnation++;
	rig_restart(0);
	*self = before; /* what node 1 knows */
	expect_refused("a node with an old name");
	peer_remove(nodes[0].other);
	peer_remove(nodes[1].other);
	rig_restart(0);
	nodes[1].options.self.incarnation++; /* what node 0 knows */
	expect_refused("a node that is meant and is not there");
}
END_TEST

START_TEST(a_stranger_that_knows_the_secret_is_asked_about)
{
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(300);
	ck_assert_uint_eq(nodes[0].ups, 0);
	ck_assert_uint_gt(peers_figures(nodes[1].peers).refused_by_us, 0);
	ck_assert_uint_gt(peers_figures(nodes[0].peers).refused_by_them, 0);
}
END_TEST

static void let_in(void *arg, const struct peer_identity *them)
{
	struct rig_node *node = arg;
	node->strangers++;
	ck_assert_uint_eq(them->node, 1);
	ck_assert_int_eq(rig_add(1, 0), 0);
}

START_TEST(a_stranger_may_be_let_in)
{
	nodes[1].options.callbacks.stranger = let_in;
	rig_restart(1);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_until(&nodes[0].ups, 1);
	ck_assert_uint_eq(nodes[1].strangers, 1);
	ck_assert_uint_eq(nodes[1].ups, 1);
}
END_TEST

START_TEST(a_node_does_not_link_to_itself)
{
	ck_assert_int_eq(rig_add(0, peers_port(nodes[0].peers)), 0);
	for (unsigned i = 0; i < 1000 && peers_figures(nodes[0].peers).refused_by_us == 0; i++)
		rig_pass(10);
	ck_assert_uint_eq(nodes[0].ups, 0);
	ck_assert_uint_gt(peers_figures(nodes[0].peers).refused_by_us, 0);
	struct peer *self = NULL;
	ck_assert_int_eq(
	    peer_add(nodes[0].peers, &nodes[0].options.self, NULL, 0, NULL, &self), ERR_INVALID);
}
END_TEST

/* ---- A stranger who speaks for himself ---- */

static struct peer_hello forged_hello(enum peer_role role)
{
	return (struct peer_hello){.versions = {PEER_VERSION_MIN, PEER_VERSION_MAX},
	    .role = role,
	    .has_secret = true,
	    .from = nodes[0].options.self,
	    .to_core = PEER_ANY_CORE};
}

static bool was_refused(const struct stranger *stranger, uint8_t reason)
{
	struct slice view = buffer_view(&stranger->received);
	struct peer_greeting greeting;
	while (peer_greeting_read(view, &greeting) == 0) {
		if (greeting.kind == PEER_REFUSE && greeting.content.data[0] == reason)
			return true;
		view =
		    slice_of(view.data + greeting.whole.bytes, view.bytes - greeting.whole.bytes);
	}
	return false;
}

START_TEST(a_version_that_is_not_spoken_is_refused)
{
	uint8_t bytes[PEER_GREETING_BYTES_MAX];
	struct stranger stranger;
	struct peer_hello hello = forged_hello(PEER_CONNECTS);
	hello.versions = (struct peer_versions){PEER_VERSION_MAX + 1, PEER_VERSION_MAX + 9};
	ck_assert_int_eq(rig_add(1, 0), 0);
	stranger_connect(&stranger, peers_port(nodes[1].peers));
	stranger_say(&stranger, bytes, peer_hello_write(&hello, bytes));
	rig_until(&stranger.closed, 1);
	ck_assert(was_refused(&stranger, PEER_REFUSED_VERSION));
	stranger_done(&stranger);
	/* A newer one that still speaks ours goes on. */
	hello.versions.min = PEER_VERSION_MIN;
	stranger_connect(&stranger, peers_port(nodes[1].peers));
	stranger_say(&stranger, bytes, peer_hello_write(&hello, bytes));
	rig_pass(50);
	ck_assert_uint_eq(stranger.closed, 0);
	ck_assert_uint_gt(buffer_bytes(&stranger.received), PEER_HELLO_BYTES);
	stranger_done(&stranger);
}
END_TEST

START_TEST(who_is_meant_counts)
{
	struct {
		uint64_t node, incarnation;
		uint16_t core;
		uint8_t reason;
	} cases[] = {{3, 77, 0, PEER_REFUSED_NODE}, {2, 78, 0, PEER_REFUSED_INCARNATION},
	    {2, 77, 1, PEER_REFUSED_CORE}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t bytes[PEER_GREETING_BYTES_MAX];
		struct stranger stranger;
		struct peer_hello hello = forged_hello(PEER_CONNECTS);
		hello.to_node = cases[i].node;
		hello.to_incarnation = cases[i].incarnation;
		hello.to_core = cases[i].core;
		stranger_connect(&stranger, peers_port(nodes[1].peers));
		stranger_say(&stranger, bytes, peer_hello_write(&hello, bytes));
		rig_until(&stranger.closed, 1);
		ck_assert(was_refused(&stranger, cases[i].reason));
		stranger_done(&stranger);
	}
}
END_TEST

START_TEST(nonsense_and_silence_end)
{
	static const char *const texts[] = {
	    "GET / HTTP/1.1\r\n\r\n", "KXP", "KXQ", "KXP\x07\0\0\0\0"};
	nodes[1].options.handshake_ms = 300;
	rig_restart(1);
	for (size_t i = 0; i < 4; i++) {
		struct stranger stranger;
		stranger_connect(&stranger, peers_port(nodes[1].peers));
		stranger_say(&stranger, texts[i], i == 3 ? 8 : strlen(texts[i]));
		rig_until(&stranger.closed, 1);
		ck_assert_uint_eq(buffer_bytes(&stranger.received), 0);
		stranger_done(&stranger);
	}
	ck_assert_uint_eq(peers_figures(nodes[1].peers).malformed, 3);
}
END_TEST

START_TEST(strangers_are_bounded_and_the_oldest_goes)
{
	static struct stranger strangers[PEER_STRANGERS_MAX + 1];
	/* It does not go because it was silent. */
	nodes[1].options.handshake_ms = 600 * 1000;
	rig_restart(1);
	for (int i = 0; i <= PEER_STRANGERS_MAX; i++)
		stranger_connect(&strangers[i], peers_port(nodes[1].peers));
	rig_pass(500);
	ck_assert_uint_eq(strangers[0].closed, 1);
	ck_assert_uint_eq(strangers[1].closed, 0);
	for (int i = 0; i <= PEER_STRANGERS_MAX; i++)
		stranger_done(&strangers[i]);
	rig_link();
}
END_TEST

/* ---- In the middle ---- */

static void link_by_middle(void)
{
	middle_open();
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, middle.port), 0);
}

static struct buffer seen[2];

static void record_all(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	ck_assert_int_eq(buffer_append(&seen[back], data, bytes), 0);
	ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
}

START_TEST(what_was_said_once_is_worth_nothing_again)
{
	buffer_init(&seen[0], 1 << 20);
	buffer_init(&seen[1], 1 << 20);
	link_by_middle();
	middle.change = record_all;
	rig_until(&nodes[0].ups, 1);
	rig_until(&nodes[1].ups, 1);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "pay him"), 0);
	rig_until(&nodes[1].got_count, 1);
	peer_remove(nodes[0].other);
	nodes[0].other = NULL;
	nodes[0].downs++;
	rig_until(&nodes[1].downs, 1);
	struct stranger stranger;
	struct slice again = buffer_view(&seen[0]);
	stranger_connect(&stranger, peers_port(nodes[1].peers));
	stranger_say(&stranger, again.data, again.bytes);
	rig_until(&stranger.closed, 1);
	ck_assert_uint_eq(nodes[1].ups, 1);
	ck_assert_uint_eq(nodes[1].got_count, 1);
	ck_assert(was_refused(&stranger, PEER_REFUSED_SECRET));
	stranger_done(&stranger);
	middle_close();
	buffer_done(&seen[0]);
	buffer_done(&seen[1]);
}
END_TEST

static struct stranger mirror;

static void reflect(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	(void)onward;
	/* Nothing gets to node 1; node 0 hears its own words, in a connection that it accepted. */
	if (!back)
		stranger_say(&mirror, data, bytes);
}

START_TEST(a_node_does_not_believe_its_own_words)
{
	stranger_connect(&mirror, peers_port(nodes[0].peers));
	link_by_middle();
	middle.change = reflect;
	rig_until(&mirror.closed, 1);
	ck_assert(was_refused(&mirror, PEER_REFUSED_SELF));
	ck_assert_uint_eq(nodes[0].ups, 0);
	middle_close();
	stranger_done(&mirror);
}
END_TEST

static uint64_t flip_at; /* a bit, of what goes one way */
static bool flip_back;

static void flip(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
	uint64_t from = it->passed[back] * 8;
	if (back == flip_back && flip_at >= from && flip_at < from + bytes * 8)
		onward->data[onward->begin + flip_at / 8 - it->passed[back]] ^=
		    (uint8_t)(1 << flip_at % 8);
}

/* Hello and proof of one side. */
enum { GREETINGS_BITS = (PEER_HELLO_BYTES + PEER_PROOF_BYTES + 2 * 16) * 8 };

START_TEST(a_bit_that_flips_in_a_handshake_ends_that_connection_only)
{
	nodes[0].options.handshake_ms = nodes[1].options.handshake_ms = 100;
	for (uint64_t at = 0; at < GREETINGS_BITS; at += 37) {
		rig_restart(0);
		rig_restart(1);
		unsigned ups = nodes[0].ups;
		flip_at = at;
		flip_back = at % 2 == 1;
		link_by_middle();
		middle.change = flip;
		/* The second connection is a good one. */
		rig_until(&nodes[0].ups, ups + 1);
		ck_assert_uint_ge(middle.connections, 2);
		ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "well"), 0);
		unsigned got = nodes[1].got_count;
		rig_until(&nodes[1].got_count, got + 1);
		middle_close();
	}
}
END_TEST

START_TEST(a_bit_that_flips_in_a_record_ends_the_link_with_nothing_told)
{
	for (int i = 0; i < 2; i++) {
		nodes[i].options.ping_ms = 100;
		nodes[i].options.dead_ms = 500;
	}
	for (uint64_t at = 0; at < (PEER_RECORD_HEAD_BYTES + 8 + 10) * 8; at += 7) {
		rig_restart(0);
		rig_restart(1);
		nodes[1].got_count = 0;
		unsigned ups = nodes[1].ups;
		link_by_middle();
		rig_until(&nodes[0].ups, ups + 1);
		rig_until(&nodes[1].ups, ups + 1);
		flip_back = false;
		flip_at = middle.passed[0] * 8 + at;
		middle.change = flip;
		ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "ten bytes!"), 0);
		ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "another one"), 0);
		unsigned downs = nodes[1].downs;
		rig_until(&nodes[1].downs, downs + 1);
		int error = nodes[1].down_error;
		ck_assert(error == ERR_CORRUPT || error == ERR_PROTOCOL ||
		          error == ERR_PERMISSION || error == ERR_TIMEOUT);
		ck_assert_uint_eq(nodes[1].got_count, 0);
		middle_close();
	}
}
END_TEST

/* Waits for a whole record and does something with it. */
static enum { FORGE, REPEAT, CUT_SHORT, TOO_LONG, REFLECT } trick;
static struct buffer held;
static bool tricked;
static uint64_t record_number;

static void fix_hash(uint8_t *record, uint64_t number)
{
	/* What anybody can do: the hash has no key. */
	peer_record_hash(record, load_u32le(record), number);
}

static void do_trick(struct middle *it, uint8_t *record, size_t bytes, struct buffer *onward)
{
	switch (trick) {
	case FORGE:
		record[bytes - 1] = 'X';
		fix_hash(record, record_number);
		break;
	case REPEAT:
		ck_assert_int_eq(buffer_append(onward, record, bytes), 0);
		fix_hash(record, record_number + 1);
		break;
	case CUT_SHORT:
		ck_assert_int_eq(buffer_append(onward, record, bytes - 1), 0);
		return;
	case REFLECT:
		break;
	case TOO_LONG:
		store_u32le(record, PEER_RECORD_BYTES_MAX + 1);
		break;
	}
	(void)it;
	ck_assert_int_eq(buffer_append(onward, record, bytes), 0);
}

static void play(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	struct peer_record record;
	size_t wanted = 0;
	if (back && trick == REFLECT && tricked) {
		/* Its own words, in place of what it is told. */
		ck_assert_int_eq(buffer_append_slice(onward, buffer_view(&held)), 0);
		return;
	}
	if (back || tricked) {
		ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
		return;
	}
	ck_assert_int_eq(buffer_append(&held, data, bytes), 0);
	if (peer_record_read(buffer_view(&held), &record, &wanted) != 0)
		return;
	/* A ping went by. */
	if (record.body.bytes == 8) {
		ck_assert_int_eq(buffer_append(onward, record.head.data, record.bytes), 0);
		buffer_consume(&held, record.bytes);
		record_number++;
		return;
	}
	tricked = true;
	if (trick == REFLECT)
		return;
	do_trick(it, held.data + held.begin, buffer_bytes(&held), onward);
	buffer_clear(&held);
}

static void run_trick(int which)
{
	trick = which;
	tricked = false;
	record_number = 0;
	nodes[0].options.ping_ms = nodes[1].options.ping_ms = 100000;
	nodes[0].options.dead_ms = nodes[1].options.dead_ms = 200000;
	rig_restart(0);
	rig_restart(1);
	buffer_init(&held, 1 << 20);
	link_by_middle();
	rig_until(&nodes[0].ups, 1);
	rig_until(&nodes[1].ups, 1);
	middle.change = play;
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "the message"), 0);
}

static void end_trick(void)
{
	middle_close();
	buffer_done(&held);
}

START_TEST(a_record_that_was_forged_is_not_read)
{
	run_trick(FORGE);
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_PERMISSION);
	ck_assert_uint_eq(nodes[1].got_count, 0);
	ck_assert_uint_eq(peers_figures(nodes[1].peers).forged, 1);
	end_trick();
}
END_TEST

START_TEST(a_record_that_comes_twice_is_read_once)
{
	run_trick(REPEAT);
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_PERMISSION);
	ck_assert_uint_eq(nodes[1].got_count, 1);
	end_trick();
}
END_TEST

static bool is_tricked(void *arg)
{
	(void)arg;
	return tricked;
}

START_TEST(a_record_is_not_believed_by_who_made_it)
{
	run_trick(REFLECT);
	rig_run(is_tricked, NULL);
	ck_assert_int_eq(rig_send(1, PEER_ENTRIES, 1, "an answer"), 0);
	rig_until(&nodes[0].downs, 1);
	ck_assert_int_eq(nodes[0].down_error, ERR_PERMISSION);
	ck_assert_uint_eq(nodes[0].got_count, 0);
	end_trick();
}
END_TEST

START_TEST(a_record_that_ends_too_early_is_not_read)
{
	run_trick(CUT_SHORT);
	rig_pass(100);
	ck_assert_uint_eq(nodes[1].downs, 0);
	ck_assert_uint_eq(nodes[1].got_count, 0);
	end_trick();
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_CLOSED);
	ck_assert_uint_eq(nodes[1].got_count, 0);
}
END_TEST

START_TEST(a_record_that_says_it_is_too_long_ends_the_link_at_once)
{
	run_trick(TOO_LONG);
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_PROTOCOL);
	ck_assert_uint_eq(nodes[1].got_count, 0);
	end_trick();
}
END_TEST

START_TEST(refusals_fill_no_log)
{
	rig_keep_lines();
	nodes[0].options.secret = slice_from_text("quite another secret");
	rig_restart(0);
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_pass(2000);
	ck_assert_uint_gt(peers_figures(nodes[1].peers).refused_by_us, 10);
	ck_assert_uint_eq(rig_count_lines("peer_refused"), 2);
	rig_let_lines_go();
}
END_TEST

Suite *attack_suite(void)
{
	Suite *suite = suite_create("attack");
	TCase *tcase = tcase_create("attack");
	tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
	tcase_add_test(tcase, another_secret_is_refused_and_never_told);
	tcase_add_test(tcase, a_node_without_the_secret_is_refused);
	tcase_add_test(tcase, without_secrets_this_machine_is_trusted);
	tcase_add_test(tcase, another_cluster_is_refused);
	tcase_add_test(tcase, another_incarnation_is_refused_by_either_side);
	tcase_add_test(tcase, a_stranger_that_knows_the_secret_is_asked_about);
	tcase_add_test(tcase, a_stranger_may_be_let_in);
	tcase_add_test(tcase, a_node_does_not_link_to_itself);
	tcase_add_test(tcase, a_version_that_is_not_spoken_is_refused);
	tcase_add_test(tcase, who_is_meant_counts);
	tcase_add_test(tcase, nonsense_and_silence_end);
	tcase_add_test(tcase, strangers_are_bounded_and_the_oldest_goes);
	tcase_add_test(tcase, what_was_said_once_is_worth_nothing_again);
	tcase_add_test(tcase, a_node_does_not_believe_its_own_words);
	tcase_add_test(tcase, a_bit_that_flips_in_a_handshake_ends_that_connection_only);
	tcase_add_test(tcase, a_bit_that_flips_in_a_record_ends_the_link_with_nothing_told);
	tcase_add_test(tcase, a_record_that_was_forged_is_not_read);
	tcase_add_test(tcase, a_record_that_comes_twice_is_read_once);
	tcase_add_test(tcase, a_record_is_not_believed_by_who_made_it);
	tcase_add_test(tcase, a_record_that_ends_too_early_is_not_read);
	tcase_add_test(tcase, a_record_that_says_it_is_too_long_ends_the_link_at_once);
	tcase_add_test(tcase, refusals_fill_no_log);
	suite_add_tcase(suite, tcase);
	return suite;
}
