/* What the load generators have in common of a connection: to a port on loopback, what is to be
 * sent in a buffer, and events of it from an epoll.
 *
 * Whatever fails ends the program with 2, after a line that names it. One thread.
 */
#ifndef KX_TESTS_BENCH_LOAD_SOCKET_H
#define KX_TESTS_BENCH_LOAD_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buffer.h"

struct load_socket {
	int fd, epoll;
	void *owner;       /* what events have as data.ptr */
	struct buffer out; /* the owner adds to it */
	bool wants_write;  /* the rest of `out` goes when the epoll says so: EPOLLOUT */
};

/* Says `what` and errno. */
__attribute__((noreturn)) void load_die(const char *what);
/* A blocking socket without Nagle's delay. */
int load_connect(unsigned long port);

void load_socket_open(struct load_socket *socket, int epoll, unsigned long port, void *owner);
/* Sends of `out` what the kernel takes. */
void load_socket_flush(struct load_socket *socket);
/* 0: nothing is there now. The end of the connection ends the program. */
size_t load_socket_receive(struct load_socket *socket, uint8_t *to, size_t room);
void load_socket_close(struct load_socket *socket);

/* From now until then; zero where that has passed. */
struct timespec load_wait(uint64_t now_ns, uint64_t until_ns);

/* Of the command line. */
unsigned long load_number(const char *text, unsigned long max);

#endif
