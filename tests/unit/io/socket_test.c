/* Connections of io.h, against plain sockets of the same machine. */
#include "tests/unit/io/client.h"
#include "tests/unit/io/echo.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 64 };

/* ---- Echo ---- */

enum { PIPELINE_BYTES = 1 << 20 };

static void *send_pipeline(void *arg)
{
	int fd = *(int *)arg;
	uint8_t *data = malloc(PIPELINE_BYTES);
	pattern_fill(data, PIPELINE_BYTES, 0);
	for (size_t sent = 0; sent < PIPELINE_BYTES;) {
		size_t bytes = sent % 7919 + 1;
		if (bytes > PIPELINE_BYTES - sent)
			bytes = PIPELINE_BYTES - sent;
		client_send(fd, data + sent, bytes);
		sent += bytes;
	}
	shutdown(fd, SHUT_WR);
	free(data);
	return NULL;
}

static size_t matched;

static void *receive_pipeline(void *arg)
{
	uint8_t *data = malloc(PIPELINE_BYTES + 1);
	size_t bytes = client_receive(*(int *)arg, data, PIPELINE_BYTES + 1);
	matched = pattern_match(data, bytes, 0);
	free(data);
	return NULL;
}

static void run_pipeline(void)
{
	pthread_t sender;
	pthread_t receiver;
	int fd = client_connect(echo_port());
	ck_assert_int_eq(pthread_create(&sender, NULL, send_pipeline, &fd), 0);
	ck_assert_int_eq(pthread_create(&receiver, NULL, receive_pipeline, &fd), 0);
	run_until(&echo.closed, 1);
	pthread_join(sender, NULL);
	pthread_join(receiver, NULL);
	close(fd);
	ck_assert_uint_eq(matched, PIPELINE_BYTES);
	ck_assert_uint_eq(echo.received_bytes, PIPELINE_BYTES);
	ck_assert_uint_eq(echo.sends_failed, 0);
	ck_assert_int_eq(echo.last_result, 0);
}

START_TEST(a_pipeline_comes_back_whole_and_in_order)
{
	run_pipeline();
}
END_TEST

static void ended(struct io_socket *socket, void *owner)
{
	ck_assert_ptr_eq(owner, &echo);
	echo.ended++;
	echo_send(socket, (const uint8_t *)"bye", 3);
}

static bool goodbye_is_said(void *arg)
{
	(void)arg;
	return echo.ended == 1 && echo.sends_under_way == 0;
}

START_TEST(a_half_closed_connection_can_still_be_answered)
{
	char text[16] = "";
	echo.events.ended = ended;
	int fd = client_connect(echo_port());
	client_send(fd, "hello ", 6);
	shutdown(fd, SHUT_WR);
	platform_run(goodbye_is_said, NULL);
	for (int i = 0; i < 3; i++)
		platform_turn();
	ck_assert_uint_eq(echo.ended, 1);
	ck_assert_uint_eq(echo.closed, 0);
	io_socket_close(echo.last);
	io_socket_close(echo.last);
	run_until(&echo.closed, 1);
	ck_assert_uint_eq(client_receive(fd, text, sizeof(text)), 9);
	ck_assert_str_eq(text, "hello bye");
	close(fd);
}
END_TEST

START_TEST(few_small_buffers_serve_many_connections)
{
	struct io_options options = {.receive_buffers = 2, .receive_buffer_bytes = 64};
	struct sockaddr_in address = loopback(0);
	char why[256];
	uint8_t data[1000];
	int fds[CONNECTIONS_MAX];
	io_listener_close(echo.listener);
	ck_assert_int_eq(io_new(&options, why, sizeof(why), &echo.io), 0);
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&address, sizeof(address),
	                     echo_accepted, &echo, &echo.listener),
	    0);
	pattern_fill(data, sizeof(data), 0);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		fds[i] = client_connect(echo_port());
		client_send(fds[i], data, sizeof(data));
		shutdown(fds[i], SHUT_WR);
	}
	while (echo.closed < CONNECTIONS_MAX) {
		io_poll(echo.io, UINT64_MAX);
		io_run(echo.io);
	}
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		uint8_t found[sizeof(data) + 1];
		ck_assert_uint_eq(client_receive(fds[i], found, sizeof(found)), sizeof(data));
		ck_assert_uint_eq(pattern_match(found, sizeof(data), 0), sizeof(data));
		close(fds[i]);
	}
	ck_assert_uint_eq(echo.sends_failed, 0);
	io_listener_close(echo.listener);
	echo.listener = NULL;
	io_free(echo.io);
}
END_TEST

/* ---- Ends ---- */

START_TEST(a_reset_is_told_as_such)
{
	int fd = client_connect(echo_port());
	client_send(fd, "x", 1);
	run_until(&echo.accepted, 1);
	client_reset(fd);
	run_until(&echo.closed, 1);
	ck_assert_int_eq(echo.last_result, ERR_CLOSED);
}
END_TEST

