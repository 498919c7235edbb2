#include "tests/cluster_sim/oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "replication/group_parts.h"
#include "server/cluster_parts.h"
#include "tests/cluster_sim/memory.h"
#include "tests/cluster_sim/world.h"
#include "tests/sim/verdict.h"

enum { GROUPS = MODEL_SHARDS + 1, ENTRIES_MAX = 1 << 15, TERMS_MAX = 1 << 13 };

/* An entry that a log has, or had. */
struct entry {
	struct entry *next; /* another one of the same index */
	uint64_t term, before_term, hash;
	uint32_t bytes;
};

struct applied {
	uint64_t term, hash; /* term 0: nobody has; hash 0: it is to be, with this term */
};

struct known {
	struct entry *entries[ENTRIES_MAX];
	struct applied applied[ENTRIES_MAX];
	uint64_t applied_max;
	uint64_t kept, kept_term;    /* 0: nothing was lost */
	uint64_t leaders[TERMS_MAX]; /* by term, which replica; 0: nobody */
	uint64_t term_max;           /* that had a leader */
};

/* Appended, and not filled yet. */
struct pending {
	bool is;
	uint32_t shard;
	uint64_t index, term, before_term;
	const uint8_t *payload;
	uint32_t bytes;
};

/* Of a store of the process whose life that is. */
struct refusals {
	uint64_t life, count;
};

struct oracle {
	struct world *world;
	struct node *node; /* whose process runs */
	struct pending pending;
	struct known groups[GROUPS];
	bool closed[WORLD_MACHINES_MAX][GROUPS];
	bool led[WORLD_MACHINES_MAX][GROUPS]; /* at the last look */
	/* The last index that each node was told to have on its disk. */
	uint64_t durable[WORLD_MACHINES_MAX][GROUPS];
	struct refusals refusals[WORLD_MACHINES_MAX][NODE_CORES_MAX];
	struct memory memory;
};

static struct oracle *listening;

struct oracle *oracle_new(struct world *world)
{
	struct oracle *oracle = calloc(1, sizeof(*oracle));
	ASSERT(oracle != NULL);
	oracle->world = world;
	listening = oracle;
	return oracle;
}

void oracle_free(struct oracle *oracle)
{
	for (unsigned shard = 0; shard < GROUPS; shard++)
		for (uint64_t i = 0; i < ENTRIES_MAX; i++)
			for (struct entry *entry = oracle->groups[shard].entries[i]; entry;) {
				struct entry *next = entry->next;
				free(entry);
				entry = next;
			}
	free(oracle);
	listening = NULL;
}

/* ---- What is appended ---- */

/* A membership goes from node to node without the header that stands before it in each log. */
static uint64_t hash_entry(const struct pending *now)
{
	struct slice payload = slice_of(now->payload, now->bytes);
	if (now->bytes >= GROUP_ENTRY_HEADER_BYTES && now->payload[0] == GROUP_MEMBERSHIP)
		payload = group_entry_members(payload);
	return hash_bytes(payload, 1);
}

/* Ends what was begun: the bytes are there now. */
static void look_at_pending(struct oracle *oracle)
{
	struct pending *now = &oracle->pending;
	if (!now->is)
		return;
	now->is = false;
	struct known *group = &oracle->groups[now->shard];
	uint64_t hash = hash_entry(now);
	struct entry *entry = group->entries[now->index];
	oracle->world->figures.entries_appended++;
	while (entry && entry->term != now->term)
		entry = entry->next;
	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		ASSERT(entry != NULL);
		*entry = (struct entry){.next = group->entries[now->index],
		    .term = now->term,
		    .before_term = now->before_term,
		    .hash = hash,
		    .bytes = now->bytes};
		oracle->world->figures.entries_replaced += entry->next != NULL;
		group->entries[now->index] = entry;
		return;
	}
	EXPECT(entry->hash == hash && entry->bytes == now->bytes, "log matching",
	    "group %u: two entries %" PRIu64 " of term %" PRIu64, now->shard, now->index,
	    now->term);
	EXPECT(entry->before_term == now->before_term, "log matching",
	    "group %u: entry %" PRIu64 " of term %" PRIu64 " stands behind one of term %" PRIu64
	    " at node %u, and of %" PRIu64 " elsewhere",
	    now->shard, now->index, now->term, now->before_term, oracle->node->number,
	    entry->before_term);
}

