/* A leader's side of a snapshot. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/snapshot_parts.h"
#include "storage/cursor.h"
#include "storage/keys.h"

/* What is short for a moment is tried again after this. */
#define RETRY_NS (20 * NS_PER_MS)
/* Chunks that were asked for again without one getting there in between. */
enum { AGAINS_MAX = 16 };
/* Some of them may be lost. */
enum { ALIVES_PER_PATIENCE = 4 };

enum out_state { OUT_QUEUED, OUT_OPENS, OUT_OFFERS, OUT_STREAMS, OUT_LINGERS };

struct snapshot_out {
	struct snapshots *snapshots;
	struct group *group; /* NULL: it has ended, and the pool still reads for it */
	struct list_node link, group_link, ready_link;
	enum out_state state;
	uint64_t replica, term, id;
	struct raft_position at;
	int64_t time_ms;

	struct snapshot_read read;
	bool reading;
	/* Those that were read, from `first` on, and are not acknowledged; `next` is sent next. */
	struct list chunks;
	uint64_t first, count, next;
	size_t bytes;

	bool owes_offer;
	bool full; /* until there is room */
	bool end_sent;
	unsigned agains;
	uint64_t match; /* LINGERS: what the replica has */
	uint64_t heard_ns;
	uint64_t cut_ns; /* since then there is no link for it; 0: there is one */
	struct io_timer timer;
};

/* ---- Beginning and end ---- */

static bool has_place(const struct snapshot_out *out)
{
	return out->state != OUT_QUEUED && out->state != OUT_LINGERS;
}

static void pop_chunk(struct snapshot_out *out)
{
	struct snapshot_chunk *chunk =
	    CONTAINER_OF(list_pop_front(&out->chunks), struct snapshot_chunk, link);
	out->first++;
	out->count--;
	out->bytes -= chunk->capacity;
	snapshot_let_go(out->snapshots, chunk->capacity);
	mem_free(chunk);
}

/* What it takes while it is under way is given back. */
static void let_go(struct snapshot_out *out)
{
	struct snapshots_figures *figures = &out->snapshots->figures;
	if (has_place(out))
		figures->sending--;
	else if (out->state == OUT_QUEUED)
		figures->sending_waits--;
	list_remove(&out->ready_link);
	while (out->count > 0)
		pop_chunk(out);
	if (!out->reading) {
		cursor_close(out->read.cursor);
		out->read.cursor = NULL;
	}
}

static void end(struct snapshot_out *out)
{
	let_go(out);
	io_timer_cancel(out->snapshots->io, &out->timer);
	list_remove(&out->group_link);
	list_remove(&out->link);
	out->group = NULL;
	if (out->reading)
		list_push_back(&out->snapshots->leaving, &out->link);
	else
		mem_free(out);
}

static void give_up(struct snapshot_out *out)
{
	struct group *group = out->group;
	uint64_t replica = out->replica;
	out->snapshots->figures.send_failures++;
	end(out);
	group_step(
	    group, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT, .replica = replica, .index = 0});
}

static void fail(struct snapshot_out *out)
{
	struct snapshots *snapshots = out->snapshots;
	give_up(out);
	snapshot_out_next(snapshots);
}

/* The replica has it. */
static void sent(struct snapshot_out *out)
{
	struct snapshots *snapshots = out->snapshots;
	snapshots->figures.sent++;
	let_go(out);
	out->state = OUT_LINGERS;
	out->match = out->at.index;
	out->heard_ns = io_now_ns(snapshots->io);
	group_step(out->group,
	    (struct raft_event){
	        .kind = RAFT_SNAPSHOT_SENT, .replica = out->replica, .index = out->at.index});
	snapshot_out_next(snapshots);
}

/* ---- Reading ---- */

static void make_ready(struct snapshot_out *out)
{
	bool has_chunk = out->next < out->first + out->count;
	/* While it is read the end is the offload thread's. */
	bool has_end = !out->reading && out->read.ended && !out->end_sent;
	if (out->state == OUT_STREAMS && !out->full && (has_chunk || has_end) &&
	    !list_linked(&out->ready_link))
		list_push_back(&out->snapshots->ready, &out->ready_link);
}

