/* cluster status: how all nodes and shards are, for people. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/refused.h"

enum { POLL_MS = 500, ADDRESS_BYTES = 320 };

static const char *const node_columns[] = {
    "node", "address", "zone", "state", "alive", "replicas", "leads", "cores", "stores"};
#define NODE_COLUMNS (sizeof(node_columns) / sizeof(node_columns[0]))

/* ---- Asking ---- */

int cluster_ask(struct online *online)
{
	online_word(online, "ADMIN");
	online_word(online, "CLUSTER");
	online_word(online, "STATUS");
	return online_try(online);
}

enum exit_code cluster_change(struct online *online, const char *done)
{
	enum exit_code code = online_run(online);
	if (!code && online->args->format != OUTPUT_TABLE)
		return online_print(online, NULL, 0);
	if (!code)
		printf("done: %s\n", done);
	return code;
}

enum exit_code cluster_document(
    const struct args *args, struct online *ret_online, struct slice *ret_document)
{
	enum exit_code code = online_open(args, ret_online);
	*ret_document = slice_of(NULL, 0);
	if (code)
		return code;
	cluster_ask(ret_online);
	code = online_said(ret_online);
	if (!code)
		*ret_document = slice_from_text(online_json(ret_online));
	return code;
}

static bool may_come(int code)
{
	return code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME ||
	       code == KALIX_DEADLINE_EXCEEDED;
}

static bool is_well(const struct online *online)
{
	return online->code == KALIX_OK && pick_true(slice_from_text(online_json(online)), "well");
}

/* Until all is well, or it cannot become so, or the time is over. */
static void ask_until_well(struct online *online, uint32_t seconds)
{
	uint64_t end_ns = clock_monotonic_ns() + seconds * NS_PER_S;
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	while (cluster_ask(online), !is_well(online)) {
		if ((online->code != KALIX_OK && !may_come(online->code)) ||
		    clock_monotonic_ns() >= end_ns)
			return;
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- Telling ---- */

static void cell_of(struct slice object, const char *name, struct print *print)
{
	char cell[64];
	print_clean(cell, sizeof(cell), pick_text(object, name), "");
	print_text(print, cell);
}

static void print_address(struct slice node, struct print *print)
{
	char host[256], address[ADDRESS_BYTES];
	print_clean(host, sizeof(host), pick_text(node, "host"), "");
	snprintf(address, sizeof(address), "%s:%" PRIu64, host, pick_number(node, "port"));
	print_text(print, address);
}

int cluster_print_nodes(struct slice document, enum output_format format)
{
	struct print print;
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return ERR_CORRUPT;
	print_begin(&print, format, node_columns, NODE_COLUMNS);
	while (pick_element(nodes, &at, &node)) {
		print_number(&print, pick_number(node, "node"));
		print_address(node, &print);
		cell_of(node, "zone", &print);
		cell_of(node, "state", &print);
		print_text(&print, pick_true(node, "alive") ? "yes" : "no");
		print_number(&print, pick_number(node, "replicas"));
		print_number(&print, pick_number(node, "leads"));
		print_number(&print, pick_number(node, "cores"));
		print_number(&print, pick_number(node, "stores"));
	}
	return print_end(&print);
}

static bool is_missed(struct slice node)
{
	return !pick_true(node, "alive") &&
	       !slice_equal(pick_text(node, "state"), slice_from_text("removed"));
}

static void say_dead(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return;
	while (pick_element(nodes, &at, &node)) {
		struct slice refused = pick_text(node, "refused");
		if (!is_missed(node))
			continue;
		printf("node %" PRIu64, pick_number(node, "node"));
		if (refused.bytes > 0)
			printf(" is reached, but %s; no link", refused_text(refused));
		else
			fputs(" has not been heard of", stdout);
		printf(" for %" PRIu64 " s\n", pick_number(node, "dead_ms") / 1000);
	}
}

/* Where no link comes about with any of those that are there, it is the node that says all this. */
static void say_alone(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	uint64_t by = pick_number(document, "by"), refused = 0;
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		if (pick_true(node, "alive") && pick_number(node, "node") != by)
			return;
		refused += is_missed(node) && pick_text(node, "refused").bytes > 0;
	}
	if (refused > 0)
		printf("node %" PRIu64
		       ", which says this, has no link with any other: it may be the "
		       "one that is wrong, its log says more\n",
		    by);
}

static bool is_any_reached(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node))
		if (is_missed(node) && pick_text(node, "refused").bytes > 0)
			return true;
	return false;
}

static void say_full(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return;
	while (pick_element(nodes, &at, &node))
		if (pick_true(node, "full"))
			printf("node %" PRIu64
			       " has a full disk: until it has room it leads nothing that others "
			       "can, and gets no new replicas\n",
			    pick_number(node, "node"));
}

static void say_shards(struct slice document, const char *name, const char *what)
{
	uint64_t count = pick_number(document, name);
	if (count)
		printf("%" PRIu64 " %s\n", count, what);
}

/* ---- Without a quorum ---- */

static void print_numbers(struct slice numbers)
{
	struct slice number;
	size_t at = 0;
	bool first = true;
	while (pick_element(numbers, &at, &number)) {
		printf("%s%.*s", first ? "" : ", ", (int)number.bytes, (const char *)number.data);
		first = false;
	}
}

/* Those that lack the same nodes are said in one line, at the first of them. */
struct alike {
	struct slice lacks;
	uint64_t needs, count, first, longest_ms;
	bool begun;
};

static bool is_alike(struct slice shard, const struct alike *alike)
{
	struct slice lacks;
	return pick_member(shard, "lacks", &lacks) && slice_equal(lacks, alike->lacks) &&
	       pick_number(shard, "needs") == alike->needs;
}

