/* Connections: sending, closing, and the pass over those that have something to do. */
#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include "base/assert.h"
#include "base/io/socket.h"
#include "base/mem.h"

struct io_socket *socket_new(struct io *io, int fd)
{
	struct io_socket *socket = mem_zalloc(1, sizeof(*socket));
	if (socket == NULL)
		return NULL;
	socket->io = io;
	socket->fd = fd;
	list_node_init(&socket->attention);
	list_init(&socket->sends);
	io->sockets++;
	return socket;
}

void socket_abandon(struct io_socket *socket)
{
	ASSERT(!socket->receiving && !socket->sending && socket->cancels == 0);
	ASSERT(list_empty(&socket->sends) && !list_linked(&socket->attention));
	close(socket->fd);
	socket->io->sockets--;
	mem_free(socket);
}

void socket_attend(struct io_socket *socket)
{
	if (!list_linked(&socket->attention))
		list_push_back(&socket->io->attention, &socket->attention);
}

void socket_cancel(struct io_socket *socket, enum ring_kind kind)
{
	struct io_uring_sqe *sqe = ring_take(socket->io);
	io_uring_prep_cancel64(sqe, (uint64_t)(uintptr_t)socket | (uint64_t)kind, 0);
	ring_set(sqe, socket, RING_CANCEL);
	socket->io->requests++;
	/* The socket stays until the answer: nobody else may get its address before. */
	socket->cancels++;
}

void socket_cancelled(struct io_socket *socket)
{
	ASSERT(socket->cancels > 0);
	socket->cancels--;
	socket_attend(socket);
}

void socket_close_with(struct io_socket *socket, int result)
{
	if (socket->closing)
		return;
	socket->closing = true;
	socket->close_result = result;
	if (socket->receiving && !socket->receive_cancelled)
		socket_cancel(socket, RING_RECEIVE);
	if (socket->sending)
		socket_cancel(socket, RING_SEND);
	socket_attend(socket);
}

void io_socket_close(struct io_socket *socket)
{
	socket_close_with(socket, 0);
}

/* ---- Sending ---- */

static void submit_send(struct io_socket *socket)
{
	const struct io_op *op = op_first_send(&socket->sends);
	ASSERT(op != NULL);
	ASSERT(!socket->sending && !socket->closing);
	struct io_uring_sqe *sqe = ring_take(socket->io);
	/* With MSG_WAITALL the kernel itself goes on after a partial one. */
	int flags = MSG_NOSIGNAL | MSG_WAITALL;
	if (op->u.socket.iov_count == 1) {
		io_uring_prep_send(
		    sqe, socket->fd, op->u.socket.iov->iov_base, op->u.socket.iov->iov_len, flags);
	} else {
		socket->message = (struct msghdr){
		    .msg_iov = op->u.socket.iov, .msg_iovlen = op->u.socket.iov_count};
		io_uring_prep_sendmsg(sqe, socket->fd, &socket->message, (unsigned)flags);
	}
	ring_set(sqe, socket, RING_SEND);
	socket->io->requests++;
	socket->sending = true;
}

void io_send(struct io_socket *socket, struct io_op *op, struct iovec *iov, unsigned iov_count)
{
	ASSERT(iov_count <= IOV_MAX);
	ASSERT(socket->detached == NULL);
	op_start(socket->io, op, OP_SEND);
	op->u.socket.fd = socket->fd;
	op->u.socket.iov = iov;
	op->u.socket.iov_count = iov_count;
	op->u.socket.bytes_done = 0;
	op_skip_sent(op, 0);
	list_push_back(&socket->sends, &op->link);
	if (socket->closing || op->u.socket.iov_count == 0)
		socket_attend(socket);
	else if (!socket->sending)
		submit_send(socket);
}

static void send_done(struct io_socket *socket, struct io_op *op, int result)
{
	ASSERT(op == op_first_send(&socket->sends));
	ASSERT(!socket->sending);
	list_remove(&op->link);
	op_done(op, result);
}

/* Those with nothing in them are done; the first with something is submitted. */
static void send_advance(struct io_socket *socket)
{
	while (!socket->sending && !socket->closing) {
		struct io_op *op = op_first_send(&socket->sends);
		if (op == NULL)
			return;
		if (op->u.socket.iov_count > 0)
			submit_send(socket);
		else
			send_done(socket, op, 0);
	}
}

void socket_sent(struct io_socket *socket, int result)
{
	struct io_op *op = op_first_send(&socket->sends);
	ASSERT(socket->sending && op != NULL);
	socket->sending = false;
	if (result >= 0)
		op_skip_sent(op, (size_t)result);
	/* A socket that closes tells its sends at the end, in order. */
	if (socket->closing) {
		socket_attend(socket);
		return;
	}
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		socket_close_with(socket, error_from_errno(-result));
		return;
	}
	if (op->u.socket.iov_count > 0) {
		submit_send(socket);
		return;
	}
	list_remove(&op->link);
	/* Before its owner is told, who may send more: that goes behind. */
	if (op_first_send(&socket->sends) != NULL &&
	    op_first_send(&socket->sends)->u.socket.iov_count > 0)
		submit_send(socket);
	op_done(op, 0);
	send_advance(socket);
	if (socket->end_seen)
		socket_attend(socket);
}

