// sources: base/wire/address.c base/wire/base64.c base/wire/decimal.c base/wire/decimal_powers.c
// sources: base/wire/json_reader.c base/wire/json_writer.c base/wire/msgpack.c
// sources: base/wire/transcode.c base/wire/utf8.c
// sources: scripting/matcher.c scripting/pattern.c scripting/rfc3339.c scripting/schema.c
// sources: scripting/schema_accepts.c scripting/schema_code.c scripting/schema_lua.c
// sources: scripting/sandbox_keys.c scripting/value.c
// sources: scripting/value_check.c scripting/value_decode.c scripting/value_decode_scalar.c
// sources: scripting/value_encode.c scripting/value_encode_map.c scripting/value_flat.c
// sources: scripting/value_lazy.c scripting/value_pack.c scripting/value_pack_lazy.c
// sources: scripting/value_pack_sort.c scripting/value_plan.c scripting/value_print.c
// sources: scripting/value_scan.c scripting/value_scratch.c scripting/value_skim.c
// sources: scripting/value_unpack.c
// libraries: -llua5.4
/* A byte that chooses a schema, and whether JSON or MessagePack follows: what is read can be
 * written, and what was written reads the same, the short ways and the general ones alike. */
#include "base/buffer.h"
#include "base/wire/transcode.h"
#include "scripting/sandbox_internal.h"
#include "scripting/schema.h"
#include "scripting/value_inside.h"
#include "tests/fuzz/fuzz.h"
#include "tests/no_sandbox.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

enum { SCHEMAS = 8 };

static lua_State *lua;
static struct schema *schemas[SCHEMAS]; /* the first is none */

static const char script[] =
    "local s = schema\n"
    "local item = s.record { name = s.string { min = 1 }, n = s.integer { min = 1 },\n"
    "  at = s.optional(s.timestamp), f = s.optional(s.number { max = 9.5 }, 1.5) }\n"
    "local tagged = s.one_of({ s.record { k = s.string { enum = { 'a' } }, x = s.integer },\n"
    "  s.record({ k = s.string { enum = { 'b', 'c' } } }, { open = true }) }, { tag = 'k' })\n"
    "return s.record { items = s.map(s.string, item), on = s.optional(s.boolean, false) },\n"
    "  s.record({ a = s.optional(s.any, { 1 }) }, { open = true }),\n"
    "  s.list(s.one_of { s.integer, s.bytes { max = 3 }, s.string { pattern = '%a*b' },\n"
    "    s.list(s.list(s.integer)), s.list(s.any), s.map(s.integer, s.boolean) }),\n"
    "  s.map(s.integer { min = -5 }, tagged), s.optional(s.list(item, { max = 3 })),\n"
    "  s.map(s.string { min = 1, max = 2 }, s.bytes), s.any\n";

static void open_lua(void)
{
	lua = luaL_newstate();
	luaL_openlibs(lua);
	value_open(lua);
	schema_open(lua);
	lua_setglobal(lua, "schema");
	if (luaL_loadstring(lua, script) || lua_pcall(lua, 0, SCHEMAS - 1, 0))
		fuzz_must_hold(lua_tostring(lua, -1));
	for (int i = 1; i < SCHEMAS; i++) {
		schemas[i] = schema_at(lua, i);
		schema_keep(schemas[i]);
	}
	lua_settop(lua, 0);
}

/* The value on top, written and read again. */
static const char *judge(const struct schema *schema, struct buffer *first, struct buffer *second)
{
	struct value_problem problem;
	if (value_write_msgpack(lua, -1, schema, first, &problem))
		return "what was read can be written as MessagePack";
	if (value_push_msgpack(lua, buffer_view(first), schema, true, &problem))
		return "what was written as MessagePack can be read";
	if (value_write_msgpack(lua, -1, schema, second, &problem) ||
	    !slice_equal(buffer_view(first), buffer_view(second)))
		return "MessagePack is written the same again";
	buffer_clear(second);
	if (value_write_json(lua, -1, schema, second, &problem))
		return "what was read can be written as JSON";
	if (value_push_json(lua, buffer_view(second), schema, &problem))
		return "what was written as JSON can be read";
	/* The way around Lua gives the same text. */
	size_t bytes = buffer_bytes(second);
	if (transcode_json_from_msgpack(buffer_view(first), second))
		return "what was written can be transcoded";
	if (buffer_bytes(second) != 2 * bytes ||
	    memcmp(second->data, second->data + bytes, bytes) != 0)
		return "transcoding writes the same JSON";
	return value_copy(lua, -1, &problem) ? "what was read can be copied" : NULL;
}

