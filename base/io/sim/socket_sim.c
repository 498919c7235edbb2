/* Sockets and listeners of a simulated process: io.h's contract over the wires of net_sim.c. All
 * that their owners are told comes from the pass in io_run, as on a real ring. */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/sim/net_sim.h"
#include "base/mem.h"

struct io_socket {
	struct io *io;       /* NULL: detached, and of nobody */
	struct net_end *end; /* NULL: the connection has not begun, or is over */
	const struct io_socket_events *events;
	void *owner;
	struct list_node attention;
	bool is_listener; /* false; what the list of those to be looked at holds is one or other */
	bool paused, closing, end_told;
	int close_result;
	/* Not NULL: it leaves its io in the next pass. */
	void (*detached)(struct io_socket *socket, void *owner);
	struct list sends;
};

struct io_listener {
	struct io *io;
	struct io_listener *next; /* of the process */
	struct list_node attention;
	bool is_listener; /* true */
	uint32_t address;
	uint16_t port;
	bool closing, telling;
	struct net_wire *backlog; /* oldest first */
	void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket);
	void *owner;
};

/* What the list of those to be looked at is made of. */
struct attended {
	struct list_node attention;
	bool is_listener;
};

_Static_assert(
    offsetof(struct io_socket, is_listener) - offsetof(struct io_socket, attention) ==
            offsetof(struct attended, is_listener) &&
        offsetof(struct io_listener, is_listener) - offsetof(struct io_listener, attention) ==
            offsetof(struct attended, is_listener),
    "both begin their attention alike");

static void attend(struct io *io, struct list_node *attention)
{
	if (!list_linked(attention))
		list_push_back(&io->attention, attention);
	sim_node_wake(io->node);
}

static void socket_attend(struct io_socket *socket)
{
	attend(socket->io, &socket->attention);
}

void sim_socket_attend(struct net_end *end)
{
	/* One that nobody has is looked at when it is started again. */
	if (end->socket != NULL && end->socket->io != NULL)
		socket_attend(end->socket);
}

static struct io_socket *socket_new(struct io *io)
{
	struct io_socket *socket = mem_zalloc(1, sizeof(*socket));
	if (socket == NULL)
		return NULL;
	socket->io = io;
	list_node_init(&socket->attention);
	list_init(&socket->sends);
	io->sockets++;
	return socket;
}

static void socket_free(struct io_socket *socket)
{
	ASSERT(list_empty(&socket->sends));
	list_remove(&socket->attention);
	socket->io->sockets--;
	mem_free(socket);
}

static void close_with(struct io_socket *socket, int result)
{
	if (socket->closing)
		return;
	socket->closing = true;
	socket->close_result = result;
	socket_attend(socket);
}

/* ---- Sending ---- */

struct net_segment *sim_socket_take(struct io_socket *socket, size_t bytes_max)
{
	if (socket->closing)
		return NULL;
	for (struct list_node *node = list_first(&socket->sends); node != NULL;
	     node = list_next(&socket->sends, node)) {
		struct io_op *op = CONTAINER_OF(node, struct io_op, link);
		if (op->u.socket.iov_count == 0)
			continue;
		size_t bytes = op->u.socket.iov->iov_len;
		bytes = bytes < bytes_max ? bytes : bytes_max;
		struct net_segment *segment = sim_mem_zalloc(sizeof(*segment) + bytes);
		segment->bytes = bytes;
		memcpy(segment->data, op->u.socket.iov->iov_base, bytes);
		op_skip_sent(op, bytes);
		if (op->u.socket.iov_count == 0)
			socket_attend(socket);
		return segment;
	}
	return NULL;
}

void io_send(struct io_socket *socket, struct io_op *op, struct iovec *iov, unsigned iov_count)
{
	ASSERT(iov_count <= IOV_MAX);
	ASSERT(socket->detached == NULL);
	sim_op_start(socket->io, op, OP_SEND);
	op->u.socket.iov = iov;
	op->u.socket.iov_count = iov_count;
	op->u.socket.bytes_done = 0;
	op_skip_sent(op, 0);
	list_push_back(&socket->sends, &op->link);
	if (socket->closing || socket->end == NULL || op->u.socket.iov_count == 0)
		socket_attend(socket);
	else
		net_pump(socket->end);
}

/* Those whose bytes the network has taken; what their owners send meanwhile waits a turn. */
static void sends_advance(struct io_socket *socket)
{
	const struct list_node *last = list_last(&socket->sends);
	for (struct io_op *op = op_first_send(&socket->sends);
	     op != NULL && op->u.socket.iov_count == 0; op = op_first_send(&socket->sends)) {
		bool is_last = &op->link == last;
		list_remove(&op->link);
		sim_op_done(op, 0);
		if (is_last)
			return;
	}
}

/* ---- Receiving ---- */

/* What stood there when the pass came; in other pieces than it was sent in. The bytes are
 * overwritten behind the owner's back as soon as it has returned. */
