/* cluster recover: what is left goes on without nodes that are gone for ever. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/limits.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

/* How long the directory may take to lead again, once it was recovered, and then all others. */
enum { WORD_BYTES = 8, POLL_MS = 500, TRIES_MAX = 120, LED_TRIES_MAX = 60, PLAN_BYTES = 32 };
/* As many as a cluster has, and the server takes. */
enum { NODES_MAX = DIRECTORY_REPLICAS_MAX };
_Static_assert(NODES_MAX + 9 <= ONLINE_WORDS_MAX, "all of them can be named");
/* Of shards, in a line of the plan; and its lines, which are of nodes: a cluster has no more. */
enum { RANGES_MAX = 12, TOLD_MAX = 256 };

struct recovery {
	char words[NODES_MAX][WORD_BYTES];
	size_t count;
	bool damaged, unproved;
	char plan[PLAN_BYTES]; /* that was looked at, as the server names it */
	uint64_t lone;
};

/* "2,3" */
static bool read_lost(const char *text, struct recovery *recovery)
{
	while (recovery->count < NODES_MAX) {
		size_t bytes = strcspn(text, ",");
		char *word = recovery->words[recovery->count++];
		uint64_t number;
		if (bytes >= WORD_BYTES)
			return false;
		memcpy(word, text, bytes);
		word[bytes] = 0;
		if (!args_number(word, 1, CLUSTER_NODE_NUMBER_MAX, &number))
			return false;
		if (!text[bytes])
			return true;
		text += bytes + 1;
	}
	return false;
}

static void add_words(struct online *online, const struct recovery *recovery, bool dry_run)
{
	online_word(online, "ADMIN");
	online_word(online, "CLUSTER");
	online_word(online, "RECOVER");
	online_word(online, "UNSAFE");
	for (size_t i = 0; i < recovery->count; i++)
		online_word(online, recovery->words[i]);
	if (recovery->damaged)
		online_word(online, "DAMAGED");
	if (recovery->unproved)
		online_word(online, "UNPROVED");
	if (dry_run)
		online_word(online, "DRYRUN");
	else if (recovery->plan[0])
		online_option(online, "EXPECT", recovery->plan);
}

