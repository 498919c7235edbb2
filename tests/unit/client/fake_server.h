/* A server for tests, in the same thread as the client: it accepts on a free port of loopback,
 * collects whole requests, and answers what the test tells it to.
 */
#ifndef KX_TESTS_UNIT_CLIENT_FAKE_SERVER_H
#define KX_TESTS_UNIT_CLIENT_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define FAKE_REQUESTS_MAX 4096
#define FAKE_PEERS_MAX    8

struct fake_server {
	int listen_fd;
	int peers[FAKE_PEERS_MAX]; /* -1: none */
	size_t peer_count;         /* accepted so far */
	char address[32];          /* "127.0.0.1:PORT" */
	char input[FAKE_PEERS_MAX][65536];
	size_t input_bytes[FAKE_PEERS_MAX];
	/* Whole requests in order of arrival, words parted by spaces. */
	char *requests[FAKE_REQUESTS_MAX];
	size_t from[FAKE_REQUESTS_MAX]; /* which peer */
	size_t count;
};

void fake_server_start(struct fake_server *server);
void fake_server_stop(struct fake_server *server);
/* Accepts and reads what is there, without waiting. */
void fake_server_step(struct fake_server *server);
void fake_server_send(struct fake_server *server, size_t peer, const char *bytes);
void fake_server_hang_up(struct fake_server *server, size_t peer);

#endif
