/* shard list, move, leader: where each shard is, and who leads it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/progress.h"

/* REPLICAS_MAX: of a shard that may be moved by hand. NODES_BYTES: the numbers of as many nodes as
 * a cluster has. */
enum {
	REPLICAS_MAX = GROUP_REPLICAS_MAX,
	NODES_BYTES = DIRECTORY_REPLICAS_MAX * 8,
	WORD_BYTES = 24,
};

/* ---- Listing ---- */

static const char *const columns[] = {"shard", "leader", "voters", "learners", "settled", "well",
    "survives", "lacks", "damaged", "recovered_index", "recovered_committed", "load"};

static void nodes_of(struct slice replicas, const char *role, char text[NODES_BYTES])
{
	struct slice replica;
	size_t at = 0, used = 0;
	text[0] = 0;
	while (pick_element(replicas, &at, &replica) && used < NODES_BYTES)
		if (slice_equal(pick_text(replica, "role"), slice_from_text(role)))
			used += (size_t)snprintf(text + used, NODES_BYTES - used, "%s%" PRIu64,
			    used ? " " : "", pick_number(replica, "node"));
}

/* What it has no quorum without, where it is damaged; where its log ended when it was recovered,
 * and up to where all that was acknowledged was kept. */
static void print_trouble(struct slice shard, struct print *print)
{
	char lacks[NODES_BYTES] = "", damaged[NODES_BYTES] = "", index[WORD_BYTES] = "",
	     committed[WORD_BYTES] = "";
	struct slice nodes, node, recovered;
	size_t at = 0, used = 0;
	if (pick_member(shard, "lacks", &nodes))
		while (pick_element(nodes, &at, &node) && used < NODES_BYTES)
			used += (size_t)snprintf(lacks + used, NODES_BYTES - used, "%s%.*s",
			    used ? " " : "", (int)node.bytes, (const char *)node.data);
	at = used = 0;
	if (pick_member(shard, "damaged", &nodes))
		while (pick_element(nodes, &at, &node) && used < NODES_BYTES)
			used += (size_t)snprintf(damaged + used, NODES_BYTES - used, "%s%" PRIu64,
			    used ? " " : "", pick_number(node, "node"));
	if (pick_member(shard, "recovered", &recovered)) {
		snprintf(index, sizeof(index), "%" PRIu64, pick_number(recovered, "index"));
		snprintf(
		    committed, sizeof(committed), "%" PRIu64, pick_number(recovered, "committed"));
	}
	print_text(print, lacks);
	print_text(print, damaged);
	print_text(print, index);
	print_text(print, committed);
}

static void print_shard(struct slice shard, struct print *print)
{
	char voters[NODES_BYTES], learners[NODES_BYTES], leader[WORD_BYTES] = "";
	struct slice replicas, value;
	if (!pick_member(shard, "replicas", &replicas))
		replicas = slice_of(NULL, 0);
	nodes_of(replicas, "voter", voters);
	nodes_of(replicas, "learner", learners);
	if (pick_member(shard, "leader", &value))
		snprintf(leader, sizeof(leader), "%" PRIu64, pick_number(shard, "leader"));
	print_number(print, pick_number(shard, "shard"));
	print_text(print, leader);
	print_text(print, voters);
	print_text(print, learners);
	print_text(print, pick_true(shard, "settled") ? "yes" : "no");
	print_text(print, pick_true(shard, "well") ? "yes" : "no");
	print_number(print, pick_number(shard, "survives"));
	print_trouble(shard, print);
	print_number(print, pick_number(shard, "load"));
}

enum exit_code command_shard_list(const struct args *args)
{
	struct online online;
	struct print print;
	struct slice document, shards, shard;
	size_t at = 0;
	enum exit_code code = cluster_document(args, &online, &document);
	if (!code && !pick_member(document, "shards", &shards))
		code = command_failed(ERR_CORRUPT, "the server's reply is no status of a cluster");
	if (!code) {
		print_begin(&print, args->format, columns, sizeof(columns) / sizeof(columns[0]));
		while (pick_element(shards, &at, &shard))
			print_shard(shard, &print);
		code = command_finish(&print, EXIT_DONE);
	}
	online_done(&online);
	return code;
}

/* ---- Changing one ---- */

struct move_words;
struct shard_change;
typedef void shard_change_add(
    struct online *online, const struct shard_change *change, struct move_words *words);

/* How it is, and what is asked for. */
struct shard_change {
	shard_change_add *add; /* the words for it */
	struct slice shard, replicas;
	const char *number, *from, *to; /* as they were given; from: moves only */
	uint64_t from_node, to_node;
	uint64_t generation; /* of the shard's record since it was changed; moves only */
};