static void read_on(struct snapshot_out *out)
{
	if (out->reading || out->read.ended || out->count >= SNAPSHOT_WINDOW_CHUNKS ||
	    out->bytes >= SNAPSHOT_WINDOW_BYTES)
		return;
	out->reading = true;
	out->read.chunk = NULL;
	out->read.number = out->first + out->count;
	io_offload_bulk(out->snapshots->io, &out->read.op, snapshot_read_run);
}

static void take_chunk(struct snapshot_out *out, struct snapshot_chunk *chunk)
{
	/* It may have moved while it was read. */
	list_node_init(&chunk->link);
	snapshot_hold(out->snapshots, chunk->capacity);
	list_push_back(&out->chunks, &chunk->link);
	out->bytes += chunk->capacity;
	out->count++;
}

static void read_done(struct io_op *op)
{
	struct snapshot_out *out = CONTAINER_OF(op, struct snapshot_out, read.op);
	out->reading = false;
	if (!out->group || out->state == OUT_LINGERS) {
		mem_free(out->read.chunk);
		cursor_close(out->read.cursor);
		out->read.cursor = NULL;
		if (!out->group) {
			list_remove(&out->link);
			mem_free(out);
		}
		return;
	}
	if (out->read.error) {
		fail(out);
		return;
	}
	if (out->read.chunk)
		take_chunk(out, out->read.chunk);
	if (out->read.ended) {
		cursor_close(out->read.cursor);
		out->read.cursor = NULL;
	}
	read_on(out);
	make_ready(out);
	snapshot_pump(out->snapshots);
}

/* ---- Offering ---- */

static void retry(struct snapshot_out *out)
{
	struct io *io = out->snapshots->io;
	io_timer_set(io, &out->timer, io_now_ns(io) + RETRY_NS);
}

/* Until its patience ends, or there is something to be done before. */
static void rest(struct snapshot_out *out)
{
	const struct snapshots *snapshots = out->snapshots;
	uint64_t now_ns = io_now_ns(snapshots->io);
	uint64_t end_ns = out->heard_ns + snapshots->patience_ns;
	uint64_t next_ns =
	    now_ns + (out->cut_ns != 0 ? SNAPSHOT_CUT_MS * NS_PER_MS
	                               : snapshots->patience_ns / ALIVES_PER_PATIENCE);
	io_timer_set(snapshots->io, &out->timer,
	    out->state != OUT_LINGERS && next_ns < end_ns ? next_ns : end_ns);
}

/* No link takes what it says. */
static void cut_off(struct snapshot_out *out)
{
	out->owes_offer = true;
	if (out->cut_ns != 0)
		return;
	out->cut_ns = io_now_ns(out->snapshots->io);
	rest(out);
}

/* Others could go on in its place. */
static bool is_in_the_way(const struct snapshot_out *out)
{
	const struct snapshots *snapshots = out->snapshots;
	return out->state == OUT_OFFERS && out->cut_ns != 0 &&
	       snapshots->figures.sending_waits > 0 &&
	       io_now_ns(snapshots->io) >= out->cut_ns + SNAPSHOT_CUT_MS * NS_PER_MS;
}

static void offer(struct snapshot_out *out)
{
	ASSERT(out->state == OUT_OFFERS);
	struct snapshot_message message = {.kind = SNAPSHOT_OFFER,
	    .id = out->id,
	    .from = out->group->self,
	    .to = out->replica,
	    .term = out->term,
	    .at = out->at,
	    .time_ms = out->time_ms};
	int error = snapshot_tell(out->snapshots, out->group->shard, &message);
	out->owes_offer = error != 0;
	out->full = error == ERR_FULL;
	if (error == ERR_CLOSED)
		cut_off(out);
	else
		out->cut_ns = 0;
	if (error == ERR_NOMEM)
		retry(out);
}

