/* A node whose disk is full leads nothing that another one can lead: it would refuse every change,
 * where a replica that has room could make it. And it is given no replicas: they would not fit.
 *
 * Each core looks at its own stores, and says to all that it has links to whether they have room,
 * again and again while they have none: who is not told so any more is taken to have room. What a
 * core says, of itself or of another node, goes to core 0 of its node, too: who plans is there, has
 * no links to other cores than those that it shares shards with, and asks for all of a node. Who
 * leads and has none hands its shards over to voters that have some, and have all of the log
 * (cluster_shards.c: lead); who plans gives it nothing to lead (server/meta/placement.h). Room
 * counts when it has lasted, so that nothing goes to and fro at the edge. Where nobody has room all
 * stays as it is, and changes are refused.
 */
#include <sys/uio.h>

#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_control.h"
#include "storage/engine.h"

enum {
	AGAIN_MS = 1000,
	/* What was said counts for so long: one word may be lost. */
	SAID_MS = 2500,
	LASTS_MS = 5000,
};

static bool has_room(const struct cluster_core *core)
{
	for (uint32_t i = 0; i < core->options->self.stores; i++)
		if (core->stores[i] && !engine_writable(group_store_engine(core->stores[i])))
			return false;
	return true;
}

/* ---- To core 0 ---- */

struct full_post {
	struct cluster_post post;
	uint16_t node;
};

/* The node's place, or the one that counts shortest: there are no more nodes than places. */
static struct cluster_full_node *place_of(struct cluster_control *control, uint16_t node)
{
	struct cluster_full_node *oldest = &control->full[0];
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		struct cluster_full_node *full = &control->full[i];
		if (full->node == node)
			return full;
		if (full->until_ns < oldest->until_ns)
			oldest = full;
	}
	return oldest;
}

static void arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct full_post *news = CONTAINER_OF(post, struct full_post, post);
	if (core->control && !core->closing)
		*place_of(core->control, news->node) = (struct cluster_full_node){
		    .node = news->node, .until_ns = io_now_ns(core->io) + SAID_MS * NS_PER_MS};
	mem_free(news);
}

static void note(const struct cluster_core *core, uint16_t node)
{
	struct full_post *news = mem_zalloc(1, sizeof(*news));
	/* It is said again. */
	if (!news)
		return;
	news->post.arrived = arrived;
	news->node = node;
	core->services.post(core->services.arg, 0, &news->post);
}

/* ---- To other nodes ---- */

static void say(const struct cluster_core *core)
{
	uint8_t bytes[1];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_full_write(&out, core->full);
	struct iovec iov = {.iov_base = bytes, .iov_len = writer_used(&out)};
	LIST_FOR_EACH(list_node, &core->links)
	{
		const struct cluster_link *link =
		    CONTAINER_OF(list_node, struct cluster_link, node_link);
		if (!link->up || link->removed)
			continue;
		int lost = peer_send(link->peer, PEER_URGENT, CLUSTER_KIND_FULL, &iov, 1);
		/* It is said again, or forgotten in time. */
		(void)lost;
	}
}

void cluster_full_look(struct cluster_core *core)
{
	uint64_t now_ns = io_now_ns(core->io);
	bool before = core->full;
	if (!has_room(core))
		core->full_until_ns = now_ns + LASTS_MS * NS_PER_MS;
	core->full = core->full_until_ns > now_ns;
	if (core->full != before)
		LOG_LINE(core->full ? LEVEL_WARNING : LEVEL_INFO,
		    core->full ? "full_disk_leads_no_more" : "disk_may_lead_again",
		    FIELD_U64("core", core->number));
	bool again = core->full && now_ns >= core->full_said_ns + AGAIN_MS * NS_PER_MS;
	if (core->full == before && !again)
		return;
	core->full_said_ns = now_ns;
	if (core->full)
		note(core, core->options->self.node);
	say(core);
}

int cluster_full_told(struct cluster_core *core, struct cluster_link *link, struct slice bytes)
{
	bool full;
	if (cluster_full_read(bytes, &full))
		return ERR_PROTOCOL;
	link->full_until_ns = full ? io_now_ns(core->io) + SAID_MS * NS_PER_MS : 0;
	if (full)
		note(core, link->node);
	return 0;
}

bool cluster_is_full(const struct cluster_core *core, uint16_t node, uint32_t shard)
{
	if (node == core->options->self.node)
		return core->full;
	const struct cluster_link *link = cluster_link_for(core, node, shard);
	return link && link->full_until_ns > io_now_ns(core->io);
}

bool cluster_node_is_full(const struct cluster_control *control, uint16_t node)
{
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++)
		if (control->full[i].node == node)
			return control->full[i].until_ns > io_now_ns(control->core->io);
	return false;
}
