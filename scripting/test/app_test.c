/* An app's tests from the outside: loaded, counted, run. */
#include "scripting/test/app_test.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "scripting/diagnostics.h"
#include "scripting/test/parts.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Between two tests. */
enum { WORLDS_KEPT = 16 };
#define SEED 1 /* of math.random in test files; theirs have their own */

struct app_test *test_current(lua_State *lua)
{
	struct script_owner *owner = script_owner(lua);
	if (!owner || owner->kind != OWNER_TEST) {
		luaL_error(lua, "this can be called by a test only");
		UNREACHABLE();
	}
	return (struct app_test *)owner;
}

void *test_grow(lua_State *lua, void *items, size_t count, size_t *capacity, size_t bytes)
{
	if (array_reserve(&items, capacity, count + 1, bytes))
		luaL_error(lua, "out of memory");
	return items;
}

char *test_text(lua_State *lua, struct slice text)
{
	char *copy = text_copy(text);
	if (!copy)
		luaL_error(lua, "out of memory");
	return copy;
}

/* ---- What went wrong ---- */

/* "tests/a_test.lua:12: what" as place and message. */
static struct slice split_place(
    const struct app_test *test, struct slice text, char where[TEST_WHERE_BYTES])
{
	for (size_t i = 0; i < test->file_count; i++) {
		size_t path = strlen(test->files[i].path), at = path + 1;
		if (text.bytes <= at || memcmp(text.data, test->files[i].path, path) != 0 ||
		    text.data[path] != ':')
			continue;
		while (at < text.bytes && text.data[at] >= '0' && text.data[at] <= '9')
			at++;
		if (at == path + 1 || at + 1 >= text.bytes || text.data[at] != ':')
			continue;
		snprintf(where, TEST_WHERE_BYTES, "%.*s", (int)at, (const char *)text.data);
		at += text.data[at + 1] == ' ' ? 2 : 1;
		return slice_of(text.data + at, text.bytes - at);
	}
	return text;
}

static void take_text(struct app_test *test, struct slice text)
{
	struct failure *failure = &test->failure;
	struct slice message = split_place(test, text, failure->where);
	/* Without memory there is no message: the case has failed all the same. */
	if (buffer_append_slice(&failure->message, message))
		buffer_clear(&failure->message);
}

/* Protected. Nothing of the script's runs here, outside of any budget: no __tostring of its own. */
static int push_text(lua_State *lua)
{
	if (lua_isstring(lua, 1) || test_is_failure(lua, 1) || test_is_call_error(lua, 1))
		test_push_text(lua, 1);
	else
		lua_pushfstring(lua, "it raised an error that is a %s", luaL_typename(lua, 1));
	return 1;
}

static void take_raised(struct app_test *test, struct sandbox_run *run)
{
	lua_State *lua = run->lua;
	struct failure *failure = &test->failure;
	if (lua_istable(lua, -1) && lua_topointer(lua, -1) == failure->value)
		return;
	buffer_clear(&failure->message);
	buffer_clear(&failure->path);
	buffer_clear(&failure->expected);
	buffer_clear(&failure->got);
	buffer_clear(&failure->traceback);
	test_where(lua, failure->where);
	lua_pushcfunction(lua, push_text);
	lua_insert(lua, -2);
	if (lua_pcall(lua, 1, 1, 0) != LUA_OK || lua_type(lua, -1) != LUA_TSTRING) {
		take_text(test, slice_from_text("it raised an error without a text"));
		return;
	}
	size_t bytes;
	const char *text = lua_tolstring(lua, -1, &bytes);
	take_text(test, slice_of(text, bytes));
}

static void take_aborted(struct app_test *test, const struct sandbox_run *run, const char *what)
{
	char text[256];
	struct failure *failure = test_fail_begin(run->lua, test);
	snprintf(text, sizeof(text), "%s %s", what, run->abort_text);
	(void)failure;
	take_text(test, slice_from_text(text));
}

/* Runs a C function with a number, as one of the tests. Whether it ended well; else `failure` says
 * why not. */
static int run(
    struct app_test *test, lua_CFunction function, size_t number, const char *what, bool *ret_good)
{
	struct sandbox_budget budget = {
	    TEST_INSTRUCTIONS_MAX, TEST_RUN_MS_MAX * UINT64_C(1000000), TEST_MEMORY_BYTES_MAX};
	struct sandbox_run run;
	int error = sandbox_run_begin(test->host->sandbox, &budget, &run);
	if (error)
		return error;
	run.owner = test;
	test->failure.value = NULL;
	lua_pushcfunction(run.lua, function);
	lua_pushinteger(run.lua, (lua_Integer)number);
	int results, arguments = 1;
	while (sandbox_run_resume(&run, arguments, 0, &results) == SANDBOX_RUNNING)
		arguments = 0;
	*ret_good = run.end == SANDBOX_ENDED;
	if (run.end == SANDBOX_RAISED)
		take_raised(test, &run);
	else if (run.end == SANDBOX_ABORTED)
		take_aborted(test, &run, what);
	sandbox_run_end(&run);
	return 0;
}

