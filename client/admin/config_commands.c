/* config: a file, read by the server's own code; the values of a running server. */
#include <stdio.h>

#include "client/admin/commands.h"
#include "client/admin/online.h"
#include "client/admin/pick.h"
#include "client/admin/print.h"
#include "server/configuration.h"

/* {file, good, keys} or {file, good, text}. */
static int print_checked(const char *file, size_t keys, const char *why)
{
	struct print_object object;
	print_object_begin(&object);
	print_object_text(&object, "file", slice_from_text(file));
	print_object_boolean(&object, "good", !why);
	if (why)
		print_object_text(&object, "text", slice_from_text(why));
	else
		print_object_number(&object, "keys", keys);
	return print_object_end(&object, "", "\n");
}

enum exit_code command_config_check(const struct args *args)
{
	static struct config config;
	char why[CONFIG_WHY_BYTES] = "";
	const char *file = args->word[2];
	size_t keys = 0;
	bool good = config_check_file(file, &config, &keys, why, sizeof(why)) == 0;
	if (args->format != OUTPUT_TABLE) {
		int error = print_checked(file, keys, good ? NULL : why);
		if (error)
			return command_failed(error, "");
		return good ? EXIT_DONE : EXIT_REFUSED;
	}
	if (!good)
		return command_failed(ERR_INVALID, why);
	printf("%s: good, sets %zu of %d keys%s\n", file, keys, (int)CONFIG_KEY_COUNT,
	    config.data[0] ? "" : "; the directory has to come as a flag: --data DIR");
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

static const char *const key_columns[] = {"key", "value", "from", "file", "line", "changeable"};

enum exit_code command_config_get(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "CONFIG");
		online_word(&online, "GET");
		for (unsigned i = 2; i < args->words; i++)
			online_word(&online, args->word[i]);
		code = online_run(&online);
	}
	if (!code)
		code = online_print_member(
		    &online, "keys", key_columns, sizeof(key_columns) / sizeof(key_columns[0]));
	online_done(&online);
	return code;
}

static enum exit_code print_set(const struct online *online)
{
	struct slice reply = slice_from_text(online_json(online));
	struct slice key = pick_text(reply, "key"), value = pick_text(reply, "value");
	struct slice was = pick_text(reply, "was");
	if (key.bytes == 0 || value.bytes == 0)
		return command_failed(ERR_CORRUPT, "the server's reply is no key and value");
	printf("%.*s = %.*s (was %.*s), until the server's next start; to keep it, write it into "
	       "kalix.conf\n",
	    (int)key.bytes, (const char *)key.data, (int)value.bytes, (const char *)value.data,
	    (int)was.bytes, was.bytes ? (const char *)was.data : "");
	return fflush(stdout) ? command_failed(ERR_IO, "") : EXIT_DONE;
}

enum exit_code command_config_set(const struct args *args)
{
	struct online online;
	enum exit_code code = online_open(args, &online);
	if (!code) {
		online_word(&online, "ADMIN");
		online_word(&online, "CONFIG");
		online_word(&online, "SET");
		online_word(&online, args->word[2]);
		online_word(&online, args->word[3]);
		code = online_run(&online);
	}
	if (!code)
		code = args->format == OUTPUT_TABLE ? print_set(&online)
		                                    : online_print(&online, NULL, 0);
	online_done(&online);
	return code;
}
