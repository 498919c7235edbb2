/* Which nodes this process is linked with, and why not, whichever of its cores has the links. A
 * core has some with the cores that it shares shards with, and none where it has no shards, but
 * clients of every core are told of nodes.
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

/* A core has no link with it, for that reason (peer.h's, > 0), or still has none: said again and
 * again. `named`: who is there has said that it is the node; that goes before what others say. */
void cluster_reach_refused(
    struct cluster_reach *reach, uint16_t node, unsigned reason, bool named, uint64_t now_ns);
/* What any core has said lately, where none has a link; 0: nothing. */
unsigned cluster_reach_refusal(const struct cluster_reach *reach, uint16_t node, uint64_t now_ns);

#endif
