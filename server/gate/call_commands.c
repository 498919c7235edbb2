/* CALL, FCALL, FCALL_RO: from words to a call of the shard, and from its answer to a reply. */
#include <stdio.h>
#include <string.h>

#include "base/slot.h"
#include "base/wire/address.h"
#include "base/wire/msgpack.h"
#include "server/gate/call_options.h"
#include "server/gate/calls.h"
#include "server/gate/gate_parts.h"
#include "server/gate/topology.h"

struct call {
	struct reply reply;
	struct shard_call shard;
	const struct command *command;
	enum session_encoding encoding;
	enum resp_protocol protocol;
	struct buffer metadata;
	size_t bytes; /* of this struct with its data */
	uint8_t data[];
};

/* ---- Who calls ---- */

/* While there are no users to be told apart, whoever may call has every role. */
static const struct slice all_roles[] = {{(const uint8_t *)"admin", 5}, {(const uint8_t *)"*", 1}};

struct host_caller caller_of(const struct session *session)
{
	(void)session;
	return (struct host_caller){.kind = slice_from_text("client"),
	    .name = slice_from_text("default"),
	    .roles = all_roles,
	    .role_count = sizeof(all_roles) / sizeof(all_roles[0])};
}

/* ---- The answer ---- */

/* MessagePack as the types of RESP; our own encoder made it, but it is looked at all the same. */
static void write_values(struct resp_writer *writer, struct slice msgpack)
{
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, msgpack, false, MSGPACK_DEPTH_MAX);
	while (!msgpack_finished(&reader)) {
		struct msgpack_value value;
		int error = msgpack_next(&reader, &value);
		if (error) {
			writer->error = error;
			return;
		}
		switch (value.type) {
		case MSGPACK_NIL:
			resp_write_null(writer);
			break;
		case MSGPACK_BOOLEAN:
			resp_write_boolean(writer, value.boolean);
			break;
		case MSGPACK_INTEGER:
			resp_write_integer(writer, value.integer);
			break;
		case MSGPACK_DOUBLE:
			resp_write_double(writer, value.number);
			break;
		case MSGPACK_STRING:
		case MSGPACK_BINARY:
		case MSGPACK_EXTENSION:
			resp_write_bulk(writer, value.bytes);
			break;
		case MSGPACK_ARRAY:
			resp_write_array(writer, value.count);
			break;
		case MSGPACK_MAP:
			resp_write_map(writer, value.count);
			break;
		}
	}
}

/* The message, with the reference by which `ADMIN ERROR` finds the rest. */
static void write_failure(struct resp_writer *writer, const struct shard_call *shard)
{
	struct slice message = buffer_view(&shard->reply);
	struct slice details = buffer_view(&shard->details);
	size_t reference = strlen(shard->reference);
	char text[1280];
	if (reference > 0 && (message.bytes == 0 || !memmem(message.data, message.bytes,
	                                                shard->reference, reference))) {
		int bytes = snprintf(text, sizeof(text), "%.*s (error %s)",
		    (int)(message.bytes < 1024 ? message.bytes : 1024),
		    message.bytes ? (const char *)message.data : "", shard->reference);
		if (bytes > 0)
			message = slice_of(text, (size_t)bytes);
	}
	resp_write_error(writer, status_name(shard->status), message, details);
}

/* "Nothing is null": every reply is a value of its encoding, and can be decoded as one. */
static void write_nothing(struct resp_writer *writer, enum session_encoding encoding)
{
	static const uint8_t nil[] = {0xc0};
	switch (encoding) {
	case ENCODING_JSON:
		resp_write_bulk(writer, slice_from_text("null"));
		return;
	case ENCODING_MSGPACK:
		resp_write_bulk(writer, slice_of(nil, sizeof(nil)));
		return;
	case ENCODING_RESP:
		resp_write_null(writer);
		return;
	}
}

void shard_call_write(struct session *session, struct resp_writer *writer, struct shard_call *shard,
    enum session_encoding encoding)
{
	if (shard->status != STATUS_OK)
		write_failure(writer, shard);
	else if (!shard->has_reply)
		write_nothing(writer, encoding);
	else if (encoding == ENCODING_RESP)
		write_values(writer, buffer_view(&shard->reply));
	else
		reply_write_bulk_take(session, writer, &shard->reply);
}

