/* Unsafe recovery, at an operator's word: nodes are gone for ever, or replicas are damaged, and
 * shards have lost their majority with them. docs/decisions/0013 has why it is as it is.
 *
 *   replicas that reach no leader say what they have, and damaged ones that they are, to whoever
 *   leads the directory; where nobody does, to all -> (here) one of each shard is chosen
 *   (server/meta/recovery.h)
 *
 *   the directory has no majority itself: the node that is asked recovers its replica of that,
 *     where it is the chosen one (cluster_alone.c); then it leads, and is asked again
 *   it has one: the choice becomes a record (META_RECOVER), the lost nodes are removed; each chosen
 *     replica goes on alone when it sees that (cluster_shards.c)
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/wire/json_writer.h"
#include "server/cluster_control.h"
#include "server/meta/recovery.h"

enum {
	/* A node that was heard of since is not gone for ever. */
	DEAD_MS_MIN = 5000,
	PLAN_BYTES_MAX = 4 * MIB,
	PLAN_NAME_BYTES = 17,
	WHY_BYTES = CLUSTER_WHY_BYTES,
};

/* What is given up. */
struct giving_up {
	struct recovery_lost nodes; /* gone for ever */
	bool damaged;               /* replicas that are */
};

/* One at a time: the request that came, and the change of the directory that it becomes. */
struct cluster_recovering {
	struct cluster_control *control;
	struct meta_request *asked;
	struct meta_request change;
	struct meta_wanted lost[CLUSTER_REPLICAS_MAX];
	struct buffer reply; /* what the one that asked is told when that is done */
	/* Shards of which nothing is left; that are left for later, and the nodes they wait for. */
	uint32_t nothing, later;
	struct recovery_lost waits;
	uint32_t count;
	struct meta_recovery recoveries[];
};

/* ---- What is to be done ---- */

static bool is_led(const struct cluster_control *control, uint32_t shard)
{
	const struct cluster_core *core = control->core;
	const struct cluster_seen *seen = cluster_seen_lately(control, shard);
	if (shard == 0)
		return control->leads;
	if (!seen)
		return false;
	const struct cluster_link *link = cluster_link_find(core, seen->node, 0);
	return seen->node == core->options->self.node || (link && link->up);
}

/* What its replicas have said lately: the whole ones, and those that are damaged. */
static size_t heard(const struct cluster_control *control, uint32_t shard,
    const struct recovery_said *said[2 * CLUSTER_REPLICAS_MAX])
{
	const struct cluster_map *map = control->core->map;
	size_t count = 0;
	for (uint32_t i = 0; i < map->node_count && count < 2 * CLUSTER_REPLICAS_MAX; i++) {
		const struct cluster_stranded *one =
		    cluster_stranded_of(control, shard, map->nodes[i].node);
		if (one)
			said[count++] = &one->said;
	}
	return count;
}

static struct recovery_choice choose(
    const struct cluster_control *control, const struct giving_up *lost, uint32_t shard)
{
	const struct recovery_said *said[2 * CLUSTER_REPLICAS_MAX];
	size_t count = heard(control, shard, said), kept = 0;
	uint64_t led_ns = control->seen ? control->seen[shard].at_ns : 0;
	uint64_t damaged_ns = cluster_damaged_since(control, shard);
	/* Whole ones that say how their shard is now, and not how it was before others were
	 * damaged, or led. */
	for (size_t i = 0; i < count; i++) {
		const struct cluster_stranded *one =
		    CONTAINER_OF(said[i], const struct cluster_stranded, said);
		if (one->said.damaged ? lost->damaged
		                      : recovery_is_present(one->at_ns, led_ns, damaged_ns))
			said[kept++] = said[i];
	}
	return recovery_choose(
	    control->core->map, &lost->nodes, shard, is_led(control, shard), said, kept);
}

const struct recovery_said *cluster_recover_said(
    const struct cluster_control *control, uint32_t shard)
{
	static const struct recovery_lost nobody;
	const struct recovery_said *said[2 * CLUSTER_REPLICAS_MAX];
	size_t count = heard(control, shard, said);
	return recovery_best(control->core->map, &nobody, said, count);
}

static void give_up(struct meta_recovery *one, uint64_t replica)
{
	for (uint32_t i = 0; i < one->given_up_count; i++)
		if (one->given_up[i] == replica)
			return;
	if (one->given_up_count < CLUSTER_REPLICAS_MAX)
		one->given_up[one->given_up_count++] = replica;
	one->recovery.gives_up = true;
}

