#include "tests/shard_sim/group_double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "tests/shard_sim/group_double_parts.h"

enum { SHARDS_MAX_HERE = 32, OTHER_BATCH_BYTES = 4096 };

/* ---- What the other members know ---- */

struct copy {
	struct copy *next;
	struct group_position at;
	size_t bytes;
	uint8_t data[];
};

struct cluster {
	uint64_t term;      /* the highest */
	uint64_t other;     /* the last in which another one led */
	uint64_t committed; /* index */
	struct copy *first; /* committed, and perhaps not durable here */
};

static struct {
	struct random random;
	struct double_options options;
	struct double_figures figures;
	struct cluster clusters[SHARDS_MAX_HERE];
} members;

static void free_copies(struct copy *copy)
{
	while (copy) {
		struct copy *next = copy->next;
		free(copy);
		copy = next;
	}
}

void double_begin(uint64_t seed)
{
	memset(&members, 0, sizeof(members));
	random_init(&members.random, seed);
	double_set_options(NULL);
}

void double_end(void)
{
	for (size_t i = 0; i < SHARDS_MAX_HERE; i++)
		free_copies(members.clusters[i].first);
	memset(members.clusters, 0, sizeof(members.clusters));
}

void double_set_options(const struct double_options *options)
{
	members.options =
	    options ? *options
	            : (struct double_options){
	                  .commit_percent = 100, .confirm_percent = 100, .elect_percent = 100};
}

struct double_figures double_figures(void)
{
	return members.figures;
}

bool double_is_linked(void)
{
	return true;
}

static bool percent(unsigned chance)
{
	return random_below(&members.random, 100) < chance;
}

bool double_percent(unsigned chance)
{
	return percent(chance);
}

static bool in_10000(unsigned chance)
{
	return random_below(&members.random, 10000) < chance;
}

/* ---- The member that is real ---- */

static struct cluster *cluster_of(const struct group *group)
{
	ASSERT(group->shard < SHARDS_MAX_HERE);
	return &members.clusters[group->shard];
}

uint64_t double_committed(const struct group *group)
{
	return cluster_of(group)->committed;
}

static struct group *find(const struct group_store *store, uint32_t shard)
{
	LIST_FOR_EACH(node, &store->groups)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (group->shard == shard)
			return group;
	}
	return NULL;
}

static struct group *need(struct group_store *store, uint32_t shard)
{
	struct group *group = find(store, shard);
	if (group)
		return group;
	group = mem_zalloc(1, sizeof(*group));
	ASSERT(group != NULL);
	group->store = store;
	group->shard = shard;
	list_node_init(&group->link);
	list_init(&group->locals);
	list_push_back(&store->groups, &group->link);
	return group;
}

static void decode(struct slice payload, struct group_entry *entry)
{
	ASSERT(payload.bytes >= GROUP_ENTRY_HEADER_BYTES);
	entry->kind = (enum group_entry_kind)payload.data[0];
	entry->time_ms = (int64_t)load_u64le(payload.data + 1);
	entry->batch = slice_of(
	    payload.data + GROUP_ENTRY_HEADER_BYTES, payload.bytes - GROUP_ENTRY_HEADER_BYTES);
}

static void add_local(struct group *group, struct group_position at, struct slice payload)
{
	struct local *local = mem_alloc(sizeof(*local) + payload.bytes);
	ASSERT(local != NULL);
	memset(local, 0, sizeof(*local));
	list_node_init(&local->link);
	local->at = at;
	local->bytes = (uint32_t)payload.bytes;
	memcpy(local->data, payload.data, payload.bytes);
	list_push_back(&group->locals, &local->link);
}

static void drop_locals_from(struct group *group, uint64_t index)
{
	LIST_FOR_EACH_REMOVABLE(node, &group->locals)
	{
		struct local *local = CONTAINER_OF(node, struct local, link);
		if (local->at.index < index)
			continue;
		list_remove(node);
		mem_free(local);
	}
}

/* ---- Opening ---- */

