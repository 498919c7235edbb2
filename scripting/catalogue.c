#include "scripting/catalogue.h"

#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/msgpack.h"
#include "scripting/describe.h"
#include "scripting/schema.h"

struct stored_component *catalogue_find(const struct catalogue *catalogue, const char *name)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		if (strcmp(catalogue->components[i].name, name) == 0)
			return &catalogue->components[i];
	}
	return NULL;
}

struct stored_event *stored_event_find(const struct stored_component *component, const char *name)
{
	for (size_t i = 0; i < component->event_count; i++) {
		if (strcmp(component->events[i].name, name) == 0)
			return &component->events[i];
	}
	return NULL;
}

bool stored_version_find(
    const struct stored_versions *versions, uint32_t version, struct schema **ret_schema)
{
	for (size_t i = 0; i < versions->count; i++) {
		if (versions->items[i].version == version) {
			*ret_schema = versions->items[i].schema;
			return true;
		}
	}
	return false;
}

/* ---- Memory ---- */

static void versions_done(struct stored_versions *versions)
{
	for (size_t i = 0; i < versions->count; i++)
		schema_release(versions->items[i].schema);
	mem_free(versions->items);
}

static void names_done(struct stored_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		mem_free(names->items[i]);
	mem_free(names->items);
	*names = (struct stored_names){0};
}

static void stored_component_done(struct stored_component *component)
{
	for (size_t i = 0; i < component->event_count; i++) {
		mem_free(component->events[i].name);
		versions_done(&component->events[i].versions);
	}
	mem_free(component->events);
	versions_done(&component->states);
	names_done(&component->commands);
	names_done(&component->queries);
	mem_free(component->name);
}

void catalogue_done(struct catalogue *catalogue)
{
	for (size_t i = 0; i < catalogue->count; i++)
		stored_component_done(&catalogue->components[i]);
	mem_free(catalogue->components);
	mem_free(catalogue->app);
	*catalogue = (struct catalogue){0};
}

void catalogue_drop(struct catalogue *catalogue, struct slice name)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		if (!slice_equal(slice_from_text(catalogue->components[i].name), name))
			continue;
		stored_component_done(&catalogue->components[i]);
		memmove(&catalogue->components[i], &catalogue->components[i + 1],
		    (catalogue->count - i - 1) * sizeof(*catalogue->components));
		catalogue->count--;
		return;
	}
}

/* Room for one more, zeroed, at the end of *items; it is not counted yet. ERR_NOMEM. */
static int add_room(void **items, size_t count, size_t item_bytes)
{
	void *more = mem_realloc(*items, (count + 1) * item_bytes);
	if (!more)
		return ERR_NOMEM;
	memset((char *)more + count * item_bytes, 0, item_bytes);
	*items = more;
	return 0;
}

/* Keeps the schema under its version, in place of what was there. */
static int put_version(struct stored_versions *versions, uint32_t version, struct schema *schema)
{
	size_t at = 0;
	while (at < versions->count && versions->items[at].version < version)
		at++;
	if (at == versions->count || versions->items[at].version != version) {
		int error =
		    add_room((void **)&versions->items, versions->count, sizeof(*versions->items));
		if (error)
			return error;
		memmove(&versions->items[at + 1], &versions->items[at],
		    (versions->count - at) * sizeof(*versions->items));
		versions->items[at] = (struct stored_version){.version = version};
		versions->count++;
	}
	if (schema)
		schema_keep(schema);
	schema_release(versions->items[at].schema);
	versions->items[at].schema = schema;
	return 0;
}

static int put_name(struct stored_names *names, struct slice name)
{
	int error = add_room((void **)&names->items, names->count, sizeof(*names->items));
	if (error)
		return error;
	names->items[names->count] = text_copy(name);
	return names->items[names->count++] ? 0 : ERR_NOMEM;
}

static int put_event(
    struct stored_component *component, struct slice name, struct stored_event **ret_event)
{
	int error = add_room(
	    (void **)&component->events, component->event_count, sizeof(*component->events));
	if (error)
		return error;
	struct stored_event *event = &component->events[component->event_count++];
	event->name = text_copy(name);
	*ret_event = event;
	return event->name ? 0 : ERR_NOMEM;
}

