/* What a run of the sandbox costs beyond its Lua: begin, push a function and its arguments, resume,
 * end; and functions of the library beside Lua's own.
 *
 *	script_bench                    times, in nanoseconds a call
 *	script_bench count NAME N       N runs of one kind, for
 *	                                valgrind --tool=callgrind --toggle-collect='bench_run'
 */
#include "base/clock.h"
#include "scripting/sandbox.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct job {
	const char *name;
	const char *source; /* gives a function */
};

/* The cart is the example of the programming model: a command and the event that it emits. */
static const struct job jobs[] = {
    {"empty", "return function() end"},
    {"cart", "local function added(state, event)\n"
             "  local item = state.items[event.product_id] or { name = event.name, quantity = 0 }\n"
             "  item.quantity = item.quantity + event.quantity\n"
             "  state.items[event.product_id] = item\n"
             "end\n"
             "return function()\n"
             "  local state = { items = { p1 = { name = 'one', quantity = 1 } } }\n"
             "  local input = { product_id = 'p2', name = 'two', quantity = 2 }\n"
             "  if state.checked_out then error('no') end\n"
             "  added(state, input)\n"
             "  return state.items\n"
             "end"},
    {"pairs10", "local t = {a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10}\n"
                "return function() local n = 0 for k, v in pairs(t) do n = n + v end return n end"},
    {"list10", "local t = {1,2,3,4,5,6,7,8,9,10}\n"
               "return function() local n = 0 for k, v in pairs(t) do n = n + v end return n end"},
    {"next10", "local t = {a=1,b=2,c=3,d=4,e=5,f=6,g=7,h=8,i=9,j=10}\n"
               "return function() local n = 0 for k, v in next, t do n = n + v end return n end"},
    {"sort10", "return function() local t = {5,3,9,1,7,2,8,4,6,10}\n"
               "table.sort(t, function(a, b) return a < b end) return t end"},
    {"format", "return function() return string.format('%s/%d', 'cart', 17) end"},
    {"gsub", "return function() return (('a-b-c'):gsub('%-', '+')) end"},
    {"pcall", "return function() return pcall(function() return 1 end) end"},
    {"coroutine", "return function() return coroutine.wrap(function() return 1 end)() end"},
    {"loop", "return function() local n = 0 for i = 1, 100000 do n = n + i % 7 end return n end"},
};
enum { JOBS = sizeof(jobs) / sizeof(jobs[0]) };

static const struct sandbox_budget budget = {
    .instructions = 10000000, .run_ns = 100 * NS_PER_MS, .bytes = 64 << 20};
static struct sandbox *sandbox;

__attribute__((noinline)) static void bench_run(int function)
{
	struct sandbox_run run;
	int results;
	if (sandbox_run_begin(sandbox, &budget, &run))
		abort();
	lua_rawgeti(run.lua, LUA_REGISTRYINDEX, function);
	while (sandbox_run_resume(&run, 0, 500, &results) == SANDBOX_RUNNING)
		continue;
	if (run.end != SANDBOX_ENDED)
		abort();
	sandbox_run_end(&run);
}

/* The function of the job, as a reference into the registry. */
static int load_in_sandbox(const struct job *job)
{
	struct sandbox_run run;
	int results;
	if (sandbox_run_begin(sandbox, &budget, &run) ||
	    sandbox_compile(run.lua, slice_from_text(job->source), "@bench.lua") ||
	    sandbox_run_resume(&run, 0, 0, &results) != SANDBOX_ENDED)
		abort();
	int function = luaL_ref(run.lua, LUA_REGISTRYINDEX);
	sandbox_run_end(&run);
	return function;
}

static double time_of_sandbox(const struct job *job, int count)
{
	int function = load_in_sandbox(job);
	for (int i = 0; i < count / 10; i++)
		bench_run(function);
	uint64_t begin_ns = clock_monotonic_ns();
	for (int i = 0; i < count; i++)
		bench_run(function);
	return (double)(clock_monotonic_ns() - begin_ns) / count;
}

/* The same function, called in a protected call of an interpreter with Lua's own library. */
static double time_of_plain(const struct job *job, int count)
{
	lua_State *lua = luaL_newstate();
	luaL_openlibs(lua);
	if (luaL_dostring(lua, job->source))
		abort();
	uint64_t begin_ns = 0;
	for (int i = -count / 10; i < count; i++) {
		if (i == 0)
			begin_ns = clock_monotonic_ns();
		lua_pushvalue(lua, 1);
		if (lua_pcall(lua, 0, 0, 0))
			abort();
	}
	double ns = (double)(clock_monotonic_ns() - begin_ns) / count;
	lua_close(lua);
	return ns;
}

int main(int argc, char **argv)
{
	struct sandbox_options options = {.seed = 1};
	if (sandbox_new(&options, &sandbox))
		abort();
	if (argc == 4 && strcmp(argv[1], "count") == 0) {
		for (size_t i = 0; i < JOBS; i++) {
			if (strcmp(jobs[i].name, argv[2]) != 0)
				continue;
			int function = load_in_sandbox(&jobs[i]);
			for (long left = strtol(argv[3], NULL, 10); left > 0; left--)
				bench_run(function);
		}
	} else {
		printf("%-10s %12s %12s\n", "", "sandbox", "plain pcall");
		for (size_t i = 0; i < JOBS; i++) {
			int count = strcmp(jobs[i].name, "loop") == 0 ? 1000 : 300000;
			printf("%-10s %9.0f ns %9.0f ns\n", jobs[i].name,
			    time_of_sandbox(&jobs[i], count), time_of_plain(&jobs[i], count));
		}
	}
	sandbox_free(sandbox);
	return 0;
}
