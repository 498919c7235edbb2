/* A bundle's declarations for readers that have no Lua: MessagePack for the catalogue, JSON for
 * people. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/wire/json_writer.h"
#include "base/wire/msgpack.h"
#include "scripting/component.h"
#include "scripting/describe.h"
#include "scripting/schema.h"

#include <lua.h>
#include <lauxlib.h>

void describe_text(struct msgpack_writer *writer, const char *text)
{
	msgpack_write_string(writer, slice_from_text(text));
}

int describe_schema(
    struct msgpack_writer *writer, struct buffer *scratch, const struct schema *schema)
{
	if (!schema) {
		msgpack_write_nil(writer);
		return 0;
	}
	buffer_clear(scratch);
	int error = schema_encode(schema, scratch);
	if (!error)
		msgpack_write_raw(writer, buffer_view(scratch));
	return error;
}

/* Where a description is written to; the first error sticks. */
struct description {
	struct msgpack_writer writer;
	struct buffer scratch;
	int error;
};

static void write_schema(struct description *to, const char *key, const struct schema *schema)
{
	describe_text(&to->writer, key);
	if (to->error)
		return;
	to->error = describe_schema(&to->writer, &to->scratch, schema);
}

static void write_integer(struct description *to, const char *key, uint64_t value)
{
	describe_text(&to->writer, key);
	msgpack_write_integer(&to->writer, (int64_t)value);
}

static void write_steps(struct description *to, const char *key, const struct steps *steps)
{
	size_t count = 0;
	for (uint32_t i = 0; i < steps->count; i++)
		count += steps->references[i] != LUA_NOREF;
	describe_text(&to->writer, key);
	msgpack_write_array(&to->writer, count);
	for (uint32_t i = 0; i < steps->count; i++) {
		if (steps->references[i] != LUA_NOREF)
			msgpack_write_integer(&to->writer, (int64_t)steps->first + i);
	}
}

static void write_exists(struct description *to, enum exists_rule exists)
{
	describe_text(&to->writer, "exists");
	switch (exists) {
	case EXISTS_ANY:
		msgpack_write_nil(&to->writer);
		return;
	case EXISTS_REQUIRED:
	case EXISTS_FORBIDDEN:
		msgpack_write_boolean(&to->writer, exists == EXISTS_REQUIRED);
		return;
	}
}

static void write_handler(struct description *to, const struct host_handler *handler)
{
	msgpack_write_map(&to->writer, 7);
	describe_text(&to->writer, "name");
	describe_text(&to->writer, handler->name);
	write_schema(to, "input", handler->input);
	write_schema(to, "output", handler->output);
	write_exists(to, handler->exists);
	describe_text(&to->writer, "internal");
	msgpack_write_boolean(&to->writer, handler->internal);
	describe_text(&to->writer, "roles");
	msgpack_write_array(&to->writer, handler->role_count);
	for (size_t i = 0; i < handler->role_count; i++)
		describe_text(&to->writer, handler->roles[i]);
	describe_text(&to->writer, "description");
	describe_text(&to->writer, handler->description ? handler->description : "");
}

static size_t count_handlers(const struct host_component *component, bool queries)
{
	size_t count = 0;
	for (size_t i = 0; i < component->handler_count; i++)
		count += component->handlers[i].is_query == queries;
	return count;
}

static void write_handlers(
    struct description *to, const struct host_component *component, bool queries)
{
	describe_text(&to->writer, queries ? "queries" : "commands");
	msgpack_write_array(&to->writer, count_handlers(component, queries));
	for (size_t i = 0; i < component->handler_count; i++) {
		if (component->handlers[i].is_query == queries)
			write_handler(to, &component->handlers[i]);
	}
}

static void write_event(struct description *to, const struct event_type *event)
{
	msgpack_write_map(&to->writer, 4);
	describe_text(&to->writer, "name");
	describe_text(&to->writer, event->name);
	write_integer(to, "version", event->version);
	write_schema(to, "schema", event->schema);
	write_steps(to, "upcasts", &event->upcasts);
}

