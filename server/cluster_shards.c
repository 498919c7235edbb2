/* The shards of a core: brought to where the directory wants their replicas, and reported.
 *
 * Gone through in pieces, again and again, while there are other nodes. Everything follows from
 * what is there at that moment: map, membership, progress. So nothing is lost with a leader.
 *
 * Those that move, and are led here, are looked at far more often, and at once when the map
 * changes: so a step begins when the last one has ended, and what has arrived is reported, so that
 * who plans lets another one begin. How many move at a time is bounded there
 * (CLUSTER_CHANGES_MAX), and how fast a snapshot goes is its sender's. */
#include <string.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "replication/raft/raft.h"
#include "server/cluster_parts.h"
#include "server/cluster_wire.h"
#include "server/meta/reconcile.h"
#include "storage/engine.h"

enum {
	TICK_MS = 100,
	/* Those that move are looked at so often: the next step waits for the last one, not for
	 * a tick. */
	MOVE_MS = 5,
	TICK_SHARDS_MAX = 256,
	/* A member that was not heard of for so long is not counted on. */
	HEARD_MS = 2000,
	/* How often shards are gone through between two reports. */
	REPORT_SWEEPS = 5,
	/* And between two words of a damaged one. */
	DAMAGE_SWEEPS = 20,
};

struct group_store *cluster_shard_store(const struct cluster_core *core, uint32_t shard)
{
	return core->stores[shard % core->options->self.stores];
}

struct group *cluster_shard_group(const struct cluster_core *core, uint32_t shard)
{
	struct group_store *store = cluster_shard_store(core, shard);
	return store ? group_store_group(store, shard) : NULL;
}

/* An old map is not followed. */
bool cluster_follows_map(const struct cluster_core *core)
{
	return core->map && core->map->is_caught_up;
}

/* ---- What is wished for as leader ---- */

void cluster_shards_wish(struct cluster_core *core, uint32_t shard, uint16_t node)
{
	const struct group *group = cluster_shard_group(core, shard);
	uint64_t now_ns = io_now_ns(core->io);
	cluster_wishes_forget_old(&core->wishes, now_ns);
	/* It comes too late, and is none to whoever leads now. */
	if (node != 0 && group && group_leads(group))
		cluster_wishes_add(&core->wishes, shard, node, now_ns);
}

static void move_soon(struct cluster_core *core)
{
	if (!core->move_timer.armed)
		io_timer_set(
		    core->io, &core->move_timer, io_now_ns(core->io) + MOVE_MS * NS_PER_MS);
}

/* It is granted, or who leads now decides. Kept, this node would hand the shard over once more
 * where it leads again within the wish's time, and whoever was wished for may have a wish that
 * leads back. */
void cluster_shards_forget_wish(struct cluster_core *core, uint32_t shard)
{
	if (!cluster_wishes_forget(&core->wishes, shard) || core->closing)
		return;
	core->wishes_due = true;
	move_soon(core);
}

int cluster_shards_asked_to_lead(struct cluster_core *core, struct slice bytes)
{
	struct cluster_lead lead;
	if (cluster_lead_read(bytes, &lead) || lead.shard > core->options->shard_count)
		return ERR_PROTOCOL;
	cluster_shards_wish(core, lead.shard, lead.node);
	return 0;
}

/* ---- Reports ---- */

/* Rows on their way to core 0. */
struct report_post {
	struct cluster_post post;
	enum cluster_kind kind;
	size_t bytes;
	uint8_t rows[];
};

static void report_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct report_post *report = CONTAINER_OF(post, struct report_post, post);
	if (core->control && !core->closing) {
		struct slice rows = slice_of(report->rows, report->bytes);
		uint16_t self = core->options->self.node;
		int error = cluster_control_rows(core->control, report->kind, self, rows);
		ASSERT(!error);
	}
	mem_free(report);
}

void cluster_rows_add(
    struct cluster_core *core, struct cluster_rows *rows, const struct writer *row)
{
	if (buffer_view(&rows->bytes).bytes + writer_used(row) > CLUSTER_REPORT_BYTES_MAX)
		cluster_rows_send(core, rows);
	/* Without memory it is told the next time. */
	int missed = buffer_append_slice(&rows->bytes, writer_view(row));
	(void)missed;
}

