/* A Lua interpreter in which code of others runs: a safe library, and budgets that nothing escapes.
 *
 * Runs are coroutines. The owner gets a fresh (or reused) thread, pushes a function and arguments,
 * and resumes it, slice by slice, until it ends:
 *
 *   sandbox_run_begin -> push function and arguments on run->lua -> sandbox_run_resume ...
 *   -> SANDBOX_ENDED: results on run->lua -> sandbox_run_end
 *
 * Budgets of a run: VM instructions (counted in steps of SANDBOX_STEP, or less while large blocks
 * are about), own running time, memory above what it began with. The library's functions that can
 * loop charge the same budgets. Exceeding one, and sandbox_abort, end the run: the error passes
 * every pcall, coroutine and metamethod of the script. Whatever the allocator sees that goes beyond
 * a budget makes the next instruction look; it refuses by itself only far above (four times the
 * budget), because Debian's Lua 5.4.4 has memory errors under emergency collections. The lengths of
 * strings are bounded by SANDBOX_TEXT_BYTES_MAX, because one instruction may walk over a string.
 * Calls that nest deeply, some 10,000 in Lua, or so that a stack is at its end, are over a budget,
 * too.
 *
 * Pauses. At a slice's end the next instruction yields to us, also through the script's coroutines,
 * and through our pcall, xpcall, sort and gsub; sort, pairs, find, match, gmatch, gsub, rep, lower,
 * upper, reverse, concat, insert, remove and move yield by themselves, in the middle. Where Lua
 * can't yield (below any other function of C: metamethods, message handlers, iterators), and in the
 * middle of what decodes, encodes, sorts or hashes in C, the run is left on its C stack, which it
 * keeps until it is resumed (sandbox_stack.c). What is one piece: a string that is made or
 * compared, which is 12 MiB copied at most; a table that grows; a load; and what the collector does
 * with one table or stack.
 *
 * Not there: what SPEC calls so: io os package debug load of bytecode loadfile dofile
 * collectgarbage string.dump coroutine.close, metamethods __gc __mode __concat __close, %p,
 * writable library tables and string metatable. Assigning an absent global raises. setmetatable
 * copies: changes to the metatable afterwards are not seen, and __call must be a function.
 *
 * Order. `pairs` and `next` go through numbers ascending, strings by their bytes, false, true; then
 * keys that are tables, functions or userdata, whose order is nobody's promise: runs that must be
 * repeatable (`pure`) may have one such key in a table, with more `pairs` and `next` raise. `pairs`
 * goes through the keys that were there when it began, without those that are nil by then. `next`
 * with a key sorts, and remembers the last few tables of the run: a key that is added to a table
 * after next sorted it may or may not be seen in that walk, the same way in every repetition.
 * tostring of a table, function or thread is the name of its type alone.
 *
 * Thread: one; enough C stack (HOST_STACK_BYTES_MIN).
 */
#ifndef KX_SCRIPTING_SANDBOX_H
#define KX_SCRIPTING_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/random.h"
#include "base/slice.h"
#include "base/status.h"

struct lua_State;
struct sandbox;
struct sandbox_stack;
struct value_scratch;

#define SANDBOX_STEP 1000 /* VM instructions between two looks at the budgets */
/* Above STATE_BYTES_MAX; comparing two such strings takes less than a run's time. */
#define SANDBOX_TEXT_BYTES_MAX (12 * 1024 * 1024)
/* Source of sandbox_compile, and what `load` of a script takes. */
#define SANDBOX_SOURCE_BYTES_MAX (1024 * 1024)
#define SANDBOX_LOAD_BYTES_MAX   (16 * 1024)
/* Results of one call of unpack, string.byte, utf8.codepoint. */
#define SANDBOX_VALUES_MAX 8000
/* Keys of one table that are not a list's, where a script or the library makes it grow: doubling
 * so many is one piece of 1 ms, and of 5 ms where other programs have the caches. */
#define SANDBOX_KEYS_MAX (32 * 1024)

struct sandbox_options {
	uint64_t seed;      /* of math.random and sandbox_random */
	uint64_t bytes_max; /* where the allocator refuses: far above all budgets; 0: 1 GiB */
	/* A line of `print`, its view valid during the call. May be NULL. */
	void (*print)(void *arg, struct slice text);
	void *print_arg;
};
NODISCARD int sandbox_new(const struct sandbox_options *options, struct sandbox **ret_sandbox);
void sandbox_free(struct sandbox *sandbox); /* NULL-safe; no run is begun */

