/* Machines whose nodes were removed, and that somebody switches on again with their old disks: they
 * lead nothing, serve nothing, and end where they reach the cluster (`removed`). */
#ifndef KX_TESTS_CLUSTER_SIM_GHOST_H
#define KX_TESTS_CLUSTER_SIM_GHOST_H

#include <stdbool.h>

struct node;
struct world;

/* Outside: the node's process has ended, and its machine is no more the node's. */
void ghost_take(struct world *world, const struct node *gone);
/* Outside: the network was mended, or a machine is new: whoever is to be alone still is. */
void ghost_keep_alone(struct world *world);
/* Outside: all that run reach the others from now on, and no more of them come. */
void ghost_stop(struct world *world);
bool ghost_runs(const struct world *world);
/* One has still to come for the first time. */
bool ghost_is_awaited(const struct world *world);
struct node *ghost_awaited(struct world *world); /* which; NULL: none has */
unsigned ghosts_awaited(const struct world *world);
/* Outside: it comes now, though the world is calm; it is off. */
void ghost_return(struct node *ghost);
/* Outside: so do all that are awaited, at once, and reach everybody. How many they are. */
unsigned ghosts_return(struct world *world);

#endif
