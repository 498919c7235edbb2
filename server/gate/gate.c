#include "server/gate/gate.h"

#include <string.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/gate/gate_parts.h"

static const uint64_t TICK_NS = NS_PER_S;

static struct session *session_of(struct list_node *node)
{
	return CONTAINER_OF(node, struct session, by_activity);
}

/* ---- Time ---- */

/* Why the silent client is closed, or NULL. One that waits for answers of ours is not silent. */
static const char *overdue(struct gate *gate, struct session *session, uint64_t silent_ms)
{
	const struct gate_limits *limits = &gate->limits;
	if (session->sending && silent_ms >= limits->stall_ms)
		return "does not read its replies";
	if (session->replies_waiting > 0)
		return NULL;
	if (buffer_bytes(&session->query) > 0 && silent_ms >= limits->stall_ms)
		return "sent half a request";
	if (session->state == SESSION_LEAVING && silent_ms >= limits->stall_ms)
		return "does not end";
	if (limits->idle_ms != 0 && silent_ms >= limits->idle_ms)
		return "idle";
	return NULL;
}

static void tick(struct io_timer *timer)
{
	struct gate *gate = CONTAINER_OF(timer, struct gate, timer);
	const struct gate_limits *limits = &gate->limits;
	uint64_t now_ns = io_now_ns(gate->io);
	uint64_t least_ms = limits->stall_ms;
	if (limits->idle_ms != 0 && limits->idle_ms < least_ms)
		least_ms = limits->idle_ms;
	gate->timer_armed = false;
	LIST_FOR_EACH_REMOVABLE(node, &gate->sessions)
	{
		struct session *session = session_of(node);
		uint64_t silent_ms = (now_ns - session->active_ns) / NS_PER_MS;
		if (silent_ms < least_ms)
			break;
		const char *why = overdue(gate, session, silent_ms);
		if (!why)
			continue;
		if (strcmp(why, "idle") == 0)
			gate->figures.closed_idle++;
		else
			gate->figures.closed_stalled++;
		LOG_LINE(LEVEL_INFO, "client_closed", FIELD_TEXT("reason", why),
		    FIELD_TEXT("client", session->peer), FIELD_U64("silent_ms", silent_ms));
		session_close(session);
	}
	gate_timer_start(gate);
}

void gate_timer_start(struct gate *gate)
{
	if (gate->timer_armed || list_empty(&gate->sessions))
		return;
	gate->timer_armed = true;
	io_timer_set(gate->io, &gate->timer, io_now_ns(gate->io) + TICK_NS);
}

/* ---- Its life ---- */

int gate_new(const struct gate_options *options, struct gate **ret_gate)
{
	ASSERT(options->config->limits.calls_max > 0);
	struct gate *gate = mem_zalloc(1, sizeof(*gate));
	if (!gate)
		return ERR_NOMEM;
	gate->io = options->io;
	gate->shards = options->shards;
	gate->core = options->core;
	gate->config = options->config;
	gate->services = *options->services;
	gate->limits = options->config->limits;
	list_init(&gate->sessions);
	list_init(&gate->attention);
	/* Numbers of connections are unique: each core counts in steps of their count. */
	gate->next_id = options->core + options->config->cores;
	gate->timer.fired = tick;
	int error = gate_errors_new(gate);
	if (!error)
		error = gate_slow_new(gate);
	if (error) {
		gate_errors_free(gate);
		mem_free(gate);
		return error;
	}
	*ret_gate = gate;
	return 0;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	ASSERT(gate->session_count == 0);
	for (size_t i = 0; i < 2; i++)
		io_listener_close(gate->listener[i]);
	io_timer_cancel(gate->io, &gate->timer);
	gate_errors_free(gate);
	gate_slow_free(gate);
	small_blocks_done(&gate->blocks);
	mem_free(gate);
}

static void accepted_proxy(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	(void)listener;
	session_accept(owner, socket, GATE_PROXY);
}

static void accepted_cluster(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	(void)listener;
	session_accept(owner, socket, GATE_CLUSTER);
}

int gate_listen(struct gate *gate, enum gate_port kind, const struct sockaddr *address,
    size_t address_bytes, uint16_t *ret_port)
{
	ASSERT(!gate->listener[kind]);
	if (gate->draining)
		return ERR_CANCELED;
	int error = io_listen(gate->io, address, address_bytes,
	    kind == GATE_PROXY ? accepted_proxy : accepted_cluster, gate, &gate->listener[kind]);
	if (error)
		return error;
	*ret_port = io_listener_port(gate->listener[kind]);
	return 0;
}

static void attend(struct session *session)
{
	session_continue(session);
	output_send(session);
	if (session->state == SESSION_LEAVING && session->replies_waiting == 0 &&
	    session->output_bytes == 0 && !session->sending)
		session_close(session);
}

bool gate_turn(struct gate *gate)
{
	/* Those that come back to the list during this walk wait for the next turn. */
	struct list now;
	list_init(&now);
	list_append_all(&now, &gate->attention);
	struct list_node *node;
	while ((node = list_pop_front(&now)))
		attend(CONTAINER_OF(node, struct session, attention));
	if (gate->drained && gate->session_count == 0 && gate->works == 0) {
		void (*drained)(void *arg) = gate->drained;
		gate->drained = NULL;
		drained(gate->drained_arg);
	}
	return !list_empty(&gate->attention);
}

void gate_drain(struct gate *gate, void (*drained)(void *arg), void *arg)
{
	ASSERT(!gate->draining);
	gate->draining = true;
	gate->drained = drained;
	gate->drained_arg = arg;
	for (size_t i = 0; i < 2; i++) {
		io_listener_close(gate->listener[i]);
		gate->listener[i] = NULL;
	}
	LIST_FOR_EACH_REMOVABLE(session, &gate->sessions)
	session_leave(session_of(session));
}

void gate_cut(struct gate *gate)
{
	LIST_FOR_EACH_REMOVABLE(session, &gate->sessions)
	session_close(session_of(session));
}

struct gate_figures gate_figures(const struct gate *gate)
{
	struct gate_figures figures = gate->figures;
	figures.memory_bytes = gate->memory;
	return figures;
}