/* All that are damaged of the shard. */
static void add_damaged(const struct cluster_control *control, struct meta_recovery *one)
{
	const struct cluster_map *map = control->core->map;
	for (uint32_t i = 0; i < map->node_count; i++) {
		const struct cluster_stranded *its =
		    cluster_damaged_on(control, one->shard, map->nodes[i].node);
		if (its)
			give_up(one, its->said.replica);
	}
}

/* They are known, and nobody has heard of them. */
static bool are_lost(const struct cluster_control *control, struct meta_request *request,
    struct recovery_lost *ret_lost)
{
	const struct cluster_core *core = control->core;
	char why[WHY_BYTES] = "";
	enum status status = STATUS_FAILED_PRECONDITION;
	ret_lost->count = 0;
	for (size_t i = 0; i < request->wanted_count && !why[0]; i++) {
		uint16_t number = request->wanted[i].node;
		const struct cluster_node *node = cluster_map_node(core->map, number);
		const struct cluster_link *link = cluster_link_find(core, number, 0);
		if (!node) {
			status = STATUS_NOT_FOUND;
			snprintf(why, sizeof(why), "there is no node %u: see kalix-admin node list",
			    number);
		} else if (number == core->options->self.node || (link && link->up)) {
			snprintf(why, sizeof(why),
			    "node %u is not gone: it is reached. Stop it, for ever, before it is "
			    "given up",
			    number);
		} else if (!request->unproved &&
		           cluster_link_keeps(core, number, why, sizeof(why))) {
			/* It has said why. */
		} else if (node->state != CLUSTER_NODE_REMOVED &&
		           (!link || io_now_ns(core->io) - link->down_since_ns <
		                         DEAD_MS_MIN * NS_PER_MS)) {
			status = STATUS_UNAVAILABLE;
			snprintf(why, sizeof(why),
			    "node %u was reached a moment ago: repeat when it is surely gone",
			    number);
		}
		ret_lost->nodes[ret_lost->count++] = number;
	}
	if (!why[0] && ret_lost->count == 0 && !request->damaged)
		snprintf(why, sizeof(why), "no node was named that is gone for ever");
	if (!why[0])
		return true;
	cluster_refuse(request, status, "%s", why);
	return false;
}

static bool refuse_unheard(const struct cluster_control *control, struct meta_request *request,
    uint32_t shard, const struct recovery_choice *choice)
{
	if (cluster_damaged_on(control, shard, choice->node)) {
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "the replica of shard %u on node %u is damaged: give it up too (--damaged)",
		    shard, choice->node);
		return false;
	}
	/* It is asked (cluster_heard.c). */
	const struct cluster_link *link = cluster_link_find(control->core, choice->node, 0);
	bool is_there = choice->node == control->core->options->self.node || (link && link->up);
	cluster_refuse(request, is_there ? STATUS_UNAVAILABLE : STATUS_FAILED_PRECONDITION,
	    "node %u has not said what it has of shard %u: start it, or wait, or, if it is gone "
	    "for "
	    "ever too, give it up with the others",
	    choice->node, shard);
	return false;
}

static bool has_damaged(const struct cluster_control *control, uint32_t shard)
{
	struct meta_recovery one = {.shard = shard};
	add_damaged(control, &one);
	return one.given_up_count > 0;
}

/* Of which shards it is to be said what becomes of them. Where no node is gone, of those that have
 * damaged replicas. And of none before the directory is there again, where it may be damaged: then
 * there are nodes that do not serve, and say nothing of the others, until it is. */
static bool is_meant(
    const struct cluster_control *control, const struct giving_up *lost, uint32_t shard)
{
	if (lost->damaged && !control->leads && shard > 0)
		return false;
	return lost->nodes.count > 0 || has_damaged(control, shard);
}

static void leave_for_later(struct cluster_recovering *work, uint16_t node)
{
	struct recovery_lost *waits = &work->waits;
	work->later++;
	for (uint32_t i = 0; i < waits->count; i++)
		if (waits->nodes[i] == node)
			return;
	if (waits->count < RECOVERY_NODES_MAX)
		waits->nodes[waits->count++] = node;
}

