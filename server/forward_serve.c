/* Other nodes' calls: run here, and their answers sent back. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "server/forward_parts.h"

enum {
	/* A connection's number has fewer bits than that; above them stands the node. */
	ORDER_BITS = 48,
};

/* ---- The answer ---- */

static struct buffer *reply_of(struct served *served)
{
	return served->is_request ? &served->request.reply : &served->call.reply;
}

static struct buffer *details_of(struct served *served)
{
	return served->is_request ? &served->request.details : &served->call.details;
}

static void served_free(struct served *served)
{
	struct forward *forward = served->forward;
	if (served->link)
		served->link->message_bytes -= served->message_bytes;
	buffer_done(reply_of(served));
	buffer_done(details_of(served));
	forward->figures.serving--;
	small_block_give(&forward->blocks, served, served->bytes);
}

/* It is decided: it goes behind the other answers. */
static void answer(struct served *served)
{
	struct link *link = served->link;
	list_remove(&served->node);
	if (!link) {
		/* Nobody is there who would hear it. */
		served_free(served);
		return;
	}
	link->serving_calls--;
	link->reply_calls++;
	link->reply_bytes += reply_of(served)->capacity + details_of(served)->capacity;
	list_push_back(&link->replies, &served->node);
	forward_attend(served->forward, link);
}

static void set_status(struct served *served, enum status status, const char *why)
{
	struct buffer *reply = reply_of(served);
	buffer_clear(reply);
	buffer_clear(details_of(served));
	if (buffer_append_text(reply, why))
		buffer_clear(reply);
	if (served->is_request) {
		served->request.status = status;
	} else {
		served->call.status = status;
		served->call.has_reply = false;
	}
}

/* Whoever stands behind it in its lane, and was sent before the refusal was seen, is refused as
 * well; so it has to be remembered. */
static int remember(struct link *link, uint64_t id)
{
	int error = map_put(&link->refused, id, 1);
	if (!error && buffer_append(&link->refused_ids, &id, sizeof(id))) {
		map_remove(&link->refused, id);
		error = ERR_NOMEM;
	}
	if (!error)
		link->refused_end++;
	return error;
}

static void refuse(struct served *served)
{
	struct link *link = served->link;
	if (link && remember(link, served->id)) {
		link->forgot = true;
		set_status(served, STATUS_UNAVAILABLE,
		    "the node that was asked does not lead this shard; nothing was changed");
	} else {
		served->refused = true;
	}
	answer(served);
}

static void call_done(struct shard_call *call)
{
	struct served *served = CONTAINER_OF(call, struct served, call);
	/* Breaks: only what is surely not done is sent back. */
	bool is_refused = call->status == STATUS_UNAVAILABLE && call->not_leader;
	if (is_refused ||
	    (call->status == STATUS_UNKNOWN_OUTCOME && MUTATION(forward_sends_unknown_back)))
		refuse(served);
	else
		answer(served);
}

/* The directory says in its answer that it does not lead, and who does. */
static void request_done(struct meta_request *request)
{
	struct served *served = CONTAINER_OF(request, struct served, request);
	bool elsewhere = request->status == STATUS_UNAVAILABLE && request->leader_node != 0 &&
	                 request->leader_node != served->forward->options.node;
	if (elsewhere)
		refuse(served);
	else
		answer(served);
}

void forward_refuse(struct forward *forward, struct shard_call *call)
{
	struct served *served = CONTAINER_OF(call, struct served, call);
	ASSERT(served->forward == forward && call->done == call_done);
	refuse(served);
}

void forward_refuse_directory(struct forward *forward, struct meta_request *request)
{
	struct served *served = CONTAINER_OF(request, struct served, request);
	ASSERT(served->forward == forward && request->done == request_done);
	refuse(served);
}

static bool send_refusal(struct forward *forward, struct served *served)
{
	const struct cluster_leaders *leaders = forward->options.leaders;
	uint32_t shard = served->is_request ? 0 : served->call.shard;
	bool was_read = !served->is_request && served->call.was_read;
	struct forward_refusal refusal = {.id = served->id, .was_read = was_read};
	refusal.node = cluster_leader_in(leaders, shard, &refusal.term);
	forward_refusal_write(&forward->message, &refusal);
	return forward_send(forward, served->link, FORWARD_NOT_LEADER);
}

/* The reply's bytes that have not been sent yet. */
static struct slice reply_left(struct served *served)
{
	struct slice reply = buffer_view(reply_of(served));
	if (served->reply_sent == 0)
		return reply;
	return slice_of(reply.data + served->reply_sent, reply.bytes - served->reply_sent);
}

