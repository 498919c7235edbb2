/* Links between two nodes that mean well. */
#include "tests/unit/peer/rig.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/peer/suites.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { LARGE_BYTES = 3 << 20 };

START_TEST(both_sides_are_told_who_is_there)
{
	rig_link();
	ck_assert_uint_eq(nodes[0].them.node, 2);
	ck_assert_uint_eq(nodes[1].them.node, 1);
	ck_assert_uint_eq(nodes[1].them.incarnation, 77);
	ck_assert_uint_eq(nodes[1].them.stores, 2);
	ck_assert_ptr_eq(peer_find(nodes[0].peers, 2, 0), nodes[0].other);
	ck_assert_ptr_null(peer_find(nodes[0].peers, 2, 1));
	ck_assert_int_eq(rig_add(0, 0), ERR_EXISTS);
}
END_TEST

START_TEST(messages_come_whole_in_order_and_once)
{
	rig_link();
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 7, "first"), 0);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 8, ""), 0);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 9, "third"), 0);
	ck_assert_int_eq(rig_send(1, PEER_BULK, 3, "back"), 0);
	rig_until(&nodes[1].got_count, 3);
	rig_until(&nodes[0].got_count, 1);
	rig_pass(50);
	ck_assert_uint_eq(nodes[1].got_count, 3);
	ck_assert_uint_eq(nodes[1].got[0].kind, 7);
	ck_assert_str_eq(nodes[1].got[0].text, "first");
	ck_assert_uint_eq(nodes[1].got[1].bytes, 0);
	ck_assert_str_eq(nodes[1].got[2].text, "third");
	ck_assert_uint_eq(nodes[0].got[0].class, PEER_BULK);
	ck_assert_str_eq(nodes[0].got[0].text, "back");
	ck_assert_uint_eq(peer_queued_bytes(nodes[0].other, PEER_ENTRIES), 0);
}
END_TEST

START_TEST(what_a_turn_sends_is_one_write)
{
	rig_link();
	rig_pass(10);
	uint64_t writes = peers_figures(nodes[0].peers).writes;
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "one of many"), 0);
	peers_turn(nodes[0].peers);
	peers_turn(nodes[0].peers);
	ck_assert_uint_eq(peers_figures(nodes[0].peers).writes, writes + 1);
	rig_until(&nodes[1].got_count, 100);
}
END_TEST

static uint8_t *noise(size_t bytes, bool compressible)
{
	uint8_t *data = malloc(bytes);
	uint64_t state = 1;
	for (size_t i = 0; i < bytes; i++) {
		state = state * 6364136223846793005 + 1442695040888963407;
		data[i] = compressible ? (uint8_t)(i / 100) : (uint8_t)(state >> 56);
	}
	return data;
}

static unsigned released;

static void release(void *arg)
{
	ck_assert_ptr_eq(arg, &released);
	released++;
}

START_TEST(large_messages_come_in_pieces)
{
	uint8_t *plain = noise(LARGE_BYTES, true);
	uint8_t *random = noise(LARGE_BYTES, false);
	released = 0;
	rig_link();
	ck_assert_int_eq(rig_send_bytes(0, PEER_ENTRIES, 1, plain, LARGE_BYTES), 0);
	ck_assert_int_eq(peer_send_owned(nodes[0].other, PEER_ENTRIES, 2,
	                     slice_of(random, LARGE_BYTES), release, &released),
	    0);
	ck_assert_int_eq(rig_send_bytes(0, PEER_BULK, 3, plain, 700), 0);
	rig_until(&nodes[1].got_count, 3);
	uint64_t hashes[2] = {hash_bytes(slice_of(plain, LARGE_BYTES), 0),
	    hash_bytes(slice_of(random, LARGE_BYTES), 0)};
	unsigned large = 0;
	for (unsigned i = 0; i < 3; i++)
		if (nodes[1].got[i].class == PEER_ENTRIES) {
			ck_assert_uint_eq(nodes[1].got[i].bytes, LARGE_BYTES);
			ck_assert_uint_eq(nodes[1].got[i].hash, hashes[large++ % 2]);
		} else {
			ck_assert_uint_eq(nodes[1].got[i].bytes, 700);
		}
	ck_assert_uint_eq(large, 2);
	ck_assert_uint_eq(released, 1);
	struct peers_figures figures = peers_figures(nodes[0].peers);
	/* The kernel may take all of it at once; the simulated network is slower, which is known
	 * behind the first write. */
	if (figures.frames_compressed > 0) {
		ck_assert_uint_ge(figures.frames_compressed,
		    (LARGE_BYTES - PEER_WRITE_BYTES_MAX) / PEER_FRAME_BYTES_MAX);
		ck_assert_uint_lt(figures.compressed_to, figures.compressed_from / 10);
	}
	ck_assert_uint_ge(figures.bytes_sent, LARGE_BYTES);
	free(plain);
	free(random);
}
END_TEST

