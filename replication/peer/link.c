/* One connection: how it begins, what it sends, how it ends. peer_parts.h has the states. */
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/peer/peer_parts.h"

enum {
	KEEP_BYTES = 16 * 1024,
	/* After the network was behind: then it is tried without again. */
	COMPRESSED_RECORDS = 64,
};

void link_free(struct link *link)
{
	ASSERT(link->state == LINK_ENDING);
	ASSERT(!link->writing && link->socket == NULL);
	introduction_free(link);
	list_remove(&link->node);
	peer_handover_free(link->handover);
	peer_key_forget(&link->key_out);
	peer_key_forget(&link->key_in);
	buffer_done(&link->output);
	buffer_done(&link->input);
	for (int class = 0; class < PEER_CLASSES; class ++)
		buffer_done(&link->assembly[class]);
	mem_free(link);
}

/* ---- The end ---- */

static void log_end(struct link *link, bool was_up)
{
	struct peers *peers = link->peers;
	uint64_t silenced = 0;
	const struct peer_identity *known =
	    link->peer != NULL ? &link->peer->identity : &link->theirs.from;
	/* Refusals have lines of their own. */
	if (link->accounted ||
	    (link->end_error == ERR_REFUSED && link->state != LINK_CONNECTING && !was_up))
		return;
	if (was_up) {
		LOG_LINE(LEVEL_INFO, "peer_down", FIELD_U64("node", known->node),
		    FIELD_U64("core", known->core), FIELD_TEXT("address", link->name),
		    FIELD_ERROR("error", link->end_error));
	} else if (link->end_error != ERR_CANCELED &&
	           log_limit_allows(peers, &peers->ended, &silenced)) {
		LOG_LINE(LEVEL_INFO, "peer_not_connected", FIELD_U64("node", known->node),
		    FIELD_U64("core", known->core), FIELD_TEXT("address", link->name),
		    FIELD_BOOL("we_connected", link->initiator),
		    FIELD_ERROR("error", link->end_error), FIELD_U64("silenced", silenced));
	}
}

static void tell_down(struct link *link, struct peer *peer)
{
	const struct peer_callbacks *callbacks = &link->peers->options.callbacks;
	link->down_owed = false;
	callbacks->down(callbacks->arg, peer, link->end_error);
}

void link_leave_strangers(struct link *link)
{
	if (!list_linked(&link->stranger))
		return;
	list_remove(&link->stranger);
	link->peers->stranger_count--;
}

void link_end(struct link *link, int error, bool tell)
{
	struct peers *peers = link->peers;
	struct peer *peer = link->peer;
	bool was_up = link->state == LINK_UP;
	bool was_connecting = link->state == LINK_CONNECTING;
	ASSERT(link->state != LINK_ENDING && error < 0);
	link->end_error = error;
	peers->figures.dials_failed += was_connecting && error != ERR_CANCELED;
	log_end(link, was_up);
	link->state = LINK_ENDING;
	io_timer_cancel(peers->io, &link->timer);
	list_remove(&link->attention);
	link_leave_strangers(link);
	peer_queue_done(&link->queue);
	if (was_connecting)
		io_connect_cancel(peers->io, &link->connecting);
	else if (link->socket != NULL)
		io_socket_close(link->socket);
	introduction_leave(link);
	if (peer == NULL)
		return;
	peers->figures.links_down += was_up;
	link->down_owed = was_up;
	if (tell || !was_up)
		link->peer = NULL;
	peer_link_gone(peer, link, was_up);
	if (was_up && tell)
		tell_down(link, peer);
}

/* ---- Time ---- */

void link_set_timer(struct link *link)
{
	const struct peers *peers = link->peers;
	const struct peers_options *options = &peers->options;
	uint64_t wait_ms = options->handshake_ms;
	if (link->state == LINK_ASKING)
		wait_ms = introduction_patience_ms(link);
	uint64_t at_ns = io_now_ns(peers->io) + wait_ms * NS_PER_MS;
	if (link->state == LINK_UP) {
		/* While the kernel takes nothing, nothing can be said. */
		uint64_t ping_ns = link->writing ? io_now_ns(peers->io) : link->sent_ns;
		ping_ns += options->ping_ms * NS_PER_MS;
		uint64_t dead_ns = link->heard_ns + options->dead_ms * NS_PER_MS;
		at_ns = ping_ns < dead_ns ? ping_ns : dead_ns;
	}
	io_timer_set(peers->io, &link->timer, at_ns);
}

static void ping(struct link *link)
{
	struct peer_message *message = mem_zalloc(1, sizeof(*message));
	/* Without memory there is another chance before the other side gives up. */
	link->sent_ns = io_now_ns(link->peers->io);
	if (message == NULL)
		return;
	message->kind = PEER_KIND_PING;
	peer_queue_push(&link->queue, message);
	link_flush(link);
}