static int replay(void *arg, struct engine *engine, const struct log_record *record)
{
	struct group *group = need(arg, record->group);
	const struct cluster *cluster = cluster_of(group);
	struct group_position at = {.term = record->term, .index = record->index};
	struct group_entry entry = {.at = at};
	/* What the others have replaced is not committed, whatever stands here. */
	bool replaced = cluster->first && record->index >= cluster->first->at.index;
	decode(record->payload, &entry);
	if (entry.time_ms > group->time_ms)
		group->time_ms = entry.time_ms;
	if (record->index <= cluster->committed && !replaced && list_empty(&group->locals))
		return engine_apply(engine, group->shard, at.index, at.term, entry.batch);
	add_local(group, at, record->payload);
	return 0;
}

static void durable(void *arg, const struct log_extent *extents, size_t count)
{
	(void)arg;
	(void)extents;
	(void)count;
}

static void room(void *arg)
{
	struct group_store *store = arg;
	store->tells_room = true;
}

static void place(void *arg, uint32_t shard)
{
	struct group *group = need(arg, shard);
	struct engine *engine = group->store->engine;
	struct log_group_view view = engine_group(engine, shard);
	struct table_shard applied = engine_applied(engine, shard);
	ASSERT(!engine_shard_closed(engine, shard));
	group->last = (struct group_position){.term = view.last_term, .index = view.last_index};
	group->applied = (struct group_position){.term = applied.term, .index = applied.index};
	struct cluster *cluster = cluster_of(group);
	ASSERT(view.hard.term <= cluster->term && view.last_term <= cluster->term);
	ASSERT(applied.index <= cluster->committed);
	group->term = cluster->term;
}

int group_store_open(const struct group_store_options *options, char *why, size_t why_bytes,
    struct group_store **ret_store, struct engine_report *ret_report)
{
	struct group_store *store = mem_zalloc(1, sizeof(*store));
	ASSERT(store != NULL);
	list_init(&store->groups);
	struct engine_options engine = options->engine;
	engine.replay = replay;
	engine.durable = durable;
	engine.room = room;
	engine.arg = store;
	int error = engine_open(&engine, why, why_bytes, &store->engine, ret_report);
	if (error) {
		group_store_free(store);
		return error;
	}
	engine_each_group(store->engine, place, store);
	*ret_store = store;
	return 0;
}

void group_store_free(struct group_store *store)
{
	if (!store)
		return;
	engine_free(store->engine);
	struct list_node *node;
	while ((node = list_pop_front(&store->groups))) {
		struct group *group = CONTAINER_OF(node, struct group, link);
		drop_locals_from(group, 0);
		mem_free(group);
	}
	mem_free(store);
}

void group_store_close(struct group_store *store, void (*closed)(void *arg), void *arg)
{
	store->closing = true;
	engine_close(store->engine, closed, arg);
}

struct engine *group_store_engine(struct group_store *store)
{
	return store->engine;
}

int group_add(struct group_store *store, uint32_t shard, const struct group_events *events,
    void *arg, struct group **ret_group)
{
	struct group *group = need(store, shard);
	group->events = events;
	group->arg = arg;
	*ret_group = group;
	return 0;
}

void group_start(struct group *group)
{
	group->started = true;
}

/* ---- Appending ---- */

static bool has_room(struct group *group, uint64_t bytes)
{
	struct engine *engine = group->store->engine;
	if (engine_reserve_spare(engine, group->shard, bytes, 1))
		return false;
	engine_unreserve(engine, bytes, 1);
	return true;
}

void double_append(struct group *group, struct group_position at, struct slice payload)
{
	uint8_t *room_at;
	engine_append(group->store->engine, group->shard, at.term, at.index,
	    (uint32_t)payload.bytes, &room_at);
	memcpy(room_at, payload.data, payload.bytes);
	drop_locals_from(group, at.index);
	add_local(group, at, payload);
	group->last = at;
}