/* The linker puts these in the place of the engine's own: see module.am. */
void __real_engine_append(struct engine *engine, uint32_t shard, uint64_t term, uint64_t index,
    uint32_t bytes, uint8_t **ret_payload);
void __wrap_engine_append(struct engine *engine, uint32_t shard, uint64_t term, uint64_t index,
    uint32_t bytes, uint8_t **ret_payload);
void __real_engine_append_hard_state(
    struct engine *engine, uint32_t shard, const struct log_hard_state *state);
void __wrap_engine_append_hard_state(
    struct engine *engine, uint32_t shard, const struct log_hard_state *state);
int __real_engine_apply(
    struct engine *engine, uint32_t shard, uint64_t index, uint64_t term, struct slice batch);
int __wrap_engine_apply(
    struct engine *engine, uint32_t shard, uint64_t index, uint64_t term, struct slice batch);

/* Where damage was found there is neither a vote nor an entry any more: neither where it is known
 * whose it is, nor where it may be anybody's. */
static void expect_whole(const struct oracle *oracle, const struct engine *engine, uint32_t shard)
{
	bool is_whole = !engine_shard_closed(engine, shard) && !engine_group(engine, shard).suspect;
	EXPECT(is_whole, "damaged",
	    "group %u: node %u goes on with a replica that it has found damaged", shard,
	    oracle->node->number);
}

void __wrap_engine_append_hard_state(
    struct engine *engine, uint32_t shard, const struct log_hard_state *state)
{
	ASSERT(listening && listening->node);
	expect_whole(listening, engine, shard);
	EXPECT(!listening->node->is_ghost || listening->groups[shard].kept == 0, "removed",
	    "group %u: a node that was given up votes", shard);
	__real_engine_append_hard_state(engine, shard, state);
}

void __wrap_engine_append(struct engine *engine, uint32_t shard, uint64_t term, uint64_t index,
    uint32_t bytes, uint8_t **ret_payload)
{
	struct oracle *oracle = listening;
	uint64_t before_term = 0;
	ASSERT(oracle && oracle->node);
	look_at_pending(oracle);
	expect_whole(oracle, engine, shard);
	EXPECT(shard < GROUPS && index > 0 && index < ENTRIES_MAX, "log matching",
	    "group %u has an entry %" PRIu64, shard, index);
	bool known = index > 1 && engine_term(engine, shard, index - 1, &before_term) == 0;
	if (known)
		loss_appends(oracle->world, oracle->node, shard,
		    (struct group_position){.index = index, .term = term}, before_term);
	__real_engine_append(engine, shard, term, index, bytes, ret_payload);
	if (!known && index > 1)
		return;
	oracle->pending = (struct pending){.is = true,
	    .shard = shard,
	    .index = index,
	    .term = term,
	    .before_term = before_term,
	    .payload = *ret_payload,
	    .bytes = bytes};
}

/* ---- What is applied ---- */

static struct node *node_with(const struct oracle *oracle, uint64_t replica)
{
	for (unsigned i = 0; i < oracle->world->node_count; i++)
		if (node_id(&oracle->world->nodes[i]) == cluster_replica_node(replica))
			return &oracle->world->nodes[i];
	return NULL;
}

/* Most of those who have one of these roles have it on their disks. One that has left the cluster
 * may have had it. */
static bool most_have(const struct oracle *oracle, const struct raft_membership *members,
    unsigned roles, uint32_t shard, uint64_t index)
{
	uint32_t voters = 0, have = 0;
	for (uint32_t i = 0; i < members->count; i++) {
		if (!(members->members[i].roles & roles))
			continue;
		const struct node *node = node_with(oracle, members->members[i].replica);
		voters++;
		have += !node || oracle->durable[node->number][shard] >= index;
	}
	return voters == 0 || have > voters / 2;
}

