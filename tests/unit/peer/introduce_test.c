/* Introductions: a joiner that knows an address and the secret asks node 2 of the rig. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/peer/suites.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "replication/peer/frame.h"
#include "replication/peer/hello.h"
#include "tests/unit/io/platform.h"

enum { QUESTIONS_MAX = 64 };

/* The side that is asked. */
static unsigned questions;
static uint64_t tokens[QUESTIONS_MAX];
static struct peer_identity asker;
static uint8_t question[PEER_QUESTION_BYTES_MAX];
static size_t question_bytes;
static bool answers_at_once, memory_fails;
static struct slice the_answer;

/* The side that asks. */
static struct peers *joiner;
static struct peers_options joiner_options;
static unsigned dones;
static int done_error;
static struct peer_identity answerer;
static uint8_t answer[PEER_ANSWER_BYTES_MAX];
static size_t answer_bytes;

static void introduced(
    void *arg, const struct peer_identity *them, struct slice bytes, uint64_t token)
{
	ck_assert_ptr_eq(arg, &nodes[1]);
	ck_assert_uint_lt(questions, QUESTIONS_MAX);
	ck_assert_uint_le(bytes.bytes, sizeof(question));
	asker = *them;
	memcpy(question, bytes.data, bytes.bytes);
	question_bytes = bytes.bytes;
	tokens[questions++] = token;
	if (!answers_at_once)
		return;
	int error = peers_introduced(nodes[1].peers, token, the_answer);
	ck_assert(error == 0 || (error == ERR_NOMEM && memory_fails));
}

static void done(void *arg, int error, struct slice bytes, const struct peer_identity *them)
{
	ck_assert_ptr_eq(arg, &dones);
	dones++;
	done_error = error;
	ck_assert((error == 0) == (them != NULL));
	if (error != 0)
		return;
	ck_assert_uint_le(bytes.bytes, sizeof(answer));
	memcpy(answer, bytes.data, bytes.bytes);
	answer_bytes = bytes.bytes;
	answerer = *them;
}

static bool joiner_stopped(void *arg)
{
	(void)arg;
	return peers_stopped(joiner);
}

static void stop_joiner(void)
{
	peers_stop(joiner);
	rig_run(joiner_stopped, NULL);
	peers_free(joiner);
	joiner = NULL;
}

static void start_joiner(void)
{
	ck_assert_int_eq(peers_new(platform_io(), &joiner_options, &joiner), 0);
}

static void setup(void)
{
	rig_setup();
	questions = dones = 0;
	done_error = 1;
	question_bytes = answer_bytes = 0;
	answers_at_once = true;
	the_answer = slice_from_text("you are node 7");
	nodes[1].options.callbacks.introduced = introduced;
	nodes[1].options.answer_ms = 300;
	rig_restart(1);
	joiner_options = (struct peers_options){.self = {.cores = 4, .stores = 2},
	    .secret = nodes[0].options.secret,
	    .entropy = peers_entropy_system,
	    .answer_ms = 300};
	start_joiner();
}

static void teardown(void)
{
	stop_joiner();
	rig_teardown();
}

static int ask_at(struct peers *peers, uint16_t port, const void *data, size_t bytes)
{
	struct sockaddr_in address = rig_address(port);
	return peers_introduce(peers, (struct sockaddr *)&address, sizeof(address),
	    slice_of(data, bytes), done, &dones);
}

static void ask(const char *text)
{
	ck_assert_int_eq(ask_at(joiner, peers_port(nodes[1].peers), text, strlen(text)), 0);
}

static void expect_error(int error, unsigned asked)
{
	rig_until(&dones, 1);
	ck_assert_msg(done_error == error, "%s", error_name(done_error));
	ck_assert_uint_eq(dones, 1);
	ck_assert_uint_eq(questions, asked);
}

static void expect_answer(unsigned nth)
{
	rig_until(&dones, nth);
	ck_assert_msg(done_error == 0, "%s", error_name(done_error));
	ck_assert_uint_eq(answer_bytes, the_answer.bytes);
	ck_assert_int_eq(memcmp(answer, the_answer.data, answer_bytes), 0);
}

/* ---- What it is for ---- */

