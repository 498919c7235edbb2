/* A group begins: its membership is read, its machine made. */
#include "base/assert.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/group_parts.h"
#include "storage/keys.h"

/* Until other nodes are known. */
static const struct raft_membership alone = {
    .count = 1, .members = {{.replica = 1, .roles = RAFT_VOTER}}};

int group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	struct group *group = group_find(store, shard);
	if (!group) {
		int error = group_new(store, shard, &group);
		if (error)
			return error;
	}
	if (group->state == GROUP_REMOVED)
		return ERR_BUSY;
	ASSERT(!group->events && events->applied && events->leading);
	group->events = events;
	group->arg = arg;
	group->self = 1;
	group->initial = &alone;
	*ret_group = group;
	return 0;
}

void group_set_members(struct group *group, uint64_t self, const struct raft_membership *initial)
{
	ASSERT(group->state == GROUP_WAITS);
	group->self = self;
	group->initial = initial;
}

void group_set_self(struct group *group, uint64_t self)
{
	static const struct raft_membership nobody;
	group_set_members(group, self, self == GROUP_FIRST_REPLICA ? &alone : &nobody);
}

void group_start(struct group *group)
{
	ASSERT(group->events && group->state == GROUP_WAITS);
	group->state = GROUP_STARTING;
	group->store->starts = true;
}

void group_close(struct group *group)
{
	if (group_is_over(group))
		return;
	group_unapplied_forget(group);
	group->state = GROUP_CLOSED;
	group_windows_drop(group);
	group->store->tells_closed = true;
}

void group_tell_closed(struct group *group)
{
	if (group->closed_told)
		return;
	group->closed_told = true;
	group->events->closed(group->arg);
}

void group_look_at_members(struct group *group)
{
	struct raft_membership membership;
	raft_get_membership(group->raft, &membership);
	group->joint = raft_membership_joint(&membership);
	group->alone = !group->store->carrier ||
	               (membership.count == 1 && membership.members[0].replica == group->self);
	struct group_store *store = group->store;
	if (group->alone)
		group_windows_drop(group);
	if (!group->alone && !store->keeps && store->read_bytes_max > 0) {
		store->keeps = true;
		engine_log_keep(store->engine);
	}
}

/* Those in entries that are not applied are in effect all the same. */
static int restore_memberships(struct group *group)
{
	for (uint64_t i = group->base.index + 1; i <= group->last.index; i++) {
		uint64_t term;
		struct raft_membership membership;
		struct slice payload = group_flight_get(group, i, &term);
		if (payload.data[0] != GROUP_MEMBERSHIP)
			continue;
		int error = raft_membership_read(group_entry_members(payload), &membership);
		ASSERT(!error);
		error = group_make_places_for(group, &membership);
		if (error)
			return error;
		raft_restore(group->raft, i, &membership);
	}
	return 0;
}

static void loaded(struct engine_load *load, int result)
{
	struct group *group = CONTAINER_OF(load, struct group, load);
	group->loading = false;
	if (result == ERR_CORRUPT || result == ERR_IO || result == ERR_DATA_LOSS)
		group_close(group);
	else if (result == ERR_NOMEM)
		group_store_starves(group->store);
	else
		group->store->starts = true;
}

/* As the store has it. ERR_AGAIN: it is being read. */
static int read_members(struct group *group, struct raft_membership *ret_members)
{
	struct engine *engine = group->store->engine;
	uint8_t kind = KEY_KIND_MEMBERS;
	struct slice key = slice_of(&kind, 1), value;
	*ret_members = *group->initial;
	if (!group->store->carrier)
		return 0;
	switch (engine_get(engine, group->shard, key, &value)) {
	case TABLE_VALUE:
		return raft_membership_read(value, ret_members);
	case TABLE_ABSENT:
		return 0;
	case TABLE_COLD:
	case TABLE_LOADING:
		group->loading = true;
		group->load.done = loaded;
		engine_load(engine, &group->load, group->shard, key);
		return ERR_AGAIN;
	}
	UNREACHABLE();
}

static int make_machine(struct group *group)
{
	struct raft_membership members;
	int error = group->loading ? ERR_AGAIN : read_members(group, &members);
	if (error)
		return error;
	struct group_store *store = group->store;
	struct log_group_view view = engine_group(store->engine, group->shard);
	struct raft_options options = {.self = group->self,
	    .replicas_max = group_replicas_max(group->shard),
	    .seed = store->seed ^ ((uint64_t)group->shard << 32) ^ group->self,
	    .log = group_log(group),
	    .election_ms = GROUP_ELECTION_MS,
	    .leases = store->leases,
	    .heartbeat_ms = GROUP_HEARTBEAT_MS,
	    .sleep_ms = GROUP_SLEEP_MS,
	    .messages_in_flight_max = RAFT_IN_FLIGHT_MAX,
	    .bytes_in_flight_max = GROUP_MESSAGE_BYTES_MAX * RAFT_IN_FLIGHT_MAX,
	    .message_bytes_max = store->message_bytes_max,
	    .gather_bytes = GROUP_GATHER_BYTES,
	    .gather_ms = GROUP_GATHER_MS,
	    /* group_reserve bounds them, together with those of other groups: group_room.c. */
	    .uncommitted_bytes_max = UINT64_MAX};
	struct raft_start start = {
	    .term = view.hard.term > view.last_term ? view.hard.term : view.last_term,
	    .vote = view.hard.term >= view.last_term ? view.hard.vote : 0,
	    .commit = group->applied.index,
	    .base = {.term = group->floor.term, .index = group->floor.index},
	    .last = {.term = group->last.term, .index = group->last.index},
	    .membership = &members,
	    .now_ms = group_now_ms(group)};
	uint32_t places = members.count > 0 ? members.count : 1;
	void *memory = mem_alloc(raft_bytes(places));
	if (!memory)
		return ERR_NOMEM;
	group->raft = raft_init(memory, places, &options, &start);
	group->floor_moved = false;
	error = restore_memberships(group);
	if (error) {
		mem_free(group->raft);
		group->raft = NULL;
		return error;
	}
	group->commit = start.commit;
	group->role = RAFT_FOLLOWER;
	group->term = start.term;
	group_look_at_members(group);
	return 0;
}

void group_go_on(struct group *group)
{
	if (group_is_over(group))
		return;
	if (engine_shard_closed(group->store->engine, group->shard)) {
		group_close(group);
		return;
	}
	int error = group->raft ? 0 : make_machine(group);
	if (error == ERR_CORRUPT)
		group_close(group);
	else if (error == ERR_NOMEM)
		group_store_starves(group->store);
	if (error)
		return;
	if (group->state == GROUP_STARTING)
		group->state = GROUP_RUNS;
	if (group_is_over(group) || group->role != RAFT_FOLLOWER || !group_hold_first(group))
		return;
	group_step(group, (struct raft_event){.kind = RAFT_TICK});
}
