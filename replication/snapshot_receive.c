/* A replica's side of a snapshot. */
#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/mutation.h"
#include "replication/snapshot_parts.h"
#include "storage/install.h"
#include "storage/keys.h"

#include <string.h>

#define RETRY_NS (20 * NS_PER_MS)

enum in_state { IN_WAITS, IN_RECEIVES, IN_INSTALLS };

/* A chunk, or the rest of it, that there was no room for. */
struct held {
	struct list_node link;
	size_t bytes;
	size_t done;
	uint8_t data[];
};

struct snapshot_in {
	struct snapshots *snapshots;
	struct group *group;
	struct list_node link;
	enum in_state state;
	uint64_t id, from, term;
	struct raft_position at;
	int64_t time_ms;

	struct engine_install *install;
	uint64_t next; /* the chunk that comes next; those that are held have come */
	struct list held;
	uint64_t held_count;
	uint64_t pairs, bytes; /* that were put */

	bool ended; /* END has come */
	uint64_t pairs_all, bytes_all;
	struct raft_membership members;

	/* A WANT is to be sent; behind what is held where it asks for something again. */
	bool owes, again;
	bool asked; /* for chunk `next`: what comes before it was under way */
	uint64_t heard_ns;
	uint64_t cut_ns; /* since then a link to its node is gone, perhaps this one's; 0: none is */
	struct io_timer timer;
};

/* ---- Answers ---- */

static void reply(struct group *group, const struct snapshot_message *to, int result)
{
	/* Where it is lost, the sender's patience ends. */
	(void)snapshot_tell(group->store->snapshots, group->shard,
	    &(struct snapshot_message){.kind = SNAPSHOT_RESULT,
	        .id = to->id,
	        .from = group->self,
	        .to = to->from,
	        .result = result});
}

static void answer(const struct snapshot_in *in, int result)
{
	reply(in->group, &(struct snapshot_message){.id = in->id, .from = in->from}, result);
}

static int send_want(const struct snapshot_in *in, bool again)
{
	return snapshot_tell(in->snapshots, in->group->shard,
	    &(struct snapshot_message){.kind = SNAPSHOT_WANT,
	        .id = in->id,
	        .from = in->group->self,
	        .to = in->from,
	        .number = in->next - in->held_count,
	        .again = again});
}

static void tell_want(struct snapshot_in *in)
{
	if (!in->owes || (in->again && in->held_count > 0))
		return;
	int error = send_want(in, in->again);
	if (error == ERR_NOMEM)
		io_timer_set(
		    in->snapshots->io, &in->timer, io_now_ns(in->snapshots->io) + RETRY_NS);
	/* Over the next link it comes as an answer to the offer. */
	in->owes = error == ERR_FULL || error == ERR_NOMEM;
	in->again &= in->owes;
}

static void want(struct snapshot_in *in, bool again)
{
	in->owes = true;
	in->again |= again;
	tell_want(in);
}

/* ---- Beginning and end ---- */

static void pop_held(struct snapshot_in *in)
{
	struct held *held = CONTAINER_OF(list_pop_front(&in->held), struct held, link);
	in->held_count--;
	snapshot_let_go(in->snapshots, held->bytes);
	mem_free(held);
}

static void end(struct snapshot_in *in)
{
	struct snapshots_figures *figures = &in->snapshots->figures;
	if (in->state == IN_WAITS)
		figures->receiving_waits--;
	else
		figures->receiving--;
	while (in->held_count > 0)
		pop_held(in);
	engine_install_cancel(in->install);
	io_timer_cancel(in->snapshots->io, &in->timer);
	list_remove(&in->link);
	in->group->snapshot_in = NULL;
	mem_free(in);
}

static void fail(struct snapshot_in *in, int error)
{
	in->snapshots->figures.install_failures++;
	answer(in, error);
	end(in);
}

static void room(void *arg);

static int take_place(struct snapshot_in *in)
{
	struct snapshots *snapshots = in->snapshots;
	struct engine_install_options options = {.room = room, .arg = in};
	int error = engine_install_begin(
	    in->group->store->engine, in->group->shard, &options, &in->install);
	if (error)
		return error == ERR_EXISTS ? ERR_AGAIN : error;
	snapshots->figures.receiving_waits--;
	snapshots->figures.receiving++;
	in->state = IN_RECEIVES;
	in->heard_ns = io_now_ns(snapshots->io);
	return 0;
}

