/* All links of one core: who is known, who listens, who is connected to again, and which of two
 * links to the same peer stays. */
#include "replication/peer/peer.h"

#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "replication/peer/peer_parts.h"

enum { WRONG_CORES_MAX = 32 };

static const uint64_t LOG_LIMIT_NS = 10 * NS_PER_S;

bool log_limit_allows(struct peers *peers, struct log_limit *limit, uint64_t *ret_silenced)
{
	uint64_t now_ns = io_now_ns(peers->io);
	if (limit->told_ns != 0 && now_ns - limit->told_ns < LOG_LIMIT_NS) {
		limit->silenced++;
		return false;
	}
	*ret_silenced = limit->silenced;
	*limit = (struct log_limit){.told_ns = now_ns};
	return true;
}

/* ---- Dialing ---- */

static void schedule(struct peer *peer)
{
	struct peers *peers = peer->peers;
	if (peer->up != NULL || peer->dialing != NULL || peer->address_bytes == 0 ||
	    peers->stopping)
		return;
	uint64_t delay_ns = peer->redial_ms * NS_PER_MS;
	delay_ns -= random_below(&peers->random, delay_ns / 2 + 1);
	peer->redial_ms *= 2;
	if (peer->redial_ms > peers->options.redial_ms_max)
		peer->redial_ms = peers->options.redial_ms_max;
	io_timer_set(peers->io, &peer->redial, io_now_ns(peers->io) + delay_ns);
}

static void redial_fired(struct io_timer *timer)
{
	struct peer *peer = CONTAINER_OF(timer, struct peer, redial);
	struct peers *peers = peer->peers;
	ASSERT(peer->up == NULL && peer->dialing == NULL && !peers->stopping);
	peer->dialing = link_new(peers, peer, NULL);
	if (peer->dialing == NULL) {
		schedule(peer);
		return;
	}
	peers->figures.dials++;
	link_connect(peer->dialing, (const struct sockaddr *)&peer->address, peer->address_bytes);
}

void peer_link_gone(struct peer *peer, struct link *link, bool was_up)
{
	struct peers *peers = peer->peers;
	if (peer->dialing == link)
		peer->dialing = NULL;
	if (peer->up == link)
		peer->up = NULL;
	/* A link that does not last does not make the next one come sooner. */
	uint64_t lasted_ns = was_up ? io_now_ns(peers->io) - link->up_ns : 0;
	if (lasted_ns >= peers->options.dead_ms * NS_PER_MS)
		peer->redial_ms = peers->options.redial_ms_min;
	/* Who listens for several cores chooses another one each time. */
	if (peer->wrong_cores > 0 && peer->wrong_cores < WRONG_CORES_MAX)
		peer->redial_ms = peers->options.redial_ms_min;
	schedule(peer);
}

/* ---- Refusals ---- */

/* These end by themselves, or are of questions. */
static bool passes(unsigned reason)
{
	return reason == PEER_REFUSED_CORE || reason == PEER_REFUSED_DUPLICATE ||
	       reason == PEER_REFUSED_QUESTION || reason == PEER_REFUSED_BUSY;
}

/* Who connects says who it is, and which cluster's; who was connected to may have said nothing. */
static bool is_of_cluster(const struct link *link)
{
	const struct peer_identity *self = &link->peers->options.self;
	return link->theirs.from.node != 0 &&
	       memcmp(link->theirs.from.cluster, self->cluster, sizeof(self->cluster)) == 0;
}

void peers_note_refusal(struct link *link, unsigned reason, bool by_us)
{
	struct peers *peers = link->peers;
	const struct peer_identity *them = &link->theirs.from;
	struct peer *peer = link->peer;
	peers->figures.refused[reason < PEER_REFUSALS ? reason : 0]++;
	if (passes(reason) || link->introduction != NULL || link->theirs.asks)
		return;
	if (peer == NULL && is_of_cluster(link))
		peer = peer_find(peers, them->node, them->core);
	if (peer == NULL)
		return;
	uint64_t now_ns = io_now_ns(peers->io);
	peer->refused = (struct peer_refused){.reason = reason, .by_us = by_us};
	peer->refused_ns = now_ns;
	if (is_of_cluster(link) && them->node == peer->identity.node &&
	    them->incarnation == peer->identity.incarnation)
		peer->named_ns = now_ns;
}

