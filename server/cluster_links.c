/* The links of a core: to which cores of which nodes, and what comes over them. */
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "server/cluster_parts.h"

struct cluster_link *cluster_link_find(
    const struct cluster_core *core, uint16_t node, uint16_t number)
{
	LIST_FOR_EACH(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->node == node && link->number == number)
			return link;
	}
	return NULL;
}

struct cluster_link *cluster_link_for(
    const struct cluster_core *core, uint16_t node, uint32_t shard)
{
	LIST_FOR_EACH(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->node == node && shard % link->stores % link->cores == link->number)
			return link;
	}
	return NULL;
}

/* ---- Why there is none ---- */

bool cluster_link_refused(
    const struct cluster_core *core, uint16_t node, struct peer_refused *ret_refused)
{
	struct peer_refused refused, best = {.reason = 0};
	bool found = false;
	LIST_FOR_EACH(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->node != node || link->removed)
			continue;
		if (link->up)
			return false;
		if (!peer_refused(link->peer, &refused) ||
		    (found && (best.named || !refused.named)))
			continue;
		best = refused;
		found = true;
	}
	*ret_refused = best;
	return found;
}

const char *cluster_core_refused(const struct cluster_core *core, uint16_t node)
{
	struct peer_refused refused;
	if (cluster_link_refused(core, node, &refused))
		return peer_refusal_word(refused.reason);
	/* What was said of one that was removed meanwhile is over. */
	const struct cluster_node *known = core->map ? cluster_map_node(core->map, node) : NULL;
	if (!known || known->state == CLUSTER_NODE_REMOVED)
		return NULL;
	unsigned reason = cluster_reach_refusal(core->options->reach, node, io_now_ns(core->io));
	return reason > 0 ? peer_refusal_word(reason) : NULL;
}

bool cluster_link_is_there(const struct cluster_core *core, uint16_t node)
{
	struct peer_refused refused;
	return cluster_link_refused(core, node, &refused) && refused.named;
}

bool cluster_link_keeps(const struct cluster_core *core, uint16_t node, char *why, size_t bytes)
{
	struct peer_refused refused;
	if (!cluster_link_refused(core, node, &refused) || !refused.named)
		return false;
	snprintf(why, bytes,
	    "node %u may not be gone: somebody answers as it, and links are refused (%s). Mend "
	    "that, or stop it, for ever, first. It is not proved that it is node %u: where that is "
	    "surely gone, say --unproved too",
	    node, peer_refusal_text(refused.reason), node);
	return true;
}

/* ---- Links come and go ---- */

static void dial_ended(struct cluster_dial *dial)
{
	mem_free(CONTAINER_OF(dial, struct cluster_link, dial));
}

/* What goes over it has its memory before it comes up: nobody would bring it back later. */
static int make_ways(struct cluster_core *core, const struct cluster_link *link)
{
	int error = carrier_set_node(core->carrier, link->node, link->cores, link->stores);
	return error ? error : forward_link_make(core->forward, link->node, link->number);
}

static struct cluster_link *link_add(
    struct cluster_core *core, const struct peer_identity *them, bool removed)
{
	struct cluster_link *link = mem_zalloc(1, sizeof(*link));
	if (!link)
		return NULL;
	list_node_init(&link->node_link);
	link->core = core;
	link->removed = removed;
	link->node = (uint16_t)them->node;
	link->number = them->core;
	link->incarnation = them->incarnation;
	link->cores = them->cores;
	link->stores = them->stores;
	link->down_since_ns = io_now_ns(core->io);
	cluster_dial_init(&link->dial, core, link->node, dial_ended);
	int error = removed ? 0 : make_ways(core, link);
	if (!error)
		error = peer_add(core->peers, them, NULL, 0, link, &link->peer);
	link->dial.peer = link->peer;
	if (error) {
		LOG_LINE(LEVEL_ERROR, "link_not_made", FIELD_U64("node", link->node),
		    FIELD_ERROR("error", error));
		mem_free(link);
		return NULL;
	}
	list_push_back(&core->links, &link->node_link);
	if (!removed)
		cluster_reach_wanted(core->options->reach, link->node, link->down_since_ns);
	return link;
}

