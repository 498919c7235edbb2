/* ADMIN ENTITY: one entity from its shard, or the addresses of a type from all shards in turn. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire/address.h"
#include "base/wire/json_reader.h"
#include "base/wire/json_writer.h"
#include "server/gate/admin.h"
#include "server/gate/calls.h"

enum {
	COUNT_DEFAULT = 100,
	COUNT_MAX = 1000,
	CURSOR_BYTES_MAX_ADMIN = 2048,
	LIST_BYTES_MAX = 4 * 1024 * 1024,
	TIMEOUT_MS = 30000,
};

struct entity_work {
	struct reply reply;
	struct shard_call shard;
	enum resp_protocol protocol;
	/* Of LIST. */
	struct buffer out; /* {"addresses":[... as far as it goes */
	uint32_t left;     /* addresses */
	uint32_t found;
	int error;
	char cursor[CURSOR_BYTES_MAX_ADMIN + 32];
	size_t bytes;
	uint8_t data[];
};

static const char usage[] =
    "ADMIN ENTITY GET address [REVISION n] [AS json|msgpack] | "
    "HISTORY address [CURSOR c] [COUNT n] [AS json|msgpack] | LIST type [CURSOR c] [COUNT n]";

static void entity_write(struct reply *reply, struct resp_writer *writer)
{
	struct entity_work *work = CONTAINER_OF(reply, struct entity_work, reply);
	writer->protocol = work->protocol;
	if (work->shard.kind == SHARD_ENTITIES && work->shard.status == STATUS_OK)
		admin_write_json(reply->session, writer, &work->out, work->error);
	else
		shard_call_write(reply->session, writer, &work->shard, ENCODING_JSON);
}

static void entity_free(struct reply *reply)
{
	struct entity_work *work = CONTAINER_OF(reply, struct entity_work, reply);
	buffer_done(&work->shard.reply);
	buffer_done(&work->shard.details);
	buffer_done(&work->out);
	mem_free(work);
}

static void entity_end(struct entity_work *work)
{
	work->reply.session->gate->figures.calls_under_way--;
	reply_ready(&work->reply, work->bytes + work->shard.reply.capacity +
	                              work->shard.details.capacity + work->out.capacity);
}

static void entity_done(struct shard_call *shard)
{
	entity_end(CONTAINER_OF(shard, struct entity_work, shard));
}

/* ---- LIST ---- */

/* Takes the addresses of one shard's answer over; *ret_cursor is where that shard goes on. */
static int list_take(struct entity_work *work, struct buffer *scratch, struct slice *ret_cursor)
{
	struct json_reader reader;
	enum json_token token;
	struct slice answer = buffer_view(&work->shard.reply);
	json_reader_init(&reader, answer, scratch, 2);
	*ret_cursor = slice_of(NULL, 0);
	int error = json_next(&reader, &token);
	while (!error && (error = json_next(&reader, &token)) == 0 && token == JSON_KEY) {
		bool is_cursor = slice_equal(reader.text, slice_from_text("cursor"));
		bool is_list = slice_equal(reader.text, slice_from_text("addresses"));
		if ((error = json_next(&reader, &token)))
			break;
		if (is_cursor && token == JSON_STRING) {
			/* The scratch buffer keeps it only until the next string. */
			if (reader.text.bytes > CURSOR_BYTES_MAX_ADMIN)
				return ERR_TOO_LARGE;
			memcpy(work->cursor, reader.text.data, reader.text.bytes);
			*ret_cursor = slice_of(work->cursor, reader.text.bytes);
			continue;
		}
		while (is_list && !error && (error = json_next(&reader, &token)) == 0 &&
		       token == JSON_STRING) {
			size_t from = json_token_offset(&reader);
			error = work->found++ ? buffer_append_u8(&work->out, ',') : 0;
			if (!error)
				error = buffer_append(
				    &work->out, answer.data + from, json_offset(&reader) - from);
			if (work->left > 0)
				work->left--;
		}
	}
	return error;
}

static void list_finish(struct entity_work *work, uint32_t shard, struct slice cursor)
{
	struct json_writer writer;
	char head[16];
	int error = buffer_append_u8(&work->out, ']');
	if (!error && shard <= work->reply.session->gate->config->shards) {
		int bytes = snprintf(head, sizeof(head), "%" PRIu32 ":", shard);
		memmove(work->cursor + bytes, cursor.data ? cursor.data : (const uint8_t *)"",
		    cursor.bytes);
		memcpy(work->cursor, head, (size_t)bytes);
		error = buffer_append_text(&work->out, ",\"cursor\":");
		json_writer_init(&writer, &work->out);
		json_write_string(&writer, slice_of(work->cursor, (size_t)bytes + cursor.bytes));
		int written = json_writer_finish(&writer);
		error = error ? error : written;
	}
	if (!error)
		error = buffer_append_u8(&work->out, '}');
	work->error = error;
	entity_end(work);
}

static void list_ask(struct entity_work *work, uint32_t shard, struct slice cursor)
{
	buffer_done(&work->shard.reply);
	buffer_done(&work->shard.details);
	work->shard.shard = shard;
	work->shard.count = work->left;
	work->shard.cursor = cursor;
	shards_submit(work->reply.session->gate->shards, &work->shard);
}

