#include "server/meta/meta_apps.h"

#include <string.h>

#include "base/array.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/wire/json.h"

static void copy_text(char *to, size_t bytes_max, struct slice from)
{
	size_t bytes = from.bytes < bytes_max ? from.bytes : bytes_max;
	if (bytes)
		memcpy(to, from.data, bytes);
	to[bytes] = 0;
}

/* ---- One app ---- */

struct meta_app *meta_app_new(struct slice name)
{
	struct meta_app *app = mem_zalloc(1, sizeof(*app));
	if (!app)
		return NULL;
	copy_text(app->name, NAME_BYTES_MAX, name);
	buffer_init(&app->catalogue, ENTRY_BYTES_MAX);
	return app;
}

void meta_app_free(struct meta_app *app)
{
	if (!app)
		return;
	buffer_done(&app->catalogue);
	mem_free(app->types);
	mem_free(app);
}

const struct meta_type *meta_app_type(const struct meta_app *app, struct slice type)
{
	for (size_t i = 0; i < app->type_count; i++)
		if (slice_equal(slice_from_text(app->types[i].name), type))
			return &app->types[i];
	return NULL;
}

static int grow_types(struct meta_app *app)
{
	if (app->type_count == META_TYPES_MAX)
		return ERR_FULL;
	return array_reserve(
	    &app->types, &app->type_capacity, app->type_count + 1, sizeof(*app->types));
}

int meta_app_set_type(struct meta_app *app, struct slice type, bool active, uint64_t incarnation)
{
	for (size_t i = 0; i < app->type_count; i++)
		if (slice_equal(slice_from_text(app->types[i].name), type)) {
			app->types[i].active = active;
			app->types[i].incarnation = incarnation;
			return 0;
		}
	int error = grow_types(app);
	if (error)
		return error;
	struct meta_type *added = &app->types[app->type_count++];
	copy_text(added->name, NAME_BYTES_MAX, type);
	added->active = active;
	added->incarnation = incarnation;
	return 0;
}

void meta_app_adopt(struct meta_app *app, const struct meta_app *old)
{
	ASSERT(app->generation == old->generation);
	app->pending_here = old->pending_here;
	app->pending = old->pending;
	app->is_closed = old->is_closed;
	app->is_behind = old->is_behind;
	app->asks_again = old->asks_again;
	app->led_again = old->led_again;
	memcpy(app->have, old->have, sizeof(app->have));
}

uint32_t meta_app_count_have(const struct meta_app *app, uint32_t shards)
{
	uint32_t count = 0;
	ASSERT(shards <= SHARDS_MAX);
	for (uint32_t shard = 1; shard <= shards; shard++)
		count += app->have[shard / 8] >> shard % 8 & 1;
	return count;
}

bool meta_type_is_owned(const struct meta_type *type)
{
	return type->active || type->incarnation == 0;
}

void meta_app_add_history(struct meta_app *app, const struct meta_history *entry)
{
	if (app->history_count == META_HISTORY_MAX) {
		memmove(&app->history[0], &app->history[1],
		    sizeof(app->history[0]) * (META_HISTORY_MAX - 1));
		app->history_count--;
	}
	app->history[app->history_count++] = *entry;
}

const struct meta_history *meta_app_activation(const struct meta_app *app, const char *hash)
{
	for (size_t i = app->history_count; i > 0; i--)
		if (strcmp(app->history[i - 1].hash, hash) == 0)
			return &app->history[i - 1];
	return NULL;
}

const struct meta_history *meta_app_undo(const struct meta_app *app)
{
	/* The newest is the active one, unless the app was removed. */
	if (!app->hash[0] || app->history_count == 0)
		return NULL;
	size_t last = app->history_count - 1;
	uint32_t back = app->history[last].back;
	return back > 0 && back <= last ? &app->history[last - back] : NULL;
}

/* ---- As JSON ---- */

static void member(struct json_writer *writer, const char *key, const char *text)
{
	json_write_key(writer, slice_from_text(key));
	json_write_string(writer, slice_from_text(text));
}