START_TEST(what_the_network_takes_at_once_is_not_compressed)
{
	enum { BYTES = 16 * 1024, MESSAGES = 20 };
	uint8_t *plain = noise(BYTES, true);
	rig_link();
	for (unsigned i = 0; i < MESSAGES; i++) {
		ck_assert_int_eq(rig_send_bytes(0, PEER_ENTRIES, 1, plain, BYTES), 0);
		rig_until(&nodes[1].got_count, i + 1);
	}
	ck_assert_uint_eq(peers_figures(nodes[0].peers).frames_compressed, 0);
	free(plain);
}
END_TEST

static bool is_over(void *arg)
{
	const bool *over = arg;
	return *over;
}

struct alarm {
	struct io_timer timer;
	bool over;
};

static void alarm_fired(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct alarm, timer)->over = true;
}

static bool all_came(void *arg)
{
	return nodes[1].got_count >= *(const unsigned *)arg;
}

/* No turn passes while it waits: its one message is all that there is to do. */
START_TEST(an_idle_core_notices_that_the_network_is_slow)
{
	enum { MESSAGES = 5, HELD_MS = 20 };
	const unsigned messages = MESSAGES;
	uint8_t *plain = noise(LARGE_BYTES, true);
	struct alarm alarm = {.timer = {.fired = alarm_fired}};
	nodes[0].options.held_up_ms = HELD_MS / 2;
	rig_restart(0);
	middle_open();
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, middle.port), 0);
	rig_until(&nodes[0].ups, 1);
	rig_until(&nodes[1].ups, 1);
	middle.hold = true;
	middle_continue();
	for (unsigned i = 0; i < MESSAGES; i++)
		ck_assert_int_eq(rig_send_bytes(0, PEER_BULK, 1, plain, LARGE_BYTES), 0);
	peers_turn(nodes[0].peers);
	io_timer_set(
	    platform_io(), &alarm.timer, io_now_ns(platform_io()) + HELD_MS * (uint64_t)1000000);
	platform_run(is_over, &alarm.over);
	middle.hold = false;
	middle_continue();
	platform_run(all_came, (void *)(uintptr_t)&messages);
	ck_assert_uint_gt(peers_figures(nodes[0].peers).frames_compressed, 0);
	free(plain);
	middle_close();
}
END_TEST

START_TEST(an_urgent_message_overtakes_what_is_queued)
{
	uint8_t *random = noise(LARGE_BYTES, false);
	rig_link();
	ck_assert_int_eq(rig_send_bytes(0, PEER_BULK, 1, random, LARGE_BYTES), 0);
	ck_assert_int_eq(rig_send_bytes(0, PEER_ENTRIES, 2, random, LARGE_BYTES), 0);
	peers_turn(nodes[0].peers);
	ck_assert_int_eq(rig_send(0, PEER_URGENT, 3, "vote"), 0);
	rig_until(&nodes[1].got_count, 3);
	ck_assert_uint_eq(nodes[1].got[0].kind, 3);
	ck_assert_uint_eq(nodes[1].got[1].kind, 2);
	ck_assert_uint_eq(nodes[1].got[2].kind, 1);
	free(random);
}
END_TEST

