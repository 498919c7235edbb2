#include "tests/unit/meta/nodes_rig.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/io/fs.h"
#include "base/io/io.h"
#include "server/meta/meta_parts.h"
#include "storage/engine_parts.h"

enum { STEPS_MAX = 400000 };

struct rig rig;

/* ---- The groups ---- */

/* The linker puts these in the place of the group's own: see module.am. */
int __real_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group);
void __real_group_propose(struct group *group, struct slice batch, struct group_position *ret_at);
void __wrap_group_propose(struct group *group, struct slice batch, struct group_position *ret_at);

void __wrap_group_set_self(struct group *group, uint64_t self);

static void leading(void *arg, uint64_t term)
{
	struct rig_node *node = arg;
	(void)term;
	node->real_leads = true;
	if (node->number == rig.leader)
		node->events->leading(node->events_arg, rig.term);
}

static void lost(void *arg)
{
	(void)arg;
	ck_abort_msg("a group of one does not lose");
}

static void applied(void *arg, const struct group_entry *entry)
{
	struct rig_node *node = arg;
	if (entry->kind == GROUP_BATCH) {
		ck_assert_uint_gt(node->under_way, 0);
		node->under_way--;
	}
	if (!node->installs)
		node->events->applied(node->events_arg, entry);
}

static void confirmed(void *arg, uint64_t round)
{
	(void)arg;
	(void)round;
}

static void room(void *arg)
{
	struct rig_node *node = arg;
	node->events->room(node->events_arg);
}

static void closed(void *arg)
{
	(void)arg;
	ck_abort_msg("no group is closed");
}

static const struct group_events below = {.leading = leading,
    .lost = lost,
    .applied = applied,
    .confirmed = confirmed,
    .room = room,
    .closed = closed};

static struct rig_node *adding;

int __wrap_group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	adding->events = events;
	adding->events_arg = arg;
	int error = __real_group_add(store, shard, &below, adding, ret_group);
	adding->group = *ret_group;
	return error;
}

/* The group below is one of its own, whatever the replica's number is. */
void __wrap_group_set_self(struct group *group, uint64_t self)
{
	(void)group;
	ck_assert_uint_eq(self, adding->replica);
}

/* The leader's, made by its directory. */
void __wrap_group_propose(struct group *group, struct slice batch, struct group_position *ret_at)
{
	struct rig_node *node = &rig.nodes[rig.leader];
	ck_assert(rig.leader > 0 && node->group == group && node->given == rig.row_count);
	ck_assert(rig.row_count < ROW_MAX && batch.bytes <= ENTRY_BYTES);
	memcpy(rig.row[rig.row_count].data, batch.data, batch.bytes);
	rig.row[rig.row_count++].bytes = batch.bytes;
	node->given++;
	node->under_way++;
	__real_group_propose(group, batch, ret_at);
}

/* What it does not have yet. */
static void give(struct rig_node *node)
{
	struct group_position at;
	while (node->real_leads && !node->behind && node->given < rig.row_count) {
		struct slice batch =
		    slice_of(rig.row[node->given].data, rig.row[node->given].bytes);
		if (group_reserve(node->group, batch.bytes, 1, false))
			return;
		group_unreserve(node->group, batch.bytes, 1);
		node->given++;
		node->under_way++;
		__real_group_propose(node->group, batch, &at);
	}
}

/* ---- Cores and shards ---- */

static void load(void *arg, struct slice bundle)
{
	struct rig_node *node = arg;
	ck_assert(!node->asked_load && !node->asked_activate);
	ck_assert_uint_gt(bundle.bytes, 0);
	node->asked_load = true;
	node->loads++;
}

static void activate(void *arg, const struct meta_activation *activation)
{
	struct rig_node *node = arg;
	ck_assert(!node->asked_load && !node->asked_activate);
	node->asked_activate = true;
	node->activation = *activation;
	node->activations++;
}

