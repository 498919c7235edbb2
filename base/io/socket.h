/* A connection on the ring. Private to base/io.
 *
 * Its life, in socket_advance:
 *
 *   OPEN ---------- io_socket_close, an error, the end of both directions -------> CLOSING
 *     receives (a multishot request, while started and not paused) | sends (one request at a
 *     time, the first of `sends`) requests of it are cancelled;
 *                                                                     when the ring has let go of
 *                                                                     all
 *                                                                                    | v
 *                                                       sends fail, `closed` is told, memory
 *                                                       freed
 *
 * One that is detached is paused, which takes its receive back, and leaves its io in the same pass.
 */
#ifndef KX_BASE_IO_SOCKET_H
#define KX_BASE_IO_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/io/io_uring.h"

struct held_bytes;

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

_Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
    "a port is found without looking at the family");

struct io_socket {
	struct io *io; /* NULL: detached, and of nobody */
	int fd;
	const struct io_socket_events *events; /* NULL: not started */
	void *owner;
	struct list_node attention;

	bool closing;
	int close_result;
	unsigned cancels; /* requests to cancel that are under way */
	/* Not NULL: it is to leave its io as soon as the ring has let go of it. */
	void (*detached)(struct io_socket *socket, void *owner);

	/* Receiving. */
	bool paused;
	bool receiving; /* the ring has a request */
	bool receive_cancelled;
	bool end_seen; /* nothing comes behind what is held */
	bool end_told;
	struct held_bytes *held; /* arrived while paused, oldest first */
	struct held_bytes *held_last;

	/* Sending. */
	bool sending; /* the ring has a request for the first of: */
	struct list sends;
	struct msghdr message;

	/* Of a socket that connects; the kernel reads it when the request is submitted. */
	struct io_socket **ret_socket;
	union address address;
};

/* An open socket for the descriptor, which is its from now on. NULL: out of memory, and the
 * descriptor is still the caller's. */
struct io_socket *socket_new(struct io *io, int fd);
/* For one that was never handed out. */
void socket_abandon(struct io_socket *socket);

/* Looks at it in this turn's or the next one's socket pass. */
void socket_attend(struct io_socket *socket);
void socket_close_with(struct io_socket *socket, int result);
void socket_cancel(struct io_socket *socket, enum ring_kind kind);

/* io_uring_receive.c: what a turn does for an open, started socket. */
void socket_receive_advance(struct io_socket *socket);
void socket_held_free(struct io_socket *socket);

#endif
