/* Memory at addresses that depend on nothing but what was taken and given back before. Private to
 * base/io/sim; see sim_at_fixed_addresses. */
#ifndef KX_BASE_IO_SIM_PLACE_H
#define KX_BASE_IO_SIM_PLACE_H

#include <stdbool.h>
#include <stddef.h>

bool place_is_open(void);
/* `alignment` is a power of two from 16 on, `bytes` a multiple of it. NULL: the place is full. */
void *place_take(size_t alignment, size_t bytes);
/* The same sizes as when it was taken. */
void place_give_back(void *memory, size_t alignment, size_t bytes);

#endif
