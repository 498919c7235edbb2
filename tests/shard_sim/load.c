#include "tests/shard_sim/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/slot.h"
#include "server/shard/records.h"
#include "storage/batch.h"
#include "tests/sim/verdict.h"
#include "tests/unit/shard/host_fake.h"

enum { TIMER_US_MAX = 3000, OTHER_PERCENT = 70 };

static bool percent(struct load *load, unsigned chance)
{
	return random_below(&load->random, 100) < chance;
}

/* ---- Calls ---- */

static void count(struct load_figures *figures, const struct load_call *of)
{
	switch (of->call.status) {
	case STATUS_OK:
		*(of->model.is_repeat                ? &figures->repeats_done
		    : of->model.kind == MODEL_READ   ? &figures->reads_done
		    : of->model.kind == MODEL_DELETE ? &figures->deletes_done
		                                     : &figures->commands_done) += 1;
		return;
	case STATUS_FAILED_PRECONDITION:
		figures->failures_done++;
		return;
	case STATUS_RESOURCE_EXHAUSTED:
		figures->exhausted++;
		return;
	case STATUS_UNAVAILABLE:
		figures->unavailable++;
		return;
	case STATUS_DEADLINE_EXCEEDED:
		figures->deadlines++;
		return;
	case STATUS_UNKNOWN_OUTCOME:
		figures->unknown_outcomes++;
		return;
	case STATUS_INTERNAL:
		figures->faults++;
		return;
	case STATUS_INVALID_ARGUMENT:
	case STATUS_OUT_OF_RANGE:
	case STATUS_UNAUTHENTICATED:
	case STATUS_PERMISSION_DENIED:
	case STATUS_NOT_FOUND:
	case STATUS_ALREADY_EXISTS:
	case STATUS_ABORTED:
	case STATUS_UNIMPLEMENTED:
	case STATUS_DATA_LOSS:
		break;
	}
	struct slice text = buffer_view(&of->call.reply);
	verdict_fail("answer", "%s to %s: %.*s", status_name(of->call.status), of->name,
	    (int)text.bytes, (const char *)text.data);
}

static void answered(struct shard_call *call)
{
	struct load_call *of = CONTAINER_OF(call, struct load_call, call);
	struct load *load = of->load;
	enum status status = call->status;
	EXPECT(of->busy, "answer", "a call is answered twice");
	EXPECT(status != STATUS_UNKNOWN_OUTCOME || of->model.kind != MODEL_READ, "answer",
	    "%s has an unknown outcome", of->name);
	EXPECT((status == STATUS_FAILED_PRECONDITION) <= (strcmp(of->name, "fail") == 0) &&
	           (status == STATUS_INTERNAL) <= (strcmp(of->name, "broken") == 0),
	    "answer", "%s to %s", status_name(status), of->name);
	count(&load->figures, of);
	/* Without memory an error may come without its text. */
	bool reads = status == STATUS_FAILED_PRECONDITION &&
	             (buffer_bytes(&call->reply) > 0 || load->no_memory_permille == 0);
	model_answered(load->model, &of->model, status, reads, buffer_view(&call->reply));
	buffer_done(&call->reply);
	buffer_done(&call->details);
	of->busy = false;
}

static struct load_call *free_call(struct load *load)
{
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++)
		if (!load->calls[i].busy)
			return &load->calls[i];
	return NULL;
}

unsigned load_calls_under_way(const struct load *load)
{
	unsigned busy = 0;
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++)
		busy += load->calls[i].busy;
	return busy;
}

static uint64_t pick_deadline(struct load *load)
{
	uint64_t now_ns = io_now_ns(load->io);
	switch (random_below(&load->random, 10)) {
	case 0:
		return now_ns + random_below(&load->random, 5) * NS_PER_MS;
	case 1:
		return now_ns + random_below(&load->random, 60) * NS_PER_MS;
	default:
		return now_ns + 4 * NS_PER_S;
	}
}

static uint32_t shard_of(const char *address)
{
	const struct shard_map map = {
	    .shard_count = LOAD_SHARDS, .store_count = 1, .core_count = 1};
	return shard_of_slot(&map, slot_of(slice_from_text(address)));
}

