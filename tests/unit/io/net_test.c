/* What only the simulated network does: machines that are cut off, go silent, lose their power. */
#include "tests/unit/io/suites.h"

#include <netinet/in.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"

enum { PORT = 7471, STEPS_MAX = 2000000, MESSAGE_BYTES = 1000 };

/* A process that listens, connects, sends its messages and counts what it gets. */
struct process {
	struct sim_node *node;
	struct io *io;
	struct io_listener *listener;
	struct io_socket *socket;
	struct io_op connecting, sending;
	struct iovec iov;
	uint8_t message[MESSAGE_BYTES];
	uint64_t received_bytes, wrong_bytes, sent;
	unsigned connected, accepted, closed, sent_messages;
	int connect_result, close_result;
	uint32_t patience_ms;
	bool paused;
};

static struct sim *sim;
static struct process processes[2];

static uint8_t expected(uint64_t position)
{
	return (uint8_t)(position % MESSAGE_BYTES * 3);
}

static void received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	struct process *process = owner;
	(void)socket;
	for (size_t i = 0; i < bytes; i++)
		process->wrong_bytes += data[i] != expected(process->received_bytes++);
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	struct process *process = owner;
	if (process->socket == socket)
		process->socket = NULL;
	process->closed++;
	process->close_result = result;
}

static const struct io_socket_events events = {.received = received, .closed = closed};

static void start(struct process *process, struct io_socket *socket)
{
	process->socket = socket;
	if (process->patience_ms != 0)
		io_socket_set_patience(socket, process->patience_ms);
	io_socket_pause(socket, process->paused);
	io_socket_start(socket, &events, process);
}

static void accepted(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	struct process *process = owner;
	(void)listener;
	process->accepted++;
	start(process, socket);
}

static void connected(struct io_op *op)
{
	struct process *process = CONTAINER_OF(op, struct process, connecting);
	process->connected++;
	process->connect_result = (int)op->result;
	if (op->result == 0)
		start(process, process->socket);
}

static void turn(void *arg)
{
	io_run(((struct process *)arg)->io);
}

static void begin(void *arg)
{
	struct process *process = arg;
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	ck_assert_int_eq(io_listen(process->io, (struct sockaddr *)&address, sizeof(address),
	                     accepted, process, &process->listener),
	    0);
}

static void boot(int number)
{
	struct process *process = &processes[number];
	struct sim_node *node = process->node;
	*process = (struct process){.node = node};
	for (size_t i = 0; i < MESSAGE_BYTES; i++)
		process->message[i] = expected(i);
	process->io = sim_node_boot(node);
	sim_node_set_turn(node, turn, process);
	ck_assert(sim_node_run(node, begin, process));
}

static void dial(void *arg)
{
	struct process *process = arg;
	const struct process *other = &processes[process == &processes[0] ? 1 : 0];
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	address.sin_addr.s_addr = htonl(sim_node_address(other->node));
	process->connecting = (struct io_op){.done = connected};
	io_connect(process->io, &process->connecting, (struct sockaddr *)&address, sizeof(address),
	    &process->socket);
}

static void send_next(struct io_op *op)
{
	struct process *process = CONTAINER_OF(op, struct process, sending);
	if (op->result != 0 || process->sent_messages == 0)
		return;
	process->sent_messages--;
	process->sent += MESSAGE_BYTES;
	process->iov =
	    (struct iovec){.iov_base = process->message, .iov_len = sizeof(process->message)};
	io_send(process->socket, op, &process->iov, 1);
}

static void send_some(void *arg)
{
	struct process *process = arg;
	process->sending = (struct io_op){.done = send_next};
	send_next(&process->sending);
}

static void send_messages(int number, unsigned count)
{
	processes[number].sent_messages = count;
	ck_assert(sim_node_run(processes[number].node, send_some, &processes[number]));
}

static bool both_know(void *arg)
{
	(void)arg;
	return processes[0].connected == 1 && processes[1].accepted == 1;
}

static void make(const struct sim_faults *faults, uint64_t seed)
{
	sim = sim_new(seed, faults);
	for (int i = 0; i < 2; i++) {
		processes[i].node = sim_node_new(sim);
		boot(i);
	}
}

static void connect_both(void)
{
	ck_assert(sim_node_run(processes[0].node, dial, &processes[0]));
	ck_assert(sim_run_until(sim, both_know, NULL, STEPS_MAX));
	ck_assert_int_eq(processes[0].connect_result, 0);
}

static void make_pair(const struct sim_faults *faults, uint64_t seed)
{
	make(faults, seed);
	connect_both();
}

static void pass(uint64_t ns)
{
	ck_assert(sim_pass(sim, ns, STEPS_MAX));
}