static void tell_down(struct cluster_link *link)
{
	struct cluster_core *core = link->core;
	link->up = false;
	cluster_dial_down(&link->dial);
	link->down_since_ns = io_now_ns(core->io);
	link->unfit_until_ns = 0;
	link->silent_until_ns = 0;
	if (link->removed)
		return;
	cluster_reach_down(core->options->reach, link->node, link->down_since_ns);
	carrier_link_down(core->carrier, link->node, link->number);
	forward_link_down(core->forward, link->node, link->number);
}

static void link_remove(struct cluster_link *link)
{
	if (link->up)
		tell_down(link);
	list_remove(&link->node_link);
	peer_remove(link->peer);
	link->peer = NULL;
	if (cluster_dial_end(&link->dial))
		mem_free(link);
}

/* Which cores of the node share shards with this core. None behind its last store has any. */
static void shared_cores(
    const struct cluster_core *core, const struct cluster_node *node, uint8_t cores[STORES_MAX])
{
	const struct cluster_node *self = &core->options->self;
	/* From there on it repeats. */
	uint32_t period = (uint32_t)self->stores * node->stores;
	uint32_t last = core->options->shard_count < period ? core->options->shard_count : period;
	for (uint32_t shard = 0; shard <= last; shard++)
		if (cluster_core_of(self, shard) == core->number)
			cores[cluster_core_of(node, shard)] = 1;
}

static void add_place(
    struct cluster_place *places, uint32_t *count, const char *host, uint16_t port)
{
	struct cluster_place *place = &places[(*count)++];
	snprintf(place->host, sizeof(place->host), "%s", host);
	place->port = port;
}

/* What was found counts until the node says another address than it had then. */
static uint32_t places_of(const struct cluster_core *core, const struct cluster_node *node,
    struct cluster_place places[CLUSTER_PLACES_MAX])
{
	const struct cluster_found *found = core->options->found;
	uint32_t count = 0;
	add_place(places, &count, node->host, node->peer_port);
	for (uint32_t i = 0; found && i < found->count && count < CLUSTER_PLACES_MAX; i++) {
		const struct cluster_found_node *one = &found->nodes[i];
		if (one->node == node->node && one->known_port == node->peer_port &&
		    strcmp(one->known_host, node->host) == 0)
			add_place(places, &count, one->host, one->port);
	}
	return count;
}

/* Without memory: no other map may come for a long time. */
static void make_later(struct cluster_core *core)
{
	enum { AGAIN_MS = 200 };
	if (!core->links_timer.armed)
		io_timer_set(
		    core->io, &core->links_timer, io_now_ns(core->io) + AGAIN_MS * NS_PER_MS);
}

static void links_fired(struct io_timer *timer)
{
	cluster_core_look_again(CONTAINER_OF(timer, struct cluster_core, links_timer));
}

static void follow_node(struct cluster_core *core, const struct cluster_node *node)
{
	uint8_t cores[STORES_MAX] = {0};
	struct cluster_place places[CLUSTER_PLACES_MAX];
	uint32_t place_count = places_of(core, node, places);
	shared_cores(core, node, cores);
	for (uint16_t number = 0; number < node->cores && number < STORES_MAX; number++) {
		if (!cores[number])
			continue;
		struct cluster_link *link = cluster_link_find(core, node->node, number);
		bool same = link && link->incarnation == node->incarnation &&
		            link->stores == node->stores && link->cores == node->cores;
		if (link && !same) {
			link_remove(link);
			link = NULL;
		}
		struct peer_identity them = {.node = node->node,
		    .incarnation = node->incarnation,
		    .core = number,
		    .cores = node->cores,
		    .stores = node->stores};
		memcpy(them.cluster, core->options->id, sizeof(them.cluster));
		if (!link)
			link = link_add(core, &them, false);
		if (!link) {
			make_later(core);
			continue;
		}
		link->wanted = true;
		cluster_dial_set(&link->dial, places, place_count);
	}
}