/* Those whose sender is there, or those whose sender may not be. */
static void give_places(struct snapshots *snapshots, bool cut)
{
	LIST_FOR_EACH_REMOVABLE(node, &snapshots->in)
	{
		struct snapshot_in *in = CONTAINER_OF(node, struct snapshot_in, link);
		if (snapshots->figures.receiving_waits == 0 ||
		    snapshots->figures.receiving >= snapshots->streams_max)
			return;
		if (in->state != IN_WAITS || (in->cut_ns != 0) != cut)
			continue;
		int error = take_place(in);
		if (error)
			fail(in, error);
		else
			want(in, true);
	}
}

static void next_places(struct snapshots *snapshots)
{
	give_places(snapshots, false);
	give_places(snapshots, true);
}

/* Until its patience ends, or it is to be seen whether it is in the way of others. */
static void rest(struct snapshot_in *in)
{
	const struct snapshots *snapshots = in->snapshots;
	uint64_t end_ns = in->heard_ns + snapshots->patience_ns;
	uint64_t look_ns = io_now_ns(snapshots->io) + SNAPSHOT_CUT_MS * NS_PER_MS;
	io_timer_set(
	    snapshots->io, &in->timer, in->cut_ns != 0 && look_ns < end_ns ? look_ns : end_ns);
}

static void heard(struct snapshot_in *in)
{
	in->heard_ns = io_now_ns(in->snapshots->io);
	in->cut_ns = 0;
}

/* Others could go on in its place. Whether it was its own link that broke is seen when something is
 * said to its sender. */
static bool is_in_the_way(struct snapshot_in *in)
{
	const struct snapshots *snapshots = in->snapshots;
	if (in->state != IN_RECEIVES || in->cut_ns == 0 ||
	    snapshots->figures.receiving_waits == 0 ||
	    io_now_ns(snapshots->io) < in->cut_ns + SNAPSHOT_CUT_MS * NS_PER_MS)
		return false;
	if (send_want(in, false) == ERR_CLOSED)
		return true;
	in->cut_ns = 0;
	return false;
}

static void fired(struct io_timer *timer)
{
	struct snapshot_in *in = CONTAINER_OF(timer, struct snapshot_in, timer);
	struct snapshots *snapshots = in->snapshots;
	if (in->state == IN_INSTALLS)
		return;
	if (io_now_ns(snapshots->io) < in->heard_ns + snapshots->patience_ns &&
	    !is_in_the_way(in)) {
		rest(in);
		tell_want(in);
		return;
	}
	fail(in, ERR_TIMEOUT);
	next_places(snapshots);
}

/* ---- The install ---- */

static void installed(struct snapshot_in *in)
{
	struct group *group = in->group;
	group_tell_lost(group);
	group_flights_replace(group, (struct group_position){in->at.term, in->at.index});
	group->applied = group->base;
	group->commit = in->at.index;
	if (in->time_ms > group->time_ms)
		group->time_ms = in->time_ms;
	group_step(group,
	    (struct raft_event){.kind = RAFT_INSTALLED, .at = in->at, .membership = &in->members});
	group_look_at_members(group);
	in->snapshots->figures.installed++;
	if (group->events->installed)
		group->events->installed(group->arg, group->applied);
	group_reach_answers(group);
}

/* Whatever was durable meanwhile was not looked at. */
static void not_installed(struct group *group)
{
	group_step(group, (struct raft_event){.kind = RAFT_INSTALL_FAILED});
	if (engine_shard_closed(group->store->engine, group->shard)) {
		group_close(group);
		return;
	}
	group_step(group, (struct raft_event){.kind = RAFT_STORED,
	                      .index = engine_durable(group->store->engine, group->shard),
	                      .epoch = group->epoch});
	group_advance(group, engine_durable(group->store->engine, group->shard));
}

static void install_done(void *arg, int result)
{
	struct snapshot_in *in = arg;
	struct snapshots *snapshots = in->snapshots;
	in->group->installing = false;
	if (in->group->state == GROUP_REMOVED) {
		end(in);
		next_places(snapshots);
		return;
	}
	if (result)
		not_installed(in->group);
	else
		installed(in);
	if (result) {
		fail(in, result == ERR_EXISTS ? ERR_AGAIN : result);
	} else {
		answer(in, 0);
		end(in);
	}
	next_places(snapshots);
}

