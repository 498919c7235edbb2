/* What test files see: describe, it, before_each, require, and assert. */
#include "base/mem.h"
#include "scripting/test/world_lua.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

enum { BEFORE_MAX = 1000, DESCRIBES_MAX = 10000, NAME_BYTES_SHOWN = 200 };

/* ---- Names and functions ---- */

/* `verb "name"` and a function, as both describe and it take them. */
static void check_named(lua_State *lua, const struct app_test *test, const char *verb)
{
	if (!test->loading)
		luaL_error(lua,
		    "%s: tests are declared while their file is loaded, not inside of a test",
		    verb);
	if (lua_type(lua, 1) != LUA_TSTRING)
		luaL_error(lua, "%s: the first argument is a name, a text, not %s", verb,
		    test_what(lua, 1));
	if (lua_rawlen(lua, 1) == 0)
		luaL_error(lua, "%s: the name is empty", verb);
	if (lua_isnone(lua, 2))
		luaL_error(lua,
		    "%s \"%s\": its function is missing: %s(\"name\", function() ... end)", verb,
		    lua_tostring(lua, 1), verb);
	if (!lua_isfunction(lua, 2))
		luaL_error(lua, "%s \"%s\": the second argument is a function, not %s", verb,
		    lua_tostring(lua, 1), test_what(lua, 2));
	if (lua_gettop(lua) > 2)
		luaL_error(lua, "%s \"%s\": there is nothing behind the function", verb,
		    lua_tostring(lua, 1));
}

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = lua_tolstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

/* ---- describe ---- */

static size_t add_describe(lua_State *lua, struct app_test *test, size_t parent, struct slice name)
{
	if (test->describe_count == DESCRIBES_MAX)
		luaL_error(lua, "describe: more than %d", DESCRIBES_MAX);
	unsigned depth = parent == NO_DESCRIBE ? 0 : test->describes[parent].depth + 1;
	if (depth > TEST_DEPTH_MAX)
		luaL_error(lua, "describe: more than %d in each other", TEST_DEPTH_MAX);
	test->describes = test_grow(lua, test->describes, test->describe_count,
	    &test->describe_capacity, sizeof(*test->describes));
	char *copy = test_text(lua, name);
	test->describes[test->describe_count] =
	    (struct describe){.parent = parent, .name = copy, .depth = depth};
	return test->describe_count++;
}

static int test_describe(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_named(lua, test, "describe");
	size_t outer = test->describe_now;
	test->describe_now = add_describe(lua, test, outer, text_at(lua, 1));
	int status = sandbox_pcall(lua, 0, 0);
	test->describe_now = outer;
	return status == LUA_OK ? 0 : lua_error(lua);
}

/* ---- it ---- */

/* "outer > inner > name" */
static char *full_name(lua_State *lua, struct app_test *test, struct slice name)
{
	size_t chain[TEST_DEPTH_MAX + 1];
	unsigned depth = 0;
	for (size_t at = test->describe_now; test->describes[at].parent != NO_DESCRIBE;
	     at = test->describes[at].parent)
		chain[depth++] = at;
	buffer_clear(&test->scratch);
	int error = 0;
	while (depth > 0 && !error)
		error = buffer_append_format(&test->scratch, "%.*s > ", NAME_BYTES_SHOWN,
		    test->describes[chain[--depth]].name);
	if (!error)
		error = buffer_append_slice(&test->scratch, name);
	if (error)
		luaL_error(lua, "it: %s", error_text(error));
	return test_text(lua, buffer_view(&test->scratch));
}

static int test_it(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	check_named(lua, test, "it");
	if (test->case_count == TEST_CASES_MAX)
		luaL_error(lua, "it: more than %d tests", TEST_CASES_MAX);
	lua_Debug function;
	lua_pushvalue(lua, 2);
	lua_getinfo(lua, ">S", &function);
	test->cases = test_grow(
	    lua, test->cases, test->case_count, &test->case_capacity, sizeof(*test->cases));
	char *name = full_name(lua, test, text_at(lua, 1));
	struct test_case *item = &test->cases[test->case_count];
	*item = (struct test_case){.file = test->file_now,
	    .describe = test->describe_now,
	    .line = function.linedefined > 0 ? (uint32_t)function.linedefined : 0,
	    .name = name,
	    .function = LUA_NOREF};
	test->case_count++;
	item->function = luaL_ref(lua, LUA_REGISTRYINDEX);
	return 0;
}

static int test_before_each(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	if (!test->loading)
		luaL_error(lua, "before_each: it stands in a file or a describe, not in a test");
	if (!lua_isfunction(lua, 1) || lua_gettop(lua) != 1)
		luaL_error(lua, "before_each takes a function: before_each(function() ... end)");
	struct describe *describe = &test->describes[test->describe_now];
	if (describe->before_count == BEFORE_MAX)
		luaL_error(lua, "before_each: more than %d here", BEFORE_MAX);
	describe->before = test_grow(lua, describe->before, describe->before_count,
	    &describe->before_capacity, sizeof(*describe->before));
	int reference = luaL_ref(lua, LUA_REGISTRYINDEX);
	describe->before[describe->before_count++] = reference;
	return 0;
}

/* ---- Files ---- */

