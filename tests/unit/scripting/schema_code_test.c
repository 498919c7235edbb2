#include "base/buffer.h"
#include "base/mem.h"
#include "scripting/schema.h"
#include "tests/unit/scripting/value_fixture.h"
#include "tests/unit/scripting/value_suites.h"

#include <lua.h>

/* clang-format off */
static const char all_kinds[] = LUA(
	local s = kalix.schema
	local kinds = {s.any, s.boolean, s.timestamp, s.integer{min = math.mininteger, max = 5},
		s.number{min = 0, max = 2.5},
		s.string{min = 1, max = 9, pattern = "%a*"}, s.string{enum = {"b", "a"}},
			s.bytes{max = 3},
		s.list(s.any, {min = 1, max = 2}), s.map(s.integer, s.string, {max = 4}),
			s.record({}, {open = true}),
		s.one_of{s.string, s.integer},
		s.one_of({s.record{kind = s.string{enum = {"a"}}}}, {tag = "kind"})}
	local fields = {o = s.optional(s.string), d = s.optional(s.list(s.integer), {1, 2})}
	for i, kind in ipairs(kinds) do fields["f" .. i] = kind end
	everything = s.record(fields)
);

START_TEST(people_read_schemas_as_json)
{
	fixture_script(LUA(
		local s = kalix.schema
		same(schema_text(s.string), "{\"type\":\"string\"}")
		same(schema_text(s.integer{min = 1}), "{\"min\":1,\"type\":\"integer\"}")
		same(schema_text(s.number{min = 1, max = 2.5}),
			"{\"max\":2.5,\"min\":1,\"type\":\"number\"}")
		same(schema_text(s.map(s.string{pattern = "%a"}, s.list(s.any, {max = 2}))),
			"{\"key\":{\"pattern\":\"%a\",\"type\":\"string\"},\"type\":\"map\","
			.. "\"value\":"
			.. "{\"max\":2,\"of\":{\"type\":\"any\"},\"type\":\"list\"}}")
		same(schema_text(s.record({b = s.optional(s.bytes, "\xff"), a = s.string{enum =
			{"y", "x"}}}, {open = true})),
			"{\"fields\":{\"a\":{\"enum\":[\"x\",\"y\"],\"type\":\"string\"},"
			.. "\"b\":{\"default\":\"/w==\",\"of\":{\"type\":\"bytes\"},"
			.. "\"type\":\"optional\"}},\"open\":true,\"type\":\"record\"}")
		same(schema_text(s.one_of({s.record{k = s.string{enum = {"a"}}}}, {tag = "k"})),
			"{\"of\":[{\"fields\":{\"k\":{\"enum\":[\"a\"],\"type\":\"string\"}},"
			.. "\"type\":\"record\"}],"
			.. "\"tag\":\"k\",\"type\":\"one_of\"}")
	));
}
END_TEST
/* clang-format on */

/* The encoding of the global `name`. */
static void encode_global(lua_State *lua, const char *name, struct buffer *out)
{
	lua_getglobal(lua, name);
	struct schema *schema = schema_at(lua, -1);
	ck_assert_ptr_nonnull(schema);
	ck_assert_int_eq(schema_encode(schema, out), 0);
	lua_pop(lua, 1);
}

START_TEST(what_was_encoded_decodes_to_the_same)
{
	lua_State *lua = fixture_new();
	struct buffer first, second;
	buffer_init(&first, 1 << 20);
	buffer_init(&second, 1 << 20);
	fixture_run(lua, all_kinds);
	encode_global(lua, "everything", &first);
	struct schema *schema;
	ck_assert_int_eq(schema_decode(buffer_view(&first), &schema), 0);
	ck_assert_int_eq(schema_encode(schema, &second), 0);
	ck_assert(slice_equal(buffer_view(&first), buffer_view(&second)));
	lua_getglobal(lua, "everything");
	char why[100];
	ck_assert(schema_accepts_all(schema, schema_at(lua, -1), why, sizeof(why)));
	ck_assert(schema_accepts_all(schema_at(lua, -1), schema, why, sizeof(why)));
	ck_assert_int_eq(schema_kind(schema), SCHEMA_RECORD);
	schema_keep(schema);
	schema_release(schema);
	schema_release(schema);
	schema_release(NULL);
	buffer_done(&first);
	buffer_done(&second);
	fixture_free(lua);
}
END_TEST

