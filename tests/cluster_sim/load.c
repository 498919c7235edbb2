#include "tests/cluster_sim/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/log_line.h"
#include "tests/cluster_sim/world.h"
#include "tests/shard_sim/app_calls.h"
#include "tests/sim/verdict.h"

enum {
	HISTORY_ONE_IN = 60,
	HOT_ENTITIES = 4,
	HOT_PERCENT = 50,
	STORM_PERCENT = 80,
	STORM_IDLE_PERCENT = 80,
	/* Where only time has to pass: a partition lasts, or all calls are made and the world has
	 * something else to see. */
	WAITING_IDLE_PERCENT = 99,
	PART_IDLE_PERCENT = 97,
	CALM_DEADLINE_S = 20,
	HURRY_MS_MIN = 20,
	HURRY_MS_MAX = 200,
	BURST_CALLS = 16,
	STORM_CALLS_MIN = 3,
	/* Where the world grows: the next volley comes when half of those before are answered. */
	VOLLEY_IDLE_PERCENT = 60,
	VOLLEY_BEGINS_BELOW = LOAD_CALLS_MAX / 2
};

/* ---- Answers ---- */

static void count(struct world_figures *figures, const struct load_call *of)
{
	switch (of->call.status) {
	case STATUS_OK:
		*(!of->command                       ? &figures->histories_done
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
		figures->handler_faults++;
		return;
	case STATUS_UNIMPLEMENTED: /* model_refused */
		return;
	case STATUS_DATA_LOSS: /* another replica is always whole, and may come to lead */
	case STATUS_INVALID_ARGUMENT:
	case STATUS_OUT_OF_RANGE:
	case STATUS_UNAUTHENTICATED:
	case STATUS_PERMISSION_DENIED:
	case STATUS_NOT_FOUND:
	case STATUS_ALREADY_EXISTS:
	case STATUS_ABORTED:
		break;
	}
	app_unexpected(&of->call, of->name);
}

static void expect_status(const struct load_call *of)
{
	enum status status = of->call.status;
	/* What is not known here to be a query may have been sent as if it were none. */
	EXPECT(status != STATUS_UNKNOWN_OUTCOME || of->model.kind != MODEL_READ ||
	           !of->call.queries_only,
	    "answer", "%s has an unknown outcome", of->name);
	app_expect_status(&of->call, of->command, of->name);
	EXPECT(!of->call.not_leader, "answer", "%s: this node does not lead", of->name);
}

/* What a person who looks for a fault wants to see of a trace. */
static void say(const struct load_call *of, const char *what, const char *status)
{
	struct slice text = buffer_view(&of->call.reply);
	LOG_LINE(LEVEL_INFO, what, FIELD_U64("node", of->node->number),
	    FIELD_U64("connection", of->model.connection), FIELD_U64("call", of->model.order),
	    FIELD_TEXT("address", of->address), FIELD_TEXT("name", of->name),
	    FIELD_U64("id", of->model.id), FIELD_TEXT("token", of->token),
	    FIELD_TEXT("status", status), FIELD_SLICE("text", text));
}

static void set_busy(struct load_call *of, bool busy)
{
	struct load *load = &of->node->world->load;
	ASSERT(of->busy != busy);
	of->busy = busy;
	load->under_way += busy ? 1 : -1U;
}

static void submit_history(struct load_call *of);

static void answered(struct shard_call *call)
{
	struct load_call *of = CONTAINER_OF(call, struct load_call, call);
	struct world *world = of->node->world;
	enum status status = call->status;
	bool again = false;
	EXPECT(of->busy, "answer", "a call is answered twice");
	say(of, "call_answered", status_name(status));
	expect_status(of);
	EXPECT(status != STATUS_OK || !of->node->is_alone, "removed",
	    "a node that was removed, and reaches nobody, has answered %s", of->name);
	count(&world->figures, of);
	world->load.answers = app_answers_hash(world->load.answers, call, of->name);
	if (status == STATUS_OK)
		storm_answered(world, of->node, model_shard(of->model.entity),
		    of->model.kind == MODEL_CHANGE && !of->model.is_repeat);
	world->figures.crossed_cores += call->owner != call->origin;
	if (status == STATUS_UNIMPLEMENTED)
		model_refused(world->model, &of->model);
	if (!of->command)
		again = status == STATUS_OK && history_read(world->model, &of->model,
		                                   buffer_view(&call->reply), of->cursor);
	else
		model_answered(world->model, &of->model, status,
		    status == STATUS_FAILED_PRECONDITION, buffer_view(&call->reply));
	buffer_done(&call->reply);
	buffer_done(&call->details);
	set_busy(of, false);
	if (again && node_serves(of->node))
		submit_history(of);
}

/* ---- Calls ---- */

static struct load_call *free_call(struct load *load)
{
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++)
		if (!load->calls[i].busy)
			return &load->calls[i];
	return NULL;
}

