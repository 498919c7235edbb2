/* cluster status: which replicas are damaged, what comes of it, and what to do. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

/* Lines: beyond it the rest is counted. */
enum { NODES_BYTES = 64 * 8, REMEDY_BYTES = 16, ALIKES_MAX = 64 };

/* Shards of which the same nodes have damaged replicas, and the same comes of it, are one line, at
 * the first of them. */
struct alike {
	char nodes[NODES_BYTES], remedy[REMEDY_BYTES];
	uint64_t count, first, longest_ms;
	bool several; /* nodes */
};

/* False: nothing of it is damaged. */
static bool look(struct slice shard, struct alike *ret_alike)
{
	struct slice damaged, one, remedy = pick_text(shard, "remedy");
	size_t at = 0, used = 0;
	*ret_alike = (struct alike){.first = pick_number(shard, "shard"), .count = 1};
	if (!pick_member(shard, "damaged", &damaged))
		return false;
	while (pick_element(damaged, &at, &one) && used < NODES_BYTES) {
		uint64_t ms = pick_number(one, "ms");
		ret_alike->several = used > 0;
		used += (size_t)snprintf(ret_alike->nodes + used, NODES_BYTES - used, "%s%" PRIu64,
		    used > 0 ? ", " : "", pick_number(one, "node"));
		if (ms > ret_alike->longest_ms)
			ret_alike->longest_ms = ms;
	}
	snprintf(
	    ret_alike->remedy, REMEDY_BYTES, "%.*s", (int)remedy.bytes, (const char *)remedy.data);
	return used > 0;
}

static void say_remedy(const struct alike *alike)
{
	if (strcmp(alike->remedy, "recover") == 0)
		puts(": no majority is whole, and nothing is served.\n"
		     "  What is whole can go on, and what only the damaged ones had is lost then: "
		     "kalix-admin cluster recover --unsafe --damaged (--dry-run says with what)");
	else if (strcmp(alike->remedy, "restore") == 0)
		puts(": nothing whole is left.\n"
		     "  Restore a backup; or stop one of these nodes, have kalix-admin log repair "
		     "DIR "
		     "--accept-loss --force keep what it can, start it,\n"
		     "  and go on with that: kalix-admin cluster recover --unsafe --damaged");
	else if (strcmp(alike->remedy, "nodes") == 0)
		puts(": others of its nodes have to come back before it can be replaced");
	else
		puts(": another one takes its place as soon as enough others are whole, by itself");
}

static void say(const struct alike *alike)
{
	cluster_print_shards(stdout, alike->first, alike->count);
	printf(": the replica on node%s %s is damaged, for %" PRIu64 " s",
	    alike->several ? "s" : "", alike->nodes, alike->longest_ms / 1000);
	say_remedy(alike);
}

/* Among those of before, or as another one; false: there is no room for it. */
static bool add(struct alike *alikes, size_t *count, const struct alike *its)
{
	for (size_t i = 0; i < *count; i++) {
		struct alike *one = &alikes[i];
		if (strcmp(its->nodes, one->nodes) != 0 || strcmp(its->remedy, one->remedy) != 0)
			continue;
		one->count++;
		if (its->longest_ms > one->longest_ms)
			one->longest_ms = its->longest_ms;
		return true;
	}
	if (*count == ALIKES_MAX)
		return false;
	alikes[(*count)++] = *its;
	return true;
}

void cluster_say_damaged(struct slice document)
{
	struct slice shards, shard;
	struct alike alikes[ALIKES_MAX], its;
	size_t at = 0, count = 0;
	uint64_t more = 0;
	if (pick_number(document, "damaged") == 0 || !pick_member(document, "shards", &shards))
		return;
	while (pick_element(shards, &at, &shard))
		if (look(shard, &its) && !add(alikes, &count, &its))
			more++;
	for (size_t i = 0; i < count; i++)
		say(&alikes[i]);
	if (more > 0)
		printf("%" PRIu64 " more %s damaged replicas on other nodes: -o json\n", more,
		    print_plural(more, "shard has", "shards have"));
}

bool cluster_damage_decides(struct slice shard)
{
	struct slice remedy = pick_text(shard, "remedy");
	return slice_equal(remedy, slice_from_text("recover")) ||
	       slice_equal(remedy, slice_from_text("restore"));
}

bool cluster_waits_for_directory(struct slice document, uint64_t node)
{
	struct slice directory, found;
	return pick_numbered(document, "shards", "shard", 0, &directory) &&
	       pick_numbered(directory, "damaged", "node", node, &found);
}
