/* What breaks, and when it is mended again. */
#ifndef KX_TESTS_CLUSTER_SIM_FAULTS_H
#define KX_TESTS_CLUSTER_SIM_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

struct node;
struct world;

struct faults {
	uint64_t gap_ms;   /* between two faults, about */
	unsigned down_max; /* nodes that may be down or cut off at a time, where it is not all */
	uint64_t net_until_ns; /* cuts are healed then */
	bool net_is_cut;
};

/* Outside: faults begin, and go on until faults_stop, which mends everything. */
void faults_begin(struct world *world);
void faults_stop(struct world *world);
/* Outside. The network is whole; nothing comes to this node and nothing from it. */
void faults_heal(struct world *world);
void faults_reset(struct world *world); /* all connections: they are made anew at once */
void faults_cut_off(struct world *world, const struct node *node);
/* Of five nodes each reaches its neighbours alone. */
void faults_cut_ring(struct world *world);
/* Two halves, and one node that reaches all. */
void faults_cut_bridge(struct world *world);
/* Nothing that was begun goes on: cuts, crash points, broken disks, weather; and all nodes come. */
void faults_calm_down(struct world *world);

#endif