/* Whoever has just begun to lead has to hear from the others first. */
static void ask_until_answered(
    struct online *online, const struct recovery *recovery, unsigned *tries)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	while (add_words(online, recovery, false), online_may_come(online_try(online))) {
		if (*tries >= TRIES_MAX)
			return;
		++*tries;
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- The plan ---- */

/* From the lowest of some shards to the highest. */
struct span {
	uint64_t low, high;
};

/* The shards that go on at one node. They come in order. */
struct group {
	uint64_t node, count, first, last;
	struct span index;     /* where their logs end */
	struct span committed; /* all that was acknowledged up to there is kept */
};

static void widen(struct span *span, uint64_t number)
{
	if (number < span->low)
		span->low = number;
	if (number > span->high)
		span->high = number;
}

static void print_span(const struct span *span)
{
	if (span->low == span->high)
		printf("%" PRIu64, span->low);
	else
		printf("between %" PRIu64 " and %" PRIu64, span->low, span->high);
}

static bool is_of_node(struct slice shard, uint64_t node)
{
	return pick_number(shard, "shard") != 0 && pick_number(shard, "node") == node;
}

static struct group group_of(struct slice shards, uint64_t node)
{
	struct group group = {
	    .node = node, .index = {.low = UINT64_MAX}, .committed = {.low = UINT64_MAX}};
	struct slice shard;
	size_t at = 0;
	while (pick_element(shards, &at, &shard)) {
		uint64_t number = pick_number(shard, "shard");
		if (!is_of_node(shard, node))
			continue;
		if (group.count++ == 0)
			group.first = number;
		group.last = number;
		widen(&group.index, pick_number(shard, "index"));
		widen(&group.committed, pick_number(shard, "committed"));
	}
	return group;
}

/* "1 to 40, 42": at most RANGES_MAX of them. */
static void print_range(uint64_t first, uint64_t last, unsigned number)
{
	if (number >= RANGES_MAX) {
		fputs(number == RANGES_MAX ? ", ..." : "", stdout);
		return;
	}
	printf("%s%" PRIu64, number > 0 ? ", " : "", first);
	if (last > first)
		printf("%s%" PRIu64, last == first + 1 ? ", " : " to ", last);
}

static void print_ranges(struct slice shards, uint64_t node)
{
	struct slice shard;
	size_t at = 0;
	uint64_t first = 0, last = 0;
	unsigned ranges = 0;
	while (pick_element(shards, &at, &shard)) {
		uint64_t number = pick_number(shard, "shard");
		if (!is_of_node(shard, node))
			continue;
		if (first != 0 && number != last + 1) {
			print_range(first, last, ranges++);
			first = 0;
		}
		if (first == 0)
			first = number;
		last = number;
	}
	print_range(first, last, ranges);
}

static void print_group(struct slice shards, const struct group *group)
{
	if (group->count == 1)
		printf("  shard %" PRIu64 ": node %" PRIu64 " goes on alone, with its log up to ",
		    group->first, group->node);
	else
		printf("  %" PRIu64 " shards: node %" PRIu64
		       " goes on alone, with their logs up to ",
		    group->count, group->node);
	print_span(&group->index);
	fputs(", committed up to ", stdout);
	print_span(&group->committed);
	if (group->count > 1) {
		fputs(": shards ", stdout);
		print_ranges(shards, group->node);
	}
	putchar('\n');
}

static bool is_told(const uint64_t *told, size_t count, uint64_t node)
{
	for (size_t i = 0; i < count; i++)
		if (told[i] == node)
			return true;
	return false;
}

/* Each node once, where the first of its shards stands; the directory alone, because everything
 * hangs on it. */
static void print_shards(struct slice shards)
{
	struct slice shard;
	uint64_t told[TOLD_MAX];
	size_t at = 0, count = 0;
	while (pick_element(shards, &at, &shard)) {
		uint64_t node = pick_number(shard, "node");
		if (pick_number(shard, "shard") == 0) {
			printf("  the directory, shard 0: node %" PRIu64
			       " goes on alone, with its log up to %" PRIu64
			       ", committed up to %" PRIu64 "\n",
			    node, pick_number(shard, "index"), pick_number(shard, "committed"));
			continue;
		}
		if (is_told(told, count, node) || count == TOLD_MAX)
			continue;
		told[count++] = node;
		struct group group = group_of(shards, node);
		print_group(shards, &group);
	}
}

/* "node 4", "nodes 2, 3" */
static void print_numbers(struct slice numbers)
{
	struct slice number;
	size_t at = 0;
	uint64_t count = 0;
	while (pick_element(numbers, &at, &number))
		count++;
	at = 0;
	const char *between = print_plural(count, "node ", "nodes ");
	while (pick_element(numbers, &at, &number)) {
		printf("%s%.*s", between, (int)number.bytes, (const char *)number.data);
		between = ", ";
	}
}

/* Shard by shard, at most RANGES_MAX of them. */
static void print_given_up(struct slice shards, const char *why, const char *verb)
{
	struct slice shard, nodes;
	uint64_t count = 0;
	size_t at = 0;
	while (pick_element(shards, &at, &shard)) {
		if (!pick_member(shard, why, &nodes) || count++ >= RANGES_MAX)
			continue;
		printf("  given up as %s: of shard %" PRIu64 " what %s on ", why,
		    pick_number(shard, "shard"), verb);
		print_numbers(nodes);
		putchar('\n');
	}
	if (count > RANGES_MAX)
		printf("  and so of %" PRIu64 " more\n", count - RANGES_MAX);
}

static void print_lost(const char *lost)
{
	bool one = !strchr(lost, ',');
	printf("%s %s %s removed, and never let in again\n", one ? "node" : "nodes", lost,
	    one ? "is gone for ever: it is" : "are gone for ever: they are");
}

/* Of nodes that are there, and do not serve yet: what they have is not known. */
static void print_later(struct slice document)
{
	struct slice nodes;
	uint64_t later = pick_number(document, "later");
	if (later == 0)
		return;
	printf("  %" PRIu64 " %s for ", later, print_plural(later, "shard waits", "shards wait"));
	if (pick_member(document, "waits_for", &nodes))
		print_numbers(nodes);
	puts(": repeat when it serves");
}

static void print_unproved(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	while (pick_member(document, "unproved", &nodes) && pick_element(nodes, &at, &node))
		printf("  UNPROVED: somebody answers as node %.*s: if that is it, it is not gone\n",
		    (int)node.bytes, (const char *)node.data);
}

/* It cannot know itself whether it is the last one, or one that the others go on without. */
static void print_lone(uint64_t lone)
{
	if (lone != 0)
		printf("  node %" PRIu64
		       ", which is asked, has no link with any other node. If it is only cut off, "
		       "or was removed from a\n  cluster that goes on, this makes a second one of "
		       "its data: make sure that no other node runs\n",
		    lone);
}

static void print_plan(struct slice document, const struct args *args, uint64_t lone)
{
	struct slice shards;
	uint64_t nothing = pick_number(document, "nothing");
	const char *whose = "what is given up";
	if (args->lost) {
		print_lost(args->lost);
		whose = strchr(args->lost, ',') ? "those nodes" : "that node";
	}
	if (pick_member(document, "shards", &shards)) {
		print_shards(shards);
		print_given_up(shards, "damaged", "is");
		print_given_up(shards, "absent", "was");
	}
	if (nothing > 0)
		printf("  of %" PRIu64 " %s closed\n", nothing,
		    print_plural(nothing, "shard nothing is left: it stays",
		        "shards nothing is left: they stay"));
	print_later(document);
	print_unproved(document);
	print_lone(lone);
	if (args->dry_run)
		puts("  one by one, with its entry: -o json");
	printf("  LOST: what %s had acknowledged and no other node has. There is no undo\n", whose);
	puts("  all up to what is committed is kept; of what was acknowledged behind that some "
	     "may be,");
	puts("  up to the end of the log; behind the end nothing is");
}

static bool is_of_directory(const struct online *online)
{
	return slice_equal(
	    pick_text(slice_from_text(online_json(online)), "phase"), slice_from_text("directory"));
}

static uint64_t count_unled(struct slice document)
{
	struct slice shards, shard, recovered, leader;
	size_t at = 0;
	uint64_t count = 0;
	if (!pick_member(document, "shards", &shards))
		return 0;
	while (pick_element(shards, &at, &shard))
		count += pick_member(shard, "recovered", &recovered) &&
		         !pick_member(shard, "leader", &leader);
	return count;
}

/* Each of them elects who went on, which takes a moment: whoever looks next sees it done. How many
 * have not until the time is over; 0 where nothing is known of that, too. */
static uint64_t wait_for_leaders(const struct args *args)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	struct online online;
	const char *host;
	bool named;
	uint64_t unled = 0;
	int code = online_connect(args, &online, &host, &named);
	for (unsigned i = 0; !code && i < LED_TRIES_MAX; i++) {
		/* Right behind it the directory may have another leader. */
		if (cluster_ask(&online) == KALIX_OK &&
		    (unled = count_unled(slice_from_text(online_json(&online)))) == 0)
			break;
		(void)nanosleep(&pause, NULL);
	}
	online_done(&online);
	return unled;
}

