/* A store's engine and the groups on it: opening and replay, the walk over what is durable, the
 * turn, the end. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "replication/group_parts.h"

#include <stdio.h>

struct group *group_find(const struct group_store *store, uint32_t shard)
{
	return number_map_get(&store->groups, shard);
}

int group_new(struct group_store *store, uint32_t shard, struct group **ret_group)
{
	struct group *group = mem_zalloc(1, sizeof(*group));
	if (!group)
		return ERR_NOMEM;
	group->store = store;
	group->shard = shard;
	list_node_init(&group->link);
	list_node_init(&group->active_link);
	list_node_init(&group->tell_link);
	list_node_init(&group->removal_link);
	group->snapshots_fail_ms = RAFT_NEVER;
	list_init(&group->snapshots_out);
	list_init(&group->windows);
	group->timer.fired = group_timer_fired;
	group->timer_ms = RAFT_NEVER;
	int error = number_map_put(&store->groups, shard, group);
	if (error) {
		mem_free(group);
		return ERR_NOMEM;
	}
	list_push_back(&store->list, &group->link);
	*ret_group = group;
	return 0;
}

void group_free(struct group *group)
{
	list_remove(&group->link);
	list_remove(&group->removal_link);
	io_timer_cancel(group->store->io, &group->timer);
	snapshot_forget(group);
	ASSERT(group->windows_count == 0 && !group->estimate);
	group_flights_done(group);
	mem_free(group->raft);
	mem_free(group);
}

/* ---- What is durable ---- */

/* What so many extents take from memory fits into the processor's first cache. */
enum { EXTENTS_TOGETHER = 8 };
_Static_assert(TABLE_SOON_PASSES + 2 == GROUP_SOON_STEPS, "passes go side by side");

static void tell_soon(struct group *const *groups, size_t count, unsigned step)
{
	for (size_t i = 0; i < count; i++)
		if (groups[i]->events && groups[i]->events->soon)
			groups[i]->events->soon(groups[i]->arg, step);
}

/* The frame was written some time ago, and much was done since: what applying it takes would be
 * fetched from memory piece by piece, each when it is wanted, and the processor would wait for
 * each. So it is asked for before, that of several groups at a time. */
static void fetch(const struct group_store *store, struct group *const *groups, size_t count)
{
	struct table_soon soon = {.count = 0};
	for (size_t i = 0; i < count; i++)
		memory_fetch(groups[i], GROUP_HOT_BYTES);
	for (size_t i = 0; i < count; i++) {
		group_fetch_next(groups[i]);
		if (!groups[i]->alone && groups[i]->raft)
			raft_fetch(groups[i]->raft);
	}
	tell_soon(groups, count, 0);
	for (size_t i = 0; i < count; i++) {
		struct group_entry entry;
		if (!group_next_entry(groups[i], &entry))
			engine_soon_add(store->engine, &soon, groups[i]->shard, entry.batch);
	}
	tell_soon(groups, count, 1);
	for (unsigned pass = 0; pass < TABLE_SOON_PASSES; pass++) {
		engine_soon_pass(store->engine, &soon, pass);
		tell_soon(groups, count, pass + 2);
	}
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	struct group_store *store = arg;
	for (size_t i = 0; i < count;) {
		struct group *groups[EXTENTS_TOGETHER];
		const struct log_extent *theirs[EXTENTS_TOGETHER];
		size_t together = 0;
		for (; i < count && together < EXTENTS_TOGETHER; i++) {
			struct group *group = group_find(store, extents[i].group);
			/* One that a crash has left half removed, and that is gone now. */
			if (!group)
				continue;
			groups[together] = group;
			theirs[together++] = &extents[i];
		}
		fetch(store, groups, together);
		for (size_t k = 0; k < together; k++)
			group_durable(groups[k], theirs[k]);
	}
}

/* ---- Opening ---- */

