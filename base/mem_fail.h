/* Which allocation a test lets fail: what base/mem.h's own functions share with those that a
 * simulated program has in their place. */
#ifndef KX_BASE_MEM_FAIL_H
#define KX_BASE_MEM_FAIL_H

#include "base/mem.h"

/* Per thread, so that a test's failure cannot strike another thread's allocation; mem_fail.c's, as
 * mem_fails_at. */
extern _Thread_local uint64_t mem_tried;
extern _Thread_local bool mem_fails_on; /* behind that one, too */

/* Counts an allocation that is tried, and says whether it is one that has to fail. */
static inline bool mem_must_fail(void)
{
	if (__builtin_expect(mem_fails_at == 0, 1))
		return false;
	return ++mem_tried == mem_fails_at || (mem_fails_on && mem_tried > mem_fails_at);
}

#endif