static enum exit_code say(enum exit_code code, const char *what, const char *word)
{
	fprintf(stderr, "kalix-admin: %s '%.40s'\n", what, word);
	return code;
}

/* Connects, and finds what the words name. */
static enum exit_code look(
    const struct args *args, struct online *ret_online, struct shard_change *change)
{
	struct slice document;
	uint64_t number;
	enum exit_code code;
	*ret_online = (struct online){.args = args};
	if (!args_number(change->number, 0, UINT32_MAX, &number))
		return say(EXIT_USAGE, "a shard is a number, not", change->number);
	if (change->from &&
	    !args_number(change->from, 1, CLUSTER_NODE_NUMBER_MAX, &change->from_node))
		return say(EXIT_USAGE, "a node is a number from 1 to 65535, not", change->from);
	if (!args_number(change->to, 1, CLUSTER_NODE_NUMBER_MAX, &change->to_node))
		return say(EXIT_USAGE, "a node is a number from 1 to 65535, not", change->to);
	code = cluster_document(args, ret_online, &document);
	if (code)
		return code;
	if (cluster_is_stuck(document))
		return EXIT_UNREACHABLE;
	if (!pick_numbered(document, "shards", "shard", number, &change->shard) ||
	    !pick_member(change->shard, "replicas", &change->replicas))
		return say(EXIT_REFUSED, "there is no shard", change->number);
	return EXIT_DONE;
}

static bool is_on(const struct shard_change *change, uint64_t node)
{
	struct slice replica;
	size_t at = 0;
	while (pick_element(change->replicas, &at, &replica))
		if (pick_number(replica, "node") == node)
			return true;
	return false;
}

static enum exit_code confirm(const struct args *args, const struct shard_change *change)
{
	struct print_object object;
	if (args->dry_run && args->format != OUTPUT_TABLE) {
		print_object_begin(&object);
		print_object_boolean(&object, "dry_run", true);
		if (change->from)
			print_object_number(&object, "from", change->from_node);
		print_object_number(&object, "shard", pick_number(change->shard, "shard"));
		print_object_number(&object, "to", change->to_node);
		int error = print_object_end(&object, "", "\n");
		return error ? command_failed(error, "") : EXIT_DONE;
	}
	if (args->dry_run || args_confirm_undoable(args, "Go on?"))
		return EXIT_DONE;
	return command_not_wanted();
}

/* The words for those of one role, with the one that moves elsewhere. */
static void add_nodes(struct online *online, const struct shard_change *change, const char *role,
    char words[REPLICAS_MAX][WORD_BYTES], size_t *count)
{
	struct slice replica;
	size_t at = 0;
	bool first = true;
	while (pick_element(change->replicas, &at, &replica) && *count < REPLICAS_MAX) {
		uint64_t node = pick_number(replica, "node");
		if (!slice_equal(pick_text(replica, "role"), slice_from_text(role)))
			continue;
		if (first && strcmp(role, "learner") == 0)
			online_word(online, "LEARNERS");
		first = false;
		if (node == change->from_node)
			node = change->to_node;
		snprintf(words[*count], WORD_BYTES, "%" PRIu64, node);
		online_word(online, words[(*count)++]);
	}
}

/* The words, which stay until they are sent. */
struct move_words {
	char nodes[REPLICAS_MAX][WORD_BYTES], generation[WORD_BYTES];
};

static void add_move(
    struct online *online, const struct shard_change *change, struct move_words *words)
{
	size_t count = 0;
	snprintf(words->generation, sizeof(words->generation), "%" PRIu64,
	    pick_number(change->shard, "generation"));
	online_word(online, "ADMIN");
	online_word(online, "SHARD");
	online_word(online, "SET");
	online_word(online, change->number);
	online_word(online, words->generation);
	add_nodes(online, change, "voter", words->nodes, &count);
	add_nodes(online, change, "learner", words->nodes, &count);
}

static void add_lead(
    struct online *online, const struct shard_change *change, struct move_words *words)
{
	(void)words;
	online_word(online, "ADMIN");
	online_word(online, "SHARD");
	online_word(online, "LEAD");
	online_word(online, change->number);
	online_word(online, change->to);
}

static size_t count_replicas(const struct shard_change *change)
{
	struct slice replica;
	size_t at = 0, count = 0;
	while (pick_element(change->replicas, &at, &replica))
		count++;
	return count;
}

/* Whether it would be done. Over another connection: what the first one has answered stays. */
static enum exit_code try_dry(const struct args *args, const struct shard_change *change)
{
	struct online online;
	struct move_words words;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		change->add(&online, change, &words);
		online_word(&online, "DRYRUN");
		code = online_read(&online);
	}
	online_done(&online);
	return code;
}

