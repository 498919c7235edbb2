/* One connection: bytes in, requests found, its end. gate_parts.h has the states. */
#include <string.h>

#include "base/log_line.h"
#include "base/mem.h"
#include "server/gate/gate_parts.h"

static const struct resp_limits limits_of_all = {.args_max = ARGS_MAX,
    .bulk_bytes_max = REQUEST_BULK_BYTES_MAX,
    .inline_bytes_max = RESP_INLINE_BYTES_MAX,
    .request_bytes_max = REQUEST_BYTES_MAX};
static const struct resp_limits limits_of_strangers = {.args_max = STRANGER_ARGS_MAX,
    .bulk_bytes_max = STRANGER_BULK_BYTES_MAX,
    .inline_bytes_max = STRANGER_BULK_BYTES_MAX,
    .request_bytes_max = STRANGER_BYTES_MAX};

/* ---- Where it stands ---- */

bool session_has_room(const struct session *session)
{
	const struct gate_limits *limits = &session->gate->limits;
	uint64_t waiting = session->replies_waiting;
	if (waiting >= limits->calls_max || waiting >= CALLS_AT_FIRST + session->answered ||
	    session->output_bytes + session->reply_bytes >= limits->output_pause_bytes)
		return false;
	/* Calls that are begun answer whether the client reads or not: no more of them than would
	 * fit, so that one that does read is never cut off for what it asked. */
	uint64_t expected =
	    session->output_bytes + session->ready_bytes + (waiting + 1) * session->answer_bytes;
	return waiting == 0 || expected < limits->output_bytes_max / 2;
}

void session_attend(struct session *session)
{
	if (!list_linked(&session->attention))
		list_push_back(&session->gate->attention, &session->attention);
}

void session_active(struct session *session)
{
	session->active_ns = io_now_ns(session->gate->io);
	list_remove(&session->by_activity);
	list_push_back(&session->gate->sessions, &session->by_activity);
}

static void set_paused(struct session *session, bool paused)
{
	if (session->paused == paused || !session->socket)
		return;
	session->paused = paused;
	io_socket_pause(session->socket, paused);
}

/* The client that holds most makes room for all others. */
static void close_greediest(struct gate *gate)
{
	struct session *greediest = NULL;
	LIST_FOR_EACH(node, &gate->sessions)
	{
		struct session *session = CONTAINER_OF(node, struct session, by_activity);
		bool alive = session->state == SESSION_OPEN || session->state == SESSION_LEAVING;
		if (alive && (!greediest || session->memory > greediest->memory))
			greediest = session;
	}
	if (!greediest)
		return;
	LOG_LINE(LEVEL_WARNING, "client_closed", FIELD_TEXT("reason", "memory of all clients"),
	    FIELD_TEXT("client", greediest->peer), FIELD_U64("bytes", greediest->memory));
	gate->figures.closed_greedy++;
	session_close(greediest);
}

void session_account(struct session *session)
{
	struct gate *gate = session->gate;
	uint64_t memory = sizeof(*session) + session->query.capacity + session->output_bytes +
	                  session->reply_bytes;
	gate->memory += memory - session->memory;
	session->memory = memory;
	if (session->state != SESSION_OPEN && session->state != SESSION_LEAVING)
		return;
	if (session->output_bytes + session->ready_bytes > gate->limits.output_bytes_max) {
		LOG_LINE(LEVEL_WARNING, "client_closed", FIELD_TEXT("reason", "output limit"),
		    FIELD_TEXT("client", session->peer),
		    FIELD_U64("bytes", session->output_bytes + session->ready_bytes));
		gate->figures.closed_greedy++;
		session_close(session);
		return;
	}
	if (gate->memory > gate->limits.memory_bytes_max)
		close_greediest(gate);
}

/* ---- The end ---- */

void session_free_if_gone(struct session *session)
{
	struct gate *gate = session->gate;
	if (session->state != SESSION_GONE || session->sending || session->replies_waiting > 0)
		return;
	list_remove(&session->by_activity);
	list_remove(&session->attention);
	gate->memory -= session->memory;
	output_done(session);
	buffer_done(&session->query);
	mem_free((void *)(uintptr_t)session->name.data);
	mem_free((void *)(uintptr_t)session->library.data);
	mem_free((void *)(uintptr_t)session->library_version.data);
	mem_free(session);
	gate->session_count--;
	/* The owner of a gate that drains is told in gate_turn. */
}

void session_close(struct session *session)
{
	if (session->state == SESSION_CLOSING || session->state == SESSION_GONE)
		return;
	session->state = SESSION_CLOSING;
	replies_drop(session);
	io_socket_close(session->socket);
}

void session_leave(struct session *session)
{
	if (session->state != SESSION_OPEN)
		return;
	session->state = SESSION_LEAVING;
	/* What still comes is read and dropped: closing a socket with unread bytes resets the
	 * connection, and the client would lose answers that it has not read yet. */
	set_paused(session, false);
	session_attend(session);
}

/* ---- Requests ---- */