START_TEST(a_joiner_asks_and_is_told)
{
	ck_assert_uint_eq(dones, 0);
	ask("who am I?");
	ck_assert_uint_eq(dones, 0);
	expect_answer(1);
	ck_assert_uint_eq(question_bytes, 9);
	ck_assert_int_eq(memcmp(question, "who am I?", 9), 0);
	ck_assert_uint_eq(asker.node, 0);
	ck_assert_uint_eq(asker.cores, 4);
	ck_assert_uint_eq(answerer.node, 2);
	ck_assert_uint_eq(answerer.incarnation, 77);
	ck_assert_str_eq((const char *)answerer.cluster, "one cluster");
	rig_pass(400);
	ck_assert_uint_eq(dones, 1);
	ck_assert_uint_eq(questions, 1);
	ck_assert_uint_eq(peers_figures(joiner).asked, 1);
	ck_assert_uint_eq(peers_figures(nodes[1].peers).answered, 1);
	ck_assert_uint_eq(nodes[1].ups, 0);
}
END_TEST

START_TEST(a_node_with_a_number_may_ask_too)
{
	ck_assert_int_eq(ask_at(nodes[0].peers, peers_port(nodes[1].peers), "", 0), 0);
	expect_answer(1);
	ck_assert_uint_eq(asker.node, 1);
	ck_assert_uint_eq(question_bytes, 0);
	/* And it changes nothing for links. */
	rig_link();
}
END_TEST

START_TEST(an_answer_may_come_later_and_only_once)
{
	answers_at_once = false;
	ask("who am I?");
	rig_until(&questions, 1);
	rig_pass(50);
	ck_assert_uint_eq(dones, 0);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[0] + 1, the_answer), ERR_CLOSED);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, 0, the_answer), ERR_CLOSED);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[0], the_answer), 0);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[0], the_answer), ERR_CLOSED);
	expect_answer(1);
}
END_TEST

START_TEST(questions_and_answers_have_bounds)
{
	static uint8_t much[PEER_ANSWER_BYTES_MAX + 1];
	uint16_t port = peers_port(nodes[1].peers);
	for (unsigned round = 0; round < 2; round++) {
		/* Compressible, and not. */
		for (size_t i = 0; i < sizeof(much); i++)
			much[i] = round == 0 ? 7 : (uint8_t)(i * i * 31 >> 3);
		the_answer = slice_of(much, PEER_ANSWER_BYTES_MAX);
		ck_assert_int_eq(ask_at(joiner, port, much, PEER_QUESTION_BYTES_MAX), 0);
		expect_answer(round + 1);
		ck_assert_uint_eq(question_bytes, PEER_QUESTION_BYTES_MAX);
		ck_assert_int_eq(memcmp(question, much, question_bytes), 0);
	}
	ck_assert_int_eq(ask_at(joiner, port, much, PEER_QUESTION_BYTES_MAX + 1), ERR_TOO_LARGE);
	answers_at_once = false;
	ask("who am I?");
	rig_until(&questions, 3);
	ck_assert_int_eq(
	    peers_introduced(nodes[1].peers, tokens[2], slice_of(much, PEER_ANSWER_BYTES_MAX + 1)),
	    ERR_TOO_LARGE);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[2], the_answer), 0);
	expect_answer(3);
}
END_TEST

START_TEST(without_secrets_this_machine_is_introduced)
{
	nodes[1].options.secret = joiner_options.secret = slice_of(NULL, 0);
	rig_restart(1);
	stop_joiner();
	start_joiner();
	ask("who am I?");
	expect_answer(1);
}
END_TEST

START_TEST(peers_without_a_number_do_nothing_else)
{
	struct sockaddr_in address = rig_address(0);
	struct peer *peer = NULL;
	ck_assert_int_eq(
	    peers_listen(joiner, (struct sockaddr *)&address, sizeof(address)), ERR_INVALID);
	ck_assert_int_eq(
	    peer_add(joiner, &nodes[1].options.self, NULL, 0, NULL, &peer), ERR_INVALID);
	ck_assert_int_eq(peers_introduce(joiner, (struct sockaddr *)&address, 0, slice_of(NULL, 0),
	                     done, &dones),
	    ERR_INVALID);
}
END_TEST

/* ---- When it does not come to an answer ---- */

START_TEST(another_secret_introduces_nobody)
{
	joiner_options.secret = slice_from_text("quite another secret");
	stop_joiner();
	start_joiner();
	ask("who am I?");
	expect_error(ERR_PERMISSION, 0);
}
END_TEST

