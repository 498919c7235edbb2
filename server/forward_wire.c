#include "server/forward_wire.h"

#include <string.h>

#include "base/slot.h"
#include "base/wire/address.h"
#include "server/meta/cluster_map.h"

enum {
	FLAG_HAS_PAYLOAD = 1,
	FLAG_QUERIES_ONLY = 2,
	FLAG_INTERNAL = 4,
	FLAG_PAYLOAD_MSGPACK = 8,
	FLAG_REPLY_MSGPACK = 16,
	FLAGS_OF_CALL = 31,
	FLAG_DRY_RUN = 1,
	FLAG_FORCE = 2,
	FLAG_DAMAGED = 4,
	FLAG_UNPROVED = 8,
	FLAG_HAS_REPLY = 1,
	FLAG_COUNTED_ALL = 2,
	FLAG_NOT_QUERY = 4,
	METADATA_MSGPACK_BYTES_MAX = 4 * METADATA_BYTES_MAX, /* as the gate converts it */
};

/* The texts of a call, in the order of the wire. */
enum call_text {
	TEXT_ADDRESS,
	TEXT_NAME,
	TEXT_TOKEN,
	TEXT_METADATA,
	TEXT_CURSOR,
	TEXT_CALLER_KIND,
	TEXT_CALLER_NAME,
	TEXTS_OF_CALL
};
static const size_t text_bytes_max[TEXTS_OF_CALL] = {
    [TEXT_ADDRESS] = ADDRESS_BYTES_MAX,
    [TEXT_NAME] = FORWARD_WORD_BYTES_MAX,
    [TEXT_TOKEN] = TOKEN_BYTES_MAX,
    [TEXT_METADATA] = METADATA_MSGPACK_BYTES_MAX,
    [TEXT_CURSOR] = FORWARD_WORD_BYTES_MAX,
    [TEXT_CALLER_KIND] = FORWARD_WORD_BYTES_MAX,
    [TEXT_CALLER_NAME] = FORWARD_WORD_BYTES_MAX,
};
_Static_assert(TEXTS_OF_CALL + FORWARD_ROLES_MAX == FORWARD_TEXTS_MAX, "texts of a call");

/* ---- Parts ---- */

static void add_bytes(struct forward_message *message, struct slice bytes)
{
	if (bytes.bytes == 0)
		return;
	ASSERT(message->count < sizeof(message->iov) / sizeof(message->iov[0]));
	message->iov[message->count++] =
	    (struct iovec){.iov_base = (void *)(uintptr_t)bytes.data, .iov_len = bytes.bytes};
	message->bytes += bytes.bytes;
}

static struct writer begin(struct forward_message *message)
{
	struct writer head = writer_of(message->head, sizeof(message->head));
	writer_u8(&head, FORWARD_VERSION);
	message->count = 0;
	message->bytes = 0;
	return head;
}

/* The head is whole: it goes first. */
static void end_head(struct forward_message *message, const struct writer *head)
{
	ASSERT(!head->failed && message->count == 0);
	add_bytes(message, writer_view(head));
}

/* ERR_UNSUPPORTED: another version. */
static int open_message(struct slice bytes, struct reader *ret_reader)
{
	*ret_reader = reader_of(bytes);
	uint8_t version = reader_u8(ret_reader);
	if (ret_reader->failed)
		return ERR_PROTOCOL;
	return version == FORWARD_VERSION ? 0 : ERR_UNSUPPORTED;
}

static void write_numbers(struct writer *head, const struct forward_numbers *numbers)
{
	writer_varint(head, numbers->id);
	writer_varint(head, numbers->behind);
	writer_varint(head, numbers->seen);
	writer_varint(head, numbers->timeout_ms);
}

static void read_numbers(struct reader *in, struct forward_numbers *numbers)
{
	numbers->id = reader_varint(in);
	numbers->behind = reader_varint(in);
	numbers->seen = reader_varint(in);
	numbers->timeout_ms = reader_varint(in);
	if (numbers->id == 0 || numbers->behind >= numbers->id || numbers->seen >= numbers->id)
		reader_fail(in);
}

