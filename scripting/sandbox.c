/* The interpreter itself: its memory, its threads, and runs from begin to end. Budgets are in
 * sandbox_budget.c. */
#include "scripting/own_key.h"
#include "scripting/sandbox_internal.h"

#include "base/array.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { THREADS_KEPT_MAX = 1024 };

/* ---- Memory ---- */

/* Bytes made between two looks, whatever the instruction count says: some instructions make or move
 * much at once. */
#define UNLOOKED_BYTES_MAX (1 * MIB)

static inline void look_soon(struct sandbox *sandbox)
{
	if (sandbox->bytes_made > sandbox->made_look || sandbox->bytes > sandbox->bytes_soft) {
		sandbox->made_look = sandbox->bytes_made + UNLOOKED_BYTES_MAX;
		sandbox_hook_now(sandbox);
	}
}

static void note_made(struct sandbox *sandbox, bool is_string, size_t bytes)
{
	struct sandbox_run *run = sandbox->current;
	sandbox->bytes_made += bytes;
	if (!run) {
		if (is_string && bytes > sandbox->text_bytes_outside)
			sandbox->text_bytes_outside = bytes;
		return;
	}
	if (is_string && bytes > run->text_bytes_max) {
		run->text_bytes_max = bytes;
		/* A string of some size shortens the interval; small ones are not worth a look. */
		if (bytes > 2 * KIB)
			sandbox->made_look = 0;
	}
	look_soon(sandbox);
}

static void *reallocate(struct sandbox *sandbox, void *block, size_t old_bytes, size_t bytes)
{
	size_t before = block ? old_bytes : 0;
	bool grows = bytes > before;
	if (grows &&
	    (bytes > sandbox->bytes_hard || sandbox->bytes - before > sandbox->bytes_hard - bytes))
		return NULL;
	bool is_string = !block && old_bytes == LUA_TSTRING;
	if (bytes >= SANDBOX_LARGE_BYTES && grows)
		sandbox_refuse_large(sandbox, !block, old_bytes, bytes);
	void *made = blocks_realloc(&sandbox->blocks, block, before, bytes);
	if (!made) {
		/* Lua relies on shrinking never to fail. */
		if (grows)
			return NULL;
		made = block;
	}
	sandbox->bytes += bytes;
	sandbox->bytes -= before;
	if (grows)
		note_made(sandbox, is_string, bytes);
	return made;
}

/* lua_Alloc: for a new block old_bytes is the type of what it is for. Nearly all are small. */
static void *allocate(void *arg, void *block, size_t old_bytes, size_t bytes)
{
	struct sandbox *sandbox = arg;
	if (bytes == 0) {
		if (!block)
			return NULL;
		sandbox->bytes -= old_bytes;
		if (!block_is_small(old_bytes) ||
		    !blocks_keep_small(&sandbox->blocks, block, old_bytes))
			blocks_free(&sandbox->blocks, block, old_bytes);
		return NULL;
	}
	if (block || !block_is_small(bytes) || sandbox->bytes + bytes > sandbox->bytes_hard)
		return reallocate(sandbox, block, old_bytes, bytes);
	void *made = blocks_take_small(&sandbox->blocks, bytes);
	if (__builtin_expect(!made, 0))
		return reallocate(sandbox, NULL, old_bytes, bytes);
	sandbox->bytes += bytes;
	/* Whether it is a string makes no difference for so few bytes. */
	sandbox->bytes_made += bytes;
	if (sandbox->current)
		look_soon(sandbox);
	return made;
}

/* ---- The interpreter ---- */

static int panic_function(lua_State *lua)
{
	ASSERT_MSG(false, "Lua raised outside of any protected call: %s",
	    lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : luaL_typename(lua, -1));
	return 0;
}

void sandbox_take_stock(lua_State *lua, enum stock which, const char *name)
{
	struct sandbox *sandbox = sandbox_from(lua);
	lua_getfield(lua, -1, name);
	sandbox->stock[which] = lua_tocfunction(lua, -1);
	ASSERT(sandbox->stock[which]);
	lua_pop(lua, 1);
}

static void add_library(lua_State *lua, const char *name, void (*push)(lua_State *))
{
	push(lua);
	sandbox_provide(sandbox_from(lua), name);
}

