/* The process: its cores from begin to end, and the app on each of them. */
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/io/mailbox.h"
#include "base/mem.h"
#include "tests/shard_sim/load.h"
#include "tests/sim/verdict.h"

enum {
	TIMER_US_MAX = 3000,
	MAILBOX_MESSAGES = 4,
	VERSION_ONE_IN = 1500,
	VERSION_IS_SKIPPED_ONE_IN = 4,
	TYPE_IS_BACK_ONE_IN = 400,
	LATE_ONE_IN = 5,
	NOTED_ONE_IN = 8
};

struct shard_map load_map(const struct load *load)
{
	return (struct shard_map){.shard_count = MODEL_SHARDS,
	    .store_count = load->core_count,
	    .core_count = load->core_count};
}

/* ---- The app ---- */

static bool is_activated(const struct load *load)
{
	for (unsigned i = 0; i < load->core_count; i++)
		if (load->cores[i].activating || !load->cores[i].activated)
			return false;
	return true;
}

static unsigned types_of(const struct load *load)
{
	return model_types(load->model, model_version(load->model));
}

bool load_is_at_rest(const struct load *load)
{
	if (load_calls_under_way(load) > 0 || !is_activated(load) ||
	    types_of(load) != MODEL_HAS_BOTH)
		return false;
	for (unsigned i = 0; i < load->core_count; i++)
		if (shards_purging(load->cores[i].shards) > 0)
			return false;
	return true;
}

static void activated(struct shards_activation *activation)
{
	struct load_core *core = CONTAINER_OF(activation, struct load_core, activation);
	struct load *load = core->load;
	const struct shard_map map = load_map(load);
	core->activating = false;
	if (activation->status != STATUS_OK)
		return;
	load->figures.activations++;
	if (activation->led_only)
		return;
	core->activated = activation->directory_index == model_version(load->model);
	for (uint32_t shard = 1; shard <= MODEL_SHARDS; shard++)
		if (shard_core(&map, shard) == core->number)
			model_deployed(load->model, shard, (unsigned)activation->directory_index);
}

static void provide(struct load_core *core, unsigned version)
{
	unsigned types = model_types(core->load->model, version);
	mem_fail_at(0);
	shards_provide(core->shards, app_load(core->host, version, types, core->hash));
}

/* Each activation tells of all types that were ever dropped, as the directory does. */
static void activate(struct load_core *core)
{
	const struct model *model = core->load->model;
	uint32_t drops = 0;
	memset(&core->activation, 0, sizeof(core->activation));
	for (unsigned type = 0; type < MODEL_TYPES; type++) {
		struct shards_drop *drop = &core->drops[drops];
		drop->incarnation = model_dropped_by(model, type);
		snprintf(drop->type, sizeof(drop->type), "%s", model_type_name(type));
		drops += drop->incarnation > 0;
	}
	core->activation.app = slice_from_text("shop");
	memcpy(core->activation.hash, core->hash, sizeof(core->hash));
	core->activation.directory_index = model_version(model);
	core->activation.drops = core->drops;
	core->activation.drop_count = drops;
	core->activation.done = activated;
	/* As where there are other nodes; and then all that are here, as the model wants it. */
	core->activation.led_only = core->load->has_nodes && load_percent(core->load, 50);
	core->activating = true;
	shards_activate(core->shards, &core->activation);
}

/* The last version that there is has all types again. */
static unsigned pick_types(struct load *load)
{
	static const unsigned others[] = {MODEL_HAS_BOTH, MODEL_HAS_ACCOUNT, MODEL_HAS_COUNTER};
	unsigned now = types_of(load);
	if (load->settling || model_version(load->model) + 1 == app_versions() ||
	    (now != MODEL_HAS_BOTH && load_percent(load, 80)))
		return MODEL_HAS_BOTH;
	if (now != MODEL_HAS_BOTH)
		return MODEL_HAS_BOTH & ~now;
	return load_percent(load, 40) ? now : others[1 + random_below(&load->random, 2)];
}

static void deploy(struct load *load)
{
	model_deploy(load->model, pick_types(load));
	for (unsigned i = 0; i < load->core_count; i++) {
		load->cores[i].activated = false;
		provide(&load->cores[i], model_version(load->model));
	}
}

/* Whether it is time for the next version. One that was interrupted may be all that some shards
 * have of it. */
static bool may_deploy(struct load *load)
{
	if (load->closing || model_version(load->model) == app_versions())
		return false;
	bool is_whole = types_of(load) == MODEL_HAS_BOTH;
	if (load->settling)
		return !is_whole && is_activated(load);
	for (unsigned i = 0; i < load->core_count; i++)
		if (load->cores[i].activating)
			return false;
	if (!is_activated(load)) {
		bool skips = random_below(&load->random, VERSION_IS_SKIPPED_ONE_IN) == 0;
		load->figures.versions_skipped += skips;
		return skips;
	}
	return random_below(&load->random, is_whole ? VERSION_ONE_IN : TYPE_IS_BACK_ONE_IN) == 0;
}

