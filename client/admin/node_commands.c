/* node list, drain, undrain, remove: which machines the cluster has. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "client/admin/progress.h"
#include "client/admin/refused.h"

/* What is asked for, and of which node. */
struct node_change {
	const char *verb, *done;
	uint64_t node;
	const char *word; /* the node, as it was given */
	bool force, unproved;
};

/* ---- Listing ---- */

/* How long the directory has to answer, before the node that is asked says what it knows. */
enum { LIST_MS = 1500 };

static enum exit_code print_nodes(
    const struct args *args, const struct online *online, uint64_t known_by)
{
	struct slice document = slice_from_text(online_json(online));
	int error = cluster_print_nodes(document, args->format, known_by);
	return error ? command_failed(error, "the server's reply is no list of nodes") : EXIT_DONE;
}

/* Over a connection of its own: the answer that did not come in time may still stand before it. */
static enum exit_code list_known(const struct args *args, struct online *online)
{
	online_done(online);
	enum exit_code code = online_open(args, online);
	if (code)
		return code;
	online_word(online, "ADMIN");
	online_word(online, "NODE");
	online_word(online, "LIST");
	code = online_run(online);
	if (code)
		return code;
	uint64_t by = pick_number(slice_from_text(online_json(online)), "by");
	fprintf(stderr,
	    "kalix-admin: the directory does not answer: this is what node %" PRIu64 " knows\n",
	    by);
	return print_nodes(args, online, by);
}

enum exit_code command_node_list(const struct args *args)
{
	struct online online;
	struct args quick = *args;
	if (quick.timeout_ms == 0)
		quick.timeout_ms = LIST_MS;
	enum exit_code code = online_open(&quick, &online);
	if (!code) {
		cluster_ask(&online);
		if (online_may_come(online.code))
			code = list_known(&quick, &online);
		else if (!(code = online_said(&online)))
			code = print_nodes(args, &online, 0);
	}
	online_done(&online);
	return code;
}

/* ---- The plan ---- */

/* How many replicas a shard has, of those nodes that may have some: now, and when the node is
 * drained or gone. */
struct copies {
	uint64_t now, then;
	uint64_t stay, room; /* the nodes that remain, and of those who lives and takes more */
};

static bool is_member(struct slice node)
{
	return slice_equal(pick_text(node, "state"), slice_from_text("member"));
}

static struct copies count_copies(struct slice document, uint64_t number)
{
	struct copies copies = {.now = 0};
	struct slice nodes, node;
	size_t at = 0;
	uint64_t factor = pick_number(document, "factor");
	if (!pick_member(document, "nodes", &nodes))
		return copies;
	while (pick_element(nodes, &at, &node)) {
		bool other = pick_number(node, "node") != number;
		if (!is_member(node))
			continue;
		copies.now++;
		copies.stay += other;
		copies.room += other && pick_true(node, "alive") && !pick_true(node, "full") &&
		               pick_number(node, "disk_waiting_ms") == 0;
	}
	copies.then = copies.stay < factor ? copies.stay : factor;
	if (copies.now > factor)
		copies.now = factor;
	return copies;
}

/* What fewer nodes can hold. */
static void print_copies(const struct copies *copies)
{
	if (copies->stay == 0) {
		puts("  NO OTHER NODE may have replicas: they stay where they are until one joins");
		return;
	}
	if (copies->then < copies->now) {
		uint64_t survives = (copies->then - 1) / 2;
		printf("  FEWER COPIES: shards will have %" PRIu64 " %s instead of %" PRIu64
		       " on the %s that %s; they survive %" PRIu64 " %s then\n",
		    copies->then, print_plural(copies->then, "copy", "copies"), copies->now,
		    print_plural(copies->stay, "node", "nodes"),
		    print_plural(copies->stay, "remains", "remain"), survives,
		    print_plural(survives, "failure", "failures"));
	}
	if (copies->room < copies->then)
		printf("  of the %" PRIu64 " %s that %s only %" PRIu64
		       " can be given replicas now: what would go to others stays until they are "
		       "back, or have room\n",
		    copies->stay, print_plural(copies->stay, "node", "nodes"),
		    print_plural(copies->stay, "remains", "remain"), copies->room);
}

static bool takes_away(const struct node_change *change)
{
	return strcmp(change->verb, "UNDRAIN") != 0;
}

/* It is already as it is asked for. */
static bool changes_nothing(const struct node_change *change, struct slice node)
{
	return strcmp(change->verb, "REMOVE") != 0 && is_member(node) != takes_away(change);
}

