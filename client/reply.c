/* Replies: from the bytes of the wire to texts that the caller keeps. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "base/wire/json.h"
#include "client/client.h"

const char *kalix_error_name(int code)
{
	return status_name((enum status)code);
}

/* The numbers are those of base/status.h. */
#define X(name, number, http, by_handlers)                                                         \
	_Static_assert((int)KALIX_##name == (int)STATUS_##name, #name);
STATUS_LIST(X)
#undef X

static const char *text_of(const struct buffer *buffer)
{
	return buffer_bytes(buffer) ? (const char *)buffer_view(buffer).data : "";
}

const char *kalix_reply_json(const kalix_reply *reply)
{
	return reply ? text_of(&reply->json) : "";
}

size_t kalix_reply_json_bytes(const kalix_reply *reply)
{
	return reply && buffer_bytes(&reply->json) ? buffer_bytes(&reply->json) - 1 : 0;
}

const char *kalix_reply_message(const kalix_reply *reply)
{
	return reply ? text_of(&reply->message) : "";
}

const char *kalix_reply_details(const kalix_reply *reply)
{
	return reply ? text_of(&reply->details) : "";
}

void kalix_reply_free(kalix_reply *reply)
{
	if (!reply)
		return;
	buffer_done(&reply->json);
	buffer_done(&reply->message);
	buffer_done(&reply->details);
	mem_free(reply);
}

static int set_text(struct buffer *buffer, struct slice text)
{
	int error = buffer_append_slice(buffer, text);
	return error ? error : buffer_append_u8(buffer, 0);
}

static struct kalix_reply *reply_empty(int code)
{
	struct kalix_reply *reply = mem_zalloc(1, sizeof(*reply));
	if (!reply)
		return NULL;
	reply->code = code;
	buffer_init(&reply->json, CLIENT_REPLY_BYTES_MAX);
	buffer_init(&reply->message, CLIENT_REPLY_BYTES_MAX);
	buffer_init(&reply->details, CLIENT_REPLY_BYTES_MAX);
	return reply;
}

struct kalix_reply *reply_new(int code, const char *message)
{
	struct kalix_reply *reply = reply_empty(code);
	if (reply && set_text(&reply->message, slice_from_text(message))) {
		kalix_reply_free(reply);
		return NULL;
	}
	return reply;
}

/* "-CODE message<TAB>details". A word that is no code of ours is Redis's: -NOAUTH and the like. */
static int code_of(struct slice word)
{
	static const struct {
		const char *word;
		int code;
	} redis[] = {{"NOAUTH", KALIX_UNAUTHENTICATED}, {"WRONGPASS", KALIX_UNAUTHENTICATED},
	    {"NOPERM", KALIX_PERMISSION_DENIED}, {"MOVED", KALIX_UNAVAILABLE},
	    {"CLUSTERDOWN", KALIX_UNAVAILABLE}, {"TRYAGAIN", KALIX_UNAVAILABLE},
	    {"ERR", KALIX_INVALID_ARGUMENT}};
	enum status status;
	if (status_find(word, &status) == 0)
		return (int)status;
	for (size_t i = 0; i < sizeof(redis) / sizeof(redis[0]); i++)
		if (slice_equal(word, slice_from_text(redis[i].word)))
			return redis[i].code;
	return KALIX_INTERNAL;
}

static int read_error(struct kalix_reply *reply, struct slice text)
{
	const uint8_t *space = text.bytes ? memchr(text.data, ' ', text.bytes) : NULL;
	size_t word = space ? (size_t)(space - text.data) : text.bytes;
	reply->code = code_of(slice_of(text.data, word));
	size_t skip = space ? word + 1 : word;
	struct slice rest = slice_of(text.data + skip, text.bytes - skip);
	const uint8_t *tab = rest.bytes ? memchr(rest.data, '\t', rest.bytes) : NULL;
	size_t message = tab ? (size_t)(tab - rest.data) : rest.bytes;
	int error = set_text(&reply->message, slice_of(rest.data, message));
	if (!error && tab)
		error = set_text(&reply->details, slice_of(tab + 1, rest.bytes - message - 1));
	return error;
}

/* Replies of plain commands, for people and tools: as JSON. */
struct open_aggregate {
	uint32_t left;
	bool is_map;
};

static void write_item(struct json_writer *json, const struct resp_item *item, bool as_key)
{
	char text[32];
	switch (item->type) {
	case RESP_INTEGER:
		if (as_key) {
			snprintf(text, sizeof(text), "%lld", (long long)item->integer);
			json_write_key(json, slice_from_text(text));
		} else {
			json_write_integer(json, item->integer);
		}
		return;
	case RESP_DOUBLE:
		json_write_double(json, item->number);
		return;
	case RESP_BOOLEAN:
		json_write_boolean(json, item->boolean);
		return;
	case RESP_NULL:
		json_write_null(json);
		return;
	case RESP_SIMPLE:
	case RESP_ERROR:
	case RESP_BULK:
	case RESP_VERBATIM:
	case RESP_BIG_NUMBER:
		if (as_key)
			json_write_key(json, item->text);
		else
			json_write_string(json, item->text);
		return;
	case RESP_ARRAY:
	case RESP_SET:
	case RESP_PUSH:
	case RESP_MAP:
		return; /* not a scalar */
	}
}

/* What JSON has no keys of is no key of a map that a server sends, either. */
static bool may_be_key(const struct resp_item *item)
{
	return item->type == RESP_INTEGER || item->type == RESP_SIMPLE || item->type == RESP_BULK ||
	       item->type == RESP_VERBATIM || item->type == RESP_BIG_NUMBER;
}

static bool is_aggregate(const struct resp_item *item)
{
	return item->type == RESP_ARRAY || item->type == RESP_SET || item->type == RESP_PUSH ||
	       item->type == RESP_MAP;
}

static void close_full(struct json_writer *json, struct open_aggregate *open, unsigned *depth)
{
	while (*depth > 0 && open[*depth - 1].left == 0) {
		if (open[*depth - 1].is_map)
			json_write_object_end(json);
		else
			json_write_array_end(json);
		(*depth)--;
	}
}

static int read_tree(struct kalix_reply *reply, struct resp_reader *reader, struct resp_item item)
{
	struct open_aggregate open[JSON_DEPTH_MAX];
	struct json_writer json;
	unsigned depth = 0;
	json_writer_init(&json, &reply->json);
	for (;;) {
		bool as_key = depth > 0 && open[depth - 1].is_map && open[depth - 1].left % 2 == 0;
		if (depth > 0)
			open[depth - 1].left--;
		if (as_key && !may_be_key(&item))
			return ERR_PROTOCOL;
		if (is_aggregate(&item)) {
			if (depth == JSON_DEPTH_MAX || item.count > UINT32_MAX / 2)
				return ERR_DEPTH;
			bool is_map = item.type == RESP_MAP;
			if (is_map)
				json_write_object_begin(&json);
			else
				json_write_array_begin(&json);
			open[depth++] = (struct open_aggregate){
			    .left = is_map ? item.count * 2 : item.count, .is_map = is_map};
		} else {
			write_item(&json, &item, as_key);
		}
		close_full(&json, open, &depth);
		if (depth == 0)
			break;
		int error = resp_reader_next(reader, &item);
		if (error)
			return error;
	}
	int error = json_writer_finish(&json);
	return error ? error : buffer_append_u8(&reply->json, 0);
}

static int read_reply(struct kalix_reply *reply, struct slice wire)
{
	struct resp_reader reader;
	struct resp_item item;
	char text[32];
	resp_reader_init(&reader, CLIENT_REPLY_BYTES_MAX, RESP_DEPTH_MAX);
	resp_reader_feed(&reader, wire);
	int error = resp_reader_next(&reader, &item);
	if (error)
		return error;
	switch (item.type) {
	case RESP_ERROR:
		return read_error(reply, item.text);
	case RESP_SIMPLE:
	case RESP_BULK:
	case RESP_VERBATIM:
	case RESP_BIG_NUMBER:
		return set_text(&reply->json, item.text);
	case RESP_NULL:
		return set_text(&reply->json, slice_from_text("null"));
	case RESP_INTEGER:
		snprintf(text, sizeof(text), "%lld", (long long)item.integer);
		return set_text(&reply->json, slice_from_text(text));
	case RESP_DOUBLE:
	case RESP_BOOLEAN:
	case RESP_ARRAY:
	case RESP_SET:
	case RESP_PUSH:
	case RESP_MAP:
		return read_tree(reply, &reader, item);
	}
	return ERR_PROTOCOL;
}

struct kalix_reply *reply_read(struct slice wire)
{
	struct kalix_reply *reply = reply_empty(KALIX_OK);
	if (!reply)
		return NULL;
	int error = read_reply(reply, wire);
	if (error == 0)
		return reply;
	kalix_reply_free(reply);
	if (error == ERR_NOMEM)
		return NULL;
	return reply_new(KALIX_INTERNAL, "the reply could not be read");
}

bool reply_moved(struct slice error, uint16_t *ret_slot, struct slice *ret_target)
{
	static const char word[] = "MOVED ";
	size_t at = sizeof(word) - 1;
	unsigned slot = 0;
	if (error.bytes < at || memcmp(error.data, word, at) != 0)
		return false;
	size_t digits = at;
	while (
	    at < error.bytes && error.data[at] >= '0' && error.data[at] <= '9' && slot < SLOT_COUNT)
		slot = slot * 10 + (unsigned)(error.data[at++] - '0');
	if (at == digits || slot >= SLOT_COUNT || at >= error.bytes || error.data[at] != ' ')
		return false;
	*ret_slot = (uint16_t)slot;
	*ret_target = slice_of(error.data + at + 1, error.bytes - at - 1);
	return true;
}
