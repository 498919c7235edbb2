/* A core whose disk does not answer says so to all that it has links to, again and again while it
 * is so and for some seconds behind it: writes of its log are waited for, and whoever is asked for
 * the status can name the node (`kalix-admin cluster status`), wherever that is led. Of the
 * disks alone nobody else can know: its process answers, and is linked.
 *
 * What a core says, of itself or of another node, goes to core 0 of its node, as in
 * cluster_unfit.c. Leaders with such a disk are replaced by their groups
 * (docs/failure-semantics.md), so nothing is handed over here; but who plans gives the node no
 * replicas and nothing to lead (server/meta/placement.h), until its disk has answered for so long
 * that nothing goes to and fro.
 *
 * A message of its own, as a node of an older version ignores kinds that it does not know, and ends
 * a link over a reason that it does not know.
 */
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_control.h"
#include "storage/engine.h"

/* A disk that answers takes less, if busy or slow; what is shorter moves nothing. */
enum { SILENT_MS = 2000 };

/* ---- To core 0 ---- */

struct disk_post {
	struct cluster_post post;
	uint16_t node, core;
	uint64_t waiting_ms;
};

static void arrived(struct cluster_post *post, struct cluster_core *core)
{
	const struct disk_post *news = CONTAINER_OF(post, struct disk_post, post);
	if (core->control && !core->closing) {
		struct cluster_word *disk = cluster_word_place(core->control, news->node);
		uint64_t now_ns = io_now_ns(core->io);
		disk->silent_until_ns = now_ns + CLUSTER_WORD_MS * NS_PER_MS;
		/* Of several cores that one counts which waits longest. */
		if (news->core == disk->core || news->waiting_ms >= disk->waiting_ms ||
		    disk->waiting_until_ns <= now_ns) {
			disk->core = news->core;
			disk->waiting_ms = news->waiting_ms;
			disk->said_ns = now_ns;
			disk->waiting_until_ns = disk->silent_until_ns;
		}
	}
	mem_free(CONTAINER_OF(post, struct disk_post, post));
}

static void note(
    const struct cluster_core *core, uint16_t node, uint16_t number, uint64_t waiting_ms)
{
	struct disk_post *news = mem_zalloc(1, sizeof(*news));
	/* It is said again. */
	if (!news)
		return;
	news->post.arrived = arrived;
	news->node = node;
	news->core = number;
	news->waiting_ms = waiting_ms;
	core->services.post(core->services.arg, 0, &news->post);
}

/* ---- To other nodes ---- */

static void say(struct cluster_core *core, uint64_t waiting_ms)
{
	uint8_t bytes[CLUSTER_DISK_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_disk_write(&out, waiting_ms);
	note(core, core->options->self.node, (uint16_t)core->number, waiting_ms);
	cluster_tell_linked(core, CLUSTER_KIND_DISK, writer_view(&out));
}

static void tell_operator(const struct cluster_core *core, uint64_t waiting_ms)
{
	if (core->disk_waits)
		LOG_LINE(LEVEL_WARNING, "disk_does_not_answer", FIELD_U64("core", core->number),
		    FIELD_U64("ms", waiting_ms));
	else
		LOG_LINE(LEVEL_INFO, "disk_answers_again", FIELD_U64("core", core->number));
}

void cluster_disk_look_at(struct cluster_core *core, uint64_t waiting_ms)
{
	uint64_t now_ns = io_now_ns(core->io);
	bool waited = core->disk_waits;
	core->disk_waits = waiting_ms >= SILENT_MS;
	if (core->disk_waits)
		core->silent_until_ns = now_ns + CLUSTER_WORD_LASTS_MS * NS_PER_MS;
	if (core->disk_waits != waited)
		tell_operator(core, waiting_ms);
	bool again = now_ns >= core->silent_said_ns + CLUSTER_WORD_AGAIN_MS * NS_PER_MS;
	if (core->silent_until_ns <= now_ns || (core->disk_waits == waited && !again))
		return;
	core->silent_said_ns = now_ns;
	say(core, core->disk_waits ? waiting_ms : 0);
}

void cluster_disk_look(struct cluster_core *core)
{
	uint64_t longest_ns = 0;
	for (uint32_t i = 0; i < core->options->self.stores; i++) {
		if (!core->stores[i])
			continue;
		uint64_t ns = engine_log_waiting_ns(group_store_engine(core->stores[i]));
		if (ns > longest_ns)
			longest_ns = ns;
	}
	cluster_disk_look_at(core, longest_ns / NS_PER_MS);
}

int cluster_disk_told(struct cluster_core *core, struct cluster_link *link, struct slice bytes)
{
	uint64_t waiting_ms;
	if (cluster_disk_read(bytes, &waiting_ms))
		return ERR_PROTOCOL;
	link->silent_until_ns = io_now_ns(core->io) + CLUSTER_WORD_MS * NS_PER_MS;
	note(core, link->node, link->number, waiting_ms);
	return 0;
}

bool cluster_disk_is_silent(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_word *disk = cluster_word_of(control, node);
	return disk && disk->silent_until_ns > io_now_ns(control->core->io);
}

uint64_t cluster_disk_waiting_ms(const struct cluster_control *control, uint16_t node)
{
	const struct cluster_word *disk = cluster_word_of(control, node);
	uint64_t now_ns = io_now_ns(control->core->io);
	if (!disk || disk->waiting_until_ns <= now_ns || disk->waiting_ms == 0)
		return 0;
	return disk->waiting_ms + (now_ns - disk->said_ns) / NS_PER_MS;
}
