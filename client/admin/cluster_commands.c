/* cluster status: how all nodes and shards are, for people. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/progress.h"
#include "client/admin/refused.h"

enum { POLL_MS = 500 };

/* The last one only where the directory was not asked. */
static const char *const node_columns[] = {"node", "address", "zone", "state", "alive", "replicas",
    "leads", "cores", "stores", "load", "known_by"};
#define NODE_COLUMNS (sizeof(node_columns) / sizeof(node_columns[0]))

/* ---- Asking ---- */

static void add_words(struct online *online)
{
	online_word(online, "ADMIN");
	online_word(online, "CLUSTER");
	online_word(online, "STATUS");
}

int cluster_ask(struct online *online)
{
	add_words(online);
	return online_try(online);
}

enum exit_code cluster_changed(const struct online *online, const char *done)
{
	if (online->args->format != OUTPUT_TABLE)
		return online_print(online, NULL, 0);
	printf("done: %s\n", done);
	return EXIT_DONE;
}

enum exit_code cluster_document(
    const struct args *args, struct online *ret_online, struct slice *ret_document)
{
	enum exit_code code = online_open(args, ret_online);
	*ret_document = slice_of(NULL, 0);
	if (code)
		return code;
	add_words(ret_online);
	code = online_read(ret_online);
	if (!code)
		*ret_document = slice_from_text(online_json(ret_online));
	return code;
}

/* ---- Why it cannot be changed ---- */

/* Shorter than that it may be over while the command is tried again. */
enum { LASTS_MS = 5000 };

static bool directory_lacks(struct slice document, uint64_t at_least_ms)
{
	struct slice shards, directory, lacks;
	return pick_member(document, "shards", &shards) &&
	       pick_numbered(document, "shards", "shard", 0, &directory) &&
	       pick_member(directory, "lacks", &lacks) &&
	       pick_number(directory, "quorumless_ms") >= at_least_ms;
}

static void say_stuck(struct slice document)
{
	fputs("kalix-admin: the directory (shard 0) has no quorum, and without it nothing of the "
	      "cluster can be changed\n",
	    stderr);
	cluster_say_quorumless(stderr, document);
}

bool cluster_is_stuck(struct slice document)
{
	if (!directory_lacks(document, LASTS_MS))
		return false;
	say_stuck(document);
	return true;
}

void cluster_explain(const struct args *args, enum exit_code code)
{
	struct online online;
	const char *host;
	bool named;
	if (code != EXIT_UNREACHABLE)
		return;
	if (online_connect(args, &online, &host, &named) == 0 && cluster_ask(&online) == 0 &&
	    directory_lacks(slice_from_text(online_json(&online)), 0))
		say_stuck(slice_from_text(online_json(&online)));
	online_done(&online);
}

/* ---- Judging ---- */

/* Those that are part of it, and heard of. */
static uint64_t count_nodes(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	uint64_t count = 0;
	if (!pick_member(document, "nodes", &nodes))
		return 0;
	while (pick_element(nodes, &at, &node))
		count += pick_true(node, "alive") && !cluster_node_is_removed(node);
	return count;
}

/* And as many nodes are there as were asked for. */
static bool is_well(const struct online *online)
{
	if (online->code != KALIX_OK)
		return false;
	struct slice document = slice_from_text(online_json(online));
	return pick_true(document, "well") && count_nodes(document) >= online->args->nodes;
}

/* Until all is well, or it cannot become so, or the time is over. */
static enum exit_code ask_until_well(struct online *online, uint32_t seconds)
{
	uint64_t end_ns = clock_monotonic_ns() + seconds * NS_PER_S;
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	while (cluster_ask(online), !is_well(online)) {
		if ((online->code != KALIX_OK && !online_may_come(online->code)) ||
		    clock_monotonic_ns() >= end_ns)
			break;
		(void)nanosleep(&pause, NULL);
	}
	return online_said(online);
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
	char address[CLUSTER_ADDRESS_BYTES];
	cluster_node_address(node, address);
	print_text(print, address);
}

static uint64_t disk_waiting_ms(struct slice node)
{
	return pick_true(node, "alive") ? pick_number(node, "disk_waiting_ms") : 0;
}

/* A node that answers, and with which there is no link, is not merely dead; and one whose disk does
 * not answer not merely alive. */
static void print_alive(struct slice node, struct print *print)
{
	char why[32], cell[40];
	struct slice refused = pick_text(node, "refused");
	print_clean(why, sizeof(why), refused, "");
	snprintf(cell, sizeof(cell), "no: %s", why);
	const char *no = refused.bytes > 0 ? cell : "no";
	const char *yes = disk_waiting_ms(node) > 0 ? "yes: disk" : "yes";
	print_text(print, pick_true(node, "alive") ? yes : no);
}

int cluster_print_nodes(struct slice document, enum output_format format, uint64_t known_by)
{
	struct print print;
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return ERR_CORRUPT;
	print_begin(&print, format, node_columns, NODE_COLUMNS - (known_by == 0));
	while (pick_element(nodes, &at, &node)) {
		print_number(&print, pick_number(node, "node"));
		print_address(node, &print);
		cell_of(node, "zone", &print);
		cell_of(node, "state", &print);
		print_alive(node, &print);
		print_number(&print, pick_number(node, "replicas"));
		print_number(&print, pick_number(node, "leads"));
		print_number(&print, pick_number(node, "cores"));
		print_number(&print, pick_number(node, "stores"));
		print_number(&print, pick_number(node, "load"));
		if (known_by != 0)
			print_number(&print, known_by);
	}
	return print_end(&print);
}