static void room(void *arg)
{
	struct group_store *store = arg;
	store->starts = true;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (!group->wants_room)
			continue;
		group->wants_room = false;
		store->wanting--;
		group->events->room(group->arg);
	}
}

/* Memory is short for longer than a turn: trying in each would leave the core to nobody else. */
#define STARVING_NS (10 * NS_PER_MS)

void group_store_starves(struct group_store *store)
{
	if (!store->starving.armed)
		io_timer_set(store->io, &store->starving, io_now_ns(store->io) + STARVING_NS);
}

static void starved(struct io_timer *timer)
{
	CONTAINER_OF(timer, struct group_store, starving)->tells_room = true;
}

/* Where the log and the checkpoint left the group. */
static void place(struct group *group)
{
	struct engine *engine = group->store->engine;
	struct log_group_view view = engine_group(engine, group->shard);
	struct table_shard applied = engine_applied(engine, group->shard);
	group->term = view.hard.term > view.last_term ? view.hard.term : view.last_term;
	group->applied = (struct group_position){.term = applied.term, .index = applied.index};
	if (group->last.index < group->applied.index) {
		group_unapplied_forget(group);
		group_set_base(group, group->applied);
		group->last = group->applied;
	}
	/* Replay gave all there is; a closed shard stays where it was. */
	ASSERT(group->last.index == view.last_index || engine_shard_closed(engine, group->shard));
}

struct meeting {
	struct group_store *store;
	int error;
};

static void meet(void *arg, uint32_t shard)
{
	struct meeting *meeting = arg;
	struct group *group = group_find(meeting->store, shard);
	if (!group && !meeting->error)
		meeting->error = group_new(meeting->store, shard, &group);
	if (group)
		place(group);
}

int group_store_open(const struct group_store_options *options, char *why, size_t why_bytes,
    struct group_store **ret_store, struct engine_report *ret_report)
{
	struct group_store *store = mem_zalloc(1, sizeof(*store));
	if (!store) {
		snprintf(why, why_bytes, "%s: out of memory", options->engine.dir);
		return ERR_NOMEM;
	}
	number_map_init(&store->groups);
	list_init(&store->list);
	list_init(&store->active);
	list_init(&store->telling);
	list_init(&store->removals);
	store->carrier = options->carrier;
	store->snapshots = options->snapshots;
	store->leases = options->leases;
	list_init(&store->windows_wait);
	store->read_bytes_max = options->carrier ? options->read_bytes_max : 0;
	store->kept_bytes_max =
	    options->kept_bytes_max ? options->kept_bytes_max : GROUP_KEPT_BYTES_MAX;
	store->message_bytes_max =
	    options->message_bytes_max ? options->message_bytes_max : GROUP_MESSAGE_BYTES_MAX;
	store->group_unapplied_max = options->group_unapplied_bytes_max
	                                 ? options->group_unapplied_bytes_max
	                                 : GROUP_UNAPPLIED_BYTES_MAX;
	store->unapplied_max =
	    options->unapplied_bytes_max ? options->unapplied_bytes_max : STORE_UNAPPLIED_BYTES_MAX;
	store->node = options->node;
	store->seed = options->engine.hash_seed;
	store->io = options->engine.io;
	store->starving.fired = starved;
	struct engine_options engine = options->engine;
	engine.replay = group_replay;
	engine.durable = durable;
	engine.room = room;
	engine.arg = store;
	struct engine_report report;
	int error = engine_open(&engine, why, why_bytes, &store->engine, &report);
	if (error) {
		group_store_free(store);
		return error;
	}
	struct meeting meeting = {.store = store};
	engine_each_group(store->engine, meet, &meeting);
	if (meeting.error) {
		snprintf(why, why_bytes, "%s: out of memory for its groups", options->engine.dir);
		group_store_free(store);
		return meeting.error;
	}
	*ret_store = store;
	*ret_report = report;
	return 0;
}

