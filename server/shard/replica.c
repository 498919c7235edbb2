/* Queries at a replica that does not lead (call->anywhere).
 *
 *   queue -> does it know enough? --yes--> ACTIVE -> handler -> head -> state -> run: answered
 *     ^            | no                      |
 *     |            v                         +-- anything but a plain answer: to the leader
 *     +-- ASKING, aside: its leader is asked (group_ask), or it takes too long: to the leader
 *
 * What is read is committed and applied here, and nothing else, so that the answer waits for nobody
 * once it knows enough: everything that was committed before the call came, or as long before it as
 * the call allows. Both are this node's own clock alone.
 *
 * Nothing is locked here: entries are applied while a query waits for a read of the disk. So what
 * it has seen stays, and where that cannot be gone on from (events were deleted, a state is of a
 * newer version than the bundle), the leader answers instead. So it does where the handler looks at
 * its time, which only a leader gives (clock.c), and whatever says more than a query's answer.
 *
 * `entity->known` is never left behind: it means newest, and whoever leads next relies on it.
 */
#include "server/shard/replica.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/mem.h"

void replica_forget(struct work *work)
{
	if (work->reads_here && work->entity)
		work->entity->known = false;
	work->reads_here = work->has_read_head = false;
	/* Whatever it begins anew for may have changed something that it has to see. */
	work->question = 0;
}

void replica_to_leader(struct work *work)
{
	ASSERT(work->stage == WORK_QUEUED && !work->call->forwarded);
	work_drop_progress(work);
	replica_forget(work);
	work_forget_answer(work);
	work->leader_only = true;
	work_make_ready(work);
}

/* ---- What it knows ---- */

static bool is_answered(const struct work *work)
{
	const struct shard *shard = work->shard;
	/* The number is of that replica's questions. */
	return work->question != 0 && work->question_of == shard->replica &&
	       work->question <= group_answered(shard->group);
}

bool replica_is_new_enough(const struct work *work)
{
	uint64_t stale_ns = work->call->stale_ns;
	if (stale_ns == 0)
		return false;
	uint64_t known_ns = group_known_ns(work->shard->group), now_ns = clock_monotonic_ns();
	return known_ns > 0 && known_ns <= now_ns && now_ns - known_ns <= stale_ns;
}

static bool knows_enough(const struct work *work)
{
	/* Breaks: no state is older than the call allows. */
	return is_answered(work) || MUTATION(shard_replica_never_asks) ||
	       replica_is_new_enough(work);
}

/* Those of its order behind it wait; other calls of its entity do not. */
static void wait_for_answer(struct work *work)
{
	struct shards *shards = work->shard->shards;
	uint64_t until_ns = io_now_ns(shards->io) + REPLICA_READ_MS * NS_PER_MS;
	work_drop_progress(work);
	shards_deadline_remove(shards, work);
	shards_deadline_add(
	    shards, work, until_ns < work->call->deadline_ns ? until_ns : work->call->deadline_ns);
	work->stage = WORK_ASKING;
	work_wait(work, &work->shard->asking);
	aside_enter(work);
}

void replica_go_on(struct work *work)
{
	struct shards *shards = work->shard->shards;
	ASSERT(work->stage == WORK_ASKING);
	list_remove(&work->link);
	shards_deadline_remove(shards, work);
	shards_deadline_add(shards, work, work->call->deadline_ns);
	work->stage = WORK_QUEUED;
	aside_return(work);
}

void replica_release(struct shard *shard, bool all)
{
	LIST_FOR_EACH_REMOVABLE(node, &shard->asking)
	{
		struct work *work = CONTAINER_OF(node, struct work, link);
		/* Whose question was forgotten (aside.c) has none that could be answered, and asks
		 * anew, or leaves. */
		if (all || work->question == 0 || is_answered(work))
			replica_go_on(work);
	}
}

static bool may_read(const struct work *work, bool *ret_behind)
{
	const struct shard *shard = work->shard;
	const struct shard_call *call = work->call;
	if (!call->anywhere || work->leader_only || shard->state != SHARD_FOLLOWS ||
	    call->kind != SHARD_CALL || call->forwarded)
		return false;
	/* What was sent before it goes to the leader, and it behind that. */
	if (!aside_lets_read(work, ret_behind))
		return false;
	return !engine_shard_closed(shard->engine, shard->number) &&
	       shards_reads(shard->shards, call);
}

