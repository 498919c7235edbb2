#include "tests/fuzz/peer_net.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/io/io.h"
#include "base/io/timers.h"
#include "replication/peer/frame.h"
#include "replication/peer/hello.h"
#include "replication/peer/peer.h"
#include "tests/fuzz/fuzz.h"

enum { BODY_BYTES_MAX = 300, SAID_BYTES_MAX = 1 << 16 };

/* ---- io.h, as far as links need it ---- */

struct io {
	struct timers timers;
	uint64_t now_ns;
};

struct io_socket {
	const struct io_socket_events *events;
	void *owner;
	bool closing;
	void (*detached)(struct io_socket *socket, void *owner);
	struct io_op *sending;
};

struct io_listener {
	void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket);
	void *owner;
};

static struct io io;
static struct io_socket the_socket;
static struct io_listener the_listener;
static struct io_op *connecting;
static uint8_t said[SAID_BYTES_MAX]; /* by the node */
static size_t said_bytes;

uint64_t io_now_ns(const struct io *at)
{
	return at->now_ns;
}

void io_timer_set(struct io *at, struct io_timer *timer, uint64_t at_ns)
{
	timers_set(&at->timers, timer, at_ns);
}

void io_timer_cancel(struct io *at, struct io_timer *timer)
{
	timers_cancel(&at->timers, timer);
}

int io_listen(struct io *at, const struct sockaddr *address, size_t address_bytes,
    void (*accepted)(struct io_listener *listener, void *owner, struct io_socket *socket),
    void *owner, struct io_listener **ret_listener)
{
	(void)at;
	(void)address;
	(void)address_bytes;
	the_listener = (struct io_listener){.accepted = accepted, .owner = owner};
	*ret_listener = &the_listener;
	return 0;
}

uint16_t io_listener_port(const struct io_listener *listener)
{
	(void)listener;
	return 1;
}

void io_listener_close(struct io_listener *listener)
{
	(void)listener;
}

/* The peer here has no address; only a question connects, at once. */
void io_connect(struct io *at, struct io_op *op, const struct sockaddr *address,
    size_t address_bytes, struct io_socket **ret_socket)
{
	(void)at;
	(void)address;
	(void)address_bytes;
	fuzz_must_hold(connecting == NULL ? NULL : "one question at a time");
	connecting = op;
	*ret_socket = &the_socket;
}

void io_connect_cancel(struct io *at, struct io_op *op)
{
	(void)at;
	(void)op;
	UNREACHABLE();
}

void io_socket_start(struct io_socket *socket, const struct io_socket_events *events, void *owner)
{
	socket->events = events;
	socket->owner = owner;
}

void io_socket_set_patience(struct io_socket *socket, uint32_t unacknowledged_ms)
{
	(void)socket;
	(void)unacknowledged_ms;
}

void io_socket_set_ahead(struct io_socket *socket, uint32_t unsent_bytes)
{
	(void)socket;
	(void)unsent_bytes;
}

void io_send(struct io_socket *socket, struct io_op *op, struct iovec *iov, unsigned iov_count)
{
	fuzz_must_hold(socket->sending == NULL ? NULL : "one write at a time");
	fuzz_must_hold(iov_count == 1 ? NULL : "in one piece");
	socket->sending = op;
	if (iov->iov_len <= sizeof(said) - said_bytes) {
		memcpy(said + said_bytes, iov->iov_base, iov->iov_len);
		said_bytes += iov->iov_len;
	}
}

void io_socket_close(struct io_socket *socket)
{
	socket->closing = true;
}

void io_socket_detach(
    struct io_socket *socket, void (*detached)(struct io_socket *socket, void *owner))
{
	fuzz_must_hold(socket->sending == NULL ? NULL : "who sends is not detached");
	socket->detached = detached;
}

void io_socket_adopt(struct io *at, struct io_socket *socket)
{
	(void)at;
	fuzz_must_hold(socket->events == NULL ? NULL : "one io has a socket");
}

void io_socket_discard(struct io_socket *socket)
{
	fuzz_must_hold(socket->events == NULL ? NULL : "nobody has it");
	socket->closing = true;
}

void io_socket_peer(const struct io_socket *socket, char *text, size_t text_bytes)
{
	(void)socket;
	snprintf(text, text_bytes, "127.0.0.1:1");
}

/* What a turn does: sends end, then the socket. */
static void turn(void)
{
	struct io_op *op = connecting;
	connecting = NULL;
	if (op != NULL) {
		op->result = 0;
		op->done(op);
	}
	op = the_socket.sending;
	void (*detached)(struct io_socket *, void *) = the_socket.detached;
	the_socket.sending = NULL;
	the_socket.detached = NULL;
	if (detached != NULL && !the_socket.closing) {
		the_socket.events = NULL;
		detached(&the_socket, the_socket.owner);
	}
	if (op != NULL) {
		op->result = the_socket.closing ? ERR_CANCELED : 0;
		op->done(op);
	}
	if (the_socket.closing && the_socket.sending == NULL && the_socket.events != NULL) {
		const struct io_socket_events *events = the_socket.events;
		the_socket.events = NULL;
		events->closed(&the_socket, the_socket.owner, 0);
	}
}

