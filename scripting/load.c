/* Loading a bundle: every file is compiled, app.lua is run once and through `require` all others,
 * and what it returns becomes the bundle's components. All of it happens in one run of the sandbox,
 * so that a file that does not end costs a bounded time.
 */
#include "base/array.h"
#include "base/assert.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/wire/address.h"
#include "scripting/declare.h"
#include "scripting/diagnostics.h"
#include "scripting/inside.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Places of the run's main function. */
enum { COMPILED = 1 /* path -> function */, MODULES /* path -> value */ };

struct load *load_current(lua_State *lua)
{
	struct script_owner *owner = script_owner(lua);
	return owner && owner->kind == OWNER_LOAD ? (struct load *)owner : NULL;
}

void load_tell(struct load *load, enum host_severity severity, const char *file, uint32_t line,
    const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int error =
	    diagnostics_add_list(load->diagnostics, severity, file, line, format, arguments);
	va_end(arguments);
	if (error)
		load->error = error;
	if (severity == HOST_ERROR)
		load->refused = true;
}

void load_out_of_memory(struct load *load, lua_State *lua)
{
	load->error = ERR_NOMEM;
	luaL_error(lua, "out of memory");
	__builtin_unreachable();
}

/* "cart.lua:12: what happened" as a diagnostic with file and line. */
static void tell_message(struct load *load, const char *message)
{
	const struct bundle_files *files = &load->owner.bundle->files;
	const char *colon = strchr(message, ':');
	if (colon) {
		const struct host_file *file =
		    bundle_find(files, slice_of(message, (size_t)(colon - message)));
		char *end = NULL;
		unsigned long line = file ? strtoul(colon + 1, &end, 10) : 0;
		if (line > 0 && line <= UINT32_MAX && *end == ':') {
			char path[BUNDLE_PATH_BYTES_MAX + 1] = {0};
			memcpy(path, file->path.data, file->path.bytes);
			load_tell(load, HOST_ERROR, path, (uint32_t)line, "%s",
			    end + 1 + (end[1] == ' '));
			return;
		}
	}
	load_tell(load, HOST_ERROR, NULL, 0, "%s", message);
}

/* ---- require ---- */

/* Runs the file, unless it is being run, and leaves its value on the stack, kept for the next. */
static void run_file(lua_State *lua, const struct host_file *file)
{
	struct load *load = load_current(lua);
	lua_pushlstring(lua, (const char *)file->path.data, file->path.bytes);
	int path = lua_gettop(lua);
	lua_rawgeti(lua, LUA_REGISTRYINDEX, load->owner.bundle->modules);
	int modules = path + 1;
	lua_pushvalue(lua, path);
	lua_pushboolean(lua, false); /* stands for: it runs now */
	lua_rawset(lua, modules);
	lua_rawgeti(lua, modules, COMPILED);
	lua_pushvalue(lua, path);
	lua_rawget(lua, -2);
	int before = lua_gettop(lua) - 1;
	lua_call(lua, 0, LUA_MULTRET);
	int results = lua_gettop(lua) - before;
	if (results != 1 || lua_isnil(lua, -1))
		luaL_error(lua, "%s must return exactly one value, it returned %s",
		    lua_tostring(lua, path),
		    results == 0 ? "nothing" : (results == 1 ? "nil" : "several"));
	lua_pushvalue(lua, path);
	lua_pushvalue(lua, -2);
	lua_rawset(lua, modules);
}

/* Pushes the file's value; runs it where it was not run yet. */
static void push_module(lua_State *lua, struct host_bundle *bundle, const struct host_file *file)
{
	lua_rawgeti(lua, LUA_REGISTRYINDEX, bundle->modules);
	lua_pushlstring(lua, (const char *)file->path.data, file->path.bytes);
	int type = lua_rawget(lua, -2);
	if (type == LUA_TBOOLEAN && !lua_toboolean(lua, -1))
		luaL_error(lua, "files require each other in a circle: %s is not done yet",
		    lua_pushlstring(lua, (const char *)file->path.data, file->path.bytes));
	if (type != LUA_TNIL)
		return;
	lua_pop(lua, 2);
	if (!load_current(lua))
		luaL_error(lua, "require: a file can be loaded for the first time by app.lua and "
		                "what it requires only");
	luaL_checkstack(lua, 16, "files require each other too deeply");
	run_file(lua, file);
}