/* What it comes to, and how that is taken back. */
static void print_change(const struct node_change *change, struct slice node)
{
	if (changes_nothing(change, node))
		puts(takes_away(change) ? "  it is drained already: nothing changes"
		                        : "  it is not drained: nothing changes");
	if (strcmp(change->verb, "DRAIN") == 0)
		printf("  its replicas move to other nodes, one after the other; the directory's "
		       "stays\n"
		       "  undo: kalix-admin node undrain %" PRIu64 "\n",
		    change->node);
	else if (strcmp(change->verb, "REMOVE") == 0)
		printf("  it goes for good, and is let in no more; its machine may join as another "
		       "node, with an empty data directory\n");
	else if (!changes_nothing(change, node))
		printf("  it may have replicas again\n"
		       "  undo: kalix-admin node drain %" PRIu64 "\n",
		    change->node);
}

static void print_plan(
    const struct node_change *change, struct slice node, const struct copies *copies)
{
	char address[CLUSTER_ADDRESS_BYTES], state[32];
	uint64_t replicas = pick_number(node, "replicas");
	cluster_node_address(node, address);
	print_clean(state, sizeof(state), pick_text(node, "state"), "");
	printf("node %" PRIu64 ", %s, %s, %s, %" PRIu64 " %s\n", change->node, address, state,
	    pick_true(node, "alive") ? "alive" : "not alive", replicas,
	    print_plural(replicas, "replica", "replicas"));
	if (takes_away(change) && is_member(node))
		print_copies(copies);
	print_change(change, node);
	if (change->force)
		puts("  FORCED: its replicas are given up, with what only they have");
	struct slice refused = pick_text(node, "refused");
	if (change->unproved && refused.bytes > 0)
		printf(
		    "  UNPROVED: somebody answers at its address, but %s\n", refused_text(refused));
}

