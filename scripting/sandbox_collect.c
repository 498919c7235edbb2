/* Garbage collection. Lua's own, which runs wherever something is made, is off: a step of it does
 * six units of work for each byte that was made since the last one, and 12 MiB can be made at once.
 * Here each step is small, runs do them in their hooks, for what they have made themselves, and
 * stop where their slice is over; between runs there is a bounded piece in each turn. */
#include "scripting/own_key.h"
#include "scripting/sandbox_internal.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"

/* Lua counts a step as 101 units for every 16 bytes of this: 808 units, of which marking one slot
 * of a table is one, and freeing one object. That is some 30 us. */
enum { STEP_BYTES_LOG2 = 7 };
/* An object has about 20 bytes for each unit that it costs: so a cycle ends before what is made
 * meanwhile is half of what there is. */
#define STEP_PAYS_BYTES (8 * KIB)
/* In a run behind its first slice. What such a one makes while all is marked, Lua marks in one
 * piece at the end of that: so the marking is quicker there. */
#define LONG_RUN_PAYS_BYTES (2 * KIB)
/* Between runs, in one turn. */
#define TURN_NS_MAX (300 * NS_PER_US)
/* The least that is made before another cycle begins. */
#define CYCLE_BYTES_MIN (64 * KIB)
/* What a run leaves behind is looked for early where it is at least this. */
#define LEFT_BYTES_MIN (1 * MIB)
/* Between two fences. */
#define FENCE_BYTES (32 * KIB)

/* A collector that is off would still be called, to do nothing, wherever something is made, unless
 * it believes that it is ahead. */
static void keep_off(lua_State *lua)
{
	enum { AHEAD_KIB = 1024 * 1024 };
	lua_gc(lua, LUA_GCSTEP, -AHEAD_KIB);
}

void sandbox_collect_open(struct sandbox *sandbox)
{
	lua_gc(sandbox->main, LUA_GCSTOP);
	lua_gc(sandbox->main, LUA_GCINC, 0, 0, STEP_BYTES_LOG2);
	keep_off(sandbox->main);
}

static void cycle_ended(struct sandbox *sandbox)
{
	sandbox->in_cycle = false;
	sandbox->cycles++;
	sandbox->bytes_collected =
	    sandbox->bytes > sandbox->bytes_left ? sandbox->bytes - sandbox->bytes_left : 0;
	sandbox->bytes_left = 0;
}

/* When all is marked Lua looks for the newest object that is in use, and frees what it meets on its
 * way there (sweeptolive): all that a run leaves behind, in one piece. A fence is an object in use
 * that is never much older than the newest. */
int sandbox_collect_fence(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_from(lua);
	sandbox->made_fence = sandbox->bytes_made;
	lua_newuserdatauv(lua, 0, 0);
	lua_rawsetp(lua, LUA_REGISTRYINDEX, own_key(OWN_KEY_FENCE));
	return 0;
}

static void put_fence(struct sandbox *sandbox, lua_State *lua)
{
	/* In a run the lack of memory is the run's end. */
	if (sandbox->current) {
		(void)sandbox_collect_fence(lua);
		return;
	}
	lua_pushcfunction(lua, sandbox_collect_fence);
	if (lua_pcall(lua, 0, 0, 0) != LUA_OK)
		lua_pop(lua, 1);
}

/* True: a cycle is at its end. */
static bool step(struct sandbox *sandbox, lua_State *lua)
{
	if (sandbox->bytes_made - sandbox->made_fence > FENCE_BYTES)
		put_fence(sandbox, lua);
	uint64_t before = sandbox->bytes;
	sandbox->in_cycle = true;
	bool ended = lua_gc(lua, LUA_GCSTEP, 0);
	if (sandbox->bytes < before)
		sandbox->bytes_freed += before - sandbox->bytes;
	if (ended)
		cycle_ended(sandbox);
	return ended;
}

void sandbox_collect_left(struct sandbox *sandbox, int64_t bytes)
{
	if (bytes < (int64_t)LEFT_BYTES_MIN)
		return;
	uint64_t left = (uint64_t)bytes;
	sandbox->bytes_left += left;
	sandbox->bytes_collected -=
	    left < sandbox->bytes_collected ? left : sandbox->bytes_collected;
}

bool sandbox_collect(struct sandbox *sandbox)
{
	ASSERT(!sandbox->current);
	blocks_rest(&sandbox->blocks);
	if (!sandbox->in_cycle && sandbox->bytes < sandbox->bytes_collected +
	                                               sandbox->bytes_collected / 2 +
	                                               CYCLE_BYTES_MIN) {
		sandbox->bytes_paid = sandbox->bytes_made;
		return false;
	}
	uint64_t begin_ns = clock_monotonic_ns();
	do {
		step(sandbox, sandbox->main);
		sandbox->bytes_paid += STEP_PAYS_BYTES;
	} while (sandbox->in_cycle && sandbox->bytes_paid < sandbox->bytes_made &&
	         clock_monotonic_ns() - begin_ns < TURN_NS_MAX);
	keep_off(sandbox->main);
	return sandbox->in_cycle;
}

/* ---- In a run ---- */

uint64_t sandbox_collect_paid(lua_State *lua, struct sandbox_run *run, uint64_t now_ns)
{
	struct sandbox *sandbox = run->sandbox;
	if (!sandbox->in_cycle && sandbox->bytes < 2 * sandbox->bytes_collected + CYCLE_BYTES_MIN) {
		run->bytes_paid = sandbox->bytes_made;
		return now_ns;
	}
	uint64_t pays = run->ns_before > 0 ? LONG_RUN_PAYS_BYTES : STEP_PAYS_BYTES;
	while (run->bytes_paid < sandbox->bytes_made && now_ns < run->slice_end_ns) {
		run->bytes_paid += pays;
		sandbox->bytes_paid += STEP_PAYS_BYTES;
		if (step(sandbox, lua))
			run->bytes_paid = sandbox->bytes_made;
		now_ns = clock_monotonic_ns();
	}
	keep_off(lua);
	return now_ns;
}

void sandbox_collect_begin(struct sandbox_run *run)
{
	struct sandbox *sandbox = run->sandbox;
	/* What became garbage after a cycle began is found by the next one. */
	run->collects_until = sandbox->cycles + (sandbox->in_cycle ? 2 : 1);
	/* It costs about what it walks over; charged, so that a run at its edge cannot make us do
	 * nothing else. */
	run->instructions += sandbox->bytes / 64;
}

bool sandbox_collect_on(lua_State *lua, struct sandbox_run *run)
{
	struct sandbox *sandbox = run->sandbox;
	/* One at least, so that it comes to an end however short the slices are. */
	while (sandbox->cycles < run->collects_until) {
		step(sandbox, lua);
		if (clock_monotonic_ns() >= run->slice_end_ns)
			break;
	}
	keep_off(lua);
	if (sandbox->cycles < run->collects_until)
		return false;
	run->collects_until = 0;
	return true;
}

void sandbox_collect_all(lua_State *lua, struct sandbox_run *run)
{
	sandbox_collect_begin(run);
	run->collects_until = 0;
	lua_gc(lua, LUA_GCCOLLECT, 0);
	keep_off(lua);
	cycle_ended(run->sandbox);
}

void sandbox_collect_whole(lua_State *lua)
{
	struct sandbox *sandbox = sandbox_from(lua);
	if (sandbox->current) {
		sandbox_collect_all(lua, sandbox->current);
		return;
	}
	lua_gc(lua, LUA_GCCOLLECT, 0);
	keep_off(lua);
	cycle_ended(sandbox);
}