static void say_dead(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return;
	while (pick_element(nodes, &at, &node)) {
		struct slice refused = pick_text(node, "refused");
		if (!cluster_node_is_missed(node))
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
		refused += cluster_node_is_missed(node) && pick_text(node, "refused").bytes > 0;
	}
	if (refused > 0)
		printf("node %" PRIu64
		       ", which says this, has no link with any other: it may be the "
		       "one that is wrong, its log says more\n",
		    by);
}

static void say_unfit(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return;
	while (pick_element(nodes, &at, &node)) {
		if (disk_waiting_ms(node) > 0)
			printf("node %" PRIu64 ": its disk has not answered a write for %" PRIu64
			       " s: it gets no new replicas and nothing to lead until it does; "
			       "look at that disk, and at the kernel's log\n",
			    pick_number(node, "node"), disk_waiting_ms(node) / 1000);
		if (pick_true(node, "full"))
			printf("node %" PRIu64
			       " has a full disk: until it has room it leads nothing that others "
			       "can, and gets no new replicas\n",
			    pick_number(node, "node"));
		if (pick_true(node, "no_bundle"))
			printf("node %" PRIu64
			       " has not loaded what is deployed, and leads nothing that others "
			       "can: its log says why (bundle_not_loaded)\n",
			    pick_number(node, "node"));
	}
}

static void say_shards(struct slice document, const char *name, const char *one, const char *many)
{
	uint64_t count = pick_number(document, name);
	if (count)
		printf("%" PRIu64 " %s\n", count, print_plural(count, one, many));
}

static void say_too_few(struct slice document, uint32_t wanted)
{
	uint64_t count = count_nodes(document);
	if (count < wanted)
		printf("%" PRIu64 " of %" PRIu32 " nodes %s there\n", count, wanted,
		    print_plural(count, "is", "are"));
}

/* ---- What was lost ---- */

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
		       " %s; what others had beyond it is lost (kalix-admin shard list)\n",
		    count, print_plural(count, "shard", "shards"));
	}
}

/* Those that run; and drains that are over, whose nodes may be removed. */
static void say_jobs(struct slice document)
{
	struct slice nodes, node;
	size_t at = 0;
	struct progress_job job = progress_job(document, "rebalance", 0);
	if (job.runs) {
		printf("rebalance: ");
		progress_print_job(&job, "moves");
	}
	while (pick_member(document, "nodes", &nodes) && pick_element(nodes, &at, &node)) {
		uint64_t number = pick_number(node, "node");
		job = progress_job(document, "drain", number);
		if (!job.was)
			continue;
		printf("drain of node %" PRIu64 ": ", number);
		progress_print_job(&job, "replicas");
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

static enum exit_code print_status(struct slice document, uint32_t nodes_wanted)
{
	char cluster[64];
	uint64_t survives = pick_number(document, "survives");
	print_clean(cluster, sizeof(cluster), pick_text(document, "cluster"), "");
	printf("cluster %s, replication factor %" PRIu64 "\n\n", cluster,
	    pick_number(document, "factor"));
	int error = cluster_print_nodes(document, OUTPUT_TABLE, 0);
	if (error)
		return command_failed(error, "the server's reply is no status of a cluster");
	putchar('\n');
	say_dead(document);
	say_alone(document);
	say_unfit(document);
	say_too_few(document, nodes_wanted);
	cluster_say_damaged(document);
	cluster_say_quorumless(stdout, document);
	say_recovered(document);
	say_shards(document, "leaderless", "shard has no leader: it does not serve",
	    "shards have no leader: they do not serve");
	cluster_say_standing(document);
	say_shards(document, "few", "shard has too few voters", "shards have too few voters");
	say_shards(document, "behind", "shard has voters that are behind or not heard of",
	    "shards have voters that are behind or not heard of");
	say_shards(document, "moving", "shard is not yet as it is to be",
	    "shards are not yet as they are to be");
	say_shards(document, "waiting",
	    "of them waits for a node that is not reached, or whose disk is full or does not "
	    "answer; others move meanwhile",
	    "of them wait for a node that is not reached, or whose disk is full or does not "
	    "answer; others move meanwhile");
	say_jobs(document);
	say_moves(document);
	if (pick_true(document, "well"))
		fputs("well: ", stdout);
	printf(
	    "survives %" PRIu64 " %s\n", survives, print_plural(survives, "failure", "failures"));
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

enum exit_code command_cluster_status(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code && args->wait > 0) {
		code = ask_until_well(&online, args->wait);
	} else if (!code) {
		add_words(&online);
		code = online_read(&online);
	}
	if (!code)
		code = args->format == OUTPUT_TABLE
		           ? print_status(slice_from_text(online_json(&online)), args->nodes)
		           : online_print(&online, NULL, 0);
	if (!code && !is_well(&online))
		code = EXIT_UNHEALTHY;
	online_done(&online);
	return code;
}
