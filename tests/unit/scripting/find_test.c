/* The judge of find, match, gmatch and gsub is Lua's own string library: random patterns and
 * texts, with results and messages compared; and the matcher by itself, stopped after every step or
 * few. */
#include "base/random.h"
#include "scripting/matcher.h"
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/random_text.h"
#include "tests/unit/scripting/suites.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

static const char *const pattern_pieces[] = {"a", "b", ".", "%a", "%d", "%S", "[ab]", "[^a]",
    "[a-c]", "[%d_]", "*", "+", "-", "?", "(", ")", "%1", "%2", "()", "%b()", "%b", "%f[a]", "%f",
    "^", "$", "%", "[", "]", "1", "%%", "%$", "%w", "%U", "[]]", "[^]a]", "%0", "(a*)", "(.-)",
    "[%", "%b1"};
static const char *const text_pieces[] = {
    "a", "b", "1", "(", ")", "_", "a", "b", "]", "$", "%", "A", " ", "aaa", "\n"};

struct sample {
	char pattern[64], text[64], quoted_pattern[160], quoted_text[160];
	size_t pattern_bytes, text_bytes, from;
};

static void quote(lua_State *lua, const char *text, char *to, size_t room)
{
	lua_getglobal(lua, "string");
	lua_getfield(lua, -1, "format");
	lua_pushliteral(lua, "%q");
	lua_pushstring(lua, text);
	lua_call(lua, 2, 1);
	snprintf(to, room, "%s", lua_tostring(lua, -1));
	lua_settop(lua, 0);
}

static void make(lua_State *lua, struct random *numbers, struct sample *sample)
{
	sample->pattern_bytes = random_text(
	    numbers, pattern_pieces, sizeof(pattern_pieces) / sizeof(char *), sample->pattern, 7);
	sample->text_bytes = random_text(
	    numbers, text_pieces, sizeof(text_pieces) / sizeof(char *), sample->text, 10);
	sample->from =
	    random_below(numbers, 4) == 0 ? random_below(numbers, sample->text_bytes + 1) : 0;
	quote(lua, sample->pattern, sample->quoted_pattern, sizeof(sample->quoted_pattern));
	quote(lua, sample->text, sample->quoted_text, sizeof(sample->quoted_text));
}

/* ---- The matcher ---- */

/* What string.find gives, as text: "begin end capture capture". */
static void write_match(const struct matcher *matcher, char *to, size_t room)
{
	int used = snprintf(
	    to, room, "%td %td", matcher->begin - matcher->text + 1, matcher->end - matcher->text);
	for (int i = 0; i < matcher->captures; i++) {
		const struct match_capture *capture = &matcher->capture[i];
		ck_assert_int_lt(used, (int)room);
		if (capture->bytes == MATCH_CAPTURE_OPEN) {
			snprintf(to, room, "unfinished capture");
			return;
		}
		if (capture->bytes == MATCH_CAPTURE_POSITION)
			used += snprintf(to + used, room - (size_t)used, " %td",
			    capture->begin - matcher->text + 1);
		else
			used += snprintf(to + used, room - (size_t)used, " %.*s",
			    (int)capture->bytes, capture->begin);
	}
}

static void run_matcher(struct random *numbers, const struct sample *sample, char *to, size_t room)
{
	struct matcher places[2];
	struct slice pattern = slice_of(sample->pattern, sample->pattern_bytes);
	bool anchored = pattern.bytes > 0 && pattern.data[0] == '^';
	int place = 0;
	matcher_begin(&places[0], slice_of(sample->text, sample->text_bytes), sample->from,
	    slice_of(pattern.data + anchored, pattern.bytes - anchored));
	places[0].anchored = anchored;
	enum match match;
	do {
		places[place].steps = 1 + random_below(numbers, 3);
		match = matcher_run(&places[place]);
		/* It goes on anywhere. */
		matcher_copy(&places[1 - place], &places[place]);
		memset(&places[place], 0x5a, sizeof(places[place]));
		place = 1 - place;
	} while (match == MATCH_MORE);
	const struct matcher *matcher = &places[place];
	if (match == MATCH_FOUND)
		write_match(matcher, to, room);
	else if (match == MATCH_NONE)
		snprintf(to, room, "nil");
	else if (matcher->why_capture >= 0)
		snprintf(to, room, "%s %%%d", matcher->why, matcher->why_capture);
	else
		snprintf(to, room, "%s", matcher->why);
}

static void run_lua(lua_State *lua, const char *source, char *to, size_t room)
{
	ck_assert_msg(luaL_loadbuffer(lua, source, strlen(source), "=t") == LUA_OK, "%s\n%s",
	    source, lua_tostring(lua, -1));
	ck_assert_msg(lua_pcall(lua, 0, 1, 0) == LUA_OK, "%s\n%s", source, lua_tostring(lua, -1));
	snprintf(to, room, "%s", lua_tostring(lua, -1));
	lua_settop(lua, 0);
}

/* Results, or the message, as one text. */
#define TELL                                                                                       \
	"local function tell(ok, ...)\n"                                                           \
	"  if not ok then return (tostring((...)):gsub('^[^ ]*:%%d+: ', '')) end\n"                \
	"  local t = table.pack(...) for i = 1, t.n do t[i] = tostring(t[i]) end\n"                \
	"  return table.concat(t, ' ') end\n"