static uint64_t read_up_to(struct reader *in, uint64_t max)
{
	uint64_t value = reader_varint(in);
	if (value > max)
		reader_fail(in);
	return in->failed ? 0 : value;
}

/* A bit that nobody knows is none that may be ignored. */
static uint8_t read_flags(struct reader *in, uint8_t known)
{
	uint8_t flags = reader_u8(in);
	if (flags & ~known)
		reader_fail(in);
	return in->failed ? 0 : flags;
}

/* ---- CALL ---- */

static bool address_fits(const struct shard_call *call, uint32_t shard_count)
{
	struct address address;
	if (call->shard == 0 || call->shard > shard_count)
		return false;
	if (call->kind == SHARD_ENTITIES || call->kind == SHARD_COUNT)
		return name_valid(call->address);
	const struct shard_map map = {.shard_count = shard_count};
	return address_parse(call->address, &address, NULL) == 0 &&
	       shard_of_slot(&map, slot_of(call->address)) == call->shard;
}

static uint8_t call_flags(const struct shard_call *call)
{
	return (uint8_t)((call->has_payload ? FLAG_HAS_PAYLOAD : 0) |
	                 (call->queries_only ? FLAG_QUERIES_ONLY : 0) |
	                 (call->internal_allowed ? FLAG_INTERNAL : 0) |
	                 (call->payload_encoding == HOST_MSGPACK ? FLAG_PAYLOAD_MSGPACK : 0) |
	                 (call->reply_encoding == HOST_MSGPACK ? FLAG_REPLY_MSGPACK : 0));
}

int forward_call_write(struct forward_message *message, const struct forward_numbers *numbers,
    const struct shard_call *call)
{
	const struct slice texts[TEXTS_OF_CALL] = {call->address, call->name, call->token,
	    call->metadata, call->cursor, call->caller.kind, call->caller.name};
	if (call->caller.role_count > FORWARD_ROLES_MAX || call->payload.bytes > PAYLOAD_BYTES_MAX)
		return ERR_TOO_LARGE;
	struct writer head = begin(message);
	write_numbers(&head, numbers);
	writer_varint(&head, call->shard);
	writer_u8(&head, (uint8_t)call->kind);
	writer_u8(&head, call_flags(call));
	writer_varint(&head, call->order);
	writer_varint(&head, call->term);
	writer_varint(&head, call->at_revision);
	writer_varint(&head, call->count);
	writer_varint(&head, numbers->until_ms);
	for (size_t i = 0; i < TEXTS_OF_CALL; i++) {
		if (texts[i].bytes > text_bytes_max[i])
			return ERR_TOO_LARGE;
		writer_varint(&head, texts[i].bytes);
	}
	writer_varint(&head, call->caller.role_count);
	for (size_t i = 0; i < call->caller.role_count; i++) {
		if (call->caller.roles[i].bytes > FORWARD_WORD_BYTES_MAX)
			return ERR_TOO_LARGE;
		writer_varint(&head, call->caller.roles[i].bytes);
	}
	end_head(message, &head);
	for (size_t i = 0; i < TEXTS_OF_CALL; i++)
		add_bytes(message, texts[i]);
	for (size_t i = 0; i < call->caller.role_count; i++)
		add_bytes(message, call->caller.roles[i]);
	if (call->has_payload)
		add_bytes(message, call->payload);
	return 0;
}

static void set_flags(struct shard_call *call, uint8_t flags)
{
	call->has_payload = flags & FLAG_HAS_PAYLOAD;
	call->queries_only = flags & FLAG_QUERIES_ONLY;
	call->internal_allowed = flags & FLAG_INTERNAL;
	call->payload_encoding = flags & FLAG_PAYLOAD_MSGPACK ? HOST_MSGPACK : HOST_JSON;
	call->reply_encoding = flags & FLAG_REPLY_MSGPACK ? HOST_MSGPACK : HOST_JSON;
}

