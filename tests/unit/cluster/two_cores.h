/* A node of two cores, of which core 0 has the control; posts between them arrive at once. */
#ifndef KX_TESTS_UNIT_CLUSTER_TWO_CORES_H
#define KX_TESTS_UNIT_CLUSTER_TWO_CORES_H

#include "base/io/sim/sim.h"
#include "server/cluster_control.h"

enum { SELF = 1, OTHER = 2, CORES = 2 };

extern struct sim_node *machine;
extern struct cluster_core cores[CORES];
extern struct cluster_control control;

void two_cores_start(void);
void two_cores_done(void);
void two_cores_pass(uint64_t ms);

#endif