START_TEST(a_full_class_says_so_and_says_when_it_is_not)
{
	uint8_t *random = noise(100 * 1000, false);
	nodes[0].options.queue_bytes_max[PEER_ENTRIES] = 1000 * 1000;
	nodes[0].options.dead_ms = nodes[1].options.dead_ms = 60000;
	rig_restart(0);
	rig_restart(1);
	middle_open();
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, middle.port), 0);
	rig_until(&nodes[1].ups, 1);
	rig_until(&nodes[0].ups, 1);
	middle.hold = true;
	middle_continue();
	unsigned sent = 0;
	int error = 0;
	for (unsigned turns = 0; turns < 400; turns++) {
		error = rig_send_bytes(0, PEER_ENTRIES, 1, random, 100 * 1000);
		sent += error == 0;
		if (error == 0)
			turns = 0;
		ck_assert_uint_lt(sent, 1000);
		rig_pass(1);
	}
	ck_assert_int_eq(error, ERR_FULL);
	ck_assert_uint_le(peer_queued_bytes(nodes[0].other, PEER_ENTRIES), 1000 * 1000);
	ck_assert_uint_eq(nodes[0].rooms, 0);
	/* The other classes are others. */
	ck_assert_int_eq(rig_send(0, PEER_URGENT, 2, "still"), 0);
	middle.hold = false;
	middle_continue();
	rig_until(&nodes[1].got_count, sent + 1);
	rig_until(&nodes[0].rooms, 1);
	ck_assert_uint_eq(nodes[0].downs, 0);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 2, "room"), 0);
	rig_until(&nodes[1].got_count, sent + 2);
	ck_assert_uint_eq(nodes[0].rooms, 1);
	middle_close();
	free(random);
}
END_TEST

START_TEST(what_is_too_large_or_has_no_link_is_refused)
{
	uint8_t *data = calloc(1, PEER_MESSAGE_BYTES_MAX + 1);
	ck_assert_int_eq(rig_add(0, 0), 0);
	ck_assert_int_eq(rig_send(0, PEER_URGENT, 1, "nobody"), ERR_CLOSED);
	ck_assert_int_eq(
	    peer_send_owned(nodes[0].other, PEER_BULK, 1, slice_of(data, 1), release, &released),
	    ERR_CLOSED);
	peer_remove(nodes[0].other);
	rig_link();
	ck_assert_int_eq(
	    rig_send_bytes(0, PEER_BULK, 1, data, PEER_MESSAGE_BYTES_MAX + 1), ERR_TOO_LARGE);
	ck_assert_int_eq(
	    rig_send_bytes(0, PEER_URGENT, 1, data, PEER_URGENT_BYTES_MAX + 1), ERR_TOO_LARGE);
	ck_assert_int_eq(rig_send_bytes(0, PEER_URGENT, 1, data, PEER_URGENT_BYTES_MAX), 0);
	ck_assert_int_eq(rig_send_bytes(0, PEER_BULK, 1, data, PEER_MESSAGE_BYTES_MAX), 0);
	rig_until(&nodes[1].got_count, 2);
	free(data);
}
END_TEST

START_TEST(an_idle_link_stays_up)
{
	rig_link();
	rig_pass(3000);
	ck_assert_uint_eq(nodes[0].downs + nodes[1].downs, 0);
	ck_assert_uint_eq(nodes[0].got_count + nodes[1].got_count, 0);
}
END_TEST

START_TEST(a_restarted_node_is_linked_again_and_what_waited_is_lost)
{
	rig_link();
	uint16_t port = peers_port(nodes[0].peers);
	ck_assert_int_eq(rig_send(1, PEER_ENTRIES, 1, "lost"), 0);
	rig_restart(0);
	ck_assert_int_eq(nodes[0].down_error, ERR_CANCELED);
	ck_assert_uint_ne(peers_port(nodes[0].peers), port);
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_CLOSED);
	ck_assert_int_eq(rig_send(1, PEER_ENTRIES, 1, "refused"), ERR_CLOSED);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_until(&nodes[0].ups, 2);
	rig_until(&nodes[1].ups, 2);
	nodes[0].got_count = 0;
	ck_assert_int_eq(rig_send(1, PEER_ENTRIES, 2, "new"), 0);
	rig_until(&nodes[0].got_count, 1);
	ck_assert_str_eq(nodes[0].got[0].text, "new");
}
END_TEST

