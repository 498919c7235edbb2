#include "tests/unit/gate/fake_shards.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "base/wire/msgpack.h"

struct shards {
	struct shards_options options;
	struct list came, waiting;
	struct list activations;
	struct fake_last last;
	bool closing;
	void (*closed)(void *arg);
	void *closed_arg;
	struct shards_figures figures;
	uint64_t broken;
};

int shards_new(const struct shards_options *options, struct shards **ret_shards)
{
	struct shards *shards = mem_zalloc(1, sizeof(*shards));
	if (!shards)
		return ERR_NOMEM;
	shards->options = *options;
	list_init(&shards->came);
	list_init(&shards->waiting);
	list_init(&shards->activations);
	for (uint32_t i = 1; i <= options->map.shard_count; i++)
		shards->figures.shards += shard_core(&options->map, i) == options->core;
	shards->figures.leading = shards->figures.shards;
	*ret_shards = shards;
	return 0;
}

void shards_free(struct shards *shards)
{
	if (!shards)
		return;
	ASSERT(list_empty(&shards->came) && list_empty(&shards->waiting));
	mem_free(shards);
}

void shards_connect(struct shards *shards, struct shards *const *peers,
    struct mailbox *const *to_peer, struct mailbox *const *from_peer)
{
	(void)shards;
	(void)peers;
	(void)to_peer;
	(void)from_peer;
}

void shards_start(struct shards *shards)
{
	(void)shards;
}

static void copy(char *to, size_t to_bytes, struct slice from)
{
	size_t bytes = from.bytes < to_bytes ? from.bytes : to_bytes - 1;
	if (bytes)
		memcpy(to, from.data, bytes);
	to[bytes] = 0;
}

bool shards_reads(const struct shards *shards, const struct shard_call *call)
{
	(void)shards;
	return slice_equal(call->name, slice_from_text("get"));
}

void shards_submit(struct shards *shards, struct shard_call *call)
{
	struct fake_last *last = &shards->last;
	copy(last->address, sizeof(last->address), call->address);
	copy(last->name, sizeof(last->name), call->name);
	copy(last->payload, sizeof(last->payload), call->payload);
	copy(last->token, sizeof(last->token), call->token);
	last->metadata_bytes = call->metadata.bytes < sizeof(last->metadata)
	                           ? call->metadata.bytes
	                           : sizeof(last->metadata);
	if (last->metadata_bytes)
		memcpy(last->metadata, call->metadata.data, last->metadata_bytes);
	last->has_payload = call->has_payload;
	last->queries_only = call->queries_only;
	last->internal_allowed = call->internal_allowed;
	last->anywhere = call->anywhere;
	last->stale_ns = call->stale_ns;
	last->deadline_ns = call->deadline_ns;
	last->order = call->order;
	last->at_revision = call->at_revision;
	last->kind = call->kind;
	last->reply_encoding = call->reply_encoding;
	buffer_init(&call->reply, 16 * MIB);
	buffer_init(&call->details, MIB);
	list_node_init(&call->link);
	call->took_ns = slice_equal(call->name, slice_from_text("slow")) ? 250000000 : 0;
	bool wait = slice_equal(call->name, slice_from_text("wait"));
	list_push_back(wait ? &shards->waiting : &shards->came, &call->link);
}

static void must(int error)
{
	ASSERT(error == 0);
}

static void answer_get(struct shard_call *call)
{
	call->has_reply = true;
	if (call->reply_encoding == HOST_MSGPACK) {
		struct msgpack_writer writer;
		msgpack_writer_init(&writer, &call->reply);
		msgpack_write_map(&writer, 3);
		msgpack_write_string(&writer, slice_from_text("address"));
		msgpack_write_string(&writer, call->address);
		msgpack_write_string(&writer, slice_from_text("list"));
		msgpack_write_array(&writer, 4);
		msgpack_write_integer(&writer, 7);
		msgpack_write_double(&writer, 0.5);
		msgpack_write_boolean(&writer, true);
		msgpack_write_nil(&writer);
		msgpack_write_string(&writer, slice_from_text("name"));
		msgpack_write_string(&writer, call->name);
		must(msgpack_writer_finish(&writer));
		return;
	}
	struct json_writer writer;
	json_writer_init(&writer, &call->reply);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("address"));
	json_write_string(&writer, call->address);
	json_write_key(&writer, slice_from_text("name"));
	json_write_string(&writer, call->name);
	json_write_key(&writer, slice_from_text("payload_bytes"));
	json_write_integer(&writer, (int64_t)call->payload.bytes);
	json_write_object_end(&writer);
	/* A name that is no UTF-8 gives no reply. */
	if (json_writer_finish(&writer)) {
		call->status = STATUS_INVALID_ARGUMENT;
		must(buffer_append_text(&call->reply, "the name is not UTF-8"));
	}
}

