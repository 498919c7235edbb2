/* Random worlds: nodes that lead shards in turn, links that break and are slow, time that goes on.
 * What clients were told has to be true of what was run. */
#include "tests/unit/forward/suites.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "tests/unit/forward/rig.h"

enum { CALLS = 400, LANES = 3, STEPS = 6000, RUNS_MAX = 4 * CALLS };

struct world {
	struct rig rig;
	struct random random;
	uint64_t term[RIG_SHARDS + 1];
	unsigned leader[RIG_SHARDS + 1]; /* 0: none */
	struct rig_call calls[CALLS];
	unsigned lane[CALLS]; /* of its node's */
	bool reads[CALLS];
	unsigned begun;
	/* Which call was run, in order. */
	unsigned runs[RUNS_MAX], run_count;
	unsigned statuses[STATUS_UNKNOWN_OUTCOME + 1];
	struct forward_figures figures;
};

static unsigned pick(struct world *world, unsigned bound)
{
	return (unsigned)random_below(&world->random, bound);
}

static unsigned call_of(struct world *world, const struct shard_call *call)
{
	unsigned number = UINT32_MAX;
	/* The name says which one it is. */
	char name[RIG_TEXT_BYTES];
	snprintf(name, sizeof(name), "%.*s", (int)call->name.bytes, (const char *)call->name.data);
	ck_assert_int_eq(sscanf(name, "c%u", &number), 1);
	ck_assert_uint_lt(number, world->begun);
	return number;
}

/* As shards do where leadership is lost: all that waits there, at once and in order. */
static void refuse_all(struct world *world, unsigned node, uint32_t shard)
{
	struct list now;
	struct list_node *at;
	list_init(&now);
	list_append_all(&now, &world->rig.nodes[node].submitted);
	while ((at = list_pop_front(&now))) {
		struct shard_call *call = CONTAINER_OF(at, struct shard_call, link);
		if (call->shard == shard)
			rig_refuse(&world->rig, node, call);
		else
			list_push_back(&world->rig.nodes[node].submitted, at);
	}
}

static void depose(struct world *world, uint32_t shard)
{
	unsigned old = world->leader[shard];
	if (old == 0)
		return;
	world->leader[shard] = 0;
	rig_follow(&world->rig, old, shard);
	refuse_all(world, old, shard);
}

static void elect(struct world *world)
{
	uint32_t shard = 1 + pick(world, RIG_SHARDS);
	depose(world, shard);
	if (pick(world, 4) == 0)
		return;
	world->leader[shard] = 1 + pick(world, world->rig.node_count);
	world->term[shard]++;
	rig_lead(&world->rig, world->leader[shard], shard, world->term[shard]);
}

static void begin_call(struct world *world)
{
	if (world->begun == CALLS)
		return;
	unsigned number = world->begun++;
	unsigned node = 1 + pick(world, world->rig.node_count);
	char address[RIG_TEXT_BYTES], name[RIG_TEXT_BYTES];
	world->lane[number] = pick(world, LANES);
	world->reads[number] = pick(world, 3) == 0;
	rig_address(1 + world->lane[number] % 2, world->lane[number], address);
	snprintf(name, sizeof(name), "c%u", number);
	struct rig_call *call = &world->calls[number];
	rig_call_init(
	    call, &world->rig, node, address, name, world->lane[number], 20 + pick(world, 400));
	call->call.queries_only = world->reads[number];
	rig_submit(call);
}

static void run_one(struct world *world)
{
	unsigned node = 1 + pick(world, world->rig.node_count);
	struct shard_call *call = rig_first(&world->rig, node);
	if (!call)
		return;
	if (!world->rig.nodes[node].leads[call->shard]) {
		refuse_all(world, node, call->shard);
		return;
	}
	unsigned number = call_of(world, call);
	ck_assert(call->queries_only == world->reads[number]);
	ck_assert_uint_lt(world->run_count, RUNS_MAX);
	char reply[16];
	snprintf(reply, sizeof(reply), "%u", world->run_count);
	world->runs[world->run_count++] = number;
	rig_answer(&world->rig, node, call, reply);
}

