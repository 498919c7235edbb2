/* Where this node leads the directory: how the cluster is, as nodes and the leaders of shards have
 * it, and who is to lead a shard. */
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/mutation.h"
#include "base/wire/json_writer.h"
#include "replication/raft/quorum.h"
#include "server/cluster_control.h"
#include "server/meta/cluster_status.h"
#include "server/meta/recovery.h"

enum { STATUS_BYTES_MAX = 16 * MIB, LEAD_BYTES_MAX = 256 };

/* ---- Answering ---- */

void cluster_refuse(struct meta_request *request, enum status status, const char *format, ...)
{
	char why[CLUSTER_WHY_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	buffer_init(&request->reply, CLUSTER_WHY_BYTES);
	/* Without memory its status says enough. */
	int untold = buffer_append_slice(&request->reply, slice_from_text(why));
	(void)untold;
	request->status = status;
}

static void finish(struct meta_request *request, struct buffer *text, struct json_writer *writer)
{
	int error = json_writer_finish(writer);
	if (error) {
		buffer_done(text);
		cluster_refuse(request, status_from_error(error), "%s", error_text(error));
		return;
	}
	request->reply = *text;
	request->status = STATUS_OK;
}

/* ---- Who may be removed ---- */

/* Whether the shard's group may have a member there, now or when its leader has done what the map
 * says. */
static bool may_have_member(const struct cluster_control *control, uint32_t shard, uint16_t node)
{
	const struct cluster_seen *seen = cluster_seen_lately(control, shard);
	/* Members that are not settled may be those of a change that is not committed. */
	if (!seen || !cluster_seen_settled(control, shard, seen))
		return true;
	for (uint32_t i = 0; i < seen->count; i++)
		if (cluster_replica_node(seen->members[i].replica) == node)
			return true;
	return false;
}

/* The directory goes on without it: it has no vote there, or most of the others are enough to take
 * that away. */
static bool directory_needs(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_seen *seen = cluster_seen_lately(control, 0);
	uint32_t voters = 0;
	bool votes = false;
	if (!seen || !cluster_seen_settled(control, 0, seen))
		return true;
	for (uint32_t i = 0; i < seen->count; i++) {
		const struct cluster_member_row *member = &seen->members[i];
		bool is_voter = member->roles & RAFT_VOTER;
		voters += is_voter;
		votes |= is_voter && cluster_replica_node(member->replica) == node;
	}
	return votes && voters <= 2;
}

static uint32_t count_wanted(const struct cluster_map *map, uint16_t node)
{
	uint32_t count = 0;
	for (uint32_t shard = 1; shard <= map->shard_count; shard++)
		count += cluster_map_replica(map, shard, node) != NULL;
	return count;
}

bool cluster_is_removable(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_map *map = control->core->map;
	if (!control->leads || count_wanted(map, node) > 0 || directory_needs(control, node))
		return false;
	for (uint32_t shard = 1; shard <= map->shard_count; shard++)
		if (may_have_member(control, shard, node))
			return false;
	return true;
}

/* ---- Status ---- */

/* All three: of an empty one, with room for its members.
 *
 * A node alone hears no reports: what it leads is all there is. */
static void say_alone(
    const struct cluster_core *core, uint32_t shard, uint16_t leader, struct cluster_said *ret_said)
{
	const struct cluster_replica *own = cluster_map_replica(core->map, shard, leader);
	if (!own || leader != core->options->self.node)
		return;
	ret_said->leader = leader;
	ret_said->term = cluster_leader_term(core->options->leaders, shard);
	ret_said->settled = core->map->shards[shard].count == 1;
	ret_said->count = 1;
	ret_said->members[0] =
	    (struct cluster_member){.replica = own->replica, .voter = own->voter, .heard = true};
}

/* Who votes where nobody leads is what its log says, and not what is wanted: of those that were
 * removed by force nobody could take the vote away. */
static void say_leaderless(
    const struct cluster_control *control, uint32_t shard, struct cluster_said *ret_said)
{
	const struct recovery_said *said = cluster_recover_said(control, shard);
	for (uint32_t i = 0; said && i < said->count && i < cluster_replicas_room(shard); i++) {
		uint64_t replica = said->members[i].replica;
		const struct cluster_stranded *its =
		    cluster_stranded_of(control, shard, cluster_replica_node(replica));
		ret_said->members[ret_said->count++] = (struct cluster_member){.replica = replica,
		    .voter = said->members[i].roles & RAFT_VOTER,
		    .is_absent =
		        its && !its->said.damaged && !recovery_is_there(&its->said, replica)};
	}
}

static void say(
    const struct cluster_control *control, uint32_t shard, struct cluster_said *ret_said)
{
	const struct cluster_seen *seen = cluster_seen_lately(control, shard);
	if (!seen) {
		say_leaderless(control, shard, ret_said);
		return;
	}
	ret_said->leader = seen->node;
	ret_said->term = seen->term;
	ret_said->settled = cluster_seen_settled(control, shard, seen);
	ret_said->pending = seen->pending;
	ret_said->stands_ms = seen->stands_ms;
	ret_said->load = load_book_of(&control->loads, shard);
	ret_said->count = seen->count;
	for (uint32_t i = 0; i < seen->count; i++) {
		const struct cluster_member_row *row = &seen->members[i];
		uint64_t last = seen->last_index;
		ret_said->members[i] = (struct cluster_member){.replica = row->replica,
		    .lag = last > row->match ? last - row->match : 0,
		    .voter = row->roles & RAFT_VOTER,
		    .heard = row->heard};
	}
}

/* Zeroed; as struct cluster_view has them. */
struct looks {
	struct placement_node *nodes;
	struct cluster_moves *moves;
	struct cluster_said *said;
	struct cluster_member *members;  /* of all that was said */
	struct cluster_damaged *damaged; /* too */
	bool *removable;
	const char **refused;
	uint64_t *drains_left;
};

/* What this node knows, whoever leads the directory. */
static void write_nodes(
    struct cluster_control *control, struct looks *looks, struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	struct cluster_view view = {.map = core->map,
	    .nodes = looks->nodes,
	    .moves = looks->moves,
	    .shards = looks->said,
	    .refused = looks->refused,
	    .by = core->options->self.node};
	struct buffer text;
	struct json_writer writer;
	cluster_look_at_nodes(control, looks->nodes);
	cluster_look_at_moves(control, looks->moves);
	for (uint32_t shard = 0; shard <= core->map->shard_count; shard++)
		looks->said[shard].leader = cluster_leader(core->options->leaders, shard);
	for (uint32_t i = 0; i < core->map->node_count; i++)
		looks->refused[i] = cluster_core_refused(core, core->map->nodes[i].node);
	buffer_init(&text, STATUS_BYTES_MAX);
	json_writer_init(&writer, &text);
	cluster_nodes_write(&view, &writer);
	finish(request, &text, &writer);
}

static void write_status(
    struct cluster_control *control, struct looks *looks, struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	const struct cluster_map *map = core->map;
	bool alone = !cluster_has_others(core);
	struct cluster_view view = {.map = map,
	    .nodes = looks->nodes,
	    .moves = looks->moves,
	    .shards = looks->said,
	    .removable = looks->removable,
	    .refused = looks->refused,
	    .even = control->leads && (alone || control->even_version == map->version),
	    /* The last plan may have been made for nodes that were removed since. */
	    .waiting = control->leads && !alone ? control->waiting : 0,
	    .resting = control->leads && !alone ? control->resting : 0,
	    .alone = alone,
	    .drains_left = control->leads ? looks->drains_left : NULL,
	    .rebalance_left = cluster_look_at_rebalance(control),
	    .now_ms = clock_real_ms(),
	    .lag_max = CLUSTER_LAG_MAX,
	    .stands_ms_max = CLUSTER_STANDS_MS_MAX,
	    .by = core->options->self.node};
	struct buffer text;
	struct json_writer writer;
	cluster_look_at_nodes(control, looks->nodes);
	cluster_look_at_moves(control, looks->moves);
	cluster_look_at_drains(control, looks->drains_left);
	for (uint32_t i = 0; i < map->node_count; i++) {
		looks->removable[i] = !alone && map->nodes[i].state != CLUSTER_NODE_REMOVED &&
		                      cluster_is_removable(control, map->nodes[i].node);
		looks->refused[i] = cluster_core_refused(core, map->nodes[i].node);
	}
	for (uint32_t shard = 0; shard <= map->shard_count; shard++)
		if (alone)
			say_alone(core, shard, cluster_leader(core->options->leaders, shard),
			    &looks->said[shard]);
		else
			say(control, shard, &looks->said[shard]);
	/* There is nowhere to move anything to. */
	for (uint32_t shard = 0; alone && shard <= map->shard_count; shard++)
		view.even &= looks->said[shard].leader != 0;
	if (!alone)
		cluster_look_at_damage(control, looks->said);
	buffer_init(&text, STATUS_BYTES_MAX);
	json_writer_init(&writer, &text);
	cluster_status_write(&view, true, &writer);
	finish(request, &text, &writer);
}

/* Both of them. */
static void answer_look(struct cluster_control *control, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	struct looks looks = {.nodes = mem_zalloc(map->node_count, sizeof(*looks.nodes)),
	    .moves = mem_zalloc(map->node_count, sizeof(*looks.moves)),
	    .said = mem_zalloc(map->shard_count + (size_t)1, sizeof(*looks.said)),
	    .members =
	        mem_zalloc(cluster_replicas_begin(map->shard_count + 1), sizeof(*looks.members)),
	    .damaged =
	        mem_zalloc(cluster_replicas_begin(map->shard_count + 1), sizeof(*looks.damaged)),
	    .removable = mem_zalloc(map->node_count, sizeof(*looks.removable)),
	    .refused = mem_zalloc(map->node_count, sizeof(*looks.refused)),
	    .drains_left = mem_zalloc(map->node_count, sizeof(*looks.drains_left))};
	if (looks.nodes && looks.moves && looks.said && looks.members && looks.damaged &&
	    looks.removable && looks.refused && looks.drains_left) {
		for (uint32_t shard = 0; shard <= map->shard_count; shard++) {
			looks.said[shard].members = &looks.members[cluster_replicas_begin(shard)];
			looks.said[shard].damaged = &looks.damaged[cluster_replicas_begin(shard)];
		}
		if (request->verb == META_NODE_LIST)
			write_nodes(control, &looks, request);
		else
			write_status(control, &looks, request);
	} else {
		cluster_refuse(request, STATUS_RESOURCE_EXHAUSTED, "out of memory");
	}
	mem_free(looks.nodes);
	mem_free(looks.moves);
	mem_free(looks.said);
	mem_free(looks.members);
	mem_free(looks.damaged);
	mem_free(looks.removable);
	mem_free(looks.refused);
	mem_free(looks.drains_left);
}

/* ---- Who is to lead ---- */

/* False: it was refused. `seen`: who leads it now, as far as is known; NULL: nobody is. */
static bool may_lead(const struct cluster_control *control, const struct cluster_seen *seen,
    struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	uint16_t to = request->node.node, self = core->options->self.node;
	const struct cluster_replica *replica = cluster_map_replica(core->map, request->shard, to);
	/* Who led it and is gone may be the last that was heard of. */
	bool is_led = seen && (seen->node == self || cluster_core_linked(core, seen->node));
	if (!replica || !replica->voter)
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has no voter of shard %u: see kalix-admin shard list", to,
		    request->shard);
	else if (to != self && !cluster_core_linked(core, to))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u is not reached, and leads nothing until it is: see kalix-admin "
		    "cluster status",
		    to);
	else if (cluster_has_others(core) && !is_led)
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "nobody is known to lead shard %u now: repeat when somebody does (kalix-admin "
		    "shard list)",
		    request->shard);
	else if (cluster_node_unfit(control, to) == CLUSTER_NO_ROOM)
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "the disk of node %u is full: it leads nothing until it has room", to);
	else if (cluster_node_unfit(control, to) == CLUSTER_NO_BUNDLE)
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has not loaded what is deployed, and leads nothing until it has: its "
		    "log says why (bundle_not_loaded)",
		    to);
	else if (cluster_disk_is_silent(control, to))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "the disk of node %u does not answer, or did not a moment ago: it leads "
		    "nothing until it has for five seconds",
		    to);
	else
		return true;
	return false;
}