static void cut_both(bool cut)
{
	sim_net_cut(processes[0].node, processes[1].node, cut);
	sim_net_cut(processes[1].node, processes[0].node, cut);
}

START_TEST(a_partition_holds_bytes_up_and_loses_none)
{
	make_pair(NULL, 1);
	cut_both(true);
	send_messages(0, 500);
	pass(30 * NS_PER_S);
	ck_assert_uint_eq(processes[1].received_bytes, 0);
	ck_assert_uint_lt(processes[0].sent, 500 * MESSAGE_BYTES);
	cut_both(false);
	pass(30 * NS_PER_S);
	ck_assert_uint_eq(processes[1].received_bytes, 500 * MESSAGE_BYTES);
	ck_assert_uint_eq(processes[1].wrong_bytes, 0);
	ck_assert_uint_eq(processes[0].closed + processes[1].closed, 0);
	ck_assert_uint_gt(sim_figures(sim).net_held, 0);
	sim_free(sim);
}
END_TEST

START_TEST(one_way_the_bytes_come_and_the_sender_does_not_know)
{
	make_pair(NULL, 2);
	io_socket_set_patience(processes[0].socket, 3000);
	sim_net_cut(processes[1].node, processes[0].node, true);
	send_messages(0, 10);
	pass(NS_PER_S);
	ck_assert_uint_eq(processes[1].received_bytes, 10 * MESSAGE_BYTES);
	pass(10 * NS_PER_S);
	ck_assert_uint_eq(processes[0].closed, 1);
	ck_assert_int_eq(processes[0].close_result, ERR_TIMEOUT);
	ck_assert_uint_eq(processes[1].closed, 0);
	sim_free(sim);
}
END_TEST

START_TEST(a_killed_process_ends_its_connections)
{
	make_pair(NULL, 3);
	sim_node_crash(processes[0].node, SIM_KILL);
	pass(NS_PER_S);
	ck_assert_uint_eq(processes[1].closed, 1);
	ck_assert_int_eq(processes[1].close_result, 0);
	ck_assert(sim_node_run(processes[1].node, dial, &processes[1]));
	pass(NS_PER_S);
	ck_assert_int_eq(processes[1].connect_result, ERR_REFUSED);
	sim_free(sim);
}
END_TEST

START_TEST(after_a_power_cut_the_connection_is_half_open_until_the_machine_runs)
{
	make_pair(NULL, 4);
	sim_node_crash(processes[1].node, SIM_POWER_CUT);
	pass(30 * NS_PER_S);
	ck_assert_uint_eq(processes[0].closed, 0);
	send_messages(0, 10);
	pass(30 * NS_PER_S);
	ck_assert_uint_eq(processes[0].closed, 0);
	boot(1);
	pass(30 * NS_PER_S);
	ck_assert_uint_eq(processes[0].closed, 1);
	ck_assert_int_eq(processes[0].close_result, ERR_CLOSED);
	ck_assert_uint_eq(processes[1].received_bytes, 0);
	sim_free(sim);
}
END_TEST

START_TEST(connecting_to_a_machine_that_is_off_takes_minutes)
{
	make(NULL, 5);
	sim_node_crash(processes[1].node, SIM_POWER_CUT);
	ck_assert(sim_node_run(processes[0].node, dial, &processes[0]));
	pass(60 * NS_PER_S);
	ck_assert_uint_eq(processes[0].connected, 0);
	pass(300 * NS_PER_S);
	ck_assert_uint_eq(processes[0].connected, 1);
	ck_assert_int_eq(processes[0].connect_result, ERR_TIMEOUT);
	sim_free(sim);
}
END_TEST

START_TEST(a_process_that_ends_while_it_connects_leaves_nothing)
{
	make(NULL, 6);
	ck_assert(sim_node_run(processes[0].node, dial, &processes[0]));
	sim_node_crash(processes[0].node, SIM_KILL);
	pass(NS_PER_S);
	ck_assert_uint_eq(processes[1].accepted, 0);
	boot(0);
	connect_both();
	send_messages(1, 3);
	pass(NS_PER_S);
	ck_assert_uint_eq(processes[0].received_bytes, 3 * MESSAGE_BYTES);
	sim_free(sim);
}
END_TEST

START_TEST(silence_is_noticed_by_patience_alone)
{
	make_pair(NULL, 7);
	io_socket_set_patience(processes[0].socket, 2000);
	sim_net_silence(processes[0].node, processes[1].node);
	send_messages(0, 1);
	pass(NS_PER_S);
	ck_assert_uint_eq(processes[0].closed, 0);
	pass(10 * NS_PER_S);
	ck_assert_int_eq(processes[0].close_result, ERR_TIMEOUT);
	ck_assert_uint_eq(processes[1].closed, 0);
	/* Another connection is another matter. */
	processes[0].connected = processes[1].accepted = 0;
	connect_both();
	sim_net_reset(processes[0].node, processes[1].node);
	pass(NS_PER_S);
	ck_assert_int_eq(processes[0].close_result, ERR_CLOSED);
	sim_free(sim);
}
END_TEST

