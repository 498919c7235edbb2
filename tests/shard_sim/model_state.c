/* Times, and what a state says of the changes that made it. */
#include <inttypes.h>

#include "tests/shard_sim/app.h"
#include "tests/shard_sim/model_parts.h"
#include "tests/sim/verdict.h"

/* So far to either side another change is looked for whose time is known. */
enum { NEIGHBOURS_MAX = 100 };

/* ---- Times ---- */

static void expect_order(const struct entity *entity, unsigned number, uint64_t low, uint64_t high)
{
	EXPECT(entity->states[low].at_ms <= entity->states[high].at_ms, "time",
	    "entity %u: revision %" PRIu64 " was made at %" PRId64 ", and %" PRIu64 " at %" PRId64,
	    number, low, entity->states[low].at_ms, high, entity->states[high].at_ms);
}

void model_saw_at(struct entity *entity, unsigned number, uint64_t revision, int64_t at_ms)
{
	struct state_known *known = &entity->states[revision];
	EXPECT(at_ms > 0, "time", "entity %u, revision %" PRIu64 ": no time", number, revision);
	EXPECT(known->at_ms == 0 || known->at_ms == at_ms, "one history",
	    "entity %u, revision %" PRIu64 ": made at %" PRId64 ", and at %" PRId64, number,
	    revision, known->at_ms, at_ms);
	if (known->at_ms == at_ms)
		return;
	known->at_ms = at_ms;
	for (unsigned i = 1; i <= NEIGHBOURS_MAX && i < revision; i++) {
		if (entity->states[revision - i].at_ms == 0)
			continue;
		expect_order(entity, number, revision - i, revision);
		break;
	}
	for (unsigned i = 1; i <= NEIGHBOURS_MAX && revision + i < REVISIONS_MAX; i++) {
		if (entity->states[revision + i].at_ms == 0)
			continue;
		expect_order(entity, number, revision, revision + i);
		break;
	}
}

void model_saw_time(struct model *model, const struct model_call *call, const struct view *view)
{
	/* A repeat shows the first one's time. */
	if (call->is_repeat)
		return;
	int64_t *shown_ms = &model->shown_ms[model_shard(call->entity)];
	EXPECT(view->now_ms == 0 || view->now_ms >= call->least_ms, "time",
	    "entity %u: %" PRId64 ", and its shard had shown %" PRId64 " when the call began",
	    call->entity, view->now_ms, call->least_ms);
	EXPECT(view->now_ms == 0 || view->now_ms >= view->at_ms, "time",
	    "entity %u: %" PRId64 ", and its state was made at %" PRId64, call->entity,
	    view->now_ms, view->at_ms);
	int64_t latest_ms = view->now_ms > view->at_ms ? view->now_ms : view->at_ms;
	if (latest_ms > *shown_ms)
		*shown_ms = latest_ms;
}

/* ---- States ---- */

static void mix(struct state_known *state, uint64_t id)
{
	state->made++;
	state->sum = (state->sum * 31 + id) % 1000000007;
}

static void expect_sum(unsigned number, uint64_t revision, const struct state_known *expected,
    const struct state_known *found)
{
	EXPECT(expected->made == found->made && expected->sum == found->sum, "state",
	    "entity %u, revision %" PRIu64 ": %" PRIu64 " changes of sum %" PRIu64
	    ", and they make %" PRIu64 " of sum %" PRIu64,
	    number, revision, found->made, found->sum, expected->made, expected->sum);
}

static void know(
    struct entity *entity, unsigned number, uint64_t revision, const struct state_known *state)
{
	struct state_known *known = &entity->states[revision];
	if (known->has_sum) {
		expect_sum(number, revision, known, state);
		return;
	}
	known->has_sum = true;
	known->made = state->made;
	known->sum = state->sum;
}

/* From a revision whose sum is known on, or from the entity's birth, each id makes the next one. */
void model_saw_state(struct entity *entity, unsigned number, const struct view *view)
{
	if (!view->has_more)
		return;
	struct state_known now = {0};
	const struct state_known told = {.made = view->made, .sum = view->sum};
	uint64_t first = view->revision - view->count;
	size_t from = 0;
	EXPECT(view->made >= view->count && (view->made == view->count || view->count == VIEW_IDS),
	    "state", "entity %u, revision %" PRIu64 ": %" PRIu64 " changes, %zu of them shown",
	    number, view->revision, view->made, view->count);
	if (view->made > view->count) {
		while (from < view->count && !entity->states[first + from].has_sum)
			from++;
		now = from < view->count ? entity->states[first + from] : told;
	}
	for (size_t i = from; i < view->count; i++) {
		mix(&now, view->ids[i]);
		know(entity, number, first + i + 1, &now);
	}
	expect_sum(number, view->revision, &now, &told);
	know(entity, number, view->revision, &told);
	if (view->made > 0)
		model_saw_at(entity, number, view->revision, view->at_ms);
}

void model_saw_path(struct model *model, const struct model_call *call, const struct view *view)
{
	if (!view->has_more || call->is_repeat)
		return;
	model->migrated += view->path_count > 1;
	for (size_t i = 1; i < view->path_count; i++)
		EXPECT(view->path[i] == view->path[i - 1] + 1, "app",
		    "entity %u: migrated from %u to %u", call->entity, view->path[i - 1],
		    view->path[i]);
	EXPECT(view->path[view->path_count - 1] == app_state_version(view->app), "app",
	    "entity %u: version %u of the app answers with a state of version %u", call->entity,
	    view->app, view->path[view->path_count - 1]);
}

uint64_t model_migrated(const struct model *model)
{
	return model->migrated;
}