static void timer_fired(struct io_timer *timer)
{
	struct link *link = CONTAINER_OF(timer, struct link, timer);
	struct peers *peers = link->peers;
	uint64_t now_ns = io_now_ns(peers->io);
	ASSERT(link->state != LINK_ENDING);
	bool is_up = link->state == LINK_UP;
	if (!is_up || now_ns >= link->heard_ns + peers->options.dead_ms * NS_PER_MS) {
		peers->figures.silent += is_up;
		if (link->initiator && link->state == LINK_HELLO && buffer_bytes(&link->input) == 0)
			link_is_silent(link);
		link_end(link, ERR_TIMEOUT, true);
		return;
	}
	if (!link->writing && now_ns >= link->sent_ns + peers->options.ping_ms * NS_PER_MS)
		ping(link);
	if (link->state == LINK_UP)
		link_set_timer(link);
}

/* ---- Sending ---- */

void link_attend(struct link *link)
{
	if (!list_linked(&link->attention))
		list_push_back(&link->peers->attention, &link->attention);
}

/* One record of what is queued, at the end of the output. */
static int add_record(struct link *link)
{
	struct peers *peers = link->peers;
	struct peer_queue_figures made = {0};
	uint64_t body_max = peer_queue_bytes(&link->queue);
	uint8_t *room = NULL;
	if (body_max > PEER_RECORD_BYTES_MAX)
		body_max = PEER_RECORD_BYTES_MAX;
	int error = buffer_reserve(&link->output, PEER_RECORD_HEAD_BYTES + body_max, &room);
	if (error != 0)
		return error;
	struct writer writer = writer_of(room + PEER_RECORD_HEAD_BYTES, body_max);
	bool compress = link->compressed_left > 0;
	link->compressed_left -= compress;
	unsigned frames = peer_queue_take(&link->queue, compress, &writer, &made);
	ASSERT(frames > 0);
	error = peer_record_finish(
	    room, writer_used(&writer), frames, &link->key_out, link->number_out++);
	if (error != 0)
		return error;
	buffer_commit(&link->output, PEER_RECORD_HEAD_BYTES + writer_used(&writer));
	peers->figures.records_sent++;
	peers->figures.frames_compressed += made.frames_compressed;
	peers->figures.compressed_from += made.compressed_from;
	peers->figures.compressed_to += made.compressed_to;
	return 0;
}

static void tell_room(struct link *link)
{
	const struct peers_options *options = &link->peers->options;
	for (int class = 0; class < PEER_CLASSES; class ++) {
		if (link->state != LINK_UP || !link->queue.wanted[class] ||
		    link->queue.bytes[class] > options->queue_bytes_max[class] / 2)
			continue;
		link->queue.wanted[class] = false;
		if (options->callbacks.room != NULL)
			options->callbacks.room(
			    options->callbacks.arg, link->peer, (enum peer_class) class);
	}
}

/* What the kernel takes at once is done in the turn after the one that handed it over. The turns of
 * a core that has nothing else to do are few: it sleeps until the write is done, and knows by the
 * clock. */
static bool was_held_up(const struct link *link)
{
	const struct peers *peers = link->peers;
	uint64_t took_ns = io_now_ns(peers->io) - link->sent_ns;
	return peers->turns > link->write_turn + 1 ||
	       took_ns >= peers->options.held_up_ms * NS_PER_MS;
}

static void write_done(struct io_op *op)
{
	struct link *link = CONTAINER_OF(op, struct link, write);
	link->writing = false;
	/* While the network is the slower one bytes are worth more than the processor's time. */
	if (was_held_up(link))
		link->compressed_left = COMPRESSED_RECORDS;
	buffer_clear(&link->output);
	/* What waits is about to need it again: grown anew it would be copied at each doubling. */
	if (peer_queue_bytes(&link->queue) == 0)
		buffer_trim(&link->output, KEEP_BYTES);
	/* Failed: the socket closes by itself, and says why. */
	if (op->result < 0 || link->state == LINK_ENDING)
		return;
	if (link->state == LINK_REFUSING && link->greetings_bytes == 0) {
		link_end(link, ERR_REFUSED, true);
		return;
	}
	if (link->state == LINK_ASKING && introduction_is_over(link)) {
		link_end(link, ERR_CANCELED, true);
		return;
	}
	link_flush(link);
	tell_room(link);
}