void cluster_rows_send(struct cluster_core *core, struct cluster_rows *rows)
{
	struct slice bytes = buffer_view(&rows->bytes);
	if (bytes.bytes == 0)
		return;
	struct report_post *report = mem_alloc(sizeof(*report) + bytes.bytes);
	/* The next one tells all of it again. */
	if (report) {
		report->post.arrived = report_arrived;
		report->kind = rows->kind;
		report->bytes = bytes.bytes;
		memcpy(report->rows, bytes.data, bytes.bytes);
		core->services.post(core->services.arg, 0, &report->post);
	}
	buffer_clear(&rows->bytes);
}

/* ---- A shard that is led here ---- */

struct view {
	struct raft_membership members;
	struct reconcile_progress progress[RAFT_REPLICAS_MAX];
	uint32_t count;
	uint64_t last_index;
};

static void look(struct cluster_core *core, struct group *group, struct view *view)
{
	uint64_t now_ms = io_now_ns(core->io) / NS_PER_MS;
	struct raft_progress one;
	group_get_members(group, &view->members);
	view->last_index = group_last(group).index;
	view->count = 0;
	for (uint32_t i = 0; view->count < RAFT_REPLICAS_MAX && group_progress(group, i, &one); i++)
		view->progress[view->count++] = (struct reconcile_progress){.replica = one.replica,
		    .match = one.match,
		    .heard = now_ms - one.heard_ms <= HEARD_MS || group_asleep(group)};
}

static const struct reconcile_progress *progress_of(const struct view *view, uint64_t replica)
{
	for (uint32_t i = 0; i < view->count; i++)
		if (view->progress[i].replica == replica)
			return &view->progress[i];
	return NULL;
}

/* False: nothing was to be done, or it could not be. */
static bool carry_out(struct cluster_core *core, uint32_t shard, struct group *group,
    const struct reconcile_step *step)
{
	const char *why = "";
	int error = 0;
	switch (step->kind) {
	case RECONCILE_DONE:
	case RECONCILE_WAIT:
		return false;
	case RECONCILE_CHANGE:
		error = group_change(group, step->changes, step->count, RAFT_AUTOMATIC, &why);
		break;
	case RECONCILE_LEAVE:
		error = group_change(group, NULL, 0, RAFT_LEAVE, &why);
		break;
	case RECONCILE_TRANSFER:
		error = group_transfer(group, step->replica);
		break;
	}
	LOG_LINE(error ? LEVEL_DEBUG : LEVEL_INFO, "shard_moves", FIELD_U64("group", shard),
	    FIELD_TEXT("step", step->why), FIELD_U64("replica", step->replica),
	    FIELD_U64("core", core->number), FIELD_ERROR("error", error),
	    FIELD_TEXT("why", error ? why : ""));
	return !error;
}

static bool is_settled(const struct view *view, const struct reconcile_step *step)
{
	if (step->kind != RECONCILE_DONE)
		return false;
	for (uint32_t i = 0; i < view->members.count; i++) {
		uint64_t replica = view->members.members[i].replica;
		const struct reconcile_progress *progress = progress_of(view, replica);
		if (progress && progress->match + CLUSTER_LAG_MAX < view->last_index)
			return false;
	}
	return true;
}