size_t double_payload(uint8_t *to, enum group_entry_kind kind, int64_t time_ms, struct slice batch)
{
	to[0] = (uint8_t)kind;
	store_u64le(to + 1, (uint64_t)time_ms);
	if (batch.bytes > 0)
		memcpy(to + GROUP_ENTRY_HEADER_BYTES, batch.data, batch.bytes);
	return GROUP_ENTRY_HEADER_BYTES + batch.bytes;
}

/* ---- The others ---- */

static void add_copy(struct cluster *cluster, struct group_position at, struct slice payload)
{
	struct copy *copy = malloc(sizeof(*copy) + payload.bytes);
	ASSERT(copy != NULL);
	copy->next = NULL;
	copy->at = at;
	copy->bytes = payload.bytes;
	memcpy(copy->data, payload.data, payload.bytes);
	struct copy **end = &cluster->first;
	while (*end)
		end = &(*end)->next;
	*end = copy;
	cluster->committed = at.index;
}

/* Another one leads: it has this one's entries up to `kept`, and adds its own behind them. */
static void others_lead(struct group *group, uint64_t kept)
{
	struct cluster *cluster = cluster_of(group);
	ASSERT(!cluster->first && kept >= group->applied.index);
	uint64_t dropped = group->last.index - kept;
	members.figures.discarded += dropped;
	*(dropped == 0                  ? &members.figures.kept_all
	    : kept > cluster->committed ? &members.figures.kept_some
	                                : &members.figures.kept_none) += 1;
	LIST_FOR_EACH(node, &group->locals)
	{
		struct local *local = CONTAINER_OF(node, struct local, link);
		if (local->at.index <= kept)
			add_copy(cluster, local->at, slice_of(local->data, local->bytes));
	}
	uint8_t payload[GROUP_ENTRY_HEADER_BYTES + OTHER_BATCH_BYTES];
	struct group_position at = {.term = ++cluster->term, .index = kept + 1};
	int64_t time_ms = group_time_ms(group);
	cluster->other = at.term;
	size_t bytes = double_payload(payload, GROUP_NOOP, time_ms, slice_of(NULL, 0));
	add_copy(cluster, at, slice_of(payload, bytes));
	members.figures.others_entries++;
	/* What it changes is known here only where nothing stands between. */
	if (kept != group->applied.index || !members.options.write_other)
		return;
	uint8_t batch[OTHER_BATCH_BYTES];
	struct writer out = writer_of(batch, sizeof(batch));
	if (!members.options.write_other(
	        members.options.arg, group->store->engine, group->shard, time_ms, &out))
		return;
	ASSERT(!out.failed);
	at.index++;
	bytes = double_payload(payload, GROUP_BATCH, time_ms, writer_view(&out));
	add_copy(cluster, at, slice_of(payload, bytes));
	members.figures.others_entries++;
}

uint64_t double_led_elsewhere(const struct group_store *store, uint32_t shard)
{
	const struct group *group = find(store, shard);
	const struct cluster *cluster = &members.clusters[shard];
	bool here = !group || (group->state != FOLLOWS && !group->cut_off);
	return here || cluster->other != cluster->term ? 0 : cluster->other;
}

bool double_is_current(const struct group_store *store, uint32_t shard)
{
	const struct group *group = find(store, shard);
	return double_led_elsewhere(store, shard) > 0 && group->state == FOLLOWS &&
	       !members.clusters[shard].first && list_empty(&group->locals) &&
	       group->applied.index == members.clusters[shard].committed;
}

bool double_change(struct group_store *store, uint32_t shard,
    bool (*write)(
        void *arg, struct engine *engine, uint32_t shard, int64_t time_ms, struct writer *out),
    void *arg)
{
	struct group *group = find(store, shard);
	struct cluster *cluster = cluster_of(group);
	uint8_t payload[GROUP_ENTRY_HEADER_BYTES + OTHER_BATCH_BYTES], batch[OTHER_BATCH_BYTES];
	struct writer out = writer_of(batch, sizeof(batch));
	ASSERT(double_is_current(store, shard));
	int64_t time_ms = group_time_ms(group);
	if (!write(arg, store->engine, shard, time_ms, &out))
		return false;
	ASSERT(!out.failed);
	size_t bytes = double_payload(payload, GROUP_BATCH, time_ms, writer_view(&out));
	struct group_position at = {.term = cluster->other, .index = cluster->committed + 1};
	add_copy(cluster, at, slice_of(payload, bytes));
	members.figures.others_entries++;
	return true;
}