/* "lib.prices" and "lib/prices" both name lib/prices.lua. */
static const struct host_file *find_file(const struct bundle_files *files, struct slice name)
{
	char path[BUNDLE_PATH_BYTES_MAX + 1];
	if (name.bytes + 4 > BUNDLE_PATH_BYTES_MAX)
		return NULL;
	for (size_t i = 0; i < name.bytes; i++)
		path[i] = (char)(name.data[i] == '.' ? '/' : name.data[i]);
	memcpy(path + name.bytes, ".lua", 4);
	return bundle_find(files, slice_of(path, name.bytes + 4));
}

static int refuse_name(lua_State *lua, const struct bundle_files *files, struct slice name)
{
	struct slice *known = lua_newuserdatauv(lua, (files->count + 1) * sizeof(*known), 0);
	size_t count = 0;
	known[count++] = slice_from_text("kalix");
	for (size_t i = 0; i < files->count; i++) {
		struct slice path = files->items[i].path;
		known[count++] = slice_of(path.data, path.bytes - 4);
	}
	char suggestion[BUNDLE_PATH_BYTES_MAX + 32];
	suggest(name, known, count, suggestion, sizeof(suggestion));
	return luaL_error(lua,
	    "require: the app has no file '%s.lua'%s (files of the app and \"kalix\" only)",
	    (const char *)name.data, suggestion);
}

int load_require(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	struct slice name = slice_of(text, bytes);
	struct script_owner *owner = script_owner(lua);
	if (!owner)
		return luaL_error(lua, "require: no app runs here");
	if (slice_equal(name, slice_from_text("kalix"))) {
		lua_rawgeti(lua, LUA_REGISTRYINDEX, owner->host->kalix);
		return 1;
	}
	if (slice_equal(name, slice_from_text("kalix.test")))
		return luaL_error(lua, "require: \"kalix.test\" is there for tests/..._test.lua "
		                       "only, which `kalix-admin "
		                       "app test` runs; this file is a part of the app");
	const struct host_file *file = find_file(&owner->bundle->files, name);
	if (!file)
		return refuse_name(lua, &owner->bundle->files, name);
	push_module(lua, owner->bundle, file);
	return 1;
}

/* ---- What app.lua returns ---- */

/* The server's limits are the most that an app may ask for; of state, ten times the default. */
static void read_limits(struct declaration *declaration, int app)
{
	lua_State *lua = declaration->lua;
	struct app_limits *limits = &declaration->load->owner.bundle->limits;
	lua_pushliteral(lua, "limits");
	int type = lua_rawget(lua, app);
	if (type == LUA_TTABLE) {
		static const char *const known[] = {
		    "instructions", "run_ms", "memory_bytes", "payload_bytes", "state_bytes"};
		uint64_t *const values[] = {&limits->instructions, &limits->run_ms,
		    &limits->memory_bytes, &limits->payload_bytes, &limits->state_bytes};
		static const int64_t most[] = {HANDLER_INSTRUCTIONS_MAX, HANDLER_RUN_MS_MAX,
		    HANDLER_BYTES_MAX, PAYLOAD_BYTES_MAX, STATE_BYTES_MAX};
		struct key_set keys = {known, COUNT_OF(known), NULL, 0, false};
		int table = lua_gettop(lua);
		declare_check_keys(declaration, table, &keys, "limits");
		for (size_t i = 0; i < COUNT_OF(known); i++) {
			int64_t value = (int64_t)*values[i];
			declare_integer(declaration, table, known[i], 1, most[i], &value);
			*values[i] = (uint64_t)value;
		}
	} else if (type != LUA_TNIL) {
		declare_complain(declaration, "limits", "limits must be a table");
	}
	lua_pop(lua, 1);
}

static void read_name(struct declaration *declaration, int app)
{
	lua_State *lua = declaration->lua;
	struct host_bundle *bundle = declaration->load->owner.bundle;
	lua_pushliteral(lua, "name");
	size_t bytes = 0;
	const char *name =
	    lua_rawget(lua, app) == LUA_TSTRING ? lua_tolstring(lua, -1, &bytes) : "";
	if (!name_valid(slice_of(name, bytes))) {
		declare_complain(declaration, "name",
		    "the app needs a name: name = \"shop\", of [a-z][a-z0-9_]{0,63}");
	} else {
		bundle->app = text_copy(slice_of(name, bytes));
		if (!bundle->app)
			load_out_of_memory(declaration->load, lua);
	}
	lua_pop(lua, 1);
}

