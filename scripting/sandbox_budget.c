/* Budgets: what counts, who looks, and how a run is ended so that no script notices. */
#include "scripting/sandbox_internal.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"

#include <stdio.h>
#include <string.h>

/* Its address is the error that ends a run; scripts are never given it. */
static char abort_mark;

/* One instruction may walk over a whole string: comparing 16 KiB of zeros costs what 10,000
 * instructions cost. So the interval shrinks as strings grow: interval * bytes stays below this. */
#define INTERVAL_BYTES (4 * MIB)
/* The part of its memory that a run may make above it in one function of the library, before the
 * next instruction collects, or ends it. */
enum { OVER_PART = 4 };
/* What makes charges cheap: the clock is asked once per so many units. */
enum { UNLOOKED_UNITS_MAX = SANDBOX_STEP };

static void hook(lua_State *lua, lua_Debug *activation);

void sandbox_hook_set(lua_State *lua, const struct sandbox_run *run)
{
	lua_sethook(lua, hook, LUA_MASKCOUNT, run->interval);
}

void sandbox_count(struct sandbox_run *run)
{
	if (!run->uncounted)
		return;
	run->uncounted = false;
	sandbox_hook_set(run->sandbox->running, run);
}

void sandbox_hook_now(struct sandbox *sandbox)
{
	/* Setting it walks over all calls that are under way. */
	if (lua_gethookcount(sandbox->running) != 1)
		lua_sethook(sandbox->running, hook, LUA_MASKCOUNT, 1);
}

void sandbox_raise_abort(lua_State *lua)
{
	lua_pushlightuserdata(lua, &abort_mark);
	lua_error(lua);
	UNREACHABLE();
}

static void note_abort(struct sandbox_run *run, enum status status, const char *text)
{
	/* The first reason is the one that counts. */
	if (run->aborting)
		return;
	run->aborting = true;
	run->abort_status = status;
	snprintf(run->abort_text, sizeof(run->abort_text), "%s", text);
}

void sandbox_abort(struct lua_State *lua, enum status status, const char *text)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run) {
		luaL_error(lua, "%s", text);
		UNREACHABLE();
	}
	note_abort(run, status, text);
	sandbox_raise_abort(lua);
}

void sandbox_note_exhausted(struct sandbox_run *run, enum budget budget, uint64_t limit)
{
	char text[128];
	unsigned long long number = limit;
	switch (budget) {
	case BUDGET_INSTRUCTIONS:
		snprintf(text, sizeof(text), "ran out of instructions (%llu)", number);
		break;
	case BUDGET_TIME:
		snprintf(text, sizeof(text), "ran out of running time (%llu ms)", number);
		break;
	case BUDGET_MEMORY:
		snprintf(text, sizeof(text), "ran out of memory (%llu bytes)", number);
		break;
	case BUDGET_TEXT:
		snprintf(text, sizeof(text), "made a string of more than %llu bytes", number);
		break;
	case BUDGET_KEYS:
		snprintf(text, sizeof(text),
		    "made a table of more than %llu keys: use several tables, or entities", number);
		break;
	case BUDGET_DEPTH:
		snprintf(text, sizeof(text), "ran out of stack: too many calls inside each other");
		break;
	}
	note_abort(run, STATUS_RESOURCE_EXHAUSTED, text);
}

void sandbox_exhausted(lua_State *lua, enum budget budget, uint64_t limit)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run) {
		luaL_error(lua, "a limit is exceeded");
		UNREACHABLE();
	}
	sandbox_note_exhausted(run, budget, limit);
	sandbox_raise_abort(lua);
}

void sandbox_raising(lua_State *lua)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (run && lua_type(lua, -1) == LUA_TSTRING)
		run->raised = lua_tostring(lua, -1);
}

bool sandbox_is_overflow(lua_State *lua, int status)
{
	static const char ending[] = "stack overflow";
	/* An error in the handling of errors: only at the very end of the C stack, as ours raise
	 * none. */
	if (status == LUA_ERRERR)
		return true;
	if (status != LUA_ERRRUN || lua_type(lua, -1) != LUA_TSTRING)
		return false;
	const struct sandbox_run *run = sandbox_from(lua)->current;
	size_t bytes;
	const char *text = lua_tolstring(lua, -1, &bytes);
	return bytes >= sizeof(ending) - 1 && run && text != run->raised &&
	       memcmp(text + bytes - (sizeof(ending) - 1), ending, sizeof(ending) - 1) == 0;
}