static enum exit_code print_plan_as_json(
    const struct node_change *change, struct slice node, const struct copies *copies)
{
	struct print_object object;
	print_object_begin(&object);
	if (takes_away(change)) {
		print_object_number(&object, "copies", copies->now);
		print_object_number(&object, "copies_then", copies->then);
	}
	print_object_boolean(&object, "dry_run", true);
	print_object_number(&object, "node", change->node);
	print_object_number(&object, "replicas", pick_number(node, "replicas"));
	print_object_text(&object, "state", pick_text(node, "state"));
	int error = print_object_end(&object, "", "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

/* Nothing is left to be done. */
static enum exit_code print_removed(const struct args *args, const struct node_change *change)
{
	struct print_object object;
	if (args->format == OUTPUT_TABLE) {
		printf("node %" PRIu64 " is removed already\n", change->node);
		return EXIT_DONE;
	}
	print_object_begin(&object);
	print_object_boolean(&object, "already", true);
	print_object_number(&object, "node", change->node);
	json_write_key(&object.json, slice_from_text("shards"));
	json_write_array_begin(&object.json);
	json_write_array_end(&object.json);
	int error = print_object_end(&object, "", "\n");
	return error ? command_failed(error, "") : EXIT_DONE;
}

/* What is not refused is planned, and asked for. */
static enum exit_code plan(const struct args *args, const struct node_change *change,
    struct slice document, struct slice node)
{
	struct copies copies = count_copies(document, change->node);
	if (args->format == OUTPUT_TABLE)
		print_plan(change, node, &copies);
	else if (args->dry_run)
		return print_plan_as_json(change, node, &copies);
	if (args->dry_run)
		return EXIT_DONE;
	bool good = change->force ? args_confirm(args, "What only it has is lost. Go on?")
	                          : args_confirm_undoable(args, "Go on?");
	if (good)
		return EXIT_DONE;
	return command_not_wanted();
}

/* ---- Waiting ---- */

/* Replicas that are wanted there or, wanted no more, still members; the directory's stays. The last
 * one counts until the node may be removed: a group may have let go of it, and not know that for
 * good. */
static uint64_t left_on(struct slice document, const void *arg)
{
	const struct node_change *change = arg;
	struct slice shards, shard, replicas, replica;
	size_t at = 0;
	uint64_t members = 0;
	if (!pick_member(document, "shards", &shards))
		return 1;
	while (pick_element(shards, &at, &shard)) {
		size_t from = 0;
		if (pick_number(shard, "shard") == 0 || !pick_member(shard, "replicas", &replicas))
			continue;
		while (pick_element(replicas, &from, &replica))
			members += pick_number(replica, "node") == change->node;
	}
	struct slice node = slice_of(NULL, 0);
	uint64_t wanted = pick_numbered(document, "nodes", "node", change->node, &node)
	                      ? pick_number(node, "replicas")
	                      : 0;
	wanted -= wanted > 0;
	if (members < wanted)
		members = wanted;
	bool may_go = pick_true(node, "removable") ||
	              slice_equal(pick_text(node, "state"), slice_from_text("removed"));
	return members > 0 || may_go ? members : 1;
}

static bool is_draining(struct slice document, const void *arg)
{
	const struct node_change *change = arg;
	struct slice node;
	return pick_numbered(document, "nodes", "node", change->node, &node) &&
	       !slice_equal(pick_text(node, "state"), slice_from_text("member"));
}

/* ---- Doing it ---- */

/* Done twice it is the same. */
static enum exit_code send(struct online *online, const struct node_change *change, bool dry_run)
{
	online_word(online, "ADMIN");
	online_word(online, "NODE");
	online_word(online, change->verb);
	online_word(online, change->word);
	if (change->force)
		online_word(online, "FORCE");
	if (change->unproved)
		online_word(online, "UNPROVED");
	if (dry_run)
		online_word(online, "DRYRUN");
	return online_read(online);
}

/* `asked`: has answered with how the cluster is. The server is asked what it would do over another
 * connection, so that its answer stays. */
static enum exit_code carry_out(const struct args *args, const struct node_change *change,
    struct online *asked, struct slice document)
{
	struct online online;
	struct slice node;
	enum exit_code code;
	if (!pick_numbered(document, "nodes", "node", change->node, &node)) {
		fprintf(stderr, "kalix-admin: there is no node %s: see kalix-admin node list\n",
		    change->word);
		return EXIT_REFUSED;
	}
	if (strcmp(change->verb, "REMOVE") == 0 && cluster_node_is_removed(node))
		return print_removed(args, change);
	code = online_open(args, &online);
	if (!code)
		code = send(&online, change, true);
	online_done(&online);
	if (!code)
		code = plan(args, change, document, node);
	if (code || args->dry_run)
		return code;
	/* Behind it `node` is no more: its document is the last answer's. */
	bool nothing = changes_nothing(change, node);
	code = send(asked, change, false);
	uint64_t since = code ? 0 : pick_number(slice_from_text(online_json(asked)), "version");
	if (!code)
		code = cluster_changed(asked, nothing ? "nothing was to be done" : change->done);
	if (!code && args->wait > 0)
		code = progress_wait(asked, args->wait,
		    &(struct progress_work){.what = "replicas",
		        .job = "drain",
		        .node = change->node,
		        .left = left_on,
		        .wanted = is_draining,
		        .since = since,
		        .taken_back = "the drain was taken back meanwhile (node undrain): the node "
		                      "may have replicas again",
		        .arg = change});
	if (!code && args->wait > 0 && args->format == OUTPUT_TABLE)
		printf("drained: kalix-admin node remove %" PRIu64 " takes it out\n", change->node);
	return code;
}

static enum exit_code make_change(const struct args *args, struct node_change change)
{
	struct online online;
	struct slice document;
	change.word = args->word[2];
	if (!args_number(change.word, 1, CLUSTER_NODE_NUMBER_MAX, &change.node)) {
		fprintf(stderr, "kalix-admin: a node is a number from 1 to 65535, not '%.40s'\n",
		    change.word);
		return EXIT_USAGE;
	}
	enum exit_code code = cluster_document(args, &online, &document);
	if (!code && cluster_is_stuck(document)) {
		code = EXIT_UNREACHABLE;
	} else if (!code) {
		code = carry_out(args, &change, &online, document);
		cluster_explain(args, code);
	}
	online_done(&online);
	return code;
}

enum exit_code command_node_drain(const struct args *args)
{
	return make_change(args, (struct node_change){.verb = "DRAIN",
	                             .done = "kalix-admin node list shows how many replicas it "
	                                     "still has"});
}

enum exit_code command_node_undrain(const struct args *args)
{
	return make_change(
	    args, (struct node_change){.verb = "UNDRAIN", .done = "it is a member again"});
}

enum exit_code command_node_remove(const struct args *args)
{
	if (args->unproved && !args->force) {
		fputs("kalix-admin: --unproved is of node remove --force\n", stderr);
		return EXIT_USAGE;
	}
	return make_change(args, (struct node_change){.verb = "REMOVE",
	                             .done = "it is removed",
	                             .force = args->force,
	                             .unproved = args->unproved});
}
