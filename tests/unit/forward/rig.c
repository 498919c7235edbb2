#include "tests/unit/forward/rig.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/io.h"
#include "base/mem.h"
#include "base/slot.h"
#include "tests/unit/run.h"

/* ---- Time, in place of libkx_io ---- */

static struct rig *the_rig;

uint64_t io_now_ns(const struct io *io)
{
	(void)io;
	return the_rig->now_ns;
}

/* Who is woken for nothing is not seen here: every node has its turn all the time. */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t at_ns)
{
	(void)io;
	timer->at_ns = at_ns;
	timer->armed = true;
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
	(void)io;
	timer->armed = false;
}

/* ---- What forward asks ---- */

static int send_message(
    void *arg, uint16_t to, uint16_t core, uint8_t kind, const struct iovec *iov, size_t count)
{
	struct rig_node *node = arg;
	struct rig *rig = node->rig;
	size_t bytes = 0, at = 0;
	ck_assert_uint_eq(core, 0);
	if (!rig->up[node->number][to])
		return ERR_CLOSED;
	if (rig->room[node->number][to] == 0) {
		rig->full[node->number][to] = true;
		return ERR_FULL;
	}
	if (rig->starved[node->number][to] > 0) {
		rig->starved[node->number][to]--;
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	ck_assert(bytes <= FORWARD_MESSAGE_BYTES_MAX);
	struct rig_message *message = mem_alloc(sizeof(*message) + bytes);
	ck_assert_ptr_nonnull(message);
	for (size_t i = 0; i < count; i++) {
		memcpy(message->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
	message->kind = kind;
	message->bytes = bytes;
	list_node_init(&message->node);
	list_push_back(&rig->wires[node->number][to], &message->node);
	rig->room[node->number][to]--;
	rig->messages++;
	return 0;
}

static int core_of(void *arg, uint16_t number, uint32_t shard, uint16_t *ret_core)
{
	struct rig_node *node = arg;
	const struct rig *rig = node->rig;
	if (rig->core_asked)
		rig->core_asked(node);
	if (number == 0 || number > rig->node_count)
		return ERR_NOT_FOUND;
	*ret_core = number == 2 && rig->cores > 0 ? (uint16_t)(shard % rig->cores) : 0;
	return 0;
}

static void answered(void *arg, struct shard_call *call)
{
	struct rig_call *mine = CONTAINER_OF(call, struct rig_call, call);
	ck_assert_ptr_eq(mine->node, arg);
	ck_assert(!mine->ended);
	list_remove(&mine->away);
	mine->ended = true;
}

static void submit(void *arg, struct shard_call *call)
{
	struct rig_node *node = arg;
	list_node_init(&call->link);
	list_push_back(&node->submitted, &call->link);
}

static void local(void *arg, struct shard_call *call)
{
	struct rig_call *mine = CONTAINER_OF(call, struct rig_call, call);
	list_remove(&mine->away);
	mine->times_local++;
	submit(arg, call);
}

static void directory(void *arg, struct meta_request *request)
{
	struct rig_node *node = arg;
	list_node_init(&request->link);
	list_push_back(&node->requests, &request->link);
}

static void directory_answered(void *arg, struct meta_request *request)
{
	struct rig_request *mine = CONTAINER_OF(request, struct rig_request, request);
	(void)arg;
	ck_assert(!mine->ended);
	mine->ended = true;
}

static void directory_local(void *arg, struct meta_request *request)
{
	(void)arg;
	CONTAINER_OF(request, struct rig_request, request)->local = true;
}

static bool reads(void *arg, const struct shard_call *call)
{
	const struct rig_node *node = arg;
	return node->knows_queries && slice_equal(call->name, slice_from_text("get"));
}

static void news(void *arg, uint32_t shard)
{
	struct rig_node *node = arg;
	ck_assert_uint_le(shard, RIG_SHARDS);
	node->news++;
}

/* ---- The nodes ---- */

void rig_open(struct rig *rig, unsigned nodes, const struct forward_options *options)
{
	memset(rig, 0, sizeof(*rig));
	the_rig = rig;
	rig->now_ns = NS_PER_S;
	rig->node_count = nodes;
	for (unsigned i = 1; i <= nodes; i++) {
		struct rig_node *node = &rig->nodes[i];
		struct forward_options mine = options ? *options : (struct forward_options){0};
		node->rig = rig;
		node->number = (uint16_t)i;
		node->leaders = cluster_leaders_new(RIG_SHARDS);
		ck_assert_ptr_nonnull(node->leaders);
		list_init(&node->submitted);
		list_init(&node->requests);
		list_init(&node->away);
		mine.node = node->number;
		mine.shard_count = RIG_SHARDS;
		mine.seed = i;
		mine.leaders = node->leaders;
		mine.callbacks = (struct forward_callbacks){.send = send_message,
		    .core_of = core_of,
		    .answered = answered,
		    .local = local,
		    .directory_answered = directory_answered,
		    .directory_local = directory_local,
		    .submit = submit,
		    .directory = directory,
		    .reads = reads,
		    .news = news,
		    .arg = node};
		ck_assert_int_eq(forward_new(&mine, &node->forward), 0);
		for (unsigned j = 0; j <= RIG_NODES_MAX; j++) {
			list_init(&rig->wires[i][j]);
			rig->room[i][j] = UINT32_MAX;
		}
	}
}

static void drop_wire(struct rig *rig, unsigned from, unsigned to)
{
	struct list_node *node;
	while ((node = list_pop_front(&rig->wires[from][to])))
		mem_free(CONTAINER_OF(node, struct rig_message, node));
}

void rig_close(struct rig *rig)
{
	for (unsigned i = 1; i <= rig->node_count; i++) {
		for (unsigned j = 1; j <= rig->node_count; j++)
			drop_wire(rig, i, j);
		forward_free(rig->nodes[i].forward);
		mem_free(rig->nodes[i].leaders);
	}
}

void rig_link_up(struct rig *rig, unsigned a, unsigned b)
{
	if (rig->up[a][b])
		return;
	rig->up[a][b] = rig->up[b][a] = true;
	rig->full[a][b] = rig->full[b][a] = false;
	forward_link_up(rig->nodes[a].forward, (uint16_t)b, 0);
	forward_link_up(rig->nodes[b].forward, (uint16_t)a, 0);
}

void rig_link_down(struct rig *rig, unsigned a, unsigned b)
{
	if (!rig->up[a][b])
		return;
	rig->up[a][b] = rig->up[b][a] = false;
	drop_wire(rig, a, b);
	drop_wire(rig, b, a);
	forward_link_down(rig->nodes[a].forward, (uint16_t)b, 0);
	forward_link_down(rig->nodes[b].forward, (uint16_t)a, 0);
}

void rig_link_all(struct rig *rig)
{
	for (unsigned i = 1; i <= rig->node_count; i++)
		for (unsigned j = i + 1; j <= rig->node_count; j++)
			rig_link_up(rig, i, j);
}

void rig_lead(struct rig *rig, unsigned node, uint32_t shard, uint64_t term)
{
	rig->nodes[node].leads[shard] = true;
	forward_leads(rig->nodes[node].forward, shard, term);
}

void rig_follow(struct rig *rig, unsigned node, uint32_t shard)
{
	rig->nodes[node].leads[shard] = false;
	forward_follows(rig->nodes[node].forward, shard);
}

void rig_advance(struct rig *rig, uint64_t ms)
{
	rig->now_ns += ms * NS_PER_MS;
}

bool rig_carry(struct rig *rig, unsigned from, unsigned to)
{
	struct list_node *node = list_pop_front(&rig->wires[from][to]);
	if (!node)
		return false;
	struct rig_message *message = CONTAINER_OF(node, struct rig_message, node);
	ck_assert_int_eq(forward_receive(rig->nodes[to].forward, (uint16_t)from, 0, message->kind,
	                     slice_of(message->data, message->bytes)),
	    0);
	mem_free(message);
	return true;
}

void rig_turns(struct rig *rig)
{
	for (unsigned i = 1; i <= rig->node_count; i++)
		forward_turn(rig->nodes[i].forward);
}

void rig_run(struct rig *rig)
{
	bool moved = true;
	for (unsigned round = 0; moved; round++) {
		ck_assert_uint_lt(round, 100000);
		moved = false;
		for (unsigned i = 1; i <= rig->node_count; i++)
			moved |= forward_turn(rig->nodes[i].forward);
		for (unsigned i = 1; i <= rig->node_count; i++)
			for (unsigned j = 1; j <= rig->node_count; j++)
				moved |= rig_carry(rig, i, j);
	}
}

/* ---- Calls ---- */

void rig_address(uint32_t shard, unsigned number, char to[RIG_TEXT_BYTES])
{
	static const struct shard_map map = {.shard_count = RIG_SHARDS};
	for (unsigned i = 0;; i++) {
		snprintf(to, RIG_TEXT_BYTES, "cart/%u-%u", number, i);
		if (shard_of_slot(&map, slot_of(slice_from_text(to))) == shard)
			return;
	}
}

static void local_done(struct shard_call *call)
{
	CONTAINER_OF(call, struct rig_call, call)->ended = true;
}

void rig_call_init(struct rig_call *call, struct rig *rig, unsigned node, const char *address,
    const char *name, uint64_t order, uint64_t timeout_ms)
{
	static const struct shard_map map = {.shard_count = RIG_SHARDS};
	memset(call, 0, sizeof(*call));
	call->node = &rig->nodes[node];
	list_node_init(&call->away);
	snprintf(call->address, sizeof(call->address), "%s", address);
	snprintf(call->name, sizeof(call->name), "%s", name);
	struct shard_call *shard = &call->call;
	shard->address = slice_from_text(call->address);
	shard->name = slice_from_text(call->name);
	shard->shard = shard_of_slot(&map, slot_of(shard->address));
	shard->order = order;
	shard->deadline_ns = rig->now_ns + timeout_ms * NS_PER_MS;
	shard->caller.kind = slice_from_text("client");
	shard->done = local_done;
	buffer_init(&shard->reply, REPLY_BYTES_MAX);
	buffer_init(&shard->details, REPLY_BYTES_MAX);
}

static bool is_behind_away(const struct rig_call *call)
{
	LIST_FOR_EACH(at, &call->node->away)
	{
		const struct rig_call *other = CONTAINER_OF(at, struct rig_call, away);
		if (other->call.order == call->call.order &&
		    strcmp(other->address, call->address) == 0)
			return true;
	}
	return false;
}

static void send_away(struct rig_call *call)
{
	list_push_back(&call->node->away, &call->away);
	forward_call(call->node->forward, &call->call, call->call.shard);
}

void rig_submit(struct rig_call *call)
{
	struct rig_node *node = call->node;
	if (node->leads[call->call.shard] && !is_behind_away(call))
		submit(node, &call->call);
	else
		send_away(call);
}

void rig_call_done(struct rig_call *call)
{
	ck_assert(call->ended);
	buffer_done(&call->call.reply);
	buffer_done(&call->call.details);
}

bool rig_call_is(const struct rig_call *call, enum status status)
{
	return call->ended && call->call.status == status;
}

struct shard_call *rig_first(struct rig *rig, unsigned node)
{
	struct list_node *first = list_first(&rig->nodes[node].submitted);
	return first ? CONTAINER_OF(first, struct shard_call, link) : NULL;
}

unsigned rig_submitted(struct rig *rig, unsigned node)
{
	unsigned count = 0;
	LIST_FOR_EACH(at, &rig->nodes[node].submitted)
	count++;
	return count;
}

void rig_answer(struct rig *rig, unsigned node, struct shard_call *call, const char *reply)
{
	(void)rig;
	(void)node;
	list_remove(&call->link);
	call->status = STATUS_OK;
	call->has_reply = true;
	ck_assert_int_eq(buffer_append_text(&call->reply, reply), 0);
	call->done(call);
}

void rig_refuse(struct rig *rig, unsigned node, struct shard_call *call)
{
	list_remove(&call->link);
	ck_assert(call->forwarded == (call->done != local_done));
	if (!call->forwarded) {
		send_away(CONTAINER_OF(call, struct rig_call, call));
	} else if (rig->refusals++ % 2 == 0) {
		forward_refuse(rig->nodes[node].forward, call);
	} else {
		/* As shards say it. */
		call->status = STATUS_UNAVAILABLE;
		call->not_leader = true;
		call->done(call);
	}
}