static void answer(struct rig_node *node)
{
	uint32_t pending = 0;
	if (node->asked_load) {
		node->asked_load = false;
		meta_loaded(node->meta, STATUS_OK, slice_of(NULL, 0));
	}
	if (!node->asked_activate)
		return;
	node->asked_activate = false;
	for (uint32_t shard = 1; shard <= SHARDS; shard++) {
		bool here = rig.shard_leader[shard] == node->number;
		if (!here) {
			pending += !node->activation.led_only;
			continue;
		}
		if (!rig.shard_refuses[shard] && rig.shard_has[shard] < node->activation.generation)
			rig.shard_has[shard] = node->activation.generation;
		if (rig.shard_has[shard] >= node->activation.generation)
			node->activation.have[shard] = 1;
		else
			pending++;
	}
	meta_activated(node->meta, pending ? STATUS_UNAVAILABLE : STATUS_OK, pending);
}

static void count(void *arg, struct slice type, uint64_t until_ns)
{
	(void)arg;
	(void)type;
	(void)until_ns;
	ck_abort_msg("nothing is counted");
}

/* ---- Processes ---- */

static void deliver(struct rig_node *node)
{
	for (size_t i = 0; i < node->inbox_count; i++)
		meta_told(node->meta, node->inbox[i].from,
		    slice_of(node->inbox[i].data, node->inbox[i].bytes));
	node->inbox_count = 0;
}

static void turn(void *arg)
{
	struct rig_node *node = arg;
	if (!node->io)
		return;
	if (node->store)
		give(node);
	starve_begin(&node->starve);
	io_run(node->io);
	bool more = false;
	if (node->meta) {
		deliver(node);
		if (!node->hold)
			answer(node);
		more = meta_turn(node->meta);
		if (meta_error(node->meta))
			node->error = meta_error(node->meta);
	}
	if (node->store)
		more |= group_store_turn(node->store);
	starve_end(&node->starve);
	bool asked = !node->hold && (node->asked_load || node->asked_activate);
	/* Others have something to do with what this one has done. */
	if (more || asked || node->inbox_count > 0)
		io_wake(node->io, NULL);
}

static void opened(void *arg)
{
	struct rig_node *node = arg;
	ck_assert_ptr_nonnull(node->map);
	node->opened++;
}

static void ready(void *arg)
{
	((struct rig_node *)arg)->ready++;
}

static void map_changed(void *arg, struct cluster_map *map)
{
	struct rig_node *node = arg;
	if (node->map)
		ck_assert_uint_gt(map->version, node->map->version);
	cluster_map_release(node->map);
	node->map = map;
	node->maps++;
}

static uint16_t leader(void *arg)
{
	(void)arg;
	return rig.leader;
}

static void tell(void *arg, uint16_t number, struct slice bytes)
{
	struct rig_node *from = arg;
	ck_assert(number > 0 && number <= NODES && number != from->number);
	rig.messages++;
	if (rig.drops_messages || !rig.nodes[number].meta)
		return;
	rig_tell(from->number, number, bytes);
}

void rig_tell(uint16_t from, uint16_t to, struct slice bytes)
{
	struct rig_node *node = &rig.nodes[to];
	ck_assert(node->inbox_count < MESSAGES_MAX && bytes.bytes <= 256);
	struct message *message = &node->inbox[node->inbox_count++];
	message->from = from;
	message->bytes = bytes.bytes;
	memcpy(message->data, bytes.data, bytes.bytes);
}

struct cluster_node rig_self(uint16_t number)
{
	return (struct cluster_node){.incarnation = 70 + (uint64_t)number,
	    .cores = number,
	    .stores = 2,
	    .host = "127.0.0.1",
	    .port = (uint16_t)(7000 + number)};
}

static void open_in_process(void *arg)
{
	struct rig_node *node = arg;
	char why[512] = "";
	struct engine_report report;
	struct group_store_options store = {.engine = {.fs = sim_node_fs(node->node),
	                                        .io = node->io,
	                                        .root = "/",
	                                        .dir = "stores/000",
	                                        .store_id = node->number,
	                                        .segment_bytes = 1024 * 1024,
	                                        .first_segment_bytes = 512 * 1024,
	                                        .frame_bytes_max = 256 * 1024,
	                                        .reserve_bytes_max = 64 * 1024}};
	ck_assert_int_eq(group_store_open(&store, why, sizeof(why), &node->store, &report), 0);
	struct host_options host = {.mode = HOST_DEV, .seed = 1};
	ck_assert_int_eq(host_new(&host, &node->host), 0);
	struct meta_options meta = {.io = node->io,
	    .store = node->store,
	    .host = node->host,
	    .cores = {.load = load, .activate = activate, .count = count, .arg = node},
	    .shards_wanted = SHARDS,
	    .id_wanted = {1, node->number},
	    .self = rig_self(node->number),
	    .joining = node->joining,
	    .replica = node->replica,
	    .opened = opened,
	    .ready = ready,
	    .map_changed = map_changed,
	    .leader = leader,
	    .tell = tell,
	    .arg = node};
	adding = node;
	ck_assert_int_eq(meta_new(&meta, &node->meta), 0);
	meta_start(node->meta);
	io_wake(node->io, NULL);
}

