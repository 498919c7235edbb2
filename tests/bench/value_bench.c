/* What it costs to turn a stored state of 16 fields into a Lua table and back: time over many
 * rounds, and instructions under callgrind.
 *
 *	value_bench              times
 *	value_bench NAME N       N rounds of one kind and nothing else, for
 *	                         valgrind --tool=callgrind --toggle-collect='bench_*'
 *
 * Names: decode, encode (MessagePack), decode-json, encode-json, decode-any, encode-any, copy,
 * decode-cart, encode-cart (the state of cart/cart.lua: a map of 12 inside a record of 4).
 */
#include "base/buffer.h"
#include "base/clock.h"
#include "scripting/sandbox_internal.h"
#include "scripting/schema.h"
#include "scripting/value.h"
#include "tests/no_sandbox.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 300000 };

static lua_State *lua;
static const struct schema *schema, *cart_schema;
static struct buffer msgpack, cart, json, out;
static struct value_problem problem;

static const char script[] =
    "local s = schema\n"
    "state = { id = 'customer-4711', name = 'Ada Lovelace', email = 'ada@example.org',\n"
    "  street = '12 St James Square', city = 'London', country = 'GB', balance = 1234567,\n"
    "  credit = 50000, created_at = 1709206200250, updated_at = 1709206200999, orders = 42,\n"
    "  rating = 4.75, active = true, vip = false, level = 7, note = 'calls on Mondays' }\n"
    "cart = { id = 'cart-1', user = 'user-00001234', ver = 17, items = {} }\n"
    "for i = 0, 11 do cart.items[string.format('sku-%08d', i)] = i end\n"
    "cart_schema = s.record { id = s.string, user = s.string, ver = s.integer,\n"
    "  items = s.map(s.string, s.integer) }\n"
    "return s.record { id = s.string, name = s.string, email = s.string, street = s.string,\n"
    "  city = s.string, country = s.string { min = 2, max = 2 }, balance = s.integer,\n"
    "  credit = s.integer { min = 0 }, created_at = s.timestamp, updated_at = s.timestamp,\n"
    "  orders = s.integer { min = 0 }, rating = s.number, active = s.boolean,\n"
    "  vip = s.optional(s.boolean, false), level = s.integer, note = s.optional(s.string) }\n";

static void must(int error)
{
	if (error) {
		fprintf(stderr, "value_bench: error %d: %s\n", error, problem.why);
		exit(1);
	}
}

static void setup(void)
{
	lua = luaL_newstate();
	luaL_openlibs(lua);
	value_open(lua);
	schema_open(lua);
	lua_setglobal(lua, "schema");
	if (luaL_loadstring(lua, script) || lua_pcall(lua, 0, 1, 0)) {
		fprintf(stderr, "value_bench: %s\n", lua_tostring(lua, -1));
		exit(1);
	}
	schema = schema_at(lua, 1);
	lua_getglobal(lua, "state"); /* stays at 2 */
	lua_getglobal(lua, "cart");  /* at 3 */
	lua_getglobal(lua, "cart_schema");
	cart_schema = schema_at(lua, 4);
	buffer_init(&msgpack, 1 << 20);
	buffer_init(&cart, 1 << 20);
	must(value_write_msgpack(lua, 3, cart_schema, &cart, &problem));
	buffer_init(&json, 1 << 20);
	buffer_init(&out, 1 << 20);
	must(value_write_msgpack(lua, 2, schema, &msgpack, &problem));
	must(value_write_json(lua, 2, schema, &json, &problem));
}

__attribute__((noinline)) static void bench_decode(void)
{
	must(value_push_msgpack(lua, buffer_view(&msgpack), schema, false, &problem));
}

__attribute__((noinline)) static void bench_encode(void)
{
	must(value_write_msgpack(lua, 2, schema, &out, &problem));
}

__attribute__((noinline)) static void bench_decode_json(void)
{
	must(value_push_json(lua, buffer_view(&json), schema, &problem));
}

__attribute__((noinline)) static void bench_encode_json(void)
{
	must(value_write_json(lua, 2, schema, &out, &problem));
}

__attribute__((noinline)) static void bench_decode_any(void)
{
	must(value_push_msgpack(lua, buffer_view(&msgpack), NULL, false, &problem));
}

__attribute__((noinline)) static void bench_encode_any(void)
{
	must(value_write_msgpack(lua, 2, NULL, &out, &problem));
}

__attribute__((noinline)) static void bench_copy(void)
{
	must(value_copy(lua, 2, &problem));
}

__attribute__((noinline)) static void bench_decode_cart(void)
{
	must(value_push_msgpack(lua, buffer_view(&cart), cart_schema, false, &problem));
}

__attribute__((noinline)) static void bench_encode_cart(void)
{
	must(value_write_msgpack(lua, 3, cart_schema, &out, &problem));
}

static const struct {
	const char *name;
	void (*run)(void);
} benches[] = {
    {"decode", bench_decode},
    {"encode", bench_encode},
    {"decode-json", bench_decode_json},
    {"encode-json", bench_encode_json},
    {"decode-any", bench_decode_any},
    {"encode-any", bench_encode_any},
    {"copy", bench_copy},
    {"decode-cart", bench_decode_cart},
    {"encode-cart", bench_encode_cart},
};

static void run(void (*round)(void), long rounds)
{
	for (long i = 0; i < rounds; i++) {
		buffer_clear(&out);
		round();
		lua_settop(lua, 4);
	}
}

int main(int argc, char **argv)
{
	setup();
	if (argc == 1)
		printf("a state of 16 fields: %zu bytes as MessagePack, %zu as JSON\n",
		    buffer_bytes(&msgpack), buffer_bytes(&json));
	for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++) {
		if (argc == 3 && strcmp(argv[1], benches[i].name) == 0)
			run(benches[i].run, strtol(argv[2], NULL, 10));
		if (argc > 1)
			continue;
		run(benches[i].run, ROUNDS / 10);
		uint64_t begin_ns = clock_monotonic_ns();
		run(benches[i].run, ROUNDS);
		uint64_t ns = clock_monotonic_ns() - begin_ns;
		printf("%-12s %8.0f ns each, the collector's work included\n", benches[i].name,
		    (double)ns / ROUNDS);
	}
	buffer_done(&msgpack);
	buffer_done(&cart);
	buffer_done(&json);
	buffer_done(&out);
	lua_close(lua);
	return 0;
}