void sandbox_pass_abort(lua_State *lua, lua_State *from, int status)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run)
		return;
	if (!run->aborting && sandbox_is_overflow(from, status))
		sandbox_note_exhausted(run, BUDGET_DEPTH, 0);
	if (run->aborting)
		sandbox_raise_abort(lua);
	if (status == LUA_ERRMEM)
		sandbox_exhausted(lua, BUDGET_MEMORY, run->budget.bytes);
}

/* ---- What is too large for one piece ----
 *
 * The error leaves Lua where its own error for the lack of memory would; a refusal of memory would
 * first collect all garbage there is. */

/* What a table's keys stand in has a power of two of these, and begins as a block of no type;
 * nothing else is so large and so divisible, but a list that was asked for at once. Doubling it
 * puts all keys into the new one. */
#define KEY_BYTES      24
#define KEYS_BYTES_MAX ((size_t)SANDBOX_KEYS_MAX * KEY_BYTES)

static bool is_for_keys(size_t bytes)
{
	return bytes % KEY_BYTES == 0 && __builtin_popcountll(bytes / KEY_BYTES) == 1;
}

/* All calls that are under way are gone over where a stack grows, shrinks, is marked or gets a
 * hook, and each is memory of its own: 0.1 us each, and more on a busy machine. So where a stack
 * grows it is looked at how many there are; and its slots are copied. What has so many slots and is
 * no stack is a list, which doubles, or was made at once, and not by so many calls. */
#define SLOT_BYTES       ((size_t)16)
#define STACK_BYTES_MANY (256 * KIB)
#define STACK_BYTES_MAX  (4 * MIB)
enum { CALLS_MANY = 8000, CALLS_FEW = 1000 };
/* That gets the room in which Lua handles the overflow of a stack: what raises the error next finds
 * the run ended. */
#define STACK_BYTES_OVERFLOWED ((LUAI_MAXSTACK + 200 + 5) * SLOT_BYTES)

static bool is_for_deep_stack(const struct sandbox *sandbox, size_t bytes)
{
	lua_Debug frame;
	int calls = bytes > STACK_BYTES_MAX ? CALLS_FEW : CALLS_MANY;
	return bytes > STACK_BYTES_MANY && bytes % SLOT_BYTES == 0 &&
	       __builtin_popcountll(bytes) != 1 && lua_getstack(sandbox->running, calls, &frame);
}

void sandbox_refuse_large(struct sandbox *sandbox, bool is_new, size_t old_bytes, size_t bytes)
{
	struct sandbox_run *run = sandbox->current;
	if (!run)
		return;
	if (is_new && old_bytes == LUA_TSTRING) {
		if (bytes > SANDBOX_TEXT_BYTES_MAX + TEXT_HEADER_BYTES_MAX)
			sandbox_exhausted(sandbox->running, BUDGET_TEXT, SANDBOX_TEXT_BYTES_MAX);
		return;
	}
	if (!is_new && bytes == STACK_BYTES_OVERFLOWED)
		sandbox_note_exhausted(run, BUDGET_DEPTH, 0);
	if (run->large_tables || (is_new && old_bytes != 0))
		return;
	if (is_new && bytes > KEYS_BYTES_MAX && is_for_keys(bytes))
		sandbox_exhausted(sandbox->running, BUDGET_KEYS, SANDBOX_KEYS_MAX);
	if (is_for_deep_stack(sandbox, bytes))
		sandbox_exhausted(sandbox->running, BUDGET_DEPTH, 0);
}

static void end_if_above(lua_State *lua, struct sandbox_run *run, uint64_t more)
{
	const struct sandbox *sandbox = run->sandbox;
	if (more > UINT64_MAX / 2 || sandbox->bytes + more > sandbox->bytes_soft)
		sandbox_exhausted(lua, BUDGET_MEMORY, run->budget.bytes);
}