/* All chosen ones; false: it was refused. */
static bool gather(const struct cluster_control *control, const struct giving_up *lost,
    struct cluster_recovering *work, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	for (uint32_t shard = 0; shard <= map->shard_count; shard++) {
		if (!is_meant(control, lost, shard))
			continue;
		struct recovery_choice choice = choose(control, lost, shard);
		struct meta_recovery *one = &work->recoveries[work->count];
		switch (choice.kind) {
		case RECOVERY_NONE:
			break;
		case RECOVERY_UNHEARD:
			/* It says so as soon as it has another replica of the directory. */
			if (lost->damaged && shard > 0 &&
			    cluster_damaged_on(control, 0, choice.node)) {
				leave_for_later(work, choice.node);
				break;
			}
			return refuse_unheard(control, request, shard, &choice);
		case RECOVERY_NOTHING:
			work->nothing++;
			break;
		case RECOVERY_CHOSEN:
			*one = (struct meta_recovery){.shard = shard,
			    .recovery = {.replica = choice.replica,
			        .term = choice.term,
			        .committed = choice.committed,
			        .index = choice.last_index,
			        .at_ms = clock_real_ms()}};
			for (uint32_t i = 0; i < choice.given_up_count; i++)
				give_up(one, choice.given_up[i]);
			if (lost->damaged)
				add_damaged(control, one);
			work->count++;
		}
	}
	return true;
}

/* ---- The answer ---- */

static void write_number(struct json_writer *writer, const char *key, uint64_t number)
{
	json_write_key(writer, slice_from_text(key));
	json_write_integer(writer, (int64_t)number);
}

static void write_nodes(
    struct json_writer *writer, const char *key, const struct recovery_lost *nodes)
{
	json_write_key(writer, slice_from_text(key));
	json_write_array_begin(writer);
	for (uint32_t i = 0; i < nodes->count; i++)
		json_write_integer(writer, nodes->nodes[i]);
	json_write_array_end(writer);
}

/* The nodes of what is given up, if there are any: it is damaged, or not there. */
static void write_given_up(struct json_writer *writer, const struct cluster_control *control,
    const struct meta_recovery *one, bool damaged)
{
	bool begun = false;
	for (uint32_t i = 0; i < one->given_up_count; i++) {
		uint16_t node = cluster_replica_node(one->given_up[i]);
		bool is_damaged = cluster_damaged_on(control, one->shard, node) != NULL;
		if (is_damaged != damaged)
			continue;
		if (!begun) {
			json_write_key(writer, slice_from_text(damaged ? "damaged" : "absent"));
			json_write_array_begin(writer);
		}
		begun = true;
		json_write_integer(writer, node);
	}
	if (begun)
		json_write_array_end(writer);
}

/* Those that are given up though somebody answers as them, who has not proved it. */
static void write_unproved(
    struct json_writer *writer, const struct cluster_core *core, const struct recovery_lost *lost)
{
	bool begun = false;
	for (uint32_t i = 0; i < lost->count; i++) {
		if (!cluster_link_is_there(core, lost->nodes[i]))
			continue;
		if (!begun) {
			json_write_key(writer, slice_from_text("unproved"));
			json_write_array_begin(writer);
		}
		begun = true;
		json_write_integer(writer, lost->nodes[i]);
	}
	if (begun)
		json_write_array_end(writer);
}

