/* Two of three replicas are damaged, which needs an operator's word (docs/cluster.md, "A damaged
 * disk"). A storm of its own, in worlds of three: nothing else breaks, and the logs of two nodes
 * lie (lie.h), at once, or one while the other one is being made anew or has been. Both are
 * damaged, and die, at a moment at which the third node has all entries of all shards on its disk.
 *
 * So all that was acknowledged is there, and every oracle holds as it ever does. Where a majority
 * of a shard is damaged nothing is given up by itself: the operator looks, and says
 * `cluster recover --unsafe --damaged` until all is well. Each word is answered with what goes on
 * and from where on something may be lost (`recovered`): that is on the third node, or on the first
 * one where that has another replica already, behind everything that anybody had applied when it
 * was said, and the directory keeps it.
 */
#ifndef KX_TESTS_CLUSTER_SIM_DAMAGE_H
#define KX_TESTS_CLUSTER_SIM_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "tests/shard_sim/model.h"

struct node;
struct world;

enum damage_step {
	DAMAGE_NONE,
	DAMAGE_AWAITED, /* until all is well */
	DAMAGE_SECOND,  /* one is damaged, the other one will be */
	DAMAGE_DONE,    /* until all is well again, at a word where it needs one */
};

struct damage {
	enum damage_step step;
	bool is_due; /* the world has to see it */
	bool is_at_once;
	struct node *first, *second, *whole;
	uint64_t next_ns;     /* the second one not before; the next word not before */
	uint64_t gives_up_ns; /* what it waits for may never be */
	uint64_t applied[MODEL_SHARDS + 1]; /* by anybody, when the last word was said */
	/* What was said to be the last entry that is kept; 0: it was not recovered. */
	uint64_t kept[MODEL_SHARDS + 1];
};

void damage_plan(struct world *world);
/* Outside: a storm begins. */
void damage_begin(struct world *world);
/* Outside, often: the operator looks, also when faults have ended. */
void damage_look(struct world *world);
/* A word is said now. */
void damage_asked(struct world *world);
/* What a word was answered. */
void damage_answered(struct world *world, const char *text);
/* The number behind the first such key of an answer: it has to be there. */
uint64_t damage_number_behind(const char *text, const char *key);
/* At the end: what was said stands in the directory. */
void damage_compare(struct world *world);

#endif