/* An engine is freed without cursors, and reads nothing for anybody. */
static void drop_snapshots(struct group_store *store)
{
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		snapshot_drop(group);
		group_past_done(group);
	}
	while (snapshot_reads(store->snapshots)) {
		io_poll(store->io, UINT64_MAX);
		io_run(store->io);
	}
}

void group_store_free(struct group_store *store)
{
	if (!store)
		return;
	io_timer_cancel(store->io, &store->starving);
	drop_snapshots(store);
	engine_free(store->engine);
	struct list_node *node;
	while ((node = list_first(&store->list)))
		group_free(CONTAINER_OF(node, struct group, link));
	number_map_done(&store->groups);
	mem_free(store);
}

void group_store_close(struct group_store *store, void (*closed)(void *arg), void *arg)
{
	ASSERT(!store->closing);
	store->closing = true;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		snapshot_drop(group);
		group_windows_drop(group);
	}
	engine_close(store->engine, closed, arg);
}

bool group_store_receive(
    struct group_store *store, uint32_t shard, const struct raft_message *message)
{
	struct group *group = group_find(store, shard);
	if (!group || !group->events || message->to != group->self)
		return false;
	/* While the store closes there is no log for what it brings. */
	if (!store->closing)
		group_receive(group, message);
	return true;
}

struct engine *group_store_engine(struct group_store *store)
{
	return store->engine;
}

/* ---- The turn ---- */

static void start_groups(struct group_store *store)
{
	store->starts = false;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (group->state == GROUP_STARTING || (group->raft && !group->holds_first))
			group_go_on(group);
	}
}

static void tell_closed(struct group_store *store)
{
	store->tells_closed = false;
	LIST_FOR_EACH(node, &store->list)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (group->state == GROUP_CLOSED)
			group_tell_closed(group);
	}
}

static void tell_roles(struct group_store *store)
{
	struct list_node *node;
	struct list now;
	list_init(&now);
	list_append_all(&now, &store->telling);
	while ((node = list_pop_front(&now))) {
		struct group *group = CONTAINER_OF(node, struct group, tell_link);
		group_tell_lost(group);
		if (group->tells_confirmed && group->state == GROUP_LEADS &&
		    group->events->confirmed)
			group->events->confirmed(group->arg, group->confirmed);
		group->tells_confirmed = false;
		if (group->tells_answered && group->events->answered)
			group->events->answered(group->arg);
		group->tells_answered = false;
	}
}

/* Between two turns of a group other groups' machines, of some kilobytes each, took its place in
 * the processor's caches. */
static void send_all(struct group_store *store)
{
	struct list now;
	list_init(&now);
	list_append_all(&now, &store->active);
	while (!list_empty(&now)) {
		struct group *groups[EXTENTS_TOGETHER];
		size_t count = 0;
		while (count < EXTENTS_TOGETHER && !list_empty(&now)) {
			struct list_node *node = list_pop_front(&now);
			groups[count] = CONTAINER_OF(node, struct group, active_link);
			raft_fetch(groups[count++]->raft);
		}
		for (size_t i = 0; i < count; i++)
			group_send(groups[i]);
	}
}

bool group_store_turn(struct group_store *store)
{
	/* Those above may have a turn's work to do once they were told something. */
	bool told = store->tells_room || store->tells_closed || !list_empty(&store->telling);
	tell_roles(store);
	send_all(store);
	if (!list_empty(&store->windows_wait) || store->windows_asked > 0)
		group_windows_turn(store);
	if (store->tells_room) {
		store->tells_room = false;
		room(store);
	}
	if (store->starts && !store->closing)
		start_groups(store);
	if (store->tells_closed) {
		told = true;
		tell_closed(store);
	}
	bool more = engine_turn(store->engine);
	if (!list_empty(&store->removals))
		more |= group_removals_turn(store);
	store->now_ms = 0;
	return more || told || (store->starts && !store->closing);
}
