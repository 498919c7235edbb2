/* An operator: one request of the directory at a time, at some node, repeated until it is decided.
 *
 * Versions of the app are deployed one after the other: each is expected to replace the one before,
 * so that a late one never comes behind a newer. */
#ifndef KX_TESTS_CLUSTER_SIM_ADMIN_H
#define KX_TESTS_CLUSTER_SIM_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "scripting/host.h"
#include "server/meta/meta.h"

struct node;
struct world;

enum admin_task {
	ADMIN_IDLE,
	ADMIN_DEPLOY,
	ADMIN_LEAD, /* a shard is to be led by another node */
	ADMIN_DRAIN,
	ADMIN_UNDRAIN,
	ADMIN_REMOVE_LOST,  /* by force: one that cannot start; the same */
	ADMIN_RECOVER,      /* what is damaged is given up where it is a majority (damage.h) */
	ADMIN_RECOVER_LOST, /* nodes are, that are gone for ever (loss.h) */
	ADMIN_REMOVE,       /* a node that was drained: it is replaced by an empty one */
};

struct admin {
	enum admin_task task;
	struct meta_request request;
	struct node *at;     /* where the request is; NULL: it is not under way */
	struct node *target; /* of a drain, or a removal */
	uint64_t again_ns;   /* not before */
	bool is_active;      /* the newest version is */
	bool was_sent;       /* the present task, once at least */
	bool was_unknown;    /* and nobody knows what became of it */
	bool is_ours;        /* the version that is to be active is the directory's newest */
	bool replaces;       /* a node is to be drained and removed, before anything else is done */
	bool takes_back;     /* and a drain is taken back before that */
	bool by_force;       /* or it is gone for ever before anybody drains it */
	uint8_t *bundle;
	size_t bundle_bytes;
	char hash[HOST_HASH_CHARACTERS + 1], before[HOST_HASH_CHARACTERS + 1];
	char refused[256]; /* why the last word to recover was; "": it was not */
};

/* It has something to ask, now. */
bool admin_is_due(const struct world *world);
/* Inside, once in a turn of a node that serves. */
void admin_act(struct world *world, struct node *node);
/* Outside, after the node's process died. */
void admin_cut_off(struct world *world, const struct node *node);
/* Outside: the next version, or another task, begins. False: something is under way. */
bool admin_begin(struct world *world, enum admin_task task, struct node *target);
/* Nothing is under way, and the newest version is active everywhere. */
bool admin_is_at_rest(const struct world *world);

#endif
