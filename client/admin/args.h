/* The command line of kalix-admin: words, options, and what all commands share. */
#ifndef KX_CLIENT_ADMIN_ARGS_H
#define KX_CLIENT_ADMIN_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* What a process of kalix-admin ends with. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_UNREACHABLE = 3,
	EXIT_NOT_AUTHORISED = 4,
	EXIT_CONFLICT = 5,
	EXIT_OUTCOME_UNKNOWN = 6,
	EXIT_DIFFERENCES = 7,
	EXIT_UNHEALTHY = 8,
};

enum output_format { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_JSONL };

#define ARGS_WORDS_MAX 8
#define ARGS_DROP_MAX  16
#define ARGS_COUNT_MAX 1000
#define ARGS_RATE_MAX  10000000
#define ARGS_STORE_ALL UINT32_MAX

/* What is for some commands only; `-o`, `--yes`, `--help` and `--version` are for all. */
enum args_option {
	ARGS_DATA = 1 << 0,
	ARGS_STORE = 1 << 1,
	ARGS_NODE = 1 << 2,
	ARGS_TIMEOUT = 1 << 3,
	ARGS_TOKEN = 1 << 4,
	ARGS_EXPECT = 1 << 5,
	ARGS_AT_REVISION = 1 << 6,
	ARGS_CURSOR = 1 << 7,
	ARGS_COUNT = 1 << 8,
	ARGS_DROP = 1 << 9,
	ARGS_DRY_RUN = 1 << 10,
	ARGS_ACCEPT_LOSS = 1 << 11,
	ARGS_RECORDS = 1 << 12,
	ARGS_KEYS = 1 << 13,
	ARGS_FILTER = 1 << 14,
	ARGS_FOLLOW = 1 << 15,
	ARGS_STORED = 1 << 16,
	ARGS_CONNECTIONS = 1 << 17,
	ARGS_PIPELINE = 1 << 18,
	ARGS_SECONDS = 1 << 19,
	ARGS_RATE = 1 << 20,
	ARGS_WAIT = 1 << 21,
	ARGS_FORCE = 1 << 22,
	ARGS_UNSAFE = 1 << 23,
	ARGS_LOST = 1 << 24,
	ARGS_NODES = 1 << 25,
	ARGS_DAMAGED = 1 << 26,
	ARGS_UNPROVED = 1 << 27,
	ARGS_ALL = (1 << 28) - 1,
};

struct args {
	unsigned given;                   /* enum args_option, of those on the command line */
	const char *word[ARGS_WORDS_MAX]; /* what is no option, in order */
	unsigned words;
	enum output_format format;
	const char *data;    /* --data DIR */
	uint32_t store;      /* --store N, or ARGS_STORE_ALL */
	const char *node;    /* --node [USER:PASSWORD@]HOST:PORT */
	uint32_t timeout_ms; /* --timeout MS; 0: the client's default */
	const char *token;   /* --token TEXT */
	const char *lost;    /* --lost N,N */
	const char *expect;  /* --expect HASH */
	const char *filter;  /* --filter TEXT */
	const char *at_revision, *cursor, *count;
	uint32_t connections, pipeline, seconds, rate, wait, nodes; /* 0: not given */
	const char *drop[ARGS_DROP_MAX];                            /* --drop TYPE, repeatable */
	unsigned drop_count;
	bool yes, force, unsafe, damaged, unproved, dry_run, accept_loss, records, keys, follow;
	bool stored, help, version;
};

/* Splits argv; the strings stay argv's. ERR_INVALID: `why` (at least 256 bytes) says what is wrong.
 * Options may stand anywhere, as "--name value" or "--name=value"; "--" ends them. */
NODISCARD int args_parse(int argc, char **argv, struct args *ret_args, char *why, size_t why_bytes);
/* A word that is a decimal number from min to max, and nothing else. */
bool args_number(const char *word, uint64_t min, uint64_t max, uint64_t *ret_number);
/* The name of an option that was given and is not in `allowed`; NULL: there is none. */
const char *args_not_allowed(const struct args *args, unsigned allowed);
/* The options one by one, NULL behind the last; "" for one that is not in `allowed`. */
const char *args_option_name(size_t number, unsigned allowed, bool *ret_has_value);

/* True where the caller may go on with what changes or destroys: --yes was given, or the question
 * was answered with y or yes on a terminal. Without a terminal it is --yes or nothing. */
bool args_confirm(const struct args *args, const char *question);
/* The same for what can be undone: without a terminal it goes on. */
bool args_confirm_undoable(const struct args *args, const char *question);

#endif
