/* What scripts see of values: kalix.json, base64, hash, list and sorted. */
#define OPENSSL_SUPPRESS_DEPRECATED /* see make_sha256 */
#include "base/assert.h"
#include "base/hash.h"
#include "base/wire/base64.h"
#include "scripting/sandbox.h"
#include "scripting/schema.h"
#include "scripting/value_inside.h"

#include <lauxlib.h>
#include <lua.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

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

/* Bytes, and what they are encoded to, between two looks at the clock. */
enum { PIECE_BYTES = 12 * 1024, PIECE_ENCODED = PIECE_BYTES / 3 * 4 };

/* The part of the text that begins at `at`, `bytes` long at most. */
static struct slice part(struct slice text, size_t at, size_t bytes)
{
	return slice_of(text.data + at, text.bytes - at < bytes ? text.bytes - at : bytes);
}

static int text_encode(lua_State *lua)
{
	struct slice text = check_text(lua, 1);
	size_t bytes = base64_encoded_bytes(text.bytes), made = 0;
	sandbox_charge_text(lua, bytes);
	char *to = sandbox_make(lua, bytes);
	for (size_t at = 0; at < text.bytes; at += PIECE_BYTES) {
		if (at > 0)
			sandbox_spend(lua, PIECE_BYTES / 4);
		made += base64_encode(part(text, at, PIECE_BYTES), (uint8_t *)to + made);
	}
	ASSERT(made == bytes);
	sandbox_made(lua, -1, bytes);
	return 1;
}

static int text_decode(lua_State *lua)
{
	struct slice text = check_text(lua, 1);
	size_t all = base64_decoded_bytes_max(text.bytes), made = 0, bytes;
	/* What is not base64 is told below. */
	for (size_t i = 0; i < 2 && i < all && text.data[text.bytes - 1 - i] == '='; i++)
		all--;
	sandbox_charge_text(lua, all);
	char *to = sandbox_make(lua, all);
	for (size_t at = 0; at < text.bytes; at += PIECE_ENCODED) {
		if (at > 0)
			sandbox_spend(lua, PIECE_BYTES / 4);
		struct slice piece = part(text, at, PIECE_ENCODED);
		bool is_last = at + piece.bytes == text.bytes;
		/* Padding is at the end only. */
		if (base64_decode(piece, (uint8_t *)to + made, &bytes) ||
		    (!is_last && bytes != PIECE_BYTES))
			return luaL_error(lua, "base64.decode: not base64");
		made += bytes;
	}
	ASSERT(made == all);
	sandbox_made(lua, -1, all);
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
enum { DIGESTED_BYTES = 32 * 1024 };

/* SHA-256 of one text behind the other. Pauses between two pieces of the second. The functions are
 * the old ones of OpenSSL because what they work on is no memory that somebody has to free: a run
 * that is left in the middle may never go on. */
static void make_sha256(lua_State *lua, struct slice first, struct slice second, uint8_t *to)
{
	SHA256_CTX digest;
	bool made = SHA256_Init(&digest) == 1;
	if (first.bytes > 0)
		made = made && SHA256_Update(&digest, first.data, first.bytes) == 1;
	sandbox_charge(lua, 200 + second.bytes % DIGESTED_BYTES / 2);
	for (size_t at = 0; at < second.bytes; at += DIGESTED_BYTES) {
		if (at > 0)
			sandbox_spend(lua, DIGESTED_BYTES / 2);
		struct slice piece = part(second, at, DIGESTED_BYTES);
		made = made && SHA256_Update(&digest, piece.data, piece.bytes) == 1;
	}
	made = made && SHA256_Final(to, &digest) == 1;
	ASSERT(made);
}

static int push_hexadecimal(lua_State *lua, const uint8_t *digest)
{
	char text[2 * SHA256_DIGEST_LENGTH + 1];
	for (size_t i = 0; i < SHA256_DIGEST_LENGTH; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	lua_pushlstring(lua, text, sizeof(text) - 1);
	return 1;
}

static struct slice text_at(lua_State *lua, int position)
{
	size_t bytes;
	const char *text = luaL_checklstring(lua, position, &bytes);
	return slice_of(text, bytes);
}

static int hash_sha256(lua_State *lua)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	make_sha256(lua, slice_of(NULL, 0), text_at(lua, 1), digest);
	return push_hexadecimal(lua, digest);
}

/* hmac_sha256(key, text), RFC 2104 */
static int hash_hmac_sha256(lua_State *lua)
{
	struct slice key = text_at(lua, 1), text = text_at(lua, 2);
	uint8_t inner[SHA256_CBLOCK] = {0}, outer[SHA256_CBLOCK], digest[SHA256_DIGEST_LENGTH];
	if (key.bytes > SHA256_CBLOCK)
		make_sha256(lua, slice_of(NULL, 0), key, inner);
	else if (key.bytes > 0)
		memcpy(inner, key.data, key.bytes);
	for (size_t i = 0; i < SHA256_CBLOCK; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	make_sha256(lua, slice_of(inner, sizeof(inner)), text, digest);
	make_sha256(lua, slice_of(outer, sizeof(outer)), slice_of(digest, sizeof(digest)), digest);
	return push_hexadecimal(lua, digest);
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

/* The keys at 3, in order: those that have none are behind the others, and the first of them is
 * named. */
__attribute__((cold, noreturn)) static void refuse_sorted(lua_State *lua)
{
	int type;
	lua_Integer i = 1;
	do {
		type = lua_rawgeti(lua, 3, i++);
		lua_pop(lua, 1);
	} while (type == LUA_TNUMBER || type == LUA_TSTRING);
	luaL_error(lua, "kalix.sorted: a key that is a %s has no order", lua_typename(lua, type));
	__builtin_unreachable();
}

/* Numbers before texts. */
static int make_sorted(lua_State *lua)
{
	luaL_checktype(lua, 1, LUA_TTABLE);
	lua_settop(lua, 1);
	if (!value_view_target(lua, 1))
		lua_pushvalue(lua, 1);
	value_push_keys(lua, 2);
	lua_Integer count = (lua_Integer)lua_rawlen(lua, 3);
	int last = lua_rawgeti(lua, 3, count);
	if (count > 0 && last != LUA_TNUMBER && last != LUA_TSTRING)
		refuse_sorted(lua);
	lua_pushvalue(lua, 1);
	lua_pushvalue(lua, 3);
	lua_pushinteger(lua, count);
	lua_pushinteger(lua, 0);
	lua_pushcclosure(lua, sorted_next, 4);
	return 1;
}

void value_open_sorted(struct lua_State *lua)
{
	lua_pushcfunction(lua, make_sorted);
}