static void write_component(struct description *to, const struct host_component *component)
{
	msgpack_write_map(&to->writer, 10);
	describe_text(&to->writer, "name");
	describe_text(&to->writer, component->name);
	describe_text(&to->writer, "kind");
	describe_text(&to->writer, host_kind_name(component->kind));
	write_integer(to, "version", component->version);
	write_schema(to, "state", component->state);
	write_integer(to, "snapshot_every", component->snapshot_every);
	write_steps(to, "migrates", &component->migrations);
	write_steps(to, "downgrades", &component->downgrades);
	write_handlers(to, component, false);
	write_handlers(to, component, true);
	describe_text(&to->writer, "events");
	msgpack_write_array(&to->writer, component->event_count);
	for (size_t i = 0; i < component->event_count; i++)
		write_event(to, &component->events[i]);
}

static void write_limits(struct description *to, const struct app_limits *limits)
{
	describe_text(&to->writer, "limits");
	msgpack_write_map(&to->writer, 5);
	write_integer(to, "instructions", limits->instructions);
	write_integer(to, "run_ms", limits->run_ms);
	write_integer(to, "memory_bytes", limits->memory_bytes);
	write_integer(to, "payload_bytes", limits->payload_bytes);
	write_integer(to, "state_bytes", limits->state_bytes);
}

int host_bundle_describe(const struct host_bundle *bundle, struct buffer *out)
{
	struct description to = {0};
	buffer_init(&to.scratch, BUNDLE_BYTES_MAX);
	size_t begin = buffer_bytes(out);
	msgpack_writer_init(&to.writer, out);
	msgpack_write_map(&to.writer, 4);
	describe_text(&to.writer, "app");
	describe_text(&to.writer, bundle->app);
	describe_text(&to.writer, "hash");
	describe_text(&to.writer, bundle->hash);
	describe_text(&to.writer, "components");
	msgpack_write_array(&to.writer, bundle->component_count);
	for (size_t i = 0; i < bundle->component_count; i++)
		write_component(&to, bundle->components[i]);
	write_limits(&to, &bundle->limits);
	int error = msgpack_writer_finish(&to.writer);
	if (!error && to.error) {
		buffer_truncate(out, begin);
		error = to.error;
	}
	buffer_done(&to.scratch);
	return error;
}

/* ---- JSON ---- */

static void json_key(struct json_writer *writer, const char *key)
{
	json_write_key(writer, slice_from_text(key));
}

static void json_text(struct json_writer *writer, const char *key, const char *text)
{
	json_key(writer, key);
	json_write_string(writer, slice_from_text(text));
}

static void json_schema(struct json_writer *writer, const char *key, const struct schema *schema)
{
	if (!schema)
		return;
	json_key(writer, key);
	schema_json(schema, writer);
}

static void json_handler(struct json_writer *writer, const struct host_handler *handler)
{
	json_write_object_begin(writer);
	if (handler->description)
		json_text(writer, "description", handler->description);
	if (handler->exists != EXISTS_ANY) {
		json_key(writer, "exists");
		json_write_boolean(writer, handler->exists == EXISTS_REQUIRED);
	}
	json_schema(writer, "input", handler->input);
	if (handler->internal) {
		json_key(writer, "internal");
		json_write_boolean(writer, true);
	}
	json_text(writer, "name", handler->name);
	json_schema(writer, "output", handler->output);
	json_write_object_end(writer);
}

static void json_handlers(
    struct json_writer *writer, const struct host_component *component, bool queries)
{
	json_key(writer, queries ? "queries" : "commands");
	json_write_array_begin(writer);
	for (size_t i = 0; i < component->handler_count; i++) {
		if (component->handlers[i].is_query == queries)
			json_handler(writer, &component->handlers[i]);
	}
	json_write_array_end(writer);
}

int host_component_list(const struct host_component *component, struct buffer *out)
{
	struct json_writer writer;
	json_writer_init(&writer, out);
	json_write_object_begin(&writer);
	json_handlers(&writer, component, false);
	json_text(&writer, "kind", host_kind_name(component->kind));
	json_text(&writer, "name", component->name);
	json_handlers(&writer, component, true);
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}