static void provide_all(struct load_core *core)
{
	unsigned oldest = model_oldest_version(core->load->model);
	for (unsigned version = oldest; version <= model_version(core->load->model); version++)
		provide(core, version);
	core->provided = true;
}

static void look_after_app(struct load *load)
{
	for (unsigned i = 0; i < load->core_count; i++)
		if (!load->cores[i].provided)
			provide_all(&load->cores[i]);
	if (may_deploy(load))
		deploy(load);
	for (unsigned i = 0; i < load->core_count && !load->closing; i++)
		if (!load->cores[i].activating && !load->cores[i].activated)
			activate(&load->cores[i]);
}

/* ---- Begin ---- */

static void timer_fired(struct io_timer *timer)
{
	struct load_core *core = CONTAINER_OF(timer, struct load_core, timer);
	uint64_t delay_us = 1 + random_below(&core->load->random, TIMER_US_MAX);
	io_timer_set(core->io, timer, io_now_ns(core->io) + delay_us * NS_PER_US);
}

void load_reset(struct load *load)
{
	memset(load->cores, 0, sizeof(load->cores));
	load->first_io = NULL;
	load->opened = false;
	load->closing = false;
	load->ended = false;
	load->tokens_seen = 0;
	load->away_count = 0;
}

static void must(int error, const char *what)
{
	EXPECT(!error, "open", "%s: %s", what, error_name(error));
}

static void open_core(struct load *load, unsigned number)
{
	struct load_core *core = &load->cores[number];
	char why[512] = "";
	struct engine_report report;
	core->load = load;
	core->number = number;
	if (number == 0)
		core->io = load->first_io;
	else
		must(io_new(NULL, why, sizeof(why), &core->io), "io");
	snprintf(core->dir, sizeof(core->dir), "stores/%03u", number);
	struct group_store_options options = {.engine = load->engine};
	options.engine.dir = core->dir;
	options.engine.store_id += number;
	options.engine.fs = sim_node_fs(load->node);
	options.engine.io = core->io;
	options.engine.hash_seed = random_u64(&load->random);
	int error = group_store_open(&options, why, sizeof(why), &core->store, &report);
	if ((error == ERR_IO && load->disk_fails) ||
	    (error == ERR_NO_SPACE && load->disk_is_full)) {
		load->figures.opens_failed++;
		sim_node_crash(load->node, SIM_KILL); /* does not return */
	}
	EXPECT(!error, "open", "%s", why);
	core->stores[number] = core->store;
	const struct host_options host = {
	    .mode = load->dev ? HOST_DEV : HOST_PRODUCTION, .seed = random_u64(&load->random)};
	must(host_new(&host, &core->host), "host");
	struct shards_options shards = {.io = core->io,
	    .host = core->host,
	    .map = load_map(load),
	    .core = number,
	    .stores = core->stores,
	    .seed = random_u64(&load->random),
	    .fold_cache_bytes_max = load->fold_cache_bytes_max,
	    .dev = load->dev,
	    .elsewhere = load->has_nodes ? load_elsewhere : NULL,
	    .arg = core};
	must(shards_new(&shards, &core->shards), "shards");
	for (unsigned i = 0; i < load->core_count; i++)
		if (i != number)
			must(mailbox_new(MAILBOX_MESSAGES, core->io, &core->from[i]), "mailbox");
}

static void connect_cores(struct load *load)
{
	for (unsigned i = 0; i < load->core_count; i++) {
		struct load_core *core = &load->cores[i];
		struct shards *peers[LOAD_CORES_MAX] = {NULL};
		for (unsigned k = 0; k < load->core_count; k++) {
			peers[k] = k == i ? NULL : load->cores[k].shards;
			core->to[k] = load->cores[k].from[i];
		}
		shards_connect(core->shards, peers, core->to, core->from);
	}
}

void load_boot(void *arg)
{
	struct load *load = arg;
	for (unsigned i = 0; i < load->core_count; i++)
		open_core(load, i);
	if (load->core_count > 1)
		connect_cores(load);
	for (unsigned i = 0; i < load->core_count; i++) {
		struct load_core *core = &load->cores[i];
		shards_start(core->shards);
		core->timer.fired = timer_fired;
		io_timer_set(core->io, &core->timer, io_now_ns(core->io));
	}
	load->figures.lua_dev_boots += load->dev;
	load->opened = true;
}

