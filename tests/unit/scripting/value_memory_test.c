/* Our own allocations may fail, each of them; Lua's raise, and leave nothing behind. */
#include "base/buffer.h"
#include "base/mem.h"
#include "scripting/schema.h"
#include "scripting/value.h"
#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

#include <lauxlib.h>
#include <lua.h>

/* clang-format off */
static const char setup[] = LUA(
	local s = kalix.schema
	shape = s.record{m = s.map(s.string, s.integer), b = s.bytes, t = s.string}
	value = {m = {}, b = ("b"):rep(300), t = "\n\""}
	for i = 1, 200 do value.m["k" .. i] = i end
);
/* clang-format on */

static struct schema *shape_of(lua_State *lua)
{
	lua_getglobal(lua, "shape");
	struct schema *schema = schema_at(lua, -1);
	lua_pop(lua, 1);
	return schema;
}

/* _i: 0 the general ways alone; 1 the short ones before them, which hide a failure of theirs. */
START_TEST(every_allocation_of_writing_and_reading_may_fail)
{
	struct value_problem problem;
	unsigned failures = 0;
	for (uint64_t nth = 1;; nth++) {
		/* A new interpreter, whose scratch memory is not there yet. */
		lua_State *lua = fixture_new();
		struct buffer json;
		buffer_init(&json, 1 << 20);
		fixture_run(lua, setup);
		fixture_run(lua, _i == 0 ? "direct(false)" : "direct(true)");
		struct schema *schema = shape_of(lua);
		lua_getglobal(lua, "value");
		mem_fail_at(nth);
		int error = value_write_json(lua, 1, schema, &json, &problem);
		EXPECT(error == 0 || error == ERR_NOMEM);
		EXPECT(lua_gettop(lua) == 1 && (!error || buffer_bytes(&json) == 0));
		if (!error) {
			error = value_push_json(lua, buffer_view(&json), schema, &problem);
			EXPECT(error == 0 || error == ERR_NOMEM);
			EXPECT(lua_gettop(lua) == (error ? 1 : 2));
		}
		bool failed = mem_failed();
		EXPECT(_i == 0 ? (error != 0) == failed : !error || failed);
		mem_fail_at(0);
		buffer_done(&json);
		fixture_free(lua);
		if (!failed)
			break;
		failures++;
	}
	ck_assert_uint_gt(failures, 5);
}
END_TEST

START_TEST(every_allocation_of_a_constructor_may_fail)
{
	lua_State *lua = fixture_new();
	unsigned failures = 0;
	for (uint64_t nth = 1;; nth++) {
		ck_assert_int_eq(luaL_loadstring(lua, setup), LUA_OK);
		mem_fail_at(nth);
		int error = lua_pcall(lua, 0, 0, 0);
		mem_fail_at(0);
		if (!error)
			break;
		ck_assert_ptr_nonnull(strstr(lua_tostring(lua, -1), "not enough memory"));
		lua_settop(lua, 0);
		lua_gc(lua, LUA_GCCOLLECT);
		failures++;
	}
	ck_assert_uint_gt(failures, 5);
	fixture_free(lua);
}
END_TEST

/* Lua's allocator, which refuses the nth request to grow. */
struct allocator {
	lua_Alloc original;
	void *original_data;
	unsigned long left;
};

static void *allocate(void *data, void *memory, size_t old_bytes, size_t bytes)
{
	struct allocator *allocator = data;
	if (bytes > (memory ? old_bytes : 0) && allocator->left > 0 && --allocator->left == 0)
		return NULL;
	return allocator->original(allocator->original_data, memory, old_bytes, bytes);
}

static int round_trip(lua_State *lua)
{
	struct value_problem problem;
	struct buffer *out = lua_touserdata(lua, 1);
	struct schema *schema = lua_touserdata(lua, 2);
	lua_settop(lua, 2);
	lua_getglobal(lua, "value");
	int error = value_write_msgpack(lua, 3, schema, out, &problem);
	if (!error)
		error = value_push_msgpack(lua, buffer_view(out), schema, true, &problem);
	if (!error)
		error = value_copy(lua, -1, &problem);
	if (!error)
		value_push_view(lua, -1, "state");
	lua_pushinteger(lua, error);
	return 1;
}