/* What is known by now, instead of what was looked at. The code stays the refusal's. */
static void show_other_plan(
    struct online *online, const struct args *args, const struct recovery *recovery)
{
	add_words(online, recovery, true);
	if (args->format != OUTPUT_TABLE || online_read(online) != EXIT_DONE)
		return;
	puts("the plan is this one by now; repeat the command to carry it out:");
	print_plan(slice_from_text(online_json(online)), args, recovery->lone);
}

static enum exit_code carry_out(
    struct online *online, const struct args *args, const struct recovery *recovery)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	unsigned tries = 0;
	bool of_directory = false;
	enum exit_code code;
	do {
		if (tries > 0)
			(void)nanosleep(&pause, NULL);
		tries++;
		ask_until_answered(online, recovery, &tries);
		code = online_said(online);
		of_directory = of_directory || (!code && is_of_directory(online));
	} while (!code && is_of_directory(online) && tries < TRIES_MAX);
	if (online->code == KALIX_ABORTED) {
		if (of_directory)
			puts("the directory was recovered, and goes on; the others were not");
		show_other_plan(online, args, recovery);
	}
	if (code)
		return code;
	if (is_of_directory(online)) {
		fputs("kalix-admin: the directory was recovered, and does not lead yet: repeat\n",
		    stderr);
		return EXIT_REFUSED;
	}
	uint64_t unled = wait_for_leaders(args);
	if (args->format != OUTPUT_TABLE)
		return online_print(online, NULL, 0);
	if (unled > 0)
		printf("done, and recovering: %" PRIu64 " %s not led yet; kalix-admin cluster "
		       "status shows when all are;\n",
		    unled, print_plural(unled, "shard is", "shards are"));
	else
		puts("done: what was recovered is led again; kalix-admin cluster status shows it;");
	puts(recovery->count > 0
	         ? "  let new nodes join (empty directories, --join), and they get replicas"
	         : "  other replicas come by themselves where damaged ones were");
	return EXIT_DONE;
}