static void report(struct cluster_core *core, uint32_t shard, struct group *group,
    const struct view *view, bool settled)
{
	struct cluster_row row = {.shard = shard,
	    .term = group_term(group),
	    .generation = core->map->shards[shard].generation,
	    .last_index = view->last_index,
	    .pending = view->last_index - group_applied(group).index,
	    .stands_ms = group_stands_ms(group),
	    .settled = settled};
	for (uint32_t i = 0; i < view->members.count && row.count < CLUSTER_REPLICAS_MAX; i++) {
		const struct raft_member *member = &view->members.members[i];
		const struct reconcile_progress *progress = progress_of(view, member->replica);
		row.members[row.count++] = (struct cluster_member_row){.replica = member->replica,
		    .roles = member->roles,
		    .match = progress ? progress->match : view->last_index,
		    .heard = !progress || progress->heard};
	}
	uint8_t bytes[CLUSTER_ROW_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_row_write(&out, &row);
	cluster_rows_add(core, &core->report, &out);
}

/* ---- Those that move ---- */

static uint32_t moving_find(const struct cluster_core *core, uint32_t shard)
{
	uint32_t at = 0;
	while (at < core->moving_count && core->moving[at] != shard)
		at++;
	return at;
}

/* Too many at a time: the others are looked at in each tick. */
static void moving_add(struct cluster_core *core, uint32_t shard)
{
	if (moving_find(core, shard) == core->moving_count &&
	    core->moving_count < CLUSTER_MOVING_MAX)
		core->moving[core->moving_count++] = shard;
	if (core->moving_count > 0)
		move_soon(core);
}

/* Whether it was one. */
static bool moving_remove(struct cluster_core *core, uint32_t shard)
{
	uint32_t at = moving_find(core, shard);
	if (at == core->moving_count)
		return false;
	core->moving[at] = core->moving[--core->moving_count];
	return true;
}

/* Leadership that is wished for is no part of it: it may never come. */
static bool is_moved(
    const struct view *view, const struct reconcile_step *step, const struct reconcile_input *input)
{
	static _Thread_local struct reconcile_step bare;
	struct reconcile_input without = *input;
	if (step->kind == RECONCILE_DONE || input->leader_wished == 0)
		return is_settled(view, step);
	without.leader_wished = 0;
	reconcile_next(&without, &bare);
	return is_settled(view, &bare);
}

/* Whether the replica is a voter that stays one, is there, and has nearly all of the log and room
 * for more. */
static bool may_relieve(const struct cluster_core *core, uint32_t shard, const struct view *view,
    const struct reconcile_progress *one)
{
	uint16_t node = cluster_replica_node(one->replica);
	const struct cluster_replica *wanted = cluster_map_replica(core->map, shard, node);
	unsigned roles = raft_membership_roles(&view->members, one->replica);
	return node != core->options->self.node && wanted && wanted->voter &&
	       wanted->replica == one->replica && (roles & RAFT_VOTER) && one->heard &&
	       one->match > 0 && one->match + CLUSTER_LAG_MAX >= view->last_index &&
	       cluster_core_linked(core, node) && !cluster_is_unfit(core, node, shard);
}

/* Who is to lead what this core should not, or 0. Not the same one for all shards. */
static uint64_t relief(const struct cluster_core *core, uint32_t shard, const struct view *view)
{
	uint64_t able[RAFT_REPLICAS_MAX];
	uint32_t count = 0;
	for (uint32_t i = 0; i < view->count; i++)
		if (may_relieve(core, shard, view, &view->progress[i]))
			able[count++] = view->progress[i].replica;
	return count > 0 ? able[shard % count] : 0;
}

/* The replica that is to lead instead of this one; 0: whoever leads, does. */
static uint64_t wished(struct cluster_core *core, uint32_t shard, const struct view *view)
{
	if (core->unfit)
		return relief(core, shard, view);
	uint16_t node = cluster_wishes_node(&core->wishes, shard);
	const struct cluster_replica *replica =
	    node != 0 ? cluster_map_replica(core->map, shard, node) : NULL;
	return replica && !cluster_is_unfit(core, node, shard) ? replica->replica : 0;
}

static void lead(struct cluster_core *core, uint32_t shard, struct group *group)
{
	static _Thread_local struct view view;
	static _Thread_local struct reconcile_step step;
	look(core, group, &view);
	cluster_load_look(core, shard);
	/* Handing it over came to nothing, and it leads on. */
	if (!group_busy(group))
		(void)cluster_wishes_end(&core->wishes, shard);
	struct reconcile_input input = {.self = group_self(group),
	    .wanted = &core->map->shards[shard],
	    .members = &view.members,
	    .busy = group_busy(group),
	    .transfer_failed = group_transfer_ms(group) < RECONCILE_REST_MS,
	    .last_index = view.last_index,
	    .lag_max = CLUSTER_LAG_MAX,
	    .lead_lag_max = CLUSTER_LEAD_LAG_MAX,
	    .replicas_max = group_replicas_max(shard),
	    .leader_wished = wished(core, shard, &view),
	    .leads_badly = core->unfit != CLUSTER_FIT,
	    .progress = view.progress,
	    .progress_count = view.count};
	reconcile_next(&input, &step);
	bool done = carry_out(core, shard, group, &step);
	if (done && step.kind == RECONCILE_TRANSFER && input.leader_wished != 0 && !core->unfit)
		cluster_wishes_begin(&core->wishes, shard, io_now_ns(core->io));
	bool settled = is_moved(&view, &step, &input);
	bool arrived = settled && moving_remove(core, shard);
	if (!settled)
		moving_add(core, shard);
	if (arrived || core->sweep % REPORT_SWEEPS == 0)
		report(core, shard, group, &view, settled);
	/* Another one may begin. */
	if (arrived)
		cluster_rows_send(core, &core->report);
}

/* ---- The end ---- */

/* Of the other voters the one that has most of the log; 0: none is heard of. */
static uint64_t successor(const struct view *view, uint64_t self)
{
	uint64_t best = 0, match = 0;
	for (uint32_t i = 0; i < view->count; i++) {
		const struct reconcile_progress *one = &view->progress[i];
		unsigned roles = raft_membership_roles(&view->members, one->replica);
		if (one->replica == self || !(roles & RAFT_VOTER) || !one->heard ||
		    (best != 0 && one->match <= match))
			continue;
		best = one->replica;
		match = one->match;
	}
	return best;
}

void cluster_core_yield(struct cluster_core *core)
{
	static _Thread_local struct view view;
	if (!core->map)
		return;
	for (uint32_t shard = 0; shard <= core->options->shard_count; shard++) {
		struct group *group = cluster_shard_group(core, shard);
		if (!group || !group_leads(group) || group_busy(group))
			continue;
		look(core, group, &view);
		uint64_t to = successor(&view, group_self(group));
		int error = to != 0 ? group_transfer(group, to) : 0;
		if (error)
			LOG_LINE(LEVEL_DEBUG, "shard_not_handed_over", FIELD_U64("group", shard),
			    FIELD_ERROR("error", error));
	}
}

/* ---- A replica that is damaged ---- */

/* It neither votes nor acknowledges any more, and cannot be mended by itself: its group goes on
 * without it, it leaves, and then another one comes, to this node perhaps. */
struct damage_post {
	struct cluster_post post;
	uint32_t shard;
	uint64_t generation;
};

static void damage_arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct damage_post *damage = CONTAINER_OF(post, struct damage_post, post);
	if (core->control && !core->closing)
		cluster_control_damaged(core->control, damage->shard, damage->generation);
	mem_free(damage);
}