void cluster_links_follow(struct cluster_core *core)
{
	LIST_FOR_EACH(list_node, &core->links)
	CONTAINER_OF(list_node, struct cluster_link, node_link)->wanted = false;
	for (uint32_t i = 0; i < core->map->node_count; i++) {
		const struct cluster_node *node = &core->map->nodes[i];
		if (node->node != core->options->self.node && node->state != CLUSTER_NODE_REMOVED)
			follow_node(core, node);
	}
	LIST_FOR_EACH_REMOVABLE(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		const struct cluster_node *node = cluster_map_node(core->map, link->node);
		/* Who let this node in may be newer than what it knows. */
		if (link->wanted || !node)
			continue;
		uint16_t gone = link->node;
		link_remove(link);
		if (node->state == CLUSTER_NODE_REMOVED)
			carrier_remove_node(core->carrier, gone);
	}
}

/* ---- What links tell ---- */

/* The bytes leave at the end of this turn; whether they arrive nobody knows: it connects again. */
static void tell_removed(struct cluster_link *link)
{
	enum { ENDS_MS = 500, AGAIN_MS = 20 };
	struct cluster_core *core = link->core;
	uint8_t bytes[32];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_removed_write(
	    &out, &(struct cluster_removed){.node = link->node, .incarnation = link->incarnation});
	struct iovec iov = {.iov_base = bytes, .iov_len = writer_used(&out)};
	int lost = peer_send(link->peer, PEER_URGENT, CLUSTER_KIND_REMOVED, &iov, 1);
	LOG_LINE(LEVEL_WARNING, "removed_node_comes", FIELD_U64("node", link->node),
	    FIELD_U64("core", core->number), FIELD_ERROR("error", lost));
	/* Until it is told it does what it did, with others that were removed as well. */
	link->untold = lost == ERR_NOMEM;
	io_timer_set(core->io, &core->removed_timer,
	    io_now_ns(core->io) + (link->untold ? AGAIN_MS : ENDS_MS) * NS_PER_MS);
}

static void removed_fired(struct io_timer *timer)
{
	struct cluster_core *core = CONTAINER_OF(timer, struct cluster_core, removed_timer);
	LIST_FOR_EACH_REMOVABLE(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (link->removed && link->up && link->untold)
			tell_removed(link);
		else if (link->removed)
			link_remove(link);
	}
}

static void up(void *arg, struct peer *peer, const struct peer_identity *them)
{
	struct cluster_core *core = arg;
	struct cluster_link *link = peer_arg(peer);
	(void)them;
	link->up = true;
	cluster_dial_up(&link->dial);
	if (link->removed) {
		tell_removed(link);
		return;
	}
	cluster_reach_up(core->options->reach, link->node);
	LOG_LINE(LEVEL_INFO, "link_up", FIELD_U64("node", link->node),
	    FIELD_U64("their_core", link->number), FIELD_U64("core", core->number));
	carrier_link_up(core->carrier, link->node, link->number);
	forward_link_up(core->forward, link->node, link->number);
}

/* Both connected at the same time, and one of the two goes; or this process ends. */
static bool is_expected(int error)
{
	return error == ERR_EXISTS || error == ERR_CANCELED;
}

static void down(void *arg, struct peer *peer, int error)
{
	struct cluster_core *core = arg;
	struct cluster_link *link = peer_arg(peer);
	link->expected = is_expected(error);
	LOG_LINE(link->expected ? LEVEL_INFO : LEVEL_WARNING, "link_down",
	    FIELD_U64("node", link->node), FIELD_U64("their_core", link->number),
	    FIELD_U64("core", core->number), FIELD_ERROR("error", error));
	tell_down(link);
}

/* Why there is none is known to all cores; what was expected to be over at once, and is not, is
 * said. */
