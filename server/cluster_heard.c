/* What replicas say that reach no leader, or are damaged: kept by who leads the directory, and by
 * all while nobody does. cluster_recover.c chooses by that. */
#include "base/clock.h"
#include "base/log_line.h"
#include "base/mem.h"
#include "server/cluster_control.h"
#include "server/meta/recovery.h"

/* The directory is taken for lost when nobody that leads it was reached for so long. */
enum { LOST_MS = 3000 };

static uint64_t key_of(uint32_t shard, uint16_t node)
{
	return (uint64_t)shard << CLUSTER_NODE_BITS | node;
}

static void forget(struct cluster_control *control, struct cluster_stranded *one)
{
	number_map_remove(
	    &control->stranded, key_of(one->said.shard, cluster_replica_node(one->said.replica)));
	list_remove(&one->node);
	mem_free(one);
}

static uint64_t age_ms(const struct cluster_control *control, const struct cluster_stranded *one)
{
	return (io_now_ns(control->core->io) - one->at_ns) / NS_PER_MS;
}

static void keep(struct cluster_control *control, const struct recovery_said *said)
{
	uint64_t key = key_of(said->shard, cluster_replica_node(said->replica));
	struct cluster_stranded *one = number_map_get(&control->stranded, key);
	/* Without memory it is told again. */
	if (!one) {
		one = mem_zalloc(1, sizeof(*one));
		if (!one)
			return;
		if (number_map_put(&control->stranded, key, one)) {
			mem_free(one);
			return;
		}
		list_node_init(&one->node);
	}
	uint64_t now_ns = io_now_ns(control->core->io);
	if (!recovery_goes_on(&one->said, said, age_ms(control, one))) {
		one->since_ns = now_ns;
		one->kept = false;
	}
	one->said = *said;
	one->at_ns = now_ns;
	/* The oldest stands first. */
	list_remove(&one->node);
	list_push_back(&control->stranded_list, &one->node);
}

struct cluster_stranded *cluster_stranded_of(
    const struct cluster_control *control, uint32_t shard, uint16_t node)
{
	struct cluster_stranded *one = number_map_get(&control->stranded, key_of(shard, node));
	return one && recovery_counts(&one->said, age_ms(control, one)) ? one : NULL;
}

/* ---- Who is asked ---- */

/* A replica of the shard is looked for there, and its node has said nothing of it for a while. */
static void ask(struct cluster_control *control, uint32_t shard, uint16_t node)
{
	struct cluster_core *core = control->core;
	const struct cluster_stranded *one = cluster_stranded_of(control, shard, node);
	uint8_t bytes[VARINT_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	if (one && age_ms(control, one) < RECOVERY_OLD_MS)
		return;
	if (node == core->options->self.node) {
		cluster_stranded_ask_own(core, shard);
		return;
	}
	cluster_asked_write(&out, shard);
	cluster_send_for(core, node, shard, CLUSTER_KIND_ASKED, writer_view(&out));
}

/* Whoever is a member by its log, or is wanted. */
static void ask_others(struct cluster_control *control, const struct cluster_stranded *one)
{
	const struct cluster_shard *wanted = &control->core->map->shards[one->said.shard];
	if (one->said.damaged || one->at_ns - one->since_ns < RECOVERY_ASKS_MS * NS_PER_MS)
		return;
	for (uint32_t i = 0; i < one->said.count; i++)
		ask(control, one->said.shard, cluster_replica_node(one->said.members[i].replica));
	for (uint32_t i = 0; i < wanted->count; i++)
		ask(control, one->said.shard, cluster_replica_node(wanted->replicas[i].replica));
}

static void ask_all(struct cluster_control *control)
{
	LIST_FOR_EACH(list_node, &control->stranded_list)
	{
		ask_others(control, CONTAINER_OF(list_node, struct cluster_stranded, node));
	}
}

void cluster_recover_tick(struct cluster_control *control)
{
	struct cluster_core *core = control->core;
	uint64_t now_ns = io_now_ns(core->io);
	cluster_alone_look(control);
	LIST_FOR_EACH_REMOVABLE(list_node, &control->stranded_list)
	{
		struct cluster_stranded *one =
		    CONTAINER_OF(list_node, struct cluster_stranded, node);
		if (age_ms(control, one) <= RECOVERY_SAID_MS)
			break;
		if (recovery_is_over(&one->said, age_ms(control, one)))
			forget(control, one);
	}
	if (core->map && (control->lost || control->leads))
		ask_all(control);
	if (cluster_directory_leader(core) != 0 || control->directory_ns == 0)
		control->directory_ns = now_ns;
	bool lost = now_ns - control->directory_ns > LOST_MS * NS_PER_MS;
	if (lost == control->lost)
		return;
	control->lost = lost;
	LOG_LINE(lost ? LEVEL_WARNING : LEVEL_INFO, lost ? "directory_lost" : "directory_found",
	    FIELD_U64("group", 0), FIELD_U64("node", cluster_directory_leader(core)));
}

void cluster_recover_done(struct cluster_control *control)
{
	struct list_node *node;
	while ((node = list_first(&control->stranded_list)))
		forget(control, CONTAINER_OF(node, struct cluster_stranded, node));
	number_map_done(&control->stranded);
}

/* Of its own. And of those that ask it for another replica of the directory: they reach nobody
 * else. */
static bool may_say(const struct recovery_said *said, uint16_t node)
{
	return cluster_replica_node(said->replica) == node || (said->damaged && said->shard == 0);
}

int cluster_control_stranded(struct cluster_control *control, uint16_t node, struct slice rows)
{
	struct reader in = reader_of(rows);
	struct recovery_said said;
	while (reader_left(&in) > 0) {
		if (cluster_stranded_read(&in, &said) ||
		    said.shard > control->core->options->shard_count || !may_say(&said, node))
			return ERR_PROTOCOL;
		keep(control, &said);
	}
	return 0;
}

void cluster_control_directory_damaged(struct cluster_control *control, uint64_t replica)
{
	const struct recovery_said said = {.shard = 0, .replica = replica, .damaged = true};
	uint8_t bytes[CLUSTER_STRANDED_BYTES_MAX];
	struct writer out = writer_of(bytes, sizeof(bytes));
	cluster_stranded_write(&out, &said);
	keep(control, &said);
	if (!control->leads)
		cluster_tell_directory(control->core, CLUSTER_KIND_STRANDED, writer_view(&out));
}