static void submit(struct load *load, struct load_call *of, const char *name)
{
	struct shard_call *call = &of->call;
	memset(call, 0, sizeof(*call));
	of->load = load;
	of->busy = true;
	of->name = name;
	model_address(of->model.entity, of->address, sizeof(of->address));
	snprintf(of->payload, sizeof(of->payload), "%" PRIu64, of->model.id);
	call->kind = SHARD_CALL;
	call->address = slice_from_text(of->address);
	call->name = slice_from_text(name);
	call->has_payload = true;
	call->payload = slice_from_text(of->payload);
	call->token = slice_from_text(of->token);
	call->caller.name = slice_from_text("default");
	call->deadline_ns =
	    load->settling ? io_now_ns(load->io) + 20 * NS_PER_S : pick_deadline(load);
	call->order = of->model.connection;
	call->done = answered;
	of->model.shard = shard_of(of->address);
	of->model.asks_time = strcmp(name, "now") == 0 || strcmp(name, "look") == 0;
	model_begin(load->model, &of->model);
	load->figures.operations++;
	shards_submit(load->shards, call);
	EXPECT(of->busy, "answer", "answered inside shards_submit");
}

struct choice {
	const char *name;
	enum model_kind kind;
	unsigned weight, ids;
	bool only_account, token;
};
static const struct choice choices[] = {
    {"add", MODEL_CHANGE, 30, 1, false, false},
    {"add", MODEL_CHANGE, 14, 1, false, true},
    {"many", MODEL_CHANGE, 5, 3, true, false},
    {"slow", MODEL_CHANGE, 4, 1, false, false},
    {"slow", MODEL_CHANGE, 2, 1, false, true},
    {"delete", MODEL_DELETE, 2, 1, false, false},
    {"big", MODEL_CHANGE, 1, 1, false, true},
    {"get", MODEL_READ, 24, 0, false, false},
    {"fail", MODEL_READ, 8, 0, false, false},
    {"noop", MODEL_READ, 4, 0, false, false},
    {"late", MODEL_READ, 2, 0, false, false},
    {"now", MODEL_READ, 2, 0, false, false},
    {"look", MODEL_READ, 1, 0, false, false},
    {"broken", MODEL_READ, 1, 0, false, false},
};

static const struct choice *choose(struct load *load)
{
	unsigned all = 0;
	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++)
		all += choices[i].weight;
	unsigned at = (unsigned)random_below(&load->random, all);
	const struct choice *choice = choices;
	while (at >= choice->weight)
		at -= choice++->weight;
	return choice;
}

static unsigned pick_entity(struct load *load)
{
	/* Some are hot. */
	if (percent(load, 60))
		return (unsigned)random_below(&load->random, 4);
	return (unsigned)random_below(&load->random, MODEL_ENTITIES);
}

static bool submit_repeat(struct load *load, struct load_call *of)
{
	const struct load_token *token = &load->tokens[random_below(&load->random, LOAD_TOKENS)];
	if (!token->used)
		return false;
	of->model = (struct model_call){.kind = MODEL_CHANGE,
	    .entity = token->entity,
	    .connection = token->connection,
	    .id = token->id,
	    .id_count = 1,
	    .has_token = true,
	    .is_repeat = true};
	snprintf(of->token, sizeof(of->token), "t%" PRIu64, token->number);
	load->figures.repeats_sent++;
	submit(load, of, "add");
	return true;
}

static void remember_token(struct load *load, const struct load_call *of)
{
	load->tokens[load->token_count % LOAD_TOKENS] = (struct load_token){.used = true,
	    .entity = of->model.entity,
	    .connection = of->model.connection,
	    .id = of->model.id,
	    .number = load->token_count};
}

static void submit_one(struct load *load)
{
	struct load_call *of = free_call(load);
	if (!of)
		return;
	if (percent(load, load->repeat_percent) && submit_repeat(load, of))
		return;
	unsigned entity = pick_entity(load);
	const struct choice *choice = choose(load);
	while (choice->only_account && !model_is_account(entity))
		choice = choose(load);
	of->model = (struct model_call){.kind = choice->kind,
	    .entity = entity,
	    .connection = (unsigned)random_below(&load->random, MODEL_CONNECTIONS),
	    .id_count = choice->ids,
	    .has_token = choice->token};
	if (choice->ids > 0)
		of->model.id = model_new_ids(load->model, entity, choice->ids);
	of->token[0] = '\0';
	if (choice->token) {
		load->token_count++;
		snprintf(of->token, sizeof(of->token), "t%" PRIu64, load->token_count);
		if (strcmp(choice->name, "add") == 0)
			remember_token(load, of);
	}
	submit(load, of, choice->name);
}

void load_query_all(void *arg)
{
	struct load *load = arg;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = free_call(load);
		ASSERT(of != NULL);
		of->model = (struct model_call){.kind = MODEL_READ, .entity = entity};
		of->token[0] = '\0';
		submit(load, of, "get");
	}
	io_wake(load->io, NULL);
}

