/* Pauses in the middle of C code. Lua can leave a C function and enter it again only where that
 * function says so; what decodes, encodes or sorts is many calls deep, and does not. So a run that
 * has a slice runs on a C stack of its own (base/fiber.h). Where its slice ends in C code it keeps
 * that stack, as it is, and the next run gets another one. Elsewhere it yields as Lua does, which
 * keeps no stack: so most runs share one.
 *
 * Nothing of Lua notices: while the stack rests nobody else uses the run's threads, and collecting
 * garbage takes them for what they are, threads that are in the middle of a C function. What a run
 * has built in memory that others use, too, goes with it (value_scratch_take). */
#include "scripting/sandbox_internal.h"

#include "base/assert.h"
#include "base/fiber.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/poison.h"
#include "scripting/value.h"

/* AddressSanitizer's frames are larger. */
#define STACK_BYTES (FREED_IS_KEPT ? 2 * MIB : 16 * MIB)
/* Of one interpreter: in C code at one time, and idle ones that are kept. More runs than that go on
 * where they can't yield. */
enum { STACKS_MAX = 1024, STACKS_IDLE_MAX = 8 };

struct sandbox_stack {
	struct sandbox_stack *next; /* of those that are idle */
	struct fiber *fiber;
	struct sandbox *sandbox;
	/* What is to be resumed, and what came of it. */
	struct sandbox_run *run;
	lua_State *from;
	int arguments, results, status;
	bool paused; /* in the middle; else `status` is what lua_resume gave */
};

static void stack_main(void *arg)
{
	struct sandbox_stack *stack = arg;
	for (;;) {
		stack->status =
		    lua_resume(stack->run->lua, stack->from, stack->arguments, &stack->results);
		stack->paused = false;
		fiber_leave(stack->fiber);
	}
}

static struct sandbox_stack *take(struct sandbox *sandbox)
{
	struct sandbox_stack *stack = sandbox->stacks_idle;
	if (__builtin_expect(stack != NULL, 1)) {
		sandbox->stacks_idle = stack->next;
		sandbox->stacks_idle_count--;
		return stack;
	}
	if (sandbox->stack_count == STACKS_MAX)
		return NULL;
	stack = mem_zalloc(1, sizeof(*stack));
	if (!stack)
		return NULL;
	stack->sandbox = sandbox;
	if (fiber_new(STACK_BYTES, stack_main, stack, &stack->fiber)) {
		mem_free(stack);
		return NULL;
	}
	sandbox->stack_count++;
	return stack;
}

static void free_stack(struct sandbox_stack *stack)
{
	ASSERT(stack->sandbox->stack_count > 0);
	stack->sandbox->stack_count--;
	fiber_free(stack->fiber);
	mem_free(stack);
}

static void give_back(struct sandbox_stack *stack)
{
	struct sandbox *sandbox = stack->sandbox;
	if (sandbox->stacks_idle_count == STACKS_IDLE_MAX) {
		free_stack(stack);
		return;
	}
	stack->next = sandbox->stacks_idle;
	sandbox->stacks_idle = stack;
	sandbox->stacks_idle_count++;
}

int sandbox_stack_resume(
    struct sandbox_run *run, lua_State *from, int arguments, bool has_slice, int *ret_results)
{
	struct sandbox_stack *stack = run->stack;
	/* One that is inside of another run is on its stack, and no fiber is inside of another. */
	if (!stack && has_slice && from == run->sandbox->main)
		stack = take(run->sandbox);
	if (!stack)
		return lua_resume(run->lua, from, arguments, ret_results);
	stack->run = run;
	stack->from = from;
	stack->arguments = arguments;
	run->stack = stack;
	fiber_enter(stack->fiber);
	if (stack->paused)
		return LUA_YIELD;
	run->stack = NULL;
	*ret_results = stack->results;
	int status = stack->status;
	give_back(stack);
	return status;
}

bool sandbox_pause_here(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_from(lua);
	struct sandbox_run *run = sandbox->current;
	struct sandbox_stack *stack = run->stack;
	if (!stack)
		return false;
	struct value_scratch *scratch = value_scratch_take(lua);
	if (!scratch)
		return false;
	lua_State *running = sandbox->running;
	bool pausable = sandbox->pausable;
	run->scratch = scratch;
	stack->paused = true;
	sandbox->running = run->lua;
	sandbox->pausing = true;
	fiber_leave(stack->fiber);
	ASSERT(sandbox->current == run);
	sandbox->running = running;
	sandbox->pausable = pausable;
	run->scratch = NULL;
	value_scratch_give(scratch);
	return true;
}

void sandbox_stack_drop(struct sandbox_run *run)
{
	value_scratch_free(run->scratch);
	free_stack(run->stack);
	run->scratch = NULL;
	run->stack = NULL;
}

void sandbox_stacks_free(struct sandbox *sandbox)
{
	while (sandbox->stacks_idle)
		free_stack(take(sandbox));
	ASSERT(sandbox->stack_count == 0);
}
