/* Allocation as all our own code does it: an error for the caller to handle, never an abort.
 *
 * The wrappers are thin (the program links its allocator underneath them) and exist for one reason:
 * a test can make the n-th allocation of a path fail, for every n, and see that the path returns
 * ERR_NOMEM with nothing leaked and nothing half done.
 *
 * Memory from these functions is freed with mem_free only. Any thread.
 */
#ifndef KX_BASE_MEM_H
#define KX_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of `bytes` (> 0) bytes with unspecified content, or NULL. */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *mem_alloc(size_t bytes);

/* The same, for count elements of bytes each, filled with zeros; NULL also where the product
 * overflows. */
__attribute__((malloc, alloc_size(1, 2), warn_unused_result)) void *mem_zalloc(
    size_t count, size_t bytes);

/* `alignment` is a power of two; `bytes` a multiple of it. For direct I/O and cache lines. */
__attribute__((malloc, alloc_size(2), warn_unused_result)) void *mem_alloc_aligned(
    size_t alignment, size_t bytes);

/* As realloc with bytes > 0: on NULL the old memory is untouched and still the caller's. */
__attribute__((alloc_size(2), warn_unused_result)) void *mem_realloc(void *memory, size_t bytes);

void mem_free(void *memory); /* NULL is fine. */

/* Tests only. The nth allocation (1 is the next) of this thread from now on fails, once; 0 turns
 * it off. The count of mem_count() starts again at 0. */
void mem_fail_at(uint64_t nth);
/* The same, and all that follow it fail, too. */
void mem_fail_from(uint64_t nth);

/* Allocations of this thread tried since mem_fail_at, the failed one included; 0 while it is off.
 */
uint64_t mem_count(void);

/* Whether the failure asked for with mem_fail_at has happened. */
bool mem_failed(void);

/* Whether one is asked for: then whoever keeps memory for later asks for some all the same, so that
 * no place where it may be missing is hidden. */
extern _Thread_local uint64_t mem_fails_at; /* mem_fail.c's */
static inline bool mem_is_tested(void)
{
	return __builtin_expect(mem_fails_at != 0, 0);
}

#endif