static void open_string(lua_State *lua)
{
	sandbox_open_string(lua);
	sandbox_open_find(lua);
	/* Methods of strings read the library itself: nobody can reach it to write. */
	lua_pushliteral(lua, "");
	lua_createtable(lua, 0, 2);
	lua_pushvalue(lua, -3);
	lua_setfield(lua, -2, "__index");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	sandbox_open_arithmetic(lua);
	lua_setmetatable(lua, -2);
	lua_pop(lua, 1);
}

static void open_table(lua_State *lua)
{
	sandbox_open_table(lua);
	sandbox_open_sort(lua);
}

/* Runs on the main state, protected. */
static int open_all(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_from(lua);
	(void)sandbox_collect_fence(lua);
	lua_createtable(lua, 0, 64);
	lua_pushvalue(lua, -1);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_GLOBALS));
	sandbox_open_base(lua);
	sandbox_open_walk(lua);
	sandbox_protect(lua);
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_GLOBALS));
	lua_pushvalue(lua, -2);
	lua_setfield(lua, -2, "_G");
	lua_pop(lua, 1);
	/* What lua_load gives a chunk by itself, too. */
	lua_pushvalue(lua, -1);
	lua_rawseti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
	sandbox->globals = luaL_ref(lua, LUA_REGISTRYINDEX);

	add_library(lua, "coroutine", sandbox_open_coroutine);
	add_library(lua, "math", sandbox_open_math);
	add_library(lua, "string", open_string);
	add_library(lua, "table", open_table);
	add_library(lua, "utf8", sandbox_open_utf8);
	return 0;
}

int sandbox_new(const struct sandbox_options *options, struct sandbox **ret_sandbox)
{
	struct sandbox *sandbox = mem_zalloc(1, sizeof(*sandbox));
	if (!sandbox)
		return ERR_NOMEM;
	sandbox->options = *options;
	if (sandbox->options.bytes_max == 0)
		sandbox->options.bytes_max = 1 * GIB;
	sandbox->bytes_hard = sandbox->options.bytes_max;
	sandbox->bytes_soft = UINT64_MAX;
	sandbox->main = lua_newstate(allocate, sandbox);
	if (!sandbox->main)
		goto fail;
	sandbox_collect_open(sandbox);
	sandbox->lane.sandbox = sandbox;
	*sandbox_lane_of(sandbox->main) = &sandbox->lane;
	lua_atpanic(sandbox->main, panic_function);
	lua_pushcfunction(sandbox->main, open_all);
	int status = lua_pcall(sandbox->main, 0, 0, 0);
	ASSERT_MSG(status == LUA_OK || status == LUA_ERRMEM, "opening the libraries: %s",
	    lua_tostring(sandbox->main, -1));
	if (status != LUA_OK)
		goto fail;
	*ret_sandbox = sandbox;
	return 0;
fail:
	sandbox_free(sandbox);
	return ERR_NOMEM;
}

void sandbox_free(struct sandbox *sandbox)
{
	if (!sandbox)
		return;
	for (int i = 0; i < sandbox->thread_count; i++)
		ASSERT(!sandbox->threads[i].taken);
	if (sandbox->main)
		lua_close(sandbox->main);
	sandbox_stacks_free(sandbox);
	ASSERT(sandbox->bytes == 0);
	blocks_done(&sandbox->blocks);
	mem_free(sandbox->threads);
	mem_free(sandbox);
}

struct lua_State *sandbox_lua(struct sandbox *sandbox)
{
	return sandbox->main;
}

struct sandbox *sandbox_of(struct lua_State *lua)
{
	return sandbox_from(lua);
}

void sandbox_attach(struct lua_State *lua, void *attached)
{
	sandbox_from(lua)->attached = attached;
}

void *sandbox_attached(struct lua_State *lua)
{
	return sandbox_from(lua)->attached;
}

uint64_t sandbox_bytes(const struct sandbox *sandbox)
{
	return sandbox->bytes;
}

/* ---- Read-only tables ---- */

bool sandbox_is_protected(lua_State *lua, int position)
{
	if (!lua_getmetatable(lua, position))
		return false;
	bool is = lua_rawgetp(lua, -1, own_key(OWN_KEY_PROTECTED)) != LUA_TNIL;
	lua_pop(lua, 2);
	return is;
}

static int refuse_write(lua_State *lua)
{
	if (lua_type(lua, 2) != LUA_TSTRING)
		return luaL_error(lua, "this table is read-only");
	return luaL_error(lua,
	    "'%s' can't be assigned: globals and libraries are read-only; declare it local",
	    lua_tostring(lua, 2));
}