static int put_component(
    struct catalogue *catalogue, struct slice name, struct stored_component **ret_component)
{
	int error = add_room(
	    (void **)&catalogue->components, catalogue->count, sizeof(*catalogue->components));
	if (error)
		return error;
	struct stored_component *component = &catalogue->components[catalogue->count++];
	component->name = text_copy(name);
	*ret_component = component;
	return component->name ? 0 : ERR_NOMEM;
}

/* ---- Reading; what stands in a wrong place or order is ERR_INVALID ---- */

static int read_value(
    struct msgpack_reader *reader, enum msgpack_type type, struct msgpack_value *ret_value)
{
	if (msgpack_next(reader, ret_value) || ret_value->type != type)
		return ERR_INVALID;
	return 0;
}

static int read_key(struct msgpack_reader *reader, const char *key)
{
	struct msgpack_value value;
	int error = read_value(reader, MSGPACK_STRING, &value);
	return error || !slice_equal(value.bytes, slice_from_text(key)) ? ERR_INVALID : 0;
}

static int read_text(struct msgpack_reader *reader, const char *key, struct slice *ret_text)
{
	struct msgpack_value value;
	int error = read_key(reader, key);
	if (!error)
		error = read_value(reader, MSGPACK_STRING, &value);
	if (!error)
		*ret_text = value.bytes;
	return error;
}

static int read_boolean(struct msgpack_reader *reader, const char *key, bool *ret_boolean)
{
	struct msgpack_value value;
	int error = read_key(reader, key);
	if (!error)
		error = read_value(reader, MSGPACK_BOOLEAN, &value);
	if (!error)
		*ret_boolean = value.boolean;
	return error;
}

static int read_version(struct msgpack_reader *reader, uint32_t *ret_version)
{
	struct msgpack_value value;
	int error = read_key(reader, "version");
	if (!error)
		error = read_value(reader, MSGPACK_INTEGER, &value);
	if (!error && (value.integer < 1 || value.integer > VERSION_MAX))
		error = ERR_INVALID;
	if (!error)
		*ret_version = (uint32_t)value.integer;
	return error;
}

static int read_list(
    struct msgpack_reader *reader, const char *key, enum msgpack_type type, uint32_t *ret_count)
{
	struct msgpack_value value;
	int error = read_key(reader, key);
	if (!error)
		error = read_value(reader, type, &value);
	if (!error)
		*ret_count = value.count;
	return error;
}

static int read_map_of(struct msgpack_reader *reader, uint32_t pairs)
{
	struct msgpack_value value;
	int error = read_value(reader, MSGPACK_MAP, &value);
	return error || value.count != pairs ? ERR_INVALID : 0;
}

static int read_schema(
    struct msgpack_reader *reader, struct slice bytes, struct schema **ret_schema)
{
	int error = read_key(reader, "schema");
	if (error)
		return error;
	size_t begin = msgpack_offset(reader);
	if (msgpack_skip(reader))
		return ERR_INVALID;
	struct slice encoded = slice_of(bytes.data + begin, msgpack_offset(reader) - begin);
	*ret_schema = NULL;
	if (encoded.bytes == 1 && encoded.data[0] == 0xc0) /* nil */
		return 0;
	return schema_decode(encoded, ret_schema);
}

static int read_versions(struct msgpack_reader *reader, struct slice bytes, const char *key,
    struct stored_versions *versions)
{
	uint32_t count;
	int error = read_list(reader, key, MSGPACK_ARRAY, &count);
	for (uint32_t i = 0; !error && i < count; i++) {
		uint32_t version;
		struct schema *schema = NULL;
		error = read_map_of(reader, 2);
		if (!error)
			error = read_version(reader, &version);
		if (!error)
			error = read_schema(reader, bytes, &schema);
		if (!error)
			error = put_version(versions, version, schema);
		schema_release(schema);
	}
	return error;
}