static bool is_recent(const struct peers *peers, uint64_t at_ns)
{
	const struct peers_options *options = &peers->options;
	uint64_t lately_ms = 2 * (uint64_t)options->redial_ms_max + options->handshake_ms;
	return at_ns != 0 && io_now_ns(peers->io) - at_ns <= lately_ms * NS_PER_MS;
}

bool peer_refused(const struct peer *peer, struct peer_refused *ret_refused)
{
	if (peer_is_up(peer) || !is_recent(peer->peers, peer->refused_ns))
		return false;
	*ret_refused = peer->refused;
	ret_refused->named = is_recent(peer->peers, peer->named_ns);
	return true;
}

/* ---- Listening ---- */

static struct link *stranger_at(struct list_node *node)
{
	return CONTAINER_OF(node, struct link, stranger);
}

static size_t strangers_of(const struct peers *peers, uint64_t host)
{
	size_t count = 0;
	LIST_FOR_EACH(at, &peers->strangers)
	{
		count += stranger_at(at)->host == host;
	}
	return count;
}

/* The oldest of the machine that has most: who connects again and again pushes out himself, and
 * not a node that is about to prove who it is. */
static struct link *stranger_to_end(const struct peers *peers)
{
	struct link *worst = NULL;
	size_t most = 0;
	LIST_FOR_EACH(at, &peers->strangers)
	{
		struct link *link = stranger_at(at);
		size_t count = strangers_of(peers, link->host);
		if (count > most) {
			most = count;
			worst = link;
		}
	}
	return worst;
}

struct link *peers_admit(struct peers *peers, struct io_socket *socket)
{
	struct link *link = link_new(peers, NULL, socket);
	if (link == NULL) {
		io_socket_close(socket);
		return NULL;
	}
	if (link->state == LINK_ENDING)
		return NULL;
	list_push_back(&peers->strangers, &link->stranger);
	peers->stranger_count++;
	if (peers->stranger_count > PEER_STRANGERS_MAX)
		link_end(stranger_to_end(peers), ERR_FULL, true);
	return link;
}

static void accepted(struct io_listener *listener, void *owner, struct io_socket *socket)
{
	struct peers *peers = owner;
	(void)listener;
	peers->figures.accepted++;
	(void)peers_admit(peers, socket);
}

int peers_listen(struct peers *peers, const struct sockaddr *address, size_t address_bytes)
{
	ASSERT(peers->listener == NULL && !peers->stopping);
	if (peers->options.self.node == 0)
		return ERR_INVALID;
	return io_listen(peers->io, address, address_bytes, accepted, peers, &peers->listener);
}

uint16_t peers_port(const struct peers *peers)
{
	return peers->listener != NULL ? io_listener_port(peers->listener) : 0;
}

/* ---- Who stays ---- */

struct peer *peer_find(const struct peers *peers, uint64_t node, uint16_t core)
{
	LIST_FOR_EACH(at, &peers->peers)
	{
		struct peer *peer = CONTAINER_OF(at, struct peer, node);
		if (peer->identity.node == node && peer->identity.core == core)
			return peer;
	}
	return NULL;
}

/* Both sides judge alike: the connection that the smaller one made. */
static bool is_preferred(const struct link *link)
{
	const struct peer_identity *self = &link->peers->options.self;
	const struct peer_identity *them = &link->theirs.from;
	bool self_is_smaller =
	    self->node != them->node ? self->node < them->node : self->core < them->core;
	return link->initiator == self_is_smaller;
}

/* The other side has given up the older one: it connects again only where it has none, and another
 * process of it never had that. Else the two have crossed. */
static bool replaces(const struct link *link, const struct link *older)
{
	return link->initiator == older->initiator || link->theirs.boot != older->theirs.boot ||
	       is_preferred(link);
}

