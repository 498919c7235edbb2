/* Pauses in the middle of C code, which keeps its stack of C meanwhile. The clock moves on by more
 * than a slice at every look, so that each look is the end of one. */
#include "tests/unit/scripting/harness.h"
#include "tests/unit/scripting/suites.h"

#include "scripting/value.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

/* The budget of time is no matter here. */
static const struct sandbox_budget long_budget = {
    .instructions = 100000000, .run_ns = UINT64_MAX / 2, .bytes = 256 * 1024 * 1024};

static int provide(lua_State *lua)
{
	static const struct {
		const char *name;
		void (*open)(lua_State *lua);
	} values[] = {{"json", value_open_json}, {"base64", value_open_base64},
	    {"hash", value_open_hash}, {"sorted", value_open_sorted}, {"list", value_open_list}};
	value_open(lua);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		values[i].open(lua);
		sandbox_provide(sandbox_of(lua), values[i].name);
	}
	return 0;
}

static struct sandbox *new_sandbox(void)
{
	struct sandbox *sandbox = harness_new(1);
	lua_State *lua = sandbox_lua(sandbox);
	lua_pushcfunction(lua, provide);
	ck_assert_int_eq(lua_pcall(lua, 0, 0, 0), LUA_OK);
	return sandbox;
}

#define RECORDS                                                                                    \
	"local function records(n) local t = {} for i = 1, n do t[i] = { id = i, name = 'n' .. i," \
	" tags = { 'one', 'two' }, text = ('\"\\n'):rep(i % 7) } end return t end\n"
#define KEYS "local t = {} for i = 1, 20000 do t['key ' .. i * 7919 % 20011] = i end\n"
#define SUM                                                                                        \
	"local function sum(s) local x = 0 for i = 1, #s, 97 do x = (x * 31 + s:byte(i)) % "       \
	"1000003 "                                                                                 \
	"end return #s .. ' ' .. x end\n"

/* `call` alone pauses so often, in one function of the library; `result` is looked at. */
static const struct {
	unsigned pauses_min;
	const char *make, *call;
} cases[] = {
    {50, RECORDS SUM "local t, s = records(3000)", "s = json.encode(t)"},
    {50, RECORDS SUM "local t, s = json.encode(records(3000))", "s = json.encode(json.decode(t))"},
    {50, KEYS SUM "local s", "s = json.encode(t)"},
    /* Not only where the table is read, but also where its text is written. */
    {50, SUM "local s, t = nil, {} for i = 1, 100 do t[i] = ('x'):rep(10000) end",
        "s = tostring(#json.encode(t))"},
    {50, KEYS SUM "local s = json.encode(t)", "s = json.encode(json.decode(s))"},
    {50, KEYS SUM "local s = ''",
        "for k, v in sorted(t) do s = s .. k .. v if #s > 200 then break end end"},
    {50, KEYS SUM "local s for i = 1, 100, 3 do t[i] = i t[i + 0.5] = i end",
        "s = '' for k, v in sorted(t) do s = s .. k .. ' ' if k == 'key 100' then break end end"},
    {50, KEYS SUM "local s t[true] = 1", "s = select(2, pcall(sorted, t))"},
    {50, KEYS SUM "local s", "s = next(t) s = s .. next(t, s)"},
    {50, SUM "local s, t = nil, ('a\"\\\\\\n\\0' .. '1\\r\\127\\200'):rep(50000)",
        "s = ('%q'):format(t)"},
    {30, SUM "local s, t = nil, ('\\xc3\\xa9a\\xe2\\x82\\xac'):rep(100000)",
        "s = utf8.len(t) .. ' ' .. utf8.len(t, 3, -2) .. ' ' .. select(2, utf8.len(t .. '\\xff'))"},
    {30, SUM "local s, t = nil, ('\\xc3\\xa9a\\xe2\\x82\\xac'):rep(100000)",
        "s = utf8.offset(t, 250000) .. ' ' .. utf8.offset(t, -250000) .. ' ' .. utf8.offset(t, 0, "
        "6)"},
    {30, SUM "local s, t = nil, ('x\\0\\xff'):rep(300000)",
        "s = base64.encode(t) assert(base64.decode(s) == t)"},
    {20, SUM "local s, t = nil, ('x'):rep(1000000)",
        "s = hash.sha256(t) .. hash.hmac_sha256(t, t) .. hash.hmac_sha256('key', t)"},
    /* The general ways, which go over keys of every kind. */
    {50, KEYS SUM "local s t['key 7'] = { [1] = 1, [3] = 2 }",
        "s = select(2, pcall(json.encode, t))"},
};