static int read_names(struct msgpack_reader *reader, const char *key, struct stored_names *names)
{
	uint32_t count;
	int error = read_list(reader, key, MSGPACK_ARRAY, &count);
	for (uint32_t i = 0; !error && i < count; i++) {
		struct msgpack_value value;
		error = read_value(reader, MSGPACK_STRING, &value);
		if (!error)
			error = put_name(names, value.bytes);
	}
	return error;
}

static int read_events(
    struct msgpack_reader *reader, struct slice bytes, struct stored_component *component)
{
	uint32_t count;
	int error = read_list(reader, "events", MSGPACK_ARRAY, &count);
	for (uint32_t i = 0; !error && i < count; i++) {
		struct slice name;
		struct stored_event *event = NULL;
		error = read_map_of(reader, 3);
		if (!error)
			error = read_text(reader, "name", &name);
		if (!error)
			error = put_event(component, name, &event);
		if (!error)
			error = read_boolean(reader, "active", &event->active);
		if (!error)
			error = read_versions(reader, bytes, "versions", &event->versions);
	}
	return error;
}

static int read_kind(struct msgpack_reader *reader, enum host_kind *ret_kind)
{
	struct slice text;
	int error = read_text(reader, "kind", &text);
	if (error)
		return error;
	static const enum host_kind kinds[] = {HOST_VALUE_ENTITY, HOST_EVENT_SOURCED_ENTITY};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (slice_equal(text, slice_from_text(host_kind_name(kinds[i])))) {
			*ret_kind = kinds[i];
			return 0;
		}
	}
	return ERR_INVALID;
}

static int read_component(
    struct msgpack_reader *reader, struct slice bytes, struct catalogue *catalogue)
{
	struct slice name;
	struct stored_component *component = NULL;
	int error = read_map_of(reader, 8);
	if (!error)
		error = read_text(reader, "name", &name);
	if (!error)
		error = put_component(catalogue, name, &component);
	if (!error)
		error = read_kind(reader, &component->kind);
	if (!error)
		error = read_boolean(reader, "active", &component->active);
	if (!error)
		error = read_version(reader, &component->version);
	if (!error)
		error = read_names(reader, "commands", &component->commands);
	if (!error)
		error = read_names(reader, "queries", &component->queries);
	if (!error)
		error = read_versions(reader, bytes, "states", &component->states);
	return error ? error : read_events(reader, bytes, component);
}

int catalogue_read(struct slice bytes, struct catalogue *ret_catalogue)
{
	struct catalogue catalogue = {0};
	if (bytes.bytes == 0) {
		*ret_catalogue = catalogue;
		return 0;
	}
	struct msgpack_reader reader;
	msgpack_reader_init(&reader, bytes, true, MSGPACK_DEPTH_MAX);
	struct slice app;
	uint32_t count = 0;
	int error = read_map_of(&reader, 2);
	if (!error)
		error = read_text(&reader, "app", &app);
	if (!error)
		error = read_list(&reader, "components", MSGPACK_ARRAY, &count);
	if (!error) {
		catalogue.app = text_copy(app);
		error = catalogue.app ? 0 : ERR_NOMEM;
	}
	for (uint32_t i = 0; !error && i < count; i++)
		error = read_component(&reader, bytes, &catalogue);
	if (!error && !msgpack_finished(&reader))
		error = ERR_INVALID;
	if (error) {
		catalogue_done(&catalogue);
		return error;
	}
	*ret_catalogue = catalogue;
	return 0;
}

/* ---- Writing ---- */

static int write_versions(struct msgpack_writer *writer, struct buffer *scratch, const char *key,
    const struct stored_versions *versions)
{
	int error = 0;
	describe_text(writer, key);
	msgpack_write_array(writer, versions->count);
	for (size_t i = 0; !error && i < versions->count; i++) {
		msgpack_write_map(writer, 2);
		describe_text(writer, "version");
		msgpack_write_integer(writer, versions->items[i].version);
		describe_text(writer, "schema");
		error = describe_schema(writer, scratch, versions->items[i].schema);
	}
	return error;
}

static void write_names(
    struct msgpack_writer *writer, const char *key, const struct stored_names *names)
{
	describe_text(writer, key);
	msgpack_write_array(writer, names->count);
	for (size_t i = 0; i < names->count; i++)
		describe_text(writer, names->items[i]);
}

