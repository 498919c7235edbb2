/* Shards without a quorum, for people: which nodes took it with them, and what brings it back. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/cluster_document.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

bool cluster_node_is_removed(struct slice node)
{
	return slice_equal(pick_text(node, "state"), slice_from_text("removed"));
}

bool cluster_node_is_missed(struct slice node)
{
	return !pick_true(node, "alive") && !cluster_node_is_removed(node);
}

void cluster_node_address(struct slice node, char address[CLUSTER_ADDRESS_BYTES])
{
	char host[CLUSTER_ADDRESS_BYTES - 32];
	uint64_t port = pick_number(node, "port");
	print_clean(host, sizeof(host), pick_text(node, "host"), "");
	if (port == 0)
		snprintf(address, CLUSTER_ADDRESS_BYTES, "%s, starting", host);
	else
		snprintf(address, CLUSTER_ADDRESS_BYTES,
		    strchr(host, ':') ? "[%s]:%" PRIu64 : "%s:%" PRIu64, host, port);
}

/* It is missed, but somebody is there who may well have what it had: links are refused, and not
 * because it is of another cluster, another node, or the node with another directory. */
static bool is_reached(struct slice node)
{
	static const char *const reasons[] = {"secret", "version", "remote", "stranger"};
	struct slice refused = pick_text(node, "refused");
	for (size_t i = 0; cluster_node_is_missed(node) && i < sizeof(reasons) / sizeof(reasons[0]);
	     i++)
		if (slice_equal(refused, slice_from_text(reasons[i])))
			return true;
	return false;
}

/* Lines: beyond it the rest is counted. */
enum { ALIKES_MAX = 64 };

/* Those that lack the same nodes, and need as many of them, are one line, at the first of them. */
struct alike {
	struct slice lacks; /* as the document has it */
	uint64_t needs, count, first, longest_ms;
};

/* What can be done, of all of them. */
struct ways {
	bool reached, come_back, stay_away;
};

/* An element of an array of numbers. */
static uint64_t number_of(struct slice digits)
{
	uint64_t number = 0;
	for (size_t i = 0; i < digits.bytes; i++)
		number = number * 10 + (uint64_t)(digits.data[i] - '0');
	return number;
}

static bool is_removed(struct slice document, uint64_t number)
{
	struct slice node;
	return pick_numbered(document, "nodes", "node", number, &node) &&
	       cluster_node_is_removed(node);
}

/* ---- Which nodes ---- */

/* Of those that are lacked, the removed ones or the others, which may come back. */
static uint64_t count_lacked(struct slice document, struct slice lacks, bool removed)
{
	struct slice number;
	size_t at = 0;
	uint64_t count = 0;
	while (pick_element(lacks, &at, &number))
		count += is_removed(document, number_of(number)) == removed;
	return count;
}

static void print_lacked(FILE *to, struct slice document, struct slice lacks, bool removed)
{
	struct slice number;
	size_t at = 0;
	const char *between = "";
	while (pick_element(lacks, &at, &number)) {
		if (is_removed(document, number_of(number)) != removed)
			continue;
		fprintf(to, "%s%" PRIu64, between, number_of(number));
		between = ", ";
	}
}

static bool is_lacked(struct slice shards, uint64_t node)
{
	struct slice shard, lacks, number;
	size_t at = 0;
	while (pick_element(shards, &at, &shard)) {
		size_t from = 0;
		if (!pick_member(shard, "lacks", &lacks))
			continue;
		while (pick_element(lacks, &from, &number))
			if (number_of(number) == node)
				return true;
	}
	return false;
}

/* ---- Which shards ---- */

/* False: it has a quorum, or damage decides what becomes of it. */
static bool look(struct slice shard, struct alike *ret_alike)
{
	*ret_alike = (struct alike){.needs = pick_number(shard, "needs"),
	    .count = 1,
	    .first = pick_number(shard, "shard"),
	    .longest_ms = pick_number(shard, "quorumless_ms")};
	return pick_member(shard, "lacks", &ret_alike->lacks) && !pick_true(shard, "gone") &&
	       !cluster_damage_decides(shard);
}

