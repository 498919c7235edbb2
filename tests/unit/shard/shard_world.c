#include "tests/unit/shard/shard_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "base/slot.h"
#include "replication/group.h"
#include "server/shard/records.h"
#include "storage/keys.h"
#include "storage/sim/store_sim.h"
#include "tests/unit/run.h"

struct world world;

static void turn(void *arg)
{
	(void)arg;
	if (!world.io)
		return;
	/* Tests may make an allocation fail by themselves, too. */
	bool more = false, starves = world.starve.left > 0;
	if (starves)
		starve_begin(&world.starve);
	io_run(world.io);
	if (world.shards) {
		more = shards_turn(world.shards);
		more |= group_store_turn(world.store);
		more |= shards_run_long(world.shards);
	}
	if (starves)
		starve_end(&world.starve);
	if (more)
		io_wake(world.io, NULL);
}

static void fault(void *arg, const struct shard_error *error)
{
	(void)arg;
	world.faults++;
	snprintf(world.reference, sizeof(world.reference), "%s", error->reference);
	snprintf(world.traceback, sizeof(world.traceback), "%.*s", (int)error->traceback.bytes,
	    (const char *)error->traceback.data);
}

static uint64_t replica(void *arg, uint32_t shard)
{
	(void)arg;
	return world.absent >> shard & 1 ? 0 : 1;
}

static const struct shard_map map = {
    .shard_count = WORLD_SHARDS, .store_count = 1, .core_count = 1};

static void open_in_process(void *arg)
{
	char why[512];
	(void)arg;
	struct group_store_options options = {.engine = {.fs = sim_node_fs(world.node),
	                                          .io = world.io,
	                                          .root = "/",
	                                          .dir = "stores/000",
	                                          .store_id = 7,
	                                          .segment_bytes = 4 * world.frame_bytes_max,
	                                          .first_segment_bytes = 2 * world.frame_bytes_max,
	                                          .frame_bytes_max = world.frame_bytes_max,
	                                          .clean_bytes_max = world.clean_bytes_max,
	                                          .reserve_bytes_max = 64 * 1024}};
	struct engine_report report;
	int error = group_store_open(&options, why, sizeof(why), &world.store, &report);
	ck_assert_msg(!error, "%s", why);
	struct host_options host = {.mode = HOST_DEV};
	error = host_new(&host, &world.host);
	ck_assert_int_eq(error, 0);
	struct shards_options shards = {.io = world.io,
	    .host = world.host,
	    .map = map,
	    .stores = &world.store,
	    .replica = replica,
	    .seed = 11,
	    .fold_cache_bytes_max = world.fold_cache_bytes_max,
	    .queue_bytes_max = world.queue_bytes_max,
	    .dev = true,
	    .error = fault,
	    .elsewhere = world.elsewhere,
	    .others = world.others};
	error = shards_new(&shards, &world.shards);
	ck_assert_int_eq(error, 0);
	shards_start(world.shards);
	io_wake(world.io, NULL);
}

void world_do(void (*run)(void *arg), void *arg)
{
	ck_assert(sim_node_run(world.node, run, arg));
}

void world_run_until(bool (*until)(void *arg), void *arg)
{
	ck_assert(sim_run_until(world.sim, until, arg, WORLD_STEPS_MAX));
}

static bool is_ready(void *arg)
{
	(void)arg;
	return shards_ready(world.shards);
}

void world_wait_ready(void)
{
	world_run_until(is_ready, NULL);
}

void world_boot(void)
{
	struct store_sim_faults faults = {.cold_percent = world.cold_percent};
	store_sim_set_faults(sim_node_fs(world.node), &faults);
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, turn, NULL);
	world_do(open_in_process, NULL);
}

void world_crash(void)
{
	world.io = NULL;
	world.shards = NULL;
	sim_node_crash(world.node, SIM_POWER_CUT);
}

