/* Requests: their bytes, their deadlines, and whether they may be repeated. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/resp_writer.h"
#include "client/client.h"

static size_t argument_bytes(const struct request_parts *parts, size_t number)
{
	return parts->bytes ? parts->bytes[number] : strlen(parts->arguments[number]);
}

static int encode(const struct request_parts *parts, struct buffer *out)
{
	struct resp_writer writer;
	resp_writer_init(&writer, out, RESP2);
	resp_write_array(&writer, parts->count);
	for (size_t i = 0; i < parts->count; i++)
		resp_write_bulk(&writer, slice_of(parts->arguments[i], argument_bytes(parts, i)));
	return resp_writer_finish(&writer);
}

static struct request *make(const struct request_parts *parts, int *ret_code)
{
	struct buffer wire;
	buffer_init(&wire, CLIENT_REQUEST_BYTES_MAX);
	int error = encode(parts, &wire);
	struct slice bytes = buffer_view(&wire);
	ASSERT(error || bytes.data);
	struct request *request = error ? NULL : mem_alloc(sizeof(*request) + bytes.bytes);
	if (!request) {
		*ret_code =
		    error == ERR_TOO_LARGE ? KALIX_INVALID_ARGUMENT : KALIX_RESOURCE_EXHAUSTED;
		buffer_done(&wire);
		return NULL;
	}
	*request = (struct request){.kind = parts->kind, .lane = SLOT_COUNT, .bytes = bytes.bytes};
	memcpy(request->data, bytes.data, bytes.bytes);
	buffer_done(&wire);
	return request;
}

struct request *request_make_own(size_t count, const char *const *words)
{
	struct request_parts parts = {.kind = REQUEST_OWN, .count = count, .arguments = words};
	int code;
	struct request *request = make(&parts, &code);
	if (!request)
		return NULL;
	list_node_init(&request->link);
	heap_node_init(&request->deadline);
	return request;
}

/* FNV-1a. Two entities that share one only wait for each other. */
static uint64_t entity_of(const char *address)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (; *address; address++)
		hash = (hash ^ (uint8_t)*address) * UINT64_C(1099511628211);
	return hash;
}

int request_start(struct kalix *k, const struct request_parts *parts, kalix_done done, void *arg)
{
	int code = KALIX_OK;
	if (k->closing)
		return KALIX_UNAVAILABLE;
	struct request *request = make(parts, &code);
	if (!request)
		return code;
	request->has_token = parts->has_token;
	request->done = done;
	request->arg = arg;
	request->slot = SLOT_COUNT;
	if (parts->address) {
		request->slot = slot_of(slice_from_text(parts->address));
		request->lane = request->slot;
		request->entity = entity_of(parts->address);
	}
	request->sequence = ++k->sequence;
	request->timeout_ms = parts->timeout_ms ? parts->timeout_ms : CLIENT_TIMEOUT_MS;
	list_node_init(&request->link);
	heap_node_init(&request->deadline);
	list_push_back(&k->fresh, &request->link);
	k->pending++;
	step_wake(k);
	return KALIX_OK;
}

void request_end(struct kalix *k, struct request *request, struct kalix_reply *reply, int code)
{
	kalix_done done = request->done;
	void *arg = request->arg;
	list_remove(&request->link);
	heap_remove(&k->deadlines, &request->deadline);
	k->refused -= request->refused;
	if (request->asks_slots)
		k->slots_asked = false;
	mem_free(request);
	if (!done) {
		kalix_reply_free(reply);
		return;
	}
	k->pending--;
	done(arg, code, reply);
}

void request_fail(struct kalix *k, struct request *request, int code, const char *message)
{
	request_end(k, request, reply_new(code, message), code);
}

void request_wait(struct kalix *k, struct request *request)
{
	struct list_node *before = k->waiting.head.next;
	while (before != &k->waiting.head &&
	       CONTAINER_OF(before, struct request, link)->sequence < request->sequence)
		before = before->next;
	list_remove(&request->link);
	list_insert_before(&request->link, before);
}

uint64_t request_backoff_ms(unsigned failures)
{
	uint64_t ms = (uint64_t)CLIENT_BACKOFF_MS << (failures < 6 ? failures : 6);
	return ms < CLIENT_BACKOFF_MS_MAX ? ms : CLIENT_BACKOFF_MS_MAX;
}

bool request_again(struct kalix *k, struct request *request, bool surely_undone)
{
	bool may = request->kind == REQUEST_QUERY ||
	           (request->kind == REQUEST_COMMAND &&
	               (request->has_token || (surely_undone && !request->in_doubt)));
	if (!may || !request->done || k->closing)
		return false;
	uint64_t at = k->now_ms + request_backoff_ms(request->attempts);
	/* No time for another try: what is known now is the better answer. */
	if (heap_node_linked(&request->deadline) && at >= request->deadline.key)
		return false;
	if (surely_undone && !lanes_refuse(k, request))
		return false;
	request->attempts++;
	request->retry_ms = at;
	request_wait(k, request);
	return true;
}
