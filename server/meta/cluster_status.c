#include "server/meta/cluster_status.h"

#include "base/assert.h"
#include "base/wire/json_writer.h"

/* ---- Judging ---- */

struct verdict {
	bool led, few, behind, stands;
	bool quorumless, gone;
	uint32_t survives;
	/* Where it is quorumless: so many voters more would be enough, and since when. */
	uint32_t needs;
	uint64_t quorumless_ms;
	const char *remedy; /* NULL: nothing is damaged */
};

static bool is_alive(const struct cluster_view *view, uint16_t number)
{
	const struct cluster_node *node = cluster_map_node(view->map, number);
	return node && node->state != CLUSTER_NODE_REMOVED &&
	       view->nodes[node - view->map->nodes].alive;
}

/* NULL: it is not known to be. */
static const struct cluster_damaged *damaged_on(
    const struct cluster_view *view, uint32_t shard, uint16_t node)
{
	const struct cluster_said *said = &view->shards[shard];
	for (uint32_t i = 0; i < said->damaged_count; i++)
		if (cluster_replica_node(said->damaged[i].replica) == node)
			return &said->damaged[i];
	return NULL;
}

static bool is_absent(const struct cluster_view *view, uint32_t shard, uint16_t node)
{
	const struct cluster_said *said = &view->shards[shard];
	for (uint32_t i = 0; i < said->count; i++)
		if (cluster_replica_node(said->members[i].replica) == node)
			return said->members[i].is_absent;
	return false;
}

/* The voter there may vote. */
static bool is_able(const struct cluster_view *view, uint32_t shard, uint16_t node)
{
	return is_alive(view, node) && !damaged_on(view, shard, node) &&
	       !is_absent(view, shard, node);
}

static uint32_t members_of(const struct cluster_map *map)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < map->node_count; i++)
		count += map->nodes[i].state == CLUSTER_NODE_MEMBER;
	return count;
}

static void put_in_order(uint16_t *nodes, uint32_t count, uint16_t node)
{
	uint32_t at = count;
	for (; at > 0 && nodes[at - 1] > node; at--)
		nodes[at] = nodes[at - 1];
	nodes[at] = node;
}

/* The voters of one that nobody leads, rising. */
static uint32_t voters_of(
    const struct cluster_view *view, uint32_t shard, uint16_t nodes[CLUSTER_REPLICAS_MAX])
{
	const struct cluster_said *said = &view->shards[shard];
	const struct cluster_shard *wanted = &view->map->shards[shard];
	uint32_t count = 0;
	for (uint32_t i = 0; i < said->count; i++)
		if (said->members[i].voter)
			put_in_order(
			    nodes, count++, cluster_replica_node(said->members[i].replica));
	for (uint32_t i = 0; said->count == 0 && i < wanted->count; i++)
		if (wanted->replicas[i].voter)
			put_in_order(
			    nodes, count++, cluster_replica_node(wanted->replicas[i].replica));
	return count;
}

/* UINT64_MAX: it is not known any more, or was removed, or what is missing of it is no node. */
static uint64_t dead_ms(const struct cluster_view *view, uint16_t number)
{
	const struct cluster_node *node = cluster_map_node(view->map, number);
	if (!node || node->state == CLUSTER_NODE_REMOVED || is_alive(view, number))
		return UINT64_MAX;
	return view->nodes[node - view->map->nodes].dead_ms;
}

/* The quorum went with the one that was too much, of those that went one after the other. */
static uint64_t lost_ms(
    const struct cluster_view *view, uint32_t shard, const uint16_t *nodes, uint32_t voters)
{
	uint64_t longest[CLUSTER_REPLICAS_MAX];
	uint32_t count = 0, too_many = voters - (voters / 2 + 1);
	for (uint32_t i = 0; i < voters; i++) {
		if (is_able(view, shard, nodes[i]))
			continue;
		const struct cluster_damaged *damaged = damaged_on(view, shard, nodes[i]);
		uint64_t ms = damaged ? damaged->ms : dead_ms(view, nodes[i]);
		uint32_t at = count++;
		for (; at > 0 && longest[at - 1] < ms; at--)
			longest[at] = longest[at - 1];
		longest[at] = ms;
	}
	ASSERT(too_many < count);
	return longest[too_many];
}