static void call_write(struct reply *reply, struct resp_writer *writer)
{
	struct call *call = CONTAINER_OF(reply, struct call, reply);
	/* As it was when the command came. */
	writer->protocol = call->protocol;
	shard_call_write(reply->session, writer, &call->shard, call->encoding);
}

static void call_free(struct reply *reply)
{
	struct call *call = CONTAINER_OF(reply, struct call, reply);
	buffer_done(&call->shard.reply);
	buffer_done(&call->shard.details);
	buffer_done(&call->metadata);
	small_block_give(&call->reply.session->gate->blocks, call, call->bytes);
}

static void call_done(struct shard_call *shard)
{
	struct call *call = CONTAINER_OF(shard, struct call, shard);
	struct gate *gate = call->reply.session->gate;
	gate->figures.calls_under_way--;
	if (shard->status != STATUS_OK) {
		gate->figures.errors++;
		gate->command_figures[call->command - commands].errors++;
	}
	if (gate->limits.slow_ms != 0 && shard->took_ns >= gate->limits.slow_ms * NS_PER_MS)
		gate_slow_add(gate, call->reply.session, call->command, shard);
	reply_ready(&call->reply, call->bytes + shard->reply.capacity + shard->details.capacity);
}

/* ---- The call ---- */

static struct slice keep(struct call *call, size_t *at, struct slice from)
{
	if (from.bytes == 0)
		return slice_of(NULL, 0);
	uint8_t *to = call->data + *at;
	memcpy(to, from.data, from.bytes);
	*at += from.bytes;
	return slice_of(to, from.bytes);
}

static void refuse(struct session *session, enum status status, const char *text)
{
	reply_status(session, status, slice_from_text(text), slice_of(NULL, 0));
}

/* The words are copied: the receive buffer is gone before the answer comes. */
static struct call *call_new(struct session *session, const struct address *address,
    struct slice name, const struct call_options *options)
{
	size_t bytes = sizeof(struct call) + address->text.bytes + name.bytes +
	               options->payload.bytes + options->token.bytes;
	struct call *call = small_block_take(&session->gate->blocks, bytes);
	if (!call)
		return NULL;
	memset(call, 0, sizeof(*call));
	size_t at = 0;
	call->bytes = bytes;
	call->command = session->last_command;
	call->encoding = session->encoding;
	call->protocol = session->protocol;
	call->reply = (struct reply){
	    .session = session, .bytes = bytes, .write = call_write, .free = call_free};
	buffer_init(&call->metadata, METADATA_BYTES_MAX * 4);
	struct shard_call *shard = &call->shard;
	shard->address = keep(call, &at, address->text);
	shard->name = keep(call, &at, name);
	shard->has_payload = options->has_payload;
	shard->payload = keep(call, &at, options->payload);
	shard->token = keep(call, &at, options->token);
	shard->payload_encoding = session->encoding == ENCODING_MSGPACK ? HOST_MSGPACK : HOST_JSON;
	shard->reply_encoding = session->encoding == ENCODING_JSON ? HOST_JSON : HOST_MSGPACK;
	shard->internal_allowed = session_is_admin(session);
	shard->caller = caller_of(session);
	shard->order = session->id;
	shard->deadline_ns = io_now_ns(session->gate->io) + options->timeout_ms * NS_PER_MS;
	shard->done = call_done;
	return call;
}

static void submit(struct session *session, struct call *call)
{
	struct gate *gate = session->gate;
	gate->figures.calls++;
	gate->figures.calls_under_way++;
	reply_wait(session, &call->reply);
	shards_submit(gate->shards, &call->shard);
}

/* An address, or an answer why not. */
static bool parse_address(struct session *session, struct slice text, struct address *ret_address)
{
	const char *why;
	if (address_parse(text, ret_address, &why) == 0)
		return true;
	bool is_name = name_valid(text) && !memchr(text.data, '/', text.bytes);
	if (is_name)
		refuse(session, STATUS_UNIMPLEMENTED,
		    "there is no action of this name; an address is type/id, for example cart/c1");
	else
		refuse(session, STATUS_INVALID_ARGUMENT, why);
	return false;
}

/* Where the client wants to be told (the cluster port, or CLIENT PROXY OFF) it is. While nobody is
 * known to lead, the call waits here as any other. */