/* What the others have comes here. False: there was no room yet. */
static bool install(struct group *group)
{
	struct cluster *cluster = cluster_of(group);
	uint64_t durable_index = engine_group(group->store->engine, group->shard).durable_index;
	bool whole = true;
	for (struct copy *copy = cluster->first; copy; copy = copy->next) {
		struct slice payload = slice_of(copy->data, copy->bytes);
		bool is_here = false;
		LIST_FOR_EACH(node, &group->locals)
		{
			struct local *local = CONTAINER_OF(node, struct local, link);
			is_here |=
			    local->at.index == copy->at.index && local->at.term == copy->at.term;
		}
		is_here |= copy->at.index <= group->applied.index;
		if (is_here)
			continue;
		if (!has_room(group, payload.bytes))
			return false;
		double_append(group, copy->at, payload);
		members.figures.installs++;
		whole = false;
	}
	/* What stands behind it was never committed. */
	if (whole && durable_index >= cluster->committed) {
		free_copies(cluster->first);
		cluster->first = NULL;
	}
	return true;
}

/* ---- Applying ---- */

/* It is no local any more: the caller's. */
static struct local *apply_next(struct group *group, uint64_t limit, struct group_entry *ret_entry)
{
	struct list_node *node = list_first(&group->locals);
	struct local *local = node ? CONTAINER_OF(node, struct local, link) : NULL;
	if (!local || local->at.index > limit)
		return NULL;
	*ret_entry = (struct group_entry){.at = local->at};
	decode(slice_of(local->data, local->bytes), ret_entry);
	int error = engine_apply(
	    group->store->engine, group->shard, local->at.index, local->at.term, ret_entry->batch);
	ASSERT_MSG(!error, "%s", error_name(error));
	if (ret_entry->time_ms > group->time_ms)
		group->time_ms = ret_entry->time_ms;
	list_remove(node);
	group->applied = local->at;
	return local;
}

static uint64_t apply_limit(const struct group *group)
{
	uint64_t limit = engine_group(group->store->engine, group->shard).durable_index;
	uint64_t committed = cluster_of(group)->committed;
	return limit < committed ? limit : committed;
}

static void apply(struct group *group)
{
	uint64_t limit = apply_limit(group);
	struct group_entry entry;
	struct local *local;
	while ((local = apply_next(group, limit, &entry))) {
		group->events->applied(group->arg, &entry);
		bool begins = group->state == CAMPAIGNS && entry.at.term == group->term;
		mem_free(local);
		if (begins) {
			group->state = LEADS;
			group->events->leading(group->arg, group->term);
		}
	}
}

/* The same entries as a state that came as a whole. */
static void jump(struct group *group)
{
	uint64_t limit = apply_limit(group), before = group->applied.index;
	struct group_entry entry;
	struct local *local;
	while ((local = apply_next(group, limit, &entry)))
		mem_free(local);
	if (group->applied.index == before)
		return;
	members.figures.jumps++;
	group->events->installed(group->arg, group->applied);
}

/* ---- Leading ---- */

static void campaign(struct group *group)
{
	struct cluster *cluster = cluster_of(group);
	uint8_t payload[GROUP_ENTRY_HEADER_BYTES];
	if (cluster->first || !has_room(group, sizeof(payload)))
		return;
	struct group_position at = {.term = ++cluster->term, .index = group->last.index + 1};
	group->term = at.term;
	engine_append_hard_state(group->store->engine, group->shard,
	    &(struct log_hard_state){
	        .term = at.term, .vote = DOUBLE_REPLICA, .commit = cluster->committed});
	group->time_ms = group_time_ms(group);
	(void)double_payload(payload, GROUP_NOOP, group->time_ms, slice_of(NULL, 0));
	double_append(group, at, slice_of(payload, sizeof(payload)));
	group->state = CAMPAIGNS;
	members.figures.elections++;
}

