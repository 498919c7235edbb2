/* Links between nodes over loopback, one core to one core: two processes' worth of work in two
 * threads, or all of it in one for an instruction count.
 *
 *     peer_bench [SECONDS]             messages and bytes a second, by size
 *     peer_bench count BYTES MESSAGES  sends so many from one node to another in this thread and
 *                                      ends: for callgrind
 *
 * Messages are entries (class PEER_ENTRIES) in batches of 32 a turn, as much as the queue takes. Of
 * 4 KiB and more some can be compressed and some cannot. */
#include <inttypes.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/log_line.h"
#include "base/random.h"
#include "replication/peer/peer.h"

enum { BATCH = 32, MESSAGE_BYTES_MAX = 256 * 1024 };

struct side {
	struct io *io;
	struct peers *peers;
	struct peer *other;
	bool up;
	uint64_t messages, bytes;
};

static struct side sides[2];
static uint8_t data[2 * MESSAGE_BYTES_MAX];
static _Atomic bool stop;
static _Atomic uint16_t listening; /* the receiver's port */

static void fail(const char *what, int error)
{
	fprintf(stderr, "peer_bench: %s: %s\n", what, error_text(error));
	exit(1);
}

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	(void)peer;
	(void)them;
	((struct side *)arg)->up = true;
}

static void down(void *arg, struct peer *peer, int error)
{
	(void)arg;
	(void)peer;
	if (!stop && error != ERR_CANCELED)
		fail("the link ended", error);
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct side *side = arg;
	(void)peer;
	(void)class;
	(void)kind;
	side->messages++;
	side->bytes += bytes.bytes;
}

static struct peer_identity identity(int number)
{
	return (struct peer_identity){
	    .node = (uint64_t)number + 1, .incarnation = 1, .cores = 1, .stores = 2};
}

static void open_side(int number, uint16_t port)
{
	struct side *side = &sides[number];
	char why[256];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct peer_identity them = identity(1 - number);
	struct peers_options options = {.self = identity(number),
	    .secret = slice_from_text("the secret of a benchmark"),
	    .callbacks = {.up = up, .down = down, .message = message, .arg = side},
	    .entropy = peers_entropy_system};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	*side = (struct side){0};
	if (io_new(NULL, why, sizeof(why), &side->io) != 0) {
		fprintf(stderr, "peer_bench: %s\n", why);
		exit(1);
	}
	int error = peers_new(side->io, &options, &side->peers);
	if (error == 0 && port == 0)
		error = peers_listen(side->peers, (struct sockaddr *)&address, sizeof(address));
	if (error == 0)
		error = peer_add(side->peers, &them, (struct sockaddr *)&address,
		    port == 0 ? 0 : sizeof(address), NULL, &side->other);
	if (error != 0)
		fail("a node", error);
}

static void turn(struct side *side, uint64_t wait_ns)
{
	io_poll(side->io, wait_ns);
	io_run(side->io);
	peers_turn(side->peers);
}

static void close_side(struct side *side)
{
	peers_stop(side->peers);
	while (!peers_stopped(side->peers))
		turn(side, NS_PER_MS);
	peers_free(side->peers);
	io_free(side->io);
}

/* As many as the queue takes, at most a batch. */
static uint64_t send_batch(size_t bytes, uint64_t most)
{
	struct side *side = &sides[1];
	uint64_t sent = 0;
	for (; sent < most && sent < BATCH; sent++) {
		struct iovec iov = {
		    .iov_base = data + side->messages++ * 64 % MESSAGE_BYTES_MAX, .iov_len = bytes};
		int error = peer_send(side->other, PEER_ENTRIES, 1, &iov, 1);
		if (error == ERR_FULL)
			break;
		if (error != 0)
			fail("peer_send", error);
	}
	return sent;
}

static int count(size_t bytes, uint64_t messages)
{
	open_side(0, 0);
	open_side(1, peers_port(sides[0].peers));
	while (!sides[0].up || !sides[1].up)
		for (int i = 0; i < 2; i++)
			turn(&sides[i], 0);
	for (uint64_t sent = 0; sides[0].messages < messages;) {
		sent += send_batch(bytes, messages - sent);
		turn(&sides[1], 0);
		turn(&sides[0], 0);
	}
	printf("%" PRIu64 " messages of %zu bytes\n", sides[0].messages, bytes);
	stop = true;
	close_side(&sides[1]);
	close_side(&sides[0]);
	return 0;
}

/* A ring is its thread's from its begin on. */
static void *receive(void *arg)
{
	(void)arg;
	open_side(0, 0);
	atomic_store(&listening, peers_port(sides[0].peers));
	while (!stop)
		turn(&sides[0], 10 * NS_PER_MS);
	close_side(&sides[0]);
	return NULL;
}

static void measure(size_t bytes, double seconds)
{
	pthread_t receiver;
	stop = false;
	atomic_store(&listening, 0);
	if (pthread_create(&receiver, NULL, receive, NULL) != 0)
		fail("a thread", ERR_AGAIN);
	while (atomic_load(&listening) == 0)
		sched_yield();
	open_side(1, atomic_load(&listening));
	while (!sides[1].up)
		turn(&sides[1], NS_PER_MS);
	uint64_t begun_ns = clock_monotonic_ns();
	uint64_t thread_begun_ns = clock_thread_ns();
	uint64_t end_ns = begun_ns + (uint64_t)(seconds * (double)NS_PER_S);
	while (io_now_ns(sides[1].io) < end_ns) {
		uint64_t sent = send_batch(bytes, BATCH);
		turn(&sides[1], sent == BATCH ? 0 : NS_PER_MS);
	}
	double took = (double)(clock_monotonic_ns() - begun_ns) / (double)NS_PER_S;
	double ran = (double)(clock_thread_ns() - thread_begun_ns) / (double)NS_PER_S;
	struct peers_figures figures = peers_figures(sides[1].peers);
	stop = true;
	pthread_join(receiver, NULL);
	double messages = (double)sides[0].messages;
	printf("%8zu bytes  %9.0f messages/s  %8.1f MB/s  %6.2f us of the sender each  "
	       "%6.1f messages a write\n",
	    bytes, messages / took, (double)sides[0].bytes / took / 1e6, ran / messages * 1e6,
	    messages / (double)figures.writes);
	close_side(&sides[1]);
}

int main(int argc, char **argv)
{
	struct random random;
	random_init(&random, 1);
	random_bytes(&random, data, sizeof(data));
	/* Half of it could be shorter. */
	for (size_t i = 0; i < sizeof(data); i++)
		if (i / 8192 % 2 == 0)
			data[i] = (uint8_t)(i / 24);
	log_line_set_level(LEVEL_ERROR);
	if (argc == 4 && strcmp(argv[1], "count") == 0) {
		size_t bytes = strtoull(argv[2], NULL, 10);
		if (bytes > MESSAGE_BYTES_MAX)
			fail("BYTES", ERR_TOO_LARGE);
		return count(bytes, strtoull(argv[3], NULL, 10));
	}
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;
	static const size_t sizes[] = {64, 256, 1024, 4096, 65536, 262144};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		measure(sizes[i], seconds);
	return 0;
}
