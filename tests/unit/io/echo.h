/* A server on io.h for tests of its connections: each sends back what it receives, and counts. */
#ifndef KX_TESTS_UNIT_IO_ECHO_H
#define KX_TESTS_UNIT_IO_ECHO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/io/io.h"

struct echo {
	struct io *io;
	struct io_listener *listener;
	struct io_socket_events events;
	unsigned accepted;
	unsigned closed;
	unsigned ended;
	int last_result;
	uint64_t received_bytes;
	unsigned sends_under_way;
	unsigned sends_failed;
	int pause_after; /* pauses the socket in its nth `received`; 0: never */
	int close_in;    /* closes the socket in its nth `received`; 0: never */
	int received_calls;
	bool mute; /* receives and sends nothing back */
	struct io_socket *last;
};

extern struct echo echo;

/* Fixtures: a machine with an echo server on it. */
void echo_setup(void);
void echo_teardown(void);

uint16_t echo_port(void);
void echo_accepted(struct io_listener *listener, void *owner, struct io_socket *socket);
void echo_send(struct io_socket *socket, const uint8_t *data, size_t bytes);

/* Turns until the counter has this value; no more follow at once. */
void run_until(const unsigned *counter, unsigned value);

#endif