/* ---- Loading ---- */

static int load_main(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	size_t number = (size_t)lua_tointeger(lua, 1);
	test->describe_now = NO_DESCRIBE;
	test_load_file(lua, test, number);
	return 0;
}

static char *copy_of(const struct buffer *text)
{
	return text_copy(buffer_view(text));
}

/* A file that could not be loaded is a case that fails. */
static int add_failed_file(struct app_test *test, size_t number)
{
	if (array_reserve(
	        &test->cases, &test->case_capacity, test->case_count + 1, sizeof(*test->cases)))
		return ERR_NOMEM;
	struct test_case item = {.file = number,
	    .describe = NO_DESCRIBE,
	    .name = text_copy(slice_from_text("")),
	    .where = text_copy(slice_from_text(
	        test->failure.where[0] ? test->failure.where : test->files[number].path)),
	    .message = copy_of(&test->failure.message),
	    .function = LUA_NOREF};
	test->cases[test->case_count++] = item;
	return item.name && item.where && item.message ? 0 : ERR_NOMEM;
}

static int load_files(struct app_test *test)
{
	test->loading = true;
	for (size_t i = 0; i < test->file_count; i++) {
		bool good;
		if (test->files[i].stage == FILE_LOADED)
			continue;
		int error = run(test, load_main, i, "while it was loaded, the file", &good);
		if (!error && !good)
			error = add_failed_file(test, i);
		if (error)
			return error;
	}
	test->loading = false;
	return 0;
}

static int open_main(lua_State *lua)
{
	test_open(lua, lua_touserdata(lua, 1));
	return 0;
}

/* A line of a test's print. */
static void take_printed(void *arg, int level, struct slice address, struct slice text)
{
	struct app_test *test = arg;
	(void)level;
	(void)address;
	/* What does not fit is not shown. */
	if (buffer_append_format(
	        &test->printed, "%.*s\n", (int)text.bytes, (const char *)text.data))
		return;
}

static int copy_files(struct app_test *test, const struct host_file *files, size_t count)
{
	test->files = mem_zalloc(count ? count : 1, sizeof(*test->files));
	if (!test->files)
		return ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		struct test_file *file = &test->files[test->file_count++];
		file->path = text_copy(files[i].path);
		file->source = text_copy(files[i].source);
		file->source_bytes = files[i].source.bytes;
		file->value = LUA_NOREF;
		if (!file->path || !file->source)
			return ERR_NOMEM;
	}
	return 0;
}

static int open_host(
    struct app_test *test, struct slice bundle, struct host_diagnostics *diagnostics)
{
	struct host_options options = {
	    .mode = HOST_PRODUCTION, .seed = SEED, .log = take_printed, .log_arg = test};
	int error = host_new(&options, &test->host);
	if (!error)
		error = host_load(test->host, bundle, diagnostics, &test->owner.bundle);
	if (error)
		return error;
	test->owner.host = test->host;
	lua_State *lua = test->host->lua;
	lua_pushcfunction(lua, open_main);
	lua_pushlightuserdata(lua, test);
	if (lua_pcall(lua, 1, 0, 0) != LUA_OK) {
		lua_pop(lua, 1);
		return ERR_NOMEM;
	}
	return 0;
}

int app_test_new(struct slice bundle, const struct host_file *files, size_t count,
    struct host_diagnostics *diagnostics, struct app_test **ret_test)
{
	struct app_test *test = mem_zalloc(1, sizeof(*test));
	if (!test)
		return ERR_NOMEM;
	test->owner.kind = OWNER_TEST;
	test->environment = test->module = LUA_NOREF;
	buffer_init(&test->failure.message, 8 * TEST_TEXT_BYTES_MAX);
	buffer_init(&test->failure.path, TEST_LINES_BYTES_MAX);
	buffer_init(&test->failure.expected, 2 * TEST_TEXT_BYTES_MAX);
	buffer_init(&test->failure.got, 2 * TEST_TEXT_BYTES_MAX);
	buffer_init(&test->failure.traceback, TEST_LINES_BYTES_MAX);
	buffer_init(&test->printed, TEST_LINES_BYTES_MAX);
	buffer_init(&test->logged, TEST_LINES_BYTES_MAX);
	buffer_init(&test->scratch, TEST_LINES_BYTES_MAX);
	buffer_init(&test->payload, 2 * PAYLOAD_BYTES_MAX);
	buffer_init(&test->metadata, METADATA_BYTES_MAX);
	buffer_init(&test->given, 4 * STATE_BYTES_MAX);
	int error = count > TEST_FILES_MAX ? ERR_TOO_LARGE : copy_files(test, files, count);
	if (!error)
		error = open_host(test, bundle, diagnostics);
	if (!error)
		error = load_files(test);
	if (error) {
		app_test_free(test);
		return error;
	}
	*ret_test = test;
	return 0;
}

