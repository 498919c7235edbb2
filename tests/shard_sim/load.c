#include "tests/shard_sim/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/shard_sim/app_calls.h"
#include "tests/sim/verdict.h"

bool load_percent(struct load *load, unsigned chance)
{
	return random_below(&load->random, 100) < chance;
}

enum { HISTORY_ONE_IN = 60, LIST_ONE_IN = 100 };

static const char full[] = "the disk is full"; /* how a refusal begins */

/* ---- Calls ---- */

static void count(struct load_figures *figures, const struct load_call *of)
{
	switch (of->call.status) {
	case STATUS_OK:
		*(of->is_list                        ? &figures->lists_done
		    : !of->command                   ? &figures->histories_done
		    : of->model.is_repeat            ? &figures->repeats_done
		    : of->model.kind == MODEL_READ   ? &figures->reads_done
		    : of->model.kind == MODEL_DELETE ? &figures->deletes_done
		                                     : &figures->commands_done) += 1;
		return;
	case STATUS_FAILED_PRECONDITION:
		figures->failures_done++;
		return;
	case STATUS_RESOURCE_EXHAUSTED:
		figures->exhausted++;
		figures->single_refused_full +=
		    buffer_bytes(&of->call.reply) > sizeof(full) - 1 &&
		    memcmp(of->call.reply.data, full, sizeof(full) - 1) == 0;
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
	case STATUS_UNIMPLEMENTED:
		figures->refused_without_type++;
		return;
	case STATUS_INVALID_ARGUMENT:
	case STATUS_OUT_OF_RANGE:
	case STATUS_UNAUTHENTICATED:
	case STATUS_PERMISSION_DENIED:
	case STATUS_NOT_FOUND:
	case STATUS_ALREADY_EXISTS:
	case STATUS_ABORTED:
	case STATUS_DATA_LOSS:
		break;
	}
	app_unexpected(&of->call, of->name);
}

static bool contains(struct slice text, const char *part)
{
	return text.bytes > 0 && memmem(text.data, text.bytes, part, strlen(part)) != NULL;
}

static void answered(struct shard_call *call)
{
	struct load_call *of = CONTAINER_OF(call, struct load_call, call);
	struct load *load = of->load;
	enum status status = call->status;
	bool again = false;
	EXPECT(of->busy, "answer", "a call is answered twice");
	EXPECT(status != STATUS_UNKNOWN_OUTCOME || of->model.kind != MODEL_READ, "answer",
	    "%s has an unknown outcome", of->name);
	app_expect_status(call, of->command, of->name);
	count(&load->figures, of);
	load->answers = app_answers_hash(load->answers, call, of->name);
	load->figures.single_crossed_cores += call->owner != call->origin;
	load->figures.double_forwarded_refused += call->not_leader;
	EXPECT(!call->not_leader || (call->forwarded && status == STATUS_UNAVAILABLE), "answer",
	    "%s: this node does not lead", of->name);
	load->figures.double_overtaken += contains(buffer_view(&call->reply), "later calls");
	if (status == STATUS_UNIMPLEMENTED)
		model_refused(load->model, &of->model);
	if (of->is_list) {
		if (status == STATUS_OK)
			load_list_answered(load, of);
	} else if (!of->command) {
		again =
		    status == STATUS_OK &&
		    history_read(load->model, &of->model, buffer_view(&call->reply), of->cursor) &&
		    !load->closing;
	} else {
		/* Without memory an error may come without its text. */
		bool reads = status == STATUS_FAILED_PRECONDITION &&
		             (buffer_bytes(&call->reply) > 0 || load->no_memory_permille == 0);
		model_answered(load->model, &of->model, status, reads, buffer_view(&call->reply));
	}
	buffer_done(&call->reply);
	buffer_done(&call->details);
	of->busy = false;
	if (again)
		load_submit_history(load, of);
}

struct load_call *load_free_call(struct load *load)
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

static uint64_t pick_deadline(struct load *load, uint64_t now_ns)
{
	if (load->settling)
		return now_ns + 20 * NS_PER_S;
	switch (random_below(&load->random, 10)) {
	case 0:
		return now_ns + random_below(&load->random, 5) * NS_PER_MS;
	case 1:
		return now_ns + random_below(&load->random, 60) * NS_PER_MS;
	default:
		return now_ns + 4 * NS_PER_S;
	}
}

