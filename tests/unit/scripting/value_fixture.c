#include "tests/unit/scripting/value_fixture.h"

#include "base/buffer.h"
#include "base/random.h"
#include "base/wire/json_writer.h"
#include "scripting/sandbox_internal.h"
#include "scripting/schema.h"
#include "scripting/value.h"
#include "scripting/value_inside.h"
#include "tests/no_sandbox.h"
#include "tests/unit/run.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static struct random numbers;

static const struct schema *optional_schema(lua_State *lua, int position)
{
	const struct schema *schema = schema_at(lua, position);
	if (!schema && !lua_isnoneornil(lua, position))
		luaL_error(lua, "argument %d is no schema", position);
	return schema;
}

static int raise(lua_State *lua, int error, const struct value_problem *problem)
{
	if (error == ERR_INVALID)
		lua_pushstring(lua, problem->why);
	else
		lua_pushstring(lua, error_name(error));
	return lua_error(lua);
}

static int pack(lua_State *lua)
{
	struct buffer out;
	struct value_problem problem;
	luaL_checkany(lua, 1);
	buffer_init(&out, 64 << 20);
	int top = lua_gettop(lua);
	int error = value_write_msgpack(lua, 1, optional_schema(lua, 2), &out, &problem);
	ck_assert_int_eq(lua_gettop(lua), top);
	if (error) {
		ck_assert_uint_eq(buffer_bytes(&out), 0);
		buffer_done(&out);
		return raise(lua, error, &problem);
	}
	struct slice view = buffer_view(&out);
	lua_pushlstring(lua, (const char *)view.data, view.bytes);
	buffer_done(&out);
	return 1;
}

static int unpack(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	struct value_problem problem;
	lua_settop(lua, 3);
	int error = value_push_msgpack(
	    lua, slice_of(text, bytes), optional_schema(lua, 2), lua_toboolean(lua, 3), &problem);
	ck_assert_int_eq(lua_gettop(lua), error ? 3 : 4);
	return error ? raise(lua, error, &problem) : 1;
}

static int stored(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	struct value_problem problem;
	lua_settop(lua, 2);
	int error = value_push_state(lua, slice_of(text, bytes), optional_schema(lua, 2), &problem);
	ck_assert_int_eq(lua_gettop(lua), error ? 2 : 3);
	return error ? raise(lua, error, &problem) : 1;
}

static int absent(lua_State *lua)
{
	struct value_problem problem;
	lua_settop(lua, 1);
	int error = value_push_absent(lua, optional_schema(lua, 1), &problem);
	return error ? raise(lua, error, &problem) : 1;
}

static int copy(lua_State *lua)
{
	struct value_problem problem;
	lua_settop(lua, 1);
	int error = value_copy(lua, 1, &problem);
	ck_assert_int_eq(lua_gettop(lua), error ? 1 : 2);
	return error ? raise(lua, error, &problem) : 1;
}

static int view(lua_State *lua)
{
	value_push_view(lua, 1, luaL_optstring(lua, 2, "state"));
	return 1;
}

static int accepts(lua_State *lua)
{
	char why[256] = "";
	bool result =
	    schema_accepts_all(optional_schema(lua, 1), optional_schema(lua, 2), why, sizeof(why));
	lua_pushboolean(lua, result);
	lua_pushstring(lua, why);
	return 2;
}

static int push_buffer(lua_State *lua, struct buffer *out)
{
	struct slice bytes = buffer_view(out);
	lua_pushlstring(lua, (const char *)bytes.data, bytes.bytes);
	buffer_done(out);
	return 1;
}

static int schema_bytes(lua_State *lua)
{
	struct buffer out;
	buffer_init(&out, 1 << 20);
	ck_assert_int_eq(schema_encode(optional_schema(lua, 1), &out), 0);
	return push_buffer(lua, &out);
}