/* ERR_DATA_LOSS: the shard is closed. */
static int open_cursor(struct snapshot_out *out)
{
	struct group *group = out->group;
	struct engine *engine = group->store->engine;
	uint8_t kind = KEY_KIND_FIRST_FREE;
	int error = cursor_open(
	    engine, group->shard, slice_of(&kind, 1), slice_of(NULL, 0), &out->read.cursor);
	if (error == ERR_DATA_LOSS)
		return error;
	if (error) {
		/* Too much of it is not in the store yet, or something is short. */
		if (error == ERR_TOO_LARGE)
			engine_checkpoint(engine);
		retry(out);
		return 0;
	}
	ASSERT(cursor_index(out->read.cursor) == group->applied.index);
	out->at = (struct raft_position){group->applied.term, group->applied.index};
	out->time_ms = group->time_ms;
	out->state = OUT_OFFERS;
	offer(out);
	return 0;
}

/* It waits for the rate, and the replica is not to lose its patience meanwhile. That answers with
 * what it wants, or that it knows of none. */
static void tell_alive(struct snapshot_out *out)
{
	/* Where it is lost the next one says so. */
	(void)snapshot_tell(out->snapshots, out->group->shard,
	    &(struct snapshot_message){.kind = SNAPSHOT_ALIVE,
	        .id = out->id,
	        .from = out->group->self,
	        .to = out->replica});
}

static void fired(struct io_timer *timer)
{
	struct snapshot_out *out = CONTAINER_OF(timer, struct snapshot_out, timer);
	struct snapshots *snapshots = out->snapshots;
	uint64_t end_ns = out->heard_ns + snapshots->patience_ns;
	if (io_now_ns(snapshots->io) >= end_ns) {
		if (out->state == OUT_LINGERS)
			end(out);
		else
			fail(out);
		return;
	}
	if (is_in_the_way(out)) {
		fail(out);
		return;
	}
	rest(out);
	out->full = false;
	if (out->state == OUT_STREAMS && list_linked(&out->ready_link))
		tell_alive(out);
	if (out->state == OUT_OPENS && open_cursor(out)) {
		fail(out);
		return;
	}
	if (out->state == OUT_OFFERS && out->owes_offer)
		offer(out);
	make_ready(out);
	snapshot_pump(snapshots);
}

static int take_place(struct snapshot_out *out)
{
	struct snapshots *snapshots = out->snapshots;
	snapshots->figures.sending_waits--;
	snapshots->figures.sending++;
	out->state = OUT_OPENS;
	out->heard_ns = io_now_ns(snapshots->io);
	rest(out);
	return open_cursor(out);
}

void snapshot_out_next(struct snapshots *snapshots)
{
	while (snapshots->figures.sending_waits > 0 &&
	       snapshots->figures.sending < snapshots->streams_max) {
		LIST_FOR_EACH(node, &snapshots->out)
		{
			struct snapshot_out *out = CONTAINER_OF(node, struct snapshot_out, link);
			if (out->state != OUT_QUEUED)
				continue;
			if (take_place(out))
				give_up(out);
			break;
		}
	}
}

static int begin(struct group *group, uint64_t replica)
{
	struct snapshots *snapshots = group->store->snapshots;
	struct snapshot_out *out = mem_zalloc(1, sizeof(*out));
	if (!out)
		return ERR_NOMEM;
	uint64_t name[] = {snapshots->seed, ++snapshots->made, group->self, group->shard};
	*out = (struct snapshot_out){.snapshots = snapshots,
	    .group = group,
	    .replica = replica,
	    .term = group->term,
	    .id = hash_bytes(slice_of(name, sizeof(name)), 0),
	    .owes_offer = true,
	    .timer = {.fired = fired}};
	out->read.id = out->id;
	out->read.op.done = read_done;
	list_init(&out->chunks);
	list_node_init(&out->link);
	list_node_init(&out->group_link);
	list_node_init(&out->ready_link);
	list_push_back(&snapshots->out, &out->link);
	list_push_back(&group->snapshots_out, &out->group_link);
	snapshots->figures.sending_waits++;
	return 0;
}

/* ---- What the machine wants ---- */

static bool find_progress(
    const struct group *group, uint64_t replica, struct raft_progress *ret_progress)
{
	for (uint32_t i = 0; raft_get_progress(group->raft, i, ret_progress); i++)
		if (ret_progress->replica == replica)
			return true;
	return false;
}

