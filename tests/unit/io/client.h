/* The other end of a connection: plain blocking sockets, and threads to use them in. */
#ifndef KX_TESTS_UNIT_IO_CLIENT_H
#define KX_TESTS_UNIT_IO_CLIENT_H

#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr_in loopback(uint16_t port);

/* All of these stop the test where they cannot. */
int client_connect(uint16_t port);
void client_send(int fd, const void *data, size_t bytes);
/* Reads until the peer's end or `bytes`; the count. */
size_t client_receive(int fd, void *data, size_t bytes);
void client_reset(int fd); /* closes so that the peer sees a reset */

/* The same bytes from the same position, whoever asks. */
void pattern_fill(uint8_t *data, size_t bytes, uint64_t position);
size_t pattern_match(const uint8_t *data, size_t bytes, uint64_t position);

#endif
