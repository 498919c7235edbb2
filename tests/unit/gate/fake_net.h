/* Sockets, time and timers of base/io/io.h over a network that is a few buffers: a test sees what
 * is written to a connection, what it writes arrives at once, and time stands until it is moved.
 * The linker chooses it instead of libkx_io.a. */
#ifndef KX_TESTS_UNIT_GATE_FAKE_NET_H
#define KX_TESTS_UNIT_GATE_FAKE_NET_H

#include "base/buffer.h"
#include "base/io/io.h"

struct io *fake_net_new(void);
void fake_net_free_all(struct io *io); /* every connection was closed */

/* A client, at the n-th listener. */
struct io_socket *fake_connect(struct io *io, unsigned listener);
/* Arrives now, or when the server reads again. */
void fake_write(struct io_socket *socket, const void *data, size_t bytes);
/* The same, arrived by the next fake_run. */
void fake_queue(struct io_socket *socket, const void *data, size_t bytes);
/* The client sends no more. */
void fake_end(struct io_socket *socket);
/* Whether the client takes what it is sent; it does at first. */
void fake_set_reading(struct io_socket *socket, bool reading);
/* What the client got so far; the test may clear it. */
struct buffer *fake_output(struct io_socket *socket);
bool fake_closed(const struct io_socket *socket); /* the server has ended it */
bool fake_paused(const struct io_socket *socket);
uint32_t fake_sends(const struct io_socket *socket); /* io_send calls */

/* What io_run does: sends that a client takes, ends, timers that are due. */
bool fake_run(struct io *io); /* something moved */
void fake_advance(struct io *io, uint64_t ms);

#endif