static void break_link(struct world *world)
{
	unsigned a = 1 + pick(world, world->rig.node_count);
	unsigned b = 1 + pick(world, world->rig.node_count);
	if (a == b)
		return;
	if (world->rig.up[a][b])
		rig_link_down(&world->rig, a, b);
	else
		rig_link_up(&world->rig, a, b);
}

static void change_room(struct world *world)
{
	unsigned a = 1 + pick(world, world->rig.node_count);
	unsigned b = 1 + pick(world, world->rig.node_count);
	if (pick(world, 2) == 0) {
		world->rig.room[a][b] = pick(world, 4);
		return;
	}
	world->rig.room[a][b] = UINT32_MAX;
	if (world->rig.full[a][b]) {
		world->rig.full[a][b] = false;
		forward_room(world->rig.nodes[a].forward, (uint16_t)b, 0);
	}
}

static void step(struct world *world)
{
	unsigned what = pick(world, 100);
	unsigned a = 1 + pick(world, world->rig.node_count);
	unsigned b = 1 + pick(world, world->rig.node_count);
	if (what < 8)
		begin_call(world);
	else if (what < 30)
		run_one(world);
	else if (what < 60)
		rig_carry(&world->rig, a, b);
	else if (what < 62)
		elect(world);
	else if (what < 63)
		break_link(world);
	else if (what < 66)
		change_room(world);
	else if (what < 72)
		rig_advance(&world->rig, pick(world, 5));
	else
		forward_turn(world->rig.nodes[a].forward);
}

static bool all_ended(const struct world *world)
{
	for (unsigned i = 0; i < world->begun; i++)
		if (!world->calls[i].ended)
			return false;
	return true;
}

/* Faults stop: what is under way has to end, by its deadline at the latest. */
static void settle(struct world *world)
{
	struct rig *rig = &world->rig;
	for (unsigned i = 1; i <= rig->node_count; i++)
		for (unsigned j = 1; j <= rig->node_count; j++) {
			rig->room[i][j] = UINT32_MAX;
			if (rig->full[i][j]) {
				rig->full[i][j] = false;
				forward_room(rig->nodes[i].forward, (uint16_t)j, 0);
			}
		}
	rig_link_all(rig);
	for (unsigned round = 0; round < 200; round++) {
		rig_run(rig);
		for (unsigned i = 0; i < 100; i++)
			run_one(world);
		rig_advance(rig, 10);
	}
	rig_run(rig);
	ck_assert(all_ended(world));
}

/* Which run it was that the answer is of. */
static unsigned run_of(const struct world *world, unsigned number)
{
	unsigned run = UINT32_MAX;
	struct slice reply = buffer_view(&world->calls[number].call.reply);
	char text[16];
	snprintf(text, sizeof(text), "%.*s", (int)reply.bytes, (const char *)reply.data);
	ck_assert_int_eq(sscanf(text, "%u", &run), 1);
	ck_assert_uint_lt(run, world->run_count);
	return run;
}

static unsigned times(const struct world *world, unsigned number)
{
	unsigned count = 0;
	for (unsigned i = 0; i < world->run_count; i++)
		count += world->runs[i] == number;
	return count;
}

static void check_call(struct world *world, unsigned number)
{
	const struct rig_call *call = &world->calls[number];
	unsigned run = times(world, number);
	enum status status = call->call.status;
	world->statuses[status]++;
	if (!world->reads[number])
		ck_assert_msg(run <= 1, "call %u was run %u times", number, run);
	switch ((int)status) {
	case STATUS_OK:
		ck_assert_msg(run >= 1, "call %u was answered and never run", number);
		ck_assert_uint_eq(world->runs[run_of(world, number)], number);
		break;
	case STATUS_UNAVAILABLE:
	case STATUS_DEADLINE_EXCEEDED:
		if (!world->reads[number])
			ck_assert_msg(run == 0, "call %u was run, and told as not done", number);
		break;
	case STATUS_UNKNOWN_OUTCOME:
		ck_assert(!world->reads[number]);
		break;
	default:
		ck_abort_msg("call %u has status %d", number, (int)status);
	}
}