START_TEST(no_secret_introduces_nobody_where_there_is_one)
{
	joiner_options.secret = slice_of(NULL, 0);
	stop_joiner();
	start_joiner();
	ask("who am I?");
	expect_error(ERR_PERMISSION, 0);
}
END_TEST

START_TEST(where_nobody_answers_that_is_said)
{
	nodes[1].options.callbacks.introduced = NULL;
	rig_restart(1);
	ask("who am I?");
	expect_error(ERR_UNSUPPORTED, 0);
}
END_TEST

START_TEST(where_nobody_listens_that_is_said)
{
	ck_assert_int_eq(ask_at(joiner, 1, "?", 1), 0);
	expect_error(ERR_REFUSED, 0);
}
END_TEST

START_TEST(a_node_does_not_introduce_itself)
{
	ck_assert_int_eq(ask_at(nodes[1].peers, peers_port(nodes[1].peers), "?", 1), 0);
	expect_error(ERR_EXISTS, 0);
}
END_TEST

START_TEST(who_waits_too_long_for_an_answer_is_let_go)
{
	answers_at_once = false;
	ask("who am I?");
	/* The other side gives up first. */
	expect_error(ERR_CLOSED, 1);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[0], the_answer), ERR_CLOSED);
}
END_TEST

START_TEST(who_says_nothing_is_left_alone)
{
	struct stranger stranger;
	uint8_t bytes[PEER_GREETING_BYTES_MAX];
	struct peer_hello hello = {.versions = {PEER_VERSION_MIN, PEER_VERSION_MAX},
	    .role = PEER_CONNECTS,
	    .asks = true,
	    .has_secret = true,
	    .from = {.cores = 1},
	    .to_core = PEER_ANY_CORE};
	nodes[1].options.handshake_ms = 200;
	rig_restart(1);
	stranger_connect(&stranger, peers_port(nodes[1].peers));
	stranger_say(&stranger, bytes, peer_hello_write(&hello, bytes));
	rig_until(&stranger.closed, 1);
	ck_assert_uint_gt(buffer_bytes(&stranger.received), PEER_HELLO_BYTES);
	ck_assert_uint_eq(questions, 0);
	stranger_done(&stranger);
}
END_TEST

START_TEST(an_asker_that_has_gone_is_known_to_have)
{
	answers_at_once = false;
	ask("who am I?");
	rig_until(&questions, 1);
	peers_stop(joiner);
	ck_assert_uint_eq(dones, 0);
	expect_error(ERR_CANCELED, 1);
	rig_pass(50);
	ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[0], the_answer), ERR_CLOSED);
	ck_assert_int_eq(ask_at(joiner, 1, "?", 1), ERR_CANCELED);
}
END_TEST

START_TEST(a_stop_ends_what_is_connecting)
{
	ask("who am I?");
	peers_stop(joiner);
	expect_error(ERR_CANCELED, 0);
}
END_TEST

START_TEST(few_are_introduced_at_a_time)
{
	struct peers *first = joiner;
	answers_at_once = false;
	for (unsigned i = 0; i < PEER_INTRODUCTIONS_MAX; i++)
		ask("who am I?");
	ck_assert_int_eq(ask_at(joiner, peers_port(nodes[1].peers), "?", 1), ERR_FULL);
	rig_until(&questions, PEER_INTRODUCTIONS_MAX);
	start_joiner();
	ask("and who am I?");
	expect_error(ERR_AGAIN, PEER_INTRODUCTIONS_MAX);
	for (unsigned i = 0; i < PEER_INTRODUCTIONS_MAX; i++)
		ck_assert_int_eq(peers_introduced(nodes[1].peers, tokens[i], the_answer), 0);
	expect_answer(1 + PEER_INTRODUCTIONS_MAX);
	rig_pass(50);
	answers_at_once = true;
	ask("and now?");
	expect_answer(2 + PEER_INTRODUCTIONS_MAX);
	stop_joiner();
	joiner = first;
}
END_TEST

START_TEST(every_failing_allocation_of_an_introduction_is_told)
{
	unsigned failures = 0;
	memory_fails = true;
	for (uint64_t nth = 1; nth <= 30; nth++) {
		unsigned before = dones;
		mem_fail_at(nth);
		int error = ask_at(joiner, peers_port(nodes[1].peers), "who am I?", 9);
		if (error == 0)
			rig_until(&dones, before + 1);
		mem_fail_at(0);
		ck_assert(error == 0 || error == ERR_NOMEM);
		failures += error != 0 || done_error != 0;
		/* An answer that could not be given is one that does not come. */
		rig_pass(5);
	}
	ck_assert_uint_ge(failures, 5);
	memory_fails = false;
	done_error = 1;
	ask("who am I?");
	expect_answer(dones + 1);
}
END_TEST