void world_boot_damaged(const char *address, uint32_t shard)
{
	struct key key;
	uint8_t full[1024];
	world_checkpoint();
	world_crash();
	world.cold_percent = 100;
	world_boot();
	key_shard_put(full, shard);
	key_of_entity(
	    &key, SHARD_KEY_HEAD, (struct entity_name){.address = slice_from_text(address)});
	memcpy(full + KEY_SHARD_BYTES, key.data, key.bytes);
	ck_assert(store_sim_damage(
	    sim_node_fs(world.node), "stores/000/db", slice_of(full, KEY_SHARD_BYTES + key.bytes)));
}

/* ---- Apps ---- */

struct activating {
	struct shards_activation activation;
	const char *bundle;
	bool done;
};

static void activated(struct shards_activation *activation)
{
	CONTAINER_OF(activation, struct activating, activation)->done = true;
}

static void provide_in_process(void *arg)
{
	struct host_bundle *bundle;
	int error = host_load(world.host, slice_from_text(arg), NULL, &bundle);
	ck_assert_int_eq(error, 0);
	shards_provide(world.shards, bundle);
}

static void activate_in_process(void *arg)
{
	struct activating *activating = arg;
	shards_activate(world.shards, &activating->activation);
}

static bool is_activated(void *arg)
{
	return ((struct activating *)arg)->done;
}

void world_activate(const char *bundle, uint64_t index)
{
	world_activate_dropping(bundle, index, NULL, 0);
}

void world_activate_dropping(
    const char *bundle, uint64_t index, const char *type, uint64_t incarnation)
{
	struct shards_drop drop = {.incarnation = incarnation};
	snprintf(drop.type, sizeof(drop.type), "%s", type ? type : "");
	world_do(provide_in_process, (void *)(uintptr_t)bundle);
	struct activating activating = {.bundle = bundle,
	    .activation = {.app = slice_from_text("shop"),
	        .directory_index = index,
	        .drops = &drop,
	        .drop_count = type != NULL,
	        .done = activated}};
	host_bundle_hash(slice_from_text(bundle), activating.activation.hash);
	world_do(activate_in_process, &activating);
	world_run_until(is_activated, &activating);
	ck_assert_int_eq(activating.activation.status, STATUS_OK);
	ck_assert_uint_eq(activating.activation.pending, 0);
}

/* ---- Begin and end ---- */

void world_set_up(void)
{
	world_set_up_without(0, NULL);
}

void world_set_up_without(
    uint64_t absent, bool (*elsewhere)(void *arg, struct shard_call *call, uint32_t shard))
{
	memset(&world, 0, sizeof(world));
	world.absent = absent;
	world.elsewhere = elsewhere;
	world.frame_bytes_max = 256 * 1024;
	world.sim = sim_new(1, NULL);
	world.node = sim_node_new(world.sim);
	struct fs *fs = sim_node_fs(world.node);
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
	world_boot();
	world_wait_ready();
	world_activate("fake:shop:1", 5);
}

void world_tear_down(void)
{
	host_fake_set_change_bytes_max(0);
	host_fake_set_history(0);
	sim_free(world.sim);
}

static void closed(void *arg)
{
	(void)arg;
	world.closed = true;
}

static bool is_closed(void *arg)
{
	(void)arg;
	return world.closed;
}

static void close_shards_in_process(void *arg)
{
	(void)arg;
	world.closed = false;
	shards_close(world.shards, closed, NULL);
}

static void close_store_in_process(void *arg)
{
	(void)arg;
	world.closed = false;
	group_store_close(world.store, closed, NULL);
	io_wake(world.io, NULL);
}

static void free_in_process(void *arg)
{
	(void)arg;
	shards_free(world.shards);
	world.shards = NULL;
	group_store_free(world.store);
	host_free(world.host);
	io_free(world.io);
	world.io = NULL;
}

