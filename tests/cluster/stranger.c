/* Stands at the peer port of a node, and is none that others can talk to.
 *
 *   stranger PORT version MIN MAX   a node of another version: refuses, and says what it speaks
 *   stranger PORT says TEXT         another server: whatever it hears, that is its answer
 *   stranger PORT mute              listens, and says nothing, as who waits for a line's end
 *
 * Says "ready" when it listens, and serves until it is ended. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replication/peer/hello.h"

static uint8_t answer[PEER_GREETING_BYTES_MAX];
static size_t answer_bytes;

static int listen_at(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (socket_fd < 0 ||
	    setsockopt(socket_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(socket_fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(socket_fd, 64) != 0) {
		perror("stranger");
		exit(1);
	}
	return socket_fd;
}

/* What came is read before the end, so that the answer is not lost by a reset. */
static void serve(int connection)
{
	const struct timeval patience = {.tv_sec = 2};
	char heard[4096];
	setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (read(connection, heard, sizeof(heard)) > 0 &&
	    write(connection, answer, answer_bytes) == (ssize_t)answer_bytes) {
		shutdown(connection, SHUT_WR);
		for (int i = 0; i < 16 && read(connection, heard, sizeof(heard)) > 0; i++)
			;
	}
	close(connection);
}

static uint16_t number_of(const char *text)
{
	return (uint16_t)strtoul(text, NULL, 10);
}

int main(int argc, char **argv)
{
	bool is_version = argc == 5 && strcmp(argv[2], "version") == 0;
	bool says = argc == 4 && strcmp(argv[2], "says") == 0;
	bool is_mute = argc == 3 && strcmp(argv[2], "mute") == 0;
	if (is_version) {
		const struct peer_refuse refuse = {.reason = PEER_REFUSED_VERSION,
		    .versions = {.min = number_of(argv[3]), .max = number_of(argv[4])}};
		answer_bytes = peer_refuse_write(&refuse, answer);
	} else if (says && strlen(argv[3]) <= sizeof(answer)) {
		answer_bytes = strlen(argv[3]);
		memcpy(answer, argv[3], answer_bytes);
	} else if (!is_mute) {
		fputs("stranger PORT version MIN MAX | says TEXT | mute\n", stderr);
		return 2;
	}
	int socket_fd = listen_at(number_of(argv[1]));
	puts("ready");
	fflush(stdout);
	for (;;) {
		int connection = accept(socket_fd, NULL, NULL);
		/* Who is mute has as many connections as there are, until it ends. */
		if (connection >= 0 && !is_mute)
			serve(connection);
	}
}
