#include "tests/shard_sim/app.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "tests/sim/verdict.h"

enum { VERSIONS = 16, SOURCE_BYTES_MAX = 16 * 1024, FILES = 5, ORDER_KEYS = 64 };

static const char folder[] = "tests/shard_sim/app";
/* Sorted; the last one is written for each version. */
static const char *const names[FILES] = {
    "account.lua", "app.lua", "counter.lua", "marks.lua", "version.lua"};
static char sources[FILES][SOURCE_BYTES_MAX];

static const struct app_command commands[] = {
    {.name = "add", .kind = MODEL_CHANGE, .weight = 30, .ids = 1},
    {.name = "add", .kind = MODEL_CHANGE, .weight = 14, .ids = 1, .token = true},
    {.name = "many", .kind = MODEL_CHANGE, .weight = 5, .ids = 3, .only_account = true},
    {.name = "slow", .kind = MODEL_CHANGE, .weight = 4, .ids = 1, .takes_long = true},
    {.name = "slow",
        .kind = MODEL_CHANGE,
        .weight = 2,
        .ids = 1,
        .token = true,
        .takes_long = true},
    {.name = "delete",
        .kind = MODEL_DELETE,
        .weight = 2,
        .ids = 1,
        .failure = STATUS_FAILED_PRECONDITION},
    {.name = "big",
        .kind = MODEL_CHANGE,
        .weight = 1,
        .ids = 1,
        .token = true,
        .takes_long = true,
        .never_done = true},
    {.name = "spend",
        .kind = MODEL_CHANGE,
        .weight = 1,
        .ids = 1,
        .takes_long = true,
        .never_done = true},
    {.name = "get", .kind = MODEL_READ, .weight = 24, .ids = 0},
    {.name = "fail",
        .kind = MODEL_READ,
        .weight = 8,
        .ids = 0,
        .failure = STATUS_FAILED_PRECONDITION,
        .never_done = true},
    {.name = "noop", .kind = MODEL_READ, .weight = 4, .ids = 0},
    {.name = "late", .kind = MODEL_READ, .weight = 2, .ids = 0, .takes_long = true},
    {.name = "now", .kind = MODEL_READ, .weight = 5, .ids = 0},
    {.name = "look", .kind = MODEL_READ, .weight = 3, .ids = 0},
    {.name = "broken",
        .kind = MODEL_READ,
        .weight = 1,
        .ids = 0,
        .failure = STATUS_INTERNAL,
        .never_done = true},
};

const struct app_command *app_commands(size_t *ret_count)
{
	*ret_count = sizeof(commands) / sizeof(commands[0]);
	return commands;
}

bool app_is_lua(void)
{
	return true;
}

bool app_open(void)
{
	for (size_t i = 0; i + 1 < FILES; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		FILE *file = fopen(path, "r");
		if (!file) {
			fprintf(
			    stderr, "%s is not here: run this from the top of the tree\n", path);
			return false;
		}
		size_t bytes = fread(sources[i], 1, SOURCE_BYTES_MAX - 1, file);
		fclose(file);
		sources[i][bytes] = '\0';
	}
	return true;
}

void app_seed(void)
{
}

unsigned app_versions(void)
{
	return VERSIONS;
}

uint32_t app_state_version(uint32_t version)
{
	return 1 + version / 2;
}

static uint32_t event_version(uint32_t version)
{
	return 1 + version / 3;
}

void app_bundle(unsigned version, unsigned types, struct buffer *out)
{
	struct host_file files[FILES];
	snprintf(sources[FILES - 1], SOURCE_BYTES_MAX,
	    "return { app = %u, state = %u, event = %u, account = %s, counter = %s }\n", version,
	    app_state_version(version), event_version(version),
	    types & MODEL_HAS_ACCOUNT ? "true" : "false",
	    types & MODEL_HAS_COUNTER ? "true" : "false");
	for (size_t i = 0; i < FILES; i++)
		files[i] = (struct host_file){
		    .path = slice_from_text(names[i]), .source = slice_from_text(sources[i])};
	int error = host_bundle_pack(files, FILES, out);
	ASSERT(!error);
}

struct host_bundle *app_load(
    struct host *host, unsigned version, unsigned types, char ret_hash[HOST_HASH_CHARACTERS + 1])
{
	struct buffer bytes;
	struct host_bundle *bundle;
	struct host_diagnostics diagnostics = {0};
	buffer_init(&bytes, BUNDLE_BYTES_MAX);
	app_bundle(version, types, &bytes);
	host_bundle_hash(buffer_view(&bytes), ret_hash);
	int error = host_load(host, buffer_view(&bytes), &diagnostics, &bundle);
	EXPECT(!error, "app", "version %u: %s: %s", version, error_name(error),
	    diagnostics.count > 0 ? diagnostics.items[0].text : "");
	host_diagnostics_free(&diagnostics);
	buffer_done(&bytes);
	return bundle;
}

struct app_figures app_figures(const struct host *host)
{
	struct host_figures figures = host_figures(host);
	return (struct app_figures){.pauses = figures.pauses,
	    .exhausted = figures.exhausted,
	    .events_folded = figures.events_folded};
}

/* Lua takes the seed of an interpreter's hashes with this (luai_makeseed) from the time and from
 * addresses, of a function and on the stack, too, which are others in another build of the same
 * sources. When a table grows depends on the seed where keys come and go, what is collected depends
 * on that, and how often the clock is looked at. The linker puts this in the place of Lua's own,
 * see module.am: one interpreter after the other, each with another seed, as in life. */
static uint64_t interpreters;
unsigned __wrap_luaS_hash(const char *text, size_t bytes, unsigned seed);

unsigned __wrap_luaS_hash(const char *text, size_t bytes, unsigned seed)
{
	(void)text;
	(void)bytes;
	(void)seed;
	interpreters++;
	return (unsigned)hash_bytes(slice_of(&interpreters, sizeof(interpreters)), 0);
}

/* And this one keeps what it has made of texts by where those stand, which are constants of the
 * program and buffers on the stack: then it depends on that, too, whether a long one is made again.
 */
struct TString;
struct TString *luaS_newlstr(lua_State *lua, const char *text, size_t bytes);
struct TString *__wrap_luaS_new(lua_State *lua, const char *text);

struct TString *__wrap_luaS_new(lua_State *lua, const char *text)
{
	return luaS_newlstr(lua, text, strlen(text));
}

static void *allocate(void *arg, void *old, size_t old_bytes, size_t bytes)
{
	(void)arg;
	(void)old_bytes;
	if (bytes > 0)
		return mem_realloc(old, bytes);
	mem_free(old);
	return NULL;
}

uint64_t app_accidental_order(void)
{
	uint64_t order = 0, before = interpreters;
	lua_State *lua = lua_newstate(allocate, NULL);
	ASSERT(lua != NULL);
	ASSERT(interpreters == before + 1);
	lua_newtable(lua);
	for (int i = 0; i < ORDER_KEYS; i++) {
		lua_pushfstring(lua, "key%d", i);
		lua_pushinteger(lua, i);
		lua_rawset(lua, -3);
	}
	for (lua_pushnil(lua); lua_next(lua, -2) != 0; lua_pop(lua, 1)) {
		lua_Integer value = lua_tointeger(lua, -1);
		order = hash_bytes(slice_of(&value, sizeof(value)), order);
	}
	lua_close(lua);
	return order;
}
