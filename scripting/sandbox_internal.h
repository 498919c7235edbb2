/* What the files of the sandbox share, and nobody else includes: its state, and the openers of its
 * libraries. Errors are Lua's, in the thread that is given. */
#ifndef KX_SCRIPTING_SANDBOX_INTERNAL_H
#define KX_SCRIPTING_SANDBOX_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "scripting/sandbox.h"
#include "scripting/sandbox_blocks.h"

/* The header of a string is not counted to its length. */
enum { TEXT_HEADER_BYTES_MAX = 64 };

/* A run's thread. Threads are kept when a run has ended, so that the next one makes nothing. */
struct sandbox_thread {
	lua_State *lua; /* NULL: none in this place */
	int reference;
	bool taken;
};

/* Functions of Lua's own library that ours call once they have charged for them. */
enum stock {
	STOCK_CHAR,
	STOCK_PACK,
	STOCK_UNPACK,
	STOCK_PACKSIZE,
	STOCK_UTF8_CHAR,
	STOCK_UTF8_CODEPOINT,
	STOCK_UTF8_LEN,
	STOCK_COUNT
};

/* Whose a thread is; its address stands in the thread's extra space. Main state and the threads of
 * runs share the sandbox's; each coroutine of a script has one of its own. */
struct sandbox_lane {
	struct sandbox *sandbox;
	uint64_t run; /* serial of the run that made the coroutine */
	bool ended;   /* its function returned */
};

struct sandbox {
	struct sandbox_lane lane;
	lua_State *main;
	struct sandbox_options options;
	struct blocks blocks;
	uint64_t bytes;              /* of all blocks */
	uint64_t bytes_hard;         /* the allocator refuses to go above */
	uint64_t bytes_soft;         /* above, the next instruction looks */
	uint64_t bytes_made;         /* ever */
	uint64_t made_look;          /* when so many were made, the next instruction looks */
	uint64_t runs;               /* begun ever */
	uint64_t text_bytes_outside; /* the largest string made outside of runs, lately */
	size_t text_head; /* bytes before those of a long string, in its block; 0: unknown */
	struct sandbox_run *current;
	lua_State *running;       /* the thread whose code runs, while there is a current run */
	bool pausable;            /* all threads between run->lua and `running` can yield */
	bool pausing;             /* a yield is under way that is no script's */
	bool in_cycle;            /* a cycle of collection is under way */
	uint64_t cycles;          /* ended ever */
	uint64_t bytes_collected; /* that the last cycle left, without what was garbage since */
	uint64_t bytes_left;      /* by runs that ended in this cycle, which may not find it */
	uint64_t bytes_freed;     /* in steps of collection, ever */
	uint64_t made_fence;      /* bytes_made when the last fence was put */
	uint64_t bytes_paid;      /* of bytes_made: steps were done for it */
	struct sandbox_stack *stacks_idle; /* of sandbox_stack.c */
	int stacks_idle_count, stack_count;
	struct sandbox_thread *threads;
	int thread_count;
	size_t thread_capacity;
	lua_CFunction stock[STOCK_COUNT];
	int globals; /* registry reference of what scripts see as _ENV */
	void *attached;
};

static inline struct sandbox_lane **sandbox_lane_of(lua_State *lua)
{
	return (struct sandbox_lane **)lua_getextraspace(lua);
}

static inline struct sandbox *sandbox_from(lua_State *lua)
{
	return (*sandbox_lane_of(lua))->sandbox;
}

/* Sets the hook of a thread that is about to run. */
void sandbox_hook_set(lua_State *lua, const struct sandbox_run *run);
/* The next instruction looks at the budgets. */
void sandbox_hook_now(struct sandbox *sandbox);
/* Sets run->interval after the largest string. */
void sandbox_adapt_interval(struct sandbox_run *run);
/* ---- Garbage collection: sandbox_collect.c ---- */

void sandbox_collect_open(struct sandbox *sandbox);
int sandbox_collect_fence(lua_State *lua); /* the first one; protected */
/* A run has ended, which had made so much more than was collected of it. */
void sandbox_collect_left(struct sandbox *sandbox, int64_t bytes);
/* Steps for what the run has made, as far as its slice goes. Returns what the clock is then. */
uint64_t sandbox_collect_paid(lua_State *lua, struct sandbox_run *run, uint64_t now_ns);
/* All that is garbage now, in pieces: begin, then `on` until it is true; it is false where the
 * slice is over. */
void sandbox_collect_begin(struct sandbox_run *run);
bool sandbox_collect_on(lua_State *lua, struct sandbox_run *run);
/* The same in one piece. */
void sandbox_collect_all(lua_State *lua, struct sandbox_run *run);

/* ---- Budgets ---- */

