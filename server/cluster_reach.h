/* Which nodes this process is linked with, whichever of its cores has the links. A core has some
 * with the cores that it shares shards with, and none where it has no shards, but clients of every
 * core are told of nodes.
 *
 * Owner: who made it, until the last core has ended. Thread: any.
 */
#ifndef KX_SERVER_CLUSTER_REACH_H
#define KX_SERVER_CLUSTER_REACH_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_reach;

/* Linked with nobody, and never was. NULL: no memory. mem_free. */
struct cluster_reach *cluster_reach_new(void);

/* A link with the node is made, and not up. */
void cluster_reach_wanted(struct cluster_reach *reach, uint16_t node, uint64_t now_ns);
/* It is up; as often, it is down. */
void cluster_reach_up(struct cluster_reach *reach, uint16_t node);
void cluster_reach_down(struct cluster_reach *reach, uint16_t node, uint64_t now_ns);

/* Any link with it is up. */
bool cluster_reach_linked(const struct cluster_reach *reach, uint16_t node);
/* None is, nor was for `ns` or longer, while links with it were wanted. */
bool cluster_reach_lost(
    const struct cluster_reach *reach, uint16_t node, uint64_t ns, uint64_t now_ns);

#endif
