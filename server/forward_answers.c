/* What becomes of calls that were sent: answers, refusals, links that break. */
#include <string.h>

#include "base/mutation.h"
#include "server/forward_parts.h"

static struct route *under_way(const struct link *link, uint64_t id)
{
	return map_get_pointer(&link->by_id, id);
}

static void append(struct route *route, struct buffer *buffer, struct slice bytes)
{
	if (buffer_append_slice(buffer, bytes))
		route->cut = true;
}

int routes_reply_part(struct forward *forward, struct link *link, struct slice bytes)
{
	(void)forward;
	uint64_t id;
	struct slice part;
	int error = forward_part_read(bytes, &id, &part);
	if (error)
		return error;
	if (id > link->last_id)
		return ERR_PROTOCOL;
	struct route *route = under_way(link, id);
	/* What took too long has ended. */
	if (route)
		append(route, route_reply(route), part);
	return 0;
}

/* What was taken for a query is a command there: it goes as that, where nothing behind it in its
 * lane may have been done already. */
static void go_as_command(struct forward *forward, struct route *route)
{
	bool others_follow = false;
	for (const struct route *at = route->after; at; at = at->after)
		others_follow |= at->state == ROUTE_SENT;
	route->reads = false;
	buffer_clear(route_reply(route));
	route->cut = false;
	if (route->overtaken || others_follow || forward->closed) {
		routes_overtake(forward, route);
		route_fail(forward, route, STATUS_UNAVAILABLE,
		    "the app has changed at the node that leads; nothing was changed, retry");
		return;
	}
	route_leave_state(forward, route);
	route_wait_again(forward, route);
	route_want(forward, route_shard_of(forward, route));
}

int routes_reply(struct forward *forward, struct link *link, struct slice bytes)
{
	struct forward_reply reply;
	int error = forward_reply_read(bytes, &reply);
	if (error)
		return error;
	if (reply.id > link->last_id)
		return ERR_PROTOCOL;
	struct route *route = under_way(link, reply.id);
	if (!route)
		return 0;
	if (reply.not_query && route->call && route->reads && !route->call->queries_only) {
		go_as_command(forward, route);
		return 0;
	}
	append(route, route_reply(route), reply.reply);
	append(route, route_details(route), reply.details);
	routes_overtake(forward, route);
	if (route->cut && reply.status == STATUS_OK) {
		/* It was done, but how? */
		route_fail(forward, route,
		    route->reads ? STATUS_RESOURCE_EXHAUSTED : STATUS_UNKNOWN_OUTCOME,
		    "the server has no memory for the answer");
		return 0;
	}
	forward->figures.answered++;
	/* That node does not know that it had been run before. */
	if (route->was_read && reply.status == STATUS_DEADLINE_EXCEEDED) {
		route_fail_read(forward, route);
		return 0;
	}
	route_set_answer(route, reply.status, reply.has_reply);
	if (route->call) {
		struct shard_call *call = route->call;
		memcpy(call->reference,
		    reply.reference.data ? (const void *)reply.reference.data : "",
		    reply.reference.bytes);
		call->reference[reply.reference.bytes] = 0;
		call->took_ns = reply.took_ns;
		call->counted = reply.counted;
		call->counted_all = reply.counted_all;
		call->not_query = reply.not_query;
	}
	route_end(forward, route);
	return 0;
}

/* What the refusal says of who leads. */
static void note_refusal(
    struct forward *forward, const struct route *route, const struct forward_refusal *refusal)
{
	struct cluster_leaders *leaders = forward->options.leaders;
	const struct link *link = route->link;
	/* What it says of us, we know better. */
	if (refusal->node != 0 && refusal->node != link->node &&
	    refusal->node != forward->options.node)
		cluster_leaders_note(leaders, route->shard, refusal->term, refusal->node);
	/* It leads no more, and knows it: not only has it not heard of its own term yet. */
	if (refusal->node != link->node && refusal->term >= route->term)
		cluster_leaders_note(leaders, route->shard, route->term, 0);
}

int routes_refused(struct forward *forward, struct link *link, struct slice bytes)
{
	struct forward_refusal refusal;
	int error = forward_refusal_read(bytes, &refusal);
	if (error)
		return error;
	if (refusal.id > link->last_id)
		return ERR_PROTOCOL;
	link->refusals_seen++;
	struct route *route = under_way(link, refusal.id);
	if (!route)
		return 0;
	struct route_shard *shard = route_shard_of(forward, route);
	forward->figures.refused++;
	note_refusal(forward, route, &refusal);
	route->was_read |= refusal.was_read;
	buffer_clear(route_reply(route));
	route->cut = false;
	if (route->overtaken || forward->closed) {
		route_fail(forward, route, STATUS_UNAVAILABLE,
		    "the node that leads has changed; nothing was changed by this call");
		return 0;
	}
	route_leave_state(forward, route);
	route_wait_again(forward, route);
	if (cluster_leader(forward->options.leaders, route->shard) == link->node)
		route_pause(forward, shard);
	else
		route_want(forward, shard);
	return 0;
}

/* Behind it in its lane something was sent that may change what it would read. */
static bool change_follows(const struct route *route)
{
	for (const struct route *at = route->after; at; at = at->after)
		if (at->state == ROUTE_SENT && !at->reads)
			return true;
	return false;
}

void routes_link_down(struct forward *forward, struct link *link)
{
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, &link->sent);
	while ((node = list_pop_front(&now))) {
		struct route *route = CONTAINER_OF(node, struct route, node);
		buffer_clear(route_reply(route));
		route->cut = false;
		/* Breaks: what may have been done is not sent again. */
		bool is_repeated = route->reads || MUTATION(forward_repeats_changes);
		if (!is_repeated || route->overtaken || change_follows(route) || forward->closed) {
			route_fail_sent(forward, route,
			    "the link to the node that leads broke while the call was under way");
			continue;
		}
		route->was_read = true;
		route_leave_state(forward, route);
		route_wait_again(forward, route);
		route_want(forward, route_shard_of(forward, route));
	}
	ASSERT(link->calls == 0);
}