/* Lengths first, then the bytes of all. */
static void read_texts(struct reader *in, struct shard_call *call, struct slice *roles)
{
	struct slice *const texts[TEXTS_OF_CALL] = {&call->address, &call->name, &call->token,
	    &call->metadata, &call->cursor, &call->caller.kind, &call->caller.name};
	for (size_t i = 0; i < TEXTS_OF_CALL; i++)
		texts[i]->bytes = read_up_to(in, text_bytes_max[i]);
	size_t role_count = read_up_to(in, FORWARD_ROLES_MAX);
	for (size_t i = 0; i < role_count; i++)
		roles[i].bytes = read_up_to(in, FORWARD_WORD_BYTES_MAX);
	for (size_t i = 0; i < TEXTS_OF_CALL; i++)
		*texts[i] = reader_slice(in, texts[i]->bytes);
	for (size_t i = 0; i < role_count; i++)
		roles[i] = reader_slice(in, roles[i].bytes);
	call->caller.roles = roles;
	call->caller.role_count = role_count;
}

int forward_call_read(struct slice bytes, uint32_t shard_count, struct forward_numbers *ret_numbers,
    struct shard_call *ret_call, struct slice *ret_roles)
{
	struct reader in;
	struct forward_numbers numbers = {0};
	struct shard_call call = {0};
	int error = open_message(bytes, &in);
	if (error)
		return error;
	read_numbers(&in, &numbers);
	call.shard = (uint32_t)read_up_to(&in, UINT32_MAX);
	uint8_t kind = reader_u8(&in);
	set_flags(&call, read_flags(&in, FLAGS_OF_CALL));
	call.order = reader_varint(&in);
	call.term = reader_varint(&in);
	call.at_revision = reader_varint(&in);
	call.count = (uint32_t)read_up_to(&in, UINT32_MAX);
	numbers.until_ms = reader_varint(&in);
	read_texts(&in, &call, ret_roles);
	call.payload = reader_rest(&in);
	if (in.failed || kind > SHARD_COUNT || call.payload.bytes > PAYLOAD_BYTES_MAX ||
	    (!call.has_payload && call.payload.bytes > 0))
		return ERR_PROTOCOL;
	call.kind = (enum shard_call_kind)kind;
	if (!address_fits(&call, shard_count))
		return ERR_PROTOCOL;
	*ret_numbers = numbers;
	*ret_call = call;
	return 0;
}

/* ---- DIRECTORY ---- */

enum { TEXTS_OF_REQUEST = 4 };

static struct slice text_of(const char *text, size_t bytes_max)
{
	return slice_of(text, strnlen(text, bytes_max));
}

static void write_node(struct writer *out, const struct cluster_node *node)
{
	writer_varint(out, node->node);
	writer_varint(out, node->incarnation);
	writer_varint(out, node->cores);
	writer_varint(out, node->stores);
	writer_varint(out, node->port);
	writer_varint(out, node->peer_port);
	writer_varint(out, node->cluster_port);
	writer_varint_slice(out, text_of(node->host, CLUSTER_HOST_BYTES - 1));
	writer_varint_slice(out, text_of(node->zone, CLUSTER_ZONE_BYTES - 1));
}

/* What stands behind the texts and types of every request. */
static void write_change(struct writer *out, const struct meta_request *request)
{
	write_node(out, &request->node);
	writer_varint(out, request->shard);
	writer_varint(out, request->expected_generation);
	writer_varint(out, request->replication_factor);
	writer_varint(out, request->wanted_count);
	for (size_t i = 0; i < request->wanted_count; i++)
		writer_varint(
		    out, (uint32_t)request->wanted[i].node << 1 | request->wanted[i].voter);
}