/* pairs of a library goes through what it shows. */
static int walk_shown(lua_State *lua)
{
	lua_settop(lua, 1);
	if (!lua_getmetatable(lua, 1))
		return luaL_error(lua, "bad argument to 'pairs'");
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_GLOBALS));
	lua_getfield(lua, -1, "pairs");
	lua_rawgetp(lua, 2, own_key(OWN_KEY_PROTECTED));
	lua_call(lua, 1, 3);
	return 3;
}

static bool is_open_table(lua_State *lua, int position)
{
	return lua_istable(lua, position) && sandbox_is_plain(lua, position);
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as the libraries, and bounded by the stack of Lua */
void sandbox_protect(struct lua_State *lua)
{
	if (!is_open_table(lua, -1))
		return;
	luaL_checkstack(lua, 10, "too many libraries in each other");
	int shown = lua_absindex(lua, -1);
	lua_pushnil(lua);
	while (lua_next(lua, shown)) {
		if (is_open_table(lua, -1) && !lua_rawequal(lua, -1, shown)) {
			sandbox_protect(lua);
			/* Setting a field that is there is allowed during a walk. */
			lua_pushvalue(lua, -2);
			lua_insert(lua, -2);
			lua_rawset(lua, shown);
		} else {
			lua_pop(lua, 1);
		}
	}
	lua_createtable(lua, 0, 0);
	lua_createtable(lua, 0, 5);
	lua_pushvalue(lua, shown);
	lua_setfield(lua, -2, "__index");
	lua_pushcfunction(lua, refuse_write);
	lua_setfield(lua, -2, "__newindex");
	lua_pushcfunction(lua, walk_shown);
	lua_setfield(lua, -2, "__pairs");
	lua_pushboolean(lua, false);
	lua_setfield(lua, -2, "__metatable");
	lua_pushvalue(lua, shown);
	lua_rawsetp(lua, -2, own_key(OWN_KEY_PROTECTED));
	lua_setmetatable(lua, -2);
	lua_replace(lua, shown);
}

void sandbox_provide(struct sandbox *sandbox, const char *global_name)
{
	lua_State *lua = sandbox->main;
	sandbox_protect(lua);
	lua_rawgetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_GLOBALS));
	lua_insert(lua, -2);
	lua_setfield(lua, -2, global_name);
	lua_pop(lua, 1);
}

/* ---- Runs ---- */

static int make_thread(lua_State *lua)
{
	struct sandbox_thread *thread = lua_touserdata(lua, 1);
	lua_State *made = lua_newthread(lua);
	thread->reference = luaL_ref(lua, LUA_REGISTRYINDEX);
	thread->lua = made;
	return 0;
}

static int fill_thread(struct sandbox *sandbox, struct sandbox_thread *thread)
{
	lua_pushcfunction(sandbox->main, make_thread);
	lua_pushlightuserdata(sandbox->main, thread);
	if (lua_pcall(sandbox->main, 1, 0, 0) != LUA_OK) {
		lua_pop(sandbox->main, 1);
		return ERR_NOMEM;
	}
	return 0;
}

static int add_thread(struct sandbox *sandbox, int *ret_number)
{
	if (array_reserve(&sandbox->threads, &sandbox->thread_capacity,
	        (size_t)sandbox->thread_count + 1, sizeof(*sandbox->threads)))
		return ERR_NOMEM;
	struct sandbox_thread thread = {0};
	int error = fill_thread(sandbox, &thread);
	if (error)
		return error;
	*ret_number = sandbox->thread_count++;
	sandbox->threads[*ret_number] = thread;
	return 0;
}

static int take_thread(struct sandbox *sandbox, int *ret_number)
{
	/* Few runs are begun at one time: one of the first is nearly always free. */
	for (int i = 0; i < sandbox->thread_count; i++) {
		struct sandbox_thread *thread = &sandbox->threads[i];
		if (!thread->taken) {
			*ret_number = i;
			return thread->lua ? 0 : fill_thread(sandbox, thread);
		}
	}
	return add_thread(sandbox, ret_number);
}