void cluster_links_look(struct cluster_core *core)
{
	enum { LASTS_MS = 5000 };
	uint64_t now_ns = io_now_ns(core->io);
	struct peer_refused refused;
	LIST_FOR_EACH(list_node, &core->links)
	{
		struct cluster_link *link = CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (!link->removed && !link->up && peer_refused(link->peer, &refused) &&
		    refused.reason > 0)
			cluster_reach_refused(core->options->reach, link->node, refused.reason,
			    refused.named, now_ns);
		if (link->up || !link->expected ||
		    now_ns - link->down_since_ns < LASTS_MS * NS_PER_MS)
			continue;
		link->expected = false;
		LOG_LINE(LEVEL_WARNING, "link_not_replaced", FIELD_U64("node", link->node),
		    FIELD_U64("their_core", link->number), FIELD_U64("core", core->number));
	}
}

static void room(void *arg, struct peer *peer, enum peer_class class)
{
	struct cluster_core *core = arg;
	const struct cluster_link *link = peer_arg(peer);
	if (link->removed)
		return;
	if (class == PEER_BULK)
		carrier_room(core->carrier, link->node);
	else if (class == PEER_ENTRIES)
		forward_room(core->forward, link->node, link->number);
}

/* A node that is no peer. One that the map knows otherwise is refused, and one that was removed is
 * told so. */
static void stranger(void *arg, const struct peer_identity *them)
{
	struct cluster_core *core = arg;
	if (them->node > CLUSTER_NODE_MAX || them->cores == 0 || them->stores == 0 ||
	    them->core >= them->cores)
		return;
	const struct cluster_node *known =
	    core->map ? cluster_map_node(core->map, (uint16_t)them->node) : NULL;
	struct cluster_link *link = cluster_link_find(core, (uint16_t)them->node, them->core);
	bool removed = known && known->state == CLUSTER_NODE_REMOVED &&
	               known->incarnation == them->incarnation;
	if ((known && !removed) || link)
		return;
	if (!removed)
		LOG_LINE(LEVEL_INFO, "link_of_new_node", FIELD_U64("node", them->node),
		    FIELD_U64("core", core->number));
	(void)link_add(core, them, removed);
}

static int take_removed(
    struct cluster_core *core, const struct cluster_link *link, struct slice bytes)
{
	struct cluster_removed removed;
	int error = cluster_removed_read(bytes, &removed);
	const struct cluster_node *self = &core->options->self;
	/* Breaks: several that were given up are a majority of what was, and go on as that. */
	if (MUTATION(cluster_removed_goes_on))
		return 0;
	if (!error && removed.node == self->node && removed.incarnation == self->incarnation &&
	    core->services.removed)
		core->services.removed(core->services.arg, link->node);
	return error ? ERR_PROTOCOL : 0;
}

static int receive(
    struct cluster_core *core, struct cluster_link *link, uint8_t kind, struct slice bytes)
{
	if (link->removed)
		return 0;
	if (kind <= CLUSTER_KIND_GROUPS_LAST)
		return carrier_receive(core->carrier, link->node, link->number, kind, bytes);
	if (kind >= CLUSTER_KIND_FORWARD)
		return forward_receive(core->forward, link->node, link->number, kind, bytes);
	switch (kind) {
	case CLUSTER_KIND_DIRECTORY:
		if (core->meta)
			meta_told(core->meta, link->node, bytes);
		return 0;
	case CLUSTER_KIND_REPORT:
	case CLUSTER_KIND_STRANDED:
	case CLUSTER_KIND_LOADS:
		return core->control ? cluster_control_rows(core->control, kind, link->node, bytes)
		                     : ERR_PROTOCOL;
	case CLUSTER_KIND_ASKED:
		return cluster_stranded_asked(core, bytes);
	case CLUSTER_KIND_MOVES:
		return core->control ? cluster_moves_told(core->control, link->node, bytes)
		                     : ERR_PROTOCOL;
	case CLUSTER_KIND_NODE:
		return core->control ? cluster_control_node(core->control, link, bytes)
		                     : ERR_PROTOCOL;
	case CLUSTER_KIND_REMOVED:
		return take_removed(core, link, bytes);
	case CLUSTER_KIND_LEAVE:
		return core->map && core->shards ? cluster_shards_leave(core, link, bytes) : 0;
	case CLUSTER_KIND_LEAD:
		return cluster_shards_asked_to_lead(core, bytes);
	case CLUSTER_KIND_UNFIT:
		return cluster_unfit_told(core, link, bytes);
	case CLUSTER_KIND_DISK:
		return cluster_disk_told(core, link, bytes);
	default:
		return ERR_NOT_FOUND;
	}
}