static void give(struct io_socket *socket)
{
	struct net_end *end = socket->end;
	const struct net_segment *last = end->inbox.last;
	bool was_last = end->inbox.first == NULL;
	while (!was_last && !socket->paused && !socket->closing) {
		struct net_segment *segment = net_segments_pop(&end->inbox);
		was_last = segment == last;
		end->inbox_bytes -= segment->bytes;
		end->shown = segment;
		size_t first = segment->bytes;
		if (sim_random_below(end->node->sim, 4) == 0)
			first = 1 + sim_random_below(end->node->sim, first);
		socket->events->received(socket, socket->owner, segment->data, first);
		memset(segment->data, 0xdd, first);
		if (first < segment->bytes && !socket->closing) {
			/* The rest as a segment of its own, before all others. */
			segment->bytes -= first;
			memmove(segment->data, segment->data + first, segment->bytes);
			end->inbox_bytes += segment->bytes;
			segment->next = end->inbox.first;
			if (end->inbox.first == NULL)
				end->inbox.last = segment;
			if (was_last)
				last = segment;
			was_last = false;
			end->inbox.first = segment;
		} else if (first == segment->bytes) {
			sim_mem_free(segment);
		} else {
			return; /* closed with bytes unread: `shown` tells */
		}
		end->shown = NULL;
	}
	net_inbox_taken(end);
}

static void receive_advance(struct io_socket *socket)
{
	struct net_end *end = socket->end;
	if (end->inbox.first != NULL)
		give(socket);
	if (socket->paused || socket->closing || end->inbox.first != NULL || !end->end_seen)
		return;
	if (socket->events->ended == NULL) {
		if (list_empty(&socket->sends))
			close_with(socket, 0);
	} else if (!socket->end_told) {
		socket->end_told = true;
		socket->events->ended(socket, socket->owner);
	}
}

/* ---- The pass ---- */

static void finish(struct io_socket *socket)
{
	const struct io_socket_events *events = socket->events;
	void *owner = socket->owner;
	int result = socket->close_result;
	op_end_sends(&socket->sends, result, sim_op_done);
	if (!list_empty(&socket->sends)) {
		socket_attend(socket);
		return;
	}
	list_remove(&socket->attention);
	if (socket->end != NULL)
		net_end_close(socket->end);
	socket->end = NULL;
	if (events != NULL)
		events->closed(socket, owner, result);
	socket_free(socket);
}

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
	if (!socket->closing && socket->detached != NULL && socket->end->error != 0)
		close_with(socket, socket->end->error);
	if (!socket->closing && socket->detached != NULL) {
		let_go(socket);
		return;
	}
	if (!socket->closing)
		sends_advance(socket);
	if (!socket->closing && socket->events != NULL)
		receive_advance(socket);
	/* A paused socket notices by what it sends only. */
	if (!socket->closing && socket->end->error != 0 && socket->events != NULL &&
	    (!socket->paused || !list_empty(&socket->sends)))
		close_with(socket, socket->end->error);
	if (socket->closing)
		finish(socket);
}

static void listener_advance(struct io_listener *listener)
{
	struct io *io = listener->io;
	while (listener->backlog != NULL && !listener->closing) {
		struct net_wire *wire = listener->backlog;
		struct net_end *end = &wire->ends[1];
		listener->backlog = wire->accept_next;
		if (end->state != END_WAITING)
			continue;
		struct io_socket *socket = socket_new(io);
		if (socket == NULL) {
			net_end_close(end);
			continue;
		}
		end->state = END_OPEN;
		end->socket = socket;
		socket->end = end;
		listener->telling = true;
		listener->accepted(listener, listener->owner, socket);
		listener->telling = false;
	}
	if (listener->closing)
		mem_free(listener);
}

void sim_sockets_attend(struct io *io)
{
	struct list batch;
	list_init(&batch);
	list_append_all(&batch, &io->attention);
	for (struct list_node *node = list_pop_front(&batch); node != NULL;
	     node = list_pop_front(&batch)) {
		if (CONTAINER_OF(node, struct attended, attention)->is_listener)
			listener_advance(CONTAINER_OF(node, struct io_listener, attention));
		else
			socket_advance(CONTAINER_OF(node, struct io_socket, attention));
	}
}

/* ---- Connections ---- */

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
	ASSERT(socket->end->node == io->node);
	socket->io = io;
	io->sockets++;
}

void io_socket_discard(struct io_socket *socket)
{
	ASSERT(socket->io == NULL);
	net_end_close(socket->end);
	list_remove(&socket->attention);
	mem_free(socket);
}

void io_socket_pause(struct io_socket *socket, bool paused)
{
	if (socket->paused == paused)
		return;
	socket->paused = paused;
	if (!paused && !socket->closing)
		socket_attend(socket);
}

void io_socket_close(struct io_socket *socket)
{
	close_with(socket, 0);
}

void io_socket_set_patience(struct io_socket *socket, uint32_t unacknowledged_ms)
{
	if (socket->end != NULL)
		socket->end->patience_ns = unacknowledged_ms * 1000000ULL;
}

/* The network takes no more than net_buffer_bytes ahead, whatever is asked for. */
void io_socket_set_ahead(struct io_socket *socket, uint32_t unsent_bytes)
{
	(void)socket;
	ASSERT(unsent_bytes > 0);
}