void rig_do(uint16_t number, void (*run)(void *arg), void *arg)
{
	ck_assert(sim_node_run(rig.nodes[number].node, run, arg));
}

void rig_boot(uint16_t number, bool joining)
{
	struct rig_node *node = &rig.nodes[number];
	node->joining = joining;
	node->opened = node->ready = node->loads = node->activations = node->maps = 0;
	node->error = 0;
	node->io = sim_node_boot(node->node);
	sim_node_set_turn(node->node, turn, node);
	rig_do(number, open_in_process, node);
}

void rig_crash(uint16_t number)
{
	struct rig_node *node = &rig.nodes[number];
	/* Its group has what it was given, or would be given it twice. */
	ck_assert_uint_eq(node->under_way, 0);
	node->io = NULL;
	node->meta = NULL;
	node->store = NULL;
	node->map = NULL;
	node->real_leads = node->asked_load = node->asked_activate = false;
	node->inbox_count = 0;
	sim_node_crash(node->node, SIM_POWER_CUT);
	if (rig.leader == number)
		rig.leader = 0;
}

void rig_run_until(bool (*until)(void *arg), void *arg)
{
	ck_assert(sim_run_until(rig.sim, until, arg, STEPS_MAX));
}

/* Each process looks up at least so often: what one has done concerns others. */
static void tick(void *arg)
{
	(void)arg;
	for (unsigned i = 1; i <= NODES; i++)
		if (rig.nodes[i].io)
			io_wake(rig.nodes[i].io, NULL);
	sim_call_at(rig.sim, sim_now_ns(rig.sim) + 2 * NS_PER_MS, tick, NULL);
}

static bool is_past(void *arg)
{
	return sim_now_ns(rig.sim) >= *(const uint64_t *)arg;
}

void rig_pass_ms(uint64_t ms)
{
	uint64_t until_ns = sim_now_ns(rig.sim) + ms * NS_PER_MS;
	rig_run_until(is_past, &until_ns);
}

static bool is_ready(void *arg)
{
	return ((struct rig_node *)arg)->ready > 0;
}

void rig_set_up(void)
{
	memset(&rig, 0, sizeof(rig));
	rig.sim = sim_new(1, NULL);
	for (unsigned i = 1; i <= NODES; i++) {
		rig.nodes[i].number = (uint16_t)i;
		rig.nodes[i].node = sim_node_new(rig.sim);
		struct fs *fs = sim_node_fs(rig.nodes[i].node);
		ck_assert_int_eq(fs_make_dir(fs, "stores"), 0);
		ck_assert_int_eq(fs_sync_dir(fs, "."), 0);
	}
	for (uint32_t shard = 1; shard <= SHARDS; shard++)
		rig.shard_leader[shard] = 1;
	rig.leader = 1;
	rig.term = 1;
	tick(NULL);
	rig_boot(1, false);
	rig_run_until(is_ready, &rig.nodes[1]);
}

void rig_tear_down(void)
{
	sim_free(rig.sim);
}

void rig_join(uint16_t number)
{
	struct rig_request join;
	rig_request_init(&join, META_NODE_JOIN);
	join.request.node = rig_self(number);
	ck_assert_int_eq(rig_run(&join, rig.leader), STATUS_OK);
	ck_assert_uint_eq(join.request.node.node, number);
	rig_done(&join);
	rig_boot(number, true);
	rig_run_until(is_ready, &rig.nodes[number]);
}

/* ---- Leaders ---- */

static void lose_in_process(void *arg)
{
	struct rig_node *node = arg;
	node->events->lost(node->events_arg);
}

