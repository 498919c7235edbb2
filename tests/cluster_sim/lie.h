/* In some worlds the disk of one node lies: of what it had confirmed, and what a later frame of the
 * log proves, a write is not there (LOST; or two in a row are not), stands in another's place
 * (MISDIRECTED), or has a bit that changed (ROT). That much a node notices at its next start
 * (docs/failure-semantics.md); what is lost together with all that proves it is not promised, and
 * does not happen here. Or a value of a store is damaged (STORED): that is noticed when it is read,
 * and whatever was not read until then is read when faults have ended.
 *
 * Expected is: the shards concerned are closed there (`closed` allows it of this node alone), given
 * up and made anew from the others (rest.h waits for that), and whatever clients are told is as
 * ever: others lead what is closed here, or will, and nobody is told DATA_LOSS. Where the
 * directory's replica is concerned the node asks for another one before it serves, and begins anew
 * for that where it served. One that does not start all the same (what a store says of itself is
 * damaged: RECORDS) is taken out by force, and an empty machine comes in its place. Of a damaged
 * store the range goes while the node begins anew (storage/install.h).
 *
 * A minority lies: one node, while each shard that it votes for has three voters, and nobody takes
 * other nodes out of such a world.
 */
#ifndef KX_TESTS_CLUSTER_SIM_LIE_H
#define KX_TESTS_CLUSTER_SIM_LIE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"

struct node;
struct world;

struct lies {
	unsigned left;
	unsigned due;  /* the world has to see so many of them */
	unsigned kind; /* of the next one: each in turn */
	unsigned liar;
	struct random dice;  /* of which value of a store */
	bool store_lies;     /* the liar's store, until it has another disk */
	bool store_was_read; /* all of it, by this process of the liar, at the end */
	uint64_t closed_ns;  /* since when it has not served, or not the directory; 0: it does */
};

void lie_plan(struct world *world);
/* Outside: one lie, where there may be one now. */
void lie(struct world *world);
/* Outside, often: at the end what nobody read is; and what the operator has to do. */
void lie_look(struct world *world);
/* Outside: several frames of the log are damaged, of any node, whatever others are. The caller ends
 * it. False: there are none. */
bool lie_of_majority(struct world *world, struct node *node);
/* What the node has is beyond mending: it starts no more, and is to be taken out by force. */
void lie_gives_up(struct node *node);
/* Nothing is damaged that was not noticed. */
bool lie_is_noticed(const struct world *world);
/* The operator takes nobody out. */
bool lie_forbids_removals(const struct world *world);

#endif