/* Ends the run because of a budget, whose limit is told. */
enum budget {
	BUDGET_INSTRUCTIONS,
	BUDGET_TIME,
	BUDGET_MEMORY,
	BUDGET_TEXT,
	BUDGET_KEYS,
	BUDGET_DEPTH
};
/* The same without raising: what is under way raises by itself, or has. The first one counts. */
void sandbox_note_exhausted(struct sandbox_run *run, enum budget budget, uint64_t limit);
__attribute__((noreturn)) void sandbox_exhausted(
    lua_State *lua, enum budget budget, uint64_t limit);
/* Ends the current run where what the allocator is asked for would be too much work in one piece.
 * As the allocator's: `old_bytes` of what is new is the type of what it is for. Smaller blocks than
 * this never are. */
#define SANDBOX_LARGE_BYTES (256 * KIB)
void sandbox_refuse_large(struct sandbox *sandbox, bool is_new, size_t old_bytes, size_t bytes);
/* Whether a function of the library, called by `lua`, should pause now: its slice is over, and it
 * can. It then keeps what it knows on the stack, and returns sandbox_pause(...). */
bool sandbox_slice_over(lua_State *lua);
bool sandbox_can_pause(lua_State *lua); /* whether or not its slice is over */
int sandbox_pause(lua_State *lua, lua_KContext context, lua_KFunction go_on);
/* ---- Stacks of C ---- */

/* As lua_resume of run->lua; a run that is left in the middle of C code gives LUA_YIELD, too, and
 * is resumed with no arguments. */
int sandbox_stack_resume(
    struct sandbox_run *run, lua_State *from, int arguments, bool has_slice, int *ret_results);
/* Leaves the run right here, in C code that `lua` has called; true when it is resumed. False: it
 * cannot be left here. Other runs are resumed meanwhile. */
bool sandbox_pause_here(lua_State *lua);
/* A run that has a stack never goes on. */
void sandbox_stack_drop(struct sandbox_run *run);
void sandbox_stacks_free(struct sandbox *sandbox);

/* Raises again what ends the run. */
__attribute__((noreturn)) void sandbox_raise_abort(lua_State *lua);
/* After a protected call that failed, with its error on top of `from` (a coroutine, or `lua`
 * itself): goes on raising where that was no error of the script's. */
void sandbox_pass_abort(lua_State *lua, lua_State *from, int status);
/* Whether Lua itself has found its stack, or that of C, at its end: status and error (on top) of a
 * protected call. sandbox_raising is told of each error that a script raises by itself. */
bool sandbox_is_overflow(lua_State *lua, int status);
void sandbox_raising(lua_State *lua);
void sandbox_run_limits(struct sandbox *sandbox, const struct sandbox_run *run);

/* Checks a source before Lua's parser sees it: see sandbox_source.c. NULL, or what is wrong, with
 * the line in *ret_line. *ret_units is what the parser's work may come to. */
const char *sandbox_source_check(
    struct slice source, bool from_script, unsigned *ret_line, uint64_t *ret_units);
/* Compiles with the value at `environment` as _ENV (0: the globals). 0, or ERR_INVALID with a
 * message pushed. Raises for lack of memory. */
int sandbox_load(
    lua_State *lua, struct slice source, const char *chunk_name, bool from_script, int environment);

/* Keeps the function of that name of Lua's own library on top. */
void sandbox_take_stock(lua_State *lua, enum stock which, const char *name);
/* Calls it, with the arguments and results of a C function. */
static inline int sandbox_stock(lua_State *lua, enum stock which)
{
	return sandbox_from(lua)->stock[which](lua);
}

/* Each pushes the library's table, or fills the globals' table on top. */
void sandbox_open_base(lua_State *lua);
void sandbox_open_walk(lua_State *lua);
void sandbox_open_coroutine(lua_State *lua);
void sandbox_open_string(lua_State *lua);
void sandbox_open_arithmetic(lua_State *lua); /* into the metatable of strings on top */
void sandbox_open_find(lua_State *lua);       /* into the string library on top */
void sandbox_open_table(lua_State *lua);
void sandbox_open_sort(lua_State *lua); /* into the table library on top */
void sandbox_open_math(lua_State *lua);
void sandbox_open_utf8(lua_State *lua);

/* Pushes what tostring gives, without addresses. */
const char *sandbox_tostring(lua_State *lua, int position, size_t *ret_bytes);

/* Whether raw access would miss what indexing does: it has a metatable. */
static inline bool sandbox_is_plain(lua_State *lua, int position)
{
	if (!lua_getmetatable(lua, position))
		return true;
	lua_pop(lua, 1);
	return false;
}

/* Where the value at `position` is a view (scripting/value.h): pushes its target, true.
 * Else it can be looked at raw. */
bool sandbox_view_target(lua_State *lua, int position);
/* What is at `position` can be looked at raw, unless it is a view: value_settle. */
void sandbox_settle(lua_State *lua, int position);
/* Raises where the table at `position` may not be written raw: a view, a library. */
void sandbox_check_writable(lua_State *lua, int position);

/* Tables that refuse writes: libraries and globals. */
bool sandbox_is_protected(lua_State *lua, int position);

#endif
