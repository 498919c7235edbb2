#include "base/fiber.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/poison.h"

#include <stdint.h>
#include <sys/mman.h>

/* With a shadow stack it is libc that knows how to switch. */
#if defined(__CET__)
#define HAS_SHADOW_STACK (__CET__ & 2)
#else
#define HAS_SHADOW_STACK 0
#endif
#if defined(__x86_64__) && !defined(FIBER_UCONTEXT) && !HAS_SHADOW_STACK
#define FIBER_OWN_SWITCH 1
#else
#define FIBER_OWN_SWITCH 0
#include <ucontext.h>
#endif

#ifdef POISON_IS_SEEN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

#define GUARD_BYTES 65536UL /* the largest page there is */

struct fiber {
	/* Where the one that does not run was left. */
#if FIBER_OWN_SWITCH
	void *own_at, *host_at;
#else
	ucontext_t own_at, host_at;
#endif
	bool entered;
	void (*body)(void *arg);
	void *arg;
	uint8_t *memory; /* a guard, then the stack */
	size_t stack_bytes;
#ifdef POISON_IS_SEEN
	void *own_fake, *host_fake;
	const void *host_stack;
	size_t host_stack_bytes;
	bool begun, ends;
#endif
#ifdef __SANITIZE_THREAD__
	void *own_thread, *host_thread;
#endif
};

/* ---- What sanitizers must be told ----
 *
 * All that stands around a switch is inside of fiber_enter and fiber_leave: ThreadSanitizer counts
 * calls and returns of each stack. */
#define INSIDE __attribute__((always_inline)) static inline

INSIDE void told_before_enter(struct fiber *fiber)
{
	(void)fiber;
#ifdef POISON_IS_SEEN
	__sanitizer_start_switch_fiber(
	    &fiber->host_fake, fiber->memory + GUARD_BYTES, fiber->stack_bytes);
#endif
#ifdef __SANITIZE_THREAD__
	fiber->host_thread = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(fiber->own_thread, 0);
#endif
}

INSIDE void told_after_enter(struct fiber *fiber)
{
	(void)fiber;
#ifdef POISON_IS_SEEN
	__sanitizer_finish_switch_fiber(fiber->host_fake, NULL, NULL);
#endif
}

INSIDE void told_before_leave(struct fiber *fiber)
{
	(void)fiber;
#ifdef POISON_IS_SEEN
	__sanitizer_start_switch_fiber(
	    &fiber->own_fake, fiber->host_stack, fiber->host_stack_bytes);
#endif
#ifdef __SANITIZE_THREAD__
	__tsan_switch_to_fiber(fiber->host_thread, 0);
#endif
}

/* Also at the body's begin. */
INSIDE void told_after_leave(struct fiber *fiber)
{
	(void)fiber;
#ifdef POISON_IS_SEEN
	__sanitizer_finish_switch_fiber(
	    fiber->own_fake, &fiber->host_stack, &fiber->host_stack_bytes);
#endif
}

/* ---- Switching ---- */

/* The fiber whose body begins. */
static _Thread_local struct fiber *beginning;

__attribute__((noreturn)) static void begin(void)
{
	struct fiber *fiber = beginning;
	told_after_leave(fiber);
#ifdef POISON_IS_SEEN
	fiber->begun = true;
#endif
	fiber->body(fiber->arg);
	UNREACHABLE();
}

#if FIBER_OWN_SWITCH

/* Leaves what a function must keep on the stack, and that stack's address in *from; goes on with
 * another stack that was left so. The modes of floating point are the same everywhere here. */
__attribute__((naked, noinline, no_sanitize("address", "undefined", "thread"))) static void
switch_stacks(void **from __attribute__((unused)), void *to __attribute__((unused)))
{
	__asm__("pushq %rbp\n\t"
	        "pushq %rbx\n\t"
	        "pushq %r12\n\t"
	        "pushq %r13\n\t"
	        "pushq %r14\n\t"
	        "pushq %r15\n\t"
	        "movq %rsp, (%rdi)\n\t"
	        "movq %rsi, %rsp\n\t"
	        "popq %r15\n\t"
	        "popq %r14\n\t"
	        "popq %r13\n\t"
	        "popq %r12\n\t"
	        "popq %rbx\n\t"
	        "popq %rbp\n\t"
	        "ret");
}