/* ---- The pass ---- */

static void finish(struct io_socket *socket)
{
	struct io *io = socket->io;
	const struct io_socket_events *events = socket->events;
	void *owner = socket->owner;
	int result = socket->close_result;
	op_end_sends(&socket->sends, result, op_done);
	if (!list_empty(&socket->sends)) {
		/* Their owners sent more; that is for another turn. */
		socket_attend(socket);
		return;
	}
	list_remove(&socket->attention);
	socket_held_free(socket);
	close(socket->fd);
	socket->fd = -1;
	if (events != NULL)
		events->closed(socket, owner, result);
	io->sockets--;
	mem_free(socket);
}

/* What is held stays with it. */
static void let_go(struct io_socket *socket)
{
	void (*detached)(struct io_socket *, void *) = socket->detached;
	void *owner = socket->owner;
	list_remove(&socket->attention);
	socket->io->sockets--;
	socket->io = NULL;
	socket->events = NULL;
	socket->owner = NULL;
	socket->detached = NULL;
	socket->paused = false;
	detached(socket, owner);
}

static void socket_advance(struct io_socket *socket)
{
	bool is_free = !socket->receiving && !socket->sending && socket->cancels == 0;
	if (!socket->closing && socket->detached != NULL) {
		if (is_free)
			let_go(socket);
		return;
	}
	if (!socket->closing)
		send_advance(socket);
	if (!socket->closing && socket->events != NULL)
		socket_receive_advance(socket);
	if (socket->closing && !socket->receiving && !socket->sending && socket->cancels == 0)
		finish(socket);
}

void sockets_attend(struct io *io)
{
	struct list batch;
	list_init(&batch);
	list_append_all(&batch, &io->attention);
	for (struct list_node *node = list_pop_front(&batch); node != NULL;
	     node = list_pop_front(&batch))
		socket_advance(CONTAINER_OF(node, struct io_socket, attention));
}

/* ---- The rest ---- */

void io_socket_start(struct io_socket *socket, const struct io_socket_events *events, void *owner)
{
	ASSERT(events->received != NULL && events->closed != NULL);
	ASSERT(socket->events == NULL);
	socket->events = events;
	socket->owner = owner;
	socket_attend(socket);
}

void io_socket_detach(
    struct io_socket *socket, void (*detached)(struct io_socket *socket, void *owner))
{
	ASSERT(socket->events != NULL && socket->detached == NULL);
	ASSERT(list_empty(&socket->sends));
	if (socket->closing)
		return;
	socket->detached = detached;
	io_socket_pause(socket, true);
	socket_attend(socket);
}

void io_socket_adopt(struct io *io, struct io_socket *socket)
{
	ASSERT(socket->io == NULL && !socket->closing);
	socket->io = io;
	io->sockets++;
}

void io_socket_discard(struct io_socket *socket)
{
	ASSERT(socket->io == NULL);
	socket_held_free(socket);
	close(socket->fd);
	mem_free(socket);
}

/* A kernel that refuses has no such option, and does without. */
static void set_option(const struct io_socket *socket, int name, unsigned value)
{
	if (socket->fd >= 0)
		(void)setsockopt(socket->fd, IPPROTO_TCP, name, &value, sizeof(value));
}

void io_socket_set_patience(struct io_socket *socket, uint32_t unacknowledged_ms)
{
	set_option(socket, TCP_USER_TIMEOUT, unacknowledged_ms);
}

void io_socket_set_ahead(struct io_socket *socket, uint32_t unsent_bytes)
{
	ASSERT(unsent_bytes > 0);
	set_option(socket, TCP_NOTSENT_LOWAT, unsent_bytes);
}

void io_socket_peer(const struct io_socket *socket, char *text, size_t text_bytes)
{
	union address address = {0};
	socklen_t bytes = sizeof(address);
	char host[INET6_ADDRSTRLEN] = "?";
	ASSERT(text_bytes >= 64);
	if (socket->fd >= 0 && getpeername(socket->fd, &address.any, &bytes) == 0) {
		if (address.any.sa_family == AF_INET6)
			inet_ntop(AF_INET6, &address.v6.sin6_addr, host, sizeof(host));
		else
			inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof(host));
	}
	bool is_v6 = address.any.sa_family == AF_INET6;
	snprintf(text, text_bytes, is_v6 ? "[%s]:%u" : "%s:%u", host, ntohs(address.v4.sin_port));
}
