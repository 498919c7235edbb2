/* Where a call of this node stands, and its end. forward_parts.h has the states. */
#include "server/forward_parts.h"

struct route_shard *route_shard_of(const struct forward *forward, const struct route *route)
{
	return &forward->shards[route->shard];
}

/* ---- Which shards are looked at ---- */

static void leave_places(struct forward *forward, struct route_shard *shard)
{
	list_remove(&shard->node);
	heap_remove(&forward->pauses, &shard->pause);
}

void routes_wake(struct forward *forward, struct route_shard *shard)
{
	leave_places(forward, shard);
	if (!list_empty(&shard->waiting))
		list_push_back(&forward->ready, &shard->node);
}

/* Where it waits for nothing in particular. */
void route_want(struct forward *forward, struct route_shard *shard)
{
	if (!list_linked(&shard->node) && !heap_node_linked(&shard->pause))
		routes_wake(forward, shard);
}

void route_wait_for(struct forward *forward, struct route_shard *shard, struct link *link)
{
	leave_places(forward, shard);
	list_push_back(&link->wanting, &shard->node);
}

void route_pause(struct forward *forward, struct route_shard *shard)
{
	leave_places(forward, shard);
	heap_insert(
	    &forward->pauses, &shard->pause, forward_now(forward) + FORWARD_PAUSE_MS * NS_PER_MS);
}

void routes_wake_link(struct forward *forward, struct link *link)
{
	if (link->up && !link->full && !link->laden)
		list_append_all(&forward->ready, &link->wanting);
}

/* ---- Lanes ---- */

int route_enter_lane(struct forward *forward, struct route *route)
{
	struct route *before = map_get_pointer(&forward->lanes, route->lane);
	int error = map_put_pointer(&forward->lanes, route->lane, route);
	if (error)
		return error;
	route->before = before;
	if (before)
		before->after = route;
	return 0;
}

static void lane_leave(struct forward *forward, struct route *route)
{
	if (route->lane == 0)
		return;
	if (route->before)
		route->before->after = route->after;
	if (route->after) {
		route->after->before = route->before;
		if (route->after->state == ROUTE_WAITING)
			route_want(forward, route_shard_of(forward, route));
	} else if (!route->before) {
		map_remove(&forward->lanes, route->lane);
	} else if (map_put_pointer(&forward->lanes, route->lane, route->before)) {
		/* The key is there, so that nothing is allocated. */
		ASSERT(false);
	}
	route->before = NULL;
	route->after = NULL;
}

/* ---- The end of one ---- */

struct buffer *route_reply(const struct route *route)
{
	return route->call ? &route->call->reply : &route->request->reply;
}

struct buffer *route_details(const struct route *route)
{
	return route->call ? &route->call->details : &route->request->details;
}

static void unlink_sent(struct forward *forward, struct route *route)
{
	struct link *link = route->link;
	struct route_shard *shard = route_shard_of(forward, route);
	const struct forward_options *options = &forward->options;
	map_remove(&link->by_id, route->id);
	link->calls--;
	link->bytes -= route->bytes;
	route->link = NULL;
	forward->figures.under_way--;
	if (shard->leads && !list_empty(&shard->waiting))
		route_want(forward, shard);
	if (link->laden && link->calls <= options->link_calls_max / 2 &&
	    link->bytes <= options->link_bytes_max / 2) {
		link->laden = false;
		routes_wake_link(forward, link);
	}
}

void route_leave_state(struct forward *forward, struct route *route)
{
	list_remove(&route->node);
	if (route->state == ROUTE_SENT) {
		unlink_sent(forward, route);
	} else if (route->state == ROUTE_WAITING) {
		forward->figures.waiting--;
		forward->figures.waiting_bytes -= route->bytes;
	}
}

void route_end(struct forward *forward, struct route *route)
{
	ASSERT(route->state != ROUTE_ENDED);
	route_leave_state(forward, route);
	lane_leave(forward, route);
	heap_remove(&forward->deadlines, &route->deadline);
	route_shard_of(forward, route)->routes--;
	route->state = ROUTE_ENDED;
	list_push_back(&forward->ended, &route->node);
}

