/* Replicas that reach no leader: they say what they have, and go on alone where the directory has
 * chosen them for that (cluster_recover.c). And those that are damaged: they say that. And where
 * there is none, though somebody's log or the map has one: that is said at a question, or it would
 * be waited for for ever. */
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_parts.h"
#include "storage/engine.h"

static bool is_stranded(const struct cluster_core *core, const struct group *group)
{
	uint64_t leader = group_leader(group);
	return leader == 0 || !cluster_core_linked(core, cluster_replica_node(leader));
}

static void say(struct cluster_core *core, const struct recovery_said *said)
{
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_stranded_write(&out, said);
	cluster_rows_add(core, &core->stranded, &out);
}

void cluster_stranded_damaged(struct cluster_core *core, uint32_t shard, const struct group *group)
{
	struct recovery_said said = {.shard = shard,
	    .replica = group_self(group),
	    .damaged = true,
	    .term = group_term(group)};
	say(core, &said);
}

static void say_stranded(
    struct cluster_core *core, const struct group *group, struct recovery_said *said)
{
	struct raft_membership members;
	struct group_position last = group_last(group);
	group_get_members(group, &members);
	said->replica = group_self(group);
	said->term = group_term(group);
	said->last_term = last.term;
	said->last_index = last.index;
	said->committed = group_committed(group);
	for (uint32_t i = 0; i < members.count && said->count < CLUSTER_REPLICAS_MAX; i++)
		said->members[said->count++] = (struct recovery_member){
		    .replica = members.members[i].replica, .roles = members.members[i].roles};
	say(core, said);
}

/* ---- What is not here ---- */

/* Everything that runs here of a shard says what it has by itself. What is left of one that has
 * left its group, when the process ended before it could go, takes part in nothing. */
static void say_none(struct cluster_core *core, uint32_t shard)
{
	struct group_store *store = cluster_shard_store(core, shard);
	bool is_served = core->shards && core->map && !core->closing && shard != 0 && store;
	if (!is_served || shard > core->options->shard_count ||
	    (group_store_holds(store, shard) && !group_store_unowned(store, shard)))
		return;
	struct recovery_said said = {.shard = shard,
	    .replica = recovery_none_of(core->options->self.node),
	    .damaged = engine_shard_closed(group_store_engine(store), shard)};
	say(core, &said);
}

int cluster_stranded_asked(struct cluster_core *core, struct slice bytes)
{
	uint32_t shard;
	if (cluster_asked_read(bytes, &shard))
		return ERR_PROTOCOL;
	say_none(core, shard);
	return 0;
}

struct ask_post {
	struct cluster_post post;
	uint32_t shard;
};

static void ask_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct ask_post *ask = CONTAINER_OF(post, struct ask_post, post);
	say_none(core, ask->shard);
	mem_free(ask);
}

void cluster_stranded_ask_own(struct cluster_core *core, uint32_t shard)
{
	struct ask_post *ask = mem_zalloc(1, sizeof(*ask));
	/* It is asked again. */
	if (!ask)
		return;
	ask->post.arrived = ask_arrived;
	ask->shard = shard;
	core->services.post(
	    core->services.arg, cluster_core_of(&core->options->self, shard), &ask->post);
}

/* ---- Going on alone ---- */

/* Where replicas were given up whose nodes stay, they are those members that the record of it does
 * without. */
static bool can_elect(
    const struct cluster_core *core, uint32_t shard, const struct recovery_said *said)
{
	static const struct recovery_lost nobody;
	bool gives_up = core->map->shards[shard].recovery.gives_up;
	struct recovery_member left[CLUSTER_REPLICAS_MAX];
	for (uint32_t i = 0; i < said->count; i++) {
		left[i] = said->members[i];
		/* As one of a node that there is not. */
		if (gives_up && !cluster_map_wants(core->map, shard, left[i].replica))
			left[i].replica = 0;
	}
	return recovery_can_elect(core->map, &nobody, left, said->count);
}

/* It says what it has. And where the directory has chosen it to go on alone, it does: once, because
 * its term is that of the record then; and not where those that are left can elect, whatever the
 * directory knew when it chose. */
void cluster_stranded_look(
    struct cluster_core *core, uint32_t shard, struct group *group, bool says)
{
	const struct cluster_recovery *recovery = &core->map->shards[shard].recovery;
	struct recovery_said said = {.shard = shard};
	struct group_position at = {.index = 0};
	bool chosen = cluster_follows_map(core) && recovery->replica == group_self(group) &&
	              recovery->term > group_term(group);
	if (!is_stranded(core, group) || (!chosen && !says))
		return;
	say_stranded(core, group, &said);
	if (!chosen || can_elect(core, shard, &said))
		return;
	int error = group_recover(group, recovery->term, &at);
	LOG_LINE(error ? LEVEL_ERROR : LEVEL_WARNING, "shard_recovered", FIELD_U64("group", shard),
	    FIELD_U64("replica", recovery->replica), FIELD_U64("term", recovery->term),
	    FIELD_U64("index", at.index), FIELD_ERROR("error", error));
}
