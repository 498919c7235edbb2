// sources: scripting/lib_base.c scripting/lib_coroutine.c scripting/lib_find.c scripting/lib_math.c
// sources: scripting/lib_pattern.c scripting/lib_sort.c scripting/lib_string.c
// sources: scripting/lib_table.c scripting/lib_text.c scripting/lib_utf8.c scripting/lib_walk.c
// sources: scripting/matcher.c
// sources: scripting/sandbox.c
// sources: scripting/sandbox_blocks.c scripting/sandbox_budget.c scripting/sandbox_collect.c
// sources: scripting/sandbox_keys.c
// sources: scripting/sandbox_source.c scripting/sandbox_stack.c scripting/value_scratch.c
// libraries: -llua5.4 -lm
/* Sources of Lua in the sandbox, with small budgets and a clock that moves on at each look. Judged:
 * nothing crashes or leaks, no run goes beyond twice a budget, an abort is always the one of a
 * budget, and a source that ends does the same when it is repeated in pieces by another sandbox.
 *
 * An input is the source itself. libFuzzer's own mutations seldom leave Lua valid, so half of ours
 * put pieces of the language together instead: the mutator below copies, swaps and inserts whole
 * statements and expressions of a list. */
#include "tests/fuzz/fuzz.h"

#include "base/clock.h"
#include "scripting/sandbox_internal.h"
#include "scripting/value_inside.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t bytes, size_t bytes_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed);

/* Views are another library's, and no script here has one. */
bool sandbox_view_target(lua_State *lua, int position)
{
	(void)lua;
	(void)position;
	return false;
}

void sandbox_settle(lua_State *lua, int position)
{
	(void)lua;
	(void)position;
}

void sandbox_check_writable(lua_State *lua, int position)
{
	if (sandbox_is_protected(lua, position))
		luaL_error(lua, "this table is read-only");
}

/* There are no values. */
struct value_state *value_state_find(lua_State *lua)
{
	(void)lua;
	return NULL;
}

static uint64_t now_ns;

uint64_t clock_monotonic_ns(void)
{
	return now_ns += 1000;
}

uint64_t clock_thread_ns(void)
{
	return clock_monotonic_ns();
}

int64_t clock_real_ms(void)
{
	return 0;
}

static const struct sandbox_budget budget = {
    .instructions = 200000, .run_ns = 1000 * 1000, .bytes = 2 * 1024 * 1024};

struct result {
	enum sandbox_end end;
	uint64_t hash;
};

static struct sandbox *fresh(uint64_t seed)
{
	struct sandbox *sandbox;
	struct sandbox_options options = {.seed = seed, .bytes_max = 64 * 1024 * 1024};
	fuzz_must_hold(sandbox_new(&options, &sandbox) ? "a sandbox can be made" : NULL);
	return sandbox;
}

static struct result run_once(struct sandbox *sandbox, struct slice source, uint32_t slice_us)
{
	struct sandbox_run run;
	struct result result = {.end = SANDBOX_RAISED};
	uint64_t bytes_before = sandbox_bytes(sandbox);
	fuzz_must_hold(sandbox_run_begin(sandbox, &budget, &run) ? "a run can begin" : NULL);
	run.pure = true;
	int results = 0;
	if (sandbox_compile(run.lua, source, "@fuzz.lua") == 0) {
		unsigned pauses = 0;
		do {
			fuzz_must_hold(++pauses > 100000 ? "it ends" : NULL);
			/* What one instruction makes at once is refused at four times. */
			fuzz_must_hold(
			    sandbox_bytes(sandbox) > bytes_before + 4 * budget.bytes + (1 << 20)
			        ? "memory is bounded"
			        : NULL);
		} while (sandbox_run_resume(&run, 0, slice_us, &results) == SANDBOX_RUNNING);
		result.end = run.end;
		fuzz_must_hold(run.instructions > 2 * budget.instructions
		                   ? "no more than twice the instructions"
		                   : NULL);
		fuzz_must_hold(
		    run.run_ns > 2 * budget.run_ns ? "no more than twice the time" : NULL);
		if (run.end == SANDBOX_ABORTED)
			fuzz_must_hold(run.abort_status != STATUS_RESOURCE_EXHAUSTED
			                   ? "only a budget ends it"
			                   : NULL);
		if (run.end == SANDBOX_RAISED) {
			char text[300];
			sandbox_run_traceback(&run, text, sizeof(text));
		}
		if (run.end != SANDBOX_ABORTED && lua_type(run.lua, -1) == LUA_TSTRING) {
			size_t bytes;
			const char *text = lua_tolstring(run.lua, -1, &bytes);
			for (size_t i = 0; i < bytes; i++)
				result.hash = result.hash * 31 + (uint8_t)text[i];
		}
	}
	sandbox_run_end(&run);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct slice source = slice_of(data, bytes);
	struct sandbox *sandbox = fresh(1), *other = fresh(1);
	struct result whole = run_once(sandbox, source, 0);
	struct result pieces = run_once(other, source, 1);
	if (whole.end != SANDBOX_ABORTED && pieces.end != SANDBOX_ABORTED) {
		fuzz_must_hold(whole.end != pieces.end ? "it ends the same way in pieces" : NULL);
		fuzz_must_hold(
		    whole.hash != pieces.hash ? "its result is the same in pieces" : NULL);
	}
	/* Nothing of it is left for the next one. */
	struct result after =
	    run_once(sandbox, slice_from_text("return ('%d'):format(#_VERSION) .. type(print)"), 1);
	fuzz_must_hold(after.end != SANDBOX_ENDED ? "the next run is whole" : NULL);
	while (sandbox_collect(sandbox))
		continue;
	sandbox_free(sandbox);
	sandbox_free(other);
	return 0;
}