/* Of so many voters some may vote, and some are whole, where their nodes are there. */
static const char *remedy_of(uint32_t voters, uint32_t able, uint32_t whole)
{
	uint32_t majority = voters / 2 + 1;
	if (able >= majority)
		return "itself";
	if (whole >= majority)
		return "nodes";
	return whole > 0 ? "recover" : "restore";
}

static bool is_removed(const struct cluster_view *view, uint16_t number)
{
	const struct cluster_node *node = cluster_map_node(view->map, number);
	return !node || node->state == CLUSTER_NODE_REMOVED;
}

static struct verdict judge_leaderless(const struct cluster_view *view, uint32_t shard)
{
	uint16_t nodes[CLUSTER_REPLICAS_MAX];
	uint32_t voters = voters_of(view, shard, nodes), able = 0, whole = 0, removed = 0;
	for (uint32_t i = 0; i < voters; i++) {
		removed += is_removed(view, nodes[i]);
		able += is_able(view, shard, nodes[i]);
		whole += !damaged_on(view, shard, nodes[i]) && !is_absent(view, shard, nodes[i]);
	}
	uint32_t majority = voters / 2 + 1;
	struct verdict verdict = {.led = false, .quorumless = voters > 0 && able < majority};
	if (view->shards[shard].damaged_count > 0)
		verdict.remedy = remedy_of(voters, able, whole);
	if (!verdict.quorumless)
		return verdict;
	verdict.gone = removed == voters;
	verdict.needs = majority - able;
	verdict.quorumless_ms = lost_ms(view, shard, nodes, voters);
	return verdict;
}

/* A leader that has just heard of it, or that sleeps, does not know yet that its node is gone. */
static bool is_heard(const struct cluster_view *view, const struct cluster_member *member)
{
	return member->heard && is_alive(view, cluster_replica_node(member->replica));
}

/* Its disk does not answer: it acknowledges nothing until it does. */
static bool is_disk_waited_for(const struct cluster_view *view, uint64_t replica)
{
	const struct cluster_node *node =
	    cluster_map_node(view->map, cluster_replica_node(replica));
	return node && view->nodes[node - view->map->nodes].waiting_ms > 0;
}

/* Its leader has, and it does not, the first entry that waits to be committed. */
static bool is_silent(const struct cluster_said *said, const struct cluster_member *member)
{
	return member->voter && member->lag >= said->pending;
}

static struct verdict judge(const struct cluster_view *view, uint32_t shard, uint32_t members)
{
	const struct cluster_said *said = &view->shards[shard];
	uint32_t wanted = shard == 0 ? CLUSTER_DIRECTORY_VOTERS : view->map->replication_factor;
	uint32_t voters = 0, able = 0, silent = 0, waited_for = 0;
	ASSERT(said->count <= CLUSTER_REPLICAS_MAX);
	if (said->leader == 0 || !is_alive(view, said->leader))
		return judge_leaderless(view, shard);
	if (wanted > members)
		wanted = members;
	for (uint32_t i = 0; i < said->count; i++) {
		const struct cluster_member *member = &said->members[i];
		voters += member->voter;
		bool is_one =
		    member->voter && is_heard(view, member) && member->lag <= view->lag_max;
		able += is_one;
		waited_for += is_one && is_disk_waited_for(view, member->replica);
		silent += is_silent(said, member);
	}
	bool stands = said->pending > 0 && said->stands_ms > view->stands_ms_max;
	/* Who acknowledges nothing makes nobody else's failure good, however little it lacks. */
	uint32_t usable = able - waited_for;
	if (stands && voters - silent < usable)
		usable = voters - silent;
	uint32_t majority = voters / 2 + 1, spare = usable > majority ? usable - majority : 0;
	bool few = voters < wanted, lacks = able < wanted;
	return (struct verdict){.led = true,
	    .few = few,
	    .behind = !few && lacks,
	    .stands = stands,
	    .survives = spare,
	    .remedy = said->damaged_count > 0 ? "itself" : NULL};
}

static bool is_wanted(const struct cluster_shard *wanted, const struct cluster_member *member)
{
	for (uint32_t i = 0; i < wanted->count; i++)
		if (wanted->replicas[i].replica == member->replica)
			return wanted->replicas[i].voter == member->voter;
	return false;
}

/* Its members are those of the directory, and it has not settled since a voter that is not reached
 * lacks some of the log: it is as it is to be. */
