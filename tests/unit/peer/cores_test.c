/* A node whose cores are threads, all listening on one port: links get to the core that each means,
 * whichever the kernel gave them to. The dialers are many nodes on the test's own thread. */
#include "tests/unit/peer/suites.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/io/mailbox.h"
#include "replication/peer/peer.h"

enum { CORES = 2, DIALERS = 24, MAILBOX_MESSAGES = 64 };

static const uint64_t PATIENCE_NS = 60 * NS_PER_S;
static const uint64_t THE_NODE = 1000;

struct core {
	uint16_t number;
	struct io *io;
	struct peers *peers;
	pthread_t thread;
	struct mailbox *from_other;
	_Atomic bool ready, stop, stopped;
	uint64_t handed_over, taken_over, refused;
};

struct dialer {
	struct peers *peers;
	struct peer *cores[CORES];
	unsigned ups, answers;
};

static struct core cores[CORES];
static struct dialer dialers[DIALERS];
static uint16_t port;
static unsigned ups, answers;
static pthread_barrier_t over;

static struct peer_identity identity(uint64_t node, uint16_t core, uint16_t count)
{
	return (struct peer_identity){.cluster = "threads",
	    .node = node,
	    .incarnation = 5,
	    .core = core,
	    .cores = count,
	    .stores = 1};
}

static struct io *ring_new(void)
{
	char why[256];
	struct io *io = NULL;
	ck_assert_msg(io_new(NULL, why, sizeof(why), &io) == 0, "%s", why);
	return io;
}

static struct sockaddr_in local(uint16_t at)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(at)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

/* ---- A core ---- */

static void nothing_up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	(void)arg;
	(void)peer;
	(void)them;
}

static void nothing_down(void *arg, struct peer *peer, int error)
{
	(void)arg;
	(void)peer;
	(void)error;
}

static void answer(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	const struct core *core = arg;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	ck_assert_uint_eq(kind, core->number);
	ck_assert_int_eq(peer_send(peer, class, kind, &iov, 1), 0);
}

static void let_in(void *arg, const struct peer_identity *them)
{
	const struct core *core = arg;
	struct peer *peer = NULL;
	ck_assert_int_eq(peer_add(core->peers, them, NULL, 0, NULL, &peer), 0);
}

static void elsewhere(void *arg, uint16_t number, struct peer_handover *handover)
{
	const struct core *core = arg;
	ck_assert_uint_eq(number, 1 - core->number);
	if (mailbox_send(cores[number].from_other, handover) != 0)
		peer_handover_free(handover);
}

static void woken(void *arg)
{
	const struct core *core = arg;
	struct peer_handover *handover;
	while ((handover = mailbox_receive(core->from_other)) != NULL)
		peers_take(core->peers, handover);
}

static void turn(const struct core *core)
{
	io_poll(core->io, 10 * NS_PER_MS);
	io_run(core->io);
	peers_turn(core->peers);
	mailbox_flush(cores[1 - core->number].from_other, core->io);
}

static void *core_main(void *arg)
{
	struct core *core = arg;
	struct sockaddr_in address = local(port);
	struct peers_options options = {.self = identity(THE_NODE, core->number, CORES),
	    .callbacks = {.up = nothing_up,
	        .down = nothing_down,
	        .message = answer,
	        .stranger = let_in,
	        .elsewhere = elsewhere,
	        .arg = core},
	    .entropy = peers_entropy_system};
	core->io = ring_new();
	ck_assert_int_eq(mailbox_new(MAILBOX_MESSAGES, core->io, &core->from_other), 0);
	io_on_wake(core->io, woken, core);
	ck_assert_int_eq(peers_new(core->io, &options, &core->peers), 0);
	ck_assert_int_eq(
	    peers_listen(core->peers, (struct sockaddr *)&address, sizeof(address)), 0);
	if (port == 0)
		port = peers_port(core->peers);
	atomic_store(&core->ready, true);
	/* Nobody sends to a mailbox that is not there yet. */
	while (!atomic_load(&cores[0].ready) || !atomic_load(&cores[1].ready))
		io_poll(core->io, NS_PER_MS);
	while (!atomic_load(&core->stop))
		turn(core);
	struct peers_figures figures = peers_figures(core->peers);
	core->handed_over = figures.handed_over;
	core->taken_over = figures.taken_over;
	core->refused = figures.refused_by_us;
	peers_stop(core->peers);
	while (!peers_stopped(core->peers))
		turn(core);
	/* The other one hands nothing over any more when both are here. */
	atomic_store(&core->stopped, true);
	while (!atomic_load(&cores[0].stopped) || !atomic_load(&cores[1].stopped))
		turn(core);
	/* What it has to say to the other's ring is said, and then both go. */
	io_poll(core->io, 0);
	pthread_barrier_wait(&over);
	woken(core);
	peers_free(core->peers);
	io_free(core->io);
	return NULL;
}

