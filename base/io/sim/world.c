/* The world: its chances, its clock, the events to come, and the trace of those that happened. */
#include "base/io/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"

static const uint64_t SLOW_NS = 50 * 1000 * 1000;

static struct sim *worlds; /* more than one where a test compares two runs */

static struct sim *world_inside(void)
{
	for (struct sim *sim = worlds; sim != NULL; sim = sim->previous)
		if (sim->inside != NULL)
			return sim;
	return NULL;
}

struct sim_node *sim_inside(void)
{
	const struct sim *sim = world_inside();
	return sim == NULL ? NULL : sim->inside;
}

struct sim *sim_newest(void)
{
	struct sim *sim = world_inside();
	return sim != NULL ? sim : worlds;
}

/* ---- Chances ---- */

uint64_t sim_random(struct sim *sim)
{
	return random_u64(&sim->random);
}

uint64_t sim_random_below(struct sim *sim, uint64_t limit)
{
	return random_below(&sim->random, limit);
}

bool sim_chance(struct sim *sim, uint32_t parts_per_million)
{
	/* Nothing is drawn for what is off: switching on one fault leaves the rest alone
	 * longest. */
	return parts_per_million > 0 && sim_random_below(sim, 1000000) < parts_per_million;
}

uint64_t sim_latency_ns(struct sim_node *node, uint64_t min_ns, uint64_t max_ns)
{
	struct sim *sim = node->sim;
	ASSERT(min_ns <= max_ns);
	uint64_t latency = min_ns + sim_random_below(sim, max_ns - min_ns + 1);
	if (sim_random_below(sim, 100) == 0)
		latency *= 10;
	if (sim->now_ns >= node->slow_until_ns && sim_chance(sim, sim->faults.slow_ppm)) {
		node->slow_until_ns =
		    sim->now_ns + (sim->faults.slow_ns != 0 ? sim->faults.slow_ns : SLOW_NS);
		sim->figures.slow_periods++;
	}
	if (sim->now_ns < node->slow_until_ns)
		latency *= 100;
	return latency * node->slowness;
}

/* ---- The world ---- */

static void print_seed(const char *file, int line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
	for (const struct sim *sim = worlds; sim != NULL; sim = sim->previous)
		fprintf(stderr,
		    "simulated world: seed %" PRIu64 ", event %" PRIu64 ", at %" PRIu64 " ns\n",
		    sim->seed, sim->figures.events, sim->now_ns);
}

static void leave_by_panic(const char *file, int line, const char *what)
{
	struct sim_node *node = sim_inside();
	if (node == NULL)
		return;
	snprintf(node->state, sizeof(node->state), "panic: %s:%d: %s", file, line, what);
	node->panicked = true;
	node->dying = SIM_KILL;
	sim_die(node);
}

static void set_defaults(struct sim_faults *faults)
{
	if (faults->write_ns_max == 0)
		faults->write_ns_min = 10 * 1000, faults->write_ns_max = 150 * 1000;
	if (faults->sync_ns_max == 0)
		faults->sync_ns_min = 40 * 1000, faults->sync_ns_max = 400 * 1000;
	if (faults->read_ns_max == 0)
		faults->read_ns_min = 10 * 1000, faults->read_ns_max = 200 * 1000;
	if (faults->offload_ns_max == 0)
		faults->offload_ns_min = 1000, faults->offload_ns_max = 100 * 1000;
	if (faults->net_ns_max == 0)
		faults->net_ns_min = 20 * 1000, faults->net_ns_max = 300 * 1000;
	if (faults->net_bytes_per_s == 0)
		faults->net_bytes_per_s = 125 * 1000 * 1000;
	if (faults->net_buffer_bytes == 0)
		faults->net_buffer_bytes = 64 * 1024;
	if (faults->net_stall_ns == 0)
		faults->net_stall_ns = SLOW_NS;
}

void sim_set_faults(struct sim *sim, const struct sim_faults *faults)
{
	ASSERT(faults->lost_percent + faults->torn_percent <= 100);
	ASSERT(faults->power_cut_percent <= 100 && faults->garbage_percent <= 100);
	sim->faults = *faults;
	set_defaults(&sim->faults);
}

struct sim *sim_new(uint64_t seed, const struct sim_faults *faults)
{
	struct sim *sim = sim_mem_zalloc(sizeof(*sim));
	sim->seed = seed;
	random_init(&sim->random, seed);
	/* Not 0, which code could take for "no time yet". */
	sim->now_ns = 1000 * 1000 * 1000;
	sim_set_faults(sim, faults != NULL ? faults : &(struct sim_faults){0});
	sim->previous = worlds;
	worlds = sim;
	/* The linker has taken our clock, or no run would be the same twice. */
	ASSERT(clock_monotonic_ns() == sim_newest()->now_ns);
	assert_set_hook(print_seed);
	panic_set_hook(leave_by_panic);
	return sim;
}