static void give_up(struct cluster_core *core, uint32_t shard)
{
	struct damage_post *damage = mem_zalloc(1, sizeof(*damage));
	/* It is told again. */
	if (!damage)
		return;
	damage->post.arrived = damage_arrived;
	damage->shard = shard;
	damage->generation = core->map->shards[shard].generation;
	core->services.post(core->services.arg, 0, &damage->post);
}

/* ---- Going through them ---- */

static void add(struct cluster_core *core, uint32_t shard, uint64_t replica)
{
	int error = shards_add(core->shards, shard, replica, NULL);
	/* The one before is still being removed. */
	if (error == ERR_BUSY)
		return;
	LOG_LINE(error ? LEVEL_WARNING : LEVEL_INFO, "replica_comes", FIELD_U64("group", shard),
	    FIELD_U64("replica", replica), FIELD_ERROR("error", error));
}

/* One that is here and no longer wanted may still have its vote: it stays until it has left its
 * group. */
uint64_t cluster_core_replica(const struct cluster_core *core, uint32_t shard)
{
	uint16_t self = core->options->self.node;
	uint64_t here = group_store_replica(cluster_shard_store(core, shard), shard, self);
	const struct cluster_replica *wanted =
	    cluster_follows_map(core) ? cluster_map_replica(core->map, shard, self) : NULL;
	return here ? here : wanted ? wanted->replica : 0;
}

