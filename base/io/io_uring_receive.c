/* What arrives. One multishot request per socket takes buffers from the core's pool; each is given
 * back as soon as `received` returned, so that a slow client holds none. What arrives between a
 * pause and the end of the request that it cancels is copied and held. */
#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/io/socket.h"
#include "base/mem.h"

enum {
	BUFFER_GROUP = 0,
	BUFFER_ALIGNMENT = 4096,
};

struct held_bytes {
	struct held_bytes *next;
	size_t bytes;
	uint8_t data[];
};

/* ---- The pool ---- */

static size_t pool_ring_bytes(unsigned count)
{
	size_t bytes = count * sizeof(struct io_uring_buf);
	return (bytes + BUFFER_ALIGNMENT - 1) / BUFFER_ALIGNMENT * BUFFER_ALIGNMENT;
}

static size_t pool_memory_bytes(const struct receive_pool *pool)
{
	size_t bytes = (size_t)pool->count * pool->bytes;
	return (bytes + BUFFER_ALIGNMENT - 1) / BUFFER_ALIGNMENT * BUFFER_ALIGNMENT;
}

static void pool_give(struct receive_pool *pool, unsigned index)
{
	ASSERT(index < pool->count);
	io_uring_buf_ring_add(pool->ring, pool->memory + (size_t)index * pool->bytes, pool->bytes,
	    (unsigned short)index, io_uring_buf_ring_mask(pool->count), 0);
	io_uring_buf_ring_advance(pool->ring, 1);
}

int receive_pool_init(struct io *io, unsigned count, unsigned bytes)
{
	struct receive_pool *pool = &io->receive;
	pool->count = count;
	pool->bytes = bytes;
	pool->memory = mem_alloc_aligned(BUFFER_ALIGNMENT, pool_memory_bytes(pool));
	struct io_uring_buf_ring *ring =
	    mem_alloc_aligned(BUFFER_ALIGNMENT, pool_ring_bytes(count));
	if (pool->memory == NULL || ring == NULL) {
		mem_free(ring);
		mem_free(pool->memory);
		*pool = (struct receive_pool){0};
		return ERR_NOMEM;
	}
	struct io_uring_buf_reg registration = {
	    .ring_addr = (uint64_t)(uintptr_t)ring, .ring_entries = count, .bgid = BUFFER_GROUP};
	int result = io_uring_register_buf_ring(&io->ring, &registration, 0);
	if (result < 0) {
		mem_free(ring);
		mem_free(pool->memory);
		*pool = (struct receive_pool){0};
		return error_from_errno(-result);
	}
	pool->ring = ring;
	io_uring_buf_ring_init(ring);
	for (unsigned i = 0; i < count; i++)
		pool_give(pool, i);
	return 0;
}

void receive_pool_done(struct io *io)
{
	struct receive_pool *pool = &io->receive;
	if (pool->ring != NULL)
		io_uring_unregister_buf_ring(&io->ring, BUFFER_GROUP);
	mem_free(pool->ring);
	mem_free(pool->memory);
	*pool = (struct receive_pool){0};
}

/* ---- One socket ---- */

static void submit_receive(struct io_socket *socket)
{
	ASSERT(!socket->receiving);
	struct io_uring_sqe *sqe = ring_take(socket->io);
	io_uring_prep_recv_multishot(sqe, socket->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = BUFFER_GROUP;
	ring_set(sqe, socket, RING_RECEIVE);
	socket->io->requests++;
	socket->receiving = true;
	socket->receive_cancelled = false;
}

static void hold(struct io_socket *socket, const uint8_t *data, size_t bytes)
{
	struct held_bytes *held = mem_alloc(sizeof(*held) + bytes);
	if (held == NULL) {
		socket_close_with(socket, ERR_NOMEM);
		return;
	}
	held->next = NULL;
	held->bytes = bytes;
	memcpy(held->data, data, bytes);
	if (socket->held == NULL)
		socket->held = held;
	else
		socket->held_last->next = held;
	socket->held_last = held;
}

void socket_held_free(struct io_socket *socket)
{
	while (socket->held != NULL) {
		struct held_bytes *held = socket->held;
		socket->held = held->next;
		mem_free(held);
	}
}

static void take_bytes(struct io_socket *socket, const uint8_t *data, size_t bytes)
{
	if (socket->closing)
		return;
	/* Behind what is held already, whatever the pause: bytes keep their order. */
	if (socket->paused || socket->held != NULL)
		hold(socket, data, bytes);
	else
		socket->events->received(socket, socket->owner, data, bytes);
}

void socket_received(struct io_socket *socket, int result, unsigned flags)
{
	struct receive_pool *pool = &socket->io->receive;
	ASSERT(socket->receiving);
	if (!(flags & IORING_CQE_F_MORE))
		socket->receiving = false;
	if (flags & IORING_CQE_F_BUFFER) {
		unsigned index = flags >> IORING_CQE_BUFFER_SHIFT;
		ASSERT(index < pool->count);
		if (result > 0)
			take_bytes(
			    socket, pool->memory + (size_t)index * pool->bytes, (size_t)result);
		pool_give(pool, index);
	}
	if (result == 0)
		socket->end_seen = true;
	/* Out of buffers is not an error: by the time the request is made again they are back. */
	if (result < 0 && result != -ENOBUFS && result != -EINTR && result != -EAGAIN &&
	    result != -ECANCELED)
		socket_close_with(socket, error_from_errno(-result));
	if (!socket->receiving)
		socket_attend(socket);
}

static void give_held(struct io_socket *socket)
{
	while (socket->held != NULL && !socket->paused && !socket->closing) {
		struct held_bytes *held = socket->held;
		socket->events->received(socket, socket->owner, held->data, held->bytes);
		socket->held = held->next;
		mem_free(held);
	}
}

static void tell_end(struct io_socket *socket)
{
	if (socket->events->ended == NULL) {
		if (list_empty(&socket->sends))
			socket_close_with(socket, 0);
		return;
	}
	if (socket->end_told)
		return;
	socket->end_told = true;
	socket->events->ended(socket, socket->owner);
}

void socket_receive_advance(struct io_socket *socket)
{
	give_held(socket);
	if (socket->paused || socket->closing)
		return;
	if (socket->end_seen)
		tell_end(socket);
	else if (!socket->receiving)
		submit_receive(socket);
}

void io_socket_pause(struct io_socket *socket, bool paused)
{
	if (socket->paused == paused)
		return;
	socket->paused = paused;
	if (socket->closing)
		return;
	if (!paused) {
		socket_attend(socket);
	} else if (socket->receiving && !socket->receive_cancelled) {
		socket->receive_cancelled = true;
		socket_cancel(socket, RING_RECEIVE);
	}
}
