/* How connections come about: one multishot accept per listener, and connecting. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/socket.h"
#include "base/mem.h"

enum { BACKLOG = 4096 };

static const uint64_t ACCEPT_PAUSE_NS = 100 * NS_PER_MS;

struct io_listener {
	struct io *io;
	int fd;
	uint16_t port;
	bool accepting; /* the ring has a request */
	bool closing;
	bool telling;          /* the owner is called */
	struct io_timer pause; /* armed while there is nothing to accept with */
	void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket);
	void *owner;
};

static int set_option(int fd, int level, int name)
{
	int on = 1;
	return setsockopt(fd, level, name, &on, sizeof(on)) < 0 ? error_from_errno(errno) : 0;
}

/* ---- Listening ---- */

static void submit_accept(struct io_listener *listener)
{
	ASSERT(!listener->accepting && !listener->closing);
	struct io_uring_sqe *sqe = ring_take(listener->io);
	/* Not non-blocking: on such a descriptor the ring would give up instead of waiting. */
	io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
	ring_set(sqe, listener, RING_ACCEPT);
	listener->io->requests++;
	listener->accepting = true;
}

static void pause_over(struct io_timer *timer)
{
	submit_accept(CONTAINER_OF(timer, struct io_listener, pause));
}

static void listener_free(struct io_listener *listener)
{
	io_timer_cancel(listener->io, &listener->pause);
	if (listener->fd >= 0)
		close(listener->fd);
	mem_free(listener);
}

static int listen_on(struct io_listener *listener, const struct sockaddr *address, socklen_t bytes)
{
	listener->fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener->fd < 0)
		return error_from_errno(errno);
	int error = set_option(listener->fd, SOL_SOCKET, SO_REUSEADDR);
	if (error == 0)
		error = set_option(listener->fd, SOL_SOCKET, SO_REUSEPORT);
	/* Accepted sockets inherit it. */
	if (error == 0)
		error = set_option(listener->fd, IPPROTO_TCP, TCP_NODELAY);
	/* One for IPv6 must not take the port away from one for IPv4. */
	if (error == 0 && address->sa_family == AF_INET6)
		error = set_option(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (error != 0)
		return error;
	if (bind(listener->fd, address, bytes) < 0 || listen(listener->fd, BACKLOG) < 0)
		return error_from_errno(errno);

	union address bound = {0};
	socklen_t bound_bytes = sizeof(bound);
	if (getsockname(listener->fd, &bound.any, &bound_bytes) < 0)
		return error_from_errno(errno);
	/* At the same place in both families. */
	listener->port = ntohs(bound.v4.sin_port);
	return 0;
}

int io_listen(struct io *io, const struct sockaddr *address, size_t address_bytes,
    void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket),
    void *owner, struct io_listener **ret_listener)
{
	ASSERT(accepted != NULL);
	if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
		return ERR_INVALID;
	struct io_listener *listener = mem_zalloc(1, sizeof(*listener));
	if (listener == NULL)
		return ERR_NOMEM;
	listener->io = io;
	listener->accepted = accepted;
	listener->owner = owner;
	listener->pause.fired = pause_over;
	int error = listen_on(listener, address, (socklen_t)address_bytes);
	if (error != 0) {
		listener_free(listener);
		return error;
	}
	submit_accept(listener);
	*ret_listener = listener;
	return 0;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
	return listener->port;
}

void io_listener_close(struct io_listener *listener)
{
	if (listener == NULL)
		return;
	ASSERT(!listener->closing);
	listener->closing = true;
	if (!listener->accepting) {
		if (!listener->telling)
			listener_free(listener);
		return;
	}
	/* Now, and not when the request has ended: nobody is to connect to a deaf listener. */
	shutdown(listener->fd, SHUT_RD);
	struct io_uring_sqe *sqe = ring_take(listener->io);
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)listener | RING_ACCEPT, 0);
	sqe->user_data = RING_IGNORED;
	listener->io->requests++;
}

static void take_connection(struct io_listener *listener, int fd)
{
	if (listener->closing) {
		close(fd);
		return;
	}
	struct io_socket *socket = socket_new(listener->io, fd);
	if (socket == NULL) {
		close(fd);
		return;
	}
	listener->telling = true;
	listener->accepted(listener, listener->owner, socket);
	listener->telling = false;
}

void listener_accepted(struct io_listener *listener, int result, unsigned flags)
{
	struct io *io = listener->io;
	ASSERT(listener->accepting);
	if (!(flags & IORING_CQE_F_MORE))
		listener->accepting = false;
	if (result >= 0)
		take_connection(listener, result);
	if (listener->accepting)
		return;
	if (listener->closing) {
		listener_free(listener);
		return;
	}
	switch (-result) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		io_timer_set(io, &listener->pause, io->now_ns + ACCEPT_PAUSE_NS);
		return;
	}
	submit_accept(listener);
}

/* ---- Connecting ---- */

static int connect_begin(struct io *io, const struct sockaddr *address, size_t address_bytes,
    struct io_socket **ret_socket)
{
	if (address_bytes > sizeof(union address))
		return ERR_INVALID;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_from_errno(errno);
	int error = set_option(fd, IPPROTO_TCP, TCP_NODELAY);
	struct io_socket *socket = error == 0 ? socket_new(io, fd) : NULL;
	if (socket == NULL) {
		close(fd);
		return error == 0 ? ERR_NOMEM : error;
	}
	memcpy(&socket->address, address, address_bytes);
	*ret_socket = socket;
	return 0;
}

void io_connect(struct io *io, struct io_op *op, const struct sockaddr *address,
    size_t address_bytes, struct io_socket **ret_socket)
{
	struct io_socket *socket = NULL;
	op_start(io, op, OP_CONNECT);
	int error = connect_begin(io, address, address_bytes, &socket);
	if (socket == NULL) {
		op_complete(op, error);
		return;
	}
	socket->ret_socket = ret_socket;
	op->u.connect.socket = socket;
	struct io_uring_sqe *sqe = ring_take(io);
	io_uring_prep_connect(sqe, socket->fd, &socket->address.any, (socklen_t)address_bytes);
	ring_set(sqe, op, RING_OP);
	io->requests++;
}

void io_connect_cancel(struct io *io, struct io_op *op)
{
	if (op->state != OP_STARTED)
		return;
	ASSERT(op->kind == OP_CONNECT);
	struct io_uring_sqe *sqe = ring_take(io);
	/* It is submitted before anything that may be started with this operation again. */
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)op | (uint64_t)RING_OP, 0);
	sqe->user_data = RING_IGNORED;
	io->requests++;
}

void socket_connected(struct io_op *op, int result)
{
	struct io_socket *socket = op->u.connect.socket;
	if (result < 0) {
		socket_abandon(socket);
		op_done(op, error_from_errno(-result));
		return;
	}
	*socket->ret_socket = socket;
	op_done(op, 0);
}
