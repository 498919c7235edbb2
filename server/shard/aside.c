/* Calls that are elsewhere, and those that wait for them. The rules stand in shard.h; this is how
 * they are kept.
 *
 *   queue --handed over--> away --answered--> done
 *     ^                     |
 *     +-- none of its order is away any more -- comes back
 *
 * What stands aside of one order is in four stages. AWAY. PROPOSED: it was when leadership was
 * lost, and what is applied decides; that happens before this replica leads again (group.h, rules
 * 1 and 3), and whatever was proposed elsewhere later has a higher term and so stands behind it, if
 * that stands at all: others may leave meanwhile. ASKING: it is read here soon, or leaves
 * (replica.c). QUEUED: it came back, or its proposal was lost, or it may not leave or run yet; such
 * are there only while one of their order is away, or asks.
 *
 * One way at a time, because on two of them what left first could arrive last.
 */
#include "base/mutation.h"
#include "server/shard/shard_parts.h"

#include "base/assert.h"

static struct work *work_at(struct list_node *node)
{
	return CONTAINER_OF(node, struct work, queue_link);
}

/* Or asks: those behind it wait for that, too. */
static bool is_away(const struct entity *entity, uint64_t order)
{
	LIST_FOR_EACH(node, &entity->aside)
	{
		const struct work *work = work_at(node);
		bool waits = work->stage == WORK_AWAY || work->stage == WORK_ASKING;
		if (waits && work->call->order == order)
			return true;
	}
	return false;
}

/* The last of its order before it that is away or waits; NULL: none. */
static const struct work *last_before(const struct work *work)
{
	const struct work *last = NULL;
	if (!work->entity || work->call->forwarded)
		return NULL;
	LIST_FOR_EACH(node, &work->entity->aside)
	{
		const struct work *other = work_at(node);
		if (other->sequence < work->sequence && other->stage != WORK_PROPOSED &&
		    other->call->order == work->call->order)
			last = other;
	}
	return last;
}

static void enter(struct entity *entity, struct work *work)
{
	struct list_node *before = &entity->aside.head;
	while (
	    before->back != &entity->aside.head && work_at(before->back)->sequence > work->sequence)
		before = before->back;
	list_insert_before(&work->queue_link, before);
	work->entity = entity;
	work->is_aside = true;
}

static void set_aside(struct work *work)
{
	struct entity *entity = work->entity;
	if (!entity)
		return;
	work_leave_queue(work);
	enter(entity, work);
}

bool aside_blocks(const struct work *work)
{
	/* Breaks: while one is away none behind it runs. */
	return last_before(work) != NULL && !MUTATION(shard_runs_before_returned);
}

bool aside_lets_read(const struct work *work, bool *ret_behind)
{
	*ret_behind = false;
	LIST_FOR_EACH(node, &work->entity->aside)
	{
		const struct work *other = work_at(node);
		if (other->sequence >= work->sequence || other->stage == WORK_PROPOSED ||
		    other->call->order != work->call->order)
			continue;
		if (other->stage != WORK_ASKING)
			return false;
		*ret_behind = true;
	}
	return true;
}

void aside_wait(struct work *work)
{
	work_drop_progress(work);
	set_aside(work);
}

/* The next one of its order that another node sent, too, and that waits behind it. */
static struct work *next_forwarded(const struct work *work)
{
	if (!work->entity)
		return NULL;
	const struct list *queue = &work->entity->queue;
	for (struct list_node *node = list_next(queue, &work->queue_link); node;
	     node = list_next(queue, node)) {
		struct work *other = work_at(node);
		if (other->call->forwarded && other->call->order == work->call->order)
			return other;
	}
	return NULL;
}

/* With all behind it: where one of them waited here, behind a call of somebody else, and this
 * replica led again, it would take effect before those that were refused. */
static void refuse_forwarded(struct work *work)
{
	while (work) {
		/* Breaks: who is sent away takes those behind it along. */
		struct work *next =
		    MUTATION(forward_refuses_one_of_many) ? NULL : next_forwarded(work);
		work->call->not_leader = true;
		work->call->was_read = work->was_read;
		work_fail(
		    work, STATUS_UNAVAILABLE, "shard %u is not led here", work->shard->number);
		work = next;
	}
}

bool aside_is_late(const struct work *work)
{
	const struct shard_call *call = work->call;
	/* Breaks: what was sent to one leadership is not done by a later one. */
	return call->forwarded && call->term != 0 && call->term != group_term(work->shard->group) &&
	       !MUTATION(forward_serves_any_term);
}

