#include "tests/unit/io/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* From threads too, where the test framework's own functions may not be used. */
static void check(int condition, const char *what)
{
	if (condition)
		return;
	perror(what);
	abort();
}

int client_connect(uint16_t port)
{
	struct sockaddr_in address = loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0, "socket");
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0, "connect");
	return fd;
}

void client_send(int fd, const void *data, size_t bytes)
{
	for (size_t sent = 0; sent < bytes;) {
		ssize_t count = send(fd, (const uint8_t *)data + sent, bytes - sent, MSG_NOSIGNAL);
		check(count > 0, "send");
		sent += (size_t)count;
	}
}

size_t client_receive(int fd, void *data, size_t bytes)
{
	size_t received = 0;
	while (received < bytes) {
		ssize_t count = recv(fd, (uint8_t *)data + received, bytes - received, 0);
		check(count >= 0, "recv");
		if (count == 0)
			break;
		received += (size_t)count;
	}
	return received;
}

void client_reset(int fd)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};
	check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0, "setsockopt");
	close(fd);
}

static uint8_t pattern_at(uint64_t position)
{
	return (uint8_t)((position * 2654435761u) >> 13);
}

void pattern_fill(uint8_t *data, size_t bytes, uint64_t position)
{
	for (size_t i = 0; i < bytes; i++)
		data[i] = pattern_at(position + i);
}

size_t pattern_match(const uint8_t *data, size_t bytes, uint64_t position)
{
	size_t matching = 0;
	while (matching < bytes && data[matching] == pattern_at(position + matching))
		matching++;
	return matching;
}