/* The main state, for the owner's own setup in protected calls of his; never runs scripts. */
struct lua_State *sandbox_lua(struct sandbox *sandbox);
struct sandbox *sandbox_of(struct lua_State *lua); /* of any thread of it */
/* One pointer that the owner has in an interpreter, and finds from any thread of it; NULL at first.
 */
void sandbox_attach(struct lua_State *lua, void *attached);
void *sandbox_attached(struct lua_State *lua);

/* Compiles text (never bytecode) as a function that sees only the sandbox's globals: pushed on
 * `lua`. ERR_INVALID with a message pushed instead ("cart.lua:3: ..."); bounded source size and
 * nesting. ERR_NOMEM with nothing pushed. */
NODISCARD int sandbox_compile(struct lua_State *lua, struct slice source, const char *chunk_name);

struct sandbox_budget {
	uint64_t instructions;
	uint64_t run_ns;
	uint64_t bytes;
};

enum sandbox_end {
	SANDBOX_RUNNING, /* paused: resume it again */
	SANDBOX_ENDED,   /* results are on run->lua */
	SANDBOX_RAISED,  /* an error of the script; its value is on top of run->lua */
	SANDBOX_ABORTED  /* sandbox_abort, or a budget */
};

/* Embedded by the owner; does not move between begin and end. */
struct sandbox_run {
	struct lua_State *lua; /* the coroutine: valid from begin to end */
	enum sandbox_end end;
	enum status
	    abort_status; /* SANDBOX_ABORTED: RESOURCE_EXHAUSTED for a budget, else the abort's */
	uint64_t instructions, run_ns;
	void *owner; /* set by the owner: what ctx functions find with sandbox_current */

	/* Private to the sandbox. */
	struct sandbox *sandbox;
	struct sandbox_budget budget;
	uint64_t serial;         /* of the sandbox's runs, from 1 */
	uint64_t slice_begin_ns; /* while it runs */
	uint64_t slice_end_ns;   /* when it should pause */
	uint64_t ns_before;      /* of earlier slices */
	uint64_t own_ns;         /* of its thread, behind the first half of the budget */
	uint64_t own_last_ns;    /* the thread's clock then; 0: not read in this slice */
	uint64_t unlooked;       /* charged since the clock was last looked at */
	int64_t bytes_made;      /* in earlier slices */
	uint64_t bytes_paid;     /* the sandbox's bytes_made for which it did steps of collection */
	uint64_t made_before;    /* the sandbox's bytes_made when it paused */
	uint64_t collects_until; /* the cycle that it waits for, being over its memory; 0: none */
	uint64_t freed_before;   /* the sandbox's bytes_freed when it paused, waiting so */
	uint64_t text_bytes_max; /* the largest string made */
	struct sandbox_stack *stack;   /* while it runs in a slice, or is in the middle of C code */
	struct value_scratch *scratch; /* in the latter case */
	int below;                     /* values on run->lua below the function */
	int thread;                    /* the sandbox's number of run->lua */
	const char *raised; /* the text of the last error that the script raised: its address */
	int walks;          /* registry reference of what `next` remembers, or none */
	int interval;       /* instructions between hooks, now */
	bool pure;          /* set by the owner: time, uuid and random raise */
	bool uncounted;     /* set by the owner before the first slice: see sandbox_count */
	bool large_tables;  /* set for one call of Lua: SANDBOX_KEYS_MAX does not hold */

	bool aborting, has_numbers, slice_over; /* private again */
	bool in_hook;                           /* still set at the end: an error left the hook */

	/* From here on nothing is cleared when a run begins. */
	char abort_text[192];  /* which budget: "ran out of instructions (10000000)" */
	struct random numbers; /* private: of math.random and sandbox_random, where it has some */
};

/* A run may begin uncounted: its owner knows that what it calls is C, or Lua that calls nothing but
 * C and ends within SANDBOX_STEP instructions. Then Lua enters no function for each of them. What
 * they charge and what they make is looked at as ever, and from the first such look the run is
 * counted; or from here on: called before anything else is called. */
