#include "tests/unit/meta/flow_rig.h"

#include <stdio.h>
#include <string.h>

#include "base/io/fs.h"
#include "base/io/io.h"
#include "server/meta/meta_parts.h"

enum { STEPS_MAX = 400000, SHARDS = 8 };

struct flow_world world;

/* The linker puts this in the place of group_add: see module.am. */
int __real_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	world.events = events;
	world.events_arg = arg;
	return __real_group_add(store, shard, events, arg, ret_group);
}

/* What the directory does in the pool starves with it. */
void __real_io_offload(struct io *io, struct io_op *op, void (*work)(struct io_op *op));
void __wrap_io_offload(struct io *io, struct io_op *op, void (*work)(struct io_op *op));
static void (*directory_reads)(struct io_op *op);
static void read_starving(struct io_op *op)
{
	starve_begin(&world.starve);
	directory_reads(op);
	starve_end(&world.starve);
}

void __wrap_io_offload(struct io *io, struct io_op *op, void (*work)(struct io_op *op))
{
	if (world.meta && op == &world.meta->read_op) {
		directory_reads = work;
		work = read_starving;
	}
	__real_io_offload(io, op, work);
}

/* ---- The cores ---- */

static void load(void *arg, struct slice bundle)
{
	(void)arg;
	ck_assert(!world.asked_load && !world.asked_activate);
	ck_assert_uint_gt(bundle.bytes, 0);
	world.asked_load = true;
	world.loads++;
}

static void activate(void *arg, const struct meta_activation *activation)
{
	(void)arg;
	ck_assert(!world.asked_load && !world.asked_activate);
	world.asked_activate = true;
	world.activations++;
	world.generation = activation->generation;
	world.dropped = 0;
	for (size_t i = 0; i < activation->type_count; i++)
		if (strcmp(activation->types[i].name, "box") == 0)
			world.dropped = activation->types[i].incarnation;
	snprintf(world.active, sizeof(world.active), "%s", activation->hash);
	for (uint32_t shard = 1; shard + world.pending <= SHARDS; shard++)
		activation->have[shard] = 1;
}

/* As many for each letter of the name as `entities` says. */
static void count(void *arg, struct slice type, uint64_t until_ns)
{
	(void)arg;
	ck_assert(!world.asked_load && !world.asked_activate && !world.asked_count);
	ck_assert_uint_ge(until_ns, io_now_ns(world.io));
	ck_assert_uint_lt(type.bytes, sizeof(world.counted_type));
	memcpy(world.counted_type, type.data, type.bytes);
	world.counted_type[type.bytes] = '\0';
	world.asked_count = true;
	world.counts++;
}

static void answer_for_cores(void)
{
	if (world.asked_count) {
		world.asked_count = false;
		meta_counted(
		    world.meta, world.entities * strlen(world.counted_type), !world.more_entities);
	}
	if (world.asked_load) {
		world.asked_load = false;
		meta_loaded(world.meta, world.cannot_load ? STATUS_RESOURCE_EXHAUSTED : STATUS_OK,
		    slice_of(NULL, 0));
	} else if (world.asked_activate) {
		world.asked_activate = false;
		meta_activated(world.meta,
		    !world.pending ? STATUS_OK
		    : world.closed ? STATUS_DATA_LOSS
		                   : STATUS_UNAVAILABLE,
		    world.pending);
	}
}

/* ---- The process ---- */

static void store_closed(void *arg)
{
	(void)arg;
	world.stopped = true;
}

static void turn_stopping(void)
{
	if (!world.meta || !meta_close(world.meta))
		return;
	meta_free(world.meta);
	world.meta = NULL;
	group_store_close(world.store, store_closed, NULL);
}

static void turn(void *arg)
{
	(void)arg;
	if (!world.io)
		return;
	starve_begin(&world.starve);
	io_run(world.io);
	bool more = false;
	if (world.meta) {
		if (!world.hold)
			answer_for_cores();
		more = meta_turn(world.meta);
		if (meta_error(world.meta))
			world.error = meta_error(world.meta);
	}
	if (world.stopping)
		turn_stopping();
	if (world.store)
		more |= group_store_turn(world.store);
	starve_end(&world.starve);
	bool asked = world.asked_load || world.asked_activate || world.asked_count;
	if (more || (!world.hold && asked))
		io_wake(world.io, NULL);
}

static void opened(void *arg)
{
	(void)arg;
}

static void ready(void *arg)
{
	(void)arg;
	world.ready++;
}

static void open_in_process(void *arg)
{
	char why[512] = "";
	struct engine_report report;
	(void)arg;
	struct group_store_options store = {.engine = {.fs = sim_node_fs(world.node),
	                                        .io = world.io,
	                                        .root = "/",
	                                        .dir = "stores/000",
	                                        .store_id = 7,
	                                        .segment_bytes = 1024 * 1024,
	                                        .first_segment_bytes = 512 * 1024,
	                                        .frame_bytes_max = 256 * 1024,
	                                        .reserve_bytes_max = 64 * 1024}};
	ck_assert_int_eq(group_store_open(&store, why, sizeof(why), &world.store, &report), 0);
	struct host_options host = {.mode = HOST_DEV, .seed = 1};
	ck_assert_int_eq(host_new(&host, &world.host), 0);
	struct meta_options meta = {.io = world.io,
	    .store = world.store,
	    .host = world.host,
	    .cores = {.load = load, .activate = activate, .count = count},
	    .shards_wanted = SHARDS,
	    .id_wanted = {1, 2},
	    .self = {.incarnation = 77, .cores = 1, .stores = 2, .host = "127.0.0.1"},
	    .opened = opened,
	    .ready = ready};
	ck_assert_int_eq(meta_new(&meta, &world.meta), 0);
	meta_start(world.meta);
	io_wake(world.io, NULL);
}