void load_cut_off(struct load *load)
{
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++) {
		struct load_call *of = &load->calls[i];
		if (!of->busy)
			continue;
		model_cut_off(load->model, &of->model);
		load->figures.cut_off_calls++;
		of->busy = false;
	}
}

/* ---- Another leader ---- */

static bool find_entity(struct load *load, uint32_t shard, unsigned *ret_entity)
{
	char address[32];
	unsigned from = (unsigned)random_below(&load->random, MODEL_ENTITIES);
	for (unsigned i = 0; i < MODEL_ENTITIES; i++) {
		unsigned entity = (from + i) % MODEL_ENTITIES;
		model_address(entity, address, sizeof(address));
		if (!model_is_account(entity) && shard_of(address) == shard) {
			*ret_entity = entity;
			return true;
		}
	}
	return false;
}

/* A counter's state with one more id, as its own handler would make it. */
static size_t add_id(uint8_t *to, size_t bytes_max, const struct head *head, uint64_t id)
{
	struct writer out = writer_of(to, bytes_max);
	size_t old = head->has_state ? (head->state.bytes - 3) / 9 : 0;
	size_t skip = old == HOST_FAKE_IDS ? 1 : 0;
	writer_u8(&out, 0xdc);
	writer_u16be(&out, (uint16_t)(old - skip + 1));
	if (old > skip)
		writer_bytes(&out, head->state.data + 3 + 9 * skip, 9 * (old - skip));
	writer_u8(&out, 0xd3);
	writer_u64be(&out, id);
	ASSERT(!out.failed);
	return writer_used(&out);
}

bool load_write_other(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out)
{
	struct load *load = arg;
	unsigned entity;
	char address[32];
	struct key key;
	struct slice record;
	struct head head = {.kind = HOST_VALUE_ENTITY};
	if (load->settling || !percent(load, OTHER_PERCENT) || !find_entity(load, shard, &entity))
		return false;
	model_address(entity, address, sizeof(address));
	key_of_entity(
	    &key, SHARD_KEY_HEAD, (struct entity_name){.address = slice_from_text(address)});
	enum table_found found = engine_get(engine, shard, key_view(&key), &record);
	if (found != TABLE_VALUE && found != TABLE_ABSENT)
		return false;
	if (found == TABLE_VALUE && head_read(record, &head))
		return false;
	uint8_t state[1024];
	uint64_t id = model_new_ids(load->model, entity, 1);
	size_t bytes = add_id(state, sizeof(state), &head, id);
	head.exists = true;
	head.has_state = true;
	head.state = slice_of(state, bytes);
	head.state_version = 1;
	head.revision++;
	head.at_ms = time_ms;
	uint8_t encoded[1200];
	struct writer value = writer_of(encoded, sizeof(encoded));
	head_write(&value, &head);
	ASSERT(!value.failed);
	batch_begin(out);
	batch_put(out, key_view(&key), writer_view(&value));
	load->figures.others_changes++;
	model_other(load->model, entity, id, head.revision);
	return true;
}

/* ---- Begin and end ---- */

static void timer_fired(struct io_timer *timer)
{
	struct load *load = CONTAINER_OF(timer, struct load, timer);
	uint64_t delay_us = 1 + random_below(&load->random, TIMER_US_MAX);
	io_timer_set(load->io, timer, io_now_ns(load->io) + delay_us * NS_PER_US);
}

void load_reset(struct load *load)
{
	load->io = NULL;
	load->store = NULL;
	load->host = NULL;
	load->shards = NULL;
	memset(&load->timer, 0, sizeof(load->timer));
	load->provided = false;
	load->activating = false;
	load->activated = false;
	load->closing = false;
	load->shards_closed = false;
	load->store_closed = false;
	load->ended = false;
	load->tokens_seen = 0;
}

static void must(int error, const char *what)
{
	EXPECT(!error, "open", "%s: %s", what, error_name(error));
}

void load_boot(void *arg)
{
	struct load *load = arg;
	char why[512] = "";
	struct group_store_options options = {.engine = load->engine};
	struct engine_report report;
	options.engine.fs = sim_node_fs(load->node);
	options.engine.io = load->io;
	options.engine.hash_seed = random_u64(&load->random);
	int error = group_store_open(&options, why, sizeof(why), &load->store, &report);
	EXPECT(!error, "open", "%s", why);
	must(host_new(&(struct host_options){.mode = HOST_PRODUCTION}, &load->host), "host");
	struct shards_options shards = {.io = load->io,
	    .host = load->host,
	    .map = {.shard_count = LOAD_SHARDS, .store_count = 1, .core_count = 1},
	    .stores = &load->store,
	    .seed = random_u64(&load->random),
	    .fold_cache_bytes_max = load->fold_cache_bytes_max};
	must(shards_new(&shards, &load->shards), "shards");
	shards_start(load->shards);
	load->timer.fired = timer_fired;
	io_timer_set(load->io, &load->timer, io_now_ns(load->io));
}

