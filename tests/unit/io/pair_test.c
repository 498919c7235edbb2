/* Connections of io.h whose ends are both ours, on the kernel and in the simulated network. */
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/io/io.h"
#include "base/mem.h"

enum { DATA_BYTES = 600 * 1000, PIECES = 300 };

struct end {
	struct io_socket *socket;
	unsigned received_calls, ended, closed;
	int result;
	uint8_t *data;
	size_t bytes;
	size_t pause_at; /* pauses itself when it has so many; 0: never */
	size_t close_at;
	bool echo_end; /* answers the end, then closes */
};

struct send {
	struct io_op op;
	struct iovec iov[PIECES];
	unsigned done;
};

static struct io *io;
static struct io_listener *listener;
static struct end dialer, accepter;
static struct io_op connecting;
static unsigned connected, accepted;
static struct send sends[4];
static uint8_t *data;

static void received(struct io_socket *socket, void *owner, const uint8_t *bytes, size_t count)
{
	struct end *end = owner;
	ck_assert_ptr_eq(socket, end->socket);
	ck_assert_uint_gt(count, 0);
	ck_assert_uint_le(end->bytes + count, DATA_BYTES);
	memcpy(end->data + end->bytes, bytes, count);
	end->bytes += count;
	end->received_calls++;
	if (end->pause_at != 0 && end->bytes >= end->pause_at)
		io_socket_pause(socket, true);
	if (end->close_at != 0 && end->bytes >= end->close_at)
		io_socket_close(socket);
}

static void send_done(struct io_op *op)
{
	((struct send *)op)->done++;
}

static void send_bytes(struct end *end, struct send *send, const uint8_t *from, size_t bytes)
{
	*send = (struct send){.op.done = send_done};
	send->iov[0] = (struct iovec){.iov_base = (void *)(uintptr_t)from, .iov_len = bytes};
	io_send(end->socket, &send->op, send->iov, 1);
}

static void ended(struct io_socket *socket, void *owner)
{
	struct end *end = owner;
	end->ended++;
	if (end->echo_end)
		send_bytes(end, &sends[3], (const uint8_t *)"bye", 3);
	(void)socket;
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	struct end *end = owner;
	ck_assert_ptr_eq(socket, end->socket);
	end->closed++;
	end->result = result;
}

static const struct io_socket_events events = {.received = received, .closed = closed};
static const struct io_socket_events events_ended = {
    .received = received, .ended = ended, .closed = closed};
static const struct io_socket_events *accepter_events;

static void on_accepted(struct io_listener *from, void *owner, struct io_socket *socket)
{
	ck_assert_ptr_eq(from, listener);
	ck_assert_ptr_eq(owner, &accepter);
	accepter.socket = socket;
	accepted++;
	io_socket_start(socket, accepter_events, &accepter);
}

static void on_connected(struct io_op *op)
{
	connected++;
	(void)op;
}

static bool reached(void *arg)
{
	unsigned **pair = arg;
	return *pair[0] >= *pair[1];
}

static void until(unsigned *counter, unsigned value)
{
	unsigned *pair[] = {counter, &value};
	platform_run(reached, pair);
}

static bool has_bytes(void *arg)
{
	return ((struct end *)arg)->bytes == DATA_BYTES;
}

