/* A core that cannot serve what it leads hands over: its disk is full, and it would refuse every
 * change, or a bundle that its shards have active is not loaded here, and their calls would wait,
 * where another replica has room, or the bundle. A node whose disk is full is given no replicas,
 * either: they would not fit.
 *
 * Each core looks at its own stores and shards, and says to all that it has links to whether it
 * may lead, again and again while it may not: who is not told so any more is taken to be fit. What
 * a core says, of itself or of another node, goes to core 0 of its node, too: who plans is there,
 * has no links to other cores than those that it shares shards with, and asks for all of a node.
 * Who leads and is not fit hands its shards over to voters that are, and have all of the log
 * (cluster_shards.c: lead); who plans gives it nothing to lead (server/meta/placement.h).
 *
 * A bundle is waited for first, since all nodes load one at about the same time. Being fit counts
 * when it has lasted, so that nothing goes to and fro at the edge; who follows does not always know
 * what it lacks, and is tried again. Where nobody is fit all stays as it is.
 */
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_control.h"
#include "storage/engine.h"

/* Loading takes milliseconds. */
enum { LOADS_MS = 2000 };

static bool has_room(const struct cluster_core *core)
{
	for (uint32_t i = 0; i < core->options->self.stores; i++)
		if (core->stores[i] && !engine_writable(group_store_engine(core->stores[i])))
			return false;
	return true;
}

/* Where one core could not load it those behind it were not asked to. Core 0 knows. */
static bool node_lacks_bundle(const struct cluster_core *core)
{
	return core->meta && meta_lacks_bundle(core->meta) && cluster_has_others(core);
}

/* While others may have it. */
static bool lacks_bundle(const struct cluster_core *core)
{
	return node_lacks_bundle(core) ||
	       (core->shards && shards_lack_bundle(core->shards, LOADS_MS * NS_PER_MS) &&
	           cluster_has_others(core));
}

/* ---- To core 0 ---- */

struct unfit_post {
	struct cluster_post post;
	uint16_t node;
	enum cluster_unfit unfit;
};

static uint64_t until(const struct cluster_word *word)
{
	uint64_t until_ns = word->silent_until_ns;
	if (until_ns < word->no_room_until_ns)
		until_ns = word->no_room_until_ns;
	return until_ns < word->no_bundle_until_ns ? word->no_bundle_until_ns : until_ns;
}

struct cluster_word *cluster_word_place(struct cluster_control *control, uint16_t node)
{
	struct cluster_word *oldest = &control->words[0];
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++) {
		struct cluster_word *word = &control->words[i];
		if (word->node == node)
			return word;
		if (until(word) < until(oldest))
			oldest = word;
	}
	*oldest = (struct cluster_word){.node = node};
	return oldest;
}

const struct cluster_word *cluster_word_of(const struct cluster_control *control, uint16_t node)
{
	for (size_t i = 0; i < CLUSTER_REPLICAS_MAX; i++)
		if (control->words[i].node == node)
			return &control->words[i];
	return NULL;
}

static void arrived(struct cluster_post *post, struct cluster_core *core)
{
	struct unfit_post *news = CONTAINER_OF(post, struct unfit_post, post);
	if (core->control && !core->closing) {
		struct cluster_word *word = cluster_word_place(core->control, news->node);
		uint64_t until_ns = io_now_ns(core->io) + CLUSTER_WORD_MS * NS_PER_MS;
		if (news->unfit == CLUSTER_NO_ROOM)
			word->no_room_until_ns = until_ns;
		else
			word->no_bundle_until_ns = until_ns;
	}
	mem_free(news);
}

static void note(const struct cluster_core *core, uint16_t node, enum cluster_unfit unfit)
{
	struct unfit_post *news = mem_zalloc(1, sizeof(*news));
	/* It is said again. */
	if (!news)
		return;
	news->post.arrived = arrived;
	news->node = node;
	news->unfit = unfit;
	core->services.post(core->services.arg, 0, &news->post);
}

/* ---- To the other cores ---- */