void app_test_free(struct app_test *test)
{
	if (!test)
		return;
	host_bundle_release(test->owner.bundle);
	host_free(test->host);
	for (size_t i = 0; i < test->file_count; i++) {
		mem_free(test->files[i].path);
		mem_free(test->files[i].source);
	}
	for (size_t i = 0; i < test->describe_count; i++) {
		mem_free(test->describes[i].name);
		mem_free(test->describes[i].before);
	}
	for (size_t i = 0; i < test->case_count; i++) {
		mem_free(test->cases[i].name);
		mem_free(test->cases[i].where);
		mem_free(test->cases[i].message);
	}
	mem_free(test->files);
	mem_free(test->describes);
	mem_free(test->cases);
	struct buffer *const buffers[] = {&test->failure.message, &test->failure.path,
	    &test->failure.expected, &test->failure.got, &test->failure.traceback, &test->printed,
	    &test->logged, &test->scratch, &test->payload, &test->metadata, &test->given};
	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		buffer_done(buffers[i]);
	mem_free(test);
}

/* ---- Cases ---- */

size_t app_test_count(const struct app_test *test)
{
	return test->case_count;
}

struct app_test_case app_test_at(const struct app_test *test, size_t number)
{
	ASSERT(number < test->case_count);
	const struct test_case *item = &test->cases[number];
	return (struct app_test_case){test->files[item->file].path, item->line, item->name};
}

static int case_main(lua_State *lua)
{
	struct app_test *test = test_current(lua);
	const struct test_case *item = &test->cases[lua_tointeger(lua, 1)];
	size_t chain[TEST_DEPTH_MAX + 1];
	unsigned depth = 0;
	for (size_t at = item->describe; at != NO_DESCRIBE; at = test->describes[at].parent)
		chain[depth++] = at;
	while (depth > 0) {
		const struct describe *describe = &test->describes[chain[--depth]];
		for (size_t i = 0; i < describe->before_count; i++) {
			lua_rawgeti(lua, LUA_REGISTRYINDEX, describe->before[i]);
			lua_call(lua, 0, 0);
		}
	}
	lua_rawgeti(lua, LUA_REGISTRYINDEX, item->function);
	lua_call(lua, 0, 0);
	return 0;
}

static void tell_failed_file(struct app_test *test, const struct test_case *item)
{
	struct failure *failure = &test->failure;
	snprintf(failure->where, sizeof(failure->where), "%s", item->where);
	buffer_clear(&failure->message);
	take_text(test, slice_from_text(item->message));
	buffer_clear(&failure->path);
	buffer_clear(&failure->expected);
	buffer_clear(&failure->got);
	buffer_clear(&failure->traceback);
}

int app_test_run(struct app_test *test, size_t number, struct app_test_outcome *ret_outcome)
{
	ASSERT(number < test->case_count);
	const struct test_case *item = &test->cases[number];
	bool good = false;
	buffer_clear(&test->printed);
	buffer_clear(&test->logged);
	if (item->message) {
		tell_failed_file(test, item);
	} else {
		int error = run(test, case_main, number, "the test", &good);
		if (error)
			return error;
	}
	struct app_test_outcome outcome = {
	    .passed = good, .where = "", .printed = buffer_view(&test->printed)};
	if (!good) {
		struct failure *failure = &test->failure;
		outcome.where = failure->where;
		outcome.message = buffer_view(&failure->message);
		outcome.path = buffer_view(&failure->path);
		outcome.expected = buffer_view(&failure->expected);
		outcome.got = buffer_view(&failure->got);
		outcome.traceback = buffer_view(&failure->traceback);
		outcome.logged = buffer_view(&test->logged);
	}
	*ret_outcome = outcome;
	/* Lua does not see how much memory an app is that nobody has any more. */
	if (test->worlds > WORLDS_KEPT)
		sandbox_collect_whole(test->host->lua);
	while (host_idle(test->host)) {
	}
	return 0;
}
