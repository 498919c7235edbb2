#include "server/gate/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/wire/address.h"
#include "server/gate/gate_parts.h"

/* clang-format off */
const struct command commands[COMMAND_COUNT] = {
#define X(id, text, in, count, bits, first, last, step, function, of, how, what)                   \
	[COMMAND_##id] = {.name = text, .container = in, .arity = count, .flags = (bits),          \
	    .first_key = first, .last_key = last, .key_step = step, .run = function, .group = of,  \
	    .syntax = how, .summary = what},
	COMMAND_LIST(X)
#undef X
};
/* clang-format on */

enum {
	/* Of a word that an error repeats. */
	WORD_SHOWN_BYTES_MAX = 128
};

/* ---- Words ---- */

static uint8_t lower(uint8_t letter)
{
	return letter >= 'A' && letter <= 'Z' ? letter + ('a' - 'A') : letter;
}

/* Order of the word in lower case against the text's first `bytes` bytes. */
static int word_compare(struct slice word, const char *text, size_t bytes)
{
	for (size_t i = 0; i < word.bytes && i < bytes; i++) {
		int difference = lower(word.data[i]) - (uint8_t)text[i];
		if (difference != 0)
			return difference;
	}
	return (word.bytes > bytes) - (word.bytes < bytes);
}

bool word_is(struct slice word, const char *text)
{
	size_t i = 0;
	for (; i < word.bytes; i++)
		if (!text[i] || lower(word.data[i]) != (uint8_t)text[i])
			return false;
	return !text[i];
}

bool word_integer(struct slice word, int64_t min, int64_t max, int64_t *ret_value)
{
	size_t at = word.bytes > 0 && word.data[0] == '-' ? 1 : 0;
	int64_t value = 0;
	if (word.bytes == at || word.bytes > at + 19)
		return false;
	for (size_t i = at; i < word.bytes; i++) {
		if (word.data[i] < '0' || word.data[i] > '9')
			return false;
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, word.data[i] - '0', &value))
			return false;
	}
	if (at == 1)
		value = -value;
	if (value < min || value > max)
		return false;
	*ret_value = value;
	return true;
}

/* ---- Finding ---- */