static int prepare(struct fiber *fiber)
{
	enum { REGISTERS = 6 };
	/* As if `begin` had been called, by nobody. */
	uint64_t *top = (uint64_t *)(void *)(fiber->memory + GUARD_BYTES + fiber->stack_bytes);
	top[-2] = (uint64_t)(uintptr_t)begin;
	fiber->own_at = top - 2 - REGISTERS;
	return 0;
}

INSIDE void to_own(struct fiber *fiber)
{
	switch_stacks(&fiber->host_at, fiber->own_at);
}

INSIDE void to_host(struct fiber *fiber)
{
	switch_stacks(&fiber->own_at, fiber->host_at);
}

#else

static int prepare(struct fiber *fiber)
{
	if (getcontext(&fiber->own_at))
		return ERR_NOMEM;
	fiber->own_at.uc_stack.ss_sp = fiber->memory + GUARD_BYTES;
	fiber->own_at.uc_stack.ss_size = fiber->stack_bytes;
	makecontext(&fiber->own_at, begin, 0);
	return 0;
}

INSIDE void to_own(struct fiber *fiber)
{
	swapcontext(&fiber->host_at, &fiber->own_at);
}

INSIDE void to_host(struct fiber *fiber)
{
	swapcontext(&fiber->own_at, &fiber->host_at);
}

#endif

void fiber_enter(struct fiber *fiber)
{
	ASSERT(!fiber->entered);
	fiber->entered = true;
	beginning = fiber;
	told_before_enter(fiber);
	to_own(fiber);
	told_after_enter(fiber);
	fiber->entered = false;
}

void fiber_leave(struct fiber *fiber)
{
	ASSERT(fiber->entered);
	told_before_leave(fiber);
	to_host(fiber);
	told_after_leave(fiber);
#ifdef POISON_IS_SEEN
	if (fiber->ends) {
		/* For the last time: what AddressSanitizer keeps for this stack goes. */
		__sanitizer_start_switch_fiber(NULL, fiber->host_stack, fiber->host_stack_bytes);
		to_host(fiber);
		UNREACHABLE();
	}
#endif
}

/* ---- Making ---- */

int fiber_new(size_t stack_bytes, void (*body)(void *arg), void *arg, struct fiber **ret_fiber)
{
	ASSERT(stack_bytes > 0 && stack_bytes % GUARD_BYTES == 0);
	struct fiber *fiber = mem_zalloc(1, sizeof(*fiber));
	if (!fiber)
		return ERR_NOMEM;
	fiber->body = body;
	fiber->arg = arg;
	fiber->stack_bytes = stack_bytes;
	size_t bytes = GUARD_BYTES + stack_bytes;
	uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (memory == MAP_FAILED) {
		mem_free(fiber);
		return ERR_NOMEM;
	}
	fiber->memory = memory;
	/* A stack that is used in its first pages only shall not become one large page. */
	(void)madvise(memory, bytes, MADV_NOHUGEPAGE);
	if (mprotect(memory, GUARD_BYTES, PROT_NONE) || prepare(fiber)) {
		fiber_free(fiber);
		return ERR_NOMEM;
	}
#ifdef __SANITIZE_THREAD__
	fiber->own_thread = __tsan_create_fiber(0);
#endif
	*ret_fiber = fiber;
	return 0;
}

void fiber_free(struct fiber *fiber)
{
	if (!fiber)
		return;
	ASSERT(!fiber->entered);
#ifdef POISON_IS_SEEN
	if (fiber->begun) {
		fiber->ends = true;
		fiber_enter(fiber);
	}
#endif
#ifdef __SANITIZE_THREAD__
	if (fiber->own_thread)
		__tsan_destroy_fiber(fiber->own_thread);
#endif
	UNPOISON(fiber->memory + GUARD_BYTES, fiber->stack_bytes);
	ASSERT(munmap(fiber->memory, GUARD_BYTES + fiber->stack_bytes) == 0);
	mem_free(fiber);
}