START_TEST(both_may_connect_at_once_and_one_link_stays)
{
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	ck_assert_int_eq(rig_add(1, peers_port(nodes[0].peers)), 0);
	rig_pass(500);
	ck_assert(peer_is_up(nodes[0].other) && peer_is_up(nodes[1].other));
	ck_assert_uint_eq(nodes[0].ups, nodes[0].downs + 1);
	unsigned ups = nodes[0].ups;
	rig_pass(2000);
	ck_assert_uint_eq(nodes[0].ups, ups);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "there"), 0);
	ck_assert_int_eq(rig_send(1, PEER_ENTRIES, 1, "back"), 0);
	rig_until(&nodes[0].got_count, 1);
	rig_until(&nodes[1].got_count, 1);
}
END_TEST

START_TEST(a_peer_that_nobody_answers_for_is_tried_again_and_again)
{
	struct sockaddr_in address = rig_address(9);
	ck_assert_int_eq(rig_add(0, 9), 0);
	ck_assert_int_eq(rig_add(1, 0), 0);
	rig_pass(600);
	uint64_t dials = peers_figures(nodes[0].peers).dials;
	ck_assert_uint_ge(dials, 8);
	ck_assert_uint_le(dials, 40);
	ck_assert_uint_eq(nodes[0].ups, 0);
	address.sin_port = htons(peers_port(nodes[1].peers));
	ck_assert_int_eq(
	    peer_set_address(nodes[0].other, (struct sockaddr *)&address, sizeof(address)), 0);
	rig_until(&nodes[0].ups, 1);
	address.sin_family = AF_UNIX;
	ck_assert_int_eq(
	    peer_set_address(nodes[0].other, (struct sockaddr *)&address, sizeof(address)),
	    ERR_INVALID);
}
END_TEST

START_TEST(silence_ends_a_link)
{
	middle_open();
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, middle.port), 0);
	rig_until(&nodes[1].ups, 1);
	rig_until(&nodes[0].ups, 1);
	/* What node 0 says gets no further; what node 1 says does. */
	middle.hold = true;
	middle_continue();
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_TIMEOUT);
	ck_assert_uint_eq(peers_figures(nodes[1].peers).silent, 1);
	rig_until(&nodes[0].downs, 1);
	middle_close();
}
END_TEST

static void remove_peer(struct rig_node *node, const struct got *got)
{
	(void)got;
	peer_remove(node->other);
	node->other = NULL;
	node->downs++;
}

START_TEST(a_peer_may_be_removed_while_its_message_is_read)
{
	rig_link();
	nodes[1].on_message = remove_peer;
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "one"), 0);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "two"), 0);
	rig_until(&nodes[0].downs, 1);
	ck_assert_uint_eq(nodes[1].got_count, 1);
}
END_TEST

static void reset_peer(struct rig_node *node, const struct got *got)
{
	(void)got;
	peer_reset(node->other, ERR_PROTOCOL);
	node->on_message = NULL;
	ck_assert_uint_eq(node->downs, 0);
}

START_TEST(a_link_may_be_ended_while_its_message_is_read_and_another_comes)
{
	rig_link();
	nodes[1].on_message = reset_peer;
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "one"), 0);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "lost"), 0);
	rig_until(&nodes[1].downs, 1);
	ck_assert_int_eq(nodes[1].down_error, ERR_PROTOCOL);
	ck_assert_uint_eq(nodes[1].got_count, 1);
	rig_until(&nodes[0].ups, 2);
	rig_until(&nodes[1].ups, 2);
	ck_assert_int_eq(rig_send(0, PEER_ENTRIES, 1, "two"), 0);
	rig_until(&nodes[1].got_count, 2);
	ck_assert_str_eq(nodes[1].got[1].text, "two");
}
END_TEST

START_TEST(what_is_queued_is_released_when_the_link_ends)
{
	static uint8_t data[1000];
	released = 0;
	rig_link();
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(peer_send_owned(nodes[0].other, PEER_BULK, 1,
		                     slice_of(data, sizeof(data)), release, &released),
		    0);
	peer_remove(nodes[0].other);
	nodes[0].other = NULL;
	nodes[0].downs++;
	ck_assert_uint_eq(released, 5);
	rig_until(&nodes[1].downs, 1);
	ck_assert_uint_eq(nodes[1].got_count, 0);
}
END_TEST