int sandbox_run_begin(
    struct sandbox *sandbox, const struct sandbox_budget *budget, struct sandbox_run *run)
{
	int number = 0;
	int error = take_thread(sandbox, &number);
	if (error)
		return error;
	struct sandbox_thread *thread = &sandbox->threads[number];
	thread->taken = true;
	memset(run, 0, offsetof(struct sandbox_run, abort_text));
	run->abort_text[0] = 0;
	run->lua = thread->lua;
	run->end = SANDBOX_RUNNING;
	run->sandbox = sandbox;
	run->budget = *budget;
	run->serial = ++sandbox->runs;
	run->thread = number;
	run->walks = LUA_NOREF;
	run->interval = SANDBOX_STEP;
	if (run->budget.bytes > sandbox->options.bytes_max)
		run->budget.bytes = sandbox->options.bytes_max;
	return 0;
}

void sandbox_run_limits(struct sandbox *sandbox, const struct sandbox_run *run)
{
	sandbox->bytes_hard = sandbox->options.bytes_max;
	sandbox->bytes_soft = UINT64_MAX;
	if (!run)
		return;
	/* What garbage of others is collected meanwhile is to the run's credit. */
	int64_t base = (int64_t)sandbox->bytes - run->bytes_made;
	uint64_t from = base > 0 ? (uint64_t)base : 0;
	sandbox->bytes_soft = from + run->budget.bytes;
	if (from + 4 * run->budget.bytes < sandbox->bytes_hard)
		sandbox->bytes_hard = from + 4 * run->budget.bytes;
}

/* Of a resume that did not simply end. */
__attribute__((cold, noinline)) static enum sandbox_end ended(
    struct sandbox_run *run, int status, bool overflowed)
{
	if (status == LUA_ERRMEM && !run->aborting) {
		run->aborting = true;
		run->abort_status = STATUS_RESOURCE_EXHAUSTED;
		snprintf(run->abort_text, sizeof(run->abort_text), "ran out of memory (%llu bytes)",
		    (unsigned long long)run->budget.bytes);
	}
	if (overflowed)
		sandbox_note_exhausted(run, BUDGET_DEPTH, 0);
	if (run->aborting)
		return SANDBOX_ABORTED;
	if (status == LUA_YIELD)
		return SANDBOX_RUNNING;
	return status == LUA_OK ? SANDBOX_ENDED : SANDBOX_RAISED;
}

enum sandbox_end sandbox_run_resume(
    struct sandbox_run *run, int arguments, uint32_t slice_us, int *ret_results)
{
	struct sandbox *sandbox = run->sandbox;
	ASSERT(run->end == SANDBOX_RUNNING);
	ASSERT(!run->aborting);
	struct sandbox_run *outer = sandbox->current;
	lua_State *outer_running = sandbox->running;
	bool outer_pausable = sandbox->pausable;
	int64_t outer_base =
	    outer ? (int64_t)sandbox->bytes_soft - (int64_t)outer->budget.bytes : 0;

	sandbox->current = run;
	sandbox->running = run->lua;
	sandbox->pausable = true;
	/* What it waited for was done by others in part. */
	if (run->collects_until > 0)
		run->bytes_made -= (int64_t)(sandbox->bytes_freed - run->freed_before);
	run->bytes_paid += sandbox->bytes_made - run->made_before;
	sandbox_run_limits(sandbox, run);
	int64_t base = (int64_t)sandbox->bytes - run->bytes_made;
	run->slice_over = false;
	run->own_last_ns = run->ns_before > run->budget.run_ns / 2 ? clock_thread_ns() : 0;
	run->slice_begin_ns = clock_monotonic_ns();
	run->slice_end_ns = slice_us ? run->slice_begin_ns + slice_us * NS_PER_US : UINT64_MAX;
	bool begins = lua_status(run->lua) == LUA_OK && !run->stack;
	if (begins) {
		run->below = lua_gettop(run->lua) - arguments - 1;
		/* Its arguments are among what was made since the last run. */
		run->text_bytes_max = sandbox->text_bytes_outside;
		sandbox->text_bytes_outside = 0;
		sandbox_adapt_interval(run);
		run->uncounted &= run->interval == SANDBOX_STEP;
	} else {
		run->uncounted = false;
	}
	ASSERT(run->below >= 0);
	/* Setting it walks over all calls that are under way. */
	if (!run->uncounted) {
		if (begins || lua_gethookcount(run->lua) != run->interval)
			sandbox_hook_set(run->lua, run);
	} else if (lua_gethookmask(run->lua))
		lua_sethook(run->lua, NULL, 0, 0);