static bool rests(const struct cluster_view *view, uint32_t shard)
{
	const struct cluster_said *said = &view->shards[shard];
	const struct cluster_shard *wanted = &view->map->shards[shard];
	bool lacks_one = false;
	if (said->count != wanted->count)
		return false;
	for (uint32_t i = 0; i < said->count; i++) {
		const struct cluster_member *member = &said->members[i];
		if (!is_wanted(wanted, member))
			return false;
		lacks_one |=
		    member->voter && !is_alive(view, cluster_replica_node(member->replica));
	}
	return lacks_one;
}

struct cluster_summary cluster_summarise(const struct cluster_view *view)
{
	struct cluster_summary summary = {.survives = UINT32_MAX};
	uint32_t members = members_of(view->map);
	for (uint32_t shard = 0; shard <= view->map->shard_count; shard++) {
		struct verdict verdict = judge(view, shard, members);
		summary.leaderless += !verdict.led;
		summary.quorumless += verdict.quorumless;
		summary.few += verdict.few;
		summary.behind += verdict.behind;
		summary.standing += verdict.stands;
		summary.damaged += verdict.remedy != NULL;
		summary.moving +=
		    verdict.led && !view->shards[shard].settled && !rests(view, shard);
		if (verdict.survives < summary.survives)
			summary.survives = verdict.survives;
	}
	summary.well = summary.leaderless + summary.few + summary.behind + summary.standing == 0;
	return summary;
}

/* ---- Writing ---- */

static void write_text(struct json_writer *writer, const char *key, const char *text)
{
	json_write_key(writer, slice_from_text(key));
	json_write_string(writer, slice_from_text(text));
}

