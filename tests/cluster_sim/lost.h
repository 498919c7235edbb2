/* In half of the worlds of five a node that is gone for a moment is taken for lost, as others are
 * after `replace_after`: its replicas are made anew elsewhere while it comes back, and it gets its
 * share again. Counted is who has fewer replicas than before when it is back. */
#ifndef KX_TESTS_CLUSTER_SIM_LOST_H
#define KX_TESTS_CLUSTER_SIM_LOST_H

struct node;

void lost_goes(struct node *node);  /* its process has ended */
void lost_comes(struct node *node); /* another one is about to begin; its config is made */

#endif