static bool lingers_on(struct snapshot_out *out, const struct raft_progress *progress)
{
	const struct group *group = out->group;
	if (progress->match > out->match) {
		out->match = progress->match;
		out->heard_ns = io_now_ns(out->snapshots->io);
	}
	return progress->flow != RAFT_SNAPSHOT && out->match < group->last.index &&
	       group->copied_bytes > group->store->kept_bytes_max;
}

static bool is_wanted(struct snapshot_out *out, const struct raft_status *status)
{
	struct raft_progress progress;
	if (status->role != RAFT_LEADER || status->term != out->term ||
	    !find_progress(out->group, out->replica, &progress))
		return false;
	if (out->state == OUT_LINGERS)
		return lingers_on(out, &progress);
	return progress.flow == RAFT_SNAPSHOT;
}

static bool is_sent_to(const struct group *group, uint64_t replica)
{
	LIST_FOR_EACH(node, &group->snapshots_out)
	if (CONTAINER_OF(node, struct snapshot_out, group_link)->replica == replica)
		return true;
	return false;
}

void snapshot_out_look(struct group *group)
{
	struct raft_status status = raft_status(group->raft);
	group->wants_snapshots = false;
	LIST_FOR_EACH_REMOVABLE(node, &group->snapshots_out)
	{
		struct snapshot_out *out = CONTAINER_OF(node, struct snapshot_out, group_link);
		if (!is_wanted(out, &status))
			end(out);
	}
	struct raft_progress progress;
	for (uint32_t i = 0; raft_get_progress(group->raft, i, &progress); i++) {
		if (status.role != RAFT_LEADER || progress.flow != RAFT_SNAPSHOT ||
		    is_sent_to(group, progress.replica))
			continue;
		if (begin(group, progress.replica))
			group_step(group, (struct raft_event){.kind = RAFT_SNAPSHOT_SENT,
			                      .replica = progress.replica});
	}
	snapshot_out_next(group->store->snapshots);
}

uint64_t snapshot_floor(const struct group *group)
{
	uint64_t floor = UINT64_MAX;
	LIST_FOR_EACH(node, &group->snapshots_out)
	{
		const struct snapshot_out *out =
		    CONTAINER_OF(node, struct snapshot_out, group_link);
		uint64_t needs = out->state == OUT_LINGERS ? out->match : out->at.index;
		if (out->state >= OUT_OFFERS && needs < floor)
			floor = needs;
	}
	return floor;
}

void snapshot_out_drop(struct group *group)
{
	struct list_node *node;
	while ((node = list_first(&group->snapshots_out)))
		end(CONTAINER_OF(node, struct snapshot_out, group_link));
}

/* ---- Sending ---- */

static int send_chunk(struct snapshot_out *out, struct snapshot_message *message)
{
	struct snapshots *snapshots = out->snapshots;
	uint64_t number = out->first;
	struct snapshot_chunk *chunk = NULL;
	LIST_FOR_EACH(node, &out->chunks)
	{
		chunk = CONTAINER_OF(node, struct snapshot_chunk, link);
		if (number++ == out->next)
			break;
	}
	ASSERT(chunk && number == out->next + 1);
	message->kind = SNAPSHOT_CHUNK;
	int error = snapshot_send(snapshots, out->group->shard, message,
	    slice_of(chunk->data, chunk->bytes), chunk->hash);
	if (error)
		return error;
	out->next++;
	snapshots->figures.chunks_sent++;
	snapshots->figures.chunk_bytes_sent += chunk->bytes;
	token_bucket_take(&snapshots->bucket, chunk->bytes);
	return 0;
}

/* Who was never told of members has those that its owner gave it. */
static int send_end(struct snapshot_out *out, struct snapshot_message *message)
{
	struct snapshot_read *read = &out->read;
	if (read->members_bytes == 0) {
		struct writer writer = writer_of(read->members, sizeof(read->members));
		raft_membership_write(&writer, out->group->initial);
		ASSERT(!writer.failed);
		read->members_bytes = writer_used(&writer);
	}
	message->kind = SNAPSHOT_END;
	message->number = out->next;
	message->pairs = read->pairs;
	message->bytes = read->bytes;
	message->data = slice_of(read->members, read->members_bytes);
	int error = snapshot_tell(out->snapshots, out->group->shard, message);
	out->end_sent = !error;
	return error;
}

