/* Replicas that are damaged, and when one is given up: taken out of its group, and replaced by
 * another one under another number.
 *
 * That is a change of the membership, and lowers how many may fail until the other one has the
 * log. So it is made only where a majority of the membership is known to be whole, the damaged one
 * not among them: else the change would never be committed, or what is left would have no majority,
 * and who could have helped would be wanted no more. It stays as it is then, and may be given up as
 * soon as others are whole again.
 *
 * Pure. Any thread.
 */
#ifndef KX_SERVER_META_DAMAGE_H
#define KX_SERVER_META_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

struct damage_member {
	uint64_t replica;
	unsigned roles; /* enum raft_role_bits */
	bool whole;     /* it is heard of, has nearly all of the log, and is not damaged */
};

/* Of the members of one group, as its leader has said them: in a joint membership both of its
 * majorities have to be whole. */
bool damage_may_give_up(const struct damage_member *members, uint32_t count, uint64_t replica);

#endif