static void message(
    void *arg, struct peer *peer, enum peer_class class, uint8_t kind, struct slice bytes)
{
	struct cluster_core *core = arg;
	struct cluster_link *link = peer_arg(peer);
	(void)class;
	int error = receive(core, link, kind, bytes);
	/* A kind that a newer version has says nothing to this one. */
	if (!error || error == ERR_NOT_FOUND)
		return;
	LOG_LINE(LEVEL_ERROR, "link_malformed", FIELD_U64("node", link->node),
	    FIELD_U64("kind", kind), FIELD_ERROR("error", error));
	peer_reset(peer, ERR_PROTOCOL);
}

/* ---- What goes out ---- */

int cluster_send(struct cluster_core *core, uint16_t node, uint16_t number, enum peer_class class,
    uint8_t kind, const struct iovec *iov, size_t count)
{
	struct cluster_link *link = cluster_link_find(core, node, number);
	return link && link->up ? peer_send(link->peer, class, kind, iov, count) : ERR_CLOSED;
}

void cluster_tell_linked(const struct cluster_core *core, uint8_t kind, struct slice bytes)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	LIST_FOR_EACH(list_node, &core->links)
	{
		const struct cluster_link *link =
		    CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (!link->up || link->removed)
			continue;
		int lost = peer_send(link->peer, PEER_URGENT, kind, &iov, 1);
		(void)lost;
	}
}

/* Stores are opened before there is a carrier. */
static int send_snapshot(
    void *arg, uint32_t shard, uint64_t to, const struct iovec *iov, size_t count)
{
	struct cluster_core *core = arg;
	return core->carrier ? carrier_send_snapshot(core->carrier, shard, to, iov, count)
	                     : ERR_CLOSED;
}

void cluster_send_for(
    struct cluster_core *core, uint16_t node, uint32_t shard, uint8_t kind, struct slice bytes)
{
	struct cluster_link *link = cluster_link_for(core, node, shard);
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	if (link && link->up) {
		int lost = peer_send(link->peer, PEER_ENTRIES, kind, &iov, 1);
		(void)lost;
	}
}

/* ---- Beginning and end ---- */

void cluster_links_callbacks(struct cluster_core *core, struct peer_callbacks *ret_callbacks)
{
	*ret_callbacks = (struct peer_callbacks){.up = up,
	    .down = down,
	    .message = message,
	    .room = room,
	    .stranger = stranger,
	    .elsewhere = cluster_join_elsewhere,
	    .introduced = cluster_join_asked,
	    .arg = core};
}

int cluster_links_snapshots(struct cluster_core *core, uint64_t seed)
{
	struct snapshots_options options = {.io = core->io,
	    .transport = {.send = send_snapshot, .arg = core},
	    .seed = seed,
	    .bytes_per_s = core->services.snapshot_rate(core->services.arg)};
	return snapshots_new(&options, &core->snapshots);
}

int cluster_links_carry(struct cluster_core *core)
{
	core->removed_timer.fired = removed_fired;
	core->links_timer.fired = links_fired;
	struct carrier_options carrier = {.io = core->io,
	    .peers = core->peers,
	    .stores = core->stores,
	    .store_count = core->options->self.stores,
	    .shard_max = core->options->shard_count};
	int error = carrier_new(&carrier, &core->carrier);
	if (!error)
		carrier_set_snapshots(core->carrier, core->snapshots);
	return error;
}

void cluster_links_done(struct cluster_core *core)
{
	io_timer_cancel(core->io, &core->removed_timer);
	io_timer_cancel(core->io, &core->links_timer);
	struct list_node *node;
	while ((node = list_first(&core->links)))
		link_remove(CONTAINER_OF(node, struct cluster_link, node_link));
}
