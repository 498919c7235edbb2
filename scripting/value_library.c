/* What scripts see of values: kalix.json, base64, hash, list and sorted. */
#include "base/assert.h"
#include "base/hash.h"
#include "base/wire/base64.h"
#include "scripting/sandbox.h"
#include "scripting/schema.h"
#include "scripting/value_inside.h"

#include <lauxlib.h>
#include <lua.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice check_text(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, position, &bytes);
	sandbox_charge(lua, 8 + bytes / 16);
	return slice_of(text, bytes);
}

static const struct schema *check_schema(lua_State *lua, int position)
{
	const struct schema *schema = schema_at(lua, position);
	if (!schema && !lua_isnoneornil(lua, position))
		luaL_argerror(lua, position, "expected a schema");
	return schema;
}

__attribute__((noreturn)) static void fail(
    lua_State *lua, const char *who, int error, const char *why)
{
	luaL_error(lua, "%s: %s", who, error == ERR_INVALID ? why : error_text(error));
	UNREACHABLE();
}

/* --- json ------------------------------------------------------------------------------------- */

static int json_encode(lua_State *lua)
{
	luaL_checkany(lua, 1);
	const struct schema *schema = check_schema(lua, 2);
	if (lua_isnil(lua, 1) && !schema) {
		lua_pushliteral(lua, "null");
		return 1;
	}
	/* Ours, so that nothing is lost where an error is raised on the way. */
	struct buffer *out = &value_state_of(lua)->document;
	buffer_clear(out);
	struct value_problem problem;
	int error = value_write_json(lua, 1, schema, out, &problem);
	if (error)
		fail(lua, "json.encode", error, problem.why);
	struct slice text = buffer_view(out);
	sandbox_charge_bytes(lua, text.bytes);
	lua_pushlstring(lua, (const char *)text.data, text.bytes);
	buffer_clear(out);
	buffer_trim(out, 4096);
	return 1;
}

static int json_decode(lua_State *lua)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, 1, &bytes);
	const struct schema *schema = check_schema(lua, 2);
	struct value_problem problem;
	int error = value_push_json(lua, slice_of(text, bytes), schema, &problem);
	if (error)
		fail(lua, "json.decode", error, problem.why);
	return 1;
}

void value_open_json(struct lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
	lua_createtable(lua, 0, 2);
	luaL_setfuncs(lua, functions, 0);
}

/* --- base64 ----------------------------------------------------------------------------------- */

static int text_encode(lua_State *lua)
{
	struct slice text = check_text(lua, 1);
	size_t bytes = base64_encoded_bytes(text.bytes);
	luaL_Buffer buffer;
	sandbox_charge_bytes(lua, bytes);
	char *to = luaL_buffinitsize(lua, &buffer, bytes);
	base64_encode(text, (uint8_t *)to);
	luaL_pushresultsize(&buffer, bytes);
	return 1;
}

static int text_decode(lua_State *lua)
{
	struct slice text = check_text(lua, 1);
	size_t bytes = base64_decoded_bytes_max(text.bytes);
	luaL_Buffer buffer;
	sandbox_charge_bytes(lua, bytes);
	char *to = luaL_buffinitsize(lua, &buffer, bytes);
	if (base64_decode(text, (uint8_t *)to, &bytes))
		return luaL_error(lua, "base64.decode: not base64");
	luaL_pushresultsize(&buffer, bytes);
	return 1;
}

void value_open_base64(struct lua_State *lua)
{
	static const luaL_Reg functions[] = {
	    {"encode", text_encode}, {"decode", text_decode}, {NULL, NULL}};
	lua_createtable(lua, 0, 2);
	luaL_setfuncs(lua, functions, 0);
}

/* --- hash ------------------------------------------------------------------------------------- */

static int hash_64(lua_State *lua)
{
	char text[17];
	uint64_t value = hash_bytes(check_text(lua, 1), 0);
	snprintf(text, sizeof(text), "%016llx", (unsigned long long)value);
	lua_pushlstring(lua, text, 16);
	return 1;
}

