/* cluster recover: what is left goes on without nodes that are gone for ever. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "client/admin/cluster_document.h"
#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"

/* How long the directory may take to lead again, once it was recovered. */
enum { NODES_MAX = 16, WORD_BYTES = 8, POLL_MS = 500, TRIES_MAX = 120 };

struct recovery {
	char words[NODES_MAX][WORD_BYTES];
	size_t count;
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

static int ask(struct online *online, const struct recovery *recovery, bool dry_run)
{
	online_word(online, "ADMIN");
	online_word(online, "CLUSTER");
	online_word(online, "RECOVER");
	online_word(online, "UNSAFE");
	for (size_t i = 0; i < recovery->count; i++)
		online_word(online, recovery->words[i]);
	if (dry_run)
		online_word(online, "DRYRUN");
	return online_try(online);
}

static bool may_come(int code)
{
	return code == KALIX_UNAVAILABLE || code == KALIX_UNKNOWN_OUTCOME ||
	       code == KALIX_DEADLINE_EXCEEDED;
}

/* Whoever has just begun to lead has to hear from the others first. */
static void ask_until_answered(
    struct online *online, const struct recovery *recovery, bool dry_run, unsigned *tries)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	while (may_come(ask(online, recovery, dry_run)) && *tries < TRIES_MAX) {
		++*tries;
		(void)nanosleep(&pause, NULL);
	}
}

static void print_plan(struct slice document, const char *lost)
{
	struct slice shards, shard;
	size_t at = 0;
	uint64_t nothing = pick_number(document, "nothing");
	printf("nodes %s are gone for ever: they are removed, and never let in again\n", lost);
	if (pick_member(document, "shards", &shards))
		while (pick_element(shards, &at, &shard))
			printf("  %s %" PRIu64 ": node %" PRIu64
			       " goes on alone, with its log up to %" PRIu64 "\n",
			    pick_number(shard, "shard") == 0 ? "the directory, shard" : "shard",
			    pick_number(shard, "shard"), pick_number(shard, "node"),
			    pick_number(shard, "index"));
	if (nothing > 0)
		printf("  of %" PRIu64 " shards nothing is left: they stay closed\n", nothing);
	puts("  LOST: what those nodes had acknowledged and no other node has. There is no undo");
}

static bool is_of_directory(const struct online *online)
{
	return slice_equal(
	    pick_text(slice_from_text(online_json(online)), "phase"), slice_from_text("directory"));
}

static enum exit_code carry_out(
    struct online *online, const struct args *args, const struct recovery *recovery)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	unsigned tries = 0;
	enum exit_code code;
	do {
		if (tries > 0)
			(void)nanosleep(&pause, NULL);
		tries++;
		ask_until_answered(online, recovery, false, &tries);
		code = online_said(online);
	} while (!code && is_of_directory(online) && tries < TRIES_MAX);
	if (code)
		return code;
	if (is_of_directory(online)) {
		fputs("kalix-admin: the directory was recovered, and does not lead yet: repeat\n",
		    stderr);
		return EXIT_REFUSED;
	}
	if (args->format != OUTPUT_TABLE)
		return online_print(online, NULL, 0);
	puts("done: kalix-admin cluster status shows when all shards are led, and what was "
	     "recovered;\n  let new nodes join (empty directories, --join), and they get replicas");
	return EXIT_DONE;
}

enum exit_code command_cluster_recover(const struct args *args)
{
	struct online online;
	struct recovery recovery = {.count = 0};
	unsigned tries = TRIES_MAX - 20;
	if (!args->unsafe || !args->lost) {
		fputs(
		    "kalix-admin: cluster recover needs --unsafe, because what only the lost nodes "
		    "have is given up, and --lost with their numbers, as 2,3\n",
		    stderr);
		return EXIT_USAGE;
	}
	if (!read_lost(args->lost, &recovery)) {
		fprintf(stderr,
		    "kalix-admin: --lost takes numbers of up to %d nodes, as 2,3, not '%.40s'\n",
		    NODES_MAX, args->lost);
		return EXIT_USAGE;
	}
	enum exit_code code = online_open(args, &online);
	if (!code) {
		ask_until_answered(&online, &recovery, true, &tries);
		code = online_said(&online);
	}
	if (!code && args->format == OUTPUT_TABLE)
		print_plan(slice_from_text(online_json(&online)), args->lost);
	else if (!code && args->dry_run)
		code = online_print(&online, NULL, 0);
	if (!code && !args->dry_run) {
		if (args_confirm(args, "What only those nodes have is lost. Go on?"))
			code = carry_out(&online, args, &recovery);
		else
			code = command_not_wanted();
	}
	online_done(&online);
	return code;
}
