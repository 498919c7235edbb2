/* Replicas that are damaged, where this node leads the directory, or nobody does: what is known of
 * them, and when one is given up (server/meta/damage.h). */
#include "base/clock.h"
#include "base/log_line.h"
#include "server/cluster_control.h"
#include "server/meta/damage.h"

/* What the leader of a shard says of the others is as old as its last word with them. Those that
 * were damaged with the one that is to be given up, by the same fault, are not heard of in what it
 * says so long after that. */
enum { JUDGED_MS = 2500 };

struct cluster_stranded *cluster_damaged_on(
    const struct cluster_control *control, uint32_t shard, uint16_t node)
{
	struct cluster_stranded *one = cluster_stranded_of(control, shard, node);
	return one && one->said.damaged ? one : NULL;
}

uint64_t cluster_damaged_since(const struct cluster_control *control, uint32_t shard)
{
	const struct cluster_map *map = control->core->map;
	uint64_t newest_ns = 0;
	for (uint32_t i = 0; i < map->node_count; i++) {
		const struct cluster_stranded *one =
		    cluster_damaged_on(control, shard, map->nodes[i].node);
		if (one && one->since_ns > newest_ns)
			newest_ns = one->since_ns;
	}
	return newest_ns;
}

static bool is_damaged(const struct cluster_control *control, uint32_t shard, uint64_t replica)
{
	const struct cluster_stranded *one =
	    cluster_damaged_on(control, shard, cluster_replica_node(replica));
	return one && one->said.replica == replica;
}

/* ---- Giving up ---- */

static bool others_are_whole(const struct cluster_control *control, uint32_t shard,
    const struct cluster_seen *seen, uint64_t replica)
{
	struct damage_member members[CLUSTER_REPLICAS_MAX];
	for (uint32_t i = 0; i < seen->count; i++) {
		const struct cluster_member_row *row = &seen->members[i];
		members[i] = (struct damage_member){.replica = row->replica,
		    .roles = row->roles,
		    .whole = row->heard && row->match + CLUSTER_LAG_MAX >= seen->last_index &&
		             !is_damaged(control, shard, row->replica)};
	}
	return damage_may_give_up(members, seen->count, replica);
}

/* Once for each. */
static void say_kept(struct cluster_stranded *one)
{
	if (one->kept)
		return;
	one->kept = true;
	LOG_LINE(LEVEL_WARNING, "replica_kept", FIELD_U64("group", one->said.shard),
	    FIELD_U64("replica", one->said.replica),
	    FIELD_TEXT("why",
	        "it is damaged, and the others are not a majority that is known to be "
	        "whole: see kalix-admin cluster status"));
}

bool cluster_control_may_give_up(struct cluster_control *control, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	uint32_t shard = request->shard;
	uint16_t node = request->node.node;
	/* The directory has its own reasons to refuse. */
	if (!meta_leads(control->core->meta) || !map || shard > map->shard_count)
		return true;
	const struct cluster_replica *wanted = cluster_map_replica(map, shard, node);
	if (!wanted)
		return true;
	struct cluster_stranded *one = cluster_damaged_on(control, shard, node);
	const struct cluster_seen *seen =
	    control->leads && control->seen ? cluster_seen_lately(control, shard) : NULL;
	uint64_t now_ns = io_now_ns(control->core->io), judged_ns = JUDGED_MS * NS_PER_MS;
	if (!one || one->said.replica != wanted->replica || now_ns - one->since_ns < judged_ns) {
		cluster_refuse(request, STATUS_UNAVAILABLE,
		    "the replica of shard %u on node %u is not known for long to be damaged: "
		    "others may be, too, and are looked at first",
		    shard, node);
		return false;
	}
	/* Where somebody leads it has heard from a majority, and not from this one. */
	if (seen && seen->at_ns >= one->since_ns + judged_ns &&
	    others_are_whole(control, shard, seen, wanted->replica))
		return true;
	say_kept(one);
	cluster_refuse(request, STATUS_FAILED_PRECONDITION,
	    "the replica of shard %u on node %u is damaged, and kept: the others are not a "
	    "majority that is known to be whole (see kalix-admin cluster status)",
	    shard, node);
	return false;
}

/* ---- What is known ---- */

/* One that its group has let go of, and nobody wants, is left over there, and nothing depends on
 * it. */
static bool matters(const struct cluster_map *map, const struct cluster_said *said, uint32_t shard,
    uint64_t replica)
{
	if (said->leader == 0 || cluster_map_wants(map, shard, replica))
		return true;
	for (uint32_t i = 0; i < said->count; i++)
		if (said->members[i].replica == replica)
			return true;
	return false;
}

static void look_at_shard(
    const struct cluster_control *control, uint32_t shard, struct cluster_said *said)
{
	const struct cluster_map *map = control->core->map;
	uint64_t now_ns = io_now_ns(control->core->io);
	for (uint32_t i = 0; i < map->node_count; i++) {
		const struct cluster_stranded *one =
		    cluster_damaged_on(control, shard, map->nodes[i].node);
		if (!one || said->damaged_count == cluster_replicas_room(shard) ||
		    !matters(map, said, shard, one->said.replica))
			continue;
		said->damaged[said->damaged_count++] = (struct cluster_damaged){
		    .replica = one->said.replica, .ms = (now_ns - one->since_ns) / NS_PER_MS};
	}
}

void cluster_look_at_damage(const struct cluster_control *control, struct cluster_said *said)
{
	for (uint32_t shard = 0; shard <= control->core->map->shard_count; shard++)
		look_at_shard(control, shard, &said[shard]);
}

/* ---- The directory's own ---- */

bool cluster_core_directory_elsewhere(const struct cluster_core *core)
{
	if (!core->map)
		return false;
	const struct cluster_shard *shard = &core->map->shards[0];
	uint32_t voters = 0, linked = 0;
	for (uint32_t i = 0; i < shard->count; i++) {
		uint16_t node = cluster_replica_node(shard->replicas[i].replica);
		if (!shard->replicas[i].voter)
			continue;
		voters++;
		linked += node != core->options->self.node && cluster_core_linked(core, node);
	}
	return voters > 0 && linked > voters / 2;
}