static const struct group *group_at(const struct node *node, uint32_t shard)
{
	struct group_store *store = node->stage != NODE_DOWN ? node_store(node, shard) : NULL;
	const struct group *group = store ? group_store_group(store, shard) : NULL;
	return group && group->raft ? group : NULL;
}

static bool members_have(
    const struct oracle *oracle, const struct group *group, uint32_t shard, uint64_t index)
{
	struct raft_membership members;
	group_get_members(group, &members);
	return most_have(oracle, &members, RAFT_VOTER, shard, index) &&
	       most_have(oracle, &members, RAFT_OUTGOING, shard, index);
}

/* Members are in force where they are appended: a leader may have committed it with some that this
 * node does not know yet, of which each majority has one in common with each of those before. */
static bool newer_members_have(
    const struct oracle *oracle, const struct group *known, uint32_t shard, uint64_t index)
{
	bool have = false;
	for (unsigned i = 0; i < oracle->world->node_count && !have; i++) {
		const struct group *group = group_at(&oracle->world->nodes[i], shard);
		have = group && group_leads(group) &&
		       raft_status(group->raft).membership_index >
		           raft_status(known->raft).membership_index &&
		       members_have(oracle, group, shard, index);
	}
	return have;
}

/* When anybody applies what nobody has applied. */
static void look_at_durable(struct oracle *oracle, uint32_t shard, uint64_t index)
{
	const struct node *node = oracle->node;
	const struct group *group = group_at(node, shard);
	/* As its replay is, what stands in a log alone; and a change of members behind it says
	 * nothing of how it was committed. */
	if (!group || raft_status(group->raft).membership_index > index)
		return;
	EXPECT(members_have(oracle, group, shard, index) ||
	           newer_members_have(oracle, group, shard, index),
	    "durable", "group %u: node %u applies %" PRIu64 ", which no majority has on its disks",
	    shard, node->number, index);
}

/* Returns whether nobody had. */
static bool look_at_applied(
    struct oracle *oracle, uint32_t shard, uint64_t index, uint64_t term, uint64_t hash)
{
	struct known *group = &oracle->groups[shard];
	/* One that was given up still has what is lost. */
	if (group->kept > 0 && oracle->node->is_ghost)
		return false;
	EXPECT(shard < GROUPS && index > 0 && index < ENTRIES_MAX, "state machine",
	    "group %u has an entry %" PRIu64, shard, index);
	struct applied *applied = &group->applied[index];
	oracle->world->figures.entries_applied++;
	EXPECT(index <= group->kept || term >= group->kept_term, "resurrected",
	    "group %u: node %u applies at %" PRIu64 " an entry of term %" PRIu64
	    ", and a recovery went on from %" PRIu64 " in term %" PRIu64,
	    shard, oracle->node->number, index, term, group->kept, group->kept_term);
	bool is_new = applied->term == 0;
	EXPECT(is_new || (applied->term == term && (applied->hash == hash || applied->hash == 0)),
	    "state machine",
	    "group %u: node %u applies at %" PRIu64 " an entry of term %" PRIu64
	    ", where one of %" PRIu64 " was applied",
	    shard, oracle->node->number, index, term, applied->term);
	if (is_new)
		look_at_durable(oracle, shard, index);
	*applied = (struct applied){.term = term, .hash = hash};
	if (index > group->applied_max)
		group->applied_max = index;
	return is_new;
}

int __wrap_engine_apply(
    struct engine *engine, uint32_t shard, uint64_t index, uint64_t term, struct slice batch)
{
	struct oracle *oracle = listening;
	ASSERT(oracle && oracle->node);
	look_at_pending(oracle);
	uint64_t hash = hash_bytes(batch, 2);
	int error = __real_engine_apply(engine, shard, index, term, batch);
	if (!error && look_at_applied(oracle, shard, index, term, hash))
		loss_applied(oracle->world, shard, index, batch);
	return error;
}

uint64_t __real_engine_durable(const struct engine *engine, uint32_t shard);
uint64_t __wrap_engine_durable(const struct engine *engine, uint32_t shard);

