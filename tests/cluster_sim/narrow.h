/* Links that carry little, in a tenth of the worlds, by the seed itself: all others keep their
 * course.
 *
 * What a link does to messages, and what it does not, is said in replication/peer/peer.h: they come
 * once, in the order sent within their class, or not at all behind the end of the link. So of what
 * raft_sim does to single messages these are left for whole nodes:
 *
 *   - a class overtakes another one. Of one turn it does in every world (`overtaken`); what was
 *     sent turns before is overtaken only while a connection takes no more. Here buffers hold less
 *     than a heartbeat of some groups, and entries and snapshots wait (`queues_held`).
 *   - both sides connect at once, or one connects again while the other believes in the link
 *     before: then there are two, and the one or the other ends (`links_replaced`,
 *     `links_doubled`). What was under way over that is lost, and comes late over none.
 *   - who does not know what arrived sends it again: entries, calls with a token, reports.
 *
 * None is doubled on its way, and none comes over an older link behind those of a newer one. */
#ifndef KX_TESTS_CLUSTER_SIM_NARROW_H
#define KX_TESTS_CLUSTER_SIM_NARROW_H

#include <stdbool.h>

struct node;
struct sim_faults;
struct world;

/* Before there is a process: what is sent is looked at from now on. */
void narrow_begin(struct world *world);
bool narrow_is(const struct world *world);
/* In such a world connections are narrow for a while. */
void narrow_weather(struct world *world, struct sim_faults *faults);
/* Inside, after a turn. */
void narrow_look(struct world *world, struct node *node);

#endif