void route_set_answer(const struct route *route, enum status status, bool has_reply)
{
	if (route->call) {
		route->call->status = status;
		route->call->has_reply = has_reply;
	} else {
		route->request->status = status;
	}
}

/* An answer of this node's own. */
void route_fail(struct forward *forward, struct route *route, enum status status, const char *why)
{
	struct buffer *reply = route_reply(route);
	buffer_clear(reply);
	buffer_clear(route_details(route));
	if (buffer_append_text(reply, why))
		buffer_clear(reply);
	route_set_answer(route, status, false);
	if (status == STATUS_UNAVAILABLE)
		forward->figures.unavailable++;
	else if (status == STATUS_DEADLINE_EXCEEDED)
		forward->figures.late++;
	else if (status == STATUS_UNKNOWN_OUTCOME)
		forward->figures.unknown++;
	route_end(forward, route);
}

/* It was sent, and nobody will say what became of it. */
void route_fail_sent(struct forward *forward, struct route *route, const char *why)
{
	route_fail(forward, route, route->reads ? STATUS_UNAVAILABLE : STATUS_UNKNOWN_OUTCOME, why);
}

void route_fail_read(struct forward *forward, struct route *route)
{
	route_fail(forward, route, STATUS_UNAVAILABLE,
	    "the link to the node that led, or its leadership, was lost, and the time was over "
	    "before the call could be run again; nothing was changed, retry");
}

void routes_overtake(struct forward *forward, const struct route *route)
{
	struct route *before = route->before;
	ASSERT(route->state == ROUTE_SENT);
	while (before) {
		struct route *next = before->before;
		/* Who refused one that waits lets nobody of its lane through, and yet did. */
		if (before->state == ROUTE_WAITING)
			route_fail(forward, before, STATUS_UNAVAILABLE,
			    "the node that leads has changed; nothing was changed by this call");
		else
			before->overtaken = true;
		before = next;
	}
}

void route_give_local(struct forward *forward, struct route *route)
{
	forward->figures.local++;
	if (route->call)
		route->call->was_read = route->was_read;
	route_end(forward, route);
	list_remove(&route->node);
	list_push_back(&forward->ended_local, &route->node);
}

void route_wait_again(struct forward *forward, struct route *route)
{
	route->state = ROUTE_WAITING;
	forward->figures.waiting++;
	forward->figures.waiting_bytes += route->bytes;
	list_push_back(&route_shard_of(forward, route)->waiting, &route->node);
	heap_remove(&forward->deadlines, &route->deadline);
	heap_insert(&forward->deadlines, &route->deadline, route->deadline_ns);
}

/* There was no memory for so much as a route. */
static void deliver_starved(struct forward *forward)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct list calls, requests;
	struct list_node *node;
	list_init(&calls);
	list_init(&requests);
	list_append_all(&calls, &forward->starved);
	list_append_all(&requests, &forward->starved_requests);
	while ((node = list_pop_front(&calls)))
		callbacks->answered(callbacks->arg, CONTAINER_OF(node, struct shard_call, link));
	while ((node = list_pop_front(&requests)))
		callbacks->directory_answered(
		    callbacks->arg, CONTAINER_OF(node, struct meta_request, link));
}

static void deliver_local(struct forward *forward, struct route *route)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct shard_call *call = route->call;
	struct meta_request *request = route->request;
	small_block_give(&forward->blocks, route, sizeof(*route));
	if (call)
		callbacks->local(callbacks->arg, call);
	else
		callbacks->directory_local(callbacks->arg, request);
}

void routes_deliver(struct forward *forward)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct list now;
	struct list_node *node;
	list_init(&now);
	/* Whole lanes, before anybody is told anything: what comes of that goes behind them. */
	while ((node = list_pop_front(&forward->ended_local)))
		deliver_local(forward, CONTAINER_OF(node, struct route, node));
	deliver_starved(forward);
	list_append_all(&now, &forward->ended);
	while ((node = list_pop_front(&now))) {
		struct route *route = CONTAINER_OF(node, struct route, node);
		struct shard_call *call = route->call;
		struct meta_request *request = route->request;
		small_block_give(&forward->blocks, route, sizeof(*route));
		if (call)
			callbacks->answered(callbacks->arg, call);
		else
			callbacks->directory_answered(callbacks->arg, request);
	}
}
