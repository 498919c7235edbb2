/* A Lua interpreter in which code of others runs: a safe library, and budgets that nothing escapes.
 *
 * Runs are coroutines. The owner gets a fresh (or reused) thread, pushes a function and arguments,
 * and resumes it, slice by slice, until it ends:
 *
 *   sandbox_run_begin -> push function and arguments on run->lua -> sandbox_run_resume ...
 *   -> SANDBOX_ENDED: results on run->lua -> sandbox_run_end
 *
 * Budgets of a run: VM instructions (count hook), own running time, memory above what it began
 * with. The library's functions that can loop charge the same budgets. Exceeding one, and
 * sandbox_abort, end the run: the error passes every pcall, coroutine and metamethod of the script.
 * A hook's yield inside a coroutine of the script reaches us, not the script. Where Lua can't yield
 * the hook only charges. The allocator refuses only far above the memory budget (which is enforced
 * at hooks and library calls), because Debian's Lua 5.4.4 has memory errors under emergency
 * collections.
 *
 * Not there: what SPEC calls so: io os package debug load of bytecode loadfile dofile
 * collectgarbage string.dump coroutine.close, metamethods __gc __mode __concat __close, %p,
 * writable library tables and string metatable. Assigning an absent global raises. `pairs` and
 * `next` walk in an order that depends on the content and history of the table alone, never on
 * addresses or time.
 *
 * Thread: one; enough C stack (HOST_STACK_BYTES_MIN).
 */
#ifndef KX_SCRIPTING_SANDBOX_H
#define KX_SCRIPTING_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"
#include "base/status.h"

struct lua_State;
struct sandbox;

struct sandbox_options {
	uint64_t seed;      /* hashes, random, uuid */
	uint64_t bytes_max; /* where the allocator refuses: far above all budgets; 0: 1 GiB */
};
NODISCARD int sandbox_new(const struct sandbox_options *options, struct sandbox **ret_sandbox);
void sandbox_free(struct sandbox *sandbox); /* NULL-safe; no run is begun */

/* The main state, for the owner's own setup in protected calls of his; never runs scripts. */
struct lua_State *sandbox_lua(struct sandbox *sandbox);
struct sandbox *sandbox_of(struct lua_State *lua); /* of any thread of it */

/* Compiles text (never bytecode) as a function that sees only the sandbox's globals: pushed on
 * `lua`. ERR_INVALID with a message pushed instead ("cart.lua:3: ..."); bounded source size and
 * nesting. */
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

/* Embedded by the owner. */
struct sandbox_run {
	struct lua_State *lua; /* the coroutine: valid from begin to end */
	enum sandbox_end end;
	enum status
	    abort_status; /* SANDBOX_ABORTED: RESOURCE_EXHAUSTED for a budget, else the abort's */
	char abort_text[192]; /* which budget: "ran out of instructions (10000000)" */
	uint64_t instructions, run_ns;
	bool pure;   /* set by the owner: time, uuid and random raise */
	void *owner; /* set by the owner: what ctx functions find with sandbox_current */

	/* Private to the sandbox. */
	struct sandbox *sandbox;
	struct sandbox_budget left;
	uint64_t slice_end_ns, bytes_before;
	int reference, depth;
	bool aborting;
};

/* ERR_NOMEM. Runs may be nested in time (one paused, another begun and ended). */
NODISCARD int sandbox_run_begin(
    struct sandbox *sandbox, const struct sandbox_budget *budget, struct sandbox_run *run);
/* The first time with `arguments` values above the function on run->lua; later 0. */
enum sandbox_end sandbox_run_resume(
    struct sandbox_run *run, int arguments, uint32_t slice_us, int *ret_results);
/* With SANDBOX_RAISED, before sandbox_run_end: message and traceback as text (file and line of the
 * script's frames), at most `bytes` with a 0. */
void sandbox_run_traceback(struct sandbox_run *run, char *text, size_t bytes);
void sandbox_run_end(struct sandbox_run *run); /* in any state */

/* From C functions that scripts call: */
struct sandbox_run *sandbox_current(struct lua_State *lua); /* NULL outside of any run */
/* Ends the run; no pcall of the script sees it. */
__attribute__((noreturn)) void sandbox_abort(
    struct lua_State *lua, enum status status, const char *text);
/* Charges work that no instruction counts (bytes copied, steps of a match); may pause where Lua can
 * yield there, and ends the run where the budget is spent. Unit: about one VM instruction. */
void sandbox_charge(struct lua_State *lua, uint64_t units);
/* Asked before memory of some size is made. */
void sandbox_charge_bytes(struct lua_State *lua, uint64_t bytes);
/* lua_pcall that keeps the budgets and passes aborts on: for owners' C code inside a run. */
int sandbox_pcall(struct lua_State *lua, int arguments, int results);

uint64_t sandbox_bytes(const struct sandbox *sandbox);
/* A bounded step of garbage collection; true while a cycle is under way. */
bool sandbox_collect(struct sandbox *sandbox);

/* Adds a library or function visible to all scripts, read-only: takes the value on top of the main
 * state's stack. Before the first run. */
void sandbox_provide(struct sandbox *sandbox, const char *global_name);

#endif
