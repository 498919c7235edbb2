/* What the load generators have in common of a connection: to a port on loopback, on an io as the
 * server's cores have, so that a turn with many connections is one system call: at one call
 * outstanding a connection, a load that makes two for each takes of two processors what the servers
 * need.
 *
 * Whatever fails ends the program with 2, after a line that names it. One thread.
 */
#ifndef KX_TESTS_BENCH_LOAD_SOCKET_H
#define KX_TESTS_BENCH_LOAD_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/io/io.h"

struct load_socket {
	struct buffer out; /* the owner adds to it */

	/* Private. */
	struct io_socket *socket;
	void (*received)(void *owner, const uint8_t *data, size_t bytes);
	void *owner;
	struct buffer sending; /* what is on its way */
	struct iovec piece;
	struct io_op op;
	bool is_busy; /* `op` is under way */
};

/* Says `what` and errno. */
__attribute__((noreturn)) void load_die(const char *what);
/* A blocking socket without Nagle's delay. */
int load_connect(unsigned long port);

struct io *load_io_new(void);

/* Connects, and waits for that. `received` is called from io_run; its bytes are gone after it. The
 * end of the connection ends the program. */
void load_socket_open(struct load_socket *socket, struct io *io, unsigned long port,
    void (*received)(void *owner, const uint8_t *data, size_t bytes), void *owner);
/* Sends `out`, with the next io_poll; what is added later goes when that is gone. */
void load_socket_flush(struct load_socket *socket);

/* From now until then; zero where that has passed. */
uint64_t load_wait(uint64_t now_ns, uint64_t until_ns);

#endif