/* All is there: does the machine want it still? */
static void finish(struct snapshot_in *in)
{
	struct group *group = in->group;
	/* When it is installed nothing may fail any more. */
	int error = group_make_places_for(group, &in->members);
	if (!error)
		error = raft_install(group->raft, group_now_ms(group), in->from, in->term, in->at);
	group_act(group);
	if (error) {
		fail(in, error);
		group_advance(group, engine_durable(group->store->engine, group->shard));
		return;
	}
	struct engine_install *install = in->install;
	in->state = IN_INSTALLS;
	in->install = NULL;
	group->installing = true;
	engine_install_finish(install, in->at.index, in->at.term, install_done, in);
}

static int put_members(struct snapshot_in *in)
{
	uint8_t kind = KEY_KIND_MEMBERS, span[RAFT_MEMBERSHIP_BYTES_MAX];
	struct writer writer = writer_of(span, sizeof(span));
	if (in->pairs != in->pairs_all || in->bytes != in->bytes_all)
		return ERR_CORRUPT;
	raft_membership_write(&writer, &in->members);
	ASSERT(!writer.failed);
	return engine_install_put(in->install, slice_of(&kind, 1), writer_view(&writer));
}

/* ERR_AGAIN: what is left of the chunk is for later. */
static int put_pairs(struct snapshot_in *in, struct reader *reader)
{
	while (reader_left(reader) > 0) {
		struct reader before = *reader;
		struct slice key, value;
		int error = snapshot_pair_read(reader, &key, &value);
		/* Breaks: all that was sent is put in. */
		if (!error && !(in->pairs == 1 && MUTATION(snapshot_loses_a_pair)))
			error = engine_install_put(in->install, key, value);
		if (error) {
			*reader = before;
			return error;
		}
		in->pairs++;
		in->bytes += key.bytes + value.bytes;
	}
	return 0;
}

static int put_held(struct snapshot_in *in)
{
	while (in->held_count > 0) {
		struct held *held = CONTAINER_OF(list_first(&in->held), struct held, link);
		struct reader reader =
		    reader_of(slice_of(held->data + held->done, held->bytes - held->done));
		int error = put_pairs(in, &reader);
		held->done = held->bytes - reader_left(&reader);
		if (error)
			return error;
		pop_held(in);
		want(in, false);
	}
	return 0;
}

/* As far as there is room. */
static void put_all(struct snapshot_in *in)
{
	int error = put_held(in);
	if (!error)
		tell_want(in);
	if (!error && in->ended) {
		error = put_members(in);
		if (!error) {
			finish(in);
			return;
		}
	}
	if (error && error != ERR_AGAIN)
		fail(in, error == ERR_EXISTS ? ERR_AGAIN : error);
}

static void room(void *arg)
{
	struct snapshot_in *in = arg;
	struct snapshots *snapshots = in->snapshots;
	put_all(in);
	next_places(snapshots);
}

/* ---- What comes ---- */

/* What the log has already is not to be installed: the machine only hears that it is committed. */
static bool has(const struct group *group, const struct raft_status *status,
    const struct snapshot_message *message)
{
	uint64_t index = message->at.index, term;
	if (index <= status->commit)
		return true;
	if (index > status->last.index)
		return false;
	(void)group_flight_get(group, index, &term);
	return term == message->at.term;
}

static int begin(struct group *group, const struct snapshot_message *message)
{
	struct snapshots *snapshots = group->store->snapshots;
	struct snapshot_in *in = mem_zalloc(1, sizeof(*in));
	if (!in)
		return ERR_NOMEM;
	*in = (struct snapshot_in){.snapshots = snapshots,
	    .group = group,
	    .id = message->id,
	    .from = message->from,
	    .term = message->term,
	    .at = message->at,
	    .time_ms = message->time_ms,
	    .heard_ns = io_now_ns(snapshots->io),
	    .timer = {.fired = fired}};
	list_init(&in->held);
	list_node_init(&in->link);
	list_push_back(&snapshots->in, &in->link);
	group->snapshot_in = in;
	snapshots->figures.receiving_waits++;
	rest(in);
	return 0;
}

/* 0: it is answered by what follows, or not at all. */
static int on_offer(struct group *group, const struct snapshot_message *message)
{
	struct snapshot_in *in = group->snapshot_in;
	struct raft_status status = raft_status(group->raft);
	if (message->damaged || message->at.term > message->term)
		return ERR_CORRUPT;
	if (in && in->state == IN_INSTALLS)
		return 0;
	if (message->term < status.term || (in && message->term < in->term))
		return ERR_AGAIN;
	if (in && in->id == message->id && in->from == message->from) {
		heard(in);
		if (in->state == IN_RECEIVES)
			want(in, true);
		return 0;
	}
	if (in)
		end(in);
	if (has(group, &status, message)) {
		int error = raft_install(
		    group->raft, group_now_ms(group), message->from, message->term, message->at);
		ASSERT(error);
		group_act(group);
		group_advance(group, engine_durable(group->store->engine, group->shard));
		return error;
	}
	return begin(group, message);
}

