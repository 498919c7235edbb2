/* The timers of one io, shared by both implementations. Private to base/io. */
#ifndef KX_BASE_IO_TIMERS_H
#define KX_BASE_IO_TIMERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"

struct io_timer;

struct timers {
	struct heap heap;
	uint64_t fired_until_ns;
};

void timers_init(struct timers *timers);
void timers_set(struct timers *timers, struct io_timer *timer, uint64_t at_ns);
void timers_cancel(struct timers *timers, struct io_timer *timer);
/* When the first is due; UINT64_MAX: never. */
uint64_t timers_next_ns(const struct timers *timers);
/* Fires those due that were armed before the call, so that one which arms itself for now does not
 * hold up the turn. Returns how many fired. */
size_t timers_fire(struct timers *timers, uint64_t now_ns);

#endif