START_TEST(a_socket_may_be_closed_inside_received)
{
	char text[16];
	echo.close_in = 2;
	int fd = client_connect(echo_port());
	client_send(fd, "one", 3);
	run_until(&echo.accepted, 1);
	while (echo.received_calls < 1)
		platform_turn();
	client_send(fd, "two", 3);
	run_until(&echo.closed, 1);
	ck_assert_int_eq(echo.last_result, 0);
	ck_assert_uint_eq(echo.received_bytes, 6);
	ck_assert_uint_ge(client_receive(fd, text, 3), 3);
	close(fd);
}
END_TEST

START_TEST(closing_cancels_what_is_being_sent)
{
	enum {
		SENDS = 8,
		SEND_BYTES = 8 << 20,
	};
	uint8_t *data = calloc(1, SEND_BYTES);
	echo.mute = true;
	int fd = client_connect(echo_port());
	run_until(&echo.accepted, 1);
	for (int i = 0; i < SENDS; i++)
		echo_send(echo.last, data, SEND_BYTES);
	for (int i = 0; i < 20; i++)
		platform_turn();
	/* The peer reads nothing: more is under way than fits into any window. */
	ck_assert_uint_ge(echo.sends_under_way, 2);
	io_socket_close(echo.last);
	/* One more, too late, is told like the others. */
	echo_send(echo.last, data, 1);
	run_until(&echo.closed, 1);
	ck_assert_uint_eq(echo.sends_under_way, 0);
	ck_assert_uint_ge(echo.sends_failed, 3);
	ck_assert_int_eq(echo.last_result, 0);
	close(fd);
	free(data);
}
END_TEST

START_TEST(a_peer_that_goes_away_fails_what_is_being_sent)
{
	enum { SEND_BYTES = 16 << 20 };
	uint8_t *data = calloc(1, SEND_BYTES);
	echo.mute = true;
	int fd = client_connect(echo_port());
	run_until(&echo.accepted, 1);
	echo_send(echo.last, data, SEND_BYTES);
	echo_send(echo.last, data, SEND_BYTES);
	for (int i = 0; i < 5; i++)
		platform_turn();
	client_reset(fd);
	run_until(&echo.closed, 1);
	ck_assert_int_eq(echo.last_result, ERR_CLOSED);
	ck_assert_uint_eq(echo.sends_failed, 2);
	free(data);
}
END_TEST

START_TEST(a_paused_socket_receives_nothing_and_loses_nothing)
{
	enum { BYTES = 300 * 1000 };
	uint8_t *data = malloc(BYTES);
	uint8_t *found = malloc(BYTES);
	pattern_fill(data, BYTES, 0);
	echo.pause_after = 1;
	int fd = client_connect(echo_port());
	client_send(fd, data, 1000);
	while (echo.received_calls < 1)
		platform_turn();
	client_send(fd, data + 1000, BYTES - 1000);
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 50; i++)
		platform_turn();
	ck_assert_int_eq(echo.received_calls, 1);
	ck_assert_uint_eq(echo.closed, 0);
	/* On and off again within one turn changes nothing. */
	io_socket_pause(echo.last, false);
	io_socket_pause(echo.last, true);
	for (int i = 0; i < 50; i++)
		platform_turn();
	ck_assert_int_eq(echo.received_calls, 1);
	io_socket_pause(echo.last, false);
	run_until(&echo.closed, 1);
	ck_assert_uint_eq(echo.received_bytes, BYTES);
	ck_assert_uint_eq(client_receive(fd, found, BYTES), BYTES);
	ck_assert_uint_eq(pattern_match(found, BYTES, 0), BYTES);
	close(fd);
	free(data);
	free(found);
}
END_TEST