static struct peer *find_peer(struct link *link)
{
	struct peers *peers = link->peers;
	const struct peer_callbacks *callbacks = &peers->options.callbacks;
	const struct peer_identity *them = &link->theirs.from;
	struct peer *peer = peer_find(peers, them->node, them->core);
	bool known = peer != NULL && peer->identity.incarnation == them->incarnation;
	if (known || callbacks->stranger == NULL)
		return peer;
	callbacks->stranger(callbacks->arg, them);
	return peer_find(peers, them->node, them->core);
}

int peers_establish(struct link *link)
{
	struct peers *peers = link->peers;
	link_leave_strangers(link);
	struct peer *peer = find_peer(link);
	if (peer != NULL && peer->up != NULL && link->state != LINK_ENDING &&
	    peer->identity.incarnation == link->theirs.from.incarnation) {
		if (!replaces(link, peer->up))
			return PEER_REFUSED_DUPLICATE;
		peers->figures.replaced++;
		link_end(peer->up, ERR_EXISTS, true);
		/* Its owner was told, and may have removed the peer. */
		peer = peer_find(peers, link->theirs.from.node, link->theirs.from.core);
	}
	if (link->state == LINK_ENDING)
		return ERR_CANCELED;
	if (peer == NULL)
		return PEER_REFUSED_STRANGER;
	if (peer->identity.incarnation != link->theirs.from.incarnation)
		return PEER_REFUSED_INCARNATION;
	ASSERT(peer->up == NULL);
	link->peer = peer;
	peer->up = link;
	peer->wrong_cores = 0;
	peer->refused_ns = peer->named_ns = 0;
	io_timer_cancel(peers->io, &peer->redial);
	struct link *dialing = peer->dialing;
	if (dialing == link)
		peer->dialing = NULL;
	else if (dialing != NULL && dialing->state == LINK_CONNECTING)
		/* Nobody has heard of it. */
		link_end(dialing, ERR_CANCELED, true);
	return 0;
}

/* ---- Peers ---- */

static int set_address(struct peer *peer, const struct sockaddr *address, size_t address_bytes)
{
	if (address_bytes > sizeof(peer->address) ||
	    (address_bytes > 0 && address->sa_family != AF_INET && address->sa_family != AF_INET6))
		return ERR_INVALID;
	if (address_bytes > 0)
		memcpy(&peer->address, address, address_bytes);
	peer->address_bytes = address_bytes;
	return 0;
}

int peer_add(struct peers *peers, const struct peer_identity *them, const struct sockaddr *address,
    size_t address_bytes, void *arg, struct peer **ret_peer)
{
	uint64_t self = peers->options.self.node;
	if (self == 0 || them->node == 0 || them->incarnation == 0 || them->node == self)
		return ERR_INVALID;
	if (peer_find(peers, them->node, them->core) != NULL)
		return ERR_EXISTS;
	struct peer *peer = mem_zalloc(1, sizeof(*peer));
	if (peer == NULL)
		return ERR_NOMEM;
	int error = set_address(peer, address, address_bytes);
	if (error != 0) {
		mem_free(peer);
		return error;
	}
	peer->peers = peers;
	peer->identity = *them;
	peer->arg = arg;
	peer->redial.fired = redial_fired;
	peer->redial_ms = peers->options.redial_ms_min;
	list_node_init(&peer->node);
	list_push_back(&peers->peers, &peer->node);
	if (address_bytes > 0 && !peers->stopping)
		io_timer_set(peers->io, &peer->redial, io_now_ns(peers->io));
	*ret_peer = peer;
	return 0;
}

/* Links stay behind, without their peer, until io has let go of them. */
static void peer_free(struct peer *peer)
{
	struct peers *peers = peer->peers;
	io_timer_cancel(peers->io, &peer->redial);
	list_remove(&peer->node);
	mem_free(peer);
}

void peer_remove(struct peer *peer)
{
	LIST_FOR_EACH(at, &peer->peers->links)
	{
		struct link *link = CONTAINER_OF(at, struct link, node);
		if (link->peer != peer)
			continue;
		link->peer = NULL;
		link->down_owed = false;
		if (link->state != LINK_ENDING)
			link_end(link, ERR_CANCELED, true);
	}
	peer_free(peer);
}

void peer_reset(struct peer *peer, int error)
{
	if (peer->up)
		link_end(peer->up, error, false);
}

