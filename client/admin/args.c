#include "client/admin/args.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/limits.h"

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_FORMAT,
	OPTION_STORE,
	OPTION_MS,
	OPTION_DROP,
	OPTION_COUNT,
	OPTION_REVISION,
	OPTION_FEW,
	OPTION_MANY
};

struct option {
	const char *name;
	enum option_kind kind;
	unsigned bit; /* enum args_option; 0: for every command */
	size_t at;    /* offset in struct args */
};

#define FIELD(name) offsetof(struct args, name)

static const struct option options[] = {
    {"-o", OPTION_FORMAT, 0, FIELD(format)},
    {"--output", OPTION_FORMAT, 0, FIELD(format)},
    {"--data", OPTION_TEXT, ARGS_DATA, FIELD(data)},
    {"--store", OPTION_STORE, ARGS_STORE, FIELD(store)},
    {"--node", OPTION_TEXT, ARGS_NODE, FIELD(node)},
    {"--timeout", OPTION_MS, ARGS_TIMEOUT, FIELD(timeout_ms)},
    {"--token", OPTION_TEXT, ARGS_TOKEN, FIELD(token)},
    {"--expect", OPTION_TEXT, ARGS_EXPECT, FIELD(expect)},
    {"--filter", OPTION_TEXT, ARGS_FILTER, FIELD(filter)},
    {"--at-revision", OPTION_REVISION, ARGS_AT_REVISION, FIELD(at_revision)},
    {"--cursor", OPTION_TEXT, ARGS_CURSOR, FIELD(cursor)},
    {"--count", OPTION_COUNT, ARGS_COUNT, FIELD(count)},
    {"--drop", OPTION_DROP, ARGS_DROP, FIELD(drop)},
    {"--follow", OPTION_FLAG, ARGS_FOLLOW, FIELD(follow)},
    {"--yes", OPTION_FLAG, 0, FIELD(yes)},
    {"--dry-run", OPTION_FLAG, ARGS_DRY_RUN, FIELD(dry_run)},
    {"--accept-loss", OPTION_FLAG, ARGS_ACCEPT_LOSS, FIELD(accept_loss)},
    {"--records", OPTION_FLAG, ARGS_RECORDS, FIELD(records)},
    {"--keys", OPTION_FLAG, ARGS_KEYS, FIELD(keys)},
    {"--stored", OPTION_FLAG, ARGS_STORED, FIELD(stored)},
    {"--connections", OPTION_FEW, ARGS_CONNECTIONS, FIELD(connections)},
    {"--pipeline", OPTION_FEW, ARGS_PIPELINE, FIELD(pipeline)},
    {"--seconds", OPTION_MANY, ARGS_SECONDS, FIELD(seconds)},
    {"--rate", OPTION_MANY, ARGS_RATE, FIELD(rate)},
    {"--wait", OPTION_MANY, ARGS_WAIT, FIELD(wait)},
    {"--nodes", OPTION_FEW, ARGS_NODES, FIELD(nodes)},
    {"--force", OPTION_FLAG, ARGS_FORCE, FIELD(force)},
    {"--unsafe", OPTION_FLAG, ARGS_UNSAFE, FIELD(unsafe)},
    {"--lost", OPTION_TEXT, ARGS_LOST, FIELD(lost)},
    {"--damaged", OPTION_FLAG, ARGS_DAMAGED, FIELD(damaged)},
    {"--unproved", OPTION_FLAG, ARGS_UNPROVED, FIELD(unproved)},
    {"-h", OPTION_FLAG, 0, FIELD(help)},
    {"--help", OPTION_FLAG, 0, FIELD(help)},
    {"--version", OPTION_FLAG, 0, FIELD(version)},
};

static const struct option *find_option(const char *text, size_t bytes)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (strlen(options[i].name) == bytes && memcmp(options[i].name, text, bytes) == 0)
			return &options[i];
	return NULL;
}

static int parse_format(const char *value, enum output_format *ret_format)
{
	static const char *const names[] = {"table", "json", "jsonl"};
	for (unsigned i = 0; i < 3; i++)
		if (strcmp(value, names[i]) == 0) {
			*ret_format = (enum output_format)i;
			return 0;
		}
	return ERR_INVALID;
}

static int parse_number(const char *value, unsigned long max, uint32_t *ret_number)
{
	char *end;
	errno = 0;
	unsigned long number = strtoul(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number > max)
		return ERR_INVALID;
	*ret_number = (uint32_t)number;
	return 0;
}

/* A decimal number from 1 to max, and nothing else: it goes to the server as it is. */
static bool is_number(const char *value, uint64_t max)
{
	uint64_t number = 0;
	for (const char *at = value; *at; at++) {
		if (*at < '0' || *at > '9' || number > (max - (uint64_t)(*at - '0')) / 10)
			return false;
		number = number * 10 + (uint64_t)(*at - '0');
	}
	return number > 0;
}

