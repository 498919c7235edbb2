/* Memory in the simulated program: base/mem.h with a memory of who took what, and the world's own.
 * Private to base/io/sim. */
#ifndef KX_BASE_IO_SIM_MEM_SIM_H
#define KX_BASE_IO_SIM_MEM_SIM_H

#include <stddef.h>

struct sim_mem_block;

/* What one process holds. Zeroed is empty. Not moved while it holds something. */
struct sim_mem_scope {
	struct sim_mem_block *first;
	size_t count;
};

/* Allocations belong to the scope from now on; NULL: to nobody, who frees them himself. A block
 * that is freed leaves its scope, whichever is entered. */
void sim_mem_enter(struct sim_mem_scope *scope);
/* Frees everything that the scope holds. */
void sim_mem_free_scope(struct sim_mem_scope *scope);

/* The world's own memory, zeroed: outside every scope, not counted by mem_fail_at, never NULL. */
void *sim_mem_zalloc(size_t bytes);
void sim_mem_free(void *memory); /* NULL-safe */

#endif
