#include "scripting/component.h"

#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "scripting/inside.h"
#include "scripting/schema.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>

int steps_at(const struct steps *steps, uint32_t version)
{
	if (version < steps->first || version - steps->first >= steps->count)
		return LUA_NOREF;
	return steps->references[version - steps->first];
}

bool steps_cover_up(const struct steps *steps, uint32_t from, uint32_t to)
{
	for (uint32_t version = from; version < to; version++) {
		if (steps_at(steps, version) == LUA_NOREF)
			return false;
	}
	return true;
}

bool steps_cover_down(const struct steps *steps, uint32_t from, uint32_t to)
{
	for (uint32_t version = from; version > to; version--) {
		if (steps_at(steps, version) == LUA_NOREF)
			return false;
	}
	return true;
}

char *text_copy(struct slice from)
{
	char *to = mem_alloc(from.bytes + 1);
	if (!to)
		return NULL;
	if (from.bytes)
		memcpy(to, from.data, from.bytes);
	to[from.bytes] = 0;
	return to;
}

struct host_component *component_new(struct host_bundle *bundle, struct slice name)
{
	struct host_component *component = mem_zalloc(1, sizeof(*component));
	if (!component)
		return NULL;
	component->name = text_copy(name);
	if (!component->name) {
		mem_free(component);
		return NULL;
	}
	component->bundle = bundle;
	component->version = 1;
	component->init_function = LUA_NOREF;
	buffer_init(&component->init_bytes, STATE_BYTES_MAX);
	return component;
}

static void steps_done(struct steps *steps, lua_State *lua)
{
	for (uint32_t i = 0; i < steps->count; i++)
		luaL_unref(lua, LUA_REGISTRYINDEX, steps->references[i]);
	mem_free(steps->references);
}

static void handler_done(struct host_handler *handler, lua_State *lua)
{
	luaL_unref(lua, LUA_REGISTRYINDEX, handler->function);
	schema_release(handler->input);
	schema_release(handler->output);
	for (size_t i = 0; i < handler->role_count; i++)
		mem_free(handler->roles[i]);
	mem_free(handler->roles);
	mem_free(handler->description);
	mem_free(handler->place.file);
	mem_free(handler->name);
}

static void event_done(struct event_type *event, lua_State *lua)
{
	luaL_unref(lua, LUA_REGISTRYINDEX, event->function);
	steps_done(&event->upcasts, lua);
	schema_release(event->schema);
	mem_free(event->place.file);
	mem_free(event->name);
}

void component_free(struct host_component *component)
{
	if (!component)
		return;
	lua_State *lua = component->bundle->host->lua;
	for (size_t i = 0; i < component->handler_count; i++)
		handler_done(&component->handlers[i], lua);
	for (size_t i = 0; i < component->event_count; i++)
		event_done(&component->events[i], lua);
	mem_free(component->handlers);
	mem_free(component->events);
	steps_done(&component->migrations, lua);
	steps_done(&component->downgrades, lua);
	luaL_unref(lua, LUA_REGISTRYINDEX, component->init_function);
	buffer_done(&component->init_bytes);
	schema_release(component->state);
	mem_free(component->place.file);
	mem_free(component->name);
	mem_free(component);
}