static void collect_or_end(lua_State *lua, struct sandbox_run *run, uint64_t more)
{
	if (run->stack) {
		sandbox_collect_begin(run);
		while (!sandbox_collect_on(lua, run)) {
			if (!sandbox_pause_here(lua))
				break;
		}
	}
	if (!run->stack || run->collects_until != 0)
		sandbox_collect_all(lua, run);
	end_if_above(lua, run, more);
}

static bool can_pause(lua_State *lua)
{
	return sandbox_from(lua)->pausable && lua_isyieldable(lua);
}

/* In a hook: above its memory the run collects, over as many slices as that takes. Whether the
 * slice is over. */
static bool look_at_memory(lua_State *lua, struct sandbox_run *run, uint64_t now_ns)
{
	struct sandbox *sandbox = run->sandbox;
	if (run->collects_until == 0) {
		if (sandbox->bytes <= sandbox->bytes_soft)
			return sandbox_collect_paid(lua, run, now_ns) >= run->slice_end_ns;
		if (!can_pause(lua)) {
			collect_or_end(lua, run, 0);
			return now_ns >= run->slice_end_ns;
		}
		sandbox_collect_begin(run);
	}
	if (!sandbox_collect_on(lua, run)) {
		run->interval = 1;
		return true;
	}
	end_if_above(lua, run, 0);
	return now_ns >= run->slice_end_ns;
}

void sandbox_adapt_interval(struct sandbox_run *run)
{
	uint64_t interval = SANDBOX_STEP;
	if (run->text_bytes_max > INTERVAL_BYTES / SANDBOX_STEP)
		interval = INTERVAL_BYTES / run->text_bytes_max;
	run->interval = interval > 0 ? (int)interval : 1;
}

/* The wall clock costs next to nothing to read, but on a busy machine it runs on while others have
 * the processor. So it decides about the first half of the budget only; the second half is the
 * thread's own time, and nobody is ended for what others did with more than the first. */
static void look_at_own_time(lua_State *lua, struct sandbox_run *run)
{
	uint64_t now = clock_thread_ns();
	if (run->own_last_ns != 0)
		run->own_ns += now - run->own_last_ns;
	run->own_last_ns = now;
	if (run->own_ns > run->budget.run_ns / 2)
		sandbox_exhausted(lua, BUDGET_TIME, run->budget.run_ns / NS_PER_MS);
}

static void look(lua_State *lua, struct sandbox_run *run, bool in_hook)
{
	struct sandbox *sandbox = run->sandbox;
	if (run->aborting)
		sandbox_raise_abort(lua);
	run->unlooked = 0;
	if (run->instructions > run->budget.instructions)
		sandbox_exhausted(lua, BUDGET_INSTRUCTIONS, run->budget.instructions);
	uint64_t now = clock_monotonic_ns();
	if (run->ns_before + (now - run->slice_begin_ns) > run->budget.run_ns / 2)
		look_at_own_time(lua, run);
	sandbox_adapt_interval(run);
	if (in_hook) {
		run->slice_over = look_at_memory(lua, run, now);
		return;
	}
	if (sandbox->bytes > sandbox->bytes_soft)
		sandbox_charge_bytes(lua, 0);
	/* The hook does the rest: only from there can we yield. */
	run->slice_over = now >= run->slice_end_ns;
	if (run->slice_over)
		sandbox_hook_now(sandbox);
}

static void hook(lua_State *lua, lua_Debug *activation)
{
	(void)activation;
	struct sandbox *sandbox = sandbox_from(lua);
	struct sandbox_run *run = sandbox->current;
	if (!run)
		return;
	ASSERT(lua == sandbox->running);
	run->instructions += (uint64_t)run->interval;
	run->uncounted = false;
	run->in_hook = true;
	look(lua, run, true);
	run->in_hook = false;
	/* Setting it walks over all calls that are under way. */
	if (lua_gethookcount(lua) != run->interval)
		sandbox_hook_set(lua, run);
	if (run->slice_over && sandbox->pausable && lua_isyieldable(lua)) {
		sandbox->pausing = true;
		lua_yield(lua, 0);
	} else if (run->slice_over) {
		run->in_hook = true;
		(void)sandbox_pause_here(lua);
		run->in_hook = false;
	}
}