static struct sockaddr_in local(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

static void dial(uint16_t port)
{
	struct sockaddr_in address = local(port);
	connecting = (struct io_op){.done = on_connected};
	io_connect(io, &connecting, (struct sockaddr *)&address, sizeof(address), &dialer.socket);
	memset(&address, 0, sizeof(address));
}

static void connect_pair(void)
{
	dial(io_listener_port(listener));
	until(&connected, 1);
	ck_assert_int_eq(connecting.result, 0);
	io_socket_start(dialer.socket, &events_ended, &dialer);
	until(&accepted, 1);
}

static void setup(void)
{
	struct sockaddr_in address = local(0);
	platform_setup();
	io = platform_io();
	connected = accepted = 0;
	accepter_events = &events;
	data = malloc(DATA_BYTES);
	for (size_t i = 0; i < DATA_BYTES; i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	dialer = (struct end){.data = malloc(DATA_BYTES)};
	accepter = (struct end){.data = malloc(DATA_BYTES)};
	ck_assert_int_eq(io_listen(io, (struct sockaddr *)&address, sizeof(address), on_accepted,
	                     &accepter, &listener),
	    0);
}

static bool all_closed(void *arg)
{
	(void)arg;
	return dialer.closed == connected && accepter.closed == accepted;
}

static void teardown(void)
{
	platform_run(all_closed, NULL);
	io_listener_close(listener);
	free(data);
	free(dialer.data);
	free(accepter.data);
	platform_done();
}

static void close_both(void)
{
	if (dialer.closed == 0)
		io_socket_close(dialer.socket);
	platform_run(all_closed, NULL);
}

START_TEST(bytes_come_whole_and_in_order_both_ways)
{
	connect_pair();
	sends[0] = (struct send){.op.done = send_done};
	size_t at = 0;
	for (size_t i = 0; i < PIECES; i++) {
		size_t bytes = i % 4 == 0 ? 0 : DATA_BYTES / PIECES;
		bytes = i == PIECES - 1 ? DATA_BYTES - at - 1000 : bytes;
		sends[0].iov[i] = (struct iovec){.iov_base = data + at, .iov_len = bytes};
		at += bytes;
	}
	io_send(dialer.socket, &sends[0].op, sends[0].iov, PIECES);
	sends[1] = (struct send){.op.done = send_done};
	io_send(dialer.socket, &sends[1].op, sends[1].iov, 0);
	send_bytes(&dialer, &sends[2], data + at, 1000);
	ck_assert_uint_eq(sends[0].done + sends[1].done + sends[2].done, 0);
	send_bytes(&accepter, &sends[3], data, DATA_BYTES);
	platform_run(has_bytes, &accepter);
	platform_run(has_bytes, &dialer);
	ck_assert_int_eq(memcmp(accepter.data, data, DATA_BYTES), 0);
	ck_assert_int_eq(memcmp(dialer.data, data, DATA_BYTES), 0);
	for (int i = 0; i < 4; i++) {
		until(&sends[i].done, 1);
		ck_assert_int_eq((int)sends[i].op.result, 0);
	}
	close_both();
	ck_assert_int_eq(dialer.result, 0);
	ck_assert_int_eq(accepter.result, 0);
	ck_assert_uint_gt(accepter.received_calls, 1);
}
END_TEST

START_TEST(what_was_sent_before_a_close_arrives)
{
	connect_pair();
	send_bytes(&dialer, &sends[0], data, 5000);
	until(&sends[0].done, 1);
	io_socket_close(dialer.socket);
	until(&accepter.closed, 1);
	ck_assert_uint_eq(accepter.bytes, 5000);
	ck_assert_int_eq(memcmp(accepter.data, data, 5000), 0);
}
END_TEST

START_TEST(an_end_is_told_and_can_be_answered)
{
	accepter_events = &events_ended;
	accepter.echo_end = true;
	connect_pair();
	io_socket_close(dialer.socket);
	until(&accepter.ended, 1);
	ck_assert_uint_eq(accepter.closed, 0);
	io_socket_close(accepter.socket);
	until(&sends[3].done, 1);
	until(&accepter.closed, 1);
	ck_assert_uint_eq(accepter.ended, 1);
}
END_TEST

START_TEST(closing_cancels_sends_and_tells_each_once)
{
	accepter.pause_at = 1;
	connect_pair();
	uint8_t *much = calloc(1, 32 << 20);
	send_bytes(&dialer, &sends[0], much, 32 << 20);
	send_bytes(&dialer, &sends[1], much, 1000);
	until(&accepter.received_calls, 1);
	io_socket_close(dialer.socket);
	io_socket_close(dialer.socket);
	send_bytes(&dialer, &sends[2], much, 1);
	ck_assert_uint_eq(dialer.closed, 0);
	until(&dialer.closed, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(sends[i].done, 1);
		ck_assert_int_eq((int)sends[i].op.result, ERR_CANCELED);
	}
	ck_assert_int_eq(dialer.result, 0);
	io_socket_close(accepter.socket);
	until(&accepter.closed, 1);
	free(much);
}
END_TEST

START_TEST(a_close_with_unread_bytes_is_a_reset_for_the_peer)
{
	accepter.pause_at = 1;
	connect_pair();
	uint8_t *much = calloc(1, 32 << 20);
	send_bytes(&dialer, &sends[0], much, 32 << 20);
	until(&accepter.received_calls, 1);
	io_socket_close(accepter.socket);
	until(&dialer.closed, 1);
	ck_assert_int_eq(dialer.result, ERR_CLOSED);
	ck_assert_int_eq((int)sends[0].op.result, ERR_CLOSED);
	until(&accepter.closed, 1);
	ck_assert_int_eq(accepter.result, 0);
	free(much);
}
END_TEST

START_TEST(a_paused_socket_loses_nothing)
{
	accepter.pause_at = 1000;
	connect_pair();
	send_bytes(&dialer, &sends[0], data, DATA_BYTES);
	until(&accepter.received_calls, 1);
	for (int i = 0; i < 30 || accepter.bytes < 1000; i++)
		platform_turn();
	size_t bytes = accepter.bytes;
	for (int i = 0; i < 30; i++)
		platform_turn();
	ck_assert_uint_eq(accepter.bytes, bytes);
	accepter.pause_at = 0;
	io_socket_pause(accepter.socket, false);
	platform_run(has_bytes, &accepter);
	ck_assert_int_eq(memcmp(accepter.data, data, DATA_BYTES), 0);
	until(&sends[0].done, 1);
	close_both();
}
END_TEST

START_TEST(a_socket_may_be_closed_in_received)
{
	accepter.close_at = 1;
	connect_pair();
	send_bytes(&dialer, &sends[0], data, 100);
	until(&accepter.closed, 1);
	ck_assert_int_eq(accepter.result, 0);
	close_both();
}
END_TEST

/* ---- From one io to another ---- */

static struct io_socket *travels;
static unsigned detaches;

static void on_detached(struct io_socket *socket, void *owner)
{
	ck_assert_ptr_eq(owner, &accepter);
	ck_assert_ptr_eq(socket, accepter.socket);
	travels = socket;
	detaches++;
}

static void detach_at_first(
    struct io_socket *socket, void *owner, const uint8_t *bytes, size_t count)
{
	received(socket, owner, bytes, count);
	io_socket_detach(socket, on_detached);
}

static const struct io_socket_events events_detach = {
    .received = detach_at_first, .closed = closed};

/* The begin of what is sent is heard here, the rest there. */
START_TEST(a_detached_socket_goes_on_elsewhere_and_loses_nothing)
{
	accepter_events = &events_detach;
	detaches = 0;
	connect_pair();
	send_bytes(&dialer, &sends[0], data, DATA_BYTES);
	until(&detaches, 1);
	size_t here = accepter.bytes;
	ck_assert_uint_gt(here, 0);
	for (int i = 0; i < 30; i++)
		platform_turn();
	ck_assert_uint_eq(accepter.bytes, here);
	ck_assert_uint_eq(accepter.closed, 0);
	io_socket_adopt(platform_second_io(), travels);
	io_socket_start(travels, &events, &accepter);
	platform_run(has_bytes, &accepter);
	ck_assert_int_eq(memcmp(accepter.data, data, DATA_BYTES), 0);
	send_bytes(&accepter, &sends[1], data, DATA_BYTES);
	platform_run(has_bytes, &dialer);
	ck_assert_int_eq(memcmp(dialer.data, data, DATA_BYTES), 0);
	until(&sends[0].done, 1);
	until(&sends[1].done, 1);
	close_both();
	ck_assert_uint_eq(detaches, 1);
}
END_TEST

START_TEST(a_connection_that_ends_between_two_ios_is_told_by_the_second)
{
	accepter_events = &events_detach;
	detaches = 0;
	connect_pair();
	send_bytes(&dialer, &sends[0], data, 100);
	until(&detaches, 1);
	io_socket_close(dialer.socket);
	until(&dialer.closed, 1);
	for (int i = 0; i < 30; i++)
		platform_turn();
	ck_assert_uint_eq(accepter.closed, 0);
	io_socket_adopt(platform_second_io(), travels);
	io_socket_start(travels, &events, &accepter);
	until(&accepter.closed, 1);
	ck_assert_uint_eq(accepter.bytes, 100);
}
END_TEST

/* A reset, where bytes of it were still unread. */
static bool dialer_has_noticed(void *arg)
{
	(void)arg;
	return dialer.ended + dialer.closed > 0;
}

START_TEST(a_detached_socket_that_is_discarded_closes)
{
	accepter_events = &events_detach;
	detaches = 0;
	connect_pair();
	send_bytes(&dialer, &sends[0], data, 100);
	until(&detaches, 1);
	io_socket_discard(travels);
	accepted = 0;
	platform_run(dialer_has_noticed, NULL);
	close_both();
}
END_TEST

START_TEST(a_close_comes_before_a_detach)
{
	detaches = 0;
	connect_pair();
	io_socket_detach(accepter.socket, on_detached);
	io_socket_close(accepter.socket);
	until(&accepter.closed, 1);
	ck_assert_uint_eq(detaches, 0);
	close_both();
	ck_assert_uint_eq(detaches, 0);
}
END_TEST

START_TEST(where_nobody_listens_connecting_is_refused)
{
	uint16_t port = io_listener_port(listener);
	io_listener_close(listener);
	listener = NULL;
	dial(port);
	until(&connected, 1);
	ck_assert_int_eq(connecting.result, ERR_REFUSED);
	ck_assert_ptr_null(dialer.socket);
	connected = 0;
}
END_TEST

START_TEST(connecting_can_be_given_up)
{
	struct sockaddr_in address = local(9);
	/* An address of the documentation's, which nobody answers for. */
	address.sin_addr.s_addr = htonl(0xc0000201);
	connecting = (struct io_op){.done = on_connected};
	io_connect_cancel(io, &connecting);
	io_connect(io, &connecting, (struct sockaddr *)&address, sizeof(address), &dialer.socket);
	io_connect_cancel(io, &connecting);
	ck_assert_uint_eq(connected, 0);
	until(&connected, 1);
	ck_assert_int_lt(connecting.result, 0);
	ck_assert_ptr_null(dialer.socket);
	io_connect_cancel(io, &connecting);
	connected = 0;
	/* The operation serves again. */
	connect_pair();
	close_both();
}
END_TEST

START_TEST(peers_have_names)
{
	char text[64];
	char expected[64];
	connect_pair();
	io_socket_peer(dialer.socket, text, sizeof(text));
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", io_listener_port(listener));
	ck_assert_str_eq(text, expected);
	io_socket_peer(accepter.socket, text, sizeof(text));
	ck_assert_int_eq(strncmp(text, "127.0.0.1:", 10), 0);
	io_socket_set_patience(dialer.socket, 5000);
	io_socket_set_ahead(dialer.socket, 65536);
	close_both();
}
END_TEST

START_TEST(every_failing_allocation_is_survived)
{
	struct sockaddr_in address = local(0);
	struct io_listener *other = NULL;
	mem_fail_at(1);
	ck_assert_int_eq(io_listen(io, (struct sockaddr *)&address, sizeof(address), on_accepted,
	                     &accepter, &other),
	    ERR_NOMEM);
	ck_assert_ptr_null(other);
	mem_fail_at(1);
	dial(io_listener_port(listener));
	until(&connected, 1);
	ck_assert_int_eq(connecting.result, ERR_NOMEM);
	connected = 0;
	mem_fail_at(2);
	dial(io_listener_port(listener));
	until(&connected, 1);
	ck_assert_int_eq(connecting.result, 0);
	io_socket_start(dialer.socket, &events, &dialer);
	until(&dialer.closed, 1);
	ck_assert(mem_failed());
	mem_fail_at(0);
	ck_assert_uint_eq(accepted, 0);
}
END_TEST

Suite *pair_suite(void)
{
	Suite *suite = suite_create("pair");
	TCase *tcase = tcase_create("pair");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, bytes_come_whole_and_in_order_both_ways);
	tcase_add_test(tcase, what_was_sent_before_a_close_arrives);
	tcase_add_test(tcase, an_end_is_told_and_can_be_answered);
	tcase_add_test(tcase, closing_cancels_sends_and_tells_each_once);
	tcase_add_test(tcase, a_close_with_unread_bytes_is_a_reset_for_the_peer);
	tcase_add_test(tcase, a_paused_socket_loses_nothing);
	tcase_add_test(tcase, a_socket_may_be_closed_in_received);
	tcase_add_test(tcase, a_detached_socket_goes_on_elsewhere_and_loses_nothing);
	tcase_add_test(tcase, a_connection_that_ends_between_two_ios_is_told_by_the_second);
	tcase_add_test(tcase, a_detached_socket_that_is_discarded_closes);
	tcase_add_test(tcase, a_close_comes_before_a_detach);
	tcase_add_test(tcase, where_nobody_listens_connecting_is_refused);
	tcase_add_test(tcase, connecting_can_be_given_up);
	tcase_add_test(tcase, peers_have_names);
	tcase_add_test(tcase, every_failing_allocation_is_survived);
	suite_add_tcase(suite, tcase);
	return suite;
}
