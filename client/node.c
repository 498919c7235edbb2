/* One node: its connection, the row of requests that were sent, and the replies in turn. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"
#include "client/client.h"

#define READ_BYTES 16384
/* In a row; the end of a connection that served is the first. */
#define FAILURES_MAX 2

/* Whoever points to the one that was there finds one without a connection. */
static struct node *free_place(const struct kalix *k)
{
	for (size_t i = 0; i < k->node_count; i++)
		if (k->nodes[i]->host[0] == '\0')
			return k->nodes[i];
	return NULL;
}

static struct node *new_place(struct kalix *k)
{
	struct node *node = mem_zalloc(1, sizeof(*node));
	if (!node)
		return NULL;
	node->fd = -1;
	buffer_init(&node->out, CLIENT_OUTPUT_BYTES_MAX);
	buffer_init(&node->in, CLIENT_REPLY_BYTES_MAX);
	list_init(&node->sent);
	node->number = (uint16_t)k->node_count;
	k->nodes[k->node_count++] = node;
	return node;
}

int node_add(struct kalix *k, struct slice host_port, size_t *ret_number)
{
	size_t colon = host_port.bytes;
	while (colon > 0 && host_port.data[colon - 1] != ':')
		colon--;
	if (colon < 2 || colon == host_port.bytes || host_port.bytes - colon > 5 ||
	    colon - 1 > CLIENT_HOST_BYTES_MAX)
		return ERR_INVALID;
	struct slice host = slice_of(host_port.data, colon - 1);
	if (host.bytes > 2 && host.data[0] == '[' && host.data[host.bytes - 1] == ']')
		host = slice_of(host.data + 1, host.bytes - 2);
	struct slice port = slice_of(host_port.data + colon, host_port.bytes - colon);
	unsigned number = 0;
	for (size_t i = 0; i < port.bytes; i++)
		if (port.data[i] < '0' || port.data[i] > '9')
			return ERR_INVALID;
		else
			number = number * 10 + port.data[i] - '0';
	if (number < 1 || number > UINT16_MAX)
		return ERR_INVALID;
	for (size_t i = 0; i < k->node_count; i++)
		if (slice_equal(host, slice_from_text(k->nodes[i]->host)) &&
		    slice_equal(port, slice_from_text(k->nodes[i]->port))) {
			*ret_number = i;
			return 0;
		}
	struct node *node = free_place(k);
	if (!node && k->node_count == CLIENT_NODES_MAX) {
		slots_forget_nodes(k);
		node = free_place(k);
		if (!node)
			return ERR_FULL;
	}
	if (!node)
		node = new_place(k);
	if (!node)
		return ERR_NOMEM;
	memcpy(node->host, host.data, host.bytes);
	memcpy(node->port, port.data, port.bytes);
	*ret_number = node->number;
	return 0;
}

void node_forget(struct kalix *k, struct node *node)
{
	ASSERT(node->state == CONNECTION_NONE && !node->given && list_empty(&node->sent));
	memset(node->host, 0, sizeof(node->host));
	memset(node->port, 0, sizeof(node->port));
	node->retry_ms = 0;
	node->failures = 0;
	node->silent = false;
	/* The first one was given. */
	if (k->preferred == node->number)
		k->preferred = 0;
}

void node_free(struct kalix *k, struct node *node)
{
	node_break(k, node, "the handle was closed");
	buffer_done(&node->out);
	buffer_done(&node->in);
	mem_free(node);
}

/* ---- Ends ---- */

static void give_back(struct kalix *k, struct request *request, const char *why)
{
	bool is_query = request->kind == REQUEST_QUERY;
	request->sent = false;
	lanes_left(k, request);
	request->in_doubt = request->kind != REQUEST_QUERY;
	if (!request->done)
		request_end(k, request, NULL, KALIX_OK);
	else if ((is_query || request->has_token) && !k->closing)
		request_wait(k, request);
	else
		request_fail(k, request, is_query ? KALIX_UNAVAILABLE : KALIX_UNKNOWN_OUTCOME, why);
}