void meta_app_json(const struct meta_app *app, struct json_writer *writer)
{
	json_write_object_begin(writer);
	member(writer, "app", app->name);
	json_write_key(writer, slice_from_text("generation"));
	json_write_integer(writer, (int64_t)app->generation);
	member(writer, "hash", app->hash);
	json_write_key(writer, slice_from_text("history"));
	json_write_array_begin(writer);
	for (size_t i = 0; i < app->history_count; i++) {
		json_write_object_begin(writer);
		json_write_key(writer, slice_from_text("at"));
		json_write_integer(writer, app->history[i].at_ms);
		member(writer, "by", app->history[i].by);
		member(writer, "hash", app->history[i].hash);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
	json_write_key(writer, slice_from_text("pending"));
	json_write_integer(writer, app->pending);
	json_write_key(writer, slice_from_text("types"));
	json_write_array_begin(writer);
	for (size_t i = 0; i < app->type_count; i++)
		if (app->types[i].active)
			json_write_string(writer, slice_from_text(app->types[i].name));
	json_write_array_end(writer);
	json_write_object_end(writer);
}

/* ---- All of them ---- */

void meta_apps_done(struct meta_apps *apps)
{
	for (size_t i = 0; i < apps->count; i++)
		meta_app_free(apps->items[i]);
	mem_free(apps->items);
	*apps = (struct meta_apps){.items = NULL};
}

struct meta_app *meta_apps_find(const struct meta_apps *apps, struct slice name)
{
	for (size_t i = 0; i < apps->count; i++)
		if (slice_equal(slice_from_text(apps->items[i]->name), name))
			return apps->items[i];
	return NULL;
}

struct meta_app *meta_apps_owner(const struct meta_apps *apps, struct slice type)
{
	for (size_t i = 0; i < apps->count; i++) {
		const struct meta_type *found = meta_app_type(apps->items[i], type);
		if (found && meta_type_is_owned(found))
			return apps->items[i];
	}
	return NULL;
}

uint64_t meta_apps_incarnation(const struct meta_apps *apps, struct slice type)
{
	uint64_t newest = 0;
	for (size_t i = 0; i < apps->count; i++) {
		const struct meta_type *found = meta_app_type(apps->items[i], type);
		if (found && found->incarnation > newest)
			newest = found->incarnation;
	}
	return newest;
}

int meta_apps_reserve(struct meta_apps *apps)
{
	return array_reserve(
	    &apps->items, &apps->capacity, apps->count + 1, sizeof(struct meta_app *));
}

int meta_apps_exchange(struct meta_apps *apps, struct meta_app *app, struct meta_app **ret_old)
{
	size_t at = 0;
	while (at < apps->count && strcmp(apps->items[at]->name, app->name) < 0)
		at++;
	if (at < apps->count && strcmp(apps->items[at]->name, app->name) == 0) {
		*ret_old = apps->items[at];
		apps->items[at] = app;
		return 0;
	}
	int error = meta_apps_reserve(apps);
	if (error)
		return error;
	memmove(
	    apps->items + at + 1, apps->items + at, (apps->count - at) * sizeof(struct meta_app *));
	apps->items[at] = app;
	apps->count++;
	*ret_old = NULL;
	return 0;
}

int meta_apps_put(struct meta_apps *apps, struct meta_app *app)
{
	struct meta_app *old = NULL;
	int error = meta_apps_exchange(apps, app, &old);
	meta_app_free(old);
	return error;
}

void meta_apps_remove(struct meta_apps *apps, const struct meta_app *app)
{
	size_t at = 0;
	while (at < apps->count && apps->items[at] != app)
		at++;
	ASSERT(at < apps->count);
	apps->count--;
	memmove(
	    apps->items + at, apps->items + at + 1, (apps->count - at) * sizeof(struct meta_app *));
}

uint64_t meta_apps_generation(const struct meta_apps *apps)
{
	uint64_t highest = 0;
	for (size_t i = 0; i < apps->count; i++)
		if (apps->items[i]->generation > highest)
			highest = apps->items[i]->generation;
	return highest;
}
