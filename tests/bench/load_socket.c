#include "tests/bench/load_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"

enum { OUT_BYTES_MAX = 64 << 20 };

void load_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(2);
}

static struct sockaddr_in address_of(unsigned long port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int load_connect(unsigned long port)
{
	struct sockaddr_in address = address_of(port);
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		load_die("connect");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		load_die("TCP_NODELAY");
	return fd;
}

struct io *load_io_new(void)
{
	/* Answers are small, and all connections may be answered in one turn. */
	static const struct io_options options = {.receive_buffers = 1024};
	char why[256];
	struct io *io;
	if (io_new(&options, why, sizeof(why), &io)) {
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, why);
		exit(2);
	}
	return io;
}

static void fail(const char *what, int error)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, error_text(error));
	exit(2);
}

static void end_connect(struct io_op *op)
{
	struct load_socket *socket = CONTAINER_OF(op, struct load_socket, op);
	if (op->result)
		fail("connect", (int)op->result);
	socket->is_busy = false;
}

static void end_send(struct io_op *op)
{
	struct load_socket *socket = CONTAINER_OF(op, struct load_socket, op);
	if (op->result)
		fail("send", (int)op->result);
	socket->is_busy = false;
	buffer_consume(&socket->sending, buffer_bytes(&socket->sending));
	load_socket_flush(socket);
}

static void pass_received(struct io_socket *of, void *owner, const uint8_t *data, size_t bytes)
{
	struct load_socket *socket = owner;
	(void)of;
	socket->received(socket->owner, data, bytes);
}

static void meet_end(struct io_socket *of, void *owner, int result)
{
	(void)of;
	(void)owner;
	fail("the server closed the connection", result ? result : ERR_CLOSED);
}

void load_socket_open(struct load_socket *socket, struct io *io, unsigned long port,
    void (*received)(void *owner, const uint8_t *data, size_t bytes), void *owner)
{
	static const struct io_socket_events events = {
	    .received = pass_received, .closed = meet_end};
	struct sockaddr_in address = address_of(port);
	*socket = (struct load_socket){.received = received, .owner = owner, .is_busy = true};
	buffer_init(&socket->out, OUT_BYTES_MAX);
	buffer_init(&socket->sending, OUT_BYTES_MAX);
	socket->op.done = end_connect;
	io_connect(
	    io, &socket->op, (const struct sockaddr *)&address, sizeof(address), &socket->socket);
	while (socket->is_busy) {
		io_poll(io, NS_PER_S);
		io_run(io);
	}
	socket->op.done = end_send;
	io_socket_start(socket->socket, &events, socket);
}

void load_socket_flush(struct load_socket *socket)
{
	if (socket->is_busy || buffer_bytes(&socket->out) == 0)
		return;
	struct buffer empty = socket->sending;
	socket->sending = socket->out;
	socket->out = empty;
	struct slice out = buffer_view(&socket->sending);
	socket->piece =
	    (struct iovec){.iov_base = (void *)(uintptr_t)out.data, .iov_len = out.bytes};
	socket->is_busy = true;
	io_send(socket->socket, &socket->op, &socket->piece, 1);
}

uint64_t load_wait(uint64_t now_ns, uint64_t until_ns)
{
	return until_ns > now_ns ? until_ns - now_ns : 0;
}