/* Of two calls of one lane that were both answered, the later one was run later. */
static void check_order(const struct world *world)
{
	for (unsigned i = 0; i < world->begun; i++) {
		const struct rig_call *before = &world->calls[i];
		if (before->call.status != STATUS_OK)
			continue;
		for (unsigned j = i + 1; j < world->begun; j++) {
			const struct rig_call *after = &world->calls[j];
			if (after->call.status != STATUS_OK || after->node != before->node ||
			    world->lane[i] != world->lane[j])
				continue;
			ck_assert_msg(run_of(world, i) < run_of(world, j),
			    "call %u was run after call %u", i, j);
		}
	}
}

static void add_figures(struct world *world)
{
	for (unsigned i = 1; i <= world->rig.node_count; i++) {
		struct forward_figures figures = forward_figures(world->rig.nodes[i].forward);
		ck_assert_uint_eq(figures.waiting, 0);
		ck_assert_uint_eq(figures.waiting_bytes, 0);
		ck_assert_uint_eq(figures.under_way, 0);
		ck_assert_uint_eq(figures.serving, 0);
		world->figures.sent += figures.sent;
		world->figures.refused += figures.refused;
		world->figures.repeated += figures.repeated;
		world->figures.local += figures.local;
		world->figures.unknown += figures.unknown;
	}
}

static void play(uint64_t seed, unsigned statuses[], struct forward_figures *sum)
{
	struct world *world = mem_zalloc(1, sizeof(*world));
	ck_assert_ptr_nonnull(world);
	random_init(&world->random, seed);
	unsigned nodes = 2 + pick(world, RIG_NODES_MAX - 1);
	rig_open(
	    &world->rig, nodes, &(struct forward_options){.link_calls_max = 1 + pick(world, 8)});
	rig_link_all(&world->rig);
	for (unsigned i = 0; i < STEPS; i++)
		step(world);
	settle(world);
	for (unsigned i = 0; i < world->begun; i++)
		check_call(world, i);
	check_order(world);
	add_figures(world);
	for (unsigned i = 0; i < world->begun; i++)
		rig_call_done(&world->calls[i]);
	rig_close(&world->rig);
	for (unsigned i = 0; i <= STATUS_UNKNOWN_OUTCOME; i++)
		statuses[i] += world->statuses[i];
	sum->sent += world->figures.sent;
	sum->refused += world->figures.refused;
	sum->repeated += world->figures.repeated;
	sum->local += world->figures.local;
	sum->unknown += world->figures.unknown;
	mem_free(world);
}

START_TEST(what_clients_are_told_is_true)
{
	unsigned statuses[STATUS_UNKNOWN_OUTCOME + 1] = {0};
	struct forward_figures sum = {0};
	for (uint64_t seed = 1; seed <= UNIT_ROUNDS(200); seed++)
		play(seed, statuses, &sum);
	/* All of it happens. */
	ck_assert_uint_gt(statuses[STATUS_OK], 0);
	ck_assert_uint_gt(statuses[STATUS_UNAVAILABLE], 0);
	ck_assert_uint_gt(statuses[STATUS_DEADLINE_EXCEEDED], 0);
	ck_assert_uint_gt(statuses[STATUS_UNKNOWN_OUTCOME], 0);
	ck_assert_uint_gt(sum.refused, 0);
	ck_assert_uint_gt(sum.repeated, 0);
	ck_assert_uint_gt(sum.local, 0);
	printf("answered %u, unavailable %u, late %u, unknown %u; sent %llu, refused %llu, "
	       "repeated %llu, local %llu\n",
	    statuses[STATUS_OK], statuses[STATUS_UNAVAILABLE], statuses[STATUS_DEADLINE_EXCEEDED],
	    statuses[STATUS_UNKNOWN_OUTCOME], (unsigned long long)sum.sent,
	    (unsigned long long)sum.refused, (unsigned long long)sum.repeated,
	    (unsigned long long)sum.local);
}
END_TEST

Suite *world_suite(void)
{
	Suite *suite = suite_create("world");
	TCase *tcase = tcase_create("world");
	tcase_add_test(tcase, what_clients_are_told_is_true);
	suite_add_tcase(suite, tcase);
	return suite;
}