void world_step(unsigned count)
{
	while (count-- > 0 && sim_step(world.sim)) {
	}
}

void world_close(void)
{
	world_do(close_shards_in_process, NULL);
	world_run_until(is_closed, NULL);
}

void world_stop(void)
{
	world_do(close_store_in_process, NULL);
	world_run_until(is_closed, NULL);
	world_do(free_in_process, NULL);
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
}

static void checkpoint_in_process(void *arg)
{
	(void)arg;
	engine_checkpoint(group_store_engine(world.store));
	io_wake(world.io, NULL);
}

static bool is_checkpointed(void *arg)
{
	struct engine_figures figures = engine_figures(group_store_engine(world.store));
	return figures.checkpoints > *(uint64_t *)arg && figures.table.frozen_bytes == 0;
}

void world_checkpoint(void)
{
	uint64_t before = engine_figures(group_store_engine(world.store)).checkpoints;
	world_do(checkpoint_in_process, NULL);
	world_run_until(is_checkpointed, &before);
}

const char *world_address(const char *type, uint32_t shard)
{
	static char address[64];
	for (unsigned i = 0;; i++) {
		snprintf(address, sizeof(address), "%s/n%u", type, i);
		if (shard_of_slot(&map, slot_of(slice_from_text(address))) == shard)
			return address;
	}
}

/* ---- Calls ---- */

static void call_done(struct shard_call *call)
{
	struct test_call *test = CONTAINER_OF(call, struct test_call, call);
	ck_assert(!test->done);
	test->done = true;
	test->order = ++world.answers;
}

void test_call_init(struct test_call *call, const char *address, const char *name, uint64_t id)
{
	memset(call, 0, sizeof(*call));
	snprintf(call->address, sizeof(call->address), "%s", address);
	snprintf(call->name, sizeof(call->name), "%s", name);
	snprintf(call->payload, sizeof(call->payload), "%" PRIu64, id);
	call->call.kind = SHARD_CALL;
	call->call.address = slice_from_text(call->address);
	call->call.name = slice_from_text(call->name);
	call->call.has_payload = true;
	call->call.payload = slice_from_text(call->payload);
	call->call.caller.name = slice_from_text("default");
	call->call.deadline_ns = sim_now_ns(world.sim) + 60 * NS_PER_S;
	call->call.done = call_done;
}

static void submit_in_process(void *arg)
{
	struct test_call *call = arg;
	call->call.token = slice_from_text(call->token);
	shards_submit(world.shards, &call->call);
	ck_assert(!call->done);
	io_wake(world.io, NULL);
}

void test_call_submit(struct test_call *call)
{
	world_do(submit_in_process, call);
}

static bool is_done(void *arg)
{
	return ((struct test_call *)arg)->done;
}

void test_call_wait(struct test_call *call)
{
	world_run_until(is_done, call);
}

void test_call_done(struct test_call *call)
{
	buffer_done(&call->call.reply);
	buffer_done(&call->call.details);
}

enum status test_call_run(
    struct test_call *call, const char *address, const char *name, uint64_t id)
{
	test_call_init(call, address, name, id);
	test_call_submit(call);
	test_call_wait(call);
	return call->call.status;
}

struct host_fake_view test_call_view(const struct test_call *call)
{
	struct host_fake_view view;
	struct slice reply = buffer_view(&call->call.reply);
	ck_assert_msg(
	    host_fake_parse(reply, &view), "%.*s", (int)reply.bytes, (const char *)reply.data);
	return view;
}

struct host_fake_view world_get(const char *address)
{
	struct test_call call;
	enum status status = test_call_run(&call, address, "get", 0);
	ck_assert_msg(status == STATUS_OK, "%s: %.*s", status_name(status),
	    (int)buffer_bytes(&call.call.reply), (const char *)buffer_view(&call.call.reply).data);
	struct host_fake_view view = test_call_view(&call);
	test_call_done(&call);
	return view;
}
