#include "tests/unit/gate/fake_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

enum { LISTENERS_MAX = 2, TIMERS_MAX = 8 };

struct io_listener {
	void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket);
	void *owner;
};

struct io {
	uint64_t now_ns;
	struct io_listener listeners[LISTENERS_MAX];
	unsigned listener_count;
	struct io_timer *timers[TIMERS_MAX];
	struct list sockets;
	uint32_t connected;
};

struct io_socket {
	struct list_node node;
	struct io *io;
	const struct io_socket_events *events;
	void *owner;
	struct buffer input, output;
	bool reading, paused, ending, end_told, closing, closed;
	struct list sends; /* of struct io_op, by link */
	uint32_t number, send_calls;
};

struct io *fake_net_new(void)
{
	struct io *io = mem_zalloc(1, sizeof(*io));
	ASSERT(io);
	io->now_ns = NS_PER_S;
	list_init(&io->sockets);
	return io;
}

void fake_net_free_all(struct io *io)
{
	LIST_FOR_EACH_REMOVABLE(node, &io->sockets)
	{
		struct io_socket *socket = CONTAINER_OF(node, struct io_socket, node);
		ASSERT(socket->closed);
		list_remove(node);
		buffer_done(&socket->input);
		buffer_done(&socket->output);
		mem_free(socket);
	}
	mem_free(io);
}

/* ---- What the gate calls ---- */

uint64_t io_now_ns(const struct io *io)
{
	return io->now_ns;
}

void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	io_timer_cancel(io, timer);
	for (unsigned i = 0; i < TIMERS_MAX; i++)
		if (!io->timers[i]) {
			io->timers[i] = timer;
			timer->at_ns = at_ns;
			return;
		}
	ASSERT_MSG(false, "more than %d timers", TIMERS_MAX);
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	for (unsigned i = 0; i < TIMERS_MAX; i++)
		if (io->timers[i] == timer)
			io->timers[i] = NULL;
}

int io_listen(struct io *io, const struct sockaddr *address, size_t address_bytes,
    void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket),
    void *owner, struct io_listener **ret_listener)
{
	(void)address;
	(void)address_bytes;
	ASSERT(io->listener_count < LISTENERS_MAX);
	struct io_listener *listener = &io->listeners[io->listener_count++];
	listener->accepted = accepted;
	listener->owner = owner;
	*ret_listener = listener;
	return 0;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
	(void)listener;
	return 7470;
}

void io_listener_close(struct io_listener *listener)
{
	if (listener)
		listener->accepted = NULL;
}

void io_socket_start(struct io_socket *socket, const struct io_socket_events *events, void *owner)
{
	socket->events = events;
	socket->owner = owner;
}

void io_socket_pause(struct io_socket *socket, bool paused)
{
	socket->paused = paused;
}

void io_send(struct io_socket *socket, struct io_op *op, struct iovec *iov, unsigned iov_count)
{
	ASSERT(iov_count > 0);
	op->u.socket.iov = iov;
	op->u.socket.iov_count = iov_count;
	list_node_init(&op->link);
	list_push_back(&socket->sends, &op->link);
	socket->send_calls++;
}

void io_socket_close(struct io_socket *socket)
{
	socket->closing = true;
}

void io_socket_peer(const struct io_socket *socket, char *text, size_t text_bytes)
{
	snprintf(text, text_bytes, "127.0.0.1:%u", 40000 + socket->number);
}

/* ---- What a test calls ---- */

struct io_socket *fake_connect(struct io *io, unsigned listener)
{
	ASSERT(listener < io->listener_count && io->listeners[listener].accepted);
	struct io_socket *socket = mem_zalloc(1, sizeof(*socket));
	ASSERT(socket);
	socket->io = io;
	socket->reading = true;
	socket->number = ++io->connected;
	buffer_init(&socket->input, 64 * MIB);
	buffer_init(&socket->output, 64 * MIB);
	list_init(&socket->sends);
	list_node_init(&socket->node);
	list_push_back(&io->sockets, &socket->node);
	io->listeners[listener].accepted(
	    &io->listeners[listener], io->listeners[listener].owner, socket);
	return socket;
}

/* In pieces of a receive buffer, as base/io gives them. */
static void deliver(struct io_socket *socket)
{
	while (!socket->paused && !socket->closing && buffer_bytes(&socket->input) > 0) {
		enum { PIECE_BYTES = 16384 };
		struct slice view = buffer_view(&socket->input);
		size_t bytes = view.bytes < PIECE_BYTES ? view.bytes : PIECE_BYTES;
		/* A copy of exactly that size: reading behind it is seen by a sanitizer. */
		uint8_t *piece = malloc(bytes);
		ASSERT(piece);
		memcpy(piece, view.data, bytes);
		buffer_consume(&socket->input, bytes);
		socket->events->received(socket, socket->owner, piece, bytes);
		free(piece);
	}
}

void fake_queue(struct io_socket *socket, const void *data, size_t bytes)
{
	int error = buffer_append(&socket->input, data, bytes);
	ASSERT(error == 0);
}

void fake_write(struct io_socket *socket, const void *data, size_t bytes)
{
	fake_queue(socket, data, bytes);
	if (!socket->closed)
		deliver(socket);
}

void fake_end(struct io_socket *socket)
{
	socket->ending = true;
}

void fake_set_reading(struct io_socket *socket, bool reading)
{
	socket->reading = reading;
}

struct buffer *fake_output(struct io_socket *socket)
{
	return &socket->output;
}

bool fake_closed(const struct io_socket *socket)
{
	return socket->closed;
}

bool fake_paused(const struct io_socket *socket)
{
	return socket->paused;
}

uint32_t fake_sends(const struct io_socket *socket)
{
	return socket->send_calls;
}

static void complete_send(struct io_socket *socket, struct list_node *node, int64_t result)
{
	struct io_op *op = CONTAINER_OF(node, struct io_op, link);
	for (unsigned i = 0; result == 0 && i < op->u.socket.iov_count; i++) {
		int error = buffer_append(
		    &socket->output, op->u.socket.iov[i].iov_base, op->u.socket.iov[i].iov_len);
		ASSERT(error == 0);
	}
	op->result = result;
	op->done(op);
}

/* Something moved. */
static bool run_socket(struct io_socket *socket)
{
	struct list_node *node;
	bool moved = false;
	if (socket->closed)
		return false;
	while (socket->reading && !socket->closing && (node = list_pop_front(&socket->sends))) {
		complete_send(socket, node, 0);
		moved = true;
	}
	if (!socket->closing)
		deliver(socket);
	if (socket->ending && !socket->end_told && !socket->paused && !socket->closing) {
		socket->end_told = true;
		socket->events->ended(socket, socket->owner);
	}
	if (!socket->closing)
		return moved;
	while ((node = list_pop_front(&socket->sends)))
		complete_send(socket, node, ERR_CANCELED);
	socket->closed = true;
	socket->events->closed(socket, socket->owner, 0);
	return true;
}

bool fake_run(struct io *io)
{
	bool moved = false;
	LIST_FOR_EACH_REMOVABLE(node, &io->sockets)
	moved |= run_socket(CONTAINER_OF(node, struct io_socket, node));
	for (unsigned i = 0; i < TIMERS_MAX; i++) {
		struct io_timer *timer = io->timers[i];
		if (!timer || timer->at_ns > io->now_ns)
			continue;
		io->timers[i] = NULL;
		timer->fired(timer);
		moved = true;
	}
	return moved;
}

void fake_advance(struct io *io, uint64_t ms)
{
	io->now_ns += ms * NS_PER_MS;
}
