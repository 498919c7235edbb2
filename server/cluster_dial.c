#include "server/cluster_dial.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "server/cluster_parts.h"

/* ---- Addresses ---- */

int cluster_literal(const char *host, uint16_t port, struct cluster_address *ret_address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&ret_address->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&ret_address->address;
	memset(ret_address, 0, sizeof(*ret_address));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		ret_address->bytes = sizeof(*v4);
	} else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		ret_address->bytes = sizeof(*v6);
	} else {
		return ERR_INVALID;
	}
	return 0;
}

int cluster_resolve(const char *host, uint16_t port, struct cluster_address *ret_address)
{
	if (cluster_literal(host, port, ret_address) == 0)
		return 0;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
	char service[8];
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &found))
		return ERR_NOT_FOUND;
	memcpy(&ret_address->address, found->ai_addr, found->ai_addrlen);
	ret_address->bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
}

bool cluster_address_text(const struct cluster_address *address, char host[CLUSTER_HOST_BYTES])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;
	const void *bytes =
	    v4->sin_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
	return (v4->sin_family == AF_INET || v4->sin_family == AF_INET6) &&
	       inet_ntop(v4->sin_family, bytes, host, CLUSTER_HOST_BYTES);
}

/* ---- One place ---- */

static bool same_place(const struct cluster_place *a, const struct cluster_place *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

static const struct cluster_place *place(const struct cluster_dial *dial)
{
	ASSERT(dial->at < dial->count);
	return &dial->places[dial->at];
}

static void set_timer(struct cluster_dial *dial, struct io_timer *timer, uint64_t ms)
{
	struct io *io = dial->core->io;
	io_timer_set(io, timer, io_now_ns(io) + ms * NS_PER_MS);
}

static void use(struct cluster_dial *dial, const struct cluster_address *address)
{
	int error = peer_set_address(
	    dial->peer, (const struct sockaddr *)&address->address, address->bytes);
	if (error)
		LOG_LINE(LEVEL_WARNING, "node_address_unusable", FIELD_U64("node", dial->node),
		    FIELD_TEXT("host", place(dial)->host), FIELD_ERROR("error", error));
}

/* In the pool: names are asked for over the network. */
static void look_up(struct io_op *op)
{
	struct cluster_dial *dial = CONTAINER_OF(op, struct cluster_dial, lookup);
	op->result = cluster_resolve(dial->asked.host, dial->asked.port, &dial->found);
}

static void looked_up(struct io_op *op);

static void begin_lookup(struct cluster_dial *dial)
{
	if (dial->looks_up || dial->core->closing)
		return;
	dial->looks_up = true;
	dial->core->resolving++;
	dial->asked = *place(dial);
	dial->lookup.done = looked_up;
	io_offload(dial->core->io, &dial->lookup, look_up);
}

static void looked_up(struct io_op *op)
{
	struct cluster_dial *dial = CONTAINER_OF(op, struct cluster_dial, lookup);
	ASSERT(dial->looks_up && dial->core->resolving > 0);
	dial->looks_up = false;
	dial->core->resolving--;
	if (!dial->peer) {
		dial->ended(dial);
		return;
	}
	/* Another one is tried since. */
	if (!same_place(place(dial), &dial->asked)) {
		if (dial->is_name)
			begin_lookup(dial);
		return;
	}
	if (op->result)
		LOG_LINE(LEVEL_WARNING, "node_not_resolved", FIELD_U64("node", dial->node),
		    FIELD_TEXT("host", dial->asked.host));
	else
		use(dial, &dial->found);
	set_timer(dial, &dial->lookup_timer, CLUSTER_LOOKUP_MS);
}

static void lookup_fired(struct io_timer *timer)
{
	struct cluster_dial *dial = CONTAINER_OF(timer, struct cluster_dial, lookup_timer);
	if (dial->up)
		set_timer(dial, timer, CLUSTER_LOOKUP_MS);
	else
		begin_lookup(dial);
}

static void try_place(struct cluster_dial *dial)
{
	struct cluster_address literal;
	io_timer_cancel(dial->core->io, &dial->lookup_timer);
	dial->is_name = cluster_literal(place(dial)->host, place(dial)->port, &literal) != 0;
	if (dial->is_name)
		begin_lookup(dial);
	else
		use(dial, &literal);
}

/* ---- Several ---- */

static void turn_fired(struct io_timer *timer)
{
	struct cluster_dial *dial = CONTAINER_OF(timer, struct cluster_dial, turn_timer);
	ASSERT(!dial->up && dial->count > 1);
	dial->at = (dial->at + 1) % dial->count;
	try_place(dial);
	set_timer(dial, timer, CLUSTER_PLACE_MS);
}

static void take_turns(struct cluster_dial *dial)
{
	if (!dial->up && dial->count > 1)
		set_timer(dial, &dial->turn_timer, CLUSTER_PLACE_MS);
	else
		io_timer_cancel(dial->core->io, &dial->turn_timer);
}

static bool has_place(const struct cluster_dial *dial, const struct cluster_place *one)
{
	for (uint32_t i = 0; i < dial->count; i++)
		if (same_place(&dial->places[i], one))
			return true;
	return false;
}

static bool is_same(
    const struct cluster_dial *dial, const struct cluster_place *places, uint32_t count)
{
	bool same = dial->count == count;
	for (uint32_t i = 0; same && i < count; i++)
		same = same_place(&dial->places[i], &places[i]);
	return same;
}

void cluster_dial_init(struct cluster_dial *dial, struct cluster_core *core, uint16_t node,
    void (*ended)(struct cluster_dial *dial))
{
	*dial = (struct cluster_dial){.core = core, .node = node, .ended = ended};
	dial->turn_timer.fired = turn_fired;
	dial->lookup_timer.fired = lookup_fired;
}

void cluster_dial_set(struct cluster_dial *dial, const struct cluster_place *places, uint32_t count)
{
	ASSERT(dial->peer != NULL);
	ASSERT(count > 0 && count <= CLUSTER_PLACES_MAX);
	if (is_same(dial, places, count))
		return;
	/* What is tried is tried on, where it is none of the past, and nothing is new. */
	bool has = dial->count > 0;
	struct cluster_place tried = has ? *place(dial) : places[0];
	uint32_t at = 0, newest = count;
	for (uint32_t i = 0; i < count; i++) {
		if (has && same_place(&places[i], &tried))
			at = i;
		if (!has_place(dial, &places[i]))
			newest = i;
	}
	if (newest < count)
		at = newest;
	memcpy(dial->places, places, count * sizeof(places[0]));
	dial->count = count;
	dial->at = at;
	if (!has || !same_place(&tried, place(dial)))
		try_place(dial);
	take_turns(dial);
}

void cluster_dial_up(struct cluster_dial *dial)
{
	dial->up = true;
	take_turns(dial);
}

void cluster_dial_down(struct cluster_dial *dial)
{
	dial->up = false;
	take_turns(dial);
}

bool cluster_dial_end(struct cluster_dial *dial)
{
	dial->peer = NULL;
	io_timer_cancel(dial->core->io, &dial->turn_timer);
	io_timer_cancel(dial->core->io, &dial->lookup_timer);
	return !dial->looks_up;
}
