/* A process without memory for a moment: an allocation that fails, of those which the code of
 * server/cluster*.c and server/forward*.c makes itself or has made for it.
 *
 * This code is compiled with calls at the begin and the end of each function
 * (-finstrument-functions; module.am), so that the way into it is known at any time. A site is a
 * way from the first of these functions to an allocation, whoever makes that; the same code by
 * another way is another site. Sites are numbered from 1, in the order in which a world first
 * comes to them: that is the same in every run of the world, up to the first failure.
 *
 * One process of the system has one world.
 */
#ifndef KX_TESTS_CLUSTER_SIM_STARVE_H
#define KX_TESTS_CLUSTER_SIM_STARVE_H

#include <stdbool.h>
#include <stdint.h>

struct world;

/* From now on. The allocation at this site fails: the first one, or, where `for_ns` is not 0, all
 * of them for so long, in all processes. Site 0: none, sites are counted. */
void starve_begin_world(struct world *world, uint64_t site, uint64_t for_ns);

struct starve_figures {
	uint64_t sites;     /* that the world came to */
	uint64_t functions; /* in which they are: each one once */
	uint64_t failed;    /* allocations */
};
struct starve_figures starve_end_world(void);

#endif
