#include "server/meta/reconcile.h"

#include "base/assert.h"

static const struct cluster_replica *wanted_replica(
    const struct cluster_shard *wanted, uint64_t replica)
{
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].replica == replica)
			return &wanted->replicas[i];
	return NULL;
}

static bool wanted_as_voter(const struct cluster_shard *wanted, uint64_t replica)
{
	const struct cluster_replica *found = wanted_replica(wanted, replica);
	return found && found->voter;
}

static uint32_t count_wanted_voters(const struct cluster_shard *wanted)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < wanted->count; i++)
		count += wanted->replicas[i].voter;
	return count;
}

static bool votes(const struct raft_membership *members, uint64_t replica)
{
	return raft_membership_roles(members, replica) & RAFT_VOTER;
}

static const struct reconcile_progress *progress_of(
    const struct reconcile_input *input, uint64_t replica)
{
	for (uint32_t i = 0; i < input->progress_count; i++)
		if (input->progress[i].replica == replica)
			return &input->progress[i];
	return NULL;
}

static bool heard(const struct reconcile_input *input, uint64_t replica)
{
	const struct reconcile_progress *progress = progress_of(input, replica);
	return replica == input->self || (progress && progress->heard);
}

/* It is there, and misses no more than that of the log. */
static bool follows(const struct reconcile_input *input, uint64_t replica, uint64_t lag_max)
{
	if (replica == input->self)
		return true;
	const struct reconcile_progress *progress = progress_of(input, replica);
	return progress && progress->heard && progress->match > 0 &&
	       progress->match + lag_max >= input->last_index;
}

/* It counts for what is committed. */
static bool able(const struct reconcile_input *input, uint64_t replica)
{
	return follows(input, replica, input->lag_max);
}

static uint64_t match_of(const struct reconcile_input *input, uint64_t replica)
{
	const struct reconcile_progress *progress = progress_of(input, replica);
	return progress ? progress->match : 0;
}

static void wait_for(struct reconcile_step *step, const char *why, uint64_t replica)
{
	*step = (struct reconcile_step){.kind = RECONCILE_WAIT, .why = why, .replica = replica};
}

static void add_change(struct reconcile_step *step, enum raft_change_kind kind, uint64_t replica)
{
	ASSERT(step->count < RECONCILE_CHANGES_MAX);
	step->changes[step->count++] = (struct raft_change){.kind = kind, .replica = replica};
}

/* ---- Learners ---- */

/* True: this is the step. They decide nothing, so all of them come and go at once. */
static bool change_learners(const struct reconcile_input *input, struct reconcile_step *step)
{
	const struct raft_membership *members = input->members;
	*step = (struct reconcile_step){
	    .kind = RECONCILE_CHANGE, .why = "replicas that are wanted come, and others go"};
	uint32_t left = members->count;
	for (uint32_t i = 0; i < members->count && step->count < CLUSTER_REPLICAS_MAX; i++) {
		uint64_t replica = members->members[i].replica;
		if (!votes(members, replica) && !wanted_replica(input->wanted, replica)) {
			add_change(step, RAFT_REMOVE, replica);
			left--;
		}
	}
	for (uint32_t i = 0; i < input->wanted->count && left < input->replicas_max; i++) {
		uint64_t replica = input->wanted->replicas[i].replica;
		if (raft_membership_roles(members, replica) == 0) {
			add_change(step, RAFT_ADD_LEARNER, replica);
			left++;
		}
	}
	return step->count > 0;
}

/* ---- Voters ---- */

struct voters {
	uint32_t count;
	uint64_t replicas[2 * RAFT_VOTERS_MAX];
};

static void add_voter(struct voters *voters, uint64_t replica)
{
	ASSERT(voters->count < 2 * RAFT_VOTERS_MAX);
	voters->replicas[voters->count++] = replica;
}

static bool among(const struct voters *voters, uint64_t replica)
{
	for (uint32_t i = 0; i < voters->count; i++)
		if (voters->replicas[i] == replica)
			return true;
	return false;
}

static struct voters present_voters(const struct raft_membership *members)
{
	struct voters present = {.count = 0};
	for (uint32_t i = 0; i < members->count; i++)
		if (votes(members, members->members[i].replica))
			add_voter(&present, members->members[i].replica);
	return present;
}

/* How many of them may fail, beside those that have; less than 0: too many have. */
static int spare(const struct reconcile_input *input, const struct voters *voters)
{
	int count = 0;
	for (uint32_t i = 0; i < voters->count; i++)
		count += able(input, voters->replicas[i]);
	return count - (int)(voters->count / 2 + 1);
}

