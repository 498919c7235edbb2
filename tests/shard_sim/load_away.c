/* Two other nodes, where the groups are the double: calls are handed to them, on links that may
 * break, and are done there, while one of them leads and knows all that is committed; or they come
 * back.
 *
 * What another leader does is done by one that has no handlers: of counters, `add` without a token
 * and `get`. Everything else it says not to lead. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "tests/shard_sim/group_double.h"
#include "tests/shard_sim/load.h"
#include "tests/sim/verdict.h"

enum {
	STALE_PERCENT = 15, /* somebody is thought to lead who does not, or is not known to */
	ANSWER_PERCENT = 40,
	BREAKS_ONE_IN = 400, /* per turn and link */
	TOLD_PERCENT = 20
};

static struct load_core *core_of(struct load *load)
{
	return &load->cores[0];
}

/* One of the nodes, by the term in which it leads. */
static unsigned node_of(uint64_t term)
{
	return (unsigned)(term % LOAD_NODES);
}

static uint64_t route_to(const struct load *load, unsigned node)
{
	return 1 + node + load->links[node] * LOAD_NODES;
}

static unsigned node_at(uint64_t route)
{
	return (unsigned)((route - 1) % LOAD_NODES);
}

bool load_elsewhere(void *arg, struct shard_call *call, uint32_t shard)
{
	struct load_core *core = arg;
	struct load *load = core->load;
	uint64_t term = double_led_elsewhere(core->store, shard);
	EXPECT(!call->forwarded, "answer", "a call from another node is handed on");
	if (load->settling || load->closing)
		return false;
	if (load_percent(load, STALE_PERCENT))
		term = load_percent(load, 50) ? 0 : 1 + random_below(&load->random, LOAD_NODES);
	struct load_call *of = CONTAINER_OF(call, struct load_call, call);
	if (term == 0 || term == of->refused)
		return false;
	uint64_t route = route_to(load, node_of(term));
	if (call->route != 0 && call->route != route)
		return false;
	call->route = route;
	ASSERT(load->away_count < LOAD_CALLS_MAX);
	load->away[load->away_count++] = (struct load_away){.of = of, .term = term, .route = route};
	load->figures.double_handed_over++;
	return true;
}

static struct load_away take(struct load *load, unsigned index)
{
	struct load_away away = load->away[index];
	load->away_count--;
	memmove(&load->away[index], &load->away[index + 1],
	    (load->away_count - index) * sizeof(load->away[0]));
	return away;
}

/* As the handlers in C say it. */
static void say(struct shard_call *call, const struct load_change *change)
{
	char text[64];
	int error = 0;
	snprintf(text, sizeof(text), "%" PRIu64 ":", change->revision);
	error |= buffer_append_text(&call->reply, text);
	for (size_t at = 3; at < change->state_bytes; at += 9) {
		uint64_t id = 0;
		for (size_t i = 1; i < 9; i++)
			id = id << 8 | change->state[at + i];
		snprintf(text, sizeof(text), "%s%" PRIu64, at > 3 ? "," : "", id);
		error |= buffer_append_text(&call->reply, text);
	}
	snprintf(text, sizeof(text), "@%u", change->version);
	error |= buffer_append_text(&call->reply, text);
	ASSERT(!error);
}

static bool change_counter(
    void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out)
{
	return load_change_counter(arg, engine, shard, time_ms, out);
}

static bool is_known_there(const struct load_call *of)
{
	return of->command && !model_is_account(of->model.entity) && !of->model.has_token &&
	       (strcmp(of->name, "add") == 0 || strcmp(of->name, "get") == 0);
}

/* False: it is not its turn yet. */
static bool arrive(struct load *load, struct load_away *away)
{
	struct load_core *core = core_of(load);
	struct load_call *of = away->of;
	struct shard_call *call = &of->call;
	uint64_t term = double_led_elsewhere(core->store, call->shard);
	away->returns = true;
	if (term == 0 || node_of(term) != node_at(away->route) || !is_known_there(of))
		return true;
	if (!double_is_current(core->store, call->shard))
		return load_percent(load, 10);
	if (io_now_ns(core->io) >= call->deadline_ns) {
		call->status = STATUS_DEADLINE_EXCEEDED;
		away->returns = false;
		return true;
	}
	struct load_change change = {.load = load, .entity = of->model.entity, .id = of->model.id};
	bool done = of->model.kind == MODEL_READ
	                ? load_change_counter(
	                      &change, group_store_engine(core->store), call->shard, 0, NULL)
	                : double_change(core->store, call->shard, change_counter, &change);
	if (!done)
		return true;
	away->returns = false;
	call->has_reply = true;
	say(call, &change);
	load->figures.double_done_elsewhere++;
	return true;
}

/* What left first arrives first, on each link. */
static void arrive_all(struct load *load)
{
	bool late[LOAD_NODES] = {false};
	for (unsigned i = 0; i < load->away_count; i++) {
		struct load_away *away = &load->away[i];
		unsigned node = node_at(away->route);
		if (away->arrived || late[node])
			continue;
		if (load_percent(load, load->settling ? 100 : load->arrives_percent))
			away->arrived = arrive(load, away);
		late[node] = !away->arrived;
	}
}

static void answer_all(struct load *load)
{
	struct load_core *core = core_of(load);
	for (unsigned i = 0; i < load->away_count;) {
		if (!load->away[i].arrived || !load_percent(load, ANSWER_PERCENT)) {
			i++;
			continue;
		}
		struct load_away away = take(load, i);
		if (away.returns) {
			away.of->refused = away.term;
			shards_returned(core->shards, &away.of->call);
		} else {
			shards_answered(core->shards, &away.of->call);
		}
		load->figures.double_returned += away.returns;
		/* Others may have gone, or come, meanwhile. */
		i = 0;
	}
}

/* Whether they had arrived, nobody knows here; what did not, never does. */
static void break_link(struct load *load, unsigned node)
{
	struct load_core *core = core_of(load);
	load->figures.double_links_broken++;
	for (unsigned i = 0; i < load->away_count;) {
		if (node_at(load->away[i].route) != node) {
			i++;
			continue;
		}
		struct shard_call *call = &take(load, i).of->call;
		i = 0;
		if (CONTAINER_OF(call, struct load_call, call)->model.kind == MODEL_READ) {
			shards_returned(core->shards, call);
			continue;
		}
		buffer_clear(&call->reply);
		call->has_reply = false;
		call->status = STATUS_UNKNOWN_OUTCOME;
		shards_answered(core->shards, call);
	}
	load->links[node]++;
}

void load_away_turn(struct load *load)
{
	if (!load->has_nodes)
		return;
	for (unsigned node = 0; node < LOAD_NODES && !load->settling; node++)
		if (random_below(&load->random, BREAKS_ONE_IN) == 0)
			break_link(load, node);
	arrive_all(load);
	answer_all(load);
	if (load_percent(load, TOLD_PERCENT))
		shards_leader_known(
		    core_of(load)->shards, 1 + (uint32_t)random_below(&load->random, MODEL_SHARDS));
}