static void activated(struct shards_activation *activation)
{
	struct load *load = CONTAINER_OF(activation, struct load, activation);
	load->activating = false;
	if (activation->status == STATUS_OK)
		load->activated = true;
	load->figures.activations += activation->status == STATUS_OK;
}

static void provide(struct load *load)
{
	char text[32];
	struct host_bundle *bundle;
	snprintf(text, sizeof(text), "fake:shop:%u", load->version);
	if (host_load(load->host, slice_from_text(text), NULL, &bundle) == 0)
		shards_provide(load->shards, bundle);
}

static void activate(struct load *load)
{
	char text[32];
	memset(&load->activation, 0, sizeof(load->activation));
	snprintf(text, sizeof(text), "fake:shop:%u", load->version);
	load->activation.app = slice_from_text("shop");
	host_bundle_hash(slice_from_text(text), load->activation.hash);
	load->activation.directory_index = load->version;
	load->activation.done = activated;
	load->activating = true;
	shards_activate(load->shards, &load->activation);
}

/* Every version ever begun may be active somewhere. */
static void look_after_app(struct load *load)
{
	if (!load->provided) {
		unsigned newest = load->version;
		for (load->version = 1; load->version < newest; load->version++)
			provide(load);
		provide(load);
		load->provided = true;
	}
	if (load->activating || load->closing)
		return;
	if (!load->activated) {
		activate(load);
	} else if (load->version < LOAD_VERSIONS_MAX && !load->settling &&
	           random_below(&load->random, 4000) == 0) {
		load->version++;
		load->activated = false;
		provide(load);
		activate(load);
	}
}

static void act(struct load *load)
{
	if (percent(load, 30) || load->provided)
		look_after_app(load);
	if (load->settling || load->closing || load->figures.activations == 0 ||
	    percent(load, load->idle_percent))
		return;
	if (random_below(&load->random, 1000) < load->no_memory_permille)
		mem_fail_at(1 + random_below(&load->random, 60));
	uint64_t calls = random_below(&load->random, load->calls_per_turn + 1);
	for (; calls > 0 && load_calls_under_way(load) < load->calls_max; calls--)
		submit_one(load);
	if (random_below(&load->random, 1000) < load->checkpoint_permille)
		engine_checkpoint(group_store_engine(load->store));
}

static void store_closed(void *arg)
{
	struct load *load = arg;
	load->store_closed = true;
}

static void shards_closed(void *arg)
{
	struct load *load = arg;
	load->shards_closed = true;
	group_store_close(load->store, store_closed, load);
}

void load_close(void *arg)
{
	struct load *load = arg;
	mem_fail_at(0);
	load->closing = true;
	shards_close(load->shards, shards_closed, load);
}

static void end(struct load *load)
{
	shards_free(load->shards);
	load->shards = NULL;
	group_store_free(load->store);
	host_free(load->host);
	io_timer_cancel(load->io, &load->timer);
	io_free(load->io);
	load->io = NULL;
	load->ended = true;
}

static void note_figures(struct load *load, const struct shards_figures *before)
{
	struct shards_figures now = shards_figures(load->shards);
	load->figures.cold_reads += now.cold_reads - before->cold_reads;
	load->figures.folds += now.folds - before->folds;
	load->figures.entries += now.entries - before->entries;
	if (now.leading == LOAD_SHARDS) {
		if (now.tokens < load->tokens_seen)
			load->figures.tokens_expired += load->tokens_seen - now.tokens;
		load->tokens_seen = now.tokens;
	} else {
		load->tokens_seen = 0;
	}
}

void load_turn(void *arg)
{
	struct load *load = arg;
	if (!load->io)
		return;
	if (!load->shards) {
		io_run(load->io);
		return;
	}
	struct shards_figures before = shards_figures(load->shards);
	io_run(load->io);
	act(load);
	bool more = shards_turn(load->shards);
	more |= group_store_turn(load->store);
	note_figures(load, &before);
	if (load->store_closed)
		end(load);
	else if (more)
		io_wake(load->io, NULL);
}