	int results = 0;
	int status = sandbox_stack_resume(
	    run, outer_running ? outer_running : sandbox->main, arguments, slice_us != 0, &results);
	run->ns_before += clock_monotonic_ns() - run->slice_begin_ns;
	run->run_ns = run->ns_before;
	run->bytes_made = (int64_t)sandbox->bytes - base;
	run->freed_before = sandbox->bytes_freed;
	run->made_before = sandbox->bytes_made;
	ASSERT(sandbox->current == run);
	ASSERT(sandbox->running == run->lua);
	ASSERT(sandbox->pausing == (status == LUA_YIELD));

	bool overflowed =
	    status != LUA_OK && status != LUA_YIELD && sandbox_is_overflow(run->lua, status);
	sandbox->pausing = false;
	sandbox->current = outer;
	sandbox->running = outer_running;
	sandbox->pausable = outer_pausable;
	if (outer)
		outer->bytes_made = (int64_t)sandbox->bytes - outer_base;
	sandbox_run_limits(sandbox, outer);
	run->end = SANDBOX_ENDED;
	if (status != LUA_OK || run->aborting)
		run->end = ended(run, status, overflowed);
	/* Lua counts all that is on the stack, also what was below the function. */
	if (run->end == SANDBOX_ENDED)
		*ret_results = results - run->below;
	return run->end;
}

void sandbox_run_end(struct sandbox_run *run)
{
	struct sandbox *sandbox = run->sandbox;
	ASSERT(sandbox->current != run);
	struct sandbox_thread *thread = &sandbox->threads[run->thread];
	ASSERT(thread->taken);
	ASSERT(thread->lua == run->lua);
	/* Its stack of C goes, and with it where the thread's errors would go. */
	bool was_inside = run->stack != NULL;
	if (was_inside)
		sandbox_stack_drop(run);
	/* Also where it never began, or is paused: all that it holds is let go. */
	else if (lua_status(run->lua) != LUA_OK) {
#if LUA_VERSION_RELEASE_NUM >= 50406
		lua_closethread(run->lua, sandbox->main);
#else
		lua_resetthread(run->lua);
#endif
	}
	if (!was_inside)
		lua_settop(run->lua, 0);
	sandbox_collect_left(sandbox, run->bytes_made);
	luaL_unref(sandbox->main, LUA_REGISTRYINDEX, run->walks);
	thread->taken = false;
	/* An error that left the hook leaves its thread without hooks for ever, and a reset does
	 * not help (allowhook, Lua 5.4.4). */
	if (run->in_hook || was_inside) {
		luaL_unref(sandbox->main, LUA_REGISTRYINDEX, thread->reference);
		*thread = (struct sandbox_thread){.reference = LUA_NOREF};
	}
	if (run->thread >= THREADS_KEPT_MAX && run->thread == sandbox->thread_count - 1) {
		luaL_unref(sandbox->main, LUA_REGISTRYINDEX, thread->reference);
		sandbox->thread_count--;
	}
	run->lua = NULL;
	run->sandbox = NULL;
}

/* ---- What went wrong, as text ---- */

static void append(char **at, char *end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char **at, char *end, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int bytes = vsnprintf(*at, (size_t)(end - *at), format, arguments);
	va_end(arguments);
	if (bytes > 0)
		*at += bytes < end - *at ? bytes : end - *at - 1;
}

void sandbox_run_traceback(struct sandbox_run *run, char *text, size_t bytes)
{
	enum { FRAMES_MAX = 24 };
	ASSERT(run->end == SANDBOX_RAISED);
	ASSERT(bytes > 0);
	lua_State *lua = run->lua;
	char *at = text, *end = text + bytes;
	*at = 0;
	/* Nothing of the script's runs here: no __tostring. */
	if (lua_type(lua, -1) == LUA_TSTRING) {
		append(&at, end, "%.500s", lua_tostring(lua, -1));
	} else {
		append(&at, end, "(the error is a %s value)", luaL_typename(lua, -1));
	}
	lua_Debug frame;
	for (int level = 0; level < FRAMES_MAX && lua_getstack(lua, level, &frame); level++) {
		if (!lua_getinfo(lua, "Sln", &frame) || frame.currentline < 0)
			continue;
		if (frame.name)
			append(&at, end, SANDBOX_FRAME_MARK "%s:%d: in %s '%.64s'", frame.short_src,
			    frame.currentline, *frame.namewhat ? frame.namewhat : "function",
			    frame.name);
		else
			append(&at, end, SANDBOX_FRAME_MARK "%s:%d: in %s", frame.short_src,
			    frame.currentline, *frame.what == 'm' ? "the file" : "a function");
	}
}