static void answer_lead(struct cluster_control *control, struct meta_request *request)
{
	struct cluster_core *core = control->core;
	uint16_t to = request->node.node;
	uint32_t shard = request->shard;
	if (shard > core->map->shard_count) {
		cluster_refuse(request, STATUS_NOT_FOUND, "there is no shard %u: they are 0 to %u",
		    shard, core->map->shard_count);
		return;
	}
	const struct cluster_seen *seen = cluster_seen_lately(control, shard);
	if (!may_lead(control, seen, request))
		return;
	if (seen && seen->node != to && !request->dry_run)
		cluster_lead(core, shard, seen->node, to);
	struct buffer text;
	struct json_writer writer;
	buffer_init(&text, LEAD_BYTES_MAX);
	json_writer_init(&writer, &text);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("node"));
	json_write_integer(&writer, to);
	json_write_key(&writer, slice_from_text("shard"));
	json_write_integer(&writer, shard);
	json_write_object_end(&writer);
	finish(request, &text, &writer);
}

/* ---- Removing ---- */

/* By force all of its replicas are given up at once, and with them perhaps the quorum of those that
 * are left: that is for nodes that are gone. */
static bool may_force(struct cluster_control *control, uint16_t node, struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	char why[CLUSTER_WHY_BYTES];
	if (node == core->options->self.node || cluster_core_linked(core, node))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u is not gone: it is reached. Drain it (kalix-admin node drain %u "
		    "--wait 600), and remove it without --force; or stop it, for ever, first",
		    node, node);
	else if (!request->unproved && cluster_link_keeps(core, node, why, sizeof(why)))
		cluster_refuse(request, STATUS_FAILED_PRECONDITION, "%s", why);
	else
		return true;
	return false;
}