/* How much room is enough; 0: it is more than a reader would take. */
static size_t request_bytes(
    const struct meta_request *request, const struct slice texts[TEXTS_OF_REQUEST])
{
	size_t bytes = (32 + TEXTS_OF_REQUEST + request->drop_count + request->wanted_count) *
	                   VARINT_BYTES_MAX +
	               CLUSTER_HOST_BYTES + CLUSTER_ZONE_BYTES;
	if (request->drop_count > DROPPED_TYPES_MAX || request->bundle.bytes > BUNDLE_BYTES_MAX ||
	    request->wanted_count > CLUSTER_REPLICAS_MAX)
		return 0;
	for (size_t i = 0; i < TEXTS_OF_REQUEST; i++) {
		if (texts[i].bytes > FORWARD_WORD_BYTES_MAX)
			return 0;
		bytes += texts[i].bytes;
	}
	for (size_t i = 0; i < request->drop_count; i++) {
		if (request->drop[i].bytes > NAME_BYTES_MAX)
			return 0;
		bytes += request->drop[i].bytes;
	}
	return bytes;
}

int forward_directory_write(
    struct buffer *head, const struct forward_numbers *numbers, const struct meta_request *request)
{
	const struct slice texts[TEXTS_OF_REQUEST] = {
	    request->app, request->hash, request->expected, request->user};
	size_t bytes = request_bytes(request, texts);
	uint8_t *room;
	if (bytes == 0)
		return ERR_TOO_LARGE;
	int error = buffer_reserve(head, bytes, &room);
	if (error)
		return error;
	struct writer out = writer_of(room, bytes);
	writer_u8(&out, FORWARD_VERSION);
	write_numbers(&out, numbers);
	writer_u8(&out, (uint8_t)request->verb);
	writer_u8(&out,
	    (uint8_t)((request->dry_run ? FLAG_DRY_RUN : 0) | (request->force ? FLAG_FORCE : 0) |
	              (request->damaged ? FLAG_DAMAGED : 0) |
	              (request->unproved ? FLAG_UNPROVED : 0)));
	for (size_t i = 0; i < TEXTS_OF_REQUEST; i++)
		writer_varint_slice(&out, texts[i]);
	writer_varint(&out, request->drop_count);
	for (size_t i = 0; i < request->drop_count; i++)
		writer_varint_slice(&out, request->drop[i]);
	write_change(&out, request);
	ASSERT(!out.failed);
	buffer_commit(head, writer_used(&out));
	return 0;
}

static struct slice read_text(struct reader *in, size_t bytes_max)
{
	struct slice text = reader_varint_slice(in);
	if (text.bytes > bytes_max)
		reader_fail(in);
	return text;
}

/* A text without zeros, into `to`, which is zeroed and larger. */
static void read_name(struct reader *in, char *to, size_t bytes_max)
{
	struct slice text = read_text(in, bytes_max);
	if (in->failed || text.bytes == 0)
		return;
	if (memchr(text.data, 0, text.bytes))
		reader_fail(in);
	else
		memcpy(to, text.data, text.bytes);
}

static void read_node(struct reader *in, struct cluster_node *node)
{
	node->node = (uint16_t)read_up_to(in, CLUSTER_NODE_MAX);
	node->incarnation = reader_varint(in);
	node->cores = (uint16_t)read_up_to(in, UINT16_MAX);
	node->stores = (uint16_t)read_up_to(in, UINT16_MAX);
	node->port = (uint16_t)read_up_to(in, UINT16_MAX);
	node->peer_port = (uint16_t)read_up_to(in, UINT16_MAX);
	node->cluster_port = (uint16_t)read_up_to(in, UINT16_MAX);
	read_name(in, node->host, CLUSTER_HOST_BYTES - 1);
	read_name(in, node->zone, CLUSTER_ZONE_BYTES - 1);
}