static bool send_reply(struct forward *forward, struct served *served)
{
	struct link *link = served->link;
	struct slice left = reply_left(served);
	while (left.bytes > FORWARD_PART_BYTES_MAX) {
		forward_part_write(
		    &forward->message, served->id, slice_of(left.data, FORWARD_PART_BYTES_MAX));
		if (!forward_send(forward, link, FORWARD_REPLY_PART))
			return false;
		served->reply_sent += FORWARD_PART_BYTES_MAX;
		left = reply_left(served);
	}
	struct forward_reply reply = {
	    .id = served->id, .details = buffer_view(details_of(served)), .reply = left};
	/* People read them; more than that, nobody does. */
	if (reply.details.bytes > FORWARD_DETAILS_BYTES_MAX)
		reply.details = slice_of(NULL, 0);
	if (served->is_request) {
		reply.status = served->request.status;
	} else {
		const struct shard_call *call = &served->call;
		reply.status = call->status;
		reply.has_reply = call->has_reply;
		reply.reference = slice_from_text(call->reference);
		reply.took_ns = call->took_ns;
		reply.counted = call->counted;
		reply.counted_all = call->counted_all;
		reply.not_query = call->not_query;
	}
	forward_reply_write(&forward->message, &reply);
	return forward_send(forward, link, FORWARD_REPLY);
}

void serve_turn(struct forward *forward, struct link *link)
{
	struct list_node *node;
	while ((node = list_first(&link->replies))) {
		struct served *served = CONTAINER_OF(node, struct served, node);
		if (served->refused ? !send_refusal(forward, served) : !send_reply(forward, served))
			return;
		list_remove(node);
		link->reply_calls--;
		link->reply_bytes -= reply_of(served)->capacity + details_of(served)->capacity;
		forward->figures.replied++;
		served_free(served);
	}
}

void serve_link_down(struct forward *forward, struct link *link)
{
	struct list_node *node;
	(void)forward;
	while ((node = list_pop_front(&link->replies)))
		served_free(CONTAINER_OF(node, struct served, node));
	/* These come back from where they are run, to nobody. */
	while ((node = list_pop_front(&link->serving)))
		CONTAINER_OF(node, struct served, node)->link = NULL;
	link->serving_calls = 0;
	link->reply_calls = 0;
	link->reply_bytes = 0;
	link->message_bytes = 0;
	map_done(&link->refused);
	buffer_done(&link->refused_ids);
}

/* ---- The call ---- */

/* Its number, and which refusals its sender has seen: those may be forgotten. */
static int accept_numbers(struct link *link, const struct forward_numbers *numbers)
{
	if (numbers->id <= link->their_last_id || numbers->seen > link->refused_end ||
	    numbers->seen < link->refused_first)
		return ERR_PROTOCOL;
	link->their_last_id = numbers->id;
	for (; link->refused_first < numbers->seen; link->refused_first++) {
		uint64_t id = 0;
		struct reader oldest = reader_of(buffer_view(&link->refused_ids));
		reader_bytes(&oldest, &id, sizeof(id));
		buffer_consume(&link->refused_ids, sizeof(id));
		map_remove(&link->refused, id);
	}
	return 0;
}

/* With room for `slices` and a copy of the message behind them. */
static struct served *served_new(struct forward *forward, struct link *link, uint64_t id,
    size_t slices, struct slice message, struct slice *ret_copy)
{
	size_t bytes = sizeof(struct served) + slices * sizeof(struct slice) + message.bytes;
	struct served *served = small_block_take(&forward->blocks, bytes);
	if (!served)
		return NULL;
	memset(served, 0, sizeof(*served));
	served->forward = forward;
	served->link = link;
	served->id = id;
	served->bytes = bytes;
	served->message_bytes = message.bytes;
	link->message_bytes += message.bytes;
	list_node_init(&served->node);
	uint8_t *copy = (uint8_t *)(served->slices + slices);
	ASSERT(message.data);
	memcpy(copy, message.data, message.bytes);
	*ret_copy = slice_of(copy, message.bytes);
	list_push_back(&link->serving, &served->node);
	link->serving_calls++;
	forward->figures.serving++;
	forward->figures.received++;
	return served;
}

/* Whoever sends keeps to the same bounds, but does not know how many answers wait here, and gives
 * up what is late a little before it ends here. One that is larger than all may come alone. */
static bool too_much(const struct forward *forward, const struct link *link)
{
	const struct forward_options *options = &forward->options;
	return link->serving_calls > options->link_calls_max ||
	       link->reply_bytes > options->link_bytes_max ||
	       (link->serving_calls > 1 && link->message_bytes > 2 * options->link_bytes_max);
}