const struct command *command_find(struct slice name)
{
	size_t low = 0, high = COMMAND_COUNT;
	while (low < high) {
		size_t middle = (low + high) / 2;
		const char *text = commands[middle].name;
		int order = word_compare(name, text, strlen(text));
		if (order == 0)
			return &commands[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct command *command_find_sub(const struct command *container, struct slice word)
{
	size_t prefix = strlen(container->name) + 1;
	for (const struct command *sub = container + 1;
	     sub < commands + COMMAND_COUNT && sub->container; sub++)
		if (word_is(word, sub->name + prefix))
			return sub;
	return NULL;
}

bool command_arity_holds(const struct command *command, uint32_t count)
{
	if (command->arity >= 0)
		return count == (uint32_t)command->arity;
	return count >= (uint32_t)-command->arity;
}

/* ---- Unknown ones ---- */

/* Words of Redis whose meaning is plain, and what to type instead; %.*s is the address, or how one
 * looks. */
static const struct {
	const char *word;
	const char *instead;
} meant[] = {
    {"get", "CALL %.*s get"},
    {"getrange", "CALL %.*s get"},
    {"strlen", "CALL %.*s get"},
    {"hget", "CALL %.*s get"},
    {"hgetall", "CALL %.*s get"},
    {"hmget", "CALL %.*s get"},
    {"lrange", "CALL %.*s get"},
    {"smembers", "CALL %.*s get"},
    {"zrange", "CALL %.*s get"},
    {"exists", "CALL %.*s get"},
    {"type", "CALL %.*s"},
    {"object", "CALL %.*s"},
    {"set", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"hset", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"incr", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"incrby", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"lpush", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"rpush", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"sadd", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"zadd", "CALL %.*s COMMAND PAYLOAD, with a command of the entity"},
    {"del", "CALL %.*s COMMAND, with a command of the entity that deletes"},
    {"unlink", "CALL %.*s COMMAND, with a command of the entity that deletes"},
};

#define TRANSACTION                                                                                \
	"CALL address command payload; a handler is the transaction: all that it changes takes "   \
	"effect together, or nothing"

/* Words without an address. */
static const struct {
	const char *word;
	const char *instead;
} meant_alone[] = {
    {"keys", "ADMIN ENTITY LIST type"},
    {"scan", "ADMIN ENTITY LIST type"},
    {"dbsize", "INFO"},
    {"monitor", "INFO commandstats"},
    {"eval", "CALL address command payload; handlers are deployed with kalix-admin app deploy"},
    {"evalsha", "CALL address command payload; handlers are deployed with kalix-admin app deploy"},
    {"function", "kalix-admin app deploy DIR"},
    {"script", "kalix-admin app deploy DIR"},
    {"multi", TRANSACTION},
    {"exec", TRANSACTION},
    {"discard", TRANSACTION},
    {"watch", TRANSACTION},
    {"unwatch", TRANSACTION},
    {"psubscribe", "SUBSCRIBE"},
    {"bgsave", "ADMIN CHECKPOINT"},
    {"save", "ADMIN CHECKPOINT"},
    {"config", "ADMIN CONFIG GET|SET; kalix.conf, or flags of kalixd"},
    {"acl", "AUTH"},
    {"shutdown", "SIGTERM to kalixd"},
};

static struct slice cut(struct slice word, size_t bytes_max)
{
	return slice_of(word.data, word.bytes < bytes_max ? word.bytes : bytes_max);
}

/* An address first: the word behind it is the command, so CALL is what is missing. */
static bool explain_address(struct session *session, const struct slice *args, uint32_t count)
{
	struct address address;
	if (address_parse(args[0], &address, NULL))
		return false;
	struct slice first = cut(args[0], WORD_SHOWN_BYTES_MAX);
	struct slice second = count > 1 ? cut(args[1], NAME_BYTES_MAX) : slice_of("", 0);
	reply_error(session, "ERR", "unknown command, try: CALL %.*s%s%.*s", (int)first.bytes,
	    (const char *)first.data, second.bytes ? " " : "", (int)second.bytes,
	    (const char *)second.data);
	return true;
}

static bool explain_word(struct session *session, const struct slice *args, uint32_t count)
{
	struct address address;
	char instead[256];
	struct slice word = cut(args[0], WORD_SHOWN_BYTES_MAX);
	struct slice key = slice_from_text("type/id");
	if (count > 1 && args[1].bytes <= WORD_SHOWN_BYTES_MAX &&
	    address_parse(args[1], &address, NULL) == 0)
		key = args[1];
	instead[0] = 0;
	for (size_t i = 0; i < sizeof(meant) / sizeof(meant[0]); i++)
		if (word_is(args[0], meant[i].word)) {
			/* The formats are the table's own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			snprintf(instead, sizeof(instead), meant[i].instead, (int)key.bytes,
			    (const char *)key.data);
#pragma GCC diagnostic pop
		}
	for (size_t i = 0; i < sizeof(meant_alone) / sizeof(meant_alone[0]); i++)
		if (word_is(args[0], meant_alone[i].word))
			snprintf(instead, sizeof(instead), "%s", meant_alone[i].instead);
	if (!instead[0])
		return false;
	reply_error(session, "ERR", "unknown command '%.*s', try: %s", (int)word.bytes,
	    (const char *)word.data, instead);
	return true;
}

static void explain_unknown(struct session *session, const struct slice *args, uint32_t count)
{
	struct slice names[COMMAND_COUNT];
	int known = 0;
	if (explain_address(session, args, count) || explain_word(session, args, count))
		return;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!commands[i].container)
			names[known++] = slice_from_text(commands[i].name);
	uint8_t word[NAME_BYTES_MAX];
	struct slice shown = cut(args[0], WORD_SHOWN_BYTES_MAX);
	int nearest = -1;
	if (args[0].bytes <= sizeof(word)) {
		for (size_t i = 0; i < args[0].bytes; i++)
			word[i] = lower(args[0].data[i]);
		nearest = name_nearest(slice_of(word, args[0].bytes), names, known);
	}
	if (nearest >= 0)
		reply_error(session, "ERR", "unknown command '%.*s', did you mean %.*s?",
		    (int)shown.bytes, (const char *)shown.data, (int)names[nearest].bytes,
		    (const char *)names[nearest].data);
	else
		reply_error(session, "ERR", "unknown command '%.*s'", (int)shown.bytes,
		    (const char *)shown.data);
}

/* ---- Running ---- */

/* Whether this connection may call it; answered where not. */
static bool may_call(struct session *session, const struct command *command)
{
	if (!session->authenticated && !(command->flags & FLAG_NO_AUTH)) {
		reply_error(session, "NOAUTH", "Authentication required.");
		return false;
	}
	if ((command->flags & FLAG_ADMIN) && !session_is_admin(session)) {
		reply_error(session, "NOPERM",
		    "this user has no permissions to run the '%s' command", command->name);
		return false;
	}
	return true;
}

static void run(struct session *session, const struct command *command, const struct slice *args,
    uint32_t count)
{
	struct command_figures *figures = &session->gate->command_figures[command - commands];
	session->last_command = command;
	if (!may_call(session, command)) {
		figures->rejected++;
	} else if (!command_arity_holds(command, count)) {
		figures->rejected++;
		reply_wrong_arguments(session, command->name);
	} else {
		figures->calls++;
		command->run(session, args, count);
	}
}

/* A page that a browser shows can make it send an HTTP request to this port, and each line of the
 * body would be a request of somebody behind the firewall. Both words stand before any body. */
static bool refuse_http(struct session *session, struct slice word)
{
	if (!word_is(word, "post") && !word_is(word, "host:"))
		return false;
	session->gate->figures.closed_malformed++;
	reply_error(session, "ERR", "Protocol error: this port speaks RESP, not HTTP");
	session_leave(session);
	return true;
}

void command_dispatch(struct session *session, const struct slice *args, uint32_t count)
{
	/* Most often it is the same one again. */
	const struct command *command = session->last_command;
	if (!command || !word_is(args[0], command->name))
		command = command_find(args[0]);
	/* '|' is how the table names subcommands; nobody types it. */
	if (command && !command->container) {
		run(session, command, args, count);
		return;
	}
	session->last_command = NULL;
	if (refuse_http(session, args[0]))
		return;
	if (!session->authenticated)
		reply_error(session, "NOAUTH", "Authentication required.");
	else
		explain_unknown(session, args, count);
}

void command_run_container(struct session *session, const struct slice *args, uint32_t count)
{
	const struct command *container = session->last_command;
	const struct command *sub = command_find_sub(container, args[1]);
	if (sub) {
		run(session, sub, args, count);
		return;
	}
	struct slice word = cut(args[1], WORD_SHOWN_BYTES_MAX);
	char upper[32];
	size_t i;
	for (i = 0; container->name[i] && i + 1 < sizeof(upper); i++)
		upper[i] = (char)(container->name[i] - ('a' - 'A'));
	upper[i] = 0;
	reply_error(session, "ERR", "unknown subcommand '%.*s'. Try %s HELP.", (int)word.bytes,
	    (const char *)word.data, upper);
}

void run_help(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	const struct command *container = session->last_command;
	while (container->container)
		container--;
	size_t lines = 0;
	for (const struct command *sub = container + 1;
	     sub < commands + COMMAND_COUNT && sub->container; sub++)
		lines += 2;
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), lines);
	for (const struct command *sub = container + 1;
	     sub < commands + COMMAND_COUNT && sub->container; sub++) {
		resp_write_simple(&writer, sub->syntax);
		resp_write_simple(&writer, sub->summary);
	}
	reply_end(session, &writer);
}

void run_not_yet(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	char text[128];
	snprintf(text, sizeof(text), "%s is not part of this version", session->last_command->name);
	reply_status(session, STATUS_UNIMPLEMENTED, slice_from_text(text), slice_of(NULL, 0));
}