bool cluster_control_may_remove(struct cluster_control *control, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	const struct cluster_node *node = map ? cluster_map_node(map, request->node.node) : NULL;
	/* The directory has its own reasons to refuse. */
	if (!meta_leads(control->core->meta) || !node || node->state == CLUSTER_NODE_REMOVED)
		return true;
	if (!cluster_has_others(control->core))
		return true;
	if (request->force)
		return may_force(control, node->node, request);
	/* Breaks: what is only wanted no more may still have its vote. */
	if (MUTATION(cluster_removes_members))
		return true;
	if (!control->leads || !control->seen) {
		cluster_refuse(request, STATUS_UNAVAILABLE,
		    "the node that leads the directory has just begun to: repeat in a moment");
		return false;
	}
	uint32_t count = count_wanted(map, node->node);
	if (count > 0) {
		/* As the directory says it, which may know of fewer when it is this one's turn. */
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u has replicas of %u %s: drain it (kalix-admin node drain %u), and "
		    "repeat when it has none; say --force if it is dead and never comes back",
		    node->node, count, count == 1 ? "shard" : "shards", node->node);
		return false;
	}
	if (directory_needs(control, node->node)) {
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u may still be needed by the directory: drain it (kalix-admin node "
		    "drain "
		    "%u), and repeat in a moment",
		    node->node, node->node);
		return false;
	}
	for (uint32_t shard = 1; shard <= map->shard_count; shard++) {
		if (!may_have_member(control, shard, node->node))
			continue;
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "node %u may still be needed by shard %u, which its replica has not left yet: "
		    "repeat in a moment",
		    node->node, shard);
		return false;
	}
	return true;
}

