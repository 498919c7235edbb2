#include "tests/unit/io/echo.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/io/client.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/run.h"

struct echo echo;

struct reply {
	struct io_op op;
	struct iovec iov;
	uint8_t data[];
};

static void reply_done(struct io_op *op)
{
	struct reply *reply = (struct reply *)op;
	echo.sends_under_way--;
	if (op->result != 0)
		echo.sends_failed++;
	mem_free(reply);
}

void echo_send(struct io_socket *socket, const uint8_t *data, size_t bytes)
{
	struct reply *reply = mem_zalloc(1, sizeof(*reply) + bytes);
	ck_assert_ptr_nonnull(reply);
	memcpy(reply->data, data, bytes);
	reply->op.done = reply_done;
	reply->iov = (struct iovec){.iov_base = reply->data, .iov_len = bytes};
	echo.sends_under_way++;
	io_send(socket, &reply->op, &reply->iov, 1);
}

static void received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	ck_assert_ptr_eq(owner, &echo);
	ck_assert_uint_gt(bytes, 0);
	echo.received_bytes += bytes;
	echo.received_calls++;
	if (!echo.mute)
		echo_send(socket, data, bytes);
	if (echo.received_calls == echo.pause_after)
		io_socket_pause(socket, true);
	if (echo.received_calls == echo.close_in)
		io_socket_close(socket);
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	ck_assert_ptr_eq(owner, &echo);
	ck_assert_ptr_nonnull(socket);
	/* It was the only connection: all sends were its. */
	if (echo.accepted == 1)
		ck_assert_uint_eq(echo.sends_under_way, 0);
	echo.closed++;
	echo.last_result = result;
}

void echo_accepted(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	ck_assert_ptr_eq(owner, &echo);
	ck_assert_ptr_eq(listener, echo.listener);
	echo.accepted++;
	echo.last = socket;
	io_socket_start(socket, &echo.events, &echo);
}

void echo_setup(void)
{
	struct sockaddr_in address = loopback(0);
	platform_setup();
	echo =
	    (struct echo){.io = platform_io(), .events = {.received = received, .closed = closed}};
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&address, sizeof(address),
	                     echo_accepted, &echo, &echo.listener),
	    0);
	ck_assert_uint_ne(io_listener_port(echo.listener), 0);
}

void echo_teardown(void)
{
	io_listener_close(echo.listener);
	platform_done();
}

uint16_t echo_port(void)
{
	return io_listener_port(echo.listener);
}

static bool count_reached(void *arg)
{
	const unsigned *const *pair = arg;
	return *pair[0] >= *pair[1];
}

/* Turns until the counter has this value; no more follow at once. */
void run_until(const unsigned *counter, unsigned value)
{
	const unsigned *pair[] = {counter, &value};
	platform_run(count_reached, pair);
	for (int i = 0; i < 3; i++)
		platform_turn();
	ck_assert_uint_eq(*counter, value);
}