void sim_free(struct sim *sim)
{
	if (sim == NULL)
		return;
	ASSERT(sim->inside == NULL);
	for (size_t i = 0; i < sim->node_count; i++)
		sim_node_free(sim->nodes[i]);
	sim_net_free(sim);
	for (size_t i = 0; i < sim->event_count; i++)
		sim_mem_free(sim->events[i]);
	struct sim **link = &worlds;
	while (*link != sim)
		link = &(*link)->previous;
	*link = sim->previous;
	if (worlds == NULL) {
		assert_set_hook(NULL);
		panic_set_hook(NULL);
	}
	sim_mem_free(sim->nodes);
	sim_mem_free(sim->events);
	sim_mem_free(sim);
}

uint64_t sim_seed(const struct sim *sim)
{
	return sim->seed;
}

uint64_t sim_now_ns(const struct sim *sim)
{
	return sim->now_ns;
}

struct sim_figures sim_figures(const struct sim *sim)
{
	return sim->figures;
}

/* ---- The trace ---- */

static uint64_t rotate_left(uint64_t value, unsigned bits)
{
	return value << bits | value >> (64 - bits);
}

static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
	value = (value ^ value >> 27) * 0x94d049bb133111eb;
	return value ^ value >> 31;
}

uint64_t sim_trace_hash(const struct sim *sim)
{
	return sim->trace_hash;
}

void sim_trace_print(struct sim *sim, FILE *to)
{
	sim->trace = to;
}

void sim_trace(
    struct sim *sim, const struct sim_node *node, const char *what, uint64_t a, uint64_t b)
{
	uint64_t number = node == NULL ? UINT64_MAX : node->number;
	uint64_t hash = mix(sim->trace_hash ^ sim->now_ns);
	for (const char *letter = what; *letter != '\0'; letter++)
		hash = hash * 31 + (uint8_t)*letter;
	hash = mix(hash ^ number);
	hash = mix(hash ^ a);
	sim->trace_hash = mix(hash ^ rotate_left(b, 32));
	if (sim->trace == NULL)
		return;
	fprintf(sim->trace, "%12" PRIu64 " ns  node=", sim->now_ns);
	if (node == NULL)
		fprintf(sim->trace, "-");
	else
		fprintf(sim->trace, "%u", node->number);
	fprintf(sim->trace, " %s %" PRIu64 " %" PRIu64 "\n", what, a, b);
}

/* ---- Events ---- */

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns;
	return a->sequence < b->sequence;
}

static void sift_up(struct sim *sim, size_t position)
{
	struct sim_event *event = sim->events[position];
	while (position > 0) {
		size_t parent = (position - 1) / 2;
		if (!is_before(event, sim->events[parent]))
			break;
		sim->events[position] = sim->events[parent];
		position = parent;
	}
	sim->events[position] = event;
}

static void sift_down(struct sim *sim, size_t position)
{
	struct sim_event *event = sim->events[position];
	for (;;) {
		size_t child = position * 2 + 1;
		if (child >= sim->event_count)
			break;
		if (child + 1 < sim->event_count &&
		    is_before(sim->events[child + 1], sim->events[child]))
			child++;
		if (!is_before(sim->events[child], event))
			break;
		sim->events[position] = sim->events[child];
		position = child;
	}
	sim->events[position] = event;
}

struct sim_event *sim_event_add(struct sim *sim, struct sim_node *node, uint64_t at_ns,
    const char *name, void (*happen)(struct sim_event *event))
{
	if (sim->event_count == sim->event_capacity) {
		size_t capacity = sim->event_capacity == 0 ? 64 : sim->event_capacity * 2;
		struct sim_event **events = sim_mem_zalloc(capacity * sizeof(struct sim_event *));
		if (sim->event_count > 0)
			memcpy(events, sim->events, sim->event_count * sizeof(struct sim_event *));
		sim_mem_free(sim->events);
		sim->events = events;
		sim->event_capacity = capacity;
	}
	struct sim_event *event = sim_mem_zalloc(sizeof(*event));
	event->at_ns = at_ns;
	event->sequence = ++sim->event_sequence;
	event->node = node;
	event->name = name;
	event->happen = happen;
	sim->events[sim->event_count] = event;
	sift_up(sim, sim->event_count++);
	return event;
}

static struct sim_event *event_take_first(struct sim *sim)
{
	struct sim_event *first = sim->events[0];
	sim->events[0] = sim->events[--sim->event_count];
	if (sim->event_count > 0)
		sift_down(sim, 0);
	return first;
}

static int compare_sequences(const void *a, const void *b)
{
	const struct sim_event *first = *(struct sim_event *const *)a;
	const struct sim_event *second = *(struct sim_event *const *)b;
	return (first->sequence > second->sequence) - (first->sequence < second->sequence);
}