START_TEST(what_lua_raises_leaves_nothing_behind)
{
	lua_State *lua = fixture_new();
	struct allocator allocator = {0};
	struct buffer out;
	buffer_init(&out, 1 << 20);
	fixture_run(lua, setup);
	struct schema *schema = shape_of(lua);
	allocator.original = lua_getallocf(lua, &allocator.original_data);
	lua_gc(lua, LUA_GCSTOP);
	lua_setallocf(lua, allocate, &allocator);
	unsigned failures = 0;
	for (unsigned long nth = 1;; nth++) {
		buffer_clear(&out);
		lua_pushcfunction(lua, round_trip);
		lua_pushlightuserdata(lua, &out);
		lua_pushlightuserdata(lua, schema);
		allocator.left = nth;
		int error = lua_pcall(lua, 2, 1, 0);
		bool used_up = allocator.left == 0;
		allocator.left = 0;
		bool is_done = !error && lua_tointeger(lua, -1) == 0;
		EXPECT(is_done || used_up);
		lua_settop(lua, 0);
		/* Lua collects and tries again before it gives up, so that not every refusal is
		 * an error; one that never comes up is the end. */
		if (!used_up)
			break;
		failures += !is_done;
	}
	lua_setallocf(lua, allocator.original, allocator.original_data);
	buffer_done(&out);
	(void)failures;
	fixture_free(lua);
}
END_TEST

/* Memory of an interpreter that is never given back, so that the next one may have it all over. */
struct region {
	_Alignas(16) uint8_t bytes[256 * 1024];
	size_t used;
};

static void *from_region(void *arg, void *old, size_t old_bytes, size_t bytes)
{
	struct region *region = arg;
	if (bytes == 0)
		return NULL;
	if (old && bytes <= old_bytes)
		return old;
	void *made = region->bytes + region->used;
	region->used += (bytes + 15) / 16 * 16;
	ck_assert_uint_le(region->used, sizeof(region->bytes));
	if (old)
		memcpy(made, old, old_bytes);
	return made;
}

/* As the simulator ends a process: all its memory is gone, and nothing was closed. */
START_TEST(an_interpreter_at_the_place_of_one_that_was_not_closed_has_its_own_state)
{
	static struct region region, ended; /* a copy, for who looks for leaks */
	for (int i = 0; i < 2; i++) {
		ended = region;
		ck_assert_uint_eq(ended.used > 0, i > 0);
		memset(region.bytes, 0xa5, sizeof(region.bytes));
		region.used = 0;
		lua_State *lua = lua_newstate(from_region, &region);
		ck_assert_ptr_nonnull(lua);
		for (int more = 0; more < i; more++)
			lua_newuserdatauv(lua, 4096, 0);
		value_open(lua);
		struct buffer out;
		struct value_problem problem;
		buffer_init(&out, 1000);
		lua_pushliteral(lua, "text");
		ck_assert_int_eq(value_write_json(lua, -1, NULL, &out, &problem), 0);
		ck_assert(slice_equal(buffer_view(&out), slice_from_text("\"text\"")));
		ck_assert_int_eq(value_push_json(lua, buffer_view(&out), NULL, &problem), 0);
		buffer_done(&out);
	}
}
END_TEST

START_TEST(a_full_buffer_gets_nothing)
{
	lua_State *lua = fixture_new();
	struct value_problem problem;
	fixture_run(lua, setup);
	struct schema *schema = shape_of(lua);
	lua_getglobal(lua, "value");
	for (size_t room = 1; room < 600; room++) {
		struct buffer out;
		buffer_init(&out, room);
		EXPECT(buffer_append_text(&out, "x") == 0);
		EXPECT(value_write_json(lua, 1, schema, &out, &problem) == ERR_TOO_LARGE);
		EXPECT(buffer_bytes(&out) == 1);
		EXPECT(value_write_msgpack(lua, 1, schema, &out, &problem) == ERR_TOO_LARGE);
		EXPECT(buffer_bytes(&out) == 1);
		buffer_done(&out);
	}
	fixture_free(lua);
}
END_TEST

Suite *value_memory_suite(void)
{
	Suite *suite = suite_create("value_memory");
	TCase *tcase = tcase_create("memory");
	tcase_add_loop_test(tcase, every_allocation_of_writing_and_reading_may_fail, 0, 2);
	tcase_add_test(tcase, every_allocation_of_a_constructor_may_fail);
	tcase_add_test(tcase, what_lua_raises_leaves_nothing_behind);
	tcase_add_test(tcase, a_full_buffer_gets_nothing);
	tcase_add_test(
	    tcase, an_interpreter_at_the_place_of_one_that_was_not_closed_has_its_own_state);
	suite_add_tcase(suite, tcase);
	return suite;
}
