#include "server/meta/recovery.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mutation.h"
#include "replication/raft/quorum.h"

/* Its node asks for another replica of the directory. */
static bool asks(const struct recovery_said *said)
{
	return said->damaged && said->shard == 0;
}

/* As the first one of a node, which counts only with a log. */
uint64_t recovery_none_of(uint16_t node)
{
	return cluster_replica_number(node, 0);
}

bool recovery_counts(const struct recovery_said *said, uint64_t ms)
{
	return ms <= (asks(said) ? RECOVERY_ASKED_MS : RECOVERY_SAID_MS);
}

bool recovery_is_present(uint64_t said_ns, uint64_t led_ns, uint64_t damaged_ns)
{
	bool is_after = damaged_ns == 0 || said_ns >= damaged_ns + RECOVERY_AFTER_MS * NS_PER_MS;
	return is_after && (led_ns == 0 || said_ns > led_ns);
}

bool recovery_is_over(const struct recovery_said *said, uint64_t ms)
{
	return ms > (asks(said) ? RECOVERY_ROUND_MS : RECOVERY_SAID_MS);
}

bool recovery_goes_on(
    const struct recovery_said *before, const struct recovery_said *now, uint64_t ms)
{
	return before->replica == now->replica && before->damaged == now->damaged &&
	       !recovery_is_over(before, ms);
}

bool recovery_is_there(const struct recovery_said *said, uint64_t replica)
{
	return said && !said->damaged && said->last_index > 0 && said->replica == replica;
}

bool recovery_is_lost(
    const struct cluster_map *map, const struct recovery_lost *lost, uint16_t node)
{
	const struct cluster_node *known = cluster_map_node(map, node);
	if (!known || known->state == CLUSTER_NODE_REMOVED)
		return true;
	for (uint32_t i = 0; i < lost->count; i++)
		if (lost->nodes[i] == node)
			return true;
	return false;
}

bool recovery_can_elect(const struct cluster_map *map, const struct recovery_lost *lost,
    const struct recovery_member *members, uint32_t count)
{
	struct raft_quorum_value values[CLUSTER_REPLICAS_MAX];
	size_t voters = 0;
	ASSERT(count <= CLUSTER_REPLICAS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		uint16_t node = cluster_replica_node(members[i].replica);
		if (!(members[i].roles & (RAFT_VOTER | RAFT_OUTGOING)))
			continue;
		values[voters++] = (struct raft_quorum_value){
		    .value = !recovery_is_lost(map, lost, node), .roles = members[i].roles};
	}
	return raft_quorum_reached(values, voters) == 1;
}

static bool is_ahead(const struct recovery_said *a, const struct recovery_said *b)
{
	if (a->last_term != b->last_term)
		return a->last_term > b->last_term;
	if (a->last_index != b->last_index)
		return a->last_index > b->last_index;
	return cluster_replica_node(a->replica) < cluster_replica_node(b->replica);
}

static const struct recovery_said *said_by(
    const struct recovery_said *const *said, size_t count, uint16_t node)
{
	for (size_t i = 0; i < count; i++)
		if (cluster_replica_node(said[i]->replica) == node)
			return said[i];
	return NULL;
}

/* Of those who may have something of the shard one that has not said so; 0: none. */
static uint16_t find_unheard(const struct cluster_map *map, const struct recovery_lost *lost,
    uint32_t shard, const struct recovery_said *const *said, size_t count)
{
	const struct cluster_shard *wanted = &map->shards[shard];
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint16_t node = cluster_replica_node(wanted->replicas[i].replica);
		if (!recovery_is_lost(map, lost, node) && !said_by(said, count, node))
			return node;
	}
	for (size_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < said[i]->count; k++) {
			uint16_t node = cluster_replica_node(said[i]->members[k].replica);
			if (!recovery_is_lost(map, lost, node) && !said_by(said, count, node))
				return node;
		}
	return 0;
}

/* Those that vote, of those that have said something, are a majority of the best one's members. */
static bool heard_can_elect(const struct recovery_said *best, const struct cluster_map *map,
    const struct recovery_lost *lost, const struct recovery_said *const *said, size_t count)
{
	struct recovery_member heard[CLUSTER_REPLICAS_MAX];
	/* Whoever is silent, or damaged, or not there, keeps its vote, and does not give it: as a
	 * node that there is not. */
	for (uint32_t i = 0; i < best->count; i++) {
		uint64_t replica = best->members[i].replica;
		heard[i] = best->members[i];
		if (!recovery_is_there(
		        said_by(said, count, cluster_replica_node(replica)), replica))
			heard[i].replica = 0;
	}
	return recovery_can_elect(map, lost, heard, best->count);
}