START_TEST(a_paused_socket_lets_the_window_close)
{
	enum { CHUNK = 64 * 1024, CHUNKS_MAX = 2048 };
	static uint8_t chunk[CHUNK];
	unsigned refused = 0;
	size_t chunks = 0;
	echo.mute = true;
	echo.pause_after = 1;
	int fd = client_connect(echo_port());
	client_send(fd, "x", 1);
	while (echo.received_calls < 1)
		platform_turn();
	/* 128 MiB are more than all buffers of the kernel hold for one connection. */
	while (refused < 100 && chunks < CHUNKS_MAX) {
		if (send(fd, chunk, CHUNK, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
			chunks++;
		else
			refused++;
		platform_turn();
	}
	ck_assert_uint_eq(refused, 100);
	ck_assert_uint_lt(chunks, CHUNKS_MAX);
	client_reset(fd);
	io_socket_close(echo.last);
	run_until(&echo.closed, 1);
}
END_TEST

START_TEST(pausing_again_and_again_keeps_every_byte)
{
	echo.pause_after = 1;
	pthread_t sender;
	pthread_t receiver;
	int fd = client_connect(echo_port());
	ck_assert_int_eq(pthread_create(&sender, NULL, send_pipeline, &fd), 0);
	ck_assert_int_eq(pthread_create(&receiver, NULL, receive_pipeline, &fd), 0);
	while (echo.closed == 0) {
		/* Paused at every third call, resumed some turns later. */
		if (echo.received_calls >= echo.pause_after) {
			echo.pause_after = echo.received_calls + 3;
			io_socket_pause(echo.last, false);
		}
		platform_turn();
	}
	pthread_join(sender, NULL);
	pthread_join(receiver, NULL);
	close(fd);
	ck_assert_uint_eq(matched, PIPELINE_BYTES);
}
END_TEST

/* ---- Many ---- */

enum { SHORT_CONNECTIONS = 3000 };

static unsigned echoed;

static void *connect_often(void *arg)
{
	uint16_t to = *(uint16_t *)arg;
	for (unsigned i = 0; i < SHORT_CONNECTIONS; i++) {
		char text[4] = "";
		int fd = client_connect(to);
		if (i % 3 != 0) {
			client_send(fd, "ping", 4);
			echoed += client_receive(fd, text, 4) == 4 && memcmp(text, "ping", 4) == 0;
		}
		if (i % 5 == 0)
			client_reset(fd);
		else
			close(fd);
	}
	return NULL;
}

START_TEST(thousands_of_short_connections_leave_nothing)
{
	pthread_t thread;
	uint16_t to = echo_port();
	echoed = 0;
	ck_assert_int_eq(pthread_create(&thread, NULL, connect_often, &to), 0);
	run_until(&echo.closed, SHORT_CONNECTIONS);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(echo.accepted, SHORT_CONNECTIONS);
	ck_assert_uint_eq(echoed, SHORT_CONNECTIONS - SHORT_CONNECTIONS / 3);
	ck_assert_uint_eq(echo.sends_under_way, 0);
}
END_TEST

/* ---- Sending ---- */

struct gathered {
	struct io_op op;
	struct iovec iov[1024];
	unsigned done;
};

static void gathered_done(struct io_op *op)
{
	((struct gathered *)op)->done++;
	ck_assert_int_eq(op->result, 0);
}

START_TEST(gathered_pieces_and_empty_ones_keep_their_order)
{
	enum {
		PIECES = 1024,
		BYTES = PIECES * 1000,
	};
	static struct gathered first;
	static struct gathered nothing;
	static struct gathered second;
	uint8_t *data = malloc(BYTES);
	uint8_t *found = malloc(BYTES);
	pattern_fill(data, BYTES, 0);
	first = (struct gathered){.op.done = gathered_done};
	nothing = (struct gathered){.op.done = gathered_done};
	second = (struct gathered){.op.done = gathered_done};
	size_t at = 0;
	for (size_t i = 0; i < PIECES; i++) {
		size_t bytes = i % 4 == 0 ? 0 : i % 1000;
		first.iov[i] = (struct iovec){.iov_base = data + at, .iov_len = bytes};
		at += bytes;
	}
	second.iov[0] = (struct iovec){.iov_base = data + at, .iov_len = 5000};
	at += 5000;
	int fd = client_connect(echo_port());
	run_until(&echo.accepted, 1);
	io_send(echo.last, &first.op, first.iov, PIECES);
	io_send(echo.last, &nothing.op, nothing.iov, 0);
	io_send(echo.last, &second.op, second.iov, 1);
	ck_assert_uint_eq(nothing.done, 0);
	ck_assert_uint_eq(client_receive(fd, found, 0), 0);
	for (size_t got = 0; got < at;) {
		platform_turn();
		ssize_t count = recv(fd, found + got, at - got, MSG_DONTWAIT);
		got += count > 0 ? (size_t)count : 0;
	}
	ck_assert_uint_eq(pattern_match(found, at, 0), at);
	run_until(&second.done, 1);
	ck_assert_uint_eq(first.done, 1);
	ck_assert_uint_eq(nothing.done, 1);
	close(fd);
	run_until(&echo.closed, 1);
	free(data);
	free(found);
}
END_TEST

Suite *socket_suite(void)
{
	Suite *suite = suite_create("socket");
	TCase *tcase = tcase_create("sockets");
	tcase_add_checked_fixture(tcase, echo_setup, echo_teardown);
	tcase_add_test(tcase, a_pipeline_comes_back_whole_and_in_order);
	tcase_add_test(tcase, a_half_closed_connection_can_still_be_answered);
	tcase_add_test(tcase, few_small_buffers_serve_many_connections);
	tcase_add_test(tcase, a_reset_is_told_as_such);
	tcase_add_test(tcase, a_socket_may_be_closed_inside_received);
	tcase_add_test(tcase, closing_cancels_what_is_being_sent);
	tcase_add_test(tcase, a_peer_that_goes_away_fails_what_is_being_sent);
	tcase_add_test(tcase, a_paused_socket_receives_nothing_and_loses_nothing);
	tcase_add_test(tcase, a_paused_socket_lets_the_window_close);
	tcase_add_test(tcase, pausing_again_and_again_keeps_every_byte);
	tcase_add_test(tcase, thousands_of_short_connections_leave_nothing);
	tcase_add_test(tcase, gathered_pieces_and_empty_ones_keep_their_order);
	suite_add_tcase(suite, tcase);
	return suite;
}