static void compare(unsigned pauses_min, const char *make, const char *call)
{
	static char source[2][2048];
	struct outcome whole, without, pieces;
	struct sandbox *sandbox = new_sandbox();
	snprintf(source[0], sizeof(source[0]), "%s\nreturn 'made'", make);
	snprintf(source[1], sizeof(source[1]), "%s\n%s\nreturn sum(s)", make, call);
	whole = harness_run(sandbox, &long_budget, 0, false, source[1]);
	harness_tick_ns = 2000;
	without = harness_run(sandbox, &long_budget, 1, false, source[0]);
	pieces = harness_run(sandbox, &long_budget, 1, false, source[1]);
	ck_assert_msg(whole.end == SANDBOX_ENDED, "%s\n%s", source[1], whole.text);
	ck_assert_msg(pieces.end == SANDBOX_ENDED, "%s\n%s", source[1], pieces.text);
	ck_assert_str_eq(whole.text, pieces.text);
	ck_assert_msg(pieces.pauses >= without.pauses + pauses_min, "%s\n%u pauses, %u without",
	    source[1], pieces.pauses, without.pauses);
	sandbox_free(sandbox);
}

START_TEST(the_library_pauses_in_the_middle_of_one_call)
{
	compare(cases[_i].pauses_min, cases[_i].make, cases[_i].call);
}
END_TEST

/* What goes over a text in pieces says the same wherever a piece ends in it. */
START_TEST(characters_are_found_across_pieces)
{
	struct sandbox *sandbox = new_sandbox();
	struct outcome outcome = harness_run(sandbox, &long_budget, 0, false,
	    "for shift = 0, 5 do\n"
	    "  local t = ('x'):rep(16384 - shift) .. ('\\xf0\\x9f\\x98\\x80\\xc3\\xa9'):rep(3000) "
	    ".. 'e'\n"
	    "  assert(utf8.len(t) == 16384 - shift + 6001)\n"
	    "  assert(utf8.len(t, 3, -4) == 16384 - shift + 6001 - 4)\n"
	    "  assert(utf8.len(t, #t + 1) == 0 and utf8.len('', 1) == 0 and utf8.len(t, 5, 2) == "
	    "0)\n"
	    "  for _, bad in ipairs { '\\x80', '\\xff', '\\xed\\xa0\\x80', '\\xc3' } do\n"
	    "    local n, at = utf8.len(t .. bad .. t)\n"
	    "    assert(n == nil and at == #t + 1, at)\n"
	    "  end\n"
	    "  assert(utf8.len(t .. '\\xed\\xa0\\x80' .. t, 1, -1, true) == 2 * utf8.len(t) + 1)\n"
	    "  assert(utf8.offset(t, 16384 - shift + 6001) == #t)\n"
	    "  assert(utf8.offset(t, 16384 - shift + 6002) == #t + 1)\n"
	    "  assert(utf8.offset(t, 16384 - shift + 6003) == nil)\n"
	    "  assert(utf8.offset(t, -6001) == 16385 - shift)\n"
	    "  assert(utf8.offset(t, -#t) == nil and utf8.offset(t, -1) == #t)\n"
	    "  assert(utf8.offset(t, 0, 16388 - shift) == 16385 - shift)\n"
	    "  assert(not pcall(utf8.offset, t, 1, 16386 - shift))\n"
	    "  assert(not pcall(utf8.offset, t, 1, #t + 2) and not pcall(utf8.len, t, 0))\n"
	    "  assert(not pcall(utf8.len, t, 1, #t + 1) and not pcall(utf8.len, '', 2))\n"
	    "end\n"
	    "local b = ('x'):rep(12287)\n"
	    "for i = 0, 4 do assert(base64.decode(base64.encode(b .. ('y'):rep(i))) == b .. "
	    "('y'):rep(i)) end\n"
	    "assert(not pcall(base64.decode, base64.encode(b) .. base64.encode(b)))\n"
	    "return 'right'");
	ck_assert_str_eq(outcome.text, "right");
	sandbox_free(sandbox);
}
END_TEST