static int write_component(
    struct msgpack_writer *writer, struct buffer *scratch, const struct stored_component *component)
{
	msgpack_write_map(writer, 8);
	describe_text(writer, "name");
	describe_text(writer, component->name);
	describe_text(writer, "kind");
	describe_text(writer, host_kind_name(component->kind));
	describe_text(writer, "active");
	msgpack_write_boolean(writer, component->active);
	describe_text(writer, "version");
	msgpack_write_integer(writer, component->version);
	write_names(writer, "commands", &component->commands);
	write_names(writer, "queries", &component->queries);
	int error = write_versions(writer, scratch, "states", &component->states);
	describe_text(writer, "events");
	msgpack_write_array(writer, component->event_count);
	for (size_t i = 0; !error && i < component->event_count; i++) {
		const struct stored_event *event = &component->events[i];
		msgpack_write_map(writer, 3);
		describe_text(writer, "name");
		describe_text(writer, event->name);
		describe_text(writer, "active");
		msgpack_write_boolean(writer, event->active);
		error = write_versions(writer, scratch, "versions", &event->versions);
	}
	return error;
}

int catalogue_write(const struct catalogue *catalogue, struct buffer *out)
{
	struct buffer scratch;
	buffer_init(&scratch, BUNDLE_BYTES_MAX);
	size_t begin = buffer_bytes(out);
	struct msgpack_writer writer;
	msgpack_writer_init(&writer, out);
	msgpack_write_map(&writer, 2);
	describe_text(&writer, "app");
	describe_text(&writer, catalogue->app ? catalogue->app : "");
	describe_text(&writer, "components");
	msgpack_write_array(&writer, catalogue->count);
	int error = 0;
	for (size_t i = 0; !error && i < catalogue->count; i++)
		error = write_component(&writer, &scratch, &catalogue->components[i]);
	int writing = msgpack_writer_finish(&writer);
	if (!writing && error)
		buffer_truncate(out, begin);
	buffer_done(&scratch);
	return writing ? writing : error;
}

/* ---- Taking in a bundle ---- */

static int take_names(struct stored_component *stored, const struct host_component *component)
{
	names_done(&stored->commands);
	names_done(&stored->queries);
	for (size_t i = 0; i < component->handler_count; i++) {
		const struct host_handler *handler = &component->handlers[i];
		int error = put_name(handler->is_query ? &stored->queries : &stored->commands,
		    slice_from_text(handler->name));
		if (error)
			return error;
	}
	return 0;
}

static int take_events(struct stored_component *stored, const struct host_component *component)
{
	for (size_t i = 0; i < stored->event_count; i++)
		stored->events[i].active = false;
	for (size_t i = 0; i < component->event_count; i++) {
		const struct event_type *event = &component->events[i];
		struct stored_event *known = stored_event_find(stored, event->name);
		int error = 0;
		if (!known)
			error = put_event(stored, slice_from_text(event->name), &known);
		if (error)
			return error;
		known->active = true;
		error = put_version(&known->versions, event->version, event->schema);
		if (error)
			return error;
	}
	return 0;
}

int catalogue_take(struct catalogue *catalogue, const struct host_bundle *bundle)
{
	if (!catalogue->app)
		catalogue->app = text_copy(slice_from_text(bundle->app));
	if (!catalogue->app)
		return ERR_NOMEM;
	for (size_t i = 0; i < catalogue->count; i++)
		catalogue->components[i].active = false;
	int error = 0;
	for (size_t i = 0; !error && i < bundle->component_count; i++) {
		const struct host_component *component = bundle->components[i];
		struct stored_component *stored = catalogue_find(catalogue, component->name);
		if (!stored)
			error = put_component(catalogue, slice_from_text(component->name), &stored);
		if (error)
			return error;
		stored->kind = component->kind;
		stored->active = true;
		stored->version = component->version;
		error = put_version(&stored->states, component->version, component->state);
		if (!error)
			error = take_names(stored, component);
		if (!error)
			error = take_events(stored, component);
	}
	return error;
}
