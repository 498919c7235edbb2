/* A group that reconcile_next is asked about, and its surroundings. Replica n is bit n - 1 of the
 * sets here. */
#ifndef KX_TESTS_UNIT_META_RECONCILE_RIG_H
#define KX_TESTS_UNIT_META_RECONCILE_RIG_H

#include "tests/unit/meta/suites.h"

#include "server/meta/reconcile.h"

enum { REPLICAS = 7, LAG = 10, LEAD_LAG_MAX = 20, LAG_MAX = 100 };

struct world {
	struct raft_membership members;
	struct cluster_shard wanted;
	struct cluster_shard_record record; /* of what is wanted */
	uint64_t self, wished;
	unsigned dead;   /* not heard of */
	unsigned behind; /* miss more than LAG_MAX */
	unsigned slow;   /* miss more than LEAD_LAG_MAX */
	bool transfer_failed, leads_badly;
	struct reconcile_step step;
};

static inline bool in(unsigned set, uint64_t replica)
{
	return set >> (replica - 1) & 1;
}
static inline unsigned alone(uint64_t replica)
{
	return 1U << (replica - 1);
}
static inline unsigned count(unsigned set)
{
	return (unsigned)__builtin_popcount(set);
}

unsigned with_role(const struct raft_membership *members, unsigned roles);
void set_members(struct world *world, unsigned voters, unsigned learners);
void want(struct world *world, unsigned voters, unsigned learners);
unsigned wanted_set(const struct world *world, bool voter);

enum reconcile_kind ask(struct world *world);
enum reconcile_kind ask_busy(struct world *world);
/* What is decided needs a majority of these that lives and has what was decided before. */
void assert_majority(const struct world *world, unsigned voters);
/* The change that the step says: it is possible, and gives no vote to who is not ready. */
void change(struct world *world);
void leave(struct world *world);
/* A leader that was removed hands over (raft_change_go_on). */
void lead_by_a_voter(struct world *world);

#endif