/* ---- One of them ---- */

/* Those who sleep rely on its node, which is there: where it led, nobody would notice. Members as
 * the group has them, which did not get so far where the log is damaged, or as they are wanted. */
static void say_not_here(struct cluster_core *core, uint32_t shard, const struct group *group)
{
	uint64_t self = group_self(group);
	struct raft_membership members;
	group_get_members(group, &members);
	for (uint32_t i = 0; i < members.count; i++)
		if (members.members[i].replica != self)
			carrier_say_not_here(
			    core->carrier, shard, self, members.members[i].replica);
	const struct cluster_shard *wanted = &core->map->shards[shard];
	for (uint32_t i = 0; i < wanted->count; i++) {
		uint64_t replica = wanted->replicas[i].replica;
		if (cluster_replica_node(replica) != core->options->self.node &&
		    raft_membership_roles(&members, replica) == 0)
			carrier_say_not_here(core->carrier, shard, self, replica);
	}
}

/* It does not lead. Whether it is damaged. */
static bool look_at_stranded(struct cluster_core *core, uint32_t shard, struct group *group)
{
	bool damaged = group_closed(group), says = core->sweep % REPORT_SWEEPS == 0;
	if (!damaged)
		cluster_stranded_look(core, shard, group, says);
	else if (says) {
		cluster_stranded_damaged(core, shard, group);
		say_not_here(core, shard, group);
	}
	return damaged;
}

/* A replica that is damaged says so (say_not_here), which may be lost. One that was given up since
 * does not, and its node is there: who sleeps would rely on it for ever. */
static void wake_without_leader(struct cluster_core *core, uint32_t shard, struct group *group)
{
	uint64_t leader = group_leader(group);
	if (leader == 0 || !group_asleep(group))
		return;
	if (!cluster_map_wants(core->map, shard, leader))
		group_store_not_there(cluster_shard_store(core, shard), shard, leader);
}

static void look_after(struct cluster_core *core, uint32_t shard)
{
	const struct cluster_replica *wanted =
	    cluster_map_replica(core->map, shard, core->options->self.node);
	struct group *group = cluster_shard_group(core, shard);
	bool here = shard == 0 || shards_has(core->shards, shard);
	if (!here && wanted)
		add(core, shard, wanted->replica);
	if (!here && !wanted && core->sweep % REPORT_SWEEPS == 0 &&
	    group_store_unowned(cluster_shard_store(core, shard), shard))
		cluster_ask_to_leave(core, shard, 0);
	if (!here || !group)
		return;
	if (group_leads(group)) {
		lead(core, shard, group);
		return;
	}
	cluster_load_forget(core, shard);
	cluster_shards_forget_wish(core, shard);
	bool damaged = look_at_stranded(core, shard, group);
	if (!damaged)
		wake_without_leader(core, shard, group);
	uint64_t self = group_self(group);
	if (shard == 0)
		return;
	if ((!wanted || wanted->replica != self) && core->sweep % REPORT_SWEEPS == 0)
		cluster_ask_to_leave(core, shard, self);
	else if (wanted && damaged && core->sweep % DAMAGE_SWEEPS == 0)
		give_up(core, shard);
}

/* A core beyond the stores has none, and where there are few shards others have none either. */
static bool has_shards(const struct cluster_core *core)
{
	for (uint32_t shard = 0; shard <= core->options->shard_count; shard++)
		if (cluster_core_of(&core->options->self, shard) == core->number)
			return true;
	return false;
}

/* The next one of this core, which has_shards. */
static uint32_t next_shard(const struct cluster_core *core, uint32_t shard)
{
	do
		shard = shard == core->options->shard_count ? 0 : shard + 1;
	while (cluster_core_of(&core->options->self, shard) != core->number);
	return shard;
}

/* Or was: what others left may still be to be done. */
static bool is_clustered(const struct cluster_core *core)
{
	return core->map->node_count > 1;
}

