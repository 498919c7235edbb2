/* How connections of io.h come about. */
#include "tests/unit/io/client.h"
#include "tests/unit/io/echo.h"
#include "tests/unit/io/platform.h"
#include "tests/unit/io/suites.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/io/socket.h"
#include "base/mem.h"

START_TEST(a_port_in_use_is_refused_and_one_of_ours_is_shared)
{
	struct sockaddr_in address = loopback(0);
	struct sockaddr_in shared = loopback(echo_port());
	struct io_listener *listener = NULL;
	socklen_t bytes = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, bytes), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&address, sizeof(address),
	                     echo_accepted, &echo, &listener),
	    ERR_ADDRESS_IN_USE);
	ck_assert_ptr_null(listener);
	close(fd);
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&shared, sizeof(shared),
	                     echo_accepted, &echo, &listener),
	    0);
	ck_assert_uint_eq(io_listener_port(listener), echo_port());
	io_listener_close(listener);
	struct sockaddr unknown = {.sa_family = AF_UNIX};
	ck_assert_int_eq(
	    io_listen(echo.io, &unknown, sizeof(unknown), echo_accepted, &echo, &listener),
	    ERR_INVALID);
}
END_TEST

struct connecting {
	struct io_op op;
	struct io_socket *socket;
	unsigned done;
};

static void connect_done(struct io_op *op)
{
	((struct connecting *)op)->done++;
}

static void connect_to(struct connecting *connecting, uint16_t to)
{
	struct sockaddr_in address = loopback(to);
	*connecting = (struct connecting){.op.done = connect_done};
	io_connect(echo.io, &connecting->op, (struct sockaddr *)&address, sizeof(address),
	    &connecting->socket);
	/* It was copied. */
	memset(&address, 0, sizeof(address));
	ck_assert_uint_eq(connecting->done, 0);
	run_until(&connecting->done, 1);
}

static int is_nodelay(const struct io_socket *socket)
{
	int on = 0;
	socklen_t bytes = sizeof(on);
	ck_assert_int_eq(getsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
	return on != 0;
}

START_TEST(both_ends_can_be_ours)
{
	struct connecting connecting;
	char text[64];
	char expected[64];
	connect_to(&connecting, echo_port());
	ck_assert_int_eq(connecting.op.result, 0);
	run_until(&echo.accepted, 1);
	ck_assert(is_nodelay(echo.last));
	ck_assert(is_nodelay(connecting.socket));
	io_socket_peer(connecting.socket, text, sizeof(text));
	snprintf(expected, sizeof(expected), "127.0.0.1:%u", echo_port());
	ck_assert_str_eq(text, expected);
	/* One that was never started is just closed. */
	io_socket_close(connecting.socket);
	run_until(&echo.closed, 1);
	ck_assert_int_eq(echo.last_result, 0);
}
END_TEST

START_TEST(a_closed_listener_refuses)
{
	struct connecting connecting;
	uint16_t to = echo_port();
	io_listener_close(echo.listener);
	echo.listener = NULL;
	connect_to(&connecting, to);
	ck_assert_int_eq(connecting.op.result, ERR_REFUSED);
	ck_assert_ptr_null(connecting.socket);
	ck_assert_uint_eq(echo.accepted, 0);
}
END_TEST

static void close_all(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	struct echo *server = owner;
	server->accepted++;
	io_socket_close(socket);
	io_listener_close(listener);
	server->listener = NULL;
}

START_TEST(listener_and_socket_may_be_closed_inside_accepted)
{
	struct sockaddr_in address = loopback(0);
	char text[4];
	io_listener_close(echo.listener);
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&address, sizeof(address), close_all,
	                     &echo, &echo.listener),
	    0);
	int fd = client_connect(echo_port());
	run_until(&echo.accepted, 1);
	while (client_receive(fd, text, sizeof(text)) > 0)
		platform_turn();
	close(fd);
	ck_assert_uint_eq(echo.accepted, 1);
}
END_TEST

START_TEST(without_descriptors_accepting_waits_and_goes_on)
{
	struct rlimit limit;
	struct rlimit none;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	int fd = client_connect(echo_port());
	none = limit;
	none.rlim_cur = (rlim_t)fd + 16;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	/* Every number below the limit is taken. */
	while (dup(STDERR_FILENO) >= 0)
		continue;
	for (int i = 0; i < 20; i++)
		platform_turn();
	ck_assert_uint_eq(echo.accepted, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	run_until(&echo.accepted, 1);
	client_reset(fd);
	run_until(&echo.closed, 1);
}
END_TEST

START_TEST(every_failing_allocation_of_a_connection_is_survived)
{
	struct sockaddr_in address = loopback(0);
	struct io_listener *listener = NULL;
	struct connecting connecting;
	mem_fail_at(1);
	ck_assert_int_eq(io_listen(echo.io, (struct sockaddr *)&address, sizeof(address),
	                     echo_accepted, &echo, &listener),
	    ERR_NOMEM);
	ck_assert_ptr_null(listener);
	mem_fail_at(1);
	connect_to(&connecting, echo_port());
	ck_assert(mem_failed());
	ck_assert_int_eq(connecting.op.result, ERR_NOMEM);
	/* The one that connects gets its memory, the one that accepts does not. */
	mem_fail_at(2);
	connect_to(&connecting, echo_port());
	ck_assert_int_eq(connecting.op.result, 0);
	while (!mem_failed())
		platform_turn();
	mem_fail_at(0);
	ck_assert_uint_eq(echo.accepted, 0);
	io_socket_close(connecting.socket);
	connect_to(&connecting, echo_port());
	run_until(&echo.accepted, 1);
	io_socket_close(connecting.socket);
	run_until(&echo.closed, 1);
}
END_TEST

Suite *listen_suite(void)
{
	Suite *suite = suite_create("listen");
	TCase *tcase = tcase_create("listen");
	tcase_add_checked_fixture(tcase, echo_setup, echo_teardown);
	tcase_add_test(tcase, a_port_in_use_is_refused_and_one_of_ours_is_shared);
	tcase_add_test(tcase, both_ends_can_be_ours);
	tcase_add_test(tcase, a_closed_listener_refuses);
	tcase_add_test(tcase, listener_and_socket_may_be_closed_inside_accepted);
	tcase_add_test(tcase, without_descriptors_accepting_waits_and_goes_on);
	tcase_add_test(tcase, every_failing_allocation_of_a_connection_is_survived);
	suite_add_tcase(suite, tcase);
	return suite;
}
