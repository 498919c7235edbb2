/* kalix-admin: the administration of Kalix, of a running server and of a stopped one's data
 * directory. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "client/admin/args.h"
#include "client/admin/commands.h"

enum {
	/* Of commands that talk to a server, that change apps, and that open a data directory. */
	ONLINE = ARGS_NODE | ARGS_TIMEOUT,
	CHANGE = ONLINE | ARGS_DRY_RUN | ARGS_EXPECT | ARGS_DROP,
	PAGE = ONLINE | ARGS_COUNT | ARGS_CURSOR,
	LOAD = ONLINE | ARGS_CONNECTIONS | ARGS_PIPELINE | ARGS_SECONDS | ARGS_RATE,
	OFFLINE = ARGS_DATA | ARGS_STORE,
	REPAIR = OFFLINE | ARGS_ACCEPT_LOSS | ARGS_DRY_RUN,
};

static const struct admin_command commands[] = {
    {"app", "init", 1, 2, false, 0, command_app_init, "app init DIR [NAME]",
        "write a first app, to be changed"},
    {"app", "check", 0, 1, false, 0, command_app_check, "app check [DIR]",
        "load an app as a server would, and say what is wrong; needs no server"},
    {"app", "test", 0, 1, false, ARGS_FILTER, command_app_test, "app test [DIR] [--filter TEXT]",
        "run the app's tests/..._test.lua, all or those that have TEXT in their names; needs no "
        "server"},
    {"app", "deploy", 0, 1, false, CHANGE, command_app_deploy,
        "app deploy [DIR] [--dry-run] [--drop TYPE] [--expect HASH] [--yes]",
        "upload an app and make it active on every shard"},
    {"app", "replay", 0, 2, false, ONLINE, command_app_replay, "app replay [DIR [TYPE | ADDRESS]]",
        "read what a server has with the app in DIR: fold all events anew, and migrate; status 7 "
        "where a state differs"},
    {"app", "list", 0, 0, false, ONLINE, command_app_list, "app list", "apps, and what is active"},
    {"app", "activate", 2, 2, false, CHANGE, command_app_activate,
        "app activate APP HASH [--dry-run]", "make a version active that was active before"},
    {"app", "rollback", 1, 1, false, CHANGE, command_app_rollback, "app rollback APP [--dry-run]",
        "go back to the version before"},
    {"app", "remove", 1, 1, false, CHANGE, command_app_remove,
        "app remove APP --drop TYPE ... --yes",
        "stop serving an app, and destroy all that it holds; each of its types has to be named"},
    {"call", NULL, 1, 3, false, ONLINE | ARGS_TOKEN, command_call,
        "call ADDRESS [COMMAND [JSON]] [--token TOKEN] [--timeout MS]",
        "call an entity; without a command, list what it understands; JSON '-' is read from "
        "standard input"},
    {"entity", "get", 1, 1, false, ONLINE | ARGS_AT_REVISION | ARGS_STORED, command_entity,
        "entity get ADDRESS [--at-revision N] [--stored]", "the state, now or as it was"},
    {"entity", "history", 1, 1, false, PAGE | ARGS_STORED, command_entity,
        "entity history ADDRESS [--count N] [--cursor C] [--stored]", "its events, oldest first"},
    {"entity", "list", 1, 1, false, PAGE, command_entity,
        "entity list TYPE [--count N] [--cursor C]", "addresses of a type"},
    {"error", NULL, 1, 1, false, ONLINE | ARGS_COUNT, command_error,
        "error REFERENCE | error list [--count N]", "what was behind an INTERNAL error"},
    {"status", NULL, 0, 0, false, ONLINE, command_status, "status",
        "how the server is; status 8 where it is not well"},
    {"cluster", "status", 0, 0, false, ONLINE | ARGS_WAIT | ARGS_NODES, command_cluster_status,
        "cluster status [--wait SECONDS] [--nodes N]",
        "how all nodes and shards are; status 8 where not all is well, or fewer than N nodes are "
        "there; --wait: until it is"},
    {"cluster", "rebalance", 0, 0, false, ONLINE | ARGS_WAIT | ARGS_DRY_RUN,
        command_cluster_rebalance, "cluster rebalance [--dry-run] [--wait SECONDS]",
        "how even replicas and leaders are over the nodes, and what the cluster has left to move; "
        "--wait: until it is done, with progress"},
    {"cluster", "recover", 0, 0, false,
        ONLINE | ARGS_UNSAFE | ARGS_LOST | ARGS_DAMAGED | ARGS_UNPROVED | ARGS_DRY_RUN,
        command_cluster_recover,
        "cluster recover --unsafe [--lost N,N [--unproved]] [--damaged] [--dry-run] --yes",
        "nodes are gone for ever, or replicas damaged, and shards have no quorum without them: "
        "what is left goes on with what it has; the rest is lost"},
    {"node", "list", 0, 0, false, ONLINE, command_node_list, "node list",
        "the machines of the cluster, and what each has"},
    {"node", "drain", 1, 1, false, ONLINE | ARGS_DRY_RUN | ARGS_WAIT, command_node_drain,
        "node drain N [--dry-run] [--wait SECONDS]",
        "move its replicas to other nodes, so that it can go"},
    {"node", "undrain", 1, 1, false, ONLINE | ARGS_DRY_RUN, command_node_undrain,
        "node undrain N [--dry-run]", "let it have replicas again"},
    {"node", "remove", 1, 1, false, ONLINE | ARGS_DRY_RUN | ARGS_FORCE | ARGS_UNPROVED,
        command_node_remove, "node remove N [--dry-run] [--force [--unproved] --yes]",
        "let it go for good, when it has no replicas; --force: it is dead and never comes back"},
    {"shard", "list", 0, 0, false, ONLINE, command_shard_list, "shard list",
        "who leads each shard, and which nodes have it"},
    {"shard", "move", 3, 3, false, ONLINE | ARGS_DRY_RUN | ARGS_WAIT, command_shard_move,
        "shard move SHARD FROM TO [--dry-run] [--wait SECONDS]",
        "move a replica from one node to another"},
    {"shard", "leader", 2, 2, false, ONLINE | ARGS_DRY_RUN, command_shard_leader,
        "shard leader SHARD NODE [--dry-run]", "let another node lead a shard"},
    {"doctor", NULL, 0, 1, false, ONLINE, command_doctor, "doctor [DIR]",
        "look at this machine, the disk of DIR, and the server, and say what to do; status 8 where "
        "something fails"},
    {"logs", NULL, 0, 0, false, ONLINE | ARGS_COUNT | ARGS_FOLLOW, command_logs,
        "logs [--count N] [--follow]", "the server's last log lines, and those that come"},
    {"slowlog", NULL, 0, 1, false, ONLINE | ARGS_COUNT, command_slowlog,
        "slowlog [--count N] | slowlog reset",
        "calls that took longer than slowlog_threshold, newest first"},
    {"bench", NULL, 2, 3, false, LOAD, command_bench,
        "bench ADDRESS COMMAND [JSON] [--connections N] [--pipeline N] [--seconds N] [--rate N]",
        "call for ten seconds, and say how many calls were answered and how long they took"},
    {"completion", NULL, 1, 1, false, 0, command_completion, "completion bash|zsh|fish",
        "print what the shell needs to complete all this; needs no server"},
    {"config", "check", 1, 1, false, 0, command_config_check, "config check FILE",
        "read a kalix.conf as kalixd would, and say what is wrong and where; needs no server"},
    {"config", "get", 0, ARGS_WORDS_MAX - 2, false, ONLINE, command_config_get,
        "config get [NAME ...]", "the values of a running server, and where each is from"},
    {"config", "set", 2, 2, false, ONLINE, command_config_set, "config set NAME VALUE",
        "change what can be changed while the server runs, until its next start"},
    {"log", "verify", 0, 1, true, OFFLINE, command_log_verify, "log verify DIR [--store N]",
        "read every live frame of the log and judge it as a start would"},
    {"log", "dump", 0, 1, true, OFFLINE | ARGS_RECORDS, command_log_dump,
        "log dump DIR [--store N] [--records]",
        "list the frames, or the records in them (never their payload)"},
    {"log", "repair", 0, 1, true, REPAIR | ARGS_FORCE, command_log_repair,
        "log repair DIR --accept-loss [--store N] [--dry-run] [--yes] [--force]",
        "give up what is damaged, after saying what that is and keeping a copy"},
    {"store", "verify", 0, 1, true, OFFLINE, command_store_verify, "store verify DIR [--store N]",
        "read every block of the checkpoint and check it"},
    {"store", "dump", 0, 1, true, OFFLINE | ARGS_KEYS, command_store_dump,
        "store dump DIR [--store N] [--keys]",
        "list the shards' progress, or the keys (never their values)"},
    {"store", "repair", 0, 1, true, REPAIR | ARGS_FORCE, command_store_repair,
        "store repair DIR --accept-loss [--store N] [--dry-run] [--yes] [--force]",
        "write what can be read to a new checkpoint, after saying what cannot, and keep the old "
        "one"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

size_t admin_command_count(void)
{
	return COMMAND_COUNT;
}

const struct admin_command *admin_command(size_t number)
{
	ASSERT(number < COMMAND_COUNT);
	return &commands[number];
}

static void print_commands(FILE *to, bool offline)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (commands[i].offline == offline)
			fprintf(to, "  %s\n        %s\n", commands[i].usage, commands[i].what);
}

static void print_usage(FILE *to)
{
	fputs("usage: kalix-admin COMMAND [OPTION...]\n\nWith a running server:\n", to);
	print_commands(to, false);
	fputs("\nOn the data directory of a stopped server:\n", to);
	print_commands(to, true);
	fputs("\nOptions:\n"
	      "  --node HOST:PORT         the server (else KALIX_NODE, else 127.0.0.1:7470)\n"
	      "  --data DIR               the data directory, where it is not given as a word\n"
	      "  --store N                one store instead of all\n"
	      "  -o table|json|jsonl      how to print\n"
	      "  --yes                    do not ask\n"
	      "  --dry-run                say what would be done, and do nothing\n"
	      "  --help, --version\n\n"
	      "Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no server reached, 4 not\n"
	      "authorised, 5 conflict, 6 outcome unknown, 7 differences found, 8 damage found or\n"
	      "not healthy.\n",
	    to);
}

static bool is_command(const struct admin_command *command, const struct args *args)
{
	if (args->words == 0 || strcmp(command->noun, args->word[0]) != 0)
		return false;
	return !command->verb || (args->words > 1 && strcmp(command->verb, args->word[1]) == 0);
}

static const struct admin_command *find_command(const struct args *args)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (is_command(&commands[i], args))
			return &commands[i];
	return NULL;
}