static void read_change(
    struct reader *in, struct meta_request *request, struct meta_wanted *ret_wanted)
{
	read_node(in, &request->node);
	request->shard = (uint32_t)read_up_to(in, UINT32_MAX);
	request->expected_generation = reader_varint(in);
	request->replication_factor = (uint32_t)read_up_to(in, UINT32_MAX);
	request->wanted = ret_wanted;
	request->wanted_count = read_up_to(in, CLUSTER_REPLICAS_MAX);
	for (size_t i = 0; i < request->wanted_count; i++) {
		uint64_t value = read_up_to(in, (CLUSTER_NODE_MAX << 1) + 1);
		ret_wanted[i] =
		    (struct meta_wanted){.node = (uint16_t)(value >> 1), .voter = value & 1};
	}
}

int forward_directory_read(struct slice bytes, struct forward_numbers *ret_numbers,
    struct meta_request *ret_request, struct slice *ret_drop, struct meta_wanted *ret_wanted)
{
	struct reader in;
	struct forward_numbers numbers = {0};
	struct meta_request request = {0};
	int error = open_message(bytes, &in);
	if (error)
		return error;
	read_numbers(&in, &numbers);
	uint8_t verb = reader_u8(&in);
	uint8_t flags = read_flags(&in, FLAG_DRY_RUN | FLAG_FORCE | FLAG_DAMAGED | FLAG_UNPROVED);
	request.dry_run = flags & FLAG_DRY_RUN;
	request.force = flags & FLAG_FORCE;
	request.damaged = flags & FLAG_DAMAGED;
	request.unproved = flags & FLAG_UNPROVED;
	request.app = read_text(&in, FORWARD_WORD_BYTES_MAX);
	request.hash = read_text(&in, FORWARD_WORD_BYTES_MAX);
	request.expected = read_text(&in, FORWARD_WORD_BYTES_MAX);
	request.user = read_text(&in, FORWARD_WORD_BYTES_MAX);
	request.drop = ret_drop;
	request.drop_count = read_up_to(&in, DROPPED_TYPES_MAX);
	for (size_t i = 0; i < request.drop_count; i++)
		ret_drop[i] = read_text(&in, NAME_BYTES_MAX);
	read_change(&in, &request, ret_wanted);
	request.bundle = reader_rest(&in);
	if (in.failed || verb > META_VERB_LAST || request.bundle.bytes > BUNDLE_BYTES_MAX)
		return ERR_PROTOCOL;
	request.verb = (enum meta_verb)verb;
	*ret_numbers = numbers;
	*ret_request = request;
	return 0;
}

/* ---- Answers ---- */

void forward_reply_write(struct forward_message *message, const struct forward_reply *reply)
{
	struct writer head = begin(message);
	writer_varint(&head, reply->id);
	writer_u8(&head, (uint8_t)reply->status);
	writer_u8(&head, (uint8_t)((reply->has_reply ? FLAG_HAS_REPLY : 0) |
	                           (reply->counted_all ? FLAG_COUNTED_ALL : 0) |
	                           (reply->not_query ? FLAG_NOT_QUERY : 0)));
	writer_varint(&head, reply->took_ns);
	writer_varint(&head, reply->counted);
	writer_varint_slice(&head, reply->reference);
	writer_varint(&head, reply->details.bytes);
	end_head(message, &head);
	add_bytes(message, reply->details);
	add_bytes(message, reply->reply);
}

int forward_reply_read(struct slice bytes, struct forward_reply *ret_reply)
{
	struct reader in;
	struct forward_reply reply = {0};
	int error = open_message(bytes, &in);
	if (error)
		return error;
	reply.id = reader_varint(&in);
	uint8_t status = reader_u8(&in);
	uint8_t flags = read_flags(&in, FLAG_HAS_REPLY | FLAG_COUNTED_ALL | FLAG_NOT_QUERY);
	reply.has_reply = flags & FLAG_HAS_REPLY;
	reply.counted_all = flags & FLAG_COUNTED_ALL;
	reply.not_query = flags & FLAG_NOT_QUERY;
	reply.took_ns = reader_varint(&in);
	reply.counted = reader_varint(&in);
	reply.reference = read_text(&in, sizeof(((struct shard_call *)0)->reference) - 1);
	reply.details = reader_slice(&in, read_up_to(&in, FORWARD_DETAILS_BYTES_MAX));
	reply.reply = reader_rest(&in);
	if (in.failed || reply.id == 0 || status > STATUS_UNKNOWN_OUTCOME ||
	    reply.reply.bytes > FORWARD_PART_BYTES_MAX)
		return ERR_PROTOCOL;
	reply.status = (enum status)status;
	*ret_reply = reply;
	return 0;
}