static int schema_text(lua_State *lua)
{
	struct buffer out;
	struct json_writer writer;
	buffer_init(&out, 1 << 20);
	json_writer_init(&writer, &out);
	schema_json(optional_schema(lua, 1), &writer);
	ck_assert_int_eq(json_writer_finish(&writer), 0);
	return push_buffer(lua, &out);
}

static int units(lua_State *lua)
{
	lua_pushinteger(lua, (lua_Integer)no_sandbox_charged);
	no_sandbox_charged = 0;
	return 1;
}

static int direct(lua_State *lua)
{
	struct value_state *state = value_state_of(lua);
	state->no_direct = !lua_toboolean(lua, 1);
	lua_pushinteger(lua, (lua_Integer)state->direct_count);
	return 1;
}

static int draw_number(lua_State *lua)
{
	lua_Integer bound = luaL_checkinteger(lua, 1);
	lua_pushinteger(lua, (lua_Integer)random_below(&numbers, (uint64_t)bound) + 1);
	return 1;
}

static int traceback(lua_State *lua)
{
	luaL_traceback(lua, lua, luaL_tolstring(lua, 1, NULL), 1);
	return 1;
}

/* clang-format off */
static const char helpers[] = LUA(
	function same(got, expected)
		if got ~= expected or math.type(got) ~= math.type(expected) then
			error("got " .. tostring(got) .. ", expected " .. tostring(expected), 2)
		end
	end
	function fails(text, f, ...)
		local ok, why = pcall(f, ...)
		if ok then error("it did not fail: " .. text, 2) end
		if why ~= text then error("it failed with: " .. tostring(why), 2) end
	end
);
/* clang-format on */

void fixture_push_kalix(lua_State *lua)
{
	lua_createtable(lua, 0, 8);
	schema_open(lua);
	lua_setfield(lua, -2, "schema");
	value_open_json(lua);
	lua_setfield(lua, -2, "json");
	value_open_base64(lua);
	lua_setfield(lua, -2, "base64");
	value_open_hash(lua);
	lua_setfield(lua, -2, "hash");
	value_open_list(lua);
	lua_setfield(lua, -2, "list");
	value_open_sorted(lua);
	lua_setfield(lua, -2, "sorted");
	value_push_null(lua);
	lua_setfield(lua, -2, "null");
}

void fixture_add_functions(struct lua_State *lua)
{
	static const luaL_Reg functions[] = {{"pack", pack}, {"unpack", unpack}, {"stored", stored},
	    {"absent", absent}, {"copy", copy}, {"view", view}, {"accepts", accepts},
	    {"schema_bytes", schema_bytes}, {"schema_text", schema_text}, {"units", units},
	    {"direct", direct}, {"draw", draw_number}, {NULL, NULL}};
	luaL_setfuncs(lua, functions, 0);
}

void fixture_seed(uint64_t seed)
{
	random_init(&numbers, seed);
}

struct lua_State *fixture_new(void)
{
	lua_State *lua = luaL_newstate();
	ck_assert_ptr_nonnull(lua);
	fixture_seed(1);
	luaL_openlibs(lua);
	value_open(lua);
	value_open(lua);
	fixture_push_kalix(lua);
	lua_setglobal(lua, "kalix");
	lua_pushglobaltable(lua);
	fixture_add_functions(lua);
	lua_pop(lua, 1);
	ck_assert_int_eq(lua_gettop(lua), 0);
	fixture_run(lua, helpers);
	return lua;
}

void fixture_free(struct lua_State *lua)
{
	lua_close(lua);
}

void fixture_run(struct lua_State *lua, const char *script)
{
	lua_pushcfunction(lua, traceback);
	if (luaL_loadbuffer(lua, script, strlen(script), "=script") || lua_pcall(lua, 0, 0, 1))
		ck_abort_msg("%s", lua_tostring(lua, -1));
	lua_settop(lua, 0);
}

void fixture_script(const char *script)
{
	lua_State *lua = fixture_new();
	fixture_run(lua, script);
	fixture_free(lua);
}