static void lead_in_process(void *arg)
{
	struct rig_node *node = arg;
	node->events->leading(node->events_arg, rig.term);
}

static bool has_all(void *arg)
{
	const struct rig_node *node = arg;
	return node->given == rig.row_count && node->under_way == 0;
}

void rig_lead(uint16_t number)
{
	uint16_t before = rig.leader;
	rig.leader = 0;
	if (before)
		rig_do(before, lose_in_process, &rig.nodes[before]);
	if (!number)
		return;
	rig_run_until(has_all, &rig.nodes[number]);
	rig.leader = number;
	rig.term++;
	rig_do(number, lead_in_process, &rig.nodes[number]);
}

static void install_in_process(void *arg)
{
	struct rig_node *node = arg;
	node->events->installed(node->events_arg, group_applied(node->group));
}

void rig_install(uint16_t number)
{
	struct rig_node *node = &rig.nodes[number];
	node->installs = true;
	node->behind = false;
	rig_run_until(has_all, node);
	node->installs = false;
	rig_do(number, install_in_process, node);
}

void rig_fence(uint16_t number, bool fenced)
{
	struct engine *engine = group_store_engine(rig.nodes[number].store);
	engine_shard_need(engine, 0, NULL)->fenced = fenced;
}

static void shard_leads_in_process(void *arg)
{
	uint32_t shard = *(const uint32_t *)arg;
	meta_shard_leads(rig.nodes[rig.shard_leader[shard]].meta, shard);
}

void rig_move_shard(uint32_t shard, uint16_t number)
{
	rig.shard_leader[shard] = number;
	if (number)
		rig_do(number, shard_leads_in_process, &shard);
}

/* ---- Requests ---- */

static void request_done(struct meta_request *request)
{
	struct rig_request *test = CONTAINER_OF(request, struct rig_request, request);
	ck_assert(!test->done);
	test->done = true;
	buffer_done(&test->bundle);
}

void rig_request_init(struct rig_request *test, enum meta_verb verb)
{
	*test = (struct rig_request){.request = {.verb = verb, .done = request_done}};
	test->request.wanted = test->wanted;
}

void rig_deploy_init(struct rig_request *test, const char *app, int version)
{
	char source[512];
	rig_request_init(test, META_APP_DEPLOY);
	snprintf(source, sizeof(source),
	    "local k = require 'kalix'\n"
	    "return { name = '%s', k.value_entity '%s_box' { queries = { get = function() return "
	    "%d end } } }\n",
	    app, app, version);
	buffer_init(&test->bundle, 65536);
	struct host_file file = {
	    .path = slice_from_text("app.lua"), .source = slice_from_text(source)};
	ck_assert_int_eq(host_bundle_pack(&file, 1, &test->bundle), 0);
	test->request.bundle = buffer_view(&test->bundle);
}

static void submit_in_process(void *arg)
{
	struct rig_request *test = arg;
	meta_submit(rig.nodes[test->at].meta, &test->request);
}

void rig_submit(struct rig_request *test, uint16_t at)
{
	test->at = at;
	rig_do(at, submit_in_process, test);
}

bool rig_is_done(void *test)
{
	return ((struct rig_request *)test)->done;
}

enum status rig_run(struct rig_request *test, uint16_t at)
{
	rig_submit(test, at);
	rig_run_until(rig_is_done, test);
	return test->request.status;
}

void rig_done(struct rig_request *test)
{
	buffer_done(&test->request.reply);
	buffer_done(&test->request.details);
}

bool rig_says(const struct rig_request *test, const char *part)
{
	struct slice text = buffer_view(&test->request.reply);
	return text.data && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

enum status rig_deploy(uint16_t at, const char *app, int version)
{
	struct rig_request test;
	rig_deploy_init(&test, app, version);
	enum status status = rig_run(&test, at);
	rig_done(&test);
	return status;
}

enum status rig_set_state(uint16_t at, enum meta_verb verb, uint16_t number, bool force)
{
	struct rig_request test;
	rig_request_init(&test, verb);
	test.request.node.node = number;
	test.request.force = force;
	enum status status = rig_run(&test, at);
	rig_done(&test);
	return status;
}