/* ---- In the middle ---- */

static struct buffer seen[2];

static void record_all(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	ck_assert_int_eq(buffer_append(&seen[back], data, bytes), 0);
	ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
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

START_TEST(a_question_that_was_asked_once_is_not_heard_again)
{
	buffer_init(&seen[0], 1 << 20);
	buffer_init(&seen[1], 1 << 20);
	middle_open();
	middle.change = record_all;
	ck_assert_int_eq(ask_at(joiner, middle.port, "make me a node", 14), 0);
	expect_answer(1);
	struct stranger stranger;
	struct slice again = buffer_view(&seen[0]);
	stranger_connect(&stranger, peers_port(nodes[1].peers));
	stranger_say(&stranger, again.data, again.bytes);
	rig_until(&stranger.closed, 1);
	ck_assert_uint_eq(questions, 1);
	ck_assert(was_refused(&stranger, PEER_REFUSED_SECRET));
	stranger_done(&stranger);
	middle_close();
	buffer_done(&seen[0]);
	buffer_done(&seen[1]);
}
END_TEST

static struct slice replay;
static bool replayed;

static void answer_with_replay(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	if (!back)
		ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
	else if (!replayed)
		ck_assert_int_eq(buffer_append_slice(onward, replay), 0);
	replayed |= back;
}

START_TEST(an_answer_that_was_given_once_is_not_believed_again)
{
	buffer_init(&seen[0], 1 << 20);
	buffer_init(&seen[1], 1 << 20);
	middle_open();
	middle.change = record_all;
	ck_assert_int_eq(ask_at(joiner, middle.port, "make me a node", 14), 0);
	expect_answer(1);
	replay = buffer_view(&seen[1]);
	replayed = false;
	middle.change = answer_with_replay;
	ck_assert_int_eq(ask_at(joiner, middle.port, "make me a node", 14), 0);
	/* What the real one says wakes the one in the middle. */
	rig_until(&dones, 2);
	ck_assert_int_eq(done_error, ERR_PERMISSION);
	ck_assert_uint_eq(questions, 1);
	middle_close();
	buffer_done(&seen[0]);
	buffer_done(&seen[1]);
}
END_TEST

static void reflect(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	(void)it;
	/* Node 2's bytes are replaced by the asker's own, as they come. */
	if (!back) {
		ck_assert_int_eq(buffer_append(&seen[0], data, bytes), 0);
		ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
		return;
	}
	struct slice own = buffer_view(&seen[0]);
	ck_assert_int_eq(buffer_append_slice(onward, own), 0);
	buffer_consume(&seen[0], own.bytes);
}

START_TEST(an_asker_does_not_believe_its_own_words)
{
	buffer_init(&seen[0], 1 << 20);
	middle_open();
	middle.change = reflect;
	ck_assert_int_eq(ask_at(joiner, middle.port, "make me a node", 14), 0);
	expect_error(ERR_PROTOCOL, 0);
	middle_close();
	buffer_done(&seen[0]);
}
END_TEST

/* Makes an ASK of what was a HELLO, and the other way round, with a hash that is right. */
static void turn_kind(
    struct middle *it, bool back, const uint8_t *data, size_t bytes, struct buffer *onward)
{
	struct peer_greeting greeting;
	uint8_t other[PEER_GREETING_BYTES_MAX];
	(void)it;
	if (back) {
		ck_assert_int_eq(buffer_append(onward, data, bytes), 0);
		return;
	}
	ck_assert_int_eq(buffer_append(&seen[0], data, bytes), 0);
	while (peer_greeting_read(buffer_view(&seen[0]), &greeting) == 0) {
		enum peer_greeting_kind kind = greeting.kind;
		if (kind == PEER_ASK || kind == PEER_HELLO)
			kind = kind == PEER_ASK ? PEER_HELLO : PEER_ASK;
		size_t size = peer_greeting_write(kind, greeting.content, other);
		ck_assert_int_eq(buffer_append(onward, other, size), 0);
		buffer_consume(&seen[0], size);
	}
}

START_TEST(what_is_said_for_a_link_does_not_ask_and_the_other_way_round)
{
	buffer_init(&seen[0], 1 << 20);
	middle_open();
	middle.change = turn_kind;
	ck_assert_int_eq(ask_at(nodes[0].peers, middle.port, "a question", 10), 0);
	ck_assert_int_eq(rig_add(1, 0), 0);
	expect_error(ERR_PERMISSION, 0);
	ck_assert_uint_eq(nodes[1].ups, 0);
	ck_assert_int_eq(rig_add(0, middle.port), 0);
	uint64_t refused = peers_figures(nodes[1].peers).refused_by_us;
	ck_assert_uint_ge(refused, 1);
	rig_pass(100);
	/* Of what came whole; each ended in a refusal. */
	ck_assert_uint_gt(peers_figures(nodes[1].peers).refused_by_us, refused);
	ck_assert_uint_eq(questions, 0);
	ck_assert_uint_eq(nodes[0].ups, 0);
	middle.change = NULL;
	rig_until(&nodes[0].ups, 1);
	middle_close();
	buffer_done(&seen[0]);
}
END_TEST

static uint64_t flip_at;
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

/* Greetings, and a record with a frame of a few bytes; of the answer as well. */
enum {
	WAY_BITS =
	    (PEER_HELLO_BYTES + PEER_PROOF_BYTES + 2 * 16 + PEER_RECORD_HEAD_BYTES + 8 + 9) * 8,
};

START_TEST(a_bit_that_flips_makes_no_answer_and_no_other_one)
{
	joiner_options.handshake_ms = joiner_options.answer_ms = 60;
	nodes[1].options.handshake_ms = 60;
	nodes[1].options.answer_ms = 60;
	stop_joiner();
	start_joiner();
	rig_restart(1);
	the_answer = slice_from_text("nine bits");
	unsigned heard = 0;
	for (uint64_t at = 0; at < WAY_BITS; at += 41) {
		flip_at = at;
		flip_back = at / 41 % 2 == 1;
		middle_open();
		middle.change = flip;
		unsigned before = dones;
		unsigned questions_before = questions;
		questions = 0;
		ck_assert_int_eq(ask_at(joiner, middle.port, "nine bits", 9), 0);
		rig_until(&dones, before + 1);
		ck_assert_int_ne(done_error, 0);
		ck_assert_uint_le(questions, flip_back ? 1 : 0);
		heard += questions;
		questions = questions_before;
		middle_close();
	}
	ck_assert_uint_gt(heard, 0);
}
END_TEST

Suite *introduce_suite(void)
{
	Suite *suite = suite_create("introduce");
	TCase *tcase = tcase_create("introduce");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_joiner_asks_and_is_told);
	tcase_add_test(tcase, a_node_with_a_number_may_ask_too);
	tcase_add_test(tcase, an_answer_may_come_later_and_only_once);
	tcase_add_test(tcase, questions_and_answers_have_bounds);
	tcase_add_test(tcase, without_secrets_this_machine_is_introduced);
	tcase_add_test(tcase, peers_without_a_number_do_nothing_else);
	tcase_add_test(tcase, another_secret_introduces_nobody);
	tcase_add_test(tcase, no_secret_introduces_nobody_where_there_is_one);
	tcase_add_test(tcase, where_nobody_answers_that_is_said);
	tcase_add_test(tcase, where_nobody_listens_that_is_said);
	tcase_add_test(tcase, a_node_does_not_introduce_itself);
	tcase_add_test(tcase, who_waits_too_long_for_an_answer_is_let_go);
	tcase_add_test(tcase, who_says_nothing_is_left_alone);
	tcase_add_test(tcase, an_asker_that_has_gone_is_known_to_have);
	tcase_add_test(tcase, a_stop_ends_what_is_connecting);
	tcase_add_test(tcase, few_are_introduced_at_a_time);
	tcase_add_test(tcase, every_failing_allocation_of_an_introduction_is_told);
	tcase_add_test(tcase, a_question_that_was_asked_once_is_not_heard_again);
	tcase_add_test(tcase, an_answer_that_was_given_once_is_not_believed_again);
	tcase_add_test(tcase, an_asker_does_not_believe_its_own_words);
	tcase_add_test(tcase, what_is_said_for_a_link_does_not_ask_and_the_other_way_round);
	tcase_add_test(tcase, a_bit_that_flips_makes_no_answer_and_no_other_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
