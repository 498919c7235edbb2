/* The judge of patterns is Lua's own string.find. */
#include "scripting/pattern.h"

#include "base/random.h"
#include "tests/unit/scripting/random_text.h"
#include "tests/unit/scripting/value_suites.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

static bool matches(const char *pattern, const char *text)
{
	const char *why = NULL;
	bool result = false;
	uint64_t steps = 1000000;
	ck_assert_int_eq(pattern_check(slice_from_text(pattern), &why), 0);
	ck_assert_int_eq(
	    pattern_matches(slice_from_text(pattern), slice_from_text(text), &steps, &result), 0);
	return result;
}

START_TEST(the_whole_text_must_match)
{
	ck_assert(matches("", ""));
	ck_assert(!matches("", "a"));
	ck_assert(matches("a", "a"));
	ck_assert(!matches("a", "ab"));
	ck_assert(!matches("b", "ab"));
	ck_assert(matches("^a$", "a"));
	ck_assert(matches("a$b", "a$b"));
	ck_assert(matches("%a-", "abc"));
	ck_assert(matches("(%a+)%-%1", "ab-ab"));
	ck_assert(!matches("(%a+)%-%1", "ab-ac"));
	ck_assert(matches("%b()", "(a(b)c)"));
	ck_assert(!matches("%b()", "(a(b)c))"));
	ck_assert(matches("%f[%w]%w+%f[%W]", "word"));
	ck_assert(matches("[]%-a]+", "]-a"));
	ck_assert(matches("[^]]", "a"));
	ck_assert(matches("()a()", "a"));
}
END_TEST

START_TEST(malformed_patterns_are_refused)
{
	static const char *const bad[] = {"(", ")", "%", "[", "[a", "[^", "[]", "[%", "[%a", "%b",
	    "%bx", "%f", "%fa", "%f[a", "%1", "(%1)", "()%1", "%0", "(()", "a)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why = NULL;
		EXPECT(pattern_check(slice_from_text(bad[i]), &why) == ERR_INVALID && why);
	}
	char many[67];
	memset(many, '(', 33);
	memset(many + 33, ')', 33);
	const char *why;
	ck_assert_int_eq(pattern_check(slice_of(many, 66), &why), ERR_INVALID);
	char longest[257];
	memset(longest, 'a', sizeof(longest));
	ck_assert_int_eq(pattern_check(slice_of(longest, 256), &why), 0);
	ck_assert_int_eq(pattern_check(slice_of(longest, 257), &why), ERR_INVALID);
}
END_TEST

START_TEST(steps_and_nesting_are_bounded)
{
	char text[1000], pattern[256];
	memset(text, 'a', sizeof(text));
	memset(pattern, 0, sizeof(pattern));
	for (int i = 0; i < 250; i += 2)
		memcpy(pattern + i, "a*", 2);
	bool result;
	uint64_t steps = 100000;
	pattern[250] = 'b';
	ck_assert_int_eq(
	    pattern_matches(slice_of(pattern, 251), slice_of(text, sizeof(text)), &steps, &result),
	    ERR_TOO_LARGE);
	ck_assert_uint_eq(steps, 0);
	for (int i = 0; i < 250; i += 2)
		memcpy(pattern + i, "x?", 2);
	steps = 100000;
	ck_assert_int_eq(
	    pattern_matches(slice_of(pattern, 250), slice_of(text, 0), &steps, &result), 0);
	ck_assert(result);
}
END_TEST

/* A pattern or text of pieces that mean something. */

/* 1 or 0; -1 where Lua refuses the pattern, or finds its own bounds passed. */
static int lua_matches(lua_State *lua, struct slice pattern, struct slice text)
{
	lua_settop(lua, 0);
	lua_getglobal(lua, "string");
	lua_getfield(lua, 1, "find");
	lua_pushlstring(lua, (const char *)text.data, text.bytes);
	luaL_Buffer buffer;
	luaL_buffinit(lua, &buffer);
	bool begins = pattern.bytes > 0 && pattern.data[0] == '^';
	luaL_addchar(&buffer, '^');
	luaL_addlstring(&buffer, (const char *)pattern.data + begins, pattern.bytes - begins);
	if (pattern.bytes == (size_t)begins || pattern.data[pattern.bytes - 1] != '$' ||
	    (pattern.bytes > 1 && pattern.data[pattern.bytes - 2] == '%'))
		luaL_addchar(&buffer, '$');
	luaL_pushresult(&buffer);
	if (lua_pcall(lua, 2, 1, 0))
		return -1;
	return !lua_isnil(lua, -1);
}

START_TEST(random_patterns_match_as_in_lua)
{
	static const char *const pattern_pieces[] = {"a", "b", ".", "%a", "%d", "%S", "[ab]",
	    "[^a]", "[a-c]", "[%d_]", "*", "+", "-", "?", "(", ")", "%1", "%2", "()", "%b()",
	    "%f[a]", "^", "$", "%", "[", "]", "1", "%%", "%$", "%w", "%U", "[]]", "[^]a]"};
	static const char *const text_pieces[] = {
	    "a", "b", "1", "(", ")", "_", "a", "b", "]", "$", "%", "A"};
	struct random numbers;
	random_init(&numbers, 7);
	lua_State *lua = luaL_newstate();
	luaL_openlibs(lua);
	unsigned found = 0, refused = 0, missed = 0;
	for (int i = 0; i < 60000; i++) {
		char pattern[64], text[64];
		struct slice p =
		    slice_of(pattern, random_text(&numbers, pattern_pieces,
		                          sizeof(pattern_pieces) / sizeof(char *), pattern, 6));
		struct slice t = slice_of(text, random_text(&numbers, text_pieces,
		                                    sizeof(text_pieces) / sizeof(char *), text, 6));
		const char *why;
		bool result = false;
		uint64_t steps = 1000000;
		if (pattern_check(p, &why)) {
			/* Lua sees a fault only where the match comes to it. */
			refused++;
			continue;
		}
		int expected = lua_matches(lua, p, t);
		if (pattern_matches(p, t, &steps, &result) || expected != (int)result)
			ck_abort_msg("%.*s against %.*s: Lua %d, we %d", (int)p.bytes, pattern,
			    (int)t.bytes, text, expected, result);
		found += result;
		missed += !result;
	}
	ck_assert_uint_gt(found, 1000);
	ck_assert_uint_gt(missed, 1000);
	ck_assert_uint_gt(refused, 1000);
	lua_close(lua);
}
END_TEST

Suite *pattern_suite(void)
{
	Suite *suite = suite_create("pattern");
	TCase *tcase = tcase_create("patterns");
	tcase_add_test(tcase, the_whole_text_must_match);
	tcase_add_test(tcase, malformed_patterns_are_refused);
	tcase_add_test(tcase, steps_and_nesting_are_bounded);
	tcase_add_test(tcase, random_patterns_match_as_in_lua);
	suite_add_tcase(suite, tcase);
	return suite;
}
