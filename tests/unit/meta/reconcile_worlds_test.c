#include "tests/unit/meta/reconcile_rig.h"

#include "base/random.h"

/* ---- From everywhere to everywhere ---- */

/* Goes on until nothing more happens with those that live. At each WAIT those catch up. */
static void run_until_still(struct world *world, unsigned count_min)
{
	for (int step = 0; step < 20; step++) {
		enum reconcile_kind kind = ask(world);
		switch (kind) {
		case RECONCILE_DONE:
			return;
		case RECONCILE_WAIT:
			if ((world->behind & ~world->dead) == 0)
				return;
			world->behind &= world->dead;
			break;
		case RECONCILE_TRANSFER:
			FACT(in(with_role(&world->members, RAFT_VOTER), world->step.replica));
			world->self = world->step.replica;
			break;
		case RECONCILE_CHANGE:
		case RECONCILE_LEAVE:
			change(world);
			unsigned voters = with_role(&world->members, RAFT_VOTER);
			FACT(count(voters) >= count_min);
			assert_majority(world, voters);
			if (raft_membership_joint(&world->members)) {
				assert_majority(world, with_role(&world->members, RAFT_OUTGOING));
				leave(world);
			}
			lead_by_a_voter(world);
			break;
		}
	}
	ck_abort_msg("it does not come to an end: %s", world->step.why);
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

struct ends {
	unsigned voters, learners, wanted_voters, wanted_learners;
};

static void go(const struct ends *ends, unsigned dead, uint64_t self)
{
	struct world world = {.self = self, .dead = dead, .behind = ends->learners};
	set_members(&world, ends->voters, ends->learners);
	want(&world, ends->wanted_voters, ends->wanted_learners);
	unsigned count_min = smaller(count(ends->voters), count(ends->wanted_voters));
	run_until_still(&world, count_min);
	/* All that can be has been done: those that live and are to vote do; all others that are
	 * wanted learn; of the rest there is nobody whose place another one has taken. */
	unsigned voters = with_role(&world.members, RAFT_VOTER);
	unsigned members = voters | with_role(&world.members, RAFT_LEARNER);
	unsigned wanted = ends->wanted_voters | ends->wanted_learners;
	FACT((ends->wanted_voters & ~dead & ~voters) == 0);
	FACT((wanted & ~members) == 0);
	unsigned kept = voters & ~ends->wanted_voters;
	FACT(kept == 0 || count(voters) == count_min);
	FACT((with_role(&world.members, RAFT_LEARNER) & ~wanted) == 0);
	bool done = (ends->wanted_voters & ~voters) == 0;
	FACT(world.step.kind == (done ? RECONCILE_DONE : RECONCILE_WAIT));
	/* They come back. */
	world.dead = 0;
	run_until_still(&world, count_min);
	FACT(world.step.kind == RECONCILE_DONE);
	FACT((with_role(&world.members, RAFT_VOTER)) == ends->wanted_voters);
	FACT((with_role(&world.members, RAFT_LEARNER)) == ends->wanted_learners);
}

static bool majority_lives(unsigned voters, unsigned dead)
{
	return count(voters & ~dead) > count(voters) / 2;
}

static unsigned go_with_all_deaths(const struct ends *ends)
{
	unsigned runs = 0;
	for (unsigned dead = 0; dead < 32; dead++) {
		if (!majority_lives(ends->voters, dead) ||
		    !majority_lives(ends->wanted_voters, dead))
			continue;
		/* Who is in neither may as well live. */
		if (dead & ~(ends->voters | ends->wanted_voters))
			continue;
		/* The first and the last that can lead. */
		unsigned able = ends->voters & ~dead;
		uint64_t first = (uint64_t)__builtin_ctz(able) + 1;
		uint64_t last = 32 - (uint64_t)__builtin_clz(able);
		go(ends, dead, first);
		if (last != first)
			go(ends, dead, last);
		runs++;
	}
	return runs;
}

/* Base 3: no member, voter, learner. */
static void split(unsigned number, unsigned *ret_voters, unsigned *ret_learners)
{
	*ret_voters = *ret_learners = 0;
	for (uint64_t replica = 1; replica <= 5; replica++, number /= 3) {
		if (number % 3 == 1)
			*ret_voters |= alone(replica);
		else if (number % 3 == 2)
			*ret_learners |= alone(replica);
	}
}

START_TEST(every_membership_of_five_becomes_every_other)
{
	unsigned runs = 0;
	for (unsigned from = 0; from < 243; from++) {
		struct ends ends;
		split(from, &ends.voters, &ends.learners);
		for (unsigned to = 0; ends.voters != 0 && to < 243; to++) {
			split(to, &ends.wanted_voters, &ends.wanted_learners);
			if (ends.wanted_voters != 0)
				runs += go_with_all_deaths(&ends);
		}
	}
	/* 211 memberships have voters. */
	FACT(runs > 211 * 211);
}
END_TEST

/* ---- Random worlds ---- */

/* Three or five of seven vote. At each moment so many are dead or behind as a majority may miss,
 * the one that leads may die at any time, what it did last may be lost with it, and what is wanted
 * changes on the way. */
struct chaos {
	struct world world;
	struct random random;
	struct raft_membership before; /* where the last change is not committed */
	bool pending;
	unsigned voters, failures_max;
};

static unsigned random_set(struct random *random, unsigned size)
{
	unsigned set = 0;
	while (count(set) < size)
		set |= alone(1 + random_below(random, REPLICAS));
	return set;
}

static unsigned failed(const struct chaos *chaos)
{
	return chaos->world.dead | chaos->world.behind;
}

static void assert_decides(const struct chaos *chaos)
{
	const struct world *world = &chaos->world;
	unsigned incoming = with_role(&world->members, RAFT_VOTER);
	unsigned outgoing = with_role(&world->members, RAFT_OUTGOING);
	FACT(count(incoming) == chaos->voters);
	assert_majority(world, incoming);
	if (outgoing) {
		FACT(count(outgoing) == chaos->voters);
		assert_majority(world, outgoing);
	}
}

/* Another one leads, and may not have the last change. */
static void change_leader(struct chaos *chaos)
{
	struct world *world = &chaos->world;
	if (chaos->pending && random_chance(&chaos->random, 1, 2)) {
		world->members = chaos->before;
		/* A joint one is left by whoever leads. */
		chaos->pending = raft_membership_joint(&world->members);
	}
	unsigned able = with_role(&world->members, RAFT_VOTER) & ~failed(chaos);
	FACT(able != 0);
	do
		world->self = 1 + random_below(&chaos->random, REPLICAS);
	while (!in(able, world->self));
}

/* Of the membership before too, as long as that may come back. */
static unsigned voters_that_count(const struct chaos *chaos)
{
	unsigned voters = with_role(&chaos->world.members, RAFT_VOTER | RAFT_OUTGOING);
	if (chaos->pending)
		voters |= with_role(&chaos->before, RAFT_VOTER | RAFT_OUTGOING);
	return voters;
}

static void fail_or_mend(struct chaos *chaos)
{
	struct world *world = &chaos->world;
	uint64_t replica = 1 + random_below(&chaos->random, REPLICAS);
	unsigned voters = voters_that_count(chaos) | wanted_set(world, true);
	if (in(world->dead, replica)) {
		world->dead &= ~alone(replica);
		world->behind |= alone(replica);
	} else if (in(world->behind, replica)) {
		world->behind &= ~alone(replica);
	} else if (count((failed(chaos) | alone(replica)) & voters) <= chaos->failures_max) {
		world->dead |= alone(replica);
		if (replica == world->self)
			change_leader(chaos);
	}
}

static void commit(struct chaos *chaos)
{
	chaos->pending = false;
	if (chaos->world.members.leaves_joint) {
		chaos->before = chaos->world.members;
		leave(&chaos->world);
		chaos->pending = true;
	} else if (!in(with_role(&chaos->world.members, RAFT_VOTER), chaos->world.self)) {
		change_leader(chaos);
	}
}

static void step(struct chaos *chaos)
{
	struct world *world = &chaos->world;
	if (chaos->pending) {
		FACT(ask_busy(world) == RECONCILE_WAIT);
		commit(chaos);
		return;
	}
	enum reconcile_kind kind = ask(world);
	if (kind == RECONCILE_TRANSFER) {
		world->transfer_failed = random_chance(&chaos->random, 1, 4);
		if (!world->transfer_failed)
			world->self = world->step.replica;
	} else if (kind == RECONCILE_CHANGE || kind == RECONCILE_LEAVE) {
		chaos->before = world->members;
		change(world);
		chaos->pending = true;
		world->transfer_failed = false;
	}
}

/* Those that are among the failed already would be too many in some sets. */
static void want_another(struct chaos *chaos)
{
	unsigned voters = random_set(&chaos->random, chaos->voters);
	unsigned learners = (unsigned)random_below(&chaos->random, 1U << REPLICAS) & ~voters;
	if (count((voters | voters_that_count(chaos)) & failed(chaos)) <= chaos->failures_max)
		want(&chaos->world, voters, learners);
}

START_TEST(any_leader_goes_on_where_another_stopped)
{
	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct chaos chaos = {.voters = seed % 2 ? 3 : 5, .failures_max = seed % 2 ? 1 : 2};
		random_init(&chaos.random, seed);
		unsigned first = random_set(&chaos.random, chaos.voters);
		set_members(&chaos.world, first, 0);
		want(&chaos.world, first, 0);
		change_leader(&chaos);
		for (int moment = 0; moment < 400; moment++) {
			switch (random_below(&chaos.random, 8)) {
			case 0:
				fail_or_mend(&chaos);
				break;
			case 1:
				change_leader(&chaos);
				break;
			case 2:
				want_another(&chaos);
				break;
			default:
				step(&chaos);
			}
			assert_decides(&chaos);
		}
		chaos.world.dead = chaos.world.behind = 0;
		int steps = 0;
		do {
			step(&chaos);
			chaos.world.behind = 0;
		} while (chaos.world.step.kind != RECONCILE_DONE && ++steps < 30);
		ck_assert_msg(chaos.world.step.kind == RECONCILE_DONE,
		    "seed %llu, replica %llu: %s", (unsigned long long)seed,
		    (unsigned long long)chaos.world.step.replica, chaos.world.step.why);
		FACT((with_role(&chaos.world.members, RAFT_VOTER)) ==
		     (wanted_set(&chaos.world, true)));
		FACT((with_role(&chaos.world.members, RAFT_LEARNER)) ==
		     (wanted_set(&chaos.world, false)));
	}
}
END_TEST

Suite *reconcile_worlds_suite(void)
{
	Suite *suite = suite_create("reconcile worlds");
	TCase *worlds = tcase_create("worlds");
	tcase_set_timeout(worlds, 120);
	tcase_add_test(worlds, every_membership_of_five_becomes_every_other);
	tcase_add_test(worlds, any_leader_goes_on_where_another_stopped);
	suite_add_tcase(suite, worlds);
	return suite;
}