/* A long string is made in the block in which it stays, so that there is room for one that fills
 * two thirds of the memory of its run; what it is like does not depend on how long it is. */
START_TEST(long_strings_are_made_where_they_stay)
{
	static const struct sandbox_budget budget = {
	    .instructions = 100000000, .run_ns = UINT64_MAX / 2, .bytes = 18 << 20};
	static const char *const sources[] = {
	    "local s = ('abc'):rep(4 << 20) return #s .. s:sub(-4)",
	    "local s = ('a'):rep(8 << 20) s = nil return #base64.encode(('x'):rep(6 << 20))",
	    "return #base64.decode(('QUJD'):rep(2 << 20)) + #('x'):rep(4 << 20)",
	    "return #(('aB'):rep(4 << 20)):upper()"};
	static const char *const texts[] = {"12582912cabc", "8388608", "10485760", "8388608"};
	struct sandbox *sandbox = new_sandbox();
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		harness_tick_ns = 2000;
		struct outcome outcome = harness_run(sandbox, &budget, 1, false, sources[i]);
		ck_assert_str_eq(outcome.text, texts[i]);
	}
	harness_tick_ns = 2000;
	struct outcome outcome = harness_run(sandbox, &long_budget, 1, false,
	    "for n = (128 << 10) - 45, (128 << 10) + 20 do\n"
	    "  local parts = {} for i = 1, n // 100 do parts[i] = ('Xy'):rep(50) end\n"
	    "  parts[#parts + 1] = ('Xy'):rep(50):sub(1, n % 100)\n"
	    "  local s = table.concat(parts)\n"
	    "  assert(('Xy'):rep(n // 2) .. ('X'):rep(n % 2) == s and #s == n)\n"
	    "  local t = { [s] = 1 } assert(t[('Xy'):rep(n // 2) .. ('X'):rep(n % 2)] == 1)\n"
	    "  assert(s:upper() == ('XY'):rep(n // 2) .. ('X'):rep(n % 2))\n"
	    "  assert(s:reverse():reverse() == s and base64.decode(base64.encode(s)) == s)\n"
	    "end return 'right'");
	ck_assert_str_eq(outcome.text, "right");
	sandbox_free(sandbox);
}
END_TEST

static void begin(struct sandbox *sandbox, struct sandbox_run *run, const char *source)
{
	ck_assert_int_eq(sandbox_run_begin(sandbox, &long_budget, run), 0);
	ck_assert_int_eq(sandbox_compile(run->lua, slice_from_text(source), "@test.lua"), 0);
}

