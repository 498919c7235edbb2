/* The table of commands. Private to server/gate. */
#ifndef KX_SERVER_GATE_COMMANDS_H
#define KX_SERVER_GATE_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "server/gate/command_list.h"

struct session;

enum command_flag {
	FLAG_NO_AUTH = 1, /* before authentication, too */
	FLAG_FAST = 2,
	FLAG_WRITE = 4,
	FLAG_READONLY = 8,
	FLAG_ADMIN = 16,
	FLAG_MOVABLE_KEYS = 32,
	FLAG_LOADING = 64, /* answered while the server starts */
	FLAG_PUBSUB = 128,
	FLAG_BLOCKING = 256,
};

/* Answers, or takes a place in the order of replies and answers later. args[0] is the command's
 * name; the slices are valid during the call. */
typedef void command_run(struct session *session, const struct slice *args, uint32_t count);

struct command {
	const char *name;      /* lower case, words of a subcommand parted by '|' */
	const char *container; /* of a subcommand, else NULL */
	int arity;             /* as Redis counts: the name included; negative: at least */
	unsigned flags;
	int first_key, last_key, key_step;
	command_run *run;
	const char *group;
	const char *syntax;
	const char *summary;
};

struct command_figures {
	uint64_t calls, errors, rejected;
};

enum command_number {
#define X(id, ...) COMMAND_##id,
	COMMAND_LIST(X)
#undef X
	    COMMAND_COUNT
};

extern const struct command commands[COMMAND_COUNT];

#define X(id, name, container, arity, flags, first, last, step, run, ...) command_run run;
COMMAND_LIST(X)
#undef X

/* Checks and runs it. */
void command_dispatch(struct session *session, const struct slice *args, uint32_t count);
/* NULL: unknown. A subcommand is found as "client|id". */
const struct command *command_find(struct slice name);
const struct command *command_find_sub(const struct command *container, struct slice word);
bool command_arity_holds(const struct command *command, uint32_t count);
/* The subcommand of args[1]; runs it, or answers why not. */
void command_run_container(struct session *session, const struct slice *args, uint32_t count);

/* Without regard to the case of ASCII letters; `text` is lower case. */
bool word_is(struct slice word, const char *text);
/* A decimal integer, whole, between min and max. */
bool word_integer(struct slice word, int64_t min, int64_t max, int64_t *ret_value);

#endif
