/* This node's calls, on their way to who leads their shards. */
#include <string.h>

#include "base/hash.h"
#include "base/mutation.h"
#include "server/forward_parts.h"

/* ---- Beginning ---- */

static void begin(struct forward *forward, struct route *route)
{
	struct route_shard *shard = route_shard_of(forward, route);
	const char *why = NULL;
	enum status status = STATUS_RESOURCE_EXHAUSTED;
	if (forward->closed) {
		status = STATUS_UNAVAILABLE;
		why = "the server is shutting down";
	} else if (forward->figures.waiting_bytes >= forward->options.waiting_bytes_max) {
		why = "too many calls wait for the node that leads; retry later, or send fewer at "
		      "once";
	} else if (route->lane != 0 && route_enter_lane(forward, route)) {
		why = "the server is out of memory; nothing was changed";
	}
	shard->routes++;
	if (why) {
		/* It was in no lane: it is not to leave one. */
		route->lane = 0;
		route_wait_again(forward, route);
		route_fail(forward, route, status, why);
		return;
	}
	route_wait_again(forward, route);
	route_want(forward, shard);
}

static struct route *route_new(struct forward *forward, uint32_t shard)
{
	struct route *route = small_block_take(&forward->blocks, sizeof(*route));
	ASSERT(shard <= forward->options.shard_count);
	if (!route)
		return NULL;
	memset(route, 0, sizeof(*route));
	route->shard = shard;
	list_node_init(&route->node);
	heap_node_init(&route->deadline);
	return route;
}

static size_t call_bytes(const struct shard_call *call)
{
	size_t bytes = sizeof(struct route) + sizeof(*call) + call->address.bytes +
	               call->name.bytes + call->payload.bytes + call->token.bytes +
	               call->metadata.bytes + call->cursor.bytes;
	return bytes + call->caller.role_count * sizeof(struct slice);
}

/* None is 0: that is no lane. Two that share a number only wait for each other. */
static uint64_t lane_of(const struct forward *forward, const struct shard_call *call)
{
	/* Breaks: nobody refuses it with those before it, so what names it as the one before would
	 * slip through where they were refused. */
	if (!shard_call_is_ordered(call) && !MUTATION(forward_lanes_of_all))
		return 0;
	return hash_bytes(call->address, forward->options.seed ^ map_hash(call->order)) | 1;
}

void forward_call(struct forward *forward, struct shard_call *call, uint32_t shard)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct route *route = route_new(forward, shard);
	if (!route) {
		call->status = STATUS_RESOURCE_EXHAUSTED;
		call->has_reply = false;
		list_node_init(&call->link);
		list_push_back(&forward->starved, &call->link);
		return;
	}
	route->call = call;
	route->reads = call->queries_only || call->kind != SHARD_CALL ||
	               (callbacks->reads && callbacks->reads(callbacks->arg, call));
	route->was_read = call->was_read;
	route->deadline_ns = call->deadline_ns;
	route->bytes = call_bytes(call);
	/* Breaks: calls of one connection to one address keep their order on their way. */
	route->lane = MUTATION(forward_keeps_no_order) ? 0 : lane_of(forward, call);
	begin(forward, route);
}

void forward_directory(struct forward *forward, struct meta_request *request)
{
	struct route *route = route_new(forward, 0);
	if (!route) {
		request->status = STATUS_RESOURCE_EXHAUSTED;
		list_node_init(&request->link);
		list_push_back(&forward->starved_requests, &request->link);
		return;
	}
	route->request = request;
	if (!request->reply.data)
		buffer_init(&request->reply, REPLY_BYTES_MAX);
	if (!request->details.data)
		buffer_init(&request->details, FORWARD_DETAILS_BYTES_MAX);
	route->reads = request->verb == META_APP_LIST || request->dry_run;
	route->deadline_ns = forward_now(forward) + CALL_TIMEOUT_MS * NS_PER_MS;
	route->bytes = sizeof(*route) + request->bundle.bytes;
	begin(forward, route);
}

/* ---- Sending ---- */

/* To whom they go, and the leadership for which it was chosen; no link: they are run here. */
struct way {
	struct link *link;
	uint64_t term;
};

static uint64_t left_ms(uint64_t until_ns, uint64_t now_ns)
{
	uint64_t left = until_ns > now_ns ? (until_ns - now_ns) / NS_PER_MS : 0;
	return left > 0 ? left : 1;
}

