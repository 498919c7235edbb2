#include "tests/cluster_sim/starve.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/io/sim/sim.h"
#include "base/mem.h"
#include "tests/cluster_sim/world.h"

enum {
	DEPTH_MAX = 64,
	SITES_MAX = 1 << 14, /* a power of two: places of a table */
	FUNCTIONS_MAX = 1 << 11,
	/* Of one call of a function: more than so many are one site. */
	ALLOCATIONS_MAX = 3,
};

/* A call of one of the functions. */
struct frame {
	const void *function;
	uint64_t way; /* hash of the calls down to here */
	uint64_t allocations;
};

static struct {
	struct world *world; /* NULL: nothing is asked for */
	uint64_t site, for_ns, until_ns, struck_way;
	struct frame frames[DEPTH_MAX];
	unsigned depth;
	uint64_t ways[SITES_MAX];
	const void *functions[FUNCTIONS_MAX];
	struct starve_figures figures;
} hunger;

/* ---- The way to here ---- */

void __cyg_profile_func_enter(void *function, void *call_site);
void __cyg_profile_func_exit(void *function, void *call_site);

void __cyg_profile_func_enter(void *function, void *call_site)
{
	if (!hunger.world)
		return;
	ASSERT(hunger.depth < DEPTH_MAX);
	const void *step[2] = {function, call_site};
	uint64_t before = hunger.depth > 0 ? hunger.frames[hunger.depth - 1].way : 0;
	hunger.frames[hunger.depth++] = (struct frame){
	    .function = function, .way = hash_bytes(slice_of(step, sizeof(step)), before)};
}

void __cyg_profile_func_exit(void *function, void *call_site)
{
	(void)call_site;
	if (!hunger.world)
		return;
	ASSERT(hunger.depth > 0 && hunger.frames[hunger.depth - 1].function == function);
	hunger.depth--;
}

/* Code of a process may have been left in the middle, by its end. The linker puts these in the
 * place of the simulator's own: see module.am. */
bool __real_sim_step(struct sim *sim);
bool __wrap_sim_step(struct sim *sim);
bool __wrap_sim_step(struct sim *sim)
{
	hunger.depth = 0;
	return __real_sim_step(sim);
}

bool __real_sim_node_run(struct sim_node *node, void (*run)(void *arg), void *arg);
bool __wrap_sim_node_run(struct sim_node *node, void (*run)(void *arg), void *arg);
bool __wrap_sim_node_run(struct sim_node *node, void (*run)(void *arg), void *arg)
{
	hunger.depth = 0;
	return __real_sim_node_run(node, run, arg);
}

/* ---- Sites ---- */

static void note_function(const void *function)
{
	uint64_t at = hash_bytes(slice_of(&function, sizeof(function)), 0);
	for (;; at++) {
		const void **place = &hunger.functions[at % FUNCTIONS_MAX];
		if (*place == function)
			return;
		if (*place)
			continue;
		*place = function;
		hunger.figures.functions++;
		ASSERT(hunger.figures.functions < FUNCTIONS_MAX / 2);
		return;
	}
}

/* False: the world has come to it before. */
static bool is_new(uint64_t way)
{
	for (uint64_t at = way;; at++) {
		uint64_t *place = &hunger.ways[at % SITES_MAX];
		if (*place == way)
			return false;
		if (*place != 0)
			continue;
		*place = way;
		hunger.figures.sites++;
		ASSERT(hunger.figures.sites < SITES_MAX / 2);
		return true;
	}
}

static void print_way(void)
{
	fprintf(stderr, "an allocation fails, by the way of");
	for (unsigned i = 0; i < hunger.depth; i++)
		fprintf(stderr, " %p", hunger.frames[i].function);
	fprintf(stderr, " (addr2line -fpe PROGRAM)\n");
}

static bool strikes(const void *caller)
{
	if (!hunger.world || hunger.depth == 0)
		return false;
	struct frame *frame = &hunger.frames[hunger.depth - 1];
	uint64_t now_ns = sim_now_ns(hunger.world->sim);
	if (frame->allocations < ALLOCATIONS_MAX)
		frame->allocations++;
	uint64_t last[2] = {frame->allocations, (uintptr_t)caller};
	uint64_t way = hash_bytes(slice_of(last, sizeof(last)), frame->way);
	note_function(frame->function);
	if (is_new(way) && hunger.figures.sites == hunger.site) {
		print_way();
		hunger.struck_way = way;
		hunger.until_ns = now_ns + hunger.for_ns;
		hunger.world->lacks_memory = true;
	} else if (hunger.struck_way != way || now_ns >= hunger.until_ns) {
		return false;
	}
	hunger.figures.failed++;
	return true;
}

/* In the place of base/mem.h's, of whoever calls them: module.am. */
void *__real_mem_alloc(size_t bytes);
void *__wrap_mem_alloc(size_t bytes);
void *__wrap_mem_alloc(size_t bytes)
{
	return strikes(__builtin_return_address(0)) ? NULL : __real_mem_alloc(bytes);
}

void *__real_mem_zalloc(size_t count, size_t bytes);
void *__wrap_mem_zalloc(size_t count, size_t bytes);
void *__wrap_mem_zalloc(size_t count, size_t bytes)
{
	return strikes(__builtin_return_address(0)) ? NULL : __real_mem_zalloc(count, bytes);
}

void *__real_mem_alloc_aligned(size_t alignment, size_t bytes);
void *__wrap_mem_alloc_aligned(size_t alignment, size_t bytes);
void *__wrap_mem_alloc_aligned(size_t alignment, size_t bytes)
{
	return strikes(__builtin_return_address(0)) ? NULL
	                                            : __real_mem_alloc_aligned(alignment, bytes);
}

void *__real_mem_realloc(void *memory, size_t bytes);
void *__wrap_mem_realloc(void *memory, size_t bytes);
void *__wrap_mem_realloc(void *memory, size_t bytes)
{
	return strikes(__builtin_return_address(0)) ? NULL : __real_mem_realloc(memory, bytes);
}

void starve_begin_world(struct world *world, uint64_t site, uint64_t for_ns)
{
	memset(&hunger, 0, sizeof(hunger));
	hunger.world = world;
	hunger.site = site;
	hunger.for_ns = for_ns;
	/* Who keeps memory for later asks for some all the same. */
	mem_fail_at(UINT64_MAX);
}

struct starve_figures starve_end_world(void)
{
	hunger.world = NULL;
	mem_fail_at(0);
	return hunger.figures;
}
