#include "tests/unit/peer/rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log_line.h"
#include "base/random.h"
#include "tests/unit/io/platform.h"

struct rig_node nodes[2];
struct middle middle;

static struct io *io;

/* ---- Nodes ---- */

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct rig_node *node = arg;
	ck_assert_ptr_eq(peer, node->other);
	ck_assert_uint_eq(node->ups, node->downs);
	ck_assert(peer_is_up(peer));
	ck_assert_ptr_eq(peer_arg(peer), node);
	node->ups++;
	node->them = *them;
}

static void down(void *arg, struct peer *peer, int error)
{
	struct rig_node *node = arg;
	ck_assert_ptr_eq(peer, node->other);
	ck_assert_uint_eq(node->ups, node->downs + 1);
	ck_assert(!peer_is_up(peer));
	node->downs++;
	node->down_error = error;
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct rig_node *node = arg;
	ck_assert_ptr_eq(peer, node->other);
	ck_assert_uint_eq(node->ups, node->downs + 1);
	ck_assert_uint_lt(node->got_count, MESSAGES_KEPT);
	struct got *got = &node->got[node->got_count++];
	*got = (struct got){
	    .kind = kind, .class = class, .bytes = bytes.bytes, .hash = hash_bytes(bytes, 0)};
	if (bytes.bytes > 0 && bytes.bytes < sizeof(got->text))
		memcpy(got->text, bytes.data, bytes.bytes);
	if (node->on_message != NULL)
		node->on_message(node, got);
}

static void room(void *arg, struct peer *peer, enum peer_class class)
{
	struct rig_node *node = arg;
	ck_assert_ptr_eq(peer, node->other);
	ck_assert_uint_lt(class, PEER_CLASSES);
	node->rooms++;
}

static int entropy(void *arg, uint8_t *to, size_t bytes)
{
	struct rig_node *node = arg;
	struct random random;
	random_init(&random, ++node->entropy);
	random_bytes(&random, to, bytes);
	return 0;
}

static bool stopped(void *arg)
{
	return peers_stopped(arg);
}

static void stop(struct rig_node *node)
{
	if (node->peers == NULL)
		return;
	peers_stop(node->peers);
	rig_run(stopped, node->peers);
	peers_free(node->peers);
	node->peers = NULL;
	node->other = NULL;
	ck_assert_uint_eq(node->ups, node->downs);
}

static void start(struct rig_node *node)
{
	struct sockaddr_in address = rig_address(0);
	ck_assert_int_eq(peers_new(io, &node->options, &node->peers), 0);
	ck_assert_int_eq(
	    peers_listen(node->peers, (struct sockaddr *)&address, sizeof(address)), 0);
}

void rig_restart(int number)
{
	stop(&nodes[number]);
	start(&nodes[number]);
}

void rig_setup(void)
{
	platform_setup();
	io = platform_io();
	memset(nodes, 0, sizeof(nodes));
	for (int i = 0; i < 2; i++) {
		struct rig_node *node = &nodes[i];
		node->entropy = (uint64_t)i << 32;
		node->options = (struct peers_options){.self = {.cluster = "one cluster",
		                                           .node = (uint64_t)i + 1,
		                                           .incarnation = 77,
		                                           .cores = 1,
		                                           .stores = 2},
		    .secret = slice_from_text("a secret of the cluster"),
		    .callbacks =
		        {.up = up, .down = down, .message = message, .room = room, .arg = node},
		    .entropy = entropy,
		    .entropy_arg = node,
		    .ping_ms = 200,
		    .dead_ms = 1000,
		    .redial_ms_min = 5,
		    .redial_ms_max = 50,
		    /* A machine that has other work, too, is no slow network. */
		    .held_up_ms = 60000};
		start(node);
	}
}

void rig_teardown(void)
{
	stop(&nodes[0]);
	stop(&nodes[1]);
	platform_done();
}

struct sockaddr_in rig_address(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return address;
}

int rig_add(int number, uint16_t port)
{
	struct rig_node *node = &nodes[number];
	struct sockaddr_in address = rig_address(port);
	return peer_add(node->peers, &nodes[1 - number].options.self, (struct sockaddr *)&address,
	    port == 0 ? 0 : sizeof(address), node, &node->other);
}

void rig_link(void)
{
	ck_assert_int_eq(rig_add(1, 0), 0);
	ck_assert_int_eq(rig_add(0, peers_port(nodes[1].peers)), 0);
	rig_until(&nodes[0].ups, 1);
	rig_until(&nodes[1].ups, 1);
}

int rig_send_bytes(int number, enum peer_class class, uint8_t kind, const void *data, size_t bytes)
{
	size_t half = bytes / 2;
	struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)data, .iov_len = half},
	    {.iov_base = (uint8_t *)(uintptr_t)data + half, .iov_len = bytes - half}};
	return peer_send(nodes[number].other, class, kind, iov, 2);
}