static bool is_ready(void *arg)
{
	(void)arg;
	return world.ready > 0;
}

void run_until(bool (*until)(void *arg), void *arg)
{
	ck_assert(sim_run_until(world.sim, until, arg, STEPS_MAX));
}

void flow_boot(void)
{
	world.ready = world.loads = world.activations = world.counts = 0;
	world.asked_load = world.asked_activate = world.asked_count = false;
	world.error = 0;
	world.stopping = world.stopped = false;
	world.io = sim_node_boot(world.node);
	sim_node_set_turn(world.node, turn, NULL);
	ck_assert(sim_node_run(world.node, open_in_process, NULL));
	run_until(is_ready, NULL);
}

void flow_crash(void)
{
	world.io = NULL;
	world.meta = NULL;
	world.store = NULL;
	sim_node_crash(world.node, SIM_POWER_CUT);
}

static void stop_in_process(void *arg)
{
	(void)arg;
	world.stopping = true;
	io_wake(world.io, NULL);
}

static void free_in_process(void *arg)
{
	(void)arg;
	group_store_free(world.store);
	world.store = NULL;
	host_free(world.host);
	io_free(world.io);
	world.io = NULL;
}

static bool is_stopped(void *arg)
{
	(void)arg;
	return world.stopped;
}

void flow_stop(void)
{
	ck_assert(sim_node_run(world.node, stop_in_process, NULL));
	run_until(is_stopped, NULL);
	ck_assert(sim_node_run(world.node, free_in_process, NULL));
	ck_assert_uint_eq(sim_node_stop(world.node), 0);
}

void flow_make(void)
{
	memset(&world, 0, sizeof(world));
	world.sim = sim_new(1, NULL);
	world.node = sim_node_new(world.sim);
	struct fs *fs = sim_node_fs(world.node);
	ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
	ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
}

void flow_set_up(void)
{
	flow_make();
	flow_boot();
}

void flow_tear_down(void)
{
	sim_free(world.sim);
}

/* ---- Requests ---- */

static void request_done(struct meta_request *request)
{
	struct test_request *test = CONTAINER_OF(request, struct test_request, request);
	ck_assert(!test->done);
	test->done = true;
	/* As the gate does: what was asked with is gone once it is answered. */
	buffer_done(&test->bundle);
}

void deploy_init(struct test_request *test, const char *app, const char *type, int version)
{
	char source[512];
	*test = (struct test_request){.request = {.verb = META_APP_DEPLOY, .done = request_done}};
	snprintf(source, sizeof(source),
	    "local k = require 'kalix'\n"
	    "return { name = '%s', k.value_entity '%s' { queries = { get = function() return %d "
	    "end } } }\n",
	    app, type, version);
	buffer_init(&test->bundle, 65536);
	struct host_file file = {
	    .path = slice_from_text("app.lua"), .source = slice_from_text(source)};
	ck_assert_int_eq(host_bundle_pack(&file, 1, &test->bundle), 0);
	test->request.bundle = buffer_view(&test->bundle);
	host_bundle_hash(test->request.bundle, test->hash);
}

static void submit_in_process(void *arg)
{
	struct test_request *test = arg;
	starve_begin(&world.starve);
	meta_submit(world.meta, &test->request);
	starve_end(&world.starve);
	io_wake(world.io, NULL);
}

void submit(struct test_request *test)
{
	ck_assert(sim_node_run(world.node, submit_in_process, test));
}

bool is_done(void *arg)
{
	return ((struct test_request *)arg)->done;
}

bool slice_has(struct slice text, const char *part)
{
	return text.data && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

void listed_hash(const char *app, char hash[HOST_HASH_CHARACTERS + 1])
{
	struct test_request list;
	char wanted[64];
	change_init(&list, META_APP_LIST);
	submit(&list);
	run_until(is_done, &list);
	ck_assert_int_eq(list.request.status, STATUS_OK);
	struct slice text = buffer_view(&list.request.reply);
	if (!text.data)
		ck_abort_msg("the list has no text");
	hash[0] = 0;
	int bytes = snprintf(wanted, sizeof(wanted), "{\"app\":\"%s\",\"generation\":", app);
	const char *at = memmem(text.data, text.bytes, wanted, (size_t)bytes);
	const char *end = (const char *)text.data + text.bytes;
	if (at)
		at = memmem(at, (size_t)(end - at), "\"hash\":\"", 8);
	if (at && at[8] != '"')
		memcpy(hash, at + 8, HOST_HASH_CHARACTERS);
	hash[at && at[8] != '"' ? HOST_HASH_CHARACTERS : 0] = 0;
	buffer_done(&list.request.reply);
}

enum status run(struct test_request *test)
{
	submit(test);
	run_until(is_done, test);
	buffer_done(&test->request.reply);
	buffer_done(&test->request.details);
	return test->request.status;
}

enum status deploy(const char *app, const char *type, int version, char hash[33])
{
	struct test_request test;
	deploy_init(&test, app, type, version);
	if (hash)
		memcpy(hash, test.hash, sizeof(test.hash));
	return run(&test);
}

void change_init(struct test_request *test, enum meta_verb verb)
{
	*test = (struct test_request){.request = {.verb = verb, .done = request_done}};
}

enum status change(enum meta_verb verb, const char *app, const char *expected)
{
	struct test_request test;
	change_init(&test, verb);
	struct slice drop = slice_from_text("box");
	test.request.app = slice_from_text(app);
	if (expected)
		test.request.expected = slice_from_text(expected);
	test.request.drop = &drop;
	test.request.drop_count = verb == META_APP_REMOVE;
	return run(&test);
}

bool activation_asked(void *arg)
{
	(void)arg;
	return world.asked_activate;
}