static void malformed(struct session *session)
{
	char text[RESP_ERROR_TEXT_BYTES_MAX];
	session->last_command = NULL;
	session->gate->figures.closed_malformed++;
	reply_error(session, "ERR", "%s", resp_error_text(&session->parser, text));
	session_leave(session);
}

/* Runs the requests that are whole; returns how many bytes they took. Inline commands are changed
 * where they stand: with `arrays_only` it ends before one. */
static size_t parse(struct session *session, uint8_t *data, size_t bytes, bool arrays_only)
{
	struct gate *gate = session->gate;
	size_t at = 0;
	while (at < bytes && session->state == SESSION_OPEN && session_has_room(session)) {
		if (arrays_only && data[at] != '*')
			break;
		struct resp_request request = {0};
		int error = resp_parse(&session->parser,
		    session->authenticated ? &limits_of_all : &limits_of_strangers, data + at,
		    bytes - at, gate->args, &request);
		if (error == ERR_TRUNCATED)
			break;
		if (error) {
			malformed(session);
			break;
		}
		at += request.bytes;
		if (request.args_count == 0)
			continue;
		session->request_total++;
		gate->figures.requests++;
		command_dispatch(session, gate->args, request.args_count);
	}
	return at;
}

/* What is left of a request stays in `query`; where there is no room for more work, reading
 * stops, so that the rest waits at the client. */
static void parse_query(struct session *session)
{
	struct slice view = buffer_view(&session->query);
	size_t taken =
	    parse(session, session->query.data + session->query.begin, view.bytes, false);
	buffer_consume(&session->query, taken);
	buffer_trim(&session->query, QUERY_KEEP_BYTES);
	session_account(session);
}

static void keep(struct session *session, const uint8_t *data, size_t bytes)
{
	if (buffer_append(&session->query, data, bytes)) {
		LOG_LINE(LEVEL_WARNING, "client_closed", FIELD_TEXT("reason", "no memory"),
		    FIELD_TEXT("client", session->peer));
		session->gate->figures.closed_greedy++;
		session_close(session);
	}
}

static void received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	struct session *session = owner;
	(void)socket;
	if (session->state != SESSION_OPEN)
		return;
	session->input_total += bytes;
	session->gate->figures.input_bytes += bytes;
	session_active(session);
	/* The bytes are not ours to change, and arrays are not changed. */
	size_t taken = 0;
	if (buffer_bytes(&session->query) == 0)
		taken = parse(session, (uint8_t *)(uintptr_t)data, bytes, true);
	if (session->state == SESSION_OPEN && taken < bytes)
		keep(session, data + taken, bytes - taken);
	if (session->state == SESSION_OPEN && buffer_bytes(&session->query) > 0)
		parse_query(session);
	else
		session_account(session);
	if (session->state == SESSION_OPEN)
		set_paused(session, !session_has_room(session));
}

void session_continue(struct session *session)
{
	if (session->state == SESSION_OPEN && session_has_room(session) &&
	    buffer_bytes(&session->query) > 0)
		parse_query(session);
	if (session->state == SESSION_OPEN)
		set_paused(session, !session_has_room(session));
}

/* The peer sends no more; what it asked for is answered. */
static void ended(struct io_socket *socket, void *owner)
{
	(void)socket;
	struct session *session = owner;
	session_leave(session);
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	struct session *session = owner;
	(void)socket;
	(void)result;
	ASSERT(!session->sending);
	session->socket = NULL;
	session->state = SESSION_GONE;
	replies_drop(session);
	atomic_fetch_sub_explicit(&session->gate->config->connections, 1, memory_order_relaxed);
	session->gate->figures.connections--;
	session_free_if_gone(session);
}

static const struct io_socket_events events = {
    .received = received, .ended = ended, .closed = closed};

void session_accept(struct gate *gate, struct io_socket *socket, enum gate_port port)
{
	struct gate_config *config = gate->config;
	struct session *session = mem_zalloc(1, sizeof(*session));
	if (!session) {
		io_socket_close(socket);
		return;
	}
	session->gate = gate;
	session->socket = socket;
	session->id = gate->next_id;
	gate->next_id += config->cores;
	session->port = port;
	session->protocol = RESP2;
	session->authenticated = config->password_bytes == 0;
	session->proxy = port == GATE_PROXY;
	session->created_ns = io_now_ns(gate->io);
	io_socket_peer(socket, session->peer, sizeof(session->peer));
	resp_parser_init(&session->parser);
	buffer_init(&session->query, REQUEST_BYTES_MAX + QUERY_EXTRA_BYTES);
	list_init(&session->replies);
	list_init(&session->output);
	list_node_init(&session->by_activity);
	list_node_init(&session->attention);
	gate->session_count++;
	gate->figures.accepted++;
	gate->figures.connections++;
	uint32_t before = atomic_fetch_add_explicit(&config->connections, 1, memory_order_relaxed);
	session_active(session);
	session_account(session);
	io_socket_start(socket, &events, session);
	if (before >= gate->limits.connections_max) {
		gate->figures.refused++;
		reply_error(session, "ERR", "max number of clients reached");
		session_leave(session);
	}
	gate_timer_start(gate);
}