/* ---- All ---- */

static const char *cannot(const struct cluster_control *control, const struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	if (core->closing || control->ended)
		return "the server is stopping";
	if (request->verb == META_NODE_LIST)
		return core->map ? NULL : "the directory was not read yet: repeat in a moment";
	if ((!control->leads && !control->lost) || !control->seen || !core->map)
		return "nobody is known to lead the directory: repeat";
	if (control->leads && cluster_has_others(core) &&
	    (io_now_ns(core->io) - control->led_since_ns < CLUSTER_BEGIN_NS || !control->planned))
		return "the node that leads the directory has just begun to, and has not heard "
		       "from "
		       "all others yet: repeat in a moment";
	return NULL;
}

bool cluster_control_answers_alone(
    const struct cluster_control *control, const struct meta_request *request)
{
	return control && control->lost &&
	       (request->verb == META_CLUSTER_STATUS || request->verb == META_CLUSTER_RECOVER);
}

void cluster_control_answer(struct cluster_control *control, struct meta_request *request)
{
	const char *why = cannot(control, request);
	bool later = false;
	if (why)
		cluster_refuse(request, STATUS_UNAVAILABLE, "%s", why);
	else if (request->verb == META_CLUSTER_STATUS || request->verb == META_NODE_LIST)
		answer_look(control, request);
	else if (request->verb == META_CLUSTER_RECOVER)
		later = cluster_recover_answer(control, request);
	else
		answer_lead(control, request);
	if (!later)
		request->done(request);
}