int peer_set_address(struct peer *peer, const struct sockaddr *address, size_t address_bytes)
{
	struct peers *peers = peer->peers;
	int error = set_address(peer, address, address_bytes);
	if (error != 0)
		return error;
	peer->redial_ms = peers->options.redial_ms_min;
	io_timer_cancel(peers->io, &peer->redial);
	if (peer->dialing != NULL)
		link_end(peer->dialing, ERR_CANCELED, true); /* and it is scheduled */
	else
		schedule(peer);
	return 0;
}

void *peer_arg(const struct peer *peer)
{
	return peer->arg;
}

bool peer_is_up(const struct peer *peer)
{
	return peer->up != NULL && peer->up->state == LINK_UP;
}

/* ---- Sending ---- */

static int may_send(const struct peer *peer, enum peer_class class, uint8_t kind, uint64_t bytes)
{
	ASSERT((unsigned)class < PEER_CLASSES && kind <= PEER_KIND_MAX);
	if (!peer_is_up(peer))
		return ERR_CLOSED;
	if (bytes > peer_message_bytes_max(class))
		return ERR_TOO_LARGE;
	struct peers *peers = peer->peers;
	struct peer_queue *queue = &peer->up->queue;
	if (queue->bytes[class] == 0 ||
	    queue->bytes[class] + bytes <= peers->options.queue_bytes_max[class])
		return 0;
	queue->wanted[class] = true;
	peers->figures.queue_full++;
	return ERR_FULL;
}

static void push(struct peer *peer, struct peer_message *message)
{
	struct link *link = peer->up;
	peer_queue_push(&link->queue, message);
	peer->peers->figures.messages_sent++;
	link_attend(link);
}

