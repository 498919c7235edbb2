/* What other simulated parts of a node build on, for example the simulated store (storage/sim):
 * they are made of the same stuff as the node's disk, live as long, and may end the process in
 * the same way. Tests include sim.h, production sources neither.
 */
#ifndef KX_BASE_IO_SIM_PART_H
#define KX_BASE_IO_SIM_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fs;
struct sim;
struct sim_node;

/* The node whose files these are, and its world. */
struct sim_node *sim_fs_node(const struct fs *fs);
struct sim *sim_node_world(const struct sim_node *node);
/* Whether code of the node's process runs now: only then there are faults, crash points,
 * latency. */
bool sim_node_is_inside(const struct sim_node *node);

/* Something that outlives processes, embedded in what it is. `free` is called when the world
 * ends. */
struct sim_part {
	struct sim_part *next;
	const void *kind; /* the address of something that only its owner has */
	void (*free)(struct sim_part *part);
};

void sim_node_add_part(struct sim_node *node, struct sim_part *part);
/* The one of that kind, or NULL. */
struct sim_part *sim_node_part(const struct sim_node *node, const void *kind);

/* Memory of a part, zeroed: nobody's process, not counted by mem_fail_at, never NULL. */
void *sim_part_alloc(size_t bytes);
void sim_part_free(void *memory); /* NULL-safe */

/* A crash point around an effect that happens whole or not at all. Where the process ends here
 * it does not return; the effect then happened or not, as the seed says. Outside it only calls
 * `effect`. */
void sim_node_point(struct sim_node *node, const char *what, void (*effect)(void *arg), void *arg);

/* The calling job takes some time more, drawn between the two and slowed as the node's disk is. */
void sim_node_block(struct sim_node *node, uint64_t min_ns, uint64_t max_ns);

/* Whether a fault of that chance happens now; never outside. */
bool sim_node_draw(struct sim_node *node, uint32_t parts_per_million);

/* For the trace and its hash. */
void sim_node_trace(struct sim_node *node, const char *what, uint64_t a, uint64_t b);

#endif
