/* What requests are answered: compact JSON, keys sorted. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/wire/json.h"
#include "base/wire/utf8.h"
#include "server/meta/meta_parts.h"

#define MESSAGE_BYTES_MAX 1024

enum { PENDING_NAMED_MAX = 64 };

void meta_refuse(struct meta_request *request, enum status status, const char *format, ...)
{
	char text[MESSAGE_BYTES_MAX];
	va_list arguments;
	va_start(arguments, format);
	int length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	request->status = status;
	buffer_clear(&request->reply);
	if (length < 0)
		return;
	struct slice whole = slice_from_text(text);
	/* A message that finds no memory is left out; the status says enough. */
	if (buffer_append(&request->reply, text, utf8_cut(whole, whole.bytes)))
		buffer_clear(&request->reply);
}

void meta_refuse_full(struct meta *meta)
{
	struct engine_figures figures = engine_figures(group_store_engine(meta->options.store));
	meta_refuse(meta->work.request, STATUS_RESOURCE_EXHAUSTED,
	    "the disk is full: %llu MiB are free, and %llu MiB have to stay free; free space, and "
	    "deploy again: nothing was changed",
	    (unsigned long long)(figures.free_bytes / MIB),
	    (unsigned long long)(figures.reserve_bytes / MIB));
}

static void text_member(struct json_writer *writer, const char *key, const char *text)
{
	json_write_key(writer, slice_from_text(key));
	json_write_string(writer, slice_from_text(text));
}

static void write_diagnostics(struct json_writer *writer,
    const struct host_diagnostics *diagnostics, enum host_severity severity)
{
	json_write_array_begin(writer);
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct host_diagnostic *item = &diagnostics->items[i];
		if (item->severity != severity)
			continue;
		json_write_object_begin(writer);
		text_member(writer, "file", item->file);
		json_write_key(writer, slice_from_text("line"));
		json_write_integer(writer, item->line);
		text_member(writer, "text", item->text);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

void meta_refuse_diagnosed(
    struct meta_request *request, const char *what, const struct host_diagnostics *diagnostics)
{
	struct json_writer writer;
	const struct host_diagnostic *first = NULL;
	for (size_t i = 0; i < diagnostics->count && !first; i++)
		if (diagnostics->items[i].severity == HOST_ERROR)
			first = &diagnostics->items[i];
	if (!first)
		meta_refuse(request, STATUS_INVALID_ARGUMENT, "%s", what);
	else if (first->file[0])
		meta_refuse(request, STATUS_INVALID_ARGUMENT, "%s: %s:%u: %s", what, first->file,
		    first->line, first->text);
	else
		meta_refuse(request, STATUS_INVALID_ARGUMENT, "%s: %s", what, first->text);
	json_writer_init(&writer, &request->details);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("diagnostics"));
	write_diagnostics(&writer, diagnostics, HOST_ERROR);
	json_write_object_end(&writer);
	if (json_writer_finish(&writer))
		buffer_clear(&request->details);
}

static void finish(struct meta_request *request, struct json_writer *writer)
{
	int error = json_writer_finish(writer);
	if (error)
		meta_refuse(request, status_from_error(error), "the answer could not be made (%s)",
		    error_text(error));
}

void meta_answer_list(struct meta *meta, struct meta_request *request)
{
	struct json_writer writer;
	json_writer_init(&writer, &request->reply);
	json_write_array_begin(&writer);
	for (size_t i = 0; i < meta->apps.count; i++)
		meta_app_json(meta->apps.items[i], &writer);
	json_write_array_end(&writer);
	finish(request, &writer);
}

static void write_lines(struct json_writer *writer, struct slice text)
{
	json_write_array_begin(writer);
	while (text.bytes) {
		const uint8_t *end = memchr(text.data, '\n', text.bytes);
		size_t bytes = end ? (size_t)(end - text.data) : text.bytes;
		if (bytes)
			json_write_string(writer, slice_of(text.data, bytes));
		size_t taken = end ? bytes + 1 : bytes;
		text = slice_of(text.data + taken, text.bytes - taken);
	}
	json_write_array_end(writer);
}

/* Those that are not known to have it. */
static void write_pending(const struct meta_work *work, uint32_t shards, struct json_writer *writer)
{
	uint32_t count = 0;
	json_write_key(writer, slice_from_text("pending_shards"));
	json_write_array_begin(writer);
	for (uint32_t shard = 1; shard <= shards && work->pending > 0; shard++) {
		if (work->app->have[shard / 8] >> shard % 8 & 1 || count++ >= PENDING_NAMED_MAX)
			continue;
		json_write_integer(writer, shard);
	}
	json_write_array_end(writer);
}

static void write_work(
    struct meta_request *request, const struct meta_work *work, uint32_t shards, struct slice plan)
{
	struct json_writer writer;
	json_writer_init(&writer, &request->reply);
	json_write_object_begin(&writer);
	text_member(&writer, "active", work->active);
	text_member(&writer, "app", work->app->name);
	json_write_key(&writer, slice_from_text("destroys"));
	json_write_boolean(&writer, work->destroys);
	json_write_key(&writer, slice_from_text("dry_run"));
	json_write_boolean(&writer, request->dry_run);
	if (request->dry_run) {
		json_write_key(&writer, slice_from_text("entities"));
		meta_plan_entities_json(work, &writer);
	}
	json_write_key(&writer, slice_from_text("generation"));
	json_write_integer(&writer, (int64_t)work->app->generation);
	text_member(&writer, "hash", work->hash);
	json_write_key(&writer, slice_from_text("pending"));
	json_write_integer(&writer, work->pending);
	write_pending(work, shards, &writer);
	json_write_key(&writer, slice_from_text("plan"));
	write_lines(&writer, plan);
	json_write_key(&writer, slice_from_text("rollback"));
	json_write_boolean(&writer, work->rollback);
	json_write_key(&writer, slice_from_text("unchanged"));
	json_write_boolean(&writer, work->unchanged);
	json_write_key(&writer, slice_from_text("warnings"));
	write_diagnostics(&writer, &work->diagnostics, HOST_WARNING);
	json_write_object_end(&writer);
	finish(request, &writer);
}

void meta_answer_work(struct meta_request *request, const struct meta_work *work, uint32_t shards)
{
	struct buffer plan;
	buffer_init(&plan, 2 * work->changes.bytes_max);
	int error = meta_plan_write(work, &plan);
	if (error)
		meta_refuse(request, status_from_error(error), "the plan could not be made (%s)",
		    error_text(error));
	else
		write_work(request, work, shards, buffer_view(&plan));
	buffer_done(&plan);
	/* It is done all the same. */
	if (request->status != STATUS_OK && work->at.index > 0)
		request->status = STATUS_UNKNOWN_OUTCOME;
}

void meta_answer_settled(struct meta_request *request, uint64_t version)
{
	struct buffer text;
	struct json_writer writer;
	bool drains = request->verb == META_NODE_DRAIN;
	if (!drains && request->verb != META_NODE_UNDRAIN)
		return;
	buffer_init(&text, MESSAGE_BYTES_MAX);
	json_writer_init(&writer, &text);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("node"));
	json_write_integer(&writer, request->node.node);
	json_write_key(&writer, slice_from_text("state"));
	json_write_string(&writer, slice_from_text(drains ? "draining" : "member"));
	json_write_key(&writer, slice_from_text("version"));
	json_write_integer(&writer, (int64_t)version);
	json_write_object_end(&writer);
	if (json_writer_finish(&writer)) {
		/* Without memory it is as the verb has answered. */
		buffer_done(&text);
		return;
	}
	buffer_done(&request->reply);
	request->reply = text;
}