START_TEST(every_failing_allocation_ends_in_a_link_all_the_same)
{
	for (uint64_t nth = 1; nth <= 30; nth++) {
		unsigned ups = nodes[0].ups;
		unsigned got = nodes[1].got_count;
		mem_fail_at(nth);
		while (nodes[0].other == NULL && rig_add(0, peers_port(nodes[1].peers)) != 0)
			continue;
		while (nodes[1].other == NULL && rig_add(1, 0) != 0)
			continue;
		rig_until(&nodes[0].ups, ups + 1);
		rig_pass(20);
		/* One may be lost with a link that had no memory. */
		while (nodes[1].got_count == got) {
			int error = rig_send(0, PEER_ENTRIES, 1, "some bytes");
			ck_assert(error == 0 || error == ERR_NOMEM || error == ERR_CLOSED);
			rig_pass(20);
		}
		mem_fail_at(0);
		rig_restart(0);
		rig_pass(20);
	}
}
END_TEST

START_TEST(options_that_do_not_fit_are_refused)
{
	struct peers *peers = NULL;
	struct io *nobody = NULL;
	struct peers_options good = nodes[0].options;
	struct peers_options bad = good;
	bad.secret = slice_from_text("short");
	ck_assert_int_eq(peers_new(nobody, &bad, &peers), ERR_INVALID);
	bad = good;
	bad.self.incarnation = 0;
	ck_assert_int_eq(peers_new(nobody, &bad, &peers), ERR_INVALID);
	bad = good;
	bad.self.core = 1;
	ck_assert_int_eq(peers_new(nobody, &bad, &peers), ERR_INVALID);
	bad = good;
	bad.dead_ms = bad.ping_ms;
	ck_assert_int_eq(peers_new(nobody, &bad, &peers), ERR_INVALID);
	bad = good;
	bad.entropy = NULL;
	ck_assert_int_eq(peers_new(nobody, &bad, &peers), ERR_INVALID);
	ck_assert_ptr_null(peers);
	uint8_t random[2][16] = {{0}};
	ck_assert_int_eq(peers_entropy_system(NULL, random[0], 16), 0);
	ck_assert_int_eq(peers_entropy_system(NULL, random[1], 16), 0);
	ck_assert_int_ne(memcmp(random[0], random[1], 16), 0);
}
END_TEST

Suite *link_suite(void)
{
	Suite *suite = suite_create("link");
	TCase *tcase = tcase_create("link");
	tcase_add_checked_fixture(tcase, rig_setup, rig_teardown);
	tcase_add_test(tcase, both_sides_are_told_who_is_there);
	tcase_add_test(tcase, messages_come_whole_in_order_and_once);
	tcase_add_test(tcase, what_a_turn_sends_is_one_write);
	tcase_add_test(tcase, large_messages_come_in_pieces);
	tcase_add_test(tcase, what_the_network_takes_at_once_is_not_compressed);
	tcase_add_test(tcase, an_idle_core_notices_that_the_network_is_slow);
	tcase_add_test(tcase, an_urgent_message_overtakes_what_is_queued);
	tcase_add_test(tcase, a_full_class_says_so_and_says_when_it_is_not);
	tcase_add_test(tcase, what_is_too_large_or_has_no_link_is_refused);
	tcase_add_test(tcase, an_idle_link_stays_up);
	tcase_add_test(tcase, a_restarted_node_is_linked_again_and_what_waited_is_lost);
	tcase_add_test(tcase, both_may_connect_at_once_and_one_link_stays);
	tcase_add_test(tcase, a_peer_that_nobody_answers_for_is_tried_again_and_again);
	tcase_add_test(tcase, silence_ends_a_link);
	tcase_add_test(tcase, a_peer_may_be_removed_while_its_message_is_read);
	tcase_add_test(tcase, a_link_may_be_ended_while_its_message_is_read_and_another_comes);
	tcase_add_test(tcase, what_is_queued_is_released_when_the_link_ends);
	tcase_add_test(tcase, every_failing_allocation_ends_in_a_link_all_the_same);
	tcase_add_test(tcase, options_that_do_not_fit_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}