static int hash_128(lua_State *lua)
{
	char text[33];
	struct hash128 value = hash128_bytes(check_text(lua, 1), 0);
	snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)value.high,
	    (unsigned long long)value.low);
	lua_pushlstring(lua, text, 32);
	return 1;
}

/* Up to 3 ns a byte where the processor has no instructions for it: more than what moves bytes. */
static struct slice check_text_to_digest(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, position, &bytes);
	sandbox_charge(lua, 200 + bytes / 2);
	return slice_of(text, bytes);
}

static int push_digest(lua_State *lua, bool made, const uint8_t *digest, unsigned bytes)
{
	char text[2 * EVP_MAX_MD_SIZE + 1];
	if (!made)
		return luaL_error(lua, "out of memory for a hash");
	for (unsigned i = 0; i < bytes; i++)
		snprintf(text + (size_t)2 * i, 3, "%02x", digest[i]);
	lua_pushlstring(lua, text, (size_t)2 * bytes);
	return 1;
}

static int hash_sha256(lua_State *lua)
{
	struct slice text = check_text_to_digest(lua, 1);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;
	bool made = EVP_Digest(text.data, text.bytes, digest, &bytes, EVP_sha256(), NULL) == 1;
	return push_digest(lua, made, digest, bytes);
}

/* hmac_sha256(key, text) */
static int hash_hmac_sha256(lua_State *lua)
{
	struct slice key = check_text_to_digest(lua, 1);
	struct slice text = check_text_to_digest(lua, 2);
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned bytes = 0;
	/* A string of a script is far shorter than INT_MAX. */
	bool made = HMAC(EVP_sha256(), key.data, (int)key.bytes, text.data, text.bytes, digest,
	                &bytes) != NULL;
	return push_digest(lua, made, digest, bytes);
}

void value_open_hash(struct lua_State *lua)
{
	static const luaL_Reg functions[] = {{"xxh3", hash_64}, {"xxh3_128", hash_128},
	    {"sha256", hash_sha256}, {"hmac_sha256", hash_hmac_sha256}, {NULL, NULL}};
	lua_createtable(lua, 0, 4);
	luaL_setfuncs(lua, functions, 0);
}

/* --- list ------------------------------------------------------------------------------------- */

/* kalix.list(table): the table itself, marked; kalix.list(): a new one. */
static int make_list(lua_State *lua)
{
	lua_settop(lua, 1);
	if (lua_isnil(lua, 1)) {
		lua_createtable(lua, 0, 0);
		value_mark_list(lua, -1);
		return 1;
	}
	luaL_checktype(lua, 1, LUA_TTABLE);
	if (value_is_list(lua, 1))
		return 1;
	if (value_view_target(lua, 1))
		value_view_refuse(lua, 1);
	if (luaL_getmetafield(lua, 1, "__metatable") != LUA_TNIL)
		return luaL_error(lua, "kalix.list: the table has a protected metatable");
	value_mark_list(lua, 1);
	lua_settop(lua, 1);
	return 1;
}

void value_open_list(struct lua_State *lua)
{
	lua_pushcfunction(lua, make_list);
}

/* --- sorted ----------------------------------------------------------------------------------- */

struct sorted_key {
	bool is_text;
	bool is_integer;
	uint32_t position; /* in the table of keys */
	int64_t integer;
	double number;
	struct slice text;
};

static int compare_numbers(const struct sorted_key *a, const struct sorted_key *b)
{
	if (a->is_integer && b->is_integer)
		return (a->integer > b->integer) - (a->integer < b->integer);
	return (a->number > b->number) - (a->number < b->number);
}

/* Numbers before texts. */
static int compare_sorted(const void *left, const void *right)
{
	const struct sorted_key *a = left, *b = right;
	if (a->is_text != b->is_text)
		return a->is_text ? 1 : -1;
	int order = a->is_text ? slice_compare(a->text, b->text) : compare_numbers(a, b);
	/* An integer and a float beyond 2^53 may look equal: any order, but always the same. */
	if (order == 0)
		order = (a->is_integer > b->is_integer) - (a->is_integer < b->is_integer);
	return order;
}