START_TEST(a_reader_that_does_not_read_closes_the_window)
{
	struct sim_faults faults = {.net_buffer_bytes = 10000};
	make_pair(&faults, 8);
	io_socket_pause(processes[1].socket, true);
	send_messages(0, 500);
	pass(5 * NS_PER_S);
	ck_assert_uint_lt(processes[0].sent, 60 * MESSAGE_BYTES);
	ck_assert_uint_gt(sim_figures(sim).net_windows_closed, 0);
	io_socket_pause(processes[1].socket, false);
	pass(5 * NS_PER_S);
	ck_assert_uint_eq(processes[1].received_bytes, 500 * MESSAGE_BYTES);
	ck_assert_uint_eq(processes[1].wrong_bytes, 0);
	sim_free(sim);
}
END_TEST

START_TEST(bandwidth_is_a_bound)
{
	struct sim_faults faults = {.net_bytes_per_s = 100 * 1000};
	make_pair(&faults, 9);
	send_messages(0, 500);
	pass(NS_PER_S);
	ck_assert_uint_lt(processes[1].received_bytes, 110 * 1000);
	pass(5 * NS_PER_S);
	ck_assert_uint_eq(processes[1].received_bytes, 500 * MESSAGE_BYTES);
	sim_free(sim);
}
END_TEST

static uint64_t random_world(uint64_t seed, struct sim_figures *sum)
{
	struct sim_faults faults = {.net_reset_ppm = 3000,
	    .net_silent_ppm = 1000,
	    .net_stall_ppm = 20000,
	    .net_flip_ppm = seed % 2 == 0 ? 3000 : 0};
	make_pair(&faults, seed);
	processes[0].patience_ms = 4000;
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 2; i++)
			if (processes[i].socket != NULL && processes[i].sending.state == 0)
				send_messages(i, 40);
		if (processes[0].socket == NULL && processes[0].connecting.state == 0)
			ck_assert(sim_node_run(processes[0].node, dial, &processes[0]));
		pass(sim_random_below(sim, NS_PER_S));
		cut_both(round % 5 == 3);
		if (seed % 2 == 1 && processes[0].closed + processes[1].closed == 0)
			ck_assert_uint_eq(processes[0].wrong_bytes + processes[1].wrong_bytes, 0);
	}
	uint64_t hash = sim_trace_hash(sim);
	struct sim_figures figures = sim_figures(sim);
#define X(name) sum->name += figures.name;
	SIM_NET_FIGURE_LIST(X)
#undef X
	sim_free(sim);
	return hash;
}

START_TEST(the_same_seed_gives_the_same_network)
{
	struct sim_figures sum = {0};
	for (uint64_t seed = 1; seed <= 60; seed++)
		ck_assert_uint_eq(random_world(seed, &sum), random_world(seed, &sum));
	ck_assert_uint_ne(random_world(1, &sum), random_world(2, &sum));
	ck_assert_uint_gt(sum.net_resets, 0);
	ck_assert_uint_gt(sum.net_silenced, 0);
	ck_assert_uint_gt(sum.net_stalls, 0);
	ck_assert_uint_gt(sum.net_flips, 0);
	ck_assert_uint_gt(sum.net_timeouts, 0);
}
END_TEST

Suite *net_suite(void)
{
	Suite *suite = suite_create("net");
	TCase *tcase = tcase_create("net");
	tcase_add_test(tcase, a_partition_holds_bytes_up_and_loses_none);
	tcase_add_test(tcase, one_way_the_bytes_come_and_the_sender_does_not_know);
	tcase_add_test(tcase, a_killed_process_ends_its_connections);
	tcase_add_test(tcase, after_a_power_cut_the_connection_is_half_open_until_the_machine_runs);
	tcase_add_test(tcase, connecting_to_a_machine_that_is_off_takes_minutes);
	tcase_add_test(tcase, a_process_that_ends_while_it_connects_leaves_nothing);
	tcase_add_test(tcase, silence_is_noticed_by_patience_alone);
	tcase_add_test(tcase, a_reader_that_does_not_read_closes_the_window);
	tcase_add_test(tcase, bandwidth_is_a_bound);
	tcase_add_test(tcase, the_same_seed_gives_the_same_network);
	suite_add_tcase(suite, tcase);
	return suite;
}
