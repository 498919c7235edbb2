#include "tests/bench/load_socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { OUT_BYTES_MAX = 64 << 20 };

void load_die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
	exit(2);
}

int load_connect(unsigned long port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
		load_die("connect");
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		load_die("TCP_NODELAY");
	return fd;
}

void load_socket_open(struct load_socket *socket, int epoll, unsigned long port, void *owner)
{
	*socket = (struct load_socket){.fd = load_connect(port), .epoll = epoll, .owner = owner};
	buffer_init(&socket->out, OUT_BYTES_MAX);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = owner};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, socket->fd, &event))
		load_die("epoll");
}

void load_socket_flush(struct load_socket *socket)
{
	while (buffer_bytes(&socket->out)) {
		struct slice out = buffer_view(&socket->out);
		ssize_t sent = send(socket->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			load_die("send");
		if (sent <= 0)
			break;
		buffer_consume(&socket->out, (size_t)sent);
	}
	bool wants = buffer_bytes(&socket->out) > 0;
	if (wants == socket->wants_write)
		return;
	socket->wants_write = wants;
	struct epoll_event event = {
	    .events = EPOLLIN | (wants ? (uint32_t)EPOLLOUT : 0), .data.ptr = socket->owner};
	if (epoll_ctl(socket->epoll, EPOLL_CTL_MOD, socket->fd, &event))
		load_die("epoll");
}

size_t load_socket_receive(struct load_socket *socket, uint8_t *to, size_t room)
{
	ssize_t got = recv(socket->fd, to, room, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got == 0)
		errno = ECONNRESET;
	if (got <= 0)
		load_die("the server closed the connection");
	return (size_t)got;
}

void load_socket_close(struct load_socket *socket)
{
	close(socket->fd);
	buffer_done(&socket->out);
}

struct timespec load_wait(uint64_t now_ns, uint64_t until_ns)
{
	uint64_t left = until_ns > now_ns ? until_ns - now_ns : 0;
	return (struct timespec){
	    .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
}

unsigned long load_number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*end || !*text || value > max) {
		fprintf(stderr, "%s: not a number up to %lu: %s\n", program_invocation_short_name,
		    max, text);
		exit(2);
	}
	return value;
}