static int set_number(const struct option *option, const char *value, const char **field,
    uint64_t max, char *why, size_t why_bytes)
{
	if (!is_number(value, max)) {
		snprintf(why, why_bytes, "%s takes a number from 1 to %llu, not '%.40s'",
		    option->name, (unsigned long long)max, value);
		return ERR_INVALID;
	}
	*field = value;
	return 0;
}

static int set_amount(const struct option *option, const char *value, uint32_t *field, uint32_t max,
    char *why, size_t why_bytes)
{
	const char *digits;
	int error = set_number(option, value, &digits, max, why, why_bytes);
	return error ? error : parse_number(digits, max, field);
}

static int set_option(
    const struct option *option, const char *value, struct args *args, char *why, size_t why_bytes)
{
	void *field = (uint8_t *)args + option->at;
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)field = value;
		return 0;
	case OPTION_FORMAT:
		if (parse_format(value, field) == 0)
			return 0;
		snprintf(why, why_bytes, "%s takes table, json or jsonl, not '%.40s'", option->name,
		    value);
		return ERR_INVALID;
	case OPTION_STORE:
		if (parse_number(value, STORES_MAX - 1, field) == 0)
			return 0;
		snprintf(why, why_bytes, "%s takes a number from 0 to 999, not '%.40s'",
		    option->name, value);
		return ERR_INVALID;
	case OPTION_MS:
		if (parse_number(value, 3600 * 1000, field) == 0)
			return 0;
		snprintf(why, why_bytes, "%s takes milliseconds, at most an hour, not '%.40s'",
		    option->name, value);
		return ERR_INVALID;
	case OPTION_COUNT:
		return set_number(option, value, field, ARGS_COUNT_MAX, why, why_bytes);
	case OPTION_REVISION:
		return set_number(option, value, field, INT64_MAX, why, why_bytes);
	case OPTION_FEW:
		return set_amount(option, value, field, ARGS_COUNT_MAX, why, why_bytes);
	case OPTION_MANY:
		return set_amount(option, value, field, ARGS_RATE_MAX, why, why_bytes);
	case OPTION_DROP:
		if (args->drop_count < ARGS_DROP_MAX) {
			args->drop[args->drop_count++] = value;
			return 0;
		}
		snprintf(why, why_bytes, "%s may be given %d times", option->name, ARGS_DROP_MAX);
		return ERR_INVALID;
	}
	return ERR_INVALID;
}

int args_parse(int argc, char **argv, struct args *ret_args, char *why, size_t why_bytes)
{
	struct args args = {.store = ARGS_STORE_ALL};
	bool only_words = false;
	for (int i = 1; i < argc; i++) {
		const char *text = argv[i];
		if (only_words || text[0] != '-' || text[1] == '\0') {
			if (args.words == ARGS_WORDS_MAX) {
				snprintf(why, why_bytes, "too many words, from '%.40s' on", text);
				return ERR_INVALID;
			}
			args.word[args.words++] = text;
			continue;
		}
		if (strcmp(text, "--") == 0) {
			only_words = true;
			continue;
		}
		const char *equals = strchr(text, '=');
		size_t bytes = equals ? (size_t)(equals - text) : strlen(text);
		const struct option *option = find_option(text, bytes);
		if (!option) {
			snprintf(why, why_bytes, "there is no option '%.40s'", text);
			return ERR_INVALID;
		}
		const char *value = equals ? equals + 1 : NULL;
		if (option->kind == OPTION_FLAG && value) {
			snprintf(why, why_bytes, "%s takes no value", option->name);
			return ERR_INVALID;
		}
		if (option->kind != OPTION_FLAG && !value) {
			if (i + 1 == argc) {
				snprintf(why, why_bytes, "%s needs a value", option->name);
				return ERR_INVALID;
			}
			value = argv[++i];
		}
		int error = set_option(option, value, &args, why, why_bytes);
		if (error)
			return error;
		args.given |= option->bit;
	}
	*ret_args = args;
	return 0;
}

bool args_number(const char *word, uint64_t min, uint64_t max, uint64_t *ret_number)
{
	char *end;
	errno = 0;
	uint64_t number = strtoull(word, &end, 10);
	if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0 || number < min ||
	    number > max)
		return false;
	*ret_number = number;
	return true;
}

const char *args_not_allowed(const struct args *args, unsigned allowed)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (args->given & options[i].bit & ~allowed)
			return options[i].name;
	return NULL;
}

const char *args_option_name(size_t number, unsigned allowed, bool *ret_has_value)
{
	if (number >= sizeof(options) / sizeof(options[0]))
		return NULL;
	const struct option *option = &options[number];
	*ret_has_value = option->kind != OPTION_FLAG;
	return option->bit & ~allowed ? "" : option->name;
}

bool args_confirm(const struct args *args, const char *question)
{
	if (args->yes)
		return true;
	fflush(stdout); /* the plan comes before the question, wherever both go */
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		fprintf(stderr, "%s\nNot on a terminal: say --yes to go on.\n", question);
		return false;
	}
	char answer[16] = "";
	fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return false;
	answer[strcspn(answer, "\n")] = '\0';
	return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

bool args_confirm_undoable(const struct args *args, const char *question)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return true;
	return args_confirm(args, question);
}