START_TEST(damaged_encodings_are_refused_or_are_schemas)
{
	lua_State *lua = fixture_new();
	struct buffer bytes;
	buffer_init(&bytes, 1 << 20);
	fixture_run(lua, all_kinds);
	encode_global(lua, "everything", &bytes);
	struct schema *schema;
	size_t refused = 0, count = buffer_bytes(&bytes);
	for (size_t i = 0; i < count; i++) {
		EXPECT(schema_decode(slice_of(bytes.data, i), &schema) == ERR_INVALID);
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes.data[i] ^= (uint8_t)(1u << bit);
			int error = schema_decode(buffer_view(&bytes), &schema);
			if (error == 0)
				schema_release(schema);
			else
				EXPECT(error == ERR_INVALID);
			refused += error != 0;
			bytes.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	ck_assert_uint_gt(refused, count);
	buffer_done(&bytes);
	fixture_free(lua);
}
END_TEST

START_TEST(encodings_that_say_nonsense_are_refused)
{
	static const char *const bad[] = {
	    "\x80",                /* no type */
	    "\x81\xa4type\xa3int", /* no such type */
	    "\x82\xa4type\xa3"
	    "any\xa3min\x01",       /* a part it has not */
	    "\x81\xa4type\xa4list", /* a list of nothing */
	    "\x82\xa2of\x81\xa4type\xa3"
	    "any\xa4type\xa4lisp",
	    "\x82\xa3min\xa1x\xa4type\xa7integer",    /* a bound that is none */
	    "\x82\xa7pattern\xa1(\xa4type\xa6string", /* a pattern that is none */
	    "\x82\xa4"
	    "enum\x90\xa4type\xa6string", /* no values */
	    "\x82\xa4type\xa3"
	    "any\xa4type\xa3"
	    "any", /* a key twice */
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct schema *schema;
		EXPECT(schema_decode(slice_from_text(bad[i]), &schema) == ERR_INVALID);
	}
	struct schema *schema;
	ck_assert_int_eq(schema_decode(slice_from_text("\x81\xa4type\xa3"
	                                               "any"),
	                     &schema),
	    0);
	ck_assert_int_eq(schema_kind(schema), SCHEMA_ANY);
	schema_release(schema);
	ck_assert_int_eq(schema_decode(slice_of(NULL, 0), &schema), ERR_INVALID);
}
END_TEST

START_TEST(every_allocation_of_decode_and_encode_may_fail)
{
	lua_State *lua = fixture_new();
	struct buffer bytes, again;
	buffer_init(&bytes, 1 << 20);
	buffer_init(&again, 1 << 20);
	fixture_run(lua, all_kinds);
	encode_global(lua, "everything", &bytes);
	struct schema *schema = NULL;
	uint64_t nth = 0;
	int error;
	do {
		mem_fail_at(++nth);
		error = schema_decode(buffer_view(&bytes), &schema);
		EXPECT(error == 0 || (error == ERR_NOMEM && mem_failed()));
	} while (error);
	mem_fail_at(0);
	ck_assert_uint_gt(nth, 20);
	nth = 0;
	do {
		buffer_done(&again);
		mem_fail_at(++nth);
		error = schema_encode(schema, &again);
		EXPECT(error == 0 || (error == ERR_NOMEM && buffer_bytes(&again) == 0));
	} while (error);
	mem_fail_at(0);
	schema_release(schema);
	buffer_done(&bytes);
	buffer_done(&again);
	fixture_free(lua);
}
END_TEST

Suite *schema_code_suite(void)
{
	Suite *suite = suite_create("schema_code");
	TCase *tcase = tcase_create("encoding");
	tcase_add_test(tcase, people_read_schemas_as_json);
	tcase_add_test(tcase, what_was_encoded_decodes_to_the_same);
	tcase_add_test(tcase, damaged_encodings_are_refused_or_are_schemas);
	tcase_add_test(tcase, encodings_that_say_nonsense_are_refused);
	tcase_add_test(tcase, every_allocation_of_decode_and_encode_may_fail);
	suite_add_tcase(suite, tcase);
	return suite;
}
