/* Calls as clients make them, and what they are told. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/io/io.h"
#include "tests/unit/outcome/world_parts.h"
#include "tests/unit/run.h"

static void call_done(struct shard_call *call)
{
	struct outcome_call *mine = CONTAINER_OF(call, struct outcome_call, call);
	ck_assert(!mine->done);
	mine->done = true;
	mine->order = ++world.answers;
	mine->answered_ns = sim_now_ns(world.sim);
}

static void submit_in_process(void *arg)
{
	struct outcome_call *call = arg;
	shards_submit(world.nodes[call->node].shards, &call->call);
	io_wake(world.nodes[call->node].io, NULL);
}

void call_begin_with(struct outcome_call *call, unsigned node, const char *name, uint64_t id,
    uint64_t timeout_ms, uint64_t connection, const char *token)
{
	memset(call, 0, sizeof(*call));
	call->node = node;
	snprintf(call->address, sizeof(call->address), "counter/c");
	snprintf(call->name, sizeof(call->name), "%s", name);
	snprintf(call->payload, sizeof(call->payload), "%" PRIu64, id);
	snprintf(call->token, sizeof(call->token), "%s", token);
	call->call.kind = SHARD_CALL;
	call->call.address = slice_from_text(call->address);
	call->call.name = slice_from_text(call->name);
	call->call.has_payload = true;
	call->call.payload = slice_from_text(call->payload);
	call->call.token = slice_from_text(call->token);
	call->call.caller.kind = slice_from_text("client");
	call->call.caller.name = slice_from_text("default");
	call->call.deadline_ns = sim_now_ns(world.sim) + timeout_ms * NS_PER_MS;
	call->call.order = connection;
	call->call.done = call_done;
	world_do(node, submit_in_process, call);
}

void call_begin(struct outcome_call *call, unsigned node, const char *name, uint64_t id,
    uint64_t timeout_ms, uint64_t connection)
{
	call_begin_with(call, node, name, id, timeout_ms, connection, "");
}

static bool is_done(void *arg)
{
	return ((struct outcome_call *)arg)->done;
}

static void call_finish(struct outcome_call *call)
{
	buffer_done(&call->call.reply);
	buffer_done(&call->call.details);
}

static void expect_status(struct outcome_call *call, enum status status)
{
	world_until(is_done, call);
	struct slice reply = buffer_view(&call->call.reply);
	ck_assert_msg(call->call.status == status, "%s %s: %s, %.*s", call->name, call->payload,
	    status_name(call->call.status), (int)reply.bytes, (const char *)reply.data);
}

void call_expect(struct outcome_call *call, enum status status)
{
	expect_status(call, status);
	call_finish(call);
}

static struct host_fake_view view_of(struct outcome_call *call, enum status status)
{
	struct host_fake_view view;
	expect_status(call, status);
	struct slice reply = buffer_view(&call->call.reply);
	ck_assert_msg(
	    host_fake_parse(reply, &view), "%.*s", (int)reply.bytes, (const char *)reply.data);
	/* Each change stands once, at a revision of its own. */
	ck_assert_uint_eq(view.revision, view.count);
	call_finish(call);
	return view;
}

struct host_fake_view call_view(struct outcome_call *call)
{
	return view_of(call, STATUS_OK);
}

void call_expect_state(struct outcome_call *call, enum status status, const char *ids)
{
	char text[512] = "";
	size_t used = 0;
	struct host_fake_view view = view_of(call, status);
	for (size_t i = 0; i < view.count; i++)
		used += (size_t)snprintf(
		    text + used, sizeof(text) - used, "%s%" PRIu64, i > 0 ? " " : "", view.ids[i]);
	ck_assert_str_eq(text, ids);
}

void change(unsigned node, uint64_t id)
{
	struct outcome_call call;
	call_begin(&call, node, "add", id, 60000, 1000);
	call_expect(&call, STATUS_OK);
}

void expect_everywhere(const char *ids)
{
	for (unsigned i = 0; i < NODES; i++) {
		struct outcome_call call;
		if (!is_up(&world.nodes[i]))
			continue;
		call_begin(&call, i, "get", 0, 60000, 1001);
		call_expect_state(&call, STATUS_OK, ids);
	}
}
