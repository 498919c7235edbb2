/* A storm (storm.h) in which a leader is deposed that knows, by its rounds, up to when it led
 * (group_known_ns): by that it, and the follower that it becomes, answer what may be stale.
 *
 *   ECHOES   what the others send to the leader is held up for a moment, and it hands over. As
 *            soon as its successor campaigns nothing goes to it or from it; and when that one has
 *            answered a change the network lets one of the others through: what it had echoed of
 *            rounds of before comes late, and keeps the old one leading for a while
 *   BEHIND   the leader's disk stands nearly still: the others commit and apply what it cannot.
 *            Then it hands over, and hears of it at once
 *
 * The old one's clients ask all the time with STALE, and others change and read. What the model
 * knows to have been answered earlier than the call allows has to be seen (`real time`).
 */
#ifndef KX_TESTS_CLUSTER_SIM_KNOWN_H
#define KX_TESTS_CLUSTER_SIM_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

struct node;
struct world;

enum known_step { KNOWN_LEADS, KNOWN_HANDS_OVER, KNOWN_DEPOSED };

struct known_storm {
	enum known_step step;
	bool are_echoes; /* else BEHIND */
	struct node *heir, *witness;
	bool is_through;
	uint64_t next_ns; /* the hand-over */
};

/* Outside: around the storm's shard, which the storm's leader leads. False: it has too few voters.
 */
bool known_begin(struct world *world);
/* Inside, after a turn of a node that serves, in the storm. */
void known_look(struct world *world, const struct node *node);
/* A change of the shard was answered at a node that had heard of the newest leader. */
void known_changed(struct world *world);
/* The node is the old leader: its clients ask much. */
bool known_is_asked(const struct world *world, const struct node *node);
/* Queries of the node's clients are ones with STALE; 0: as ever. */
uint64_t known_stale_ns(struct world *world, const struct node *node);

#endif
