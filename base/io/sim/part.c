#include "base/io/sim/part.h"

#include "base/assert.h"
#include "base/io/sim/world.h"

struct sim *sim_node_world(const struct sim_node *node)
{
	return node->sim;
}

bool sim_node_is_inside(const struct sim_node *node)
{
	return node->sim->inside == node;
}

void sim_node_add_part(struct sim_node *node, struct sim_part *part)
{
	ASSERT(part->free != NULL);
	ASSERT(sim_node_part(node, part->kind) == NULL);
	part->next = node->parts;
	node->parts = part;
}

struct sim_part *sim_node_part(const struct sim_node *node, const void *kind)
{
	for (struct sim_part *part = node->parts; part != NULL; part = part->next)
		if (part->kind == kind)
			return part;
	return NULL;
}

void sim_parts_free(struct sim_node *node)
{
	while (node->parts != NULL) {
		struct sim_part *part = node->parts;
		node->parts = part->next;
		part->free(part);
	}
}

void *sim_part_alloc(size_t bytes)
{
	return sim_mem_zalloc(bytes);
}

void sim_part_free(void *memory)
{
	sim_mem_free(memory);
}

void sim_node_point(struct sim_node *node, const char *what, void (*effect)(void *arg), void *arg)
{
	enum sim_moment moment = sim_point(node, what);
	/* There is no middle of it: then the seed decides which of the two it was. */
	if (moment == SIM_END_DURING)
		moment = sim_random_below(node->sim, 2) == 0 ? SIM_END_BEFORE : SIM_END_AFTER;
	if (moment == SIM_END_BEFORE)
		sim_die(node);
	effect(arg);
	if (moment == SIM_END_AFTER)
		sim_die(node);
}

void sim_node_block(struct sim_node *node, uint64_t min_ns, uint64_t max_ns)
{
	if (sim_node_is_inside(node))
		node->blocked_ns += sim_latency_ns(node, min_ns, max_ns);
}

bool sim_node_draw(struct sim_node *node, uint32_t parts_per_million)
{
	return sim_node_is_inside(node) && sim_chance(node->sim, parts_per_million);
}

void sim_node_trace(struct sim_node *node, const char *what, uint64_t a, uint64_t b)
{
	sim_trace(node->sim, node, what, a, b);
}