void io_socket_peer(const struct io_socket *socket, char *text, size_t text_bytes)
{
	ASSERT(text_bytes >= 64);
	if (socket->end == NULL) {
		snprintf(text, text_bytes, "?:0");
		return;
	}
	const struct net_end *other = net_other(socket->end);
	snprintf(text, text_bytes, "%u.%u.%u.%u:%u", other->address >> 24,
	    other->address >> 16 & 255, other->address >> 8 & 255, other->address & 255,
	    other->port);
}

static int read_address(
    const struct sockaddr *address, size_t bytes, uint32_t *ret_address, uint16_t *ret_port)
{
	struct sockaddr_in v4;
	if (address->sa_family == AF_INET6)
		return ERR_UNSUPPORTED;
	if (address->sa_family != AF_INET || bytes < sizeof(v4))
		return ERR_INVALID;
	memcpy(&v4, address, sizeof(v4));
	*ret_address = ntohl(v4.sin_addr.s_addr);
	*ret_port = ntohs(v4.sin_port);
	return 0;
}

void io_connect(struct io *io, struct io_op *op, const struct sockaddr *address,
    size_t address_bytes, struct io_socket **ret_socket)
{
	uint32_t host = 0;
	uint16_t port = 0;
	sim_op_start(io, op, OP_CONNECT);
	op->u.connect.socket = NULL;
	int error = read_address(address, address_bytes, &host, &port);
	struct io_socket *socket = error == 0 ? socket_new(io) : NULL;
	if (socket == NULL) {
		sim_op_complete(op, error != 0 ? error : ERR_NOMEM);
		return;
	}
	op->u.connect.socket = socket;
	struct sim_node *to = net_node_at(io->node, host);
	struct net_wire *wire = net_connect(io->node, to, host, port, op, socket, ret_socket);
	socket->end = &wire->ends[0];
}

void sim_socket_drop(struct io_socket *socket)
{
	socket->end = NULL;
	socket_free(socket);
}

void io_connect_cancel(struct io *io, struct io_op *op)
{
	if (op->state != OP_STARTED)
		return;
	ASSERT(op->kind == OP_CONNECT && op->io == io);
	struct io_socket *socket = op->u.connect.socket;
	/* It has come to something already. */
	if (socket == NULL || list_linked(&op->link))
		return;
	sim_op_complete(op, ERR_CANCELED);
	net_connect_drop(socket->end->wire);
}

/* ---- Listening ---- */

static bool listens_at(const struct io_listener *listener, uint32_t address, uint16_t port)
{
	return listener->port == port &&
	       (listener->address == INADDR_ANY || listener->address == address);
}

bool sim_listener_exists(const struct sim_node *node, uint32_t address, uint16_t port)
{
	for (const struct io_listener *at = node->listeners; at != NULL; at = at->next)
		if (listens_at(at, address, port))
			return true;
	return false;
}

bool sim_listener_offer(struct sim_node *node, uint32_t address, struct net_wire *wire)
{
	uint16_t port = wire->ends[1].port;
	uint64_t count = 0;
	struct io_listener *chosen = NULL;
	for (struct io_listener *at = node->listeners; at != NULL; at = at->next)
		if (listens_at(at, address, port) && sim_random_below(node->sim, ++count) == 0)
			chosen = at;
	if (chosen == NULL)
		return false;
	struct net_wire **last = &chosen->backlog;
	while (*last != NULL)
		last = &(*last)->accept_next;
	*last = wire;
	wire->accept_next = NULL;
	attend(chosen->io, &chosen->attention);
	return true;
}

int io_listen(struct io *io, const struct sockaddr *address, size_t address_bytes,
    void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket),
    void *owner, struct io_listener **ret_listener)
{
	uint32_t host = 0;
	uint16_t port = 0;
	ASSERT(accepted != NULL);
	int error = read_address(address, address_bytes, &host, &port);
	if (error != 0)
		return error;
	if (host != INADDR_ANY && net_node_at(io->node, host) != io->node)
		return ERR_NOT_FOUND;
	struct io_listener *listener = mem_zalloc(1, sizeof(*listener));
	if (listener == NULL)
		return ERR_NOMEM;
	listener->io = io;
	listener->is_listener = true;
	listener->address = host;
	listener->port = port != 0 ? port : net_port_free(io->node);
	listener->accepted = accepted;
	listener->owner = owner;
	list_node_init(&listener->attention);
	listener->next = io->node->listeners;
	io->node->listeners = listener;
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
	struct io_listener **link = &listener->io->node->listeners;
	while (*link != listener)
		link = &(*link)->next;
	*link = listener->next;
	/* Those that nobody has accepted are told so. */
	while (listener->backlog != NULL) {
		struct net_wire *wire = listener->backlog;
		listener->backlog = wire->accept_next;
		if (wire->ends[1].state == END_WAITING)
			net_end_close(&wire->ends[1]);
	}
	list_remove(&listener->attention);
	if (!listener->telling)
		mem_free(listener);
}