static bool is_other_core(struct forward *forward, uint32_t shard)
{
	const struct forward_options *options = &forward->options;
	uint16_t core;
	return options->callbacks.core_of(options->callbacks.arg, options->node, shard, &core) ==
	           0 &&
	       core != options->core;
}

/* True: it has its answer. */
static bool turn_away(struct forward *forward, struct served *served, uint64_t behind)
{
	struct link *link = served->link;
	uint32_t shard = served->is_request ? 0 : served->call.shard;
	/* First: one that is answered otherwise would let those behind it through, which name it.
	 * Or who sent it has another map of this node's cores. */
	if ((behind != 0 && map_has(&link->refused, behind)) || is_other_core(forward, shard)) {
		refuse(served);
		return true;
	}
	if (too_much(forward, link)) {
		forward->figures.turned_away++;
		set_status(served, STATUS_RESOURCE_EXHAUSTED,
		    "too many calls from one node; retry later, or send fewer at once");
		answer(served);
		return true;
	}
	return false;
}

static uint64_t from_now(struct forward *forward, uint64_t ms)
{
	const uint64_t day_ms = UINT64_C(24) * 60 * 60 * 1000;
	return forward_now(forward) + (ms < day_ms ? ms : day_ms) * NS_PER_MS;
}

/* Somebody who does not keep to bounds at all. */
static bool floods(const struct forward *forward, const struct link *link)
{
	return link->reply_calls > 4 * forward->options.link_calls_max ||
	       link->message_bytes > 4 * forward->options.link_bytes_max;
}

int serve_call(struct forward *forward, struct link *link, struct slice bytes)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct forward_numbers numbers;
	struct shard_call seen;
	struct slice copy;
	int error =
	    forward_call_read(bytes, forward->options.shard_count, &numbers, &seen, forward->roles);
	if (!error)
		error = accept_numbers(link, &numbers);
	if (error)
		return error;
	if (floods(forward, link))
		return ERR_PROTOCOL;
	if (link->forgot && numbers.behind != 0)
		return ERR_NOMEM;
	struct served *served =
	    served_new(forward, link, numbers.id, seen.caller.role_count, bytes, &copy);
	if (!served)
		return ERR_NOMEM;
	/* The same again, as views that stay. */
	struct shard_call *call = &served->call;
	error =
	    forward_call_read(copy, forward->options.shard_count, &numbers, call, served->slices);
	ASSERT(!error);
	buffer_init(&call->reply, REPLY_BYTES_MAX);
	buffer_init(&call->details, REPLY_BYTES_MAX);
	list_node_init(&call->link);
	call->forwarded = true;
	call->order =
	    (uint64_t)link->node << ORDER_BITS | (call->order & ((UINT64_C(1) << ORDER_BITS) - 1));
	call->deadline_ns = from_now(forward, numbers.timeout_ms);
	if (numbers.until_ms > 0)
		call->until_ns = from_now(forward, numbers.until_ms);
	call->done = call_done;
	if (!turn_away(forward, served, numbers.behind))
		callbacks->submit(callbacks->arg, call);
	return 0;
}

int serve_directory(struct forward *forward, struct link *link, struct slice bytes)
{
	const struct forward_callbacks *callbacks = &forward->options.callbacks;
	struct forward_numbers numbers;
	struct meta_request seen;
	struct meta_wanted wanted[CLUSTER_REPLICAS_MAX];
	struct slice copy;
	if (!forward->drop)
		forward->drop = mem_zalloc(DROPPED_TYPES_MAX, sizeof(forward->drop[0]));
	if (!forward->drop)
		return ERR_NOMEM;
	int error = forward_directory_read(bytes, &numbers, &seen, forward->drop, wanted);
	if (!error)
		error = accept_numbers(link, &numbers);
	if (error)
		return error;
	if (floods(forward, link))
		return ERR_PROTOCOL;
	struct served *served =
	    served_new(forward, link, numbers.id, seen.drop_count, bytes, &copy);
	if (!served)
		return ERR_NOMEM;
	served->is_request = true;
	struct meta_request *request = &served->request;
	error = forward_directory_read(copy, &numbers, request, served->slices, served->wanted);
	ASSERT(!error);
	buffer_init(&request->reply, REPLY_BYTES_MAX);
	buffer_init(&request->details, REPLY_BYTES_MAX);
	list_node_init(&request->link);
	request->done = request_done;
	if (!turn_away(forward, served, 0))
		callbacks->directory(callbacks->arg, request);
	return 0;
}
