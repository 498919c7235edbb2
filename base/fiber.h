/* A C stack of its own, on which a function runs that can be left in the middle and gone on with
 * later: for work in C that takes long, called from what must not wait for it.
 *
 *   fiber_new -> fiber_enter -> (the body calls fiber_leave) -> fiber_enter ... -> fiber_free
 *
 * The body never returns; where it has nothing more to do it leaves. A fiber that is freed takes
 * its stack away from under the body: what the functions there own is somebody else's to free. An
 * error that is raised by longjmp stays on one side. The stack's end is guarded.
 *
 * Entering and leaving are some 20 instructions each on x86-64, and a call of the system elsewhere.
 *
 * Thread: whoever entered it first; never from inside of another one.
 */
#ifndef KX_BASE_FIBER_H
#define KX_BASE_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct fiber;

/* `stack_bytes` is a multiple of 64 KiB; what was never touched of it costs no memory. ERR_NOMEM.
 */
NODISCARD int fiber_new(
    size_t stack_bytes, void (*body)(void *arg), void *arg, struct fiber **ret_fiber);
void fiber_free(struct fiber *fiber); /* not from inside; NULL-safe */

/* Runs the body from its begin, or from where it left, until it leaves. */
void fiber_enter(struct fiber *fiber);
/* From inside of `fiber`: fiber_enter returns; comes back when it is entered again. */
void fiber_leave(struct fiber *fiber);

#endif