/* ---- The node ---- */

static struct peers *cores[2];
static bool loses_handovers;
static unsigned questions, answers;
static uint64_t token;
static int ups;
static uint64_t nonces;

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	(void)arg;
	(void)peer;
	fuzz_must_hold(them->node == 2 && ups == 0 ? NULL : "up comes first, and once");
	ups = 1;
}

static void down(void *arg, struct peer *peer, int error)
{
	(void)arg;
	(void)peer;
	fuzz_must_hold(error < 0 && ups == 1 ? NULL : "down comes behind up");
	ups = 0;
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	uint64_t sum = 0;
	(void)arg;
	fuzz_must_hold(ups == 1 ? NULL : "messages come between up and down");
	fuzz_must_hold(bytes.bytes <= peer_message_bytes_max(class) && kind <= PEER_KIND_MAX
	                   ? NULL
	                   : "messages keep their bounds");
	for (size_t i = 0; i < bytes.bytes; i++)
		sum += bytes.data[i];
	/* Some are answered, and some peers go at once. */
	struct iovec iov = {.iov_base = &sum, .iov_len = sizeof(sum)};
	fuzz_must_hold(peer_send(peer, class, 1, &iov, 1) != ERR_CLOSED ? NULL : "a link answers");
	if (kind == 99) {
		peer_remove(peer);
		ups = 0;
	}
}

static void elsewhere(void *arg, uint16_t core, struct peer_handover *handover)
{
	(void)arg;
	fuzz_must_hold(core == 1 ? NULL : "there is such a core, and it is another one");
	if (loses_handovers)
		peer_handover_free(handover);
	else
		peers_take(cores[1], handover);
}

/* Some are answered now, some later, some never. */
static void introduced(
    void *arg, const struct peer_identity *them, struct slice question, uint64_t its_token)
{
	(void)arg;
	fuzz_must_hold(questions++ == 0 && ups == 0 ? NULL : "one question, of no peer");
	fuzz_must_hold(question.bytes <= PEER_QUESTION_BYTES_MAX && them->cores > 0
	                   ? NULL
	                   : "questions keep their bounds");
	token = question.bytes % 3 == 1 ? its_token : 0;
	if (question.bytes % 3 == 0)
		fuzz_must_hold(
		    peers_introduced(cores[0], its_token, question) == 0 ? NULL : "it waits");
}

static void introduction_done(
    void *arg, int error, struct slice answer, const struct peer_identity *them)
{
	(void)arg;
	fuzz_must_hold(answers++ == 0 ? NULL : "a question ends once");
	fuzz_must_hold(error != 0 || (them->node == 2 && answer.bytes <= PEER_ANSWER_BYTES_MAX)
	                   ? NULL
	                   : "answers keep their bounds, and come from who proved himself");
}

static int entropy(void *arg, uint8_t *to, size_t bytes)
{
	(void)arg;
	for (size_t i = 0; i < bytes; i++)
		to[i] = (uint8_t)(++nonces * 7);
	return 0;
}

static void hear(struct slice bytes, unsigned piece)
{
	while (bytes.bytes > 0 && !the_socket.closing && the_socket.events != NULL) {
		size_t count = piece + 1 < bytes.bytes ? piece + 1 : bytes.bytes;
		uint8_t *copy = malloc(count); /* so that ASan sees its ends */
		memcpy(copy, bytes.data, count);
		the_socket.events->received(&the_socket, the_socket.owner, copy, count);
		free(copy);
		turn();
		if (token != 0 && the_socket.events != NULL)
			(void)peers_introduced(cores[0], token, slice_of(bytes.data, count));
		peers_turn(cores[0]);
		bytes = slice_of(bytes.data + count, bytes.bytes - count);
	}
}