static void read_component_list(struct declaration *declaration, int app)
{
	lua_State *lua = declaration->lua;
	size_t listed = (size_t)lua_rawlen(lua, app);
	if (listed == 0)
		declare_complain(declaration, NULL, "the app lists no components");
	for (size_t i = 1; i <= listed; i++) {
		lua_rawgeti(lua, app, (lua_Integer)i);
		struct host_component *component = declare_component_at(lua, lua_gettop(lua));
		if (!component)
			declare_complain(declaration, NULL,
			    "entry %zu of the app is a %s, expected a component: require its file, "
			    "which returns what kalix.value_entity \"name\" { ... } gives",
			    i, luaL_typename(lua, -1));
		else if (component->is_listed)
			declare_complain(declaration, NULL, "%s is listed twice", component->name);
		else
			component->is_listed = true;
		lua_pop(lua, 1);
	}
}

static void read_app(struct load *load, lua_State *lua, int app)
{
	struct declaration declaration = {
	    .lua = lua, .load = load, .what = "app", .file = "app.lua", .line = 1};
	if (lua_type(lua, app) != LUA_TTABLE) {
		declare_complain(&declaration, NULL,
		    "app.lua must return a table { name = ..., component, ... }, it returns a %s",
		    luaL_typename(lua, app));
		return;
	}
	static const char *const known[] = {"name", "limits"};
	struct key_set keys = {known, COUNT_OF(known), NULL, 0, false};
	lua_pushnil(lua);
	while (lua_next(lua, app)) {
		lua_pop(lua, 1);
		if (lua_type(lua, -1) != LUA_TSTRING)
			continue;
		/* A table with this key alone, so that one function knows how to complain. */
		lua_createtable(lua, 0, 1);
		lua_pushvalue(lua, -2);
		lua_pushboolean(lua, true);
		lua_rawset(lua, -3);
		declare_check_keys(&declaration, lua_gettop(lua), &keys, "app.lua");
		lua_pop(lua, 1);
	}
	read_name(&declaration, app);
	read_limits(&declaration, app);
	read_component_list(&declaration, app);
}

/* ---- The run ---- */

static void compile_file(struct load *load, lua_State *lua, const struct host_file *file)
{
	char chunk_name[BUNDLE_PATH_BYTES_MAX + 2] = "@";
	memcpy(chunk_name + 1, file->path.data, file->path.bytes);
	chunk_name[1 + file->path.bytes] = 0;
	int error = sandbox_compile(lua, file->source, chunk_name);
	if (error == ERR_NOMEM)
		load_out_of_memory(load, lua);
	if (error) {
		tell_message(load, luaL_tolstring(lua, -1, NULL));
		lua_pop(lua, 2);
		return;
	}
	lint_file(load, lua, chunk_name + 1);
	lua_pushlstring(lua, chunk_name + 1, file->path.bytes);
	lua_insert(lua, -2);
	lua_rawset(lua, COMPILED);
}

static int load_main(lua_State *lua)
{
	struct load *load = load_current(lua);
	struct host_bundle *bundle = load->owner.bundle;
	lua_settop(lua, 0);
	lua_newtable(lua);
	lua_rawgeti(lua, LUA_REGISTRYINDEX, bundle->modules);
	for (size_t i = 0; i < bundle->files.count; i++)
		compile_file(load, lua, &bundle->files.items[i]);
	if (load->refused)
		return 0;
	lua_pushvalue(lua, COMPILED);
	lua_rawseti(lua, MODULES, COMPILED);
	push_module(lua, bundle, bundle_find(&bundle->files, slice_from_text("app.lua")));
	read_app(load, lua, lua_gettop(lua));
	for (size_t i = 0; i < bundle->files.count; i++) {
		lua_settop(lua, MODULES);
		const struct host_file *file = &bundle->files.items[i];
		lua_pushlstring(lua, (const char *)file->path.data, file->path.bytes);
		if (lua_rawget(lua, MODULES) == LUA_TNIL)
			load_tell(load, HOST_WARNING,
			    lua_pushlstring(lua, (const char *)file->path.data, file->path.bytes),
			    0, "nothing requires this file");
	}
	lua_settop(lua, MODULES);
	lua_pushnil(lua);
	lua_rawseti(lua, MODULES, COMPILED);
	return 0;
}