static void break_down(struct shards *shards, struct shard_call *call)
{
	call->status = STATUS_INTERNAL;
	snprintf(call->reference, sizeof(call->reference), "ref%u-%u", shards->options.core,
	    (unsigned)++shards->broken);
	must(buffer_append_text(&call->reply, "the handler broke"));
	struct shard_error error = {.reference = call->reference,
	    .address = call->address,
	    .name = call->name,
	    .bundle = slice_from_text("00000000000000000000000000000000"),
	    .message = slice_from_text("attempt to index a nil value"),
	    .traceback = slice_from_text("cart.lua:12: in broken"),
	    .at_ms = (int64_t)shards->broken};
	if (shards->options.error)
		shards->options.error(shards->options.arg, &error);
}

static void answer_call(struct shards *shards, struct shard_call *call)
{
	char name[32];
	copy(name, sizeof(name), call->name);
	if (strcmp(name, "nothing") == 0)
		return;
	if (strcmp(name, "fail") == 0) {
		call->status = STATUS_FAILED_PRECONDITION;
		must(buffer_append_text(&call->reply, "cart is\nalready checked out"));
		must(buffer_append_text(&call->details, "{\"items\":3}"));
	} else if (strcmp(name, "broken") == 0) {
		break_down(shards, call);
	} else if (strcmp(name, "big") == 0) {
		must(buffer_append_u8(&call->reply, '"'));
		for (int i = 0; i < 1000; i++)
			must(buffer_append(&call->reply,
			    "0123456789012345678901234567890123456789012345678901234567890123456789"
			    "012345678901234567890123456789",
			    100));
		must(buffer_append_u8(&call->reply, '"'));
		call->has_reply = true;
	} else {
		answer_get(call);
	}
}

/* Addresses of one shard: two, over two pages where fewer are wanted. */
static void answer_entities(struct shard_call *call)
{
	char text[128];
	bool second = slice_equal(call->cursor, slice_from_text("2nd"));
	call->has_reply = true;
	if (second)
		snprintf(text, sizeof(text), "{\"addresses\":[\"cart/%u-b\"]}", call->shard);
	else if (call->count == 1)
		snprintf(text, sizeof(text), "{\"addresses\":[\"cart/%u-a\"],\"cursor\":\"2nd\"}",
		    call->shard);
	else
		snprintf(text, sizeof(text), "{\"addresses\":[\"cart/%u-a\",\"cart/%u-b\"]}",
		    call->shard, call->shard);
	must(buffer_append_text(&call->reply, text));
}

static void answer(struct shards *shards, struct shard_call *call)
{
	call->status = STATUS_OK;
	shards->figures.calls++;
	if (shards->closing) {
		call->status = STATUS_UNAVAILABLE;
		must(buffer_append_text(&call->reply, "the server stops"));
		call->done(call);
		return;
	}
	switch (call->kind) {
	case SHARD_CALL:
		answer_call(shards, call);
		break;
	case SHARD_ENTITIES:
		answer_entities(call);
		break;
	case SHARD_LIST:
	case SHARD_GET:
	case SHARD_HISTORY:
	case SHARD_COUNT: /* the gate asks for none */
		call->has_reply = true;
		must(buffer_append_text(&call->reply, "{\"exists\":false}"));
		break;
	}
	call->done(call);
}

static void answer_all(struct shards *shards, struct list *calls)
{
	struct list now;
	struct list_node *node;
	list_init(&now);
	list_append_all(&now, calls);
	while ((node = list_pop_front(&now)))
		answer(shards, CONTAINER_OF(node, struct shard_call, link));
}