uint64_t __wrap_engine_durable(const struct engine *engine, uint32_t shard)
{
	struct oracle *oracle = listening;
	uint64_t index = __real_engine_durable(engine, shard);
	ASSERT(oracle && oracle->node && shard < GROUPS);
	oracle->durable[oracle->node->number][shard] = index;
	return index;
}

uint64_t oracle_applied(const struct oracle *oracle, uint32_t shard)
{
	return oracle->groups[shard].applied_max;
}

uint64_t oracle_lose(
    struct oracle *oracle, const struct node *left, uint32_t shard, uint64_t last, uint64_t term)
{
	struct known *group = &oracle->groups[shard];
	const struct engine *engine = group_store_engine(node_store(left, shard));
	struct log_group_view view = engine_group(engine, shard);
	uint64_t kept = last, found;
	ASSERT(view.last_index >= last && last < ENTRIES_MAX);
	/* Nothing at all was applied behind that. */
	for (uint64_t i = view.first_index; i <= kept && i <= group->applied_max; i++)
		if (!engine_term(engine, shard, i, &found) && group->applied[i].term != 0 &&
		    group->applied[i].term != found)
			kept = i - 1;
	for (uint64_t i = kept + 1; i <= last || i <= group->applied_max; i++) {
		bool goes_on = i <= last && !engine_term(engine, shard, i, &found);
		group->applied[i] = (struct applied){.term = goes_on ? found : 0};
	}
	group->applied_max = group->kept = last;
	group->kept_term = term;
	return kept;
}

void oracle_forget(struct oracle *oracle, const struct node *node)
{
	memset(oracle->durable[node->number], 0, sizeof(oracle->durable[node->number]));
}

void oracle_inside(struct oracle *oracle, struct node *node)
{
	oracle->pending.is = false;
	oracle->node = node;
}

/* ---- Who leads ---- */

static void expect_complete(
    struct oracle *oracle, const struct node *node, uint32_t shard, uint64_t term)
{
	const struct known *group = &oracle->groups[shard];
	const struct engine *engine = group_store_engine(node_store(node, shard));
	struct log_group_view view = engine_group(engine, shard);
	EXPECT(view.last_index >= group->applied_max, "leader completeness",
	    "group %u: node %u leads term %" PRIu64 " with a log up to %" PRIu64 ", and %" PRIu64
	    " was applied",
	    shard, node->number, term, view.last_index, group->applied_max);
	for (uint64_t i = view.first_index; i <= group->applied_max; i++) {
		uint64_t found;
		if (engine_term(engine, shard, i, &found) || group->applied[i].term == 0)
			continue;
		EXPECT(found == group->applied[i].term, "leader completeness",
		    "group %u: node %u leads term %" PRIu64 " with entry %" PRIu64
		    " of term %" PRIu64 ", where one of %" PRIu64 " was applied",
		    shard, node->number, term, i, found, group->applied[i].term);
	}
}

static void look_at_leader(
    struct oracle *oracle, const struct node *node, uint32_t shard, struct raft_status status)
{
	struct known *group = &oracle->groups[shard];
	EXPECT(status.term < TERMS_MAX, "election safety", "group %u: term %" PRIu64, shard,
	    status.term);
	uint64_t *leader = &group->leaders[status.term];
	if (*leader == 0)
		oracle->world->figures.elections++;
	EXPECT(*leader == 0 || *leader == status.self, "election safety",
	    "group %u: replicas %" PRIx64 " and %" PRIx64 " lead term %" PRIu64, shard, *leader,
	    status.self, status.term);
	bool is_new = *leader == 0;
	*leader = status.self;
	/* One that comes late for its term commits nothing any more. */
	if (status.term <= group->term_max)
		return;
	group->term_max = status.term;
	if (is_new)
		expect_complete(oracle, node, shard, status.term);
}

/* Who a node sends its clients to: where it knows that nobody leads a term, the one that did has
 * said so. */