static void run_load(struct load *load)
{
	struct host *host = load->owner.host;
	struct sandbox_budget budget = {
	    LOAD_INSTRUCTIONS_MAX, LOAD_RUN_MS_MAX * UINT64_C(1000000), HANDLER_BYTES_MAX};
	struct sandbox_run run;
	int error = sandbox_run_begin(host->sandbox, &budget, &run);
	if (error) {
		load->error = error;
		return;
	}
	run.owner = load;
	lua_pushcfunction(run.lua, load_main);
	int results;
	while (sandbox_run_resume(&run, 0, UINT32_MAX, &results) == SANDBOX_RUNNING) {
	}
	char text[DIAGNOSTIC_TEXT_MAX];
	switch (run.end) {
	case SANDBOX_RUNNING:
	case SANDBOX_ENDED:
		break;
	case SANDBOX_RAISED: {
		const char *message = lua_type(run.lua, -1) == LUA_TSTRING
		                          ? lua_tostring(run.lua, -1)
		                          : "a file raised an error that is no text";
		if (!load->error)
			tell_message(load, message);
		break;
	}
	case SANDBOX_ABORTED:
		snprintf(text, sizeof(text), "while loading, the app's files %s", run.abort_text);
		tell_message(load, text);
		break;
	}
	sandbox_run_end(&run);
}

static int compare_components(const void *a, const void *b)
{
	return strcmp(
	    (*(struct host_component *const *)a)->name, (*(struct host_component *const *)b)->name);
}

/* An event that no component of the file declares (of the app, where the file has no component). */
static bool is_declared(const struct host_bundle *bundle, const struct emit_place *emit)
{
	bool file_has_components = false, anywhere = false;
	for (size_t i = 0; i < bundle->component_count; i++) {
		struct host_component *component = bundle->components[i];
		bool here = component->place.file && strcmp(component->place.file, emit->file) == 0;
		bool declares = component_event(component, slice_from_text(emit->name)) != NULL;
		file_has_components = file_has_components || here;
		anywhere = anywhere || declares;
		if (here && declares)
			return true;
	}
	return !file_has_components && anywhere;
}

void load_emits(struct load *load, const char *file, uint32_t line, struct slice name)
{
	if (name.bytes == 0 || name.bytes >= sizeof(load->emits->name))
		return;
	if (array_reserve(
	        &load->emits, &load->emit_capacity, load->emit_count + 1, sizeof(*load->emits))) {
		load->error = ERR_NOMEM;
		return;
	}
	struct emit_place *emit = &load->emits[load->emit_count++];
	*emit = (struct emit_place){.line = line};
	memcpy(emit->name, name.data, name.bytes);
	snprintf(emit->file, sizeof(emit->file), "%s", file);
}

static void check_emits(struct load *load)
{
	for (size_t i = 0; i < load->emit_count; i++) {
		const struct emit_place *emit = &load->emits[i];
		if (!is_declared(load->owner.bundle, emit))
			load_tell(load, HOST_WARNING, emit->file, emit->line,
			    "no event '%s' is declared here", emit->name);
	}
}

/* Those that app.lua does not list are told and freed. */
static void keep_listed(struct load *load)
{
	struct host_bundle *bundle = load->owner.bundle;
	size_t kept = 0;
	for (size_t i = 0; i < bundle->component_count; i++) {
		struct host_component *component = bundle->components[i];
		if (component->is_listed) {
			bundle->components[kept++] = component;
			continue;
		}
		load_tell(load, HOST_WARNING, component->place.file, component->place.line,
		    "%s is not listed in app.lua", component->name);
		component_free(component);
	}
	bundle->component_count = kept;
	if (kept)
		qsort(bundle->components, kept, sizeof(*bundle->components), compare_components);
	uint64_t seed = hash_bytes(buffer_view(&bundle->bytes), 1);
	for (size_t i = 0; i < kept; i++) {
		struct host_component *component = bundle->components[i];
		component->fold_hash = hash_bytes(slice_from_text(component->name), seed);
		if (component_state_bytes_max(component) < bundle->limits.state_bytes)
			load_tell(load, HOST_WARNING, component->place.file, component->place.line,
			    "%s keeps states (history), and so may have states of %llu bytes at "
			    "most, not of %llu as limits.state_bytes says: each change stores one "
			    "twice",
			    component->name, (unsigned long long)STATE_KEPT_BYTES_MAX,
			    (unsigned long long)bundle->limits.state_bytes);
		if (i > 0 && strcmp(bundle->components[i - 1]->name, component->name) == 0)
			load_tell(load, HOST_ERROR, component->place.file, component->place.line,
			    "the app has two components named %s", component->name);
	}
}

/* ---- Bundles ---- */

/* NOLINTBEGIN(misc-no-recursion): once, for the shadow, which has none of its own */

static void bundle_free(struct host_bundle *bundle)
{
	host_bundle_release(bundle->shadow);
	for (size_t i = 0; i < bundle->component_count; i++)
		component_free(bundle->components[i]);
	mem_free(bundle->components);
	luaL_unref(bundle->host->lua, LUA_REGISTRYINDEX, bundle->modules);
	bundle_close(&bundle->files);
	buffer_done(&bundle->bytes);
	mem_free(bundle->app);
	mem_free(bundle);
}