static void lose(struct group *group)
{
	members.figures.losses++;
	members.figures.rounds_lost += group->rounds - group->confirmed;
	bool was_cut_off = group->cut_off;
	group->cut_off = false;
	group->state = FOLLOWS;
	/* Any beginning of what is open may have reached the others; or nobody else led. */
	uint64_t committed = cluster_of(group)->committed;
	if (!was_cut_off && percent(75))
		others_lead(group, random_between(&members.random, committed, group->last.index));
	group->events->lost(group->arg);
}

static void cut_off(struct group *group)
{
	/* The others go on from what is committed. */
	if (cluster_of(group)->committed != group->applied.index)
		return;
	members.figures.cut_offs++;
	group->cut_off = true;
	others_lead(group, group->applied.index);
}

static void commit(struct group *group)
{
	uint64_t durable_index = engine_group(group->store->engine, group->shard).durable_index;
	struct cluster *cluster = cluster_of(group);
	/* Only with an entry of the own term. */
	struct list_node *node = list_last(&group->locals);
	if (!node || durable_index <= cluster->committed ||
	    !percent(members.options.commit_percent))
		return;
	uint64_t first_own = 0;
	LIST_FOR_EACH(each, &group->locals)
	{
		struct local *local = CONTAINER_OF(each, struct local, link);
		if (local->at.term == group->term && first_own == 0)
			first_own = local->at.index;
	}
	if (first_own == 0 || durable_index < first_own)
		return;
	uint64_t from = cluster->committed < first_own ? first_own : cluster->committed + 1;
	cluster->committed = random_between(&members.random, from, durable_index);
}

static void confirm(struct group *group)
{
	if (group->rounds == group->confirmed || !percent(members.options.confirm_percent))
		return;
	group->confirmed = random_between(&members.random, group->confirmed + 1, group->rounds);
	group->events->confirmed(group->arg, group->confirmed);
}

/* After a restart: what was not committed may have met the others, or not. */
static void resolve(struct group *group)
{
	struct cluster *cluster = cluster_of(group);
	if (group->resolved)
		return;
	group->resolved = true;
	if (cluster->first || members.options.loss == 0 || percent(50) ||
	    cluster->committed < group->applied.index)
		return;
	others_lead(group, random_between(&members.random, cluster->committed, group->last.index));
}

/* Leadership goes from one of the others to another. */
static void hand_on(struct group *group)
{
	if (!percent(members.options.hand_on_percent) ||
	    !double_is_current(group->store, group->shard))
		return;
	members.figures.handed_on++;
	others_lead(group, group->applied.index);
}

static void advance(struct group *group)
{
	switch (group->state) {
	case FOLLOWS:
		if (group->started)
			double_answer(group);
		resolve(group);
		if (cluster_of(group)->first && !install(group))
			return;
		if (percent(members.options.jump_percent))
			jump(group);
		apply(group);
		hand_on(group);
		if (group->started && percent(members.options.elect_percent))
			campaign(group);
		return;
	case CAMPAIGNS:
		commit(group);
		apply(group);
		return;
	case LEADS:
		if (group->cut_off) {
			if (percent(members.options.elect_percent))
				lose(group);
			return;
		}
		commit(group);
		apply(group);
		confirm(group);
		if (in_10000(members.options.loss))
			lose(group);
		else if (in_10000(members.options.cut_off))
			cut_off(group);
		return;
	}
	UNREACHABLE();
}

bool group_store_turn(struct group_store *store)
{
	bool told = store->tells_room;
	store->tells_room = false;
	LIST_FOR_EACH(node, &store->groups)
	{
		struct group *group = CONTAINER_OF(node, struct group, link);
		if (!group->events)
			continue;
		if (told && group->wants_room) {
			group->wants_room = false;
			group->events->room(group->arg);
		}
		if (!store->closing)
			advance(group);
	}
	bool more = engine_turn(store->engine);
	store->now_ms = 0;
	return more || told;
}