void sim_events_cut_off(struct sim *sim, struct sim_node *node, enum sim_crash crash)
{
	/* In the order they were added, and added again in it: the heap's inner order is the same
	 * in every run, but an order that can be explained makes better traces. */
	struct sim_event **events = sim->events;
	size_t count = sim->event_count;
	if (count > 1)
		qsort(events, count, sizeof(*events), compare_sequences);
	sim->event_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct sim_event *event = events[i];
		if (event->node != node) {
			events[sim->event_count] = event;
			sift_up(sim, sim->event_count++);
			continue;
		}
		if (event->cut_off != NULL)
			event->cut_off(event, crash);
		sim_mem_free(event);
	}
}

static void call_happens(struct sim_event *event)
{
	event->call(event->object);
}

void sim_call_at(struct sim *sim, uint64_t at_ns, void (*call)(void *arg), void *arg)
{
	struct sim_event *event = sim_event_add(sim, NULL, at_ns, "call", call_happens);
	event->call = call;
	event->object = arg;
}

static void event_happens(void *arg)
{
	struct sim_event *event = arg;
	event->happen(event);
}

/* What became of the process is seen to by whoever entered it: nothing is left to free here. */
bool sim_step_inside(struct sim_node *node, uint64_t until_ns)
{
	struct sim *sim = node->sim;
	size_t first = sim->event_count;
	ASSERT(sim->inside == node);
	for (size_t i = 0; i < sim->event_count; i++)
		if (sim->events[i]->node == node &&
		    (first == sim->event_count || is_before(sim->events[i], sim->events[first])))
			first = i;
	if (first == sim->event_count || sim->events[first]->at_ns > until_ns) {
		ASSERT_MSG(until_ns != UINT64_MAX, "it waits, and nothing is left to happen");
		if (until_ns > sim->now_ns)
			sim->now_ns = until_ns;
		return false;
	}
	struct sim_event event = *sim->events[first];
	sim_mem_free(sim->events[first]);
	sim->events[first] = sim->events[--sim->event_count];
	if (first < sim->event_count) {
		sift_down(sim, first);
		sift_up(sim, first);
	}
	if (event.at_ns > sim->now_ns)
		sim->now_ns = event.at_ns;
	sim->figures.events++;
	sim_trace(sim, node, event.name, event.number, event.bytes);
	event.happen(&event);
	return true;
}

bool sim_step(struct sim *sim)
{
	ASSERT(sim->inside == NULL);
	if (sim->event_count == 0)
		return false;
	struct sim_event *event = event_take_first(sim);
	if (event->at_ns > sim->now_ns)
		sim->now_ns = event->at_ns;
	sim->figures.events++;
	sim_trace(sim, event->node, event->name, event->number, event->bytes);
	if (event->node == NULL)
		event->happen(event);
	else if (!sim_enter(event->node, event_happens, event))
		sim_trace(sim, event->node, "ended", 0, 0);
	sim_mem_free(event);
	return true;
}

bool sim_run_until(struct sim *sim, bool (*until)(void *arg), void *arg, uint64_t steps_max)
{
	for (uint64_t steps = 0; steps < steps_max; steps++) {
		if (until != NULL && until(arg))
			return true;
		if (!sim_step(sim))
			return until == NULL;
	}
	return until != NULL ? until(arg) : sim->event_count == 0;
}

static void nothing(void *arg)
{
	(void)arg;
}

bool sim_pass(struct sim *sim, uint64_t ns, uint64_t steps_max)
{
	uint64_t end_ns = sim_now_ns(sim) + ns;
	sim_call_at(sim, end_ns, nothing, NULL);
	for (; sim_now_ns(sim) < end_ns && steps_max > 0; steps_max--)
		(void)sim_step(sim);
	return sim_now_ns(sim) >= end_ns;
}

/* ---- base/clock.h, in place of the system's ---- */

/* 2024-01-01 00:00:00 UTC: a date like any other, and the same in every run. */
static const int64_t BEGIN_MS = 1704067200000;

uint64_t clock_monotonic_ns(void)
{
	struct sim *sim = sim_newest();
	ASSERT_MSG(sim != NULL, "no simulated world");
	if (sim->inside == NULL)
		return sim->now_ns;
	sim->now_ns += sim->inside->clock_cost_ns;
	return sim_node_time_ns(sim->inside);
}

uint64_t clock_thread_ns(void)
{
	return clock_monotonic_ns();
}

int64_t clock_real_ms(void)
{
	const struct sim_node *node = sim_inside();
	const struct sim *sim = sim_newest();
	ASSERT_MSG(sim != NULL, "no simulated world");
	int64_t shift_ms = node == NULL ? 0 : node->clock_shift_ms;
	return BEGIN_MS + (int64_t)(sim->now_ns / NS_PER_MS) + shift_ms;
}