enum replica_step replica_look(struct work *work)
{
	bool behind;
	if (work->reads_here)
		return REPLICA_READS;
	if (!may_read(work, &behind)) {
		work->question = 0;
		return REPLICA_LEAVES;
	}
	if (!behind && knows_enough(work)) {
		work->reads_here = true;
		return REPLICA_READS;
	}
	if (group_ask(work->shard->group, &work->question))
		return REPLICA_LEAVES;
	work->question_of = work->shard->replica;
	wait_for_answer(work);
	return REPLICA_WAITS;
}

/* ---- Which bundle ---- */

static bool is_loaded(const struct shard *shard, bool found, struct slice record)
{
	const struct read_active *read = &shard->read_active;
	return read->is_known && read->found == found &&
	       slice_equal(slice_of(read->record, read->bytes), found ? record : slice_of(NULL, 0));
}

void replica_forget_active(struct shard *shard)
{
	mem_free(shard->read_active.record);
	shard->read_active = (struct read_active){.number = shard->read_active.number};
}

static int take_active(struct shard *shard, bool found, struct slice record)
{
	int error = active_load(shard, found, record);
	struct read_active *read = &shard->read_active;
	read->number++;
	if (error)
		return error;
	uint8_t *copy = mem_alloc(record.bytes + 1);
	if (!copy)
		return ERR_NOMEM;
	if (found && record.bytes > 0)
		memcpy(copy, record.data, record.bytes);
	read->record = copy;
	read->bytes = found ? record.bytes : 0;
	read->is_known = true;
	read->found = found;
	return 0;
}

/* What is applied of ACTIVE; it may change between any two steps. */
static enum step step_active(struct work *work)
{
	struct shard *shard = work->shard;
	struct key key;
	struct slice record = slice_of(NULL, 0);
	bool found;
	key_of_shard(&key, SHARD_KEY_ACTIVE);
	if (work_get(work, &key, LOADS_ACTIVE, &found, &record) == STEP_STOP)
		return STEP_STOP;
	if (!is_loaded(shard, found, record) && take_active(shard, found, record)) {
		active_forget(shard);
		replica_to_leader(work);
		return STEP_STOP;
	}
	if (work->component && work->read_active != shard->read_active.number) {
		work_drop_progress(work);
		work->has_read_head = false;
	}
	work->read_active = shard->read_active.number;
	return STEP_ON;
}

static enum step step_handler(struct work *work)
{
	struct shard *shard = work->shard;
	struct slice type = address_type(work->call->address);
	bool pending;
	if (work->handler)
		return STEP_ON;
	work->active_seen = shard->active_changed;
	work->incarnation = dropped_incarnation(shard, type);
	work->component = active_component(shard, type, &work->bundle, &pending);
	if (work->component) {
		host_bundle_keep(work->bundle);
		work->handler = host_handler(work->component, work->call->name);
	}
	if (!work->handler || !host_handler_is_query(work->handler) ||
	    (host_handler_internal(work->handler) && !work->call->internal_allowed)) {
		replica_to_leader(work);
		return STEP_STOP;
	}
	work->figure = shards_figure(shard->shards, work->component, work->handler);
	if (!work->figure || !work->figure->sees_time)
		return STEP_ON;
	replica_to_leader(work);
	return STEP_STOP;
}

enum step replica_steps(struct work *work)
{
	ASSERT(work->reads_here);
	if (step_active(work) == STEP_STOP || step_handler(work) == STEP_STOP)
		return STEP_STOP;
	if (!work->has_read_head)
		work->entity->known = false;
	if (step_head(work) == STEP_STOP)
		return STEP_STOP;
	work->has_read_head = true;
	return fold_step(work, 0);
}

bool replica_takes(struct work *work, const struct host_outcome *outcome)
{
	if (work->figure)
		work->figure->sees_time |= outcome->saw_time;
	if (!outcome->saw_time && !outcome->is_fault) {
		work->shard->shards->figures.replica_reads++;
		work->shard->shards->figures.stale_reads += work->question == 0;
		return true;
	}
	replica_to_leader(work);
	return false;
}