static void one_lacks(struct cluster_post *post, struct cluster_core *core)
{
	core->no_bundle_until_ns = io_now_ns(core->io) + CLUSTER_WORD_MS * NS_PER_MS;
	mem_free(CONTAINER_OF(post, struct unfit_post, post));
}

/* What core 0 knows of the directory is so for all of them. */
static void tell_cores(const struct cluster_core *core)
{
	for (uint32_t i = 1; i < core->options->self.cores; i++) {
		struct unfit_post *news = mem_zalloc(1, sizeof(*news));
		/* It is said again. */
		if (!news)
			return;
		news->post.arrived = one_lacks;
		core->services.post(core->services.arg, i, &news->post);
	}
}

/* ---- To other nodes ---- */

static void say(const struct cluster_core *core)
{
	uint8_t bytes[1];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_unfit_write(&out, core->unfit);
	/* What is lost is said again, or forgotten in time. */
	cluster_tell_linked(core, CLUSTER_KIND_UNFIT, writer_view(&out));
}

static void tell_operator(const struct cluster_core *core, enum cluster_unfit before)
{
	static const char *const ends[] = {
	    "", "full_disk_leads_no_more", "without_bundle_leads_no_more"};
	static const char *const over[] = {"", "disk_may_lead_again", "bundle_may_lead_again"};
	LOG_LINE(core->unfit ? LEVEL_WARNING : LEVEL_INFO,
	    core->unfit ? ends[core->unfit] : over[before], FIELD_U64("core", core->number));
}

void cluster_unfit_look(struct cluster_core *core)
{
	uint64_t now_ns = io_now_ns(core->io);
	enum cluster_unfit before = core->unfit;
	if (!has_room(core))
		core->no_room_until_ns = now_ns + CLUSTER_WORD_LASTS_MS * NS_PER_MS;
	if (lacks_bundle(core))
		core->no_bundle_until_ns = now_ns + CLUSTER_WORD_LASTS_MS * NS_PER_MS;
	core->unfit = core->no_room_until_ns > now_ns     ? CLUSTER_NO_ROOM
	              : core->no_bundle_until_ns > now_ns ? CLUSTER_NO_BUNDLE
	                                                  : CLUSTER_FIT;
	if (core->unfit != before)
		tell_operator(core, before);
	bool again =
	    core->unfit && now_ns >= core->unfit_said_ns + CLUSTER_WORD_AGAIN_MS * NS_PER_MS;
	if (core->unfit == before && !again)
		return;
	core->unfit_said_ns = now_ns;
	if (core->unfit)
		note(core, core->options->self.node, core->unfit);
	if (node_lacks_bundle(core))
		tell_cores(core);
	say(core);
}

int cluster_unfit_told(struct cluster_core *core, struct cluster_link *link, struct slice bytes)
{
	enum cluster_unfit unfit;
	if (cluster_unfit_read(bytes, &unfit))
		return ERR_PROTOCOL;
	link->unfit_until_ns = unfit ? io_now_ns(core->io) + CLUSTER_WORD_MS * NS_PER_MS : 0;
	if (unfit)
		note(core, link->node, unfit);
	return 0;
}

bool cluster_is_unfit(const struct cluster_core *core, uint16_t node, uint32_t shard)
{
	if (node == core->options->self.node)
		return core->unfit != CLUSTER_FIT;
	const struct cluster_link *link = cluster_link_for(core, node, shard);
	uint64_t now_ns = io_now_ns(core->io);
	return link && (link->unfit_until_ns > now_ns || link->silent_until_ns > now_ns);
}

enum cluster_unfit cluster_node_unfit(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_word *word = cluster_word_of(control, node);
	uint64_t now_ns = io_now_ns(control->core->io);
	if (!word)
		return CLUSTER_FIT;
	return word->no_room_until_ns > now_ns     ? CLUSTER_NO_ROOM
	       : word->no_bundle_until_ns > now_ns ? CLUSTER_NO_BUNDLE
	                                           : CLUSTER_FIT;
}
