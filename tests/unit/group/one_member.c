#include "tests/unit/group/one_member.h"

#include <string.h>

#include "base/assert.h"
#include "base/io/fs.h"
#include "tests/unit/run.h"

struct one_member one;

static void leading(void *arg, uint64_t term)
{
	struct member *member = arg;
	member->leadings++;
	member->leading_term = term;
}

static void lost(void *arg)
{
	struct member *member = arg;
	member->losts++;
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct member *member = arg;
	ck_assert_uint_lt(member->applieds, ENTRIES_MAX);
	member->applied[member->applieds] = entry->at;
	member->times[member->applieds] = entry->time_ms;
	member->kinds[member->applieds++] = entry->kind;
}

static void confirmed(void *arg, uint64_t round)
{
	(void)arg;
	(void)round;
}

int one_reserve_many(void)
{
	return group_reserve(one.members[0].group, 1000, 40, false);
}

static void room(void *arg)
{
	struct member *member = arg;
	member->rooms++;
	if (one.insists)
		one.error = one_reserve_many();
}

static void told_closed(void *arg)
{
	struct member *member = arg;
	member->closeds++;
}

static const struct group_events events = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .confirmed = confirmed,
    .room = room,
    .closed = told_closed};

static void turn(void *arg)
{
	(void)arg;
	starve_begin(&one.starve);
	io_run(one.io);
	bool more = one.store && group_store_turn(one.store);
	starve_end(&one.starve);
	if (more)
		io_wake(one.io, NULL);
}

/* Other nodes may be there, but no group has a replica on one. */
static void send_nothing(void *arg, uint32_t shard, const struct raft_message *message)
{
	(void)arg;
	(void)shard;
	(void)message;
	ck_abort_msg("a group that is alone sends something");
}

static const struct group_carrier carrier = {.send = send_nothing};

/* Nobody else votes: what is durable is committed, and nothing of it is left for later. */
static void expect_replayed(const struct member *member)
{
	struct engine *engine = group_store_engine(one.store);
	if (!engine_shard_closed(engine, member->shard))
		ck_assert_uint_eq(group_applied(member->group).index,
		    engine_group(engine, member->shard).last_index);
}

static void open_in_process(void *arg)
{
	(void)arg;
	char why[512];
	struct group_store_options options = {.carrier = &carrier,
	    .node = 1,
	    .engine = {.fs = sim_node_fs(one.node),
	        .io = one.io,
	        .root = "/",
	        .dir = "stores/000",
	        .store_id = 7,
	        .segment_bytes = 256 * 1024,
	        .first_segment_bytes = 128 * 1024,
	        .frame_bytes_max = 64 * 1024,
	        .reserve_bytes_max = 64 * 1024}};
	struct engine_report report;
	one.store = NULL;
	starve_begin(&one.starve);
	one.error = group_store_open(&options, why, sizeof(why), &one.store, &report);
	for (uint32_t i = 0; i < GROUPS && !one.error; i++) {
		memset(&one.members[i], 0, sizeof(one.members[i]));
		one.members[i].shard = i + 1;
		one.error =
		    group_add(one.store, i + 1, &events, &one.members[i], &one.members[i].group);
	}
	starve_end(&one.starve);
	for (uint32_t i = 0; i < GROUPS && !one.error; i++)
		expect_replayed(&one.members[i]);
	ck_assert_msg(!one.error || (one.error == ERR_NOMEM && one.starve.failed), "%s", why);
	one.is_open = !one.error;
}

void one_start_in_process(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < GROUPS; i++)
		group_start(one.members[i].group);
	io_wake(one.io, NULL);
}

bool one_all_lead(void *arg)
{
	(void)arg;
	for (uint32_t i = 0; i < GROUPS; i++)
		if (one.members[i].leadings == 0)
			return false;
	return true;
}

void one_boot(void)
{
	one.io = sim_node_boot(one.node);
	sim_node_set_turn(one.node, turn, NULL);
	ck_assert(sim_node_run(one.node, open_in_process, NULL));
}

void one_start(void)
{
	ck_assert(sim_node_run(one.node, one_start_in_process, NULL));
	ck_assert(sim_run_until(one.sim, one_all_lead, NULL, STEPS_MAX));
}

void one_set_up(void)
{
	memset(&one, 0, sizeof(one));
	one.sim = sim_new(1, NULL);
	one.node = sim_node_new(one.sim);
	struct fs *fs = sim_node_fs(one.node);
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
	one_boot();
}

void one_tear_down(void)
{
	sim_free(one.sim);
}

void one_crash(void)
{
	one.store = NULL;
	sim_node_crash(one.node, SIM_POWER_CUT);
}

struct slice one_batch_of(uint8_t *span, size_t bytes, const char *value)
{
	uint8_t key[2] = {KEY_KIND_FIRST_FREE, 'k'};
	struct writer out = writer_of(span, bytes);
	batch_begin(&out);
	batch_put(&out, slice_of(key, sizeof(key)), slice_from_text(value));
	return writer_view(&out);
}

static void propose_in_process(void *arg)
{
	uint8_t span[64];
	struct slice batch = one_batch_of(span, sizeof(span), arg);
	struct group *group = one.members[0].group;
	ck_assert_int_eq(group_reserve(group, batch.bytes, 1, false), 0);
	group_unreserve(group, batch.bytes, 1);
	group_propose(group, batch, &one.proposed);
	/* Its memory is the caller's again at once. */
	memset(span, 0xee, sizeof(span));
	io_wake(one.io, NULL);
}

void one_propose(char *value)
{
	ck_assert(sim_node_run(one.node, propose_in_process, value));
}

bool one_proposed_is_applied(void *arg)
{
	(void)arg;
	return group_applied(one.members[0].group).index == one.proposed.index;
}

static void expect_in_process(void *arg)
{
	const char *wanted = arg;
	uint8_t key[2] = {KEY_KIND_FIRST_FREE, 'k'};
	struct slice value;
	enum table_found found =
	    engine_get(group_store_engine(one.store), 1, slice_of(key, sizeof(key)), &value);
	ck_assert_int_eq(found, TABLE_VALUE);
	ck_assert(slice_equal(value, slice_from_text(wanted)));
}

void one_expect_value(char *wanted)
{
	ck_assert(sim_node_run(one.node, expect_in_process, wanted));
}

bool one_has_room(void *arg)
{
	(void)arg;
	return one.members[0].rooms > 0;
}

void one_closed(void *arg)
{
	(void)arg;
	one.closed = true;
}

bool one_is_closed(void *arg)
{
	(void)arg;
	return one.closed;
}

void one_free_in_process(void *arg)
{
	(void)arg;
	group_store_free(one.store);
	one.store = NULL;
	io_free(one.io);
}