/* Whether `a` is kept rather than `b`, of two voters that are not wanted. */
static bool better_kept(const struct reconcile_input *input, uint64_t a, uint64_t b)
{
	if (able(input, a) != able(input, b))
		return able(input, a);
	if (heard(input, a) != heard(input, b))
		return heard(input, a);
	/* Then it need not hand over. */
	if (a == input->self || b == input->self)
		return a == input->self;
	return a < b;
}

/* Another replica is wanted on its node, which gets that only when the group has let go of this
 * one: to keep this one until that has the log would be for ever. 0: none is. */
static uint64_t heir(const struct reconcile_input *input, uint64_t replica)
{
	const struct cluster_shard *wanted = input->wanted;
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t other = wanted->replicas[i].replica;
		if (other > replica && cluster_replica_node(other) == cluster_replica_node(replica))
			return other;
	}
	return 0;
}

static bool is_heir(const struct reconcile_input *input, uint64_t replica)
{
	const struct raft_membership *members = input->members;
	for (uint32_t i = 0; i < members->count; i++)
		if (votes(members, members->members[i].replica) &&
		    heir(input, members->members[i].replica) == replica)
			return true;
	return false;
}

/* Of those that are there, and as good as any until then: one at a time, when all others that are
 * wanted have come. */
static bool goes_next(const struct reconcile_input *input, uint64_t replica)
{
	const struct raft_membership *members = input->members;
	const struct cluster_shard *wanted = input->wanted;
	for (uint32_t i = 0; i < members->count; i++) {
		uint64_t other = members->members[i].replica;
		if (votes(members, other) && heir(input, other) != 0 &&
		    (other < replica || !heard(input, other)))
			return false;
	}
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t other = wanted->replicas[i].replica;
		if (wanted->replicas[i].voter && !votes(members, other) && !is_heir(input, other))
			return false;
	}
	return true;
}

/* Who is not heard of was given up by its own node, and nothing comes of it any more. */
static bool is_given_up(const struct reconcile_input *input, uint64_t replica)
{
	return heir(input, replica) != 0 && (!heard(input, replica) || goes_next(input, replica));
}

/* Adds the best voter that is not wanted and not among them yet. */
static void keep_one(
    const struct reconcile_input *input, const struct voters *present, struct voters *next)
{
	uint64_t best = 0;
	for (uint32_t i = 0; i < present->count; i++) {
		uint64_t replica = present->replicas[i];
		if (!among(next, replica) && !is_given_up(input, replica) &&
		    (best == 0 || better_kept(input, replica, best)))
			best = replica;
	}
	ASSERT(best != 0);
	add_voter(next, best);
}

/* What the voters can become now, and of the wanted ones that cannot be among them the one to
 * wait for: rather one that is there. */
static void next_voters(const struct reconcile_input *input, const struct voters *present,
    struct voters *ret_next, uint64_t *ret_missing)
{
	const struct cluster_shard *wanted = input->wanted;
	uint32_t count_min = count_wanted_voters(wanted);
	uint32_t kept_max = present->count;
	for (uint32_t i = 0; i < present->count; i++)
		kept_max -= is_given_up(input, present->replicas[i]);
	if (count_min > kept_max)
		count_min = kept_max;
	*ret_next = (struct voters){.count = 0};
	*ret_missing = 0;
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t replica = wanted->replicas[i].replica;
		if (!wanted->replicas[i].voter)
			continue;
		if (among(present, replica) || able(input, replica))
			add_voter(ret_next, replica);
		else if (*ret_missing == 0 ||
		         (heard(input, replica) && !heard(input, *ret_missing)))
			*ret_missing = replica;
	}
	while (ret_next->count < count_min)
		keep_one(input, present, ret_next);
}

/* A voter that is lost has a successor, or need not have one. */
static bool loses_the_lost(
    const struct reconcile_input *input, const struct voters *present, const struct voters *next)
{
	for (uint32_t i = 0; i < present->count; i++)
		if (!among(next, present->replicas[i]) && !heard(input, present->replicas[i]))
			return true;
	return false;
}

static bool same(const struct voters *a, const struct voters *b)
{
	for (uint32_t i = 0; i < a->count; i++)
		if (!among(b, a->replicas[i]))
			return false;
	return a->count == b->count;
}