static void give_up(struct recovery_choice *choice, const struct recovery_said *best,
    const struct cluster_map *map, const struct recovery_lost *lost,
    const struct recovery_said *const *said, size_t count)
{
	for (uint32_t i = 0; i < best->count; i++) {
		uint64_t replica = best->members[i].replica;
		uint16_t node = cluster_replica_node(replica);
		bool votes = best->members[i].roles & (RAFT_VOTER | RAFT_OUTGOING);
		if (votes && !recovery_is_lost(map, lost, node) &&
		    !recovery_is_there(said_by(said, count, node), replica))
			choice->given_up[choice->given_up_count++] = replica;
	}
}

const struct recovery_said *recovery_best(const struct cluster_map *map,
    const struct recovery_lost *lost, const struct recovery_said *const *said, size_t count)
{
	const struct recovery_said *best = NULL;
	for (size_t i = 0; i < count; i++) {
		/* Without a log it knows nothing, not even who its members are. */
		if (said[i]->last_index == 0 || said[i]->damaged ||
		    recovery_is_lost(map, lost, cluster_replica_node(said[i]->replica)))
			continue;
		if (!best || is_ahead(said[i], best))
			best = said[i];
	}
	return best;
}

/* The best one has all that any of those that are left knows to be committed. */
static uint64_t known_committed(const struct cluster_map *map, const struct recovery_lost *lost,
    const struct recovery_said *best, const struct recovery_said *const *said, size_t count)
{
	uint64_t committed = best->committed;
	/* Breaks: what the log has may be an old leader's own, and others have acknowledged
	 * something else there. */
	if (MUTATION(cluster_takes_end_for_committed))
		return best->last_index;
	for (size_t i = 0; i < count; i++)
		if (!said[i]->damaged && said[i]->committed > committed &&
		    !recovery_is_lost(map, lost, cluster_replica_node(said[i]->replica)))
			committed = said[i]->committed;
	return committed < best->last_index ? committed : best->last_index;
}

struct recovery_choice recovery_choose(const struct cluster_map *map,
    const struct recovery_lost *lost, uint32_t shard, bool led,
    const struct recovery_said *const *said, size_t count)
{
	uint64_t term = 0;
	ASSERT(shard <= map->shard_count);
	if (led)
		return (struct recovery_choice){.kind = RECOVERY_NONE};
	uint16_t unheard = find_unheard(map, lost, shard, said, count);
	const struct recovery_said *best = recovery_best(map, lost, said, count);
	for (size_t i = 0; i < count; i++) {
		ASSERT(said[i]->shard == shard);
		if (said[i]->term > term)
			term = said[i]->term;
	}
	/* It is to do so already, and has not yet. */
	const struct cluster_recovery *before = &map->shards[shard].recovery;
	uint16_t chosen = cluster_replica_node(before->replica);
	const struct recovery_said *again = said_by(said, count, chosen);
	if (before->replica != 0 && before->term > term && !recovery_is_lost(map, lost, chosen) &&
	    (!again || recovery_is_there(again, before->replica)))
		return (struct recovery_choice){.kind = RECOVERY_NONE};
	/* It may have gone on, and nobody that is left has heard of its term. */
	if (before->term > term)
		term = before->term;
	if (best && heard_can_elect(best, map, lost, said, count))
		return (struct recovery_choice){.kind = RECOVERY_NONE};
	if (unheard != 0)
		return (struct recovery_choice){.kind = RECOVERY_UNHEARD, .node = unheard};
	if (!best)
		return (struct recovery_choice){.kind = RECOVERY_NOTHING};
	/* Breaks: those that are given up may have gone on in terms that nobody who is left has
	 * heard of. */
	uint64_t above = MUTATION(cluster_recovers_in_next_term) ? 1 : RECOVERY_TERMS;
	struct recovery_choice choice = {.kind = RECOVERY_CHOSEN,
	    .node = cluster_replica_node(best->replica),
	    .replica = best->replica,
	    .term = term + above,
	    .last_term = best->last_term,
	    .last_index = best->last_index,
	    .committed = known_committed(map, lost, best, said, count)};
	give_up(&choice, best, map, lost, said, count);
	return choice;
}