/* ---- Mutations ---- */

static const char *const pieces[] = {
    "local a, b, c = {}, 'x', 1\n",
    "local t = setmetatable({}, {__index = function(t, k) return k end})\n",
    "while true do ",
    "for i = 1, 100 do ",
    "for k, v in pairs(a) do ",
    "for k, v in next, a do ",
    " end\n",
    "if a then ",
    "else ",
    "repeat ",
    "until b\n",
    "function f(...) ",
    "local function g(x) return ",
    "return ",
    "pcall(",
    "xpcall(f, g, ",
    "error(",
    "coroutine.wrap(",
    "coroutine.resume(coroutine.create(",
    "coroutine.yield(",
    "function(...) ",
    "setmetatable(",
    "getmetatable(a)",
    "table.sort(a, ",
    "table.concat(a, ",
    "table.insert(a, ",
    "table.remove(a)",
    "table.unpack(a, 1, 9)",
    "table.move(a, 1, 9, 2)",
    "string.rep(b, ",
    "string.format('%5.1f%s%q', 1, b, c)",
    "(b):gsub('(.-)%1', ",
    "(b):find('[%w_]*(%b())$', ",
    "(b):gmatch('()%f[%a]%a+')",
    "string.pack('<i4s2z', 1, b, b)",
    "load(",
    "select('#', ...)",
    "tostring(",
    "math.maxinteger",
    "math.random(3)",
    "{__lt = g, __eq = g, __call = f, __len = f, __tostring = f, __pairs = next}",
    "(1 << 62)",
    "('x'):rep(1000)",
    "utf8.char(228, 8364)",
    "utf8.codepoint('ab', 1, 2)",
    "utf8.len(b, ",
    "utf8.offset(b, ",
    "a.b.c[1]",
    "a.b = ",
    "a[#a + 1] = ",
    " .. ",
    " + ",
    " < ",
    " == ",
    "not ",
    "-",
    "#",
    ")",
    "(",
    ", ",
    "} ",
    "{",
    "...",
    "goto l ::l::\n",
    "local x <const> = 1\n",
    "rawset(a, 1, 2)",
    "rawget(_ENV, 'print')",
    "_G",
    "\n",
};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t bytes, size_t bytes_max, unsigned seed)
{
	unsigned number = seed * 2654435761u >> 8;
	if (number % 2 == 0)
		return LLVMFuzzerMutate(data, bytes, bytes_max);
	const char *piece = pieces[number / 2 % (sizeof(pieces) / sizeof(pieces[0]))];
	size_t piece_bytes = strlen(piece);
	if (bytes + piece_bytes > bytes_max)
		return LLVMFuzzerMutate(data, bytes, bytes_max);
	/* Between two words or signs, where there is such a place near the chosen one. */
	size_t at = bytes ? number / 200 % (bytes + 1) : 0;
	while (at < bytes && data[at] != ' ' && data[at] != '\n' && data[at] != '(')
		at++;
	if (at < bytes)
		at++;
	memmove(data + at + piece_bytes, data + at, bytes - at);
	memcpy(data + at, piece, piece_bytes);
	return bytes + piece_bytes;
}