static void look_at_known(const struct oracle *oracle, const struct node *node, uint32_t shard)
{
	const struct cluster_leaders *leaders = node->server.leaders;
	if (!leaders || cluster_leader(leaders, shard) != 0)
		return;
	uint64_t term = cluster_leader_term(leaders, shard);
	if (term == 0)
		return;
	for (unsigned i = 0; i < oracle->world->node_count; i++) {
		const struct node *other = &oracle->world->nodes[i];
		if (!node_serves(other) || !oracle->led[i][shard])
			continue;
		const struct group *group = group_store_group(node_store(other, shard), shard);
		/* Where damage was found it leads no more, whatever its core last was. */
		bool leads = group && group->raft && group_leads(group);
		EXPECT(!leads || raft_status(group->raft).term != term, "led",
		    "group %u: node %u leads term %" PRIu64 ", and node %u takes it for over",
		    shard, i, term, node->number);
	}
}

/* By production: what a storm hands over is not counted until it has ended. */
static bool counts_hand_over(struct world *world, const struct group *group, uint32_t shard)
{
	uint64_t bit = UINT64_C(1) << shard;
	if (!group || !group->raft)
		return false;
	struct raft_status status = raft_status(group->raft);
	if (group_leads(group) && !status.transferring)
		world->handed_over &= ~bit;
	return status.transferring && !(world->handed_over & bit);
}

static void look_at_turns(struct oracle *oracle, const struct node *node)
{
	for (unsigned number = 0; number < node->core_count && node_serves(node); number++) {
		const struct cluster_core *core = node->server.cores[number].cluster;
		unsigned under_way = 0;
		for (size_t i = 0; i < CLUSTER_WISHES_MAX && !core->unfit; i++) {
			const struct cluster_wish *wish = &core->wishes.wishes[i];
			const struct group *group =
			    wish->node != 0 ? cluster_shard_group(core, wish->shard) : NULL;
			under_way += counts_hand_over(oracle->world, group, wish->shard);
		}
		EXPECT(under_way <= 1, "one at a time", "core %u of node %u hands over %u shards",
		    number, node->number, under_way);
	}
}

static void count_refused(struct oracle *oracle, const struct node *node)
{
	for (uint32_t i = 0; i < node->store_count; i++) {
		const struct group_store *store = node_store(node, i);
		struct refusals *refusals = &oracle->refusals[node->number][i];
		uint64_t bytes, refused;
		if (!store)
			continue;
		group_store_unapplied(store, &bytes, &refused);
		if (refusals->life != node->life)
			*refusals = (struct refusals){.life = node->life};
		oracle->world->figures.uncommitted_refused += refused - refusals->count;
		refusals->count = refused;
	}
}

void oracle_look(struct oracle *oracle, struct node *node)
{
	look_at_pending(oracle);
	loss_saw(oracle->world, node);
	look_at_turns(oracle, node);
	count_refused(oracle, node);
	memory_look(&oracle->memory, node);
	for (uint32_t shard = 0; shard < GROUPS; shard++) {
		struct group_store *store = node_store(node, shard);
		const struct group *group = store ? group_store_group(store, shard) : NULL;
		bool *led = &oracle->led[node->number][shard];
		bool closed = store && engine_shard_closed(group_store_engine(store), shard);
		oracle->world->figures.shards_closed +=
		    closed && !oracle->closed[node->number][shard];
		oracle->closed[node->number][shard] = closed;
		EXPECT(!closed || node->disk_lies, "closed", "group %u: node %u has closed it",
		    shard, node->number);
		if (!group || !group->raft) {
			*led = false;
			continue;
		}
		struct raft_status status = raft_status(group->raft);
		bool leads = status.role == RAFT_LEADER;
		/* In the directory's group it has its vote until that has let go of it. */
		EXPECT(!leads || !node->is_ghost || shard == 0, "removed",
		    "group %u is led by a node that was removed", shard);
		if (leads)
			look_at_leader(oracle, node, shard, status);
		oracle->world->figures.terms_lost += *led && !leads;
		*led = leads;
	}
	for (uint32_t shard = 0; shard < GROUPS; shard++)
		look_at_known(oracle, node, shard);
}