static int write_call(struct forward *forward, const struct forward_numbers *numbers,
    const struct route *route, uint64_t term)
{
	struct shard_call *call = route->call;
	bool queries_only = call->queries_only;
	/* Breaks: a call names the leadership that it is for. */
	call->term = MUTATION(forward_names_no_term) ? 0 : term;
	/* What may be sent again must not be able to change anything. */
	call->queries_only |= route->reads;
	int error = forward_call_write(&forward->message, numbers, call);
	call->queries_only = queries_only;
	return error;
}

static int write_request(struct forward *forward, const struct forward_numbers *numbers,
    const struct route *route, struct buffer *head)
{
	struct forward_message *message = &forward->message;
	struct slice bundle = route->request->bundle;
	int error = forward_directory_write(head, numbers, route->request);
	if (error)
		return error;
	struct slice bytes = buffer_view(head);
	message->iov[0] = (struct iovec){(void *)(uintptr_t)bytes.data, bytes.bytes};
	message->iov[1] = (struct iovec){(void *)(uintptr_t)bundle.data, bundle.bytes};
	message->count = bundle.bytes > 0 ? 2 : 1;
	message->bytes = bytes.bytes + bundle.bytes;
	return 0;
}

static void sent(struct forward *forward, struct way way, struct route *route, uint64_t id)
{
	struct link *link = way.link;
	route_leave_state(forward, route);
	link->last_id = id;
	route->state = ROUTE_SENT;
	route->link = link;
	route->id = id;
	route->term = way.term;
	list_push_back(&link->sent, &route->node);
	link->calls++;
	link->bytes += route->bytes;
	link->laden |= link->calls >= forward->options.link_calls_max ||
	               link->bytes >= forward->options.link_bytes_max;
	forward->figures.under_way++;
	forward->figures.sent++;
	forward->figures.repeated += route->was_sent;
	route->was_sent = true;
	heap_remove(&forward->deadlines, &route->deadline);
	/* A request lasts as long as it lasts: an answer comes, or the link ends. */
	if (route->call)
		heap_insert(&forward->deadlines, &route->deadline,
		    route->deadline_ns + FORWARD_GRACE_MS * NS_PER_MS);
}

/* False: the link takes no more now. */
static bool send_one(struct forward *forward, struct way way, struct route *route)
{
	struct link *link = way.link;
	struct forward_numbers numbers = {.id = link->last_id + 1, .seen = link->refusals_seen};
	struct buffer head;
	bool goes = true;
	int error;
	if (route->before)
		numbers.behind = route->before->id;
	/* By its bytes it fits, or nothing is under way that it could wait for. */
	if (link->calls > 0 && link->bytes + route->bytes > forward->options.link_bytes_max) {
		link->laden = true;
		return false;
	}
	buffer_init(&head, FORWARD_MESSAGE_BYTES_MAX);
	if (route->call) {
		numbers.timeout_ms = left_ms(route->deadline_ns, forward_now(forward));
		if (route->call->until_ns > 0)
			numbers.until_ms = left_ms(route->call->until_ns, forward_now(forward));
		error = write_call(forward, &numbers, route, way.term);
	} else {
		error = write_request(forward, &numbers, route, &head);
	}
	if (!error)
		error = map_put_pointer(&link->by_id, numbers.id, route);
	if (error == ERR_TOO_LARGE) {
		route_fail(forward, route, STATUS_INVALID_ARGUMENT,
		    "a word of this is longer than any that means something");
	} else if (error) {
		route_fail(forward, route, STATUS_RESOURCE_EXHAUSTED,
		    "the server is out of memory; nothing was changed");
	} else if (forward_send(forward, link, route->call ? FORWARD_CALL : FORWARD_DIRECTORY)) {
		sent(forward, way, route, numbers.id);
	} else {
		map_remove(&link->by_id, numbers.id);
		goes = false;
	}
	buffer_done(&head);
	return goes;
}

/* Whether those before it let it go over this link. Who is run here is out of our hands, and may
 * come back as a new one: not while one behind it is still elsewhere, which would then be before
 * it. */
static bool may_go(const struct route *route, const struct link *link)
{
	const struct route *before = route->before;
	if (link)
		return !before || (before->state == ROUTE_SENT && before->link == link);
	for (const struct route *after = route->after; after; after = after->after)
		if (after->state == ROUTE_SENT)
			return false;
	return !before;
}

