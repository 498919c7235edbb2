/* cluster rebalance: how even replicas and leaders are over the nodes, what is left to move, and
 * how far that is. The cluster evens them out by itself; here it is seen, and waited for. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/progress.h"

enum { NODES_MAX = 256 };

/* Of the nodes that may have replicas, without the directory's, which is on all. */
struct share {
	uint64_t node, replicas, leads, load;
};

struct balance {
	uint32_t count;
	bool even;       /* for the cluster, which looks at zones and disks too */
	uint64_t moving; /* shards */
	/* Of those nobody knows what is left; quorumless: of them those that wait for nodes. */
	uint64_t leaderless, quorumless;
	struct progress_job job;
	struct share shares[NODES_MAX];
};

static struct share *share_of(struct balance *balance, uint64_t node)
{
	for (uint32_t i = 0; i < balance->count; i++)
		if (balance->shares[i].node == node)
			return &balance->shares[i];
	return NULL;
}

static void read_nodes(struct slice document, struct balance *balance)
{
	struct slice nodes, node;
	size_t at = 0;
	if (!pick_member(document, "nodes", &nodes))
		return;
	while (pick_element(nodes, &at, &node) && balance->count < NODES_MAX) {
		bool takes = pick_true(node, "alive") &&
		             slice_equal(pick_text(node, "state"), slice_from_text("member"));
		uint64_t replicas = pick_number(node, "replicas");
		if (takes)
			balance->shares[balance->count++] =
			    (struct share){.node = pick_number(node, "node"),
			        .replicas = replicas > 0 ? replicas - 1 : 0,
			        .load = pick_number(node, "load")};
	}
}

static void read_balance(struct slice document, struct balance *balance)
{
	struct slice shards, shard;
	size_t at = 0;
	*balance = (struct balance){.even = pick_true(document, "even"),
	    .leaderless = pick_number(document, "leaderless"),
	    .quorumless = pick_number(document, "quorumless"),
	    .job = progress_job(document, "rebalance", 0)};
	/* What the last plan says of those that have not settled may be older than they are. */
	balance->moving = balance->even ? 0 : pick_number(document, "moving");
	read_nodes(document, balance);
	if (!pick_member(document, "shards", &shards))
		return;
	while (pick_element(shards, &at, &shard)) {
		struct share *share = share_of(balance, pick_number(shard, "leader"));
		if (share && pick_number(shard, "shard") != 0)
			share->leads++;
	}
}

static uint64_t value_of(const struct share *share, bool leads)
{
	return leads ? share->leads : share->replicas;
}

/* So many have to move at least until no node has two more than another one. */
static uint64_t uneven(const struct balance *balance, bool leads)
{
	uint64_t sum = 0, above = 0, below = 0;
	for (uint32_t i = 0; i < balance->count; i++)
		sum += value_of(&balance->shares[i], leads);
	if (balance->count == 0 || balance->even)
		return 0;
	uint64_t least = sum / balance->count, most = least + (sum % balance->count > 0);
	for (uint32_t i = 0; i < balance->count; i++) {
		uint64_t value = value_of(&balance->shares[i], leads);
		above += value > most ? value - most : 0;
		below += value < least ? least - value : 0;
	}
	return above > below ? above : below;
}

static uint64_t left(struct slice document, const void *arg)
{
	struct balance balance;
	(void)arg;
	read_balance(document, &balance);
	uint64_t replicas = uneven(&balance, false);
	uint64_t all =
	    (balance.moving > replicas ? balance.moving : replicas) + uneven(&balance, true);
	return all > balance.leaderless ? all : balance.leaderless;
}

static void say_leaderless(const struct balance *balance, FILE *file)
{
	if (balance->leaderless == 0)
		return;
	fprintf(file, "%" PRIu64 " %s, and what is left of them is not known", balance->leaderless,
	    print_plural(balance->leaderless, "shard has no leader", "shards have no leader"));
	if (balance->quorumless > 0)
		fprintf(file,
		    "; %" PRIu64 " of them %s lost the quorum: see kalix-admin cluster status",
		    balance->quorumless, print_plural(balance->quorumless, "has", "have"));
	fputc('\n', file);
}

static const char *const columns[] = {"node", "replicas", "leads", "load"};

static int print_balance(const struct balance *balance)
{
	struct print print;
	print_begin(&print, OUTPUT_TABLE, columns, sizeof(columns) / sizeof(columns[0]));
	for (uint32_t i = 0; i < balance->count; i++) {
		print_number(&print, balance->shares[i].node);
		print_number(&print, balance->shares[i].replicas);
		print_number(&print, balance->shares[i].leads);
		print_number(&print, balance->shares[i].load);
	}
	int error = print_end(&print);
	uint64_t replicas = uneven(balance, false), leads = uneven(balance, true);
	puts("  without shard 0, the directory: every node has a replica of it, which stays; "
	     "cluster "
	     "status and node list count it\n"
	     "  load: what the shards that it leads do a second, over about a minute: calls, and "
	     "what is written in pieces of 4 KiB\n"
	     "  (where one has much more to do than others, leaderships of shards that do much "
	     "and little change places)");
	printf("\n%" PRIu64 " %s now\n", balance->moving,
	    print_plural(balance->moving, "shard moves", "shards move"));
	printf("%" PRIu64 " %s and %" PRIu64
	       " %s are to move until no node has two more than another one, or zones and full "
	       "disks allow no more\n"
	       "  the cluster does that by itself, eight shards at a time, zones apart first; "
	       "--wait SECONDS waits\n",
	    replicas, print_plural(replicas, "replica", "replicas"), leads,
	    print_plural(leads, "leadership", "leaderships"));
	say_leaderless(balance, stdout);
	if (balance->job.was) {
		printf("rebalance: ");
		progress_print_job(&balance->job, "moves");
	}
	return error;
}

static enum exit_code tell(const struct args *args, const struct balance *balance)
{
	struct print_object object;
	int error;
	if (args->format == OUTPUT_TABLE) {
		error = print_balance(balance);
		return error ? command_failed(error, "") : EXIT_DONE;
	}
	print_object_begin(&object);
	if (balance->job.was) {
		print_object_number(&object, "all", balance->job.all);
		print_object_number(&object, "began_ms", balance->job.began_ms);
	}
	print_object_number(&object, "leaderless", balance->leaderless);
	print_object_number(&object, "leaderships", uneven(balance, true));
	if (balance->job.was)
		print_object_number(&object, "left", balance->job.left);
	print_object_number(&object, "moving", balance->moving);
	if (balance->job.was)
		print_object_number(&object, "ms", balance->job.ms);
	print_object_number(&object, "quorumless", balance->quorumless);
	print_object_number(&object, "replicas", uneven(balance, false));
	if (balance->job.was)
		print_object_boolean(&object, "runs", balance->job.runs);
	error = print_object_end(&object, "", "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

enum exit_code command_cluster_rebalance(const struct args *args)
{
	struct online online;
	struct slice document;
	struct balance balance;
	enum exit_code code = cluster_document(args, &online, &document);
	if (!code) {
		read_balance(document, &balance);
		code = tell(args, &balance);
	}
	if (!code && args->wait > 0 && !args->dry_run)
		code = progress_wait(&online, args->wait,
		    &(struct progress_work){.what = "moves", .job = "rebalance", .left = left});
	if (code == EXIT_UNHEALTHY && online.code == KALIX_OK) {
		read_balance(slice_from_text(online_json(&online)), &balance);
		say_leaderless(&balance, stderr);
	}
	online_done(&online);
	return code;
}
