/* A load generator for servers that speak RESP: the same bytes to Kalix and to Redis.
 *
 *   resp_load PORT [--connections N] [--pipeline N] [--seconds S] [--rate CALLS_PER_S]
 *             [--entities N] [--function NAME] [--type TYPE] [--seed N] [--each]
 *
 * Every call is `FCALL NAME 1 TYPE/n {"qty":1,"sku":"sku-0000000k"}`, n and k at random.
 *
 * Closed loop (no --rate): each connection keeps `pipeline` calls outstanding; a latency counts
 * from the write of its call. Open loop: calls are due at a fixed rate, whatever the server does,
 * and a latency counts from when the call was due, so a server that stalls is charged for the calls
 * that waited (no coordinated omission). One thread; everything on loopback.
 *
 * With --each, n goes from 0 to the number of entities once, in a closed loop, and that is the end.
 *
 * Prints one line of key=value. Exit status 1 where a reply was an error.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/wire/resp_reader.h"

#define CONNECTIONS_MAX 1024
#define PIPELINE_MAX    1024
#define OUTSTANDING_MAX 65536 /* of a connection, in an open loop */

struct connection {
	struct buffer out, in;
	struct resp_reader reader;
	uint64_t *due_ns; /* of the calls outstanding, a ring */
	size_t first, count;
	int fd;
	bool wants_write;
};

static struct {
	unsigned long port, connections, pipeline, seconds, rate, entities, seed;
	const char *function, *type;
	bool each;
} options = {.connections = 50,
    .pipeline = 1,
    .seconds = 5,
    .entities = 100000,
    .seed = 1,
    .function = "add_item",
    .type = "cart"};

static struct connection connections[CONNECTIONS_MAX];
static struct histogram latencies;
static struct random dice;
static uint64_t begin_ns, calls, errors, refused, given, answered;
static char first_error[256];
static int epoll_fd;
static bool warm; /* counting has begun */

static void die(const char *what)
{
	fprintf(stderr, "resp_load: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void connect_one(struct connection *connection)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons((uint16_t)options.port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	connection->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connection->fd < 0 ||
	    connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)))
		die("connect");
	if (setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)))
		die("TCP_NODELAY");
	buffer_init(&connection->out, (size_t)64 << 20);
	buffer_init(&connection->in, (size_t)64 << 20);
	resp_reader_init(&connection->reader, 1 << 20, RESP_DEPTH_MAX);
	connection->due_ns = calloc(OUTSTANDING_MAX, sizeof(uint64_t));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (!connection->due_ns || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event))
		die("epoll");
}

static void add_call(struct connection *connection, uint64_t due_ns)
{
	char key[64], payload[64], wire[256];
	if (options.each && given == options.entities)
		return;
	uint64_t entity = options.each ? given : random_below(&dice, options.entities);
	int key_bytes =
	    snprintf(key, sizeof(key), "%s/%llu", options.type, (unsigned long long)entity);
	given++;
	int payload_bytes = snprintf(payload, sizeof(payload), "{\"qty\":1,\"sku\":\"sku-%08llu\"}",
	    (unsigned long long)random_below(&dice, 12));
	int bytes = snprintf(wire, sizeof(wire),
	    "*5\r\n$5\r\nFCALL\r\n$%zu\r\n%s\r\n$1\r\n1\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n",
	    strlen(options.function), options.function, key_bytes, key, payload_bytes, payload);
	if (connection->count == OUTSTANDING_MAX ||
	    buffer_append(&connection->out, wire, (size_t)bytes)) {
		refused++; /* the server is far behind: counted, and told */
		return;
	}
	connection->due_ns[(connection->first + connection->count++) % OUTSTANDING_MAX] = due_ns;
}

static void flush(struct connection *connection)
{
	while (buffer_bytes(&connection->out)) {
		struct slice out = buffer_view(&connection->out);
		ssize_t sent =
		    send(connection->fd, out.data, out.bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
			die("send");
		if (sent <= 0)
			break;
		buffer_consume(&connection->out, (size_t)sent);
	}
	bool wants = buffer_bytes(&connection->out) > 0;
	if (wants == connection->wants_write)
		return;
	connection->wants_write = wants;
	struct epoll_event event = {
	    .events = EPOLLIN | (wants ? (uint32_t)EPOLLOUT : 0), .data.ptr = connection};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event))
		die("epoll");
}

static void take_reply(struct connection *connection, struct slice wire, uint64_t now)
{
	uint64_t due = connection->due_ns[connection->first];
	connection->first = (connection->first + 1) % OUTSTANDING_MAX;
	connection->count--;
	answered++;
	if (wire.data[0] == '-') {
		if (!errors++)
			snprintf(first_error, sizeof(first_error), "%.*s", (int)wire.bytes - 2,
			    (const char *)wire.data);
	}
	if (!warm)
		return;
	calls++;
	histogram_record(&latencies, now > due ? now - due : 0);
}

static void receive(struct connection *connection)
{
	uint8_t *room;
	if (buffer_reserve(&connection->in, 65536, &room))
		die("memory");
	ssize_t got = recv(connection->fd, room, 65536, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0)
		die("the server closed the connection");
	buffer_commit(&connection->in, (size_t)got);
	uint64_t now = clock_monotonic_ns();
	while (buffer_bytes(&connection->in)) {
		struct slice in = buffer_view(&connection->in);
		resp_reader_feed(&connection->reader, in);
		int error = resp_reader_whole(&connection->reader);
		if (error == ERR_TRUNCATED)
			return;
		if (error || connection->count == 0) {
			errno = EPROTO;
			die("reply");
		}
		size_t bytes = resp_reader_offset(&connection->reader);
		take_reply(connection, slice_of(in.data, bytes), now);
		buffer_consume(&connection->in, bytes);
		resp_reader_init(&connection->reader, 1 << 20, RESP_DEPTH_MAX);
		if (!options.rate)
			add_call(connection, now);
	}
}