static void write_number(struct json_writer *writer, const char *key, uint64_t value)
{
	json_write_key(writer, slice_from_text(key));
	json_write_integer(writer, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void write_boolean(struct json_writer *writer, const char *key, bool value)
{
	json_write_key(writer, slice_from_text(key));
	json_write_boolean(writer, value);
}

static const char *state_name(enum cluster_node_state state)
{
	switch (state) {
	case CLUSTER_NODE_MEMBER:
		return "member";
	case CLUSTER_NODE_DRAINING:
		return "draining";
	case CLUSTER_NODE_REMOVED:
		return "removed";
	}
	UNREACHABLE();
}

static void write_moves(const struct cluster_moves *moves, struct json_writer *writer)
{
	write_number(writer, "snapshot_bytes", moves->bytes);
	write_number(writer, "snapshot_bytes_per_s", moves->bytes_per_s);
	write_number(writer, "snapshots", moves->snapshots);
}

static struct cluster_moves sum_of_moves(const struct cluster_view *view)
{
	struct cluster_moves sum = {.bytes = 0};
	for (uint32_t i = 0; i < view->map->node_count; i++) {
		sum.bytes += view->moves[i].bytes;
		sum.bytes_per_s += view->moves[i].bytes_per_s;
		sum.snapshots += view->moves[i].snapshots;
	}
	return sum;
}

static void write_node(const struct cluster_view *view, uint32_t at, struct json_writer *writer)
{
	const struct cluster_node *node = &view->map->nodes[at];
	uint32_t leads = 0, replicas = 0;
	uint64_t load = 0;
	for (uint32_t shard = 0; shard <= view->map->shard_count; shard++) {
		bool led = view->nodes[at].alive && view->shards[shard].leader == node->node;
		leads += led;
		load += led ? view->shards[shard].load : 0;
		replicas += cluster_map_replica(view->map, shard, node->node) != NULL;
	}
	json_write_object_begin(writer);
	write_boolean(writer, "alive", view->nodes[at].alive);
	write_number(writer, "cluster_port", node->cluster_port);
	write_number(writer, "cores", node->cores);
	if (!view->nodes[at].alive)
		write_number(writer, "dead_ms", view->nodes[at].dead_ms);
	if (view->nodes[at].waiting_ms > 0)
		write_number(writer, "disk_waiting_ms", view->nodes[at].waiting_ms);
	if (view->nodes[at].full)
		write_boolean(writer, "full", true);
	write_text(writer, "host", node->host);
	write_number(writer, "leads", leads);
	if (load > 0)
		write_number(writer, "load", load);
	if (view->nodes[at].no_bundle)
		write_boolean(writer, "no_bundle", true);
	write_number(writer, "node", node->node);
	write_number(writer, "peer_port", node->peer_port);
	write_number(writer, "port", node->port);
	if (!view->nodes[at].alive && view->refused && view->refused[at])
		write_text(writer, "refused", view->refused[at]);
	if (view->removable && view->removable[at])
		write_boolean(writer, "removable", true);
	write_number(writer, "replicas", replicas);
	write_moves(&view->moves[at], writer);
	write_text(writer, "state", state_name(node->state));
	write_number(writer, "stores", node->stores);
	if (node->zone[0])
		write_text(writer, "zone", node->zone);
	json_write_object_end(writer);
}

static void write_replica(
    uint64_t replica, bool voter, const struct cluster_member *member, struct json_writer *writer)
{
	json_write_object_begin(writer);
	if (member) {
		write_boolean(writer, "heard", member->heard);
		write_number(writer, "lag", member->lag);
	}
	write_number(writer, "node", cluster_replica_node(replica));
	write_number(writer, "replica", replica);
	write_text(writer, "role", voter ? "voter" : "learner");
	json_write_object_end(writer);
}

static void write_replicas(
    const struct cluster_view *view, uint32_t shard, bool led, struct json_writer *writer)
{
	const struct cluster_shard *wanted = &view->map->shards[shard];
	const struct cluster_said *said = &view->shards[shard];
	json_write_key(writer, slice_from_text("replicas"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; led && i < said->count; i++) {
		struct cluster_member member = said->members[i];
		member.heard = is_heard(view, &member);
		write_replica(member.replica, member.voter, &member, writer);
	}
	for (uint32_t i = 0; !led && i < wanted->count; i++)
		write_replica(wanted->replicas[i].replica, wanted->replicas[i].voter, NULL, writer);
	json_write_array_end(writer);
}

static void write_damaged(const struct cluster_said *said, struct json_writer *writer)
{
	json_write_key(writer, slice_from_text("damaged"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < said->damaged_count; i++) {
		json_write_object_begin(writer);
		write_number(writer, "ms", said->damaged[i].ms);
		write_number(writer, "node", cluster_replica_node(said->damaged[i].replica));
		write_number(writer, "replica", said->damaged[i].replica);
		json_write_object_end(writer);
	}
	json_write_array_end(writer);
}

/* Who is not alive, once each; who is damaged cannot come back. */
static void write_lacks(const struct cluster_view *view, uint32_t shard, struct json_writer *writer)
{
	uint16_t nodes[CLUSTER_REPLICAS_MAX];
	uint32_t voters = voters_of(view, shard, nodes);
	json_write_key(writer, slice_from_text("lacks"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < voters; i++)
		if (!is_alive(view, nodes[i]) && !damaged_on(view, shard, nodes[i]))
			json_write_integer(writer, nodes[i]);
	json_write_array_end(writer);
}

static void write_silent(const struct cluster_said *said, struct json_writer *writer)
{
	uint16_t nodes[CLUSTER_REPLICAS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < said->count; i++)
		if (is_silent(said, &said->members[i]))
			put_in_order(
			    nodes, count++, cluster_replica_node(said->members[i].replica));
	json_write_key(writer, slice_from_text("unacknowledged"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < count; i++)
		json_write_integer(writer, nodes[i]);
	json_write_array_end(writer);
}

static void write_recovery(const struct cluster_recovery *recovery, struct json_writer *writer)
{
	json_write_key(writer, slice_from_text("recovered"));
	json_write_object_begin(writer);
	json_write_key(writer, slice_from_text("at_ms"));
	json_write_integer(writer, recovery->at_ms);
	write_number(writer, "committed", recovery->committed);
	write_number(writer, "index", recovery->index);
	write_number(writer, "node", cluster_replica_node(recovery->replica));
	write_number(writer, "term", recovery->term);
	json_write_object_end(writer);
}

static void write_shard(
    const struct cluster_view *view, uint32_t shard, uint32_t members, struct json_writer *writer)
{
	const struct cluster_said *said = &view->shards[shard];
	struct verdict verdict = judge(view, shard, members);
	json_write_object_begin(writer);
	if (verdict.remedy)
		write_damaged(said, writer);
	write_number(writer, "generation", view->map->shards[shard].generation);
	if (verdict.gone)
		write_boolean(writer, "gone", true);
	if (verdict.quorumless)
		write_lacks(view, shard, writer);
	if (verdict.led)
		write_number(writer, "leader", said->leader);
	if (verdict.led && said->load > 0)
		write_number(writer, "load", said->load);
	if (verdict.quorumless) {
		write_number(writer, "needs", verdict.needs);
		write_number(writer, "quorumless_ms", verdict.quorumless_ms);
	}
	if (view->map->shards[shard].recovery.replica != 0)
		write_recovery(&view->map->shards[shard].recovery, writer);
	if (verdict.remedy)
		write_text(writer, "remedy", verdict.remedy);
	write_replicas(view, shard, verdict.led, writer);
	write_boolean(writer, "settled", verdict.led && said->settled);
	write_number(writer, "shard", shard);
	if (verdict.stands)
		write_number(writer, "standing_ms", said->stands_ms);
	write_number(writer, "survives", verdict.survives);
	if (verdict.led)
		write_number(writer, "term", said->term);
	if (verdict.stands)
		write_silent(said, writer);
	write_boolean(
	    writer, "well", verdict.led && !verdict.few && !verdict.behind && !verdict.stands);
	json_write_object_end(writer);
}

static void write_nodes(const struct cluster_view *view, struct json_writer *writer)
{
	json_write_key(writer, slice_from_text("nodes"));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < view->map->node_count; i++)
		write_node(view, i, writer);
	json_write_array_end(writer);
}

void cluster_nodes_write(const struct cluster_view *view, struct json_writer *writer)
{
	json_write_object_begin(writer);
	write_number(writer, "by", view->by);
	write_text(writer, "cluster", view->map->id);
	write_nodes(view, writer);
	write_number(writer, "version", view->map->version);
	json_write_object_end(writer);
}

static void write_job(const struct cluster_view *view, const struct cluster_job *job, uint64_t left,
    uint16_t node, struct json_writer *writer)
{
	bool runs = cluster_job_runs(job) && !(view->alone && node == 0);
	/* More has come, and is not in the record yet; or it comes after its end. */
	if (left > job->all)
		left = job->all;
	if (!cluster_job_was(job))
		return;
	json_write_object_begin(writer);
	write_number(writer, "all", job->all);
	json_write_key(writer, slice_from_text("began_ms"));
	json_write_integer(writer, job->began_ms);
	write_text(writer, "job", node == 0 ? "rebalance" : "drain");
	write_number(writer, "left", runs ? left : 0);
	write_number(writer, "ms", cluster_job_ms(job, view->now_ms));
	if (node != 0)
		write_number(writer, "node", node);
	write_boolean(writer, "runs", runs);
	json_write_object_end(writer);
}

static void write_jobs(const struct cluster_view *view, struct json_writer *writer)
{
	json_write_key(writer, slice_from_text("jobs"));
	json_write_array_begin(writer);
	if (view->drains_left)
		write_job(view, &view->map->rebalance, view->rebalance_left, 0, writer);
	for (uint32_t i = 0; view->drains_left && i < view->map->node_count; i++)
		write_job(view, &view->map->nodes[i].drain, view->drains_left[i],
		    view->map->nodes[i].node, writer);
	json_write_array_end(writer);
}

void cluster_status_write(const struct cluster_view *view, bool shards, struct json_writer *writer)
{
	const struct cluster_map *map = view->map;
	struct cluster_summary summary = cluster_summarise(view);
	struct cluster_moves moves = sum_of_moves(view);
	uint32_t members = members_of(map);
	json_write_object_begin(writer);
	write_number(writer, "behind", summary.behind);
	write_number(writer, "by", view->by);
	write_text(writer, "cluster", map->id);
	write_number(writer, "damaged", summary.damaged);
	if (view->even)
		write_boolean(writer, "even", true);
	write_number(writer, "factor", map->replication_factor);
	write_number(writer, "few", summary.few);
	write_jobs(view, writer);
	write_number(writer, "leaderless", summary.leaderless);
	write_number(writer, "moving", summary.moving);
	write_nodes(view, writer);
	write_number(writer, "quorumless", summary.quorumless);
	write_number(writer, "resting", view->resting);
	if (shards) {
		json_write_key(writer, slice_from_text("shards"));
		json_write_array_begin(writer);
		for (uint32_t shard = 0; shard <= map->shard_count; shard++)
			write_shard(view, shard, members, writer);
		json_write_array_end(writer);
	}
	write_moves(&moves, writer);
	write_number(writer, "standing", summary.standing);
	write_number(writer, "survives", summary.survives);
	write_number(writer, "version", map->version);
	write_number(writer, "waiting", view->waiting);
	write_boolean(writer, "well", summary.well);
	json_write_object_end(writer);
}