void link_flush(struct link *link)
{
	struct peers *peers = link->peers;
	list_remove(&link->attention);
	if (link->writing || link->socket == NULL || link->state == LINK_ENDING)
		return;
	int error = buffer_append(&link->output, link->greetings, link->greetings_bytes);
	if (error == 0)
		link->greetings_bytes = 0;
	while (error == 0 && link_is_proved(link) && peer_queue_bytes(&link->queue) > 0 &&
	       buffer_left(&link->output) >= PEER_RECORD_HEAD_BYTES + PEER_RECORD_BYTES_MAX)
		error = add_record(link);
	if (error != 0) {
		link_end(link, error, true);
		return;
	}
	struct slice output = buffer_view(&link->output);
	if (output.bytes == 0)
		return;
	link->writing = true;
	link->write_turn = peers->turns;
	link->sent_ns = io_now_ns(peers->io);
	link->iov =
	    (struct iovec){.iov_base = (void *)(uintptr_t)output.data, .iov_len = output.bytes};
	peers->figures.writes++;
	peers->figures.bytes_sent += output.bytes;
	io_send(link->socket, &link->write, &link->iov, 1);
}

/* ---- The socket ---- */

static void received(struct io_socket *socket, void *owner, const uint8_t *data, size_t bytes)
{
	(void)socket;
	link_received(owner, data, bytes);
}

static void closed(struct io_socket *socket, void *owner, int result)
{
	struct link *link = owner;
	(void)socket;
	link->socket = NULL;
	if (link->state != LINK_ENDING)
		link_end(link, result < 0 ? result : ERR_CLOSED, true);
	else if (link->down_owed && link->peer != NULL)
		tell_down(link, link->peer);
	link_free(link);
}

static const struct io_socket_events events = {.received = received, .closed = closed};

/* Of IPv6 the first half: the rest is the machine's own to choose, as often as it likes. */
static uint64_t host_of(const char *name)
{
	const char *end = strrchr(name, ':');
	size_t bytes = end != NULL ? (size_t)(end - name) : strlen(name);
	char text[PEER_NAME_BYTES] = "";
	struct in6_addr address;
	if (bytes > 2 && name[0] == '[')
		memcpy(text, name + 1, bytes - 2);
	if (text[0] != '\0' && inet_pton(AF_INET6, text, &address) == 1)
		return hash_bytes(slice_of(address.s6_addr, 8), 0);
	return hash_bytes(slice_of(name, bytes), 0);
}

/* As io_socket_peer says it when there is a connection. */
static void name_of(const struct sockaddr *address, char name[PEER_NAME_BYTES])
{
	char host[INET6_ADDRSTRLEN] = "?";
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(name, PEER_NAME_BYTES, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(name, PEER_NAME_BYTES, "%s:%u", host, ntohs(v4->sin_port));
	}
}

static void start(struct link *link)
{
	const struct peers_options *options = &link->peers->options;
	io_socket_peer(link->socket, link->name, sizeof(link->name));
	link->host = host_of(link->name);
	io_socket_set_patience(link->socket, options->dead_ms);
	io_socket_set_ahead(link->socket, PEER_WRITE_BYTES_MAX / 2);
	io_socket_start(link->socket, &events, link);
	link->state = LINK_HELLO;
	link_set_timer(link);
	link_greet(link);
}

static void connected(struct io_op *op)
{
	struct link *link = CONTAINER_OF(op, struct link, connecting);
	if (op->result == 0 && link->state != LINK_ENDING) {
		start(link);
		return;
	}
	/* A socket that nobody has started is closed without a word. */
	if (op->result == 0)
		io_socket_close(link->socket);
	link->socket = NULL;
	if (link->state != LINK_ENDING)
		link_end(link, (int)op->result, true);
	link_free(link);
}

void link_connect(struct link *link, const struct sockaddr *address, size_t address_bytes)
{
	link->state = LINK_CONNECTING;
	link->initiator = true;
	name_of(address, link->name);
	link_set_timer(link);
	io_connect(link->peers->io, &link->connecting, address, address_bytes, &link->socket);
}

struct link *link_new(struct peers *peers, struct peer *peer, struct io_socket *socket)
{
	struct link *link = mem_zalloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->peers = peers;
	link->peer = peer;
	link->key = peer != NULL ? peer->key : 0;
	link->socket = socket;
	link->connecting.done = connected;
	link->write.done = write_done;
	link->timer.fired = timer_fired;
	list_node_init(&link->node);
	list_node_init(&link->stranger);
	list_node_init(&link->attention);
	list_push_back(&peers->links, &link->node);
	peer_queue_init(&link->queue);
	buffer_init(&link->output, PEER_WRITE_BYTES_MAX + sizeof(link->greetings));
	buffer_init(&link->input, PEER_RECORD_HEAD_BYTES + PEER_RECORD_BYTES_MAX);
	for (int class = 0; class < PEER_CLASSES; class ++)
		buffer_init(
		    &link->assembly[class], peer_message_bytes_max((enum peer_class) class));
	if (socket != NULL)
		start(link);
	return link;
}