static uint64_t mix(uint64_t hash, uint64_t number)
{
	uint8_t bytes[VARINT_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	writer_varint(&out, number);
	return hash_bytes(writer_view(&out), hash);
}

/* What is done is named by what an operator looked at: which replica of each shard goes on, with
 * which of its entries, and without which others. Not by terms, nor by when. Where the directory is
 * recovered first the plan for all that comes behind it has the same name, if it is the same; by
 * then it is not known any more without whom the directory went on. */
static void name_plan(const struct cluster_recovering *work, char name[PLAN_NAME_BYTES])
{
	uint64_t hash = 0;
	for (uint32_t i = 0; i < work->count; i++) {
		const struct meta_recovery *one = &work->recoveries[i];
		hash = mix(hash, one->shard);
		hash = mix(hash, one->recovery.replica);
		hash = mix(hash, one->recovery.committed);
		hash = mix(hash, one->recovery.index);
		for (uint32_t k = 0; one->shard != 0 && k < one->given_up_count; k++)
			hash = mix(hash, one->given_up[k]);
	}
	snprintf(name, PLAN_NAME_BYTES, "%016" PRIx64, hash);
}

static int write_reply(const struct cluster_recovering *work, const struct recovery_lost *lost,
    bool dry_run, bool directory, const char *plan, struct buffer *text)
{
	struct json_writer writer;
	buffer_init(text, PLAN_BYTES_MAX);
	json_writer_init(&writer, text);
	json_write_object_begin(&writer);
	json_write_key(&writer, slice_from_text("dry_run"));
	json_write_boolean(&writer, dry_run);
	if (work->later > 0)
		write_number(&writer, "later", work->later);
	write_nodes(&writer, "lost", lost);
	write_number(&writer, "nothing", work->nothing);
	json_write_key(&writer, slice_from_text("phase"));
	json_write_string(&writer, slice_from_text(directory ? "directory" : "shards"));
	json_write_key(&writer, slice_from_text("plan"));
	json_write_string(&writer, slice_from_text(plan));
	json_write_key(&writer, slice_from_text("shards"));
	json_write_array_begin(&writer);
	for (uint32_t i = 0; i < work->count; i++) {
		const struct meta_recovery *one = &work->recoveries[i];
		json_write_object_begin(&writer);
		write_given_up(&writer, work->control, one, false);
		write_number(&writer, "committed", one->recovery.committed);
		write_given_up(&writer, work->control, one, true);
		write_number(&writer, "index", one->recovery.index);
		write_number(&writer, "node", cluster_replica_node(one->recovery.replica));
		write_number(&writer, "shard", one->shard);
		write_number(&writer, "term", one->recovery.term);
		json_write_object_end(&writer);
	}
	json_write_array_end(&writer);
	write_unproved(&writer, work->control->core, lost);
	if (work->later > 0)
		write_nodes(&writer, "waits_for", &work->waits);
	json_write_object_end(&writer);
	return json_writer_finish(&writer);
}

/* ---- Doing it ---- */

void cluster_recover_log(const struct meta_recovery *one, struct slice by)
{
	LOG_LINE(LEVEL_WARNING, "unsafe_recovery", FIELD_U64("group", one->shard),
	    FIELD_U64("replica", one->recovery.replica), FIELD_U64("term", one->recovery.term),
	    FIELD_U64("committed", one->recovery.committed),
	    FIELD_U64("index", one->recovery.index), FIELD_U64("given_up", one->given_up_count),
	    FIELD_SLICE("by", by));
}

static void changed(struct meta_request *change)
{
	struct cluster_recovering *work = CONTAINER_OF(change, struct cluster_recovering, change);
	struct cluster_control *control = work->control;
	struct meta_request *request = work->asked;
	request->status = change->status;
	if (change->status == STATUS_OK) {
		/* The directory's own was told when it was done. */
		for (uint32_t i = 0; i < work->count; i++)
			if (work->recoveries[i].shard != 0)
				cluster_recover_log(&work->recoveries[i], request->user);
		request->reply = work->reply;
		cluster_alone_over(control);
		buffer_done(&change->reply);
	} else {
		request->reply = change->reply;
		buffer_done(&work->reply);
	}
	request->details = change->details;
	control->recovering = NULL;
	mem_free(work);
	request->done(request);
}

/* The directory's own comes first among them: it was done, and is told once more. */
static void add_own(
    const struct cluster_control *control, struct cluster_recovering *work, bool damaged)
{
	const struct meta_recovery *own = cluster_alone_told(control);
	if (!own)
		return;
	memmove(
	    &work->recoveries[1], &work->recoveries[0], work->count * sizeof(work->recoveries[0]));
	work->recoveries[0] = *own;
	if (damaged)
		add_damaged(control, &work->recoveries[0]);
	work->count++;
}

static bool may_recover_directory(const struct cluster_control *control,
    const struct cluster_recovering *work, struct meta_request *request)
{
	const struct cluster_core *core = control->core;
	const struct meta_recovery *one = &work->recoveries[0];
	if (work->count == 0 || one->shard != 0) {
		cluster_refuse(request, STATUS_UNAVAILABLE,
		    "those that are left can elect who leads the directory, and have not yet: "
		    "repeat in a moment");
		return false;
	}
	uint16_t number = cluster_replica_node(one->recovery.replica);
	const struct cluster_node *node = cluster_map_node(core->map, number);
	if (number == core->options->self.node)
		return true;
	cluster_refuse(request, STATUS_FAILED_PRECONDITION,
	    "node %u, %s:%u, has more of the directory: say it there", number,
	    node ? node->host : "?", node ? node->port : 0);
	return false;
}

static void make_record(struct cluster_control *control, struct cluster_recovering *work)
{
	struct meta_request *request = work->asked;
	memcpy(work->lost, request->wanted, request->wanted_count * sizeof(work->lost[0]));
	work->reply = request->reply;
	request->reply = (struct buffer){.data = NULL};
	work->change = (struct meta_request){.verb = META_RECOVER,
	    .wanted = work->lost,
	    .wanted_count = request->wanted_count,
	    .recoveries = work->recoveries,
	    .recovery_count = work->count,
	    .user = request->user,
	    .done = changed};
	control->recovering = work;
	meta_submit(control->core->meta, &work->change);
}

static void refuse_nothing(struct meta_request *request, const struct giving_up *lost,
    const struct cluster_recovering *work)
{
	uint32_t nothing = work->nothing;
	if (nothing == 0 && work->later > 0) {
		cluster_refuse(request, STATUS_FAILED_PRECONDITION,
		    "what is to be recovered waits for node %u: repeat when it serves",
		    work->waits.nodes[0]);
		return;
	}
	const char *why = "every shard has a quorum without those nodes: nothing is to be "
	                  "recovered. kalix-admin node remove N --force lets a dead node go";
	if (nothing > 0)
		why = "nothing is left of the shards that have no quorum: restore a backup";
	if (nothing > 0 && lost->damaged)
		why = "nothing whole is left of the shards that have no quorum: restore a backup; "
		      "or stop one of their nodes, have kalix-admin log repair DIR --accept-loss "
		      "--force keep what it can, start it, and repeat";
	if (nothing == 0 && lost->damaged)
		why = "every shard has a quorum without what is damaged, or will have when its "
		      "nodes are there: nothing is to be recovered";
	cluster_refuse(request, STATUS_FAILED_PRECONDITION, "%s", why);
}

/* True: it is answered later, and `work` is not the caller's any more. */
static bool answer(struct cluster_control *control, struct cluster_recovering *work,
    const struct giving_up *lost, struct meta_request *request)
{
	if (!gather(control, lost, work, request))
		return false;
	bool directory = !control->leads;
	if (directory && !may_recover_directory(control, work, request))
		return false;
	if (!directory)
		add_own(control, work, lost->damaged);
	if (work->count == 0) {
		refuse_nothing(request, lost, work);
		return false;
	}
	char plan[PLAN_NAME_BYTES];
	name_plan(work, plan);
	if (request->expected.bytes > 0 && !slice_equal(request->expected, slice_from_text(plan))) {
		cluster_refuse(request, STATUS_ABORTED,
		    "another plan is to be carried out than the one that was looked at: nothing "
		    "was "
		    "done");
		return false;
	}
	int error =
	    write_reply(work, &lost->nodes, request->dry_run, directory, plan, &request->reply);
	if (error) {
		buffer_done(&request->reply);
		cluster_refuse(request, status_from_error(error), "%s", error_text(error));
		return false;
	}
	request->status = STATUS_OK;
	if (request->dry_run)
		return false;
	if (!directory) {
		make_record(control, work);
		return true;
	}
	cluster_alone_start(control, &work->recoveries[0], request);
	mem_free(work);
	return true;
}

bool cluster_recover_answer(struct cluster_control *control, struct meta_request *request)
{
	const struct cluster_map *map = control->core->map;
	struct giving_up lost = {.damaged = request->damaged};
	struct cluster_recovering *work;
	if (control->recovering || cluster_alone_busy(control)) {
		cluster_refuse(
		    request, STATUS_UNAVAILABLE, "another recovery is under way: repeat");
		return false;
	}
	if (!are_lost(control, request, &lost.nodes))
		return false;
	work = mem_zalloc(
	    1, sizeof(*work) + (map->shard_count + (size_t)2) * sizeof(work->recoveries[0]));
	if (!work) {
		cluster_refuse(request, STATUS_RESOURCE_EXHAUSTED, "out of memory");
		return false;
	}
	work->control = control;
	work->asked = request;
	bool later = answer(control, work, &lost, request);
	if (!later)
		mem_free(work);
	return later;
}