/* ---- Those who dial ---- */

static void is_up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct dialer *dialer = arg;
	const struct core *core = peer_arg(peer);
	struct iovec iov = {.iov_base = "who is there", .iov_len = 12};
	ck_assert_uint_eq(them->node, THE_NODE);
	ck_assert_uint_eq(them->core, core->number);
	dialer->ups++;
	ups++;
	ck_assert_int_eq(peer_send(peer, PEER_ENTRIES, (uint8_t)core->number, &iov, 1), 0);
}

static void answered(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct dialer *dialer = arg;
	(void)peer;
	(void)class;
	(void)kind;
	ck_assert_uint_eq(bytes.bytes, 12);
	dialer->answers++;
	answers++;
}

static void dial(struct io *io, struct dialer *dialer, uint64_t node)
{
	struct sockaddr_in address = local(port);
	struct peers_options options = {.self = identity(node, 0, 1),
	    .callbacks = {.up = is_up, .down = nothing_down, .message = answered, .arg = dialer},
	    .entropy = peers_entropy_system};
	ck_assert_int_eq(peers_new(io, &options, &dialer->peers), 0);
	for (unsigned i = 0; i < CORES; i++) {
		struct peer_identity them = identity(THE_NODE, (uint16_t)i, CORES);
		ck_assert_int_eq(peer_add(dialer->peers, &them, (struct sockaddr *)&address,
		                     sizeof(address), &cores[i], &dialer->cores[i]),
		    0);
	}
}

static bool all_answered(void)
{
	return answers >= DIALERS * CORES;
}

static bool all_stopped(void)
{
	for (int i = 0; i < DIALERS; i++)
		if (!peers_stopped(dialers[i].peers))
			return false;
	return true;
}

static void run(struct io *io, bool (*until)(void))
{
	uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;
	while (!until()) {
		ck_assert_msg(clock_monotonic_ns() < give_up_ns, "waited in vain");
		io_poll(io, 10 * NS_PER_MS);
		io_run(io);
		for (int i = 0; i < DIALERS; i++)
			peers_turn(dialers[i].peers);
	}
}

static void start_cores(void)
{
	uint64_t give_up_ns = clock_monotonic_ns() + PATIENCE_NS;
	port = 0;
	ck_assert_int_eq(pthread_barrier_init(&over, NULL, CORES), 0);
	for (unsigned i = 0; i < CORES; i++)
		cores[i] = (struct core){.number = (uint16_t)i};
	for (unsigned i = 0; i < CORES; i++) {
		ck_assert_int_eq(pthread_create(&cores[i].thread, NULL, core_main, &cores[i]), 0);
		while (!atomic_load(&cores[i].ready))
			ck_assert_msg(clock_monotonic_ns() < give_up_ns, "waited in vain");
	}
}

static void stop_cores(void)
{
	for (unsigned i = 0; i < CORES; i++)
		atomic_store(&cores[i].stop, true);
	for (unsigned i = 0; i < CORES; i++)
		ck_assert_int_eq(pthread_join(cores[i].thread, NULL), 0);
	for (unsigned i = 0; i < CORES; i++)
		mailbox_free(cores[i].from_other);
	pthread_barrier_destroy(&over);
}

START_TEST(links_get_to_their_threads_from_one_port)
{
	struct io *io = ring_new();
	ups = answers = 0;
	start_cores();
	for (uint64_t i = 0; i < DIALERS; i++) {
		dialers[i] = (struct dialer){0};
		dial(io, &dialers[i], i + 1);
	}
	run(io, all_answered);
	uint64_t dials = 0;
	for (int i = 0; i < DIALERS; i++) {
		ck_assert_uint_eq(dialers[i].answers, CORES);
		dials += peers_figures(dialers[i].peers).dials;
		peers_stop(dialers[i].peers);
	}
	run(io, all_stopped);
	for (int i = 0; i < DIALERS; i++)
		peers_free(dialers[i].peers);
	stop_cores();
	/* The kernel chooses by ports: that it never chose the wrong one is 1 in 2^48. */
	ck_assert_uint_gt(cores[0].handed_over + cores[1].handed_over, 0);
	ck_assert_uint_eq(cores[0].handed_over, cores[1].taken_over);
	ck_assert_uint_eq(cores[1].handed_over, cores[0].taken_over);
	ck_assert_uint_eq(cores[0].refused + cores[1].refused, 0);
	ck_assert_uint_eq(dials, DIALERS * CORES);
	io_free(io);
}
END_TEST

Suite *cores_suite(void)
{
	Suite *suite = suite_create("cores");
	TCase *tcase = tcase_create("cores");
	tcase_add_test(tcase, links_get_to_their_threads_from_one_port);
	suite_add_tcase(suite, tcase);
	return suite;
}