void sandbox_count(struct sandbox_run *run);
/* ERR_NOMEM. Runs may be nested in time (one paused, another begun and ended), and one may be
 * resumed in C code that another one calls. `pure`, `uncounted` and `owner` are cleared: set them
 * afterwards. */
NODISCARD int sandbox_run_begin(
    struct sandbox *sandbox, const struct sandbox_budget *budget, struct sandbox_run *run);
/* The first time with `arguments` values above the function on run->lua; later 0. slice_us 0: no
 * slice, until it ends. */
enum sandbox_end sandbox_run_resume(
    struct sandbox_run *run, int arguments, uint32_t slice_us, int *ret_results);
/* With SANDBOX_RAISED, before sandbox_run_end: message and traceback as text (file and line of the
 * script's frames), at most `bytes` with a 0. */
void sandbox_run_traceback(struct sandbox_run *run, char *text, size_t bytes);
/* What stands before each frame there: "\n  cart.lua:12: in a function". */
#define SANDBOX_FRAME_MARK "\n  "
void sandbox_run_end(struct sandbox_run *run); /* in any state */

/* From C functions that scripts call: */
struct sandbox_run *sandbox_current(struct lua_State *lua); /* NULL outside of any run */
/* Ends the run; no pcall of the script sees it. Outside of any run: an ordinary error. */
__attribute__((noreturn)) void sandbox_abort(
    struct lua_State *lua, enum status status, const char *text);
/* Charges work that no instruction counts (bytes copied, steps of a match): ends the run where the
 * budget is spent. Never yields; where the slice is over, the next instruction does. Unit: about
 * one VM instruction, or 8 bytes moved. Outside of any run: nothing. */
void sandbox_charge(struct lua_State *lua, uint64_t units);
/* The same, and where the slice is over the run is left right here, and others run meanwhile: for
 * work in C that takes long, which so pauses in the middle. The caller holds nothing that is not
 * the run's own. */
void sandbox_spend(struct lua_State *lua, uint64_t units);
/* Asked before memory of some size is made; may collect garbage, and leave the run as well. */
void sandbox_charge_bytes(struct lua_State *lua, uint64_t bytes);
/* The same for a string, whose length is bounded, too; charges the making of it. */
void sandbox_charge_text(struct lua_State *lua, uint64_t bytes);
/* A string whose length is known before its bytes are: pushes what it is made in, and returns where
 * its bytes go. The caller fills it, over as many pauses as that takes, and gives it to nobody
 * before sandbox_made, which pushes the string. A long one is made where it stays: no copy of it,
 * which would be one piece. Charged before, as any string. */
char *sandbox_make(struct lua_State *lua, size_t bytes);
char *sandbox_making(struct lua_State *lua, int position); /* the bytes again, after a pause */
void sandbox_made(struct lua_State *lua, int position, size_t bytes);
/* lua_createtable for so many elements that there are, or that others say there are. */
void sandbox_create_table(struct lua_State *lua, size_t elements, size_t fields);
/* lua_pcall that keeps the budgets and passes aborts on: for owners' C code inside a run. */
int sandbox_pcall(struct lua_State *lua, int arguments, int results);

/* A random number, repeatable by the sandbox's seed and the run's serial. Raises in pure runs. */
uint64_t sandbox_random(struct lua_State *lua);
/* Raises where the run is pure, naming what was asked for: "time.now". */
void sandbox_refuse_pure(struct lua_State *lua, const char *what);

uint64_t sandbox_bytes(const struct sandbox *sandbox);
/* A bounded piece of garbage collection; true while a cycle is under way. Between runs' slices. */
bool sandbox_collect(struct sandbox *sandbox);
/* All that is garbage now, in one piece, in a run or not: for who knows that something large hangs
 * on it, which is no memory of Lua's, and has the time. */
void sandbox_collect_whole(struct lua_State *lua);

/* Adds a library or function visible to all scripts, read-only: takes the value on top of the main
 * state's stack. A table without a metatable, and such tables in it, is shown through an empty one
 * that refuses writes. Before the first run; may raise for lack of memory. */
void sandbox_provide(struct sandbox *sandbox, const char *global_name);
/* The same for a table that is not a global: takes the value on top of `lua` and pushes what
 * scripts may be given. */
void sandbox_protect(struct lua_State *lua);

#endif