/* Sleeps until then, not around it: a load that spins takes a processor away from what it
 * measures, the kernel's own threads that end a write of the server included. */
static struct timespec wait_time(uint64_t now, uint64_t next_due, uint64_t end)
{
	uint64_t until = options.rate && next_due < end ? next_due : end;
	uint64_t left = until > now ? until - now : 0;
	return (struct timespec){
	    .tv_sec = (time_t)(left / NS_PER_S), .tv_nsec = (long)(left % NS_PER_S)};
}

static void run(void)
{
	struct epoll_event events[64];
	uint64_t period = options.rate ? NS_PER_S / options.rate : 0;
	uint64_t warm_at = begin_ns + (options.each ? 0 : NS_PER_S / 2);
	uint64_t end = warm_at + options.seconds * NS_PER_S;
	uint64_t next_due = begin_ns, now = begin_ns;
	size_t turn = 0;
	size_t spread = options.connections > 0 ? options.connections : 1;
	while (now < end && !(options.each && answered == options.entities)) {
		while (options.rate && next_due <= now) {
			add_call(&connections[turn++ % spread], next_due);
			next_due += period;
		}
		for (size_t i = 0; i < options.connections; i++)
			if (!connections[i].wants_write && buffer_bytes(&connections[i].out))
				flush(&connections[i]);
		struct timespec wait = wait_time(now, next_due, end);
		int count = epoll_pwait2(epoll_fd, events, 64, &wait, NULL);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (events[i].events & EPOLLOUT)
				flush(connection);
			if (events[i].events & ~(uint32_t)EPOLLOUT)
				receive(connection);
		}
		now = clock_monotonic_ns();
		if (!warm && now >= warm_at) {
			warm = true;
			begin_ns = now;
		}
	}
}

static unsigned long number(const char *text, unsigned long max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (*end || value > max) {
		fprintf(stderr, "resp_load: not a number up to %lu: %s\n", max, text);
		exit(2);
	}
	return value;
}

static void parse(int argc, char **argv)
{
	static const struct option longs[] = {{"connections", required_argument, NULL, 'c'},
	    {"pipeline", required_argument, NULL, 'p'}, {"seconds", required_argument, NULL, 's'},
	    {"rate", required_argument, NULL, 'r'}, {"entities", required_argument, NULL, 'e'},
	    {"function", required_argument, NULL, 'f'}, {"type", required_argument, NULL, 't'},
	    {"seed", required_argument, NULL, 'd'}, {"each", no_argument, NULL, 'a'},
	    {NULL, 0, NULL, 0}};
	int choice;
	while ((choice = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (choice == 'c')
			options.connections = number(optarg, CONNECTIONS_MAX);
		else if (choice == 'p')
			options.pipeline = number(optarg, PIPELINE_MAX);
		else if (choice == 's')
			options.seconds = number(optarg, 3600);
		else if (choice == 'r')
			options.rate = number(optarg, 10000000);
		else if (choice == 'e')
			options.entities = number(optarg, 1000000000);
		else if (choice == 'd')
			options.seed = number(optarg, UINT32_MAX);
		else if (choice == 'a')
			options.each = true;
		else if (choice == 'f')
			options.function = optarg;
		else if (choice == 't')
			options.type = optarg;
		else
			exit(2);
	}
	if (optind + 1 != argc || !options.connections || !options.pipeline || !options.entities) {
		fprintf(stderr, "usage: resp_load PORT [--connections N] [--pipeline N] ...\n");
		exit(2);
	}
	options.port = number(argv[optind], 65535);
}

static void print(uint64_t elapsed_ns)
{
	static struct histogram_view view;
	histogram_merge(&view, &latencies);
	double seconds = (double)elapsed_ns / 1e9;
	printf("calls=%llu seconds=%.2f rate=%.0f p50_us=%.0f p99_us=%.0f p999_us=%.0f "
	       "max_us=%.0f errors=%llu refused=%llu\n",
	    (unsigned long long)calls, seconds, (double)calls / seconds,
	    (double)histogram_quantile(&view, 500000) / 1e3,
	    (double)histogram_quantile(&view, 990000) / 1e3,
	    (double)histogram_quantile(&view, 999000) / 1e3, (double)view.max / 1e3,
	    (unsigned long long)errors, (unsigned long long)refused);
	if (errors)
		fprintf(stderr, "resp_load: the first error: %s\n", first_error);
}

int main(int argc, char **argv)
{
	parse(argc, argv);
	random_init(&dice, options.seed);
	prctl(PR_SET_TIMERSLACK, 1UL); /* or each sleep may last 50 us longer */
	epoll_fd = epoll_create1(0);
	if (epoll_fd < 0)
		die("epoll");
	for (size_t i = 0; i < options.connections; i++)
		connect_one(&connections[i]);
	begin_ns = clock_monotonic_ns();
	for (size_t i = 0; i < options.connections && !options.rate; i++)
		for (size_t j = 0; j < options.pipeline; j++)
			add_call(&connections[i], begin_ns);
	run();
	print(clock_monotonic_ns() - begin_ns);
	for (size_t i = 0; i < options.connections; i++) {
		close(connections[i].fd);
		buffer_done(&connections[i].out);
		buffer_done(&connections[i].in);
		free(connections[i].due_ns);
	}
	bool all = !options.each || answered == options.entities;
	return errors || !all ? 1 : 0;
}
