#include "base/io/timers.h"

#include "base/assert.h"
#include "base/io/io.h"
#include "base/list.h"

void timers_init(struct timers *timers)
{
	heap_init(&timers->heap);
	timers->fired_until_ns = 0;
}

void timers_set(struct timers *timers, struct io_timer *timer, uint64_t at_ns)
{
	ASSERT(timer->fired != NULL);
	timers_cancel(timers, timer);
	heap_node_init(&timer->node);
	/* What has passed counts as now: a timer that always sets itself for the past must not stay
	 * in front of all others. */
	heap_insert(&timers->heap, &timer->node,
	    at_ns > timers->fired_until_ns ? at_ns : timers->fired_until_ns);
	timer->at_ns = at_ns;
	timer->armed = true;
}

void timers_cancel(struct timers *timers, struct io_timer *timer)
{
	if (!timer->armed)
		return;
	heap_remove(&timers->heap, &timer->node);
	timer->armed = false;
}

uint64_t timers_next_ns(const struct timers *timers)
{
	const struct heap_node *first = heap_first(&timers->heap);
	return first == NULL ? UINT64_MAX : first->key;
}

size_t timers_fire(struct timers *timers, uint64_t now_ns)
{
	uint64_t armed_before = timers->heap.inserted;
	timers->fired_until_ns = now_ns;
	size_t fired = 0;
	for (;;) {
		struct heap_node *first = heap_first(&timers->heap);
		if (first == NULL || first->key > now_ns || first->order > armed_before)
			return fired;
		heap_pop(&timers->heap);
		struct io_timer *timer = CONTAINER_OF(first, struct io_timer, node);
		ASSERT(timer->armed);
		timer->armed = false;
		fired++;
		timer->fired(timer);
	}
}
