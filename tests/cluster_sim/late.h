/* A storm (storm.h) of calls that come too late: for another leadership than that for which they
 * were sent.
 *
 *   HELD   what one node, the origin, sends to the leader is held up by the network. Its clients
 *          call with little time, and are told that nobody knows
 *   OTHER  the leader hands over to a third node, and the origin's clients call there
 *   BACK   that one hands back; and as soon as the first one leads again the network lets through
 *          what it has held
 *   COMES  it comes
 *
 * None of that may be done (server/forward.h): it would stand behind what its connections did in
 * the meantime, which the model sees (`order`).
 *
 * In half of these storms many of the calls that are held have time, so that what their connections
 * send to the later leadership comes with them, and right behind: who refuses the first refuses the
 * others as well. Disks are slow then: the refused ones are there again before one that was not
 * refused has its answer, which would end them.
 */
#ifndef KX_TESTS_CLUSTER_SIM_LATE_H
#define KX_TESTS_CLUSTER_SIM_LATE_H

#include <stdbool.h>
#include <stdint.h>

struct node;
struct world;

enum late_step { LATE_HELD, LATE_OTHER, LATE_BACK, LATE_COMES };

struct late {
	enum late_step step;
	struct node *origin, *first, *other;
	uint64_t next_ns; /* not before */
	bool is_patient;  /* calls have time */
	uint64_t term;    /* of the last leadership seen */
};

/* Outside: around the storm's shard, which the storm's leader leads. False: there is no third node.
 */
bool late_begin(struct world *world);
/* Clients of this node change things. */
bool late_is_origin(const struct world *world, const struct node *node);
/* And this call of theirs has little time. */
bool late_hurries(struct world *world, const struct node *node);

#endif