START_TEST(a_match_that_is_stopped_anywhere_finds_what_lua_finds)
{
	struct random numbers;
	random_init(&numbers, 11);
	lua_State *lua = luaL_newstate();
	luaL_openlibs(lua);
	unsigned found = 0, missed = 0, wrong = 0;
	for (int i = 0; i < 30000; i++) {
		struct sample sample;
		char source[1024], expected[256], got[256];
		make(lua, &numbers, &sample);
		/* Lua's find takes a text without specials for what it is. */
		if (!strpbrk(sample.pattern, "^$*+?.([%-"))
			continue;
		snprintf(source, sizeof(source),
		    TELL "return tell(pcall(string.find, %s, %s, %zu))", sample.quoted_text,
		    sample.quoted_pattern, sample.from + 1);
		run_lua(lua, source, expected, sizeof(expected));
		run_matcher(&numbers, &sample, got, sizeof(got));
		ck_assert_msg(strcmp(expected, got) == 0, "%s in %s: Lua '%s', we '%s'",
		    sample.pattern, sample.text, expected, got);
		found += expected[0] >= '1' && expected[0] <= '9';
		missed += strcmp(expected, "nil") == 0;
		wrong += strstr(expected, "malformed") != NULL;
	}
	ck_assert_uint_gt(found, 1500);
	ck_assert_uint_gt(missed, 1500);
	ck_assert_uint_gt(wrong, 1000);
	lua_close(lua);
}
END_TEST

/* ---- The library ---- */

static const struct sandbox_budget long_budget = {
    .instructions = 10000000, .run_ns = UINT64_MAX / 2, .bytes = 64 * 1024 * 1024};

static const char *const uses[] = {
    "return tell(pcall(string.find, s, p, %zu))",
    "return tell(pcall(string.match, s, p, %zu))",
    "return tell(pcall(function() local t = {} for a, b in s:gmatch(p, %zu) do t[#t + 1] = "
    "tostring(a) .. '/' .. tostring(b) end return table.concat(t, ' ') end))",
    "return tell(pcall(string.gsub, s, p, '<%%0>', %zu))",
    "return tell(pcall(string.gsub, s, p, '%%2-%%1', %zu))",
    "return tell(pcall(string.gsub, s, p, {a = 'A', b = false, ['('] = 1.5}, %zu))",
    "return tell(pcall(string.gsub, s, p, function(a, b) if b then return b end return a ~= 'a' "
    "and '[' .. a .. ']' end, %zu))",
};

START_TEST(the_library_gives_what_luas_own_gives)
{
	struct random numbers;
	random_init(&numbers, (uint64_t)_i + 12);
	lua_State *lua = luaL_newstate();
	luaL_openlibs(lua);
	struct sandbox *sandbox = harness_new(1);
	harness_tick_ns = 2000;
	unsigned different = 0;
	for (int i = 0; i < 3000; i++) {
		struct sample sample;
		char source[2048], use[512], expected[512];
		make(lua, &numbers, &sample);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(use, sizeof(use), uses[_i], sample.from + 1);
#pragma GCC diagnostic pop
		snprintf(source, sizeof(source), TELL "local s, p = %s, %s %s", sample.quoted_text,
		    sample.quoted_pattern, use);
		run_lua(lua, source, expected, sizeof(expected));
		struct outcome outcome = harness_run(sandbox, &long_budget, 1, false, source);
		ck_assert_msg(outcome.end == SANDBOX_ENDED && strcmp(expected, outcome.text) == 0,
		    "%s\nLua '%s'\nwe  '%s'", source, expected, outcome.text);
		different += strcmp(expected, "nil") != 0;
	}
	ck_assert_uint_gt(different, 1000);
	sandbox_free(sandbox);
	lua_close(lua);
}
END_TEST

/* As deep as Lua's own goes, and no deeper. */
START_TEST(nesting_has_luas_bound)
{
	lua_State *lua = luaL_newstate();
	luaL_openlibs(lua);
	struct sandbox *sandbox = harness_new(1);
	unsigned refused = 0;
	for (int depth = 190; depth < 210; depth++) {
		static const char *const items[] = {"x?", "x*", "x-", "x-()"};
		for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++) {
			char source[1024], expected[256];
			snprintf(source, sizeof(source),
			    TELL "return tell(pcall(string.find, ('x'):rep(%d), ('%s'):rep(%d)))",
			    depth, items[i], depth);
			run_lua(lua, source, expected, sizeof(expected));
			struct outcome outcome =
			    harness_run(sandbox, &long_budget, 0, false, source);
			ck_assert_str_eq(outcome.text, expected);
			refused += strcmp(expected, "pattern too complex") == 0;
		}
	}
	ck_assert_uint_ge(refused, 20);
	ck_assert_uint_lt(refused, 40);
	sandbox_free(sandbox);
	lua_close(lua);
}
END_TEST

Suite *find_suite(void)
{
	Suite *suite = suite_create("find");
	TCase *tcase = tcase_create("find");
	tcase_add_test(tcase, a_match_that_is_stopped_anywhere_finds_what_lua_finds);
	tcase_add_loop_test(
	    tcase, the_library_gives_what_luas_own_gives, 0, sizeof(uses) / sizeof(uses[0]));
	tcase_add_test(tcase, nesting_has_luas_bound);
	suite_add_tcase(suite, tcase);
	return suite;
}
