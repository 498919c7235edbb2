/* A machine that connects again and again and proves nothing, and another one that is slow to: on
 * simulated machines, which have an address each. */
#include "tests/unit/peer/suites.h"

#include <netinet/in.h>

#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "replication/peer/peer.h"

enum { PORT = 7471, STEPS_MAX = 2000000, DIALS_MAX = 3 * PEER_STRANGERS_MAX };

struct dial {
	struct io_op connecting;
	struct io_socket *socket;
	struct machine *machine;
	bool closed;
};

struct machine {
	struct sim_node *node;
	struct io *io;
	struct dial dials[DIALS_MAX];
	unsigned wanted, begun, connected, closed;
};

static struct sim *sim;
static struct machine server, flooder, slow;
static struct peers *peers;

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

static void nothing_said(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	(void)arg;
	(void)peer;
	(void)class;
	(void)kind;
	(void)bytes;
}

static void turn(void *arg)
{
	io_run(((struct machine *)arg)->io);
}

static void received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	(void)socket;
	(void)owner;
	(void)data;
	(void)bytes;
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	struct dial *dial = owner;
	(void)socket;
	(void)result;
	dial->closed = true;
	dial->machine->closed++;
}

static const struct io_socket_events events = {.received = received, .closed = closed};

static void connected(struct io_op *op)
{
	struct dial *dial = CONTAINER_OF(op, struct dial, connecting);
	ck_assert_int_eq((int)op->result, 0);
	dial->machine->connected++;
	io_socket_start(dial->socket, &events, dial);
}

static void dial_more(void *arg)
{
	struct machine *machine = arg;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	address.sin_addr.s_addr = htonl(sim_node_address(server.node));
	for (; machine->begun < machine->wanted; machine->begun++) {
		struct dial *dial = &machine->dials[machine->begun];
		*dial = (struct dial){.connecting = {.done = connected}, .machine = machine};
		io_connect(machine->io, &dial->connecting, (struct sockaddr *)&address,
		    sizeof(address), &dial->socket);
	}
}

static void listen_there(void *arg)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	struct peers_options options = {
	    .self = {.cluster = "a cluster", .node = 1, .incarnation = 1, .cores = 1, .stores = 1},
	    .secret = slice_from_text("a secret of the cluster"),
	    .callbacks = {.up = nothing_up, .down = nothing_down, .message = nothing_said},
	    .entropy = peers_entropy_system,
	    /* Nobody goes because he was silent. */
	    .handshake_ms = 3600 * 1000};
	(void)arg;
	ck_assert_int_eq(peers_new(server.io, &options, &peers), 0);
	ck_assert_int_eq(peers_listen(peers, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void boot(struct machine *machine)
{
	*machine = (struct machine){.node = sim_node_new(sim)};
	machine->io = sim_node_boot(machine->node);
	sim_node_set_turn(machine->node, turn, machine);
}

static void setup(void)
{
	sim = sim_new(1, NULL);
	boot(&server);
	boot(&flooder);
	boot(&slow);
	ck_assert(sim_node_run(server.node, listen_there, NULL));
}

static void teardown(void)
{
	/* As by a kill: what is open is nobody's. */
	sim_free(sim);
}

static bool all_connected(void *arg)
{
	const struct machine *machine = arg;
	uint64_t accepted = flooder.wanted + slow.wanted;
	return machine->connected == machine->wanted && peers_figures(peers).accepted == accepted;
}

static void dial(struct machine *machine, unsigned count)
{
	machine->wanted += count;
	ck_assert(sim_node_run(machine->node, dial_more, machine));
	ck_assert(sim_run_until(sim, all_connected, machine, STEPS_MAX));
}

static bool closed_enough(void *arg)
{
	(void)arg;
	return flooder.closed + slow.closed == flooder.wanted + slow.wanted - PEER_STRANGERS_MAX;
}

START_TEST(a_flood_pushes_out_itself_and_nobody_else)
{
	/* The oldest of all, and a few more in the middle of it. */
	dial(&slow, 1);
	dial(&flooder, PEER_STRANGERS_MAX);
	dial(&slow, 2);
	dial(&flooder, 2 * PEER_STRANGERS_MAX);
	ck_assert(sim_run_until(sim, closed_enough, NULL, STEPS_MAX));
	ck_assert_uint_eq(slow.closed, 0);
	ck_assert_uint_eq(flooder.closed, 2 * PEER_STRANGERS_MAX + 3);
	/* The oldest went. */
	ck_assert(flooder.dials[0].closed);
	ck_assert(!flooder.dials[3 * PEER_STRANGERS_MAX - 1].closed);
}
END_TEST

Suite *flood_suite(void)
{
	Suite *suite = suite_create("flood");
	TCase *tcase = tcase_create("flood");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, a_flood_pushes_out_itself_and_nobody_else);
	suite_add_tcase(suite, tcase);
	return suite;
}
