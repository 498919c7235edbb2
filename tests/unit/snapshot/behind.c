#include "tests/unit/snapshot/behind.h"

#include "base/mem.h"
#include "storage/batch.h"
#include "storage/keys.h"
#include "tests/unit/snapshot/suites.h"

unsigned lagging, other;

bool lagging_installed(void *arg)
{
	(void)arg;
	return world.node[lagging].installs > 0;
}

unsigned a_follower(void)
{
	unsigned number = number_of(leader());
	return (number + 1) % world.nodes;
}

void leave_behind(void)
{
	ck_assert(world_run(has_leader, NULL, FAR_MS));
	ck_assert(put_values(FEW));
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	lagging = a_follower();
	other = (lagging + 1) % world.nodes;
	cut(lagging, true);
	if (world.nodes > 3)
		cut(other, true);
	ck_assert(put_values(MANY));
	world_wait(500);
}

void begin_with(const struct snapshots_options *options)
{
	world_begin((uint64_t)1, 3, options);
	for (unsigned i = 0; i < world.nodes; i++)
		boot(i);
	leave_behind();
}

void expect_all_same(void)
{
	ck_assert(world_run(all_have_all, NULL, FAR_MS));
	uint64_t wanted = state_hash(0);
	for (unsigned i = 1; i < world.nodes; i++)
		ck_assert_uint_eq(state_hash(i), wanted);
}

void expect_nothing_held(void)
{
	world_wait(100);
	for (unsigned i = 0; i < world.nodes; i++) {
		look_at_figures(i);
		const struct snapshots_figures *figures = &world.node[i].figures;
		ck_assert_uint_eq(figures->bytes_held, 0);
		ck_assert_uint_eq(figures->sending + figures->sending_waits, 0);
		ck_assert_uint_eq(figures->receiving + figures->receiving_waits, 0);
		ck_assert_uint_le(figures->bytes_held_max,
		    2 * (SNAPSHOT_WINDOW_BYTES + SNAPSHOT_CHUNK_BYTES) + SLACK_BYTES);
	}
}

bool half_is_sent(void *arg)
{
	(void)arg;
	return world.sent[SNAPSHOT_CHUNK] >= 15;
}

struct large {
	struct node *node;
	size_t bytes;
};

static void put_large_in_process(void *arg)
{
	const struct large *large = arg;
	static const uint8_t key[] = {KEY_KIND_FIRST_FREE, 'l'};
	size_t bytes = large->bytes + 64;
	uint8_t *span = mem_alloc(bytes), *value = mem_zalloc(1, large->bytes);
	struct group_position at;
	ck_assert(span && value);
	struct writer out = writer_of(span, bytes);
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_of(value, large->bytes));
	struct slice batch = writer_view(&out);
	ck_assert_int_eq(group_reserve(large->node->group, batch.bytes, 1, false), 0);
	group_unreserve(large->node->group, batch.bytes, 1);
	group_propose(large->node->group, batch, &at);
	world.proposed = at.index;
	io_wake(large->node->io, NULL);
	mem_free(span);
	mem_free(value);
}

bool put_large(size_t bytes)
{
	struct large large = {.node = leader(), .bytes = bytes};
	return large.node && sim_node_run(large.node->machine, put_large_in_process, &large);
}