/* What is meant by a noun alone, or with a verb that it does not have. */
static void unknown_command(const struct args *args, char *why, size_t why_bytes)
{
	snprintf(why, why_bytes, "there is no command '%.40s%s%.40s'", args->word[0],
	    args->words > 1 ? " " : "", args->words > 1 ? args->word[1] : "");
	const char *before = "; there is ";
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		if (!commands[i].verb || strcmp(commands[i].noun, args->word[0]) != 0)
			continue;
		size_t used = strlen(why);
		snprintf(why + used, why_bytes - used, "%s%s %s", before, commands[i].noun,
		    commands[i].verb);
		before = ", ";
	}
}

static enum exit_code usage_error(const char *what)
{
	fprintf(stderr, "kalix-admin: %s\nSee kalix-admin --help.\n", what);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct args args;
	char why[256];
	/* In a pipe, too, lines stand among those of standard error where they were said. Where
	 * that failed, only this order would be lost. */
	(void)setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	if (args_parse(argc, argv, &args, why, sizeof(why)) != 0)
		return usage_error(why);
	if (args.version) {
		puts("kalix-admin " PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (args.help || args.words == 0) {
		print_usage(args.help ? stdout : stderr);
		return args.help ? EXIT_DONE : EXIT_USAGE;
	}
	const struct admin_command *command = find_command(&args);
	if (!command) {
		unknown_command(&args, why, sizeof(why));
		return usage_error(why);
	}
	unsigned own = command->verb ? 2 : 1;
	if (args.words > own + command->words_max) {
		snprintf(why, sizeof(why), "too many words: %s", command->usage);
		return usage_error(why);
	}
	if (args.words < own + command->words_min) {
		snprintf(why, sizeof(why), "something is missing: %s", command->usage);
		return usage_error(why);
	}
	const char *option = args_not_allowed(&args, command->options);
	if (option) {
		snprintf(
		    why, sizeof(why), "%s is not for this command: %s", option, command->usage);
		return usage_error(why);
	}
	if (command->offline && args.words == 3)
		args.data = args.word[2];
	if (command->offline && !args.data) {
		snprintf(why, sizeof(why), "which data directory? %s", command->usage);
		return usage_error(why);
	}
	return command->run(&args);
}