/* Nothing brings them back. */
static void say_gone(FILE *to, struct slice shards)
{
	struct slice shard;
	size_t at = 0;
	uint64_t first = 0, count = 0;
	while (pick_element(shards, &at, &shard))
		if (pick_true(shard, "gone") && count++ == 0)
			first = pick_number(shard, "shard");
	if (count == 0)
		return;
	cluster_print_shards(to, first, count);
	fprintf(to,
	    " %s lost: all nodes that had replicas of %s were removed; what is left is a backup\n",
	    print_plural(count, "is", "are"), print_plural(count, "it", "them"));
}

/* Among those of before; false: it is the first of its kind. */
static bool count_in(struct alike *alikes, size_t count, const struct alike *its)
{
	for (size_t i = 0; i < count; i++) {
		struct alike *one = &alikes[i];
		if (!slice_equal(its->lacks, one->lacks) || its->needs != one->needs)
			continue;
		one->count++;
		if (its->longest_ms > one->longest_ms)
			one->longest_ms = its->longest_ms;
		return true;
	}
	return false;
}

/* Those that are left to come back are enough. */
static bool may_come_back(struct slice document, const struct alike *alike)
{
	return count_lacked(document, alike->lacks, false) >= alike->needs;
}

void cluster_print_shards(FILE *to, uint64_t first, uint64_t count)
{
	if (count == 1)
		fprintf(to, "shard %" PRIu64 "%s", first, first == 0 ? ", the directory," : "");
	else
		fprintf(to, "%" PRIu64 " shards (%" PRIu64 "%s)", count, first,
		    first == 0 ? ", the directory, and others" : " and others");
}

static void say_alike(FILE *to, struct slice document, const struct alike *alike)
{
	uint64_t removed = count_lacked(document, alike->lacks, true);
	bool come_back = may_come_back(document, alike);
	cluster_print_shards(to, alike->first, alike->count);
	fprintf(to, " %s no quorum", print_plural(alike->count, "has", "have"));
	if (come_back) {
		/* One that was removed has been gone for ever. */
		if (alike->longest_ms < INT64_MAX)
			fprintf(to, ", for %" PRIu64 " s", alike->longest_ms / 1000);
		fprintf(to, ": %" PRIu64 " of these nodes %s to come back: ", alike->needs,
		    print_plural(alike->needs, "has", "have"));
		print_lacked(to, document, alike->lacks, false);
		fputs(removed > 0 ? "; removed: " : "", to);
	} else {
		fprintf(to, ", because of %s removed: ",
		    print_plural(removed, "a node that was", "nodes that were"));
	}
	print_lacked(to, document, alike->lacks, true);
	if (!come_back && count_lacked(document, alike->lacks, false) > 0) {
		fputs("; gone, too: ", to);
		print_lacked(to, document, alike->lacks, false);
	}
	fputc('\n', to);
}

/* ---- What to do ---- */

/* What is there is not lost: one of those that are lacked. */
static bool is_any_reached(struct slice document, struct slice lacks)
{
	struct slice number, node;
	size_t at = 0;
	while (pick_element(lacks, &at, &number))
		if (pick_numbered(document, "nodes", "node", number_of(number), &node) &&
		    is_reached(node))
			return true;
	return false;
}

/* With all nodes that are gone, as a command wants them that is to be typed once: those that were
 * removed, and, unless they may come back all the same, those that are missed. Those that are
 * reached, or wait for another replica of the directory, are there. */
static void say_recovery(
    FILE *to, const char *begin, struct slice document, struct slice shards, bool missed)
{
	struct slice nodes, node;
	size_t at = 0;
	const char *between = begin;
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		uint64_t number = pick_number(node, "node");
		bool gone = cluster_node_is_removed(node) ? is_lacked(shards, number)
		                                          : missed && cluster_node_is_missed(node);
		if (!gone || is_reached(node) || cluster_waits_for_directory(document, number))
			continue;
		fprintf(to, "%s%" PRIu64, between, number);
		between = ",";
	}
	fputs(between == begin ? "  they wait for another replica of the directory\n" : "\n", to);
}