int rig_send(int number, enum peer_class class, uint8_t kind, const char *text)
{
	return rig_send_bytes(number, class, kind, text, strlen(text));
}

struct waiting {
	bool (*until)(void *arg);
	void *arg;
};

static bool turned(void *arg)
{
	const struct waiting *waiting = arg;
	for (int i = 0; i < 2; i++)
		if (nodes[i].peers != NULL)
			peers_turn(nodes[i].peers);
	return waiting->until(waiting->arg);
}

void rig_run(bool (*until)(void *arg), void *arg)
{
	struct waiting waiting = {.until = until, .arg = arg};
	platform_run(turned, &waiting);
}

struct counted {
	const unsigned *counter;
	unsigned value;
};

static bool reached(void *arg)
{
	const struct counted *counted = arg;
	return *counted->counter >= counted->value;
}

void rig_until(const unsigned *counter, unsigned value)
{
	struct counted counted = {counter, value};
	rig_run(reached, &counted);
}

static unsigned fired_count;

static void fired(struct io_timer *timer)
{
	(void)timer;
	fired_count++;
}

void rig_pass(unsigned ms)
{
	struct io_timer timer = {.fired = fired};
	fired_count = 0;
	io_timer_set(io, &timer, io_now_ns(io) + ms * 1000000ULL);
	rig_until(&fired_count, 1);
}

/* ---- The log ---- */

static char lines[65536];
static size_t lines_bytes;

static void keep_line(void *arg, enum log_level level, struct slice line)
{
	(void)arg;
	(void)level;
	if (lines_bytes + line.bytes < sizeof(lines)) {
		memcpy(lines + lines_bytes, line.data, line.bytes);
		lines_bytes += line.bytes;
		lines[lines_bytes] = '\0';
	}
}

unsigned rig_count_lines(const char *text)
{
	unsigned count = 0;
	for (const char *at = strstr(lines, text); at != NULL; at = strstr(at + 1, text))
		count++;
	return count;
}

void rig_keep_lines(void)
{
	lines_bytes = 0;
	lines[0] = '\0';
	log_line_set_sink(keep_line, NULL);
}

void rig_let_lines_go(void)
{
	log_line_set_sink(NULL, NULL);
}

/* ---- The one in the middle ---- */

enum { WAYS_MAX = 64 };

struct side {
	struct way *way;
	struct io_socket *socket;
};

struct way {
	struct side sides[2]; /* of the one that connected, and to node 1 */
	struct io_op connecting;
	struct buffer early; /* came before the other side was there */
	bool connected, over;
};

struct onward {
	struct io_op op;
	struct iovec iov;
	struct buffer bytes;
};

static struct way *ways[WAYS_MAX];

static void onward_done(struct io_op *op)
{
	struct onward *onward = CONTAINER_OF(op, struct onward, op);
	buffer_done(&onward->bytes);
	free(onward);
}

static void carry(struct way *way, bool back, const uint8_t *data, size_t bytes)
{
	struct io_socket *to = way->sides[back ? 0 : 1].socket;
	struct onward *onward = calloc(1, sizeof(*onward));
	buffer_init(&onward->bytes, 64 << 20);
	if (middle.change != NULL)
		middle.change(&middle, back, data, bytes, &onward->bytes);
	else
		ck_assert_int_eq(buffer_append(&onward->bytes, data, bytes), 0);
	middle.passed[back] += bytes;
	struct slice view = buffer_view(&onward->bytes);
	onward->op.done = onward_done;
	onward->iov =
	    (struct iovec){.iov_base = (void *)(uintptr_t)view.data, .iov_len = view.bytes};
	if (to != NULL && view.bytes > 0)
		io_send(to, &onward->op, &onward->iov, 1);
	else
		onward_done(&onward->op);
}

static void side_received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	const struct side *side = owner;
	struct way *way = side->way;
	bool back = side == &way->sides[1];
	(void)socket;
	if (!back && !way->connected)
		ck_assert_int_eq(buffer_append(&way->early, data, bytes), 0);
	else
		carry(way, back, data, bytes);
}

static void side_closed(struct io_socket *socket, void *owner, int result)
{
	struct side *side = owner;
	struct way *way = side->way;
	const struct side *other = &way->sides[side == &way->sides[0] ? 1 : 0];
	(void)socket;
	(void)result;
	side->socket = NULL;
	way->over = true;
	if (other->socket != NULL && way->connected)
		io_socket_close(other->socket);
}

static const struct io_socket_events side_events = {
    .received = side_received, .closed = side_closed};

