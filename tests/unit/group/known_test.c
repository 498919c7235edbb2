/* What one that leads, or led, knows by its rounds (group_known_ns): STALE is answered by that.
 * Courses that random worlds take too seldom; the observer of members_world.h compares. */
#include "base/clock.h"
#include "replication/raft/raft.h"
#include "tests/unit/group/members_world.h"
#include "tests/unit/group/suites.h"

enum { STEPS = 400000 };

static void steps_for(uint64_t ms)
{
	uint64_t until_ns = sim_now_ns(members_world.sim) + ms * NS_PER_MS;
	while (sim_now_ns(members_world.sim) < until_ns)
		members_step();
}

static void confirm(struct node *node)
{
	if (node->leads)
		ck_assert(sim_node_run(node->machine, members_confirm, node));
}

static void hand_over(void *arg)
{
	struct node *node = arg;
	uint64_t to = (uint64_t)(members_world.asking + FIRST);
	ck_assert_int_eq(group_transfer(node->group, to), 0);
}

static struct node *await_leader(void)
{
	for (int i = 0; i < STEPS && (!members_have_all() || !members_leader()); i++)
		members_step();
	ck_assert_ptr_nonnull(members_leader());
	return members_leader();
}

/* It says who leads next, and that one does. */
static void let_lead(struct node *from, unsigned to)
{
	struct node *next = &members_world.nodes[to];
	members_world.asking = to;
	ck_assert(sim_node_run(from->machine, hand_over, from));
	for (int i = 0; i < STEPS && !next->leads; i++)
		members_step();
	ck_assert(next->leads);
}

static void await_known_since(const struct node *node, uint64_t ns)
{
	for (int i = 0; i < STEPS && group_known_ns(node->group) < ns; i++)
		members_step();
	ck_assert_uint_ge(group_known_ns(node->group), ns);
}

/* What is there when it leads may be read for as long as that is new enough for who asks, also
 * where nobody asked it while it led. */
START_TEST(who_led_knows_up_to_when_that_was_confirmed)
{
	members_begin((uint64_t)_i + 1, 1, 0, 0);
	members_world.quiet = true;
	struct node *leader = await_leader();
	/* Its heartbeats are answered. */
	await_known_since(leader, leader->leads_ns);
	uint64_t known_ns = group_known_ns(leader->group);
	/* And that goes on. */
	await_known_since(leader, known_ns + 1);
	uint64_t alone_ns = sim_now_ns(members_world.sim);
	for (unsigned i = 0; i < NODES; i++)
		if (&members_world.nodes[i] != leader)
			members_crash(&members_world.nodes[i]);
	/* What they have answered comes yet; and nobody confirms this one. */
	steps_for(50);
	confirm(leader);
	for (int i = 0; i < STEPS && leader->leads; i++) {
		members_step();
		ck_assert_uint_le(group_known_ns(leader->group), alone_ns);
	}
	ck_assert(!leader->leads);
	ck_assert_uint_gt(group_known_ns(leader->group), known_ns);
	members_end();
}
END_TEST

/* Where clocks do not run alike, as leases need it, another one leads and commits while the lease
 * still seems to hold, and the echoes of this one's rounds come only then: they are of when those
 * began, and not of the present. */
START_TEST(a_late_echo_says_nothing_of_the_present)
{
	enum { FAST = 2000000, ECHOES_MS = 150, LATER_MS = 50, CUT_MS = 60000 };
	members_begin(2, 1, 0, FAST);
	members_world.quiet = true;
	struct node *old = &members_world.nodes[0];
	struct node *first = await_leader();
	if (first != old)
		let_lead(first, 0);
	await_known_since(old, old->leads_ns);
	ck_assert(sim_node_run(old->machine, members_act, old));
	old->is_held = true;
	steps_for(ECHOES_MS);
	uint64_t known_ns = group_known_ns(old->group), before = members_world.highest;
	uint64_t cut_ns = sim_now_ns(members_world.sim);
	old->cut_until_ns = cut_ns + CUT_MS * NS_PER_MS;
	for (int i = 0; i < STEPS && members_world.highest == before; i++) {
		members_step();
		confirm(old);
	}
	steps_for(LATER_MS);
	ck_assert(old->leads);
	ck_assert_uint_gt(members_world.highest, before);
	ck_assert_uint_eq(group_known_ns(old->group), known_ns);
	/* What was under way to it comes before anything newer does. */
	old->cut_until_ns = 0;
	old->is_held = false;
	await_known_since(old, known_ns + 1);
	ck_assert_uint_le(group_known_ns(old->group), cut_ns);
	for (int i = 0; i < STEPS && old->leads; i++)
		members_step();
	ck_assert(!old->leads);
	members_end();
}
END_TEST