void forward_part_write(struct forward_message *message, uint64_t id, struct slice part)
{
	struct writer head = begin(message);
	writer_varint(&head, id);
	end_head(message, &head);
	add_bytes(message, part);
}

int forward_part_read(struct slice bytes, uint64_t *ret_id, struct slice *ret_part)
{
	struct reader in;
	int error = open_message(bytes, &in);
	if (error)
		return error;
	uint64_t id = reader_varint(&in);
	struct slice part = reader_rest(&in);
	if (in.failed || id == 0 || part.bytes == 0 || part.bytes > FORWARD_PART_BYTES_MAX)
		return ERR_PROTOCOL;
	*ret_id = id;
	*ret_part = part;
	return 0;
}

static uint64_t read_term(struct reader *in)
{
	return read_up_to(in, (UINT64_C(1) << (64 - CLUSTER_NODE_BITS)) - 1);
}

void forward_refusal_write(struct forward_message *message, const struct forward_refusal *refusal)
{
	struct writer head = begin(message);
	writer_varint(&head, refusal->id);
	writer_varint(&head, refusal->term);
	writer_varint(&head, (uint64_t)refusal->node << 1 | refusal->was_read);
	end_head(message, &head);
}

int forward_refusal_read(struct slice bytes, struct forward_refusal *ret_refusal)
{
	struct reader in;
	struct forward_refusal refusal = {0};
	int error = open_message(bytes, &in);
	if (error)
		return error;
	refusal.id = reader_varint(&in);
	refusal.term = read_term(&in);
	uint64_t node = read_up_to(&in, CLUSTER_NODE_MAX * 2 + 1);
	refusal.node = (uint16_t)(node >> 1);
	refusal.was_read = node & 1;
	if (!reader_finished(&in) || refusal.id == 0)
		return ERR_PROTOCOL;
	*ret_refusal = refusal;
	return 0;
}

/* ---- NEWS ---- */

void forward_news_begin(struct writer *writer)
{
	writer_u8(writer, FORWARD_VERSION);
}

void forward_news_add(struct writer *writer, const struct forward_news *news)
{
	writer_varint(writer, news->shard);
	writer_varint(writer, news->term << 1 | news->leads);
}

static struct forward_news read_news(struct reader *reader)
{
	struct forward_news news = {0};
	news.shard = (uint32_t)read_up_to(reader, UINT32_MAX);
	uint64_t value = reader_varint(reader);
	news.term = value >> 1;
	news.leads = value & 1;
	return news;
}

int forward_news_read(struct slice bytes, uint32_t shard_count, struct reader *ret_reader)
{
	struct reader in;
	int error = open_message(bytes, &in);
	if (error)
		return error;
	struct reader first = in;
	while (reader_left(&in) > 0) {
		struct forward_news news = read_news(&in);
		if (in.failed || news.shard > shard_count ||
		    news.term >> (64 - CLUSTER_NODE_BITS) != 0)
			return ERR_PROTOCOL;
	}
	if (in.failed)
		return ERR_PROTOCOL;
	*ret_reader = first;
	return 0;
}

bool forward_news_next(struct reader *reader, struct forward_news *ret_news)
{
	if (reader_left(reader) == 0)
		return false;
	*ret_news = read_news(reader);
	ASSERT(!reader->failed);
	return true;
}