static int push_table(lua_State *lua)
{
	lua_newtable(lua);
	lua_pushinteger(lua, luaL_ref(lua, LUA_REGISTRYINDEX));
	return 1;
}

static int bundle_new(struct host *host, struct slice bytes, struct host_diagnostics *diagnostics,
    struct host_bundle **ret_bundle)
{
	struct host_bundle *bundle = mem_zalloc(1, sizeof(*bundle));
	if (!bundle)
		return ERR_NOMEM;
	bundle->host = host;
	bundle->modules = LUA_NOREF;
	bundle->references = 1;
	list_node_init(&bundle->in_host);
	bundle->limits = (struct app_limits){HANDLER_INSTRUCTIONS_MAX, HANDLER_RUN_MS_MAX,
	    HANDLER_BYTES_MAX, PAYLOAD_BYTES_MAX, STATE_BYTES_DEFAULT};
	host_bundle_hash(bytes, bundle->hash);
	buffer_init(&bundle->bytes, BUNDLE_BYTES_MAX);
	const char *why = "the bundle is larger than 8 MiB";
	int error = buffer_append_slice(&bundle->bytes, bytes);
	if (error == ERR_TOO_LARGE)
		error = ERR_INVALID;
	if (!error)
		error = bundle_open(buffer_view(&bundle->bytes), &bundle->files, &why);
	if (error == ERR_INVALID && diagnostics_add(diagnostics, HOST_ERROR, NULL, 0, "%s", why))
		error = ERR_NOMEM;
	lua_pushcfunction(host->lua, push_table);
	if (!error && lua_pcall(host->lua, 0, 1, 0) == LUA_OK)
		bundle->modules = (int)lua_tointeger(host->lua, -1);
	else if (!error)
		error = ERR_NOMEM;
	lua_pop(host->lua, 1);
	if (error) {
		bundle_free(bundle);
		return error;
	}
	*ret_bundle = bundle;
	return 0;
}

/* In dev mode the same files are loaded a second time. */
static void load_shadow(struct load *load)
{
	struct host_bundle *bundle = load->owner.bundle;
	struct host *shadow = load->owner.host->shadow;
	if (!shadow || load->refused || load->error)
		return;
	struct host_diagnostics ignored = {0};
	int error = host_load(shadow, buffer_view(&bundle->bytes), &ignored, &bundle->shadow);
	host_diagnostics_free(&ignored);
	if (error == ERR_INVALID)
		load_tell(load, HOST_ERROR, "app.lua", 0,
		    "the files load once and not a second time: loading must not depend on chance");
	else if (error)
		load->error = error;
}

int host_load(struct host *host, struct slice bytes, struct host_diagnostics *diagnostics,
    struct host_bundle **ret_bundle)
{
	char hash[HOST_HASH_CHARACTERS + 1];
	host_bundle_hash(bytes, hash);
	LIST_FOR_EACH(node, &host->bundles)
	{
		struct host_bundle *bundle = CONTAINER_OF(node, struct host_bundle, in_host);
		if (strcmp(bundle->hash, hash) == 0) {
			bundle->references++;
			*ret_bundle = bundle;
			return 0;
		}
	}
	struct load load = {
	    .owner = {.kind = OWNER_LOAD, .host = host}, .diagnostics = diagnostics};
	int error = bundle_new(host, bytes, diagnostics, &load.owner.bundle);
	if (error)
		return error;
	struct host_bundle *bundle = load.owner.bundle;
	run_load(&load);
	if (!load.error && !load.refused)
		keep_listed(&load);
	if (!load.error && !load.refused)
		check_emits(&load);
	mem_free(load.emits);
	load_shadow(&load);
	diagnostics_sort(diagnostics);
	if (load.error || load.refused) {
		bundle_free(bundle);
		return load.error ? load.error : ERR_INVALID;
	}
	list_push_back(&host->bundles, &bundle->in_host);
	host->figures.bundles++;
	*ret_bundle = bundle;
	return 0;
}

void host_bundle_keep(struct host_bundle *bundle)
{
	ASSERT(bundle->references > 0);
	bundle->references++;
}

void host_bundle_release(struct host_bundle *bundle)
{
	if (!bundle)
		return;
	ASSERT(bundle->references > 0);
	if (--bundle->references > 0)
		return;
	list_remove(&bundle->in_host);
	bundle->host->figures.bundles--;
	bundle_free(bundle);
}

/* NOLINTEND(misc-no-recursion) */