uint64_t cluster_lone_node(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	uint64_t by = pick_number(document, "by"), missed = 0;
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		if (pick_number(node, "node") == by)
			continue;
		if (pick_true(node, "alive"))
			return 0;
		missed += cluster_node_is_missed(node);
	}
	return missed > 0 ? by : 0;
}

/* False: nobody's is known. */
static bool any_address(struct slice document, uint64_t lone, char address[CLUSTER_ADDRESS_BYTES])
{
	struct slice nodes, node;
	size_t at = 0;
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		if (pick_number(node, "node") == lone || !cluster_node_is_missed(node) ||
		    pick_number(node, "port") == 0)
			continue;
		cluster_node_address(node, address);
		return true;
	}
	return false;
}

/* Who sees nobody cannot tell whether the others are gone, or it is itself that is: to whoever was
 * removed, or is cut off, no command is named that makes another cluster of what it has. */
static void say_lone(FILE *to, struct slice document, uint64_t lone)
{
	char address[CLUSTER_ADDRESS_BYTES] = "HOST:PORT";
	bool known = any_address(document, lone, address);
	fprintf(to,
	    "  node %" PRIu64
	    ", which says this, has no link with any other node: they may be gone, or it is cut "
	    "off, or was removed. Ask %s:\n    kalix-admin --node %s cluster status\n",
	    lone, known ? "one of them" : "another one", address);
	fprintf(to,
	    "  where one answers, and has node %" PRIu64
	    " as removed, or does not name it, that never comes back: stop it, and start it in an "
	    "empty directory with --join; else mend the network between them\n",
	    lone);
	fputs("  where none does, start them again: then nothing is lost; only if all their disks "
	      "are gone for ever: docs/cluster.md, \"When a majority is gone\"\n",
	    to);
}

static void look_for_ways(struct slice document, const struct alike *alike, struct ways *ways)
{
	if (is_any_reached(document, alike->lacks))
		ways->reached = true;
	else if (may_come_back(document, alike))
		ways->come_back = true;
	else
		ways->stay_away = true;
}

static void say_ways(FILE *to, struct slice document, struct slice shards, const struct ways *ways)
{
	if (ways->reached)
		fputs("  nodes that are reached, and refused, have what they had, if it is they: "
		      "mend that, and start the others again\n",
		    to);
	uint64_t lone = cluster_lone_node(document);
	if (lone != 0) {
		if (ways->come_back || ways->stay_away)
			say_lone(to, document, lone);
		return;
	}
	if (ways->come_back)
		say_recovery(to,
		    "  start them again; if they are gone for ever: kalix-admin cluster "
		    "recover --unsafe --lost ",
		    document, shards, true);
	if (ways->stay_away)
		say_recovery(to,
		    "  who was removed never comes back; what is left goes on without it: "
		    "kalix-admin cluster recover --unsafe --lost ",
		    document, shards, false);
}

void cluster_say_quorumless(FILE *to, struct slice document)
{
	struct slice shards, shard;
	struct alike alikes[ALIKES_MAX], its;
	struct ways ways = {.reached = false};
	size_t at = 0, count = 0;
	uint64_t more = 0;
	if (pick_number(document, "quorumless") == 0 || !pick_member(document, "shards", &shards))
		return;
	while (pick_element(shards, &at, &shard)) {
		if (!look(shard, &its) || count_in(alikes, count, &its))
			continue;
		look_for_ways(document, &its, &ways);
		if (count < ALIKES_MAX)
			alikes[count++] = its;
		else
			more++;
	}
	for (size_t i = 0; i < count; i++)
		say_alike(to, document, &alikes[i]);
	if (more > 0)
		fprintf(to, "%" PRIu64 " more %s no quorum, and %s other nodes: -o json\n", more,
		    print_plural(more, "shard has", "shards have"),
		    print_plural(more, "lacks", "lack"));
	say_gone(to, shards);
	say_ways(to, document, shards, &ways);
}