bool sandbox_slice_over(lua_State *lua)
{
	const struct sandbox *sandbox = sandbox_from(lua);
	return sandbox->current && sandbox->current->slice_over && sandbox_can_pause(lua);
}

bool sandbox_can_pause(lua_State *lua)
{
	const struct sandbox *sandbox = sandbox_from(lua);
	return sandbox->current && sandbox->pausable && lua_isyieldable(lua);
}

int sandbox_pause(lua_State *lua, lua_KContext context, lua_KFunction go_on)
{
	struct sandbox *sandbox = sandbox_from(lua);
	ASSERT(lua == sandbox->running);
	sandbox->pausing = true;
	return lua_yieldk(lua, 0, context, go_on);
}

void sandbox_charge(struct lua_State *lua, uint64_t units)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	if (!run)
		return;
	if (units > run->budget.instructions)
		units = run->budget.instructions + 1;
	run->instructions += units;
	run->unlooked += units;
	if (run->unlooked >= UNLOOKED_UNITS_MAX)
		look(lua, run, false);
}

void sandbox_spend(struct lua_State *lua, uint64_t units)
{
	sandbox_charge(lua, units);
	const struct sandbox_run *run = sandbox_from(lua)->current;
	if (run && run->slice_over)
		(void)sandbox_pause_here(lua);
}

void sandbox_charge_bytes(struct lua_State *lua, uint64_t bytes)
{
	struct sandbox *sandbox = sandbox_from(lua);
	struct sandbox_run *run = sandbox->current;
	if (!run || sandbox->bytes_soft == UINT64_MAX)
		return;
	if (bytes <= sandbox->bytes_soft && sandbox->bytes <= sandbox->bytes_soft - bytes)
		return;
	/* A little above it is for the next instruction, which can collect in pieces. */
	uint64_t over = run->budget.bytes / OVER_PART;
	if (bytes <= over && sandbox->bytes + bytes <= sandbox->bytes_soft + over && can_pause(lua))
		sandbox_hook_now(sandbox);
	else
		collect_or_end(lua, run, bytes);
}

void sandbox_charge_text(struct lua_State *lua, uint64_t bytes)
{
	if (bytes > SANDBOX_TEXT_BYTES_MAX)
		sandbox_exhausted(lua, BUDGET_TEXT, SANDBOX_TEXT_BYTES_MAX);
	sandbox_charge(lua, bytes / 8);
	sandbox_charge_bytes(lua, bytes);
}

void sandbox_create_table(struct lua_State *lua, size_t elements, size_t fields)
{
	struct sandbox_run *run = sandbox_from(lua)->current;
	/* Where this raises for lack of memory the run is at its end. */
	if (run)
		run->large_tables = true;
	lua_createtable(lua, (int)elements, (int)fields);
	if (run)
		run->large_tables = false;
}

int sandbox_pcall(struct lua_State *lua, int arguments, int results)
{
	int status = lua_pcall(lua, arguments, results, 0);
	if (status != LUA_OK)
		sandbox_pass_abort(lua, lua, status);
	return status;
}

struct sandbox_run *sandbox_current(struct lua_State *lua)
{
	return sandbox_from(lua)->current;
}

void sandbox_refuse_pure(struct lua_State *lua, const char *what)
{
	const struct sandbox_run *run = sandbox_from(lua)->current;
	if (run && run->pure)
		luaL_error(lua,
		    "%s is not available here: this code must give the same result "
		    "whenever it is repeated",
		    what);
}

uint64_t sandbox_random(struct lua_State *lua)
{
	struct sandbox *sandbox = sandbox_from(lua);
	struct sandbox_run *run = sandbox->current;
	sandbox_refuse_pure(lua, "random");
	if (!run) {
		luaL_error(lua, "no random numbers outside of a call");
		UNREACHABLE();
	}
	if (!run->has_numbers) {
		random_init(&run->numbers,
		    sandbox->options.seed ^ run->serial * UINT64_C(0x9e3779b97f4a7c15));
		run->has_numbers = true;
	}
	return random_u64(&run->numbers);
}
