#include "base/io/sim/place.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/assert.h"
#include "base/io/sim/sim.h"

/* Where neither a kernel nor a sanitizer puts anything by itself. ThreadSanitizer knows programs'
 * memory in a few ranges only, and AddressSanitizer has its own in the lowest of those. */
#ifdef __SANITIZE_THREAD__
#define STACK_ADDRESS  UINT64_C(0x1000000000)
#define MEMORY_ADDRESS UINT64_C(0x2000000000)
#else
#define STACK_ADDRESS  UINT64_C(0x200000000000)
#define MEMORY_ADDRESS UINT64_C(0x210000000000)
#endif
#define STACK_BYTES  UINT64_C(16 * 1024 * 1024)
#define MEMORY_BYTES (UINT64_C(16) * 1024 * 1024 * 1024)

enum { ALIGNMENTS = 28, SIZES = 160, UNIT_BYTES = 16, SIZES_LINEAR = 64, SIZES_A_DOUBLING = 4 };

struct given_back {
	struct given_back *next;
};

static struct {
	uint8_t *next, *end; /* NULL: not open */
	struct given_back *free[ALIGNMENTS][SIZES];
} place;

bool place_is_open(void)
{
	return place.end != NULL;
}

static unsigned log2_of(uint64_t value)
{
	return 63 - (unsigned)__builtin_clzll(value);
}

/* Sizes are rounded up: to UNIT_BYTES, and above SIZES_LINEAR of those to a quarter of a power of
 * two, so that one that was given back is taken again by most that ask later. */
static unsigned size_class(size_t bytes, size_t *ret_bytes)
{
	size_t units = (bytes + UNIT_BYTES - 1) / UNIT_BYTES;
	if (units <= SIZES_LINEAR) {
		*ret_bytes = units * UNIT_BYTES;
		return (unsigned)units - 1;
	}
	unsigned doubling = log2_of(units - 1);
	size_t step = (UINT64_C(1) << doubling) / SIZES_A_DOUBLING;
	size_t steps = (units - 1 - (UINT64_C(1) << doubling)) / step;
	*ret_bytes = ((UINT64_C(1) << doubling) + (steps + 1) * step) * UNIT_BYTES;
	return SIZES_LINEAR + (doubling - log2_of(SIZES_LINEAR)) * SIZES_A_DOUBLING +
	       (unsigned)steps;
}

static struct given_back **list_of(size_t alignment, size_t bytes, size_t *ret_bytes)
{
	unsigned size = size_class(bytes, ret_bytes);
	ASSERT(alignment >= UNIT_BYTES && (alignment & (alignment - 1)) == 0);
	ASSERT(log2_of(alignment) < ALIGNMENTS && size < SIZES);
	return &place.free[log2_of(alignment)][size];
}

void *place_take(size_t alignment, size_t bytes)
{
	size_t whole;
	struct given_back **list = list_of(alignment, bytes, &whole);
	struct given_back *again = *list;
	if (again != NULL) {
		*list = again->next;
		return again;
	}
	size_t before = (size_t)(-(uintptr_t)place.next & (alignment - 1));
	if ((size_t)(place.end - place.next) < before + whole)
		return NULL;
	uint8_t *memory = place.next + before;
	place.next = memory + whole;
	return memory;
}

void place_give_back(void *memory, size_t alignment, size_t bytes)
{
	size_t whole;
	struct given_back **list = list_of(alignment, bytes, &whole);
	struct given_back *again = memory;
	again->next = *list;
	*list = again;
}

/* ---- What runs there ---- */

struct job {
	void (*run)(void *arg);
	void *arg;
};

static void *map_at(uint64_t address, size_t bytes)
{
	void *memory = mmap((void *)(uintptr_t)address, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	ASSERT_MSG(memory == (void *)(uintptr_t)address, "the place is taken");
	return memory;
}

static void *begin(void *arg)
{
	const struct job *job = arg;
	job->run(job->arg);
	return NULL;
}

void sim_at_fixed_addresses(void (*run)(void *arg), void *arg)
{
	struct job job = {run, arg};
	pthread_attr_t attributes;
	pthread_t thread;
	ASSERT(!place_is_open());
	place.next = map_at(MEMORY_ADDRESS, MEMORY_BYTES);
	place.end = place.next + MEMORY_BYTES;
	int error = pthread_attr_init(&attributes);
	if (!error)
		error = pthread_attr_setstack(
		    &attributes, map_at(STACK_ADDRESS, STACK_BYTES), STACK_BYTES);
	if (!error)
		error = pthread_create(&thread, &attributes, begin, &job);
	ASSERT(!error);
	error = pthread_join(thread, NULL);
	ASSERT(!error);
	pthread_attr_destroy(&attributes);
}