enum exit_code command_cluster_recover(const struct args *args)
{
	struct online online;
	struct recovery recovery = {
	    .count = 0, .damaged = args->damaged, .unproved = args->unproved};
	if (args->unproved && !args->lost) {
		fputs("kalix-admin: --unproved is of nodes that are --lost\n", stderr);
		return EXIT_USAGE;
	}
	if (!args->unsafe || (!args->lost && !args->damaged)) {
		fputs(
		    "kalix-admin: cluster recover needs --unsafe, because what only the lost nodes "
		    "have is given up, and --lost with their numbers, as 2,3; or, where replicas "
		    "are damaged, --damaged\n",
		    stderr);
		return EXIT_USAGE;
	}
	if (args->lost && !read_lost(args->lost, &recovery)) {
		fprintf(stderr,
		    "kalix-admin: --lost takes numbers of up to %d nodes, as 2,3, not '%.40s'\n",
		    NODES_MAX, args->lost);
		return EXIT_USAGE;
	}
	enum exit_code code = online_open(args, &online);
	if (!code) {
		if (args->format == OUTPUT_TABLE && cluster_ask(&online) == KALIX_OK)
			recovery.lone = cluster_lone_node(slice_from_text(online_json(&online)));
		add_words(&online, &recovery, true);
		code = online_read(&online);
	}
	if (!code)
		print_clean(recovery.plan, sizeof(recovery.plan),
		    pick_text(slice_from_text(online_json(&online)), "plan"), "");
	if (!code && args->format == OUTPUT_TABLE)
		print_plan(slice_from_text(online_json(&online)), args, recovery.lone);
	else if (!code && args->dry_run)
		code = online_print(&online, NULL, 0);
	if (!code && !args->dry_run) {
		if (args_confirm(args, args->lost ? "What only those nodes have is lost. Go on?"
		                                  : "What only those have is lost. Go on?"))
			code = carry_out(&online, args, &recovery);
		else
			code = command_not_wanted();
	}
	online_done(&online);
	return code;
}