/* This one, and those behind it in its lane, which it held back. */
static void go_chain(struct forward *forward, struct way way, struct route *route)
{
	while (route && route->state == ROUTE_WAITING && may_go(route, way.link)) {
		struct route *after = route->after;
		if (!way.link)
			route_give_local(forward, route);
		else if (way.link->laden || !send_one(forward, way, route))
			return;
		route = after;
	}
}

/* All that can. */
static void go_all(struct forward *forward, struct route_shard *shard, struct way way)
{
	const struct link *link = way.link;
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, &shard->waiting);
	while ((node = list_pop_front(&now))) {
		/* What stays, stays in order; what waits for one that comes later goes with it. */
		list_push_back(&shard->waiting, node);
		if (!link || (!link->full && !link->laden))
			go_chain(forward, way, CONTAINER_OF(node, struct route, node));
	}
}

static void look_at(struct forward *forward, struct route_shard *shard)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	uint32_t number = (uint32_t)(shard - forward->shards);
	uint16_t core = 0;
	struct way way = {.link = NULL};
	uint16_t node = cluster_leader_in(forward->options.leaders, number, &way.term);
	if (list_empty(&shard->waiting))
		return;
	if (shard->leads) {
		go_all(forward, shard, way);
		return;
	}
	/* News will come. */
	if (node == 0 || node == forward->options.node)
		return;
	if (callbacks->core_of(callbacks->arg, node, number, &core) == 0)
		way.link = forward_link(forward, node, core);
	struct link *link = way.link;
	if (!link) {
		route_pause(forward, shard);
		return;
	}
	if (link->up && !link->full && !link->laden)
		go_all(forward, shard, way);
	if (!list_empty(&shard->waiting) && (!link->up || link->full || link->laden))
		route_wait_for(forward, shard, link);
}

void routes_turn(struct forward *forward)
{
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, &forward->ready);
	while ((node = list_pop_front(&now)))
		look_at(forward, CONTAINER_OF(node, struct route_shard, node));
}

/* ---- Time ---- */

static bool reachable(const struct forward *forward, uint32_t number)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	uint16_t node = cluster_leader(forward->options.leaders, number), core = 0;
	if (node == 0 || heap_node_linked(&forward->shards[number].pause))
		return false;
	if (node == forward->options.node)
		return forward->shards[number].leads;
	return callbacks->core_of(callbacks->arg, node, number, &core) == 0 &&
	       forward_link_is_up(forward, node, core);
}

static void fail_unled(struct forward *forward, struct route *route)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	char text[FORWARD_WHY_BYTES] =
	    "no node that leads could be reached in time; nothing was changed";
	if (callbacks->unled)
		callbacks->unled(callbacks->arg, route->shard, text, sizeof(text));
	route_fail(forward, route, STATUS_UNAVAILABLE, text);
}

static void expire(struct forward *forward, struct route *route)
{
	if (route->state == ROUTE_SENT) {
		/* What it answered may be on its way, and those behind it with that. */
		routes_overtake(forward, route);
		route_fail_sent(forward, route, "the node that leads has not answered in time");
	} else if (!reachable(forward, route->shard))
		fail_unled(forward, route);
	else if (route->was_read)
		route_fail_read(forward, route);
	else
		route_fail(forward, route, STATUS_DEADLINE_EXCEEDED,
		    "the time was over before the call could be sent to the node that leads");
}

void routes_expire(struct forward *forward)
{
	uint64_t now_ns = forward_now(forward);
	struct heap_node *first;
	/* Looked at before they are woken: what a pause is for is still so. */
	while ((first = heap_first(&forward->deadlines)) && first->key <= now_ns)
		expire(forward, CONTAINER_OF(first, struct route, deadline));
	while ((first = heap_first(&forward->pauses)) && first->key <= now_ns)
		routes_wake(forward, CONTAINER_OF(first, struct route_shard, pause));
}

void routes_close(struct forward *forward)
{
	for (uint32_t i = 0; i <= forward->options.shard_count; i++) {
		struct list_node *node;
		while ((node = list_first(&forward->shards[i].waiting)))
			route_fail(forward, CONTAINER_OF(node, struct route, node),
			    STATUS_UNAVAILABLE, "the server is shutting down");
	}
}