/* next key: upvalues are the table, its keys in order, how many there are, and the last one's
 * position. Keys that went meanwhile are passed over. */
static int sorted_next(lua_State *lua)
{
	lua_Integer at = lua_tointeger(lua, lua_upvalueindex(4));
	lua_Integer count = lua_tointeger(lua, lua_upvalueindex(3));
	while (at < count) {
		at++;
		lua_rawgeti(lua, lua_upvalueindex(2), at);
		lua_pushvalue(lua, -1);
		bool is_view = value_view_target(lua, lua_upvalueindex(1));
		if (is_view) {
			lua_insert(lua, -2);
			lua_rawget(lua, -2);
			value_view_wrap(lua, lua_upvalueindex(1));
			lua_remove(lua, -2);
		} else {
			lua_rawget(lua, lua_upvalueindex(1));
		}
		if (!lua_isnil(lua, -1)) {
			lua_pushinteger(lua, at);
			lua_replace(lua, lua_upvalueindex(4));
			return 2;
		}
		lua_pop(lua, 2);
	}
	return 0;
}

/* The table is at 2. Keys that have no order stand behind the others. */
__attribute__((cold, noreturn)) static void refuse_sorted(lua_State *lua)
{
	int type;
	value_push_keys(lua, 2);
	lua_Integer i = 1;
	do {
		type = lua_rawgeti(lua, -1, i++);
		lua_pop(lua, 1);
	} while (type == LUA_TNUMBER || type == LUA_TSTRING);
	luaL_error(lua, "kalix.sorted: a key that is a %s has no order", lua_typename(lua, type));
	__builtin_unreachable();
}

static void read_sorted_key(lua_State *lua, struct sorted_key *key, size_t position)
{
	*key = (struct sorted_key){.position = (uint32_t)position};
	int type = lua_type(lua, -1);
	if (type == LUA_TSTRING) {
		size_t bytes;
		const char *text = lua_tolstring(lua, -1, &bytes);
		key->is_text = true;
		key->text = slice_of(text, bytes);
		return;
	}
	if (type != LUA_TNUMBER)
		refuse_sorted(lua);
	key->is_integer = lua_isinteger(lua, -1);
	key->integer = lua_tointeger(lua, -1);
	key->number = lua_tonumber(lua, -1);
}

static int make_sorted(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	lua_settop(lua, 1);
	if (!value_view_target(lua, 1))
		lua_pushvalue(lua, 1);
	size_t count = 0;
	lua_pushnil(lua);
	while (lua_next(lua, 2)) {
		lua_pop(lua, 1);
		count++;
	}
	if (count > INT32_MAX / 2)
		return luaL_error(lua, "kalix.sorted: too many keys");
	sandbox_charge(lua, 8 + count * 8);
	sandbox_charge_bytes(lua, count * (sizeof(struct sorted_key) + 32));
	struct sorted_key *keys = lua_newuserdatauv(lua, count * sizeof(*keys) + 1, 0);
	lua_createtable(lua, (int)count, 0); /* 4: keeps the strings */
	size_t at = 0;
	lua_pushnil(lua);
	while (at < count && lua_next(lua, 2)) {
		lua_pop(lua, 1);
		read_sorted_key(lua, &keys[at], at + 1);
		lua_pushvalue(lua, -1);
		lua_rawseti(lua, 4, (lua_Integer)++at);
	}
	if (count > 1)
		qsort(keys, count, sizeof(*keys), compare_sorted);
	lua_settop(lua, 4);
	lua_pushvalue(lua, 1);
	lua_createtable(lua, (int)count, 0);
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(lua, 4, keys[i].position);
		lua_rawseti(lua, -2, (lua_Integer)i + 1);
	}
	lua_pushinteger(lua, (lua_Integer)count);
	lua_pushinteger(lua, 0);
	lua_pushcclosure(lua, sorted_next, 4);
	return 1;
}

void value_open_sorted(struct lua_State *lua)
{
	lua_pushcfunction(lua, make_sorted);
}
