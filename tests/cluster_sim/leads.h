/* Who leads a shard and who votes for it, and that another one leads. */
#ifndef KX_TESTS_CLUSTER_SIM_LEADS_H
#define KX_TESTS_CLUSTER_SIM_LEADS_H

#include <stdint.h>

struct group;
struct node;
struct world;

/* The node's; NULL: it serves not, or has none. */
struct group *leads_group(const struct node *node, uint32_t shard);
/* Some voter of the leader's shard that serves, and is neither the leader nor `another`; NULL:
 * there is none. */
struct node *leads_other_voter(struct node *leader, const struct node *another, uint32_t shard);
/* Outside: tells one that leads to hand over, where the other one votes. */
void leads_hand_over(struct node *from, struct node *to, uint32_t shard);
/* Inside: a storm hands the shard over. It is so until somebody is seen to lead it who does not. */
void leads_note_hand_over(struct world *world, uint32_t shard);

#endif