static bool answer_moved(struct session *session, struct slice address)
{
	struct gate *gate = session->gate;
	struct topology_node node;
	uint16_t slot = slot_of(address);
	if (session->proxy || !topology_moved(gate, slot, &node))
		return false;
	gate->figures.moved++;
	reply_error(session, "MOVED", "%u %s:%u", slot, node.host, node.cluster_port);
	return true;
}

/* A query, that any replica may answer, and there is one here. */
static bool is_read_here(
    const struct session *session, struct slice address, struct slice name, bool anywhere)
{
	struct shard_call call = {.kind = SHARD_CALL, .address = address, .name = name};
	return anywhere && topology_has_replica(session->gate, slot_of(address)) &&
	       shards_reads(session->gate->shards, &call);
}

/* `rest`: payload and options. */
static void call_entity(struct session *session, struct slice text, struct slice name,
    const struct slice *rest, uint32_t count, bool queries_only)
{
	struct address address;
	struct call_options options;
	const char *why = NULL;
	if (!parse_address(session, text, &address))
		return;
	if (call_options_parse(rest, count, &options, &why)) {
		refuse(session, STATUS_INVALID_ARGUMENT, why);
		return;
	}
	bool anywhere = session->readonly || options.has_stale;
	if (!is_read_here(session, address.text, name, anywhere) &&
	    answer_moved(session, address.text))
		return;
	if (options.payload.bytes > PAYLOAD_BYTES_MAX) {
		refuse(
		    session, STATUS_RESOURCE_EXHAUSTED, "the payload is larger than 1048576 bytes");
		return;
	}
	struct call *call = call_new(session, &address, name, &options);
	int error = call ? 0 : ERR_NOMEM;
	if (!error && options.metadata.bytes)
		error = metadata_convert(options.metadata, &call->metadata, &why);
	if (error) {
		if (call)
			call_free(&call->reply);
		refuse(session, status_from_error(error), why ? why : error_text(error));
		return;
	}
	call->shard.metadata = buffer_view(&call->metadata);
	/* A change is never made to what may be old. */
	call->shard.queries_only = queries_only || options.has_stale;
	call->shard.anywhere = anywhere;
	call->shard.stale_ns = options.stale_ms * NS_PER_MS;
	submit(session, call);
}

/* What the entity understands. */
static void list_entity(struct session *session, struct slice text)
{
	struct address address;
	if (!parse_address(session, text, &address) || answer_moved(session, address.text))
		return;
	struct call *call = call_new(session, &address, slice_of(NULL, 0),
	    &(struct call_options){.timeout_ms = CALL_TIMEOUT_MS});
	if (!call) {
		refuse(session, STATUS_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	call->shard.kind = SHARD_LIST;
	call->encoding = ENCODING_JSON;
	call->shard.reply_encoding = HOST_JSON;
	submit(session, call);
}

void run_call(struct session *session, const struct slice *args, uint32_t count)
{
	if (count == 2)
		list_entity(session, args[1]);
	else
		call_entity(session, args[1], args[2], args + 3, count - 3, false);
}

static void fcall(
    struct session *session, const struct slice *args, uint32_t count, bool queries_only)
{
	int64_t keys;
	if (!word_integer(args[2], INT32_MIN, INT32_MAX, &keys))
		reply_error(session, "ERR", "Bad number of keys provided");
	else if (keys < 0)
		reply_error(session, "ERR", "Number of keys can't be negative");
	else if (keys > (int64_t)count - 3)
		reply_error(session, "ERR", "Number of keys can't be greater than number of args");
	else if (keys == 0)
		refuse(session, STATUS_UNIMPLEMENTED,
		    "there is no action of this name; for an entity: FCALL command 1 address");
	else if (keys > 1)
		refuse(session, STATUS_INVALID_ARGUMENT,
		    "a call has one address: FCALL command 1 address [payload]");
	else
		call_entity(session, args[3], args[1], args + 4, count - 4, queries_only);
}

void run_fcall(struct session *session, const struct slice *args, uint32_t count)
{
	fcall(session, args, count, false);
}

void run_fcall_ro(struct session *session, const struct slice *args, uint32_t count)
{
	fcall(session, args, count, true);
}