struct event_type *component_event(struct host_component *component, struct slice name)
{
	size_t begin = 0, end = component->event_count;
	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;
		struct event_type *event = &component->events[middle];
		int order = slice_compare(slice_from_text(event->name), name);
		if (order == 0)
			return event;
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

void suggest(struct slice name, const struct slice *known, size_t count, char *text, size_t bytes)
{
	int nearest = name_nearest(name, known, (int)count);
	text[0] = 0;
	if (known && nearest >= 0)
		snprintf(text, bytes, "; did you mean %.*s?", (int)known[nearest].bytes,
		    (const char *)known[nearest].data);
}

/* ---- What host.h tells about components ---- */

struct slice host_bundle_app(const struct host_bundle *bundle)
{
	return slice_from_text(bundle->app);
}

const char *host_bundle_hash_text(const struct host_bundle *bundle)
{
	return bundle->hash;
}

const char *host_kind_name(enum host_kind kind)
{
	switch (kind) {
	case HOST_VALUE_ENTITY:
		return "value_entity";
	case HOST_EVENT_SOURCED_ENTITY:
		return "event_sourced_entity";
	}
	UNREACHABLE();
	return "";
}

struct host_component *host_component(struct host_bundle *bundle, struct slice name)
{
	size_t begin = 0, end = bundle->component_count;
	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;
		struct host_component *component = bundle->components[middle];
		int order = slice_compare(slice_from_text(component->name), name);
		if (order == 0)
			return component;
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

size_t host_component_count(const struct host_bundle *bundle)
{
	return bundle->component_count;
}

struct host_component *host_component_at(struct host_bundle *bundle, size_t position)
{
	ASSERT(position < bundle->component_count);
	return bundle->components[position];
}

struct slice host_component_name(const struct host_component *component)
{
	return slice_from_text(component->name);
}

enum host_kind host_component_kind(const struct host_component *component)
{
	return component->kind;
}

uint32_t host_component_version(const struct host_component *component)
{
	return component->version;
}

uint32_t host_component_snapshot_every(const struct host_component *component)
{
	return component->snapshot_every;
}

uint32_t host_component_history(const struct host_component *component)
{
	return component->history;
}

bool host_component_reads_version(const struct host_component *component, uint32_t state_version)
{
	if (state_version == component->version)
		return true;
	if (state_version > component->version)
		return steps_cover_down(&component->downgrades, state_version, component->version);
	/* Without migrations the deployment has seen that the new schema accepts the old one; but
	 * what a fold gives may have changed with the version, so snapshots are not kept then. */
	return component->kind == HOST_VALUE_ENTITY ||
	       steps_cover_up(&component->migrations, state_version, component->version);
}

uint64_t host_component_fold_hash(const struct host_component *component)
{
	return component->fold_hash;
}

uint64_t component_state_bytes_max(const struct host_component *component)
{
	uint64_t bytes = component->bundle->limits.state_bytes;
	bool is_kept = component->kind == HOST_VALUE_ENTITY && component->history > 0;
	return is_kept && bytes > STATE_KEPT_BYTES_MAX ? STATE_KEPT_BYTES_MAX : bytes;
}

uint64_t host_component_change_bytes_max(const struct host_component *component)
{
	uint64_t state_bytes = component_state_bytes_max(component);
	return component->kind == HOST_VALUE_ENTITY ? state_bytes : state_bytes + EVENTS_BYTES_MAX;
}

struct host_handler *host_handler(struct host_component *component, struct slice name)
{
	size_t begin = 0, end = component->handler_count;
	while (begin < end) {
		size_t middle = begin + (end - begin) / 2;
		struct host_handler *handler = &component->handlers[middle];
		int order = slice_compare(slice_from_text(handler->name), name);
		if (order == 0)
			return handler;
		if (order < 0)
			begin = middle + 1;
		else
			end = middle;
	}
	return NULL;
}

struct slice host_handler_name(const struct host_handler *handler)
{
	return slice_from_text(handler->name);
}

bool host_handler_is_query(const struct host_handler *handler)
{
	return handler->is_query;
}

bool host_handler_internal(const struct host_handler *handler)
{
	return handler->internal;
}

size_t host_handler_number(const struct host_handler *handler)
{
	return handler->number;
}

size_t host_handler_count(const struct host_component *component)
{
	return component->handler_count;
}

struct host_handler *host_handler_at(struct host_component *component, size_t position)
{
	ASSERT(position < component->handler_count);
	return &component->handlers[position];
}

int host_explain_unknown(
    const struct host_component *component, struct slice name, struct buffer *out)
{
	struct slice *known = NULL;
	if (component->handler_count) {
		known = mem_zalloc(component->handler_count, sizeof(*known));
		if (!known)
			return ERR_NOMEM;
	}
	for (size_t i = 0; i < component->handler_count; i++)
		known[i] = slice_from_text(component->handlers[i].name);
	char suggestion[NAME_BYTES_MAX + 32];
	suggest(name, known, component->handler_count, suggestion, sizeof(suggestion));
	mem_free(known);
	if (!name_valid(name))
		return buffer_append_format(out,
		    "%s has no such command or query: a name is [a-z][a-z0-9_]{0,63}",
		    component->name);
	return buffer_append_format(out, "%s has no command or query '%.*s'%s", component->name,
	    (int)name.bytes, (const char *)name.data, suggestion);
}
