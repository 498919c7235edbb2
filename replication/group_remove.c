/* A replica that is not wanted here any more goes, with its data.
 *
 * It is silent from the moment it is asked to: who has heard nothing of the removal takes it for
 * one that is down. What takes time is done from the end of a turn, where nobody is in the middle
 * of something that needs the group.
 */
#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "replication/group_parts.h"
#include "storage/install.h"

/* What hinders it may be over soon (a part of a snapshot that is being deleted), or not. */
#define PAUSE_FIRST_NS (20 * NS_PER_MS)
#define PAUSE_MAX_NS   (10 * NS_PER_S)

/* Others may have the room that it held. */
static void give_back(struct group *group)
{
	struct group_store *store = group->store;
	ASSERT(group->reserved_entries == 0);
	group_let_go_of_memberships(group);
	if (group->holds_first)
		engine_unreserve(store->engine, GROUP_ENTRY_HEADER_BYTES, 1);
	group->holds_first = false;
	if (group->wants_room)
		store->wanting--;
	group->wants_room = false;
	if (store->wanting > 0)
		store->tells_room = true;
}

static void pause_over(struct io_timer *timer)
{
	struct group *group = CONTAINER_OF(timer, struct group, timer);
	if (group->removal == REMOVAL_PAUSES)
		group->removal = REMOVAL_WAITS;
}

void group_remove(struct group *group, void (*removed)(void *arg, int error), void *arg)
{
	ASSERT(group->state != GROUP_REMOVED && removed);
	group_unapplied_forget(group);
	group->state = GROUP_REMOVED;
	group->events = NULL;
	group->arg = NULL;
	group->tells_lost = group->tells_confirmed = group->tells_answered = false;
	list_remove(&group->tell_link);
	list_remove(&group->active_link);
	io_timer_cancel(group->store->io, &group->timer);
	group->timer.fired = pause_over;
	snapshot_drop(group);
	group_past_done(group);
	give_back(group);
	group->removed = removed;
	group->removed_arg = arg;
	group->removal = REMOVAL_WAITS;
	list_push_back(&group->store->removals, &group->removal_link);
}

/* Nobody waits for it: what a crash, or the store's end, leaves of it is found again. */
static void cleared(void *arg, int error)
{
	(void)arg;
	(void)error;
}

bool group_store_unowned(const struct group_store *store, uint32_t shard)
{
	const struct group *group = group_find(store, shard);
	return group && group->state == GROUP_WAITS && !group->events;
}

bool group_store_holds(const struct group_store *store, uint32_t shard)
{
	return group_find(store, shard) != NULL;
}

int group_store_clear(struct group_store *store, uint32_t shard)
{
	if (!group_store_unowned(store, shard))
		return ERR_NOT_FOUND;
	group_remove(group_find(store, shard), cleared, NULL);
	return 0;
}

void group_end_removal(struct group *group)
{
	ASSERT(group->state == GROUP_REMOVED);
	group->removal_ends = true;
}

static void over(struct group *group, int result)
{
	group->removal = REMOVAL_OVER;
	group->removal_result = result;
}

static void take_result(struct group *group, int result)
{
	struct io *io = group->store->io;
	if (result == 0 || result == ERR_CANCELED) {
		over(group, result);
		return;
	}
	if (group->removal_pause_ns == 0)
		group->removal_pause_ns = PAUSE_FIRST_NS;
	else if (group->removal_pause_ns < PAUSE_MAX_NS)
		group->removal_pause_ns *= 2;
	if (result != ERR_EXISTS)
		LOG_LINE(LEVEL_WARNING, "replica_not_removed", FIELD_U64("group", group->shard),
		    FIELD_ERROR("error", result));
	group->removal = REMOVAL_PAUSES;
	io_timer_set(io, &group->timer, io_now_ns(io) + group->removal_pause_ns);
}

static void done(void *arg, int result)
{
	take_result(arg, result);
}

static void begin(struct group *group)
{
	group->removal = REMOVAL_RUNS;
	int error = engine_remove_shard(group->store->engine, group->shard, done, group);
	if (error)
		take_result(group, error);
}

static void tell(struct group *group)
{
	void (*removed)(void *arg, int error) = group->removed;
	void *arg = group->removed_arg;
	int result = group->removal_result;
	list_remove(&group->removal_link);
	io_timer_cancel(group->store->io, &group->timer);
	/* One that is still there keeps its place until the store goes. */
	if (result == 0) {
		number_map_remove(&group->store->groups, group->shard);
		group_free(group);
	}
	removed(arg, result);
}

static bool step(struct group *group)
{
	bool ends = group->removal_ends || group->store->closing;
	if (group->removal == REMOVAL_PAUSES && ends)
		over(group, ERR_CANCELED);
	if (group->removal == REMOVAL_OVER) {
		tell(group);
		return true;
	}
	if (group->removal != REMOVAL_WAITS || group->installing)
		return false;
	begin(group);
	return true;
}

bool group_removals_turn(struct group_store *store)
{
	bool more = false;
	LIST_FOR_EACH_REMOVABLE(node, &store->removals)
	more |= step(CONTAINER_OF(node, struct group, removal_link));
	return more;
}
