/* What nodes send in snapshots, and how fast: from each core to core 0 of its node, from there to
 * who leads the directory, which says it with the cluster's status. Lost news are followed by
 * others. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "server/cluster_control.h"

/* The rate is that of so many reports: chunks are few where it is low. */
static uint64_t rate_of(struct cluster_pace *pace, uint64_t now_ns, uint64_t bytes)
{
	uint32_t at = pace->count % CLUSTER_PACE_SAMPLES;
	uint32_t oldest = pace->count < CLUSTER_PACE_SAMPLES ? 0 : at;
	struct cluster_pace_sample since =
	    pace->count == 0 ? (struct cluster_pace_sample){now_ns, bytes} : pace->samples[oldest];
	pace->samples[at] = (struct cluster_pace_sample){now_ns, bytes};
	pace->count++;
	if (now_ns == since.at_ns)
		return 0;
	return (uint64_t)((__uint128_t)(bytes - since.bytes) * NS_PER_S / (now_ns - since.at_ns));
}

/* ---- From a core to core 0 ---- */

struct moves_post {
	struct cluster_post post;
	uint32_t core;
	struct cluster_moves moves;
};

static void tell(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	struct cluster_moves all = {.bytes = 0};
	uint8_t bytes[CLUSTER_MOVES_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	for (uint32_t i = 0; i < core->options->self.cores; i++) {
		all.bytes += control->own_moves[i].bytes;
		all.bytes_per_s += control->own_moves[i].bytes_per_s;
		all.snapshots += control->own_moves[i].snapshots;
	}
	cluster_moves_write(&out, &all);
	int error = cluster_moves_told(control, core->options->self.node, writer_view(&out));
	ASSERT(!error);
	if (!control->leads)
		cluster_tell_directory(core, CLUSTER_KIND_MOVES, writer_view(&out));
}

static void arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct moves_post *news = CONTAINER_OF(post, struct moves_post, post);
	struct cluster_control *control = core->control;
	if (control && !core->closing) {
		control->own_moves[news->core] = news->moves;
		if (news->core == core->number)
			tell(control);
	}
	mem_free(news);
}

void cluster_moves_tick(struct cluster_core *core)
{
	if (core->moves_ticks++ % CLUSTER_MOVES_TICKS != 0)
		return;
	struct moves_post *news = mem_zalloc(1, sizeof(*news));
	if (!news)
		return;
	struct snapshots_figures figures = snapshots_figures(core->snapshots);
	news->post.arrived = arrived;
	news->core = core->number;
	news->moves = (struct cluster_moves){.bytes = figures.chunk_bytes_sent,
	    .bytes_per_s = rate_of(&core->pace, io_now_ns(core->io), figures.chunk_bytes_sent),
	    .snapshots = figures.sending + figures.sending_waits};
	core->services.post(core->services.arg, 0, &news->post);
}

/* ---- What nodes have said ---- */

/* The node's, or the one that was told longest ago: there are no more nodes than places. */
static struct cluster_moves_seen *place_of(struct cluster_control *control, uint16_t node)
{
	struct cluster_moves_seen *oldest = &control->moves[0];
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		struct cluster_moves_seen *seen = &control->moves[i];
		if (seen->node == node)
			return seen;
		if (seen->at_ns < oldest->at_ns)
			oldest = seen;
	}
	return oldest;
}

int cluster_moves_told(struct cluster_control *control, uint16_t node, struct slice bytes)
{
	struct cluster_moves moves;
	if (cluster_moves_read(bytes, &moves))
		return ERR_PROTOCOL;
	*place_of(control, node) = (struct cluster_moves_seen){
	    .node = node, .at_ns = io_now_ns(control->core->io), .moves = moves};
	return 0;
}

void cluster_look_at_moves(const struct cluster_control *control, struct cluster_moves *moves)
{
	const struct cluster_map *map = control->core->map;
	uint64_t now_ns = io_now_ns(control->core->io);
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		const struct cluster_moves_seen *seen = &control->moves[i];
		const struct cluster_node *node = cluster_map_node(map, seen->node);
		if (node && now_ns - seen->at_ns <= CLUSTER_SEEN_MS * NS_PER_MS)
			moves[node - map->nodes] = seen->moves;
	}
}