static void count_alike(struct slice shards, struct alike *alike)
{
	struct slice shard;
	size_t at = 0;
	while (pick_element(shards, &at, &shard)) {
		if (!is_alike(shard, alike))
			continue;
		uint64_t ms = pick_number(shard, "quorumless_ms");
		if (!alike->begun)
			alike->first = pick_number(shard, "shard");
		alike->begun = true;
		alike->count++;
		if (ms > alike->longest_ms)
			alike->longest_ms = ms;
	}
}

static void say_alike(const struct alike *alike)
{
	if (alike->count == 1)
		printf("shard %" PRIu64 " has", alike->first);
	else
		printf("%" PRIu64 " shards (%" PRIu64 "%s) have", alike->count, alike->first,
		    alike->first == 0 ? ", the directory, and others" : " and others");
	/* One that was removed has been gone for ever. */
	if (alike->longest_ms < INT64_MAX)
		printf(" no quorum, for %" PRIu64 " s", alike->longest_ms / 1000);
	else
		fputs(" no quorum", stdout);
	printf(": %" PRIu64 " of these nodes has to come back: ", alike->needs);
	print_numbers(alike->lacks);
	putchar('\n');
}

/* With all nodes that are missed, as a command wants them that is to be typed once. */
static void say_recovery(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	const char *between = " --lost ";
	/* What is there is not lost. */
	if (is_any_reached(document)) {
		puts("  nodes that are reached have all that they had: mend what is refused, and "
		     "start the others again");
		return;
	}
	fputs("  start them again; if they are gone for ever: kalix-admin cluster recover --unsafe",
	    stdout);
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		if (!is_missed(node))
			continue;
		printf("%s%" PRIu64, between, pick_number(node, "node"));
		between = ",";
	}
	putchar('\n');
}

static void say_quorumless(struct slice document)
{
	struct slice shards, shard;
	size_t at = 0;
	if (pick_number(document, "quorumless") == 0 || !pick_member(document, "shards", &shards))
		return;
	while (pick_element(shards, &at, &shard)) {
		struct alike alike = {.needs = pick_number(shard, "needs")};
		if (!pick_member(shard, "lacks", &alike.lacks))
			continue;
		count_alike(shards, &alike);
		if (alike.first == pick_number(shard, "shard"))
			say_alike(&alike);
	}
	say_recovery(document);
}

static void say_when(uint64_t at_ms)
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm when;
	char text[32] = "";
	if (gmtime_r(&seconds, &when))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &when);
	fputs(text, stdout);
}

/* One line for each recovery, which may be of many shards. */
static void say_recovered(struct slice document)
{
	struct slice shards, shard, recovered, other;
	size_t at = 0;
	uint64_t told_ms = 0;
	if (!pick_member(document, "shards", &shards))
		return;
	while (pick_element(shards, &at, &shard)) {
		if (!pick_member(shard, "recovered", &recovered))
			continue;
		uint64_t at_ms = pick_number(recovered, "at_ms"), count = 0;
		size_t from = 0;
		/* Made within a moment, by one command. */
		if (told_ms != 0 && at_ms / 60000 == told_ms / 60000)
			continue;
		told_ms = at_ms;
		while (pick_element(shards, &from, &other))
			if (pick_member(other, "recovered", &recovered))
				count += pick_number(recovered, "at_ms") / 60000 == at_ms / 60000;
		say_when(at_ms);
		printf(": unsafe recovery of %" PRIu64
		       " shards; what others had beyond it is lost (kalix-admin shard list)\n",
		    count);
	}
}

/* What is left is what the lines before say: shards. */
static void say_moves(struct slice document)
{
	char sent[PRINT_SIZE_BYTES], rate[PRINT_SIZE_BYTES];
	uint64_t snapshots = pick_number(document, "snapshots");
	uint64_t per_s = pick_number(document, "snapshot_bytes_per_s");
	if (snapshots == 0 && per_s == 0)
		return;
	print_size(sent, pick_number(document, "snapshot_bytes"));
	print_size(rate, per_s);
	printf("snapshots: %" PRIu64 " under way or waiting, %s/s, %s since the nodes started\n",
	    snapshots, rate, sent);
}

static enum exit_code print_status(struct slice document)
{
	char cluster[64];
	uint64_t survives = pick_number(document, "survives");
	print_clean(cluster, sizeof(cluster), pick_text(document, "cluster"), "");
	printf("cluster %s, replication factor %" PRIu64 "\n\n", cluster,
	    pick_number(document, "factor"));
	int error = cluster_print_nodes(document, OUTPUT_TABLE);
	if (error)
		return command_failed(error, "the server's reply is no status of a cluster");
	putchar('\n');
	say_dead(document);
	say_alone(document);
	say_full(document);
	say_quorumless(document);
	say_recovered(document);
	say_shards(document, "leaderless", "shards have no leader: they do not serve");
	say_shards(document, "few", "shards have too few voters");
	say_shards(document, "behind", "shards have voters that are behind or not heard of");
	say_shards(document, "moving", "shards are not yet as they are to be");
	say_shards(document, "waiting",
	    "of them wait for a node that is not reached or has a full disk; others move "
	    "meanwhile");
	say_moves(document);
	if (pick_true(document, "well"))
		fputs("well: ", stdout);
	printf("survives %" PRIu64 " failure%s\n", survives, survives == 1 ? "" : "s");
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

enum exit_code command_cluster_status(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		ask_until_well(&online, args->wait);
		code = online_said(&online);
	}
	if (!code)
		code = args->format == OUTPUT_TABLE
		           ? print_status(slice_from_text(online_json(&online)))
		           : online_print(&online, NULL, 0);
	if (!code && !is_well(&online))
		code = EXIT_UNHEALTHY;
	online_done(&online);
	return code;
}