/* ---- The end: all cores go through it together ---- */

static void store_closed(void *arg)
{
	struct load_core *core = arg;
	core->store_closed = true;
}

static void shards_closed(void *arg)
{
	struct load_core *core = arg;
	struct load *load = core->load;
	core->shards_closed = true;
	for (unsigned i = 0; i < load->core_count; i++)
		if (!load->cores[i].shards_closed)
			return;
	for (unsigned i = 0; i < load->core_count; i++)
		group_store_close(load->cores[i].store, store_closed, &load->cores[i]);
}

void load_close(void *arg)
{
	struct load *load = arg;
	mem_fail_at(0);
	load->closing = true;
	for (unsigned i = 0; i < load->core_count; i++)
		shards_close(load->cores[i].shards, shards_closed, &load->cores[i]);
}

static void end(struct load *load)
{
	for (unsigned i = 0; i < load->core_count; i++)
		if (!load->cores[i].store_closed)
			return;
	for (unsigned i = 0; i < load->core_count; i++) {
		struct load_core *core = &load->cores[i];
		shards_free(core->shards);
		group_store_free(core->store);
		host_free(core->host);
		io_timer_cancel(core->io, &core->timer);
	}
	for (unsigned i = 0; i < load->core_count; i++)
		for (unsigned k = 0; k < load->core_count; k++)
			mailbox_free(load->cores[i].from[k]);
	for (unsigned i = 0; i < load->core_count; i++)
		io_free(load->cores[i].io);
	load->opened = false;
	load->ended = true;
}

/* ---- Turns ---- */

/* Since the last time, or the core's begin. */
static void note_core(struct load_core *core)
{
	struct load_figures *figures = &core->load->figures;
	struct shards_figures now = shards_figures(core->shards);
	struct app_figures app = app_figures(core->host);
	figures->cold_reads += now.cold_reads - core->seen.cold_reads;
	figures->double_read_by_replicas += now.replica_reads - core->seen.replica_reads;
	figures->folds += now.folds - core->seen.folds;
	figures->entries += now.entries - core->seen.entries;
	figures->lua_pauses += app.pauses - core->app_seen.pauses;
	figures->lua_budgets_spent += app.exhausted - core->app_seen.exhausted;
	figures->lua_events_folded += app.events_folded - core->app_seen.events_folded;
	core->seen = now;
	core->app_seen = app;
}

static void note_figures(struct load *load)
{
	uint64_t tokens = 0;
	uint32_t leading = 0;
	/* Asking costs more than a turn does. */
	if (load->turns++ % NOTED_ONE_IN != 0)
		return;
	for (unsigned i = 0; i < load->core_count; i++) {
		note_core(&load->cores[i]);
		tokens += load->cores[i].seen.tokens;
		leading += load->cores[i].seen.leading;
	}
	if (leading == MODEL_SHARDS && tokens < load->tokens_seen)
		load->figures.tokens_expired += load->tokens_seen - tokens;
	load->tokens_seen = leading == MODEL_SHARDS ? tokens : 0;
}

static void act(struct load *load)
{
	if (load_percent(load, 30) || load->cores[0].provided)
		look_after_app(load);
	if (load->settling || load->closing || load->figures.activations == 0 ||
	    load_percent(load, load->idle_percent))
		return;
	if (random_below(&load->random, 1000) < load->no_memory_permille)
		mem_fail_at(1 + random_below(&load->random, 60));
	load_act(load);
	if (random_below(&load->random, 1000) < load->checkpoint_permille)
		engine_checkpoint(group_store_engine(
		    load->cores[random_below(&load->random, load->core_count)].store));
}

static void turn_core(struct load_core *core, bool acts)
{
	struct load *load = core->load;
	io_run(core->io);
	if (acts)
		act(load);
	load_away_turn(load);
	bool more = shards_turn(core->shards);
	more |= group_store_turn(core->store);
	more |= shards_run_long(core->shards);
	if (more)
		io_wake(core->io, NULL);
}

/* Cores have their turns in any order, and one may be late. */
void load_turn(void *arg)
{
	struct load *load = arg;
	if (!load->opened) {
		if (load->first_io)
			io_run(load->first_io);
		return;
	}
	unsigned first = 0;
	if (load->core_count > 1)
		first = (unsigned)random_below(&load->random, load->core_count);
	for (unsigned i = 0; i < load->core_count; i++) {
		struct load_core *core = &load->cores[(first + i) % load->core_count];
		if (i > 0 && random_below(&load->random, LATE_ONE_IN) == 0)
			io_wake(core->io, NULL);
		else
			turn_core(core, i == 0);
	}
	note_figures(load);
	end(load);
}