/* All of them decode, sort and encode at the same time, each something else. */
START_TEST(runs_in_the_middle_of_the_same_function_do_not_disturb_each_other)
{
	enum { RUNS = 12 };
	struct sandbox *sandbox = new_sandbox();
	struct sandbox_run runs[RUNS];
	struct outcome whole[RUNS];
	char source[1024];
	int results, left = RUNS;
	bool ended[RUNS] = {false};
	for (int i = 0; i < RUNS; i++) {
		snprintf(source, sizeof(source),
		    "%slocal t = records(%d) t[%d].more = { [%s] = ('x'):rep(%d) }\n"
		    "for i = 1, 300 do t[2]['a ' .. i * %d] = t[3] end\n"
		    "local s = json.encode(t) return sum(json.encode(json.decode(s)))",
		    RECORDS SUM, 300 + i, 1 + i, i % 3 ? "'k'" : "1", i, i + 1);
		harness_tick_ns = 0;
		whole[i] = harness_run(sandbox, &long_budget, 0, false, source);
		ck_assert_int_eq(whole[i].end, SANDBOX_ENDED);
		begin(sandbox, &runs[i], source);
	}
	harness_tick_ns = 2000;
	while (left > 0) {
		for (int i = 0; i < RUNS; i++) {
			if (ended[i] ||
			    sandbox_run_resume(&runs[i], 0, 1, &results) == SANDBOX_RUNNING)
				continue;
			ck_assert_int_eq(runs[i].end, SANDBOX_ENDED);
			ck_assert_str_eq(lua_tostring(runs[i].lua, -1), whole[i].text);
			sandbox_run_end(&runs[i]);
			ended[i] = true;
			left--;
		}
		(void)sandbox_collect(sandbox);
	}
	sandbox_free(sandbox);
}
END_TEST

START_TEST(a_run_in_the_middle_of_c_code_can_be_abandoned)
{
	struct sandbox *sandbox = new_sandbox();
	harness_tick_ns = 2000;
	for (int i = 0; i < 60; i++) {
		struct sandbox_run run;
		int results;
		begin(sandbox, &run,
		    RECORDS "local kept = records(100)\n"
		            "return coroutine.wrap(function() while true do\n"
		            "  kept = json.decode(json.encode(kept)) end end)()");
		for (int j = 0; j < 3 * i; j++)
			ck_assert_int_eq(sandbox_run_resume(&run, 0, 1, &results), SANDBOX_RUNNING);
		sandbox_run_end(&run);
		struct outcome outcome =
		    harness_run(sandbox, &long_budget, 1, false, "return json.encode({1})");
		ck_assert_str_eq(outcome.text, "[1]");
	}
	while (sandbox_collect(sandbox))
		continue;
	sandbox_free(sandbox);
}
END_TEST

/* Below functions that Lua can't leave. */
START_TEST(what_c_code_calls_pauses_too)
{
	static const char *const sources[] = {
	    "return c_call(function() local n = 0 for i = 1, 100000 do n = n + 1 end return n end)",
	    "return c_call(coroutine.wrap(function() local n = 0 for i = 1, 100000 do n = n + 1 "
	    "end return n end))",
	    "return tostring(setmetatable({}, {__tostring = function() for i = 1, 100000 do end "
	    "return 'x' end}))",
	    "return select(2, xpcall(error, function() for i = 1, 100000 do end return 'x' end))",
	    "local lt = {__lt = function(a, b) for i = 1, 10000 do end return a.n < b.n end}\n"
	    "local t = {} for i = 1, 10 do t[i] = setmetatable({n = i * 7 % 10}, lt) end\n"
	    "table.sort(t) for i = 1, 10 do assert(t[i].n == i - 1) end return 'sorted'",
	    "local ok, why = pcall(c_call, function() for i = 1, 100000 do end error('mine', 0) "
	    "end)\n"
	    "return why",
	};
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		struct sandbox *sandbox = new_sandbox();
		harness_tick_ns = 0;
		struct outcome whole = harness_run(sandbox, &long_budget, 0, false, sources[i]);
		ck_assert_uint_gt(whole.instructions, 90000);
		harness_tick_ns = 2000;
		struct outcome pieces = harness_run(sandbox, &long_budget, 1, false, sources[i]);
		ck_assert_int_eq(pieces.end, SANDBOX_ENDED);
		ck_assert_str_eq(pieces.text, whole.text);
		ck_assert_uint_gt(pieces.pauses, 90);
		sandbox_free(sandbox);
	}
}
END_TEST