int peer_send(struct peer *peer, enum peer_class class, uint8_t kind, const struct iovec *iov,
    size_t iov_count)
{
	uint64_t bytes = 0;
	for (size_t i = 0; i < iov_count; i++)
		bytes += iov[i].iov_len;
	int error = may_send(peer, class, kind, bytes);
	if (error != 0)
		return error;
	struct peer_message *message = mem_alloc(sizeof(*message) + bytes);
	if (message == NULL)
		return ERR_NOMEM;
	*message = (struct peer_message){
	    .data = message->copy, .bytes = bytes, .class = class, .kind = kind};
	uint8_t *to = message->copy;
	for (size_t i = 0; i < iov_count; i++) {
		if (iov[i].iov_len > 0)
			memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	push(peer, message);
	return 0;
}

int peer_send_owned(struct peer *peer, enum peer_class class, uint8_t kind, struct slice data,
    void (*release)(void *arg), void *arg)
{
	ASSERT(release != NULL);
	int error = may_send(peer, class, kind, data.bytes);
	if (error != 0)
		return error;
	struct peer_message *message = mem_alloc(sizeof(*message));
	if (message == NULL)
		return ERR_NOMEM;
	*message = (struct peer_message){.data = data.data,
	    .bytes = data.bytes,
	    .class = class,
	    .kind = kind,
	    .release = release,
	    .arg = arg};
	push(peer, message);
	return 0;
}

uint64_t peer_queued_bytes(const struct peer *peer, enum peer_class class)
{
	return peer->up != NULL ? peer->up->queue.bytes[class] : 0;
}

void peers_turn(struct peers *peers)
{
	struct list batch;
	peers->turns++;
	list_init(&batch);
	list_append_all(&batch, &peers->attention);
	for (struct list_node *node = list_pop_front(&batch); node != NULL;
	     node = list_pop_front(&batch))
		link_flush(CONTAINER_OF(node, struct link, attention));
}

/* ---- The whole ---- */

static int set_defaults(struct peers_options *options)
{
	options->ping_ms = options->ping_ms != 0 ? options->ping_ms : 1000;
	options->dead_ms = options->dead_ms != 0 ? options->dead_ms : 5000;
	options->handshake_ms = options->handshake_ms != 0 ? options->handshake_ms : 5000;
	options->redial_ms_min = options->redial_ms_min != 0 ? options->redial_ms_min : 50;
	options->redial_ms_max = options->redial_ms_max != 0 ? options->redial_ms_max : 5000;
	options->answer_ms = options->answer_ms != 0 ? options->answer_ms : 10000;
	options->held_up_ms = options->held_up_ms != 0 ? options->held_up_ms : 10;
	for (int class = 0; class < PEER_CLASSES; class ++) {
		uint64_t bytes = PEER_QUEUE_BYTES_DEFAULT;
		if (options->queue_bytes_max[class] == 0)
			options->queue_bytes_max[class] = class == PEER_URGENT ? bytes / 16 : bytes;
	}
	if (options->versions.max == 0)
		options->versions = (struct peer_versions){PEER_VERSION_MIN, PEER_VERSION_MAX};
	const struct peer_identity *self = &options->self;
	const struct peer_callbacks *callbacks = &options->callbacks;
	bool is_whole = self->incarnation != 0 && callbacks->up != NULL &&
	                callbacks->down != NULL && callbacks->message != NULL;
	if ((self->node != 0 && !is_whole) || self->core >= self->cores ||
	    options->entropy == NULL || !peer_versions_are_good(options->versions) ||
	    options->dead_ms / 2 < options->ping_ms ||
	    options->redial_ms_min > options->redial_ms_max)
		return ERR_INVALID;
	size_t bytes = options->secret.bytes;
	size_t previous_bytes = options->secret_previous.bytes;
	if ((bytes != 0 && bytes < PEER_SECRET_BYTES_MIN) ||
	    (previous_bytes != 0 && (previous_bytes < PEER_SECRET_BYTES_MIN || bytes == 0)))
		return ERR_INVALID;
	return 0;
}

int peers_new(struct io *io, const struct peers_options *options, struct peers **ret_peers)
{
	uint64_t seeds[2];
	struct peers *peers = mem_zalloc(1, sizeof(*peers));
	if (peers == NULL)
		return ERR_NOMEM;
	peers->io = io;
	peers->options = *options;
	int error = set_defaults(&peers->options);
	if (error == 0)
		error = options->entropy(options->entropy_arg, (uint8_t *)seeds, sizeof(seeds));
	if (error == 0)
		error = peer_key_of_secret(options->secret, &peers->keys[0]);
	peers->key_count = options->secret_previous.bytes > 0 ? 2 : 1;
	if (error == 0 && peers->key_count == 2)
		error = peer_key_of_secret(options->secret_previous, &peers->keys[1]);
	if (error != 0) {
		peer_key_forget(&peers->keys[0]);
		mem_free(peers);
		return error;
	}
	peers->has_secret = options->secret.bytes > 0;
	peers->options.secret = peers->options.secret_previous = slice_of(NULL, 0);
	peers->boot = seeds[0];
	random_init(&peers->random, seeds[1]);
	list_init(&peers->peers);
	list_init(&peers->links);
	list_init(&peers->strangers);
	list_init(&peers->attention);
	*ret_peers = peers;
	return 0;
}

void peers_stop(struct peers *peers)
{
	if (peers->stopping)
		return;
	peers->stopping = true;
	io_listener_close(peers->listener);
	peers->listener = NULL;
	LIST_FOR_EACH(at, &peers->links)
	{
		struct link *link = CONTAINER_OF(at, struct link, node);
		if (link->state != LINK_ENDING)
			link_end(link, ERR_CANCELED, false);
	}
	LIST_FOR_EACH(at, &peers->peers)
	{
		io_timer_cancel(peers->io, &CONTAINER_OF(at, struct peer, node)->redial);
	}
}

bool peers_stopped(const struct peers *peers)
{
	return peers->stopping && list_empty(&peers->links);
}

void peers_free(struct peers *peers)
{
	if (peers == NULL)
		return;
	ASSERT_MSG(peers_stopped(peers), "links are under way");
	for (struct list_node *node = list_first(&peers->peers); node != NULL;
	     node = list_first(&peers->peers))
		peer_free(CONTAINER_OF(node, struct peer, node));
	peer_key_forget(&peers->keys[0]);
	peer_key_forget(&peers->keys[1]);
	mem_free(peers);
}

struct peers_figures peers_figures(const struct peers *peers)
{
	return peers->figures;
}