bool shards_turn(struct shards *shards)
{
	struct list now, late;
	struct list_node *node;
	list_init(&now);
	list_init(&late);
	list_append_all(&now, &shards->came);
	while ((node = list_pop_front(&now))) {
		struct shard_call *call = CONTAINER_OF(node, struct shard_call, link);
		if (slice_equal(call->name, slice_from_text("late")))
			list_push_back(&late, node);
		else
			answer(shards, call);
	}
	answer_all(shards, &late);
	while ((node = list_pop_front(&shards->activations))) {
		struct shards_activation *activation =
		    CONTAINER_OF(node, struct shards_activation, link);
		activation->done(activation);
	}
	if (shards->closing && list_empty(&shards->came) && shards->closed) {
		void (*closed)(void *arg) = shards->closed;
		shards->closed = NULL;
		closed(shards->closed_arg);
	}
	return !list_empty(&shards->came) || !list_empty(&shards->activations);
}

/* No handler of these takes long. */
bool shards_has_long(const struct shards *shards)
{
	(void)shards;
	return false;
}

bool shards_run_long(struct shards *shards)
{
	(void)shards;
	return false;
}

void fake_shards_release(struct shards *shards)
{
	answer_all(shards, &shards->waiting);
}

void shards_close(struct shards *shards, void (*closed)(void *arg), void *arg)
{
	shards->closing = true;
	shards->closed = closed;
	shards->closed_arg = arg;
	list_append_all(&shards->came, &shards->waiting);
}

bool shards_ready(const struct shards *shards)
{
	return shards != NULL;
}

void shards_provide(struct shards *shards, struct host_bundle *bundle)
{
	(void)shards;
	(void)bundle;
}

void shards_activate(struct shards *shards, struct shards_activation *activation)
{
	activation->status = STATUS_OK;
	activation->pending = 0;
	list_node_init(&activation->link);
	list_push_back(&shards->activations, &activation->link);
}

uint64_t shards_work(const struct shards *shards, uint32_t shard)
{
	(void)shards;
	(void)shard;
	return 0;
}

bool shards_lack_bundle(const struct shards *shards, uint64_t for_ns)
{
	(void)shards;
	(void)for_ns;
	return false;
}

uint32_t shards_active_count(const struct shards *shards, struct slice app, const char *hash)
{
	(void)app;
	(void)hash;
	return shards->figures.shards;
}

struct shards_figures shards_figures(const struct shards *shards)
{
	return shards->figures;
}

void shards_each_handler(struct shards *shards,
    void (*each)(void *arg, const struct shards_handler_figures *figures), void *arg)
{
	struct shards_handler_figures figures = {.component = slice_from_text("cart"),
	    .handler = slice_from_text("get"),
	    .calls = shards->figures.calls,
	    .errors = 1,
	    .latency_sum_ns = shards->figures.calls * 2000,
	    .latency_p50_ns = 2000,
	    .latency_p99_ns = 3000,
	    .latency_max_ns = 4000};
	each(arg, &figures);
}

/* ---- What a node alone never asks for ---- */

int shards_add(
    struct shards *shards, uint32_t shard, uint64_t replica, const struct raft_membership *initial)
{
	(void)shards;
	(void)shard;
	(void)replica;
	(void)initial;
	UNREACHABLE();
}

void shards_remove(struct shards *shards, uint32_t shard)
{
	(void)shards;
	(void)shard;
	UNREACHABLE();
}

bool shards_has(const struct shards *shards, uint32_t shard)
{
	(void)shards;
	(void)shard;
	UNREACHABLE();
}

void shards_answered(struct shards *shards, struct shard_call *call)
{
	(void)shards;
	(void)call;
	UNREACHABLE();
}

void shards_returned(struct shards *shards, struct shard_call *call)
{
	(void)shards;
	(void)call;
	UNREACHABLE();
}

void shards_leader_known(struct shards *shards, uint32_t shard)
{
	(void)shards;
	(void)shard;
	UNREACHABLE();
}

const struct fake_last *fake_shards_last(const struct shards *shards)
{
	return &shards->last;
}
