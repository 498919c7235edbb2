#include "replication/raft/quorum.h"

#include "base/assert.h"
#include "base/mutation.h"

struct sorted {
	uint64_t value[RAFT_VOTERS_MAX]; /* highest first */
	size_t count;
};

static void insert(struct sorted *sorted, uint64_t value)
{
	ASSERT(sorted->count < RAFT_VOTERS_MAX);
	size_t at = sorted->count++;
	for (; at > 0 && sorted->value[at - 1] < value; at--)
		sorted->value[at] = sorted->value[at - 1];
	sorted->value[at] = value;
}

/* Of five, the third highest: two have passed it. */
static uint64_t majority(const struct sorted *sorted)
{
	return sorted->count > 0 ? sorted->value[sorted->count / 2] : 0;
}

uint64_t raft_quorum_reached(const struct raft_quorum_value *values, size_t count)
{
	struct sorted coming = {.count = 0}, going = {.count = 0};
	for (size_t i = 0; i < count; i++) {
		if (values[i].roles &
		    (RAFT_VOTER | (MUTATION(raft_counts_learners) ? RAFT_LEARNER : 0)))
			insert(&coming, values[i].value);
		if (values[i].roles & RAFT_OUTGOING)
			insert(&going, values[i].value);
	}
	uint64_t reached = majority(&coming);
	if (going.count > 0 && majority(&going) < reached &&
	    !MUTATION(raft_joint_needs_one_majority))
		reached = majority(&going);
	return reached;
}