static void submit(
    struct load *load, struct load_call *of, enum shard_call_kind kind, const char *name)
{
	struct shard_call *call = &of->call;
	/* A connection is one core's. */
	struct load_core *core = &load->cores[of->model.connection % load->core_count];
	memset(call, 0, sizeof(*call));
	of->load = load;
	of->busy = true;
	of->refused = 0;
	of->name = name;
	if (kind == SHARD_ENTITIES)
		snprintf(of->address, sizeof(of->address), "%s",
		    model_type_name(model_type(of->model.entity)));
	else
		model_address(of->model.entity, of->address, sizeof(of->address));
	call->shard = model_shard(of->model.entity);
	snprintf(of->payload, sizeof(of->payload), "%" PRIu64, of->model.id);
	call->kind = kind;
	call->address = slice_from_text(of->address);
	call->name = slice_from_text(name);
	call->has_payload = true;
	call->payload = slice_from_text(of->payload);
	call->token = slice_from_text(of->token);
	call->cursor = slice_from_text(of->cursor);
	call->caller.name = slice_from_text("default");
	call->deadline_ns = pick_deadline(load, io_now_ns(core->io));
	call->order = of->model.connection;
	/* One connection is another node's. */
	call->forwarded = load->has_nodes && of->model.connection + 1 == MODEL_CONNECTIONS;
	call->done = answered;
	call->anywhere = load->reads_anywhere && !load->settling && load_percent(load, 50);
	bool is_stale = call->anywhere && of->model.kind == MODEL_READ && load_percent(load, 40);
	if (is_stale)
		call->stale_ns = (1 + random_below(&load->random, 200)) * NS_PER_MS;
	of->model.stale_ns = call->stale_ns;
	model_begin(load->model, &of->model);
	load->figures.operations++;
	shards_submit(core->shards, call);
	EXPECT(of->busy, "answer", "answered inside shards_submit");
}

static void submit_command(
    struct load *load, struct load_call *of, const struct app_command *command)
{
	of->command = command;
	of->is_list = false;
	of->cursor[0] = '\0';
	submit(load, of, SHARD_CALL, command->name);
}

void load_submit_history(struct load *load, struct load_call *of)
{
	unsigned entity = of->model.entity, connection = of->model.connection;
	of->model =
	    (struct model_call){.kind = MODEL_READ, .entity = entity, .connection = connection};
	of->command = NULL;
	of->is_list = false;
	of->token[0] = '\0';
	submit(load, of, SHARD_HISTORY, "history");
}

/* Of the entity's type, in its shard. */
void load_submit_list(struct load *load, struct load_call *of)
{
	of->command = NULL;
	of->is_list = true;
	of->is_last = load->settling;
	of->token[0] = '\0';
	of->cursor[0] = '\0';
	submit(load, of, SHARD_ENTITIES, "entities");
}

static unsigned pick_entity(struct load *load)
{
	/* Some are hot. */
	if (load_percent(load, 60))
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
	load->figures.repeats_over_drops +=
	    model_dropped_by(load->model, model_type(token->entity)) > token->version;
	load->figures.repeats_sent++;
	submit_command(load, of, app_command_named("add"));
	return true;
}

static void remember_token(struct load *load, const struct load_call *of)
{
	load->tokens[load->token_count % LOAD_TOKENS] = (struct load_token){.used = true,
	    .entity = of->model.entity,
	    .connection = of->model.connection,
	    .id = of->model.id,
	    .number = load->token_count,
	    .version = model_version(load->model)};
}

static void submit_one(struct load *load)
{
	struct load_call *of = load_free_call(load);
	if (!of)
		return;
	if (load_percent(load, load->repeat_percent) && submit_repeat(load, of))
		return;
	unsigned entity = pick_entity(load);
	unsigned connection = (unsigned)random_below(&load->random, MODEL_CONNECTIONS);
	if (random_below(&load->random, HISTORY_ONE_IN) == 0) {
		of->model = (struct model_call){.entity = entity, .connection = connection};
		of->cursor[0] = '\0';
		load_submit_history(load, of);
		return;
	}
	if (random_below(&load->random, LIST_ONE_IN) == 0) {
		of->model = (struct model_call){.entity = entity, .connection = connection};
		of->model.kind = MODEL_READ;
		load_submit_list(load, of);
		return;
	}
	const struct app_command *command = app_command_pick(&load->random, entity);
	of->model = (struct model_call){.kind = command->kind,
	    .entity = entity,
	    .connection = connection,
	    .id_count = command->ids,
	    .has_token = command->token};
	if (command->ids > 0)
		of->model.id = model_new_ids(load->model, entity, command->ids);
	of->token[0] = '\0';
	if (command->token) {
		load->token_count++;
		snprintf(of->token, sizeof(of->token), "t%" PRIu64, load->token_count);
		if (strcmp(command->name, "add") == 0)
			remember_token(load, of);
	}
	submit_command(load, of, command);
}

void load_act(struct load *load)
{
	uint64_t calls = random_below(&load->random, load->calls_per_turn + 1);
	for (; calls > 0 && load_calls_under_way(load) < load->calls_max; calls--)
		submit_one(load);
}

void load_wake_all(struct load *load)
{
	for (unsigned i = 0; i < load->core_count; i++)
		io_wake(load->cores[i].io, NULL);
}

void load_query_all(void *arg)
{
	struct load *load = arg;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = load_free_call(load);
		ASSERT(of != NULL);
		of->model = (struct model_call){.kind = MODEL_READ, .entity = entity};
		of->token[0] = '\0';
		submit_command(load, of, app_command_named("get"));
	}
	load_wake_all(load);
}

void load_history_all(void *arg)
{
	struct load *load = arg;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = load_free_call(load);
		ASSERT(of != NULL);
		of->model = (struct model_call){.entity = entity};
		of->cursor[0] = '\0';
		load_submit_history(load, of);
	}
	load_wake_all(load);
}

void load_list_all(void *arg)
{
	struct load *load = arg;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = load_free_call(load);
		ASSERT(of != NULL);
		of->model = (struct model_call){.kind = MODEL_READ, .entity = entity};
		load_submit_list(load, of);
	}
	load_wake_all(load);
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