void node_break(struct kalix *k, struct node *node, const char *why)
{
	if (node->fd >= 0)
		close(node->fd);
	if (node->state != CONNECTION_NONE) {
		node->retry_ms = k->now_ms + request_backoff_ms(node->failures);
		node->failures++;
	}
	node->fd = -1;
	node->state = CONNECTION_NONE;
	node->wants_write = false;
	buffer_clear(&node->out);
	buffer_clear(&node->in);
	node->sent_count = 0;
	/* From the back: each has its place in front of the one before. Taken over first: those who
	 * are told may start new requests. */
	struct list row;
	list_init(&row);
	list_append_all(&row, &node->sent);
	struct list_node *link;
	while ((link = list_pop_back(&row)))
		give_back(k, CONTAINER_OF(link, struct request, link), why);
}

/* ---- Connecting ---- */

static bool watch(struct kalix *k, struct node *node, int operation, bool write)
{
	struct epoll_event event = {
	    .events = EPOLLIN | (write ? (uint32_t)EPOLLOUT : 0), .data.ptr = node};
	node->wants_write = write;
	return epoll_ctl(k->epoll_fd, operation, node->fd, &event) == 0;
}

static int open_socket(const struct node *node)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	int fd = -1;
	if (getaddrinfo(node->host, node->port, &hints, &found))
		return -1;
	for (const struct addrinfo *at = found; at && fd < 0; at = at->ai_next) {
		fd = socket(
		    at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, at->ai_protocol);
		if (fd < 0)
			continue;
		int on = 1;
		/* Without it small requests would wait for acknowledgements; not fatal. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (connect(fd, at->ai_addr, at->ai_addrlen) && errno != EINPROGRESS) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	return fd;
}

static bool is_only(const struct kalix *k, const struct node *node)
{
	for (size_t i = 0; i < k->node_count; i++)
		if (k->nodes[i] != node && k->nodes[i]->host[0] != '\0')
			return false;
	return true;
}

void node_overdue(struct kalix *k, struct node *node, uint64_t heard_then)
{
	/* The only one is asked again all the same. */
	if (node->state != CONNECTION_OPEN || node->heard != heard_then || is_only(k, node))
		return;
	node->silent = true;
	node_break(k, node, "the server says nothing");
}

bool node_is_greeted(const struct node *node)
{
	return node->state == CONNECTION_CONNECTING ||
	       (node->state == CONNECTION_OPEN && node->silent);
}

bool node_is_passed_over(const struct kalix *k, const struct node *node)
{
	bool fails = node->failures >= FAILURES_MAX;
	return node->silent || (node->state == CONNECTION_NONE && fails) ||
	       (node->state == CONNECTION_CONNECTING && k->now_ms >= node->connect_soon_ms);
}

/* AUTH goes first; a wrong password breaks the connection with its words. */
static bool greet(struct kalix *k, struct node *node)
{
	const char *words[] = {"AUTH", k->user, k->password}, *ping = "PING";
	bool proves = k->password[0];
	if (!proves && !node->silent)
		return true;
	struct request *request = request_make_own(proves ? 3 : 1, proves ? words : &ping);
	if (!request)
		return false;
	return node_send(k, node, request);
}

void node_connect(struct kalix *k, struct node *node)
{
	if (node->state != CONNECTION_NONE || k->now_ms < node->retry_ms)
		return;
	node->state = CONNECTION_CONNECTING;
	/* Nobody waits for one of which the last attempts came to nothing. */
	node->connect_soon_ms =
	    k->now_ms + (node->failures < FAILURES_MAX ? CLIENT_CONNECT_SOON_MS : 0);
	node->connect_until_ms = k->now_ms + CLIENT_CONNECT_MS;
	node->fd = open_socket(node);
	resp_reader_init(&node->reader, CLIENT_REPLY_BYTES_MAX, RESP_DEPTH_MAX);
	if (node->fd < 0 || !watch(k, node, EPOLL_CTL_ADD, true) || !greet(k, node))
		node_break(k, node, "no connection could be made");
}

/* ---- Sending ---- */

