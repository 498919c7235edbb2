/* kalix-admin: the administration of Kalix. This version works on the data directory of a stopped
 * server. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "client/admin/args.h"
#include "client/admin/commands.h"

struct command {
	const char *noun;
	const char *verb;
	unsigned words_max; /* behind noun and verb */
	enum exit_code (*run)(const struct args *args);
	const char *usage;
	const char *what;
};

static const struct command commands[] = {
    {"log", "verify", 1, command_log_verify, "log verify DIR [--store N]",
        "read every live frame of the log and judge it as a start would"},
    {"log", "dump", 1, command_log_dump, "log dump DIR [--store N] [--records]",
        "list the frames, or the records in them (never their payload)"},
    {"log", "repair", 1, command_log_repair,
        "log repair DIR --accept-loss [--store N] [--dry-run] [--yes]",
        "give up what is damaged, after saying what that is and keeping a copy"},
    {"store", "verify", 1, command_store_verify, "store verify DIR [--store N]",
        "read every block of the checkpoint and check it"},
    {"store", "dump", 1, command_store_dump, "store dump DIR [--store N] [--keys]",
        "list the shards' progress, or the keys (never their values)"},
    {"store", "repair", 1, command_store_repair,
        "store repair DIR --accept-loss [--store N] [--dry-run] [--yes]",
        "write what can be read to a new checkpoint, after saying what cannot, and keep the old "
        "one"},
};

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *to)
{
	fputs("usage: kalix-admin COMMAND [OPTION...]\n\n"
	      "On the data directory of a stopped server:\n",
	    to);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(to, "  %s\n        %s\n", commands[i].usage, commands[i].what);
	fputs("\nOptions:\n"
	      "  --data DIR               the data directory, where it is not given as a word\n"
	      "  --store N                one store instead of all\n"
	      "  -o table|json|jsonl      how to print rows\n"
	      "  --yes                    do not ask\n"
	      "  --dry-run                say what would be done, and do nothing\n"
	      "  --help, --version\n\n"
	      "Exit codes: 0 done, 1 refused or failed, 2 usage, 8 damage found.\n",
	    to);
}

static const struct command *find_command(const struct args *args)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (args->words >= 2 && strcmp(commands[i].noun, args->word[0]) == 0 &&
		    strcmp(commands[i].verb, args->word[1]) == 0)
			return &commands[i];
	return NULL;
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
	const struct command *command = find_command(&args);
	if (!command) {
		snprintf(why, sizeof(why), "there is no command '%.40s%s%.40s'", args.word[0],
		    args.words > 1 ? " " : "", args.words > 1 ? args.word[1] : "");
		return usage_error(why);
	}
	if (args.words > 2 + command->words_max) {
		snprintf(why, sizeof(why), "too many words: %s", command->usage);
		return usage_error(why);
	}
	if (args.words == 3)
		args.data = args.word[2];
	if (!args.data) {
		snprintf(why, sizeof(why), "which data directory? %s", command->usage);
		return usage_error(why);
	}
	return command->run(&args);
}