static void forget_questions(const struct list *list, const struct work *work)
{
	LIST_FOR_EACH(node, list)
	{
		struct work *other = work_at(node);
		if (other->sequence > work->sequence && other->call->order == work->call->order)
			other->question = 0;
	}
}

/* It asked, as those behind it did, and the leader answers it after all: what they were told does
 * not reach as far as that answer will. They ask anew, should they be read here. */
static void leave_askers(const struct work *work)
{
	if (!work->call->anywhere || !work->entity)
		return;
	forget_questions(&work->entity->queue, work);
	forget_questions(&work->entity->aside, work);
}

bool aside_hand_over(struct work *work)
{
	struct shards *shards = work->shard->shards;
	struct shard_call *call = work->call;
	if (call->forwarded) {
		/* One that is damaged says so, where that is the last word on it. */
		if (shard_is_lost(work->shard))
			return false;
		refuse_forwarded(work);
		return true;
	}
	const struct work *before = last_before(work);
	if (before && before->stage != WORK_AWAY) {
		aside_wait(work);
		return true;
	}
	if (!shards->options.elsewhere)
		return false;
	work_drop_progress(work);
	work_forget_answer(work);
	work->figure = NULL;
	/* Breaks: all of one order that are away go one way. */
	call->route = before && !MUTATION(shard_two_ways) ? before->call->route : 0;
	call->was_read = work->was_read;
	if (shards->options.elsewhere(shards->options.arg, call, work->shard->number)) {
		shards_deadline_remove(shards, work);
		work->stage = WORK_AWAY;
		set_aside(work);
		leave_askers(work);
		return true;
	}
	if (before)
		aside_wait(work);
	return before != NULL;
}

void aside_take_proposed(struct work *work)
{
	struct shard *shard = work->shard;
	/* Breaks: what was lost is not made behind what was sent after it. */
	/* It is there where leadership was lost before the shard was closed, or left. */
	if (work->is_aside)
		return;
	if (!shard->shards->options.elsewhere || work->call->forwarded ||
	    MUTATION(shard_loss_not_remembered))
		return;
	struct entity *entity = entity_need(shard, work->call->address, work->call->hash);
	/* Without memory nobody remembers what overtakes it. */
	if (entity)
		enter(entity, work);
	else
		work->is_overtaken = true;
}

static void go_on(struct entity *entity, struct work *work)
{
	list_remove(&work->queue_link);
	work->is_aside = false;
	if (work_come_back(entity, work))
		work_make_ready(work);
}

void aside_left(struct entity *entity, uint64_t order)
{
	/* Breaks: what comes back waits for the others of its order. */
	if (is_away(entity, order) && !MUTATION(shard_returned_in_part))
		return;
	LIST_FOR_EACH_REMOVABLE(node, &entity->aside)
	{
		struct work *work = work_at(node);
		if (work->stage == WORK_QUEUED && work->call->order == order)
			go_on(entity, work);
	}
}

void aside_enter(struct work *work)
{
	set_aside(work);
}

void aside_return(struct work *work)
{
	struct entity *entity = work->entity;
	uint64_t order = work->call->order;
	go_on(entity, work);
	aside_left(entity, order);
}

/* ---- Back ---- */

/* What stands before it and does not take effect yet, must not any more. */
void aside_overtake(const struct work *work)
{
	LIST_FOR_EACH_REMOVABLE(node, &work->entity->aside)
	{
		struct work *other = work_at(node);
		if (other->sequence >= work->sequence || other->call->order != work->call->order)
			continue;
		/* Breaks: what comes back is not run behind what was sent after it. */
		other->is_overtaken = !MUTATION(shard_overtaken_again);
		if (other->stage == WORK_QUEUED)
			work_again(other);
	}
}

void shards_answered(struct shards *shards, struct shard_call *call)
{
	struct work *work = call->work;
	ASSERT(call->owner == shards && work->stage == WORK_AWAY);
	if (work->entity)
		aside_overtake(work);
	work_finish(work);
	io_wake(shards->io, NULL);
}

void shards_returned(struct shards *shards, struct shard_call *call)
{
	struct work *work = call->work;
	ASSERT(call->owner == shards && work->stage == WORK_AWAY);
	shards_deadline_add(shards, work, call->deadline_ns);
	work->stage = WORK_QUEUED;
	work->was_read = call->was_read;
	work_again(work);
	io_wake(shards->io, NULL);
}

void shards_leader_known(struct shards *shards, uint32_t number)
{
	ASSERT(shards->by_number[number] != NULL);
	shard_wake(shards->by_number[number]);
	io_wake(shards->io, NULL);
}
