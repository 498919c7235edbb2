#include "replication/snapshot.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "replication/snapshot_parts.h"

#include <sys/uio.h>

static void refilled(struct io_timer *timer)
{
	snapshot_pump(CONTAINER_OF(timer, struct snapshots, refill));
}

static uint64_t burst_of(uint64_t bytes_per_s)
{
	return bytes_per_s / SNAPSHOT_BURSTS_PER_S + 1;
}

int snapshots_new(const struct snapshots_options *options, struct snapshots **ret_snapshots)
{
	ASSERT(options->io && options->transport.send);
	struct snapshots *snapshots = mem_zalloc(1, sizeof(*snapshots));
	if (!snapshots)
		return ERR_NOMEM;
	snapshots->io = options->io;
	snapshots->transport = options->transport;
	snapshots->seed = options->seed;
	snapshots->streams_max = options->streams_max ? options->streams_max : SNAPSHOT_STREAMS_MAX;
	snapshots->patience_ns =
	    (options->patience_ms ? options->patience_ms : SNAPSHOT_PATIENCE_MS) * NS_PER_MS;
	list_init(&snapshots->out);
	list_init(&snapshots->ready);
	list_init(&snapshots->leaving);
	list_init(&snapshots->in);
	snapshots->refill.fired = refilled;
	uint64_t rate = options->bytes_per_s ? options->bytes_per_s : SNAPSHOT_BYTES_PER_S_DEFAULT;
	token_bucket_init(&snapshots->bucket, io_now_ns(options->io), rate, burst_of(rate));
	*ret_snapshots = snapshots;
	return 0;
}

void snapshots_free(struct snapshots *snapshots)
{
	if (!snapshots)
		return;
	ASSERT(list_empty(&snapshots->out) && list_empty(&snapshots->leaving));
	ASSERT(list_empty(&snapshots->in));
	io_timer_cancel(snapshots->io, &snapshots->refill);
	mem_free(snapshots);
}

void snapshots_set_rate(struct snapshots *snapshots, uint64_t bytes_per_s)
{
	struct token_bucket *bucket = &snapshots->bucket;
	if (bucket->per_s == bytes_per_s)
		return;
	token_bucket_set(bucket, io_now_ns(snapshots->io), bytes_per_s, burst_of(bytes_per_s));
	/* The timer was set for the rate before. */
	if (!list_empty(&snapshots->ready))
		io_timer_set(snapshots->io, &snapshots->refill, io_now_ns(snapshots->io));
}

/* ---- Messages ---- */

int snapshot_send(struct snapshots *snapshots, uint32_t shard,
    const struct snapshot_message *message, struct slice body, uint64_t hash)
{
	uint8_t head[SNAPSHOT_HEAD_BYTES_MAX];
	struct writer writer = writer_of(head, sizeof(head));
	snapshot_head_write(&writer, message, hash);
	ASSERT(!writer.failed);
	struct iovec iov[] = {{.iov_base = head, .iov_len = writer_used(&writer)},
	    {.iov_base = (void *)(uintptr_t)body.data, .iov_len = body.bytes}};
	const struct snapshot_transport *transport = &snapshots->transport;
	int error = transport->send(transport->arg, shard, message->to, iov, 2);
	if (!error)
		snapshots->figures.bytes_sent += iov[0].iov_len + iov[1].iov_len;
	return error;
}

int snapshot_tell(
    struct snapshots *snapshots, uint32_t shard, const struct snapshot_message *message)
{
	uint8_t body[SNAPSHOT_BODY_BYTES_MAX];
	struct writer writer = writer_of(body, sizeof(body));
	snapshot_body_write(&writer, message);
	ASSERT(!writer.failed);
	struct slice view = writer_view(&writer);
	return snapshot_send(
	    snapshots, shard, message, view, snapshot_hash(message->kind, message->id, view));
}

uint16_t snapshot_node(uint64_t replica)
{
	return (uint16_t)(replica & UINT16_MAX);
}

void snapshots_receive(struct snapshots *snapshots, uint16_t node, struct group_store *store,
    uint32_t shard, struct slice bytes)
{
	struct snapshot_message message;
	if (snapshot_message_read(bytes, &message) || snapshot_node(message.from) != node)
		return;
	struct group *group = group_find(store, shard);
	if (group && group->raft && !group_is_over(group) && message.to == group->self) {
		if (snapshot_is_senders(message.kind))
			snapshot_in_receive(group, &message);
		else
			snapshot_out_receive(group, &message);
		return;
	}
	/* Where the answer is lost, its patience ends the stream. */
	if (snapshot_is_senders(message.kind))
		(void)snapshot_tell(snapshots, shard,
		    &(struct snapshot_message){.kind = SNAPSHOT_RESULT,
		        .id = message.id,
		        .from = message.to,
		        .to = message.from,
		        .result = ERR_NOT_FOUND});
}

void snapshots_link_up(struct snapshots *snapshots, uint16_t node)
{
	snapshot_out_link(snapshots, node, true);
}

void snapshots_link_down(struct snapshots *snapshots, uint16_t node)
{
	snapshot_in_cut(snapshots, node);
	snapshot_out_link(snapshots, node, false);
}

void snapshots_room(struct snapshots *snapshots, uint16_t node)
{
	snapshot_in_room(snapshots, node);
	snapshot_out_room(snapshots, node);
}

/* ---- For groups ---- */

void snapshot_look(struct group *group)
{
	if (!group->store->snapshots)
		return;
	if (group->wants_snapshots || !list_empty(&group->snapshots_out))
		snapshot_out_look(group);
	if (group->snapshot_in)
		snapshot_in_look(group);
}

bool snapshot_is_busy(const struct group *group)
{
	return group->store->snapshots &&
	       (group->wants_snapshots || group->snapshot_in || !list_empty(&group->snapshots_out));
}

void snapshot_drop(struct group *group)
{
	if (!group->store->snapshots)
		return;
	snapshot_out_drop(group);
	snapshot_in_drop(group);
}

bool snapshot_reads(const struct snapshots *snapshots)
{
	return snapshots && !list_empty(&snapshots->leaving);
}

void snapshot_forget(struct group *group)
{
	if (group->snapshot_in)
		snapshot_in_forget(group);
}

/* ---- Figures ---- */

void snapshot_hold(struct snapshots *snapshots, size_t bytes)
{
	struct snapshots_figures *figures = &snapshots->figures;
	figures->bytes_held += bytes;
	if (figures->bytes_held > figures->bytes_held_max)
		figures->bytes_held_max = figures->bytes_held;
}

void snapshot_let_go(struct snapshots *snapshots, size_t bytes)
{
	ASSERT(snapshots->figures.bytes_held >= bytes);
	snapshots->figures.bytes_held -= bytes;
}

struct snapshots_figures snapshots_figures(const struct snapshots *snapshots)
{
	return snapshots->figures;
}