unsigned load_under_way(const struct world *world)
{
	return world->load.under_way;
}

static bool rests(const struct world *world)
{
	return (world->calm && !loss_loads(world)) || world->figures.deployments == 0;
}

static bool volleys(const struct world *world)
{
	return world->grows && world->figures.operations < WORLD_OPERATIONS_MIN &&
	       !storm_is_on(&world->storm) && !loss_loads(world);
}

static uint64_t pick_deadline(struct world *world, const struct node *node, uint64_t now_ns)
{
	if (storm_hurries(world, node))
		return now_ns +
		       (HURRY_MS_MIN + world_below(world, HURRY_MS_MAX - HURRY_MS_MIN)) * NS_PER_MS;
	if (rests(world))
		return now_ns + CALM_DEADLINE_S * NS_PER_S;
	switch (world_below(world, 8)) {
	case 0:
		return now_ns + world_below(world, 20) * NS_PER_MS;
	case 1:
		return now_ns + world_below(world, 500) * NS_PER_MS;
	default:
		return now_ns + 4 * NS_PER_S;
	}
}

static void submit(struct load_call *of, enum shard_call_kind kind, const char *name)
{
	struct shard_call *call = &of->call;
	struct node *node = of->node;
	struct world *world = node->world;
	struct core *core =
	    &node->server.cores[of->model.connection / world->node_count % node->core_count];
	memset(call, 0, sizeof(*call));
	set_busy(of, true);
	of->name = name;
	model_address(of->model.entity, of->address, sizeof(of->address));
	snprintf(of->payload, sizeof(of->payload), "%" PRIu64, of->model.id);
	call->kind = kind;
	call->address = slice_from_text(of->address);
	call->name = slice_from_text(name);
	call->has_payload = true;
	call->payload = slice_from_text(of->payload);
	call->token = slice_from_text(of->token);
	call->cursor = slice_from_text(of->cursor);
	call->caller.name = slice_from_text("default");
	call->deadline_ns = pick_deadline(world, node, io_now_ns(core->io));
	/* Clients of queries say so in half of the cases (QUERY), and else do not (CALL). */
	call->queries_only = kind == SHARD_CALL && of->command->kind == MODEL_READ &&
	                     strcmp(name, "get") == 0 && world_percent(world, 50);
	/* What a gate gives: never the same of two connections on a node. */
	call->order = 1 + of->model.connection;
	call->done = answered;
	/* Some queries may be answered by any replica, and some of these by an older state. */
	call->anywhere = kind == SHARD_CALL && !rests(world) && world_percent(world, 40);
	if (call->anywhere && of->model.kind == MODEL_READ && world_percent(world, 30))
		call->stale_ns = (1 + world_below(world, 300)) * NS_PER_MS;
	bool is_query = kind == SHARD_CALL && of->model.kind == MODEL_READ;
	uint64_t stale_ns = is_query ? known_stale_ns(world, node) : 0;
	if (stale_ns > 0) {
		call->anywhere = true;
		call->stale_ns = stale_ns;
	}
	/* By the clock of the node that answers, which may be slow. */
	of->model.stale_ns =
	    world->uneven_clocks ? call->stale_ns + call->stale_ns / 10 : call->stale_ns;
	of->model.life = node->life;
	model_begin(world->model, &of->model);
	world->figures.operations++;
	say(of, "call", "");
	shards_submit(core->shards, call);
	EXPECT(of->busy, "answer", "answered inside shards_submit");
}