static int hold(struct snapshot_in *in, struct slice rest)
{
	ASSERT(rest.data);
	if (in->held_count >= SNAPSHOT_WINDOW_CHUNKS)
		return ERR_FULL;
	struct held *held = mem_alloc(sizeof(*held) + rest.bytes);
	if (!held)
		return ERR_NOMEM;
	*held = (struct held){.bytes = rest.bytes};
	memcpy(held->data, rest.data, rest.bytes);
	list_node_init(&held->link);
	list_push_back(&in->held, &held->link);
	in->held_count++;
	snapshot_hold(in->snapshots, rest.bytes);
	return 0;
}

static int on_chunk(struct snapshot_in *in, struct slice pairs)
{
	struct reader reader = reader_of(pairs);
	int error = in->held_count > 0 ? ERR_AGAIN : put_pairs(in, &reader);
	if (error == ERR_AGAIN)
		error = hold(in, reader_rest(&reader));
	if (error)
		return error;
	in->snapshots->figures.chunks_received++;
	in->next++;
	if (in->held_count == 0)
		want(in, false);
	return 0;
}

static int on_end(struct snapshot_in *in, const struct snapshot_message *message)
{
	if (raft_membership_read(message->data, &in->members) || in->members.count == 0 ||
	    in->members.count > group_replicas_max(in->group->shard))
		return ERR_CORRUPT;
	in->pairs_all = message->pairs;
	in->bytes_all = message->bytes;
	in->ended = true;
	if (in->held_count == 0)
		put_all(in);
	return 0;
}

/* Of the snapshot that is under way. */
static void on_part(struct snapshot_in *in, const struct snapshot_message *message)
{
	heard(in);
	if (message->kind == SNAPSHOT_ALIVE) {
		want(in, false);
		return;
	}
	if (message->damaged) {
		in->asked = true;
		want(in, true);
		return;
	}
	if (message->number < in->next || in->ended) {
		want(in, false);
		return;
	}
	if (message->number > in->next) {
		if (!in->asked)
			want(in, true);
		in->asked = true;
		return;
	}
	in->asked = false;
	int error =
	    message->kind == SNAPSHOT_CHUNK ? on_chunk(in, message->data) : on_end(in, message);
	if (error)
		fail(in, error == ERR_EXISTS ? ERR_AGAIN : error);
}

void snapshot_in_receive(struct group *group, const struct snapshot_message *message)
{
	struct snapshots *snapshots = group->store->snapshots;
	struct snapshot_in *in = group->snapshot_in;
	if (message->kind == SNAPSHOT_OFFER) {
		int error = on_offer(group, message);
		if (error)
			reply(group, message, error);
	} else if (!in || in->id != message->id || in->from != message->from) {
		reply(group, message, ERR_NOT_FOUND);
	} else if (in->state == IN_RECEIVES) {
		on_part(in, message);
	}
	next_places(snapshots);
}

void snapshot_in_room(struct snapshots *snapshots, uint16_t node)
{
	LIST_FOR_EACH(link, &snapshots->in)
	{
		struct snapshot_in *in = CONTAINER_OF(link, struct snapshot_in, link);
		if (in->state == IN_RECEIVES && snapshot_node(in->from) == node)
			tell_want(in);
	}
}

void snapshot_in_cut(struct snapshots *snapshots, uint16_t node)
{
	LIST_FOR_EACH(link, &snapshots->in)
	{
		struct snapshot_in *in = CONTAINER_OF(link, struct snapshot_in, link);
		if (in->state == IN_INSTALLS || in->cut_ns != 0 || snapshot_node(in->from) != node)
			continue;
		in->cut_ns = io_now_ns(snapshots->io);
		rest(in);
	}
}

void snapshot_in_look(struct group *group)
{
	struct snapshot_in *in = group->snapshot_in;
	if (in->state != IN_INSTALLS && raft_status(group->raft).term > in->term) {
		in->snapshots->figures.install_failures++;
		end(in);
	}
	next_places(group->store->snapshots);
}

void snapshot_in_drop(struct group *group)
{
	if (group->snapshot_in && group->snapshot_in->state != IN_INSTALLS)
		end(group->snapshot_in);
}

void snapshot_in_forget(struct group *group)
{
	end(group->snapshot_in);
}