/* A voter that stays, and can lead at once; 0: there is none. */
static uint64_t successor(
    const struct reconcile_input *input, const struct voters *present, const struct voters *next)
{
	uint64_t best = 0;
	for (uint32_t i = 0; i < next->count; i++) {
		uint64_t replica = next->replicas[i];
		if (replica == input->self || !among(present, replica) || !able(input, replica))
			continue;
		if (replica == input->leader_wished)
			return replica;
		if (best == 0 || match_of(input, replica) > match_of(input, best))
			best = replica;
	}
	return best;
}

static void make_change(const struct reconcile_input *input, const struct voters *present,
    const struct voters *next, struct reconcile_step *step)
{
	*step = (struct reconcile_step){
	    .kind = RECONCILE_CHANGE, .why = "voters become those that are wanted"};
	for (uint32_t i = 0; i < next->count; i++)
		if (!among(present, next->replicas[i]))
			add_change(step, RAFT_ADD_VOTER, next->replicas[i]);
	for (uint32_t i = 0; i < present->count; i++) {
		uint64_t replica = present->replicas[i];
		if (!among(next, replica))
			add_change(step,
			    wanted_replica(input->wanted, replica) ? RAFT_ADD_LEARNER : RAFT_REMOVE,
			    replica);
	}
}

/* True: this is the step. */
static bool change_voters(const struct reconcile_input *input, struct reconcile_step *step)
{
	struct voters present = present_voters(input->members), next;
	uint64_t missing;
	next_voters(input, &present, &next, &missing);
	bool differs = !same(&present, &next);
	if (missing != 0 && raft_membership_roles(input->members, missing) == 0 && !differs) {
		wait_for(step, "the group has no room for another replica", missing);
		return true;
	}
	if (missing != 0 && heard(input, missing) && !loses_the_lost(input, &present, &next)) {
		wait_for(step, "it does not have enough of the log yet", missing);
		return true;
	}
	if (!differs && missing != 0)
		wait_for(step, "its node is not heard of", missing);
	if (!differs)
		return missing != 0;
	int spare_next = spare(input, &next);
	if (spare_next < 0 && spare_next < spare(input, &present)) {
		wait_for(
		    step, "too few of the voters that would be left can do without the others", 0);
		return true;
	}
	uint64_t to = among(&next, input->self) || input->transfer_failed
	                  ? 0
	                  : successor(input, &present, &next);
	if (to != 0)
		*step = (struct reconcile_step){.kind = RECONCILE_TRANSFER,
		    .why = "this replica is to be no voter any more",
		    .replica = to};
	else
		make_change(input, &present, &next, step);
	return true;
}

/* ---- All ---- */

static bool is_blocked(const struct reconcile_input *input, struct reconcile_step *step)
{
	const struct cluster_shard *wanted = input->wanted;
	uint32_t voters = count_wanted_voters(wanted);
	const char *why = NULL;
	if (input->busy)
		why = "a change, or the beginning of the term, is not committed";
	else if (raft_membership_joint(input->members))
		why = input->members->leaves_joint ? "a change is under way" : NULL;
	else if (!votes(input->members, input->self))
		why = "leadership is handed over";
	else if (voters == 0)
		why = "no voter is wanted";
	else if (voters > RAFT_VOTERS_MAX)
		why = "more voters are wanted than a group can have";
	if (why)
		wait_for(step, why, 0);
	return why;
}

/* The group takes no changes while the next leader gets what it misses. Where it takes none anyway,
 * that is no reason to wait. */
static bool wished_can_lead(const struct reconcile_input *input)
{
	uint64_t wished = input->leader_wished;
	uint64_t lag_max = input->leads_badly ? input->lag_max : input->lead_lag_max;
	return wished != 0 && wished != input->self && !input->transfer_failed &&
	       votes(input->members, wished) && wanted_as_voter(input->wanted, wished) &&
	       follows(input, wished, lag_max);
}

void reconcile_next(const struct reconcile_input *input, struct reconcile_step *ret_step)
{
	ASSERT(input->self != 0);
	ASSERT(input->wanted->count <= CLUSTER_REPLICAS_MAX);
	if (is_blocked(input, ret_step))
		return;
	if (raft_membership_joint(input->members)) {
		*ret_step = (struct reconcile_step){
		    .kind = RECONCILE_LEAVE, .why = "a change is to be ended"};
		return;
	}
	bool hands_over = wished_can_lead(input);
	if (!(hands_over && input->leads_badly) &&
	    (change_learners(input, ret_step) || change_voters(input, ret_step)))
		return;
	*ret_step =
	    (struct reconcile_step){.kind = hands_over ? RECONCILE_TRANSFER : RECONCILE_DONE,
	        .why = hands_over ? "it is wished for as leader" : "members are as they are wanted",
	        .replica = hands_over ? input->leader_wished : 0};
}