static void send_next(struct snapshot_out *out)
{
	struct snapshot_message message = {
	    .id = out->id, .from = out->group->self, .to = out->replica};
	int error = out->next < out->first + out->count ? send_chunk(out, &message)
	                                                : send_end(out, &message);
	if (error == ERR_CLOSED) {
		out->state = OUT_OFFERS;
		cut_off(out);
	}
	out->full = error == ERR_FULL || error == ERR_NOMEM;
	if (error == ERR_NOMEM)
		retry(out);
	make_ready(out);
}

void snapshot_pump(struct snapshots *snapshots)
{
	struct token_bucket *bucket = &snapshots->bucket;
	while (!list_empty(&snapshots->ready) &&
	       token_bucket_is_open(bucket, io_now_ns(snapshots->io)))
		send_next(CONTAINER_OF(
		    list_pop_front(&snapshots->ready), struct snapshot_out, ready_link));
	if (!list_empty(&snapshots->ready))
		io_timer_set(snapshots->io, &snapshots->refill, token_bucket_opens_ns(bucket));
}

/* ---- What comes back ---- */

static void on_want(struct snapshot_out *out, const struct snapshot_message *message)
{
	struct snapshots *snapshots = out->snapshots;
	if (out->state != OUT_OFFERS && out->state != OUT_STREAMS)
		return;
	/* It has forgotten what it had, or speaks of what it was not sent. */
	if (message->number < out->first || message->number > out->first + out->count) {
		fail(out);
		return;
	}
	out->heard_ns = io_now_ns(snapshots->io);
	if (message->number > out->first)
		out->agains = 0;
	if (out->state == OUT_STREAMS && message->again) {
		snapshots->figures.chunks_again++;
		if (++out->agains > AGAINS_MAX) {
			fail(out);
			return;
		}
	}
	if (out->state == OUT_OFFERS && out->first + out->count > 0)
		snapshots->figures.resumed++;
	out->state = OUT_STREAMS;
	while (out->first < message->number)
		pop_chunk(out);
	if (message->again || out->next < message->number) {
		out->next = message->number;
		out->end_sent = false;
	}
	read_on(out);
	make_ready(out);
	snapshot_pump(snapshots);
}

static void on_result(struct snapshot_out *out, const struct snapshot_message *message)
{
	if (!has_place(out))
		return;
	if (message->result == 0 || message->result == ERR_EXISTS)
		sent(out);
	else
		fail(out);
}

void snapshot_out_receive(struct group *group, const struct snapshot_message *message)
{
	/* Its patience ends where an answer is lost. */
	if (message->damaged)
		return;
	LIST_FOR_EACH(node, &group->snapshots_out)
	{
		struct snapshot_out *out = CONTAINER_OF(node, struct snapshot_out, group_link);
		if (out->id != message->id || out->replica != message->from)
			continue;
		if (message->kind == SNAPSHOT_WANT)
			on_want(out, message);
		else
			on_result(out, message);
		return;
	}
}

/* ---- Links ---- */

/* A node has a link for each of its cores, and which one this is only the transport knows: where it
 * was another one the replica says what it wants, and nothing is lost. */
void snapshot_out_link(struct snapshots *snapshots, uint16_t node, bool up)
{
	LIST_FOR_EACH(link, &snapshots->out)
	{
		struct snapshot_out *out = CONTAINER_OF(link, struct snapshot_out, link);
		if (snapshot_node(out->replica) != node)
			continue;
		if (out->state == OUT_STREAMS && !up) {
			list_remove(&out->ready_link);
			out->state = OUT_OFFERS;
		}
		if (out->state == OUT_OFFERS && (!up || out->owes_offer))
			offer(out);
	}
}

void snapshot_out_room(struct snapshots *snapshots, uint16_t node)
{
	LIST_FOR_EACH(link, &snapshots->out)
	{
		struct snapshot_out *out = CONTAINER_OF(link, struct snapshot_out, link);
		if (!out->full || snapshot_node(out->replica) != node)
			continue;
		out->full = false;
		if (out->state == OUT_OFFERS && out->owes_offer)
			offer(out);
		make_ready(out);
	}
	snapshot_pump(snapshots);
}