/* The general way alone says the same: of the bytes, and of the value on top where `error` is 0. */
static const char *judge_general(const struct schema *schema, bool is_json, struct slice bytes,
    int error, const struct value_problem *problem, struct buffer *buffers)
{
	struct value_problem general = {.why = ""};
	value_state_of(lua)->no_direct = true;
	int again = is_json ? value_push_json(lua, bytes, schema, &general)
	                    : value_push_msgpack(lua, bytes, schema, true, &general);
	if (again != error)
		return "both ways take the same bytes";
	if (error)
		return strcmp(general.why, problem->why) == 0 ? NULL : "both ways say why";
	for (int i = 0; i < 2; i++) {
		value_state_of(lua)->no_direct = i == 0;
		if (value_write_msgpack(lua, i - 2, schema, &buffers[i], &general))
			return "what either way reads can be written";
	}
	if (!slice_equal(buffer_view(&buffers[0]), buffer_view(&buffers[1])))
		return "both ways read and write the same MessagePack";
	for (int i = 0; i < 2; i++) {
		value_state_of(lua)->no_direct = i == 0;
		buffer_clear(&buffers[i]);
		if (value_write_json(lua, -1, schema, &buffers[i], &general))
			return "what either way reads can be written as JSON";
	}
	if (!slice_equal(buffer_view(&buffers[0]), buffer_view(&buffers[1])))
		return "both ways write the same JSON";
	buffer_clear(&buffers[0]);
	buffer_clear(&buffers[1]);
	lua_pop(lua, 1);
	return NULL;
}

/* As a stored state, which may be decoded when it is touched: the same as what is decoded at once,
 * and the same bytes where it is lazy. */
static const char *judge_state(
    const struct schema *schema, struct slice bytes, struct buffer *buffers)
{
	struct value_problem problem = {.why = ""}, told = {.why = ""};
	uint64_t before = value_state_of(lua)->lazy_count;
	int error = value_push_msgpack(lua, bytes, schema, false, &problem);
	if (value_push_state(lua, bytes, schema, &told) != error)
		return "states are read as values are";
	if (error)
		return strcmp(problem.why, told.why) == 0 ? NULL : "states say why";
	int can = value_write_msgpack(lua, -2, schema, &buffers[0], &problem);
	for (int i = 0; i < 2; i++) {
		buffer_clear(&buffers[1]);
		if (value_write_msgpack(lua, -1, schema, &buffers[1], &problem) != can ||
		    !slice_equal(buffer_view(&buffers[0]), buffer_view(&buffers[1])))
			return "a state is written as its value is";
		if (value_state_of(lua)->lazy_count > before &&
		    !slice_equal(buffer_view(&buffers[0]), bytes))
			return "a state that is lazy is what encoding makes";
		value_settle(lua, -1);
	}
	buffer_clear(&buffers[0]);
	buffer_clear(&buffers[1]);
	lua_pop(lua, 2);
	return NULL;
}

static int run(lua_State *of)
{
	(void)of;
	struct slice input = slice_of(lua_touserdata(lua, 1), (size_t)lua_tointeger(lua, 2));
	uint8_t choice = input.data[0];
	const struct schema *schema = schemas[choice % SCHEMAS];
	struct buffer *buffers = lua_touserdata(lua, 3);
	struct slice bytes = slice_of(input.data + 1, input.bytes - 1);
	struct value_problem problem = {.why = ""};
	int top = lua_gettop(lua);
	bool is_json = choice & 0x80;
	value_state_of(lua)->no_direct = false;
	int error = is_json ? value_push_json(lua, bytes, schema, &problem)
	                    : value_push_msgpack(lua, bytes, schema, true, &problem);
	fuzz_must_hold(judge_general(schema, is_json, bytes, error, &problem, buffers));
	value_state_of(lua)->no_direct = false;
	if (!is_json)
		fuzz_must_hold(judge_state(schema, bytes, buffers));
	if (error) {
		fuzz_must_hold(lua_gettop(lua) == top ? NULL : "an error pushes nothing");
		fuzz_must_hold(problem.why[0] ? NULL : "an error says why");
		return 0;
	}
	fuzz_must_hold(judge(schema, &buffers[0], &buffers[1]));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (!lua)
		open_lua();
	if (bytes == 0)
		return 0;
	struct buffer buffers[2];
	buffer_init(&buffers[0], 1 << 26);
	buffer_init(&buffers[1], 1 << 26);
	lua_pushcfunction(lua, run);
	lua_pushlightuserdata(lua, (void *)(uintptr_t)data);
	lua_pushinteger(lua, (lua_Integer)bytes);
	lua_pushlightuserdata(lua, buffers);
	fuzz_must_hold(lua_pcall(lua, 3, 0, 0) ? lua_tostring(lua, -1) : NULL);
	buffer_done(&buffers[0]);
	buffer_done(&buffers[1]);
	return 0;
}