static void arm(struct cluster_core *core)
{
	io_timer_set(core->io, &core->tick_timer, io_now_ns(core->io) + TICK_MS * NS_PER_MS);
}

/* Those that are wished to be led by others, until it is the turn of one. */
static void hand_over_next(struct cluster_core *core)
{
	core->wishes_due = false;
	for (size_t i = 0; i < CLUSTER_WISHES_MAX && !core->wishes.hands_over; i++) {
		const struct cluster_wish *wish = &core->wishes.wishes[i];
		struct group *group =
		    wish->node != 0 ? cluster_shard_group(core, wish->shard) : NULL;
		if (group && group_leads(group) && cluster_follows_map(core))
			look_after(core, wish->shard);
	}
}

static void move(struct io_timer *timer)
{
	struct cluster_core *core = CONTAINER_OF(timer, struct cluster_core, move_timer);
	uint32_t shards[CLUSTER_MOVING_MAX], count = core->moving_count;
	memcpy(shards, core->moving, count * sizeof(shards[0]));
	for (uint32_t i = 0; i < count && cluster_follows_map(core); i++) {
		const struct group *group = cluster_shard_group(core, shards[i]);
		if (group && group_leads(group))
			look_after(core, shards[i]);
		else
			moving_remove(core, shards[i]);
	}
	if (core->wishes_due)
		hand_over_next(core);
	if (core->moving_count > 0)
		move_soon(core);
}

void cluster_shards_follow(struct cluster_core *core, const struct cluster_map *before)
{
	for (uint32_t shard = 0;
	     before && core->shards && cluster_follows_map(core) && shard <= core->map->shard_count;
	     shard++)
		if (before->shards[shard].generation != core->map->shards[shard].generation &&
		    cluster_core_of(&core->options->self, shard) == core->number)
			look_after(core, shard);
}

/* Nothing is done by a map that is old. But where nobody leads the directory it is all that there
 * is: then this node says what it has, for an operator's word, and what it leads. */
static void look_without_map(struct cluster_core *core, uint32_t shard)
{
	static _Thread_local struct view view;
	struct group *group = cluster_shard_group(core, shard);
	bool here = group && (shard == 0 || shards_has(core->shards, shard));
	bool says = core->sweep % REPORT_SWEEPS == 0;
	if (here && !group_leads(group)) {
		(void)look_at_stranded(core, shard, group);
	} else if (here && says && !MUTATION(cluster_says_nothing_of_what_it_leads)) {
		look(core, group, &view);
		report(core, shard, group, &view, false);
	}
}

static void tick(struct io_timer *timer)
{
	struct cluster_core *core = CONTAINER_OF(timer, struct cluster_core, tick_timer);
	cluster_wishes_forget_old(&core->wishes, io_now_ns(core->io));
	cluster_links_look(core);
	cluster_unfit_look(core);
	cluster_disk_look(core);
	snapshots_set_rate(core->snapshots, core->services.snapshot_rate(core->services.arg));
	cluster_moves_tick(core);
	for (unsigned i = 0; i < TICK_SHARDS_MAX; i++) {
		uint32_t before = core->next_shard;
		if (cluster_follows_map(core))
			look_after(core, before);
		else
			look_without_map(core, before);
		core->next_shard = next_shard(core, before);
		if (core->next_shard <= before) {
			core->sweep++;
			break;
		}
	}
	cluster_rows_send(core, &core->report);
	cluster_rows_send(core, &core->stranded);
	cluster_rows_send(core, &core->loads);
	if (is_clustered(core))
		arm(core);
}

void cluster_shards_begin(struct cluster_core *core)
{
	if (!has_shards(core))
		return;
	/* Shard 0 lives on core 0; others begin with their first one. */
	if (core->sweep == 0 && core->next_shard == 0 && core->number > 0)
		core->next_shard = next_shard(core, 0);
	core->tick_timer.fired = tick;
	core->move_timer.fired = move;
	if (is_clustered(core) && !core->tick_timer.armed)
		arm(core);
}

void cluster_shards_end(struct cluster_core *core)
{
	io_timer_cancel(core->io, &core->tick_timer);
	io_timer_cancel(core->io, &core->move_timer);
}