/* Runs a file of which the function is on top, and leaves its value instead. */
static void run_file(lua_State *lua, struct app_test *test, size_t number)
{
	size_t file_outer = test->file_now, describe_outer = test->describe_now;
	size_t own = add_describe(lua, test, NO_DESCRIBE, slice_from_text(""));
	test->files[number].stage = FILE_LOADING;
	test->file_now = number;
	test->describe_now = own;
	int status = sandbox_pcall(lua, 0, 1);
	test->file_now = file_outer;
	test->describe_now = describe_outer;
	test->files[number].stage = status == LUA_OK ? FILE_LOADED : FILE_FAILED;
	if (status != LUA_OK)
		lua_error(lua);
}

void test_load_file(lua_State *lua, struct app_test *test, size_t number)
{
	struct test_file *file = &test->files[number];
	char chunk_name[BUNDLE_PATH_BYTES_MAX + 2];
	switch (file->stage) {
	case FILE_LOADED:
		lua_rawgeti(lua, LUA_REGISTRYINDEX, file->value);
		return;
	case FILE_FAILED:
		luaL_error(lua, "require: %s could not be loaded", file->path);
		return;
	case FILE_LOADING:
		luaL_error(
		    lua, "files require each other in a circle: %s is not done yet", file->path);
		return;
	case FILE_NEW:
		break;
	}
	luaL_checkstack(lua, 20, "files require each other too deeply");
	snprintf(chunk_name, sizeof(chunk_name), "@%s", file->path);
	int error = sandbox_compile(lua, slice_of(file->source, file->source_bytes), chunk_name);
	if (error == ERR_NOMEM)
		luaL_error(lua, "out of memory");
	if (error) {
		file->stage = FILE_FAILED;
		lua_error(lua);
	}
	lua_rawgeti(lua, LUA_REGISTRYINDEX, test->environment);
	lua_setupvalue(lua, -2, 1);
	run_file(lua, test, number);
	lua_pushvalue(lua, -1);
	test->files[number].value = luaL_ref(lua, LUA_REGISTRYINDEX);
}

/* "tests.rig_test" and "tests/rig_test" name tests/rig_test.lua. */
static size_t find_file(const struct app_test *test, struct slice name)
{
	char path[BUNDLE_PATH_BYTES_MAX + 1];
	if (name.bytes + 4 > BUNDLE_PATH_BYTES_MAX)
		return test->file_count;
	for (size_t i = 0; i < name.bytes; i++)
		path[i] = (char)(name.data[i] == '.' ? '/' : name.data[i]);
	memcpy(path + name.bytes, ".lua", 5);
	size_t at = 0;
	while (at < test->file_count && strcmp(test->files[at].path, path) != 0)
		at++;
	return at;
}

static int test_require(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	luaL_checkstring(lua, 1);
	struct slice name = text_at(lua, 1);
	if (slice_equal(name, slice_from_text("kalix.test"))) {
		lua_rawgeti(lua, LUA_REGISTRYINDEX, test->module);
		return 1;
	}
	size_t number = find_file(test, name);
	if (number == test->file_count)
		return load_require(lua);
	if (!test->loading && test->files[number].stage == FILE_NEW)
		luaL_error(lua, "require: a test file is loaded before its tests run, not in them");
	test_load_file(lua, test, number);
	return 1;
}

/* ---- The environment ---- */

/* The table on top is shown through an empty one that can't be written; what it does not have is
 * looked for in the table below, which goes. */
static void show(lua_State *lua)
{
	lua_newtable(lua);
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "__index");
	lua_setmetatable(lua, -2);
	lua_newtable(lua);
	lua_newtable(lua);
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "__index");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pushcfunction(lua, test_refuse_write);
	lua_setfield(lua, -2, "__newindex");
	lua_setmetatable(lua, -2);
	lua_replace(lua, -3);
	lua_pop(lua, 1);
}

static int no_such_function(lua_State *lua)
{
	static const char *const names[] = {
	    "app", "assert", "before_each", "describe", "entity", "it"};
	struct slice known[sizeof(names) / sizeof(names[0])];
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		known[i] = slice_from_text(names[i]);
	test_push_text(lua, 2);
	char suggestion[128];
	suggest(text_at(lua, -1), known, sizeof(known) / sizeof(known[0]), suggestion,
	    sizeof(suggestion));
	return luaL_error(lua, "kalix.test has no '%s'%s", lua_tostring(lua, -1), suggestion);
}

static void add_functions(lua_State *lua)
{
	static const luaL_Reg functions[] = {{"describe", test_describe}, {"it", test_it},
	    {"before_each", test_before_each}, {NULL, NULL}};
	luaL_setfuncs(lua, functions, 0);
	test_open_assert(lua);
}

void test_open(lua_State *lua, struct app_test *test)
{
	/* What is not in the module is an error there. */
	lua_newtable(lua);
	lua_newtable(lua);
	lua_pushcfunction(lua, no_such_function);
	lua_setfield(lua, -2, "__index");
	lua_setmetatable(lua, -2);
	lua_newtable(lua);
	add_functions(lua);
	world_open_app(lua);
	world_open_entity(lua);
	show(lua);
	lua_pushvalue(lua, -1);
	test->module = luaL_ref(lua, LUA_REGISTRYINDEX);
	/* Globals: what all scripts see, and this. */
	lua_pushglobaltable(lua);
	lua_newtable(lua);
	add_functions(lua);
	lua_pushcfunction(lua, test_require);
	lua_setfield(lua, -2, "require");
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "test");
	show(lua);
	test->environment = luaL_ref(lua, LUA_REGISTRYINDEX);
	lua_pop(lua, 1);
}
