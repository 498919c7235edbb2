/* COMMAND: what clients and redis-cli ask to know which commands there are and where their keys
 * stand. All of it comes from the table. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "server/gate/gate_parts.h"

static size_t top_count(void)
{
	size_t count = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		count += !commands[i].container;
	return count;
}

static size_t sub_count(const struct command *command)
{
	size_t count = 0;
	if (command->container)
		return 0;
	for (const struct command *sub = command + 1;
	     sub < commands + COMMAND_COUNT && sub->container; sub++)
		count++;
	return count;
}

static const struct {
	unsigned flag;
	const char *name;
} flag_names[] = {
    {FLAG_NO_AUTH, "no_auth"},
    {FLAG_FAST, "fast"},
    {FLAG_WRITE, "write"},
    {FLAG_READONLY, "readonly"},
    {FLAG_ADMIN, "admin"},
    {FLAG_MOVABLE_KEYS, "movablekeys"},
    {FLAG_LOADING, "loading"},
    {FLAG_PUBSUB, "pubsub"},
    {FLAG_BLOCKING, "blocking"},
};

#define FLAG_COUNT (sizeof(flag_names) / sizeof(flag_names[0]))

static void write_flags(struct resp_writer *writer, unsigned flags)
{
	size_t count = 0;
	for (size_t i = 0; i < FLAG_COUNT; i++)
		count += (flags & flag_names[i].flag) != 0;
	resp_write_set(writer, count);
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (flags & flag_names[i].flag)
			resp_write_simple(writer, flag_names[i].name);
}

/* Ten items, as Redis 7 has them: name, arity, flags, first key, last key, step, categories, tips,
 * key specifications, subcommands. */
static void write_entry_head(struct resp_writer *writer, const struct command *command)
{
	resp_write_array(writer, 10);
	resp_write_bulk_text(writer, command->name);
	resp_write_integer(writer, command->arity);
	write_flags(writer, command->flags);
	resp_write_integer(writer, command->first_key);
	resp_write_integer(writer, command->last_key);
	resp_write_integer(writer, command->key_step);
	resp_write_set(writer, 0);
	resp_write_array(writer, 0);
	resp_write_array(writer, 0);
}

static void write_entry(struct resp_writer *writer, const struct command *command)
{
	size_t subs = sub_count(command);
	write_entry_head(writer, command);
	resp_write_array(writer, subs);
	for (size_t i = 1; i <= subs; i++) {
		write_entry_head(writer, &command[i]);
		resp_write_array(writer, 0);
	}
}

static void write_docs_head(
    struct resp_writer *writer, const struct command *command, size_t more_pairs)
{
	resp_write_bulk_text(writer, command->name);
	resp_write_map(writer, 4 + more_pairs);
	resp_write_bulk_text(writer, "summary");
	resp_write_bulk_text(writer, command->summary);
	resp_write_bulk_text(writer, "since");
	resp_write_bulk_text(writer, "0.1.0");
	resp_write_bulk_text(writer, "group");
	resp_write_bulk_text(writer, command->group);
	resp_write_bulk_text(writer, "syntax");
	resp_write_bulk_text(writer, command->syntax);
}

static void write_docs(struct resp_writer *writer, const struct command *command)
{
	size_t subs = sub_count(command);
	write_docs_head(writer, command, subs > 0);
	if (subs == 0)
		return;
	resp_write_bulk_text(writer, "subcommands");
	resp_write_map(writer, subs);
	for (size_t i = 1; i <= subs; i++)
		write_docs_head(writer, &command[i], 0);
}

static void all_entries(struct session *session)
{
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), top_count());
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (!commands[i].container)
			write_entry(&writer, &commands[i]);
	reply_end(session, &writer);
}

void run_command(struct session *session, const struct slice *args, uint32_t count)
{
	if (count == 1)
		all_entries(session);
	else
		command_run_container(session, args, count);
}

void run_command_count(struct session *session, const struct slice *args, uint32_t count)
{
	(void)args;
	(void)count;
	struct resp_writer writer;
	resp_write_integer(reply_begin(session, &writer), (int64_t)top_count());
	reply_end(session, &writer);
}

void run_command_info(struct session *session, const struct slice *args, uint32_t count)
{
	if (count == 2) {
		all_entries(session);
		return;
	}
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), count - 2);
	for (uint32_t i = 2; i < count; i++) {
		const struct command *command = command_find(args[i]);
		if (command)
			write_entry(&writer, command);
		else
			resp_write_null(&writer);
	}
	reply_end(session, &writer);
}

void run_command_docs(struct session *session, const struct slice *args, uint32_t count)
{
	struct resp_writer writer;
	size_t known = 0;
	for (uint32_t i = 2; i < count; i++)
		known += command_find(args[i]) != NULL;
	resp_write_map(reply_begin(session, &writer), count == 2 ? top_count() : known);
	for (size_t i = 0; count == 2 && i < COMMAND_COUNT; i++)
		if (!commands[i].container)
			write_docs(&writer, &commands[i]);
	for (uint32_t i = 2; i < count; i++) {
		const struct command *command = command_find(args[i]);
		if (command)
			write_docs(&writer, command);
	}
	reply_end(session, &writer);
}

void run_command_list(struct session *session, const struct slice *args, uint32_t count)
{
	char pattern[64] = "*";
	if (count == 5 && word_is(args[2], "filterby") && word_is(args[3], "pattern") &&
	    args[4].bytes < sizeof(pattern)) {
		memcpy(pattern, args[4].data, args[4].bytes);
		pattern[args[4].bytes] = 0;
	} else if (count != 2) {
		reply_error(session, "ERR", "syntax error");
		return;
	}
	size_t found = 0;
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		found += fnmatch(pattern, commands[i].name, FNM_CASEFOLD) == 0;
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), found);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (fnmatch(pattern, commands[i].name, FNM_CASEFOLD) == 0)
			resp_write_bulk_text(&writer, commands[i].name);
	reply_end(session, &writer);
}

void run_command_getkeys(struct session *session, const struct slice *args, uint32_t count)
{
	const struct slice *line = args + 2;
	uint32_t words = count - 2;
	const struct command *command = command_find(line[0]);
	if (!command) {
		reply_error(session, "ERR", "Invalid command specified");
		return;
	}
	if (!command_arity_holds(command, words)) {
		reply_error(session, "ERR", "Invalid number of arguments specified for command");
		return;
	}
	uint32_t key = (uint32_t)command->first_key;
	int64_t keys = command->first_key > 0;
	if (command->flags & FLAG_MOVABLE_KEYS) {
		key = 3;
		if (!word_integer(line[2], 0, words - 3, &keys)) {
			reply_error(session, "ERR", "Invalid arguments specified for command");
			return;
		}
	}
	if (keys == 0) {
		reply_error(session, "ERR", "The command has no key arguments");
		return;
	}
	struct resp_writer writer;
	resp_write_array(reply_begin(session, &writer), (size_t)keys);
	for (uint32_t i = 0; i < keys; i++)
		resp_write_bulk(&writer, line[key + i]);
	reply_end(session, &writer);
}
