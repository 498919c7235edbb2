/* The inside of io on a ring: what the io_uring*.c files share. Private to base/io.
 *
 * Every request that the ring carries has a number (user_data): a pointer to who waits for it, with
 * a kind in its three lowest bits. A completion goes by its kind to one function, which alone
 * decides whether that was the end of something or more is to be submitted.
 *
 *   io_uring.c           the ring itself, the turn, operations
 *   io_uring_explain.c   why a ring cannot be had
 *   io_uring_files.c     reads, durable writes
 *   io_uring_methods.c   which of two ways of a durable write
 *   io_uring_offload.c   threads for blocking work
 *   io_uring_wake.c      between threads
 *   io_uring_sockets.c   connections
 *   io_uring_receive.c   what arrives on them
 *   io_uring_listen.c    how they come about
 */
#ifndef KX_BASE_IO_IO_URING_H
#define KX_BASE_IO_IO_URING_H

#include <liburing.h>
#include <stdatomic.h>

#include "base/io/io.h"
#include "base/io/io_uring_methods.h"
#include "base/io/op.h"
#include "base/io/timers.h"

struct offload_pool;

enum ring_kind {
	RING_NOBODY,  /* nobody waits; or one of the fixed numbers below */
	RING_WRITE,   /* struct io_op: the write of a pair, only where it was not done whole */
	RING_OP,      /* struct io_op: anything else */
	RING_RECEIVE, /* struct io_socket */
	RING_SEND,    /* struct io_socket */
	RING_CANCEL,  /* struct io_socket */
	RING_ACCEPT,  /* struct io_listener */
	RING_WAKE,    /* struct io: a wake that could not be delivered */
};

#define RING_KIND_MASK UINT64_C(7)
/* Fixed numbers of RING_NOBODY. */
#define RING_IGNORED UINT64_C(0)
#define RING_EVENT   UINT64_C(8)  /* the event descriptor was written */
#define RING_WOKEN   UINT64_C(16) /* by another ring */

/* Buffers that all sockets of a core receive into; each is given back in the turn that took it. */
struct receive_pool {
	struct io_uring_buf_ring *ring;
	uint8_t *memory;
	unsigned count;
	unsigned bytes; /* of one */
};

struct io {
	struct io_uring ring;
	bool ring_made;
	uint64_t now_ns;
	uint64_t requests; /* that the ring carries and that will complete */
	size_t operations; /* started and not done */
	uint64_t operations_done;

	struct list completed; /* operations whose result is known */
	struct list attention; /* sockets that have something to do in a turn */
	size_t sockets;
	struct timers timers;
	struct receive_pool receive;
	struct write_methods write_methods;
	struct offload_pool *offload;

	/* Other threads write the descriptor; the ring reads it here. */
	int event_fd;
	bool event_armed;
	uint64_t event_value;
	_Atomic bool wake_wanted;
	void (*on_wake)(void *arg);
	void *on_wake_arg;

	struct io_figures figures;
};

/* ---- io_uring.c ---- */

/* Room for one request. It goes to the kernel with the next io_poll, or before where there is no
 * room. `ring_take_pair` takes the room of two that must be submitted together. */
struct io_uring_sqe *ring_take(struct io *io);
void ring_take_pair(struct io *io, struct io_uring_sqe *ret_pair[2]);

static inline void ring_set(struct io_uring_sqe *sqe, const void *waiting, enum ring_kind kind)
{
	sqe->user_data = (uint64_t)(uintptr_t)waiting | (uint64_t)kind;
}

void op_start(struct io *io, struct io_op *op, enum op_kind kind);
/* The next io_run calls `done`. */
void op_complete(struct io_op *op, int64_t result);
/* From io_run only. */
void op_done(struct io_op *op, int64_t result);

/* ---- io_uring_explain.c ---- */

/* What io_uring_setup's errno (positive) means on this machine: ERR_UNSUPPORTED or ERR_NOMEM, with
 * the text. */
int ring_explain(int err, char *why, size_t why_bytes);
/* The same from what the machine says: kernel.io_uring_disabled (-1: there is no such file), the
 * kernel's release, RLIMIT_MEMLOCK in bytes (UINT64_MAX: none). */
int ring_explain_from(int err, int disabled, const char *release, uint64_t memlock_bytes, char *why,
    size_t why_bytes);

/* ---- io_uring_files.c ---- */

void file_write_completed(struct io_op *op, int result);
void file_op_completed(struct io_op *op, int result);

/* ---- io_uring_offload.c ---- */

/* ERR_NOMEM, ERR_AGAIN (no thread). */
NODISCARD int offload_new(struct io *io, unsigned threads, struct offload_pool **ret_pool);
void offload_free(struct offload_pool *pool); /* NULL-safe; no job is under way */
/* Completes the operations whose jobs returned. */
void offload_reap(struct offload_pool *pool);

/* ---- io_uring_wake.c ---- */

/* Makes the ring wait for the event descriptor, where it does not. */
void event_arm(struct io *io);
void event_completed(struct io *io);
/* Any thread. */
void io_event_write(const struct io *io);
void wake_failed(struct io *target);
/* Calls on_wake where somebody asked for it. */
void wake_run(struct io *io);

/* ---- io_uring_sockets.c, io_uring_receive.c, io_uring_listen.c ---- */

NODISCARD int receive_pool_init(struct io *io, unsigned count, unsigned bytes);
void receive_pool_done(struct io *io); /* idempotent; nothing receives */

void socket_received(struct io_socket *socket, int result, unsigned flags);
void socket_sent(struct io_socket *socket, int result);
void socket_cancelled(struct io_socket *socket);
void socket_connected(struct io_op *op, int result);
void sockets_attend(struct io *io);
void listener_accepted(struct io_listener *listener, int result, unsigned flags);

#endif