static void list_done(struct shard_call *call)
{
	struct entity_work *work = CONTAINER_OF(call, struct entity_work, shard);
	struct slice cursor;
	struct buffer scratch;
	uint32_t shards = work->reply.session->gate->config->shards;
	if (call->status != STATUS_OK) {
		entity_end(work);
		return;
	}
	buffer_init(&scratch, LIST_BYTES_MAX);
	int error = work->error ? work->error : list_take(work, &scratch, &cursor);
	buffer_done(&scratch);
	if (error) {
		work->error = error;
		entity_end(work);
		return;
	}
	uint32_t next = cursor.bytes ? call->shard : call->shard + 1;
	if (work->left == 0 || next > shards)
		list_finish(work, next, cursor);
	else
		list_ask(work, next, cursor);
}

/* "SHARD:cursor of that shard". */
static bool parse_list_cursor(
    struct slice text, uint32_t shards, uint32_t *ret_shard, struct slice *ret_cursor)
{
	const uint8_t *colon = text.bytes ? memchr(text.data, ':', text.bytes) : NULL;
	int64_t shard;
	if (text.bytes == 0) {
		*ret_shard = 1;
		*ret_cursor = text;
		return true;
	}
	if (!colon ||
	    !word_integer(slice_of(text.data, (size_t)(colon - text.data)), 1, shards, &shard))
		return false;
	*ret_shard = (uint32_t)shard;
	*ret_cursor = slice_of(colon + 1, text.bytes - (size_t)(colon - text.data) - 1);
	return true;
}

/* ---- All of them ---- */

struct entity_words {
	enum shard_call_kind kind;
	struct slice subject, cursor;
	int64_t count, revision;
	enum host_encoding stored; /* how states and events are shown */
};

static bool parse(const struct slice *args, uint32_t count, struct entity_words *words)
{
	*words = (struct entity_words){.count = COUNT_DEFAULT};
	if (count < 4 || count % 2 != 0)
		return false;
	if (word_is(args[2], "get"))
		words->kind = SHARD_GET;
	else if (word_is(args[2], "history"))
		words->kind = SHARD_HISTORY;
	else if (word_is(args[2], "list"))
		words->kind = SHARD_ENTITIES;
	else
		return false;
	words->subject = args[3];
	for (uint32_t i = 4; i < count; i += 2) {
		bool one = words->kind == SHARD_GET;
		if (one && word_is(args[i], "revision")) {
			if (!word_integer(args[i + 1], 1, INT64_MAX, &words->revision))
				return false;
		} else if (words->kind != SHARD_ENTITIES && word_is(args[i], "as")) {
			bool raw = word_is(args[i + 1], "msgpack");
			if (!raw && !word_is(args[i + 1], "json"))
				return false;
			words->stored = raw ? HOST_MSGPACK : HOST_JSON;
		} else if (!one && word_is(args[i], "count")) {
			if (!word_integer(args[i + 1], 1, COUNT_MAX, &words->count))
				return false;
		} else if (!one && word_is(args[i], "cursor")) {
			words->cursor = args[i + 1];
			if (words->cursor.bytes > CURSOR_BYTES_MAX_ADMIN)
				return false;
		} else {
			return false;
		}
	}
	return true;
}

static struct entity_work *work_new(struct session *session, const struct entity_words *words)
{
	size_t bytes = sizeof(struct entity_work) + words->subject.bytes + words->cursor.bytes;
	struct entity_work *work = mem_alloc(bytes);
	if (!work)
		return NULL;
	memset(work, 0, sizeof(*work));
	work->bytes = bytes;
	work->protocol = session->protocol;
	work->left = (uint32_t)words->count;
	work->reply = (struct reply){.bytes = bytes, .write = entity_write, .free = entity_free};
	buffer_init(&work->out, LIST_BYTES_MAX);
	memcpy(work->data, words->subject.data, words->subject.bytes);
	if (words->cursor.bytes)
		memcpy(work->data + words->subject.bytes, words->cursor.data, words->cursor.bytes);
	struct shard_call *shard = &work->shard;
	shard->kind = words->kind;
	shard->address = slice_of(work->data, words->subject.bytes);
	shard->cursor = slice_of(work->data + words->subject.bytes, words->cursor.bytes);
	shard->count = work->left;
	shard->at_revision = (uint64_t)words->revision;
	shard->reply_encoding = words->stored;
	shard->internal_allowed = true;
	shard->caller = caller_of(session);
	shard->order = session->id;
	shard->deadline_ns = io_now_ns(session->gate->io) + TIMEOUT_MS * NS_PER_MS;
	shard->done = words->kind == SHARD_ENTITIES ? list_done : entity_done;
	return work;
}

void admin_entity(struct session *session, const struct slice *args, uint32_t count)
{
	struct gate *gate = session->gate;
	struct entity_words words;
	struct address address;
	const char *why = usage;
	uint32_t first = 1;
	bool good = parse(args, count, &words);
	if (good && words.kind == SHARD_ENTITIES) {
		good = name_valid(words.subject) &&
		       parse_list_cursor(words.cursor, gate->config->shards, &first, &words.cursor);
		why = "expected a type and a cursor that an earlier answer gave";
	} else if (good) {
		good = address_parse(words.subject, &address, &why) == 0;
	}
	if (!good) {
		admin_usage(session, why);
		return;
	}
	struct entity_work *work = work_new(session, &words);
	if (!work) {
		admin_no_memory(session);
		return;
	}
	gate->figures.calls_under_way++;
	reply_wait(session, &work->reply);
	if (words.kind != SHARD_ENTITIES) {
		shards_submit(gate->shards, &work->shard);
		return;
	}
	work->error = buffer_append_text(&work->out, "{\"addresses\":[");
	list_ask(work, first, work->shard.cursor);
}
