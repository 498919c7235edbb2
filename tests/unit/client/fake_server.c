#include "tests/unit/client/fake_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/run.h"

void fake_server_start(struct fake_server *server)
{
	struct sockaddr_in address = {
	    .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t bytes = sizeof(address);
	memset(server, 0, sizeof(*server));
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
		server->peers[i] = -1;
	server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(server->listen_fd, 0);
	ck_assert_int_eq(
	    bind(server->listen_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(server->listen_fd, 16), 0);
	ck_assert_int_eq(getsockname(server->listen_fd, (struct sockaddr *)&address, &bytes), 0);
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u",
	    (unsigned)ntohs(address.sin_port));
}

void fake_server_stop(struct fake_server *server)
{
	for (size_t i = 0; i < FAKE_PEERS_MAX; i++)
		fake_server_hang_up(server, i);
	close(server->listen_fd);
	for (size_t i = 0; i < server->count; i++)
		free(server->requests[i]);
}

void fake_server_hang_up(struct fake_server *server, size_t peer)
{
	if (server->peers[peer] >= 0)
		close(server->peers[peer]);
	server->peers[peer] = -1;
}

void fake_server_send(struct fake_server *server, size_t peer, const char *bytes)
{
	ssize_t sent = send(server->peers[peer], bytes, strlen(bytes), MSG_NOSIGNAL);
	ck_assert_int_eq(sent, (ssize_t)strlen(bytes));
}

/* One whole array of bulk strings at the front, or 0. */
static size_t take_request(struct fake_server *server, size_t peer)
{
	const char *begin = server->input[peer], *end = begin + server->input_bytes[peer];
	const char *at = memchr(begin, '\n', (size_t)(end - begin));
	char *text = calloc(1, server->input_bytes[peer] + 1);
	size_t used = 0;
	ck_assert_ptr_nonnull(text);
	long words = at ? strtol(begin + 1, NULL, 10) : 0;
	for (long i = 0; at && i < words; i++) {
		const char *header = at + 1;
		const char *line =
		    header < end ? memchr(header, '\n', (size_t)(end - header)) : NULL;
		if (!line)
			break;
		size_t bytes = (size_t)strtol(header + 1, NULL, 10);
		if ((size_t)(end - line - 1) < bytes + 2)
			break;
		if (i)
			text[used++] = ' ';
		memcpy(text + used, line + 1, bytes);
		used += bytes;
		at = line + 1 + bytes + 1;
		if (i == words - 1) {
			ck_assert_uint_lt(server->count, FAKE_REQUESTS_MAX);
			server->from[server->count] = peer;
			server->requests[server->count++] = text;
			return (size_t)(at + 1 - begin);
		}
	}
	free(text);
	return 0;
}

static void read_peer(struct fake_server *server, size_t peer)
{
	size_t have = server->input_bytes[peer], used;
	ssize_t got = recv(server->peers[peer], server->input[peer] + have,
	    sizeof(server->input[peer]) - have, MSG_DONTWAIT);
	if (got == 0)
		fake_server_hang_up(server, peer);
	if (got <= 0)
		return;
	server->input_bytes[peer] += (size_t)got;
	while (server->input_bytes[peer] && (used = take_request(server, peer))) {
		memmove(server->input[peer], server->input[peer] + used,
		    server->input_bytes[peer] - used);
		server->input_bytes[peer] -= used;
	}
}

void fake_server_step(struct fake_server *server)
{
	int fd;
	while (server->peer_count < FAKE_PEERS_MAX &&
	       (fd = accept(server->listen_fd, NULL, NULL)) >= 0)
		server->peers[server->peer_count++] = fd;
	for (size_t i = 0; i < server->peer_count; i++)
		if (server->peers[i] >= 0)
			read_peer(server, i);
}