/* More than there are stacks: the others go on, as far as their budget goes. */
START_TEST(stacks_of_c_are_bounded)
{
	enum { RUNS = 1100, STACKS = 1024 };
	static struct sandbox_run runs[RUNS];
	struct sandbox *sandbox = new_sandbox();
	int results, inside = 0;
	harness_tick_ns = 2000;
	for (int i = 0; i < RUNS; i++) {
		begin(sandbox, &runs[i], "return c_call(function() for i = 1, 30000 do end end)");
		for (int j = 0; j < 5 && runs[i].end == SANDBOX_RUNNING; j++)
			(void)sandbox_run_resume(&runs[i], 0, 1, &results);
		inside += runs[i].stack != NULL;
	}
	ck_assert_int_eq(inside, STACKS);
	for (int i = 0; i < RUNS; i++) {
		while (runs[i].end == SANDBOX_RUNNING)
			(void)sandbox_run_resume(&runs[i], 0, 1, &results);
		ck_assert_int_eq(runs[i].end, SANDBOX_ENDED);
		sandbox_run_end(&runs[i]);
	}
	sandbox_free(sandbox);
}
END_TEST

START_TEST(budgets_and_errors_end_what_is_in_the_middle)
{
	static const struct {
		struct sandbox_budget budget;
		const char *source, *text;
	} ends[] = {
	    {{100000, UINT64_MAX / 2, 64 << 20},
	        RECORDS "local t = records(1000) while true do pcall(json.encode, t) end",
	        "ran out of instructions (100000)"},
	    {{10000000, 2000000, 64 << 20},
	        RECORDS
	        "local t = json.encode(records(1000)) while true do pcall(json.decode, t) end",
	        "ran out of running time (2 ms)"},
	    {{100000000, UINT64_MAX / 2, 6 << 20},
	        "local s = '[' .. ('{},'):rep(300000) .. '1]' pcall(json.decode, s) return 1",
	        "ran out of memory (6291456 bytes)"},
	    {{100000000, UINT64_MAX / 2, 64 << 20},
	        "local s = '[' .. ('{},'):rep(30000) .. '}]' return select(2, pcall(json.decode, "
	        "s))",
	        "json.decode: "},
	};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct sandbox *sandbox = new_sandbox();
		harness_tick_ns = 2000;
		struct outcome outcome =
		    harness_run(sandbox, &ends[i].budget, 1, false, ends[i].source);
		ck_assert_msg(strstr(outcome.text, ends[i].text) != NULL, "%s", outcome.text);
		ck_assert_uint_gt(outcome.pauses, 20);
		outcome = harness_run(sandbox, &long_budget, 1, false, "return json.encode({1})");
		ck_assert_str_eq(outcome.text, "[1]");
		sandbox_free(sandbox);
	}
}
END_TEST

Suite *inside_suite(void)
{
	Suite *suite = suite_create("inside");
	TCase *tcase = tcase_create("inside");
	tcase_add_loop_test(tcase, the_library_pauses_in_the_middle_of_one_call, 0,
	    sizeof(cases) / sizeof(cases[0]));
	tcase_add_test(tcase, characters_are_found_across_pieces);
	tcase_add_test(tcase, long_strings_are_made_where_they_stay);
	tcase_add_test(tcase, runs_in_the_middle_of_the_same_function_do_not_disturb_each_other);
	tcase_add_test(tcase, a_run_in_the_middle_of_c_code_can_be_abandoned);
	tcase_add_test(tcase, what_c_code_calls_pauses_too);
	tcase_add_test(tcase, stacks_of_c_are_bounded);
	tcase_add_test(tcase, budgets_and_errors_end_what_is_in_the_middle);
	suite_add_tcase(suite, tcase);
	return suite;
}