static void submit_command(struct load_call *of, const struct app_command *command)
{
	of->command = command;
	of->cursor[0] = '\0';
	submit(of, SHARD_CALL, command->name);
}

static void submit_history(struct load_call *of)
{
	unsigned entity = of->model.entity, connection = of->model.connection;
	of->model =
	    (struct model_call){.kind = MODEL_READ, .entity = entity, .connection = connection};
	of->command = NULL;
	of->token[0] = '\0';
	submit(of, SHARD_HISTORY, "history");
}

/* 0: it has none. */
static unsigned entities_of(uint32_t shard)
{
	unsigned count = 0;
	for (unsigned i = 0; i < MODEL_ENTITIES; i++)
		count += model_shard(i) == shard;
	return count;
}

static unsigned entity_of(uint32_t shard, unsigned number)
{
	unsigned entity = 0;
	while (model_shard(entity) != shard || number-- > 0)
		entity++;
	return entity;
}

static unsigned pick_entity(struct world *world)
{
	const struct storm *storm = &world->storm;
	unsigned of_storm = storm_is_on(storm) ? entities_of(storm->shard) : 0;
	if (of_storm > 0 && world_percent(world, STORM_PERCENT))
		return entity_of(storm->shard, (unsigned)world_below(world, of_storm));
	if (world_percent(world, HOT_PERCENT))
		return (unsigned)world_below(world, HOT_ENTITIES);
	return (unsigned)world_below(world, MODEL_ENTITIES);
}

/* One of this node's. */
static unsigned pick_connection(struct world *world, const struct node *node)
{
	if (node->is_ghost)
		return (unsigned)world_below(world, MODEL_CONNECTIONS);
	unsigned of_node = (MODEL_CONNECTIONS - 1 - node->number) / world->node_count + 1;
	return node->number + world->node_count * (unsigned)world_below(world, of_node);
}

/* A repeat over another connection may be the first that is done: then it is the one that was begun
 * before which gets an answer of a past revision. */
static void expect_overtaking(struct load *load, uint64_t id)
{
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++)
		if (load->calls[i].busy && load->calls[i].model.id == id)
			load->calls[i].model.is_repeat = true;
}

/* Whoever does not know what became of it asks again, at any node. */
static bool submit_repeat(struct world *world, struct load_call *of)
{
	const struct load_token *token = &world->load.tokens[world_below(world, LOAD_TOKENS)];
	if (!token->used)
		return false;
	of->model = (struct model_call){.kind = MODEL_CHANGE,
	    .entity = token->entity,
	    .connection = pick_connection(world, of->node),
	    .id = token->id,
	    .id_count = 1,
	    .has_token = true,
	    .is_repeat = true};
	snprintf(of->token, sizeof(of->token), "t%" PRIu64, token->number);
	expect_overtaking(&world->load, token->id);
	world->figures.repeats_sent++;
	world->figures.repeats_elsewhere +=
	    token->connection % world->node_count != of->node->number;
	submit_command(of, app_command_named("add"));
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

/* Volleys are of quick ones: some of the others take as much of the processor as a hundred. */
static const struct app_command *pick_command(struct world *world, unsigned entity)
{
	const struct app_command *command = app_command_pick(&world->random, entity);
	while (volleys(world) && command->takes_long)
		command = app_command_pick(&world->random, entity);
	return command;
}

static void submit_one(struct world *world, struct node *node)
{
	struct load *load = &world->load;
	struct load_call *of = free_call(load);
	ASSERT(of != NULL);
	const char *only = storm_command(world, node);
	of->node = node;
	if (!only && world_percent(world, load->repeat_percent) && submit_repeat(world, of))
		return;
	unsigned entity = pick_entity(world), connection = pick_connection(world, node);
	if (world_below(world, HISTORY_ONE_IN) == 0) {
		of->model = (struct model_call){.entity = entity, .connection = connection};
		of->cursor[0] = '\0';
		submit_history(of);
		return;
	}
	const struct app_command *command =
	    only ? app_command_named(only) : pick_command(world, entity);
	of->model = (struct model_call){.kind = command->kind,
	    .entity = entity,
	    .connection = connection,
	    .id_count = command->ids,
	    .has_token = command->token};
	if (command->ids > 0)
		of->model.id = model_new_ids(world->model, entity, command->ids);
	of->token[0] = '\0';
	if (command->token) {
		load->token_count++;
		snprintf(of->token, sizeof(of->token), "t%" PRIu64, load->token_count);
		if (strcmp(command->name, "add") == 0)
			remember_token(load, of);
	}
	submit_command(of, command);
}

/* In a storm, and where one is cut off, calls wait at some nodes until their time is over: others
 * have room left. */
static bool may_submit(const struct world *world, const struct node *node)
{
	const struct load *load = &world->load;
	unsigned here = 0;
	unsigned calls_max = load->calls_max / world->node_count;
	if (volleys(world))
		return load_under_way(world) < LOAD_CALLS_MAX;
	if (!storm_is_on(&world->storm) && !loss_loads(world))
		return load_under_way(world) < load->calls_max;
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++)
		here += load->calls[i].busy && load->calls[i].node == node;
	if (calls_max < STORM_CALLS_MIN)
		calls_max = STORM_CALLS_MIN;
	if (late_is_origin(world, node) || known_is_asked(world, node))
		calls_max = LOAD_SINGLE_MAX / 2;
	return load_under_way(world) < LOAD_SINGLE_MAX && here <= calls_max;
}