bool node_send(struct kalix *k, struct node *node, struct request *request)
{
	bool open = node->state == CONNECTION_OPEN ||
	            (node->state == CONNECTION_CONNECTING && request->kind == REQUEST_OWN);
	bool left_alone = node->silent && request->kind != REQUEST_OWN;
	if (!open || left_alone || node->sent_count >= CLIENT_SENT_MAX)
		return false;
	if (buffer_append(&node->out, request->data, request->bytes))
		return false;
	request->sent = true;
	request->node = node;
	request->heard_then = node->heard;
	list_remove(&request->link);
	list_push_back(&node->sent, &request->link);
	node->sent_count++;
	lanes_sent(k, node, request);
	return true;
}

void node_flush(struct kalix *k, struct node *node)
{
	while (node->state == CONNECTION_OPEN && buffer_bytes(&node->out)) {
		struct slice out = buffer_view(&node->out);
		ssize_t sent = send(node->fd, out.data, out.bytes, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (sent < 0) {
			node_break(k, node, "the connection broke");
			return;
		}
		buffer_consume(&node->out, (size_t)sent);
	}
	bool write = buffer_bytes(&node->out) > 0 || node->state == CONNECTION_CONNECTING;
	if (node->state != CONNECTION_NONE && write != node->wants_write &&
	    !watch(k, node, EPOLL_CTL_MOD, write))
		node_break(k, node, "the connection can't be watched");
}

/* ---- Receiving ---- */

/* Sent to where the slot is now, at once. */
static bool follow_move(
    struct kalix *k, struct node *node, struct request *request, struct slice error)
{
	struct slice target;
	uint16_t slot;
	size_t number;
	if (!reply_moved(error, &slot, &target) || node_add(k, target, &number))
		return false;
	slots_learn_one(k, slot, number);
	slots_ask(k, node);
	if (request->attempts >= 16 || !request->done || !lanes_refuse(k, request))
		return false;
	/* Who sends it to one that does not answer will know better soon. */
	bool waits = node_is_passed_over(k, k->nodes[number]);
	request->attempts += !waits;
	request->slot = slot;
	request->retry_ms = waits ? k->now_ms + CLIENT_BACKOFF_MS_MAX : 0;
	request_wait(k, request);
	return true;
}

/* Whether an answer tells what became of an earlier try of the same token. An error that the server
 * gives before it looks at tokens does not, nor does one of Redis's words: too many clients, no
 * password yet. */
static bool tells_of_token(struct slice wire, int code)
{
	if (!wire.data || wire.bytes == 0 || wire.data[0] != '-')
		return true;
	if (wire.bytes > 5 && memcmp(wire.data, "-ERR ", 5) == 0)
		return false;
	return code != KALIX_UNAVAILABLE && code != KALIX_RESOURCE_EXHAUSTED &&
	       code != KALIX_DEADLINE_EXCEEDED && code != KALIX_DATA_LOSS &&
	       code != KALIX_UNIMPLEMENTED && code != KALIX_UNAUTHENTICATED &&
	       code != KALIX_PERMISSION_DENIED;
}

/* A reply that is not an error, and for which there is no memory here: it was done, but how? */
static int code_without_reply(const struct request *request)
{
	return request->kind == REQUEST_QUERY ? KALIX_RESOURCE_EXHAUSTED : KALIX_UNKNOWN_OUTCOME;
}

/* The server refuses whoever is behind this AUTH, so what was sent behind it was not run; another
 * try would be refused as well. */
static void refuse_row(struct kalix *k, struct node *node, const char *why)
{
	/* Taken over first: those who are told may start new requests. */
	struct list row;
	struct list_node *link;
	list_init(&row);
	list_append_all(&row, &node->sent);
	node->sent_count = 0;
	while ((link = list_pop_front(&row))) {
		struct request *request = CONTAINER_OF(link, struct request, link);
		request->sent = false;
		lanes_left(k, request);
		if (!request->done)
			request_end(k, request, NULL, KALIX_OK);
		else
			request_fail(k, request,
			    request->in_doubt ? KALIX_UNKNOWN_OUTCOME : KALIX_UNAUTHENTICATED, why);
	}
}

static void answer(struct kalix *k, struct node *node, struct slice wire)
{
	struct list_node *link = list_first(&node->sent);
	if (!link) {
		node_break(k, node, "the server sent what nobody asked for");
		return;
	}
	struct request *request = CONTAINER_OF(link, struct request, link);
	bool own = request->kind == REQUEST_OWN;
	bool is_error = wire.data && wire.bytes && wire.data[0] == '-';
	/* A first reply to what the caller asked shows that the node serves. */
	node->failures = 0;
	list_remove(&request->link);
	request->sent = false;
	node->sent_count--;
	lanes_left(k, request);
	if (request->asks_slots) {
		if (!is_error)
			slots_learn(k, node, wire);
		request_end(k, request, NULL, KALIX_OK);
		return;
	}
	if (is_error && follow_move(k, node, request, slice_of(wire.data + 1, wire.bytes - 3)))
		return;
	struct kalix_reply *reply = reply_read(wire);
	int code = reply ? reply->code : code_without_reply(request);
	if (own) {
		char why[256];
		snprintf(why, sizeof(why), "%s", kalix_reply_message(reply));
		request_end(k, request, reply, code);
		if (code == KALIX_UNAUTHENTICATED)
			refuse_row(k, node, why);
		if (code)
			node_break(k, node, why);
		return;
	}
	bool undone = code == KALIX_UNAVAILABLE;
	request->in_doubt |= code == KALIX_UNKNOWN_OUTCOME;
	if ((undone || code == KALIX_UNKNOWN_OUTCOME) && request_again(k, request, undone)) {
		kalix_reply_free(reply);
		return;
	}
	if (request->in_doubt && !tells_of_token(wire, code))
		code = KALIX_UNKNOWN_OUTCOME;
	uint16_t lane = request->lane;
	uint64_t entity = request->entity, sequence = request->sequence;
	request_end(k, request, reply, code);
	if (!undone)
		lanes_overtake(k, lane, entity, sequence);
}

static void take_replies(struct kalix *k, struct node *node)
{
	while (node->state == CONNECTION_OPEN && buffer_bytes(&node->in)) {
		resp_reader_feed(&node->reader, buffer_view(&node->in));
		int error = resp_reader_whole(&node->reader);
		if (error == ERR_TRUNCATED)
			return;
		if (error) {
			node_break(k, node, "the server's bytes are not RESP");
			return;
		}
		size_t bytes = resp_reader_offset(&node->reader);
		struct slice wire = slice_of(buffer_view(&node->in).data, bytes);
		/* The reply is used before its bytes are given up; `answer` may break the
		 * connection, which empties the buffer. */
		answer(k, node, wire);
		if (node->state != CONNECTION_OPEN)
			return;
		buffer_consume(&node->in, bytes);
		resp_reader_init(&node->reader, CLIENT_REPLY_BYTES_MAX, RESP_DEPTH_MAX);
	}
}

static void receive(struct kalix *k, struct node *node)
{
	/* Bounded: one busy connection does not keep the others waiting. */
	for (int i = 0; i < 64 && node->state == CONNECTION_OPEN; i++) {
		uint8_t *room;
		if (buffer_reserve(&node->in, READ_BYTES, &room)) {
			node_break(k, node, "the reply is too large for this process");
			return;
		}
		ssize_t got = recv(node->fd, room, READ_BYTES, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (got <= 0) {
			node_break(k, node, "the server closed the connection");
			return;
		}
		buffer_commit(&node->in, (size_t)got);
		node->heard++;
		node->silent = false;
		take_replies(k, node);
		if ((size_t)got < READ_BYTES)
			return;
	}
}

void node_ready(struct kalix *k, struct node *node, uint32_t events)
{
	if (node->state == CONNECTION_CONNECTING && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		int error = 0;
		socklen_t bytes = sizeof(error);
		if (getsockopt(node->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) || error) {
			node_break(k, node, "the server can't be reached");
			return;
		}
		node->state = CONNECTION_OPEN;
	}
	if (node->state == CONNECTION_OPEN && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		receive(k, node);
}