/* The other side of a handshake, with the secret that is none; and the key of its records. */
static void shake_hands(const struct peers_options *options, enum peer_net_purpose purpose,
    uint16_t core, struct peer_versions versions, struct peer_key *ret_key)
{
	bool accepts = purpose == PEER_NET_ANSWER;
	struct peer_key key;
	struct peer_greeting theirs;
	uint8_t ours[PEER_GREETING_BYTES_MAX];
	uint8_t proof[PEER_GREETING_BYTES_MAX];
	uint8_t bytes[PEER_PROOF_BYTES];
	struct peer_hello hello = {.versions = versions,
	    .role = accepts ? PEER_ACCEPTS : PEER_CONNECTS,
	    .asks = purpose == PEER_NET_QUESTION,
	    .from = options->self,
	    .to_core = core};
	hello.from.node = purpose == PEER_NET_QUESTION ? 0 : 2;
	struct slice said_first = slice_of(ours, peer_hello_write(&hello, ours));
	hear(said_first, PEER_GREETING_BYTES_MAX);
	fuzz_must_hold(peer_greeting_read(slice_of(said, said_bytes), &theirs) == 0 &&
	                       theirs.kind == (accepts ? PEER_ASK : PEER_HELLO)
	                   ? NULL
	                   : "a good hello is answered");
	struct slice first = accepts ? theirs.whole : said_first;
	struct slice second = accepts ? said_first : theirs.whole;
	const char *proves = accepts ? "acceptor proves" : "initiator proves";
	const char *seals = accepts ? "acceptor's records" : "initiator's records";
	fuzz_must_hold(peer_key_of_secret(slice_of(NULL, 0), &key) == 0 &&
	                       peer_prove(&key, proves, first, second, bytes) == 0 &&
	                       peer_prove(&key, seals, first, second, ret_key->bytes) == 0
	                   ? NULL
	                   : "memory");
	hear(
	    slice_of(proof, peer_greeting_write(PEER_PROOF, slice_of(bytes, sizeof(bytes)), proof)),
	    PEER_GREETING_BYTES_MAX);
	fuzz_must_hold(ups == (purpose == PEER_NET_LINK) && the_socket.events != NULL
	                   ? NULL
	                   : "a good proof is believed");
}

/* A byte says how many frames a record claims, another how long its body is. */
static void hear_records(const struct peer_key *key, struct slice bytes, unsigned piece)
{
	struct reader reader = reader_of(bytes);
	for (uint64_t number = 0; reader_left(&reader) > 2; number++) {
		uint8_t record[PEER_RECORD_HEAD_BYTES + BODY_BYTES_MAX];
		unsigned frames = reader_u8(&reader) % 4u + 1;
		size_t size = reader_u8(&reader) + 1u;
		size = size < reader_left(&reader) ? size : reader_left(&reader);
		struct slice body = reader_slice(&reader, size);
		memcpy(record + PEER_RECORD_HEAD_BYTES, body.data, body.bytes);
		fuzz_must_hold(
		    peer_record_finish(record, size, frames, key, number) == 0 ? NULL : "memory");
		hear(slice_of(record, PEER_RECORD_HEAD_BYTES + size), piece);
	}
}

/* One core of node 1, which knows node 2. */
static void make(struct peers_options *options, uint16_t core)
{
	struct peer *peer = NULL;
	const struct peer_identity other = {.node = 2, .incarnation = 1, .cores = 1};
	options->self.core = core;
	fuzz_must_hold(peers_new(&io, options, &cores[core]) == 0 &&
	                       peer_add(cores[core], &other, NULL, 0, NULL, &peer) == 0
	                   ? NULL
	                   : "memory");
}

void peer_net_run(bool known, enum peer_net_purpose purpose, unsigned piece, struct slice bytes)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct peers_options options = {.self = {.node = 1, .incarnation = 1, .cores = 2},
	    .callbacks = {.up = up,
	        .down = down,
	        .message = message,
	        .elsewhere = elsewhere,
	        .introduced = introduced},
	    .entropy = entropy};
	io = (struct io){.now_ns = 1};
	timers_init(&io.timers);
	the_socket = (struct io_socket){0};
	said_bytes = 0;
	ups = 0;
	nonces = 0;
	token = 0;
	questions = answers = 0;
	connecting = NULL;
	loses_handovers = !known && piece % 8 == 5;
	make(&options, 1);
	make(&options, 0);
	fuzz_must_hold(peers_listen(cores[0], (struct sockaddr *)&address, sizeof(address)) == 0
	                   ? NULL
	                   : "memory");
	if (purpose == PEER_NET_ANSWER)
		fuzz_must_hold(
		    peers_introduce(cores[0], (struct sockaddr *)&address, sizeof(address),
		        slice_from_text("who am I?"), introduction_done, NULL) == 0
		        ? NULL
		        : "memory");
	else
		the_listener.accepted(&the_listener, the_listener.owner, &the_socket);
	turn();
	if (known) {
		/* Ranges that overlap with the node's, partly or whole. */
		static const struct peer_versions others[] = {{PEER_VERSION_MIN, PEER_VERSION_MAX},
		    {1, PEER_VERSION_MIN}, {PEER_VERSION_MAX, UINT16_MAX}, {1, UINT16_MAX}};
		struct peer_key key;
		shake_hands(&options, purpose, piece % 4 == 3 ? 1 : PEER_ANY_CORE,
		    others[piece / 4 % 4], &key);
		hear_records(&key, bytes, piece);
	} else {
		hear(bytes, piece);
	}
	for (int i = 0; i < 2; i++) {
		peers_turn(cores[i]);
		peers_stop(cores[i]);
	}
	for (int i = 0; i < 4; i++)
		turn();
	fuzz_must_hold(
	    peers_stopped(cores[0]) && peers_stopped(cores[1]) && ups == 0 ? NULL : "all ends");
	fuzz_must_hold(answers == (purpose == PEER_NET_ANSWER) ? NULL : "every question ends");
	peers_free(cores[0]);
	peers_free(cores[1]);
}