/* An entry that is committed by the others, while the leader's own disk is slow: it is answered
 * over there, and not applied here. Rounds that begin after that prove nothing of it. */
START_TEST(a_round_says_nothing_of_what_is_not_applied)
{
	enum { SLOWNESS = 1000000, AFTER_MS = 500 };
	members_begin((uint64_t)_i + 1, 1, 0, 0);
	members_world.quiet = true;
	struct node *leader = await_leader();
	await_known_since(leader, leader->leads_ns);
	uint64_t before = members_world.highest;
	sim_disk_set_slowness(leader->machine, SLOWNESS);
	ck_assert(sim_node_run(leader->machine, members_act, leader));
	for (int i = 0; i < STEPS && members_world.highest == before; i++)
		members_step();
	ck_assert_uint_gt(members_world.highest, before);
	uint64_t until_ns = sim_now_ns(members_world.sim) + AFTER_MS * NS_PER_MS;
	while (sim_now_ns(members_world.sim) < until_ns) {
		confirm(leader);
		members_step();
	}
	ck_assert(leader->leads);
	ck_assert_uint_eq(group_applied(leader->group).index, before);
	ck_assert_uint_le(group_known_ns(leader->group), members_world.first_ns[before + 1]);
	members_end();
}
END_TEST

/* Of what comes to the one that is held, only what the other had sent before that; and no echo. */
static void forget_newer(unsigned to, uint64_t ns)
{
	for (unsigned i = 0; i < members_world.packet_count; i++) {
		struct packet *packet = &members_world.packets[i];
		bool echoes =
		    packet->kind == RAFT_HEARTBEAT_REPLY || packet->kind == RAFT_APPEND_REPLY;
		if (packet->to == to && (packet->sent_ns >= ns || echoes))
			packet->at_ns = UINT64_MAX;
	}
}

/* A round that was asked for when others led by then, and that nobody confirmed. Its replica hears
 * of the other one's first entry, and not that it is committed; it leads again, and rounds with
 * higher numbers are confirmed while what it does not know of is not applied here. Nothing is known
 * by any of them before an entry of its own term is committed. */
START_TEST(who_leads_again_forgets_what_nobody_confirmed)
{
	enum { SLOWNESS = 3000, LATER_MS = 250, LASTS_MS = 6000 };
	members_begin(1, 1, 0, 0);
	members_world.quiet = true;
	struct node *old = await_leader();
	unsigned self = (unsigned)(old - members_world.nodes);
	unsigned next = (self + 1) % NODES, third = (self + 2) % NODES;
	uint64_t before = members_world.highest;
	members_world.holds_old = true;
	let_lead(old, next);
	members_world.holds_old = false;
	/* Its successor's first entry is applied over there. */
	ck_assert(old->leads && old->is_held);
	ck_assert_uint_gt(members_world.highest, before);
	ck_assert_uint_eq(group_applied(old->group).index, before);
	/* It has had a turn since, whose time is that of the round. */
	steps_for(LATER_MS);
	forget_newer(self, members_world.first_ns[before + 1]);
	ck_assert(old->leads);
	confirm(old);
	members_crash(&members_world.nodes[next]);
	members_world.silent = &members_world.nodes[third];
	sim_disk_set_slowness(members_world.silent->machine, SLOWNESS);
	old->is_held = false;
	for (int i = 0; i < STEPS && old->leads; i++)
		members_step();
	ck_assert(!old->leads);
	uint64_t known_ns = group_known_ns(old->group);
	uint64_t until_ns = sim_now_ns(members_world.sim) + LASTS_MS * NS_PER_MS;
	for (; sim_now_ns(members_world.sim) < until_ns && !old->leads; members_step())
		ck_assert_uint_eq(group_known_ns(old->group), known_ns);
	ck_assert(old->leads);
	ck_assert_uint_gt(group_applied(old->group).index, before + 1);
	/* Its rounds of this leadership count. */
	await_known_since(old, old->leads_ns);
	members_end();
}
END_TEST

Suite *known_suite(void)
{
	Suite *suite = suite_create("known");
	TCase *cases = tcase_create("known");
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, who_led_knows_up_to_when_that_was_confirmed, 0, 10);
	tcase_add_test(cases, a_late_echo_says_nothing_of_the_present);
	tcase_add_loop_test(cases, a_round_says_nothing_of_what_is_not_applied, 0, 2);
	tcase_add_test(cases, who_leads_again_forgets_what_nobody_confirmed);
	suite_add_tcase(suite, cases);
	return suite;
}