static void submit_some(struct world *world, struct node *node, uint64_t calls)
{
	for (; calls > 0 && may_submit(world, node); calls--)
		submit_one(world, node);
}

static unsigned idle_percent(const struct world *world)
{
	if (volleys(world))
		return VOLLEY_IDLE_PERCENT;
	if (world->storm.kind == STORM_PART)
		return PART_IDLE_PERCENT;
	if (world->storm.kind == STORM_DAMAGE)
		return WAITING_IDLE_PERCENT;
	if (storm_is_on(&world->storm))
		return STORM_IDLE_PERCENT;
	if (loss_loads(world))
		return world->load.idle_percent;
	return world->figures.operations < world->single_operations ? world->load.idle_percent
	                                                            : WAITING_IDLE_PERCENT;
}

void load_act(struct world *world, struct node *node)
{
	const struct load *load = &world->load;
	if (rests(world) || world_percent(world, idle_percent(world)))
		return;
	if (volleys(world) && load_under_way(world) >= VOLLEY_BEGINS_BELOW)
		return;
	unsigned calls_max = volleys(world) ? LOAD_CALLS_MAX : load->calls_per_turn;
	submit_some(world, node, world_below(world, calls_max + 1));
}

void load_burst(struct world *world, struct node *node)
{
	if (!rests(world))
		submit_some(world, node, BURST_CALLS);
}

void load_query_all(void *arg)
{
	struct node *node = arg;
	struct world *world = node->world;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = free_call(&world->load);
		ASSERT(of != NULL);
		of->node = node;
		of->model = (struct model_call){
		    .kind = MODEL_READ, .entity = entity, .connection = node->number};
		of->token[0] = '\0';
		submit_command(of, app_command_named("get"));
	}
	node_wake(node);
}

void load_history_all(void *arg)
{
	struct node *node = arg;
	struct world *world = node->world;
	for (unsigned entity = 0; entity < MODEL_ENTITIES; entity++) {
		struct load_call *of = free_call(&world->load);
		ASSERT(of != NULL);
		of->node = node;
		of->model = (struct model_call){.entity = entity, .connection = node->number};
		of->cursor[0] = '\0';
		submit_history(of);
	}
	node_wake(node);
}

void load_cut_off(struct world *world, struct node *node)
{
	for (size_t i = 0; i < LOAD_CALLS_MAX; i++) {
		struct load_call *of = &world->load.calls[i];
		if (!of->busy || of->node != node)
			continue;
		model_cut_off(world->model, &of->model);
		world->figures.cut_off_calls++;
		set_busy(of, false);
	}
}