/* 1: it is on its way. */
static uint64_t left_to_move(struct slice document, const void *arg)
{
	struct shard_change now = *(const struct shard_change *)arg;
	uint64_t number;
	if (!args_number(now.number, 0, UINT32_MAX, &number) ||
	    !pick_numbered(document, "shards", "shard", number, &now.shard) ||
	    !pick_member(now.shard, "replicas", &now.replicas))
		return 1;
	return !pick_true(now.shard, "settled") || is_on(&now, now.from_node) ||
	       !is_on(&now, now.to_node);
}

/* Or its record was changed since, and that is done already. */
static bool is_wanted(struct slice document, const void *arg)
{
	const struct shard_change *change = arg;
	struct slice shard;
	uint64_t number;
	return !args_number(change->number, 0, UINT32_MAX, &number) ||
	       !pick_numbered(document, "shards", "shard", number, &shard) ||
	       !pick_true(shard, "settled") ||
	       pick_number(shard, "generation") <= change->generation;
}

static void print_plan(const struct shard_change *change)
{
	uint64_t leader = pick_number(change->shard, "leader");
	if (change->from)
		printf("shard %s: its replica on node %s goes, and one on node %s comes first\n"
		       "  undo: kalix-admin shard move %s %s %s\n",
		    change->number, change->from, change->to, change->number, change->to,
		    change->from);
	else if (leader == change->to_node)
		printf("shard %s: node %s leads it already\n", change->number, change->to);
	else
		printf("shard %s: node %" PRIu64 " leads it, and is asked to let node %s\n",
		    change->number, leader, change->to);
}

/* What is not refused is planned, asked for, and done. */
static enum exit_code carry_out(
    const struct args *args, struct online *online, const struct shard_change *change)
{
	struct move_words words;
	enum exit_code code = try_dry(args, change);
	if (!code && args->format == OUTPUT_TABLE)
		print_plan(change);
	if (!code)
		code = confirm(args, change);
	if (code || args->dry_run)
		return code;
	change->add(online, change, &words);
	return online_change(online);
}

static enum exit_code may_move(const struct shard_change *change)
{
	if (pick_number(change->shard, "shard") == 0) {
		fputs("kalix-admin: shard 0, the directory, has a replica on every node: none of "
		      "them moves\n",
		    stderr);
		return EXIT_REFUSED;
	}
	if (!is_on(change, change->from_node))
		return say(EXIT_REFUSED, "the shard has no replica on node", change->from);
	if (is_on(change, change->to_node))
		return say(EXIT_REFUSED, "the shard has a replica already on node", change->to);
	/* Only then its members are the wanted ones, of which one changes. */
	if (!pick_true(change->shard, "settled"))
		return say(EXIT_REFUSED,
		    "it is led by nobody, or moves already (kalix-admin shard list): shard",
		    change->number);
	/* All that stay are said to the server. */
	if (count_replicas(change) > REPLICAS_MAX) {
		fprintf(stderr,
		    "kalix-admin: the shard has more than %d replicas, and is not "
		    "moved by hand\n",
		    REPLICAS_MAX);
		return EXIT_REFUSED;
	}
	return EXIT_DONE;
}

enum exit_code command_shard_move(const struct args *args)
{
	struct online online;
	struct shard_change change = {
	    .add = add_move, .number = args->word[2], .from = args->word[3], .to = args->word[4]};
	enum exit_code code = look(args, &online, &change);
	if (!code)
		code = may_move(&change);
	if (!code) {
		code = carry_out(args, &online, &change);
		cluster_explain(args, code);
	}
	if (!code && !args->dry_run)
		change.generation =
		    pick_number(slice_from_text(online_json(&online)), "generation");
	if (!code && !args->dry_run)
		code = cluster_changed(
		    &online, "it moves now: kalix-admin shard list shows when it has settled");
	if (!code && !args->dry_run && args->wait > 0)
		code = progress_wait(&online, args->wait,
		    &(struct progress_work){.what = "moves",
		        .left = left_to_move,
		        .wanted = is_wanted,
		        .since = 1,
		        .taken_back =
		            "the shard was moved again meanwhile: by somebody, or because "
		            "the cluster evens out what is left uneven (kalix-admin shard "
		            "list)",
		        .arg = &change});
	online_done(&online);
	return code;
}

enum exit_code command_shard_leader(const struct args *args)
{
	struct online online;
	struct shard_change change = {
	    .add = add_lead, .number = args->word[2], .to = args->word[3]};
	enum exit_code code = look(args, &online, &change);
	bool leads = !code && pick_number(change.shard, "leader") == change.to_node;
	if (!code) {
		code = carry_out(args, &online, &change);
		cluster_explain(args, code);
	}
	if (!code && !args->dry_run)
		code = cluster_changed(
		    &online, leads ? "nothing is to be done"
		                   : "it leads in a moment, where it has all of the log");
	online_done(&online);
	return code;
}
