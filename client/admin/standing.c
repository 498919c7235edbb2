/* Shards that are led, and of which nothing is committed though something is proposed, for people:
 * for how long, and which nodes do not acknowledge it. */
#include <inttypes.h>
#include <stdio.h>

#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

/* Lines: beyond it the rest is counted. */
enum { SHARDS_SAID_MAX = 8 };

static void print_silent(struct slice shard)
{
	struct slice nodes, node;
	size_t at = 0;
	unsigned count = 0;
	if (!pick_member(shard, "unacknowledged", &nodes))
		return;
	while (pick_element(nodes, &at, &node))
		count++;
	fputs(print_plural(count, ": node ", ": nodes "), stdout);
	for (at = 0, count = 0; pick_element(nodes, &at, &node); count++)
		printf("%s%.*s", count > 0 ? ", " : "", (int)node.bytes, (const char *)node.data);
	printf(" %s", print_plural(count, "does not acknowledge it", "do not acknowledge it"));
}

void cluster_say_standing(struct slice document)
{
	struct slice shards, shard, ms;
	size_t at = 0;
	uint64_t left = pick_number(document, "standing"), said = 0;
	if (left == 0 || !pick_member(document, "shards", &shards))
		return;
	while (said < SHARDS_SAID_MAX && pick_element(shards, &at, &shard)) {
		if (!pick_member(shard, "standing_ms", &ms))
			continue;
		uint64_t number = pick_number(shard, "shard");
		printf("shard %" PRIu64 "%s: nothing that is proposed was committed for %" PRIu64
		       " s",
		    number, number == 0 ? ", the directory" : "",
		    pick_number(shard, "standing_ms") / 1000);
		print_silent(shard);
		putchar('\n');
		said++;
	}
	if (left > said)
		printf("and so in %" PRIu64 " more %s\n", left - said,
		    print_plural(left - said, "shard", "shards"));
	puts("  changes there end as UNKNOWN_OUTCOME, or are refused as too many wait; look at the "
	     "disks of these nodes");
}