static void way_connected(struct io_op *op)
{
	struct way *way = CONTAINER_OF(op, struct way, connecting);
	ck_assert_int_eq((int)op->result, 0);
	way->connected = true;
	if (way->over) {
		io_socket_close(way->sides[1].socket);
		way->sides[1].socket = NULL;
		return;
	}
	io_socket_start(way->sides[1].socket, &side_events, &way->sides[1]);
	struct slice early = buffer_view(&way->early);
	if (early.bytes > 0)
		carry(way, false, early.data, early.bytes);
}

static void middle_accepted(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	struct sockaddr_in address = rig_address(middle.to_port);
	struct way *way = calloc(1, sizeof(*way));
	(void)listener;
	(void)owner;
	ck_assert_uint_lt(middle.connections, WAYS_MAX);
	ways[middle.connections++] = way;
	way->sides[0] = (struct side){.way = way, .socket = socket};
	way->sides[1] = (struct side){.way = way};
	buffer_init(&way->early, 1 << 20);
	way->connecting.done = way_connected;
	io_socket_pause(socket, middle.hold);
	io_socket_start(socket, &side_events, &way->sides[0]);
	io_connect(io, &way->connecting, (struct sockaddr *)&address, sizeof(address),
	    &way->sides[1].socket);
}

void middle_open(void)
{
	struct sockaddr_in address = rig_address(0);
	middle = (struct middle){.to_port = peers_port(nodes[1].peers)};
	ck_assert_int_eq(io_listen(io, (struct sockaddr *)&address, sizeof(address),
	                     middle_accepted, NULL, &middle.listener),
	    0);
	middle.port = io_listener_port(middle.listener);
}

void middle_continue(void)
{
	for (unsigned i = 0; i < middle.connections; i++)
		if (ways[i]->sides[0].socket != NULL)
			io_socket_pause(ways[i]->sides[0].socket, middle.hold);
}

static bool middle_is_over(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < middle.connections; i++)
		if (!ways[i]->connected || ways[i]->sides[0].socket != NULL ||
		    ways[i]->sides[1].socket != NULL)
			return false;
	return true;
}

void middle_close(void)
{
	io_listener_close(middle.listener);
	for (unsigned i = 0; i < middle.connections; i++)
		if (ways[i]->sides[0].socket != NULL)
			io_socket_close(ways[i]->sides[0].socket);
	rig_run(middle_is_over, NULL);
	for (unsigned i = 0; i < middle.connections; i++) {
		buffer_done(&ways[i]->early);
		free(ways[i]);
	}
	middle.connections = 0;
}

/* ---- A stranger with a socket ---- */

static void stranger_received(
    struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	struct stranger *stranger = owner;
	(void)socket;
	ck_assert_int_eq(buffer_append(&stranger->received, data, bytes), 0);
}

static void stranger_closed(struct io_socket *socket, void *owner, int result)
{
	struct stranger *stranger = owner;
	(void)socket;
	(void)result;
	stranger->socket = NULL;
	stranger->closed++;
}

static const struct io_socket_events stranger_events = {
    .received = stranger_received, .closed = stranger_closed};

static void stranger_connected(struct io_op *op)
{
	struct stranger *stranger = CONTAINER_OF(op, struct stranger, connecting);
	ck_assert_int_eq((int)op->result, 0);
	stranger->connected++;
	io_socket_start(stranger->socket, &stranger_events, stranger);
}

void stranger_connect(struct stranger *stranger, uint16_t port)
{
	struct sockaddr_in address = rig_address(port);
	*stranger = (struct stranger){.connecting = {.done = stranger_connected}};
	buffer_init(&stranger->received, 1 << 20);
	io_connect(io, &stranger->connecting, (struct sockaddr *)&address, sizeof(address),
	    &stranger->socket);
	rig_until(&stranger->connected, 1);
}

void stranger_say(struct stranger *stranger, const void *data, size_t bytes)
{
	struct onward *onward = calloc(1, sizeof(*onward));
	buffer_init(&onward->bytes, 1 << 20);
	ck_assert_int_eq(buffer_append(&onward->bytes, data, bytes), 0);
	struct slice view = buffer_view(&onward->bytes);
	onward->op.done = onward_done;
	onward->iov =
	    (struct iovec){.iov_base = (void *)(uintptr_t)view.data, .iov_len = view.bytes};
	if (stranger->socket != NULL && bytes > 0)
		io_send(stranger->socket, &onward->op, &onward->iov, 1);
	else
		onward_done(&onward->op);
}

void stranger_done(struct stranger *stranger)
{
	if (stranger->socket != NULL)
		io_socket_close(stranger->socket);
	rig_until(&stranger->closed, 1);
	buffer_done(&stranger->received);
}
